/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container's root and the copies beside it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cgroup.h"
#include "kit/file.h"
#include "snapshot.h"
#include "snapshot_copy.h"

static gboolean fail(GError **error, const char *what, const char *path)
{
    lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot %s %s: %s", what, path, g_strerror(errno));
    return FALSE;
}

/* ---- where --------------------------------------------------------------------- */

static char *layer_above(LxcDomain *dom, GError **error)
{
    g_autofree char *delta = lxc_domain_path(dom, dom->space->state_dir, "/delta");

    return vireo_file_mkdir(delta, 0755, error) ? g_steal_pointer(&delta) : NULL;
}

/* Without links; what it names need not be there. */
static char *real_path(const char *path, GError **error)
{
    g_autofree char *plain = g_canonicalize_filename(path, "/"), *folder = g_path_get_dirname(plain),
                    *name = g_path_get_basename(plain);
    char whole[PATH_MAX];

    if (realpath(plain, whole))
        return g_strdup(whole);
    if (errno == ENOENT && realpath(folder, whole))
        return g_build_filename(whole, name, NULL);
    fail(error, "find", path);
    return NULL;
}

LxcRoot *lxc_root_new(LxcDomain *dom, const VireoDomain *doc, GError **error)
{
    const VireoDomainFilesystem *fs = lxc_doc_root(doc);
    g_autofree char *given = NULL, *path = NULL;

    if (fs->type == VIREO_DOMAIN_FILESYSTEM_TYPE_TEMPLATE) {
        given = layer_above(dom, error);
    } else if (fs->type == VIREO_DOMAIN_FILESYSTEM_TYPE_BLOCK) {
        lxc_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                  "the root of domain '%s' is a block device: what is on it can be copied by its volume manager only; a "
                  "directory, an image file or a template has snapshots", dom->name);
    } else {
        given = g_strdup(fs->source->dir ? fs->source->dir : fs->source->file);
    }
    if (!given || !(path = real_path(given, error)))
        return NULL;
    LxcRoot *root = g_new0(LxcRoot, 1);
    g_autofree char *folder = g_path_get_dirname(path);
    root->store = g_build_filename(folder, LXC_STORE, dom->uuid_text, NULL);
    root->path = g_steal_pointer(&path);
    return root;
}

void lxc_root_free(LxcRoot *root)
{
    if (!root)
        return;
    g_free(root->path);
    g_free(root->store);
    g_free(root);
}

char *lxc_root_place(const LxcRoot *root, const char *name)
{
    g_autofree char *file = vireo_snapshot_file_name(name);

    return g_build_filename(root->store, file, NULL);
}

/* ---- whether ------------------------------------------------------------------- */

static gboolean none_below(const char *path, GError **error)
{
    g_autofree char *text = NULL, *prefix = g_strconcat(path, "/", NULL);

    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, error))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], " ", 6);
        g_autofree char *at = g_strv_length(fields) > 4 ? g_strcompress(fields[4]) : NULL;

        if (!at || !g_str_has_prefix(at, prefix))
            continue;
        lxc_error(error, VIREO_ERR_OPERATION_INVALID,
                  "%s is mounted below the container's root, and would go away with it: unmount it first", at);
        return FALSE;
    }
    return TRUE;
}

gboolean lxc_root_check(const LxcRoot *root, GError **error)
{
    struct statx info;

    if (statx(AT_FDCWD, root->path, AT_SYMLINK_NOFOLLOW, 0, &info) == 0 &&
        (info.stx_attributes & STATX_ATTR_MOUNT_ROOT)) {
        lxc_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                  "the container's root, %s, is a mount point and cannot be exchanged: put the root into a directory below "
                  "it", root->path);
        return FALSE;
    }
    return none_below(root->path, error);
}

LxcDomain *lxc_root_user(LxcDomain *dom, const LxcRoot *root)
{
    g_autoptr(GPtrArray) all = lxc_domain_all(dom->space);

    for (guint i = 0; i < all->len; i++) {
        LxcDomain *other = all->pdata[i];
        g_autoptr(LxcDef) live = other == dom ? NULL : lxc_domain_live(other);
        g_autoptr(LxcRoot) its = live ? lxc_root_new(other, live->doc, NULL) : NULL;

        if (its && g_str_equal(its->path, root->path))
            return lxc_domain_ref(other);
    }
    return NULL;
}

/* ---- the store ----------------------------------------------------------------- */

/* A directory of ours, whoever owns the one above it. */
static gboolean make_dir(const char *path, GError **error)
{
    struct stat info;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return fail(error, "create", path);
    if (lstat(path, &info) < 0)
        return fail(error, "create", path);
    if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid()) {
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "%s is to be a directory of the daemon's, and is somebody else's", path);
        return FALSE;
    }
    /* Or each file in a copy would get one. */
    removexattr(path, "system.posix_acl_default");
    return TRUE;
}

gboolean lxc_root_make_store(const LxcRoot *root, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(root->store);

    return make_dir(folder, error) && make_dir(root->store, error);
}

