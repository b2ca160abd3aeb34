/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Machines that start with their host: a list of the host's, and whether it is heeded at all. */
#include "ops.h"

static VimHostAutoStartManagerConfig *read_config(EsxServer *server, const VireoHttpWait *wait, VireoArena *arena,
                                                  GError **error)
{
    static const char *const paths[] = { "config" };
    VimObjectContent *found = esx_properties_of(server, server->starter, paths, 1, wait, arena, error);
    VimHostAutoStartManagerConfig *config =
        found ? vireo_soap_value_struct(esx_property(found, "config"), &vim_host_auto_start_manager_config_type) : NULL;

    if (found && !config)
        config = vireo_arena_alloc(arena, sizeof *config);
    return config;
}

static gboolean starts(const VimAutoStartPowerInfo *info)
{
    return g_ascii_strcasecmp(info->start_action, "powerOn") == 0;
}

static gboolean is_heeded(const VimHostAutoStartManagerConfig *config)
{
    return config->defaults && config->defaults->has_enabled && config->defaults->enabled;
}

static void take(EsxServer *server, const VimHostAutoStartManagerConfig *config)
{
    GHashTable *values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; is_heeded(config) && i < config->power_info.n; i++)
        if (starts(config->power_info.items[i]))
            g_hash_table_add(values, g_strdup(config->power_info.items[i]->key->value));
    esx_inventory_set_autostart(server, values);
}

gboolean esx_autostart_find(EsxServer *server, const VireoHttpWait *wait, GError **error)
{
    static const char *const paths[] = { "configManager.autoStartManager" };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimObjectContent *host = esx_properties_of(server, server->host, paths, 1, wait, arena, error);
    EsxRef *starter = host ? esx_property_ref(host, paths[0]) : NULL;

    server->starter = starter ? esx_ref_in(server->arena, starter) : NULL;
    VimHostAutoStartManagerConfig *config = starter ? read_config(server, wait, arena, NULL) : NULL;
    if (config)
        take(server, config);
    else
        server->starter = NULL; /* one that names it and does not have it */
    return host != NULL;
}

gboolean esx_autostart_read(EsxServer *server, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimHostAutoStartManagerConfig *config = server->starter ? read_config(server, wait, arena, error) : NULL;

    if (config)
        take(server, config);
    return config || !server->starter;
}

/* Heeding the list would start these as well; NULL: nobody. */
static const char *another(const VimHostAutoStartManagerConfig *config, const EsxRef *machine)
{
    for (guint i = 0; i < config->power_info.n; i++)
        if (starts(config->power_info.items[i]) && !g_str_equal(config->power_info.items[i]->key->value, machine->value))
            return config->power_info.items[i]->key->value;
    return NULL;
}

static gboolean change(EsxServer *server, EsxRef *machine, gboolean start, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimAutoStartDefaults heed = { .has_enabled = TRUE, .enabled = TRUE };
    VimAutoStartPowerInfo info = { .key = machine, .start_order = -1, .start_delay = -1, .wait_for_heartbeat = "systemDefault",
                                   .start_action = start ? "powerOn" : "none", .stop_delay = -1,
                                   .stop_action = "systemDefault" };
    VimAutoStartPowerInfo *infos[] = { &info };
    VimHostAutoStartManagerConfig spec = { .power_info = { 1, infos } };
    VimReconfigureAutostartArgs args = { ._this = server->starter, .spec = &spec };
    VimHostAutoStartManagerConfig *config = read_config(server, wait, arena, error);

    if (!config)
        return FALSE;
    if (start && !is_heeded(config)) {
        if (another(config, machine)) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID,
                        "the host starts no machine by itself; if it did, %s would start, too: enable that on the host first",
                        another(config, machine));
            return FALSE;
        }
        spec.defaults = &heed;
    }
    return vim_reconfigure_autostart(server->soap, &args, wait, arena, error) != NULL;
}

int esx_domain_set_autostart(void *handle, vireo_call *call, const vireo_domain_set_autostart_args *args)
{
    EsxConn *conn = handle;
    EsxServer *server = conn->server;
    EsxRef *machine = esx_machine_ref(conn, call, &args->dom);
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;

    if (!machine)
        return VIREO_FAIL;
    if (!server->starter)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED, "this server has nothing that starts machines");
    if (!change(server, machine, args->autostart != 0, &wait, &error) || !esx_autostart_read(server, &wait, &error))
        return esx_fail(conn->driver, call, error);
    return VIREO_OK;
}
