/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The domain object: its tables, what it shows to the core, where its definition is stored. */
#include "driver.h"

#include <string.h>

#include "kit/file.h"
#include "kit/process.h"
#include "process.h"
#include "snapshot.h"

/* ---- definitions --------------------------------------------------------------- */

LxcDef *lxc_def_new(VireoDomain *doc)
{
    LxcDef *def = g_new0(LxcDef, 1);

    def->refs = 1;
    def->doc = doc;
    return def;
}

LxcDef *lxc_def_ref(LxcDef *def)
{
    if (def)
        g_atomic_int_inc(&def->refs);
    return def;
}

void lxc_def_unref(LxcDef *def)
{
    if (!def || !g_atomic_int_dec_and_test(&def->refs))
        return;
    vireo_domain_free(def->doc);
    g_free(def);
}

/* ---- life ---------------------------------------------------------------------- */

LxcDomain *lxc_domain_new(LxcSpace *space, const guint8 uuid[16], const char *name)
{
    LxcDomain *dom = g_new0(LxcDomain, 1);

    dom->refs = 1;
    dom->space = space;
    memcpy(dom->uuid, uuid, 16);
    vireo_model_uuid_format(uuid, dom->uuid_text);
    g_autofree char *snapshots = lxc_domain_path(dom, space->snapshot_dir, "");
    dom->snapshots = vireo_snapshots_load(snapshots);
    dom->name = g_strdup(name);
    dom->id = -1;
    dom->init.fd = dom->monitor.fd = -1;
    dom->state = VIREO_DOMAIN_SHUTOFF;
    g_mutex_init(&dom->job);
    g_mutex_init(&dom->ending);
    g_mutex_init(&dom->lock);
    return dom;
}

LxcDomain *lxc_domain_ref(LxcDomain *dom)
{
    g_atomic_int_inc(&dom->refs);
    return dom;
}

void lxc_domain_unref(LxcDomain *dom)
{
    if (!dom || !g_atomic_int_dec_and_test(&dom->refs))
        return;
    g_free(dom->name);
    g_free(dom->cgroup);
    lxc_def_unref(dom->config);
    lxc_def_unref(dom->live);
    vireo_snapshots_free(dom->snapshots);
    lxc_process_close(&dom->init);
    lxc_process_close(&dom->monitor);
    g_mutex_clear(&dom->job);
    g_mutex_clear(&dom->ending);
    g_mutex_clear(&dom->lock);
    g_free(dom);
}

/* ---- tables -------------------------------------------------------------------- */

static LxcDomain *look_up(LxcSpace *space, GHashTable *table, const char *key)
{
    g_mutex_lock(&space->lock);
    LxcDomain *dom = g_hash_table_lookup(table, key);
    if (dom)
        lxc_domain_ref(dom);
    g_mutex_unlock(&space->lock);
    return dom;
}

LxcDomain *lxc_domain_by_uuid(LxcSpace *space, const guint8 uuid[16])
{
    char text[37];

    vireo_model_uuid_format(uuid, text);
    return look_up(space, space->by_uuid, text);
}

LxcDomain *lxc_domain_by_name(LxcSpace *space, const char *name)
{
    return look_up(space, space->by_name, name);
}

GPtrArray *lxc_domain_all(LxcSpace *space)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)lxc_domain_unref);
    GHashTableIter iter;
    gpointer dom;

    g_mutex_lock(&space->lock);
    g_hash_table_iter_init(&iter, space->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &dom))
        g_ptr_array_add(all, lxc_domain_ref(dom));
    g_mutex_unlock(&space->lock);
    return all;
}

gboolean lxc_domain_register(LxcDomain *dom, GError **error)
{
    LxcSpace *space = dom->space;

    g_mutex_lock(&space->lock);
    gboolean taken = g_hash_table_contains(space->by_uuid, dom->uuid_text) ||
                     g_hash_table_contains(space->by_name, dom->name);
    if (!taken) {
        g_hash_table_insert(space->by_uuid, dom->uuid_text, lxc_domain_ref(dom));
        g_hash_table_insert(space->by_name, g_strdup(dom->name), dom);
    }
    g_mutex_unlock(&space->lock);
    if (taken)
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "name or uuid of domain '%s' belong to another one", dom->name);
    return !taken;
}

