#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sim: what goes wrong with servers, connections and URIs, and how much is asked; by stock virsh."""
import random
import threading
import time

import hypervtest
import vireotest
from hypervtest import HypervCase, Server, give_password, wait_until


class Sim(HypervCase):
    def test_sim_trouble(self):
        """Each is told in words, and harms nothing that comes after it."""
        self.define("vm")
        for trouble, words in (("close", "ended before its answer"), ("garbage", "not XML"), ("empty", "is empty"),
                               ("html", "no SOAP envelope"), ("401", "status 401"), ("fault:32769", "told to: 32769"),
                               ("relates", "another message"), ("truncate", "not XML"), ("huge:40000000", "more than"),
                               ("die", "ended before its answer")):
            with self.subTest(trouble):
                # The summary asks all the time, too: only who is asked next is meant.
                self.quiet(lambda t=trouble, w=words: self.fails_with(t, w))
                self.assertEqual(self.virsh("domstate", "vm"), "shut off")
        self.virsh("start", "vm")

    def quiet(self, attempt):
        """A watcher may take the trouble away: then it is made again."""
        for _ in range(10):
            if attempt():
                return
        self.fail("the trouble never came")

    def fails_with(self, trouble, words):
        self.ask(f"service.trouble.extend(['{trouble}'] * 3)")
        done = self.virsh_raw("nodeinfo")
        self.ask("service.trouble.clear()")
        if done.returncode == 0:
            return False
        self.assertIn(words, done.stderr)
        return True

    def test_sim_too_busy(self):
        """A server that has too much to do is asked again."""
        self.ask("service.trouble.extend(['fault:2150859174'] * 2)")
        self.assertIn("Intel", self.virsh("nodeinfo"))

    def test_sim_slow(self):
        """A slow call keeps nobody else waiting."""
        self.define("vm")
        self.ask("service.trouble.append('sleep:8')")
        wait_until(lambda: not self.ask("service.trouble"), 10, "the watcher has to wait")
        begin = time.monotonic()
        self.assertEqual(self.virsh("domstate", "vm"), "shut off")
        self.assertIn("Intel", self.virsh("nodeinfo"))
        self.assertLess(time.monotonic() - begin, 6)

    def test_sim_drip(self):
        """An answer that comes byte by byte is an answer."""
        self.ask("service.trouble.extend(['drip:1'] * 2)")
        self.assertIn("Intel", self.virsh("nodeinfo"))

    def test_sim_server_dies(self):
        """In the middle of a call; the daemon goes on, and says so."""
        server = Server(*self.options)
        self.addCleanup(server.stop)
        uri = self.uri(server=server.address)
        self.virsh("list", uri=uri)
        told = []
        thread = threading.Thread(target=lambda: told.append(self.virsh_raw("nodeinfo", uri=uri)))
        server.ask("service.trouble.extend(['sleep:30'] * 3)")
        thread.start()
        time.sleep(0.5)  # it waits for its answer
        server.process.kill()
        thread.join()
        self.assertEqual(told[0].returncode, 1)
        self.assertRegex(told[0].stderr, "ended before its answer|cannot talk to")
        self.assertIn("cannot talk to https://127.0.0.1:", self.virsh_fails("nodeinfo", uri=uri))
        self.define("vm")  # others are not concerned
        self.virsh("start", "vm")

    def test_sim_sequence(self):
        """Whatever goes wrong in whatever order: in the end that is shown which is there."""
        self.define("vm")
        troubles = ["close", "die", "garbage", "truncate", "empty", "html", "401", "relates", "fault:32775", "drip:0.1", "sleep:0.1",
                    "huge:3000000"]
        chance = random.Random(5)
        failed = 0
        for _ in range(5):
            self.ask(f"service.trouble.extend({chance.sample(troubles, 8)})")
            failed += self.virsh_raw("start vm; snapshot-create-as vm s; suspend vm; resume vm; snapshot-delete vm s; destroy vm; "
                                     "nodeinfo; pool-refresh default-pool; dumpxml vm").stderr.count("error: ")
        self.assertGreater(failed, 10)
        self.ask("service.trouble.clear()")
        state = {2: "running", 3: "shut off", 6: "shut off", 9: "paused"}[self.machine("vm")["EnabledState"]]
        there = self.ask("sorted(one['ElementName'] for one in host.snapshots(host.machine('vm')))")
        wait_until(lambda: self.state("vm") == state, 10, f"it is seen {state}")
        wait_until(lambda: sorted(self.virsh("snapshot-list", "vm", "--name").splitlines()) == there, 10, f"there is {there}")

    def test_sim_gone_meanwhile(self):
        """Made here and removed there between two summaries, which are the same then."""
        self.virsh("list")  # from now on there is a watcher
        self.ask("service.trouble.append('sleep:4')")
        wait_until(lambda: not self.ask("service.trouble"), 10, "the watcher has to wait")
        self.define("vm")
        self.ask("[host.forget(host.machine('vm'))] and 1")
        wait_until(lambda: not self.virsh("list", "--all", "--name").split(), 20, "it is seen")

    def test_sim_certificate(self):
        self.assertIn("SSL certificate problem", self.virsh_fails("list", uri=self.uri("")))

    def test_sim_nobody_there(self):
        self.assertIn("cannot talk to https://127.0.0.1:9", self.virsh_fails("list", uri=self.uri(server="127.0.0.1:9")))

    def test_sim_uris(self):
        for parameters, words in (("insecure=2", "insecure"), ("authentication=digest", "basic, ntlm or kerberos"),
                                  ("transport=ftp", "http or https"), ("nonsense=1", "nonsense is not known")):
            self.assertIn(words, self.virsh_fails("list", uri=self.uri(parameters)))
        base = f"hyperv+unix:///{{}}?socket={self.daemon.socket}"
        self.assertIn("hyperv.conf has no [connection lab]", self.virsh_fails("list", uri=base.format("lab")))
        self.assertIn("names no server", self.virsh_fails("list", uri=base.format("")))
        self.assertIn("read-only connection cannot have no_verify", self.virsh_fails("-r", "list"))

    def test_sim_events(self):
        """What others do is seen, by asking for one summary."""
        self.define("vm")
        wait_until(lambda: set(self.ask("service.requests[-3:]")) == {"GetSummaryInformation"}, 10, "all is read")
        self.ask("service.requests.clear()")
        time.sleep(1.2)
        asked = self.ask("service.requests")
        self.assertEqual(set(asked), {"GetSummaryInformation"})
        self.ask("host.set_state(host.machine('vm'), 2)")
        wait_until(lambda: self.state("vm") == "running", 10, "it is seen running")
        self.ask("host.machine('vm').__setitem__('ElementName', 'other')")
        wait_until(lambda: self.virsh("list", "--name").strip() == "other", 10, "its new name is seen")
        self.ask("host.make('more') and 1")
        wait_until(lambda: "more" in self.virsh("list", "--all", "--name"), 10, "another one is seen")
        told = []
        thread = threading.Thread(target=lambda: told.append(
            self.virsh_raw("event", "--event", "lifecycle", "--loop", "--timeout", "3")))
        thread.start()
        time.sleep(1)
        self.ask("host.set_state(host.machine('other'), 9)")
        thread.join()
        self.assertIn("event 'lifecycle' for domain 'other': Suspended", told[0].stdout)


