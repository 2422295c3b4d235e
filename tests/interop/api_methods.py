# SPDX-License-Identifier: Apache-2.0
"""Every method of the public API: what it does, and how it says no."""
import holdfast_client
from api_case import TEMPLATE, RegionCase, vm_of
from holdfast_region import wait_until


class Zones(RegionCase):
    HOSTS = False

    def test_create_zone(self):
        name = self.name("zone")
        zone = self.mutate("ZoneService/CreateZone", {"name": name}).zone
        self.assertEqual((zone.name, zone.state, zone.cordoned),
                         (name, 1, False))
        self.assertGreater(zone.uid, 0)
        self.refused("ZoneService/CreateZone", {"name": name},
                     "ALREADY_EXISTS", "NAME_TAKEN", name)
        for bad in ("", "Z", "-z", "z-", "z" * 64, "z_1", "zö"):
            self.fails("ZoneService/CreateZone", {"name": bad}, "name")

    def test_get_zone(self):
        zone = self.ok("ZoneService/GetZone", {"name": "z1"}).zone
        self.assertEqual(zone.name, "z1")
        self.refused("ZoneService/GetZone", {"name": "nowhere"}, "NOT_FOUND",
                     "ZONE_NOT_FOUND", "nowhere")
        self.fails("ZoneService/GetZone", {"name": ""}, "name")

    def test_list_zones(self):
        zones = self.ok("ZoneService/ListZones", {}).zones
        self.assertLessEqual({"z1", "z2", "z3"}, {z.name for z in zones})
        self.fails("ZoneService/ListZones", {"page_token": "x"}, "page_token")
        self.fails("ZoneService/ListZones", {"page_size": 10001}, "page_size")

    def test_cordon_zone_and_uncordon_zone(self):
        for verb, cordoned in (("Cordon", True), ("Uncordon", False)):
            path = f"ZoneService/{verb}Zone"
            zone = self.mutate(path, {"name": "z2"}).zone
            self.assertEqual(zone.cordoned, cordoned)
            zone = self.ok("ZoneService/GetZone", {"name": "z2"}).zone
            self.assertEqual(zone.cordoned, cordoned)
            # Once more changes nothing, and is no error.
            before = self.status()
            zone.ClearField("headroom")  # Of reads alone.
            self.assertEqual(self.ok(path, {"name": "z2"}).zone, zone)
            self.unchanged(before)
            self.refused(path, {"name": "nowhere"}, "NOT_FOUND",
                         "ZONE_NOT_FOUND", "nowhere")
            self.ok(path, {"name": "z2", "expect_revision": zone.revision})


class Classes(RegionCase):
    HOSTS = False

    def size(self, name, **fields):
        return {"vm_class": {"name": name, "resources": {
            "cpu_milli": 250, "memory_mib": 128, "disk_gib": 1}, **fields}}

    def test_create_class(self):
        name = self.name("class")
        path = "ClassService/CreateClass"
        made = self.mutate(path, self.size(name, zones=["z1", "z3"])).vm_class
        self.assertEqual((made.name, list(made.zones), made.vm_count),
                         (name, ["z1", "z3"], 0))
        self.assertEqual(made.resources.cpu_milli, 250)
        self.refused(path, self.size(name), "ALREADY_EXISTS", "NAME_TAKEN",
                     name)
        self.refused(path, self.size("other", zones=["nowhere"]), "NOT_FOUND",
                     "ZONE_NOT_FOUND", "nowhere")
        self.fails(path, {}, "vm_class")
        self.fails(path, self.size("Name"), "vm_class.name")
        self.fails(path, self.size("other", uid=3), "vm_class")
        self.fails(path, self.size("other", resources={}),
                   "vm_class.resources.cpu_milli")
        self.fails(path, self.size("other", resources={
            "cpu_milli": 1, "memory_mib": 1 << 30}),
            "vm_class.resources.memory_mib")

    def test_list_classes(self):
        classes = self.ok("ClassService/ListClasses", {}).classes
        self.assertIn("small", [c.name for c in classes])
        self.fails("ClassService/ListClasses", {"page_size": 10001},
                   "page_size")

    def test_update_class(self):
        path = "ClassService/UpdateClass"
        name = self.name("class")
        self.ok("ClassService/CreateClass", self.size(name))
        good = {"vm_class": {"name": name, "zones": ["z1"], "resources": {
            "cpu_milli": 300, "memory_mib": 128, "gpu_count": 1,
            "named": {"license": 2}}},
            "update_mask": ["zones", "resources"]}
        made = self.mutate(path, good).vm_class
        self.assertEqual((made.resources.cpu_milli, list(made.zones),
                          dict(made.resources.named)),
                         (300, ["z1"], {"license": 2}))
        self.refused(path, {**good, "vm_class": {"name": "none"}},
                     "NOT_FOUND", "CLASS_NOT_FOUND", "none")
        self.fails(path, {**good, "update_mask": ["name"]}, "update_mask")
        self.fails(path, {"update_mask": ["zones"]}, "vm_class")

    def test_delete_class(self):
        name = self.name("class")
        self.ok("ClassService/CreateClass", self.size(name))
        gone = self.mutate("ClassService/DeleteClass", {"name": name})
        self.assertEqual(gone.vm_class.name, name)
        path = "ClassService/DeleteClass"
        self.refused(path, {"name": name}, "NOT_FOUND", "CLASS_NOT_FOUND",
                     name)
        self.ok("VmService/CreateVm", vm_of(self.name()))
        self.refused(path, {"name": "small"}, "FAILED_PRECONDITION",
                     "CLASS_IN_USE", "small")


