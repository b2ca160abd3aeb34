/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is wrong with the images and snapshots of domains, and setting it right. */
#include <string.h>
#include <unistd.h>

#include "cli/plan.h"

enum { EXIT_FOUND = 3 };

static const char *severity(int number)
{
    static const char *const names[] = {
        [VIREO_DOCTOR_NOTE] = "note", [VIREO_DOCTOR_WARNING] = "warning", [VIREO_DOCTOR_BROKEN] = "broken",
    };

    return number >= 0 && number < (int)G_N_ELEMENTS(names) ? names[number] : "unknown";
}

static guint problems(const vireo_doctor_finding *findings, guint n)
{
    guint count = 0;

    for (guint i = 0; i < n; i++)
        count += findings[i].severity > VIREO_DOCTOR_NOTE;
    return count;
}

/* ---- output ---- */

static void print_findings(const char *domain, const vireo_doctor_finding *findings, guint n)
{
    guint bad = problems(findings, n);

    if (bad)
        printf("%s: %u problem%s found\n", domain, bad, bad == 1 ? "" : "s");
    else
        printf("%s: all is well\n", domain);
    for (guint i = 0; i < n; i++)
        printf("  %s: %s\n      %s\n", severity(findings[i].severity), findings[i].text, findings[i].remedy);
}

static JsonArray *findings_array(const vireo_doctor_finding *findings, guint n)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < n; i++) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "kind", findings[i].kind);
        json_object_set_string_member(object, "severity", severity(findings[i].severity));
        if (*findings[i].file)
            json_object_set_string_member(object, "file", findings[i].file);
        if (*findings[i].snapshot)
            json_object_set_string_member(object, "snapshot", findings[i].snapshot);
        json_object_set_string_member(object, "text", findings[i].text);
        json_object_set_string_member(object, "remedy", findings[i].remedy);
        json_object_set_boolean_member(object, "repairable", findings[i].repairable != 0);
        json_array_add_object_element(array, object);
    }
    return array;
}

/* ---- one domain ---- */

typedef struct {
    VireoCli *cli;
    JsonArray *all;
    gboolean repair;
    guint left; /* problems that are there in the end */
} Visit;

static gboolean wants_it(VireoCli *cli, const char *domain)
{
    char answer[16] = "";

    if (vireo_cli_on(cli, "yes"))
        return TRUE;
    printf("Carry this out for domain '%s'? [y/N] ", domain);
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) && g_ascii_tolower(answer[0]) == 'y';
}

static gboolean repair(Visit *visit, const vireo_domain_ref *dom, const char *token, JsonObject *object,
                       GError **error)
{
    VireoCli *cli = visit->cli;
    vireo_vireo_domain_repair_args args = { .dom = *dom, .token = (char *)token };
    vireo_vireo_domain_repair_ret ret;

    if (!VIREO_CALL(cli->client, vireo_domain_repair, cli->arena, error, &args, &ret))
        return FALSE;
    visit->left += problems(ret.findings.val, ret.findings.len);
    if (object)
        json_object_set_array_member(object, "left", findings_array(ret.findings.val, ret.findings.len));
    else
        print_findings(dom->name, ret.findings.val, ret.findings.len);
    return TRUE;
}

static gboolean see(Visit *visit, const vireo_domain_ref *dom, GError **error)
{
    VireoCli *cli = visit->cli;
    vireo_vireo_domain_examine_args args = { .dom = *dom };
    vireo_vireo_domain_examine_ret ret;
    JsonObject *object = NULL;

    if (!VIREO_CALL(cli->client, vireo_domain_examine, cli->arena, error, &args, &ret))
        return FALSE;
    if (cli->json) {
        object = json_object_new();
        json_array_add_object_element(visit->all, object);
        json_object_set_string_member(object, "domain", dom->name);
        json_object_set_array_member(object, "findings", findings_array(ret.findings.val, ret.findings.len));
        if (*ret.token)
            json_object_set_object_member(object, "plan", vireo_cli_plan_object(&ret.plan));
        else
            json_object_set_null_member(object, "plan");
    } else if (!cli->quiet || problems(ret.findings.val, ret.findings.len)) {
        print_findings(dom->name, ret.findings.val, ret.findings.len);
    }
    if (*ret.token && !cli->json) {
        printf("%s\n", visit->repair ? "This will be done:" : "With --repair this would be done:");
        vireo_cli_plan_print(&ret.plan);
    }
    if (*ret.token && visit->repair && wants_it(cli, dom->name))
        return repair(visit, dom, ret.token, object, error);
    visit->left += problems(ret.findings.val, ret.findings.len);
    return TRUE;
}

/* ---- the command ---- */

static gboolean see_all(Visit *visit, GError **error)
{
    vireo_connect_list_all_domains_args args = { .need_results = 1 };
    vireo_connect_list_all_domains_ret ret;

    if (!VIREO_CALL(visit->cli->client, connect_list_all_domains, visit->cli->arena, error, &args, &ret))
        return FALSE;
    for (guint i = 0; i < ret.domains.len; i++)
        if (!see(visit, &ret.domains.val[i], error))
            return FALSE;
    return TRUE;
}

static gboolean run_doctor(VireoCli *cli, GError **error)
{
    Visit visit = { .cli = cli, .all = json_array_new(), .repair = vireo_cli_on(cli, "repair") };
    vireo_domain_ref dom;
    gboolean done;

    if (visit.repair && !vireo_cli_on(cli, "yes") && (cli->json || !isatty(STDIN_FILENO))) {
        json_array_unref(visit.all);
        return vireo_cli_usage(error, "'--repair' asks before it does anything; where nobody can answer give --yes");
    }
    if (vireo_cli_text(cli, "domain"))
        done = vireo_cli_domain(cli, &dom, error) && see(&visit, &dom, error);
    else
        done = see_all(&visit, error);
    if (done && cli->json) {
        JsonNode *node = json_node_new(JSON_NODE_ARRAY);

        json_node_set_array(node, visit.all);
        vireo_cli_print_json(node, TRUE);
    }
    json_array_unref(visit.all);
    if (visit.left)
        cli->exit_code = EXIT_FOUND;
    return done;
}

static const VireoCliOperand operands[] = {
    { "domain", VIREO_CLI_DOMAIN, TRUE, FALSE, "name, id or UUID; all domains unless given" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption options[] = {
    { "repair", VIREO_CLI_BOOL, NULL, "carry out what is told, after asking" },
    { "yes", VIREO_CLI_BOOL, NULL, "with --repair: do not ask" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_doctor_commands[] = {
    { "doctor", NULL, "find what is wrong with images and snapshots", NULL, operands, options, run_doctor,
      VIREO_CLI_CONNECT,
      "Exit status: 0 nothing is wrong, or nothing any more; 3 something is; 1 it could not be found out.\n"
      "Notes are not counted." },
    { NULL },
};
