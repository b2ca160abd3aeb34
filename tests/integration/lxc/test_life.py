# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers from their definition to their end, through virsh."""
import contextlib
import os
import subprocess

import lxctest
from lxctest import groups, make_root, wait_until


class Definitions(lxctest.Case):
    def refused(self, what, **kwargs):
        path = self.write("bad.xml", self.container_xml("bad", root=kwargs.pop("root", "/x"), **kwargs))
        self.assertIn(what, self.virsh_fails("define", path))
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_defined_listed_and_described(self):
        self.define("a", root="/srv/a")
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])
        self.assertEqual(self.state("a"), "shut off")
        xml = self.xml("a")
        self.assertEqual(xml.get("type"), "lxc")
        self.assertEqual(xml.find("os/init").text, "/sbin/init")
        self.assertEqual(xml.find("devices/filesystem/source").get("dir"), "/srv/a")
        self.assertEqual(xml.find("devices/console/target").get("type"), "lxc")

    def test_definitions_survive_the_daemon(self):
        self.define("a", root="/srv/a")
        self.virsh("autostart", "a")
        self.virsh("desc", "a", "--config", "of a")
        self.virsh("domrename", "a", "b")
        self.reload_daemon()
        self.assertEqual(self.names("list", "--all", "--name"), ["b"])
        self.assertEqual(self.info("b")["Autostart"], "enable")
        self.assertEqual(self.virsh("desc", "b"), "of a")
        self.virsh("autostart", "b", "--disable")
        self.virsh("undefine", "b")
        self.reload_daemon()
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_what_cannot_be_honoured_is_refused_by_its_path(self):
        self.refused("domain.devices.sound", devices="<sound model='ac97'/>")
        self.refused("domain.cpu", extra="<cpu mode='host-model'/>")
        self.refused("bridge, ethernet or direct", devices="<interface type='user'/>")
        self.refused("one <filesystem>", root="<filesystem type='ram'><source usage='1'/><target dir='/x'/></filesystem>")
        self.refused("without '..'",
                     devices="<filesystem type='mount'><source dir='/a'/><target dir='/../x'/></filesystem>")
        self.refused("of uid and one of gid", extra="<idmap><uid start='0' target='1000' count='10'/></idmap>")

    def test_capabilities(self):
        self.assertIn("<domain type='lxc'/>", self.virsh("capabilities"))
        self.assertIn("CPU model", self.virsh("nodeinfo"))
        if os.path.isdir("/sys/class/dmi/id"):
            self.assertIn("<sysinfo type='smbios'>", self.virsh("sysinfo"))
        else:
            self.assertIn("publishes no information", self.virsh_fails("sysinfo"))


