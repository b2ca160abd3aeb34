/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy of a disk that stays in step with it until it is left behind or taken over. */
#include "blockcopy.h"

#include <sys/stat.h>
#include <unistd.h>

#include "blockjob.h"
#include "engine.h"
#include "images.h"
#include "kit/file.h"
#include "launch.h"
#include "ops.h"
#include "run.h"

#define IMAGE_TOOL "/usr/bin/qemu-img"
#define TOOL_MS 600000

typedef struct {
    const char *path;
    VireoDomainStorageFormat format; /* UNSET: of what is there, or of the disk */
    gboolean is_block, shallow, reuse, write_through;
    gint64 speed, granularity, buffer; /* 0: QEMU's own */
} Copy;

typedef struct {
    QemuDomain *dom;
    vireo_call *call;
    VireoQmp *qmp;
    const VireoDomainDisk *disk;
    GPtrArray *chain;  /* of the disk */
    GPtrArray *target; /* of the copy, once it is there */
    GPtrArray *nodes;  /* names of what was opened here, lowest first */
    char *real;
    gboolean made;
} Work;

static void work_clear(Work *work)
{
    vireo_qmp_unref(work->qmp);
    g_clear_pointer(&work->chain, g_ptr_array_unref);
    g_clear_pointer(&work->target, g_ptr_array_unref);
    g_ptr_array_unref(work->nodes);
    g_free(work->real);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

/* ---- the file -------------------------------------------------------------------------- */

static gboolean may_write(Work *work, const VireoDomain *doc, const Copy *copy, GError **error)
{
    qemu_reap_path(work->dom, work->call, copy->path);
    g_autoptr(QemuGraph) graph = qemu_engine_graph(work->dom, doc, NULL, error);
    struct stat st;

    if (!graph || !(work->real = qemu_real_new_path(copy->path, error)))
        return FALSE;
    gboolean there = stat(work->real, &st) == 0;
    if (there) {
        g_free(work->real);
        work->real = qemu_real_path(copy->path);
    }
    if (qemu_graph_has(graph, work->real))
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "another file",
                    "%s belongs to this or another domain, or to one of its snapshots", copy->path);
    else if (!there && (copy->reuse || copy->is_block))
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s is not there", copy->path);
    else if (there && copy->is_block != S_ISBLK(st.st_mode))
        qemu_error(error, VIREO_ERR_INVALID_ARG, "%s is %s block device", copy->path,
                   copy->is_block ? "no" : "a");
    else if (there && !copy->reuse && !copy->is_block && st.st_size)
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "another file, or flag REUSE_EXT, which copies into it",
                    "%s exists and is not empty", copy->path);
    else
        return TRUE;
    return FALSE;
}

static gboolean disk_bytes(Work *work, guint64 *bytes, GError **error)
{
    g_autofree char *real = qemu_real_path(qemu_disk_path(work->disk));
    g_autofree char *node = real ? qemu_live_node(work->qmp, real, error) : NULL;
    g_autoptr(JsonNode) answer =
        node ? vireo_qmp_call(work->qmp, "query-named-block-nodes", vireo_json_new('b', "flat", TRUE, 0),
                              NULL, error)
             : NULL;
    JsonArray *list = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *one = vireo_json_element(list, i);

        if (g_strcmp0(vireo_json_string(one, "node-name"), node))
            continue;
        *bytes = (guint64)vireo_json_int(vireo_json_object(one, "image"), "virtual-size", 0);
        return TRUE;
    }
    if (answer)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU does not know how big disk '%s' is",
                   work->disk->target->dev);
    return FALSE;
}

static gboolean format_image(Work *work, const Copy *copy, GError **error)
{
    const QemuImage *below = copy->shallow && work->chain->len > 1 ? work->chain->pdata[1] : NULL;
    g_autofree char *size = NULL, *output = NULL;
    guint64 bytes;

    if (!disk_bytes(work, &bytes, error))
        return FALSE;
    size = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    const char *format = vireo_domain_storage_format_to_string(copy->format);
    const char *plain[] = { IMAGE_TOOL, "create", "-q", "-f", format, work->real, size, NULL };
    const char *over[] = { IMAGE_TOOL, "create", "-q", "-u", "-f", format, "-b",
                           below ? below->path : NULL, "-F",
                           below ? vireo_domain_storage_format_to_string(below->format) : NULL,
                           work->real, size, NULL };
    int status = qemu_run(work->dom->space->driver, work->call, below ? over : plain, TRUE, TOOL_MS,
                          &output, error);
    if (status > 0)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "qemu-img on %s: %s", work->real,
                   output && *output ? output : "failed without a message");
    return status == 0;
}

