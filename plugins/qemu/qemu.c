/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the QEMU driver, its start and its end. */
#include "driver.h"

#include <string.h>
#include <unistd.h>

#include "coalesce.h"
#include "config.h"
#include "images.h"
#include "kit/file.h"
#include "livestate.h"
#include "ops.h"
#include "probe.h"
#include "process.h"
#include "remote.h"
#include "seen.h"
#include "take.h"
#include "terminal.h"

/* ---- autostart ----------------------------------------------------------------- */

static void autostart_one(QemuDomain *dom)
{
    QemuStart how = { .incoming_fd = -1, .running_reason = VIREO_DOMAIN_RUNNING_BOOTED };
    QemuDriver *driver = dom->space->driver;
    g_autoptr(GError) error = NULL;

    qemu_domain_take_job(dom);
    if (dom->autostart && dom->config && !qemu_domain_active(dom) &&
        !qemu_process_start(dom, NULL, &how, &error))
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri,
                          "domain '%s' is not started automatically: %s", dom->name,
                          error->message);
    qemu_domain_give_job(dom);
}

/* Once per boot of the host: the mark is in the run directory. */
static void autostart(void *opaque)
{
    QemuSpace *space = opaque;
    g_autofree char *mark = g_build_filename(space->run_dir, "autostarted", NULL);

    if (g_file_test(mark, G_FILE_TEST_EXISTS))
        return;
    vireo_file_write(mark, "", 0, 0600, NULL);
    g_autoptr(GPtrArray) all = qemu_domain_all(space);
    for (guint i = 0; i < all->len; i++)
        autostart_one(all->pdata[i]);
}

/* ---- start and end ------------------------------------------------------------- */

static gboolean holder_alive(const char *uuid, void *opaque)
{
    QemuDriver *driver = opaque;
    GHashTableIter iter;
    gpointer space;
    guint8 raw[16];

    if (!vireo_model_uuid_parse(uuid, raw))
        return FALSE;
    g_hash_table_iter_init(&iter, driver->spaces);
    while (g_hash_table_iter_next(&iter, NULL, &space)) {
        g_autoptr(QemuDomain) dom = qemu_domain_by_uuid(space, raw);

        if (dom && qemu_domain_active(dom))
            return TRUE;
    }
    return FALSE;
}

static void open_space(QemuDriver *driver, const char *uri)
{
    g_autoptr(GError) error = NULL;
    QemuSpace *space = qemu_space_open(driver, uri, &error);

    if (!space)
        driver->host->log(driver->core, VIREO_LOG_ERROR, uri, "%s", error->message);
    else
        driver->host->defer(driver->core, autostart, space);
}

static int qemu_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    QemuDriver *driver = g_new0(QemuDriver, 1);
    g_autoptr(GError) error = NULL;

    driver->host = host;
    driver->core = core;
    driver->privileged = geteuid() == 0;
    driver->loop = vireo_loop_new("qemu-monitors");
    driver->spaces = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, qemu_space_free);
    driver->emulators = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, qemu_emulator_free);
    driver->old_emulators = g_ptr_array_new_with_free_func(qemu_emulator_free);
    driver->images =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, qemu_image_owner_free);
    g_mutex_init(&driver->lock);
    g_mutex_init(&driver->images_lock);
    g_mutex_init(&driver->terminals_lock);
    g_cond_init(&driver->terminals_gone);
    driver->terminals = g_ptr_array_new();
    driver->honoured = qemu_honoured_paths(&error);
    if (!driver->honoured) {
        host->log(core, VIREO_LOG_ERROR, "init", "%s", error->message);
        return VIREO_FAIL;
    }
    qemu_config_load(driver);
    if (driver->no_user)
        host->log(core, VIREO_LOG_WARNING, "config", "no guest can be started: %s",
                  driver->no_user);
    driver->coalescer = qemu_coalescer_new((guint)driver->config.merge_jobs);
    driver->seen = qemu_seen_new();
    qemu_remote_init(driver);
    qemu_image_recall(driver);
    open_space(driver, "qemu:///system");
    g_auto(GStrv) uris = qemu_live_uris(driver);
    for (guint i = 0; uris[i]; i++)
        if (!g_str_equal(uris[i], "qemu:///system"))
            open_space(driver, uris[i]);
    qemu_image_take_back_lost(driver, holder_alive, driver);
    qemu_coalescer_start(driver->coalescer);
    *self = driver;
    return VIREO_OK;
}

