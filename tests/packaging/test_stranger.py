# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody with the packages and docs/driver-howto.md alone: every block of that page marked `sh` is run as it stands,
in its order, in one shell. And a program that uses the client library."""
import os
import re
import time

import chroot
from test_install import START, Debian

PAGE = os.path.join(chroot.TOP, "docs", "driver-howto.md")
MINUTES = 10
DOMAIN = "<domain type='acme'><name>first</name></domain>"
PROGRAM = r"""
#include <stdio.h>
#include <vireo/client.h>

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(VireoClient) client = vireo_client_open("test:///default", NULL, 0, &error);
    vireo_connect_get_hostname_ret ret;

    if (!client || !VIREO_CALL(client, connect_get_hostname, arena, &error, &ret)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    printf("%s at %s\n", vireo_client_uri(client), ret.hostname);
    return 0;
}
"""


def blocks():
    with open(PAGE, encoding="utf-8") as stream:
        return re.findall(r"^```sh\n(.*?)^```", stream.read(), re.M | re.S)


class Stranger(Debian):
    layer = "develop"

    def write(self, path, text):
        with open(self.debian.path(path), "w", encoding="utf-8") as stream:
            stream.write(text)

    def test_the_page(self):
        start = time.monotonic()
        found = blocks()
        install, use = found[0], found[1:]
        self.assertIn("apt install vireo-daemon", install)
        self.assertIn("apt remove", use[-1])
        before = set(self.sh(install + "\nfind / -xdev -not -type d").splitlines())
        self.sh(START)    # systemd would have
        print(f"installed after {time.monotonic() - start:.0f} s", flush=True)

        script = ["set -e"]
        for number, block in enumerate(use[:-1]):
            script += [f"echo '== block {number}'", block]
        said = self.sh("\n".join(script), timeout=60 * MINUTES)
        print(said)
        seconds = time.monotonic() - start
        print(f"from zero to the first answer: {seconds:.0f} s", flush=True)
        self.assertLess(seconds, 60 * MINUTES)
        self.assertRegex(said, r"acme +1\.0 +ACTIVE")
        self.assertRegex(said, r"vireo-driver-abi-1 \(>= 1\.\d+\)")

        self.write("/root/first.xml", DOMAIN)
        for words in "define /root/first.xml", "start first", "destroy first", "start first":
            self.sh(f"virsh -c acme:///default {words}")
        self.assertIn("first", self.sh("virsh -c acme:///default list --name"))
        self.assertRegex(self.sh("apt-cache depends vireo-driver-acme"), r"Depends: <?vireo-driver-abi-1")
        removed = self.sh(use[-1])
        self.assertIn("domains of acme:///default are active", removed)
        self.assertIn("running", self.sh("virsh -c acme:///default domstate first"))
        self.sh("virsh -c acme:///default destroy first; apt purge vireo-driver-acme; rm -r /root/* /tmp/try")
        left = set(self.sh("find / -xdev -not -type d").splitlines()) - before
        self.assertEqual([path for path in left if "acme" in path], [])

    def test_a_driver_in_cplusplus(self):
        self.install("vireo-daemon", "vireo-driver-dev")
        self.sh(START)
        said = self.sh("vireo-driver-new --debian --language c++ ufo && cd vireo-driver-ufo && dpkg-buildpackage -b -us -uc"
                       " && apt install ../vireo-driver-ufo_1.0_*.deb && virsh -c ufo:///default list --all")
        self.assertIn("Setting up vireo-driver-ufo", said)

    def test_a_file_that_is_no_driver(self):
        self.install("vireo-driver-dev")
        self.sh("vireo-driver-new --debian ufo")
        self.sh("cd vireo-driver-ufo && printf 'override_dh_install:\\n\\tdh_install\\n\\techo rubbish"
                " >debian/vireo-driver-ufo/usr/lib/'$(gcc -print-multiarch)'/vireo/drivers-1/bad.so\\n' >>debian/rules")
        status, said = self.debian.try_sh("cd vireo-driver-ufo && dpkg-buildpackage -b -us -uc")
        self.assertNotEqual(status, 0)
        self.assertRegex(said, r"vireo-driver-inspect: .*bad\.so: ")

    def test_the_client_library(self):
        self.install("vireo-daemon", "vireo-driver-test", "libvireo-dev")
        self.sh(START)
        self.write("/root/who.c", PROGRAM)
        self.sh("gcc -Wall -Werror -o who who.c $(pkg-config --cflags --libs vireo-client)")
        self.assertEqual(self.sh("./who").strip(), "test:///default at " + self.sh("uname -n").strip())


del Debian    # it has no tests of its own

if __name__ == "__main__":
    chroot.main()
