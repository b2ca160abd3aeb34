/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The domain object: its tables, what it shows to the core, where its definition is stored. */
#include "domain.h"

#include <string.h>
#include <unistd.h>

#include "backup.h"
#include "checkpoint.h"
#include "engine.h"
#include "kit/file.h"
#include "process.h"
#include "snapshot.h"

/* ---- life ---------------------------------------------------------------------- */

QemuDomain *qemu_domain_new(QemuSpace *space, const guint8 uuid[16], const char *name)
{
    QemuDomain *dom = g_new0(QemuDomain, 1);

    dom->refs = 1;
    dom->space = space;
    memcpy(dom->uuid, uuid, 16);
    vireo_model_uuid_format(uuid, dom->uuid_text);
    dom->name = g_strdup(name);
    dom->id = -1;
    dom->pidfd = -1;
    dom->state = VIREO_DOMAIN_SHUTOFF;
    dom->vcpu_tids = g_array_new(FALSE, FALSE, sizeof(gint));
    dom->jobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    dom->removed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    dom->stuck = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    dom->block_jobs = qemu_blockjobs_new();
    dom->failed_jobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    dom->chains =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    g_queue_init(&dom->ports);
    dom->tree = qemu_tree_new();
    dom->checkpoints = qemu_checkpoints_new();
    g_mutex_init(&dom->job);
    g_mutex_init(&dom->agent);
    g_mutex_init(&dom->save_lock);
    g_mutex_init(&dom->lock);
    g_cond_init(&dom->changed);
    return dom;
}

QemuDomain *qemu_domain_ref(QemuDomain *dom)
{
    g_atomic_int_inc(&dom->refs);
    return dom;
}

void qemu_domain_unref(QemuDomain *dom)
{
    if (!dom || !g_atomic_int_dec_and_test(&dom->refs))
        return;
    g_free(dom->name);
    qemu_def_unref(dom->config);
    qemu_def_unref(dom->live);
    vireo_qmp_unref(dom->qmp);
    if (dom->pidfd >= 0)
        close(dom->pidfd);
    g_array_unref(dom->vcpu_tids);
    g_hash_table_unref(dom->jobs);
    g_hash_table_unref(dom->removed);
    g_hash_table_unref(dom->stuck);
    g_hash_table_unref(dom->block_jobs);
    g_hash_table_unref(dom->failed_jobs);
    g_hash_table_unref(dom->chains);
    g_queue_clear_full(&dom->ports, g_free);
    qemu_backup_free(dom->backup);
    g_free(dom->backup_done);
    g_free(dom->log_path);
    g_free(dom->merge.image);
    g_free(dom->found_status);
    qemu_nodes_free(dom->nodes);
    qemu_tree_free(dom->tree);
    qemu_kept_files_free(dom->files);
    qemu_checkpoints_free(dom->checkpoints);
    g_mutex_clear(&dom->job);
    g_mutex_clear(&dom->agent);
    g_mutex_clear(&dom->save_lock);
    g_mutex_clear(&dom->lock);
    g_cond_clear(&dom->changed);
    g_free(dom);
}

/* ---- tables -------------------------------------------------------------------- */

QemuDomain *qemu_domain_by_uuid(QemuSpace *space, const guint8 uuid[16])
{
    char text[37];

    vireo_model_uuid_format(uuid, text);
    g_mutex_lock(&space->lock);
    QemuDomain *dom = g_hash_table_lookup(space->by_uuid, text);
    if (dom)
        qemu_domain_ref(dom);
    g_mutex_unlock(&space->lock);
    return dom;
}

QemuDomain *qemu_domain_by_name(QemuSpace *space, const char *name)
{
    g_mutex_lock(&space->lock);
    QemuDomain *dom = g_hash_table_lookup(space->by_name, name);
    if (dom)
        qemu_domain_ref(dom);
    g_mutex_unlock(&space->lock);
    return dom;
}

GPtrArray *qemu_domain_all(QemuSpace *space)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)qemu_domain_unref);
    GHashTableIter iter;
    gpointer dom;

    g_mutex_lock(&space->lock);
    g_hash_table_iter_init(&iter, space->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &dom))
        g_ptr_array_add(all, qemu_domain_ref(dom));
    g_mutex_unlock(&space->lock);
    return all;
}

