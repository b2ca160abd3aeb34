/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Steps of plans on files, with qemu-img, which runs as QEMU's user. */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bitmaps.h"
#include "images.h"
#include "remote.h"
#include "run.h"
#include "sidefile.h"

#define IMAGE_TOOL "/usr/bin/qemu-img"
#define DEPTH_MAX 200
#define COPY_TOOL "/bin/cp"
#define ROOM_ENOUGH (1024ull * 1024 * 1024) /* with more than that free, that is not what was in the way */
#define TOOL_MS (24 * 3600 * 1000) /* copying may take its time; it can be cancelled */

/* In bytes; as much as there can be where nobody can tell. */
static guint64 room_in(const char *dir)
{
    struct statvfs fs;

    return statvfs(dir, &fs) == 0 ? (guint64)fs.f_bavail * fs.f_frsize : G_MAXUINT64;
}

void qemu_error_add_room(GError **error, const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    guint64 room = room_in(dir);

    if (!error || !*error || g_str_has_suffix((*error)->message, " KiB left)") || room >= ROOM_ENOUGH)
        return;
    char *message =
        g_strdup_printf("%s (%s has only %" G_GUINT64_FORMAT " KiB left)", (*error)->message, dir, room / 1024);
    g_free((*error)->message);
    (*error)->message = message;
}

/* yields: may be cut short for others who want the domain. */
static gboolean run_tool(QemuDomain *dom, gboolean yields, vireo_call *call, const char *const *argv,
                         const char *image, GError **error)
{
    g_autofree char *output = NULL;
    int status = yields ? qemu_run_for(dom, call, argv, TOOL_MS, &output, error)
                        : qemu_run(dom->space->driver, call, argv, TRUE, TOOL_MS, &output, error);

    if (status > 0)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s on %s: %s", argv[0], image,
                   output && *output ? output : "failed without a message");
    if (status != 0)
        qemu_error_add_room(error, image);
    return status == 0;
}

/* ---- lending ---------------------------------------------------------------------- */

/* A file and what it is based on, for QEMU's user. Only the first is written to. */
static gboolean lend(QemuDomain *dom, const char *path, gboolean write, GError **error)
{
    g_autoptr(GHashTable) known = NULL;
    g_autofree char *at = g_strdup(path);
    gboolean first = TRUE;

    for (guint depth = 0; at; depth++) {
        if (!first && !known)
            known = qemu_known_paths(dom);
        QemuImage image = { at, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2, !(first && write),
                            first || g_hash_table_contains(known, at) };

        if (depth > DEPTH_MAX) {
            qemu_error(error, VIREO_ERR_OPERATION_FAILED, "more than %d images are based on each other (%s)", DEPTH_MAX,
                       path);
            return FALSE;
        }
        if (!qemu_image_give(dom->space->driver, dom->uuid_text, &image, error))
            return FALSE;
        char *next = qemu_engine_backing(at);
        g_free(at);
        at = next;
        first = FALSE;
    }
    return TRUE;
}

/* What a running guest has stays with it. */
static void take_back(QemuDomain *dom)
{
    if (!qemu_domain_active(dom))
        qemu_image_take_back(dom->space->driver, dom->uuid_text);
}

gboolean qemu_engine_image_tool(QemuDomain *dom, gboolean yields, vireo_call *call, const char *image,
                                const char *const *argv, GError **error)
{
    if (!lend(dom, image, TRUE, error)) {
        take_back(dom);
        return FALSE;
    }
    gboolean done = run_tool(dom, yields, call, argv, image, error);
    if (!done)
        qemu_lost_note(dom, image);
    take_back(dom);
    return done;
}

gboolean qemu_engine_recount(QemuDomain *dom, gboolean yields, vireo_call *call, const char *image, GError **error)
{
    const char *look[] = { IMAGE_TOOL, "check", "-q", "-f", "qcow2", image, NULL };
    const char *mend[] = { IMAGE_TOOL, "check", "-q", "-r", "leaks", "-f", "qcow2", image, NULL };
    /* qemu-img does not say that it could not write the rest as it ended: so it is looked at once more. */
    gboolean right = lend(dom, image, TRUE, error) &&
                     (run_tool(dom, yields, call, look, image, NULL) ||
                      (run_tool(dom, yields, call, mend, image, error) && run_tool(dom, yields, call, look, image, error)));

    take_back(dom);
    return right;
}

/* ---- files ------------------------------------------------------------------------ */

