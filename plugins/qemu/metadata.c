/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Title, description and other people's elements in a definition. */
#include "ops.h"

#include "kit/metadata.h"
#include "livestate.h"

int qemu_domain_set_metadata(void *handle, vireo_call *call,
                             const vireo_domain_set_metadata_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    gboolean live, config;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    if (config) {
        g_autoptr(QemuDef) stored = qemu_domain_config(dom);
        VireoDomain *doc = vireo_domain_copy(stored->doc);
        g_autoptr(QemuDef) def = qemu_def_new(doc);

        if (!vireo_metadata_set(doc, args, &error) || !qemu_domain_store(dom, def, &error))
            return qemu_fail(conn->driver, call, error);
    }
    if (live) {
        g_autoptr(QemuDef) now = qemu_domain_live(dom);
        VireoDomain *doc = vireo_domain_copy(now->doc);

        if (!vireo_metadata_set(doc, args, &error)) {
            vireo_domain_free(doc);
            return qemu_fail(conn->driver, call, error);
        }
        qemu_domain_set_live(dom, qemu_def_new(doc));
        if (!qemu_live_save(dom, &error))
            return qemu_fail(conn->driver, call, error);
    }
    vireo_domain_event_callback_metadata_change_msg message = { .type = args->type,
                                                                .nsuri = args->uri };
    qemu_domain_fill_ref(dom, call, &message.dom);
    conn->driver->host->event(conn->space->published,
                              VIREO_EVENT_domain_event_callback_metadata_change, &message);
    return VIREO_OK;
}

int qemu_domain_get_metadata(void *handle, vireo_call *call,
                             const vireo_domain_get_metadata_args *args,
                             vireo_domain_get_metadata_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    gboolean live, config;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    g_autoptr(QemuDef) def = live ? qemu_domain_live(dom) : qemu_domain_config(dom);
    if (def)
        text = vireo_metadata_get(def->doc, args->type, args->uri);
    if (!text)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_METADATA,
                                        "domain '%s' has no such metadata", dom->name);
    ret->metadata = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}
