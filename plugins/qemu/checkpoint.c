/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints: create, show, delete, redefine. */
#include "checkpoint.h"

#include <string.h>

#include "agent.h"
#include "bitmaps.h"
#include "engine.h"
#include "images.h"
#include "machine.h"
#include "ops.h"

#define FREEZE_S 30
#define SIZE_BITMAP "vireo-size"

/* ---- creating --------------------------------------------------------------------------------------- */

static gboolean check_name(QemuDomain *dom, VireoDomainCheckpoint *doc, GError **error)
{
    if (!doc->name)
        doc->name = g_strdup_printf("%" G_GINT64_FORMAT, g_get_real_time() / G_USEC_PER_SEC);
    g_autoptr(VireoDomainCheckpoint) there = qemu_checkpoint_find(dom, doc->name);
    if (there)
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "another name; or checkpoint-delete it first",
                    "domain '%s' already has a checkpoint '%s'",
                   dom->name, doc->name);
    else if (strchr(doc->name, '/') || *doc->name == '.')
        qemu_refuse(error, VIREO_ERR_XML_DETAIL,
                    "another name, or none: then it is the time",
                    "'%s' is no name for a checkpoint (no '/', no '.' in "
                   "front)", doc->name);
    else
        return TRUE;
    return FALSE;
}

static gboolean check_disk(const VireoDomain *machine, const VireoDomainCheckpoint *doc,
                           VireoDomainCheckpointDisk *entry, GError **error)
{
    const VireoDomainDisk *disk = qemu_disk_named(machine, entry->name);

    if (entry->checkpoint == VIREO_DOMAIN_CHECKPOINT_KIND_UNSET)
        entry->checkpoint = VIREO_DOMAIN_CHECKPOINT_KIND_BITMAP;
    entry->has_size = FALSE;
    if (!disk)
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "leave it out; <disks> names targets that the domain has",
                    "the domain has no disk '%s'", entry->name);
    else if (entry->checkpoint == VIREO_DOMAIN_CHECKPOINT_KIND_NO)
        return TRUE;
    else if (entry->bitmap && g_strcmp0(entry->bitmap, doc->name))
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "leave out its bitmap attribute",
                    "the bitmap of disk '%s' is called as the checkpoint is, '%s', not '%s'",
                   entry->name, doc->name, entry->bitmap);
    else if (!qemu_disk_path(disk) || disk->readonly ||
             disk->driver->type != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2)
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "checkpoint='no' for this disk",
                    "disk '%s' cannot have a checkpoint: only writable qcow2 images hold bitmaps", entry->name);
    else {
        g_free(entry->bitmap);
        entry->bitmap = g_strdup(doc->name);
        return TRUE;
    }
    return FALSE;
}

/* Every disk is listed; with a list those it does not name are left out, without one all take part. */
static void list_others(const VireoDomain *machine, VireoDomainCheckpoint *doc)
{
    gboolean listed = doc->disks && doc->disks->disks.n;

    if (!doc->disks)
        doc->disks = g_new0(VireoDomainCheckpointDisks, 1);
    VEC_EACH(machine->devices->disks, i)
    {
        const VireoDomainDisk *disk = machine->devices->disks.items[i];
        gboolean known = FALSE;

        for (guint n = 0; n < doc->disks->disks.n; n++)
            known |= g_str_equal(doc->disks->disks.items[n]->name, disk->target->dev);
        if (known)
            continue;
        VireoDomainCheckpointDisk *entry = g_new0(VireoDomainCheckpointDisk, 1);
        entry->name = g_strdup(disk->target->dev);
        entry->checkpoint = listed || disk->readonly || !qemu_disk_path(disk)
                                ? VIREO_DOMAIN_CHECKPOINT_KIND_NO
                                : VIREO_DOMAIN_CHECKPOINT_KIND_BITMAP;
        vireo_list_append(&doc->disks->disks, entry);
    }
}

