/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stored definitions: define, undefine, autostart, rename, metadata, and the document shown to clients. */
#include "ops.h"

#include <string.h>

#include "kit/file.h"
#include "kit/metadata.h"
#include "process.h"
#include "save.h"
#include "snapshot.h"

int lxc_domain_define_xml_flags(void *handle, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                                vireo_domain_define_xml_flags_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(GError) error = NULL;
    gboolean fresh;
    g_autoptr(LxcDef) def = lxc_def_parse(conn->driver, args->xml,
                                          args->flags & VIREO_DOMAIN_DEFINE_VALIDATE ? LXC_DEF_VALIDATE : 0, &error);
    g_autoptr(LxcDomainJob) dom = def ? lxc_domain_admit(conn->space, def->doc, &fresh, &error) : NULL;

    if (!dom)
        return lxc_fail(conn->driver, call, error);
    gboolean was_persistent = dom->config != NULL;
    if (!lxc_domain_store(dom, def, &error)) {
        if (fresh)
            lxc_domain_forget(dom);
        return lxc_fail(conn->driver, call, error);
    }
    if (was_persistent)
        lxc_domain_publish_event(dom, VIREO_DOMAIN_EVENT_DEFINED, VIREO_DOMAIN_EVENT_DEFINED_UPDATED);
    else
        lxc_domain_publish(dom);
    if (fresh)
        lxc_snapshots_attach(dom);
    lxc_domain_fill_ref(dom, call, &ret->dom);
    return VIREO_OK;
}

int lxc_domain_undefine_flags(void *handle, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (dom->managed_save && !(args->flags & VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' has a managed save image: flag MANAGED_SAVE removes it", dom->name);
    /* What runs on keeps its snapshots: they are there again when it is defined again. */
    if (!lxc_domain_need_persistent(dom, "it has no definition to remove", &error) ||
        (!lxc_domain_active(dom) && !lxc_snapshots_forget(dom, args->flags, &error)) ||
        (dom->managed_save && !lxc_managed_drop(dom, &error)) || !lxc_domain_unstore(dom, &error))
        return lxc_fail(conn->driver, call, error);
    if (lxc_domain_active(dom))
        lxc_domain_publish(dom); /* runs on as a transient one */
    else
        lxc_domain_forget(dom);
    return VIREO_OK;
}

int lxc_domain_set_autostart(void *handle, vireo_call *call, const vireo_domain_set_autostart_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    g_autofree char *path = lxc_domain_path(dom, conn->space->config_dir, ".autostart");
    if (!lxc_domain_need_persistent(dom, "it cannot be started automatically", &error) ||
        (args->autostart ? !vireo_file_write(path, "", 0, 0600, &error) : !vireo_file_remove(path, &error)))
        return lxc_fail(conn->driver, call, error);
    g_mutex_lock(&dom->lock);
    dom->autostart = args->autostart != 0;
    g_mutex_unlock(&dom->lock);
    lxc_domain_publish(dom);
    return VIREO_OK;
}

/* Moves the domain to another free name in the tables. */
static gboolean move_name(LxcDomain *dom, const char *name, GError **error)
{
    LxcSpace *space = dom->space;

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
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' already exists", name);
    return !taken;
}

static gboolean rename_to(LxcDomain *dom, const char *name, GError **error)
{
    g_autofree char *old = g_strdup(dom->name);
    g_autoptr(LxcDef) config = lxc_domain_config(dom);

    if (!name || !*name || strchr(name, '/') || strchr(name, '\n')) {
        lxc_error(error, VIREO_ERR_INVALID_ARG, "'%s' is no name for a domain", name ? name : "");
        return FALSE;
    }
    if (!config || lxc_domain_active(dom)) {
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "only a stored domain that does not run can be renamed");
        return FALSE;
    }
    if (!move_name(dom, name, error))
        return FALSE;
    VireoDomain *doc = vireo_domain_copy(config->doc);
    g_free(doc->name);
    doc->name = g_strdup(name);
    g_autoptr(LxcDef) def = lxc_def_new(doc);
    if (lxc_domain_store(dom, def, error))
        return TRUE;
    move_name(dom, old, NULL);
    return FALSE;
}

int lxc_domain_rename(void *handle, vireo_call *call, const vireo_domain_rename_args *args,
                      vireo_domain_rename_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!rename_to(dom, args->new_name, &error))
        return lxc_fail(conn->driver, call, error);
    lxc_domain_publish(dom);
    ret->retcode = 0;
    return VIREO_OK;
}

int lxc_domain_get_xml_desc(void *handle, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                            vireo_domain_get_xml_desc_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDef) config = lxc_domain_config(dom), current = lxc_domain_current(dom);
    gboolean inactive = (args->flags & VIREO_DOMAIN_XML_INACTIVE) != 0;
    LxcDef *def = inactive && config ? config : current;
    if (!def)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "domain '%s' is gone", dom->name);
    g_autoptr(VireoDomain) doc = vireo_domain_copy(def->doc);
    g_mutex_lock(&dom->lock);
    if (def != config && dom->id != -1) {
        doc->id = dom->id;
        doc->has_id = TRUE;
    }
    g_mutex_unlock(&dom->lock);
    g_autofree char *xml = vireo_domain_format(
        doc, (inactive || def == config ? VIREO_MODEL_FORMAT_INACTIVE : 0) |
                 (args->flags & VIREO_DOMAIN_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0) |
                 (args->flags & VIREO_DOMAIN_XML_MIGRATABLE ? VIREO_MODEL_FORMAT_MIGRATABLE : 0));
    ret->xml = conn->driver->host->strdup(call, xml);
    return VIREO_OK;
}

/* ---- metadata ------------------------------------------------------------------ */

static gboolean set_metadata(VireoDomain *doc, const void *opaque, GError **error)
{
    return vireo_metadata_set(doc, opaque, error);
}

int lxc_domain_set_metadata(void *handle, vireo_call *call, const vireo_domain_set_metadata_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!lxc_domain_change(dom, args->flags, set_metadata, NULL, args, &error))
        return lxc_fail(conn->driver, call, error);
    vireo_domain_event_callback_metadata_change_msg message = { .type = args->type, .nsuri = args->uri };
    lxc_domain_fill_ref(dom, call, &message.dom);
    conn->driver->host->event(conn->space->published, VIREO_EVENT_domain_event_callback_metadata_change, &message);
    return VIREO_OK;
}

int lxc_domain_get_metadata(void *handle, vireo_call *call, const vireo_domain_get_metadata_args *args,
                            vireo_domain_get_metadata_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDef) def = lxc_domain_view(dom, args->flags, &error);
    if (!def)
        return lxc_fail(conn->driver, call, error);
    g_autofree char *text = vireo_metadata_get(def->doc, args->type, args->uri);
    if (!text)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_METADATA, "domain '%s' has no such metadata",
                                        dom->name);
    ret->metadata = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}
