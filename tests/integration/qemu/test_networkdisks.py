# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks that a server has: what a document may say, guests on them, snapshots, merging, and servers that go away."""
import json
import os
import time

import blocktest
import nettest
import placetest
import plantest
import qemutest


class Documents(nettest.Case):
    def source(self, source, kind="raw", more=""):
        disk = (f"<disk type='network' device='disk'><driver name='qemu' type='{kind}'/>{source}"
                f"<target dev='vdb' bus='virtio'/>{more}</disk>")
        return self.write("d.xml", self.nano_xml("d", disks=[disk]))

    def accepted(self, source, more=""):
        self.virsh("define", self.source(source, more=more))
        command = self.virsh("domxml-to-native", "qemu-argv", "--domain", "d")
        self.virsh("undefine", "d")
        return command

    def refused(self, source, more=""):
        return self.virsh_fails("define", self.source(source, more=more))

    def test_protocols(self):
        """What QEMU would be told."""
        for source, more, words in (
                ("<source protocol='nbd' name='a/b'><host name='h1'/></source>", "",
                 ['"driver":"nbd"', '"host":"h1","port":"10809"', '"export":"a/b"']),
                ("<source protocol='nbd'><host transport='unix' socket='/run/x.sock'/></source>", "",
                 ['"type":"unix","path":"/run/x.sock"']),
                ("<source protocol='nbd' name='x'><host name='::1' port='7'/></source>", "",
                 ['"host":"::1","port":"7"']),
                ("<source protocol='iscsi' name='iqn.2020-01.org.x:disk/3'><host name='h1'/></source>", "",
                 ['"portal":"h1:3260"', '"target":"iqn.2020-01.org.x:disk"', '"lun":3']),
                ("<source protocol='rbd' name='pool/image'><host name='m1' port='6789'/><host name='m2'/></source>", "",
                 ['"pool":"pool","image":"image"', '"server":[{"host":"m1","port":"6789"},{"host":"m2"']),
                ("<source protocol='https' name='a/b.iso' query='c=d'><host name='h1'/></source>", "<readonly/>",
                 ['"url":"https://h1:443/a/b.iso?c=d"']),
                ("<source protocol='ssh' name='/srv/a.img'><host name='h1'/><identity username='me'/></source>", "",
                 ['"driver":"ssh"', '"path":"/srv/a.img","user":"me"'])):
            command = self.accepted(source, more)
            for word in words:
                self.assertIn(word, command.replace('\\', ''), source)

    def test_refused(self):
        for source, word in (
                ("<source protocol='nbd' name='x'/>", "<host>"),
                ("<source protocol='gluster' name='v/x'><host name='h'/></source>", "'gluster' is not served"),
                ("<source protocol='nbd' name='x'><host name='h'/><host name='i'/></source>", "more than one server"),
                ("<source protocol='nbd' name='a?b'><host name='h'/></source>", "@name"),
                ("<source protocol='nbd' name='x'><host name='h/../x'/></source>", "host"),
                ("<source protocol='nbd' name='x'><host transport='unix' socket='x.sock'/></source>", "socket"),
                ("<source protocol='iscsi' name='x'><host transport='unix' socket='/x'/></source>", "UNIX sockets"),
                ("<source protocol='iscsi' name='disk'><host name='h'/></source>", "iqn"),
                ("<source protocol='rbd' name='image'><host name='h'/></source>", "POOL/IMAGE"),
                ("<source protocol='https' name='x'><host name='h'/></source>", "readonly"),
                ("<source protocol='nbd' name='x' tls='yes'><host name='h'/></source>", "tls"),
                ("<source protocol='rbd' name='p/i'><host name='h'/><auth username='u'><secret type='ceph' "
                 "usage='x'/></auth></source>", "auth"),
                ("<source protocol='https' name='x'><host name='h'/><cookies><cookie name='a'>b</cookie></cookies>"
                 "</source>", "cookies")):
            said = self.refused(source)
            self.assertIn(word, said, source)
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_as_it_was_written(self):
        self.net_guest(start=False)
        source = self.disk("vdb").find("source")
        self.assertEqual((source.get("protocol"), source.get("name")), ("nbd", "x"))
        self.assertEqual(source.find("host").get("port"), str(self.server.port))
        self.assertIn("network", self.virsh("domblklist", "d", "--details"))


