/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations this driver serves, each with its flags. From this list come the prototypes, the
 * entry functions and the module's table. */

#include "driver.h"

guint test_uuid_hash(gconstpointer uuid);
gboolean test_uuid_equal(gconstpointer a, gconstpointer b);

#define LIVE    VIREO_DOMAIN_AFFECT_LIVE
#define CONFIG  VIREO_DOMAIN_AFFECT_CONFIG
#define F(name) VIREO_DOMAIN_##name

#define TEST_CREATE_FLAGS                                                                          \
    F(SNAPSHOT_CREATE_REDEFINE) | F(SNAPSHOT_CREATE_CURRENT) | F(SNAPSHOT_CREATE_NO_METADATA) |    \
        F(SNAPSHOT_CREATE_HALT) | F(SNAPSHOT_CREATE_DISK_ONLY) | F(SNAPSHOT_CREATE_REUSE_EXT) |    \
        F(SNAPSHOT_CREATE_QUIESCE) | F(SNAPSHOT_CREATE_LIVE) | F(SNAPSHOT_CREATE_VALIDATE)

/* M(X, shape, operation, native, trivial, active, inactive). Shape: which of args and ret there are
 * (AR, A, R, N), and D or S in front when args begin with a domain, snapshot or checkpoint. */
#define TEST_CONNECT_OPS(M, X)                                                                     \
    M(X, N, conn_close, 0, 0, 0, 0)                                                                \
    M(X, R, connect_get_type, 0, 0, 0, 0)                                                          \
    M(X, R, connect_get_version, 0, 0, 0, 0)                                                       \
    M(X, AR, connect_get_max_vcpus, 0, 0, 0, 0)                                                    \
    M(X, R, connect_get_capabilities, 0, 0, 0, 0)                                                  \
    M(X, AR, connect_get_domain_capabilities, 0, 0, 0, 0)                                          \
    M(X, AR, connect_get_all_domain_stats,                                                         \
      VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS | TEST_STATS_FILTERS,                      \
      VIREO_CONNECT_GET_ALL_DOMAINS_STATS_BACKING | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, 0, \
      0)                                                                                           \
    M(X, R, node_get_info, 0, 0, 0, 0)                                                             \
    M(X, AR, node_get_cells_free_memory, 0, 0, 0, 0)                                               \
    M(X, R, node_get_free_memory, 0, 0, 0, 0)                                                      \
    M(X, AR, node_get_cpu_stats, 0, 0, 0, 0)                                                       \
    M(X, AR, node_get_memory_stats, 0, 0, 0, 0)                                                    \
    M(X, AR, node_get_cpu_map, 0, 0, 0, 0)                                                         \
    M(X, AR, node_get_free_pages, 0, 0, 0, 0)

#define TEST_STATS_FILTERS                                                                         \
    VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE |    \
        VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT |                                           \
        VIREO_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT |                                            \
        VIREO_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED | \
        VIREO_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIREO_CONNECT_GET_ALL_DOMAINS_STATS_OTHER

