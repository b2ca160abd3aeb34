/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a command would do, told by the driver that would do it. `vireo plan` takes another command's words
 * as they are; that command fills in its call as ever and hands it to vireo_cli_plan instead. */
#include "cli/plan.h"

#include <string.h>

static const struct {
    guint effect;
    const char *member;
} effects[] = {
    { VIREO_PLAN_WRITES, "writes" },
    { VIREO_PLAN_CHANGES, "changes" },
    { VIREO_PLAN_REMOVES, "removes" },
    { VIREO_PLAN_RECORDS, "records" },
};

static const char *const guest_words[] = {
    [VIREO_PLAN_GUEST_UNTOUCHED] = "untouched", [VIREO_PLAN_GUEST_PAUSED] = "paused",
    [VIREO_PLAN_GUEST_LOADED] = "loaded",       [VIREO_PLAN_GUEST_RESTARTED] = "restarted",
    [VIREO_PLAN_GUEST_STARTED] = "started",     [VIREO_PLAN_GUEST_STOPPED] = "stopped",
};
static const char *const guest_texts[] = {
    [VIREO_PLAN_GUEST_UNTOUCHED] = "is not touched",
    [VIREO_PLAN_GUEST_PAUSED] = "stands still",
    [VIREO_PLAN_GUEST_LOADED] = "goes on from the snapshot in the same QEMU, after standing still",
    [VIREO_PLAN_GUEST_RESTARTED] = "is ended and started from the snapshot",
    [VIREO_PLAN_GUEST_STARTED] = "is started",
    [VIREO_PLAN_GUEST_STOPPED] = "is ended",
};

static const char *guest_name(int guest, const char *const *names)
{
    return guest >= 0 && guest < (int)G_N_ELEMENTS(guest_words) ? names[guest] : "unknown";
}

/* ---- JSON ---- */

static JsonObject *step_object(const vireo_plan_step *step)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "kind", step->kind);
    json_object_set_string_member(object, "when", step->effect & VIREO_PLAN_LATER ? "later" : "now");
    json_object_set_string_member(object, "text", step->text);
    if (*step->file)
        json_object_set_string_member(object, "file", step->file);
    if (*step->other)
        json_object_set_string_member(object, "other", step->other);
    for (guint i = 0; i < G_N_ELEMENTS(effects); i++)
        if (step->effect & effects[i].effect)
            json_object_set_string_member(object, "effect", effects[i].member);
    json_object_set_int_member(object, "bytes", (gint64)step->bytes);
    return object;
}

/* The files of all steps with an effect, each once, in order. */
static JsonArray *files_array(const vireo_plan *plan, guint effect)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    JsonArray *array = json_array_new();

    for (guint i = 0; i < plan->steps.len; i++) {
        const vireo_plan_step *step = &plan->steps.val[i];

        if ((step->effect & effect) && *step->file && g_hash_table_add(seen, step->file))
            json_array_add_string_element(array, step->file);
    }
    return array;
}

static JsonObject *kept_object(const vireo_plan_kept *kept)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "file", kept->file);
    if (*kept->point)
        json_object_set_string_member(object, "point", kept->point);
    json_object_set_string_member(object, "reason", kept->reason);
    return object;
}

JsonObject *vireo_cli_plan_object(const vireo_plan *plan)
{
    JsonObject *object = json_object_new();
    JsonArray *steps = json_array_new(), *kept = json_array_new();

    json_object_set_string_member(object, "guest", guest_name(plan->guest, guest_words));
    if (plan->pause_us >= 0)
        json_object_set_int_member(object, "pause_us", plan->pause_us);
    else
        json_object_set_null_member(object, "pause_us");
    json_object_set_int_member(object, "bytes_now", (gint64)plan->bytes);
    json_object_set_int_member(object, "bytes_later", (gint64)plan->bytes_later);
    json_object_set_int_member(object, "freed", (gint64)plan->freed);
    for (guint i = 0; i < plan->steps.len; i++)
        json_array_add_object_element(steps, step_object(&plan->steps.val[i]));
    for (guint i = 0; i < plan->kept.len; i++)
        json_array_add_object_element(kept, kept_object(&plan->kept.val[i]));
    json_object_set_array_member(object, "steps", steps);
    json_object_set_array_member(object, "kept", kept);
    for (guint i = 0; i + 1 < G_N_ELEMENTS(effects); i++)
        json_object_set_array_member(object, effects[i].member, files_array(plan, effects[i].effect));
    return object;
}

