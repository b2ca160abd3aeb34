# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the LXC driver share.

A file runs in namespaces of its own: no network but a loopback, and when it ends, however it does, the kernel ends
every process it has started, containers too.
"""
import contextlib
import glob
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
import unittest
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "clients"))

import vireotest  # noqa: E402

INSIDE = "VIREO_TEST_LXC_INSIDE"
BUSYBOX = "/bin/busybox"
APPLETS = ("sh cp ps mount ip cat sleep ls echo hostname id grep dd head kill env stat wc mkdir rm touch sync pwd true "
           "false trap test").split()
CGROUPS = "/sys/fs/cgroup"
UNIFIED = False  # whether the host is to have version 2 of control groups and nothing else

wait_until = vireotest.wait_until
vireotest.SCHEME = "lxc"


def enter():
    """Starts this file again in namespaces of its own."""
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        vireotest.skip_file("containers of the system need root")
    vireotest.need_program("virsh", "libvirt-clients")
    vireotest.need_program("unshare", "util-linux")
    vireotest.need_program("ip", "iproute2")
    if not os.path.exists(BUSYBOX):
        vireotest.skip_file(f"{BUSYBOX} is missing (package busybox-static)")
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*command, "true"], check=False).returncode:
        vireotest.skip_file("no namespaces can be made here")
    os.environ[INSIDE] = "1"
    os.execvp(command[0], [*command, sys.executable, "-B", *sys.argv])


def make_root(path, inittab="console::respawn:/bin/sh\n"):
    """A root file system with a busybox that is linked statically."""
    for folder in "bin sbin etc proc sys dev tmp root run mnt".split():
        os.makedirs(os.path.join(path, folder), exist_ok=True)
    shutil.copy(BUSYBOX, os.path.join(path, "bin", "busybox"))
    for applet in APPLETS:
        os.symlink("busybox", os.path.join(path, "bin", applet))
    os.symlink("../bin/busybox", os.path.join(path, "sbin", "init"))
    for name, text in (("inittab", inittab), ("passwd", "root:x:0:0::/root:/bin/sh\nme:x:1234:1235::/:/bin/sh\n"),
                       ("group", "root:x:0:\nus:x:1235:\n")):
        with open(os.path.join(path, "etc", name), "w", encoding="utf-8") as stream:
            stream.write(text)
    return path


def groups(uuid):
    """The control groups that a container has, or has left."""
    found = subprocess.run(["find", CGROUPS, "-name", f"vireo-lxc-{uuid}*", "-prune"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout
    return sorted(found.split())


def link(name):
    """What the host says of an interface; None: it has none of that name."""
    done = subprocess.run(["ip", "-json", "link", "show", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


def loop_device(case, content):
    """A block device: of 1 MiB that begins with these bytes, or of a file."""
    path = content
    if isinstance(content, bytes):
        path = os.path.join(case.work, "image")
        with open(path, "wb") as stream:
            stream.write(content.ljust(1 << 20, b"\0"))
    done = subprocess.run(["losetup", "--find", "--show", path], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        case.skipTest("no loop device can be had")
    case.addCleanup(subprocess.run, ["losetup", "--detach", done.stdout.strip()], check=True)
    return done.stdout.strip()


class Case(vireotest.VirshCase):
    def container_xml(self, name, root=None, devices="", init="/sbin/init", args=(), extra="", os_extra="", memory=64):
        """root: a path, or a whole <filesystem>; made when there is none."""
        if root is None:
            root = make_root(os.path.join(self.work, name))
        if not root.startswith("<"):
            root = f"<filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>"
        initargs = "".join(f"<initarg>{escape(arg)}</initarg>" for arg in args)
        return (f"<domain type='lxc'><name>{name}</name><memory unit='MiB'>{memory}</memory>{extra}"
                f"<os><type>exe</type><init>{init}</init>{initargs}{os_extra}</os>"
                f"<devices>{root}{devices}<console type='pty'/></devices></domain>")

    def define(self, name, **kwargs):
        self.virsh("define", self.write(f"{name}.xml", self.container_xml(name, **kwargs)))
        self.uuid = self.virsh("domuuid", name).strip()
        return name

    def start(self, name, **kwargs):
        self.define(name, **kwargs)
        self.virsh("start", name)
        return name

    def inside(self, name, *command):
        """What a program says that is run in the container's namespaces."""
        return self.virsh("lxc-enter-namespace", name, "--noseclabel", "--", *command)

    def shell(self, name, text):
        return self.inside(name, "/bin/sh", "-c", text)

    def init_pid(self, name):
        """The process that is 1 in the container, by its control group."""
        uuid = self.virsh("domuuid", name).strip()
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/cgroup", encoding="utf-8") as stream:
                    mine = f"/vireo-lxc-{uuid}\n" in stream.read()
                with open(f"/proc/{entry}/status", encoding="utf-8") as stream:
                    row = next(line for line in stream if line.startswith("NSpid:")).split()
            except (OSError, StopIteration):
                continue
            if entry.isdigit() and mine and row[-1] == "1":
                return int(entry)
        return None

    def suspend_and_resume(self):
        """What is suspended stands still, also for the next daemon; resumed it goes on; suspended it can be destroyed."""
        self.start("a", init="/bin/sh", args=("-c", "while true; do echo x >> /n; sleep 0.02; done"))
        count = os.path.join(self.work, "a", "n")
        wait_until(lambda: os.path.exists(count), 10, "it writes")
        self.virsh("suspend", "a")
        self.assertEqual(self.state("a"), "paused")
        size = os.path.getsize(count)
        time.sleep(0.3)
        self.assertEqual(os.path.getsize(count), size)
        self.reload_daemon()
        self.assertEqual(self.state("a"), "paused")
        self.virsh("resume", "a")
        wait_until(lambda: os.path.getsize(count) > size, 10, "it goes on")
        self.virsh("suspend", "a")
        self.virsh("destroy", "a")

    def reload_daemon(self):
        """kill -9 and another one."""
        self.daemon.kill()
        self.daemon.start_vireod()


