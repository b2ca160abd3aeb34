# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon that stands still where a test wants it to, and a scene that can be set up again and again."""
import copy
import ctypes
import fcntl
import itertools
import mmap
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import unittest

import qemutest
import treetest
from imagetest import libvirt
from treetest import Wrong

NAMES, NAME = 400, 160
RENAME, UNLINK, START, COMMAND, CREATE, WRITE, SYNC = 1, 2, 4, 8, 16, 32, 64
STEPS = RENAME | UNLINK | START | COMMAND      # what others can see
WRITES = RENAME | CREATE | WRITE | SYNC         # what can fail for want of room
LIBRARY = os.path.join(qemutest.vireotest.BUILD, "tests", "integration", "qemu", "stops.so")
STUCK_S = 40


EXTERNAL = {"vda": "external", "vdb": "external"}
INTERNAL = {"vda": "internal", "vdb": "internal"}
MIXED = {"vda": "internal", "vdb": "external"}
OFF, PAUSED, RUNNING = [], [["start", "a", True]], [["start", "a", False]]
PUT = ["put", "a", {"vda": {"5": "X"}, "vdb": {"6": "Y"}}, "X"]
# name, what comes first, the operation
OPERATIONS = [
    ("take external, off", OFF, ["take", "a", "new", EXTERNAL, None, []]),
    ("take internal, off", OFF, ["take", "a", "new", INTERNAL, None, []]),
    ("take mixed, off", OFF, ["take", "a", "new", MIXED, None, []]),
    ("take external, on", RUNNING, ["take", "a", "new", EXTERNAL, None, ["disk_only"]]),
    ("take mixed without memory, on", PAUSED, ["take", "a", "new", MIXED, "no", []]),
    ("take with memory inside, on", RUNNING, ["take", "a", "new", MIXED, "internal", []]),
    ("take with memory in a file, on", RUNNING, ["take", "a", "new", EXTERNAL, "external", []]),
    ("take with memory in a file, paused", PAUSED, ["take", "a", "new", MIXED, "external", []]),
    ("take and halt", RUNNING, ["take", "a", "new", EXTERNAL, None, ["disk_only", "halt"]]),
    ("take by hand", RUNNING, ["take", "a", "new", {"vda": "manual", "vdb": "external"}, "no", []]),
    ("revert to overlays, off", OFF, ["revert", "a", "s1", ""]),
    ("revert to a mixed one, off", OFF, ["revert", "a", "s2", ""]),
    ("revert to the last, off", OFF, ["revert", "a", "s4", ""]),
    ("revert to the last, off, by force", OFF, ["revert", "a", "s4", "force"]),
    ("revert to memory inside, off", OFF, ["revert", "a", "s5", ""]),
    ("revert to memory in a file, off", OFF, ["revert", "a", "s6", ""]),
    ("revert to overlays, on", RUNNING, ["revert", "a", "s1", "running"]),
    ("revert to overlays and stop", PAUSED, ["revert", "a", "s3", ""]),
    ("revert to memory in a file, on", RUNNING, ["revert", "a", "s6", ""]),
    ("revert in place", RUNNING + [["take", "a", "in", INTERNAL, "internal", []], PUT], ["revert", "a", "in", ""]),
    ("delete the first, off", OFF, ["delete", "a", "s1", ""]),
    ("delete a mixed one, off", OFF, ["delete", "a", "s2", ""]),
    ("delete a leaf, off", OFF, ["delete", "a", "s3", ""]),
    ("delete memory inside, off", OFF, ["delete", "a", "s5", ""]),
    ("delete a branch, off", OFF, ["delete", "a", "s2", "children"]),
    ("delete all, off", OFF, ["delete", "a", "s1", "children"]),
    ("delete all but one, off", OFF, ["delete", "a", "s1", "children_only"]),
    ("delete the first, on", RUNNING, ["delete", "a", "s1", ""]),
    ("delete in the middle, on", PAUSED, ["delete", "a", "s4", ""]),
    ("delete the last, on", RUNNING, ["delete", "a", "s6", ""]),
    ("delete memory inside, on", PAUSED, ["delete", "a", "s5", ""]),
    ("delete all, on", RUNNING, ["delete", "a", "s1", "children"]),
    ("merge, on", RUNNING + [["take", "a", "m1", EXTERNAL, "no", []], PUT, ["take", "a", "m2", EXTERNAL, "no", []], PUT],
     ["delete", "a", "m1", ""]),
    ("merge, off", [["take", "a", "m1", EXTERNAL, None, []], PUT, ["take", "a", "m2", EXTERNAL, None, []], PUT],
     ["delete", "a", "m1", ""]),
    ("forget", OFF, ["forget", "a", "s3", False]),
    ("redefine a snapshot", OFF, ["redefine", "a", "s2", True]),
    ("define the domain", OFF, ["define", "a"]),
    ("rename the domain", OFF, ["rename", "a", "b"]),
    ("pull", RUNNING, ["pull", "a", "vda"]),
    ("commit", RUNNING + [["take", "a", "m1", EXTERNAL, "no", ["no_metadata"]], PUT], ["commit", "a", "vda"]),
    ("copy", RUNNING, ["copy", "a", "vda", "copy.qcow2"]),
]


