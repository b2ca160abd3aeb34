/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets recorded between stock clients and a stock daemon: each decodes with nothing left over
 * and encodes again to the same bytes. tests/unit/wire/README.md tells the format. */
#include <gio/gio.h>
#include <string.h>

#include "ops/codec.h"

extern const VireoWireType vireo_type_error, vireo_type_stream_hole;

enum { CALL, REPLY, MESSAGE, STREAM, CALL_WITH_FDS, REPLY_WITH_FDS, STREAM_HOLE };

typedef struct {
    guint calls, replies, errors, events, keepalive, holes, raw, with_fds;
    guint not_calls;        /* of a number that no client calls */
    guint odd_yes;          /* optional members announced by another number than 1 */
    GHashTable *procedures; /* of calls */
    char *scenario;
} Tally;

typedef struct {
    guint32 program, version;
    gint32 proc;
    guint32 type, serial, status;
} Header;

static guint32 word(const GByteArray *packet, guint at)
{
    guint32 value;

    g_assert_cmpuint(at + 4, <=, packet->len);
    memcpy(&value, packet->data + at, 4);
    return GUINT32_FROM_BE(value);
}

/* The Go client says 0x01000000 for "yes" where it means 1. That, and nothing else, comes out
 * mended. */
static void compare(Tally *tally, const GByteArray *again, const guint8 *bytes, gsize len)
{
    g_assert_cmpuint(again->len, ==, len);
    if (!g_str_has_prefix(tally->scenario, "go-")) {
        g_assert_cmpmem(again->data, again->len, bytes, len);
        return;
    }
    for (gsize at = 0; at < len; at += 4) {
        if (memcmp(again->data + at, bytes + at, 4) == 0)
            continue;
        g_assert_cmpmem(bytes + at, 4, "\1\0\0\0", 4);
        g_assert_cmpmem(again->data + at, 4, "\0\0\0\1", 4);
        tally->odd_yes++;
    }
}

static void check(Tally *tally, const Header *header, const VireoWireType *type,
                  const guint8 *bytes, gsize len)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gpointer out = vireo_arena_alloc(arena, type ? type->size : 1);
    g_autoptr(GByteArray) again = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    gsize used;

    if (!vireo_wire_decode(type, bytes, len, arena, out, &used, &error) ||
        !vireo_wire_encode(type, out, again, &error))
        g_error("%s: program 0x%x procedure %d type %u: %s", tally->scenario, header->program,
                header->proc, header->type, error->message);
    if (used != len)
        g_error("%s: program 0x%x procedure %d type %u: %zu of %zu bytes are understood",
                tally->scenario, header->program, header->proc, header->type, used, len);
    compare(tally, again, bytes, len);
}

/* What the payload is; FALSE when it is raw. */
static gboolean payload_type(Tally *tally, const Header *header, const VireoOp *op,
                             const VireoWireType **type)
{
    *type = NULL;
    switch (header->type) {
    case CALL:
    case CALL_WITH_FDS:
        tally->calls++;
        g_hash_table_add(tally->procedures, (gpointer)op);
        if (op->kind != VIREO_OP_CALL) { /* the Go client calls whatever has a number */
            tally->not_calls++;
            return FALSE;
        }
        *type = op->args;
        return TRUE;
    case REPLY:
    case REPLY_WITH_FDS:
        if (header->status) {
            tally->errors++;
            *type = &vireo_type_error;
        } else {
            tally->replies++;
            *type = op->ret;
        }
        return TRUE;
    case MESSAGE:
        if (op->program == VIREO_PROGRAM_KEEPALIVE)
            tally->keepalive++;
        else
            tally->events++;
        g_assert_cmpint(op->kind, !=, VIREO_OP_CALL);
        *type = op->ret;
        return TRUE;
    case STREAM_HOLE:
        tally->holes++;
        *type = &vireo_type_stream_hole;
        return TRUE;
    default:
        g_assert_cmpuint(header->type, ==, STREAM);
        g_assert_cmpint(op->stream, !=, VIREO_STREAM_NONE);
        tally->raw++;
        *type = &vireo_type_error;
        return header->status == 1;
    }
}

