/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory, virtual CPUs, pinning, scheduling. */
#include "ops.h"

#include <string.h>

#include "params.h"

#define MAX_VCPUS 32

/* ---- memory -----------------------------------------------------------------------------------
 */

typedef struct {
    guint64 kib;
    gboolean maximum;
} MemoryEdit;

static int edit_memory(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const MemoryEdit *edit = opaque;

    if (edit->kib == 0)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "a domain needs memory");
    if (edit->maximum && live)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "the maximum memory of a running domain cannot change");
    if (edit->maximum) {
        doc->memory->text = edit->kib;
        doc->current_memory = MIN(doc->current_memory, edit->kib);
        return VIREO_OK;
    }
    if (edit->kib > doc->memory->text)
        return FAIL(call, VIREO_ERR_INVALID_ARG,
                    "%" G_GUINT64_FORMAT " KiB is more than the maximum of %" G_GUINT64_FORMAT,
                    edit->kib, doc->memory->text);
    doc->current_memory = edit->kib;
    return VIREO_OK;
}

int test_domain_set_memory_flags(TestConn *conn, vireo_call *call,
                                 const vireo_domain_set_memory_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    MemoryEdit edit = {args->memory, (args->flags & VIREO_DOMAIN_MEM_MAXIMUM) != 0};
    guint64 before;

    if (!dom)
        return VIREO_FAIL;
    before = dom->memory;
    if (test_domain_edit(dom, call, args->flags, edit_memory, &edit) != VIREO_OK)
        return VIREO_FAIL;
    if (test_domain_active(dom) && dom->memory != before) {
        vireo_domain_event_balloon_change_msg msg = {.actual = dom->memory};

        test_domain_event(dom, VIREO_EVENT_domain_event_balloon_change, &msg, &msg.dom);
    }
    return VIREO_OK;
}

int test_domain_set_memory_stats_period(TestConn *conn, vireo_call *call,
                                        const vireo_domain_set_memory_stats_period_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (args->period < 0)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "a period of %d seconds", args->period);
    test_domain_extra(dom)->memory_period = args->period;
    return VIREO_OK;
}

static guint64 *memtune_slot(VireoDomainMemtune *memtune, const char *name, gboolean **has)
{
    if (strcmp(name, "hard_limit") == 0) {
        *has = &memtune->has_hard_limit;
        return &memtune->hard_limit;
    }
    if (strcmp(name, "soft_limit") == 0) {
        *has = &memtune->has_soft_limit;
        return &memtune->soft_limit;
    }
    *has = &memtune->has_swap_hard_limit;
    return &memtune->swap_hard_limit;
}

static const char *const memtune_names[] = {"hard_limit", "soft_limit", "swap_hard_limit", NULL};
#define UNLIMITED G_GUINT64_CONSTANT(9007199254740991)

static int edit_memtune(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const vireo_domain_set_memory_parameters_args *args = opaque;

    (void)call;
    (void)live;
    if (!doc->memtune)
        doc->memtune = g_new0(VireoDomainMemtune, 1);
    for (const char *const *name = memtune_names; *name; name++) {
        gboolean *has;
        guint64 *slot = memtune_slot(doc->memtune, *name, &has), value;

        if (!test_params_number(args->params.val, args->params.len, *name, &value))
            continue;
        *has = value < UNLIMITED;
        *slot = value;
    }
    return VIREO_OK;
}

int test_domain_set_memory_parameters(TestConn *conn, vireo_call *call,
                                      const vireo_domain_set_memory_parameters_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom ||
        test_params_only(call, args->params.val, args->params.len, memtune_names) != VIREO_OK)
        return VIREO_FAIL;
    return test_domain_edit(dom, call, args->flags, edit_memtune, (void *)args);
}

int test_domain_get_memory_parameters(TestConn *conn, vireo_call *call,
                                      const vireo_domain_get_memory_parameters_args *args,
                                      vireo_domain_get_memory_parameters_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_view(dom, call, args->flags) : NULL;
    TestParams params = {.call = call};

    if (!doc)
        return VIREO_FAIL;
    for (const char *const *name = memtune_names; *name; name++) {
        gboolean *has = NULL;
        guint64 *slot = doc->memtune ? memtune_slot(doc->memtune, *name, &has) : NULL;

        test_params_ullong(&params, *name, slot && *has ? *slot : UNLIMITED);
    }
    TEST_PARAMS_COUNTED(&params, args->nparams, ret);
    return VIREO_OK;
}

/* ---- virtual CPUs -----------------------------------------------------------------------------
 */

typedef struct {
    guint n;
    gboolean maximum;
} VcpuEdit;

