/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bitmaps QEMU has. */
#include "checkpoint.h"

#include "engine.h"
#include "images.h"

static void layer_free(gpointer opaque)
{
    QemuLayer *layer = opaque;

    g_free(layer->node);
    json_node_unref(layer->owner);
    g_free(layer);
}

static JsonArray *list_of(JsonNode *nodes, const char *node)
{
    JsonArray *list = vireo_json_node_array(nodes);

    for (guint i = 0; i < vireo_json_length(list); i++)
        if (!g_strcmp0(vireo_json_string(vireo_json_element(list, i), "node-name"), node))
            return vireo_json_array(vireo_json_element(list, i), "dirty-bitmaps");
    return NULL;
}

GPtrArray *qemu_bitmap_layers(VireoQmp *qmp, const VireoDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) chain = qemu_image_chain(disk, error);
    g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func(layer_free);
    g_autoptr(JsonNode) nodes =
        chain ? vireo_qmp_call(qmp, "query-named-block-nodes", vireo_json_new('b', "flat", TRUE, 0),
                               NULL, error)
              : NULL;

    for (guint i = 0; nodes && i < chain->len; i++) {
        const char *path = ((QemuImage *)chain->pdata[i])->path;
        g_autofree char *real = qemu_real_path(path);
        char *node = real ? qemu_live_node(qmp, real, NULL) : NULL;

        if (!node) {
            qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU has not opened image %s", path);
            return NULL;
        }
        QemuLayer *layer = g_new0(QemuLayer, 1);
        layer->node = node;
        layer->owner = json_node_ref(nodes);
        layer->bitmaps = list_of(nodes, node);
        g_ptr_array_add(layers, layer);
    }
    return nodes ? g_steal_pointer(&layers) : NULL;
}

JsonObject *qemu_bitmap_in(const QemuLayer *layer, const char *name)
{
    for (guint i = 0; i < vireo_json_length(layer->bitmaps); i++)
        if (!g_strcmp0(vireo_json_string(vireo_json_element(layer->bitmaps, i), "name"), name))
            return vireo_json_element(layer->bitmaps, i);
    return NULL;
}

JsonObject *qemu_bitmap_action(const char *type, const char *node, const char *name)
{
    return vireo_json_new('s', "type", type, 'o', "data",
                          vireo_json_new('s', "node", node, 's', "name", name, 0), 0);
}

gboolean qemu_transaction(VireoQmp *qmp, JsonArray *actions, GError **error)
{
    if (json_array_get_length(actions))
        return vireo_qmp_run(qmp, "transaction", vireo_json_new('a', "actions", actions, 0), NULL,
                             error);
    json_array_unref(actions);
    return TRUE;
}

void qemu_bitmap_drop(VireoQmp *qmp, const char *node, const char *name)
{
    vireo_qmp_run(qmp, "block-dirty-bitmap-remove",
                  vireo_json_new('s', "node", node, 's', "name", name, 0), NULL, NULL);
}

static gboolean inconsistent(const VireoDomainDisk *disk, const char *name, const char *why,
                             GError **error)
{
    qemu_error(error, VIREO_ERR_CHECKPOINT_INCONSISTENT, "checkpoint '%s' of disk '%s': %s", name,
               disk->target->dev, why);
    return FALSE;
}

/* Adds what one checkpoint noted down, in whichever images. gone: it may be that others have it. */
static gboolean add_sources(GPtrArray *layers, const VireoDomainDisk *disk, const char *name,
                            gboolean gone, JsonArray *sources, GError **error)
{
    guint found = 0;

    for (guint i = 0; i < layers->len; i++) {
        const QemuLayer *layer = layers->pdata[i];
        JsonObject *bitmap = qemu_bitmap_in(layer, name);

        if (!bitmap)
            continue;
        if (vireo_json_bool(bitmap, "inconsistent"))
            return inconsistent(disk, name, "QEMU was killed while its bitmap was in use", error);
        json_array_add_object_element(
            sources, vireo_json_new('s', "node", layer->node, 's', "name", name, 0));
        found++;
    }
    return found || gone || inconsistent(disk, name, "no image has its bitmap any more, since the disk "
                                         "got another one, or other content: a full backup is needed",
                                         error);
}

static JsonArray *sources_since(QemuDomain *dom, GPtrArray *layers, const VireoDomainDisk *disk,
                                const char *since, GError **error)
{
    g_autoptr(GPtrArray) line = qemu_checkpoint_line(dom, since);
    g_autoptr(JsonArray) sources = json_array_new();
    const char *dev = disk->target->dev, *latest = NULL;

    if (!line) {
        inconsistent(disk, since, "what was written since is not known: it does not lead to what the "
                     "disk is now (after a revert, say); a full backup is needed", error);
        return NULL;
    }
    for (guint i = 0; i < line->len; i++) {
        const VireoDomainCheckpoint *doc = line->pdata[i];

        if (!qemu_checkpoint_has(doc, dev))
            continue;
        gboolean gone = qemu_checkpoint_fate(dom, doc->name) == QEMU_CHECKPOINT_DELETED;
        if (!add_sources(layers, disk, doc->name, gone, sources, error))
            return NULL;
        if (!latest && (!gone || qemu_bitmap_in(layers->pdata[0], doc->name)))
            latest = doc->name;
    }
    if (!qemu_checkpoint_has(line->pdata[line->len - 1], dev)) {
        inconsistent(disk, since, "the disk took no part in it", error);
        return NULL;
    }
    JsonObject *now = latest ? qemu_bitmap_in(layers->pdata[0], latest) : NULL;
    if (!now || !vireo_json_bool(now, "recording")) {
        inconsistent(disk, latest ? latest : since, "nothing is noted down since: a full backup is needed", error);
        return NULL;
    }
    return g_steal_pointer(&sources);
}

gboolean qemu_bitmap_since_actions(QemuDomain *dom, GPtrArray *layers, const VireoDomainDisk *disk,
                                   const char *since, const char *into, JsonArray *actions,
                                   GError **error)
{
    JsonArray *sources = sources_since(dom, layers, disk, since, error);
    const char *node = ((QemuLayer *)layers->pdata[0])->node;

    if (!sources)
        return FALSE;
    json_array_add_object_element(
        actions, vireo_json_new('s', "type", "block-dirty-bitmap-add", 'o', "data",
                                vireo_json_new('s', "node", node, 's', "name", into, 'b', "disabled",
                                               TRUE, 0),
                                0));
    json_array_add_object_element(
        actions, vireo_json_new('s', "type", "block-dirty-bitmap-merge", 'o', "data",
                                vireo_json_new('s', "node", node, 's', "target", into, 'a', "bitmaps",
                                               sources, 0),
                                0));
    return TRUE;
}

gboolean qemu_bitmap_since(QemuDomain *dom, VireoQmp *qmp, const VireoDomainDisk *disk,
                           const char *since, const char *into, GError **error)
{
    g_autoptr(GPtrArray) layers = qemu_bitmap_layers(qmp, disk, error);
    g_autoptr(JsonArray) actions = json_array_new();

    if (!layers || !qemu_bitmap_since_actions(dom, layers, disk, since, into, actions, error))
        return FALSE;
    /* What an earlier daemon may have left. */
    qemu_bitmap_drop(qmp, ((QemuLayer *)layers->pdata[0])->node, into);
    return qemu_transaction(qmp, json_array_ref(actions), error);
}
