/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container's terminals, and its namespaces. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit/process.h"

#define ANSWER_MS 10000
#define GONE_S 5

/* ---- consoles ------------------------------------------------------------------ */

/* A process that moves what a client and a terminal say. */
typedef struct {
    LxcDriver *driver;
    char *key; /* of the terminal among all */
    int pidfd;
    uint64_t watch;
} Relay;

static void relay_free(Relay *relay)
{
    siginfo_t info;

    waitid(P_PIDFD, (id_t)relay->pidfd, &info, WEXITED | WNOHANG);
    close(relay->pidfd);
    g_free(relay->key);
    g_free(relay);
}

static void relay_ended(int fd, int events, void *opaque)
{
    Relay *relay = opaque;
    LxcDriver *driver = relay->driver;

    g_mutex_lock(&driver->relays_lock);
    gboolean ours = g_ptr_array_remove_fast(driver->relays, relay);
    uint64_t watch = relay->watch;
    g_cond_broadcast(&driver->relays_gone);
    g_mutex_unlock(&driver->relays_lock);
    if (!ours)
        return;
    driver->host->unwatch(driver->core, watch);
    relay_free(relay);
}

static Relay *find(LxcDriver *driver, const char *key)
{
    for (guint i = 0; i < driver->relays->len; i++)
        if (g_str_equal(((Relay *)driver->relays->pdata[i])->key, key))
            return driver->relays->pdata[i];
    return NULL;
}

/* Nobody has the terminal when TRUE. */
static gboolean make_room(LxcDriver *driver, const char *key, gboolean force)
{
    gint64 until = g_get_monotonic_time() + GONE_S * G_USEC_PER_SEC;
    gboolean room = TRUE;
    Relay *other;

    g_mutex_lock(&driver->relays_lock);
    while (room && (other = find(driver, key))) {
        if (force)
            vireo_process_signal(other->pidfd, SIGKILL);
        room = force && g_cond_wait_until(&driver->relays_gone, &driver->relays_lock, until);
    }
    g_mutex_unlock(&driver->relays_lock);
    return room;
}

static void keep(LxcDriver *driver, const char *key, int pidfd)
{
    Relay *relay = g_new0(Relay, 1);

    *relay = (Relay){ .driver = driver, .key = g_strdup(key), .pidfd = pidfd };
    g_mutex_lock(&driver->relays_lock);
    g_ptr_array_add(driver->relays, relay);
    relay->watch = driver->host->watch(driver->core, pidfd, VIREO_WATCH_IN, relay_ended, relay);
    g_mutex_unlock(&driver->relays_lock);
}

void lxc_relays_end(LxcDriver *driver)
{
    for (;;) {
        g_mutex_lock(&driver->relays_lock);
        Relay *relay = driver->relays->len ? g_ptr_array_steal_index_fast(driver->relays, 0) : NULL;
        g_mutex_unlock(&driver->relays_lock);
        if (!relay)
            return;
        driver->host->unwatch(driver->core, relay->watch);
        vireo_process_signal(relay->pidfd, SIGKILL);
        vireo_process_wait(relay->pidfd, 1000);
        relay_free(relay);
    }
}

/* Whether the relay says that it has the terminal. */
static gboolean good_news(int fd, GError **error)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    char text[512] = "";
    gssize n = poll(&wait, 1, ANSWER_MS) > 0 ? read(fd, text, sizeof text - 1) : -1;

    if (n > 0 && g_str_has_prefix(text, "ok"))
        return TRUE;
    lxc_error(error, VIREO_ERR_OPERATION_FAILED, "%s", n > 0 ? g_strchomp(text) : "the container's terminal does not answer");
    return FALSE;
}

static gboolean spawn_relay(LxcDomain *dom, const char *tty, int client, const char *key, GError **error)
{
    LxcDriver *driver = dom->space->driver;
    const char *argv[] = { driver->helper, "console", dom->space->run_dir, dom->uuid_text, tty, NULL };
    struct vireo_spawn spec = { .size = sizeof spec, .argv = argv, .in = client, .err = -1 };
    struct vireo_child child;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) {
        lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "pipe: %s", g_strerror(errno));
        return FALSE;
    }
    spec.out = ends[1];
    gboolean good = driver->host->spawn(driver->core, &spec, &child) == 0;
    if (!good)
        lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "%s cannot be run: %s", driver->helper, g_strerror(errno));
    close(ends[1]);
    if (good) {
        keep(driver, key, child.pidfd);
        good = good_news(ends[0], error);
    }
    close(ends[0]);
    return good;
}

/* The number of the console with that alias (NULL: the first); -1: there is none. */
static int console_number(const VireoDomain *doc, const char *name)
{
    VEC_EACH(doc->devices->consoles, i)
    if (!name || !g_strcmp0(doc->devices->consoles.items[i]->alias, name))
        return (int)i;
    return -1;
}

int lxc_domain_open_console(void *handle, vireo_call *call, const vireo_domain_open_console_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    int ends[2];

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDef) live = lxc_domain_live(dom);
    if (!live)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    int number = console_number(live->doc, args->dev_name);
    if (number < 0)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "domain '%s' has no console '%s'", dom->name,
                                        args->dev_name);
    if (lxc_doc_silent(live->doc))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                        "the console of domain '%s' is of type null: there is no terminal", dom->name);
    g_autofree char *tty = g_strdup_printf("%d", number), *key = g_strdup_printf("%s/%d", dom->uuid_text, number);
    if (!make_room(conn->driver, key, (args->flags & VIREO_DOMAIN_CONSOLE_FORCE) != 0))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_FAILED,
                                        "another client has this console of domain '%s'", dom->name);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return conn->driver->host->fail(call, VIREO_ERR_SYSTEM_ERROR, "socketpair: %s", g_strerror(errno));
    gboolean good = spawn_relay(dom, tty, ends[0], key, &error);
    close(ends[0]);
    if (good)
        return conn->driver->host->stream(call, ends[1], VIREO_STREAM_FROM_FD | VIREO_STREAM_TO_FD, 0, 0);
    close(ends[1]);
    return lxc_fail(conn->driver, call, error);
}

/* ---- namespaces ---------------------------------------------------------------- */

/* Those that are not the daemon's own, in the order in which they can be entered. */
int lxc_lxc_domain_open_namespace(void *handle, vireo_call *call, const vireo_lxc_domain_open_namespace_args *args)
{
    static const char *const kinds[] = { "user", "ipc", "uts", "net", "pid", "mnt" };
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    LxcProcess init;

    if (!dom)
        return VIREO_FAIL;
    if (!lxc_domain_init(dom, &init, &error))
        return lxc_fail(conn->driver, call, error);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/ns/%s", (int)init.pid, kinds[i]);
        g_autofree char *own = g_strdup_printf("/proc/self/ns/%s", kinds[i]);
        struct stat theirs, ours;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || fstat(fd, &theirs) < 0 || stat(own, &ours) < 0) {
            int saved = errno;

            close(init.fd);
            if (fd >= 0)
                close(fd);
            return conn->driver->host->fail(call, VIREO_ERR_SYSTEM_ERROR, "%s: %s", path, g_strerror(saved));
        }
        if (theirs.st_ino == ours.st_ino)
            close(fd);
        else
            conn->driver->host->reply_fd(call, fd);
    }
    close(init.fd);
    return VIREO_OK;
}
