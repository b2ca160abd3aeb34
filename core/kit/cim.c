/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/cim.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

typedef enum { TEXT, PATH, OBJECT, EMBEDDED } Kind;

typedef struct {
    Kind kind;
    char *text;
    VireoCim *cim;
} Value;

typedef struct {
    char *name, *type;
    gboolean array;
    GArray *values; /* none: null */
} Property;

struct VireoCim {
    char *uri;
    GPtrArray *properties;
};

/* ---- making ---------------------------------------------------------------------- */

static void value_clear(gpointer opaque)
{
    Value *value = opaque;

    g_free(value->text);
    vireo_cim_unref(value->cim);
}

static void property_free(gpointer opaque)
{
    Property *property = opaque;

    g_free(property->name);
    g_free(property->type);
    g_array_unref(property->values);
    g_free(property);
}

VireoCim *vireo_cim_new(const char *uri)
{
    VireoCim *cim = g_atomic_rc_box_new0(VireoCim);

    cim->uri = g_strdup(uri);
    cim->properties = g_ptr_array_new_with_free_func(property_free);
    return cim;
}

VireoCim *vireo_cim_hold(const VireoCim *cim)
{
    return cim ? g_atomic_rc_box_acquire((VireoCim *)cim) : NULL;
}

static void clear(gpointer opaque)
{
    VireoCim *cim = opaque;

    g_free(cim->uri);
    g_ptr_array_unref(cim->properties);
}

void vireo_cim_unref(VireoCim *cim)
{
    if (cim)
        g_atomic_rc_box_release_full(cim, clear);
}

static Property *find(const VireoCim *cim, const char *name)
{
    for (guint i = 0; i < cim->properties->len; i++)
        if (g_ascii_strcasecmp(((Property *)cim->properties->pdata[i])->name, name) == 0)
            return cim->properties->pdata[i];
    return NULL;
}

static Property *need(VireoCim *cim, const char *name, const char *type)
{
    Property *property = find(cim, name);

    if (property)
        return property;
    property = g_new0(Property, 1);
    property->name = g_strdup(name);
    property->type = g_strdup(type);
    property->values = g_array_new(FALSE, TRUE, sizeof(Value));
    g_array_set_clear_func(property->values, value_clear);
    g_ptr_array_add(cim->properties, property);
    return property;
}

/* Takes value. */
static VireoCim *add(VireoCim *cim, const char *name, const char *type, Value value)
{
    Property *property = need(cim, name, type);

    g_array_append_val(property->values, value);
    property->array |= property->values->len > 1;
    return cim;
}

VireoCim *vireo_cim_add(VireoCim *cim, const char *name, const char *type, const char *text)
{
    return add(cim, name, type, (Value){TEXT, g_strdup(text), NULL});
}

VireoCim *vireo_cim_add_number(VireoCim *cim, const char *name, const char *type, guint64 number)
{
    return add(cim, name, type, (Value){TEXT, g_strdup_printf("%" G_GUINT64_FORMAT, number), NULL});
}

VireoCim *vireo_cim_add_item(VireoCim *cim, const char *name, const char *type, const char *text)
{
    need(cim, name, type)->array = TRUE;
    return vireo_cim_add(cim, name, type, text);
}

VireoCim *vireo_cim_add_path(VireoCim *cim, const char *name, const VireoCim *path)
{
    return add(cim, name, NULL, (Value){PATH, NULL, vireo_cim_hold(path)});
}

VireoCim *vireo_cim_add_embedded(VireoCim *cim, const char *name, const VireoCim *instance)
{
    return add(cim, name, NULL, (Value){EMBEDDED, vireo_cim_format(instance), NULL});
}

VireoCim *vireo_cim_add_object(VireoCim *cim, const char *name, const VireoCim *instance)
{
    return add(cim, name, NULL, (Value){OBJECT, NULL, vireo_cim_hold(instance)});
}

VireoCim *vireo_cim_add_null(VireoCim *cim, const char *name)
{
    need(cim, name, NULL);
    return cim;
}

/* ---- reading --------------------------------------------------------------------- */

const char *vireo_cim_uri(const VireoCim *cim)
{
    return cim->uri;
}

const char *vireo_cim_class(const VireoCim *cim)
{
    const char *slash = strrchr(cim->uri, '/');

    return slash ? slash + 1 : cim->uri;
}

static const Value *value_at(const VireoCim *cim, const char *name, guint index)
{
    const Property *property = find(cim, name);

    return property && index < property->values->len ? &g_array_index(property->values, Value, index) : NULL;
}

guint vireo_cim_count(const VireoCim *cim, const char *name)
{
    const Property *property = find(cim, name);

    return property ? property->values->len : 0;
}

const char *vireo_cim_text_at(const VireoCim *cim, const char *name, guint index)
{
    const Value *value = value_at(cim, name, index);

    return value ? value->text : NULL;
}

const char *vireo_cim_text(const VireoCim *cim, const char *name)
{
    return vireo_cim_text_at(cim, name, 0);
}

