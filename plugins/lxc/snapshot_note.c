/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an operation still has to do, or to undo, when the daemon ends in the middle of it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kit/json.h"
#include "snapshot.h"
#include "snapshot_copy.h"

char *lxc_note_clone(const char *const *paths, guint n_paths, gboolean thaw, const char *uuid)
{
    JsonArray *list = json_array_new();

    for (guint i = 0; i < n_paths; i++)
        json_array_add_string_element(list, paths[i]);
    g_autoptr(JsonObject) note = vireo_json_new('a', "remove", list, 'b', "thaw", thaw, 's', "unless", uuid, 0);
    return vireo_json_text(note);
}

char *lxc_note_remove(const char *const *paths, guint n_paths, gboolean thaw)
{
    return lxc_note_clone(paths, n_paths, thaw, NULL);
}

char *lxc_note_revert(const LxcRoot *root, const char *name)
{
    g_autoptr(JsonObject) note =
        vireo_json_new('s', "revert", name, 's', "root", root->path, 's', "store", root->store, 0);

    return vireo_json_text(note);
}

LxcDef *lxc_snapshot_definition(LxcDomain *dom, const VireoDomainSnapshot *doc, GError **error)
{
    const VireoDomain *kept = doc->inactive_domain ? doc->inactive_domain : doc->domain;
    g_autoptr(VireoDomain) then = NULL;

    if (!kept)
        return NULL;
    then = vireo_domain_copy(kept);
    g_free(then->name);
    then->name = g_strdup(dom->name);
    memcpy(then->uuid, dom->uuid, 16);
    then->has_uuid = TRUE;
    return lxc_doc_complete(then, error) ? lxc_def_new(g_steal_pointer(&then)) : NULL;
}

/* ---- removing ------------------------------------------------------------------ */

static void remove_one(LxcDomain *dom, const char *path)
{
    LxcDriver *driver = dom->space->driver;
    g_autofree char *store = g_path_get_dirname(path), *folder = g_path_get_dirname(store);
    g_autofree char *name = g_path_get_basename(folder);
    g_autoptr(GError) error = NULL;

    /* What cannot be removed would stand in the way of everything else. */
    if (!lxc_remove(path, &error))
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri,
                          "domain '%s': a copy of its root is left behind, which nothing needs: %s", dom->name,
                          error->message);
    if (g_str_equal(name, LXC_STORE) && rmdir(store) == 0 && rmdir(folder) < 0)
        return; /* others have copies there */
}

static gboolean is_there(LxcSpace *space, const char *text)
{
    guint8 uuid[16];
    g_autoptr(LxcDomain) dom = text && vireo_model_uuid_parse(text, uuid) ? lxc_domain_by_uuid(space, uuid) : NULL;

    return dom != NULL;
}

/* Nothing depends on it: when it cannot be noted down that it is done, it is done once more. */
static gboolean settle_removal(LxcDomain *dom, JsonObject *note)
{
    JsonArray *paths = vireo_json_array(note, "remove");

    if (vireo_json_bool(note, "thaw"))
        lxc_root_let_go(dom);
    for (guint i = 0; !is_there(dom->space, vireo_json_string(note, "unless")) && i < vireo_json_length(paths); i++)
        remove_one(dom, json_array_get_string_element(paths, i));
    vireo_snapshots_set_note(dom->snapshots, NULL, NULL);
    return TRUE;
}

/* ---- reverting ----------------------------------------------------------------- */

static gboolean finish_revert(LxcDomain *dom, const char *name, const char *was, GError **error)
{
    g_autofree char *note = lxc_note_remove(&was, 1, FALSE);
    g_autoptr(VireoDomainSnapshot) doc = vireo_snapshots_read(dom->snapshots, name, error);
    g_autoptr(GError) failure = NULL;
    g_autoptr(LxcDef) def = doc ? lxc_snapshot_definition(dom, doc, &failure) : NULL, config = lxc_domain_config(dom);

    if (!doc)
        return FALSE;
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (def && config && !lxc_domain_store(dom, def, error))
        return FALSE;
    return vireo_snapshots_set_current(dom->snapshots, name, note, error) && lxc_snapshots_settle(dom, error);
}

/* How far it went is seen by what is where: the root's name is free only between the two moves. */
static gboolean settle_revert(LxcDomain *dom, JsonObject *note, GError **error)
{
    LxcRoot root = { (char *)vireo_json_string(note, "root"), (char *)vireo_json_string(note, "store") };
    g_autofree char *back = lxc_root_place(&root, LXC_PLACE_BACK), *was = lxc_root_place(&root, LXC_PLACE_WAS);
    gboolean has_root = access(root.path, F_OK) == 0, has_back = access(back, F_OK) == 0;

    if (access(was, F_OK) == 0) {
        if (has_root && has_back) {
            lxc_error(error, VIREO_ERR_OPERATION_FAILED,
                      "while the root of domain '%s' was exchanged, somebody else has put %s there: move that away",
                      dom->name, root.path);
            return FALSE;
        }
        if (!has_root && !lxc_move(has_back ? back : was, root.path, error))
            return FALSE;
        if (has_root || has_back)
            return finish_revert(dom, vireo_json_string(note, "revert"), was, error);
    }
    const char *left = back;
    g_autofree char *next = lxc_note_remove(&left, 1, FALSE);
    return vireo_snapshots_set_note(dom->snapshots, next, error) && lxc_snapshots_settle(dom, error);
}

/* ---- when ---------------------------------------------------------------------- */

gboolean lxc_snapshots_settle(LxcDomain *dom, GError **error)
{
    g_autofree char *text = vireo_snapshots_note(dom->snapshots);
    g_autoptr(JsonObject) note = text ? vireo_json_parse(text, -1, NULL) : NULL;

    if (vireo_json_string(note, "revert") && vireo_json_string(note, "root") && vireo_json_string(note, "store"))
        return settle_revert(dom, note, error);
    return !note || settle_removal(dom, note);
}

void lxc_snapshots_publish(LxcDomain *dom)
{
    LxcSpace *space = dom->space;

    vireo_snapshots_publish(dom->snapshots, space->driver->host, space->published, dom->uuid);
}

void lxc_snapshots_attach(LxcDomain *dom)
{
    LxcDriver *driver = dom->space->driver;
    const char *trouble = vireo_snapshots_trouble(dom->snapshots);
    g_autoptr(GError) error = NULL;

    if (trouble || !lxc_snapshots_settle(dom, &error))
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri, "snapshots of domain '%s': %s", dom->name,
                          trouble ? trouble : error->message);
    lxc_snapshots_publish(dom);
}

gboolean lxc_snapshots_forget(LxcDomain *dom, guint undefine_flags, GError **error)
{
    guint count = vireo_snapshots_count(dom->snapshots);

    if (count && !(undefine_flags & VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)) {
        lxc_error(error, VIREO_ERR_OPERATION_INVALID,
                  "domain '%s' has %u snapshots: delete them first, or have them forgotten (flag SNAPSHOTS_METADATA)",
                  dom->name, count);
        return FALSE;
    }
    return lxc_snapshots_settle(dom, error) && vireo_snapshots_forget(dom->snapshots, error);
}
