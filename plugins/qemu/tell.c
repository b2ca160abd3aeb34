/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plans in words, and as they go to clients. */
#include "tell.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "engine.h"
#include "images.h"
#include "sidefile.h"

/* What writing memory to a file comes to, bytes per microsecond: on the slow side. */
#define MEMORY_SPEED 500
#define PAUSE_US 10000

struct QemuTell {
    QemuDomain *dom;
    vireo_call *call;
    GArray *steps; /* vireo_plan_step */
    GArray *kept;  /* vireo_plan_kept */
    int guest;
    gint64 pause_us;
    guint64 freed;
    gboolean later;
};

QemuTell *qemu_tell_new(QemuDomain *dom, vireo_call *call)
{
    QemuTell *tell = g_new0(QemuTell, 1);

    tell->dom = dom;
    tell->call = call;
    tell->steps = g_array_new(FALSE, TRUE, sizeof(vireo_plan_step));
    tell->kept = g_array_new(FALSE, TRUE, sizeof(vireo_plan_kept));
    return tell;
}

void qemu_tell_free(QemuTell *tell)
{
    if (!tell)
        return;
    g_array_unref(tell->steps);
    g_array_unref(tell->kept);
    g_free(tell);
}

/* Texts live as long as the call. */
static char *copy(const QemuTell *tell, const char *text)
{
    return tell->dom->space->driver->host->strdup(tell->call, text ? text : "");
}

static guint64 used_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (guint64)st.st_blocks * 512 : 0;
}

void qemu_tell_step(QemuTell *tell, const char *kind, guint effect, const char *file, const char *other,
                    guint64 bytes, const char *text, ...)
{
    va_list args;

    va_start(args, text);
    g_autofree char *words = g_strdup_vprintf(text, args);
    va_end(args);
    vireo_plan_step step = { .kind = copy(tell, kind), .text = copy(tell, words), .file = copy(tell, file),
                             .other = copy(tell, other), .bytes = bytes, .effect = effect };
    if (effect & VIREO_PLAN_REMOVES)
        tell->freed += used_bytes(file);
    g_array_append_val(tell->steps, step);
}

void qemu_tell_kept(QemuTell *tell, const char *file, const char *point, char *reason)
{
    vireo_plan_kept kept = { copy(tell, file), copy(tell, point), copy(tell, reason) };

    g_free(reason);
    g_array_append_val(tell->kept, kept);
}

void qemu_tell_guest(QemuTell *tell, int guest, gint64 pause_us)
{
    tell->guest = guest;
    tell->pause_us = pause_us;
}

guint64 qemu_tell_memory(QemuDomain *dom)
{
    g_autoptr(QemuDef) now = qemu_domain_current(dom);

    return now && now->doc->memory ? now->doc->memory->text * 1024 : 0;
}

gint64 qemu_tell_pause(guint64 bytes)
{
    return PAUSE_US + (gint64)(bytes / MEMORY_SPEED);
}

/* ---- steps of plans ------------------------------------------------------------------- */

static guint effect_of(const QemuStep *step)
{
    switch (step->kind) {
    case QEMU_STEP_OVERLAY:
    case QEMU_STEP_STATE:
    case QEMU_STEP_COPY:
    case QEMU_STEP_EXTRACT:
    case QEMU_STEP_CLONE:
        return VIREO_PLAN_WRITES;
    case QEMU_STEP_SWITCH:
    case QEMU_STEP_KEEP:
    case QEMU_STEP_FORGET:
    case QEMU_STEP_CURRENT:
        return VIREO_PLAN_RECORDS;
    case QEMU_STEP_UNLINK:
        return VIREO_PLAN_REMOVES;
    default:
        return VIREO_PLAN_CHANGES;
    }
}

