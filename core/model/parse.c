/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From an XML tree to structs, by the descriptors. */
#include "model/table.h"
#include "model/reader.h"

#include <string.h>
#include <libxml/tree.h>

typedef struct {
    guint flags;
    GError **error;
} Parser;

static void node_path(const xmlNode *node, GString *path)
{
    if (node->parent && node->parent->type == XML_ELEMENT_NODE) {
        node_path(node->parent, path);
        g_string_append_c(path, '.');
    }
    if (node->ns && node->ns->prefix)
        g_string_append_printf(path, "%s:", (const char *)node->ns->prefix);
    g_string_append(path, (const char *)node->name);
}

/* Always FALSE, so that callers can return it. */
static gboolean fail(Parser *parser, const xmlNode *node, const char *attribute, int code,
                     const char *format, ...) G_GNUC_PRINTF(5, 6);

static gboolean fail(Parser *parser, const xmlNode *node, const char *attribute, int code,
                     const char *format, ...)
{
    g_autoptr(GString) path = g_string_new(NULL);
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    node_path(node, path);
    if (attribute)
        g_string_append_printf(path, ".%s", attribute);
    g_set_error(parser->error, VIREO_ERROR, code, "(%s):%ld: %s: %s",
                (const char *)node->doc->_private, xmlGetLineNo(node), path->str, message);
    return FALSE;
}

/* The value without copying in the usual case; *@owned is freed by the caller. */
static const char *attribute_value(const xmlAttr *attribute, xmlChar **owned)
{
    const xmlNode *child = attribute->children;

    *owned = NULL;
    if (!child)
        return "";
    if (child->type == XML_TEXT_NODE && !child->next)
        return (const char *)child->content;
    *owned = xmlNodeListGetString(attribute->doc, attribute->children, 1);
    return *owned ? (const char *)*owned : "";
}

/* The same for the text directly inside an element. */
static const char *element_text(const xmlNode *node, char **owned)
{
    g_autoptr(GString) text = NULL;

    *owned = NULL;
    if (node->children && !node->children->next && node->children->type == XML_TEXT_NODE)
        return (const char *)node->children->content;
    for (const xmlNode *child = node->children; child; child = child->next) {
        if (child->type != XML_TEXT_NODE && child->type != XML_CDATA_SECTION_NODE)
            continue;
        if (!text)
            text = g_string_new(NULL);
        g_string_append(text, (const char *)child->content);
    }
    if (!text)
        return "";
    *owned = g_string_free(g_steal_pointer(&text), FALSE);
    return *owned;
}

static gboolean is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

/* Stores one scalar, in the list or in the slot. */
static gboolean store_scalar(Parser *parser, const xmlNode *node, const char *attribute,
                             const VireoModelField *field, const char *text, guint64 unit,
                             gpointer doc)
{
    g_autofree char *trimmed = NULL;
    g_autofree char *expected = NULL;
    gpointer slot = VIREO_MODEL_AT(doc, field->offset);

    if (field->flags & VIREO_MODEL_LIST)
        slot = vireo_model_list_grow(slot, field->size);
    if (field->kind != VIREO_MODEL_STRING && !attribute &&
        (g_ascii_isspace(*text) || (*text && g_ascii_isspace(text[strlen(text) - 1]))))
        text = trimmed = g_strstrip(g_strdup(text));
    if (!vireo_model_scalar_parse(field, text, unit, slot, &expected))
        return fail(parser, node, attribute, field->error ? field->error : VIREO_ERROR_XML_ERROR,
                    "value '%.128s' is not valid, expected %s", text, expected);
    if (field->has_offset != VIREO_MODEL_NO_OFFSET)
        *(gboolean *)VIREO_MODEL_AT(doc, field->has_offset) = TRUE;
    if (parser->flags & VIREO_MODEL_PARSE_INACTIVE && vireo_model_text_is_live(field, doc))
        g_clear_pointer((char **)slot, g_free);
    return TRUE;
}

/* Bytes per unit named by the unit attribute of @node; 0 when there is none. */
static gboolean read_unit(Parser *parser, const xmlNode *node, guint64 *unit)
{
    *unit = 0;
    for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
        xmlChar *owned;
        const char *text;

        if (strcmp((const char *)attribute->name, "unit") != 0)
            continue;
        text = attribute_value(attribute, &owned);
        *unit = vireo_model_unit_bytes(text);
        if (*unit == 0)
            fail(parser, node, "unit", VIREO_ERROR_XML_ERROR,
                 "value '%.128s' is not valid, expected a unit such as b, KB, KiB, MiB, GiB", text);
        xmlFree(owned);
        return *unit != 0;
    }
    return TRUE;
}

