/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Freeing and copying, from the descriptors. */
#include "model/table.h"

#include <string.h>

static gboolean kind_is_pointer(const VireoModelField *field)
{
    return field->kind == VIREO_MODEL_STRING || field->kind == VIREO_MODEL_RAW ||
           field->kind == VIREO_MODEL_STRUCT;
}

static void slot_free(const VireoModelField *field, gpointer slot)
{
    if (field->kind == VIREO_MODEL_STRUCT)
        vireo_model_free(field->type, *(gpointer *)slot);
    else
        g_free(*(gpointer *)slot);
}

static void slot_copy(const VireoModelField *field, gpointer slot)
{
    if (field->kind == VIREO_MODEL_STRUCT)
        *(gpointer *)slot = vireo_model_copy(field->type, *(gpointer *)slot);
    else
        *(gpointer *)slot = g_strdup(*(char **)slot);
}

static void list_each(const VireoModelField *field, VireoModelList *list,
                      void (*visit)(const VireoModelField *, gpointer))
{
    if (!kind_is_pointer(field))
        return;
    for (guint i = 0; i < list->n; i++)
        visit(field, (gpointer *)list->items + i);
}

void vireo_model_free(const VireoModelType *type, gpointer doc)
{
    if (!doc)
        return;
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoModelField *field = &type->fields[i];
        gpointer slot = VIREO_MODEL_AT(doc, field->offset);

        if (field->flags & VIREO_MODEL_LIST) {
            list_each(field, slot, slot_free);
            g_free(((VireoModelList *)slot)->items);
        } else if (kind_is_pointer(field)) {
            slot_free(field, slot);
        }
    }
    g_free(doc);
}

static void list_copy(const VireoModelField *field, VireoModelList *list)
{
    gsize size = field->size;
    gsize room = 1;

    if (list->n == 0) {
        list->items = NULL;
        return;
    }
    while (room < list->n)
        room *= 2;
    list->items = memcpy(g_malloc_n(room, size), list->items, list->n * size);
    list_each(field, list, slot_copy);
}

gpointer vireo_model_copy(const VireoModelType *type, gconstpointer doc)
{
    gpointer copy;

    if (!doc)
        return NULL;
    copy = g_memdup2(doc, type->size);
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoModelField *field = &type->fields[i];
        gpointer slot = VIREO_MODEL_AT(copy, field->offset);

        if (field->flags & VIREO_MODEL_LIST)
            list_copy(field, slot);
        else if (kind_is_pointer(field))
            slot_copy(field, slot);
    }
    return copy;
}
