/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops.h"
#include "snapshot.h"

#include <string.h>

#include "events.h"
#include "images.h"
#include "machine.h"
#include "process.h"

static gboolean check_name(QemuDomain *dom, VireoDomainSnapshot *doc, GError **error)
{
    if (!doc->name)
        doc->name = g_strdup_printf("%" G_GINT64_FORMAT, g_get_real_time() / G_USEC_PER_SEC);
    if (*doc->name && *doc->name != '.' && !strchr(doc->name, '/') && strlen(doc->name) <= 200)
        return TRUE;
    qemu_error(error, VIREO_ERR_XML_DETAIL,
               "'%s' is no name for a snapshot: it is empty, too long, begins with '.' or has a '/'",
               doc->name);
    return FALSE;
}

/* A name in <disks> is a target or the path of an image. */
static const VireoDomainDisk *find_disk(const VireoDomain *doc, const char *name)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];

        if (g_str_equal(disk->target->dev, name) || !g_strcmp0(qemu_disk_path(disk), name))
            return disk;
    }
    return NULL;
}

static gboolean refuse_kind(const char *what, VireoDomainSnapshotLocation kind, GError **error)
{
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
               "%s: snapshot mode '%s' is not served; a snapshot holds every writable disk and the "
               "memory of a running guest internally", what,
               vireo_domain_snapshot_location_to_string(kind));
    return FALSE;
}

/* Everything that is asked for must be internal; refused before anything is touched. */
static gboolean check_request(const VireoDomainSnapshot *doc, const VireoDomain *machine,
                              gboolean active, GError **error)
{
    const VireoDomainSnapshotLocation internal = VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
    VireoDomainSnapshotLocation memory =
        doc->memory ? doc->memory->snapshot : VIREO_DOMAIN_SNAPSHOT_LOCATION_UNSET;

    if (doc->memory && doc->memory->file)
        return refuse_kind("memory", VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL, error);
    if (active && memory == VIREO_DOMAIN_SNAPSHOT_LOCATION_NO) {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "a snapshot of a running guest includes its memory");
        return FALSE;
    }
    if (memory && memory != internal && memory != VIREO_DOMAIN_SNAPSHOT_LOCATION_NO)
        return refuse_kind("memory", memory, error);
    if (!active && memory == internal) {
        qemu_error(error, VIREO_ERR_XML_ERROR, "a guest that is off has no memory to save");
        return FALSE;
    }
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++) {
        const VireoDomainSnapshotDisk *asked = doc->disks->disks.items[i];
        const VireoDomainDisk *disk = find_disk(machine, asked->name);
        g_autofree char *what = g_strdup_printf("disk '%s'", asked->name);

        if (!disk) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "the domain has no disk '%s'",
                       asked->name);
            return FALSE;
        }
        if (asked->source)
            return refuse_kind(what, VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL, error);
        if (asked->snapshot && asked->snapshot != internal &&
            !(disk->readonly && asked->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_NO))
            return refuse_kind(what, asked->snapshot, error);
    }
    VEC_EACH(machine->devices->disks, i)
    {
        const VireoDomainDisk *disk = machine->devices->disks.items[i];
        g_autofree char *what = g_strdup_printf("disk '%s'", disk->target->dev);

        if (disk->readonly)
            continue;
        if (disk->snapshot == VIREO_DOMAIN_DISK_SNAPSHOT_NO)
            return refuse_kind(what, VIREO_DOMAIN_SNAPSHOT_LOCATION_NO, error);
        if (disk->snapshot == VIREO_DOMAIN_DISK_SNAPSHOT_EXTERNAL)
            return refuse_kind(what, VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL, error);
    }
    return TRUE;
}

/* Every image must be able to hold it and must not hold one of that name already. */
static gboolean check_tops(GPtrArray *tops, const char *name, GError **error)
{
    if (!tops->len) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "the domain has no writable disk that could hold a snapshot");
        return FALSE;
    }
    for (guint i = 0; i < tops->len; i++) {
        const QemuTop *top = tops->pdata[i];

        if (!top->is_qcow2) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                       "disk '%s': an image in raw format cannot hold an internal snapshot (%s)",
                       top->dev, top->path);
            return FALSE;
        }
        if (qemu_top_holds(top, name, NULL)) {
            qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                       "disk '%s': image %s already holds a snapshot '%s'", top->dev, top->path,
                       name);
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- taking it ----------------------------------------------------------------- */

static JsonArray *node_names(GPtrArray *tops)
{
    JsonArray *nodes = json_array_new();

    for (guint i = 0; i < tops->len; i++)
        json_array_add_string_element(nodes, ((QemuTop *)tops->pdata[i])->node);
    return nodes;
}

static gboolean take_online(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, GPtrArray *tops,
                            const char *name, gboolean running, GError **error)
{
    const QemuTop *first = tops->pdata[0];

    g_mutex_lock(&dom->lock);
    dom->quiet_states = TRUE; /* the job stops the guest for a moment */
    g_mutex_unlock(&dom->lock);
    gboolean taken = qemu_snapshot_job(dom, call, qmp, "snapshot-save", name, first->node,
                                       node_names(tops), error);
    if (!taken) {
        qemu_snapshot_job(dom, NULL, qmp, "snapshot-delete", name, NULL, node_names(tops), NULL);
        if (running)
            vireo_qmp_run(qmp, "cont", NULL, NULL, NULL);
    }
    g_mutex_lock(&dom->lock);
    dom->quiet_states = FALSE;
    g_mutex_unlock(&dom->lock);
    return taken;
}

