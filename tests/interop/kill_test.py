# SPDX-License-Identifier: Apache-2.0
"""Clients write through any node while nodes are killed with SIGKILL and
started again. In the end every acknowledged write is there, once, on all three
replicas; nothing else is; and the replicas' hashes are equal.

usage: kill_test.py BINARIES DESCRIPTORS [--rounds N] [--seed N]

Which node dies when is drawn from the seed; what the machine makes of it is
not, so a failure may need some runs to come again."""
import argparse
import random
import signal
import sys
import threading
import time

import grpc
import holdfast_client
from holdfast_client import Client, Refused
from holdfast_region import Region, wait_until

WRITERS = 4
CALL_SECONDS = 0.5  # Of one attempt; a write is tried until it is answered.
OPEN = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
STALE = {"consistency": "CONSISTENCY_STALE"}


class Wrong(Exception):
    """The promise that was broken."""


def check(good, *what):
    if not good:
        raise Wrong(" ".join(" ".join(str(part).split()) for part in what))


class Worker(threading.Thread):
    """A client of all nodes; what it finds wrong fails the test."""

    def __init__(self, region, seed, stop):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.clients = [Client(node.address) for node in region.nodes]
        self.stop = stop
        self.wrong = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # pylint: disable=broad-except
            self.wrong = error
        for client in self.clients:
            client.close()

    def any(self):
        return self.random.choice(self.clients)


class Writer(Worker):
    """Changes things of its own, one after the other, and knows what each must
    be like: as its last acknowledged answer says."""

    def __init__(self, number, *rest):
        super().__init__(*rest)
        self.number = number
        self.count = 0
        self.acknowledged = 0
        self.retries = 0
        self.vms = {}
        self.classes = {}
        self.revisions = []

    def write(self, path, fields):
        """One write, until it is answered. Whatever happened on the way, the
        answer is that of its only effect, so a refusal is wrong."""
        self.count += 1
        request = {**fields, "request_id": f"w{self.number}-{self.count}"}
        while True:
            try:
                answer = self.any().call(path, request, CALL_SECONDS)
                break
            except Refused as refusal:
                check(refusal.code in OPEN, path, request, refusal)
                self.retries += 1
                self.stop.wait(0.02)
        # Sometimes the answer is lost on the last step, and asked for again.
        if self.random.random() < 0.1:
            self.ask_again(path, request, answer)
        self.acknowledged += 1
        self.revisions.append(answer.revision)
        return answer

    def ask_again(self, path, request, answer):
        try:
            again = self.any().call(path, request, CALL_SECONDS)
        except Refused as refusal:
            check(refusal.code in OPEN, path, request, refusal)
            return
        check(again == answer, path, request, "answered", answer, "then",
              again)

    def name(self):
        return f"w{self.number}-{self.count + 1}"

    def create_vm(self):
        name = self.name()
        vm = self.write("VmService/CreateVm", {"vm": {
            "name": name, "class_name": "small",
            "desired": "DESIRED_STATE_STOPPED",
            "priority": self.random.randrange(1000),
            "labels": {"by": name},
            "template": {"driver": "DRIVER_EXEC",
                         "command": ["/bin/true"]}}}).vm
        check(vm.name == name and vm.labels["by"] == name, vm)
        self.vms[name] = vm

    def update_vm(self):
        name = self.random.choice(list(self.vms))
        label = self.name()
        vm = self.write("VmService/UpdateVm", {
            "vm": {"name": name, "labels": {"by": label}},
            "update_mask": ["labels"]}).vm
        check(vm.labels["by"] == label and vm.uid == self.vms[name].uid and
              vm.revision > self.vms[name].revision, vm)
        self.vms[name] = vm

    def delete_vm(self):
        name = self.random.choice(list(self.vms))
        vm = self.write("VmService/DeleteVm", {"name": name}).vm
        check(vm.uid == self.vms[name].uid and
              vm.revision == self.vms[name].revision, vm)
        del self.vms[name]

    def create_class(self):
        name = self.name()
        self.classes[name] = self.write("ClassService/CreateClass", {
            "vm_class": {"name": name, "resources": {
                "cpu_milli": 1 + self.random.randrange(1000),
                "memory_mib": 1}}}).vm_class

    def read(self):
        """Through any node, what was acknowledged before is there."""
        name = self.random.choice(list(self.vms))
        try:
            vm = self.any().call("VmService/GetVm", {"name": name},
                                 CALL_SECONDS).vm
        except Refused as refusal:
            check(refusal.code in OPEN, "read of", name, refusal)
            return
        check(vm.uid == self.vms[name].uid and
              vm.revision == self.vms[name].revision, "read", vm, "after",
              self.vms[name])

    def work(self):
        while not self.stop.is_set():
            what = self.random.randrange(100)
            if what < 40 or not self.vms:
                self.create_vm()
            elif what < 65:
                self.update_vm()
            elif what < 75:
                self.delete_vm()
            elif what < 85:
                self.create_class()
            else:
                self.read()


