/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose children snapshots are whose files name one that has gone. */
#include "qemu/snapshot_gone.h"

static QemuGone *again(QemuGone *gone)
{
    g_autofree char *text = qemu_gone_text(gone);
    g_autoptr(GError) error = NULL;
    QemuGone *other = qemu_gone_parse(text ? text : "{}", &error);

    g_assert_no_error(error);
    return other;
}

static void test_chain(void)
{
    g_autoptr(QemuGone) gone = qemu_gone_new(), other = NULL;

    qemu_gone_add(gone, "c", "b");
    qemu_gone_stale(gone, "d", "c");
    qemu_gone_add(gone, "b", "a");
    qemu_gone_stale(gone, "d", "b"); /* its file is as old as before */
    qemu_gone_add(gone, "leaf", "a");
    other = again(gone);
    g_assert_cmpstr(qemu_gone_parent(other, "c"), ==, "a");
    g_assert_cmpstr(qemu_gone_parent(other, "a"), ==, "a");
    g_assert_false(qemu_gone_has(other, "leaf"));
    qemu_gone_add(other, "a", NULL);
    g_assert_null(qemu_gone_parent(other, "c"));
}

static void test_settled(void)
{
    g_autoptr(QemuGone) gone = qemu_gone_new(), copy = NULL;
    g_autofree char *text = NULL;

    qemu_gone_add(gone, "b", "a");
    qemu_gone_stale(gone, "c", "b");
    copy = qemu_gone_copy(gone);
    qemu_gone_settle(gone, "c");
    text = qemu_gone_text(gone);
    g_assert_null(text);
    g_assert_false(qemu_gone_has(gone, "b"));
    g_autoptr(GPtrArray) children = qemu_gone_children(copy);
    g_assert_cmpuint(children->len, ==, 1);
    g_assert_cmpstr(children->pdata[0], ==, "c");
}

static void test_there_after_all(void)
{
    g_autoptr(QemuGone) gone = qemu_gone_new(), other = NULL;

    qemu_gone_add(gone, "b", "a");
    qemu_gone_stale(gone, "c", "b");
    other = again(gone);
    qemu_gone_is_there(other, "b");
    g_assert_false(qemu_gone_has(other, "b"));
}

/* At one stroke: what is written says of all of them that they do not count. */
static void test_struck(void)
{
    g_autoptr(QemuGone) gone = qemu_gone_new(), other = NULL, copy = NULL;
    g_autofree char *text = NULL;

    qemu_gone_add(gone, "b", "a");
    qemu_gone_strike(gone, "b");
    qemu_gone_strike(gone, "c");
    copy = qemu_gone_copy(gone);
    other = again(copy);
    g_assert_true(qemu_gone_is_struck(other, "b"));
    g_assert_true(qemu_gone_is_struck(other, "c"));
    g_assert_false(qemu_gone_has(other, "b")); /* no file names it */
    g_autoptr(GPtrArray) struck = qemu_gone_struck(other);
    g_assert_cmpuint(struck->len, ==, 2);
    qemu_gone_is_there(other, "c");
    g_assert_false(qemu_gone_is_struck(other, "c"));
    qemu_gone_forget_struck(other);
    g_assert_false(qemu_gone_is_struck(other, "b"));
    text = qemu_gone_text(other);
    g_assert_null(text);
    g_assert_true(qemu_gone_is_struck(gone, "b"));
}

static void test_bad_text(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuGone) gone = qemu_gone_parse("{\"a\":\"b\",\"b\":\"a\",\"n\":7,\"/\":3}", &error);

    g_assert_no_error(error);
    g_assert_null(qemu_gone_parent(gone, "a"));
    g_assert_null(qemu_gone_parent(gone, "n"));
    g_assert_false(qemu_gone_has(gone, "/"));
    g_assert_null(qemu_gone_parse("[", &error));
    g_assert_nonnull(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gone/chain", test_chain);
    g_test_add_func("/gone/settled", test_settled);
    g_test_add_func("/gone/there-after-all", test_there_after_all);
    g_test_add_func("/gone/struck", test_struck);
    g_test_add_func("/gone/bad-text", test_bad_text);
    return g_test_run();
}
