/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is published when, what a failing host makes of it, and what is left of it after a kill. */
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/check/fill.h"
#include "tools/check/session.h"

#define SETTLE 300 /* milliseconds in which a late change would show */

/* ---- events ---- */

typedef enum { IS_GONE, IS_OFF, IS_ON } Expected;

static const char *const expected_names[] = { "gone", "published as stopped", "published as running" };

static Expected shown(Session *session)
{
    vireo_domain_ref dom;

    if (!session_domain(session, CHECK_DOMAIN, &dom))
        return IS_GONE;
    return dom.id == -1 ? IS_OFF : IS_ON;
}

/* At the call's end a client must see the change; and nothing older may come after it. */
static void expect(Session *session, const char *op, Expected expected)
{
    Expected found = shown(session);

    if (found != expected) {
        check_fail("%s answered OK, and the domain is %s, not %s", op, expected_names[found],
                   expected_names[expected]);
        return;
    }
    g_usleep(SETTLE * 1000);
    found = shown(session);
    if (found != expected)
        check_fail("after %s the domain was %s; an older state was published after it, and now it is %s", op,
                   expected_names[expected], expected_names[found]);
}

static gboolean did(const CheckOutcome *outcome, const char *op)
{
    if (outcome->status == VIREO_OK)
        return TRUE;
    if (outcome->call)
        check_skip("%s of the document failed: %s", op, outcome->message ? outcome->message : "no error");
    return FALSE;
}

static void live_through(Session *session)
{
    CheckOutcome outcome = { 0 };

    session_define(session, CHECK_DOMAIN, &outcome);
    if (!did(&outcome, "a definition"))
        return;
    expect(session, "the definition", IS_OFF);
    session_start_domain(session, CHECK_DOMAIN, &outcome);
    if (did(&outcome, "a start")) {
        expect(session, "the start", IS_ON);
        session_destroy_domain(session, CHECK_DOMAIN, &outcome);
        if (did(&outcome, "a stop"))
            expect(session, "the stop", IS_OFF);
    }
    session_undefine(session, CHECK_DOMAIN, &outcome);
    if (did(&outcome, "an undefinition"))
        expect(session, "the undefinition", IS_GONE);
}

void check_events(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "events");

    if (!session_begin(session) || !session_can_define(session))
        return;
    session_sweep(session, CHECK_DOMAIN);
    live_through(session);
    live_through(session);
    check_note("defined, started, stopped and undefined, twice");
    session_close(session);
    session_stop(session);
}

/* ---- services that fail ---- */

typedef struct {
    const char *op;
    gboolean (*run)(Session *session, const char *name, CheckOutcome *outcome);
    CheckService must; /* without which it cannot have succeeded */
} Deed;

static const Deed deeds[] = {
    { "the definition", session_define, CHECK_SERVICE_STATE_SAVE },
    { "the start", session_start_domain, CHECK_SERVICE_SPAWN },
    { "the stop", session_destroy_domain, CHECK_SERVICE_NONE },
    { "the undefinition", session_undefine, CHECK_SERVICE_NONE },
};

static void do_all(Session *session, CheckService service)
{
    for (guint i = 0; i < G_N_ELEMENTS(deeds); i++) {
        guint before = check_host_broken(session->host);
        CheckOutcome outcome = { 0 };

        deeds[i].run(session, CHECK_DOMAIN, &outcome);
        if (!outcome.call)
            continue;
        if (outcome.status == VIREO_FAIL && !outcome.message)
            check_fail("with host->%s failing, %s failed without an error", check_service_name(service), deeds[i].op);
        else if (outcome.status == VIREO_OK && deeds[i].must == service &&
                 check_host_broken(session->host) != before)
            check_fail("host->%s failed, and %s answered OK all the same", check_service_name(service), deeds[i].op);
    }
}

/* The service fails from the beginning, or once the driver runs. */
static void with_failing(const CheckTask *task, CheckService service, gboolean early)
{
    g_autofree char *folder = g_strdup_printf("%s-%s", check_service_name(service), early ? "early" : "late");
    g_autoptr(Session) session = session_new(task, folder);

    if (early)
        check_host_break(session->host, service);
    if (!session_try_start(session)) {
        if (early && !*check_host_last_log(session->host))
            check_fail("with host->%s failing, init failed and logged no reason", check_service_name(service));
        return;
    }
    check_host_break(session->host, service);
    if (session_open(session, NULL)) {
        if (session->space && task->define)
            do_all(session, service);
        session_close(session);
    }
    session_stop(session);
}

void check_services(const CheckTask *task)
{
    for (guint step = check_first_step(); step < (CHECK_N_SERVICES - 1) * 2; step++) {
        check_step(step);
        with_failing(task, CHECK_SERVICE_NONE + 1 + step / 2, step % 2 == 0);
    }
    check_note("a life each with state_save, state_drop, spawn, watch and timer failing%s",
               task->define ? "" : "; without --define, of an empty driver");
}

/* ---- kill ---- */

#define STAYS_OFF "vireo-check-off"
#define RUNS_ON   "vireo-check-on"

