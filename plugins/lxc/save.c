/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Saving containers with their memory, and starting them from there. */
#include "save.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "kit/file.h"
#include "ops.h"
#include "process.h"

#define CRIU_S 600

static char *managed_path(LxcDomain *dom, const char *suffix)
{
    return lxc_domain_path(dom, dom->space->save_dir, suffix);
}

/* ---- saving ------------------------------------------------------------------------------------ */

static gboolean can_be_saved(LxcDomain *dom, const LxcDef *live, GError **error)
{
    if (!live)
        return lxc_domain_need_active(dom, error);
    const char *why = lxc_doc_root(live->doc)->type == VIREO_DOMAIN_FILESYSTEM_TYPE_TEMPLATE ? "a root over a template"
                      : !lxc_doc_silent(live->doc) ? "a terminal (start it with <console type='null'/>)"
                                                   : NULL;
    if (!why)
        return TRUE;
    lxc_error(error, VIREO_ERR_OPERATION_UNSUPPORTED, "liblxc could not restore domain '%s': it has %s", dom->name, why);
    return FALSE;
}

/* Frozen from before its memory is written until it is killed, so that memory and files are of one moment, and it can go
 * on when something fails. */
static gboolean save_frozen(LxcDomain *dom, const char *path, const char *xml, gboolean running, GError **error)
{
    g_autofree char *images = g_strconcat(path, ".XXXXXX", NULL);

    if (!g_mkdtemp_full(images, 0700)) {
        lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot make a directory beside %s", path);
        return FALSE;
    }
    gboolean saved = lxc_helper(dom, CRIU_S, NULL, error, "checkpoint", images, NULL) &&
                     lxc_saved_write(path, images, xml, running, error);
    lxc_saved_remove_images(images);
    return saved;
}

static gboolean save_to(LxcDomain *dom, const char *path, const char *dxml, guint flags, GError **error)
{
    g_autoptr(LxcDef) live = lxc_domain_live(dom);

    if (!can_be_saved(dom, live, error))
        return FALSE;
    g_autofree char *own = vireo_domain_format(live->doc, VIREO_MODEL_FORMAT_SECURE | VIREO_MODEL_FORMAT_INACTIVE);
    gboolean was_running = dom->state == VIREO_DOMAIN_RUNNING;
    gboolean running = flags & VIREO_DOMAIN_SAVE_RUNNING  ? TRUE
                       : flags & VIREO_DOMAIN_SAVE_PAUSED ? FALSE
                                                          : was_running;
    if (was_running && !lxc_cgroup_freeze(dom->cgroup, TRUE, error))
        return FALSE;
    if (!save_frozen(dom, path, dxml && *dxml ? dxml : own, running, error)) {
        if (was_running)
            lxc_cgroup_freeze(dom->cgroup, FALSE, NULL);
        return FALSE;
    }
    /* One and all while they stand still: else those that are not the first to die would go on for a moment, with files
     * that are to stay as the saved memory knows them. */
    lxc_cgroup_kill(dom->cgroup);
    return TRUE;
}

int lxc_domain_save_flags(void *handle, vireo_call *call, const vireo_domain_save_flags_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!g_path_is_absolute(args->to))
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "'%s' is not an absolute path", args->to);
    if (args->dxml && *args->dxml) { /* found out now, not when it is wanted back */
        g_autoptr(LxcDef) def = lxc_def_parse(conn->driver, args->dxml, 0, &error);
        if (!def)
            return lxc_fail(conn->driver, call, error);
    }
    if (!save_to(dom, args->to, args->dxml, args->flags, &error) ||
        !lxc_process_kill(dom, VIREO_DOMAIN_SHUTOFF_SAVED, &error))
        return lxc_fail(conn->driver, call, error);
    return VIREO_OK;
}

int lxc_domain_managed_save(void *handle, vireo_call *call, const vireo_domain_managed_save_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    g_autofree char *path = managed_path(dom, ".save");
    if (!lxc_domain_need_persistent(dom, "it cannot be saved here", &error) ||
        !save_to(dom, path, NULL, args->flags, &error))
        return lxc_fail(conn->driver, call, error);
    g_mutex_lock(&dom->lock);
    dom->managed_save = TRUE;
    g_mutex_unlock(&dom->lock);
    return lxc_process_kill(dom, VIREO_DOMAIN_SHUTOFF_SAVED, &error) ? VIREO_OK : lxc_fail(conn->driver, call, error);
}

/* ---- restoring --------------------------------------------------------------------------------- */

static gboolean restore(LxcDomain *dom, LxcDef *def, LxcSaved *saved, guint flags, GError **error)
{
    g_autofree char *images = managed_path(dom, ".images"), *trouble = lxc_criu_trouble(dom->space->driver);
    gboolean running = flags & VIREO_DOMAIN_SAVE_RUNNING  ? TRUE
                       : flags & VIREO_DOMAIN_SAVE_PAUSED ? FALSE
                                                          : lxc_saved_running(saved);

    if (trouble) {
        lxc_error(error, VIREO_ERR_OPERATION_UNSUPPORTED, "domain '%s' cannot be restored: %s", dom->name, trouble);
        return FALSE;
    }
    lxc_saved_remove_images(images);
    gboolean started = lxc_saved_unpack(saved, images, error) && lxc_process_restore(dom, def, images, error);
    lxc_saved_remove_images(images);
    /* It comes back frozen, as it was. */
    if (!started || !lxc_cgroup_freeze(dom->cgroup, !running, error))
        return FALSE;
    if (running)
        return TRUE;
    lxc_domain_set_state(dom, VIREO_DOMAIN_PAUSED, VIREO_DOMAIN_PAUSED_STARTING_UP);
    lxc_domain_publish(dom);
    return TRUE;
}