/* ---- for people ---- */

static void print_steps(const vireo_plan *plan, gboolean later, const char *title)
{
    gboolean any = FALSE;

    for (guint i = 0; i < plan->steps.len; i++) {
        const vireo_plan_step *step = &plan->steps.val[i];
        g_autofree char *size = step->bytes ? g_format_size_full(step->bytes, G_FORMAT_SIZE_IEC_UNITS) : NULL;

        if (((step->effect & VIREO_PLAN_LATER) != 0) != later)
            continue;
        if (!any)
            printf("%s:\n", title);
        any = TRUE;
        printf("  %s%s%s%s\n", step->text, size ? " (about " : "", size ? size : "", size ? ")" : "");
    }
}

static void print_pause(const vireo_plan *plan)
{
    printf("Guest:   %s", guest_name(plan->guest, guest_texts));
    if (plan->pause_us > 0)
        printf(", for about %.3g ms", (double)plan->pause_us / 1000);
    printf("\n");
}

void vireo_cli_plan_print(const vireo_plan *plan)
{
    g_autofree char *now = g_format_size_full(plan->bytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *later = g_format_size_full(plan->bytes_later, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *freed = g_format_size_full(plan->freed, G_FORMAT_SIZE_IEC_UNITS);

    if (!plan->steps.len)
        printf("There is nothing to do.\n");
    print_steps(plan, FALSE, "At once");
    print_steps(plan, TRUE, "In the background, afterwards");
    for (guint i = 0; i < plan->kept.len; i++) {
        const vireo_plan_kept *kept = &plan->kept.val[i];

        if (i == 0)
            printf("Stays:\n");
        if (*kept->point)
            printf("  internal snapshot '%s' of %s: %s\n", kept->point, kept->file, kept->reason);
        else
            printf("  %s: %s\n", kept->file, kept->reason);
    }
    printf("Copied:  about %s at once, %s later\nFreed:   %s\n", now, later, freed);
    print_pause(plan);
}

/* ---- the command ---- */

gboolean vireo_cli_plan(VireoCli *cli, guint32 op, gconstpointer args, GError **error)
{
    vireo_plan plan;

    if (!vireo_client_call(cli->client, vireo_op_plan(vireo_op_by_id(op)), args, cli->arena, &plan, error))
        return FALSE;
    if (cli->json)
        vireo_cli_print_object(vireo_cli_plan_object(&plan));
    else
        vireo_cli_plan_print(&plan);
    return TRUE;
}

static gboolean has_plan(const VireoCliCommand *command)
{
    const VireoOp *op = vireo_cli_op(command);

    return op && vireo_op_plan(op);
}

const VireoCliCommand *vireo_cli_plan_of(const char *name, GError **error)
{
    const VireoCliCommand *command = name ? vireo_cli_find(name) : NULL;

    if (command && has_plan(command))
        return command;
    if (!name || *name == '-')
        vireo_cli_usage(error, "'plan' stands before a command and its words");
    else if (!command)
        vireo_cli_usage(error, "there is no command '%s'", name);
    else
        vireo_cli_usage(error, "there are no plans of '%s'", name);
    return NULL;
}

/* Reached only when no command follows. */
static gboolean run_plan(VireoCli *cli, GError **error)
{
    return vireo_cli_plan_of(cli->many->len ? cli->many->pdata[0] : NULL, error) != NULL;
}

static const VireoCliOperand operands[] = {
    { "command", VIREO_CLI_PLANNED, FALSE, TRUE, "a command with its operands and options" },
    { NULL, 0, FALSE, FALSE, NULL },
};

const VireoCliCommand vireo_cli_plan_commands[] = {
    { "plan", NULL, "tell what a command would do, and do nothing", NULL, operands, NULL, run_plan,
      VIREO_CLI_ALONE,
      "For snapshot-create, snapshot-create-as, snapshot-delete, snapshot-revert and undefine.\n"
      "What the command would be refused, its plan is refused in the same words." },
    { NULL },
};
