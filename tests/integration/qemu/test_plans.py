# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plans: what `vireo plan` says is what then happens, what would be refused is refused in the same words, and nothing
is done before.

VIREO_TEST_STEPS and VIREO_TEST_SEED make the walk longer, or repeat one."""
import json
import os
import random
import time

import qemutest
from agenttest import CHANNEL
from plantest import REVERT_OPTIONS, PlanCase

STEPS = int(os.environ.get("VIREO_TEST_STEPS", "30"))
SEED = int(os.environ.get("VIREO_TEST_SEED", "4"))


class Walk(PlanCase):
    """Random trees, with the plan of each step held against the directory before and after."""

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.count = 0

    def is_on(self):
        return self.state("a") != "shut off"

    def pick(self):
        return self.random.choice(self.names("snapshot-list", "a", "--name"))

    def take(self):
        self.count += 1
        kinds = [self.random.choice(("internal", "external")) for _ in range(2)]
        options = [word for disk, kind in zip(("vda", "vdb"), kinds)
                   for word in ("--diskspec", f"{disk},snapshot={kind}")]
        if self.is_on() and ("internal" not in kinds or self.random.random() < 0.5):
            memory = ["--memspec", os.path.join(self.dir, f"n{self.count}.mem")]
            options += ["--disk-only"] if self.state("a") == "paused" else self.random.choice((["--disk-only"], memory))
        self.planned("snapshot-create-as", "a", f"n{self.count}", *options)

    def back(self):
        name, flag = self.pick(), self.random.choice((0, *REVERT_OPTIONS))
        options = [REVERT_OPTIONS[flag]] if flag else []
        self.planned("snapshot-revert", "a", name, *options, done=lambda: self.revert(name, flag))

    def drop(self):
        self.planned("snapshot-delete", "a", self.pick(),
                     *self.random.choice(((), (), ("--children",), ("--children-only",))))

    def switch(self):
        if self.state("a") == "paused":
            self.virsh("resume", "a")
        elif self.is_on():
            self.virsh("destroy", "a")
        else:
            self.virsh("start", "a")
            self.line("a").wake()

    def test_walk(self):
        self.nano()
        for _ in range(STEPS):
            there = self.names("snapshot-list", "a", "--name")
            steps = [self.take] * 6 + ([self.back] * 4 + [self.drop] * 4 if there else []) + [self.switch]
            (self.drop if len(there) > 8 else self.random.choice(steps))()
        if self.is_on():
            self.virsh("destroy", "a")


class Plans(PlanCase):
    def base(self, name):
        return os.path.join(self.dir, name)

    def kinds(self, plan, when="now"):
        return [step["kind"] for step in plan["steps"] if step["when"] == when]

    def test_create(self):
        self.two()
        plan, _ = self.planned("snapshot-create-as", "a", "s1", "--disk-only")
        self.assertEqual(plan["writes"], [self.base("one.s1"), self.base("two.s1")])
        self.assertEqual((plan["guest"], plan["removes"], plan["bytes_now"]), ("untouched", [], 0))
        plan, _ = self.planned("snapshot-create-as", "a", "s2")
        self.assertEqual(plan["changes"], [self.base("one.s1"), self.base("two.s1")])
        self.assertEqual(self.kinds(plan), ["point", "point", "keep", "current"])

    def test_delete_in_the_background(self):
        self.two()
        self.fill(1)
        for name in "s1", "s2", "s3":
            self.virsh("snapshot-create-as", "a", name, "--disk-only")
            self.fill(2)
        plan, _ = self.planned("snapshot-delete", "a", "s2")
        self.assertEqual(self.kinds(plan), ["forget"])
        self.assertEqual(self.kinds(plan, "later"), ["pull", "unlink"] * 2)
        self.assertGreater(plan["bytes_later"], 64 * 1024)
        self.assertEqual(plan["removes"], [self.base("one.s1"), self.base("two.s1")])
        self.assertEqual(plan["guest"], "untouched")

    def test_what_stays_and_why(self):
        path, _ = self.two()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        self.virsh("snapshot-create-as", "a", "s2", "--disk-only")
        other = self.image("other.qcow2", "-b", self.base("one.s1"), "-F", "qcow2")
        plan, _ = self.planned("snapshot-delete", "a", "s2")
        reasons = {kept["file"]: kept["reason"] for kept in plan["kept"]}
        self.assertIn(other, reasons[self.base("one.s1")])
        plan, _ = self.planned("snapshot-delete", "a", "s1")
        reasons = {kept["file"]: kept["reason"] for kept in plan["kept"]}
        self.assertIn("not made by a snapshot", reasons[path])
        text = self.vireo("plan", "undefine", "a")
        self.assertIn("forget the domain", text)
        self.assertIn("Guest:   is not touched", text)

    def test_metadata_only(self):
        self.two()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        plan, _ = self.planned("snapshot-delete", "a", "s1", "--metadata")
        self.assertEqual(self.kinds(plan), ["forget"])
        self.assertEqual({kept["file"] for kept in plan["kept"]}, {self.base("one.s1"), self.base("two.s1")})

    def test_undefine(self):
        self.two()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        self.virsh("snapshot-create-as", "a", "i1")
        before = self.files()
        plan = self.plan("undefine", "a", "--snapshots-metadata")
        self.assertEqual(self.kinds(plan), ["forget", "forget", "undefine"])
        self.assertEqual({(kept["file"], kept.get("point")) for kept in plan["kept"]},
                         {(self.base("one.s1"), None), (self.base("two.s1"), None),
                          (self.base("one.s1"), "i1"), (self.base("two.s1"), "i1")})
        self.virsh("undefine", "a", "--snapshots-metadata")
        self.assertEqual(self.files(), before)

    def test_same_refusals(self):
        self.two("qcow2", "raw")
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        for words in (["undefine", "a"], ["snapshot-create-as", "a", "s1"],
                      ["snapshot-create-as", "a", "s2", "--quiesce"],
                      ["snapshot-delete", "a", "s1", "--children", "--children-only"], ["snapshot-delete", "a", "no"],
                      ["snapshot-create-as", "a", "s2", "--disk-only", "--diskspec", "vdx"],
                      ["snapshot-revert", "a", "s1", "--running", "--paused"]):
            self.assertEqual(self.refusal("plan", *words), self.refusal(*words))

    def test_foreseen_while_it_runs(self):
        """What would only come out on the way is said before, too."""
        _, paths = self.nano()
        for words, text in ((["--quiesce", "--disk-only"], "no channel"),
                            (["--memspec", paths[0]], "exists already"),
                            (["--disk-only", "--diskspec", f"vda,file={paths[1]}"], "exists already")):
            self.assertIn(text, self.refusal("plan", "snapshot-create-as", "a", "s1", *words))
        plan = self.plan("snapshot-create-as", "a", "s1", "--memspec", "/proc/s1.mem")    # there is never room
        self.assertIn("/proc has only 0 KiB left",
                      next(step["text"] for step in plan["steps"] if step["file"] == "/proc/s1.mem"))
        self.virsh("destroy", "a")
        channel = CHANNEL.format(source="")
        self.virsh("define", self.write("agent.xml", self.virsh("dumpxml", "a").replace("</devices>",
                                                                                          channel + "</devices>")))
        self.virsh("start", "a")
        words = ["snapshot-create-as", "a", "s1", "--quiesce", "--disk-only"]
        begin = time.monotonic()
        self.assertIn("is not connected", self.refusal("plan", *words))
        self.assertLess(time.monotonic() - begin, 4, "nobody is waited for")
        self.assertEqual(self.refusal("plan", *words), self.refusal(*words))
        self.assertEqual(self.files(), ["one.qcow2", "two.qcow2"])

    def test_words(self):
        """Completion and mistakes."""
        self.two()
        complete = lambda *words: self.vireo("__complete", "--", *words).split()
        self.assertEqual(set(complete("plan", "")), {"snapshot-create", "snapshot-create-as", "snapshot-delete",
                                                     "snapshot-revert", "undefine"})
        self.assertIn("--children", complete("plan", "snapshot-delete", "--chi"))
        self.assertEqual(complete("plan", "snapshot-delete", ""), ["a"])
        self.assertEqual(complete("doctor", ""), ["a"])
        for words in ["plan"], ["plan", "start", "a"], ["plan", "nothing"], ["plan", "snapshot-delete", "a"]:
            done = self.run_vireo(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)

    def test_read_only(self):
        self.two()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        self.vireo("--readonly", "plan", "snapshot-delete", "a", "s1")
        self.vireo("-r", "plan", "snapshot-revert", "a", "s1")
        self.assertIn("read only access", self.refusal("-r", "plan", "snapshot-create-as", "a", "s2"))
        self.assertIn("read only access", self.refusal("-r", "snapshot-delete", "a", "s1"))
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1"])

    def test_block_jobs(self):
        """Over the wire only: vireo has no commands for these."""
        line, paths = self.nano()
        line.wake()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--no-metadata")
        self.virsh("snapshot-create-as", "a", "s2", "--disk-only", "--no-metadata")

        def plan(op, **fields):
            words = [f"{name}={value}" for name, value in fields.items()]
            return json.loads(self.vireo("call", op, "dom=a", *words))
        before = self.contents()
        told = plan("vireo_plan_block_commit", disk="vda", top=self.base("one.s1"), flags="DELETE")
        self.assertEqual([(step["kind"], step["file"]) for step in told["steps"]],
                         [("commit", paths[0]), ("unlink", self.base("one.s1"))])
        told = plan("vireo_plan_block_rebase", path="vda", base=self.base("one.s1"))
        self.assertEqual([(step["kind"], step["file"], step["other"]) for step in told["steps"]],
                         [("pull", self.base("one.s2"), self.base("one.s1"))])
        self.assertEqual(set(before), set(self.contents()))
        self.assertIn("ACTIVE", self.refusal("call", "vireo_plan_block_commit", "dom=a", "disk=vda"))
        self.virsh("blockcommit", "a", "vda", "--top", self.base("one.s1"), "--delete", "--wait")
        qemutest.wait_until(lambda: "one.s1" not in self.files(), 10, "what was committed is removed")
        self.virsh("destroy", "a")

    def test_running_guest(self):
        line, _ = self.nano()
        line.wake()
        memory = self.base("s1.mem")
        plan, _ = self.planned("snapshot-create-as", "a", "s1", "--memspec", memory)
        self.assertIn(memory, plan["writes"])
        self.assertEqual((plan["guest"], plan["bytes_now"]), ("paused", 16 << 20))
        self.assertGreater(plan["pause_us"], 0)
        plan, _ = self.planned("snapshot-create-as", "a", "i1")
        self.assertEqual(plan["bytes_now"], 16 << 20)
        plan, _ = self.planned("snapshot-revert", "a", "i1")
        self.assertEqual(plan["guest"], "loaded")
        plan, _ = self.planned("snapshot-revert", "a", "s1")
        self.assertEqual((plan["guest"], plan["pause_us"]), ("restarted", None))
        plan, _ = self.planned("snapshot-delete", "a", "s1", "--children")
        self.assertIn(memory, plan["removes"])
        self.assertEqual(plan["guest"], "untouched")
        self.virsh("destroy", "a")


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
