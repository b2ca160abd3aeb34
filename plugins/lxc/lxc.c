/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the LXC driver, its start and its end. */
#include "ops.h"

#include <dlfcn.h>
#include <unistd.h>

#include "kit/file.h"
#include "process.h"
#include "save.h"

#define COMMON_SECCOMP "/usr/share/lxc/config/common.seccomp"
#define HELPER_NAME "vireo-lxc-run"

/* ---- autostart ----------------------------------------------------------------- */

static void autostart_one(LxcDomain *dom)
{
    LxcDriver *driver = dom->space->driver;
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&dom->job);
    if (dom->autostart && dom->config && !lxc_domain_active(dom) && !lxc_domain_boot(dom, FALSE, &error))
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri,
                          "domain '%s' is not started automatically: %s", dom->name, error->message);
    g_mutex_unlock(&dom->job);
}

/* Once per boot of the host: the mark is in the run directory. */
static void autostart(void *opaque)
{
    LxcSpace *space = opaque;
    g_autofree char *mark = g_build_filename(space->run_dir, "autostarted", NULL);

    if (g_file_test(mark, G_FILE_TEST_EXISTS))
        return;
    vireo_file_write(mark, "", 0, 0600, NULL);
    g_autoptr(GPtrArray) all = lxc_domain_all(space);
    for (guint i = 0; i < all->len; i++)
        autostart_one(all->pdata[i]);
}

/* ---- start and end ------------------------------------------------------------- */

/* The program near the module while that is not installed, or where it is installed. */
static char *find_helper(LxcDriver *driver)
{
    const char *given = driver->host->config(driver->core, "programs", "helper");
    static const char here;
    Dl_info info;

    if (given && *given)
        return g_strdup(given);
    if (dladdr(&here, &info) && info.dli_fname) {
        g_autofree char *dir = g_path_get_dirname(info.dli_fname);
        g_autofree char *path = g_build_filename(dir, "lxc", HELPER_NAME, NULL), *whole = g_canonicalize_filename(path, NULL);

        if (g_file_test(whole, G_FILE_TEST_IS_EXECUTABLE))
            return g_steal_pointer(&whole);
    }
    return g_strdup(LIBEXEC_DIR "/" HELPER_NAME);
}

/* A file, "no", or else the one that comes with liblxc where there is one. */
static char *find_seccomp(LxcDriver *driver)
{
    const char *given = driver->host->config(driver->core, "containers", "seccomp_profile");

    if (given && g_str_equal(given, "no"))
        return NULL;
    if (given && *given)
        return g_strdup(given);
    return g_file_test(COMMON_SECCOMP, G_FILE_TEST_EXISTS) ? g_strdup(COMMON_SECCOMP) : NULL;
}

static char *find_criu(LxcDriver *driver)
{
    const char *given = driver->host->config(driver->core, "programs", "criu");

    return given && *given ? g_strdup(given) : g_find_program_in_path("criu");
}

static int lxc_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    LxcDriver *driver = g_new0(LxcDriver, 1);
    g_autoptr(GError) error = NULL;

    driver->host = host;
    driver->core = core;
    g_mutex_init(&driver->lock);
    g_mutex_init(&driver->criu_lock);
    g_mutex_init(&driver->relays_lock);
    g_cond_init(&driver->relays_gone);
    driver->relays = g_ptr_array_new();
    driver->spaces = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, lxc_space_free);
    driver->helper = find_helper(driver);
    driver->seccomp = find_seccomp(driver);
    driver->criu = find_criu(driver);
    driver->honoured = lxc_honoured_paths(&error);
    LxcSpace *space = driver->honoured ? lxc_space_open(driver, "lxc:///system", &error) : NULL;
    if (!space) {
        host->log(core, VIREO_LOG_ERROR, "init", "%s", error->message);
        return VIREO_FAIL;
    }
    host->defer(core, autostart, space);
    *self = driver;
    return VIREO_OK;
}

