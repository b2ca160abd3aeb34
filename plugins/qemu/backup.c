/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Beginning a backup. */
#include "backup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "blockcopy.h"
#include "checkpoint.h"
#include "engine.h"
#include "images.h"
#include "livestate.h"
#include "ops.h"
#include "remote.h"

#define NBD_PORT 10809
#define SOCKET_FD "backup"

typedef struct {
    QemuDomain *dom;
    vireo_call *call;
    VireoQmp *qmp;
    const VireoDomain *machine;
    VireoDomainCheckpoint *checkpoint; /* NULL: none is made */
    gboolean reuse;
} Begin;

/* ---- the document --------------------------------------------------------------------------------------- */

static gboolean may_use_tls(const QemuDriver *driver, const VireoDomainBackupServer *server,
                            GError **error)
{
    if (server->tls != VIREO_TRISTATE_YES)
        return TRUE;
    if (server->transport == VIREO_DOMAIN_BACKUP_TRANSPORT_UNIX)
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "a server with transport 'unix' has no TLS");
    else if (!driver->config.backup_tls_dir)
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "the server of a backup has no certificates: set tls_dir in section [backup] of "
                   "qemu.conf");
    else
        return TRUE;
    return FALSE;
}

static gboolean complete_server(const QemuDriver *driver, VireoDomainBackup *doc, GError **error)
{
    VireoDomainBackupServer *server = doc->server;

    if (doc->mode == VIREO_DOMAIN_BACKUP_MODE_PUSH) {
        if (server)
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "a push backup has no server");
        return !server;
    }
    if (!server)
        server = doc->server = g_new0(VireoDomainBackupServer, 1);
    if (server->transport == VIREO_DOMAIN_BACKUP_TRANSPORT_UNSET)
        server->transport = VIREO_DOMAIN_BACKUP_TRANSPORT_TCP;
    if (!may_use_tls(driver, server, error))
        return FALSE;
    if (server->transport == VIREO_DOMAIN_BACKUP_TRANSPORT_UNIX) {
        if (!server->socket || !g_path_is_absolute(server->socket))
            qemu_error(error, VIREO_ERR_XML_ERROR, "a server with transport 'unix' has a socket, an "
                       "absolute path");
        return server->socket && g_path_is_absolute(server->socket);
    }
    if (!server->name)
        server->name = g_strdup("localhost");
    if (!server->port) {
        server->port = NBD_PORT;
        server->has_port = TRUE;
    }
    return TRUE;
}

static VireoDomainDiskSource **file_of(const VireoDomainBackup *doc, VireoDomainBackupDisk *entry)
{
    return doc->mode == VIREO_DOMAIN_BACKUP_MODE_PULL ? &entry->scratch : &entry->target;
}

static gboolean complete_disk(const VireoDomainBackup *doc, VireoDomainBackupDisk *entry,
                              const VireoDomainDisk *disk, GError **error)
{
    gboolean pull = doc->mode == VIREO_DOMAIN_BACKUP_MODE_PULL;
    VireoDomainDiskSource **file = file_of(doc, entry);

    if (entry->type == VIREO_DOMAIN_DISK_TYPE_UNSET)
        entry->type = VIREO_DOMAIN_DISK_TYPE_FILE;
    if (entry->type != VIREO_DOMAIN_DISK_TYPE_FILE && entry->type != VIREO_DOMAIN_DISK_TYPE_BLOCK) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "disk '%s' is backed up to a file or a block device only", entry->name);
        return FALSE;
    }
    if ((pull && entry->target) || (!pull && (entry->scratch || entry->exportname || entry->exportbitmap))) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "disk '%s': a %s backup has no %s", entry->name,
                   pull ? "pull" : "push", pull ? "target" : "scratch file and no export");
        return FALSE;
    }
    if (!*file)
        *file = g_new0(VireoDomainDiskSource, 1);
    if (!(*file)->file && entry->type == VIREO_DOMAIN_DISK_TYPE_FILE && qemu_is_remote(qemu_disk_path(disk))) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED, pull ? "<scratch file='...'/>" : "<target file='...'/>",
                    "disk '%s': its image is on a server, so that nothing tells where the backup goes", entry->name);
        return FALSE;
    }
    if (!(*file)->file && entry->type == VIREO_DOMAIN_DISK_TYPE_FILE)
        (*file)->file = g_strdup_printf("%s.%" G_GINT64_FORMAT, qemu_disk_path(disk),
                                        g_get_real_time() / G_USEC_PER_SEC);
    if (!entry->driver)
        entry->driver = g_new0(VireoDomainBackupDriver, 1);
    if (entry->driver->type == VIREO_DOMAIN_STORAGE_FORMAT_UNSET)
        entry->driver->type = VIREO_DOMAIN_STORAGE_FORMAT_QCOW2;
    if (pull && !entry->exportname)
        entry->exportname = g_strdup(entry->name);
    if (entry->backupmode == VIREO_DOMAIN_BACKUP_DISK_MODE_FULL)
        return TRUE;
    if (!entry->incremental)
        entry->incremental = g_strdup(doc->incremental);
    entry->backupmode = entry->incremental ? VIREO_DOMAIN_BACKUP_DISK_MODE_INCREMENTAL
                                           : VIREO_DOMAIN_BACKUP_DISK_MODE_FULL;
    if (pull && entry->incremental && !entry->exportbitmap)
        entry->exportbitmap = g_strdup_printf("backup-%s", entry->name);
    return TRUE;
}

