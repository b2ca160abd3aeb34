/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- netlink ------------------------------------------------------------------- */

typedef struct {
    struct nlmsghdr head;
    char body[1024];
} Message;

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    return 1;
}

static void *begin(Message *message, int type, int flags, size_t size)
{
    memset(message, 0, sizeof *message);
    message->head.nlmsg_type = (unsigned short)type;
    message->head.nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
    message->head.nlmsg_len = (unsigned)NLMSG_SPACE(size);
    return NLMSG_DATA(&message->head);
}

/* Without a value it is one that others follow in; close it. */
static struct rtattr *add(Message *message, int type, const void *value, size_t size)
{
    struct rtattr *at = (struct rtattr *)((char *)message + NLMSG_ALIGN(message->head.nlmsg_len));

    if (NLMSG_ALIGN(message->head.nlmsg_len) + RTA_SPACE(size) > sizeof *message)
        abort();
    at->rta_type = (unsigned short)type;
    at->rta_len = (unsigned short)RTA_LENGTH(size);
    if (size)
        memcpy(RTA_DATA(at), value, size);
    message->head.nlmsg_len = NLMSG_ALIGN(message->head.nlmsg_len) + (unsigned)RTA_SPACE(size);
    return at;
}

static void add_text(Message *message, int type, const char *text)
{
    if (text)
        add(message, type, text, strlen(text) + 1);
}

static void add_number(Message *message, int type, unsigned number)
{
    add(message, type, &number, sizeof number);
}

static void close_attribute(Message *message, struct rtattr *at)
{
    at->rta_len = (unsigned short)((char *)message + message->head.nlmsg_len - (char *)at);
}

/* 0, or an errno. */
static int talk(int fd, Message *message)
{
    char answer[4096];
    const struct nlmsghdr *head = (const struct nlmsghdr *)answer;
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

    if (sendto(fd, message, message->head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        return errno;
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || head->nlmsg_type != NLMSG_ERROR)
        return n < 0 ? errno : EPROTO;
    return -((const struct nlmsgerr *)NLMSG_DATA(head))->error;
}

static int open_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

/* ---- settings ------------------------------------------------------------------ */

/* The value of a key from *at on, which then is behind it; NULL: there is no further one. */
static const char *next(char ***at, const char *key)
{
    size_t n = strlen(key);

    while (**at) {
        const char *setting = *(*at)++;

        if (strncmp(setting, key, n) == 0 && setting[n] == '=')
            return setting + n + 1;
    }
    return NULL;
}

static const char *get(char **settings, const char *key)
{
    return next(&settings, key);
}

static int is(char **settings, const char *key, const char *value)
{
    const char *text = get(settings, key);

    return text && strcmp(text, value) == 0;
}

static int parse_mac(const char *text, unsigned char mac[6])
{
    return text && sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
                          &mac[5]) == 6;
}

/* 0 (no address), or its size. */
static size_t parse_address(const char *text, int *family, unsigned char address[16], int *prefix)
{
    char copy[INET6_ADDRSTRLEN + 8], *slash;

    snprintf(copy, sizeof copy, "%s", text);
    *family = strchr(copy, ':') ? AF_INET6 : AF_INET;
    *prefix = *family == AF_INET6 ? 128 : 32;
    if ((slash = strchr(copy, '/'))) {
        *slash = '\0';
        *prefix = atoi(slash + 1);
    }
    return inet_pton(*family, copy, address) != 1 ? 0 : *family == AF_INET6 ? 16 : 4;
}

/* ---- steps --------------------------------------------------------------------- */

/* Changes a link of the socket's namespace. */
static int change_link(int fd, const char *name, const unsigned *master, const int *up)
{
    Message message;
    struct ifinfomsg *info = begin(&message, RTM_SETLINK, 0, sizeof *info);

    info->ifi_index = (int)if_nametoindex(name);
    if (!info->ifi_index)
        return ENODEV;
    if (up) {
        info->ifi_change = IFF_UP;
        info->ifi_flags = *up ? IFF_UP : 0;
    }
    if (master)
        add_number(&message, IFLA_MASTER, *master);
    return talk(fd, &message);
}

static int delete_link(int fd, const char *name)
{
    Message message;
    struct ifinfomsg *info = begin(&message, RTM_DELLINK, 0, sizeof *info);

    info->ifi_index = (int)if_nametoindex(name);
    return info->ifi_index ? talk(fd, &message) : ENODEV;
}

