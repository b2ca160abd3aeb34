/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one URI shows: its directories and its domains. */
#include "driver.h"

#include <string.h>
#include <sys/stat.h>

#include "blockjob.h"
#include "checkpoint.h"
#include "kit/file.h"
#include "livestate.h"
#include "coalesce.h"
#include "engine.h"
#include "take.h"
#include "snapshot.h"

#define DEFINITION_MAX (4u * 1024 * 1024)

static void space_log(QemuSpace *space, const char *what, const GError *error)
{
    space->driver->host->log(space->driver->core, VIREO_LOG_ERROR, space->uri, "%s: %s", what,
                             error->message);
}

void qemu_space_free(gpointer opaque)
{
    QemuSpace *space = opaque;

    g_hash_table_unref(space->by_name);
    g_hash_table_unref(space->by_uuid);
    g_mutex_clear(&space->lock);
    g_free(space->uri);
    g_free(space->key);
    g_free(space->config_dir);
    g_free(space->snapshot_dir);
    g_free(space->checkpoint_dir);
    g_free(space->save_dir);
    g_free(space->nvram_dir);
    g_free(space->run_dir);
    g_free(space->log_dir);
    g_free(space);
}

/* The root of qemu:///embed?root=PATH, or NULL. */
static char *embed_root(const char *uri)
{
    g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, NULL);
    const char *query = parsed ? g_uri_get_query(parsed) : NULL;
    g_autoptr(GHashTable) params =
        query ? g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL) : NULL;
    const char *root = params ? g_hash_table_lookup(params, "root") : NULL;

    return root && g_path_is_absolute(root) ? g_canonicalize_filename(root, "/") : NULL;
}

static char *dir_below(QemuSpace *space, const char *root, int which, const char *name,
                       const char *sub)
{
    static const char *const embed[] = { "etc/qemu", "lib/qemu", "run/qemu", "log/qemu",
                                         "cache/qemu" };
    QemuDriver *driver = space->driver;
    g_autofree char *base = root ? g_build_filename(root, embed[which], NULL)
                                 : g_build_filename(driver->host->dir(driver->core, which), name,
                                                    NULL);

    return g_build_filename(base, sub, NULL);
}

static gboolean space_dirs(QemuSpace *space, const char *name, const char *root, GError **error)
{
    space->config_dir = dir_below(space, root, VIREO_DIR_CONFIG, name, "domains");
    space->snapshot_dir = dir_below(space, root, VIREO_DIR_STATE, name, "snapshots");
    space->checkpoint_dir = dir_below(space, root, VIREO_DIR_STATE, name, "checkpoints");
    space->save_dir = dir_below(space, root, VIREO_DIR_STATE, name, "save");
    space->nvram_dir = dir_below(space, root, VIREO_DIR_STATE, name, "nvram");
    space->run_dir = dir_below(space, root, VIREO_DIR_RUN, name, "guests");
    space->log_dir = dir_below(space, root, VIREO_DIR_LOG, name, "guests");
    return vireo_file_mkdir(space->config_dir, 0700, error) &&
           vireo_file_mkdir(space->snapshot_dir, 0700, error) &&
           vireo_file_mkdir(space->checkpoint_dir, 0700, error) &&
           vireo_file_mkdir(space->save_dir, 0700, error) &&
           vireo_file_mkdir(space->run_dir, 0700, error) &&
           vireo_file_mkdir(space->log_dir, 0700, error);
}

static void load_definition(QemuSpace *space, const char *file)
{
    g_autofree char *path = g_build_filename(space->config_dir, file, NULL);
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDef) def = NULL;

    if (!vireo_file_read(path, DEFINITION_MAX, &xml, NULL, &error) ||
        !(def = qemu_def_parse(space, xml, QEMU_DEF_TRUSTED, &error))) {
        space_log(space, path, error);
        return;
    }
    g_autoptr(QemuDomain) dom = qemu_domain_new(space, def->doc->uuid, def->doc->name);
    dom->config = qemu_def_ref(def);
    g_autofree char *autostart = qemu_domain_path(dom, space->config_dir, ".autostart");
    g_autofree char *saved = qemu_domain_path(dom, space->save_dir, ".save");
    dom->autostart = g_file_test(autostart, G_FILE_TEST_EXISTS);
    dom->managed_save = g_file_test(saved, G_FILE_TEST_EXISTS);
    if (!qemu_domain_register(dom, &error))
        space_log(space, path, error);
}