LONG = bool(os.environ.get("VIREO_TEST_LONG"))
FEW = 0 if LONG else int(os.environ.get("VIREO_TEST_FEW", "0"))
ONLY = os.environ.get("VIREO_TEST_ONLY", "")
FROM, TO = os.environ.get("VIREO_TEST_FROM"), os.environ.get("VIREO_TEST_TO")
SANITIZED = "ASAN_OPTIONS" in os.environ
BEGAN = time.monotonic()
SEED = int(os.environ.get("VIREO_TEST_SEED", "1"))
DICE = random.Random(SEED)
EVERY, TURNS = int(os.environ.get("VIREO_TEST_EVERY", "1")), itertools.count(SEED)


def operations():
    """VIREO_TEST_FEW: not more than so many, by lot. VIREO_TEST_FROM, VIREO_TEST_TO: the first and the last of them."""
    names = [one[0] for one in OPERATIONS]
    first, last = names.index(FROM) if FROM else 0, names.index(TO) if TO else len(names)
    found = [one for one in OPERATIONS[first:last + 1] if ONLY in one[0]]
    return DICE.sample(found, FEW) if FEW and len(found) > FEW else found


def sample(cases, count):
    """So many of the cases; in the long form all. VIREO_TEST_EVERY=N: each N-th of them, from another one on for each
    operation."""
    if LONG:
        return cases[next(TURNS) % EVERY::EVERY]
    return sorted(DICE.sample(cases, min(count, len(cases))))


def progress(text):
    """A long run says how far it is."""
    if LONG:
        print(f"{time.monotonic() - BEGAN:6.0f} s  {text}", flush=True)


class Shared(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("armed", "count", "at", "failure", "reached", "go")] + \
        [("below", ctypes.c_char * NAME), ("names", ctypes.c_char * NAME * NAMES)]