static gboolean unknown_attribute(Parser *parser, const xmlNode *node, const xmlAttr *attribute)
{
    return fail(parser, node, (const char *)attribute->name, VIREO_ERROR_CONFIG_UNSUPPORTED,
                attribute->ns ? "unknown attribute of a foreign namespace" : "unknown attribute");
}

static gboolean skips(const Parser *parser, const VireoModelField *field,
                      const VireoModelScope *scope)
{
    return parser->flags & VIREO_MODEL_PARSE_INACTIVE && vireo_model_field_is_live(field, scope);
}

static gboolean has_meaning(Parser *parser, const xmlNode *node, const char *attribute,
                            const VireoModelField *field, const VireoModelScope *scope)
{
    const char *value = NULL;

    return vireo_model_condition_holds(&field->when, scope, &value) ||
           fail(parser, node, attribute, VIREO_ERROR_XML_ERROR, "has no meaning when %s is '%s'",
                field->when.attribute, value);
}

static gboolean parse_attributes(Parser *parser, const xmlNode *node, const VireoModelType *type,
                                 guint64 unit, gpointer doc, const VireoModelScope *scope)
{
    for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
        const char *name = (const char *)attribute->name;
        const VireoModelField *field = vireo_model_find_attribute(type, name);
        xmlChar *owned;
        gboolean ok;

        if (type->memory >= 0 && !attribute->ns && strcmp(name, "unit") == 0)
            continue;
        if (!field || attribute->ns)
            return unknown_attribute(parser, node, attribute);
        if (skips(parser, field, scope))
            continue;
        /* A condition on the same element waits until all its attributes are read. */
        if (field->when.above && !has_meaning(parser, node, name, field, scope))
            return FALSE;
        ok = store_scalar(parser, node, name, field, attribute_value(attribute, &owned), unit, doc);
        xmlFree(owned);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

static const VireoModelField *find_child(const VireoModelType *type, const xmlNode *node)
{
    const char *name = (const char *)node->name;

    if (!node->ns)
        return vireo_model_find_element(type, name);
    for (const VireoModelNamespace *space = vireo_model_namespaces; space->uri; space++) {
        g_autofree char *full = NULL;

        if (strcmp(space->uri, (const char *)node->ns->href) != 0)
            continue;
        full = g_strconcat(space->prefix, ":", name, NULL);
        return vireo_model_find_element(type, full);
    }
    return NULL;
}

/* An element that is nothing but one attribute, text or its presence has no children. */
static gboolean refuse_children(Parser *parser, const xmlNode *node, gboolean text_allowed)
{
    for (const xmlNode *child = node->children; child; child = child->next) {
        if (child->type == XML_ELEMENT_NODE)
            return fail(parser, child, NULL, VIREO_ERROR_CONFIG_UNSUPPORTED, "unknown element");
        if (!text_allowed &&
            (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE) &&
            !is_blank((const char *)child->content))
            return fail(parser, node, NULL, VIREO_ERROR_XML_ERROR, "unexpected text");
    }
    return TRUE;
}

static gboolean parse_folded(Parser *parser, const xmlNode *node, const VireoModelField *field,
                             guint64 unit, gpointer doc)
{
    gboolean seen = FALSE;

    if (!refuse_children(parser, node, FALSE))
        return FALSE;
    for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
        const char *name = (const char *)attribute->name;
        xmlChar *owned;
        gboolean ok;

        if (field->kind == VIREO_MODEL_MEMORY && strcmp(name, "unit") == 0)
            continue;
        if (attribute->ns || strcmp(name, field->attr) != 0)
            return unknown_attribute(parser, node, attribute);
        ok = store_scalar(parser, node, name, field, attribute_value(attribute, &owned), unit, doc);
        xmlFree(owned);
        if (!ok)
            return FALSE;
        seen = TRUE;
    }
    if (seen)
        return TRUE;
    if (!(field->flags & VIREO_MODEL_BLANK))
        return fail(parser, node, field->attr, VIREO_ERROR_XML_ERROR, "missing attribute");
    *(guint32 *)VIREO_MODEL_AT(doc, field->offset) = field->blank;
    return TRUE;
}

