#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sim: Kerberos with a KDC of its own: over https a ticket with each request, over http encrypted messages; by stock virsh."""
import atexit
import tempfile
import time

import hypervtest
import vireotest
from hypervtest import HypervCase, Server
from tickets import OTHER, Kdc

try:
    import gssapi  # noqa: F401  pylint: disable=unused-import
except ImportError:
    vireotest.skip_file("python3-gssapi is missing")
for name, package in (("krb5kdc", "krb5-kdc"), ("kadmin.local", "krb5-admin-server"), ("kinit", "krb5-user")):
    vireotest.need_program(name, package)
folder = tempfile.TemporaryDirectory(prefix="kdc.")
kdc = Kdc(folder.name)
atexit.register(kdc.stop)
vireotest.ENV.update(kdc.env)


class SimHttps(HypervCase):
    options = ("--kerberos",)
    parameters = "insecure=1&authentication=kerberos"
    env = kdc.env

    def setUp(self):
        kdc.ticket()
        super().setUp()

    def test_sim_kerberos_over_tls(self):
        self.define("vm")
        self.virsh("start", "vm")
        self.assertEqual(self.state("vm"), "running")

    def test_sim_kerberos_refused(self):
        """Each in words that say what to do. Nothing listens there: it does not come so far."""
        nowhere = self.uri(server="127.0.0.1:9")
        kdc.forget()
        self.assertIn("No Kerberos credentials available", self.virsh_fails("list", uri=nowhere))
        kdc.ticket(realm=OTHER)
        self.assertIn(f"Server krbtgt/VIREO.TEST@{OTHER} not found", self.virsh_fails("list", uri=nowhere))
        kdc.ticket()
        someone = self.virsh_fails("list", uri=nowhere + "&user=someone")
        self.assertIn("there is no Kerberos ticket to use", someone)
        self.assertIn("someone", someone)
        self.assertIn("cannot talk to https://127.0.0.1:9", self.virsh_fails("list", uri=nowhere + "&user=admin"))
        kdc.ticket(seconds=1)
        time.sleep(3)
        self.assertIn("expired", self.virsh_fails("list", uri=nowhere))

    def test_sim_kerberos_wrong_key(self):
        """The server has another key than the one the ticket is for."""
        before = (kdc.folder / "keytab").read_bytes()
        other = kdc.new_key()
        self.addCleanup((kdc.folder / "keytab").write_bytes, other.read_bytes())
        (kdc.folder / "keytab").write_bytes(before)
        kdc.ticket()
        server = Server(*self.options, env={**kdc.env})
        self.addCleanup(server.stop)
        message = self.virsh_fails("list", uri=self.uri(server=server.address))
        self.assertIn("does not take the Kerberos ticket for HTTP/127.0.0.1", message)

    def test_sim_kerberos_bound(self):
        """To the server's certificate, as a host that is strict wants it; not to another one's."""
        server = Server(*self.options, "--strict", env=kdc.env, digest="sha384")
        self.addCleanup(server.stop)
        self.assertIn("Intel", self.virsh("nodeinfo", uri=self.uri(server=server.address)))
        between = Server(*self.options, "--strict=other", env=kdc.env)
        self.addCleanup(between.stop)
        self.assertIn("status 401", self.virsh_fails("nodeinfo", uri=self.uri(server=between.address)))


class SimHttp(HypervCase):
    options = ("--http", "--kerberos")
    parameters = "transport=http&authentication=kerberos"
    env = kdc.env

    def setUp(self):
        kdc.ticket()
        super().setUp()

    def test_sim_kerberos_encrypted(self):
        self.define("vm")
        self.virsh("start", "vm")
        self.assertEqual(self.state("vm"), "running")
        self.virsh("snapshot-create-as", "vm", "one", "ä < ö")
        self.assertIn("ä &lt; ö", self.virsh("snapshot-dumpxml", "vm", "one"))

    def test_sim_kerberos_large(self):
        self.define("vm")
        text = self.virsh("dumpxml", "vm").replace("</name>", f"</name><description>{'--Encrypted Boundary' * 3000}</description>", 1)
        self.define("", text=text)
        self.assertEqual(self.xml("vm").findtext("description"), "--Encrypted Boundary" * 3000)

    def test_sim_kerberos_again(self):
        """A connection that is gone is authenticated again, without anybody noticing; not when the ticket has run out."""
        self.define("vm")
        self.ask("service.trouble.append('401')")
        self.assertIn("Intel", self.virsh("nodeinfo"))


if __name__ == "__main__":
    hypervtest.main()
