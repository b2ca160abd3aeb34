/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* REDEFINE: metadata from outside, checked against the tree it joins. */
#include "snapshot.h"

#include <string.h>

#include "images.h"
#include "machine.h"
#include "sidefile.h"

/* Whether name is below of, which is in the tree. */
static gboolean is_below(QemuDomain *dom, const char *name, const char *of)
{
    g_autofree char *at = g_strdup(name);

    while (at && !g_str_equal(at, of)) {
        g_autoptr(QemuSnap) snap = qemu_tree_find(dom->tree, at);

        g_free(at);
        at = snap ? g_strdup(qemu_snap_parent(snap)) : NULL;
    }
    return at != NULL;
}

static gboolean check_parent(QemuDomain *dom, const VireoDomainSnapshot *doc, GError **error)
{
    const char *parent = doc->parent ? doc->parent->name : NULL;
    g_autoptr(QemuSnap) above = qemu_tree_find(dom->tree, parent), old = qemu_tree_find(dom->tree, doc->name);

    if (!parent)
        return TRUE;
    if (g_str_equal(parent, doc->name)) {
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "another parent, or none",
                    "snapshot '%s' cannot be its own parent", parent);
        return FALSE;
    }
    if (!above) {
        qemu_refuse(error, VIREO_ERR_INVALID_ARG, "redefine the parent first, or leave out <parent>",
                    "snapshot '%s' names a parent '%s' that does not exist", doc->name, parent);
        return FALSE;
    }
    if (!old || !is_below(dom, parent, doc->name)) /* nothing is below a new one */
        return TRUE;
    qemu_refuse(error, VIREO_ERR_INVALID_ARG, "another parent: one that is not among its descendants",
                "parent '%s' of snapshot '%s' is below it", parent, doc->name);
    return FALSE;
}

static gboolean is_online(VireoDomainSnapshotState state)
{
    return state == VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING ||
           state == VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED;
}

/* The snapshot of that name that is replaced. */
static gboolean check_replaced(const QemuSnap *old, VireoDomainSnapshot *doc, GError **error)
{
    gboolean was_disk = old->doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT,
             is_disk = doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT;

    if (was_disk != is_disk) {
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "another name, or the state that it has",
                    "snapshot '%s' cannot change between disks only and the whole guest", doc->name);
        return FALSE;
    }
    if (is_online(old->doc->state) != is_online(doc->state)) {
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "another name, or the state that it has",
                    "snapshot '%s' cannot change between a running and a stopped guest", doc->name);
        return FALSE;
    }
    if (doc->domain && old->doc->domain && !qemu_same_machine(old->doc->domain, doc->domain)) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "another name, or the <domain> that it has (snapshot-dumpxml)",
                    "snapshot '%s': the machine of its domain is not the one it was taken of",
                   doc->name);
        return FALSE;
    }
    if (!doc->domain && old->doc->domain)
        doc->domain = vireo_domain_copy(old->doc->domain);
    if (!doc->nvram && old->doc->nvram) {
        doc->nvram = g_new0(VireoDomainSnapshotSideFile, 1);
        doc->nvram->file = g_strdup(old->doc->nvram->file);
    }
    if (!doc->tpm && old->doc->tpm) {
        doc->tpm = g_new0(VireoDomainSnapshotSideFile, 1);
        doc->tpm->file = g_strdup(old->doc->tpm->file);
    }
    return TRUE;
}

