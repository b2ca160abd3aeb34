# SPDX-License-Identifier: LGPL-2.1-or-later
"""A KDC of its own with two realms that do not know each other, and the acceptor of its tickets."""
import os
import socket
import subprocess
import time
from pathlib import Path

from ntlm import Refused, acceptor

CHANNEL_BOUND = 2048  # GSS_C_CHANNEL_BOUND_FLAG
REALM, OTHER = "VIREO.TEST", "OTHER.TEST"
USER, PASSWORD = "admin", "Secret,1"
SERVICE = "HTTP/127.0.0.1"

CLIENT = """[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
clockskew = 1
udp_preference_limit = 1
[realms]
{realm} = {{
 kdc = 127.0.0.1:{port}
}}
{other} = {{
 kdc = 127.0.0.1:{port}
}}
[domain_realm]
127.0.0.1 = {realm}
"""
SERVER = """[kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realms}
[dbmodules]
{modules}
[logging]
kdc = FILE:{folder}/kdc.log
"""
ONE = """{realm} = {{
 key_stash_file = {folder}/{realm}.stash
 database_module = {realm}
}}
"""
MODULE = """{realm} = {{
 db_library = db2
 database_name = {folder}/{realm}.db
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Kdc:
    def __init__(self, folder):
        self.folder = Path(folder)
        port = free_port()
        names = {"realm": REALM, "other": OTHER, "port": port, "folder": self.folder}
        (self.folder / "krb5.conf").write_text(CLIENT.format(**names), encoding="ascii")
        realms, modules = ("".join(part.format(realm=one, folder=self.folder) for one in (REALM, OTHER))
                           for part in (ONE, MODULE))
        (self.folder / "kdc.conf").write_text(SERVER.format(**names, realms=realms, modules=modules), encoding="ascii")
        self.cache = self.folder / "tickets"
        self.env = {"KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
                    "KRB5CCNAME": f"FILE:{self.cache}", "KRB5_KTNAME": str(self.folder / "keytab"),
                    "KRB5_CLIENT_KTNAME": str(self.folder / "none"), "KRB5RCACHENAME": "none:"}
        for realm in REALM, OTHER:
            self.run("kdb5_util", "-r", realm, "create", "-s", "-P", "master")
            self.admin(realm, f"addprinc -pw {PASSWORD} {USER}@{realm}")
        self.admin(REALM, f"addprinc -randkey {SERVICE}")
        self.admin(REALM, f"ktadd -k {self.folder}/keytab {SERVICE}")
        self.process = subprocess.Popen(["krb5kdc", "-n", "-r", REALM, "-r", OTHER, "-P", self.folder / "pid"],
                                        env={**os.environ, **self.env}, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait(port)

    def run(self, *command, **more):
        done = subprocess.run(command, env={**os.environ, **self.env}, capture_output=True, text=True, check=False, **more)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def admin(self, realm, query):
        self.run("kadmin.local", "-r", realm, "-q", query)

    def wait(self, port):
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert self.process.poll() is None, (self.folder / "kdc.log").read_text(encoding="utf-8")
            time.sleep(0.05)
        raise AssertionError("the KDC does not listen")

    def ticket(self, realm=REALM, seconds=3600):
        """For the user, in the cache of the environment."""
        self.run("kinit", "-l", f"{seconds}s", f"{USER}@{realm}", input=PASSWORD + "\n")

    def forget(self):
        self.cache.unlink(missing_ok=True)

    def new_key(self):
        """What the service has in its keytab is not what tickets are made for from now on. A keytab for those."""
        other = self.folder / "other-keytab"
        self.admin(REALM, f"ktadd -k {other} {SERVICE}")
        return other

    def stop(self):
        self.process.kill()
        self.process.wait()


class Acceptor:
    """Of one connection. The header of what is encrypted stands apart, as SSPI does it: gss_unwrap() alone would not
    notice where it ends."""

    def __init__(self, binding=None):
        self.binding = binding
        self.context = acceptor("1.2.840.113554.1.2.2", binding)

    @property
    def complete(self):
        return self.context.complete

    def step(self, token):
        out = self.context.step(token)
        if self.binding and not int(self.context.actual_flags) & CHANNEL_BOUND:
            raise Refused("a ticket without a channel binding")
        return out

    def unseal(self, header, text):
        from gssapi import raw  # pylint: disable=import-outside-toplevel
        parts = raw.IOV((raw.IOVBufferType.header, False, header), text, std_layout=False)
        if not raw.unwrap_iov(self.context, parts).encrypted:
            raise ValueError("not encrypted")
        return parts[1].value

    def seal(self, text):
        from gssapi import raw  # pylint: disable=import-outside-toplevel
        parts = raw.IOV(raw.IOVBufferType.header, text, std_layout=False)
        raw.wrap_iov(self.context, parts, True)
        return parts[0].value, parts[1].value
