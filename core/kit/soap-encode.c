/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From structs to a request. */
#include <string.h>

#include "kit/soap-private.h"

#define DEPTH_MAX 100

typedef struct {
    const VireoSoapService *service;
    const char *operation;
    GString *out;
    guint depth;
} Encoder;

static gboolean refuse(Encoder *encoder, GError **error, const char *name, const char *why)
{
    g_set_error(error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_REQUEST, "%s: %s %s", encoder->operation, name, why);
    return FALSE;
}

static gboolean put_text(Encoder *encoder, const char *name, const char *text, GError **error)
{
    if (!g_utf8_validate(text, -1, NULL))
        return refuse(encoder, error, name, "is not UTF-8");
    for (const char *at = text; *at; at++) {
        guchar c = (guchar)*at;

        if (c == '&')
            g_string_append(encoder->out, "&amp;");
        else if (c == '<')
            g_string_append(encoder->out, "&lt;");
        else if (c == '>')
            g_string_append(encoder->out, "&gt;");
        else if (c == '"')
            g_string_append(encoder->out, "&quot;");
        else if (c == '\r' || c == '\n' || c == '\t')
            g_string_append_printf(encoder->out, "&#%d;", c);
        else if (c < 0x20 || (c == 0xef && (guchar)at[1] == 0xbf && (guchar)at[2] >= 0xbe))
            return refuse(encoder, error, name, "holds a character that XML cannot carry");
        else
            g_string_append_c(encoder->out, *at);
    }
    return TRUE;
}

static void put_time(GString *out, gint64 time)
{
    gint64 micros = time % G_USEC_PER_SEC;

    if (micros < 0)
        micros += G_USEC_PER_SEC;
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc((time - micros) / G_USEC_PER_SEC);
    g_autofree char *text = utc ? g_date_time_format(utc, "%Y-%m-%dT%H:%M:%S") : g_strdup("1970-01-01T00:00:00");
    g_string_append_printf(out, "%s.%06dZ", text, (int)micros);
}

static void put_double(GString *out, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append(out, g_ascii_dtostr(text, sizeof text, value));
}

static void put_bytes(GString *out, const VireoSoapBytes *bytes)
{
    g_autofree char *text = g_base64_encode(bytes->data, bytes->len);

    g_string_append(out, text);
}

/* A scalar in its slot. */
static gboolean put_scalar(Encoder *encoder, const VireoSoapField *field, gconstpointer slot, GError **error)
{
    GString *out = encoder->out;
    const char *name;

    switch (field->kind) {
    case VIREO_SOAP_BOOLEAN:
        g_string_append(out, *(const gboolean *)slot ? "true" : "false");
        break;
    case VIREO_SOAP_INT:
        g_string_append_printf(out, "%d", *(const gint32 *)slot);
        break;
    case VIREO_SOAP_UINT:
        g_string_append_printf(out, "%u", *(const guint32 *)slot);
        break;
    case VIREO_SOAP_LONG:
        g_string_append_printf(out, "%" G_GINT64_FORMAT, *(const gint64 *)slot);
        break;
    case VIREO_SOAP_ULONG:
        g_string_append_printf(out, "%" G_GUINT64_FORMAT, *(const guint64 *)slot);
        break;
    case VIREO_SOAP_DOUBLE:
        put_double(out, *(const double *)slot);
        break;
    case VIREO_SOAP_TIME:
        put_time(out, *(const gint64 *)slot);
        break;
    case VIREO_SOAP_BYTES:
        put_bytes(out, slot);
        break;
    case VIREO_SOAP_ENUM:
        name = vireo_soap_enum_name(field->names, *(const int *)slot);
        if (!name)
            return refuse(encoder, error, field->name, "is none of its values");
        g_string_append(out, name);
        break;
    default:
        return put_text(encoder, field->name, *(const char *const *)slot, error);
    }
    return TRUE;
}

static gboolean put_object(Encoder *encoder, const char *name, const VireoSoapType *declared,
                           const VireoSoapObject *object, gboolean show_type, GError **error);

static void put_type(Encoder *encoder, const char *name, gboolean schema)
{
    const char *prefix = schema ? "xsd:" : encoder->service->qualified ? "" : "s:";

    g_string_append_printf(encoder->out, " xsi:type=\"%s%s\"", prefix, name);
}

