/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces: their names, and what happens to those of a running container. */
#pragma once

#include "driver.h"

/* Gives what is to run what its document leaves open: names on the host and in the container, aliases. */
void lxc_net_name(VireoDomain *doc);
/* What the document needs is on this host. */
gboolean lxc_net_check(const VireoDomain *doc, GError **error);
/* Of a container that has just started: cables that are not plugged in. */
gboolean lxc_net_started(LxcDomain *dom, const VireoDomain *doc, GError **error);

/* With its job. nic: named. */
gboolean lxc_net_attach(LxcDomain *dom, const VireoDomainInterface *nic, GError **error);
gboolean lxc_net_detach(LxcDomain *dom, const VireoDomainInterface *nic, GError **error);
/* Cable and bridge become as nic says. */
gboolean lxc_net_update(LxcDomain *dom, const VireoDomainInterface *nic, GError **error);
/* An interface of the host goes into the container, or comes back. */
gboolean lxc_net_move(LxcDomain *dom, const char *name, gboolean into, GError **error);
