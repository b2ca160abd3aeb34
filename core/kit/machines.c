/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/machines.h"

#include <string.h>

typedef struct {
    gpointer machine;
    VireoMachineNames names; /* the machine's */
    guint64 seen;            /* number of the reading that told of it */
    int expected;
} Entry;

struct VireoMachines {
    VireoMachinesOptions options;
    GMutex changing; /* held by who changes something, until it is published */
    GMutex lock;     /* of what follows, for a few pointers at a time; of the tables changing is needed as well to write */
    GHashTable *by_key, *by_uuid, *by_name; /* Entry, owned by the first */
    guint64 numbers;
};

static guint hash_uuid(gconstpointer uuid)
{
    guint32 words[4];

    memcpy(words, uuid, sizeof words);
    return words[0] ^ words[1] ^ words[2] ^ words[3];
}

static gboolean same_uuid(gconstpointer one, gconstpointer other)
{
    return memcmp(one, other, 16) == 0;
}

VireoMachines *vireo_machines_new(const VireoMachinesOptions *options)
{
    VireoMachines *machines = g_new0(VireoMachines, 1);

    machines->options = *options;
    g_mutex_init(&machines->changing);
    g_mutex_init(&machines->lock);
    machines->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    machines->by_uuid = g_hash_table_new(hash_uuid, same_uuid);
    machines->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    return machines;
}

static void entry_free(VireoMachines *machines, Entry *entry)
{
    if (!entry)
        return;
    machines->options.unref(entry->machine);
    g_free(entry);
}

void vireo_machines_free(VireoMachines *machines)
{
    GHashTableIter iter;
    gpointer entry;

    if (!machines)
        return;
    g_hash_table_iter_init(&iter, machines->by_key);
    while (g_hash_table_iter_next(&iter, NULL, &entry))
        entry_free(machines, entry);
    g_hash_table_unref(machines->by_key);
    g_hash_table_unref(machines->by_uuid);
    g_hash_table_unref(machines->by_name);
    g_mutex_clear(&machines->changing);
    g_mutex_clear(&machines->lock);
    g_free(machines);
}

/* ---- the tables, with `changing` held ---------------------------------------------------- */

static void remove_entry(VireoMachines *machines, Entry *entry)
{
    g_hash_table_remove(machines->by_key, entry->names.key);
    g_hash_table_remove(machines->by_uuid, entry->names.uuid);
    if (g_hash_table_lookup(machines->by_name, entry->names.name) == entry)
        g_hash_table_remove(machines->by_name, entry->names.name);
}

/* In place of the other one; either may be NULL. */
static void exchange(VireoMachines *machines, Entry *old, Entry *fresh)
{
    g_mutex_lock(&machines->lock);
    if (old)
        remove_entry(machines, old);
    if (fresh) {
        g_hash_table_insert(machines->by_key, (gpointer)fresh->names.key, fresh);
        g_hash_table_insert(machines->by_uuid, (gpointer)fresh->names.uuid, fresh);
        g_hash_table_insert(machines->by_name, (gpointer)fresh->names.name, fresh);
    }
    g_mutex_unlock(&machines->lock);
}

static void drop(VireoMachines *machines, Entry *entry)
{
    machines->options.withdraw(entry->machine, machines->options.opaque);
    exchange(machines, entry, NULL);
    entry_free(machines, entry);
}

/* ---- what the server tells --------------------------------------------------------------- */

guint64 vireo_machines_number(VireoMachines *machines)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&machines->lock);

    return ++machines->numbers;
}

guint64 vireo_machines_last(VireoMachines *machines)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&machines->lock);

    return machines->numbers;
}

static void settle(VireoMachines *machines, Entry *fresh, const Entry *known)
{
    const VireoMachinesOptions *options = &machines->options;
    const Entry *named = g_hash_table_lookup(machines->by_name, fresh->names.name);

    fresh->expected = known ? known->expected : 0;
    options->settle(fresh->machine, known ? known->machine : NULL, named && named != known, &fresh->expected,
                    options->opaque);
    options->names(fresh->machine, &fresh->names);
}

