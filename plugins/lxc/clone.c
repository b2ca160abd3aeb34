/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Another container like this one: its definition, with what has to be its own, and a copy of its root. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kit/file.h"
#include "ops.h"
#include "snapshot.h"
#include "snapshot_copy.h"

typedef struct {
    LxcDomain *from;
    LxcDef *def;     /* of the new one */
    LxcRoot *source; /* the root that is copied */
    char *copied;    /* it, or a copy of it that is a snapshot's */
    char *target;
} Clone;

static void clone_clear(Clone *clone)
{
    lxc_def_unref(clone->def);
    lxc_root_free(clone->source);
    g_free(clone->copied);
    g_free(clone->target);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Clone, clone_clear)

/* ---- the definition ------------------------------------------------------------ */

static VireoDomain *renamed(const VireoDomain *doc, const char *name)
{
    VireoDomain *copy = vireo_domain_copy(doc);
    g_autofree char *uuid = g_uuid_string_random();

    g_free(copy->name);
    copy->name = g_strdup(name);
    copy->has_uuid = vireo_model_uuid_parse(uuid, copy->uuid);
    copy->has_id = FALSE;
    VEC_EACH(copy->devices->interfaces, i)
    {
        VireoDomainInterface *nic = copy->devices->interfaces.items[i];

        g_clear_pointer(&nic->mac, vireo_domain_interface_mac_free);
        g_clear_pointer(&nic->target, vireo_domain_interface_target_free);
    }
    return copy;
}

/* Beside what is copied; a template's layer is where the driver keeps layers. */
static char *place_for(LxcDomain *dom, const VireoDomain *doc, const char *wanted, const LxcRoot *source, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(source->path);
    char uuid[37];

    if (lxc_doc_root(doc)->type != VIREO_DOMAIN_FILESYSTEM_TYPE_TEMPLATE)
        return wanted ? g_canonicalize_filename(wanted, "/") : g_build_filename(folder, doc->name, NULL);
    if (wanted) {
        lxc_error(error, VIREO_ERR_INVALID_ARG,
                  "the root of domain '%s' is a template, which the clone has in common with it: there is nothing to choose",
                  dom->name);
        return NULL;
    }
    vireo_model_uuid_format(doc->uuid, uuid);
    return g_build_filename(dom->space->state_dir, uuid, "delta", NULL);
}

static void set_source(VireoDomain *doc, const char *target)
{
    VireoDomainFilesystemSource *source = lxc_doc_root(doc)->source;
    char **slot = source->file ? &source->file : &source->dir;

    if (lxc_doc_root(doc)->type == VIREO_DOMAIN_FILESYSTEM_TYPE_TEMPLATE)
        return;
    g_free(*slot);
    *slot = g_strdup(target);
}

static gboolean check_name(LxcDomain *dom, const char *name, GError **error)
{
    g_autoptr(LxcDomain) taken = lxc_domain_by_name(dom->space, name);

    if (!*name || *name == '.' || strpbrk(name, "/\n\r"))
        lxc_error(error, VIREO_ERR_INVALID_ARG, "'%s' is no name for a domain", name);
    else if (taken)
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "domain '%s' already exists", name);
    else
        return TRUE;
    return FALSE;
}

