/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vireo-driver-check: what its parts share. The program never links the module that it checks: each
 * check runs in a child process, which the parent ends when it takes too long. Whatever becomes of
 * the child is a finding of that check.
 */
#pragma once

#include <glib.h>

#include "loader/note.h"
#include "ops/catalogue.h"

/* What the command line says; read by the checks. */
typedef struct {
    char *file; /* absolute */
    char *uri, *config, *define, *man;
    guint seconds; /* how long one step may take */
    VireoNote *note; /* NULL when it cannot be read; note_error tells why */
    char *note_error;
} CheckTask;

typedef struct Check Check;

/* ---- in the child: what a check says ---------------------------------------------------------- */

/* Something is wrong: one sentence, which names the operation where there is one. */
void check_fail(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The same for another check, one that this one's run is for too. */
void check_fail_of(const char *check, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The check could not be made, or not in full. */
void check_skip(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* What was done, for the report: "12 operations, 40 calls". */
void check_note(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Names what the calling thread is about to run of the driver's, until check_leave. What happens
 * meanwhile (a signal, exit, no return) is reported with that name. */
void check_enter(const char *what);
void check_leave(void);
/* A check of many steps: the first step to take, which is not 0 after an earlier child has died; and
 * the step that is about to be taken. */
guint check_first_step(void);
void check_step(guint step);
/* A directory of this check's own, the working directory of the child. */
const char *check_dir(void);

/* Ends the check here and now, with threads that cannot be stopped. */
void check_child_abandon(void) G_GNUC_NORETURN;
/* " in domain_create" for a process that a check has forked and that died; g_free. */
char *check_child_place(void);

/* ---- checks ----------------------------------------------------------------------------------- */

typedef void (*CheckRun)(const CheckTask *task);

struct Check {
    const char *name;
    const char *about;
    CheckRun run;       /* NULL: what it finds is seen while the one that it needs runs */
    const char *needs;  /* the check without which this one makes no sense, or NULL */
    gboolean in_steps;  /* goes on with the next step when the child dies */
    gboolean uses_glib; /* runs threads of GLib, which ThreadSanitizer cannot follow */
};

extern const Check checks[];
extern const guint n_checks;

/* static.c: the file, without running any of it */
void check_manifest(const CheckTask *task);
void check_duplicates(const CheckTask *task);
void check_mandatory(const CheckTask *task);
void check_ids(const CheckTask *task);
void check_masks(const CheckTask *task);
void check_exports(const CheckTask *task);
void check_links(const CheckTask *task);
void check_page(const CheckTask *task);
/* life.c: the module, its init and fini, connections */
void check_load(const CheckTask *task);
void check_table(const CheckTask *task);
void check_init(const CheckTask *task);
void check_restart(const CheckTask *task);
void check_leaked_threads(const CheckTask *task);
void check_leaked_fds(const CheckTask *task);
void check_leaked_memory(const CheckTask *task);
void check_open(const CheckTask *task);
/* router.c: the real router with spies in place of the driver's functions */
void check_undeclared(const CheckTask *task);
void check_stripped(const CheckTask *task);
/* calls.c: every operation, on objects that are there and on some that are not; also for bogus, errors, results,
 * completion and publish */
void check_calls(const CheckTask *task);
void check_cancel(const CheckTask *task);
void check_documents(const CheckTask *task);
void check_trivial(const CheckTask *task);
/* stress.c */
void check_threads(const CheckTask *task);
/* state.c */
void check_events(const CheckTask *task);
void check_services(const CheckTask *task);
void check_kill(const CheckTask *task);
