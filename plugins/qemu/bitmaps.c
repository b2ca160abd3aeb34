/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bitmaps move with the data they are about. */
#include "bitmaps.h"

#include "checkpoint.h"
#include "engine.h"
#include "images.h"

#define IMAGE_TOOL "/usr/bin/qemu-img"

/* ---- what is there ------------------------------------------------------------------------------- */

static void bitmap_free(gpointer opaque)
{
    QemuBitmap *bitmap = opaque;

    g_free(bitmap->name);
    g_free(bitmap);
}

GPtrArray *qemu_bitmaps_new(void)
{
    return g_ptr_array_new_with_free_func(bitmap_free);
}

void qemu_bitmap_new(GPtrArray *bitmaps, const char *name, gboolean recording, gboolean broken)
{
    QemuBitmap *bitmap = g_new0(QemuBitmap, 1);

    bitmap->name = g_strdup(name);
    bitmap->recording = recording;
    bitmap->broken = broken;
    g_ptr_array_add(bitmaps, bitmap);
}

const QemuBitmap *qemu_bitmaps_find(GPtrArray *bitmaps, const char *name)
{
    for (guint i = 0; i < bitmaps->len; i++)
        if (g_str_equal(((QemuBitmap *)bitmaps->pdata[i])->name, name))
            return bitmaps->pdata[i];
    return NULL;
}

static JsonObject *node_object(JsonNode *nodes, const char *name)
{
    JsonArray *list = vireo_json_node_array(nodes);

    for (guint i = 0; i < vireo_json_length(list); i++)
        if (!g_strcmp0(vireo_json_string(vireo_json_element(list, i), "node-name"), name))
            return vireo_json_element(list, i);
    return NULL;
}

static JsonNode *all_nodes(VireoQmp *qmp, GError **error)
{
    return vireo_qmp_call(qmp, "query-named-block-nodes", vireo_json_new('b', "flat", TRUE, 0), NULL,
                          error);
}

static GPtrArray *bitmaps_in_qemu(VireoQmp *qmp, const char *node, GError **error)
{
    g_autoptr(JsonNode) nodes = all_nodes(qmp, error);
    JsonArray *list = vireo_json_array(node_object(nodes, node), "dirty-bitmaps");

    if (!nodes)
        return NULL;
    GPtrArray *out = qemu_bitmaps_new();
    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *one = vireo_json_element(list, i);

        if (vireo_json_bool(one, "persistent") && vireo_json_string(one, "name"))
            qemu_bitmap_new(out, vireo_json_string(one, "name"), vireo_json_bool(one, "recording"),
                            vireo_json_bool(one, "inconsistent"));
    }
    return out;
}

static gboolean node_of(VireoQmp *qmp, const char *path, char **node, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *node = qmp ? qemu_live_node(qmp, path, &failure) : NULL;
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return !failure;
}

GPtrArray *qemu_bitmaps_of(VireoQmp *qmp, const char *path, GError **error)
{
    g_autofree char *node = NULL;

    if (!node_of(qmp, path, &node, error))
        return NULL;
    return node ? bitmaps_in_qemu(qmp, node, error) : qemu_bitmaps_read(path, error);
}

/* ---- changing ------------------------------------------------------------------------------------- */

static void edit_free(gpointer opaque)
{
    QemuBitmapEdit *edit = opaque;

    g_free(edit->name);
    g_free(edit->from);
    g_free(edit->other);
    g_free(edit);
}

GPtrArray *qemu_bitmap_edits(void)
{
    return g_ptr_array_new_with_free_func(edit_free);
}

void qemu_bitmap_edit(GPtrArray *edits, QemuBitmapOp op, const char *name, const char *from,
                      const char *other)
{
    QemuBitmapEdit *edit = g_new0(QemuBitmapEdit, 1);

    edit->op = op;
    edit->name = g_strdup(name);
    edit->from = g_strdup(from);
    edit->other = g_strdup(other);
    g_ptr_array_add(edits, edit);
}

static JsonObject *edit_action(VireoQmp *qmp, const char *node, const QemuBitmapEdit *edit,
                               GError **error)
{
    static const char *const types[] = {
        [QEMU_BITMAP_ENABLE] = "block-dirty-bitmap-enable",
        [QEMU_BITMAP_DISABLE] = "block-dirty-bitmap-disable",
        [QEMU_BITMAP_REMOVE] = "block-dirty-bitmap-remove",
    };
    g_autofree char *from = NULL;

    if (edit->op == QEMU_BITMAP_ADD || edit->op == QEMU_BITMAP_ADD_OFF)
        return vireo_json_new('s', "type", "block-dirty-bitmap-add", 'o', "data",
                              vireo_json_new('s', "node", node, 's', "name", edit->name, 'b',
                                             "persistent", TRUE, 'b', "disabled",
                                             edit->op == QEMU_BITMAP_ADD_OFF, 0),
                              0);
    if (edit->op != QEMU_BITMAP_MERGE)
        return qemu_bitmap_action(types[edit->op], node, edit->name);
    if (edit->from && !node_of(qmp, edit->from, &from, error))
        return NULL;
    if (edit->from && !from) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU has not opened image %s", edit->from);
        return NULL;
    }
    JsonArray *sources = json_array_new();
    json_array_add_object_element(
        sources, vireo_json_new('s', "node", from ? from : node, 's', "name", edit->other, 0));
    return vireo_json_new('s', "type", "block-dirty-bitmap-merge", 'o', "data",
                          vireo_json_new('s', "node", node, 's', "target", edit->name, 'a', "bitmaps",
                                         sources, 0),
                          0);
}

