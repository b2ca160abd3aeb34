/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sidefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "firmware.h"
#include "images.h"
#include "kit/file.h"
#include "run.h"
#include "save.h"
#include "tpm.h"

#define COPY_MS 600000

static gboolean fail(GError **error, const char *what, const char *path)
{
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot %s %s: %s", what, path, g_strerror(errno));
    return FALSE;
}

static gboolean sync_path(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    gboolean done = fd >= 0 && fsync(fd) == 0;

    if (!done)
        fail(error, "write", path);
    if (fd >= 0)
        close(fd);
    return done;
}

gboolean qemu_side_sync(const char *path, GError **error)
{
    return sync_path(path, 0, error);
}

static gboolean sync_parent(const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);

    return sync_path(dir, O_DIRECTORY, error);
}

/* As QEMU's user: what is in a file a guest writes to is nobody's word. */
static gboolean run_copy(QemuDomain *dom, vireo_call *call, const QemuSideCopy *copy, GError **error)
{
    const char *plain[] = { "/bin/cp", "--reflink=auto", copy->from, copy->to, NULL };
    const char *convert[] = { "/usr/bin/qemu-img", "convert", "-q", "-f", copy->from_format, "-O",
                              copy->to_format, copy->from, copy->to, NULL };
    gboolean same = g_str_equal(copy->from_format, copy->to_format) && g_str_equal(copy->to_format, "raw");
    g_autofree char *output = NULL;
    int status = qemu_run(dom->space->driver, call, same ? plain : convert, TRUE, COPY_MS, &output, error);

    if (status > 0)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "cannot copy %s to %s: %s", copy->from, copy->to,
                   output && *output ? output : "failed without a message");
    return status == 0;
}

gboolean qemu_side_copy(QemuDomain *dom, vireo_call *call, const QemuSideCopy *copy, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    QemuImage from = { (char *)copy->from, VIREO_DOMAIN_STORAGE_FORMAT_RAW, TRUE, TRUE };

    if (!qemu_engine_make_file(dom, copy->to, copy->like, error))
        return FALSE;
    gboolean done = qemu_image_give(driver, dom->uuid_text, &from, error) && run_copy(dom, call, copy, error);
    if (!qemu_domain_active(dom))
        qemu_image_take_back(driver, dom->uuid_text);
    done = done && qemu_side_sync(copy->to, error) && sync_parent(copy->to, error);
    if (!done)
        qemu_engine_unlink(dom, copy->to, NULL);
    return done;
}

gboolean qemu_side_replace(const char *path, const char *fresh, GError **error)
{
    if (rename(fresh, path) < 0 && (errno != ENOENT || access(path, F_OK) < 0))
        return fail(error, "replace", path);
    return sync_parent(path, error);
}

static void let_through(const char *dir)
{
    struct stat st;

    if (stat(dir, &st) == 0 && (st.st_mode & 0011) != 0011)
        chmod(dir, (st.st_mode & 07777) | 0011);
}

gboolean qemu_side_open_way(QemuDomain *dom, const char *path, GError **error)
{
    const char *ours = dom->space->nvram_dir;
    g_autofree char *dir = g_path_get_dirname(path);

    if (!g_str_equal(dir, ours))
        return TRUE;
    if (!vireo_file_mkdir(ours, 0711, error))
        return FALSE;
    /* Searchable, not readable: what else is there is in closed directories. */
    if (dom->space->driver->privileged)
        for (guint level = 0; level < 3; level++) {
            g_autofree char *up = level < 2 ? g_path_get_dirname(dir) : g_strdup(dir);

            let_through(dir);
            g_free(dir);
            dir = g_steal_pointer(&up);
        }
    return TRUE;
}

/* ---- in snapshots ------------------------------------------------------------------------------ */

void qemu_snap_files(const VireoDomainSnapshot *doc, QemuSnapFile files[QEMU_SNAP_FILES])
{
    files[0] = (QemuSnapFile){ "memory", doc->memory ? doc->memory->file : NULL };
    files[1] = (QemuSnapFile){ "nvram", doc->nvram ? doc->nvram->file : NULL };
    files[2] = (QemuSnapFile){ "tpm", doc->tpm ? doc->tpm->file : NULL };
}

char *qemu_snap_files_wrong(const VireoDomainSnapshot *doc)
{
    QemuSnapFile files[QEMU_SNAP_FILES];
    g_autoptr(GError) error = NULL;

    qemu_snap_files(doc, files);
    for (guint i = 0; i < QEMU_SNAP_FILES; i++)
        if (files[i].path && !g_file_test(files[i].path, G_FILE_TEST_IS_REGULAR))
            return g_strdup_printf("the %s of snapshot '%s' is not there (%s)", files[i].slot, doc->name, files[i].path);
    if (!files[0].path || qemu_save_check(files[0].path, &error))
        return NULL;
    return g_strdup_printf("the memory of snapshot '%s' is of no use: %s", doc->name, error->message);
}

