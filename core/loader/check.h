/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether this core and a module understand each other. Pure functions; errors are sentences for
 * the administrator (domain VIREO_ERROR, code VIREO_ERR_OPERATION_FAILED).
 */
#pragma once

#include <glib.h>

#include "loader/note.h"
#include "ops/catalogue.h"

/* The rules a note can be held to before any code of the module runs: machine, both ABI numbers,
 * thread model, no operation twice, no flag both native and trivial, state rules on native flags
 * alone, and the operations every driver has. */
gboolean vireo_check_note(const VireoNote *note, GError **error);

/* Why an operation is none that a driver can serve ("is an event, ..."), or NULL; g_free. */
char *vireo_check_op_is_for_drivers(const VireoOp *op);

/* That the table of the loaded module says what its note says, with a function in every row. */
gboolean vireo_check_table(const VireoNote *note, const struct vireo_driver *driver,
                           GError **error);

/* The operations of a checked module that this core knows, and the flags of each that it knows, for
 * lookup in constant time. Immutable. */
typedef struct VireoOpTable VireoOpTable;

/* What is dropped (operations and flags of a newer core) is told in `remarks`, char * each. */
VireoOpTable *vireo_op_table_new(const struct vireo_driver *driver, GPtrArray *remarks);
/* The same for a driver in another process: from its note, without functions. */
VireoOpTable *vireo_op_table_of_note(const VireoNote *note, GPtrArray *remarks);
void vireo_op_table_free(VireoOpTable *table); /* NULL allowed */
const struct vireo_op *vireo_op_table_get(const VireoOpTable *table, guint32 id);
/* The same without functions, from the note alone, in its order; *n is at most note->n_ops. */
VireoNoteOp *vireo_note_effective_ops(const VireoNote *note, guint *n);
