/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livestate.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit/file.h"
#include "kit/process.h"
#include "backup.h"
#include "events.h"
#include "hotplug.h"
#include "process.h"

#define ANSWER_MS 3000
#define ANSWER_MORE_MS 50 /* for each guest */

static char *live_key(QemuDomain *dom)
{
    return g_strdup_printf("live/%s/%s", dom->space->key, dom->uuid_text);
}

/* ---- saving -------------------------------------------------------------------- */

static char *live_text(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    if (dom->id == -1 || !dom->live) {
        g_mutex_unlock(&dom->lock);
        return NULL;
    }
    g_autofree char *xml = vireo_domain_format(dom->live->doc, VIREO_MODEL_FORMAT_SECURE);
    g_autoptr(JsonObject) saved = vireo_json_new(
        's', "uri", dom->space->uri, 's', "uuid", dom->uuid_text, 's', "name", dom->name, 'i', "id",
        (gint64)dom->id, 'i', "pid", (gint64)dom->pid, 'i', "start", (gint64)dom->start_time, 'i',
        "state", (gint64)dom->state, 'i', "reason", (gint64)dom->reason, 'i', "balloon",
        (gint64)dom->balloon_kib, 's', "log", dom->log_path, 'b', "autodestroy", dom->autodestroy, 's',
        "xml", xml, 'a', "block_jobs", qemu_blockjobs_saved(dom), 'o', "backup",
        qemu_backup_saved(dom), 0);
    g_mutex_unlock(&dom->lock);
    return vireo_json_text(saved);
}

gboolean qemu_live_save(QemuDomain *dom, GError **error)
{
    const struct vireo_host *host = dom->space->driver->host;
    g_autofree char *key = live_key(dom);

    /* Never after it was dropped: what is written is asked for under the same lock. */
    g_mutex_lock(&dom->save_lock);
    g_autofree char *text = live_text(dom);
    int rc = text ? host->state_save(dom->space->driver->core, key, text, strlen(text)) : 0;
    int saved_errno = errno;
    g_mutex_unlock(&dom->save_lock);
    if (rc == 0)
        return TRUE;
    errno = saved_errno;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot save the state of domain '%s': %s", dom->name,
               g_strerror(errno));
    return FALSE;
}

void qemu_live_drop(QemuDomain *dom)
{
    g_autofree char *key = live_key(dom);

    g_mutex_lock(&dom->save_lock);
    dom->space->driver->host->state_drop(dom->space->driver->core, key);
    g_mutex_unlock(&dom->save_lock);
}

void qemu_live_keep(QemuDomain *dom)
{
    qemu_live_save(dom, NULL);
}

static void touch_now(void *opaque)
{
    qemu_live_keep(opaque);
    qemu_domain_unref(opaque);
}

void qemu_live_touch(QemuDomain *dom)
{
    QemuDriver *driver = dom->space->driver;

    driver->host->defer(driver->core, touch_now, qemu_domain_ref(dom));
}

/* ---- finding again ------------------------------------------------------------- */

typedef struct {
    QemuSpace *space;
    GStrvBuilder *uris;
    GPtrArray *all; /* Asked */
} Each;

static void each_uri(const char *key, const void *data, size_t len, void *opaque)
{
    Each *each = opaque;
    g_autoptr(JsonObject) saved = vireo_json_parse(data, (gssize)len, NULL);
    const char *uri = vireo_json_string(saved, "uri");

    if (uri)
        g_strv_builder_add(each->uris, uri);
}

char **qemu_live_uris(QemuDriver *driver)
{
    g_autoptr(GStrvBuilder) uris = g_strv_builder_new();
    Each each = { .uris = uris };

    driver->host->state_each(driver->core, "live/", each_uri, &each);
    return g_strv_builder_end(uris);
}

static void say(QemuDomain *dom, int level, const char *text, const char *why)
{
    QemuDriver *driver = dom->space->driver;

    driver->host->log(driver->core, level, dom->space->uri, "domain '%s': %s%s%s", dom->name, text,
                      why ? ": " : "", why ? why : "");
}

static int state_of_status(const char *status, int *reason)
{
    *reason = 0;
    if (!g_strcmp0(status, "running")) {
        *reason = VIREO_DOMAIN_RUNNING_UNKNOWN;
        return VIREO_DOMAIN_RUNNING;
    }
    if (!g_strcmp0(status, "suspended")) {
        *reason = VIREO_DOMAIN_PMSUSPENDED_UNKNOWN;
        return VIREO_DOMAIN_PMSUSPENDED;
    }
    if (!g_strcmp0(status, "io-error"))
        *reason = VIREO_DOMAIN_PAUSED_IOERROR;
    else if (!g_strcmp0(status, "watchdog"))
        *reason = VIREO_DOMAIN_PAUSED_WATCHDOG;
    return VIREO_DOMAIN_PAUSED;
}

