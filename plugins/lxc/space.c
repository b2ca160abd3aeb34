/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one URI shows: its directories and its domains. */
#include "driver.h"

#include <errno.h>
#include <sys/stat.h>

#include "kit/file.h"
#include "process.h"
#include "save.h"
#include "snapshot.h"

#define DEFINITION_MAX (4u * 1024 * 1024)

void lxc_space_free(gpointer opaque)
{
    LxcSpace *space = opaque;

    g_hash_table_unref(space->by_name);
    g_hash_table_unref(space->by_uuid);
    g_mutex_clear(&space->lock);
    g_free(space->uri);
    g_free(space->config_dir);
    g_free(space->state_dir);
    g_free(space->snapshot_dir);
    g_free(space->save_dir);
    g_free(space->run_dir);
    g_free(space->log_dir);
    g_free(space);
}

/* The root of lxc:///embed?root=PATH, or NULL. */
static char *embed_root(const char *uri)
{
    g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, NULL);
    const char *query = parsed ? g_uri_get_query(parsed) : NULL;
    g_autoptr(GHashTable) params = query ? g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL) : NULL;
    const char *root = params ? g_hash_table_lookup(params, "root") : NULL;

    return root && g_path_is_absolute(root) ? g_canonicalize_filename(root, "/") : NULL;
}

static char *dir_below(LxcSpace *space, const char *root, int which, const char *name, const char *sub)
{
    static const char *const embed[] = { "etc/lxc", "lib/lxc", "run/lxc", "log/lxc" };
    const char *own = space->driver->host->dir(space->driver->core, which);

    return root ? g_build_filename(root, embed[which], sub, NULL) : g_build_filename(own, name, sub, NULL);
}

/* The root of a container with ids of its own is somebody else here, and has to come by: what is below stays closed. */
static gboolean open_way(const char *root, const char *own, GError **error)
{
    if (root || chmod(own, 0711) == 0)
        return TRUE;
    lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "%s: %s", own, g_strerror(errno));
    return FALSE;
}

static gboolean space_dirs(LxcSpace *space, const char *name, const char *root, GError **error)
{
    space->config_dir = dir_below(space, root, VIREO_DIR_CONFIG, name, "domains");
    space->state_dir = dir_below(space, root, VIREO_DIR_STATE, name, "containers");
    space->snapshot_dir = dir_below(space, root, VIREO_DIR_STATE, name, "snapshots");
    space->save_dir = dir_below(space, root, VIREO_DIR_STATE, name, "saved");
    space->run_dir = dir_below(space, root, VIREO_DIR_RUN, name, "containers");
    space->log_dir = dir_below(space, root, VIREO_DIR_LOG, name, "containers");
    return vireo_file_mkdir(space->config_dir, 0700, error) && vireo_file_mkdir(space->state_dir, 0711, error) &&
           vireo_file_mkdir(space->snapshot_dir, 0700, error) && vireo_file_mkdir(space->save_dir, 0700, error) &&
           vireo_file_mkdir(space->run_dir, 0711, error) &&
           vireo_file_mkdir(space->log_dir, 0700, error) &&
           open_way(root, space->driver->host->dir(space->driver->core, VIREO_DIR_RUN), error) &&
           open_way(root, space->driver->host->dir(space->driver->core, VIREO_DIR_STATE), error);
}

static void load_definition(LxcSpace *space, const char *file)
{
    g_autofree char *path = g_build_filename(space->config_dir, file, NULL), *xml = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(LxcDef) def = NULL;

    if (vireo_file_read(path, DEFINITION_MAX, &xml, NULL, &error))
        def = lxc_def_parse(space->driver, xml, LXC_DEF_TRUSTED, &error);
    if (def) {
        g_autoptr(LxcDomain) dom = lxc_domain_new(space, def->doc->uuid, def->doc->name);
        g_autofree char *autostart = lxc_domain_path(dom, space->config_dir, ".autostart");

        dom->config = lxc_def_ref(def);
        dom->autostart = g_file_test(autostart, G_FILE_TEST_EXISTS);
        dom->managed_save = lxc_managed_is_there(dom);
        lxc_domain_register(dom, &error);
    }
    if (error)
        space->driver->host->log(space->driver->core, VIREO_LOG_ERROR, space->uri, "%s: %s", path, error->message);
}

static void space_load(LxcSpace *space)
{
    g_autoptr(GDir) dir = g_dir_open(space->config_dir, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir)))
        if (g_str_has_suffix(file, ".xml"))
            load_definition(space, file);
    lxc_live_reattach(space);
    g_autoptr(GPtrArray) all = lxc_domain_all(space);
    for (guint i = 0; i < all->len; i++) {
        lxc_domain_publish_quiet(all->pdata[i]);
        lxc_snapshots_attach(all->pdata[i]);
    }
}

static LxcSpace *space_new(LxcDriver *driver, const char *uri, const char *name, const char *root, GError **error)
{
    LxcSpace *space = g_new0(LxcSpace, 1);

    space->driver = driver;
    space->uri = g_strdup(uri);
    space->by_uuid = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)lxc_domain_unref);
    space->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_init(&space->lock);
    if (!space_dirs(space, name, root, error)) {
        lxc_space_free(space);
        return NULL;
    }
    space->published = driver->host->space(driver->core, uri);
    return space;
}

LxcSpace *lxc_space_open(LxcDriver *driver, const char *uri, GError **error)
{
    g_autofree char *root = NULL, *canonical = NULL;

    if (g_str_equal(uri, "lxc:///") || g_str_equal(uri, "lxc:///system")) {
        canonical = g_strdup("lxc:///system");
    } else if (g_str_has_prefix(uri, "lxc:///embed") && (root = embed_root(uri))) {
        g_autofree char *escaped = g_uri_escape_string(root, "/", FALSE);
        canonical = g_strdup_printf("lxc:///embed?root=%s", escaped);
    } else {
        lxc_error(error, VIREO_ERR_INVALID_ARG,
                  "unknown LXC URI '%s': lxc:///system or lxc:///embed?root=ABSOLUTE_PATH", uri);
        return NULL;
    }
    /* Held over the loading of a space: nobody may see half of it. It happens once per space. */
    g_mutex_lock(&driver->lock);
    LxcSpace *space = g_hash_table_lookup(driver->spaces, canonical);
    if (!space) {
        space = space_new(driver, canonical, root ? "embed" : "system", root, error);
        if (space) {
            g_hash_table_insert(driver->spaces, space->uri, space);
            space_load(space);
        }
    }
    g_mutex_unlock(&driver->lock);
    return space;
}
