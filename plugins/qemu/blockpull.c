/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shorter chains: pull moves data up into the disk's image, commit down into a lower one. */
#include "blockjob.h"
#include "ops.h"

#include <sys/stat.h>

#include "blockcopy.h"
#include "engine.h"
#include "images.h"
#include "tell.h"

/* An image to name in a header, as QEMU would not: it writes how it opened it. */
static char *name_for(GPtrArray *chain, guint from, guint to, gboolean relative, GError **error)
{
    return relative ? qemu_chain_relative(chain, from, to, error)
                    : g_strdup(((QemuImage *)chain->pdata[to])->path);
}

static gboolean holds_points(const char *path, const char *why, GError **error)
{
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(path, TRUE, error);

    if (!info)
        return TRUE;
    if (!info->snapshots->len)
        return FALSE;
    qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                "delete that snapshot first",
                "image %s holds internal snapshot '%s', which %s", path,
                ((QemuImageSnapshot *)info->snapshots->pdata[0])->name, why);
    return TRUE;
}

static char *node_of(VireoQmp *qmp, GPtrArray *chain, guint place, GError **error)
{
    const char *path = ((QemuImage *)chain->pdata[place])->path;
    g_autofree char *real = qemu_real_path(path);
    g_autoptr(GError) failure = NULL;
    char *node = real ? qemu_live_node(qmp, real, &failure) : NULL;

    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    else if (!node)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU has not opened image %s", path);
    return node;
}

/* What the images from place `from` up to but without `to` hold. */
static guint64 bytes_between(GPtrArray *chain, guint from, guint to)
{
    guint64 bytes = 0;
    struct stat st;

    for (guint i = from; i < to && i < chain->len; i++)
        if (stat(((QemuImage *)chain->pdata[i])->path, &st) == 0)
            bytes += (guint64)st.st_blocks * 512;
    return bytes;
}

/* ---- pull ----------------------------------------------------------------------------- */

static gboolean pull(QemuDomain *dom, vireo_call *call, const vireo_domain_block_rebase_args *args,
                     QemuTell *tell, GError **error)
{
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    g_autoptr(QemuDef) live = qmp ? qemu_domain_live(dom) : NULL;
    const VireoDomainDisk *disk = live ? qemu_block_disk(dom, live->doc, args->path, error) : NULL;
    g_autoptr(GPtrArray) chain = disk ? qemu_image_chain(disk, error) : NULL;
    gboolean relative = (args->flags & VIREO_DOMAIN_BLOCK_REBASE_RELATIVE) != 0;
    g_autofree char *top = NULL, *base = NULL, *name = NULL;
    gint64 speed;
    int place = chain ? (int)chain->len : 0;

    if (!chain || !qemu_block_speed(args->bandwidth,
                                    (args->flags & VIREO_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES) != 0,
                                    &speed, error))
        return FALSE;
    if (relative && !args->base) {
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "name a base, or leave out RELATIVE",
                    "RELATIVE is about the image that stays below, and no base is named");
        return FALSE;
    }
    if (chain->len > 1 &&
        holds_points(qemu_disk_path(disk), "needs what lies below the image", error))
        return FALSE;
    if (!(top = node_of(qmp, chain, 0, error)))
        return FALSE;
    if (args->base) {
        if ((place = qemu_chain_find(chain, disk->target->dev, args->base, error)) < 0)
            return FALSE;
        if (!place) {
            qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                        "an image below it",
                        "base %s is the image of disk '%s' itself",
                       args->base, disk->target->dev);
            return FALSE;
        }
        if (!(base = node_of(qmp, chain, (guint)place, error)) ||
            !(name = name_for(chain, 0, (guint)place, relative, error)))
            return FALSE;
    }
    if (tell) {
        const char *path = qemu_disk_path(disk);

        qemu_tell_step(tell, "pull", VIREO_PLAN_CHANGES | VIREO_PLAN_LATER, path, name,
                       bytes_between(chain, 1, (guint)place), "copy what lies below %s, down to %s, up into it", path,
                       args->base ? args->base : "the last");
        return TRUE;
    }
    g_autoptr(QemuBlockJob) job = qemu_blockjob_new(VIREO_DOMAIN_BLOCK_JOB_TYPE_PULL,
                                                    disk->target->dev, qemu_disk_path(disk), chain);
    return qemu_blockjob_begin(dom, call, qmp, job, "block-stream",
                               vireo_json_new('s', "device", top, 's', "base-node", base, 's',
                                              "backing-file", name, 'i', "speed", speed, 0),
                               error);
}

static int block_rebase(QemuConn *conn, vireo_call *call, const vireo_domain_block_rebase_args *args,
                        vireo_plan *told)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    gboolean copy = (args->flags & VIREO_DOMAIN_BLOCK_REBASE_COPY) != 0;
    if (copy && told)
        return conn->driver->host->fail(call, VIREO_ERR_NO_SUPPORT, "there are no plans of copies (flag COPY)");
    g_autoptr(QemuTell) tell = told ? qemu_tell_new(dom, call) : NULL;
    gboolean begun = copy ? qemu_block_rebase_copy(dom, call, args, &error)
                          : pull(dom, call, args, tell, &error);
    if (begun && tell)
        qemu_tell_fill(tell, told);
    return begun ? VIREO_OK : qemu_fail(conn->driver, call, error);
}

