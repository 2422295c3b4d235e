# SPDX-License-Identifier: Apache-2.0
"""ManifestService of the fake region: VMs by their names and priorities, which
is enough to see what the command line makes of an answer."""
import grpc

from fake_placement import Refused
from holdfast.v1 import manifest_service_pb2, resources_pb2

M = manifest_service_pb2
R = resources_pb2


class Manifests:
    """A mixin of fake_region.Node. `manifest_refusal` of the region: (code,
    message, reason) of the next answer."""

    def apply_vm(self, wish, answer, dry_run):
        region = self.region
        vm = region.vms.get(wish.name)
        item = answer.objects.add(kind=M.MANIFEST_KIND_VM, name=wish.name)
        if vm is None:
            item.action = M.MANIFEST_ACTION_CREATED
            answer.created_count += 1
            if not dry_run:
                vm = R.Vm(uid=3000 + region.revision)
                vm.MergeFrom(wish)
                stays = region.stuck or wish.name.startswith("pend-")
                vm.status.state = (R.VM_STATE_PENDING if stays
                                   else R.VM_STATE_RUNNING)
                region.vms[wish.name] = vm
                region.vm_event(vm)
        elif vm.priority != wish.priority:
            item.action = M.MANIFEST_ACTION_UPDATED
            item.fields.append("priority")
            answer.before.vms.add(name=vm.name, priority=vm.priority)
            answer.updated_count += 1
            if not dry_run:
                vm.priority = wish.priority
                region.vm_event(vm)
        else:
            item.action = M.MANIFEST_ACTION_UNCHANGED
            answer.unchanged_count += 1

    def prune_vms(self, named, answer, dry_run):
        region = self.region
        for name in sorted(set(region.vms) - named):
            answer.objects.add(kind=M.MANIFEST_KIND_VM, name=name,
                               action=M.MANIFEST_ACTION_DELETED)
            answer.deleted_count += 1
            if not dry_run:
                region.vm_event(region.vms.pop(name), deleted=True)

    def ApplyManifest(self, request, response):
        region = self.region
        if region.manifest_refusal is not None:
            code, message, reason = region.manifest_refusal
            raise Refused(getattr(grpc.StatusCode, code), message, reason)
        answer = response()
        revision = region.revision
        for wish in request.manifest.vms:
            self.apply_vm(wish, answer, request.dry_run)
        if request.prune:
            self.prune_vms({vm.name for vm in request.manifest.vms}, answer,
                           request.dry_run)
            answer.objects.add(kind=M.MANIFEST_KIND_ZONE, name="z9",
                               action=M.MANIFEST_ACTION_KEPT,
                               message="zones are never deleted")
            answer.kept_count += 1
        if request.manifest.hosts:
            answer.notes.append("hosts are left aside")
        answer.revision = revision if request.dry_run else region.revision
        return answer
