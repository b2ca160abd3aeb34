/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot_gone.h"

#include "kit/json.h"

#define STRUCK "/" /* no snapshot is called that */

struct QemuGone {
    GHashTable *parents; /* name -> the parent it had, "": none */
    GHashTable *stale;   /* child -> whom its file names */
    GHashTable *struck;  /* set of names */
};

static GHashTable *names(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void copy_names(GHashTable *to, GHashTable *from)
{
    GHashTableIter iter;
    gpointer name, value;

    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &name, &value))
        g_hash_table_insert(to, g_strdup(name), g_strdup(value));
}

QemuGone *qemu_gone_new(void)
{
    QemuGone *gone = g_new0(QemuGone, 1);

    gone->parents = names();
    gone->stale = names();
    gone->struck = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return gone;
}

QemuGone *qemu_gone_copy(const QemuGone *gone)
{
    QemuGone *copy = qemu_gone_new();
    GHashTableIter iter;
    gpointer name;

    copy_names(copy->parents, gone->parents);
    copy_names(copy->stale, gone->stale);
    g_hash_table_iter_init(&iter, gone->struck);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        qemu_gone_strike(copy, name);
    return copy;
}

void qemu_gone_free(QemuGone *gone)
{
    if (!gone)
        return;
    g_hash_table_unref(gone->parents);
    g_hash_table_unref(gone->stale);
    g_hash_table_unref(gone->struck);
    g_free(gone);
}

void qemu_gone_add(QemuGone *gone, const char *name, const char *parent)
{
    g_hash_table_insert(gone->parents, g_strdup(name), g_strdup(parent ? parent : ""));
}

void qemu_gone_stale(QemuGone *gone, const char *child, const char *says)
{
    if (!g_hash_table_contains(gone->stale, child))
        g_hash_table_insert(gone->stale, g_strdup(child), g_strdup(says));
}

void qemu_gone_settle(QemuGone *gone, const char *child)
{
    g_hash_table_remove(gone->stale, child);
}

gboolean qemu_gone_has(const QemuGone *gone, const char *name)
{
    return g_hash_table_contains(gone->parents, name);
}

void qemu_gone_is_there(QemuGone *gone, const char *name)
{
    g_hash_table_remove(gone->parents, name);
    g_hash_table_remove(gone->struck, name);
}

void qemu_gone_strike(QemuGone *gone, const char *name)
{
    g_hash_table_add(gone->struck, g_strdup(name));
}

gboolean qemu_gone_is_struck(const QemuGone *gone, const char *name)
{
    return g_hash_table_contains(gone->struck, name);
}

void qemu_gone_forget_struck(QemuGone *gone)
{
    g_hash_table_remove_all(gone->struck);
}

static GPtrArray *keys(GHashTable *table)
{
    GPtrArray *found = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_ptr_array_add(found, key);
    return found;
}

GPtrArray *qemu_gone_struck(const QemuGone *gone)
{
    return keys(gone->struck);
}

GPtrArray *qemu_gone_children(const QemuGone *gone)
{
    return keys(gone->stale);
}

const char *qemu_gone_parent(const QemuGone *gone, const char *name)
{
    guint left = g_hash_table_size(gone->parents); /* a file may say anything */

    while (name && *name && g_hash_table_contains(gone->parents, name))
        name = left-- ? g_hash_table_lookup(gone->parents, name) : NULL;
    return name && *name ? name : NULL;
}

/* Those that the files of children lead to. */
static GHashTable *needed(const QemuGone *gone)
{
    GHashTable *out = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer says;

    g_hash_table_iter_init(&iter, gone->stale);
    while (g_hash_table_iter_next(&iter, NULL, &says))
        for (const char *name = says; name && g_hash_table_contains(gone->parents, name) && g_hash_table_add(out, (char *)name);)
            name = g_hash_table_lookup(gone->parents, name);
    return out;
}

static JsonArray *struck_array(const QemuGone *gone)
{
    JsonArray *list = json_array_new();
    g_autoptr(GPtrArray) struck = qemu_gone_struck(gone);

    for (guint i = 0; i < struck->len; i++)
        json_array_add_string_element(list, struck->pdata[i]);
    return list;
}

char *qemu_gone_text(QemuGone *gone)
{
    g_autoptr(GHashTable) keep = needed(gone);
    g_autoptr(JsonObject) object = json_object_new();
    g_autoptr(GHashTable) parents = names();
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, keep);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        const char *parent = g_hash_table_lookup(gone->parents, name);

        json_object_set_string_member(object, name, parent);
        g_hash_table_insert(parents, g_strdup(name), g_strdup(parent));
    }
    g_clear_pointer(&keep, g_hash_table_unref);
    g_hash_table_unref(gone->parents);
    gone->parents = g_steal_pointer(&parents);
    if (g_hash_table_size(gone->struck))
        json_object_set_array_member(object, STRUCK, struck_array(gone));
    return json_object_get_size(object) ? vireo_json_text(object) : NULL;
}

QemuGone *qemu_gone_parse(const char *text, GError **error)
{
    g_autoptr(JsonObject) object = vireo_json_parse(text, -1, error);
    g_autoptr(GList) members = object ? json_object_get_members(object) : NULL;
    JsonArray *struck = object ? vireo_json_array(object, STRUCK) : NULL;
    QemuGone *gone = object ? qemu_gone_new() : NULL;

    for (GList *at = members; at; at = at->next)
        if (g_strcmp0(at->data, STRUCK))
            qemu_gone_add(gone, at->data, vireo_json_string(object, at->data));
    for (guint i = 0; i < vireo_json_length(struck); i++) {
        const char *name = json_array_get_string_element(struck, i); /* NULL: it is none */

        if (name)
            qemu_gone_strike(gone, name);
    }
    return gone;
}
