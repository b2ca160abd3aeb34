/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/watch.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SETTLE_MS 300 /* a package's files come one after another */
#define EVENTS    (IN_CLOSE_WRITE | IN_MOVE | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

struct VireoWatch {
    GStrv dirs;
    int *watched; /* of each directory; -1: it is missing, the nearest one above it is watched */
    int fd;
    guint source, timer;
    gboolean touched;
    void (*changed)(gpointer opaque);
    gpointer opaque;
};

static void await(VireoWatch *watch, const char *missing)
{
    g_autofree char *path = g_path_get_dirname(missing);

    while (inotify_add_watch(watch->fd, path, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR | IN_MASK_ADD) < 0 &&
           strcmp(path, "/") != 0) {
        char *parent = g_path_get_dirname(path);

        g_free(path);
        path = parent;
    }
}

/* Whether a directory is another one than it was, or no longer missing. */
static gboolean add_all(VireoWatch *watch)
{
    gboolean news = FALSE;

    for (guint i = 0; watch->dirs[i]; i++) {
        int id = inotify_add_watch(watch->fd, watch->dirs[i], EVENTS | IN_ONLYDIR);

        news |= id != watch->watched[i];
        watch->watched[i] = id;
        if (id < 0)
            await(watch, watch->dirs[i]);
    }
    return news;
}

static gboolean settled(gpointer opaque)
{
    VireoWatch *watch = opaque;

    watch->timer = 0;
    if (add_all(watch) || watch->touched) {
        watch->touched = FALSE;
        watch->changed(watch->opaque);
    }
    return G_SOURCE_REMOVE;
}

static gboolean is_ours(const VireoWatch *watch, int id)
{
    for (guint i = 0; watch->dirs[i]; i++)
        if (watch->watched[i] == id)
            return TRUE;
    return FALSE;
}

static gboolean happened(gint fd, GIOCondition condition, gpointer opaque)
{
    VireoWatch *watch = opaque;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    gssize n;

    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        const struct inotify_event *event;

        for (char *at = buffer; at < buffer + n; at += sizeof *event + event->len) {
            event = (const struct inotify_event *)at;
            watch->touched |= event->wd < 0 || is_ours(watch, event->wd);
        }
    }
    if (!watch->timer)
        watch->timer = g_timeout_add(SETTLE_MS, settled, watch);
    return G_SOURCE_CONTINUE;
}

VireoWatch *vireo_watch_new(const char *const *dirs, void (*changed)(gpointer opaque), gpointer opaque)
{
    VireoWatch *watch = g_new0(VireoWatch, 1);

    watch->dirs = g_strdupv((GStrv)dirs);
    watch->watched = g_new0(int, g_strv_length(watch->dirs) + 1);
    watch->changed = changed;
    watch->opaque = opaque;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0) {
        g_warning("driver directories are not watched, SIGHUP looks at them again: %s", g_strerror(errno));
        return watch;
    }
    add_all(watch);
    watch->source = g_unix_fd_add(watch->fd, G_IO_IN, happened, watch);
    return watch;
}

void vireo_watch_free(VireoWatch *watch)
{
    if (!watch)
        return;
    if (watch->timer)
        g_source_remove(watch->timer);
    if (watch->source)
        g_source_remove(watch->source);
    if (watch->fd >= 0)
        close(watch->fd);
    g_strfreev(watch->dirs);
    g_free(watch->watched);
    g_free(watch);
}