class Talk(Case):
    def talk(self, name, *flags):
        """virsh console on a terminal of its own."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(["virsh", "-c", self.daemon.uri(), "console", name, *flags], stdin=theirs,
                                   stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, ours

    def read(self, fd, wanted, seconds=15):
        seen, end = b"", time.monotonic() + seconds
        while wanted not in seen:
            if time.monotonic() > end:
                self.fail(f"{wanted!r} is not in {seen!r}")
            if select.select([fd], [], [], 0.5)[0]:
                seen += os.read(fd, 4096)
        return seen

    def ask(self, fd, text, answer):
        """What is typed before the shell is there may be lost."""
        seen, end = b"", time.monotonic() + 15
        while answer not in seen:
            self.assertLess(time.monotonic(), end, f"{answer!r} is not in {seen!r}")
            os.write(fd, text)
            while select.select([fd], [], [], 0.5)[0]:
                seen += os.read(fd, 4096)


def end_all(group):
    """Ends what runs in this file's namespaces, and removes its control groups. With version 1, what is frozen does not
    die, and the namespaces would wait for it."""
    found = subprocess.run(["find", CGROUPS, "-depth", "-path", f"*/{group}*", "-type", "d"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split()
    for path in found:
        state = os.path.join(path, "freezer.state")
        if os.path.exists(state):
            with open(state, "w", encoding="ascii") as stream:
                stream.write("THAWED")
    if os.getpid() == 1:  # of the namespace
        os.kill(-1, signal.SIGKILL)
    for path in found:
        wait_until(lambda: not os.path.exists(path) or remove(path), 5, f"{path} is empty")


def is_dying(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as stream:
        pending = [int(row.split()[1], 16) for row in stream if row.startswith(("SigPnd", "ShdPnd"))]
        return any(mask >> signal.SIGKILL - 1 & 1 for mask in pending)
    return False


def thaw_the_dying(group, over):
    """Until then: containers that were frozen when they were killed go, as they do with version 2."""
    while not over.wait(0.2):
        for state in glob.glob(os.path.join(CGROUPS, "freezer", group, "*", "freezer.state")):
            with contextlib.suppress(OSError):
                with open(os.path.join(os.path.dirname(state), "cgroup.procs"), encoding="ascii") as stream:
                    dying = any(is_dying(pid) for pid in stream.read().split())
                if dying:
                    with open(state, "w", encoding="ascii") as stream:
                        stream.write("THAWED")


def remove(folder):
    with contextlib.suppress(OSError):
        os.rmdir(folder)
        return True
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return False


def settle():
    """The namespaces as a host has them."""
    # /sys shows the interfaces of whoever mounted it.
    script = "ip link set lo up; "
    if UNIFIED:
        script += "umount -lR /sys; mount -t sysfs none /sys; mount -t cgroup2 none {0}"
    else:
        script += ("mkdir -p /tmp/.lxc-groups; mount --rbind {0} /tmp/.lxc-groups; mount -t sysfs none /sys; "
                   "mount --rbind /tmp/.lxc-groups {0}; umount -l /tmp/.lxc-groups")
    subprocess.run(["sh", "-ec", script.format(CGROUPS)], check=True)
    # Process 1 of its namespace: what is left to it has no other parent.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def main():
    settle()
    unittest.main(module="__main__", verbosity=2 if os.environ.get("VERBOSE") else 1)


enter()
