/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain.h"
#include "ops.h"

#include "events.h"
#include "livestate.h"
#include "process.h"
#include "save.h"

static int not_running(QemuDomain *dom, vireo_call *call)
{
    return dom->space->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                          "domain '%s' is not running", dom->name);
}

static QemuStart start_of_flags(guint flags)
{
    QemuStart how = { .paused = (flags & VIREO_DOMAIN_START_PAUSED) != 0,
                      .reset_nvram = (flags & VIREO_DOMAIN_START_RESET_NVRAM) != 0,
                      .incoming_fd = -1,
                      .running_reason = VIREO_DOMAIN_RUNNING_BOOTED,
                      .paused_reason = VIREO_DOMAIN_PAUSED_USER };

    return how;
}

int qemu_domain_create_with_flags(void *handle, vireo_call *call,
                                  const vireo_domain_create_with_flags_args *args,
                                  vireo_domain_create_with_flags_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    QemuStart how = start_of_flags(args->flags);
    gboolean started;

    if (!dom)
        return VIREO_FAIL;
    if (qemu_domain_active(dom))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' is already running", dom->name);
    if (dom->managed_save && !(args->flags & VIREO_DOMAIN_START_FORCE_BOOT))
        started = qemu_managed_restore(dom, call,
                                       (how.paused ? VIREO_DOMAIN_SAVE_PAUSED : 0) |
                                           (how.reset_nvram ? VIREO_DOMAIN_SAVE_RESET_NVRAM : 0),
                                       &error);
    else
        started = (!dom->managed_save || qemu_managed_drop(dom, &error)) &&
                  qemu_process_start(dom, call, &how, &error);
    if (!started)
        return qemu_fail(conn->driver, call, error);
    if (args->flags & VIREO_DOMAIN_START_AUTODESTROY)
        qemu_conn_own(conn, dom);
    qemu_domain_fill_ref(dom, call, &ret->dom);
    return VIREO_OK;
}

int qemu_domain_create_xml(void *handle, vireo_call *call,
                           const vireo_domain_create_xml_args *args,
                           vireo_domain_create_xml_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    QemuStart how = start_of_flags(args->flags);
    gboolean fresh;
    g_autoptr(QemuDef) def = qemu_def_parse(
        conn->space, args->xml_desc,
        args->flags & VIREO_DOMAIN_START_VALIDATE ? QEMU_DEF_VALIDATE : 0, &error);

    if (!def)
        return qemu_fail(conn->driver, call, error);
    g_autoptr(QemuDomainJob) dom = qemu_domain_admit(conn->space, def->doc, &fresh, &error);
    if (!dom)
        return qemu_fail(conn->driver, call, error);
    if (qemu_domain_active(dom))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' is already running", dom->name);
    how.def = def;
    if (!qemu_process_start(dom, call, &how, &error)) {
        if (fresh)
            qemu_domain_forget(dom);
        return qemu_fail(conn->driver, call, error);
    }
    if (args->flags & VIREO_DOMAIN_START_AUTODESTROY)
        qemu_conn_own(conn, dom);
    qemu_domain_fill_ref(dom, call, &ret->dom);
    return VIREO_OK;
}

/* ---- control ------------------------------------------------------------------- */

/* One command without an answer worth keeping, for operations that may overtake a running one. */
static int command(QemuDomain *dom, vireo_call *call, const char *name)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, &error);
    VireoQmpWait wait = qemu_wait(driver, call, 30);

    if (!qmp || !vireo_qmp_run(qmp, name, NULL, &wait, &error))
        return qemu_fail(driver, call, error);
    return VIREO_OK;
}

int qemu_domain_shutdown_flags(void *handle, vireo_call *call,
                               const vireo_domain_shutdown_flags_args *args)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_mutex_lock(&dom->lock);
    dom->reset_on_shutdown = FALSE;
    g_mutex_unlock(&dom->lock);
    return command(dom, call, "system_powerdown");
}

int qemu_domain_reboot(void *handle, vireo_call *call, const vireo_domain_reboot_args *args)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    /* The guest is asked to power off and is reset instead of ended when it does. */
    g_mutex_lock(&dom->lock);
    dom->reset_on_shutdown = dom->id != -1;
    g_mutex_unlock(&dom->lock);
    return command(dom, call, "system_powerdown");
}

int qemu_domain_reset(void *handle, vireo_call *call, const vireo_domain_reset_args *args)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);

    return dom ? command(dom, call, "system_reset") : VIREO_FAIL;
}

int qemu_domain_inject_nmi(void *handle, vireo_call *call, const vireo_domain_inject_nmi_args *args)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);

    return dom ? command(dom, call, "inject-nmi") : VIREO_FAIL;
}

