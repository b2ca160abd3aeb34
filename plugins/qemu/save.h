/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Managed save images; job held. */
gboolean qemu_managed_restore(QemuDomain *dom, vireo_call *call, gboolean paused, GError **error);
gboolean qemu_managed_drop(QemuDomain *dom, GError **error);
