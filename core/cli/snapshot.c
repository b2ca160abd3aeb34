/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands on single snapshots. */
#include <string.h>

#include "cli/cli.h"

static const VireoCliOperand one_domain[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOperand domain_snapshot[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { "snapshotname", VIREO_CLI_SNAPSHOT, TRUE, FALSE, "the snapshot; or give --current" },
    { NULL, 0, FALSE, FALSE, NULL },
};

/* ---- which snapshot ---- */

static gboolean current_snapshot(VireoCli *cli, const vireo_domain_ref *dom,
                                 vireo_domain_snapshot_ref *ret, GError **error)
{
    vireo_domain_snapshot_current_args args = { .dom = *dom };
    vireo_domain_snapshot_current_ret current;

    if (!VIREO_CALL(cli->client, domain_snapshot_current, cli->arena, error, &args, &current))
        return FALSE;
    *ret = current.snap;
    return TRUE;
}

static gboolean find_snapshot(VireoCli *cli, vireo_domain_snapshot_ref *ret, GError **error)
{
    vireo_domain_snapshot_lookup_by_name_args args = { 0 };
    vireo_domain_snapshot_lookup_by_name_ret found;
    gboolean current = vireo_cli_on(cli, "current");

    args.name = (char *)vireo_cli_text(cli, "snapshotname");
    if (!args.name && !current)
        return vireo_cli_usage(error, "'snapshotname' is missing (or give --current)");
    if (args.name && current)
        return vireo_cli_usage(error, "a snapshot's name and --current exclude each other");
    if (!vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    if (current)
        return current_snapshot(cli, &args.dom, ret, error);
    if (!VIREO_CALL(cli->client, domain_snapshot_lookup_by_name, cli->arena, error, &args, &found))
        return FALSE;
    *ret = found.snap;
    return TRUE;
}

/* ---- create ---- */

static gboolean create_snapshot(VireoCli *cli, char *xml, GError **error)
{
    vireo_domain_snapshot_create_xml_args args = { .xml_desc = xml };
    vireo_domain_snapshot_create_xml_ret ret;
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (cli->planning)
        return vireo_cli_plan(cli, VIREO_OP_domain_snapshot_create_xml, &args, error);
    if (!VIREO_CALL(cli->client, domain_snapshot_create_xml, cli->arena, error, &args, &ret))
        return FALSE;
    vireo_cli_done(cli, "snapshot-created", args.dom.name, ret.snap.name, "Domain snapshot %s created",
                   ret.snap.name);
    return TRUE;
}

static gboolean run_create(VireoCli *cli, GError **error)
{
    const char *file = vireo_cli_text(cli, "xmlfile");
    char *xml = file ? vireo_cli_read_file(cli, file, error) : (char *)"<domainsnapshot/>";

    return xml && create_snapshot(cli, xml, error);
}

/* "key=value,key=value"; a comma within a value is written twice. */
static GPtrArray *split_spec(const char *spec)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) part = g_string_new(NULL);

    for (; *spec; spec++) {
        if (*spec == ',' && spec[1] == ',') {
            spec++;
        } else if (*spec == ',') {
            g_ptr_array_add(parts, g_strdup(part->str));
            g_string_truncate(part, 0);
            continue;
        }
        g_string_append_c(part, *spec);
    }
    g_ptr_array_add(parts, g_strdup(part->str));
    return parts;
}

static void append_attribute(GString *xml, const char *name, const char *value)
{
    g_autofree char *escaped = g_markup_escape_text(value, -1);

    g_string_append_printf(xml, " %s='%s'", name, escaped);
}

static const char *spec_value(const char *part, const char *key)
{
    gsize n = strlen(key);

    return strncmp(part, key, n) == 0 && part[n] == '=' ? part + n + 1 : NULL;
}

static gboolean append_memory(GString *xml, const char *spec, GError **error)
{
    g_autoptr(GPtrArray) parts = split_spec(spec);

    g_string_append(xml, "  <memory");
    for (guint i = 0; i < parts->len; i++) {
        const char *part = parts->pdata[i];
        const char *snapshot = spec_value(part, "snapshot");
        const char *file = spec_value(part, "file");

        if (snapshot)
            append_attribute(xml, "snapshot", snapshot);
        else if (file || !strchr(part, '='))
            append_attribute(xml, "file", file ? file : part);
        else
            return vireo_cli_usage(error, "'--memspec' does not know '%s'", part);
    }
    g_string_append(xml, "/>\n");
    return TRUE;
}

