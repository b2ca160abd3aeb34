/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

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

G_END_DECLS
