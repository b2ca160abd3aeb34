/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/check/session.h"

#include <dlfcn.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- module, init, connection ---- */

const struct vireo_driver *session_load(const CheckTask *task)
{
    void *module = dlopen(task->file, RTLD_NOW | RTLD_LOCAL);
    const struct vireo_driver *(*entry)(void) = NULL;
    const struct vireo_driver *driver;

    if (module)
        *(void **)&entry = dlsym(module, "vireo_driver_entry_1");
    if (!entry) {
        check_skip("the module cannot be linked");
        _exit(127);
    }
    check_enter("vireo_driver_entry_1");
    driver = entry();
    check_leave();
    return driver;
}

Session *session_new(const CheckTask *task, const char *folder)
{
    Session *session = g_new0(Session, 1);
    g_autofree char *dir = g_build_filename(check_dir(), folder, NULL);
    const char *end = strchr(task->note->schemes, ' ');

    g_mkdir(dir, 0711);
    session->task = task;
    session->driver = session_load(task);
    session->scheme = end ? g_strndup(task->note->schemes, (gsize)(end - task->note->schemes))
                          : g_strdup(task->note->schemes);
    session->host = check_host_new(dir, task->config, task->note->name);
    return session;
}

void session_free(Session *session)
{
    if (!session)
        return;
    if (session->running)
        session_stop(session);
    check_host_free(session->host);
    g_free(session->scheme);
    g_free(session->uri);
    g_free(session);
}

gboolean session_try_start(Session *session)
{
    int status;

    check_enter("init");
    status = session->driver->init(check_host_services(), check_host_core(session->host), &session->self);
    check_leave();
    session->running = status == VIREO_OK;
    return session->running;
}

gboolean session_start(Session *session)
{
    const char *why;

    if (session_try_start(session))
        return TRUE;
    why = check_host_last_log(session->host);
    if (*why)
        check_fail("init failed: %s", why);
    else
        check_fail("init failed and logged no reason");
    return FALSE;
}

void session_stop(Session *session)
{
    check_host_drain(session->host);
    check_enter("fini");
    session->driver->fini(session->self);
    check_leave();
    session->running = FALSE;
}

const struct vireo_op *session_row(const Session *session, guint32 id)
{
    for (guint i = 0; i < session->driver->n_ops; i++) {
        const struct vireo_op *row =
            (const void *)((const char *)session->driver->ops + (gsize)i * session->driver->op_size);

        if (row->id == id)
            return row;
    }
    return NULL;
}

static void run(Session *session, void *conn, guint32 id, gconstpointer args, CheckOutcome *outcome)
{
    const VireoOp *op = vireo_op_by_id(id);
    vireo_call *call = check_call_new(session->host, op);

    if (op->args && args)
        memcpy(check_call_args(call), args, op->args->size);
    check_call_run(call, session_row(session, id), conn, session->task->seconds * 1000, outcome);
}

void session_call(Session *session, guint32 id, gconstpointer args, CheckOutcome *outcome)
{
    run(session, session->conn, id, args, outcome);
}

gboolean session_open_uri(Session *session, const char *uri, CheckOutcome *outcome)
{
    vireo_conn_open_args args = { .uri = (char *)uri };
    CheckOutcome own = { 0 };
    vireo_conn_open_ret *ret;

    run(session, session->self, VIREO_OP_conn_open, &args, &own);
    ret = own.ret;
    g_free(session->uri);
    session->uri = g_strdup(uri);
    if (own.status == VIREO_OK) {
        session->conn = ret->conn;
        session->space = ret->space;
    }
    if (outcome)
        *outcome = own;
    check_call_free(own.call);
    return own.status == VIREO_OK;
}

gboolean session_open(Session *session, CheckOutcome *outcome)
{
    const char *const paths[] = { "/default", "/system", "/", "/session" };

    if (session->task->uri)
        return session_open_uri(session, session->task->uri, outcome);
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *uri = g_strdup_printf("%s://%s", session->scheme, paths[i]);

        if (session_open_uri(session, uri, outcome))
            return TRUE;
    }
    return FALSE;
}

void session_close(Session *session)
{
    CheckOutcome outcome;

    run(session, session->conn, VIREO_OP_conn_close, NULL, &outcome);
    check_call_free(outcome.call);
    session->conn = NULL;
}

gboolean session_begin(Session *session)
{
    if (!session_try_start(session)) {
        check_skip("init failed: %s", check_host_last_log(session->host));
        return FALSE;
    }
    if (session_open(session, NULL))
        return TRUE;
    check_skip("no connection to %s", session->uri);
    return FALSE;
}

/* ---- domains ---- */

static guint32 first_of(const Session *session, guint32 wide, guint32 narrow)
{
    return session_row(session, wide) ? wide : session_row(session, narrow) ? narrow : 0;
}

static guint32 define_op(const Session *session)
{
    return first_of(session, VIREO_OP_domain_define_xml_flags, VIREO_OP_domain_define_xml);
}