gboolean qemu_engine_make_file(QemuDomain *dom, const char *path, const char *like, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    QemuImage image = { (char *)path, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2, FALSE, TRUE };
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    uid_t uid = 0;
    gid_t gid = 0;
    mode_t mode = 0600;

    if (fd < 0) {
        qemu_error(error, errno == EEXIST ? VIREO_ERR_CONFIG_UNSUPPORTED : VIREO_ERR_SYSTEM_ERROR,
                   "cannot create %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    gboolean made = TRUE;
    if (driver->privileged && like && qemu_is_remote(like)) /* where nobody of this host owns it */
        made = fchown(fd, driver->uid, driver->gid) == 0;
    else if (driver->privileged && like && qemu_image_first_owner(driver, like, &uid, &gid, &mode))
        made = fchown(fd, uid, gid) == 0 && fchmod(fd, mode & 0666) == 0;
    close(fd);
    if (!made)
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot give %s to its owner: %s", path,
                   g_strerror(errno));
    if (made && qemu_image_give(driver, dom->uuid_text, &image, error))
        return TRUE;
    unlink(path);
    return FALSE;
}

static const char *format_name(const QemuImageInfo *info)
{
    return info->is_qcow2 ? "qcow2" : "raw";
}

static const char *said_in(const QemuDef *def, const VireoDomain *doc, const char *path)
{
    doc = def ? def->doc : doc;
    for (guint i = 0; doc && i < doc->devices->disks.n; i++) {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        g_autofree char *real = qemu_real_path(qemu_disk_path(disk));

        if (!g_strcmp0(real, path))
            return vireo_domain_storage_format_to_string(disk->driver->type);
    }
    return NULL;
}

/* The format of an image that the definition or a snapshot names; NULL: none of them does. */
static const char *said_of(QemuDomain *dom, const char *path)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom), config = qemu_domain_config(dom);
    const char *said = said_in(live, NULL, path);

    if (!said)
        said = said_in(config, NULL, path);
    g_autoptr(GPtrArray) snaps = said ? NULL : qemu_tree_all(dom->tree);
    for (guint i = 0; snaps && !said && i < snaps->len; i++)
        said = said_in(NULL, ((QemuSnap *)snaps->pdata[i])->doc->domain, path);
    return said;
}

/* One of those that image is based on, as the one that names it says. */
static QemuImageInfo *inspect_below(const char *image, const char *below, GError **error)
{
    g_autofree char *at = g_strdup(image);

    for (guint depth = 0; at && depth < DEPTH_MAX; depth++) {
        g_autoptr(QemuImageInfo) info = qemu_image_inspect(at, FALSE, NULL);
        char *next = qemu_engine_backing(at);

        g_free(at);
        at = next;
        if (at && g_str_equal(at, below))
            return qemu_image_inspect_as(below, info ? info->backing_format : NULL, FALSE, error);
    }
    return qemu_image_inspect(below, FALSE, error);
}

gboolean qemu_engine_make_overlay(QemuDomain *dom, vireo_call *call, const char *path,
                                  const char *backing, GError **error)
{
    g_autofree char *real = qemu_real_path(backing);
    g_autoptr(QemuImageInfo) info =
        qemu_image_inspect_as(backing, said_of(dom, real ? real : backing), FALSE, error);

    if (!info || !qemu_engine_make_file(dom, path, backing, error))
        return FALSE;
    g_autofree char *size =
        g_strdup_printf("%" G_GUINT64_FORMAT, (info->virtual_size + 511) / 512 * 512);
    const char *argv[] = { IMAGE_TOOL, "create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F",
                           format_name(info), path, size, NULL };
    gboolean made = run_tool(dom, FALSE, call, argv, path, error);
    take_back(dom);
    if (!made)
        qemu_engine_unlink(dom, path, NULL);
    return made;
}

gboolean qemu_engine_remove(QemuDomain *dom, const char *path, GError **error)
{
    qemu_image_take_back_one(dom->space->driver, dom->uuid_text, path);
    if (unlink(path) == 0 || errno == ENOENT)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot remove %s: %s", path, g_strerror(errno));
    return FALSE;
}

gboolean qemu_engine_unlink(QemuDomain *dom, const char *path, GError **error)
{
    return qemu_engine_remove(dom, path, error) && qemu_files_gone(dom, &path, 1, error);
}

/* ---- steps ------------------------------------------------------------------------ */

char *qemu_engine_backing(const char *path)
{
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(path, FALSE, NULL);
    g_autofree char *full = info && info->backing ? qemu_image_below(path, info, NULL, NULL) : NULL;

    return qemu_real_path(full);
}

