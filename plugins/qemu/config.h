/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Reads qemu.conf through the host and decides whom QEMU runs as. */
void qemu_config_load(QemuDriver *driver);
void qemu_config_clear(QemuDriver *driver);