/* As the domain's disks are, those it does not have last. */
static void in_order(const VireoDomain *machine, VireoDomainCheckpointDisks *disks)
{
    guint sorted = 0;

    VEC_EACH(machine->devices->disks, i)
    for (guint n = sorted; n < disks->disks.n; n++) {
        VireoDomainCheckpointDisk *entry = disks->disks.items[n];

        if (g_strcmp0(entry->name, machine->devices->disks.items[i]->target->dev))
            continue;
        disks->disks.items[n] = disks->disks.items[sorted];
        disks->disks.items[sorted++] = entry;
    }
}

gboolean qemu_checkpoint_prepare(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine,
                                 VireoDomainCheckpoint *doc, GError **error)
{
    g_autofree char *current = qemu_checkpoint_current(dom);

    if (!check_name(dom, doc, error) ||
        !qemu_checkpoint_name_free(dom, qmp, machine, doc->name, error))
        return FALSE;
    list_others(machine, doc);
    in_order(machine, doc->disks);
    for (guint i = 0; i < doc->disks->disks.n; i++)
        if (!check_disk(machine, doc, doc->disks->disks.items[i], error))
            return FALSE;
    g_clear_pointer(&doc->parent, vireo_domain_checkpoint_parent_free);
    if (current && qemu_checkpoint_continues(dom, qmp, machine, doc)) {
        doc->parent = g_new0(VireoDomainCheckpointParent, 1);
        doc->parent->name = g_steal_pointer(&current);
    }
    doc->creation_time = g_get_real_time() / G_USEC_PER_SEC;
    doc->has_creation_time = TRUE;
    vireo_domain_free(doc->domain);
    doc->domain = qemu_doc_inactive(machine);
    return TRUE;
}

static JsonObject *add_action(const char *node, const char *name)
{
    return vireo_json_new('s', "type", "block-dirty-bitmap-add", 'o', "data",
                          vireo_json_new('s', "node", node, 's', "name", name, 'b', "persistent", TRUE,
                                         0),
                          0);
}

/* Those before it of the same disk take no more notes. */
static void freeze_previous(GPtrArray *line, const QemuLayer *top, JsonArray *actions)
{
    for (guint i = 0; i < line->len; i++) {
        const char *before = ((VireoDomainCheckpoint *)line->pdata[i])->name;

        if (vireo_json_bool(qemu_bitmap_in(top, before), "recording"))
            json_array_add_object_element(
                actions, qemu_bitmap_action("block-dirty-bitmap-disable", top->node, before));
    }
}

JsonArray *qemu_checkpoint_actions(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine,
                                   const VireoDomainCheckpoint *doc, GError **error)
{
    g_autoptr(JsonArray) actions = json_array_new();
    g_autoptr(GPtrArray) line = qemu_checkpoint_line(dom, NULL);

    for (guint i = 0; i < doc->disks->disks.n; i++) {
        const char *dev = doc->disks->disks.items[i]->name;

        if (!qemu_checkpoint_has(doc, dev))
            continue;
        g_autoptr(GPtrArray) layers = qemu_bitmap_layers(qmp, qemu_disk_named(machine, dev), error);
        if (!layers)
            return NULL;
        const QemuLayer *top = layers->pdata[0];
        freeze_previous(line, top, actions);
        json_array_add_object_element(actions, add_action(top->node, doc->name));
    }
    return g_steal_pointer(&actions);
}

static gboolean agent(QemuDomain *dom, vireo_call *call, const char *command, GError **error)
{
    g_autofree char *text = g_strdup_printf("{\"execute\":\"%s\"}", command);
    g_autoptr(JsonObject) answer = qemu_agent_command(dom, call, text, FREEZE_S, error);

    return answer != NULL;
}

/* The metadata first: a checkpoint that is known and has no bitmap is refused when it is asked for,
 * one that notes changes down unknown to anybody would be missing from those before it. */
