/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kit/http.h"
#include "util/arena.h"

G_BEGIN_DECLS

/* A client of SOAP 1.1 services, with typed calls.
 *
 * A table (TOML) names the operations and types a driver uses; the generator `soap.py`, installed
 * with the kit, writes C structs, descriptors and one function for each operation from it:
 *
 *     g_autoptr(VireoArena) arena = vireo_arena_new();
 *     VimManagedObjectReference self = { .type = "ServiceInstance", .value = "ServiceInstance" };
 *     VimRetrieveServiceContentArgs args = { ._this = &self };
 *     VimRetrieveServiceContentRet *ret =
 *         vim_retrieve_service_content(soap, &args, NULL, arena, &error);
 *
 * The types of an operation also have names made of its own, for macros: vim_retrieve_service_content_args, ..._ret.
 *
 * Requests are plain structs on the caller's stack: nothing is taken over. Answers live in the
 * caller's arena. In both, an absent string, struct or value is NULL, an absent list has n == 0, an
 * absent optional number, boolean or time has has_NAME == FALSE, and an absent enum is 0.
 * In answers, a required string is never NULL ("" when the server left it out, as some do), a
 * required struct neither (its absence is an error), and a required number is 0.
 *
 * All functions may be called from any thread; many calls may be under way at once. */
typedef struct VireoSoap VireoSoap;

/* ---- what the generator writes --------------------------------------------------- */

typedef struct VireoSoapType VireoSoapType;
typedef struct VireoSoapEnum VireoSoapEnum;
typedef struct VireoSoapField VireoSoapField;

/* Every struct begins with this, the types that extend others with their base. */
typedef struct {
    const VireoSoapType *type; /* what it is; in requests NULL is the type the field declares */
    const char *name;          /* answers: xsi:type when that is not in the table, else NULL */
} VireoSoapObject;

typedef struct {
    const guint8 *data; /* NULL: absent */
    gsize len;
} VireoSoapBytes;

typedef enum {
    VIREO_SOAP_BOOLEAN, /* gboolean */
    VIREO_SOAP_INT,     /* gint32; also byte and short */
    VIREO_SOAP_UINT,    /* guint32 */
    VIREO_SOAP_LONG,    /* gint64 */
    VIREO_SOAP_ULONG,   /* guint64 */
    VIREO_SOAP_DOUBLE,  /* double; also float */
    VIREO_SOAP_TIME,    /* gint64: microseconds since 1970 UTC, from dateTime */
    VIREO_SOAP_STRING,  /* const char * */
    VIREO_SOAP_BYTES,   /* VireoSoapBytes, from base64Binary */
    VIREO_SOAP_ENUM,    /* int; a value the table does not know is -1 */
    VIREO_SOAP_STRUCT,  /* pointer */
    VIREO_SOAP_ANY,     /* VireoSoapValue * */
    VIREO_SOAP_LIST,    /* of VireoSoapValue only: ArrayOf... */
    VIREO_SOAP_RAW,     /* of VireoSoapValue only: a type that is not in the table, as XML */
} VireoSoapKind;

enum {
    VIREO_SOAP_OPTIONAL = 1 << 0,
    VIREO_SOAP_MANY = 1 << 1,      /* struct { guint n; T *items; } */
    VIREO_SOAP_ATTRIBUTE = 1 << 2,
    VIREO_SOAP_TEXT = 1 << 3,      /* the text of the element itself */
    VIREO_SOAP_SECRET = 1 << 4,    /* never recorded */
};

#define VIREO_SOAP_NO_OFFSET G_MAXUINT16

struct VireoSoapField {
    const char *name;
    guint8 kind, flags;
    guint16 offset, has_offset;
    const VireoSoapType *type;
    const VireoSoapEnum *names;
};

struct VireoSoapType {
    const char *name;
    const VireoSoapType *base;
    gsize size;
    const VireoSoapField *fields; /* its own; those of the base come first */
    guint n_fields;
};

struct VireoSoapEnum {
    const char *name;
    const char *const *values; /* values[0] is NULL */
    guint n;                   /* highest value */
};