gboolean qemu_domain_register(QemuDomain *dom, GError **error)
{
    QemuSpace *space = dom->space;
    gboolean free_uuid, free_name;

    g_mutex_lock(&space->lock);
    free_uuid = !g_hash_table_contains(space->by_uuid, dom->uuid_text);
    free_name = !g_hash_table_contains(space->by_name, dom->name);
    if (free_uuid && free_name) {
        g_hash_table_insert(space->by_uuid, dom->uuid_text, qemu_domain_ref(dom));
        g_hash_table_insert(space->by_name, g_strdup(dom->name), dom);
    }
    g_mutex_unlock(&space->lock);
    if (free_uuid && free_name)
        return TRUE;
    qemu_error(error, VIREO_ERR_OPERATION_FAILED,
               free_uuid ? "domain '%s' already exists with another uuid"
                         : "the uuid of domain '%s' belongs to another domain", dom->name);
    return FALSE;
}

gboolean qemu_domain_renamed(QemuDomain *dom, const char *name, GError **error)
{
    QemuSpace *space = dom->space;

    g_mutex_lock(&space->lock);
    gboolean taken = g_hash_table_contains(space->by_name, name);
    if (!taken) {
        g_hash_table_remove(space->by_name, dom->name);
        g_hash_table_insert(space->by_name, g_strdup(name), dom);
        g_mutex_lock(&dom->lock);
        g_free(dom->name);
        dom->name = g_strdup(name);
        g_mutex_unlock(&dom->lock);
    }
    g_mutex_unlock(&space->lock);
    if (taken)
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' already exists", name);
    return !taken;
}

void qemu_domain_forget(QemuDomain *dom)
{
    QemuSpace *space = dom->space;

    qemu_domain_ref(dom);
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
    qemu_domain_unref(dom);
}

QemuDomain *qemu_domain_find(QemuConn *conn, vireo_call *call, const vireo_domain_ref *ref)
{
    QemuDomain *dom = qemu_domain_by_uuid(conn->space, ref->uuid);
    char text[37];

    if (dom)
        return dom;
    vireo_model_uuid_format(ref->uuid, text);
    conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "no domain with uuid '%s' (%s)", text,
                             ref->name ? ref->name : "");
    return NULL;
}

/* With the lock held. */
static gboolean enter(QemuDomain *dom)
{
    while (dom->shared && dom->guest)
        g_cond_wait(&dom->changed, &dom->lock);
    if (dom->shared)
        dom->guest = g_thread_self();
    return dom->shared;
}

static void take_job(QemuDomain *dom, gboolean notes)
{
    g_mutex_lock(&dom->lock);
    gboolean entered = notes && enter(dom);
    dom->waiting += !entered; /* from then on nothing is shared */
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
    if (entered)
        return;
    g_mutex_lock(&dom->job);
    g_mutex_lock(&dom->lock);
    dom->waiting--;
    g_mutex_unlock(&dom->lock);
    qemu_process_bury(dom);
}

static QemuDomain *begin(QemuConn *conn, vireo_call *call, const vireo_domain_ref *ref, gboolean notes)
{
    QemuDomain *dom = qemu_domain_find(conn, call, ref);

    if (!dom)
        return NULL;
    g_autoptr(GError) error = NULL;

    take_job(dom, notes);
    if (!dom->gone && qemu_work_catch_up(dom, &error))
        return dom;
    qemu_domain_end(dom);
    if (error)
        qemu_fail(conn->driver, call, error);
    else
        conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "domain '%s' no longer exists",
                                 ref->name ? ref->name : "");
    return NULL;
}

QemuDomain *qemu_domain_begin(QemuConn *conn, vireo_call *call, const vireo_domain_ref *ref)
{
    return begin(conn, call, ref, FALSE);
}

QemuDomain *qemu_domain_begin_noting(QemuConn *conn, vireo_call *call, const vireo_domain_ref *ref)
{
    return begin(conn, call, ref, TRUE);
}

void qemu_domain_take_job(QemuDomain *dom)
{
    take_job(dom, FALSE);
}