const char *vireo_cim_string(const VireoCim *cim, const char *name)
{
    const char *text = vireo_cim_text(cim, name);

    return text ? text : "";
}

guint64 vireo_cim_number(const VireoCim *cim, const char *name)
{
    return g_ascii_strtoull(vireo_cim_string(cim, name), NULL, 10);
}

gboolean vireo_cim_flag(const VireoCim *cim, const char *name)
{
    return g_ascii_strcasecmp(vireo_cim_string(cim, name), "true") == 0;
}

/* 2025-12-17T09:55:22.702341Z, or as CIM spells it in texts, 20251217095522.702341+000 */
static gint64 cim_time(const char *text)
{
    guint part[6], us = 0;
    int offset = 0;

    if (sscanf(text, "%4u%2u%2u%2u%2u%2u.%6u%4d", &part[0], &part[1], &part[2], &part[3], &part[4], &part[5], &us,
               &offset) < 6)
        return 0;
    g_autoptr(GDateTime) date =
        g_date_time_new_utc((int)part[0], (int)part[1], (int)part[2], (int)part[3], (int)part[4], part[5]);
    return date ? (g_date_time_to_unix(date) - offset * 60) * G_USEC_PER_SEC + us : 0;
}

gint64 vireo_cim_time(const VireoCim *cim, const char *name)
{
    const char *text = vireo_cim_string(cim, name);
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) date = strchr(text, '-') ? g_date_time_new_from_iso8601(text, utc) : NULL;
    gint64 time = date ? g_date_time_to_unix(date) * G_USEC_PER_SEC + g_date_time_get_microsecond(date) : cim_time(text);

    return MAX(0, time);
}

/* P0DT0H30M0.5S, or 00000000003000.500000:000 */
guint64 vireo_cim_interval(const VireoCim *cim, const char *name)
{
    const char *text = vireo_cim_string(cim, name);
    guint days = 0, hours = 0, minutes = 0, seconds = 0;

    if (sscanf(text, "%8u%2u%2u%2u.", &days, &hours, &minutes, &seconds) == 4)
        return (((days * 24ull + hours) * 60 + minutes) * 60 + seconds) * 1000;
    double total = 0;
    if (*text++ != 'P')
        return 0;
    for (gboolean time = FALSE; *text; text++) {
        char *end;
        double number;

        if (*text == 'T' && (time = TRUE))
            continue;
        number = g_ascii_strtod(text, &end);
        if (end == text || !*end)
            break;
        total += number * (*end == 'D' ? 86400 : *end == 'H' ? 3600 : *end == 'M' && time ? 60 : *end == 'S' ? 1 : 0);
        text = end;
    }
    return (guint64)(total * 1000);
}

const VireoCim *vireo_cim_path_at(const VireoCim *cim, const char *name, guint index)
{
    const Value *value = value_at(cim, name, index);

    return value && value->kind == PATH ? value->cim : NULL;
}

const VireoCim *vireo_cim_path(const VireoCim *cim, const char *name)
{
    return vireo_cim_path_at(cim, name, 0);
}

VireoCim *vireo_cim_dup_object(const VireoCim *cim, const char *name, guint index)
{
    const Value *value = value_at(cim, name, index);

    if (value && value->kind == OBJECT)
        return vireo_cim_hold(value->cim);
    return value && value->text ? vireo_cim_parse(value->text) : NULL;
}

const char *vireo_cim_name_at(const VireoCim *cim, guint index)
{
    return index < cim->properties->len ? ((Property *)cim->properties->pdata[index])->name : NULL;
}

static void print(GString *into, const VireoCim *cim)
{
    g_string_append_printf(into, "%s{", cim->uri);
    for (guint i = 0; i < cim->properties->len; i++) {
        const Property *property = cim->properties->pdata[i];

        g_string_append_printf(into, "%s%s=", i ? "," : "", property->name);
        for (guint j = 0; j < property->values->len; j++) {
            const Value *value = &g_array_index(property->values, Value, j);

            if (j)
                g_string_append_c(into, ';');
            if (value->cim)
                print(into, value->cim);
            else
                g_string_append(into, value->text);
        }
    }
    g_string_append_c(into, '}');
}

char *vireo_cim_print(const VireoCim *cim)
{
    GString *text = g_string_new(NULL);

    print(text, cim);
    return g_string_free(text, FALSE);
}

/* ---- CIM-XML --------------------------------------------------------------------- */

void vireo_cim_escape(GString *into, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        if (c == '<')
            g_string_append(into, "&lt;");
        else if (c == '>')
            g_string_append(into, "&gt;");
        else if (c == '&')
            g_string_append(into, "&amp;");
        else if (c == '"')
            g_string_append(into, "&quot;");
        else if (c == '\r')
            g_string_append(into, "&#13;");
        else if ((c < ' ' && c != '\t' && c != '\n') || c == 0xfffe || c == 0xffff)
            g_string_append_c(into, '?');
        else
            g_string_append_unichar(into, c);
    }
}

