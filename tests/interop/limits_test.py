# SPDX-License-Identifier: Apache-2.0
"""What one caller may ask of a node, over mutual TLS: the one who asks too much
is told so, and others do not feel it.

usage: limits_test.py BINARIES DESCRIPTORS"""
import shutil
import sys
import tempfile
import time
import unittest

import grpc
import holdfast_client
from holdfast_client import Refused
from holdfast_region import wait_until
from http_test import metrics, value
from raw_http2 import (DATA, END_HEADERS, HEADERS, PING, SETTINGS,
                       WINDOW_UPDATE, Wire, frame, request)
from secure_region import Pki, listens
from threat_case import Field, ThreatRegion, context_of

BINARIES, STANDARD = sys.argv.pop(1), sys.argv.pop(1)
RATE, STREAMS, MIB = 50, 3, 8
LIST = "ZoneService/ListZones"
STALE = {"consistency": "CONSISTENCY_STALE"}


class LimitedRegion(ThreatRegion):
    def write_config(self, node, settings):
        super().write_config(node, {**settings, "caller_limits": (
            f"{{calls_per_second: {RATE}, streams: {STREAMS}, mib: {MIB}}}")})

    def status(self, node):
        """Asked for less often than a caller may ask."""
        time.sleep(5 / RATE)
        return super().status(node)


def patiently(call):
    """A caller that is well comes again when it was told to."""
    def once():
        try:
            return call() or True
        except Refused as refused:
            assert refused.reason == "OVER_LIMIT", refused
            return None
    return wait_until(once, "the call is let in")


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="hf-limits-")
        cls.pki = Field.pki = Pki(BINARIES, cls.directory)
        # Each test has a caller of its own, and one who is well.
        for name in ("anna", "bert", "rate", "follow", "watch", "bytes"):
            cls.pki.issue("client", name)
        cls.region = LimitedRegion(cls.pki)
        first = cls.region.nodes[0].address
        wait_until(lambda: listens(first), "a node listens")
        holdfast_client.schema = holdfast_client.Schema(
            STANDARD, first, cls.pki.credentials("bert"))
        cls.leader = cls.region.leader()
        patiently(lambda: cls.region.client(cls.leader).call(
            "ZoneService/CreateZone", {"name": "z1"}))
        cls.region.agent("h1", "z1")

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"=== {self.id()}\n{self.region.logs()}", flush=True)

    @classmethod
    def tearDownClass(cls):
        cls.region.close()
        shutil.rmtree(cls.directory)

    def client(self, name, node=None, token=None):
        client = holdfast_client.Client(
            (node or self.leader).address, self.pki.credentials(name), token)
        self.addCleanup(client.close)
        grpc.channel_ready_future(client.channel).result(30)
        return client

    def flood(self, client, fields):
        """Many calls at once; the refusals."""
        futures = [client.future(LIST, fields) for _ in range(20 * RATE)]
        refusals = []
        for future in futures:
            error = future.exception()
            if error is not None:
                refusals.append(Refused(error))
        return refusals

    def check_flood(self, client, fields):
        refusals = self.flood(client, fields)
        self.assertGreater(len(refusals), 0)
        for refused in refusals:
            self.assertEqual((refused.code, refused.reason),
                             ("RESOURCE_EXHAUSTED", "OVER_LIMIT"))
            # With RetryInfo, which says the same (holdfast_client.py).
            self.assertIn(int(refused.retry_ms), range(1, 1001))
            self.assertIn(f"{RATE} calls a second", refused.text)

    def count(self, limit, node=None):
        return value(metrics(node or self.leader),
                     "holdfast_rpc_calls_limited_total", limit=limit)

    def test_calls_beyond_the_rate_are_told_when_to_come_again(self):
        before = self.count("rate")
        well = self.client("bert")
        patiently(lambda: well.call(LIST, {}))
        client = self.client("rate")
        self.check_flood(client, {})
        patiently(lambda: client.call(LIST, {}))
        # The other one had his own all the time.
        self.assertTrue(well.call(LIST, {}).zones)
        self.assertGreater(self.count("rate"), before)

    def test_a_follower_limits_as_well(self):
        node = self.region.followers()[0]
        client = self.client("follow", node)
        self.check_flood(client, {})
        self.check_flood(client, STALE)
        self.assertGreater(self.count("rate", node), 0)

    def test_watches_beyond_the_limit_are_refused(self):
        client = self.client("watch")
        watches = []
        for _ in range(STREAMS):
            watches.append(client.stream("WatchService/Watch", {}))
            next(watches[-1])
        refused = holdfast_client.first_error(
            client.stream("WatchService/Watch", {}))
        self.assertEqual((refused.code, refused.reason),
                         ("RESOURCE_EXHAUSTED", "OVER_LIMIT"))
        self.assertIn(f"{STREAMS} open watches", refused.text)
        patiently(lambda: client.call(LIST, {}))
        other = self.client("bert").stream("WatchService/Watch", {})
        next(other)
        other.cancel()
        watches.pop().cancel()

        def opens():
            stream = client.stream("WatchService/Watch", {})
            try:
                return next(stream) is not None
            except grpc.RpcError:
                return False
            finally:
                stream.cancel()
        wait_until(opens, "the place is free again")
        for watch in watches:
            watch.cancel()
        self.assertGreaterEqual(self.count("streams"), 1)

    def test_bytes_under_way_are_bounded_over_all_connections(self):
        """Messages that are nearly sent, on connections of their own."""
        before = self.count("bytes")
        wires = []
        for _ in range(3):
            wires.append(Wire(self.leader.address,
                                          context_of("bytes")))
            self.addCleanup(wires[-1].close)
        self.assertTrue(feed(wires[0], 3900 << 10))
        self.assertTrue(feed(wires[1], 3900 << 10))
        self.assertFalse(feed(wires[2], 3900 << 10))
        answer = wires[2].answers[1]
        self.assertEqual((answer["grpc-status"], answer["holdfast-reason"]),
                         ("8", "OVER_LIMIT"))
        self.assertIn("grpc-status-details-bin", answer)
        self.assertEqual(self.count("bytes"), before + 1)
        # Others have their own; and so has he, when one is gone.
        patiently(lambda: self.client("bert").call(LIST, {}))
        wires[0].close()

        def fits():
            wire = Wire(self.leader.address, context_of("bytes"))
            self.addCleanup(wire.close)
            return feed(wire, 3900 << 10)
        wait_until(fits, "there is room again")

    def test_guessed_tokens_make_nobody_new(self):
        """All of an address are one caller, whatever they guess."""
        client = self.client(None)
        before = value(metrics(self.leader), "holdfast_rpc_callers")
        codes = set()
        stub = client.stub(LIST)
        futures = [stub.future(client.request(LIST, {}), metadata=[
            ("authorization", f"Bearer hf_{guess:064x}")], timeout=60)
            for guess in range(20 * RATE)]
        for future in futures:
            codes.add(future.exception().code().name)
        self.assertEqual(codes, {"UNAUTHENTICATED", "RESOURCE_EXHAUSTED"})
        after = value(metrics(self.leader), "holdfast_rpc_callers")
        self.assertLessEqual(after - before, 5)

    def test_agents_and_nodes_are_not_limited(self):
        """The host renews once a second, and nodes send far more than the
        rate: all goes on as ever."""
        client = self.client("bert")
        wait_until(lambda: patiently(lambda: client.call(
            "HostService/ListHosts", {})).hosts, "the host is there")
        host = patiently(lambda: client.call("HostService/ListHosts",
                                             {})).hosts[0]
        self.assertTrue(host.lease.connected)
        for node in self.region.nodes:
            with open(node.log, encoding="utf-8", errors="replace") as log:
                for line in log:
                    if "OVER_LIMIT" in line:
                        self.assertNotIn("PeerService", line)
                        self.assertNotIn("AgentService", line)


