# SPDX-License-Identifier: Apache-2.0
"""Creates a VM, follows it until it runs, and deletes it again.

usage: quickstart.py NODE[,NODE...] [CA CERTIFICATE KEY]"""
import itertools
import sys
import time
import uuid

import grpc
from holdfast.v1 import class_service_pb2, class_service_pb2_grpc
from holdfast.v1 import vm_service_pb2, vm_service_pb2_grpc
from holdfast.v1 import watch_service_pb2, watch_service_pb2_grpc
from holdfast.v1 import resources_pb2

PAUSE_SECONDS = 0.3


class Node:
    """One node of the region. Any of them answers every call."""

    def __init__(self, address, credentials):
        self.channel = grpc.secure_channel(address, credentials) \
            if credentials else grpc.insecure_channel(address)
        self.classes = class_service_pb2_grpc.ClassServiceStub(self.channel)
        self.vms = vm_service_pb2_grpc.VmServiceStub(self.channel)
        self.watch = watch_service_pb2_grpc.WatchServiceStub(self.channel)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def connect(addresses, ca=None, certificate=None, key=None):
    credentials = None
    if ca:
        credentials = grpc.ssl_channel_credentials(
            read(ca), read(key), read(certificate))
    return [Node(address, credentials) for address in addresses.split(",")]


def ask(nodes, call):
    """The answer of the first node that has one. A request may be repeated: with
    the same request_id it takes effect once."""
    for attempt in range(10 * len(nodes)):
        try:
            return call(nodes[attempt % len(nodes)], timeout=10, metadata=[
                ("holdfast-previous-attempts", str(attempt))])
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            last = error
            time.sleep(PAUSE_SECONDS)
    raise last


def follow(nodes, revision):
    """What happens to VMs after the revision, without gap or duplicate: when a
    node goes away, the next one goes on behind the last revision received."""
    for node in itertools.cycle(nodes):
        try:
            for response in node.watch.Watch(watch_service_pb2.WatchRequest(
                    after_revision=revision,
                    kinds=[watch_service_pb2.KIND_VM])):
                yield from response.events
                revision = max(revision, response.revision)
        except grpc.RpcError as error:
            # OUT_OF_RANGE: too far behind. List again, and watch from there.
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
        time.sleep(PAUSE_SECONDS)


def create_class(nodes):
    request = class_service_pb2.CreateClassRequest(
        request_id=str(uuid.uuid4()),
        vm_class=resources_pb2.Class(
            name="quickstart",
            resources=resources_pb2.Resources(cpu_milli=100, memory_mib=64)))
    try:
        ask(nodes, lambda node, **how: node.classes.CreateClass(request, **how))
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise


def main():
    nodes = connect(*sys.argv[1:])
    create_class(nodes)
    create = vm_service_pb2.CreateVmRequest(
        request_id=str(uuid.uuid4()),
        vm=resources_pb2.Vm(
            name="python-1", class_name="quickstart",
            template=resources_pb2.VmTemplate(
                driver=resources_pb2.DRIVER_EXEC,
                command=["/bin/sleep", "3600"])))
    created = ask(nodes, lambda node, **how: node.vms.CreateVm(create, **how))
    print("created", created.vm.name)
    for event in follow(nodes, created.revision):
        if event.vm.name != created.vm.name:
            continue
        if event.deleted:
            print(event.vm.name, "is gone")
            break
        if event.vm.status.state == resources_pb2.VM_STATE_RUNNING \
                and not event.vm.status.deleting:
            print(event.vm.name, "runs on", event.vm.status.host, "in",
                  event.vm.status.zone)
            delete = vm_service_pb2.DeleteVmRequest(
                request_id=str(uuid.uuid4()), name=event.vm.name)
            ask(nodes, lambda node, **how: node.vms.DeleteVm(delete, **how))


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as failure:
        sys.exit(f"{failure.code().name}: {failure.details()}")
