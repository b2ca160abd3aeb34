/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Steps of plans in a running QEMU. Its nodes are found by their files: names change with every
 * snapshot. */
#include "engine.h"

#include <string.h>

#include "bitmaps.h"
#include "events.h"
#include "images.h"
#include "launch.h"
#include "remote.h"
#include "sidefile.h"

#define READY_MS 60000

char *qemu_live_node(VireoQmp *qmp, const char *path, GError **error)
{
    g_autoptr(QemuNodes) nodes = qemu_nodes_ask(qmp, error);

    return nodes ? qemu_nodes_find(nodes, path, FALSE) : NULL;
}

static char *need_node(VireoQmp *qmp, const char *path, GError **error)
{
    g_autoptr(GError) failure = NULL;
    char *node = qemu_live_node(qmp, path, &failure);

    if (!node && !failure)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU has not opened image %s", path);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return node;
}

char *qemu_live_new_name(VireoQmp *qmp, const char *dev, GError **error)
{
    g_autoptr(QemuNodes) nodes = qemu_nodes_ask(qmp, error);

    return nodes ? qemu_nodes_new_name(nodes, dev) : NULL;
}

gboolean qemu_live_open(QemuDomain *dom, VireoQmp *qmp, const VireoDomainDisk *disk,
                        const char *path, GError **error)
{
    QemuNodes *nodes = qemu_nodes_of(dom, qmp, error);
    g_autofree char *name = nodes ? qemu_nodes_new_name(nodes, disk->target->dev) : NULL;

    if (!nodes)
        return FALSE;
    JsonObject *storage, *format;
    qemu_disk_overlay_nodes(disk, path, name, &storage, &format);
    g_autofree char *storage_name = g_strdup(vireo_json_string(storage, "node-name"));
    if (!vireo_qmp_run(qmp, "blockdev-add", storage, NULL, error)) {
        json_object_unref(format);
        return FALSE;
    }
    if (vireo_qmp_run(qmp, "blockdev-add", format, NULL, error)) {
        qemu_nodes_opened(nodes, path, name);
        return TRUE;
    }
    vireo_qmp_run(qmp, "blockdev-del", vireo_json_new('s', "node-name", storage_name, 0), NULL, NULL);
    return FALSE;
}

void qemu_live_close(VireoQmp *qmp, const char *path)
{
    g_autoptr(QemuNodes) nodes = qemu_nodes_ask(qmp, NULL);

    for (guint storage = 0; nodes && storage < 2; storage++) {
        g_autofree char *name = qemu_nodes_find(nodes, path, storage);

        if (name)
            vireo_qmp_run(qmp, "blockdev-del", vireo_json_new('s', "node-name", name, 0), NULL, NULL);
    }
}

gboolean qemu_live_is_top(VireoQmp *qmp, const char *path)
{
    g_autofree char *node = qemu_live_node(qmp, path, NULL);
    g_autoptr(JsonNode) blocks = vireo_qmp_call(qmp, "query-block", NULL, NULL, NULL);
    JsonArray *list = vireo_json_node_array(blocks);

    for (guint i = 0; node && i < vireo_json_length(list); i++) {
        JsonObject *inserted = vireo_json_object(vireo_json_element(list, i), "inserted");

        if (!g_strcmp0(vireo_json_string(inserted, "node-name"), node))
            return TRUE;
    }
    return FALSE;
}

/* ---- creating --------------------------------------------------------------------- */

static JsonObject *action(const QemuNodes *nodes, const QemuStep *step, GError **error)
{
    g_autofree char *image = qemu_nodes_find(nodes, step->image, FALSE);
    g_autofree char *other = step->other ? qemu_nodes_find(nodes, step->other, FALSE) : NULL;

    if (!image || (step->kind != QEMU_STEP_POINT && !other)) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU has not opened image %s",
                   image ? step->other : step->image);
        return NULL;
    }
    if (step->kind == QEMU_STEP_POINT)
        return vireo_json_new('s', "type", "blockdev-snapshot-internal-sync", 'o', "data",
                              vireo_json_new('s', "device", image, 's', "name", step->tag, 0), 0);
    return vireo_json_new('s', "type", "blockdev-snapshot", 'o', "data",
                          vireo_json_new('s', "node", other, 's', "overlay", image, 0), 0);
}

