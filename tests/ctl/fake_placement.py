# SPDX-License-Identifier: Apache-2.0
"""Groups, reservations, drains and plans of the fake region: what a node of
fake_region.py answers to them. Placement itself is as plain as can be.

Members appear a little later, over the zones in turn. A VM named local-* has a
local disk and one named big-* finds no other place; `plan_page` bounds how much
one page of a plan holds."""
import threading
import time

import grpc

from holdfast.v1 import (group_service_pb2, plan_service_pb2,
                         reservation_service_pb2, resources_pb2,
                         watch_service_pb2)

R = resources_pb2
P = plan_service_pb2
MODULES = (group_service_pb2, plan_service_pb2, reservation_service_pb2)
ZONES = ("z1", "z2", "z3")


class Refused(Exception):
    def __init__(self, code, message, reason=""):
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message


def soon(act, *steps):
    """act(step) for each, a little later each."""
    def run():
        for step in steps:
            time.sleep(0.1)
            act(step)
    threading.Thread(target=run, daemon=True).start()


class Groups:
    """A mixin of fake_region.Node."""

    def members(self, name):
        return [vm for vm in self.region.vms.values() if vm.group == name]

    def group_status(self, group):
        members = self.members(group.name)
        running = sum(vm.status.state == R.VM_STATE_RUNNING for vm in members)
        counts = {zone: sum(vm.status.zone == zone for vm in members)
                  for zone in ZONES}
        outdated = sum(0 < vm.status.template_generation < group.generation
                       for vm in members)
        made = sum(vm.status.template_generation > 0 for vm in members)
        skew = max(counts.values()) - min(counts.values())
        status = R.GroupStatus(
            member_count=len(members), running_count=running,
            pending_count=len(members) - running, outdated_count=outdated,
            skew=skew, deleting=group.status.deleting,
            healthy=running == len(members) and made == group.count and
            not (outdated and group.max_unavailable),
            zones=[R.GroupZone(zone=zone, member_count=count, usable=True)
                   for zone, count in counts.items()])
        if not status.healthy:
            status.message = f"{group.count - running} members are missing"
        group.status.CopyFrom(status)
        return group

    def group_event(self, group, deleted=False):
        group.revision = self.region.revision + 1
        self.region.event(watch_service_pb2.KIND_GROUP, deleted, group=group)

    def add_member(self, group, number):
        region = self.region
        with region.lock:
            vm = R.Vm(name=f"{group.name}-{number}", group=group.name,
                      uid=2000 + region.revision,
                      class_name=group.template.class_name,
                      priority=group.template.priority)
            vm.status.state = R.VM_STATE_RUNNING
            vm.status.zone = ZONES[number % 3]
            vm.status.host = f"h{number % 3 + 1}"
            vm.status.epoch = 1
            vm.status.template_generation = group.generation
            if not group.protected and group.HasField("protected"):
                vm.status.unprotected_reason = R.UNPROTECTED_REASON_BY_GROUP
            region.vms[vm.name] = vm
            region.vm_event(vm)

    def fit(self, group):
        """As many members as wished, of the newest template."""
        if self.region.stuck:
            return
        members = self.members(group.name)
        made = [vm for vm in members if vm.status.template_generation]
        for vm in made:
            vm.status.template_generation = group.generation
        for number in range(len(made) + 1, group.count + 1):
            self.add_member(group, number)
        for vm in made[group.count:]:
            del self.region.vms[vm.name]
            self.region.vm_event(vm, deleted=True)

    def CreateGroup(self, request, response):
        region = self.region
        if request.group.name in region.groups:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS,
                          f"group {request.group.name} exists", "NAME_TAKEN")
        group = R.Group()
        group.CopyFrom(request.group)
        group.uid = 500 + region.revision
        group.generation = 1
        if not request.dry_run:
            region.groups[group.name] = group
            self.group_event(group)
            soon(lambda _: self.fit(group), None)
        return response(group=self.group_status(group),
                        revision=region.revision)

    def GetGroup(self, request, response):
        group = self.region.get(self.region.groups, request.name, "group")
        return response(group=self.group_status(group),
                        revision=self.region.revision)

    def ListGroups(self, request, response):
        groups = []
        for group in self.region.groups.values():
            self.group_status(group)
            copy = R.Group()
            copy.CopyFrom(group)
            copy.ClearField("template")
            groups.append(copy)
        return response(groups=groups, revision=self.region.revision)

    def UpdateGroup(self, request, response):
        group = self.region.get(self.region.groups, request.group.name,
                                "group")
        for field in request.update_mask:
            group.ClearField(field)
            part = R.Group()
            part.CopyFrom(request.group)
            for other in [f.name for f in R.Group.DESCRIPTOR.fields]:
                if other != field:
                    part.ClearField(other)
            group.MergeFrom(part)
            group.generation += field == "template"
        self.group_event(group)
        if group.max_unavailable:
            soon(lambda _: self.fit(group), None)
        return response(group=self.group_status(group),
                        revision=self.region.revision)

    def ScaleGroup(self, request, response):
        group = self.region.get(self.region.groups, request.name, "group")
        if request.count > 100:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                          "zone z2 could no longer be lost: 3 more hosts of "
                          "16 CPUs would do", "HEADROOM")
        group.count = request.count
        self.group_event(group)
        soon(lambda _: self.fit(group), None)
        return response(group=self.group_status(group),
                        revision=self.region.revision)

    def DeleteGroup(self, request, response):
        region = self.region
        group = region.get(region.groups, request.name, "group")
        joined = any(not vm.status.template_generation
                     for vm in self.members(group.name))
        if joined and not request.with_joined:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                          "VMs joined it by hand", "GROUP_HAS_JOINED")
        group.status.deleting = True

        def gone(_):
            with region.lock:
                for vm in self.members(group.name):
                    del region.vms[vm.name]
                    region.vm_event(vm, deleted=True)
                del region.groups[group.name]
                self.group_event(group, deleted=True)
        soon(gone, None)
        return response(group=self.group_status(group),
                        revision=region.revision)

    # ReservationService

    def CreateReservation(self, request, response):
        region = self.region
        made = R.Reservation()
        made.CopyFrom(request.reservation)
        region.get(region.zones, made.zone, "zone")
        made.uid = 700 + region.revision
        made.free_count = made.count - 1
        made.missing_count = 1
        region.reservations[made.name] = made
        region.event(watch_service_pb2.KIND_RESERVATION, reservation=made)
        return response(reservation=made, revision=region.revision)

    def ListReservations(self, request, response):
        return response(reservations=self.region.reservations.values(),
                        revision=self.region.revision)

    def UpdateReservation(self, request, response):
        item = self.region.get(self.region.reservations, request.name,
                               "reservation")
        item.count = request.count
        return response(reservation=item, revision=self.region.revision)

    def DeleteReservation(self, request, response):
        item = self.region.get(self.region.reservations, request.name,
                               "reservation")
        del self.region.reservations[request.name]
        return response(reservation=item, revision=self.region.revision)