static gboolean make_file(Work *work, const Copy *copy, GError **error)
{
    QemuImage image = { work->real, copy->format, FALSE, TRUE };

    if (!g_file_test(work->real, G_FILE_TEST_EXISTS)) {
        if (!qemu_engine_make_file(work->dom, work->real, qemu_disk_path(work->disk), error))
            return FALSE;
        work->made = TRUE;
    }
    if (!qemu_image_give(work->dom->space->driver, work->dom->uuid_text, &image, error))
        return FALSE;
    gboolean raw_device = copy->is_block && copy->format == VIREO_DOMAIN_STORAGE_FORMAT_RAW;
    return copy->reuse || raw_device || format_image(work, copy, error);
}

/* ---- nodes ------------------------------------------------------------------------------ */

static void undo(Work *work)
{
    while (work->nodes->len) {
        const char *name = work->nodes->pdata[work->nodes->len - 1];

        vireo_qmp_run(work->qmp, "blockdev-del", vireo_json_new('s', "node-name", name, 0), NULL, NULL);
        g_ptr_array_set_size(work->nodes, (gint)work->nodes->len - 1);
    }
    if (work->real)
        qemu_image_take_back_one(work->dom->space->driver, work->dom->uuid_text, work->real);
    if (work->made)
        unlink(work->real);
}

static gboolean add_node(Work *work, JsonObject *node, GError **error)
{
    char *name = g_strdup(vireo_json_string(node, "node-name"));

    if (vireo_qmp_run(work->qmp, "blockdev-add", node, NULL, error)) {
        g_ptr_array_add(work->nodes, name);
        return TRUE;
    }
    g_free(name);
    return FALSE;
}

/* Opens one image of the target's chain on top of backing (NULL: nothing). Returns its node. */
static char *open_image(Work *work, const QemuImage *image, gboolean top, gboolean is_block,
                        const char *backing, GError **error)
{
    g_autofree char *name = qemu_live_new_name(work->qmp, work->disk->target->dev, error);
    JsonObject *storage, *format;

    if (!name)
        return NULL;
    qemu_disk_overlay_nodes(work->disk, image->path, name, &storage, &format);
    if (is_block)
        json_object_set_string_member(storage, "driver", "host_device");
    json_object_set_string_member(format, "driver",
                                  vireo_domain_storage_format_to_string(image->format));
    if (!top)
        json_object_set_boolean_member(format, "read-only", TRUE);
    if (image->format != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2)
        json_object_remove_member(format, "backing");
    else if (backing)
        json_object_set_string_member(format, "backing", backing);
    if (!add_node(work, storage, error)) {
        json_object_unref(format);
        return NULL;
    }
    return add_node(work, format, error) ? g_steal_pointer(&name) : NULL;
}

/* The target with everything it is based on; images QEMU has open already are not opened again. */
static char *open_target(Work *work, const Copy *copy, GError **error)
{
    g_autoptr(VireoDomainDisk) disk = vireo_domain_disk_copy(work->disk);
    g_autofree char *below = NULL;
    guint known;

    qemu_disk_set_image(disk, work->real, copy->is_block, copy->format);
    if (!(work->target = qemu_image_chain(disk, error)))
        return NULL;
    for (known = 1; known < work->target->len && !below; known++) {
        QemuImage *image = work->target->pdata[known];
        g_autofree char *real = qemu_real_path(image->path);

        if (!qemu_image_give(work->dom->space->driver, work->dom->uuid_text, image, error))
            return NULL;
        below = real ? qemu_live_node(work->qmp, real, NULL) : NULL;
    }
    if (below)
        known--;
    while (known-- > 1) {
        char *node = open_image(work, work->target->pdata[known], FALSE, FALSE, below, error);

        if (!node)
            return NULL;
        g_free(below);
        below = node;
    }
    return open_image(work, work->target->pdata[0], TRUE, copy->is_block, below, error);
}

/* ---- copying ------------------------------------------------------------------------------ */

