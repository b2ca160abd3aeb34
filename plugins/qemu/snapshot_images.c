/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the images really hold, and the jobs that change it. */
#include "snapshot.h"

#include <string.h>

#include "engine.h"
#include "events.h"
#include "images.h"

#define IMAGE_TOOL "/usr/bin/qemu-img"

static void top_free(gpointer opaque)
{
    QemuTop *top = opaque;

    g_free(top->dev);
    g_free(top->node);
    g_free(top->path);
    g_ptr_array_unref(top->tags);
    g_hash_table_unref(top->with_memory);
    g_free(top);
}

static QemuTop *top_new(const VireoDomainDisk *disk)
{
    QemuTop *top = g_new0(QemuTop, 1);

    top->dev = g_strdup(disk->target->dev);
    top->path = g_strdup(qemu_disk_path(disk));
    top->tags = g_ptr_array_new_with_free_func(g_free);
    top->with_memory = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return top;
}

static void top_add(QemuTop *top, const char *tag, gboolean memory)
{
    g_ptr_array_add(top->tags, g_strdup(tag));
    if (memory)
        g_hash_table_add(top->with_memory, g_strdup(tag));
}

gboolean qemu_top_holds(const QemuTop *top, const char *tag, gboolean *memory)
{
    for (guint i = 0; i < top->tags->len; i++) {
        if (!g_str_equal(top->tags->pdata[i], tag))
            continue;
        if (memory)
            *memory = g_hash_table_contains(top->with_memory, tag);
        return TRUE;
    }
    return FALSE;
}

const QemuTop *qemu_tops_find(GPtrArray *tops, const char *dev)
{
    for (guint i = 0; i < tops->len; i++)
        if (g_str_equal(((QemuTop *)tops->pdata[i])->dev, dev))
            return tops->pdata[i];
    return NULL;
}

static gboolean takes_part(const VireoDomainDisk *disk)
{
    return !disk->readonly && qemu_disk_path(disk);
}

/* The entry of query-block that belongs to a disk. */
static JsonObject *block_of(JsonArray *blocks, const VireoDomainDisk *disk)
{
    for (guint i = 0; i < vireo_json_length(blocks); i++) {
        JsonObject *block = vireo_json_element(blocks, i);
        const char *qdev = vireo_json_string(block, "qdev");
        g_auto(GStrv) parts = qdev ? g_strsplit(qdev, "/", -1) : NULL;

        if (parts && g_strv_contains((const char *const *)parts, disk->alias))
            return block;
    }
    return NULL;
}

static gboolean top_from_qemu(QemuTop *top, JsonArray *blocks, const VireoDomainDisk *disk,
                              GError **error)
{
    JsonObject *inserted = vireo_json_object(block_of(blocks, disk), "inserted");
    JsonObject *image = vireo_json_object(inserted, "image");
    JsonArray *tags = vireo_json_array(image, "snapshots");

    top->node = g_strdup(vireo_json_string(inserted, "node-name"));
    top->is_qcow2 = !g_strcmp0(vireo_json_string(image, "format"), "qcow2");
    for (guint i = 0; i < vireo_json_length(tags); i++) {
        JsonObject *tag = vireo_json_element(tags, i);

        top_add(top, vireo_json_string(tag, "name"), vireo_json_int(tag, "vm-state-size", 0) > 0);
    }
    if (top->node)
        return TRUE;
    qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU does not show an image for disk '%s'",
               disk->target->dev);
    return FALSE;
}

static gboolean top_from_file(QemuTop *top, const VireoDomainDisk *disk, GError **error)
{
    g_autoptr(QemuImageInfo) info = qemu_image_inspect_as(
        top->path, vireo_domain_storage_format_to_string(disk->driver->type), TRUE, error);

    if (!info) {
        g_prefix_error(error, "disk '%s': ", top->dev);
        return FALSE;
    }
    top->node = g_strdup(top->dev);
    top->is_qcow2 = info->is_qcow2;
    for (guint i = 0; i < info->snapshots->len; i++) {
        const QemuImageSnapshot *tag = info->snapshots->pdata[i];

        top_add(top, tag->name, tag->has_vmstate);
    }
    return TRUE;
}

GPtrArray *qemu_snapshot_tops(QemuDomain *dom, const VireoDomain *doc, VireoQmp *qmp,
                              GError **error)
{
    g_autoptr(GPtrArray) tops = g_ptr_array_new_with_free_func(top_free);
    g_autoptr(JsonNode) blocks = qmp ? vireo_qmp_call(qmp, "query-block", NULL, NULL, error) : NULL;

    if (qmp && !blocks)
        return NULL;
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];

        if (!takes_part(disk))
            continue;
        QemuTop *top = top_new(disk);
        g_ptr_array_add(tops, top);
        if (qmp ? !top_from_qemu(top, vireo_json_node_array(blocks), disk, error)
                : !top_from_file(top, disk, error))
            return NULL;
        top->is_qcow2 = top->is_qcow2 && disk->driver->type == VIREO_DOMAIN_STORAGE_FORMAT_QCOW2;
    }
    return g_steal_pointer(&tops);
}

