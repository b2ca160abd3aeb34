/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files of datastores. */
#include "driver.h"

typedef struct {
    const char *name; /* FOLDER/FILE below the datastore */
    gboolean disk;    /* a disk, not an image of a CD-ROM or floppy */
    guint64 capacity; /* bytes; 0: the server does not say */
    guint64 size;     /* bytes it takes */
} EsxVolume;

/* The datastore of that name; NULL: failed. */
EsxThing *esx_pool_find(EsxConn *conn, vireo_call *call, const char *name);

/* Those of a pool, in arena; file: only that one. NULL: failed. */
GPtrArray *esx_volumes(EsxConn *conn, vireo_call *call, const EsxThing *pool, const char *file, VireoArena *arena,
                       GError **error);
/* One, which is there. NULL: failed. */
EsxVolume *esx_volume_find(EsxConn *conn, vireo_call *call, const EsxThing *pool, const char *file, VireoArena *arena,
                           GError **error);
/* Makes a file without contents: transfer.c. */
gboolean esx_volume_put_empty(EsxServer *server, const char *pool, const char *file, const VireoHttpWait *wait,
                              GError **error);
/* "[POOL] FILE" */
char *esx_volume_path(const char *pool, const char *file);
