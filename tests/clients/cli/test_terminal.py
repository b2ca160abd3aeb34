# SPDX-License-Identifier: LGPL-2.1-or-later
"""The console on a terminal and in a pipe, and completion by bash."""
import os
import pty
import select
import signal
import subprocess
import termios
import time

from vireocli import BUILD, COMPLETION, VIREO, CliCase, environment, main, wait_until


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command, env):
        self.fd, self.inner = pty.openpty()
        self.before = termios.tcgetattr(self.inner)
        self.process = subprocess.Popen(command, env=env, stdin=self.inner, stdout=self.inner, stderr=self.inner,
                                        start_new_session=True)
        self.seen = b""

    def expect(self, text, seconds=15):
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not {text!r} but {self.seen!r}")
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 4096)
        self.seen = self.seen[self.seen.index(text.encode()) + len(text):]

    def send(self, text):
        os.write(self.fd, text.encode())

    def mode(self):
        return termios.tcgetattr(self.inner)

    def is_raw(self):
        return not self.mode()[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.inner)


class Console(CliCase):
    def attach(self, *more):
        terminal = Terminal([VIREO, *more, "console", "a"], environment())
        self.addCleanup(terminal.close)
        terminal.expect("Escape character")
        wait_until(terminal.is_raw, what="the terminal is raw")
        return terminal

    def setUp(self):
        super().setUp()
        self.define("a")
        self.virsh("start", "a")

    def test_escape(self):
        terminal = self.attach()
        wait_until(lambda: terminal.send("g") or self.said(terminal, "M="), what="the guest answers")
        terminal.send("mQ")
        terminal.expect("M=Q")
        terminal.send("\x1d")
        self.assertEqual(terminal.process.wait(20), 0)
        self.assertEqual(terminal.mode(), terminal.before)
        self.assertEqual(self.state("a"), "running")

    def said(self, terminal, text):
        try:
            terminal.expect(text, 0.5)
            return True
        except AssertionError:
            return False

    def test_other_escape(self):
        terminal = self.attach("-e", "^A")
        terminal.send("\x1d")
        time.sleep(0.3)
        self.assertIsNone(terminal.process.poll())
        terminal.send("\x01")
        self.assertEqual(terminal.process.wait(20), 0)

    def test_signal_restores_the_terminal(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            terminal = self.attach()
            terminal.process.send_signal(number)
            self.assertEqual(terminal.process.wait(20), 128 + number)
            self.assertEqual(terminal.mode(), terminal.before)

    def test_guest_ends(self):
        terminal = self.attach()
        self.virsh("destroy", "a")
        terminal.process.wait(20)
        self.assertEqual(terminal.mode(), terminal.before)

    def test_pipe(self):
        process = subprocess.Popen([VIREO, "-q", "console", "a"], env=environment(), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.wait)
        seen = b""
        end = time.monotonic() + 20
        while b"M=Z" not in seen and time.monotonic() < end:
            process.stdin.write(b"mZ")
            process.stdin.flush()
            if select.select([process.stdout], [], [], 0.5)[0]:
                seen += os.read(process.stdout.fileno(), 4096)
        self.assertIn(b"M=Z", seen)
        _, errors = process.communicate(b"\x1d", timeout=20)
        self.assertEqual((process.returncode, errors), (0, b""))

    def test_off(self):
        self.virsh("destroy", "a")
        self.assertIn("error", self.fails("console", "a"))


class Completion(CliCase):
    def complete(self, line):
        """What bash would offer: its own word splitting, our function."""
        script = (f"source '{COMPLETION}'\n"
                  "COMP_LINE=$1 COMP_POINT=${#1}; shift\nCOMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n"
                  "_vireo 2>/dev/null\nprintf '%s\\n' \"${COMPREPLY[@]}\"")
        words = []
        for word in line.split(" "):
            while ":" in word:
                head, _, word = word.partition(":")
                words += [head, ":"]
            words.append(word)
        env = environment(PATH=os.path.dirname(VIREO) + ":" + os.environ["PATH"])
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", line, *words], env=env, check=True,
                              capture_output=True, text=True, timeout=30)
        return sorted(done.stdout.split())

    def test_commands_and_options(self):
        self.assertEqual(self.complete("vireo snapshot-cr"), ["snapshot-create", "snapshot-create-as"])
        self.assertEqual(self.complete("vireo -c qemu:///system snapshot-cu"), ["snapshot-current"])
        self.assertEqual(self.complete("vireo snapshot-delete --ch"), ["--children", "--children-only"])
        self.assertIn("--connect", self.complete("vireo --c"))
        self.assertEqual(self.complete("vireo help nodei"), ["nodeinfo"])

    def test_operations_and_flags(self):
        self.assertEqual(self.complete("vireo can domain-snapshot-del"), ["domain-snapshot-delete"])
        self.assertEqual(self.complete("vireo can domain-snapshot-delete --flags CHILDREN_"), ["CHILDREN_ONLY"])
        self.assertEqual(self.complete("vireo undefine x --flags KEEP"), ["KEEP_NVRAM", "KEEP_TPM"])

    def test_domains_and_snapshots(self):
        self.define_diskless("completed-a")
        self.define("completed-b")
        self.virsh("snapshot-create-as", "completed-b", "first")
        self.assertEqual(self.complete("vireo start compl"), ["completed-a", "completed-b"])
        self.assertEqual(self.complete("vireo -c qemu:///system domstate --domain completed-a"), ["completed-a"])
        self.assertEqual(self.complete("vireo snapshot-delete completed-b f"), ["first"])
        self.assertEqual(self.complete("vireo snapshot-list completed-b --from fi"), ["first"])

    def test_files(self):
        path = self.write("some.xml", "")
        self.assertEqual(self.complete(f"vireo define {path[:-5]}"), [path])

    def test_bash_itself(self):
        terminal = Terminal(["bash", "--norc", "--noprofile", "-i"],
                            environment(PATH=os.path.dirname(VIREO) + ":" + os.environ["PATH"], PS1="$ ", TERM="dumb"))
        self.addCleanup(terminal.close)
        terminal.send(f"source '{COMPLETION}'; bind 'set bell-style none'; echo loa''ded\n")
        terminal.expect("loaded\r\n")
        terminal.send("vireo -c qemu:///system nodei\t")
        terminal.expect("nodeinfo ")
        terminal.send("\x15exit\n")
        terminal.process.wait(20)


if __name__ == "__main__":
    assert os.path.exists(VIREO), f"{BUILD} has no vireo"
    main()
