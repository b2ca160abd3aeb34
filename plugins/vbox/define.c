/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Machines come, change and go. */
#include "ops.h"

#include <string.h>

#include "spec.h"

/* ---- a new machine ----------------------------------------------------------------------- */

/* What a machine has left behind that could not be completed. */
static void throw_away(VboxTalk *talk, const char *machine)
{
    GError *before = g_steal_pointer(&talk->error);
    const vw_i_machine_unregister_ret *media =
        VBOX_CALL(talk, i_machine_unregister, ._this = machine, .cleanup_mode = VW_CLEANUP_MODE_DETACH_ALL_RETURN_NONE);

    if (!talk->error && media)
        vbox_talk_follow(talk, NULL, VBOX_CALL(talk, i_machine_delete_config, ._this = machine)->returnval);
    g_clear_error(&talk->error);
    talk->error = before;
}

static void create_machine(VboxTalk *talk, const VireoDomain *domain)
{
    const char *groups[] = {"/"};
    gboolean wide = !domain->os->type->arch || g_str_equal(domain->os->type->arch, "x86_64");
    char uuid[37];
    VboxHold hold;

    vireo_model_uuid_format(domain->uuid, uuid);
    g_autofree char *flags = g_strdup_printf("UUID=%s", uuid);
    const char *machine = VBOX_CALL(talk, i_virtual_box_create_machine, ._this = talk->web, .settings_file = "",
                                    .name = domain->name, .platform = VW_PLATFORM_ARCHITECTURE_X86,
                                    .groups = {1, groups}, .os_type_id = wide ? "Other_64" : "Other", .flags = flags,
                                    .cipher = "", .password_id = "", .password = "")
                              ->returnval;
    vbox_spec_apply(talk, machine, domain);
    VBOX_CALL(talk, i_virtual_box_register_machine, ._this = talk->web, .machine = machine);
    if (talk->error)
        return;
    if (vbox_hold(talk, machine, &hold)) {
        vbox_devices_apply(talk, hold.machine, domain->devices);
        VBOX_CALL(talk, i_machine_save_settings, ._this = hold.machine);
        vbox_let_go(talk, &hold);
    }
    if (talk->error)
        throw_away(talk, machine);
}

/* ---- an existing machine ----------------------------------------------------------------- */

static gboolean same_devices(const VireoDomain *is, const VireoDomain *wanted)
{
    g_autofree char *one =
        vireo_model_format(&vireo_domain_devices_type, "devices", is->devices, VIREO_MODEL_FORMAT_INACTIVE);
    g_autofree char *other =
        vireo_model_format(&vireo_domain_devices_type, "devices", wanted->devices, VIREO_MODEL_FORMAT_INACTIVE);

    return g_str_equal(one, other);
}

static void change_machine(VboxTalk *talk, const VboxMachine *known, const VireoDomain *domain)
{
    VireoDomain *is = vbox_describe(talk, known, vbox_machine_ref(talk, known->uuid));
    const char *arch = domain->os->type->arch;
    gboolean devices = !talk->error && !same_devices(is, domain);
    VboxHold hold;

    if (!talk->error && arch && !g_str_equal(arch, is->os->type->arch))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                         "domain '%s' exists: a definition does not change its architecture", known->name);
    if (vbox_state_is_active(known->state))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID,
                         "domain '%s' is running: VirtualBox changes its definition when it is off", known->name);
    if (!talk->error && devices && known->snapshots->len)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                         "domain '%s' has snapshots, which need its disks: a definition does not change its devices",
                         known->name);
    vireo_domain_free(is);
    if (!talk->error && vbox_hold(talk, vbox_machine_ref(talk, known->uuid), &hold)) {
        if (!g_str_equal(known->name, domain->name))
            VBOX_CALL(talk, i_machine_set_name, ._this = hold.machine, .name = domain->name);
        vbox_spec_apply(talk, hold.machine, domain);
        if (devices)
            vbox_devices_apply(talk, hold.machine, domain->devices);
        VBOX_CALL(talk, i_machine_save_settings, ._this = hold.machine);
        vbox_let_go(talk, &hold); /* what is not saved is forgotten */
    }
}

static void make(VboxTalk *talk, const VireoDomain *domain)
{
    vbox_inventory_read(talk, domain->uuid);
    g_autoptr(VboxMachine) known = vbox_machine_find(talk->server, domain->uuid);

    gboolean keeps = known && g_str_equal(known->name, domain->name);
    if (!keeps && vireo_machines_has_name(talk->server->machines, domain->name))
        vbox_inventory_read_all(talk, FALSE); /* others may have taken it away just now */
    if (!keeps && vireo_machines_has_name(talk->server->machines, domain->name))
        vbox_talk_refuse(talk, VIREO_ERR_DOM_EXIST, "there is a domain '%s' already, with another UUID", domain->name);
    if (known)
        change_machine(talk, known, domain);
    else
        create_machine(talk, domain);
    vbox_inventory_read(talk, domain->uuid);
}

