/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of domains, as they come. */
#include <glib-unix.h>
#include <string.h>

#include "cli/cli.h"

typedef struct {
    VireoCli *cli;
    GMainLoop *loop;
    gboolean repeat, timestamp, ended;
    guint n_events;
    GHashTable *callbacks; /* callback id -> op of its event */
} Watch;

/* ---- which events there are ---- */

/* The operation that carries a domain event to callbacks, or not. */
static gboolean is_domain_event(const VireoOp *op)
{
    return op->kind == VIREO_OP_EVENT && op->program == VIREO_PROGRAM_REMOTE && op->event_id >= 0 &&
           g_str_has_prefix(op->name, "domain_event_") && vireo_wire_field(op->ret, "callbackID");
}

/* "device-removed"; caller frees */
static char *event_name(const VireoOp *op)
{
    const char *name = op->name + strlen("domain_event_");

    if (g_str_has_prefix(name, "callback_"))
        name += strlen("callback_");
    return g_strdelimit(g_strdup(name), "_", '-');
}

static const VireoOp *find_event(const char *wanted)
{
    const VireoOp *op;

    for (guint i = 0; (op = vireo_op_at(i)); i++) {
        g_autofree char *name = is_domain_event(op) ? event_name(op) : NULL;

        if (name && strcmp(name, wanted) == 0)
            return op;
    }
    return NULL;
}

static gboolean print_names(VireoCli *cli)
{
    JsonArray *array = json_array_new();
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);
    const VireoOp *op;

    json_node_take_array(node, array);
    for (guint i = 0; (op = vireo_op_at(i)); i++) {
        g_autofree char *name = is_domain_event(op) ? event_name(op) : NULL;

        if (name && cli->json)
            json_array_add_string_element(array, name);
        else if (name)
            printf("%s\n", name);
    }
    if (cli->json)
        vireo_cli_print_json(node, TRUE);
    else
        json_node_unref(node);
    return TRUE;
}

/* ---- one event ---- */

/* All members of the message, with those of an inner message beside them, without domain and id. */
static JsonObject *message_members(const VireoOp *op, gconstpointer msg, JsonObject **dom)
{
    g_autoptr(JsonNode) node = vireo_wire_to_json(op->ret, msg);
    JsonObject *outer = json_node_get_object(node), *all = json_object_new();
    JsonObject *sources[] = { outer, NULL };

    if (json_object_has_member(outer, "msg"))
        sources[1] = json_object_get_object_member(outer, "msg");
    for (guint i = 0; i < G_N_ELEMENTS(sources) && sources[i]; i++) {
        g_autoptr(GList) names = json_object_get_members(sources[i]);

        for (GList *n = names; n; n = n->next) {
            if (strcmp(n->data, "dom") == 0)
                *dom = json_object_ref(json_object_get_object_member(sources[i], "dom"));
            else if (strcmp(n->data, "msg") != 0 && strcmp(n->data, "callbackID") != 0)
                json_object_set_member(all, n->data, json_object_dup_member(sources[i], n->data));
        }
    }
    return all;
}

static void name_lifecycle(JsonObject *members)
{
    int event = (int)json_object_get_int_member(members, "event");
    int detail = (int)json_object_get_int_member(members, "detail");

    json_object_set_string_member(members, "event", vireo_cli_lifecycle_name(event));
    json_object_set_string_member(members, "detail", vireo_cli_lifecycle_detail(event, detail));
}

static char *now_text(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();

    return g_date_time_format(now, "%Y-%m-%d %H:%M:%S.%f%z");
}

static void print_event_json(const char *name, JsonObject *dom, JsonObject *members)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *time = now_text(), *text = NULL;
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "event", name);
    json_object_set_string_member(object, "time", time);
    if (dom) {
        json_object_set_string_member(object, "domain", json_object_get_string_member(dom, "name"));
        json_object_set_string_member(object, "uuid", json_object_get_string_member(dom, "uuid"));
    }
    json_object_set_object_member(object, "data", json_object_ref(members));
    json_node_take_object(node, object);
    text = json_to_string(node, FALSE);
    printf("%s\n", text);
}

static void print_event_text(Watch *watch, const char *name, JsonObject *dom, JsonObject *members,
                             gboolean lifecycle)
{
    g_autoptr(GList) names = json_object_get_members(members);
    g_autofree char *time = watch->timestamp ? now_text() : NULL;

    printf("%s%sevent '%s' for domain '%s':", time ? time : "", time ? ": " : "", name,
           dom ? json_object_get_string_member(dom, "name") : "?");
    if (lifecycle) {
        printf(" %s %s\n", json_object_get_string_member(members, "event"),
               json_object_get_string_member(members, "detail"));
        return;
    }
    for (GList *n = names; n; n = n->next) {
        g_autofree char *value = json_to_string(json_object_get_member(members, n->data), FALSE);

        printf(" %s=%s", (char *)n->data, value);
    }
    putchar('\n');
}

static void on_event(VireoClient *client, const VireoOp *op, gconstpointer msg, gpointer opaque)
{
    Watch *watch = opaque;
    g_autoptr(JsonObject) members = NULL, dom = NULL;
    g_autofree char *name = NULL;
    gint32 callback;

    if (!op) {
        watch->ended = TRUE;
        g_main_loop_quit(watch->loop);
        return;
    }
    if (!is_domain_event(op) || (!watch->repeat && watch->n_events))
        return;
    memcpy(&callback, (const char *)msg + vireo_wire_field(op->ret, "callbackID")->offset,
           sizeof(callback));
    if (g_hash_table_lookup(watch->callbacks, GINT_TO_POINTER(callback)) != op)
        return;
    name = event_name(op);
    members = message_members(op, msg, &dom);
    if (op->event_id == VIREO_DOMAIN_EVENT_ID_LIFECYCLE)
        name_lifecycle(members);
    if (watch->cli->json)
        print_event_json(name, dom, members);
    else
        print_event_text(watch, name, dom, members, op->event_id == VIREO_DOMAIN_EVENT_ID_LIFECYCLE);
    fflush(stdout);
    watch->n_events++;
    if (!watch->repeat)
        g_main_loop_quit(watch->loop);
}

