/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lets modules of the ABI in abi0.h run. Functions that begin a driver or a connection have no place for a
 * pointer of ours, so there is one of them for each module, as many as there are slots.
 */
#include <string.h>

#include "abi0.h"
#include "loader/adapter.h"
#include "util/error.h"

#define SLOTS(X) X(0) X(1)

typedef struct {
    const struct zero_driver *theirs;
    zero_conn_open_fn *conn_open;
    struct vireo_driver ours;
} Slot;

static Slot slots[2];
static gint used;
static const struct vireo_host *today; /* one for the whole process */

/* ---- today's host, as they know one ---- */

static vireo_space *zero_space(vireo_core *core, const char *name)
{
    return today->space(core, name);
}

static void zero_show(vireo_space *space, const struct zero_object *theirs)
{
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = theirs->name,
        .id = theirs->running ? 1 : -1,
        .state = theirs->running ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_SHUTOFF,
        .flags = VIREO_OBJECT_PERSISTENT,
        .event = -1,
    };

    memcpy(object.uuid, theirs->uuid, sizeof object.uuid);
    today->publish(space, &object);
}

static int zero_error(vireo_call *call, const char *text)
{
    return today->fail(call, VIREO_ERR_OPERATION_FAILED, "%s", text);
}

static char *zero_copy(vireo_call *call, const char *text)
{
    return today->strdup(call, text);
}

static const struct zero_host host = { zero_space, zero_show, zero_error, zero_copy };

/* ---- their functions, as we call them ---- */

static int start(const Slot *slot, const struct vireo_host *given, vireo_core *core, void **self)
{
    today = given;
    return slot->theirs->start(&host, core, self) == 0 ? VIREO_OK : VIREO_FAIL;
}

static int open_conn(const Slot *slot, void *self, vireo_call *call, const vireo_conn_open_args *args,
                     vireo_conn_open_ret *ret)
{
    void *conn = NULL;
    vireo_space *space = NULL;
    int status = slot->conn_open(self, call, args->uri, &conn, &space);

    ret->conn = conn;
    ret->space = space;
    return status == 0 ? VIREO_OK : VIREO_FAIL;
}

#define FUNCTIONS(n)                                                                               \
    static int start_##n(const struct vireo_host *given, vireo_core *core, void **self)            \
    {                                                                                              \
        return start(&slots[n], given, core, self);                                                \
    }                                                                                              \
    static int open_##n(void *self, vireo_call *call, const vireo_conn_open_args *args,            \
                        vireo_conn_open_ret *ret)                                                  \
    {                                                                                              \
        return open_conn(&slots[n], self, call, args, ret);                                        \
    }
SLOTS(FUNCTIONS)

#define STARTS(n) start_##n,
#define OPENS(n)  open_##n,
static int (*const starts[])(const struct vireo_host *, vireo_core *, void **) = { SLOTS(STARTS) };
static vireo_conn_open_fn *const opens[] = { SLOTS(OPENS) };

static struct vireo_op *adapt_rows(const struct zero_driver *theirs, Slot *slot)
{
    struct vireo_op *rows = g_new0(struct vireo_op, theirs->n_ops);

    for (guint i = 0; i < theirs->n_ops; i++) {
        rows[i].id = theirs->ops[i].id;
        rows[i].native = theirs->ops[i].native;
        rows[i].trivial = theirs->ops[i].trivial;
        rows[i].fn.any = theirs->ops[i].fn;
        if (rows[i].id == VIREO_OP_conn_open) {
            slot->conn_open = (zero_conn_open_fn *)rows[i].fn.any;
            rows[i].fn.conn_open = opens[slot - slots];
        }
    }
    return rows;
}

static const struct vireo_driver *adapt(gconstpointer returned, GError **error)
{
    const struct zero_driver *theirs = returned;
    gint n = g_atomic_int_add(&used, 1);
    Slot *slot = &slots[n];

    if (n >= (gint)G_N_ELEMENTS(slots)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "no more than %zu modules of ABI 0 can run",
                    G_N_ELEMENTS(slots));
        return NULL;
    }
    slot->theirs = theirs;
    slot->ours = (struct vireo_driver){
        .size = sizeof slot->ours,
        .abi_major = 0,
        .abi_target = (uint16_t)theirs->minor,
        .name = theirs->name,
        .version = theirs->version,
        .schemes = theirs->schemes,
        .threads = theirs->threads,
        .op_size = sizeof(struct vireo_op),
        .n_ops = theirs->n_ops,
        .ops = adapt_rows(theirs, slot),
        .init = starts[n],
        .fini = theirs->stop,
    };
    return &slot->ours;
}

static const VireoAdapter zero = { 0, ZERO_MINOR, "vireo_driver_entry_0", adapt };
const VireoAdapter *const vireo_adapter = &zero;