static char *words_of(const QemuStep *step)
{
    const char *image = step->image, *other = step->other, *tag = step->tag;

    switch (step->kind) {
    case QEMU_STEP_OVERLAY:
        return g_strdup_printf("create %s, empty, on top of %s", image, other);
    case QEMU_STEP_ADOPT:
        return g_strdup_printf("use %s as it is, on top of %s", image, other);
    case QEMU_STEP_POINT:
        return g_strdup_printf("take internal snapshot '%s' in %s", tag, image);
    case QEMU_STEP_STATE:
        return g_strdup_printf("write the guest's memory to %s", image);
    case QEMU_STEP_COPY:
        return g_strdup_printf("copy %s to %s", other, image);
    case QEMU_STEP_REPLACE:
        return g_strdup_printf("replace %s by %s", image, other);
    case QEMU_STEP_EXTRACT:
        return g_strdup_printf("create %s from internal snapshot '%s' of %s", image, tag, other);
    case QEMU_STEP_CLONE:
        return g_strdup_printf("create %s as a copy of %s with its internal snapshot '%s'", image, other, tag);
    case QEMU_STEP_APPLY:
        return g_strdup_printf("take %s back to its internal snapshot '%s'", image, tag);
    case QEMU_STEP_SWITCH:
        return g_strdup_printf("disk '%s' uses %s from then on", step->slot, image);
    case QEMU_STEP_KEEP:
        return g_strdup_printf("remember snapshot '%s'", tag);
    case QEMU_STEP_FORGET:
        return g_strdup_printf("forget snapshot '%s'", tag);
    case QEMU_STEP_CURRENT:
        return g_strdup_printf("make snapshot '%s' the current one", tag);
    case QEMU_STEP_DROP_POINT:
        return g_strdup_printf("remove internal snapshot '%s' from %s", tag, image);
    case QEMU_STEP_PULL:
        return other ? g_strdup_printf("copy what lies between %s and %s up into the former", image, other)
                     : g_strdup_printf("copy all that lies below %s up into it", image);
    case QEMU_STEP_COMMIT:
        return g_strdup_printf("write the data of %s down into %s", image, other);
    case QEMU_STEP_REPOINT:
        return g_strdup_printf("base %s on %s, where it reads the same", image, other);
    case QEMU_STEP_UNLINK:
        return g_strdup_printf("remove %s", image);
    default:
        return g_strdup_printf("%s %s", qemu_step_kind_name(step->kind), image ? image : tag ? tag : "");
    }
}

/* How little there is; empty: enough. It is an estimate, so nothing is refused for it. */
static char *room_for(const char *path, guint64 bytes)
{
    g_autofree char *dir = g_path_get_dirname(path);
    struct statvfs fs;

    if (!bytes || statvfs(dir, &fs) != 0 || (guint64)fs.f_bavail * fs.f_frsize >= bytes)
        return g_strdup("");
    return g_strdup_printf(" (%s has only %" G_GUINT64_FORMAT " KiB left: it may fail)", dir,
                           (guint64)fs.f_bavail * fs.f_frsize / 1024);
}

static void tell_one(QemuTell *tell, const QemuStep *step, gboolean later)
{
    g_autofree char *words = words_of(step);
    guint64 bytes = step->kind == QEMU_STEP_STATE ? qemu_tell_memory(tell->dom) : step->bytes;
    guint effect = effect_of(step);
    gboolean grows = effect == VIREO_PLAN_WRITES || step->kind == QEMU_STEP_PULL || step->kind == QEMU_STEP_COMMIT;
    g_autofree char *room = grows ? room_for(step->image, bytes) : g_strdup("");

    qemu_tell_step(tell, qemu_step_kind_name(step->kind), effect | (later ? VIREO_PLAN_LATER : 0u), step->image,
                   step->other, bytes, "%s%s", words, room);
}

static void tell_kept_files(QemuTell *tell, const QemuGraph *after)
{
    g_autoptr(GPtrArray) files = qemu_graph_files(after, QEMU_FILE_RELEASED);

    for (guint i = 0; i < files->len; i++) {
        char *reason = qemu_graph_kept(after, files->pdata[i]);

        if (reason)
            qemu_tell_kept(tell, files->pdata[i], NULL, reason);
    }
}

