/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What only the agent inside a guest knows. */
#include "ops.h"

#include <string.h>

#include "agent.h"
#include "kit/params.h"

#define ANSWER_S 5

static int fail(QemuConn *conn, vireo_call *call, const GError *error)
{
    return qemu_fail(conn->driver, call, error);
}

int qemu_qemu_domain_agent_command(void *handle, vireo_call *call,
                                   const vireo_qemu_domain_agent_command_args *args,
                                   vireo_qemu_domain_agent_command_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(JsonObject) command = vireo_json_parse(args->cmd, -1, NULL);
    int seconds = args->timeout == VIREO_DOMAIN_QEMU_AGENT_COMMAND_DEFAULT ? ANSWER_S : args->timeout;

    if (!dom)
        return VIREO_FAIL;
    if (args->timeout < VIREO_DOMAIN_QEMU_AGENT_COMMAND_MIN)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "a timeout of %d seconds",
                                        args->timeout);
    if (!vireo_json_string(command, "execute"))
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG,
                                        "not a command for the agent: %.100s", args->cmd);
    /* One line, whatever the caller's text looks like. */
    g_autofree char *line = vireo_json_text(command);
    g_autoptr(JsonObject) answer = qemu_agent_command(dom, call, line, seconds, &error);
    if (!answer)
        return fail(conn, call, error);
    g_autofree char *text = vireo_json_text(answer);
    ret->result = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}

int qemu_domain_get_hostname(void *handle, vireo_call *call,
                             const vireo_domain_get_hostname_args *args,
                             vireo_domain_get_hostname_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(JsonObject) answer =
        qemu_agent_command(dom, call, "{\"execute\":\"guest-get-host-name\"}", ANSWER_S, &error);
    const char *name = vireo_json_string(vireo_json_object(answer, "return"), "host-name");
    if (!answer)
        return fail(conn, call, error);
    if (!name)
        return conn->driver->host->fail(call, VIREO_ERR_INTERNAL_ERROR,
                                        "the agent's answer holds no name");
    ret->hostname = conn->driver->host->strdup(call, name);
    return VIREO_OK;
}

int qemu_domain_get_time(void *handle, vireo_call *call, const vireo_domain_get_time_args *args,
                         vireo_domain_get_time_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(JsonObject) answer =
        qemu_agent_command(dom, call, "{\"execute\":\"guest-get-time\"}", ANSWER_S, &error);
    gint64 nanoseconds = vireo_json_int(answer, "return", -1);
    if (!answer)
        return fail(conn, call, error);
    if (nanoseconds < 0)
        return conn->driver->host->fail(call, VIREO_ERR_INTERNAL_ERROR,
                                        "the agent's answer holds no time");
    ret->seconds = nanoseconds / 1000000000;
    ret->nseconds = (guint32)(nanoseconds % 1000000000);
    return VIREO_OK;
}

/* ---- guestinfo ----------------------------------------------------------------- */

static void add_text(VireoParams *params, const char *name, JsonObject *from, const char *member)
{
    const char *text = vireo_json_string(from, member);

    if (text)
        vireo_param_string(params, name, text);
}

static void add_users(VireoParams *params, JsonObject *answer)
{
    JsonArray *users = vireo_json_array(answer, "return");
    guint count = MIN(vireo_json_length(users), 256);

    vireo_param_uint(params, "user.count", count);
    for (guint i = 0; i < count; i++) {
        JsonObject *user = vireo_json_element(users, i);
        g_autofree char *name = g_strdup_printf("user.%u.name", i);
        g_autofree char *domain = g_strdup_printf("user.%u.domain", i);
        g_autofree char *login = g_strdup_printf("user.%u.login-time", i);
        gdouble seconds = user ? json_object_get_double_member_with_default(user, "login-time", 0) : 0;

        add_text(params, name, user, "user");
        add_text(params, domain, user, "domain");
        vireo_param_ullong(params, login, (guint64)(seconds * 1000));
    }
}

static void add_os(VireoParams *params, JsonObject *answer)
{
    static const char *const members[] = { "id",         "name",    "pretty-name",   "version",
                                           "version-id", "machine", "variant",       "variant-id",
                                           "kernel-release",        "kernel-version" };
    JsonObject *os = vireo_json_object(answer, "return");

    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        g_autofree char *name = g_strdup_printf("os.%s", members[i]);

        add_text(params, name, os, members[i]);
    }
}

