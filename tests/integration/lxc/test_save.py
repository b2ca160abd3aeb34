# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers saved with their memory, and restored: for real where CRIU runs on this kernel. What is said where it does not, or
fails in the middle, is seen with a program that stands in for it."""
import os
import shutil
import subprocess

import lxctest
import vireotest
from lxctest import groups, wait_until

# In here is the program that the daemon takes for CRIU, and what says how that is to behave.
BIN = vireotest.make_work_dir() if os.environ.get(lxctest.INSIDE) else None
COUNTING = "i=0; while true; do i=$((i+1)); echo $i > /new; mv /new /n; sleep 0.02; done"
STAND_IN = """#!/bin/sh
for word; do
    test "$before" = -D && cd "$word"
    before=$word
done
case "$1" in
--version) echo "Version: 4.1" ;;
{fails})
    echo "(00.000001) Error (criu/util.c:1): exited, status=1" | tee "$1.log" >&2
    echo "(00.000002) Error (criu/x.c:7): the $1 went wrong" | tee -a "$1.log" >&2
    exit 1 ;;
dump) echo memory > core-1.img ;;
esac
"""


class Case(lxctest.Case):
    def criu(self, text):
        path = os.path.join(BIN, "criu")
        if os.path.exists(path):
            os.unlink(path)
        if text:
            with open(path, "w", encoding="ascii") as stream:
                stream.write(text)
            os.chmod(path, 0o755)

    def run_counting(self):
        xml = self.container_xml("a", init="/bin/sh", args=("-c", COUNTING)).replace("type='pty'", "type='null'")
        self.virsh("define", self.write("a.xml", xml))
        self.uuid = self.virsh("domuuid", "a").strip()
        self.virsh("start", "a")
        self.number = os.path.join(self.work, "a", "n")
        wait_until(lambda: os.path.exists(self.number), 10, "it counts")
        return os.path.join(self.work, "saved")

    def count(self):
        with open(self.number, encoding="ascii") as stream:
            return int(stream.read())

    def goes_on(self):
        before = self.count()
        wait_until(lambda: self.count() > before, 10, "it goes on")


class Trouble(Case):
    def test_where_it_does_not_run(self):
        self.criu(None)
        file = self.run_counting()
        self.assertIn(f"there is no program {BIN}/criu", self.virsh_fails("save", "a", file))
        self.criu(STAND_IN.format(fails="check"))
        for command in (("save", "a", file), ("managedsave", "a"), ("restore", file)):
            self.assertIn("criu check says: the check went wrong", self.virsh_fails(*command))
        self.goes_on()

    def test_a_save_that_fails(self):
        self.criu(STAND_IN.format(fails="dump"))
        file = self.run_counting()
        self.assertIn("criu says: the dump went wrong", self.virsh_fails("save", "a", file))
        self.assertEqual(self.state("a"), "running")
        self.goes_on()
        self.criu(STAND_IN.format(fails="none"))
        self.virsh("suspend", "a")
        self.assertIn("cannot make a directory", self.virsh_fails("save", "a", "/nonexistent/saved"))
        self.assertEqual((self.state("a"), sorted(os.listdir(self.work))), ("paused", ["a", "a.xml"]))
        self.virsh("destroy", "a")
        self.virsh("undefine", "a")
        self.start("b")
        self.assertIn("<console type='null'/>", self.virsh_fails("save", "b", file))

    def test_a_restore_that_fails(self):
        self.criu(STAND_IN.format(fails="restore"))
        file = self.run_counting()
        self.virsh("managedsave", "a")
        self.assertEqual((self.state_reason("a"), groups(self.uuid)), (("shut off", "saved"), []))
        self.reload_daemon()
        self.assertEqual(self.names("list", "--all", "--with-managed-save", "--name"), ["a"])
        self.assertIn("managed save image", self.virsh_fails("undefine", "a"))
        said = self.virsh_fails("start", "a")
        self.assertIn("criu says: the restore went wrong", said)
        self.assertIn("FORCE_BOOT", said)
        self.assertEqual((self.info("a")["Managed save"], groups(self.uuid)), ("yes", []))
        self.virsh("start", "a", "--force-boot")
        self.goes_on()
        self.assertEqual(self.info("a")["Managed save"], "no")
        self.virsh("save", "a", file)
        self.assertIn(f"<uuid>{self.uuid}</uuid>", self.virsh("save-image-dumpxml", file))
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        os.truncate(file, os.path.getsize(file) - 1)
        self.assertIn("not all of one", self.virsh_fails("restore", file))


class Real(Case):
    def test_memory_comes_back(self):
        criu = shutil.which("criu")
        if not criu:
            self.skipTest("criu is missing (package criu)")
        check = subprocess.run([criu, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if check.returncode:
            self.skipTest(f"criu check: {check.stdout.splitlines()[2:3] or check.returncode}")
        if not shutil.which("iptables-restore"):
            self.skipTest("CRIU needs iptables (package iptables)")
        self.criu(f'#!/bin/sh\nexec {criu} "$@"\n')
        file = self.run_counting()
        self.virsh("save", "a", file)
        saved = self.count()
        self.assertEqual((self.state_reason("a"), groups(self.uuid)), (("shut off", "saved"), []))
        self.virsh("restore", file)
        self.assertEqual(self.state_reason("a"), ("running", "restored"))
        self.goes_on()
        self.assertGreater(self.count(), saved, "it has begun anew")
        self.virsh("managedsave", "a", "--paused")
        saved = self.count()
        self.virsh("start", "a")
        self.assertEqual((self.state("a"), self.count()), ("paused", saved))
        self.reload_daemon()
        self.virsh("resume", "a")
        self.goes_on()
        self.assertGreater(self.count(), saved, "it has begun anew")
        self.assertEqual(self.info("a")["Managed save"], "no")
        self.virsh("destroy", "a")
        self.assertEqual(groups(self.uuid), [])


if __name__ == "__main__":
    vireotest.FILES["lxc.conf"] = f"[programs]\ncriu = {BIN}/criu\n"
    lxctest.main()
