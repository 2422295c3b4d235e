# SPDX-License-Identifier: Apache-2.0
"""What all tests of the public API share: a region with hosts for each class
of tests, and calls that are judged and counted. The counts are held against
the methods that the server reflects and the errors that it declares."""
import contextlib
import itertools
import subprocess
import unittest

import holdfast_client
from fake_host import FakeHost
from holdfast_client import Refused
from holdfast_region import Region, wait_until

TEMPLATE = {"driver": "DRIVER_EXEC", "command": ["/bin/sleep", "100000"]}


class Seen:
    """What the tests have shown of each method and error."""
    succeeded = set()
    refused = set()
    once = set()  # Mutations repeated with the same request id.
    dry = set()
    conflicting = set()
    reasons = set()
    table = {}  # Code by reason, of holdfastd --error-table.
    binaries = None
    standard = None


def read_table(binaries):
    lines = subprocess.run(
        [f"{binaries}/holdfastd", "--error-table"], check=True,
        capture_output=True, text=True).stdout.splitlines()
    for line in lines[2:]:
        _, code, reason, meaning, cure, _ = (
            part.strip() for part in line.split("|"))
        assert meaning and cure, line
        Seen.table[reason.strip("`")] = code


def vm_of(vm_name, **fields):
    vm = {"name": vm_name, "class_name": "small", "template": TEMPLATE}
    vm.update(fields)
    return {"vm": vm}


class RegionCase(unittest.TestCase):
    """A region for the whole class: three zones, each with a node and a quiet
    host, and a class of VMs."""
    NODES = 3
    SETTINGS = {}
    HOSTS = True

    @classmethod
    def setUpClass(cls):
        cls.numbers = itertools.count(1)
        cls.hosts = {}
        cls.region = Region(Seen.binaries, cls.NODES, **cls.SETTINGS)
        try:
            first = cls.region.nodes[0]
            wait_until(lambda: holdfast_client.answers(first.address),
                       "the first node listens")
            holdfast_client.load_schema(Seen.standard, first.address)
            cls.fill()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def fill(cls):
        client = cls.region.client(cls.region.leader())
        for number in range(1, 4):
            client.call("ZoneService/CreateZone", {"name": f"z{number}"})
        client.call("ClassService/CreateClass", {"vm_class": {
            "name": "small", "resources": {
                "cpu_milli": 100, "memory_mib": 64}}})
        for number in range(1, 4 if cls.HOSTS else 1):
            cls.host(f"h{number}", f"z{number}", pools=["pool"])

    @classmethod
    def host(cls, name, zone, **fields):
        host = FakeHost(cls.region.client(cls.region.leader()), name, zone,
                        **fields)
        cls.hosts[name] = host
        host.wait_welcome()
        return host

    @classmethod
    def tearDownClass(cls):
        for host in cls.hosts.values():
            host.close()
        cls.region.close()

    def setUp(self):
        self.leader = self.region.client(self.region.leader())
        self.followers = [self.region.client(node)
                          for node in self.region.followers()]
        self.follower = self.followers[0] if self.followers else self.leader

    def run(self, result=None):
        """As ever; and a failure shows what the processes logged."""
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"=== {self.id()}\n{self.region.logs()}", flush=True)

    @contextlib.contextmanager
    def quiet(self):
        """Hosts take orders and do nothing, so the state stands still."""
        for host in self.hosts.values():
            host.hold()
        try:
            yield
        finally:
            for host in self.hosts.values():
                host.go_on()

    def name(self, stem="vm"):
        return f"{stem}-{next(self.numbers)}"

    def status(self, client=None):
        """When each apply that is over is noted to be: without a revision."""
        client = client or self.leader

        def noted():
            return not [o for kind in ("PLAN", "MANIFEST")
                        for o in client.call(
                            "OperationService/ListOperations", {
                                "kind": f"OPERATION_KIND_APPLY_{kind}",
                                "consistency": "CONSISTENCY_STALE"}).operations
                        if o.state != 1 and o.end_time_ms == 0]
        wait_until(noted, "what is over is noted")
        return client.call("ClusterService/GetStatus", {})

    def ok(self, path, fields, client=None):
        """A call that must succeed; its answer."""
        answer = (client or self.leader).call(path, fields)
        Seen.succeeded.add(holdfast_client.full(path))
        return answer

    def check_refusal(self, path, refusal, code, reason, text):
        self.assertEqual((refusal.code, refusal.reason), (code, reason),
                         refusal.text)
        self.assertIn(text, refusal.text)
        if reason is not None:
            self.assertEqual(Seen.table.get(reason), code,
                             "not as holdfastd --error-table says")
            Seen.reasons.add(reason)
        Seen.refused.add(holdfast_client.full(path))
        return refusal

    # pylint: disable-next=too-many-arguments
    def refused(self, path, fields, code, reason, text="", client=None):
        """A call that must fail in exactly this way, and change nothing."""
        try:
            answer = (client or self.leader).call(path, fields)
        except Refused as refusal:
            return self.check_refusal(path, refusal, code, reason, text)
        raise AssertionError(f"{path} was not refused: {answer}")

    def fails(self, path, fields, field):
        """A field breaks its rule; the message begins with its name."""
        refusal = self.refused(path, fields, "INVALID_ARGUMENT",
                               "INVALID_FIELD", field)
        self.assertTrue(refusal.text.startswith(field), refusal.text)

    def unchanged(self, before):
        after = self.status()
        self.assertEqual((after.revision, after.state_hash),
                         (before.revision, before.state_hash))

    def mutate(self, path, fields):
        """A mutation that must succeed, by all rules of mutations: without
        effect as a dry run, refused for another revision, done once however
        often and through whatever node it is sent. Its answer."""
        method = holdfast_client.full(path)
        before = self.status()
        self.ok(path, {**fields, "dry_run": True})
        self.unchanged(before)
        Seen.dry.add(method)
        self.check_conflict(path, fields)
        self.fails(path, {**fields, "request_id": "a b"}, "request_id")
        self.fails(path, {**fields, "request_id": "x" * 65}, "request_id")
        self.unchanged(before)

        once = {**fields, "request_id": self.name("request")}
        answer = self.ok(path, once, self.follower)
        after = self.status()
        self.assertLessEqual(answer.revision, after.revision)
        for client in (self.leader, self.follower, *self.followers[1:]):
            self.assertEqual(self.ok(path, once, client), answer)
        self.refused(path, {**once, "dry_run": True}, "INVALID_ARGUMENT",
                     "REQUEST_ID_REUSED", once["request_id"])
        self.unchanged(after)
        Seen.once.add(method)
        return answer

    def check_conflict(self, path, fields):
        other = {**fields, "expect_revision": 1 << 40}
        if "Create" in path:  # There is nothing yet to have a revision.
            self.fails(path, other, "expect_revision")
        else:
            self.refused(path, other, "ABORTED", "REVISION_CONFLICT",
                         str(1 << 40))
        Seen.conflicting.add(holdfast_client.full(path))

    def vm(self, name, client=None):
        return (client or self.leader).call("VmService/GetVm",
                                            {"name": name}).vm

    def wait_vm(self, name, state):
        number = holdfast_client.schema.pool.FindEnumTypeByName(
            "holdfast.v1.VmState").values_by_name[f"VM_STATE_{state}"].number

        def as_wanted():
            vm = self.vm(name)
            return vm if vm.status.state == number else None
        return wait_until(as_wanted, f"{name} is {state}")

    def running_vm(self, **fields):
        name = self.name()
        self.leader.call("VmService/CreateVm", vm_of(name, **fields))
        self.wait_vm(name, "RUNNING")
        return name
