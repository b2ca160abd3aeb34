# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: the CPU time of machines. The simulator's figures are ours: see esxsim/figures.go."""
import datetime
import re
import time

from esxtest import WitnessCase, main


def used(second):
    """Milliseconds of the second that ends then, as the simulator tells."""
    return 0 if second % 5 == 0 else 100 + second % 7


def sum_of(first, last):
    return sum(map(used, range(first, last + 1))) * 1_000_000


class CpuTime(WitnessCase):
    def started(self, machine):
        text = re.search(r">(\d{4}-[^<]*)<", self.witness.machine(machine, "summary.runtime.bootTime"))[1]
        text = re.sub(r"\.\d+", "", text).replace("Z", "+00:00")
        return int(datetime.datetime.fromisoformat(text).timestamp())

    def ask(self, name, begin, before=0):
        """What it is now, and the last seconds that may be part of it when it counts each from begin on once."""
        first = int(time.time())
        value = int(re.search(r"cpu.time=(\d+)", self.virsh("domstats", "--cpu-total", name))[1])
        last = [second for second in range(first, int(time.time()) + 1)
                if value == before + sum_of(begin(second), second)]
        self.assertTrue(last, f"{value} is no sum of what {name} has used until {first}")
        return value, last

    def test_adds_up(self):
        """What the server remembers since the start when it is first asked, and what comes later, once."""
        machine = self.reference(self.first)
        self.virsh("destroy", self.first)
        self.assertNotIn("cpu.time", self.virsh("domstats", "--cpu-total", self.first))
        self.assertNotIn("CPU time", self.virsh("dominfo", self.first))
        self.virsh("start", self.first)
        start = self.started(machine)
        time.sleep(1.2)
        value, last = self.ask(self.first, lambda second: max(start + 1, second - 2))
        for _ in range(3):
            time.sleep(1.2)
            value, last = self.ask(self.first, lambda second, after=last[0]: after + 1, value)
        shown = re.search(r"CPU time: +([0-9.]+)s", self.virsh("dominfo", self.first))
        self.assertGreaterEqual(float(shown[1]) * 1e9, value - 1e8)
        self.assertGreater(value, sum_of(last[0] - 2, last[0]))  # more than the server can tell by now

    def test_requests(self):
        """One for all machines, and none for a client that does not wait."""
        between, here = self.stand_between()
        self.virsh("domstats", "--cpu-total", uri=here)
        for options, seen in (("", ["QueryPerf"]), ("--nowait", [])):
            before = len(between.seen)
            self.assertEqual(self.virsh("domstats", *options.split(), uri=here).count("cpu.time="), 2)
            self.assertEqual([one for one in between.seen[before:] if one != "WaitForUpdatesEx"], seen)


if __name__ == "__main__":
    main()
