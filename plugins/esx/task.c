/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Long work of the server: followed to its end. */
#include "driver.h"

#define FIRST_MS 20
#define MOST_MS  1000

static VimTaskInfo *read_task(EsxServer *server, const EsxRef *task, const VireoHttpWait *wait, VireoArena *arena,
                              GError **error)
{
    static const char *const paths[] = { "info" };
    VimObjectContent *object = esx_properties_of(server, task, paths, 1, wait, arena, error);
    VimTaskInfo *info = object ? vireo_soap_value_struct(esx_property(object, "info"), &vim_task_info_type) : NULL;

    if (object && !info)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "the server tells nothing about its task");
    return info;
}

static void why_it_failed(const VimTaskInfo *info, GError **error)
{
    const VimLocalizedMethodFault *why = info->error;
    VireoSoapValue detail = { .kind = VIREO_SOAP_STRUCT };

    if (!why) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "the task failed without a reason");
        return;
    }
    detail.object = &why->fault->soap;
    esx_error_from_fault(error, why->fault->soap.name ? why->fault->soap.name : why->fault->soap.type->name,
                         why->localized_message, &detail);
}

static void cancel(EsxServer *server, const EsxRef *task)
{
    VimCancelTaskArgs args = { ._this = (EsxRef *)task };
    VireoHttpWait wait = { .timeout_ms = 5000 };
    g_autoptr(VireoArena) arena = vireo_arena_new();

    vim_cancel_task(server->soap, &args, &wait, arena, NULL);
}

/* Whose questions stop it. */
typedef struct {
    const EsxRef *ref;     /* NULL: it is about no machine */
    EsxQuestion *before;   /* waited for an answer already */
    EsxQuestion *answered; /* here */
} Asked;

static gboolean is_same(const EsxQuestion *one, const EsxQuestion *other)
{
    return one && other && g_str_equal(one->id, other->id);
}

/* Answers what the machine asks meanwhile, if that is wanted; otherwise nobody may be there to do it, ever. */
static gboolean settle(EsxServer *server, const EsxRef *task, Asked *asked, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(EsxQuestion) question = asked->ref ? esx_machine_question(server, asked->ref) : NULL;

    if (!question || is_same(question, asked->before) || is_same(question, asked->answered))
        return TRUE;
    if (server->uri->auto_answer) {
        if (!esx_question_answer(server, asked->ref, question, wait, error))
            return FALSE;
        esx_question_unref(asked->answered);
        asked->answered = g_steal_pointer(&question);
        return TRUE;
    }
    g_autofree char *words = esx_question_words(question);
    cancel(server, task);
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED,
                "given up, because the machine asks: %s; answer in VMware's client, or connect with auto_answer=1 to have "
                "the default taken", words);
    return FALSE;
}

/* Its end, in arena; NULL: failed. */
static VimTaskInfo *follow(EsxConn *conn, vireo_call *call, const EsxRef *task, Asked *asked, VireoArena *arena,
                           GError **error)
{
    const struct vireo_host *host = conn->driver->host;
    EsxServer *server = conn->server;
    VireoHttpWait wait = esx_wait(call);
    guint pause = FIRST_MS;

    for (;;) {
        VimTaskInfo *info = read_task(server, task, &wait, arena, error);

        if (!info && host->cancelled(call))
            cancel(server, task);
        if (!info)
            return NULL;
        if (info->state == VIM_TASK_INFO_STATE_SUCCESS)
            return info;
        if (info->state == VIM_TASK_INFO_STATE_ERROR) {
            why_it_failed(info, error);
            return NULL;
        }
        if (!settle(server, task, asked, &wait, error))
            return NULL;
        if (info->has_progress)
            host->progress(call, (uint64_t)info->progress, 100, "task");
        g_usleep(pause * 1000);
        pause = MIN(pause * 2, MOST_MS);
    }
}

static VimTaskInfo *follow_unasked(EsxConn *conn, vireo_call *call, const EsxRef *task, VireoArena *arena, GError **error)
{
    Asked nobody = { 0 };

    return follow(conn, call, task, &nobody, arena, error);
}

gboolean esx_task_end(EsxConn *conn, vireo_call *call, const EsxRef *task, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();

    return follow_unasked(conn, call, task, arena, error) != NULL;
}

int esx_task_run(EsxConn *conn, vireo_call *call, EsxRef *machine, const VireoSoapOperation *operation, gconstpointer args)
{
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    GError *error = NULL;
    Asked asked = { machine, esx_machine_question(conn->server, machine), NULL };
    /* What they return looks the same in all of them. */
    VimPowerOnVMTaskRet *ret = vireo_soap_call(conn->server->soap, operation, args, &wait, arena, &error);
    gboolean good = ret && follow(conn, call, ret->returnval, &asked, arena, &error);

    esx_question_unref(asked.before);
    esx_question_unref(asked.answered);
    /* Also after a failure: it may say what has changed behind our back. */
    if (!esx_inventory_read(conn->server, &machine, 1, &wait, good ? &error : NULL))
        good = FALSE;
    return good ? VIREO_OK : esx_fail(conn->driver, call, error);
}

const VireoSoapValue *esx_task_value(EsxConn *conn, vireo_call *call, const EsxRef *task, VireoArena *arena,
                                     GError **error)
{
    VimTaskInfo *info = follow_unasked(conn, call, task, arena, error);

    if (info && !info->result)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "the server does not say what it has found");
    return info ? info->result : NULL;
}

EsxRef *esx_task_result(EsxConn *conn, vireo_call *call, const EsxRef *task, VireoArena *arena, GError **error)
{
    VimTaskInfo *info = follow_unasked(conn, call, task, arena, error);
    EsxRef *result = info ? vireo_soap_value_struct(info->result, &vim_managed_object_reference_type) : NULL;

    if (info && !result)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "the server does not say what it has made");
    return result;
}
