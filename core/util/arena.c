/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/arena.h"

#include <string.h>

#define FIRST_CHUNK 2048
#define ALIGNMENT 16

typedef struct Chunk Chunk;
struct Chunk {
    Chunk *next;
    gsize used, size;
    _Alignas(ALIGNMENT) char data[];
};

struct VireoArena {
    Chunk *chunks; /* the first is the one in use */
};

static Chunk *chunk_new(gsize size, Chunk *next)
{
    Chunk *chunk = g_malloc0(sizeof *chunk + size);

    chunk->size = size;
    chunk->next = next;
    return chunk;
}

VireoArena *vireo_arena_new(void)
{
    VireoArena *arena = g_new0(VireoArena, 1);

    arena->chunks = chunk_new(FIRST_CHUNK, NULL);
    return arena;
}

void vireo_arena_free(VireoArena *arena)
{
    if (!arena)
        return;
    while (arena->chunks) {
        Chunk *next = arena->chunks->next;

        g_free(arena->chunks);
        arena->chunks = next;
    }
    g_free(arena);
}

gpointer vireo_arena_alloc(VireoArena *arena, gsize size)
{
    Chunk *chunk = arena->chunks;
    gsize rounded = (MAX(size, 1) + ALIGNMENT - 1) & ~(gsize)(ALIGNMENT - 1);
    gpointer result;

    g_assert(rounded >= size);
    if (chunk->size - chunk->used < rounded)
        chunk = arena->chunks = chunk_new(MAX(chunk->size * 2, rounded), chunk);
    result = chunk->data + chunk->used;
    chunk->used += rounded;
    return result;
}

char *vireo_arena_strdup(VireoArena *arena, const char *text)
{
    gsize size;

    if (!text)
        return NULL;
    size = strlen(text) + 1;
    return memcpy(vireo_arena_alloc(arena, size), text, size);
}

char *vireo_arena_printf(VireoArena *arena, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return vireo_arena_strdup(arena, text);
}