/* Containers run on; nothing of them is touched. */
static void lxc_fini(void *self)
{
    LxcDriver *driver = self;
    GHashTableIter iter;
    gpointer space;

    lxc_relays_end(driver);
    g_hash_table_iter_init(&iter, driver->spaces);
    while (g_hash_table_iter_next(&iter, NULL, &space)) {
        g_autoptr(GPtrArray) all = lxc_domain_all(space);

        for (guint i = 0; i < all->len; i++)
            lxc_live_let_go(all->pdata[i]);
    }
    g_hash_table_unref(driver->spaces);
    g_ptr_array_unref(driver->relays);
    vireo_model_path_set_free(driver->honoured);
    g_free(driver->helper);
    g_free(driver->seccomp);
    g_free(driver->criu);
    g_free(driver->criu_checked);
    g_free(driver->criu_trouble);
    g_mutex_clear(&driver->criu_lock);
    g_mutex_clear(&driver->lock);
    g_mutex_clear(&driver->relays_lock);
    g_cond_clear(&driver->relays_gone);
    g_free(driver);
}

/* ---- the table ----------------------------------------------------------------- */

#define LIVE VIREO_DOMAIN_AFFECT_LIVE
#define AFFECT (LIVE | VIREO_DOMAIN_AFFECT_CONFIG)
/* A container has none of these, so none is left behind or lost. */
#define NOTHING_TO_LEAVE                                                                           \
    (VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIREO_DOMAIN_UNDEFINE_NVRAM |                    \
     VIREO_DOMAIN_UNDEFINE_KEEP_NVRAM | VIREO_DOMAIN_UNDEFINE_TPM | VIREO_DOMAIN_UNDEFINE_KEEP_TPM)