void lxc_domain_forget(LxcDomain *dom)
{
    LxcSpace *space = dom->space;

    lxc_domain_ref(dom);
    g_mutex_lock(&space->lock);
    if (g_hash_table_lookup(space->by_name, dom->name) == dom)
        g_hash_table_remove(space->by_name, dom->name);
    if (g_hash_table_lookup(space->by_uuid, dom->uuid_text) == dom)
        g_hash_table_remove(space->by_uuid, dom->uuid_text);
    g_mutex_unlock(&space->lock);
    g_mutex_lock(&dom->lock);
    dom->gone = TRUE;
    space->driver->host->withdraw(space->published, VIREO_CLASS_DOMAIN, dom->name, dom->uuid);
    g_mutex_unlock(&dom->lock);
    lxc_domain_unref(dom);
}

LxcDomain *lxc_domain_find(LxcConn *conn, vireo_call *call, const vireo_domain_ref *ref)
{
    LxcDomain *dom = lxc_domain_by_uuid(conn->space, ref->uuid);
    char text[37];

    if (dom)
        return dom;
    vireo_model_uuid_format(ref->uuid, text);
    conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "no domain with uuid '%s' (%s)", text,
                             ref->name ? ref->name : "");
    return NULL;
}

LxcDomain *lxc_domain_begin(LxcConn *conn, vireo_call *call, const vireo_domain_ref *ref)
{
    LxcDomain *dom = lxc_domain_find(conn, call, ref);

    if (!dom)
        return NULL;
    g_mutex_lock(&dom->job);
    if (!dom->gone)
        return dom;
    conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "domain '%s' no longer exists", dom->name);
    lxc_domain_end(dom);
    return NULL;
}

void lxc_domain_end(LxcDomain *dom)
{
    if (!dom)
        return;
    g_mutex_unlock(&dom->job);
    lxc_domain_unref(dom);
}

/* The existing domain a document is about, with its job held; NULL without error: none yet. */
static LxcDomain *existing(LxcSpace *space, const VireoDomain *doc, GError **error)
{
    LxcDomain *dom = lxc_domain_by_uuid(space, doc->uuid);

    if (!dom) {
        g_autoptr(LxcDomain) same_name = lxc_domain_by_name(space, doc->name);

        if (same_name)
            lxc_error(error, VIREO_ERR_OPERATION_FAILED, "domain '%s' already exists with uuid %s", doc->name,
                      same_name->uuid_text);
        return NULL;
    }
    g_mutex_lock(&dom->job);
    if (!dom->gone && g_str_equal(dom->name, doc->name))
        return dom;
    gboolean again = dom->gone;
    if (!again)
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "domain '%s' already has uuid %s", dom->name, dom->uuid_text);
    lxc_domain_end(dom);
    return again ? existing(space, doc, error) : NULL;
}

LxcDomain *lxc_domain_admit(LxcSpace *space, const VireoDomain *doc, gboolean *fresh, GError **error)
{
    g_autoptr(GError) failure = NULL;
    LxcDomain *dom = existing(space, doc, &failure);

    *fresh = FALSE;
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (dom)
        return dom;
    dom = lxc_domain_new(space, doc->uuid, doc->name);
    g_mutex_lock(&dom->job);
    if (!lxc_domain_register(dom, error)) {
        lxc_domain_end(dom);
        return NULL;
    }
    *fresh = TRUE;
    return dom;
}

/* ---- definitions and state ----------------------------------------------------- */

gboolean lxc_domain_active(LxcDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean active = dom->id != -1;
    g_mutex_unlock(&dom->lock);
    return active;
}

gboolean lxc_domain_need_active(LxcDomain *dom, GError **error)
{
    gboolean active = lxc_domain_active(dom);

    if (!active)
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    return active;
}