static gboolean has_bitmap(JsonArray *bitmaps, const char *name)
{
    for (guint i = 0; i < vireo_json_length(bitmaps); i++)
        if (!g_strcmp0(vireo_json_string(vireo_json_element(bitmaps, i), "name"), name))
            return TRUE;
    return FALSE;
}

/* The overlay goes on noting down what the checkpoints of the image it covers did. */
static void carry_bitmaps(const QemuNodes *nodes, const QemuStep *step, JsonArray *actions)
{
    g_autofree char *overlay = qemu_nodes_find(nodes, step->image, FALSE);
    g_autofree char *covered = qemu_nodes_find(nodes, step->other, FALSE);
    JsonArray *bitmaps = qemu_nodes_bitmaps(nodes, covered), *there = qemu_nodes_bitmaps(nodes, overlay);

    for (guint i = 0; i < vireo_json_length(bitmaps); i++) {
        JsonObject *bitmap = vireo_json_element(bitmaps, i);

        if (!vireo_json_bool(bitmap, "recording") || !vireo_json_bool(bitmap, "persistent") ||
            has_bitmap(there, vireo_json_string(bitmap, "name")))
            continue;
        json_array_add_object_element(
            actions, vireo_json_new('s', "type", "block-dirty-bitmap-add", 'o', "data",
                                    vireo_json_new('s', "node", overlay, 's', "name",
                                                   vireo_json_string(bitmap, "name"), 'b', "persistent",
                                                   TRUE, 0),
                                    0));
    }
}

static void add_side(JsonArray *actions, JsonObject *action)
{
    if (action)
        json_array_add_object_element(actions, action);
}

JsonObject *qemu_live_actions(QemuDomain *dom, VireoQmp *qmp, const QemuPlan *plan, gboolean points,
                              GError **error)
{
    const QemuNodes *nodes = qemu_nodes_of(dom, qmp, error);
    g_autoptr(JsonArray) actions = json_array_new();

    if (!nodes)
        return NULL;
    for (guint i = 0; i < plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(plan, i);

        if (step->kind == QEMU_STEP_COPY)
            add_side(actions, qemu_side_action(step));
        if (step->kind != QEMU_STEP_OVERLAY && step->kind != QEMU_STEP_ADOPT &&
            !(points && step->kind == QEMU_STEP_POINT))
            continue;
        JsonObject *one = action(nodes, step, error);
        if (!one)
            return NULL;
        json_array_add_object_element(actions, one);
        if (step->kind != QEMU_STEP_POINT)
            carry_bitmaps(nodes, step, actions);
    }
    return vireo_json_new('a', "actions", json_array_ref(actions), 0);
}

/* Nodes stay as they are, and have no more bitmaps than before. */
static gboolean is_plain(JsonObject *actions)
{
    JsonArray *list = vireo_json_array(actions, "actions");

    for (guint i = 0; i < vireo_json_length(list); i++)
        if (!g_str_has_prefix(vireo_json_string(vireo_json_element(list, i), "type"), "blockdev-snapshot"))
            return FALSE;
    return TRUE;
}

gboolean qemu_live_transaction(QemuDomain *dom, VireoQmp *qmp, const QemuPlan *plan, gboolean points,
                               GError **error)
{
    JsonObject *actions = qemu_live_actions(dom, qmp, plan, points, error);
    gboolean plain = actions && is_plain(actions);

    if (!actions || !vireo_qmp_run(qmp, "transaction", actions, NULL, error))
        return FALSE;
    if (plain)
        qemu_nodes_passed(dom->nodes, 1);
    return TRUE;
}

/* ---- deleting --------------------------------------------------------------------- */

