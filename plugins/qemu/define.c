/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stored definitions: define, undefine, autostart, rename, and the document shown to clients. */
#include "domain.h"
#include "ops.h"

#include <string.h>
#include <unistd.h>

#include "blockjob.h"
#include "checkpoint.h"
#include "coalesce.h"
#include "engine.h"
#include "firmware.h"
#include "kit/file.h"
#include "launch.h"
#include "snapshot.h"
#include "tell.h"
#include "tpm.h"

/* The existing domain a document is about, with its job held; NULL without error: none yet. */
static QemuDomain *existing(QemuSpace *space, const VireoDomain *doc, GError **error)
{
    QemuDomain *dom = qemu_domain_by_uuid(space, doc->uuid);
    char text[37];

    if (!dom) {
        g_autoptr(QemuDomain) same_name = qemu_domain_by_name(space, doc->name);

        if (!same_name)
            return NULL;
        qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                   "domain '%s' already exists with uuid %s", doc->name, same_name->uuid_text);
        return NULL;
    }
    qemu_domain_take_job(dom);
    if (dom->gone) {
        qemu_domain_end(dom);
        return existing(space, doc, error);
    }
    if (g_str_equal(dom->name, doc->name))
        return dom;
    vireo_model_uuid_format(doc->uuid, text);
    qemu_error(error, VIREO_ERR_OPERATION_FAILED, "domain '%s' already has uuid %s", dom->name,
               text);
    qemu_domain_end(dom);
    return NULL;
}

QemuDomain *qemu_domain_admit(QemuSpace *space, const VireoDomain *doc, gboolean *fresh,
                              GError **error)
{
    g_autoptr(GError) failure = NULL;
    QemuDomain *dom = existing(space, doc, &failure);

    *fresh = FALSE;
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (dom)
        return dom;
    dom = qemu_domain_new(space, doc->uuid, doc->name);
    g_mutex_lock(&dom->job);
    if (!qemu_domain_register(dom, error)) {
        qemu_domain_end(dom);
        return NULL;
    }
    *fresh = TRUE;
    return dom;
}

int qemu_domain_define_xml_flags(void *handle, vireo_call *call,
                                 const vireo_domain_define_xml_flags_args *args,
                                 vireo_domain_define_xml_flags_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    gboolean fresh, failed;
    g_autoptr(QemuDef) def = qemu_def_parse(
        conn->space, args->xml,
        args->flags & VIREO_DOMAIN_DEFINE_VALIDATE ? QEMU_DEF_VALIDATE : 0, &error);

    if (!def)
        return qemu_fail(conn->driver, call, error);
    g_autoptr(QemuDomainJob) dom = qemu_domain_admit(conn->space, def->doc, &fresh, &error);
    if (!dom)
        return qemu_fail(conn->driver, call, error);
    gboolean was_persistent = dom->config != NULL;
    failed = !qemu_nvram_is_own(dom, def->doc, FALSE, &error) || !qemu_domain_store(dom, def, &error);
    if (failed && fresh)
        qemu_domain_forget(dom);
    if (failed)
        return qemu_fail(conn->driver, call, error);
    if (was_persistent)
        qemu_domain_publish_event(dom, VIREO_DOMAIN_EVENT_DEFINED,
                                  VIREO_DOMAIN_EVENT_DEFINED_UPDATED);
    else
        qemu_domain_publish(dom);
    if (fresh)
        qemu_coalesce_rest(dom); /* what one of its uuid left */
    qemu_domain_fill_ref(dom, call, &ret->dom);
    return VIREO_OK;
}

static gboolean forget_all(QemuDomain *dom, GError **error)
{
    qemu_reap_quick(dom, NULL);
    if (!qemu_tree_remove_all(dom, error) || !qemu_checkpoints_remove_all(dom, error))
        return FALSE;
    qemu_files_leave(dom);
    return TRUE;
}

