/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about the host and the connection. */
#include <string.h>

#include "cli/cli.h"

static void print_text(VireoCli *cli, const char *member, const char *text)
{
    JsonObject *object;

    if (!cli->json) {
        printf("%s\n", text);
        return;
    }
    object = json_object_new();
    json_object_set_string_member(object, member, text);
    vireo_cli_print_object(object);
}

static gboolean run_uri(VireoCli *cli, GError **error)
{
    print_text(cli, "uri", vireo_client_uri(cli->client));
    return TRUE;
}

static gboolean run_hostname(VireoCli *cli, GError **error)
{
    vireo_connect_get_hostname_ret ret;

    if (!VIREO_CALL(cli->client, connect_get_hostname, cli->arena, error, &ret))
        return FALSE;
    print_text(cli, "hostname", ret.hostname);
    return TRUE;
}

/* 1002003 is 1.2.3 */
static char *version_text(guint64 version)
{
    return g_strdup_printf("%u.%u.%u", (guint)(version / 1000000), (guint)(version / 1000 % 1000),
                           (guint)(version % 1000));
}

static gboolean run_version(VireoCli *cli, GError **error)
{
    vireo_connect_get_lib_version_ret lib;
    vireo_connect_get_type_ret type;
    vireo_connect_get_version_ret hypervisor;
    g_autofree char *lib_text = NULL, *hypervisor_text = NULL;
    VireoCliFacts *facts;

    if (!VIREO_CALL(cli->client, connect_get_lib_version, cli->arena, error, &lib) ||
        !VIREO_CALL(cli->client, connect_get_type, cli->arena, error, &type) ||
        !VIREO_CALL(cli->client, connect_get_version, cli->arena, error, &hypervisor))
        return FALSE;
    lib_text = version_text(lib.lib_ver);
    hypervisor_text = version_text(hypervisor.hv_ver);
    facts = vireo_cli_facts_new();
    vireo_cli_fact(facts, "vireo", "client", "%s", VIREO_VERSION);
    vireo_cli_fact(facts, "Daemon speaks API", "api", "%s", lib_text);
    vireo_cli_fact(facts, "Driver", "type", "%s", type.type);
    vireo_cli_fact(facts, "Hypervisor", "hypervisor", "%s", hypervisor_text);
    vireo_cli_facts_print(cli, facts);
    return TRUE;
}

static gboolean run_nodeinfo(VireoCli *cli, GError **error)
{
    vireo_node_get_info_ret ret;
    g_autofree char *model = NULL;
    VireoCliFacts *facts;

    if (!VIREO_CALL(cli->client, node_get_info, cli->arena, error, &ret))
        return FALSE;
    model = g_strndup((const char *)ret.model, sizeof(ret.model));
    facts = vireo_cli_facts_new();
    vireo_cli_fact(facts, "CPU model", "model", "%s", model);
    vireo_cli_fact_int(facts, "CPU(s)", "cpus", ret.cpus, NULL);
    vireo_cli_fact_int(facts, "CPU frequency", "mhz", ret.mhz, "MHz");
    vireo_cli_fact_int(facts, "CPU socket(s)", "sockets", ret.sockets, NULL);
    vireo_cli_fact_int(facts, "Core(s) per socket", "cores", ret.cores, NULL);
    vireo_cli_fact_int(facts, "Thread(s) per core", "threads", ret.threads, NULL);
    vireo_cli_fact_int(facts, "NUMA cell(s)", "nodes", ret.nodes, NULL);
    vireo_cli_fact_int(facts, "Memory size", "memory_kib", (gint64)ret.memory, "KiB");
    vireo_cli_facts_print(cli, facts);
    return TRUE;
}

static gboolean run_capabilities(VireoCli *cli, GError **error)
{
    vireo_connect_get_capabilities_ret ret;

    return VIREO_CALL(cli->client, connect_get_capabilities, cli->arena, error, &ret) &&
           vireo_cli_print_document(cli, ret.capabilities, error);
}

static gboolean run_domcapabilities(VireoCli *cli, GError **error)
{
    vireo_connect_get_domain_capabilities_args args = {
        .virttype = (char *)vireo_cli_text(cli, "virttype"),
        .emulatorbin = (char *)vireo_cli_text(cli, "emulatorbin"),
        .arch = (char *)vireo_cli_text(cli, "arch"),
        .machine = (char *)vireo_cli_text(cli, "machine"),
    };
    vireo_connect_get_domain_capabilities_ret ret;
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error))
        return FALSE;
    args.flags = (guint32)flags;
    return VIREO_CALL(cli->client, connect_get_domain_capabilities, cli->arena, error, &args, &ret) &&
           vireo_cli_print_document(cli, ret.capabilities, error);
}

static const VireoCliOption capabilities_options[] = { VIREO_CLI_XPATH_OPTIONS, { NULL, 0, NULL, NULL } };
static const VireoCliOption domcapabilities_options[] = {
    { "virttype", VIREO_CLI_STRING, "TYPE", "virtualization, such as qemu or kvm" },
    { "emulatorbin", VIREO_CLI_STRING, "PATH", "emulator" },
    { "arch", VIREO_CLI_STRING, "ARCH", "architecture" },
    { "machine", VIREO_CLI_STRING, "MACHINE", "machine type" },
    VIREO_CLI_XPATH_OPTIONS,
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_host_commands[] = {
    { "uri", NULL, "print the URI that is connected", NULL, NULL, NULL, run_uri, VIREO_CLI_CONNECT,
      NULL },
    { "hostname", NULL, "print the host's name", NULL, NULL, NULL, run_hostname, VIREO_CLI_CONNECT,
      NULL },
    { "version", NULL, "show versions of both ends", NULL, NULL, NULL, run_version, VIREO_CLI_CONNECT,
      NULL },
    { "nodeinfo", NULL, "show the host's CPUs and memory", NULL, NULL, NULL, run_nodeinfo,
      VIREO_CLI_CONNECT, NULL },
    { "capabilities", NULL, "print what the host can do, as XML", NULL, NULL, capabilities_options,
      run_capabilities, VIREO_CLI_CONNECT, NULL },
    { "domcapabilities", NULL, "print what domains can have, as XML",
      "connect_get_domain_capabilities", NULL, domcapabilities_options, run_domcapabilities,
      VIREO_CLI_CONNECT, NULL },
    { NULL },
};
