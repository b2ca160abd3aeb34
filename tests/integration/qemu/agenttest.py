# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands in for a guest's agent on the other side of its channel."""
import json
import os
import socket
import threading

CHANNEL = "<channel type='unix'>{source}<target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
FREEZE, THAW = "guest-fsfreeze-freeze", "guest-fsfreeze-thaw"


class Agent(threading.Thread):
    """Serves a socket; what it says is for those who derive from it."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.seen = []    # commands, but for those that only find the beginning
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen(8)
        self.start()

    def run(self):
        while True:
            try:
                talk, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.listen, args=(talk,), daemon=True).start()

    def listen(self, talk):
        with talk:
            try:
                self.greet(talk)
                for line in talk.makefile("rb"):
                    if self.hear(talk, json.loads(line.lstrip(b"\xff"))) is False:
                        return
            except OSError:
                pass    # hung up in the middle, as a daemon that gives up does

    def hear(self, talk, command):
        if command["execute"] == "guest-sync-delimited":
            return self.say(talk, b"\xff", {"return": command["arguments"]["id"]})
        self.seen.append(command["execute"])
        return self.answer(talk, command["execute"])

    @staticmethod
    def say(talk, before, answer):
        talk.sendall(before + json.dumps(answer).encode() + b"\n")

    def greet(self, talk):
        pass

    def answer(self, talk, name):
        """False: it hangs up."""
        raise NotImplementedError

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Holder(Agent):
    """Holds the file systems, and lets them go. how: what it does instead of answering a command."""

    def __init__(self, path, **how):
        self.how, self.held = how, False
        super().__init__(path)

    def answer(self, talk, name):
        what = self.how.get(name)
        if what == "refuses":
            return self.say(talk, b"", {"error": {"class": "GenericError", "desc": "no, not now"}})
        if name in (FREEZE, THAW) and what != "dies before":
            self.held = name == FREEZE
        if what == "hangs":
            return True
        if what and what.startswith("dies"):
            return False
        return self.say(talk, b"", {"return": 1})