static VireoDomainBackupDisk *entry_of(VireoDomainBackup *doc, const char *dev)
{
    for (guint i = 0; i < doc->disks->disks.n; i++)
        if (g_str_equal(doc->disks->disks.items[i]->name, dev))
            return doc->disks->disks.items[i];
    return NULL;
}

/* Every disk is listed; with a list those it does not name are left out. */
static gboolean complete(Begin *begin, VireoDomainBackup *doc, GError **error)
{
    gboolean listed = doc->disks && doc->disks->disks.n;
    guint count = 0;

    if (doc->mode == VIREO_DOMAIN_BACKUP_MODE_UNSET)
        doc->mode = VIREO_DOMAIN_BACKUP_MODE_PUSH;
    if (!doc->disks)
        doc->disks = g_new0(VireoDomainBackupDisks, 1);
    VEC_EACH(begin->machine->devices->disks, i)
    {
        const VireoDomainDisk *disk = begin->machine->devices->disks.items[i];

        if (entry_of(doc, disk->target->dev))
            continue;
        VireoDomainBackupDisk *entry = g_new0(VireoDomainBackupDisk, 1);
        entry->name = g_strdup(disk->target->dev);
        entry->backup = listed || !qemu_disk_path(disk) || disk->readonly ? VIREO_TRISTATE_NO
                                                                          : VIREO_TRISTATE_YES;
        vireo_list_append(&doc->disks->disks, entry);
    }
    for (guint i = 0; i < doc->disks->disks.n; i++) {
        VireoDomainBackupDisk *entry = doc->disks->disks.items[i];
        const VireoDomainDisk *disk = qemu_disk_named(begin->machine, entry->name);

        if (entry->backup == VIREO_TRISTATE_NO)
            continue;
        entry->backup = VIREO_TRISTATE_YES;
        if (!disk || !qemu_disk_path(disk)) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "the domain has no disk '%s' with an image",
                       entry->name);
            return FALSE;
        }
        if (!complete_disk(doc, entry, disk, error))
            return FALSE;
        count++;
    }
    if (!count)
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "the backup has no disk");
    return count && complete_server(begin->dom->space->driver, doc, error);
}

/* ---- the server --------------------------------------------------------------------------------------------- */

static int listen_unix(const char *path, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof address.sun_path)
        errno = ENAMETOOLONG;
    else {
        memcpy(address.sun_path, path, strlen(path));
        if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            listen(fd, 16) == 0)
            return fd;
    }
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot listen on %s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A socket of ours: QEMU's user need not be able to make one there. */
static JsonObject *unix_address(Begin *begin, const char *path, GError **error)
{
    int fd = listen_unix(path, error);

    if (fd < 0)
        return NULL;
    g_autoptr(JsonNode) passed = vireo_qmp_call_fd(
        begin->qmp, "getfd", vireo_json_new('s', "fdname", SOCKET_FD, 0), fd, NULL, error);
    close(fd);
    if (passed)
        return vireo_json_new('s', "type", "fd", 'o', "data",
                              vireo_json_new('s', "str", SOCKET_FD, 0), 0);
    unlink(path);
    return NULL;
}

