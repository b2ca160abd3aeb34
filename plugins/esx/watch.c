/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread for each server: the server tells it what changes, however many machines there are. */
#include "driver.h"

#include "kit/retry.h"

#define WAIT_SECONDS 60

static EsxRef *make_view(EsxServer *server, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    const char *types[] = { "VirtualMachine" };
    VimCreateContainerViewArgs args = { ._this = server->content->view_manager, .container = server->datacenter,
                                        .type = { 1, types }, .recursive = TRUE };
    VimCreateContainerViewRet *ret = vim_create_container_view(server->soap, &args, wait, arena, error);

    return ret ? ret->returnval : NULL;
}

/* Of every machine in the view, those properties. */
static gboolean make_filter(EsxServer *server, EsxRef *collector, EsxRef *view, const VireoHttpWait *wait,
                            VireoArena *arena, GError **error)
{
    VimTraversalSpec traversal = { .base = { .soap.type = &vim_traversal_spec_type, .name = "members" },
                                   .type = "ContainerView", .path = "view" };
    VimSelectionSpec *select[] = { &traversal.base };
    VimObjectSpec object = { .obj = view, .has_skip = TRUE, .skip = TRUE, .select_set = { 1, select } };
    VimObjectSpec *objects[] = { &object };
    VimPropertySpec property = { .type = "VirtualMachine",
                                 .path_set = { esx_inventory_n_paths, (const char **)esx_inventory_paths } };
    VimPropertySpec *properties[] = { &property };
    VimPropertyFilterSpec spec = { .prop_set = { 1, properties }, .object_set = { 1, objects } };
    VimCreateFilterArgs args = { ._this = collector, .spec = &spec };

    return vim_create_filter(server->soap, &args, wait, arena, error) != NULL;
}

/* Of the host and its datastores, whatever says that esx_things_read() would tell something else. */
static gboolean make_host_filter(EsxServer *server, EsxRef *collector, const VireoHttpWait *wait, VireoArena *arena,
                                 GError **error)
{
    const char *host_paths[] = { "datastore", "config.network.vswitch", "config.network.pnic",
                                 "config.storageDevice.hostBusAdapter" };
    const char *store_paths[] = { "summary.name", "summary.accessible" };
    const char *starter_paths[] = { "config" };
    VimTraversalSpec traversal = { .base = { .soap.type = &vim_traversal_spec_type, .name = "stores" },
                                   .type = "HostSystem", .path = "datastore" };
    VimSelectionSpec *select[] = { &traversal.base };
    VimObjectSpec object = { .obj = server->host, .select_set = { 1, select } };
    VimObjectSpec starter = { .obj = server->starter };
    VimObjectSpec *objects[] = { &object, &starter };
    VimPropertySpec host = { .type = "HostSystem", .path_set = { G_N_ELEMENTS(host_paths), host_paths } };
    VimPropertySpec store = { .type = "Datastore", .path_set = { G_N_ELEMENTS(store_paths), store_paths } };
    VimPropertySpec starts = { .type = "HostAutoStartManager", .path_set = { 1, starter_paths } };
    VimPropertySpec *properties[] = { &host, &store, &starts };
    VimPropertyFilterSpec spec = { .prop_set = { server->starter ? 3 : 2, properties },
                                   .object_set = { server->starter ? 2 : 1, objects } };
    VimCreateFilterArgs args = { ._this = collector, .spec = &spec };

    return vim_create_filter(server->soap, &args, wait, arena, error) != NULL;
}

/* What has changed since `version`; *set is NULL when nothing has. */
static gboolean ask(EsxServer *server, EsxRef *collector, const char *version, const VireoHttpWait *wait,
                    VireoArena *arena, VimUpdateSet **set, GError **error)
{
    VimWaitOptions options = { .has_max_wait_seconds = TRUE, .max_wait_seconds = WAIT_SECONDS };
    VimWaitForUpdatesExArgs args = { ._this = collector, .version = version, .options = &options };
    VimWaitForUpdatesExRet *ret = vim_wait_for_updates_ex(server->soap, &args, wait, arena, error);

    *set = ret ? ret->returnval : NULL;
    return ret != NULL;
}

static gboolean is_machine(const VimObjectUpdate *update)
{
    return g_str_equal(update->obj->type, "VirtualMachine");
}

static void collect(GPtrArray *objects, const VimUpdateSet *set, VireoArena *arena)
{
    for (guint i = 0; i < set->filter_set.n; i++)
        for (guint j = 0; j < set->filter_set.items[i]->object_set.n; j++) {
            const VimObjectUpdate *update = set->filter_set.items[i]->object_set.items[j];
            VimObjectContent *content = vireo_arena_alloc(arena, sizeof *content);
            guint n = update->change_set.n;

            if (update->kind != VIM_OBJECT_UPDATE_KIND_ENTER || !is_machine(update))
                continue;
            content->obj = update->obj;
            content->prop_set.items = vireo_arena_alloc(arena, sizeof *content->prop_set.items * (n + 1));
            for (guint k = 0; k < n; k++) {
                VimDynamicProperty *property = vireo_arena_alloc(arena, sizeof *property);

                property->name = update->change_set.items[k]->name;
                property->val = update->change_set.items[k]->val;
                if (property->val)
                    content->prop_set.items[content->prop_set.n++] = property;
            }
            g_ptr_array_add(objects, content);
        }
}

