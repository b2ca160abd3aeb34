/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Offers in the structs of our own program. */
#include "router/private.h"

int vireo_offer_read(vireo_call *call, const char *name, const char *flags, const VireoOp **op, guint64 *ret)
{
    g_autofree char *unknown = NULL;
    g_autofree char *known = NULL;

    *op = vireo_op_by_name(name);
    if (!*op || (*op)->kind != VIREO_OP_CALL)
        return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "no operation is called '%s'", name);
    if (vireo_op_parse_flags(*op, flags, ret, &unknown))
        return VIREO_OK;
    known = vireo_op_flag_names(*op, (*op)->known_flags);
    return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "%s has no flag '%s' (it has: %s)", (*op)->name, unknown, known);
}

static void tell_not_now(vireo_call *call, const GArray *not_now, vireo_op_offer *to)
{
    to->not_now.len = MIN(not_now->len, VIREO_LIMIT_FLAGS_MAX);
    to->not_now.val = vireo_arena_alloc(call->arena, to->not_now.len * sizeof *to->not_now.val);
    for (guint i = 0; i < to->not_now.len; i++) {
        const VireoNotNow *one = &g_array_index(not_now, VireoNotNow, i);

        to->not_now.val[i] = (vireo_flag_reason){ one->flag, vireo_arena_strdup(call->arena, one->reason) };
    }
}

void vireo_offer_tell(vireo_call *call, const VireoOffer *offer, const VireoOp *op, guint64 flags,
                      const VireoCase *about, vireo_op_offer *to)
{
    g_auto(VireoAnswer) answer = { 0 };

    vireo_offer_ask(offer, op, flags, about, &answer);
    *to = (vireo_op_offer){
        .id = op->id,
        .name = (char *)op->name,
        .answer = answer.answer,
        .by = (char *)(answer.by ? answer.by->name : ""),
        .native = answer.native,
        .trivial = answer.trivial,
        .active = answer.active,
        .inactive = answer.inactive,
        .known = op->known_flags,
        .now = answer.now,
        .reason = vireo_arena_strdup(call->arena, answer.reason),
    };
    if (answer.not_now)
        tell_not_now(call, answer.not_now, to);
}

gboolean vireo_op_is_for_clients(const VireoOp *op)
{
    return op->kind == VIREO_OP_CALL && op->program != VIREO_PROGRAM_ADMIN &&
           op->program != VIREO_PROGRAM_KEEPALIVE && op->program != VIREO_PROGRAM_DRIVER;
}

static gboolean belongs_to(const VireoOp *op, const VireoObject *object)
{
    gboolean moment = op->object == VIREO_CLASS_DOMAIN_SNAPSHOT || op->object == VIREO_CLASS_DOMAIN_CHECKPOINT;

    return !object || op->object == object->klass || (moment && object->klass == VIREO_CLASS_DOMAIN) ||
           (op->object == VIREO_CLASS_NETWORK_PORT && object->klass == VIREO_CLASS_NETWORK);
}

guint vireo_offer_tell_all(vireo_call *call, const VireoOffer *offer, const VireoCase *about, vireo_op_offer **to)
{
    guint n = 0;

    *to = vireo_arena_alloc(call->arena, vireo_n_ops * sizeof **to);
    for (guint i = 0; i < vireo_n_ops && n < VIREO_LIMIT_OP_OFFERS_MAX; i++)
        if (vireo_op_is_for_clients(&vireo_ops[i]) && belongs_to(&vireo_ops[i], about->object))
            vireo_offer_tell(call, offer, &vireo_ops[i], 0, about, &(*to)[n++]);
    return n;
}