static gboolean add_certificates(Begin *begin, GError **error)
{
    const char *dir = begin->dom->space->driver->config.backup_tls_dir;

    return vireo_qmp_run(begin->qmp, "object-add",
                         vireo_json_new('s', "qom-type", "tls-creds-x509", 's', "id", QEMU_BACKUP_TLS,
                                        's', "dir", dir, 's', "endpoint", "server", 'b', "verify-peer",
                                        TRUE, 0),
                         NULL, error);
}

static gboolean start_server(Begin *begin, const VireoDomainBackup *doc, GError **error)
{
    const VireoDomainBackupServer *server = doc->server;
    gboolean tls = server->tls == VIREO_TRISTATE_YES;
    JsonObject *address;

    if (server->transport == VIREO_DOMAIN_BACKUP_TRANSPORT_UNIX) {
        if (!(address = unix_address(begin, server->socket, error)))
            return FALSE;
    } else {
        g_autofree char *port = g_strdup_printf("%u", server->port);
        address = vireo_json_new('s', "type", "inet", 'o', "data",
                                 vireo_json_new('s', "host", server->name, 's', "port", port, 0), 0);
    }
    if (tls && !add_certificates(begin, error)) {
        json_object_unref(address);
        return FALSE;
    }
    if (vireo_qmp_run(begin->qmp, "nbd-server-start",
                      vireo_json_new('o', "addr", address, 's', "tls-creds",
                                     tls ? QEMU_BACKUP_TLS : NULL, 0),
                      NULL, error))
        return TRUE;
    if (server->transport == VIREO_DOMAIN_BACKUP_TRANSPORT_UNIX)
        unlink(server->socket);
    return FALSE;
}

static gboolean export_disk(Begin *begin, const QemuBackupDisk *disk,
                            const VireoDomainBackupDisk *entry, GError **error)
{
    g_autofree char *id = g_strdup_printf("backup-%s", disk->dev);
    JsonArray *bitmaps = NULL;

    if (disk->bitmap) {
        bitmaps = json_array_new();
        json_array_add_string_element(bitmaps, disk->bitmap);
    }
    return vireo_qmp_run(begin->qmp, "block-export-add",
                         vireo_json_new('s', "type", "nbd", 's', "id", id, 's', "node-name", disk->node,
                                        's', "name", entry->exportname, 'a', "bitmaps", bitmaps, 0),
                         NULL, error);
}

/* ---- QEMU's part ---------------------------------------------------------------------------------------------- */

static gboolean open_file(Begin *begin, QemuBackup *backup, VireoDomainBackupDisk *entry,
                          GError **error)
{
    const VireoDomainDisk *disk = qemu_disk_named(begin->machine, entry->name);
    const VireoDomainDiskSource *file = *file_of(backup->doc, entry);
    g_autoptr(GPtrArray) layers = qemu_bitmap_layers(begin->qmp, disk, error);

    if (!layers)
        return FALSE;
    QemuBackupDisk *one = qemu_backup_add(backup, entry->name);
    one->source = g_strdup(((QemuLayer *)layers->pdata[0])->node);
    one->path = g_strdup(file->file ? file->file : file->dev);
    if (!one->path) {
        qemu_error(error, VIREO_ERR_XML_ERROR, "disk '%s': the backup has no file", entry->name);
        return FALSE;
    }
    QemuBlockTarget target = { .path = one->path, .format = entry->driver->type,
                               .is_block = entry->type == VIREO_DOMAIN_DISK_TYPE_BLOCK,
                               .reuse = begin->reuse, .over = backup->pull ? one->source : NULL };
    one->node = qemu_block_target(begin->dom, begin->call, begin->qmp, disk, &target, &one->made, error);
    return one->node != NULL;
}

