/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "far/message.h"

#include "util/error.h"

#define NAME_MAX_BYTES 4096
#define URI_MAX_BYTES  65536
#define ROWS_MAX       4096
#define PAIRS_MAX      64

#define FIELD(type, member, kind, form, limit, of)                                                           \
    { #member, VIREO_WIRE_##kind, VIREO_WIRE_##form, offsetof(type, member), limit, 0, of }
#define NUMBER(type, member, kind)          FIELD(type, member, kind, ONE, 0, NULL)
#define TEXT(type, member, limit)           FIELD(type, member, STRING, ONE, limit, NULL)
#define MAYBE(type, member, limit)          FIELD(type, member, STRING, OPTIONAL, limit, NULL)
#define LIST(type, member, limit, size, of) { #member, VIREO_WIRE_STRUCT, VIREO_WIRE_ARRAY, offsetof(type, member), limit, size, of }
#define TYPE(name, type, fields)                                                                             \
    const VireoWireType vireo_far_type_##name = { "far " #name, sizeof(type), G_N_ELEMENTS(fields), fields, NULL }

static const VireoWireField row[] = {
    NUMBER(VireoFarRow, id, UINT),       NUMBER(VireoFarRow, native, UHYPER),   NUMBER(VireoFarRow, trivial, UHYPER),
    NUMBER(VireoFarRow, active, UHYPER), NUMBER(VireoFarRow, inactive, UHYPER),
};
static const VireoWireType row_type = { "far row", sizeof(VireoFarRow), G_N_ELEMENTS(row), row, NULL };

static const VireoWireField hello[] = {
    NUMBER(VireoFarHello, protocol, UINT),
    TEXT(VireoFarHello, core, NAME_MAX_BYTES),
    TEXT(VireoFarHello, name, NAME_MAX_BYTES),
    TEXT(VireoFarHello, version, NAME_MAX_BYTES),
    TEXT(VireoFarHello, schemes, NAME_MAX_BYTES),
    NUMBER(VireoFarHello, threads, UINT),
    NUMBER(VireoFarHello, pid, INT),
    LIST(VireoFarHello, rows, ROWS_MAX, sizeof(VireoFarRow), &row_type),
};
TYPE(hello, VireoFarHello, hello);

static const VireoWireField pair[] = {
    TEXT(VireoFarPair, name, NAME_MAX_BYTES),
    TEXT(VireoFarPair, value, NAME_MAX_BYTES),
};
static const VireoWireType pair_type = { "far pair", sizeof(VireoFarPair), G_N_ELEMENTS(pair), pair, NULL };

static const VireoWireField open_[] = {
    NUMBER(VireoFarOpen, conn, UINT),
    NUMBER(VireoFarOpen, readonly, INT),
    TEXT(VireoFarOpen, uri, URI_MAX_BYTES),
    LIST(VireoFarOpen, identity, PAIRS_MAX, sizeof(VireoFarPair), &pair_type),
};
TYPE(open, VireoFarOpen, open_);

static const VireoWireField opened[] = {
    NUMBER(VireoFarOpened, space, UINT),
    TEXT(VireoFarOpened, uri, URI_MAX_BYTES),
};
TYPE(opened, VireoFarOpened, opened);

static const VireoWireField call[] = {
    NUMBER(VireoFarCall, conn, UINT),
    NUMBER(VireoFarCall, timeout_us, UHYPER),
};
TYPE(call, VireoFarCall, call);

static const VireoWireField reply[] = {
    NUMBER(VireoFarReply, status, INT),
    NUMBER(VireoFarReply, code, INT),
    MAYBE(VireoFarReply, message, VIREO_FAR_TEXT_MAX),
    NUMBER(VireoFarReply, how, INT),
    NUMBER(VireoFarReply, offset, UHYPER),
    NUMBER(VireoFarReply, length, UHYPER),
};
TYPE(reply, VireoFarReply, reply);

static const VireoWireField space[] = { TEXT(VireoFarSpace, name, URI_MAX_BYTES) };
TYPE(space, VireoFarSpace, space);

#define OBJECT struct vireo_object
static const VireoWireField object[] = {
    NUMBER(OBJECT, klass, UINT),
    TEXT(OBJECT, name, NAME_MAX_BYTES),
    NUMBER(OBJECT, uuid, UUID),
    NUMBER(OBJECT, id, INT),
    NUMBER(OBJECT, state, INT),
    NUMBER(OBJECT, reason, INT),
    NUMBER(OBJECT, flags, UINT),
    NUMBER(OBJECT, vcpus, UINT),
    NUMBER(OBJECT, max_memory_kib, UHYPER),
    NUMBER(OBJECT, memory_kib, UHYPER),
    MAYBE(OBJECT, os_type, 64),
    MAYBE(OBJECT, key, NAME_MAX_BYTES),
    NUMBER(OBJECT, kind, INT),
    NUMBER(OBJECT, event, INT),
    NUMBER(OBJECT, detail, INT),
};
TYPE(object, OBJECT, object);

static const VireoWireField withdraw[] = {
    NUMBER(VireoFarWithdraw, klass, UINT),
    MAYBE(VireoFarWithdraw, name, NAME_MAX_BYTES),
    NUMBER(VireoFarWithdraw, has_uuid, INT),
    NUMBER(VireoFarWithdraw, uuid, UUID),
};
TYPE(withdraw, VireoFarWithdraw, withdraw);

#define NODE struct vireo_tree_node
static const VireoWireField node[] = {
    NUMBER(NODE, flags, UINT),
    TEXT(NODE, name, NAME_MAX_BYTES),
    MAYBE(NODE, parent, NAME_MAX_BYTES),
    NUMBER(NODE, creation_time, HYPER),
    NUMBER(NODE, state, INT),
};
static const VireoWireType node_type = { "far node", sizeof(NODE), G_N_ELEMENTS(node), node, NULL };

static const VireoWireField tree[] = {
    NUMBER(VireoFarTree, klass, UINT),
    NUMBER(VireoFarTree, uuid, UUID),
    LIST(VireoFarTree, nodes, VIREO_FAR_NODES_MAX, sizeof(NODE), &node_type),
};
TYPE(tree, VireoFarTree, tree);

static const VireoWireField node_withdraw[] = {
    NUMBER(VireoFarNodeWithdraw, klass, UINT),
    NUMBER(VireoFarNodeWithdraw, uuid, UUID),
    TEXT(VireoFarNodeWithdraw, name, NAME_MAX_BYTES),
};
TYPE(node_withdraw, VireoFarNodeWithdraw, node_withdraw);

static const VireoWireField event[] = { NUMBER(VireoFarEvent, space, UINT) };
TYPE(event, VireoFarEvent, event);

static const VireoWireField progress[] = {
    NUMBER(VireoFarProgress, done, UHYPER),
    NUMBER(VireoFarProgress, total, UHYPER),
    MAYBE(VireoFarProgress, what, NAME_MAX_BYTES),
};
TYPE(progress, VireoFarProgress, progress);

static const VireoWireField log_[] = {
    NUMBER(VireoFarLog, prio, INT),
    TEXT(VireoFarLog, text, VIREO_FAR_TEXT_MAX),
};
TYPE(log, VireoFarLog, log_);

static const VireoWireField goodbye[] = {
    NUMBER(VireoFarGoodbye, stage, UINT),
    TEXT(VireoFarGoodbye, reason, VIREO_FAR_TEXT_MAX),
};
TYPE(goodbye, VireoFarGoodbye, goodbye);

const char *vireo_far_kind_name(guint kind)
{
    static const char *const names[] = {
        [VIREO_FAR_HELLO] = "HELLO",       [VIREO_FAR_SYNC_BEGIN] = "SYNC_BEGIN", [VIREO_FAR_SYNC_END] = "SYNC_END",
        [VIREO_FAR_SPACE] = "SPACE",       [VIREO_FAR_PUBLISH] = "PUBLISH",       [VIREO_FAR_WITHDRAW] = "WITHDRAW",
        [VIREO_FAR_TREE] = "TREE",         [VIREO_FAR_EVENT] = "EVENT",           [VIREO_FAR_REPLY] = "REPLY",
        [VIREO_FAR_PROGRESS] = "PROGRESS", [VIREO_FAR_LOG] = "LOG",               [VIREO_FAR_GOODBYE] = "GOODBYE",
        [VIREO_FAR_OPEN] = "OPEN",         [VIREO_FAR_CLOSE] = "CLOSE",           [VIREO_FAR_CALL] = "CALL",
        [VIREO_FAR_CANCEL] = "CANCEL",     [VIREO_FAR_NODE] = "NODE",             [VIREO_FAR_NODE_WITHDRAW] = "NODE_WITHDRAW",
        [VIREO_FAR_PING] = "PING",         [VIREO_FAR_PONG] = "PONG",
    };

    return kind < G_N_ELEMENTS(names) && names[kind] ? names[kind] : "unknown";
}

gboolean vireo_far_refuse(GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, VIREO_ERROR, VIREO_ERR_RPC, text);
    return FALSE;
}