class Scene(treetest.World):
    """A World that can be kept, and brought back as it was."""

    def __init__(self, mount=0, **kwargs):
        """mount: bytes of a file system of its own for the images; in a mount namespace only."""
        vireotest = qemutest.vireotest
        descriptor, path = vireotest.tempfile.mkstemp(prefix="vs.")
        os.truncate(descriptor, ctypes.sizeof(Shared))
        self.shared_path = path
        self.stops = Shared.from_buffer(mmap.mmap(descriptor, ctypes.sizeof(Shared)))
        os.close(descriptor)
        environment = {"LD_PRELOAD": LIBRARY, "VIREO_TEST_STOPS": path}
        if "ASAN_OPTIONS" in os.environ:
            environment["ASAN_OPTIONS"] = os.environ["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        vireotest.ENV.update(environment)
        try:
            super().__init__(mount=mount, **kwargs)
        finally:
            for name in environment:
                vireotest.ENV.pop(name)
        self.environment = environment
        self.stops.below = self.daemon.work.encode()

    def close(self):
        self.disarm()
        super().close()
        os.unlink(self.shared_path)

    def lock_is_free(self):
        """A child that was about to become a program holds what its daemon held."""
        path = os.path.join(self.daemon.root, "run/vireo/vireod.pid")
        if not os.path.exists(path):
            return True
        with open(path, "rb+") as stream:
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                return False

    def start_daemon(self):
        qemutest.wait_until(self.lock_is_free, 10, "nobody holds the pid file")
        qemutest.vireotest.ENV.update(self.environment)
        try:
            self.daemon.start_vireod()
        finally:
            for name in self.environment:
                qemutest.vireotest.ENV.pop(name)
        self.open()

    # setting up

    def parts(self):
        return (os.path.join(self.daemon.root, "var"), os.path.join(self.daemon.root, "etc"), self.dir)

    def keep(self):
        """Everything is off; brings the daemon down and back."""
        for name, dom in self.domains.items():
            if dom.state != "off":
                self.do_destroy(name)
        self.check()
        self.conn.close()
        self.daemon.stop()
        shutil.rmtree(self.saved("x"), ignore_errors=True)
        for path in self.parts():
            subprocess.run(["cp", "-a", path, self.saved(os.path.basename(path))], check=True)
        self.template = self.model()
        self.start_daemon()

    def saved(self, name):
        return os.path.join(self.daemon.work, "saved." + name)

    def model(self):
        for dom in self.domains.values():
            if dom.line:
                dom.line.close()
            dom.line = None
        return copy.deepcopy((self.domains, self.kept, self.others, self.given, self.by_hand, self.held))

    def adopt(self, model):
        self.domains, self.kept, self.others, self.given, self.by_hand, self.held = copy.deepcopy(model)

    def end_guests(self):
        for dom in self.template[0].values():
            while True:
                pid = qemutest.qemu_pid(dom.uuid)
                if not pid:
                    break
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.01)

    def back(self):
        """As it was when it was kept."""
        self.disarm()
        self.conn.close()
        self.daemon.kill()
        self.end_guests()
        for path in self.parts():
            subprocess.run(["find", path, "-mindepth", "1", "-delete"], check=True)
            subprocess.run(["cp", "-a", self.saved(os.path.basename(path)) + "/.", path], check=True)
        self.checked, self.leaky = {}, False
        self.start_daemon()
        self.adopt(self.template)

    # stopping

    def arm(self, kinds, at=0, failure=0):
        stops = self.stops
        stops.armed = stops.go = stops.reached = stops.count = 0
        stops.at, stops.failure = at, failure
        stops.armed = kinds

    def disarm(self):
        self.stops.armed, self.stops.go = 0, 1

    def name_of(self, number):
        return bytes(self.stops.names[number - 1].value).decode(errors="replace").replace(self.daemon.work, "")

    def during(self, operation, accident):
        """Runs operation in a thread; accident when it, or what it left to be done, is where it is to stand still.
        Returns the operation's error, or None."""
        result = []

        def run():
            try:
                operation()
                result.append(None)
            except Exception as error:    # a thread's would be lost
                result.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        end, quiet, before = time.monotonic() + STUCK_S, None, -1
        while not self.stops.reached:
            time.sleep(0.001)
            if thread.is_alive():
                if time.monotonic() > end:
                    raise Wrong("it does not end")
                continue
            # What is merged in the background counts too.
            if self.stops.count != before or self.merges_or_stands():
                before, quiet = self.stops.count, time.monotonic()
            elif time.monotonic() - quiet > 0.25:
                break
        if self.stops.reached:
            accident()
        self.stops.go = 1
        thread.join(STUCK_S)
        if thread.is_alive():
            raise Wrong("the call does not come back")
        return result[0]

    def merges_or_stands(self):
        """Whether something is merged; not waited for when the daemon comes to stand still meanwhile, and answers nobody."""
        answer = []
        thread = threading.Thread(target=lambda: answer.append(self.merges_now()), daemon=True)
        thread.start()
        while thread.is_alive() and not self.stops.reached:
            thread.join(0.01)
        return not answer or answer[0]

    def kill_daemon(self):
        self.daemon.kill()

    def kill_guests(self):
        self.leaky = True
        self.end_guests()

    # afterwards

    def knows_guests(self):
        return all(bool(dom.isActive()) == bool(qemutest.qemu_pid(dom.UUIDString()))
                   for dom in self.conn.listAllDomains())

    def adopt_states(self):
        states = {libvirt.VIR_DOMAIN_RUNNING: "running", libvirt.VIR_DOMAIN_PAUSED: "paused",
                  libvirt.VIR_DOMAIN_SHUTOFF: "off"}
        for dom in self.domains.values():
            dom.state = states[self.lv(dom).state()[0]]
            dom.merges, dom.letter = True, None

    def catch_up(self):
        """What could not be written down is, before anything else is done."""
        for dom in self.conn.listAllDomains():
            dom.setAutostart(0)

    def adopt_one_of(self, *models, seconds=0):
        """The first that is what the daemon and the disks say, within some seconds."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.adopt_now(*models)
            except Wrong:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def adopt_now(self, *models):
        problems = []
        for model in models:
            self.adopt(model)
            try:
                self.adopt_states()
                self.check(wait=False)
                return models.index(model)
            except (Wrong, libvirt.libvirtError, FileNotFoundError) as error:
                problems.append(str(error))
        raise Wrong("neither before nor after: " + " / ".join(problems))

    def use(self):
        """What a user does next works: start, write, a snapshot, back to it, away with it."""
        for name, dom in self.domains.items():
            if dom.state == "off":
                self.do_start(name, True)
            cells = {target: {"3": "u"} for target in dom.disks}
            self.do_put(name, cells, "u")
            self.do_take(name, "use", {target: "external" for target in dom.disks}, None, ["disk_only"])
            self.do_put(name, {target: {"3": "v"} for target in dom.disks}, "v")
            self.do_revert(name, "use", "paused")
            self.do_delete(name, "use", "")
            self.do_destroy(name)
        self.check()
        self.check_all()


class Case(unittest.TestCase):
    """Tests with one scene: a tree with branches, everything off."""

    @classmethod
    def make(cls):
        return Scene()

    @classmethod
    def setUpClass(cls):
        cls.done = 0
        scene = cls.scene = cls.make()
        letters = iter("ABCDEFGH")

        def put():
            letter = next(letters)
            scene.do_put("a", {"vda": {"0": letter, "7": letter}, "vdb": {"1": letter, "7": letter}}, letter)
        for name, disks in ("s1", EXTERNAL), ("s2", MIXED), ("s3", EXTERNAL):
            put()
            scene.do_take("a", name, disks, None, [])
        put()
        scene.do_revert("a", "s1", "force")
        put()
        scene.do_take("a", "s4", INTERNAL, None, [])
        put()
        scene.do_start("a", True)
        scene.do_take("a", "s5", MIXED, "internal", [])
        put()
        scene.do_take("a", "s6", EXTERNAL, "external", [])
        put()
        scene.keep()

    @classmethod
    def tearDownClass(cls):
        cls.scene.close()
        print(f"{cls.done} accidents")

    def each_operation(self, test, more=()):
        """test(name, before, step) of each; the next one, too, when it failed."""
        for name, before, step in [*operations(), *more]:
            done = type(self).done
            with self.subTest(operation=name):
                try:
                    test(name, before, step)
                except Exception as problem:
                    progress(f"'{name}': {problem}")
                    raise
            progress(f"'{name}' is over: {type(self).done - done} accidents went well")

    def prepare(self, before, kinds, at=0, failure=0):
        scene = self.scene
        scene.back()
        for step in before:
            getattr(scene, "do_" + step[0])(*step[1:])
        scene.settle()
        model = scene.model()
        scene.arm(kinds, at, failure)
        return model

    def operate(self, step):
        getattr(self.scene, "do_" + step[0])(*step[1:])

    def count(self, before, step, kinds):
        """(steps, what was before, what is afterwards)."""
        scene = self.scene
        first = self.prepare(before, kinds)
        error = scene.during(lambda: self.operate(step), lambda: None)
        if error:
            raise error
        total = scene.stops.count
        progress(f"{' '.join(map(str, step))}: {total} steps")
        scene.disarm()
        scene.settle()
        return total, first, scene.model()

    def leave_images(self, step, first, after):
        """Those that a block job leaves behind are the user's, whether it has ended or not."""
        if step[0] in ("pull", "commit", "copy"):
            first[1].update(after[1])
            for path in set(first[2]) - set(after[2]):
                del first[2][path]    # a commit writes to it

    def end_jobs(self):
        for dom in self.scene.conn.listAllDomains():
            for target in "vda", "vdb":
                try:
                    dom.blockJobAbort(target)
                except libvirt.libvirtError:
                    self.wait_job(dom, target)

        copy = self.scene.file("copy.qcow2")
        if os.path.exists(copy) and not os.path.getsize(copy):
            os.unlink(copy)    # it was to be made into an image

    def wait_job(self, dom, target):
        """It was being ended already, or there is none."""
        def over():
            try:
                return not dom.blockJobInfo(target)
            except libvirt.libvirtError:
                return True    # it does not run
        qemutest.wait_until(over, 20, f"the block job of {target} is over")

    def again(self, step):
        """What was cut short can be done now."""
        scene = self.scene
        if step[0] in ("pull", "commit", "copy"):
            return
        if step[0] == "take" and (step[4] not in (None, "no") or "disk_only" in step[5]):
            if scene.domains["a"].state == "off":
                scene.do_start("a", True)
        self.operate(step)
        scene.check()

