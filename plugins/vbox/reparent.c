/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's present state, put below the parent of its current snapshot: VirtualBox deletes no current snapshot that
 * has a child, since its disks would go into those of both, and it has no call to do this itself. The disks are copied,
 * the machine goes back to the parent, and the copies take the place of the disks it has then. */
#include <string.h>

#include "spec.h"

typedef struct {
    const VwIMediumAttachment *at;
    const char *below; /* the parent's disk in that place */
    const char *copy;  /* "" until there is one */
} Disk;

static const VboxSnapshot *parent_of(const VboxMachine *machine, const VboxSnapshot *snapshot)
{
    return snapshot->parent < 0 ? NULL : machine->snapshots->pdata[snapshot->parent];
}

/* All that a description has but the files of hard disks. Caller frees. */
static VireoDomain *settings_of(VboxTalk *talk, const VboxMachine *machine, const char *ref)
{
    VireoDomain *domain = vbox_describe(talk, machine, ref);

    for (guint i = 0; i < domain->devices->disks.n; i++) {
        VireoDomainDisk *disk = domain->devices->disks.items[i];

        if (disk->device == VIREO_DOMAIN_DISK_DEVICE_DISK && disk->source)
            g_clear_pointer(&disk->source->file, g_free);
    }
    return domain;
}

static gboolean same(const VireoModelType *type, const char *element, gconstpointer one, gconstpointer other)
{
    g_autofree char *left = vireo_model_format(type, element, one, 0), *right = vireo_model_format(type, element, other, 0);

    return g_str_equal(left, right);
}

static const char explained[] = "it is the current one and has a child, and VirtualBox would have to merge its disks "
                                "into those of both. Delete it with CHILDREN, or delete its child first";

/* What this needs, in the words of somebody who can do something about it. */
static gboolean possible(VboxTalk *talk, const VboxMachine *machine, const VboxSnapshot *snapshot, const char *parent)
{
    if (!parent)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "snapshot '%s' is the first: %s", snapshot->name, explained);
    else if (machine->state != VW_MACHINE_STATE_POWERED_OFF && machine->state != VW_MACHINE_STATE_ABORTED)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID,
                         "snapshot '%s' goes when the domain is off, and has no saved state: %s", snapshot->name, explained);
    return talk->error == NULL;
}

/* What is not a device is set again, below the parent: these settings, or NULL where they are the same. */
static VireoDomain *settings_to_set(VboxTalk *talk, const VboxMachine *machine, const VboxSnapshot *snapshot,
                                    const char *ref, const char *parent)
{
    VireoDomain *now = settings_of(talk, machine, ref), *then = settings_of(talk, machine, parent);

    if (!same(&vireo_domain_devices_type, "devices", now->devices, then->devices) ||
        g_strcmp0(now->os->type->arch, then->os->type->arch) != 0)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID,
                         "snapshot '%s': %s; the domain has other devices than '%s', and cannot be put below that one",
                         snapshot->name, explained, parent_of(machine, snapshot)->name);
    if (same(&vireo_domain_type, "domain", now, then))
        g_clear_pointer(&now, vireo_domain_free);
    vireo_domain_free(then);
    return now;
}

static const VwIMediumAttachment *in_place(const vw_i_machine_get_medium_attachments_ret *all,
                                           const VwIMediumAttachment *place)
{
    for (guint i = 0; i < all->returnval.n; i++) {
        const VwIMediumAttachment *one = all->returnval.items[i];

        if (g_str_equal(one->controller, place->controller) && one->port == place->port && one->device == place->device)
            return one;
    }
    return NULL;
}

/* The disks that snapshots are of; one that is written through is the same in all. */
static GArray *find_disks(VboxTalk *talk, const VboxSnapshot *snapshot, const char *ref, const char *parent)
{
    const vw_i_machine_get_medium_attachments_ret *now =
        VBOX_CALL(talk, i_machine_get_medium_attachments, ._this = ref);
    const vw_i_machine_get_medium_attachments_ret *then =
        VBOX_CALL(talk, i_machine_get_medium_attachments, ._this = parent);
    GArray *disks = g_array_new(FALSE, FALSE, sizeof(Disk));

    for (guint i = 0; i < now->returnval.n && !talk->error; i++) {
        Disk disk = {.at = now->returnval.items[i], .copy = ""};
        const VwIMediumAttachment *before = in_place(then, disk.at);

        if (disk.at->type != VW_DEVICE_TYPE_HARD_DISK || (before && g_str_equal(before->medium, disk.at->medium)))
            continue;
        disk.below = VBOX_GET(talk, i_medium_get_parent, VBOX_GET(talk, i_medium_get_parent, disk.at->medium));
        if (!before || !g_str_equal(before->medium, disk.below))
            vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID,
                             "snapshot '%s': one of its disks is not made of that of its parent", snapshot->name);
        g_array_append_val(disks, disk);
    }
    return disks;
}

