/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frame of the command line: what a command is, what it may ask, and how it answers. A command is
 * one row of its noun's table; parsing, help, completion and the manual's test all read that row.
 */
#pragma once

#include <stdio.h>
#include "lib/vireo_client.h"

/* A mistake in the command line itself: exit status 2. */
#define VIREO_CLI_USAGE (vireo_cli_usage_quark())
GQuark vireo_cli_usage_quark(void);

typedef enum {
    VIREO_CLI_FLAG = 1, /* sets a flag of the command's operation */
    VIREO_CLI_BOOL,
    VIREO_CLI_STRING,
    VIREO_CLI_INT,
} VireoCliOptionKind;

typedef struct {
    const char *name; /* the last row's is NULL */
    VireoCliOptionKind kind;
    const char *value; /* FLAG: the flag's name; STRING, INT: what the help calls the value */
    const char *help;
} VireoCliOption;

/* What completion offers for an operand. */
typedef enum {
    VIREO_CLI_TEXT = 1,
    VIREO_CLI_DOMAIN,
    VIREO_CLI_SNAPSHOT,
    VIREO_CLI_FILE,
    VIREO_CLI_OPERATION,
    VIREO_CLI_FLAGS, /* of the operation that is the first operand */
    VIREO_CLI_DRIVER,
    VIREO_CLI_COMMAND,
    VIREO_CLI_PLANNED, /* a command that there are plans of */
} VireoCliOperandKind;

/* Operands are also options of the same name: `--domain NAME`. */
typedef struct {
    const char *name; /* the last row's is NULL */
    VireoCliOperandKind kind;
    gboolean optional;
    gboolean many; /* the last one only: takes all that is left */
    const char *help;
} VireoCliOperand;

typedef enum {
    VIREO_CLI_CONNECT,  /* opens the hypervisor */
    VIREO_CLI_DAEMON,   /* talks to the daemon only */
    VIREO_CLI_ALONE,    /* needs nobody */
} VireoCliNeeds;

typedef struct VireoCli VireoCli;

typedef struct {
    const char *name; /* the last row's is NULL */
    const char *alias;
    const char *summary;
    const char *op; /* the operation whose flags the FLAG options set; NULL: none */
    const VireoCliOperand *operands;
    const VireoCliOption *options;
    gboolean (*run)(VireoCli *cli, GError **error);
    VireoCliNeeds needs;
    const char *notes; /* more for the help, or NULL */
} VireoCliCommand;

typedef struct {
    const char *title;
    const VireoCliCommand *commands;
} VireoCliTopic;

extern const VireoCliCommand vireo_cli_domain_commands[], vireo_cli_info_commands[],
    vireo_cli_snapshot_commands[], vireo_cli_driver_commands[], vireo_cli_console_commands[],
    vireo_cli_event_commands[], vireo_cli_host_commands[], vireo_cli_call_commands[],
    vireo_cli_help_commands[], vireo_cli_plan_commands[],
    vireo_cli_doctor_commands[];
/* By topic; ends with a NULL title. */
extern const VireoCliTopic vireo_cli_topics[];
/* Options that stand before or after any command. */
extern const VireoCliOption vireo_cli_global_options[];
/* The letter of a global option, or 0. */
char vireo_cli_global_letter(const char *name);

struct VireoCli {
    const VireoCliCommand *command;
    VireoClient *client;
    VireoArena *arena;
    GHashTable *values; /* option or operand -> its text ("" for a switch) */
    GPtrArray *rest;    /* words that are no options */
    GPtrArray *many;    /* the values of a `many` operand */
    char escape;
    gboolean json, quiet, colour;
    gboolean planning; /* the command tells its plan: vireo_cli_plan */
    int exit_code;
    int failure_code; /* exit status of a failure; 0: the usual one */
};

