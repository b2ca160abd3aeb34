/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "saving.h"

#include "images.h"
#include "watch.h"

#define POLL_US 5000
#define POLL_MAX_US 50000
#define COPY_PASSES 3 /* of the whole memory, before the guest has to wait for the rest */
#define NO_LIMIT_MS 2000000

/* ---- figures ------------------------------------------------------------------- */

void qemu_saving_begin(QemuDomain *dom, int operation)
{
    g_mutex_lock(&dom->lock);
    dom->saving = (QemuSaving){ .active = TRUE, .operation = operation, .since = g_get_monotonic_time() };
    g_mutex_unlock(&dom->lock);
}

void qemu_saving_heard(QemuDomain *dom, const char *event, gint64 usec)
{
    g_mutex_lock(&dom->lock);
    if (dom->saving.active && g_str_equal(event, "STOP"))
        dom->saving.stopped_at = usec;
    if (dom->saving.active && g_str_equal(event, "RESUME") && dom->saving.stopped_at)
        dom->saving.pause_us = MAX(usec - dom->saving.stopped_at, 1);
    g_mutex_unlock(&dom->lock);
}

void qemu_saving_end(QemuDomain *dom, gboolean success)
{
    g_mutex_lock(&dom->lock);
    dom->saving.active = dom->saving.stop = FALSE;
    dom->saving.over = TRUE;
    dom->saving.failed = !success;
    dom->saving.elapsed_us = g_get_monotonic_time() - dom->saving.since;
    g_mutex_unlock(&dom->lock);
}

static void note(QemuDomain *dom, JsonObject *info)
{
    JsonObject *ram = vireo_json_object(info, "ram");

    if (!ram)
        return;
    g_mutex_lock(&dom->lock);
    dom->saving.total = (guint64)vireo_json_int(ram, "total", 0);
    dom->saving.done = (guint64)vireo_json_int(ram, "transferred", 0);
    dom->saving.left = (guint64)vireo_json_int(ram, "remaining", 0);
    g_mutex_unlock(&dom->lock);
}

gboolean qemu_saving_stats(QemuDomain *dom, gboolean completed, gboolean keep, VireoParams *params, int *type)
{
    g_mutex_lock(&dom->lock);
    QemuSaving saving = dom->saving;
    if (completed && !keep)
        dom->saving.over = FALSE;
    g_mutex_unlock(&dom->lock);
    if (completed ? !saving.over : !saving.active)
        return FALSE;
    gint64 elapsed = completed ? saving.elapsed_us : g_get_monotonic_time() - saving.since;
    *type = !completed ? VIREO_DOMAIN_JOB_UNBOUNDED : saving.failed ? VIREO_DOMAIN_JOB_FAILED : VIREO_DOMAIN_JOB_COMPLETED;
    vireo_param_int(params, "operation", saving.operation);
    vireo_param_ullong(params, "time_elapsed", (guint64)elapsed / 1000);
    if (saving.pause_us)
        vireo_param_ullong(params, "downtime", (guint64)(saving.pause_us + 999) / 1000);
    vireo_param_ullong(params, "data_total", saving.total);
    vireo_param_ullong(params, "data_processed", saving.done);
    vireo_param_ullong(params, "data_remaining", saving.left);
    vireo_param_ullong(params, "memory_total", saving.total);
    vireo_param_ullong(params, "memory_processed", saving.done);
    vireo_param_ullong(params, "memory_remaining", saving.left);
    if (completed)
        vireo_param_boolean(params, "success", !saving.failed);
    return TRUE;
}

gboolean qemu_saving_abort(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean active = dom->saving.active;
    dom->saving.stop = active;
    g_mutex_unlock(&dom->lock);
    return active;
}

/* ---- writing ------------------------------------------------------------------- */

gboolean qemu_saving_pass(VireoQmp *qmp, int fd, GError **error)
{
    g_autoptr(JsonNode) passed = vireo_qmp_call_fd(
        qmp, "getfd", vireo_json_new('s', "fdname", "save", 0), fd, NULL, error);

    return passed != NULL;
}

gboolean qemu_saving_start(VireoQmp *qmp, GError **error)
{
    return vireo_qmp_run(qmp, "migrate", vireo_json_new('s', "uri", "fd:save", 0), NULL, error);
}

void qemu_saving_watched(QemuDomain *dom, gboolean can_end)
{
    g_mutex_lock(&dom->lock);
    dom->saving.watched = TRUE;
    dom->saving.stuck = !can_end;
    g_mutex_unlock(&dom->lock);
}

