/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What QEMU reports by itself. */
#include "events.h"

#include <string.h>

#include "blockjob.h"
#include "channel.h"
#include "hotplug.h"
#include "livestate.h"
#include "process.h"
#include "saving.h"

static void raise_event(QemuDomain *dom, guint32 event, const void *message)
{
    dom->space->driver->host->event(dom->space->published, event, message);
}

/* A message's own reference; the name is borrowed, the host copies. */
static vireo_domain_ref self(QemuDomain *dom)
{
    vireo_domain_ref ref = { .name = dom->name, .id = dom->id };

    memcpy(ref.uuid, dom->uuid, 16);
    return ref;
}

static void set_run_state(QemuDomain *dom, int state, int reason)
{
    g_mutex_lock(&dom->lock);
    gboolean changed = dom->id != -1 && !dom->quiet_states && dom->state != state;
    if (changed) {
        dom->state = state;
        dom->reason = reason;
    }
    g_mutex_unlock(&dom->lock);
    if (!changed)
        return;
    qemu_domain_publish(dom);
    qemu_live_touch(dom);
}

static void on_stop(QemuDomain *dom, JsonObject *data)
{
    g_mutex_lock(&dom->lock);
    int reason = dom->stop_reason;
    dom->stop_reason = 0;
    gboolean crashed = dom->state == VIREO_DOMAIN_CRASHED; /* which QEMU said before */
    g_mutex_unlock(&dom->lock);
    if (!crashed)
        set_run_state(dom, VIREO_DOMAIN_PAUSED, reason);
}

static void on_resume(QemuDomain *dom, JsonObject *data)
{
    set_run_state(dom, VIREO_DOMAIN_RUNNING, VIREO_DOMAIN_RUNNING_UNPAUSED);
}

static void on_suspend(QemuDomain *dom, JsonObject *data)
{
    set_run_state(dom, VIREO_DOMAIN_PMSUSPENDED, VIREO_DOMAIN_PMSUSPENDED_UNKNOWN);
}

static void on_wakeup(QemuDomain *dom, JsonObject *data)
{
    set_run_state(dom, VIREO_DOMAIN_RUNNING, VIREO_DOMAIN_RUNNING_WAKEUP);
}

/* ---- the guest's end ----------------------------------------------------------- */

static void guest_restart(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    VireoQmp *qmp = dom->qmp ? vireo_qmp_ref(dom->qmp) : NULL;
    g_mutex_unlock(&dom->lock);
    if (!qmp)
        return;
    vireo_qmp_send(qmp, "system_reset", NULL, -1, NULL, NULL);
    vireo_qmp_send(qmp, "cont", NULL, -1, NULL, NULL);
    vireo_qmp_unref(qmp);
}

void qemu_event_guest_off(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean early = dom->id == -1, reboot = dom->reset_on_shutdown;
    int action = dom->live ? (int)dom->live->doc->on_poweroff : 0;
    dom->reset_on_shutdown = FALSE;
    if (early)
        dom->early_off = TRUE; /* still starting: looked at when that is done */
    g_mutex_unlock(&dom->lock);
    if (early)
        return;
    if (reboot || action == VIREO_DOMAIN_LIFECYCLE_RESTART ||
        action == VIREO_DOMAIN_LIFECYCLE_RENAME_RESTART) {
        guest_restart(dom);
        return;
    }
    set_run_state(dom, VIREO_DOMAIN_SHUTDOWN, VIREO_DOMAIN_SHUTDOWN_USER);
    if (action != VIREO_DOMAIN_LIFECYCLE_PRESERVE)
        qemu_process_quit(dom, VIREO_DOMAIN_SHUTOFF_SHUTDOWN);
}

static void on_shutdown(QemuDomain *dom, JsonObject *data)
{
    const char *reason = vireo_json_string(data, "reason");

    /* Ended from outside (a signal, our own quit): the process is going away by itself. */
    if (reason && g_str_has_prefix(reason, "host-")) {
        g_mutex_lock(&dom->lock);
        if (!dom->end_reason)
            dom->end_reason = g_str_equal(reason, "host-signal") ? VIREO_DOMAIN_SHUTOFF_DESTROYED
                                                                 : VIREO_DOMAIN_SHUTOFF_SHUTDOWN;
        g_mutex_unlock(&dom->lock);
        return;
    }
    if (reason && g_str_equal(reason, "guest-panic"))
        return;
    qemu_event_guest_off(dom);
}