static void load_definitions(QemuSpace *space)
{
    g_autoptr(GDir) dir = g_dir_open(space->config_dir, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir)))
        if (g_str_has_suffix(file, ".xml"))
            load_definition(space, file);
}

static QemuSpace *space_new(QemuDriver *driver, const char *uri, const char *name,
                            const char *root, GError **error)
{
    QemuSpace *space = g_new0(QemuSpace, 1);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, uri, -1);

    space->driver = driver;
    space->uri = g_strdup(uri);
    space->key = root ? g_strdup_printf("embed-%.16s", digest) : g_strdup(name);
    space->by_uuid =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)qemu_domain_unref);
    space->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_init(&space->lock);
    if (!space_dirs(space, name, root, error)) {
        qemu_space_free(space);
        return NULL;
    }
    space->published = driver->host->space(driver->core, uri);
    return space;
}

/* What domains that are gone left unmerged. */
static void tell_leftovers(QemuSpace *space)
{
    g_autoptr(GPtrArray) left = qemu_files_unowned(space);

    for (guint i = 0; i < left->len; i++) {
        const QemuLeftover *file = left->pdata[i];

        space->driver->host->log(space->driver->core, VIREO_LOG_INFO, space->uri,
                                 "%s was left by domain '%s' (%s), which is not there any more", file->path,
                                 file->domain ? file->domain : "", file->uuid);
    }
}

static void space_load(QemuSpace *space)
{
    load_definitions(space);
    qemu_live_reattach(space);
    qemu_snapshots_sweep(space);
    g_autoptr(GPtrArray) all = qemu_domain_all(space);
    for (guint i = 0; i < all->len; i++) {
        QemuDomain *dom = all->pdata[i];

        qemu_tree_load(dom);
        qemu_checkpoints_load(dom);
        qemu_revert_recover(dom);
        qemu_work_recover(dom);
        qemu_blockjobs_recover(dom);
        qemu_coalesce_rest(dom);
        qemu_domain_publish_quiet(dom);
        qemu_tree_publish(dom);
        qemu_checkpoints_publish(dom);
    }
    qemu_live_recover_begin(space->driver);
    tell_leftovers(space);
}

QemuSpace *qemu_space_open(QemuDriver *driver, const char *uri, GError **error)
{
    g_autofree char *root = NULL, *canonical = NULL;
    const char *name;

    if (g_str_equal(uri, "qemu:///system")) {
        name = "system";
    } else if (g_str_equal(uri, "qemu:///session")) {
        name = "session";
    } else if (g_str_has_prefix(uri, "qemu:///embed") && (root = embed_root(uri))) {
        name = "embed";
        g_autofree char *escaped = g_uri_escape_string(root, "/", FALSE);
        canonical = g_strdup_printf("qemu:///embed?root=%s", escaped);
    } else {
        qemu_error(error, VIREO_ERR_INVALID_ARG,
                   "unknown QEMU URI '%s': qemu:///system, qemu:///session or "
                   "qemu:///embed?root=ABSOLUTE_PATH", uri);
        return NULL;
    }
    /* Held over the loading of a space: nobody may see half of it. It happens once per space. */
    g_mutex_lock(&driver->lock);
    QemuSpace *space = g_hash_table_lookup(driver->spaces, canonical ? canonical : uri);
    if (!space) {
        space = space_new(driver, canonical ? canonical : uri, name, root, error);
        if (space) {
            space_load(space);
            g_hash_table_insert(driver->spaces, space->uri, space);
        }
    }
    g_mutex_unlock(&driver->lock);
    return space;
}