LxcDef *lxc_domain_live(LxcDomain *dom)
{
    g_mutex_lock(&dom->lock);
    LxcDef *def = dom->id != -1 ? lxc_def_ref(dom->live) : NULL;
    g_mutex_unlock(&dom->lock);
    return def;
}

LxcDef *lxc_domain_config(LxcDomain *dom)
{
    g_mutex_lock(&dom->lock);
    LxcDef *def = lxc_def_ref(dom->config);
    g_mutex_unlock(&dom->lock);
    return def;
}

LxcDef *lxc_domain_current(LxcDomain *dom)
{
    g_mutex_lock(&dom->lock);
    LxcDef *def = lxc_def_ref(dom->live && (dom->id != -1 || !dom->config) ? dom->live : dom->config);
    g_mutex_unlock(&dom->lock);
    return def;
}

static void replace_def(LxcDomain *dom, LxcDef **slot, LxcDef *def)
{
    g_mutex_lock(&dom->lock);
    LxcDef *old = *slot;
    *slot = def;
    g_mutex_unlock(&dom->lock);
    lxc_def_unref(old);
}

void lxc_domain_set_live(LxcDomain *dom, LxcDef *def)
{
    replace_def(dom, &dom->live, def);
}

void lxc_domain_set_state(LxcDomain *dom, int state, int reason)
{
    g_mutex_lock(&dom->lock);
    dom->state = state;
    dom->reason = reason;
    g_mutex_unlock(&dom->lock);
}

gboolean lxc_domain_need_persistent(LxcDomain *dom, const char *why, GError **error)
{
    g_mutex_lock(&dom->lock);
    gboolean persistent = dom->config != NULL;
    g_mutex_unlock(&dom->lock);
    if (!persistent)
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is transient: %s", dom->name, why);
    return persistent;
}

gboolean lxc_domain_impact(LxcDomain *dom, guint flags, gboolean *live, gboolean *config, GError **error)
{
    gboolean active = lxc_domain_active(dom);

    *live = (flags & VIREO_DOMAIN_AFFECT_LIVE) != 0;
    *config = (flags & VIREO_DOMAIN_AFFECT_CONFIG) != 0;
    if (!*live && !*config) {
        *live = active;
        *config = !active;
    }
    if (*live && !lxc_domain_need_active(dom, error))
        return FALSE;
    return !*config || lxc_domain_need_persistent(dom, "it has no stored definition", error);
}

LxcDef *lxc_domain_view(LxcDomain *dom, guint flags, GError **error)
{
    gboolean live, config;

    if (!lxc_domain_impact(dom, flags, &live, &config, error))
        return NULL;
    LxcDef *def = live ? lxc_domain_live(dom) : lxc_domain_config(dom);
    if (!def)
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    return def;
}

static LxcDef *changed(LxcDef *def, LxcChange change, const void *opaque, GError **error)
{
    g_autoptr(VireoDomain) doc = vireo_domain_copy(def->doc);

    return change(doc, opaque, error) && lxc_doc_complete(doc, error) ? lxc_def_new(g_steal_pointer(&doc)) : NULL;
}

gboolean lxc_domain_change(LxcDomain *dom, guint flags, LxcChange change, LxcApply apply, const void *opaque,
                           GError **error)
{
    gboolean live, config;

    if (!lxc_domain_impact(dom, flags, &live, &config, error))
        return FALSE;
    g_autoptr(LxcDef) now = live ? lxc_domain_live(dom) : NULL, stored = config ? lxc_domain_config(dom) : NULL;
    if (live && !now)
        return lxc_domain_need_active(dom, error);
    g_autoptr(LxcDef) then = now ? changed(now, change, opaque, error) : NULL;
    if (now && !then)
        return FALSE;
    g_autoptr(LxcDef) next = stored ? changed(stored, change, opaque, error) : NULL;
    if (stored && !next)
        return FALSE;
    if (then && apply && !apply(dom, now->doc, then->doc, opaque, error))
        return FALSE;
    if (then) {
        lxc_domain_set_live(dom, lxc_def_ref(then));
        lxc_live_save(dom);
    }
    gboolean good = !next || lxc_domain_store(dom, next, error);
    lxc_domain_publish(dom);
    return good;
}

