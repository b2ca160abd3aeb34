/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the esx driver, its start and its end. */
#include "ops.h"

static const struct vireo_host *services;

int esx_call_cancelled(void *call)
{
    return services->cancelled(call);
}

static int esx_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    EsxDriver *driver = g_new0(EsxDriver, 1);

    services = host;
    driver->host = host;
    driver->core = core;
    g_mutex_init(&driver->lock);
    g_cond_init(&driver->opened);
    driver->servers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    driver->all = g_hash_table_new(NULL, NULL);
    *self = driver;
    return VIREO_OK;
}

static void esx_fini(void *self)
{
    EsxDriver *driver = self;

    if (!driver)
        return;
    esx_servers_end(driver);
    g_hash_table_unref(driver->servers);
    g_hash_table_unref(driver->all);
    vireo_model_path_set_free(driver->honoured);
    g_cond_clear(&driver->opened);
    g_mutex_clear(&driver->lock);
    g_free(driver);
}

/* operation, function, native, trivial, needs active, needs inactive; why a flag is trivial is said in esx.rst */
#define ESX_OPS(X)                                                                                 \
    X(conn_open, esx_conn_open, 0, 0, 0, 0)                                                        \
    X(conn_close, esx_conn_close, 0, 0, 0, 0)                                                      \
    X(connect_get_type, esx_connect_get_type, 0, 0, 0, 0)                                          \
    X(connect_get_version, esx_connect_get_version, 0, 0, 0, 0)                                    \
    X(connect_get_hostname, esx_connect_get_hostname, 0, 0, 0, 0)                                  \
    X(connect_is_secure, esx_connect_is_secure, 0, 0, 0, 0)                                        \
    X(connect_get_max_vcpus, esx_connect_get_max_vcpus, 0, 0, 0, 0)                                \
    X(connect_get_capabilities, esx_connect_get_capabilities, 0, 0, 0, 0)                          \
    X(node_get_info, esx_node_get_info, 0, 0, 0, 0)                                                \
    X(node_get_free_memory, esx_node_get_free_memory, 0, 0, 0, 0)                                  \
    X(domain_get_xml_desc, esx_domain_get_xml_desc, VIREO_DOMAIN_XML_INACTIVE,                     \
      VIREO_DOMAIN_XML_SECURE | VIREO_DOMAIN_XML_UPDATE_CPU, 0, 0)                                 \
    X(domain_create_with_flags, esx_domain_create_with_flags, 0, 0, 0, 0)                          \
    X(domain_destroy_flags, esx_domain_destroy_flags, 0, 0, 0, 0)                                  \
    X(domain_shutdown_flags, esx_domain_shutdown_flags, 0, 0, 0, 0)                                \
    X(domain_reboot, esx_domain_reboot, 0, 0, 0, 0)                                                \
    X(domain_reset, esx_domain_reset, 0, 0, 0, 0)                                                  \
    X(domain_suspend, esx_domain_suspend, 0, 0, 0, 0)                                              \
    X(domain_resume, esx_domain_resume, 0, 0, 0, 0)

VIREO_DRIVER(esx, "0.1.0", "esx vpx", VIREO_PARALLEL, ESX_OPS, esx_init, esx_fini)
