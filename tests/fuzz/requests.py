# SPDX-License-Identifier: Apache-2.0
"""Mutated requests for every method of a live region, by a stock client.

  requests.py BINARIES STANDARD_DESCRIPTORS [--requests N] [--seed N]

What must hold: every answer is a proper status that is nobody's bug (no
INTERNAL, no UNKNOWN); one for a bad argument names the field; a request that is
refused changes nothing, by the state's hash; nothing crashes or leaks, by the
sanitizers that are in the nodes; memory stays as it was while requests are
refused; at the end the three nodes agree."""

import argparse
import os
import random
import re
import sys
import time
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "interop"))
sys.dont_write_bytecode = True

import grpc  # noqa: E402

import holdfast_client  # noqa: E402
from fake_host import FakeHost  # noqa: E402
from holdfast_client import Refused  # noqa: E402
from holdfast_region import Region, wait_until  # noqa: E402
from mutate import Mutator  # noqa: E402

BATCH = 100
STREAM_SECONDS = 0.3
REST_SECONDS = 2
TRIES = 4
# Growth of a node while nothing is accepted: 1 KiB lost in each refused
# request of the full run would be 12 MiB. Seen is at most 3.3 MiB: lists are
# kept for their next pages, and an allocator still finds its size.
GROWTH_MAX_KIB = 8 * 1024
NAMES = ["z1", "z2", "z3", "small", "h1", "h2", "h3", "vm-1", "vm-2", "vm-3",
         "n1", "n2", "n3", "pool"]
# Nobody's fault but ours.
BUGS = {"INTERNAL", "UNKNOWN", "DATA_LOSS", "UNIMPLEMENTED"}
FIELD = r"[a-z_][\w.]*(\[[^\]]*\][\w.]*)*"
NAMES_FIELD = re.compile(rf"^{FIELD}(, {FIELD})*: |^the message ")
# These stop or move what the test stands on.
LEFT_ALONE = {"holdfast.v1.ClusterService/TransferLeadership",
              "holdfast.v1.ClusterService/RemoveNode"}


# Right ones, to be wounded; $ is some number, and names are random anyway.
VM = {"name": "vm-$", "class_name": "small", "zone": "z1", "priority": 7,
      "labels": {"app": "a"}, "template": {
          "driver": "DRIVER_EXEC", "command": ["/bin/true", "{name}"],
          "environment": ["A=b"], "stop_grace_ms": 100}}
GROUP = {"name": "group-$", "count": 1, "zone_rule": "ZONE_RULE_SPREAD",
         "max_skew": 1, "zones": ["z1", "z2"], "host_mode": "RULE_MODE_STRICT",
         "host_max": 2, "template": {
             "class_name": "small", "labels": {"app": "a"},
             "template": VM["template"]}}
