/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver (scheme `trivial`) that keeps no snapshot metadata: NO_METADATA of a creation and
 * METADATA_ONLY of a deletion are trivial, CHILDREN is its own. Each call that reaches it is a line
 * "OPERATION FLAGS NAME" at the end of <state>/calls.
 */
#include <vireo/driver.h>

#include <stdio.h>
#include <string.h>

static const struct vireo_host *host;
static vireo_core *core;
static vireo_space *space;
static const uint8_t uuid[16] = {0x74, 0x72, 0x69, 0x76, 0x69, 0x61, 0x4c, 0x01,
                                 0x80, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07};

static void record(const char *op, uint32_t flags, const char *name)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/calls", host->dir(core, VIREO_DIR_STATE));
    file = fopen(path, "ae");
    if (!file)
        return;
    fprintf(file, "%s %u %s\n", op, flags, name);
    fclose(file);
}

static int trivial_open(void *self, vireo_call *call, const vireo_conn_open_args *args,
                        vireo_conn_open_ret *ret)
{
    ret->conn = &space;
    ret->space = space;
    return VIREO_OK;
}

static int trivial_close(void *conn, vireo_call *call)
{
    return VIREO_OK;
}

static int trivial_create(void *conn, vireo_call *call,
                          const vireo_domain_snapshot_create_xml_args *args,
                          vireo_domain_snapshot_create_xml_ret *ret)
{
    record("create", args->flags, "-");
    ret->snap.name = host->strdup(call, "new");
    ret->snap.dom = args->dom;
    return VIREO_OK;
}

static int trivial_delete(void *conn, vireo_call *call,
                          const vireo_domain_snapshot_delete_args *args)
{
    record("delete", args->flags, args->snap.name);
    return VIREO_OK;
}

static int trivial_init(const struct vireo_host *given, vireo_core *given_core, void **self)
{
    static const struct vireo_tree_node tree[] = {
        {.size = sizeof tree[0], .name = "one", .state = VIREO_DOMAIN_SHUTOFF},
        {.size = sizeof tree[0],
         .name = "two",
         .parent = "one",
         .state = VIREO_DOMAIN_SHUTOFF,
         .flags = VIREO_TREE_CURRENT},
    };
    struct vireo_object vm = {
        .size = sizeof vm,
        .klass = VIREO_CLASS_DOMAIN,
        .name = "vm",
        .id = -1,
        .state = VIREO_DOMAIN_SHUTOFF,
        .flags = VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_QUIET,
        .vcpus = 1,
        .max_memory_kib = 1024,
        .memory_kib = 1024,
        .os_type = "hvm",
        .event = -1,
    };

    host = given;
    core = given_core;
    memcpy(vm.uuid, uuid, sizeof uuid);
    space = host->space(core, "trivial:///system");
    host->publish(space, &vm);
    host->publish_tree(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, 2, tree);
    *self = &space;
    return VIREO_OK;
}

static void trivial_fini(void *self)
{
}

#define OPS(X)                                                                                     \
    X(conn_open, trivial_open, 0, 0, 0, 0)                                                         \
    X(conn_close, trivial_close, 0, 0, 0, 0)                                                       \
    X(domain_snapshot_create_xml, trivial_create, 0, VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA, 0,  \
      0)                                                                                           \
    X(domain_snapshot_delete, trivial_delete, VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN,               \
      VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY, 0, 0)

VIREO_DRIVER(trivial, "1", "trivial", VIREO_PARALLEL, OPS, trivial_init, trivial_fini)