int qemu_domain_block_rebase(void *handle, vireo_call *call,
                             const vireo_domain_block_rebase_args *args)
{
    return block_rebase(qemu_conn(handle), call, args, NULL);
}

int qemu_vireo_plan_block_rebase(void *handle, vireo_call *call,
                                 const vireo_domain_block_rebase_args *args, vireo_plan *ret)
{
    return block_rebase(qemu_conn(handle), call, args, ret);
}

/* ---- commit --------------------------------------------------------------------------- */

typedef struct {
    const VireoDomainDisk *disk;
    GPtrArray *chain;
    guint top, base; /* places */
} Commit;

/* The snapshot that keeps its disk in this image; NULL: none. Caller frees. */
static char *snapshot_in(QemuDomain *dom, const QemuGraph *graph, const char *real)
{
    g_autoptr(GPtrArray) snaps = qemu_tree_all(dom->tree);

    for (guint i = 0; i < snaps->len; i++) {
        const VireoDomainSnapshot *doc = ((QemuSnap *)snaps->pdata[i])->doc;

        for (guint d = 0; doc->domain && d < doc->domain->devices->disks.n; d++) {
            const char *tag = NULL;
            const char *path =
                qemu_graph_held(graph, QEMU_HOLD_SNAPSHOT, doc->name,
                                doc->domain->devices->disks.items[d]->target->dev, &tag);

            if (!tag && !g_strcmp0(path, real))
                return g_strdup(doc->name);
        }
    }
    return NULL;
}

/* Rule: the image written to, and those whose data goes there, belong to this chain alone. */
static gboolean belongs(QemuDomain *dom, const QemuGraph *graph, const Commit *commit, guint place,
                        GError **error)
{
    const char *path = ((QemuImage *)commit->chain->pdata[place])->path;
    g_autofree char *real = qemu_real_path(path);
    g_autofree char *snap = real ? snapshot_in(dom, graph, real) : NULL;

    if (!real)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "image %s is not there", path);
    else if (snap)
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "snapshot-delete, which makes the chain shorter, too",
                    "image %s is what snapshot '%s' consists of, a commit would change it", path, snap);
    else if (qemu_graph_is_shared(graph, real) || qemu_graph_children(graph, real) > (place ? 1 : 0))
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "blockpull, which writes to the disk's own image only",
                    "image %s is read by others than disk '%s', a commit would change it "
                    "for them", path, commit->disk->target->dev);
    else
        return place == commit->base || !holds_points(path, "would be lost", error);
    return FALSE;
}

static gboolean commit_places(const vireo_domain_block_commit_args *args, Commit *commit,
                              GError **error)
{
    const char *dev = commit->disk->target->dev;
    gboolean shallow = (args->flags & VIREO_DOMAIN_BLOCK_COMMIT_SHALLOW) != 0;
    gboolean active = (args->flags & VIREO_DOMAIN_BLOCK_COMMIT_ACTIVE) != 0;
    int top = args->top ? qemu_chain_find(commit->chain, dev, args->top, error) : 0;
    int base = top < 0            ? -1
               : args->base       ? qemu_chain_find(commit->chain, dev, args->base, error)
               : shallow          ? top + 1
                                  : (int)commit->chain->len - 1;

    if (top < 0 || base < 0)
        return FALSE;
    if (base >= (int)commit->chain->len || base <= top)
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "an image that is lower in its chain (dumpxml shows it)",
                    "disk '%s' has no %s image below %s", dev,
                   args->base ? args->base : "other",
                   ((QemuImage *)commit->chain->pdata[top])->path);
    else if (shallow && args->base && base != top + 1)
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "leave out SHALLOW, or the base",
                    "base %s is not directly below, as SHALLOW asks for",
                   args->base);
    else if (!top && !active)
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "flag ACTIVE, and then blockjob --pivot",
                    "disk '%s' writes to the image that is to be committed", dev);
    else if (top && active)
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "leave out ACTIVE",
                    "flag ACTIVE: %s is not the image disk '%s' writes to",
                   args->top, dev);
    else {
        commit->top = (guint)top;
        commit->base = (guint)base;
        return TRUE;
    }
    return FALSE;
}

static gboolean may_commit(QemuDomain *dom, const VireoDomain *doc, const Commit *commit, gboolean give,
                           GError **error)
{
    g_autoptr(QemuGraph) graph = qemu_engine_graph(dom, doc, NULL, error);
    QemuImage base = *(QemuImage *)commit->chain->pdata[commit->base];

    if (graph)
        qemu_files_leave_out_emptied(dom, graph);
    for (guint i = commit->top; graph && i <= commit->base; i++)
        if (!belongs(dom, graph, commit, i, error))
            return FALSE;
    base.readonly = FALSE;
    base.named = TRUE; /* by whoever asks for the commit */
    return graph && (!give || qemu_image_give(dom->space->driver, dom->uuid_text, &base, error));
}