static void on_panic(QemuDomain *dom, JsonObject *data)
{
    g_mutex_lock(&dom->lock);
    int action = dom->live ? (int)dom->live->doc->on_crash : 0;
    g_mutex_unlock(&dom->lock);

    set_run_state(dom, VIREO_DOMAIN_CRASHED, VIREO_DOMAIN_CRASHED_PANICKED);
    if (action == VIREO_DOMAIN_LIFECYCLE_RESTART ||
        action == VIREO_DOMAIN_LIFECYCLE_COREDUMP_RESTART)
        guest_restart(dom);
    else if (action != VIREO_DOMAIN_LIFECYCLE_PRESERVE)
        qemu_process_quit(dom, VIREO_DOMAIN_SHUTOFF_CRASHED);
}

static void on_reset(QemuDomain *dom, JsonObject *data)
{
    vireo_domain_event_reboot_msg message = { .dom = self(dom) };

    if (vireo_json_bool(data, "guest") && qemu_domain_active(dom))
        raise_event(dom, VIREO_EVENT_domain_event_reboot, &message);
}

/* ---- devices ------------------------------------------------------------------- */

static void on_balloon(QemuDomain *dom, JsonObject *data)
{
    guint64 kib = (guint64)vireo_json_int(data, "actual", 0) / 1024;
    vireo_domain_event_balloon_change_msg message = { .dom = self(dom), .actual = kib };

    g_mutex_lock(&dom->lock);
    dom->balloon_kib = kib;
    g_mutex_unlock(&dom->lock);
    if (!qemu_domain_active(dom))
        return;
    qemu_domain_publish(dom);
    raise_event(dom, VIREO_EVENT_domain_event_balloon_change, &message);
}

static void on_device_deleted(QemuDomain *dom, JsonObject *data)
{
    const char *id = vireo_json_string(data, "device");

    if (id)
        qemu_hot_gone(dom, id);
}

static void on_unplug_refused(QemuDomain *dom, JsonObject *data)
{
    const char *id = vireo_json_string(data, "device");

    if (id)
        qemu_hot_refused(dom, id);
}

static void on_tray(QemuDomain *dom, JsonObject *data)
{
    const char *id = vireo_json_string(data, "id");

    if (id)
        qemu_hot_tray(dom, id, vireo_json_bool(data, "tray-open"));
}

static void on_port(QemuDomain *dom, JsonObject *data)
{
    const char *id = vireo_json_string(data, "id");

    if (id)
        qemu_channel_changed(dom, id, vireo_json_bool(data, "open"));
}

static void on_job(QemuDomain *dom, JsonObject *data)
{
    const char *id = vireo_json_string(data, "id"), *status = vireo_json_string(data, "status");

    if (!id || !status)
        return;
    g_mutex_lock(&dom->lock);
    g_hash_table_insert(dom->jobs, g_strdup(id), g_strdup(status));
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
    qemu_blockjob_status(dom, id, status);
}

static void on_block_job_completed(QemuDomain *dom, JsonObject *data)
{
    qemu_blockjob_over(dom, data, FALSE);
}

static void on_block_job_cancelled(QemuDomain *dom, JsonObject *data)
{
    qemu_blockjob_over(dom, data, TRUE);
}

static void on_rtc_change(QemuDomain *dom, JsonObject *data)
{
    vireo_domain_event_rtc_change_msg message = { .dom = self(dom),
                                                  .offset = vireo_json_int(data, "offset", 0) };

    raise_event(dom, VIREO_EVENT_domain_event_rtc_change, &message);
}

static void on_watchdog(QemuDomain *dom, JsonObject *data)
{
    static const char *const actions[] = { "none",     "pause", "reset",     "poweroff",
                                           "shutdown", "debug", "inject-nmi" };
    const char *action = vireo_json_string(data, "action");
    vireo_domain_event_watchdog_msg message = { .dom = self(dom) };

    for (guint i = 0; i < G_N_ELEMENTS(actions); i++)
        if (!g_strcmp0(action, actions[i]))
            message.action = (gint32)i;
    if (!g_strcmp0(action, "pause")) {
        g_mutex_lock(&dom->lock);
        dom->stop_reason = VIREO_DOMAIN_PAUSED_WATCHDOG;
        g_mutex_unlock(&dom->lock);
    }
    raise_event(dom, VIREO_EVENT_domain_event_watchdog, &message);
}

