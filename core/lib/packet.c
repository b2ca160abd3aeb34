/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "lib/client.h"
#include "ops/codec.h"

extern const VireoWireType vireo_type_error;

static void put_word(guint8 *at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(at, &value, sizeof(value));
}

guint32 vireo_packet_word(const guint8 *bytes)
{
    guint32 value;

    memcpy(&value, bytes, sizeof(value));
    return GUINT32_FROM_BE(value);
}

GByteArray *vireo_packet_new(const VireoRpcHeader *header)
{
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_set_size(bytes, VIREO_PACKET_HEAD);
    put_word(bytes->data, VIREO_PACKET_HEAD);
    put_word(bytes->data + 4, header->program);
    put_word(bytes->data + 8, header->version);
    put_word(bytes->data + 12, (guint32)header->proc);
    put_word(bytes->data + 16, header->type);
    put_word(bytes->data + 20, header->serial);
    put_word(bytes->data + 24, header->status);
    return bytes;
}

void vireo_packet_seal(GByteArray *bytes)
{
    put_word(bytes->data, bytes->len);
}

void vireo_packet_parse_header(const guint8 *bytes, VireoRpcHeader *header)
{
    header->program = vireo_packet_word(bytes + 4);
    header->version = vireo_packet_word(bytes + 8);
    header->proc = (gint32)vireo_packet_word(bytes + 12);
    header->type = vireo_packet_word(bytes + 16);
    header->serial = vireo_packet_word(bytes + 20);
    header->status = vireo_packet_word(bytes + 24);
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
