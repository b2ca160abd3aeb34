# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests with UEFI firmware in flash: which firmware, the file with its variables, and what becomes of that."""
import os
import shutil
import subprocess

import qemutest
from uefitest import CODE, PLAIN, TEMPLATE, Case, content


class Definition(Case):
    def os(self):
        return self.xml("a").find("os")

    def test_chosen_by_what_is_asked_for(self):
        for machine, text, loader, secure, template in (
                ("pc", "", CODE, None, TEMPLATE),
                ("q35", PLAIN, CODE, None, TEMPLATE),
                ("q35", "<firmware><feature enabled='yes' name='secure-boot'/>"
                        "<feature enabled='no' name='enrolled-keys'/></firmware>",
                 CODE.replace("4M", "4M.secboot"), "yes", TEMPLATE),
                ("q35", "<loader secure='no'/>", CODE, "no", TEMPLATE),
                ("q35", "<loader secure='yes'/>", CODE.replace("4M", "4M.ms"), "yes", TEMPLATE.replace("4M", "4M.ms"))):
            with self.subTest(machine=machine, text=text):
                self.define_uefi(machine=machine, os_xml=text)
                element = self.os()
                self.assertEqual(element.get("firmware"), "efi")
                self.assertEqual(element.find("loader").text, loader)
                self.assertEqual(element.find("loader").get("secure"), secure)
                self.assertEqual(element.find("nvram").get("template"), template)
                smm = self.xml("a").find("features/smm")
                self.assertEqual(smm is not None and smm.get("state") == "on", secure == "yes")
                # what is shown can be defined again, and says the same
                before = self.virsh("dumpxml", "a")
                self.virsh("define", self.write("again.xml", before))
                self.assertEqual(self.virsh("dumpxml", "a"), before)
                self.virsh("undefine", "a", "--nvram")

    def test_refused(self):
        for how, text in (
                ({"machine": "pc", "os_xml": "<loader secure='yes'/>"}, "none of the UEFI firmware"),
                ({"os_xml": "<firmware><feature enabled='yes' name='teleport'/></firmware>"}, "none of the UEFI"),
                ({"os_xml": PLAIN, "firmware": ""}, "<firmware>"),
                ({"os_xml": "<loader stateless='yes'/>"}, "none of the UEFI"),
                ({"os_xml": f"<loader type='pflash' stateless='yes'>{CODE}</loader><nvram>/x.fd</nvram>",
                  "firmware": ""}, "stateless"),
                ({"os_xml": f"<loader type='pflash' readonly='no'>{CODE}</loader>", "firmware": ""}, "read-only"),
                ({"os_xml": "<nvram>/x.fd</nvram>", "firmware": ""}, "only firmware in flash"),
                ({"os_xml": PLAIN + "<nvram type='block'><source dev='/dev/null'/></nvram>"}, "nvram")):
            with self.subTest(text=text):
                self.assertIn(text, self.virsh_fails("define", self.write("x.xml", self.uefi_xml(**how))))

    def test_capabilities(self):
        for machine, firmware, secure in (("pc", [CODE], {"no"}), ("q35", 3, {"yes", "no"})):
            tree = qemutest.vireotest.ElementTree.fromstring(
                self.virsh("domcapabilities", "--virttype", "qemu", "--machine", machine))
            element = tree.find("os")
            self.assertEqual([value.text for value in element.findall("enum[@name='firmware']/value")], ["efi"])
            loaders = [value.text for value in element.findall("loader/value")]
            self.assertEqual(loaders if isinstance(firmware, list) else len(loaders), firmware)
            self.assertEqual({value.text for value in element.findall("loader/enum[@name='secure']/value")}, secure)
            self.assertIn("pflash", [value.text for value in element.findall("loader/enum[@name='type']/value")])

    def test_command_line(self):
        self.define_uefi(machine="pc", os_xml="")
        native = self.virsh("domxml-to-native", "qemu-argv", self.write("n.xml", self.virsh("dumpxml", "a")))
        self.assertIn(f'"filename":"{CODE}"', native.replace("'", ""))
        self.assertIn("pflash1=pflash1", native)
        self.assertFalse(os.path.exists(self.nvram()), "showing a command line makes nothing")


