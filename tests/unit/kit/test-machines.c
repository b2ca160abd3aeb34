/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/machines.h"

#include <string.h>

typedef struct {
    char *key, *name;
    guint8 uuid[16];
    int state, reason;
} Machine;

/* What is told of them, one word each; the first letter says what: + is here, - has gone. */
static GString *told;
static guint alive; /* machines that have not been freed */
/* Held by a test that wants publishing to take long. */
static GMutex publishing;
static gint begun;

static void names_of(gconstpointer opaque, VireoMachineNames *names)
{
    const Machine *machine = opaque;

    *names = (VireoMachineNames){ .key = machine->key, .name = machine->name, .uuid = machine->uuid };
}

static void settle(gpointer opaque, gconstpointer before, gboolean is_twin, int *expected, void *of)
{
    Machine *machine = opaque;
    const Machine *known = before;

    g_assert_true(of == &told);
    if (is_twin) {
        char *other = g_strdup_printf("%s (%s)", machine->name, machine->key);
        g_free(machine->name);
        machine->name = other;
    }
    machine->reason = known ? known->reason : 0;
    if (known && known->state == machine->state)
        return;
    machine->reason = *expected;
    *expected = 0;
}

static void publish(gconstpointer opaque, gboolean quiet, void *of)
{
    g_atomic_int_set(&begun, 1);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&publishing);

    g_string_append_printf(told, "+%s%s ", ((const Machine *)opaque)->name, quiet ? "?" : "");
}

static void withdraw(gconstpointer opaque, void *of)
{
    g_string_append_printf(told, "-%s ", ((const Machine *)opaque)->name);
}

static void clear(gpointer opaque)
{
    Machine *machine = opaque;

    g_free(machine->key);
    g_free(machine->name);
    alive--;
}

static void unref(gpointer machine)
{
    if (machine)
        g_atomic_rc_box_release_full(machine, clear);
}

static VireoMachines *machines_new(void)
{
    VireoMachinesOptions options = { .names = names_of, .settle = settle, .publish = publish, .withdraw = withdraw,
                                     .unref = unref, .opaque = &told };

    g_assert_cmpuint(alive, ==, 0);
    told = g_string_new(NULL);
    return vireo_machines_new(&options);
}

static void machines_end(VireoMachines *machines)
{
    vireo_machines_free(machines);
    g_string_free(told, TRUE);
    g_assert_cmpuint(alive, ==, 0);
}

/* uuid: its last byte. */
static Machine *machine_new(const char *key, const char *name, guint8 uuid, int state)
{
    Machine *machine = g_atomic_rc_box_new0(Machine);

    alive++;
    machine->key = g_strdup(key);
    machine->name = g_strdup(name);
    machine->uuid[15] = uuid;
    machine->state = state;
    return machine;
}

static gboolean take(VireoMachines *machines, guint64 number, Machine *machine)
{
    return vireo_machines_take(machines, number, machine, FALSE, NULL);
}

static void told_is(const char *expected)
{
    g_assert_cmpstr(told->str, ==, expected);
    g_string_set_size(told, 0);
}

static const char *name_by_uuid(VireoMachines *machines, guint8 last)
{
    guint8 uuid[16] = { [15] = last };
    Machine *found = vireo_machines_find(machines, uuid);
    const char *name = found ? g_intern_string(found->name) : NULL;

    unref(found);
    return name;
}

static void test_look_up(void)
{
    VireoMachines *machines = machines_new();
    guint64 number = vireo_machines_number(machines);

    g_assert_cmpuint(vireo_machines_last(machines), ==, number);
    g_assert_true(vireo_machines_take(machines, number, machine_new("m1", "b", 1, 0), TRUE, NULL));
    g_assert_true(take(machines, number, machine_new("m2", "a", 2, 0)));
    told_is("+b? +a ");
    g_assert_cmpstr(name_by_uuid(machines, 1), ==, "b");
    g_assert_null(name_by_uuid(machines, 3));
    g_assert_true(vireo_machines_has_name(machines, "a"));
    g_assert_false(vireo_machines_has_name(machines, "m2"));
    Machine *found = vireo_machines_with_key(machines, "m2");
    g_assert_cmpstr(found->name, ==, "a");
    unref(found);
    g_assert_null(vireo_machines_with_key(machines, "m3"));
    g_autoptr(GPtrArray) all = vireo_machines_all(machines);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpstr(((Machine *)all->pdata[0])->name, ==, "a");
    g_clear_pointer(&all, g_ptr_array_unref);
    machines_end(machines);
}

