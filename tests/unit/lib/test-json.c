/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wire structs through JSON and back: every type of the catalogue, and the mistakes people make. */
#include <string.h>

#include "ops/codec.h"
#include "ops/json.h"
#include "util/error.h"

/* ---- round trip of generated values ---- */

static void fill_struct(GRand *rand, const VireoWireType *type, VireoArena *arena, char *at, guint depth);

static void fill_one(GRand *rand, const VireoWireField *field, VireoArena *arena, char *at, guint depth)
{
    guint64 number = (guint64)g_rand_int(rand) << 32 | g_rand_int(rand);
    VireoWireArray *bytes = (VireoWireArray *)at;

    switch (field->kind) {
    case VIREO_WIRE_CHAR:
    case VIREO_WIRE_UCHAR:
        *(guint8 *)at = (guint8)number;
        break;
    case VIREO_WIRE_SHORT:
    case VIREO_WIRE_USHORT:
        *(guint16 *)at = (guint16)number;
        break;
    case VIREO_WIRE_INT:
    case VIREO_WIRE_UINT:
        *(guint32 *)at = (guint32)number;
        break;
    case VIREO_WIRE_DOUBLE:
        *(double *)at = (double)(gint32)number / 8;
        break;
    case VIREO_WIRE_STRING:
        *(char **)at = vireo_arena_printf(arena, "s\"<\xc3\xa4>\n%u", (guint)number % 1000);
        break;
    case VIREO_WIRE_UUID:
        for (guint i = 0; i < 16; i++)
            at[i] = (char)g_rand_int(rand);
        break;
    case VIREO_WIRE_OPAQUE:
        bytes->len = MIN(field->limit, number % 5);
        bytes->val = vireo_arena_alloc(arena, bytes->len);
        memset(bytes->val, (int)number, bytes->len);
        break;
    case VIREO_WIRE_STRUCT:
        fill_struct(rand, field->type, arena, at, depth + 1);
        break;
    default:
        *(guint64 *)at = number;
    }
}

static gsize size_of(const VireoWireField *field)
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

static void fill_field(GRand *rand, const VireoWireField *field, VireoArena *arena, char *at, guint depth)
{
    VireoWireArray *array = (VireoWireArray *)at;
    gsize size = size_of(field);

    switch (field->form) {
    case VIREO_WIRE_OPTIONAL:
        if (g_rand_boolean(rand))
            return;
        if (field->kind != VIREO_WIRE_STRING)
            at = *(char **)at = vireo_arena_alloc(arena, size);
        fill_one(rand, field, arena, at, depth);
        break;
    case VIREO_WIRE_ARRAY:
        array->len = MIN(field->limit, (guint)g_rand_int_range(rand, 0, 4));
        array->val = vireo_arena_alloc(arena, array->len * size);
        for (guint i = 0; i < array->len; i++)
            fill_one(rand, field, arena, (char *)array->val + i * size, depth);
        break;
    case VIREO_WIRE_FIXED:
        for (guint i = 0; i < field->limit; i++)
            if (field->kind == VIREO_WIRE_OPAQUE)
                at[i] = (char)g_rand_int(rand);
            else
                fill_one(rand, field, arena, at + i * size, depth);
        break;
    default:
        fill_one(rand, field, arena, at, depth);
    }
}

static void fill_struct(GRand *rand, const VireoWireType *type, VireoArena *arena, char *at, guint depth)
{
    g_assert_cmpuint(depth, <, 8);
    if (type->tags) {
        guint arm = (guint)g_rand_int_range(rand, 0, (gint)type->n_fields);

        *(gint32 *)at = type->tags[arm];
        fill_field(rand, &type->fields[arm], arena, at + type->fields[arm].offset, depth);
        return;
    }
    for (guint i = 0; i < type->n_fields; i++)
        fill_field(rand, &type->fields[i], arena, at + type->fields[i].offset, depth);
}

