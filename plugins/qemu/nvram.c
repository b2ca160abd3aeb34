/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file in which UEFI firmware keeps its variables, and both in QEMU's flash. */
#include "firmware.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "kit/file.h"
#include "sidefile.h"

#define FLASH_MAX (64u * 1024 * 1024)

const char *qemu_nvram_path(const VireoDomain *doc)
{
    const VireoDomainNvram *nvram = doc->os ? doc->os->nvram : NULL;

    if (!nvram)
        return NULL;
    return nvram->source && nvram->source->file ? nvram->source->file : nvram->text;
}

static const char *format_name(VireoDomainLoaderFormat format)
{
    return format == VIREO_DOMAIN_LOADER_FORMAT_QCOW2 ? "qcow2" : "raw";
}

const char *qemu_nvram_format(const VireoDomain *doc)
{
    return format_name(doc->os->nvram->format);
}

static gboolean unsupported(GError **error, const char *what)
{
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "%s", what);
    return FALSE;
}

gboolean qemu_nvram_complete(QemuSpace *space, VireoDomain *doc, GError **error)
{
    VireoDomainOs *os = doc->os;
    char uuid[37];

    if (os->loader->stateless == VIREO_TRISTATE_YES)
        return !os->nvram || unsupported(error, "stateless firmware has no <nvram>");
    if (!os->nvram)
        os->nvram = g_new0(VireoDomainNvram, 1);
    if (os->nvram->type != VIREO_DOMAIN_DISK_TYPE_UNSET && os->nvram->type != VIREO_DOMAIN_DISK_TYPE_FILE)
        return unsupported(error, "<nvram> must be a file");
    if (!qemu_nvram_path(doc)) {
        vireo_model_uuid_format(doc->uuid, uuid);
        g_free(os->nvram->text);
        os->nvram->text = g_strdup_printf("%s/%s_VARS.%s", space->nvram_dir, uuid,
                                          os->nvram->format == VIREO_DOMAIN_LOADER_FORMAT_QCOW2 ? "qcow2" : "fd");
    }
    return g_path_is_absolute(qemu_nvram_path(doc)) || unsupported(error, "the path of <nvram> must be absolute");
}

/* ---- the file --------------------------------------------------------------------------------- */

gboolean qemu_nvram_can_reset(const VireoDomain *doc, GError **error)
{
    if (!qemu_nvram_path(doc)) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   "flag RESET_NVRAM cannot take effect: domain '%s' has no NVRAM", doc->name);
        return FALSE;
    }
    if (doc->os->nvram->template)
        return TRUE;
    qemu_error(error, VIREO_ERR_OPERATION_INVALID,
               "NVRAM %s cannot be made: neither <nvram template='...'> nor a description of firmware %s says "
               "what is in it at first", qemu_nvram_path(doc), doc->os->loader->text);
    return FALSE;
}

static gboolean make_anew(QemuDomain *dom, vireo_call *call, const VireoDomain *doc, GError **error)
{
    const VireoDomainNvram *nvram = doc->os->nvram;
    const char *path = qemu_nvram_path(doc);
    g_autofree char *fresh = g_strconcat(path, QEMU_SIDE_NEW, NULL);
    QemuSideCopy copy = { nvram->template, format_name(nvram->template_format), fresh,
                          format_name(nvram->format), path };

    unlink(fresh); /* of a daemon that was killed */
    return qemu_side_copy(dom, call, &copy, error) && qemu_side_replace(path, fresh, error);
}

gboolean qemu_nvram_prepare(QemuDomain *dom, vireo_call *call, const VireoDomain *doc, gboolean fresh,
                            GError **error)
{
    const char *path = qemu_nvram_path(doc);

    if (!path && !fresh)
        return TRUE;
    if (path && !fresh && g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    return qemu_nvram_can_reset(doc, error) && qemu_side_open_way(dom, path, error) &&
           make_anew(dom, call, doc, error);
}

static char *real_path(const char *path)
{
    char *real = qemu_real_path(path);

    return real ? real : qemu_real_new_path(path, NULL);
}

static gboolean keeps_in(const QemuDef *def, const char *real)
{
    const char *path = def ? qemu_nvram_path(def->doc) : NULL;
    g_autofree char *its = path ? real_path(path) : NULL;

    return !g_strcmp0(its, real);
}

gboolean qemu_nvram_is_own(QemuDomain *dom, const VireoDomain *doc, gboolean active, GError **error)
{
    const char *path = qemu_nvram_path(doc);
    g_autofree char *real = path ? real_path(path) : NULL;
    g_autoptr(GPtrArray) all = real ? qemu_domain_all(dom->space) : NULL;

    for (guint i = 0; all && i < all->len; i++) {
        QemuDomain *other = all->pdata[i];
        g_autoptr(QemuDef) live = qemu_domain_live(other);
        g_autoptr(QemuDef) config = active ? NULL : qemu_domain_config(other);

        if (other == dom || !(keeps_in(live, real) || keeps_in(config, real)))
            continue;
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   "domain '%s' %s its firmware's variables in NVRAM %s, and each would overwrite the other's: "
                   "copy it and name the copy in <nvram> of domain '%s', or leave <nvram> out to have one made",
                   other->name, active ? "runs and keeps" : "keeps", path, doc->name);
        return FALSE;
    }
    return TRUE;
}

