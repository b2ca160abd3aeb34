/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As many calls at once as the declared thread model allows, and no more: this file is the scheduler.
 * First queries alone, whose answers must be those of a quiet moment; then changes among them.
 */
#include <stdlib.h>

#include "ops/codec.h"
#include "tools/check/fill.h"
#include "tools/check/session.h"

#define THREADS 8
#define DOMAINS 4
#define SECONDS 1 /* of each of the two parts */

typedef struct {
    const VireoOp *op;
    guint domain;
    GByteArray *answer; /* in a quiet moment; NULL: differs from one time to the next */
    int code;
    int differed; /* how often */
} Question;

typedef struct {
    Session *session;
    GPtrArray *questions; /* Question */
    gboolean changes;
    pthread_mutex_t all, modify[DOMAINS], control[DOMAINS];
    gint64 end;
    int calls, wrong;
} Stress;

static char *domain_name(guint n)
{
    return g_strdup_printf("vireo-check-%u", n + 1);
}

/* What may not overlap the call: as the router has it. NULL: anything goes. */
static pthread_mutex_t *gate(Stress *stress, const VireoOp *op, guint domain)
{
    guint model = stress->session->driver->threads;

    if (model == VIREO_SERIAL || model == VIREO_PER_CONN) /* there is one connection */
        return &stress->all;
    if (!check_is_about_domain(op))
        return NULL;
    if (op->lane == VIREO_LANE_CONTROL)
        return NULL;
    if (op->lane == VIREO_LANE_MODIFY || model == VIREO_PER_OBJECT)
        return &stress->modify[domain];
    return NULL;
}

static GByteArray *ask(Stress *stress, const VireoOp *op, guint domain, CheckOutcome *outcome)
{
    Session *session = stress->session;
    g_autofree char *name = domain_name(domain);
    pthread_mutex_t *lock = gate(stress, op, domain);
    vireo_call *call = check_call_new(session->host, op);
    GByteArray *answer = g_byte_array_new();

    check_fill_domain(session, call, op, name);
    if (lock)
        pthread_mutex_lock(lock);
    check_call_run(call, session_row(session, op->id), session->conn, session->task->seconds * 1000, outcome);
    if (lock)
        pthread_mutex_unlock(lock);
    if (outcome->status == VIREO_OK && op->ret)
        vireo_wire_encode(op->ret, outcome->ret, answer, NULL);
    check_call_free(call);
    return answer;
}

static void question_free(gpointer data)
{
    Question *question = data;

    g_clear_pointer(&question->answer, g_byte_array_unref);
    g_free(question);
}

/* Asks twice in peace, with some time between. */
static void learn(Stress *stress, const VireoOp *op, guint domain)
{
    Question *question = g_new0(Question, 1);
    CheckOutcome first, second;
    g_autoptr(GByteArray) later = NULL;

    question->op = op;
    question->domain = domain;
    question->answer = ask(stress, op, domain, &first);
    question->code = first.code;
    g_usleep(1000);
    later = ask(stress, op, domain, &second);
    if (first.code != second.code || !check_same_answer(question->answer, later))
        g_clear_pointer(&question->answer, g_byte_array_unref);
    g_ptr_array_add(stress->questions, question);
}

static gboolean is_change(const VireoOp *op)
{
    const guint32 known[] = { VIREO_OP_domain_create_with_flags, VIREO_OP_domain_destroy_flags,
                              VIREO_OP_domain_suspend, VIREO_OP_domain_resume };

    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
        if (op->id == known[i])
            return TRUE;
    return FALSE;
}

static gboolean is_question(const VireoOp *op)
{
    return op && op->kind == VIREO_OP_CALL && op->lane == VIREO_LANE_QUERY && op->stream == VIREO_STREAM_NONE &&
           op->program != VIREO_PROGRAM_DRIVER && (!check_has_objects(op) || check_is_about_domain(op));
}

static void collect(Stress *stress)
{
    const VireoNote *note = stress->session->task->note;

    for (guint i = 0; i < note->n_ops; i++) {
        const VireoOp *op = vireo_op_by_id(note->ops[i].id);

        if (op && stress->changes && is_change(op))
            for (guint n = 0; n < DOMAINS; n++) {
                Question *change = g_new0(Question, 1);

                change->op = op;
                change->domain = n;
                g_ptr_array_add(stress->questions, change);
            }
        if (is_question(op))
            for (guint n = 0; n < (check_is_about_domain(op) ? DOMAINS : 1); n++)
                learn(stress, op, n);
    }
}

