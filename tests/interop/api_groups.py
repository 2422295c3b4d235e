# SPDX-License-Identifier: Apache-2.0
"""Groups, reservations, drains and headroom: what they do, and how they say
no."""
from api_case import TEMPLATE, RegionCase, vm_of
from holdfast_client import Refused
from holdfast_region import wait_until

MEMBERS = {"class_name": "small", "template": TEMPLATE}


def group_of(group_name, **fields):
    return {"group": {"name": group_name, **fields}}


class Groups(RegionCase):
    CREATE = "GroupService/CreateGroup"

    def group(self, name):
        return self.leader.call("GroupService/GetGroup", {"name": name}).group

    def make(self, **fields):
        name = self.name("group")
        self.ok(self.CREATE, group_of(name, **fields))
        return name

    def healthy(self, name):
        group = self.group(name)
        return group if group.status.healthy else None

    def gone(self, name):
        try:
            return not self.group(name)
        except Refused as refusal:
            return refusal.code == "NOT_FOUND"

    def test_create_group(self):
        name = self.name("group")
        group = self.mutate(self.CREATE, group_of(
            name, template=MEMBERS, max_skew=2, zones=["z1", "z2"])).group
        self.assertEqual((group.name, group.count, group.generation),
                         (name, 0, 1))
        self.assertEqual((group.zone_rule, group.max_skew, list(group.zones)),
                         (1, 2, ["z1", "z2"]))
        self.assertTrue(group.protected)
        self.refused(self.CREATE, group_of(name), "ALREADY_EXISTS",
                     "NAME_TAKEN", name)
        self.refused(self.CREATE, group_of("g", zones=["nowhere"]),
                     "NOT_FOUND", "ZONE_NOT_FOUND", "nowhere")
        self.refused(self.CREATE, group_of("g", template={
            **MEMBERS, "class_name": "none"}),
            "NOT_FOUND", "CLASS_NOT_FOUND", "none")
        self.fails(self.CREATE, {}, "group")
        self.fails(self.CREATE, group_of("G"), "group.name")
        self.fails(self.CREATE, group_of("g", revision=1), "group")

    def test_rules_that_contradict_each_other_are_refused(self):
        for fields, one, other in (
                ({"zone_rule": "ZONE_RULE_TOGETHER", "max_skew": 1},
                 "group.max_skew", "group.zone_rule"),
                ({"count": 1}, "group.count", "group.template"),
                ({"host_max": 1}, "group.host_max", "group.host_mode"),
                ({"zones": ["z1"], "protected": True}, "group.protected",
                 "group.zones")):
            refusal = self.refused(self.CREATE, group_of("g", **fields),
                                   "FAILED_PRECONDITION", "RULES_CONFLICT",
                                   one)
            self.assertIn(other, refusal.text)

    def test_members_are_made_spread_and_deleted(self):
        name = self.make(template=MEMBERS, count=6,
                         zone_mode="RULE_MODE_STRICT")
        group = wait_until(lambda: self.healthy(name), "six members run")
        self.assertEqual([z.member_count for z in group.status.zones],
                         [2, 2, 2])
        self.assertEqual((group.status.skew, group.status.running_count),
                         (0, 6))
        members = self.ok("VmService/ListVms", {"group": name}).vms
        self.assertEqual(len(members), 6)
        self.assertEqual({m.status.template_generation for m in members}, {1})
        scaled = self.ok("GroupService/ScaleGroup",
                         {"name": name, "count": 3}).group
        self.assertEqual(scaled.count, 3)
        wait_until(lambda: self.healthy(name)
                   and self.group(name).status.member_count == 3,
                   "three are left")
        # Those that go are in their zones until their hosts have said so.
        wait_until(lambda: [z.member_count for z in
                            self.group(name).status.zones] == [1, 1, 1],
                   "one is left in each zone")
        self.ok("GroupService/DeleteGroup", {"name": name})
        wait_until(lambda: self.gone(name), "the group is gone")
        self.assertEqual(len(self.ok("VmService/ListVms", {}).vms), len(
            [v for v in self.ok("VmService/ListVms", {}).vms
             if v.group != name]))

    def test_get_group(self):
        name = self.make(template=MEMBERS)
        group = self.ok("GroupService/GetGroup", {"name": name}).group
        self.assertEqual(group.template.template.command[0], "/bin/sleep")
        self.assertTrue(group.status.healthy)
        self.refused("GroupService/GetGroup", {"name": "none"}, "NOT_FOUND",
                     "GROUP_NOT_FOUND", "none")

    def test_list_groups(self):
        name = self.make(template=MEMBERS)
        groups = {g.name: g for g in
                  self.ok("GroupService/ListGroups", {}).groups}
        self.assertFalse(groups[name].HasField("template"))
        self.fails("GroupService/ListGroups", {"page_token": "x"},
                   "page_token")

    def test_update_group(self):
        path = "GroupService/UpdateGroup"
        name = self.make(template=MEMBERS)
        group = self.mutate(path, {
            "group": {"name": name, "max_unavailable": 2, "protected": False},
            "update_mask": ["max_unavailable", "protected"]}).group
        self.assertEqual((group.max_unavailable, group.protected), (2, False))
        good = {"group": {"name": name}, "update_mask": ["zones"]}
        self.fails(path, {**good, "update_mask": ["count"]}, "update_mask")
        self.fails(path, {"update_mask": ["zones"]}, "group")
        self.refused(path, {**good, "group": {"name": "none"}}, "NOT_FOUND",
                     "GROUP_NOT_FOUND", "none")

    def test_members_of_an_older_template_are_replaced(self):
        name = self.make(template=MEMBERS, count=2, max_unavailable=1)
        wait_until(lambda: self.healthy(name), "two members run")
        self.ok("GroupService/UpdateGroup", {
            "group": {"name": name,
                      "template": {**MEMBERS, "priority": 9}},
            "update_mask": ["template"]})

        def replaced():
            members = self.leader.call("VmService/ListVms",
                                       {"group": name}).vms
            return (self.healthy(name) and
                    [m.status.template_generation for m in members] == [2, 2])
        wait_until(replaced, "both are of the new template")
        self.ok("GroupService/DeleteGroup", {"name": name})

    def test_scale_group(self):
        path = "GroupService/ScaleGroup"
        name = self.make(template=MEMBERS)
        # To what it is, for its controller would change the state meanwhile.
        self.mutate(path, {"name": name, "count": 0})
        self.fails(path, {"name": name, "count": 100001}, "count")
        self.refused(path, {"name": "none"}, "NOT_FOUND", "GROUP_NOT_FOUND",
                     "none")

    def test_delete_group(self):
        path = "GroupService/DeleteGroup"
        name = self.make(template=MEMBERS)
        group = self.mutate(path, {"name": name}).group
        self.assertTrue(group.status.deleting)
        self.refused(path, {"name": name}, "NOT_FOUND", "GROUP_NOT_FOUND",
                     name)

    def test_delete_group_that_vms_joined(self):
        path = "GroupService/DeleteGroup"
        name = self.make()
        vm = self.running_vm(group=name)
        self.refused(path, {"name": name}, "FAILED_PRECONDITION",
                     "GROUP_HAS_JOINED", "with_joined")
        with self.quiet():
            self.ok(path, {"name": name, "with_joined": True})
            for method, fields in (
                    ("GroupService/ScaleGroup", {"name": name}),
                    ("GroupService/UpdateGroup", {
                        "group": {"name": name}, "update_mask": ["zones"]}),
                    ("VmService/CreateVm", vm_of("late", group=name))):
                self.refused(method, fields, "FAILED_PRECONDITION",
                             "GROUP_DELETING", name)
        wait_until(lambda: self.gone(name), "the group is gone")
        self.refused("VmService/GetVm", {"name": vm}, "NOT_FOUND",
                     "VM_NOT_FOUND", vm)

    def test_watch_tells_of_groups(self):
        before = self.status().revision
        name = self.make()
        self.ok("GroupService/DeleteGroup", {"name": name})
        stream = self.follower.stream("WatchService/Watch", {
            "after_revision": before, "kinds": ["KIND_GROUP"]})
        events = []
        while len(events) < 2:
            events += [e for e in next(stream).events if e.group.name == name]
        stream.cancel()
        self.assertEqual([e.deleted for e in events], [False, True])

    def test_vm_with_a_size_of_its_own(self):
        size = {"cpu_milli": 150, "memory_mib": 70}
        name = self.name()
        vm = self.ok("VmService/CreateVm", {"vm": {
            "name": name, "resources": size, "template": TEMPLATE}}).vm
        self.assertEqual((vm.class_name, vm.resources.cpu_milli), ("", 150))
        self.assertEqual(len(self.ok("ClassService/ListClasses",
                                     {}).classes), 1)
        self.fails("VmService/CreateVm", vm_of("bad", resources=size),
                   "vm.class_name, vm.resources")
        self.ok("VmService/DeleteVm", {"name": name})


