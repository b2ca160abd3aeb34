/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two cores tell each other about one driver: the near one, whose clients call, and the far
 * one, in whose process the driver is. Both directions share one channel (channel.h).
 *
 * A message is a kind, a serial, an id and a body: the kind's struct below in XDR, and behind it,
 * for calls, replies and events, the struct of the operation itself as the catalogue describes it.
 *
 * The far end begins: HELLO, SYNC_BEGIN, whatever is published, SYNC_END. From then on it takes
 * OPEN and CALL. What an operation published is sent before its reply.
 */
#pragma once

#include <glib.h>
#include "ops/catalogue.h"

#define VIREO_FAR_PROTOCOL 3 /* both ends must have the same */

typedef enum {
    /* far to near */
    VIREO_FAR_HELLO = 1,
    VIREO_FAR_SYNC_BEGIN, /* no body */
    VIREO_FAR_SYNC_END,   /* no body: all that is published has been told; calls are taken */
    VIREO_FAR_SPACE,      /* id: the space's number on this channel, from 1 */
    VIREO_FAR_PUBLISH,    /* id: space; body: struct vireo_object */
    VIREO_FAR_WITHDRAW,   /* id: space */
    VIREO_FAR_TREE,       /* id: space */
    VIREO_FAR_EVENT,      /* id: enum vireo_event_id; the message follows the body */
    VIREO_FAR_REPLY,      /* serial: of the OPEN or CALL; what it returns follows the body */
    VIREO_FAR_PROGRESS,   /* serial: of the CALL */
    VIREO_FAR_LOG,
    VIREO_FAR_GOODBYE, /* the last message, with the reason */
    VIREO_FAR_NODE,    /* id: space; a VireoFarTree of one node: one more, or another one of its name */
    VIREO_FAR_NODE_WITHDRAW, /* id: space */
    VIREO_FAR_PONG,          /* serial: of the PING; no body */
    /* near to far */
    VIREO_FAR_OPEN = 64, /* serial; answered by a REPLY with a VireoFarOpened */
    VIREO_FAR_CLOSE,     /* id: the connection's number */
    VIREO_FAR_CALL,      /* serial; id: enum vireo_op_id; the arguments follow the body */
    VIREO_FAR_CANCEL,    /* serial: of the CALL */
    VIREO_FAR_PING,      /* serial; answered at once, whatever the driver is doing */
} VireoFarKind;

typedef struct {
    guint32 id;
    guint64 native, trivial, active, inactive;
} VireoFarRow;

typedef struct {
    guint32 protocol;
    char *core; /* version of the far program */
    char *name, *version, *schemes;
    guint32 threads; /* enum vireo_threads */
    gint32 pid;
    struct {
        guint32 len;
        VireoFarRow *val;
    } rows;
} VireoFarHello;

typedef struct {
    char *name, *value;
} VireoFarPair;

typedef struct {
    guint32 conn; /* the number the near end has for the connection */
    gint32 readonly;
    char *uri;
    struct {
        guint32 len;
        VireoFarPair *val;
    } identity;
} VireoFarOpen;

typedef struct {
    guint32 space; /* 0: none */
    char *uri;
} VireoFarOpened;

typedef struct {
    guint32 conn;
    guint64 timeout_us; /* 0: none */
} VireoFarCall;

typedef struct {
    gint32 status; /* enum vireo_status: VIREO_OK or VIREO_FAIL */
    gint32 code;
    char *message; /* optional; the error's */
    gint32 how;    /* enum vireo_stream_how; 0: no stream. Its descriptor is the message's last. */
    guint64 offset, length;
} VireoFarReply;

typedef struct {
    char *name;
} VireoFarSpace;

typedef struct {
    guint32 klass;
    char *name; /* optional */
    gint32 has_uuid;
    guint8 uuid[16];
} VireoFarWithdraw;

typedef struct {
    guint32 klass;
    guint8 uuid[16];
    struct {
        guint32 len;
        struct vireo_tree_node *val;
    } nodes;
} VireoFarTree;

typedef struct {
    guint32 klass;
    guint8 uuid[16];
    char *name;
} VireoFarNodeWithdraw;

typedef struct {
    guint32 space;
} VireoFarEvent;

typedef struct {
    guint64 done, total;
    char *what; /* optional */
} VireoFarProgress;

typedef struct {
    gint32 prio; /* enum vireo_log */
    char *text;
} VireoFarLog;

typedef struct {
    guint32 stage; /* how far it came: 0 init or later, otherwise a VireoFarStage */
    char *reason;
} VireoFarGoodbye;

typedef enum { VIREO_FAR_NOT_LINKED = 1, VIREO_FAR_NOT_VALID } VireoFarStage;

extern const VireoWireType vireo_far_type_hello, vireo_far_type_open, vireo_far_type_opened,
    vireo_far_type_call, vireo_far_type_reply, vireo_far_type_space, vireo_far_type_object,
    vireo_far_type_withdraw, vireo_far_type_tree, vireo_far_type_node_withdraw,
    vireo_far_type_event, vireo_far_type_progress,
    vireo_far_type_log, vireo_far_type_goodbye;

#define VIREO_FAR_NODES_MAX 65536 /* of one tree */
#define VIREO_FAR_TEXT_MAX                                                                         \
    65536 /* of an error, a line of the log: longer ones are cut off by the sender */

/* What the other end did, put as a predicate ("answers twice"). FALSE, with error set. */
gboolean vireo_far_refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "HELLO", "PUBLISH" ...; "unknown". */
const char *vireo_far_kind_name(guint kind);
