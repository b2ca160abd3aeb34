/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An arena: many small allocations, freed together. Not for sharing between threads. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct VireoArena VireoArena;

VireoArena *vireo_arena_new(void);
void vireo_arena_free(VireoArena *arena);

/* Zeroed, aligned for any type, never NULL; lives as long as the arena. */
gpointer vireo_arena_alloc(VireoArena *arena, gsize size);
/* NULL in, NULL out. */
char *vireo_arena_strdup(VireoArena *arena, const char *text);
char *vireo_arena_printf(VireoArena *arena, const char *format, ...) G_GNUC_PRINTF(2, 3);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoArena, vireo_arena_free)

G_END_DECLS
