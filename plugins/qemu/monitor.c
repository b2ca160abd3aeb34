/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor, for people who know what they do. */
#include "ops.h"

#include <string.h>

#include "events.h"

static int reply(QemuConn *conn, vireo_call *call, JsonNode *node, gboolean raw, char **result)
{
    if (raw && JSON_NODE_HOLDS_VALUE(node)) {
        const char *text = json_node_get_string(node);

        *result = conn->driver->host->strdup(call, text ? text : "");
        return VIREO_OK;
    }
    g_autofree char *text = json_to_string(node, FALSE);
    g_autofree char *whole = g_strdup_printf("{\"return\":%s}", text);
    *result = conn->driver->host->strdup(call, whole);
    return VIREO_OK;
}

/* What QEMU refuses is an answer too. */
static gboolean refused(QemuConn *conn, vireo_call *call, const GError *error, char **result)
{
    const char *class = "GenericError", *text = strstr(error->message, ": ");

    if (error->domain != VIREO_QMP_ERROR || error->code > VIREO_QMP_ERROR_DEVICE)
        return FALSE;
    if (error->code == VIREO_QMP_ERROR_NOT_FOUND)
        class = "CommandNotFound";
    else if (error->code == VIREO_QMP_ERROR_DEVICE)
        class = "DeviceNotFound";
    g_autoptr(JsonObject) answer = vireo_json_new(
        'o', "error", vireo_json_new('s', "class", class, 's', "desc", text ? text + 2 : "", 0), 0);
    g_autofree char *whole = vireo_json_text(answer);
    *result = conn->driver->host->strdup(call, whole);
    return TRUE;
}

int qemu_qemu_domain_monitor_command(void *handle, vireo_call *call,
                                     const vireo_qemu_domain_monitor_command_args *args,
                                     vireo_qemu_domain_monitor_command_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    gboolean hmp = (args->flags & VIREO_DOMAIN_QEMU_MONITOR_COMMAND_HMP) != 0;
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = dom ? qemu_domain_monitor(dom, &error) : NULL;
    VireoQmpWait wait = qemu_wait(conn->driver, call, 0);
    g_autoptr(JsonObject) request = NULL;
    g_autoptr(JsonNode) node = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!qmp)
        return qemu_fail(conn->driver, call, error);
    if (hmp) {
        node = vireo_qmp_call(qmp, "human-monitor-command",
                              vireo_json_new('s', "command-line", args->cmd, 0), &wait, &error);
    } else {
        request = vireo_json_parse(args->cmd, -1, NULL);
        if (!request || !vireo_json_string(request, "execute"))
            return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG,
                                            "not a command of QEMU's protocol: %.100s", args->cmd);
        JsonObject *arguments = vireo_json_object(request, "arguments");
        node = vireo_qmp_call(qmp, vireo_json_string(request, "execute"),
                              arguments ? json_object_ref(arguments) : NULL, &wait, &error);
    }
    if (!node && !hmp && refused(conn, call, error, &ret->result))
        return VIREO_OK;
    if (!node)
        return qemu_fail(conn->driver, call, error);
    return reply(conn, call, node, hmp, &ret->result);
}
