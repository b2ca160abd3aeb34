/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module in a process: linked, started, stopped, connected to. */
#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/check.h"
#include "tools/check/session.h"

#define CYCLES       3
#define LEAK_CYCLES  10 /* memory is looked at over the last LEAK_GROWTHS of them */
#define LEAK_GROWTHS 6
#define PATIENCE     2000 /* milliseconds for a thread to end after it was told to */

/* ---- linking ---- */

void check_load(const CheckTask *task)
{
    void *module;

    check_enter("the module's constructors");
    module = dlopen(task->file, RTLD_NOW | RTLD_LOCAL);
    check_leave();
    if (!module) {
        const char *why = dlerror();
        gboolean address = strstr(why, "__asan_") != NULL, thread = strstr(why, "__tsan_") != NULL;

        check_fail("%s%s", why, address  ? " (it was built with AddressSanitizer: use --sanitize=address)"
                                : thread ? " (it was built with ThreadSanitizer: use --sanitize=thread)"
                                         : "");
    } else if (!dlsym(module, "vireo_driver_entry_1"))
        check_fail("it has no function vireo_driver_entry_1, which VIREO_DRIVER writes");
}

void check_table(const CheckTask *task)
{
    const struct vireo_driver *driver = session_load(task);
    g_autoptr(GError) error = NULL;

    if (!driver)
        check_fail("the entry function returned NULL");
    else if (!vireo_check_table(task->note, driver, &error))
        check_fail("%s", error->message);
}

void check_init(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "init");

    if (!session_start(session))
        return;
    check_note("it started and stopped");
    session_stop(session);
}

/* ---- what is left behind ---- */

/* One whole life; FALSE when it did not start. */
static gboolean live(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "life");
    gboolean started = session_start(session);

    if (started && session_open(session, NULL))
        session_close(session);
    if (started)
        session_stop(session);
    return started;
}

void check_restart(const CheckTask *task)
{
    for (guint i = 0; i < CYCLES; i++) {
        g_autoptr(Session) session = session_new(task, "life");
        guint left;

        if (!session_start(session)) {
            check_fail("init number %u failed, after %u that did not", i + 1, i);
            return;
        }
        if (session_open(session, NULL))
            session_close(session);
        session_stop(session);
        left = check_host_n_sources(session->host);
        if (left)
            check_fail("fini left %u watches and timers of the host set", left);
    }
    check_note("%u lives, one after the other", CYCLES);
}

/* GLib starts these once for all of a process. */
static gboolean is_shared_thread(const char *name)
{
    return strcmp(name, "gmain") == 0 || strcmp(name, "gdbus") == 0 || strcmp(name, "dconf worker") == 0 ||
           g_str_has_prefix(name, "pool-") || strcmp(name, "vireo-driver-ch") == 0;
}

/* "name" of each thread that the table does not know; ids of all when `known` is to be filled. */
static GPtrArray *threads(GHashTable *known, gboolean learn)
{
    GPtrArray *fresh = g_ptr_array_new_with_free_func(g_free);
    DIR *dir = opendir("/proc/self/task");

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", entry->d_name);
        g_autofree char *name = NULL;

        if (entry->d_name[0] == '.' || !g_file_get_contents(path, &name, NULL, NULL))
            continue;
        g_strstrip(name);
        if (learn)
            g_hash_table_add(known, g_strdup(entry->d_name));
        else if (!g_hash_table_contains(known, entry->d_name))
            g_ptr_array_add(fresh, g_strdup_printf("'%s'", name));
    }
    if (dir)
        closedir(dir);
    return fresh;
}

static GPtrArray *threads_in_the_end(GHashTable *known)
{
    GPtrArray *left = threads(known, FALSE);

    for (guint waited = 0; left->len && waited < PATIENCE; waited += 20) {
        g_usleep(20000);
        g_ptr_array_unref(left);
        left = threads(known, FALSE);
    }
    return left;
}

static char *joined(GPtrArray *names)
{
    g_ptr_array_add(names, NULL);
    return g_strjoinv(", ", (char **)names->pdata);
}