#define TEST_LIFE_OPS(M, X)                                                                        \
    M(X, AR, domain_define_xml_flags, F(DEFINE_VALIDATE), 0, 0, 0)                                 \
    M(X, AR, domain_create_xml, F(START_PAUSED) | F(START_AUTODESTROY) | F(START_VALIDATE),        \
      F(START_BYPASS_CACHE) | F(START_FORCE_BOOT), 0, 0)                                           \
    M(X, AR, domain_create_xml_with_files,                                                         \
      F(START_PAUSED) | F(START_AUTODESTROY) | F(START_VALIDATE),                                  \
      F(START_BYPASS_CACHE) | F(START_FORCE_BOOT), 0, 0)                                           \
    M(X, DAR, domain_create_with_flags,                                                            \
      F(START_PAUSED) | F(START_AUTODESTROY) | F(START_FORCE_BOOT) | F(START_RESET_NVRAM),         \
      F(START_BYPASS_CACHE), 0, 0)                                                                 \
    M(X, DAR, domain_create_with_files,                                                            \
      F(START_PAUSED) | F(START_AUTODESTROY) | F(START_FORCE_BOOT) | F(START_RESET_NVRAM),         \
      F(START_BYPASS_CACHE), 0, 0)                                                                 \
    M(X, DA, domain_undefine_flags,                                                                \
      F(UNDEFINE_MANAGED_SAVE) | F(UNDEFINE_SNAPSHOTS_METADATA) |                                  \
          F(UNDEFINE_CHECKPOINTS_METADATA),                                                        \
      F(UNDEFINE_NVRAM) | F(UNDEFINE_TPM), 0, 0)                                                   \
    M(X, DAR, domain_get_xml_desc, F(XML_SECURE) | F(XML_INACTIVE) | F(XML_MIGRATABLE),            \
      F(XML_UPDATE_CPU), 0, 0)                                                                     \
    M(X, DAR, domain_rename, 0, 0, 0, 0)                                                           \
    M(X, DA, domain_set_autostart, 0, 0, 0, 0)                                                     \
    M(X, DA, domain_set_autostart_once, 0, 0, 0, 0)                                                \
    M(X, DAR, domain_get_autostart_once, 0, 0, 0, 0)                                               \
    M(X, DA, domain_destroy_flags, 0, F(DESTROY_GRACEFUL) | F(DESTROY_REMOVE_LOGS), 0, 0)          \
    M(X, DA, domain_shutdown_flags, F(SHUTDOWN_GUEST_AGENT), F(SHUTDOWN_ACPI_POWER_BTN),           \
      F(SHUTDOWN_GUEST_AGENT), 0)                                                                  \
    M(X, DA, domain_reboot, F(REBOOT_GUEST_AGENT), F(REBOOT_ACPI_POWER_BTN),                       \
      F(REBOOT_GUEST_AGENT), 0)                                                                    \
    M(X, DA, domain_reset, 0, 0, 0, 0)                                                             \
    M(X, DA, domain_suspend, 0, 0, 0, 0)                                                           \
    M(X, DA, domain_resume, 0, 0, 0, 0)                                                            \
    M(X, DA, domain_pm_suspend_for_duration, 0, 0, 0, 0)                                           \
    M(X, DA, domain_pm_wakeup, 0, 0, 0, 0)                                                         \
    M(X, DA, domain_managed_save, F(SAVE_RUNNING) | F(SAVE_PAUSED), F(SAVE_BYPASS_CACHE), 0, 0)    \
    M(X, DA, domain_managed_save_remove, 0, 0, 0, 0)                                               \
    M(X, DAR, domain_managed_save_get_xml_desc, F(SAVE_IMAGE_XML_SECURE), 0, 0, 0)                 \
    M(X, DA, domain_managed_save_define_xml, F(SAVE_RUNNING) | F(SAVE_PAUSED), 0, 0, 0)            \
    M(X, DA, domain_save_flags, F(SAVE_RUNNING) | F(SAVE_PAUSED), F(SAVE_BYPASS_CACHE), 0, 0)      \
    M(X, A, domain_restore_flags, F(SAVE_RUNNING) | F(SAVE_PAUSED), F(SAVE_BYPASS_CACHE), 0, 0)    \
    M(X, AR, domain_save_image_get_xml_desc, F(SAVE_IMAGE_XML_SECURE), 0, 0, 0)                    \
    M(X, A, domain_save_image_define_xml, F(SAVE_RUNNING) | F(SAVE_PAUSED), 0, 0, 0)               \
    M(X, DA, domain_core_dump_with_format, VIREO_DUMP_CRASH | VIREO_DUMP_LIVE | VIREO_DUMP_RESET,  \
      VIREO_DUMP_BYPASS_CACHE | VIREO_DUMP_MEMORY_ONLY, 0, 0)

