/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers of vCPUs and KiB, of the stored definition and of the running guest. */
#include "ops.h"

#include "events.h"
#include "livestate.h"

static gboolean vcpus_live(QemuDomain *dom, vireo_call *call, guint count, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);

    if (!qmp || !live)
        return FALSE;
    const VireoDomainVcpu *vcpu = live->doc->vcpu;
    guint now = vcpu->has_current ? vcpu->current : vcpu->text;
    if (count == now)
        return TRUE;
    if (count > vcpu->text || count < now) {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   count < now ? "vCPUs are added to a running guest, not taken away (%u of %u)"
                               : "%u vCPUs are more than the %u the guest can have", count,
                   count < now ? now : vcpu->text);
        return FALSE;
    }
    g_autoptr(JsonNode) node = vireo_qmp_call(qmp, "query-hotpluggable-cpus", NULL, NULL, error);
    JsonArray *slots = vireo_json_node_array(node);
    for (guint i = vireo_json_length(slots); i-- > 0 && now < count;) {
        JsonObject *slot = vireo_json_element(slots, i);
        g_autofree char *id = g_strdup_printf("vcpu%u", now);

        if (vireo_json_string(slot, "qom-path"))
            continue;
        JsonObject *device =
            vireo_json_new('s', "driver", vireo_json_string(slot, "type"), 's', "id", id, 0);
        JsonObject *props = vireo_json_object(slot, "props");
        g_autoptr(GList) names = props ? json_object_get_members(props) : NULL;
        for (GList *name = names; name; name = name->next)
            json_object_set_int_member(device, name->data, vireo_json_int(props, name->data, 0));
        if (!vireo_qmp_run(qmp, "device_add", device, NULL, error))
            return FALSE;
        now++;
    }
    VireoDomain *doc = vireo_domain_copy(live->doc);
    doc->vcpu->current = now;
    doc->vcpu->has_current = now != doc->vcpu->text;
    qemu_domain_set_live(dom, qemu_def_new(doc));
    return node && now == count && qemu_live_save(dom, error);
}

static gboolean vcpus_config(QemuDomain *dom, guint count, gboolean maximum, GError **error)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    g_autoptr(VireoDomain) doc = vireo_domain_copy(config->doc);
    VireoDomainVcpu *vcpu = doc->vcpu;

    if (!maximum && count > vcpu->text) {
        qemu_error(error, VIREO_ERR_INVALID_ARG, "%u vCPUs are more than the maximum of %u", count,
                   vcpu->text);
        return FALSE;
    }
    if (maximum)
        vcpu->text = count;
    else
        vcpu->current = count;
    if (!maximum)
        vcpu->has_current = TRUE;
    if (vcpu->has_current && vcpu->current >= vcpu->text)
        vcpu->has_current = FALSE;
    if (!qemu_def_complete(dom->space, doc, error))
        return FALSE;
    g_autoptr(QemuDef) def = qemu_def_new(g_steal_pointer(&doc));
    return qemu_domain_store(dom, def, error);
}

int qemu_domain_set_vcpus_flags(void *handle, vireo_call *call,
                                const vireo_domain_set_vcpus_flags_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    gboolean live, config, maximum = (args->flags & VIREO_DOMAIN_VCPU_MAXIMUM) != 0;
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    if (!args->nvcpus)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "a guest needs a vCPU");
    if (live && maximum)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG,
                                        "the maximum of vCPUs of a running guest is fixed");
    if ((live && !vcpus_live(dom, call, args->nvcpus, &error)) ||
        (config && !vcpus_config(dom, args->nvcpus, maximum, &error)))
        return qemu_fail(conn->driver, call, error);
    qemu_domain_publish(dom);
    return VIREO_OK;
}

/* ---- memory -------------------------------------------------------------------- */

static gboolean memory_live(QemuDomain *dom, vireo_call *call, guint64 kib, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    VireoQmpWait wait = qemu_wait(dom->space->driver, call, 30);

    if (!qmp || !live)
        return FALSE;
    if (kib > live->doc->memory->text) {
        qemu_error(error, VIREO_ERR_INVALID_ARG,
                   "%" G_GUINT64_FORMAT " KiB are more than the guest's %" G_GUINT64_FORMAT, kib,
                   live->doc->memory->text);
        return FALSE;
    }
    return vireo_qmp_run(qmp, "balloon", vireo_json_new('i', "value", (gint64)kib * 1024, 0), &wait,
                         error);
}

static gboolean memory_config(QemuDomain *dom, guint64 kib, gboolean maximum, GError **error)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    g_autoptr(VireoDomain) doc = vireo_domain_copy(config->doc);

    if (!maximum && kib > doc->memory->text) {
        qemu_error(error, VIREO_ERR_INVALID_ARG,
                   "%" G_GUINT64_FORMAT " KiB are more than the maximum of %" G_GUINT64_FORMAT, kib,
                   doc->memory->text);
        return FALSE;
    }
    if (maximum)
        doc->memory->text = kib;
    else
        doc->current_memory = kib;
    if (!qemu_def_complete(dom->space, doc, error))
        return FALSE;
    g_autoptr(QemuDef) def = qemu_def_new(g_steal_pointer(&doc));
    return qemu_domain_store(dom, def, error);
}

int qemu_domain_set_memory_flags(void *handle, vireo_call *call,
                                 const vireo_domain_set_memory_flags_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    gboolean live, config, maximum = (args->flags & VIREO_DOMAIN_MEM_MAXIMUM) != 0;
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    if (!args->memory || args->memory > G_MAXINT64 / 1024)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "no such amount of memory");
    if (live && maximum)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "the maximum of memory of a running guest is fixed");
    if ((live && !memory_live(dom, call, args->memory, &error)) ||
        (config && !memory_config(dom, args->memory, maximum, &error)))
        return qemu_fail(conn->driver, call, error);
    qemu_domain_publish(dom);
    return VIREO_OK;
}

int qemu_domain_set_memory_stats_period(void *handle, vireo_call *call,
                                        const vireo_domain_set_memory_stats_period_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    gboolean live, config;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    if (args->period < 0)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "a period of %d seconds",
                                        args->period);
    if (live) {
        g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, &error);
        VireoQmpWait wait = qemu_wait(conn->driver, call, 30);
        JsonObject *set = vireo_json_new('s', "path", "/machine/peripheral/balloon0", 's',
                                         "property", "guest-stats-polling-interval", 'i', "value",
                                         (gint64)args->period, 0);

        if (!qmp || !vireo_qmp_run(qmp, "qom-set", set, &wait, &error))
            return qemu_fail(conn->driver, call, error);
    }
    if (config) {
        g_autoptr(QemuDef) stored = qemu_domain_config(dom);
        VireoDomain *doc = vireo_domain_copy(stored->doc);
        g_autoptr(QemuDef) def = qemu_def_new(doc);

        if (doc->devices->memballoon) {
            doc->devices->memballoon->stats = (guint32)args->period;
            doc->devices->memballoon->has_stats = args->period > 0;
        }
        if (!qemu_domain_store(dom, def, &error))
            return qemu_fail(conn->driver, call, error);
    }
    return VIREO_OK;
}
