/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plans as data: text for the journal, and the way back. */
#include "inside.h"

#include <vireo/ops.h>

#include "kit/json.h"

static const char *const kind_names[] = {
    [QEMU_STEP_OVERLAY] = "overlay", [QEMU_STEP_ADOPT] = "adopt",
    [QEMU_STEP_POINT] = "point",     [QEMU_STEP_STATE] = "state",
    [QEMU_STEP_EXTRACT] = "extract", [QEMU_STEP_CLONE] = "clone",
    [QEMU_STEP_APPLY] = "apply",     [QEMU_STEP_COPY] = "copy",
    [QEMU_STEP_REPLACE] = "replace",
    [QEMU_STEP_SWITCH] = "switch",   [QEMU_STEP_KEEP] = "keep",
    [QEMU_STEP_FORGET] = "forget",   [QEMU_STEP_CURRENT] = "current",
    [QEMU_STEP_DROP_POINT] = "drop-point", [QEMU_STEP_PULL] = "pull",
    [QEMU_STEP_COMMIT] = "commit",   [QEMU_STEP_REPOINT] = "repoint",
    [QEMU_STEP_UNLINK] = "unlink",
};

const char *qemu_step_kind_name(QemuStepKind kind)
{
    return kind_names[kind];
}

static void step_free(gpointer opaque)
{
    QemuStep *step = opaque;

    g_free(step->image);
    g_free(step->other);
    g_free(step->tag);
    g_free(step->slot);
    g_free(step);
}

QemuPlan *qemu_plan_new(void)
{
    QemuPlan *plan = g_new0(QemuPlan, 1);

    plan->steps = g_ptr_array_new_with_free_func(step_free);
    return plan;
}

void qemu_plan_free(QemuPlan *plan)
{
    if (!plan)
        return;
    g_ptr_array_unref(plan->steps);
    g_free(plan);
}

const QemuStep *qemu_plan_step(const QemuPlan *plan, guint index)
{
    return plan->steps->pdata[index];
}

QemuStep *qemu_plan_add(QemuPlan *plan, QemuStepKind kind, const char *image, const char *other,
                        const char *tag, const char *slot, guint64 bytes)
{
    QemuStep *step = g_new0(QemuStep, 1);

    step->kind = kind;
    step->image = g_strdup(image);
    step->other = g_strdup(other);
    step->tag = g_strdup(tag);
    step->slot = g_strdup(slot);
    step->bytes = bytes;
    g_ptr_array_add(plan->steps, step);
    return step;
}

guint64 qemu_plan_bytes(const QemuPlan *plan)
{
    guint64 bytes = 0;

    for (guint i = 0; i < plan->steps->len; i++)
        bytes += qemu_plan_step(plan, i)->bytes;
    return bytes;
}

/* ---- the journal ---------------------------------------------------------------- */

char *qemu_plan_text(const QemuPlan *plan)
{
    JsonArray *steps = json_array_new();

    for (guint i = 0; i < plan->steps->len; i++) {
        const QemuStep *step = qemu_plan_step(plan, i);

        json_array_add_object_element(
            steps, vireo_json_new('s', "kind", kind_names[step->kind], 's', "image", step->image,
                                  's', "other", step->other, 's', "tag", step->tag, 's', "slot",
                                  step->slot, 'i', "bytes", (gint64)step->bytes, 0));
    }
    g_autoptr(JsonObject) object =
        vireo_json_new('i', "no-return", (gint64)plan->no_return, 'a', "steps", steps, 0);
    return vireo_json_text(object);
}

static gboolean read_step(QemuPlan *plan, JsonObject *object)
{
    const char *kind = vireo_json_string(object, "kind");

    for (guint i = 0; i < G_N_ELEMENTS(kind_names); i++) {
        if (g_strcmp0(kind, kind_names[i]))
            continue;
        qemu_plan_add(plan, (QemuStepKind)i, vireo_json_string(object, "image"),
                      vireo_json_string(object, "other"), vireo_json_string(object, "tag"),
                      vireo_json_string(object, "slot"),
                      (guint64)vireo_json_int(object, "bytes", 0));
        return TRUE;
    }
    return FALSE;
}

QemuPlan *qemu_plan_parse(const char *text, gsize len, GError **error)
{
    g_autoptr(JsonObject) object = vireo_json_parse(text, (gssize)len, error);
    JsonArray *steps = vireo_json_array(object, "steps");
    g_autoptr(QemuPlan) plan = qemu_plan_new();
    gint64 no_return = vireo_json_int(object, "no-return", -1);

    if (!object)
        return NULL;
    for (guint i = 0; i < vireo_json_length(steps); i++)
        if (!read_step(plan, vireo_json_element(steps, i))) {
            qemu_error(error, VIREO_ERR_INTERNAL_ERROR, "step %u of a plan makes no sense", i);
            return NULL;
        }
    if (!steps || no_return < 0 || no_return > (gint64)plan->steps->len) {
        qemu_error(error, VIREO_ERR_INTERNAL_ERROR, "a plan makes no sense");
        return NULL;
    }
    plan->no_return = (guint)no_return;
    return g_steal_pointer(&plan);
}

/* ---- the way back --------------------------------------------------------------- */

static void undo(QemuPlan *back, const QemuStep *step)
{
    switch (step->kind) {
    case QEMU_STEP_OVERLAY:
    case QEMU_STEP_EXTRACT:
    case QEMU_STEP_CLONE:
    case QEMU_STEP_STATE:
    case QEMU_STEP_COPY:
        qemu_plan_add(back, QEMU_STEP_UNLINK, step->image, NULL, NULL, NULL, 0);
        break;
    case QEMU_STEP_POINT:
        qemu_plan_add(back, QEMU_STEP_DROP_POINT, step->image, NULL, step->tag, NULL, 0);
        break;
    case QEMU_STEP_APPLY:
        qemu_plan_add(back, QEMU_STEP_APPLY, step->image, NULL, QEMU_UNDO_TAG, NULL, 0);
        break;
    default: /* leaves nothing behind */
        break;
    }
}

QemuPlan *qemu_plan_rollback(const QemuPlan *plan, guint done)
{
    if (done > plan->no_return)
        return NULL;
    QemuPlan *back = qemu_plan_new();
    while (done-- > 0)
        undo(back, qemu_plan_step(plan, done));
    return back;
}

void qemu_plan_switch(QemuGraph *graph, QemuPlan *plan, const char *slot, QemuNode *node,
                      gboolean released)
{
    QemuHolder *active = qemu_graph_holder(graph, QEMU_HOLD_ACTIVE, "");
    QemuRef *ref = qemu_holder_ref(active, slot);

    if (ref && ref->node == node)
        return;
    if (ref)
        qemu_holder_drop(active, ref, released);
    qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", slot, node->path, NULL, NULL);
    node->flags &= ~(guint)QEMU_FILE_RELEASED;
    qemu_plan_add(plan, QEMU_STEP_SWITCH, node->path, NULL, NULL, slot, 0);
}
