/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From structs to XML text, by the descriptors. */
#include "model/table.h"

#include <string.h>

typedef struct {
    guint flags;
    GString *out;
    GString *scratch;
} Formatter;

static const char *entity(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '\'':
        return "&apos;";
    case '"':
        return "&quot;";
    case '\r':
        return "&#13;";
    default:
        return NULL;
    }
}

static gboolean is_control(char c)
{
    return (guchar)c < 0x20 && c != '\n' && c != '\t' && c != '\r';
}

/* Line ends and tabs survive in text but would become blanks in an attribute. */
static void append_escaped(GString *out, const char *text, gboolean in_attribute)
{
    g_autofree char *repaired = NULL;
    const char *run = text;
    const char *c;

    if (!g_utf8_validate(text, -1, NULL))
        run = repaired = g_utf8_make_valid(text, -1);
    for (c = run; *c; c++) {
        const char *name;

        if ((guchar)*c >= 0x20 && !strchr("<>&'\"", *c))
            continue;
        name = entity(*c);
        if (!name && in_attribute && (*c == '\n' || *c == '\t'))
            name = *c == '\n' ? "&#10;" : "&#9;";
        if (!name && is_control(*c))
            name = "?";
        if (!name)
            continue;
        g_string_append_len(out, run, c - run);
        g_string_append(out, name);
        run = c + 1;
    }
    g_string_append_len(out, run, c - run);
}

static void append_indent(GString *out, guint depth)
{
    while (depth-- > 0)
        g_string_append_len(out, "  ", 2);
}

/* </name> and the end of the line. */
static void append_close(GString *out, const char *name)
{
    g_string_append_len(out, "</", 2);
    g_string_append(out, name);
    g_string_append_len(out, ">\n", 2);
}

static void append_value(Formatter *formatter, const VireoModelField *field, gconstpointer doc,
                         gconstpointer slot, gboolean in_attribute)
{
    if (field->kind == VIREO_MODEL_STRING) {
        append_escaped(formatter->out, *(const char *const *)slot, in_attribute);
        return;
    }
    g_string_truncate(formatter->scratch, 0);
    vireo_model_scalar_format(field, doc, slot, formatter->scratch);
    append_escaped(formatter->out, formatter->scratch->str, in_attribute);
}

static void append_attribute(Formatter *formatter, const VireoModelField *field, const char *name,
                             gconstpointer doc, gconstpointer slot)
{
    g_string_append_c(formatter->out, ' ');
    g_string_append(formatter->out, name);
    g_string_append_len(formatter->out, "='", 2);
    append_value(formatter, field, doc, slot, TRUE);
    g_string_append_c(formatter->out, '\'');
}

static void append_unit(Formatter *formatter, const VireoModelField *field)
{
    g_string_append(formatter->out, " unit='");
    g_string_append(formatter->out, vireo_model_unit_name(field->unit_bytes));
    g_string_append_c(formatter->out, '\'');
}

static gboolean wanted(const Formatter *formatter, const VireoModelField *field,
                       const VireoModelScope *scope)
{
    guint flags = formatter->flags;

    if (flags & VIREO_MODEL_FORMAT_INACTIVE && vireo_model_field_is_live(field, scope))
        return FALSE;
    return !(field->flags & VIREO_MODEL_SECRET) || flags & VIREO_MODEL_FORMAT_SECURE;
}

static void format_struct(Formatter *formatter, const VireoModelType *type, const char *name,
                          gconstpointer doc, const VireoModelScope *above, guint depth);

static gboolean struct_empty(const Formatter *formatter, const VireoModelScope *scope)
{
    for (guint i = 0; i < scope->type->n_fields; i++)
        if (vireo_model_field_used(&scope->type->fields[i], scope->doc) &&
            wanted(formatter, &scope->type->fields[i], scope))
            return FALSE;
    return TRUE;
}

static void format_item(Formatter *formatter, const VireoModelField *field,
                        const VireoModelScope *scope, gconstpointer slot, guint depth)
{
    gconstpointer doc = scope->doc;
    GString *out = formatter->out;

    if (field->kind == VIREO_MODEL_STRUCT) {
        gconstpointer child = *(const gconstpointer *)slot;
        VireoModelScope inner = { scope, field->type, child };

        /* An element asked for as empty is one; one that lost all it held is left out. */
        if (!struct_empty(formatter, &inner) ||
            (!(field->flags & VIREO_MODEL_ALWAYS) && vireo_model_struct_blank(field->type, child)))
            format_struct(formatter, field->type, field->name, child, scope, depth);
        return;
    }
    append_indent(out, depth);
    if (field->kind == VIREO_MODEL_RAW) {
        g_string_append(out, *(const char *const *)slot);
        g_string_append_c(out, '\n');
        return;
    }
    g_string_append_c(out, '<');
    g_string_append(out, field->name);
    if (field->attr)
        append_attribute(formatter, field, field->attr, doc, slot);
    if (field->kind == VIREO_MODEL_MEMORY)
        append_unit(formatter, field);
    if (field->attr || field->kind == VIREO_MODEL_FLAG) {
        g_string_append(out, "/>\n");
        return;
    }
    g_string_append_c(out, '>');
    append_value(formatter, field, doc, slot, FALSE);
    append_close(out, field->name);
}

