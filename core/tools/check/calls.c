/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every operation of the table, called as the core would: on an object that does not exist, on one that
 * is stopped and on one that runs. One walk, of which several checks have a look each.
 */
#include <string.h>

#include "ops/codec.h"
#include "tools/check/fill.h"
#include "tools/check/session.h"

#define SETTLE 300 /* milliseconds for what comes after a call's end */

typedef struct {
    Session *session;
    const VireoOp *op;
    CheckAbout about;
    CheckOutcome outcome;
    guint n; /* calls */
} Walk;

/* ---- what is looked at ---- */

static void judge_bogus(const Walk *walk)
{
    if (walk->about == ABOUT_BOGUS && check_has_objects(walk->op) && walk->outcome.status == VIREO_OK)
        check_fail_of("bogus", "%s answered OK for an object that does not exist", walk->op->name);
}

static void judge_error(const Walk *walk)
{
    const CheckOutcome *outcome = &walk->outcome;
    const char *name = walk->op->name;

    if (outcome->status == VIREO_FAIL && !outcome->message)
        check_fail_of("errors", "%s failed without an error: VIREO_FAIL goes with host->fail", name);
    else if (outcome->status == VIREO_FAIL && (!*outcome->message || outcome->code <= 0))
        check_fail_of("errors", "%s failed with number %d and the text '%s'", name, outcome->code, outcome->message);
    else if (outcome->status == VIREO_OK && outcome->message)
        check_fail_of("errors", "%s answered OK after host->fail said '%s'", name, outcome->message);
    else if (outcome->status != VIREO_OK && outcome->status != VIREO_FAIL && outcome->status != CHECK_HANGS)
        check_fail_of("errors", "%s ended with %d, which is no enum vireo_status", name, outcome->status);
}

static void judge_result(const Walk *walk)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    if (walk->outcome.status == VIREO_OK && walk->op->ret && walk->op->program != VIREO_PROGRAM_DRIVER &&
        !vireo_wire_encode(walk->op->ret, walk->outcome.ret, bytes, &error))
        check_fail_of("results", "%s answered OK with a result that cannot be sent: %s", walk->op->name, error->message);
}

static void judge(const Walk *walk)
{
    if (walk->outcome.status == CHECK_HANGS)
        check_fail("%s returned VIREO_PENDING and was not completed within %u seconds", walk->op->name,
                   walk->session->task->seconds);
    judge_bogus(walk);
    judge_error(walk);
    judge_result(walk);
}

/* When what comes after a call's end has come. */
static void judge_the_end(Session *session)
{
    GPtrArray *late = check_host_late(session->host, FALSE);
    GPtrArray *complaints = check_host_complaints(session->host);

    for (guint i = 0; i < late->len; i++)
        check_fail_of("completion", "%s was completed once more, after its end", (char *)late->pdata[i]);
    for (guint i = 0; i < complaints->len; i++)
        check_fail_of("publish", "%s", (char *)complaints->pdata[i]);
}

/* ---- the walk ---- */

gboolean check_has_objects(const VireoOp *op)
{
    return op->object != VIREO_CLASS_NONE;
}

/* What is about no object is called only where it changes nothing. */
static gboolean is_walked(const VireoOp *op, CheckAbout about)
{
    if (!op || op->kind != VIREO_OP_CALL || op->id == VIREO_OP_conn_open || op->id == VIREO_OP_conn_close)
        return FALSE;
    if (!check_has_objects(op))
        return about == ABOUT_BOGUS && op->lane == VIREO_LANE_QUERY;
    return about == ABOUT_BOGUS || check_is_about_domain(op);
}

static void walk_row(Walk *walk, const struct vireo_op *row)
{
    vireo_call *call;

    if (walk->about != ABOUT_BOGUS && !session_prepare(walk->session, CHECK_DOMAIN, walk->about == ABOUT_RUNNING))
        return;
    call = check_call_new(walk->session->host, walk->op);
    check_fill(walk->session, call, walk->op, walk->about);
    check_call_run(call, row, walk->session->conn, walk->session->task->seconds * 1000, &walk->outcome);
    walk->n++;
    judge(walk);
    check_call_free(call);
}

/* The row of that step. All calls on one that is stopped come after each other: for some, starting a domain takes long. */
static const struct vireo_op *step_row(Walk *walk, guint step)
{
    const VireoNote *note = walk->session->task->note;

    walk->op = vireo_op_by_id(note->ops[step % note->n_ops].id);
    walk->about = step / note->n_ops;
    return is_walked(walk->op, walk->about) ? session_row(walk->session, walk->op->id) : NULL;
}