class Reservations(RegionCase):
    CREATE = "ReservationService/CreateReservation"

    @staticmethod
    def slots(name, **fields):
        return {"reservation": {"name": name, "zone": "z1",
                                "class_name": "small", "count": 2, **fields}}

    def test_create_reservation(self):
        name = self.name("spare")
        made = self.mutate(self.CREATE, self.slots(name)).reservation
        self.assertEqual((made.name, made.zone, made.class_name, made.count),
                         (name, "z1", "small", 2))
        self.refused(self.CREATE, self.slots(name), "ALREADY_EXISTS",
                     "NAME_TAKEN", name)
        self.refused(self.CREATE, self.slots("r", zone="nowhere"),
                     "NOT_FOUND", "ZONE_NOT_FOUND", "nowhere")
        self.refused(self.CREATE, self.slots("r", class_name="none"),
                     "NOT_FOUND", "CLASS_NOT_FOUND", "none")
        self.fails(self.CREATE, self.slots("r", count=0), "reservation.count")
        self.fails(self.CREATE, {}, "reservation")

    def test_list_reservations(self):
        path = "ReservationService/ListReservations"
        name = self.name("spare")
        self.ok(self.CREATE, self.slots(name))
        self.assertIn(name, [r.name for r in self.ok(path, {}).reservations])
        self.fails(path, {"page_size": 10001}, "page_size")

    def test_update_reservation(self):
        path = "ReservationService/UpdateReservation"
        name = self.name("spare")
        self.ok(self.CREATE, self.slots(name))
        made = self.mutate(path, {"name": name, "count": 5}).reservation
        self.assertEqual(made.count, 5)
        wish = {"reservation": {"name": name, "count": 6}}
        masked = {**wish, "update_mask": ["count"]}
        self.assertEqual(self.mutate(path, masked).reservation.count, 6)
        self.fails(path, wish, "update_mask")
        self.fails(path, {**wish, "update_mask": ["zone"]}, "update_mask")
        self.fails(path, {"name": name}, "count")
        self.refused(path, {"name": "none", "count": 1}, "NOT_FOUND",
                     "RESERVATION_NOT_FOUND", "none")

    def test_delete_reservation(self):
        path = "ReservationService/DeleteReservation"
        name = self.name("spare")
        self.ok(self.CREATE, self.slots(name))
        gone = self.mutate(path, {"name": name}).reservation
        self.assertEqual(gone.name, name)
        self.refused(path, {"name": name}, "NOT_FOUND",
                     "RESERVATION_NOT_FOUND", name)


