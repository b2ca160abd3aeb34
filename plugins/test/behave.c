/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Being slow, failing and lacking things on demand: rules from the URI or the domain's metadata. */
#include "ops.h"

#include <libxml/parser.h>
#include <string.h>

#define STEP_MS    10
#define LONGEST_MS (10 * 60 * 1000)

typedef struct {
    char *op; /* "*": any */
    guint delay_ms;
    gboolean later; /* wait without holding a worker */
    int code;       /* 0: do not fail */
    TestHarm harm;
    gboolean withdrawn; /* the connection lacks the operation ... */
    guint64 lost;       /* ... or these of its flags */
} TestRule;

struct TestRules {
    guint n;
    TestRule *items;
};

void test_rules_free(TestRules *rules)
{
    if (!rules)
        return;
    for (guint i = 0; i < rules->n; i++)
        g_free(rules->items[i].op);
    g_free(rules->items);
    g_free(rules);
}

static TestRule *rule_for(TestRules *rules, const char *op)
{
    for (guint i = 0; i < rules->n; i++)
        if (strcmp(rules->items[i].op, op) == 0)
            return &rules->items[i];
    rules->items = g_renew(TestRule, rules->items, rules->n + 1);
    rules->items[rules->n] = (TestRule){.op = g_strdup(op)};
    return &rules->items[rules->n++];
}

/* "300ms", "2s" or "300": milliseconds. */
static gboolean parse_delay(const char *text, guint *ms)
{
    char *end = NULL;
    guint64 value = g_ascii_strtoull(text, &end, 10);

    if (end == text || value > LONGEST_MS)
        return FALSE;
    if (strcmp(end, "s") == 0)
        value *= 1000;
    else if (*end && strcmp(end, "ms") != 0)
        return FALSE;
    *ms = (guint)value;
    return value <= LONGEST_MS;
}

static gboolean parse_code(const char *text, int *code)
{
    char *end = NULL;
    guint64 value = g_ascii_strtoull(text, &end, 10);

    if (end == text || *end || value == 0 || value > 10000)
        return FALSE;
    *code = (int)value;
    return TRUE;
}

/* "all", or a mask of flags. */
static gboolean parse_lost(const char *text, TestRule *rule)
{
    char *end = NULL;

    rule->withdrawn = strcmp(text, "all") == 0;
    if (rule->withdrawn)
        return TRUE;
    rule->lost = g_ascii_strtoull(text, &end, 0);
    return end != text && !*end && rule->lost;
}

static gboolean set_rule(TestRules *rules, const char *verb, const char *op, const char *value)
{
    TestRule *rule;

    if (strcmp(op, "*") != 0 ? !test_operation(op) : strcmp(verb, "narrow") == 0)
        return FALSE;
    rule = rule_for(rules, op);
    if (strcmp(verb, "fail") == 0)
        return parse_code(value, &rule->code);
    if (strcmp(verb, "narrow") == 0)
        return parse_lost(value, rule);
    if (strcmp(verb, "harm") == 0) {
        rule->harm = test_harm_allowed() ? test_harm_parse(value) : TEST_HARM_NONE;
        return rule->harm != TEST_HARM_NONE;
    }
    rule->later = strcmp(verb, "later") == 0;
    return (rule->later || strcmp(verb, "delay") == 0) && parse_delay(value, &rule->delay_ms);
}

static gboolean add_parameter(TestRules *rules, const char *text)
{
    g_auto(GStrv) pair = g_strsplit(text, "=", 2);
    const char *dot = pair[0] ? strchr(pair[0], '.') : NULL;
    g_autofree char *verb = NULL;

    if (!dot || !pair[1])
        return FALSE;
    verb = g_strndup(pair[0], (gsize)(dot - pair[0]));
    return set_rule(rules, verb, dot + 1, pair[1]);
}

TestRules *test_rules_from_uri(const char *uri, GError **error)
{
    const char *query = strchr(uri, '?');
    g_auto(GStrv) parameters = NULL;
    g_autoptr(TestRules) rules = NULL;

    if (!query || !query[1])
        return NULL;
    rules = g_new0(TestRules, 1);
    parameters = g_strsplit_set(query + 1, "&;", -1);
    for (char **p = parameters; *p; p++) {
        g_autofree char *text = g_uri_unescape_string(*p, NULL);

        if (**p && (!text || !add_parameter(rules, text))) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                        "'%s' is no parameter of this URI: delay.OPERATION=TIME, "
                        "later.OPERATION=TIME, fail.OPERATION=CODE or narrow.OPERATION=FLAGS",
                        *p);
            return NULL;
        }
    }
    return g_steal_pointer(&rules);
}

static void add_attribute(TestRules *rules, xmlNode *element, const char *op, const char *verb)
{
    xmlChar *value = xmlGetNoNsProp(element, BAD_CAST verb);

    if (value)
        set_rule(rules, verb, op, (const char *)value);
    xmlFree(value);
}

