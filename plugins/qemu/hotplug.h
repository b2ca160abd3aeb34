/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Devices that come and go while a guest runs. Everything with the domain's job held. */
typedef struct {
    QemuDomain *dom;
    vireo_call *call; /* NULL: nobody waits */
    VireoQmp *qmp;
    VireoDomain *doc; /* a copy of what runs, being changed */
    guint controllers; /* how many of doc's the guest has; the others come with a disk */
} QemuHot;

/* hot_disk.c. Attaching: the device is already in hot->doc, with its address; on failure nothing of
 * it is left in QEMU. */
gboolean qemu_hot_disk_attach(QemuHot *hot, VireoDomainDisk *disk, GError **error);
/* Changes the medium of a drive to source's; force opens a locked tray. */
gboolean qemu_hot_disk_medium(QemuHot *hot, VireoDomainDisk *disk, const VireoDomainDisk *source,
                              gboolean force, GError **error);
/* Lets go of the images of a disk that QEMU no longer has. */
void qemu_hot_disk_release(QemuHot *hot, const VireoDomainDisk *disk);

/* hot_net.c */
gboolean qemu_hot_net_attach(QemuHot *hot, VireoDomainInterface *iface, GError **error);
void qemu_hot_net_release(QemuHot *hot, const VireoDomainInterface *iface);
gboolean qemu_hot_net_link(QemuHot *hot, const VireoDomainInterface *iface, GError **error);

/* hot_gone.c: asks the guest to let go of a device and waits a while. TRUE also when it has not let
 * go yet: the definition follows when it does. */
gboolean qemu_hot_unplug(QemuHot *hot, const char *alias, GError **error);
/* QEMU reported the end of a device; on the monitor's thread. */
void qemu_hot_gone(QemuDomain *dom, const char *alias);
/* Found again after a restart of the daemon: what is not in QEMU's list of devices left meanwhile and
 * is forgotten. */
void qemu_hot_reconcile(QemuDomain *dom, JsonArray *list);
/* The guest refused to let go. */
void qemu_hot_refused(QemuDomain *dom, const char *alias);
/* A drive's tray was moved. */
void qemu_hot_tray(QemuDomain *dom, const char *alias, gboolean open);
/* One command of the monitor, its answer does not matter. args: taken. */
gboolean qemu_hot_run(QemuHot *hot, const char *command, JsonObject *args, GError **error);
void qemu_hot_event_added(QemuHot *hot, const char *alias);
