/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a request to the steps that take a snapshot. */
#include "inside.h"

#include <vireo/ops.h>

static QemuNode *active_node(QemuGraph *graph, const char *slot, GError **error)
{
    QemuRef *ref = qemu_holder_ref(qemu_graph_holder(graph, QEMU_HOLD_ACTIVE, ""), slot);

    if (!ref)
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "leave the disk out (snapshot='no')",
                    "the domain has no image for disk '%s'",
                   slot);
    return ref ? ref->node : NULL;
}

static gboolean internal(QemuGraph *graph, QemuPlan *plan, const QemuSnapRequest *request,
                         const QemuSnapDisk *disk, QemuNode *node, GError **error)
{
    if (node->kind != QEMU_FILE_QCOW2) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "snapshot='external' for this disk, or a qcow2 image",
                    "disk '%s': an image in raw format cannot hold an internal snapshot (%s)",
                   disk->slot, node->path);
        return FALSE;
    }
    /* The guest writes to it anyway, and a point does not change what its present reads. */
    if (qemu_node_is_open(node)) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "snapshot='external', which does not write to it",
                    "disk '%s': image %s is read by a guest that runs and is not written to", disk->slot,
                    node->path);
        return FALSE;
    }
    if (!qemu_graph_add_point(graph, node->path, request->name, node->bytes, error)) {
        g_prefix_error(error, "disk '%s': ", disk->slot);
        return FALSE;
    }
    qemu_plan_add(plan, QEMU_STEP_POINT, node->path, NULL, request->name, disk->slot, 0);
    return request->forget ||
           qemu_graph_hold(graph, QEMU_HOLD_SNAPSHOT, request->name, disk->slot, node->path,
                           request->name, error);
}

static gboolean external(QemuGraph *graph, QemuPlan *plan, const QemuSnapRequest *request,
                         const QemuSnapDisk *disk, QemuNode *node, GError **error)
{
    guint flags = request->forget ? 0 : QEMU_FILE_OWNED;

    if (qemu_graph_has(graph, disk->overlay)) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "another file",
                    "disk '%s': %s is in use, it cannot become an overlay", disk->slot,
                   disk->overlay);
        return FALSE;
    }
    if (!qemu_graph_add(graph, disk->overlay, QEMU_FILE_QCOW2, flags, 0, node->path, error))
        return FALSE;
    qemu_plan_add(plan, disk->reuse ? QEMU_STEP_ADOPT : QEMU_STEP_OVERLAY, disk->overlay,
                  node->path, NULL, disk->slot, 0);
    return request->forget ||
           qemu_graph_hold(graph, QEMU_HOLD_SNAPSHOT, request->name, disk->slot, node->path, NULL,
                           error);
}

static gboolean one_disk(QemuGraph *graph, QemuPlan *plan, const QemuSnapRequest *request,
                         const QemuSnapDisk *disk, GError **error)
{
    QemuNode *node;

    if (disk->kind == QEMU_SNAP_NO || disk->kind == QEMU_SNAP_MANUAL)
        return TRUE;
    if (!(node = active_node(graph, disk->slot, error)))
        return FALSE;
    return disk->kind == QEMU_SNAP_INTERNAL ? internal(graph, plan, request, disk, node, error)
                                            : external(graph, plan, request, disk, node, error);
}

static gboolean memory(QemuGraph *graph, QemuPlan *plan, const QemuSnapRequest *request,
                       GError **error)
{
    if (request->memory != QEMU_SNAP_EXTERNAL)
        return TRUE;
    if (!qemu_graph_add(graph, request->memory_file, QEMU_FILE_STATE,
                        request->forget ? 0 : QEMU_FILE_OWNED, 0, NULL, error))
        return FALSE;
    qemu_plan_add(plan, QEMU_STEP_STATE, request->memory_file, NULL, NULL, NULL, 0);
    return request->forget || qemu_graph_hold(graph, QEMU_HOLD_SNAPSHOT, request->name, "memory",
                                              request->memory_file, NULL, error);
}

static gboolean side_files(QemuGraph *graph, QemuPlan *plan, const QemuSnapRequest *request,
                           GError **error)
{
    for (guint i = 0; i < request->n_sides; i++) {
        const QemuSideFile *side = &request->sides[i];

        if (!qemu_graph_add(graph, side->copy, QEMU_FILE_STATE, request->forget ? 0 : QEMU_FILE_OWNED, 0,
                            NULL, error))
            return FALSE;
        qemu_plan_add(plan, QEMU_STEP_COPY, side->copy, side->live, side->how, side->slot, 0);
        if (!request->forget && !qemu_graph_hold(graph, QEMU_HOLD_SNAPSHOT, request->name, side->slot,
                                                 side->copy, NULL, error))
            return FALSE;
    }
    return TRUE;
}

/* Something must be in it, and memory that is kept internally needs a place. */
static gboolean check(QemuGraph *graph, const QemuSnapRequest *request, GError **error)
{
    guint kinds[4] = { 0 };

    for (guint i = 0; i < request->n_disks; i++)
        kinds[request->disks[i].kind]++;
    if (qemu_graph_holder(graph, QEMU_HOLD_SNAPSHOT, request->name)) {
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "another name; or snapshot-delete it first",
                    "there is already a snapshot '%s'",
                   request->name);
        return FALSE;
    }
    if (request->memory == QEMU_SNAP_INTERNAL && !kinds[QEMU_SNAP_INTERNAL]) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "memory in a file, or an internal snapshot of a qcow2 disk",
                    "the guest's memory can be kept internally only together with an internal "
                   "snapshot of a disk");
        return FALSE;
    }
    if (request->memory == QEMU_SNAP_NO && !kinds[QEMU_SNAP_INTERNAL] &&
        !kinds[QEMU_SNAP_EXTERNAL] && !kinds[QEMU_SNAP_MANUAL]) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "a disk with snapshot='internal' or 'external', or memory",
                    "nothing is selected for snapshot '%s': neither a disk nor the memory",
                   request->name);
        return FALSE;
    }
    return TRUE;
}

gboolean qemu_plan_create(QemuGraph *graph, QemuPlan *plan, const QemuSnapRequest *request,
                          GError **error)
{
    if (!check(graph, request, error))
        return FALSE;
    for (guint i = 0; i < request->n_disks; i++)
        if (!one_disk(graph, plan, request, &request->disks[i], error))
            return FALSE;
    if (!memory(graph, plan, request, error) || !side_files(graph, plan, request, error))
        return FALSE;
    plan->no_return = plan->steps->len;
    if (!request->forget)
        qemu_plan_add(plan, QEMU_STEP_KEEP, NULL, NULL, request->name, NULL, 0);
    for (guint i = 0; i < request->n_disks; i++)
        if (request->disks[i].kind == QEMU_SNAP_EXTERNAL)
            qemu_plan_switch(graph, plan, request->disks[i].slot,
                             qemu_graph_node(graph, request->disks[i].overlay), FALSE);
    if (!request->forget)
        qemu_plan_add(plan, QEMU_STEP_CURRENT, NULL, NULL, request->name, NULL, 0);
    return TRUE;
}
