/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest shows: console, screen, memory. The console echoes; what is typed stays in the
 * guest's memory, and each whole line is written to the end of every writable disk. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAM_MOST (64u * 1024)

/* Lives on the I/O thread; dom is guarded by the node's lock, NULL once the guest has gone. */
typedef struct TestConsole {
    TestNode *node;
    TestDomain *dom;
    int fd;
    guint64 watch;
    GString *line;
} TestConsole;

static void console_free(TestConsole *console)
{
    close(console->fd);
    g_string_free(console->line, TRUE);
    test_node_unref(console->node);
    g_free(console);
}

/* The I/O thread sees the end of the stream and does the rest. */
void test_console_close(TestDomain *dom)
{
    TestConsole *console = dom->extra ? dom->extra->console : NULL;

    if (!console)
        return;
    dom->extra->console = NULL;
    console->dom = NULL;
    shutdown(console->fd, SHUT_RDWR);
}

static void write_line(TestDomain *dom, const GString *line)
{
    g_autoptr(VireoDomain) doc = test_domain_document(dom);

    for (guint i = 0; doc->devices && i < doc->devices->disks.n; i++) {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        g_autoptr(GByteArray) all = NULL;
        GBytes *old;

        if (!test_disk_has_data(disk))
            continue;
        all = g_byte_array_new();
        old = g_hash_table_lookup(dom->node->images, test_disk_path(disk));
        if (old)
            g_byte_array_append(all, g_bytes_get_data(old, NULL), (guint)g_bytes_get_size(old));
        if (all->len + line->len <= RAM_MOST)
            g_byte_array_append(all, (const guint8 *)line->str, (guint)line->len);
        g_hash_table_insert(dom->node->images, g_strdup(test_disk_path(disk)),
                            g_byte_array_free_to_bytes(g_steal_pointer(&all)));
    }
}

static void typed(TestConsole *console, const char *text, gsize len)
{
    TestDomain *dom = console->dom;
    gsize have = dom->guest.ram ? strlen(dom->guest.ram) : 0;

    if (have + len <= RAM_MOST) {
        dom->guest.ram = g_realloc(dom->guest.ram, have + len + 1);
        memcpy(dom->guest.ram + have, text, len);
        dom->guest.ram[have + len] = '\0';
    }
    for (gsize i = 0; i < len; i++) {
        g_string_append_c(console->line, text[i]);
        if (text[i] != '\n' && console->line->len < RAM_MOST)
            continue;
        write_line(dom, console->line);
        g_string_truncate(console->line, 0);
    }
}