gboolean qemu_domain_is_guest(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean is_guest = dom->guest == g_thread_self();
    g_mutex_unlock(&dom->lock);
    return is_guest;
}

static gboolean leave(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean was_guest = dom->guest == g_thread_self();
    if (was_guest) {
        dom->guest = NULL;
        dom->news = TRUE;
        g_cond_broadcast(&dom->changed);
    }
    g_mutex_unlock(&dom->lock);
    return was_guest;
}

void qemu_domain_give_job(QemuDomain *dom)
{
    gboolean bury;

    if (leave(dom))
        return;
    do {
        qemu_process_bury(dom);
        g_mutex_unlock(&dom->job);
        /* Its process may have ended in between. */
        g_mutex_lock(&dom->lock);
        bury = dom->bury;
        g_mutex_unlock(&dom->lock);
    } while (bury && g_mutex_trylock(&dom->job));
}

gboolean qemu_domain_is_wanted(const QemuDomain *dom)
{
    return dom->yields && (dom->waiting || dom->news || dom->merge.stop ||
                           g_atomic_int_get(&dom->space->driver->stopping));
}

gboolean qemu_domain_must_yield(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean yield = qemu_domain_is_wanted(dom);
    g_mutex_unlock(&dom->lock);
    return yield;
}

gboolean qemu_domain_share_job(QemuDomain *dom, GError **error)
{
    g_mutex_lock(&dom->lock);
    gboolean wanted = qemu_domain_is_wanted(dom);
    dom->shared = dom->yields && !wanted;
    g_mutex_unlock(&dom->lock);
    if (wanted)
        qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "somebody else wants domain '%s'", dom->name);
    return !wanted;
}

void qemu_domain_unshare_job(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    dom->shared = FALSE;
    g_cond_broadcast(&dom->changed);
    while (dom->guest)
        g_cond_wait(&dom->changed, &dom->lock);
    g_mutex_unlock(&dom->lock);
}

void qemu_domain_end(QemuDomain *dom)
{
    if (!dom)
        return;
    qemu_domain_give_job(dom);
    qemu_domain_unref(dom);
}

/* ---- definitions and state ----------------------------------------------------- */

QemuDef *qemu_domain_live(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    QemuDef *def = dom->id != -1 ? qemu_def_ref(dom->live) : NULL;
    g_mutex_unlock(&dom->lock);
    return def;
}

QemuDef *qemu_domain_config(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    QemuDef *def = qemu_def_ref(dom->config);
    g_mutex_unlock(&dom->lock);
    return def;
}

QemuDef *qemu_domain_current(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    QemuDef *def = qemu_def_ref(dom->live && (dom->id != -1 || !dom->config) ? dom->live : dom->config);
    g_mutex_unlock(&dom->lock);
    return def;
}

static void replace_def(QemuDomain *dom, QemuDef **slot, QemuDef *def)
{
    g_mutex_lock(&dom->lock);
    QemuDef *old = *slot;
    *slot = def;
    g_mutex_unlock(&dom->lock);
    qemu_def_unref(old);
}

void qemu_domain_set_live(QemuDomain *dom, QemuDef *def)
{
    replace_def(dom, &dom->live, def);
}

void qemu_domain_set_config(QemuDomain *dom, QemuDef *def)
{
    replace_def(dom, &dom->config, def);
}

gboolean qemu_domain_active(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean active = dom->id != -1;
    g_mutex_unlock(&dom->lock);
    return active;
}

VireoQmp *qemu_domain_monitor(QemuDomain *dom, GError **error)
{
    VireoQmp *qmp = NULL;

    g_mutex_lock(&dom->lock);
    gboolean active = dom->id != -1;
    if (active && dom->qmp)
        qmp = vireo_qmp_ref(dom->qmp);
    g_mutex_unlock(&dom->lock);
    if (!active)
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    else if (!qmp)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                   "the monitor of domain '%s' does not answer", dom->name);
    return qmp;
}

void qemu_domain_set_state(QemuDomain *dom, int state, int reason)
{
    g_mutex_lock(&dom->lock);
    dom->state = state;
    dom->reason = reason;
    g_mutex_unlock(&dom->lock);
}

