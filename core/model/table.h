/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The descriptors the generator writes and the engine interprets. Private to this room. */

#include "model/model.h"

typedef enum {
    VIREO_MODEL_STRING,  /* char *, checked by `syntax` */
    VIREO_MODEL_UINT,    /* guint32 */
    VIREO_MODEL_INT,     /* gint32 */
    VIREO_MODEL_UINT64,  /* guint64 */
    VIREO_MODEL_INT64,   /* gint64 */
    VIREO_MODEL_HEX,     /* guint64, written as 0x with `width` digits */
    VIREO_MODEL_MEMORY,  /* guint64 scaled by the element's unit attribute, kept in `unit_bytes` */
    VIREO_MODEL_YESNO,   /* VireoTristate */
    VIREO_MODEL_ONOFF,   /* VireoTristate */
    VIREO_MODEL_FLAG,    /* gboolean: an empty element is there */
    VIREO_MODEL_ENUM,    /* enum, 0 is absent */
    VIREO_MODEL_UUID,    /* guint8[16] */
    VIREO_MODEL_RAW,     /* char *, the element as it was written */
    VIREO_MODEL_STRUCT,  /* pointer */
} VireoModelKind;

typedef enum {
    VIREO_MODEL_SYNTAX_ANY,
    VIREO_MODEL_SYNTAX_NAME,   /* not empty, no slash, one line */
    VIREO_MODEL_SYNTAX_LINE,   /* one line */
    VIREO_MODEL_SYNTAX_PATH,   /* absolute path */
    VIREO_MODEL_SYNTAX_MAC,    /* six hex bytes */
    VIREO_MODEL_SYNTAX_CPUSET, /* 0-3,^2,8 */
    VIREO_MODEL_SYNTAX_WWN,    /* sixteen hex digits */
    VIREO_MODEL_SYNTAX_DIGITS, /* hex digits with optional 0x */
} VireoModelSyntax;

typedef enum {
    VIREO_MODEL_ATTRIBUTE,
    VIREO_MODEL_TEXT,
    VIREO_MODEL_ELEMENT,
} VireoModelPlace;

enum {
    VIREO_MODEL_LIST = 1 << 0,     /* struct { guint n; T *items; } */
    VIREO_MODEL_REQUIRED = 1 << 1, /* refused when absent */
    VIREO_MODEL_LIVE = 1 << 2,     /* describes a running object */
    VIREO_MODEL_SECRET = 1 << 3,   /* written only with SECURE */
    VIREO_MODEL_ALWAYS = 1 << 4,   /* the struct is made even when the element is absent */
    VIREO_MODEL_DEFAULT = 1 << 5,  /* `fallback` is filled in when absent */
    VIREO_MODEL_BLANK = 1 << 6,    /* folded element without its attribute means `blank` */
};

#define VIREO_MODEL_NO_OFFSET G_MAXUINT16

/* Some values of an enum attribute, here or of the element around. */
typedef struct {
    const char *attribute; /* NULL: no condition */
    guint64 values;        /* bit N stands for value N */
    gboolean above;
} VireoModelCondition;

typedef struct {
    const char *name; /* of the attribute or element; NULL for text */
    const char *attr; /* an element that is nothing but this attribute */
    guint8 kind, place, syntax, width;
    guint8 size; /* storage of one item, not counting its list */
    guint8 flags, prefix; /* prefix: 1 + index into vireo_model_namespaces */
    guint8 error;         /* number of the error of a bad value; 0: the usual one */
    guint16 offset;
    guint16 has_offset;  /* gboolean next to a number or UUID */
    guint16 line_offset; /* guint with the line of a scalar element */
    guint16 hex_offset; /* HEX: in decimal unless the guint32 here is hex_value; 0 is always */
    guint32 hex_value;
    guint32 blank;
    const VireoModelType *type;  /* STRUCT */
    const VireoModelEnum *names; /* ENUM */
    gint64 min;
    guint64 max;         /* of a string: bytes */
    guint64 fallback;
    guint64 unit_bytes;   /* MEMORY: what one stored unit is */
    guint64 default_unit; /* MEMORY: bytes per unit when the document names none */
    VireoModelCondition when;      /* refused elsewhere */
    VireoModelCondition live_when; /* LIVE there only */
    const char *live_prefix;       /* a text is LIVE when it starts so; with '!', when it does not */
} VireoModelField;

typedef struct {
    const char *prefix;
    const char *uri;
} VireoModelNamespace;

