/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest whose memory was written out has let go of its images: QEMU does not write to them before it is
 * told "cont", and dies when a job does. One that stays paused gets them back by an export of them that
 * nobody can reach: QEMU takes an image it exports in use again, and the guest does not run for it. */
#include "engine.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define EXPORT "vireo-wake"
#define DOOR "vireo-wake-door"

/* Listens where nobody finds it. */
static int hidden_socket(QemuDomain *dom)
{
    g_autofree char *path = qemu_domain_path(dom, dom->space->run_dir, ".wake");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof address.sun_path)
        return fd;
    strcpy(address.sun_path, path);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        unlink(path);
    listen(fd, 1);
    return fd;
}

gboolean qemu_live_let_go(VireoQmp *qmp)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(qmp, "query-status", NULL, NULL, NULL);

    return !g_strcmp0(vireo_json_string(vireo_json_node_object(answer), "status"), "postmigrate");
}

/* Fails when QEMU serves already, which will do. */
static void serve(QemuDomain *dom, VireoQmp *qmp)
{
    int fd = hidden_socket(dom);
    g_autoptr(JsonNode) passed =
        vireo_qmp_call_fd(qmp, "getfd", vireo_json_new('s', "fdname", DOOR, 0), fd, NULL, NULL);

    close(fd);
    if (passed)
        vireo_qmp_run(qmp, "nbd-server-start",
                      vireo_json_new('o', "addr",
                                     vireo_json_new('s', "type", "fd", 'o', "data",
                                                    vireo_json_new('s', "str", DOOR, 0), 0),
                                     0),
                      NULL, NULL);
}

/* Unless it is somebody else's. */
static void stop_serving(VireoQmp *qmp)
{
    g_autoptr(JsonNode) exports = vireo_qmp_call(qmp, "query-block-exports", NULL, NULL, NULL);

    if (exports && !vireo_json_length(vireo_json_node_array(exports)))
        vireo_qmp_run(qmp, "nbd-server-stop", NULL, NULL, NULL);
}

static gboolean wake(VireoQmp *qmp, const char *node, GError **error)
{
    vireo_qmp_run(qmp, "block-export-del", vireo_json_new('s', "id", EXPORT, 's', "mode", "hard", 0), NULL,
                  NULL); /* of an earlier daemon */
    gboolean done = vireo_qmp_run(qmp, "block-export-add",
                                  vireo_json_new('s', "type", "nbd", 's', "id", EXPORT, 's', "node-name",
                                                 node, 'b', "writable", FALSE, 0),
                                  NULL, error);

    if (done)
        vireo_qmp_run(qmp, "block-export-del", vireo_json_new('s', "id", EXPORT, 's', "mode", "hard", 0),
                      NULL, NULL);
    return done;
}

gboolean qemu_live_wake(QemuDomain *dom, VireoQmp *qmp, GError **error)
{
    if (!qemu_live_let_go(qmp))
        return TRUE;
    g_autoptr(JsonNode) blocks = vireo_qmp_call(qmp, "query-block", NULL, NULL, error);
    JsonArray *list = vireo_json_node_array(blocks);
    gboolean done = blocks != NULL;

    if (done)
        serve(dom, qmp);
    for (guint i = 0; i < vireo_json_length(list) && done; i++) {
        JsonObject *inserted = vireo_json_object(vireo_json_element(list, i), "inserted");
        const char *node = vireo_json_string(inserted, "node-name");

        done = !node || vireo_json_bool(inserted, "ro") || wake(qmp, node, error);
    }
    stop_serving(qmp);
    return done;
}
