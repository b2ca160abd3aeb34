# SPDX-License-Identifier: LGPL-2.1-or-later
"""Worlds with more in them than disks: the variables of UEFI firmware, whose bytes come back with each snapshot; an
agent that holds the guest's file systems; checkpoints, from which incremental backups are right or refused; images that
a server has."""
import os
import shutil
import subprocess

import nettest
import qcow2
import qemutest
import treetest
from agenttest import CHANNEL, Holder
from imagetest import libvirt
from treetest import Wrong, need, same

FIRMWARE = "/usr/share/qemu/firmware"
TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"
HAS_UEFI = os.path.isdir(FIRMWARE) and os.path.exists(TEMPLATE)
PLACE = 0x20000    # of the letter among the variables, behind what the firmware uses
SETTINGS = "[process]\nuser = nobody\ngroup = nogroup\n"
FAR_SIZE = 512 << 20    # all that an image of a server may ever take
# What a backup may say instead of being wrong.
UNSURE = (libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT, )


class World(treetest.World):
    """uefi: the format of the domains' variables, or None. agent: whether they have one."""

    def __init__(self, uefi=None, agent=False, **kwargs):
        self.uefi, self.has_agent, self.agents = uefi, agent, {}
        self.backups, self.servers = 0, {}
        super().__init__(**kwargs)

    def close(self):
        try:
            super().close()
        finally:
            for one in *self.agents.values(), *self.servers.values():
                one.stop()

    def configure(self):
        qemutest.vireotest.FILES["qemu.conf"] = SETTINGS + f"[snapshots]\noverlay_dir = {self.dir}\n"

    def known(self, dom):
        """The second file adds to the first while it names the stamp of that."""
        known, more = super().known(dom), self.noted(dom, "images-added")
        if known and known.get("stamp") == more.get("stamp"):
            known.update((key, [*value, *more.get(key, ())]) for key, value in known.items() if isinstance(value, list))
        return known

    # images of servers: what these have is a file beside the others

    def far_disk(self, path, target, kind, boot):
        if kind == "qcow2":
            os.truncate(path, FAR_SIZE)
        server = self.servers[path] = nettest.Server(path, self.dir, unix=True)
        return (f"<disk type='network' device='disk'><driver name='qemu' type='{kind}'/>"
                f"<source protocol='nbd' name='x'>{server.host}</source><target dev='{target}' bus='virtio'/>"
                f"<boot order='{boot}'/></disk>")

    def url(self, path):
        return self.servers[path].location if path in self.servers else path

    def domain_xml(self, dom, disks, devices=""):
        dom.points = {}    # checkpoint -> what each of its disks read then
        if self.has_agent:
            path = os.path.join(self.daemon.work, f"{dom.name}.agent")
            self.agents[dom.uuid] = Holder(path)
            devices += CHANNEL.format(source=f"<source mode='connect' path='{path}'/>")
        xml = super().domain_xml(dom, disks, devices)
        if not self.uefi:
            return xml
        dom.boots = False
        self.make_variables(dom)
        return xml.replace("<os>", "<os firmware='efi'>").replace("</os>", f"""<firmware>
            <feature enabled='no' name='secure-boot'/></firmware>
            <nvram format='{"qcow2" if self.uefi == "qcow2" else "raw"}'>{self.variables(dom)}</nvram></os>""")

    # variables of the firmware; what runs would change them, so these guests are off or paused

    def variables(self, dom):
        return self.file(f"vars-{dom.uuid[:4]}.{self.uefi}")

    def make_variables(self, dom):
        path = self.variables(dom)
        if self.uefi == "qcow2":
            self.tool("convert", "-f", "raw", "-O", "qcow2", TEMPLATE, path)
        else:
            shutil.copy(TEMPLATE, path)
        os.chmod(path, 0o666)
        self.write_variables(dom, "a")

    def write_variables(self, dom, letter):
        kind = "qcow2" if self.uefi == "qcow2" else "raw"
        code, said = self.alone(["qemu-io", "-f", kind, "-c", f"write -P {ord(letter)} {PLACE} 512",
                                 self.variables(dom)])
        if code or "failed" in said:
            raise Wrong(said)
        dom.mark = letter

    def mark_of(self, reader, path):
        raw = True
        try:
            reader.image(path)
            raw = False
        except ValueError:
            pass
        data = reader.read(path, [PLACE], 512, raw=raw)[0]
        return chr(data[0]) if data == data[:1] * 512 else "?"

    def do_set(self, name, letter):
        dom = self.domains[name]
        need(self.uefi and dom.state == "off")
        self.write_variables(dom, letter)

    def do_start(self, name, paused):
        super().do_start(name, paused or bool(self.uefi))

    def do_resume(self, name):
        need(not self.uefi)
        super().do_resume(name)

    def look_at_variables(self, dom, reader, needed):
        path = self.variables(dom)
        needed.add(os.path.basename(path))
        same(self.mark_of(reader, path), dom.mark, f"the variables of {dom.name}")
        for name, tree in self.trees(dom).items():
            copy = tree.find("nvram")
            if copy is None:
                raise Wrong(f"snapshot {name} of {dom.name} has no variables")
            needed.add(os.path.basename(copy.get("file")))
            same(self.mark_of(reader, copy.get("file")), dom.snapshots[name].mark,
                 f"the variables of {dom.name}/{name} ({copy.get('file')})")

    def written(self, dom):
        return super().written(dom) + ([self.variables(dom)] if self.uefi else [])

    # snapshots

    def look_at_more(self, reader, needed):
        for dom in self.domains.values():
            if self.uefi:
                self.look_at_variables(dom, reader, needed)
            same(sorted(point.getName() for point in self.lv(dom).listAllCheckpoints()), sorted(dom.points),
                 f"checkpoints of {dom.name}")

    def do_take(self, name, snap, disks, memory, flags):
        dom = self.domains[name]
        need("quiesce" not in flags or (self.has_agent and dom.state == "running"))
        super().do_take(name, snap, disks, memory, flags)
        if snap in dom.snapshots and self.uefi:
            dom.snapshots[snap].mark = dom.mark
        if "quiesce" in flags:
            same(self.agents[dom.uuid].held, False, f"whether the file systems of {name} are held")

    def do_revert(self, name, snap, how):
        dom = self.domains[name]
        need(not self.uefi or how != "running")
        super().do_revert(name, snap, how)
        if self.uefi:
            dom.mark = dom.snapshots[snap].mark

    # checkpoints

    def do_move(self, name):
        super().do_move(name)
        self.domains[name].points = {}

    def do_point(self, name, point, targets):
        dom = self.domains[name]
        formats = {target: kind for target, _, kind in self.tops(dom)}
        targets = [target for target in targets if formats.get(target) == "qcow2"]
        need(targets and point not in dom.points)
        disks = "".join(f"<disk name='{target}' checkpoint='{'bitmap' if target in targets else 'no'}'/>"
                        for target in dom.disks)
        self.lv(dom).checkpointCreateXML(f"<domaincheckpoint><name>{point}</name><disks>{disks}</disks>"
                                         "</domaincheckpoint>")
        dom.points[point] = {target: dom.disks[target].content for target in targets}

    def do_unpoint(self, name, point):
        dom = self.domains[name]
        need(point in dom.points)
        self.lv(dom).checkpointLookupByName(point).delete()
        del dom.points[point]

    def do_backup(self, name, point):
        """What changed since a checkpoint; it may hold more than that."""
        dom = self.domains[name]
        need(point in dom.points and dom.state != "off")
        self.backups += 1
        files = {target: os.path.join(self.daemon.work, f"backup{self.backups}.{target}")
                 for target in dom.points[point]}
        disks = "".join(f"<disk name='{target}' backup='yes' type='file'><target file='{files[target]}'/></disk>"
                        if target in files else f"<disk name='{target}' backup='no'/>" for target in dom.disks)
        xml = f"<domainbackup mode='push'><incremental>{point}</incremental><disks>{disks}</disks></domainbackup>"
        try:
            self.lv(dom).backupBegin(xml, None)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in UNSURE:
                raise
            return self.refused(error)
        qemutest.wait_until(lambda: self.backup_is_over(dom), 20, "the backup is over")
        for target, path in files.items():
            self.compare(dom, point, target, path)
            os.unlink(path)
        return None

    def backup_is_over(self, dom):
        try:
            self.lv(dom).backupGetXMLDesc()
        except libvirt.libvirtError as error:
            return error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_BACKUP
        return False

    def compare(self, dom, point, target, path):
        reader = qcow2.Reader()
        places, found = reader.image(path).places(), self.content(reader, path)
        then, now = dom.points[point][target], dom.disks[target].content
        for cell, place in enumerate(places):
            if found[cell] != now[cell] if place is not None else then[cell] != now[cell]:
                raise Wrong(f"the backup of {target} since {point}: cell {cell} is {found[cell]!r} "
                            f"({'not ' if place is None else ''}in it), {then[cell]!r} then, {now[cell]!r} now")
