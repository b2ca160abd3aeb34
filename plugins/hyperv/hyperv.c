/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the hyperv driver, its start and its end. */
#include "ops.h"

#define POLL_MS 3000

static const struct vireo_host *services;

int hyperv_call_cancelled(void *call)
{
    return services->cancelled(call);
}

static void hyperv_fini(void *self)
{
    HypervDriver *driver = self;

    if (!driver)
        return;
    vireo_shares_free(driver->servers);
    vireo_model_path_set_free(driver->honoured);
    vireo_model_path_set_free(driver->honoured_volume);
    g_free(driver);
}

static int hyperv_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    HypervDriver *driver = g_new0(HypervDriver, 1);
    const char *poll = host->config(core, "events", "poll_ms");
    guint64 given = poll ? g_ascii_strtoull(poll, NULL, 10) : POLL_MS;
    g_autoptr(GError) error = NULL;

    services = host;
    driver->host = host;
    driver->core = core;
    driver->poll_ms = (guint)CLAMP(given, 100, 3600000);
    driver->subscribe = g_strcmp0(host->config(core, "events", "subscribe"), "0") != 0;
    driver->servers = hyperv_servers_new(driver);
    driver->honoured = hyperv_honoured_paths(&error);
    driver->honoured_volume = driver->honoured ? hyperv_volume_paths(&error) : NULL;
    if (!driver->honoured_volume) {
        host->log(core, VIREO_LOG_ERROR, "init", "%s", error->message);
        hyperv_fini(driver);
        return VIREO_FAIL;
    }
    *self = driver;
    return VIREO_OK;
}

#define DEVICE_FLAGS (VIREO_DOMAIN_DEVICE_MODIFY_LIVE | VIREO_DOMAIN_DEVICE_MODIFY_CONFIG)

#define MOVES                                                                                                          \
    (VIREO_MIGRATE_LIVE | VIREO_MIGRATE_PERSIST_DEST | VIREO_MIGRATE_UNDEFINE_SOURCE) /* as it is always done */

#define STATS_FLAGS                                                                                                    \
    (VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE |                       \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT |                  \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |                        \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_OTHER |                         \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)

