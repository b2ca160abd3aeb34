/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops/codec.h"

#include <rpc/xdr.h>
#include <string.h>

#include "util/error.h"

/* One pass over a struct: the XDR handle says in which direction. */
typedef struct {
    XDR xdr;
    VireoArena *arena; /* decoding only */
    const char *field; /* where a failure happened */
    const char *why;
} Pass;

static gboolean code_struct(Pass *pass, const VireoWireType *type, char *at);

static gboolean fail(Pass *pass, const VireoWireField *field, const char *why)
{
    if (!pass->why) {
        pass->field = field->name;
        pass->why = why;
    }
    return FALSE;
}

static gboolean decoding(const Pass *pass)
{
    return pass->xdr.x_op == XDR_DECODE;
}

/* Fewest bytes an element takes on the wire: a count that could not fit is refused unallocated. */
static guint least_wire_size(const VireoWireField *field)
{
    switch (field->kind) {
    case VIREO_WIRE_HYPER:
    case VIREO_WIRE_UHYPER:
    case VIREO_WIRE_DOUBLE:
    case VIREO_WIRE_HANDLE:
        return 8;
    case VIREO_WIRE_UUID:
        return 16;
    default:
        return 4;
    }
}

static gboolean code_length(Pass *pass, const VireoWireField *field, guint32 *len, guint least)
{
    if (!xdr_uint32_t(&pass->xdr, len))
        return fail(pass, field, "message too short");
    if (*len > field->limit)
        return fail(pass, field, "more elements than the protocol allows");
    if (decoding(pass) && (guint64)*len * least > pass->xdr.x_handy)
        return fail(pass, field, "count exceeds the message");
    return TRUE;
}

static gboolean code_bytes(Pass *pass, const VireoWireField *field, void *bytes, guint32 len)
{
    return xdr_opaque(&pass->xdr, bytes, len) || fail(pass, field, "message too short");
}

static gboolean code_string(Pass *pass, const VireoWireField *field, char **text, guint limit)
{
    VireoWireField bounded = *field;
    guint32 len = 0;

    bounded.limit = limit;
    if (!decoding(pass)) {
        if (!*text)
            return fail(pass, field, "a string is missing");
        len = strlen(*text);
    }
    if (!code_length(pass, &bounded, &len, 1))
        return fail(pass, field, "string too long");
    if (decoding(pass))
        *text = vireo_arena_alloc(pass->arena, len + 1);
    if (!code_bytes(pass, field, *text, len))
        return FALSE;
    if (decoding(pass) && memchr(*text, 0, len))
        return fail(pass, field, "a string holds a NUL byte");
    return TRUE;
}

/* char, short and their unsigned kin take four bytes on the wire. */
static gboolean code_small(Pass *pass, const VireoWireField *field, void *at)
{
    gint32 value = 0;

    switch (field->kind) {
    case VIREO_WIRE_CHAR:
        value = *(gint8 *)at;
        break;
    case VIREO_WIRE_UCHAR:
        value = *(guint8 *)at;
        break;
    case VIREO_WIRE_SHORT:
        value = *(gint16 *)at;
        break;
    default:
        value = *(guint16 *)at;
    }
    if (!xdr_int32_t(&pass->xdr, &value))
        return fail(pass, field, "message too short");
    switch (field->kind) {
    case VIREO_WIRE_CHAR:
        *(gint8 *)at = (gint8)value;
        break;
    case VIREO_WIRE_UCHAR:
        *(guint8 *)at = (guint8)value;
        break;
    case VIREO_WIRE_SHORT:
        *(gint16 *)at = (gint16)value;
        break;
    default:
        *(guint16 *)at = (guint16)value;
    }
    return TRUE;
}

static gboolean code_opaque(Pass *pass, const VireoWireField *field, VireoWireArray *bytes)
{
    if (!code_length(pass, field, &bytes->len, 1))
        return FALSE;
    if (decoding(pass))
        bytes->val = vireo_arena_alloc(pass->arena, bytes->len);
    return code_bytes(pass, field, bytes->val, bytes->len);
}

static gboolean code_one(Pass *pass, const VireoWireField *field, char *at)
{
    gboolean ok;

    switch (field->kind) {
    case VIREO_WIRE_INT:
        ok = xdr_int32_t(&pass->xdr, (gint32 *)at);
        break;
    case VIREO_WIRE_UINT:
        ok = xdr_uint32_t(&pass->xdr, (guint32 *)at);
        break;
    case VIREO_WIRE_HYPER:
        ok = xdr_int64_t(&pass->xdr, (gint64 *)at);
        break;
    case VIREO_WIRE_UHYPER:
    case VIREO_WIRE_HANDLE:
        ok = xdr_uint64_t(&pass->xdr, (guint64 *)at);
        break;
    case VIREO_WIRE_DOUBLE:
        ok = xdr_double(&pass->xdr, (double *)at);
        break;
    case VIREO_WIRE_STRING:
        return code_string(pass, field, (char **)at,
                           field->form == VIREO_WIRE_ONE || field->form == VIREO_WIRE_OPTIONAL
                               ? field->limit
                               : VIREO_LIMIT_STRING_MAX);
    case VIREO_WIRE_UUID:
        return code_bytes(pass, field, at, 16);
    case VIREO_WIRE_OPAQUE:
        return code_opaque(pass, field, (VireoWireArray *)at);
    case VIREO_WIRE_STRUCT:
        return code_struct(pass, field->type, at);
    default:
        return code_small(pass, field, at);
    }
    return ok || fail(pass, field, "message too short");
}

