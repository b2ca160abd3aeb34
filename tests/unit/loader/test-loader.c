/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every state a module can be in, each with its true reason. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/check.h"
#include "loader/registry.h"
#include "util/error.h"

typedef struct {
    char *dir;
    VireoLoader *loader;
    uid_t owner;
    GMutex gate; /* held: init waits */
    gint inits;
    GMutex news_lock;
    GString *news;
} World;

static gboolean start(VireoModule *module, const struct vireo_driver *driver, gpointer data,
                      GError **error)
{
    World *world = data;
    void *self = NULL;

    g_mutex_lock(&world->gate);
    g_mutex_unlock(&world->gate);
    g_atomic_int_inc(&world->inits);
    vireo_module_set_host(module, world);
    if (driver->init(NULL, NULL, &self) == VIREO_OK)
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_INTERNAL_ERROR, "the disk of %s is on fire",
                driver->name);
    return FALSE;
}

static void changed(VireoModule *module, VireoModuleInfo *info, gpointer data)
{
    World *world = data;

    g_mutex_lock(&world->news_lock);
    g_string_append_printf(world->news, "%s %s\n", info->name,
                           vireo_module_state_name(info->state));
    g_mutex_unlock(&world->news_lock);
}

static void copy_module(World *world, const char *name, const char *as)
{
    g_autofree char *from = g_strdup_printf("%s/%s.so", g_getenv("VIREO_TEST_MODULES"), name);
    g_autofree char *to = g_strdup_printf("%s/%s.so", world->dir, as);
    g_autofree char *bytes = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(from, &bytes, &len, NULL));
    g_assert_true(g_file_set_contents_full(to, bytes, (gssize)len, G_FILE_SET_CONTENTS_CONSISTENT,
                                           0644, NULL));
    g_assert_cmpint(chmod(to, 0644), ==, 0);
}

static void write_file(World *world, const char *name, const char *bytes, gsize len)
{
    g_autofree char *to = g_build_filename(world->dir, name, NULL);

    g_assert_true(g_file_set_contents_full(to, bytes, (gssize)len, G_FILE_SET_CONTENTS_CONSISTENT,
                                           0644, NULL));
    g_assert_cmpint(chmod(to, 0644), ==, 0);
}

static void setup(World *world, gconstpointer data)
{
    world->dir = g_dir_make_tmp("vireo-loader-XXXXXX", NULL);
    world->owner = geteuid();
    world->news = g_string_new(NULL);
    g_mutex_init(&world->gate);
    g_mutex_init(&world->news_lock);
}

static void scan_masked(World *world, const char *const *masked)
{
    const char *dirs[] = {world->dir, NULL};
    VireoLoaderConfig config = {
        .dirs = dirs,
        .masked = masked,
        .owner = &world->owner,
        .init_ms = 150,
        .start = start,
        .changed = changed,
        .user_data = world,
    };

    world->loader = vireo_loader_new(&config);
    vireo_loader_scan(world->loader);
}

static void scan(World *world)
{
    scan_masked(world, NULL);
}

static void teardown(World *world, gconstpointer data)
{
    g_autoptr(GDir) dir = g_dir_open(world->dir, 0, NULL);
    const char *name;

    vireo_loader_free(world->loader);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(world->dir, name, NULL);

        g_unlink(path);
    }
    g_rmdir(world->dir);
    g_free(world->dir);
    g_string_free(world->news, TRUE);
}

static VireoModuleInfo *info_of(World *world, const char *name)
{
    VireoModule *module = vireo_loader_by_name(world->loader, name);

    g_assert_nonnull(module);
    return vireo_module_info(module);
}

static void expect(World *world, const char *name, VireoModuleState state, const char *reason)
{
    g_autoptr(VireoModuleInfo) info = info_of(world, name);

    g_test_message("%s %s: %s", info->name, vireo_module_state_name(info->state), info->reason);
    g_assert_cmpstr(vireo_module_state_name(info->state), ==, vireo_module_state_name(state));
    g_assert_nonnull(strstr(info->reason, reason));
}