gboolean session_can_define(const Session *session)
{
    if (!session->space)
        check_skip("the connection has no space, so nothing is published");
    else if (!define_op(session))
        check_skip("it defines no domains");
    else if (!session->task->define)
        check_skip("no object to work on: give --define=FILE.xml");
    else
        return TRUE;
    return FALSE;
}

/* The document with another name, and the uuid that belongs to it. */
static char *document(const char *text, const char *name)
{
    g_autoptr(GRegex) names = g_regex_new("<name>[^<]*</name>", 0, 0, NULL);
    g_autoptr(GRegex) uuids = g_regex_new("<uuid>[^<]*</uuid>", 0, 0, NULL);
    g_autofree char *fresh = g_strdup_printf("<name>%s</name><uuid>76697265-6f00-4000-8000-%012x</uuid>", name,
                                             g_str_hash(name));
    g_autofree char *without = g_regex_replace_literal(uuids, text, -1, 0, "", 0, NULL);
    const char *end;
    GMatchInfo *match;
    GString *made = g_string_new(NULL);
    int from = 0, to = 0;

    if (g_regex_match(names, without, 0, &match))
        g_match_info_fetch_pos(match, 0, &from, &to); /* the first: that of the domain */
    else if ((end = strchr(without, '>')))
        from = to = (int)(end + 1 - without);
    g_match_info_free(match);
    g_string_append_len(made, without, from);
    g_string_append(made, fresh);
    g_string_append(made, without + to);
    return g_string_free(made, FALSE);
}

static gboolean finish(CheckOutcome *own, CheckOutcome *outcome)
{
    gboolean good = own->status == VIREO_OK;

    if (outcome)
        *outcome = *own;
    check_call_free(own->call);
    return good;
}

gboolean session_define(Session *session, const char *name, CheckOutcome *outcome)
{
    g_autofree char *xml = document(session->task->define, name);
    vireo_domain_define_xml_flags_args args = { .xml = xml };
    vireo_domain_define_xml_args narrow = { xml };
    CheckOutcome own = { 0 };
    guint32 op = define_op(session);

    if (outcome)
        *outcome = own;
    if (!op)
        return FALSE;
    session_call(session, op, op == VIREO_OP_domain_define_xml ? (gconstpointer)&narrow : &args, &own);
    return finish(&own, outcome);
}

gboolean session_domain(Session *session, const char *name, vireo_domain_ref *ret)
{
    CheckObject object;

    if (!session->space || !check_object_find(session->space, VIREO_CLASS_DOMAIN, name, &object))
        return FALSE;
    *ret = (vireo_domain_ref){ .name = (char *)name, .id = object.id };
    memcpy(ret->uuid, object.uuid, 16);
    check_object_clear(&object);
    return TRUE;
}

static gboolean on_domain(Session *session, const char *name, guint32 wide, guint32 narrow, CheckOutcome *outcome)
{
    struct {
        vireo_domain_ref dom;
        guint32 flags;
    } args = { 0 };
    CheckOutcome own = { 0 };
    guint32 op = first_of(session, wide, narrow);

    if (outcome)
        *outcome = own;
    if (!op || !session_domain(session, name, &args.dom))
        return FALSE;
    session_call(session, op, &args, &own);
    return finish(&own, outcome);
}

gboolean session_start_domain(Session *session, const char *name, CheckOutcome *outcome)
{
    return on_domain(session, name, VIREO_OP_domain_create_with_flags, VIREO_OP_domain_create, outcome);
}

gboolean session_destroy_domain(Session *session, const char *name, CheckOutcome *outcome)
{
    return on_domain(session, name, VIREO_OP_domain_destroy_flags, VIREO_OP_domain_destroy, outcome);
}

gboolean session_undefine(Session *session, const char *name, CheckOutcome *outcome)
{
    return on_domain(session, name, VIREO_OP_domain_undefine_flags, VIREO_OP_domain_undefine, outcome);
}

void session_sweep(Session *session, const char *name)
{
    vireo_domain_ref dom;

    if (session_domain(session, name, &dom) && dom.id != -1)
        session_destroy_domain(session, name, NULL);
    if (session_domain(session, name, &dom))
        session_undefine(session, name, NULL);
}

static gboolean is_paused(Session *session, const char *name)
{
    CheckObject object = { 0 };
    gboolean paused =
        check_object_find(session->space, VIREO_CLASS_DOMAIN, name, &object) && object.state == VIREO_DOMAIN_PAUSED;

    check_object_clear(&object);
    return paused;
}

gboolean session_prepare(Session *session, const char *name, gboolean running)
{
    vireo_domain_ref dom;

    for (guint i = 0; i < 3; i++) {
        if (!session_domain(session, name, &dom))
            session_define(session, name, NULL);
        else if (running == (dom.id != -1) && !is_paused(session, name))
            return TRUE;
        else if (dom.id == -1)
            session_start_domain(session, name, NULL);
        else
            session_destroy_domain(session, name, NULL);
    }
    return session_domain(session, name, &dom) && running == (dom.id != -1);
}

gboolean check_same_answer(const GByteArray *a, const GByteArray *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
