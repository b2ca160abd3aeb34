/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The document of a snapshot, and its removal. */
#include "snapshot.h"

#include "ops.h"

int qemu_domain_snapshot_get_xml_desc(void *handle, vireo_call *call,
                                      const vireo_domain_snapshot_get_xml_desc_args *args,
                                      vireo_domain_snapshot_get_xml_desc_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->snap.dom);
    g_autoptr(QemuSnap) snap = dom ? qemu_tree_find(dom->tree, args->snap.name) : NULL;
    guint format = VIREO_MODEL_FORMAT_INACTIVE;

    if (!dom)
        return VIREO_FAIL;
    if (!snap)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_SNAPSHOT,
                                        "domain '%s' has no snapshot '%s'", dom->name,
                                        args->snap.name);
    if (args->flags & VIREO_DOMAIN_SNAPSHOT_XML_SECURE)
        format |= VIREO_MODEL_FORMAT_SECURE;
    g_autofree char *xml = vireo_domain_snapshot_format(snap->doc, format);
    ret->xml = conn->driver->host->strdup(call, xml);
    return VIREO_OK;
}

/* Out of the images that hold it; one that does not is no reason to fail. */
static gboolean delete_data(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, GPtrArray *tops,
                            const char *tag, GError **error)
{
    g_autoptr(JsonArray) nodes = json_array_new();

    for (guint i = 0; i < tops->len; i++) {
        const QemuTop *top = tops->pdata[i];

        if (!qemu_top_holds(top, tag, NULL))
            continue;
        if (!qmp && !qemu_snapshot_image_do(dom, call, top->path, 'd', tag, error))
            return FALSE;
        json_array_add_string_element(nodes, top->node);
    }
    if (!qmp || !json_array_get_length(nodes))
        return TRUE;
    /* The job stops the guest while it works. */
    g_mutex_lock(&dom->lock);
    dom->quiet_states = TRUE;
    g_mutex_unlock(&dom->lock);
    gboolean deleted = qemu_snapshot_job(dom, call, qmp, "snapshot-delete", tag, NULL,
                                         json_array_ref(nodes), error);
    g_mutex_lock(&dom->lock);
    dom->quiet_states = FALSE;
    g_mutex_unlock(&dom->lock);
    return deleted;
}

static gboolean delete_all(QemuDomain *dom, vireo_call *call, GPtrArray *doomed,
                           gboolean metadata_only, GError **error)
{
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);
    g_autoptr(VireoQmp) qmp = NULL;
    g_autoptr(GPtrArray) tops = NULL;

    for (guint i = 0; i < doomed->len && !metadata_only; i++) {
        const QemuSnap *snap = doomed->pdata[i];

        if (!qemu_snap_is_external(snap))
            continue;
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "snapshot '%s' is external: this driver deletes internal ones (METADATA_ONLY "
                   "forgets it)", snap->doc->name);
        return FALSE;
    }
    if (!metadata_only && qemu_domain_active(dom) && !(qmp = qemu_domain_monitor(dom, error)))
        return FALSE;
    if (!metadata_only && !(tops = qemu_snapshot_tops(dom, machine->doc, qmp, error)))
        return FALSE;
    for (guint i = 0; i < doomed->len; i++) {
        const char *name = ((QemuSnap *)doomed->pdata[i])->doc->name;

        if ((tops && !delete_data(dom, call, qmp, tops, name, error)) ||
            !qemu_tree_remove(dom, name, error))
            return FALSE;
    }
    return TRUE;
}

int qemu_domain_snapshot_delete(void *handle, vireo_call *call,
                                const vireo_domain_snapshot_delete_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->snap.dom);

    if (!dom)
        return VIREO_FAIL;
    QemuSnap *snap = qemu_tree_find(dom->tree, args->snap.name);
    if (!snap)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_SNAPSHOT,
                                        "domain '%s' has no snapshot '%s'", dom->name,
                                        args->snap.name);
    g_autoptr(GPtrArray) doomed = g_ptr_array_new_with_free_func((GDestroyNotify)qemu_snap_unref);
    gboolean below = args->flags & (VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN |
                                    VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY);
    if (below) {
        g_ptr_array_unref(doomed);
        doomed = qemu_tree_below(dom->tree, args->snap.name);
    }
    if (args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY)
        qemu_snap_unref(snap);
    else
        g_ptr_array_add(doomed, snap);
    gboolean deleted = delete_all(
        dom, call, doomed, (args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY) != 0, &error);
    qemu_tree_publish(dom); /* also when it failed half-way: what is gone is gone */
    return deleted ? VIREO_OK : qemu_fail(conn->driver, call, error);
}
