/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One request: who, what, until when, what came of it. Made by the router, seen by drivers as an
 * opaque vireo_call. Reference counted; the last reference frees arguments, result and descriptors.
 */
#pragma once

#include <glib.h>
#include "ops/catalogue.h"
#include "util/arena.h"

/* Answers host->identity for whoever made the call; both may be NULL. */
typedef const char *(*VireoIdentityGet)(gconstpointer identity, const char *what);

typedef void (*VireoCallDone)(vireo_call *call, int status, gpointer opaque);
/* Told that the call is cancelled, on the canceller's thread; must not block. */
typedef void (*VireoCallCancelled)(vireo_call *call, gpointer opaque);
typedef void (*VireoCallProgress)(vireo_call *call, guint64 done, guint64 total, const char *what);

struct vireo_call {
    gint refs;
    const VireoOp *op; /* what the driver is asked; derived calls carry the operation they derive from */
    VireoArena *arena;
    gpointer args, ret;

    VireoIdentityGet identity_get;
    gconstpointer identity;
    gint64 deadline; /* monotonic microseconds, 0: none */
    gint cancelled;  /* atomic */
    VireoCallCancelled on_cancel; /* atomic; NULL: the driver asks by itself */
    gpointer cancel_opaque;       /* set before on_cancel */
    VireoCallProgress on_progress; /* NULL: the log */
    gpointer on_progress_opaque;
    gboolean relayed;   /* another core has taken it, and does to the result what is done for clients */
    gboolean may_block; /* the thread that hands it to the router may run the driver's function itself */

    gint error_code; /* 0: none recorded */
    char *error_message;

    const int *fds; /* that came with the call, borrowed */
    guint n_fds;
    GArray *reply_fds; /* of int, owned; NULL: none */
    gint stream_fd;    /* owned; -1: none */
    gint stream_how;
    guint64 stream_offset, stream_length;

    const char *driver; /* for messages; static */
    gint finished;      /* atomic */
    VireoCallDone done;
    gpointer opaque;
};

/* The arena becomes the call's. */
vireo_call *vireo_call_new(const VireoOp *op, VireoArena *arena, gpointer args);
vireo_call *vireo_call_ref(vireo_call *call);
void vireo_call_unref(vireo_call *call);

/* Records the first error of the call and returns VIREO_FAIL. */
int vireo_call_fail(vireo_call *call, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
int vireo_call_vfail(vireo_call *call, int code, const char *format, va_list args)
    G_GNUC_PRINTF(3, 0);
gboolean vireo_call_is_cancelled(vireo_call *call);
/* Asks whoever carries it out to give up. The caller holds a reference. */
void vireo_call_cancel(vireo_call *call);
/* Ends the call: done runs, once; a second end is ignored and answers FALSE. */
gboolean vireo_call_finish(vireo_call *call, int status);
