/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a module offers by its note alone: rows without functions. */
#include "router/offer.h"

struct VireoNoteTable {
    VireoNote *note;
    GHashTable *by_id; /* of struct vireo_op in rows */
    struct vireo_op rows[];
};

static const struct vireo_op *row_of(gconstpointer table, guint32 id)
{
    return g_hash_table_lookup(((const VireoNoteTable *)table)->by_id, GUINT_TO_POINTER(id));
}

VireoNoteTable *vireo_note_table_new(VireoNote *note)
{
    guint n = 0;
    g_autofree VireoNoteOp *ops = vireo_note_effective_ops(note, &n);
    VireoNoteTable *table = g_malloc0(sizeof *table + n * sizeof *table->rows);

    table->note = vireo_note_ref(note);
    table->by_id = g_hash_table_new(NULL, NULL);
    for (guint i = 0; i < n; i++) {
        table->rows[i] = (struct vireo_op){
            .id = ops[i].id,
            .native = ops[i].native,
            .trivial = ops[i].trivial,
            .active = ops[i].active,
            .inactive = ops[i].inactive,
        };
        g_hash_table_insert(table->by_id, GUINT_TO_POINTER(ops[i].id), &table->rows[i]);
    }
    return table;
}

void vireo_note_table_free(VireoNoteTable *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->by_id);
    vireo_note_unref(table->note);
    g_free(table);
}

VireoOffer vireo_note_table_offer(const VireoNoteTable *table)
{
    return vireo_offer_of(table->note->name, row_of, table);
}
