/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

VimRetrievePropertiesRet *esx_datastore_properties(EsxServer *server, const VimObjectContent *host,
                                                   const char *const *paths, guint n_paths, const VireoHttpWait *wait,
                                                   VireoArena *arena, GError **error)
{
    const VireoSoapValue *list = esx_property(host, "datastore");
    guint n = vireo_soap_value_length(list);
    g_autofree EsxRef **refs = g_new0(EsxRef *, n + 1);

    for (guint i = 0; i < n; i++)
        refs[i] = vireo_soap_value_struct(vireo_soap_value_item(list, i), &vim_managed_object_reference_type);
    if (n)
        return esx_properties(server, "Datastore", refs, n, paths, n_paths, wait, arena, error);
    return vireo_arena_alloc(arena, sizeof(VimRetrievePropertiesRet));
}

GPtrArray *esx_datastores(EsxServer *server, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    static const char *const stores[] = { "datastore" }, *const summary[] = { "summary" };
    VimObjectContent *host = esx_properties_of(server, server->host, stores, 1, wait, arena, error);
    VimRetrievePropertiesRet *ret =
        host ? esx_datastore_properties(server, host, summary, 1, wait, arena, error) : NULL;
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    if (!ret)
        return NULL;
    for (guint i = 0; i < ret->returnval.n; i++) {
        gpointer one = vireo_soap_value_struct(esx_property(ret->returnval.items[i], "summary"), &vim_datastore_summary_type);

        if (one)
            g_ptr_array_add(all, one);
    }
    return g_steal_pointer(&all);
}