static gboolean code_optional(Pass *pass, const VireoWireField *field, char **at)
{
    guint32 present = *at != NULL;

    if (!xdr_uint32_t(&pass->xdr, &present))
        return fail(pass, field, "message too short");
    /* Any number but 0 means yes: go-libvirt sends 0x01000000, and daemons have always taken it. */
    if (!present) {
        *at = NULL;
        return TRUE;
    }
    if (field->kind == VIREO_WIRE_STRING)
        return code_one(pass, field, (char *)at);
    if (decoding(pass))
        *at = vireo_arena_alloc(pass->arena, vireo_wire_element_size(field));
    return code_one(pass, field, *at);
}

static gboolean code_array(Pass *pass, const VireoWireField *field, VireoWireArray *array)
{
    gsize size = vireo_wire_element_size(field);

    if (!code_length(pass, field, &array->len, least_wire_size(field)))
        return FALSE;
    if (decoding(pass))
        array->val = vireo_arena_alloc(pass->arena, array->len * size);
    for (guint32 i = 0; i < array->len; i++)
        if (!code_one(pass, field, (char *)array->val + i * size))
            return FALSE;
    return TRUE;
}

static gboolean code_field(Pass *pass, const VireoWireField *field, char *base)
{
    char *at = base + field->offset;

    switch (field->form) {
    case VIREO_WIRE_OPTIONAL:
        return code_optional(pass, field, (char **)at);
    case VIREO_WIRE_ARRAY:
        return code_array(pass, field, (VireoWireArray *)at);
    case VIREO_WIRE_FIXED:
        if (field->kind == VIREO_WIRE_OPAQUE)
            return code_bytes(pass, field, at, field->limit);
        for (guint i = 0; i < field->limit; i++)
            if (!code_one(pass, field, at + i * vireo_wire_element_size(field)))
                return FALSE;
        return TRUE;
    default:
        return code_one(pass, field, at);
    }
}

static gboolean code_union(Pass *pass, const VireoWireType *type, char *at)
{
    gint32 *tag = (gint32 *)at;

    if (!xdr_int32_t(&pass->xdr, tag))
        return fail(pass, type->fields, "message too short");
    for (guint i = 0; i < type->n_fields; i++)
        if (type->tags[i] == *tag)
            return code_field(pass, &type->fields[i], at);
    return fail(pass, type->fields, "a value of no known type");
}

static gboolean code_struct(Pass *pass, const VireoWireType *type, char *at)
{
    if (type->tags)
        return code_union(pass, type, at);
    for (guint i = 0; i < type->n_fields; i++)
        if (!code_field(pass, &type->fields[i], at))
            return FALSE;
    return TRUE;
}

gboolean vireo_wire_decode(const VireoWireType *type, const void *data, gsize size,
                           VireoArena *arena, gpointer out, gsize *used, GError **error)
{
    Pass pass = { .arena = arena };
    gboolean ok = TRUE;

    if (used)
        *used = 0;
    if (!type)
        return TRUE;
    xdrmem_create(&pass.xdr, (char *)data, (u_int)MIN(size, G_MAXUINT), XDR_DECODE);
    ok = code_struct(&pass, type, out);
    if (used)
        *used = xdr_getpos(&pass.xdr);
    xdr_destroy(&pass.xdr);
    if (!ok)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_RPC,
                    "Unable to decode message payload: %s.%s: %s", type->name, pass.field, pass.why);
    return ok;
}

/* The encoded size, so that one allocation serves; strings and arrays dominate it. */
static gsize wire_size(const VireoWireType *type, const char *at);

static gsize field_size(const VireoWireField *field, const char *at)
{
    switch (field->kind) {
    case VIREO_WIRE_STRING: {
        const char *text = *(char *const *)at;

        return 4 + (text ? (strlen(text) + 3) & ~(gsize)3 : 0);
    }
    case VIREO_WIRE_OPAQUE:
        return 4 + ((((const VireoWireArray *)at)->len + 3) & ~(gsize)3);
    case VIREO_WIRE_STRUCT:
        return wire_size(field->type, at);
    default:
        return least_wire_size(field);
    }
}