/* operation, function, native, trivial, needs active, needs inactive; why a flag is trivial is said in lxc.rst */
#define LXC_OPS(X)                                                                                 \
    X(conn_open, lxc_conn_open, 0, 0, 0, 0)                                                        \
    X(conn_close, lxc_conn_close, 0, 0, 0, 0)                                                      \
    X(connect_get_type, lxc_connect_get_type, 0, 0, 0, 0)                                          \
    X(connect_get_version, lxc_connect_get_version, 0, 0, 0, 0)                                    \
    X(connect_get_capabilities, lxc_connect_get_capabilities, 0, 0, 0, 0)                          \
    X(connect_get_sysinfo, lxc_connect_get_sysinfo, 0, 0, 0, 0)                                    \
    X(connect_domain_xml_from_native, lxc_connect_domain_xml_from_native, 0, 0, 0, 0)              \
    X(node_get_info, lxc_node_get_info, 0, 0, 0, 0)                                                \
    X(node_get_cpu_stats, lxc_node_get_cpu_stats, 0, 0, 0, 0)                                      \
    X(node_get_memory_stats, lxc_node_get_memory_stats, 0, 0, 0, 0)                                \
    X(node_get_cpu_map, lxc_node_get_cpu_map, 0, 0, 0, 0)                                          \
    X(node_get_free_memory, lxc_node_get_free_memory, 0, 0, 0, 0)                                  \
    X(node_get_cells_free_memory, lxc_node_get_cells_free_memory, 0, 0, 0, 0)                      \
    X(node_get_free_pages, lxc_node_get_free_pages, 0, 0, 0, 0)                                    \
    X(node_get_security_model, lxc_node_get_security_model, 0, 0, 0, 0)                            \
    X(domain_define_xml_flags, lxc_domain_define_xml_flags, VIREO_DOMAIN_DEFINE_VALIDATE, 0, 0, 0) \
    X(domain_undefine_flags, lxc_domain_undefine_flags,                                            \
      VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE,               \
      NOTHING_TO_LEAVE, 0, 0)                                                                      \
    X(domain_set_autostart, lxc_domain_set_autostart, 0, 0, 0, 0)                                  \
    X(domain_rename, lxc_domain_rename, 0, 0, 0, 0)                                                \
    X(domain_get_xml_desc, lxc_domain_get_xml_desc,                                                \
      VIREO_DOMAIN_XML_SECURE | VIREO_DOMAIN_XML_INACTIVE | VIREO_DOMAIN_XML_MIGRATABLE, 0, 0, 0)  \
    X(domain_get_metadata, lxc_domain_get_metadata, AFFECT, 0, LIVE, 0)                            \
    X(domain_set_metadata, lxc_domain_set_metadata, AFFECT, 0, LIVE, 0)                            \
    X(domain_create_with_flags, lxc_domain_create_with_flags,                                      \
      VIREO_DOMAIN_START_AUTODESTROY | VIREO_DOMAIN_START_FORCE_BOOT, 0, 0, 0)                     \
    X(domain_create_xml, lxc_domain_create_xml,                                                    \
      VIREO_DOMAIN_START_AUTODESTROY | VIREO_DOMAIN_START_VALIDATE, 0, 0, 0)                       \
    X(domain_destroy_flags, lxc_domain_destroy_flags, 0, 0, 0, 0)                                  \
    X(domain_shutdown_flags, lxc_domain_shutdown_flags,                                            \
      VIREO_DOMAIN_SHUTDOWN_INITCTL | VIREO_DOMAIN_SHUTDOWN_SIGNAL, 0, 0, 0)                       \
    X(domain_reboot, lxc_domain_reboot, VIREO_DOMAIN_REBOOT_INITCTL | VIREO_DOMAIN_REBOOT_SIGNAL,  \
      0, 0, 0)                                                                                     \
    X(domain_reset, lxc_domain_reset, 0, 0, 0, 0)                                                  \
    X(domain_suspend, lxc_domain_suspend, 0, 0, 0, 0)                                              \
    X(domain_resume, lxc_domain_resume, 0, 0, 0, 0)                                                \
    X(domain_send_process_signal, lxc_domain_send_process_signal, 0, 0, 0, 0)                      \
    X(domain_open_console, lxc_domain_open_console, VIREO_DOMAIN_CONSOLE_FORCE,                    \
      VIREO_DOMAIN_CONSOLE_SAFE, VIREO_DOMAIN_CONSOLE_FORCE, 0)                                    \
    X(lxc_domain_open_namespace, lxc_lxc_domain_open_namespace, 0, 0, 0, 0)                        \
    LXC_OPS_SAVE(X)                                                                                \
    LXC_OPS_SNAPSHOTS(X)                                                                           \
    LXC_OPS_FIGURES(X)

#define SAVE (VIREO_DOMAIN_SAVE_RUNNING | VIREO_DOMAIN_SAVE_PAUSED)

#define LXC_OPS_SAVE(X)                                                                            \
    X(conn_narrow, lxc_conn_narrow, 0, 0, 0, 0)                                                    \
    X(domain_save_flags, lxc_domain_save_flags, SAVE, 0, SAVE, 0)                                  \
    X(domain_restore_flags, lxc_domain_restore_flags, SAVE, 0, 0, 0)                               \
    X(domain_save_image_get_xml_desc, lxc_domain_save_image_get_xml_desc,                          \
      VIREO_DOMAIN_SAVE_IMAGE_XML_SECURE, 0, 0, 0)                                                 \
    X(domain_managed_save, lxc_domain_managed_save, SAVE, 0, SAVE, 0)                              \
    X(domain_managed_save_remove, lxc_domain_managed_save_remove, 0, 0, 0, 0)                      \
    X(domain_managed_save_get_xml_desc, lxc_domain_managed_save_get_xml_desc,                      \
      VIREO_DOMAIN_SAVE_IMAGE_XML_SECURE, 0, 0, 0)

#define SNAPSHOT_CREATE                                                                            \
    (VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE | VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT |                \
     VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIREO_DOMAIN_SNAPSHOT_CREATE_HALT |                \
     VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE |               \
     VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE)

