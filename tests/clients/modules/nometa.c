/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A driver that keeps no snapshot metadata, so that it satisfies METADATA_ONLY trivially. Whoever
 * reaches its delete function is told so by an error. */
#include <vireo/driver.h>

static const struct vireo_host *host;
static vireo_space *space;
static const uint8_t uuid[16] = { 0x6e, 0x6f, 0x6d, 0x65, 0x74, 0x61, 0x40, 0x01,
                                  0x80, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08 };

static int nometa_init(const struct vireo_host *given, vireo_core *core, void **self)
{
    static const struct vireo_tree_node tree[] = {
        { .size = sizeof tree[0], .name = "one", .creation_time = 1700000000,
          .state = VIREO_DOMAIN_SHUTOFF, .flags = VIREO_TREE_INTERNAL },
        { .size = sizeof tree[0], .name = "two", .parent = "one", .creation_time = 1700000001,
          .state = VIREO_DOMAIN_SHUTOFF, .flags = VIREO_TREE_INTERNAL | VIREO_TREE_CURRENT },
    };
    struct vireo_object vm = {
        .size = sizeof vm, .klass = VIREO_CLASS_DOMAIN, .name = "vm", .id = -1,
        .state = VIREO_DOMAIN_SHUTOFF, .flags = VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_QUIET,
        .vcpus = 1, .max_memory_kib = 1024, .memory_kib = 1024, .os_type = "hvm", .event = -1,
    };

    host = given;
    for (int i = 0; i < 16; i++)
        vm.uuid[i] = uuid[i];
    space = host->space(core, "nometa:///system");
    host->publish(space, &vm);
    host->publish_tree(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, 2, tree);
    *self = space;
    return VIREO_OK;
}

static void nometa_fini(void *self)
{
    (void)self;
}

static int nometa_open(void *self, vireo_call *call, const vireo_conn_open_args *args,
                       vireo_conn_open_ret *ret)
{
    (void)call;
    (void)args;
    ret->conn = self;
    ret->space = space;
    return VIREO_OK;
}

static int nometa_close(void *conn, vireo_call *call)
{
    (void)conn;
    (void)call;
    return VIREO_OK;
}

static int nometa_xml(void *conn, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                      vireo_domain_get_xml_desc_ret *ret)
{
    (void)conn;
    (void)args;
    ret->xml = host->strdup(call, "<domain type='nometa'><name>vm</name></domain>");
    return VIREO_OK;
}

static int nometa_delete(void *conn, vireo_call *call,
                         const vireo_domain_snapshot_delete_args *args)
{
    (void)conn;
    return host->fail(call, VIREO_ERR_OPERATION_FAILED, "the driver was asked to delete '%s' with flags %u",
                      args->snap.name, args->flags);
}

#define OPS(X)                                                                                     \
    X(conn_open, nometa_open, 0, 0, 0, 0)                                                          \
    X(conn_close, nometa_close, 0, 0, 0, 0)                                                        \
    X(domain_get_xml_desc, nometa_xml, 0, 0, 0, 0)                                                 \
    X(domain_snapshot_delete, nometa_delete, VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN,                \
      VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY, 0, 0)

VIREO_DRIVER(nometa, "1.0", "nometa", VIREO_PARALLEL, OPS, nometa_init, nometa_fini)
