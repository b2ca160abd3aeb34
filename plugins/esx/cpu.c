/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CPU time. A server keeps what a machine has used in each of the last spans of 20 seconds, and no sum. That is made
 * here: of what it remembers since the machine's start when the first client asks, and of all that comes later. */
#include "driver.h"

#include <string.h>

#define SPAN_SECONDS 20
#define REMEMBERED   180 /* spans: an hour */
#define AT_ONCE      50  /* machines of one request */

typedef struct {
    gint64 until; /* of the last span counted: microseconds since 1970 of the server's clock; 0: none yet */
    guint64 ms;
} Used;

struct EsxFigures {
    GMutex lock; /* of what follows */
    gint counter; /* the server's number for it; 0: not asked yet, -1: it has none */
    GHashTable *used; /* ref's value -> Used */
};

EsxFigures *esx_figures_new(void)
{
    EsxFigures *figures = g_new0(EsxFigures, 1);

    g_mutex_init(&figures->lock);
    figures->used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return figures;
}

void esx_figures_free(EsxFigures *figures)
{
    g_hash_table_unref(figures->used);
    g_mutex_clear(&figures->lock);
    g_free(figures);
}

static Used used_of(EsxFigures *figures, const char *value)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&figures->lock);
    const Used *known = g_hash_table_lookup(figures->used, value);

    return known ? *known : (Used){ 0 };
}

guint64 esx_cpu_time(const EsxServer *server, const EsxRef *machine)
{
    return used_of(server->figures, machine->value).ms * 1000000;
}

void esx_cpu_forget(EsxServer *server, const EsxRef *machine)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->figures->lock);

    g_hash_table_remove(server->figures->used, machine->value);
}

/* ---- which counter it is --------------------------------------------------------------- */

static gboolean is_cpu_used(const VimPerfCounterInfo *info)
{
    return info && g_str_equal(info->group_info->key, "cpu") && g_str_equal(info->name_info->key, "used") &&
           info->rollup_type == VIM_PERF_SUMMARY_TYPE_SUMMATION;
}

static gboolean find_counter(EsxServer *server, gint *counter, const VireoHttpWait *wait, GError **error)
{
    static const char *const paths[] = { "perfCounter" };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    EsxRef *manager = server->content->perf_manager;

    g_mutex_lock(&server->figures->lock);
    *counter = manager ? server->figures->counter : -1;
    g_mutex_unlock(&server->figures->lock);
    if (*counter != 0)
        return TRUE;
    VimObjectContent *found = esx_properties_of(server, manager, paths, 1, wait, arena, error);
    if (!found)
        return FALSE;
    const VireoSoapValue *list = esx_property(found, paths[0]);
    *counter = -1;
    for (guint i = 0; i < vireo_soap_value_length(list); i++) {
        const VimPerfCounterInfo *info =
            vireo_soap_value_struct(vireo_soap_value_item(list, i), &vim_perf_counter_info_type);

        if (is_cpu_used(info))
            *counter = info->key;
    }
    g_mutex_lock(&server->figures->lock);
    server->figures->counter = *counter;
    g_mutex_unlock(&server->figures->lock);
    return TRUE;
}

/* ---- what has been used ---------------------------------------------------------------- */

/* What a machine used before its present start is not asked for; until[i] is 0 where nobody knows. */
static gboolean find_starts(EsxServer *server, EsxRef *const *machines, guint n, gint64 *until,
                            const VireoHttpWait *wait, GError **error)
{
    static const char *const paths[] = { "summary.runtime.bootTime" };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimRetrievePropertiesRet *ret = esx_properties(server, "VirtualMachine", machines, n, paths, 1, wait, arena, error);

    for (guint i = 0; ret && i < ret->returnval.n; i++)
        for (guint j = 0; j < n; j++)
            if (g_str_equal(ret->returnval.items[i]->obj->value, machines[j]->value))
                until[j] = vireo_soap_value_int(esx_property(ret->returnval.items[i], paths[0]), 0);
    return ret != NULL;
}

