# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trees as they come: random operations on guests that are off, paused and running, and after each of them every
snapshot, the present and what others made of them hold their own bytes, every image is whole, and no file is left that
nothing needs. Some guests have UEFI firmware, an agent, checkpoints, or disks of an NBD server (widetest).

VIREO_TEST_STEPS (in all), VIREO_TEST_SEED (of the first walk) and VIREO_TEST_WALK (steps of one, otherwise drawn) make
it longer, or repeat one; VIREO_TEST_SHAPE=N: disks as in the N-th of SHAPES only. A walk that fails is made shorter, and printed: VIREO_TEST_REPLAY=FILE does that list again.
Parts (VIREO_TEST_PART) differ in their seeds, and run side by side."""
import json
import os
import random
import string
import sys
import time
import traceback
import unittest

import qemutest
import treetest
import widetest
from imagetest import libvirt

SANITIZED = "ASAN_OPTIONS" in os.environ
STEPS = int(os.environ.get("VIREO_TEST_STEPS", "150" if SANITIZED else "900"))
PART = int(os.environ.get("VIREO_TEST_PART", "1"))
SEED = int(os.environ.get("VIREO_TEST_SEED", f"{PART * 100}"))
WALK = int(os.environ.get("VIREO_TEST_WALK", "0"))
WALK_MIN, WALK_MAX = 40, 200
REPLAY = os.environ.get("VIREO_TEST_REPLAY")
SHRINK_S = int(os.environ.get("VIREO_TEST_SHRINK", "60"))
SNAPSHOTS_MAX = 9
# How often; those after the blank only while the guest is off, or on.
WEIGHTS = {"put": 12, "take": 20, "revert": 14, "delete": 14, "forget": 3, "redefine": 2, "define": 1, "restart": 2,
           "abort": 1,
           "start": 3, "move": 1, "rename": 1,
           "borrow": 1, "return": 1,
           "suspend": 2, "resume": 3, "destroy": 3, "kill_qemu": 1, "pull": 1, "commit": 1, "copy": 1}
SET = {"set": 8}    # where there are variables of firmware
POINTS = {"point": 4, "unpoint": 1, "backup": 4}    # where there are checkpoints
SHAPES = [(("qcow2", "qcow2"),), (("qcow2",),), (("qcow2", "raw"),), (("qcow2", "qcow2", "qcow2"),),
          (("qcow2", "qcow2"), ("qcow2", "qcow2")), (("qcow2", "raw", "qcow2"),),
          (("nbd-raw",),), (("qcow2", "nbd-qcow2"),), (("nbd-qcow2", "nbd-raw"),)]
SHAPE = os.environ.get("VIREO_TEST_SHAPE")


class Dice:
    """Draws steps that make sense for what is there."""

    def __init__(self, seed):
        self.random, self.count = random.Random(seed), 0
        shape = self.random.choice(SHAPES) if SHAPE is None else SHAPES[int(SHAPE)]
        far = any(kind.startswith("nbd-") for disks in shape for kind in disks)
        self.world = {"domains": shape, "based": self.random.random() < 0.3 and not far}
        # Most of it is about files: a guest that runs costs more time.
        self.off = self.random.random() < 0.6
        self.weights = dict(WEIGHTS)
        if self.random.random() < 0.15 and widetest.HAS_UEFI:
            self.world["uefi"] = self.random.choice(["fd", "qcow2"])
            self.weights.update(SET)
        elif self.random.random() < 0.2:
            self.world["agent"] = True
        if self.random.random() < 0.25:
            self.weights.update(POINTS)

    def letter(self):
        return self.random.choice(string.ascii_uppercase)

    def number(self):
        self.count += 1
        return self.count

    def step(self, world):
        """[operation, argument, ...]"""
        dom = world.domains[self.random.choice(sorted(world.domains))]
        if len(dom.snapshots) >= SNAPSHOTS_MAX:
            return ["delete", dom_key(world, dom), self.snap(dom), self.random.choice(["", "", "children"])]
        operation = self.random.choices(list(self.weights), list(self.weights.values()))[0]
        if operation == "start" and self.off and self.random.random() < 0.9:
            operation = "take"
        draw = getattr(self, "draw_" + operation, None)
        return [operation, *(draw(world, dom) if draw else [dom_key(world, dom)])]

    def snap(self, dom):
        return self.random.choice(sorted(dom.snapshots) or ["none"])

    def draw_put(self, world, dom):
        cells = {target: {str(cell): self.letter() for cell in
                          self.random.sample(range(treetest.CELLS), self.random.randint(1, 3))}
                 for target in sorted(dom.disks) if self.random.random() < 0.8}
        return [dom_key(world, dom), cells, self.letter()]

    def draw_start(self, world, dom):
        return [dom_key(world, dom), self.random.random() < 0.5]

    def draw_restart(self, world, dom):
        return [self.random.random() < 0.7]

    def draw_take(self, world, dom):
        style = self.random.choice(["mixed", "mixed", "external", "internal", "any"])
        kinds = {"mixed": ["internal", "external"], "any": ["internal", "external", "no", "manual"]}
        disks = {target: self.random.choice(kinds.get(style, [style])) for target in sorted(dom.disks)}
        memory, flags = None, []
        if dom.state != "off":
            memory = self.random.choice([None, None, "no", "internal", "external", "external"])
            if memory is None and self.random.random() < 0.4:
                flags.append("disk_only")
            if self.random.random() < 0.1:
                flags.append("halt")
            elif memory == "external" and dom.state == "running" and self.random.random() < 0.4:
                flags.append("live")
            if self.world.get("agent") and dom.state == "running" and self.random.random() < 0.4:
                flags.append("quiesce")
        for flag, chance in ("atomic", 0.1), ("no_metadata", 0.02):
            if self.random.random() < chance:
                flags.append(flag)
        return [dom_key(world, dom), f"s{self.number()}", disks, memory, flags]

    def draw_revert(self, world, dom):
        how = self.random.choice(["", "", "force"] if self.off else ["", "", "running", "paused", "force"])
        return [dom_key(world, dom), self.snap(dom), how]

    def draw_delete(self, world, dom):
        how = self.random.choice(["", "", "", "", "children", "children_only"])
        return [dom_key(world, dom), self.snap(dom), how]

    def draw_forget(self, world, dom):
        return [dom_key(world, dom), self.snap(dom), self.random.random() < 0.7]

    def draw_redefine(self, world, dom):
        return [dom_key(world, dom), self.snap(dom), self.random.random() < 0.5]

    def draw_rename(self, world, dom):
        return [dom_key(world, dom), f"{dom_key(world, dom)}{self.number()}"]

    def draw_borrow(self, world, dom):
        return [dom_key(world, dom), self.target(dom), f"hand{self.number()}.qcow2"]

    def draw_return(self, world, dom):
        return [os.path.basename(self.random.choice(sorted(world.others) or ["none"]))]

    def target(self, dom):
        return self.random.choice(sorted(dom.disks))

    def draw_pull(self, world, dom):
        return [dom_key(world, dom), self.target(dom)]

    draw_commit = draw_pull

    def draw_set(self, world, dom):
        return [dom_key(world, dom), self.letter()]

    def draw_point(self, world, dom):
        targets = [target for target in sorted(dom.disks) if self.random.random() < 0.8]
        return [dom_key(world, dom), f"c{self.number()}", targets]

    def draw_unpoint(self, world, dom):
        return [dom_key(world, dom), self.random.choice(sorted(dom.points) or ["none"])]

    draw_backup = draw_unpoint

    def draw_copy(self, world, dom):
        return [*self.draw_pull(world, dom), f"copy{self.number()}.qcow2"]


def dom_key(world, dom):
    return next(key for key, one in world.domains.items() if one is dom)


def do(world, step):
    """Whether it could be done."""
    try:
        getattr(world, "do_" + step[0])(*step[1:])
        return True
    except treetest.Skip:
        return False
    except KeyError:
        return False


class Failed(Exception):
    def __init__(self, setup, steps, problem):
        super().__init__(problem)
        self.setup, self.steps, self.problem = setup, steps, problem


def explain(problem):
    return "".join(traceback.format_exception(problem)[-6:])


def describe(world):
    try:
        return world.describe()
    except (OSError, ValueError, libvirt.libvirtError) as error:
        return f"(no more is known: {error})"


def walk(seed, most, refusals):
    """The steps that were done; Failed when something is wrong."""
    dice = Dice(seed)
    length = min(most, WALK or dice.random.randint(WALK_MIN, WALK_MAX))
    world = widetest.World(**dice.world)
    steps = []
    try:
        while len(steps) < length:
            step = dice.step(world)
            steps.append(step)
            if not do(world, step):
                steps.pop()
                continue
            world.check(wait=dice.random.random() < 0.8)
        end(world)
        for text, count in world.refusals.items():
            refusals[text] = refusals.get(text, 0) + count
    except (treetest.Wrong, AssertionError, libvirt.libvirtError, OSError, ValueError) as error:
        raise Failed(dice.world, steps, describe(world) + "\n" + explain(error)) from error
    finally:
        world.close()
    return steps


def end(world):
    """Everything off, looked at by qemu-img, and then each snapshot once more, by going there."""
    for name in world.domains:
        do(world, ["destroy", name])
    world.check()
    world.check_all()
    for name, dom in world.domains.items():
        for snap in sorted(dom.snapshots):
            do(world, ["revert", name, snap, "force"])
            do(world, ["destroy", name])
            world.check()
        while dom.snapshots:
            do(world, ["delete", name, sorted(dom.snapshots)[0], "children"])
        world.check()


def replay(setup, steps):
    """The problem, or None."""
    world = widetest.World(**setup)
    try:
        for step in steps:
            if do(world, step):
                world.check()
        end(world)
    except (treetest.Wrong, AssertionError, libvirt.libvirtError, OSError, ValueError) as error:
        return describe(world) + "\n" + explain(error)
    finally:
        try:
            world.close()
        except treetest.Wrong as error:
            return str(error)
    return None


def kind(problem):
    """What went wrong, without names."""
    return problem.rstrip().splitlines()[-1][:40]


def shrink(failed):
    """Leaves out what can be left out, while there is time."""
    steps, problem, deadline = list(failed.steps), failed.problem, time.monotonic() + SHRINK_S
    size = max(1, len(steps) // 2)
    while size and time.monotonic() < deadline:
        start, shorter = 0, False
        while start < len(steps) and time.monotonic() < deadline:
            rest = steps[:start] + steps[start + size:]
            found = replay(failed.setup, rest)
            if found and kind(found) == kind(failed.problem):
                steps, problem, shorter = rest, found, True
            else:
                start += size
        if not shorter or size > 1:
            size //= 2
    return steps, problem


class Trees(unittest.TestCase):
    def tell(self, title, failed, steps, problem):
        print(f"{title}: {problem}\nthese steps ({len(failed.steps)} at first), for VIREO_TEST_REPLAY:", flush=True)
        print('{"world": ' + json.dumps(failed.setup) + ', "steps": [')
        print(",\n".join("  " + json.dumps(step) for step in steps) + "\n]}")
        print("at first: " + json.dumps({"world": failed.setup, "steps": failed.steps}))

    def test_walks(self):
        if REPLAY:
            with open(REPLAY, encoding="utf-8") as stream:
                saved = json.load(stream)
            self.assertIsNone(replay(saved["world"], saved["steps"]))
            return
        done, seed, refusals, started = 0, SEED, {}, time.monotonic()
        while done < STEPS:
            try:
                done += len(walk(seed, STEPS - done, refusals))
            except Failed as failed:
                self.tell(f"seed {seed}, {failed.problem}", failed, *shrink(failed))
                self.fail(f"seed {seed}")
            seed += 1
        print(f"{done} steps in {seed - SEED} walks from seed {SEED}, {time.monotonic() - started:.0f} s")
        for text, count in sorted(refusals.items()):
            print(f"  refused {count} times: {text}")


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    sys.stdout.reconfigure(line_buffering=True)
    qemutest.main()
