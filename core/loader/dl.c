/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/dl.h"

#include <dlfcn.h>
#include <ltdl.h>
#include <string.h>

#include <vireo/driver.h>

#include "util/error.h"

typedef gconstpointer Entry(void);

/* libltdl and dlerror() are not made for several threads. */
static GMutex lock;

/* The linker's sentence names the file first; the reader knows which file. */
static const char *without_path(const char *text, const char *path)
{
    gsize len = strlen(path);

    if (strncmp(text, path, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        return text + len + 2;
    return text;
}

static void set_error(GError **error, const char *text, const char *path)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "cannot be linked: %s",
                text ? without_path(text, path) : "no reason given");
}

/* libltdl binds lazily and has one sentence for every failure; a first open of our own tells the
 * truth. Its handle stays open: the module is resident anyway. */
static gboolean preflight(const char *path, GError **error)
{
    dlerror();
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE))
        return TRUE;
    set_error(error, dlerror(), path);
    return FALSE;
}

static lt_dlhandle open_resident(const char *path, GError **error)
{
    static gboolean started;
    lt_dladvise advise;
    lt_dlhandle handle = NULL;

    if (!started && lt_dlinit() != 0) {
        set_error(error, lt_dlerror(), path);
        return NULL;
    }
    started = TRUE;
    if (lt_dladvise_init(&advise) != 0) {
        set_error(error, lt_dlerror(), path);
        return NULL;
    }
    if (lt_dladvise_local(&advise) == 0 && lt_dladvise_resident(&advise) == 0)
        handle = lt_dlopenadvise(path, advise);
    if (!handle)
        set_error(error, lt_dlerror(), path);
    lt_dladvise_destroy(&advise);
    return handle;
}

gboolean vireo_link_module(const char *path, const char *name, gconstpointer *ret, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);
    lt_dlhandle handle;
    Entry *entry = NULL;
    void *symbol;

    *ret = NULL;
    if (!preflight(path, error))
        return FALSE;
    handle = open_resident(path, error);
    if (!handle)
        return FALSE;
    symbol = lt_dlsym(handle, name);
    memcpy(&entry, &symbol, sizeof entry);
    if (entry)
        *ret = entry();
    return TRUE;
}