/* What a value of any type holds, as if it were a member of that kind. */
static gconstpointer value_slot(const VireoSoapValue *value, VireoSoapField *field, gint32 *small)
{
    field->kind = (guint8)value->kind;
    switch (value->kind) {
    case VIREO_SOAP_BOOLEAN:
        return &value->boolean;
    case VIREO_SOAP_INT:
    case VIREO_SOAP_UINT:
        *small = (gint32)value->integer;
        return small;
    case VIREO_SOAP_DOUBLE:
        return &value->number;
    case VIREO_SOAP_BYTES:
        return &value->bytes;
    case VIREO_SOAP_ENUM:
        field->names = value->choice.names;
        return &value->choice.value;
    case VIREO_SOAP_STRING:
        return value->text ? &value->text : NULL;
    case VIREO_SOAP_ULONG:
        return &value->natural;
    case VIREO_SOAP_LONG:
    case VIREO_SOAP_TIME:
        return &value->integer;
    default:
        return NULL;
    }
}

static gboolean put_list(Encoder *encoder, const char *name, const VireoSoapValue *value, GError **error);

static gboolean put_value(Encoder *encoder, const char *name, const VireoSoapValue *value, GError **error)
{
    VireoSoapField field = { .name = name };
    gint32 small;

    if (value->kind == VIREO_SOAP_LIST)
        return put_list(encoder, name, value, error);
    if (value->kind == VIREO_SOAP_STRUCT && value->object && value->object->type)
        return put_object(encoder, name, value->object->type, value->object, TRUE, error);
    gconstpointer slot = value_slot(value, &field, &small);
    if (!slot)
        return refuse(encoder, error, name, "has no value that can be sent");
    g_string_append_printf(encoder->out, "<%s", name);
    if (value->kind == VIREO_SOAP_ENUM)
        put_type(encoder, value->choice.names->name, FALSE);
    else
        put_type(encoder, soap_kind_name(value->kind), TRUE);
    g_string_append_c(encoder->out, '>');
    if (!put_scalar(encoder, &field, slot, error))
        return FALSE;
    g_string_append_printf(encoder->out, "</%s>", name);
    return TRUE;
}

static gboolean put_list(Encoder *encoder, const char *name, const VireoSoapValue *value, GError **error)
{
    g_autofree char *item = soap_array_item(value->type);

    if (!item || ++encoder->depth > DEPTH_MAX)
        return refuse(encoder, error, name, "is a list without its type, ArrayOf...");
    g_string_append_printf(encoder->out, "<%s", name);
    put_type(encoder, value->type, FALSE);
    g_string_append_c(encoder->out, '>');
    for (guint i = 0; i < value->list.n; i++)
        if (!put_value(encoder, item, value->list.items[i], error))
            return FALSE;
    encoder->depth--;
    g_string_append_printf(encoder->out, "</%s>", name);
    return TRUE;
}

/* One member, or one item of a list. */
static gboolean put_element(Encoder *encoder, const VireoSoapField *field, gconstpointer slot, GError **error)
{
    if (field->kind == VIREO_SOAP_STRUCT || field->kind == VIREO_SOAP_ANY ||
        field->kind == VIREO_SOAP_STRING) {
        if (!*(const gconstpointer *)slot)
            return refuse(encoder, error, field->name, "is not set");
    }
    if (field->kind == VIREO_SOAP_STRUCT)
        return put_object(encoder, field->name, field->type, *(VireoSoapObject *const *)slot, FALSE, error);
    if (field->kind == VIREO_SOAP_ANY)
        return put_value(encoder, field->name, *(VireoSoapValue *const *)slot, error);
    g_string_append_printf(encoder->out, "<%s>", field->name);
    if (!put_scalar(encoder, field, slot, error))
        return FALSE;
    g_string_append_printf(encoder->out, "</%s>", field->name);
    return TRUE;
}

static gboolean present(const VireoSoapField *field, gconstpointer object)
{
    gconstpointer slot = SOAP_AT(object, field->offset);

    if (field->has_offset != VIREO_SOAP_NO_OFFSET)
        return *(const gboolean *)SOAP_AT(object, field->has_offset);
    if (field->kind == VIREO_SOAP_ENUM)
        return *(const int *)slot != 0;
    if (field->kind == VIREO_SOAP_BYTES)
        return ((const VireoSoapBytes *)slot)->data != NULL;
    return *(const gconstpointer *)slot != NULL;
}

