/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Machines come, change and go. */
#include "ops.h"

#include <string.h>

#include "spec.h"

/* ---- settings ---------------------------------------------------------------------------- */

VireoCim *hyperv_settings_of(const char *instance_id)
{
    return vireo_cim_add(vireo_cim_new("Msvm_VirtualSystemSettingData"), "InstanceID", NULL, instance_id);
}

VireoCim *hyperv_settings_new(const char *guid)
{
    g_autofree char *id = g_strconcat("Microsoft:", guid, NULL);

    return hyperv_settings_of(id);
}

void hyperv_settings_apply(HypervTalk *talk, const VireoCim *settings)
{
    hyperv_invoke(talk, hyperv_service(talk, HYPERV_VSMS), "ModifySystemSettings",
                  vireo_cim_add_embedded(vireo_cim_new(""), "SystemSettings", settings));
}

void hyperv_settings_put_notes(VireoCim *settings, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text && *text ? text : "\n", "\n", -1);

    for (guint i = 0; lines[i] && (i == 0 || (text && *text)); i++)
        vireo_cim_add_item(settings, "Notes", NULL, lines[i]);
}

char *hyperv_notes_of(const VireoCim *settings)
{
    GString *notes = g_string_new(NULL);

    for (guint i = 0; i < vireo_cim_count(settings, "Notes"); i++)
        g_string_append_printf(notes, "%s%s", i ? "\n" : "", vireo_cim_text_at(settings, "Notes", i));
    return g_string_free(notes, FALSE);
}

static void put_boots(VireoCim *settings, const VireoDomainOs *os)
{
    static const int numbers[] = {[VIREO_DOMAIN_BOOT_DEVICE_FD] = 0,
                                  [VIREO_DOMAIN_BOOT_DEVICE_CDROM] = 1,
                                  [VIREO_DOMAIN_BOOT_DEVICE_HD] = 2,
                                  [VIREO_DOMAIN_BOOT_DEVICE_NETWORK] = 3};
    guint used = 0;

    for (guint i = 0; i < os->boots.n + 4; i++) { /* all four have to be there, the rest at the end */
        int number = i < os->boots.n ? numbers[os->boots.items[i]] : (int)(i - os->boots.n);
        g_autofree char *text = g_strdup_printf("%d", number);

        if (!(used & (1u << number)))
            vireo_cim_add_item(settings, "BootOrder", "uint16", text);
        used |= 1u << number;
    }
}

static VireoCim *settings_from(const char *guid, const VireoDomain *domain)
{
    VireoCim *settings = guid ? hyperv_settings_new(guid) : vireo_cim_new("Msvm_VirtualSystemSettingData");
    gboolean efi = domain->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI;

    vireo_cim_add(settings, "ElementName", NULL, domain->name);
    if (!guid)
        vireo_cim_add(settings, "VirtualSystemSubType", NULL,
                      efi ? "Microsoft:Hyper-V:SubType:2" : "Microsoft:Hyper-V:SubType:1");
    return settings;
}

/* The resource of that type of a machine gets another quantity. */
static void set_quantity(HypervTalk *talk, const char *guid, const char *class, guint64 quantity)
{
    const VireoCim *is = hyperv_query_one(talk, HYPERV_SPACE, class,
                                          "select * from %s where InstanceID like 'Microsoft:%s%%'", class, guid);
    VireoCim *changes = vireo_cim_add(vireo_cim_new(class), "InstanceID", NULL, vireo_cim_string(is, "InstanceID"));

    if (vireo_cim_number(is, "VirtualQuantity") != quantity)
        hyperv_resource_modify(talk, vireo_cim_add_number(changes, "VirtualQuantity", "uint64", quantity));
    else
        vireo_cim_unref(changes);
}

/* Whole MiB, and an even number of them. */
static guint64 mib_of(guint64 kib)
{
    return (kib + 2047) / 2048 * 2;
}