class Lives(lxctest.Case):
    def test_start_destroy(self):
        self.start("a")
        self.assertEqual(self.state_reason("a"), ("running", "booted"))
        self.assertIn("init", self.inside("a", "/bin/ps"))
        self.assertEqual(self.inside("a", "/bin/hostname"), "a")
        self.virsh("destroy", "a")
        self.assertEqual(self.state_reason("a"), ("shut off", "destroyed"))
        self.assertEqual(groups(self.uuid), [])

    def test_network_of_its_own(self):
        self.start("a")
        ours, theirs = os.readlink("/proc/self/ns/net"), os.readlink(f"/proc/{self.init_pid('a')}/ns/net")
        self.assertNotEqual(ours, theirs)
        self.assertEqual([line.split(":")[0].strip() for line in
                          self.inside("a", "/bin/cat", "/proc/net/dev").splitlines()[2:]], ["lo"])

    def test_shutdown_and_reboot(self):
        self.start("a")
        first = self.init_pid("a")
        self.virsh("reboot", "a")
        wait_until(lambda: self.init_pid("a") not in (None, first), 20, "another init")
        wait_until(lambda: "init" in self.virsh_raw("lxc-enter-namespace", "a", "--noseclabel", "--", "/bin/ps").stdout,
                   10, "its init is known")
        self.assertEqual(self.state("a"), "running")
        self.virsh("shutdown", "a")
        self.wait_state("a", "shut off")
        self.assertEqual(self.state_reason("a"), ("shut off", "shutdown"))
        self.assertEqual(groups(self.uuid), [])

    def test_a_reboot_that_is_to_be_the_end(self):
        self.start("a", extra="<on_reboot>destroy</on_reboot>")
        self.virsh("reboot", "a")
        self.wait_state("a", "shut off")

    def test_an_end_of_its_own(self):
        self.start("a", init="/bin/sleep", args=("1",))
        self.wait_state("a", "shut off")
        self.assertEqual(self.state_reason("a"), ("shut off", "shutdown"))

    def test_suspend_resume(self):
        self.suspend_and_resume()
        self.assertEqual(self.state("a"), "shut off")

    def test_outlives_the_daemon(self):
        self.start("a")
        first = self.init_pid("a")
        ident = self.virsh("domid", "a")
        self.reload_daemon()
        self.assertEqual((self.init_pid("a"), self.virsh("domid", "a"), self.state("a")), (first, ident, "running"))
        self.daemon.kill()
        os.kill(first, 9)
        self.daemon.start_vireod()
        self.wait_state("a", "shut off")
        self.assertEqual(groups(self.uuid), [])

    def test_transient(self):
        self.virsh("create", self.write("t.xml", self.container_xml("t")))
        self.assertEqual(self.names("list", "--transient", "--name"), ["t"])
        self.virsh("destroy", "t")
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_a_lot_at_once(self):
        root = make_root(os.path.join(self.work, "many"))
        names = [f"m{i}" for i in range(50)]
        files = [self.write(f"{name}.xml", self.container_xml(name, root=root, init="/bin/sleep", args=("1000",)))
                 for name in names]
        self.virsh("; ".join(f"create {path}" for path in files), timeout=120)
        self.reload_daemon()
        self.assertEqual(self.names("list", "--state-running", "--name"), sorted(names))
        self.assertEqual(len({self.init_pid(name) for name in names[::10]} - {None}), 5)
        self.virsh("; ".join(f"destroy {name}" for name in names), timeout=120)
        self.assertEqual(self.names("list", "--all", "--name"), [])


class Failures(lxctest.Case):
    def fails(self, what, **kwargs):
        self.define("a", **kwargs)
        self.assertIn(what, self.virsh_fails("start", "a"))
        self.assertEqual(self.state("a"), "shut off")
        self.assertEqual(groups(self.uuid), [])
        self.virsh("undefine", "a")

    def test_each_has_its_reason(self):
        root = make_root(os.path.join(self.work, "root"))
        self.fails("/srv/none: No such file", root="/srv/none")
        self.fails("is no directory", root=os.path.join(root, "etc", "passwd"))
        self.fails("/bin/none", root=root, init="/bin/none")
        self.fails("no interface 'br7'", root=root, devices="<interface type='bridge'><source bridge='br7'/></interface>")
        self.fails("'nobody' is not in etc/passwd", root=root, os_extra="<inituser>nobody</inituser>")
        self.fails("/dev/none is no device", root=root,
                   devices="<hostdev mode='capabilities' type='misc'><source><char>/dev/none</char></source></hostdev>")
        self.fails("/srv/none is no directory", root=root,
                   devices="<filesystem type='mount'><source dir='/srv/none'/><target dir='/mnt'/></filesystem>")