static QemuBlockJob *new_job(Work *work, const Copy *copy)
{
    QemuBlockJob *job = qemu_blockjob_new(VIREO_DOMAIN_BLOCK_JOB_TYPE_COPY, work->disk->target->dev,
                                          qemu_disk_path(work->disk), work->chain);
    g_autoptr(GStrvBuilder) images = g_strv_builder_new();

    g_strv_builder_addv(images, (const char **)job->images);
    for (guint i = 0; i < work->target->len; i++)
        g_strv_builder_add(images, ((QemuImage *)work->target->pdata[i])->path);
    g_strfreev(job->images);
    job->images = g_strv_builder_end(images);
    job->target = g_strdup(copy->path);
    job->format = copy->format;
    job->is_block = copy->is_block;
    return job;
}

static gboolean mirror(Work *work, const Copy *copy, const char *target, GError **error)
{
    g_autofree char *real = qemu_real_path(qemu_disk_path(work->disk));
    g_autofree char *node = qemu_live_node(work->qmp, real, error);

    if (!node)
        return FALSE;
    JsonObject *args = vireo_json_new('s', "device", node, 's', "target", target, 's', "sync",
                                      copy->shallow ? "top" : "full", 'i', "speed", copy->speed, 's',
                                      "copy-mode", copy->write_through ? "write-blocking" : NULL, 0);
    if (copy->granularity)
        json_object_set_int_member(args, "granularity", copy->granularity);
    if (copy->buffer)
        json_object_set_int_member(args, "buf-size", copy->buffer);
    g_autoptr(QemuBlockJob) job = new_job(work, copy);
    return qemu_blockjob_begin(work->dom, work->call, work->qmp, job, "blockdev-mirror", args, error);
}

static gboolean choose_format(const Work *work, Copy *copy, GError **error)
{
    if (copy->format == VIREO_DOMAIN_STORAGE_FORMAT_UNSET && copy->reuse) {
        g_autoptr(QemuImageInfo) info = qemu_image_inspect(copy->path, FALSE, error);

        if (!info)
            return FALSE;
        copy->format = info->is_qcow2 ? VIREO_DOMAIN_STORAGE_FORMAT_QCOW2
                                      : VIREO_DOMAIN_STORAGE_FORMAT_RAW;
    } else if (copy->format == VIREO_DOMAIN_STORAGE_FORMAT_UNSET) {
        copy->format = work->disk->driver->type;
    }
    if (copy->format != VIREO_DOMAIN_STORAGE_FORMAT_RAW &&
        copy->format != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2)
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "<driver type='raw'/> or 'qcow2'",
                    "a copy is raw or qcow2, not %s",
                   vireo_domain_storage_format_to_string(copy->format));
    else if (copy->shallow && work->chain->len > 1 &&
             copy->format == VIREO_DOMAIN_STORAGE_FORMAT_RAW)
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "leave out SHALLOW, or copy to qcow2",
                    "a raw image cannot be based on another");
    else
        return TRUE;
    return FALSE;
}

static gboolean copy_disk(QemuDomain *dom, vireo_call *call, const char *name, Copy *copy,
                          GError **error)
{
    g_auto(Work) work = { dom, call, .nodes = g_ptr_array_new_with_free_func(g_free) };
    g_autoptr(QemuDef) live = NULL;

    if (!(work.qmp = qemu_domain_monitor(dom, error)) || !(live = qemu_domain_live(dom)) ||
        !(work.disk = qemu_block_disk(dom, live->doc, name, error)) ||
        !(work.chain = qemu_image_chain(work.disk, error)) ||
        !may_write(&work, live->doc, copy, error) || !choose_format(&work, copy, error))
        return FALSE;
    g_autofree char *target = make_file(&work, copy, error) ? open_target(&work, copy, error) : NULL;
    if (target && mirror(&work, copy, target, error))
        return TRUE;
    undo(&work);
    return FALSE;
}

char *qemu_block_target(QemuDomain *dom, vireo_call *call, VireoQmp *qmp,
                        const VireoDomainDisk *disk, const QemuBlockTarget *target, gboolean *made,
                        GError **error)
{
    g_auto(Work) work = { dom, call, .nodes = g_ptr_array_new_with_free_func(g_free) };
    Copy copy = { .path = target->path, .format = target->format, .is_block = target->is_block,
                  .reuse = target->reuse };
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    char *node = NULL;

    work.qmp = vireo_qmp_ref(qmp);
    work.disk = disk;
    if (!live || !(work.chain = qemu_image_chain(disk, error)) ||
        !may_write(&work, live->doc, &copy, error) || !choose_format(&work, &copy, error))
        return NULL;
    QemuImage image = { work.real, copy.format, FALSE, TRUE };
    if (make_file(&work, &copy, error))
        node = target->over ? open_image(&work, &image, TRUE, copy.is_block, target->over, error)
                            : open_target(&work, &copy, error);
    *made = work.made;
    if (!node)
        undo(&work);
    return node;
}