/* One that is asked. All are, before the first answer is waited for: those that hang take as long
 * together as one. */
typedef struct {
    QemuDomain *dom; /* NULL: an orphan */
    VireoQmp *qmp;
    VireoQmpBatch *batch;
} Asked;

static void asked_free(gpointer opaque)
{
    Asked *asked = opaque;

    vireo_qmp_batch_free(asked->batch);
    if (!asked->dom)
        vireo_qmp_close(asked->qmp);
    vireo_qmp_unref(asked->qmp);
    qemu_domain_unref(asked->dom);
    g_free(asked);
}

static Asked *asked_new(GPtrArray *all, QemuDomain *dom, VireoQmp *qmp)
{
    Asked *asked = g_new(Asked, 1);

    *asked = (Asked){ dom ? qemu_domain_ref(dom) : NULL, vireo_qmp_ref(qmp), vireo_qmp_batch_new(qmp) };
    g_ptr_array_add(all, asked);
    return asked;
}

static gboolean answered(Asked *asked, gint64 deadline, GError **error)
{
    VireoQmpWait wait = { .timeout_ms = MAX(1, (deadline - g_get_monotonic_time()) / 1000) };

    return vireo_qmp_batch_wait(asked->batch, &wait, error);
}

static gint64 deadline_of(const GPtrArray *all)
{
    return g_get_monotonic_time() + (ANSWER_MS + (gint64)all->len * ANSWER_MORE_MS) * 1000;
}

/* The process lives. A monitor that does not answer changes nothing about that: the domain stays
 * as it was saved, can be destroyed, and nothing of it is deleted. */
static void ask_again(QemuDomain *dom, GPtrArray *all)
{
    g_autofree char *path = qemu_process_qmp_path(dom);
    g_autoptr(GError) error = NULL;
    VireoQmp *qmp = qemu_process_connect(dom, path, &error);
    Asked *asked;

    if (!qmp) {
        say(dom, VIREO_LOG_WARNING, "runs, but cannot be asked", error->message);
        return;
    }
    g_mutex_lock(&dom->lock);
    dom->qmp = qmp;
    g_mutex_unlock(&dom->lock);
    asked = asked_new(all, dom, qmp);
    vireo_qmp_batch_add(asked->batch, "query-status", NULL);
    vireo_qmp_batch_add(asked->batch, "qom-list", vireo_json_new('s', "path", "/machine/peripheral", 0));
    qemu_process_ask(asked->batch, dom->live->doc);
}

static void hear(Asked *asked, gint64 deadline)
{
    QemuDomain *dom = asked->dom;
    g_autoptr(GError) error = NULL;
    int reason;

    if (!answered(asked, deadline, &error)) {
        say(dom, VIREO_LOG_WARNING, "runs, but does not answer", error->message);
        return;
    }
    const char *status =
        vireo_json_string(vireo_json_node_object(vireo_qmp_batch_get(asked->batch, 0)), "status");
    g_autoptr(VireoDomain) doc = vireo_domain_copy(dom->live->doc);
    if (qemu_process_learn(dom, asked->batch, 2, doc, NULL))
        qemu_domain_set_live(dom, qemu_def_new(g_steal_pointer(&doc)));
    int state = state_of_status(status, &reason);
    if (state != dom->state) {
        dom->state = state;
        dom->reason = reason;
    }
    if (!g_strcmp0(status, "restore-vm") || !g_strcmp0(status, "save-vm"))
        vireo_qmp_send(asked->qmp, "cont", NULL, -1, NULL, NULL);
    dom->found_status = g_strdup(status);
    qemu_hot_reconcile(dom, vireo_json_node_array(vireo_qmp_batch_get(asked->batch, 1)));
}

static QemuDomain *domain_of(QemuSpace *space, JsonObject *saved, QemuDef *live)
{
    QemuDomain *dom = qemu_domain_by_uuid(space, live->doc->uuid);

    if (dom)
        return dom;
    dom = qemu_domain_new(space, live->doc->uuid, live->doc->name); /* it is transient */
    if (qemu_domain_register(dom, NULL))
        return dom;
    qemu_domain_unref(dom);
    return NULL;
}

