# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trees as they come: random operations on a guest with two disks, and after each of them every snapshot holds its own
bytes, every image is whole, and no file is left that nothing needs.

VIREO_TEST_STEPS and VIREO_TEST_SEED make the walk longer, or repeat one."""
import os
import random
import string
import subprocess

import qemutest
from imagetest import Case, libvirt

STEPS = int(os.environ.get("VIREO_TEST_STEPS", "30"))
SEED = int(os.environ.get("VIREO_TEST_SEED", "4"))
SNAPSHOTS_MAX = 9
REVERT = {"": 0, "running": libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING,
          "paused": libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED, "force": libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE}


class Walk(Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.serial = None
        self.letters, self.memory = {}, {}
        self.count = 0

    # the guest

    def is_on(self):
        return self.state("a") != "shut off"

    def talk(self):
        if self.state("a") == "paused":
            self.virsh("resume", "a")
        line = self.line("a")
        line.wake()
        return line

    def put(self):
        """Another letter on both disks, and in memory."""
        self.letter = self.random.choice(string.ascii_uppercase)
        if self.is_on():
            line = self.talk()
            line.ask("m" + self.letter, "M=" + self.letter)
            self.write_both(line, self.letter)
            return
        for path in self.targets("a").values():
            subprocess.run(["qemu-io", "-c", f"write -P {ord(self.letter)} 32k 512", path], check=True,
                           stdout=subprocess.DEVNULL)

    def look(self):
        if self.is_on():
            self.read_both(self.talk(), self.letter)
            return
        for path in self.targets("a").values():
            self.sector(self.letter, path)

    # operations

    def take(self):
        self.count += 1
        name = f"n{self.count}"
        kinds = [self.random.choice(("internal", "external")) for _ in range(2)]
        options = [word for disk, kind in zip(("vda", "vdb"), kinds)
                   for word in ("--diskspec", f"{disk},snapshot={kind}")]
        how = self.random.choice(("memory", "inside", "disks")) if self.is_on() else "off"
        if how == "memory":
            options += ["--memspec", os.path.join(self.dir, name + ".mem")]
        elif how == "inside" and "internal" in kinds:
            pass
        elif how != "off":
            options += ["--disk-only"]
        with_memory = self.is_on() and "--disk-only" not in options
        self.log(f"take {name} {how} {kinds}")
        self.virsh("snapshot-create-as", "a", name, *options)
        self.letters[name] = self.letter
        self.memory[name] = with_memory

    def pick(self):
        return self.random.choice(sorted(self.letters)) if self.letters else None

    def go(self):
        name, how = self.pick(), self.random.choice(sorted(REVERT))
        if not name:
            return
        self.log(f"revert {name} {how}")
        self.revert(name, REVERT[how])
        self.letter = self.letters[name]
        on = self.memory[name] or how in ("running", "paused")
        self.assertEqual(self.is_on(), on)
        if self.memory[name]:
            self.talk().ask("g", "M=" + self.letter)

    def drop(self, name=None):
        name, how = name or self.pick(), self.random.choice(((), (), (), ("--children",), ("--children-only",)))
        if not name:
            return
        self.log(f"delete {name} {how}")
        self.virsh("snapshot-delete", "a", name, *how)
        left = self.names("snapshot-list", "a", "--name")
        self.assertEqual(name in left, "--children-only" in how)
        self.letters = {name: letter for name, letter in self.letters.items() if name in left}

    def switch(self):
        self.log("switch")
        if self.is_on():
            self.virsh("destroy", "a")
        else:
            self.virsh("start", "a")
            self.talk()

    def accident(self):
        """The daemon dies, maybe while it merges."""
        self.log("kill the daemon")
        self.daemon.kill()
        self.daemon.start_vireod()

    def log(self, what):
        self.story.append(what)

    def test_walk(self):
        self.story = []
        self.nano()
        self.put()
        operations = [self.take] * 6 + [self.go] * 4 + [self.drop] * 4 + [self.put] * 3 + [self.switch, self.accident]
        try:
            for _ in range(STEPS):
                if len(self.letters) >= SNAPSHOTS_MAX:
                    self.drop()
                self.random.choice(operations)()
                self.check()
        except BaseException:
            print(f"seed {SEED}, after {len(self.story)} steps:", *self.story, sep="\n  ")
            raise
        if self.is_on():
            self.virsh("destroy", "a")
        self.healthy()
        for name in sorted(self.letters):
            self.force(name)
            self.letter = self.letters[name]
            self.look()

    def check(self):
        self.assertEqual(self.names("snapshot-list", "a", "--name"), sorted(self.letters))
        self.look()
        self.put()
        self.nothing_leaked()
        if not self.is_on():
            self.healthy()
        for name, letter in self.letters.items():
            self.assertEqual(self.snapshot_sector(name), {letter}, name)


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