/* Where a copy could not go on by itself after the guest's next start, the caller has to know that. */
static gboolean transient_enough(QemuDomain *dom, gboolean flag, GError **error)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);

    if (!config || flag)
        return TRUE;
    qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                "flag TRANSIENT_JOB says that this is known",
                "a copy ends with the guest and domain '%s' is persistent", dom->name);
    return FALSE;
}

gboolean qemu_block_rebase_copy(QemuDomain *dom, vireo_call *call,
                                const vireo_domain_block_rebase_args *args, GError **error)
{
    Copy copy = { .path = args->base,
                  .is_block = (args->flags & VIREO_DOMAIN_BLOCK_REBASE_COPY_DEV) != 0,
                  .shallow = (args->flags & VIREO_DOMAIN_BLOCK_REBASE_SHALLOW) != 0,
                  .reuse = (args->flags & VIREO_DOMAIN_BLOCK_REBASE_REUSE_EXT) != 0 };

    if (args->flags & VIREO_DOMAIN_BLOCK_REBASE_COPY_RAW)
        copy.format = VIREO_DOMAIN_STORAGE_FORMAT_RAW;
    if (!args->base) {
        qemu_error(error, VIREO_ERR_INVALID_ARG, "flag COPY needs the file to copy to as base");
        return FALSE;
    }
    return transient_enough(dom, FALSE, error) &&
           qemu_block_speed(args->bandwidth,
                            (args->flags & VIREO_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES) != 0, &copy.speed,
                            error) &&
           copy_disk(dom, call, args->path, &copy, error);
}

/* ---- with parameters ------------------------------------------------------------------------ */

static gboolean read_params(const vireo_domain_block_copy_args *args, Copy *copy, GError **error)
{
    for (guint i = 0; i < args->params.len; i++) {
        const vireo_typed_param *param = &args->params.val[i];

        if (g_str_equal(param->field, "bandwidth")) {
            if (!qemu_block_speed(param->value.ul, TRUE, &copy->speed, error))
                return FALSE;
        } else if (g_str_equal(param->field, "granularity")) {
            copy->granularity = param->value.ui;
            if (copy->granularity & (copy->granularity - 1)) {
                qemu_error(error, VIREO_ERR_INVALID_ARG, "a granularity of %u is no power of two",
                           param->value.ui);
                return FALSE;
            }
        } else if (g_str_equal(param->field, "buf-size")) {
            if (!qemu_block_speed(param->value.ul, TRUE, &copy->buffer, error))
                return FALSE;
        }
    }
    return TRUE;
}

static gboolean copy_to(QemuDomain *dom, vireo_call *call, const vireo_domain_block_copy_args *args,
                        GError **error)
{
    Copy copy = { .shallow = (args->flags & VIREO_DOMAIN_BLOCK_COPY_SHALLOW) != 0,
                  .reuse = (args->flags & VIREO_DOMAIN_BLOCK_COPY_REUSE_EXT) != 0,
                  .write_through =
                      (args->flags & VIREO_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES) != 0 };
    g_autoptr(VireoDomainBackupCopyTarget) doc =
        vireo_domain_backup_copy_target_parse(args->destxml, 0, error);

    if (!doc)
        return FALSE;
    copy.is_block = doc->type == VIREO_DOMAIN_DISK_TYPE_BLOCK;
    copy.path = copy.is_block ? doc->source->dev : doc->source->file;
    copy.format = doc->driver ? doc->driver->type : VIREO_DOMAIN_STORAGE_FORMAT_UNSET;
    if (!copy.path || (!copy.is_block && doc->type != VIREO_DOMAIN_DISK_TYPE_FILE)) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "a disk is copied to a file or a block device, not to %s",
                   vireo_domain_disk_type_to_string(doc->type));
        return FALSE;
    }
    return transient_enough(dom, (args->flags & VIREO_DOMAIN_BLOCK_COPY_TRANSIENT_JOB) != 0, error) &&
           read_params(args, &copy, error) && copy_disk(dom, call, args->path, &copy, error);
}

int qemu_domain_block_copy(void *handle, vireo_call *call, const vireo_domain_block_copy_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    return copy_to(dom, call, args, &error) ? VIREO_OK : qemu_fail(conn->driver, call, error);
}
