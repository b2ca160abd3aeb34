/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of the snapshots of transient domains that ended while nobody looked. Their images stay. */
#include "take.h"

#include <string.h>
#include <unistd.h>

typedef struct {
    QemuSpace *space;
    GPtrArray *keys;
} Sweep;

/* One whose definition cannot be read now may be read another day. */
static gboolean is_known(QemuSpace *space, const char *uuid_text)
{
    g_autofree char *file = g_strconcat(uuid_text, ".xml", NULL);
    g_autofree char *path = g_build_filename(space->config_dir, file, NULL);
    guint8 uuid[16];

    if (!vireo_model_uuid_parse(uuid_text, uuid) || g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    g_autoptr(QemuDomain) dom = qemu_domain_by_uuid(space, uuid);
    return dom != NULL;
}

static void remove_tree(QemuSpace *space, const char *uuid_text)
{
    g_autofree char *folder = g_build_filename(space->snapshot_dir, uuid_text, NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, file, NULL);
        unlink(path);
    }
    rmdir(folder);
}

static void each_key(const char *key, const void *data, size_t len, void *opaque)
{
    Sweep *sweep = opaque;
    const char *slash = strrchr(key, '/');

    if (slash && !is_known(sweep->space, slash + 1))
        g_ptr_array_add(sweep->keys, g_strdup(key));
}

static gboolean is_live(const char *key, GPtrArray *live)
{
    const char *uuid = strrchr(key, '/');

    for (guint i = 0; i < live->len; i++)
        if (g_str_has_suffix(live->pdata[i], uuid))
            return TRUE;
    return FALSE;
}

static GPtrArray *unknown_keys(QemuSpace *space, const char *kind)
{
    g_autofree char *prefix = g_strdup_printf("%s/%s/", kind, space->key);
    Sweep sweep = { space, g_ptr_array_new_with_free_func(g_free) };

    space->driver->host->state_each(space->driver->core, prefix, each_key, &sweep);
    return sweep.keys;
}

void qemu_snapshots_sweep(QemuSpace *space)
{
    static const char *const kinds[] = { "plan", "revert", "quiesced" };
    g_autoptr(GPtrArray) live = unknown_keys(space, "live"); /* runs, but its state cannot be read */
    g_autoptr(GDir) dir = g_dir_open(space->snapshot_dir, 0, NULL);
    const char *name;

    for (guint k = 0; k < G_N_ELEMENTS(kinds); k++) {
        g_autoptr(GPtrArray) keys = unknown_keys(space, kinds[k]);

        for (guint i = 0; i < keys->len; i++)
            if (!is_live(keys->pdata[i], live))
                space->driver->host->state_drop(space->driver->core, keys->pdata[i]);
    }
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *key = g_strconcat("/", name, NULL);

        if (!is_known(space, name) && !is_live(key, live))
            remove_tree(space, name);
    }
}
