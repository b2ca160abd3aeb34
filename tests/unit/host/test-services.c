/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's services, called as a driver calls them. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/call.h"
#include "host/host.h"

typedef struct {
    char *root;
    VireoHostDirs dirs;
    VireoWorkers *workers;
    VireoEventHub *hub;
    VireoHost *host;
    vireo_core *core;
} Fixture;

static const struct vireo_host *const host = &vireo_host_services;

static void set_up(Fixture *f, gconstpointer data)
{
    f->root = g_dir_make_tmp("vireo-host-XXXXXX", NULL);
    f->dirs.config = g_build_filename(f->root, "etc", NULL);
    f->dirs.state = g_build_filename(f->root, "lib", NULL);
    f->dirs.run = g_build_filename(f->root, "run", NULL);
    f->dirs.log = g_build_filename(f->root, "log", NULL);
    f->dirs.cache = g_build_filename(f->root, "cache", NULL);
    g_mkdir_with_parents(f->dirs.config, 0700);
    f->workers = vireo_workers_new(0, 2, 1);
    f->hub = vireo_event_hub_new();
    f->host = vireo_host_new(&f->dirs, f->workers, f->hub);
    f->core = vireo_host_core(f->host, "demo");
}

static void tear_down(Fixture *f, gconstpointer data)
{
    const char *argv[] = { "rm", "-rf", f->root, NULL };

    vireo_workers_free(f->workers);
    vireo_host_free(f->host);
    vireo_event_hub_free(f->hub);
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
    g_free(f->dirs.config);
    g_free(f->dirs.state);
    g_free(f->dirs.run);
    g_free(f->dirs.log);
    g_free(f->dirs.cache);
    g_free(f->root);
}

static void gather(const char *key, const void *data, size_t len, void *opaque)
{
    g_string_append_printf(opaque, "%s=%.*s;", key, (int)len, (const char *)data);
}

static void test_state(Fixture *f, gconstpointer data)
{
    g_autoptr(GString) seen = g_string_new(NULL);

    g_assert_cmpint(host->state_save(f->core, "dom/one.xml", "first", 5), ==, 0);
    g_assert_cmpint(host->state_save(f->core, "dom/one.xml", "second", 6), ==, 0);
    g_assert_cmpint(host->state_save(f->core, "other", "x", 1), ==, 0);
    g_assert_cmpint(host->state_save(f->core, "dome/one", "x", 1), ==, 0);
    host->state_each(f->core, "dom/", gather, seen);
    g_assert_cmpstr(seen->str, ==, "dom/one.xml=second;");
    g_string_truncate(seen, 0);
    host->state_each(f->core, "dom/o", gather, seen);
    g_assert_cmpstr(seen->str, ==, "dom/one.xml=second;");
    g_string_truncate(seen, 0);
    host->state_each(f->core, "dome", gather, seen);
    g_assert_cmpstr(seen->str, ==, "dome/one=x;");
    g_string_truncate(seen, 0);
    host->state_each(f->core, "../", gather, seen);
    g_assert_cmpstr(seen->str, ==, "");
    g_assert_cmpint(host->state_drop(f->core, "dome/one"), ==, 0);
    g_assert_cmpint(host->state_drop(f->core, "dom/one.xml"), ==, 0);
    g_assert_cmpint(host->state_drop(f->core, "dom/one.xml"), ==, 0);
    g_string_truncate(seen, 0);
    host->state_each(f->core, "", gather, seen);
    g_assert_cmpstr(seen->str, ==, "other=x;");
    g_assert_cmpint(host->state_save(f->core, "../escape", "x", 1), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(host->state_save(f->core, "a//b", "x", 1), ==, -1);
    g_assert_cmpint(host->state_save(f->core, "", "x", 1), ==, -1);
}

static void test_spawn(Fixture *f, gconstpointer data)
{
    int out[2], extra[2];
    const char *const argv[] = { "/bin/sh", "-c", "echo to-out; echo to-seven >&7; ls /proc/self/fd | wc -l", NULL };
    struct vireo_spawn spec = { .size = sizeof spec, .argv = argv, .in = -1, .err = -1,
                                .flags = VIREO_SPAWN_DETACH };
    struct vireo_fd_map map;
    struct vireo_child child;
    siginfo_t info;
    char text[64] = "", side[64] = "";

    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(extra, O_CLOEXEC), ==, 0);
    map = (struct vireo_fd_map){ extra[1], 7 };
    spec.out = out[1];
    spec.fds = &map;
    spec.n_fds = 1;
    g_assert_cmpint(host->spawn(f->core, &spec, &child), ==, 0);
    g_assert_cmpint(child.pid, >, 1);
    g_assert_cmpint(child.start_time, >, 0);
    g_assert_cmpint(waitid(P_PIDFD, (id_t)child.pidfd, &info, WEXITED), ==, 0);
    g_assert_cmpint(info.si_status, ==, 0);
    g_assert_cmpint(read(out[0], text, sizeof text - 1), >, 0);
    g_assert_cmpint(read(extra[0], side, sizeof side - 1), >, 0);
    /* 0, 1, 2, 7 and the directory ls reads: nothing else leaked into the child. */
    g_assert_cmpstr(text, ==, "to-out\n5\n");
    g_assert_cmpstr(side, ==, "to-seven\n");
    close(child.pidfd);
    close(out[0]);
    close(out[1]);
    close(extra[0]);
    close(extra[1]);
}

