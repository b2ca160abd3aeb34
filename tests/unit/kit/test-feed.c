/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/feed.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <vireo/driver.h>

#include "util/error.h"

static VireoFeed *start(int *core, GCancellable *stop)
{
    g_autoptr(GError) error = NULL;
    VireoFeed *feed = vireo_feed_new(stop, core, &error);

    g_assert_no_error(error);
    return feed;
}

static void say(int core, guint8 what, const void *data, gsize len)
{
    struct iovec parts[] = { { &what, 1 }, { (gpointer)data, len } };

    g_assert_cmpint(writev(core, parts, 2), ==, (gssize)len + 1);
}

static void expect(int core, guint8 what, const void *data, gsize len)
{
    guint8 message[256];

    g_assert_cmpint(read(core, message, sizeof message), ==, (gssize)len + 1);
    g_assert_cmpint(message[0], ==, what);
    g_assert_cmpmem(message + 1, len, data, len);
}

static void test_receive(void)
{
    const guint64 hole = 5;
    char data[8];
    int core;
    VireoFeed *feed = start(&core, NULL);

    say(core, VIREO_STREAM_SAY_DATA, "abcdef", 6);
    say(core, VIREO_STREAM_SAY_HOLE, &hole, sizeof hole);
    say(core, VIREO_STREAM_SAY_DONE, NULL, 0);
    g_assert_cmpint(vireo_feed_receive(feed, data, 4, NULL), ==, 4);
    g_assert_cmpmem(data, 4, "abcd", 4);
    g_assert_cmpint(vireo_feed_receive(feed, data, 8, NULL), ==, 2);
    g_assert_cmpint(vireo_feed_receive(feed, data, 8, NULL), ==, 5);
    g_assert_cmpmem(data, 5, "\0\0\0\0\0", 5);
    g_assert_cmpint(vireo_feed_receive(feed, data, 8, NULL), ==, 0);
    g_assert_cmpint(vireo_feed_receive(feed, data, 8, NULL), ==, 0);
    vireo_feed_end(feed, 0, NULL);
    expect(core, VIREO_STREAM_SAY_DONE, NULL, 0);
    close(core);
}

static void test_send(void)
{
    const guint32 code = VIREO_ERR_OPERATION_FAILED;
    const guint64 hole = 1 << 30;
    guint8 said[4 + 3];
    int core;
    VireoFeed *feed = start(&core, NULL);

    g_assert_true(vireo_feed_send(feed, "hello", 5, NULL));
    g_assert_true(vireo_feed_send_hole(feed, hole, NULL));
    g_assert_true(vireo_feed_send_hole(feed, 0, NULL));
    vireo_feed_end(feed, (int)code, "why");
    expect(core, VIREO_STREAM_SAY_DATA, "hello", 5);
    expect(core, VIREO_STREAM_SAY_HOLE, &hole, sizeof hole);
    memcpy(said, &code, 4);
    memcpy(said + 4, "why", 3);
    expect(core, VIREO_STREAM_SAY_FAILED, said, sizeof said);
    close(core);
}

/* A client that goes has not finished. */
static void test_client_goes(void)
{
    g_autoptr(GError) error = NULL;
    char data[8];
    int core;
    VireoFeed *feed = start(&core, NULL);

    say(core, VIREO_STREAM_SAY_DATA, "abc", 3);
    g_assert_false(vireo_feed_is_broken(feed));
    close(core);
    g_assert_true(vireo_feed_is_broken(feed));
    g_assert_cmpint(vireo_feed_receive(feed, data, 8, NULL), ==, 3);
    g_assert_cmpint(vireo_feed_receive(feed, data, 8, &error), ==, -1);
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_ABORTED);
    g_assert_false(vireo_feed_send(feed, "x", 1, NULL));
    vireo_feed_end(feed, 0, NULL);
}

static gpointer stop_later(gpointer stop)
{
    g_usleep(50 * 1000);
    g_cancellable_cancel(stop);
    return NULL;
}

