/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/registry.h"

#include <string.h>

#include "loader/private.h"

VireoLoader *vireo_loader_new(const VireoLoaderConfig *config)
{
    VireoLoader *loader = g_new0(VireoLoader, 1);

    loader->refs = 1;
    g_mutex_init(&loader->lock);
    g_cond_init(&loader->settled);
    g_mutex_init(&loader->scanning);
    g_rec_mutex_init(&loader->telling);
    g_queue_init(&loader->news);
    loader->dirs = g_strdupv((char **)config->dirs);
    loader->masked = config->masked ? g_strdupv((char **)config->masked) : g_new0(char *, 1);
    loader->owner = config->owner ? *config->owner : vireo_scan_default_owner();
    loader->init_ms = config->init_ms ? config->init_ms : 30000;
    loader->reserve = config->reserve;
    loader->outside = config->outside;
    loader->start = config->start;
    loader->changed = config->changed;
    loader->user_data = config->user_data;
    loader->modules = g_ptr_array_new_with_free_func(vireo_module_free);
    loader->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    loader->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    loader->by_scheme = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    loader->troubles = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_module_info_unref);
    return loader;
}

VireoLoader *vireo_loader_ref(VireoLoader *loader)
{
    g_atomic_int_inc(&loader->refs);
    return loader;
}

static void news_free(gpointer data)
{
    VireoNews *item = data;

    vireo_module_info_unref(item->info);
    g_free(item);
}

void vireo_loader_unref(VireoLoader *loader)
{
    if (!g_atomic_int_dec_and_test(&loader->refs))
        return;
    g_queue_clear_full(&loader->news, news_free);
    g_hash_table_unref(loader->by_path);
    g_hash_table_unref(loader->by_name);
    g_hash_table_unref(loader->by_scheme);
    g_ptr_array_unref(loader->troubles);
    g_ptr_array_unref(loader->modules);
    g_strfreev(loader->dirs);
    g_strfreev(loader->masked);
    g_rec_mutex_clear(&loader->telling);
    g_mutex_clear(&loader->scanning);
    g_cond_clear(&loader->settled);
    g_mutex_clear(&loader->lock);
    g_free(loader);
}

void vireo_loader_free(VireoLoader *loader)
{
    if (!loader)
        return;
    g_rec_mutex_lock(&loader->telling);
    loader->changed = NULL;
    g_rec_mutex_unlock(&loader->telling);
    vireo_loader_unref(loader);
}

void vireo_loader_tell(VireoLoader *loader)
{
    g_rec_mutex_lock(&loader->telling);
    for (;;) {
        VireoNews *item;

        g_mutex_lock(&loader->lock);
        item = g_queue_pop_head(&loader->news);
        g_mutex_unlock(&loader->lock);
        if (!item)
            break;
        if (loader->changed)
            loader->changed(item->module, item->info, loader->user_data);
        news_free(item);
    }
    g_rec_mutex_unlock(&loader->telling);
}

/* ---- one file of a scan ---- */

static gboolean is_masked(const VireoModule *module)
{
    const char *const *masked = (const char *const *)module->loader->masked;

    return g_strv_contains(masked, module->stem) ||
           g_strv_contains(masked, vireo_module_name(module));
}

/* State without publishing: the clashes between modules are still to be looked at. */
static void judge(VireoModule *module, VireoModuleState state, const char *reason)
{
    module->state = state;
    g_free(module->reason);
    module->reason = g_strdup(reason ? reason : "");
}

/* Whether the driver may be used here, as far as one can know before it is wanted. */
static void judge_free(VireoModule *module)
{
    VireoLoader *loader = module->loader;
    g_autofree char *why =
        loader->reserve ? loader->reserve(vireo_module_name(module), FALSE, loader->user_data) : NULL;

    module->elsewhere = why != NULL;
    judge(module, why ? VIREO_MODULE_MASKED : VIREO_MODULE_FOUND, why);
}

static void examine(VireoModule *module, const VireoScanEntry *entry)
{
    g_autoptr(GError) problem = NULL;
    gboolean same = module->info && vireo_file_mark_equal(&module->mark, &entry->mark);

    if (same && module->state == VIREO_MODULE_FAILED_LINK && !entry->refused) {
        module->try_again = TRUE;
        return;
    }
    module->mark = entry->mark;
    module->elsewhere = FALSE;
    if (!same || entry->refused)
        g_clear_pointer(&module->note, vireo_note_unref);
    if (entry->refused) {
        judge(module, VIREO_MODULE_REFUSED_PERM, entry->refused);
        return;
    }
    if (!module->note)
        module->note = vireo_note_read(entry->fd, &problem);
    if (is_masked(module))
        judge(module, VIREO_MODULE_MASKED, "switched off by masked_drivers in the configuration");
    else if (!module->note || !vireo_check_note(module->note, &problem))
        judge(module, VIREO_MODULE_REFUSED_ABI, problem->message);
    else
        judge_free(module);
}

