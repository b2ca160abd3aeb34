/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the vbox driver, its start and its end. */
#include "ops.h"

static const struct vireo_host *services;

int vbox_call_cancelled(void *call)
{
    return services->cancelled(call);
}

static void vbox_fini(void *self)
{
    VboxDriver *driver = self;

    if (!driver)
        return;
    vireo_shares_free(driver->servers);
    vireo_model_path_set_free(driver->honoured);
    vireo_model_path_set_free(driver->honoured_network);
    vireo_model_path_set_free(driver->honoured_volume);
    g_free(driver);
}

static int vbox_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    VboxDriver *driver = g_new0(VboxDriver, 1);
    g_autoptr(GError) error = NULL;

    services = host;
    driver->host = host;
    driver->core = core;
    driver->servers = vbox_servers_new(driver);
    driver->honoured = vbox_honoured_paths(&error);
    driver->honoured_network = driver->honoured ? vbox_network_paths(&error) : NULL;
    driver->honoured_volume = driver->honoured_network ? vbox_storage_paths(&error) : NULL;
    if (!driver->honoured_volume) {
        host->log(core, VIREO_LOG_ERROR, "init", "%s", error->message);
        vbox_fini(driver);
        return VIREO_FAIL;
    }
    *self = driver;
    return VIREO_OK;
}

#define DEVICE_FLAGS (VIREO_DOMAIN_DEVICE_MODIFY_LIVE | VIREO_DOMAIN_DEVICE_MODIFY_CONFIG)

#define STATS_FLAGS                                                                                                    \
    (VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE |                       \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT |                  \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |                        \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_OTHER |                         \
     VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)

