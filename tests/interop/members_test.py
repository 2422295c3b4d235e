# SPDX-License-Identifier: Apache-2.0
"""Nodes that come and go in a running region, by the command line, with a VM
that must not notice; and one that went and comes back.

usage: members_test.py BINARIES DESCRIPTORS [names of classes or tests]"""
import re
import subprocess
import sys
import time
import unittest

import holdfast_client
from holdfast_region import Node, Region, SECONDS, free_ports, wait_until

VOTER, STANDBY = 1, 2
REMOVED = 77  # holdfastd's exit code.


class Case(unittest.TestCase):
    def setUp(self):
        self.region = Region(sys.argv[1], snapshot_entries=100)
        self.addCleanup(self.region.close)
        self.addCleanup(self.keep_logs)
        first = self.region.nodes[0]
        wait_until(lambda: holdfast_client.answers(first.address), "n1 listens")
        holdfast_client.load_schema(sys.argv[2], first.address)
        self.leader = self.region.leader()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(self.logs, flush=True)

    def keep_logs(self):
        self.logs = self.region.logs()

    def cli(self, *words, code=0):
        """Its output; the exit code must be this one."""
        living = ",".join(node.address for node in self.region.nodes
                          if node.lives())
        done = subprocess.run(
            [f"{sys.argv[1]}/holdfast", "-e", living, *words],
            capture_output=True, text=True, timeout=2 * SECONDS, check=False,
            env={"HOME": self.region.directory, "PATH": "/usr/bin"})
        text = done.stdout + done.stderr
        self.assertEqual(done.returncode, code, f"{words}: {text}")
        return text

    def call(self, method, **fields):
        return self.region.client(self.region.leader()).call(method, fields)

    def members(self):
        return {n.name: n.membership
                for n in self.call("ClusterService/ListNodes").nodes}

    def joiner(self, number, zone):
        """A node that is to join; it does not run yet."""
        node = Node(self.region, number, free_ports(1)[0])
        node.zone = zone
        known = [*self.region.nodes, node]
        with open(node.config, "w", encoding="utf-8") as config:
            config.write(
                f"region: interop\nname: {node.name}\njoin: true\n"
                f"snapshot_entries: 100\n"
                f"data_dir: {self.region.directory}/{node.name}.data\n"
                "nodes:\n" + "".join(
                    f'- {{name: {n.name}, id: {n.number}, zone: {n.zone}, '
                    f'address: "{n.address}"}}\n' for n in known))
        return node

    def add_words(self, node):
        return ["--id", str(node.number), "--address", node.address]

    def start(self, node):
        self.region.nodes.append(node)
        node.start()

    def ends(self, node, reason):
        """The process ends by itself, and says why and what to do."""
        self.assertEqual(node.child.wait(SECONDS), REMOVED)
        with open(node.log, encoding="utf-8") as log:
            last = log.read().splitlines()[-1]
        self.assertIn("node.ends", last)
        self.assertIn(reason, last)
        self.assertIn("join as a new node", last)
        self.region.nodes.remove(node)

    def a_running_vm(self):
        """With a lease that outlasts what is done to the nodes."""
        self.call("ClusterService/UpdateSettings", settings={
            "lease_wait_ms": 60000, "lease_run_ms": 50000, "renew_ms": 1000},
            update_mask=["lease_wait_ms", "lease_run_ms", "renew_ms"])
        self.call("ZoneService/CreateZone", name="z1")
        self.call("ClassService/CreateClass", vm_class={
            "name": "small", "resources": {"cpu_milli": 100, "memory_mib": 64}})
        self.region.agent("z1-h1", "z1")
        wait_until(lambda: self.call("HostService/ListHosts").hosts, "a host")
        self.call("VmService/CreateVm", vm={
            "name": "vm", "class_name": "small", "template": {
                "driver": "DRIVER_EXEC", "command": ["/bin/sleep", "100000"]}})
        wait_until(lambda: self.vm().state == 4, "the VM runs")

    def vm(self):
        return self.call("VmService/GetVm", name="vm").vm.status

    def promoted(self, name):
        try:
            return self.call("ClusterService/PromoteNode", name=name)
        except holdfast_client.Refused as refused:
            self.assertIn(refused.reason, (
                "NODE_SILENT", "NODE_BEHIND", "MEMBERS_CHANGING", "NO_LEADER"))
            return None


