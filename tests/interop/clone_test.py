# SPDX-License-Identifier: Apache-2.0
"""A machine that was cloned with its agent's state directory: it neither takes
the original's name, nor disturbs its VMs, nor wears the region out; and it is
let in when the original is gone.

usage: clone_test.py BINARIES DESCRIPTORS"""
import os
import re
import shutil
import signal
import sys
import unittest

import holdfast_client
from holdfast_region import Agent, Region, wait_until

RUNNING = 4
REFUSALS = 7  # With growing pauses: some seconds of trying.
MARK = f"100000{os.getpid()}"  # Seconds that the VM's command sleeps.


def copies():
    """Pids of the VM's command, wherever it runs."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read() == f"/bin/sleep\0{MARK}\0".encode():
                    found.append(int(pid))
        except OSError:
            pass  # It ended.
    return found


class Clone(Agent):
    """Of an agent's machine: the same files, but another boot. The record of
    the boot is left out, as it says nothing on another machine; on this one it
    would forbid the clone to start at all."""

    def __init__(self, original):
        super().__init__(original.region, "clone", "z1")
        with open(original.config, encoding="utf-8") as file:
            text = file.read()
        state = re.search(r"state_dir: (.*)", text)[1]
        shutil.copytree(state, f"{self.region.directory}/clone.state",
                        ignore=shutil.ignore_patterns("last_boot"))
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text.replace("/h1.run", "/clone.run")
                       .replace("/h1.state", "/clone.state"))
        self.region.agents.append(self)

    def said(self, pattern):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return len(re.findall(pattern, log.read()))


class Clones(unittest.TestCase):
    def setUp(self):
        self.region = Region(sys.argv[1])
        self.addCleanup(self.region.close)
        first = self.region.nodes[0]
        wait_until(lambda: holdfast_client.answers(first.address), "n1 listens")
        holdfast_client.load_schema(sys.argv[2], first.address)
        self.region.leader()
        self.client = self.region.client(first)
        self.call("ZoneService/CreateZone", name="z1")
        self.call("ClassService/CreateClass", vm_class={
            "name": "small", "resources": {"cpu_milli": 100, "memory_mib": 64}})
        self.original = self.region.agent("h1", "z1")
        wait_until(lambda: self.call("HostService/ListHosts").hosts,
                   "the host is there")
        self.call("VmService/CreateVm", vm={
            "name": "web", "class_name": "small", "zone": "z1",
            "template": {"driver": "DRIVER_EXEC",
                         "command": ["/bin/sleep", MARK]}})
        wait_until(self.runs, "the VM runs")

    def call(self, method, **fields):
        return self.client.call(method, fields)

    def vm(self):
        return self.call("VmService/GetVm", name="web").vm.status

    def runs(self):
        """And no second copy of it."""
        pids = copies()
        self.assertLessEqual(len(pids), 1)
        return pids if self.vm().state == RUNNING and pids else None

    def revision(self):
        return self.call("ClusterService/GetStatus").revision

    def test_clone_leaves_the_original_alone(self):
        pids = self.runs()
        clone = Clone(self.original)
        before = self.revision()
        clone.start()

        def refused():
            self.runs()
            return clone.said("ALREADY_EXISTS.*another boot") >= REFUSALS
        wait_until(refused, "the clone is refused")
        self.assertLessEqual(self.revision() - before, 2)
        self.assertEqual(self.runs(), pids)
        self.assertEqual(self.vm().epoch, 1)
        self.assertEqual(clone.said("session.welcome"), 0)
        with open(self.original.log, encoding="utf-8") as log:
            self.assertNotIn("session.closed", log.read())

        # Without its agent the original's lease ends, and with it its VM.
        self.original.signal(signal.SIGKILL)
        self.original.child.wait()

        def taken_over():
            return self.runs() and self.vm().epoch > 1
        wait_until(taken_over, "the VM runs again")
        self.assertNotEqual(copies(), pids)
        self.assertEqual(clone.said("session.welcome"), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