/* ---- what others see ----------------------------------------------------------- */

static void publish(LxcDomain *dom, guint32 extra, int event, int detail)
{
    struct vireo_object object = { .size = sizeof object, .klass = VIREO_CLASS_DOMAIN };

    /* Under the lock: two changes are published in the order in which they happened. */
    g_mutex_lock(&dom->lock);
    /* A transient one that has just stopped still has its live definition. */
    VireoDomain *doc = dom->live && (dom->id != -1 || !dom->config) ? dom->live->doc
                       : dom->config                                ? dom->config->doc
                                                                    : NULL;
    if (doc && !dom->gone) {
        object.name = dom->name;
        memcpy(object.uuid, dom->uuid, 16);
        object.id = dom->id;
        object.state = dom->state;
        object.reason = dom->reason;
        object.flags = extra | (dom->config ? VIREO_OBJECT_PERSISTENT : 0) |
                       (dom->autostart ? VIREO_OBJECT_AUTOSTART : 0) |
                       (dom->managed_save ? VIREO_OBJECT_MANAGED_SAVE : 0);
        object.vcpus = doc->vcpu->text;
        object.max_memory_kib = doc->memory->text;
        object.memory_kib = doc->current_memory;
        object.os_type = "exe";
        object.event = event;
        object.detail = detail;
        dom->space->driver->host->publish(dom->space->published, &object);
    }
    g_mutex_unlock(&dom->lock);
}

void lxc_domain_publish(LxcDomain *dom)
{
    publish(dom, 0, -1, 0);
}

void lxc_domain_publish_quiet(LxcDomain *dom)
{
    publish(dom, VIREO_OBJECT_QUIET, -1, 0);
}

void lxc_domain_publish_event(LxcDomain *dom, int event, int detail)
{
    publish(dom, 0, event, detail);
}

void lxc_domain_fill_ref(LxcDomain *dom, vireo_call *call, vireo_domain_ref *ref)
{
    g_mutex_lock(&dom->lock);
    ref->name = dom->space->driver->host->strdup(call, dom->name);
    memcpy(ref->uuid, dom->uuid, 16);
    ref->id = dom->id;
    g_mutex_unlock(&dom->lock);
}

gboolean lxc_domain_init(LxcDomain *dom, LxcProcess *init, GError **error)
{
    g_mutex_lock(&dom->lock);
    gboolean active = dom->id != -1;
    *init = dom->init;
    g_mutex_unlock(&dom->lock);
    init->fd = active ? vireo_process_open(init->pid, init->start) : -1;
    if (init->fd < 0)
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    return init->fd >= 0;
}

/* ---- storage ------------------------------------------------------------------- */

char *lxc_domain_path(LxcDomain *dom, const char *dir, const char *suffix)
{
    return g_strdup_printf("%s/%s%s", dir, dom->uuid_text, suffix);
}

gboolean lxc_domain_store(LxcDomain *dom, LxcDef *def, GError **error)
{
    g_autofree char *path = lxc_domain_path(dom, dom->space->config_dir, ".xml");
    g_autofree char *xml = vireo_domain_format(def->doc, VIREO_MODEL_FORMAT_INACTIVE | VIREO_MODEL_FORMAT_SECURE);

    if (!vireo_file_write(path, xml, strlen(xml), 0600, error))
        return FALSE;
    replace_def(dom, &dom->config, lxc_def_ref(def));
    return TRUE;
}

gboolean lxc_domain_unstore(LxcDomain *dom, GError **error)
{
    g_autofree char *path = lxc_domain_path(dom, dom->space->config_dir, ".xml");
    g_autofree char *autostart = lxc_domain_path(dom, dom->space->config_dir, ".autostart");

    if (!vireo_file_remove(autostart, error) || !vireo_file_remove(path, error))
        return FALSE;
    g_mutex_lock(&dom->lock);
    dom->autostart = FALSE;
    g_mutex_unlock(&dom->lock);
    replace_def(dom, &dom->config, NULL);
    return TRUE;
}