void qemu_sides_clear(QemuSides *sides)
{
    for (guint i = 0; i < QEMU_SIDES; i++)
        for (guint n = 0; n < G_N_ELEMENTS(sides->texts[i]); n++)
            g_free(sides->texts[i][n]);
}

/* /nvram/vm_VARS.fd becomes /nvram/vm_VARS.NAME, or vm_VARS.NAME-2 where that is taken. */
static char *copy_name(const char *path, const char *name)
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    int stem = dot && dot > slash + 1 ? (int)(dot - path) : (int)strlen(path);
    char *copy = g_strdup_printf("%.*s.%s", stem, path, name);

    for (guint i = 2; g_file_test(copy, G_FILE_TEST_EXISTS); i++) {
        g_free(copy);
        copy = g_strdup_printf("%.*s.%s-%u", stem, path, name, i);
    }
    return copy;
}

/* Where the copy of a file goes; asked: what the client says. */
static gboolean describe(VireoDomainSnapshotSideFile **asked, const char *what, const char *path, const char *name,
                         gboolean keep, GError **error)
{
    const char *file = *asked ? (*asked)->file : NULL;

    if (file && !path) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "the domain has no %s to keep in %s", what, file);
        return FALSE;
    }
    if (file && g_file_test(file, G_FILE_TEST_EXISTS)) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "%s exists already, %s is not written over it", file, what);
        return FALSE;
    }
    if (!path || (!file && !keep))
        return TRUE;
    g_autofree char *wanted = file ? g_strdup(file) : copy_name(path, name);
    if (!*asked)
        *asked = g_new0(VireoDomainSnapshotSideFile, 1);
    g_free((*asked)->file);
    (*asked)->file = qemu_real_new_path(wanted, error);
    return (*asked)->file != NULL;
}

gboolean qemu_sides_describe(QemuDomain *dom, VireoDomainSnapshot *doc, const VireoDomain *machine,
                             gboolean keep, GError **error)
{
    g_autofree char *tpm = qemu_tpm_path(dom->space, machine);

    return describe(&doc->nvram, "NVRAM", qemu_nvram_path(machine), doc->name, keep, error) &&
           describe(&doc->tpm, "TPM", tpm, doc->name, keep, error);
}

static void add_side(QemuSides *sides, const char *slot, const char *live, const char *copy, const char *from,
                     const char *to)
{
    guint n = sides->n++;
    char **texts = sides->texts[n];

    texts[0] = g_strdup(live);
    texts[1] = g_strdup(copy);
    texts[2] = g_strconcat(live, QEMU_SIDE_NEW, NULL);
    texts[3] = g_strdup_printf("%s>%s", from, to);
    sides->files[n] = (QemuSideFile){ slot, texts[0], texts[1], texts[2], texts[3] };
}

static void add_tpm(QemuSides *sides, QemuDomain *dom, const VireoDomainSnapshot *doc, const VireoDomain *machine)
{
    g_autofree char *tpm = qemu_tpm_path(dom->space, machine);

    if (tpm && doc->tpm)
        add_side(sides, "tpm", tpm, doc->tpm->file, "raw", "raw");
}

void qemu_sides_taken(QemuSides *sides, QemuDomain *dom, const VireoDomainSnapshot *doc,
                      const VireoDomain *machine)
{
    if (doc->nvram)
        add_side(sides, "nvram", qemu_nvram_path(machine), doc->nvram->file, qemu_nvram_format(machine), "raw");
    add_tpm(sides, dom, doc, machine);
}

void qemu_sides_reverted(QemuSides *sides, QemuDomain *dom, const VireoDomainSnapshot *doc,
                         const VireoDomain *machine, gboolean reset_nvram)
{
    const VireoDomainNvram *nvram = machine->os->nvram;
    const char *path = qemu_nvram_path(machine);

    if (path && reset_nvram)
        add_side(sides, "nvram", path, nvram->template,
                 nvram->template_format == VIREO_DOMAIN_LOADER_FORMAT_QCOW2 ? "qcow2" : "raw",
                 qemu_nvram_format(machine));
    else if (path && doc->nvram)
        add_side(sides, "nvram", path, doc->nvram->file, "raw", qemu_nvram_format(machine));
    add_tpm(sides, dom, doc, machine);
}

gboolean qemu_side_step(QemuDomain *dom, vireo_call *call, const QemuStep *step, GError **error)
{
    g_auto(GStrv) formats = g_strsplit(step->tag ? step->tag : "", ">", 2);
    gboolean fresh = g_str_has_suffix(step->image, QEMU_SIDE_NEW);
    g_autofree char *like =
        fresh ? g_strndup(step->image, strlen(step->image) - strlen(QEMU_SIDE_NEW)) : g_strdup(step->other);

    if (g_strv_length(formats) != 2) {
        qemu_error(error, VIREO_ERR_INTERNAL_ERROR, "a step does not say how %s is copied", step->other);
        return FALSE;
    }
    QemuSideCopy copy = { step->other, formats[0], step->image, formats[1], like };
    unlink(step->image); /* of an attempt that was cut short */
    return qemu_side_open_way(dom, like, error) && qemu_side_copy(dom, call, &copy, error);
}
