/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

GPtrArray *esx_datastores(EsxServer *server, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    static const char *const stores[] = { "datastore" }, *const summary[] = { "summary" };
    VimObjectContent *host = esx_properties_of(server, server->host, stores, 1, wait, arena, error);
    const VireoSoapValue *list = host ? esx_property(host, "datastore") : NULL;
    guint n = vireo_soap_value_length(list);
    g_autofree EsxRef **refs = g_new0(EsxRef *, n + 1);
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    if (!host)
        return NULL;
    for (guint i = 0; i < n; i++)
        refs[i] = vireo_soap_value_struct(vireo_soap_value_item(list, i), &vim_managed_object_reference_type);
    VimRetrievePropertiesRet *ret = n ? esx_properties(server, "Datastore", refs, n, summary, 1, wait, arena, error) : NULL;
    if (n && !ret)
        return NULL;
    for (guint i = 0; ret && i < ret->returnval.n; i++) {
        gpointer one = vireo_soap_value_struct(esx_property(ret->returnval.items[i], "summary"), &vim_datastore_summary_type);

        if (one)
            g_ptr_array_add(all, one);
    }
    return g_steal_pointer(&all);
}