static gboolean add_actions(Begin *begin, QemuBackup *backup, QemuBackupDisk *one,
                            const VireoDomainBackupDisk *entry, JsonArray *actions, GError **error)
{
    const VireoDomainDisk *disk = qemu_disk_named(begin->machine, one->dev);
    g_autofree char *id = g_strdup_printf("backup-%s", one->dev);
    gboolean some = entry->backupmode == VIREO_DOMAIN_BACKUP_DISK_MODE_INCREMENTAL;

    if (some) {
        g_autoptr(GPtrArray) layers = qemu_bitmap_layers(begin->qmp, disk, error);

        one->bitmap = g_strdup(entry->exportbitmap);
        if (!one->bitmap)
            one->bitmap = g_strdup_printf("backup-%s", one->dev);
        if (!layers || !qemu_bitmap_since_actions(begin->dom, layers, disk, entry->incremental,
                                                  one->bitmap, actions, error)) {
            g_clear_pointer(&one->bitmap, g_free); /* it is not there */
            return FALSE;
        }
    }
    JsonObject *data = vireo_json_new('s', "job-id", id, 's', "device", one->source, 's', "target",
                                      one->node, 's', "sync",
                                      backup->pull ? "none"
                                      : some       ? "bitmap"
                                                   : "full",
                                      'b', "auto-dismiss", FALSE, 0);
    if (some && !backup->pull) {
        json_object_set_string_member(data, "bitmap", one->bitmap);
        json_object_set_string_member(data, "bitmap-mode", "never");
    }
    json_array_add_object_element(
        actions, vireo_json_new('s', "type", "blockdev-backup", 'o', "data", data, 0));
    return TRUE;
}

/* All at one moment: notes begin, notes are merged, jobs begin. */
static JsonArray *all_actions(Begin *begin, QemuBackup *backup, GError **error)
{
    g_autoptr(JsonArray) actions = json_array_new();

    for (guint i = 0; i < backup->disks->len; i++) {
        QemuBackupDisk *one = backup->disks->pdata[i];

        if (!add_actions(begin, backup, one, entry_of(backup->doc, one->dev), actions, error))
            return NULL;
    }
    if (!begin->checkpoint)
        return g_steal_pointer(&actions);
    g_autoptr(JsonArray) more =
        qemu_checkpoint_actions(begin->dom, begin->qmp, begin->machine, begin->checkpoint, error);
    for (guint i = 0; more && i < json_array_get_length(more); i++)
        json_array_add_object_element(actions,
                                      json_object_ref(json_array_get_object_element(more, i)));
    return more ? g_steal_pointer(&actions) : NULL;
}

static gboolean enter_jobs(Begin *begin, QemuBackup *backup, GError **error)
{
    for (guint i = 0; i < backup->disks->len; i++) {
        QemuBackupDisk *one = backup->disks->pdata[i];
        const VireoDomainDisk *disk = qemu_disk_named(begin->machine, one->dev);
        g_autoptr(QemuBlockJob) job = qemu_blockjob_new(VIREO_DOMAIN_BLOCK_JOB_TYPE_BACKUP, one->dev,
                                                        qemu_disk_path(disk), NULL);

        job->target = g_strdup(one->path);
        if (!qemu_blockjob_enter(begin->dom, job, error))
            return FALSE;
    }
    return TRUE;
}

static void forget_jobs(QemuDomain *dom, const QemuBackup *backup)
{
    g_mutex_lock(&dom->lock);
    for (guint i = 0; i < backup->disks->len; i++)
        g_hash_table_remove(dom->block_jobs, ((QemuBackupDisk *)backup->disks->pdata[i])->dev);
    g_mutex_unlock(&dom->lock);
    qemu_live_keep(dom);
}

static gboolean set_going(Begin *begin, QemuBackup *backup, GError **error)
{
    g_autoptr(JsonArray) actions = all_actions(begin, backup, error);

    if (!actions || !enter_jobs(begin, backup, error))
        return FALSE;
    if (begin->checkpoint &&
        !qemu_checkpoint_put(begin->dom, vireo_domain_checkpoint_copy(begin->checkpoint), TRUE, error))
        return FALSE;
    if (qemu_transaction(begin->qmp, json_array_ref(actions), error))
        return TRUE;
    for (guint i = 0; i < backup->disks->len; i++)
        g_clear_pointer(&((QemuBackupDisk *)backup->disks->pdata[i])->bitmap, g_free);
    if (begin->checkpoint)
        qemu_checkpoint_remove(begin->dom, begin->checkpoint->name, NULL);
    return FALSE;
}