static gboolean set_writable(VireoQmp *qmp, const char *path, gboolean writable, GError **error)
{
    g_autoptr(QemuNodes) nodes = qemu_nodes_ask(qmp, error);
    g_autofree char *format = nodes ? qemu_nodes_find(nodes, path, FALSE) : NULL;
    g_autofree char *storage = nodes ? qemu_nodes_find(nodes, path, TRUE) : NULL;
    g_autofree char *below = qemu_engine_backing(path);
    g_autofree char *backing = nodes && below ? qemu_nodes_find(nodes, below, FALSE) : NULL;
    JsonArray *options = json_array_new();

    /* Both in one call, by the names they have: see blockdev-reopen. */
    JsonObject *bottom = qemu_is_remote(path)
                             ? qemu_remote_options(path)
                             : vireo_json_new('s', "driver", qemu_is_block(path) ? "host_device" : "file", 's',
                                              "filename", path, 0);
    json_object_set_string_member(bottom, "node-name", storage ? storage : "");
    json_object_set_boolean_member(bottom, "read-only", !writable);
    json_object_set_string_member(bottom, "discard", "unmap");
    json_array_add_object_element(options, bottom);
    JsonObject *top = vireo_json_new('s', "driver", "qcow2", 's', "node-name", format, 's', "file",
                                     storage, 's', "backing", backing, 'b', "read-only", !writable, 0);
    if (!backing)
        json_object_set_null_member(top, "backing");
    json_array_add_object_element(options, top);
    return nodes && vireo_qmp_run(qmp, "blockdev-reopen", vireo_json_new('a', "options", options, 0),
                                  NULL, error);
}

gboolean qemu_live_writable(QemuDomain *dom, VireoQmp *qmp, const char *path, gboolean writable,
                            GError **error)
{
    QemuImage image = { (char *)path, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2, FALSE, TRUE };

    return (!writable || qemu_image_give(dom->space->driver, dom->uuid_text, &image, error)) &&
           set_writable(qmp, path, writable, error);
}

/* QEMU forgets a snapshot even when it could not write that down: then the file still has it, and qemu-img takes it out of
 * there when the guest is off. */
static gboolean is_gone(QemuDomain *dom, const QemuStep *step, GError **error)
{
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(step->image, TRUE, NULL);

    if (!info || !qemu_image_info_snapshot(info, step->tag))
        return TRUE;
    qemu_lost_wait(dom, step->image, step->tag);
    qemu_error(error, VIREO_ERR_OPERATION_FAILED,
               "QEMU could not write to %s that snapshot '%s' is not in it any more; it goes when the guest is off",
               step->image, step->tag);
    qemu_error_add_room(error, step->image);
    return FALSE;
}

static gboolean drop_point(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const QemuStep *step,
                           const char *node, GError **error)
{
    gboolean top = qemu_live_is_top(qmp, step->image);

    JsonArray *nodes = json_array_new();
    json_array_add_string_element(nodes, node);
    if (!top && !set_writable(qmp, step->image, TRUE, error)) {
        json_array_unref(nodes);
        return FALSE;
    }
    g_mutex_lock(&dom->lock);
    dom->quiet_states = TRUE; /* the job stops the guest while it works */
    g_mutex_unlock(&dom->lock);
    gboolean done =
        qemu_snapshot_job(dom, call, qmp, "snapshot-delete", step->tag, NULL, nodes, error) && is_gone(dom, step, error);
    g_mutex_lock(&dom->lock);
    dom->quiet_states = FALSE;
    g_mutex_unlock(&dom->lock);
    if (!top)
        set_writable(qmp, step->image, FALSE, NULL);
    return done;
}

static gboolean has_job(VireoQmp *qmp, const char *id)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(qmp, "query-jobs", NULL, NULL, NULL);
    JsonArray *jobs = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(jobs); i++)
        if (!g_strcmp0(vireo_json_string(vireo_json_element(jobs, i), "id"), id))
            return TRUE;
    return FALSE;
}

/* Of an earlier daemon, if it is still there. */
static void end_job(QemuDomain *dom, VireoQmp *qmp, const char *id)
{
    for (guint waited = 0; waited < READY_MS && has_job(qmp, id); waited += 5) {
        vireo_qmp_run(qmp, "job-cancel", vireo_json_new('s', "id", id, 0), NULL, NULL);
        vireo_qmp_run(qmp, "job-dismiss", vireo_json_new('s', "id", id, 0), NULL, NULL);
        g_usleep(5000);
    }
    qemu_job_forget(dom, id);
}

/* What QEMU keeps in mind of the image goes to disk: it writes that the image does not need those
 * below any more before it has written where their data is now. Until then the job must not end, and
 * until then again nothing may be unlinked. */
