/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* What deleted snapshots leave behind is merged and removed in the background: a few domains at once, by
 * turns, and of each domain one image after the other. Whatever else is to be done to a domain comes
 * first: the work is cut short for it and taken up again afterwards, where it was. */

/* most: domains at once; 0: as many as there are processors. */
QemuCoalescer *qemu_coalescer_new(guint most);
/* Before, whatever is to be done waits. */
void qemu_coalescer_start(QemuCoalescer *coalescer);
/* Ends the threads; what they were doing is cut short. */
void qemu_coalescer_free(QemuCoalescer *coalescer);
/* Soon, if there is anything, and again until nothing is left to do or the client's wish is to stop. */
void qemu_coalesce(QemuDomain *dom);
/* The same from a time on (monotonic), where images are left over that others needed; the domain's job is held. */
void qemu_coalesce_from(QemuDomain *dom, gint64 not_before);
/* When anything was left over; the job is held, or nobody knows the domain yet. */
void qemu_coalesce_rest(QemuDomain *dom);