/* The first answers hold everything there is; a server may hand it out in parts. */
static char *take_all(EsxServer *server, EsxRef *collector, gboolean quiet, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GPtrArray) objects = g_ptr_array_new();
    VimUpdateSet *set = NULL;
    const char *version = "";
    guint64 number = vireo_machines_number(server->machines);

    do {
        if (!ask(server, collector, version, wait, arena, &set, error))
            return NULL;
        if (!set)
            break;
        collect(objects, set, arena);
        version = set->version;
    } while (set->has_truncated && set->truncated);
    esx_inventory_set_all(server, number, (VimObjectContent *const *)objects->pdata, objects->len, quiet);
    return g_strdup(version);
}

static void forget(EsxServer *server)
{
    g_autoptr(VireoArena) arena = g_steal_pointer(&server->watch_arena);
    VimDestroyPropertyCollectorArgs args = { ._this = server->collector };
    VireoHttpWait wait = { .timeout_ms = 5000, .cancellable = server->stop };

    if (arena)
        vim_destroy_property_collector(server->soap, &args, &wait, arena, NULL);
    server->collector = NULL;
}

gboolean esx_watch_begin(EsxServer *server, gboolean quiet, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimCreatePropertyCollectorArgs args = { ._this = server->content->property_collector };

    forget(server);
    VimCreatePropertyCollectorRet *made = vim_create_property_collector(server->soap, &args, wait, arena, error);
    EsxRef *view = made ? make_view(server, wait, arena, error) : NULL;
    if (!view || !make_filter(server, made->returnval, view, wait, arena, error) ||
        !make_host_filter(server, made->returnval, wait, arena, error))
        return FALSE;
    server->collector = made->returnval;
    server->watch_arena = g_steal_pointer(&arena);
    char *version = take_all(server, server->collector, quiet, wait, error);
    if (!version)
        return FALSE;
    g_free(server->version);
    server->version = version;
    return TRUE;
}

/* ---- the thread ---------------------------------------------------------------------- */

/* Only who has changed matters: what they are now is read after that, so that what a call has read in the meantime is
 * not put back. */
static gboolean handle(EsxServer *server, const VimUpdateSet *set, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(GHashTable) changed = g_hash_table_new(g_str_hash, g_str_equal);
    gboolean others = FALSE;

    for (guint i = 0; i < set->filter_set.n; i++)
        for (guint j = 0; j < set->filter_set.items[i]->object_set.n; j++) {
            const VimObjectUpdate *update = set->filter_set.items[i]->object_set.items[j];

            if (!is_machine(update))
                others = TRUE;
            else if (update->kind == VIM_OBJECT_UPDATE_KIND_LEAVE) {
                g_hash_table_remove(changed, update->obj->value);
                esx_inventory_left(server, update->obj->value);
            } else
                g_hash_table_insert(changed, (char *)update->obj->value, update->obj);
        }
    guint n = 0;
    g_autofree EsxRef **refs = g_new0(EsxRef *, g_hash_table_size(changed) + 1);
    GHashTableIter iter;
    gpointer ref;
    g_hash_table_iter_init(&iter, changed);
    while (g_hash_table_iter_next(&iter, NULL, &ref))
        refs[n++] = ref;
    return (n == 0 || esx_inventory_read(server, refs, n, wait, error)) &&
           (!others || (esx_things_read(server, FALSE, wait, error) && esx_autostart_read(server, wait, error)));
}

static gboolean watch_once(EsxServer *server, GError **error)
{
    VireoHttpWait wait = { .timeout_ms = (WAIT_SECONDS + 30) * 1000, .cancellable = server->stop };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimUpdateSet *set;

    if (!server->collector &&
        (!esx_watch_begin(server, FALSE, &wait, error) || !esx_things_read(server, FALSE, &wait, error) ||
         !esx_autostart_read(server, &wait, error)))
        return FALSE;
    if (!ask(server, server->collector, server->version, &wait, arena, &set, error))
        return FALSE;
    if (!set)
        return TRUE;
    g_free(server->version);
    server->version = g_strdup(set->version);
    return handle(server, set, &wait, error);
}

static int stopped(void *opaque)
{
    return g_cancellable_is_cancelled(opaque);
}

static gpointer watch(gpointer opaque)
{
    EsxServer *server = opaque;
    VireoRetry retry = { .first_ms = 500, .most_ms = 30000, .cancelled = stopped, .opaque = server->stop };

    while (!stopped(server->stop)) {
        g_autoptr(GError) error = NULL;

        if (watch_once(server, &error)) {
            vireo_retry_reset(&retry);
            continue;
        }
        if (stopped(server->stop))
            break;
        server->driver->host->log(server->driver->core, VIREO_LOG_WARNING, server->uri->text,
                                  "changes are not seen for a while: %s", error->message);
        forget(server);
        vireo_retry_again(&retry);
    }
    return NULL;
}

void esx_watch_start(EsxServer *server)
{
    server->watcher = g_thread_new("esx-watch", watch, server);
}

void esx_watch_stop(EsxServer *server)
{
    g_cancellable_cancel(server->stop);
    if (server->watcher)
        g_thread_join(g_steal_pointer(&server->watcher));
}
