# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of split daemons share: a root, and daemons on it, one for all drivers and one for each."""
import json
import os
import shutil
import signal
import subprocess
import unittest

import vireotest
from vireotest import wait_until

VIREOD = os.path.join(vireotest.BUILD, "core", "daemon", "vireod")
VIREO = os.path.join(vireotest.BUILD, "core", "cli", "vireo")
PLUGINS = os.path.join(vireotest.BUILD, "plugins")
PATIENCE = 20

GUEST = """<domain type='test'><name>{name}</name><memory>65536</memory>
<os><type>hvm</type></os><devices><console type='pty'/></devices></domain>"""


class SplitCase(unittest.TestCase):
    """A root, and daemons on it by driver; None is the one for all."""

    def setUp(self):
        self.work = vireotest.make_work_dir()
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.root = os.path.join(self.work, "r")
        os.makedirs(self.root)
        vireotest.give_qemu_a_user(self.root)
        self.env = dict(os.environ, LC_ALL="C.UTF-8", HOME="/nonexistent", XDG_CACHE_HOME=self.work)
        self.running = {}
        self.addCleanup(self.stop_all)

    # daemons

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def socket(self, driver=None, kind="sock", compat=True):
        if compat:
            return self.path("run", "libvirt", f"virt{driver}d-{kind}" if driver else f"libvirt-{kind}")
        return self.path("run", "vireo", f"vireod-{driver}-{kind}" if driver else f"vireo-{kind}")

    def launch(self, driver=None, *options):
        command = [VIREOD, "--root", self.root, *([f"--driver={driver}"] if driver else []), *options]
        with open(self.log_path(driver), "ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self, driver=None, *options):
        self.assertNotIn(driver, self.running)
        process = self.running[driver] = self.launch(driver, *options)
        wait_until(lambda: process.poll() is not None or vireotest.connects(self.socket(driver)), PATIENCE,
                   f"vireod for {driver or 'all drivers'} serves")
        self.assertIsNone(process.poll(), self.log(driver))
        return process

    def refused(self, driver=None, *options):
        """A start that fails; what the daemon said."""
        process = self.launch(driver, *options)
        self.assertEqual(process.wait(PATIENCE), 1)
        return self.log(driver)

    def stop(self, driver=None, number=signal.SIGTERM):
        process = self.running.pop(driver)
        process.send_signal(number)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.fail(f"vireod for {driver or 'all drivers'} does not end: " + self.log(driver))

    def stop_all(self):
        """They end in good order, whatever has happened to them and in whatever order."""
        codes = {}
        for driver, process in self.running.items():
            process.terminate()
            try:
                codes[driver] = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[driver] = process.wait()
        for driver, code in codes.items():
            self.assertEqual(code, 0, f"vireod for {driver or 'all drivers'}: " + self.log(driver))

    def log_path(self, driver=None):
        return os.path.join(self.work, f"{driver or 'all'}.log")

    def log(self, driver=None):
        return self.read(self.log_path(driver))

    def read(self, path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()

    # clients

    def run_client(self, *command, code=0, **more):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=60, check=False, env=self.env, **more)
        if code is not None:
            self.assertEqual(done.returncode == 0, code == 0, f"{command}: {done.stdout}{done.stderr}")
        return (done.stdout if code == 0 else done.stdout + done.stderr).strip("\n")

    def uri(self, scheme="test", path="/default", driver=None, compat=True):
        return f"{scheme}+unix://{path}?socket={self.socket(driver, compat=compat)}"

    def virsh(self, uri, *args, code=0):
        return self.run_client("virsh", "-q", "-c", uri, *args, code=code)

    def names(self, uri):
        return sorted(self.virsh(uri, "list", "--all", "--name").split())

    def define(self, uri, name):
        path = os.path.join(self.work, f"{name}.xml")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(GUEST.format(name=name))
        self.virsh(uri, "define", path)

    def drivers(self, driver=None):
        """name -> (state, reason) as `vireo drivers` shows them."""
        text = self.run_client(VIREO, "-c", self.uri(driver=driver, compat=False), "--json", "drivers")
        return {row["name"]: (row["state"], row["reason"]) for row in json.loads(text)}
