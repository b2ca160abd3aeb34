/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The jobs a domain's disks have: beginning, finding, saving. */
#include "blockjob.h"

#include "events.h"
#include "images.h"
#include "livestate.h"
#include "stats.h"

static const char *const kinds[] = {
    [VIREO_DOMAIN_BLOCK_JOB_TYPE_PULL] = "pull",
    [VIREO_DOMAIN_BLOCK_JOB_TYPE_COPY] = "copy",
    [VIREO_DOMAIN_BLOCK_JOB_TYPE_COMMIT] = "commit",
    [VIREO_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT] = "active-commit",
    [VIREO_DOMAIN_BLOCK_JOB_TYPE_BACKUP] = "backup",
};

const char *qemu_blockjob_kind(const QemuBlockJob *job)
{
    return kinds[job->type];
}

QemuBlockJob *qemu_blockjob_new(int type, const char *dev, const char *path, GPtrArray *chain)
{
    QemuBlockJob *job = g_new0(QemuBlockJob, 1);
    g_autoptr(GStrvBuilder) images = g_strv_builder_new();

    job->refs = 1;
    job->type = type;
    job->dev = g_strdup(dev);
    job->id = g_strdup_printf("%s-%s", kinds[type], dev);
    job->path = g_strdup(path);
    for (guint i = 0; chain && i < chain->len; i++)
        g_strv_builder_add(images, ((QemuImage *)chain->pdata[i])->path);
    job->images = g_strv_builder_end(images);
    return job;
}

QemuBlockJob *qemu_blockjob_ref(QemuBlockJob *job)
{
    g_atomic_int_inc(&job->refs);
    return job;
}

void qemu_blockjob_unref(QemuBlockJob *job)
{
    if (!job || !g_atomic_int_dec_and_test(&job->refs))
        return;
    g_free(job->dev);
    g_free(job->id);
    g_free(job->path);
    g_free(job->base);
    g_free(job->target);
    g_strfreev(job->images);
    g_free(job->problem);
    g_free(job);
}

/* ---- saving ------------------------------------------------------------------------- */

GHashTable *qemu_blockjobs_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                 (GDestroyNotify)qemu_blockjob_unref);
}

JsonArray *qemu_blockjobs_saved(QemuDomain *dom)
{
    GHashTableIter iter;
    gpointer value;

    if (!g_hash_table_size(dom->block_jobs))
        return NULL;
    JsonArray *list = json_array_new();
    g_hash_table_iter_init(&iter, dom->block_jobs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const QemuBlockJob *job = value;
        JsonArray *images = json_array_new();

        for (guint i = 0; job->images[i]; i++)
            json_array_add_string_element(images, job->images[i]);
        json_array_add_object_element(
            list,
            vireo_json_new('s', "kind", kinds[job->type], 's', "dev", job->dev, 's', "path", job->path,
                           's', "base", job->base, 's', "target", job->target, 's', "format",
                           vireo_domain_storage_format_to_string(job->format), 'b', "block",
                           job->is_block, 'b', "remove", job->remove, 'b', "ready", job->ready, 'b',
                           "abort", job->abort, 'b', "pivot", job->pivot, 'a', "images", images, 0));
    }
    return list;
}

static int kind_from(const char *text)
{
    for (guint i = 1; i < G_N_ELEMENTS(kinds); i++)
        if (!g_strcmp0(text, kinds[i]))
            return (int)i;
    return 0;
}

