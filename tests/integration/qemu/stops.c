/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loaded into the daemon by tests (LD_PRELOAD): counts what it does to files below a directory, the
 * programs it starts and the commands it gives QEMU. At one of these it stands still until the test has
 * done its worst, or is told that it failed. See stoptest.py, which shares the structure below. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NAMES 400
#define NAME 160

enum { RENAME = 1, UNLINK = 2, START = 4, COMMAND = 8, CREATE = 16, WRITE = 32, SYNC = 64 };

typedef struct {
    atomic_uint armed;   /* a sum of the kinds above; 0: nothing is counted */
    atomic_uint count;   /* so far */
    atomic_uint at;      /* where to stand still, from 1 */
    atomic_uint failure; /* errno of what does not happen there; 0: it happens, after go */
    atomic_uint reached, go;
    char below[NAME];
    char names[NAMES][NAME];
} Stops;

static Stops *stops;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("VIREO_TEST_STOPS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(Stops), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    if (at != MAP_FAILED)
        stops = at;
}

/* errno for the caller, or 0: go on. */
static int pass(unsigned kind, const char *what, const char *path)
{
    if (!stops || !(atomic_load(&stops->armed) & kind))
        return 0;
    if (kind & (RENAME | UNLINK | CREATE | WRITE | SYNC) && (!path || strncmp(path, stops->below, strlen(stops->below))))
        return 0;
    unsigned number = atomic_fetch_add(&stops->count, 1) + 1;
    if (number <= NAMES)
        snprintf(stops->names[number - 1], NAME, "%s %s", what, path);
    if (number != atomic_load(&stops->at))
        return 0;
    int failure = (int)atomic_load(&stops->failure);
    atomic_store(&stops->reached, 1);
    while (!failure && !atomic_load(&stops->go))
        usleep(500);
    return failure;
}

/* They take the place of the C library's. */
#pragma GCC visibility push(default)

#define REAL(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)
#define FAIL_AT(kind, what, path)                                                                  \
    do {                                                                                           \
        int failed = pass(kind, what, path);                                                       \
        if (failed) {                                                                              \
            errno = failed;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

static const char *path_of(int fd, char *name)
{
    char link[40];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, name, 4095);
    name[len < 0 ? 0 : len] = 0;
    return name;
}

int rename(const char *from, const char *to)
{
    FAIL_AT(RENAME, "rename", to);
    return REAL(rename, from, to);
}

int unlink(const char *path)
{
    FAIL_AT(UNLINK, "unlink", path);
    return REAL(unlink, path);
}

pid_t fork(void)
{
    FAIL_AT(START, "start", "a program");
    pid_t pid = REAL(fork);
    /* Once more while it runs. */
    if (pid > 0)
        pass(START, "wait for", "a program");
    return pid;
}

static int open_file(const char *name, const char *path, int flags, mode_t mode)
{
    if (flags & O_CREAT)
        FAIL_AT(CREATE, "create", path);
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name))(path, flags, mode);
}

static mode_t mode_of(int flags, va_list list)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode_t mode = mode_of(flags, list);                                                        \
        va_end(list);                                                                              \
        return open_file(#name, path, flags, mode);                                                \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *data, size_t len)
{
    char name[4096];

    if (stops && atomic_load(&stops->armed) & WRITE)
        FAIL_AT(WRITE, "write", path_of(fd, name));
    return REAL(write, fd, data, len);
}

int fsync(int fd)
{
    char name[4096];

    if (stops && atomic_load(&stops->armed) & SYNC)
        FAIL_AT(SYNC, "sync", path_of(fd, name));
    return REAL(fsync, fd);
}

/* What is sent to QEMU's monitor, the command's name if it can be found. */
static void tell_command(int fd, const char *text, size_t len)
{
    struct sockaddr_un address = { 0 };
    socklen_t size = sizeof address;
    char what[120] = "";

    if (!stops || !(atomic_load(&stops->armed) & COMMAND) ||
        getpeername(fd, (struct sockaddr *)&address, &size) < 0 || address.sun_family != AF_UNIX ||
        !strstr(address.sun_path, ".qmp"))
        return;
    const char *found = memmem(text, len, "\"execute\"", 9);
    if (found)
        snprintf(what, sizeof what, "%.*s", (int)(len - (size_t)(found - text) < 60 ? len - (size_t)(found - text) : 60),
                 found + 10);
    /* Questions change nothing. */
    if (found && !strncmp(what, "\"query-", 7))
        return;
    pass(COMMAND, "command", what);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    tell_command(fd, data, len);
    return REAL(send, fd, data, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (message->msg_iovlen)
        tell_command(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
    return REAL(sendmsg, fd, message, flags);
}
