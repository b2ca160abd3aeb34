/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vireo-lxc-run: what liblxc must do in a process of one thread. It ends with 0, or with 1 and the reason on
 * standard output. Options and commands: vireo-lxc-run --help. */
#include "helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/magic.h>
#include <lxc/lxccontainer.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EXEC_WAIT_MS 10000

static const char usage[] =
    "usage: vireo-lxc-run start DIRECTORY NAME INIT [ARGUMENT...]\n"
    "       vireo-lxc-run find DIRECTORY NAME\n"
    "       vireo-lxc-run checkpoint|restore DIRECTORY NAME IMAGES\n"
    "       vireo-lxc-run console DIRECTORY NAME TTY\n"
    "       vireo-lxc-run addresses DIRECTORY NAME PID\n"
    "       vireo-lxc-run add-node|remove-node DIRECTORY NAME PID PATH DEVICE\n"
    "       vireo-lxc-run set-group DIRECTORY NAME FILE VALUE\n"
    "       vireo-lxc-run add-net|remove-net|set-net DIRECTORY NAME PID KEY=VALUE...\n"
    "\n"
    "The part of the lxc driver of vireod that works with liblxc. DIRECTORY/NAME/config is a container's\n"
    "configuration, DIRECTORY/NAME/log what liblxc says. Not meant to be run by hand.\n";

/* The reason that liblxc wrote last of all, without what only developers read:
 * "lxc NAME TIME ERROR    file - ../src/file.c:function:123 - REASON" */
static int fail_logged(const char *dir, const char *name, const char *what)
{
    char path[PATH_MAX], line[2048], reason[2048] = "";
    FILE *log;

    snprintf(path, sizeof path, "%s/%s/log", dir, name);
    log = fopen(path, "re");
    while (log && fgets(line, sizeof line, log)) {
        const char *at = strstr(line, " ERROR ");

        for (int i = 0; at && i < 2; i++)
            at = (at = strstr(at, " - ")) ? at + 3 : NULL;
        /* The first is the cause, the others are who passed it on. */
        if (at && !*reason && !strstr(at, "Failed to receive response"))
            snprintf(reason, sizeof reason, "%s", at);
    }
    if (log)
        fclose(log);
    reason[strcspn(reason, "\n")] = '\0';
    printf("%s: %s\n", what, *reason ? reason : "liblxc gives no reason");
    return 1;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[256];
    int parent = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "PPid: %d", &parent) == 1)
            break;
    if (file)
        fclose(file);
    return parent;
}

/* Until the container's first process has become its init; 0 when it ended instead. */
static int await_init(pid_t pid)
{
    char path[64], own[PATH_MAX], exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);

    own[n > 0 ? n : 0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    for (int waited = 0; waited < EXEC_WAIT_MS; waited++) {
        n = readlink(path, exe, sizeof exe - 1);
        if (n <= 0)
            return 0;
        exe[n] = '\0';
        if (strcmp(exe, own) != 0)
            return 1;
        usleep(1000);
    }
    return 0;
}

/* "PID MONITOR" */
static int started(struct lxc_container *c, const char *dir, const char *name, const char *what)
{
    pid_t pid = c->init_pid(c), monitor = pid > 0 ? parent_of(pid) : 0;

    if (pid <= 0 || monitor <= 1 || !await_init(pid))
        return fail_logged(dir, name, what);
    printf("%d %d\n", (int)pid, (int)monitor);
    return 0;
}

/* Version 2 has no processes in a group that hands controllers on to those below it: where it is the only one, the
 * daemon's group is left before liblxc begins. */