static void check_packet(Tally *tally, char direction, guint fds, const GByteArray *packet)
{
    Header header = {word(packet, 4),  word(packet, 8),  (gint32)word(packet, 12),
                     word(packet, 16), word(packet, 20), word(packet, 24)};
    guint at = 28;
    const VireoWireType *type;
    const VireoOp *op;
    VireoProgram program;

    g_assert_cmpuint(word(packet, 0), ==, packet->len);
    if (header.type == CALL_WITH_FDS || header.type == REPLY_WITH_FDS) {
        g_assert_cmpuint(word(packet, 28), ==, fds);
        tally->with_fds++;
        at += 4;
    }
    /* an error reply may speak of a program or procedure that does not exist */
    if (header.type == REPLY && header.status) {
        tally->errors++;
        check(tally, &header, &vireo_type_error, packet->data + at, packet->len - at);
        return;
    }
    g_assert_true(vireo_program_find(header.program, header.version, &program));
    op = vireo_op_by_proc(program, header.proc);
    if (!op)
        g_error("%s: program 0x%x has no procedure %d", tally->scenario, header.program,
                header.proc);
    if (!payload_type(tally, &header, op, &type))
        return;
    /* a client that aborts a stream has nothing to say */
    if (header.type == STREAM && direction == '>' && packet->len == at)
        return;
    check(tally, &header, type, packet->data + at, packet->len - at);
}

static GByteArray *from_hex(const char *hex)
{
    GByteArray *bytes = g_byte_array_new();

    for (; hex[0] && hex[1]; hex += 2) {
        guint8 byte = (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

static void check_line(Tally *tally, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    g_autoptr(GByteArray) packet = NULL;

    if (line[0] == '=') {
        g_free(tally->scenario);
        tally->scenario = g_strdup(line + 2);
    }
    if (line[0] != '>' && line[0] != '<')
        return;
    g_assert_cmpuint(g_strv_length(words), ==, 4);
    packet = from_hex(words[3]);
    check_packet(tally, line[0], (guint)g_ascii_strtoull(words[2], NULL, 10), packet);
}

static GDataInputStream *open_recording(void)
{
    g_autoptr(GFile) file = g_file_new_for_path(g_getenv("VIREO_TEST_VECTORS"));
    g_autoptr(GError) error = NULL;
    g_autoptr(GFileInputStream) raw = g_file_read(file, NULL, &error);
    g_autoptr(GZlibDecompressor) zlib = g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP);
    g_autoptr(GInputStream) plain = NULL;

    g_assert_no_error(error);
    plain = g_converter_input_stream_new(G_INPUT_STREAM(raw), G_CONVERTER(zlib));
    return g_data_input_stream_new(plain);
}

static void test_recorded(void)
{
    g_autoptr(GDataInputStream) lines = open_recording();
    Tally tally = {.procedures = g_hash_table_new(NULL, NULL)};
    g_autoptr(GError) error = NULL;
    char *line;

    while ((line = g_data_input_stream_read_line(lines, NULL, NULL, &error))) {
        check_line(&tally, line);
        g_free(line);
    }
    g_assert_no_error(error);
    g_test_message(
        "%u calls of %u procedures, %u replies, %u errors, %u events, %u keepalive, %u holes, "
        "%u raw, %u with descriptors, %u calls of an event, %u odd yes",
        tally.calls, g_hash_table_size(tally.procedures), tally.replies, tally.errors, tally.events,
        tally.keepalive, tally.holes, tally.raw, tally.with_fds, tally.not_calls, tally.odd_yes);
    g_assert_cmpuint(g_hash_table_size(tally.procedures), >=, 400);
    g_assert_cmpuint(tally.replies, >=, 286);
    g_assert_cmpuint(tally.errors, >=, 500);
    g_assert_cmpuint(tally.events, >, 10);
    g_assert_cmpuint(tally.keepalive, >, 0);
    g_assert_cmpuint(tally.holes, >, 0);
    g_assert_cmpuint(tally.with_fds, >, 1);
    g_hash_table_unref(tally.procedures);
    g_free(tally.scenario);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recorded/packets", test_recorded);
    return g_test_run();
}
