/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions that keep a machine from going on until somebody answers: was it moved or copied, is there room again? */
#include "ops.h"

EsxQuestion *esx_question_of(const VimObjectContent *machine)
{
    const VimVirtualMachineQuestionInfo *info =
        vireo_soap_value_struct(esx_property(machine, "runtime.question"), &vim_virtual_machine_question_info_type);

    if (!info)
        return NULL;
    EsxQuestion *question = g_atomic_rc_box_new0(EsxQuestion);
    guint n = info->choice->choice_info.n;
    question->id = g_strdup(info->id);
    question->text = g_strstrip(g_strdup(info->text));
    question->keys = g_new0(char *, n + 1);
    question->labels = g_new0(char *, n + 1);
    question->suggested = info->choice->has_default_index ? info->choice->default_index : -1;
    for (guint i = 0; i < n; i++) {
        question->keys[i] = g_strdup(info->choice->choice_info.items[i]->key);
        question->labels[i] = g_strdup(info->choice->choice_info.items[i]->base.label);
    }
    if (question->suggested >= (int)n)
        question->suggested = -1;
    return question;
}

static void clear(gpointer opaque)
{
    EsxQuestion *question = opaque;

    g_free(question->id);
    g_free(question->text);
    g_strfreev(question->keys);
    g_strfreev(question->labels);
}

EsxQuestion *esx_question_ref(EsxQuestion *question)
{
    return question ? g_atomic_rc_box_acquire(question) : NULL;
}

void esx_question_unref(EsxQuestion *question)
{
    if (question)
        g_atomic_rc_box_release_full(question, clear);
}

char *esx_question_words(const EsxQuestion *question)
{
    GString *words = g_string_new(question->text);

    for (guint i = 0; question->keys[i]; i++)
        g_string_append_printf(words, "%s%s%s", i ? ", " : " (", question->labels[i],
                               (int)i == question->suggested ? " [default]" : "");
    return g_string_free(g_string_append(words, *question->keys ? ")" : ""), FALSE);
}

gboolean esx_question_answer(EsxServer *server, const EsxRef *machine, const EsxQuestion *question,
                             const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimAnswerVMArgs args = { ._this = (EsxRef *)machine, .question_id = question->id };

    if (question->suggested < 0) {
        g_autofree char *words = esx_question_words(question);

        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID,
                    "the question has no default answer, choose one in VMware's client: %s", words);
        return FALSE;
    }
    args.answer_choice = question->keys[question->suggested];
    return vim_answer_vm(server->soap, &args, wait, arena, error) != NULL;
}

/* ---- for clients ------------------------------------------------------------------------ */

/* What taints a machine or is deprecated, nobody tells. */
int esx_domain_get_messages(void *handle, vireo_call *call, const vireo_domain_get_messages_args *args,
                            vireo_domain_get_messages_ret *ret)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    EsxMachine *machine = esx_machine_find(conn->server, args->dom.uuid);

    if (!machine)
        return host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    if (machine->question && args->flags == 0) {
        g_autofree char *words = esx_question_words(machine->question);
        g_autofree char *text = g_strconcat("waits for an answer: ", words, NULL);

        ret->msgs.val = host->alloc(call, sizeof *ret->msgs.val);
        ret->msgs.val[ret->msgs.len++] = host->strdup(call, text);
    }
    esx_machine_free(machine);
    return VIREO_OK;
}

int esx_machine_answer(EsxConn *conn, vireo_call *call, EsxMachine *machine)
{
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;
    gboolean good = esx_question_answer(conn->server, machine->ref, machine->question, &wait, &error) &&
                    esx_inventory_read(conn->server, &machine->ref, 1, &wait, &error);

    return good ? VIREO_OK : esx_fail(conn->driver, call, error);
}