static void set_tpm(HypervTalk *talk, const char *guid, gboolean wanted)
{
    const VireoCim *is = hyperv_security_of(talk, guid);

    if (talk->error || vireo_cim_flag(is, "TpmEnabled") == wanted)
        return;
    if (!vireo_cim_text(is, "InstanceID")) {
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED, "%s has no TPM for machines", talk->server->uri->host);
        return;
    }
    g_autoptr(VireoCim) changes = vireo_cim_add(vireo_cim_new("Msvm_SecuritySettingData"), "InstanceID", NULL,
                                                vireo_cim_string(is, "InstanceID"));
    vireo_cim_add(changes, "TpmEnabled", "boolean", wanted ? "true" : "false");
    hyperv_invoke(talk, hyperv_service(talk, "Msvm_SecurityService"), "ModifySecuritySettings",
                  vireo_cim_add_embedded(vireo_cim_new(""), "SecuritySettingData", changes));
}

static void apply(HypervTalk *talk, const char *guid, const VireoDomain *domain)
{
    g_autoptr(VireoCim) settings = settings_from(guid, domain);

    hyperv_settings_put_notes(settings, domain->description);
    if (domain->os->boots.n)
        put_boots(settings, domain->os);
    if (hyperv_secure_boot_of(domain->os))
        vireo_cim_add(settings, "SecureBootEnabled", "boolean",
                      hyperv_secure_boot_of(domain->os) == VIREO_TRISTATE_YES ? "true" : "false");
    hyperv_settings_apply(talk, settings);
    set_quantity(talk, guid, "Msvm_MemorySettingData", mib_of(domain->memory->text));
    set_quantity(talk, guid, "Msvm_ProcessorSettingData",
                 domain->vcpu && domain->vcpu->has_text ? domain->vcpu->text : 1);
    if (domain->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI)
        set_tpm(talk, guid, hyperv_has_tpm(domain));
}

/* ---- a new machine ----------------------------------------------------------------------- */

static void throw_away(HypervTalk *talk, const char *guid)
{
    GError *before = g_steal_pointer(&talk->error);

    hyperv_invoke(talk, hyperv_service(talk, HYPERV_VSMS), "DestroySystem",
                  vireo_cim_add_path(vireo_cim_new(""), "AffectedSystem", hyperv_machine_path(talk, guid)));
    g_clear_error(&talk->error);
    talk->error = before;
}

/* Its GUID, which Hyper-V gives it; caller frees. */
static char *create_machine(HypervTalk *talk, const VireoDomain *domain)
{
    g_autoptr(VireoCim) settings = settings_from(NULL, domain);
    const VireoCim *made = NULL;

    hyperv_invoke_made(talk, hyperv_service(talk, HYPERV_VSMS), "DefineSystem",
                       vireo_cim_add_embedded(vireo_cim_new(""), "SystemSettings", settings), "ResultingSystem",
                       "Msvm_ComputerSystem", &made);
    if (talk->error)
        return NULL;
    char *guid = g_ascii_strup(vireo_cim_string(made, "Name"), -1);
    if (!hyperv_is_guid(guid))
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "the new machine '%s' has no GUID", domain->name);
    if (talk->error)
        return guid;
    apply(talk, guid, domain);
    if (!talk->error)
        hyperv_devices_apply(talk, guid, domain->devices);
    if (talk->error)
        throw_away(talk, guid);
    return guid;
}

/* ---- an existing machine ----------------------------------------------------------------- */

/* As far as they are taken out and put in. */
static gboolean same_devices(const VireoDomain *is, const VireoDomain *wanted)
{
    VireoDomainDevices mine = *is->devices, theirs = *wanted->devices;

    mine.tpms.n = theirs.tpms.n = 0;
    g_autofree char *one =
        vireo_model_format(&vireo_domain_devices_type, "devices", &mine, VIREO_MODEL_FORMAT_INACTIVE);
    g_autofree char *other =
        vireo_model_format(&vireo_domain_devices_type, "devices", &theirs, VIREO_MODEL_FORMAT_INACTIVE);

    return g_str_equal(one, other);
}