typedef enum { END_FINI, END_KILL } Ending;

typedef struct {
    const CheckTask *task;
    const char *folder;
    gboolean defines;
    Ending ending; /* by a kill: one is started before */
} Phase;

/* What a phase tells the process that forked it, in a file of its directory. */
static void tell(Session *session, const char *path)
{
    g_auto(GStrv) lines = check_host_published(session->host);
    g_autofree char *text = g_strjoinv("\n", lines);
    g_autofree char *whole = g_strdup_printf("%u %u\n%s", check_host_saves(session->host),
                                             check_host_detached(session->host), text);

    g_file_set_contents(path, whole, -1, NULL);
}

static void be_phase(const Phase *phase, const char *path)
{
    Session *session = session_new(phase->task, phase->folder);

    if (!session_begin(session))
        _exit(3);
    if (phase->defines) {
        CheckOutcome outcome;

        if (!session_define(session, STAYS_OFF, &outcome) || !session_define(session, RUNS_ON, &outcome)) {
            check_skip("a definition of the document failed: %s", outcome.message ? outcome.message : "no error");
            _exit(3);
        }
        if (phase->ending == END_KILL)
            session_start_domain(session, RUNS_ON, NULL);
    }
    tell(session, path);
    if (phase->ending == END_KILL)
        kill(getpid(), SIGKILL);
    session_stop(session);
    _exit(0);
}

/* A process that runs the driver for a while. What was published at its end, or NULL. */
static char *run_phase(const Phase *phase, guint *saves, guint *detached)
{
    g_autofree char *path = g_build_filename(check_dir(), "published", NULL);
    g_autofree char *text = NULL;
    pid_t pid;
    char *end;
    int status;

    g_unlink(path);
    pid = fork();
    if (pid == 0)
        be_phase(phase, path);
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
        return NULL;
    if (WIFSIGNALED(status) && !(phase->ending == END_KILL && WTERMSIG(status) == SIGKILL)) {
        g_autofree char *place = check_child_place();

        check_fail("signal %d (%s)%s, with state that an earlier process had saved", WTERMSIG(status),
                   strsignal(WTERMSIG(status)), place);
        return NULL;
    }
    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        check_fail("exited with status %d", WEXITSTATUS(status));
        return NULL;
    }
    end = strchr(text, '\n');
    if (saves)
        sscanf(text, "%u %u", saves, detached);
    return g_strdup(end + 1);
}

static char *line_of(const char *published, const char *name)
{
    g_autofree char *start = g_strdup_printf("'%s' ", name);
    g_auto(GStrv) lines = g_strsplit(published, "\n", -1);

    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(*line, start))
            return g_strdup(*line);
    return NULL;
}

/* strict: in the same state, too. */
static void compare(const char *before, const char *after, const char *name, const char *when, gboolean strict)
{
    g_autofree char *was = line_of(before, name);
    g_autofree char *is = line_of(after, name);

    if (was && !is)
        check_fail("%s nothing is published of the domain '%s', which was there", when, name);
    else if (was && strict && strcmp(was, is) != 0)
        check_fail("%s %s is published, and it was %s", when, is, was);
}

/* Whether a definition outlives a proper end at all. */
static gboolean keeps(const CheckTask *task, gboolean *answer)
{
    const Phase first = { task, "clean", TRUE, END_FINI }, second = { task, "clean", FALSE, END_FINI };
    guint saves = 0, detached = 0;
    g_autofree char *before = run_phase(&first, &saves, &detached);
    g_autofree char *after = before ? run_phase(&second, NULL, NULL) : NULL;
    g_autofree char *kept = after ? line_of(after, STAYS_OFF) : NULL;

    *answer = kept != NULL;
    if (after && !kept && saves)
        check_fail("it called host->state_save %u times, and after a fini and a new init what was defined is not "
                   "published", saves);
    return after != NULL;
}

void check_kill(const CheckTask *task)
{
    const Phase first = { task, "killed", TRUE, END_KILL }, again = { task, "killed", FALSE, END_KILL };
    g_autofree char *before = NULL;
    g_autofree char *once = NULL;
    g_autofree char *twice = NULL;
    guint saves = 0, detached = 0;
    gboolean kept;

    if (!task->define) {
        check_skip("no object to work on: give --define=FILE.xml");
        return;
    }
    if (!keeps(task, &kept))
        return;
    if (!kept) {
        check_skip("it keeps nothing: what was defined is gone after a fini");
        return;
    }
    before = run_phase(&first, &saves, &detached);
    once = before ? run_phase(&again, NULL, NULL) : NULL;
    twice = once ? run_phase(&again, NULL, NULL) : NULL;
    if (!twice)
        return;
    compare(before, once, STAYS_OFF, "after a kill", TRUE);
    compare(before, once, RUNS_ON, "after a kill", detached > 0);
    compare(once, twice, STAYS_OFF, "after the second kill", TRUE);
    compare(once, twice, RUNS_ON, "after the second kill", TRUE);
    check_note("killed twice; %u states saved, %u processes that outlive the daemon", saves, detached);
}
