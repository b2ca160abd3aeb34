# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images that are edited behind the daemon's back, before an operation or in the middle of it: taken away, cut off, of
another format, based on themselves, replaced. The call does what was asked for or says which image is wrong; put back
as it was, everything is there.

VIREO_TEST_LONG=1: each operation with each image and each damage. VIREO_TEST_ONLY=WORD: operations with that word;
VIREO_TEST_FROM=NAME, VIREO_TEST_TO=NAME: from that one to that; VIREO_TEST_EVERY=N: each N-th accident."""
import itertools
import os
import subprocess
import sys

import qcow2
import qemutest
import stoptest
from imagetest import libvirt
from treetest import Skip, Wrong

SAMPLES = 1 if stoptest.SANITIZED or stoptest.FEW else 2    # of each operation


def away(path):
    pass


def cut_off(path):
    with open(path, "wb") as stream, open(path + ".aside", "rb") as whole:
        stream.write(whole.read(70000))


def other_format(path):
    with open(path, "wb") as stream:
        stream.write(b"KDMV" + b"\1\0\0\0" + b"x" * 200000)


def loop(path):
    subprocess.run(["cp", path + ".aside", path], check=True)
    subprocess.run(["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-b", path, "-F", "qcow2", path], check=True)


def replaced(path):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)


DAMAGES = (away, cut_off, other_format, loop, replaced)
# Which image of the chain of vda: counted from the one the guest writes to.
IMAGES = (0, 1, 2)
START = ("start", stoptest.OFF, ["start", "a", True])


class Behind(stoptest.Case):
    def test_images(self):
        def one(name, before, step):
            if step[0] in ("define", "rename", "commit", "copy", "pull"):
                return
            total, _, after = self.count(before, step, stoptest.STEPS)
            cases = [(damage, image, at) for damage, image, at in
                     itertools.product(DAMAGES, IMAGES, (0, 1, max(1, total // 2))) if (damage, image) != (replaced, 0)]
            for number in stoptest.sample(range(len(cases)), SAMPLES):
                damage, image, at = cases[number]
                with self.subTest(operation=name, damage=damage.__name__, image=image, step=at):
                    self.one(before, step, after, damage, image, at)
        self.each_operation(one, [START])

    def test_base_gone_before_the_start(self):
        """A revert that has switched, and whose guest does not start: what was to follow is done all the same."""
        _, before, step = next(one for one in stoptest.OPERATIONS if one[0] == "revert to memory inside, off")
        total, _, after = self.count(before, step, stoptest.STEPS)
        at = max(number for number in range(1, total + 1) if "/domains/" in self.scene.name_of(number))
        self.one(before, step, after, away, 2, at)

    def one(self, before, step, after, damage, image, at):
        scene = self.scene
        first = self.prepare(before, stoptest.STEPS, at)
        dom = scene.domains["a"]
        path = qcow2.Reader().chain(dict((dev, top) for dev, top, _ in scene.tops(dom))["vda"])[image]
        aside = path + ".aside"

        def harm():
            os.rename(path, aside)
            damage(path)
            if os.path.exists(path):
                os.chmod(path, 0o666)

        if not at:
            harm()
        error = scene.during(lambda: self.operate(step), harm if at else lambda: None)
        reached, where = not at or bool(scene.stops.reached), scene.name_of(at) if at else "before it"
        scene.disarm()
        try:
            self.assertIsNone(scene.daemon.process.poll(), "the daemon is dead")
            if isinstance(error, libvirt.libvirtError):
                self.assertRegex(str(error), "/i/|disk '", "it does not say which image")
            elif error and not isinstance(error, (Wrong, Skip, FileNotFoundError)):
                raise error
            if damage is not away:
                scene.kill_guests()    # a guest that has opened the wrong one would go on with that
            if reached and damage is replaced:
                self.forget_points(aside, first, after)
            merged = damage is replaced and not self.is_needed(path)
            if reached:
                self.put_back(path, aside)
            if merged:
                return    # with what had come into its place: nothing tells that from the right one
            scene.catch_up()
            qemutest.wait_until(scene.knows_guests, 20, "the end of QEMU is noticed")
            scene.leaky = True    # what was written to an image that was replaced then
            scene.adopt_one_of(first, after, seconds=5)
            scene.settle()
            scene.use()
        except Exception as problem:
            stoptest.progress(f"{damage.__name__} {path} at step {at} ({where}): {problem}")
            scene.daemon.show_log()
            raise AssertionError(f"{damage.__name__} {os.path.basename(path)} at step {at} ({where}), the call said "
                                 f"{error}: {problem}") from problem
        Behind.done += reached

    def forget_points(self, path, *models):
        """Those of an image in whose place there was another, without any: they may have gone with it."""
        for model in models:
            model[4].update(f"{tag} in {os.path.basename(path[:-len('.aside')])}" for tag in qcow2.Image(path).snapshots)

    def put_back(self, path, aside):
        """Unless it was to go: then it has, and the one aside is ours."""
        if os.path.exists(path) or self.is_needed(path):
            os.rename(aside, path)
        else:
            os.unlink(aside)

    def is_needed(self, path):
        """Whether something still refers to it."""
        scene = self.scene
        needed = {top for dom in scene.domains.values() for _, top, _ in scene.tops(dom, active=False)}
        for handle in scene.lv(scene.domains["a"]).listAllSnapshots():
            needed |= {source for _, source, *_ in scene.sources(scene.domains["a"], handle.getName())[0]}
        for name in os.listdir(scene.dir):
            try:
                needed.add(os.path.realpath(qcow2.Image(scene.file(name)).backing or ""))
            except ValueError:
                continue
        return path in needed


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    if not os.path.exists(stoptest.LIBRARY):
        sys.exit(f"{stoptest.LIBRARY} is not built")
    sys.stdout.reconfigure(line_buffering=True)
    qemutest.main()