/* Where each machine's first span begins. */
static gboolean find_beginnings(EsxServer *server, EsxRef *const *machines, guint n, gint64 *until,
                                const VireoHttpWait *wait, GError **error)
{
    gboolean all = TRUE;

    for (guint i = 0; i < n; i++) {
        until[i] = used_of(server->figures, machines[i]->value).until;
        all = all && until[i] != 0;
    }
    if (all)
        return TRUE;
    g_autofree gint64 *starts = g_new0(gint64, n);
    if (!find_starts(server, machines, n, starts, wait, error))
        return FALSE;
    for (guint i = 0; i < n; i++)
        if (until[i] == 0)
            until[i] = starts[i];
    return TRUE;
}

/* Two calls may bring the same span: it counts once. A span of which nothing is known is negative. */
static void take_spans(EsxFigures *figures, const VimPerfEntityMetric *metric, const VimPerfMetricIntSeries *series)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&figures->lock);
    Used *used = g_hash_table_lookup(figures->used, metric->base.entity->value);
    guint n = MIN(series->value.n, metric->sample_info.n);

    if (!used) {
        used = g_new0(Used, 1);
        g_hash_table_insert(figures->used, g_strdup(metric->base.entity->value), used);
    }
    gint64 until = used->until;
    for (guint i = 0; i < n; i++) {
        gint64 end = metric->sample_info.items[i]->timestamp;

        if (end <= used->until)
            continue;
        until = MAX(until, end);
        used->ms += (guint64)MAX(series->value.items[i], 0);
    }
    used->until = until;
}

static void take(EsxFigures *figures, VimPerfEntityMetricBase *base)
{
    const VimPerfEntityMetric *metric = vireo_soap_cast(base, &vim_perf_entity_metric_type);

    for (guint i = 0; metric && i < metric->value.n; i++) {
        const VimPerfMetricIntSeries *series =
            vireo_soap_cast(metric->value.items[i], &vim_perf_metric_int_series_type);

        if (series && !*series->base.id->instance)
            take_spans(figures, metric, series);
    }
}

static gboolean ask(EsxServer *server, gint counter, EsxRef *const *machines, guint n, const VireoHttpWait *wait,
                    GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimPerfMetricId id = { .counter_id = counter, .instance = "" };
    VimPerfMetricId *ids[] = { &id };
    VimPerfQuerySpec specs[AT_ONCE];
    VimPerfQuerySpec *list[AT_ONCE];
    gint64 until[AT_ONCE];
    VimQueryPerfArgs args = { ._this = server->content->perf_manager, .query_spec = { n, list } };

    if (!find_beginnings(server, machines, n, until, wait, error))
        return FALSE;
    for (guint i = 0; i < n; i++) {
        specs[i] = (VimPerfQuerySpec){ .entity = machines[i], .has_start_time = until[i] != 0, .start_time = until[i],
                                       .has_max_sample = TRUE, .max_sample = REMEMBERED, .metric_id = { 1, ids },
                                       .has_interval_id = TRUE, .interval_id = SPAN_SECONDS };
        list[i] = &specs[i];
    }
    VimQueryPerfRet *ret = vim_query_perf(server->soap, &args, wait, arena, error);
    for (guint i = 0; ret && i < ret->returnval.n; i++)
        take(server->figures, ret->returnval.items[i]);
    return ret != NULL;
}

/* One of them may be gone by now, or its figures forbidden: that is no reason to know nothing of the others. */
static gboolean ask_or_split(EsxServer *server, gint counter, EsxRef *const *machines, guint n,
                             const VireoHttpWait *wait, GError **error)
{
    g_autoptr(GError) wrong = NULL;

    if (ask(server, counter, machines, n, wait, &wrong))
        return TRUE;
    if (!vireo_soap_fault(wrong)) {
        g_propagate_error(error, g_steal_pointer(&wrong));
        return FALSE;
    }
    if (n == 1 || !vireo_soap_is_fault(wrong, "ManagedObjectNotFound"))
        return TRUE;
    return ask_or_split(server, counter, machines, n / 2, wait, error) &&
           ask_or_split(server, counter, machines + n / 2, n - n / 2, wait, error);
}

gboolean esx_cpu_read(EsxServer *server, EsxRef *const *machines, guint n, const VireoHttpWait *wait, GError **error)
{
    gint counter;

    if (!find_counter(server, &counter, wait, error))
        return FALSE;
    for (guint i = 0; counter > 0 && i < n; i += AT_ONCE)
        if (!ask_or_split(server, counter, machines + i, MIN(n - i, AT_ONCE), wait, error))
            return FALSE;
    return TRUE;
}
