# SPDX-License-Identifier: LGPL-2.1-or-later
"""What virsh does is seen by govc, and what govc does is seen by virsh."""
import json
import os
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import govc
from esxtest import CENTER, FOLDER, EsxCase, main, wait_until
from simulator import PASSWORD, USER

MACHINE = """<domain type='vmware'>
  <name>ours</name>
  <uuid>1b0b2a5e-5d1c-4f7b-9a43-0c8b7a6f0e11</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
</domain>"""


class Govc(EsxCase):
    @classmethod
    def setUpClass(cls):
        cls.program = govc.build(FOLDER)
        super().setUpClass()

    def govc(self, *args):
        env = dict(os.environ, GOVC_URL=f"https://{USER}:{PASSWORD}@{self.simulator.server}/sdk", GOVC_INSECURE="1",
                   GOVMOMI_HOME=str(self.work))
        done = subprocess.run([self.program, *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, f"govc {' '.join(args)}: {done.stderr}")
        return done.stdout

    def machine(self, name):
        """What govc tells of it; None: there is no such machine."""
        found = json.loads(self.govc("vm.info", "-json", name))["VirtualMachines"]
        return found[0] if found else None

    def power(self, name):
        return self.machine(name)["Runtime"]["PowerState"]

    def comes(self, condition, what):
        wait_until(condition, 5, what)

    def test_power(self):
        for command, state in (("suspend", "suspended"), ("resume", "poweredOn"), ("destroy", "poweredOff"), ("start", "poweredOn")):
            self.virsh(command, self.first)
            self.assertEqual(self.power(self.first), state)
        for option, state in (("-suspend", "paused"), ("-on", "running"), ("-off", "shut off"), ("-on", "running")):
            self.govc("vm.power", option, self.first)
            self.comes(lambda wanted=state: self.state(self.first) == wanted, option)

    def test_define(self):
        path = self.work / "machine.xml"
        path.write_text(MACHINE)
        self.virsh("define", str(path))
        seen = self.machine("ours")
        self.assertEqual((seen["Config"]["Uuid"], seen["Config"]["Hardware"]["NumCPU"], seen["Config"]["Hardware"]["MemoryMB"]),
                         ("1b0b2a5e-5d1c-4f7b-9a43-0c8b7a6f0e11", 2, 64))
        self.virsh("undefine", "ours")
        self.assertIsNone(self.machine("ours"))
        self.govc("vm.create", "-on=false", "-c", "3", "-m", "128", "-annotation", "of govc", "-net", "VM Network", "-ds", "LocalDS_0",
                  *(("-host", "DC0_H0") if CENTER else ()), "theirs")
        self.comes(lambda: "theirs" in self.names("--all"), "one that govc has made")
        seen = ElementTree.fromstring(self.virsh("dumpxml", "theirs"))
        self.assertEqual([seen.findtext(path) for path in ("vcpu", "memory", "description")], ["3", "131072", "of govc"])
        self.assertEqual(seen.findtext("uuid"), self.machine("theirs")["Config"]["Uuid"])
        self.govc("vm.destroy", "theirs")
        self.comes(lambda: "theirs" not in self.names("--all"), "one that govc has removed")

    def test_change(self):
        self.virsh("destroy", self.second)
        self.virsh("setvcpus", self.second, "2", "--config")
        self.virsh("setmaxmem", self.second, "64M", "--config")
        seen = self.machine(self.second)["Config"]["Hardware"]
        self.assertEqual((seen["NumCPU"], seen["MemoryMB"]), (2, 64))
        self.govc("vm.change", "-vm", self.second, "-annotation", "seen by govc")
        self.assertEqual(self.virsh("desc", self.second), "seen by govc")
        self.virsh("start", self.second)

    def test_rename(self):
        self.virsh("destroy", self.second)
        self.virsh("domrename", self.second, "renamed")
        self.assertEqual(self.power("renamed"), "poweredOff")
        self.assertIsNone(self.machine(self.second))
        self.govc("object.rename", "vm/renamed", self.second)
        self.comes(lambda: self.names("--inactive") == [self.second], "a name that govc gives")
        self.virsh("start", self.second)

    def test_snapshot_tree(self):
        def tree():
            return self.govc("snapshot.tree", "-vm", self.first).split()

        def names(*args):
            return self.virsh("snapshot-list", self.first, "--name", *args).split()

        for name in ("a", "b"):
            self.virsh("snapshot-create-as", self.first, name, "of virsh")
        self.virsh("snapshot-revert", self.first, "a")
        self.govc("snapshot.create", "-vm", self.first, "-d", "of govc", "c")
        self.comes(lambda: names() == ["a", "b", "c"], "a snapshot that govc takes")
        self.assertEqual(sorted(one for one in tree() if one != "."), ["[a]", "[b]", "[c]"] if "[a]" in tree() else ["a", "b", "c"])
        self.assertEqual(names("--from", "a"), ["b", "c"])
        self.assertEqual(self.virsh("snapshot-current", self.first, "--name"), "c")
        self.assertIn("of govc", self.virsh("snapshot-dumpxml", self.first, "c"))
        self.govc("snapshot.revert", "-vm", self.first, "b")
        self.comes(lambda: self.virsh("snapshot-current", self.first, "--name") == "b", "a revert of govc")
        self.virsh("snapshot-delete", self.first, "c")
        self.assertNotIn("c", tree())
        self.govc("snapshot.remove", "-vm", self.first, "a")
        self.comes(lambda: names() == ["b"], "a snapshot that govc removes")
        self.virsh("snapshot-delete", self.first, "b")
        self.assertEqual(tree(), [])

    def test_events(self):
        watch = self.watch("--event", "lifecycle")
        time.sleep(0.7)
        self.govc("vm.power", "-suspend", self.second)
        self.assertIn(f"domain '{self.second}': Suspended", watch.stdout.readline())
        self.virsh("resume", self.second)
        told = self.govc("events", f"vm/{self.second}")
        self.assertLess(told.index("suspended"), told.rindex("powered on"))


if __name__ == "__main__":
    main()