static void reattach_one(QemuSpace *space, const char *key, JsonObject *saved, GPtrArray *all)
{
    QemuDriver *driver = space->driver;
    g_autoptr(GError) error = NULL;
    const char *xml = vireo_json_string(saved, "xml");
    g_autoptr(QemuDef) live =
        qemu_def_parse(space, xml ? xml : "", QEMU_DEF_LIVE | QEMU_DEF_TRUSTED, &error);

    if (!live) {
        driver->host->log(driver->core, VIREO_LOG_ERROR, space->uri,
                          "saved state %s cannot be read and is kept: %s", key, error->message);
        return;
    }
    g_autoptr(QemuDomain) dom = domain_of(space, saved, live);
    if (!dom)
        return;
    dom->live = qemu_def_ref(live);
    dom->id = (int)vireo_json_int(saved, "id", 1);
    dom->pid = (pid_t)vireo_json_int(saved, "pid", 0);
    dom->start_time = (guint64)vireo_json_int(saved, "start", 0);
    dom->state = (int)vireo_json_int(saved, "state", VIREO_DOMAIN_RUNNING);
    dom->reason = (int)vireo_json_int(saved, "reason", 0);
    dom->balloon_kib = (guint64)vireo_json_int(saved, "balloon", 0);
    dom->log_path = g_strdup(vireo_json_string(saved, "log"));
    qemu_backup_restore(dom, vireo_json_object(saved, "backup"));
    qemu_blockjobs_restore(dom, vireo_json_array(saved, "block_jobs"));
    driver->next_id = MAX(driver->next_id, dom->id);
    dom->generation++;
    dom->pidfd = vireo_process_open(dom->pid, dom->start_time);
    if (dom->pidfd < 0) {
        gboolean off = dom->state == VIREO_DOMAIN_SHUTDOWN;

        say(dom, VIREO_LOG_WARNING, "ended while the daemon was away", NULL);
        qemu_process_ended(dom, dom->generation,
                           off ? VIREO_DOMAIN_SHUTOFF_SHUTDOWN : VIREO_DOMAIN_SHUTOFF_CRASHED);
        return;
    }
    if (vireo_json_bool(saved, "autodestroy")) {
        say(dom, VIREO_LOG_INFO, "is destroyed: the connection that started it has ended", NULL);
        qemu_process_kill(dom, VIREO_DOMAIN_SHUTOFF_DESTROYED);
        return;
    }
    qemu_chains_look(dom, live->doc);
    ask_again(dom, all);
    qemu_process_watch(dom);
}

/* It powered itself off meanwhile and waits for somebody to notice. */
static void end_finished(QemuDomain *dom)
{
    if (!g_strcmp0(dom->found_status, "shutdown"))
        qemu_event_guest_off(dom);
    else if (!g_strcmp0(dom->found_status, "guest-panicked"))
        qemu_process_quit(dom, VIREO_DOMAIN_SHUTOFF_CRASHED);
}

static void each_saved(const char *key, const void *data, size_t len, void *opaque)
{
    Each *each = opaque;
    g_autoptr(JsonObject) saved = vireo_json_parse(data, (gssize)len, NULL);

    if (saved && !g_strcmp0(vireo_json_string(saved, "uri"), each->space->uri))
        reattach_one(each->space, key, saved, each->all);
}

/* A process whose start was not finished when the daemon died: nobody was told of it. */
static void end_orphan(QemuSpace *space, const char *file, GPtrArray *orphans)
{
    g_autofree char *path = g_build_filename(space->run_dir, file, NULL);
    g_autofree char *uuid_text = g_strndup(file, 36);
    guint8 uuid[16];

    if (strlen(file) != 40 || !vireo_model_uuid_parse(uuid_text, uuid))
        return;
    g_autoptr(QemuDomain) dom = qemu_domain_by_uuid(space, uuid);
    if (dom && qemu_domain_active(dom))
        return;
    g_autoptr(VireoQmp) qmp =
        vireo_qmp_connect(vireo_loop_context(space->driver->loop), path, NULL, NULL, NULL);
    if (qmp)
        vireo_qmp_batch_add(asked_new(orphans, NULL, qmp)->batch, "quit", NULL);
    unlink(path);
}

static void end_orphans(QemuSpace *space)
{
    g_autoptr(GPtrArray) orphans = g_ptr_array_new_with_free_func(asked_free);
    g_autoptr(GDir) dir = g_dir_open(space->run_dir, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir)))
        if (g_str_has_suffix(file, ".qmp"))
            end_orphan(space, file, orphans);
    gint64 deadline = deadline_of(orphans);
    for (guint i = 0; i < orphans->len; i++)
        answered(orphans->pdata[i], deadline, NULL);
}

void qemu_live_reattach(QemuSpace *space)
{
    g_autofree char *prefix = g_strdup_printf("live/%s/", space->key);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(asked_free);
    Each each = { .space = space, .all = all };

    space->driver->host->state_each(space->driver->core, prefix, each_saved, &each);
    gint64 deadline = deadline_of(all);
    for (guint i = 0; i < all->len; i++) {
        Asked *asked = all->pdata[i];

        hear(asked, deadline);
        end_finished(asked->dom);
    }
    end_orphans(space);
}