static int edit_vcpus(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const VcpuEdit *edit = opaque;
    guint most = edit->maximum ? MAX_VCPUS : doc->vcpu->text;

    if (edit->n == 0 || edit->n > most)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "%u virtual CPUs: expected 1 to %u", edit->n,
                    most);
    if (edit->maximum && live)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "the maximum number of virtual CPUs of a running domain cannot change");
    if (edit->maximum) {
        doc->vcpu->text = edit->n;
        doc->vcpu->has_current = doc->vcpu->has_current && doc->vcpu->current < edit->n;
        return VIREO_OK;
    }
    doc->vcpu->current = edit->n;
    doc->vcpu->has_current = edit->n < doc->vcpu->text;
    return VIREO_OK;
}

int test_domain_set_vcpus_flags(TestConn *conn, vireo_call *call,
                                const vireo_domain_set_vcpus_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    VcpuEdit edit = {args->nvcpus, (args->flags & VIREO_DOMAIN_VCPU_MAXIMUM) != 0};

    return dom ? test_domain_edit(dom, call, args->flags, edit_vcpus, &edit) : VIREO_FAIL;
}

static guint current_vcpus(const VireoDomain *doc)
{
    return doc->vcpu->has_current ? doc->vcpu->current : doc->vcpu->text;
}

int test_domain_get_vcpus_flags(TestConn *conn, vireo_call *call,
                                const vireo_domain_get_vcpus_flags_args *args,
                                vireo_domain_get_vcpus_flags_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_view(dom, call, args->flags) : NULL;

    if (!doc)
        return VIREO_FAIL;
    ret->num =
        (gint32)(args->flags & VIREO_DOMAIN_VCPU_MAXIMUM ? doc->vcpu->text : current_vcpus(doc));
    return VIREO_OK;
}

/* ---- pinning: cpusets as text in the definition, as bitmaps on the wire ------------------------
 */

static void map_from_text(const char *text, int cpus, guint8 *map, guint len)
{
    g_auto(GStrv) parts = text ? g_strsplit(text, ",", -1) : NULL;

    for (int i = 0; !text && i < cpus && (guint)i / 8 < len; i++)
        map[i / 8] |= (guint8)(1u << (i % 8));
    for (char **part = parts; part && *part; part++) {
        gboolean off = **part == '^';
        char *end = NULL;
        guint64 first = g_ascii_strtoull(*part + off, &end, 10);
        guint64 last = *end == '-' ? g_ascii_strtoull(end + 1, NULL, 10) : first;

        for (guint64 i = first; i <= last && i / 8 < len; i++)
            if (off)
                map[i / 8] &= (guint8) ~(1u << (i % 8));
            else
                map[i / 8] |= (guint8)(1u << (i % 8));
    }
}

/* NULL when no CPU of this host is in the map. */
static char *text_from_map(const guint8 *map, guint len, int cpus)
{
    GString *text = g_string_new(NULL);

#define HAS(i) ((i) < cpus && (guint)(i) / 8 < len && (map[(i) / 8] >> ((i) % 8) & 1))
    for (int i = 0; i < cpus; i++) {
        int last = i;

        if (!HAS(i))
            continue;
        while (HAS(last + 1))
            last++;
        g_string_append_printf(text, last > i ? "%s%d-%d" : "%s%d", text->len ? "," : "", i, last);
        i = last;
    }
#undef HAS
    if (text->len == 0) {
        g_string_free(text, TRUE);
        return NULL;
    }
    return g_string_free(text, FALSE);
}

static const char *pin_of(const VireoDomain *doc, guint vcpu)
{
    for (guint i = 0; doc->cputune && i < doc->cputune->vcpupins.n; i++)
        if (doc->cputune->vcpupins.items[i]->vcpu == vcpu)
            return doc->cputune->vcpupins.items[i]->cpuset;
    return doc->vcpu->cpuset;
}

typedef struct {
    guint vcpu;
    gboolean emulator;
    const char *cpuset;
} PinEdit;

static int edit_pin(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const PinEdit *edit = opaque;
    VireoDomainCputuneVcpupin *pin = NULL;

    (void)live;
    if (!doc->cputune)
        doc->cputune = g_new0(VireoDomainCputune, 1);
    if (edit->emulator) {
        g_free(doc->cputune->emulatorpin);
        doc->cputune->emulatorpin = g_strdup(edit->cpuset);
        return VIREO_OK;
    }
    if (edit->vcpu >= doc->vcpu->text)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "no virtual CPU %u: there are %u", edit->vcpu,
                    doc->vcpu->text);
    for (guint i = 0; i < doc->cputune->vcpupins.n; i++)
        if (doc->cputune->vcpupins.items[i]->vcpu == edit->vcpu)
            pin = doc->cputune->vcpupins.items[i];
    if (!pin) {
        pin = g_new0(VireoDomainCputuneVcpupin, 1);
        pin->vcpu = edit->vcpu;
        pin->has_vcpu = TRUE;
        vireo_list_append(&doc->cputune->vcpupins, pin);
    }
    g_free(pin->cpuset);
    pin->cpuset = g_strdup(edit->cpuset);
    return VIREO_OK;
}

