/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A backup while it runs and when it ends. */
#include "backup.h"

#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "events.h"
#include "images.h"
#include "livestate.h"

#define MONITOR_S 10

static void disk_free(gpointer opaque)
{
    QemuBackupDisk *disk = opaque;

    g_free(disk->dev);
    g_free(disk->path);
    g_free(disk->node);
    g_free(disk->source);
    g_free(disk->bitmap);
    g_free(disk);
}

QemuBackup *qemu_backup_new(VireoDomainBackup *doc)
{
    QemuBackup *backup = g_new0(QemuBackup, 1);

    backup->doc = doc;
    backup->pull = doc->mode == VIREO_DOMAIN_BACKUP_MODE_PULL;
    backup->disks = g_ptr_array_new_with_free_func(disk_free);
    backup->since = g_get_real_time();
    return backup;
}

void qemu_backup_free(QemuBackup *backup)
{
    if (!backup)
        return;
    vireo_domain_backup_free(backup->doc);
    g_ptr_array_unref(backup->disks);
    g_free(backup);
}

QemuBackupDisk *qemu_backup_add(QemuBackup *backup, const char *dev)
{
    QemuBackupDisk *disk = g_new0(QemuBackupDisk, 1);

    disk->dev = g_strdup(dev);
    disk->status = -1;
    g_ptr_array_add(backup->disks, disk);
    return disk;
}

/* ---- saving ---------------------------------------------------------------------------------------------- */

JsonObject *qemu_backup_saved(QemuDomain *dom)
{
    const QemuBackup *backup = dom->backup;

    if (!backup)
        return NULL;
    g_autofree char *xml = vireo_domain_backup_format(backup->doc, 0);
    JsonArray *disks = json_array_new();
    for (guint i = 0; i < backup->disks->len; i++) {
        const QemuBackupDisk *disk = backup->disks->pdata[i];

        json_array_add_object_element(
            disks, vireo_json_new('s', "dev", disk->dev, 's', "path", disk->path, 's', "node", disk->node,
                                  's', "source", disk->source, 's', "bitmap", disk->bitmap, 'b', "made",
                                  disk->made, 'i', "status", (gint64)disk->status, 'i', "len",
                                  (gint64)disk->len, 'i', "offset", (gint64)disk->offset, 0));
    }
    return vireo_json_new('s', "xml", xml, 'i', "since", backup->since, 'b', "aborted", backup->aborted,
                          'a', "disks", disks, 0);
}

void qemu_backup_restore(QemuDomain *dom, JsonObject *saved)
{
    const char *xml = vireo_json_string(saved, "xml");
    VireoDomainBackup *doc = xml ? vireo_domain_backup_parse(xml, 0, NULL) : NULL;
    JsonArray *disks = vireo_json_array(saved, "disks");

    if (!doc)
        return;
    dom->backup = qemu_backup_new(doc);
    dom->backup->since = vireo_json_int(saved, "since", dom->backup->since);
    dom->backup->aborted = vireo_json_bool(saved, "aborted");
    for (guint i = 0; i < vireo_json_length(disks); i++) {
        JsonObject *one = vireo_json_element(disks, i);
        QemuBackupDisk *disk = qemu_backup_add(dom->backup, vireo_json_string(one, "dev"));

        disk->path = g_strdup(vireo_json_string(one, "path"));
        disk->node = g_strdup(vireo_json_string(one, "node"));
        disk->source = g_strdup(vireo_json_string(one, "source"));
        disk->bitmap = g_strdup(vireo_json_string(one, "bitmap"));
        disk->made = vireo_json_bool(one, "made");
        disk->status = (int)vireo_json_int(one, "status", -1);
        disk->len = (guint64)vireo_json_int(one, "len", 0);
        disk->offset = (guint64)vireo_json_int(one, "offset", 0);
    }
}

/* ---- figures ----------------------------------------------------------------------------------------------- */

/* dom->lock held. */
static void sum(const QemuBackup *backup, QemuBackupFigures *figures)
{
    memset(figures, 0, sizeof *figures);
    figures->pull = backup->pull;
    figures->elapsed_ms = (guint64)(g_get_real_time() - backup->since) / 1000;
    for (guint i = 0; i < backup->disks->len; i++) {
        const QemuBackupDisk *disk = backup->disks->pdata[i];

        figures->total += disk->len;
        figures->done += disk->offset;
    }
}