/* What a scan means for a module whose code is in the process already. */
static void compare(VireoModule *module, const VireoScanEntry *entry)
{
    g_clear_pointer(&module->outdated, g_free);
    if (!entry)
        module->outdated = g_strdup("its file has been removed since it was loaded");
    else if (!vireo_file_mark_equal(&module->mark, &entry->mark))
        module->outdated = g_strdup("its file has changed since it was loaded: "
                                    "a restart of the daemon takes the new one");
    else if (entry->refused)
        module->outdated =
            g_strdup_printf("a restart of the daemon will refuse its file: %s", entry->refused);
}

static void take_entry(VireoLoader *loader, const VireoScanEntry *entry, guint dir)
{
    VireoModule *module = g_hash_table_lookup(loader->by_path, entry->path);

    if (!module) {
        module = vireo_module_new(loader, entry->path);
        g_hash_table_insert(loader->by_path, module->path, module);
        g_ptr_array_add(loader->modules, module);
    }
    module->seen = TRUE;
    module->rank = dir;
    if (module->linked)
        compare(module, entry);
    else if (!module->busy)
        examine(module, entry);
}

static void miss(VireoModule *module)
{
    if (module->linked)
        compare(module, NULL);
    else if (!module->busy)
        judge(module, VIREO_MODULE_ABSENT, "its file is gone");
}

/* ---- names and schemes ---- */

/* A module that nobody could vouch for is known by its file's name alone. */
static char **schemes_of(const VireoModule *module)
{
    return g_strsplit(module->note ? module->note->schemes : module->stem, " ", -1);
}

static VireoModule *clash(VireoLoader *loader, const VireoModule *module, char **what)
{
    g_auto(GStrv) schemes = schemes_of(module);
    VireoModule *other = g_hash_table_lookup(loader->by_name, vireo_module_name(module));

    if (other) {
        *what =
            g_strdup_printf("the name '%s' is taken by %s", vireo_module_name(module), other->path);
        return other;
    }
    for (char **scheme = schemes; *scheme; scheme++) {
        other = g_hash_table_lookup(loader->by_scheme, *scheme);
        if (other) {
            *what = g_strdup_printf("the URI scheme '%s' is taken by %s", *scheme, other->path);
            return other;
        }
    }
    return NULL;
}

static void enter(VireoLoader *loader, VireoModule *module)
{
    g_auto(GStrv) schemes = schemes_of(module);

    if (!g_hash_table_contains(loader->by_name, vireo_module_name(module)))
        g_hash_table_insert(loader->by_name, g_strdup(vireo_module_name(module)), module);
    for (char **scheme = schemes; *scheme; scheme++)
        if (**scheme && !g_hash_table_contains(loader->by_scheme, *scheme))
            g_hash_table_insert(loader->by_scheme, g_strdup(*scheme), module);
}

static gboolean can_claim(const VireoModule *module)
{
    return !module->linked && !module->busy &&
           (module->state == VIREO_MODULE_FOUND || module->state == VIREO_MODULE_FAILED_LINK);
}

/* First those in use, then those that could be, by directory and file name; the rest fills what is
 * left over, so that a URI leads to the reason why its driver is not there. */
static void assign(VireoLoader *loader)
{
    g_hash_table_remove_all(loader->by_name);
    g_hash_table_remove_all(loader->by_scheme);
    for (guint i = 0; i < loader->modules->len; i++) {
        VireoModule *module = g_ptr_array_index(loader->modules, i);

        if (module->linked || module->busy)
            enter(loader, module);
    }
    for (guint i = 0; i < loader->modules->len; i++) {
        VireoModule *module = g_ptr_array_index(loader->modules, i);
        g_autofree char *what = NULL;

        if (!can_claim(module))
            continue;
        if (clash(loader, module, &what))
            judge(module, VIREO_MODULE_MASKED, what);
        else
            enter(loader, module);
    }
    for (guint i = 0; i < loader->modules->len; i++)
        enter(loader, g_ptr_array_index(loader->modules, i));
}

/* ---- the whole ---- */

