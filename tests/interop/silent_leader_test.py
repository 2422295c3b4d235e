# SPDX-License-Identifier: Apache-2.0
"""A leader that stands still while its machine keeps every connection open
costs no VM: agents find the next leader before their hosts' leases are over,
however their sessions went.

usage: silent_leader_test.py BINARIES DESCRIPTORS"""
import sys
import time
import unittest

import holdfast_client
from holdfast_region import Agent, Region, wait_until

# Twice the defaults: in the same proportions, but on a busy test machine.
WAIT_MS, RUN_MS, RENEW_MS = 10000, 8800, 2000
UNREACHABLE = 4


class SilentLeader(unittest.TestCase):
    def setUp(self):
        self.region = Region(sys.argv[1])
        self.addCleanup(self.region.close)
        first = self.region.nodes[0]
        wait_until(lambda: holdfast_client.answers(first.address), "n1 listens")
        holdfast_client.load_schema(sys.argv[2], first.address)
        self.region.leader()
        self.client = self.region.client(first)
        for zone in ("z1", "z2", "z3"):
            self.call("ZoneService/CreateZone", name=zone)
        self.call("ClassService/CreateClass", vm_class={
            "name": "small", "resources": {"cpu_milli": 100, "memory_mib": 64}})
        self.call("ClusterService/UpdateSettings", settings={
            "lease_wait_ms": WAIT_MS, "lease_run_ms": RUN_MS,
            "renew_ms": RENEW_MS},
            update_mask=["lease_wait_ms", "lease_run_ms", "renew_ms"])

    def call(self, method, **fields):
        return self.client.call(method, fields)

    def host(self, zone, *order):
        """A host whose agent asks the nodes in this order."""
        agent = Agent(self.region, f"{zone}-h1", zone)
        nodes = ", ".join(f'"{self.region.nodes[n - 1].address}"'
                          for n in order)
        with open(agent.config, encoding="utf-8") as file:
            lines = [f"nodes: [{nodes}]\n" if line.startswith("nodes:")
                     else line for line in file]
        with open(agent.config, "w", encoding="utf-8") as file:
            file.writelines(lines)
        self.region.agents.append(agent)
        agent.start()
        return agent

    def vms(self):
        return {vm.name: vm.status for vm in
                self.call("VmService/ListVms").vms}

    def role(self, node):
        """Of a node, in the words of the one that leads now."""
        leaders = []
        for other in (self.region.nodes[0], self.region.nodes[2]):
            nodes = self.region.client(other).call(
                "ClusterService/ListNodes", {}).nodes
            leaders += [nodes for n in nodes
                        if n.role == 1 and n.name == other.name]
        nodes = leaders[0] if leaders else self.call(
            "ClusterService/ListNodes").nodes
        return {n.name: n.role for n in nodes}[node]

    def all_run(self):
        return all(status.state == 4 for status in self.vms().values())

    def test_no_vm_is_lost_with_a_silent_leader(self):
        self.call("ClusterService/TransferLeadership", node="n2")
        leader = self.region.nodes[1]
        wait_until(lambda: self.region.leader() is leader, "n2 leads")
        # Forwarded by n1 and n3 to the leader, which is also the next that
        # their agents would ask; and with the leader itself.
        self.host("z1", 1, 2, 3)
        self.host("z2", 2, 1, 3)
        self.host("z3", 3, 2, 1)
        wait_until(lambda: len(self.call("HostService/ListHosts").hosts) == 3,
                   "all hosts are there")
        for zone in ("z1", "z2", "z3"):
            self.call("VmService/CreateVm", vm={
                "name": f"vm-{zone}", "class_name": "small", "zone": zone,
                "template": {"driver": "DRIVER_EXEC",
                             "command": ["/bin/sleep", "100000"]}})
        wait_until(self.all_run, "all VMs run")
        leader.freeze()
        wait_until(lambda: self.role("n2") != 1, "another node leads")
        wait_until(lambda: self.role("n2") == UNREACHABLE, "its silence counts")
        end = time.monotonic() + 1.3 * WAIT_MS / 1000
        while time.monotonic() < end:  # Every lease would be over.
            # Its kernel goes on taking connections.
            self.assertEqual(self.role("n2"), UNREACHABLE)
            time.sleep(0.05)
        wait_until(self.all_run, "all VMs run")
        self.assertEqual({name: status.epoch
                          for name, status in self.vms().items()},
                         {"vm-z1": 1, "vm-z2": 1, "vm-z3": 1})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