/* operation, function, native, trivial, needs active, needs inactive; why a flag is trivial is said in hyperv.rst */
#define HYPERV_OPS(X)                                                                                                  \
    X(conn_open, hyperv_conn_open, 0, 0, 0, 0)                                                                         \
    X(conn_close, hyperv_conn_close, 0, 0, 0, 0)                                                                       \
    X(connect_get_type, hyperv_connect_get_type, 0, 0, 0, 0)                                                           \
    X(connect_get_version, hyperv_connect_get_version, 0, 0, 0, 0)                                                     \
    X(connect_get_hostname, hyperv_connect_get_hostname, 0, 0, 0, 0)                                                   \
    X(connect_is_secure, hyperv_connect_is_secure, 0, 0, 0, 0)                                                         \
    X(connect_get_max_vcpus, hyperv_connect_get_max_vcpus, 0, 0, 0, 0)                                                 \
    X(connect_get_capabilities, hyperv_connect_get_capabilities, 0, 0, 0, 0)                                           \
    X(node_get_info, hyperv_node_get_info, 0, 0, 0, 0)                                                                 \
    X(node_get_cpu_map, hyperv_node_get_cpu_map, 0, 0, 0, 0)                                                           \
    X(node_get_free_memory, hyperv_node_get_free_memory, 0, 0, 0, 0)                                                   \
    X(domain_get_xml_desc, hyperv_domain_get_xml_desc, VIREO_DOMAIN_XML_INACTIVE,                                      \
      VIREO_DOMAIN_XML_SECURE | VIREO_DOMAIN_XML_UPDATE_CPU | VIREO_DOMAIN_XML_MIGRATABLE, 0, 0)                       \
    X(domain_create_with_flags, hyperv_domain_create_with_flags,                                                       \
      VIREO_DOMAIN_START_FORCE_BOOT | VIREO_DOMAIN_START_PAUSED, 0, 0, 0)                                              \
    X(domain_create_xml, hyperv_domain_create_xml, VIREO_DOMAIN_START_VALIDATE, 0, 0, 0)                               \
    X(domain_destroy_flags, hyperv_domain_destroy_flags, 0, 0, 0, 0)                                                   \
    X(domain_shutdown_flags, hyperv_domain_shutdown_flags, 0, 0, 0, 0)                                                 \
    X(domain_reboot, hyperv_domain_reboot, 0, 0, 0, 0)                                                                 \
    X(domain_reset, hyperv_domain_reset, 0, 0, 0, 0)                                                                   \
    X(domain_suspend, hyperv_domain_suspend, 0, 0, 0, 0)                                                               \
    X(domain_resume, hyperv_domain_resume, 0, 0, 0, 0)                                                                 \
    X(domain_managed_save, hyperv_domain_managed_save, 0, 0, 0, 0)                                                     \
    X(domain_managed_save_remove, hyperv_domain_managed_save_remove, 0, 0, 0, 0)                                       \
    X(domain_set_autostart, hyperv_domain_set_autostart, 0, 0, 0, 0)                                                   \
    X(domain_define_xml_flags, hyperv_domain_define_xml_flags, VIREO_DOMAIN_DEFINE_VALIDATE, 0, 0, 0)                  \
    X(domain_undefine_flags, hyperv_domain_undefine_flags, VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE,                         \
      VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA, 0, 0)                     \
    X(domain_rename, hyperv_domain_rename, 0, 0, 0, 0)                                                                 \
    X(domain_set_vcpus_flags, hyperv_domain_set_vcpus_flags, VIREO_DOMAIN_VCPU_CONFIG | VIREO_DOMAIN_VCPU_MAXIMUM, 0,  \
      0, VIREO_DOMAIN_VCPU_CONFIG)                                                                                     \
    X(domain_get_vcpus_flags, hyperv_domain_get_vcpus_flags, 0,                                                        \
      VIREO_DOMAIN_VCPU_CONFIG | VIREO_DOMAIN_VCPU_LIVE | VIREO_DOMAIN_VCPU_MAXIMUM, 0, 0)                             \
    X(domain_set_memory_flags, hyperv_domain_set_memory_flags, VIREO_DOMAIN_MEM_LIVE | VIREO_DOMAIN_MEM_CONFIG,        \
      VIREO_DOMAIN_MEM_MAXIMUM, VIREO_DOMAIN_MEM_LIVE, VIREO_DOMAIN_MEM_CONFIG)                                        \
    X(domain_get_vcpus, hyperv_domain_get_vcpus, 0, 0, 0, 0)                                                           \
    X(domain_get_scheduler_type, hyperv_domain_get_scheduler_type, 0, 0, 0, 0)                                         \
    X(domain_get_scheduler_parameters_flags, hyperv_domain_get_scheduler_parameters_flags, 0,                          \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG | VIREO_TYPED_PARAM_STRING_OKAY, 0, 0)                     \
    X(domain_get_metadata, hyperv_domain_get_metadata, 0,                                                              \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, 0)                                                     \
    X(domain_set_metadata, hyperv_domain_set_metadata, 0,                                                              \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, 0)                                                     \
    X(domain_attach_device_flags, hyperv_domain_attach_device_flags, DEVICE_FLAGS, 0, VIREO_DOMAIN_DEVICE_MODIFY_LIVE, \
      VIREO_DOMAIN_DEVICE_MODIFY_CONFIG)                                                                               \
    X(domain_detach_device_flags, hyperv_domain_detach_device_flags, DEVICE_FLAGS, 0, VIREO_DOMAIN_DEVICE_MODIFY_LIVE, \
      VIREO_DOMAIN_DEVICE_MODIFY_CONFIG)                                                                               \
    X(domain_update_device_flags, hyperv_domain_update_device_flags, DEVICE_FLAGS, 0, VIREO_DOMAIN_DEVICE_MODIFY_LIVE, \
      VIREO_DOMAIN_DEVICE_MODIFY_CONFIG)                                                                               \
    X(domain_get_info, hyperv_domain_get_info, 0, 0, 0, 0)                                                             \
    X(connect_get_all_domain_stats, hyperv_connect_get_all_domain_stats, STATS_FLAGS,                                  \
      VIREO_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, 0, 0)                                                                \
    X(domain_block_stats_flags, hyperv_domain_block_stats_flags, 0, VIREO_TYPED_PARAM_STRING_OKAY, 0, 0)               \
    X(domain_get_block_info, hyperv_domain_get_block_info, 0, 0, 0, 0)                                                 \
    X(domain_interface_stats, hyperv_domain_interface_stats, 0, 0, 0, 0)                                               \
    X(domain_interface_addresses, hyperv_domain_interface_addresses, 0, 0, 0, 0)                                       \
    X(domain_get_hostname, hyperv_domain_get_hostname, 0, VIREO_DOMAIN_GET_HOSTNAME_AGENT, 0, 0)                       \
    X(domain_get_guest_info, hyperv_domain_get_guest_info, 0, 0, 0, 0)                                                 \
    X(domain_screenshot, hyperv_domain_screenshot, 0, 0, 0, 0)                                                         \
    X(domain_send_key, hyperv_domain_send_key, 0, 0, 0, 0)                                                             \
    X(domain_snapshot_create_xml, hyperv_domain_snapshot_create_xml,                                                   \
      VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE | VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT |                                   \
          VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE,                                                                       \
      VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIREO_DOMAIN_SNAPSHOT_CREATE_ATOMIC, 0, 0)                            \
    X(domain_snapshot_get_xml_desc, hyperv_domain_snapshot_get_xml_desc, 0, VIREO_DOMAIN_SNAPSHOT_XML_SECURE, 0, 0)    \
    X(domain_revert_to_snapshot, hyperv_domain_revert_to_snapshot,                                                     \
      VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING | VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED, VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE,  \
      0, 0)                                                                                                            \
    X(domain_snapshot_delete, hyperv_domain_snapshot_delete,                                                           \
      VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN | VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY,                              \
      VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY, 0, 0)                                                                \
    X(domain_migrate_prepare, hyperv_domain_migrate_prepare, 0,                                                        \
      MOVES | VIREO_MIGRATE_PAUSED | VIREO_MIGRATE_NON_SHARED_DISK, 0, 0)                                              \
    X(domain_migrate_perform, hyperv_domain_migrate_perform, VIREO_MIGRATE_NON_SHARED_DISK,                            \
      MOVES | VIREO_MIGRATE_PAUSED, 0, 0)                                                                              \
    X(domain_migrate_finish, hyperv_domain_migrate_finish, VIREO_MIGRATE_PAUSED,                                       \
      MOVES | VIREO_MIGRATE_NON_SHARED_DISK, 0, 0)                                                                     \
    X(network_get_xml_desc, hyperv_network_get_xml_desc, 0, VIREO_NETWORK_XML_INACTIVE, 0, 0)                          \
    X(storage_pool_list_all_volumes, hyperv_storage_pool_list_all_volumes, 0, 0, 0, 0)                                 \
    X(storage_pool_get_info, hyperv_storage_pool_get_info, 0, 0, 0, 0)                                                 \
    X(storage_pool_refresh, hyperv_storage_pool_refresh, 0, 0, 0, 0)                                                   \
    X(storage_pool_get_xml_desc, hyperv_storage_pool_get_xml_desc, 0, VIREO_STORAGE_XML_INACTIVE, 0, 0)                \
    X(storage_pool_lookup_by_volume, hyperv_storage_pool_lookup_by_volume, 0, 0, 0, 0)                                 \
    X(storage_vol_lookup_by_name, hyperv_storage_vol_lookup_by_name, 0, 0, 0, 0)                                       \
    X(storage_vol_lookup_by_key, hyperv_storage_vol_lookup_by_key, 0, 0, 0, 0)                                         \
    X(storage_vol_lookup_by_path, hyperv_storage_vol_lookup_by_path, 0, 0, 0, 0)                                       \
    X(storage_vol_get_path, hyperv_storage_vol_get_path, 0, 0, 0, 0)                                                   \
    X(storage_vol_get_info, hyperv_storage_vol_get_info, 0, 0, 0, 0)                                                   \
    X(storage_vol_get_info_flags, hyperv_storage_vol_get_info_flags, 0, VIREO_STORAGE_VOL_GET_PHYSICAL, 0, 0)          \
    X(storage_vol_get_xml_desc, hyperv_storage_vol_get_xml_desc, 0, 0, 0, 0)                                           \
    X(storage_vol_create_xml, hyperv_storage_vol_create_xml, VIREO_STORAGE_VOL_CREATE_VALIDATE, 0, 0, 0)               \
    X(storage_vol_delete, hyperv_storage_vol_delete, 0, 0, 0, 0)                                                       \
    X(storage_vol_resize, hyperv_storage_vol_resize, VIREO_STORAGE_VOL_RESIZE_DELTA, 0, 0, 0)

VIREO_DRIVER(hyperv, "0.1.0", "hyperv", VIREO_PARALLEL, HYPERV_OPS, hyperv_init, hyperv_fini)