static gboolean change_in_qemu(QemuDomain *dom, VireoQmp *qmp, const char *path, const char *node,
                               GPtrArray *edits, GError **error)
{
    g_autoptr(JsonNode) nodes = all_nodes(qmp, error);
    g_autoptr(JsonArray) actions = json_array_new();

    for (guint i = 0; nodes && i < edits->len; i++) {
        JsonObject *action = edit_action(qmp, node, edits->pdata[i], error);

        if (!action)
            return FALSE;
        json_array_add_object_element(actions, action);
    }
    gboolean reopen = vireo_json_bool(node_object(nodes, node), "ro");
    if (!nodes || (reopen && !qemu_live_writable(dom, qmp, path, TRUE, error)))
        return FALSE;
    gboolean done = qemu_transaction(qmp, json_array_ref(actions), error);
    if (reopen)
        qemu_live_writable(dom, qmp, path, FALSE, NULL);
    return done;
}

static gboolean change_file(QemuDomain *dom, vireo_call *call, const char *path,
                            const QemuBitmapEdit *edit, GError **error)
{
    static const char *const options[] = {
        [QEMU_BITMAP_ADD] = "--add",         [QEMU_BITMAP_ADD_OFF] = "--add",
        [QEMU_BITMAP_ENABLE] = "--enable",   [QEMU_BITMAP_DISABLE] = "--disable",
        [QEMU_BITMAP_MERGE] = "--merge",     [QEMU_BITMAP_REMOVE] = "--remove",
    };
    const char *argv[16] = { IMAGE_TOOL, "bitmap", options[edit->op] };
    QemuImage from = { edit->from, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2, TRUE, TRUE };
    guint n = 3;

    if (edit->from && !qemu_image_give(dom->space->driver, dom->uuid_text, &from, error))
        return FALSE;

    if (edit->op == QEMU_BITMAP_MERGE)
        argv[n++] = edit->other;
    if (edit->op == QEMU_BITMAP_ADD_OFF)
        argv[n++] = "--disable";
    if (edit->from) {
        argv[n++] = "-b";
        argv[n++] = edit->from;
        argv[n++] = "-F";
        argv[n++] = "qcow2";
    }
    argv[n++] = "-f";
    argv[n++] = "qcow2";
    argv[n++] = "--";
    argv[n++] = path;
    argv[n++] = edit->name;
    return qemu_engine_image_tool(dom, FALSE, call, path, argv, error);
}

gboolean qemu_bitmaps_change(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *path,
                             GPtrArray *edits, GError **error)
{
    g_autofree char *node = NULL;

    if (!edits->len)
        return TRUE;
    if (!node_of(qmp, path, &node, error))
        return FALSE;
    if (node)
        return change_in_qemu(dom, qmp, path, node, edits, error);
    for (guint i = 0; i < edits->len; i++)
        if (!change_file(dom, call, path, edits->pdata[i], error))
            return FALSE;
    return TRUE;
}

/* ---- what happens to images ------------------------------------------------------------------------ */

gboolean qemu_bitmaps_carry(QemuDomain *dom, vireo_call *call, const char *covered,
                            const char *overlay, GError **error)
{
    g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_read(covered, error);
    g_autoptr(GPtrArray) there = bitmaps ? qemu_bitmaps_read(overlay, error) : NULL;
    g_autoptr(GPtrArray) edits = qemu_bitmap_edits();

    for (guint i = 0; there && i < bitmaps->len; i++) {
        const QemuBitmap *bitmap = bitmaps->pdata[i];

        if (bitmap->recording && !qemu_bitmaps_find(there, bitmap->name))
            qemu_bitmap_edit(edits, QEMU_BITMAP_ADD, bitmap->name, NULL, NULL);
    }
    return there && qemu_bitmaps_change(dom, call, NULL, overlay, edits, error);
}

static void give_up(QemuDomain *dom, const char *name, const char *image, const char *why)
{
    QemuDriver *driver = dom->space->driver;

    qemu_checkpoint_cut(dom, name);
    driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                      "domain '%s': what checkpoint '%s' noted down in %s is lost: %s", dom->name, name,
                      image, why);
}

