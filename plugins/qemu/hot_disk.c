/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks and media of a running guest. */
#include "hotplug.h"
#include "ops.h"

#include <string.h>

#include "engine.h"
#include "events.h"
#include "images.h"
#include "kit/retry.h"
#include "launch.h"
#include "stats.h"

#define TRAY_MS 5000
#define TRAY_PAUSE_MS 400
#define RESIZE_S 120

/* ---- images -------------------------------------------------------------------- */

static gboolean in_use(const VireoDomain *doc, const VireoDomainDisk *except, const char *path)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        g_autoptr(GPtrArray) chain = NULL;

        if (disk == except || !g_strcmp0(disk->target->dev, except->target->dev))
            continue;
        /* A chain that cannot be read keeps what it may hold. */
        if (!(chain = qemu_image_chain(disk, NULL)))
            return TRUE;
        for (guint n = 0; n < chain->len; n++)
            if (g_str_equal(((QemuImage *)chain->pdata[n])->path, path))
                return TRUE;
    }
    return FALSE;
}

static void take_back(QemuHot *hot, const VireoDomainDisk *disk, GPtrArray *chain)
{
    for (guint i = 0; chain && i < chain->len; i++) {
        const QemuImage *image = chain->pdata[i];

        if (!in_use(hot->doc, disk, image->path))
            qemu_image_take_back_one(hot->dom->space->driver, hot->dom->uuid_text, image->path);
    }
}

static gboolean give(QemuHot *hot, const VireoDomainDisk *disk, GPtrArray *chain, GError **error)
{
    for (guint i = 0; i < chain->len; i++)
        if (!qemu_image_give(hot->dom->space->driver, hot->dom->uuid_text, chain->pdata[i],
                             error)) {
            g_prefix_error(error, "disk '%s': ", disk->target->dev);
            return FALSE;
        }
    return TRUE;
}

/* ---- block nodes --------------------------------------------------------------- */

static void del_node(QemuHot *hot, const char *name)
{
    qemu_hot_run(hot, "blockdev-del", vireo_json_new('s', "node-name", name, 0), NULL);
}

static void del_nodes(QemuHot *hot, GPtrArray *nodes, guint count)
{
    while (count-- > 0)
        del_node(hot, vireo_json_string(nodes->pdata[count], "node-name"));
}

/* All nodes or none. */
static gboolean add_nodes(QemuHot *hot, GPtrArray *nodes, GError **error)
{
    for (guint i = 0; i < nodes->len; i++)
        if (!qemu_hot_run(hot, "blockdev-add", json_object_ref(nodes->pdata[i]), error)) {
            del_nodes(hot, nodes, i);
            return FALSE;
        }
    return TRUE;
}

/* The nodes that the disk came with, from its own image down, as deep as they go. */
static void del_own_nodes(QemuHot *hot, const VireoDomainDisk *disk)
{
    for (guint depth = 0;; depth++) {
        g_autofree char *format = qemu_disk_node_name(disk, depth, FALSE);
        g_autofree char *storage = qemu_disk_node_name(disk, depth, TRUE);

        if (!qemu_hot_run(hot, "blockdev-del", vireo_json_new('s', "node-name", format, 0), NULL))
            return;
        del_node(hot, storage);
    }
}

/* Those of overlays have other names. */
static void del_overlays(QemuHot *hot, const GPtrArray *chain)
{
    g_autoptr(QemuNodes) nodes = qemu_nodes_ask(hot->qmp, NULL);

    for (guint i = 0; nodes && chain && i < chain->len; i++) {
        g_autofree char *real = qemu_real_path(((QemuImage *)chain->pdata[i])->path);
        g_autofree char *format = qemu_nodes_find(nodes, real, FALSE);
        g_autofree char *storage = qemu_nodes_find(nodes, real, TRUE);

        if (format && storage && qemu_hot_run(hot, "blockdev-del", vireo_json_new('s', "node-name", format, 0), NULL))
            del_node(hot, storage);
    }
}

