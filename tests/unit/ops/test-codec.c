/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every type of the catalogue there and back, at its limits, and cut off. */
#include <string.h>

#include "ops/codec.h"
#include "util/error.h"
#include "values.h"

#define SEED 20240501

/* A handle never leaves the process, so a copy of its bits is all there is to keep. */
static void there_and_back(const VireoWireType *type, Values *values)
{
    gpointer in = vireo_arena_alloc(values->arena, type->size);
    gpointer out = vireo_arena_alloc(values->arena, type->size);
    gpointer copy = vireo_arena_alloc(values->arena, type->size);
    g_autoptr(GByteArray) first = g_byte_array_new();
    g_autoptr(GByteArray) second = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    gsize used;

    values_fill(values, type, in);
    g_assert_true(vireo_wire_encode(type, in, first, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(first->len % 4, ==, 0);
    g_assert_true(
        vireo_wire_decode(type, first->data, first->len, values->arena, out, &used, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(used, ==, first->len);
    g_assert_true(values_same(type, in, out));
    g_assert_true(vireo_wire_encode(type, out, second, NULL));
    g_assert_cmpmem(first->data, first->len, second->data, second->len);
    vireo_wire_copy(type, in, values->arena, copy);
    g_assert_true(values_same(type, in, copy));
    g_assert_true(vireo_wire_equal(type, in, copy));
}

static guint widest_union(const GPtrArray *types)
{
    guint most = 1;

    for (guint i = 0; i < types->len; i++) {
        const VireoWireType *type = types->pdata[i];

        if (type->tags)
            most = MAX(most, type->n_fields);
    }
    return most;
}

static void test_round_trip(void)
{
    static const guint sizes[] = {0, 1, 2, 7};
    g_autoptr(GPtrArray) types = values_all_types();
    g_autoptr(GRand) rand = g_rand_new_with_seed(SEED);
    guint arms = widest_union(types);
    guint trips = 0;

    g_assert_cmpuint(arms, >=, 7);
    for (guint i = 0; i < types->len; i++)
        for (guint size = 0; size < G_N_ELEMENTS(sizes); size++)
            for (guint arm = 0; arm <= arms; arm++)
                for (ValuesOptional optional = 0; optional <= VALUES_MIXED; optional++) {
                    g_autoptr(VireoArena) arena = vireo_arena_new();
                    Values values = {
                        rand, arena, sizes[size], optional, arm < arms ? arm : G_MAXUINT, 0};

                    there_and_back(types->pdata[i], &values);
                    trips++;
                }
    g_test_message("%u types, %u round trips", types->len, trips);
}

/* The walk has met every type that the catalogue describes. */
static void test_complete(void)
{
    g_autoptr(GPtrArray) types = values_all_types();
    g_autoptr(GHashTable) met = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *golden = NULL;
    g_auto(GStrv) lines = NULL;
    guint fields = 0;

    for (guint i = 0; i < types->len; i++)
        g_hash_table_add(met, (gpointer)((const VireoWireType *)types->pdata[i])->name);
    g_assert_true(g_file_get_contents(g_getenv("VIREO_CATALOGUE_LISTING"), &golden, NULL, NULL));
    lines = g_strsplit(golden, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);

        if (!words[0] || (strcmp(words[0], "field") != 0 && strcmp(words[0], "arm") != 0))
            continue;
        fields++;
        if (!g_hash_table_contains(met, words[1]))
            g_test_fail_printf("type %s is never tested", words[1]);
    }
    g_assert_cmpuint(fields, >, 1500);
}

/* ---- cut off ---- */

static void cut_everywhere(const VireoWireType *type, Values *values)
{
    gpointer in = vireo_arena_alloc(values->arena, type->size);
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    values_fill(values, type, in);
    g_assert_true(vireo_wire_encode(type, in, bytes, NULL));
    for (guint cut = 0; cut < bytes->len && cut < 600; cut++) {
        g_autoptr(VireoArena) arena = vireo_arena_new();
        g_autofree guint8 *part = g_memdup2(bytes->data, cut); /* of that size, for a sanitizer */
        gpointer out = vireo_arena_alloc(arena, type->size);
        g_autoptr(GError) error = NULL;
        gsize used;

        g_assert_false(vireo_wire_decode(type, part, cut, arena, out, &used, &error));
        g_assert_error(error, VIREO_ERROR, VIREO_ERR_RPC);
        g_assert_true(g_str_has_prefix(error->message, "Unable to decode message payload"));
        g_assert_cmpuint(used, <=, cut);
    }
}

static void test_cut_off(void)
{
    g_autoptr(GPtrArray) types = values_all_types();
    g_autoptr(GRand) rand = g_rand_new_with_seed(SEED);

    for (guint i = 0; i < types->len; i++) {
        g_autoptr(VireoArena) arena = vireo_arena_new();
        Values values = {rand, arena, 2, VALUES_PRESENT, G_MAXUINT, 0};

        cut_everywhere(types->pdata[i], &values);
    }
}

/* ---- limits ---- */

/* The same for a type of this one field, so that its bytes begin with the length. */
typedef struct {
    VireoWireField field;
    VireoWireType type;
} Alone;

static void stand_alone(Alone *alone, const VireoWireField *field, guint limit)
{
    alone->field = *field;
    alone->field.offset = 0;
    alone->field.limit = limit;
    alone->type = (VireoWireType){"alone", sizeof(VireoWireArray), 1, &alone->field, NULL};
}

/* n elements that are all alike and small. */
static void many(Values *values, const VireoWireField *field, guint n, VireoWireArray *array)
{
    gsize size = values_element_size(field);

    array->len = n;
    array->val = vireo_arena_alloc(values->arena, MAX(n, 1) * size);
    values_fill_one(values, field, array->val);
    for (guint i = 1; i < n; i++)
        memcpy((char *)array->val + i * size, array->val, size);
}

/* A value with `n` bytes or elements. */
static void sized_value(Values *values, const VireoWireField *field, guint n, VireoWireArray *out)
{
    if (field->form == VIREO_WIRE_ARRAY) {
        many(values, field, n, out);
    } else if (field->kind == VIREO_WIRE_STRING) {
        char *text = vireo_arena_alloc(values->arena, n + 1);

        memset(text, 'x', n);
        *(char **)out = text;
    } else {
        out->len = n;
        out->val = vireo_arena_alloc(values->arena, n);
    }
}

static gboolean decodes(const Alone *alone, const GByteArray *bytes)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VireoWireArray out = {0};
    g_autoptr(GError) error = NULL;
    gsize used;
    gboolean ok =
        vireo_wire_decode(&alone->type, bytes->data, bytes->len, arena, &out, &used, &error);

    g_assert_true(ok == !error);
    if (ok)
        g_assert_cmpuint(used, ==, bytes->len);
    else
        g_assert_nonnull(strstr(error->message, alone->field.name));
    return ok;
}

static gboolean encodes(const Alone *alone, const VireoWireArray *in, GByteArray *bytes)
{
    g_autoptr(GError) error = NULL;
    gboolean ok;

    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, (const guint8 *)"kept", 4);
    ok = vireo_wire_encode(&alone->type, in, bytes, &error);
    g_assert_true(ok == !error);
    g_assert_cmpmem(bytes->data, 4, "kept", 4);
    if (!ok)
        g_assert_cmpuint(bytes->len, ==, 4);
    else
        g_byte_array_remove_range(bytes, 0, 4);
    return ok;
}

static void at_the_limit(const VireoWireField *field, GRand *rand)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Values values = {rand, arena, 0, VALUES_ABSENT, 0, 0};
    VireoWireArray full = {0}, over = {0};
    Alone true_limit, wider;

    stand_alone(&true_limit, field, field->limit);
    stand_alone(&wider, field, field->limit + 1);
    sized_value(&values, field, field->limit, &full);
    sized_value(&values, field, field->limit + 1, &over);
    g_assert_true(encodes(&true_limit, &full, bytes));
    g_assert_true(decodes(&true_limit, bytes));
    g_assert_false(encodes(&true_limit, &over, bytes));
    g_assert_true(encodes(&wider, &over, bytes));
    g_assert_true(decodes(&wider, bytes));
    g_assert_false(decodes(&true_limit, bytes));
}