static void tell(const Entry *entry, gpointer *machine)
{
    if (machine)
        *machine = entry ? g_atomic_rc_box_acquire(entry->machine) : NULL;
}

gboolean vireo_machines_take(VireoMachines *machines, guint64 number, gpointer machine, gboolean quiet, gpointer *other)
{
    const VireoMachinesOptions *options = &machines->options;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&machines->changing);
    Entry *fresh = g_new0(Entry, 1);

    fresh->machine = machine;
    options->names(machine, &fresh->names);
    Entry *known = g_hash_table_lookup(machines->by_key, fresh->names.key);
    const Entry *same = g_hash_table_lookup(machines->by_uuid, fresh->names.uuid);
    if ((number && known && known->seen > number) || (same && same != known)) {
        tell(same != known ? same : NULL, other);
        entry_free(machines, fresh);
        return FALSE;
    }
    if (known && !same) { /* it has another UUID now, so it is another one */
        drop(machines, known);
        known = NULL;
    }
    fresh->seen = number || !known ? number : known->seen;
    tell(known, other);
    settle(machines, fresh, known);
    exchange(machines, known, fresh);
    options->publish(machine, quiet, options->opaque);
    entry_free(machines, known);
    return TRUE;
}

void vireo_machines_drop(VireoMachines *machines, guint64 number, const char *key)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&machines->changing);
    Entry *known = g_hash_table_lookup(machines->by_key, key);

    if (known && known->seen <= number)
        drop(machines, known);
}

void vireo_machines_keep(VireoMachines *machines, guint64 number, GHashTable *keys)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&machines->changing);
    g_autoptr(GList) known = g_hash_table_get_values(machines->by_key);

    for (GList *item = known; item; item = item->next) {
        Entry *entry = item->data;

        if (entry->seen <= number && !(keys && g_hash_table_contains(keys, entry->names.key)))
            drop(machines, entry);
    }
}

void vireo_machines_expect(VireoMachines *machines, const guint8 uuid[16], int what)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&machines->changing);
    Entry *known = g_hash_table_lookup(machines->by_uuid, uuid);

    if (known)
        known->expected = what;
}

/* ---- looking ------------------------------------------------------------------------------ */

static gpointer look_up(VireoMachines *machines, GHashTable *table, gconstpointer what)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&machines->lock);
    const Entry *entry = g_hash_table_lookup(table, what);

    return entry ? g_atomic_rc_box_acquire(entry->machine) : NULL;
}

gpointer vireo_machines_find(VireoMachines *machines, const guint8 uuid[16])
{
    return look_up(machines, machines->by_uuid, uuid);
}

gpointer vireo_machines_with_key(VireoMachines *machines, const char *key)
{
    return look_up(machines, machines->by_key, key);
}

gboolean vireo_machines_has_name(VireoMachines *machines, const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&machines->lock);

    return g_hash_table_contains(machines->by_name, name);
}

static gint by_name(gconstpointer one, gconstpointer other, gpointer opaque)
{
    VireoMachines *machines = opaque;
    VireoMachineNames names[2];

    machines->options.names(*(gconstpointer const *)one, &names[0]);
    machines->options.names(*(gconstpointer const *)other, &names[1]);
    return strcmp(names[0].name, names[1].name);
}

GPtrArray *vireo_machines_all(VireoMachines *machines)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(machines->options.unref);
    GHashTableIter iter;
    gpointer entry;

    g_mutex_lock(&machines->lock);
    g_hash_table_iter_init(&iter, machines->by_key);
    while (g_hash_table_iter_next(&iter, NULL, &entry))
        g_ptr_array_add(all, g_atomic_rc_box_acquire(((Entry *)entry)->machine));
    g_mutex_unlock(&machines->lock);
    g_ptr_array_sort_with_data(all, by_name, machines);
    return all;
}