VALID = [
    ("ZoneService/CreateZone", {"name": "zone-$", "request_id": "r-$"}),
    ("ZoneService/GetZone", {"name": "z1"}),
    ("ZoneService/ListZones", {"page_size": 2}),
    ("ZoneService/CordonZone", {"name": "z2"}),
    ("ZoneService/UncordonZone", {"name": "z2", "dry_run": True}),
    ("ClassService/CreateClass", {"vm_class": {
        "name": "class-$", "zones": ["z1"],
        "resources": {"cpu_milli": 1, "memory_mib": 1}}}),
    ("ClassService/DeleteClass", {"name": "class-$"}),
    ("HostService/GetHost", {"name": "h1"}),
    ("HostService/ListHosts", {}),
    ("HostService/CordonHost", {"name": "h1"}),
    ("HostService/UncordonHost", {"name": "h1", "request_id": "r-$"}),
    ("VmService/CreateVm", {"vm": VM, "request_id": "r-$"}),
    ("VmService/CreateVm", {"vm": VM, "dry_run": True}),
    ("VmService/BatchCreateVms", {"request_id": "r-$", "vms": [
        VM, {**VM, "name": "vm-$-b", "zone": "z1"}]}),
    ("VmService/GetVm", {"name": "vm-$"}),
    ("VmService/ListVms", {"page_size": 3}),
    ("VmService/StopVm", {"name": "vm-$"}),
    ("VmService/StartVm", {"name": "vm-$"}),
    ("VmService/MoveVm", {"name": "vm-$", "zone": "z2"}),
    ("VmService/DeleteVm", {"name": "vm-$"}),
    ("VmService/CreateVm", {"vm": {**VM, "class_name": "", "resources": {
        "cpu_milli": 7, "memory_mib": 7, "named": {"key": 1}}}}),
    ("VmService/CreateVm", {"vm": {
        **VM, "group": "group-$", "preemptible": True,
        "host_selector": {"rack": "r1"}}}),
    ("ClassService/UpdateClass", {"vm_class": {
        "name": "class-$", "zones": ["z1", "z2"]}, "update_mask": ["zones"]}),
    ("HostService/DrainHost", {"name": "h1", "deadline_ms": 5}),
    ("HostService/CancelDrainHost", {"name": "h1"}),
    ("ZoneService/DrainZone", {"name": "z1", "accept_risk": True,
                               "reason": "none"}),
    ("ZoneService/CancelDrainZone", {"name": "z1"}),
    ("GroupService/CreateGroup", {"group": GROUP, "request_id": "r-$"}),
    ("GroupService/GetGroup", {"name": "group-$"}),
    ("GroupService/ListGroups", {"page_size": 2}),
    ("GroupService/ScaleGroup", {"name": "group-$", "count": 2}),
    ("GroupService/UpdateGroup", {"group": {**GROUP, "name": "group-$"},
                                  "update_mask": ["template", "zones"]}),
    ("GroupService/DeleteGroup", {"name": "group-$", "with_joined": True}),
    ("ReservationService/CreateReservation", {"reservation": {
        "name": "spare-$", "zone": "z1", "class_name": "small",
        "count": 1}}),
    ("ReservationService/UpdateReservation", {"name": "spare-$", "count": 2}),
    ("ReservationService/DeleteReservation", {"name": "spare-$"}),
    ("ReservationService/ListReservations", {}),
    ("ManifestService/ApplyManifest", {"prune": True, "manifest": {
        "settings": {"headroom": "HEADROOM_MODE_OFF"},
        "zones": [{"name": "z1", "cordoned": True}],
        "reservations": [{"name": "spare-$", "zone": "z1",
                          "class_name": "small", "count": 1}],
        "groups": [{**GROUP, "name": "group-$"}]}}),
    ("JoinService/CreateJoinToken", {"ttl_ms": 5000, "token": {
        "name": "host-$", "zone": "z1", "secret_sha256": "eA=="}}),
    ("JoinService/ListJoinTokens", {"page_size": 2}),
    ("JoinService/DeleteJoinToken", {"name": "host-$"}),
    ("JoinService/JoinHost", {"name": "host-$", "csr": "MIIB"}),
    ("AuditService/ListAuditRecords", {
        "page_size": 2, "page_token": "2", "caller": "loopback",
        "object": "host/h1", "since_ms": "1", "until_ms": "9999999999999"}),
    ("AuditService/ExportAuditRecords", {"after_number": "1",
                                         "page_size": 3}),
    ("OperationService/GetOperation", {
        "name": "start-vm.vm-$.4294967296.0"}),
    ("OperationService/GetOperation", {
        "name": "apply-manifest.manifest.4294967296.1"}),
    ("OperationService/ListOperations", {"page_size": 2, "active": True}),
    ("OperationService/WaitOperation", {
        "name": "scale-group.group-$.4294967296.2", "timeout_ms": 1}),
    ("OperationService/CancelOperation", {
        "name": "drain-zone.z1.4294967296.1"}),
    ("OperationService/CancelOperation", {
        "name": "apply-plan.p.4294967296.1"}),
    ("PlanService/MakePlan", {"action": {"zone_loss": {"zones": ["z1"]}}}),
    ("PlanService/MakePlan", {"action": {"scale_group": {
        "name": "group-$", "count": 3}}}),
    ("PlanService/GetCapacity", {"classes": ["small"]}),
    ("ClusterService/GetStatus", {}),
    ("ClusterService/ListNodes", {}),
    ("ClusterService/AddNode", {"name": "node-$", "id": "$", "zone": "z1",
                                "address": "127.0.0.1:1", "dry_run": True}),
    ("ClusterService/PromoteNode", {"name": "n1"}),
]