/* Until that process has ended and its traces are gone, whoever removes them; not for ever. */
static void await_end(QemuDomain *dom, guint generation)
{
    gint64 until = g_get_monotonic_time() + 15 * G_USEC_PER_SEC;

    g_mutex_lock(&dom->lock);
    while (((dom->id != -1 && dom->generation == generation) || dom->ending) &&
           g_cond_wait_until(&dom->changed, &dom->lock, until))
        continue;
    g_mutex_unlock(&dom->lock);
}

int qemu_domain_destroy_flags(void *handle, vireo_call *call,
                              const vireo_domain_destroy_flags_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    guint generation;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_active(dom))
        return not_running(dom, call);
    g_mutex_lock(&dom->lock);
    generation = dom->generation;
    g_mutex_unlock(&dom->lock);
    if (args->flags & VIREO_DOMAIN_DESTROY_GRACEFUL) {
        /* Lets the guest's disks reach the image before the process is killed. */
        qemu_process_quit(dom, VIREO_DOMAIN_SHUTOFF_DESTROYED);
        await_end(dom, generation);
        if (qemu_domain_active(dom))
            return conn->driver->host->fail(call, VIREO_ERR_OPERATION_FAILED,
                                            "QEMU of domain '%s' does not end by itself",
                                            dom->name);
        return VIREO_OK;
    }
    if (qemu_process_kill(dom, VIREO_DOMAIN_SHUTOFF_DESTROYED))
        await_end(dom, generation);
    return VIREO_OK;
}

/* ---- suspend and resume -------------------------------------------------------- */

/* QEMU has obeyed, and its event has been seen: the new state outlives the daemon from now on. */
static int kept(QemuDomain *dom, int status)
{
    if (status == VIREO_OK)
        qemu_live_keep(dom);
    return status;
}

int qemu_domain_suspend(void *handle, vireo_call *call, const vireo_domain_suspend_args *args)
{
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(qemu_conn(handle), call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_active(dom))
        return not_running(dom, call);
    g_mutex_lock(&dom->lock);
    dom->stop_reason = VIREO_DOMAIN_PAUSED_USER;
    g_mutex_unlock(&dom->lock);
    return kept(dom, command(dom, call, "stop")); /* its event changes the state */
}

int qemu_domain_resume(void *handle, vireo_call *call, const vireo_domain_resume_args *args)
{
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(qemu_conn(handle), call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_active(dom))
        return not_running(dom, call);
    g_mutex_lock(&dom->lock);
    gboolean running = dom->state == VIREO_DOMAIN_RUNNING;
    g_mutex_unlock(&dom->lock);
    if (running)
        return dom->space->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                              "domain '%s' is already running", dom->name);
    return kept(dom, command(dom, call, "cont"));
}

int qemu_domain_pm_wakeup(void *handle, vireo_call *call, const vireo_domain_pm_wakeup_args *args)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_mutex_lock(&dom->lock);
    gboolean asleep = dom->state == VIREO_DOMAIN_PMSUSPENDED;
    g_mutex_unlock(&dom->lock);
    if (!asleep)
        return dom->space->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                              "the guest of domain '%s' is not suspended", dom->name);
    return kept(dom, command(dom, call, "system_wakeup"));
}

/* ---- keys ---------------------------------------------------------------------- */

int qemu_domain_send_key(void *handle, vireo_call *call, const vireo_domain_send_key_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (args->codeset != VIREO_KEYCODE_SET_LINUX && args->codeset != VIREO_KEYCODE_SET_XT &&
        args->codeset != VIREO_KEYCODE_SET_QNUM)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "code set %u is not served (linux, xt, qnum)",
                                        args->codeset);
    JsonArray *keys = json_array_new();
    for (guint i = 0; i < args->keycodes.len; i++) {
        guint code = args->keycodes.val[i];

        /* Linux numbers equal those of the original keyboard up to F10 and the key pad. */
        if (code == 0 || code > (args->codeset == VIREO_KEYCODE_SET_LINUX ? 88u : 255u)) {
            json_array_unref(keys);
            return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG,
                                            "key code %u cannot be sent", code);
        }
        json_array_add_object_element(keys, vireo_json_new('s', "type", "number", 'i', "data",
                                                           (gint64)code, 0));
    }
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, &error);
    JsonObject *request = vireo_json_new('a', "keys", keys, 0);
    if (args->holdtime)
        json_object_set_int_member(request, "hold-time", args->holdtime);
    if (!qmp) {
        json_object_unref(request);
        return qemu_fail(conn->driver, call, error);
    }
    VireoQmpWait wait = qemu_wait(conn->driver, call, 30);
    if (!vireo_qmp_run(qmp, "send-key", request, &wait, &error))
        return qemu_fail(conn->driver, call, error);
    return VIREO_OK;
}