/* FALSE: the stream is over. */
static gboolean console_turn(TestConsole *console)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&console->node->lock);
    char text[4096];
    ssize_t n = recv(console->fd, text, sizeof text, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return TRUE;
    if (n <= 0 || !console->dom) {
        if (console->dom)
            console->dom->extra->console = NULL;
        return FALSE;
    }
    for (ssize_t i = 0; i < n; i++) /* memory is kept as a string */
        text[i] = text[i] ? text[i] : ' ';
    if (console->dom->state != VIREO_DOMAIN_RUNNING)
        return TRUE;
    typed(console, text, (gsize)n);
    if (send(console->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return errno == EAGAIN; /* a client that does not read loses its echo */
    return TRUE;
}

static void console_event(int fd, int events, void *opaque)
{
    TestConsole *console = opaque;
    gboolean ours;
    guint64 watch;

    (void)fd;
    (void)events;
    if (console_turn(console))
        return;
    g_mutex_lock(&test->lock);
    ours = g_ptr_array_remove_fast(test->consoles, console);
    watch = console->watch;
    g_mutex_unlock(&test->lock);
    if (!ours) /* test_consoles_end has it, and waits for us to return */
        return;
    test->host->unwatch(test->core, watch);
    console_free(console);
}

/* At the end of the driver, when nothing else runs. */
void test_consoles_end(void)
{
    for (;;) {
        TestConsole *console;
        guint64 watch;

        g_mutex_lock(&test->lock);
        console = test->consoles->len ? g_ptr_array_steal_index_fast(test->consoles, 0) : NULL;
        watch = console ? console->watch : 0;
        g_mutex_unlock(&test->lock);
        if (!console)
            return;
        test->host->unwatch(test->core, watch);
        console_free(console);
    }
}

static int console_open(TestDomain *dom, vireo_call *call)
{
    TestConsole *console;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return FAIL(call, VIREO_ERR_SYSTEM_ERROR, "socketpair: %s", g_strerror(errno));
    if (test->host->stream(call, ends[1], VIREO_STREAM_FROM_FD | VIREO_STREAM_TO_FD, 0, 0) != 0) {
        close(ends[0]);
        return VIREO_FAIL;
    }
    console = g_new0(TestConsole, 1);
    console->node = test_node_ref(dom->node);
    console->dom = dom;
    console->fd = ends[0];
    console->line = g_string_new(NULL);
    test_domain_extra(dom)->console = console;
    g_mutex_lock(&test->lock); /* the watch may fire before its number is known */
    g_ptr_array_add(test->consoles, console);
    console->watch = test->host->watch(test->core, ends[0], VIREO_WATCH_IN | VIREO_WATCH_HANGUP,
                                       console_event, console);
    g_mutex_unlock(&test->lock);
    return VIREO_OK;
}

int test_domain_open_console(TestConn *conn, vireo_call *call,
                             const vireo_domain_open_console_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (dom->extra && dom->extra->console) {
        if (!(args->flags & VIREO_DOMAIN_CONSOLE_FORCE))
            return FAIL(call, VIREO_ERR_OPERATION_FAILED,
                        "somebody uses the console of domain '%s' (flag FORCE ends that)",
                        dom->name);
        test_console_close(dom);
    }
    return console_open(dom, call);
}

/* ---- the screen -------------------------------------------------------------------------------
 */

#define SCREEN 32

int test_domain_screenshot(TestConn *conn, vireo_call *call,
                           const vireo_domain_screenshot_args *args,
                           vireo_domain_screenshot_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(GString) image = g_string_new(NULL);
    int fd;

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (args->screen != 0)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "there is one screen, number 0");
    g_string_append_printf(image, "P6 %d %d 255\n", SCREEN, SCREEN);
    for (int i = 0; i < SCREEN * SCREEN; i++) {
        char pixel[3] = {(char)dom->guest.boots, (char)(i / SCREEN * 8), (char)(i % SCREEN * 8)};

        g_string_append_len(image, pixel, sizeof pixel);
    }
    fd = memfd_create("screenshot", MFD_CLOEXEC);
    if (fd < 0 || write(fd, image->str, image->len) != (ssize_t)image->len ||
        lseek(fd, 0, SEEK_SET) != 0) {
        if (fd >= 0)
            close(fd);
        return FAIL(call, VIREO_ERR_SYSTEM_ERROR, "cannot keep the image: %s", g_strerror(errno));
    }
    ret->mime = DUP(call, "image/x-portable-pixmap");
    return test->host->stream(call, fd, VIREO_STREAM_FROM_FD, 0, 0) == 0 ? VIREO_OK : VIREO_FAIL;
}

/* ---- graphics: a greeting, then the end -------------------------------------------------------
 */

static const char greeting[] = "RFB 003.008\n";

static int need_graphics(TestDomain *dom, vireo_call *call, guint idx)
{
    g_autoptr(VireoDomain) doc = NULL;

    if (test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    doc = test_domain_document(dom);
    if (doc->devices && idx < doc->devices->graphics.n)
        return VIREO_OK;
    return FAIL(call, VIREO_ERR_INVALID_ARG, "domain '%s' has no graphics number %u", dom->name,
                idx);
}

int test_domain_open_graphics(TestConn *conn, vireo_call *call,
                              const vireo_domain_open_graphics_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    uint32_t n = 0;
    const int *fds = test->host->fds(call, &n);

    if (!dom || need_graphics(dom, call, args->idx) != VIREO_OK)
        return VIREO_FAIL;
    if (n != 1)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "%u descriptors came: expected one", n);
    if (send(fds[0], greeting, sizeof greeting - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return FAIL(call, VIREO_ERR_SYSTEM_ERROR, "the descriptor is no stream socket: %s",
                    g_strerror(errno));
    return VIREO_OK;
}

int test_domain_open_graphics_fd(TestConn *conn, vireo_call *call,
                                 const vireo_domain_open_graphics_fd_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    int ends[2];

    if (!dom || need_graphics(dom, call, args->idx) != VIREO_OK)
        return VIREO_FAIL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return FAIL(call, VIREO_ERR_SYSTEM_ERROR, "socketpair: %s", g_strerror(errno));
    (void)!send(ends[0], greeting, sizeof greeting - 1, MSG_NOSIGNAL);
    close(ends[0]);
    test->host->reply_fd(call, ends[1]);
    return VIREO_OK;
}

int test_domain_fd_associate(TestConn *conn, vireo_call *call,
                             const vireo_domain_fd_associate_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    TestExtra *extra;
    uint32_t n = 0;

    test->host->fds(call, &n);
    if (!dom)
        return VIREO_FAIL;
    if (n == 0)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "no descriptor came with the call");
    extra = test_domain_extra(dom);
    if (!extra->fds)
        extra->fds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_replace(extra->fds, g_strdup(args->name), GUINT_TO_POINTER(n));
    return VIREO_OK;
}

/* ---- looking into it --------------------------------------------------------------------------
 */

static void *peek(vireo_call *call, const void *data, gsize have, guint64 offset, guint size)
{
    guint8 *buffer = NEW(call, guint8, (gsize)size + 1);

    if (offset < have)
        memcpy(buffer, (const guint8 *)data + offset, MIN(have - offset, size));
    return buffer;
}

int test_domain_memory_peek(TestConn *conn, vireo_call *call,
                            const vireo_domain_memory_peek_args *args,
                            vireo_domain_memory_peek_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (args->size > VIREO_LIMIT_DOMAIN_MEMORY_PEEK_BUFFER_MAX)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "%u bytes are too many", args->size);
    ret->buffer.val = peek(call, dom->guest.ram, dom->guest.ram ? strlen(dom->guest.ram) : 0,
                           args->offset, args->size);
    ret->buffer.len = args->size;
    return VIREO_OK;
}

int test_domain_block_peek(TestConn *conn, vireo_call *call,
                           const vireo_domain_block_peek_args *args,
                           vireo_domain_block_peek_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_document(dom) : NULL;
    VireoDomainDisk *disk = doc ? test_disk_find(doc, args->path) : NULL;
    const char *path = disk ? test_disk_path(disk) : NULL;
    GBytes *content;

    if (!dom)
        return VIREO_FAIL;
    if (!path)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "the domain has no disk '%s' with an image",
                    args->path);
    if (args->size > VIREO_LIMIT_DOMAIN_BLOCK_PEEK_BUFFER_MAX)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "%u bytes are too many", args->size);
    content = g_hash_table_lookup(node->images, path);
    ret->buffer.val = peek(call, content ? g_bytes_get_data(content, NULL) : NULL,
                           content ? g_bytes_get_size(content) : 0, args->offset, args->size);
    ret->buffer.len = args->size;
    return VIREO_OK;
}