static void walk_all(Walk *walk)
{
    Session *session = walk->session;
    gboolean define = session->space && session->task->define && session_prepare(session, CHECK_DOMAIN, FALSE);

    for (guint step = check_first_step(); step < session->task->note->n_ops * ABOUT_N; step++) {
        const struct vireo_op *row = step_row(walk, step);

        check_step(step);
        if (row && (define || walk->about == ABOUT_BOGUS))
            walk_row(walk, row);
    }
    check_note("%u calls, %s", walk->n,
               define ? "on objects that are there and on some that are not" : "all on objects that are not there");
}

void check_calls(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "calls");
    Walk walk = { .session = session };

    if (!session_begin(session))
        return;
    walk_all(&walk);
    g_usleep(SETTLE * 1000);
    judge_the_end(session);
    session_close(session);
    session_stop(session);
}

/* ---- cancellation ---- */

typedef struct {
    vireo_call *call;
    const struct vireo_op *row;
    void *conn;
    guint milliseconds;
    CheckOutcome outcome;
    int ended;
} Flight;

static void *fly(void *opaque)
{
    Flight *flight = opaque;

    check_call_run(flight->call, flight->row, flight->conn, flight->milliseconds, &flight->outcome);
    __atomic_store_n(&flight->ended, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static gboolean wait_for(Flight *flight, guint milliseconds)
{
    for (guint waited = 0; waited < milliseconds; waited += 2) {
        if (__atomic_load_n(&flight->ended, __ATOMIC_SEQ_CST))
            return TRUE;
        g_usleep(2000);
    }
    return FALSE;
}

/* FALSE when the call is stuck for good. early: cancelled before it begins, else soon after. */
static gboolean cancel_one(Walk *walk, const struct vireo_op *row, gboolean early)
{
    guint bound = MIN(walk->session->task->seconds, CHECK_CANCEL_SECONDS);
    Flight *flight = g_new0(Flight, 1); /* a stuck thread keeps it */
    pthread_t thread;

    flight->row = row;
    flight->conn = walk->session->conn;
    flight->milliseconds = (bound + 2) * 1000;
    flight->call = check_call_new(walk->session->host, walk->op);
    check_fill(walk->session, flight->call, walk->op, walk->about);
    if (early)
        check_call_cancel(flight->call);
    if (pthread_create(&thread, NULL, fly, flight) != 0)
        g_error("cannot start a thread");
    if (!wait_for(flight, 20))
        check_call_cancel(flight->call);
    if (!wait_for(flight, bound * 1000)) {
        check_fail("%s did not end within %u seconds of its cancellation", walk->op->name, bound);
        pthread_detach(thread);
        return FALSE;
    }
    pthread_join(thread, NULL);
    check_call_free(flight->call);
    g_free(flight);
    return TRUE;
}

void check_cancel(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "cancel");
    Walk walk = { .session = session };
    GPtrArray *late = check_host_late(session->host, TRUE);

    if (!session_begin(session) || !session_can_define(session))
        return;
    for (guint i = task->note->n_ops * ABOUT_STOPPED * 2; i < task->note->n_ops * ABOUT_N * 2; i++) {
        const struct vireo_op *row = step_row(&walk, i / 2);

        if (!row || !session_prepare(session, CHECK_DOMAIN, walk.about == ABOUT_RUNNING))
            continue;
        walk.n++;
        if (!cancel_one(&walk, row, i & 1)) {
            check_note("%u calls cancelled, the rest not tried", walk.n);
            check_child_abandon();
        }
    }
    g_usleep(SETTLE * 1000);
    for (guint i = 0; i < late->len; i++)
        check_fail("%s was completed once more, after its end", (char *)late->pdata[i]);
    check_note("%u calls cancelled, before they began or in flight", walk.n);
    session_close(session);
    session_stop(session);
}

/* ---- malformed documents ---- */

static const VireoWireField *document_field(const VireoOp *op)
{
    const char *const names[] = { "xml", "xml_desc", "xmlDesc", "xml_in" };

    if (!op || op->kind != VIREO_OP_CALL || !op->args || check_has_objects(op) || op->lane == VIREO_LANE_QUERY)
        return NULL;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const VireoWireField *field = vireo_wire_field(op->args, names[i]);

        if (field && field->kind == VIREO_WIRE_STRING && field->form == VIREO_WIRE_ONE)
            return field;
    }
    return NULL;
}

static void try_document(Session *session, const VireoOp *op, const VireoWireField *field, const char *text)
{
    vireo_call *call = check_call_new(session->host, op);
    CheckOutcome outcome;

    check_fill(session, call, op, ABOUT_BOGUS);
    *(const char **)((char *)check_call_args(call) + field->offset) = text;
    check_call_run(call, session_row(session, op->id), session->conn, session->task->seconds * 1000, &outcome);
    if (outcome.status == VIREO_OK)
        check_fail("%s answered OK for the document '%.40s'", op->name, text);
    else if (outcome.status == VIREO_FAIL && !outcome.message)
        check_fail("%s failed without an error for the document '%.40s'", op->name, text);
    check_call_free(call);
}

