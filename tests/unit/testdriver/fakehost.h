/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A host of one driver, for tests: everything the driver hands over is kept where the test can
 * look. Needs nothing of the core but the ABI header. */

#include <glib.h>
#include <vireo/driver.h>

typedef struct FakeHost FakeHost;

/* What was published last of one object. */
typedef struct {
    guint klass;
    char *name, *os_type;
    guint8 uuid[16];
    int id, state, reason;
    guint flags, vcpus;
    guint64 max_memory, memory;
} FakeObject;

typedef struct {
    guint flags;
    char *name, *parent;
    gint64 creation;
    int state;
} FakeNode;

/* Runs the driver's init; NULL when it fails. */
FakeHost *fake_host_new(const struct vireo_driver *driver);
void fake_host_free(FakeHost *host);

/* One call. The result's memory belongs to the call. */
struct vireo_call {
    FakeHost *host;
    int status, code;
    char *message;
    int cancelled; /* set atomically to cancel it */
    GPtrArray *memory;
    int stream_fd, stream_how, reply_fd; /* -1: none; closed with the call */
    int fds[8];
    guint n_fds;
    GMutex lock;
    GCond ended;
    gboolean pending, complete;
    guint completions;
};

vireo_call *fake_call_new(FakeHost *host);
void fake_call_free(vireo_call *call);
/* Runs an operation by name and waits for its end; args and ret NULL when it has none. Returns the
 * status; code and message are the call's. g_error when the driver has no such row. */
int fake_call_run(vireo_call *call, void *conn, const char *op, const void *args, void *ret);
/* The driver's row, or NULL. */
const struct vireo_op *fake_host_row(FakeHost *host, const char *op);
/* The same without keeping the result: fresh call, *code (may be NULL) is the error's. */
int fake_run(FakeHost *host, void *conn, const char *op, const void *args, void *ret, int *code);

/* A connection, or NULL. *space (may be NULL): where its objects are. */
void *fake_open(FakeHost *host, const char *uri, vireo_space **space, int *code);
void fake_close(FakeHost *host, void *conn);

/* NULL when nothing of that name is published. */
const FakeObject *fake_object(vireo_space *space, guint klass, const char *name);
guint fake_object_count(vireo_space *space, guint klass);
/* Nodes of the tree published last, FakeNode; may be NULL. */
GPtrArray *fake_tree(vireo_space *space, guint klass, const guint8 uuid[16]);
const FakeNode *fake_node(vireo_space *space, guint klass, const guint8 uuid[16], const char *name);
/* Events since the last time, as text "107:2/0 reboot 169": explicit lifecycle events of publishing
 * as "EVENT/DETAIL", others as their number; blank separated. Caller frees. */
char *fake_events(vireo_space *space);
/* Lines logged as warnings or errors since the last time. Caller frees. */
char *fake_log(FakeHost *host);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeHost, fake_host_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vireo_call, fake_call_free)
