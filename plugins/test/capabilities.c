/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops.h"

#include <string.h>

static void add_cells(GString *xml, const TestNodeInfo *info)
{
    int per_cell = MAX(info->cpus / info->nodes, 1);

    g_string_append_printf(xml, "    <topology>\n      <cells num='%d'>\n", info->nodes);
    for (int cell = 0; cell < info->nodes; cell++) {
        g_string_append_printf(xml,
                               "        <cell id='%d'>\n"
                               "          <memory unit='KiB'>%" G_GUINT64_FORMAT "</memory>\n"
                               "          <cpus num='%d'>\n",
                               cell, info->memory / (guint64)info->nodes, per_cell);
        for (int i = 0; i < per_cell; i++) {
            int cpu = cell * per_cell + i, core = i / info->threads;

            g_string_append_printf(xml,
                                   "            <cpu id='%d' socket_id='%d' core_id='%d' "
                                   "siblings='%d'/>\n",
                                   cpu, core / info->cores, core % info->cores, cpu);
        }
        g_string_append(xml, "          </cpus>\n        </cell>\n");
    }
    g_string_append(xml, "      </cells>\n    </topology>\n");
}

static void add_guest(GString *xml, const char *arch, int bits)
{
    g_string_append_printf(xml,
                           "  <guest>\n"
                           "    <os_type>hvm</os_type>\n"
                           "    <arch name='%s'>\n"
                           "      <wordsize>%d</wordsize>\n"
                           "      <domain type='test'/>\n"
                           "    </arch>\n"
                           "    <features>\n"
                           "      <acpi default='on' toggle='yes'/>\n"
                           "      <apic default='on' toggle='yes'/>\n"
                           "      <disksnapshot default='on' toggle='no'/>\n"
                           "    </features>\n"
                           "  </guest>\n",
                           arch, bits);
}

int test_connect_get_capabilities(TestConn *conn, vireo_call *call,
                                  vireo_connect_get_capabilities_ret *ret)
{
    const TestNodeInfo *info = &conn->node->info;
    g_autoptr(GString) xml = g_string_new("<capabilities>\n  <host>\n    <cpu>\n");
    g_autofree char *arch = g_markup_escape_text(info->model, -1);

    g_string_append_printf(xml,
                           "      <arch>%s</arch>\n"
                           "      <topology sockets='%d' dies='1' cores='%d' threads='%d'/>\n"
                           "      <pages unit='KiB' size='4'/>\n"
                           "      <pages unit='KiB' size='2048'/>\n"
                           "    </cpu>\n",
                           arch, info->sockets, info->cores, info->threads);
    add_cells(xml, info);
    g_string_append(xml, "  </host>\n");
    add_guest(xml, "i686", 32);
    add_guest(xml, "x86_64", 64);
    g_string_append(xml, "</capabilities>\n");
    ret->capabilities = DUP(call, xml->str);
    return VIREO_OK;
}

int test_connect_get_domain_capabilities(TestConn *conn, vireo_call *call,
                                         const vireo_connect_get_domain_capabilities_args *args,
                                         vireo_connect_get_domain_capabilities_ret *ret)
{
    const char *arch = args->arch ? args->arch : "i686";
    g_autofree char *xml = NULL;

    (void)conn;
    if (args->virttype && strcmp(args->virttype, "test") != 0)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "unknown domain type '%s'", args->virttype);
    if (strcmp(arch, "i686") != 0 && strcmp(arch, "x86_64") != 0)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "no guests of architecture '%s'", arch);
    xml = g_strdup_printf("<domainCapabilities>\n"
                          "  <domain>test</domain>\n"
                          "  <arch>%s</arch>\n"
                          "  <vcpu max='32'/>\n"
                          "  <iothreads supported='no'/>\n"
                          "  <os supported='yes'>\n"
                          "    <loader supported='no'/>\n"
                          "  </os>\n"
                          "  <cpu>\n"
                          "    <mode name='host-passthrough' supported='no'/>\n"
                          "    <mode name='host-model' supported='no'/>\n"
                          "    <mode name='custom' supported='no'/>\n"
                          "  </cpu>\n"
                          "  <devices>\n"
                          "    <disk supported='yes'>\n"
                          "      <enum name='diskDevice'>\n"
                          "        <value>disk</value>\n"
                          "        <value>cdrom</value>\n"
                          "        <value>floppy</value>\n"
                          "      </enum>\n"
                          "    </disk>\n"
                          "  </devices>\n"
                          "  <features>\n"
                          "    <gic supported='no'/>\n"
                          "  </features>\n"
                          "</domainCapabilities>\n",
                          arch);
    ret->capabilities = DUP(call, xml);
    return VIREO_OK;
}