static void test_stop(void)
{
    g_autoptr(GCancellable) stop = g_cancellable_new();
    g_autofree char *much = g_malloc0(1 << 20);
    char data[8];
    int core;

    for (guint sends = 0; sends < 2; sends++) {
        VireoFeed *feed = start(&core, stop);
        GThread *thread = g_thread_new("stop", stop_later, stop);
        g_autoptr(GError) error = NULL;

        if (sends)
            g_assert_false(vireo_feed_send(feed, much, 1 << 20, &error));
        else
            g_assert_cmpint(vireo_feed_receive(feed, data, 8, &error), ==, -1);
        g_assert_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_ABORTED);
        g_thread_join(thread);
        vireo_feed_end(feed, 0, NULL);
        g_cancellable_reset(stop);
        close(core);
    }
}

/* ---- those of a server ---- */

static int given = -1; /* the core's end */
static int refuses;
static gint freed;

static int on_stream(struct vireo_call *call, int fd, int how, uint64_t offset, uint64_t length)
{
    g_assert_cmpint(how, ==, VIREO_STREAM_CONFIRM | VIREO_STREAM_FROM_FD);
    given = refuses ? -1 : fd;
    return refuses ? VIREO_FAIL : VIREO_OK;
}

static int on_fail(struct vireo_call *call, int code, const char *format, ...)
{
    g_assert_cmpint(code, ==, VIREO_ERR_NO_SUPPORT);
    return VIREO_FAIL;
}

static int send_some(VireoFeed *feed, void *opaque, char **text)
{
    char data[8];

    g_assert_cmpint(g_atomic_int_get(&freed), ==, 0);
    vireo_feed_send(feed, "abc", 3, NULL);
    if (!*(const char *)opaque)
        return 0;
    if (g_str_equal(opaque, "wait"))
        vireo_feed_receive(feed, data, sizeof data, NULL);
    *text = g_strdup(opaque);
    return 7;
}

static void on_free(void *opaque)
{
    g_atomic_int_inc(&freed);
}

static const VireoFeedWork work = { .move = send_some, .free = on_free };

static int start_one(VireoFeeds *feeds, int minor, const char *words)
{
    const struct vireo_host host = { .abi_minor = (uint32_t)minor, .stream = on_stream, .fail = on_fail };

    g_atomic_int_set(&freed, 0);
    return vireo_feeds_start(feeds, &host, NULL, VIREO_STREAM_FROM_FD, &work, (gpointer)words);
}

static void wait_for_its_end(void)
{
    while (!g_atomic_int_get(&freed))
        g_usleep(1000);
    close(given);
}

/* Each tells its client how it ended; and nothing is left behind where none could begin. */
static void test_feeds(void)
{
    const guint32 code = 7;
    guint8 failed[9];
    g_autoptr(GCancellable) stop = g_cancellable_new();
    VireoFeeds *feeds = vireo_feeds_new("some", stop);

    g_assert_cmpint(start_one(feeds, 1, ""), ==, VIREO_OK);
    expect(given, VIREO_STREAM_SAY_DATA, "abc", 3);
    expect(given, VIREO_STREAM_SAY_DONE, NULL, 0);
    wait_for_its_end();
    memcpy(failed, &code, 4);
    memcpy(failed + 4, "wrong", 5);
    g_assert_cmpint(start_one(feeds, 1, "wrong"), ==, VIREO_OK);
    expect(given, VIREO_STREAM_SAY_DATA, "abc", 3);
    expect(given, VIREO_STREAM_SAY_FAILED, failed, sizeof failed);
    wait_for_its_end();
    refuses = 1;
    g_assert_cmpint(start_one(feeds, 1, ""), ==, VIREO_FAIL);
    g_assert_cmpint(freed, ==, 1);
    g_assert_cmpint(start_one(feeds, 0, ""), ==, VIREO_FAIL);
    g_assert_cmpint(freed, ==, 1);
    refuses = 0;
    g_assert_cmpint(start_one(feeds, 1, "wait"), ==, VIREO_OK);
    GThread *thread = g_thread_new("stop", stop_later, stop);
    vireo_feeds_free(feeds);
    g_assert_true(g_cancellable_is_cancelled(stop));
    g_assert_cmpint(freed, ==, 1);
    g_thread_join(thread);
    close(given);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kit/feed/receive", test_receive);
    g_test_add_func("/kit/feed/send", test_send);
    g_test_add_func("/kit/feed/client-goes", test_client_goes);
    g_test_add_func("/kit/feed/stop", test_stop);
    g_test_add_func("/kit/feed/feeds", test_feeds);
    return g_test_run();
}