static gboolean sync_dir_of(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean good = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return good;
}

gboolean lxc_move(const char *from, const char *to, GError **error)
{
    if (rename(from, to) < 0)
        return fail(error, "move to", to);
    return (sync_dir_of(to) && sync_dir_of(from)) || fail(error, "move to", to);
}

/* ---- standing still ------------------------------------------------------------ */

/* What a file system in an image has not written yet. */
static gboolean sync_image(LxcDomain *dom, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/root", (int)dom->init.pid);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean good = fd >= 0 && syncfs(fd) == 0;

    if (fd >= 0)
        close(fd);
    return good || fail(error, "write what is in", path);
}

/* The run it belongs to; 0: it was not running. */
static guint stand_still(LxcDomain *dom, GError **error)
{
    g_mutex_lock(&dom->lock);
    gboolean running = dom->id != -1 && dom->state == VIREO_DOMAIN_RUNNING;
    guint generation = dom->generation;
    g_mutex_unlock(&dom->lock);
    if (!running)
        return 0;
    if (!lxc_cgroup_freeze(dom->cgroup, TRUE, error)) {
        lxc_cgroup_freeze(dom->cgroup, FALSE, NULL);
        return 0;
    }
    /* As paused, so that it can be destroyed. */
    lxc_domain_set_state(dom, VIREO_DOMAIN_PAUSED, VIREO_DOMAIN_PAUSED_SNAPSHOT);
    lxc_domain_publish(dom);
    return generation;
}

void lxc_root_let_go(LxcDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean held = dom->id != -1 && dom->state == VIREO_DOMAIN_PAUSED &&
                    (dom->reason == VIREO_DOMAIN_PAUSED_SNAPSHOT || dom->reason == VIREO_DOMAIN_PAUSED_UNKNOWN);
    if (held) {
        dom->state = VIREO_DOMAIN_RUNNING;
        dom->reason = VIREO_DOMAIN_RUNNING_UNPAUSED;
    }
    g_mutex_unlock(&dom->lock);
    if (!held)
        return;
    lxc_cgroup_freeze(dom->cgroup, FALSE, NULL);
    lxc_domain_publish(dom);
}

/* ---- copies -------------------------------------------------------------------- */

typedef struct {
    const struct vireo_host *host;
    vireo_call *call;
} Asker;

static gboolean has_gone(gpointer opaque)
{
    const Asker *asker = opaque;

    return asker->host->cancelled(asker->call);
}

static gboolean copy_for(LxcDomain *dom, vireo_call *call, const char *from, const char *to, GError **error)
{
    Asker asker = { dom->space->driver->host, call };
    LxcCopy copy = { has_gone, &asker };

    return lxc_copy(from, to, &copy, error);
}

gboolean lxc_root_take(LxcDomain *dom, vireo_call *call, const LxcRoot *root, const char *to, GError **error)
{
    g_autoptr(GError) failure = NULL;
    guint held = stand_still(dom, &failure);
    gboolean good = !failure && (!held || !g_file_test(root->path, G_FILE_TEST_IS_REGULAR) || sync_image(dom, &failure)) &&
                    copy_for(dom, call, root->path, to, &failure);

    if (held)
        lxc_root_let_go(dom);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return good && lxc_flush(to, error);
}

gboolean lxc_root_copy(LxcDomain *dom, vireo_call *call, const char *from, const char *to, GError **error)
{
    return copy_for(dom, call, from, to, error) && lxc_flush(to, error);
}

gboolean lxc_root_bring(LxcDomain *dom, vireo_call *call, const LxcRoot *root, const char *from, GError **error)
{
    g_autofree char *back = lxc_root_place(root, LXC_PLACE_BACK);

    return lxc_remove(back, error) && lxc_root_copy(dom, call, from, back, error);
}

/* Wherever this ends, what is there tells how far it went: lxc_snapshots_settle. */
gboolean lxc_root_exchange(const LxcRoot *root, GError **error)
{
    g_autofree char *back = lxc_root_place(root, LXC_PLACE_BACK), *was = lxc_root_place(root, LXC_PLACE_WAS);

    if (!lxc_remove(was, error))
        return FALSE;
    if (rename(root->path, was) < 0 && (errno != ENOENT || mkdir(was, 0700) < 0))
        return fail(error, "move away", root->path);
    if (lxc_move(back, root->path, error))
        return TRUE;
    if (rename(was, root->path) < 0)
        g_prefix_error(error, "the root is at %s now: ", was);
    return FALSE;
}

void lxc_root_exchange_back(const LxcRoot *root)
{
    g_autofree char *back = lxc_root_place(root, LXC_PLACE_BACK), *was = lxc_root_place(root, LXC_PLACE_WAS);

    if (access(was, F_OK) == 0 && access(back, F_OK) < 0 && lxc_move(root->path, back, NULL))
        lxc_move(was, root->path, NULL);
}