GBytes *qemu_nvram_fresh(QemuDomain *dom, vireo_call *call, const VireoDomain *doc, GError **error)
{
    const VireoDomainNvram *nvram = doc->os->nvram;
    g_autofree char *path = g_strconcat(qemu_nvram_path(doc), ".vireo-flash", NULL);
    QemuSideCopy copy = { nvram->template, format_name(nvram->template_format), path, "raw", NULL };
    char *data;
    gsize size;

    unlink(path); /* of a daemon that was killed */
    if (!qemu_side_copy(dom, call, &copy, error))
        return NULL;
    gboolean read = vireo_file_read(path, FLASH_MAX, &data, &size, error);
    unlink(path);
    return read ? g_bytes_new_take(data, size) : NULL;
}

gboolean qemu_nvram_undefine(QemuDomain *dom, guint flags, QemuTell *tell, GError **error)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    const char *path = config ? qemu_nvram_path(config->doc) : NULL;

    if (!path || (flags & VIREO_DOMAIN_UNDEFINE_KEEP_NVRAM) || !g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    if (!(flags & VIREO_DOMAIN_UNDEFINE_NVRAM)) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   "domain '%s' has NVRAM (%s): flag NVRAM removes it, KEEP_NVRAM leaves it", dom->name, path);
        return FALSE;
    }
    if (!qemu_nvram_is_own(dom, config->doc, FALSE, error)) {
        g_prefix_error(error, "the NVRAM is not removed (flag KEEP_NVRAM leaves it): ");
        return FALSE;
    }
    if (tell)
        qemu_tell_step(tell, "unlink", VIREO_PLAN_REMOVES, path, NULL, 0, "remove the NVRAM %s", path);
    if (tell || unlink(path) == 0 || errno == ENOENT)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot remove %s: %s", path, g_strerror(errno));
    return FALSE;
}

/* ---- the command line ------------------------------------------------------------------------- */

static gboolean in_flash(const VireoDomain *doc)
{
    return doc->os->loader && doc->os->loader->type == VIREO_DOMAIN_LOADER_TYPE_PFLASH;
}

void qemu_firmware_machine(const VireoDomain *doc, GString *options)
{
    if (doc->features && doc->features->smm && doc->features->smm->state != VIREO_TRISTATE_UNSET)
        vireo_options_switch(options, "smm", doc->features->smm->state == VIREO_TRISTATE_YES);
    if (in_flash(doc))
        vireo_options_add(options, "pflash0", "pflash0");
    if (in_flash(doc) && qemu_nvram_path(doc))
        vireo_options_add(options, "pflash1", QEMU_NVRAM_NODE);
}

static gboolean flash(QemuLaunch *launch, const char *name, const char *path, VireoDomainLoaderFormat format,
                      gboolean readonly, GError **error)
{
    const QemuImage image = { (char *)path, VIREO_DOMAIN_STORAGE_FORMAT_RAW, readonly, TRUE };
    g_autofree char *file = g_strconcat(name, "-file", NULL);

    if (!launch->preview &&
        !qemu_image_give(launch->dom->space->driver, launch->dom->uuid_text, &image, error)) {
        g_prefix_error(error, "%s: ", name);
        return FALSE;
    }
    qemu_launch_json(launch, "-blockdev",
                     vireo_json_new('s', "driver", "file", 's', "filename", path, 's', "node-name", file, 'b',
                                    "read-only", readonly, 0));
    qemu_launch_json(launch, "-blockdev",
                     vireo_json_new('s', "driver", format_name(format), 's', "file", file, 's', "node-name", name,
                                    'b', "read-only", readonly, 0));
    return TRUE;
}

gboolean qemu_command_firmware(QemuLaunch *launch, GError **error)
{
    const VireoDomainOs *os = launch->doc->os;
    const char *path = qemu_nvram_path(launch->doc);

    if (os->loader->secure == VIREO_TRISTATE_YES)
        vireo_argv_add(launch->argv, "-global", "driver=cfi.pflash01,property=secure,value=on", NULL);
    return flash(launch, "pflash0", os->loader->text, os->loader->format, TRUE, error) &&
           (!path || flash(launch, QEMU_NVRAM_NODE, path, os->nvram->format, FALSE, error));
}