static void round_trip(GRand *rand, const VireoWireType *type)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gpointer first = vireo_arena_alloc(arena, type->size);
    gpointer second = vireo_arena_alloc(arena, type->size);
    g_autoptr(JsonNode) node = NULL, parsed = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    fill_struct(rand, type, arena, first, 0);
    node = vireo_wire_to_json(type, first);
    text = json_to_string(node, FALSE);
    parsed = json_from_string(text, &error);
    g_assert_no_error(error);
    if (!vireo_wire_from_json(type, parsed, arena, second, &error) ||
        !vireo_wire_equal(type, first, second))
        g_error("%s: %s: %s", type->name, text, error ? error->message : "differs");
}

static void test_round_trip(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    guint n = 0;

    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];

        if (op->program == VIREO_PROGRAM_DRIVER)
            continue;
        for (guint j = 0; j < 5; j++) {
            if (op->args)
                round_trip(rand, op->args);
            if (op->ret)
                round_trip(rand, op->ret);
            n++;
        }
    }
    g_assert_cmpuint(n, >, 2000);
}

/* ---- what people write ---- */

static gboolean read_args(const char *op, const char *text, VireoArena *arena, gpointer out,
                          GError **error)
{
    g_autoptr(JsonNode) node = json_from_string(text, NULL);

    g_assert_nonnull(node);
    return vireo_op_args_from_json(vireo_op_by_name(op), node, arena, out, error);
}

static void test_generous(void)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    vireo_domain_snapshot_delete_args args = { 0 };
    static const char *const spellings[] = { "\"CHILDREN|METADATA_ONLY\"", "[\"children\",\"METADATA_ONLY\"]",
                                             "3", "\"3\"", "\"0x3\"" };

    for (guint i = 0; i < G_N_ELEMENTS(spellings); i++) {
        g_autofree char *text = g_strdup_printf(
            "{\"snap\":{\"name\":\"s\",\"dom\":{\"name\":\"d\",\"id\":\"-1\","
            "\"uuid\":\"00112233-4455-6677-8899-aabbccddeeff\"}},\"flags\":%s}", spellings[i]);

        g_assert_true(read_args("domain-snapshot-delete", text, arena, &args, &error));
        g_assert_cmpuint(args.flags, ==, VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN |
                                             VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY);
        g_assert_cmpint(args.snap.dom.id, ==, -1);
        g_assert_cmphex(args.snap.dom.uuid[15], ==, 0xff);
    }
}

static void test_mistakes(void)
{
    static const struct {
        const char *op, *text, *says;
    } cases[] = {
        { "domain_lookup_by_name", "{}", "'name' is missing" },
        { "domain_lookup_by_name", "{\"nmae\":\"x\"}", "no field 'nmae' (known: name)" },
        { "domain_lookup_by_name", "{\"name\":{}}", "'name' must be a string" },
        { "domain_lookup_by_name", "[]", "a JSON object is needed" },
        { "domain_lookup_by_id", "{\"id\":3000000000}", "'id' is out of range" },
        { "domain_lookup_by_id", "{\"id\":\"12x\"}", "'id' must be a whole number" },
        { "domain_lookup_by_id", "{\"id\":1.5}", "'id' must be a whole number" },
        { "domain_lookup_by_uuid", "{\"uuid\":\"1234\"}", "'uuid' must be a UUID" },
        { "domain_get_xml_desc", "{\"dom\":{\"name\":\"x\"}}", "dom: 'uuid' is missing" },
        { "domain_undefine_flags", "{\"flags\":\"NVRAM|NONSENSE\"}", "no flag 'NONSENSE'" },
        { "connect_list_all_domains", "{\"flags\":-1}", "'flags' is out of range" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VireoArena) arena = vireo_arena_new();
        g_autoptr(GError) error = NULL;
        gpointer out = vireo_arena_alloc(arena, vireo_op_by_name(cases[i].op)->args->size);

        g_assert_false(read_args(cases[i].op, cases[i].text, arena, out, &error));
        g_assert_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG);
        if (!strstr(error->message, cases[i].says))
            g_error("%s: said '%s', not '%s'", cases[i].text, error->message, cases[i].says);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/round-trip", test_round_trip);
    g_test_add_func("/json/generous", test_generous);
    g_test_add_func("/json/mistakes", test_mistakes);
    return g_test_run();
}
