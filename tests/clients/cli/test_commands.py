# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands on domains, the host and any operation."""
import json
import os
import subprocess
import time

from vireocli import VIREO, CliCase, environment, main


class Domains(CliCase):
    def test_life(self):
        path = self.write("a.xml", self.nano_xml("a"))
        self.assertIn("Domain 'a' defined", self.vireo("define", path))
        self.assertEqual(self.state("a"), "shut off")
        self.assertIn("started", self.vireo("start", "a"))
        self.line("a").wake()
        self.assertEqual(self.vireo("domstate", "a", "--reason").strip(), "running (booted)")
        self.vireo("suspend", "a")
        self.assertEqual(self.state("a"), "paused")
        self.assertEqual(self.vireo("domstate", "a").strip(), "paused")
        self.vireo("resume", "a")
        self.assertEqual(self.state("a"), "running")
        self.vireo("shutdown", "a")
        self.wait_state("a", "shut off")
        self.vireo("start", "a", "--paused")
        self.assertEqual(self.state("a"), "paused")
        self.vireo("stop", "a")
        self.assertEqual(self.state_reason("a"), ("shut off", "destroyed"))
        self.vireo("undefine", "a")
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_define_from_a_pipe(self):
        self.vireo("define", "-", stdin=self.nano_xml("piped", disks=[]))
        self.assertEqual(self.names("list", "--all", "--name"), ["piped"])

    def test_create_is_transient(self):
        self.vireo("create", self.write("t.xml", self.nano_xml("t")))
        self.assertEqual(self.info("t")["Persistent"], "no")
        self.assertIs(self.json("dominfo", "t")["persistent"], False)
        self.vireo("destroy", "t")
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_autostart(self):
        self.define_diskless("a")
        self.vireo("autostart", "a")
        self.assertEqual(self.info("a")["Autostart"], "enable")
        self.vireo("autostart", "a", "--disable")
        self.assertEqual(self.info("a")["Autostart"], "disable")

    def test_reset_keeps_it_running(self):
        self.define("a")
        line = self.start("a")
        line.ask("mX", "M=X")
        self.vireo("reset", "a")
        line.expect("READY nano")
        self.assertEqual(self.state("a"), "running")

    def test_by_id_and_uuid(self):
        self.define("a")
        self.start("a")
        info = self.json("dominfo", "a")
        for name in (info["uuid"], info["uuid"].replace("-", "").upper(), str(info["id"])):
            self.assertEqual(self.json("dominfo", name)["name"], "a")

    def test_dumpxml(self):
        self.define_diskless("a", memory=24)
        self.assertEqual(self.vireo("dumpxml", "a").split(), self.virsh("dumpxml", "a").split())
        self.assertEqual(self.vireo("dumpxml", "a", "--xpath", "//name").strip(), "<name>a</name>")
        self.assertIn("<nodes>", self.vireo("dumpxml", "a", "--xpath", "//name", "--wrap"))
        self.assertIn("finds nothing", self.fails("dumpxml", "a", "--xpath", "//nothing"))
        self.assertIn("not valid", self.fails("dumpxml", "a", "--xpath", "//["))
        self.assertIn("<name>a</name>", self.json("dumpxml", "a")["xml"])

    def test_dominfo_agrees_with_virsh(self):
        self.define_diskless("a", memory=24, vcpus=2)
        theirs = self.info("a")
        ours = dict(line.split(":", 1) for line in self.vireo("dominfo", "a").splitlines())
        for key in ("UUID", "State", "CPU(s)", "Max memory", "Persistent", "Autostart", "OS Type"):
            self.assertEqual(ours[key].strip(), theirs[key], key)


class List(CliCase):
    def setUp(self):
        super().setUp()
        self.define("on")
        self.define_diskless("off")
        self.virsh("start", "on", "--paused")

    def test_which(self):
        for args in ([], ["--all"], ["--inactive"], ["--all", "--state-paused"], ["--all", "--state-shutoff"],
                     ["--all", "--autostart"], ["--all", "--persistent"], ["--transient"]):
            self.assertEqual(sorted(self.vireo("list", "--name", *args).split()),
                             self.names("list", "--name", *args), args)

    def test_table(self):
        lines = self.vireo("list", "--all").splitlines()
        self.assertEqual(lines[0].split(), ["Id", "Name", "State"])
        self.assertEqual([line.split()[1:] for line in lines[2:]], [["on", "paused"], ["off", "shut", "off"]])
        column = lines[0].index("Name")
        self.assertTrue(all(line[column - 1] == " " and line[column] != " " for line in lines[2:]))
        self.assertEqual(self.vireo("-q", "list", "--all").splitlines(), lines[2:])

    def test_json(self):
        on, off = self.json("list", "--all")
        self.assertEqual((on["name"], on["state"]), ("on", "paused"))
        self.assertIsInstance(on["id"], int)
        self.assertEqual((off["name"], off["state"], off["id"]), ("off", "shut off", None))
        self.assertEqual(off["uuid"], self.virsh("domuuid", "off").strip())

    def test_uuid_and_id(self):
        self.assertEqual(self.vireo("list", "--uuid").strip(), self.virsh("domuuid", "on").strip())
        self.assertEqual(self.vireo("list", "--id").strip(), self.virsh("domid", "on").strip())

    def test_no_colours_in_a_pipe(self):
        self.assertNotIn("\033", self.vireo("list", "--all"))