static void refuse_to_serve(World *world, const char *name, const char *reason)
{
    VireoModule *module = vireo_loader_by_name(world->loader, name);
    g_autoptr(GError) error = NULL;

    g_assert_false(vireo_module_ensure(module, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT);
    g_assert_nonnull(strstr(error->message, reason));
    g_assert_false(vireo_module_serves(module));
}

static void serve(World *world, const char *name)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(vireo_module_ensure(vireo_loader_by_name(world->loader, name), &error));
    g_assert_no_error(error);
}

/* ---- a good module ---- */

static void test_good(World *world, gconstpointer data)
{
    VireoModule *module;
    const struct vireo_op *op;
    VireoNoteOp *ops;
    g_autoptr(VireoModuleInfo) info = NULL;
    guint n;

    copy_module(world, "good", "good");
    scan(world);
    expect(world, "good", VIREO_MODULE_FOUND, "");
    module = vireo_loader_by_scheme(world->loader, "good");
    g_assert_nonnull(module);
    g_assert_true(module == vireo_loader_by_name(world->loader, "good"));
    g_assert_null(vireo_loader_by_scheme(world->loader, "goo"));
    g_assert_null(vireo_module_op(module, VIREO_OP_conn_open));
    g_assert_null(vireo_module_driver(module));
    g_assert_cmpint(world->inits, ==, 0);
    serve(world, "good");
    expect(world, "good", VIREO_MODULE_ACTIVE, "");
    g_assert_true(vireo_module_host(module) == world);
    op = vireo_module_op(module, VIREO_OP_domain_undefine_flags);
    g_assert_nonnull(op);
    g_assert_cmpuint(op->native, ==, VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE);
    g_assert_cmpuint(op->trivial, ==, VIREO_DOMAIN_UNDEFINE_NVRAM);
    g_assert_nonnull(op->fn.domain_undefine_flags);
    g_assert_null(vireo_module_op(module, VIREO_OP_domain_create));
    info = info_of(world, "good");
    g_assert_cmpstr(info->version, ==, "1.2.3");
    g_assert_cmpstr(info->schemes, ==, "good");
    g_assert_null(info->remarks[0]);
    ops = vireo_note_effective_ops(info->note, &n);
    g_assert_cmpuint(n, ==, 3);
    g_free(ops);
    serve(world, "good");
    g_assert_cmpint(world->inits, ==, 1);
    g_assert_cmpstr(world->news->str, ==, "good FOUND\ngood LOADED\ngood ACTIVE\n");
}

static gpointer serve_thread(gpointer data)
{
    return GINT_TO_POINTER(vireo_module_ensure(data, NULL));
}

/* Sixteen at once: init runs once, and everybody waits for it. */
static void test_together(World *world, gconstpointer data)
{
    GThread *threads[16];
    VireoModule *module;

    copy_module(world, "good", "good");
    scan(world);
    module = vireo_loader_by_name(world->loader, "good");
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("serve", serve_thread, module);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_true(GPOINTER_TO_INT(g_thread_join(threads[i])));
    g_assert_cmpint(world->inits, ==, 1);
}

static void test_future(World *world, gconstpointer data)
{
    g_autoptr(VireoModuleInfo) info = NULL;
    const struct vireo_op *op;
    VireoModule *module;

    copy_module(world, "from-the-future", "future");
    scan(world);
    serve(world, "future");
    module = vireo_loader_by_name(world->loader, "future");
    g_assert_null(vireo_module_op(module, 0x7abc));
    op = vireo_module_op(module, VIREO_OP_domain_undefine_flags);
    g_assert_cmpuint(op->native, ==, VIREO_DOMAIN_UNDEFINE_NVRAM);
    g_assert_cmpuint(op->active, ==, 0);
    info = info_of(world, "future");
    g_assert_cmpuint(g_strv_length(info->remarks), ==, 2);
    g_assert_nonnull(strstr(info->remarks[0], "0x7abc"));
    g_assert_nonnull(strstr(info->remarks[1], "0x40000000 of domain_undefine_flags"));
}