class Members(Case):
    def test_a_dead_node_is_replaced(self):
        self.a_running_vm()
        dead, other = self.region.followers()
        dead.kill()
        self.region.nodes.remove(dead)
        wait_until(lambda: {n.role for n in self.call(
            "ClusterService/ListNodes").nodes} == {1, 2, 4}, "it is missed")
        # One of two live of three: what is left would be no majority.
        text = self.cli("node", "remove", other.name, code=6)
        self.assertIn("QUORUM_AT_RISK", text)
        self.assertIn(f"'{dead.name}' does not answer", text)
        text = self.cli("node", "remove", dead.name, code=6)
        self.assertIn("TOO_FEW_VOTERS", text)
        self.assertIn(f"holdfast node replace {dead.name} NEW --id 4", text)
        new = self.joiner(4, dead.zone)
        words = ["node", "replace", dead.name, new.name, *self.add_words(new)]
        text = self.cli("node", "replace", dead.name, "n4", "--id", "3",
                        "--address", new.address, code=4)
        self.assertIn("the next free one is 4", text)
        text = self.cli(*words, "--dry-run")
        self.assertIn("step 3 of 3", text)
        self.assertEqual(len(self.members()), 3)
        # It does not run yet: interrupted, and told to go on.
        text = self.cli(*words, "--wait-timeout", "1s", code=7)
        self.assertIn("does not answer", text)
        self.assertIn("goes on where this one stopped", text)
        self.assertEqual(self.members()["n4"], STANDBY)
        self.assertIn("NODE_SILENT", self.cli("node", "promote", "n4", code=6))
        self.start(new)
        text = self.cli(*words)
        self.assertIn("n4 is a member already", text)
        self.assertIn("n4 is a voter now; the region has 4", text)
        self.assertIn(f"{dead.name} is no member any more", text)
        self.assertEqual(self.members(), {
            name: VOTER for name in ("n1", "n2", "n3", "n4")
            if name != dead.name})
        # Again: nothing is left to do.
        self.assertIn("is no member any more", self.cli(*words))
        # The new one counts: with the old leader lost it is a majority.
        old = self.region.leader()
        old.kill()
        self.assertIn(self.region.leader().name, ("n4", other.name))
        old.start()
        self.region.leader()
        # The dead one comes back, and is told.
        self.region.nodes.append(dead)
        dead.start()
        self.ends(dead, "was removed")
        self.assertEqual((self.vm().state, self.vm().epoch), (4, 1))

    def test_the_leader_is_removed(self):
        new = self.joiner(7, "z9")
        self.cli("node", "add", new.name, *self.add_words(new), "--zone", "z9")
        self.start(new)
        wait_until(lambda: self.promoted("n7"), "n7 has caught up")
        leader = self.region.leader()
        text = self.cli("node", "remove", leader.name, "--dry-run")
        self.assertIn("hands over first", text)
        with self.assertRaises(holdfast_client.Refused) as refused:
            self.call("ClusterService/RemoveNode", name=leader.name)
        self.assertEqual(refused.exception.reason, "NODE_LEADS")
        text = self.cli("node", "remove", leader.name)
        self.assertIn("hands over first", text)
        self.assertIn("3 voters, a majority is 2", text)
        self.ends(leader, "was removed")
        self.assertNotIn(leader.name, self.members())
        # All start again, also by what the region says alone.
        for node in self.region.nodes:
            node.stop()
        for node in self.region.nodes:
            node.start()
        self.assertEqual(len(self.members()), 3)
        zones = {n.name: n.zone for n in
                 self.call("ClusterService/ListNodes").nodes}
        self.assertEqual(zones["n7"], "z9")

    def test_a_change_whose_leader_is_killed_is_on_record(self):
        """At any moment of it: what the records say in the end is what is, and
        the request, repeated at whoever leads then, is done once."""
        for number in range(4, 12):
            leader = self.region.leader()
            fields = {"name": f"s{number}", "id": number, "request_id":
                      f"add-{number}", "reason": "to see",
                      "address": f"127.0.0.1:{free_ports(1)[0]}"}
            client = self.region.client(leader)
            first = client.future("ClusterService/AddNode", fields)
            time.sleep(0.002 * (number - 4))
            leader.kill()
            first.exception()
            answer = wait_until(lambda f=fields: self.added(f), "it is added")
            leader.start()
            self.region.leader()
            self.assertEqual(self.added(fields), answer)
            self.check_record(fields)

    def added(self, fields):
        try:
            return self.call("ClusterService/AddNode", **fields)
        except holdfast_client.Refused as refused:
            self.assertIn(refused.reason, (
                "MEMBERS_CHANGING", "NO_LEADER", "OUTCOME_UNKNOWN", "DRAINING",
                None))
            return None

    def check_record(self, fields):
        self.assertEqual(self.members()[fields["name"]], STANDBY)
        records = [r for r in self.call(
            "AuditService/ListAuditRecords", page_size=1000).records
            if r.request_id == fields["request_id"]]
        steps = [{a.name: a.value for a in r.arguments}["step"]
                 for r in records]
        # Each that began has an end, and the last is that it was done.
        self.assertEqual(steps[0::2], ["begun"] * (len(steps) // 2), steps)
        self.assertEqual(steps[1::2], ["not done"] * (len(steps) // 2 - 1) +
                         ["done"], steps)
        self.assertEqual({(r.method, r.reason, r.caller) for r in records},
                         {("ClusterService/AddNode", "to see", "loopback")})
        listed = self.cli("audit", "list", "--object",
                          f"node/{fields['name']}")
        self.assertRegex(listed, rf"node/{fields['name']} \(begun\)")
        self.assertRegex(listed, rf"node/{fields['name']} \(done\) +to see")

    def test_a_voter_without_its_data_is_sent_away(self):
        """And so are an id that was used, a name and an address twice."""
        new = self.joiner(4, "z1")
        self.cli("node", "add", "n4", *self.add_words(new))
        self.start(new)
        wait_until(lambda: self.promoted("n4"), "n4 has caught up")
        text = self.cli("node", "add", "n5", "--id", "2", "--address",
                        "127.0.0.1:9", code=4)
        self.assertIn("NODE_ID_USED", text)
        text = self.cli("node", "add", "n1", "--id", "9", "--address",
                        "127.0.0.1:9", code=4)
        self.assertIn("NAME_TAKEN", text)
        text = self.cli("node", "add", "n9", "--id", "9", "--address",
                        new.address, code=2)
        self.assertIn("address", text)
        new.kill()
        subprocess.run(["rm", "-r", f"{self.region.directory}/n4.data"],
                       check=True)
        new.begun = False
        new.start()
        self.ends(new, "data directory is empty")


class Recovery(Case):
    def offline(self, node, *words, code=0):
        """holdfastd as a tool on a stopped node's directory."""
        done = subprocess.run(
            [f"{sys.argv[1]}/holdfastd", "--config", node.config, *words],
            capture_output=True, text=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL)
        text = done.stdout + done.stderr
        self.assertEqual(done.returncode, code, f"{words}: {text}")
        return text

    def position(self, node):
        return re.search(r"position +(\S+)", self.offline(node, "--inspect"))[1]

    def test_a_lost_quorum_is_recovered(self):
        self.a_running_vm()
        survivor = self.region.leader()
        one, two = self.region.followers()
        text = self.offline(survivor, "--inspect", code=75)
        self.assertIn("another process uses", text)
        one.kill()
        self.call("ZoneService/CreateZone", name="z2")
        two.kill()
        wait_until(lambda: not self.region.status(survivor).quorum, "no quorum")
        survivor.stop()
        text = self.offline(survivor, "--inspect")
        self.assertIn("generation 1", text)
        self.assertIn(f"{one.name}, id {one.number}, voter", text)
        # Only with a word on each of the others, and only if it is the newest.
        for words, why in (
                ([], "who is dead?"),
                (["--dead", "n9"], "'n9' is no other member"),
                (["--dead", one.name], f"nothing is said of {two.name}"),
                (["--dead", one.name, "--survivor", f"{two.name}=99/99"],
                 f"{two.name} is ahead"),
                (["--dead", one.name, "--survivor", self.position(two)],
                 "2 of 3 voters survive")):
            self.assertIn(why, self.offline(survivor, "--recover", *words,
                                            code=1))
        self.assertIn(f"{survivor.name} is ahead", self.offline(
            one, "--recover", "--dead", two.name, "--survivor",
            self.position(survivor), code=1))
        text = self.offline(survivor, "--recover", "--dead",
                            f"{one.name},{two.name}")
        self.assertIn("generation 2", text)
        self.assertIn("holdfast node add NAME --id 4", text)
        self.region.nodes.remove(one)
        self.region.nodes.remove(two)
        survivor.start()
        self.assertIs(self.region.leader(), survivor)
        self.assertEqual(self.members(), {survivor.name: VOTER})
        self.assertIn("Generation:   2 (recovered)",
                      self.cli("cluster", "status"))
        self.assertEqual(len(self.call("ZoneService/ListZones").zones), 2)
        # The dead come back, as the majority that they were.
        for node in (one, two):
            self.region.nodes.append(node)
            node.start()
        for node in (one, two):
            self.ends(node, "recovered without this node")
        for number in (4, 5):
            new = self.joiner(number, f"z{number}")
            self.cli("node", "add", new.name, *self.add_words(new))
            self.start(new)
            wait_until(lambda: self.promoted(new.name), "it has caught up")
        survivor.kill()
        self.region.leader()
        survivor.start()
        self.region.leader()
        wait_until(lambda: self.vm().state == 4, "the VM runs")
        self.assertEqual(self.vm().epoch, 1)
        self.assertEqual(self.region.status(survivor).generation, 2)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
