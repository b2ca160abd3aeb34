/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/check/spy.h"

#include <string.h>

#include "host/call.h"
#include "host/host.h"

const guint8 spy_on_uuid[16] = {0x01, [15] = 0x01};
const guint8 spy_off_uuid[16] = {0x02, [15] = 0x02};

SpySeen spy_seen;

static int spy(vireo_call *call)
{
    g_mutex_lock(&spy_seen.lock);
    spy_seen.op = call->op->id;
    spy_seen.flags = vireo_op_get_flags(call->op, call->args);
    g_mutex_unlock(&spy_seen.lock);
    return vireo_call_fail(call, SPY_REACHED, "reached");
}

static int spy_both(void *conn, vireo_call *call, const void *args, void *ret)
{
    return spy(call);
}

static int spy_one(void *conn, vireo_call *call, const void *args_or_ret)
{
    return spy(call);
}

static int spy_none(void *conn, vireo_call *call)
{
    return spy(call);
}

static void publish_domain(vireo_space *space, const char *name, const guint8 *uuid,
                           gboolean active)
{
    const struct vireo_tree_node node = {.size = sizeof node,
                                         .flags = VIREO_TREE_CURRENT | VIREO_TREE_METADATA,
                                         .name = "one",
                                         .state = VIREO_DOMAIN_SHUTOFF};
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = name,
        .id = active ? 7 : -1,
        .state = active ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_SHUTOFF,
        .flags = VIREO_OBJECT_PERSISTENT,
        .event = -1,
    };

    memcpy(object.uuid, uuid, 16);
    vireo_host_services.publish(space, &object);
    vireo_host_services.publish_tree(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, 1, &node);
    vireo_host_services.publish_tree(space, VIREO_CLASS_DOMAIN_CHECKPOINT, uuid, 1, &node);
}

static void publish_other(vireo_space *space, guint32 klass)
{
    const struct vireo_object object = {.size = sizeof object,
                                        .klass = klass,
                                        .name = "x",
                                        .uuid = {0x01, [15] = 0x01},
                                        .id = -1,
                                        .flags = VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_ACTIVE,
                                        .event = -1};

    vireo_host_services.publish(space, &object);
}

void spy_fill_other(const VireoOp *op, gpointer args)
{
    /* Both references have the same layout. */
    vireo_network_ref *ref = (gpointer)((char *)args + op->object_offset);

    if (op->object == VIREO_CLASS_NETWORK || op->object == VIREO_CLASS_STORAGE_POOL)
        memcpy(ref->uuid, spy_on_uuid, sizeof spy_on_uuid);
}

static int spied_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    spy_seen.space = host->space(core, "spied:///");
    publish_domain(spy_seen.space, "on", spy_on_uuid, TRUE);
    publish_domain(spy_seen.space, "off", spy_off_uuid, FALSE);
    publish_other(spy_seen.space, VIREO_CLASS_NETWORK);
    publish_other(spy_seen.space, VIREO_CLASS_STORAGE_POOL);
    publish_other(spy_seen.space, VIREO_CLASS_INTERFACE);
    return VIREO_OK;
}

static void spied_fini(void *self)
{
}

static int spied_open(void *self, vireo_call *call, const vireo_conn_open_args *args,
                      vireo_conn_open_ret *ret)
{
    ret->conn = &spy_seen;
    ret->space = spy_seen.space;
    return VIREO_OK;
}

static int spied_close(void *conn, vireo_call *call)
{
    return VIREO_OK;
}

static void replace(struct vireo_op *row)
{
    const VireoOp *op = vireo_op_by_id(row->id);

    if (row->id == VIREO_OP_conn_open)
        row->fn.conn_open = spied_open;
    else if (row->id == VIREO_OP_conn_close)
        row->fn.conn_close = spied_close;
    else if (op->args && op->ret)
        row->fn.any = (void (*)(void))spy_both;
    else if (op->args || op->ret)
        row->fn.any = (void (*)(void))spy_one;
    else
        row->fn.any = (void (*)(void))spy_none;
}

struct vireo_driver *spy_driver_new(const struct vireo_driver *driver)
{
    struct vireo_driver *copy = g_new0(struct vireo_driver, 1);
    struct vireo_op *rows = g_new0(struct vireo_op, driver->n_ops);
    guint n = 0;

    for (guint i = 0; i < driver->n_ops; i++) {
        const struct vireo_op *row =
            (const void *)((const char *)driver->ops + (gsize)i * driver->op_size);

        if (row->id == VIREO_OP_conn_narrow)
            continue;
        rows[n] = *row;
        replace(&rows[n++]);
    }
    *copy = *driver;
    copy->schemes = "spied";
    copy->op_size = sizeof *rows;
    copy->ops = rows;
    copy->n_ops = n;
    copy->init = spied_init;
    copy->fini = spied_fini;
    return copy;
}

void spy_driver_free(struct vireo_driver *driver)
{
    g_free((gpointer)driver->ops);
    g_free(driver);
}