static void test_spawn_failure(Fixture *f, gconstpointer data)
{
    const char *const argv[] = { "/nonexistent/program", NULL };
    struct vireo_spawn spec = { .size = sizeof spec, .argv = argv, .in = -1, .out = -1, .err = -1 };
    struct vireo_child child;

    g_assert_cmpint(host->spawn(f->core, &spec, &child), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
}

/* What a module of another minor gives: shorter structs than ours, or longer ones. */
static void test_sizes(Fixture *f, gconstpointer data)
{
    struct {
        struct vireo_object known;
        guint64 later;
    } object = { { .size = sizeof object, .klass = VIREO_CLASS_DOMAIN, .name = "vm", .id = -1, .event = -1,
                   .uuid = { 7 } }, ~0ull };
    struct {
        struct vireo_tree_node known;
        guint64 later;
    } nodes[2] = { { { .size = sizeof nodes[0], .name = "one" }, ~0ull },
                   { { .size = sizeof nodes[0], .name = "two", .parent = "one" }, ~0ull } };
    vireo_space *space = host->space(f->core, "sizes:///");
    g_autoptr(VireoObject) shown = NULL;

    host->publish(space, &object.known);
    host->publish_tree(space, VIREO_CLASS_DOMAIN_SNAPSHOT, object.known.uuid, 2, &nodes[0].known);
    host->publish_tree(space, 99, object.known.uuid, 0, NULL);
    shown = vireo_space_by_name(space, VIREO_CLASS_DOMAIN, "vm");
    g_assert_nonnull(shown);
    g_assert_nonnull(vireo_tree_find(shown->snapshots, "two"));
    g_assert_cmpstr(vireo_tree_find(shown->snapshots, "two")->parent, ==, "one");
    g_clear_pointer(&shown, vireo_object_unref);

    nodes[0].known.name = "three";
    nodes[0].known.parent = "two";
    host->publish_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, object.known.uuid, &nodes[0].known);
    host->withdraw_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, object.known.uuid, "two");
    host->publish_node(space, 99, object.known.uuid, &nodes[0].known);
    g_test_expect_message("vireo", G_LOG_LEVEL_WARNING, "sizes:///: node 'one' was published below 'three', *");
    nodes[1].known = (struct vireo_tree_node){ .size = sizeof nodes[1], .name = "one", .parent = "three" };
    host->publish_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, object.known.uuid, &nodes[1].known);
    g_test_expect_message("vireo", G_LOG_LEVEL_WARNING, "sizes:///: a tree was published whose nodes' size is *");
    nodes[0].known.size = 8;
    host->publish_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, object.known.uuid, &nodes[0].known);
    g_test_assert_expected_messages();
    nodes[0].known.size = sizeof nodes[0];
    nodes[1].known.name = "three";
    g_test_expect_message("vireo", G_LOG_LEVEL_WARNING, "sizes:///: a tree was published in which a name is twice*");
    host->publish_tree(space, VIREO_CLASS_DOMAIN_SNAPSHOT, object.known.uuid, 2, &nodes[0].known);
    g_test_assert_expected_messages();
    shown = vireo_space_by_name(space, VIREO_CLASS_DOMAIN, "vm");
    g_assert_cmpuint(vireo_tree_size(shown->snapshots), ==, 2);
    g_assert_cmpstr(vireo_tree_find(shown->snapshots, "three")->parent, ==, "one");

    object.known.name = "other";
    object.known.uuid[0] = 8;
    object.known.klass = 99;
    host->publish(space, &object.known);
    object.known.klass = VIREO_CLASS_DOMAIN;
    object.known.size = offsetof(struct vireo_object, detail);
    g_test_expect_message("vireo", G_LOG_LEVEL_WARNING, "sizes:///: an object was published whose size is *");
    host->publish(space, &object.known);
    g_test_assert_expected_messages();
    g_assert_null(vireo_space_by_name(space, VIREO_CLASS_DOMAIN, "other"));
}

