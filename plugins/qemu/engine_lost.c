/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images that a program stopped writing to half-way, for want of room or because it was ended: what it had taken and not
 * entered yet, or let go of and not given back, is lost to the image. */
#include "coalesce.h"
#include "engine.h"
#include "images.h"
#include "remote.h"

#include <fcntl.h>
#include <unistd.h>

void qemu_lost_note(QemuDomain *dom, const char *image)
{
    if (g_hash_table_contains(qemu_files_of(dom)->cut, image))
        return;
    g_autoptr(QemuFiles) more = qemu_files_new();

    g_hash_table_add(more->cut, g_strdup(image));
    qemu_files_add(dom, more, NULL);
    qemu_coalesce(dom);
}

void qemu_lost_wait(QemuDomain *dom, const char *image, const char *tag)
{
    g_mutex_lock(&dom->lock);
    g_hash_table_add(dom->stuck, qemu_point_note(image, tag));
    g_mutex_unlock(&dom->lock);
}

gboolean qemu_lost_waits(QemuDomain *dom, const char *note)
{
    g_mutex_lock(&dom->lock);
    gboolean waits = dom->id != -1 && g_hash_table_contains(dom->stuck, note);
    g_mutex_unlock(&dom->lock);
    return waits;
}

void qemu_lost_note_points(QemuDomain *dom, const QemuPlan *plan)
{
    for (guint i = 0; i < plan->no_return; i++)
        if (qemu_plan_step(plan, i)->kind == QEMU_STEP_POINT)
            qemu_lost_note(dom, qemu_plan_step(plan, i)->image);
}

/* QEMU 7.2 that had no room to take a snapshot keeps in mind that clusters are shared, does not write it down, and with the
 * next snapshot takes it for written. */
static gboolean check_point(const QemuStep *step, GError **error)
{
    int fd = qemu_is_remote(step->image) ? -1 : qemu_image_open(step->image, O_RDONLY, NULL);
    g_autoptr(QemuImageInfo) info = fd >= 0 ? qemu_image_info_read(fd, step->image, TRUE, NULL) : NULL;
    const QemuImageSnapshot *point = info ? qemu_image_info_snapshot(info, step->tag) : NULL;
    gboolean shared = point && qemu_qcow2_is_shared(fd, point);

    if (fd >= 0)
        close(fd);
    if (shared)
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "an external one; or shut the guest off and start it, then an internal one",
                    "QEMU, which had no room to write to %s before, does not write all of internal snapshot '%s'",
                    step->image, step->tag);
    return !shared;
}

gboolean qemu_lost_check_points(const QemuPlan *plan, GError **error)
{
    for (guint i = 0; i < plan->no_return; i++)
        if (qemu_plan_step(plan, i)->kind == QEMU_STEP_POINT && !check_point(qemu_plan_step(plan, i), error))
            return FALSE;
    return TRUE;
}

static gboolean mend(QemuDomain *dom, const char *image, GError **error)
{
    if (!qemu_image_is_there(image) || qemu_engine_recount(dom, TRUE, NULL, image, error))
        return TRUE;
    g_prefix_error(error, "image %s: ", image);
    return FALSE;
}

gboolean qemu_lost_give_back(QemuDomain *dom, GError **error)
{
    g_autoptr(GError) failure = NULL;
    GHashTableIter iter;
    gpointer image;
    guint mended = 0;

    if (qemu_domain_active(dom) || !g_hash_table_size(qemu_files_of(dom)->cut))
        return TRUE;
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    g_hash_table_iter_init(&iter, files->cut);
    while (!qemu_domain_must_yield(dom) && g_hash_table_iter_next(&iter, &image, NULL))
        if (mend(dom, image, failure ? NULL : &failure)) {
            g_hash_table_iter_remove(&iter);
            mended++;
        }
    if (mended && !qemu_files_save(dom, files, error))
        return FALSE;
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    else if (g_hash_table_size(files->cut))
        qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "somebody else wants domain '%s'", dom->name);
    return !g_hash_table_size(files->cut);
}