static void add_elements(TestRules *rules, xmlNode *from)
{
    for (xmlNode *at = from; at; at = at->next) {
        if (at->type == XML_ELEMENT_NODE && at->ns && strcmp((char *)at->name, "behaviour") == 0 &&
            strcmp((const char *)at->ns->href, TEST_BEHAVIOUR_NS) == 0) {
            xmlChar *op = xmlGetNoNsProp(at, BAD_CAST "op");

            for (guint i = 0; op && i < 4; i++)
                add_attribute(rules, at, (const char *)op,
                              ((const char *const[]){"delay", "later", "fail", "harm"})[i]);
            xmlFree(op);
        }
        add_elements(rules, at->children);
    }
}

TestRules *test_rules_from_metadata(const char *metadata)
{
    TestRules *rules;
    xmlDoc *doc;

    if (!metadata || !strstr(metadata, TEST_BEHAVIOUR_NS))
        return NULL;
    doc = xmlReadMemory(metadata, (int)strlen(metadata), NULL, NULL,
                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc)
        return NULL;
    rules = g_new0(TestRules, 1);
    add_elements(rules, xmlDocGetRootElement(doc));
    xmlFreeDoc(doc);
    return rules;
}

static gboolean look_up(const TestRules *rules, const char *op, TestRule *found)
{
    for (guint i = 0; rules && i < rules->n; i++) {
        const TestRule *rule = &rules->items[i];

        if (strcmp(rule->op, op) != 0 && strcmp(rule->op, "*") != 0)
            continue;
        *found = *rule;
        found->op = NULL;
        return TRUE;
    }
    return FALSE;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static const struct {
    const char *op;
    int operation;
} job_operations[] = {
    {"domain_create_with_flags", VIREO_DOMAIN_JOB_OPERATION_START},
    {"domain_managed_save", VIREO_DOMAIN_JOB_OPERATION_SAVE},
    {"domain_save_flags", VIREO_DOMAIN_JOB_OPERATION_SAVE},
    {"domain_core_dump_with_format", VIREO_DOMAIN_JOB_OPERATION_DUMP},
    {"domain_snapshot_create_xml", VIREO_DOMAIN_JOB_OPERATION_SNAPSHOT},
    {"domain_revert_to_snapshot", VIREO_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT},
    {"domain_snapshot_delete", VIREO_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE},
};

static int job_operation(const char *op)
{
    for (guint i = 0; i < G_N_ELEMENTS(job_operations); i++)
        if (strcmp(job_operations[i].op, op) == 0)
            return job_operations[i].operation;
    return VIREO_DOMAIN_JOB_OPERATION_UNKNOWN;
}

/* An operation on its way: waiting, then running. */
typedef struct {
    const char *op;
    TestRun *run;
    TestConn *conn;
    vireo_call *call;
    const void *args;
    void *ret;
    gboolean has_domain;
    guint8 uuid[16];
    TestRule rule;
    gint64 end_us;
} Waiting;

static TestJob *job_of(const Waiting *waiting)
{
    TestDomain *dom = NULL;

    if (waiting->has_domain && job_operation(waiting->op))
        dom = g_hash_table_lookup(waiting->conn->node->by_uuid, waiting->uuid);
    return dom ? &test_domain_extra(dom)->job : NULL;
}

static void job_begin(const Waiting *waiting)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&waiting->conn->node->lock);
    TestJob *job = job_of(waiting);

    if (job)
        *job = (TestJob){.operation = job_operation(waiting->op),
                         .outcome = VIREO_DOMAIN_JOB_BOUNDED,
                         .begin_us = g_get_monotonic_time(),
                         .planned_us = (gint64)waiting->rule.delay_ms * 1000};
}

static gboolean job_aborted(const Waiting *waiting)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&waiting->conn->node->lock);
    TestJob *job = job_of(waiting);

    return job && job->abort;
}

static void job_end(const Waiting *waiting, int status)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&waiting->conn->node->lock);
    TestJob *job = job_of(waiting);

    if (!job)
        return;
    job->end_us = g_get_monotonic_time();
    job->outcome = status == VIREO_OK ? VIREO_DOMAIN_JOB_COMPLETED
                   : job->abort       ? VIREO_DOMAIN_JOB_CANCELLED
                                      : VIREO_DOMAIN_JOB_FAILED;
    ((TestExtra *)((char *)job - offsetof(TestExtra, job)))->last_job = *job;
    *job = (TestJob){0};
}

static int given_up(vireo_call *call, const char *op)
{
    return FAIL(call, VIREO_ERR_OPERATION_ABORTED, "%s was aborted", op);
}