/* operation, function, native, trivial, needs active, needs inactive; why a flag is trivial is said in vbox.rst */
#define VBOX_OPS(X)                                                                                                    \
    X(conn_open, vbox_conn_open, 0, 0, 0, 0)                                                                           \
    X(conn_close, vbox_conn_close, 0, 0, 0, 0)                                                                         \
    X(connect_get_type, vbox_connect_get_type, 0, 0, 0, 0)                                                             \
    X(connect_get_version, vbox_connect_get_version, 0, 0, 0, 0)                                                       \
    X(connect_get_hostname, vbox_connect_get_hostname, 0, 0, 0, 0)                                                     \
    X(connect_is_secure, vbox_connect_is_secure, 0, 0, 0, 0)                                                           \
    X(connect_get_max_vcpus, vbox_connect_get_max_vcpus, 0, 0, 0, 0)                                                   \
    X(connect_get_capabilities, vbox_connect_get_capabilities, 0, 0, 0, 0)                                             \
    X(node_get_info, vbox_node_get_info, 0, 0, 0, 0)                                                                   \
    X(node_get_free_memory, vbox_node_get_free_memory, 0, 0, 0, 0)                                                     \
    X(node_get_cells_free_memory, vbox_node_get_cells_free_memory, 0, 0, 0, 0)                                         \
    X(node_get_memory_stats, vbox_node_get_memory_stats, 0, 0, 0, 0)                                                   \
    X(connect_get_domain_capabilities, vbox_connect_get_domain_capabilities, 0, 0, 0, 0)                               \
    X(domain_get_xml_desc, vbox_domain_get_xml_desc, VIREO_DOMAIN_XML_INACTIVE,                                        \
      VIREO_DOMAIN_XML_SECURE | VIREO_DOMAIN_XML_UPDATE_CPU | VIREO_DOMAIN_XML_MIGRATABLE, 0, 0)                       \
    X(domain_create_with_flags, vbox_domain_create_with_flags, VIREO_DOMAIN_START_FORCE_BOOT, 0, 0, 0)                 \
    X(domain_create_xml, vbox_domain_create_xml, VIREO_DOMAIN_START_VALIDATE, 0, 0, 0)                                 \
    X(domain_destroy_flags, vbox_domain_destroy_flags, 0, 0, 0, 0)                                                     \
    X(domain_shutdown_flags, vbox_domain_shutdown_flags, 0, VIREO_DOMAIN_SHUTDOWN_ACPI_POWER_BTN, 0, 0)                \
    X(domain_reboot, vbox_domain_reboot, 0, 0, 0, 0)                                                                   \
    X(domain_reset, vbox_domain_reset, 0, 0, 0, 0)                                                                     \
    X(domain_suspend, vbox_domain_suspend, 0, 0, 0, 0)                                                                 \
    X(domain_resume, vbox_domain_resume, 0, 0, 0, 0)                                                                   \
    X(domain_managed_save, vbox_domain_managed_save, 0, 0, 0, 0)                                                       \
    X(domain_managed_save_remove, vbox_domain_managed_save_remove, 0, 0, 0, 0)                                         \
    X(domain_set_autostart, vbox_domain_set_autostart, 0, 0, 0, 0)                                                     \
    X(domain_define_xml_flags, vbox_domain_define_xml_flags, VIREO_DOMAIN_DEFINE_VALIDATE, 0, 0, 0)                    \
    X(domain_undefine_flags, vbox_domain_undefine_flags, VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE,                           \
      VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA, 0, 0)                     \
    X(domain_rename, vbox_domain_rename, 0, 0, 0, 0)                                                                   \
    X(domain_set_vcpus, vbox_domain_set_vcpus, 0, 0, 0, 0)                                                             \
    X(domain_set_memory, vbox_domain_set_memory, 0, 0, 0, 0)                                                           \
    X(domain_set_vcpus_flags, vbox_domain_set_vcpus_flags, VIREO_DOMAIN_VCPU_CONFIG, 0, 0, VIREO_DOMAIN_VCPU_CONFIG)   \
    X(domain_get_vcpus_flags, vbox_domain_get_vcpus_flags, VIREO_DOMAIN_VCPU_MAXIMUM,                                  \
      VIREO_DOMAIN_VCPU_CONFIG | VIREO_DOMAIN_VCPU_LIVE, 0, 0)                                                         \
    X(domain_set_memory_flags, vbox_domain_set_memory_flags, VIREO_DOMAIN_MEM_CONFIG | VIREO_DOMAIN_MEM_MAXIMUM, 0, 0, \
      VIREO_DOMAIN_MEM_CONFIG)                                                                                         \
    X(domain_attach_device_flags, vbox_domain_attach_device_flags, DEVICE_FLAGS, 0, VIREO_DOMAIN_DEVICE_MODIFY_LIVE,   \
      VIREO_DOMAIN_DEVICE_MODIFY_CONFIG)                                                                               \
    X(domain_detach_device_flags, vbox_domain_detach_device_flags, DEVICE_FLAGS, 0, VIREO_DOMAIN_DEVICE_MODIFY_LIVE,   \
      VIREO_DOMAIN_DEVICE_MODIFY_CONFIG)                                                                               \
    X(domain_update_device_flags, vbox_domain_update_device_flags, DEVICE_FLAGS | VIREO_DOMAIN_DEVICE_MODIFY_FORCE, 0, \
      VIREO_DOMAIN_DEVICE_MODIFY_LIVE, VIREO_DOMAIN_DEVICE_MODIFY_CONFIG)                                              \
    X(domain_get_info, vbox_domain_get_info, 0, 0, 0, 0)                                                               \
    X(domain_get_block_info, vbox_domain_get_block_info, 0, 0, 0, 0)                                                   \
    X(domain_block_stats, vbox_domain_block_stats, 0, 0, 0, 0)                                                         \
    X(domain_interface_stats, vbox_domain_interface_stats, 0, 0, 0, 0)                                                 \
    X(domain_memory_stats, vbox_domain_memory_stats, 0, 0, 0, 0)                                                       \
    X(connect_get_all_domain_stats, vbox_connect_get_all_domain_stats, STATS_FLAGS,                                    \
      VIREO_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, 0, 0)                                                                \
    X(domain_get_metadata, vbox_domain_get_metadata, 0, VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0, 0)   \
    X(domain_set_metadata, vbox_domain_set_metadata, VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG, 0,         \
      VIREO_DOMAIN_AFFECT_LIVE, VIREO_DOMAIN_AFFECT_CONFIG)                                                            \
    X(domain_interface_addresses, vbox_domain_interface_addresses, 0, 0, 0, 0)                                         \
    X(domain_screenshot, vbox_domain_screenshot, 0, 0, 0, 0)                                                           \
    X(domain_inject_nmi, vbox_domain_inject_nmi, 0, 0, 0, 0)                                                           \
    X(domain_send_key, vbox_domain_send_key, 0, 0, 0, 0)                                                               \
    X(domain_snapshot_create_xml, vbox_domain_snapshot_create_xml,                                                     \
      VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE | VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY |                                     \
          VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE | VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT |                               \
          VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE,                                                                       \
      VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIREO_DOMAIN_SNAPSHOT_CREATE_ATOMIC,                                  \
      VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE, VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)                                       \
    X(domain_snapshot_get_xml_desc, vbox_domain_snapshot_get_xml_desc, 0, VIREO_DOMAIN_SNAPSHOT_XML_SECURE, 0, 0)      \
    X(domain_revert_to_snapshot, vbox_domain_revert_to_snapshot,                                                       \
      VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING | VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED, VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE,  \
      0, 0)                                                                                                            \
    X(domain_snapshot_delete, vbox_domain_snapshot_delete,                                                             \
      VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN | VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY,                              \
      VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY, 0, 0)                                                                \
    X(network_get_xml_desc, vbox_network_get_xml_desc, 0, VIREO_NETWORK_XML_INACTIVE, 0, 0)                            \
    X(network_define_xml_flags, vbox_network_define_xml_flags, VIREO_NETWORK_DEFINE_VALIDATE, 0, 0, 0)                 \
    X(network_create_xml_flags, vbox_network_create_xml_flags, VIREO_NETWORK_CREATE_VALIDATE, 0, 0, 0)                 \
    X(network_create, vbox_network_create, 0, 0, 0, 0)                                                                 \
    X(network_destroy, vbox_network_destroy, 0, 0, 0, 0)                                                               \
    X(network_undefine, vbox_network_undefine, 0, 0, 0, 0)                                                             \
    X(network_set_autostart, vbox_network_set_autostart, 0, 0, 0, 0)                                                   \
    X(network_get_bridge_name, vbox_network_get_bridge_name, 0, 0, 0, 0)                                               \
    X(network_get_dhcp_leases, vbox_network_get_dhcp_leases, 0, 0, 0, 0)                                               \
    X(storage_pool_list_all_volumes, vbox_storage_pool_list_all_volumes, 0, 0, 0, 0)                                   \
    X(storage_pool_get_info, vbox_storage_pool_get_info, 0, 0, 0, 0)                                                   \
    X(storage_pool_get_xml_desc, vbox_storage_pool_get_xml_desc, 0, VIREO_STORAGE_XML_INACTIVE, 0, 0)                  \
    X(storage_pool_refresh, vbox_storage_pool_refresh, 0, 0, 0, 0)                                                     \
    X(storage_pool_lookup_by_volume, vbox_storage_pool_lookup_by_volume, 0, 0, 0, 0)                                   \
    X(storage_vol_lookup_by_name, vbox_storage_vol_lookup_by_name, 0, 0, 0, 0)                                         \
    X(storage_vol_lookup_by_key, vbox_storage_vol_lookup_by_key, 0, 0, 0, 0)                                           \
    X(storage_vol_lookup_by_path, vbox_storage_vol_lookup_by_path, 0, 0, 0, 0)                                         \
    X(storage_vol_get_path, vbox_storage_vol_get_path, 0, 0, 0, 0)                                                     \
    X(storage_vol_get_info, vbox_storage_vol_get_info, 0, 0, 0, 0)                                                     \
    X(storage_vol_get_info_flags, vbox_storage_vol_get_info_flags, 0, VIREO_STORAGE_VOL_GET_PHYSICAL, 0, 0)            \
    X(storage_vol_get_xml_desc, vbox_storage_vol_get_xml_desc, 0, 0, 0, 0)                                             \
    X(storage_vol_create_xml, vbox_storage_vol_create_xml, VIREO_STORAGE_VOL_CREATE_VALIDATE, 0, 0, 0)                 \
    X(storage_vol_create_xml_from, vbox_storage_vol_create_xml_from, VIREO_STORAGE_VOL_CREATE_VALIDATE, 0, 0, 0)       \
    X(storage_vol_delete, vbox_storage_vol_delete, 0, 0, 0, 0)                                                         \
    X(storage_vol_download, vbox_storage_vol_download, VIREO_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM, 0, 0, 0)               \
    X(storage_vol_upload, vbox_storage_vol_upload, VIREO_STORAGE_VOL_UPLOAD_SPARSE_STREAM, 0, 0, 0)                     \
    X(storage_vol_wipe, vbox_storage_vol_wipe, 0, 0, 0, 0)                                                             \
    X(storage_vol_wipe_pattern, vbox_storage_vol_wipe_pattern, 0, 0, 0, 0)                                             \
    X(storage_vol_resize, vbox_storage_vol_resize, VIREO_STORAGE_VOL_RESIZE_DELTA, 0, 0, 0)

VIREO_DRIVER(vbox, "0.1.0", "vbox", VIREO_PARALLEL, VBOX_OPS, vbox_init, vbox_fini)
