/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands for what: here and in VirtualBox. */
#include "driver.h"
#include "kit/document.h"

#define VBOX_CARDS       8
#define VBOX_SERIALS     4
#define VBOX_BOOT_PLACES 4

typedef struct {
    VwStorageBus bus;
    VireoDomainControllerType controller;
    VireoDomainDiskBus disk;
    const char *prefix; /* of the names of disks on it */
    guint places;       /* on one controller */
    const char *name;   /* of controllers that are made */
    const char *counters; /* in VirtualBox's statistics */
} VboxBus;
extern const VboxBus vbox_buses[]; /* ended by one without a bus */

/* NULL: it has none here. */
const char *vbox_controller_model(VwStorageControllerType type);
/* model: may be NULL; *type 0: what VirtualBox takes by itself. FALSE: there is none. */
gboolean vbox_controller_type(const char *model, VireoDomainControllerType kind, VwStorageBus *bus,
                              VwStorageControllerType *type);
const char *vbox_card_model(VwNetworkAdapterType type);
/* 0: there is none. */
VwNetworkAdapterType vbox_card_type(const char *model);
VireoDomainBootDevice vbox_boot_device(VwDeviceType type);

/* Whether the document can be honoured, before anything is made of it. */
gboolean vbox_spec_check(const VireoDomain *domain, GError **error);
/* Sets all of it but name, UUID and devices. */
void vbox_spec_apply(VboxTalk *talk, const char *machine, const VireoDomain *domain);

/* ---- devices.c ----------------------------------------------------------------------- */

gboolean vbox_devices_check(const VireoDomainDevices *devices, GError **error);
/* Attaches one more of them: a disk, a card or a shared folder. */
void vbox_disk_attach(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices,
                      const VireoDomainDisk *disk);
void vbox_card_attach(VboxTalk *talk, const char *machine, const VireoDomainInterface *card);
void vbox_folder_attach(VboxTalk *talk, const char *machine, const VireoDomainFilesystem *folder);
/* The one with its address gets another source, or link. */
void vbox_card_update(VboxTalk *talk, const char *machine, const VireoDomainInterface *card);
/* The one with that address goes. */
void vbox_card_detach(VboxTalk *talk, const char *machine, const char *mac);
/* The one of that name goes. */
void vbox_folder_detach(VboxTalk *talk, const char *machine, const char *target);
/* The file of a disk as VirtualBox's object; "" for none. */
const char *vbox_disk_medium(VboxTalk *talk, const VireoDomainDisk *disk);
/* describe.c: where the disk of that name is; NULL: nowhere, or there is an error. */
const VwIMediumAttachment *vbox_disk_find(VboxTalk *talk, const char *machine, const char *target);
typedef struct {
    char *target;        /* "hda" */
    const char *medium, *path; /* "" without one */
    char *counters;      /* what VirtualBox's statistics call it: "PIIX3IDE0/Port0" */
} VboxDiskPlace;
/* All disks of a machine, of that struct. */
GArray *vbox_disk_list(VboxTalk *talk, const char *machine);
/* The controller for disks of that number among those of its type here; "" when there is none. */
const char *vbox_controller_find(VboxTalk *talk, const char *machine, VireoDomainControllerType type, guint index);
/* In place of those it has. */
void vbox_devices_apply(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices);