static gsize wire_size(const VireoWireType *type, const char *at)
{
    gsize total = type->tags ? 4 : 0;

    for (guint i = 0; i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];
        const char *member = at + field->offset;

        if (type->tags && type->tags[i] != *(const gint32 *)at)
            continue;
        if (field->form == VIREO_WIRE_OPTIONAL) {
            const char *target = *(char *const *)member;

            total += 4;
            if (target)
                total += field_size(field, field->kind == VIREO_WIRE_STRING ? member : target);
        } else if (field->form == VIREO_WIRE_ARRAY) {
            const VireoWireArray *array = (const VireoWireArray *)member;

            total += 4;
            for (guint32 j = 0; j < array->len; j++)
                total += field_size(field, (const char *)array->val + j * vireo_wire_element_size(field));
        } else if (field->form == VIREO_WIRE_FIXED) {
            total += field->kind == VIREO_WIRE_OPAQUE
                         ? (field->limit + 3) & ~3u
                         : (gsize)field->limit * least_wire_size(field);
        } else {
            total += field_size(field, member);
        }
    }
    return total;
}

gboolean vireo_wire_encode(const VireoWireType *type, gconstpointer in, GByteArray *buffer,
                           GError **error)
{
    Pass pass = { 0 };
    guint start = buffer->len;
    gsize size;
    gboolean ok;

    if (!type)
        return TRUE;
    size = wire_size(type, in);
    if (size > G_MAXUINT - start) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_RPC, "%s is too large to send", type->name);
        return FALSE;
    }
    g_byte_array_set_size(buffer, start + size);
    xdrmem_create(&pass.xdr, (char *)buffer->data + start, size, XDR_ENCODE);
    ok = code_struct(&pass, type, (char *)in);
    xdr_destroy(&pass.xdr);
    if (!ok) {
        g_byte_array_set_size(buffer, start);
        g_set_error(error, VIREO_ERROR, VIREO_ERR_RPC, "Unable to encode message payload: %s.%s: %s",
                    type->name, pass.field, pass.why);
    }
    return ok;
}

static void copy_one(const VireoWireField *field, const char *from, VireoArena *arena, char *to)
{
    switch (field->kind) {
    case VIREO_WIRE_STRING:
        *(char **)to = vireo_arena_strdup(arena, *(char *const *)from);
        break;
    case VIREO_WIRE_OPAQUE: {
        const VireoWireArray *source = (const VireoWireArray *)from;
        VireoWireArray *target = (VireoWireArray *)to;

        target->len = source->len;
        target->val = vireo_arena_alloc(arena, source->len);
        if (source->len)
            memcpy(target->val, source->val, source->len);
        break;
    }
    case VIREO_WIRE_STRUCT:
        vireo_wire_copy(field->type, from, arena, to);
        break;
    default:
        memcpy(to, from, vireo_wire_element_size(field));
    }
}

static void copy_field(const VireoWireField *field, const char *from, VireoArena *arena, char *to)
{
    gsize size = vireo_wire_element_size(field);

    if (field->form == VIREO_WIRE_OPTIONAL && field->kind != VIREO_WIRE_STRING) {
        const char *source = *(char *const *)from;

        if (!source)
            return;
        *(char **)to = vireo_arena_alloc(arena, size);
        copy_one(field, source, arena, *(char **)to);
    } else if (field->form == VIREO_WIRE_ARRAY) {
        const VireoWireArray *source = (const VireoWireArray *)from;
        VireoWireArray *target = (VireoWireArray *)to;

        target->len = source->len;
        target->val = vireo_arena_alloc(arena, source->len * size);
        for (guint32 i = 0; i < source->len; i++)
            copy_one(field, (const char *)source->val + i * size, arena,
                     (char *)target->val + i * size);
    } else if (field->form == VIREO_WIRE_FIXED) {
        memcpy(to, from, field->kind == VIREO_WIRE_OPAQUE ? field->limit : field->limit * size);
    } else {
        copy_one(field, from, arena, to);
    }
}

void vireo_wire_copy(const VireoWireType *type, gconstpointer from, VireoArena *arena, gpointer to)
{
    if (!type)
        return;
    if (type->tags)
        *(gint32 *)to = *(const gint32 *)from;
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];

        if (!type->tags || type->tags[i] == *(const gint32 *)from)
            copy_field(field, (const char *)from + field->offset, arena, (char *)to + field->offset);
    }
}

gboolean vireo_wire_equal(const VireoWireType *type, gconstpointer a, gconstpointer b)
{
    g_autoptr(GByteArray) left = g_byte_array_new();
    g_autoptr(GByteArray) right = g_byte_array_new();

    return vireo_wire_encode(type, a, left, NULL) && vireo_wire_encode(type, b, right, NULL) &&
           left->len == right->len &&
           (left->len == 0 || memcmp(left->data, right->data, left->len) == 0);
}