class Init(lxctest.Case):
    def test_arguments_environment_directory_and_user(self):
        text = "echo $0 $1 \"$GREETING\" $(pwd) $(id -u) $(id -g) > /tmp/out; sleep 100"
        root = make_root(os.path.join(self.work, "a"))
        os.chmod(os.path.join(root, "tmp"), 0o777)
        self.start("a", root=root, init="/bin/sh", args=("-c", text, "zero", "two words"),
                   os_extra="<initenv name='GREETING'>hello there</initenv><initdir>/root</initdir>"
                            "<inituser>me</inituser><initgroup>us</initgroup>")
        out = os.path.join(root, "tmp", "out")
        wait_until(lambda: os.path.exists(out) and os.path.getsize(out), 10, "it has written")
        with open(out, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), "zero two words hello there /root 1234 1235\n")

    def child(self, name):
        rows = [row.split(None, 2) for row in self.inside(name, "/bin/ps").splitlines()]
        return next((row[0] for row in rows if row[-1].rstrip() == "sleep 1000"), None)

    def test_signals(self):
        self.start("a", init="/bin/sh", args=("-c", "sleep 1000 & trap 'touch /got' USR1; while true; do sleep 0.1; done"))
        child = wait_until(lambda: self.child("a"), 10, "its child")
        self.virsh("send-process-signal", "a", "1", "usr1")
        wait_until(lambda: os.path.exists(os.path.join(self.work, "a", "got")), 10, "the init has got it")
        self.virsh("send-process-signal", "a", child, "kill")
        wait_until(lambda: not self.child("a"), 10, "the child has got it")
        self.assertIn("no process 4711", self.virsh_fails("send-process-signal", "a", "4711", "term"))


def status(pid, key):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as stream:
        return next(row.split()[1] for row in stream if row.startswith(key + ":"))
    return None


class Console(lxctest.Talk):
    def test_typing(self):
        self.start("a")
        _, fd = self.talk("a")
        self.read(fd, b"Escape")
        self.ask(fd, b"\necho is $((3 * 14))\n", b"is 42")

    def test_one_at_a_time(self):
        self.start("a")
        first, fd = self.talk("a")
        self.read(fd, b"Escape")
        self.assertIn("another client", self.second("a"))
        _, other = self.talk("a", "--force")
        self.read(other, b"Escape")
        wait_until(lambda: first.poll() is not None, 10, "the first one's end")
        self.ask(other, b"\necho is $((6 * 14))\n", b"is 84")

    def test_a_reboot_with_a_client(self):
        # liblxc ends a container that reboots while somebody has its first console: the daemon starts it again.
        init = "trap '/bin/busybox reboot -f' TERM; while true; do echo here I am; sleep 0.1; done"
        self.virsh("create", self.write("t.xml", self.container_xml("t", init="/bin/sh", args=("-c", init))))
        told = open(os.path.join(self.work, "told"), "w", encoding="utf-8")
        self.addCleanup(told.close)
        events = subprocess.Popen(["virsh", "-c", self.daemon.uri(), "event", "--all", "--loop"], stdout=told)
        self.addCleanup(events.wait)
        self.addCleanup(events.kill)

        def heard(*but):
            with open(told.name, encoding="utf-8") as stream:
                return [row.split("'")[1] for row in stream if row.startswith("event ") and not row.split()[-2].startswith(but)]
        wait_until(lambda: self.virsh("suspend t; resume t") or heard(), 20, "events are told")
        for count, reboot in enumerate((("reboot", "t"), ("send-process-signal", "t", "1", "term")), 1):
            client, fd = self.talk("t")
            self.read(fd, b"here I am")
            first = self.init_pid("t")
            monitor = status(first, "PPid")
            self.virsh(*reboot)
            wait_until(lambda: status(monitor, "State") in (None, "Z"), 20, "liblxc gives up")
            wait_until(lambda: client.poll() is not None, 20, "the console's end")
            wait_until(lambda: self.init_pid("t") not in (None, first) and
                       self.virsh("domid", "t").strip() == str(self.init_pid("t")), 20, "another init, which is known")
            # An init that liblxc started and then ended may have been seen, and been told of.
            wait_until(lambda: heard("Suspended", "Resumed").count("reboot") >= count, 10, "each reboot is told")
        self.read(self.talk("t")[1], b"here I am")
        self.virsh("destroy", "t")
        wait_until(lambda: "lifecycle" in heard("Suspended", "Resumed"), 10, "the end is told")
        self.assertEqual(set(heard("Suspended", "Resumed")[:-1]), {"reboot"}, "no other end was told before")

    def second(self, name):
        _, fd = self.talk(name)
        return self.read(fd, b"another client").decode()


if __name__ == "__main__":
    lxctest.main()
