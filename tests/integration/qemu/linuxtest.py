# SPDX-License-Identifier: LGPL-2.1-or-later
"""The small Linux guest (tests/guest/README.md) for tests."""
import os
import shutil
import subprocess

import qemutest


def make(case, *what):
    """Makes it once for all tests, and skips this one where it cannot be made."""
    kept = os.path.join(qemutest.vireotest.BUILD, "guest")
    made = subprocess.run([os.path.join(qemutest.vireotest.TOP, "tests", "guest", "mklinux"), kept, *what], check=False,
                          capture_output=True, text=True)
    if made.returncode:
        case.skipTest("no Linux guest: " + made.stderr.strip())
    return kept


def copy(case, agent=False):
    """A directory with vmlinuz and initrd.img that QEMU's user may read; agent: with QEMU's guest agent in it."""
    kept, guest = make(case), os.path.join(case.work, "guest")
    shutil.copytree(kept, guest)
    if agent:
        make(case, "agent")
        with open(os.path.join(guest, "initrd.img"), "ab") as stream, open(os.path.join(kept, "agent.img"), "rb") as more:
            shutil.copyfileobj(more, stream)    # the kernel unpacks one after the other
    return guest