struct VireoModelType {
    const char *name;    /* of the C struct */
    const char *element; /* usual element name */
    const char *label;   /* what messages call the document, such as domain_definition */
    gsize size;
    const VireoModelField *fields; /* in output order: attributes, text, elements */
    guint16 n_fields, n_attributes, n_elements;
    gint16 text;                 /* index or -1 */
    gint16 memory;               /* the field that owns the unit attribute, or -1 */
    const guint16 *attributes;   /* field indices, sorted by name */
    const guint16 *elements;     /* likewise */
};

/* Namespaces the tables know; VireoModelField.prefix counts from 1. Ends with { NULL }. */
extern const VireoModelNamespace vireo_model_namespaces[];

/* RELAX NG definitions of all types, in pieces; ends with NULL. A definition is named after the
 * struct and covers its attributes and contents. */
extern const char *const vireo_model_schema_text[];

/* Enums to which drivers may add; ends with NULL. */
extern const VireoModelEnum *const vireo_model_open_enums[];

/* Values a driver has added to an open enum; they follow those of the table. */
typedef struct {
    int n; /* atomic: names before it do not change any more */
    char *names[VIREO_MODEL_OWN_VALUES];
} VireoModelOwnValues;

struct VireoModelEnum {
    const char *name;
    const char *const *names; /* names[value]; names[0] is NULL */
    const guint16 *sorted;    /* values, sorted by name */
    guint n;                  /* highest value of the table */
    VireoModelOwnValues *own; /* NULL: the enum is closed */
};

typedef struct {
    guint n;
    gpointer items;
} VireoModelList;

/* Room for one more item at the end of @list; the caller fills it in. */
gpointer vireo_model_list_grow(VireoModelList *list, gsize size);

#define VIREO_MODEL_AT(doc, off) ((gpointer)((char *)(doc) + (off)))
#define VIREO_MODEL_CAT(doc, off) ((gconstpointer)((const char *)(doc) + (off)))

/* Reads one scalar from @text into @slot. On failure @expected describes what would do. */
gboolean vireo_model_scalar_parse(const VireoModelField *field, const char *text, guint64 unit,
                                  gpointer slot, char **expected);

/* Appends the text of a scalar of @doc, not escaped. */
void vireo_model_scalar_format(const VireoModelField *field, gconstpointer doc, gconstpointer slot,
                               GString *out);

/* Bytes in one of @unit; 0 when unknown. */
guint64 vireo_model_unit_bytes(const char *unit);
const char *vireo_model_unit_name(guint64 bytes);

/* Whether the slot of a non-list @field holds a value in @doc. */
static inline gboolean vireo_model_field_present(const VireoModelField *field, gconstpointer doc)
{
    gconstpointer slot = VIREO_MODEL_CAT(doc, field->offset);

    if (field->has_offset != VIREO_MODEL_NO_OFFSET)
        return *(const gboolean *)VIREO_MODEL_CAT(doc, field->has_offset);
    return field->size == 4 ? *(const guint32 *)slot != 0 : *(const gconstpointer *)slot != NULL;
}

/* The same, of lists too: whether there is an item. */
static inline gboolean vireo_model_field_used(const VireoModelField *field, gconstpointer doc)
{
    if (field->flags & VIREO_MODEL_LIST)
        return ((const VireoModelList *)VIREO_MODEL_CAT(doc, field->offset))->n > 0;
    return vireo_model_field_present(field, doc);
}

/* Whether that value is no more than the documented default. */
gboolean vireo_model_field_is_default(const VireoModelField *field, gconstpointer doc);

/* The field with that name, or NULL. */
const VireoModelField *vireo_model_find_attribute(const VireoModelType *type, const char *name);
const VireoModelField *vireo_model_find_element(const VireoModelType *type, const char *name);

/* A struct and those around it, innermost first. */
typedef struct VireoModelScope {
    const struct VireoModelScope *above;
    const VireoModelType *type;
    gconstpointer doc;
} VireoModelScope;

/* Whether @condition holds in @scope. Without a condition, and while the attribute is absent, it
 * does. *@attribute_text is set to the value looked at. */
gboolean vireo_model_condition_holds(const VireoModelCondition *condition,
                                     const VireoModelScope *scope, const char **attribute_text);

/* Whether no field of @doc is used. */
gboolean vireo_model_struct_blank(const VireoModelType *type, gconstpointer doc);

/* Whether the text that @field has in @doc only describes a running object. */
gboolean vireo_model_text_is_live(const VireoModelField *field, gconstpointer doc);

/* Whether @field of the innermost struct only describes a running object. */
gboolean vireo_model_field_is_live(const VireoModelField *field, const VireoModelScope *scope);

/* Validates an already parsed document (an xmlDoc *) against the type's schema. */
gboolean vireo_model_schema_validate(const VireoModelType *type, const char *element,
                                     gpointer xml_doc, GError **error);
