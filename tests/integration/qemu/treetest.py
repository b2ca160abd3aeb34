# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains, their snapshots, and what each of them must read: a daemon beside a model of it.

A disk is 16 cells, one per cluster; its contents are a string of 16 letters ('.': nothing). Every operation is a method
of World, `do_NAME`, whose arguments are plain values, so that a list of them can be written down and done again."""
import json
import os
import select
import signal
import shutil
import subprocess
import time
import uuid
from xml.etree import ElementTree

import qcow2
import qemutest
from imagetest import libvirt

try:
    import libvirt_qemu
except ImportError:
    qemutest.skip_file("no libvirt_qemu module (package python3-libvirt)")

CELLS, CELL, AT = 16, 65536, 32768    # a letter is written in the middle of each cluster
MEMORY_DIR = "/dev/shm"
EMPTY = "." * CELLS
META = libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | \
    libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
REVERT = {"": 0, "running": libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING,
          "paused": libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED, "force": libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE}
CREATE = {name: getattr(libvirt, "VIR_DOMAIN_SNAPSHOT_CREATE_" + name.upper())
          for name in ("atomic", "halt", "disk_only", "no_metadata", "reuse_ext", "live", "quiesce")}
DELETE = {"": 0, "children": libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN,
          "children_only": libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY}
REDEFINE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
SETTLE_S = 15


class Wrong(AssertionError):
    """What should not be."""


class Skip(Exception):
    """A step that makes no sense now."""


def need(condition):
    if not condition:
        raise Skip()


def same(found, wanted, what):
    if found != wanted:
        raise Wrong(f"{what}: {found!r}, not {wanted!r}")


def place(source):
    """The file of an image, also of one that a server of ours has."""
    host = source.find("host")
    return source.get("file") if host is None else qcow2.served(host.get("socket"))


class Disk:
    def __init__(self, kind, content=EMPTY):
        self.kind, self.content = kind, content


class Snapshot:
    """contents: what each disk that is in it reads; letter: what the guest had in mind, None: not known."""

    def __init__(self, parent, contents, memory, letter, state):
        self.parent, self.contents, self.memory, self.letter, self.state = parent, contents, memory, letter, state


class Domain:
    def __init__(self, name, disks):
        self.name, self.disks, self.uuid = name, disks, str(uuid.uuid4())
        self.state, self.letter, self.line = "off", None, None
        self.snapshots, self.current = {}, None
        self.merges = True     # False: the user has stopped that

    def below(self, name):
        found = []
        for child, snapshot in self.snapshots.items():
            if snapshot.parent == name:
                found += [child, *self.below(child)]
        return found

    def remove(self, name):
        parent = self.snapshots.pop(name).parent
        for snapshot in self.snapshots.values():
            if snapshot.parent == name:
                snapshot.parent = parent
        if self.current == name:
            self.current = parent


class World:
    """disks: for each domain the kinds of its disks; based: their images are overlays on common ones."""

    def __init__(self, domains=(("qcow2", "qcow2"),), based=False, mount=0):
        vireotest = qemutest.vireotest
        memory = os.path.isdir(MEMORY_DIR) and os.access(MEMORY_DIR, os.W_OK)
        work = vireotest.make_work_dir(MEMORY_DIR if memory else "/tmp")
        self.dir = os.path.join(work, "i")
        os.mkdir(self.dir, 0o755)
        self.configure()
        self.daemon = vireotest.Daemon(work)
        self.mount = mount
        if mount:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mount},mode=755", "images", self.dir], check=True)
        self.kept, self.others = set(), {}    # files of the user's; images by hand on ours -> contents
        self.held = set()    # images of disks that a forgotten snapshot left to the user: they may hold anything
        self.given = {}    # internal snapshots that are the user's: (image, tag) -> whose images, contents
        self.by_hand = set()    # points that nobody knows of any more
        self.checked, self.leaky, self.refusals = {}, False, {}
        self.domains, self.conn = {}, None
        self.open()
        if based:
            for number in range(3):
                self.tool("create", "-q", "-f", "qcow2", self.file(f"base{number}.qcow2"), "1M")
        for number, kinds in enumerate(domains):
            self.add_domain("ab"[number], kinds, based)

    def close(self):
        try:
            for dom in self.domains.values():
                if dom.line:
                    dom.line.close()
                try:
                    self.lv(dom).destroy()
                except libvirt.libvirtError:
                    pass
            if self.conn:
                self.conn.close()
        finally:
            code = self.daemon.stop()
            if self.mount:
                subprocess.run(["umount", self.dir], check=False)
            shutil.rmtree(self.daemon.work, ignore_errors=True)
        if code:
            raise Wrong(f"the daemon ended with {code}")

    def configure(self):
        """Before the daemon starts."""

    # plumbing

    def open(self):
        self.conn, self.handles = libvirt.open(self.daemon.uri()), {}

    def lv(self, dom):
        if dom.uuid not in self.handles:
            self.handles[dom.uuid] = self.conn.lookupByUUIDString(dom.uuid)
        return self.handles[dom.uuid]

    def file(self, name):
        return os.path.join(self.dir, name)

    def url(self, path):
        """How programs open it."""
        return path

    def tool(self, *args):
        done = subprocess.run(["qemu-img", *args], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Wrong(f"qemu-img {' '.join(args)}: {done.stdout}{done.stderr}")

    def add_domain(self, name, kinds, based):
        disks, xml = {}, []
        for number, kind in enumerate(kinds):
            target = "vd" + "abc"[number]
            far, kind = kind.startswith("nbd-"), kind.removeprefix("nbd-")
            path = self.file(f"{name}{number}.{kind}")
            if based and kind == "qcow2":
                self.tool("create", "-q", "-f", kind, "-b", self.file(f"base{number}.qcow2"), "-F", "qcow2", path)
            elif number == 0:
                self.tool("convert", "-O", kind, qemutest.vireotest.NANO, path)
            else:
                self.tool("create", "-q", "-f", kind, path, "1M")
            os.chmod(path, 0o666)
            disks[target] = Disk(kind)
            xml.append(self.far_disk(path, target, kind, number + 1) if far else
                       qemutest.disk_xml(path, target, kind, boot=number + 1))
        dom = self.domains[name] = Domain(name, disks)
        dom.boots = not based
        xml = self.domain_xml(dom, "".join(xml))
        self.kept |= set(os.listdir(self.dir))
        self.conn.defineXML(xml)

    def domain_xml(self, dom, disks, devices=""):
        return qemutest.vireotest.NANO_XML.format(name=dom.name, uuid=f"<uuid>{dom.uuid}</uuid>", memory=16, vcpus=1,
                                                  balloon="none", disks=disks, devices=devices)

    def tops(self, dom, active=True):
        """Target, image and format of each disk now."""
        flags = libvirt.VIR_DOMAIN_XML_SECURE | (0 if active else libvirt.VIR_DOMAIN_XML_INACTIVE)
        tree = ElementTree.fromstring(self.lv(dom).XMLDesc(flags))
        for disk in tree.findall("devices/disk"):
            yield disk.find("target").get("dev"), place(disk.find("source")), disk.find("driver").get("type")

    def hmp(self, dom, command):
        return libvirt_qemu.qemuMonitorCommand(self.lv(dom), command,
                                               libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)

    def qmp(self, dom, command):
        return json.loads(libvirt_qemu.qemuMonitorCommand(self.lv(dom), json.dumps({"execute": command}), 0))["return"]

    def refused(self, error):
        """Nothing has happened, and the message is kept for a look."""
        text = error.get_error_message() or ""
        if not text or "unknown" in text:
            raise Wrong(f"an error that says nothing: {error}")
        self.refusals[text] = self.refusals.get(text, 0) + 1

    # the guest

    def write(self, dom, cells):
        """cells: target -> {cell: letter}"""
        for target, letters in cells.items():
            now = list(dom.disks[target].content)
            for cell, letter in letters.items():
                now[int(cell)] = letter
            dom.disks[target].content = "".join(now)
        lines = {target: [f"write -P {ord(letter)} {int(cell) * CELL + AT} 512" for cell, letter in letters.items()]
                 for target, letters in cells.items()}
        if dom.state == "off":
            command = ["qemu-io"]
            for target, path, kind in self.tops(dom):
                if target in lines:
                    command += ["-c", f"open -o driver={kind} {self.url(path)}"]
                    command += [part for line in lines[target] for part in ("-c", line)] + ["-c", "close"]
            code, said = self.alone(command)
            if code or "failed" in said:
                raise Wrong(f"{' '.join(command)}: {said}")
            return
        for device, target in zip(self.devices(dom), sorted(dom.disks)):
            for line in lines.get(target, ()):
                said = self.hmp(dom, f'qemu-io -d {device} "{line}"')
                if "wrote 512/512" not in said and said.strip():
                    raise Wrong(f"the guest cannot write to {target}: {said}")
        self.flush(dom)

    def flush(self, dom):
        for device in self.devices(dom):
            self.hmp(dom, f"qemu-io -d {device} flush")

    def devices(self, dom):
        return [block["qdev"] for block in self.qmp(dom, "query-block") if "virtio" in block["qdev"]]

    def talk(self, dom):
        """The guest's serial line; it runs."""
        tree = ElementTree.fromstring(self.lv(dom).XMLDesc(0))
        path = tree.find("devices/serial/source").get("path")
        if dom.line:
            dom.line.close()
        dom.line = qemutest.vireotest.Nano(path)
        self.wake(dom.line)
        return dom.line

    def wake(self, line):
        """What is said to a guest that is not up yet is lost; so often, that nobody waits for it."""
        end = time.monotonic() + 30
        while True:
            line.send("g")
            try:
                line.expect("M=", 0.1)
                return
            except AssertionError:
                if time.monotonic() > end:
                    raise

    def think(self, dom, letter):
        """The guest keeps a letter in mind, if it is one that can."""
        if dom.state == "running" and dom.boots:
            self.talk(dom).ask("m" + letter, "M=" + letter)
            dom.letter = letter

    def remembers(self, dom):
        if dom.state == "running" and dom.boots and dom.letter:
            self.talk(dom).ask("g", "M=" + dom.letter)

    # looking

    def content(self, reader, path, tag=None, raw=False):
        found = reader.read(path, [cell * CELL + AT for cell in range(CELLS)], 512, tag, raw)
        letters = [chr(data[0]) if data == data[:1] * 512 else "?" for data in found]
        return "".join(letters).replace("\0", ".")

    def trees(self, dom):
        """Name to XML of each snapshot, as it is listed."""
        return {handle.getName(): ElementTree.fromstring(handle.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE))
                for handle in self.lv(dom).listAllSnapshots()}

    def sources(self, dom, name):
        """Target, image, whether it is inside that, of the disks of a snapshot; its memory's file."""
        return self.sources_of(self.trees(dom)[name])

    def sources_of(self, tree):
        kinds = {disk.get("name"): disk.get("snapshot") for disk in tree.findall("disks/disk")}
        disks = [(disk.find("target").get("dev"), place(disk.find("source")), disk.find("driver").get("type"),
                  kinds.get(disk.find("target").get("dev"), "internal")) for disk in tree.findall("domain/devices/disk")]
        memory = tree.find("memory")
        return [disk for disk in disks if disk[3] in ("internal", "external")], \
            memory.get("file") if memory is not None else None

    def look_at_tree(self, dom):
        trees = self.trees(dom)
        same({name: tree.findtext("parent/name") for name, tree in trees.items()},
             {name: snapshot.parent for name, snapshot in dom.snapshots.items()}, f"snapshots of {dom.name}")
        current = self.lv(dom).snapshotCurrent().getName() if self.lv(dom).hasCurrentSnapshot() else None
        same(current, dom.current, f"current snapshot of {dom.name}")
        return trees

    def look(self):
        """Reads everything once, and says which files, and points in them, are needed."""
        reader, needed = qcow2.Reader(), set()
        self.named = set()

        def chain(path, raw):
            self.named.add(os.path.realpath(path))
            needed.update(os.path.basename(part) for part in reader.chain(path, raw))

        for dom in self.domains.values():
            for active in {True, dom.state == "off"}:
                for target, path, kind in self.tops(dom, active):
                    chain(path, kind == "raw")
                    if active:
                        same(self.content(reader, path, raw=kind == "raw"), dom.disks[target].content,
                             f"the present of {dom.name} on {target} ({path})")
            trees = self.look_at_tree(dom)
            for name, snapshot in dom.snapshots.items():
                disks, memory = self.sources_of(trees[name])
                same({target for target, *_ in disks}, set(snapshot.contents), f"disks of {dom.name}/{name}")
                for target, path, kind, where in disks:
                    raw = kind == "raw"
                    chain(path, raw)
                    if where == "internal":
                        needed.add(f"{name} in {os.path.basename(path)}")
                    same(self.content(reader, path, name if where == "internal" else None, raw),
                         snapshot.contents[target], f"snapshot {name} of {dom.name} on {target} ({path})")
                if memory:
                    needed.add(os.path.basename(memory))
            for path in self.known(dom).get("kept", ()):
                if os.path.exists(path):
                    chain(path, False)
        for (path, tag), (_, content) in self.given.items():
            chain(path, False)
            needed.add(f"{tag} in {os.path.basename(path)}")
            same(self.content(reader, path, tag), content, f"snapshot {tag} in {path}, which is the user's")
        for path, content in self.others.items():
            same(self.content(reader, path), content, f"the image {path} that was made by hand")
        self.look_at_more(reader, needed)
        return reader, needed

    def look_at_more(self, reader, needed):
        """Of those who have more in them."""

    def known(self, dom):
        return self.noted(dom, "images")

    def noted(self, dom, kind):
        path = os.path.join(self.daemon.root, "var/lib/vireo/qemu/kept", kind, "system", dom.uuid)
        try:
            with open(path, encoding="utf-8") as stream:
                return json.load(stream)
        except FileNotFoundError:
            return {}

    def above(self, reader):
        """Image to those that are based on it."""
        found = {}
        for name in os.listdir(self.dir):
            try:
                backing = reader.image(self.file(name)).backing
            except ValueError:
                continue
            if backing:
                found.setdefault(os.path.realpath(backing), []).append(self.file(name))
        return found

    def theirs(self, needed):
        """Files that others read, as far as the daemon can tell."""
        given = {os.path.basename(path) for path, _ in self.given} | self.held
        return {os.path.basename(path) for path in self.others} | given | self.kept - needed

    def read_by_others(self, reader, needed):
        found = set()
        for name in self.theirs(needed):
            try:
                found |= {os.path.basename(path) for path in reader.chain(self.file(name))}
            except (ValueError, FileNotFoundError):
                continue    # memory, raw, taken away
        return found

    def points(self, reader, needed):
        """Internal snapshots in images that may be written to."""
        above, theirs = self.above(reader), self.theirs(needed)
        for name in os.listdir(self.dir):
            try:
                tags = reader.image(self.file(name)).snapshots
            except ValueError:
                continue
            if tags and name not in theirs and not self.shared(self.file(name), above, theirs):
                yield from (f"{tag} in {name}" for tag in tags)

    def unmerged(self, reader, needed):
        """Images that nothing refers to and that just one other needs, which could take their data."""
        above, theirs = self.above(reader), self.theirs(needed)
        for dom in self.domains.values():
            known = self.known(dom)
            # What was given up may be the user's own: that stays.
            for path in set(known.get("released", ())) & set(known.get("owned", ())):
                children = above.get(path, ())
                if len(children) != 1 or not os.path.exists(path) or path in self.named:
                    continue
                child = children[0]
                if os.path.basename(child) in theirs or reader.image(child).snapshots or \
                        reader.image(path).snapshots or self.shared(child, above, theirs):
                    continue
                yield os.path.basename(path)

    def shared(self, path, above, theirs):
        return any(os.path.basename(child) in theirs or self.shared(child, above, theirs)
                   for child in above.get(path, ()))

    def settle(self, wait=True):
        """Reads everything until nothing is left that is not needed; waits as long as files go."""
        end, there = time.monotonic() + SETTLE_S, None
        waits, ask = set(), time.monotonic() + 0.5
        while True:
            before, there = there, os.listdir(self.dir)
            if before != there:
                end = time.monotonic() + SETTLE_S
            try:
                reader, needed = self.look()
                left = set(os.listdir(self.dir)) - self.kept - self.held | set(self.points(reader, needed)) - self.by_hand
                left -= needed | self.read_by_others(reader, needed)
                left |= set(self.unmerged(reader, needed))
            except FileNotFoundError:    # it went while we looked
                if time.monotonic() > end:
                    raise
                continue
            except Wrong:    # qemu-img, which merges, has not written it all yet
                if not self.merges_now() and time.monotonic() > end - SETTLE_S + 1:
                    raise
                time.sleep(0.02)
                continue
            if left and time.monotonic() > ask:    # it disturbs whoever merges
                waits, ask = self.waiting(), time.monotonic() + 2
            left -= waits
            if not left or not wait or not all(dom.merges for dom in self.domains.values()):
                return reader
            if time.monotonic() > end:
                raise Wrong(f"files that nothing needs: {sorted(left)}")
            time.sleep(0.004)

    def waiting(self):
        """Points that cannot go as long as a guest runs, which it says."""
        return set()

    def merges_now(self):
        try:
            return any(self.lv(dom).jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE for dom in self.domains.values())
        except libvirt.libvirtError:
            return False

    def whole(self):
        """Every image that has changed counts its clusters right."""
        busy = {os.path.realpath(path) for dom in self.domains.values() if dom.state != "off"
                for path in self.written(dom)}
        for name in os.listdir(self.dir):
            path = os.path.realpath(self.file(name))
            if not os.path.exists(path):
                continue    # merged since, and it was not to be waited for
            try:
                mark = self.mark(path)
                if path in busy or self.checked.get(path) == mark:
                    continue
                self.whole_image(path)
                self.checked[path] = mark
            except (ValueError, FileNotFoundError):
                continue    # memory, raw; merged

    def written(self, dom):
        return [path for _, path, _ in self.tops(dom)]

    def mark(self, path):
        info = os.stat(path)
        return info.st_ino, info.st_mtime_ns, info.st_size

    def whole_image(self, path):
        """Soon: an image that is the user's may take what lies below it without being waited for."""
        end = time.monotonic() + SETTLE_S
        while True:
            bad, leaked = qcow2.Image(path).problems()
            if not bad and (not leaked or self.leaky):
                return
            if time.monotonic() > end:
                raise Wrong(f"{path} has {bad} bad clusters, {leaked} lost ones")
            time.sleep(0.05)

    def check(self, wait=True):
        same(sorted(dom.name() for dom in self.conn.listAllDomains()), sorted(dom.name for dom in
             self.domains.values()), "domains")
        for dom in self.domains.values():
            states = {libvirt.VIR_DOMAIN_RUNNING: "running", libvirt.VIR_DOMAIN_PAUSED: "paused",
                      libvirt.VIR_DOMAIN_SHUTOFF: "off"}
            state = self.lv(dom).state()[0]
            same(states.get(state, state), dom.state, f"state of {dom.name}")
        self.settle(wait)
        if wait:
            self.whole()

    def describe(self):
        """Which images there are and who refers to them, for whoever reads of a failure."""
        lines, reader = [], qcow2.Reader()
        for name in sorted(os.listdir(self.dir)):
            try:
                image = reader.image(self.file(name))
                below = image.backing and os.path.basename(image.backing)
                lines.append(f"{name} on {below}, points {sorted(image.snapshots)}")
            except ValueError:
                lines.append(name)
        for dom in self.domains.values():
            known = {key: [os.path.basename(path) for path in value] for key, value in self.known(dom).items()
                     if isinstance(value, list)}
            tops = [os.path.basename(path) for _, path, _ in self.tops(dom)]
            lines.append(f"{dom.name} is {dom.state}: {tops}, {known}")
            for snap, tree in self.trees(dom).items():
                disks, memory = self.sources_of(tree)
                lines.append(f"  {snap}: {[(os.path.basename(path), where) for _, path, _, where in disks]} {memory}")
        with open(self.daemon.log, encoding="utf-8", errors="replace") as stream:
            return "\n".join([*lines, *stream.read().splitlines()[-20:]])

    def check_all(self):
        """What qemu-img thinks of it; nothing runs."""
        for name in os.listdir(self.dir):
            try:
                qcow2.Image(self.file(name))
            except (ValueError, FileNotFoundError):
                continue    # memory, raw; merged
            code, said = self.alone(["qemu-img", "check", "-q", "-f", "qcow2", self.url(self.file(name))])
            if code not in ((0, 3) if self.leaky else (0,)) and os.path.exists(self.file(name)):
                raise Wrong(f"{name}: {said}")

    def alone(self, command):
        """Exit code and output of a tool, as soon as the daemon does not merge its image."""
        end = time.monotonic() + SETTLE_S
        while True:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if "Is another process using" not in done.stderr or time.monotonic() > end:
                return done.returncode, done.stdout + done.stderr
            time.sleep(0.02)

    # operations

    def do_put(self, name, cells, letter):
        dom = self.domains[name]
        need(set(cells) <= set(dom.disks))
        self.write(dom, cells)
        self.think(dom, letter)

    def do_start(self, name, paused):
        dom = self.domains[name]
        need(dom.state == "off")
        self.lv(dom).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)
        dom.state, dom.letter = "paused" if paused else "running", None
        if not paused and dom.boots:
            self.think(dom, "a")

    def do_suspend(self, name):
        dom = self.domains[name]
        need(dom.state == "running")
        self.lv(dom).suspend()
        dom.state = "paused"

    def do_resume(self, name):
        dom = self.domains[name]
        need(dom.state == "paused")
        self.lv(dom).resume()
        dom.state = "running"
        self.remembers(dom)

    def do_destroy(self, name):
        dom = self.domains[name]
        need(dom.state != "off")
        self.lv(dom).destroy()
        dom.state, dom.letter, dom.merges = "off", None, True

    def do_kill_qemu(self, name):
        """kill -9; all that was written had been flushed."""
        dom = self.domains[name]
        need(dom.state != "off")
        pid = qemutest.qemu_pid(dom.uuid)
        os.kill(pid, signal.SIGKILL)
        qemutest.wait_until(lambda: self.lv(dom).state()[0] == libvirt.VIR_DOMAIN_SHUTOFF, 20, "the end is noticed")
        dom.state, dom.letter, self.leaky, dom.merges = "off", None, True, True

    def do_restart(self, hard):
        self.conn.close()
        if hard:
            self.daemon.kill()
            self.daemon.start_vireod()
        else:
            self.daemon.restart()
        self.open()
        for dom in self.domains.values():
            dom.merges = True

    def do_abort(self, name):
        dom = self.domains[name]
        try:
            self.lv(dom).abortJob()
            dom.merges = False
        except libvirt.libvirtError as error:
            self.refused(error)

    def snapshot_xml(self, name, disks, memory):
        inner = "".join(f"<disk name='{target}' snapshot='{kind}'/>" for target, kind in disks.items())
        where = f" file='{self.file(name + '.mem')}'" if memory == "external" else ""
        kept = f"<memory snapshot='{memory}'{where}/>" if memory else ""
        return f"<domainsnapshot><name>{name}</name>{kept}<disks>{inner}</disks></domainsnapshot>"

    def do_take(self, name, snap, disks, memory, flags):
        """memory: None: left out; else how it is kept."""
        dom = self.domains[name]
        formats = {target: kind for target, _, kind in self.tops(dom)}
        kinds = set(disks.values())
        need(snap not in dom.snapshots and set(disks) == set(dom.disks))
        need(not any(formats[target] == "raw" and kind == "internal" for target, kind in disks.items()))
        need(memory in (None, "no") or dom.state != "off")
        need(memory != "internal" or "internal" in kinds)
        need(memory == "external" or kinds & {"internal", "external"})
        need(not set(flags) & {"disk_only", "halt"} or dom.state != "off")
        need(memory is None or "disk_only" not in flags)
        need(not {"halt", "live", "quiesce"} & set(flags) or "manual" not in kinds)
        need("live" not in flags or (memory == "external" and dom.state == "running"))
        if memory is None and dom.state != "off" and "disk_only" not in flags:
            need("internal" in kinds)
        has_memory = dom.state != "off" and "disk_only" not in flags and memory != "no"
        before, tops = set(os.listdir(self.dir)), list(self.tops(dom))
        try:
            self.lv(dom).snapshotCreateXML(self.snapshot_xml(snap, disks, memory), sum(CREATE[flag] for flag in flags))
        except libvirt.libvirtError as error:
            if memory != "external" or dom.state != "paused" or "has not run since" not in str(error):
                raise
            self.refused(error)
            return
        if "no_metadata" in flags:
            self.keep_by_hand(dom, snap, tops, disks, set(os.listdir(self.dir)) - before)
        else:
            contents = {target: dom.disks[target].content for target, kind in disks.items()
                        if kind in ("internal", "external")}
            dom.snapshots[snap] = Snapshot(dom.current, contents, has_memory, dom.letter if has_memory else None,
                                           dom.state)
            dom.current = snap
        dom.merges = True
        if "manual" in kinds and dom.state == "running":
            dom.state = "paused"
        if "halt" in flags:
            dom.state, dom.letter = "off", None

    def keep_by_hand(self, dom, snap, tops, disks, new):
        """A snapshot without metadata: its images belong to the user, and stay as they are."""
        self.kept |= new
        for target, path, kind in tops:
            if disks[target] == "internal":
                self.given[path, snap] = dom.uuid, dom.disks[target].content
            if disks[target] == "external" and kind != "raw":
                self.others[path] = dom.disks[target].content

    def do_revert(self, name, snap, how):
        dom = self.domains[name]
        need(snap in dom.snapshots)
        snapshot = dom.snapshots[snap]
        self.lv(dom).revertToSnapshot(self.lv(dom).snapshotLookupByName(snap), REVERT[how])
        for target, content in snapshot.contents.items():
            dom.disks[target].content = content
        dom.state = how if how in ("running", "paused") else snapshot.state if snapshot.memory else "off"
        dom.current, dom.merges, dom.letter = snap, True, snapshot.letter
        self.remembers(dom)

    def do_delete(self, name, snap, how):
        dom = self.domains[name]
        need(snap in dom.snapshots)
        self.lv(dom).snapshotLookupByName(snap).delete(DELETE[how])
        dom.merges = True
        for gone in (dom.below(snap) if how else []) + ([snap] if how != "children_only" else []):
            dom.remove(gone)

    def do_forget(self, name, snap, back):
        """METADATA_ONLY; its files are ours from then on. back: given back again."""
        dom = self.domains[name]
        need(snap in dom.snapshots)
        need(not back or not any(snapshot.parent == snap for snapshot in dom.snapshots.values()))
        handle = self.lv(dom).snapshotLookupByName(snap)
        xml = handle.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
        current = dom.current
        handle.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
        if back:
            self.lv(dom).snapshotCreateXML(xml, REDEFINE)
            dom.current = dom.snapshots[snap].parent if current == snap else current
            return
        tree = ElementTree.fromstring(xml)
        for target, path, kind, where in self.sources_of(tree)[0]:
            if where == "internal":
                self.given[path, snap] = dom.uuid, dom.snapshots[snap].contents[target]
            if where == "external" and kind != "raw":
                self.others[path] = dom.snapshots[snap].contents[target]
        self.hold(tree)
        files = [source.get("file") for source in tree.findall("disks/disk/source")]
        files += [path for _, path, _, where in self.sources_of(tree)[0] if where == "external"]
        files += [part.get("file") for part in (tree.find("memory"), tree.find("nvram")) if part is not None]
        self.kept |= {os.path.basename(path) for path in files if path}
        dom.remove(snap)

    def hold(self, tree):
        manual = {disk.get("name") for disk in tree.findall("disks/disk") if disk.get("snapshot") == "manual"}
        self.held |= {os.path.basename(place(disk.find("source"))) for disk in tree.findall("domain/devices/disk")
                      if disk.find("target").get("dev") in manual}

    def do_redefine(self, name, snap, current):
        dom = self.domains[name]
        need(snap in dom.snapshots)
        xml = self.lv(dom).snapshotLookupByName(snap).getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
        flags = REDEFINE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE
        if current:
            flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
        self.lv(dom).snapshotCreateXML(xml, flags)
        dom.current = snap if current else dom.current

    def do_define(self, name):
        dom = self.domains[name]
        self.conn.defineXML(self.lv(dom).XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE))

    def do_move(self, name):
        """Undefined, defined again, its snapshots given back one by one: as when it comes to another host."""
        dom = self.domains[name]
        need(dom.state == "off")
        xml = self.lv(dom).XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
        order = dom.below(None)
        texts = [self.lv(dom).snapshotLookupByName(snap).getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
                 for snap in order]
        self.lv(dom).undefineFlags(META)
        self.handles.clear()
        self.kept |= set(os.listdir(self.dir))    # nobody knows any more whose they are
        for path, tag in [key for key, (uuid, _) in self.given.items() if uuid == dom.uuid]:
            del self.given[path, tag]
            self.by_hand.add(f"{tag} in {os.path.basename(path)}")
        self.conn.defineXML(xml)
        for snap, text in zip(order, texts):
            current = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT if snap == dom.current else 0
            self.lv(dom).snapshotCreateXML(text, REDEFINE | current)
        dom.merges = True

    def do_rename(self, name, new):
        dom = self.domains[name]
        need(dom.state == "off")
        try:
            self.lv(dom).rename(new)
            dom.name = new
        except libvirt.libvirtError as error:
            self.refused(error)

    def do_borrow(self, name, target, file):
        """Somebody makes an image on top of one that a snapshot has left behind."""
        dom = self.domains[name]
        need(target in dom.disks and not os.path.exists(self.file(file)))
        self.settle()    # what is merged away would be no good
        top = {dev: (path, kind) for dev, path, kind in self.tops(dom)}[target]
        reader = qcow2.Reader()
        chain = reader.chain(top[0], top[1] == "raw")
        need(len(chain) > 1 and not chain[1].endswith(".raw"))
        content = self.content(reader, chain[1])
        self.tool("create", "-q", "-f", "qcow2", "-b", self.url(chain[1]), "-F", "qcow2", self.file(file))
        self.others[self.file(file)] = content

    def do_return(self, file):
        need(self.file(file) in self.others and file.startswith("hand"))
        del self.others[self.file(file)]
        os.unlink(self.file(file))
        for dom in self.domains.values():    # nobody has told the daemon
            dom.merges = False

    # block jobs

    def over(self, dom, target):
        def no_job():
            return not self.lv(dom).blockJobInfo(target)
        qemutest.wait_until(no_job, 20, f"no block job on {target}")

    def do_pull(self, name, target):
        dom = self.domains[name]
        need(dom.state != "off" and target in dom.disks)
        self.kept |= set(os.listdir(self.dir))
        try:
            self.lv(dom).blockPull(target)
        except libvirt.libvirtError as error:
            self.refused(error)
            return
        self.over(dom, target)

    def do_commit(self, name, target):
        dom = self.domains[name]
        need(dom.state != "off" and target in dom.disks)
        self.kept |= set(os.listdir(self.dir))
        flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | libvirt.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW
        base = qcow2.Reader().chain(*[(path, kind == "raw") for dev, path, kind in self.tops(dom) if dev == target][0])
        for path in base[1:2]:
            self.others.pop(path, None)    # that is what a commit is for
        try:
            self.lv(dom).blockCommit(target, None, None, 0, flags)
        except libvirt.libvirtError as error:
            self.refused(error)
            return
        self.pivot(dom, target)

    def do_copy(self, name, target, file):
        dom = self.domains[name]
        need(dom.state != "off" and target in dom.disks and not os.path.exists(self.file(file)))
        self.kept |= set(os.listdir(self.dir)) | {file}
        xml = f"<disk type='file'><driver type='qcow2'/><source file='{self.file(file)}'/></disk>"
        try:
            self.lv(dom).blockCopy(target, xml, None, libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)
        except libvirt.libvirtError as error:
            self.refused(error)
            return
        self.pivot(dom, target)

    def pivot(self, dom, target):
        def ready():
            info = self.lv(dom).blockJobInfo(target)
            return not info or info["cur"] == info["end"]
        qemutest.wait_until(ready, 20, f"the job on {target} is ready")
        self.lv(dom).blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
        self.over(dom, target)
        self.flush(dom)
