/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots: documents, delete, revert. Taking one is in snapshot_take.c. */
#include "snapshot.h"

#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "ops.h"
#include "process.h"
#include "save.h"

static gboolean known(LxcDomain *dom, const char *name, GError **error)
{
    if (vireo_snapshots_has(dom->snapshots, name))
        return TRUE;
    lxc_error(error, VIREO_ERR_NO_DOMAIN_SNAPSHOT, "domain '%s' has no snapshot '%s'", dom->name, name);
    return FALSE;
}

int lxc_domain_snapshot_get_xml_desc(void *handle, vireo_call *call, const vireo_domain_snapshot_get_xml_desc_args *args,
                                     vireo_domain_snapshot_get_xml_desc_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->snap.dom);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomainSnapshot) doc = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (known(dom, args->snap.name, &error))
        doc = vireo_snapshots_read(dom->snapshots, args->snap.name, &error);
    if (!doc)
        return lxc_fail(conn->driver, call, error);
    g_autofree char *xml = vireo_domain_snapshot_format(
        doc, VIREO_MODEL_FORMAT_INACTIVE |
                 (args->flags & VIREO_DOMAIN_SNAPSHOT_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0));
    ret->xml = conn->driver->host->strdup(call, xml);
    return VIREO_OK;
}

/* ---- delete -------------------------------------------------------------------- */

/* Where a snapshot's copy is; NULL: nowhere that is known. */
static char *copy_of(LxcDomain *dom, const char *name)
{
    g_autoptr(VireoDomainSnapshot) doc = vireo_snapshots_read(dom->snapshots, name, NULL);
    g_autoptr(LxcDef) def = doc ? lxc_snapshot_definition(dom, doc, NULL) : NULL, config = lxc_domain_current(dom);
    g_autoptr(LxcRoot) root = def || config ? lxc_root_new(dom, (def ? def : config)->doc, NULL) : NULL;

    return root ? lxc_root_place(root, name) : NULL;
}

/* The moment at which they are gone is that at which the metadata says so. */
static gboolean delete_all(LxcDomain *dom, GPtrArray *names, gboolean metadata_only, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *note = NULL;

    for (guint i = 0; i < names->len && !metadata_only; i++) {
        char *path = copy_of(dom, names->pdata[i]);

        if (path)
            g_ptr_array_add(paths, path);
    }
    if (paths->len)
        note = lxc_note_remove((const char *const *)paths->pdata, paths->len, FALSE);
    if (!vireo_snapshots_remove(dom->snapshots, names, note, error))
        return FALSE;
    lxc_snapshots_publish(dom);
    return lxc_snapshots_settle(dom, error);
}

int lxc_domain_snapshot_delete(void *handle, vireo_call *call, const vireo_domain_snapshot_delete_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->snap.dom);
    g_autoptr(GError) error = NULL;
    guint flags = args->flags, below = VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN | VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY;

    if (!dom)
        return VIREO_FAIL;
    if (!known(dom, args->snap.name, &error) || !lxc_snapshots_settle(dom, &error))
        return lxc_fail(conn->driver, call, error);
    g_autoptr(GPtrArray) names = flags & below ? vireo_snapshots_below(dom->snapshots, args->snap.name)
                                               : g_ptr_array_new_with_free_func(g_free);
    if (!(flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY))
        g_ptr_array_add(names, g_strdup(args->snap.name));
    return delete_all(dom, names, (flags & VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY) != 0, &error)
               ? VIREO_OK
               : lxc_fail(conn->driver, call, error);
}

/* ---- revert -------------------------------------------------------------------- */

/* What it is to be afterwards; the present definition serves where the snapshot has none, by force. */
static LxcDef *wanted_definition(LxcDomain *dom, const VireoDomainSnapshot *doc, guint flags, GError **error)
{
    g_autoptr(GError) failure = NULL;
    LxcDef *def = lxc_snapshot_definition(dom, doc, &failure);

    if (def)
        return def;
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (flags & VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE)
        return lxc_domain_config(dom);
    lxc_error(error, VIREO_ERR_SNAPSHOT_REVERT_RISKY,
              "snapshot '%s' does not tell the definition of its time (flag FORCE goes back to its root with the present one)",
              doc->name);
    return NULL;
}