/* ---- command.c ---- */
const VireoCliCommand *vireo_cli_find(const char *name);
const VireoOp *vireo_cli_op(const VireoCliCommand *command);
/* Reads a command's own words (without the command) into cli->values. */
gboolean vireo_cli_parse(VireoCli *cli, char **words, GError **error);
/* Takes what stands before the command out of argv. */
gboolean vireo_cli_parse_globals(VireoCli *cli, char ***argv, GError **error);
gboolean vireo_cli_usage(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Opens the connection the command asks for. */
gboolean vireo_cli_connect(VireoCli *cli, VireoCliNeeds needs, GError **error);

const char *vireo_cli_text(VireoCli *cli, const char *name);
gboolean vireo_cli_on(VireoCli *cli, const char *name);
/* fallback when it was not given */
gboolean vireo_cli_number(VireoCli *cli, const char *name, gint64 fallback, gint64 *ret, GError **error);
/* The flags of all FLAG options given, and of --flags. */
gboolean vireo_cli_flags(VireoCli *cli, guint64 *ret, GError **error);
/* The domain of the operand `domain`. */
gboolean vireo_cli_domain(VireoCli *cli, vireo_domain_ref *ret, GError **error);
/* The contents of a file, "-" is standard input. In the arena. */
char *vireo_cli_read_file(VireoCli *cli, const char *path, GError **error);
gboolean vireo_cli_write_all(int fd, const void *data, gsize size, GError **error);
/* Moves all of a stream to or from a descriptor, and finishes it. */
gboolean vireo_cli_move_stream(VireoStream *stream, gboolean sending, int fd, GError **error);

/* ---- output.c ---- */
typedef struct VireoCliTable VireoCliTable;
VireoCliTable *vireo_cli_table_new(const char *first_column, ...) G_GNUC_NULL_TERMINATED;
void vireo_cli_table_row(VireoCliTable *table, const char *first_cell, ...) G_GNUC_NULL_TERMINATED;
void vireo_cli_table_print(VireoCli *cli, VireoCliTable *table);
void vireo_cli_table_free(VireoCliTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoCliTable, vireo_cli_table_free)

/* Prints one JSON value and a newline; takes it. pretty: over several lines. */
void vireo_cli_print_json(JsonNode *node, gboolean pretty);
void vireo_cli_print_object(JsonObject *object);
/* With --json {"done": verb, ...pairs of names and texts}, else the message unless -q. */
void vireo_cli_done(VireoCli *cli, const char *verb, const char *domain, const char *snapshot,
                    const char *format, ...) G_GNUC_PRINTF(5, 6);
/* A document: {"xml": text} or the text itself. */
void vireo_cli_print_xml(VireoCli *cli, const char *text);
/* The same, or what --xpath finds in it, for commands with VIREO_CLI_XPATH_OPTIONS. */
gboolean vireo_cli_print_document(VireoCli *cli, const char *xml, GError **error);
#define VIREO_CLI_XPATH_OPTIONS                                                                    \
    { "xpath", VIREO_CLI_STRING, "EXPRESSION", "only what the expression finds" },                \
    { "wrap", VIREO_CLI_BOOL, NULL, "with --xpath: below one common element" }
/* "Name:   value" lines aligned; with --json members of one object. */
typedef struct VireoCliFacts VireoCliFacts;
VireoCliFacts *vireo_cli_facts_new(void);
void vireo_cli_fact(VireoCliFacts *facts, const char *label, const char *member, const char *format,
                    ...) G_GNUC_PRINTF(4, 5);
void vireo_cli_fact_int(VireoCliFacts *facts, const char *label, const char *member, gint64 value,
                        const char *unit);
void vireo_cli_fact_bool(VireoCliFacts *facts, const char *label, const char *member, gboolean value,
                         const char *yes, const char *no);
void vireo_cli_facts_print(VireoCli *cli, VireoCliFacts *facts);

/* What went wrong, and what to do about it, on standard error. */
void vireo_cli_print_error(VireoCli *cli, const GError *error);

/* ---- state.c ---- */
const char *vireo_cli_state_name(int state);
const char *vireo_cli_reason_name(int state, int reason);
const char *vireo_cli_lifecycle_name(int event);
const char *vireo_cli_lifecycle_detail(int event, int detail);

/* ---- help.c ---- */
void vireo_cli_print_help(FILE *out);
void vireo_cli_print_command_help(const VireoCliCommand *command, FILE *out);

/* ---- xml.c ---- */
/* The text of the first node an XPath expression finds, or NULL. Caller frees. */
char *vireo_cli_xpath_text(const char *xml, const char *expression);
/* ---- plan.c ---- */
/* The command whose plan is asked for; NULL with a usage error. */
const VireoCliCommand *vireo_cli_plan_of(const char *name, GError **error);
/* Prints the plan of the call that a command was about to make. op: VIREO_OP_... */
gboolean vireo_cli_plan(VireoCli *cli, guint32 op, gconstpointer args, GError **error);

/* ---- shared between nouns ---- */
gboolean vireo_cli_attach_console(VireoCli *cli, const vireo_domain_ref *dom, const char *device,
                                  guint32 flags, GError **error);
gboolean vireo_cli_snapshot_list(VireoCli *cli, GError **error);
gboolean vireo_cli_complete(VireoCli *cli, GError **error);