static void leave_group(void)
{
    struct statfs info;
    int fd = statfs("/sys/fs/cgroup", &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC
                 ? open("/sys/fs/cgroup/cgroup.procs", O_WRONLY | O_CLOEXEC)
                 : -1;

    /* Where that may not be, liblxc says what it misses. */
    if (fd >= 0 && write(fd, "0", 1) < 0)
        errno = 0;
    if (fd >= 0)
        close(fd);
}

static int do_start(struct lxc_container *c, const char *dir, const char *name, char **init)
{
    leave_group();
    if (!c->want_daemonize(c, true) || !c->want_close_all_fds(c, true) || !c->start(c, 0, init))
        return fail_logged(dir, name, "the container does not start");
    return started(c, dir, name, "the container's init does not start");
}

/* ---- memory ------------------------------------------------------------------------ */

static int do_checkpoint(struct lxc_container *c, const char *dir, const char *name, char *images)
{
    int status = helper_checkpoint(c, images);

    return status < 0 ? fail_logged(dir, name, "the container is not saved") : status;
}

static int do_restore(struct lxc_container *c, const char *dir, const char *name, char *images)
{
    leave_group();
    int status = helper_restore(c, images);

    if (status)
        return status < 0 ? fail_logged(dir, name, "the container is not restored") : status;
    return started(c, dir, name, "the restored container does not run");
}

/* ---- consoles ------------------------------------------------------------------ */

typedef struct {
    char bytes[4096];
    size_t begin, end;
} Way;

/* Moves what can be moved without waiting; 0 at the end. */
static int move(Way *way, int from, int to, short can_read, short can_write)
{
    if (can_read && way->begin == way->end) {
        ssize_t n = read(from, way->bytes, sizeof way->bytes);

        if (n <= 0 && errno != EAGAIN && errno != EINTR)
            return 0;
        if (n == 0)
            return 0;
        way->begin = 0;
        way->end = n > 0 ? (size_t)n : 0;
    }
    if (can_write && way->begin < way->end) {
        ssize_t n = write(to, way->bytes + way->begin, way->end - way->begin);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return 0;
        way->begin += n > 0 ? (size_t)n : 0;
    }
    return 1;
}

static void relay(int client, int terminal)
{
    Way in = { .begin = 0 }, out = { .begin = 0 };

    fcntl(client, F_SETFL, fcntl(client, F_GETFL) | O_NONBLOCK);
    fcntl(terminal, F_SETFL, fcntl(terminal, F_GETFL) | O_NONBLOCK);
    for (;;) {
        struct pollfd fds[] = { { .fd = client }, { .fd = terminal } };

        fds[0].events = (short)((in.begin == in.end ? POLLIN : 0) | (out.begin < out.end ? POLLOUT : 0));
        fds[1].events = (short)((out.begin == out.end ? POLLIN : 0) | (in.begin < in.end ? POLLOUT : 0));
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        short gone = POLLHUP | POLLERR;
        if (!move(&in, client, terminal, fds[0].revents & (POLLIN | gone), fds[1].revents & POLLOUT) ||
            !move(&out, terminal, client, fds[1].revents & (POLLIN | gone), fds[0].revents & POLLOUT))
            return;
    }
}

static int do_console(struct lxc_container *c, const char *text)
{
    int tty = atoi(text), terminal = -1;
    /* What keeps others from it as long as it is open. */
    int held = c->console_getfd(c, &tty, &terminal);

    if (held < 0) {
        printf("terminal %s cannot be had\n", text);
        return 1;
    }
    printf("ok\n");
    fflush(stdout);
    relay(STDIN_FILENO, terminal);
    return 0;
}

/* ---- the container's interfaces -------------------------------------------------- */

static int bits_of(const struct sockaddr *mask, size_t offset, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)mask + offset;
    int bits = 0;

    for (size_t i = 0; mask && i < size; i++)
        bits += __builtin_popcount(bytes[i]);
    return bits;
}

static void print_address(const struct ifaddrs *at)
{
    int six = at->ifa_addr->sa_family == AF_INET6;
    size_t offset = six ? offsetof(struct sockaddr_in6, sin6_addr) : offsetof(struct sockaddr_in, sin_addr);
    char text[INET6_ADDRSTRLEN], address[18];
    struct ifreq request = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const unsigned char *mac = (const unsigned char *)request.ifr_hwaddr.sa_data;

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", at->ifa_name);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        memset(&request.ifr_hwaddr, 0, sizeof request.ifr_hwaddr);
    if (fd >= 0)
        close(fd);
    snprintf(address, sizeof address, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    inet_ntop(at->ifa_addr->sa_family, (const char *)at->ifa_addr + offset, text, sizeof text);
    printf("%s %s %s %d\n", at->ifa_name, address, text, bits_of(at->ifa_netmask, offset, six ? 16 : 4));
}

static int do_addresses(const char *pid)
{
    struct ifaddrs *all, *at, *other;
    char path[64];

    snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0 || getifaddrs(&all) < 0) {
        printf("%s: %s\n", path, strerror(errno));
        return 1;
    }
    /* Those of one interface one after the other. */
    for (at = all; at; at = at->ifa_next) {
        for (other = all; other != at && strcmp(other->ifa_name, at->ifa_name) != 0;)
            other = other->ifa_next;
        for (struct ifaddrs *one = all; other == at && one; one = one->ifa_next)
            if (one->ifa_addr && strcmp(one->ifa_name, at->ifa_name) == 0 &&
                (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6))
                print_address(one);
    }
    freeifaddrs(all);
    return 0;
}