static void change_machine(HypervTalk *talk, const HypervMachine *known, const VireoDomain *domain)
{
    VireoDomain *is = hyperv_describe(talk, known);
    gboolean devices = !talk->error && !same_devices(is, domain);

    if (!talk->error && domain->os->firmware != is->os->firmware)
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                           "domain '%s' exists: a definition does not change its firmware", known->name);
    if (hyperv_state_of(known->state) != VIREO_DOMAIN_SHUTOFF)
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID,
                           "domain '%s' is running: its definition can be changed when it is off", known->name);
    if (devices && known->snapshots->len)
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                           "domain '%s' has snapshots, which need its disks: a definition does not change its devices",
                           known->name);
    vireo_domain_free(is);
    if (talk->error)
        return;
    apply(talk, known->guid, domain);
    if (devices)
        hyperv_devices_apply(talk, known->guid, domain->devices);
}

/* Its GUID, caller frees; NULL: failed. */
static char *make(HypervTalk *talk, const VireoDomain *domain)
{
    hyperv_inventory_read(talk, NULL, FALSE);
    g_autoptr(HypervMachine) known = domain->has_uuid ? hyperv_machine_find(talk->server, domain->uuid) : NULL;

    if (!(known && g_str_equal(known->name, domain->name)) && vireo_machines_has_name(talk->server->machines, domain->name))
        hyperv_talk_refuse(talk, VIREO_ERR_DOM_EXIST, "there is a domain '%s' already%s", domain->name,
                           domain->has_uuid ? ", with another UUID" : ": a definition that changes it has its UUID");
    else if (domain->has_uuid && !known)
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                           "Hyper-V gives a new machine its UUID: leave <uuid> out of the definition of '%s'",
                           domain->name);
    if (talk->error)
        return NULL;
    if (!known)
        return create_machine(talk, domain);
    change_machine(talk, known, domain);
    return g_strdup(known->guid);
}

/* The document; NULL: failed. */
static VireoDomain *read_document(HypervConn *conn, vireo_call *call, const char *text, guint how)
{
    GError *error = NULL;
    VireoDomain *domain = vireo_domain_parse(text, VIREO_MODEL_PARSE_INACTIVE | how, &error);

    if (domain && vireo_model_path_set_check(conn->driver->honoured, domain, &error) && hyperv_spec_check(domain, &error)) {
        if (!domain->devices)
            domain->devices = g_new0(VireoDomainDevices, 1);
        return domain;
    }
    vireo_domain_free(domain);
    hyperv_fail(conn->driver, call, error);
    return NULL;
}

/* start: it runs afterwards, or a new one is gone again: there are no machines that go when they end. */
static int define(HypervConn *conn, vireo_call *call, const char *xml, gboolean validate, gboolean start,
                  vireo_domain_ref *dom)
{
    VireoDomain *domain = read_document(conn, call, xml, validate ? VIREO_MODEL_PARSE_VALIDATE : 0);
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    if (!domain)
        return VIREO_FAIL;
    hyperv_talk_begin(&talk, conn->server, call, &wait);
    g_autoptr(HypervMachine) known = domain->has_uuid ? hyperv_machine_find(conn->server, domain->uuid) : NULL;
    if (start && known && hyperv_state_is_active(known->state))
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is already running", known->name);
    g_autofree char *guid = make(&talk, domain);
    if (start && !talk.error) {
        hyperv_machine_request(&talk, guid, 2);
        if (talk.error && !known)
            throw_away(&talk, guid);
    }
    hyperv_inventory_read(&talk, guid, FALSE);
    int status = hyperv_talk_finish(&talk, call);
    if (guid)
        vireo_model_uuid_parse(guid, dom->uuid);
    dom->name = conn->driver->host->strdup(call, domain->name);
    dom->id = -1;
    *dom = hyperv_machine_dom(conn, call, dom);
    vireo_domain_free(domain);
    return status;
}

