# SPDX-License-Identifier: Apache-2.0
"""A region in memory, served by stock Python grpcio: enough of the API for the
command line's and the client library's tests, with faults on request.

A VM named pend-* stays pending, one named slow-* never gets anywhere. A node
made with fail=N answers the next N calls UNAVAILABLE. What `after` holds for a
method is called behind each of its answers."""
import queue
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import symbol_database

import fake_manifest
import fake_placement
from fake_placement import Refused
from holdfast.v1 import (class_service_pb2, cluster_service_pb2,
                         host_service_pb2, manifest_service_pb2,
                         resources_pb2, vm_service_pb2, watch_service_pb2,
                         zone_service_pb2)

R = resources_pb2
MODULES = (class_service_pb2, cluster_service_pb2, host_service_pb2,
           manifest_service_pb2, vm_service_pb2, watch_service_pb2,
           zone_service_pb2,
           *fake_placement.MODULES)


class Region:
    """The state, shared by all nodes that are started on it."""

    def __init__(self):
        self.lock = threading.RLock()
        self.revision = 100
        self.zones = {}
        self.classes = {}
        self.hosts = {}
        self.vms = {}
        self.groups = {}
        self.reservations = {}
        self.plans = {}
        self.manifest_refusal = None
        self.plan_page = 1000
        self.zone_total = 3
        self.stuck = False  # Nothing moves, no member appears.
        self.uneven = False
        self.events = []
        self.oldest = 100
        self.watchers = []
        self.answers = {}
        self.after = {}
        self.settings = R.Settings(lease_wait_ms=5000, lease_run_ms=4400)
        self.behind = 0  # So often a promotion is refused.
        self.handed_over = False
        self.seen = []  # (node, method, request, metadata)
        for zone in ("z1", "z2", "z3"):
            self.zones[zone] = R.Zone(name=zone, uid=len(self.zones) + 1,
                                      state=R.ZONE_STATE_UP, host_count=2,
                                      host_up_count=2)
        for i, zone in enumerate(("z1", "z2", "z3", "z1", "z2", "z3")):
            name = f"h{i + 1}"
            self.hosts[name] = R.Host(
                name=name, uid=i + 1, zone=zone, state=R.HOST_STATE_UP,
                capacity=R.Resources(cpu_milli=16000, memory_mib=65536),
                used=R.Resources(cpu_milli=2500, memory_mib=1536),
                lease=R.HostLease(connected=True, remaining_ms=4200))
        self.classes["small"] = R.Class(
            name="small", uid=1,
            resources=R.Resources(cpu_milli=500, memory_mib=512))

    def event(self, kind, deleted=False, **objects):
        self.revision += 1
        event = watch_service_pb2.Event(
            revision=self.revision, time_ms=int(time.time() * 1000), kind=kind,
            deleted=deleted, **objects)
        self.events.append(event)
        for watcher in self.watchers:
            watcher.put(event)
        return self.revision

    def vm_event(self, vm, deleted=False):
        vm.revision = self.revision + 1
        self.event(watch_service_pb2.KIND_VM, deleted, vm=vm)

    def later(self, vm_name, *steps):
        """Applies each step to the VM, a little later each."""
        def run():
            for step in steps:
                time.sleep(0.05)
                with self.lock:
                    vm = self.vms.get(vm_name)
                    if vm is None:
                        return
                    if step is None:
                        del self.vms[vm_name]
                        self.vm_event(vm, deleted=True)
                    else:
                        vm.status.MergeFrom(step)
                        if not step.host and step.state in (
                                R.VM_STATE_STOPPED, R.VM_STATE_PENDING):
                            vm.status.host = vm.status.zone = ""
                        if step.state == R.VM_STATE_RUNNING:
                            vm.status.move_zone = vm.status.move_host = ""
                        self.vm_event(vm)
        threading.Thread(target=run, daemon=True).start()

    def get(self, table, name, noun):
        if name not in table:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"no {noun} {name}")
        return table[name]


RUNNING = R.VmStatus(state=R.VM_STATE_RUNNING, host="h1", zone="z1")
STARTING = R.VmStatus(state=R.VM_STATE_STARTING, host="h1", zone="z1")