class Life(Case):
    def boots(self, **how):
        self.define_uefi(**how)
        self.virsh("start", "a")
        return self.shell()

    def test_variables_live_on(self):
        line = self.boots()
        self.set_variable(line, "A")
        self.assertTrue(self.stored("A"))
        self.virsh("destroy", "a")
        self.assertTrue(self.stored("A"))
        self.assertEqual(os.stat(self.nvram()).st_mode & 0o777, 0o600)
        self.virsh("start", "a")
        line = self.shell()
        self.assertIn("41", self.say(line, "setvar Vireo -guid 4f564d46-0000-4000-8000-766972656f21"))
        # a managed save brings them along
        self.virsh("managedsave", "a")
        self.virsh("start", "a")
        line = self.line("a")
        self.set_variable(line, "B")
        self.assertTrue(self.stored("B"))
        # and they can be made anew
        self.virsh("destroy", "a")
        self.virsh("start", "a", "--reset-nvram", "--paused")
        self.virsh("destroy", "a")
        self.assertEqual(content(self.nvram()), content(TEMPLATE))

    def anew(self, *restore):
        """The guest goes on where it was saved; its firmware finds nothing in the variables when it starts again."""
        self.virsh(*restore)
        line = self.line("a")
        self.say(line, "ver")
        self.assertFalse(self.stored("A", self.raw()))
        self.virsh("reset", "a")
        line = self.shell()
        self.assertIn("Unable to get", self.say(line, "setvar Vireo -guid 4f564d46-0000-4000-8000-766972656f21"))
        self.set_variable(line, "A")
        self.assertTrue(self.stored("A", self.raw()), "what it keeps from now on is kept")

    def raw(self):
        """What the guest sees in the file."""
        path = os.path.join(self.work, "vars.raw")
        kind = "qcow2" if self.nvram().endswith(".qcow2") else "raw"
        subprocess.run(["qemu-img", "convert", "-U", "-f", kind, "-O", "raw", self.nvram(), path], check=True)
        return path

    def test_anew_under_a_saved_state(self):
        saved = os.path.join(self.dir, "a.save")
        line = self.boots()
        self.set_variable(line, "A")
        self.virsh("save", "a", saved)
        self.anew("restore", saved, "--reset-nvram")
        self.virsh("managedsave", "a")
        self.virsh("start", "a", "--reset-nvram", "--paused")
        self.assertEqual(self.state("a"), "paused")
        self.assertFalse(self.stored("A"))
        self.anew("resume", "a")
        self.virsh("destroy", "a")
        self.virsh("restore", saved)    # without the flag they come along
        self.assertIn("41", self.say(self.line("a"), "setvar Vireo -guid 4f564d46-0000-4000-8000-766972656f21"))
        self.assertTrue(self.stored("A"))

    def test_anew_in_other_formats(self):
        """In qcow2, from a template in qcow2, with Secure Boot."""
        path, own, saved = (os.path.join(self.dir, name) for name in ("vars.qcow2", "own.qcow2", "a.save"))
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", TEMPLATE, own], check=True)
        line = self.boots(firmware="", os_xml=f"<loader type='pflash' readonly='yes' secure='yes'>"
                          f"{CODE.replace('4M', '4M.secboot')}</loader>"
                          f"<nvram type='file' format='qcow2' template='{own}' templateFormat='qcow2'>"
                          f"<source file='{path}'/></nvram>")
        self.set_variable(line, "A")
        self.assertTrue(self.stored("A", self.raw()))
        self.virsh("save", "a", saved)
        self.anew("restore", saved, "--reset-nvram")

    def test_in_qcow2_and_elsewhere(self):
        path = os.path.join(self.dir, "vars.qcow2")
        line = self.boots(machine="pc",
                          os_xml=f"<nvram type='file' format='qcow2'><source file='{path}'/></nvram>")
        self.set_variable(line, "C")
        self.virsh("destroy", "a")
        raw = os.path.join(self.dir, "vars.raw")
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
        self.assertTrue(self.stored("C", raw))
        self.assertFalse(self.stored("D", raw))

    def test_named_by_hand_with_secure_boot(self):
        own = os.path.join(self.dir, "template.fd")
        shutil.copy(TEMPLATE, own)
        self.define_uefi(firmware="", os_xml=f"<loader type='pflash' readonly='yes' secure='yes'>"
                                             f"{CODE.replace('4M', '4M.secboot')}</loader><nvram template='{own}'/>")
        self.virsh("start", "a")
        self.shell()

    def test_no_template(self):
        code = os.path.join(self.dir, "code.fd")
        shutil.copy(CODE, code)
        self.define_uefi(firmware="", os_xml=f"<loader type='pflash'>{code}</loader>")
        self.assertIn("template", self.virsh_fails("start", "a"))
        shutil.copy(TEMPLATE, os.path.join(self.dir, "mine.fd"))
        self.define_uefi(firmware="", uuid=self.virsh("domuuid", "a"),
                         os_xml=f"<loader type='pflash'>{code}</loader><nvram>{self.dir}/mine.fd</nvram>")
        self.virsh("start", "a", "--paused")
        self.virsh("destroy", "a")
        self.assertIn("template", self.virsh_fails("start", "a", "--reset-nvram"))

    def test_undefine(self):
        self.define_uefi()
        self.virsh("undefine", "a")    # none was made yet
        self.define_uefi()
        self.virsh("start", "a", "--paused")
        self.virsh("destroy", "a")
        path = self.nvram()
        self.assertIn("KEEP_NVRAM", self.virsh_fails("undefine", "a"))
        uuid = self.virsh("domuuid", "a")
        self.virsh("domrename", "a", "b")
        self.virsh("domrename", "b", "a")
        self.virsh("undefine", "a", "--keep-nvram")
        self.assertTrue(os.path.exists(path))
        self.define_uefi(uuid=uuid)
        self.assertEqual(self.nvram(), path)
        self.virsh("undefine", "a", "--nvram")
        self.assertFalse(os.path.exists(path))

    def test_file_of_another(self):
        """Two domains with one file would overwrite each other's variables."""
        shared = f"<nvram>{self.dir}/vars.fd</nvram>"
        self.define_uefi(os_xml=PLAIN + shared)
        self.virsh("start", "a", "--paused")
        second = self.uefi_xml(os_xml=PLAIN + shared).replace("<name>a<", "<name>b<")
        os.symlink(self.dir, os.path.join(self.work, "link"))
        for text in second, second.replace(self.dir, self.work + "/link"):
            for how in "define", "create":
                message = self.virsh_fails(how, self.write("b.xml", text))
                self.assertIn("domain 'a'", message)
                self.assertIn("vars.fd", message)
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])
        self.virsh("destroy", "a")
        self.virsh_fails("define", self.write("b.xml", second))
        # while the other one is off a transient guest may have it, and then that one may not
        self.virsh("create", "--paused", self.write("b.xml", second))
        self.assertIn("domain 'b' runs", self.virsh_fails("start", "a"))
        self.assertIn("KEEP_NVRAM", self.virsh_fails("undefine", "a", "--nvram"))
        self.virsh("destroy", "b")
        self.virsh("start", "a", "--paused")
        self.virsh("destroy", "a")
        self.virsh("define", self.write("b.xml", second.replace("vars.fd", "other.fd")))
        self.define_uefi(os_xml=PLAIN + shared, uuid=self.virsh("domuuid", "a"))    # its own again
        self.virsh("undefine", "a", "--nvram")
        self.assertEqual(self.files(), [])

    def test_none_to_reset(self):
        self.define("a")
        self.assertIn("has no NVRAM", self.virsh_fails("start", "a", "--reset-nvram"))


if __name__ == "__main__":
    qemutest.main()
