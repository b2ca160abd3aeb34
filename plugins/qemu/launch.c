/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_CHILD_FD 10

QemuLaunch *qemu_launch_new(QemuDomain *dom, VireoDomain *doc)
{
    QemuLaunch *launch = g_new0(QemuLaunch, 1);

    launch->dom = dom;
    launch->doc = doc;
    launch->argv = vireo_argv_new(NULL);
    launch->fds = g_array_new(FALSE, FALSE, sizeof(struct vireo_fd_map));
    launch->sockets = g_ptr_array_new_with_free_func(g_free);
    launch->chains = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    launch->incoming_fd = -1;
    return launch;
}

void qemu_launch_free(QemuLaunch *launch)
{
    if (!launch)
        return;
    for (guint i = 0; i < launch->fds->len; i++)
        close(g_array_index(launch->fds, struct vireo_fd_map, i).parent);
    if (launch->incoming_fd >= 0)
        close(launch->incoming_fd);
    g_array_unref(launch->fds);
    vireo_argv_free(launch->argv);
    g_ptr_array_unref(launch->sockets);
    g_ptr_array_unref(launch->chains);
    g_free(launch);
}

void qemu_launch_json(QemuLaunch *launch, const char *option, JsonObject *object)
{
    vireo_argv_take(launch->argv, option, vireo_json_text(object));
    json_object_unref(object);
}

int qemu_launch_fd(QemuLaunch *launch, int fd)
{
    struct vireo_fd_map map = { fd, FIRST_CHILD_FD + (int)launch->fds->len };

    g_array_append_val(launch->fds, map);
    return map.child;
}

int qemu_launch_listen(QemuLaunch *launch, const char *path, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (launch->preview)
        return 0;
    if (strlen(path) >= sizeof address.sun_path) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "socket path is too long: %s", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot listen on %s: %s", path,
                   g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    g_ptr_array_add(launch->sockets, g_strdup(path));
    return qemu_launch_fd(launch, fd);
}