class Hosts(RegionCase):
    def test_get_host(self):
        host = self.ok("HostService/GetHost", {"name": "h1"}).host
        self.assertEqual((host.name, host.zone, host.state), ("h1", "z1", 1))
        self.assertEqual((host.capacity.cpu_milli, list(host.pools)),
                         (8000, ["pool"]))
        self.assertTrue(host.lease.connected)
        self.refused("HostService/GetHost", {"name": "none"}, "NOT_FOUND",
                     "HOST_NOT_FOUND", "none")

    def test_get_host_shows_unknown_vms(self):
        """Rule 8: left alone, and shown."""
        stranger = self.host("h-strange", "z1")
        stranger.vms[77 << 32] = (3, "REPORT_STATE_RUNNING")

        def unknown():
            host = self.ok("HostService/GetHost", {"name": "h-strange"}).host
            return list(host.lease.unknown_vm_uids)
        wait_until(lambda: unknown() == [77 << 32], "it is listed")
        self.assertEqual(stranger.vms, {77 << 32: (3, "REPORT_STATE_RUNNING")})

    def test_list_hosts(self):
        def names(**fields):
            return sorted(h.name for h in
                          self.ok("HostService/ListHosts", fields).hosts)
        self.host("h9", "z3", labels={"rack": "r9", "disk": "fast"})
        self.assertLessEqual({"h1", "h2", "h3", "h9"}, set(names()))
        self.assertEqual(names(zone="z2"), ["h2"])
        self.assertEqual(names(filter="rack=r9"), ["h9"])
        self.assertEqual(names(filter="rack=r9,disk=slow"), [])
        self.assertEqual(names(filter="rack,disk!=slow,!gpu"), ["h9"])
        self.assertEqual(names(zone="z3", state="HOST_STATE_LOST"), [])
        self.assertIn("h9", names(zone="z3", state="HOST_STATE_UP"))
        self.fails("HostService/ListHosts", {"state": 9}, "state")
        self.fails("HostService/ListHosts", {"filter": "=r9"}, "filter")
        self.refused("HostService/ListHosts", {"zone": "nowhere"},
                     "NOT_FOUND", "ZONE_NOT_FOUND", "nowhere")

    def test_cordon_host_and_uncordon_host(self):
        for verb, cordoned in (("Cordon", True), ("Uncordon", False)):
            path = f"HostService/{verb}Host"
            host = self.mutate(path, {"name": "h2"}).host
            self.assertEqual(host.cordoned, cordoned)
            host = self.ok("HostService/GetHost", {"name": "h2"}).host
            self.assertEqual(host.cordoned, cordoned)
            self.refused(path, {"name": "none"}, "NOT_FOUND",
                         "HOST_NOT_FOUND", "none")

    def test_declare_host_dead(self):
        path = "HostService/DeclareHostDead"
        dead = self.host("h8", "z1")
        good = {"name": "h8", "confirm": "h8", "reason": "on \"fire\""}
        self.refused(path, {**good, "name": "none"}, "NOT_FOUND",
                     "HOST_NOT_FOUND", "none")
        self.fails(path, {**good, "confirm": "h1"}, "confirm")
        self.fails(path, {**good, "reason": "x" * 256}, "reason")
        self.refused(path, good, "FAILED_PRECONDITION", "HOST_ALIVE", "h8")
        self.refused(path, {**good, "dry_run": True}, "FAILED_PRECONDITION",
                     "HOST_ALIVE", "h8")
        dead.close()

        def silent():
            lease = self.ok("HostService/GetHost", {"name": "h8"}).host.lease
            return lease.remaining_ms < 2000
        wait_until(silent, "renewals are missed")
        host = self.mutate(path, good).host
        self.assertEqual(host.state, 2)
        with open(self.region.leader().log, encoding="utf-8") as log:
            self.assertIn("host.declared_dead host=h8 reason=\"on 'fire'\"",
                          log.read())
        # It is as dead as before.
        self.assertEqual(self.ok(path, good).host.state, 2)


