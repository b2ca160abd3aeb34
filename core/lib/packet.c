/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/client.h"
#include "ops/codec.h"

extern const VireoWireType vireo_type_error;

GByteArray *vireo_packet_new(const VireoRpcHeader *header)
{
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_set_size(bytes, RPC_HEADER);
    rpc_put_header(bytes->data, RPC_HEADER, header);
    return bytes;
}

void vireo_packet_seal(GByteArray *bytes)
{
    rpc_put_u32(bytes->data, bytes->len);
}

void vireo_packet_error(const guint8 *payload, gsize size, VireoArena *arena, vireo_error *remote,
                        GError **error)
{
    g_autoptr(VireoArena) own = vireo_arena_new();
    vireo_error details = { 0 };
    int code;

    if (!vireo_wire_decode(&vireo_type_error, payload, size, remote ? arena : own, &details, NULL,
                           error))
        return;
    code = details.code;
    /* This is how a daemon says that it is older than the call. */
    if (code == VIREO_ERR_RPC && details.domain == VIREO_FROM_RPC && details.message &&
        g_str_has_prefix(details.message, "unknown procedure"))
        code = VIREO_ERR_NO_SUPPORT;
    if (remote)
        *remote = details;
    g_set_error(error, VIREO_ERROR, code, "%s",
                details.message ? details.message : "the daemon gave no reason");
}
