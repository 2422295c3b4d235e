# SPDX-License-Identifier: Apache-2.0
"""What clients are told when nodes fail, stand still or go, and at limits."""
import signal
import socket
import struct
import time

from api_case import RegionCase
from holdfast_client import Refused, first_error
from holdfast_region import wait_until

CREATE_ZONE = "ZoneService/CreateZone"
CORDON_ZONE = "ZoneService/CordonZone"


class Outages(RegionCase):
    HOSTS = False

    def tearDown(self):
        for node in self.region.nodes:
            if node.lives():
                node.signal(signal.SIGCONT)
            else:
                node.start()
        self.region.leader()

    def test_without_a_quorum_nothing_is_decided(self):
        survivor, *lost = self.region.nodes
        for node in lost:
            node.kill()
        client = self.region.client(survivor)
        wait_until(lambda: not self.status(client).leader, "no leader")
        refusal = self.refused(CREATE_ZONE, {"name": "never"}, "UNAVAILABLE",
                               "NO_LEADER", "", client)
        self.assertGreater(int(refusal.retry_ms), 0)
        self.refused("ZoneService/ListZones", {}, "UNAVAILABLE", "NO_LEADER",
                     "", client)
        self.refused("ClusterService/TransferLeadership", {}, "UNAVAILABLE",
                     "NO_LEADER", "", client)
        # What needs none is answered still.
        self.assertFalse(self.status(client).quorum)
        zones = client.call("ZoneService/ListZones",
                            {"consistency": "CONSISTENCY_STALE"}).zones
        self.assertLessEqual({"z1", "z2", "z3"}, {z.name for z in zones})
        health = client.call("grpc.health.v1.Health/Check", {})
        self.assertEqual(health.status, 2)
        for node in lost:
            node.start()
        self.region.leader()
        # Its connection to the leader may take a moment more.
        wait_until(lambda: self.region.serves(survivor), "the survivor serves")
        self.refused("ZoneService/GetZone", {"name": "never"}, "NOT_FOUND",
                     "ZONE_NOT_FOUND", "", client)

    def test_change_of_open_outcome_is_made_once(self):
        """Its followers stand still: the leader cannot know whether what it
        wrote will count."""
        followers = self.region.followers()
        for node in followers:
            node.freeze()
        zone = {"name": "open", "request_id": "open-1"}
        refusal = self.refused(CREATE_ZONE, zone, "UNAVAILABLE",
                               "OUTCOME_UNKNOWN", "request_id")
        self.assertGreater(int(refusal.retry_ms), 0)
        for node in followers:
            node.signal(signal.SIGCONT)
        client = self.region.client(self.region.leader())
        answer = self.ok(CREATE_ZONE, zone, client)
        self.assertEqual(self.ok(CREATE_ZONE, zone, client), answer)

    def test_leader_that_dies_takes_no_answer_along(self):
        """A call on its way through a follower ends, and says how."""
        leader = self.region.leader()
        leader.freeze()
        call = self.follower.future(CREATE_ZONE, {
            "name": "late", "request_id": "late-1"})
        time.sleep(0.1)  # So that the call is under way; else NO_LEADER.
        leader.kill()
        refusal = Refused(call.exception())
        self.assertEqual(refusal.code, "UNAVAILABLE")
        self.assertIn(refusal.reason, ("OUTCOME_UNKNOWN", "NO_LEADER"))
        client = self.region.client(self.region.leader())
        self.ok(CREATE_ZONE, {"name": "late", "request_id": "late-1"}, client)

    def test_leader_that_hangs_is_given_up(self):
        """Its kernel still takes what is sent to it."""
        for attempt in range(10):  # Until the call is faster than the vote.
            leader = self.region.leader()
            follower = self.region.client(self.region.followers()[0])
            leader.freeze()
            zone = {"name": f"hung-{attempt}", "request_id": f"hung-{attempt}"}
            error = follower.future(CREATE_ZONE, zone).exception()
            leader.signal(signal.SIGCONT)
            client = self.region.client(self.region.leader())
            answer = self.ok(CREATE_ZONE, zone, client)
            self.assertEqual(self.ok(CREATE_ZONE, zone, client), answer)
            if error is not None and "ping" in error.details():
                break
        self.check_refusal(CREATE_ZONE, Refused(error), "UNAVAILABLE",
                           "OUTCOME_UNKNOWN", "ping")

    def test_leadership_is_not_handed_to_a_node_that_stands_still(self):
        node = self.region.followers()[0]
        node.freeze()
        self.refused("ClusterService/TransferLeadership", {"node": node.name},
                     "FAILED_PRECONDITION", "TRANSFER_REFUSED", "")

    def test_node_that_goes_says_so(self):
        for node in (self.region.followers()[0], self.region.leader()):
            stream = self.region.client(node).stream("WatchService/Watch", {})
            next(stream)
            node.signal(signal.SIGTERM)
            self.check_refusal("WatchService/Watch", first_error(stream),
                               "UNAVAILABLE", "DRAINING", "another node")
            self.assertEqual(node.child.wait(60), 0)
            self.region.leader()
            node.start()

    def test_all_is_there_after_a_restart_of_all(self):
        answer = self.ok(CREATE_ZONE, {"name": "kept", "request_id": "kept"})
        for node in self.region.nodes:
            node.kill()
        for node in self.region.nodes:
            node.start()
        client = self.region.client(self.region.leader())
        again = self.ok(CREATE_ZONE, {"name": "kept", "request_id": "kept"},
                        client)
        self.assertEqual(again, answer)


