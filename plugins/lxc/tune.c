/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits, of the definition and of what runs. */
#include "ops.h"

#include <string.h>

#include "cgroup.h"
#include "kit/params.h"

#define UNLIMITED G_GUINT64_CONSTANT(9007199254740991)

static gboolean apply(LxcDomain *dom, const VireoDomain *now, VireoDomain *then, const void *opaque, GError **error)
{
    return lxc_cgroup_apply(dom->cgroup, now, then, error);
}

static int change_limits(void *handle, vireo_call *call, const vireo_domain_ref *ref, guint flags, LxcChange change,
                         const void *opaque)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, ref);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    return lxc_domain_change(dom, flags, change, apply, opaque, &error) ? VIREO_OK : lxc_fail(conn->driver, call, error);
}

/* ---- memory -------------------------------------------------------------------- */

static gboolean set_memory(VireoDomain *doc, const void *opaque, GError **error)
{
    const vireo_domain_set_memory_flags_args *args = opaque;

    if (args->flags & VIREO_DOMAIN_MEM_MAXIMUM) {
        doc->memory->text = args->memory;
        doc->current_memory = MIN(doc->current_memory, args->memory);
    } else if (args->memory > doc->memory->text) {
        lxc_error(error, VIREO_ERR_INVALID_ARG, "%" G_GUINT64_FORMAT " KiB are more than the maximum of %" G_GUINT64_FORMAT,
                  args->memory, doc->memory->text);
        return FALSE;
    } else {
        doc->current_memory = args->memory;
    }
    return TRUE;
}

int lxc_domain_set_memory_flags(void *handle, vireo_call *call, const vireo_domain_set_memory_flags_args *args)
{
    const struct vireo_host *host = lxc_conn(handle)->driver->host;

    if (!args->memory)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "a container needs memory");
    return change_limits(handle, call, &args->dom, args->flags & ~(guint)VIREO_DOMAIN_MEM_MAXIMUM, set_memory, args);
}

static gboolean set_memtune(VireoDomain *doc, const void *opaque, GError **error)
{
    const vireo_domain_set_memory_parameters_args *args = opaque;

    if (!doc->memtune)
        doc->memtune = g_new0(VireoDomainMemtune, 1);
    VireoDomainMemtune *tune = doc->memtune;
    for (guint i = 0; i < args->params.len; i++) {
        const vireo_typed_param *param = &args->params.val[i];
        guint64 value = param->value.ul;
        gboolean set = value < UNLIMITED;

        if (g_str_equal(param->field, "hard_limit")) {
            tune->hard_limit = value;
            tune->has_hard_limit = set;
        } else if (g_str_equal(param->field, "soft_limit")) {
            tune->soft_limit = value;
            tune->has_soft_limit = set;
        } else if (g_str_equal(param->field, "swap_hard_limit")) {
            tune->swap_hard_limit = value;
            tune->has_swap_hard_limit = set;
        } else {
            lxc_error(error, VIREO_ERR_OPERATION_UNSUPPORTED, "containers have no %s", param->field);
            return FALSE;
        }
    }
    if (tune->has_swap_hard_limit && tune->swap_hard_limit < (tune->has_hard_limit ? tune->hard_limit : doc->current_memory)) {
        lxc_error(error, VIREO_ERR_INVALID_ARG, "swap_hard_limit counts memory and swap: it is at least hard_limit");
        return FALSE;
    }
    return TRUE;
}

int lxc_domain_set_memory_parameters(void *handle, vireo_call *call, const vireo_domain_set_memory_parameters_args *args)
{
    return change_limits(handle, call, &args->dom, args->flags, set_memtune, args);
}

int lxc_domain_get_memory_parameters(void *handle, vireo_call *call, const vireo_domain_get_memory_parameters_args *args,
                                     vireo_domain_get_memory_parameters_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_auto(VireoParams) params = { 0 };

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDef) def = lxc_domain_view(dom, args->flags, &error);
    if (!def)
        return lxc_fail(conn->driver, call, error);
    const VireoDomainMemtune *tune = def->doc->memtune;
    vireo_params_init(&params, conn->driver->host, call);
    vireo_param_ullong(&params, "hard_limit", tune && tune->has_hard_limit ? tune->hard_limit : UNLIMITED);
    vireo_param_ullong(&params, "soft_limit", tune && tune->has_soft_limit ? tune->soft_limit : UNLIMITED);
    vireo_param_ullong(&params, "swap_hard_limit", tune && tune->has_swap_hard_limit ? tune->swap_hard_limit : UNLIMITED);
    ret->nparams = (gint32)params.list->len;
    if (args->nparams >= ret->nparams)
        ret->params.val = vireo_params_take(&params, &ret->params.len);
    return VIREO_OK;
}