static void format_value(GString *into, const Value *value)
{
    g_string_append(into, "<VALUE>");
    if (value->text)
        vireo_cim_escape(into, value->text);
    g_string_append(into, "</VALUE>");
}

char *vireo_cim_format(const VireoCim *cim)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "<INSTANCE CLASSNAME=\"%s\">", vireo_cim_class(cim));
    for (guint i = 0; i < cim->properties->len; i++) {
        const Property *property = cim->properties->pdata[i];
        const char *tag = property->array ? "PROPERTY.ARRAY" : "PROPERTY";

        g_string_append_printf(text, "<%s NAME=\"%s\" TYPE=\"%s\">", tag, property->name,
                               property->type ? property->type : "string");
        if (property->array)
            g_string_append(text, "<VALUE.ARRAY>");
        for (guint j = 0; j < property->values->len; j++)
            format_value(text, &g_array_index(property->values, Value, j));
        g_string_append_printf(text, "%s</%s>", property->array ? "</VALUE.ARRAY>" : "", tag);
    }
    g_string_append(text, "</INSTANCE>");
    return g_string_free(text, FALSE);
}

static gboolean is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && g_str_equal((const char *)node->name, name);
}

static void parse_values(VireoCim *cim, const char *name, const char *type, const xmlNode *node, guint depth)
{
    for (const xmlNode *child = node->children; child && depth; child = child->next)
        if (is(child, "VALUE")) {
            g_autofree char *text = (char *)xmlNodeGetContent(child);

            vireo_cim_add(cim, name, type, text);
        } else if (is(child, "VALUE.ARRAY"))
            parse_values(cim, name, type, child, depth - 1);
}

static VireoCim *parse_instance(const xmlNode *root)
{
    g_autofree char *class = (char *)xmlGetNoNsProp(root, (const xmlChar *)"CLASSNAME");
    VireoCim *cim = vireo_cim_new(class ? class : "");

    for (const xmlNode *node = root->children; node; node = node->next) {
        if (!is(node, "PROPERTY") && !is(node, "PROPERTY.ARRAY"))
            continue;
        g_autofree char *name = (char *)xmlGetNoNsProp(node, (const xmlChar *)"NAME");
        g_autofree char *type = (char *)xmlGetNoNsProp(node, (const xmlChar *)"TYPE");

        if (!name)
            continue;
        need(cim, name, type)->array = is(node, "PROPERTY.ARRAY");
        parse_values(cim, name, type, node, 2);
    }
    return cim;
}

VireoCim *vireo_cim_parse(const char *text)
{
    xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    const xmlNode *root = doc && !doc->intSubset ? xmlDocGetRootElement(doc) : NULL;
    VireoCim *cim = root && is(root, "INSTANCE") ? parse_instance(root) : NULL;

    xmlFreeDoc(doc);
    return cim;
}

/* ---- WMI's spellings ------------------------------------------------------------- */

static void quote(GString *into, const char *text, char mark)
{
    g_string_append_c(into, mark);
    for (; *text; text++) {
        if (*text == '\\' || *text == mark)
            g_string_append_c(into, '\\');
        g_string_append_c(into, *text);
    }
    g_string_append_c(into, mark);
}

char *vireo_wql_quote(const char *text)
{
    GString *quoted = g_string_new(NULL);

    quote(quoted, text, '\'');
    return g_string_free(quoted, FALSE);
}

char *vireo_cim_path_format(const char *space, const char *class, const char *key, const char *value)
{
    GString *text = g_string_new("\\\\.\\");

    for (; *space; space++)
        g_string_append_c(text, *space == '/' ? '\\' : *space);
    g_string_append_printf(text, ":%s.%s=", class, key);
    quote(text, value, '"');
    return g_string_free(text, FALSE);
}

/* Behind HOST and namespace: Class.Key="value",Key="value" */
static const char *path_object(const char *path)
{
    const char *quote_at = strchr(path, '"'), *colon = strchr(path, ':');

    return colon && (!quote_at || colon < quote_at) ? colon + 1 : path;
}

char *vireo_cim_path_class(const char *path)
{
    const char *object = path_object(path);
    gsize len = strcspn(object, ".=");

    return len && object[len] ? g_strndup(object, len) : NULL;
}

char *vireo_cim_path_value(const char *path, const char *key)
{
    const char *at = strchr(path_object(path), '.');

    while (at && at[1]) {
        const char *equals = strchr(at + 1, '=');

        if (!equals || equals[1] != '"')
            return NULL;
        gboolean wanted = (gsize)(equals - at - 1) == strlen(key) &&
                          g_ascii_strncasecmp(at + 1, key, strlen(key)) == 0;
        g_autoptr(GString) value = g_string_new(NULL);
        for (at = equals + 2; *at && *at != '"'; at++) {
            if (*at == '\\' && at[1])
                at++;
            g_string_append_c(value, *at);
        }
        if (!*at)
            return NULL;
        if (wanted)
            return g_strdup(value->str);
        at = at[1] == ',' ? at + 1 : NULL;
    }
    return NULL;
}
