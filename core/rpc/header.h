/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a packet begins: seven big-endian words, the first one its whole length. The same on both
 * sides of the socket. */

#include <string.h>

#include "rpc/rpc.h"

#define RPC_HEADER 28 /* bytes */

static inline void rpc_put_u32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

static inline guint32 rpc_get_u32(const guint8 *at)
{
    guint32 value;

    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_BE(value);
}

/* size: of the whole packet */
static inline void rpc_put_header(guint8 *at, gsize size, const VireoRpcHeader *header)
{
    rpc_put_u32(at, (guint32)size);
    rpc_put_u32(at + 4, header->program);
    rpc_put_u32(at + 8, header->version);
    rpc_put_u32(at + 12, (guint32)header->proc);
    rpc_put_u32(at + 16, header->type);
    rpc_put_u32(at + 20, header->serial);
    rpc_put_u32(at + 24, header->status);
}

static inline VireoRpcHeader rpc_get_header(const guint8 *at)
{
    return (VireoRpcHeader){
        .program = rpc_get_u32(at + 4),
        .version = rpc_get_u32(at + 8),
        .proc = (gint32)rpc_get_u32(at + 12),
        .type = rpc_get_u32(at + 16),
        .serial = rpc_get_u32(at + 20),
        .status = rpc_get_u32(at + 24),
    };
}