static void del_all_nodes(QemuHot *hot, const VireoDomainDisk *disk, const GPtrArray *chain)
{
    del_own_nodes(hot, disk);
    del_overlays(hot, chain);
    del_own_nodes(hot, disk);
}

/* ---- plugging ------------------------------------------------------------------ */

static gboolean attachable(const VireoDomainDisk *disk, GError **error)
{
    if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_VIRTIO ||
        disk->target->bus == VIREO_DOMAIN_DISK_BUS_SCSI)
        return TRUE;
    qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
               "a disk on the %s bus cannot be attached while the guest runs (virtio, scsi)",
               vireo_domain_disk_bus_to_string(disk->target->bus));
    return FALSE;
}

/* What the disk brings with it. */
static gboolean add_controllers(QemuHot *hot, GError **error)
{
    const VireoDomainDevices *devices = hot->doc->devices;

    for (guint i = hot->controllers; i < devices->controllers.n; i++) {
        JsonObject *device = qemu_scsi_controller_device(hot->doc, devices->controllers.items[i], error);

        if (!device || !qemu_hot_run(hot, "device_add", device, error))
            return FALSE;
    }
    return TRUE;
}

/* They go when the guest likes. */
static void del_controllers(QemuHot *hot)
{
    const VireoDomainDevices *devices = hot->doc->devices;

    for (guint i = hot->controllers; i < devices->controllers.n; i++)
        qemu_hot_run(hot, "device_del", vireo_json_new('s', "id", devices->controllers.items[i]->alias, 0), NULL);
}

gboolean qemu_hot_disk_attach(QemuHot *hot, VireoDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) chain = attachable(disk, error) ? qemu_image_chain(disk, error) : NULL;
    gboolean done = FALSE;

    if (!chain)
        return FALSE;
    g_autoptr(GPtrArray) nodes = qemu_disk_nodes(disk, chain);
    if (give(hot, disk, chain, error) && add_nodes(hot, nodes, error)) {
        int order = disk->boot ? (int)disk->boot->order : 0;

        done = add_controllers(hot, error) &&
               qemu_hot_run(hot, "device_add", qemu_disk_device(hot->doc, disk, order), error);
        if (!done) {
            del_controllers(hot);
            del_nodes(hot, nodes, nodes->len);
        }
    }
    if (!done)
        take_back(hot, disk, chain);
    return done;
}

void qemu_hot_disk_release(QemuHot *hot, const VireoDomainDisk *disk)
{
    g_autoptr(GPtrArray) chain = qemu_image_chain(disk, NULL);

    del_all_nodes(hot, disk, chain);
    take_back(hot, disk, chain);
}

/* ---- media --------------------------------------------------------------------- */

/* A guest that locked its drive is asked by the first try to unlock it. */
static gboolean open_tray(QemuHot *hot, const char *alias, gboolean force, GError **error)
{
    VireoQmpWait wait = qemu_wait(hot->dom->space->driver, hot->call, 0);
    VireoRetry retry = { .most_ms = TRAY_PAUSE_MS, .deadline_ms = TRAY_MS,
                         .cancelled = wait.cancelled, .opaque = wait.opaque };
    g_autoptr(GError) failure = NULL;

    do {
        g_clear_error(&failure);
        if (qemu_hot_run(hot, "blockdev-open-tray",
                         vireo_json_new('s', "id", alias, 'b', "force", force, 0), &failure))
            return TRUE;
    } while (failure->code == VIREO_QMP_ERROR_COMMAND && !force && vireo_retry_again(&retry));
    qemu_error(error, VIREO_ERR_OPERATION_FAILED, "the drive does not open (flag FORCE opens it): %s",
               failure->message);
    return FALSE;
}

