# SPDX-License-Identifier: Apache-2.0
"""`holdfast doctor` against live nodes: one that is well, and what it says when
a host is cordoned, a node killed, the quorum lost; and over TLS, of certificates
and roles.

usage: doctor_test.py BINARIES DESCRIPTORS [unittest options]"""
import json
import subprocess
import sys
import tempfile
import unittest

import holdfast_client
from fake_host import FakeHost
from holdfast_region import Region, wait_until
from secure_region import Pki, SecureRegion, listens

BINARIES, DESCRIPTORS = sys.argv[1:3]
ZONES = ("z1", "z2", "z3")
OK, NOTE, WARNING, CRITICAL = "ok", "note", "warning", "critical"


def doctor(endpoints, *options, environment=None):
    """(exit code, report)."""
    done = subprocess.run(
        [f"{BINARIES}/holdfast", "--endpoint", endpoints, "doctor", "-o",
         "json", *options], capture_output=True, text=True, timeout=60,
        check=False, env=environment)
    assert done.stdout, (done.returncode, done.stderr)
    return done.returncode, json.loads(done.stdout)


def found(report, check, severity):
    """Sentences of the check's findings of that severity."""
    return [f["subject"] + ": " + f["found"] for f in report["findings"]
            if f["id"] == check and f["severity"] == severity]