static int pin(TestDomain *dom, vireo_call *call, guint flags, PinEdit *edit, const guint8 *map,
               guint len)
{
    g_autofree char *text = text_from_map(map, len, dom->node->info.cpus);

    if (!text)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "the map names no CPU of this host");
    edit->cpuset = text;
    return test_domain_edit(dom, call, flags, edit_pin, edit);
}

int test_domain_pin_vcpu_flags(TestConn *conn, vireo_call *call,
                               const vireo_domain_pin_vcpu_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    PinEdit edit = {.vcpu = args->vcpu};

    return dom ? pin(dom, call, args->flags, &edit, args->cpumap.val, args->cpumap.len)
               : VIREO_FAIL;
}

int test_domain_pin_emulator(TestConn *conn, vireo_call *call,
                             const vireo_domain_pin_emulator_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    PinEdit edit = {.emulator = TRUE};

    return dom ? pin(dom, call, args->flags, &edit, args->cpumap.val, args->cpumap.len)
               : VIREO_FAIL;
}

/* The wire allows that many bytes of maps. */
static int map_room(vireo_call *call, int n, int maplen, guint most)
{
    if (n < 0 || maplen < 0 || (guint64)n * (guint64)maplen > most)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "%d maps of %d bytes are too much", n, maplen);
    return VIREO_OK;
}

int test_domain_get_vcpu_pin_info(TestConn *conn, vireo_call *call,
                                  const vireo_domain_get_vcpu_pin_info_args *args,
                                  vireo_domain_get_vcpu_pin_info_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_view(dom, call, args->flags) : NULL;

    if (!doc || map_room(call, args->ncpumaps, args->maplen, VIREO_LIMIT_CPUMAPS_MAX) != VIREO_OK)
        return VIREO_FAIL;
    ret->num = (gint32)MIN((guint)args->ncpumaps, doc->vcpu->text);
    ret->cpumaps.len = (guint)(ret->num * args->maplen);
    ret->cpumaps.val = NEW(call, uint8_t, ret->cpumaps.len + 1);
    for (int i = 0; i < ret->num; i++)
        map_from_text(pin_of(doc, (guint)i), node->info.cpus, ret->cpumaps.val + i * args->maplen,
                      (guint)args->maplen);
    return VIREO_OK;
}

int test_domain_get_emulator_pin_info(TestConn *conn, vireo_call *call,
                                      const vireo_domain_get_emulator_pin_info_args *args,
                                      vireo_domain_get_emulator_pin_info_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_view(dom, call, args->flags) : NULL;
    const char *text;

    if (!doc || map_room(call, 1, args->maplen, VIREO_LIMIT_CPUMAPS_MAX) != VIREO_OK)
        return VIREO_FAIL;
    text =
        doc->cputune && doc->cputune->emulatorpin ? doc->cputune->emulatorpin : doc->vcpu->cpuset;
    ret->cpumaps.len = (guint)args->maplen;
    ret->cpumaps.val = NEW(call, uint8_t, ret->cpumaps.len + 1);
    map_from_text(text, node->info.cpus, ret->cpumaps.val, ret->cpumaps.len);
    ret->ret = 1;
    return VIREO_OK;
}

int test_domain_get_vcpus(TestConn *conn, vireo_call *call, const vireo_domain_get_vcpus_args *args,
                          vireo_domain_get_vcpus_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = NULL;
    guint64 each;

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK ||
        map_room(call, args->maxinfo, args->maplen, VIREO_LIMIT_CPUMAPS_MAX) != VIREO_OK)
        return VIREO_FAIL;
    doc = test_domain_document(dom);
    ret->info.len = MIN((guint)args->maxinfo, current_vcpus(doc));
    ret->info.val = NEW(call, vireo_vcpu_info, ret->info.len + 1);
    ret->cpumaps.len = ret->info.len * (guint)args->maplen;
    ret->cpumaps.val = NEW(call, uint8_t, ret->cpumaps.len + 1);
    each = test_domain_cpu_ns(dom) / dom->vcpus;
    for (guint i = 0; i < ret->info.len; i++) {
        ret->info.val[i] =
            (vireo_vcpu_info){i, VIREO_VCPU_RUNNING, each, (gint32)(i % (guint)node->info.cpus)};
        map_from_text(pin_of(doc, i), node->info.cpus, ret->cpumaps.val + i * (guint)args->maplen,
                      (guint)args->maplen);
    }
    return VIREO_OK;
}

/* ---- scheduling -------------------------------------------------------------------------------
 */