/* ---- CPU ----------------------------------------------------------------------- */

int lxc_domain_get_scheduler_type(void *handle, vireo_call *call, const vireo_domain_get_scheduler_type_args *args,
                                  vireo_domain_get_scheduler_type_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->type = conn->driver->host->strdup(call, "posix");
    ret->nparams = 3;
    return VIREO_OK;
}

static gboolean set_scheduler(VireoDomain *doc, const void *opaque, GError **error)
{
    const vireo_domain_set_scheduler_parameters_flags_args *args = opaque;

    if (!doc->cputune)
        doc->cputune = g_new0(VireoDomainCputune, 1);
    VireoDomainCputune *tune = doc->cputune;
    for (guint i = 0; i < args->params.len; i++) {
        const vireo_typed_param *param = &args->params.val[i];

        if (g_str_equal(param->field, "cpu_shares") && param->value.ul >= 2 && param->value.ul <= 262144) {
            tune->shares = param->value.ul;
            tune->has_shares = TRUE;
        } else if (g_str_equal(param->field, "vcpu_period") && param->value.ul >= 1000 && param->value.ul <= 1000000) {
            tune->period = param->value.ul;
            tune->has_period = TRUE;
        } else if (g_str_equal(param->field, "vcpu_quota") && (param->value.l <= 0 || param->value.l >= 1000)) {
            tune->quota = param->value.l;
            tune->has_quota = TRUE;
        } else {
            lxc_error(error, VIREO_ERR_INVALID_ARG,
                      "%s is not taken: cpu_shares is 2 to 262144, vcpu_period 1000 to 1000000, and vcpu_quota at least "
                      "1000, or -1", param->field);
            return FALSE;
        }
    }
    return TRUE;
}

int lxc_domain_set_scheduler_parameters_flags(void *handle, vireo_call *call,
                                              const vireo_domain_set_scheduler_parameters_flags_args *args)
{
    return change_limits(handle, call, &args->dom, args->flags, set_scheduler, args);
}

int lxc_domain_get_scheduler_parameters_flags(void *handle, vireo_call *call,
                                              const vireo_domain_get_scheduler_parameters_flags_args *args,
                                              vireo_domain_get_scheduler_parameters_flags_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_auto(VireoParams) params = { 0 };

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDef) def = lxc_domain_view(dom, args->flags, &error);
    if (!def)
        return lxc_fail(conn->driver, call, error);
    const VireoDomainCputune *tune = def->doc->cputune;
    vireo_params_init(&params, conn->driver->host, call);
    vireo_param_ullong(&params, "cpu_shares", tune && tune->has_shares ? tune->shares : 1024);
    if (args->nparams > 1)
        vireo_param_ullong(&params, "vcpu_period", tune && tune->has_period ? tune->period : 100000);
    if (args->nparams > 2)
        vireo_param_llong(&params, "vcpu_quota", tune && tune->has_quota ? tune->quota : -1);
    ret->params.val = vireo_params_take(&params, &ret->params.len);
    return VIREO_OK;
}

/* ---- disks --------------------------------------------------------------------- */

#define MEMBER(name) G_STRUCT_OFFSET(VireoDomainBlkiotuneDevice, name), G_STRUCT_OFFSET(VireoDomainBlkiotuneDevice, has_##name)
static const struct {
    const char *field;
    glong value, has;
    gboolean wide;
} per_device[] = {
    { "device_weight", MEMBER(weight), FALSE },
    { "device_read_iops_sec", MEMBER(read_iops_sec), FALSE },
    { "device_write_iops_sec", MEMBER(write_iops_sec), FALSE },
    { "device_read_bytes_sec", MEMBER(read_bytes_sec), TRUE },
    { "device_write_bytes_sec", MEMBER(write_bytes_sec), TRUE },
};