def feed(wire, size):
    """Sends so much of a message that is a little longer, as the node's
    windows let it; whether the node took all of it."""
    wire.send(frame(HEADERS, END_HEADERS, 1, request(
        "/holdfast.v1.ManifestService/ApplyManifest")))
    data = b"\0\0\x3f\xff\xff" + bytes(size)
    windows, first = {0: 65535, 1: 0}, 65535
    while data:
        most = min(windows[0], windows[1] + first, 16384)
        if most > 0:
            wire.send(frame(DATA, 0, 1, data[:most]))
            data = data[most:]
            windows = {key: left - most for key, left in windows.items()}
            continue
        got = wire.next()
        if got is None or 1 in wire.answers:
            while "grpc-status" not in wire.answers[1]:
                wire.next()
            return False
        if got[0] == WINDOW_UPDATE:
            windows[got[2]] += int.from_bytes(got[3], "big")
        elif got[0] == SETTINGS and not got[1] & 1:
            for at in range(0, len(got[3]), 6):
                if got[3][at:at + 2] == b"\0\4":
                    first = int.from_bytes(got[3][at + 2:at + 6], "big")
    return wire_took_all(wire)


def wire_took_all(wire):
    """The node has read what was sent when it answers a ping behind it."""
    wire.send(frame(PING, 0, 0, b"all-read"))
    while True:
        got = wire.next()
        if got is None or 1 in wire.answers:
            return False
        if got[0] == PING and got[3] == b"all-read":
            return True


if __name__ == "__main__":
    unittest.main(verbosity=2)