void qemu_blockjobs_restore(QemuDomain *dom, JsonArray *saved)
{
    for (guint i = 0; i < vireo_json_length(saved); i++) {
        JsonObject *one = vireo_json_element(saved, i);
        int type = kind_from(vireo_json_string(one, "kind"));
        const char *dev = vireo_json_string(one, "dev");
        JsonArray *images = vireo_json_array(one, "images");
        g_autoptr(GStrvBuilder) paths = g_strv_builder_new();

        if (!type || !dev)
            continue;
        QemuBlockJob *job = qemu_blockjob_new(type, dev, vireo_json_string(one, "path"), NULL);
        job->base = g_strdup(vireo_json_string(one, "base"));
        job->target = g_strdup(vireo_json_string(one, "target"));
        job->format = vireo_domain_storage_format_from_string(vireo_json_string(one, "format"));
        job->is_block = vireo_json_bool(one, "block");
        job->remove = vireo_json_bool(one, "remove");
        job->ready = vireo_json_bool(one, "ready");
        job->abort = vireo_json_bool(one, "abort");
        job->pivot = vireo_json_bool(one, "pivot");
        for (guint n = 0; n < vireo_json_length(images); n++)
            g_strv_builder_add(paths, json_array_get_string_element(images, n));
        g_strfreev(job->images);
        job->images = g_strv_builder_end(paths);
        g_hash_table_insert(dom->block_jobs, g_strdup(dev), job);
    }
}

/* ---- beginning and finding ------------------------------------------------------------ */

void qemu_blockjob_forget(QemuDomain *dom, const QemuBlockJob *job)
{
    g_mutex_lock(&dom->lock);
    g_hash_table_remove(dom->block_jobs, job->dev);
    g_mutex_unlock(&dom->lock);
    qemu_live_keep(dom);
}

gboolean qemu_blockjob_enter(QemuDomain *dom, QemuBlockJob *job, GError **error)
{
    g_mutex_lock(&dom->lock);
    g_hash_table_insert(dom->block_jobs, g_strdup(job->dev), qemu_blockjob_ref(job));
    g_hash_table_remove(dom->failed_jobs, job->dev);
    g_mutex_unlock(&dom->lock);
    qemu_job_forget(dom, job->id);
    if (qemu_live_save(dom, error))
        return TRUE;
    qemu_blockjob_forget(dom, job);
    return FALSE;
}

gboolean qemu_blockjob_begin(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, QemuBlockJob *job,
                             const char *command, JsonObject *args, GError **error)
{
    VireoQmpWait wait = qemu_wait(dom->space->driver, NULL, 30);

    json_object_set_string_member(args, "job-id", job->id);
    /* Neither changes headers before what they will say is on disk: see finalize in blockjob_end.c. */
    if (job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_PULL ||
        job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_COMMIT)
        json_object_set_boolean_member(args, "auto-finalize", FALSE);
    /* It waits for us, however long. Not a pull: QEMU 7.2 dies when somebody asks for its block nodes
     * while one is over and not yet dismissed. */
    json_object_set_boolean_member(args, "auto-dismiss",
                                   job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_PULL);
    if (!qemu_blockjob_enter(dom, job, error)) {
        json_object_unref(args);
        return FALSE;
    }
    if (vireo_qmp_run(qmp, command, args, &wait, error))
        return TRUE;
    qemu_blockjob_forget(dom, job);
    return FALSE;
}

QemuBlockJob *qemu_blockjob_find(QemuDomain *dom, const char *disk, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    const VireoDomainDisk *found;

    if (!live) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "start it first",
                    "domain '%s' is not running", dom->name);
        return NULL;
    }
    if (!(found = qemu_find_disk(live->doc, disk, error)))
        return NULL;
    g_mutex_lock(&dom->lock);
    QemuBlockJob *job = g_hash_table_lookup(dom->block_jobs, found->target->dev);
    if (job)
        qemu_blockjob_ref(job);
    g_mutex_unlock(&dom->lock);
    return job;
}

