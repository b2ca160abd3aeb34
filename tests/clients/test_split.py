# SPDX-License-Identifier: LGPL-2.1-or-later
"""One daemon per driver, with stock virsh: on its own, and what it and the daemon for all do to each other."""
import os
import re
import shutil
import signal
import subprocess
import unittest

import vireotest
from splittest import PATIENCE, PLUGINS, VIREOD, SplitCase
from vireotest import wait_until


class Alone(SplitCase):
    def test_sockets_and_files(self):
        process = self.start("test")
        for compat in (True, False):
            for kind, mode in (("sock", 0o700), ("sock-ro", 0o777), ("admin-sock", 0o700)):
                path = self.socket("test", kind, compat)
                self.assertEqual(os.stat(path).st_mode & 0o777, mode, path)
        with open(self.path("run", "vireo", "vireod-test.pid"), encoding="ascii") as stream:
            self.assertEqual(int(stream.read()), process.pid)
        wait_until(lambda: "vireod --driver=test" in self.log("test"), PATIENCE, "the daemon says that it serves")
        self.assertEqual(self.stop("test"), 0)
        left = [name for _, _, files in os.walk(self.path("run")) for name in files]
        self.assertEqual(left, [])

    def test_serves_its_driver_alone(self):
        self.start("test")
        self.assertEqual(self.names(self.uri(driver="test")), ["test"])
        self.assertEqual(self.names(self.uri(driver="test", compat=False)), ["test"])
        said = self.virsh(self.uri("qemu", "/system", "test"), "list", code=1)
        self.assertIn("serves the driver 'test' alone", said)
        self.assertEqual(self.drivers("test")["test"][0], "ACTIVE")

    def test_administration(self):
        """virt-admin finds the server under the name that libvirt's own daemon of that driver gives it."""
        self.start("test")
        uri = f"virtqemud+unix:///system?socket={self.socket('test', 'admin-sock')}"
        self.assertIn("nclients_max", self.run_client("virt-admin", "-c", uri, "srv-clients-info", "virttestd"))
        self.assertIn("No server named", self.run_client("virt-admin", "-c", uri, "srv-clients-info", "libvirtd",
                                                         code=1))

    def test_names_without_a_driver(self):
        self.assertIn("no module of a driver 'nothere'", self.refused("nothere"))
        done = subprocess.run([VIREOD, "--root", self.root, "--driver=../x"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("not '../x'", done.stderr)

    def test_settings(self):
        """[vireod] is for every daemon, [vireod NAME] for the one of that driver."""
        os.makedirs(self.path("etc", "vireo"), exist_ok=True)
        settings = self.path("etc", "vireo", "vireod.conf")
        log = os.path.join(self.work, "own.log")
        with open(settings, "w", encoding="utf-8") as stream:
            stream.write("[vireod]\nunix_sock_ro_perms = 0770\ncompat_sockets = no\n"
                         f"[vireod test]\ncompat_sockets = yes\nunix_sock_rw_perms = 0750\nlog_outputs = 1:file:{log}\n")
        self.start("test")
        self.assertEqual(os.stat(self.socket("test")).st_mode & 0o777, 0o750)
        self.assertEqual(os.stat(self.socket("test", "sock-ro")).st_mode & 0o777, 0o770)
        with open(log, encoding="utf-8") as stream:
            self.assertIn("serving", stream.read())
        process = self.running[None] = self.launch()
        wait_until(lambda: vireotest.connects(self.socket(compat=False)), PATIENCE, "the daemon for all serves")
        self.assertIsNone(process.poll())
        self.assertFalse(os.path.exists(self.socket()))
        self.stop()
        with open(settings, "a", encoding="utf-8") as stream:
            stream.write("[vireod other]\nmax_client = 3\n")
        self.assertIn("max_client: there is no such setting", self.refused())
        with open(settings, "w", encoding="utf-8") as stream:
            stream.write("[vireo]\n")
        self.assertRegex(self.refused(), r"vireo: there is no such section, only \[vireod\]")

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "needs root, for a /run of its own")
    def test_found_by_its_name(self):
        """A client that is told so, or finds the socket, goes to the driver's daemon: libvirt's own rule."""
        self.start("test")
        self.start("qemu")
        script = "mount -t tmpfs none /run && mkdir /run/libvirt && mount --bind $0 /run/libvirt && exec \"$@\""

        def virsh(*args, code=0):
            return self.run_client("unshare", "-m", "sh", "-c", script, self.path("run", "libvirt"), "virsh", *args,
                                   code=code)

        for uri in ("qemu:///system?mode=direct", "qemu:///system"):
            self.assertIn("QEMU", virsh("-c", uri, "version"))
        self.assertEqual(virsh("-c", "test+unix:///default?mode=direct", "list", "--name").strip(), "test")
        self.assertIn("virtlxcd-sock", virsh("-c", "lxc:///system?mode=direct", "uri", code=1))


class OneRuns(SplitCase):
    """Two daemons never run the same driver on the same state."""

    def test_two_for_a_driver(self):
        process = self.start("test")
        self.assertRegex(self.refused("test"), f"another daemon runs here: .* is held by process {process.pid}")
        self.assertEqual(self.names(self.uri(driver="test")), ["test"])
        # An accident leaves files behind; they are no obstacle.
        self.stop("test", signal.SIGKILL)
        self.start("test")

    def test_the_daemon_for_all_has_it(self):
        process = self.start()
        self.assertEqual(self.names(self.uri()), ["test"])
        said = self.refused("test")
        self.assertIn(f"driver 'test': another daemon runs it: process {process.pid} (vireod)", said)
        self.assertIn("masked_drivers = test", said)
        self.stop()
        self.start("test")

    def test_masked_there(self):
        os.makedirs(self.path("etc", "vireo"), exist_ok=True)
        with open(self.path("etc", "vireo", "vireod.conf"), "w", encoding="utf-8") as stream:
            stream.write("[vireod]\nmasked_drivers = test\n[vireod test]\nmasked_drivers =\n")
        self.start()
        self.start("test")
        self.assertEqual(self.names(self.uri(driver="test")), ["test"])


class Modules(SplitCase):
    """Packages come and go while a daemon runs."""

    def test_noticed(self):
        modules = os.path.join(self.work, "modules")
        self.start(None, "--driver-dir", modules)
        self.assertEqual(set(self.drivers()), {"-"})
        os.makedirs(modules)
        shutil.copy(os.path.join(PLUGINS, "test.so"), os.path.join(modules, "test.so.new"))
        os.rename(os.path.join(modules, "test.so.new"), os.path.join(modules, "test.so"))
        wait_until(lambda: "driver 'test': FOUND" in self.log(), PATIENCE, "the new module is found")
        self.assertEqual(self.names(self.uri()), ["test"])
        os.unlink(os.path.join(modules, "test.so"))
        wait_until(lambda: "driver 'test': STALE" in self.log(), PATIENCE, "the removal is noticed")
        self.assertEqual(self.names(self.uri()), ["test"])
        for _ in range(20):
            shutil.copy(os.path.join(PLUGINS, "test.so"), os.path.join(modules, "again.so"))
            os.unlink(os.path.join(modules, "again.so"))
        shutil.rmtree(modules)
        os.makedirs(modules)
        shutil.copy(os.path.join(PLUGINS, "qemu.so"), modules)
        wait_until(lambda: "driver 'qemu': FOUND" in self.log(), PATIENCE, "a directory made anew is watched")
        self.assertLess(len(re.findall("again", self.log())), 10)


if __name__ == "__main__":
    vireotest.need_program("virsh", "libvirt-clients")
    unittest.main(verbosity=2 if os.environ.get("VERBOSE") else 1)
