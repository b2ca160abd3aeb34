/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input to the guest, and what its agent answers. Every running guest has an agent; while file
 * systems are frozen it does nothing but thaw them. */
#include "ops.h"

#include <string.h>

#include "params.h"

#define FILESYSTEMS 2
static const char *const mountpoints[FILESYSTEMS] = {"/", "/boot"};

static TestDomain *find_running(TestNode *node, vireo_call *call, const vireo_domain_ref *ref)
{
    TestDomain *dom = test_domain_find(node, call, ref);

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return NULL;
    if (dom->state == VIREO_DOMAIN_RUNNING)
        return dom;
    FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' does not execute: it cannot react",
         dom->name);
    return NULL;
}

int test_agent_check(const TestDomain *dom, vireo_call *call)
{
    if (!dom->extra || !dom->extra->frozen)
        return VIREO_OK;
    return FAIL(call, VIREO_ERR_AGENT_COMMAND_FAILED,
                "the agent of domain '%s' waits for its file systems to be thawed", dom->name);
}

static TestDomain *find_agent(TestNode *node, vireo_call *call, const vireo_domain_ref *ref)
{
    TestDomain *dom = find_running(node, call, ref);

    return dom && test_agent_check(dom, call) == VIREO_OK ? dom : NULL;
}

/* ---- input ------------------------------------------------------------------------------------
 */

int test_domain_send_key(TestConn *conn, vireo_call *call, const vireo_domain_send_key_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_running(node, call, &args->dom);
    TestExtra *extra;

    if (!dom)
        return VIREO_FAIL;
    extra = test_domain_extra(dom);
    if (!extra->keys)
        extra->keys = g_string_new(NULL);
    g_string_truncate(extra->keys, 0);
    for (guint i = 0; i < args->keycodes.len; i++)
        g_string_append_printf(extra->keys, "%u ", args->keycodes.val[i]);
    return VIREO_OK;
}

int test_domain_inject_nmi(TestConn *conn, vireo_call *call,
                           const vireo_domain_inject_nmi_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_running(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    test_domain_extra(dom)->nmis++;
    return VIREO_OK;
}

int test_domain_send_process_signal(TestConn *conn, vireo_call *call,
                                    const vireo_domain_send_process_signal_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_running(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (args->pid_value != 1)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "the guest has one process, number 1");
    if (args->signum == VIREO_DOMAIN_PROCESS_SIGNAL_KILL ||
        args->signum == VIREO_DOMAIN_PROCESS_SIGNAL_TERM)
        test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_SHUTDOWN);
    return VIREO_OK;
}

/* ---- agent ------------------------------------------------------------------------------------
 */

int test_domain_get_hostname(TestConn *conn, vireo_call *call,
                             const vireo_domain_get_hostname_args *args,
                             vireo_domain_get_hostname_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    g_autofree char *name = dom ? g_strconcat(dom->name, "host", NULL) : NULL;

    if (!dom)
        return VIREO_FAIL;
    ret->hostname = DUP(call, name);
    return VIREO_OK;
}

int test_domain_get_time(TestConn *conn, vireo_call *call, const vireo_domain_get_time_args *args,
                         vireo_domain_get_time_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    gint64 now = g_get_real_time();

    if (!dom)
        return VIREO_FAIL;
    ret->seconds = now / G_USEC_PER_SEC + (dom->extra ? dom->extra->clock_offset_s : 0);
    ret->nseconds = (guint)(now % G_USEC_PER_SEC) * 1000;
    return VIREO_OK;
}

int test_domain_set_time(TestConn *conn, vireo_call *call, const vireo_domain_set_time_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    gint64 offset = 0;

    if (!dom)
        return VIREO_FAIL;
    if (!(args->flags & VIREO_DOMAIN_TIME_SYNC))
        offset = args->seconds - g_get_real_time() / G_USEC_PER_SEC;
    test_domain_extra(dom)->clock_offset_s = offset;
    return VIREO_OK;
}

static int count_mountpoints(vireo_call *call, char **names, guint n)
{
    for (guint i = 0; i < n; i++) {
        gboolean known = FALSE;

        for (guint m = 0; m < FILESYSTEMS; m++)
            known = known || strcmp(mountpoints[m], names[i]) == 0;
        if (!known)
            return FAIL(call, VIREO_ERR_INVALID_ARG, "the guest has no mount point '%s'", names[i]);
    }
    return n ? (int)MIN(n, FILESYSTEMS) : FILESYSTEMS;
}

int test_domain_fsfreeze(TestConn *conn, vireo_call *call, const vireo_domain_fsfreeze_args *args,
                         vireo_domain_fsfreeze_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    int n = dom ? count_mountpoints(call, args->mountpoints.val, args->mountpoints.len) : -1;

    if (n < 0)
        return VIREO_FAIL;
    test_domain_extra(dom)->frozen = (guint)n;
    ret->filesystems = n;
    return VIREO_OK;
}