class Words(CliCase):
    """The command line itself."""

    def test_usage_errors_are_status_2(self):
        for args, says in (
                ([], "a command is missing"), (["frobnicate"], "no command 'frobnicate'"),
                (["list", "--nonsense"], "--nonsense"), (["dominfo"], "'domain' is missing"),
                (["dominfo", "a", "b"], "what is 'b' for?"), (["events", "--timeout", "soon"], "'--timeout soon'"),
                (["undefine", "a", "--flags", "NONSENSE"], "no flag 'NONSENSE' (known:"),
                (["--nonsense", "list"], "--nonsense"), (["shutdown", "a", "--mode", "gently"], "no mode 'gently'"),
                (["snapshot-delete", "a"], "--current"), (["console", "a", "-e", "^]x"], "--escape"),
                (["call", "no_such_op"], "no operation"), (["call", "domain_get_info", "dom"], "field=value"),
                (["events", "--event", "nothing"], "no event 'nothing'"), (["list", "--help=x"], "--help")):
            self.assertIn(says, self.fails(*args, code=2), args)

    def test_globals_before_and_after(self):
        for args in (["--json", "uri"], ["uri", "--json"], ["uri", "-j"], ["-c", "qemu:///system", "-j", "uri"],
                     ["uri", "--json", "-c", "qemu:///system"], ["-c", "qemu:///system", "--", "uri", "-j"]):
            self.assertEqual(json.loads(self.vireo(*args)), {"uri": "qemu:///system"})

    def test_operands_as_options(self):
        self.define_diskless("a")
        self.assertEqual(self.vireo("domstate", "--domain", "a"), self.vireo("domstate", "a"))
        self.assertEqual(self.vireo("domstate", "--domain=a"), self.vireo("domstate", "a"))

    def test_double_dash(self):
        self.define_diskless("--odd")
        self.assertEqual(self.vireo("domstate", "--", "--odd").strip(), "shut off")
        self.assertEqual(self.vireo("domstate", "--domain=--odd").strip(), "shut off")
        self.vireo("undefine", "--", "--odd")

    def test_help_everywhere(self):
        names = self.vireo("__options").split("\n")
        commands = [name for name in names if name and " " not in name]
        self.assertGreater(len(commands), 30)
        overview = self.vireo("--help")
        for command in commands:
            self.assertIn(f"  {command}", overview)
            text = self.vireo(command, "--help", env=environment(VIREO_SOCKET="/nonexistent"))
            self.assertTrue(text.startswith(f"Usage: vireo {command}"))
            self.assertEqual(text, self.vireo("help", command))
            for line in names:
                if line.startswith(command + " --"):
                    self.assertIn(line.split()[1], text)

    def test_help_names_the_flags(self):
        text = self.vireo("snapshot-delete", "--help")
        self.assertIn("CHILDREN_ONLY", text)

    def test_errors(self):
        text = self.fails("dominfo", "nobody")
        self.assertIn("vireo list --all", text)
        text = json.loads(self.fails("--json", "dominfo", "nobody"))
        self.assertEqual((text["error"]["kind"], text["error"]["code"]), ("failed", 42))
        self.assertIn("hint", text["error"])
        text = json.loads(self.fails("--json", "dominfo", code=2))
        self.assertEqual(text["error"]["kind"], "usage")

    def test_no_daemon(self):
        text = self.fails("list", env=environment(VIREO_SOCKET=os.path.join(self.work, "none")))
        self.assertIn("none", text)
        self.assertIn("vireod", text)

    def test_sockets(self):
        bare = environment(VIREO_SOCKET="")
        uri = f"qemu:///system?socket={self.daemon.socket}"
        self.assertEqual(self.vireo("-c", uri, "uri", env=bare).strip(), "qemu:///system")
        self.assertEqual(self.vireo("-S", self.daemon.socket, "uri", env=bare).strip(), "qemu:///system")
        self.assertEqual(self.vireo("uri", env=dict(bare, VIREO_DEFAULT_URI=uri)).strip(), "qemu:///system")
        self.assertEqual(self.vireo("uri", env=dict(bare, VIREO_DEFAULT_URI="", LIBVIRT_DEFAULT_URI=uri)).strip(),
                         "qemu:///system")

    def test_other_transports_are_refused(self):
        self.assertIn("only UNIX sockets", self.fails("-c", "qemu+ssh://host/system", "list"))

    def test_readonly(self):
        self.define("a")
        self.start("a")
        self.assertEqual(self.vireo("-r", "domstate", "a").strip(), "running")
        self.assertIn("read", self.fails("-r", "destroy", "a"))
        self.assertEqual(self.state("a"), "running")

    def test_full_output(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([VIREO, "capabilities"], env=environment(), stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write", done.stderr)


class Host(CliCase):
    def test_agrees_with_virsh(self):
        self.assertEqual(self.vireo("hostname").strip(), self.virsh("hostname").strip())
        self.assertEqual(self.vireo("capabilities").split(), self.virsh("capabilities").split())
        theirs = dict(line.split(":", 1) for line in self.virsh("nodeinfo").splitlines() if line)
        ours = dict(line.split(":", 1) for line in self.vireo("nodeinfo").splitlines())
        theirs.pop("CPU frequency", None)
        for key, value in theirs.items():
            self.assertEqual(ours[key].strip(), value.strip(), key)

    def test_domcapabilities(self):
        text = self.vireo("domcapabilities", "--virttype", "qemu", "--arch", "x86_64", "--machine", "pc")
        self.assertIn("<domainCapabilities>", text)
        self.assertEqual(self.vireo("domcapabilities", "--virttype", "qemu", "--xpath", "//domain").strip(),
                         "<domain>qemu</domain>")

    def test_version(self):
        self.assertEqual(set(self.json("version")), {"client", "api", "type", "hypervisor"})
        self.assertRegex(self.vireo("--version"), r"^vireo \d+\.\d+")


class Call(CliCase):
    def test_names_flags_and_objects(self):
        self.define_diskless("a", memory=24)
        info = json.loads(self.vireo("call", "domain-get-info", "dom=a"))
        self.assertEqual((info["state"], info["maxMem"]), (5, 24 * 1024))
        listed = json.loads(self.vireo("call", "connect_list_all_domains", "need_results=1", "flags=INACTIVE"))
        self.assertEqual([d["name"] for d in listed["domains"]], ["a"])
        again = json.loads(self.vireo("call", "domain_get_state", json.dumps({"dom": listed["domains"][0]})))
        self.assertEqual(again["state"], 5)
        self.vireo("call", "domain_undefine_flags", "dom=a", 'flags=["SNAPSHOTS_METADATA","MANAGED_SAVE"]')
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_file_as_value(self):
        path = self.write("x.xml", self.nano_xml("fromfile", disks=[]))
        answer = json.loads(self.vireo("call", "domain_define_xml", f"xml=@{path}"))
        self.assertEqual(answer["dom"]["name"], "fromfile")

    def test_mistakes(self):
        self.assertIn("no field 'doom'", self.fails("call", "domain_get_info", "doom=a"))
        self.assertIn("'name' is missing", self.fails("call", "domain_lookup_by_name"))
        self.assertIn("--output", self.fails("call", "domain_screenshot", 'dom={"name":"a","uuid":'
                                             '"00000000-0000-0000-0000-000000000000"}', code=2))

    def test_stream(self):
        self.define("a", devices="<graphics type='vnc'/><video><model type='vga'/></video>")
        self.start("a")
        path = os.path.join(self.work, "shot")
        self.vireo("call", "domain_screenshot", "dom=a", "--output", path)
        mine = os.path.join(self.work, "mine")
        self.assertIn(mine, self.vireo("screenshot", "a", mine))
        for shot in (path, mine):
            with open(shot, "rb") as stream:
                self.assertIn(stream.read(2), (b"P6", b"\x89P"))

    def test_list_and_describe(self):
        names = self.vireo("call", "--list").split()
        self.assertIn("domain_snapshot_delete", names)
        self.assertGreater(len(names), 400)
        text = self.vireo("call", "domain-snapshot-delete", "--describe")
        for word in ("virDomainSnapshotDelete", "snap: domain_snapshot", "CHILDREN_ONLY"):
            self.assertIn(word, text)


class Events(CliCase):
    def begin(self, *args):
        process = subprocess.Popen([VIREO, *args], env=environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        time.sleep(0.5)
        return process

    def test_one(self):
        process = self.begin("events", "--timeout", "20")
        self.define_diskless("a")
        out, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(out.strip(), "event 'lifecycle' for domain 'a': Defined Added")

    def test_none_in_time(self):
        done = self.run_vireo("events", "--timeout", "1")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(self.run_vireo("events", "--timeout", "1", "--loop").returncode, 0)

    def test_loop_json_of_one_domain(self):
        self.define("a")
        self.define("b")
        process = self.begin("--json", "events", "--loop", "--domain", "a")
        for name in ("b", "a"):
            self.virsh("start", name, "--paused")
            self.virsh("destroy", name)
        time.sleep(0.5)
        process.terminate()
        out, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual({event["domain"] for event in events}, {"a"})
        kinds = [event["data"]["event"] for event in events]
        self.assertEqual(kinds[-1], "Stopped")
        self.assertIn("Started", kinds)

    def test_all_kinds(self):
        process = self.begin("events", "--all", "--timeout", "20", "--timestamp")
        self.define_diskless("a")
        out, _ = process.communicate(timeout=30)
        self.assertRegex(out, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\S*: event 'lifecycle' for domain 'a'")

    def test_kinds(self):
        kinds = self.vireo("events", "--list").split()
        for kind in ("lifecycle", "reboot", "device-removed", "block-job-2", "job-completed"):
            self.assertIn(kind, kinds)
        self.assertEqual(self.json("event", "--list"), kinds)


if __name__ == "__main__":
    main()
