/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The catalogue's tables agree with themselves. */
#include <string.h>

#include "ops/catalogue.h"

static void test_lookup(void)
{
    guint32 last = 0;

    g_assert_cmpuint(vireo_n_ops, >, 480);
    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];
        g_autofree char *dashed = g_strdelimit(g_strdup(op->name), "_", '-');

        g_assert_cmpuint(op->id, >, last);
        last = op->id;
        g_assert_true(vireo_op_by_id(op->id) == op);
        g_assert_true(vireo_op_by_name(op->name) == op);
        g_assert_true(vireo_op_by_name(dashed) == op);
        g_assert_true(vireo_op_by_proc(op->program, op->proc) == op);
    }
    g_assert_null(vireo_op_by_id(0));
    g_assert_null(vireo_op_by_id(G_MAXUINT32));
    g_assert_null(vireo_op_by_name("no_such_operation"));
    g_assert_null(vireo_op_by_proc(VIREO_PROGRAM_REMOTE, 0));
    g_assert_null(vireo_op_by_proc(VIREO_PROGRAM_REMOTE, -1));
    g_assert_null(vireo_op_by_proc(VIREO_PROGRAM_REMOTE, G_MAXINT32));
    /* A number beyond one program's range does not reach into the next one's. */
    g_assert_null(vireo_op_by_proc(VIREO_PROGRAM_REMOTE, 0x1001));
}

/* Numbers that clients have compiled in. */
static void test_known_numbers(void)
{
    static const struct {
        VireoProgram program;
        gint32 proc;
        const char *name;
    } known[] = {
        {VIREO_PROGRAM_REMOTE, 1, "connect_open"},
        {VIREO_PROGRAM_REMOTE, 2, "connect_close"},
        {VIREO_PROGRAM_REMOTE, 9, "domain_create"},
        {VIREO_PROGRAM_REMOTE, 66, "auth_list"},
        {VIREO_PROGRAM_REMOTE, 193, "domain_snapshot_delete"},
        {VIREO_PROGRAM_REMOTE, 316, "connect_domain_event_callback_register_any"},
        {VIREO_PROGRAM_KEEPALIVE, 1, "keepalive_ping"},
        {VIREO_PROGRAM_KEEPALIVE, 2, "keepalive_pong"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
        const VireoOp *op = vireo_op_by_proc(known[i].program, known[i].proc);

        g_assert_nonnull(op);
        g_assert_cmpstr(op->name, ==, known[i].name);
    }
}

static void test_programs(void)
{
    static const guint32 numbers[] = {0x20008086, 0x20008087, 0x00068000,
                                      0x06900690, 0x6b656570, 0x56495245};
    VireoProgram program;

    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_assert_true(vireo_program_find(numbers[i], 1, &program));
        g_assert_cmpuint(program, ==, i);
        g_assert_cmpuint(vireo_program_number(program), ==, numbers[i]);
        g_assert_false(vireo_program_find(numbers[i], 2, &program));
        g_assert_false(vireo_program_find(numbers[i], 0, &program));
    }
    g_assert_false(vireo_program_find(0, 0, &program)); /* core to driver: no client's */
    g_assert_false(vireo_program_find(0x20008088, 1, &program));
}

/* ---- flags ---- */

static void check_flag(const VireoOp *op, const VireoFlag *flag)
{
    g_autofree char *name = vireo_op_flag_names(op, flag->bit);
    g_autofree char *lower = g_ascii_strdown(flag->name, -1);
    guint64 parsed;

    g_assert_true(flag->bit && !(flag->bit & (flag->bit - 1)));
    g_assert_true(op->known_flags & flag->bit);
    g_assert_true(vireo_op_parse_flags(op, flag->name, &parsed, NULL));
    g_assert_cmpuint(parsed, ==, flag->bit);
    g_assert_true(vireo_op_parse_flags(op, lower, &parsed, NULL));
    g_assert_cmpuint(parsed, ==, flag->bit);
    /* A bit with two names is shown by the first. */
    g_assert_true(vireo_op_parse_flags(op, name, &parsed, NULL));
    g_assert_cmpuint(parsed, ==, flag->bit);
}