static void check_answer(Stress *stress, Question *question, const GByteArray *answer,
                         const CheckOutcome *outcome)
{
    __atomic_add_fetch(&stress->calls, 1, __ATOMIC_RELAXED);
    if (outcome->status == CHECK_HANGS)
        check_fail("%s was not completed while other calls ran", question->op->name);
    if (stress->changes || !question->answer)
        return;
    if (question->code != outcome->code || !check_same_answer(answer, question->answer))
        __atomic_add_fetch(&question->differed, 1, __ATOMIC_RELAXED);
}

/* Alone again: what answers otherwise now changes by itself, as free memory does. */
static void judge(Stress *stress, const Question *question)
{
    CheckOutcome outcome;
    g_autoptr(GByteArray) answer = NULL;

    if (!question->differed)
        return;
    answer = ask(stress, question->op, question->domain, &outcome);
    if (outcome.code == question->code && check_same_answer(answer, question->answer))
        check_fail("%s answers otherwise while other calls run than when it is alone", question->op->name);
}

static void *client(void *opaque)
{
    Stress *stress = opaque;
    unsigned seed = (unsigned)__atomic_add_fetch(&stress->calls, 1, __ATOMIC_RELAXED);

    while (g_get_monotonic_time() < stress->end) {
        Question *question = stress->questions->pdata[(guint)rand_r(&seed) % stress->questions->len];
        CheckOutcome outcome;
        g_autoptr(GByteArray) answer = ask(stress, question->op, question->domain, &outcome);

        check_answer(stress, question, answer, &outcome);
    }
    return NULL;
}

static void run_clients(Stress *stress)
{
    pthread_t threads[THREADS];

    stress->end = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;
    for (guint i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, client, stress) != 0)
            g_error("cannot start a thread");
    for (guint i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* The driver's own answer and what it published, when all is quiet again. */
static void compare(Session *session, const char *name)
{
    CheckObject object = { 0 };
    vireo_domain_get_info_args args = { 0 };
    CheckOutcome outcome = { 0 };

    if (!session_row(session, VIREO_OP_domain_get_info) || !session_domain(session, name, &args.dom))
        return;
    session_call(session, VIREO_OP_domain_get_info, &args, &outcome);
    if (outcome.status == VIREO_OK && check_object_find(session->space, VIREO_CLASS_DOMAIN, name, &object) &&
        ((vireo_domain_get_info_ret *)outcome.ret)->state != object.state)
        check_fail("in the end domain_get_info says state %d of '%s', and state %d is published",
                   ((vireo_domain_get_info_ret *)outcome.ret)->state, name, object.state);
    check_object_clear(&object);
    check_call_free(outcome.call);
}

static void carry_out(Session *session, gboolean changes)
{
    Stress stress = { .session = session, .changes = changes };

    pthread_mutex_init(&stress.all, NULL);
    for (guint i = 0; i < DOMAINS; i++)
        pthread_mutex_init(&stress.modify[i], NULL);
    stress.questions = g_ptr_array_new_with_free_func(question_free);
    collect(&stress);
    if (stress.questions->len)
        run_clients(&stress);
    for (guint i = 0; i < stress.questions->len; i++)
        judge(&stress, stress.questions->pdata[i]);
    check_note("%d calls%s", stress.calls, changes ? ", changes among them" : ", queries alone");
    g_ptr_array_unref(stress.questions);
}

void check_threads(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "threads");
    gboolean define;

    if (!session_begin(session))
        return;
    define = task->define && session->space;
    for (guint i = 0; define && i < DOMAINS; i++) {
        g_autofree char *name = domain_name(i);

        define = session_prepare(session, name, FALSE);
    }
    carry_out(session, FALSE);
    if (define)
        carry_out(session, TRUE);
    for (guint i = 0; define && i < DOMAINS; i++) {
        g_autofree char *name = domain_name(i);

        compare(session, name);
    }
    session_close(session);
    session_stop(session);
}
