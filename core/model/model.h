/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* XML documents as typed structs.
 *
 * The tables `core/model/<document>.toml` describe every element and attribute once; a generator
 * writes `model/documents.h` (the structs and thin wrappers such as vireo_domain_parse()) and the
 * descriptors that the functions below interpret. Nothing here knows any particular element.
 *
 * Reading a struct: an absent string or nested struct is NULL, an absent enum or switch is 0
 * (`..._UNSET`), an absent number has `has_NAME == FALSE`, an absent list has `n == 0`. Every struct
 * starts with `line`, the source line of its element (0 when made by hand).
 *
 * Building a struct: allocate with g_new0(), strings with g_strdup(), lists with
 * vireo_list_append(). Whoever owns the outermost struct owns everything below it.
 *
 * Errors: domain VIREO_ERROR, with codes
 *   XML_DETAIL          not well formed; text, offending line and caret
 *   XML_ERROR           a value, a missing or repeated item, or a wrong root element
 *   CONFIG_UNSUPPORTED  something the table does not know, or a driver does not honour
 *   XML_INVALID_SCHEMA  refused by the schema (VIREO_MODEL_PARSE_VALIDATE)
 *   INVALID_ARG         the text is too large or holds a NUL, or unknown flags
 * Messages start with `(domain_definition):LINE: ` and name the path, value and what was expected.
 *
 * What is refused: text that is not UTF-8, any document type declaration (so no entities), unknown
 * elements and attributes, elements and attributes of foreign namespaces outside <metadata>. What is
 * kept: the contents of <metadata> and <cookie>, as they are. What is dropped: comments and
 * processing instructions.
 *
 * Threads: all functions are pure; different documents may be used from different threads. */

#include <glib.h>

#include "util/error.h"

G_BEGIN_DECLS

/* Largest document accepted, in bytes: what the wire allows for one string. */
#define VIREO_MODEL_MAX_SIZE (4u * 1024 * 1024)

/* yes/no and on/off items. */
typedef enum {
    VIREO_TRISTATE_UNSET = 0,
    VIREO_TRISTATE_YES = 1,
    VIREO_TRISTATE_NO = 2,
} VireoTristate;

typedef enum {
    VIREO_MODEL_PARSE_VALIDATE = 1 << 0, /* check against the schema first */
    VIREO_MODEL_PARSE_INACTIVE = 1 << 1, /* skip what only describes a running object */
} VireoModelParseFlags;

typedef enum {
    VIREO_MODEL_FORMAT_INACTIVE = 1 << 0,   /* leave out what only describes a running object */
    VIREO_MODEL_FORMAT_SECURE = 1 << 1,     /* include passwords */
    VIREO_MODEL_FORMAT_MIGRATABLE = 1 << 2, /* what another host needs: both of the above */
} VireoModelFormatFlags;

typedef struct VireoModelType VireoModelType;
typedef struct VireoModelEnum VireoModelEnum;
typedef struct VireoModelPathSet VireoModelPathSet;

/* Parses @xml (@length bytes, or -1 when NUL-terminated) whose root element must be @element
 * (NULL: the type's own). Returns a struct to free with vireo_model_free(), or NULL. */
gpointer vireo_model_parse(const VireoModelType *type, const char *element, const char *xml,
                           gssize length, guint flags, GError **error);

/* Parses one element that may stand inside @type, such as a <disk> for the type of <devices>, and
 * returns a @type that holds nothing else. */
gpointer vireo_model_parse_member(const VireoModelType *type, const char *xml, gssize length,
                                  guint flags, GError **error);

/* Formats @doc as element @element (NULL: the type's own), two spaces of indentation, ending in a
 * newline. Characters XML cannot carry are written as '?'. Never fails; free with g_free(). */
char *vireo_model_format(const VireoModelType *type, const char *element, gconstpointer doc,
                         guint flags);

/* Frees @doc and everything below it. NULL is fine. */
void vireo_model_free(const VireoModelType *type, gpointer doc);

/* A deep copy. NULL gives NULL. */
gpointer vireo_model_copy(const VireoModelType *type, gconstpointer doc);

/* Refuses @doc with CONFIG_UNSUPPORTED, naming path and line, when it uses something outside
 * @honoured: paths such as `domain.devices.disk.driver.iothread`. A path honours the elements that
 * lead to it; one ending in `.*` honours everything below. An item that only repeats its default
 * asks for nothing and is always honoured. */
gboolean vireo_model_check(const VireoModelType *type, gconstpointer doc,
                           const char *const *honoured, GError **error);

/* The same with the paths prepared once; drivers keep the set. Creating it refuses, with INVALID_ARG,
 * a path the table does not know. */
VireoModelPathSet *vireo_model_path_set_new(const VireoModelType *type, const char *const *honoured,
                                            GError **error);
void vireo_model_path_set_free(VireoModelPathSet *set);
gboolean vireo_model_path_set_check(const VireoModelPathSet *set, gconstpointer doc,
                                    GError **error);

/* The spelling of @value, or NULL when it is 0 or out of range. */
const char *vireo_model_enum_to_string(const VireoModelEnum *names, int value);

/* The value spelled @text, or 0. NULL gives 0. */
int vireo_model_enum_from_string(const VireoModelEnum *names, const char *text);

/* An enum that the tables leave open (`...`), such as that of <domain type=>, takes values of a driver's
 * own, for what nobody has thought of yet. Everybody else goes on refusing them: the model in a module
 * is a copy of its own. Add before the first document is parsed, in init(). Returns the value, which is
 * the one of the table when it has the spelling already; 0 when the enum is closed, the text is not made
 * of letters, digits and -._ (at most 32), or there are VIREO_MODEL_OWN_VALUES already. */
int vireo_model_enum_add(const VireoModelEnum *names, const char *text);
#define VIREO_MODEL_OWN_VALUES 8

/* "yes", "no" or NULL. */
const char *vireo_tristate_to_string(VireoTristate value);

/* A UUID from text, with or without dashes. FALSE when malformed. */
gboolean vireo_model_uuid_parse(const char *text, guint8 uuid[16]);

/* Writes 36 characters and a NUL. */
void vireo_model_uuid_format(const guint8 uuid[16], char text[37]);

/* Appends @item to a generated list; the list takes ownership. */
#define vireo_list_append(list, item)                                                              \
    do {                                                                                           \
        if (((list)->n & ((list)->n - 1)) == 0)                                                    \
            (list)->items = g_realloc_n((list)->items, (list)->n ? (list)->n * 2 : 1,              \
                                        sizeof(*(list)->items));                                   \
        (list)->items[(list)->n++] = (item);                                                       \
    } while (0)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoModelPathSet, vireo_model_path_set_free)

G_END_DECLS