static void test_flags(void)
{
    guint with_flags = 0;

    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];
        guint64 all = 0;

        for (const VireoFlag *flag = op->flags; flag && flag->name; flag++) {
            check_flag(op, flag);
            all |= flag->bit;
        }
        g_assert_cmpuint(all, ==, op->known_flags);
        g_assert_cmpuint(op->readonly_flags & ~all, ==, 0);
        g_assert_cmpuint(op->sparse_flag & ~all, ==, 0);
        if (all) {
            g_autofree char *names = vireo_op_flag_names(op, all);
            guint64 parsed;

            with_flags++;
            g_assert_cmpint(op->flags_offset, >=, 0);
            g_assert_true(op->flags_size == 4 || op->flags_size == 8);
            g_assert_true(vireo_op_parse_flags(op, names, &parsed, NULL));
            g_assert_cmpuint(parsed, ==, all);
        }
    }
    g_assert_cmpuint(with_flags, >, 100);
}

static void test_flag_text(void)
{
    const VireoOp *op = vireo_op_by_name("domain-snapshot-delete");
    g_autofree char *two = vireo_op_flag_names(op, 3);
    g_autofree char *strange = vireo_op_flag_names(op, 1 | G_GUINT64_CONSTANT(0x8000000000));
    g_autofree char *none = vireo_op_flag_names(op, 0);
    g_autofree char *unknown = NULL;
    guint64 flags = 77;

    g_assert_cmpstr(two, ==, "CHILDREN, METADATA_ONLY");
    g_assert_cmpstr(strange, ==, "CHILDREN, 0x8000000000");
    g_assert_cmpstr(none, ==, "none");
    g_assert_true(vireo_op_parse_flags(op, "CHILDREN|METADATA_ONLY", &flags, NULL));
    g_assert_cmpuint(flags, ==, 3);
    g_assert_true(vireo_op_parse_flags(op, "children_only , metadata_only", &flags, NULL));
    g_assert_cmpuint(flags, ==, 6);
    g_assert_true(vireo_op_parse_flags(op, "", &flags, NULL));
    g_assert_cmpuint(flags, ==, 0);
    g_assert_true(vireo_op_parse_flags(op, NULL, &flags, NULL));
    g_assert_false(vireo_op_parse_flags(op, "CHILDREN,GRANDCHILDREN", &flags, &unknown));
    g_assert_cmpstr(unknown, ==, "GRANDCHILDREN");
}

static void test_get_set_flags(void)
{
    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];
        g_autofree guint8 *args = op->args ? g_malloc0(op->args->size) : NULL;
        guint64 value = op->flags_size == 8 ? G_GUINT64_CONSTANT(0x123456789abcdef0) : 0x9abcdef0;
        const VireoWireField *field = vireo_wire_field(op->args, "flags");

        if (op->flags_offset < 0) {
            vireo_op_set_flags(op, args, value);
            g_assert_cmpuint(vireo_op_get_flags(op, args), ==, 0);
            continue;
        }
        g_assert_nonnull(field);
        g_assert_cmpint((gint)field->offset, ==, op->flags_offset);
        vireo_op_set_flags(op, args, value);
        g_assert_cmpuint(vireo_op_get_flags(op, args), ==, value);
    }
}

static void test_flag_rules(void)
{
    guint exclusive = 0, requires = 0;

    for (guint i = 0; i < vireo_n_ops; i++)
        for (const VireoFlagRule *rule = vireo_ops[i].flag_rules; rule && rule->kind; rule++) {
            g_assert_true(rule->first && rule->second && rule->first != rule->second);
            g_assert_cmpuint((rule->first | rule->second) & ~vireo_ops[i].known_flags, ==, 0);
            if (rule->kind == VIREO_FLAGS_EXCLUSIVE)
                exclusive++;
            else
            requires ++;
        }
    g_assert_cmpuint(exclusive, >, 0);
    g_assert_cmpuint(requires, >, 0);
}

