/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions as liblxc wants them. */
#pragma once

#include "driver.h"

/* The configuration of a container that is about to start. doc: what will run, with the names of its host interfaces.
 * Errors are those of a document. Caller frees. */
char *lxc_native_config(LxcDomain *dom, const VireoDomain *doc, GError **error);
/* "b 8:0" of a device node. NULL: it is none. Caller frees. */
char *lxc_native_device(const char *path, GError **error);
/* Where the container's control groups are, below liblxc's base. Caller frees. */
char *lxc_native_cgroup(const LxcDomain *dom, const VireoDomain *doc);

/* Every right that a document can give and take. */
#define LXC_CAPABILITIES(X)                                                                        \
    X(audit_control) X(audit_write) X(block_suspend) X(chown) X(dac_override) X(dac_read_search)   \
    X(fowner) X(fsetid) X(ipc_lock) X(ipc_owner) X(kill) X(lease) X(linux_immutable) X(mac_admin)  \
    X(mac_override) X(mknod) X(net_admin) X(net_bind_service) X(net_broadcast) X(net_raw)          \
    X(setgid) X(setfcap) X(setpcap) X(setuid) X(sys_admin) X(sys_boot) X(sys_chroot)               \
    X(sys_module) X(sys_nice) X(sys_pacct) X(sys_ptrace) X(sys_rawio) X(sys_resource) X(sys_time)  \
    X(sys_tty_config) X(syslog) X(wake_alarm)