static gboolean put_field(Encoder *encoder, const VireoSoapField *field, gconstpointer object, GError **error)
{
    if (field->flags & VIREO_SOAP_MANY) {
        const SoapList *list = SOAP_AT(object, field->offset);
        gsize size = soap_kind_size(field->kind);

        for (guint i = 0; i < list->n; i++)
            if (!put_element(encoder, field, (const char *)list->items + i * size, error))
                return FALSE;
        return TRUE;
    }
    if ((field->flags & VIREO_SOAP_OPTIONAL) && !present(field, object))
        return TRUE;
    return put_element(encoder, field, SOAP_AT(object, field->offset), error);
}

static gboolean put_attributes(Encoder *encoder, const VireoSoapType *type, gconstpointer object, GError **error)
{
    if (type->base && !put_attributes(encoder, type->base, object, error))
        return FALSE;
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoSoapField *field = &type->fields[i];
        gconstpointer slot = SOAP_AT(object, field->offset);

        if (!(field->flags & VIREO_SOAP_ATTRIBUTE) ||
            ((field->flags & VIREO_SOAP_OPTIONAL) && !present(field, object)))
            continue;
        if (field->kind == VIREO_SOAP_STRING && !*(const char *const *)slot)
            return refuse(encoder, error, field->name, "is not set");
        g_string_append_printf(encoder->out, " %s=\"", field->name);
        if (!put_scalar(encoder, field, slot, error))
            return FALSE;
        g_string_append_c(encoder->out, '"');
    }
    return TRUE;
}

static gboolean put_members(Encoder *encoder, const VireoSoapType *type, gconstpointer object, GError **error)
{
    if (type->base && !put_members(encoder, type->base, object, error))
        return FALSE;
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoSoapField *field = &type->fields[i];

        if (field->flags & VIREO_SOAP_ATTRIBUTE)
            continue;
        if (field->flags & VIREO_SOAP_TEXT) {
            if (field->kind == VIREO_SOAP_STRING && !*(const char *const *)SOAP_AT(object, field->offset))
                return refuse(encoder, error, type->name, "has no text");
            if (!put_scalar(encoder, field, SOAP_AT(object, field->offset), error))
                return FALSE;
        } else if (!put_field(encoder, field, object, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean put_object(Encoder *encoder, const char *name, const VireoSoapType *declared,
                           const VireoSoapObject *object, gboolean show_type, GError **error)
{
    const VireoSoapType *type = object->type ? object->type : declared;

    if (!soap_is_a(type, declared))
        return refuse(encoder, error, name, "is of a type that does not belong there");
    if (++encoder->depth > DEPTH_MAX)
        return refuse(encoder, error, name, "goes too deep");
    g_string_append_printf(encoder->out, "<%s", name);
    if (show_type || type != declared)
        put_type(encoder, type->name, FALSE);
    if (!put_attributes(encoder, type, object, error))
        return FALSE;
    g_string_append_c(encoder->out, '>');
    if (!put_members(encoder, type, object, error))
        return FALSE;
    g_string_append_printf(encoder->out, "</%s>", name);
    encoder->depth--;
    return TRUE;
}

char *vireo_soap_encode(const VireoSoapService *service, const VireoSoapOperation *operation,
                        gconstpointer args, GError **error)
{
    g_autoptr(GString) out = g_string_new("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                                          "<e:Envelope xmlns:e=\"" SOAP_NS "\" xmlns:xsi=\"" XSI_NS
                                          "\" xmlns:xsd=\"" XSD_NS "\"><e:Body>");
    Encoder encoder = { service, operation->name, out, 0 };
    const char *prefix = service->qualified ? "" : "s:", *mark = service->qualified ? "" : ":s";

    g_string_append_printf(out, "<%s%s xmlns%s=\"%s\">", prefix, operation->name, mark, service->name_space);
    if (args && !put_members(&encoder, operation->args, args, error))
        return NULL;
    g_string_append_printf(out, "</%s%s></e:Body></e:Envelope>", prefix, operation->name);
    return g_string_free(g_steal_pointer(&out), FALSE);
}
