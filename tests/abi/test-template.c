/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The template driver behind the real loader, host and router. */
#include <string.h>
#include <stdio.h>

#include "daemon/engine.h"
#include "ops/codec.h"

typedef struct {
    GMutex lock;
    GCond ended;
    gboolean done;
    int code;
    char *message;
    VireoArena *arena;
    gpointer ret;
} Answer;

static VireoConn *conn;

static void on_done(vireo_call *call, int status, gpointer opaque)
{
    Answer *answer = opaque;

    g_mutex_lock(&answer->lock);
    answer->code = status == VIREO_OK ? 0 : call->error_code;
    answer->message = g_strdup(call->error_message);
    if (status == VIREO_OK && call->op->ret)
        vireo_wire_copy(call->op->ret, call->ret, answer->arena, answer->ret);
    answer->done = TRUE;
    g_cond_signal(&answer->ended);
    g_mutex_unlock(&answer->lock);
}

/* Calls and waits; the error's code, 0 for none. The result lives in the arena. */
static int ask(VireoArena *arena, guint32 id, gpointer args, gpointer ret, char **message)
{
    Answer answer = {.arena = arena, .ret = ret};
    vireo_call *call = vireo_call_new(vireo_op_by_id(id), vireo_arena_new(), args);

    call->done = on_done;
    call->opaque = &answer;
    vireo_router_call(conn, call);
    g_mutex_lock(&answer.lock);
    while (!answer.done)
        g_cond_wait(&answer.ended, &answer.lock);
    g_mutex_unlock(&answer.lock);
    if (message)
        *message = answer.message;
    else
        g_free(answer.message);
    return answer.code;
}

static int state_of(VireoArena *arena, const vireo_domain_ref *dom)
{
    vireo_domain_get_state_args args = {*dom, 0};
    vireo_domain_get_state_ret ret = {0};

    g_assert_cmpint(ask(arena, VIREO_OP_domain_get_state, &args, &ret, NULL), ==, 0);
    return ret.state;
}

static void define(VireoArena *arena, vireo_domain_ref *dom)
{
    char xml[] = "<domain type='demo'><name>one</name><memory>2048</memory></domain>";
    vireo_domain_define_xml_flags_args args = {xml, 0};
    vireo_domain_define_xml_flags_ret ret = {0};
    vireo_domain_lookup_by_name_args name = {(char[]){"one"}};
    vireo_domain_lookup_by_name_ret found = {0};

    g_assert_cmpint(ask(arena, VIREO_OP_domain_define_xml_flags, &args, &ret, NULL), ==, 0);
    g_assert_cmpint(ask(arena, VIREO_OP_domain_lookup_by_name, &name, &found, NULL), ==, 0);
    g_assert_cmpmem(found.dom.uuid, 16, ret.dom.uuid, 16);
    *dom = found.dom;
}

/* A flag outside the table never reaches the driver, and is refused by its name. */
static void check_flags(VireoArena *arena, const vireo_domain_ref *dom)
{
    vireo_domain_create_with_flags_args create = {*dom, VIREO_DOMAIN_START_PAUSED};
    vireo_domain_create_with_flags_ret created = {0};
    vireo_domain_get_xml_desc_args describe = {*dom, VIREO_DOMAIN_XML_SECURE};
    vireo_domain_get_xml_desc_ret described = {0};
    g_autofree char *message = NULL;

    g_assert_cmpint(ask(arena, VIREO_OP_domain_create_with_flags, &create, &created, &message), !=,
                    0);
    g_assert_nonnull(strstr(message, "demo"));
    g_assert_nonnull(strstr(message, "PAUSED"));
    g_assert_cmpint(state_of(arena, dom), ==, VIREO_DOMAIN_SHUTOFF);
    g_assert_cmpint(ask(arena, VIREO_OP_domain_get_xml_desc, &describe, &described, NULL), ==, 0);
    g_assert_nonnull(strstr(described.xml, "<name>one</name>"));
}

/* The narrow forms, which the driver does not have, are made from the wide ones. */
static void live_and_die(VireoArena *arena, const vireo_domain_ref *dom)
{
    vireo_domain_create_args create = {*dom};
    vireo_domain_destroy_args destroy = {*dom};
    vireo_domain_undefine_args undefine = {*dom};
    vireo_domain_suspend_args suspend = {*dom};
    vireo_connect_list_all_domains_args list = {1, VIREO_CONNECT_LIST_DOMAINS_ACTIVE};
    vireo_connect_list_all_domains_ret listed = {0};

    g_assert_cmpint(ask(arena, VIREO_OP_domain_create, &create, NULL, NULL), ==, 0);
    g_assert_cmpint(state_of(arena, dom), ==, VIREO_DOMAIN_RUNNING);
    g_assert_cmpint(ask(arena, VIREO_OP_connect_list_all_domains, &list, &listed, NULL), ==, 0);
    g_assert_cmpuint(listed.domains.len, ==, 1);
    g_assert_cmpstr(listed.domains.val[0].name, ==, "one");
    g_assert_cmpint(ask(arena, VIREO_OP_domain_suspend, &suspend, NULL, NULL), ==,
                    VIREO_ERR_NO_SUPPORT);
    g_assert_cmpint(ask(arena, VIREO_OP_domain_undefine, &undefine, NULL, NULL), ==,
                    VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(ask(arena, VIREO_OP_domain_destroy, &destroy, NULL, NULL), ==, 0);
    g_assert_cmpint(state_of(arena, dom), ==, VIREO_DOMAIN_SHUTOFF);
    g_assert_cmpint(ask(arena, VIREO_OP_domain_undefine, &undefine, NULL, NULL), ==, 0);
    g_assert_cmpint(ask(arena, VIREO_OP_domain_create, &create, NULL, NULL), ==,
                    VIREO_ERR_NO_DOMAIN);
}

int main(int argc, char **argv)
{
    const char *dirs[] = {argc > 1 ? argv[1] : NULL, NULL};
    char *base = argc > 2 ? argv[2] : NULL;
    VireoEngineConfig config = {
        .dirs = {base, base, base, base, base},
        .driver_dirs = dirs,
        .min_workers = 2,
        .max_workers = 4,
        .priority_workers = 1,
    };
    VireoConnCaller caller = {0};
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    vireo_domain_ref dom;
    VireoEngine *engine;

    g_assert_cmpint(argc, ==, 3);
    engine = vireo_engine_new(&config);
    g_assert_null(vireo_conn_open(vireo_engine_router(engine), "demo:///other", &caller, &error));
    g_assert_nonnull(strstr(error->message, "the only URI is demo:///default"));
    g_clear_error(&error);
    conn = vireo_conn_open(vireo_engine_router(engine), "demo:///default", &caller, &error);
    g_assert_no_error(error);
    define(arena, &dom);
    check_flags(arena, &dom);
    live_and_die(arena, &dom);
    vireo_conn_unref(conn);
    vireo_engine_free(engine);
    puts("loaded, routed and ended");
    return 0;
}