static gboolean insert(QemuHot *hot, const VireoDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) chain = qemu_image_chain(disk, error);
    g_autofree char *node = qemu_disk_node_name(disk, 0, FALSE);
    gboolean done = FALSE;

    if (!chain)
        return FALSE;
    if (!chain->len)
        return TRUE;
    g_autoptr(GPtrArray) nodes = qemu_disk_nodes(disk, chain);
    if (give(hot, disk, chain, error) && add_nodes(hot, nodes, error)) {
        done = qemu_hot_run(hot, "blockdev-insert-medium",
                            vireo_json_new('s', "id", disk->alias, 's', "node-name", node, 0),
                            error);
        if (!done)
            del_nodes(hot, nodes, nodes->len);
    }
    if (!done)
        take_back(hot, disk, chain);
    return done;
}

gboolean qemu_hot_disk_medium(QemuHot *hot, VireoDomainDisk *disk, const VireoDomainDisk *source,
                              gboolean force, GError **error)
{
    g_autoptr(VireoDomainDisk) changed = vireo_domain_disk_copy(source);
    g_autoptr(GPtrArray) chain = qemu_image_chain(changed, error);

    /* Nothing is disturbed for an image that is not there. */
    if (!chain || !open_tray(hot, disk->alias, force, error))
        return FALSE;
    g_free(changed->alias);
    changed->alias = g_strdup(disk->alias);
    if (qemu_disk_path(disk)) {
        if (!qemu_hot_run(hot, "blockdev-remove-medium", vireo_json_new('s', "id", disk->alias, 0),
                          error))
            return FALSE;
        qemu_hot_disk_release(hot, disk);
    }
    gboolean done = insert(hot, changed, error);
    if (!done)
        insert(hot, disk, NULL);
    qemu_hot_run(hot, "blockdev-close-tray", vireo_json_new('s', "id", disk->alias, 0), NULL);
    return done;
}

/* ---- size ---------------------------------------------------------------------- */

static gboolean resize(QemuDomain *dom, vireo_call *call,
                       const vireo_domain_block_resize_args *args, GError **error)
{
    VireoQmpWait wait = qemu_wait(dom->space->driver, call, RESIZE_S);
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    const VireoDomainDisk *disk;
    guint64 size = args->size;

    if (!qmp || !live || !(disk = qemu_find_disk(live->doc, args->disk, error)) ||
        !qemu_blockjobs_none(dom, disk->target->dev, error))
        return FALSE;
    if (disk->readonly || !qemu_disk_path(disk)) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "disk '%s' is %s", disk->target->dev,
                   qemu_disk_path(disk) ? "read-only" : "empty");
        return FALSE;
    }
    if (!(args->flags & VIREO_DOMAIN_BLOCK_RESIZE_BYTES)) {
        if (size > G_MAXINT64 / 1024) {
            qemu_error(error, VIREO_ERR_OVERFLOW, "%" G_GUINT64_FORMAT " KiB are too much", size);
            return FALSE;
        }
        size *= 1024;
    }
    if (size > G_MAXINT64) {
        qemu_error(error, VIREO_ERR_OVERFLOW, "%" G_GUINT64_FORMAT " bytes are too much", size);
        return FALSE;
    }
    /* Images have sectors. */
    size = (size + 511) / 512 * 512;
    g_autofree char *real = qemu_real_path(qemu_disk_path(disk));
    g_autofree char *node = qemu_live_node(qmp, real, error);
    if (!node) {
        if (error && !*error)
            qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU has not opened image %s", qemu_disk_path(disk));
        return FALSE;
    }
    return vireo_qmp_run(qmp, "block_resize",
                         vireo_json_new('s', "node-name", node, 'i', "size", (gint64)size, 0),
                         &wait, error);
}

int qemu_domain_block_resize(void *handle, vireo_call *call,
                             const vireo_domain_block_resize_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!resize(dom, call, args, &error))
        return qemu_fail(conn->driver, call, error);
    return VIREO_OK;
}
