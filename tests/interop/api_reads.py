# SPDX-License-Identifier: Apache-2.0
"""Reads: pages, any node, deadlines; watches; the standard services."""
import os
import signal

import grpc
import holdfast_client
from api_case import RegionCase, Seen, vm_of
from holdfast_client import Refused, first_error
from holdfast_region import wait_until

STALE = {"consistency": "CONSISTENCY_STALE"}


class Lists(RegionCase):
    def pages(self, path, items, size, **fields):
        """All names of a list in pages, each through another node."""
        clients = [self.leader, *self.followers]
        names, token, pages = [], "", 0
        while pages == 0 or token:
            answer = self.ok(path, {**fields, "page_size": size,
                                    "page_token": token},
                             clients[pages % len(clients)])
            page = [item.name for item in getattr(answer, items)]
            self.assertLessEqual(len(page), size)
            names += page
            token = answer.next_page_token
            pages += 1
        return names, pages

    def test_every_list_comes_in_pages(self):
        made = []
        for number in range(7):
            made.append(self.name("page"))
            self.ok("VmService/CreateVm", vm_of(
                made[-1], desired="DESIRED_STATE_STOPPED",
                labels={"in": "pages"}))
            self.ok("VmService/CreateVm", vm_of(
                self.name("other"), desired="DESIRED_STATE_STOPPED"))
            self.ok("ClassService/CreateClass", {"vm_class": {
                "name": f"class-{number}",
                "resources": {"cpu_milli": 1, "memory_mib": 1}}})
            self.ok("GroupService/CreateGroup", {"group": {
                "name": f"group-{number}"}})
            self.ok("ReservationService/CreateReservation", {"reservation": {
                "name": f"spare-{number}", "zone": "z1", "count": 1,
                "class_name": f"class-{number}"}})
        names, pages = self.pages("VmService/ListVms", "vms", 3,
                                  filter="in=pages")
        self.assertEqual((sorted(names), pages), (sorted(made), 3))
        for path, items in (("VmService/ListVms", "vms"),
                            ("ZoneService/ListZones", "zones"),
                            ("ClassService/ListClasses", "classes"),
                            ("GroupService/ListGroups", "groups"),
                            ("ReservationService/ListReservations",
                             "reservations"),
                            ("HostService/ListHosts", "hosts")):
            whole = [item.name for item in
                     getattr(self.ok(path, {}), items)]
            names, pages = self.pages(path, items, 2)
            self.assertEqual(names, whole)
            self.assertGreater(pages, 1)
            for token in ("x", "-1", "1.2", "1.2.9999999999", "1.2.3 "):
                self.fails(path, {"page_token": token}, "page_token")

    def test_pages_are_of_one_revision(self):
        names = [self.name("pinned") for _ in range(3)]
        for name in names:
            self.ok("ZoneService/CreateZone", {"name": name})
        first = self.ok("ZoneService/ListZones", {"page_size": 1})
        later = self.name("pinned")
        self.ok("ZoneService/CreateZone", {"name": later})
        seen, token = [], first.next_page_token
        while token:
            for client in (self.leader, *self.followers):
                page = self.ok("ZoneService/ListZones", {
                    "page_size": 1, "page_token": token}, client)
                self.assertEqual(page.revision, first.revision)
            seen += [zone.name for zone in page.zones]
            token = page.next_page_token
        self.assertEqual(seen[-3:], names)
        self.assertNotIn(later, seen)

    def test_a_page_that_is_not_kept_is_told(self):
        self.refused("VmService/ListVms", {"page_token": "1.0.0"},
                     "ABORTED", "PAGE_EXPIRED", "first page")

    def test_every_node_gives_the_same_answer(self):
        name = self.running_vm()
        for path, fields in (
                ("VmService/GetVm", {"name": name}),
                ("VmService/ListVms", {}),
                ("ZoneService/GetZone", {"name": "z1"}),
                ("ZoneService/ListZones", {}),
                ("ClassService/ListClasses", {}),
                ("GroupService/ListGroups", {}),
                ("ReservationService/ListReservations", {}),
                ("HostService/GetHost", {"name": "h1"}),
                ("HostService/ListHosts", {}),
                ("ClusterService/GetSettings", {})):
            answers = [self.ok(path, fields, client)
                       for client in (self.leader, *self.followers)]
            for answer in answers:
                if path == "HostService/GetHost":  # It counts down.
                    answer.host.lease.ClearField("remaining_ms")
                for host in getattr(answer, "hosts", []):
                    host.lease.ClearField("remaining_ms")
                self.assertEqual(answer, answers[0], path)

    def test_every_node_gives_the_same_refusal(self):
        for client in (self.leader, *self.followers):
            self.refused("VmService/GetVm", {"name": "none"}, "NOT_FOUND",
                         "VM_NOT_FOUND", "none", client)
            self.refused("VmService/StopVm", {"name": "none"}, "NOT_FOUND",
                         "VM_NOT_FOUND", "none", client)

    def test_stale_reads_are_of_the_node_itself_and_say_their_age(self):
        zone = self.name("zone")
        made = self.ok("ZoneService/CreateZone", {"name": zone})
        for client in (self.leader, *self.followers):
            def seen(client=client):
                answer = client.call("ZoneService/ListZones", STALE)
                return answer if answer.revision >= made.revision else None
            answer = wait_until(seen, "the follower has it")
            self.assertIn(zone, [z.name for z in answer.zones])
            self.assertLess(answer.age_ms, 3600 * 1000)
        self.assertEqual(self.ok("ZoneService/ListZones", {}).age_ms, 0)

    def test_reads_of_an_unknown_consistency_are_refused(self):
        for path, (method, _) in holdfast_client.schema.methods.items():
            if ("consistency" in method.input_type.fields_by_name and
                    method.name != "ListNodes"):
                self.fails(path, {"consistency": 7}, "consistency")

    def test_own_writes_are_read_through_any_node(self):
        for client in (self.leader, *self.followers) * 5:
            zone = self.name("class")
            self.ok("ClassService/CreateClass", {"vm_class": {
                "name": zone, "resources": {"cpu_milli": 1,
                                            "memory_mib": 1}}}, client)
            for other in (self.leader, *self.followers):
                classes = self.ok("ClassService/ListClasses", {}, other)
                self.assertIn(zone, [c.name for c in classes.classes])


