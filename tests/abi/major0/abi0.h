/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver ABI before the first, which never was: what a module of another major might look like. The note, the
 * numbers and the structs of operations are the same in every major; all else is different here.
 */
#pragma once

#include <vireo/driver.h>

#define ZERO_MINOR 3

struct zero_object {
    const char *name;
    uint8_t uuid[16];
    uint32_t running;
};

struct zero_host {
    vireo_space *(*space)(vireo_core *, const char *name);
    void (*show)(vireo_space *, const struct zero_object *);
    int (*error)(vireo_call *, const char *text); /* has no code */
    char *(*copy)(vireo_call *, const char *);
};

/* Today's takes structs. */
typedef int zero_conn_open_fn(void *self, vireo_call *, const char *uri, void **conn, vireo_space **space);

/* A row without state rules, and with masks of 32 bits. */
struct zero_op {
    void (*fn)(void);
    uint32_t id, native, trivial;
};

struct zero_driver {
    const char *name, *version, *schemes;
    uint32_t minor, threads, n_ops;
    const struct zero_op *ops;
    int (*start)(const struct zero_host *, vireo_core *, void **self); /* 0, or anything else */
    void (*stop)(void *self);
};
