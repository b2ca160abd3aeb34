/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a person sees and types: consoles, channels, the screen. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "events.h"
#include "terminal.h"

/* ---- consoles ------------------------------------------------------------------ */

/* QEMU says where its pty is, and QEMU is not trusted: only a real terminal is opened. */
static int open_pty(const char *path, GError **error)
{
    struct stat st;
    int fd = -1;

    if (path && g_str_has_prefix(path, "/dev/pts/") && !strchr(path + 9, '/'))
        fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "cannot open terminal %s: %s",
                   path ? path : "(none)", g_strerror(errno));
        return -1;
    }
    /* Pseudo terminals have the majors 136 to 143. */
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) < 136 ||
        major(st.st_rdev) > 143) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s is not a terminal", path);
        close(fd);
        return -1;
    }
    return fd;
}

static int open_socket(const char *path, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
    }
    qemu_error(error, VIREO_ERR_OPERATION_FAILED, "cannot connect to %s: %s", path,
               g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int open_chardev(const VireoDomainChardev *dev, GError **error)
{
    const char *path = dev->sources.n ? dev->sources.items[0]->path : NULL;

    if (dev->type == VIREO_DOMAIN_CHARDEV_TYPE_PTY)
        return open_pty(path, error);
    if (dev->type == VIREO_DOMAIN_CHARDEV_TYPE_UNIX && path)
        return open_socket(path, error);
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
               "character device '%s' is of type '%s': only pty and unix can be opened", dev->alias,
               vireo_domain_chardev_type_to_string(dev->type));
    return -1;
}

/* name NULL: the first console, else the first serial port. */
static const VireoDomainChardev *find_console(const VireoDomain *doc, const char *name)
{
    const VireoDomainDevices *devices = doc->devices;

    if (!name)
        return devices->serials.n    ? devices->serials.items[0]
               : devices->consoles.n ? devices->consoles.items[0]
                                     : NULL;
    VEC_EACH(devices->serials, i)
    if (!g_strcmp0(devices->serials.items[i]->alias, name))
        return devices->serials.items[i];
    VEC_EACH(devices->consoles, i)
    if (!g_strcmp0(devices->consoles.items[i]->alias, name))
        return devices->consoles.items[i];
    return NULL;
}

static const VireoDomainChardev *find_channel(const VireoDomain *doc, const char *name)
{
    VEC_EACH(doc->devices->channels, i)
    {
        const VireoDomainChardev *dev = doc->devices->channels.items[i];

        if (!name || !g_strcmp0(dev->alias, name) || !g_strcmp0(dev->target->name, name))
            return dev;
    }
    return NULL;
}

static int join_stream(QemuConn *conn, vireo_call *call, QemuDomain *dom,
                       const VireoDomainChardev *dev, const char *name, gboolean force)
{
    gboolean channel = dev && dev->target && dev->alias && g_str_has_prefix(dev->alias, "channel");
    g_autoptr(GError) error = NULL;
    g_autofree char *key = NULL;

    if (!dev)
        return conn->driver->host->fail(call, VIREO_ERR_INTERNAL_ERROR,
                                        "domain '%s' has no character device '%s'", dom->name,
                                        name ? name : "(first)");
    int fd = open_chardev(dev, &error);
    if (fd < 0)
        return qemu_fail(conn->driver, call, error);
    key = g_strdup_printf("%s/%s/%s", dom->space->key, dom->uuid_text, dev->alias);
    if (qemu_terminal_join(conn->driver, call, key, fd, force, &error))
        return VIREO_OK;
    return error ? qemu_fail(conn->driver, call, error)
                 : conn->driver->host->fail(call, VIREO_ERR_OPERATION_FAILED,
                                            "Active %s exists for this domain",
                                            channel ? "channel stream" : "console session");
}

int qemu_domain_open_console(void *handle, vireo_call *call,
                             const vireo_domain_open_console_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!live)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' is not running", dom->name);
    return join_stream(conn, call, dom, find_console(live->doc, args->dev_name), args->dev_name,
                       (args->flags & VIREO_DOMAIN_CONSOLE_FORCE) != 0);
}

