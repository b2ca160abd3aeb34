/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a server's image says about itself, through QEMU's tool: it knows the protocols. */
#include <string.h>

#include "bitmaps.h"
#include "engine.h"
#include "images.h"
#include "remote.h"
#include "run.h"

#define IMAGE_TOOL "/usr/bin/qemu-img"
#define ASK_MS 15000 /* a server that does not answer by then is not there */

#define TRIES 20

static QemuDriver *asker;

void qemu_remote_init(QemuDriver *driver)
{
    asker = driver;
}

static GPrivate first;

void qemu_remote_ask_first(QemuDomain *dom)
{
    g_private_set(&first, dom);
}

/* ---- guests --------------------------------------------------------------------- */

/* Nobody knows yet what is below a disk whose chain could not be read. */
static gboolean may_have_locked(QemuDomain *dom, const char *location)
{
    for (guint i = 0; dom->live && i < dom->live->doc->devices->disks.n; i++) {
        const VireoDomainDisk *disk = dom->live->doc->devices->disks.items[i];
        GPtrArray *chain = g_hash_table_lookup(dom->chains, disk->target->dev);

        if (!chain)
            return TRUE;
        for (guint n = 0; n < chain->len; n++)
            if (g_str_equal(((QemuImage *)chain->pdata[n])->path, location))
                return TRUE;
    }
    return FALSE;
}

static JsonObject *ask_guest(QemuDomain *dom, const char *location)
{
    g_mutex_lock(&dom->lock);
    g_autoptr(VireoQmp) qmp =
        dom->id != -1 && dom->qmp && may_have_locked(dom, location) ? vireo_qmp_ref(dom->qmp) : NULL;
    g_mutex_unlock(&dom->lock);
    return qmp ? qemu_live_image(qmp, location) : NULL;
}

/* Not while this thread, or another one, loads a space: then nobody knows all domains. */
static gboolean may_ask_all(void)
{
    for (guint i = 0; i < TRIES; i++) {
        if (g_mutex_trylock(&asker->lock)) {
            g_mutex_unlock(&asker->lock);
            return TRUE;
        }
        g_usleep(5000);
    }
    return FALSE;
}

static JsonObject *ask_guests(const char *location)
{
    QemuDomain *mine = g_private_get(&first);
    JsonObject *answer = mine ? ask_guest(mine, location) : NULL;
    g_autoptr(GPtrArray) all = !answer && may_ask_all() ? qemu_engine_domains(asker) : NULL;

    for (guint i = 0; all && !answer && i < all->len; i++)
        if (all->pdata[i] != mine)
            answer = ask_guest(all->pdata[i], location);
    return answer;
}

/* ---- servers -------------------------------------------------------------------- */

/* The last line: what the tool prints before it are warnings of libraries. */
static const char *reason(const char *output)
{
    const char *line = strrchr(output, '\n');

    return line ? line + 1 : output;
}

static JsonObject *ask(const char *location, const char *format, GError **error)
{
    const char *argv[] = { IMAGE_TOOL, "info", "--output=json", "-U", location, format ? "-f" : NULL, format, NULL };
    g_autofree char *output = NULL;
    int status = qemu_run(asker, NULL, argv, TRUE, ASK_MS, &output, error);

    if (status < 0)
        g_prefix_error(error, "the server of image %s does not answer: ", location);
    if (status > 0)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "cannot open image %s: %s%s", location, reason(output),
                   strstr(output, "Unknown protocol") || strstr(output, "Unknown driver")
                       ? " (package qemu-block-extra has it)" : "");
    const char *json = status == 0 ? strchr(output, '{') : NULL;
    JsonObject *answer = json ? vireo_json_parse(json, -1, error) : NULL;
    if (!answer && error && !*error)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s says nothing about image %s", IMAGE_TOOL, location);
    return answer;
}

static void read_snapshots(JsonArray *list, GPtrArray *snapshots)
{
    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *one = vireo_json_element(list, i);
        QemuImageSnapshot *snapshot = qemu_image_info_add(snapshots, vireo_json_string(one, "id"),
                                                          vireo_json_string(one, "name"));

        snapshot->has_vmstate = vireo_json_int(one, "vm-state-size", 0) > 0;
    }
}

static gboolean has_flag(JsonObject *bitmap, const char *flag)
{
    JsonArray *flags = vireo_json_array(bitmap, "flags");

    for (guint i = 0; i < vireo_json_length(flags); i++)
        if (!g_strcmp0(json_array_get_string_element(flags, i), flag))
            return TRUE;
    return FALSE;
}

static void read_bitmaps(JsonObject *answer, GPtrArray *bitmaps)
{
    JsonObject *data = vireo_json_object(vireo_json_object(answer, "format-specific"), "data");
    JsonArray *list = vireo_json_array(data, "bitmaps");

    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *one = vireo_json_element(list, i);
        gboolean broken = has_flag(one, "in-use");

        qemu_bitmap_new(bitmaps, vireo_json_string(one, "name"), has_flag(one, "auto") && !broken, broken);
    }
}

QemuImageInfo *qemu_remote_inspect(const char *location, GPtrArray *bitmaps, GError **error)
{
    g_autoptr(JsonObject) answer = ask_guests(location);

    /* What is done next would make the guest stand still until the server is back. */
    if (answer && !g_private_get(&first) && !qemu_remote_reach(location, error))
        return NULL;
    if (!answer && !(answer = ask(location, NULL, error)))
        return NULL;
    QemuImageInfo *info = qemu_image_info_new();
    info->is_qcow2 = !g_strcmp0(vireo_json_string(answer, "format"), "qcow2");
    info->virtual_size = (guint64)vireo_json_int(answer, "virtual-size", 0);
    if (!info->is_qcow2)
        return info;
    info->backing = g_strdup(vireo_json_string(answer, "backing-filename"));
    info->backing_format = g_strdup(vireo_json_string(answer, "backing-filename-format"));
    read_snapshots(vireo_json_array(answer, "snapshots"), info->snapshots);
    if (bitmaps)
        read_bitmaps(answer, bitmaps);
    return info;
}

gboolean qemu_remote_size(const char *location, guint64 *bytes, GError **error)
{
    g_autoptr(JsonObject) answer = ask(location, "raw", error);

    *bytes = (guint64)vireo_json_int(answer, "virtual-size", 0);
    return answer != NULL;
}
