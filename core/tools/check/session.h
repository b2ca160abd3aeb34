/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver under check on a host of its own: started, connected, with objects made of --define. */
#pragma once

#include "tools/check/check.h"
#include "tools/check/host.h"
#include "tools/check/run.h"

typedef struct {
    const CheckTask *task;
    const struct vireo_driver *driver;
    CheckHost *host;
    char *scheme; /* the first one */
    char *uri;    /* of the last session_open */
    gboolean running; /* init has run, fini has not */
    void *self, *conn;
    vireo_space *space; /* of that connection; may be NULL */
} Session;

/* Links the module into this process; NULL when the entry function has none. Ends the process when it
 * cannot be linked: check 'load' says why. */
const struct vireo_driver *session_load(const CheckTask *task);

/* Not started yet; its files lie in `folder` of the check's own directory. */
Session *session_new(const CheckTask *task, const char *folder);
void session_free(Session *session); /* NULL allowed; stops it when it runs */
/* Runs init; FALSE after check_fail. */
gboolean session_start(Session *session);
/* The same without a word of what went wrong. */
gboolean session_try_start(Session *session);
void session_stop(Session *session);

/* Opens the URI of the command line, or the first likely one that opens. Quiet; outcome may be NULL,
 * its message lives as long as the session. */
gboolean session_open(Session *session, CheckOutcome *outcome);
gboolean session_open_uri(Session *session, const char *uri, CheckOutcome *outcome);
void session_close(Session *session);
/* All of it, or FALSE after check_skip. */
gboolean session_begin(Session *session);

/* The driver's row, or NULL. */
const struct vireo_op *session_row(const Session *session, guint32 id);
/* One call with ready arguments (NULL: zeroes), copied on the surface; free outcome->call. */
void session_call(Session *session, guint32 id, gconstpointer args, CheckOutcome *outcome);

/* ---- domains ---- */

/* Whether domains can be defined: the operation, and a document. Says so by check_skip. */
gboolean session_can_define(const Session *session);
/* Defines the document under that name with a uuid made of it. */
gboolean session_define(Session *session, const char *name, CheckOutcome *outcome);
gboolean session_start_domain(Session *session, const char *name, CheckOutcome *outcome);
gboolean session_destroy_domain(Session *session, const char *name, CheckOutcome *outcome);
gboolean session_undefine(Session *session, const char *name, CheckOutcome *outcome);
/* A domain of that name goes, if there is one: where domains live somewhere else, they outlive a check. */
void session_sweep(Session *session, const char *name);
/* Defined and, if wanted and possible, running; whatever it was before. FALSE when that fails. */
gboolean session_prepare(Session *session, const char *name, gboolean running);
/* FALSE when no domain of that name is published. */
gboolean session_domain(Session *session, const char *name, vireo_domain_ref *ret);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)
/* Two encoded results; an operation without one has 0 bytes. */
gboolean check_same_answer(const GByteArray *a, const GByteArray *b);