/* The disk of a block node or device path. */
static const VireoDomainDisk *disk_of(const VireoDomain *doc, const char *node, const char *device)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];

        if ((node && g_str_has_prefix(node, disk->target->dev)) ||
            (device && disk->alias && strstr(device, disk->alias)))
            return disk;
    }
    return NULL;
}

static void on_io_error(QemuDomain *dom, JsonObject *data)
{
    const char *action = vireo_json_string(data, "action");
    const char *reason = vireo_json_bool(data, "nospace") ? "enospc" : "";
    vireo_domain_event_io_error_reason_msg message = { .dom = self(dom), .srcPath = (char *)"",
                                                       .devAlias = (char *)"",
                                                       .reason = (char *)reason };
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    const VireoDomainDisk *disk =
        live ? disk_of(live->doc, vireo_json_string(data, "node-name"),
                       vireo_json_string(data, "device"))
             : NULL;

    if (disk) {
        message.devAlias = disk->alias;
        if (disk->source)
            message.srcPath = disk->source->file ? disk->source->file : disk->source->dev;
    }
    if (!g_strcmp0(action, "stop")) {
        message.action = 1;
        g_mutex_lock(&dom->lock);
        dom->stop_reason = VIREO_DOMAIN_PAUSED_IOERROR;
        g_mutex_unlock(&dom->lock);
    } else if (!g_strcmp0(action, "report")) {
        message.action = 2;
    }
    raise_event(dom, VIREO_EVENT_domain_event_io_error_reason, &message);
}

/* For those who asked for everything QEMU says. */
static void raise_monitor_event(QemuDomain *dom, const char *name, JsonObject *data, gint64 usec)
{
    g_autofree char *details = data ? vireo_json_text(data) : NULL;
    vireo_qemu_domain_monitor_event_msg message = {
        .dom = self(dom),
        .event = (char *)name,
        .seconds = usec / G_USEC_PER_SEC,
        .micros = (guint32)(usec % G_USEC_PER_SEC),
        .details = details,
    };

    raise_event(dom, VIREO_EVENT_qemu_domain_monitor_event, &message);
}

void qemu_event(VireoQmp *qmp, const char *name, JsonObject *data, gint64 usec, void *opaque)
{
    static const struct {
        const char *name;
        void (*take)(QemuDomain *dom, JsonObject *data);
    } table[] = {
        { "STOP", on_stop },
        { "RESUME", on_resume },
        { "SUSPEND", on_suspend },
        { "WAKEUP", on_wakeup },
        { "SHUTDOWN", on_shutdown },
        { "RESET", on_reset },
        { "GUEST_PANICKED", on_panic },
        { "BALLOON_CHANGE", on_balloon },
        { "DEVICE_DELETED", on_device_deleted },
        { "DEVICE_UNPLUG_GUEST_ERROR", on_unplug_refused },
        { "DEVICE_TRAY_MOVED", on_tray },
        { "VSERPORT_CHANGE", on_port },
        { "JOB_STATUS_CHANGE", on_job },
        { "BLOCK_JOB_COMPLETED", on_block_job_completed },
        { "BLOCK_JOB_CANCELLED", on_block_job_cancelled },
        { "RTC_CHANGE", on_rtc_change },
        { "WATCHDOG", on_watchdog },
        { "BLOCK_IO_ERROR", on_io_error },
    };

    raise_monitor_event(opaque, name, data, usec);
    qemu_saving_heard(opaque, name, usec);
    for (guint i = 0; i < G_N_ELEMENTS(table); i++)
        if (g_str_equal(table[i].name, name)) {
            table[i].take(opaque, data);
            return;
        }
}

void qemu_event_closed(VireoQmp *qmp, const GError *why, void *opaque)
{
    QemuDomain *dom = opaque;

    /* Usually the process ends too, and the watch on it does the rest. */
    g_mutex_lock(&dom->lock);
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
}

