# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the vbox driver share: virsh on a daemon beside a VirtualBox (see ./peer.py), and VBoxManage, which
is asked what has really happened."""
import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import peer

sys.path.insert(0, str(Path(__file__).parents[2] / "clients"))
import vireotest  # noqa: E402  pylint: disable=wrong-import-position

wait_until = vireotest.wait_until
SERVER = "127.0.0.1:18083"

if "VIREO_VBOX_ROOT" not in os.environ:
    sys.exit("this is run by ./peer.py")
ROOT = Path(os.environ["VIREO_VBOX_ROOT"])

GUEST = """<domain type='vbox'>
  <name>{name}</name>
  <memory unit='MiB'>8</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    {devices}
  </devices>
</domain>
"""
BOOTED = """<disk type='file' device='disk'><source file='/root/{name}.vdi'/><target dev='hda' bus='ide'/></disk>
    <serial type='file'><source path='/root/{name}.serial'/><target port='0'/></serial>"""


def manage(*args, check=True):
    """VBoxManage, inside; its output."""
    done = subprocess.run(["chroot", ROOT, "/usr/lib/virtualbox/VBoxManage", *args], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False,
                          env=peer.ENVIRONMENT)
    if check and done.returncode:
        raise AssertionError(f"VBoxManage {' '.join(args)}: {done.stderr}")
    return done.stdout


def showvminfo(name):
    pairs = (line.partition("=") for line in manage("showvminfo", name, "--machinereadable").splitlines())
    return {key.strip('"'): value.strip('"') for key, _, value in pairs}


CALL = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:v="http://www.virtualbox.org/"><e:Body>\
<v:{0}>{1}</v:{0}></e:Body></e:Envelope>"""


class Web:
    """The web service itself, without anything of ours between."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(SERVER, timeout=30)
        self.web = self("IWebsessionManager_logon", username="", password="")

    def __call__(self, operation, **members):
        body = "".join(f"<{name}>{value}</{name}>" for name, value in members.items())
        self.connection.request("POST", "/", CALL.format(operation, body), {"Content-Type": "text/xml", "SOAPAction": '""'})
        said = re.search(r"<returnval>(.*?)</returnval>", self.connection.getresponse().read().decode())
        return said[1] if said else None

    def console(self, name):
        machine = self("IVirtualBox_findMachine", _this=self.web, nameOrId=name)
        session = self("IWebsessionManager_getSessionObject", refIVirtualBox=self.web)
        self("IMachine_lockMachine", _this=machine, session=session, lockType="Shared")
        return self("ISession_getConsole", _this=session)


def processes(program):
    """Of VirtualBox here: nobody else's can be seen."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.path.basename((folder / "exe").readlink()) == program:
                found.append(int(folder.name))
        except OSError:
            pass
    return found


def end_virtualbox(*programs):
    """All at once, as in a crash."""
    for pid in (pid for program in programs for pid in processes(program)):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(processes(program) for program in programs), 10, "VirtualBox has ended")


STARTED = []


def start_virtualbox():
    """As peer.py does; it goes on until all ends."""
    STARTED.append(peer.serve(ROOT))
    wait_until(peer.answers, 20, "the web service answers")


class Recorder(unittest.TestResult):
    """What a test says, to be said later."""

    def __init__(self):
        super().__init__()
        self.said = []

    def __getattribute__(self, name):
        method = super().__getattribute__(name)
        if name not in ("addSuccess", "addFailure", "addError", "addSkip", "addSubTest"):
            return method

        def record(*args):
            self.said.append((name, args))
            method(*args)

        return record