/* ---- access ---- */

static void test_access(void)
{
    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];

        for (const VireoAclRule *rule = op->acl; rule && rule->object; rule++) {
            g_assert_nonnull(rule->permission);
            if (rule->when == VIREO_ACL_IF || rule->when == VIREO_ACL_UNLESS) {
                if (!rule->value || (rule->value & ~op->known_flags))
                    g_test_fail_printf("%s: a permission hangs on a flag it does not have",
                                       op->name);
            }
            if (rule->when == VIREO_ACL_ARG)
                g_assert_nonnull(vireo_wire_field(op->args, rule->arg));
        }
        if (op->readonly_arg)
            g_assert_nonnull(vireo_wire_field(op->args, op->readonly_arg));
    }
}

static void test_objects(void)
{
    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];

        if (op->object == VIREO_CLASS_NONE)
            continue;
        g_assert_cmpuint(op->object, <=, VIREO_CLASS_ADMIN_CLIENT);
        g_assert_cmpuint(op->args->fields[0].offset, ==, op->object_offset);
        g_assert_cmpint(op->args->fields[0].kind, ==, VIREO_WIRE_STRUCT);
    }
}

static void test_events(void)
{
    guint with_number = 0;

    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];

        if (op->kind == VIREO_OP_EVENT) {
            g_assert_null(op->args);
            with_number += op->event_id >= 0;
        }
    }
    g_assert_cmpuint(with_number, >, 30);
}

/* ---- derived operations ---- */

static gboolean is_number(const VireoWireField *field)
{
    return field->form == VIREO_WIRE_ONE &&
           (field->kind == VIREO_WIRE_INT || field->kind == VIREO_WIRE_UINT ||
            field->kind == VIREO_WIRE_HYPER || field->kind == VIREO_WIRE_UHYPER);
}

static gboolean alike(const VireoWireField *a, const VireoWireField *b)
{
    if (is_number(a) && is_number(b))
        return TRUE;
    /* what one calls optional the other may have always */
    return a->kind == b->kind && a->type == b->type &&
           (a->form == b->form || (a->form != VIREO_WIRE_ARRAY && b->form != VIREO_WIRE_ARRAY));
}

static gboolean sets(const VireoOp *op, const char *name)
{
    for (const VireoDeriveSet *set = op->derive_set; set && set->field; set++)
        if (strcmp(set->field, name) == 0)
            return TRUE;
    return FALSE;
}

/* Each argument of the source comes from somewhere, and each of the derived one goes somewhere. */
static void check_arguments(const VireoOp *op, const VireoOp *source)
{
    for (guint i = 0; source->args && i < source->args->n_fields; i++) {
        const VireoWireField *field = &source->args->fields[i];
        const VireoWireField *own = vireo_wire_field(op->args, field->name);

        if (own && !alike(own, field))
            g_test_fail_printf("%s.%s is not what %s takes", op->name, field->name, source->name);
        if (!own && !sets(op, field->name) && field->form != VIREO_WIRE_OPTIONAL)
            g_test_fail_printf("%s: nothing sets %s.%s", op->name, source->name, field->name);
    }
    for (guint i = 0; op->args && i < op->args->n_fields; i++) {
        const VireoWireField *field = &op->args->fields[i];

        if (!vireo_wire_field(source->args, field->name))
            g_test_fail_printf("%s.%s is lost on the way to %s", op->name, field->name,
                               source->name);
    }
}

static void check_sets(const VireoOp *op, const VireoOp *source)
{
    for (const VireoDeriveSet *set = op->derive_set; set && set->field; set++) {
        const VireoWireField *field = vireo_wire_field(source->args, set->field);

        if (!field || !is_number(field)) {
            g_test_fail_printf("%s sets %s.%s, which is no number", op->name, source->name,
                               set->field);
            continue;
        }
        if ((gint)field->offset == source->flags_offset)
            g_assert_cmpuint(set->value & ~source->known_flags, ==, 0);
    }
}