static gboolean append_disk(GString *xml, const char *spec, GError **error)
{
    g_autoptr(GPtrArray) parts = split_spec(spec);
    const char *type = NULL, *driver = NULL, *file = NULL, *snapshot = NULL;

    for (guint i = 1; i < parts->len; i++) {
        const char *part = parts->pdata[i];
        const char *value;

        if ((value = spec_value(part, "snapshot")))
            snapshot = value;
        else if ((value = spec_value(part, "driver")))
            driver = value;
        else if ((value = spec_value(part, "stype")))
            type = value;
        else if ((value = spec_value(part, "file")))
            file = value;
        else
            return vireo_cli_usage(error, "'--diskspec' does not know '%s'", part);
    }
    if (type && strcmp(type, "file") != 0 && strcmp(type, "block") != 0)
        return vireo_cli_usage(error, "'stype=%s' is neither file nor block", type);
    g_string_append(xml, "    <disk");
    append_attribute(xml, "name", parts->pdata[0]);
    if (snapshot)
        append_attribute(xml, "snapshot", snapshot);
    if (type)
        append_attribute(xml, "type", type);
    g_string_append(xml, ">\n");
    if (driver) {
        g_string_append(xml, "      <driver");
        append_attribute(xml, "type", driver);
        g_string_append(xml, "/>\n");
    }
    if (file) {
        g_string_append(xml, "      <source");
        append_attribute(xml, type && strcmp(type, "block") == 0 ? "dev" : "file", file);
        g_string_append(xml, "/>\n");
    }
    g_string_append(xml, "    </disk>\n");
    return TRUE;
}

static void append_element(GString *xml, const char *name, const char *text)
{
    g_autofree char *escaped = text ? g_markup_escape_text(text, -1) : NULL;

    if (escaped)
        g_string_append_printf(xml, "  <%s>%s</%s>\n", name, escaped, name);
}

static gboolean run_create_as(VireoCli *cli, GError **error)
{
    g_autoptr(GString) xml = g_string_new("<domainsnapshot>\n");
    const char *memory = vireo_cli_text(cli, "memspec");
    gboolean disks = cli->many->len > 0;

    append_element(xml, "name", vireo_cli_text(cli, "name"));
    append_element(xml, "description", vireo_cli_text(cli, "description"));
    if (memory && !append_memory(xml, memory, error))
        return FALSE;
    if (disks)
        g_string_append(xml, "  <disks>\n");
    for (guint i = 0; i < cli->many->len; i++)
        if (!append_disk(xml, cli->many->pdata[i], error))
            return FALSE;
    if (disks)
        g_string_append(xml, "  </disks>\n");
    g_string_append(xml, "</domainsnapshot>\n");
    if (!vireo_cli_on(cli, "print-xml"))
        return create_snapshot(cli, xml->str, error);
    vireo_cli_print_xml(cli, xml->str);
    return TRUE;
}

#define CREATE_FLAGS                                                                              \
    { "no-metadata", VIREO_CLI_FLAG, "NO_METADATA", "take it, but do not remember it" },           \
    { "halt", VIREO_CLI_FLAG, "HALT", "stop the domain afterwards" },                             \
    { "disk-only", VIREO_CLI_FLAG, "DISK_ONLY", "disks only, not the running state" },             \
    { "reuse-external", VIREO_CLI_FLAG, "REUSE_EXT", "use overlay files that exist already" },     \
    { "quiesce", VIREO_CLI_FLAG, "QUIESCE", "have the guest's agent settle its file systems" },    \
    { "atomic", VIREO_CLI_FLAG, "ATOMIC", "all disks or none" },                                   \
    { "live", VIREO_CLI_FLAG, "LIVE", "the guest runs on meanwhile" },                            \
    { "validate", VIREO_CLI_FLAG, "VALIDATE", "check the XML against the schema first" }