class SimEvents(HypervCase):
    """A server that says itself what happens."""
    options = ("--events",)

    def test_sim_subscribed(self):
        self.define("vm")
        wait_until(lambda: self.ask("len(service.subscriptions)") == 2, 10, "both are subscribed")
        self.ask("service.requests.clear()")
        time.sleep(1.2)  # six times what is between two looks without events
        self.assertLessEqual(self.ask("service.requests.count('GetSummaryInformation')"), 1)
        for change, seen in (("host.set_state(host.machine('vm'), 2)", "running"), ("host.set_state(host.machine('vm'), 9)", "paused")):
            begin = time.monotonic()
            self.ask(change)
            wait_until(lambda s=seen: self.state("vm") == s, 10, f"it is seen {seen}")
            self.assertLess(time.monotonic() - begin, 1.5)  # less than between two looks
        self.ask("host.make('more') and 1")
        wait_until(lambda: "more" in self.virsh("list", "--all", "--name"), 1.5, "another one is seen")
        self.ask("host.forget(host.machine('more'))")
        wait_until(lambda: "more" not in self.virsh("list", "--all", "--name"), 1.5, "that it is gone is seen")
        self.ask("host.machine('vm').values.update(OnTimeInMilliseconds=5) or service.requests.clear()")
        time.sleep(0.5)
        self.assertNotIn("Enumerate", self.ask("service.requests"))  # that is no news

    def test_sim_subscription_lost(self):
        """What a server has forgotten is asked for again; meanwhile it is polled."""
        self.define("vm")
        wait_until(lambda: self.ask("len(service.subscriptions)") == 2, 10, "both are subscribed")
        self.ask("service.subscriptions.clear()")
        self.ask("host.config(host.machine('vm')).values.update(Notes=['x']) or host.set_state(host.machine('vm'), 2)")
        wait_until(lambda: self.state("vm") == "running", 10, "it is seen all the same")
        wait_until(lambda: self.ask("len(service.subscriptions)") == 2, 30, "both are subscribed again")


