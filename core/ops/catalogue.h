/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The catalogue at run time: descriptors of every wire type and operation, generated from
 * core/ops. All of it is constant data; nothing here allocates or locks.
 */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <vireo/driver.h>

/* ---- types ---- */

typedef enum {
    VIREO_WIRE_INT,
    VIREO_WIRE_UINT,
    VIREO_WIRE_HYPER,
    VIREO_WIRE_UHYPER,
    VIREO_WIRE_DOUBLE,
    VIREO_WIRE_CHAR,   /* int8_t in C, four bytes on the wire */
    VIREO_WIRE_UCHAR,  /* uint8_t, four bytes */
    VIREO_WIRE_SHORT,  /* int16_t, four bytes */
    VIREO_WIRE_USHORT, /* uint16_t, four bytes */
    VIREO_WIRE_STRING, /* char *; limit is in bytes */
    VIREO_WIRE_UUID,   /* uint8_t[16], no length on the wire */
    VIREO_WIRE_OPAQUE, /* struct { len; val; } of bytes */
    VIREO_WIRE_STRUCT,
    VIREO_WIRE_HANDLE, /* a pointer between core and driver; never on a client's wire */
} VireoWireKind;

typedef enum {
    VIREO_WIRE_ONE,
    VIREO_WIRE_OPTIONAL, /* a pointer, NULL when absent */
    VIREO_WIRE_ARRAY,    /* struct { uint32_t len; T *val; }, at most `limit` */
    VIREO_WIRE_FIXED,    /* T[limit] */
} VireoWireForm;

typedef struct VireoWireType VireoWireType;

typedef struct {
    const char *name;
    VireoWireKind kind;
    VireoWireForm form;
    guint offset;
    guint limit;
    guint element_size; /* of a struct */
    const VireoWireType *type;
} VireoWireField;

struct VireoWireType {
    const char *name;
    guint size;
    guint n_fields;
    const VireoWireField *fields;
    const gint32 *tags; /* a union: fields[i] is meant when the leading int32 equals tags[i] */
};

/* A C view of VIREO_WIRE_ARRAY and VIREO_WIRE_OPAQUE members. */
typedef struct {
    guint32 len;
    void *val;
} VireoWireArray;

/* Types that travel without an operation of their own. */
extern const VireoWireType vireo_type_error, vireo_type_stream_hole;

/* ---- operations ---- */

typedef enum {
    VIREO_PROGRAM_REMOTE,
    VIREO_PROGRAM_QEMU,
    VIREO_PROGRAM_LXC,
    VIREO_PROGRAM_ADMIN,
    VIREO_PROGRAM_KEEPALIVE,
    VIREO_PROGRAM_VIREO,
    VIREO_PROGRAM_DRIVER, /* core to driver only */
    VIREO_N_PROGRAMS
} VireoProgram;

typedef enum { VIREO_OP_CALL, VIREO_OP_EVENT, VIREO_OP_MESSAGE } VireoOpKind;
typedef enum { VIREO_LANE_QUERY, VIREO_LANE_MODIFY, VIREO_LANE_CONTROL } VireoLane;
typedef enum { VIREO_STREAM_NONE, VIREO_STREAM_SEND, VIREO_STREAM_RECEIVE } VireoStreamWay;
typedef enum { VIREO_FDS_NONE, VIREO_FDS_IN, VIREO_FDS_OUT } VireoFdsWay;

typedef struct {
    const char *name; /* without the enum's prefix; the last row's is NULL */
    guint64 bit;
} VireoFlag;

typedef enum {
    VIREO_FLAGS_EXCLUSIVE = 1, /* not both */
    VIREO_FLAGS_REQUIRES,      /* the first needs the second */
} VireoFlagRuleKind;

typedef struct {
    VireoFlagRuleKind kind; /* the last row's is 0 */
    guint64 first, second;
} VireoFlagRule;

typedef enum { VIREO_ACL_ALWAYS, VIREO_ACL_IF, VIREO_ACL_UNLESS, VIREO_ACL_ARG } VireoAclWhen;

/* A permission that the caller needs: always, if (unless) one of the flags is set, or if an
 * argument has a value. */