class Drains:
    """A mixin of fake_region.Node."""

    def drain(self, noun, request, response):
        region = self.region
        item = region.get(getattr(region, noun + "s"), request.name, noun)
        if request.name == "z3" and not request.accept_risk:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                          "the zone's node is needed for a quorum",
                          "QUORUM_NEEDED")
        if request.accept_risk and not request.reason:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "reason")
        if request.dry_run:
            return response(revision=region.revision, **{noun: item})
        item.draining = True
        item.drain_deadline_ms = request.deadline_ms

        def step(number):
            with region.lock:
                for vm in region.vms.values():
                    here = request.name in (vm.status.host, vm.status.zone)
                    stays = vm.name.startswith("local-") or \
                        (noun == "zone" and vm.zone)
                    if not here or stays or region.stuck:
                        continue
                    zone, host = ("z2", "h5") if request.name == "z1" else \
                        ("z1", "h4")
                    vm.status.move_zone = zone
                    vm.status.move_queued = number == 0
                    if number == 2:
                        vm.status.host, vm.status.zone = host, zone
                        vm.status.move_zone = ""
                if number == 2 and request.deadline_ms == 1000:
                    item.draining = False
        soon(step, 0, 1, 2)
        return response(revision=region.revision, **{noun: item})

    def cancel(self, noun, request, response):
        item = self.region.get(getattr(self.region, noun + "s"), request.name,
                               noun)
        item.draining = False
        return response(revision=self.region.revision, **{noun: item})

    def DrainHost(self, request, response):
        return self.drain("host", request, response)

    def DrainZone(self, request, response):
        return self.drain("zone", request, response)

    def CancelDrainHost(self, request, response):
        return self.cancel("host", request, response)

    def CancelDrainZone(self, request, response):
        return self.cancel("zone", request, response)