#define TEST_RESOURCE_OPS(M, X)                                                                    \
    M(X, DAR, domain_get_info, 0, 0, 0, 0)                                                         \
    M(X, DA, domain_set_memory_flags, LIVE | CONFIG | F(MEM_MAXIMUM), 0, LIVE, 0)                  \
    M(X, DA, domain_set_memory_stats_period, LIVE | CONFIG, 0, LIVE, 0)                            \
    M(X, DA, domain_set_vcpus_flags, LIVE | CONFIG | F(VCPU_MAXIMUM), F(VCPU_HOTPLUGGABLE), LIVE,  \
      0)                                                                                           \
    M(X, DAR, domain_get_vcpus_flags, LIVE | CONFIG | F(VCPU_MAXIMUM), 0, LIVE, 0)                 \
    M(X, DAR, domain_get_vcpus, 0, 0, 0, 0)                                                        \
    M(X, DA, domain_pin_vcpu_flags, LIVE | CONFIG, 0, LIVE, 0)                                     \
    M(X, DAR, domain_get_vcpu_pin_info, LIVE | CONFIG, 0, LIVE, 0)                                 \
    M(X, DA, domain_pin_emulator, LIVE | CONFIG, 0, LIVE, 0)                                       \
    M(X, DAR, domain_get_emulator_pin_info, LIVE | CONFIG, 0, LIVE, 0)                             \
    M(X, DAR, domain_get_scheduler_type, 0, 0, 0, 0)                                               \
    M(X, DAR, domain_get_scheduler_parameters_flags, LIVE | CONFIG, VIREO_TYPED_PARAM_STRING_OKAY, \
      LIVE, 0)                                                                                     \
    M(X, DA, domain_set_scheduler_parameters_flags, LIVE | CONFIG, 0, LIVE, 0)                     \
    M(X, DAR, domain_get_memory_parameters, LIVE | CONFIG, VIREO_TYPED_PARAM_STRING_OKAY, LIVE, 0) \
    M(X, DA, domain_set_memory_parameters, LIVE | CONFIG, 0, LIVE, 0)                              \
    M(X, DA, domain_set_metadata, LIVE | CONFIG, 0, LIVE, 0)                                       \
    M(X, DAR, domain_get_metadata, LIVE | CONFIG, 0, LIVE, 0)                                      \
    M(X, DA, domain_set_lifecycle_action, LIVE | CONFIG, 0, LIVE, 0)                               \
    M(X, DAR, domain_memory_stats, 0, 0, 0, 0)                                                     \
    M(X, DAR, domain_block_stats_flags, 0, VIREO_TYPED_PARAM_STRING_OKAY, 0, 0)                    \
    M(X, DAR, domain_interface_stats, 0, 0, 0, 0)                                                  \
    M(X, DAR, domain_get_cpu_stats, 0, VIREO_TYPED_PARAM_STRING_OKAY, 0, 0)                        \
    M(X, DAR, domain_get_block_info, 0, 0, 0, 0)                                                   \
    M(X, DAR, domain_get_disk_errors, 0, 0, 0, 0)                                                  \
    M(X, DAR, domain_get_job_stats, F(JOB_STATS_COMPLETED) | F(JOB_STATS_KEEP_COMPLETED), 0, 0, 0) \
    M(X, DA, domain_abort_job_flags, 0, 0, 0, 0)                                                   \
    M(X, DAR, domain_get_control_info, 0, 0, 0, 0)

#define TEST_DEVICE_OPS(M, X)                                                                      \
    M(X, DA, domain_attach_device_flags, LIVE | CONFIG, 0, LIVE, 0)                                \
    M(X, DA, domain_detach_device_flags, LIVE | CONFIG, 0, LIVE, 0)                                \
    M(X, DA, domain_update_device_flags, LIVE | CONFIG, F(DEVICE_MODIFY_FORCE), LIVE, 0)           \
    M(X, DA, domain_detach_device_alias, LIVE | CONFIG, 0, LIVE, 0)                                \
    M(X, DA, domain_open_console, F(CONSOLE_FORCE), F(CONSOLE_SAFE), 0, 0)                         \
    M(X, DAR, domain_screenshot, 0, 0, 0, 0)                                                       \
    M(X, DA, domain_open_graphics, 0, F(OPEN_GRAPHICS_SKIPAUTH), 0, 0)                             \
    M(X, DA, domain_open_graphics_fd, 0, F(OPEN_GRAPHICS_SKIPAUTH), 0, 0)                          \
    M(X, DA, domain_fd_associate,                                                                  \
      F(FD_ASSOCIATE_SECLABEL_RESTORE) | F(FD_ASSOCIATE_SECLABEL_WRITABLE), 0, 0, 0)               \
    M(X, DAR, domain_memory_peek, VIREO_MEMORY_PHYSICAL, VIREO_MEMORY_VIRTUAL, 0, 0)               \
    M(X, DAR, domain_block_peek, 0, 0, 0, 0)

#define TEST_GUEST_OPS(M, X)                                                                       \
    M(X, DA, domain_send_key, 0, 0, 0, 0)                                                          \
    M(X, DA, domain_inject_nmi, 0, 0, 0, 0)                                                        \
    M(X, DA, domain_send_process_signal, 0, 0, 0, 0)                                               \
    M(X, DAR, domain_get_hostname, F(GET_HOSTNAME_AGENT), F(GET_HOSTNAME_LEASE), 0, 0)             \
    M(X, DAR, domain_get_time, 0, 0, 0, 0)                                                         \
    M(X, DA, domain_set_time, F(TIME_SYNC), 0, 0, 0)                                               \
    M(X, DAR, domain_fsfreeze, 0, 0, 0, 0)                                                         \
    M(X, DAR, domain_fsthaw, 0, 0, 0, 0)                                                           \
    M(X, DA, domain_fstrim, 0, 0, 0, 0)                                                            \
    M(X, DAR, domain_get_fsinfo, 0, 0, 0, 0)                                                       \
    M(X, DAR, domain_get_guest_info, 0, 0, 0, 0)                                                   \
    M(X, DA, domain_set_user_password, F(PASSWORD_ENCRYPTED), 0, F(PASSWORD_ENCRYPTED), 0)         \
    M(X, DAR, domain_authorized_ssh_keys_get, 0, 0, 0, 0)                                          \
    M(X, DA, domain_authorized_ssh_keys_set,                                                       \
      F(AUTHORIZED_SSH_KEYS_SET_APPEND) | F(AUTHORIZED_SSH_KEYS_SET_REMOVE), 0, 0, 0)              \
    M(X, DAR, domain_interface_addresses, 0, 0, 0, 0)

