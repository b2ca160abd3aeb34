/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SYNC_S 5
#define ANSWER_MAX (16u * 1024 * 1024)
#define STEP_MS 100
#define DELIMITER '\xff'

/* One conversation. */
typedef struct {
    QemuDomain *dom;
    vireo_call *call;
    int fd;
    gint64 deadline; /* monotonic microseconds; 0: none */
    GString *input;
} Talk;

static void talk_clear(Talk *talk)
{
    if (talk->fd >= 0)
        close(talk->fd);
    if (talk->input)
        g_string_free(talk->input, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Talk, talk_clear)

static void set_time(Talk *talk, int seconds)
{
    talk->deadline = seconds < 0 ? 0 : g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
}

static gboolean silent(Talk *talk, GError **error)
{
    const struct vireo_host *host = talk->dom->space->driver->host;

    if (talk->call && host->cancelled(talk->call)) {
        qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "the request was cancelled");
        return TRUE;
    }
    if (!talk->deadline || g_get_monotonic_time() < talk->deadline)
        return FALSE;
    qemu_error(error, VIREO_ERR_AGENT_UNRESPONSIVE,
               "the agent in guest '%s' does not answer (is it installed and running?)",
               talk->dom->name);
    return TRUE;
}

/* Waits until the socket is ready; FALSE with error when the time is over. */
static gboolean ready(Talk *talk, short events, GError **error)
{
    struct pollfd item = { talk->fd, events, 0 };

    for (;;) {
        int found = poll(&item, 1, STEP_MS);

        if (found > 0)
            return TRUE;
        if (silent(talk, error))
            return FALSE;
    }
}

static gboolean closed(Talk *talk, GError **error)
{
    qemu_error(error, VIREO_ERR_AGENT_UNRESPONSIVE, "the channel to the agent of guest '%s' ended",
               talk->dom->name);
    return FALSE;
}