static gboolean check_revert(LxcDomain *dom, const LxcRoot *root, const char *copy, GError **error)
{
    g_autoptr(LxcDomain) user = lxc_root_user(dom, root);

    if (access(copy, F_OK) < 0)
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "the copy that the snapshot stands for is not there: %s", copy);
    else if (user)
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' runs with the same root, %s: shut it down first",
                  user->name, root->path);
    else
        return lxc_root_check(root, error);
    return FALSE;
}

/* The root is the old one again, and so is the definition. */
static void take_back(LxcDomain *dom, const LxcRoot *root, LxcDef *before)
{
    g_autoptr(LxcDef) now = lxc_domain_config(dom);

    lxc_root_exchange_back(root);
    if (now != before)
        lxc_domain_store(dom, before, NULL);
    lxc_snapshots_settle(dom, NULL);
}

/* What needs room, and most of what can fail, comes before the container is stopped. */
static gboolean go_back(LxcDomain *dom, vireo_call *call, const LxcRoot *root, const char *name, GError **error)
{
    g_autofree char *copy = lxc_root_place(root, name), *note = lxc_note_revert(root, name);
    g_autoptr(LxcDef) before = lxc_domain_config(dom);
    g_autoptr(GError) failure = NULL;

    if (!check_revert(dom, root, copy, error) || !vireo_snapshots_set_note(dom->snapshots, note, error))
        return FALSE;
    if (lxc_root_bring(dom, call, root, copy, &failure) &&
        (!lxc_domain_active(dom) || lxc_process_kill(dom, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT, &failure)) &&
        lxc_root_exchange(root, &failure) && lxc_snapshots_settle(dom, &failure))
        return TRUE;
    take_back(dom, root, before);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean start_again(LxcDomain *dom, gboolean paused, GError **error)
{
    g_autoptr(LxcDef) config = lxc_domain_config(dom);

    if (!lxc_process_start(dom, config, VIREO_DOMAIN_RUNNING_FROM_SNAPSHOT, error))
        return FALSE;
    if (!paused)
        return TRUE;
    if (!lxc_cgroup_freeze(dom->cgroup, TRUE, error))
        return FALSE;
    lxc_domain_set_state(dom, VIREO_DOMAIN_PAUSED, VIREO_DOMAIN_PAUSED_FROM_SNAPSHOT);
    lxc_domain_publish(dom);
    return TRUE;
}

static gboolean revert(LxcDomain *dom, vireo_call *call, const char *name, guint flags, GError **error)
{
    guint on = VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING | VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED;

    if (!lxc_domain_need_persistent(dom, "it would be gone before its root is back; define it first", error) ||
        !known(dom, name, error) || !lxc_snapshots_settle(dom, error))
        return FALSE;
    if (dom->managed_save && !(flags & VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE)) {
        lxc_error(error, VIREO_ERR_SNAPSHOT_REVERT_RISKY,
                  "domain '%s' has a managed save image, which would be started with files it does not know: "
                  "managedsave-remove first, or flag FORCE, which removes it", dom->name);
        return FALSE;
    }
    g_autoptr(VireoDomainSnapshot) doc = vireo_snapshots_read(dom->snapshots, name, error);
    g_autoptr(LxcDef) def = doc ? wanted_definition(dom, doc, flags, error) : NULL, before = lxc_domain_config(dom);
    g_autoptr(LxcRoot) root = def ? lxc_root_new(dom, def->doc, error) : NULL;
    if (!root || (dom->managed_save && !lxc_managed_drop(dom, error)) || !go_back(dom, call, root, name, error))
        return FALSE;
    lxc_snapshots_publish(dom);
    lxc_domain_publish(dom);
    g_autoptr(LxcDef) after = lxc_domain_config(dom);
    if (after != before)
        lxc_domain_publish_event(dom, VIREO_DOMAIN_EVENT_DEFINED, VIREO_DOMAIN_EVENT_DEFINED_FROM_SNAPSHOT);
    return !(flags & on) || start_again(dom, (flags & VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED) != 0, error);
}

int lxc_domain_revert_to_snapshot(void *handle, vireo_call *call, const vireo_domain_revert_to_snapshot_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->snap.dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    return revert(dom, call, args->snap.name, args->flags, &error) ? VIREO_OK : lxc_fail(conn->driver, call, error);
}
