/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/host.h"

#include <glib/gstdio.h>

#include "host/core-private.h"
#include "util/error.h"

struct VireoHost {
    const VireoHostDirs *dirs;
    VireoWorkers *workers;
    VireoEventHub *hub;
    GMutex lock;
    GHashTable *cores;
    VireoHostSpaceMade space_made; /* NULL: nobody */
    gpointer space_opaque;
};

static void core_free(gpointer data)
{
    vireo_core *core = data;

    vireo_core_stop(core);
    vireo_io_thread_free(core->io);
    g_hash_table_unref(core->spaces);
    g_clear_pointer(&core->config, g_key_file_unref);
    for (guint i = 0; i < G_N_ELEMENTS(core->dirs); i++)
        g_free(core->dirs[i]);
    g_mutex_clear(&core->lock);
    g_free(core->last_error);
    g_free(core->name);
    g_free(core);
}

VireoHost *vireo_host_new(const VireoHostDirs *dirs, VireoWorkers *workers, VireoEventHub *hub)
{
    VireoHost *host = g_new0(VireoHost, 1);

    host->dirs = dirs;
    host->workers = workers;
    host->hub = hub;
    g_mutex_init(&host->lock);
    host->cores = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, core_free);
    return host;
}

void vireo_host_free(VireoHost *host)
{
    if (!host)
        return;
    g_hash_table_unref(host->cores);
    g_mutex_clear(&host->lock);
    g_free(host);
}

VireoWorkers *vireo_host_workers(VireoHost *host)
{
    return host->workers;
}

VireoEventHub *vireo_host_events(VireoHost *host)
{
    return host->hub;
}

void vireo_host_watch_spaces(VireoHost *host, VireoHostSpaceMade made, gpointer opaque)
{
    host->space_made = made;
    host->space_opaque = opaque;
}

void vireo_host_space_made(VireoHost *host, vireo_space *space)
{
    if (host->space_made)
        host->space_made(space, host->space_opaque);
}

static gboolean is_active(const VireoObject *object, gconstpointer unused)
{
    return vireo_object_is_active(object);
}

static guint count_active(vireo_core *core)
{
    GHashTableIter iter;
    gpointer space;
    guint n = 0;

    g_mutex_lock(&core->lock);
    g_hash_table_iter_init(&iter, core->spaces);
    while (g_hash_table_iter_next(&iter, NULL, &space)) {
        g_autoptr(GPtrArray) active = vireo_space_list(space, VIREO_CLASS_DOMAIN, is_active, NULL);

        n += active->len;
    }
    g_mutex_unlock(&core->lock);
    return n;
}

guint vireo_host_n_active(VireoHost *host)
{
    GHashTableIter iter;
    gpointer core;
    guint n = 0;

    g_mutex_lock(&host->lock);
    g_hash_table_iter_init(&iter, host->cores);
    while (g_hash_table_iter_next(&iter, NULL, &core))
        n += count_active(core);
    g_mutex_unlock(&host->lock);
    return n;
}

static GKeyFile *load_config(const char *folder, const char *name)
{
    g_autofree char *file = g_strconcat(name, ".conf", NULL);
    g_autofree char *path = g_build_filename(folder, file, NULL);
    g_autoptr(GKeyFile) config = g_key_file_new();
    g_autoptr(GError) error = NULL;

    if (g_key_file_load_from_file(config, path, G_KEY_FILE_NONE, &error))
        return g_steal_pointer(&config);
    if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        g_warning("%s: %s; the driver's defaults hold", path, error->message);
    return NULL;
}

static vireo_core *core_new(VireoHost *host, const char *name)
{
    const char *bases[] = { host->dirs->config, host->dirs->state, host->dirs->run, host->dirs->log, host->dirs->cache };
    vireo_core *core = g_new0(vireo_core, 1);

    core->host = host;
    core->name = g_strdup(name);
    g_mutex_init(&core->lock);
    core->spaces = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)vireo_space_free);
    for (guint i = 0; i < G_N_ELEMENTS(core->dirs); i++) {
        core->dirs[i] = g_build_filename(bases[i], name, NULL);
        if (g_mkdir_with_parents(core->dirs[i], i == VIREO_DIR_LOG || i == VIREO_DIR_RUN ? 0711 : 0700) != 0)
            g_warning("%s: %s", core->dirs[i], g_strerror(errno));
    }
    core->config = load_config(host->dirs->config, name);
    return core;
}

vireo_core *vireo_host_core(VireoHost *host, const char *name)
{
    vireo_core *core;

    g_mutex_lock(&host->lock);
    core = g_hash_table_lookup(host->cores, name);
    if (!core) {
        core = core_new(host, name);
        g_hash_table_insert(host->cores, core->name, core);
    }
    g_mutex_unlock(&host->lock);
    return core;
}

gboolean vireo_core_start(vireo_core *core, const struct vireo_driver *driver, GError **error)
{
    core->driver = driver;
    core->running = driver->init(&vireo_host_services, core, &core->self) == VIREO_OK;
    if (!core->running) {
        g_mutex_lock(&core->lock);
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INTERNAL_ERROR, "driver '%s' did not start: %s", core->name,
                    core->last_error ? core->last_error : "init failed and logged no reason");
        g_mutex_unlock(&core->lock);
    }
    return core->running;
}

void vireo_core_stop(vireo_core *core)
{
    if (!core->running)
        return;
    core->running = FALSE;
    if (core->driver->fini)
        core->driver->fini(core->self);
}

void *vireo_core_self(vireo_core *core)
{
    return core->self;
}

const char *vireo_core_name(vireo_core *core)
{
    return core->name;
}

VireoIoThread *vireo_core_io(vireo_core *core)
{
    VireoIoThread *io;

    g_mutex_lock(&core->lock);
    if (!core->io)
        core->io = vireo_io_thread_new(core->name);
    io = core->io;
    g_mutex_unlock(&core->lock);
    return io;
}
