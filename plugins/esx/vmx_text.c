/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "vmx.h"

struct EsxVmx {
    GPtrArray *keys; /* as written */
    GHashTable *values; /* lower case -> value */
};

EsxVmx *esx_vmx_new(void)
{
    EsxVmx *vmx = g_new0(EsxVmx, 1);

    vmx->keys = g_ptr_array_new_with_free_func(g_free);
    vmx->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return vmx;
}

void esx_vmx_free(EsxVmx *vmx)
{
    if (!vmx)
        return;
    g_ptr_array_unref(vmx->keys);
    g_hash_table_unref(vmx->values);
    g_free(vmx);
}

static void store(EsxVmx *vmx, const char *key, char *value)
{
    char *lower = g_ascii_strdown(key, -1);

    if (!g_hash_table_contains(vmx->values, lower))
        g_ptr_array_add(vmx->keys, g_strdup(key));
    g_hash_table_replace(vmx->values, lower, value);
}

static const char *look_up(const EsxVmx *vmx, const char *key, va_list args)
{
    g_autofree char *whole = g_strdup_vprintf(key, args);
    g_autofree char *lower = g_ascii_strdown(whole, -1);
    const char *value = g_hash_table_lookup(vmx->values, lower);

    return value && *value ? value : NULL;
}

const char *esx_vmx_get(const EsxVmx *vmx, const char *key, ...)
{
    va_list args;

    va_start(args, key);
    const char *value = look_up(vmx, key, args);
    va_end(args);
    return value;
}

gboolean esx_vmx_is(const EsxVmx *vmx, gboolean absent, const char *key, ...)
{
    va_list args;

    va_start(args, key);
    const char *value = look_up(vmx, key, args);
    va_end(args);
    return value ? g_ascii_strcasecmp(value, "true") == 0 || g_str_equal(value, "1") : absent;
}

void esx_vmx_set(EsxVmx *vmx, const char *value, const char *key, ...)
{
    va_list args;

    if (!value)
        return;
    va_start(args, key);
    g_autofree char *whole = g_strdup_vprintf(key, args);
    va_end(args);
    store(vmx, whole, g_strdup(value));
}

/* ---- as text: '|22' is a quotation mark ---------------------------------------------------- */

static char *unescape(const char *text, gsize length)
{
    GString *plain = g_string_sized_new(length);

    for (gsize i = 0; i < length; i++)
        if (text[i] == '|' && i + 2 < length && g_ascii_isxdigit(text[i + 1]) && g_ascii_isxdigit(text[i + 2])) {
            g_string_append_c(plain, (char)(g_ascii_xdigit_value(text[i + 1]) * 16 + g_ascii_xdigit_value(text[i + 2])));
            i += 2;
        } else
            g_string_append_c(plain, text[i]);
    return g_string_free(plain, FALSE);
}

static void append_escaped(GString *text, const char *value)
{
    for (; *value; value++)
        if (*value == '"' || *value == '|' || (guchar)*value < 0x20)
            g_string_append_printf(text, "|%02X", (guint)(guchar)*value);
        else
            g_string_append_c(text, *value);
}

static gboolean refuse(GError **error, guint number, const char *what)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG, "VMX file, line %u: %s", number, what);
    return FALSE;
}

static gboolean read_line(EsxVmx *vmx, const char *line, guint number, GError **error)
{
    const char *equals = strchr(line, '=');
    const char *first = equals ? equals + 1 + strspn(equals + 1, " \t") : NULL;
    const char *last = first ? strrchr(first, '"') : NULL;

    if (!*line || *line == '#')
        return TRUE;
    if (!equals || equals == line)
        return refuse(error, number, "it should read KEY = \"VALUE\"");
    if (*first != '"' || last == first)
        return refuse(error, number, "the value should stand in quotation marks");
    g_autofree char *key = g_strchomp(g_strndup(line, (gsize)(equals - line)));
    g_autofree char *value = unescape(first + 1, (gsize)(last - first - 1));
    if (!*key || !g_utf8_validate(value, -1, NULL))
        return refuse(error, number, *key ? "the value is not UTF-8; is .encoding right?" : "the key is missing");
    store(vmx, key, g_steal_pointer(&value));
    return TRUE;
}

/* The text in UTF-8: `.encoding` names another one, which stands first or nowhere. */
static char *decode(const char *text, GError **error)
{
    g_autoptr(GRegex) regex = g_regex_new("^\\s*\\.encoding\\s*=\\s*\"([^\"]*)\"", G_REGEX_MULTILINE | G_REGEX_RAW, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *encoding = g_regex_match(regex, text, 0, &match) ? g_match_info_fetch(match, 1) : NULL;

    if (!encoding || g_ascii_strcasecmp(encoding, "UTF-8") == 0)
        return g_strdup(text);
    g_autoptr(GError) problem = NULL;
    char *plain = g_convert(text, -1, "UTF-8", encoding, NULL, NULL, &problem);
    if (!plain)
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG, "VMX file: .encoding \"%s\": %s", encoding, problem->message);
    return plain;
}

EsxVmx *esx_vmx_parse(const char *text, GError **error)
{
    g_autoptr(EsxVmx) vmx = esx_vmx_new();
    g_autofree char *plain = decode(text, error);
    g_auto(GStrv) lines = plain ? g_strsplit(plain, "\n", -1) : NULL;

    if (!lines)
        return NULL;
    for (guint i = 0; lines[i]; i++)
        if (!read_line(vmx, g_strstrip(lines[i]), i + 1, error))
            return NULL;
    if (vmx->keys->len == 0) {
        refuse(error, 1, "there is nothing in it");
        return NULL;
    }
    return g_steal_pointer(&vmx);
}

char *esx_vmx_format(const EsxVmx *vmx)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < vmx->keys->len; i++) {
        g_string_append_printf(text, "%s = \"", (char *)vmx->keys->pdata[i]);
        append_escaped(text, esx_vmx_get(vmx, "%s", (char *)vmx->keys->pdata[i]) ?: "");
        g_string_append(text, "\"\n");
    }
    return g_string_free(text, FALSE);
}