static gboolean create_live(QemuDomain *dom, vireo_call *call, VireoDomainCheckpoint *doc, guint flags,
                            GError **error)
{
    g_autoptr(VireoQmp) qmp = NULL;
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    gboolean quiesce = (flags & VIREO_DOMAIN_CHECKPOINT_CREATE_QUIESCE) != 0;

    if (!live || !(qmp = qemu_domain_monitor(dom, error)) || !qemu_blockjobs_none(dom, NULL, error) ||
        !qemu_checkpoint_prepare(dom, qmp, live->doc, doc, error))
        return FALSE;
    JsonArray *actions = qemu_checkpoint_actions(dom, qmp, live->doc, doc, error);
    if (!actions || !qemu_checkpoint_put(dom, vireo_domain_checkpoint_copy(doc), TRUE, error))
        return FALSE;
    gboolean frozen = !quiesce || agent(dom, call, "guest-fsfreeze-freeze", error);
    gboolean done = frozen && qemu_transaction(qmp, json_array_ref(actions), error);
    if (quiesce)
        agent(dom, call, "guest-fsfreeze-thaw", NULL);
    json_array_unref(actions);
    if (!done)
        qemu_checkpoint_remove(dom, doc->name, NULL);
    return done;
}

static gboolean create_off(QemuDomain *dom, vireo_call *call, VireoDomainCheckpoint *doc, guint flags,
                           GError **error)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);

    if (flags & VIREO_DOMAIN_CHECKPOINT_CREATE_QUIESCE) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "leave out QUIESCE, or start it first",
                    "flag QUIESCE cannot take effect: domain '%s' does not run", dom->name);
        return FALSE;
    }
    if (!config || !qemu_engine_mend(dom, error) ||
        !qemu_checkpoint_prepare(dom, NULL, config->doc, doc, error) ||
        !qemu_checkpoint_put(dom, vireo_domain_checkpoint_copy(doc), TRUE, error))
        return FALSE;
    if (qemu_checkpoint_make_off(dom, call, config->doc, doc, error))
        return TRUE;
    qemu_checkpoint_remove(dom, doc->name, NULL);
    return FALSE;
}

static gboolean create(QemuDomain *dom, vireo_call *call, VireoDomainCheckpoint *doc, guint flags,
                       GError **error)
{
    return qemu_domain_active(dom) ? create_live(dom, call, doc, flags, error)
                                   : create_off(dom, call, doc, flags, error);
}

/* ---- redefining --------------------------------------------------------------------------------------- */

static gboolean bitmaps_there(QemuDomain *dom, const VireoDomainCheckpoint *doc, GError **error)
{
    gboolean active = qemu_domain_active(dom);
    g_autoptr(VireoQmp) qmp = active ? qemu_domain_monitor(dom, error) : NULL;
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);

    if (active && !qmp)
        return FALSE;
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++) {
        const char *dev = doc->disks->disks.items[i]->name;
        const VireoDomainDisk *disk = qemu_disk_named(machine->doc, dev);
        gboolean found = FALSE;

        if (!qemu_checkpoint_has(doc, dev))
            continue;
        g_autoptr(GPtrArray) chain = disk ? qemu_image_chain(disk, error) : NULL;
        if (disk && !chain)
            return FALSE;
        for (guint n = 0; chain && n < chain->len; n++) {
            g_autofree char *real = qemu_real_path(((QemuImage *)chain->pdata[n])->path);
            g_autoptr(GPtrArray) bitmaps = real ? qemu_bitmaps_of(qmp, real, NULL) : NULL;

            found |= bitmaps && qemu_bitmaps_find(bitmaps, doc->name);
        }
        if (!found) {
            qemu_refuse(error, VIREO_ERR_CHECKPOINT_INCONSISTENT,
                        "leave out REDEFINE_VALIDATE",
                        "checkpoint '%s': no image of disk '%s' has its bitmap", doc->name, dev);
            return FALSE;
        }
    }
    return TRUE;
}

/* Forgotten ones in between still are. */
static void follow_current(QemuDomain *dom, VireoDomainCheckpoint *doc)
{
    g_autofree char *current = qemu_checkpoint_current(dom);

    if (!current)
        return;
    if (!doc->parent)
        doc->parent = g_new0(VireoDomainCheckpointParent, 1);
    g_free(doc->parent->name);
    doc->parent->name = g_steal_pointer(&current);
}

