/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of this room only. */
#pragma once

#include "host/strand.h"
#include "router/router.h"

struct VireoBackend {
    VireoRouter *router;
    const char *name;
    guint threads; /* enum vireo_threads */
    vireo_core *core;
    VireoBackendRow row;
    VireoBackendTrouble trouble;
    gconstpointer table;
    guint64 classes;     /* bit per enum vireo_class the driver has operations for */
    VireoStrand *strand; /* VIREO_SERIAL */
};

struct VireoConn {
    gint refs;
    VireoRouter *router;
    VireoBackend *backend;
    void *handle; /* the driver's */
    vireo_space *space;
    char *uri;
    gboolean readonly;
    VireoStrand *strand; /* VIREO_PER_CONN */
};

/* The object a call is about, as published; all NULL when it is about none. */
typedef struct {
    VireoObject *object;
    const VireoTreeNode *node; /* snapshot or checkpoint of object */
} VireoTarget;

/* objects.c: finds the first argument's object and refreshes the reference; VIREO_FAIL with the
 * not-found error of its class. */
int vireo_target_find(VireoConn *conn, vireo_call *call, VireoTarget *target);
void vireo_target_clear(VireoTarget *target);
/* Fails with the not-found error of a class; name or uuid may be NULL. */
int vireo_refuse_missing(vireo_call *call, guint klass, const char *name, const guint8 *uuid);

/* refuse.c: VIREO_OK, or VIREO_FAIL with the reason. */
int vireo_refuse_readonly(const VireoConn *conn, vireo_call *call);
int vireo_refuse_flags(const VireoConn *conn, vireo_call *call, const struct vireo_op *row,
                       const VireoTarget *target);
int vireo_refuse_unsupported(const VireoConn *conn, vireo_call *call);
/* The flags an operation may carry on any driver without reaching it. */
guint64 vireo_core_flags(const VireoOp *op);

/* derive.c: rewrites the call into the operation it derives from. */
typedef struct {
    const VireoOp *op;
    gpointer args, ret;
} VireoOuter;
void vireo_derive_enter(vireo_call *call, VireoOuter *outer);
/* Gives the call its own shape back, results mapped by name. */
void vireo_derive_leave(vireo_call *call, const VireoOuter *outer, gboolean ok);

/* convert.c: the operation another is served from, by name or with a conversion; NULL: none. The others
 * answer FALSE when members are to be matched by name. */
const VireoOp *vireo_source_of(const VireoOp *op);
gboolean vireo_convert_args(const VireoOp *op, const void *outer, void *inner);
gboolean vireo_convert_ret(const VireoOp *op, const void *inner, void *outer);

/* serve.c: what the core answers from published state. */
typedef struct VireoServeRow VireoServeRow;
typedef int (*VireoServe)(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row);
struct VireoServeRow {
    guint32 id;
    VireoServe serve;
    guint klass;
    guint which; /* the function's own */
};
/* NULL: the core has no answer of its own. */
const VireoServeRow *vireo_serve_row(const VireoOp *op);
extern const VireoServeRow vireo_serve_objects[], vireo_serve_snapshots[]; /* end with id 0 */
/* Writes a reference to an object into the struct of its class. */
void vireo_reference_fill(vireo_call *call, const VireoWireType *type, void *at, const VireoObject *object);

/* result.c: the wire's conventions on counts and strings in results. */
void vireo_result_trim(vireo_call *call);

/* strands.c: one strand per object, for as long as it is in use. */
typedef struct VireoStrands VireoStrands;
VireoStrands *vireo_strands_new(VireoWorkers *workers);
void vireo_strands_free(VireoStrands *strands);
VireoStrand *vireo_strands_acquire(VireoStrands *strands, const vireo_space *space, const VireoObject *object);
void vireo_strands_release(VireoStrands *strands, const vireo_space *space, const VireoObject *object);
VireoStrands *vireo_router_strands(VireoRouter *router);
/* When a call of that lane that begins now must have ended; 0: never. */
gint64 vireo_router_deadline(VireoRouter *router, VireoLane lane);
