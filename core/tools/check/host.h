/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host of one driver that lets everything be looked at: what was published, what each call ended
 * with, what is still watched. Its threads and locks are those of libc, so that ThreadSanitizer can
 * follow them. State, directories, settings and processes are those of the real host.
 */
#pragma once

#include <pthread.h>

#include "ops/catalogue.h"

typedef struct CheckHost CheckHost;

/* What was published last of one object. */
typedef struct {
    guint klass;
    char *name;
    guint8 uuid[16];
    gint32 id, state;
    guint32 flags;
} CheckObject;

/* Services that can be told to fail. */
typedef enum {
    CHECK_SERVICE_NONE,
    CHECK_SERVICE_STATE_SAVE,
    CHECK_SERVICE_STATE_DROP,
    CHECK_SERVICE_SPAWN,
    CHECK_SERVICE_WATCH,
    CHECK_SERVICE_TIMER,
    CHECK_N_SERVICES
} CheckService;

/* Files go below `dir`; settings are read from `config`/NAME.conf (NULL: none). */
CheckHost *check_host_new(const char *dir, const char *config, const char *name);
/* Ends the I/O thread. The driver's fini has run. */
void check_host_free(CheckHost *host);
const struct vireo_host *check_host_services(void);
vireo_core *check_host_core(CheckHost *host);

/* From now on the service fails; how often it did. */
void check_host_break(CheckHost *host, CheckService service);
guint check_host_broken(CheckHost *host);
const char *check_service_name(CheckService service);
/* How often state was saved. */
guint check_host_saves(CheckHost *host);
/* How many processes were started to outlive the daemon. */
guint check_host_detached(CheckHost *host);
/* What the driver logged last as an error or a warning; "" when nothing. */
const char *check_host_last_log(CheckHost *host);
/* Waits until nothing deferred runs, as the daemon does before fini. */
void check_host_drain(CheckHost *host);
/* Watches and timers that are set. */
guint check_host_n_sources(CheckHost *host);
/* Breaches of the contract of publish, withdraw, publish_tree and event: char *, in order. */
GPtrArray *check_host_complaints(CheckHost *host);
/* Completions that came when their call had ended: char *, the operation. Calls that were cancelled are
 * kept apart from the others. */
GPtrArray *check_host_late(CheckHost *host, gboolean cancelled);

/* A copy of what is published in a space; FALSE when it is not. name NULL: any of the class. Clear
 * with check_object_clear. */
gboolean check_object_find(vireo_space *space, guint klass, const char *name, CheckObject *ret);
void check_object_clear(CheckObject *object);
/* "domain vm1 running persistent", sorted; free with g_strfreev. uuids included. */
char **check_host_published(CheckHost *host);

/* ---- calls ---- */

enum { CHECK_HANGS = -100 }; /* a status: pending, and never completed */

/* Result of a call; memory lives until the call is freed. */
typedef struct {
    vireo_call *call;
    int status;  /* enum vireo_status as returned or completed, CHECK_HANGS, or whatever it was */
    int returned; /* by the function itself */
    int code;
    const char *message; /* NULL: host->fail was not called */
    gpointer args, ret;
} CheckOutcome;

/* A call with zeroed arguments and result. */
vireo_call *check_call_new(CheckHost *host, const VireoOp *op);
void check_call_free(vireo_call *call); /* NULL allowed */
gpointer check_call_args(vireo_call *call);
void *check_call_alloc(vireo_call *call, gsize size);
void check_call_cancel(vireo_call *call); /* unless it has ended */
/* Runs it on the calling thread and waits, at most `milliseconds`, for its completion. */
void check_call_run(vireo_call *call, const struct vireo_op *row, void *conn, guint milliseconds,
                    CheckOutcome *outcome);
/* How often it was completed so far. */
guint check_call_completions(vireo_call *call);