/* What is copied, and what becomes of it. */
static gboolean prepare(Clone *clone, const vireo_vireo_domain_clone_args *args, GError **error)
{
    LxcDomain *dom = clone->from;
    g_autoptr(VireoDomainSnapshot) snapshot = NULL;
    g_autoptr(LxcDef) now = lxc_domain_config(dom), then = NULL;

    if (!check_name(dom, args->name, error))
        return FALSE;
    if (!now)
        now = lxc_domain_current(dom);
    if (args->snapshot) {
        snapshot = vireo_snapshots_read(dom->snapshots, args->snapshot, error);
        then = snapshot ? lxc_snapshot_definition(dom, snapshot, error) : NULL;
        if (!snapshot || (error && *error))
            return FALSE;
    }
    clone->def = lxc_def_new(renamed((then ? then : now)->doc, args->name));
    clone->source = lxc_root_new(dom, (then ? then : now)->doc, error);
    if (!clone->source)
        return FALSE;
    clone->copied = args->snapshot ? lxc_root_place(clone->source, args->snapshot) : g_strdup(clone->source->path);
    clone->target = place_for(dom, clone->def->doc, args->target, clone->source, error);
    if (!clone->target)
        return FALSE;
    g_autofree char *inside = g_strconcat(clone->source->path, "/", NULL);
    if (access(clone->copied, F_OK) < 0)
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "%s is not there", clone->copied);
    else if (g_str_has_prefix(clone->target, inside))
        lxc_error(error, VIREO_ERR_INVALID_ARG, "%s is inside of what is copied", clone->target);
    else if (access(clone->target, F_OK) == 0)
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "%s is there already: name another place for the clone's root",
                  clone->target);
    else
        set_source(clone->def->doc, clone->target);
    return !*error && lxc_doc_complete(clone->def->doc, error);
}

/* ---- doing it ------------------------------------------------------------------ */

static gboolean copy_root(Clone *clone, vireo_call *call, const char *fresh, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(clone->target);
    gboolean live = g_str_equal(clone->copied, clone->source->path);

    if (lxc_doc_root(clone->def->doc)->type == VIREO_DOMAIN_FILESYSTEM_TYPE_TEMPLATE &&
        !vireo_file_mkdir(folder, 0755, error))
        return FALSE;
    LxcRoot copied = { clone->copied, NULL };
    return (live ? lxc_root_take(clone->from, call, &copied, fresh, error)
                 : lxc_root_copy(clone->from, call, clone->copied, fresh, error)) &&
           lxc_move(fresh, clone->target, error);
}

static LxcDomain *define(Clone *clone, GError **error)
{
    gboolean fresh;
    g_autoptr(LxcDomainJob) dom = lxc_domain_admit(clone->from->space, clone->def->doc, &fresh, error);

    if (!dom)
        return NULL;
    if (!lxc_domain_store(dom, clone->def, error)) {
        lxc_domain_forget(dom);
        return NULL;
    }
    lxc_domain_publish(dom);
    return lxc_domain_ref(dom);
}

/* Until the new domain is defined, the note says that the copy is to be removed. */
static LxcDomain *carry_out(Clone *clone, vireo_call *call, GError **error)
{
    LxcDomain *dom = clone->from;
    g_autofree char *folder = g_path_get_dirname(clone->target), *name = g_path_get_basename(clone->target);
    g_autofree char *fresh = g_strdup_printf("%s/.%s.vireo-clone", folder, name);
    const char *paths[] = { fresh, clone->target };
    char uuid[37];
    g_autoptr(GError) failure = NULL;
    LxcDomain *made = NULL;

    vireo_model_uuid_format(clone->def->doc->uuid, uuid);
    g_autofree char *note = lxc_note_clone(paths, 2, lxc_domain_active(dom) && dom->state == VIREO_DOMAIN_RUNNING, uuid);
    if (!vireo_snapshots_set_note(dom->snapshots, note, error))
        return NULL;
    if (lxc_remove(fresh, &failure) && copy_root(clone, call, fresh, &failure))
        made = define(clone, &failure);
    lxc_snapshots_settle(dom, NULL);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return made;
}

int lxc_vireo_domain_clone(void *handle, vireo_call *call, const vireo_vireo_domain_clone_args *args,
                           vireo_vireo_domain_clone_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_auto(Clone) clone = { .from = dom };

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDomain) made = lxc_snapshots_settle(dom, &error) && prepare(&clone, args, &error)
                                    ? carry_out(&clone, call, &error)
                                    : NULL;
    if (!made)
        return lxc_fail(conn->driver, call, error);
    lxc_domain_fill_ref(made, call, &ret->dom);
    return VIREO_OK;
}
