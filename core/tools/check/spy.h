/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver's table with spies in place of its functions, so that it is seen whether, and with which
 * flags, a call would have reached it. Its scheme is `spied`; it has a running domain `on` and a stopped
 * one `off`, each with a snapshot and a checkpoint `one`, and an active network and storage pool `x`.
 */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

#include "ops/catalogue.h"

#define SPY_REACHED 9999 /* the error of every spy */

typedef struct {
    GMutex lock;
    guint32 op; /* the last that was reached; 0: none */
    guint64 flags;
    vireo_space *space;
} SpySeen;

extern SpySeen spy_seen;
extern const guint8 spy_on_uuid[16], spy_off_uuid[16];

/* The network or pool in arguments becomes that `x`. */
void spy_fill_other(const VireoOp *op, gpointer args);
/* conn_narrow is left out. */
struct vireo_driver *spy_driver_new(const struct vireo_driver *driver);
void spy_driver_free(struct vireo_driver *driver);