/* ---- modules that are refused before their code runs ---- */

typedef struct {
    const char *file, *name;
    VireoModuleState state;
    const char *reason;
} Case;

static const Case refused[] = {
    {"other-major", "major", VIREO_MODULE_REFUSED_ABI,
     "built for driver ABI 2.0; this daemon has 1." G_STRINGIFY(VIREO_ABI_MINOR)},
    {"newer-target", "target", VIREO_MODULE_REFUSED_ABI,
     "needs driver ABI 1.7 or newer; this daemon has 1." G_STRINGIFY(VIREO_ABI_MINOR)},
    {"duplicate-op", "duplicate", VIREO_MODULE_REFUSED_ABI,
     "has operation domain-undefine-flags twice"},
    {"lacks-open", "lacksopen", VIREO_MODULE_REFUSED_ABI, "lacks operation conn-open"},
    {"twice-flag", "twiceflag", VIREO_MODULE_REFUSED_ABI,
     "flag NVRAM of domain-undefine-flags both native and trivial"},
    {"event-row", "eventrow", VIREO_MODULE_REFUSED_ABI,
     "row for domain-event-lifecycle, which is an event"},
    {"no-note", "no-note", VIREO_MODULE_REFUSED_ABI, "a shared object without a driver note"},
};

static void test_refused(World *world, gconstpointer data)
{
    const Case *c = data;

    copy_module(world, c->file, c->file);
    scan(world);
    expect(world, c->name, c->state, c->reason);
    refuse_to_serve(world, c->name, c->reason);
    g_assert_cmpint(world->inits, ==, 0);
    g_assert_null(vireo_module_driver(vireo_loader_by_name(world->loader, c->name)));
}

/* ---- modules that fail once they are linked ---- */

static const Case failing[] = {
    {"undefined-symbol", "undefined", VIREO_MODULE_FAILED_LINK,
     "undefined symbol: nobody_defines_this"},
    {"missing-library", "missing", VIREO_MODULE_FAILED_LINK,
     "libvireo-test-gone.so.9: cannot open shared object file"},
    {"init-fails", "initfails", VIREO_MODULE_FAILED_INIT,
     "the disk of initfails is on fire"},
    {"other-mask", "mask", VIREO_MODULE_REFUSED_ABI,
     "its note and its table have other flags for domain-undefine-flags"},
    {"other-count", "count", VIREO_MODULE_REFUSED_ABI, "its note has 3 operations, its table 2"},
    {"other-op", "otherop", VIREO_MODULE_REFUSED_ABI,
     "row 1 is conn-close in its note, domain-create in its table"},
    {"other-name", "othername", VIREO_MODULE_REFUSED_ABI,
     "its note says name 'othername', its table 'somebody'"},
    {"null-slot", "nullslot", VIREO_MODULE_REFUSED_ABI,
     "operation domain-undefine-flags has no function"},
    {"no-entry", "noentry", VIREO_MODULE_REFUSED_ABI, "does not export vireo_driver_entry_1"},
};

static void test_failing(World *world, gconstpointer data)
{
    const Case *c = data;

    copy_module(world, c->file, c->file);
    copy_module(world, "good", "good");
    scan(world);
    expect(world, c->name, VIREO_MODULE_FOUND, "");
    refuse_to_serve(world, c->name, c->reason);
    expect(world, c->name, c->state, c->reason);
    refuse_to_serve(world, c->name, c->reason);
    serve(world, "good");
}

/* The driver calls exit: its module has failed, and the process goes on. */
static void test_exits(World *world, gconstpointer data)
{
    copy_module(world, "init-exits", "init-exits");
    copy_module(world, "good", "good");
    scan(world);
    refuse_to_serve(world, "initexits", "init called exit(7)");
    expect(world, "initexits", VIREO_MODULE_FAILED_INIT,
           "init called exit(7), which would have ended the process it runs in");
    serve(world, "good");
}

