/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/feed.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vireo/driver.h>

#include "util/error.h"

#define MOST_DATA 65536

struct VireoFeed {
    int fd;
    GCancellable *stop;
    guint64 hole;  /* zeros to hand out first */
    gsize at, len; /* of the message that is being handed out */
    gboolean all;  /* the client has sent everything */
    guint8 message[1 + MOST_DATA];
};

VireoFeed *vireo_feed_new(GCancellable *stop, int *core, GError **error)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot make a socket for a stream: %s", g_strerror(errno));
        return NULL;
    }
    VireoFeed *feed = g_new0(VireoFeed, 1);
    feed->fd = pair[0];
    feed->stop = stop ? g_object_ref(stop) : NULL;
    *core = pair[1];
    return feed;
}

static gboolean gone(GError **error)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_ABORTED, "the client has ended the stream");
    return FALSE;
}

static gboolean wait_for(VireoFeed *feed, short events, GError **error)
{
    GPollFD watched[2] = { { .fd = feed->fd, .events = (gushort)events } };
    gboolean stoppable = feed->stop && g_cancellable_make_pollfd(feed->stop, &watched[1]);

    g_poll(watched, stoppable ? 2 : 1, -1);
    if (stoppable)
        g_cancellable_release_fd(feed->stop);
    return !feed->stop || !g_cancellable_is_cancelled(feed->stop) || gone(error);
}