class Watches(RegionCase):
    HOSTS = False

    def changes(self, count):
        """So many changes of a class; the revision of the last."""
        for _ in range(count // 2):
            name = self.name("class")
            self.ok("ClassService/CreateClass", {"vm_class": {
                "name": name, "resources": {"cpu_milli": 1,
                                            "memory_mib": 1}}})
            answer = self.ok("ClassService/DeleteClass", {"name": name})
        return answer.revision

    def events(self, client, after, last, **fields):
        """All events of a watch up to a revision."""
        stream = client.stream("WatchService/Watch",
                               {"after_revision": after, **fields})
        events, told = [], after
        for message in stream:
            events += message.events
            self.assertGreaterEqual(message.revision, told)
            told = message.revision
            if told >= last:
                break
        stream.cancel()
        Seen.succeeded.add("holdfast.v1.WatchService/Watch")
        return events

    def test_watch_gives_every_change_once_and_in_order(self):
        before = self.status().revision
        last = self.changes(40)
        self.assertEqual(last, before + 40)
        whole = None
        for client in (self.leader, *self.followers):
            events = self.events(client, before, last)
            self.assertEqual([e.revision for e in events],
                             list(range(before + 1, last + 1)))
            self.assertEqual([e.deleted for e in events], [False, True] * 20)
            # All nodes tell the same.
            self.assertEqual(events, whole or events)
            whole = events
            # Wherever it is taken up again.
            self.assertEqual(self.events(client, before + 13, last),
                             events[13:])

    def test_watch_of_kinds(self):
        before = self.status().revision
        self.ok("ZoneService/CreateZone", {"name": self.name("zone")})
        last = self.changes(6)
        kinds = {e.kind for e in self.events(self.leader, before, last)}
        self.assertEqual(kinds, {1, 2})
        events = self.events(self.leader, before, last, kinds=["KIND_ZONE"])
        self.assertEqual([e.WhichOneof("object") for e in events], ["zone"])

    def test_watch_from_now_on_tells_what_comes(self):
        stream = self.follower.stream("WatchService/Watch", {})
        begin = next(stream)
        self.assertEqual(list(begin.events), [])
        self.changes(2)
        message = next(stream)
        self.assertEqual(message.events[0].revision, begin.revision + 1)
        stream.cancel()

    def vm(self, name, **fields):
        return self.ok("VmService/CreateVm", {"vm": {
            "name": name, "class_name": self.small, "desired":
            "DESIRED_STATE_STOPPED", "template": {
                "driver": "DRIVER_EXEC", "command": ["/bin/true"]},
            **fields}}).revision

    def test_watch_by_labels_tells_what_leaves(self):
        self.small = self.name("class")
        self.ok("ClassService/CreateClass", {"vm_class": {
            "name": self.small, "resources": {"cpu_milli": 1,
                                              "memory_mib": 1}}})
        before = self.status().revision
        name, other = self.name("vm"), self.name("vm")
        self.vm(name, labels={"app": "web"})
        self.vm(other, labels={"app": "mail"})
        for app in ("ftp", "web"):
            last = self.ok("VmService/UpdateVm", {
                "vm": {"name": name, "labels": {"app": app}},
                "update_mask": ["labels"]}).revision
        last = self.ok("VmService/DeleteVm", {"name": name}).revision
        for client in (self.leader, *self.followers):
            events = self.events(client, before, last, filter="app=web",
                                 heartbeat_ms=500)
            self.assertEqual([(e.vm.name, e.left, e.deleted) for e in events],
                             [(name, False, False), (name, True, False),
                              (name, False, False), (name, False, True)])
            # Wherever it is taken up again.
            self.assertEqual(self.events(client, events[0].revision, last,
                                         filter="app=web", heartbeat_ms=500),
                             events[1:])
        self.ok("VmService/DeleteVm", {"name": other})

    def test_watch_that_takes_nothing_says_how_far_it_is(self):
        before = self.status().revision
        last = self.changes(10)
        for fields in ({"names": ["nobody"]}, {"name_prefixes": ["nob"]},
                       {"kinds": ["KIND_RESERVATION"]}, {"filter": "a"}):
            self.assertEqual(self.events(self.follower, before, last,
                                         heartbeat_ms=500, **fields), [])

    def test_events_say_why(self):
        before = self.status().revision
        last = self.changes(2)
        for event in self.events(self.leader, before, last):
            self.assertEqual((event.cause, event.cause_revision), (1, 0))

    def test_watch_with_a_filter_that_is_wrong_is_refused(self):
        for fields, word in (
                ({"filter": "=a"}, "filter"),
                ({"names": ["A"]}, "names"),
                ({"name_prefixes": [""]}, "name_prefixes"),
                ({"vm_states": [9]}, "vm_states"),
                ({"host_states": [9]}, "host_states"),
                ({"names": ["a" * 63] * 4000}, "names"),
                ({"heartbeat_ms": 499}, "heartbeat_ms"),
                ({"heartbeat_ms": 60001}, "heartbeat_ms")):
            self.check_refusal(
                "WatchService/Watch",
                first_error(self.leader.stream("WatchService/Watch", fields)),
                "INVALID_ARGUMENT", "INVALID_FIELD", word)
        self.check_refusal(
            "WatchService/Watch",
            first_error(self.leader.stream("WatchService/Watch",
                                           {"zones": ["nowhere"]})),
            "NOT_FOUND", "ZONE_NOT_FOUND", "nowhere")

    def test_watch_of_an_unknown_kind_is_refused(self):
        self.check_refusal(
            "WatchService/Watch",
            first_error(self.leader.stream("WatchService/Watch",
                                           {"kinds": [1, 9]})),
            "INVALID_ARGUMENT", "INVALID_FIELD", "kinds")

    def test_watch_with_a_deadline_ends_with_it(self):
        stream = self.leader.stream("WatchService/Watch", {}, timeout=0.5)
        self.assertEqual(first_error(stream).code, "DEADLINE_EXCEEDED")


class Deadlines(RegionCase):
    HOSTS = False

    def test_call_without_an_answer_in_time_is_over(self):
        """Nothing commits while two of three stand still; and the leader
        takes 300 ms at the least to see it."""
        stopped = self.region.followers()
        for node in stopped:
            node.freeze()
        try:
            with self.assertRaises(Refused) as caught:
                self.leader.call("ZoneService/ListZones", {}, timeout=0.15)
        finally:
            for node in stopped:
                node.signal(signal.SIGCONT)
        self.assertEqual(caught.exception.code, "DEADLINE_EXCEEDED")
        self.region.leader()


class Standard(RegionCase):
    HOSTS = False

    def test_health_check(self):
        path = "grpc.health.v1.Health/Check"
        for service in ["", *(s for s in holdfast_client.schema.services
                              if s.startswith("holdfast.")
                              and not s.endswith("PeerService"))]:
            for client in (self.leader, self.follower):
                self.assertEqual(
                    self.ok(path, {"service": service}, client).status, 1)
        self.refused(path, {"service": "none"}, "NOT_FOUND", None, "none")

    def test_health_watch(self):
        path = "grpc.health.v1.Health/Watch"
        stream = self.leader.stream(path, {})
        self.assertEqual(next(stream).status, 1)
        stream.cancel()
        Seen.succeeded.add(path)
        stream = self.leader.stream(path, {"service": "none"})
        self.assertEqual(next(stream).status, 3)  # As its contract says.
        stream.cancel()
        self.check_refusal(path, first_error(self.leader.stream(path,
                                                                b"\xff")),
                           "INVALID_ARGUMENT", None, "malformed")

    def test_reflection(self):
        path = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        requests = [self.leader.request(path, fields) for fields in (
            {"file_containing_symbol": "holdfast.v1.VmService.CreateVm"},
            {"file_by_filename": "none.proto"})]
        found, missing = self.leader.session(path, iter(requests))
        self.assertTrue(found.HasField("file_descriptor_response"))
        self.assertEqual(missing.error_response.error_code, 5)
        Seen.succeeded.add(path)
        self.check_refusal(
            path, first_error(self.leader.session(path, iter([b"\xff"]))),
            "INVALID_ARGUMENT", None, "malformed")

    def test_peer_stream(self):
        """Nodes among themselves: only members of the region, and nothing
        that one of them says can be wrong enough to matter."""
        path = "holdfast.v1.PeerService/Stream"
        leader = self.status().node.id
        other = leader % 3 + 1

        def speak(region, sender, to):
            return self.leader.stub(path)(
                iter([b"\xff\xff", b"\x12\x00", b"\x22\x02\x08\x01"]),
                metadata=(("holdfast-region", region),
                          ("holdfast-node", sender), ("holdfast-to", to)),
                timeout=holdfast_client.SECONDS)
        before = self.status()
        self.assertEqual(list(speak("interop", str(other), str(leader))), [])
        Seen.succeeded.add(path)
        for who, code in (
                (("elsewhere", str(other), str(leader)),
                 "FAILED_PRECONDITION"),
                (("interop", str(other), str(other)), "FAILED_PRECONDITION"),
                (("interop", "77", str(leader)), "UNAUTHENTICATED"),
                (("interop", str(leader), str(leader)), "UNAUTHENTICATED")):
            self.check_refusal(path, first_error(speak(*who)), code, None, "")
        after = self.status()
        self.assertEqual((after.term, after.leader),
                         (before.term, before.leader))

    def test_malformed_messages_of_every_unary_method_are_refused(self):
        for path, (_, kinds) in holdfast_client.schema.methods.items():
            if not kinds.client_streaming and not kinds.server_streaming:
                for client in (self.leader, self.follower):
                    with self.assertRaises(Refused) as caught:
                        client.call(path, b"\x0a\x7fa")
                    self.assertEqual(caught.exception.code,
                                     "INVALID_ARGUMENT", path)

    def test_unknown_methods_are_unimplemented(self):
        call = self.leader.channel.unary_unary("/holdfast.v1.VmService/Boil")
        with self.assertRaises(grpc.RpcError) as caught:
            call(b"", timeout=holdfast_client.SECONDS)
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.UNIMPLEMENTED)


