/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of this room only. */
#pragma once

#include "host/host.h"
#include "host/iothread.h"

struct vireo_core {
    VireoHost *host;
    char *name;
    char *dirs[VIREO_DIR_CACHE + 1];
    GKeyFile *config; /* NULL: no file */
    GMutex lock;      /* spaces, strings, last_error, io */
    GHashTable *spaces;
    VireoIoThread *io; /* started by the first watch or timer */
    char *last_error;
    const struct vireo_driver *driver;
    void *self;
    gboolean running;
};

/* The driver's I/O thread, started when first needed. */
VireoIoThread *vireo_core_io(vireo_core *core);

/* host.c */
void vireo_host_space_made(VireoHost *host, vireo_space *space);

/* state.c */
int vireo_state_save(vireo_core *core, const char *key, const void *data, size_t len);
int vireo_state_drop(vireo_core *core, const char *key);
void vireo_state_each(vireo_core *core, const char *prefix, vireo_state_fn *fn, void *opaque);

/* spawn.c */
int vireo_spawn_child(vireo_core *core, const struct vireo_spawn *spec, struct vireo_child *child);
