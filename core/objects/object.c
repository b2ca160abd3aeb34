/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects/object.h"

#include <string.h>

static const guint8 no_uuid[16];

VireoObject *vireo_object_new(const struct vireo_object *published)
{
    VireoObject *object = g_new0(VireoObject, 1);

    object->refs = 1;
    object->klass = published->klass;
    object->name = g_strdup(published->name ? published->name : "");
    memcpy(object->uuid, published->uuid, sizeof object->uuid);
    object->id = published->id;
    object->state = published->state;
    object->reason = published->reason;
    object->flags = published->flags & ~(guint32)VIREO_OBJECT_QUIET;
    object->vcpus = published->vcpus;
    object->max_memory_kib = published->max_memory_kib;
    object->memory_kib = published->memory_kib;
    object->os_type = (char *)g_intern_string(published->os_type);
    object->key = g_strdup(published->key);
    object->kind = published->kind;
    return object;
}

void vireo_object_describe(const VireoObject *object, struct vireo_object *ret)
{
    *ret = (struct vireo_object){
        .size = sizeof *ret,
        .klass = object->klass,
        .name = object->name,
        .id = object->id,
        .state = object->state,
        .reason = object->reason,
        .flags = object->flags,
        .vcpus = object->vcpus,
        .max_memory_kib = object->max_memory_kib,
        .memory_kib = object->memory_kib,
        .os_type = object->os_type,
        .key = object->key,
        .kind = object->kind,
        .event = -1,
    };
    memcpy(ret->uuid, object->uuid, sizeof ret->uuid);
}

static VireoTree *tree_ref(VireoTree *tree)
{
    return tree ? vireo_tree_ref(tree) : NULL;
}

VireoObject *vireo_object_with_tree(const VireoObject *object, guint klass, VireoTree *tree)
{
    VireoObject *copy = g_memdup2(object, sizeof *object);
    gboolean snapshots = klass == VIREO_CLASS_DOMAIN_SNAPSHOT;

    copy->refs = 1;
    copy->name = g_strdup(object->name);
    copy->key = g_strdup(object->key);
    copy->snapshots = snapshots ? tree : tree_ref(object->snapshots);
    copy->checkpoints = snapshots ? tree_ref(object->checkpoints) : tree;
    return copy;
}

VireoObject *vireo_object_ref(VireoObject *object)
{
    g_atomic_int_inc(&object->refs);
    return object;
}

void vireo_object_unref(VireoObject *object)
{
    if (!object || !g_atomic_int_dec_and_test(&object->refs))
        return;
    vireo_tree_unref(object->snapshots);
    vireo_tree_unref(object->checkpoints);
    g_free(object->name);
    g_free(object->key);
    g_free(object);
}

gboolean vireo_object_is_active(const VireoObject *object)
{
    if (object->klass == VIREO_CLASS_DOMAIN)
        return object->id != -1;
    return (object->flags & VIREO_OBJECT_ACTIVE) != 0;
}

gboolean vireo_object_has_uuid(const VireoObject *object)
{
    return memcmp(object->uuid, no_uuid, sizeof no_uuid) != 0;
}

VireoTree *vireo_object_tree(const VireoObject *object, guint klass)
{
    return klass == VIREO_CLASS_DOMAIN_CHECKPOINT ? object->checkpoints : object->snapshots;
}
