/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of this room only. */
#pragma once

#include "host/strand.h"
#include "router/offer.h"
#include "router/router.h"

typedef struct VireoServeRow VireoServeRow;

struct VireoBackend {
    VireoRouter *router;
    VireoOffer offer; /* to everybody */
    guint threads;    /* enum vireo_threads */
    vireo_core *core;
    VireoBackendTrouble trouble;
    VireoStrand *strand;   /* VIREO_SERIAL */
    VireoBackendCall call; /* NULL: the functions of the rows */
    void *self;            /* what conn_open is called with */
};

/* Asks the driver: on its connection, or for conn_open on what its init returned. */
int vireo_backend_ask(const VireoBackend *backend, const struct vireo_op *row, void *handle, vireo_call *call);

struct VireoConn {
    gint refs;
    VireoRouter *router;
    VireoBackend *backend;
    VireoOffer offer; /* to this connection */
    VireoNarrowing *narrowing; /* NULL: none */
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

/* offer.c: how an operation is served. */
typedef struct {
    int answer;                    /* enum vireo_can_answer without TRIVIAL; NO: not at all */
    const VireoOp *op;             /* what the driver is asked; another operation when derived */
    const struct vireo_op *row;    /* of that, as it is offered; NULL: the driver is not asked */
    const VireoNarrowed *narrowed; /* NULL: as in the driver's table */
    const VireoServeRow *own;      /* CORE: from published objects; NULL: elsewhere in the core */
    struct vireo_op plan;          /* where row points to for a plan: do not copy such a way */
} VireoWay;
void vireo_way_find(const VireoOffer *offer, const VireoOp *op, VireoWay *way);
/* The flags with which the driver's operation is reached when this one is called with `flags`. */
guint64 vireo_way_flags(const VireoWay *way, const VireoOp *op, guint64 flags);

/* narrow.c: what one connection lacks. */
struct VireoNarrowed {
    struct vireo_op row; /* what is left; both masks 0 and withdrawn: nothing */
    guint64 lost;        /* flags of the table that are not */
    gboolean withdrawn;
    GArray *reasons;     /* of VireoNarrowReason */
};
typedef struct {
    guint64 flags; /* 0: the operation */
    char *text;
} VireoNarrowReason;
/* NULL when that narrows nothing. */
VireoNarrowing *vireo_narrowing_new(const VireoOffer *offer, const vireo_conn_narrow_ret *told);
void vireo_narrowing_free(VireoNarrowing *narrowing); /* NULL allowed */
const VireoNarrowed *vireo_narrowing_get(const VireoNarrowing *narrowing, guint32 op_id);
/* The reasons that have to do with these flags (0: with the operation), joined. Free with g_free. */
char *vireo_narrowed_reason(const VireoNarrowed *narrowed, guint64 flags);

/* refuse.c: NULL, or why not, in words (free with g_free) and with an error's number. */
/* args NULL: no arguments are looked at. */
char *vireo_refuse_readonly(const VireoOp *op, guint64 flags, gconstpointer args, int *code);
char *vireo_refuse_unsupported(const VireoOffer *offer, const VireoOp *op, const VireoWay *way, int *code);
/* flags: of way->op. object: what the call is about; NULL: none, or unknown. */
char *vireo_refuse_flags(const VireoOffer *offer, const VireoWay *way, guint64 flags, const VireoObject *object,
                         int *code);
/* Typed parameters that the operation does not know. */
char *vireo_refuse_params(const VireoOp *op, gconstpointer args, int *code);
/* For what the core answers. */
char *vireo_refuse_unknown(const VireoOp *op, guint64 flags, int *code);
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
gboolean vireo_convert_ret(const VireoOp *op, const void *inner, void *outer, const void *args, VireoArena *arena);

/* serve.c: what the core answers from published state. */
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