/* The document, with a UUID; NULL: failed. */
static VireoDomain *read_document(VboxConn *conn, vireo_call *call, const char *text, guint how)
{
    GError *error = NULL;
    VireoDomain *domain = vireo_domain_parse(text, VIREO_MODEL_PARSE_INACTIVE | how, &error);

    if (domain && !domain->has_uuid) {
        g_autofree char *uuid = g_uuid_string_random();
        domain->has_uuid = vireo_model_uuid_parse(uuid, domain->uuid);
    }
    if (domain && vireo_model_path_set_check(conn->driver->honoured, domain, &error) && vbox_spec_check(domain, &error))
        return domain;
    vireo_domain_free(domain);
    vbox_fail(conn->driver, call, error);
    return NULL;
}

static vireo_domain_ref answer(VboxConn *conn, vireo_call *call, const VireoDomain *domain)
{
    vireo_domain_ref dom = {.name = conn->driver->host->strdup(call, domain->name), .id = -1};

    memcpy(dom.uuid, domain->uuid, 16);
    return vbox_machine_dom(conn, call, &dom);
}

/* start: it runs afterwards, or a new one is gone again: there are no machines that go when they end. */
static int define(VboxConn *conn, vireo_call *call, const char *xml, gboolean validate, gboolean start,
                  vireo_domain_ref *dom)
{
    VireoDomain *domain = read_document(conn, call, xml, validate ? VIREO_MODEL_PARSE_VALIDATE : 0);
    VboxTalk talk;

    if (!domain)
        return VIREO_FAIL;
    vbox_begin(&talk, conn, call);
    g_autoptr(VboxMachine) known = vbox_machine_find(conn->server, domain->uuid);
    if (start && known && vbox_state_is_active(known->state))
        vbox_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is already running", known->name);
    make(&talk, domain);
    gboolean made = !talk.error && !known;
    if (start && !talk.error)
        vbox_machine_start(&talk, call, domain->uuid);
    if (made && talk.error) {
        GError *before = g_steal_pointer(&talk.error);

        throw_away(&talk, vbox_machine_ref(&talk, domain->uuid));
        g_clear_error(&talk.error);
        talk.error = before;
        vbox_inventory_read(&talk, domain->uuid);
    }
    int status = vbox_talk_finish(&talk, call);
    *dom = answer(conn, call, domain);
    vireo_domain_free(domain);
    return status;
}

int vbox_domain_define_xml_flags(void *handle, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                                 vireo_domain_define_xml_flags_ret *ret)
{
    return define(handle, call, args->xml, (args->flags & VIREO_DOMAIN_DEFINE_VALIDATE) != 0, FALSE, &ret->dom);
}

int vbox_domain_create_xml(void *handle, vireo_call *call, const vireo_domain_create_xml_args *args,
                           vireo_domain_create_xml_ret *ret)
{
    return define(handle, call, args->xml_desc, (args->flags & VIREO_DOMAIN_START_VALIDATE) != 0, TRUE, &ret->dom);
}

/* ---- undefine and rename ----------------------------------------------------------------- */

/* Its files go, its disks stay; snapshots have their disks in them, so they have to go first. */
int vbox_domain_undefine_flags(void *handle, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const char *machine = vbox_machine_ref(&talk, args->dom.uuid);
    VwMachineState state = VBOX_GET(&talk, i_machine_get_state, machine);
    if (vbox_state_is_active(state))
        vbox_talk_refuse(
            &talk, VIREO_ERR_OPERATION_INVALID,
            "domain '%s' is running, and VirtualBox has no machines without a definition: destroy it first",
            args->dom.name);
    if (state == VW_MACHINE_STATE_SAVED && !(args->flags & VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE))
        vbox_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID,
                         "domain '%s' has a saved state: remove it first, or undefine it with MANAGED_SAVE",
                         args->dom.name);
    if (VBOX_GET(&talk, i_machine_get_snapshot_count, machine) > 0)
        vbox_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' has %u snapshots: delete them first",
                         args->dom.name, VBOX_GET(&talk, i_machine_get_snapshot_count, machine));
    if (!talk.error) {
        VBOX_CALL(&talk, i_machine_unregister, ._this = machine,
                  .cleanup_mode = VW_CLEANUP_MODE_DETACH_ALL_RETURN_HARD_DISKS_ONLY);
        const char *progress = VBOX_CALL(&talk, i_machine_delete_config, ._this = machine)->returnval;
        if (!talk.error)
            vbox_talk_follow(&talk, call, progress);
        vbox_talk_take(&talk, machine);
    }
    vbox_inventory_read(&talk, args->dom.uuid);
    return vbox_talk_finish(&talk, call);
}

