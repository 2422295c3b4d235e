# SPDX-License-Identifier: Apache-2.0
"""Grants and tokens. Over loopback without TLS who shows no token may do
everything; who shows one has its role."""
import base64
import glob
import hashlib
import os

import holdfast_client
from api_case import RegionCase, vm_of
from holdfast_client import Refused
from holdfast_region import wait_until

CREATE = "AccessService/CreateGrant"
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

    def test_g_no_secret_is_on_any_log_or_disk(self):
        for node in self.region.nodes:
            data = f"{self.region.directory}/{node.name}.data"
            files = [path for path in glob.glob(f"{data}/**", recursive=True)
                     if os.path.isfile(path)]
            self.assertGreater(len(files), 0)
            for path in files + [node.log]:
                with open(path, "rb") as file:
                    content = file.read()
                for number in (1, 2, 3, 99):
                    self.assertNotIn(secret(number).encode(), content, path)
