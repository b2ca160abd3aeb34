/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Has the kernel let go of memory that QEMU watched for writes (userfaultfd). QEMU 7.2 does so itself when it has saved
 * all of it, but not when it is cut short: whoever writes to such memory then waits for ever. Harmless when nothing is
 * watched. FALSE: we may not reach into that process, or its memory stays watched. */
gboolean qemu_watch_end(QemuDomain *dom);
/* Whether qemu_watch_end can succeed. */
gboolean qemu_watch_can_end(QemuDomain *dom);
