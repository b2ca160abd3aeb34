/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a connection lacks of its driver's table, asked once when it is opened. */
#include <string.h>

#include "router/private.h"

struct VireoNarrowing {
    GHashTable *by_op; /* operation id -> VireoNarrowed */
};

static void reason_clear(gpointer data)
{
    g_free(((VireoNarrowReason *)data)->text);
}

static void narrowed_free(gpointer data)
{
    VireoNarrowed *narrowed = data;

    g_array_unref(narrowed->reasons);
    g_free(narrowed);
}

static VireoNarrowed *narrowed_of(VireoNarrowing *narrowing, const struct vireo_op *row)
{
    VireoNarrowed *narrowed = g_hash_table_lookup(narrowing->by_op, GUINT_TO_POINTER(row->id));

    if (narrowed)
        return narrowed;
    narrowed = g_new0(VireoNarrowed, 1);
    narrowed->row = *row;
    narrowed->reasons = g_array_new(FALSE, FALSE, sizeof(VireoNarrowReason));
    g_array_set_clear_func(narrowed->reasons, reason_clear);
    g_hash_table_insert(narrowing->by_op, GUINT_TO_POINTER(row->id), narrowed);
    return narrowed;
}

static void narrow(VireoNarrowing *narrowing, const VireoOffer *offer, const vireo_conn_narrowing *told)
{
    const struct vireo_op *row = offer->row(offer->table, told->op);
    guint64 named = told->native | told->trivial;
    guint64 lost = row ? named & (row->native | row->trivial) : 0;
    VireoNarrowReason reason = { .flags = lost };
    VireoNarrowed *narrowed;

    if (!row || (named && !lost)) {
        g_log("vireo", G_LOG_LEVEL_WARNING, "driver '%s' narrows %s, which it does not have", offer->driver,
              row ? "flags" : "an operation");
        return;
    }
    narrowed = narrowed_of(narrowing, row);
    narrowed->withdrawn |= !named;
    narrowed->lost |= lost;
    narrowed->row.native &= ~lost;
    narrowed->row.trivial &= ~lost;
    narrowed->row.active &= ~lost;
    narrowed->row.inactive &= ~lost;
    reason.text = g_strdup(told->reason && *told->reason ? told->reason : "the driver gives no reason");
    g_array_append_val(narrowed->reasons, reason);
}

VireoNarrowing *vireo_narrowing_new(const VireoOffer *offer, const vireo_conn_narrow_ret *told)
{
    VireoNarrowing *narrowing;

    if (told->narrowed.len == 0)
        return NULL;
    narrowing = g_new0(VireoNarrowing, 1);
    narrowing->by_op = g_hash_table_new_full(NULL, NULL, NULL, narrowed_free);
    for (guint i = 0; i < told->narrowed.len; i++)
        narrow(narrowing, offer, &told->narrowed.val[i]);
    return narrowing;
}

void vireo_narrowing_free(VireoNarrowing *narrowing)
{
    if (!narrowing)
        return;
    g_hash_table_unref(narrowing->by_op);
    g_free(narrowing);
}

const VireoNarrowed *vireo_narrowing_get(const VireoNarrowing *narrowing, guint32 op_id)
{
    return g_hash_table_lookup(narrowing->by_op, GUINT_TO_POINTER(op_id));
}

char *vireo_narrowed_reason(const VireoNarrowed *narrowed, guint64 flags)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < narrowed->reasons->len; i++) {
        const VireoNarrowReason *reason = &g_array_index(narrowed->reasons, VireoNarrowReason, i);

        if (flags ? (reason->flags & flags) != 0 : reason->flags == 0)
            g_string_append_printf(text, "%s%s", text->len ? "; " : "", reason->text);
    }
    return g_string_free(text, FALSE);
}