int test_domain_fsthaw(TestConn *conn, vireo_call *call, const vireo_domain_fsthaw_args *args,
                       vireo_domain_fsthaw_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_running(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->filesystems = (gint32)test_domain_extra(dom)->frozen;
    dom->extra->frozen = 0;
    return VIREO_OK;
}

int test_domain_fstrim(TestConn *conn, vireo_call *call, const vireo_domain_fstrim_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    char *one[] = {args->mountPoint};

    if (!dom || count_mountpoints(call, one, args->mountPoint ? 1 : 0) < 0)
        return VIREO_FAIL;
    return VIREO_OK;
}

int test_domain_get_fsinfo(TestConn *conn, vireo_call *call,
                           const vireo_domain_get_fsinfo_args *args,
                           vireo_domain_get_fsinfo_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->info.val = NEW(call, vireo_domain_fsinfo, FILESYSTEMS);
    for (guint i = 0; i < FILESYSTEMS; i++) {
        vireo_domain_fsinfo *info = &ret->info.val[ret->info.len++];
        g_autofree char *device = g_strdup_printf("vda%u", i + 1);

        info->mountpoint = DUP(call, mountpoints[i]);
        info->name = DUP(call, device);
        info->fstype = DUP(call, "ext4");
        info->dev_aliases.len = 1;
        info->dev_aliases.val = NEW(call, char *, 1);
        info->dev_aliases.val[0] = DUP(call, "vda");
    }
    ret->ret = FILESYSTEMS;
    return VIREO_OK;
}

#define GUEST_INFO                                                                                 \
    (VIREO_DOMAIN_GUEST_INFO_OS | VIREO_DOMAIN_GUEST_INFO_TIMEZONE |                               \
     VIREO_DOMAIN_GUEST_INFO_HOSTNAME | VIREO_DOMAIN_GUEST_INFO_FILESYSTEM)

static void add_filesystems(TestParams *params)
{
    test_params_uint(params, "fs.count", FILESYSTEMS);
    for (guint i = 0; i < FILESYSTEMS; i++) {
        g_autofree char *point = g_strdup_printf("fs.%u.mountpoint", i);
        g_autofree char *type = g_strdup_printf("fs.%u.fstype", i);

        test_params_string(params, point, mountpoints[i]);
        test_params_string(params, type, "ext4");
    }
}

int test_domain_get_guest_info(TestConn *conn, vireo_call *call,
                               const vireo_domain_get_guest_info_args *args,
                               vireo_domain_get_guest_info_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    guint types = args->types ? args->types : GUEST_INFO;
    TestParams params = {.call = call};

    if (!dom)
        return VIREO_FAIL;
    if (types & ~(guint)GUEST_INFO)
        return FAIL(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                    "guest information groups 0x%x are not supported", types & ~(guint)GUEST_INFO);
    if (types & VIREO_DOMAIN_GUEST_INFO_OS)
        test_params_string(&params, "os.id", "test");
    if (types & VIREO_DOMAIN_GUEST_INFO_TIMEZONE) {
        test_params_string(&params, "timezone.name", "UTC");
        test_params_int(&params, "timezone.offset", 0);
    }
    if (types & VIREO_DOMAIN_GUEST_INFO_HOSTNAME) {
        g_autofree char *name = g_strconcat(dom->name, "host", NULL);

        test_params_string(&params, "hostname", name);
    }
    if (types & VIREO_DOMAIN_GUEST_INFO_FILESYSTEM)
        add_filesystems(&params);
    TEST_PARAMS_GIVE(&params, ret->params);
    return VIREO_OK;
}

int test_domain_set_user_password(TestConn *conn, vireo_call *call,
                                  const vireo_domain_set_user_password_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    TestExtra *extra;

    if (!dom)
        return VIREO_FAIL;
    if (!args->user || !*args->user || !args->password)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "user and password are needed");
    extra = test_domain_extra(dom);
    g_free(extra->user_password);
    extra->user_password = g_strconcat(args->user, ":", args->password, NULL);
    return VIREO_OK;
}

static GPtrArray *keys_of(TestDomain *dom, const char *user)
{
    TestExtra *extra = test_domain_extra(dom);
    GPtrArray *keys;

    if (!extra->ssh_keys)
        extra->ssh_keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                (GDestroyNotify)g_ptr_array_unref);
    keys = g_hash_table_lookup(extra->ssh_keys, user);
    if (!keys) {
        keys = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(extra->ssh_keys, g_strdup(user), keys);
    }
    return keys;
}

int test_domain_authorized_ssh_keys_get(TestConn *conn, vireo_call *call,
                                        const vireo_domain_authorized_ssh_keys_get_args *args,
                                        vireo_domain_authorized_ssh_keys_get_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    GPtrArray *keys;

    if (!dom)
        return VIREO_FAIL;
    keys = keys_of(dom, args->user);
    ret->keys.val = NEW(call, char *, keys->len + 1);
    for (guint i = 0; i < keys->len; i++)
        ret->keys.val[ret->keys.len++] = DUP(call, keys->pdata[i]);
    return VIREO_OK;
}

static void drop_key(GPtrArray *keys, const char *key)
{
    guint index;

    while (g_ptr_array_find_with_equal_func(keys, key, g_str_equal, &index))
        g_ptr_array_remove_index(keys, index);
}

int test_domain_authorized_ssh_keys_set(TestConn *conn, vireo_call *call,
                                        const vireo_domain_authorized_ssh_keys_set_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_agent(node, call, &args->dom);
    gboolean remove = args->flags & VIREO_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE;
    GPtrArray *keys;

    if (!dom)
        return VIREO_FAIL;
    keys = keys_of(dom, args->user);
    if (!remove && !(args->flags & VIREO_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND))
        g_ptr_array_set_size(keys, 0);
    for (guint i = 0; i < args->keys.len; i++) {
        drop_key(keys, args->keys.val[i]);
        if (!remove && keys->len < VIREO_LIMIT_DOMAIN_AUTHORIZED_SSH_KEYS_MAX)
            g_ptr_array_add(keys, g_strdup(args->keys.val[i]));
    }
    return VIREO_OK;
}
