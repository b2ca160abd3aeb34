# SPDX-License-Identifier: LGPL-2.1-or-later
"""A TPM made by swtpm: it lives with the guest, and its state is in the guest's snapshots."""
import hashlib
import os
import shutil
import signal

import qemutest
from uefitest import PLAIN, Case, content

if not shutil.which("swtpm"):
    qemutest.skip_file("swtpm is missing (package swtpm)")

TPM = "<tpm model='{model}'><backend type='emulator' version='2.0'/></tpm>"
EXTERNAL = ("--diskspec", "vda,snapshot=external")


class Tpm(Case):
    def with_tpm(self, model="tpm-crb"):
        self.define_with_disk(os_xml=f"{PLAIN}<nvram>{self.dir}/vars.fd</nvram>", devices=TPM.format(model=model))
        self.uuid = self.virsh("domuuid", "a")
        self.state_file = os.path.join(self.daemon.root, f"var/lib/vireo/qemu/system/nvram/{self.uuid}_TPM.state")

    def swtpm(self):
        """The processes that have the guest's state."""
        return [pid for pid in os.listdir("/proc")
                if pid.isdigit() and any(self.state_file in word for word in qemutest.cmdline(pid))]

    def boot(self):
        self.virsh("start", "a")
        self.line("a").expect("startup.nsh", 60)

    def off(self):
        self.virsh("destroy", "a")
        qemutest.wait_until(lambda: not self.swtpm(), 10, "swtpm ends with the guest")

    def seen(self):
        return hashlib.sha256(content(self.state_file)).hexdigest()

    def copy(self, name):
        return hashlib.sha256(content(self.snapshot_xml(name).find("tpm").get("file"))).hexdigest()

    def test_life(self):
        for model in "tpm-crb", "tpm-tis":
            with self.subTest(model=model):
                self.with_tpm(model)
                self.boot()
                self.assertEqual(len(self.swtpm()), 1)
                self.daemon.kill()
                self.daemon.start_vireod()
                self.assertEqual(self.state("a"), "running")
                self.assertEqual(len(self.swtpm()), 1, "it survives the daemon as the guest does")
                self.off()
                self.assertGreater(len(content(self.state_file)), 1000)
                self.virsh("start", "a", "--paused")
                self.off()
                self.virsh("undefine", "a", "--nvram", "--keep-tpm")
                self.assertTrue(os.path.exists(self.state_file))
                self.with_tpm(model)
                self.virsh("start", "a", "--paused")
                self.off()
                self.virsh("undefine", "a", "--nvram")
                self.assertFalse(os.path.exists(self.state_file))
                for name in self.files():
                    os.unlink(os.path.join(self.dir, name))

    def transient(self, how=""):
        self.with_tpm()
        text = self.virsh("dumpxml", "a").replace("<backend type='emulator'", f"<backend type='emulator' {how}")
        self.virsh("undefine", "a", "--nvram")
        self.virsh("create", "--paused", self.write("transient.xml", text))
        self.assertTrue(os.path.exists(self.state_file))

    def gone(self, really=True):
        qemutest.wait_until(lambda: not self.swtpm(), 10, "swtpm ends with the guest")
        self.assertEqual(os.path.exists(self.state_file), not really)
        for name in self.files():
            os.unlink(os.path.join(self.dir, name))

    def test_transient(self):
        """The state goes with the guest, unless it is to stay."""
        self.transient()
        self.virsh("destroy", "a")
        self.gone()
        self.transient()
        self.daemon.kill()
        os.kill(qemutest.qemu_pid(self.uuid), signal.SIGKILL)
        self.daemon.start_vireod()
        self.assertEqual(self.names("list", "--all", "--name"), [])
        self.gone()
        self.transient("persistent_state='yes'")
        self.assertIn("persistent_state='yes'", self.virsh("dumpxml", "a"))
        self.virsh("destroy", "a")
        self.gone(False)

    def test_undefined_while_it_runs(self):
        for how, goes in (((), True), (("--tpm",), True), (("--keep-tpm",), False)):
            with self.subTest(how=how):
                self.with_tpm()
                self.virsh("start", "a", "--paused")
                self.virsh("undefine", "a", "--nvram", *how)
                self.assertTrue(os.path.exists(self.state_file), "the guest has it")
                self.daemon.kill()
                self.daemon.start_vireod()
                self.virsh("destroy", "a")
                self.gone(goes)
        self.with_tpm()
        text = self.virsh("dumpxml", "a").replace("<backend type='emulator'",
                                                  "<backend type='emulator' persistent_state='yes'")
        self.virsh("define", self.write("kept.xml", text))
        self.virsh("start", "a", "--paused")
        self.off()
        self.virsh("undefine", "a", "--nvram")
        self.assertTrue(os.path.exists(self.state_file))
        self.virsh("define", self.write("kept.xml", text))
        self.virsh("undefine", "a", "--keep-nvram", "--tpm")
        self.gone()

    def test_refused(self):
        for text in (TPM.format(model="tpm-crb") * 2, TPM.format(model="tpm-crb").replace("2.0", "1.2"),
                     TPM.format(model="tpm-spapr"),
                     "<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>"):
            self.virsh_fails("define", self.write("x.xml", self.uefi_xml(devices=text)))
        capabilities = self.virsh("domcapabilities", "--virttype", "qemu")
        self.assertIn("<tpm supported='yes'>", capabilities)

    def test_snapshots_off(self):
        self.with_tpm()
        seen = {}
        for name, options in ("s1", ()), ("s2", EXTERNAL):
            self.boot()    # counts its starts
            self.off()
            seen[name] = self.seen()
            self.virsh("snapshot-create-as", "a", name, *options)
        self.boot()
        self.off()
        self.assertEqual(len({self.seen(), *seen.values()}), 3, "the state is another one after each start")
        for name in "s1", "s2", "s1":
            self.force(name)
            self.assertEqual(self.seen(), seen[name])
            self.assertEqual(self.copy(name), seen[name])
        copies = [self.snapshot_xml(name).find("tpm").get("file") for name in ("s1", "s2")]
        self.virsh("snapshot-delete", "a", "s1", "--children")
        self.assertFalse([path for path in copies if os.path.exists(path)])
        self.boot()
        self.assertEqual(len(self.swtpm()), 1)

    def test_snapshots_live(self):
        self.with_tpm()
        self.boot()
        seen = {}
        for name, options in (("s1", ()), ("s2", ("--disk-only",)),
                              ("s3", ("--memspec", f"{self.dir}/s3.mem,snapshot=external"))):
            self.virsh("snapshot-create-as", "a", name, *options)
            seen[name] = self.copy(name)
            self.assertEqual(self.state("a"), "running")
        for name in "s1", "s3":
            self.force(name)
            self.assertEqual(self.state("a"), "running")
            self.assertEqual(len(self.swtpm()), 1)
            line = self.line("a")
            line.seen = b""
            line.send("\x1b")
            line.expect("Shell>", 30)
        self.force("s2")
        qemutest.wait_until(lambda: not self.swtpm(), 10, "swtpm ends with the guest")
        self.assertEqual(self.seen(), seen["s2"])
        self.boot()


if __name__ == "__main__":
    qemutest.main()
