/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of vireo-lxc-run. Each ends with 0, or with 1 and the reason on standard output. */
#pragma once

#include <sys/types.h>

/* Interfaces of a running container. pid: a process of its; settings: KEY=VALUE, NULL at the end:
 *   kind=veth|macvlan|phys  what it is
 *   host=NAME        its name on the host: the other end of a veth, or what goes into the container
 *   name=NAME        its name in the container
 *   lower=NAME mode=NUMBER  of a macvlan
 *   master=NAME      the bridge that the host's end is on; empty: on none
 *   mac=ADDRESS mtu=NUMBER address=IP/PREFIX gateway=IP
 *   up=0|1           whether the cable is plugged in */
int helper_net_add(pid_t pid, char **settings);
int helper_net_remove(pid_t pid, char **settings);
/* Bridge and cable. */
int helper_net_set(pid_t pid, char **settings);

struct lxc_container;
/* A container, and the directory its memory is written to, or read from. -1: it failed, and only liblxc may know why. */
int helper_checkpoint(struct lxc_container *c, char *images);
int helper_restore(struct lxc_container *c, char *images);
