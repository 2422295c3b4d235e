# SPDX-License-Identifier: Apache-2.0
"""Every call of the public API by stock clients of three kinds, over mutual TLS,
against a follower: Python's grpcio, @grpc/grpc-js, and buf's curl, which knows
nothing but what reflection tells it. Arguments: the directory of the programs,
the standard services' messages, the .proto files, a directory to install
clients to."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import holdfast_client
from holdfast_region import wait_until
from secure_region import Pki, SecureRegion, listens

BINARIES, STANDARD, PROTOS, INSTALLED = sys.argv[1:5]
HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = {"driver": "DRIVER_EXEC", "command": ["/bin/sleep", "600"]}
SIZE = {"cpu_milli": 100, "memory_mib": 64}
# For agents and nodes.
NOT_FOR_CLIENTS = {"AgentService/Session", "PeerService/Stream"}


def calls(own):
    """(path, request, code) in an order that works; `own` begins all names."""
    vm, moved = f"{own}-vm", f"{own}-moved"
    zone, size, group = f"{own}-zone", f"{own}-size", f"{own}-group"
    kept, host = f"{own}-kept", "h1"
    named = lambda name: {"name": name}  # noqa: E731
    member = {"class_name": size, "template": TEMPLATE}
    return [
        ("ClusterService/GetStatus", {}, "OK"),
        ("ClusterService/ListNodes", {}, "OK"),
        ("ClusterService/TransferLeadership", {"node": "n9"}, "NOT_FOUND"),
        ("ClusterService/AddNode",
         {"name": f"{own}-node", "id": "99", "address": "127.0.0.1:1",
          "dry_run": True}, "OK"),
        ("ClusterService/PromoteNode", {"name": "n1"}, "OK"),
        ("ClusterService/RemoveNode", {"name": "n9"}, "NOT_FOUND"),
        ("ClusterService/GetSettings", {}, "OK"),
        ("ClusterService/UpdateSettings",
         {"settings": {"start_parallel": 5}, "update_mask": ["start_parallel"]},
         "OK"),
        ("ZoneService/CreateZone", named(zone), "OK"),
        ("ZoneService/CreateZone", named(zone), "ALREADY_EXISTS"),
        ("ZoneService/GetZone", named(zone), "OK"),
        ("ZoneService/ListZones", {}, "OK"),
        ("ZoneService/CordonZone", named(zone), "OK"),
        ("ZoneService/UncordonZone", named(zone), "OK"),
        ("ZoneService/DrainZone", named(zone), "OK"),
        ("ZoneService/CancelDrainZone", named(zone), "OK"),
        ("ClassService/CreateClass",
         {"vm_class": {"name": size, "resources": SIZE}}, "OK"),
        ("ClassService/UpdateClass",
         {"vm_class": {"name": size, "resources": SIZE},
          "update_mask": ["resources"]}, "OK"),
        ("ClassService/ListClasses", {}, "OK"),
        ("HostService/GetHost", named(host), "OK"),
        ("HostService/ListHosts", {}, "OK"),
        ("HostService/CordonHost", named(host), "OK"),
        ("HostService/UncordonHost", named(host), "OK"),
        ("HostService/DrainHost", named("h3"), "OK"),
        ("HostService/CancelDrainHost", named("h3"), "OK"),
        ("HostService/DeclareHostDead",
         {"name": host, "confirm": host, "reason": "a try"},
         "FAILED_PRECONDITION"),
        ("VmService/CreateVm", {"vm": {"name": vm, **member}}, "OK"),
        ("VmService/CreateVm", {"vm": {"name": moved, **member,
                                       "zone": "z1"}}, "OK"),
        ("VmService/CreateVm", {"vm": {"name": "NO", **member}},
         "INVALID_ARGUMENT"),
        ("VmService/BatchCreateVms",
         {"vms": [{"name": f"{own}-b1", **member},
                  {"name": f"{own}-b2", **member}], "dry_run": True}, "OK"),
        ("VmService/BatchCreateVms", {}, "INVALID_ARGUMENT"),
        ("VmService/GetVm", named(vm), "OK"),
        ("VmService/GetVm", named(f"{own}-none"), "NOT_FOUND"),
        ("VmService/ListVms", {}, "OK"),
        ("VmService/UpdateVm",
         {"vm": {"name": vm, "priority": 7}, "update_mask": ["priority"]},
         "OK"),
        ("VmService/MoveVm", {"name": moved, "zone": "z3"},
         "FAILED_PRECONDITION"),
        ("VmService/MoveVm", {"name": vm}, "OK"),
        ("VmService/StopVm", named(vm), "OK"),
        ("VmService/StartVm", named(vm), "OK"),
        ("GroupService/CreateGroup",
         {"group": {"name": group, "count": 2, "template": member}}, "OK"),
        ("GroupService/GetGroup", named(group), "OK"),
        ("GroupService/ListGroups", {}, "OK"),
        ("GroupService/UpdateGroup",
         {"group": {"name": group, "max_skew": 2},
          "update_mask": ["max_skew"]}, "OK"),
        ("GroupService/ScaleGroup", {"name": group, "count": 3}, "OK"),
        ("ReservationService/CreateReservation",
         {"reservation": {"name": kept, "zone": "z1", "class_name": size,
                          "count": 1}}, "OK"),
        ("ReservationService/ListReservations", {}, "OK"),
        ("ReservationService/UpdateReservation", {"name": kept, "count": 2},
         "OK"),
        ("ReservationService/DeleteReservation", named(kept), "OK"),
        ("ManifestService/ApplyManifest",
         {"manifest": {"zones": [{"name": "z1"}]}}, "OK"),
        ("OperationService/ListOperations", {"active": True}, "OK"),
        ("OperationService/GetOperation", named(f"start-vm.{own}.1.0"),
         "NOT_FOUND"),
        ("OperationService/WaitOperation", named("none"), "INVALID_ARGUMENT"),
        ("OperationService/CancelOperation", named("none"),
         "INVALID_ARGUMENT"),
        ("PlanService/MakePlan", {"action": {"zone_loss": {"zones": ["z1"]}}},
         "OK"),
        ("PlanService/GetPlan", {"id": "none"}, "NOT_FOUND"),
        ("PlanService/ApplyPlan", {"id": "none"}, "NOT_FOUND"),
        ("PlanService/GetCapacity", {}, "OK"),
        ("AccessService/CreateGrant", {"grant": {
            "name": f"{own}-admin", "subject_kind": "SUBJECT_KIND_CLIENT",
            "client": "anna", "role": "ACCESS_ROLE_ADMIN"}}, "OK"),
        ("AccessService/CreateGrant", {"grant": {
            "name": f"{own}-ben", "subject_kind": "SUBJECT_KIND_CLIENT",
            "client": "ben", "role": "ACCESS_ROLE_OPERATOR", "zones": ["z1"],
            "labels": {"team": "web"}}}, "OK"),
        ("AccessService/UpdateGrant", {
            "grant": {"name": f"{own}-ben", "labels": {"team": "api"}},
            "update_mask": ["labels"]}, "OK"),
        ("AccessService/ListGrants", {}, "OK"),
        ("AccessService/CanI", {"method": "VmService/CreateVm"}, "OK"),
        ("AccessService/DeleteGrant", named(f"{own}-ben"), "OK"),
        ("JoinService/CreateJoinToken", {"token": {
            "name": f"{own}-host", "zone": "z1",
            "secret_sha256": "x" * 32}}, "INVALID_ARGUMENT"),
        ("JoinService/ListJoinTokens", {}, "OK"),
        ("JoinService/DeleteJoinToken", named(f"{own}-host"), "NOT_FOUND"),
        ("JoinService/JoinHost", named(f"{own}-host"), "FAILED_PRECONDITION"),
        ("AuditService/ListAuditRecords", {"object": "grant"}, "OK"),
        ("AuditService/ExportAuditRecords", {"page_size": 2}, "OK"),
        ("GroupService/DeleteGroup", named(group), "OK"),
        ("VmService/DeleteVm", named(vm), "OK"),
        ("VmService/DeleteVm", named(moved), "OK"),
        ("ClassService/CreateClass",
         {"vm_class": {"name": f"{own}-gone", "resources": SIZE}}, "OK"),
        ("ClassService/DeleteClass", named(f"{own}-gone"), "OK"),
        ("ClassService/DeleteClass", named(f"{own}-gone"), "NOT_FOUND"),
    ]


STREAMS = [("WatchService/Watch", {"after_revision": "1"}, 3)]


class StockClients(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="hf-stock-")
        cls.pki = Pki(BINARIES, cls.directory)
        cls.pki.issue("client", "anna")
        cls.region = SecureRegion(cls.pki)
        first = cls.region.nodes[0].address
        wait_until(lambda: listens(first), "a node listens")
        holdfast_client.schema = holdfast_client.Schema(
            STANDARD, first, cls.pki.credentials("anna"))
        leader = cls.region.leader()
        cls.follower = next(n for n in cls.region.nodes if n is not leader)
        client = cls.region.client(leader)
        for number in (1, 2, 3):
            client.call("ZoneService/CreateZone", {"name": f"z{number}"})
            cls.region.agent(f"h{number}", f"z{number}")
        wait_until(lambda: sum(
            h.lease.connected for h in client.call(
                "HostService/ListHosts", {}).hosts) == 3, "three hosts")

    @classmethod
    def tearDownClass(cls):
        cls.region.close()
        shutil.rmtree(cls.directory)

    def files(self):
        return [self.pki.path(name) for name in (
            "ca/node-ca.crt", "anna.crt", "anna.key")]

    def installed(self):
        """Where npm put the clients; a machine without it has only Python's."""
        if shutil.which("npm") is None:
            self.skipTest("npm is not here: the clients of JavaScript and Go "
                          "are not tried")
        os.makedirs(INSTALLED, exist_ok=True)
        shutil.copy(f"{HERE}/stock/package.json", INSTALLED)
        if not os.path.exists(f"{INSTALLED}/node_modules/.bin/buf"):
            done = subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund",
                 "--no-package-lock"], cwd=INSTALLED, capture_output=True,
                text=True, check=False)
            if done.returncode != 0:
                self.skipTest("npm cannot install them: " +
                              done.stderr.strip().split("\n")[-1])
        return f"{INSTALLED}/node_modules"

    def judge(self, own, outcomes):
        wanted = [(path, code) for path, _, code in calls(own)]
        self.assertEqual(
            [(path, o["code"], o["text"] if o["code"] != code else "")
             for (path, code), o in zip(wanted, outcomes)],
            [(path, code, "") for path, code in wanted])
        self.assertEqual(len(outcomes), len(wanted))

    def test_every_method_is_among_them(self):
        public = {m.removeprefix("holdfast.v1.")
                  for m in holdfast_client.schema.methods
                  if m.startswith("holdfast.v1.")} - NOT_FOR_CLIENTS
        self.assertEqual({path for path, _, _ in calls("x") + STREAMS}, public)

    def test_grpcio_of_python(self):
        client = self.region.client(self.follower)
        outcomes = []
        for path, request, _ in calls("py"):
            try:
                client.call(path, request)
                outcomes.append({"code": "OK", "text": ""})
            except holdfast_client.Refused as refused:
                outcomes.append({"code": refused.code, "text": refused.text})
        self.judge("py", outcomes)
        for path, request, count in STREAMS:
            stream = client.stub(path)(client.request(path, request),
                                       timeout=30)
            self.assertEqual(len([next(stream) for _ in range(count)]), count)
            stream.cancel()

    def test_grpc_js(self):
        modules = self.installed()
        lines = [{"path": p, "request": r} for p, r, _ in calls("js")]
        lines += [{"path": p, "request": r, "messages": n}
                  for p, r, n in STREAMS]
        done = subprocess.run(
            ["node", f"{HERE}/stock/calls.js", self.follower.address, PROTOS,
             *self.files()],
            input="\n".join(map(json.dumps, lines)), capture_output=True,
            text=True, check=False, timeout=200,
            # It does not like names of hosts that are addresses.
            env={**os.environ, "NODE_PATH": modules, "NODE_NO_WARNINGS": "1"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        outcomes = [json.loads(line) for line in done.stdout.splitlines()]
        self.judge("js", outcomes[:-len(STREAMS)])
        for (_, _, count), outcome in zip(STREAMS, outcomes[-len(STREAMS):]):
            self.assertEqual(outcome["code"], "OK", outcome)
            self.assertEqual(len(outcome["response"]), count)

    def curl(self, buf, path, request):
        ca, certificate, key = self.files()
        done = subprocess.run(
            [buf, "curl", "--protocol", "grpc", "--cacert", ca, "--cert",
             certificate, "--key", key, "--data", json.dumps(request),
             f"https://{self.follower.address}/holdfast.v1.{path}"],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "HOME": self.directory})
        if done.returncode == 0:
            return {"code": "OK", "text": "", "response": done.stdout}
        error = json.loads(done.stderr)
        return {"code": error["code"].upper(), "text": error.get("message", "")}

    def test_curl_of_buf_by_reflection(self):
        buf = f"{self.installed()}/.bin/buf"
        self.judge("buf", [self.curl(buf, path, request)
                           for path, request, _ in calls("buf")])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
