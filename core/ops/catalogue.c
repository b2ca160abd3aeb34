/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops/catalogue.h"

#include <string.h>

typedef struct {
    guint32 number, version, first_id;
} Program;

static const Program programs[VIREO_N_PROGRAMS] = {
    [VIREO_PROGRAM_REMOTE] = { 0x20008086, 1, 0 },
    [VIREO_PROGRAM_QEMU] = { 0x20008087, 1, 0x1000 },
    [VIREO_PROGRAM_LXC] = { 0x00068000, 1, 0x2000 },
    [VIREO_PROGRAM_ADMIN] = { 0x06900690, 1, 0x3000 },
    [VIREO_PROGRAM_KEEPALIVE] = { 0x6b656570, 1, 0x3f00 },
    [VIREO_PROGRAM_VIREO] = { 0x56495245, 1, 0x4000 },
    [VIREO_PROGRAM_DRIVER] = { 0, 0, 0x8000 },
};

static GHashTable *by_id, *by_name;

static void index_ops(void)
{
    static gsize once;

    if (!g_once_init_enter(&once))
        return;
    by_id = g_hash_table_new(g_direct_hash, g_direct_equal);
    by_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < vireo_n_ops; i++) {
        g_hash_table_insert(by_id, GUINT_TO_POINTER(vireo_ops[i].id), (gpointer)&vireo_ops[i]);
        g_hash_table_insert(by_name, (gpointer)vireo_ops[i].name, (gpointer)&vireo_ops[i]);
    }
    g_once_init_leave(&once, 1);
}

const VireoOp *vireo_op_at(guint place)
{
    return place < vireo_n_ops ? &vireo_ops[place] : NULL;
}

const VireoOp *vireo_op_by_id(guint32 id)
{
    index_ops();
    return g_hash_table_lookup(by_id, GUINT_TO_POINTER(id));
}

const VireoOp *vireo_op_by_proc(VireoProgram program, gint32 proc)
{
    const VireoOp *op;

    if (proc < 0)
        return NULL;
    op = vireo_op_by_id(programs[program].first_id + (guint32)proc);
    return op && op->program == program ? op : NULL;
}

const VireoOp *vireo_op_by_name(const char *name)
{
    g_autofree char *key = g_strdelimit(g_strdup(name), "-", '_');

    index_ops();
    return g_hash_table_lookup(by_name, key);
}

const VireoOp *vireo_op_plan(const VireoOp *op)
{
    for (guint i = 0; i < vireo_n_ops; i++)
        if (vireo_ops[i].plans == op)
            return &vireo_ops[i];
    return NULL;
}

gboolean vireo_program_find(guint32 number, guint32 version, VireoProgram *ret)
{
    for (guint i = 0; i < VIREO_PROGRAM_DRIVER; i++)
        if (programs[i].number == number && programs[i].version == version) {
            *ret = i;
            return TRUE;
        }
    return FALSE;
}

guint32 vireo_program_number(VireoProgram program)
{
    return programs[program].number;
}

guint64 vireo_op_get_flags(const VireoOp *op, gconstpointer args)
{
    const char *at;

    if (op->flags_offset < 0 || !op->flags_size)
        return 0;
    at = (const char *)args + op->flags_offset;
    return op->flags_size == 8 ? *(const guint64 *)at : *(const guint32 *)at;
}

void vireo_op_set_flags(const VireoOp *op, gpointer args, guint64 flags)
{
    char *at;

    if (op->flags_offset < 0 || !op->flags_size)
        return;
    at = (char *)args + op->flags_offset;
    if (op->flags_size == 8)
        *(guint64 *)at = flags;
    else
        *(guint32 *)at = (guint32)flags;
}

char *vireo_op_flag_names(const VireoOp *op, guint64 flags)
{
    GString *names = g_string_new(NULL);

    for (const VireoFlag *f = op->flags; f && f->name; f++)
        if (flags & f->bit) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", f->name);
            flags &= ~f->bit;
        }
    if (flags)
        g_string_append_printf(names, "%s0x%" G_GINT64_MODIFIER "x", names->len ? ", " : "", flags);
    if (!names->len)
        g_string_append(names, "none");
    return g_string_free(names, FALSE);
}

gboolean vireo_op_parse_flags(const VireoOp *op, const char *text, guint64 *ret, char **unknown)
{
    g_auto(GStrv) words = g_strsplit_set(text ? text : "", ",| ", -1);

    *ret = 0;
    for (char **word = words; *word; word++) {
        const VireoFlag *f = op->flags;

        if (!**word)
            continue;
        while (f && f->name && g_ascii_strcasecmp(f->name, *word) != 0)
            f++;
        if (!f || !f->name) {
            if (unknown)
                *unknown = g_strdup(*word);
            return FALSE;
        }
        *ret |= f->bit;
    }
    return TRUE;
}

const VireoWireField *vireo_wire_field(const VireoWireType *type, const char *name)
{
    for (guint i = 0; type && i < type->n_fields; i++)
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    return NULL;
}

gsize vireo_wire_element_size(const VireoWireField *field)
{
    switch (field->kind) {
    case VIREO_WIRE_CHAR:
    case VIREO_WIRE_UCHAR:
        return 1;
    case VIREO_WIRE_SHORT:
    case VIREO_WIRE_USHORT:
        return 2;
    case VIREO_WIRE_INT:
    case VIREO_WIRE_UINT:
        return 4;
    case VIREO_WIRE_UUID:
        return 16;
    case VIREO_WIRE_OPAQUE:
        return sizeof(VireoWireArray);
    case VIREO_WIRE_STRUCT:
        return field->element_size;
    default:
        return 8;
    }
}
