/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/module.h"

#include <string.h>

#include "loader/adapter.h"
#include "loader/dl.h"
#include "loader/private.h"
#include "util/error.h"
#include "util/exits.h"

#define OUTSIDE_MS (25 * 60 * 60 * 1000) /* who starts it there keeps the deadline */

VireoModule *vireo_module_new(VireoLoader *loader, const char *path)
{
    VireoModule *module = g_new0(VireoModule, 1);

    module->loader = loader;
    module->path = g_strdup(path);
    module->stem = g_path_get_basename(path);
    if (g_str_has_suffix(module->stem, ".so"))
        module->stem[strlen(module->stem) - 3] = '\0';
    module->remarks = g_ptr_array_new_with_free_func(g_free);
    return module;
}

void vireo_module_free(gpointer data)
{
    VireoModule *module = data;

    if (!module)
        return;
    g_free(module->path);
    g_free(module->stem);
    vireo_note_unref(module->note);
    g_free(module->reason);
    g_free(module->outdated);
    g_ptr_array_unref(module->remarks);
    vireo_module_info_unref(module->info);
    vireo_op_table_free(module->table);
    g_free(module);
}

const char *vireo_module_name(const VireoModule *module)
{
    return module->note ? module->note->name : module->stem;
}

static VireoModuleInfo *make_info(VireoModule *module)
{
    gboolean in_use = module->state == VIREO_MODULE_ACTIVE || module->state == VIREO_MODULE_LOADED;
    VireoModuleState state = module->state;
    g_autofree char *reason = NULL;
    g_autoptr(GPtrArray) remarks = g_ptr_array_new();

    for (guint i = 0; i < module->remarks->len; i++)
        g_ptr_array_add(remarks, g_ptr_array_index(module->remarks, i));
    g_ptr_array_add(remarks, NULL);
    if (module->outdated && in_use) {
        state = state == VIREO_MODULE_ACTIVE ? VIREO_MODULE_STALE : state;
        reason = g_strdup(module->outdated);
    } else if (module->outdated) {
        reason = g_strdup_printf("%s; %s", module->reason, module->outdated);
    } else {
        reason = g_strdup(module->reason);
    }
    return vireo_module_info_new(state, vireo_module_name(module), module->path, reason,
                                 module->note, (char **)remarks->pdata);
}

void vireo_module_publish(VireoModule *module)
{
    VireoModuleInfo *info = make_info(module);
    VireoModuleInfo *old = module->info;
    gboolean news = !old || old->state != info->state || strcmp(old->reason, info->reason) != 0 ||
                    old->note != info->note;

    module->info = info;
    g_atomic_int_set(&module->serves, vireo_module_state_serves(info->state));
    if (news && module->loader->changed) {
        VireoNews *item = g_new(VireoNews, 1);

        item->module = module;
        item->info = vireo_module_info_ref(info);
        g_queue_push_tail(&module->loader->news, item);
    }
    vireo_module_info_unref(old);
}

void vireo_module_set(VireoModule *module, VireoModuleState state, const char *reason)
{
    module->state = state;
    g_free(module->reason);
    module->reason = g_strdup(reason ? reason : "");
    vireo_module_publish(module);
}

VireoModuleInfo *vireo_module_info(VireoModule *module)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&module->loader->lock);

    return vireo_module_info_ref(module->info);
}

gboolean vireo_module_serves(VireoModule *module)
{
    return g_atomic_int_get(&module->serves);
}

const struct vireo_op *vireo_module_op(VireoModule *module, guint32 id)
{
    VireoOpTable *table = g_atomic_pointer_get(&module->table);

    return table ? vireo_op_table_get(table, id) : NULL;
}

const struct vireo_driver *vireo_module_driver(VireoModule *module)
{
    return g_atomic_pointer_get(&module->driver);
}

void vireo_module_set_host(VireoModule *module, gpointer host)
{
    g_atomic_pointer_set(&module->host, host);
}

gpointer vireo_module_host(VireoModule *module)
{
    return g_atomic_pointer_get(&module->host);
}

static void set_locked(VireoModule *module, VireoModuleState state, const char *reason)
{
    g_mutex_lock(&module->loader->lock);
    vireo_module_set(module, state, reason);
    g_mutex_unlock(&module->loader->lock);
    vireo_loader_tell(module->loader);
}

