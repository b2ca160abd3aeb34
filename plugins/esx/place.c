/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which datacenter, compute resource and host a connection means. */
#include "driver.h"

#include <string.h>

static gboolean not_there(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean not_there(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(VIREO_ERROR, VIREO_ERR_INVALID_ARG, format, args));
    va_end(args);
    return FALSE;
}

static EsxRef *find_child(EsxServer *server, EsxRef *parent, const char *name, const VireoHttpWait *wait,
                          VireoArena *arena, GError **error)
{
    VimFindChildArgs args = { ._this = server->content->search_index, .entity = parent, .name = name };
    VimFindChildRet *ret = vim_find_child(server->soap, &args, wait, arena, error);

    if (ret && !ret->returnval)
        not_there(error, "%s: there is no '%s' in %s %s", server->uri->text, name, parent->type, parent->value);
    return ret ? ret->returnval : NULL;
}

static gboolean take_datacenter(EsxServer *server, EsxRef *datacenter, EsxRef **host_folder, const VireoHttpWait *wait,
                                VireoArena *arena, GError **error)
{
    static const char *const paths[] = { "vmFolder", "hostFolder" };
    VimObjectContent *found = esx_properties_of(server, datacenter, paths, 2, wait, arena, error);

    if (!found)
        return FALSE;
    *host_folder = esx_property_ref(found, "hostFolder");
    server->vm_folder = esx_property_ref(found, "vmFolder");
    if (!*host_folder || !server->vm_folder)
        return not_there(error, "%s has no folders of hosts and machines", datacenter->value);
    server->vm_folder = esx_ref_in(server->arena, server->vm_folder);
    server->datacenter = esx_ref_in(server->arena, datacenter);
    return TRUE;
}

/* name: NULL: the only one. */
static gboolean take_host(EsxServer *server, EsxRef *compute, const char *name, const VireoHttpWait *wait,
                          VireoArena *arena, GError **error)
{
    static const char *const paths[] = { "host", "resourcePool" }, *const name_path[] = { "name" };
    VimObjectContent *found = esx_properties_of(server, compute, paths, 2, wait, arena, error);
    const VireoSoapValue *hosts = found ? esx_property(found, "host") : NULL;
    guint n = vireo_soap_value_length(hosts);
    g_autofree EsxRef **refs = g_new0(EsxRef *, n + 1);

    if (!found)
        return FALSE;
    for (guint i = 0; i < n; i++)
        refs[i] = vireo_soap_value_struct(vireo_soap_value_item(hosts, i), &vim_managed_object_reference_type);
    if (!esx_property_ref(found, "resourcePool") || n == 0 || !refs[0])
        return not_there(error, "%s: %s has no host", server->uri->text, compute->value);
    if (!name && n > 1)
        return not_there(error, "%s: that is a cluster of %u hosts: the path has to end with the name of one",
                         server->uri->text, n);
    VimRetrievePropertiesRet *ret =
        esx_properties(server, "HostSystem", refs, n, name_path, 1, wait, arena, error);
    for (guint i = 0; ret && i < ret->returnval.n; i++) {
        VimObjectContent *host = ret->returnval.items[i];

        if (name && g_strcmp0(vireo_soap_value_text(esx_property(host, "name")), name) != 0)
            continue;
        server->host = esx_ref_in(server->arena, host->obj);
        server->compute = esx_ref_in(server->arena, compute);
        server->pool = esx_ref_in(server->arena, esx_property_ref(found, "resourcePool"));
        return TRUE;
    }
    return ret && not_there(error, "%s: there is no host '%s' in that cluster", server->uri->text, name);
}

static gboolean is_compute(const EsxRef *ref)
{
    return g_str_equal(ref->type, "ComputeResource") || g_str_equal(ref->type, "ClusterComputeResource");
}

/* A vCenter: down the path, name by name. */
static gboolean find_path(EsxServer *server, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    g_auto(GStrv) names = g_strsplit(server->uri->path, "/", -1);
    GString *datacenter = g_string_new(NULL);
    EsxRef *at = server->content->root_folder;
    guint i = 0;
    gboolean good = TRUE;

    for (; good && names[i] && !is_compute(at); i++) {
        at = find_child(server, at, names[i], wait, arena, error);
        good = at != NULL;
        if (good && !server->datacenter)
            g_string_append_printf(datacenter, "%s%s", datacenter->len ? "/" : "", names[i]);
        if (good && g_str_equal(at->type, "Datacenter"))
            good = take_datacenter(server, at, &at, wait, arena, error);
    }
    server->datacenter_path = g_string_free(datacenter, FALSE);
    if (good && (!server->datacenter || !is_compute(at) || (names[i] && names[i + 1])))
        return not_there(error, "%s: the path is no DATACENTER/[FOLDER/...][CLUSTER/]HOST", server->uri->text);
    return good && take_host(server, at, names[i], wait, arena, error);
}

/* A host: the only one of everything. */
static gboolean find_only(EsxServer *server, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    static const char *const name[] = { "name" }, *const children[] = { "childEntity" };
    EsxRef *folder = NULL;
    VimObjectContent *root = esx_properties_of(server, server->content->root_folder, children, 1, wait, arena, error);
    EsxRef *at = root ? vireo_soap_value_struct(vireo_soap_value_item(esx_property(root, "childEntity"), 0),
                                                &vim_managed_object_reference_type) : NULL;

    if (!root)
        return FALSE;
    if (!at)
        return not_there(error, "%s has no datacenter", server->uri->text);
    VimObjectContent *named = esx_properties_of(server, at, name, 1, wait, arena, error);
    if (!named || !take_datacenter(server, at, &folder, wait, arena, error))
        return FALSE;
    server->datacenter_path = g_strdup(vireo_soap_value_text(esx_property(named, "name")));
    root = esx_properties_of(server, folder, children, 1, wait, arena, error);
    at = root ? vireo_soap_value_struct(vireo_soap_value_item(esx_property(root, "childEntity"), 0),
                                        &vim_managed_object_reference_type) : NULL;
    if (root && !at)
        return not_there(error, "%s has no host", server->uri->text);
    return at && take_host(server, at, NULL, wait, arena, error);
}

gboolean esx_place_find(EsxServer *server, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();

    if (!server->content->search_index || !server->content->view_manager || !server->content->session_manager)
        return not_there(error, "%s lacks what the driver needs: a search index, views and sessions", server->uri->text);
    return server->uri->center ? find_path(server, wait, arena, error) : find_only(server, wait, arena, error);
}