class Guests(placetest.Steps, nettest.Case):
    def test_runs_on_it(self):
        for unix in False, True:
            self.net_guest(unix=unix)
            self.put(2, 1)
            self.assertIn("8.000 MiB", self.virsh("domblkinfo", "d", "vdb", "--human"))
            self.assertIn("wr_bytes", self.virsh("domblkstat", "d", "vdb"))
            self.restart()
            self.off()
            self.reads(2, 1)
            self.reads(1, 2)
            self.virsh("undefine", "d")
            self.server.stop()

    def test_boots_from_it(self):
        path = self.nano_disk("boot.qcow2")
        os.truncate(path, 64 * blocktest.MIB)
        server = nettest.Server(path, self.work)
        self.addCleanup(self.end, server)
        self.define("d", disks=[self.disk_of(server, "qcow2", "vda")])
        self.virsh("start", "d")
        self.line("d").wake()

    def test_with_memory(self):
        self.net_guest()
        self.put(2, 0)
        self.virsh("snapshot-create-as", "d", "s1", "--memspec", os.path.join(self.work, "d.mem"), "--diskspec",
                   "vda,snapshot=external")
        self.put(3, 0)
        self.virsh("snapshot-revert", "d", "s1")
        self.assertEqual(self.state("d"), "running")
        self.put(4, 1)
        self.off()
        self.reads(2, 0)
        self.reads(4, 1)

    def test_pulled_away(self):
        self.net_guest()
        self.overlay("s1")
        self.put(2, 0)
        self.virsh("snapshot-delete", "d", "s1", "--metadata")
        self.virsh("blockpull", "d", "vdb", "--wait")
        self.off()
        self.server.stop()
        self.reads(2, 0)
        self.reads(1, 1)

    def test_backups(self):
        self.net_guest("qcow2")
        self.backups = 0
        last = self.backup("b1", point="c1")
        self.put(2, 1)
        self.right("c1", last, [1])
        self.restart()
        self.put(3, 2)
        last = self.right("c1", last, [1, 2])
        self.virsh("checkpoint-create-as", "d", "c2", "--diskspec", "vdb")
        self.overlay("s1")
        self.put(4, 3)
        self.right("c2", last)

    def test_pulled_backup(self):
        """What changed, as it was."""
        self.net_guest("qcow2")
        self.virsh("checkpoint-create-as", "d", "c1", "--diskspec", "vdb")
        self.put(2, 1)
        export, scratch, copy = (os.path.join(self.work, name) for name in ("nbd", "scratch", "copy"))
        self.virsh("backup-begin", "d", self.write("pull.xml", f"""<domainbackup mode='pull'>
            <incremental>c1</incremental><server transport='unix' socket='{export}'/><disks>
            <disk name='vdb' backup='yes' type='file'><scratch file='{scratch}'/></disk>
            <disk name='vda' backup='no'/></disks></domainbackup>"""))
        self.put(3, 2)
        changed = json.loads(blocktest.tool(
            "qemu-img", "map", "--output=json", "--image-opts", f"driver=nbd,server.type=unix,server.path={export},"
            "export=vdb,x-dirty-bitmap=qemu:dirty-bitmap:backup-vdb"))
        self.assertEqual([(one["start"], one["length"]) for one in changed if not one["data"]], [(65536, 65536)])
        blocktest.tool("qemu-img", "convert", "-O", "raw", f"nbd+unix:///vdb?socket={export}", copy)
        for byte, at in (1, 0), (2, 1), (1, 2):
            said = blocktest.tool("qemu-io", "-r", "-f", "raw", "-c", f"read -P {byte} {at * 64}k 64k", copy)
            self.assertNotIn("failed", said)
        self.virsh("domjobabort", "d")
        self.assertFalse(os.path.exists(scratch))
        self.off()
        self.reads(3, 2)

    def doctor(self):
        done = plantest.PlanCase.run_vireo(self, "--json", "doctor", "d")
        return {(one["kind"], one["file"]) for one in json.loads(done.stdout)[0]["findings"]}

    def test_doctor_and_another_domain(self):
        self.net_guest()
        self.overlay("s1")
        self.assertEqual(self.doctor(), set())
        self.virsh("snapshot-delete", "d", "s1", "--metadata")
        self.virsh("define", self.write("e.xml", self.nano_xml("e", disks=[self.disk_of(self.server)])))
        self.assertEqual(self.doctor(), {("foreign-reference", self.location)})
        self.assertIn("is read by others", self.virsh_fails("blockcommit", "d", "vdb", "--active", "--pivot"))
        self.virsh("undefine", "e")
        self.virsh("blockcommit", "d", "vdb", "--active", "--pivot")
        self.off()
        self.server.stop()
        self.assertIn(self.location, {file for _, file in self.doctor()})
        self.server.start()
        self.assertEqual(self.doctor(), set())

    def test_reused_overlay(self):
        """Made by hand, on what the server has."""
        self.net_guest(start=False)
        path = os.path.join(self.over, "by-hand")
        blocktest.tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.server.location, "-F", "raw", path)
        os.chmod(path, 0o666)
        self.virsh("start", "d")
        self.virsh("snapshot-create-as", "d", "s1", "--disk-only", "--reuse-external", "--diskspec", "vda,snapshot=no",
                   "--diskspec", f"vdb,file={path}")
        self.put(2, 0)
        self.off()
        self.reads(2, 0)
        self.reads(1, 0, self.server.location)

    def test_base_named_by_a_header(self):
        """The ways in which an image may say that it is based on what a server has."""
        server = self.server = self.serve()
        port = server.port
        for number, base in enumerate((
                server.location, f"nbd:127.0.0.1:{port}:exportname=x",
                'json:{"driver":"raw","file":{"driver":"nbd","export":"x","server":{"type":"inet","host":"127.0.0.1",'
                f'"port":"{port}"}}}}}}',
                'json:{"driver":"raw","file":{"driver":"nbd","export":"x","server.type":"inet",'
                f'"server.host":"127.0.0.1","server.port":"{port}"}}}}')):
            path = os.path.join(self.work, f"over{number}.qcow2")
            blocktest.tool("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", base, "-F", "raw", path, "8M")
            os.chmod(path, 0o666)
            self.define("d", disks=[qemutest.disk_xml(self.nano_disk(f"boot{number}.qcow2"), "vda", boot=1),
                                    qemutest.disk_xml(path, "vdb")])
            self.virsh("start", "d")
            base = self.disk().find("backingStore/source")
            self.assertEqual(base.get("protocol"), "nbd")
            self.overlay("s1")
            self.put(2, number)
            self.overlay("s2")
            self.virsh("snapshot-delete", "d", "s2")
            self.merged(3)
            self.off()
            self.reads(2, number)
            self.reads(1, number + 1)
            self.virsh("undefine", "d", "--snapshots-metadata")

    def test_defined_again(self):
        """With nothing but the images to tell what these are based on."""
        self.net_guest(start=False)
        for number, name in enumerate(("s1", "s2")):
            self.snapshot(name, "--disk-only")
            self.put(2, number)
        document = self.write("d.xml", self.virsh("dumpxml", "d"))
        self.virsh("undefine", "d", "--snapshots-metadata")
        self.virsh("define", document)
        self.virsh("start", "d")
        self.put(3, 2)
        self.off()
        for byte, at in (2, 0), (2, 1), (3, 2):
            self.reads(byte, at)

    def test_one_client_only(self):
        """A server that takes no other connection than QEMU's."""
        self.net_guest("qcow2", clients=1)
        begun = time.monotonic()
        self.virsh("snapshot-create-as", "d", "s1")
        self.put(2, 0)
        self.overlay("s2")
        self.put(3, 1)
        self.virsh("snapshot-delete", "d", "s1")
        self.daemon.kill()
        self.daemon.start_vireod()
        self.overlay("s3")
        self.assertEqual(len(self.disk().findall(".//backingStore/source")), 2)
        self.virsh("snapshot-delete", "d", "s3")
        self.assertLess(time.monotonic() - begun, 30)
        self.off()
        self.assertEqual(self.disk_snapshots(self.server.location), [])
        self.reads(2, 0)
        self.reads(3, 1)


