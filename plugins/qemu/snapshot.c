/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The document of a snapshot, and its removal. */
#include "snapshot.h"

#include "coalesce.h"
#include "engine.h"
#include "ops.h"
#include "tell.h"

#define LOOK_US (50 * 1000) /* others that are deleted at the same time are looked at together */

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
                                        "domain '%s' has no snapshot '%s'; instead: one of "
                                        "snapshot-list", dom->name,
                                        args->snap.name);
    if (args->flags & VIREO_DOMAIN_SNAPSHOT_XML_SECURE)
        format |= VIREO_MODEL_FORMAT_SECURE;
    g_autofree char *xml = vireo_domain_snapshot_format(snap->doc, format);
    ret->xml = conn->driver->host->strdup(call, xml);
    return VIREO_OK;
}

/* Borrowed, but for the array. */
static const char **names_of(GPtrArray *snaps)
{
    const char **names = g_new0(const char *, snaps->len + 1);

    for (guint i = 0; i < snaps->len; i++)
        names[i] = ((QemuSnap *)snaps->pdata[i])->doc->name;
    return names;
}

static gboolean forget_all(QemuDomain *dom, GPtrArray *doomed, QemuTell *tell, GError **error)
{
    for (guint i = 0; tell && i < doomed->len; i++)
        qemu_tell_forget(tell, ((QemuSnap *)doomed->pdata[i])->doc,
                         "only the snapshot's name goes: the file is yours from then on");
    if (tell)
        return TRUE;
    g_autofree const char **names = names_of(doomed);
    return qemu_files_disown(dom, doomed, error) && qemu_tree_remove(dom, names, doomed->len, error);
}

/* What is going to be given back, with all images looked at. */
static gboolean tell_all(QemuDomain *dom, const VireoDomain *machine, GPtrArray *doomed, QemuTell *tell, GError **error)
{
    g_autofree const char **names = names_of(doomed);
    g_autoptr(QemuPlan) plan = qemu_plan_new();
    gboolean little;
    g_autoptr(QemuGraph) graph = qemu_reap_graph(dom, machine, &little, error);

    if (!graph || !qemu_plan_delete(graph, plan, names, doomed->len, 0, error))
        return FALSE;
    if (!little)
        qemu_tell_later(tell);
    qemu_tell_plan(tell, plan, graph);
    return TRUE;
}

/* Answers at once: what the snapshots refer to is noted down, they go, and whose that still is, or nobody's, is looked up
 * in the background. */
static gboolean delete_all(QemuDomain *dom, vireo_call *call, GPtrArray *doomed, QemuTell *tell, GError **error)
{
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);
    g_autoptr(QemuGraph) present = qemu_engine_present(dom, machine->doc, FALSE, error);
    g_autofree const char **names = names_of(doomed);

    if (!present && qemu_domain_is_guest(dom)) { /* a header may have been written to while it was read */
        g_clear_error(error);
        present = qemu_engine_present(dom, machine->doc, FALSE, error);
    }
    if (!present) {
        g_prefix_error(error, "flag METADATA_ONLY forgets a snapshot without its images: ");
        return FALSE;
    }
    if (tell)
        return tell_all(dom, machine->doc, doomed, tell, error);
    gboolean deleted = qemu_reap_note(dom, doomed, error) && qemu_tree_remove(dom, names, doomed->len, error);
    gboolean looked = deleted && !qemu_domain_is_guest(dom) && qemu_reap_little(dom, call);
    qemu_coalesce_from(dom, looked ? 0 : g_get_monotonic_time() + LOOK_US);
    return deleted;
}

int qemu_snapshot_delete(QemuConn *conn, vireo_call *call,
                         const vireo_domain_snapshot_delete_args *args, vireo_plan *told)
{
    g_autoptr(GError) error = NULL;
    gboolean forget = args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY;
    g_autoptr(QemuDomainJob) dom = told || forget ? qemu_domain_begin(conn, call, &args->snap.dom)
                                                  : qemu_domain_begin_noting(conn, call, &args->snap.dom);

    if (!dom)
        return VIREO_FAIL;
    if (!forget && !qemu_blockjobs_none(dom, NULL, &error))
        return qemu_fail(conn->driver, call, error);
    QemuSnap *snap = qemu_tree_find(dom->tree, args->snap.name);
    if (!snap)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_SNAPSHOT,
                                        "domain '%s' has no snapshot '%s'; instead: one of "
                                        "snapshot-list", dom->name,
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
    g_autoptr(QemuTell) tell = told ? qemu_tell_new(dom, call) : NULL;
    gboolean deleted = forget ? forget_all(dom, doomed, tell, &error) : delete_all(dom, call, doomed, tell, &error);
    if (tell && deleted)
        qemu_tell_fill(tell, told);
    if (!tell)
        qemu_tree_publish(dom); /* also when it failed half-way: what is gone is gone */
    return deleted ? VIREO_OK : qemu_fail(conn->driver, call, error);
}
