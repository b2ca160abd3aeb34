/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The near end: a driver somewhere else, as the router's backend. It outlives the channel. While
 * there is none, calls fail with the reason; when there is one again, open connections are opened
 * again with who they belong to, and what the driver publishes is compared with what it published
 * before.
 */
#pragma once

#include "far/channel.h"
#include "host/call.h"
#include "host/host.h"

typedef struct VireoFarClient VireoFarClient;

/* How a channel ended. */
typedef struct {
    const char *violation; /* the rule it broke: "sends ..."; it was cut off. NULL: none */
    const char *goodbye;   /* what it said itself; NULL: nothing */
    guint stage;           /* with goodbye: 0 or a VireoFarStage */
    const char *during;    /* what it was doing: "during domain-create of 'vm1'"; NULL: nothing */
} VireoFarLoss;

/* On the client's own thread. */
typedef struct {
    /* The far end has said who it is; FALSE with the reason when it is not welcome. */
    gboolean (*hello)(VireoFarClient *client, const VireoFarHello *hello, gpointer opaque,
                      GError **error);
    /* Everything published so far is here; calls are taken. */
    void (*ready)(VireoFarClient *client, gpointer opaque);
    /* The channel has ended. Returns what callers are told until the next attach; may take a
     * moment. */
    char *(*lost)(VireoFarClient *client, const VireoFarLoss *loss, gpointer opaque);
} VireoFarClientHandler;

/* core: where the driver's spaces are mirrored; its name is the driver's in messages. All given
 * must outlive the client. */
VireoFarClient *vireo_far_client_new(vireo_core *core, const VireoFarClientHandler *handler,
                                     gpointer opaque);
/* Ends the channel for good, and waits until everybody who waits for an answer has one. */
void vireo_far_client_stop(VireoFarClient *client);
/* Stops it first. Connections must be closed, or be closed by nobody. */
void vireo_far_client_free(VireoFarClient *client);

/* Talks over a connected socket, which is taken. Not on the client's own thread, and not before
 * `lost` of the one before. */
void vireo_far_client_attach(VireoFarClient *client, int fd);
/* Ends the channel, if there is one; `lost` follows. Any thread. */
void vireo_far_client_cut(VireoFarClient *client);

/* Asks the far end for a sign of life, unless it owes one. FALSE: it has not answered the one before. Any thread, one at a
 * time. */
gboolean vireo_far_client_ping(VireoFarClient *client);

/* How many connections are open, or wait to be opened again. Any thread. */
guint vireo_far_client_n_conns(VireoFarClient *client);

/* The VireoBackendCall of the driver; `self` is the client. */
int vireo_far_client_call(void *handle, vireo_call *call);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoFarClient, vireo_far_client_free)