#define LXC_OPS_SNAPSHOTS(X)                                                                       \
    X(domain_snapshot_create_xml, lxc_domain_snapshot_create_xml, SNAPSHOT_CREATE,                 \
      VIREO_DOMAIN_SNAPSHOT_CREATE_ATOMIC, VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE, 0)                \
    X(domain_snapshot_get_xml_desc, lxc_domain_snapshot_get_xml_desc,                              \
      VIREO_DOMAIN_SNAPSHOT_XML_SECURE, 0, 0, 0)                                                   \
    X(domain_revert_to_snapshot, lxc_domain_revert_to_snapshot,                                    \
      VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING | VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED |                 \
          VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE, 0, 0, 0)                                             \
    X(domain_snapshot_delete, lxc_domain_snapshot_delete,                                          \
      VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN | VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY |         \
          VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY, 0, 0, 0)                                     \
    X(vireo_domain_clone, lxc_vireo_domain_clone, 0, 0, 0, 0)

#define STATS_FILTER                                                                               \
    (VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE |   \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT |                                              \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT |                                               \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |    \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_OTHER |     \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)
#define STRINGS VIREO_TYPED_PARAM_STRING_OKAY

#define LXC_OPS_FIGURES(X)                                                                         \
    X(domain_get_info, lxc_domain_get_info, 0, 0, 0, 0)                                            \
    X(domain_get_security_label, lxc_domain_get_security_label, 0, 0, 0, 0)                        \
    X(domain_memory_stats, lxc_domain_memory_stats, 0, 0, 0, 0)                                    \
    X(domain_get_cpu_stats, lxc_domain_get_cpu_stats, 0, STRINGS, 0, 0)                            \
    X(domain_block_stats_flags, lxc_domain_block_stats_flags, 0, STRINGS, 0, 0)                    \
    X(domain_interface_stats, lxc_domain_interface_stats, 0, 0, 0, 0)                              \
    X(domain_interface_addresses, lxc_domain_interface_addresses, 0, 0, 0, 0)                      \
    X(connect_get_all_domain_stats, lxc_connect_get_all_domain_stats, STATS_FILTER,                \
      VIREO_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, 0, 0)                                            \
    X(domain_attach_device_flags, lxc_domain_attach_device_flags, AFFECT, 0, LIVE, 0)              \
    X(domain_detach_device_flags, lxc_domain_detach_device_flags, AFFECT, 0, LIVE, 0)              \
    X(domain_update_device_flags, lxc_domain_update_device_flags, AFFECT,                          \
      VIREO_DOMAIN_DEVICE_MODIFY_FORCE, LIVE, 0)                                                   \
    X(domain_set_memory_flags, lxc_domain_set_memory_flags, AFFECT | VIREO_DOMAIN_MEM_MAXIMUM, 0,  \
      LIVE, 0)                                                                                     \
    X(domain_set_memory_parameters, lxc_domain_set_memory_parameters, AFFECT, 0, LIVE, 0)          \
    X(domain_get_memory_parameters, lxc_domain_get_memory_parameters, AFFECT, STRINGS, LIVE, 0)    \
    X(domain_get_scheduler_type, lxc_domain_get_scheduler_type, 0, 0, 0, 0)                        \
    X(domain_set_scheduler_parameters_flags, lxc_domain_set_scheduler_parameters_flags, AFFECT, 0, \
      LIVE, 0)                                                                                     \
    X(domain_get_scheduler_parameters_flags, lxc_domain_get_scheduler_parameters_flags, AFFECT,    \
      STRINGS, LIVE, 0)                                                                            \
    X(domain_set_blkio_parameters, lxc_domain_set_blkio_parameters, AFFECT, 0, LIVE, 0)            \
    X(domain_get_blkio_parameters, lxc_domain_get_blkio_parameters, AFFECT, STRINGS, LIVE, 0)

VIREO_DRIVER(lxc, "0.1.0", "lxc", VIREO_PARALLEL, LXC_OPS, lxc_init, lxc_fini)