class Watcher(Worker):
    """Every change once and in order, over all streams that break."""

    def __init__(self, begin, *rest):
        super().__init__(*rest)
        self.begin = begin
        self.seen = begin
        self.streams = 0
        self.listed = 0
        self.revisions = []

    def follow(self, client):
        stream = client.stream("WatchService/Watch",
                               {"after_revision": self.seen}, 3)
        for message in stream:
            for event in message.events:
                check(event.revision == self.seen + 1, "event",
                      event.revision, "after", self.seen)
                self.seen = event.revision
                self.revisions.append(event.revision)
            if self.stop.is_set():
                stream.cancel()
                return

    def list_again(self, client):
        """This node begins above what was seen; a list says where to go on.
        Its revision, never one below."""
        try:
            answer = client.call("ClassService/ListClasses", {}, CALL_SECONDS)
        except Refused:
            return
        check(answer.revision >= self.seen, "list at", answer.revision,
              "after", self.seen)
        self.listed += 1
        self.seen = answer.revision

    def work(self):
        out_of_range = 0
        while not self.stop.is_set():
            client = self.any()
            self.streams += 1
            try:
                self.follow(client)
            except grpc.RpcError as error:
                refusal = Refused(error)
                check(refusal.code in (*OPEN, "CANCELLED", "OUT_OF_RANGE"),
                      "watch", refusal)
                out_of_range = (out_of_range + 1
                                if refusal.code == "OUT_OF_RANGE" else 0)
                if out_of_range == 10:
                    self.list_again(client)
                self.stop.wait(0.02)


class Killer:
    def __init__(self, region, writers, watcher, seed):
        self.region = region
        self.writers = writers
        self.watcher = watcher
        self.random = random.Random(seed)
        self.leaders = 0
        self.kills = 0

    def progress(self, count):
        """Waits until so many more writes are acknowledged."""
        goal = sum(w.acknowledged for w in self.writers) + count

        def reached():
            for worker in (*self.writers, self.watcher):
                if worker.wrong is not None:
                    raise worker.wrong
            return sum(w.acknowledged for w in self.writers) >= goal
        wait_until(reached, f"{count} more writes")

    def kill(self, node):
        node.kill()
        self.kills += 1

    def one(self, node, progress):
        """It misses so many writes at the least."""
        self.kill(node)
        self.progress(progress)
        node.start()

    def two(self, first):
        """One after the other; nothing goes on while both are gone. The
        second dies once more while it starts or catches up."""
        self.kill(first)
        self.progress(self.random.randrange(20))
        second = self.random.choice(
            [n for n in self.region.nodes if n is not first])
        self.kill(second)
        second.start()
        time.sleep(self.random.random() * 0.5)
        self.kill(second)
        second.start()
        first.start()

    def last_one(self, leader):
        """The leader loses both others, and dies when it has given up. What it
        wrote in between is on its disk alone: the others go on without, and it
        has to drop it. None of that may have been acknowledged."""
        others = [n for n in self.region.nodes if n is not leader]
        for node in others:
            self.kill(node)
        wait_until(lambda: not self.region.status(leader).leader,
                   "the leader gives up")
        self.kill(leader)
        for node in others:
            node.start()
        self.progress(10)
        leader.start()

    def hang(self, leader):
        """It stands still while another leads, and comes back believing that
        it leads, with reads and writes in its queue."""
        leader.freeze()
        self.progress(20)
        leader.signal(signal.SIGCONT)

    def round(self, number):
        leader = self.region.leader()
        followers = [n for n in self.region.nodes if n is not leader]
        time.sleep(self.random.random() * 0.1)  # At any point of a write.
        kind = number % 6
        self.leaders += kind in (0, 1, 3)
        if kind == 0:
            self.one(leader, 0)
        elif kind == 1:
            self.one(leader, 1 + self.random.randrange(150))
        elif kind == 2:
            self.one(self.random.choice(followers), 0)
        elif kind == 3:
            self.two(leader)
        elif kind == 4:
            self.last_one(leader)
        else:
            self.hang(leader)
        self.progress(10)


def settled(region):
    """The statuses of all nodes once they have applied the same."""
    def equal():
        answers = [region.status(node) for node in region.nodes]
        if None in answers or len({a.applied_index for a in answers}) != 1:
            return None
        return answers
    return wait_until(equal, "all replicas are at the same entry")


def read_all(client, path, items):
    found, token = [], ""
    while True:
        answer = client.call(path, {**STALE, "page_size": 500,
                                    "page_token": token})
        found += getattr(answer, items)
        token = answer.next_page_token
        if not token:
            return {item.name: item for item in found}, len(found)