static gboolean send_text(Talk *talk, const char *text, gsize len, GError **error)
{
    while (len) {
        ssize_t sent = send(talk->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent > 0) {
            text += sent;
            len -= (gsize)sent;
        } else if (errno != EAGAIN && errno != EINTR) {
            return closed(talk, error);
        } else if (!ready(talk, POLLOUT, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* The next line the agent wrote; what it wrote before a delimiter belongs to an earlier talk. */
static char *read_line(Talk *talk, GError **error)
{
    char buffer[4096];

    for (;;) {
        char *end = memchr(talk->input->str, '\n', talk->input->len);

        if (end) {
            gsize len = (gsize)(end - talk->input->str);
            const char *from = memrchr(talk->input->str, DELIMITER, len);
            from = from ? from + 1 : talk->input->str;
            char *line = g_strndup(from, (gsize)(end - from));
            g_string_erase(talk->input, 0, (gssize)len + 1);
            return line;
        }
        if (talk->input->len > ANSWER_MAX) {
            qemu_error(error, VIREO_ERR_AGENT_UNSYNCED, "the agent's answer has no end");
            return NULL;
        }
        if (!ready(talk, POLLIN, error))
            return NULL;
        ssize_t got = recv(talk->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got > 0) {
            g_string_append_len(talk->input, buffer, got);
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            closed(talk, error);
            return NULL;
        }
    }
}

/* An earlier talk may have ended in the middle: only what follows our own number counts. */
static gboolean synchronise(Talk *talk, GError **error)
{
    gint64 number = g_random_int_range(1, G_MAXINT32);
    g_autofree char *text =
        g_strdup_printf("%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" G_GINT64_FORMAT
                        "}}\n", DELIMITER, number);

    if (!send_text(talk, text, strlen(text), error))
        return FALSE;
    for (;;) {
        g_autofree char *line = read_line(talk, error);
        g_autoptr(JsonObject) answer = line ? vireo_json_parse(line, -1, NULL) : NULL;

        if (!line)
            return FALSE;
        if (vireo_json_int(answer, "return", -1) == number)
            return TRUE;
    }
}

static JsonObject *ask(Talk *talk, const char *text, GError **error)
{
    if (!send_text(talk, text, strlen(text), error) || !send_text(talk, "\n", 1, error))
        return NULL;
    for (;;) {
        g_autofree char *line = read_line(talk, error);
        g_autoptr(JsonObject) answer = line ? vireo_json_parse(line, -1, NULL) : NULL;

        if (!line)
            return NULL;
        if (vireo_json_object(answer, "error")) {
            qemu_error(error, VIREO_ERR_AGENT_COMMAND_FAILED, "the agent says: %s",
                       vireo_json_string(vireo_json_object(answer, "error"), "desc"));
            return NULL;
        }
        if (answer && json_object_has_member(answer, "return"))
            return g_steal_pointer(&answer);
    }
}

/* ---- the channel --------------------------------------------------------------- */

static const VireoDomainChardev *find_channel(QemuDomain *dom, const QemuDef *live, GError **error)
{
    if (!live) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
        return NULL;
    }
    VEC_EACH(live->doc->devices->channels, i)
    {
        const VireoDomainChardev *channel = live->doc->devices->channels.items[i];

        if (channel->type == VIREO_DOMAIN_CHARDEV_TYPE_UNIX && channel->target &&
            !g_strcmp0(channel->target->name, QEMU_AGENT_CHANNEL) && channel->sources.n)
            return channel;
    }
    qemu_error(error, VIREO_ERR_ARGUMENT_UNSUPPORTED,
               "domain '%s' has no channel '" QEMU_AGENT_CHANNEL "' for an agent", dom->name);
    return NULL;
}

static char *channel_path(QemuDomain *dom, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    const VireoDomainChardev *channel = find_channel(dom, live, error);

    return channel ? g_strdup(channel->sources.items[0]->path) : NULL;
}

gboolean qemu_agent_connected(QemuDomain *dom, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    const VireoDomainChardev *channel = find_channel(dom, live, error);

    if (!channel)
        return FALSE;
    g_mutex_lock(&dom->lock);
    gboolean changes = !g_queue_is_empty(&dom->ports);
    g_mutex_unlock(&dom->lock);
    if (channel->target->state != VIREO_DOMAIN_CHANNEL_STATE_DISCONNECTED || changes ||
        channel->sources.items[0]->mode == VIREO_DOMAIN_CHARDEV_MODE_CONNECT) /* it need not be in the guest */
        return TRUE;
    qemu_error(error, VIREO_ERR_AGENT_UNRESPONSIVE,
               "the agent in guest '%s' is not connected (is it installed and running?)", dom->name);
    return FALSE;
}

static gboolean open_channel(Talk *talk, GError **error)
{
    g_autofree char *path = channel_path(talk->dom, error);
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (!path)
        return FALSE;
    g_mutex_lock(&talk->dom->lock);
    gboolean running = talk->dom->state == VIREO_DOMAIN_RUNNING;
    g_mutex_unlock(&talk->dom->lock);
    if (!running) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   "guest '%s' does not run now: its agent cannot answer", talk->dom->name);
        return FALSE;
    }
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (talk->fd >= 0 && connect(talk->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_AGENT_UNRESPONSIVE,
               "the channel to the agent of guest '%s' cannot be used: %s", talk->dom->name,
               g_strerror(errno));
    return FALSE;
}

static gboolean my_turn(Talk *talk, GError **error)
{
    while (!g_mutex_trylock(&talk->dom->agent)) {
        if (silent(talk, error))
            return FALSE;
        g_usleep(STEP_MS * 1000 / 4);
    }
    return TRUE;
}

JsonObject *qemu_agent_command(QemuDomain *dom, vireo_call *call, const char *text, int seconds,
                               GError **error)
{
    g_auto(Talk) talk = { .dom = dom, .call = call, .fd = -1 };
    JsonObject *answer = NULL;

    talk.input = g_string_new(NULL);
    set_time(&talk, seconds < 0 ? seconds : SYNC_S + seconds);
    if (!my_turn(&talk, error))
        return NULL;
    set_time(&talk, SYNC_S);
    if (open_channel(&talk, error) && synchronise(&talk, error)) {
        set_time(&talk, seconds);
        answer = ask(&talk, text, error);
    }
    g_mutex_unlock(&dom->agent);
    return answer;
}