typedef struct {
    const char *name;   /* of the element in the body */
    gboolean safe;      /* changes nothing: may be sent twice */
    const VireoSoapType *args, *ret;
} VireoSoapOperation;

typedef struct {
    const char *name_space;
    const char *action;    /* value of the SOAPAction header */
    gboolean qualified;    /* the members, too, are in the namespace */
    const VireoSoapType *const *types; /* sorted by name */
    guint n_types;
    const VireoSoapEnum *const *enums;
    guint n_enums;
    const VireoSoapOperation *const *operations;
    guint n_operations;
} VireoSoapService;

/* ---- values of any type ---------------------------------------------------------- */

typedef struct VireoSoapValue VireoSoapValue;
struct VireoSoapValue {
    VireoSoapKind kind;
    const char *type; /* xsi:type without prefix; NULL when there was none */
    union {
        gboolean boolean;
        gint64 integer;          /* INT, UINT, LONG, TIME */
        guint64 natural;         /* ULONG */
        double number;
        VireoSoapBytes bytes;
        VireoSoapObject *object; /* STRUCT */
        struct {
            int value;
            const VireoSoapEnum *names;
        } choice;                /* ENUM */
        struct {
            guint n;
            VireoSoapValue **items;
        } list;
    };
    const char *text; /* answers: of everything but STRUCT and LIST, as it came; RAW: the XML */
};

/* Readers: never fail; NULL, the fallback or nothing when the value is absent or of another kind. */
const char *vireo_soap_value_text(const VireoSoapValue *value);
gint64 vireo_soap_value_int(const VireoSoapValue *value, gint64 fallback);
gboolean vireo_soap_value_boolean(const VireoSoapValue *value);
int vireo_soap_value_enum(const VireoSoapValue *value, const VireoSoapEnum *names);
/* A struct of that type or of one that extends it. */
gpointer vireo_soap_value_struct(const VireoSoapValue *value, const VireoSoapType *type);
guint vireo_soap_value_length(const VireoSoapValue *value);
const VireoSoapValue *vireo_soap_value_item(const VireoSoapValue *value, guint index);

/* object as that type when it is one, or extends it; else NULL. */
gpointer vireo_soap_cast(gpointer object, const VireoSoapType *type);
const char *vireo_soap_enum_name(const VireoSoapEnum *names, int value);
/* 0 when no value is spelled like this. */
int vireo_soap_enum_value(const VireoSoapEnum *names, const char *text);

/* ---- errors ---------------------------------------------------------------------- */

/* Errors of the connection are VIREO_HTTP_ERROR. */
typedef enum {
    VIREO_SOAP_ERROR_FAULT,    /* the server's answer is a fault */
    VIREO_SOAP_ERROR_PROTOCOL, /* an answer that makes no sense */
    VIREO_SOAP_ERROR_REQUEST,  /* a request that cannot be written */
    VIREO_SOAP_ERROR_TAPE,     /* nothing is recorded for this request */
} VireoSoapError;
#define VIREO_SOAP_ERROR (vireo_soap_error_quark())
GQuark vireo_soap_error_quark(void);

typedef struct {
    const char *code;   /* "ServerFaultCode", without prefix */
    const char *text;   /* for people; may be "" */
    const char *type;   /* what happened, "NotAuthenticated": xsi:type or name of the detail; may be "" */
    const VireoSoapValue *detail; /* STRUCT when the type is in the table, else RAW; may be NULL */
} VireoSoapFault;
/* The fault an error stands for, owned by it; NULL for other errors. */
const VireoSoapFault *vireo_soap_fault(const GError *error);
/* Whether the error is a fault of that type, by name. */
gboolean vireo_soap_is_fault(const GError *error, const char *type);

/* ---- the client ------------------------------------------------------------------ */

typedef struct {
    /* Whether this failure means that the session has ended, or that there is none yet. Such a
     * request has not been carried out. Called on the caller's thread, several at a time. */
    gboolean (*expired)(const GError *error, void *opaque);
    /* Makes a new session, with vireo_soap_call_plain. However many calls find the session ended,
     * this is called once, on the thread of one of them; when it fails they all do. */
    gboolean (*login)(VireoSoap *soap, const VireoHttpWait *wait, void *opaque, GError **error);
    /* How long to wait before a failed login is tried again; calls fail at once with the last
     * reason until then. Servers lock accounts. 0: 5 s. */
    guint login_pause_ms;
} VireoSoapSession;