static VireoDomainBlkiotuneDevice *device_of(VireoDomainBlkiotune *tune, const char *path)
{
    VEC_EACH(tune->devices, i)
    if (g_str_equal(tune->devices.items[i]->path, path))
        return tune->devices.items[i];
    VireoDomainBlkiotuneDevice *made = g_new0(VireoDomainBlkiotuneDevice, 1);
    made->path = g_strdup(path);
    vireo_list_append(&tune->devices, made);
    return made;
}

/* "PATH,NUMBER,PATH,NUMBER" */
static gboolean set_devices(VireoDomainBlkiotune *tune, guint row, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    guint n = g_strv_length(parts);

    for (guint i = 0; i + 1 < n; i += 2) {
        guint64 number;

        if (parts[i][0] != '/' || !g_ascii_string_to_unsigned(parts[i + 1], 10, 0, per_device[row].wide ? G_MAXINT64 : G_MAXUINT32,
                                                              &number, NULL))
            n = 1;
        else {
            VireoDomainBlkiotuneDevice *device = device_of(tune, parts[i]);

            if (per_device[row].wide)
                G_STRUCT_MEMBER(guint64, device, per_device[row].value) = number;
            else
                G_STRUCT_MEMBER(guint32, device, per_device[row].value) = (guint32)number;
            G_STRUCT_MEMBER(gboolean, device, per_device[row].has) = TRUE;
        }
    }
    if (n % 2 == 0 && n)
        return TRUE;
    lxc_error(error, VIREO_ERR_INVALID_ARG, "%s is /PATH,NUMBER for each device, not '%s'", per_device[row].field, text);
    return FALSE;
}

static gboolean set_blkio(VireoDomain *doc, const void *opaque, GError **error)
{
    const vireo_domain_set_blkio_parameters_args *args = opaque;

    if (!doc->blkiotune)
        doc->blkiotune = g_new0(VireoDomainBlkiotune, 1);
    for (guint i = 0; i < args->params.len; i++) {
        const vireo_typed_param *param = &args->params.val[i];

        if (g_str_equal(param->field, "weight")) {
            doc->blkiotune->weight = param->value.ui;
            doc->blkiotune->has_weight = TRUE;
        }
        for (guint row = 0; row < G_N_ELEMENTS(per_device); row++)
            if (g_str_equal(param->field, per_device[row].field) &&
                !set_devices(doc->blkiotune, row, param->value.s, error))
                return FALSE;
    }
    return TRUE;
}

int lxc_domain_set_blkio_parameters(void *handle, vireo_call *call, const vireo_domain_set_blkio_parameters_args *args)
{
    return change_limits(handle, call, &args->dom, args->flags, set_blkio, args);
}

static char *devices_text(const VireoDomainBlkiotune *tune, guint row)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (guint i = 0; tune && i < tune->devices.n; i++) {
        const VireoDomainBlkiotuneDevice *device = tune->devices.items[i];
        guint64 number = per_device[row].wide ? G_STRUCT_MEMBER(guint64, device, per_device[row].value)
                                              : G_STRUCT_MEMBER(guint32, device, per_device[row].value);

        if (G_STRUCT_MEMBER(gboolean, device, per_device[row].has))
            g_string_append_printf(out, "%s%s,%" G_GUINT64_FORMAT, out->len ? "," : "", device->path, number);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

int lxc_domain_get_blkio_parameters(void *handle, vireo_call *call, const vireo_domain_get_blkio_parameters_args *args,
                                    vireo_domain_get_blkio_parameters_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_auto(VireoParams) params = { 0 };

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDef) def = lxc_domain_view(dom, args->flags, &error);
    if (!def)
        return lxc_fail(conn->driver, call, error);
    const VireoDomainBlkiotune *tune = def->doc->blkiotune;
    vireo_params_init(&params, conn->driver->host, call);
    vireo_param_uint(&params, "weight", tune && tune->has_weight ? tune->weight : 0);
    for (guint row = 0; row < G_N_ELEMENTS(per_device); row++) {
        g_autofree char *text = devices_text(tune, row);

        vireo_param_string(&params, per_device[row].field, text);
    }
    ret->nparams = (gint32)params.list->len;
    if (args->nparams >= ret->nparams)
        ret->params.val = vireo_params_take(&params, &ret->params.len);
    return VIREO_OK;
}