void qemu_tell_later(QemuTell *tell)
{
    tell->later = TRUE;
}

static gboolean is_collecting(QemuStepKind kind)
{
    return kind == QEMU_STEP_UNLINK || kind == QEMU_STEP_DROP_POINT;
}

/* What is copied after the point of no return goes on in the background, and what follows with it: see
 * finish() in engine_work.c. */
void qemu_tell_plan(QemuTell *tell, const QemuPlan *plan, const QemuGraph *after)
{
    gboolean later = FALSE;

    for (guint i = 0; i < plan->steps->len; i++) {
        const QemuStep *step = qemu_plan_step(plan, i);

        later |= i >= plan->no_return && (step->kind == QEMU_STEP_PULL || (tell->later && is_collecting(step->kind)));
        tell_one(tell, step, later);
    }
    if (after)
        tell_kept_files(tell, after);
}

static const char *image_of(const VireoDomainSnapshot *doc, const char *dev)
{
    for (guint i = 0; doc->domain && i < doc->domain->devices->disks.n; i++)
        if (g_str_equal(doc->domain->devices->disks.items[i]->target->dev, dev))
            return qemu_disk_path(doc->domain->devices->disks.items[i]);
    return NULL;
}

void qemu_tell_records(QemuTell *tell, const QemuPlan *plan)
{
    for (guint i = 0; i < plan->steps->len; i++)
        if (effect_of(qemu_plan_step(plan, i)) & VIREO_PLAN_RECORDS)
            tell_one(tell, qemu_plan_step(plan, i), FALSE);
}

void qemu_tell_forget(QemuTell *tell, const VireoDomainSnapshot *doc, const char *why_files_stay)
{
    qemu_tell_step(tell, "forget", VIREO_PLAN_RECORDS, NULL, NULL, 0, "forget snapshot '%s'", doc->name);
    QemuSnapFile files[QEMU_SNAP_FILES];

    qemu_snap_files(doc, files);
    for (guint i = 0; i < QEMU_SNAP_FILES; i++)
        if (files[i].path)
            qemu_tell_kept(tell, files[i].path, NULL, g_strdup(why_files_stay));
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++) {
        const VireoDomainSnapshotDisk *disk = doc->disks->disks.items[i];

        if (disk->source && disk->source->file)
            qemu_tell_kept(tell, disk->source->file, NULL, g_strdup(why_files_stay));
        else if (disk->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL)
            qemu_tell_kept(tell, image_of(doc, disk->name), doc->name, g_strdup(why_files_stay));
    }
}

/* ---- to the client ---------------------------------------------------------------------- */

static gpointer copied(const QemuTell *tell, const GArray *array, guint n)
{
    gsize size = n * (gsize)g_array_get_element_size((GArray *)array);
    char *copy = tell->dom->space->driver->host->alloc(tell->call, size + 1);

    if (size)
        memcpy(copy, array->data, size);
    return copy;
}

void qemu_tell_fill(const QemuTell *tell, vireo_plan *ret)
{
    ret->guest = tell->guest;
    ret->pause_us = tell->pause_us;
    ret->freed = tell->freed;
    ret->steps.len = MIN(tell->steps->len, VIREO_LIMIT_PLAN_STEPS_MAX);
    ret->steps.val = copied(tell, tell->steps, ret->steps.len);
    ret->kept.len = MIN(tell->kept->len, VIREO_LIMIT_PLAN_KEPT_MAX);
    ret->kept.val = copied(tell, tell->kept, ret->kept.len);
    for (guint i = 0; i < ret->steps.len; i++)
        *(ret->steps.val[i].effect & VIREO_PLAN_LATER ? &ret->bytes_later : &ret->bytes) +=
            ret->steps.val[i].bytes;
}