static void tell_commit(QemuTell *tell, const vireo_domain_block_commit_args *args, const Commit *commit)
{
    const char *top = ((QemuImage *)commit->chain->pdata[commit->top])->path;
    const char *base = ((QemuImage *)commit->chain->pdata[commit->base])->path;
    gboolean goes = (args->flags & VIREO_DOMAIN_BLOCK_COMMIT_DELETE) != 0;

    qemu_tell_step(tell, "commit", VIREO_PLAN_CHANGES | VIREO_PLAN_LATER, base, top,
                   bytes_between(commit->chain, commit->top, commit->base),
                   "write the data of %s, and of what lies between, down into %s", top, base);
    if (!commit->top)
        qemu_tell_step(tell, "switch", VIREO_PLAN_RECORDS | VIREO_PLAN_LATER, base, NULL, 0,
                       "disk '%s' uses %s once it is told to pivot", commit->disk->target->dev, base);
    for (guint i = commit->top; i < commit->base; i++) {
        const char *path = ((QemuImage *)commit->chain->pdata[i])->path;

        if (goes)
            qemu_tell_step(tell, "unlink", VIREO_PLAN_REMOVES | VIREO_PLAN_LATER, path, NULL, 0, "remove %s", path);
        else
            qemu_tell_kept(tell, path, NULL, g_strdup("a commit removes what it has emptied with flag DELETE only"));
    }
}

static gboolean commit_begin(QemuDomain *dom, vireo_call *call, VireoQmp *qmp,
                             const vireo_domain_block_commit_args *args, const Commit *commit,
                             QemuTell *tell, GError **error)
{
    gboolean relative = (args->flags & VIREO_DOMAIN_BLOCK_COMMIT_RELATIVE) != 0;
    const QemuImage *below = commit->chain->pdata[commit->base];
    g_autofree char *node = node_of(qmp, commit->chain, 0, error);
    g_autofree char *top = node ? node_of(qmp, commit->chain, commit->top, error) : NULL;
    g_autofree char *base = top ? node_of(qmp, commit->chain, commit->base, error) : NULL;
    g_autofree char *name = NULL;
    gint64 speed;

    if (!base || !qemu_block_speed(args->bandwidth,
                                   (args->flags & VIREO_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES) != 0,
                                   &speed, error))
        return FALSE;
    if (commit->top &&
        !(name = name_for(commit->chain, commit->top - 1, commit->base, relative, error)))
        return FALSE;
    if (tell) {
        tell_commit(tell, args, commit);
        return TRUE;
    }
    g_autoptr(QemuBlockJob) job =
        qemu_blockjob_new(commit->top ? VIREO_DOMAIN_BLOCK_JOB_TYPE_COMMIT
                                      : VIREO_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT,
                          commit->disk->target->dev, qemu_disk_path(commit->disk), commit->chain);
    job->base = g_strdup(below->path);
    job->format = below->format;
    job->is_block = qemu_is_block(below->path);
    job->remove = (args->flags & VIREO_DOMAIN_BLOCK_COMMIT_DELETE) != 0;
    return qemu_blockjob_begin(dom, call, qmp, job, "block-commit",
                               vireo_json_new('s', "device", node, 's', "top-node", top, 's',
                                              "base-node", base, 's', "backing-file", name, 'i',
                                              "speed", speed, 0),
                               error);
}

static gboolean commit(QemuDomain *dom, vireo_call *call, const vireo_domain_block_commit_args *args,
                       QemuTell *tell, GError **error)
{
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    g_autoptr(QemuDef) live = qmp ? qemu_domain_live(dom) : NULL;
    const VireoDomainDisk *disk = live ? qemu_block_disk(dom, live->doc, args->disk, error) : NULL;
    g_autoptr(GPtrArray) chain = disk ? qemu_image_chain(disk, error) : NULL;
    Commit commit = { disk, chain, 0, 0 };

    return chain && commit_places(args, &commit, error) &&
           may_commit(dom, live->doc, &commit, tell == NULL, error) &&
           commit_begin(dom, call, qmp, args, &commit, tell, error);
}

static int block_commit(QemuConn *conn, vireo_call *call, const vireo_domain_block_commit_args *args,
                        vireo_plan *told)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(QemuTell) tell = told ? qemu_tell_new(dom, call) : NULL;
    if (!commit(dom, call, args, tell, &error))
        return qemu_fail(conn->driver, call, error);
    if (tell)
        qemu_tell_fill(tell, told);
    return VIREO_OK;
}

int qemu_domain_block_commit(void *handle, vireo_call *call,
                             const vireo_domain_block_commit_args *args)
{
    return block_commit(qemu_conn(handle), call, args, NULL);
}

int qemu_vireo_plan_block_commit(void *handle, vireo_call *call,
                                 const vireo_domain_block_commit_args *args, vireo_plan *ret)
{
    return block_commit(qemu_conn(handle), call, args, ret);
}