static gboolean take_offline(QemuDomain *dom, vireo_call *call, GPtrArray *tops, const char *name,
                             GError **error)
{
    for (guint i = 0; i < tops->len; i++) {
        if (qemu_snapshot_image_do(dom, call, ((QemuTop *)tops->pdata[i])->path, 'c', name, error))
            continue;
        while (i-- > 0)
            qemu_snapshot_image_do(dom, NULL, ((QemuTop *)tops->pdata[i])->path, 'd', name, NULL);
        return FALSE;
    }
    return TRUE;
}

static void describe(QemuDomain *dom, VireoDomainSnapshot *doc, const QemuDef *machine,
                     gboolean active, gboolean running)
{
    g_autofree char *current = qemu_tree_current(dom->tree);
    g_autoptr(QemuDef) config = qemu_domain_config(dom);

    doc->state = !active   ? VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF
                 : running ? VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING
                           : VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED;
    doc->creation_time = g_get_real_time() / G_USEC_PER_SEC;
    doc->has_creation_time = TRUE;
    g_clear_pointer(&doc->parent, vireo_domain_snapshot_parent_free);
    if (current) {
        doc->parent = g_new0(VireoDomainSnapshotParent, 1);
        doc->parent->name = g_strdup(current);
    }
    g_clear_pointer(&doc->memory, vireo_domain_snapshot_memory_free);
    doc->memory = g_new0(VireoDomainSnapshotMemory, 1);
    doc->memory->snapshot = active ? VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL
                                   : VIREO_DOMAIN_SNAPSHOT_LOCATION_NO;
    g_clear_pointer(&doc->disks, vireo_domain_snapshot_disks_free);
    doc->disks = g_new0(VireoDomainSnapshotDisks, 1);
    VEC_EACH(machine->doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = machine->doc->devices->disks.items[i];
        VireoDomainSnapshotDisk *entry = g_new0(VireoDomainSnapshotDisk, 1);

        entry->name = g_strdup(disk->target->dev);
        entry->snapshot = disk->readonly || !qemu_disk_path(disk)
                              ? VIREO_DOMAIN_SNAPSHOT_LOCATION_NO
                              : VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
        vireo_list_append(&doc->disks->disks, entry);
    }
    g_clear_pointer(&doc->domain, vireo_domain_free);
    g_clear_pointer(&doc->inactive_domain, vireo_domain_free);
    doc->domain = qemu_doc_inactive(machine->doc);
    if (active && config && !qemu_same_machine(config->doc, doc->domain))
        doc->inactive_domain = vireo_domain_copy(config->doc);
}

static QemuSnap *take(QemuDomain *dom, vireo_call *call, VireoDomainSnapshot *doc, guint flags,
                      GError **error)
{
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);
    gboolean active = qemu_domain_active(dom), running = dom->state == VIREO_DOMAIN_RUNNING;
    g_autoptr(VireoQmp) qmp = active ? qemu_domain_monitor(dom, error) : NULL;

    if (active && !qmp)
        return NULL;
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_HALT) && !dom->config) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   "a transient domain cannot be halted after a snapshot");
        return NULL;
    }
    g_autoptr(QemuSnap) known = qemu_tree_find(dom->tree, doc->name);
    if (known) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "domain '%s' already has a snapshot '%s'",
                   dom->name, doc->name);
        return NULL;
    }
    if (!check_request(doc, machine->doc, active, error))
        return NULL;
    g_autoptr(GPtrArray) tops = qemu_snapshot_tops(dom, machine->doc, qmp, error);
    if (!tops || !check_tops(tops, doc->name, error))
        return NULL;
    describe(dom, doc, machine, active, running);
    if (!doc->domain) {
        qemu_error(error, VIREO_ERR_INTERNAL_ERROR,
                   "the definition of domain '%s' cannot be written down", dom->name);
        return NULL;
    }
    if (qmp ? !take_online(dom, call, qmp, tops, doc->name, running, error)
            : !take_offline(dom, call, tops, doc->name, error))
        return NULL;
    return qemu_snap_new(vireo_domain_snapshot_copy(doc));
}

static gboolean keep(QemuDomain *dom, QemuSnap *snap, gboolean current, GError **error)
{
    g_autofree char *name = g_strdup(snap->doc->name);

    if (!qemu_tree_put(dom, snap, error) ||
        (current && !qemu_tree_set_current(dom, name, error)))
        return FALSE;
    qemu_tree_publish(dom);
    return TRUE;
}

int qemu_domain_snapshot_create_xml(void *handle, vireo_call *call,
                                    const vireo_domain_snapshot_create_xml_args *args,
                                    vireo_domain_snapshot_create_xml_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    const struct vireo_host *host = conn->driver->host;
    gboolean redefine = (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE) != 0, failed = FALSE;
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(VireoDomainSnapshot) doc = vireo_domain_snapshot_parse(
        args->xml_desc,
        args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0,
        &error);
    if (!doc || (!redefine && !check_name(dom, doc, &error)) ||
        (redefine && doc->name && !check_name(dom, doc, &error)))
        return qemu_fail(conn->driver, call, error);
    char *name = host->strdup(call, doc->name ? doc->name : "");
    QemuSnap *snap = redefine ? qemu_snapshot_redefine(dom, g_steal_pointer(&doc), args->flags, &error)
                              : take(dom, call, doc, args->flags, &error);
    if (!snap)
        return qemu_fail(conn->driver, call, error);
    if (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA)
        qemu_snap_unref(snap);
    else
        failed = !keep(dom, snap,
                       !redefine || (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT), &error);
    if (failed)
        return qemu_fail(conn->driver, call, error);
    if (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_HALT)
        qemu_process_kill(dom, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT);
    ret->snap.name = name;
    qemu_domain_fill_ref(dom, call, &ret->snap.dom);
    return VIREO_OK;
}
