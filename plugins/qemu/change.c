/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "change.h"

#include "blockjob.h"
#include "livestate.h"

gboolean qemu_change_config(QemuDomain *dom, QemuChange change, const void *opaque, GError **error)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    VireoDomain *doc = vireo_domain_copy(config->doc);
    g_autoptr(QemuDef) def = qemu_def_new(doc);

    if (!change(doc, opaque, error) || !qemu_domain_store(dom, def, error))
        return FALSE;
    qemu_domain_publish(dom);
    return TRUE;
}

void qemu_change_live_to(QemuDomain *dom, VireoDomain *doc)
{
    QemuDef *def = qemu_def_new(doc), *old = def;

    qemu_chains_look(dom, doc);
    g_mutex_lock(&dom->lock);
    if (dom->id != -1) {
        old = dom->live;
        dom->live = def;
    }
    g_mutex_unlock(&dom->lock);
    qemu_def_unref(old);
    qemu_domain_publish(dom);
    qemu_live_keep(dom);
}

gboolean qemu_change_live(QemuDomain *dom, QemuChange change, const void *opaque, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);

    if (!live) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
        return FALSE;
    }
    g_autoptr(VireoDomain) doc = vireo_domain_copy(live->doc);
    if (!change(doc, opaque, error))
        return FALSE;
    qemu_change_live_to(dom, g_steal_pointer(&doc));
    return TRUE;
}