void vireo_module_quarantine(VireoModule *module, const char *reason)
{
    set_locked(module, VIREO_MODULE_QUARANTINED, reason);
}

void vireo_module_fail(VireoModule *module, VireoModuleState state, const char *reason)
{
    set_locked(module, state, reason);
}

void vireo_module_resume(VireoModule *module)
{
    set_locked(module, VIREO_MODULE_ACTIVE, NULL);
}

/* What there is to know of a module whose code runs elsewhere. */
static void trust_note(VireoModule *module)
{
    VireoOpTable *table;

    g_mutex_lock(&module->loader->lock);
    module->linked = TRUE;
    table = vireo_op_table_of_note(module->note, module->remarks);
    g_mutex_unlock(&module->loader->lock);
    g_atomic_pointer_set(&module->table, table);
}

/* Puts the code into the process and holds it to the note. */
static gboolean link_and_check(VireoModule *module, VireoModuleState *state, GError **error)
{
    const VireoAdapter *adapter = vireo_adapter_for(module->note->abi_major);
    const char *entry = adapter ? adapter->entry : VIREO_ENTRY;
    const struct vireo_driver *driver;
    gconstpointer theirs;
    VireoOpTable *table;

    *state = VIREO_MODULE_FAILED_LINK;
    if (!vireo_link_module(module->path, entry, &theirs, error))
        return FALSE;
    g_mutex_lock(&module->loader->lock);
    module->linked = TRUE;
    g_mutex_unlock(&module->loader->lock);
    *state = VIREO_MODULE_REFUSED_ABI;
    if (!theirs) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED,
                    "it does not export %s, or that returns nothing", entry);
        return FALSE;
    }
    driver = adapter ? adapter->adapt(theirs, error) : theirs;
    if (!driver)
        return FALSE;
    if (!vireo_check_table(module->note, driver, error))
        return FALSE;
    g_mutex_lock(&module->loader->lock);
    if (adapter)
        g_ptr_array_add(module->remarks, g_strdup_printf("runs through the adapter for ABI %u", adapter->major));
    table = vireo_op_table_new(driver, module->remarks);
    g_mutex_unlock(&module->loader->lock);
    g_atomic_pointer_set(&module->table, table);
    g_atomic_pointer_set(&module->driver, driver);
    *state = VIREO_MODULE_LOADED;
    return TRUE;
}

/* Its thread never comes back, so the module has none to be started on again. */
static void init_exited(int status, gpointer data)
{
    VireoModule *module = data;
    VireoLoader *loader = module->loader;
    g_autofree char *reason =
        g_strdup_printf("init called exit(%d), which would have ended the process it runs in", status);

    g_mutex_lock(&loader->lock);
    module->returned = TRUE;
    if (module->state != VIREO_MODULE_QUARANTINED)
        vireo_module_set(module, VIREO_MODULE_FAILED_INIT, reason);
    g_cond_broadcast(&loader->settled);
    g_mutex_unlock(&loader->lock);
    vireo_loader_tell(loader);
}

static gpointer run_init(gpointer data)
{
    VireoModule *module = data;
    VireoLoader *loader = module->loader;
    g_autoptr(GError) problem = NULL;
    gint64 begun = g_get_monotonic_time();
    g_autofree char *reason = NULL;
    gboolean ok;
    gint64 took;

    vireo_exit_guard(init_exited, module);
    ok = loader->start(module, module->driver, loader->user_data, &problem);
    vireo_exit_unguard();
    took = (g_get_monotonic_time() - begun) / 1000;
    g_mutex_lock(&loader->lock);
    if (!ok)
        reason = g_strdup(problem ? problem->message : "init failed and gave no reason");
    else if (module->state == VIREO_MODULE_FAILED_INIT) /* given up on meanwhile */
        reason = g_strdup_printf("init took %" G_GINT64_FORMAT " ms; %u are allowed", took,
                                 loader->init_ms);
    module->returned = TRUE;
    if (module->state == VIREO_MODULE_LOADED || module->state == VIREO_MODULE_FAILED_INIT)
        vireo_module_set(module, ok ? VIREO_MODULE_ACTIVE : VIREO_MODULE_FAILED_INIT, reason);
    g_cond_broadcast(&loader->settled);
    g_mutex_unlock(&loader->lock);
    vireo_loader_tell(loader);
    vireo_loader_unref(loader);
    return NULL;
}

