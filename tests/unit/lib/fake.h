/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A daemon of a few lines that says, packet by packet, what a test wants said. */
#pragma once

#include "lib/vireo_client.h"

typedef struct {
    guint32 program, proc, type, serial, status;
    guint8 *payload;
    guint32 size;
} FakePacket;

/* Runs `serve` with each connection's descriptor, on a thread of its own. */
typedef struct Fake Fake;
Fake *fake_new(void (*serve)(int fd));
const char *fake_socket(Fake *fake);
/* Waits until `serve` has returned. */
void fake_free(Fake *fake);

#define FAKE_REMOTE 0x20008086u
#define FAKE_KEEPALIVE 0x6b656570u

/* FALSE: the client has gone. */
gboolean fake_read(int fd, FakePacket *packet);
void fake_send(int fd, guint32 program, guint32 proc, guint32 type, guint32 serial, guint32 status,
               const void *payload, gsize size);
/* The same with the encoding of a struct. */
void fake_send_struct(int fd, const FakePacket *call, guint32 type, guint32 status,
                      const VireoWireType *kind, gconstpointer value);
void fake_reply(int fd, const FakePacket *call, gconstpointer ret);
void fake_error(int fd, const FakePacket *call, int code, int domain, const char *message);
/* Reads a call, which must be of that operation, and decodes its arguments. */
void fake_expect(int fd, FakePacket *packet, guint32 op, VireoArena *arena, gpointer args);
/* The opening of every connection. */
void fake_welcome(int fd);
int fake_receive_fd(int fd);
void fake_send_fd(int fd, int what);
