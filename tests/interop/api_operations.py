# SPDX-License-Identifier: Apache-2.0
"""Operations: what takes time, how far it is, and how it ends."""
import concurrent.futures
import subprocess
import threading

import grpc
import holdfast_client
from api_case import TEMPLATE, RegionCase, Seen
from holdfast_client import Refused
from holdfast_region import wait_until

GET = "OperationService/GetOperation"
LIST = "OperationService/ListOperations"
WAIT = "OperationService/WaitOperation"
CANCEL = "OperationService/CancelOperation"
RUNNING, DONE, _, CANCELLED = range(1, 5)
WAITS_MAX = 1024  # OPERATION_WAITS_MAX of node/limits.h.
APPLY = "ManifestService/ApplyManifest"
APPLY_PLAN, APPLY_MANIFEST = 12, 13
MEMBERS = {"class_name": "small", "template": TEMPLATE}


class OperationsCase(RegionCase):
    def get(self, name, client=None):
        return (client or self.leader).call(GET, {"name": name}).operation

    def finish(self, name):
        """Until it is over; each answer of WaitOperation is bounded."""
        while True:
            operation = self.ok(WAIT, {"name": name}).operation
            if operation.state != RUNNING:
                return operation

    def holdfast(self, *words, stdin=""):
        """What the command line says, and its exit code."""
        at = words.index("--command") if "--command" in words else len(words)
        run = subprocess.run(
            [f"{Seen.binaries}/holdfast", *words[:at], "--endpoint",
             self.region.nodes[0].address, *words[at:]], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, input=stdin, text=True, timeout=60,
            check=False)
        return run.stdout, run.returncode

    def command(self, *words):
        return self.holdfast("operation", *words)


