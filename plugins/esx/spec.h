/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What to tell the server to make a machine of a domain document. */
#include "document.h"
#include "driver.h"

typedef struct {
    VimVirtualMachineConfigSpec config; /* without files; below the document and the arena */
    const char *first_file;             /* of the first hard disk, or NULL */
    /* while it is made */
    const VireoDomain *domain;
    VireoArena *arena;
    GPtrArray *changes;
    gint32 controllers[2][4]; /* SATA and SCSI: keys */
} EsxSpec;

/* devices: those of a new machine, too. FALSE: something the document asks for cannot be had; clear it all the same. */
gboolean esx_spec_make(EsxSpec *spec, const VireoDomain *domain, gboolean devices, VireoArena *arena, GError **error);
/* The devices of a document alone, for a machine that has those of hardware (NULL: it does not matter). */
gboolean esx_spec_add(EsxSpec *spec, const VireoDomain *domain, const VimVirtualHardware *hardware, VireoArena *arena,
                      GError **error);
void esx_spec_clear(EsxSpec *spec);

VireoModelPathSet *esx_honoured_paths(GError **error);