class Drains(RegionCase):
    def test_drain_host_and_cancel(self):
        path = "HostService/DrainHost"
        name = self.running_vm(zone="z1")
        host = self.mutate(path, {"name": "h2", "deadline_ms": 60000}).host
        self.assertTrue(host.draining)
        self.assertGreater(host.drain_deadline_ms, 0)
        self.fails(path, {"name": "h2", "deadline_ms": 604800001},
                   "deadline_ms")
        self.fails(path, {"name": "h2", "accept_risk": True}, "reason")
        self.refused(path, {"name": "none"}, "NOT_FOUND", "HOST_NOT_FOUND",
                     "none")
        # Nothing new comes; a VM of zone 1 has nowhere to go.
        self.ok(path, {"name": "h1"})
        self.assertEqual(self.vm(name).status.host, "h1")
        path = "HostService/CancelDrainHost"
        host = self.mutate(path, {"name": "h2"}).host
        self.assertFalse(host.draining)
        self.ok(path, {"name": "h1"})
        self.refused(path, {"name": "none"}, "NOT_FOUND", "HOST_NOT_FOUND",
                     "none")

    def test_vms_leave_a_host_that_is_drained(self):
        name = self.running_vm()
        host = self.vm(name).status.host
        self.ok("HostService/DrainHost", {"name": host})
        wait_until(lambda: self.vm(name).status.host not in ("", host),
                   "it moved")
        self.assertEqual(self.wait_vm(name, "RUNNING").status.move_cause, 2)
        wait_until(lambda: self.leader.call(
            "HostService/GetHost", {"name": host}).host.vm_count == 0 or
            any(v.zone for v in self.leader.call(
                "VmService/ListVms", {"host": host}).vms), "it is empty")
        self.ok("HostService/CancelDrainHost", {"name": host})

    def test_drain_zone_and_cancel(self):
        path = "ZoneService/DrainZone"
        zone = self.mutate(path, {"name": "z2"}).zone
        self.assertTrue(zone.draining)
        self.refused(path, {"name": "nowhere"}, "NOT_FOUND", "ZONE_NOT_FOUND",
                     "nowhere")
        self.fails(path, {"name": "z2", "accept_risk": True}, "reason")
        path = "ZoneService/CancelDrainZone"
        self.assertFalse(self.mutate(path, {"name": "z2"}).zone.draining)
        self.refused(path, {"name": "nowhere"}, "NOT_FOUND",
                     "ZONE_NOT_FOUND", "nowhere")