static const char *copy_disk(VboxTalk *talk, vireo_call *call, const Disk *disk)
{
    VwMediumVariant variant[] = {VW_MEDIUM_VARIANT_STANDARD};
    const char *path = VBOX_GET(talk, i_medium_get_location, disk->at->medium), *suffix = strrchr(path, '.');
    g_autofree char *folder = g_path_get_dirname(path), *id = g_uuid_string_random();
    g_autofree char *file = g_strdup_printf("%s/{%s}%s", folder, id, suffix ? suffix : "");
    const char *copy =
        VBOX_CALL(talk, i_virtual_box_create_medium, ._this = talk->web, .location = file,
                  .format = VBOX_GET(talk, i_medium_get_format, disk->at->medium),
                  .access_mode = VW_ACCESS_MODE_READ_WRITE, .a_device_type_type = VW_DEVICE_TYPE_HARD_DISK)
            ->returnval;
    const char *progress = VBOX_CALL(talk, i_medium_clone_to, ._this = disk->at->medium, .target = copy,
                                     .variant = {1, variant}, .parent = disk->below)
                               ->returnval;

    if (!talk->error)
        vbox_talk_follow(talk, call, progress);
    return copy;
}

/* Whatever has happened; error stays what it is. */
static void throw_away(VboxTalk *talk, const char *medium)
{
    GError *before = g_steal_pointer(&talk->error);
    const char *progress = VBOX_GET(talk, i_medium_delete_storage, medium);

    if (!talk->error)
        vbox_talk_follow(talk, NULL, progress);
    g_clear_error(&talk->error);
    vbox_talk_take(talk, medium);
    talk->error = before;
}

/* Fresh disks, which have nothing of their own yet, for the copies; and the settings. */
static void exchange(VboxTalk *talk, const char *machine, const GArray *disks, const VireoDomain *settings)
{
    g_autoptr(GPtrArray) fresh = g_ptr_array_new();
    VboxHold hold;

    if (talk->error || !vbox_hold(talk, machine, &hold))
        return;
    const vw_i_machine_get_medium_attachments_ret *now =
        VBOX_CALL(talk, i_machine_get_medium_attachments, ._this = hold.machine);
    for (guint i = 0; i < disks->len && !talk->error; i++) {
        const Disk *disk = &g_array_index(disks, Disk, i);
        const VwIMediumAttachment *at = in_place(now, disk->at);

        if (at)
            g_ptr_array_add(fresh, (char *)at->medium);
        VBOX_CALL(talk, i_machine_detach_device, ._this = hold.machine, .name = disk->at->controller,
                  .controller_port = disk->at->port, .device = disk->at->device);
        VBOX_CALL(talk, i_machine_attach_device, ._this = hold.machine, .name = disk->at->controller,
                  .controller_port = disk->at->port, .device = disk->at->device, .type = VW_DEVICE_TYPE_HARD_DISK,
                  .medium = disk->copy);
    }
    if (settings)
        vbox_spec_apply(talk, hold.machine, settings);
    VBOX_CALL(talk, i_machine_save_settings, ._this = hold.machine);
    vbox_let_go(talk, &hold);
    for (guint i = 0; i < fresh->len && !talk->error; i++)
        throw_away(talk, fresh->pdata[i]);
}

void vbox_reparent(VboxTalk *talk, vireo_call *call, const VboxMachine *machine, const VboxSnapshot *snapshot)
{
    const VboxSnapshot *above = parent_of(machine, snapshot);
    const char *ref = vbox_machine_ref(talk, machine->uuid);
    const char *parent = above ? VBOX_GET(talk, i_snapshot_get_machine, above->ref) : NULL;

    if (talk->error || !possible(talk, machine, snapshot, parent))
        return;
    VireoDomain *settings = settings_to_set(talk, machine, snapshot, ref, parent);
    g_autoptr(GArray) disks = find_disks(talk, snapshot, ref, parent);
    for (guint i = 0; i < disks->len && !talk->error; i++) {
        Disk *disk = &g_array_index(disks, Disk, i);

        disk->copy = copy_disk(talk, call, disk);
    }
    vbox_snapshot_restore(talk, call, ref, above);
    gboolean restored = !talk->error;
    exchange(talk, ref, disks, settings);
    vireo_domain_free(settings);
    for (guint i = 0; i < disks->len && !restored; i++)
        throw_away(talk, g_array_index(disks, Disk, i).copy);
    if (restored && talk->error && disks->len)
        g_prefix_error(&talk->error, "the domain is at snapshot '%s' now, and its disks are copied to %s: ", above->name,
                       g_array_index(disks, Disk, 0).copy);
}