static gboolean parse_text_element(Parser *parser, const xmlNode *node,
                                   const VireoModelField *field, guint64 unit, gpointer doc)
{
    g_autofree char *owned = NULL;
    const char *text;

    for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next)
        if (attribute->ns || field->kind != VIREO_MODEL_MEMORY ||
            strcmp((const char *)attribute->name, "unit") != 0)
            return unknown_attribute(parser, node, attribute);
    if (!refuse_children(parser, node, field->kind != VIREO_MODEL_FLAG))
        return FALSE;
    if (field->kind == VIREO_MODEL_FLAG) {
        *(gboolean *)VIREO_MODEL_AT(doc, field->offset) = TRUE;
        return TRUE;
    }
    text = element_text(node, &owned);
    if (*text == '\0' && field->kind == VIREO_MODEL_STRING && !(field->flags & VIREO_MODEL_LIST))
        return TRUE;
    return store_scalar(parser, node, NULL, field, text, unit, doc);
}

/* libxml2 writes namespace names without escaping them. */
static gboolean namespaces_writable(const xmlNode *node)
{
    for (const xmlNs *space = node->nsDef; space; space = space->next)
        if (space->href && strpbrk((const char *)space->href, "<&\"'"))
            return FALSE;
    for (const xmlNode *child = node->children; child; child = child->next)
        if (child->type == XML_ELEMENT_NODE && !namespaces_writable(child))
            return FALSE;
    return TRUE;
}

/* The element as text; NULL when it cannot be written. */
static char *dump_raw(const xmlNode *node)
{
    xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlBuffer *buffer = xmlBufferCreate();
    xmlNode *copy;
    char *text = NULL;

    /* Copying carries along the namespaces that were declared further up. */
    copy = xmlDocCopyNode((xmlNode *)node, doc, 1);
    xmlDocSetRootElement(doc, copy);
    if (namespaces_writable(copy)) {
        xmlNodeDump(buffer, doc, copy, 0, 0);
        text = g_strdup((const char *)xmlBufferContent(buffer));
    }
    xmlBufferFree(buffer);
    xmlFreeDoc(doc);
    return text;
}

static gpointer parse_struct(Parser *parser, const xmlNode *node, const VireoModelType *type,
                             const VireoModelScope *above);

/* A definition does not keep an element that only held what describes a running object. */
static gboolean parse_struct_into(Parser *parser, const xmlNode *node, const VireoModelField *field,
                                  gpointer slot, const VireoModelScope *scope)
{
    gpointer child = parse_struct(parser, node, field->type, scope);

    if (!child)
        return FALSE;
    if (parser->flags & VIREO_MODEL_PARSE_INACTIVE && node->properties &&
        vireo_model_struct_blank(field->type, child)) {
        vireo_model_free(field->type, child);
        return TRUE;
    }
    if (field->flags & VIREO_MODEL_LIST)
        slot = vireo_model_list_grow(slot, sizeof(gpointer));
    *(gpointer *)slot = child;
    return TRUE;
}

static gboolean parse_child(Parser *parser, const xmlNode *node, const VireoModelField *field,
                            gpointer doc, const VireoModelScope *scope)
{
    gpointer slot = VIREO_MODEL_AT(doc, field->offset);
    guint64 unit = 0;

    if (!(field->flags & VIREO_MODEL_LIST) && vireo_model_field_present(field, doc))
        return fail(parser, node, NULL, VIREO_ERROR_XML_ERROR, "given more than once");
    if (field->line_offset != VIREO_MODEL_NO_OFFSET)
        *(guint *)VIREO_MODEL_AT(doc, field->line_offset) = (guint)xmlGetLineNo(node);
    if (field->kind == VIREO_MODEL_STRUCT)
        return parse_struct_into(parser, node, field, slot, scope);
    if (field->kind == VIREO_MODEL_RAW) {
        *(char **)slot = dump_raw(node);
        return *(char **)slot || fail(parser, node, NULL, VIREO_ERROR_XML_ERROR,
                                      "a namespace name holds <, & or a quote");
    }
    if (field->kind == VIREO_MODEL_MEMORY && !read_unit(parser, node, &unit))
        return FALSE;
    return field->attr ? parse_folded(parser, node, field, unit, doc)
                       : parse_text_element(parser, node, field, unit, doc);
}

