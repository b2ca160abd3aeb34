/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structs that modules give. Each begins with the size it had when the module was built, by a header older
 * or newer than ours. The sizes here are those of ABI 1.0 and never change.
 */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

#define VIREO_OBJECT_LEAST    96
#define VIREO_TREE_NODE_LEAST 40
#define VIREO_SPAWN_LEAST     80

/* Fills in `to`, of our size: what the module did not have is zero, what we do not have is left out.
 * FALSE when less was given than ABI 1.0 has. */
gboolean vireo_given_copy(gpointer to, gsize size, gsize least, gconstpointer given);