def check_things(node, kind, found, count, expected):
    check(count == len(found), node.name, "lists", kind, "twice")
    missing = set(expected) - set(found)
    check(not missing, node.name, "lost", kind, sorted(missing)[:10])
    strange = set(found) - set(expected)
    check(not strange, node.name, "has", kind, "that must not be there",
          sorted(strange)[:10])
    for name, thing in expected.items():
        check(found[name].uid == thing.uid and
              found[name].revision == thing.revision, node.name, "has",
              found[name], "instead of", thing)


def check_replicas(region, writers):
    answers = settled(region)
    check(len({a.state_hash for a in answers}) == 1 and
          len({a.revision for a in answers}) == 1, "hashes differ:", answers)
    for node in region.nodes:
        client = region.client(node)
        classes, count = read_all(client, "ClassService/ListClasses",
                                  "classes")
        small = classes.pop("small")
        expected = {k: v for w in writers for k, v in w.classes.items()}
        check_things(node, "classes", classes, count - 1, expected)
        vms, count = read_all(client, "VmService/ListVms", "vms")
        expected = {k: v for w in writers for k, v in w.vms.items()}
        check_things(node, "VMs", vms, count, expected)
        for name, vm in expected.items():
            check(vms[name].labels == vm.labels and
                  vms[name].priority == vm.priority, node.name, "has",
                  vms[name], "instead of", vm)
        check(small.vm_count == len(vms), "VMs of the class:",
              small.vm_count)
    return answers[0]


def check_revisions(writers, watcher, last, first):
    """Each acknowledged write is one change, and there are no others."""
    made = sorted(r for w in writers for r in w.revisions)
    check(made == list(range(first.revision + 1, last.revision + 1)),
          len(made), "writes were acknowledged, from revision",
          first.revision, "to", last.revision)
    check(watcher.revisions == sorted(set(watcher.revisions)),
          "the watch repeated itself")
    if watcher.listed == 0:
        check(len(watcher.revisions) == watcher.seen - watcher.begin,
              "the watch has gaps")


def join(workers):
    for worker in workers:
        worker.join(holdfast_client.SECONDS)
        check(not worker.is_alive(), "a client hangs")
        if worker.wrong is not None:
            raise worker.wrong


def run(region, rounds, seed):
    client = region.client(region.leader())
    client.call("ClassService/CreateClass", {"vm_class": {
        "name": "small", "resources": {"cpu_milli": 1, "memory_mib": 1}}})
    first = region.status(region.leader())
    enough, seen_all = threading.Event(), threading.Event()
    writers = [Writer(i, region, seed * 100 + i, enough)
               for i in range(WRITERS)]
    watcher = Watcher(first.revision, region, seed * 100 + 50, seen_all)
    killer = Killer(region, writers, watcher, seed)
    try:
        for worker in (*writers, watcher):
            worker.start()
        killer.progress(10)
        for number in range(rounds):
            killer.round(number)
        enough.set()
        join(writers)
        region.leader()
        last = check_replicas(region, writers)
        wait_until(lambda: watcher.wrong is not None or
                   watcher.seen >= last.revision, "the watch has seen all")
    finally:
        enough.set()
        seen_all.set()
    join([watcher])
    check(killer.leaders * 2 >= rounds, "too few leaders were killed")
    check_revisions(writers, watcher, last, first)
    # Once more from what is on the disks alone.
    for node in region.nodes:
        node.kill()
    for node in region.nodes:
        node.start()
    region.leader()
    again = check_replicas(region, writers)
    check((again.revision, again.state_hash) ==
          (last.revision, last.state_hash), "changed by a restart:", again)
    print(f"{rounds} rounds, {killer.kills} kills ({killer.leaders} of "
          f"leaders first): {sum(w.acknowledged for w in writers)} writes "
          f"acknowledged after {sum(w.retries for w in writers)} retries, "
          f"{len(watcher.revisions)} events over {watcher.streams} streams; "
          f"all there, once, on all replicas at revision {last.revision}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries")
    parser.add_argument("descriptors")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # Snapshots are taken, sent and restored all the time.
    region = Region(options.binaries, snapshot_entries=100, segment_mib=1)
    try:
        wait_until(lambda: holdfast_client.answers(region.nodes[0].address),
                   "the first node listens")
        holdfast_client.load_schema(options.descriptors,
                                    region.nodes[0].address)
        run(region, options.rounds, options.seed)
    except BaseException:
        print(region.logs(), f"\nseed {options.seed}; again: {' '.join(sys.argv)}",
              flush=True)
        region.close(orderly=False)
        raise
    region.close()


if __name__ == "__main__":
    main()