class Faults(nettest.Case):
    def setUp(self):
        super().setUp()
        self.overlays()

    def test_gone_while_off(self):
        self.net_guest(start=False)
        self.server.stop()
        self.virsh("dumpxml", "d")
        self.define("e", disks=[self.disk_of(self.server)])
        for words in ["start", "d"], ["snapshot-create-as", "d", "s1", "--disk-only"], ["domblkinfo", "d", "vdb"]:
            self.assertIn(self.server.location, self.virsh_fails(*words), words)
        self.virsh("undefine", "e")
        self.server.start()
        self.virsh("start", "d")
        self.put(2, 0)

    def test_gone_while_it_runs(self):
        """What the guest asks meanwhile waits for the server."""
        self.net_guest()
        self.put(2, 0)
        self.server.stop()
        self.assertEqual(self.state("d"), "running")
        self.virsh("dumpxml", "d")
        self.server.start()
        self.put(3, 1)
        self.overlay("s1")
        self.put(4, 2)
        self.off()
        for byte, at in (2, 0), (3, 1), (4, 2):
            self.reads(byte, at)

    def test_gone_when_a_snapshot_is_taken(self):
        self.net_guest()
        self.put(2, 0)
        self.server.stop()
        self.assertIn(self.server.location, self.virsh_fails("snapshot-create-as", "d", "s1", "--disk-only"))
        self.assertEqual(os.listdir(self.over), [])
        self.assertEqual(self.disk().get("type"), "network")
        self.server.start()
        self.overlay("s1")
        self.put(3, 1)
        self.off()
        self.reads(2, 0)
        self.reads(3, 1)

    def test_gone_while_merging(self):
        self.net_guest()
        for number in 1, 2:
            self.overlay(f"s{number}")
            self.put(1 + number, number)
        self.server.stop()
        self.virsh_raw("snapshot-delete", "d", "s2")
        self.virsh("list")
        self.server.start()
        self.virsh_raw("snapshot-delete", "d", "s2")
        self.merged(2)
        self.off()
        for number in 1, 2:
            self.reads(1 + number, number)

    def test_no_answer_when_the_daemon_starts(self):
        """Guests on a server that hangs are found again."""
        self.net_guest()
        self.put(2, 0)
        self.overlay("s1")
        self.server.hang()
        self.daemon.kill()
        begun = time.monotonic()
        self.daemon.start_vireod()
        self.assertEqual(self.state("d"), "running")
        self.assertLess(time.monotonic() - begun, 29)
        self.server.go_on()
        self.put(3, 1)
        self.off()
        self.reads(2, 0)
        self.reads(3, 1)

    def test_no_answer(self):
        """A server that takes the connection and says nothing keeps nobody else waiting."""
        self.net_guest(start=False)
        self.server.hang()
        begun = time.monotonic()
        self.assertIn(self.server.location, self.virsh_fails("start", "d"))
        self.assertLess(time.monotonic() - begun, 50)
        self.virsh("list")


if __name__ == "__main__":
    qemutest.main()
