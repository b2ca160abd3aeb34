/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"
#include "images.h"
#include "kit/argv.h"

/* Everything a QEMU process is started with. */
typedef struct {
    QemuDomain *dom;
    VireoDomain *doc; /* the live definition being made; borrowed */
    VireoArgv *argv;
    GArray *fds;      /* struct vireo_fd_map; the parents are owned */
    GPtrArray *sockets; /* paths of listening sockets, removed with the guest */
    GPtrArray *chains;  /* per disk: GPtrArray of QemuImage */
    int incoming_fd;    /* state to start from; -1: none; owned */
    const char *qmp_path;
    gboolean preview; /* only the command line: nothing is opened, given or made */
} QemuLaunch;

QemuLaunch *qemu_launch_new(QemuDomain *dom, VireoDomain *doc);
void qemu_launch_free(QemuLaunch *launch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuLaunch, qemu_launch_free)

/* JSON argument; object is taken. */
void qemu_launch_json(QemuLaunch *launch, const char *option, JsonObject *object);
/* Hands a descriptor to the child (taken); returns its number there. */
int qemu_launch_fd(QemuLaunch *launch, int fd);
/* A listening UNIX socket (taken over by the child) at path; -1 on failure. */
int qemu_launch_listen(QemuLaunch *launch, const char *path, GError **error);

/* command.c: the whole command line. */
gboolean qemu_command_build(QemuLaunch *launch, GError **error);
/* command_disk.c */
gboolean qemu_command_disks(QemuLaunch *launch, GError **error);
/* The block nodes of one disk, lowest first (JsonObject), and its device; for hotplug too. */
GPtrArray *qemu_disk_nodes(const VireoDomainDisk *disk, GPtrArray *chain);
JsonObject *qemu_disk_device(const VireoDomain *doc, const VireoDomainDisk *disk, int boot_index);
/* The nodes of an overlay that joins a running guest; backing is not said yet. */
void qemu_disk_overlay_nodes(const VireoDomainDisk *disk, const char *path, const char *name,
                             JsonObject **storage, JsonObject **format);
/* Names of a disk's nodes: depth 0 is its own image. Caller frees. */
char *qemu_disk_node_name(const VireoDomainDisk *disk, guint depth, gboolean storage);
/* Queues of a virtio disk or controller. By itself QEMU takes the vCPUs present at its start, and a
 * state saved after one was added would not load into a new process. */
guint qemu_virtio_queues(const VireoDomain *doc);
/* command_dev.c */
gboolean qemu_command_controllers(QemuLaunch *launch, GError **error);
gboolean qemu_command_devices(QemuLaunch *launch, GError **error);
JsonObject *qemu_scsi_controller_device(const VireoDomain *doc, const VireoDomainController *controller,
                                        GError **error);
JsonObject *qemu_interface_netdev(const VireoDomainInterface *iface, int fd);
JsonObject *qemu_interface_device(const VireoDomain *doc, const VireoDomainInterface *iface,
                                  int boot_index);
/* Adds bus and addr of a PCI address to a -device object. */
void qemu_device_place(JsonObject *device, const VireoDomain *doc, const VireoDeviceAddress *at);
/* Boot index of disk number index (kind 'd') or interface number index ('n'); 0: none. */
int qemu_boot_index(const VireoDomain *doc, char kind, guint index);

/* tap.c: a tap device in a bridge; *name is its name, replaced by the one the kernel chose.
 * Returns the descriptor. */
int qemu_tap_open(char **name, const char *bridge, const char *mac, GError **error);