static gboolean say(VireoFeed *feed, guint8 what, const void *data, gsize len, GError **error)
{
    struct iovec parts[] = { { &what, 1 }, { (gpointer)data, len } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = G_N_ELEMENTS(parts) };

    while (sendmsg(feed->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
            return gone(error);
        if (!wait_for(feed, POLLOUT, error))
            return FALSE;
    }
    return TRUE;
}

gboolean vireo_feed_send(VireoFeed *feed, const void *data, gsize len, GError **error)
{
    for (gsize part; len; data = (const char *)data + part, len -= part) {
        part = MIN(len, MOST_DATA);
        if (!say(feed, VIREO_STREAM_SAY_DATA, data, part, error))
            return FALSE;
    }
    return TRUE;
}

gboolean vireo_feed_send_hole(VireoFeed *feed, guint64 length, GError **error)
{
    return !length || say(feed, VIREO_STREAM_SAY_HOLE, &length, sizeof length, error);
}

/* The next message, as far as it says anything. */
static gboolean take_message(VireoFeed *feed, GError **error)
{
    gssize n;

    while ((n = recv(feed->fd, feed->message, sizeof feed->message, MSG_DONTWAIT)) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return gone(error);
        if (errno == EAGAIN && !wait_for(feed, POLLIN, error))
            return FALSE;
    }
    if (n == 0)
        return gone(error);
    feed->at = feed->len = 0;
    if (feed->message[0] == VIREO_STREAM_SAY_DATA) {
        feed->at = 1;
        feed->len = (gsize)n;
    } else if (feed->message[0] == VIREO_STREAM_SAY_HOLE && n == 1 + sizeof feed->hole)
        memcpy(&feed->hole, feed->message + 1, sizeof feed->hole);
    else if (feed->message[0] == VIREO_STREAM_SAY_DONE)
        feed->all = TRUE;
    else
        return gone(error);
    return TRUE;
}

gssize vireo_feed_receive(VireoFeed *feed, void *data, gsize len, GError **error)
{
    while (!feed->all && !feed->hole && feed->at == feed->len)
        if (!take_message(feed, error))
            return -1;
    if (feed->hole) {
        len = (gsize)MIN(len, feed->hole);
        memset(data, 0, len);
        feed->hole -= len;
        return (gssize)len;
    }
    len = MIN(len, feed->len - feed->at);
    memcpy(data, feed->message + feed->at, len);
    feed->at += len;
    return (gssize)len;
}

gboolean vireo_feed_is_broken(VireoFeed *feed)
{
    struct pollfd watched = { .fd = feed->fd };

    return poll(&watched, 1, 0) == 1 && watched.revents & (POLLHUP | POLLERR);
}

void vireo_feed_end(VireoFeed *feed, int code, const char *text)
{
    guint32 number = (guint32)code;
    g_autoptr(GByteArray) words = g_byte_array_new();

    if (code) {
        g_byte_array_append(words, (const guint8 *)&number, sizeof number);
        g_byte_array_append(words, (const guint8 *)text, (guint)MIN(strlen(text), MOST_DATA));
    }
    say(feed, code ? VIREO_STREAM_SAY_FAILED : VIREO_STREAM_SAY_DONE, words->data, words->len, NULL);
    close(feed->fd);
    g_clear_object(&feed->stop);
    g_free(feed);
}

/* ---- those of a server ------------------------------------------------------------------ */

struct VireoFeeds {
    char *name;
    GCancellable *stop;
    GMutex lock; /* of what follows */
    GCond ended;
    guint n;
};

typedef struct {
    VireoFeeds *feeds;
    VireoFeed *feed;
    const VireoFeedWork *work;
    void *opaque;
} Stream;

VireoFeeds *vireo_feeds_new(const char *name, GCancellable *stop)
{
    VireoFeeds *feeds = g_new0(VireoFeeds, 1);

    feeds->name = g_strdup(name);
    feeds->stop = g_object_ref(stop);
    g_mutex_init(&feeds->lock);
    g_cond_init(&feeds->ended);
    return feeds;
}

void vireo_feeds_free(VireoFeeds *feeds)
{
    if (!feeds)
        return;
    g_mutex_lock(&feeds->lock);
    while (feeds->n)
        g_cond_wait(&feeds->ended, &feeds->lock);
    g_mutex_unlock(&feeds->lock);
    g_cond_clear(&feeds->ended);
    g_mutex_clear(&feeds->lock);
    g_object_unref(feeds->stop);
    g_free(feeds->name);
    g_free(feeds);
}

static gpointer run(gpointer opaque)
{
    g_autofree Stream *stream = opaque;
    VireoFeeds *feeds = stream->feeds;
    g_autofree char *text = NULL;
    int code = stream->work->move(stream->feed, stream->opaque, &text);

    vireo_feed_end(stream->feed, code, text);
    stream->work->free(stream->opaque);
    g_mutex_lock(&feeds->lock);
    feeds->n--;
    g_cond_broadcast(&feeds->ended);
    g_mutex_unlock(&feeds->lock);
    return NULL;
}

/* The driver's end; NULL: the call has failed. */
static VireoFeed *open_feed(VireoFeeds *feeds, const struct vireo_host *host, struct vireo_call *call, int how)
{
    g_autoptr(GError) error = NULL;
    int core;

    if (host->abi_minor < 1) {
        host->fail(call, VIREO_ERR_NO_SUPPORT, "this daemon is too old for it: its ABI has to be 1.1");
        return NULL;
    }
    VireoFeed *feed = vireo_feed_new(feeds->stop, &core, &error);
    if (!feed)
        host->fail(call, VIREO_ERR_SYSTEM_ERROR, "%s", error->message);
    else if (host->stream(call, core, how | VIREO_STREAM_CONFIRM, 0, 0) != VIREO_OK) {
        close(core);
        vireo_feed_end(g_steal_pointer(&feed), 0, NULL);
    }
    return feed;
}

int vireo_feeds_start(VireoFeeds *feeds, const struct vireo_host *host, struct vireo_call *call, int how,
                      const VireoFeedWork *work, void *opaque)
{
    VireoFeed *feed = open_feed(feeds, host, call, how);

    if (!feed) {
        work->free(opaque);
        return VIREO_FAIL;
    }
    Stream *stream = g_new(Stream, 1);
    *stream = (Stream){feeds, feed, work, opaque};
    g_mutex_lock(&feeds->lock);
    feeds->n++;
    g_mutex_unlock(&feeds->lock);
    g_thread_unref(g_thread_new(feeds->name, run, stream));
    return VIREO_OK;
}
