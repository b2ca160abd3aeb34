/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a device. A guest lets go of it when it likes: at once, after a while, at its next
 * reset or never. The definition follows what QEMU reports, whoever waits or does not. */
#include "hotplug.h"

#include <string.h>

#include "change.h"
#include "events.h"

#define UNPLUG_MS 5000
#define MONITOR_S 30

static vireo_domain_ref self(QemuDomain *dom)
{
    vireo_domain_ref ref = { .name = dom->name, .id = dom->id };

    memcpy(ref.uuid, dom->uuid, 16);
    return ref;
}

static void raise_event(QemuDomain *dom, guint32 event, const void *message)
{
    dom->space->driver->host->event(dom->space->published, event, message);
}

gboolean qemu_hot_run(QemuHot *hot, const char *command, JsonObject *args, GError **error)
{
    VireoQmpWait wait = qemu_wait(hot->dom->space->driver, hot->call, MONITOR_S);

    return vireo_qmp_run(hot->qmp, command, args, &wait, error);
}

void qemu_hot_event_added(QemuHot *hot, const char *alias)
{
    vireo_domain_event_callback_device_added_msg message = { .dom = self(hot->dom),
                                                             .devAlias = (char *)alias };

    raise_event(hot->dom, VIREO_EVENT_domain_event_callback_device_added, &message);
}

#define DROP(list, i) memmove(&(list).items[i], &(list).items[i + 1], \
                              (--(list).n - (i)) * sizeof *(list).items)

/* Takes the device out of the document; what it needed on this side goes too. */
static gboolean forget_device(QemuHot *hot, const char *alias)
{
    VireoDomainDevices *devices = hot->doc->devices;

    VEC_EACH(devices->disks, i)
    {
        g_autoptr(VireoDomainDisk) disk = NULL;

        if (g_strcmp0(devices->disks.items[i]->alias, alias))
            continue;
        disk = devices->disks.items[i];
        DROP(devices->disks, i);
        qemu_hot_disk_release(hot, disk);
        return TRUE;
    }
    VEC_EACH(devices->interfaces, i)
    {
        g_autoptr(VireoDomainInterface) iface = NULL;

        if (g_strcmp0(devices->interfaces.items[i]->alias, alias))
            continue;
        iface = devices->interfaces.items[i];
        DROP(devices->interfaces, i);
        qemu_hot_net_release(hot, iface);
        return TRUE;
    }
    VEC_EACH(devices->controllers, i)
    {
        if (g_strcmp0(devices->controllers.items[i]->alias, alias))
            continue;
        vireo_domain_controller_free(devices->controllers.items[i]);
        DROP(devices->controllers, i);
        return TRUE;
    }
    return FALSE;
}

/* Job held. Once per report of QEMU, however many ask. */
static void finish(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *alias)
{
    vireo_domain_event_device_removed_msg message = { .devAlias = (char *)alias };

    g_mutex_lock(&dom->lock);
    gboolean reported = g_hash_table_remove(dom->removed, alias);
    g_mutex_unlock(&dom->lock);
    if (!reported)
        return;
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    if (!live)
        return;
    QemuHot hot = { dom, call, qmp, vireo_domain_copy(live->doc) };
    if (forget_device(&hot, alias))
        qemu_change_live_to(dom, g_steal_pointer(&hot.doc));
    vireo_domain_free(hot.doc);
    message.dom = self(dom);
    raise_event(dom, VIREO_EVENT_domain_event_device_removed, &message);
}

gboolean qemu_hot_unplug(QemuHot *hot, const char *alias, GError **error)
{
    qemu_device_forget(hot->dom, alias);
    if (!qemu_hot_run(hot, "device_del", vireo_json_new('s', "id", alias, 0), error))
        return FALSE;
    if (qemu_device_wait(hot->dom, hot->call, alias, UNPLUG_MS))
        finish(hot->dom, hot->call, hot->qmp, alias);
    return TRUE;
}

/* ---- reports ------------------------------------------------------------------- */

typedef struct {
    QemuDomain *dom;
    char *alias;
} Gone;

static void gone_work(void *opaque)
{
    Gone *gone = opaque;
    QemuDomain *dom = gone->dom;

    qemu_domain_take_job(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, NULL);
    if (qmp)
        finish(dom, NULL, qmp, gone->alias);
    qemu_domain_give_job(dom);
    qemu_domain_unref(dom);
    g_free(gone->alias);
    g_free(gone);
}

void qemu_hot_gone(QemuDomain *dom, const char *alias)
{
    QemuDriver *driver = dom->space->driver;
    Gone *gone = g_new0(Gone, 1);

    g_mutex_lock(&dom->lock);
    g_hash_table_add(dom->removed, g_strdup(alias));
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
    gone->dom = qemu_domain_ref(dom);
    gone->alias = g_strdup(alias);
    driver->host->defer(driver->core, gone_work, gone);
}

static gboolean is_listed(JsonArray *list, const char *alias)
{
    for (guint i = 0; i < vireo_json_length(list); i++)
        if (!g_strcmp0(vireo_json_string(vireo_json_element(list, i), "name"), alias))
            return TRUE;
    return FALSE;
}

void qemu_hot_reconcile(QemuDomain *dom, JsonArray *list)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);

    /* No answer is no news. */
    if (!live || !list)
        return;
    const VireoDomainDevices *devices = live->doc->devices;
    VEC_EACH(devices->disks, i)
    if (!is_listed(list, devices->disks.items[i]->alias))
        qemu_hot_gone(dom, devices->disks.items[i]->alias);
    VEC_EACH(devices->interfaces, i)
    if (!is_listed(list, devices->interfaces.items[i]->alias))
        qemu_hot_gone(dom, devices->interfaces.items[i]->alias);
}

void qemu_hot_refused(QemuDomain *dom, const char *alias)
{
    vireo_domain_event_callback_device_removal_failed_msg message = { .dom = self(dom),
                                                                      .devAlias = (char *)alias };

    raise_event(dom, VIREO_EVENT_domain_event_callback_device_removal_failed, &message);
}

void qemu_hot_tray(QemuDomain *dom, const char *alias, gboolean open)
{
    vireo_domain_event_tray_change_msg message = {
        .dom = self(dom),
        .devAlias = (char *)alias,
        .reason = open ? VIREO_DOMAIN_EVENT_TRAY_CHANGE_OPEN : VIREO_DOMAIN_EVENT_TRAY_CHANGE_CLOSE,
    };

    raise_event(dom, VIREO_EVENT_domain_event_tray_change, &message);
}
