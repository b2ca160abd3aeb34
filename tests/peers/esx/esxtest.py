# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the esx driver share: a simulator, a daemon that knows its password, and virsh."""
import http.client
import os
import re
import ssl
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
from pathlib import Path

from between import Between
from simulator import PASSWORD, USER, Simulator

sys.path.insert(0, str(Path(__file__).parents[2] / "clients"))
import vireotest  # noqa: E402  pylint: disable=wrong-import-position

wait_until = vireotest.wait_until
FOLDER = Path(vireotest.BUILD) / "tests" / "peers" / "esx" / "simulator"
MODE = os.environ.get("VIREO_TEST_ESX", "host")
OPTIONS = {"host": ["-esx", "-enrich"], "host-raw": ["-esx", "-raw"], "vcenter": ["-enrich"]}[MODE]
CENTER = MODE == "vcenter"
HOST = "DC0_H0" if CENTER else "ha-host"
PATH = "DC0/DC0_H0" if CENTER else ""


def write_private(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


class Witness:
    """Somebody else who talks to the server: what the driver does is seen, and things happen behind its back."""

    def __init__(self, server):
        # The certificate is the simulator's own.
        self.connection = http.client.HTTPSConnection(server, context=ssl._create_unverified_context(), timeout=30)
        self.cookie = self.host_ref = None
        self.call("Login", "SessionManager", "SessionManager" if CENTER else "ha-sessionmgr",
                  f"<userName>{USER}</userName><password>{PASSWORD}</password>")

    def call(self, method, kind, this, rest=""):
        body = ('<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
                f'<{method} xmlns="urn:vim25"><_this type="{kind}">{this}</_this>{rest}</{method}></s:Body></s:Envelope>')
        headers = {"Content-Type": "text/xml", "SOAPAction": "urn:vim25/6.5", **({"Cookie": self.cookie} if self.cookie else {})}
        self.connection.request("POST", "/sdk", body, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        self.cookie = self.cookie or answer.getheader("Set-Cookie").split(";")[0]
        return text

    def file(self, store, path):
        """What is in a datastore's file; None: there is no such file."""
        query = urllib.parse.urlencode({"dcPath": "DC0" if CENTER else "ha-datacenter", "dsName": store})
        self.connection.request("GET", f"/folder/{urllib.parse.quote(path)}?{query}", headers={"Cookie": self.cookie})
        answer = self.connection.getresponse()
        data = answer.read()
        assert answer.status in (200, 404), answer.status
        return data if answer.status == 200 else None

    def put(self, store, path, data):
        query = urllib.parse.urlencode({"dcPath": "DC0" if CENTER else "ha-datacenter", "dsName": store})
        self.connection.request("PUT", f"/folder/{urllib.parse.quote(path)}?{query}", data, {"Cookie": self.cookie})
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    def ask(self, machine):
        """Has a machine that runs ask something."""
        self.connection.request("GET", f"/ask?id={machine}")
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    def machine(self, machine, path):
        """A property of a machine, as XML."""
        return self.property("VirtualMachine", machine, path)

    def host(self, path):
        if not self.host_ref:
            found = self.call("FindChild", "SearchIndex", "SearchIndex", f'<entity type="Datacenter">{self.datacenter()}</entity>'
                              "<name>host</name>") if CENTER else ""
            folder = re.search(r'<returnval type="Folder">(.*?)<', found)
            found = self.call("FindChild", "SearchIndex", "SearchIndex",
                              f'<entity type="Folder">{folder[1]}</entity><name>{HOST}</name>') if folder else ""
            compute = re.search(r'<returnval type="ComputeResource">(.*?)<', found)
            found = self.property("ComputeResource", compute[1], "host") if compute else ""
            self.host_ref = re.search(r'type="HostSystem"[^>]*>(.*?)<', found)[1] if CENTER else "ha-host"
        return self.property("HostSystem", self.host_ref, path)

    def property(self, kind, this, path):
        return self.call("RetrieveProperties", "PropertyCollector", "propertyCollector" if CENTER else "ha-property-collector",
                         f"<specSet><propSet><type>{kind}</type><pathSet>{path}</pathSet></propSet>"
                         f'<objectSet><obj type="{kind}">{this}</obj></objectSet></specSet>')

    def make_disk(self, folder, disk):
        center = f'<datacenter type="Datacenter">{self.datacenter()}</datacenter>'
        self.call("MakeDirectory", "FileManager", "FileManager" if CENTER else "ha-nfc-file-manager",
                  f"<name>{folder}</name>{center}")
        self.call("CreateVirtualDisk_Task", "VirtualDiskManager", "virtualDiskManager" if CENTER else "ha-vdiskmanager",
                  f'<name>{disk}</name>{center}<spec xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
                  'i:type="FileBackedVirtualDiskSpec"><diskType>thin</diskType><adapterType>lsiLogic</adapterType>'
                  "<capacityKb>1024</capacityKb></spec>")

    def move(self, center, folder):
        self.call("MoveIntoFolder_Task", "Folder", folder, f'<list type="Datacenter">{center}</list>')

    def datacenter(self):
        if not CENTER:
            return "ha-datacenter"
        found = self.call("FindChild", "SearchIndex", "SearchIndex",
                          '<entity type="Folder">group-d1</entity><name>DC0</name>')
        return re.search(r'<returnval type="Datacenter">(.*?)<', found)[1]


class EsxCase(unittest.TestCase):
    """A simulator of its own for each class, with two machines: self.first and self.second."""
    machines = 2
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.daemon = vireotest.daemon()
        cls.etc = Path(cls.daemon.root) / "etc" / "vireo"
        write_private(cls.etc / "esx" / "auth.conf",
                      f"[credentials-sim]\nusername={USER}\npassword={PASSWORD}\n[auth-esx-127.0.0.1]\ncredentials=sim\n")
        cls.simulator = Simulator(FOLDER, *OPTIONS, "-vm", str(cls.machines), *cls.options)
        cls.addClassCleanup(cls.simulator.stop)
        cls.first, cls.second = f"{HOST}_VM0", f"{HOST}_VM1"

    def setUp(self):
        self.work = Path(tempfile.mkdtemp(prefix="t.", dir=self.daemon.work))

    def uri(self, **parameters):
        """The server's, as a stock client can say it."""
        given = {"server": self.simulator.server, "insecure": "1", **({"path": PATH} if CENTER else {}), **parameters}
        query = "&".join(f"{name}={value}" for name, value in given.items() if value is not None)
        return f"{'vpx' if CENTER else 'esx'}+unix:///?socket={self.daemon.socket}&{query}"

    def stand_between(self):
        """Somebody on the way to the server, and the URI of that way."""
        between = Between(self.simulator.server)
        self.addCleanup(between.server_close)
        self.addCleanup(between.shutdown)
        return between, self.uri(server=f"127.0.0.1:{between.server_address[1]}", transport="http", insecure=None)

    def run_virsh(self, *args, uri=None, timeout=60):
        options = ["-r"] if args[0] == "-r" else []
        if options:
            uri = (uri or self.uri()).replace("libvirt-sock", "libvirt-sock-ro")
        return subprocess.run(["virsh", "-q", "-c", uri or self.uri(), *options, *args[len(options):]], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)

    def virsh(self, *args, **kwargs):
        done = self.run_virsh(*args, **kwargs)
        if done.returncode:
            self.fail(f"virsh {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip("\n")

    def virsh_fails(self, *args, **kwargs):
        done = self.run_virsh(*args, **kwargs)
        if done.returncode == 0:
            self.fail(f"virsh {' '.join(args)} should have failed; it said {done.stdout.strip()}")
        return done.stderr.strip()

    def reference(self, name):
        return re.search(r"<vmware:moref>(.*)</vmware:moref>", self.virsh("dumpxml", name))[1]

    def names(self, *args, **kwargs):
        return sorted(self.virsh("list", "--name", *args, **kwargs).split())

    def state(self, name):
        return self.virsh("domstate", name)

    def watch(self, *args, uri=None):
        """virsh event, from when it is ready; reads of .stdout give its lines."""
        process = subprocess.Popen(["stdbuf", "-oL", "virsh", "-q", "-c", uri or self.uri(), "event", "--loop", *args],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.terminate()
        process.communicate()


class WitnessCase(EsxCase):
    """With self.witness."""

    def setUp(self):
        super().setUp()
        self.witness = Witness(self.simulator.server)
        self.addCleanup(self.witness.connection.close)


def main():
    vireotest.need_program("virsh", "libvirt-clients")
    unittest.main(module="__main__", verbosity=2 if os.environ.get("VERBOSE") else 1)
