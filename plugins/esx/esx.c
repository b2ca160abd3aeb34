/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the esx driver, its start and its end. */
#include "ops.h"

#include "spec.h"

static const struct vireo_host *services;

int esx_call_cancelled(void *call)
{
    return services->cancelled(call);
}

static void esx_fini(void *self)
{
    EsxDriver *driver = self;

    if (!driver)
        return;
    vireo_shares_free(driver->servers);
    vireo_model_path_set_free(driver->honoured);
    g_free(driver);
}

static int esx_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    EsxDriver *driver = g_new0(EsxDriver, 1);
    g_autoptr(GError) error = NULL;

    services = host;
    driver->host = host;
    driver->core = core;
    driver->servers = esx_servers_new(driver);
    driver->honoured = esx_honoured_paths(&error);
    if (!driver->honoured) {
        host->log(core, VIREO_LOG_ERROR, "init", "%s", error->message);
        esx_fini(driver);
        return VIREO_FAIL;
    }
    *self = driver;
    return VIREO_OK;
}

#define STATS_FLAGS                                                                                \
    (VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE |   \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT |                                              \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT |                                               \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |    \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_OTHER |     \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)

/* There is one definition of a machine, which moves with it, and one that runs goes on running. */
#define MOVED (VIREO_MIGRATE_LIVE | VIREO_MIGRATE_PERSIST_DEST | VIREO_MIGRATE_UNDEFINE_SOURCE)