/* ---- waiting ------------------------------------------------------------------- */

VireoQmpWait qemu_wait(QemuDriver *driver, vireo_call *call, int seconds)
{
    VireoQmpWait wait = { .timeout_ms = (gint64)seconds * 1000 };

    if (call) {
        wait.cancelled = (int (*)(void *))driver->host->cancelled;
        wait.opaque = call;
    }
    return wait;
}

void qemu_job_forget(QemuDomain *dom, const char *id)
{
    g_mutex_lock(&dom->lock);
    g_hash_table_remove(dom->jobs, id);
    g_mutex_unlock(&dom->lock);
}

/* until: a state on the way; NULL: only the end. */
static gboolean job_reached(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *id,
                            const char *until, GError **error)
{
    const struct vireo_host *host = dom->space->driver->host;
    gboolean asked = FALSE;

    g_mutex_lock(&dom->lock);
    for (;;) {
        const char *status = g_hash_table_lookup(dom->jobs, id);

        if (status && (g_str_equal(status, "concluded") || g_str_equal(status, "null") ||
                       !g_strcmp0(status, until)))
            break;
        if (!vireo_qmp_is_open(qmp)) {
            g_mutex_unlock(&dom->lock);
            qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                       "QEMU ended while it was working on this");
            return FALSE;
        }
        if (!asked && ((call && host->cancelled(call)) || qemu_domain_is_wanted(dom))) {
            /* It says itself when it has stopped; a job that cannot be stopped finishes. */
            vireo_qmp_send(qmp, "job-cancel", vireo_json_new('s', "id", id, 0), -1, NULL, NULL);
            asked = TRUE;
        }
        g_cond_wait_until(&dom->changed, &dom->lock, g_get_monotonic_time() + 200000);
    }
    g_mutex_unlock(&dom->lock);
    return TRUE;
}

gboolean qemu_job_wait(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *id,
                       GError **error)
{
    g_autofree char *problem = NULL;

    if (!job_reached(dom, call, qmp, id, NULL, error))
        return FALSE;
    g_autoptr(JsonNode) list = vireo_qmp_call(qmp, "query-jobs", NULL, NULL, error);
    if (!list)
        return FALSE;
    JsonArray *jobs = vireo_json_node_array(list);
    for (guint i = 0; i < vireo_json_length(jobs); i++) {
        JsonObject *job = vireo_json_element(jobs, i);

        if (!g_strcmp0(vireo_json_string(job, "id"), id))
            problem = g_strdup(vireo_json_string(job, "error"));
    }
    vireo_qmp_run(qmp, "job-dismiss", vireo_json_new('s', "id", id, 0), NULL, NULL);
    qemu_job_forget(dom, id);
    if (!problem)
        return TRUE;
    qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU: %s", problem);
    return FALSE;
}

gboolean qemu_job_pending(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *id,
                          GError **error)
{
    if (!job_reached(dom, call, qmp, id, "pending", error))
        return FALSE;
    g_mutex_lock(&dom->lock);
    gboolean pending = !g_strcmp0(g_hash_table_lookup(dom->jobs, id), "pending");
    g_mutex_unlock(&dom->lock);
    if (pending)
        return TRUE;
    if (qemu_job_wait(dom, call, qmp, id, error))
        qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "the job was cancelled");
    return FALSE;
}

void qemu_device_forget(QemuDomain *dom, const char *id)
{
    g_mutex_lock(&dom->lock);
    g_hash_table_remove(dom->removed, id);
    g_mutex_unlock(&dom->lock);
}

gboolean qemu_device_wait(QemuDomain *dom, vireo_call *call, const char *id, int timeout_ms)
{
    const struct vireo_host *host = dom->space->driver->host;
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    gboolean gone;

    g_mutex_lock(&dom->lock);
    while (!(gone = g_hash_table_contains(dom->removed, id)) && dom->id != -1 &&
           g_get_monotonic_time() < deadline && !(call && host->cancelled(call)))
        g_cond_wait_until(&dom->changed, &dom->lock,
                          MIN(deadline, g_get_monotonic_time() + 200000));
    g_mutex_unlock(&dom->lock);
    return gone;
}
