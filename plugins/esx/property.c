/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* References to objects of the server, and their properties. */
#include "driver.h"

EsxRef *esx_ref_copy(const EsxRef *ref)
{
    EsxRef *copy = g_new0(EsxRef, 1);

    copy->type = g_strdup(ref->type);
    copy->value = g_strdup(ref->value);
    return copy;
}

void esx_ref_free(gpointer opaque)
{
    EsxRef *ref = opaque;

    if (!ref)
        return;
    g_free((char *)ref->type);
    g_free((char *)ref->value);
    g_free(ref);
}

EsxRef *esx_ref_in(VireoArena *arena, const EsxRef *ref)
{
    EsxRef *copy = vireo_arena_alloc(arena, sizeof *copy);

    copy->type = vireo_arena_strdup(arena, ref->type);
    copy->value = vireo_arena_strdup(arena, ref->value);
    return copy;
}

/* Without a session a server may answer all the same, only with nothing in it. */
static gboolean session_is_gone(const VimRetrievePropertiesRet *ret)
{
    for (guint i = 0; i < ret->returnval.n; i++)
        for (guint j = 0; j < ret->returnval.items[i]->missing_set.n; j++)
            if (vireo_soap_cast(ret->returnval.items[i]->missing_set.items[j]->fault->fault, &vim_not_authenticated_type))
                return TRUE;
    return FALSE;
}

VimRetrievePropertiesRet *esx_properties(EsxServer *server, const char *type, EsxRef *const *refs, guint n,
                                         const char *const *paths, guint n_paths, const VireoHttpWait *wait,
                                         VireoArena *arena, GError **error)
{
    VimPropertySpec spec = { .type = type, .path_set = { n_paths, (const char **)paths } };
    VimPropertySpec *specs[] = { &spec };
    VimObjectSpec *objects = vireo_arena_alloc(arena, sizeof *objects * n);
    VimObjectSpec **list = vireo_arena_alloc(arena, sizeof *list * n);
    VimPropertyFilterSpec filter = { .prop_set = { 1, specs }, .object_set = { n, list },
                                     .has_report_missing_objects_in_results = TRUE,
                                     .report_missing_objects_in_results = TRUE };
    VimPropertyFilterSpec *filters[] = { &filter };
    VimRetrievePropertiesArgs args = { ._this = server->content->property_collector, .spec_set = { 1, filters } };

    for (guint i = 0; i < n; i++) {
        objects[i].obj = refs[i];
        list[i] = &objects[i];
    }
    VimRetrievePropertiesRet *ret = vim_retrieve_properties(server->soap, &args, wait, arena, error);
    if (!ret || !session_is_gone(ret))
        return ret;
    if (!vireo_soap_login(server->soap, wait, error))
        return NULL;
    return vim_retrieve_properties(server->soap, &args, wait, arena, error);
}

VimObjectContent *esx_properties_of(EsxServer *server, const EsxRef *ref, const char *const *paths, guint n_paths,
                                    const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    EsxRef *refs[] = { (EsxRef *)ref };
    VimRetrievePropertiesRet *ret = esx_properties(server, ref->type, refs, 1, paths, n_paths, wait, arena, error);

    if (!ret)
        return NULL;
    if (ret->returnval.n == 1)
        return ret->returnval.items[0];
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "%s %s is not there any more", ref->type, ref->value);
    return NULL;
}

const VireoSoapValue *esx_property(const VimObjectContent *object, const char *path)
{
    for (guint i = 0; i < object->prop_set.n; i++)
        if (g_str_equal(object->prop_set.items[i]->name, path))
            return object->prop_set.items[i]->val;
    return NULL;
}

EsxRef *esx_property_ref(const VimObjectContent *object, const char *path)
{
    return vireo_soap_value_struct(esx_property(object, path), &vim_managed_object_reference_type);
}
