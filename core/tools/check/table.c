/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All checks, in the order of the report; what one needs stands before it. */
#include "tools/check/check.h"

const Check checks[] = {
    { "note", "the manifest can be read, and this version takes it", check_manifest },
    { "ids", "every row is an operation that drivers serve", check_ids, "note" },
    { "duplicates", "no operation is in the table twice", check_duplicates, "note" },
    { "mandatory", "the operations every driver has are there", check_mandatory, "note" },
    { "masks", "each flag is known, and native or trivial but not both", check_masks, "note" },
    { "exports", "one exported symbol, the entry function", check_exports, "note" },
    { "links", "nothing of Vireo is linked; bound at once, never unloaded, no writable code", check_links, "note" },
    { "page", "the manual page has every heading and explains each trivial flag", check_page, "note" },
    { "load", "the module can be linked", check_load, "note" },
    { "table", "the table says what the manifest says", check_table, "load" },
    { "init", "it starts and stops in time", check_init, "table" },
    { "restart", "it starts and stops three times", check_restart, "init" },
    { "leaked-threads", "no thread is left after fini", check_leaked_threads, "restart" },
    { "leaked-fds", "no descriptor is left after fini", check_leaked_fds, "restart" },
    { "leaked-memory", "no memory is left after fini", check_leaked_memory, "restart" },
    { "open", "connections open and close", check_open, "init" },
    { "undeclared", "flags that are not declared never reach it", check_undeclared, "table", .uses_glib = TRUE },
    { "stripped", "trivial flags reach it as 0, native ones as they are", check_stripped, "table", .uses_glib = TRUE },
    { "calls", "every operation comes back", check_calls, "open", .in_steps = TRUE },
    { "bogus", "no operation succeeds on an object that does not exist", NULL, "calls" },
    { "errors", "who fails says why", NULL, "calls" },
    { "results", "every result can be sent", NULL, "calls" },
    { "completion", "every call ends once", NULL, "calls" },
    { "cancel", "a cancelled call ends soon", check_cancel, "calls" },
    { "documents", "malformed documents are refused", check_documents, "open", .in_steps = TRUE },
    { "trivial", "trivial flags make no difference", check_trivial, "calls" },
    { "publish", "what is published makes sense", NULL, "calls" },
    { "events", "changes are published at once and in order", check_events, "calls" },
    { "threads", "it stands as many calls at once as it says", check_threads, "calls" },
    { "services", "it stands a host whose services fail", check_services, "calls", .in_steps = TRUE },
    { "kill", "after a kill it finds again what it kept", check_kill, "calls" },
};

const guint n_checks = G_N_ELEMENTS(checks);