static gboolean redefine(QemuDomain *dom, VireoDomainCheckpoint *doc, guint flags, GError **error)
{
    const char *parent = doc->parent ? doc->parent->name : NULL;
    g_autoptr(VireoDomainCheckpoint) old = doc->name ? qemu_checkpoint_find(dom, doc->name) : NULL;
    g_autoptr(VireoDomainCheckpoint) above = parent ? qemu_checkpoint_find(dom, parent) : NULL;
    g_autofree char *current = qemu_checkpoint_current_seen(dom);

    if (!doc->name || !doc->has_creation_time || !doc->domain)
        qemu_refuse(error, VIREO_ERR_XML_DETAIL,
                    "XML as checkpoint-dumpxml prints it",
                    "a checkpoint that is redefined has its name, its "
                   "creationTime and its domain");
    else if (strchr(doc->name, '/') || *doc->name == '.')
        qemu_refuse(error, VIREO_ERR_XML_DETAIL,
                    "another name",
                    "'%s' is no name for a checkpoint", doc->name);
    else if (memcmp(doc->domain->uuid, dom->uuid, 16))
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "XML of a checkpoint of this domain",
                    "checkpoint '%s' is of another domain than '%s' (%s)",
                   doc->name, dom->name, dom->uuid_text);
    else if (parent && !above)
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "redefine the parent first",
                    "checkpoint '%s': domain '%s' has no checkpoint '%s' to "
                   "be its parent", doc->name, dom->name, parent);
    else if (old && g_strcmp0(old->parent ? old->parent->name : NULL, parent))
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "the parent that it has",
                    "checkpoint '%s' cannot get another parent", doc->name);
    else if (!(flags & VIREO_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE) ||
             bitmaps_there(dom, doc, error)) {
        gboolean latest = !old && !g_strcmp0(current, parent) &&
                          qemu_checkpoint_fate(dom, doc->name) == QEMU_CHECKPOINT_GONE;

        if (latest)
            follow_current(dom, doc);
        return qemu_checkpoint_put(dom, vireo_domain_checkpoint_copy(doc), latest, error);
    }
    return FALSE;
}

int qemu_domain_checkpoint_create_xml(void *handle, vireo_call *call,
                                      const vireo_domain_checkpoint_create_xml_args *args,
                                      vireo_domain_checkpoint_create_xml_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    gboolean again = (args->flags & VIREO_DOMAIN_CHECKPOINT_CREATE_REDEFINE) != 0;

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(VireoDomainCheckpoint) doc = vireo_domain_checkpoint_parse(args->xml_desc, 0, &error);
    if (!doc || !(again ? redefine(dom, doc, args->flags, &error)
                        : create(dom, call, doc, args->flags, &error)))
        return qemu_fail(conn->driver, call, error);
    qemu_checkpoints_publish(dom);
    ret->checkpoint.name = conn->driver->host->strdup(call, doc->name);
    qemu_domain_fill_ref(dom, call, &ret->checkpoint.dom);
    return VIREO_OK;
}

static int missing(QemuConn *conn, vireo_call *call, QemuDomain *dom, const char *name)
{
    return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_CHECKPOINT,
                                    "domain '%s' has no checkpoint '%s'", dom->name, name);
}

/* ---- showing ------------------------------------------------------------------------------------------ */

static gboolean fill_sizes(QemuDomain *dom, VireoDomainCheckpoint *doc, GError **error)
{
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    g_autoptr(QemuDef) live = qmp ? qemu_domain_live(dom) : NULL;

    for (guint i = 0; live && doc->disks && i < doc->disks->disks.n; i++) {
        VireoDomainCheckpointDisk *entry = doc->disks->disks.items[i];
        const VireoDomainDisk *disk = qemu_disk_named(live->doc, entry->name);

        if (!disk || !qemu_checkpoint_has(doc, entry->name))
            continue;
        if (!qemu_bitmap_since(dom, qmp, disk, doc->name, SIZE_BITMAP, error))
            return FALSE;
        g_autoptr(GPtrArray) layers = qemu_bitmap_layers(qmp, disk, error);
        if (!layers)
            return FALSE;
        const QemuLayer *top = layers->pdata[0];
        entry->size = (guint64)vireo_json_int(qemu_bitmap_in(top, SIZE_BITMAP), "count", 0);
        entry->has_size = TRUE;
        qemu_bitmap_drop(qmp, top->node, SIZE_BITMAP);
    }
    return live != NULL;
}

