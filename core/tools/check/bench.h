/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Host and router in this process, and calls on them: for tests, and for checks of the router. */

#include "router/router.h"

typedef struct {
    char *dir;
    VireoHostDirs dirs;
    VireoWorkers *workers;
    VireoEventHub *hub;
    VireoHost *host;
    VireoRouter *router;
} Bench;

Bench *bench_new(void);
void bench_free(Bench *bench);
/* Starts a driver and makes it known. trouble: why it takes no calls, or NULL. */
void bench_add(Bench *bench, const struct vireo_driver *driver, VireoBackendTrouble trouble);
/* The struct of a module file; the file is never unlinked from the process. */
const struct vireo_driver *bench_load(const char *path);

/* What became of a call. */
typedef struct {
    int status, code;
    char *message;
    gpointer ret; /* lives until the next call of this struct */
    vireo_call *call;
} Outcome;

/* Carries out a call and waits for its end. fill writes the arguments; they are zeroed, with every
 * string that must not be NULL set to "x". */
typedef void (*BenchFill)(const VireoOp *op, gpointer args, VireoArena *arena,
                          gconstpointer opaque);
void bench_call(VireoConn *conn, const VireoOp *op, BenchFill fill, gconstpointer opaque,
                Outcome *outcome);
/* The same with ready arguments (NULL: none), copied on the surface. */
gpointer bench_run(VireoConn *conn, guint32 op, gconstpointer args, Outcome *outcome);
void outcome_clear(Outcome *outcome);

VireoConn *bench_open(Bench *bench, const char *uri, gboolean readonly);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outcome, outcome_clear)