static const VireoCliOperand create_operands[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { "xmlfile", VIREO_CLI_FILE, TRUE, FALSE, "snapshot XML; - is standard input" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption create_options[] = {
    { "redefine", VIREO_CLI_FLAG, "REDEFINE", "remember a snapshot that exists already" },
    { "current", VIREO_CLI_FLAG, "CURRENT", "with --redefine: make it the current one" },
    CREATE_FLAGS,
    { NULL, 0, NULL, NULL },
};
static const VireoCliOperand create_as_operands[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { "name", VIREO_CLI_TEXT, TRUE, FALSE, "of the snapshot; the time unless given" },
    { "description", VIREO_CLI_TEXT, TRUE, FALSE, "what it is for" },
    { "diskspec", VIREO_CLI_TEXT, TRUE, TRUE, "DISK[,snapshot=KIND][,driver=FORMAT][,stype=TYPE][,file=PATH]" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption create_as_options[] = {
    { "print-xml", VIREO_CLI_BOOL, NULL, "print the XML that would be sent" },
    { "memspec", VIREO_CLI_STRING, "SPEC", "where memory goes: [file=]PATH[,snapshot=KIND]" },
    CREATE_FLAGS,
    { NULL, 0, NULL, NULL },
};

/* ---- show ---- */

static gboolean get_xml(VireoCli *cli, const vireo_domain_snapshot_ref *snap, guint32 flags, char **ret,
                        GError **error)
{
    vireo_domain_snapshot_get_xml_desc_args args = { .snap = *snap, .flags = flags };
    vireo_domain_snapshot_get_xml_desc_ret xml;

    if (!VIREO_CALL(cli->client, domain_snapshot_get_xml_desc, cli->arena, error, &args, &xml))
        return FALSE;
    *ret = xml.xml;
    return TRUE;
}

static gboolean print_xml(VireoCli *cli, const vireo_domain_snapshot_ref *snap, GError **error)
{
    guint32 flags = vireo_cli_on(cli, "security-info") ? VIREO_DOMAIN_SNAPSHOT_XML_SECURE : 0;
    char *xml;

    return get_xml(cli, snap, flags, &xml, error) && vireo_cli_print_document(cli, xml, error);
}

static gboolean run_dumpxml(VireoCli *cli, GError **error)
{
    vireo_domain_snapshot_ref snap;

    return find_snapshot(cli, &snap, error) && print_xml(cli, &snap, error);
}

static void print_name(VireoCli *cli, const char *name)
{
    JsonObject *object;

    if (!cli->json) {
        printf("%s\n", name);
        return;
    }
    object = json_object_new();
    json_object_set_string_member(object, "snapshot", name);
    vireo_cli_print_object(object);
}

/* Older relatives of this command make a snapshot current by redefining it: so does this. */
static gboolean make_current(VireoCli *cli, const char *name, GError **error)
{
    vireo_domain_snapshot_lookup_by_name_args find = { .name = (char *)name };
    vireo_domain_snapshot_lookup_by_name_ret found;
    vireo_domain_snapshot_create_xml_args args = {
        .flags = VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE | VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT,
    };
    vireo_domain_snapshot_create_xml_ret ret;

    if (!vireo_cli_domain(cli, &find.dom, error) ||
        !VIREO_CALL(cli->client, domain_snapshot_lookup_by_name, cli->arena, error, &find, &found) ||
        !get_xml(cli, &found.snap, VIREO_DOMAIN_SNAPSHOT_XML_SECURE, &args.xml_desc, error))
        return FALSE;
    args.dom = find.dom;
    if (!VIREO_CALL(cli->client, domain_snapshot_create_xml, cli->arena, error, &args, &ret))
        return FALSE;
    vireo_cli_done(cli, "snapshot-current", args.dom.name, name, "Snapshot %s set as current", name);
    return TRUE;
}

static gboolean run_current(VireoCli *cli, GError **error)
{
    const char *wanted = vireo_cli_text(cli, "snapshotname");
    vireo_domain_snapshot_ref snap;
    vireo_domain_ref dom;

    if (wanted)
        return make_current(cli, wanted, error);
    if (!vireo_cli_domain(cli, &dom, error) || !current_snapshot(cli, &dom, &snap, error))
        return FALSE;
    if (!vireo_cli_on(cli, "name"))
        return print_xml(cli, &snap, error);
    print_name(cli, snap.name);
    return TRUE;
}

static gboolean run_parent(VireoCli *cli, GError **error)
{
    vireo_domain_snapshot_get_parent_args args;
    vireo_domain_snapshot_get_parent_ret ret;

    if (!find_snapshot(cli, &args.snap, error))
        return FALSE;
    args.flags = 0;
    if (!VIREO_CALL(cli->client, domain_snapshot_get_parent, cli->arena, error, &args, &ret))
        return FALSE;
    print_name(cli, ret.snap.name);
    return TRUE;
}

static gboolean count_children(VireoCli *cli, const vireo_domain_snapshot_ref *snap, guint32 flags,
                               int *ret, GError **error)
{
    vireo_domain_snapshot_num_children_args args = { .snap = *snap, .flags = flags };
    vireo_domain_snapshot_num_children_ret num;

    if (!VIREO_CALL(cli->client, domain_snapshot_num_children, cli->arena, error, &args, &num))
        return FALSE;
    *ret = num.num;
    return TRUE;
}

static const char *location(const char *xml)
{
    g_autofree char *memory = vireo_cli_xpath_text(xml, "/domainsnapshot/memory/@snapshot");
    g_autofree char *disk =
        vireo_cli_xpath_text(xml, "/domainsnapshot/disks/disk[@snapshot='external']/@name");

    return g_strcmp0(memory, "external") == 0 || disk ? "external" : "internal";
}

static gboolean run_info(VireoCli *cli, GError **error)
{
    vireo_domain_snapshot_ref snap;
    vireo_domain_snapshot_is_current_args current = { 0 };
    vireo_domain_snapshot_is_current_ret is_current;
    vireo_domain_snapshot_has_metadata_args metadata = { 0 };
    vireo_domain_snapshot_has_metadata_ret has_metadata;
    g_autofree char *parent = NULL, *state = NULL;
    VireoCliFacts *facts;
    int children, descendants;
    char *xml;

    if (!find_snapshot(cli, &snap, error))
        return FALSE;
    current.snap = metadata.snap = snap;
    if (!get_xml(cli, &snap, 0, &xml, error) ||
        !VIREO_CALL(cli->client, domain_snapshot_is_current, cli->arena, error, &current, &is_current) ||
        !VIREO_CALL(cli->client, domain_snapshot_has_metadata, cli->arena, error, &metadata,
                    &has_metadata) ||
        !count_children(cli, &snap, 0, &children, error) ||
        !count_children(cli, &snap, VIREO_DOMAIN_SNAPSHOT_LIST_DESCENDANTS, &descendants, error))
        return FALSE;
    parent = vireo_cli_xpath_text(xml, "/domainsnapshot/parent/name");
    state = vireo_cli_xpath_text(xml, "/domainsnapshot/state");
    facts = vireo_cli_facts_new();
    vireo_cli_fact(facts, "Name", "name", "%s", snap.name);
    vireo_cli_fact(facts, "Domain", "domain", "%s", snap.dom.name);
    vireo_cli_fact_bool(facts, "Current", "current", is_current.current, "yes", "no");
    vireo_cli_fact(facts, "State", "state", "%s", state ? state : "unknown");
    vireo_cli_fact(facts, "Location", "location", "%s", location(xml));
    if (parent || !cli->json)
        vireo_cli_fact(facts, "Parent", "parent", "%s", parent ? parent : "-");
    vireo_cli_fact_int(facts, "Children", "children", children, NULL);
    vireo_cli_fact_int(facts, "Descendants", "descendants", descendants, NULL);
    vireo_cli_fact_bool(facts, "Metadata", "metadata", has_metadata.metadata, "yes", "no");
    vireo_cli_facts_print(cli, facts);
    return TRUE;
}

/* ---- delete, revert ---- */

static gboolean run_delete(VireoCli *cli, GError **error)
{
    vireo_domain_snapshot_delete_args args = { 0 };
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !find_snapshot(cli, &args.snap, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (cli->planning)
        return vireo_cli_plan(cli, VIREO_OP_domain_snapshot_delete, &args, error);
    if (!VIREO_CALL(cli->client, domain_snapshot_delete, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "snapshot-deleted", args.snap.dom.name, args.snap.name,
                   args.flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY
                       ? "Domain snapshot %s children deleted"
                       : "Domain snapshot %s deleted",
                   args.snap.name);
    return TRUE;
}

static gboolean run_revert(VireoCli *cli, GError **error)
{
    vireo_domain_revert_to_snapshot_args args = { 0 };
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !find_snapshot(cli, &args.snap, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (cli->planning)
        return vireo_cli_plan(cli, VIREO_OP_domain_revert_to_snapshot, &args, error);
    if (!VIREO_CALL(cli->client, domain_revert_to_snapshot, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "snapshot-reverted", args.snap.dom.name, args.snap.name,
                   "Domain snapshot %s reverted", args.snap.name);
    return TRUE;
}

#define CURRENT { "current", VIREO_CLI_BOOL, NULL, "the current snapshot" }
#define SECURITY { "security-info", VIREO_CLI_BOOL, NULL, "with passwords" }
static const VireoCliOption which_options[] = { CURRENT, { NULL, 0, NULL, NULL } };
static const VireoCliOption dumpxml_options[] = { CURRENT, SECURITY, VIREO_CLI_XPATH_OPTIONS, { NULL, 0, NULL, NULL } };
static const VireoCliOption current_options[] = {
    { "name", VIREO_CLI_BOOL, NULL, "print its name instead of its XML" },
    SECURITY, VIREO_CLI_XPATH_OPTIONS, { NULL, 0, NULL, NULL },
};
static const VireoCliOption delete_options[] = {
    CURRENT,
    { "children", VIREO_CLI_FLAG, "CHILDREN", "and all its descendants" },
    { "children-only", VIREO_CLI_FLAG, "CHILDREN_ONLY", "its descendants, not itself" },
    { "metadata", VIREO_CLI_FLAG, "METADATA_ONLY", "forget it; its contents stay" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOption revert_options[] = {
    CURRENT,
    { "running", VIREO_CLI_FLAG, "RUNNING", "the domain runs afterwards" },
    { "paused", VIREO_CLI_FLAG, "PAUSED", "the domain is paused afterwards" },
    { "force", VIREO_CLI_FLAG, "FORCE", "even when the domain's device model has changed" },
    { "reset-nvram", VIREO_CLI_FLAG, "RESET_NVRAM", "start with fresh firmware variables" },
    { NULL, 0, NULL, NULL },
};

static const VireoCliOption snapshot_list_options[] = {
    { "parent", VIREO_CLI_BOOL, NULL, "with a column for the parent" },
    { "tree", VIREO_CLI_BOOL, NULL, "as a tree" },
    { "name", VIREO_CLI_BOOL, NULL, "names only" },
    { "from", VIREO_CLI_STRING, "SNAPSHOT", "children of this one" },
    { "current", VIREO_CLI_BOOL, NULL, "children of the current one" },
    { "descendants", VIREO_CLI_FLAG, "DESCENDANTS", "with --from or --current: all descendants" },
    { "roots", VIREO_CLI_FLAG, "ROOTS", "without a parent" },
    { "leaves", VIREO_CLI_FLAG, "LEAVES", "without children" },
    { "no-leaves", VIREO_CLI_FLAG, "NO_LEAVES", "with children" },
    { "metadata", VIREO_CLI_FLAG, "METADATA", "with metadata that keeps a domain from being undefined" },
    { "no-metadata", VIREO_CLI_FLAG, "NO_METADATA", "without" },
    { "inactive", VIREO_CLI_FLAG, "INACTIVE", "taken while the domain was off" },
    { "active", VIREO_CLI_FLAG, "ACTIVE", "taken with the running state" },
    { "disk-only", VIREO_CLI_FLAG, "DISK_ONLY", "of disks only" },
    { "internal", VIREO_CLI_FLAG, "INTERNAL", "within the disk images" },
    { "external", VIREO_CLI_FLAG, "EXTERNAL", "in files of their own" },
    { "topological", VIREO_CLI_FLAG, "TOPOLOGICAL", "parents before children, not by name" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_snapshot_commands[] = {
    { "snapshot-create", NULL, "take a snapshot, from XML or with defaults",
      "domain_snapshot_create_xml", create_operands, create_options, run_create, VIREO_CLI_CONNECT,
      NULL },
    { "snapshot-create-as", NULL, "take a snapshot, described by options",
      "domain_snapshot_create_xml", create_as_operands, create_as_options, run_create_as,
      VIREO_CLI_CONNECT, NULL },
    { "snapshot-list", NULL, "list a domain's snapshots", "domain_list_all_snapshots", one_domain,
      snapshot_list_options, vireo_cli_snapshot_list, VIREO_CLI_CONNECT, NULL },
    { "snapshot-info", NULL, "show a snapshot's facts", NULL, domain_snapshot, which_options, run_info,
      VIREO_CLI_CONNECT, NULL },
    { "snapshot-dumpxml", NULL, "print a snapshot's XML", NULL, domain_snapshot, dumpxml_options,
      run_dumpxml, VIREO_CLI_CONNECT, NULL },
    { "snapshot-current", NULL, "show the current snapshot, or make one current", NULL,
      domain_snapshot, current_options, run_current, VIREO_CLI_CONNECT,
      "With a snapshot's name that one is made current." },
    { "snapshot-parent", NULL, "print the name of a snapshot's parent", NULL, domain_snapshot,
      which_options, run_parent, VIREO_CLI_CONNECT, NULL },
    { "snapshot-delete", NULL, "delete a snapshot", "domain_snapshot_delete", domain_snapshot,
      delete_options, run_delete, VIREO_CLI_CONNECT, NULL },
    { "snapshot-revert", NULL, "take a domain back to a snapshot", "domain_revert_to_snapshot",
      domain_snapshot, revert_options, run_revert, VIREO_CLI_CONNECT, NULL },
    { NULL },
};
