/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a driver offers, as vireo_router_call sees it: asked for a module from its note alone, or for a
 * connection, where the driver may have withdrawn some of its table, and for one object as it is now.
 */
#pragma once

#include "host/call.h"
#include "loader/check.h"
#include "objects/object.h"

/* The row of an operation, or NULL. Constant time, any thread. */
typedef const struct vireo_op *(*VireoBackendRow)(gconstpointer table, guint32 op_id);
typedef struct VireoNarrowing VireoNarrowing;
typedef struct VireoNarrowed VireoNarrowed;

typedef struct {
    const char *driver;
    VireoBackendRow row;
    gconstpointer table;
    guint64 classes;                 /* bit per enum vireo_class the driver has operations for */
    gboolean keeps_to_itself;        /* publishes no objects: the core answers nothing about them */
    const VireoNarrowing *narrowing; /* NULL: the whole table */
} VireoOffer;

/* What a module offers; driver and table must outlive it. */
VireoOffer vireo_offer_of(const char *driver, VireoBackendRow row, gconstpointer table);

/* A module as its note tells. The offer lives as long as the table. */
typedef struct VireoNoteTable VireoNoteTable;
VireoNoteTable *vireo_note_table_new(VireoNote *note);
void vireo_note_table_free(VireoNoteTable *table); /* NULL allowed */
VireoOffer vireo_note_table_offer(const VireoNoteTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoNoteTable, vireo_note_table_free)

/* What comes of an operation with these flags. */
typedef struct {
    int answer;         /* enum vireo_can_answer */
    char *reason;       /* why not, or what the answer means; never NULL */
    const VireoOp *by;  /* the operation that the driver is asked for; NULL when it is not asked */
    guint64 native, trivial, active, inactive; /* of the flags this operation may carry */
    guint64 now;        /* flags that could be given to it as things are */
    GArray *not_now;    /* of VireoNotNow: flags of the driver's table that could not; NULL: none */
} VireoAnswer;

typedef struct {
    guint64 flag;
    char *reason;
} VireoNotNow;

/* Who asks about what; zeroed: a module, about no object. */
typedef struct {
    gboolean readonly;
    const VireoObject *object; /* NULL: none */
} VireoCase;

void vireo_offer_ask(const VireoOffer *offer, const VireoOp *op, guint64 flags, const VireoCase *about,
                     VireoAnswer *answer);
void vireo_answer_clear(VireoAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VireoAnswer, vireo_answer_clear)

/* The same in short: enum vireo_can_answer for a module; *reason: free with g_free. */
int vireo_router_can(const VireoOp *op, guint64 flags, const char *driver, VireoBackendRow row,
                     gconstpointer table, char **reason);

/* ---- on the wire of our own program ---- */

/* The operation and the flags that a client names; VIREO_FAIL with what is wrong. */
int vireo_offer_read(vireo_call *call, const char *name, const char *flags, const VireoOp **op, guint64 *ret);
void vireo_offer_tell(vireo_call *call, const VireoOffer *offer, const VireoOp *op, guint64 flags,
                      const VireoCase *about, vireo_op_offer *to);
/* Whether clients make calls of it to a driver's connection. */
gboolean vireo_op_is_for_clients(const VireoOp *op);
/* Every operation of a client's connection; with an object, those on it and on what belongs to it.
 * Returns how many; *to lives in the call's arena. */
guint vireo_offer_tell_all(vireo_call *call, const VireoOffer *offer, const VireoCase *about, vireo_op_offer **to);
