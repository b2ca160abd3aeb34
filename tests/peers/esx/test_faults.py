# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: a network and a server that misbehave. Errors are clear, and all goes on afterwards."""
import subprocess
import time

from between import Between
from esxtest import EsxCase, Witness, main, wait_until


class Faults(EsxCase):
    def setUp(self):
        super().setUp()
        self.between = Between(self.simulator.server)
        self.addCleanup(self.between.server_close)
        self.addCleanup(self.between.shutdown)
        self.addCleanup(self.check_daemon, self.daemon.process)
        self.assertEqual(self.state(self.first), "running")

    def uri(self, **parameters):
        host, port = self.between.server_address
        return super().uri(**{"server": f"{host}:{port}", "transport": "http", "insecure": None, **parameters})

    def check_daemon(self, process):
        self.assertIs(self.daemon.process, process)
        self.assertIsNone(process.poll())

    def harm(self, what, to="RetrieveProperties"):
        self.between.harm, self.between.to = what, to

    def heals(self):
        self.assertGreater(self.between.harmed, 0)
        self.harm(None)
        wait_until(lambda: self.run_virsh("dumpxml", self.first).returncode == 0, 30, "all is well again")

    def test_cut_in_mid_answer(self):
        self.harm("cut")
        self.assertRegex(self.virsh_fails("dumpxml", self.first), "(?i)clos|connection|transfer")
        self.heals()

    def test_download_cut_in_mid_answer(self):
        """What has come so far is no whole volume."""
        witness = Witness(self.simulator.server)
        self.addCleanup(witness.connection.close)
        witness.make_disk("[LocalDS_0] own", "[LocalDS_0] own/data.vmdk")
        witness.put("LocalDS_0", "own/data-flat.vmdk", b"some data" * 100000)
        self.harm("cut", "GET")
        into = str(self.work / "got")
        self.assertIn("ended before its answer", self.virsh_fails("vol-download", "own/data.vmdk", into, "--pool", "LocalDS_0"))
        self.heals()
        self.virsh("vol-download", "own/data.vmdk", into, "--pool", "LocalDS_0")
        self.assertEqual((self.work / "got").read_bytes(), b"some data" * 100000)

    def test_garbage(self):
        for what in ("garbage", "page"):
            with self.subTest(what):
                self.harm(what)
                self.assertRegex(self.virsh_fails("dumpxml", self.first), "(?i)answer|502|XML")
                self.heals()

    def test_50_megabytes(self):
        """That much is read; an answer above the limit is not."""
        self.harm("huge")
        self.assertIn(self.first, self.virsh("dumpxml", self.first))
        self.assertGreater(self.between.harmed, 0)
        self.harm("endless")
        self.assertRegex(self.virsh_fails("dumpxml", self.first), "(?i)large|bytes|MiB")
        self.heals()

    def test_expired_session(self):
        """The server forgets who is logged in, in the middle of everything."""
        logins = self.between.seen.count("Login")
        self.simulator.stop()
        self.simulator.start()
        wait_until(lambda: self.run_virsh("dumpxml", self.first).returncode == 0, 30, "the server is back")
        self.assertGreater(self.between.seen.count("Login"), logins)
        self.virsh("suspend", self.first)
        self.assertEqual(self.state(self.first), "paused")
        self.virsh("resume", self.first)

    def test_one_byte_a_second(self):
        """Who waits for it is told in the end; nobody else waits."""
        self.harm("drip", "ReconfigVM_Task")
        slow = subprocess.Popen(["virsh", "-q", "-c", self.uri(), "desc", self.first, "slow"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: self.between.harmed, 20, "the slow call is under way")
        begin = time.monotonic()
        self.assertIn(self.second, self.virsh("dumpxml", self.second))
        self.assertEqual(self.state(self.second), "running")
        self.assertLess(time.monotonic() - begin, 20)
        self.assertIsNone(slow.poll())
        self.assertRegex(slow.communicate(timeout=150)[1], "(?i)time")
        self.heals()


if __name__ == "__main__":
    main()