/* Guests run on; nothing of them is touched. */
static void let_go(QemuDriver *driver, QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    uint64_t watch = dom->watch;
    VireoQmp *qmp = g_steal_pointer(&dom->qmp);
    dom->watch = 0;
    g_mutex_unlock(&dom->lock);
    if (watch) {
        driver->host->unwatch(driver->core, watch);
        qemu_domain_unref(dom);
    }
    vireo_qmp_close(qmp);
    vireo_qmp_unref(qmp);
}

static void qemu_fini(void *self)
{
    QemuDriver *driver = self;
    GHashTableIter iter;
    gpointer space;

    g_atomic_int_set(&driver->stopping, 1);
    qemu_live_recover_end(driver);
    qemu_coalescer_free(driver->coalescer);
    g_hash_table_iter_init(&iter, driver->spaces);
    while (g_hash_table_iter_next(&iter, NULL, &space)) {
        g_autoptr(GPtrArray) all = qemu_domain_all(space);

        for (guint i = 0; i < all->len; i++)
            let_go(driver, all->pdata[i]);
    }
    qemu_terminals_end(driver);
    g_ptr_array_unref(driver->terminals);
    vireo_loop_free(driver->loop);
    g_hash_table_unref(driver->spaces);
    g_hash_table_unref(driver->emulators);
    g_ptr_array_unref(driver->old_emulators);
    g_hash_table_unref(driver->images);
    qemu_seen_free(driver->seen);
    vireo_model_path_set_free(driver->honoured);
    qemu_config_clear(driver);
    g_mutex_clear(&driver->lock);
    g_mutex_clear(&driver->images_lock);
    g_mutex_clear(&driver->terminals_lock);
    g_cond_clear(&driver->terminals_gone);
    g_free(driver);
}

/* ---- the table ----------------------------------------------------------------- */

#define STATS_FILTER                                                                               \
    (VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE |   \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT |                                              \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT |                                               \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |    \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_OTHER |     \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_BACKING)
#define LIVE VIREO_DOMAIN_AFFECT_LIVE
#define AFFECT (LIVE | VIREO_DOMAIN_AFFECT_CONFIG)
/* Of calls whose plans are told, too: both rows have the same. */
#define SNAPSHOT_CREATE                                                                            \
    (VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE | VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT |                \
     VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIREO_DOMAIN_SNAPSHOT_CREATE_HALT |                \
     VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIREO_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT |             \
     VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE | VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE |                    \
     VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE)
#define SNAPSHOT_REVERT                                                                            \
    (VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING | VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED |                  \
     VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE | VIREO_DOMAIN_SNAPSHOT_REVERT_RESET_NVRAM)