static gboolean extract(QemuDomain *dom, vireo_call *call, const QemuStep *step, GError **error)
{
    g_autofree char *backing = qemu_engine_backing(step->other);
    g_autoptr(QemuImageInfo) below = backing ? inspect_below(step->other, backing, error) : NULL;
    g_auto(GStrv) parts = g_strsplit(step->tag, ",", -1);
    g_autofree char *name = g_strjoinv(",,", parts), *tag = g_strconcat("snapshot.name=", name, NULL);
    const char *argv[16] = { IMAGE_TOOL, "convert", "-q", "-U", "-l", tag, "-f", "qcow2", "-O",
                             "qcow2" };
    guint n = 10;

    if (backing && !below)
        return FALSE;
    if (backing) {
        argv[n++] = "-B";
        argv[n++] = backing;
        argv[n++] = "-F";
        argv[n++] = format_name(below);
    }
    argv[n++] = step->other;
    g_autofree const char **all = g_new0(const char *, n + 2);
    memcpy(all, argv, n * sizeof *argv);
    all[n] = step->image;
    return qemu_engine_make_file(dom, step->image, step->other, error) &&
           lend(dom, step->other, FALSE, error) && run_tool(dom, FALSE, call, all, step->image, error);
}

/* Where room is short. */
static gboolean is_sound(QemuDomain *dom, vireo_call *call, const char *image, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(image);

    return room_in(dir) >= ROOM_ENOUGH || qemu_engine_recount(dom, FALSE, call, image, error);
}

/* The whole file with what is inside; then only what was asked for is left in it. */
static gboolean clone_image(QemuDomain *dom, vireo_call *call, const QemuStep *step, GError **error)
{
    const char *copy[] = { COPY_TOOL, "--sparse=always", "--reflink=auto", step->other, step->image, NULL };
    const char *fetch[] = { IMAGE_TOOL, "convert", "-q", "-U", "-f", "raw", "-O", "raw", step->other, step->image,
                            NULL };
    const char *const *argv = qemu_is_remote(step->other) ? fetch : copy;

    if (!qemu_engine_make_file(dom, step->image, step->other, error) ||
        !lend(dom, step->other, FALSE, error) || !run_tool(dom, FALSE, call, argv, step->image, error) ||
        !qemu_bitmaps_drop(dom, call, NULL, step->image, error) ||
        !qemu_snapshot_image_do(dom, call, step->image, 'a', step->tag, error))
        return FALSE;
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(step->image, TRUE, error);
    for (guint i = 0; info && i < info->snapshots->len; i++) {
        const char *name = ((QemuImageSnapshot *)info->snapshots->pdata[i])->name;

        if (!g_str_equal(name, step->tag) &&
            !qemu_snapshot_image_do(dom, call, step->image, 'd', name, error))
            return FALSE;
    }
    return info && is_sound(dom, call, step->image, error);
}

static gboolean make(QemuDomain *dom, vireo_call *call, const QemuStep *step, GError **error)
{
    gboolean made = step->kind == QEMU_STEP_CLONE ? clone_image(dom, call, step, error)
                                                  : extract(dom, call, step, error);

    take_back(dom);
    if (!made)
        qemu_engine_unlink(dom, step->image, NULL);
    return made;
}

/* ---- merging: qemu-img, like QEMU, writes that an image does not need those below any more before
 * all that it took from them is on disk. Noted down before, it is set right after an accident: the image
 * reads the same on top of what it was based on. --------------------------------------------------- */

static char *pull_key(QemuDomain *dom)
{
    return g_strdup_printf("pull/%s/%s", dom->space->key, dom->uuid_text);
}

static gboolean note_pull(QemuDomain *dom, const char *image, const char *aside, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *key = pull_key(dom), *backing = qemu_engine_backing(image);
    g_autoptr(QemuImageInfo) info = backing ? inspect_below(image, backing, error) : NULL;

    if (!info)
        return !backing;
    g_autoptr(JsonObject) object =
        vireo_json_new('s', "image", image, 's', "backing", backing, 's', "format", format_name(info),
                       's', "aside", aside, 0);
    g_autofree char *text = vireo_json_text(object);
    if (driver->host->state_save(driver->core, key, text, strlen(text)) == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot note down what happens to %s: %s", image,
               g_strerror(errno));
    return FALSE;
}

static void forget_pull(QemuDomain *dom)
{
    g_autofree char *key = pull_key(dom);

    dom->space->driver->host->state_drop(dom->space->driver->core, key);
}

static void read_pull(const char *key, const void *data, size_t len, void *opaque)
{
    JsonObject **noted = opaque;

    if (!*noted)
        *noted = vireo_json_parse(data, (gssize)len, NULL);
}

gboolean qemu_engine_mend(QemuDomain *dom, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *key = pull_key(dom);
    g_autoptr(JsonObject) noted = NULL;

    driver->host->state_each(driver->core, key, read_pull, &noted);
    const char *image = vireo_json_string(noted, "image"), *backing = vireo_json_string(noted, "backing");
    if (!image || !backing || !qemu_image_is_there(image)) {
        if (vireo_json_string(noted, "aside"))
            qemu_engine_unlink(dom, vireo_json_string(noted, "aside"), NULL);
        if (noted)
            forget_pull(dom);
        return TRUE;
    }
    g_autofree char *now = qemu_engine_backing(image);
    const char *argv[] = { IMAGE_TOOL, "rebase", "-q", "-u", "-f", "qcow2", "-b", backing, "-F",
                           vireo_json_string(noted, "format"), image, NULL };
    gboolean mended = g_strcmp0(now, backing) == 0 || !qemu_image_is_there(backing) ||
                      qemu_engine_image_tool(dom, FALSE, NULL, image, argv, error);
    mended = mended && qemu_bitmaps_put_back(dom, image, vireo_json_string(noted, "aside"), error);
    if (mended) {
        qemu_lost_note(dom, image);
        forget_pull(dom);
    }
    return mended;
}

