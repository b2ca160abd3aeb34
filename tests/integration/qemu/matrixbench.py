# SPDX-License-Identifier: LGPL-2.1-or-later
"""Carries one cell of the matrix out, against whichever daemon is under test.

A Bench is one domain with images of its own. It knows what must be read where: each write leaves a pattern of its own
on every disk, each snapshot remembers what was there. After the cell's call it looks at the tree, the guest's state and
every byte, and says what is wrong whether the call was accepted or refused.
"""
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time

import libvirt
import libvirt_qemu

import qemutest

CLUSTERS = 16           # of 64 KiB on each disk
ON = "running", "paused", "transient"
MONITOR_HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
FLAGS = {"create": "VIR_DOMAIN_SNAPSHOT_CREATE_", "delete": "VIR_DOMAIN_SNAPSHOT_DELETE_", "send": "VIR_DOMAIN_SNAPSHOT_CREATE_",
         "revert": "VIR_DOMAIN_SNAPSHOT_REVERT_", "redefine": "VIR_DOMAIN_SNAPSHOT_CREATE_"}


# Words that no table shows well.
WORDS = {"~long": "n" * 300, "~control": "a&#1;b", "~empty": "", "~newline": "a\nb"}
# What is taken, by the first letter of a name.
TAKEN = {
    "i": ["internal"],
    "e": ["external", "DISK_ONLY"],
    "m": ["external", "memory=external"],
    "o": ["no", "memory=external"],
    "x": ["vda=internal", "vdb=external"],
    "d": ["vda=external", "vdb=no", "DISK_ONLY"],
    "h": ["vda=manual", "vdb=external", "DISK_ONLY"],
}


class Unreachable(Exception):
    """This daemon cannot even get to where the cell begins."""


def flags_of(call, words):
    return sum(getattr(libvirt, FLAGS[call] + word) for word in words)


def backing_file(path):
    """What the header of a qcow2 image says, or None."""
    with open(path, "rb") as stream:
        magic, _, offset, size = struct.unpack(">4sIQI", stream.read(20))
        if magic != b"QFI\xfb" or not offset:
            return None
        stream.seek(offset)
        return os.path.join(os.path.dirname(path), stream.read(size).decode())


def chain(path):
    """An image and what it is based on, as far as it is there."""
    seen = []
    while path and path not in seen and os.path.exists(path):
        seen.append(path)
        path = backing_file(path)
    return seen


def text_between(text, before, after):
    return text[text.index(before) + len(before):].split(after, 1)[0]