class Node(fake_placement.Groups, fake_placement.Drains,
           fake_placement.Plans, fake_manifest.Manifests):
    """One control-plane process on a port of its own."""

    def __init__(self, region, name, fail=0, hang=False, pushback=None,
                 quorum=True, port=0):
        self.region = region
        self.name = name
        self.fail = fail
        self.hang = hang
        self.pushback = pushback
        self.quorum = quorum
        self.stopping = threading.Event()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        for module in MODULES:
            for service in module.DESCRIPTOR.services_by_name.values():
                self.add(service)
        self.server.start()

    def stop(self):
        self.stopping.set()
        self.server.stop(None).wait()

    def add(self, service):
        handlers = {}
        for method in service.methods:
            request = symbol_database.Default().GetPrototype(method.input_type)
            if method.name == "Watch":
                handlers["Watch"] = grpc.unary_stream_rpc_method_handler(
                    self.watch, request.FromString,
                    lambda message: message.SerializeToString())
                continue
            handlers[method.name] = grpc.unary_unary_rpc_method_handler(
                self.handler(method), request.FromString,
                lambda message: message.SerializeToString())
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service.full_name,
                                                  handlers),))

    def refuse(self, context, code, message, reason=""):
        trailers = []
        if self.pushback is not None:
            trailers.append(("grpc-retry-pushback-ms", str(self.pushback)))
        if reason:
            trailers.append(("holdfast-reason", reason))
        context.set_trailing_metadata(trailers)
        context.abort(code, message)

    def gate(self, context):
        if self.hang:
            self.stopping.wait(30)
        if self.fail > 0:
            self.fail -= 1
            self.refuse(context, grpc.StatusCode.UNAVAILABLE,
                        "no leader is known")

    def handler(self, method):
        response = symbol_database.Default().GetPrototype(method.output_type)

        def handle(request, context):
            region = self.region
            with region.lock:
                region.seen.append((self.name, method.name, request,
                                    dict(context.invocation_metadata())))
            self.gate(context)
            request_id = getattr(request, "request_id", "")
            with region.lock:
                if request_id and request_id in region.answers:
                    return region.answers[request_id]
                try:
                    answer = getattr(self, method.name)(request, response)
                except Refused as refused:
                    self.refuse(context, refused.code, refused.message,
                                refused.reason)
                if request_id:
                    region.answers[request_id] = answer
                region.after.get(method.name, lambda: None)()
                return answer
        return handle

    # ClusterService

    def GetStatus(self, request, response):
        counts = [0] * 8
        for vm in self.region.vms.values():
            counts[vm.status.state] += 1
        return response(
            region="test", region_id="0123456789abcdef" * 2,
            leader="n1" if self.quorum else "",
            leader_address="127.0.0.1:1" if self.quorum else "",
            quorum=self.quorum, term=3, version="0.1.0", zone_count=3,
            host_count=6, host_up_count=6, vm_count=len(self.region.vms),
            revision=self.region.revision, vm_state_counts=counts,
            uptime_ms=65000, applied_index=77, state_hash=0xabcdef,
            node=R.Node(name=self.name, zone="z1", role=R.ROLE_LEADER,
                        address=f"127.0.0.1:{self.port}"))

    def ListNodes(self, request, response):
        return response(nodes=[
            R.Node(name="n2", id=2, zone="z2", role=R.ROLE_FOLLOWER,
                   address="b:7400", lag_entries=4, catching_up=True,
                   membership=R.MEMBERSHIP_STANDBY),
            R.Node(name="n1", id=1, zone="z1", role=R.ROLE_LEADER,
                   address="a:7400", membership=R.MEMBERSHIP_VOTER)], revision=self.region.revision)

    def TransferLeadership(self, request, response):
        if request.node == "n9":
            raise Refused(grpc.StatusCode.NOT_FOUND, "no node n9")
        self.region.handed_over = True
        return response(leader=request.node or "n2",
                        revision=self.region.revision)

    def AddNode(self, request, response):
        if request.id == 3:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS,
                          "id: 3 was used before", "NODE_ID_USED")
        return response(node=R.Node(name=request.name, id=request.id,
                                    membership=R.MEMBERSHIP_STANDBY),
                        note=f"{request.name} is a standby now")

    def PromoteNode(self, request, response):
        if self.region.behind > 0:
            self.region.behind -= 1
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                          f"'{request.name}' has not caught up", "NODE_BEHIND")
        return response(node=R.Node(name=request.name),
                        note=f"{request.name} is a voter now")

    def RemoveNode(self, request, response):
        if request.name == "n1" and not self.region.handed_over:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "'n1' leads",
                          "NODE_LEADS")
        if not request.allow_fewer_voters and request.name == "n2":
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                          "2 voters would be left", "TOO_FEW_VOTERS")
        return response(node=R.Node(name=request.name),
                        note=f"{request.name} is no member any more")

    def GetSettings(self, request, response):
        return response(settings=self.region.settings,
                        revision=self.region.revision)

    def UpdateSettings(self, request, response):
        settings = R.Settings()
        settings.CopyFrom(self.region.settings)
        for field in request.update_mask:
            setattr(settings, field, getattr(request.settings, field))
        if settings.lease_run_ms > settings.lease_wait_ms:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT,
                          "settings.lease_run_ms: two copies could run")
        if not request.dry_run:
            self.region.settings = settings
        return response(settings=settings, revision=self.region.revision)

    # ZoneService, ClassService, HostService

    def CreateZone(self, request, response):
        region = self.region
        if request.name in region.zones:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS,
                          f"zone {request.name} exists")
        zone = R.Zone(name=request.name, uid=99, state=R.ZONE_STATE_UP)
        if not request.dry_run:
            region.zones[request.name] = zone
            region.event(watch_service_pb2.KIND_ZONE, zone=zone)
        return response(zone=zone, revision=region.revision)

    def GetZone(self, request, response):
        return response(zone=self.region.get(self.region.zones, request.name,
                                             "zone"))

    def ListZones(self, request, response):
        return response(zones=self.region.zones.values(),
                        revision=self.region.revision)

    def cordon(self, table, kind, noun, request, response, cordoned):
        item = self.region.get(table, request.name, noun)
        if not request.dry_run:
            item.cordoned = cordoned
            self.region.event(kind, **{noun: item})
        return response(revision=self.region.revision, **{noun: item})

    def CordonZone(self, request, response):
        return self.cordon(self.region.zones, watch_service_pb2.KIND_ZONE,
                           "zone", request, response, True)

    def UncordonZone(self, request, response):
        return self.cordon(self.region.zones, watch_service_pb2.KIND_ZONE,
                           "zone", request, response, False)

    def CordonHost(self, request, response):
        return self.cordon(self.region.hosts, watch_service_pb2.KIND_HOST,
                           "host", request, response, True)

    def UncordonHost(self, request, response):
        return self.cordon(self.region.hosts, watch_service_pb2.KIND_HOST,
                           "host", request, response, False)

    def CreateClass(self, request, response):
        self.region.classes[request.vm_class.name] = request.vm_class
        return response(vm_class=request.vm_class,
                        revision=self.region.revision)

    def ListClasses(self, request, response):
        return response(classes=self.region.classes.values(),
                        revision=self.region.revision)

    def UpdateClass(self, request, response):
        item = self.region.get(self.region.classes, request.vm_class.name,
                               "class")
        if "zones" in request.update_mask:
            del item.zones[:]
            item.zones.extend(request.vm_class.zones)
        if "resources" in request.update_mask:
            item.resources.CopyFrom(request.vm_class.resources)
        return response(vm_class=item, revision=self.region.revision)

    def DeleteClass(self, request, response):
        item = self.region.get(self.region.classes, request.name, "class")
        if any(vm.class_name == request.name
               for vm in self.region.vms.values()):
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                          "VMs are of this class", "class_in_use")
        del self.region.classes[request.name]
        return response(vm_class=item, revision=self.region.revision)

    def GetHost(self, request, response):
        return response(host=self.region.get(self.region.hosts, request.name,
                                             "host"))

    def ListHosts(self, request, response):
        return response(hosts=[host for host in self.region.hosts.values()
                               if request.zone in ("", host.zone)],
                        revision=self.region.revision)

    def DeclareHostDead(self, request, response):
        host = self.region.get(self.region.hosts, request.name, "host")
        if request.confirm != request.name:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "confirm")
        host.state = R.HOST_STATE_LOST
        return response(host=host, revision=self.region.revision)

    # VmService

    def CreateVm(self, request, response):
        region = self.region
        name = request.vm.name
        if name in region.vms:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"vm {name} exists")
        if not request.vm.HasField("resources"):
            region.get(region.classes, request.vm.class_name, "class")
        vm = R.Vm()
        vm.CopyFrom(request.vm)
        vm.uid = 1000 + region.revision
        vm.create_time_ms = int(time.time() * 1000) - 65000
        vm.status.epoch = 1
        if vm.desired == R.DESIRED_STATE_STOPPED:
            vm.status.state = R.VM_STATE_STOPPED
        elif name.startswith("pend-"):
            vm.status.state = R.VM_STATE_PENDING
            vm.status.pending_reason = R.PENDING_REASON_NO_CAPACITY
            vm.status.message = "no host has 0.5 CPU free"
        else:
            vm.status.state = R.VM_STATE_ASSIGNED
            vm.status.host = "h1"
            vm.status.zone = "z1"
            vm.status.on_partition_active = vm.on_partition
            vm.status.home_host = "h1" if name.startswith("local-") else ""
        if request.dry_run:
            return response(vm=vm, revision=region.revision)
        region.vms[name] = vm
        region.vm_event(vm)
        if vm.status.state == R.VM_STATE_ASSIGNED and \
                not name.startswith("slow-"):
            region.later(name, STARTING, RUNNING)
        return response(vm=vm, revision=region.revision)

    def BatchCreateVms(self, request, response):
        one = vm_service_pb2.CreateVmRequest(dry_run=request.dry_run)
        for index, vm in enumerate(request.vms):
            if vm.name in self.region.vms:
                raise Refused(grpc.StatusCode.ALREADY_EXISTS,
                              f"vms[{index}]: there is a VM '{vm.name}'")
        made = []
        for vm in request.vms:
            one.vm.CopyFrom(vm)
            made.append(self.CreateVm(
                one, vm_service_pb2.CreateVmResponse).vm)
            made[-1].ClearField("template")
        brief = request.vms[0].name.startswith("brief-")
        return response(vms=[] if brief else made, vm_count=len(made),
                        revision=self.region.revision)

    def GetVm(self, request, response):
        return response(vm=self.region.get(self.region.vms, request.name, "vm"),
                        revision=self.region.revision)

    def ListVms(self, request, response):
        """Pages of two, in an order that is not by name."""
        vms = sorted(self.region.vms.values(), key=lambda vm: -vm.uid)
        vms = [vm for vm in vms
               if request.zone in ("", vm.status.zone)
               and request.host in ("", vm.status.host)
               and request.group in ("", vm.group)
               and request.state in (0, vm.status.state)]
        if request.page_token:
            vms = [vm for vm in vms if vm.uid < int(request.page_token)]
        more = str(vms[1].uid) if len(vms) > 2 else ""
        return response(vms=vms[:2], next_page_token=more,
                        revision=self.region.revision)

    def UpdateVm(self, request, response):
        vm = self.region.get(self.region.vms, request.vm.name, "vm")
        if request.expect_revision not in (0, vm.revision):
            raise Refused(grpc.StatusCode.ABORTED,
                          f"revision is {vm.revision}")
        for field in request.update_mask:
            vm.ClearField(field)
            if field == "labels":
                vm.labels.update(request.vm.labels)
            else:
                setattr(vm, field, getattr(request.vm, field))
        self.region.vm_event(vm)
        return response(vm=vm, revision=self.region.revision)

    def MoveVm(self, request, response):
        vm = self.region.get(self.region.vms, request.name, "vm")
        vm.status.move_zone = request.zone or "z2"
        self.region.vm_event(vm)
        self.region.later(
            request.name, R.VmStatus(state=R.VM_STATE_STOPPING),
            R.VmStatus(state=R.VM_STATE_RUNNING, epoch=vm.status.epoch + 1,
                       host="h2", zone="z2"))
        return response(vm=vm, revision=self.region.revision)

    def StartVm(self, request, response):
        vm = self.region.get(self.region.vms, request.name, "vm")
        self.region.later(request.name, STARTING, RUNNING)
        return response(vm=vm, revision=self.region.revision)

    def StopVm(self, request, response):
        vm = self.region.get(self.region.vms, request.name, "vm")
        self.region.later(request.name,
                          R.VmStatus(state=R.VM_STATE_STOPPING),
                          R.VmStatus(state=R.VM_STATE_STOPPED))
        return response(vm=vm, revision=self.region.revision)

    def DeleteVm(self, request, response):
        vm = self.region.get(self.region.vms, request.name, "vm")
        vm.status.deleting = True
        answer = response(vm=vm)
        if vm.status.state == R.VM_STATE_STOPPED:
            # Gone with the same change that is answered.
            del self.region.vms[request.name]
            self.region.vm_event(vm, deleted=True)
        else:
            self.region.vm_event(vm)
            self.region.later(request.name, None)
        answer.revision = self.region.revision
        return answer

    # WatchService

    def watch(self, request, context):
        region = self.region
        mine = queue.Queue()
        with region.lock:
            region.seen.append((self.name, "Watch", request, {}))
        self.gate(context)
        with region.lock:
            after = request.after_revision or region.revision
            if after < region.oldest:
                self.refuse(context, grpc.StatusCode.OUT_OF_RANGE,
                            "revision is no longer kept")
            for event in region.events:
                if event.revision > after:
                    mine.put(event)
            region.watchers.append(mine)
            first = watch_service_pb2.WatchResponse(revision=after)
        yield first
        while not self.stopping.is_set():
            try:
                event = mine.get(timeout=0.05)
            except queue.Empty:
                if not context.is_active():
                    return
                continue
            wanted = not request.kinds or event.kind in request.kinds
            yield watch_service_pb2.WatchResponse(
                events=[event] if wanted else [], revision=event.revision)
        self.refuse(context, grpc.StatusCode.UNAVAILABLE, "draining")
