/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/table.h"

#include <errno.h>
#include <string.h>

#include "util/uuid.h"

#define OWN_VALUE_MAX 32 /* bytes */

static const struct {
    const char *name;
    guint64 bytes;
} units[] = {
    { "KiB", G_GUINT64_CONSTANT(1) << 10 }, { "MiB", G_GUINT64_CONSTANT(1) << 20 },
    { "GiB", G_GUINT64_CONSTANT(1) << 30 }, { "TiB", G_GUINT64_CONSTANT(1) << 40 },
    { "PiB", G_GUINT64_CONSTANT(1) << 50 }, { "EiB", G_GUINT64_CONSTANT(1) << 60 },
    { "bytes", 1 },                         { "byte", 1 },
    { "b", 1 },                             { "k", G_GUINT64_CONSTANT(1) << 10 },
    { "M", G_GUINT64_CONSTANT(1) << 20 },   { "G", G_GUINT64_CONSTANT(1) << 30 },
    { "T", G_GUINT64_CONSTANT(1) << 40 },   { "P", G_GUINT64_CONSTANT(1) << 50 },
    { "E", G_GUINT64_CONSTANT(1) << 60 },   { "KB", 1000 },
    { "MB", 1000000 },                      { "GB", 1000000000 },
    { "TB", 1000000000000 },                { "PB", 1000000000000000 },
    { "EB", 1000000000000000000 },
};

guint64 vireo_model_unit_bytes(const char *unit)
{
    for (gsize i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_ascii_strcasecmp(units[i].name, unit) == 0)
            return units[i].bytes;
    return 0;
}

/* As clients are used to see them: mebibytes only ever appear in short. */
const char *vireo_model_unit_name(guint64 bytes)
{
    return bytes == 1 ? "bytes" : bytes == 1024 ? "KiB" : "M";
}

static guint own_values(const VireoModelEnum *names)
{
    return names->own ? (guint)g_atomic_int_get(&names->own->n) : 0;
}

const char *vireo_model_enum_to_string(const VireoModelEnum *names, int value)
{
    if (value <= 0)
        return NULL;
    if ((guint)value <= names->n)
        return names->names[value];
    return (guint)value - names->n <= own_values(names) ? names->own->names[(guint)value - names->n - 1] : NULL;
}

static int own_value(const VireoModelEnum *names, const char *text)
{
    for (guint i = 0; i < own_values(names); i++)
        if (strcmp(text, names->own->names[i]) == 0)
            return (int)(names->n + i + 1);
    return 0;
}

static gboolean spelling_fine(const char *text)
{
    gsize len = text ? strlen(text) : 0;

    return len > 0 && len <= OWN_VALUE_MAX &&
           strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._") == len;
}

int vireo_model_enum_from_string(const VireoModelEnum *names, const char *text)
{
    guint low = 0, high = names->n;

    if (!text)
        return 0;
    while (low < high) {
        guint middle = (low + high) / 2;
        int order = strcmp(text, names->names[names->sorted[middle]]);

        if (order == 0)
            return names->sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return own_value(names, text);
}

int vireo_model_enum_add(const VireoModelEnum *names, const char *text)
{
    static GMutex lock;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);
    int value = vireo_model_enum_from_string(names, text);
    guint n = own_values(names);

    if (value || !names->own || n == VIREO_MODEL_OWN_VALUES || !spelling_fine(text))
        return value;
    names->own->names[n] = g_strdup(text);
    g_atomic_int_set(&names->own->n, (int)n + 1);
    return (int)(names->n + n + 1);
}

const char *vireo_tristate_to_string(VireoTristate value)
{
    return value == VIREO_TRISTATE_YES ? "yes" : value == VIREO_TRISTATE_NO ? "no" : NULL;
}

gboolean vireo_model_uuid_parse(const char *text, guint8 uuid[16])
{
    for (guint i = 0; i < 16; i++) {
        int high, low;

        if (i > 0 && *text == '-')
            text++;
        high = g_ascii_xdigit_value(text[0]);
        low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);
        if (low < 0)
            return FALSE;
        uuid[i] = (guint8)(high << 4 | low);
        text += 2;
    }
    return *text == '\0';
}

void vireo_model_uuid_format(const guint8 uuid[16], char text[37])
{
    vireo_uuid_format(uuid, text);
}