static gboolean is_unwanted(QemuDomain *dom, vireo_call *call)
{
    g_mutex_lock(&dom->lock);
    gboolean stop = dom->saving.stop;
    g_mutex_unlock(&dom->lock);
    return stop || (call && dom->space->driver->host->cancelled(call));
}

/* Nothing guarantees that copying catches up with a guest that runs: after a while it waits for us. */
static gboolean hurry(VireoQmp *qmp, JsonObject *info)
{
    JsonObject *ram = vireo_json_object(info, "ram");

    return vireo_json_int(ram, "transferred", 0) > COPY_PASSES * vireo_json_int(ram, "total", G_MAXINT32) &&
           vireo_qmp_run(qmp, "migrate-set-parameters", vireo_json_new('i', "downtime-limit", (gint64)NO_LIMIT_MS, 0),
                         NULL, NULL);
}

/* To let go of an image QEMU opens it anew, by its name; when it cannot, it says "failed" and no more. Caller frees. */
static char *image_gone(VireoQmp *qmp)
{
    g_autoptr(JsonNode) answer =
        vireo_qmp_call(qmp, "query-named-block-nodes", vireo_json_new('b', "flat", TRUE, 0), NULL, NULL);
    JsonArray *list = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *node = vireo_json_element(list, i);
        const char *file = vireo_json_string(node, "file");

        if (!g_strcmp0(vireo_json_string(node, "drv"), "file") && file && !qemu_image_is_there(file))
            return g_strdup_printf("image %s is not there any more", file);
    }
    return NULL;
}

static void tell_failure(VireoQmp *qmp, JsonObject *info, gboolean cancelled, GError **error)
{
    const char *why = vireo_json_string(info, "error-desc"), *status = vireo_json_string(info, "status");
    g_autofree char *gone = why || cancelled ? NULL : image_gone(qmp);

    if (!why)
        why = gone ? gone : status ? status : "it says nothing about it";
    qemu_error(error, cancelled ? VIREO_ERR_OPERATION_ABORTED : VIREO_ERR_OPERATION_FAILED,
               "QEMU did not save the guest: %s", why);
}

gboolean qemu_saving_wait(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *until, GError **error)
{
    gboolean cancelled = FALSE, hurried = g_str_equal(until, "completed");

    for (guint pause = POLL_US;; pause = MIN(pause + 1000, POLL_MAX_US)) {
        g_autoptr(JsonNode) node = vireo_qmp_call(qmp, "query-migrate", NULL, NULL, error);
        JsonObject *info = vireo_json_node_object(node);
        const char *status = vireo_json_string(info, "status");

        if (!node)
            return FALSE;
        note(dom, info);
        if (cancelled && !g_strcmp0(status, "completed")) {
            qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "the guest's memory is not wanted any more");
            return FALSE;
        }
        if (!g_strcmp0(status, "completed") || !g_strcmp0(status, until))
            return TRUE;
        if (!status || g_str_equal(status, "none") || g_str_equal(status, "failed") ||
            g_str_equal(status, "cancelled")) {
            tell_failure(qmp, info, cancelled, error);
            return FALSE;
        }
        if (!call && g_atomic_int_get(&dom->space->driver->stopping)) {
            qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "the daemon ends");
            return FALSE;
        }
        hurried = hurried || hurry(qmp, info);
        if (!cancelled && is_unwanted(dom, call)) {
            if (!dom->saving.stuck)
                vireo_qmp_send(qmp, "migrate_cancel", NULL, -1, NULL, NULL);
            cancelled = TRUE;
        }
        /* Or QEMU itself might wait for memory that nobody saves any more. */
        if (cancelled && dom->saving.watched && !dom->saving.stuck)
            qemu_watch_end(dom);
        g_usleep(pause);
    }
}

void qemu_saving_cancel(VireoQmp *qmp)
{
    vireo_qmp_run(qmp, "migrate_cancel", NULL, NULL, NULL);
    for (guint waited = 0; waited < 10000; waited += 5) {
        g_autoptr(JsonNode) node = vireo_qmp_call(qmp, "query-migrate", NULL, NULL, NULL);
        const char *status = vireo_json_string(vireo_json_node_object(node), "status");

        if (!status || (!g_str_equal(status, "cancelling") && !g_str_equal(status, "active") &&
                        !g_str_equal(status, "setup") && !g_str_equal(status, "pre-switchover") &&
                        !g_str_equal(status, "device")))
            return;
        g_usleep(5000);
    }
}