class RealVms(RegionCase):
    """A real agent runs what the API says."""
    HOSTS = False

    def processes(self, word):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"/bin/sleep", word.encode()]:
                found.append(pid)
        return found

    def test_vm_runs_where_the_api_says(self):
        self.region.agent("real", "z1")
        wait_until(lambda: self.status().host_up_count == 1, "the agent")
        name = self.name()
        word = f"8{os.getpid()}"
        self.ok("VmService/CreateVm", vm_of(name, template={
            "driver": "DRIVER_EXEC", "command": ["/bin/sleep", word],
            "stop_grace_ms": 1000}))
        vm = self.wait_vm(name, "RUNNING")
        self.assertEqual((vm.status.host, vm.status.epoch), ("real", 1))
        self.assertEqual(len(self.processes(word)), 1)
        self.ok("VmService/StopVm", {"name": name})
        self.wait_vm(name, "STOPPED")
        self.assertEqual(self.processes(word), [])
        self.ok("VmService/StartVm", {"name": name})
        self.assertEqual(self.wait_vm(name, "RUNNING").status.epoch, 2)
        self.assertEqual(len(self.processes(word)), 1)
        self.ok("VmService/DeleteVm", {"name": name})
        wait_until(lambda: self.status().vm_count == 0, "it is gone")
        self.assertEqual(self.processes(word), [])
