/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU's block nodes by their files: names change with every snapshot. To ask for them costs QEMU a millisecond for every
 * few images, so the answer is kept while nothing else than what is noted here can have changed it. */
#include "engine.h"

#include <string.h>

#include "remote.h"

#define IMAGE_MS 5000
#define STORAGE_SUFFIX "-file" /* see qemu_disk_node_name */

struct QemuNodes {
    guint64 changes;      /* vireo_qmp_changes when this was right */
    GHashTable *by_path;  /* real path -> node of the image */
    GHashTable *let_go;   /* the same, where only the node of the file is left */
    GHashTable *names;    /* of all nodes */
    GHashTable *bitmaps;  /* node -> JsonArray, where there are any */
    guint last_number;    /* see qemu_nodes_new_name */
};

void qemu_nodes_free(QemuNodes *nodes)
{
    if (!nodes)
        return;
    g_hash_table_unref(nodes->by_path);
    g_hash_table_unref(nodes->let_go);
    g_hash_table_unref(nodes->names);
    g_hash_table_unref(nodes->bitmaps);
    g_free(nodes);
}

static gboolean is_storage(const char *driver)
{
    return !g_strcmp0(driver, "file") || !g_strcmp0(driver, "host_device") || !g_strcmp0(driver, "host_cdrom") ||
           qemu_is_remote_driver(driver);
}

static void take_name(QemuNodes *nodes, JsonObject *node)
{
    const char *name = vireo_json_string(node, "node-name");
    JsonArray *bitmaps = vireo_json_array(node, "dirty-bitmaps");

    if (!name)
        return;
    g_hash_table_add(nodes->names, g_strdup(name));
    if (vireo_json_length(bitmaps))
        g_hash_table_insert(nodes->bitmaps, g_strdup(name), json_array_ref(bitmaps));
}

/* An image's own idea of its file name is of no use: it is JSON as soon as anything about it was said explicitly. */
static void take_file(QemuNodes *nodes, JsonObject *node)
{
    const char *name = vireo_json_string(node, "node-name"), *file = vireo_json_string(node, "file");

    if (!is_storage(vireo_json_string(node, "drv")) || !name || !g_str_has_suffix(name, STORAGE_SUFFIX))
        return;
    g_autofree char *real = qemu_real_path(file);
    g_autofree char *image = g_strndup(name, strlen(name) - strlen(STORAGE_SUFFIX));
    GHashTable *set = g_hash_table_contains(nodes->names, image) ? nodes->by_path : nodes->let_go;
    if (real && !g_hash_table_contains(set, real))
        g_hash_table_insert(set, g_steal_pointer(&real), g_steal_pointer(&image));
}

QemuNodes *qemu_nodes_ask(VireoQmp *qmp, GError **error)
{
    guint64 changes = vireo_qmp_changes(qmp);
    g_autoptr(JsonNode) answer =
        vireo_qmp_call(qmp, "query-named-block-nodes", vireo_json_new('b', "flat", TRUE, 0), NULL, error);
    JsonArray *list = vireo_json_node_array(answer);

    if (!answer)
        return NULL;
    QemuNodes *nodes = g_new0(QemuNodes, 1);
    nodes->changes = changes;
    nodes->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    nodes->let_go = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    nodes->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    nodes->bitmaps =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_array_unref);
    for (guint i = 0; i < vireo_json_length(list); i++)
        take_name(nodes, vireo_json_element(list, i));
    for (guint i = 0; i < vireo_json_length(list); i++)
        take_file(nodes, vireo_json_element(list, i));
    return nodes;
}

QemuNodes *qemu_nodes_of(QemuDomain *dom, VireoQmp *qmp, GError **error)
{
    if (!dom->nodes || dom->nodes->changes != vireo_qmp_changes(qmp)) {
        g_clear_pointer(&dom->nodes, qemu_nodes_free);
        dom->nodes = qemu_nodes_ask(qmp, error);
    }
    return dom->nodes;
}

static JsonObject *node_named(JsonArray *list, const char *name)
{
    for (guint i = 0; i < vireo_json_length(list); i++)
        if (!g_strcmp0(vireo_json_string(vireo_json_element(list, i), "node-name"), name))
            return vireo_json_element(list, i);
    return NULL;
}

JsonObject *qemu_live_image(VireoQmp *qmp, const char *path)
{
    VireoQmpWait wait = { .timeout_ms = IMAGE_MS };
    g_autoptr(JsonNode) answer =
        vireo_qmp_call(qmp, "query-named-block-nodes", vireo_json_new('b', "flat", TRUE, 0), &wait, NULL);
    JsonArray *list = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *node = vireo_json_element(list, i);
        const char *name = vireo_json_string(node, "node-name");
        g_autofree char *real = qemu_real_path(vireo_json_string(node, "file"));

        if (!name || !is_storage(vireo_json_string(node, "drv")) || !g_str_has_suffix(name, STORAGE_SUFFIX) ||
            g_strcmp0(real, path))
            continue;
        g_autofree char *above = g_strndup(name, strlen(name) - strlen(STORAGE_SUFFIX));
        JsonObject *image = vireo_json_object(node_named(list, above), "image");

        return image ? json_object_ref(image) : NULL;
    }
    return NULL;
}

char *qemu_nodes_find(const QemuNodes *nodes, const char *path, gboolean storage)
{
    const char *name = path ? g_hash_table_lookup(nodes->by_path, path) : NULL;

    if (path && storage && !name)
        name = g_hash_table_lookup(nodes->let_go, path);
    return storage && name ? g_strconcat(name, STORAGE_SUFFIX, NULL) : g_strdup(name);
}

JsonArray *qemu_nodes_bitmaps(const QemuNodes *nodes, const char *node)
{
    return node ? g_hash_table_lookup(nodes->bitmaps, node) : NULL;
}

/* QEMU allows 31 characters. */
char *qemu_nodes_new_name(QemuNodes *nodes, const char *dev)
{
    for (;;) {
        g_autofree char *name = g_strdup_printf("%s-over%u", dev, ++nodes->last_number);
        g_autofree char *storage = g_strconcat(name, STORAGE_SUFFIX, NULL);

        if (!g_hash_table_contains(nodes->names, name) && !g_hash_table_contains(nodes->names, storage))
            return g_steal_pointer(&name);
    }
}

void qemu_nodes_passed(QemuNodes *nodes, guint n)
{
    nodes->changes += n;
}

void qemu_nodes_opened(QemuNodes *nodes, const char *path, const char *name)
{
    g_hash_table_add(nodes->names, g_strdup(name));
    g_hash_table_add(nodes->names, g_strconcat(name, STORAGE_SUFFIX, NULL));
    g_hash_table_replace(nodes->by_path, g_strdup(path), g_strdup(name));
    qemu_nodes_passed(nodes, 2);
}

void qemu_nodes_forget(QemuDomain *dom)
{
    g_clear_pointer(&dom->nodes, qemu_nodes_free);
}
