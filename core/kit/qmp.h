/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kit/json.h"

G_BEGIN_DECLS

/* A client of QEMU's machine protocol over a stream socket (or a pair of pipes).
 *
 * Reading happens in the given GMainContext and never blocks it. Commands may be sent from any
 * thread, several at a time; the negotiation (greeting, qmp_capabilities) is done by the client and
 * commands may be sent at once, they wait their turn in the socket. One connection, one object:
 * after the end (EOF, garbage, an oversized message, vireo_qmp_close) every pending and later
 * command fails with VIREO_QMP_ERROR_CLOSED and the text of the reason. */

typedef struct VireoQmp VireoQmp;

typedef enum {
    VIREO_QMP_ERROR_COMMAND,   /* QEMU refused the command; the text is QEMU's */
    VIREO_QMP_ERROR_NOT_FOUND, /* the same, class CommandNotFound */
    VIREO_QMP_ERROR_DEVICE,    /* the same, class DeviceNotFound */
    VIREO_QMP_ERROR_CLOSED,    /* the connection has ended */
    VIREO_QMP_ERROR_TIMEOUT,   /* the deadline passed; the command may still take effect */
    VIREO_QMP_ERROR_CANCELLED, /* the caller's cancel function said so; may still take effect */
    VIREO_QMP_ERROR_PROTOCOL,  /* an answer that makes no sense */
} VireoQmpError;
#define VIREO_QMP_ERROR (vireo_qmp_error_quark())
GQuark vireo_qmp_error_quark(void);

/* Runs in the context's thread; must not block. ret/data are only valid during the call. */
typedef void (*VireoQmpReply)(VireoQmp *qmp, JsonNode *ret, const GError *error, void *opaque);

typedef struct {
    /* data: may be NULL; usec: QEMU's clock, microseconds since 1970. */
    void (*event)(VireoQmp *qmp, const char *name, JsonObject *data, gint64 usec, void *opaque);
    /* Called once, unless the end came from vireo_qmp_close. */
    void (*closed)(VireoQmp *qmp, const GError *why, void *opaque);
    GDestroyNotify free_opaque; /* when the last reference is gone */
} VireoQmpCallbacks;

/* fd: a connected stream socket, taken over (closed at the end) and made non-blocking.
 * context: where reading and the callbacks run; the client holds a reference. */
VireoQmp *vireo_qmp_new(GMainContext *context, int fd, const VireoQmpCallbacks *callbacks,
                        void *opaque);
/* Connects to a listening socket; never waits: a full or missing listener is an error at once. */
VireoQmp *vireo_qmp_connect(GMainContext *context, const char *path,
                            const VireoQmpCallbacks *callbacks, void *opaque, GError **error);
VireoQmp *vireo_qmp_ref(VireoQmp *qmp);
void vireo_qmp_unref(VireoQmp *qmp);
/* Ends the connection; pending commands fail. Callbacks already running may still finish. */
void vireo_qmp_close(VireoQmp *qmp);
gboolean vireo_qmp_is_open(VireoQmp *qmp);
/* QEMU's version from the greeting: major * 1000000 + minor * 1000 + micro, 0 before it came. */
unsigned vireo_qmp_version(VireoQmp *qmp);

/* Goes up with every command that was sent, but for those that cannot change what the machine is made of: queries, and
 * what stops, moves or saves the guest. No two connections ever have the same number. */
guint64 vireo_qmp_changes(VireoQmp *qmp);

/* Sends a command. args: taken, may be NULL. fd: sent along (for getfd, add-fd), borrowed, or -1.
 * reply: called exactly once (also when the connection is closed already, then from this call);
 * NULL: the answer is dropped. */
void vireo_qmp_send(VireoQmp *qmp, const char *command, JsonObject *args, int fd,
                    VireoQmpReply reply, void *opaque);

/* How long a blocking call may take. cancelled is asked about ten times a second, may be NULL. */
typedef struct {
    gint64 timeout_ms; /* <= 0: no limit */
    int (*cancelled)(void *opaque);
    void *opaque;
} VireoQmpWait;

/* Blocking forms for worker threads; never call them in the context's thread. args: taken.
 * wait may be NULL (30 s). Returns the answer, owned by the caller, or NULL with error set. */
JsonNode *vireo_qmp_call(VireoQmp *qmp, const char *command, JsonObject *args,
                         const VireoQmpWait *wait, GError **error);
JsonNode *vireo_qmp_call_fd(VireoQmp *qmp, const char *command, JsonObject *args, int fd,
                            const VireoQmpWait *wait, GError **error);
/* For commands whose answer is not interesting. */
gboolean vireo_qmp_run(VireoQmp *qmp, const char *command, JsonObject *args,
                       const VireoQmpWait *wait, GError **error);

/* Several commands sent at once, answers in the order of sending: saves a round trip per command.
 * The error is the first one, with the name of the command in front. */
typedef struct VireoQmpBatch VireoQmpBatch;
VireoQmpBatch *vireo_qmp_batch_new(VireoQmp *qmp);
void vireo_qmp_batch_add(VireoQmpBatch *batch, const char *command, JsonObject *args);
/* Waits for all. FALSE: one of them failed. */
gboolean vireo_qmp_batch_wait(VireoQmpBatch *batch, const VireoQmpWait *wait, GError **error);
/* The answer of command number index, owned by the batch; NULL when it failed. */
JsonNode *vireo_qmp_batch_get(VireoQmpBatch *batch, guint index);
void vireo_qmp_batch_free(VireoQmpBatch *batch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoQmp, vireo_qmp_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoQmpBatch, vireo_qmp_batch_free)

G_END_DECLS