void check_documents(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "documents");
    const char *const texts[] = { "", "<", "no document", "<domain", "<domain/>", "<vireo-driver-check/>",
                                  "<domain><name>a</name>", "<domain><name></name></domain>",
                                  "<?xml version='1.0'?><!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><d>&e;</d>" };
    guint n = 0;

    if (!session_begin(session))
        return;
    for (guint step = check_first_step(); step < task->note->n_ops; step++) {
        const VireoOp *op = vireo_op_by_id(task->note->ops[step].id);
        const VireoWireField *field = document_field(op);

        check_step(step);
        for (guint i = 0; field && i < G_N_ELEMENTS(texts); i++, n++)
            try_document(session, op, field, texts[i]);
    }
    if (n)
        check_note("%u malformed documents, all refused", n);
    else
        check_skip("no operation of this driver takes a document");
    session_close(session);
    session_stop(session);
}

/* ---- trivial flags ---- */

/* What a call did, as far as a caller can see. */
typedef struct {
    int status, code;
    GByteArray *bytes; /* of the result */
    gint32 state;
} Effect;

static void effect_clear(Effect *effect)
{
    g_clear_pointer(&effect->bytes, g_byte_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Effect, effect_clear)

static gboolean try_flags(Walk *walk, const struct vireo_op *row, guint64 flags, Effect *effect)
{
    Session *session = walk->session;
    CheckObject object = { 0 };
    CheckOutcome outcome;
    vireo_call *call;

    effect_clear(effect);
    if (walk->about != ABOUT_BOGUS && !session_prepare(session, CHECK_DOMAIN, walk->about == ABOUT_RUNNING))
        return FALSE;
    call = check_call_new(session->host, walk->op);
    check_fill(session, call, walk->op, walk->about);
    vireo_op_set_flags(walk->op, check_call_args(call), flags);
    check_call_run(call, row, session->conn, session->task->seconds * 1000, &outcome);
    effect->status = outcome.status;
    effect->code = outcome.code;
    effect->bytes = g_byte_array_new();
    if (outcome.status == VIREO_OK && walk->op->ret)
        vireo_wire_encode(walk->op->ret, outcome.ret, effect->bytes, NULL);
    effect->state = -1;
    if (session->space && check_object_find(session->space, VIREO_CLASS_DOMAIN, CHECK_DOMAIN, &object))
        effect->state = object.state;
    check_object_clear(&object);
    check_call_free(call);
    return TRUE;
}

static const char *word_for(int status)
{
    return status == VIREO_OK ? "succeeds" : status == VIREO_FAIL ? "fails" : "does not end";
}

static void compare_flag(Walk *walk, const struct vireo_op *row, const VireoFlag *flag)
{
    g_auto(Effect) first = { 0 };
    g_auto(Effect) second = { 0 };
    g_auto(Effect) with = { 0 };
    gboolean repeats;

    if (!try_flags(walk, row, 0, &first) || !try_flags(walk, row, flag->bit, &with) ||
        !try_flags(walk, row, 0, &second))
        return;
    repeats = first.status == second.status && first.code == second.code && first.state == second.state;
    if (!repeats)
        return;
    if (first.status != with.status || first.code != with.code)
        check_fail("%s looks at %s, which its table calls trivial: without it it %s (%d), with it it %s (%d)",
                   walk->op->name, flag->name, word_for(first.status), first.code, word_for(with.status), with.code);
    else if (first.state != with.state)
        check_fail("%s looks at %s, which its table calls trivial: without it the domain ends in state %d, with it in "
                   "state %d", walk->op->name, flag->name, first.state, with.state);
    else if (check_same_answer(first.bytes, second.bytes) && !check_same_answer(first.bytes, with.bytes))
        check_fail("%s looks at %s, which its table calls trivial: the answers differ", walk->op->name, flag->name);
}

void check_trivial(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "trivial");
    Walk walk = { .session = session };
    guint n = 0;

    if (!session_begin(session) || !session_can_define(session))
        return;
    for (guint step = check_first_step(); step < task->note->n_ops * ABOUT_N; step++) {
        const struct vireo_op *row = step_row(&walk, step);

        check_step(step);
        for (const VireoFlag *flag = row ? walk.op->flags : NULL; flag && flag->name; flag++)
            if (row->trivial & flag->bit & ~walk.op->trivial_completes) {
                compare_flag(&walk, row, flag);
                n++;
            }
    }
    check_note("%u comparisons of a call with and without a trivial flag", n);
    session_close(session);
    session_stop(session);
}