class VboxCase(vireotest.VirshCase):
    crashed = ""
    again = False  # VirtualBox has been started anew, which happens once

    def setUp(self):
        self.daemon = vireotest.daemon()
        self.work = tempfile.mkdtemp(prefix="t.", dir=self.daemon.work)
        self.lines = []
        self.addCleanup(self.sweep)
        self.addCleanup(self.look_for_a_crash)

    def run(self, result=None):
        """A test that fails because VirtualBox itself crashes is made once more, with a VirtualBox that is started anew."""
        first = Recorder()
        super().run(first)
        if not first.wasSuccessful() and self.crashed and not VboxCase.again:
            VboxCase.again = True
            print(f"{self.id()}: VirtualBox itself has crashed ({self.crashed}) and is started again")
            end_virtualbox("vboxwebsrv", "VBoxSVC", "VBoxHeadless")
            start_virtualbox()
            self.crashed = ""
            return super().run(result)
        result.startTest(self)
        for name, args in first.said:
            getattr(result, name)(*args)
        result.stopTest(self)
        return result

    def look_for_a_crash(self):
        """Before it is swept away: a failed assertion of VirtualBox, or a machine whose process has gone by itself."""
        machines = ROOT / "root" / "VirtualBox VMs"
        logs = [*(ROOT / "root").glob("web-*.out"), *(ROOT / "root" / ".config" / "VirtualBox").glob("*.log*"),
                *machines.glob("*/Logs/*.log")]
        self.crashed = " ".join([f"failed assertion in {log}" for log in logs if b"Assertion Failed" in log.read_bytes()]
                                + [str(file) for file in machines.glob("*/*.vbox") if b'aborted="true"' in file.read_bytes()])

    def uri(self, path="system", **parameters):
        query = "".join(f"&{name}={value}" for name, value in parameters.items())
        return f"vbox+unix:///{path}?socket={self.daemon.socket}{query}"

    def virsh_raw(self, *args, uri=None, **kwargs):
        return vireotest._run(self.daemon, args, uri=uri or self.uri(), **kwargs)

    def sweep(self):
        """By VirtualBox itself, so that one failure is not many."""
        for line in manage("list", "vms").splitlines():
            name = line.rpartition(" ")[2].strip("{}")
            manage("controlvm", name, "poweroff", check=False)
            wait_until(lambda vm=name: gone(vm), 10, f"{line} is gone")
        for line in manage("list", "hdds").splitlines():
            if line.startswith("UUID:"):
                manage("closemedium", "disk", line.split()[1], check=False)

    def serve(self, port, *options):
        """One more web service. It is killed: told to end, it waits for its clients for up to a minute."""
        web = peer.serve(ROOT, port, *options)
        self.addCleanup(web.wait)
        self.addCleanup(web.kill)
        return web

    def names(self, *args, **kwargs):
        return sorted(self.virsh(*args, **kwargs).split())

    def define(self, name, devices="", text=None):
        path = Path(self.work) / f"{name}.xml"
        path.write_text(text or GUEST.format(name=name, devices=devices), encoding="utf-8")
        self.virsh("define", str(path))

    def refuses(self, text):
        path = Path(self.work) / "bad.xml"
        path.write_text(text, encoding="utf-8")
        return self.virsh_fails("define", str(path))

    def disk(self, name):
        """A copy of the guest's disk."""
        manage("clonemedium", "disk", "/root/guest.vdi", f"/root/{name}.vdi")
        self.addCleanup((ROOT / "root" / f"{name}.vdi").unlink, missing_ok=True)

    def define_booted(self, name, more=""):
        """The guest of ./guest.S, off. The firmware shows no logo, which takes 2.5 s."""
        self.disk(name)
        self.define(name, BOOTED.format(name=name) + more)
        manage("modifyvm", name, "--bios-logo-fade-in=off", "--bios-logo-fade-out=off", "--bios-logo-display-time=0")

    def serial(self, name):
        try:
            return (ROOT / "root" / f"{name}.serial").read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def boot(self, name):
        self.virsh("start", name)
        self.comes_up(name, 1)

    def comes_up(self, name, times):
        wait_until(lambda: self.serial(name).count("up\n") >= times, 40, "the guest is up")

    def log(self, name):
        """What VirtualBox says of the machine's process."""
        return (ROOT / "root" / "VirtualBox VMs" / name / "Logs" / "VBox.log").read_text(errors="replace")

    def press(self, name, key, count):
        """That key, after which the guest has heard so many bytes."""
        self.virsh("send-key", name, key)
        wait_until(lambda: f"{count:02x} " in self.serial(name), 10, f"the guest has heard {count} bytes")


def gone(name):
    manage("discardstate", name, check=False)
    manage("unregistervm", name, "--delete", check=False)
    return name not in manage("list", "vms")


def main():
    vireotest.need_program("virsh", "libvirt-clients")
    unittest.main(module="__main__", verbosity=2 if os.environ.get("VERBOSE") else 1)
