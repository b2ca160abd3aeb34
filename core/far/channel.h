/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between two cores over a UNIX socket of type SEQPACKET: the kernel keeps the boundaries
 * and the descriptors of each, and wakes one of several readers. What is too large for a packet
 * travels in a sealed memory file. Whatever the other end writes, receiving it is safe; what it
 * means is for the reader to check.
 */
#pragma once

#include <glib.h>
#include "far/message.h"
#include "util/arena.h"

#define VIREO_FAR_FDS_MAX  64
#define VIREO_FAR_BODY_MAX (64u << 20) /* bytes of a body */

typedef struct VireoFarChannel VireoFarChannel;

typedef struct {
    guint kind; /* a VireoFarKind, or garbage */
    guint32 serial, id;
    const guint8 *body; /* until the next receive */
    gsize size;
    int fds[VIREO_FAR_FDS_MAX]; /* closed by the next receive: set to -1 what is kept */
    guint n_fds;
    guint8 *buffer, *large; /* the channel's own */
} VireoFarMessage;

/* Two connected sockets for a channel, close-on-exec. FALSE with errno. */
gboolean vireo_far_socketpair(int fds[2]);

/* Takes the socket. */
VireoFarChannel *vireo_far_channel_new(int fd);
VireoFarChannel *vireo_far_channel_ref(VireoFarChannel *channel);
void vireo_far_channel_unref(VireoFarChannel *channel); /* NULL allowed */

/* Sends, or keeps for later when the other end does not read; never blocks. Messages of one thread
 * stay in order. The descriptors are borrowed. FALSE when the channel is cut, or has just been
 * because the other end is too far behind. */
gboolean vireo_far_channel_send(VireoFarChannel *channel, VireoFarKind kind, guint32 serial,
                                guint32 id, const GByteArray *body, const int *fds, guint n_fds);
/* The same for a body that is one struct. FALSE also when it cannot be encoded. */
gboolean vireo_far_channel_tell(VireoFarChannel *channel, VireoFarKind kind, guint32 serial,
                                guint32 id, const VireoWireType *type, gconstpointer body);

/* Blocks for the next message. Several threads may, each with a message of its own. FALSE at the
 * end: without an error when the other end has gone, with one when it sent what is no message. */
gboolean vireo_far_channel_receive(VireoFarChannel *channel, VireoFarMessage *message,
                                   GError **error);
void vireo_far_message_clear(VireoFarMessage *message);
/* Decodes the body into the struct (zeroed by this), memory from the arena. *rest, when not NULL,
 * gets what follows; otherwise nothing may. */
gboolean vireo_far_message_read(const VireoFarMessage *message, const VireoWireType *type,
                                VireoArena *arena, gpointer out, gsize *rest, GError **error);

/* Ends the channel for both sides and wakes whoever receives; any thread, any number of times. */
void vireo_far_channel_cut(VireoFarChannel *channel);

gboolean vireo_far_channel_is_cut(VireoFarChannel *channel);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoFarChannel, vireo_far_channel_unref)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VireoFarMessage, vireo_far_message_clear)