typedef struct {
    const VireoSoapService *service;
    VireoHttpOptions http;
    const char *path;                 /* "/sdk"; NULL: "/" */
    const VireoSoapSession *session;  /* NULL: none; copied */
    void *opaque;                     /* for session */
    guint tries;                      /* of a safe request that finds no connection, or loses it (1) */
    const char *record;               /* file to which the conversation is added, without secrets */
    const char *replay;               /* file from which it is answered: nothing is connected to */
} VireoSoapOptions;

/* service stays the caller's and must outlive the client; the rest is copied. */
VireoSoap *vireo_soap_new(const VireoSoapOptions *options, GError **error);
/* Ends what is going on; later calls fail. */
void vireo_soap_close(VireoSoap *soap);
/* After the last call has returned. NULL is fine. */
void vireo_soap_free(VireoSoap *soap);
/* For files on the same server, with the same cookies. Owned by soap. */
VireoHttp *vireo_soap_http(VireoSoap *soap);

/* Calls an operation. Returns its ret struct, in arena, or NULL. When the session is found ended, a
 * new one is made and the request sent again, once. wait covers all of it. */
gpointer vireo_soap_call(VireoSoap *soap, const VireoSoapOperation *operation, gconstpointer args,
                         const VireoHttpWait *wait, VireoArena *arena, GError **error);
/* The same without looking after the session: for login itself. */
gpointer vireo_soap_call_plain(VireoSoap *soap, const VireoSoapOperation *operation, gconstpointer args,
                               const VireoHttpWait *wait, VireoArena *arena, GError **error);
/* Each item of the ret struct's lists goes to the function as soon as it is read, and is gone when it
 * returns: for answers that should not be in memory as a whole. FALSE ends the call with its error.
 * field: its name on the wire. item: STRUCT and ANY: the object or value; else a pointer to it.
 * The lists of what is returned are empty. */
typedef gboolean (*VireoSoapEach)(const char *field, gpointer item, void *opaque, GError **error);
gpointer vireo_soap_call_each(VireoSoap *soap, const VireoSoapOperation *operation, gconstpointer args,
                              const VireoHttpWait *wait, VireoSoapEach each, void *opaque,
                              VireoArena *arena, GError **error);
/* Makes a session now instead of at the first call that needs one. */
gboolean vireo_soap_login(VireoSoap *soap, const VireoHttpWait *wait, GError **error);

/* ---- the codec alone --------------------------------------------------------------- */

/* The whole request as XML; NULL and VIREO_SOAP_ERROR_REQUEST when something required is missing.
 * Caller frees. */
char *vireo_soap_encode(const VireoSoapService *service, const VireoSoapOperation *operation,
                        gconstpointer args, GError **error);

/* Reads an answer as it comes in, in pieces of any size. What is refused: a document type declaration
 * (so there are no entities), more than 100 levels, more than max_memory bytes of structs, a tag or comment
 * of more than 4 MiB. Nothing outside the text is ever loaded. */
typedef struct VireoSoapDecoder VireoSoapDecoder;
VireoSoapDecoder *vireo_soap_decoder_new(const VireoSoapService *service,
                                         const VireoSoapOperation *operation, VireoArena *arena,
                                         gsize max_memory, VireoSoapEach each, void *opaque);
gboolean vireo_soap_decoder_feed(VireoSoapDecoder *decoder, const void *data, gsize len, GError **error);
/* After the last piece. Returns the ret struct, or NULL: VIREO_SOAP_ERROR_FAULT or PROTOCOL. */
gpointer vireo_soap_decoder_finish(VireoSoapDecoder *decoder, GError **error);
void vireo_soap_decoder_free(VireoSoapDecoder *decoder);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoSoap, vireo_soap_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoSoapDecoder, vireo_soap_decoder_free)

G_END_DECLS