static gboolean has_limit(const VireoWireField *field)
{
    return field->form == VIREO_WIRE_ARRAY ||
           (field->form != VIREO_WIRE_FIXED &&
            (field->kind == VIREO_WIRE_STRING || field->kind == VIREO_WIRE_OPAQUE));
}

/* Every kind of field with a limit, once for each limit. */
static void test_limits(void)
{
    g_autoptr(GPtrArray) types = values_all_types();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GRand) rand = g_rand_new_with_seed(SEED);

    for (guint i = 0; i < types->len; i++) {
        const VireoWireType *type = types->pdata[i];

        for (guint j = 0; j < type->n_fields; j++) {
            const VireoWireField *field = &type->fields[j];

            if (has_limit(field) &&
                g_hash_table_add(seen, g_strdup_printf("%d %d %u %s", field->kind, field->form,
                                                       field->limit,
                                                       field->type ? field->type->name : "")))
                at_the_limit(field, rand);
        }
    }
    g_test_message("%u different limits", g_hash_table_size(seen));
    g_assert_cmpuint(g_hash_table_size(seen), >=, 57);
}

/* A count that nothing backs is refused, whatever it is. */
static void test_empty_promises(void)
{
    static const guint32 counts[] = {1, 2, 0x7fffffff, 0x80000000u, 0xffffffffu};
    g_autoptr(GPtrArray) types = values_all_types();
    guint arrays = 0;

    for (guint i = 0; i < types->len; i++) {
        const VireoWireType *type = types->pdata[i];

        for (guint j = 0; j < type->n_fields; j++) {
            const VireoWireField *field = &type->fields[j];
            Alone alone;

            if (!has_limit(field) || field->form == VIREO_WIRE_OPTIONAL)
                continue;
            arrays++;
            stand_alone(&alone, field, field->limit);
            for (guint k = 0; k <= G_N_ELEMENTS(counts); k++) {
                guint32 count = GUINT32_TO_BE(k < G_N_ELEMENTS(counts) ? counts[k] : field->limit);
                g_autoptr(GByteArray) bytes = g_byte_array_new();

                g_byte_array_append(bytes, (guint8 *)&count, 4);
                g_assert_false(decodes(&alone, bytes));
            }
        }
    }
    g_assert_cmpuint(arrays, >, 300);
}