/* A library that comes with another package: tried again after the next scan, not before. */
static void test_link_again(World *world, gconstpointer data)
{
    copy_module(world, "undefined-symbol", "undefined");
    scan(world);
    refuse_to_serve(world, "undefined", "undefined symbol");
    vireo_loader_scan(world->loader);
    expect(world, "undefined", VIREO_MODULE_FAILED_LINK, "undefined symbol");
    copy_module(world, "good", "undefined");
    vireo_loader_scan(world->loader);
    expect(world, "good", VIREO_MODULE_FOUND, "");
    serve(world, "good");
}

/* ---- files that are not modules ---- */

static void test_not_elf(World *world, gconstpointer data)
{
    write_file(world, "script.so", "#!/bin/sh\necho no\n", 18);
    write_file(world, "nothing.so", "", 0);
    write_file(world, "README", "not looked at", 13);
    write_file(world, ".hidden.so", "not looked at", 13);
    scan(world);
    expect(world, "script", VIREO_MODULE_REFUSED_ABI, "not an ELF file");
    expect(world, "nothing", VIREO_MODULE_REFUSED_ABI, "not an ELF file");
    g_assert_null(vireo_loader_by_name(world->loader, "README"));
    g_assert_null(vireo_loader_by_name(world->loader, ".hidden"));
    refuse_to_serve(world, "script", "not an ELF file");
}

static void test_truncated(World *world, gconstpointer data)
{
    g_autofree char *from = g_strdup_printf("%s/good.so", g_getenv("VIREO_TEST_MODULES"));
    g_autofree char *bytes = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(from, &bytes, &len, NULL));
    write_file(world, "short.so", bytes, 40);
    write_file(world, "headers.so", bytes, 300);
    write_file(world, "half.so", bytes, len / 2);
    scan(world);
    expect(world, "short", VIREO_MODULE_REFUSED_ABI, "the file is cut off");
    expect(world, "headers", VIREO_MODULE_REFUSED_ABI, "the file is cut off");
    expect(world, "half", VIREO_MODULE_REFUSED_ABI, "the file is cut off");
}

/* ---- permissions ---- */

static void test_group_writable(World *world, gconstpointer data)
{
    g_autofree char *path = g_build_filename(world->dir, "good.so", NULL);

    copy_module(world, "good", "good");
    g_assert_cmpint(chmod(path, 0664), ==, 0);
    scan(world);
    expect(world, "good", VIREO_MODULE_REFUSED_PERM, "its group may write to it (mode 0664)");
    refuse_to_serve(world, "good", "REFUSED_PERM");
    g_assert_cmpint(chmod(path, 0646), ==, 0);
    vireo_loader_scan(world->loader);
    expect(world, "good", VIREO_MODULE_REFUSED_PERM, "anybody may write to it (mode 0646)");
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    serve(world, "good");
}

static void test_writable_directory(World *world, gconstpointer data)
{
    copy_module(world, "good", "good");
    g_assert_cmpint(chmod(world->dir, 0770), ==, 0);
    scan(world);
    expect(world, "good", VIREO_MODULE_REFUSED_PERM, world->dir);
    expect(world, "good", VIREO_MODULE_REFUSED_PERM, "its group may write to it (mode 0770)");
}

static void test_owner(World *world, gconstpointer data)
{
    g_autofree char *path = g_build_filename(world->dir, "good.so", NULL);

    copy_module(world, "good", "good");
    if (geteuid() == 0)
        g_assert_cmpint(chown(path, 4242, 4242), ==, 0);
    else
        world->owner = 4242;
    scan(world);
    expect(world, "good", VIREO_MODULE_REFUSED_PERM, "owned by user");
}