static const VireoModelField *find(const VireoModelType *type, const guint16 *sorted, guint n,
                                   const char *name)
{
    guint low = 0, high = n;

    while (low < high) {
        guint middle = (low + high) / 2;
        const VireoModelField *field = &type->fields[sorted[middle]];
        int order = strcmp(name, field->name);

        if (order == 0)
            return field;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const VireoModelField *vireo_model_find_attribute(const VireoModelType *type, const char *name)
{
    return find(type, type->attributes, type->n_attributes, name);
}

const VireoModelField *vireo_model_find_element(const VireoModelType *type, const char *name)
{
    return find(type, type->elements, type->n_elements, name);
}

gpointer vireo_model_list_grow(VireoModelList *list, gsize size)
{
    gpointer slot;

    if ((list->n & (list->n - 1)) == 0)
        list->items = g_realloc_n(list->items, list->n ? list->n * 2 : 1, size);
    slot = VIREO_MODEL_AT(list->items, list->n * size);
    memset(slot, 0, size);
    list->n++;
    return slot;
}

gboolean vireo_model_field_is_default(const VireoModelField *field, gconstpointer doc)
{
    gconstpointer slot = VIREO_MODEL_CAT(doc, field->offset);

    if (!(field->flags & VIREO_MODEL_DEFAULT) || field->flags & VIREO_MODEL_LIST)
        return FALSE;
    if (field->size == 4)
        return *(const guint32 *)slot == (guint32)field->fallback;
    return *(const guint64 *)slot == field->fallback;
}

gboolean vireo_model_condition_holds(const VireoModelCondition *condition,
                                     const VireoModelScope *scope, const char **attribute_text)
{
    const VireoModelField *field;
    int value;

    if (condition->above)
        scope = scope->above;
    field = condition->attribute && scope
                ? vireo_model_find_attribute(scope->type, condition->attribute)
                : NULL;
    if (!field || field->kind != VIREO_MODEL_ENUM)
        return TRUE;
    value = *(const int *)VIREO_MODEL_CAT(scope->doc, field->offset);
    *attribute_text = vireo_model_enum_to_string(field->names, value);
    return value == 0 || (value < 64 && condition->values & (G_GUINT64_CONSTANT(1) << value));
}

gboolean vireo_model_struct_blank(const VireoModelType *type, gconstpointer doc)
{
    for (guint i = 0; i < type->n_fields; i++)
        if (vireo_model_field_used(&type->fields[i], doc))
            return FALSE;
    return TRUE;
}

gboolean vireo_model_text_is_live(const VireoModelField *field, gconstpointer doc)
{
    const char *prefix = field->live_prefix;
    const char *text;

    if (!prefix)
        return FALSE;
    text = *(const char *const *)VIREO_MODEL_CAT(doc, field->offset);
    if (!text)
        return FALSE;
    return *prefix == '!' ? !g_str_has_prefix(text, prefix + 1) : g_str_has_prefix(text, prefix);
}

gboolean vireo_model_field_is_live(const VireoModelField *field, const VireoModelScope *scope)
{
    const char *value = NULL;

    if (field->flags & VIREO_MODEL_LIVE || vireo_model_text_is_live(field, scope->doc))
        return TRUE;
    return field->live_when.attribute &&
           vireo_model_condition_holds(&field->live_when, scope, &value) && value;
}

/* errno: to wait for another thread's first use of the locale leaves something else there. */
static gboolean parse_unsigned(const VireoModelField *field, const char *text, guint base,
                               guint64 *value)
{
    char *end;

    if (!g_ascii_isxdigit(*text))
        return FALSE;
    errno = 0;
    *value = g_ascii_strtoull(text, &end, base);
    return errno != ERANGE && *end == '\0' && *value <= field->max &&
           (field->min <= 0 || *value >= (guint64)field->min);
}

static gboolean parse_signed(const VireoModelField *field, const char *text, gint64 *value)
{
    char *end;

    if (!g_ascii_isdigit(*text) && !(*text == '-' && g_ascii_isdigit(text[1])))
        return FALSE;
    errno = 0;
    *value = g_ascii_strtoll(text, &end, 10);
    return errno != ERANGE && *end == '\0' && *value >= field->min &&
           (*value < 0 || (guint64)*value <= field->max);
}

static gboolean parse_memory(const VireoModelField *field, const char *text, guint64 unit,
                             guint64 *value)
{
    guint64 factor = unit ? unit : field->default_unit;
    VireoModelField plain = { .max = G_MAXUINT64 };

    if (!parse_unsigned(&plain, text, 10, value))
        return FALSE;
    if (*value != 0 && factor > (guint64)G_MAXINT64 / *value)
        return FALSE;
    *value *= factor;
    *value = *value / field->unit_bytes + (*value % field->unit_bytes != 0);
    return *value <= field->max && (field->min <= 0 || *value >= (guint64)field->min);
}

static gboolean cpuset_valid(const char *text)
{
    guint64 first, last;
    char *end;

    for (;;) {
        if (*text == '^')
            text++;
        if (!g_ascii_isdigit(*text))
            return FALSE;
        first = last = g_ascii_strtoull(text, &end, 10);
        if (*end == '-') {
            if (!g_ascii_isdigit(end[1]))
                return FALSE;
            last = g_ascii_strtoull(end + 1, &end, 10);
        }
        if (first > last || last > 1024 * 1024)
            return FALSE;
        if (*end == '\0')
            return TRUE;
        if (*end != ',')
            return FALSE;
        for (text = end + 1; *text == ' '; text++)
            ;
    }
}

static gboolean mac_valid(const char *text)
{
    for (guint i = 0; i < 6; i++, text += 3) {
        if (!g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1]))
            return FALSE;
        if (text[2] != (i == 5 ? '\0' : ':'))
            return FALSE;
    }
    return TRUE;
}