/* OK to go on, FAIL when given up, PENDING while there is time left. */
static int progress(const Waiting *waiting)
{
    gint64 left_ms = (waiting->end_us - g_get_monotonic_time()) / 1000;

    test->host->progress(waiting->call, (guint64)((gint64)waiting->rule.delay_ms - left_ms),
                         waiting->rule.delay_ms, "ms");
    if (test->host->cancelled(waiting->call) || job_aborted(waiting))
        return given_up(waiting->call, waiting->op);
    return g_get_monotonic_time() < waiting->end_us ? VIREO_PENDING : VIREO_OK;
}

static int finish(const Waiting *waiting, int status)
{
    if (status == VIREO_OK && waiting->rule.code)
        status = FAIL(waiting->call, waiting->rule.code, "%s was told to fail", waiting->op);
    else if (status == VIREO_OK)
        status = waiting->run(waiting->conn, waiting->call, waiting->args, waiting->ret);
    if (waiting->rule.harm)
        test_harm_do(waiting->rule.harm, waiting->op, waiting->ret);
    if (waiting->rule.harm == TEST_HARM_SILENCE)
        status = VIREO_FAIL;
    job_end(waiting, status);
    return status;
}

static guint step(const Waiting *waiting)
{
    gint64 left_ms = (waiting->end_us - g_get_monotonic_time() + 999) / 1000;

    return (guint)CLAMP(left_ms, 1, STEP_MS);
}

static void later_done(void *opaque)
{
    g_autofree Waiting *waiting = opaque;
    vireo_call *call = waiting->call;
    int status = progress(waiting);

    test->host->complete(call, finish(waiting, status == VIREO_PENDING ? VIREO_OK : status));
}

static void later_tick(void *opaque)
{
    Waiting *waiting = opaque;

    if (!test->host->cancelled(waiting->call) && !job_aborted(waiting) &&
        g_get_monotonic_time() < waiting->end_us)
        test->host->timer(test->core, step(waiting), later_tick, waiting);
    else
        test->host->defer(test->core, later_done, waiting);
}

static int wait_here(const Waiting *waiting)
{
    int status;

    while ((status = progress(waiting)) == VIREO_PENDING)
        g_usleep(step(waiting) * 1000);
    return status;
}

static gboolean find_rule(TestConn *conn, const char *op, const vireo_domain_ref *ref,
                          TestRule *rule)
{
    gboolean found = FALSE;

    if (ref) {
        g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&conn->node->lock);
        TestDomain *dom = g_hash_table_lookup(conn->node->by_uuid, ref->uuid);

        found = dom && look_up(dom->rules, op, rule);
    }
    return found || look_up(conn->rules, op, rule);
}

int test_enter(const char *op, TestRun *run, void *conn, vireo_call *call,
               const vireo_domain_ref *dom, const void *args, void *ret)
{
    Waiting waiting = {op, run, conn, call, args, ret, dom != NULL, {0}, {0}, 0};

    if (!find_rule(conn, op, dom, &waiting.rule))
        return run(conn, call, args, ret);
    if (dom)
        memcpy(waiting.uuid, dom->uuid, sizeof waiting.uuid);
    waiting.end_us = g_get_monotonic_time() + (gint64)waiting.rule.delay_ms * 1000;
    job_begin(&waiting);
    if (waiting.rule.later) {
        test->host->timer(test->core, step(&waiting), later_tick,
                          g_memdup2(&waiting, sizeof waiting));
        return VIREO_PENDING;
    }
    return finish(&waiting, wait_here(&waiting));
}

/* ---- what a connection lacks ------------------------------------------------------------------
 */

int test_conn_narrow(void *conn, vireo_call *call, vireo_conn_narrow_ret *ret)
{
    const TestRules *rules = ((TestConn *)conn)->rules;

    ret->narrowed.val = NEW(call, vireo_conn_narrowing, rules ? rules->n : 1);
    for (guint i = 0; rules && i < rules->n; i++) {
        const TestRule *rule = &rules->items[i];

        if (!rule->withdrawn && !rule->lost)
            continue;
        ret->narrowed.val[ret->narrowed.len++] = (vireo_conn_narrowing){
            .op = test_operation(rule->op),
            .native = rule->withdrawn ? 0 : rule->lost,
            .trivial = rule->withdrawn ? 0 : rule->lost,
            .reason = DUP(call, "it was opened without, by narrow in its URI"),
        };
    }
    return VIREO_OK;
}

int test_obey(const TestRules *rules, const char *op, vireo_call *call)
{
    TestRule rule;
    gint64 end;

    if (!look_up(rules, op, &rule))
        return VIREO_OK;
    end = g_get_monotonic_time() + (gint64)rule.delay_ms * 1000;
    while (g_get_monotonic_time() < end) {
        if (test->host->cancelled(call))
            return given_up(call, op);
        g_usleep(STEP_MS * 1000);
    }
    test_harm_do(rule.harm, op, NULL);
    return rule.code ? FAIL(call, rule.code, "%s was told to fail", op) : VIREO_OK;
}
