/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "router/private.h"

typedef struct {
    const vireo_space *space;
    guint klass;
    guint8 uuid[16];
    char *name; /* objects without uuid */
} Key;

typedef struct {
    Key key;
    VireoStrand *strand;
    guint users;
} Entry;

struct VireoStrands {
    VireoWorkers *workers;
    GMutex lock;
    GHashTable *entries; /* Key * -> Entry * */
};

static guint key_hash(gconstpointer data)
{
    const Key *key = data;
    guint32 words[4];

    memcpy(words, key->uuid, sizeof words);
    return g_direct_hash(key->space) ^ words[0] ^ words[1] ^ words[2] ^ words[3] ^ key->klass ^
           (key->name ? g_str_hash(key->name) : 0);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    const Key *left = a, *right = b;

    return left->space == right->space && left->klass == right->klass &&
           memcmp(left->uuid, right->uuid, 16) == 0 && g_strcmp0(left->name, right->name) == 0;
}

static void entry_free(gpointer data)
{
    Entry *entry = data;

    vireo_strand_unref(entry->strand);
    g_free(entry->key.name);
    g_free(entry);
}

VireoStrands *vireo_strands_new(VireoWorkers *workers)
{
    VireoStrands *strands = g_new0(VireoStrands, 1);

    strands->workers = workers;
    g_mutex_init(&strands->lock);
    strands->entries = g_hash_table_new_full(key_hash, key_equal, NULL, entry_free);
    return strands;
}

void vireo_strands_free(VireoStrands *strands)
{
    if (!strands)
        return;
    g_hash_table_unref(strands->entries);
    g_mutex_clear(&strands->lock);
    g_free(strands);
}

static Key key_of(const vireo_space *space, const VireoObject *object)
{
    Key key = { .space = space, .klass = object->klass };

    if (vireo_object_has_uuid(object))
        memcpy(key.uuid, object->uuid, sizeof key.uuid);
    else
        key.name = object->name;
    return key;
}

VireoStrand *vireo_strands_acquire(VireoStrands *strands, const vireo_space *space, const VireoObject *object)
{
    Key key = key_of(space, object);
    Entry *entry;

    g_mutex_lock(&strands->lock);
    entry = g_hash_table_lookup(strands->entries, &key);
    if (!entry) {
        entry = g_new0(Entry, 1);
        entry->key = key;
        entry->key.name = g_strdup(key.name);
        entry->strand = vireo_strand_new(strands->workers);
        g_hash_table_insert(strands->entries, &entry->key, entry);
    }
    entry->users++;
    g_mutex_unlock(&strands->lock);
    return entry->strand;
}

void vireo_strands_release(VireoStrands *strands, const vireo_space *space, const VireoObject *object)
{
    Key key = key_of(space, object);
    Entry *entry;

    g_mutex_lock(&strands->lock);
    entry = g_hash_table_lookup(strands->entries, &key);
    if (entry && --entry->users == 0)
        g_hash_table_remove(strands->entries, &key);
    g_mutex_unlock(&strands->lock);
}
