/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The host's end of the cable gets an address of its own that is higher than any card's, so that the
 * bridge does not take it for itself. */
static void set_mac(int sock, const char *name, const char *mac)
{
    struct ifreq request = { 0 };
    guint byte[6];

    if (sscanf(mac, "%x:%x:%x:%x:%x:%x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
               &byte[5]) != 6)
        return;
    g_strlcpy(request.ifr_name, name, IFNAMSIZ);
    request.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
    for (guint i = 0; i < 6; i++)
        request.ifr_hwaddr.sa_data[i] = (char)byte[i];
    request.ifr_hwaddr.sa_data[0] = (char)0xfe;
    ioctl(sock, SIOCSIFHWADDR, &request);
}

static gboolean join(int sock, const char *name, const char *bridge, GError **error)
{
    struct ifreq request = { 0 };

    g_strlcpy(request.ifr_name, bridge, IFNAMSIZ);
    request.ifr_ifindex = (int)if_nametoindex(name);
    if (ioctl(sock, SIOCBRADDIF, &request) == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot put %s into bridge '%s': %s", name, bridge,
               g_strerror(errno));
    return FALSE;
}

static gboolean bring_up(int sock, const char *name, GError **error)
{
    struct ifreq request = { 0 };

    g_strlcpy(request.ifr_name, name, IFNAMSIZ);
    if (ioctl(sock, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
        if (ioctl(sock, SIOCSIFFLAGS, &request) == 0)
            return TRUE;
    }
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot bring %s up: %s", name, g_strerror(errno));
    return FALSE;
}

int qemu_tap_open(char **name, const char *bridge, const char *mac, GError **error)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    gboolean ready;

    g_strlcpy(request.ifr_name, *name && **name ? *name : "vnet%d", IFNAMSIZ);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot make a tap device: %s",
                   g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    set_mac(sock, request.ifr_name, mac);
    ready = (!bridge || join(sock, request.ifr_name, bridge, error)) &&
            bring_up(sock, request.ifr_name, error);
    close(sock);
    if (!ready) {
        close(fd);
        return -1;
    }
    g_free(*name);
    *name = g_strdup(request.ifr_name);
    return fd;
}