static gboolean pull(QemuDomain *dom, vireo_call *call, const QemuStep *step, GError **error)
{
    g_autoptr(QemuImageInfo) info =
        step->other ? inspect_below(step->image, step->other, error) : NULL;
    const char *argv[] = { IMAGE_TOOL, "rebase", "-q", "-f", "qcow2", "-b",
                           step->other ? step->other : "", "-F", info ? format_name(info) : NULL,
                           step->image, NULL };

    if (step->other && !info)
        return FALSE;
    if (!info) { /* no -F */
        argv[7] = step->image;
        argv[8] = NULL;
    }
    if (!qemu_engine_mend(dom, error))
        return FALSE;
    qemu_bitmaps_raise(dom, call, NULL, step->image, step->other);
    g_autofree char *aside = g_strconcat(step->image, ".bitmaps", NULL);
    gboolean done = note_pull(dom, step->image, aside, error) &&
                    qemu_bitmaps_set_aside(dom, call, step->image, aside, error) &&
                    lend(dom, step->image, TRUE, error) &&
                    run_tool(dom, TRUE, call, argv, step->image, error);
    take_back(dom);
    done = done && qemu_bitmaps_put_back(dom, step->image, aside, error);
    if (done)
        forget_pull(dom);
    else
        qemu_engine_mend(dom, NULL);
    return done;
}

static gboolean holds(const char *path, const char *tag)
{
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(path, TRUE, NULL);

    return info && qemu_image_info_snapshot(info, tag);
}

/* An internal snapshot: made, applied or removed; c, a or d. */
static gboolean point(QemuDomain *dom, vireo_call *call, const QemuStep *step, char what,
                      GError **error)
{
    if (what == 'd' && !holds(step->image, step->tag))
        return TRUE;
    gboolean done = (what != 'a' || qemu_bitmaps_drop(dom, call, NULL, step->image, error)) &&
                    lend(dom, step->image, TRUE, error) &&
                    qemu_snapshot_image_do(dom, call, step->image, what, step->tag, error);
    take_back(dom);
    return done;
}

/* Cut short, it is begun again: the upper image keeps what it has. */
static gboolean commit(QemuDomain *dom, vireo_call *call, const QemuStep *step, GError **error)
{
    const char *argv[] = { IMAGE_TOOL, "commit", "-q", "-d", "-f", "qcow2", "-b", step->other, step->image, NULL };

    if (!qemu_image_is_there(step->image))
        return TRUE;
    gboolean done = lend(dom, step->image, TRUE, error) && lend(dom, step->other, TRUE, error) &&
                    run_tool(dom, FALSE, call, argv, step->image, error);
    if (!done)
        qemu_lost_note(dom, step->other);
    take_back(dom);
    return done;
}

gboolean qemu_engine_image_step(QemuDomain *dom, vireo_call *call, const QemuStep *step,
                                GError **error)
{
    switch (step->kind) {
    case QEMU_STEP_OVERLAY:
        return qemu_engine_make_overlay(dom, call, step->image, step->other, error) &&
               qemu_bitmaps_carry(dom, call, step->other, step->image, error);
    case QEMU_STEP_ADOPT:
        return qemu_bitmaps_carry(dom, call, step->other, step->image, error);
    case QEMU_STEP_COPY:
        return qemu_side_step(dom, call, step, error);
    case QEMU_STEP_POINT:
        return point(dom, call, step, 'c', error);
    case QEMU_STEP_APPLY:
        return point(dom, call, step, 'a', error);
    case QEMU_STEP_DROP_POINT:
        return point(dom, call, step, 'd', error);
    case QEMU_STEP_EXTRACT:
    case QEMU_STEP_CLONE:
        return make(dom, call, step, error);
    case QEMU_STEP_COMMIT:
        return commit(dom, call, step, error);
    case QEMU_STEP_PULL:
        return pull(dom, call, step, error);
    case QEMU_STEP_UNLINK:
        return qemu_engine_unlink(dom, step->image, error);
    default:
        qemu_error(error, VIREO_ERR_INTERNAL_ERROR, "step '%s' is nothing for files",
                   qemu_step_kind_name(step->kind));
        return FALSE;
    }
}