/* One image's notes into another's. Returns whether both can be relied on. */
static gboolean raise_from(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *image,
                           GPtrArray *there, const char *from, GError **error)
{
    g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_of(qmp, from, error);
    g_autoptr(GPtrArray) edits = qemu_bitmap_edits();

    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const QemuBitmap *bitmap = bitmaps->pdata[i], *mine = qemu_bitmaps_find(there, bitmap->name);

        if (bitmap->broken) {
            give_up(dom, bitmap->name, from, "QEMU was killed while its bitmap was in use");
            continue;
        }
        if (mine && mine->broken)
            continue;
        if (!mine) {
            qemu_bitmap_edit(edits, QEMU_BITMAP_ADD_OFF, bitmap->name, NULL, NULL);
            qemu_bitmap_new(there, bitmap->name, FALSE, FALSE);
        }
        qemu_bitmap_edit(edits, QEMU_BITMAP_MERGE, bitmap->name, from, bitmap->name);
    }
    if (bitmaps && qemu_bitmaps_change(dom, call, qmp, image, edits, error))
        return TRUE;
    for (guint i = 0; bitmaps && i < bitmaps->len; i++)
        give_up(dom, ((QemuBitmap *)bitmaps->pdata[i])->name, from, (*error)->message);
    if (!bitmaps)
        qemu_checkpoint_cut(dom, NULL);
    return FALSE;
}

void qemu_bitmaps_raise(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *image,
                        const char *base)
{
    g_autofree char *at = qemu_engine_backing(image);
    g_autoptr(GPtrArray) there = qemu_bitmaps_of(qmp, image, NULL);

    while (there && at && g_strcmp0(at, base)) {
        g_autoptr(GError) error = NULL;

        raise_from(dom, call, qmp, image, there, at, &error);
        char *next = qemu_engine_backing(at);
        g_free(at);
        at = next;
    }
    if (!there)
        qemu_checkpoint_cut(dom, NULL);
}

/* A bitmap of the disk in the image it moves to: it takes notes there when it does now. */
static void move_one(const QemuBitmap *bitmap, gboolean recording, const char *from, GPtrArray *there,
                     GPtrArray *edits)
{
    const QemuBitmap *mine = qemu_bitmaps_find(there, bitmap->name);

    if (!mine) {
        qemu_bitmap_edit(edits, recording ? QEMU_BITMAP_ADD : QEMU_BITMAP_ADD_OFF, bitmap->name, NULL,
                         NULL);
        qemu_bitmap_new(there, bitmap->name, recording, FALSE);
    } else if (mine->recording && !recording) {
        qemu_bitmap_edit(edits, QEMU_BITMAP_DISABLE, bitmap->name, NULL, NULL);
        ((QemuBitmap *)mine)->recording = FALSE;
    } else if (!mine->recording && recording) {
        qemu_bitmap_edit(edits, QEMU_BITMAP_ENABLE, bitmap->name, NULL, NULL);
        ((QemuBitmap *)mine)->recording = TRUE;
    }
    qemu_bitmap_edit(edits, QEMU_BITMAP_MERGE, bitmap->name, from, bitmap->name);
}

gboolean qemu_bitmaps_move(QemuDomain *dom, VireoQmp *qmp, const char *const *chain,
                           const char *target, GError **error)
{
    g_autoptr(GPtrArray) there = qemu_bitmaps_of(qmp, target, error);
    g_autoptr(GPtrArray) edits = qemu_bitmap_edits(), top = NULL;

    for (guint i = 0; there && chain[i] && !g_str_equal(chain[i], target); i++) {
        g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_of(qmp, chain[i], error);

        if (!bitmaps)
            return FALSE;
        if (!i)
            top = g_ptr_array_ref(bitmaps);
        for (guint n = 0; n < bitmaps->len; n++) {
            const QemuBitmap *bitmap = bitmaps->pdata[n];
            const QemuBitmap *now = qemu_bitmaps_find(top, bitmap->name);

            const QemuBitmap *mine = qemu_bitmaps_find(there, bitmap->name);
            if (bitmap->broken || (mine && mine->broken))
                give_up(dom, bitmap->name, chain[i], "QEMU was killed while its bitmap was in use");
            else
                move_one(bitmap, now && now->recording, chain[i], there, edits);
        }
    }
    return there && qemu_bitmaps_change(dom, NULL, qmp, target, edits, error);
}

gboolean qemu_bitmaps_drop(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *path,
                           GError **error)
{
    g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_of(qmp, path, error);
    g_autoptr(GPtrArray) edits = qemu_bitmap_edits();

    for (guint i = 0; bitmaps && i < bitmaps->len; i++)
        qemu_bitmap_edit(edits, QEMU_BITMAP_REMOVE, ((QemuBitmap *)bitmaps->pdata[i])->name, NULL,
                         NULL);
    return bitmaps && qemu_bitmaps_change(dom, call, qmp, path, edits, error);
}