/* With the job: bitmaps are merged to find out. */
static gboolean sizes(QemuDomain *dom, VireoDomainCheckpoint *doc, GError **error)
{
    qemu_domain_take_job(dom);
    gboolean done = fill_sizes(dom, doc, error);
    qemu_domain_give_job(dom);
    return done;
}

int qemu_domain_checkpoint_get_xml_desc(void *handle, vireo_call *call,
                                        const vireo_domain_checkpoint_get_xml_desc_args *args,
                                        vireo_domain_checkpoint_get_xml_desc_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->checkpoint.dom);
    g_autoptr(VireoDomainCheckpoint) doc =
        dom ? qemu_checkpoint_find(dom, args->checkpoint.name) : NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!doc)
        return missing(conn, call, dom, args->checkpoint.name);
    if ((args->flags & VIREO_DOMAIN_CHECKPOINT_XML_SIZE) && !sizes(dom, doc, &error))
        return qemu_fail(conn->driver, call, error);
    if (args->flags & VIREO_DOMAIN_CHECKPOINT_XML_NO_DOMAIN)
        g_clear_pointer(&doc->domain, vireo_domain_free);
    g_autofree char *xml = vireo_domain_checkpoint_format(
        doc, VIREO_MODEL_FORMAT_INACTIVE |
                 (args->flags & VIREO_DOMAIN_CHECKPOINT_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0));
    ret->xml = conn->driver->host->strdup(call, xml);
    return VIREO_OK;
}

/* ---- deleting ------------------------------------------------------------------------------------------ */

/* A bitmap that stays where it cannot be written to is remembered: it says what those before need. */
static gboolean delete_one(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *name,
                           GError **error)
{
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);
    gboolean left = FALSE;

    if (!qemu_checkpoint_dissolve(dom, call, qmp, machine->doc, name, &left, error))
        return FALSE;
    return left ? qemu_checkpoint_hide(dom, name, QEMU_CHECKPOINT_DELETED, error)
                : qemu_checkpoint_remove(dom, name, error);
}

static gboolean delete_all(QemuDomain *dom, vireo_call *call, const char *name, guint flags,
                           GError **error)
{
    gboolean only = (flags & VIREO_DOMAIN_CHECKPOINT_DELETE_CHILDREN_ONLY) != 0;
    gboolean below = only || (flags & VIREO_DOMAIN_CHECKPOINT_DELETE_CHILDREN);
    gboolean metadata = (flags & VIREO_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) != 0;
    g_autoptr(GPtrArray) doomed =
        below ? qemu_checkpoint_below(dom, name) : g_ptr_array_new_with_free_func(g_free);
    g_autoptr(VireoQmp) qmp = NULL;

    if (!only)
        g_ptr_array_add(doomed, g_strdup(name));
    if (!metadata && ((qemu_domain_active(dom) && !(qmp = qemu_domain_monitor(dom, error))) ||
                      !qemu_blockjobs_none(dom, NULL, error)))
        return FALSE;
    for (guint i = 0; i < doomed->len; i++)
        if (metadata ? !qemu_checkpoint_hide(dom, doomed->pdata[i], QEMU_CHECKPOINT_FORGOTTEN, error)
                     : !delete_one(dom, call, qmp, doomed->pdata[i], error))
            return FALSE;
    return TRUE;
}

int qemu_domain_checkpoint_delete(void *handle, vireo_call *call,
                                  const vireo_domain_checkpoint_delete_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->checkpoint.dom);
    g_autoptr(VireoDomainCheckpoint) doc =
        dom ? qemu_checkpoint_find(dom, args->checkpoint.name) : NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!doc)
        return missing(conn, call, dom, args->checkpoint.name);
    gboolean done = delete_all(dom, call, doc->name, args->flags, &error);
    qemu_checkpoints_publish(dom);
    return done ? VIREO_OK : qemu_fail(conn->driver, call, error);
}
