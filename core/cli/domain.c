/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that change domains. */
#include <string.h>

#include "cli/cli.h"

static const VireoCliOperand one_domain[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOperand one_file[] = {
    { "file", VIREO_CLI_FILE, FALSE, FALSE, "domain XML; - is standard input" },
    { NULL, 0, FALSE, FALSE, NULL },
};

/* ---- define, create, start ---- */

static gboolean run_define(VireoCli *cli, GError **error)
{
    vireo_domain_define_xml_flags_args args = { 0 };
    vireo_domain_define_xml_flags_ret ret;
    guint64 flags;

    args.xml = vireo_cli_read_file(cli, vireo_cli_text(cli, "file"), error);
    if (!args.xml || !vireo_cli_flags(cli, &flags, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (!VIREO_CALL(cli->client, domain_define_xml_flags, cli->arena, error, &args, &ret))
        return FALSE;
    vireo_cli_done(cli, "defined", ret.dom.name, NULL, "Domain '%s' defined from %s", ret.dom.name,
                   vireo_cli_text(cli, "file"));
    return TRUE;
}

static gboolean run_create(VireoCli *cli, GError **error)
{
    vireo_domain_create_xml_args args = { 0 };
    vireo_domain_create_xml_ret ret;
    guint64 flags;

    args.xml_desc = vireo_cli_read_file(cli, vireo_cli_text(cli, "file"), error);
    if (!args.xml_desc || !vireo_cli_flags(cli, &flags, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (!VIREO_CALL(cli->client, domain_create_xml, cli->arena, error, &args, &ret))
        return FALSE;
    vireo_cli_done(cli, "created", ret.dom.name, NULL, "Domain '%s' created from %s", ret.dom.name,
                   vireo_cli_text(cli, "file"));
    return !vireo_cli_on(cli, "console") ||
           vireo_cli_attach_console(cli, &ret.dom, NULL, 0, error);
}

static gboolean run_start(VireoCli *cli, GError **error)
{
    vireo_domain_create_with_flags_args args = { 0 };
    vireo_domain_create_with_flags_ret ret;
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (!VIREO_CALL(cli->client, domain_create_with_flags, cli->arena, error, &args, &ret))
        return FALSE;
    vireo_cli_done(cli, "started", args.dom.name, NULL, "Domain '%s' started", args.dom.name);
    return !vireo_cli_on(cli, "console") ||
           vireo_cli_attach_console(cli, &ret.dom, NULL, 0, error);
}

static const VireoCliOption define_options[] = {
    { "validate", VIREO_CLI_FLAG, "VALIDATE", "check the XML against the schema first" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOption create_options[] = {
    { "console", VIREO_CLI_BOOL, NULL, "attach to the console afterwards" },
    { "paused", VIREO_CLI_FLAG, "PAUSED", "leave the guest paused" },
    { "autodestroy", VIREO_CLI_FLAG, "AUTODESTROY", "destroy the guest when this command ends" },
    { "validate", VIREO_CLI_FLAG, "VALIDATE", "check the XML against the schema first" },
    { "reset-nvram", VIREO_CLI_FLAG, "RESET_NVRAM", "start with fresh firmware variables" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOption start_options[] = {
    { "console", VIREO_CLI_BOOL, NULL, "attach to the console afterwards" },
    { "paused", VIREO_CLI_FLAG, "PAUSED", "leave the guest paused" },
    { "autodestroy", VIREO_CLI_FLAG, "AUTODESTROY", "destroy the guest when this command ends" },
    { "bypass-cache", VIREO_CLI_FLAG, "BYPASS_CACHE", "load a saved state past the page cache" },
    { "force-boot", VIREO_CLI_FLAG, "FORCE_BOOT", "boot afresh, dropping a saved state" },
    { "reset-nvram", VIREO_CLI_FLAG, "RESET_NVRAM", "start with fresh firmware variables" },
    { NULL, 0, NULL, NULL },
};

/* ---- stop, shutdown, reboot, reset ---- */

static gboolean run_destroy(VireoCli *cli, GError **error)
{
    vireo_domain_destroy_flags_args args = { 0 };
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (!VIREO_CALL(cli->client, domain_destroy_flags, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "destroyed", args.dom.name, NULL, "Domain '%s' destroyed", args.dom.name);
    return TRUE;
}

/* `--mode acpi,agent` as flags of a shutdown or reboot. */
static gboolean add_modes(VireoCli *cli, guint64 *flags, GError **error)
{
    static const struct {
        const char *mode, *flag;
    } modes[] = {
        { "acpi", "ACPI_POWER_BTN" }, { "agent", "GUEST_AGENT" }, { "initctl", "INITCTL" },
        { "signal", "SIGNAL" },       { "paravirt", "PARAVIRT" },
    };
    const char *text = vireo_cli_text(cli, "mode");
    g_auto(GStrv) words = g_strsplit(text ? text : "", ",", -1);

    for (char **word = words; *word; word++) {
        guint64 bit = 0;

        for (guint i = 0; i < G_N_ELEMENTS(modes); i++)
            if (strcmp(modes[i].mode, *word) == 0)
                vireo_op_parse_flags(vireo_cli_op(cli->command), modes[i].flag, &bit, NULL);
        if (!bit)
            return vireo_cli_usage(error, "there is no mode '%s': acpi, agent, initctl, signal, paravirt",
                                   *word);
        *flags |= bit;
    }
    return TRUE;
}

static gboolean run_shutdown(VireoCli *cli, GError **error)
{
    vireo_domain_shutdown_flags_args args = { 0 };
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !add_modes(cli, &flags, error) ||
        !vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (!VIREO_CALL(cli->client, domain_shutdown_flags, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "shutdown", args.dom.name, NULL, "Domain '%s' is being shut down",
                   args.dom.name);
    return TRUE;
}

static gboolean run_reboot(VireoCli *cli, GError **error)
{
    vireo_domain_reboot_args args = { 0 };
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !add_modes(cli, &flags, error) ||
        !vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (!VIREO_CALL(cli->client, domain_reboot, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "reboot", args.dom.name, NULL, "Domain '%s' is being rebooted", args.dom.name);
    return TRUE;
}

static gboolean run_reset(VireoCli *cli, GError **error)
{
    vireo_domain_reset_args args = { 0 };

    if (!vireo_cli_domain(cli, &args.dom, error) ||
        !VIREO_CALL(cli->client, domain_reset, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "reset", args.dom.name, NULL, "Domain '%s' was reset", args.dom.name);
    return TRUE;
}

static const VireoCliOption destroy_options[] = {
    { "graceful", VIREO_CLI_FLAG, "GRACEFUL", "give up rather than kill a guest that does not end" },
    { "remove-logs", VIREO_CLI_FLAG, "REMOVE_LOGS", "remove the domain's logs" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOption mode_options[] = {
    { "mode", VIREO_CLI_STRING, "MODE[,MODE]", "how: acpi, agent, initctl, signal, paravirt" },
    { NULL, 0, NULL, NULL },
};

/* ---- suspend, resume, autostart, undefine ---- */

static gboolean run_suspend(VireoCli *cli, GError **error)
{
    vireo_domain_suspend_args args = { 0 };

    if (!vireo_cli_domain(cli, &args.dom, error) ||
        !VIREO_CALL(cli->client, domain_suspend, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "suspended", args.dom.name, NULL, "Domain '%s' suspended", args.dom.name);
    return TRUE;
}

static gboolean run_resume(VireoCli *cli, GError **error)
{
    vireo_domain_resume_args args = { 0 };

    if (!vireo_cli_domain(cli, &args.dom, error) ||
        !VIREO_CALL(cli->client, domain_resume, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "resumed", args.dom.name, NULL, "Domain '%s' resumed", args.dom.name);
    return TRUE;
}

static gboolean run_autostart(VireoCli *cli, GError **error)
{
    vireo_domain_set_autostart_args args = { .autostart = !vireo_cli_on(cli, "disable") };

    if (!vireo_cli_domain(cli, &args.dom, error) ||
        !VIREO_CALL(cli->client, domain_set_autostart, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, args.autostart ? "autostart" : "no-autostart", args.dom.name, NULL,
                   "Domain '%s' %s with the host", args.dom.name,
                   args.autostart ? "will start" : "will not start");
    return TRUE;
}

static gboolean run_undefine(VireoCli *cli, GError **error)
{
    vireo_domain_undefine_flags_args args = { 0 };
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (cli->planning)
        return vireo_cli_plan(cli, VIREO_OP_domain_undefine_flags, &args, error);
    if (!VIREO_CALL(cli->client, domain_undefine_flags, cli->arena, error, &args))
        return FALSE;
    vireo_cli_done(cli, "undefined", args.dom.name, NULL, "Domain '%s' has been undefined",
                   args.dom.name);
    return TRUE;
}

static gboolean run_clone(VireoCli *cli, GError **error)
{
    vireo_vireo_domain_clone_args args = { 0 };
    vireo_vireo_domain_clone_ret ret;

    args.name = (char *)vireo_cli_text(cli, "newname");
    args.snapshot = (char *)vireo_cli_text(cli, "snapshot");
    args.target = (char *)vireo_cli_text(cli, "target");
    if (!vireo_cli_domain(cli, &args.dom, error) ||
        !VIREO_CALL(cli->client, vireo_domain_clone, cli->arena, error, &args, &ret))
        return FALSE;
    vireo_cli_done(cli, "cloned", ret.dom.name, NULL, "Domain '%s' is a clone of '%s'", ret.dom.name, args.dom.name);
    return TRUE;
}

static const VireoCliOperand domain_newname[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { "newname", VIREO_CLI_TEXT, FALSE, FALSE, "name of the new domain" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption clone_options[] = {
    { "snapshot", VIREO_CLI_STRING, "NAME", "as it was in this snapshot" },
    { "target", VIREO_CLI_STRING, "PATH", "where the copy of its disks goes" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOption autostart_options[] = {
    { "disable", VIREO_CLI_BOOL, NULL, "do not start it with the host" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOption undefine_options[] = {
    { "managed-save", VIREO_CLI_FLAG, "MANAGED_SAVE", "remove its saved state too" },
    { "snapshots-metadata", VIREO_CLI_FLAG, "SNAPSHOTS_METADATA",
      "forget its snapshots; disk contents stay" },
    { "checkpoints-metadata", VIREO_CLI_FLAG, "CHECKPOINTS_METADATA", "forget its checkpoints" },
    { "nvram", VIREO_CLI_FLAG, "NVRAM", "remove its firmware variables" },
    { "keep-nvram", VIREO_CLI_FLAG, "KEEP_NVRAM", "keep its firmware variables" },
    { "tpm", VIREO_CLI_FLAG, "TPM", "remove its TPM state" },
    { "keep-tpm", VIREO_CLI_FLAG, "KEEP_TPM", "keep its TPM state" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_domain_commands[] = {
    { "define", NULL, "store a domain's definition", "domain_define_xml_flags", one_file,
      define_options, run_define, VIREO_CLI_CONNECT, NULL },
    { "undefine", NULL, "forget a domain's definition", "domain_undefine_flags", one_domain,
      undefine_options, run_undefine, VIREO_CLI_CONNECT, NULL },
    { "create", NULL, "start a domain that is gone when it ends", "domain_create_xml", one_file,
      create_options, run_create, VIREO_CLI_CONNECT, NULL },
    { "start", NULL, "start a defined domain", "domain_create_with_flags", one_domain, start_options,
      run_start, VIREO_CLI_CONNECT, NULL },
    { "destroy", "stop", "stop a domain at once, as if the plug was pulled", "domain_destroy_flags",
      one_domain, destroy_options, run_destroy, VIREO_CLI_CONNECT, NULL },
    { "shutdown", NULL, "ask the guest to shut down", "domain_shutdown_flags", one_domain, mode_options,
      run_shutdown, VIREO_CLI_CONNECT, NULL },
    { "reboot", NULL, "ask the guest to reboot", "domain_reboot", one_domain, mode_options, run_reboot,
      VIREO_CLI_CONNECT, NULL },
    { "reset", NULL, "reset the machine, as its button does", "domain_reset", one_domain, NULL,
      run_reset, VIREO_CLI_CONNECT, NULL },
    { "suspend", NULL, "pause a running domain", NULL, one_domain, NULL, run_suspend,
      VIREO_CLI_CONNECT, NULL },
    { "resume", NULL, "let a paused domain go on", NULL, one_domain, NULL, run_resume,
      VIREO_CLI_CONNECT, NULL },
    { "autostart", NULL, "start a domain with the host, or not", NULL, one_domain, autostart_options,
      run_autostart, VIREO_CLI_CONNECT, NULL },
    { "clone", NULL, "define another domain with a copy of its disks", NULL, domain_newname, clone_options, run_clone,
      VIREO_CLI_CONNECT, NULL },
    { NULL },
};
