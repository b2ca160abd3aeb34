/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durable state: one file per key below the driver's state directory, replaced atomically. */
#include <errno.h>
#include <string.h>

#include "host/core-private.h"
#include "util/file.h"

#define KEPT "kept" /* folder of the keys, apart from what the driver itself puts in its directory */

/* Letters, digits, '.', '_', '-', with '/' between parts that are neither empty nor start with '.'. */
static gboolean key_is_valid(const char *key)
{
    gboolean start = TRUE;

    for (const char *p = key; *p; p++) {
        if (start && (*p == '.' || *p == '/'))
            return FALSE;
        if (!g_ascii_isalnum(*p) && !strchr("._-/", *p))
            return FALSE;
        start = *p == '/';
    }
    return *key && !start;
}

static char *path_of(vireo_core *core, const char *key)
{
    if (!key_is_valid(key)) {
        errno = EINVAL;
        return NULL;
    }
    return g_build_filename(core->dirs[VIREO_DIR_STATE], KEPT, key, NULL);
}

int vireo_state_save(vireo_core *core, const char *key, const void *data, size_t len)
{
    g_autofree char *path = path_of(core, key);
    g_autofree char *folder = path ? g_path_get_dirname(path) : NULL;

    if (!path)
        return -1;
    if (vireo_file_write(path, data, len, 0600, NULL))
        return 0;
    if (errno != ENOENT || !vireo_file_mkdir(folder, 0700, NULL))
        return -1;
    return vireo_file_write(path, data, len, 0600, NULL) ? 0 : -1;
}

int vireo_state_drop(vireo_core *core, const char *key)
{
    g_autofree char *path = path_of(core, key);

    return path && vireo_file_remove(path, NULL) ? 0 : -1;
}

/* What an interrupted write left behind. */
static gboolean is_temporary(const char *name)
{
    return name[0] == '.';
}

static void walk(const char *folder, const char *key, const char *prefix, vireo_state_fn *fn, void *opaque)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *own = *key ? g_strconcat(key, "/", name, NULL) : g_strdup(name);
        g_autofree char *path = NULL, *data = NULL;
        gsize len;

        if (!g_str_has_prefix(own, prefix) && !g_str_has_prefix(prefix, own))
            continue;
        path = g_build_filename(folder, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            walk(path, own, prefix, fn, opaque);
        else if (g_str_has_prefix(own, prefix) && !is_temporary(name) &&
                 g_file_get_contents(path, &data, &len, NULL))
            fn(own, data, len, opaque);
    }
}

void vireo_state_each(vireo_core *core, const char *prefix, vireo_state_fn *fn, void *opaque)
{
    const char *slash = prefix ? strrchr(prefix, '/') : NULL;
    g_autofree char *key = slash ? g_strndup(prefix, (gsize)(slash - prefix)) : g_strdup("");

    if (!key_is_valid(key))
        *key = 0;
    g_autofree char *folder = g_build_filename(core->dirs[VIREO_DIR_STATE], KEPT, key, NULL);
    walk(folder, key, prefix ? prefix : "", fn, opaque);
}
