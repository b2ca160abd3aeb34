/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors looked up, values looked at. */
#include "kit/soap-private.h"

#include <string.h>

const VireoSoapType *soap_find_type(const VireoSoapService *service, const char *name)
{
    guint low = 0, high = service->n_types;

    while (low < high) {
        guint middle = (low + high) / 2;
        int order = strcmp(name, service->types[middle]->name);

        if (!order)
            return service->types[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const VireoSoapEnum *soap_find_enum(const VireoSoapService *service, const char *name)
{
    for (guint i = 0; i < service->n_enums; i++)
        if (!strcmp(service->enums[i]->name, name))
            return service->enums[i];
    return NULL;
}

gboolean soap_is_a(const VireoSoapType *type, const VireoSoapType *base)
{
    for (; type; type = type->base)
        if (type == base)
            return TRUE;
    return FALSE;
}

const VireoSoapField *soap_find_field(const VireoSoapType *type, const char *name, guint place)
{
    for (; type; type = type->base)
        for (guint i = 0; i < type->n_fields; i++) {
            const VireoSoapField *field = &type->fields[i];

            if ((field->flags & (VIREO_SOAP_ATTRIBUTE | VIREO_SOAP_TEXT)) == place &&
                (!name || !strcmp(field->name, name)))
                return field;
        }
    return NULL;
}

gsize soap_kind_size(VireoSoapKind kind)
{
    static const gsize sizes[] = {
        [VIREO_SOAP_BOOLEAN] = sizeof(gboolean),     [VIREO_SOAP_INT] = sizeof(gint32),
        [VIREO_SOAP_UINT] = sizeof(guint32),         [VIREO_SOAP_LONG] = sizeof(gint64),
        [VIREO_SOAP_ULONG] = sizeof(guint64),        [VIREO_SOAP_DOUBLE] = sizeof(double),
        [VIREO_SOAP_TIME] = sizeof(gint64),          [VIREO_SOAP_STRING] = sizeof(char *),
        [VIREO_SOAP_BYTES] = sizeof(VireoSoapBytes), [VIREO_SOAP_ENUM] = sizeof(int),
        [VIREO_SOAP_STRUCT] = sizeof(gpointer),      [VIREO_SOAP_ANY] = sizeof(gpointer),
    };

    return sizes[kind];
}

static const struct {
    const char *name;
    VireoSoapKind kind;
} simple_types[] = {
    /* The first of a kind is how it is written. */
    { "boolean", VIREO_SOAP_BOOLEAN },    { "int", VIREO_SOAP_INT },
    { "unsignedInt", VIREO_SOAP_UINT },   { "long", VIREO_SOAP_LONG },
    { "unsignedLong", VIREO_SOAP_ULONG }, { "double", VIREO_SOAP_DOUBLE },
    { "dateTime", VIREO_SOAP_TIME },      { "string", VIREO_SOAP_STRING },
    { "base64Binary", VIREO_SOAP_BYTES }, { "byte", VIREO_SOAP_INT },
    { "short", VIREO_SOAP_INT },          { "unsignedShort", VIREO_SOAP_UINT },
    { "unsignedByte", VIREO_SOAP_UINT },  { "float", VIREO_SOAP_DOUBLE },
    { "integer", VIREO_SOAP_LONG },       { "anyURI", VIREO_SOAP_STRING },
    { "anyType", VIREO_SOAP_ANY },
};

const char *soap_kind_name(VireoSoapKind kind)
{
    for (guint i = 0; i < G_N_ELEMENTS(simple_types); i++)
        if (simple_types[i].kind == kind)
            return simple_types[i].name;
    return "string";
}

gboolean soap_kind_named(const char *name, VireoSoapKind *kind)
{
    for (guint i = 0; i < G_N_ELEMENTS(simple_types); i++)
        if (!strcmp(simple_types[i].name, name)) {
            *kind = simple_types[i].kind;
            return TRUE;
        }
    return FALSE;
}

char *soap_array_item(const char *type)
{
    VireoSoapKind kind;

    if (!type || !g_str_has_prefix(type, "ArrayOf") || !type[strlen("ArrayOf")])
        return NULL;
    char *name = g_strdup(type + strlen("ArrayOf"));
    char first = *name;
    *name = g_ascii_tolower(first);
    if (!soap_kind_named(name, &kind))
        *name = first;
    return name;
}

/* ---- for drivers ------------------------------------------------------------------ */

gpointer vireo_soap_cast(gpointer object, const VireoSoapType *type)
{
    return object && soap_is_a(((VireoSoapObject *)object)->type, type) ? object : NULL;
}

const char *vireo_soap_enum_name(const VireoSoapEnum *names, int value)
{
    return value > 0 && (guint)value <= names->n ? names->values[value] : NULL;
}

int vireo_soap_enum_value(const VireoSoapEnum *names, const char *text)
{
    for (guint i = 1; text && i <= names->n; i++)
        if (!strcmp(names->values[i], text))
            return (int)i;
    return 0;
}

const char *vireo_soap_value_text(const VireoSoapValue *value)
{
    return value && value->kind != VIREO_SOAP_RAW ? value->text : NULL;
}

gint64 vireo_soap_value_int(const VireoSoapValue *value, gint64 fallback)
{
    switch (value ? value->kind : VIREO_SOAP_RAW) {
    case VIREO_SOAP_INT:
    case VIREO_SOAP_UINT:
    case VIREO_SOAP_LONG:
    case VIREO_SOAP_TIME:
        return value->integer;
    case VIREO_SOAP_ULONG:
        return value->natural <= G_MAXINT64 ? (gint64)value->natural : fallback;
    default:
        return fallback;
    }
}

gboolean vireo_soap_value_boolean(const VireoSoapValue *value)
{
    return value && value->kind == VIREO_SOAP_BOOLEAN && value->boolean;
}

int vireo_soap_value_enum(const VireoSoapValue *value, const VireoSoapEnum *names)
{
    if (!value)
        return 0;
    if (value->kind == VIREO_SOAP_ENUM)
        return value->choice.names == names ? value->choice.value : 0;
    return value->kind == VIREO_SOAP_STRING ? vireo_soap_enum_value(names, value->text) : 0;
}

gpointer vireo_soap_value_struct(const VireoSoapValue *value, const VireoSoapType *type)
{
    return value && value->kind == VIREO_SOAP_STRUCT ? vireo_soap_cast(value->object, type) : NULL;
}

guint vireo_soap_value_length(const VireoSoapValue *value)
{
    return value && value->kind == VIREO_SOAP_LIST ? value->list.n : 0;
}

const VireoSoapValue *vireo_soap_value_item(const VireoSoapValue *value, guint index)
{
    return index < vireo_soap_value_length(value) ? value->list.items[index] : NULL;
}