static gboolean hex_digits_valid(const char *text, gsize length)
{
    gsize n = strlen(text);

    return n > 0 && (length == 0 || n == length) && strspn(text, "0123456789abcdefABCDEF") == n;
}

static const char *string_expected(const VireoModelField *field, const char *text)
{
    if (strlen(text) > field->max)
        return "a shorter text";
    switch ((VireoModelSyntax)field->syntax) {
    case VIREO_MODEL_SYNTAX_ANY:
        return NULL;
    case VIREO_MODEL_SYNTAX_NAME:
        return *text && !strpbrk(text, "/\n") ? NULL : "a name, not empty and without '/'";
    case VIREO_MODEL_SYNTAX_LINE:
        return strchr(text, '\n') ? "a single line" : NULL;
    case VIREO_MODEL_SYNTAX_PATH:
        return *text == '/' ? NULL : "an absolute path";
    case VIREO_MODEL_SYNTAX_MAC:
        return mac_valid(text) ? NULL : "a MAC address such as 52:54:00:12:34:56";
    case VIREO_MODEL_SYNTAX_CPUSET:
        return cpuset_valid(text) ? NULL : "a set such as 0-3,^2,8";
    case VIREO_MODEL_SYNTAX_WWN:
        return hex_digits_valid(text, 16) ? NULL : "16 hexadecimal digits";
    case VIREO_MODEL_SYNTAX_DIGITS:
        return hex_digits_valid(g_str_has_prefix(text, "0x") ? text + 2 : text, 0)
                   ? NULL
                   : "hexadecimal digits";
    }
    g_return_val_if_reached("a string");
}

static char *number_expected(const VireoModelField *field)
{
    if (field->kind == VIREO_MODEL_INT || field->kind == VIREO_MODEL_INT64)
        return g_strdup_printf("a whole number from %" G_GINT64_FORMAT " to %" G_GUINT64_FORMAT,
                               field->min, field->max);
    if (field->kind == VIREO_MODEL_MEMORY)
        return g_strdup_printf("a size, with its unit from %" G_GINT64_FORMAT
                               " to %" G_GUINT64_FORMAT " %s",
                               MAX(field->min, 0), field->max,
                               vireo_model_unit_name(field->unit_bytes));
    if (field->kind == VIREO_MODEL_HEX)
        return g_strdup_printf("a number from 0x%" G_GINT64_MODIFIER "x to 0x%" G_GINT64_MODIFIER
                               "x",
                               (guint64)MAX(field->min, 0), field->max);
    return g_strdup_printf("a whole number from %" G_GINT64_FORMAT " to %" G_GUINT64_FORMAT,
                           MAX(field->min, 0), field->max);
}

static char *enum_expected(const VireoModelEnum *names)
{
    GString *list = g_string_new("one of ");

    for (guint i = 1; i <= names->n; i++)
        g_string_append_printf(list, "%s%s", i > 1 ? ", " : "", names->names[i]);
    for (guint i = 0; i < own_values(names); i++)
        g_string_append_printf(list, ", %s", names->own->names[i]);
    return g_string_free(list, FALSE);
}

static gboolean parse_tristate(const char *text, const char *yes, const char *no, gpointer slot)
{
    VireoTristate value = strcmp(text, yes) == 0  ? VIREO_TRISTATE_YES
                          : strcmp(text, no) == 0 ? VIREO_TRISTATE_NO
                                                  : VIREO_TRISTATE_UNSET;

    *(VireoTristate *)slot = value;
    return value != VIREO_TRISTATE_UNSET;
}

static gboolean parse_string(const VireoModelField *field, const char *text, gpointer slot,
                             char **expected)
{
    const char *problem = string_expected(field, text);

    if (problem) {
        *expected = g_strdup(problem);
        return FALSE;
    }
    *(char **)slot = field->syntax == VIREO_MODEL_SYNTAX_MAC ? g_ascii_strdown(text, -1)
                                                             : g_strdup(text);
    return TRUE;
}

