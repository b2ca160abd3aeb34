/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files of datastores. */
#include "driver.h"

typedef struct {
    const char *name; /* FOLDER/FILE below the datastore, or the unit of a target */
    const char *key, *path; /* NULL: a file, and both are [POOL] NAME */
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
/* The same for those of a target: lun.c. */
GPtrArray *esx_units(EsxServer *server, const EsxThing *pool, const VireoHttpWait *wait, VireoArena *arena, GError **error);
/* Says in doc where it is. */
gboolean esx_target_describe(EsxServer *server, const EsxThing *pool, VireoStoragePool *doc, const VireoHttpWait *wait,
                             GError **error);
/* Has the host look which units there are. */
gboolean esx_target_rescan(EsxServer *server, const EsxThing *pool, const VireoHttpWait *wait, GError **error);
/* Makes a file without contents: transfer.c. */
gboolean esx_volume_put_empty(EsxServer *server, const char *pool, const char *file, const VireoHttpWait *wait,
                              GError **error);
/* Whether volumes of that pool can be made and changed here. */
gboolean esx_volume_is_file(const EsxThing *pool, GError **error);
/* "[POOL] FILE" */
char *esx_volume_path(const char *pool, const char *file);