/* Whoever asked first may be answered last. */
static void test_newest(void)
{
    VireoMachines *machines = machines_new();
    guint64 first = vireo_machines_number(machines), second = vireo_machines_number(machines);
    gpointer other;

    g_assert_true(take(machines, second, machine_new("m1", "new", 1, 0)));
    g_assert_false(vireo_machines_take(machines, first, machine_new("m1", "old", 1, 0), FALSE, &other));
    g_assert_null(other);
    vireo_machines_drop(machines, first, "m1"); /* it was not there yet */
    vireo_machines_keep(machines, first, NULL);
    told_is("+new ");
    g_assert_true(vireo_machines_take(machines, 0, machine_new("m1", "changed", 1, 0), FALSE, &other));
    g_assert_cmpstr(((Machine *)other)->name, ==, "new");
    unref(other);
    g_assert_false(take(machines, first, machine_new("m1", "old", 1, 0)));
    told_is("+changed ");
    g_assert_false(vireo_machines_has_name(machines, "new"));
    vireo_machines_drop(machines, second, "m1");
    vireo_machines_drop(machines, second, "m1");
    told_is("-changed ");
    machines_end(machines);
}

static void test_keep(void)
{
    VireoMachines *machines = machines_new();
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    guint64 number = vireo_machines_number(machines);

    take(machines, number, machine_new("m1", "a", 1, 0));
    take(machines, number, machine_new("m2", "b", 2, 0));
    told_is("+a +b ");
    g_hash_table_add(there, (gpointer) "m2");
    vireo_machines_keep(machines, number, there);
    told_is("-a ");
    g_assert_null(name_by_uuid(machines, 1));
    vireo_machines_keep(machines, G_MAXUINT64, NULL);
    told_is("-b ");
    machines_end(machines);
}

static void test_twins(void)
{
    VireoMachines *machines = machines_new();
    guint64 number = vireo_machines_number(machines);
    gpointer other;

    take(machines, number, machine_new("m1", "a", 1, 0));
    take(machines, number, machine_new("m2", "a", 2, 0));
    take(machines, number, machine_new("m1", "a", 1, 0)); /* it is its own name */
    told_is("+a +a (m2) +a ");
    g_assert_cmpstr(name_by_uuid(machines, 2), ==, "a (m2)");
    g_assert_false(vireo_machines_take(machines, number, machine_new("m3", "c", 1, 0), FALSE, &other));
    g_assert_cmpstr(((Machine *)other)->key, ==, "m1");
    unref(other);
    told_is("");
    take(machines, number, machine_new("m1", "a", 4, 0)); /* another UUID: another machine */
    told_is("-a +a ");
    g_assert_null(name_by_uuid(machines, 1));
    g_assert_cmpstr(name_by_uuid(machines, 4), ==, "a");
    machines_end(machines);
}

static int reason_now(VireoMachines *machines)
{
    Machine *found = vireo_machines_with_key(machines, "m1");
    int reason = found->reason;

    unref(found);
    return reason;
}

static void test_expect(void)
{
    VireoMachines *machines = machines_new();
    guint8 uuid[16] = { [15] = 1 }, nobody[16] = { 7 };
    guint64 number = vireo_machines_number(machines);

    take(machines, number, machine_new("m1", "a", 1, 0));
    vireo_machines_expect(machines, uuid, 5);
    vireo_machines_expect(machines, nobody, 6);
    take(machines, number, machine_new("m1", "a", 1, 0)); /* nothing has happened yet */
    g_assert_cmpint(reason_now(machines), ==, 0);
    take(machines, number, machine_new("m1", "a", 1, 1));
    g_assert_cmpint(reason_now(machines), ==, 5);
    take(machines, number, machine_new("m1", "a", 1, 2)); /* once */
    g_assert_cmpint(reason_now(machines), ==, 0);
    machines_end(machines);
}

static gpointer take_slowly(gpointer machines)
{
    take(machines, vireo_machines_number(machines), machine_new("m2", "b", 2, 0));
    return NULL;
}

/* Who looks does not wait for who publishes; and what was found stays what it was. */
static void test_readers(void)
{
    VireoMachines *machines = machines_new();

    take(machines, vireo_machines_number(machines), machine_new("m1", "a", 1, 0));
    Machine *found = vireo_machines_with_key(machines, "m1");
    g_mutex_lock(&publishing);
    g_atomic_int_set(&begun, 0);
    GThread *writer = g_thread_new("writer", take_slowly, machines);
    while (!g_atomic_int_get(&begun))
        g_usleep(1000);
    g_assert_cmpstr(name_by_uuid(machines, 1), ==, "a");
    g_assert_cmpstr(name_by_uuid(machines, 2), ==, "b");
    g_autoptr(GPtrArray) all = vireo_machines_all(machines);
    g_assert_cmpuint(all->len, ==, 2);
    g_clear_pointer(&all, g_ptr_array_unref);
    g_mutex_unlock(&publishing);
    g_thread_join(writer);
    take(machines, vireo_machines_number(machines), machine_new("m1", "renamed", 1, 0));
    g_assert_cmpstr(found->name, ==, "a");
    unref(found);
    machines_end(machines);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kit/machines/look-up", test_look_up);
    g_test_add_func("/kit/machines/newest", test_newest);
    g_test_add_func("/kit/machines/keep", test_keep);
    g_test_add_func("/kit/machines/twins", test_twins);
    g_test_add_func("/kit/machines/expect", test_expect);
    g_test_add_func("/kit/machines/readers", test_readers);
    return g_test_run();
}
