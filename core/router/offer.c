/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place that knows who serves an operation, and what would be refused. */
#include "router/offer.h"

#include <string.h>

#include "router/private.h"

VireoOffer vireo_offer_of(const char *driver, VireoBackendRow row, gconstpointer table)
{
    VireoOffer offer = { .driver = driver, .row = row, .table = table };

    for (guint i = 0; i < vireo_n_ops; i++)
        if (vireo_ops[i].kind == VIREO_OP_CALL && row(table, vireo_ops[i].id))
            offer.classes |= G_GUINT64_CONSTANT(1) << vireo_ops[i].object;
    return offer;
}

/* The driver's row, or what the connection has left of it. */
static gboolean find_row(const VireoOffer *offer, const VireoOp *op, VireoWay *way)
{
    way->row = offer->row(offer->table, op->id);
    if (!way->row)
        return FALSE;
    way->op = op;
    way->narrowed = offer->narrowing ? vireo_narrowing_get(offer->narrowing, op->id) : NULL;
    if (way->narrowed)
        way->row = way->narrowed->withdrawn ? NULL : &way->narrowed->row;
    return TRUE;
}

static gboolean served_elsewhere(const VireoOp *op)
{
    return op->serve && (strcmp(op->serve, "connection") == 0 || strcmp(op->serve, "daemon") == 0);
}

/* A plan can be asked for when the call itself could be made, and with its flags. */
static void take_flags(const VireoOffer *offer, VireoWay *way)
{
    const struct vireo_op *own = way->row;
    VireoWay planned;

    vireo_way_find(offer, way->op->plans, &planned);
    way->narrowed = planned.narrowed;
    way->row = own && planned.row ? &way->plan : NULL;
    if (!way->row)
        return;
    way->plan = *planned.row;
    way->plan.id = own->id;
    way->plan.fn = own->fn;
}

void vireo_way_find(const VireoOffer *offer, const VireoOp *op, VireoWay *way)
{
    const VireoOp *source;

    *way = (VireoWay){ .answer = VIREO_CAN_NO, .op = op };
    if (find_row(offer, op, way)) {
        if (op->plans)
            take_flags(offer, way);
        way->answer = way->row ? VIREO_CAN_NATIVE : VIREO_CAN_NO;
        return;
    }
    source = vireo_source_of(op);
    if (source && find_row(offer, source, way)) {
        way->answer = way->row ? VIREO_CAN_DERIVED : VIREO_CAN_NO;
        return;
    }
    way->own = vireo_serve_row(op);
    if (way->own && (offer->keeps_to_itself || !(offer->classes >> way->own->klass & 1)))
        way->own = NULL;
    if (way->own || served_elsewhere(op))
        way->answer = VIREO_CAN_CORE;
}

guint64 vireo_way_flags(const VireoWay *way, const VireoOp *op, guint64 flags)
{
    const VireoWireField *field = way->op->flags_offset >= 0 ? vireo_wire_field(way->op->args, "flags") : NULL;

    if (way->op == op || !field)
        return flags;
    for (const VireoDeriveSet *set = op->derive_set; set && set->field; set++)
        if (strcmp(set->field, field->name) == 0)
            return set->value;
    return op->flags_offset >= 0 ? flags : 0;
}

/* ---- asking ---- */

static char *refusal(const VireoOffer *offer, const VireoWay *way, const VireoOp *op, guint64 flags,
                     const VireoCase *about)
{
    char *text = about->readonly ? vireo_refuse_readonly(op, flags, NULL, &(int){ 0 }) : NULL;

    if (text)
        return text;
    if (way->answer == VIREO_CAN_NO)
        return vireo_refuse_unsupported(offer, op, way, &(int){ 0 });
    if (!way->row)
        return vireo_refuse_unknown(op, flags, &(int){ 0 });
    return vireo_refuse_flags(offer, way, vireo_way_flags(way, op, flags), about->object, &(int){ 0 });
}

static char *explanation(const VireoOffer *offer, const VireoWay *way, const VireoAnswer *answer)
{
    switch (answer->answer) {
    case VIREO_CAN_DERIVED:
        return g_strdup_printf("derived from %s", way->op->name);
    case VIREO_CAN_CORE:
        return g_strdup("answered by the core");
    case VIREO_CAN_TRIVIAL:
        return g_strdup_printf("driver '%s' does so anyway: trivially supported", offer->driver);
    default:
        return g_strdup("");
    }
}

static void not_now_clear(gpointer data)
{
    g_free(((VireoNotNow *)data)->reason);
}

static void add_not_now(VireoAnswer *answer, guint64 flag, char *reason)
{
    VireoNotNow one = { flag, reason };

    if (!answer->not_now) {
        answer->not_now = g_array_new(FALSE, FALSE, sizeof one);
        g_array_set_clear_func(answer->not_now, not_now_clear);
    }
    g_array_append_val(answer->not_now, one);
}

/* What the driver's table has, whatever the connection has left of it. */
static guint64 table_flags(const VireoOffer *offer, const VireoWay *way)
{
    const struct vireo_op *row = offer->row(offer->table, way->op->id);

    return row ? row->native | row->trivial : G_MAXUINT64;
}

/* Each flag for itself, with what it requires. */
static void try_flags(const VireoOffer *offer, const VireoWay *way, const VireoOp *op, const VireoCase *about,
                      VireoAnswer *answer)
{
    guint64 table = table_flags(offer, way);

    for (const VireoFlag *flag = op->flags; flag && flag->name; flag++) {
        guint64 with = flag->bit;
        char *why;

        if (!(with & (table | vireo_core_flags(op))))
            continue;
        for (const VireoFlagRule *rule = op->flag_rules; rule && rule->kind; rule++)
            if (rule->kind == VIREO_FLAGS_REQUIRES && (with & rule->first))
                with |= rule->second;
        why = refusal(offer, way, op, with, about);
        if (why)
            add_not_now(answer, flag->bit, why);
        else
            answer->now |= flag->bit;
    }
}

void vireo_offer_ask(const VireoOffer *offer, const VireoOp *op, guint64 flags, const VireoCase *about,
                     VireoAnswer *answer)
{
    VireoWay way;

    vireo_way_find(offer, op, &way);
    *answer = (VireoAnswer){ .answer = way.answer, .by = way.row ? way.op : NULL };
    if (way.row) {
        answer->native = way.row->native & op->known_flags;
        answer->trivial = way.row->trivial & op->known_flags;
        answer->active = way.row->active & op->known_flags;
        answer->inactive = way.row->inactive & op->known_flags;
    }
    if (way.answer != VIREO_CAN_NO)
        try_flags(offer, &way, op, about, answer);
    answer->reason = refusal(offer, &way, op, flags, about);
    if (answer->reason) {
        answer->answer = VIREO_CAN_NO;
        return;
    }
    if (way.answer == VIREO_CAN_NATIVE && flags && !(flags & way.row->native))
        answer->answer = VIREO_CAN_TRIVIAL;
    answer->reason = explanation(offer, &way, answer);
}

void vireo_answer_clear(VireoAnswer *answer)
{
    g_clear_pointer(&answer->reason, g_free);
    g_clear_pointer(&answer->not_now, g_array_unref);
}

int vireo_router_can(const VireoOp *op, guint64 flags, const char *driver, VireoBackendRow row,
                     gconstpointer table, char **reason)
{
    VireoOffer offer = vireo_offer_of(driver, row, table);
    g_auto(VireoAnswer) answer = { 0 };

    vireo_offer_ask(&offer, op, flags, &(VireoCase){ 0 }, &answer);
    *reason = g_steal_pointer(&answer.reason);
    return answer.answer;
}