/* How far the jobs are now. */
static void look(QemuDomain *dom)
{
    VireoQmpWait wait = { .timeout_ms = MONITOR_S * 1000 };
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, NULL);
    g_autoptr(JsonNode) answer =
        qmp ? vireo_qmp_call(qmp, "query-block-jobs", NULL, &wait, NULL) : NULL;
    JsonArray *list = vireo_json_node_array(answer);

    g_mutex_lock(&dom->lock);
    for (guint i = 0; dom->backup && i < dom->backup->disks->len; i++) {
        QemuBackupDisk *disk = dom->backup->disks->pdata[i];
        g_autofree char *id = g_strdup_printf("backup-%s", disk->dev);

        for (guint n = 0; n < vireo_json_length(list); n++) {
            JsonObject *one = vireo_json_element(list, n);

            if (g_strcmp0(vireo_json_string(one, "device"), id) || disk->status != -1)
                continue;
            disk->len = (guint64)vireo_json_int(one, "len", 0);
            disk->offset = (guint64)vireo_json_int(one, "offset", 0);
        }
    }
    g_mutex_unlock(&dom->lock);
}

gboolean qemu_backup_figures(QemuDomain *dom, gboolean completed, gboolean keep,
                             QemuBackupFigures *figures)
{
    if (!completed)
        look(dom);
    g_mutex_lock(&dom->lock);
    gboolean found = completed ? dom->backup_done && dom->backup_done->type : dom->backup != NULL;
    if (found && completed) {
        *figures = *dom->backup_done;
        if (!keep)
            dom->backup_done->type = VIREO_DOMAIN_JOB_NONE;
    } else if (found) {
        sum(dom->backup, figures);
        figures->type = figures->pull ? VIREO_DOMAIN_JOB_UNBOUNDED : VIREO_DOMAIN_JOB_BOUNDED;
    }
    g_mutex_unlock(&dom->lock);
    return found;
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

static void set_ull(vireo_typed_param *param, const char *name, guint64 value)
{
    param->field = (char *)name;
    param->value.type = VIREO_TYPED_PARAM_ULLONG;
    param->value.ul = value;
}

static void announce(QemuDomain *dom, const QemuBackupFigures *figures)
{
    vireo_typed_param params[8] = { { .field = (char *)"operation",
                                      .value = { .type = VIREO_TYPED_PARAM_INT,
                                                 .i = VIREO_DOMAIN_JOB_OPERATION_BACKUP } } };
    vireo_domain_event_callback_job_completed_msg message = {
        .dom = { .name = dom->name, .id = dom->id }, .params = { 0, params }
    };
    guint n = 1;

    memcpy(message.dom.uuid, dom->uuid, 16);
    set_ull(&params[n++], "time_elapsed", figures->elapsed_ms);
    if (figures->pull) {
        set_ull(&params[n++], "disk_temp_used", figures->done);
        set_ull(&params[n++], "disk_temp_total", figures->total);
    } else {
        set_ull(&params[n++], "disk_total", figures->total);
        set_ull(&params[n++], "disk_processed", figures->done);
        set_ull(&params[n++], "disk_remaining", figures->total - figures->done);
    }
    params[n++] = (vireo_typed_param){ .field = (char *)"success",
                                       .value = { .type = VIREO_TYPED_PARAM_BOOLEAN,
                                                  .b = figures->success } };
    if (figures->problem)
        params[n++] = (vireo_typed_param){ .field = (char *)"errmsg",
                                           .value = { .type = VIREO_TYPED_PARAM_STRING,
                                                      .s = (char *)figures->problem } };
    message.params.len = n;
    dom->space->driver->host->event(dom->space->published,
                                    VIREO_EVENT_domain_event_callback_job_completed, &message);
}

static void close_disk(QemuDomain *dom, VireoQmp *qmp, const QemuBackupDisk *disk)
{
    g_autofree char *storage = disk->node ? g_strconcat(disk->node, "-file", NULL) : NULL;

    if (qmp && disk->bitmap)
        qemu_bitmap_drop(qmp, disk->source, disk->bitmap);
    if (qmp && disk->node) {
        vireo_qmp_run(qmp, "blockdev-del", vireo_json_new('s', "node-name", disk->node, 0), NULL, NULL);
        vireo_qmp_run(qmp, "blockdev-del", vireo_json_new('s', "node-name", storage, 0), NULL, NULL);
    }
    if (disk->path)
        qemu_image_take_back_one(dom->space->driver, dom->uuid_text, disk->path);
}

void qemu_backup_close(QemuDomain *dom, VireoQmp *qmp, QemuBackup *backup, gboolean all_files)
{
    const VireoDomainBackupServer *server = backup->doc->server;

    if (qmp && backup->pull)
        vireo_qmp_run(qmp, "nbd-server-stop", NULL, NULL, NULL);
    if (qmp && server && server->tls == VIREO_TRISTATE_YES)
        vireo_qmp_run(qmp, "object-del", vireo_json_new('s', "id", QEMU_BACKUP_TLS, 0), NULL, NULL);
    if (server && server->socket)
        unlink(server->socket);
    for (guint i = 0; i < backup->disks->len; i++) {
        const QemuBackupDisk *disk = backup->disks->pdata[i];

        close_disk(dom, qmp, disk);
        if (disk->made && disk->path && (backup->pull || all_files))
            unlink(disk->path);
    }
}

/* dom->lock held. FALSE: a disk is still at work. */
static gboolean conclude(QemuBackup *backup, QemuBackupFigures *figures)
{
    gboolean failed = FALSE, cancelled = FALSE;

    for (guint i = 0; i < backup->disks->len; i++) {
        const QemuBackupDisk *disk = backup->disks->pdata[i];

        if (disk->status == -1)
            return FALSE;
        failed |= disk->status == VIREO_DOMAIN_BLOCK_JOB_FAILED;
        cancelled |= disk->status == VIREO_DOMAIN_BLOCK_JOB_CANCELED;
    }
    sum(backup, figures);
    /* A pull backup has no other end than being ended. */
    figures->success = !failed && (backup->pull || !cancelled);
    figures->type = failed                         ? VIREO_DOMAIN_JOB_FAILED
                    : cancelled && !backup->pull ? VIREO_DOMAIN_JOB_CANCELLED
                                                   : VIREO_DOMAIN_JOB_COMPLETED;
    figures->problem = failed ? "a disk could not be written" : cancelled ? "Operation canceled" : NULL;
    return TRUE;
}

static void cancel_all(VireoQmp *qmp, QemuDomain *dom)
{
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();

    g_mutex_lock(&dom->lock);
    for (guint i = 0; dom->backup && i < dom->backup->disks->len; i++) {
        const QemuBackupDisk *disk = dom->backup->disks->pdata[i];
        QemuBlockJob *job = g_hash_table_lookup(dom->block_jobs, disk->dev);
        g_autofree char *id = g_strdup_printf("backup-%s", disk->dev);

        if (disk->status != -1)
            continue;
        if (job)
            job->abort = TRUE;
        g_strv_builder_add(ids, id);
    }
    g_mutex_unlock(&dom->lock);
    g_auto(GStrv) all = g_strv_builder_end(ids);
    for (guint i = 0; all[i]; i++)
        vireo_qmp_run(qmp, "job-cancel", vireo_json_new('s', "id", all[i], 0), NULL, NULL);
}

void qemu_backup_job_dismissed(QemuDomain *dom, VireoQmp *qmp, const QemuBlockJob *job)
{
    /* It stays as long as the job's lock is held. */
    for (guint i = 0; dom->backup && !dom->backup->pull && i < dom->backup->disks->len; i++) {
        QemuBackupDisk *disk = dom->backup->disks->pdata[i];

        if (g_str_equal(disk->dev, job->dev))
            close_disk(dom, qmp, disk);
    }
}

void qemu_backup_job_over(QemuDomain *dom, VireoQmp *qmp, const QemuBlockJob *job, int status)
{
    QemuBackupFigures figures;

    g_mutex_lock(&dom->lock);
    QemuBackup *backup = dom->backup;
    for (guint i = 0; backup && i < backup->disks->len; i++) {
        QemuBackupDisk *disk = backup->disks->pdata[i];

        if (!g_str_equal(disk->dev, job->dev) || disk->status != -1)
            continue;
        disk->status = status;
        if (job->len) {
            disk->len = job->len;
            disk->offset = job->offset;
        }
    }
    gboolean over = backup && conclude(backup, &figures);
    if (over) {
        if (!dom->backup_done)
            dom->backup_done = g_new0(QemuBackupFigures, 1);
        *dom->backup_done = figures;
    }
    g_mutex_unlock(&dom->lock);
    /* One disk alone is of no use. */
    if (backup && !over && qmp && status != VIREO_DOMAIN_BLOCK_JOB_COMPLETED)
        cancel_all(qmp, dom);
    if (!over)
        return;
    qemu_backup_close(dom, qmp, backup, FALSE);
    g_mutex_lock(&dom->lock);
    dom->backup = NULL;
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
    qemu_live_keep(dom);
    announce(dom, &figures);
    qemu_backup_free(backup);
}

gboolean qemu_backup_abort(QemuDomain *dom)
{
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, NULL);

    g_mutex_lock(&dom->lock);
    gboolean found = dom->backup != NULL;
    if (found)
        dom->backup->aborted = TRUE;
    g_mutex_unlock(&dom->lock);
    if (!found || !qmp)
        return FALSE;
    cancel_all(qmp, dom);
    /* The client expects it to be over. */
    g_mutex_lock(&dom->lock);
    gint64 deadline = g_get_monotonic_time() + MONITOR_S * G_USEC_PER_SEC;
    while (dom->backup && g_get_monotonic_time() < deadline)
        g_cond_wait_until(&dom->changed, &dom->lock, g_get_monotonic_time() + 100000);
    g_mutex_unlock(&dom->lock);
    return TRUE;
}