#define SNAPSHOT_DELETE                                                                            \
    (VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN | VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY |          \
     VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
#define UNDEFINE                                                                                   \
    (VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE | VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |               \
     VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIREO_DOMAIN_UNDEFINE_NVRAM |                    \
     VIREO_DOMAIN_UNDEFINE_KEEP_NVRAM | VIREO_DOMAIN_UNDEFINE_TPM | VIREO_DOMAIN_UNDEFINE_KEEP_TPM)
#define BLOCK_COMMIT                                                                               \
    (VIREO_DOMAIN_BLOCK_COMMIT_SHALLOW | VIREO_DOMAIN_BLOCK_COMMIT_DELETE |                        \
     VIREO_DOMAIN_BLOCK_COMMIT_ACTIVE | VIREO_DOMAIN_BLOCK_COMMIT_RELATIVE |                       \
     VIREO_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES)
#define BLOCK_REBASE                                                                               \
    (VIREO_DOMAIN_BLOCK_REBASE_SHALLOW | VIREO_DOMAIN_BLOCK_REBASE_REUSE_EXT |                     \
     VIREO_DOMAIN_BLOCK_REBASE_COPY_RAW | VIREO_DOMAIN_BLOCK_REBASE_COPY |                         \
     VIREO_DOMAIN_BLOCK_REBASE_RELATIVE | VIREO_DOMAIN_BLOCK_REBASE_COPY_DEV |                     \
     VIREO_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES)
#define SAVE (VIREO_DOMAIN_SAVE_RUNNING | VIREO_DOMAIN_SAVE_PAUSED)

/* operation, function, native, trivial, needs active, needs inactive; why a flag is trivial is said
 * in qemu.rst */
#define QEMU_OPS(X)                                                                                \
    X(conn_open, qemu_conn_open, 0, 0, 0, 0)                                                       \
    X(conn_close, qemu_conn_close, 0, 0, 0, 0)                                                     \
    X(connect_get_type, qemu_connect_get_type, 0, 0, 0, 0)                                         \
    X(connect_get_version, qemu_connect_get_version, 0, 0, 0, 0)                                   \
    X(connect_get_max_vcpus, qemu_connect_get_max_vcpus, 0, 0, 0, 0)                               \
    X(connect_get_cpu_model_names, qemu_connect_get_cpu_model_names, 0, 0, 0, 0)                   \
    X(connect_get_sysinfo, qemu_connect_get_sysinfo, 0, 0, 0, 0)                                   \
    X(connect_get_capabilities, qemu_connect_get_capabilities, 0, 0, 0, 0)                         \
    X(connect_get_domain_capabilities, qemu_connect_get_domain_capabilities, 0, 0, 0, 0)           \
    X(connect_domain_xml_to_native, qemu_connect_domain_xml_to_native, 0, 0, 0, 0)                 \
    X(node_get_info, qemu_node_get_info, 0, 0, 0, 0)                                               \
    X(node_get_cpu_stats, qemu_node_get_cpu_stats, 0, 0, 0, 0)                                     \
    X(node_get_memory_stats, qemu_node_get_memory_stats, 0, 0, 0, 0)                               \
    X(node_get_cpu_map, qemu_node_get_cpu_map, 0, 0, 0, 0)                                         \
    X(node_get_free_memory, qemu_node_get_free_memory, 0, 0, 0, 0)                                 \
    X(node_get_cells_free_memory, qemu_node_get_cells_free_memory, 0, 0, 0, 0)                     \
    X(node_get_free_pages, qemu_node_get_free_pages, 0, 0, 0, 0)                                   \
    X(node_get_security_model, qemu_node_get_security_model, 0, 0, 0, 0)                           \
    X(domain_define_xml_flags, qemu_domain_define_xml_flags, VIREO_DOMAIN_DEFINE_VALIDATE, 0, 0,   \
      0)                                                                                           \
    X(domain_undefine_flags, qemu_domain_undefine_flags, UNDEFINE, 0, 0, 0)                        \
    X(domain_set_autostart, qemu_domain_set_autostart, 0, 0, 0, 0)                                 \
    X(domain_rename, qemu_domain_rename, 0, 0, 0, 0)                                               \
    X(domain_get_xml_desc, qemu_domain_get_xml_desc,                                               \
      VIREO_DOMAIN_XML_SECURE | VIREO_DOMAIN_XML_INACTIVE | VIREO_DOMAIN_XML_MIGRATABLE, 0, 0, 0)  \
    X(domain_create_with_flags, qemu_domain_create_with_flags,                                     \
      VIREO_DOMAIN_START_PAUSED | VIREO_DOMAIN_START_FORCE_BOOT | VIREO_DOMAIN_START_AUTODESTROY | \
          VIREO_DOMAIN_START_RESET_NVRAM,                                                          \
      0, 0, 0)                                                                                        \
    X(domain_create_xml, qemu_domain_create_xml,                                                   \
      VIREO_DOMAIN_START_PAUSED | VIREO_DOMAIN_START_VALIDATE | VIREO_DOMAIN_START_AUTODESTROY |   \
          VIREO_DOMAIN_START_RESET_NVRAM,                                                          \
      0, 0, 0)                                                                                        \
    X(domain_shutdown_flags, qemu_domain_shutdown_flags, 0,                                        \
      VIREO_DOMAIN_SHUTDOWN_ACPI_POWER_BTN, 0, 0)                                                  \
    X(domain_reboot, qemu_domain_reboot, 0, VIREO_DOMAIN_REBOOT_ACPI_POWER_BTN, 0, 0)              \
    X(domain_reset, qemu_domain_reset, 0, 0, 0, 0)                                                 \
    X(domain_destroy_flags, qemu_domain_destroy_flags,                                             \
      VIREO_DOMAIN_DESTROY_GRACEFUL, 0, VIREO_DOMAIN_DESTROY_GRACEFUL, 0)                          \
    X(domain_suspend, qemu_domain_suspend, 0, 0, 0, 0)                                             \
    X(domain_resume, qemu_domain_resume, 0, 0, 0, 0)                                               \
    X(domain_pm_wakeup, qemu_domain_pm_wakeup, 0, 0, 0, 0)                                         \
    X(domain_inject_nmi, qemu_domain_inject_nmi, 0, 0, 0, 0)                                       \
    X(domain_send_key, qemu_domain_send_key, 0, 0, 0, 0)                                           \
    X(domain_save_flags, qemu_domain_save_flags, SAVE, 0, SAVE, 0)                                 \
    X(domain_restore_flags, qemu_domain_restore_flags, SAVE | VIREO_DOMAIN_SAVE_RESET_NVRAM, 0, 0, \
      0)                                                                                           \
    X(domain_save_image_get_xml_desc, qemu_domain_save_image_get_xml_desc,                         \
      VIREO_DOMAIN_SAVE_IMAGE_XML_SECURE, 0, 0, 0)                                                 \
    X(domain_managed_save, qemu_domain_managed_save, SAVE, 0, SAVE, 0)                             \
    X(domain_managed_save_remove, qemu_domain_managed_save_remove, 0, 0, 0, 0)                     \
    X(domain_managed_save_get_xml_desc, qemu_domain_managed_save_get_xml_desc,                     \
      VIREO_DOMAIN_SAVE_IMAGE_XML_SECURE, 0, 0, 0)                                                 \
    QEMU_OPS_MORE(X)

#define QEMU_OPS_MORE(X)                                                                           \
    X(domain_snapshot_create_xml, qemu_domain_snapshot_create_xml, SNAPSHOT_CREATE,                \
      VIREO_DOMAIN_SNAPSHOT_CREATE_ATOMIC,                                                         \
      VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE | VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE, 0)                 \
    X(domain_snapshot_get_xml_desc, qemu_domain_snapshot_get_xml_desc,                             \
      VIREO_DOMAIN_SNAPSHOT_XML_SECURE, 0, 0, 0)                                                   \
    X(domain_revert_to_snapshot, qemu_domain_revert_to_snapshot, SNAPSHOT_REVERT, 0, 0, 0)         \
    X(domain_snapshot_delete, qemu_domain_snapshot_delete, SNAPSHOT_DELETE, 0, 0, 0)               \
    X(domain_get_info, qemu_domain_get_info, 0, 0, 0, 0)                                           \
    X(domain_get_control_info, qemu_domain_get_control_info, 0, 0, 0, 0)                           \
    X(domain_get_security_label, qemu_domain_get_security_label, 0, 0, 0, 0)                       \
    X(domain_get_security_label_list, qemu_domain_get_security_label_list, 0, 0, 0, 0)             \
    X(domain_get_messages, qemu_domain_get_messages, 0,                                            \
      VIREO_DOMAIN_MESSAGE_DEPRECATION | VIREO_DOMAIN_MESSAGE_TAINTING, 0, 0)                      \
    X(domain_abort_job_flags, qemu_domain_abort_job_flags, 0, 0, 0, 0)                             \
    X(domain_get_job_stats, qemu_domain_get_job_stats,                                             \
      VIREO_DOMAIN_JOB_STATS_COMPLETED | VIREO_DOMAIN_JOB_STATS_KEEP_COMPLETED, 0, 0, 0)           \
    X(domain_get_vcpus, qemu_domain_get_vcpus, 0, 0, 0, 0)                                         \
    X(domain_get_vcpus_flags, qemu_domain_get_vcpus_flags,                                         \
      AFFECT | VIREO_DOMAIN_VCPU_MAXIMUM, 0, LIVE, 0)                                              \
    X(domain_get_cpu_stats, qemu_domain_get_cpu_stats, 0, VIREO_TYPED_PARAM_STRING_OKAY, 0, 0)     \
    X(domain_get_scheduler_type, qemu_domain_get_scheduler_type, 0, 0, 0, 0)                       \
    X(domain_set_vcpus_flags, qemu_domain_set_vcpus_flags,                                         \
      AFFECT | VIREO_DOMAIN_VCPU_MAXIMUM, 0, LIVE, 0)                                              \
    X(domain_set_memory_flags, qemu_domain_set_memory_flags,                                       \
      AFFECT | VIREO_DOMAIN_MEM_MAXIMUM, 0, LIVE, 0)                                               \
    X(domain_set_memory_stats_period, qemu_domain_set_memory_stats_period, AFFECT, 0, LIVE, 0)     \
    X(domain_memory_stats, qemu_domain_memory_stats, 0, 0, 0, 0)                                   \
    X(domain_block_stats_flags, qemu_domain_block_stats_flags, 0, VIREO_TYPED_PARAM_STRING_OKAY,   \
      0, 0)                                                                                        \
    X(domain_get_block_info, qemu_domain_get_block_info, 0, 0, 0, 0)                               \
    X(domain_interface_stats, qemu_domain_interface_stats, 0, 0, 0, 0)                             \
    X(connect_get_all_domain_stats, qemu_connect_get_all_domain_stats, STATS_FILTER,               \
      VIREO_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, 0, 0)                                            \
    X(domain_open_console, qemu_domain_open_console,                                               \
      VIREO_DOMAIN_CONSOLE_FORCE, VIREO_DOMAIN_CONSOLE_SAFE, VIREO_DOMAIN_CONSOLE_FORCE, 0)        \
    X(domain_open_channel, qemu_domain_open_channel,                                               \
      VIREO_DOMAIN_CHANNEL_FORCE, 0, VIREO_DOMAIN_CHANNEL_FORCE, 0)                                \
    X(domain_open_graphics_fd, qemu_domain_open_graphics_fd, VIREO_DOMAIN_OPEN_GRAPHICS_SKIPAUTH, 0, \
      0, 0)                                                                                        \
    X(domain_screenshot, qemu_domain_screenshot, 0, 0, 0, 0)                                       \
    X(qemu_domain_monitor_command, qemu_qemu_domain_monitor_command,                               \
      VIREO_DOMAIN_QEMU_MONITOR_COMMAND_HMP, 0, 0, 0)                                              \
    X(qemu_domain_agent_command, qemu_qemu_domain_agent_command, 0, 0, 0, 0)                       \
    X(domain_get_hostname, qemu_domain_get_hostname, 0, VIREO_DOMAIN_GET_HOSTNAME_AGENT, 0, 0)     \
    X(domain_get_time, qemu_domain_get_time, 0, 0, 0, 0)                                           \
    X(domain_get_guest_info, qemu_domain_get_guest_info, 0, 0, 0, 0)                               \
    X(domain_get_metadata, qemu_domain_get_metadata, AFFECT, 0, LIVE, 0)                           \
    X(domain_set_metadata, qemu_domain_set_metadata, AFFECT, 0, LIVE, 0)                           \
    X(domain_get_disk_errors, qemu_domain_get_disk_errors, 0, 0, 0, 0)                             \
    X(domain_attach_device_flags, qemu_domain_attach_device_flags, AFFECT, 0, LIVE, 0)             \
    X(domain_detach_device_flags, qemu_domain_detach_device_flags, AFFECT, 0, LIVE, 0)             \
    X(domain_detach_device_alias, qemu_domain_detach_device_alias, AFFECT, 0, LIVE, 0)             \
    X(domain_update_device_flags, qemu_domain_update_device_flags,                                 \
      AFFECT | VIREO_DOMAIN_DEVICE_MODIFY_FORCE, 0, LIVE, 0)                                       \
    X(domain_block_resize, qemu_domain_block_resize,                                               \
      VIREO_DOMAIN_BLOCK_RESIZE_BYTES, 0, VIREO_DOMAIN_BLOCK_RESIZE_BYTES, 0)                      \
    QEMU_OPS_BLOCK(X)

#define QEMU_OPS_BLOCK(X)                                                                          \
    X(domain_get_block_job_info, qemu_domain_get_block_job_info,                                   \
      VIREO_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES, 0, 0, 0)                                        \
    X(domain_block_job_set_speed, qemu_domain_block_job_set_speed,                                 \
      VIREO_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES, 0, 0, 0)                                       \
    X(domain_block_job_abort, qemu_domain_block_job_abort,                                         \
      VIREO_DOMAIN_BLOCK_JOB_ABORT_ASYNC | VIREO_DOMAIN_BLOCK_JOB_ABORT_PIVOT, 0, 0, 0)            \
    X(domain_block_rebase, qemu_domain_block_rebase, BLOCK_REBASE, 0, 0, 0)                        \
    X(domain_block_commit, qemu_domain_block_commit, BLOCK_COMMIT, 0, 0, 0)                        \
    X(domain_block_copy, qemu_domain_block_copy,                                                   \
      VIREO_DOMAIN_BLOCK_COPY_SHALLOW | VIREO_DOMAIN_BLOCK_COPY_REUSE_EXT |                        \
          VIREO_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | VIREO_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES,      \
      0, 0, 0)                                                                                     \
    X(domain_backup_begin, qemu_domain_backup_begin, VIREO_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL, 0,  \
      0, 0)                                                                                        \
    X(domain_backup_get_xml_desc, qemu_domain_backup_get_xml_desc, 0, 0, 0, 0)                     \
    X(domain_checkpoint_create_xml, qemu_domain_checkpoint_create_xml,                             \
      VIREO_DOMAIN_CHECKPOINT_CREATE_REDEFINE | VIREO_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE | \
          VIREO_DOMAIN_CHECKPOINT_CREATE_QUIESCE,                                                  \
      0, 0, 0)                                                                                     \
    X(domain_checkpoint_get_xml_desc, qemu_domain_checkpoint_get_xml_desc,                         \
      VIREO_DOMAIN_CHECKPOINT_XML_SECURE | VIREO_DOMAIN_CHECKPOINT_XML_NO_DOMAIN |                 \
          VIREO_DOMAIN_CHECKPOINT_XML_SIZE,                                                        \
      0, VIREO_DOMAIN_CHECKPOINT_XML_SIZE, 0)                                                      \
    X(domain_checkpoint_delete, qemu_domain_checkpoint_delete,                                     \
      VIREO_DOMAIN_CHECKPOINT_DELETE_CHILDREN | VIREO_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY |     \
          VIREO_DOMAIN_CHECKPOINT_DELETE_CHILDREN_ONLY,                                            \
      0, 0, 0)                                                                                     \
    QEMU_OPS_PLANS(X)

#define QEMU_OPS_PLANS(X)                                                                          \
    X(vireo_plan_snapshot_create, qemu_vireo_plan_snapshot_create, SNAPSHOT_CREATE,                \
      VIREO_DOMAIN_SNAPSHOT_CREATE_ATOMIC,                                                         \
      VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE | VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE, 0)                 \
    X(vireo_plan_snapshot_revert, qemu_vireo_plan_snapshot_revert, SNAPSHOT_REVERT, 0, 0, 0)       \
    X(vireo_plan_snapshot_delete, qemu_vireo_plan_snapshot_delete, SNAPSHOT_DELETE, 0, 0, 0)       \
    X(vireo_plan_block_commit, qemu_vireo_plan_block_commit, BLOCK_COMMIT, 0, 0, 0)                \
    X(vireo_plan_block_rebase, qemu_vireo_plan_block_rebase, BLOCK_REBASE, 0, 0, 0)                \
    X(vireo_plan_undefine, qemu_vireo_plan_undefine, UNDEFINE, 0, 0, 0)                            \
    X(vireo_domain_examine, qemu_vireo_domain_examine, 0, 0, 0, 0)                                 \
    X(vireo_domain_repair, qemu_vireo_domain_repair, 0, 0, 0, 0)

VIREO_DRIVER(qemu, "0.1.0", "qemu", VIREO_PARALLEL, QEMU_OPS, qemu_init, qemu_fini)