int hyperv_domain_define_xml_flags(void *handle, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                                   vireo_domain_define_xml_flags_ret *ret)
{
    return define(handle, call, args->xml, (args->flags & VIREO_DOMAIN_DEFINE_VALIDATE) != 0, FALSE, &ret->dom);
}

int hyperv_domain_create_xml(void *handle, vireo_call *call, const vireo_domain_create_xml_args *args,
                             vireo_domain_create_xml_ret *ret)
{
    return define(handle, call, args->xml_desc, (args->flags & VIREO_DOMAIN_START_VALIDATE) != 0, TRUE, &ret->dom);
}

/* ---- undefine and rename ----------------------------------------------------------------- */

/* Its disks stay. */
int hyperv_domain_undefine_flags(void *handle, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    g_autoptr(HypervMachine) now = hyperv_machine_find(conn->server, args->dom.uuid);
    const HypervMachine *one = now ? now : machine;
    if (hyperv_state_of(one->state) != VIREO_DOMAIN_SHUTOFF)
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID,
                           "domain '%s' is running, and Hyper-V has no machines without a definition: destroy it first",
                           one->name);
    if (one->state != 3 && !(args->flags & VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE))
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID,
                           "domain '%s' has a saved state: remove it first, or undefine it with MANAGED_SAVE", one->name);
    if (one->snapshots->len)
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' has %u snapshots: delete them first",
                           one->name, one->snapshots->len);
    hyperv_invoke(&talk, hyperv_service(&talk, HYPERV_VSMS), "DestroySystem",
                  vireo_cim_add_path(vireo_cim_new(""), "AffectedSystem", hyperv_machine_path(&talk, machine->guid)));
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_domain_rename(void *handle, vireo_call *call, const vireo_domain_rename_args *args,
                         vireo_domain_rename_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;

    if (!args->new_name || !*args->new_name)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "a machine needs a name");
    if (vireo_machines_has_name(conn->server->machines, args->new_name))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "there is a domain '%s' already",
                                        args->new_name);
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    if (!machine)
        return VIREO_FAIL;
    g_autoptr(VireoCim) settings = hyperv_settings_new(machine->guid);
    hyperv_settings_apply(&talk, vireo_cim_add(settings, "ElementName", NULL, args->new_name));
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    ret->retcode = 0;
    return hyperv_talk_finish(&talk, call);
}

/* ---- CPUs and memory --------------------------------------------------------------------- */

static int change(void *handle, vireo_call *call, const vireo_domain_ref *dom, const char *class, guint64 quantity)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, dom);

    if (!machine)
        return VIREO_FAIL;
    set_quantity(&talk, machine->guid, class, quantity);
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_domain_set_vcpus_flags(void *handle, vireo_call *call, const vireo_domain_set_vcpus_flags_args *args)
{
    HypervConn *conn = handle;

    if (args->nvcpus == 0)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "a machine needs a virtual CPU");
    return change(handle, call, &args->dom, "Msvm_ProcessorSettingData", args->nvcpus);
}

int hyperv_domain_get_vcpus_flags(void *handle, vireo_call *call, const vireo_domain_get_vcpus_flags_args *args,
                                  vireo_domain_get_vcpus_flags_ret *ret)
{
    HypervConn *conn = handle;
    g_autoptr(HypervMachine) machine = hyperv_machine_find(conn->server, args->dom.uuid);

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    ret->num = (int)machine->vcpus;
    return VIREO_OK;
}

int hyperv_domain_set_memory_flags(void *handle, vireo_call *call, const vireo_domain_set_memory_flags_args *args)
{
    HypervConn *conn = handle;

    if (args->memory == 0 || args->memory > G_MAXUINT32 * 1024ull)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "%" G_GUINT64_FORMAT " KiB is no amount of memory",
                                        (guint64)args->memory);
    return change(handle, call, &args->dom, "Msvm_MemorySettingData", mib_of(args->memory));
}