/* Sets something of the machine that is kept; returns the call's status. */
static int change(VboxConn *conn, vireo_call *call, const vireo_domain_ref *dom, const char *name, guint cpus, guint mib)
{
    VboxHold hold;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const char *machine = vbox_machine_ref(&talk, dom->uuid);
    if (vbox_state_is_active(VBOX_GET(&talk, i_machine_get_state, machine)))
        vbox_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID,
                         "domain '%s' is running: VirtualBox changes this when it is off", dom->name);
    if (!talk.error && vbox_hold(&talk, machine, &hold)) {
        if (name)
            VBOX_CALL(&talk, i_machine_set_name, ._this = hold.machine, .name = name);
        if (cpus)
            VBOX_CALL(&talk, i_machine_set_cpu_count, ._this = hold.machine, .cpu_count = cpus);
        if (mib)
            VBOX_CALL(&talk, i_machine_set_memory_size, ._this = hold.machine, .memory_size = mib);
        VBOX_CALL(&talk, i_machine_save_settings, ._this = hold.machine);
        vbox_let_go(&talk, &hold);
    }
    vbox_inventory_read(&talk, dom->uuid);
    return vbox_talk_finish(&talk, call);
}

int vbox_domain_rename(void *handle, vireo_call *call, const vireo_domain_rename_args *args,
                       vireo_domain_rename_ret *ret)
{
    VboxConn *conn = handle;

    if (!args->new_name || !*args->new_name)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "a machine needs a name");
    if (vireo_machines_has_name(conn->server->machines, args->new_name))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "there is a domain '%s' already",
                                        args->new_name);
    ret->retcode = 0;
    return change(handle, call, &args->dom, args->new_name, 0, 0);
}

/* ---- CPUs and memory --------------------------------------------------------------------- */

static int set_vcpus(VboxConn *conn, vireo_call *call, const vireo_domain_ref *dom, guint n)
{
    if (n == 0)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "a machine needs a virtual CPU");
    return change(conn, call, dom, NULL, n, 0);
}

int vbox_domain_set_vcpus(void *handle, vireo_call *call, const vireo_domain_set_vcpus_args *args)
{
    return set_vcpus(handle, call, &args->dom, args->nvcpus);
}

int vbox_domain_set_vcpus_flags(void *handle, vireo_call *call, const vireo_domain_set_vcpus_flags_args *args)
{
    return set_vcpus(handle, call, &args->dom, args->nvcpus);
}

int vbox_domain_get_vcpus_flags(void *handle, vireo_call *call, const vireo_domain_get_vcpus_flags_args *args,
                                vireo_domain_get_vcpus_flags_ret *ret)
{
    VboxConn *conn = handle;
    g_autoptr(VboxMachine) machine = vbox_machine_find(conn->server, args->dom.uuid);
    vireo_connect_get_max_vcpus_args any = {.type = NULL};
    vireo_connect_get_max_vcpus_ret most = {0};

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    ret->num = (int)machine->vcpus;
    if (!(args->flags & VIREO_DOMAIN_VCPU_MAXIMUM))
        return VIREO_OK;
    int status = vbox_connect_get_max_vcpus(handle, call, &any, &most);
    ret->num = most.max_vcpus;
    return status;
}

static int set_memory(VboxConn *conn, vireo_call *call, const vireo_domain_ref *dom, guint64 kib)
{
    if (kib == 0 || kib > G_MAXUINT32 * 1024ull)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "%" G_GUINT64_FORMAT " KiB is no amount of memory",
                                        kib);
    return change(conn, call, dom, NULL, 0, (guint)((kib + 1023) / 1024));
}

/* Without a flag: of other hypervisors what runs is meant; VirtualBox's machine has one size, which changes when it is off. */
int vbox_domain_set_memory(void *handle, vireo_call *call, const vireo_domain_set_memory_args *args)
{
    return set_memory(handle, call, &args->dom, args->memory);
}

int vbox_domain_set_memory_flags(void *handle, vireo_call *call, const vireo_domain_set_memory_flags_args *args)
{
    return set_memory(handle, call, &args->dom, args->memory);
}

/* ---- the description --------------------------------------------------------------------- */

int vbox_domain_get_xml_desc(void *handle, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                             vireo_domain_get_xml_desc_ret *ret)
{
    VboxConn *conn = handle;
    g_autoptr(VboxMachine) machine = vbox_machine_find(conn->server, args->dom.uuid);
    VboxTalk talk;

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    vbox_begin(&talk, conn, call);
    VireoDomain *domain = vbox_describe(&talk, machine, vbox_machine_ref(&talk, machine->uuid));
    if (!talk.error) {
        g_autofree char *text =
            vireo_domain_format(domain, args->flags & VIREO_DOMAIN_XML_INACTIVE ? VIREO_MODEL_FORMAT_INACTIVE : 0);

        ret->xml = conn->driver->host->strdup(call, text);
    }
    vireo_domain_free(domain);
    return vbox_talk_finish(&talk, call);
}