static void add_timezone(VireoParams *params, JsonObject *answer)
{
    JsonObject *zone = vireo_json_object(answer, "return");

    add_text(params, "timezone.name", zone, "zone");
    vireo_param_int(params, "timezone.offset", (gint32)vireo_json_int(zone, "offset", 0));
}

static void add_hostname(VireoParams *params, JsonObject *answer)
{
    add_text(params, "hostname", vireo_json_object(answer, "return"), "host-name");
}

static void add_filesystems(VireoParams *params, JsonObject *answer)
{
    JsonArray *all = vireo_json_array(answer, "return");
    guint count = MIN(vireo_json_length(all), 256);

    vireo_param_uint(params, "fs.count", count);
    for (guint i = 0; i < count; i++) {
        JsonObject *one = vireo_json_element(all, i);
        g_autofree char *name = g_strdup_printf("fs.%u.name", i);
        g_autofree char *mountpoint = g_strdup_printf("fs.%u.mountpoint", i);
        g_autofree char *type = g_strdup_printf("fs.%u.fstype", i);
        g_autofree char *total = g_strdup_printf("fs.%u.total-bytes", i);
        g_autofree char *used = g_strdup_printf("fs.%u.used-bytes", i);
        gint64 bytes;

        add_text(params, name, one, "name");
        add_text(params, mountpoint, one, "mountpoint");
        add_text(params, type, one, "type");
        if ((bytes = vireo_json_int(one, "total-bytes", -1)) >= 0)
            vireo_param_ullong(params, total, (guint64)bytes);
        if ((bytes = vireo_json_int(one, "used-bytes", -1)) >= 0)
            vireo_param_ullong(params, used, (guint64)bytes);
    }
}

static const struct {
    guint type;
    const char *command;
    void (*add)(VireoParams *params, JsonObject *answer);
} subjects[] = {
    { VIREO_DOMAIN_GUEST_INFO_USERS, "{\"execute\":\"guest-get-users\"}", add_users },
    { VIREO_DOMAIN_GUEST_INFO_OS, "{\"execute\":\"guest-get-osinfo\"}", add_os },
    { VIREO_DOMAIN_GUEST_INFO_TIMEZONE, "{\"execute\":\"guest-get-timezone\"}", add_timezone },
    { VIREO_DOMAIN_GUEST_INFO_HOSTNAME, "{\"execute\":\"guest-get-host-name\"}", add_hostname },
    { VIREO_DOMAIN_GUEST_INFO_FILESYSTEM, "{\"execute\":\"guest-get-fsinfo\"}", add_filesystems },
};

/* Asked for by name, a subject the agent does not know is an error; asked for everything, it is left
 * out. */
static gboolean guest_info(QemuDomain *dom, vireo_call *call, guint types, VireoParams *params,
                           GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(subjects); i++) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(JsonObject) answer = NULL;

        if (types && !(types & subjects[i].type))
            continue;
        answer = qemu_agent_command(dom, call, subjects[i].command, ANSWER_S, &failure);
        if (answer) {
            subjects[i].add(params, answer);
        } else if (types || failure->code != VIREO_ERR_AGENT_COMMAND_FAILED) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
    }
    return TRUE;
}

int qemu_domain_get_guest_info(void *handle, vireo_call *call,
                               const vireo_domain_get_guest_info_args *args,
                               vireo_domain_get_guest_info_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_auto(VireoParams) params = { 0 };
    guint known = 0;

    if (!dom)
        return VIREO_FAIL;
    for (guint i = 0; i < G_N_ELEMENTS(subjects); i++)
        known |= subjects[i].type;
    if (args->types & ~known)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG,
                                        "guest information of kind 0x%x is not asked for",
                                        args->types & ~known);
    vireo_params_init(&params, conn->driver->host, call);
    if (!guest_info(dom, call, args->types, &params, &error))
        return fail(conn, call, error);
    ret->params.val = vireo_params_take(&params, &ret->params.len);
    return VIREO_OK;
}