class SimPassword(HypervCase):
    def test_sim_wrong_password(self):
        give_password(self.daemon, "mistaken9")
        self.addCleanup(give_password, self.daemon)
        message = self.virsh_fails("list")
        self.assertIn("authentication failed", message)
        self.assertNotIn("mistaken9", message)
        with open(self.daemon.log, encoding="utf-8") as log:
            said = log.read()
        self.assertNotIn(hypervtest.PASSWORD, said)
        self.assertNotIn("mistaken9", said)

    def finish(self):
        self.assertEqual(self.ask("service.strict"), [])


class SimMany(vireotest.VirshCase):
    """200 machines, of which the server hands out at most so many at once."""

    def setUp(self):
        self.lines = []
        self.daemon = vireotest.daemon()
        give_password(self.daemon)

    def sweep(self):
        pass

    # But by those who look for changes.
    ASKED = "[one for one in service.requests if one not in ('GetSummaryInformation', 'Subscribe')]"

    def listed(self, *options):
        server = Server("--machines=200", *options)
        self.addCleanup(server.stop)
        uri = f"hyperv+unix:///?socket={self.daemon.socket}&server={server.address}&insecure=1"
        names = vireotest._run(self.daemon, ["list", "--all", "--name"], uri=uri).stdout.split()
        first = server.ask(self.ASKED)
        server.ask("service.requests.clear()")
        again = vireotest._run(self.daemon, ["list", "--all"], uri=uri).stdout
        later = server.ask(self.ASKED)
        self.assertEqual(server.ask("service.strict"), [])
        self.assertEqual(server.ask("len(service.contexts)"), 0)
        self.assertEqual(names, [f"vm{number:03}" for number in range(200)])
        self.assertEqual((again.count("shut off"), later), (200, []))
        return first

    def test_sim_few_requests(self):
        """At most 4, the switches' list among them; and none for a list of what is known."""
        first = self.listed()
        self.assertLessEqual(len(first), 4)
        self.assertEqual(set(first), {"Enumerate"})

    def test_sim_small_answers(self):
        first = self.listed("--batch=50")
        self.assertEqual(sorted(set(first)), ["Enumerate", "Pull"])


if __name__ == "__main__":
    hypervtest.main()
