/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/check.h"

#include <string.h>

#include "loader/adapter.h"
#include "util/error.h"

/* Sizes of 1.0: what grew since is behind them. */
#define DRIVER_SIZE (offsetof(struct vireo_driver, fini) + sizeof(void (*)(void *)))
#define OP_SIZE     (offsetof(struct vireo_op, fn) + sizeof(union vireo_fn))

/* Without these a driver cannot be asked for anything. */
static const guint32 mandatory[] = {VIREO_OP_conn_open, VIREO_OP_conn_close};

struct VireoOpTable {
    GHashTable *by_id; /* of struct vireo_op in rows */
    guint n;
    struct vireo_op rows[];
};

static gboolean refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean refuse(GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, text);
    return FALSE;
}

static char *op_name(guint32 id)
{
    const VireoOp *op = vireo_op_by_id(id);

    return op ? g_strdelimit(g_strdup(op->name), "_", '-') : g_strdup_printf("0x%x", id);
}

static char *flag_names(guint32 id, guint64 flags)
{
    const VireoOp *op = vireo_op_by_id(id);

    return op ? vireo_op_flag_names(op, flags)
              : g_strdup_printf("0x%" G_GINT64_MODIFIER "x", flags);
}

static gboolean check_masks(const VireoNoteOp *op, GError **error)
{
    guint64 twice = op->native & op->trivial;
    guint64 stray = (op->active | op->inactive) & ~op->native;
    g_autofree char *name = NULL;
    g_autofree char *flags = NULL;

    if (!twice && !stray)
        return TRUE;
    name = op_name(op->id);
    flags = flag_names(op->id, twice ? twice : stray);
    if (twice)
        return refuse(error, "its table calls flag %s of %s both native and trivial", flags, name);
    return refuse(error, "its table has a state rule for flag %s of %s, which is not native", flags,
                  name);
}

static gboolean check_abi(const VireoNote *note, GError **error)
{
    const VireoAdapter *adapter = vireo_adapter_for(note->abi_major);
    guint minor = adapter ? adapter->minor : VIREO_ABI_MINOR;

    if (!note->native)
        return refuse(error, "built for another machine (ELF%u, machine %u)", note->bits,
                      note->machine);
    if (note->abi_major != VIREO_ABI_MAJOR && !adapter)
        return refuse(error, "built for driver ABI %u.%u; this daemon has %u.%u", note->abi_major,
                      note->abi_target, VIREO_ABI_MAJOR, VIREO_ABI_MINOR);
    if (note->abi_target > minor)
        return refuse(error, "needs driver ABI %u.%u or newer; this daemon has %u.%u",
                      note->abi_major, note->abi_target, note->abi_major, minor);
    if (note->threads > VIREO_PARALLEL)
        return refuse(error, "its thread model %u is unknown", note->threads);
    return TRUE;
}

char *vireo_check_op_is_for_drivers(const VireoOp *op)
{
    if (op->kind == VIREO_OP_EVENT)
        return g_strdup("is an event, which a driver raises and does not serve");
    if (op->kind != VIREO_OP_CALL)
        return g_strdup("is a message of the wire and no call");
    if (op->program == VIREO_PROGRAM_KEEPALIVE ||
        (op->serve && (strcmp(op->serve, "admin") == 0 || strcmp(op->serve, "daemon") == 0)))
        return g_strdup("is answered by the daemon itself and never reaches a driver");
    return NULL;
}

/* What is no call has no function to be called. */
static gboolean check_kind(guint32 id, GError **error)
{
    const VireoOp *op = vireo_op_by_id(id);
    g_autofree char *why = op && op->kind != VIREO_OP_CALL ? vireo_check_op_is_for_drivers(op) : NULL;
    g_autofree char *name = op_name(id);

    return !why || refuse(error, "its table has a row for %s, which %s", name, why);
}

gboolean vireo_check_note(const VireoNote *note, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    if (!check_abi(note, error))
        return FALSE;
    for (guint i = 0; i < note->n_ops; i++) {
        if (!g_hash_table_add(seen, GUINT_TO_POINTER(note->ops[i].id))) {
            g_autofree char *name = op_name(note->ops[i].id);

            return refuse(error, "its table has operation %s twice", name);
        }
        if (!check_kind(note->ops[i].id, error) || !check_masks(&note->ops[i], error))
            return FALSE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(mandatory); i++)
        if (!g_hash_table_contains(seen, GUINT_TO_POINTER(mandatory[i]))) {
            g_autofree char *name = op_name(mandatory[i]);

            return refuse(error, "its table lacks operation %s, which every driver has", name);
        }
    return TRUE;
}

static gboolean same_schemes(const char *note, const char *table)
{
    g_auto(GStrv) words = g_strsplit_set(table, " ", -1);
    g_autoptr(GString) joined = g_string_new(NULL);

    for (char **word = words; *word; word++)
        if (**word)
            g_string_append_printf(joined, "%s%s", joined->len ? " " : "", *word);
    return strcmp(joined->str, note) == 0;
}

