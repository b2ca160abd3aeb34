/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "ops/codec.h"

struct Fake {
    char *folder, *path;
    int listener;
    void (*serve)(int fd);
    GThread *thread;
};

static gpointer run(gpointer data)
{
    Fake *fake = data;
    int fd = accept(fake->listener, NULL, NULL);

    g_assert_cmpint(fd, >=, 0);
    fake->serve(fd);
    close(fd);
    return NULL;
}

Fake *fake_new(void (*serve)(int fd))
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    Fake *fake = g_new0(Fake, 1);

    fake->folder = g_dir_make_tmp("vireo-lib-XXXXXX", NULL);
    fake->path = g_build_filename(fake->folder, "sock", NULL);
    g_strlcpy(address.sun_path, fake->path, sizeof(address.sun_path));
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_no_errno(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)));
    g_assert_no_errno(listen(fake->listener, 5));
    fake->serve = serve;
    fake->thread = g_thread_new("fake", run, fake);
    return fake;
}

const char *fake_socket(Fake *fake)
{
    return fake->path;
}

void fake_free(Fake *fake)
{
    g_thread_join(fake->thread);
    close(fake->listener);
    g_unlink(fake->path);
    g_rmdir(fake->folder);
    g_free(fake->path);
    g_free(fake->folder);
    g_free(fake);
}

static gboolean read_exactly(int fd, void *data, gsize size)
{
    for (gsize have = 0; have < size;) {
        gssize n = read(fd, (char *)data + have, size - have);

        if (n <= 0)
            return FALSE;
        have += n;
    }
    return TRUE;
}

static guint32 word(const guint32 *at)
{
    return GUINT32_FROM_BE(*at);
}

gboolean fake_read(int fd, FakePacket *packet)
{
    guint32 head[7];

    if (!read_exactly(fd, head, sizeof(head)))
        return FALSE;
    g_assert_cmpuint(word(&head[2]), ==, 1);
    packet->program = word(&head[1]);
    packet->proc = word(&head[3]);
    packet->type = word(&head[4]);
    packet->serial = word(&head[5]);
    packet->status = word(&head[6]);
    packet->size = word(&head[0]) - sizeof(head);
    packet->payload = g_malloc(packet->size + 1);
    return read_exactly(fd, packet->payload, packet->size);
}

void fake_send(int fd, guint32 program, guint32 proc, guint32 type, guint32 serial, guint32 status,
               const void *payload, gsize size)
{
    guint32 head[7] = { size + sizeof(head), program, 1, proc, type, serial, status };

    for (guint i = 0; i < G_N_ELEMENTS(head); i++)
        head[i] = GUINT32_TO_BE(head[i]);
    g_assert_cmpint(send(fd, head, sizeof(head), MSG_NOSIGNAL), ==, sizeof(head));
    if (size)
        g_assert_cmpint(send(fd, payload, size, MSG_NOSIGNAL), ==, (gssize)size);
}

void fake_send_struct(int fd, const FakePacket *call, guint32 type, guint32 status,
                      const VireoWireType *kind, gconstpointer value)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    g_assert_true(vireo_wire_encode(kind, value, bytes, NULL));
    fake_send(fd, call->program, call->proc, type, call->serial, status, bytes->data, bytes->len);
}

static const VireoOp *op_of(const FakePacket *packet)
{
    VireoProgram program;

    g_assert_true(vireo_program_find(packet->program, 1, &program));
    return vireo_op_by_proc(program, (gint32)packet->proc);
}

void fake_reply(int fd, const FakePacket *call, gconstpointer ret)
{
    fake_send_struct(fd, call, 1, 0, op_of(call)->ret, ret);
}

void fake_error(int fd, const FakePacket *call, int code, int domain, const char *message)
{
    extern const VireoWireType vireo_type_error;
    vireo_error error = { .code = code, .domain = domain, .message = (char *)message, .level = 2,
                          .str1 = (char *)"%s", .int1 = -1, .int2 = -1 };

    fake_send_struct(fd, call, call->type == 3 ? 3 : 1, 1, &vireo_type_error, &error);
}

void fake_expect(int fd, FakePacket *packet, guint32 op, VireoArena *arena, gpointer args)
{
    const VireoOp *wanted = vireo_op_by_id(op);

    g_assert_true(fake_read(fd, packet));
    g_assert_cmpstr(op_of(packet)->name, ==, wanted->name);
    g_assert_cmpuint(packet->status, ==, 0);
    if (args)
        g_assert_true(vireo_wire_decode(wanted->args, packet->payload, packet->size, arena, args, NULL,
                                        NULL));
    g_free(packet->payload);
    packet->payload = NULL;
}

void fake_welcome(int fd)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gint32 none = VIREO_AUTH_NONE;
    vireo_auth_list_ret types = { .types = { 1, &none } };
    vireo_connect_open_args open = { 0 };
    vireo_connect_get_uri_ret uri = { .uri = (char *)"test:///default" };
    FakePacket call;

    fake_expect(fd, &call, VIREO_OP_auth_list, NULL, NULL);
    g_assert_cmpuint(call.serial, ==, 0);
    fake_reply(fd, &call, &types);
    fake_expect(fd, &call, VIREO_OP_connect_open, arena, &open);
    g_assert_cmpstr(open.name, ==, "test:///default");
    fake_reply(fd, &call, NULL);
    fake_expect(fd, &call, VIREO_OP_connect_get_uri, NULL, NULL);
    fake_reply(fd, &call, &uri);
}

int fake_receive_fd(int fd)
{
    char byte;
    struct iovec iov = { &byte, 1 };
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof(control.space) };
    int got;

    g_assert_cmpint(recvmsg(fd, &message, 0), ==, 1);
    g_assert_nonnull(CMSG_FIRSTHDR(&message));
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(got));
    return got;
}

void fake_send_fd(int fd, int what)
{
    char byte = 0;
    struct iovec iov = { &byte, 1 };
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof(control.space) };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &what, sizeof(what));
    g_assert_cmpint(sendmsg(fd, &message, MSG_NOSIGNAL), ==, 1);
}