static gboolean parse_children(Parser *parser, const xmlNode *node, const VireoModelType *type,
                               gpointer doc, const VireoModelScope *scope)
{
    for (const xmlNode *child = node->children; child; child = child->next) {
        const VireoModelField *field;

        if (type->text < 0 &&
            (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE) &&
            !is_blank((const char *)child->content))
            return fail(parser, node, NULL, VIREO_ERROR_XML_ERROR, "unexpected text");
        if (child->type != XML_ELEMENT_NODE)
            continue;
        field = find_child(type, child);
        if (!field)
            return fail(parser, child, NULL, VIREO_ERROR_CONFIG_UNSUPPORTED, "unknown element");
        if (skips(parser, field, scope))
            continue;
        if (!has_meaning(parser, child, NULL, field, scope) ||
            !parse_child(parser, child, field, doc, scope))
            return FALSE;
    }
    return TRUE;
}

static void apply_default(const VireoModelField *field, gpointer doc)
{
    gpointer slot = VIREO_MODEL_AT(doc, field->offset);

    if (field->size == 4)
        *(guint32 *)slot = (guint32)field->fallback;
    else
        *(guint64 *)slot = field->fallback;
    if (field->has_offset != VIREO_MODEL_NO_OFFSET)
        *(gboolean *)VIREO_MODEL_AT(doc, field->has_offset) = TRUE;
}

/* An empty struct of @type, with its defaults and the structs that are always there. */
static gpointer struct_new(const VireoModelType *type, guint line)
{
    gpointer doc = g_malloc0(type->size);

    *(guint *)doc = line;
    return doc;
}

static void complete(const VireoModelType *type, gpointer doc)
{
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoModelField *field = &type->fields[i];
        gpointer child;

        if (field->flags & VIREO_MODEL_DEFAULT && !vireo_model_field_present(field, doc))
            apply_default(field, doc);
        if (!(field->flags & VIREO_MODEL_ALWAYS) || vireo_model_field_present(field, doc))
            continue;
        child = struct_new(field->type, *(guint *)doc);
        complete(field->type, child);
        *(gpointer *)VIREO_MODEL_AT(doc, field->offset) = child;
    }
}

/* What hangs on another attribute of the same element, now that all are known. */
static gboolean check_conditions(Parser *parser, const xmlNode *node, const VireoModelScope *scope)
{
    for (guint i = 0; i < scope->type->n_attributes; i++) {
        const VireoModelField *field = &scope->type->fields[i];

        if (field->when.attribute && !field->when.above &&
            vireo_model_field_present(field, scope->doc) &&
            !has_meaning(parser, node, field->name, field, scope))
            return FALSE;
    }
    return TRUE;
}

static void default_attributes(const VireoModelType *type, gpointer doc)
{
    for (guint i = 0; i < type->n_attributes; i++) {
        const VireoModelField *field = &type->fields[i];

        if (field->flags & VIREO_MODEL_DEFAULT && !vireo_model_field_present(field, doc))
            apply_default(field, doc);
    }
}

static gboolean check_required(Parser *parser, const xmlNode *node, const VireoModelType *type,
                               gconstpointer doc)
{
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoModelField *field = &type->fields[i];

        if (!(field->flags & VIREO_MODEL_REQUIRED) || vireo_model_field_present(field, doc))
            continue;
        return fail(parser, node, field->name, VIREO_ERROR_XML_ERROR, "missing %s",
                    field->place == VIREO_MODEL_ATTRIBUTE ? "attribute"
                    : field->place == VIREO_MODEL_TEXT    ? "text"
                                                          : "element");
    }
    return TRUE;
}

static gboolean parse_own_text(Parser *parser, const xmlNode *node, const VireoModelType *type,
                               guint64 unit, gpointer doc)
{
    g_autofree char *owned = NULL;
    const char *text;

    if (type->text < 0)
        return TRUE;
    text = element_text(node, &owned);
    if (*text == '\0' ||
        ((type->n_elements || type->fields[type->text].kind != VIREO_MODEL_STRING) &&
         is_blank(text)))
        return TRUE;
    return store_scalar(parser, node, NULL, &type->fields[type->text], text, unit, doc);
}

