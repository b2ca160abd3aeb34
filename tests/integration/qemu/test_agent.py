# SPDX-License-Identifier: LGPL-2.1-or-later
"""Talks with the agent in a guest: one that answers, one that babbles, one that is silent."""
import json
import os
import subprocess
import threading
import time

import linuxtest
import qemutest
from agenttest import CHANNEL, Agent


class Babbler(Agent):
    """What it says comes byte by byte, after the rest of something else."""

    silent = False

    def greet(self, talk):
        talk.sendall(b'{"return": "left over from an earlier talk"}\n{"ret')

    def hear(self, talk, command):
        if not self.silent:
            super().hear(talk, command)

    def answer(self, talk, name):
        answers = {"guest-ping": {"return": {}}, "guest-get-host-name": {"return": {"host-name": "inside"}},
                   "guest-get-time": {"return": 86400 * 10 ** 9}}
        answer = answers.get(name, {"error": {"class": "CommandNotFound", "desc": "what is that?"}})
        for byte in json.dumps(answer).encode() + b"\n":
            talk.sendall(bytes([byte]))


class Comes(qemutest.Case):
    """The agent opens and closes its channel in a guest that has one."""

    LINUX = """<domain type='qemu'><name>linux</name><memory unit='MiB'>256</memory>
      <os><type arch='x86_64'>hvm</type><kernel>{0}/vmlinuz</kernel><initrd>{0}/initrd.img</initrd>
        <cmdline>console=ttyS0 quiet</cmdline></os>
      <devices><serial type='pty'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
        <channel type='pty'><target type='virtio' name='other.0'/></channel></devices></domain>"""

    def states(self):
        return [t.get("state") for t in self.xml("linux").findall("devices/channel/target")]

    def test_clients_are_told(self):
        guest = linuxtest.copy(self)
        events = subprocess.Popen(["virsh", "-c", self.daemon.uri(), "event", "--event", "agent-lifecycle", "--loop"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(events.stdout.close)
        self.addCleanup(events.wait)
        self.addCleanup(events.kill)
        time.sleep(0.5)
        self.virsh("create", self.write("linux.xml", self.LINUX.format(guest)))
        self.assertIn("'linux': state: 'disconnected' reason: 'domain started'", events.stdout.readline())
        self.assertEqual(self.states(), ["disconnected"] * 2)
        line = self.line("linux")
        line.expect("READY linux", 60)
        line.send("for port in /dev/vport*p2; do exec 5<$port; done\n")    # nobody is told of the other one
        qemutest.wait_until(lambda: self.states() == ["disconnected", "connected"], 10, "the other one is open")
        line.send("for port in /dev/vport*p1; do exec 6<$port; done\n")
        self.assertIn("'linux': state: 'connected' reason: 'channel event'", events.stdout.readline())
        self.assertEqual(self.states(), ["connected"] * 2)
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.states(), ["connected"] * 2)
        self.line("linux").send("exec 6<&-\n")
        qemutest.wait_until(lambda: self.states() == ["disconnected", "connected"], 10, "the agent's is closed")
        self.virsh("destroy", "linux")


class Answers(qemutest.Case):
    def setUp(self):
        super().setUp()
        path = os.path.join(self.work, "agent.sock")
        self.agent = Babbler(path)
        self.addCleanup(self.agent.stop)
        self.define("a", devices=CHANNEL.format(source=f"<source mode='connect' path='{path}'/>"))
        self.virsh("start", "a")

    def command(self, name):
        return self.virsh("qemu-agent-command", "a", json.dumps({"execute": name}))

    def test_command(self):
        self.assertEqual(json.loads(self.command("guest-ping")), {"return": {}})
        self.assertEqual(self.agent.seen, ["guest-ping"])

    def test_refusal_is_the_error(self):
        message = self.virsh_fails("qemu-agent-command", "a", '{"execute": "guest-dance"}')
        self.assertIn("what is that?", message)

    def test_no_json(self):
        self.virsh_fails("qemu-agent-command", "a", "ping")
        self.assertEqual(self.agent.seen, [])

    def test_hostname_and_time(self):
        self.assertEqual(self.virsh("domhostname", "a"), "inside")
        self.assertIn("86400", self.virsh("domtime", "a"))

    def test_several_at_once(self):
        done = []
        threads = [threading.Thread(target=lambda: done.append(self.command("guest-ping"))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(done), 6)

    def test_silence_has_an_end(self):
        self.agent.silent = True
        begin = time.monotonic()
        self.assertIn("does not answer", self.virsh_fails("domhostname", "a"))
        self.assertLess(time.monotonic() - begin, 9)
        self.agent.silent = False
        self.assertEqual(self.virsh("domhostname", "a"), "inside")

    def test_paused_guest(self):
        self.virsh("suspend", "a")
        self.virsh_fails("domhostname", "a")
        self.assertEqual(self.agent.seen, [])


class Missing(qemutest.Case):
    def test_no_channel(self):
        self.define("a")
        self.virsh("start", "a")
        self.assertIn("org.qemu.guest_agent.0", self.virsh_fails("domhostname", "a"))

    def test_guest_without_agent(self):
        self.define("a", devices=CHANNEL.format(source=""))
        self.virsh("start", "a")
        begin = time.monotonic()
        self.assertIn("does not answer", self.virsh_fails("domhostname", "a"))
        self.assertLess(time.monotonic() - begin, 9)

    def test_guest_that_is_off(self):
        self.define("a", devices=CHANNEL.format(source=""))
        self.assertIn("not running", self.virsh_fails("domhostname", "a"))


if __name__ == "__main__":
    qemutest.main()