class Operations(OperationsCase):
    def refuse_all(self, path):
        self.fails(path, {"name": "none"}, "name")
        self.fails(path, {"name": "drain-host.h1.1.01"}, "name")
        self.refused(path, {"name": "drain-host.h1.4294967296.77"},
                     "NOT_FOUND", "OPERATION_NOT_FOUND", "name")

    def stuck_drain(self):
        """Of h1, where a VM of zone 1 has nowhere to go."""
        vm = self.running_vm(zone="z1")
        answer = self.ok("HostService/DrainHost", {"name": "h1"})
        self.addCleanup(self.leader.call, "HostService/CancelDrainHost",
                        {"name": "h1"})
        return vm, answer.operation_id

    def test_get_operation(self):
        _, name = self.stuck_drain()
        operation = self.ok(GET, {"name": name}).operation
        self.assertEqual((operation.name, operation.object, operation.kind),
                         (name, "h1", 1))
        self.assertEqual(operation.state, RUNNING)
        self.assertGreater(operation.left_count, 0)
        self.assertEqual(sum(w.count for w in operation.waits),
                         operation.left_count)
        self.assertTrue(operation.cancellable)
        for follower in self.followers:
            self.assertEqual(self.get(name, follower).name, name)
        self.refuse_all(GET)

    def test_who_began_it(self):
        vm = self.running_vm(zone="z1")
        name = self.ok("HostService/DrainHost", {
            "name": "h1", "request_id": self.name("why")}).operation_id
        self.addCleanup(self.leader.call, "HostService/CancelDrainHost",
                        {"name": "h1"})
        first = self.get(name)
        self.assertEqual(first.begun_by, "loopback")
        self.assertTrue(first.request_id.startswith("why"), first)
        self.assertGreater(first.begin_time_ms, 0)
        # It goes on, and is still that of who began it.
        again = self.ok("HostService/DrainHost", {
            "name": "h1", "deadline_ms": 600000}).operation_id
        self.assertEqual(again, name)
        for client in (self.leader, *self.followers):
            self.assertEqual(self.get(name, client).request_id,
                             first.request_id)
        stop = self.ok("VmService/StopVm", {
            "name": vm, "request_id": self.name("stop")}).operation_id
        ended = self.finish(stop)
        self.assertEqual(ended.begun_by, "loopback")
        self.assertTrue(ended.request_id.startswith("stop"), ended)

    def test_list_operations(self):
        _, name = self.stuck_drain()
        for fields in ({}, {"active": True}, {"object": "h1"},
                       {"kind": "OPERATION_KIND_DRAIN_HOST"}):
            self.assertIn(name, [o.name for o in
                                 self.ok(LIST, fields).operations])
        self.assertEqual(
            len(self.ok(LIST, {"object": "nothing"}).operations), 0)
        self.fails(LIST, {"page_size": 10001}, "page_size")

    def test_wait_operation(self):
        vm = self.running_vm()
        name = self.ok("VmService/StopVm", {"name": vm}).operation_id
        self.assertEqual(self.finish(name).state, DONE)
        name = self.ok("VmService/StartVm", {"name": vm}).operation_id
        self.assertEqual(self.finish(name).state, DONE)
        name = self.ok("VmService/MoveVm", {"name": vm}).operation_id
        self.assertEqual(self.finish(name).state, DONE)
        name = self.ok("VmService/DeleteVm", {"name": vm}).operation_id
        self.assertEqual(self.finish(name).state, DONE)
        self.assertEqual(self.finish(name).message, "the VM is deleted")
        self.refuse_all(WAIT)
        self.fails(WAIT, {"name": name, "timeout_ms": 60001}, "timeout_ms")

    def test_a_wait_ends_with_its_time(self):
        _, name = self.stuck_drain()
        answer = self.ok(WAIT, {"name": name, "timeout_ms": 1}).operation
        self.assertEqual(answer.state, RUNNING)

    def test_cancel_operation(self):
        _, name = self.stuck_drain()
        operation = self.mutate(CANCEL, {"name": name}).operation
        self.assertEqual(operation.state, CANCELLED)
        self.assertEqual(self.get(name).state, CANCELLED)
        self.refuse_all(CANCEL)
        vm = self.running_vm()
        name = self.ok("VmService/StopVm", {"name": vm}).operation_id
        # It stops, or has stopped: neither can be taken back.
        self.refused(CANCEL, {"name": name}, "FAILED_PRECONDITION",
                     "OPERATION_NOT_CANCELLABLE")
        # A drain after it is another one.
        again = self.ok("HostService/DrainHost", {"name": "h1"}).operation_id
        self.assertNotEqual(again, name)

    def test_operations_of_a_group(self):
        group = self.name("group")
        name = self.ok("GroupService/CreateGroup", {"group": {
            "name": group, "count": 2, "template": MEMBERS}}).operation_id
        self.assertEqual(self.finish(name).done_count, 2)
        bigger = self.ok("GroupService/ScaleGroup",
                         {"name": group, "count": 3}).operation_id
        self.assertEqual(self.get(name).state, CANCELLED)
        self.assertEqual(self.finish(bigger).state, DONE)
        gone = self.ok("GroupService/DeleteGroup",
                       {"name": group}).operation_id
        self.assertEqual(self.finish(gone).state, DONE)

    def test_the_command_line_tells_waits_and_cancels(self):
        _, name = self.stuck_drain()
        text, code = self.command("list")
        self.assertEqual(code, 0, text)
        self.assertIn(name, text)
        for words in (["--active"], ["--kind", "drain_host"],
                      ["--object", "h1"]):
            self.assertIn(name, self.command("list", *words)[0], words)
        for words in (["--kind", "drain_zone"], ["--object", "h2"]):
            self.assertNotIn(name, self.command("list", *words)[0], words)
        self.assertEqual(self.command("list", "--kind", "nap")[1], 2)
        text, code = self.command("get", name)
        self.assertIn("VM", text)
        self.assertEqual(code, 0, text)
        # Completion takes what the asked node has, which may be behind.
        wait_until(lambda: name in self.holdfast(
            "completion", "names", "operation", "drain-h")[0].split(),
            "its name is completed")
        text, code = self.command("wait", name, "--wait-timeout", "1s")
        self.assertEqual(code, 7, text)
        text, code = self.command("cancel", name)
        self.assertEqual(code, 0, text)
        self.assertNotIn(name, self.command("list", "--active")[0])
        text, code = self.command("wait", name)
        self.assertIn("cancelled", text)
        self.assertEqual(code, 1, text)

    def test_only_so_many_wait_at_once(self):
        """Over several connections, for one bears 256 calls; the first that
        is refused ends it."""
        _, name = self.stuck_drain()
        address = self.region.leader().address
        clients = [holdfast_client.Client(address)
                   for _ in range(WAITS_MAX // 200 + 1)]
        calls = []
        for client in clients:
            self.addCleanup(client.close)
            calls += [client.future(WAIT, {"name": name, "timeout_ms": 60000})
                      for _ in range(200)]
        over, waiting = concurrent.futures.wait(
            [self.watched(call) for call in calls], 30,
            concurrent.futures.FIRST_COMPLETED)
        refusal = over.pop().result()
        self.check_refusal(WAIT, refusal, "RESOURCE_EXHAUSTED", "WAITS_BUSY",
                           "")
        self.assertEqual(refusal.retry_ms, "500")
        for call in calls:
            call.cancel()
        concurrent.futures.wait(waiting, 30)
        # Who went away waits no more: others may again.
        wait_until(lambda: self.waits(name), "a wait finds a place again")

    @staticmethod
    def watched(call):
        """A future of the standard library for one of grpcio's: Refused, or
        None when it was answered or given up."""
        future = concurrent.futures.Future()

        def ended(call):
            if call.cancelled():
                future.set_result(None)
                return
            error = call.exception()
            future.set_result(Refused(error) if isinstance(
                error, grpc.RpcError) else None)
        call.add_done_callback(ended)
        return future

    def waits(self, name):
        try:
            self.leader.call(WAIT, {"name": name, "timeout_ms": 1})
            return True
        except Refused:
            return False

    def test_a_wait_is_told_of_a_change_of_leader(self):
        _, name = self.stuck_drain()
        told = []

        def wait():
            try:
                self.leader.call(WAIT, {"name": name, "timeout_ms": 60000},
                                 timeout=60)
                told.append("OK")
            except Refused as refusal:
                told.append(refusal.code)
        waiting = threading.Thread(target=wait)
        waiting.start()
        while waiting.is_alive():  # It may not have begun to wait at first.
            self.leader.call("ClusterService/TransferLeadership", {})
            waiting.join(1)
        self.assertEqual(told, ["UNAVAILABLE"])
        self.setUp()

        def known():
            try:
                return self.get(name, self.followers[0]).state == RUNNING
            except Refused:
                return False
        wait_until(known, "the operation is known to the new leader")


class Applies(OperationsCase):
    """What was applied, as an operation of all that it set in motion."""

    def apply(self, vms=2, groups=(), **fields):
        names = [self.name() for _ in range(vms)]
        answer = self.ok(APPLY, {"manifest": {
            "vms": [{"name": name, "class_name": "small",
                     "template": TEMPLATE} for name in names],
            "groups": list(groups)}, **fields})
        return names, answer.operation_id

    def test_a_manifest_is_over_when_all_of_it_is(self):
        names, name = self.apply(3, request_id=self.name("why"))
        operation = self.finish(name)
        self.assertEqual((operation.state, operation.kind, operation.object),
                         (DONE, APPLY_MANIFEST, "manifest"))
        self.assertEqual((operation.done_count, operation.total_count,
                          operation.left_count), (3, 3, 0))
        self.assertEqual(operation.begun_by, "loopback")
        self.assertTrue(operation.request_id.startswith("why"))
        self.assertIn(name, [o.name for o in self.ok(
            LIST, {"kind": "OPERATION_KIND_APPLY_MANIFEST"}).operations])
        wait_until(lambda: self.get(name).end_time_ms > 0, "that is noted")
        # What becomes of its VMs later is no matter of it.
        for vm in names:
            self.ok("VmService/DeleteVm", {"name": vm})
        for client in (self.leader, *self.followers):
            self.assertEqual(self.get(name, client).state, DONE)

    def test_nothing_to_do_is_no_operation(self):
        _, name = self.apply(1, dry_run=True)
        self.assertEqual(name, "")
        zones = {"manifest": {"zones": [{"name": "z1"}]}}
        self.assertEqual(self.ok(APPLY, zones).operation_id, "")

    def drained(self):
        """A plan to drain the host of a VM; the VM, the host, the plan."""
        vm = self.running_vm()
        host = self.vm(vm).status.host
        plan = self.ok("PlanService/MakePlan", {
            "action": {"drain_host": {"name": host}}}).plan.id
        self.addCleanup(self.leader.call, "HostService/CancelDrainHost",
                        {"name": host})
        return vm, host, plan

    def test_it_is_cancelled_where_it_can_be(self):
        _, host, plan = self.drained()
        with self.quiet():
            name = self.ok("PlanService/ApplyPlan", {"id": plan}).operation_id
            drain = f"drain-host.{host}."
            operation = self.get(name)
            self.assertEqual(operation.state, RUNNING)
            self.assertTrue(operation.cancellable)
            self.assertTrue([o for o in operation.left_operations
                             if o.startswith(drain)], operation)
            after = self.mutate(CANCEL, {"name": name}).operation
            # A VM that stops already goes on.
            self.assertEqual(after.state, RUNNING)
            self.assertFalse(after.cancellable)
            self.assertFalse([o for o in after.left_operations
                              if o.startswith(drain)], after)
            for client in self.followers:
                self.assertEqual(self.get(name, client).left_count,
                                 after.left_count)
        self.assertEqual(self.finish(name).state, CANCELLED)
        self.refused(CANCEL, {"name": self.apply(0, [{
            "name": self.name("rules"), "zone_rule": "ZONE_RULE_APART"}])[1]},
            "FAILED_PRECONDITION", "OPERATION_NOT_CANCELLABLE", "over")

    def test_a_plan_is_over_when_its_moves_are(self):
        vm, host, plan = self.drained()
        self.assertEqual(self.ok("PlanService/ApplyPlan", {
            "id": plan, "dry_run": True}).operation_id, "")
        name = self.ok("PlanService/ApplyPlan", {"id": plan}).operation_id
        operation = self.finish(name)
        self.assertEqual((operation.state, operation.kind, operation.object),
                         (DONE, APPLY_PLAN, plan))
        # The drain, and each VM that was to move.
        self.assertGreaterEqual(operation.total_count, 2)
        self.assertNotEqual(self.vm(vm).status.host, host)

    def test_a_new_leader_goes_on_with_it(self):
        with self.quiet():
            _, name = self.apply(2)
            self.leader.call("ClusterService/TransferLeadership", {})
            self.setUp()
            for client in (self.leader, *self.followers):
                operation = self.get(name, client)
                self.assertEqual((operation.state, operation.left_count),
                                 (RUNNING, 2))
        self.assertEqual(self.finish(name).state, DONE)
