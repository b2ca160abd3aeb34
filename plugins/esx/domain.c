/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains: which machine a call means, and its description. */
#include "ops.h"

#include <string.h>

static EsxMachine *find(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom)
{
    EsxMachine *machine = esx_machine_find(conn->server, dom->uuid);

    if (!machine)
        conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", dom->name);
    return machine;
}

EsxRef *esx_machine_ref(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom)
{
    const struct vireo_host *host = conn->driver->host;
    EsxMachine *machine = find(conn, call, dom);

    if (!machine)
        return NULL;
    EsxRef *ref = host->alloc(call, sizeof *ref);
    ref->type = host->strdup(call, machine->ref->type);
    ref->value = host->strdup(call, machine->ref->value);
    esx_machine_free(machine);
    return ref;
}

vireo_domain_ref esx_machine_dom(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom)
{
    EsxMachine *machine = esx_machine_find(conn->server, dom->uuid);
    vireo_domain_ref now = *dom;

    if (machine) {
        now.name = conn->driver->host->strdup(call, machine->name);
        now.id = machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF ? -1 : machine->id;
        esx_machine_free(machine);
    }
    return now;
}

int esx_domain_get_xml_desc(void *handle, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                            vireo_domain_get_xml_desc_ret *ret)
{
    EsxConn *conn = handle;
    EsxMachine *machine = find(conn, call, &args->dom);
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    GError *error = NULL;

    if (!machine)
        return VIREO_FAIL;
    VimObjectContent *object = esx_properties_of(conn->server, machine->ref, esx_describe_paths, esx_describe_n_paths,
                                                 &wait, arena, &error);
    if (object) {
        VireoDomain *domain = esx_describe(conn->server, machine, object);
        g_autofree char *text =
            vireo_domain_format(domain, args->flags & VIREO_DOMAIN_XML_INACTIVE ? VIREO_MODEL_FORMAT_INACTIVE : 0);

        ret->xml = conn->driver->host->strdup(call, text);
        vireo_domain_free(domain);
    }
    esx_machine_free(machine);
    return object ? VIREO_OK : esx_fail(conn->driver, call, error);
}