/* ---- values that are none ---- */

static GByteArray *from_hex(const char *hex)
{
    GByteArray *bytes = g_byte_array_new();

    for (const char *at = hex; *at; at++) {
        guint8 byte;

        if (*at == ' ')
            continue;
        byte = (guint8)(g_ascii_xdigit_value(at[0]) << 4 | g_ascii_xdigit_value(at[1]));
        g_byte_array_append(bytes, &byte, 1);
        at++;
    }
    return bytes;
}

static void refused(const VireoWireType *type, const char *hex, const char *why)
{
    g_autoptr(GByteArray) bytes = from_hex(hex);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gpointer out = vireo_arena_alloc(arena, type->size);
    g_autoptr(GError) error = NULL;

    g_assert_false(vireo_wire_decode(type, bytes->data, bytes->len, arena, out, NULL, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_RPC);
    g_assert_nonnull(strstr(error->message, why));
}

static void test_nonsense(void)
{
    const VireoWireType *lookup = vireo_op_by_id(VIREO_OP_domain_lookup_by_name)->args;
    const VireoWireType *set = vireo_op_by_id(VIREO_OP_domain_set_memory_parameters)->args;

    refused(lookup, "00000003 61006200", "NUL");
    refused(
        set,
        "00000001 61000000 00000000000000000000000000000000 ffffffff 00000001 00000001 61000000 "
        "00000000 00000001 00000000",
        "no known type");
    refused(
        set,
        "00000001 61000000 00000000000000000000000000000000 ffffffff 00000001 00000001 61000000 "
        "00000008 00000001 00000000",
        "no known type");
}

/* Whatever is not 0 says that an optional member follows, and is sent on as 1. */
static void test_any_yes(void)
{
    static const char *const yes[] = {"00000001", "01000000", "00000002", "ffffffff"};
    const VireoWireType *open = vireo_op_by_id(VIREO_OP_connect_open)->args;

    for (guint i = 0; i < G_N_ELEMENTS(yes); i++) {
        g_autofree char *hex = g_strconcat(yes[i], "00000001 61000000 00000005", NULL);
        g_autoptr(GByteArray) bytes = from_hex(hex);
        g_autoptr(VireoArena) arena = vireo_arena_new();
        vireo_connect_open_args args = {0};

        g_assert_true(vireo_wire_decode(open, bytes->data, bytes->len, arena, &args, NULL, NULL));
        g_assert_cmpstr(args.name, ==, "a");
        g_assert_cmpuint(args.flags, ==, 5);
    }
}

static void test_missing_string(void)
{
    const VireoWireType *lookup = vireo_op_by_id(VIREO_OP_domain_lookup_by_name)->args;
    vireo_domain_lookup_by_name_args args = {NULL};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    g_assert_false(vireo_wire_encode(lookup, &args, bytes, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_RPC);
    g_assert_nonnull(strstr(error->message, "name: a string is missing"));
    g_assert_cmpuint(bytes->len, ==, 0);
}

static void test_unknown_arm(void)
{
    vireo_typed_param_value value = {.type = 99};
    extern const VireoWireType vireo_type_typed_param_value;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    g_assert_false(vireo_wire_encode(&vireo_type_typed_param_value, &value, bytes, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_RPC);
    g_assert_cmpuint(bytes->len, ==, 0);
}

static void test_no_type(void)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    gsize used = 1;

    g_assert_true(vireo_wire_decode(NULL, "abcd", 4, NULL, NULL, &used, NULL));
    g_assert_cmpuint(used, ==, 0);
    g_assert_true(vireo_wire_encode(NULL, NULL, bytes, NULL));
    g_assert_cmpuint(bytes->len, ==, 0);
}

/* ---- bytes written out by hand from RFC 4506 ---- */

static void encodes_as(const VireoWireType *type, gconstpointer value, const char *hex)
{
    g_autoptr(GByteArray) want = from_hex(hex);
    g_autoptr(GByteArray) got = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    g_assert_true(vireo_wire_encode(type, value, got, &error));
    g_assert_no_error(error);
    g_assert_cmpmem(got->data, got->len, want->data, want->len);
}

static void test_by_hand(void)
{
    vireo_connect_open_args open = {"test:///default", 1};
    vireo_connect_open_args none = {NULL, 0};
    vireo_domain_create_args create = {
        {"vm", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, -1}};
    vireo_typed_param params[2] = {
        {"a", {VIREO_TYPED_PARAM_ULLONG, {.ul = UINT64_C(0x0102030405060708)}}},
        {"bcde", {VIREO_TYPED_PARAM_STRING, {.s = "x"}}},
    };
    vireo_domain_set_memory_parameters_args set = {create.dom, {2, params}, 3};
    vireo_node_get_info_ret info = {.model = "x86", .memory = 5, .cpus = -2};
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    encodes_as(vireo_op_by_id(VIREO_OP_connect_open)->args, &open,
               "00000001 0000000f 746573743a2f2f2f64656661756c7400 00000001");
    encodes_as(vireo_op_by_id(VIREO_OP_connect_open)->args, &none, "00000000 00000000");
    encodes_as(vireo_op_by_id(VIREO_OP_domain_create)->args, &create,
               "00000002 766d0000 0102030405060708090a0b0c0d0e0f10 ffffffff");
    encodes_as(vireo_op_by_id(VIREO_OP_domain_set_memory_parameters)->args, &set,
               "00000002 766d0000 0102030405060708090a0b0c0d0e0f10 ffffffff 00000002 "
               "00000001 61000000 00000004 0102030405060708 "
               "00000004 62636465 00000007 00000001 78000000 00000003");
    /* a char takes four bytes */
    g_assert_true(
        vireo_wire_encode(vireo_op_by_id(VIREO_OP_node_get_info)->ret, &info, bytes, NULL));
    g_assert_cmpuint(bytes->len, ==, 32 * 4 + 8 + 6 * 4);
    g_assert_cmpmem(bytes->data, 16,
                    "\0\0\0x\0\0\0"
                    "8\0\0\0"
                    "6\0\0\0\0",
                    16);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/codec/by-hand", test_by_hand);
    g_test_add_func("/codec/round-trip", test_round_trip);
    g_test_add_func("/codec/complete", test_complete);
    g_test_add_func("/codec/cut-off", test_cut_off);
    g_test_add_func("/codec/limits", test_limits);
    g_test_add_func("/codec/empty-promises", test_empty_promises);
    g_test_add_func("/codec/nonsense", test_nonsense);
    g_test_add_func("/codec/any-yes", test_any_yes);
    g_test_add_func("/codec/missing-string", test_missing_string);
    g_test_add_func("/codec/unknown-arm", test_unknown_arm);
    g_test_add_func("/codec/no-type", test_no_type);
    return g_test_run();
}