static void test_symlink(World *world, gconstpointer data)
{
    g_autofree char *link = g_build_filename(world->dir, "linked.so", NULL);
    g_autofree char *pipe = g_build_filename(world->dir, "pipe.so", NULL);

    copy_module(world, "good", "good");
    g_assert_cmpint(symlink("good.so", link), ==, 0);
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    scan(world);
    expect(world, "linked", VIREO_MODULE_REFUSED_PERM, "a symbolic link");
    expect(world, "pipe", VIREO_MODULE_REFUSED_PERM, "not a regular file");
    serve(world, "good");
}

/* ---- directories ---- */

static void expect_row(World *world, const char *path, const char *reason)
{
    g_autoptr(GPtrArray) list = vireo_loader_list(world->loader);
    VireoModuleInfo *row;

    g_assert_cmpuint(list->len, ==, 1);
    row = g_ptr_array_index(list, 0);
    g_assert_cmpstr(row->name, ==, "-");
    g_assert_cmpstr(row->path, ==, path);
    g_assert_cmpstr(row->reason, ==, reason);
    g_assert_cmpint(row->state, ==, VIREO_MODULE_ABSENT);
}

static void test_empty(World *world, gconstpointer data)
{
    scan(world);
    expect_row(world, world->dir, "holds no driver module");
    copy_module(world, "good", "good");
    vireo_loader_scan(world->loader);
    serve(world, "good");
}

static void test_missing(World *world, gconstpointer data)
{
    g_assert_cmpint(g_rmdir(world->dir), ==, 0);
    scan(world);
    expect_row(world, world->dir, "no such directory");
}

/* ---- names ---- */

static void test_masked(World *world, gconstpointer data)
{
    static const char *const masked[] = {"good", "renamed", NULL};

    copy_module(world, "good", "good-file");
    copy_module(world, "init-fails", "renamed");
    scan_masked(world, masked);
    expect(world, "good", VIREO_MODULE_MASKED, "masked_drivers");
    expect(world, "initfails", VIREO_MODULE_MASKED, "masked_drivers");
    refuse_to_serve(world, "good", "masked_drivers");
}

static void test_clash(World *world, gconstpointer data)
{
    g_autofree char *first = g_build_filename(world->dir, "a.so", NULL);
    g_autoptr(GPtrArray) list = NULL;
    VireoModuleInfo *loser;

    copy_module(world, "good", "a");
    copy_module(world, "good", "b");
    scan(world);
    serve(world, "good");
    list = vireo_loader_list(world->loader);
    g_assert_cmpuint(list->len, ==, 2);
    loser = g_ptr_array_index(list, 1);
    g_assert_cmpint(loser->state, ==, VIREO_MODULE_MASKED);
    g_assert_nonnull(strstr(loser->reason, "the name 'good' is taken by "));
    g_assert_nonnull(strstr(loser->reason, first));
}

/* ---- change while running ---- */

static void test_stale(World *world, gconstpointer data)
{
    g_autofree char *path = g_build_filename(world->dir, "good.so", NULL);
    VireoModule *module;

    copy_module(world, "good", "good");
    scan(world);
    serve(world, "good");
    copy_module(world, "init-fails", "good");
    vireo_loader_scan(world->loader);
    expect(world, "good", VIREO_MODULE_STALE, "its file has changed since it was loaded");
    module = vireo_loader_by_scheme(world->loader, "good");
    g_assert_true(vireo_module_serves(module));
    g_assert_true(vireo_module_ensure(module, NULL));
    g_assert_nonnull(vireo_module_op(module, VIREO_OP_conn_open));
    g_assert_cmpint(g_unlink(path), ==, 0);
    vireo_loader_scan(world->loader);
    expect(world, "good", VIREO_MODULE_STALE, "its file has been removed since it was loaded");
    g_assert_true(vireo_module_serves(module));
}

static void test_absent(World *world, gconstpointer data)
{
    g_autofree char *path = g_build_filename(world->dir, "good.so", NULL);

    copy_module(world, "good", "good");
    scan(world);
    g_assert_cmpint(g_unlink(path), ==, 0);
    refuse_to_serve(world, "good", "its file is gone");
    expect(world, "good", VIREO_MODULE_ABSENT, "its file is gone");
    copy_module(world, "good", "good");
    serve(world, "good");
}