class Vms(RegionCase):
    def test_create_vm(self):
        path = "VmService/CreateVm"
        name = self.name()
        with self.quiet():
            vm = self.mutate(path, vm_of(
                name, zone="z2", priority=7, on_partition="ON_PARTITION_KEEP",
                labels={"app": "web"})).vm
        self.assertEqual((vm.name, vm.zone, vm.priority, vm.on_partition),
                         (name, "z2", 7, 2))
        self.assertEqual((vm.status.host, vm.status.zone, vm.status.epoch),
                         ("h2", "z2", 1))
        self.assertEqual(list(vm.template.command), TEMPLATE["command"])
        self.wait_vm(name, "RUNNING")
        self.refused(path, vm_of(name), "ALREADY_EXISTS", "NAME_TAKEN", name)

    def test_batch_create_vms(self):
        path = "VmService/BatchCreateVms"
        names = [self.name() for _ in range(3)]
        with self.quiet():
            answer = self.mutate(path, {"vms": [
                vm_of(name, labels={"in": "batch"})["vm"] for name in names]})
        self.assertEqual([vm.name for vm in answer.vms], names)
        self.assertEqual(answer.vm_count, 3)
        for vm in answer.vms:
            self.assertNotEqual(vm.status.host, "")
            self.assertFalse(vm.HasField("template"))
        for name in names:
            self.wait_vm(name, "RUNNING")
        before = self.status()
        fresh = vm_of(self.name())["vm"]
        for wrong, code, reason, words in (
                (vm_of("No")["vm"], "INVALID_ARGUMENT", "INVALID_FIELD",
                 "vms[1].name"),
                (fresh, "ALREADY_EXISTS", "NAME_TAKEN", "vms[1]"),
                (vm_of("v", class_name="none")["vm"], "NOT_FOUND",
                 "CLASS_NOT_FOUND", "vms[1].class_name")):
            self.refused(path, {"vms": [fresh, wrong]}, code, reason, words)
        self.fails(path, {"vms": [fresh] * 1001}, "vms")
        self.assertEqual(self.status().state_hash, before.state_hash)

    def test_create_vm_of_wrong_fields(self):
        path = "VmService/CreateVm"
        self.fails(path, {}, "vm: ")
        for fields, field in (
                ({"name": "Vm"}, "vm.name"),
                ({"uid": 7}, "vm: uid"),
                ({"status": {"epoch": 1}}, "vm: uid"),
                ({"priority": 1001}, "vm.priority"),
                ({"on_partition": 3}, "vm.on_partition"),
                ({"desired": 9}, "vm.desired"),
                ({"class_name": ""}, "vm.class_name"),
                ({"zone": "No"}, "vm.zone"),
                ({"labels": {"": "x"}}, "vm.labels"),
                ({"labels": {f"k{i}": "" for i in range(33)}}, "vm.labels"),
                ({"labels": {"k": "v" * 256}}, "vm.labels")):
            self.fails(path, vm_of("bad", **fields), field)
        self.refused(path, vm_of("bad", class_name="none"), "NOT_FOUND",
                     "CLASS_NOT_FOUND", "none")
        self.refused(path, vm_of("bad", zone="nowhere"), "NOT_FOUND",
                     "ZONE_NOT_FOUND", "nowhere")

    def test_create_vm_of_a_wrong_template(self):
        path = "VmService/CreateVm"
        shared = {"kind": "DISK_KIND_SHARED", "pool": "pool", "path": "a/b"}
        for change, field in (
                ({"driver": "DRIVER_UNSPECIFIED"}, "vm.template.driver"),
                ({"command": []}, "vm.template.command"),
                ({"driver": "DRIVER_QEMU"}, "vm.template"),
                ({"command": ["a"] * 65}, "vm.template.command"),
                ({"environment": ["KEY"]}, "vm.template.environment[0]"),
                ({"image": "/etc/passwd"}, "vm.template.image"),
                ({"stop_grace_ms": 600001}, "vm.template.stop_grace_ms"),
                ({"command": ["a" * 17000]}, "vm.template"),
                ({"disks": [{}]}, "vm.template.disks[0].kind"),
                ({"disks": [shared] * 17}, "vm.template.disks"),
                ({"disks": [shared, {**shared, "path": "../a"}]},
                 "vm.template.disks[1].path"),
                ({"disks": [{**shared, "pool": ""}]},
                 "vm.template.disks[0].pool"),
                ({"disks": [{"kind": "DISK_KIND_EPHEMERAL"}]},
                 "vm.template.disks[0].image")):
            self.fails(path, vm_of("bad", template={**TEMPLATE, **change}),
                       field)
        self.refused(
            path, vm_of("bad", template={
                **TEMPLATE, "disks": [{**shared, "pool": "unheard-of"}]}),
            "FAILED_PRECONDITION", "POOL_UNKNOWN", "unheard-of")

    def test_create_vm_in_a_zone_without_its_class(self):
        self.ok("ClassService/CreateClass", {"vm_class": {
            "name": "only-z1", "zones": ["z1"],
            "resources": {"cpu_milli": 1, "memory_mib": 1}}})
        self.refused("VmService/CreateVm",
                     vm_of("bad", class_name="only-z1", zone="z2"),
                     "FAILED_PRECONDITION", "TARGET_REFUSED", "z2")

    def test_vm_without_room_says_why_it_is_pending(self):
        self.ok("ClassService/CreateClass", {"vm_class": {
            "name": "huge", "resources": {"cpu_milli": 9000,
                                          "memory_mib": 1}}})
        name = self.name()
        vm = self.ok("VmService/CreateVm", vm_of(name, class_name="huge")).vm
        self.assertEqual((vm.status.state, vm.status.pending_reason), (1, 2))
        self.assertNotEqual(vm.status.message, "")
        self.ok("VmService/DeleteVm", {"name": name})

    def test_get_vm(self):
        name = self.running_vm()
        vm = self.ok("VmService/GetVm", {"name": name}).vm
        self.assertEqual((vm.name, vm.status.state), (name, 4))
        self.refused("VmService/GetVm", {"name": "none"}, "NOT_FOUND",
                     "VM_NOT_FOUND", "none")

    def test_list_vms(self):
        def names(**fields):
            return sorted(v.name for v in
                          self.ok("VmService/ListVms", fields).vms)
        one = self.running_vm(zone="z1", labels={"set": "l", "n": "1"})
        two = self.running_vm(zone="z2", labels={"set": "l", "n": "2"})
        self.assertEqual(names(filter="set=l"), sorted([one, two]))
        self.assertEqual(names(filter="set=l,n=2"), [two])
        self.assertEqual(names(filter="set=l", zone="z1"), [one])
        self.assertEqual(names(filter="set=l", host="h2"), [two])
        self.assertEqual(names(filter="set=l", state="VM_STATE_PENDING"), [])
        path = "VmService/ListVms"
        self.fails(path, {"filter": "=x"}, "filter")
        self.fails(path, {"state": 99}, "state")
        self.refused(path, {"host": "none"}, "NOT_FOUND", "HOST_NOT_FOUND",
                     "none")
        self.refused(path, {"zone": "nowhere"}, "NOT_FOUND", "ZONE_NOT_FOUND",
                     "nowhere")

    def test_update_vm(self):
        path = "VmService/UpdateVm"
        name = self.running_vm(labels={"a": "1"})
        vm = self.mutate(path, {
            "vm": {"name": name, "priority": 900, "labels": {"b": "2"}},
            "update_mask": ["priority", "labels"]}).vm
        self.assertEqual((vm.priority, dict(vm.labels)), (900, {"b": "2"}))
        good = {"vm": {"name": name}, "update_mask": ["priority"]}
        # What the mask does not name stays.
        self.assertEqual(dict(self.ok(path, good).vm.labels), {"b": "2"})
        self.assertEqual(self.vm(name).priority, 0)
        self.refused(path, {**good, "vm": {"name": "none"}}, "NOT_FOUND",
                     "VM_NOT_FOUND", "none")
        self.fails(path, {"update_mask": ["priority"]}, "vm")
        self.fails(path, {**good, "update_mask": []}, "update_mask")
        self.fails(path, {**good, "update_mask": ["zone"]}, "update_mask")
        self.fails(path, {**good, "vm": {"name": name, "priority": 2000}},
                   "vm.priority")

    def test_update_of_on_partition_waits_for_the_next_start(self):
        name = self.running_vm()
        self.assertEqual(self.vm(name).status.on_partition_active, 1)
        self.ok("VmService/UpdateVm", {
            "vm": {"name": name, "on_partition": "ON_PARTITION_KEEP"},
            "update_mask": ["on_partition"]})
        vm = self.vm(name)
        self.assertEqual((vm.on_partition, vm.status.on_partition_active),
                         (2, 1))

    def test_stop_vm_and_start_vm(self):
        name = self.running_vm()
        with self.quiet():
            vm = self.mutate("VmService/StopVm", {"name": name}).vm
            self.assertEqual((vm.desired, vm.status.state), (2, 5))
        self.wait_vm(name, "STOPPED")
        with self.quiet():
            vm = self.mutate("VmService/StartVm", {"name": name}).vm
            self.assertEqual((vm.desired, vm.status.epoch), (1, 2))
        self.wait_vm(name, "RUNNING")
        for path in ("VmService/StopVm", "VmService/StartVm"):
            self.refused(path, {"name": "none"}, "NOT_FOUND", "VM_NOT_FOUND",
                         "none")

    def test_move_vm(self):
        path = "VmService/MoveVm"
        name = self.running_vm()
        there = "z1" if self.vm(name).status.zone != "z1" else "z2"
        self.fails(path, {"name": name, "zone": "z1", "host": "h1"}, "zone")
        self.refused(path, {"name": name, "zone": "nowhere"}, "NOT_FOUND",
                     "ZONE_NOT_FOUND", "nowhere")
        self.refused(path, {"name": name, "host": "none"}, "NOT_FOUND",
                     "HOST_NOT_FOUND", "none")
        self.refused(path, {"name": "none"}, "NOT_FOUND", "VM_NOT_FOUND",
                     "none")
        with self.quiet():
            vm = self.mutate(path, {"name": name, "zone": there}).vm
            self.assertEqual((vm.status.move_zone, vm.status.epoch),
                             (there, 1))
            self.refused(path, {"name": name}, "FAILED_PRECONDITION",
                         "VM_MOVING", name)
        wait_until(lambda: self.vm(name).status.zone == there, "it moved")
        self.assertEqual(self.wait_vm(name, "RUNNING").status.epoch, 2)

    def test_move_vm_that_may_not_move(self):
        path = "VmService/MoveVm"
        name = self.running_vm(zone="z1")
        self.refused(path, {"name": name, "zone": "z2"},
                     "FAILED_PRECONDITION", "TARGET_REFUSED", "")
        self.ok("VmService/StopVm", {"name": name})
        self.wait_vm(name, "STOPPED")
        self.refused(path, {"name": name}, "FAILED_PRECONDITION",
                     "VM_NOT_RUNNING", name)

    def test_delete_vm(self):
        path = "VmService/DeleteVm"
        name = self.running_vm()
        with self.quiet():
            vm = self.mutate(path, {"name": name}).vm
            self.assertTrue(vm.status.deleting)
            # It is still there, but for nothing else.
            self.assertTrue(self.vm(name).status.deleting)
            for other in ("StartVm", "StopVm", "MoveVm"):
                self.refused(f"VmService/{other}", {"name": name},
                             "FAILED_PRECONDITION", "VM_DELETING", name)
            self.refused("VmService/UpdateVm", {
                "vm": {"name": name}, "update_mask": ["priority"]},
                "FAILED_PRECONDITION", "VM_DELETING", name)
            self.refused("VmService/CreateVm", vm_of(name), "ALREADY_EXISTS",
                         "NAME_TAKEN", name)

        def gone():
            try:
                return not self.vm(name)
            except holdfast_client.Refused as refusal:
                return refusal.code == "NOT_FOUND"
        wait_until(gone, "it is gone")
        self.refused(path, {"name": name}, "NOT_FOUND", "VM_NOT_FOUND", name)

    def test_delete_of_a_stopped_vm_is_done_at_once(self):
        name = self.name()
        self.ok("VmService/CreateVm",
                vm_of(name, desired="DESIRED_STATE_STOPPED"))
        self.mutate("VmService/DeleteVm", {"name": name})
        self.refused("VmService/GetVm", {"name": name}, "NOT_FOUND",
                     "VM_NOT_FOUND", name)


