/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The firmware's variables of a running guest: copied at the moment of a snapshot, and put back. */
#include "sidefile.h"

#include <unistd.h>

#include "engine.h"
#include "events.h"
#include "images.h"

#define COPY_JOB "vireo-nvram"
#define COPY_NODE "vireo-nvram-file"
#define POLL_US 5000
#define END_TRIES 1000

static gboolean is_tpm(const QemuStep *step)
{
    return !g_strcmp0(step->slot, "tpm");
}

static gint64 size_of(VireoQmp *qmp, const char *node, GError **error)
{
    g_autoptr(JsonNode) answer =
        vireo_qmp_call(qmp, "query-named-block-nodes", vireo_json_new('b', "flat", TRUE, 0), NULL, error);
    JsonArray *nodes = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(nodes); i++) {
        JsonObject *one = vireo_json_element(nodes, i);

        if (!g_strcmp0(vireo_json_string(one, "node-name"), node))
            return vireo_json_int(vireo_json_object(one, "image"), "virtual-size", 0);
    }
    if (answer)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU has no node '%s'", node);
    return -1;
}

static gboolean open_file(VireoQmp *qmp, const char *path, gboolean readonly, GError **error)
{
    return vireo_qmp_run(qmp, "blockdev-add",
                         vireo_json_new('s', "driver", "file", 's', "filename", path, 's', "node-name", COPY_NODE,
                                        'b', "read-only", readonly, 0),
                         NULL, error);
}

gboolean qemu_side_open(QemuDomain *dom, VireoQmp *qmp, const QemuStep *step, GError **error)
{
    if (is_tpm(step)) /* copied at the moment itself */
        return TRUE;
    gint64 size = size_of(qmp, QEMU_NVRAM_NODE, error);
    if (size < 0 || !qemu_engine_make_file(dom, step->image, step->other, error))
        return FALSE;
    qemu_job_forget(dom, COPY_JOB);
    if (truncate(step->image, (off_t)size) == 0 && open_file(qmp, step->image, FALSE, error))
        return TRUE;
    qemu_engine_unlink(dom, step->image, NULL);
    if (error && !*error)
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot write %s", step->image);
    return FALSE;
}

gboolean qemu_side_needs_stop(const QemuPlan *plan)
{
    for (guint i = 0; i < plan->no_return; i++)
        if (qemu_plan_step(plan, i)->kind == QEMU_STEP_COPY && is_tpm(qemu_plan_step(plan, i)))
            return TRUE;
    return FALSE;
}

JsonObject *qemu_side_action(const QemuStep *step)
{
    if (is_tpm(step))
        return NULL;
    return vireo_json_new('s', "type", "blockdev-backup", 'o', "data",
                          vireo_json_new('s', "job-id", COPY_JOB, 's', "device", QEMU_NVRAM_NODE, 's', "target",
                                         COPY_NODE, 's', "sync", "full", 'b', "auto-dismiss", FALSE, 0),
                          0);
}

gboolean qemu_side_wait(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const QemuPlan *plan,
                        GError **error)
{
    for (guint i = 0; i < plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(plan, i);

        if (step->kind != QEMU_STEP_COPY)
            continue;
        if (is_tpm(step) ? !qemu_side_step(dom, call, step, error)
                         : !qemu_job_wait(dom, call, qmp, COPY_JOB, error) || !qemu_side_sync(step->image, error))
            return FALSE;
    }
    return TRUE;
}

/* The copy's job is over or was none; with its error. */
static gboolean is_over(VireoQmp *qmp, char **problem)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(qmp, "query-jobs", NULL, NULL, NULL);
    JsonArray *jobs = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(jobs); i++) {
        JsonObject *job = vireo_json_element(jobs, i);

        if (g_strcmp0(vireo_json_string(job, "id"), COPY_JOB))
            continue;
        g_free(*problem);
        *problem = g_strdup(vireo_json_string(job, "error"));
        return !g_strcmp0(vireo_json_string(job, "status"), "concluded");
    }
    return TRUE;
}

static void close_file(VireoQmp *qmp)
{
    g_autofree char *problem = NULL;

    for (guint tries = 0; tries < END_TRIES && vireo_qmp_is_open(qmp) && !is_over(qmp, &problem); tries++) {
        vireo_qmp_run(qmp, "job-cancel", vireo_json_new('s', "id", COPY_JOB, 0), NULL, NULL);
        g_usleep(POLL_US);
    }
    vireo_qmp_run(qmp, "job-dismiss", vireo_json_new('s', "id", COPY_JOB, 0), NULL, NULL);
    vireo_qmp_run(qmp, "blockdev-del", vireo_json_new('s', "node-name", COPY_NODE, 0), NULL, NULL);
}

void qemu_side_close(VireoQmp *qmp, const QemuPlan *plan)
{
    for (guint i = 0; i < plan->no_return; i++)
        if (qemu_plan_step(plan, i)->kind == QEMU_STEP_COPY)
            close_file(qmp);
}

gboolean qemu_side_rest(VireoQmp *qmp, const QemuPlan *plan, GError **error)
{
    g_autofree char *problem = NULL;

    while (vireo_qmp_is_open(qmp) && !is_over(qmp, &problem))
        g_usleep(POLL_US);
    qemu_side_close(qmp, plan);
    if (problem)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "NVRAM is not copied: %s", problem);
    return problem == NULL;
}

gboolean qemu_side_load(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const VireoDomainSnapshot *doc,
                        GError **error)
{
    const char *path = doc->nvram ? doc->nvram->file : NULL;
    QemuImage image = { (char *)path, VIREO_DOMAIN_STORAGE_FORMAT_RAW, TRUE, TRUE };

    if (!path)
        return TRUE;
    qemu_job_forget(dom, COPY_JOB);
    if (!qemu_image_give(dom->space->driver, dom->uuid_text, &image, error) ||
        !open_file(qmp, path, TRUE, error))
        return FALSE;
    gboolean loaded =
        vireo_qmp_run(qmp, "blockdev-backup",
                      vireo_json_new('s', "job-id", COPY_JOB, 's', "device", COPY_NODE, 's', "target",
                                     QEMU_NVRAM_NODE, 's', "sync", "full", 'b', "auto-dismiss", FALSE, 0),
                      NULL, error) &&
        qemu_job_wait(dom, call, qmp, COPY_JOB, error);
    close_file(qmp);
    qemu_image_take_back_one(dom->space->driver, dom->uuid_text, path);
    return loaded;
}