class Watch:
    """A list with --watch, line by line."""

    def __init__(self, *arguments):
        self.child = subprocess.Popen(
            [f"{BINARIES}/holdfast", *arguments, "--watch"],
            stdout=subprocess.PIPE, text=True)

    def until(self, *words):
        for line in self.child.stdout:
            if all(word in line.split() for word in words):
                return line
        raise AssertionError(f"it ended without {words}")

    def close(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def is_well(report):
    """But for what is measured: a busy machine is slow."""
    return all(f["severity"] == OK for f in report["findings"]
               if f["id"] not in ("clocks", "round-trips", "disks"))


class Live(unittest.TestCase):
    def setUp(self):
        self.region = Region(BINARIES)
        self.addCleanup(self.region.close)
        first = self.region.nodes[0].address
        wait_until(lambda: holdfast_client.answers(first), "a node")
        holdfast_client.load_schema(DESCRIPTORS, first)
        client = self.region.client(self.region.leader())
        for zone in ZONES:
            client.call("ZoneService/CreateZone", {"name": zone})
        version = client.call("ClusterService/GetStatus", {}).version
        self.hosts = {zone: FakeHost(client, f"h-{zone}", zone,
                                     agent_version=version)
                      for zone in ZONES}
        for host in self.hosts.values():
            self.addCleanup(host.close)
        self.all = ",".join(node.address for node in self.region.nodes)

    def until(self, good, endpoints=None):
        """The first report that is as wanted."""
        def ask():
            code, report = doctor(endpoints or self.all)
            return (code, report) if good(report) else None
        return wait_until(ask, "a report as wanted")

    def test_a_region_that_is_well_then_less_and_less(self):
        code, report = self.until(is_well)
        self.assertEqual(code, int(report["severity"] == CRITICAL))
        self.assertEqual(report["region"], "interop")
        ids = [f["id"] for f in report["findings"]]
        self.assertLessEqual({"quorum", "nodes", "renewals", "headroom"},
                             set(ids))
        self.assertIn("3 nodes answer", found(report, "nodes", OK)[0])
        # Measured by the nodes themselves, so not at once.
        client = self.region.client(self.region.leader())
        wait_until(lambda: sum(
            node.HasField("round_trip") and node.round_trip.count > 0
            for node in client.call("ClusterService/ListNodes", {}).nodes) == 2,
            "round trips to both others")
        status = client.call("ClusterService/GetStatus", {})
        self.assertGreater(status.disk.count, 0)
        self.assertGreaterEqual(status.disk.max_us, status.disk.mean_us)
        self.assertEqual(status.state_format, 4)
        # One endpoint leads to all of them.
        code, report = doctor(self.region.nodes[1].address)
        self.assertIn("3 nodes answer", found(report, "nodes", OK)[0])
        self.lint_against_it()
        self.cordon_a_host()
        self.lose_a_node()
        self.lose_the_quorum()

    def lint_against_it(self):
        """`lint --live` knows what is in the region, and changes nothing."""
        text = ("zones: [{name: z1}, {name: z2}, {name: z3}]\n"
                "vms:\n- name: a\n  class_name: small\n  zone: z1\n"
                "- name: b\n  class_name: small\n  priority: 1\n"
                "  host_selector: {rack: a}\n")

        def lint(*options):
            done = subprocess.run(
                [f"{BINARIES}/holdfast", "--endpoint", self.all, "lint", "-f",
                 "-", "-o", "name", *options], input=text, text=True,
                capture_output=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            return done.stdout.split()
        self.assertEqual(lint(), ["vm-one-zone", "headroom"])
        self.assertEqual(lint("--live"), [
            "unknown-class", "vm-one-zone", "unknown-class",
            "selector-no-host", "headroom"])

    def cordon_a_host(self):
        client = self.region.client(self.region.leader())
        client.call("HostService/CordonHost", {"name": "h-z2"})
        code, report = doctor(self.all, "--fail-on", "note")
        self.assertEqual(code, 1)
        self.assertEqual(found(report, "hosts", NOTE),
                         [": 1 host is cordoned: h-z2"])

    def lose_a_node(self):
        lost = self.region.followers()[0]
        watch = Watch("cluster", "nodes", "--endpoint",
                      self.region.leader().address)
        self.addCleanup(watch.close)
        watch.until(lost.name, "follower")
        lost.kill()
        watch.until(lost.name, "unreachable")
        # As another endpoint tells of it.
        code, report = self.until(lambda r: found(r, "nodes", CRITICAL),
                                  self.region.leader().address)
        self.assertEqual(code, 1)
        told, = found(report, "nodes", CRITICAL)
        self.assertIn(f"node {lost.name}: does not answer ({lost.address}: ",
                      told)
        self.assertIn("one more and the region stops", told)

    def lose_the_quorum(self):
        follower, = [node for node in self.region.followers() if node.lives()]
        leader = self.region.leader()
        follower.kill()
        code, report = self.until(lambda r: found(r, "quorum", CRITICAL),
                                  leader.address)
        self.assertEqual(code, 1)
        self.assertIn("no node knows a leader",
                      found(report, "quorum", CRITICAL)[0])
        self.assertTrue(found(report, "region", WARNING))


class Secure(unittest.TestCase):
    def test_certificates_and_roles(self):
        with tempfile.TemporaryDirectory() as directory:
            pki = Pki(BINARIES, directory)
            pki.issue("client", "anna")
            pki.issue("client", "ben", "--days", "20")
            region = SecureRegion(pki)
            self.addCleanup(region.close)
            first = region.nodes[0].address
            wait_until(lambda: listens(first), "a node listens")
            holdfast_client.schema = holdfast_client.Schema(
                DESCRIPTORS, first, pki.credentials("anna"))
            region.leader()
            endpoints = ",".join(node.address for node in region.nodes)
            options = {name: ("--tls-ca", pki.path("ca/node-ca.crt"),
                              "--tls-cert", pki.path(f"{name}.crt"),
                              "--tls-key", pki.path(f"{name}.key"))
                       for name in ("anna", "ben")}
            _, report = doctor(endpoints, *options["anna"])
            self.assertTrue(found(report, "certificates", OK), report)
            self.assertIn("there is no grant", found(report, "access", NOTE)[0])
            _, report = doctor(endpoints, *options["ben"])
            told, = found(report, "certificates", WARNING)
            self.assertRegex(told, "this client: the certificate ends in "
                                   "(19|20) days")
            self.check_agents(region, endpoints, options["anna"])
            watch = Watch("grant", "list", "--endpoint", endpoints,
                          *options["anna"])
            self.addCleanup(watch.close)
            watch.until("NAME")
            client = region.client(region.leader())
            client.call("AccessService/CreateGrant", {"grant": {
                "name": "anna", "subject_kind": 1, "client": "anna",
                "role": 3}})
            watch.until("anna", "admin")
            _, report = doctor(endpoints, *options["anna"])
            self.assertIn("only one administrator's",
                          found(report, "access", NOTE)[0])


    def check_agents(self, region, endpoints, options):
        """Of each agent the leader knows when its certificate ends, also of
        one whose session another node passes on."""
        client = region.client(region.leader())
        for zone in ZONES:
            client.call("ZoneService/CreateZone", {"name": zone})
        region.pki.issue("agent", "h1", "--days", "5")
        region.pki.issue("agent", "h2", "--days", "3")
        for node, host in zip((region.leader(), region.followers()[0]),
                              ("h1", "h2")):
            everyone, region.nodes = region.nodes, [node]
            region.agent(host, node.zone)  # It knows this node alone.
            region.nodes = everyone
        wait_until(lambda: len([
            host for host in client.call("HostService/ListHosts", {}).hosts
            if host.lease.certificate_end_time_ms]) == 2, "both agents")
        _, report = doctor(endpoints, *options)
        told, = found(report, "certificates", CRITICAL)
        self.assertRegex(told, "agent of h2 and 1 more: .* ends in (2|3) days")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
