/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a machine's disks sit: four SCSI and four SATA controllers, two IDE channels, two floppy drives. */
#include "kit/model.h"

/* The unit of a SCSI bus that is the controller itself. */
#define ESX_SCSI_SELF 7

/* How many controllers of that kind there are, and places on each (of SCSI with the controller's own); 0: no such bus. */
guint esx_drive_buses(VireoDomainDiskBus kind);
guint esx_drive_units(VireoDomainDiskBus kind);

/* Bus and unit from the disk's address, or else from its target's letters. FALSE: refused with CONFIG_UNSUPPORTED. */
gboolean esx_drive_find(const VireoDomainDisk *disk, guint *bus, guint *unit, GError **error);
/* Sets target and address. */
void esx_drive_put(VireoDomainDisk *disk, VireoDomainDiskBus kind, guint bus, guint unit);

/* NULL: the document has none of that number; one without a number is 0. */
const VireoDomainController *esx_controller_find(const VireoDomainDevices *devices, VireoDomainControllerType type,
                                                 guint index);
void esx_controller_add(VireoDomainDevices *devices, VireoDomainControllerType type, guint index, const char *model);