gboolean qemu_snap_has_disk(const QemuSnap *snap, const char *dev)
{
    const VireoDomainSnapshotDisks *disks = snap->doc->disks;

    if (!disks)
        return TRUE; /* metadata without a list: all of them */
    VEC_EACH(disks->disks, i)
    if (g_str_equal(disks->disks.items[i]->name, dev))
        return disks->disks.items[i]->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
    return FALSE;
}

gboolean qemu_snapshot_complete(const QemuSnap *snap, const VireoDomain *doc, GPtrArray *tops,
                                GError **error)
{
    const char *name = snap->doc->name;
    guint disks = 0, memories = 0;

    for (guint i = 0; i < tops->len; i++) {
        const QemuTop *top = tops->pdata[i];
        gboolean memory = FALSE;

        if (!qemu_snap_has_disk(snap, top->dev))
            continue;
        if (!qemu_top_holds(top, name, &memory)) {
            qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                        "bring it back, or revert to another one; 'vireo doctor' tells what is left of it",
                        "snapshot '%s' is not in the image of disk '%s' (%s)", name, top->dev,
                       top->path);
            return FALSE;
        }
        disks++;
        memories += memory;
    }
    if (!disks && !qemu_snap_is_external(snap)) {
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "snapshot-delete --metadata forgets it",
                    "snapshot '%s' is in no disk of domain '%s'",
                   name, doc->name);
        return FALSE;
    }
    if (!qemu_snap_has_memory(snap) || qemu_snap_memory_file(snap) || memories == 1)
        return TRUE;
    qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                "revert to another one; 'vireo doctor' tells what is left of it",
                memories ? "snapshot '%s' has the guest's memory in %u images"
                        : "snapshot '%s' has the guest's memory in no image (%u)", name, memories);
    return FALSE;
}

/* ---- running guests ------------------------------------------------------------ */

gboolean qemu_snapshot_job(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *command,
                           const char *tag, const char *memory, JsonArray *nodes, GError **error)
{
    g_autofree char *id = g_strdup_printf("vireo-%s", command);

    /* One that ended while no daemon was there is still in the way. */
    vireo_qmp_run(qmp, "job-dismiss", vireo_json_new('s', "id", id, 0), NULL, NULL);
    qemu_job_forget(dom, id);
    if (!vireo_qmp_run(qmp, command,
                       vireo_json_new('s', "job-id", id, 's', "tag", tag, 's', "vmstate", memory,
                                      'a', "devices", nodes, 0),
                       NULL, error))
        return FALSE;
    return qemu_job_wait(dom, call, qmp, id, error);
}

gboolean qemu_snapshot_load_job(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *name,
                                GError **error)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(qmp, "query-block", NULL, NULL, error);
    JsonArray *blocks = vireo_json_node_array(answer), *nodes = json_array_new();
    g_autofree char *memory = NULL;

    for (guint i = 0; answer && i < vireo_json_length(blocks); i++) {
        JsonObject *inserted = vireo_json_object(vireo_json_element(blocks, i), "inserted");
        JsonArray *tags = vireo_json_array(vireo_json_object(inserted, "image"), "snapshots");
        const char *node = vireo_json_string(inserted, "node-name");

        for (guint t = 0; t < vireo_json_length(tags); t++) {
            JsonObject *tag = vireo_json_element(tags, t);

            if (g_strcmp0(vireo_json_string(tag, "name"), name))
                continue;
            json_array_add_string_element(nodes, node);
            if (vireo_json_int(tag, "vm-state-size", 0) > 0 && !memory)
                memory = g_strdup(node);
        }
    }
    if (answer && memory)
        return qemu_snapshot_job(dom, call, qmp, "snapshot-load", name, memory, nodes, error);
    json_array_unref(nodes);
    if (answer)
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "'vireo doctor' tells what is left of it",
                    "snapshot '%s' has the guest's memory in no image", name);
    return FALSE;
}

/* ---- stopped guests ------------------------------------------------------------ */

/* qemu-img removes by name, but goes to whatever has that number before it looks for the name. Caller frees. */
static char *number_of(const char *path, const char *tag)
{
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(path, TRUE, NULL);
    const QemuImageSnapshot *point = info ? qemu_image_info_snapshot(info, tag) : NULL;

    return g_strdup(point && point->id && *point->id ? point->id : tag);
}

gboolean qemu_snapshot_image_do(QemuDomain *dom, vireo_call *call, const char *path, char what,
                                const char *tag, GError **error)
{
    char option[] = { '-', what, 0 };
    g_autofree char *which = what == 'a' ? number_of(path, tag) : g_strdup(tag);
    const char *argv[] = { IMAGE_TOOL, "snapshot", option, which, path, NULL };

    return qemu_engine_image_tool(dom, FALSE, call, path, argv, error);
}