static void publish(QemuDomain *dom, guint32 extra, int event, int detail)
{
    const struct vireo_host *host = dom->space->driver->host;
    struct vireo_object object = { .size = sizeof object, .klass = VIREO_CLASS_DOMAIN };

    /* Under the lock: two changes are published in the order in which they happened. */
    g_mutex_lock(&dom->lock);
    /* A transient domain that has just stopped still has its live definition. */
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
        object.vcpus = doc->vcpu->has_current ? doc->vcpu->current : doc->vcpu->text;
        object.max_memory_kib = doc->memory->text;
        object.memory_kib = dom->id != -1 && dom->balloon_kib ? dom->balloon_kib
                                                              : doc->current_memory;
        object.os_type = "hvm";
        object.event = event;
        object.detail = detail;
        host->publish(dom->space->published, &object);
    }
    g_mutex_unlock(&dom->lock);
}

void qemu_domain_publish(QemuDomain *dom)
{
    publish(dom, 0, -1, 0);
}

void qemu_domain_publish_quiet(QemuDomain *dom)
{
    publish(dom, VIREO_OBJECT_QUIET, -1, 0);
}

void qemu_domain_publish_event(QemuDomain *dom, int event, int detail)
{
    publish(dom, 0, event, detail);
}

void qemu_domain_fill_ref(QemuDomain *dom, vireo_call *call, vireo_domain_ref *ref)
{
    g_mutex_lock(&dom->lock);
    ref->name = dom->space->driver->host->strdup(call, dom->name);
    memcpy(ref->uuid, dom->uuid, 16);
    ref->id = dom->id;
    g_mutex_unlock(&dom->lock);
}

gboolean qemu_domain_persistent(QemuDomain *dom, const char *why, GError **error)
{
    g_mutex_lock(&dom->lock);
    gboolean persistent = dom->config != NULL;
    g_mutex_unlock(&dom->lock);

    if (!persistent)
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is transient: %s", dom->name, why);
    return persistent;
}

gboolean qemu_domain_impact(QemuDomain *dom, guint flags, gboolean *live, gboolean *config,
                            GError **error)
{
    g_mutex_lock(&dom->lock);
    gboolean active = dom->id != -1;
    g_mutex_unlock(&dom->lock);

    *live = (flags & VIREO_DOMAIN_AFFECT_LIVE) != 0;
    *config = (flags & VIREO_DOMAIN_AFFECT_CONFIG) != 0;
    if (!*live && !*config) {
        *live = active;
        *config = !active;
    }
    if (*live && !active) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
        return FALSE;
    }
    return !*config || qemu_domain_persistent(dom, "it has no stored definition to change", error);
}

/* ---- storage ------------------------------------------------------------------- */

char *qemu_domain_path(QemuDomain *dom, const char *dir, const char *suffix)
{
    return g_strdup_printf("%s/%s%s", dir, dom->uuid_text, suffix);
}

gboolean qemu_domain_store(QemuDomain *dom, QemuDef *def, GError **error)
{
    g_autofree char *path = qemu_domain_path(dom, dom->space->config_dir, ".xml");
    g_autofree char *xml =
        vireo_domain_format(def->doc, VIREO_MODEL_FORMAT_INACTIVE | VIREO_MODEL_FORMAT_SECURE);

    if (!vireo_file_write(path, xml, strlen(xml), 0600, error))
        return FALSE;
    qemu_domain_set_config(dom, qemu_def_ref(def));
    return TRUE;
}

gboolean qemu_domain_unstore(QemuDomain *dom, GError **error)
{
    g_autofree char *path = qemu_domain_path(dom, dom->space->config_dir, ".xml");
    g_autofree char *autostart = qemu_domain_path(dom, dom->space->config_dir, ".autostart");

    if (!vireo_file_remove(autostart, error) || !vireo_file_remove(path, error))
        return FALSE;
    g_mutex_lock(&dom->lock);
    dom->autostart = FALSE;
    g_mutex_unlock(&dom->lock);
    qemu_domain_set_config(dom, NULL);
    return TRUE;
}