static void test_spawn_sizes(Fixture *f, gconstpointer data)
{
    const char *const argv[] = { "/bin/true", NULL };
    struct {
        struct vireo_spawn known;
        guint64 later;
    } spec = { { .size = sizeof spec, .argv = argv, .in = -1, .out = -1, .err = -1 }, ~0ull };
    struct vireo_child child = { .reserved = { 1, 1 } };

    g_assert_cmpint(host->spawn(f->core, &spec.known, &child), ==, 0);
    g_assert_cmpuint(child.reserved[0] + child.reserved[1], ==, 0);
    g_assert_cmpint(waitid(P_PIDFD, (id_t)child.pidfd, &(siginfo_t){ 0 }, WEXITED), ==, 0);
    close(child.pidfd);
    spec.known.flags = 1u << 31;
    g_assert_cmpint(host->spawn(f->core, &spec.known, &child), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    spec.known.flags = 0;
    spec.known.size = offsetof(struct vireo_spawn, cwd);
    g_assert_cmpint(host->spawn(f->core, &spec.known, &child), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
}

static gint fired;

static void on_readable(int fd, int events, void *opaque)
{
    char byte;

    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    g_atomic_int_inc(&fired);
}

static void on_time(void *opaque)
{
    g_atomic_int_add(&fired, 100);
}

static void wait_for(gint value)
{
    for (guint i = 0; i < 3000 && g_atomic_int_get(&fired) != value; i++)
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&fired), ==, value);
}

static void test_watches(Fixture *f, gconstpointer data)
{
    int fds[2];
    guint64 id, timer;

    fired = 0;
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = host->watch(f->core, fds[0], VIREO_WATCH_IN, on_readable, NULL);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    wait_for(1);
    host->timer(f->core, 10, on_time, NULL);
    wait_for(101);
    timer = host->timer(f->core, 50, on_time, NULL);
    host->unwatch(f->core, timer);
    host->unwatch(f->core, id);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    g_usleep(100000);
    g_assert_cmpint(fired, ==, 101);
    host->defer(f->core, on_time, NULL);
    wait_for(201);
    close(fds[0]);
    close(fds[1]);
}

static void ended(vireo_call *call, int status, gpointer opaque)
{
    *(int *)opaque += status == VIREO_OK ? 1 : 100;
}

static void test_call(Fixture *f, gconstpointer data)
{
    vireo_call *call = vireo_call_new(vireo_op_by_id(VIREO_OP_domain_reboot), vireo_arena_new(), NULL);
    int ends = 0;

    call->done = ended;
    call->opaque = &ends;
    g_assert_cmpint(host->fail(call, VIREO_ERR_NO_DOMAIN, "no '%s'", "x"), ==, VIREO_FAIL);
    g_assert_cmpint(host->fail(call, VIREO_ERR_INTERNAL_ERROR, "later"), ==, VIREO_FAIL);
    g_assert_cmpint(call->error_code, ==, VIREO_ERR_NO_DOMAIN);
    g_assert_cmpstr(call->error_message, ==, "no 'x'");
    g_assert_false(host->cancelled(call));
    call->deadline = g_get_monotonic_time() - 1;
    g_assert_true(host->cancelled(call));
    g_assert_true(vireo_call_finish(call, VIREO_FAIL));
    g_assert_false(vireo_call_finish(call, VIREO_OK));
    g_assert_cmpint(ends, ==, 100);
    vireo_call_unref(call);
}

static int failing_init(const struct vireo_host *services, vireo_core *core, void **self)
{
    services->log(core, VIREO_LOG_ERROR, "init", "the %s is missing", "hypervisor");
    return VIREO_FAIL;
}

static void test_start(Fixture *f, gconstpointer data)
{
    const struct vireo_driver driver = { .size = sizeof driver, .name = "demo", .init = failing_init };
    g_autoptr(GError) error = NULL;

    g_test_expect_message("vireo", G_LOG_LEVEL_WARNING, "*the hypervisor is missing*");
    g_assert_false(vireo_core_start(f->core, &driver, &error));
    g_test_assert_expected_messages();
    g_assert_nonnull(strstr(error->message, "the hypervisor is missing"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/host/state", Fixture, NULL, set_up, test_state, tear_down);
    g_test_add("/host/spawn", Fixture, NULL, set_up, test_spawn, tear_down);
    g_test_add("/host/spawn-failure", Fixture, NULL, set_up, test_spawn_failure, tear_down);
    g_test_add("/host/sizes", Fixture, NULL, set_up, test_sizes, tear_down);
    g_test_add("/host/spawn-sizes", Fixture, NULL, set_up, test_spawn_sizes, tear_down);
    g_test_add("/host/watches", Fixture, NULL, set_up, test_watches, tear_down);
    g_test_add("/host/call", Fixture, NULL, set_up, test_call, tear_down);
    g_test_add("/host/start", Fixture, NULL, set_up, test_start, tear_down);
    return g_test_run();
}