/* operation, function, native, trivial, needs active, needs inactive; why a flag is trivial is said in esx.rst */
#define ESX_OPS(X)                                                                                 \
    X(conn_open, esx_conn_open, 0, 0, 0, 0)                                                        \
    X(conn_close, esx_conn_close, 0, 0, 0, 0)                                                      \
    X(conn_narrow, esx_conn_narrow, 0, 0, 0, 0)                                                    \
    X(connect_get_type, esx_connect_get_type, 0, 0, 0, 0)                                          \
    X(connect_get_version, esx_connect_get_version, 0, 0, 0, 0)                                    \
    X(connect_get_hostname, esx_connect_get_hostname, 0, 0, 0, 0)                                  \
    X(connect_is_secure, esx_connect_is_secure, 0, 0, 0, 0)                                        \
    X(connect_get_max_vcpus, esx_connect_get_max_vcpus, 0, 0, 0, 0)                                \
    X(connect_get_capabilities, esx_connect_get_capabilities, 0, 0, 0, 0)                          \
    X(connect_get_domain_capabilities, esx_connect_get_domain_capabilities, 0, 0, 0, 0)            \
    X(connect_domain_xml_from_native, esx_connect_domain_xml_from_native, 0, 0, 0, 0)              \
    X(connect_domain_xml_to_native, esx_connect_domain_xml_to_native, 0, 0, 0, 0)                  \
    X(node_get_info, esx_node_get_info, 0, 0, 0, 0)                                                \
    X(node_get_free_memory, esx_node_get_free_memory, 0, 0, 0, 0)                                  \
    X(domain_get_xml_desc, esx_domain_get_xml_desc, VIREO_DOMAIN_XML_INACTIVE,                     \
      VIREO_DOMAIN_XML_SECURE | VIREO_DOMAIN_XML_UPDATE_CPU | VIREO_DOMAIN_XML_MIGRATABLE, 0, 0)   \
    X(domain_create_with_flags, esx_domain_create_with_flags, VIREO_DOMAIN_START_FORCE_BOOT, 0, 0, 0) \
    X(domain_managed_save, esx_domain_managed_save, 0, 0, 0, 0)                                    \
    X(domain_managed_save_remove, esx_domain_managed_save_remove, 0, 0, 0, 0)                      \
    X(domain_set_autostart, esx_domain_set_autostart, 0, 0, 0, 0)                                  \
    X(domain_screenshot, esx_domain_screenshot, 0, 0, 0, 0)                                        \
    X(domain_get_info, esx_domain_get_info, 0, 0, 0, 0)                                            \
    X(domain_get_messages, esx_domain_get_messages,                                                \
      VIREO_DOMAIN_MESSAGE_DEPRECATION | VIREO_DOMAIN_MESSAGE_TAINTING | VIREO_DOMAIN_MESSAGE_IOERRORS, 0, 0, 0) \
    X(domain_get_scheduler_type, esx_domain_get_scheduler_type, 0, 0, 0, 0)                        \
    X(domain_get_scheduler_parameters_flags, esx_domain_get_scheduler_parameters_flags, 0,         \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, 0)                                 \
    X(domain_set_scheduler_parameters_flags, esx_domain_set_scheduler_parameters_flags,            \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, VIREO_DOMAIN_AFFECT_LIVE,          \
      VIREO_DOMAIN_AFFECT_CONFIG)                                                                  \
    X(domain_get_memory_parameters, esx_domain_get_memory_parameters, 0,                           \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, 0)                                 \
    X(domain_set_memory_parameters, esx_domain_set_memory_parameters,                              \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, VIREO_DOMAIN_AFFECT_LIVE,          \
      VIREO_DOMAIN_AFFECT_CONFIG)                                                                  \
    X(domain_destroy_flags, esx_domain_destroy_flags, 0, 0, 0, 0)                                  \
    X(domain_shutdown_flags, esx_domain_shutdown_flags, 0, 0, 0, 0)                                \
    X(domain_reboot, esx_domain_reboot, 0, 0, 0, 0)                                                \
    X(domain_reset, esx_domain_reset, 0, 0, 0, 0)                                                  \
    X(domain_suspend, esx_domain_suspend, 0, 0, 0, 0)                                              \
    X(domain_resume, esx_domain_resume, 0, 0, 0, 0)                                                \
    X(domain_define_xml_flags, esx_domain_define_xml_flags, VIREO_DOMAIN_DEFINE_VALIDATE, 0, 0, 0) \
    X(domain_undefine_flags, esx_domain_undefine_flags, 0,                                         \
      VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |      \
          VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE,                                                      \
      0, 0)                                                                                        \
    X(domain_rename, esx_domain_rename, 0, 0, 0, 0)                                                \
    X(domain_set_vcpus_flags, esx_domain_set_vcpus_flags,                                          \
      VIREO_DOMAIN_VCPU_LIVE | VIREO_DOMAIN_VCPU_CONFIG, 0, VIREO_DOMAIN_VCPU_LIVE,                \
      VIREO_DOMAIN_VCPU_CONFIG)                                                                    \
    X(domain_get_vcpus_flags, esx_domain_get_vcpus_flags, VIREO_DOMAIN_VCPU_MAXIMUM,               \
      VIREO_DOMAIN_VCPU_CONFIG | VIREO_DOMAIN_VCPU_LIVE, 0, 0)                                     \
    X(domain_set_memory_flags, esx_domain_set_memory_flags,                                        \
      VIREO_DOMAIN_MEM_LIVE | VIREO_DOMAIN_MEM_CONFIG | VIREO_DOMAIN_MEM_MAXIMUM, 0,               \
      VIREO_DOMAIN_MEM_LIVE, VIREO_DOMAIN_MEM_CONFIG)                                              \
    X(domain_get_hostname, esx_domain_get_hostname, 0, VIREO_DOMAIN_GET_HOSTNAME_AGENT, 0, 0)      \
    X(domain_interface_addresses, esx_domain_interface_addresses, 0, 0, 0, 0)                      \
    X(domain_get_metadata, esx_domain_get_metadata, 0,                                             \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, 0)                                 \
    X(domain_set_metadata, esx_domain_set_metadata,                                                \
      VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, VIREO_DOMAIN_AFFECT_LIVE,          \
      VIREO_DOMAIN_AFFECT_CONFIG)                                                                  \
    X(connect_get_all_domain_stats, esx_connect_get_all_domain_stats, STATS_FLAGS, 0, 0, 0)        \
    X(domain_migrate_prepare, esx_domain_migrate_prepare, VIREO_MIGRATE_PAUSED | VIREO_MIGRATE_OFFLINE, MOVED, 0, 0) \
    X(domain_migrate_perform, esx_domain_migrate_perform, VIREO_MIGRATE_PAUSED | VIREO_MIGRATE_OFFLINE, MOVED, 0, \
      VIREO_MIGRATE_OFFLINE)                                                                       \
    X(domain_migrate_finish, esx_domain_migrate_finish, VIREO_MIGRATE_PAUSED | VIREO_MIGRATE_OFFLINE, MOVED, 0, 0) \
    X(domain_snapshot_create_xml, esx_domain_snapshot_create_xml,                                  \
      VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE |              \
          VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE,                                                   \
      VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIREO_DOMAIN_SNAPSHOT_CREATE_ATOMIC,              \
      VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE, 0)                                                     \
    X(domain_snapshot_get_xml_desc, esx_domain_snapshot_get_xml_desc, 0,                           \
      VIREO_DOMAIN_SNAPSHOT_XML_SECURE, 0, 0)                                                      \
    X(domain_revert_to_snapshot, esx_domain_revert_to_snapshot,                                    \
      VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING | VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED,                  \
      VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE, 0, 0)                                                    \
    X(domain_snapshot_delete, esx_domain_snapshot_delete,                                          \
      VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN | VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY,          \
      VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY, 0, 0)                                            \
    X(storage_pool_get_info, esx_storage_pool_get_info, 0, 0, 0, 0)                                \
    X(storage_pool_get_xml_desc, esx_storage_pool_get_xml_desc, VIREO_STORAGE_XML_INACTIVE, 0,     \
      0, 0)                                                                                        \
    X(storage_pool_refresh, esx_storage_pool_refresh, 0, 0, 0, 0)                                  \
    X(storage_pool_set_autostart, esx_storage_pool_set_autostart, 0, 0, 0, 0)                      \
    X(storage_pool_lookup_by_volume, esx_storage_pool_lookup_by_volume, 0, 0, 0, 0)                \
    X(storage_pool_lookup_by_target_path, esx_storage_pool_lookup_by_target_path, 0, 0, 0, 0)      \
    X(storage_pool_list_all_volumes, esx_storage_pool_list_all_volumes, 0, 0, 0, 0)                \
    X(storage_vol_lookup_by_name, esx_storage_vol_lookup_by_name, 0, 0, 0, 0)                      \
    X(storage_vol_lookup_by_key, esx_storage_vol_lookup_by_key, 0, 0, 0, 0)                        \
    X(storage_vol_lookup_by_path, esx_storage_vol_lookup_by_path, 0, 0, 0, 0)                      \
    X(storage_vol_get_info, esx_storage_vol_get_info, 0, 0, 0, 0)                                  \
    X(storage_vol_get_info_flags, esx_storage_vol_get_info_flags, 0, VIREO_STORAGE_VOL_GET_PHYSICAL, \
      0, 0)                                                                                        \
    X(storage_vol_get_path, esx_storage_vol_get_path, 0, 0, 0, 0)                                  \
    X(storage_vol_get_xml_desc, esx_storage_vol_get_xml_desc, 0, 0, 0, 0)                          \
    X(storage_vol_create_xml, esx_storage_vol_create_xml, VIREO_STORAGE_VOL_CREATE_VALIDATE, 0,    \
      0, 0)                                                                                        \
    X(storage_vol_create_xml_from, esx_storage_vol_create_xml_from, VIREO_STORAGE_VOL_CREATE_VALIDATE, 0, \
      0, 0)                                                                                        \
    X(storage_vol_download, esx_storage_vol_download, VIREO_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM,     \
      0, 0, 0)                                                                                     \
    X(storage_vol_upload, esx_storage_vol_upload, VIREO_STORAGE_VOL_UPLOAD_SPARSE_STREAM, 0, 0, 0)  \
    X(storage_vol_wipe, esx_storage_vol_wipe, 0, 0, 0, 0)                                          \
    X(storage_vol_wipe_pattern, esx_storage_vol_wipe_pattern, 0, 0, 0, 0)                          \
    X(storage_vol_resize, esx_storage_vol_resize,                                                  \
      VIREO_STORAGE_VOL_RESIZE_DELTA | VIREO_STORAGE_VOL_RESIZE_ALLOCATE, 0, 0, 0)                 \
    X(storage_vol_delete, esx_storage_vol_delete, 0, 0, 0, 0)                                      \
    X(network_get_xml_desc, esx_network_get_xml_desc, 0, VIREO_NETWORK_XML_INACTIVE, 0, 0)         \
    X(network_set_autostart, esx_network_set_autostart, 0, 0, 0, 0)                                \
    X(network_define_xml_flags, esx_network_define_xml_flags, VIREO_NETWORK_DEFINE_VALIDATE, 0, 0, 0) \
    X(network_undefine, esx_network_undefine, 0, 0, 0, 0)                                          \
    X(interface_get_xml_desc, esx_interface_get_xml_desc, VIREO_INTERFACE_XML_INACTIVE, 0, 0, 0)   \
    X(domain_attach_device_flags, esx_domain_attach_device_flags, VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, \
      0, VIREO_DOMAIN_AFFECT_LIVE, 0)                                                              \
    X(domain_detach_device_flags, esx_domain_detach_device_flags, VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, \
      0, VIREO_DOMAIN_AFFECT_LIVE, 0)                                                              \
    X(domain_update_device_flags, esx_domain_update_device_flags, VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, \
      0, VIREO_DOMAIN_AFFECT_LIVE, 0)

VIREO_DRIVER(esx, "0.1.0", "esx vpx", VIREO_PARALLEL, ESX_OPS, esx_init, esx_fini)