static const char *const sched_names[] = {"cpu_shares", "vcpu_period", "vcpu_quota", NULL};

int test_domain_get_scheduler_type(TestConn *conn, vireo_call *call,
                                   const vireo_domain_get_scheduler_type_args *args,
                                   vireo_domain_get_scheduler_type_ret *ret)
{
    TEST_LOCK(conn);

    if (!test_domain_find(node, call, &args->dom))
        return VIREO_FAIL;
    ret->type = DUP(call, "fair");
    ret->nparams = G_N_ELEMENTS(sched_names) - 1;
    return VIREO_OK;
}

int test_domain_get_scheduler_parameters_flags(
    TestConn *conn, vireo_call *call, const vireo_domain_get_scheduler_parameters_flags_args *args,
    vireo_domain_get_scheduler_parameters_flags_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_view(dom, call, args->flags) : NULL;
    const VireoDomainCputune *tune = doc ? doc->cputune : NULL;
    TestParams params = {.call = call};

    if (!doc)
        return VIREO_FAIL;
    test_params_ullong(&params, "cpu_shares", tune && tune->has_shares ? tune->shares : 1024);
    test_params_ullong(&params, "vcpu_period", tune && tune->has_period ? tune->period : 100000);
    test_params_llong(&params, "vcpu_quota", tune && tune->has_quota ? tune->quota : -1);
    TEST_PARAMS_GIVE(&params, ret->params);
    ret->params.len = MIN(ret->params.len, (guint)MAX(args->nparams, 0));
    return VIREO_OK;
}

static int edit_scheduler(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const vireo_domain_set_scheduler_parameters_flags_args *args = opaque;
    VireoDomainCputune *tune;
    guint64 number;
    gint64 quota;

    (void)live;
    if (!doc->cputune)
        doc->cputune = g_new0(VireoDomainCputune, 1);
    tune = doc->cputune;
    if (test_params_number(args->params.val, args->params.len, "cpu_shares", &number)) {
        if (number < 2 || number > 262144)
            return FAIL(call, VIREO_ERR_INVALID_ARG, "cpu_shares: expected 2 to 262144");
        tune->shares = number;
        tune->has_shares = TRUE;
    }
    if (test_params_number(args->params.val, args->params.len, "vcpu_period", &number)) {
        if (number < 1000 || number > 1000000)
            return FAIL(call, VIREO_ERR_INVALID_ARG, "vcpu_period: expected 1000 to 1000000");
        tune->period = number;
        tune->has_period = TRUE;
    }
    if (test_params_signed(args->params.val, args->params.len, "vcpu_quota", &quota)) {
        if (quota < -1)
            return FAIL(call, VIREO_ERR_INVALID_ARG, "vcpu_quota: expected -1 or more");
        tune->quota = quota;
        tune->has_quota = TRUE;
    }
    return VIREO_OK;
}

int test_domain_set_scheduler_parameters_flags(
    TestConn *conn, vireo_call *call, const vireo_domain_set_scheduler_parameters_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || test_params_only(call, args->params.val, args->params.len, sched_names) != VIREO_OK)
        return VIREO_FAIL;
    return test_domain_edit(dom, call, args->flags, edit_scheduler, (void *)args);
}

/* ---- what the definition wants on power off, reboot, crash ------------------------------------
 */

static int edit_lifecycle(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    static const VireoDomainLifecycle actions[] = {
        VIREO_DOMAIN_LIFECYCLE_DESTROY,          VIREO_DOMAIN_LIFECYCLE_RESTART,
        VIREO_DOMAIN_LIFECYCLE_RENAME_RESTART,   VIREO_DOMAIN_LIFECYCLE_PRESERVE,
        VIREO_DOMAIN_LIFECYCLE_COREDUMP_DESTROY, VIREO_DOMAIN_LIFECYCLE_COREDUMP_RESTART,
    };
    const vireo_domain_set_lifecycle_action_args *args = opaque;
    gboolean core = args->action >= VIREO_DOMAIN_LIFECYCLE_ACTION_COREDUMP_DESTROY;

    (void)live;
    if (args->action >= G_N_ELEMENTS(actions) || (core && args->type != 2) || args->type > 2)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "action %u for lifecycle event %u does not exist",
                    args->action, args->type);
    *(args->type == 0   ? &doc->on_poweroff
      : args->type == 1 ? &doc->on_reboot
                        : &doc->on_crash) = actions[args->action];
    return VIREO_OK;
}

int test_domain_set_lifecycle_action(TestConn *conn, vireo_call *call,
                                     const vireo_domain_set_lifecycle_action_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    return dom ? test_domain_edit(dom, call, args->flags, edit_lifecycle, (void *)args)
               : VIREO_FAIL;
}
