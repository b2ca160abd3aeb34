/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wire structs through JSON and back: every type of the catalogue, and the mistakes people make. */
#include <string.h>

#include "ops/json.h"
#include "util/error.h"
#include "values.h"

/* ---- round trip of generated values ---- */

static void round_trip(Values *values, const VireoWireType *type)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gpointer first = vireo_arena_alloc(arena, type->size);
    gpointer second = vireo_arena_alloc(arena, type->size);
    g_autoptr(JsonNode) node = NULL, parsed = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    values->arena = arena;
    values_fill(values, type, first);
    node = vireo_wire_to_json(type, first);
    text = json_to_string(node, FALSE);
    parsed = json_from_string(text, &error);
    g_assert_no_error(error);
    if (!vireo_wire_from_json(type, parsed, arena, second, &error) || !values_same(type, first, second))
        g_error("%s: %s: %s", type->name, text, error ? error->message : "differs");
}

/* Pointers between core and driver: they are on no client's wire, and cannot be written down. */
static gboolean has_handle(const VireoWireType *type)
{
    for (guint i = 0; i < type->n_fields; i++)
        if (type->fields[i].kind == VIREO_WIRE_HANDLE)
            return TRUE;
    return FALSE;
}

static void test_round_trip(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    g_autoptr(GPtrArray) types = values_all_types();

    g_assert_cmpuint(types->len, >, 500);
    for (guint i = 0; i < types->len; i++)
        for (guint round = 0; round < 6 && !has_handle(types->pdata[i]); round++) {
            Values values = { .rand = rand, .elements = round, .optional = round % 3, .arm = round,
                              .ascii = TRUE };

            round_trip(&values, types->pdata[i]);
        }
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
