/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The smallest driver; each file beside this one spoils it in one way before it says MODULE(). */
#pragma once

#include <vireo/driver.h>

static inline int base_open(void *self, vireo_call *call, const vireo_conn_open_args *args,
                            vireo_conn_open_ret *ret)
{
    (void)call;
    (void)args;
    ret->conn = self;
    return VIREO_OK;
}

static inline int base_close(void *conn, vireo_call *call)
{
    (void)conn;
    (void)call;
    return VIREO_OK;
}

static inline int base_undefine(void *conn, vireo_call *call,
                                const vireo_domain_undefine_flags_args *args)
{
    (void)conn;
    (void)call;
    (void)args;
    return VIREO_OK;
}

static inline int base_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    (void)host;
    (void)core;
    *self = 0;
    return VIREO_OK;
}

static inline int failing_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    (void)host;
    (void)core;
    (void)self;
    return VIREO_FAIL;
}

static inline void base_fini(void *self)
{
    (void)self;
}

#define BASE_OPS(X)                                                                                \
    X(conn_open, base_open, 0, 0, 0, 0)                                                            \
    X(conn_close, base_close, 0, 0, 0, 0)
#define UNDEFINE(X, native, trivial, active, inactive)                                             \
    X(domain_undefine_flags, base_undefine, native, trivial, active, inactive)

#define MODULE(name, OPS)                                                                          \
    VIREO_DRIVER(name, "1.2.3", #name, VIREO_PER_OBJECT, OPS, base_init, base_fini)

/* A module whose table is not what its note says: hides the true entry function behind another. */
#define OTHER_TABLE(change)                                                                        \
    const struct vireo_driver *vireo_driver_entry_1(void);                                         \
    __attribute__((visibility("default"))) const struct vireo_driver *vireo_driver_entry_1(void)   \
    {                                                                                              \
        static struct vireo_driver driver;                                                         \
        static struct vireo_op ops[8];                                                             \
        driver = vireo__driver;                                                                    \
        for (uint32_t i = 0; i < driver.n_ops; i++)                                                \
            ops[i] = vireo__ops[i];                                                                \
        driver.ops = ops;                                                                          \
        change;                                                                                    \
        return &driver;                                                                            \
    }