static gint by_rank(gconstpointer a, gconstpointer b)
{
    const VireoModule *const *left = a;
    const VireoModule *const *right = b;

    if ((*left)->rank != (*right)->rank)
        return (*left)->rank < (*right)->rank ? -1 : 1;
    return strcmp((*left)->path, (*right)->path);
}

static void note_trouble(VireoLoader *loader, const VireoScan *scan)
{
    VireoModuleState state = scan->insecure ? VIREO_MODULE_REFUSED_PERM : VIREO_MODULE_ABSENT;

    if (scan->trouble && scan->entries->len == 0)
        g_ptr_array_add(loader->troubles,
                        vireo_module_info_new(state, "-", scan->dir, scan->trouble, NULL, NULL));
}

static void take_scans(VireoLoader *loader, GPtrArray *scans)
{
    g_ptr_array_set_size(loader->troubles, 0);
    for (guint i = 0; i < loader->modules->len; i++)
        ((VireoModule *)g_ptr_array_index(loader->modules, i))->seen = FALSE;
    for (guint i = 0; i < scans->len; i++) {
        const VireoScan *scan = g_ptr_array_index(scans, i);

        note_trouble(loader, scan);
        for (guint j = 0; j < scan->entries->len; j++)
            take_entry(loader, g_ptr_array_index(scan->entries, j), i);
    }
    g_ptr_array_sort(loader->modules, by_rank);
    for (guint i = 0; i < loader->modules->len; i++) {
        VireoModule *module = g_ptr_array_index(loader->modules, i);

        if (!module->seen)
            miss(module);
    }
    assign(loader);
    for (guint i = 0; i < loader->modules->len; i++)
        vireo_module_publish(g_ptr_array_index(loader->modules, i));
}

void vireo_loader_scan(VireoLoader *loader)
{
    g_autoptr(GPtrArray) scans = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_scan_free);

    g_mutex_lock(&loader->scanning);
    for (char **dir = loader->dirs; *dir; dir++)
        g_ptr_array_add(scans, vireo_scan_dir(*dir, loader->owner));
    g_mutex_lock(&loader->lock);
    take_scans(loader, scans);
    g_mutex_unlock(&loader->lock);
    g_mutex_unlock(&loader->scanning);
    vireo_loader_tell(loader);
}

static gpointer ensure_one(gpointer module)
{
    vireo_module_ensure(module, NULL);
    return NULL;
}

void vireo_loader_start_all(VireoLoader *loader)
{
    g_autoptr(GPtrArray) threads = g_ptr_array_new();

    g_mutex_lock(&loader->lock);
    for (guint i = 0; i < loader->modules->len; i++) {
        VireoModule *module = g_ptr_array_index(loader->modules, i);

        if (module->state == VIREO_MODULE_FOUND)
            g_ptr_array_add(threads, module);
    }
    g_mutex_unlock(&loader->lock);
    for (guint i = 0; i < threads->len; i++)
        threads->pdata[i] = g_thread_new("load", ensure_one, threads->pdata[i]);
    for (guint i = 0; i < threads->len; i++)
        g_thread_join(threads->pdata[i]);
}

static gint by_info_name(gconstpointer a, gconstpointer b)
{
    const VireoModuleInfo *const *left = a;
    const VireoModuleInfo *const *right = b;
    gint order = strcmp((*left)->name, (*right)->name);

    return order ? order : strcmp((*left)->path, (*right)->path);
}

GPtrArray *vireo_loader_list(VireoLoader *loader)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_module_info_unref);

    g_mutex_lock(&loader->lock);
    for (guint i = 0; i < loader->modules->len; i++) {
        VireoModule *module = g_ptr_array_index(loader->modules, i);

        g_ptr_array_add(list, vireo_module_info_ref(module->info));
    }
    for (guint i = 0; i < loader->troubles->len; i++)
        g_ptr_array_add(list, vireo_module_info_ref(g_ptr_array_index(loader->troubles, i)));
    g_mutex_unlock(&loader->lock);
    g_ptr_array_sort(list, by_info_name);
    return list;
}

static VireoModule *find(VireoLoader *loader, GHashTable *where, const char *key)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&loader->lock);

    return g_hash_table_lookup(where, key);
}

VireoModule *vireo_loader_by_scheme(VireoLoader *loader, const char *scheme)
{
    return find(loader, loader->by_scheme, scheme);
}

VireoModule *vireo_loader_by_name(VireoLoader *loader, const char *name)
{
    return find(loader, loader->by_name, name);
}
