/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server with a handler of its own on a thread of its own, and a client that speaks raw bytes. */
#pragma once

#include <glib.h>

#include "rpc/rpc.h"

/* What the test server does, by procedure number of the remote program. */
enum {
    PROC_ECHO = 1,        /* an empty reply at once; descriptors come back */
    PROC_KEEP = 2,        /* kept until fixture_answer */
    PROC_STREAM = 3,      /* replies and joins the fixture's stream descriptor */
    PROC_VERSION = 4,     /* a reply with a result */
    PROC_CLOSE = 5,       /* replies and closes */
    PROC_EVENT = 6,       /* an event and a reply */
    PROC_LATE_STREAM = 7, /* replies from a worker, which joins the stream a while later */
    PROC_TEXT = 8, /* a reply with as many bytes of text as the first word of the payload says */
};

typedef struct {
    char *dir, *path;
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    VireoRpcServer *server;
    GMutex lock;
    GCond cond;
    GPtrArray *kept; /* of Kept */
    guint opened, closed, calls;
    guint64 call_bytes;
    GArray *procs;
    int stream_fd, stream_how;
    gboolean stream_dup; /* each stream gets a duplicate */
    guint64 stream_offset, stream_length;
    guint streams_done;
    char *stream_error;
    gboolean authenticate; /* new clients at once */
    gboolean keepalive;
} Fixture;

Fixture *fixture_new(const VireoRpcLimits *limits);
void fixture_free(Fixture *fixture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

int fixture_connect(Fixture *fixture);
/* Answers the kept call of that serial. */
void fixture_answer(Fixture *fixture, guint32 serial);
void fixture_answer_all(Fixture *fixture);
/* Waits (5 s at most, else the test fails) until *value is `want`. */
void fixture_wait(Fixture *fixture, guint *value, guint want);
/* Runs fn on the server's thread and waits for it. */
void fixture_run(Fixture *fixture, void (*fn)(Fixture *fixture));
guint fixture_n_kept(Fixture *fixture);

typedef struct {
    VireoRpcHeader header;
    GByteArray *payload;
    guint n_fds;
    int fds[32];
    gboolean eof;
} Packet;

void put_u32(GByteArray *bytes, guint32 value);
guint32 get_u32(const guint8 *at);
/* A packet as bytes. */
GByteArray *packet_make(guint32 program, gint32 proc, guint32 type, guint32 serial, guint32 status,
                        const void *payload, gsize size);
GByteArray *call_make(gint32 proc, guint32 serial);
void send_bytes(int fd, GByteArray *bytes); /* and frees them */
void send_call(int fd, gint32 proc, guint32 serial);
void send_stream(int fd, gint32 proc, guint32 serial, guint32 status, const void *data, gsize size);
void send_one_fd(int socket, int fd);
Packet receive(int fd);
void packet_clear(Packet *packet);
/* Receives one packet and checks its type, serial and status; the payload is dropped. */
void expect(int fd, guint32 type, guint32 serial, guint32 status);
void expect_error(int fd, guint32 type, guint32 serial, guint32 code, const char *text);
void expect_eof(int fd);
/* Nothing arrives for so many milliseconds. */
void expect_silence(int fd, int milliseconds);
