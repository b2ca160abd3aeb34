# SPDX-License-Identifier: LGPL-2.1-or-later
"""What only our own daemon knows: drivers and what each can do."""
import json

from vireocli import CliCase, main, vireo_only


class Drivers(CliCase):
    @vireo_only("our own program")
    def test_drivers(self):
        drivers = {driver["name"]: driver for driver in self.json("drivers")}
        self.assertLessEqual({"test", "qemu"}, set(drivers))
        self.assertGreater(drivers["qemu"]["n_ops"], 20)
        self.assertIn("qemu", drivers["qemu"]["schemes"].split())
        self.assertIn("qemu", self.vireo("drivers"))

    @vireo_only("its test driver keeps what it is told")
    def test_a_snapshot_tree_in_the_test_driver(self):
        uri = ("-c", "test:///default")
        self.assertEqual(self.vireo(*uri, "list", "--name").split(), ["test"])
        for name in ("one", "two"):
            self.vireo(*uri, "snapshot-create-as", "test", name)
        self.assertEqual(self.vireo(*uri, "snapshot-list", "test", "--tree").split(), ["one", "|", "+-", "two"])
        self.assertEqual(self.vireo(*uri, "snapshot-parent", "test", "--current").strip(), "one")
        self.vireo(*uri, "snapshot-delete", "test", "one", "--children")
        self.assertEqual(self.json(*uri, "snapshot-list", "test"), [])

    @vireo_only("our own program")
    def test_driver(self):
        driver = self.json("driver", "qemu")
        ops = {op["name"]: op for op in driver["ops"]}
        self.assertIn("CHILDREN", ops["domain_snapshot_delete"]["native"])
        self.assertEqual(len(driver["ops"]), driver["n_ops"])
        self.assertIn("domain_snapshot_delete", self.vireo("driver", "qemu"))
        self.fails("driver", "no-such-driver")

    def can(self, *args):
        done = self.run_vireo("--json", *args)
        return done.returncode, json.loads(done.stdout)

    @vireo_only("our own program")
    def test_can(self):
        code, answer = self.can("can", "domain-snapshot-delete", "--flags", "CHILDREN_ONLY", "-c", "qemu:///system")
        self.assertEqual((code, answer["can"], answer["how"]), (0, True, "native"))
        self.assertEqual(self.can("can", "domain_snapshot_delete", "-c", "qemu")[0], 0)
        self.assertEqual(self.can("can", "domain-snapshot-num", "-c", "qemu")[1]["how"], "core")
        self.assertEqual(self.can("can", "domain-create", "-c", "qemu")[1]["how"], "derived")
        self.assertEqual(self.can("can", "domain-undefine-flags", "--flags", "KEEP_TPM", "-c", "qemu")[1]["how"],
                         "trivial")
        code, answer = self.can("can", "domain-snapshot-create-xml", "--flags", "DISK_ONLY", "-c", "qemu")
        self.assertEqual((code, answer["can"], answer["how"]), (1, False, "no"))
        self.assertIn("DISK_ONLY", answer["reason"])
        done = self.run_vireo("can", "domain-snapshot-create-xml", "--flags", "DISK_ONLY", "-c", "qemu")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stdout.startswith("no: "), done.stdout)

    @vireo_only("our own program")
    def test_can_mistakes(self):
        self.fails("can", "no-such-operation", "-c", "qemu:///system")
        self.fails("can", "domain-snapshot-delete", "-c", "nosuch:///")

    def test_another_daemon(self):
        if self.daemon.is_vireo:
            self.skipTest("about daemons that are not vireod")
        self.assertIn("not vireod", self.fails("drivers"))
        self.assertIn("not vireod", self.fails("can", "domain-snapshot-delete", "-c", "qemu"))


if __name__ == "__main__":
    main()