gboolean qemu_live_flush(VireoQmp *qmp, const char *node, GError **error)
{
    /* Opened again as it was: that flushes first, and says when it cannot. "flush" itself says nothing. */
    g_autofree char *line = g_strdup_printf("qemu-io %s reopen", node);
    g_autoptr(JsonNode) answer = vireo_qmp_call(
        qmp, "human-monitor-command", vireo_json_new('s', "command-line", line, 0), NULL, error);
    const char *said = answer && JSON_NODE_HOLDS_VALUE(answer) ? json_node_get_string(answer) : "";

    if (answer && said && *said)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU cannot flush %s: %s", node, said);
    return answer && said && !*said;
}

/* A stream that has ended must be gone at once: QEMU 7.2 crashes when it is asked for its nodes before
 * the job is dismissed. So whether it succeeded is read from the image. */
static gboolean finalize(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *id,
                         const QemuStep *step, const char *node, GError **error)
{
    if (!qemu_job_pending(dom, call, qmp, id, error))
        return FALSE;
    qemu_bitmaps_raise(dom, call, qmp, step->image, step->other);
    if (!qemu_live_flush(qmp, node, error)) {
        end_job(dom, qmp, id);
        return FALSE;
    }
    if (!vireo_qmp_run(qmp, "job-finalize", vireo_json_new('s', "id", id, 0), NULL, error) ||
        !qemu_job_wait(dom, NULL, qmp, id, error))
        return FALSE;
    g_autofree char *backing = qemu_engine_backing(step->image);
    if (g_strcmp0(backing, step->other)) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU did not merge %s with what it is based on",
                   step->image);
        return FALSE;
    }
    return qemu_live_flush(qmp, node, error);
}

static gboolean stream(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const QemuStep *step,
                       const char *node, GError **error)
{
    g_autofree char *base = step->other ? need_node(qmp, step->other, error) : NULL;
    gboolean top = qemu_live_is_top(qmp, step->image);
    const char *id = "vireo-pull";

    if (step->other && !base)
        return FALSE;
    end_job(dom, qmp, id);
    if (!top && !qemu_live_writable(dom, qmp, step->image, TRUE, error))
        return FALSE;
    /* Its own idea of the name may be JSON that cannot be opened again. */
    gboolean done =
        vireo_qmp_run(qmp, "block-stream",
                      vireo_json_new('s', "job-id", id, 's', "device", node, 's', "base-node", base, 's',
                                     "backing-file", step->other, 'b', "auto-finalize", FALSE, 'b', "auto-dismiss", TRUE, 0),
                      NULL, error) &&
        finalize(dom, call, qmp, id, step, node, error);
    if (!top)
        set_writable(qmp, step->image, FALSE, NULL);
    return done;
}

static gboolean tell_qemu(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const QemuStep *step, gboolean *done,
                          GError **error)
{
    g_autoptr(GError) failure = NULL;
    /* One that is removed is none of the present's: to know what QEMU had opened is enough. */
    const QemuNodes *known = step->kind == QEMU_STEP_UNLINK ? qemu_nodes_of(dom, qmp, &failure) : NULL;
    g_autofree char *node = known                     ? qemu_nodes_find(known, step->image, FALSE)
                            : step->image && !failure ? qemu_live_node(qmp, step->image, &failure)
                                                      : NULL;

    *done = FALSE;
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!node)
        return TRUE;
    *done = step->kind == QEMU_STEP_PULL || step->kind == QEMU_STEP_DROP_POINT;
    if (step->kind == QEMU_STEP_PULL)
        return stream(dom, call, qmp, step, node, error);
    if (step->kind == QEMU_STEP_DROP_POINT)
        return drop_point(dom, call, qmp, step, node, error);
    if (step->kind == QEMU_STEP_UNLINK)
        qemu_live_close(qmp, step->image);
    return TRUE;
}

gboolean qemu_live_step(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const QemuStep *step,
                        gboolean *done, GError **error)
{
    if (!qemu_domain_share_job(dom, error))
        return FALSE;
    gboolean told = tell_qemu(dom, call, qmp, step, done, error);
    qemu_domain_unshare_job(dom);
    /* Its list may be written, now or later, while the clusters still count as used. */
    if (!told && *done && step->kind == QEMU_STEP_DROP_POINT)
        qemu_lost_note(dom, step->image);
    return told;
}
