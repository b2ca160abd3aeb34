/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The generated RELAX NG schema, as libxml2 runs it. */
#include "model/table.h"

#include <libxml/relaxng.h>

#define RNG_HEAD                                                                                   \
    "<grammar xmlns='http://relaxng.org/ns/structure/1.0' "                                        \
    "datatypeLibrary='http://www.w3.org/2001/XMLSchema-datatypes'>"

static void keep_first_error(void *data, xmlErrorPtr problem)
{
    GError **first = data;

    if (*first)
        return;
    g_set_error(first, VIREO_ERROR, VIREO_ERROR_XML_INVALID_SCHEMA, "%d: %s", problem->line,
                problem->message ? problem->message : "does not match");
    g_strchomp((*first)->message);
}

static xmlRelaxNG *schema_compile(const VireoModelType *type, const char *element, GError **error)
{
    g_autoptr(GString) text = g_string_new(RNG_HEAD);
    xmlRelaxNGParserCtxt *context;
    xmlRelaxNG *schema;

    g_string_append_printf(text, "<start><element name='%s'><ref name='%s'/></element></start>",
                           element, type->name);
    for (const char *const *piece = vireo_model_schema_text; *piece; piece++)
        g_string_append(text, *piece);
    for (const VireoModelEnum *const *names = vireo_model_open_enums; *names; names++)
        for (int i = 0; i < g_atomic_int_get(&(*names)->own->n); i++)
            g_string_append_printf(text, "<define name='%s-own' combine='choice'><value>%s</value></define>",
                                   (*names)->name, (*names)->own->names[i]);
    g_string_append(text, "</grammar>");
    context = xmlRelaxNGNewMemParserCtxt(text->str, (int)text->len);
    xmlRelaxNGSetParserStructuredErrors(context, keep_first_error, error);
    schema = xmlRelaxNGParse(context);
    xmlRelaxNGFreeParserCtxt(context);
    return schema;
}

/* Compiled once per root and kept: a compiled schema may be shared between threads. */
static xmlRelaxNG *schema_for(const VireoModelType *type, const char *element, GError **error)
{
    static GMutex lock;
    static GHashTable *compiled;
    g_autofree char *key = g_strconcat(element, " ", type->name, NULL);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);
    xmlRelaxNG *schema;

    if (!compiled)
        compiled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    schema = g_hash_table_lookup(compiled, key);
    if (schema)
        return schema;
    schema = schema_compile(type, element, error);
    if (schema)
        g_hash_table_insert(compiled, g_steal_pointer(&key), schema);
    return schema;
}

gboolean vireo_model_schema_validate(const VireoModelType *type, const char *element,
                                     gpointer xml_doc, GError **error)
{
    g_autoptr(GError) problem = NULL;
    xmlRelaxNG *schema = schema_for(type, element, &problem);
    xmlRelaxNGValidCtxt *context;
    int result = -1;

    if (schema) {
        context = xmlRelaxNGNewValidCtxt(schema);
        xmlRelaxNGSetValidStructuredErrors(context, keep_first_error, &problem);
        result = xmlRelaxNGValidateDoc(context, xml_doc);
        xmlRelaxNGFreeValidCtxt(context);
    }
    if (result == 0)
        return TRUE;
    g_set_error(error, VIREO_ERROR,
                result > 0 ? VIREO_ERROR_XML_INVALID_SCHEMA : VIREO_ERROR_INTERNAL_ERROR,
                "XML document failed to validate against schema: (%s):%s", type->label,
                problem ? problem->message : "0: does not match");
    return FALSE;
}