static gpointer parse_struct(Parser *parser, const xmlNode *node, const VireoModelType *type,
                             const VireoModelScope *above)
{
    gpointer doc = struct_new(type, (guint)xmlGetLineNo(node));
    VireoModelScope scope = { above, type, doc };
    guint64 unit = 0;

    if ((type->memory >= 0 && !read_unit(parser, node, &unit)) ||
        !parse_attributes(parser, node, type, unit, doc, &scope) ||
        !parse_own_text(parser, node, type, unit, doc)) {
        vireo_model_free(type, doc);
        return NULL;
    }
    default_attributes(type, doc);
    if (!check_conditions(parser, node, &scope) ||
        !parse_children(parser, node, type, doc, &scope) ||
        !check_required(parser, node, type, doc)) {
        vireo_model_free(type, doc);
        return NULL;
    }
    complete(type, doc);
    return doc;
}

static gboolean flags_known(guint flags, GError **error)
{
    const guint unknown = flags & ~(VIREO_MODEL_PARSE_VALIDATE | VIREO_MODEL_PARSE_INACTIVE);

    if (unknown)
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG, "unknown parse flags 0x%x",
                    unknown);
    return unknown == 0;
}

/* The schema says little about where and why; the parser, made from the same tables, knows. */
static gboolean validate(const VireoModelType *type, const xmlNode *root, GError **error)
{
    g_autoptr(GError) vague = NULL;
    g_autoptr(GError) precise = NULL;
    Parser parser = { .error = &precise };
    gpointer doc;

    if (vireo_model_schema_validate(type, (const char *)root->name, root->doc, &vague))
        return TRUE;
    doc = parse_struct(&parser, root, type, NULL);
    vireo_model_free(type, doc);
    if (precise)
        g_set_error(error, VIREO_ERROR, vague->code,
                    "XML document failed to validate against schema: %s", precise->message);
    else
        g_propagate_error(error, g_steal_pointer(&vague));
    return FALSE;
}

gpointer vireo_model_parse(const VireoModelType *type, const char *element, const char *xml,
                           gssize length, guint flags, GError **error)
{
    Parser parser = { .flags = flags, .error = error };
    const xmlNode *root;
    xmlDoc *tree;
    gpointer doc = NULL;

    g_return_val_if_fail(type && xml, NULL);
    if (!element)
        element = type->element;
    tree = flags_known(flags, error) ? vireo_model_read(xml, length, type->label, error) : NULL;
    if (!tree)
        return NULL;
    root = xmlDocGetRootElement(tree);
    if (root->ns || strcmp((const char *)root->name, element) != 0)
        fail(&parser, root, NULL, VIREO_ERROR_XML_ERROR,
             "unexpected root element <%s>, expecting <%s>", (const char *)root->name, element);
    else if (!(flags & VIREO_MODEL_PARSE_VALIDATE) || validate(type, root, error))
        doc = parse_struct(&parser, root, type, NULL);
    xmlFreeDoc(tree);
    return doc;
}

gpointer vireo_model_parse_member(const VireoModelType *type, const char *xml, gssize length,
                                  guint flags, GError **error)
{
    Parser parser = { .flags = flags, .error = error };
    const VireoModelField *field;
    const xmlNode *root;
    xmlDoc *tree;
    gpointer doc = NULL;
    VireoModelScope scope = { NULL, type, NULL };

    g_return_val_if_fail(type && xml, NULL);
    tree = flags_known(flags, error) ? vireo_model_read(xml, length, type->label, error) : NULL;
    if (!tree)
        return NULL;
    root = xmlDocGetRootElement(tree);
    field = find_child(type, root);
    if (!field) {
        fail(&parser, root, NULL, VIREO_ERROR_XML_ERROR,
             "unexpected root element <%s>, expecting one that belongs in <%s>",
             (const char *)root->name, type->element);
    } else if (!(flags & VIREO_MODEL_PARSE_VALIDATE) || field->kind != VIREO_MODEL_STRUCT ||
               validate(field->type, root, error)) {
        scope.doc = doc = struct_new(type, (guint)xmlGetLineNo(root));
        if (!parse_child(&parser, root, field, doc, &scope)) {
            vireo_model_free(type, doc);
            doc = NULL;
        }
    }
    xmlFreeDoc(tree);
    return doc;
}