/* The counterpart of what undefine does when nothing is in the way. */
static void tell_undefine(QemuTell *tell, QemuDomain *dom, const char *saved)
{
    g_autoptr(GPtrArray) snaps = qemu_tree_all(dom->tree);
    gboolean active = qemu_domain_active(dom);
    guint checkpoints = active ? 0 : qemu_checkpoints_count(dom);

    if (dom->managed_save)
        qemu_tell_step(tell, "unlink", VIREO_PLAN_REMOVES, saved, NULL, 0,
                       "remove the managed save image %s", saved);
    for (guint i = 0; !active && i < snaps->len; i++)
        qemu_tell_forget(tell, ((QemuSnap *)snaps->pdata[i])->doc,
                         "undefining forgets snapshots, their files stay");
    if (checkpoints)
        qemu_tell_step(tell, "forget", VIREO_PLAN_RECORDS, NULL, NULL, 0, "forget %u checkpoints",
                       checkpoints);
    qemu_tell_step(tell, "undefine", VIREO_PLAN_RECORDS, NULL, NULL, 0,
                   active ? "forget the stored definition; the guest runs on until it ends"
                          : "forget the domain");
}

static gboolean undefine(QemuDomain *dom, guint flags, QemuTell *tell, GError **error)
{
    g_autofree char *saved = qemu_domain_path(dom, dom->space->save_dir, ".save");
    /* What goes on running keeps its snapshots until it ends. */
    gboolean active = qemu_domain_active(dom);
    guint snapshots = active ? 0 : qemu_tree_count(dom->tree);

    if (!qemu_domain_persistent(dom, "it has no definition to remove", error))
        return FALSE;
    if (snapshots && !(flags & VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "flag SNAPSHOTS_METADATA, or snapshot-delete them first",
                    "domain '%s' has %u snapshots: their metadata would be lost", dom->name, snapshots);
        return FALSE;
    }
    guint checkpoints = active ? 0 : qemu_checkpoints_count(dom);
    if (checkpoints && !(flags & VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "flag CHECKPOINTS_METADATA, or checkpoint-delete them first",
                    "domain '%s' has %u checkpoints: their metadata would be lost", dom->name, checkpoints);
        return FALSE;
    }
    if (dom->managed_save && !(flags & VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE)) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "flag MANAGED_SAVE, or managedsave-remove first",
                    "domain '%s' has a managed save image",
                   dom->name);
        return FALSE;
    }
    if (!qemu_nvram_undefine(dom, flags, tell, error) || !qemu_tpm_undefine(dom, flags, tell, error))
        return FALSE;
    if (tell) {
        tell_undefine(tell, dom, saved);
        return TRUE;
    }
    if (dom->managed_save && !vireo_file_remove(saved, error))
        return FALSE;
    return (active || forget_all(dom, error)) && qemu_domain_unstore(dom, error);
}

int qemu_undefine(QemuConn *conn, vireo_call *call, const vireo_domain_undefine_flags_args *args,
                  vireo_plan *told)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    gboolean was_active = qemu_domain_active(dom);
    g_autoptr(QemuTell) tell = told ? qemu_tell_new(dom, call) : NULL;
    if (!undefine(dom, args->flags, tell, &error))
        return qemu_fail(conn->driver, call, error);
    if (tell) {
        qemu_tell_fill(tell, told);
        return VIREO_OK;
    }
    g_mutex_lock(&dom->lock);
    dom->managed_save = FALSE;
    g_mutex_unlock(&dom->lock);
    if (!qemu_domain_active(dom)) {
        if (was_active)
            forget_all(dom, NULL); /* it has ended just now */
        qemu_domain_forget(dom);
        return VIREO_OK;
    }
    qemu_domain_publish(dom); /* runs on as a transient one */
    qemu_tree_publish(dom);
    qemu_checkpoints_publish(dom);
    return VIREO_OK;
}

int qemu_domain_set_autostart(void *handle, vireo_call *call,
                              const vireo_domain_set_autostart_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_persistent(dom, "it cannot be started automatically", &error))
        return qemu_fail(conn->driver, call, error);
    g_autofree char *path = qemu_domain_path(dom, conn->space->config_dir, ".autostart");
    if (args->autostart ? !vireo_file_write(path, "", 0, 0600, &error)
                        : !vireo_file_remove(path, &error))
        return qemu_fail(conn->driver, call, error);
    g_mutex_lock(&dom->lock);
    dom->autostart = args->autostart != 0;
    g_mutex_unlock(&dom->lock);
    qemu_domain_publish(dom);
    return VIREO_OK;
}