gboolean vireo_model_scalar_parse(const VireoModelField *field, const char *text, guint64 unit,
                                  gpointer slot, char **expected)
{
    guint64 number = 0;
    gint64 integer = 0;

    switch ((VireoModelKind)field->kind) {
    case VIREO_MODEL_STRING:
        return parse_string(field, text, slot, expected);
    case VIREO_MODEL_ENUM:
        *(int *)slot = vireo_model_enum_from_string(field->names, text);
        if (*(int *)slot)
            return TRUE;
        *expected = enum_expected(field->names);
        return FALSE;
    case VIREO_MODEL_YESNO:
        if (parse_tristate(text, "yes", "no", slot))
            return TRUE;
        *expected = g_strdup("yes or no");
        return FALSE;
    case VIREO_MODEL_ONOFF:
        if (parse_tristate(text, "on", "off", slot))
            return TRUE;
        *expected = g_strdup("on or off");
        return FALSE;
    case VIREO_MODEL_UUID:
        if (vireo_model_uuid_parse(text, slot))
            return TRUE;
        *expected = g_strdup("a UUID of 32 hexadecimal digits");
        return FALSE;
    case VIREO_MODEL_UINT:
        if (parse_unsigned(field, text, 10, &number)) {
            *(guint32 *)slot = (guint32)number;
            return TRUE;
        }
        break;
    case VIREO_MODEL_UINT64:
        if (parse_unsigned(field, text, 10, slot))
            return TRUE;
        break;
    case VIREO_MODEL_HEX:
        if (parse_unsigned(field, text, 0, slot))
            return TRUE;
        break;
    case VIREO_MODEL_MEMORY:
        if (parse_memory(field, text, unit, slot))
            return TRUE;
        break;
    case VIREO_MODEL_INT:
        if (parse_signed(field, text, &integer)) {
            *(gint32 *)slot = (gint32)integer;
            return TRUE;
        }
        break;
    case VIREO_MODEL_INT64:
        if (parse_signed(field, text, slot))
            return TRUE;
        break;
    case VIREO_MODEL_FLAG:
    case VIREO_MODEL_RAW:
    case VIREO_MODEL_STRUCT:
        g_return_val_if_reached(FALSE);
    }
    *expected = number_expected(field);
    return FALSE;
}

/* @value in @base, at least @width digits. */
static void append_number(GString *out, guint64 value, guint base, guint width)
{
    char digits[24];
    guint at = sizeof(digits);

    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (sizeof(digits) - at < width)
        digits[--at] = '0';
    g_string_append_len(out, digits + at, (gssize)(sizeof(digits) - at));
}

static void append_signed(GString *out, gint64 value)
{
    if (value < 0)
        g_string_append_c(out, '-');
    append_number(out, value < 0 ? 0 - (guint64)value : (guint64)value, 10, 1);
}

static void append_hex(const VireoModelField *field, gconstpointer doc, guint64 value, GString *out)
{
    if (field->hex_offset &&
        *(const guint32 *)VIREO_MODEL_CAT(doc, field->hex_offset) != field->hex_value) {
        append_number(out, value, 10, 1);
        return;
    }
    g_string_append_len(out, "0x", 2);
    append_number(out, value, 16, field->width);
}

void vireo_model_scalar_format(const VireoModelField *field, gconstpointer doc, gconstpointer slot,
                               GString *out)
{
    char uuid[37];
    int value;

    switch ((VireoModelKind)field->kind) {
    case VIREO_MODEL_STRING:
        g_string_append(out, *(const char *const *)slot);
        return;
    case VIREO_MODEL_ENUM:
        value = *(const int *)slot;
        g_return_if_fail(vireo_model_enum_to_string(field->names, value));
        g_string_append(out, vireo_model_enum_to_string(field->names, value));
        return;
    case VIREO_MODEL_YESNO:
        g_string_append(out, *(const VireoTristate *)slot == VIREO_TRISTATE_YES ? "yes" : "no");
        return;
    case VIREO_MODEL_ONOFF:
        g_string_append(out, *(const VireoTristate *)slot == VIREO_TRISTATE_YES ? "on" : "off");
        return;
    case VIREO_MODEL_UUID:
        vireo_model_uuid_format(slot, uuid);
        g_string_append(out, uuid);
        return;
    case VIREO_MODEL_UINT:
        append_number(out, *(const guint32 *)slot, 10, 1);
        return;
    case VIREO_MODEL_INT:
        append_signed(out, *(const gint32 *)slot);
        return;
    case VIREO_MODEL_UINT64:
    case VIREO_MODEL_MEMORY:
        append_number(out, *(const guint64 *)slot, 10, 1);
        return;
    case VIREO_MODEL_INT64:
        append_signed(out, *(const gint64 *)slot);
        return;
    case VIREO_MODEL_HEX:
        append_hex(field, doc, *(const guint64 *)slot, out);
        return;
    case VIREO_MODEL_FLAG:
    case VIREO_MODEL_RAW:
    case VIREO_MODEL_STRUCT:
        g_return_if_reached();
    }
}
