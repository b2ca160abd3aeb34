/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/node.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void test_info(void)
{
    VireoNodeInfo info;
    struct utsname name;
    g_autoptr(GError) error = NULL;

    uname(&name);
    g_assert_true(vireo_node_info(&info, &error));
    g_assert_cmpstr(info.model, ==, name.machine);
    g_assert_cmpint(info.cpus, ==, (int)sysconf(_SC_NPROCESSORS_ONLN));
    g_assert_cmpint(info.nodes * info.sockets * info.cores * info.threads, ==, info.cpus);
    g_assert_cmpuint(info.memory_kib, ==,
                     (guint64)sysconf(_SC_PHYS_PAGES) * (guint64)sysconf(_SC_PAGESIZE) / 1024);
}

static void test_stats(void)
{
    VireoNodeCpuStats all, first;
    VireoNodeMemoryStats memory, cell;
    g_autoptr(GError) error = NULL;
    guint64 pages;

    g_assert_true(vireo_node_cpu_stats(-1, &all, &error));
    g_assert_true(vireo_node_cpu_stats(0, &first, &error));
    g_assert_cmpuint(all.idle, >=, first.idle);
    g_assert_cmpuint(all.user + all.kernel + all.idle, >, 0);
    g_assert_false(vireo_node_cpu_stats(100000, &all, &error));
    g_clear_error(&error);
    g_assert_true(vireo_node_memory_stats(-1, &memory, &error));
    g_assert_true(vireo_node_memory_stats(0, &cell, &error));
    g_assert_cmpuint(memory.total, >, memory.free);
    g_assert_cmpuint(cell.total, <=, memory.total);
    g_assert_true(vireo_node_free_pages(0, (guint)(sysconf(_SC_PAGESIZE) / 1024), &pages, &error));
    g_assert_cmpuint(pages, >, 0);
    g_assert_false(vireo_node_free_pages(0, 3, &pages, &error));
}

static void test_documents(void)
{
    g_autofree char *host = vireo_node_capabilities_host();
    g_autofree guint8 *map = NULL;
    g_autoptr(GError) error = NULL;
    gsize len = 0;
    guint online = 0, bits = 0;

    g_assert_nonnull(strstr(host, "<cells num='"));
    g_assert_null(strstr(host, "(null)"));
    int count = vireo_node_cpu_map(&map, &len, &online, &error);
    g_assert_cmpuint(len, ==, (gsize)(count + 7) / 8);
    for (gsize i = 0; i < len * 8; i++)
        bits += (map[i / 8] >> (i % 8)) & 1u;
    g_assert_cmpuint(bits, ==, online);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/node/info", test_info);
    g_test_add_func("/node/stats", test_stats);
    g_test_add_func("/node/documents", test_documents);
    return g_test_run();
}