int lxc_domain_restore_flags(void *handle, vireo_call *call, const vireo_domain_restore_flags_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(LxcSaved) saved = lxc_saved_open(args->from, &error);
    gboolean fresh;

    if (!saved)
        return lxc_fail(conn->driver, call, error);
    const char *xml = args->dxml && *args->dxml ? args->dxml : lxc_saved_xml(saved);
    g_autoptr(LxcDef) def = lxc_def_parse(conn->driver, xml, 0, &error);
    g_autoptr(LxcDomainJob) dom = def ? lxc_domain_admit(conn->space, def->doc, &fresh, &error) : NULL;
    if (!dom)
        return lxc_fail(conn->driver, call, error);
    if (lxc_domain_active(dom))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is already running", dom->name);
    if (restore(dom, def, saved, args->flags, &error))
        return VIREO_OK;
    if (fresh)
        lxc_domain_forget(dom);
    return lxc_fail(conn->driver, call, error);
}

/* ---- managed ----------------------------------------------------------------------------------- */

gboolean lxc_managed_is_there(LxcDomain *dom)
{
    g_autofree char *path = managed_path(dom, ".save");

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

gboolean lxc_managed_drop(LxcDomain *dom, GError **error)
{
    g_autofree char *path = managed_path(dom, ".save");

    if (!vireo_file_remove(path, error))
        return FALSE;
    g_mutex_lock(&dom->lock);
    dom->managed_save = FALSE;
    g_mutex_unlock(&dom->lock);
    return TRUE;
}

/* When it fails the image stays: nothing is lost. */
static gboolean managed_restore(LxcDomain *dom, GError **error)
{
    g_autofree char *path = managed_path(dom, ".save");
    g_autoptr(LxcSaved) saved = lxc_saved_open(path, error);
    g_autoptr(LxcDef) def =
        saved ? lxc_def_parse(dom->space->driver, lxc_saved_xml(saved), LXC_DEF_TRUSTED, error) : NULL;

    if (!def || !restore(dom, def, saved, 0, error)) {
        g_prefix_error(error, "from its managed save image (start with flag FORCE_BOOT does without): ");
        return FALSE;
    }
    lxc_managed_drop(dom, NULL);
    lxc_domain_publish(dom);
    return TRUE;
}

gboolean lxc_domain_boot(LxcDomain *dom, gboolean afresh, GError **error)
{
    g_autoptr(LxcDef) config = lxc_domain_config(dom);

    if (lxc_domain_active(dom) || !config) {
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is already running", dom->name);
        return FALSE;
    }
    if (dom->managed_save && !afresh)
        return managed_restore(dom, error);
    return (!dom->managed_save || lxc_managed_drop(dom, error)) &&
           lxc_process_start(dom, config, VIREO_DOMAIN_RUNNING_BOOTED, error);
}

int lxc_domain_managed_save_remove(void *handle, vireo_call *call, const vireo_domain_managed_save_remove_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!lxc_managed_drop(dom, &error))
        return lxc_fail(conn->driver, call, error);
    lxc_domain_publish(dom);
    return VIREO_OK;
}

/* ---- what is in a file ------------------------------------------------------------------------- */

static int tell_xml(LxcConn *conn, vireo_call *call, const char *path, guint flags, char **xml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LxcSaved) saved = lxc_saved_open(path, &error);
    g_autoptr(VireoDomain) doc = saved ? vireo_domain_parse(lxc_saved_xml(saved), 0, &error) : NULL;

    if (!doc)
        return lxc_fail(conn->driver, call, error);
    g_autofree char *text = vireo_domain_format(
        doc, VIREO_MODEL_FORMAT_INACTIVE | (flags & VIREO_DOMAIN_SAVE_IMAGE_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0));
    *xml = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}

int lxc_domain_save_image_get_xml_desc(void *handle, vireo_call *call,
                                       const vireo_domain_save_image_get_xml_desc_args *args,
                                       vireo_domain_save_image_get_xml_desc_ret *ret)
{
    return tell_xml(lxc_conn(handle), call, args->file, args->flags, &ret->xml);
}

int lxc_domain_managed_save_get_xml_desc(void *handle, vireo_call *call,
                                         const vireo_domain_managed_save_get_xml_desc_args *args,
                                         vireo_domain_managed_save_get_xml_desc_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!dom->managed_save)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' has no managed save image",
                                        dom->name);
    g_autofree char *path = managed_path(dom, ".save");
    return tell_xml(conn, call, path, args->flags, &ret->xml);
}
