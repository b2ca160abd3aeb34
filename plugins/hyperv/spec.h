/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands for what: here and in Hyper-V. */
#include "driver.h"
#include "kit/document.h"

typedef enum { HYPERV_IDE = 5, HYPERV_SCSI = 6, HYPERV_FLOPPY = 14 } HypervBus; /* its ResourceType */
#define HYPERV_CARD       10
#define HYPERV_DVD        16
#define HYPERV_DISK       17
#define HYPERV_SERIAL     21
#define HYPERV_MEDIUM     31
#define HYPERV_CONNECTION 33

/* A drive of a machine, or an interface, and what is in it. */
typedef struct {
    const VireoCim *device, *inside; /* inside: the medium or the connection; NULL: none */
    HypervBus bus;
    guint controller, unit;
    char *target; /* "sda"; NULL: an interface */
    char *mac;
} HypervDevice;

/* All resources of a machine, or of a snapshot: of its InstanceID. */
const GPtrArray *hyperv_resources(HypervTalk *talk, const char *instance_id);
/* HypervDevice; sorted. */
GPtrArray *hyperv_devices(HypervTalk *talk, const GPtrArray *resources);
/* Serial ports, as resources, by their number. Belongs to the caller. */
GPtrArray *hyperv_ports(const GPtrArray *resources);
/* Controllers of that type, as resources; sorted. Belongs to the caller. */
GPtrArray *hyperv_controllers(const GPtrArray *resources, HypervBus bus);
/* What has what it is said to be in. */
gboolean hyperv_is_in(const VireoCim *inside, const VireoCim *outside);
/* The file of a medium, "" for none. */
const char *hyperv_file_of(const HypervDevice *device);
/* The number of the host's disk that is handed through to the machine; NULL: it is none. Caller frees. */
char *hyperv_number_of(HypervTalk *talk, const HypervDevice *device);
/* The name of the switch a connection is to; NULL: none. Caller frees. */
char *hyperv_switch_of(HypervTalk *talk, const HypervDevice *device);
/* The GUID of the switch of that name; NULL: there is an error. Caller frees. */
char *hyperv_switch_named(HypervTalk *talk, const char *name);

/* Whether the document can be honoured, before anything is made of it. */
gboolean hyperv_spec_check(const VireoDomain *domain, GError **error);
gboolean hyperv_devices_check(const VireoDomainDevices *devices, GError **error);
VireoTristate hyperv_secure_boot_of(const VireoDomainOs *os);
gboolean hyperv_has_tpm(const VireoDomain *domain);
/* What is kept of the security of a machine; an empty one: nothing is, the host is too old. */
const VireoCim *hyperv_security_of(HypervTalk *talk, const char *guid);
/* The number of that one of the serial ports. */
guint64 hyperv_port_of(const VireoDomainDevices *devices, guint index);
/* Where a disk goes; address: may be NULL. */
void hyperv_disk_place(const VireoDomainDisk *disk, HypervBus *bus, guint *controller, guint *unit);

/* ---- device.c ------------------------------------------------------------------------ */

void hyperv_disk_attach(HypervTalk *talk, const char *guid, const VireoDomainDisk *disk);
void hyperv_card_attach(HypervTalk *talk, const char *guid, const VireoDomainInterface *card);
/* Its serial ports become those pipes; those that are not named are connected to nothing. */
void hyperv_serials_apply(HypervTalk *talk, const GPtrArray *resources, const VireoDomainDevices *devices);
/* In place of those it has. */
void hyperv_devices_apply(HypervTalk *talk, const char *guid, const VireoDomainDevices *devices);
/* Of resources: what has been changed of one goes to the server. Takes changes. */
void hyperv_resource_modify(HypervTalk *talk, VireoCim *changes);