/* The answer can be made from the source's: the same members, or none at all. */
static void check_result(const VireoOp *op, const VireoOp *source)
{
    for (guint i = 0; op->ret && i < op->ret->n_fields; i++) {
        const VireoWireField *field = &op->ret->fields[i];
        const VireoWireField *from = vireo_wire_field(source->ret, field->name);

        if (!from || !alike(field, from))
            g_test_fail_printf("%s returns %s, %s does not", op->name, field->name, source->name);
    }
}

static void test_derived(void)
{
    guint derived = 0;

    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];
        const VireoOp *source = op->derive_from;

        if (!source)
            continue;
        derived++;
        g_assert_cmpint(source->kind, ==, VIREO_OP_CALL);
        g_assert_null(source->derive_from);
        g_assert_true(source != op);
        check_arguments(op, source);
        check_sets(op, source);
        check_result(op, source);
    }
    g_test_message("%u derived operations", derived);
    g_assert_cmpuint(derived, >, 10);
}

/* ---- dispatch ---- */

static int probe_none(void *conn, vireo_call *call)
{
    return conn == (void *)1 && call == (vireo_call *)2 ? 10 : 0;
}

static int probe_args(void *conn, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    return conn == (void *)1 && call == (vireo_call *)2 && args->flags == 3 ? 20 : 0;
}

static int probe_ret(void *conn, vireo_call *call, vireo_connect_get_version_ret *ret)
{
    ret->hv_ver = 4;
    return conn == (void *)1 && call == (vireo_call *)2 ? 30 : 0;
}

static int probe_both(void *conn, vireo_call *call, const vireo_conn_open_args *args,
                      vireo_conn_open_ret *ret)
{
    ret->uri = args->uri;
    return 40;
}

static void test_dispatch(void)
{
    vireo_domain_undefine_flags_args args = {.flags = 3};
    vireo_connect_get_version_ret version = {0};
    vireo_conn_open_args open = {.uri = "x"};
    vireo_conn_open_ret opened = {0};
    void *conn = (void *)1;
    vireo_call *call = (vireo_call *)2;

    g_assert_cmpint(vireo_dispatch(VIREO_OP_conn_close, (union vireo_fn){.conn_close = probe_none},
                                   conn, call, NULL, NULL),
                    ==, 10);
    g_assert_cmpint(vireo_dispatch(VIREO_OP_domain_undefine_flags,
                                   (union vireo_fn){.domain_undefine_flags = probe_args}, conn,
                                   call, &args, NULL),
                    ==, 20);
    g_assert_cmpint(vireo_dispatch(VIREO_OP_connect_get_version,
                                   (union vireo_fn){.connect_get_version = probe_ret}, conn, call,
                                   NULL, &version),
                    ==, 30);
    g_assert_cmpuint(version.hv_ver, ==, 4);
    g_assert_cmpint(vireo_dispatch(VIREO_OP_conn_open, (union vireo_fn){.conn_open = probe_both},
                                   conn, call, &open, &opened),
                    ==, 40);
    g_assert_true(opened.uri == open.uri);
    g_assert_cmpint(
        vireo_dispatch(0x7fff, (union vireo_fn){.conn_close = probe_none}, conn, call, NULL, NULL),
        ==, VIREO_FAIL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/catalogue/lookup", test_lookup);
    g_test_add_func("/catalogue/known-numbers", test_known_numbers);
    g_test_add_func("/catalogue/programs", test_programs);
    g_test_add_func("/catalogue/flags", test_flags);
    g_test_add_func("/catalogue/flag-text", test_flag_text);
    g_test_add_func("/catalogue/get-set-flags", test_get_set_flags);
    g_test_add_func("/catalogue/flag-rules", test_flag_rules);
    g_test_add_func("/catalogue/access", test_access);
    g_test_add_func("/catalogue/objects", test_objects);
    g_test_add_func("/catalogue/events", test_events);
    g_test_add_func("/catalogue/derived", test_derived);
    g_test_add_func("/catalogue/dispatch", test_dispatch);
    return g_test_run();
}
