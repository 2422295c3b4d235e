# SPDX-License-Identifier: Apache-2.0
"""A region is wiped and begun again on the same addresses, while a host still
runs a VM of the former one. The new region gives the same number to a VM of
its own; still it neither takes over nor stops the old one, and the host joins
when that one has ended.

usage: other_region_test.py BINARIES DESCRIPTORS"""
import os
import shutil
import signal
import sys
import unittest

import holdfast_client
from holdfast_region import Region, wait_until

RUNNING, PENDING = 4, 1
KEEP = 2


class OtherRegion(unittest.TestCase):
    def setUp(self):
        self.region = Region(sys.argv[1])
        self.addCleanup(self.region.close)
        self.first = self.region.nodes[0]
        wait_until(lambda: holdfast_client.answers(self.first.address),
                   "n1 listens")
        holdfast_client.load_schema(sys.argv[2], self.first.address)

    def call(self, method, **fields):
        return self.region.client(self.first).call(method, fields)

    def begin(self, vm):
        """A zone, a class and a VM in a region without anything."""
        leader = self.region.leader()
        region_id = self.region.status(leader).region_id
        self.assertRegex(region_id, "^[0-9a-f]{32}$")
        for node in self.region.nodes:
            wait_until(lambda node=node:
                       self.region.status(node).region_id == region_id,
                       f"{node.name} knows its region")
        self.call("ZoneService/CreateZone", name="z1")
        self.call("ClassService/CreateClass", vm_class={
            "name": "small", "resources": {"cpu_milli": 100, "memory_mib": 64}})
        self.call("VmService/CreateVm", vm={
            "name": vm, "class_name": "small", "on_partition": KEEP,
            "template": {"driver": "DRIVER_EXEC",
                         "command": ["/bin/sleep", "100000"]}})
        return region_id

    def vm(self, name):
        return self.call("VmService/GetVm", name=name).vm

    def wipe(self):
        for node in self.region.nodes:
            node.kill()
        for client in self.region.clients.values():
            client.close()
        self.region.clients.clear()
        for node in self.region.nodes:
            shutil.rmtree(f"{self.region.directory}/{node.name}.data")
            node.begun = False
            node.start()

    def kept(self):
        with open(f"{self.region.directory}/h1.run/region",
                  encoding="ascii") as file:
            return file.read().strip()

    def pids(self, uid):
        """The shim's and the VM's."""
        with open(f"{self.region.directory}/h1.run/vms/{uid}/pid",
                  encoding="ascii") as file:
            fields = dict(line.split("=", 1) for line in file)
        return {name: int(fields[name].split()[0]) for name in ("shim", "vm")}

    def refusals(self, agent):
        with open(agent.log, encoding="utf-8", errors="replace") as log:
            return [line for line in log if "session.closed" in line and
                    "another region" in line]

    def test_a_region_that_was_begun_again_leaves_old_vms_alone(self):
        former = self.begin("old")
        agent = self.region.agent("h1", "z1")
        wait_until(lambda: self.vm("old").status.state == RUNNING, "old runs")
        old = self.vm("old")
        pids = self.pids(old.uid)
        self.assertEqual(self.kept(), former)

        self.wipe()
        present = self.begin("new")
        self.assertNotEqual(present, former)
        self.assertEqual(self.vm("new").uid, old.uid)
        refusal = wait_until(lambda: self.refusals(agent), "a refusal")[0]
        self.assertIn(" error ", refusal)
        for part in ("h1", former, present, "Point the agent back"):
            self.assertIn(part, refusal)
        # More of them: it comes back and is refused as before.
        count = len(self.refusals(agent))
        wait_until(lambda: len(self.refusals(agent)) > count + 3, "more")
        self.assertEqual(self.pids(old.uid), pids)
        self.assertTrue(os.path.exists(f"/proc/{pids['vm']}"))
        self.assertEqual(len(self.call("HostService/ListHosts").hosts), 0)
        self.assertEqual(self.vm("new").status.state, PENDING)
        self.assertEqual(self.kept(), former)

        os.kill(pids["vm"], signal.SIGKILL)
        wait_until(lambda: self.vm("new").status.state == RUNNING, "new runs")
        self.assertEqual(self.vm("new").status.restart_count, 0)
        self.assertFalse(os.path.exists(f"/proc/{pids['vm']}"))
        self.assertNotEqual(self.pids(old.uid), pids)
        self.assertEqual(self.kept(), present)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