class Flood:
    """Raw HTTP/2: many calls of one method at once, sent and not waited for.
    A stock client would be too slow to fill a lane."""
    CALLS = 256  # On one connection, as the server allows.

    def __init__(self, address, path, message):
        host, port = address.split(":")
        self.calls = b"".join(self.call(2 * i + 1, path, message)
                              for i in range(self.CALLS))
        self.socket = socket.create_connection((host, int(port)))
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                            + self.frame(4, 0, 0, b""))
        self.socket.recv(1000)  # The server's settings.

    @staticmethod
    def frame(kind, flags, stream, payload):
        return (struct.pack(">I", len(payload))[1:]
                + struct.pack(">BBI", kind, flags, stream) + payload)

    def call(self, stream, path, message):
        headers = b"".join(
            b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
            for name, value in ((b":method", b"POST"), (b":scheme", b"http"),
                                (b":path", path), (b":authority", b"x"),
                                (b"te", b"trailers"),
                                (b"content-type", b"application/grpc")))
        body = b"\x00" + struct.pack(">I", len(message)) + message
        return (self.frame(1, 4, stream, headers)
                + self.frame(0, 1, stream, body))

    def send(self):
        self.socket.sendall(self.calls)

    def close(self):
        self.socket.close()


class Limits(RegionCase):
    NODES = 1
    HOSTS = False
    SETTINGS = {"watch_events": 1000}

    def test_watch_of_what_is_no_longer_kept_is_out_of_range(self):
        for _ in range(6):
            calls = [self.leader.future(f"ZoneService/{verb}Zone",
                                        {"name": "z1"})
                     for verb in ("Cordon", "Uncordon") * 100]
            for call in calls:
                call.result()
        last = self.status().revision
        self.assertGreater(last, 1200)
        stream = self.leader.stream("WatchService/Watch",
                                    {"after_revision": last - 1001})
        self.check_refusal("WatchService/Watch", first_error(stream),
                           "OUT_OF_RANGE", "WATCH_COMPACTED",
                           f"{last - 1001}")
        # The oldest that is kept is the one after.
        stream = self.leader.stream("WatchService/Watch",
                                    {"after_revision": last - 1000})
        revisions = []
        while len(revisions) < 1000:
            revisions += [e.revision for e in next(stream).events]
        self.assertEqual(revisions, list(range(last - 999, last + 1)))
        stream.cancel()

    def test_zones_are_limited(self):
        count = len(self.ok("ZoneService/ListZones", {}).zones)
        for _ in range(count, 64):
            self.ok(CREATE_ZONE, {"name": self.name("zone")})
        self.refused(CREATE_ZONE, {"name": "one-more"}, "RESOURCE_EXHAUSTED",
                     "TABLE_FULL", "64")

    def flooded_call(self, pause):
        """Cordons z1 while more wait than a lane takes; the error, or None.
        The node stands still until all has come, and our call is the last in
        its queue, if it left within the pause."""
        node = self.region.nodes[0]
        message = self.leader.request(CORDON_ZONE, {"name": "none"})
        floods = [Flood(node.address, f"/holdfast.v1.{CORDON_ZONE}".encode(),
                        message.SerializeToString()) for _ in range(72)]
        self.status()  # Our connection stands, too.
        node.freeze()
        for flood in floods:
            flood.send()
        call = self.leader.future(CORDON_ZONE, {"name": "z1"})
        time.sleep(pause)
        node.signal(signal.SIGCONT)
        error = call.exception()
        for flood in floods:
            flood.close()
        return error

    def test_full_lane_is_told(self):
        for pause in (0.2, 0.5, 1, 2, 4):
            error = self.flooded_call(pause)
            if error is not None:
                break
            self.ok("ZoneService/UncordonZone", {"name": "z1"})
        refusal = self.check_refusal(CORDON_ZONE, Refused(error),
                                     "RESOURCE_EXHAUSTED", "LANE_FULL", "")
        self.assertGreater(int(refusal.retry_ms), 0)
        # It was not done, and goes through now.
        self.assertFalse(self.ok("ZoneService/GetZone",
                                 {"name": "z1"}).zone.cordoned)
        self.ok(CORDON_ZONE, {"name": "z1"})
        self.ok("ZoneService/UncordonZone", {"name": "z1"})
