/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of the daemon: opens a connection by URI, makes any call of the catalogue, receives
 * events, and moves streams and descriptors.
 *
 * Threads: a client may be used by any number of threads at once; their calls travel together and
 * the replies are matched, in whatever order they come. A stream belongs to one thread at a time.
 * There is no global state. Errors are VIREO_ERROR with the number that the daemon sent;
 * VIREO_ERR_SYSTEM_ERROR when the socket failed, VIREO_ERR_RPC when the peer broke the protocol.
 */
#pragma once

#include <glib.h>
#include <vireo/driver.h>
#include "ops/catalogue.h"
#include "ops/json.h"
#include "util/arena.h"
#include "util/error.h"

typedef struct VireoClient VireoClient;
typedef struct VireoStream VireoStream;

/* ---- connection ---- */

typedef enum {
    VIREO_CLIENT_READONLY = 1 << 0,
    VIREO_CLIENT_NO_OPEN = 1 << 1,   /* authenticate only: for calls that need no hypervisor */
    VIREO_CLIENT_KEEPALIVE = 1 << 2, /* lets the daemon ping, and close a link that is dead */
} VireoClientFlags;

/* Opens `uri`; NULL: VIREO_DEFAULT_URI, else LIBVIRT_DEFAULT_URI, else the daemon chooses.
 * socket, when not NULL, wins over the URI's `socket=` and over the well-known paths. Blocks.
 * NULL and error when it fails. Free with vireo_client_unref. */
VireoClient *vireo_client_open(const char *uri, const char *socket, VireoClientFlags flags,
                               GError **error);
/* Says goodbye to the daemon and ends the connection: calls under way fail. Idempotent. */
void vireo_client_close(VireoClient *client);

VireoClient *vireo_client_ref(VireoClient *client);
/* The last one closes. Not from an event handler of the same client. */
void vireo_client_unref(VireoClient *client);

/* The URI that is open, as the daemon knows it; "" with VIREO_CLIENT_NO_OPEN. */
const char *vireo_client_uri(VireoClient *client);
/* The path of the socket in use. */
const char *vireo_client_socket(VireoClient *client);
/* Whether the connection still stands. */
gboolean vireo_client_is_alive(VireoClient *client);

/* ---- calls ---- */

typedef struct {
    const VireoOp *op;
    gconstpointer args;  /* vireo_<op>_args; NULL when the operation has none */
    gpointer ret;        /* vireo_<op>_ret, overwritten; NULL when it has none */
    VireoArena *arena;   /* what ret and remote point to; NULL only when both are */
    const int *fds;      /* sent with the call; stay the caller's */
    guint n_fds;
    int *reply_fds;      /* room for max_reply_fds; what arrives is the caller's to close */
    guint max_reply_fds;
    guint n_reply_fds;   /* out */
    VireoStream **stream; /* out: for operations that open one */
    vireo_error *remote; /* out: the daemon's whole error, zeroed when there is none */
} VireoClientCall;

/* Makes a call and waits for its reply. */
gboolean vireo_client_call_full(VireoClient *client, VireoClientCall *call, GError **error);
gboolean vireo_client_call(VireoClient *client, const VireoOp *op, gconstpointer args,
                           VireoArena *arena, gpointer ret, GError **error);

/* The same with checked types: VIREO_CALL(client, domain_get_state, arena, &error, &args, &ret);
 * args and ret are left out where the operation has none. */
#define VIREO_CALL(client, name, arena, error, ...)                                             \
    ((void)sizeof(((vireo_##name##_fn *)NULL)(NULL, NULL, ##__VA_ARGS__)),                      \
     vireo_client_call_parts(client, VIREO_OP_##name, arena, error,                             \
                             ((const void *const[]){ NULL, ##__VA_ARGS__ }) + 1))
gboolean vireo_client_call_parts(VireoClient *client, guint32 op, VireoArena *arena, GError **error,
                                 const void *const *parts);

/* ---- events ---- */

/* event is NULL, once, when the connection has ended. msg: vireo_<event>_msg, valid during the call. */
typedef void (*VireoClientEventFunc)(VireoClient *client, const VireoOp *event, gconstpointer msg,
                                     gpointer opaque);

/* Calls func on the thread that iterates `context` (NULL: the default one) for each message of that
 * kind, in order; event NULL: for all. It only listens: asking the daemon to send is a call like
 * any other, best made afterwards. Returns an id, never 0. */
guint vireo_client_add_handler(VireoClient *client, GMainContext *context, const VireoOp *event,
                               VireoClientEventFunc func, gpointer opaque, GDestroyNotify destroy);
void vireo_client_remove_handler(VireoClient *client, guint id);

/* ---- streams ---- */

/* Sends all of data; waits while the daemon does not take it. */
gboolean vireo_stream_send(VireoStream *stream, gconstpointer data, gsize size, GError **error);
/* Skips so many bytes; only when the call asked for a sparse stream. */
gboolean vireo_stream_send_hole(VireoStream *stream, gint64 length, GError **error);
/* Waits for data: the number of bytes, 0 at the end, -1 on error. With hole not NULL a hole comes
 * as 0 with its length there, otherwise as zero bytes. */
gssize vireo_stream_recv(VireoStream *stream, gpointer buffer, gsize size, gint64 *hole,
                         GError **error);
/* A descriptor that polls readable while vireo_stream_recv would not wait. The stream's. */
int vireo_stream_fd(VireoStream *stream);
/* Ends the stream in good order: TRUE when the daemon confirms that everything arrived. */
gboolean vireo_stream_finish(VireoStream *stream, GError **error);
/* Gives the stream up. */
gboolean vireo_stream_abort(VireoStream *stream, GError **error);
/* Gives it up, too, when it has not ended. NULL is fine. */
void vireo_stream_free(VireoStream *stream);

/* ---- references ---- */

/* A domain by name, UUID, or id of a running one. */
gboolean vireo_client_find_domain(VireoClient *client, const char *text, VireoArena *arena,
                                  vireo_domain_ref *ret, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoClient, vireo_client_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoStream, vireo_stream_free)
