/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "values.h"

#include <string.h>

extern const VireoWireType vireo_type_error, vireo_type_stream_hole;

gsize values_element_size(const VireoWireField *field)
{
    static const gsize sizes[] = {
        [VIREO_WIRE_INT] = sizeof(gint32),
        [VIREO_WIRE_UINT] = sizeof(guint32),
        [VIREO_WIRE_HYPER] = sizeof(gint64),
        [VIREO_WIRE_UHYPER] = sizeof(guint64),
        [VIREO_WIRE_DOUBLE] = sizeof(double),
        [VIREO_WIRE_CHAR] = sizeof(gint8),
        [VIREO_WIRE_UCHAR] = sizeof(guint8),
        [VIREO_WIRE_SHORT] = sizeof(gint16),
        [VIREO_WIRE_USHORT] = sizeof(guint16),
        [VIREO_WIRE_STRING] = sizeof(char *),
        [VIREO_WIRE_UUID] = 16,
        [VIREO_WIRE_OPAQUE] = sizeof(VireoWireArray),
        [VIREO_WIRE_HANDLE] = sizeof(void *),
    };

    return field->kind == VIREO_WIRE_STRUCT ? field->type->size : sizes[field->kind];
}

static void fill_random(Values *values, void *out, gsize len)
{
    for (gsize i = 0; i < len; i++)
        ((guint8 *)out)[i] = (guint8)g_rand_int(values->rand);
}

static char *some_text(Values *values)
{
    guint len = (guint)g_rand_int_range(values->rand, 0, 14);
    char *text = vireo_arena_alloc(values->arena, len + 1);

    for (guint i = 0; i < len; i++)
        text[i] = (char)g_rand_int_range(values->rand, 1, values->ascii ? 128 : 256);
    return text;
}

void values_fill_one(Values *values, const VireoWireField *field, gpointer out)
{
    VireoWireArray *bytes = out;

    switch (field->kind) {
    case VIREO_WIRE_STRING:
        *(char **)out = some_text(values);
        break;
    case VIREO_WIRE_OPAQUE:
        bytes->len = MIN((guint32)g_rand_int_range(values->rand, 0, 10), field->limit);
        bytes->val = vireo_arena_alloc(values->arena, bytes->len);
        fill_random(values, bytes->val, bytes->len);
        break;
    case VIREO_WIRE_DOUBLE:
        *(double *)out = g_rand_double_range(values->rand, -1e9, 1e9);
        break;
    case VIREO_WIRE_STRUCT:
        values_fill(values, field->type, out);
        break;
    default:
        fill_random(values, out, values_element_size(field));
    }
}

static gboolean is_present(Values *values)
{
    if (values->optional == VALUES_MIXED)
        return g_rand_boolean(values->rand);
    return values->optional == VALUES_PRESENT;
}

static void fill_array(Values *values, const VireoWireField *field, VireoWireArray *array)
{
    gsize size = values_element_size(field);

    array->len = MIN(values->depth > 2 ? 1 : values->elements, field->limit);
    array->val = vireo_arena_alloc(values->arena, array->len * size);
    for (guint i = 0; i < array->len; i++)
        values_fill_one(values, field, (char *)array->val + i * size);
}

static void fill_field(Values *values, const VireoWireField *field, char *at)
{
    switch (field->form) {
    case VIREO_WIRE_OPTIONAL:
        if (!is_present(values))
            return;
        if (field->kind == VIREO_WIRE_STRING) {
            values_fill_one(values, field, at);
            return;
        }
        *(void **)at = vireo_arena_alloc(values->arena, values_element_size(field));
        values_fill_one(values, field, *(void **)at);
        return;
    case VIREO_WIRE_ARRAY:
        fill_array(values, field, (VireoWireArray *)at);
        return;
    case VIREO_WIRE_FIXED:
        if (field->kind == VIREO_WIRE_OPAQUE) {
            fill_random(values, at, field->limit);
            return;
        }
        for (guint i = 0; i < field->limit; i++)
            values_fill_one(values, field, at + i * values_element_size(field));
        return;
    default:
        values_fill_one(values, field, at);
    }
}

void values_fill(Values *values, const VireoWireType *type, gpointer out)
{
    values->depth++;
    if (type->tags) {
        guint arm = values->arm == G_MAXUINT
                        ? (guint)g_rand_int_range(values->rand, 0, (gint32)type->n_fields)
                        : values->arm % type->n_fields;

        *(gint32 *)out = type->tags[arm];
        fill_field(values, &type->fields[arm], (char *)out + type->fields[arm].offset);
    } else {
        for (guint i = 0; i < type->n_fields; i++)
            fill_field(values, &type->fields[i], (char *)out + type->fields[i].offset);
    }
    values->depth--;
}

static gboolean same_one(const VireoWireField *field, const char *a, const char *b)
{
    const VireoWireArray *x = (const VireoWireArray *)a, *y = (const VireoWireArray *)b;

    switch (field->kind) {
    case VIREO_WIRE_STRING:
        return g_strcmp0(*(char *const *)a, *(char *const *)b) == 0;
    case VIREO_WIRE_OPAQUE:
        return x->len == y->len && (!x->len || memcmp(x->val, y->val, x->len) == 0);
    case VIREO_WIRE_STRUCT:
        return values_same(field->type, a, b);
    default:
        return memcmp(a, b, values_element_size(field)) == 0;
    }
}

static gboolean same_row(const VireoWireField *field, const char *a, const char *b, guint n)
{
    gsize size = values_element_size(field);

    for (guint i = 0; i < n; i++)
        if (!same_one(field, a + i * size, b + i * size))
            return FALSE;
    return TRUE;
}

static gboolean same_field(const VireoWireField *field, const char *a, const char *b)
{
    const VireoWireArray *x = (const VireoWireArray *)a, *y = (const VireoWireArray *)b;
    const char *p, *q;

    switch (field->form) {
    case VIREO_WIRE_OPTIONAL:
        if (field->kind == VIREO_WIRE_STRING)
            return same_one(field, a, b);
        p = *(char *const *)a;
        q = *(char *const *)b;
        return !p == !q && (!p || same_one(field, p, q));
    case VIREO_WIRE_ARRAY:
        return x->len == y->len && same_row(field, x->val, y->val, x->len);
    case VIREO_WIRE_FIXED:
        if (field->kind == VIREO_WIRE_OPAQUE)
            return memcmp(a, b, field->limit) == 0;
        return same_row(field, a, b, field->limit);
    default:
        return same_one(field, a, b);
    }
}

gboolean values_same(const VireoWireType *type, gconstpointer a, gconstpointer b)
{
    if (type->tags && *(const gint32 *)a != *(const gint32 *)b)
        return FALSE;
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];

        if (type->tags && type->tags[i] != *(const gint32 *)a)
            continue;
        if (!same_field(field, (const char *)a + field->offset, (const char *)b + field->offset))
            return FALSE;
    }
    return TRUE;
}

static void visit(const VireoWireType *type, GHashTable *seen, GPtrArray *all)
{
    if (!type || !g_hash_table_add(seen, (gpointer)type))
        return;
    g_ptr_array_add(all, (gpointer)type);
    for (guint i = 0; i < type->n_fields; i++)
        visit(type->fields[i].type, seen, all);
}

GPtrArray *values_all_types(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    GPtrArray *all = g_ptr_array_new();

    for (guint i = 0; i < vireo_n_ops; i++) {
        visit(vireo_ops[i].args, seen, all);
        visit(vireo_ops[i].ret, seen, all);
    }
    visit(&vireo_type_error, seen, all);
    visit(&vireo_type_stream_hole, seen, all);
    return all;
}