int qemu_domain_open_channel(void *handle, vireo_call *call,
                             const vireo_domain_open_channel_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!live)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' is not running", dom->name);
    return join_stream(conn, call, dom, find_channel(live->doc, args->name), args->name,
                       (args->flags & VIREO_DOMAIN_CHANNEL_FORCE) != 0);
}

/* ---- screen -------------------------------------------------------------------- */

/* QEMU writes into a file it is handed, of which nobody else knows the name. */
int qemu_domain_screenshot(void *handle, vireo_call *call, const vireo_domain_screenshot_args *args,
                           vireo_domain_screenshot_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = dom ? qemu_domain_monitor(dom, &error) : NULL;
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;
    VireoQmpWait wait = qemu_wait(conn->driver, call, 60);
    g_autofree char *path = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!qmp || !live)
        return qemu_fail(conn->driver, call, error);
    if (!live->doc->devices->videos.n || args->screen >= live->doc->devices->videos.n)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "domain '%s' has no screen %u",
                                        dom->name, args->screen);
    int fd = g_file_open_tmp("vireo-screen-XXXXXX", &path, NULL);
    if (fd < 0)
        return conn->driver->host->fail(call, VIREO_ERR_SYSTEM_ERROR, "no temporary file");
    /* Of its descriptors QEMU takes the one that is open for just what it wants to do. */
    int out = open(path, O_WRONLY | O_CLOEXEC);
    unlink(path);
    g_autoptr(JsonNode) set = vireo_qmp_call_fd(qmp, "add-fd", NULL, out, &wait, &error);
    close(out);
    gint64 id = vireo_json_int(vireo_json_node_object(set), "fdset-id", -1);
    g_autofree char *name = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, id);
    gboolean taken =
        set && vireo_qmp_run(qmp, "screendump",
                             vireo_json_new('s', "filename", name, 's', "device",
                                            args->screen ? live->doc->devices->videos
                                                               .items[args->screen]->alias
                                                         : NULL, 0),
                             &wait, &error);
    if (set)
        vireo_qmp_send(qmp, "remove-fd", vireo_json_new('i', "fdset-id", id, 0), -1, NULL, NULL);
    if (!taken) {
        close(fd);
        return qemu_fail(conn->driver, call, error);
    }
    lseek(fd, 0, SEEK_SET);
    ret->mime = conn->driver->host->strdup(call, "image/x-portable-pixmap");
    return conn->driver->host->stream(call, fd, VIREO_STREAM_FROM_FD, 0, 0);
}

/* ---- display ------------------------------------------------------------------- */

/* One end of a pair becomes a client of QEMU's display. */
static gboolean add_client(QemuDomain *dom, vireo_call *call, guint index, int fd,
                           gboolean skip_auth, GError **error)
{
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    VireoQmpWait wait = qemu_wait(dom->space->driver, call, 30);

    if (!qmp || !live)
        return FALSE;
    if (index >= live->doc->devices->graphics.n) {
        qemu_error(error, VIREO_ERR_INTERNAL_ERROR, "domain '%s' has no display %u", dom->name,
                   index);
        return FALSE;
    }
    g_autoptr(JsonNode) passed = vireo_qmp_call_fd(
        qmp, "getfd", vireo_json_new('s', "fdname", "display-client", 0), fd, &wait, error);
    return passed && vireo_qmp_run(qmp, "add_client",
                                   vireo_json_new('s', "protocol", "vnc", 's', "fdname",
                                                  "display-client", 'b', "skipauth", skip_auth, 0),
                                   &wait, error);
}

int qemu_domain_open_graphics_fd(void *handle, vireo_call *call,
                                 const vireo_domain_open_graphics_fd_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    int pair[2];

    if (!dom)
        return VIREO_FAIL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return conn->driver->host->fail(call, VIREO_ERR_SYSTEM_ERROR, "socketpair: %s",
                                        g_strerror(errno));
    gboolean joined =
        add_client(dom, call, args->idx, pair[1],
                   (args->flags & VIREO_DOMAIN_OPEN_GRAPHICS_SKIPAUTH) != 0, &error);
    close(pair[1]);
    if (!joined) {
        close(pair[0]);
        return qemu_fail(conn->driver, call, error);
    }
    conn->driver->host->reply_fd(call, pair[0]);
    return VIREO_OK;
}