class Quorum(RegionCase):
    HOSTS = False

    def test_zone_whose_node_is_needed_is_not_drained(self):
        path = "ZoneService/DrainZone"
        lost = self.region.followers()[0]
        leader = self.region.leader()
        lost.kill()
        client = self.region.client(leader)

        def refused():
            try:
                client.call(path, {"name": leader.zone, "dry_run": True})
            except Refused as refusal:
                return refusal
            return None
        refusal = wait_until(refused, "the lost node is missed")
        self.check_refusal(path, refusal, "FAILED_PRECONDITION",
                           "QUORUM_NEEDED", leader.zone)
        self.ok(path, {"name": lost.zone, "dry_run": True}, client)
        self.ok(path, {"name": leader.zone, "accept_risk": True,
                       "reason": "a test", "dry_run": True}, client)
        lost.start()
        self.region.leader()


class Headroom(RegionCase):
    """Three hosts, each for one large VM: of two, either zone may be lost; of
    three, none."""

    def enforce(self):
        self.ok("ClusterService/UpdateSettings", {
            "settings": {"headroom": "HEADROOM_MODE_ENFORCE"},
            "update_mask": ["headroom"]})
        self.ok("ClassService/CreateClass", {"vm_class": {
            "name": "large", "resources": {"cpu_milli": 5000,
                                           "memory_mib": 64}}})

    def create(self, name, **fields):
        """Until the leader knows whether it may."""
        def answered():
            try:
                return self.leader.call("VmService/CreateVm", vm_of(
                    name, class_name="large", **fields))
            except Refused as refusal:
                return None if refusal.code == "UNAVAILABLE" else refusal
        return wait_until(answered, "headroom is known")

    def test_what_would_cost_headroom_is_refused(self):
        self.enforce()
        for number in (1, 2):
            self.create(f"large-{number}")
            self.wait_vm(f"large-{number}", "RUNNING")
        path = "VmService/CreateVm"
        refusal = self.check_refusal(path, self.create("large-3"),
                                     "FAILED_PRECONDITION", "HEADROOM",
                                     "large")
        self.assertIn("zone 'z", refusal.text)
        self.refused("VmService/GetVm", {"name": "large-3"}, "NOT_FOUND",
                     "VM_NOT_FOUND", "large-3")
        self.refused("GroupService/CreateGroup", group_of(
            "g", count=1, template={**MEMBERS, "class_name": "large"}),
            "FAILED_PRECONDITION", "HEADROOM", "zone")
        zones = self.ok("ZoneService/ListZones", {}).zones
        self.assertEqual([z.headroom.unplaceable_count for z in zones],
                         [0, 0, 0])
        self.refused("HostService/DrainHost", {"name": "h1"},
                     "FAILED_PRECONDITION", "HEADROOM", "")
        self.ok("HostService/DrainHost", {
            "name": "h1", "accept_risk": True, "reason": "a test",
            "dry_run": True})