static gboolean check_fields(QemuDomain *dom, const VireoDomainSnapshot *doc, GError **error)
{
    if (!doc->name) {
        qemu_refuse(error, VIREO_ERR_XML_ERROR,
                    "XML as snapshot-dumpxml prints it",
                    "a snapshot that is redefined needs its name");
        return FALSE;
    }
    if (doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_UNSET) {
        qemu_refuse(error, VIREO_ERR_XML_ERROR,
                    "XML as snapshot-dumpxml prints it",
                    "snapshot '%s' that is redefined needs its state",
                   doc->name);
        return FALSE;
    }
    if (!doc->has_creation_time) {
        qemu_refuse(error, VIREO_ERR_INTERNAL_ERROR,
                    "XML as snapshot-dumpxml prints it",
                    "snapshot '%s' that is redefined needs its creationTime", doc->name);
        return FALSE;
    }
    if (!is_online(doc->state) && doc->state != VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF &&
        doc->state != VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "a state that a snapshot can have: running, paused, shutoff or disk-snapshot",
                    "snapshot '%s': a guest in state '%s' has no snapshots", doc->name,
                   vireo_domain_snapshot_state_to_string(doc->state));
        return FALSE;
    }
    if (doc->domain && doc->domain->has_uuid && memcmp(doc->domain->uuid, dom->uuid, 16)) {
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "the snapshot's own domain, or its <domain> with this one's uuid",
                    "snapshot '%s': its domain has a uuid other than %s",
                   doc->name, dom->uuid_text);
        return FALSE;
    }
    return TRUE;
}

static gboolean check_flags(const VireoDomainSnapshot *doc, guint flags, GError **error)
{
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY) &&
        doc->state != VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT) {
        qemu_error(error, VIREO_ERR_INVALID_ARG,
                   "snapshot '%s' is not one of disks only, as flag DISK_ONLY says", doc->name);
        return FALSE;
    }
    if (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT) {
        qemu_error(error, VIREO_ERR_INVALID_ARG,
                   "flag REUSE_EXT cannot take effect: snapshot '%s' is only redefined", doc->name);
        return FALSE;
    }
    return TRUE;
}

/* ---- against the disks -------------------------------------------------------------- */

static VireoDomainSnapshotLocation where(const VireoDomainSnapshot *doc, const char *dev)
{
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++)
        if (g_str_equal(doc->disks->disks.items[i]->name, dev))
            return doc->disks->disks.items[i]->snapshot;
    return doc->disks ? VIREO_DOMAIN_SNAPSHOT_LOCATION_NO : VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
}

static gboolean check_disk(const VireoDomainSnapshot *doc, const VireoDomainDisk *disk,
                           GError **error)
{
    VireoDomainSnapshotLocation kind = where(doc, disk->target->dev);
    const char *path = qemu_disk_path(disk);

    if (disk->readonly || !path ||
        (kind != VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL &&
         kind != VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL))
        return TRUE;
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(path, TRUE, error);
    if (info && (kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL ||
                 qemu_image_info_snapshot(info, doc->name)))
        return TRUE;
    if (info)
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "bring the image back, or leave out VALIDATE",
                    "snapshot '%s' is not in the image of disk '%s' (%s), as flag VALIDATE asks",
                   doc->name, disk->target->dev, path);
    return FALSE;
}

/* Metadata for a snapshot that is not there is refused when the client asks for that. */
static gboolean check_images(const VireoDomainSnapshot *doc, GError **error)
{
    for (guint i = 0; doc->domain && i < doc->domain->devices->disks.n; i++)
        if (!check_disk(doc, doc->domain->devices->disks.items[i], error))
            return FALSE;
    g_autofree char *wrong = qemu_snap_files_wrong(doc);
    if (wrong)
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED, "bring the file back, or leave out VALIDATE",
                    "%s, as flag VALIDATE asks", wrong);
    return wrong == NULL;
}

QemuSnap *qemu_snapshot_redefine(QemuDomain *dom, VireoDomainSnapshot *doc, guint flags,
                                 GError **error)
{
    g_autoptr(VireoDomainSnapshot) owned = doc;

    if (!check_fields(dom, doc, error) || !check_flags(doc, flags, error) ||
        !check_parent(dom, doc, error))
        return NULL;
    g_autoptr(QemuSnap) old = qemu_tree_find(dom->tree, doc->name);
    if (old && !check_replaced(old, doc, error))
        return NULL;
    if (doc->domain && !qemu_def_complete(dom->space, doc->domain, error))
        return NULL;
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE) && !check_images(doc, error))
        return NULL;
    return qemu_snap_new(g_steal_pointer(&owned));
}