gboolean qemu_blockjobs_none(QemuDomain *dom, const char *dev, GError **error)
{
    g_autofree char *busy = NULL;
    const char *kind = NULL;
    GHashTableIter iter;
    gpointer key, value;

    g_mutex_lock(&dom->lock);
    g_hash_table_iter_init(&iter, dom->block_jobs);
    while (!busy && g_hash_table_iter_next(&iter, &key, &value))
        if (!dev || g_str_equal(dev, key)) {
            busy = g_strdup(key);
            kind = qemu_blockjob_kind(value);
        }
    g_mutex_unlock(&dom->lock);
    if (!busy)
        return TRUE;
    qemu_refuse(error, VIREO_ERR_BLOCK_COPY_ACTIVE,
                "wait for its end, or blockjob --abort it",
                "disk '%s' of domain '%s' has a block job (%s)", busy,
               dom->name, kind);
    return FALSE;
}

/* ---- showing ---------------------------------------------------------------------------- */

static VireoDomainBackingFormat *image_format(VireoDomainStorageFormat type)
{
    VireoDomainBackingFormat *format = g_new0(VireoDomainBackingFormat, 1);

    format->type = type;
    return format;
}

static void set_index(VireoDomainDiskSource *source, guint index)
{
    source->index = index;
    source->has_index = TRUE;
}

static void show_chain(VireoDomainDisk *disk, GPtrArray *chain)
{
    VireoDomainBackingStore **slot = &disk->backing_store;

    g_clear_pointer(&disk->backing_store, vireo_domain_backing_store_free);
    set_index(disk->source, qemu_chain_index(chain, 0));
    for (guint i = 1; i < chain->len; i++) {
        const QemuImage *image = chain->pdata[i];
        VireoDomainBackingStore *store = g_new0(VireoDomainBackingStore, 1);

        store->index = qemu_chain_index(chain, i);
        store->has_index = TRUE;
        store->format = image_format(image->format);
        store->source = qemu_image_source(image->path, image->is_block, &store->type);
        *slot = store;
        slot = &store->backing_store;
    }
    *slot = g_new0(VireoDomainBackingStore, 1);
}

static void show_mirror(VireoDomainDisk *disk, const QemuBlockJob *job)
{
    VireoDomainDiskMirror *mirror = g_new0(VireoDomainDiskMirror, 1);
    gboolean copy = job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_COPY;
    const char *path = copy ? job->target : job->base;

    mirror->job = copy ? VIREO_DOMAIN_DISK_MIRROR_JOB_COPY : VIREO_DOMAIN_DISK_MIRROR_JOB_ACTIVE_COMMIT;
    if (job->pivot)
        mirror->ready = VIREO_DOMAIN_DISK_MIRROR_READY_PIVOT;
    else if (job->abort)
        mirror->ready = VIREO_DOMAIN_DISK_MIRROR_READY_ABORT;
    else if (job->ready)
        mirror->ready = VIREO_DOMAIN_DISK_MIRROR_READY_YES;
    /* Who knows no <format> and <source> reads these. */
    mirror->source = qemu_image_source(path, job->is_block, &mirror->type);
    if (copy && mirror->type == VIREO_DOMAIN_DISK_TYPE_FILE) {
        mirror->file = g_strdup(path);
        mirror->format = job->format;
    }
    mirror->image_format = image_format(job->format);
    vireo_domain_disk_mirror_free(disk->mirror);
    disk->mirror = mirror;
}

void qemu_blockjobs_show(QemuDomain *dom, VireoDomain *doc)
{
    g_mutex_lock(&dom->lock);
    VEC_EACH(doc->devices->disks, i)
    {
        VireoDomainDisk *disk = doc->devices->disks.items[i];
        GPtrArray *chain = g_hash_table_lookup(dom->chains, disk->target->dev);
        const QemuBlockJob *job = g_hash_table_lookup(dom->block_jobs, disk->target->dev);

        if (chain && chain->len && qemu_disk_path(disk) &&
            !g_strcmp0(((QemuImage *)chain->pdata[0])->path, qemu_disk_path(disk)))
            show_chain(disk, chain);
        if (job && (job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_COPY ||
                    job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT))
            show_mirror(disk, job);
    }
    g_mutex_unlock(&dom->lock);
}
