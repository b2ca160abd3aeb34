# SPDX-License-Identifier: LGPL-2.1-or-later
"""A container of Debian as debootstrap makes it. That is what the packaging tests also begin with: whoever comes first makes
it, once per build directory. It is a template here, so nothing is written in it."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "packaging"))
import chroot  # noqa: E402

PLACE = "VIREO_TEST_LXC_DEBIAN"
if PLACE not in os.environ:  # out here there is a network
    try:
        chroot.need_root()
        chroot.need("debootstrap", "unshare", "nsenter", "ip")
        os.makedirs(os.path.join(chroot.PLACE, "layers"), exist_ok=True)
        os.environ[PLACE] = chroot.layer("base")[0]
    except unittest.SkipTest as reason:
        print(f"SKIP: {reason}")
        sys.exit(chroot.EXIT_SKIP)

import lxctest  # noqa: E402


class Debian(lxctest.Talk):
    def test_from_start_to_end(self):
        root = f"<filesystem type='template'><source name='{os.environ[PLACE]}'/><target dir='/'/></filesystem>"
        login = "trap 'exit 0' TERM; while true; do /sbin/agetty --noclear console linux & wait; done"
        self.start("a", root=root, init="/bin/sh", args=("-c", login), memory=256)
        _, fd = self.talk("a")
        self.read(fd, b"login:")
        os.write(fd, b"nobody-here\n")
        self.read(fd, b"Password:")
        self.assertTrue(self.inside("a", "/bin/cat", "/etc/debian_version").startswith("12."))
        self.shell("a", "echo vireo > /etc/hostname && dpkg --audit && dpkg-query --status bash > /root/bash")
        self.assertIn("Status: install ok installed", self.inside("a", "/bin/grep", "Status", "/root/bash"))
        self.virsh("shutdown", "a", "--mode", "signal")
        self.wait_state("a", "shut off")
        self.assertFalse(os.path.exists(os.path.join(os.environ[PLACE], "root", "bash")), "the template is as it was")


if __name__ == "__main__":
    lxctest.main()