/* ---- the command ---- */

static gboolean register_one(Watch *watch, const VireoOp *op, vireo_domain_ref *dom, GError **error)
{
    vireo_connect_domain_event_callback_register_any_args args = { .eventID = op->event_id,
                                                                   .dom = dom };
    vireo_connect_domain_event_callback_register_any_ret ret;

    if (!VIREO_CALL(watch->cli->client, connect_domain_event_callback_register_any, watch->cli->arena,
                    error, &args, &ret))
        return FALSE;
    g_hash_table_insert(watch->callbacks, GINT_TO_POINTER(ret.callbackID), (gpointer)op);
    return TRUE;
}

/* Of all kinds there are, those the daemon does not know yet are left out. */
static gboolean register_all(Watch *watch, vireo_domain_ref *dom, GError **error)
{
    g_autoptr(GError) last = NULL;
    const VireoOp *op;

    for (guint i = 0; (op = vireo_op_at(i)); i++) {
        if (!is_domain_event(op))
            continue;
        g_clear_error(&last);
        register_one(watch, op, dom, &last);
    }
    if (g_hash_table_size(watch->callbacks))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&last));
    return FALSE;
}

static gboolean register_wanted(Watch *watch, GError **error)
{
    const char *name = vireo_cli_text(watch->cli, "event");
    vireo_domain_ref dom, *only = NULL;
    const VireoOp *op = find_event(name ? name : "lifecycle");

    if (!op)
        return vireo_cli_usage(error, "there is no event '%s'; 'vireo events --list' shows all", name);
    if (vireo_cli_text(watch->cli, "domain")) {
        only = &dom;
        if (!vireo_cli_domain(watch->cli, only, error))
            return FALSE;
    }
    return vireo_cli_on(watch->cli, "all") ? register_all(watch, only, error)
                                           : register_one(watch, op, only, error);
}

static gboolean stop(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static gboolean wait_for_events(Watch *watch, gint64 seconds, GError **error)
{
    guint interrupt = g_unix_signal_add(SIGINT, stop, watch->loop);
    guint terminate = g_unix_signal_add(SIGTERM, stop, watch->loop);
    guint timeout = seconds > 0 ? g_timeout_add_seconds((guint)seconds, stop, watch->loop) : 0;
    guint handler = vireo_client_add_handler(watch->cli->client, NULL, NULL, on_event, watch, NULL);
    gboolean ok = register_wanted(watch, error);

    if (ok)
        g_main_loop_run(watch->loop);
    vireo_client_remove_handler(watch->cli->client, handler);
    g_source_remove(interrupt);
    g_source_remove(terminate);
    if (timeout)
        g_source_remove(timeout);
    return ok;
}

static gboolean run_events(VireoCli *cli, GError **error)
{
    Watch watch = { .cli = cli, .repeat = vireo_cli_on(cli, "loop"),
                    .timestamp = vireo_cli_on(cli, "timestamp") };
    gint64 seconds;
    gboolean ok;

    if (vireo_cli_on(cli, "list"))
        return print_names(cli);
    if (!vireo_cli_number(cli, "timeout", 0, &seconds, error))
        return FALSE;
    if (vireo_cli_on(cli, "all") && vireo_cli_on(cli, "event"))
        return vireo_cli_usage(error, "'--all' and '--event' exclude each other");
    if (!vireo_cli_connect(cli, VIREO_CLI_CONNECT, error))
        return FALSE;
    watch.loop = g_main_loop_new(NULL, FALSE);
    watch.callbacks = g_hash_table_new(NULL, NULL);
    ok = wait_for_events(&watch, seconds, error);
    g_main_loop_unref(watch.loop);
    g_hash_table_unref(watch.callbacks);
    if (!ok)
        return FALSE;
    if (watch.ended) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "the daemon closed the connection");
        return FALSE;
    }
    if (!watch.n_events && !watch.repeat)
        cli->exit_code = 1;
    if (!cli->quiet && !cli->json)
        fprintf(stderr, "events received: %u\n", watch.n_events);
    return TRUE;
}

static const VireoCliOption options[] = {
    { "domain", VIREO_CLI_STRING, "DOMAIN", "of this domain only" },
    { "event", VIREO_CLI_STRING, "KIND", "what to wait for, lifecycle unless given" },
    { "all", VIREO_CLI_BOOL, NULL, "every kind there is" },
    { "loop", VIREO_CLI_BOOL, NULL, "go on after the first one" },
    { "timeout", VIREO_CLI_INT, "SECONDS", "end after so long" },
    { "timestamp", VIREO_CLI_BOOL, NULL, "print when each came" },
    { "list", VIREO_CLI_BOOL, NULL, "print the kinds there are" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_event_commands[] = {
    { "events", "event", "wait for events of domains and print them", NULL, NULL, options, run_events,
      VIREO_CLI_ALONE,
      "Without --loop the first event ends it: exit status 0, or 1 when none came in time. With\n"
      "--json each event is one line." },
    { NULL },
};