/* A file that is replaced between the scan and its first use: what is linked is what was checked.
 */
static void test_swapped(World *world, gconstpointer data)
{
    copy_module(world, "good", "good");
    scan(world);
    copy_module(world, "other-major", "good");
    refuse_to_serve(world, "good", "built for driver ABI 2.0");
}

/* ---- init ---- */

static gboolean serves_soon(VireoModule *module)
{
    for (guint i = 0; i < 500 && !vireo_module_serves(module); i++)
        g_usleep(10000);
    return vireo_module_serves(module);
}

static void test_blocked(World *world, gconstpointer data)
{
    VireoModule *module;

    copy_module(world, "good", "good");
    scan(world);
    module = vireo_loader_by_name(world->loader, "good");
    g_mutex_lock(&world->gate);
    refuse_to_serve(world, "good", "init has not returned after 150 ms");
    expect(world, "good", VIREO_MODULE_FAILED_INIT, "init has not returned after 150 ms");
    g_mutex_unlock(&world->gate);
    g_assert_true(serves_soon(module));
    expect(world, "good", VIREO_MODULE_ACTIVE, "init took ");
    g_assert_cmpint(world->inits, ==, 1);
}

static void test_quarantine(World *world, gconstpointer data)
{
    VireoModule *module;

    copy_module(world, "good", "good");
    scan(world);
    serve(world, "good");
    module = vireo_loader_by_name(world->loader, "good");
    vireo_module_quarantine(module, "it failed a call without saying why");
    expect(world, "good", VIREO_MODULE_QUARANTINED, "without saying why");
    refuse_to_serve(world, "good", "without saying why");
    vireo_loader_scan(world->loader);
    expect(world, "good", VIREO_MODULE_QUARANTINED, "without saying why");
}

static void test_start_all(World *world, gconstpointer data)
{
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++)
        copy_module(world, refused[i].file, refused[i].file);
    for (guint i = 0; i < G_N_ELEMENTS(failing); i++)
        copy_module(world, failing[i].file, failing[i].file);
    copy_module(world, "good", "good");
    scan(world);
    vireo_loader_start_all(world->loader);
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++)
        expect(world, refused[i].name, refused[i].state, refused[i].reason);
    for (guint i = 0; i < G_N_ELEMENTS(failing); i++)
        expect(world, failing[i].name, failing[i].state, failing[i].reason);
    expect(world, "good", VIREO_MODULE_ACTIVE, "");
}

static void add(const char *name, gconstpointer data, void (*test)(World *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/loader/", name, NULL);

    g_test_add(path, World, data, setup, test, teardown);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("good", NULL, test_good);
    add("together", NULL, test_together);
    add("future", NULL, test_future);
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++)
        add(refused[i].file, &refused[i], test_refused);
    for (guint i = 0; i < G_N_ELEMENTS(failing); i++)
        add(failing[i].file, &failing[i], test_failing);
    add("init-exits", NULL, test_exits);
    add("link-again", NULL, test_link_again);
    add("not-elf", NULL, test_not_elf);
    add("truncated", NULL, test_truncated);
    add("group-writable", NULL, test_group_writable);
    add("writable-directory", NULL, test_writable_directory);
    add("owner", NULL, test_owner);
    add("symlink", NULL, test_symlink);
    add("empty-directory", NULL, test_empty);
    add("missing-directory", NULL, test_missing);
    add("masked", NULL, test_masked);
    add("clash", NULL, test_clash);
    add("stale", NULL, test_stale);
    add("absent", NULL, test_absent);
    add("swapped", NULL, test_swapped);
    add("blocked-init", NULL, test_blocked);
    add("quarantine", NULL, test_quarantine);
    add("start-all", NULL, test_start_all);
    return g_test_run();
}
