# SPDX-License-Identifier: Apache-2.0
"""Grants and tokens. Over loopback without TLS who shows no token may do
everything; who shows one has its role."""
import base64
import glob
import hashlib
import os

import threading
import time

import holdfast_client
from api_case import RegionCase, vm_of
from holdfast_client import Refused
from holdfast_region import wait_until

CREATE = "AccessService/CreateGrant"
UPDATE = "AccessService/UpdateGrant"
DELETE = "AccessService/DeleteGrant"


def secret(number):
    return f"hf_{number:064x}"


def grant_of(grant_name, **fields):
    return {"grant": {"name": grant_name, **fields}}


def client_grant(grant_name, role, **fields):
    return grant_of(grant_name, subject_kind="SUBJECT_KIND_CLIENT",
                    client=grant_name, role=f"ACCESS_ROLE_{role}", **fields)


def token_grant(grant_name, role, text, **fields):
    digest = hashlib.sha256(text.encode()).digest()
    return grant_of(grant_name, subject_kind="SUBJECT_KIND_TOKEN",
                    role=f"ACCESS_ROLE_{role}",
                    secret_sha256=base64.b64encode(digest).decode(), **fields)


class Access(RegionCase):
    @classmethod
    def fill(cls):
        super().fill()
        cls.clients = []

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients:
            client.close()
        super().tearDownClass()

    def by_token(self, text, node=None):
        node = node or self.region.leader()
        client = holdfast_client.Client(node.address, token=text)
        self.clients.append(client)
        return client

    def by_known_token(self, text, node):
        """A follower may hear of it a moment later than who made it."""
        client = self.by_token(text, node)
        wait_until(lambda: self.is_known(client), "the token is known")
        return client

    @staticmethod
    def is_known(client):
        try:
            return client.call("ClusterService/GetStatus", {})
        except Refused:
            return None

    def test_a_grants_of_clients(self):
        """First, while there is none."""
        self.refused(CREATE, client_grant("vera", "VIEWER"),
                     "FAILED_PRECONDITION", "FIRST_GRANT", "admin")
        root = self.mutate(CREATE, client_grant("root", "ADMIN")).grant
        self.assertEqual((root.client, root.role), ("root", 3))
        self.refused(CREATE, client_grant("root", "ADMIN"), "ALREADY_EXISTS",
                     "NAME_TAKEN", "root")
        self.fails(CREATE, client_grant("x", "ADMIN", zones=["z1"]),
                   "grant.zones")
        self.fails(CREATE, {}, "grant")
        self.refused(DELETE, {"name": "root"}, "FAILED_PRECONDITION",
                     "LAST_ADMIN", "root")
        self.refused(DELETE, {"name": "none"}, "NOT_FOUND", "GRANT_NOT_FOUND",
                     "none")
        self.ok(CREATE, client_grant("vera", "VIEWER"))
        grants = self.ok("AccessService/ListGrants", {}).grants
        self.assertEqual([g.name for g in grants], ["root", "vera"])
        page = self.ok("AccessService/ListGrants", {"page_size": 1})
        self.assertEqual([g.name for g in page.grants], ["root"])
        page = self.ok("AccessService/ListGrants", {
            "page_size": 1, "page_token": page.next_page_token})
        self.assertEqual([g.name for g in page.grants], ["vera"])
        self.fails("AccessService/ListGrants", {"page_size": 10001},
                   "page_size")
        self.assertEqual(self.mutate(DELETE, {"name": "vera"}).grant.name,
                         "vera")

    def test_b_can_i(self):
        answer = self.ok("AccessService/CanI",
                         {"method": "ZoneService/CreateZone"})
        self.assertTrue(answer.allowed)
        self.assertEqual((answer.caller, list(answer.roles)), ("", [3]))
        self.fails("AccessService/CanI", {"method": "Vm/Steal"}, "method")
        self.refused("AccessService/CanI", {
            "method": "VmService/CreateVm", "zone": "z9"}, "NOT_FOUND",
            "ZONE_NOT_FOUND", "z9")

    def test_c_a_token_has_its_role_at_every_node(self):
        self.ok(CREATE, token_grant("viewer", "VIEWER", secret(1)))
        for node in self.region.nodes:
            client = self.by_known_token(secret(1), node)
            self.ok("VmService/ListVms", {}, client)
            self.refused("VmService/CreateVm", vm_of("v"),
                         "PERMISSION_DENIED", "ROLE_NEEDED",
                         "operator or admin; token:viewer has viewer", client)
            self.refused("PlanService/MakePlan", {},
                         "PERMISSION_DENIED", "ROLE_NEEDED",
                         "drill-runner", client)
            self.refused("ClusterService/TransferLeadership", {},
                         "PERMISSION_DENIED", "ROLE_NEEDED", "operator",
                         client)
            self.refused("AccessService/ListGrants", {}, "PERMISSION_DENIED",
                         "ROLE_NEEDED", "admin", client)
            self.assertTrue(self.ok("ClusterService/GetStatus", {},
                                    client).leader)
            answer = self.ok("AccessService/CanI",
                             {"method": "VmService/CreateVm"}, client)
            self.assertEqual((answer.allowed, answer.caller),
                             (False, "token:viewer"))

    def test_d_a_scope_bounds_what_is_changed(self):
        self.ok(CREATE, token_grant("red", "OPERATOR", secret(2), zones=["z1"],
                                    labels={"team": "red"}))
        for node in self.region.nodes:
            client = self.by_token(secret(2), node)
            name = self.name()
            self.ok("VmService/CreateVm", vm_of(
                name, zone="z1", labels={"team": "red"}), client)
            for fields in ({"zone": "z1"}, {"labels": {"team": "red"}},
                           {"zone": "z2", "labels": {"team": "red"}}):
                self.refused("VmService/CreateVm", vm_of("v", **fields),
                             "PERMISSION_DENIED", "OUT_OF_SCOPE", "token:red",
                             client)
            self.ok("VmService/StopVm", {"name": name}, client)
            self.refused("HostService/CordonHost", {"name": "h1"},
                         "PERMISSION_DENIED", "ROLE_NEEDED",
                         "without a scope", client)

    def test_e_what_is_no_token_of_ours_gets_nothing(self):
        before = self.status()
        for text in (secret(99), "hf_" + "0" * 63, "hf_" + "F" * 64, "hf_", "x"):
            for node in self.region.nodes:
                client = self.by_token(text, node)
                self.refused("VmService/ListVms", {}, "UNAUTHENTICATED",
                             "TOKEN_UNKNOWN", "", client)
                self.refused("VmService/ListVms",
                             {"consistency": "CONSISTENCY_STALE"},
                             "UNAUTHENTICATED", "TOKEN_UNKNOWN", "", client)
                self.refused("ZoneService/CreateZone", {"name": "z7"},
                             "UNAUTHENTICATED", "TOKEN_UNKNOWN", "", client)
        self.unchanged(before)

    def test_f_a_deleted_token_ends_at_once_also_in_a_watch(self):
        self.ok(CREATE, token_grant("brief", "VIEWER", secret(3)))
        clients = [self.by_known_token(secret(3), node)
                   for node in self.region.nodes]
        streams = [client.stream("WatchService/Watch", {})
                   for client in clients]
        for stream in streams:
            next(stream)
        self.ok(DELETE, {"name": "brief"})
        for client, stream in zip(clients, streams):
            self.check_refusal("WatchService/Watch",
                               holdfast_client.first_error(stream),
                               "UNAUTHENTICATED", "TOKEN_UNKNOWN", "")
            self.refused("VmService/ListVms", {}, "UNAUTHENTICATED",
                         "TOKEN_UNKNOWN", "", client)

    def test_g_a_token_ends_by_itself_also_in_a_watch(self):
        """At every node, with nothing that would tell them: within the second
        that is promised, and then whatever is asked."""
        end = time.time() + 3
        made = self.ok(CREATE, token_grant("short", "ADMIN", secret(4),
                                           expire_time_ms=int(end * 1000)))
        self.assertEqual(made.grant.expire_time_ms, int(end * 1000))
        clients = [self.by_known_token(secret(4), node)
                   for node in self.region.nodes]
        can = self.ok("AccessService/CanI",
                      {"method": "ZoneService/CreateZone"}, clients[0])
        self.assertEqual((can.allowed, can.expire_time_ms),
                         (True, int(end * 1000)))
        ended = {}

        def follow(number, stream):
            refusal = holdfast_client.first_error(stream)
            ended[number] = (time.time(), refusal)

        streams = [client.stream("WatchService/Watch", {})
                   for client in clients]
        followers = [threading.Thread(target=follow, args=pair)
                     for pair in enumerate(streams)]
        for follower in followers:
            follower.start()
        for follower in followers:
            follower.join(30)
        self.assertEqual(len(ended), len(clients))
        for when, refusal in ended.values():
            self.check_refusal("WatchService/Watch", refusal,
                               "UNAUTHENTICATED", "TOKEN_EXPIRED", "short")
            self.assertGreater(when, end - 0.01)
            self.assertLess(when, end + 1)
        before = self.status()
        for client in clients:
            for path, fields in (
                    ("VmService/ListVms", {}),
                    ("VmService/ListVms",
                     {"consistency": "CONSISTENCY_STALE"}),
                    ("ClusterService/GetStatus", {}),
                    ("AccessService/CanI", {"method": "VmService/GetVm"}),
                    ("PlanService/GetCapacity", {}),
                    ("ZoneService/CreateZone", {"name": "z7"}),
                    (UPDATE, {"grant": {"name": "short"},
                              "update_mask": ["expire_time_ms"]})):
                self.refused(path, fields, "UNAUTHENTICATED", "TOKEN_EXPIRED",
                             "has expired", client)
        self.unchanged(before)
        self.assertIn("short", [g.name for g in self.ok(
            "AccessService/ListGrants", {}).grants])
        self.fails(CREATE, token_grant("late", "VIEWER", secret(5),
                                       expire_time_ms=int(end * 1000)),
                   "grant.expire_time_ms")
        # Another end, and it is good again.
        self.ok(UPDATE, {"grant": {"name": "short"},
                         "update_mask": ["expire_time_ms"]})
        self.by_known_token(secret(4), self.region.nodes[0])
        self.ok(DELETE, {"name": "short"})

    def test_h_a_grant_gets_another_role_scope_and_end(self):
        self.ok(CREATE, token_grant("robot", "OPERATOR", secret(6),
                                    zones=["z1"]))
        client = self.by_token(secret(6))
        self.refused("HostService/CordonHost", {"name": "h1"},
                     "PERMISSION_DENIED", "ROLE_NEEDED", "without a scope",
                     client)
        self.refused(UPDATE, {"grant": {"name": "robot", "role":
                                        "ACCESS_ROLE_ADMIN"},
                              "update_mask": ["role"]},
                     "PERMISSION_DENIED", "ROLE_NEEDED", "admin", client)
        answer = self.mutate(UPDATE, {
            "grant": {"name": "robot", "labels": {"team": "red"},
                      "expire_time_ms": 4000000000000},
            "update_mask": ["zones", "labels", "expire_time_ms"]}).grant
        self.assertEqual((list(answer.zones), dict(answer.labels),
                          answer.role, answer.expire_time_ms,
                          answer.secret_sha256),
                         ([], {"team": "red"}, 2, 4000000000000, b""))
        name = self.name()
        self.ok("VmService/CreateVm", vm_of(
            name, zone="z2", labels={"team": "red"}), client)
        self.ok("VmService/DeleteVm", {"name": name})
        self.refused(UPDATE, {"grant": {"name": "none"},
                              "update_mask": ["zones"]}, "NOT_FOUND",
                     "GRANT_NOT_FOUND", "none")
        self.refused(UPDATE, {"grant": {"name": "root", "role":
                                        "ACCESS_ROLE_VIEWER"},
                              "update_mask": ["role"]},
                     "FAILED_PRECONDITION", "LAST_ADMIN", "root")
        self.fails(UPDATE, {"grant": {"name": "robot"}}, "update_mask")
        self.fails(UPDATE, {"grant": {
            "name": "robot", "secret_sha256": "YWFh"},
            "update_mask": ["role"]}, "grant.secret_sha256")
        records = self.ok("AuditService/ListAuditRecords", {}).records
        changes = [{c.field: (c.before, c.after) for c in r.changes}
                   for r in records if r.method == UPDATE and
                   r.object_name == "robot"]
        self.assertEqual(changes, [{
            "zones": ("z1", ""), "labels.team": ("", "red"),
            "expire_time_ms": ("", "4000000000000")}])
        self.ok(DELETE, {"name": "robot"})

    def test_z_no_secret_is_on_any_log_or_disk(self):
        for node in self.region.nodes:
            data = f"{self.region.directory}/{node.name}.data"
            files = [path for path in glob.glob(f"{data}/**", recursive=True)
                     if os.path.isfile(path)]
            self.assertGreater(len(files), 0)
            for path in files + [node.log]:
                with open(path, "rb") as file:
                    content = file.read()
                for number in (1, 2, 3, 4, 6, 99):
                    self.assertNotIn(secret(number).encode(), content, path)