class Bench:
    def __init__(self, daemon, conn, name, kinds, state):
        self.conn, self.name, self.is_vireo = conn, name, daemon.is_vireo
        self.dir = tempfile.mkdtemp(prefix=name + ".", dir=daemon.work)
        os.chmod(self.dir, 0o755)
        self.kinds = dict(zip(("vda", "vdb"), kinds.split("+")))
        self.images = {dev: self.make_image(f"{dev}.{kind}", kind.replace("shared", "raw")) for dev, kind in self.kinds.items()}
        self.content = {dev: (0,) * CLUSTERS for dev in self.kinds}
        self.writes = 0
        self.snapshots, self.parents, self.current = {}, {}, None
        self.expected, self.neighbours = state, {}
        disks = [qemutest.disk_xml(path, dev, self.kinds[dev]) for dev, path in self.images.items()]
        disks = [disk.replace("type='shared'", "type='raw'").replace("<target", "<shareable/><target")
                 if "shared" in disk else disk for disk in disks]
        xml = qemutest.vireotest.NANO_XML.format(name=name, memory=16, vcpus=1, uuid="", balloon="none", devices="",
                                                 disks="".join(disks))
        self.domain = conn.defineXML(xml)
        self.uuid = self.domain.UUIDString()
        self.enter("running" if state == "transient" else state)
        self.write()

    def close(self):
        steps = (self.quit, lambda: self.domain.destroy(), lambda: self.domain.managedSaveRemove(),
                 lambda: self.domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA))
        for step in steps:
            try:
                if self.is_there():
                    step()
            except (libvirt.libvirtError, AssertionError):
                pass
        shutil.rmtree(self.dir, ignore_errors=True)

    def is_there(self):
        try:
            self.domain = self.conn.lookupByUUIDString(self.uuid)
            return True
        except libvirt.libvirtError:
            return False

    # images

    def path(self, name):
        return os.path.join(self.dir, name)

    def make_image(self, name, kind, *options):
        path = self.path(name)
        subprocess.run(["qemu-img", "create", "-q", "-f", kind, *options, path, f"{64 * CLUSTERS}k"], check=True)
        os.chmod(path, 0o666)
        return path

    def present(self):
        """Image of every disk."""
        text = self.domain.XMLDesc(0 if self.domain.isActive() else libvirt.VIR_DOMAIN_XML_INACTIVE)
        return self.disks_of(text)

    @staticmethod
    def disks_of(text):
        found = {}
        for disk in re.findall(r"<disk type=.*?</disk>", text, re.S):
            top = disk.split("<backingStore", 1)[0]
            found[re.search(r"<target dev='(\w+)'", disk)[1]] = re.search(r"<source file='([^']+)'", top)[1]
        return found

    def kind_of(self, path):
        return "raw" if path.endswith((".raw", ".shared")) else "qcow2"

    def read(self, path, point=None):
        """The pattern of every cluster, or a word for what is wrong."""
        copy = self.path(".copy")
        inside = ["-l", f"snapshot.name={point}"] if point else []
        done = subprocess.run(["qemu-img", "convert", "-q", "-U", "-f", self.kind_of(path), *inside, "-O", "raw", path,
                               copy], check=False, stderr=subprocess.DEVNULL)
        if done.returncode:
            return "unreadable"
        with open(copy, "rb") as stream:
            data = stream.read()
        os.unlink(copy)
        parts = [data[at:at + 65536] for at in range(0, len(data), 65536)]
        return tuple(part[0] if part == part[:1] * 65536 else -1 for part in parts)

    def reads(self, content, path, point=None):
        """Whether it is that; looked at again where it may just be merged in the background."""
        end = time.monotonic() + (3 if self.is_vireo else 0)
        while not os.path.exists(path) or self.read(path, point) != content:
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    # the guest

    def monitor(self, command):
        return libvirt_qemu.qemuMonitorCommand(self.domain, command, MONITOR_HMP)

    def quit(self):
        """As when the guest powers off; faster than destroying it."""
        try:
            self.monitor("quit")
        except libvirt.libvirtError:
            pass
        qemutest.wait_until(lambda: self.state() in ("off", "gone"), 10, "QEMU has ended")

    def state(self):
        try:
            found = self.domain.state()[0]
        except libvirt.libvirtError:
            return "gone"
        return {libvirt.VIR_DOMAIN_RUNNING: "running", libvirt.VIR_DOMAIN_PAUSED: "paused",
                libvirt.VIR_DOMAIN_SHUTOFF: "off"}.get(found, str(found))

    def enter(self, state):
        now = self.state()
        if state == "off" and now != "off":
            self.quit()
        elif state != "off" and now == "off":
            self.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if state == "paused" else 0)
        elif state == "paused" and now == "running":
            self.domain.suspend()
        elif state in ("running", "transient") and now == "paused":
            self.domain.resume()
        if state == "transient":
            self.domain.undefine()
        self.expected = state

    def write(self):
        """Another pattern on all disks: on the first cluster, and on one that keeps it."""
        self.writes += 1
        paths = self.present()
        for number, dev in enumerate(self.kinds):
            pattern = self.writes + 100 * number
            content = list(self.content[dev])
            places = 0, self.writes % CLUSTERS
            for place in places:
                content[place] = pattern
            self.content[dev] = tuple(content)
            commands = [f"write -P {pattern} {64 * place}k 64k" for place in places] + ["flush"]
            if self.domain.isActive():
                for command in commands:
                    self.monitor(f'qemu-io -d /machine/peripheral/virtio-disk{number}/virtio-backend "{command}"')
            else:
                words = [word for command in commands for word in ("-c", command)]
                subprocess.run(["qemu-io", "-f", self.kind_of(paths[dev]), *words, paths[dev]], check=True,
                               stdout=subprocess.DEVNULL)

    # what leads to a cell: "take e1", "branch e1" ...

    def prepare(self, steps, state):
        for step in filter(None, (step.strip() for step in steps.split(";"))):
            verb, *words = step.split()
            try:
                getattr(self, "do_" + verb)(*words)
            except libvirt.libvirtError as error:
                raise Unreachable(f"{step}: {error}") from error
        if state == "transient":
            self.enter(state)
        self.expected = self.state()

    def do_take(self, *names):
        for name in names:
            self.call("create", [name, *TAKEN[name[0]]])
            self.write()

    def do_make(self, name):
        """Taken, and nothing written since."""
        self.call("create", [name, *TAKEN[name[0]]])

    def do_branch(self, name):
        """Back to a snapshot; by hand where the daemon does not do that."""
        state = self.state()
        self.do_back(name)
        self.enter(state)
        self.write()

    def do_back(self, name):
        try:
            self.call("revert", [name, "FORCE"])
        except libvirt.libvirtError:
            self.branch_by_hand(name)

    def branch_by_hand(self, name):
        """What a user does who has qemu-img: a new overlay, another definition, REDEFINE with CURRENT."""
        self.enter("off")
        old, new = self.present(), {}
        snapshot = self.domain.snapshotLookupByName(name)
        text = self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        for dev, base in self.snapshot_images(name).items():
            new[dev] = self.make_image(f"{dev}.hand{self.writes}", "qcow2", "-b", base, "-F", self.kind_of(base))
            text = text.replace(f"'{old[dev]}'", f"'{new[dev]}'")
        text = re.sub(r"<backingStore.*?(?=<target)", "", text, flags=re.S)
        self.domain = self.conn.defineXML(text)
        self.domain.snapshotCreateXML(snapshot.getXMLDesc(), flags_of("create", ["REDEFINE", "CURRENT"]))
        self.went_back(name, "off")
        for path in set(old.values()) - {self.path(file) for file in self.needed()}:
            os.unlink(path)

    def do_lose(self, name, dev):
        """A point goes behind everybody's back."""
        path = self.present()[dev]
        if self.domain.isActive():
            self.monitor("snapshot_delete_blkdev_internal " + f"drive-virtio-disk{list(self.kinds).index(dev)} {name}")
            node = self.node(path)
            libvirt_qemu.qemuMonitorCommand(
                self.domain, '{"execute":"blockdev-snapshot-delete-internal-sync","arguments":{"device":"%s","name":"%s"}}'
                % (node, name), 0)
        else:
            subprocess.run(["qemu-img", "snapshot", "-d", name, path], check=True)
        self.snapshots[name].pop(dev)

    def node(self, path):
        answer = libvirt_qemu.qemuMonitorCommand(self.domain, '{"execute":"query-block"}', 0)
        return next(text_between(part, '"node-name":"', '"') for part in answer.split('"inserted":')
                    if f'"file":"{path}"' in part)

    def do_forget(self, name, edit="add=description"):
        """Metadata that comes again, without being the current one."""
        snapshot = self.domain.snapshotLookupByName(name)
        text = self.edit(snapshot.getXMLDesc(), name, edit)
        held = self.snapshots[name]
        self.call("delete", [name, "METADATA_ONLY"])
        self.domain.snapshotCreateXML(text, flags_of("create", ["REDEFINE"]))
        self.snapshots[name], self.parents[name] = held, None

    def do_image(self, name, *options):
        """A file where an overlay may be wanted."""
        kind = "raw" if name.endswith(".raw") else "qcow2"
        base = ["-b", self.images["vda"], "-F", "qcow2"] if options else []
        self.make_image(name, kind, *base)

    def do_neighbour(self, name):
        """An image of somebody else's, on what a snapshot holds."""
        base = self.snapshot_images(name)["vda"]
        self.neighbours[self.make_image("neighbour.qcow2", "qcow2", "-b", base, "-F", "qcow2")] = self.snapshots[name]["vda"]

    def do_job(self):
        """A copy that has caught up and waits."""
        xml = f"<disk type='file'><driver type='qcow2'/><source file='{self.path('copy')}'/></disk>"
        self.domain.blockCopy("vda", xml, None, libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)

    def do_save(self):
        self.domain.managedSave()

    def do_running(self):
        self.enter("running")

    def do_off(self):
        self.enter("off")

    def do_paused(self):
        self.enter("paused")

    def do_write(self):
        self.write()

    def do_redefine(self, *words):
        self.call("redefine", list(words))

    # the calls

    def call(self, what, words):
        """Raises what the daemon says; otherwise what must be true now is noted down."""
        before = self.state()
        flags = [word for word in words if word.isupper()]
        getattr(self, "call_" + what)([word for word in words if not word.isupper()], flags, before)

    def call_create(self, words, flags, before):
        name, *how = words
        disks, memory, pad = {}, None, 0
        for word in how:
            dev, _, kind = word.rpartition("=")
            if dev == "memory":
                memory = kind
            elif dev == "pad":
                pad = int(kind)
            else:
                disks.update({dev: kind} if dev else {dev: kind for dev in self.kinds})
        snapshot = self.domain.snapshotCreateXML(self.snapshot_xml(name, disks, memory, pad), flags_of("create", flags))
        captured = {dev: self.content[dev] for dev in self.kinds if disks.get(dev, "internal")[:5] in ("inter", "exter", "named")}
        if "NO_METADATA" not in flags:
            self.add(snapshot.getName(), captured)
        if "HALT" in flags and before in ON:
            self.expected = "off"
        if "manual" in disks.values() and before == "running":
            self.expected = "paused"

    def snapshot_xml(self, name, disks, memory, pad):
        name = WORDS.get(name, name)
        text = "".join(self.disk_element(dev.rstrip("+"), kind) for dev, kind in disks.items())
        file = f" file='{self.path(name + '.mem')}'" if memory == "external" else ""
        return ((f"<domainsnapshot><name>{name}</name>" if name != "-" else "<domainsnapshot>")
                + (f"<description>{'x' * pad}</description>" if pad else "")
                + (f"<memory snapshot='{memory}'{file}/>" if memory else "")
                + (f"<disks>{text}</disks>" if disks else "") + "</domainsnapshot>")

    def disk_element(self, dev, kind):
        if not kind.startswith("named"):
            return f"<disk name='{dev}' snapshot='{kind}'/>"
        return f"<disk name='{dev}' snapshot='external'><source file='{self.path(kind.replace('named', 'reused').replace('-', '.'))}'/></disk>"

    def call_send(self, words, flags, _before):
        """A document as it is."""
        text = WORDS.get(words[0], words[0])
        snapshot = self.domain.snapshotCreateXML(text, flags_of("create", flags))
        self.add(snapshot.getName(), dict(self.content))

    def add(self, name, captured):
        self.snapshots[name] = captured
        self.parents[name] = self.current
        self.current = name

    def call_delete(self, words, flags, _before):
        name = words[0]
        self.domain.snapshotLookupByName(name).delete(flags_of("delete", flags))
        below = self.below(name)
        gone = below if "CHILDREN_ONLY" in flags else below | {name} if "CHILDREN" in flags else {name}
        parent = name if "CHILDREN_ONLY" in flags else self.parents[name]
        for child in self.snapshots:
            if self.parents[child] in gone:
                self.parents[child] = self.parents[name]
        if self.current in gone:
            self.current = parent
        for child in gone:
            del self.snapshots[child], self.parents[child]

    def below(self, name):
        found = {child for child, parent in self.parents.items() if parent == name}
        return found.union(*(self.below(child) for child in found))

    def call_revert(self, words, flags, _before):
        name = words[0]
        snapshot = self.domain.snapshotLookupByName(name)
        state = text_between(snapshot.getXMLDesc(), "<state>", "</state>")
        snapshot_state = {"running": "running", "paused": "paused"}.get(state, "off")
        self.domain.revertToSnapshot(snapshot, flags_of("revert", flags))
        self.went_back(name, "running" if "RUNNING" in flags else "paused" if "PAUSED" in flags else snapshot_state)

    def went_back(self, name, state):
        self.content.update(self.snapshots[name] or {})
        self.current = name
        self.expected = state

    def call_redefine(self, words, flags, _before):
        name, *edits = words
        text = self.domain.snapshotLookupByName(name).getXMLDesc()
        for edit in edits:
            text = self.edit(text, name, edit)
        self.domain.snapshotCreateXML(text, flags_of("create", ["REDEFINE", *flags]))
        new = re.search(r"<name>([^<]*)</name>", text)[1]
        parent = re.search(r"<parent>\s*<name>([^<]*)</name>", text)
        self.parents[new] = parent[1] if parent else None
        self.snapshots.setdefault(new, None)     # what it holds, nobody knows
        if "CURRENT" in flags:
            self.current = new

    def edit(self, text, name, edit):
        what, _, value = edit.partition("=")
        value = WORDS.get(value, value)
        parent = f"<parent><name>{value}</name></parent>"
        def without(element):
            return re.sub(rf"<{element}[ >].*?</{element}>\s*", "", text, count=1, flags=re.S)
        return {
            "name": lambda: text.replace(f"<name>{name}</name>", f"<name>{value}</name>", 1),
            "parent": lambda: without("parent").replace("<creationTime>", parent + "<creationTime>"),
            "state": lambda: re.sub(r"<state>.*?</state>", f"<state>{value}</state>", text, count=1),
            "without": lambda: without(value),
            "uuid": lambda: re.sub(r"<uuid>.*?</uuid>", f"<uuid>{value}</uuid>", text),
            "memory": lambda: re.sub(r"(<domain type=.*?<memory unit='KiB'>)\d+", rf"\g<1>{value}", text, flags=re.S),
            "disk": lambda: re.sub(r"<disk name='vda'", f"<disk name='{value}'", text),
            "add": lambda: text.replace("<creationTime>", f"<{value}/><creationTime>"),
            "garbage": lambda: "<domainsnapshot><name>x</name><" + value,
            "root": lambda: text.replace("domainsnapshot>", value + ">"),
            "pad": lambda: text.replace("<creationTime>", f"<description>{'x' * int(value)}</description><creationTime>"),
        }[what]()

    # what is true afterwards

    def snapshot_images(self, name):
        text = self.domain.snapshotLookupByName(name).getXMLDesc()
        return self.disks_of(text_between(text, "<domain type=", "</domain>")) if "<domain type=" in text else {}

    def disk_faults(self, name):
        text = self.domain.snapshotLookupByName(name).getXMLDesc()
        inside = dict(re.findall(r"<disk name='(\w+)' snapshot='(\w+)'", text))
        images = self.snapshot_images(name)
        for dev, content in (self.snapshots[name] or {}).items():
            if dev not in images:
                continue
            point = name if inside.get(dev, "internal") == "internal" else None
            if not self.reads(content, images[dev], point):
                yield f"{name} lost"
                return

    def tree_faults(self):
        found = {snapshot.getName(): snapshot for snapshot in self.domain.listAllSnapshots()}
        for name in set(self.snapshots) - set(found):
            yield f"{name} gone"
        for name in set(found) - set(self.snapshots):
            yield f"{name} still listed"
        for name in set(found) & set(self.snapshots):
            yield from self.disk_faults(name)
            try:
                parent = found[name].getParent().getName()
            except libvirt.libvirtError:
                parent = None
            if parent != self.parents[name]:
                yield f"{name} below {parent}"
        try:
            current = self.domain.snapshotCurrent().getName()
        except libvirt.libvirtError:
            current = None
        if current != self.current and self.current in found:
            yield f"current is {current}"

    def present_faults(self):
        for dev, path in self.present().items():
            if self.domain.isActive():
                self.monitor(f'qemu-io -d /machine/peripheral/virtio-disk{list(self.kinds).index(dev)}/virtio-backend "flush"')
            if not self.reads(self.content[dev], path):
                yield "present changed"
                break
        if any(self.read(path) != content for path, content in self.neighbours.items()):
            yield "neighbour changed"

    def needed(self):
        files = set(self.images.values()) | set(self.neighbours)
        for path in self.present().values():
            files.update(chain(path))
        for name in self.snapshots:
            for path in self.snapshot_images(name).values():
                files.update(chain(path))
            files.update(re.findall(r"<memory snapshot='external' file='([^']+)'",
                                    self.domain.snapshotLookupByName(name).getXMLDesc()))
        return {os.path.basename(path) for path in files}

    def has_leak(self, seconds):
        """Files that nothing needs; what is merged in the background has some time for it."""
        end = time.monotonic() + seconds
        while True:
            try:
                idle = not self.is_vireo or self.domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE
                if idle and not set(os.listdir(self.dir)) - self.needed():
                    return False
            except (FileNotFoundError, struct.error):    # it goes while it is looked at
                pass
            if time.monotonic() > end:
                return True
            time.sleep(0.02)

    def faults(self, look_for_leaks):
        if self.state() != self.expected:
            yield f"guest {self.state().replace('gone', 'off')}"
        if self.state() == "gone":
            return
        if look_for_leaks and self.has_leak(10 if self.is_vireo else 0.2):
            yield "leak"
        yield from self.tree_faults()
        yield from self.present_faults()

    def carry_out(self, text, pointless=False):
        """One cell: what became of the call, and what is wrong."""
        what, *words = text.split()
        files = set(os.listdir(self.dir))
        try:
            self.call(what, words)
        except libvirt.libvirtError as error:
            self.is_there()
            result, faults = f"✘ {error.get_error_code()}", list(self.faults(False))
            if set(os.listdir(self.dir)) - files:
                faults.append("leak")
        else:
            result, faults = "✔", list(self.faults(what == "delete" and "METADATA_ONLY" not in words))
            if pointless:
                faults.append("no effect")
        return f"⚠ {result} {', '.join(sorted(faults))}" if faults else result
