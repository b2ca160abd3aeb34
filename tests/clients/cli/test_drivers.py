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
        self.assertIn("domain-snapshot-delete", self.vireo("driver", "qemu"))
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
        self.assertEqual(self.can("can", "domain-snapshot-create-xml", "--flags", "ATOMIC", "-c", "qemu")[1]["how"],
                         "trivial")
        code, answer = self.can("can", "domain-undefine-flags", "--flags", "KEEP_NVRAM", "-c", "test:///default")
        self.assertEqual((code, answer["can"], answer["how"]), (1, False, "no"))
        self.assertIn("KEEP_NVRAM", answer["reason"])
        done = self.run_vireo("can", "domain-undefine-flags", "--flags", "KEEP_NVRAM", "-c", "test:///default")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stdout.startswith("no: "), done.stdout)

    @vireo_only("our own program")
    def test_can_mistakes(self):
        """No answer is not the answer no."""
        for args in (["no-such-operation"], ["domain-suspend", "NO_SUCH_FLAG"], ["domain-suspend", "none", "no-such-domain"],
                     ["domain-suspend", "-c", "nosuch:///"], ["domain-suspend", "-c", "nosuch"]):
            with self.subTest(args=args):
                self.fails("can", *args, code=3)
        self.fails("can", "-c", "qemu", code=2)

    @staticmethod
    def lacking(*rules):
        return "test:///default?" + "&".join(rules)

    @vireo_only("our own program")
    def test_can_on_a_connection_that_lacks_something(self):
        lacking = ("-c", self.lacking("narrow.domain_suspend=all", "narrow.domain_shutdown_flags=2"))
        code, answer = self.can("can", "domain-suspend", *lacking)
        self.assertEqual((code, answer["can"]), (1, False))
        self.assertIn("not available on this connection: it was opened without", answer["reason"])
        self.assertIn(answer["reason"], self.fails("suspend", "test", *lacking))
        code, answer = self.can("can", "domain-shutdown-flags", *lacking)
        self.assertEqual((code, answer["native"], answer["now"]), (0, [], ["ACPI_POWER_BTN"]))
        self.assertEqual(answer["not_now"][0]["flags"], ["GUEST_AGENT"])
        self.assertEqual(self.can("can", "domain-suspend", "-c", "test:///default")[0], 0)
        self.assertEqual(self.can("can", "domain-suspend", "--table", *lacking)[0], 0)

    @vireo_only("our own program")
    def test_can_on_a_domain_as_it_is_now(self):
        uri = ("-c", "test:///default")
        ask = ("can", "domain-shutdown-flags", "GUEST_AGENT", "test", *uri)
        self.vireo("destroy", "test", *uri)
        try:
            code, answer = self.can(*ask)
            self.assertEqual((code, answer["domain"]["active"], answer["domain"]["state"]), (1, False, "shut off"))
            self.assertIn("not running", answer["reason"])
            self.assertIn(answer["reason"], self.fails("shutdown", "test", "--mode", "agent", *uri))
            self.assertEqual(self.can("can", "domain-set-memory", "--domain", "test", *uri)[0], 1)  # sets LIVE
        finally:
            self.vireo("start", "test", *uri)
        self.assertEqual(self.can(*ask)[0], 0)

    @vireo_only("our own program")
    def test_can_says_what_the_call_says(self):
        """Of a guest of QEMU that is off: what is for running ones only."""
        self.vireo("define", "-", stdin=self.nano_xml("idle", disks=[]))
        try:
            for flags, *call in (["LIVE", "domain-set-memory-flags", "setmem", "idle", "16384", "--live"],
                                 ["LIVE", "domain-set-vcpus-flags", "setvcpus", "idle", "1", "--live"],
                                 ["GRACEFUL", "domain-destroy-flags", "destroy", "idle", "--graceful"],
                                 ["PAUSED", "domain-managed-save", "managedsave", "idle", "--paused"]):
                code, answer = self.can("can", call[0], flags, "idle")
                self.assertEqual((call[0], code, answer["can"]), (call[0], 1, False))
                self.assertIn("while 'idle' is not running", answer["reason"])
                self.assertIn(answer["reason"], self.virsh_fails(*call[1:]))
            self.assertEqual(self.can("can", "domain-set-memory-flags", "CONFIG", "idle")[0], 0)
        finally:
            self.vireo("undefine", "idle")

    @vireo_only("our own program")
    def test_can_read_only(self):
        code, answer = self.can("can", "domain-suspend", "-r", "-c", "test:///default")
        self.assertEqual((code, answer["readonly"]), (1, True))
        self.assertIn("read only", answer["reason"])
        self.assertEqual(self.can("can", "domain-get-info", "-r", "-c", "test:///default")[0], 0)

    @vireo_only("our own program")
    def test_can_everything(self):
        offers = {offer["op"]: offer for offer in self.json("can", "-c", "test:///default")["offers"]}
        self.assertGreater(len(offers), 400)
        self.assertEqual([offers[op]["how"] for op in ("domain_suspend", "domain_create", "domain_snapshot_num",
                                                       "network_undefine")], ["native", "derived", "core", "no"])
        self.assertEqual(offers["domain_create"]["by"], "domain_create_with_flags")
        of_domain = self.json("can", "--domain", "test", "-c", "test:///default")
        self.assertEqual(of_domain["domain"]["name"], "test")
        self.assertNotIn("connect_get_type", [offer["op"] for offer in of_domain["offers"]])
        self.assertIn("domain_revert_to_snapshot", [offer["op"] for offer in of_domain["offers"]])
        text = self.vireo("can", "-c", "test:///default")
        self.assertIn("derived from domain-create-with-flags", text)
        self.assertNotIn("network-undefine", text)
        self.assertIn("network-undefine", self.vireo("can", "--all", "-c", "test:///default"))

    @vireo_only("libvirtd has other words")
    def test_typed_parameters_that_make_no_sense(self):
        """Refused by the core, before the driver, for the operation and for what is derived from it."""
        def change(op, *params, **kwargs):
            fields = json.dumps([{"field": name, "value": value} for name, value in params])
            return ("-c", "test:///default", "call", op, "dom=test", f"params={fields}", *kwargs.get("more", ["flags=CONFIG"]))

        memory = "domain_set_memory_parameters"
        message = self.fails(*change(memory, ("hard_limitt", {"ul": 5})))
        for part in ("'hard_limitt'", "known: hard_limit, soft_limit", "argument unsupported"):
            self.assertIn(part, message)
        self.assertIn("'hard_limit' is of type unsigned int, expected unsigned long long",
                      self.fails(*change(memory, ("hard_limit", {"ui": 5}))))
        self.assertIn("'hard_limit' is given more than once",
                      self.fails(*change(memory, ("hard_limit", {"ul": 500000}), ("hard_limit", {"ul": 500000}))))
        self.assertIn("'speed'", self.fails(*change("domain_set_scheduler_parameters", ("speed", {"ui": 5}), more=[])))
        self.vireo(*change(memory, ("hard_limit", {"ul": 4000000})))
        self.assertIn("4000000", self.virsh("memtune", "test", "--config", uri=self.daemon.uri("test", "/default")))
        # flags are looked at first
        self.assertIn("0x40000000", self.fails(*change(memory, ("hard_limitt", {"ul": 5}), more=["flags=1073741824"])))

    @vireo_only("our own program")
    def test_driver_tells_how_each_operation_is_served(self):
        offers = {offer["op"]: offer["how"] for offer in self.json("driver", "qemu")["offers"]}
        self.assertEqual([offers[op] for op in ("domain_snapshot_delete", "domain_create", "domain_snapshot_num")],
                         ["native", "derived", "core"])
        self.assertIn("derived from domain-create-with-flags", self.vireo("driver", "qemu"))

    @vireo_only("our own program")
    def test_completion_of_operations_and_flags(self):
        self.assertEqual(self.vireo("__complete", "--", "can", "domain-shutdown-f").split(), ["domain-shutdown-flags"])
        self.assertIn("SIGNAL", self.vireo("__complete", "--", "can", "domain-shutdown-flags", "").split())
        self.assertEqual(self.vireo("__complete", "--", "can", "domain-shutdown-flags", "SIGNAL,G").split(),
                         ["SIGNAL,GUEST_AGENT"])
        self.assertEqual(self.vireo("__complete", "--", "-c", "test:///default", "can", "domain-suspend", "none",
                                    "te").split(), ["test"])

    def test_another_daemon(self):
        if self.daemon.is_vireo:
            self.skipTest("about daemons that are not vireod")
        self.assertIn("not vireod", self.fails("drivers"))
        self.assertIn("not vireod", self.fails("can", "domain-snapshot-delete", "-c", "qemu", code=3))


if __name__ == "__main__":
    main()