static gboolean check_head(const VireoNote *note, const struct vireo_driver *driver, GError **error)
{
    if (driver->size < DRIVER_SIZE || driver->op_size < OP_SIZE || driver->op_size % sizeof(void *))
        return refuse(error, "its driver struct is smaller than that of ABI 1.0");
    if (driver->abi_major != note->abi_major || driver->abi_target != note->abi_target)
        return refuse(error, "its note says ABI %u.%u, its table %u.%u", note->abi_major,
                      note->abi_target, driver->abi_major, driver->abi_target);
    if (g_strcmp0(driver->name, note->name) != 0)
        return refuse(error, "its note says name '%s', its table '%s'", note->name,
                      driver->name ? driver->name : "");
    if (g_strcmp0(driver->version, note->version) != 0)
        return refuse(error, "its note says version '%s', its table '%s'", note->version,
                      driver->version ? driver->version : "");
    if (!driver->schemes || !same_schemes(note->schemes, driver->schemes))
        return refuse(error, "its note says schemes '%s', its table '%s'", note->schemes,
                      driver->schemes ? driver->schemes : "");
    if (driver->threads != note->threads)
        return refuse(error, "its note says thread model %s, its table %s",
                      vireo_note_threads_name(note->threads),
                      vireo_note_threads_name(driver->threads));
    if (driver->n_ops != note->n_ops || !driver->ops)
        return refuse(error, "its note has %u operations, its table %u", note->n_ops,
                      driver->n_ops);
    if (!driver->init || !driver->fini)
        return refuse(error, "its table has no %s function", driver->init ? "fini" : "init");
    return TRUE;
}

static const struct vireo_op *table_row(const struct vireo_driver *driver, guint i)
{
    return (const struct vireo_op *)(const void *)((const char *)driver->ops +
                                                   (gsize)i * driver->op_size);
}

gboolean vireo_check_table(const VireoNote *note, const struct vireo_driver *driver, GError **error)
{
    if (!check_head(note, driver, error))
        return FALSE;
    for (guint i = 0; i < note->n_ops; i++) {
        const VireoNoteOp *said = &note->ops[i];
        const struct vireo_op *row = table_row(driver, i);
        g_autofree char *name = op_name(said->id);

        if (row->id != said->id) {
            g_autofree char *other = op_name(row->id);

            return refuse(error, "row %u is %s in its note, %s in its table", i, name, other);
        }
        if (row->native != said->native || row->trivial != said->trivial ||
            row->active != said->active || row->inactive != said->inactive)
            return refuse(error, "its note and its table have other flags for %s", name);
        if (!row->fn.any)
            return refuse(error, "operation %s has no function", name);
    }
    return TRUE;
}

/* The mask without the flags this core does not know. */
static guint64 known(const VireoOp *op, guint64 flags)
{
    return flags & op->known_flags;
}

static VireoOpTable *table_new(guint n_ops)
{
    VireoOpTable *table = g_malloc0(sizeof *table + n_ops * sizeof(struct vireo_op));

    table->by_id = g_hash_table_new(NULL, NULL);
    return table;
}

/* Enters what this core knows of a row. */
static void table_add(VireoOpTable *table, const struct vireo_op *row, GPtrArray *remarks)
{
    const VireoOp *op = vireo_op_by_id(row->id);
    struct vireo_op *kept = &table->rows[table->n];
    g_autofree char *why = NULL;
    guint64 dropped;

    if (!op || op->kind != VIREO_OP_CALL) {
        g_ptr_array_add(remarks,
                        g_strdup_printf("operation 0x%x is unknown here and left out", row->id));
        return;
    }
    why = vireo_check_op_is_for_drivers(op);
    if (why)
        g_ptr_array_add(remarks, g_strdup_printf("operation %s %s", op->name, why));
    dropped = (row->native | row->trivial) & ~op->known_flags;
    if (dropped)
        g_ptr_array_add(remarks, g_strdup_printf("flags 0x%" G_GINT64_MODIFIER "x of %s are unknown here and left out",
                                                 dropped, op->name));
    *kept = (struct vireo_op){
        .id = row->id,
        .native = known(op, row->native),
        .trivial = known(op, row->trivial),
        .active = known(op, row->active),
        .inactive = known(op, row->inactive),
        .fn = row->fn,
    };
    g_hash_table_insert(table->by_id, GUINT_TO_POINTER(row->id), kept);
    table->n++;
}

VireoOpTable *vireo_op_table_new(const struct vireo_driver *driver, GPtrArray *remarks)
{
    VireoOpTable *table = table_new(driver->n_ops);

    for (guint i = 0; i < driver->n_ops; i++)
        table_add(table, table_row(driver, i), remarks);
    return table;
}

VireoOpTable *vireo_op_table_of_note(const VireoNote *note, GPtrArray *remarks)
{
    VireoOpTable *table = table_new(note->n_ops);

    for (guint i = 0; i < note->n_ops; i++) {
        const VireoNoteOp *said = &note->ops[i];
        struct vireo_op row = { .id = said->id, .native = said->native, .trivial = said->trivial,
                                .active = said->active, .inactive = said->inactive };

        table_add(table, &row, remarks);
    }
    return table;
}

void vireo_op_table_free(VireoOpTable *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->by_id);
    g_free(table);
}

const struct vireo_op *vireo_op_table_get(const VireoOpTable *table, guint32 id)
{
    return g_hash_table_lookup(table->by_id, GUINT_TO_POINTER(id));
}

VireoNoteOp *vireo_note_effective_ops(const VireoNote *note, guint *n)
{
    VireoNoteOp *ops = g_new0(VireoNoteOp, note->n_ops);

    *n = 0;
    for (guint i = 0; i < note->n_ops; i++) {
        const VireoOp *op = vireo_op_by_id(note->ops[i].id);

        if (!op || op->kind != VIREO_OP_CALL)
            continue;
        ops[*n] = (VireoNoteOp){
            .id = op->id,
            .native = known(op, note->ops[i].native),
            .trivial = known(op, note->ops[i].trivial),
            .active = known(op, note->ops[i].active),
            .inactive = known(op, note->ops[i].inactive),
        };
        (*n)++;
    }
    return ops;
}