typedef struct {
    const char *object, *permission; /* the last row's are NULL */
    VireoAclWhen when;
    guint64 value;
    const char *arg;
} VireoAclRule;

typedef struct {
    const char *field; /* the last row's is NULL */
    guint64 value;
} VireoDeriveSet;

/* A key that typed parameters of a call may have. */
typedef struct {
    const char *name; /* the last row's is NULL */
    guint types;      /* bit per VIREO_TYPED_PARAM_... */
    gboolean many;    /* may come more than once */
} VireoParamKey;

typedef struct VireoOp VireoOp;
struct VireoOp {
    guint32 id;
    gint32 proc; /* the number on the wire */
    VireoProgram program;
    VireoOpKind kind;
    VireoLane lane;
    VireoStreamWay stream;
    guint64 sparse_flag;
    VireoFdsWay fds;
    gboolean high_priority;
    gboolean readonly_refused;  /* on a read-only connection: always, ... */
    guint64 readonly_flags;     /* ... with one of these flags, ... */
    const char *readonly_arg;   /* ... or when this argument ... */
    gint32 readonly_value;      /* ... has this value */
    const char *name, *api, *group;
    const VireoWireType *args, *ret; /* NULL: none. An event's message is its `ret`. */
    gint flags_offset;               /* -1: no flags */
    guint flags_size;                /* 4 or 8 */
    guint64 known_flags;
    guint64 trivial_completes;       /* flags that, being trivial, leave nothing for the driver to do */
    const VireoFlag *flags;
    const VireoFlagRule *flag_rules;
    const VireoAclRule *acl;
    const char *acl_filter;
    guint object;        /* enum vireo_class of the first argument */
    guint object_offset; /* of its reference within the arguments */
    const VireoOp *derive_from;
    const VireoDeriveSet *derive_set;
    const VireoOp *plans;      /* the operation whose plan this one tells; NULL: none */
    const VireoParamKey *param_keys; /* NULL: any, or there are no parameters */
    guint params_offset;             /* of the array within the arguments */
    const char *serve;   /* which part of the core answers when no driver does */
    gint event_id;       /* events: the API's event number, -1 none */
};

/* All operations, by rising id. Outside this tree there is vireo_op_at alone. */
extern const VireoOp vireo_ops[];
extern const unsigned vireo_n_ops;
/* The operation at this place of the list; NULL behind the last one. */
const VireoOp *vireo_op_at(guint place);

/* NULL when there is none. O(1). */
const VireoOp *vireo_op_by_id(guint32 id);
const VireoOp *vireo_op_by_proc(VireoProgram program, gint32 proc);
/* The name with '_' or '-' between words. */
const VireoOp *vireo_op_by_name(const char *name);

/* The program of a wire number and version; FALSE when there is none. */
gboolean vireo_program_find(guint32 number, guint32 version, VireoProgram *ret);
guint32 vireo_program_number(VireoProgram program);

/* The operation that tells plans of this one, or NULL. */
const VireoOp *vireo_op_plan(const VireoOp *op);

/* Reads and writes the flags argument. */
guint64 vireo_op_get_flags(const VireoOp *op, gconstpointer args);
void vireo_op_set_flags(const VireoOp *op, gpointer args, guint64 flags);

/* "CHILDREN, METADATA_ONLY"; unknown bits as hexadecimal; "none" for 0. Free with g_free. */
char *vireo_op_flag_names(const VireoOp *op, guint64 flags);
/* Parses names joined by ',', '|' or blanks; FALSE with the unknown name in *unknown. */
gboolean vireo_op_parse_flags(const VireoOp *op, const char *text, guint64 *ret, char **unknown);

/* Bytes in memory of one element of a field: what an array holds, or an optional member points to. */
gsize vireo_wire_element_size(const VireoWireField *field);

/* The field of that name, or NULL. */
const VireoWireField *vireo_wire_field(const VireoWireType *type, const char *name);

/* Calls a driver function through its true type. */
int vireo_dispatch(guint32 id, union vireo_fn fn, void *conn, vireo_call *call, const void *args,
                   void *ret);
