/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a machine gets of the host's processors, and its description. */
#include "ops.h"

#include "spec.h"

/* ---- virtual CPUs ------------------------------------------------------------------------ */

/* How long each has run; on which CPU of the host is not told. */
int hyperv_domain_get_vcpus(void *handle, vireo_call *call, const vireo_domain_get_vcpus_args *args,
                            vireo_domain_get_vcpus_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    if (!hyperv_state_is_active(machine->state))
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", machine->name);
    g_autofree guint64 *times = hyperv_vcpu_times(&talk, machine);
    ret->info.len = MIN(machine->vcpus, (guint)MAX(args->maxinfo, 0));
    ret->info.val = conn->driver->host->alloc(call, sizeof *ret->info.val * (ret->info.len + 1));
    for (guint i = 0; i < ret->info.len; i++)
        ret->info.val[i] = (vireo_vcpu_info){.number = i, .state = VIREO_VCPU_RUNNING, .cpu_time = times[i], .cpu = -1};
    ret->cpumaps.len = ret->info.len * (guint)MAX(args->maplen, 0);
    ret->cpumaps.val = conn->driver->host->alloc(call, ret->cpumaps.len + 1);
    return hyperv_talk_finish(&talk, call);
}

/* ---- the scheduler ------------------------------------------------------------------------- */

int hyperv_domain_get_scheduler_type(void *handle, vireo_call *call, const vireo_domain_get_scheduler_type_args *args,
                                     vireo_domain_get_scheduler_type_ret *ret)
{
    HypervConn *conn = handle;
    g_autoptr(HypervMachine) machine = hyperv_machine_find(conn->server, args->dom.uuid);

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    ret->type = conn->driver->host->strdup(call, "allocation");
    ret->nparams = 3;
    return VIREO_OK;
}

int hyperv_domain_get_scheduler_parameters_flags(void *handle, vireo_call *call,
                                                 const vireo_domain_get_scheduler_parameters_flags_args *args,
                                                 vireo_domain_get_scheduler_parameters_flags_ret *ret)
{
    static const struct {
        const char *here, *there;
    } names[] = {{"limit", "Limit"}, {"reservation", "Reservation"}, {"weight", "Weight"}};
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    const VireoCim *cpu = hyperv_query_one(&talk, HYPERV_SPACE, "processor settings of this machine",
                                           "select * from Msvm_ProcessorSettingData where InstanceID like 'Microsoft:%s%%'",
                                           machine->guid);
    ret->params.len = args->nparams == 0 ? G_N_ELEMENTS(names) : MIN(G_N_ELEMENTS(names), (guint)MAX(args->nparams, 0));
    ret->params.val = conn->driver->host->alloc(call, sizeof *ret->params.val * G_N_ELEMENTS(names));
    for (guint i = 0; i < ret->params.len; i++) {
        vireo_typed_param *one = &ret->params.val[i];

        one->field = conn->driver->host->strdup(call, names[i].here);
        one->value.type = i < 2 ? VIREO_TYPED_PARAM_ULLONG : VIREO_TYPED_PARAM_UINT;
        if (i < 2)
            one->value.ul = vireo_cim_number(cpu, names[i].there);
        else
            one->value.ui = (guint32)vireo_cim_number(cpu, names[i].there);
    }
    return hyperv_talk_finish(&talk, call);
}

/* ---- the description --------------------------------------------------------------------- */

static int only_description(HypervConn *conn, vireo_call *call, int type, int code)
{
    if (type == VIREO_DOMAIN_METADATA_DESCRIPTION)
        return VIREO_OK;
    return conn->driver->host->fail(call, code, "a machine has a description, and neither a title nor other metadata");
}

int hyperv_domain_get_metadata(void *handle, vireo_call *call, const vireo_domain_get_metadata_args *args,
                               vireo_domain_get_metadata_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;

    if (only_description(conn, call, args->type, VIREO_ERR_NO_DOMAIN_METADATA) != VIREO_OK)
        return VIREO_FAIL;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    if (!machine)
        return VIREO_FAIL;
    const VireoCim *settings = hyperv_query_one(
        &talk, HYPERV_SPACE, "settings of this machine",
        "select * from Msvm_VirtualSystemSettingData where InstanceID='Microsoft:%s'", machine->guid);
    g_autofree char *notes = hyperv_notes_of(settings);
    if (!*notes)
        hyperv_talk_refuse(&talk, VIREO_ERR_NO_DOMAIN_METADATA, "the machine has no description");
    ret->metadata = conn->driver->host->strdup(call, notes);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_domain_set_metadata(void *handle, vireo_call *call, const vireo_domain_set_metadata_args *args)
{
    HypervConn *conn = handle;
    HypervTalk talk;

    if (only_description(conn, call, args->type, VIREO_ERR_ARGUMENT_UNSUPPORTED) != VIREO_OK)
        return VIREO_FAIL;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    if (!machine)
        return VIREO_FAIL;
    g_autoptr(VireoCim) settings = hyperv_settings_new(machine->guid);
    hyperv_settings_put_notes(settings, args->metadata);
    hyperv_settings_apply(&talk, settings);
    return hyperv_talk_finish(&talk, call);
}