/* ---- device nodes ---------------------------------------------------------------- */

/* device: "b 8:0" */
static int do_node(const char *pid, const char *path, const char *device, int add)
{
    char ns[64], folder[PATH_MAX], *slash;
    unsigned type_major, type_minor;
    char type;

    snprintf(ns, sizeof ns, "/proc/%s/ns/mnt", pid);
    int fd = open(ns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNS) < 0 || sscanf(device, "%c %u:%u", &type, &type_major, &type_minor) != 3) {
        printf("%s: %s\n", ns, strerror(errno));
        return 1;
    }
    umask(0);
    snprintf(folder, sizeof folder, "%s", path);
    if ((slash = strrchr(folder, '/')) && slash != folder) {
        *slash = '\0';
        mkdir(folder, 0755);
    }
    if (add ? mknod(path, (type == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(type_major, type_minor)) == 0
            : unlink(path) == 0 || errno == ENOENT)
        return 0;
    printf("%s in the container: %s\n", path, strerror(errno));
    return 1;
}

static int run(struct lxc_container *c, int argc, char **argv)
{
    const char *what = argv[1], *dir = argv[2], *name = argv[3];

    if (argc >= 5 && strcmp(what, "start") == 0)
        return do_start(c, dir, name, argv + 4);
    if (argc == 4 && strcmp(what, "find") == 0)
        return c->init_pid(c) > 0 ? started(c, dir, name, "the container does not run") : 1;
    if (argc == 5 && strcmp(what, "checkpoint") == 0)
        return do_checkpoint(c, dir, name, argv[4]);
    if (argc == 5 && strcmp(what, "restore") == 0)
        return do_restore(c, dir, name, argv[4]);
    if (argc == 5 && strcmp(what, "console") == 0)
        return do_console(c, argv[4]);
    if (argc == 5 && strcmp(what, "addresses") == 0)
        return do_addresses(argv[4]);
    if (argc == 7 && (strcmp(what, "add-node") == 0 || strcmp(what, "remove-node") == 0))
        return do_node(argv[4], argv[5], argv[6], what[0] == 'a');
    if (argc == 6 && strcmp(what, "set-group") == 0)
        return c->set_cgroup_item(c, argv[4], argv[5]) ? 0 : fail_logged(dir, name, argv[4]);
    if (argc > 5 && strcmp(what, "add-net") == 0)
        return helper_net_add(atoi(argv[4]), argv + 5);
    if (argc > 5 && strcmp(what, "remove-net") == 0)
        return helper_net_remove(atoi(argv[4]), argv + 5);
    if (argc > 5 && strcmp(what, "set-net") == 0)
        return helper_net_set(atoi(argv[4]), argv + 5);
    fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    char log[PATH_MAX];

    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 4) {
        fputs(usage, stderr);
        return 2;
    }
    snprintf(log, sizeof log, "%s/%s/log", argv[2], argv[3]);
    if (truncate(log, 0) < 0 && errno != ENOENT) {
        printf("%s: %s\n", log, strerror(errno));
        return 1;
    }
    struct lxc_log info = { .name = argv[3], .lxcpath = argv[2], .file = log, .level = "ERROR", .prefix = "lxc", .quiet = true };
    struct lxc_container *c = lxc_log_init(&info) == 0 ? lxc_container_new(argv[3], argv[2]) : NULL;
    if (!c)
        return fail_logged(argv[2], argv[3], "the configuration cannot be read");
    int status = run(c, argc, argv);
    fflush(stdout);
    lxc_container_put(c);
    return status;
}
