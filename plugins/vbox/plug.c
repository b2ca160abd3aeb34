/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single devices of a machine: disks, media, cards and shared folders. A machine has one configuration, whether it runs or not. */
#include "ops.h"

#include "spec.h"

typedef enum { ATTACH, DETACH, UPDATE } Change;

static void detach_disk(VboxTalk *talk, const char *machine, const VireoDomainDisk *disk)
{
    const VwIMediumAttachment *at = vbox_disk_find(talk, machine, disk->target->dev);

    if (at)
        VBOX_CALL(talk, i_machine_detach_device, ._this = machine, .name = at->controller, .controller_port = at->port,
                  .device = at->device);
    else
        vbox_talk_refuse(talk, VIREO_ERR_DEVICE_MISSING, "the machine has no disk '%s'", disk->target->dev);
}

/* Another medium in a drive. */
static void update_disk(VboxTalk *talk, const char *machine, const VireoDomainDisk *disk, gboolean force)
{
    const VwIMediumAttachment *at = vbox_disk_find(talk, machine, disk->target->dev);

    if (!at)
        vbox_talk_refuse(talk, VIREO_ERR_DEVICE_MISSING, "the machine has no disk '%s'", disk->target->dev);
    else if (at->type == VW_DEVICE_TYPE_HARD_DISK)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                         "disk '%s' is a hard disk: only the media of CD-ROMs and floppies can be changed",
                         disk->target->dev);
    if (!talk->error)
        VBOX_CALL(talk, i_machine_mount_medium, ._this = machine, .name = at->controller, .controller_port = at->port,
                  .device = at->device, .medium = vbox_disk_medium(talk, disk), .force = force);
}

static void change_one(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices, Change what,
                       gboolean force)
{
    const VireoDomainDisk *disk = devices->disks.n ? devices->disks.items[0] : NULL;
    const VireoDomainInterface *card = devices->interfaces.n ? devices->interfaces.items[0] : NULL;
    const VireoDomainFilesystem *folder = devices->filesystems.n ? devices->filesystems.items[0] : NULL;

    if (disk && what == ATTACH)
        vbox_disk_attach(talk, machine, devices, disk);
    else if (disk && what == DETACH)
        detach_disk(talk, machine, disk);
    else if (disk)
        update_disk(talk, machine, disk, force);
    else if (card && what == ATTACH)
        vbox_card_attach(talk, machine, card);
    else if (card && what == DETACH && card->mac && card->mac->address)
        vbox_card_detach(talk, machine, card->mac->address);
    else if (card && what == UPDATE && card->mac && card->mac->address)
        vbox_card_update(talk, machine, card);
    else if (!folder)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                         "disks, interfaces (by their <mac>) and shared folders can be attached and detached, media "
                         "changed, and interfaces connected elsewhere");
    if (folder && what != ATTACH)
        vbox_folder_detach(talk, machine, folder->target);
    if (folder && what != DETACH)
        vbox_folder_attach(talk, machine, folder);
}

/* Devices stand in documents of domains: what is refused there is refused here. */
static VireoDomainDevices *read_device(VboxConn *conn, const char *xml, GError **error)
{
    VireoDomainDevices *devices = vireo_model_parse_member(&vireo_domain_devices_type, xml, -1, 0, error);
    VireoDomain domain = {.type = VIREO_DOMAIN_VIRT_VBOX, .devices = devices};

    if (devices && vireo_model_path_set_check(conn->driver->honoured, &domain, error) &&
        vbox_devices_check(devices, error))
        return devices;
    if (devices)
        vireo_model_free(&vireo_domain_devices_type, devices);
    return NULL;
}

static int run(VboxConn *conn, vireo_call *call, const vireo_domain_ref *dom, const char *xml, Change what,
               gboolean force)
{
    GError *error = NULL;
    VireoDomainDevices *devices = read_device(conn, xml, &error);
    VboxHold hold;
    VboxTalk talk;

    if (!devices)
        return vbox_fail(conn->driver, call, error);
    vbox_begin(&talk, conn, call);
    const char *machine = vbox_machine_ref(&talk, dom->uuid);
    if (!talk.error && vbox_hold(&talk, machine, &hold)) {
        change_one(&talk, hold.machine, devices, what, force);
        VBOX_CALL(&talk, i_machine_save_settings, ._this = hold.machine);
        vbox_let_go(&talk, &hold);
    }
    vireo_model_free(&vireo_domain_devices_type, devices);
    return vbox_talk_finish(&talk, call);
}

int vbox_domain_attach_device_flags(void *handle, vireo_call *call, const vireo_domain_attach_device_flags_args *args)
{
    return run(handle, call, &args->dom, args->xml, ATTACH, FALSE);
}

int vbox_domain_detach_device_flags(void *handle, vireo_call *call, const vireo_domain_detach_device_flags_args *args)
{
    return run(handle, call, &args->dom, args->xml, DETACH, FALSE);
}

int vbox_domain_update_device_flags(void *handle, vireo_call *call, const vireo_domain_update_device_flags_args *args)
{
    return run(handle, call, &args->dom, args->xml, UPDATE, (args->flags & VIREO_DOMAIN_DEVICE_MODIFY_FORCE) != 0);
}
