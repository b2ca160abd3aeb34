# SPDX-License-Identifier: LGPL-2.1-or-later
"""go-libvirt: a client with framing and encoder of its own (tests/clients/client.go)."""
import os
import subprocess

import vireotest

GOPATH = "/usr/share/gocode"


class Go(vireotest.VirshCase):
    def test_all(self):
        program = os.path.join(self.work, "client")
        cache = os.path.join(vireotest.BUILD, "tests", "clients", "go-cache")
        os.makedirs(cache, exist_ok=True)
        env = dict(os.environ, GO111MODULE="off", GOPATH=GOPATH, GOCACHE=cache, GOFLAGS="")
        subprocess.run(["go", "build", "-o", program, os.path.join(vireotest.HERE, "client.go")], env=env, check=True)
        xml = self.write("go.xml", self.nano_xml("go"))
        done = subprocess.run([program, self.daemon.socket, xml], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        lines = done.stdout.splitlines()
        self.assertEqual([line for line in lines if not line.startswith("ok ")], [])
        self.assertEqual(done.returncode, 0)
        self.assertGreaterEqual(len(lines), 40)


if __name__ == "__main__":
    vireotest.need_program("go", "golang-go")
    if not os.path.isdir(os.path.join(GOPATH, "src/github.com/digitalocean/go-libvirt")):
        vireotest.skip_file("no go-libvirt (package golang-github-digitalocean-go-libvirt-dev)")
    vireotest.main()
