# SPDX-License-Identifier: Apache-2.0
"""Changes of the region's members, as far as they need no other node: what runs
and joins is members_test.py's."""
import signal

from api_case import RegionCase
from holdfast_client import Refused
from holdfast_region import free_ports, wait_until

ADD = "ClusterService/AddNode"
PROMOTE = "ClusterService/PromoteNode"
REMOVE = "ClusterService/RemoveNode"
STANDBY, UNREACHABLE = 2, 4


class Members(RegionCase):
    HOSTS = False

    def new(self, **fields):
        number = next(self.numbers) + 100
        return {"name": f"new-{number}", "id": number, "zone": "z1",
                "address": f"127.0.0.1:{free_ports(1)[0]}", **fields}

    def nodes(self):
        return {n.name: n for n in self.ok("ClusterService/ListNodes",
                                           {}).nodes}

    def test_add_and_remove(self):
        new = self.new()
        self.assertEqual(self.ok(ADD, {**new, "dry_run": True}).node.name,
                         new["name"])
        self.assertNotIn(new["name"], self.nodes())
        asked = self.ok("ClusterService/ListNodes", {}).members_revision
        self.assertGreater(asked, 0)
        answer = self.mutate(ADD, new)
        self.assertEqual((answer.node.name, answer.node.id,
                          answer.node.membership),
                         (new["name"], new["id"], STANDBY))
        self.assertIn("promote", answer.note)
        self.assertIn("already", self.ok(ADD, new).note)
        wait_until(lambda: all(
            new["name"] in {n.name for n in client.call(
                "ClusterService/ListNodes", {}).nodes}
            for client in self.followers), "all know it")
        self.refused(PROMOTE, {"name": new["name"]}, "FAILED_PRECONDITION",
                     "NODE_SILENT", new["name"])
        self.refused(REMOVE, {"name": new["name"], "expect_revision": asked},
                     "ABORTED", "REVISION_CONFLICT", str(asked))
        asked = self.ok("ClusterService/ListNodes", {}).members_revision
        self.fails(REMOVE, {"name": new["name"], "reason": "x" * 256},
                   "reason")
        self.ok(REMOVE, {"name": new["name"], "expect_revision": asked,
                         "dry_run": True})
        self.assertEqual(self.mutate(REMOVE, {
            "name": new["name"], "reason": "a trial"}).node.name, new["name"])
        self.check_records(new["name"])
        self.refused(REMOVE, {"name": new["name"]}, "NOT_FOUND",
                     "NODE_NOT_FOUND", new["name"])
        # Its id is used for good.
        self.refused(ADD, new, "ALREADY_EXISTS", "NODE_ID_USED",
                     str(new["id"] + 1))
        self.assertEqual(self.status().generation, 1)

    def check_records(self, name):
        """Who, when, under which request id, and the members before and after;
        each change begun, and done."""
        records = [r for r in self.ok("AuditService/ListAuditRecords",
                                      {}).records if r.object_name == name]
        told = [(r.method, {a.name: a.value for a in r.arguments}["step"])
                for r in records]
        self.assertEqual(told, [(ADD, "begun"), (ADD, "done"),
                                (REMOVE, "begun"), (REMOVE, "done")])
        for begun, done in (records[:2], records[2:]):
            self.assertEqual((begun.caller, begun.object_kind,
                              len(begun.changes)), ("loopback", "node", 0))
            self.assertTrue(begun.request_id.startswith("request-"))
            self.assertEqual((done.request_id, done.reason),
                             (begun.request_id, begun.reason))
            self.assertGreaterEqual(done.time_ms, begun.time_ms)
        self.assertEqual(records[3].reason, "a trial")
        changes = [{c.field: (c.before, c.after) for c in r.changes}
                   for r in records]
        self.assertEqual(changes[1], {"standbys": ("", name),
                                      f"members.{name}": ("", "standby")})
        self.assertEqual(changes[3], {"standbys": (name, ""),
                                      f"members.{name}": ("standby", "")})

    def test_wrong_fields_are_named(self):
        for field, value in (("name", "No"), ("name", ""), ("zone", "a b"),
                             ("id", 0), ("id", 1 << 63), ("address", "n4:1"),
                             ("address", self.region.nodes[0].address)):
            self.fails(ADD, self.new(**{field: value}), field)
        self.refused(ADD, self.new(name="n1"), "ALREADY_EXISTS", "NAME_TAKEN",
                     "n1")
        self.fails(PROMOTE, {}, "name")
        self.fails(REMOVE, {"name": "-"}, "name")

    def test_what_would_cost_the_quorum_is_refused(self):
        leader = self.status().leader
        self.refused(REMOVE, {"name": leader}, "FAILED_PRECONDITION",
                     "NODE_LEADS", "cluster transfer")
        silent, other = self.region.followers()
        self.refused(REMOVE, {"name": other.name}, "FAILED_PRECONDITION",
                     "TOO_FEW_VOTERS", "node replace")
        silent.freeze()
        try:
            wait_until(lambda: self.nodes()[silent.name].role == UNREACHABLE,
                       "its silence counts")
            self.refused(REMOVE, {"name": other.name,
                                  "allow_fewer_voters": True},
                         "FAILED_PRECONDITION", "QUORUM_AT_RISK", silent.name)
        finally:
            silent.signal(signal.SIGCONT)
        self.assertIn("already", self.mutate(PROMOTE,
                                             {"name": other.name}).note)
        self.region.leader()

    def test_one_change_waits_for_another(self):
        for _ in range(20):  # Until both come before the leader gives up.
            self.setUp()
            followers = self.region.followers()
            for node in followers:
                node.freeze()
            first = self.leader.future(ADD, self.new())
            refusal = Refused(self.leader.future(ADD, self.new()).exception())
            for node in followers:
                node.signal(signal.SIGCONT)
            error = first.exception()
            if error is not None:  # Or it was committed in the end.
                self.assertIn(Refused(error).reason,
                              ("OUTCOME_UNKNOWN", "NO_LEADER"))
            self.region.leader()
            if refusal.reason == "MEMBERS_CHANGING":
                break
        self.check_refusal(ADD, refusal, "ABORTED", "MEMBERS_CHANGING",
                           "another change".capitalize())