/* more_ms: for who keeps the deadline himself. */
static void await_init(VireoModule *module, guint more_ms)
{
    VireoLoader *loader = module->loader;
    gint64 deadline = g_get_monotonic_time() + (gint64)(loader->init_ms + more_ms) * 1000;
    g_autofree char *name = g_strdup_printf("init-%.9s", vireo_module_name(module));
    g_autoptr(GError) problem = NULL;
    GThread *thread;

    vireo_loader_ref(loader);
    thread = g_thread_try_new(name, run_init, module, &problem);
    if (!thread) {
        vireo_loader_unref(loader);
        set_locked(module, VIREO_MODULE_FAILED_INIT, problem->message);
        return;
    }
    g_thread_unref(thread);
    g_mutex_lock(&loader->lock);
    while (!module->returned && g_cond_wait_until(&loader->settled, &loader->lock, deadline))
        continue;
    if (!module->returned && module->state != VIREO_MODULE_QUARANTINED) {
        g_autofree char *reason =
            g_strdup_printf("init has not returned after %u ms", loader->init_ms);

        vireo_module_set(module, VIREO_MODULE_FAILED_INIT, reason);
    }
    g_mutex_unlock(&loader->lock);
    vireo_loader_tell(loader);
}

/* Makes the driver this process's; FALSE: it is another's. */
static gboolean reserve(VireoModule *module)
{
    VireoLoader *loader = module->loader;
    g_autofree char *why =
        loader->reserve ? loader->reserve(vireo_module_name(module), TRUE, loader->user_data) : NULL;

    module->elsewhere = why != NULL;
    if (why)
        set_locked(module, VIREO_MODULE_MASKED, why);
    return !why;
}

static void load(VireoModule *module)
{
    g_autoptr(GError) problem = NULL;
    VireoModuleState state;

    if (reserve(module)) {
        VireoLoader *loader = module->loader;
        gboolean outside = loader->outside && loader->outside(vireo_module_name(module), loader->user_data);
        gboolean ok = outside || link_and_check(module, &state, &problem);

        if (outside) {
            trust_note(module);
            state = VIREO_MODULE_LOADED;
        }
        set_locked(module, state, ok ? "init is running" : problem->message);
        if (ok)
            await_init(module, outside ? OUTSIDE_MS : 0);
    }
    g_mutex_lock(&module->loader->lock);
    module->busy = FALSE;
    g_cond_broadcast(&module->loader->settled);
    g_mutex_unlock(&module->loader->lock);
}

static gboolean may_load(const VireoModule *module)
{
    return module->state == VIREO_MODULE_FOUND || module->elsewhere ||
           (module->state == VIREO_MODULE_FAILED_LINK && module->try_again);
}

/* Claims the module for this thread, after any other has done with it. */
static gboolean claim(VireoModule *module)
{
    VireoLoader *loader = module->loader;
    gboolean mine;

    g_mutex_lock(&loader->lock);
    while (module->busy)
        g_cond_wait(&loader->settled, &loader->lock);
    mine = may_load(module);
    if (mine) {
        module->busy = TRUE;
        module->try_again = FALSE;
    }
    g_mutex_unlock(&loader->lock);
    return mine;
}

static gboolean file_unchanged(VireoModule *module)
{
    VireoFileMark mark;

    g_mutex_lock(&module->loader->lock);
    mark = module->mark;
    g_mutex_unlock(&module->loader->lock);
    return vireo_scan_unchanged(module->path, &mark);
}

gboolean vireo_module_ensure(VireoModule *module, GError **error)
{
    g_autoptr(VireoModuleInfo) info = NULL;

    if (vireo_module_serves(module))
        return TRUE;
    /* A package may have replaced the file since the scan: what was checked is what gets linked. */
    if (!file_unchanged(module))
        vireo_loader_scan(module->loader);
    if (claim(module))
        load(module);
    info = vireo_module_info(module);
    if (vireo_module_state_serves(info->state))
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT,
                "driver '%s' (%s) is not available: %s%s%s", info->name, info->path,
                vireo_module_state_name(info->state), *info->reason ? ": " : "", info->reason);
    return FALSE;
}