class Plans:
    """A mixin of fake_region.Node."""

    def plan_of(self, action):
        """(plan, steps, unplaced)"""
        region = self.region
        which = action.WhichOneof("action")
        names = {"zone_loss": action.zone_loss.zones,
                 "host_loss": action.host_loss.hosts,
                 "remove_hosts": action.remove_hosts.hosts,
                 "drain_host": [action.drain_host.name],
                 "drain_zone": [action.drain_zone.name]}.get(which, [])
        nouns = region.zones if "zone" in which else region.hosts
        for name in names:
            region.get(nouns, name, which.split("_")[0])
        plan = P.Plan(id=f"p{len(region.plans) + 1}", action=action,
                      revision=region.revision,
                      applicable="loss" not in which and which != "add_hosts")
        steps, unplaced = [], []
        loss = "loss" in which
        moving = sorted((vm for vm in region.vms.values()
                         if {vm.status.zone, vm.status.host} & set(names)),
                        key=lambda vm: (-vm.priority, vm.uid))
        gone = set(names) if "zone" in which else set()
        targets = [zone for zone in ZONES if zone not in gone]
        after = {zone: sum(vm.status.zone == zone
                           for vm in region.vms.values()) for zone in ZONES}
        before = dict(after)
        for vm in moving:
            if loss or not vm.name.startswith("big-"):
                after[vm.status.zone] -= 1
            if vm.name.startswith("big-"):
                unplaced.append(P.PlanUnplaced(
                    vm=vm.name, class_name=vm.class_name, priority=vm.priority,
                    reason=R.PENDING_REASON_NO_CAPACITY,
                    message="4 hosts lack memory; 1 more host of 64 GiB would "
                            "do"))
                continue
            zone = targets[len(steps) % len(targets)]
            after[zone] += 1
            steps.append(P.PlanStep(
                order=len(steps) + 1, vm=vm.name, class_name=vm.class_name,
                kind=P.PLAN_STEP_KIND_RESTART if loss
                else P.PLAN_STEP_KIND_MOVE, from_zone=vm.status.zone,
                from_host=vm.status.host, to_zone=zone,
                to_host=f"h{ZONES.index(zone) + 4}", priority=vm.priority,
                downtime_ms=6000 + 400 * len(steps) if loss else 2100,
                reason=f"{which.split('_')[0]} {names[0]} is lost" if loss
                else f"{names[0]} is drained"))
        self.other_steps(action, which, steps)
        self.finish_plan(plan, which, steps, unplaced)
        for zone in ZONES:
            used = R.Resources(cpu_milli=500 * before[zone],
                               memory_mib=512 * before[zone])
            left = R.Resources(cpu_milli=500 * after[zone],
                               memory_mib=512 * after[zone])
            whole = R.Resources(cpu_milli=32000, memory_mib=131072)
            lost = loss and zone in gone
            plan.zones.add(
                zone=zone, capacity_before=whole, used_before=used,
                capacity_after=R.Resources() if lost else whole,
                used_after=R.Resources() if lost else left,
                vm_count_before=before[zone], vm_count_after=after[zone],
                unplaceable_after=12 if loss and zone == "z1" else 0)
        return plan, steps, unplaced

    def other_steps(self, action, which, steps):
        def add(kind, vm, reason, **fields):
            steps.append(P.PlanStep(order=len(steps) + 1, kind=kind, vm=vm,
                                    reason=reason, **fields))
        if which == "scale_group":
            group = self.region.get(self.region.groups,
                                    action.scale_group.name, "group")
            for number in range(group.count + 1, action.scale_group.count + 1):
                add(P.PLAN_STEP_KIND_CREATE, f"{group.name}-{number}",
                    "the group grows", to_zone=ZONES[number % 3],
                    to_host=f"h{number % 3 + 1}")
        elif which == "rebalance" and self.region.uneven:
            add(P.PLAN_STEP_KIND_PREEMPT, "batch-1", "for a-1",
                from_zone="z1", from_host="h1")
            add(P.PLAN_STEP_KIND_MOVE, "a-1", "zone z1 is fuller than z2",
                from_zone="z1", from_host="h1", to_zone="z2", to_host="h2",
                downtime_ms=2100)
        elif which == "add_hosts":
            add(P.PLAN_STEP_KIND_START, "pend-1", "there is room now",
                to_zone=action.add_hosts.zone, to_host="new-1",
                downtime_ms=900)

    def finish_plan(self, plan, which, steps, unplaced):
        names = {P.PLAN_STEP_KIND_MOVE: "moves",
                 P.PLAN_STEP_KIND_RESTART: "restarts",
                 P.PLAN_STEP_KIND_START: "starts",
                 P.PLAN_STEP_KIND_PREEMPT: "preempts",
                 P.PLAN_STEP_KIND_CREATE: "creates"}
        for step in steps:
            field = names[step.kind]
            setattr(plan.totals, field, getattr(plan.totals, field) + 1)
        times = sorted(step.downtime_ms for step in steps) or [0]
        plan.totals.unplaced = len(unplaced)
        plan.totals.downtime_max_ms = times[-1]
        plan.totals.downtime_median_ms = times[len(times) // 2]
        plan.totals.planning_us = 1234
        plan.changes = bool(steps or unplaced)
        plan.headroom_known = True
        if which == "drain_zone":
            plan.warnings.append(
                "without zone z2 two nodes are left of three: no further loss "
                "would be survived, and the region would stop with the next")

    def page(self, entry, token, size, response):
        plan, steps, unplaced = entry
        both = [("steps", step) for step in steps] + \
            [("unplaced", vm) for vm in unplaced]
        first = int(token or 0)
        size = min(size or 1000, self.region.plan_page)
        answer = response(plan=plan, revision=plan.revision)
        for field, item in both[first:first + size]:
            getattr(answer, field).append(item)
        if first + size < len(both):
            answer.next_page_token = str(first + size)
        return answer

    def MakePlan(self, request, response):
        entry = self.plan_of(request.action)
        self.region.plans[entry[0].id] = entry
        return self.page(entry, "", request.page_size, response)

    def find_plan(self, plan_id):
        if plan_id not in self.region.plans:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"no plan {plan_id}",
                          "PLAN_NOT_FOUND")
        return self.region.plans[plan_id]

    def GetPlan(self, request, response):
        return self.page(self.find_plan(request.id), request.page_token,
                         request.page_size, response)

    def ApplyPlan(self, request, response):
        plan = self.find_plan(request.id)[0]
        if not plan.applicable:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                          "a loss is nothing to apply", "PLAN_NOT_APPLICABLE")
        if plan.revision != self.region.revision:
            raise Refused(grpc.StatusCode.ABORTED, "the state has moved on",
                          "PLAN_STALE")
        if plan.warnings and not request.accept_risk:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                          "the quorum would be at risk", "QUORUM_NEEDED")
        return response(plan=plan, revision=self.region.revision)

    def GetCapacity(self, request, response):
        region = self.region
        names = list(request.classes) or sorted(region.classes)
        answer = response(revision=region.revision)
        for name in names:
            region.get(region.classes, name, "class")
            entry = answer.classes.add(class_name=name, free_count=120,
                                       safe_count=38)
            zones = [f"z{number + 1}" for number in range(region.zone_total)]
            for number, zone in enumerate(zones):
                entry.zones.add(zone=zone, free_count=40,
                                free_count_without=41 - 41 * (number % 2))
        return answer