void check_leaked_threads(const CheckTask *task)
{
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) first = NULL;
    guint n;

    g_ptr_array_unref(threads(known, TRUE));
    if (!live(task))
        return;
    first = threads_in_the_end(known);
    for (guint i = first->len; i > 0; i--) {
        g_autofree char *bare = g_strdelimit(g_strdup(first->pdata[i - 1]), "'", ' ');

        if (is_shared_thread(g_strstrip(bare)))
            g_ptr_array_remove_index(first, i - 1);
    }
    n = first->len;
    if (n) {
        g_autofree char *names = joined(first);

        check_fail("%u %s of the driver %s after fini: %s", n, n == 1 ? "thread" : "threads",
                   n == 1 ? "runs on" : "run on", names);
    }
}

static GPtrArray *descriptors(void)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    DIR *dir = opendir("/proc/self/fd");

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%s", entry->d_name);
        g_autofree char *target = g_file_read_link(path, NULL);

        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir))
            g_ptr_array_add(found, g_strdup(target ? target : "?"));
    }
    if (dir)
        closedir(dir);
    return found;
}

/* The first life may open what is kept for the whole process; those after it may not add to it. */
void check_leaked_fds(const CheckTask *task)
{
    g_autoptr(GPtrArray) before = NULL;
    g_autoptr(GPtrArray) after = NULL;

    if (!live(task))
        return;
    before = descriptors();
    for (guint i = 1; i < CYCLES; i++)
        live(task);
    after = descriptors();
    if (after->len > before->len)
        check_fail("%u lives of the driver left %u more descriptors open than the first one, the last of them %s",
                   CYCLES - 1, after->len - before->len, (char *)after->pdata[after->len - 1]);
}

void __lsan_do_leak_check(void) __attribute__((weak));
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

void check_leaked_memory(const CheckTask *task)
{
    gsize used[LEAK_CYCLES];
    gsize least = G_MAXSIZE;

    for (guint i = 0; i < LEAK_CYCLES; i++) {
        if (!live(task))
            return;
        used[i] = mallinfo2().uordblks;
    }
    if (__lsan_do_recoverable_leak_check) {
        if (__lsan_do_recoverable_leak_check())
            check_fail("LeakSanitizer found memory that nothing points to");
        return;
    }
    if (strcmp(check_sanitizer(), "none") != 0) {
        check_skip("memory is not counted in this build");
        return;
    }
    for (guint i = LEAK_CYCLES - LEAK_GROWTHS; i < LEAK_CYCLES; i++)
        least = MIN(least, used[i] > used[i - 1] ? used[i] - used[i - 1] : 0);
    if (least)
        check_fail("each life of the driver leaves at least %" G_GSIZE_FORMAT " bytes of memory behind", least);
    else
        check_note("%u lives, no growth from one to the next", LEAK_CYCLES);
}

/* ---- connections ---- */

void check_open(const CheckTask *task)
{
    g_autoptr(Session) session = session_new(task, "open");
    g_autofree char *other = NULL;
    CheckOutcome outcome = { 0 };
    void *first;

    if (!session_start(session))
        return;
    if (!session_open(session, &outcome)) {
        if (outcome.status == VIREO_FAIL && !outcome.message)
            check_fail("conn_open of %s failed without an error", session->uri);
        else if (outcome.status != VIREO_FAIL)
            check_fail("conn_open of %s answered %d, which is no enum vireo_status that ends a call", session->uri,
                       outcome.status);
        else if (task->uri)
            check_fail("conn_open of %s failed: %s", session->uri, outcome.message);
        else
            check_skip("no connection, the last try being %s: %s. Give --uri=URI", session->uri, outcome.message);
        session_stop(session);
        return;
    }
    check_note("%s opens", session->uri);
    first = session->conn;
    if (session_open(session, NULL))
        session_close(session);
    else
        check_fail("a second connection to %s failed, beside the first", session->uri);
    session->conn = first;
    session_close(session);
    other = g_strdup_printf("%s:///vireo-driver-check/no/such/place", session->scheme);
    if (!session_open_uri(session, other, &outcome)) {
        if (outcome.status == VIREO_FAIL && !outcome.message)
            check_fail("conn_open of %s failed without an error", other);
    } else
        session_close(session);
    session_stop(session);
}
