/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "router/error.h"

#include <string.h>

/* How messages of a code begin, which is what people search logs for. */
static const struct {
    gint code;
    const char *lead;
} leads[] = {
    { VIREO_ERR_INTERNAL_ERROR, "internal error" },
    { VIREO_ERR_NO_MEMORY, "out of memory" },
    { VIREO_ERR_NO_SUPPORT, "not supported by the connection driver" },
    { VIREO_ERR_NO_CONNECT, "no connection driver available" },
    { VIREO_ERR_INVALID_ARG, "invalid argument" },
    { VIREO_ERR_OPERATION_FAILED, "operation failed" },
    { VIREO_ERR_XML_ERROR, "XML error" },
    { VIREO_ERR_OPERATION_DENIED, "operation forbidden" },
    { VIREO_ERR_NO_DOMAIN, "Domain not found" },
    { VIREO_ERR_NO_NETWORK, "Network not found" },
    { VIREO_ERR_AUTH_FAILED, "authentication failed" },
    { VIREO_ERR_NO_STORAGE_POOL, "Storage pool not found" },
    { VIREO_ERR_NO_STORAGE_VOL, "Storage volume not found" },
    { VIREO_ERR_NO_NODE_DEVICE, "Node device not found" },
    { VIREO_ERR_OPERATION_INVALID, "Requested operation is not valid" },
    { VIREO_ERR_NO_INTERFACE, "Interface not found" },
    { VIREO_ERR_NO_SECRET, "Secret not found" },
    { VIREO_ERR_NO_NWFILTER, "Network filter not found" },
    { VIREO_ERR_CONFIG_UNSUPPORTED, "unsupported configuration" },
    { VIREO_ERR_OPERATION_TIMEOUT, "Timed out during operation" },
    { VIREO_ERR_NO_DOMAIN_SNAPSHOT, "Domain snapshot not found" },
    { VIREO_ERR_ARGUMENT_UNSUPPORTED, "argument unsupported" },
    { VIREO_ERR_SNAPSHOT_REVERT_RISKY, "revert requires force" },
    { VIREO_ERR_OPERATION_ABORTED, "operation aborted" },
    { VIREO_ERR_NO_DOMAIN_METADATA, "metadata not found" },
    { VIREO_ERR_OPERATION_UNSUPPORTED, "Operation not supported" },
    { VIREO_ERR_AGENT_UNRESPONSIVE, "Guest agent is not responding" },
    { VIREO_ERR_RESOURCE_BUSY, "resource busy" },
    { VIREO_ERR_ACCESS_DENIED, "access denied" },
    { VIREO_ERR_XML_INVALID_SCHEMA, "XML document does not match its schema" },
    { VIREO_ERR_DEVICE_MISSING, "device not found" },
    { VIREO_ERR_NO_DOMAIN_CHECKPOINT, "Domain checkpoint not found" },
};

static const struct {
    const char *driver;
    gint domain;
} domains[] = {
    { "qemu", VIREO_FROM_QEMU },     { "test", VIREO_FROM_TEST }, { "lxc", VIREO_FROM_LXC },
    { "esx", VIREO_FROM_ESX },       { "vbox", VIREO_FROM_VBOX }, { "hyperv", VIREO_FROM_HYPERV },
    { "network", VIREO_FROM_NETWORK }, { "storage", VIREO_FROM_STORAGE },
};

gint vireo_error_domain(const char *driver)
{
    for (guint i = 0; driver && i < G_N_ELEMENTS(domains); i++)
        if (strcmp(domains[i].driver, driver) == 0)
            return domains[i].domain;
    return VIREO_FROM_NONE;
}

static const char *lead_of(gint code)
{
    for (guint i = 0; i < G_N_ELEMENTS(leads); i++)
        if (leads[i].code == code)
            return leads[i].lead;
    return NULL;
}

void vireo_error_fill(vireo_error *wire, VireoArena *arena, gint code, gint domain, const char *detail)
{
    const char *lead = lead_of(code);

    memset(wire, 0, sizeof *wire);
    wire->code = code;
    wire->domain = domain;
    wire->level = 2;
    wire->message = lead ? vireo_arena_printf(arena, "%s: %s", lead, detail) : vireo_arena_strdup(arena, detail);
    wire->str1 = lead ? vireo_arena_printf(arena, "%s: %%s", lead) : vireo_arena_strdup(arena, "%s");
    wire->str2 = vireo_arena_strdup(arena, detail);
    wire->int1 = wire->int2 = -1;
}