static gboolean rename_domain(QemuDomain *dom, const char *name, GError **error)
{
    g_autofree char *old = g_strdup(dom->name);
    g_autoptr(QemuDef) config = qemu_domain_config(dom);

    if (!name || !*name || strchr(name, '/')) {
        qemu_error(error, VIREO_ERR_INVALID_ARG, "'%s' is no name for a domain", name ? name : "");
        return FALSE;
    }
    if (!config || qemu_domain_active(dom)) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   "only a stored domain that does not run can be renamed");
        return FALSE;
    }
    if (!qemu_domain_renamed(dom, name, error))
        return FALSE;
    VireoDomain *doc = vireo_domain_copy(config->doc);
    g_free(doc->name);
    doc->name = g_strdup(name);
    g_autoptr(QemuDef) def = qemu_def_new(doc);
    if (qemu_domain_store(dom, def, error))
        return TRUE;
    qemu_domain_renamed(dom, old, NULL);
    return FALSE;
}

int qemu_domain_rename(void *handle, vireo_call *call, const vireo_domain_rename_args *args,
                       vireo_domain_rename_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!rename_domain(dom, args->new_name, &error))
        return qemu_fail(conn->driver, call, error);
    qemu_domain_publish(dom);
    qemu_tree_publish(dom);
    ret->retcode = 0;
    return VIREO_OK;
}

/* ---- documents ----------------------------------------------------------------- */

int qemu_domain_get_xml_desc(void *handle, vireo_call *call,
                             const vireo_domain_get_xml_desc_args *args,
                             vireo_domain_get_xml_desc_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    gboolean inactive = (args->flags & VIREO_DOMAIN_XML_INACTIVE) != 0;
    guint format = 0;

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    QemuDef *def = live && !(inactive && config) ? live : config;
    if (!def)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "domain '%s' is gone",
                                        dom->name);
    if (inactive || def != live)
        format |= VIREO_MODEL_FORMAT_INACTIVE;
    if (args->flags & VIREO_DOMAIN_XML_SECURE)
        format |= VIREO_MODEL_FORMAT_SECURE;
    if (args->flags & VIREO_DOMAIN_XML_MIGRATABLE)
        format |= VIREO_MODEL_FORMAT_MIGRATABLE;
    if (def != live) {
        g_autofree char *xml = vireo_domain_format(def->doc, format);
        ret->xml = conn->driver->host->strdup(call, xml);
        return VIREO_OK;
    }
    /* What changes while it runs is not kept in the definition. */
    g_autoptr(VireoDomain) doc = vireo_domain_copy(live->doc);
    g_mutex_lock(&dom->lock);
    if (dom->balloon_kib && !inactive)
        doc->current_memory = dom->balloon_kib;
    g_mutex_unlock(&dom->lock);
    if (!inactive)
        qemu_blockjobs_show(dom, doc);
    g_autofree char *xml = vireo_domain_format(doc, format);
    ret->xml = conn->driver->host->strdup(call, xml);
    return VIREO_OK;
}

int qemu_connect_domain_xml_to_native(void *handle, vireo_call *call,
                                      const vireo_connect_domain_xml_to_native_args *args,
                                      vireo_connect_domain_xml_to_native_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;

    if (g_strcmp0(args->nativeFormat, "qemu-argv"))
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG,
                                        "unknown native format '%s' (qemu-argv)",
                                        args->nativeFormat);
    g_autoptr(QemuDef) def = qemu_def_parse(conn->space, args->domainXml, 0, &error);
    if (!def)
        return qemu_fail(conn->driver, call, error);
    g_autoptr(VireoDomain) doc = vireo_domain_copy(def->doc);
    g_autoptr(QemuDomain) dom = qemu_domain_new(conn->space, doc->uuid, doc->name);
    g_autoptr(QemuLaunch) launch = qemu_launch_new(dom, doc);
    launch->preview = TRUE;
    launch->qmp_path = "/nonexistent";
    qemu_alias_assign(doc);
    if (!qemu_command_build(launch, &error))
        return qemu_fail(conn->driver, call, error);
    g_autofree char *line = vireo_argv_show(launch->argv);
    ret->nativeConfig = conn->driver->host->strdup(call, line);
    return VIREO_OK;
}