#define TEST_MOMENT_OPS(M, X)                                                                      \
    M(X, DAR, domain_snapshot_create_xml, TEST_CREATE_FLAGS, F(SNAPSHOT_CREATE_ATOMIC),            \
      F(SNAPSHOT_CREATE_QUIESCE) | F(SNAPSHOT_CREATE_LIVE), 0)                                     \
    M(X, SAR, domain_snapshot_get_xml_desc, F(SNAPSHOT_XML_SECURE), 0, 0, 0)                       \
    M(X, SA, domain_snapshot_delete,                                                               \
      F(SNAPSHOT_DELETE_CHILDREN) | F(SNAPSHOT_DELETE_METADATA_ONLY) |                             \
          F(SNAPSHOT_DELETE_CHILDREN_ONLY),                                                        \
      0, 0, 0)                                                                                     \
    M(X, SA, domain_revert_to_snapshot,                                                            \
      F(SNAPSHOT_REVERT_RUNNING) | F(SNAPSHOT_REVERT_PAUSED) | F(SNAPSHOT_REVERT_FORCE) |          \
          F(SNAPSHOT_REVERT_RESET_NVRAM),                                                          \
      0, 0, 0)                                                                                     \
    M(X, DAR, domain_checkpoint_create_xml,                                                        \
      F(CHECKPOINT_CREATE_REDEFINE) | F(CHECKPOINT_CREATE_QUIESCE) |                               \
          F(CHECKPOINT_CREATE_REDEFINE_VALIDATE),                                                  \
      0, F(CHECKPOINT_CREATE_QUIESCE), 0)                                                          \
    M(X, CAR, domain_checkpoint_get_xml_desc,                                                      \
      F(CHECKPOINT_XML_SECURE) | F(CHECKPOINT_XML_NO_DOMAIN) | F(CHECKPOINT_XML_SIZE), 0,          \
      F(CHECKPOINT_XML_SIZE), 0)                                                                   \
    M(X, CA, domain_checkpoint_delete,                                                             \
      F(CHECKPOINT_DELETE_CHILDREN) | F(CHECKPOINT_DELETE_METADATA_ONLY) |                         \
          F(CHECKPOINT_DELETE_CHILDREN_ONLY),                                                      \
      0, 0, 0)

/* All but conn_open, whose first parameter is not a connection. */
#define TEST_OPS(M, X)                                                                             \
    TEST_CONNECT_OPS(M, X)                                                                         \
    TEST_LIFE_OPS(M, X)                                                                            \
    TEST_RESOURCE_OPS(M, X)                                                                        \
    TEST_DEVICE_OPS(M, X)                                                                          \
    TEST_GUEST_OPS(M, X)                                                                           \
    TEST_MOMENT_OPS(M, X)

#define TEST_DECLARE_N(op) int test_##op(TestConn *, vireo_call *);
#define TEST_DECLARE_R(op) int test_##op(TestConn *, vireo_call *, vireo_##op##_ret *);
#define TEST_DECLARE_A(op) int test_##op(TestConn *, vireo_call *, const vireo_##op##_args *);
#define TEST_DECLARE_AR(op)                                                                        \
    int test_##op(TestConn *, vireo_call *, const vireo_##op##_args *, vireo_##op##_ret *);
#define TEST_DECLARE_DA                                TEST_DECLARE_A
#define TEST_DECLARE_SA                                TEST_DECLARE_A
#define TEST_DECLARE_CA                                TEST_DECLARE_A
#define TEST_DECLARE_DAR                               TEST_DECLARE_AR
#define TEST_DECLARE_SAR                               TEST_DECLARE_AR
#define TEST_DECLARE_CAR                               TEST_DECLARE_AR
#define TEST_DECLARE(X, shape, op, nat, tri, act, ina) TEST_DECLARE_##shape(op)

TEST_OPS(TEST_DECLARE, 0)
int test_conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args,
                   vireo_conn_open_ret *ret);
int test_conn_narrow(void *conn, vireo_call *call, vireo_conn_narrow_ret *ret);
