/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

struct vireo_host;
struct vireo_call;

/* A driver's end of a stream with VIREO_STREAM_CONFIRM (ABI 1.1): for what comes from, or goes to, somewhere that can
 * fail in the middle. Of one thread at a time; all functions block until the client has moved on, and fail once it
 * has gone. */
typedef struct VireoFeed VireoFeed;

/* *core: the other end, for host->stream(). stop: ends all waiting; may be NULL. */
VireoFeed *vireo_feed_new(GCancellable *stop, int *core, GError **error);
/* To the client: bytes, a hole. */
gboolean vireo_feed_send(VireoFeed *feed, const void *data, gsize len, GError **error);
gboolean vireo_feed_send_hole(VireoFeed *feed, guint64 length, GError **error);
/* From the client; holes come as zeros. 0: that was all; -1: it has gone. */
gssize vireo_feed_receive(VireoFeed *feed, void *data, gsize len, GError **error);
/* Whether the client has gone: asked by who waits for something else. */
gboolean vireo_feed_is_broken(VireoFeed *feed);
/* Says how it ended, and frees. code: an error's number and its words; 0: all is well. */
void vireo_feed_end(VireoFeed *feed, int code, const char *text);

/* ---- those of a server: each has a thread of its own ------------------------------------- */

typedef struct VireoFeeds VireoFeeds;

typedef struct {
    /* In that thread: moves everything. An error's number and its words, which the caller frees; 0: all is well. */
    int (*move)(VireoFeed *feed, void *opaque, char **text);
    /* Lets go of what it is about, in any case, before or after. */
    void (*free)(void *opaque);
} VireoFeedWork;

/* name: of the threads. stop: ends all of them. */
VireoFeeds *vireo_feeds_new(const char *name, GCancellable *stop);
/* Waits for them, when stop has been cancelled, and frees. NULL is fine. */
void vireo_feeds_free(VireoFeeds *feeds);
/* The stream of a call, whose status it returns. how: as of host->stream(); such a stream is always confirmed. Takes
 * opaque. */
int vireo_feeds_start(VireoFeeds *feeds, const struct vireo_host *host, struct vireo_call *call, int how,
                      const VireoFeedWork *work, void *opaque);

G_END_DECLS