static void format_elements(Formatter *formatter, const VireoModelScope *scope, guint depth)
{
    for (guint i = 0; i < scope->type->n_fields; i++) {
        const VireoModelField *field = &scope->type->fields[i];
        gconstpointer slot = VIREO_MODEL_CAT(scope->doc, field->offset);
        const VireoModelList *list = slot;
        gsize size;

        if (field->place != VIREO_MODEL_ELEMENT ||
            !vireo_model_field_used(field, scope->doc) || !wanted(formatter, field, scope))
            continue;
        if (!(field->flags & VIREO_MODEL_LIST)) {
            format_item(formatter, field, scope, slot, depth);
            continue;
        }
        size = field->size;
        for (guint j = 0; j < list->n; j++)
            format_item(formatter, field, scope, VIREO_MODEL_CAT(list->items, j * size), depth);
    }
}

static void format_attributes(Formatter *formatter, const VireoModelScope *scope)
{
    gconstpointer doc = scope->doc;

    for (guint i = 0; i < scope->type->n_fields; i++) {
        const VireoModelField *field = &scope->type->fields[i];

        if (!vireo_model_field_used(field, doc) || !wanted(formatter, field, scope))
            continue;
        if (field->place == VIREO_MODEL_ATTRIBUTE)
            append_attribute(formatter, field, field->name, doc,
                             VIREO_MODEL_CAT(doc, field->offset));
        if (field->place != VIREO_MODEL_ELEMENT && field->kind == VIREO_MODEL_MEMORY)
            append_unit(formatter, field);
    }
}

/* Declares the namespaces of the children, once each, unless the element itself is in one. */
static void format_namespaces(Formatter *formatter, const VireoModelType *type, const char *name,
                              gconstpointer doc)
{
    guint64 declared = 0;

    if (strchr(name, ':'))
        return;
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoModelField *field = &type->fields[i];
        const VireoModelNamespace *space;

        if (field->prefix == 0 || declared & (1u << field->prefix) || !vireo_model_field_used(field, doc))
            continue;
        declared |= 1u << field->prefix;
        space = &vireo_model_namespaces[field->prefix - 1];
        g_string_append_printf(formatter->out, " xmlns:%s='%s'", space->prefix, space->uri);
    }
}

static void format_struct(Formatter *formatter, const VireoModelType *type, const char *name,
                          gconstpointer doc, const VireoModelScope *above, guint depth)
{
    VireoModelScope scope = { above, type, doc };
    GString *out = formatter->out;
    gsize opened;

    append_indent(out, depth);
    g_string_append_c(out, '<');
    g_string_append(out, name);
    format_attributes(formatter, &scope);
    format_namespaces(formatter, type, name, doc);
    if (type->text >= 0 && vireo_model_field_used(&type->fields[type->text], doc)) {
        g_string_append_c(out, '>');
        append_value(formatter, &type->fields[type->text], doc,
                     VIREO_MODEL_CAT(doc, type->fields[type->text].offset), FALSE);
        append_close(out, name);
        return;
    }
    opened = out->len;
    g_string_append(out, ">\n");
    format_elements(formatter, &scope, depth + 1);
    if (out->len == opened + 2) {
        g_string_truncate(out, opened);
        g_string_append(out, "/>\n");
        return;
    }
    append_indent(out, depth);
    append_close(out, name);
}

char *vireo_model_format(const VireoModelType *type, const char *element, gconstpointer doc,
                         guint flags)
{
    g_autoptr(GString) scratch = g_string_sized_new(64);
    Formatter formatter = { .flags = flags, .out = g_string_sized_new(4096), .scratch = scratch };

    g_return_val_if_fail(type && doc, NULL);
    if (flags & VIREO_MODEL_FORMAT_MIGRATABLE)
        formatter.flags |= VIREO_MODEL_FORMAT_INACTIVE | VIREO_MODEL_FORMAT_SECURE;
    format_struct(&formatter, type, element ? element : type->element, doc, NULL, 0);
    return g_string_free(formatter.out, FALSE);
}