/* To another namespace; name: its name there, or NULL. */
static int move_link(int fd, const char *from, const char *name, int ns)
{
    Message message;
    struct ifinfomsg *info = begin(&message, RTM_SETLINK, 0, sizeof *info);

    info->ifi_index = (int)if_nametoindex(from);
    if (!info->ifi_index)
        return ENODEV;
    add_number(&message, IFLA_NET_NS_FD, (unsigned)ns);
    add_text(&message, IFLA_IFNAME, name);
    return talk(fd, &message);
}

static void add_mac_and_mtu(Message *message, char **settings)
{
    unsigned char mac[6];

    if (parse_mac(get(settings, "mac"), mac))
        add(message, IFLA_ADDRESS, mac, sizeof mac);
    if (get(settings, "mtu"))
        add_number(message, IFLA_MTU, (unsigned)atoi(get(settings, "mtu")));
}

/* A pair, one end of which is at once where it belongs. The other gets the highest of addresses: a bridge takes the
 * lowest one for its own. */
static int make_veth(int fd, int ns, char **settings)
{
    Message message;
    unsigned char mac[6];

    begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    add_text(&message, IFLA_IFNAME, get(settings, "host"));
    if (parse_mac(get(settings, "mac"), mac)) {
        mac[0] = 0xfe;
        add(&message, IFLA_ADDRESS, mac, sizeof mac);
    }
    if (get(settings, "mtu"))
        add_number(&message, IFLA_MTU, (unsigned)atoi(get(settings, "mtu")));
    struct rtattr *info = add(&message, IFLA_LINKINFO, NULL, 0);
    add(&message, IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = add(&message, IFLA_INFO_DATA, NULL, 0);
    const struct ifinfomsg none = { 0 };
    struct rtattr *peer = add(&message, VETH_INFO_PEER, &none, sizeof none);
    add_text(&message, IFLA_IFNAME, get(settings, "name"));
    add_number(&message, IFLA_NET_NS_FD, (unsigned)ns);
    add_mac_and_mtu(&message, settings);
    close_attribute(&message, peer);
    close_attribute(&message, data);
    close_attribute(&message, info);
    return talk(fd, &message);
}

static int make_macvlan(int fd, int ns, char **settings)
{
    Message message;
    unsigned lower = if_nametoindex(get(settings, "lower") ? get(settings, "lower") : "");

    if (!lower)
        return ENODEV;
    begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    add_text(&message, IFLA_IFNAME, get(settings, "name"));
    add_number(&message, IFLA_LINK, lower);
    add_number(&message, IFLA_NET_NS_FD, (unsigned)ns);
    add_mac_and_mtu(&message, settings);
    struct rtattr *info = add(&message, IFLA_LINKINFO, NULL, 0);
    add(&message, IFLA_INFO_KIND, "macvlan", 7);
    struct rtattr *data = add(&message, IFLA_INFO_DATA, NULL, 0);
    add_number(&message, IFLA_MACVLAN_MODE, (unsigned)atoi(get(settings, "mode") ? get(settings, "mode") : "2"));
    close_attribute(&message, data);
    close_attribute(&message, info);
    return talk(fd, &message);
}

static int add_address(int fd, unsigned index, const char *text)
{
    unsigned char address[16];
    int family, prefix;
    size_t size = parse_address(text, &family, address, &prefix);
    Message message;
    struct ifaddrmsg *info = begin(&message, RTM_NEWADDR, NLM_F_CREATE, sizeof *info);

    if (!size)
        return EINVAL;
    *info = (struct ifaddrmsg){ .ifa_family = (unsigned char)family, .ifa_prefixlen = (unsigned char)prefix,
                                .ifa_index = index };
    add(&message, IFA_LOCAL, address, size);
    add(&message, IFA_ADDRESS, address, size);
    return talk(fd, &message);
}

static int add_gateway(int fd, unsigned index, const char *text)
{
    unsigned char address[16];
    int family, prefix;
    size_t size = parse_address(text, &family, address, &prefix);
    Message message;
    struct rtmsg *info = begin(&message, RTM_NEWROUTE, NLM_F_CREATE, sizeof *info);

    if (!size)
        return EINVAL;
    *info = (struct rtmsg){ .rtm_family = (unsigned char)family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
                            .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST };
    add(&message, RTA_GATEWAY, address, size);
    add_number(&message, RTA_OIF, index);
    int error = talk(fd, &message);
    return error == EEXIST ? 0 : error;
}

/* Up, with its addresses and routes; in the container's namespace. */
static int settle(int fd, const char *name, char **settings)
{
    unsigned index = if_nametoindex(name);
    int up = !is(settings, "kind", "macvlan") || !is(settings, "up", "0"), error = change_link(fd, name, NULL, &up);
    const char *text;

    if (error)
        return fail("%s in the container: %s", name, strerror(error));
    for (char **at = settings; (text = next(&at, "address"));)
        if ((error = add_address(fd, index, text)) && error != EEXIST)
            return fail("address %s of %s: %s", text, name, strerror(error));
    for (char **at = settings; up && (text = next(&at, "gateway"));)
        if ((error = add_gateway(fd, index, text)))
            return fail("route of %s to %s: %s", name, text, strerror(error));
    return 0;
}

/* The host's end: its bridge, and whether the cable is in. */
static int settle_host(int fd, char **settings)
{
    const char *host = get(settings, "host"), *bridge = get(settings, "master");
    unsigned master = bridge && *bridge ? if_nametoindex(bridge) : 0;
    int up = !is(settings, "up", "0"), error;

    if (bridge && *bridge && !master)
        return fail("this host has no bridge '%s'", bridge);
    if ((error = change_link(fd, host, bridge ? &master : NULL, &up)))
        return fail("%s%s%s: %s", host, master ? " on bridge " : "", master ? bridge : "", strerror(error));
    return 0;
}

/* ---- commands ------------------------------------------------------------------ */

typedef struct {
    int ours, theirs; /* namespaces */
    int host;         /* netlink of the host */
} Place;

static int open_place(Place *place, pid_t pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    place->ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    place->theirs = open(path, O_RDONLY | O_CLOEXEC);
    place->host = open_netlink();
    return place->ours < 0 || place->theirs < 0 || place->host < 0 ? fail("%s: %s", path, strerror(errno)) : 0;
}

/* A netlink socket there, where names are looked up, too, from now on; -1 and the reason said. */
static int enter(const Place *place)
{
    int fd = setns(place->theirs, CLONE_NEWNET) == 0 ? open_netlink() : -1;

    if (fd < 0)
        fail("the container's network: %s", strerror(errno));
    return fd;
}

int helper_net_add(pid_t pid, char **settings)
{
    const char *host = get(settings, "host"), *name = get(settings, "name");
    int veth = is(settings, "kind", "veth"), macvlan = is(settings, "kind", "macvlan"), error, there;
    Place place;

    if (!name || (!macvlan && !host) || open_place(&place, pid))
        return 1;
    error = veth ? make_veth(place.host, place.theirs, settings)
            : macvlan ? make_macvlan(place.host, place.theirs, settings)
                      : move_link(place.host, host, name, place.theirs);
    if (error)
        return fail("%s as %s in the container: %s", macvlan ? get(settings, "lower") : host, name, strerror(error));
    if (veth && settle_host(place.host, settings)) {
        delete_link(place.host, host);
        return 1;
    }
    if ((there = enter(&place)) >= 0 && settle(there, name, settings) == 0)
        return 0;
    if (there >= 0 && !veth && !macvlan)
        move_link(there, name, host, place.ours);
    else if (there >= 0)
        delete_link(there, name); /* of a pair both go */
    return 1;
}

int helper_net_remove(pid_t pid, char **settings)
{
    const char *host = get(settings, "host"), *name = get(settings, "name");
    int veth = is(settings, "kind", "veth"), error, there;
    Place place;

    if ((veth ? !host : !name) || open_place(&place, pid))
        return 1;
    if (veth) {
        error = delete_link(place.host, host);
        return error && error != ENODEV ? fail("%s: %s", host, strerror(error)) : 0;
    }
    if ((there = enter(&place)) < 0)
        return 1;
    error = is(settings, "kind", "phys") ? move_link(there, name, host, place.ours) : delete_link(there, name);
    /* The container may have done away with it. */
    return error && error != ENODEV ? fail("%s in the container: %s", name, strerror(error)) : 0;
}

int helper_net_set(pid_t pid, char **settings)
{
    const char *name = get(settings, "name");
    Place place;

    if (!name || open_place(&place, pid))
        return 1;
    if (is(settings, "kind", "veth"))
        return settle_host(place.host, settings);
    int there = enter(&place);
    return there < 0 || settle(there, name, settings);
}