class Cluster(RegionCase):
    HOSTS = False
    MALFORMED = b"\xff"

    def test_get_status(self):
        path = "ClusterService/GetStatus"
        wait_until(lambda: all(self.status(client).zone_count == 3
                               for client in self.followers), "all have it")
        answers = [self.ok(path, {}, client) for client in
                   (self.leader, *self.followers)]
        leader, = {a.leader for a in answers}
        self.assertEqual(answers[0].node.name, leader)
        self.assertEqual({a.node.name for a in answers}, {"n1", "n2", "n3"})
        for answer in answers:
            self.assertEqual((answer.region, answer.quorum, answer.zone_count),
                             ("interop", True, 3))
        self.refused(path, self.MALFORMED, "INVALID_ARGUMENT", None,
                     "malformed")

    def test_list_nodes(self):
        path = "ClusterService/ListNodes"
        for client in (self.leader, self.follower):
            nodes = self.ok(path, {}, client).nodes
            self.assertEqual([n.name for n in nodes], ["n1", "n2", "n3"])
            self.assertEqual(sorted(n.role for n in nodes), [1, 2, 2])
        self.refused(path, self.MALFORMED, "INVALID_ARGUMENT", None,
                     "malformed")

    def test_transfer_leadership(self):
        path = "ClusterService/TransferLeadership"
        leader = self.status().leader
        target = [n for n in ("n1", "n2", "n3") if n != leader][0]
        self.refused(path, {"node": "n9"}, "NOT_FOUND", "NODE_NOT_FOUND", "n9")
        # Through a follower; and again, when there is nothing left to do.
        answer = self.ok(path, {"node": target}, self.follower)
        self.assertEqual(answer.leader, target)
        self.assertEqual(self.region.leader().name, target)
        self.setUp()
        self.assertEqual(self.ok(path, {"node": target}).leader, target)
        answer = self.ok(path, {})
        self.assertIn(answer.leader, {"n1", "n2", "n3"} - {target})

    def test_get_settings(self):
        path = "ClusterService/GetSettings"
        settings = self.ok(path, {}).settings
        self.assertEqual((settings.lease_wait_ms, settings.lease_run_ms),
                         (5000, 4400))
        self.refused(path, self.MALFORMED, "INVALID_ARGUMENT", None,
                     "malformed")

    def test_update_settings(self):
        path = "ClusterService/UpdateSettings"
        answer = self.mutate(path, {
            "settings": {"start_parallel": 9, "lease_run_ms": 4000},
            "update_mask": ["start_parallel", "lease_run_ms"]})
        self.assertEqual((answer.settings.start_parallel,
                          answer.settings.lease_run_ms,
                          answer.settings.lease_wait_ms), (9, 4000, 5000))
        self.fails(path, {"update_mask": ["renew_ms"]}, "settings")
        self.fails(path, {"settings": {}}, "settings")
        self.fails(path, {"settings": {}, "update_mask": ["speed"]},
                   "update_mask")
        self.refused(path, {"settings": {"lease_run_ms": 4990},
                            "update_mask": ["lease_run_ms"]},
                     "INVALID_ARGUMENT", "UNSAFE_SETTINGS", "settings")
        # Leases of 4400 ms were given until just now.
        self.refused(path, {"settings": {"lease_wait_ms": 4700},
                            "update_mask": ["lease_wait_ms"]},
                     "FAILED_PRECONDITION", "SETTINGS_UNSETTLED", "settings")