# Of streams: what is good in them is looked at all the longer.
WATCH = {"after_revision": 1, "filter": "a=b,!c", "names": ["vm-$"],
         "name_prefixes": ["v"], "zones": ["z1"], "vm_states": [1],
         "host_states": [2], "heartbeat_ms": 500}


class Failure(Exception):
    pass


def resident_kib(node):
    with open(f"/proc/{node.child.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


class Fuzz:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.mutator = Mutator(self.random, NAMES)
        # Small quarantine: what is freed must not look like growth.
        os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=1:detect_leaks=1"
        # Snapshots often: the log in memory must not look like growth either.
        self.region = Region(options.binaries, snapshot_entries=1000,
                             watch_events=1000, log_level="error")
        self.codes = Counter()
        self.sent = 0
        self.refused_batches = 0
        self.hosts = []

    def setup(self):
        first = self.region.nodes[0]
        client = self.region.client(first)
        holdfast_client.load_schema(self.options.standard, first.address)
        self.region.leader()
        for zone in ("z1", "z2", "z3"):
            client.call("ZoneService/CreateZone", {"name": zone})
        client.call("ClassService/CreateClass", {"vm_class": {
            "name": "small", "resources": {"cpu_milli": 100,
                                           "memory_mib": 64}}})
        for number in (1, 2, 3):
            host = FakeHost(client, f"h{number}", f"z{number}")
            self.hosts.append(host)
            host.wait_welcome()
        for number in (1, 2, 3):
            client.call("VmService/CreateVm", {"vm": {
                "name": f"vm-{number}", "class_name": "small", "template": {
                    "driver": "DRIVER_EXEC", "command": ["/bin/true"]}}})
        schema = holdfast_client.schema
        everything = sorted(
            (path, method.input_type, kinds)
            for path, (method, kinds) in schema.methods.items()
            if path not in LEFT_ALONE)
        self.unary = [(p, d) for p, d, k in everything
                      if not k.client_streaming and not k.server_streaming]
        self.streams = [(p, d, k) for p, d, k in everything
                        if k.client_streaming or k.server_streaming]
        for path, _ in VALID:
            if holdfast_client.full(path) not in schema.methods:
                raise Failure(f"{path} is no method")

    def numbered(self, fields):
        if isinstance(fields, dict):
            return {k: self.numbered(v) for k, v in fields.items()}
        if isinstance(fields, list):
            return [self.numbered(v) for v in fields]
        if isinstance(fields, str):
            return fields.replace("$", str(self.random.randrange(20)))
        return fields

    def pick(self, make):
        """A method and what to send to it."""
        if self.random.random() < 0.5:
            path, descriptor = self.random.choice(self.unary)
            return path, make(descriptor)
        path, fields = self.random.choice(VALID)
        path = holdfast_client.full(path)
        request = holdfast_client.Client.request(path, self.numbered(fields))
        return path, make(request.DESCRIPTOR, request.SerializeToString())

    def state(self):
        """(revision, hash) at the leader, by a linearizable read's means: all
        that was acknowledged is in."""
        leader = self.region.leader()
        answer = self.region.status(leader)
        return answer.revision, answer.state_hash

    def judge(self, path, data, error):
        """Notes an answer; error is None when it was accepted."""
        code = "OK" if error is None else error.code
        self.codes[code] += 1
        if code in BUGS:
            raise Failure(f"{path} answered {error} to {data[:200].hex()}")
        # A stream can also be wrong in the order of its messages.
        if (code == "INVALID_ARGUMENT" and "Session" not in path and
                not NAMES_FIELD.match(error.text)):
            raise Failure(f"{path} names no field: {error.text!r} for "
                          f"{data[:200].hex()}")
        for node in self.region.nodes:
            if not node.lives():
                raise Failure(f"{node.name} ended at {path}, "
                              f"{data[:400].hex()}")

    def state_at_rest(self):
        """The state once nothing works at it any more."""
        state = self.state()
        end = time.monotonic() + REST_SECONDS
        while time.monotonic() < end:
            now = self.state()
            if now != state:
                state = now
                end = time.monotonic() + REST_SECONDS
            time.sleep(0.05)
        return state

    def batch(self, make):
        """Requests, each with the node that gets it."""
        requests = []
        for _ in range(BATCH):
            path, data = self.pick(make)
            requests.append((path, data, self.random.choice(self.region.nodes)))
        return requests

    def send(self, requests):
        """Sends requests together; true when something was accepted or its
        outcome is open."""
        calls = [(path, data, self.region.client(node).future(path, data))
                 for path, data, node in requests]
        changed = False
        for path, data, call in calls:
            error = None
            try:
                call.result()
            except grpc.RpcError as failure:
                error = Refused(failure)
            self.judge(path, data, error)
            # A follower that just lost its leader says so before it sends.
            changed = changed or error is None or error.code in (
                "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
        self.sent += len(calls)
        return changed

    def stream(self):
        path, descriptor, kinds = self.random.choice(self.streams)
        client = self.region.client(self.random.choice(self.region.nodes))
        count = self.random.randrange(1, 5) if kinds.client_streaming else 1
        data = [self.mutator.request(descriptor) for _ in range(count)]
        if path.endswith("WatchService/Watch") and self.random.random() < 0.5:
            request = holdfast_client.Client.request(path,
                                                     self.numbered(WATCH))
            data = [self.mutator.request(descriptor,
                                         request.SerializeToString())]
        request = iter(data) if kinds.client_streaming else data[0]
        error = None
        try:
            for _ in client.stub(path)(request, timeout=STREAM_SECONDS):
                pass
        except grpc.RpcError as failure:
            error = Refused(failure)
        self.sent += count
        if error is not None and error.code == "UNIMPLEMENTED" and \
                "Reflection" in path:
            return
        self.judge(path, b"|".join(data), error)

    def refused_or_same(self, make):
        """What was accepted earlier is still worked at: a VM stops, a host that
        spoke once is lost. So a batch after which the state is another one is
        sent again, once all is at rest; only a change each time is its own."""
        requests = self.batch(make)
        before = self.state()
        for _ in range(TRIES):
            if self.send(requests):
                return
            after = self.state()
            if before == after:
                self.refused_batches += 1
                return
            before = self.state_at_rest()
        raise Failure(f"refused requests changed the state {TRIES} times, in "
                      f"the end to {after}")

    def run(self):
        self.setup()
        wanted = self.options.requests
        begin = time.monotonic()
        # Half may be accepted, half must be refused; the first part of those
        # warms the allocator up.
        while self.sent < wanted // 2:
            self.refused_or_same(self.mutator.request)
            for _ in range(2):
                self.stream()
        warm = self.sent + wanted // 8
        while self.sent < warm:
            self.refused_or_same(self.mutator.hostile)
        before = [resident_kib(node) for node in self.region.nodes]
        while self.sent < wanted:
            self.refused_or_same(self.mutator.hostile)
        grown = [resident_kib(node) - kib
                 for node, kib in zip(self.region.nodes, before)]
        if max(grown) > GROWTH_MAX_KIB:
            raise Failure(f"memory grew by {grown} KiB while requests were "
                          "refused")
        self.finish(before, grown, time.monotonic() - begin)

    def agreed(self):
        answers = [self.region.status(node) for node in self.region.nodes]
        return None not in answers and len(
            {(a.applied_index, a.state_hash) for a in answers}) == 1

    def finish(self, before, grown, seconds):
        for host in self.hosts:
            host.close()
        wait_until(self.agreed, "the same state on all nodes")
        if self.refused_batches == 0:
            raise Failure("no batch was refused as a whole")
        print(f"{self.sent} requests in {seconds:.0f} s, seed "
              f"{self.options.seed}: "
              + ", ".join(f"{n} {c}" for c, n in self.codes.most_common())
              + f"; {self.refused_batches} batches refused as a whole; memory "
                f"{before} KiB, grown by {grown} KiB")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries")
    parser.add_argument("standard")
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--seed", type=int,
                        default=int.from_bytes(os.urandom(4), "little"))
    options = parser.parse_args()
    fuzz = Fuzz(options)
    try:
        fuzz.run()
    except BaseException as problem:
        print(f"seed {options.seed}, after {fuzz.sent} requests: {problem}\n"
              + fuzz.region.logs(), file=sys.stderr)
        fuzz.region.close(orderly=False)
        raise
    fuzz.region.close()


if __name__ == "__main__":
    main()