static void cancel_jobs(Begin *begin, const QemuBackup *backup)
{
    for (guint i = 0; i < backup->disks->len; i++) {
        g_autofree char *id = g_strdup_printf("backup-%s", ((QemuBackupDisk *)backup->disks->pdata[i])->dev);

        vireo_qmp_run(begin->qmp, "job-cancel", vireo_json_new('s', "id", id, 0), NULL, NULL);
    }
}

static gboolean run(Begin *begin, QemuBackup *backup, GError **error)
{
    VireoDomainBackup *doc = backup->doc;

    for (guint i = 0; i < doc->disks->disks.n; i++)
        if (doc->disks->disks.items[i]->backup == VIREO_TRISTATE_YES &&
            !open_file(begin, backup, doc->disks->disks.items[i], error))
            return FALSE;
    if (backup->pull && !start_server(begin, doc, error))
        return FALSE;
    if (!set_going(begin, backup, error)) {
        forget_jobs(begin->dom, backup);
        return FALSE;
    }
    return TRUE;
}

static gboolean begin_backup(Begin *begin, const vireo_domain_backup_begin_args *args, GError **error)
{
    QemuDomain *dom = begin->dom;
    g_autoptr(VireoDomainBackup) doc = vireo_domain_backup_parse(args->backup_xml, 0, error);
    gboolean exported = TRUE;

    if (!doc || !qemu_blockjobs_none(dom, NULL, error) || !complete(begin, doc, error) ||
        (begin->checkpoint &&
         !qemu_checkpoint_prepare(dom, begin->qmp, begin->machine, begin->checkpoint, error)))
        return FALSE;
    QemuBackup *backup = qemu_backup_new(g_steal_pointer(&doc));
    /* Known before QEMU begins: a job may be over at once. */
    g_mutex_lock(&dom->lock);
    dom->backup = backup;
    g_mutex_unlock(&dom->lock);
    if (!run(begin, backup, error)) {
        g_mutex_lock(&dom->lock);
        dom->backup = NULL;
        g_mutex_unlock(&dom->lock);
        qemu_backup_close(dom, begin->qmp, backup, TRUE);
        qemu_backup_free(backup);
        return FALSE;
    }
    for (guint i = 0; backup->pull && exported && i < backup->disks->len; i++) {
        const QemuBackupDisk *one = backup->disks->pdata[i];

        exported = export_disk(begin, one, entry_of(backup->doc, one->dev), error);
    }
    if (!exported)
        cancel_jobs(begin, backup); /* their end tidies up */
    qemu_live_keep(dom);
    return exported;
}

int qemu_domain_backup_begin(void *handle, vireo_call *call,
                             const vireo_domain_backup_begin_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;
    g_autoptr(VireoQmp) qmp = dom ? qemu_domain_monitor(dom, &error) : NULL;
    g_autoptr(VireoDomainCheckpoint) checkpoint = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (qmp && args->checkpoint_xml)
        checkpoint = vireo_domain_checkpoint_parse(args->checkpoint_xml, 0, &error);
    if (error)
        return qemu_fail(conn->driver, call, error);
    Begin begin = { dom, call, qmp, live->doc, checkpoint,
                    (args->flags & VIREO_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL) != 0 };
    gboolean begun = begin_backup(&begin, args, &error);
    if (begun && checkpoint)
        qemu_checkpoints_publish(dom);
    return begun ? VIREO_OK : qemu_fail(conn->driver, call, error);
}

int qemu_domain_backup_get_xml_desc(void *handle, vireo_call *call,
                                    const vireo_domain_backup_get_xml_desc_args *args,
                                    vireo_domain_backup_get_xml_desc_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_mutex_lock(&dom->lock);
    g_autofree char *xml = dom->backup ? vireo_domain_backup_format(dom->backup->doc, 0) : NULL;
    g_mutex_unlock(&dom->lock);
    if (!xml)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_BACKUP, "domain '%s' has no backup",
                                        dom->name);
    ret->xml = conn->driver->host->strdup(call, xml);
    return VIREO_OK;
}
