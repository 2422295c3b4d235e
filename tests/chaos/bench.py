# SPDX-License-Identifier: Apache-2.0
"""What a scenario works with: a region under clients and judges, verbs that
break it, and facts that must hold. The judges look from outside: at the
kernel's processes, at the guests' disks, at what clients were told, and at what
the replicas say of themselves."""

import os
import shutil
import subprocess
import threading
import time

import kill_test
from clients import (Acknowledgements, CLASS, Gate, History, Keeper, Sharer,
                     now_us)
from cluster import CLIENT, Cluster
from judge import Judge
from scenario import Skipped

DISK_BYTES = 1 << 20
LEASE_S = 5.0  # The default lease_wait_ms.
PATIENCE_S = 90
KEEPERS = 2
SHARERS = 3
ZONE_HOLD_MS = 2000


class Broken(Exception):
    """A fact that should have held."""


def need(good, *what):
    if not good:
        raise Broken(" ".join(str(part) for part in what))


def judge_history(binaries, path):
    """(verdict, what the checker says of it)"""
    checker = os.path.join(os.path.dirname(binaries), "tests", "history",
                           "history_check")
    done = subprocess.run([checker, path], capture_output=True, text=True,
                          check=False)
    return {0: "linearizable", 1: "not linearizable", 3: "undecided"}.get(
        done.returncode, "not judged"), done.stdout + done.stderr


class Replicas(threading.Thread):
    """Asks every node for its state: equal entries have equal hashes, a term
    has one leader, and a node's term never goes back."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.hashes = {}   # Index -> (hash, node).
        self.leaders = {}  # Term -> node.
        self.terms = {}
        self.agreed = 0    # Highest index that all had at once.
        self.wrong = []
        self._seen = {}    # Index -> nodes.
        self._stop_wanted = threading.Event()

    def look(self):
        for node in self.cluster.nodes:
            status = self.cluster.status(node)
            if status is None:
                continue
            # An answer that says "leader" tells its own term.
            self.judge(node.name, status)

    def judge(self, name, status):
        index, term = status.applied_index, status.term
        value, other = self.hashes.setdefault(index, (status.state_hash, name))
        if value != status.state_hash:
            self.wrong.append(f"{name} and {other} differ at entry {index}")
        seen = self._seen.setdefault(index, set())
        seen.add(name)
        if len(seen) == 3:
            self.agreed = max(self.agreed, index)
        if status.node.role == 1:
            first = self.leaders.setdefault(term, name)
            if first != name:
                self.wrong.append(f"{name} and {first} led in term {term}")
        if term < self.terms.get(name, 0):
            self.wrong.append(f"the term of {name} went back from "
                              f"{self.terms[name]} to {term}")
        self.terms[name] = max(term, self.terms.get(name, 0))

    def run(self):
        while not self._stop_wanted.wait(0.05):
            try:
                self.look()
            except Exception as error:  # pylint: disable=broad-except
                if not self._stop_wanted.is_set():
                    self.wrong.append(f"cannot watch the replicas: {error}")
                return

    def stop(self):
        self._stop_wanted.set()
        self.join()


class Bench:
    def __init__(self, options, seed):
        self.options = options
        self.cluster = Cluster(options.binaries, options.keep, options.preload)
        self.network = self.cluster.network
        self.zones = self.cluster.zones
        self.hosts = self.cluster.hosts
        self.judge = Judge(self.cluster.pool)
        self.replicas = Replicas(self.cluster)
        self.acknowledgements = Acknowledgements()
        self.gate = Gate()
        self.stop_wanted = threading.Event()
        self.workers = []
        self.seed = seed
        self.history = History(options.history or
                               f"{self.cluster.disk}/history.jsonl")
        self.verdict = "not judged"  # Of the history.
        self.homes = {}  # Guest -> (zone it is pinned to or None, home host).
        self.extras = set()  # Guests of one scenario.
        self.begin_facts()

    # Start and end -----------------------------------------------------------

    def start(self):
        cluster = self.cluster
        for zone in self.zones:
            cluster.start_node(zone, first=True)
        cluster.load_schema(self.options.descriptors)
        for zone in self.zones:
            cluster.ask("ZoneService/CreateZone", {"name": zone,
                                                   "request_id": zone})
        cluster.ask("ClusterService/UpdateSettings", {
            "settings": {"zone_hold_ms": ZONE_HOLD_MS},
            "update_mask": ["zone_hold_ms"]})
        for name, cpu in ((CLASS, 1), ("guest", 1000), ("filler", 4000)):
            cluster.ask("ClassService/CreateClass", {"vm_class": {
                "name": name, "resources": {"cpu_milli": cpu, "memory_mib": 1}},
                "request_id": "class-" + name})
        for host in self.hosts:
            cluster.start_agent(host)
        self.wait("all hosts", lambda: len(self.list_hosts()) ==
                  len(self.hosts))
        for host in self.hosts:
            self.create_guest(f"free-{host}", home=host)
        for zone in self.zones:
            self.create_guest(f"edge-{zone}", zone=zone)
        self.judge.start()
        self.replicas.start()
        for i in range(KEEPERS):
            self.workers.append(Keeper(i, cluster, self.seed * 100 + i,
                                       self.stop_wanted, self.gate,
                                       self.acknowledgements))
        for i in range(SHARERS):
            self.workers.append(Sharer(i, cluster, self.seed * 100 + 50 + i,
                                       self.stop_wanted, self.gate,
                                       self.history))
        for worker in self.workers:
            worker.start()

    def close(self):
        self.stop_wanted.set()
        self.gate.open.set()
        for thread in (self.judge, self.replicas):
            if thread.is_alive():
                thread.stop()
        self.cluster.close()
        self.history.flush()

    # Guests ------------------------------------------------------------------

    def create_guest(self, name, zone=None, home=None, size="guest",
                     priority=100):
        with open(f"{self.cluster.pool}/{name}.img", "wb") as disk:
            disk.truncate(DISK_BYTES)
        guest = f"{self.cluster.disk}/images/exec-guest"
        vm = {"name": name, "class_name": size, "priority": priority,
              "template": {"driver": "DRIVER_EXEC", "stop_grace_ms": 2000,
                           "command": [guest, "{disk0}"],
                           "disks": [{"kind": "DISK_KIND_SHARED",
                                      "pool": "san", "path": name + ".img"}]}}
        if zone:
            vm["zone"] = zone
        self.homes[name] = (zone, home)
        self.cluster.ask("VmService/CreateVm", {"vm": vm, "request_id":
                                                "create-" + name})

    def create_extra(self, name, **how):
        self.extras.add(name)
        self.create_guest(name, **how)

    def delete_extras(self):
        for name in list(self.extras):
            self.cluster.ask("VmService/DeleteVm",
                             {"name": name, "request_id": "delete-" + name})
        for name in self.extras:
            self.wait(f"{name} is deleted", lambda n=name: self.vm(n) is None)
            self.homes.pop(name)
        self.extras.clear()

    def list_hosts(self):
        return self.cluster.ask("HostService/ListHosts", {}).hosts

    def vms(self):
        found, token = {}, ""
        while True:
            answer = self.cluster.ask("VmService/ListVms", {
                "page_size": 500, "page_token": token})
            found.update({v.name: v for v in answer.vms
                          if v.name in self.homes})
            token = answer.next_page_token
            if not token:
                return found

    def vm(self, name):
        return self.vms().get(name)

    def on_host(self, host):
        return {n for n, v in self.vms().items() if v.status.host == host}

    def on_zone(self, zone):
        return {n for n, v in self.vms().items() if v.status.zone == zone}

    def pinned(self, names):
        return {n for n in names if self.homes[n][0]}

    def all_run(self):
        vms = self.vms()
        return len(vms) == len(self.homes) and all(
            v.status.state == 4 for v in vms.values())

    def go_home(self):
        """Every scenario begins with one free guest on each host."""
        for name, (_, home) in list(self.homes.items()):
            if home and self.vm(name).status.host != home:
                boots = self.judge.counters[name][0]
                self.cluster.ask("VmService/MoveVm", {
                    "name": name, "host": home,
                    "request_id": f"home-{name}-{now_us()}"})
                self.wait(f"{name} is at home", lambda n=name, h=home:
                          self.vm(n).status.host == h and
                          self.vm(n).status.state == 4)
                # The disk tells later than the host that it runs.
                self.wait(f"{name} counts at home", lambda n=name, b=boots:
                          self.judge.counters[n][0] > b)

    def breakable(self, name):
        """What breaks the disk and the clocks of a zone's node or of a
        host."""
        if not self.cluster.preload:
            raise Skipped("libchaos_preload.so is not built")
        return self.cluster.controls[
            f"node-{name}" if name in self.zones else name]

    # Facts -------------------------------------------------------------------

    def begin_facts(self):
        self.must = set()
        self.may = set()
        self.leader_before = None
        self.begin_us = now_us()
        self.end_us = None  # From here on clients rest to be compared.
        self.boots = {}
        self.epochs = {}

    def prepare(self):
        """Waits until all is well, and notes how it is."""
        self.wait_whole()
        self.wait("every guest counts",
                  lambda: set(self.homes) <= set(self.judge.counters))
        self.go_home()
        self.wait("all guests count", self.all_beat)
        self.begin_facts()
        self.boots = {n: self.judge.counters[n][0] for n in self.homes}
        self.leader_before = self.leader()

    def wait(self, what, condition, patience=PATIENCE_S):
        end = time.monotonic() + patience
        while True:
            value = condition()
            if value:
                return value
            self.look()
            need(time.monotonic() < end, "it never came:", what)
            time.sleep(0.1)

    def hold(self, seconds, condition=None, what=""):
        """For so long, the judges stay quiet and the condition true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            need(condition is None or condition(), "it did not stay so:", what)
            time.sleep(0.1)

    def look(self):
        """The judges' findings so far."""
        for found in (self.judge.duplicates, self.judge.regressions,
                      self.replicas.wrong):
            need(not found, *found[:3])
        for worker in self.workers:
            if worker.wrong is not None:
                raise Broken(f"a client found: {worker.wrong}")

    def restarted(self):
        return {n for n, boots in self.boots.items()
                if self.judge.counters[n][0] > boots}

    def restarts(self, names):
        """These, and by the end no others but those that may."""
        self.must |= set(names)

    def may_restart(self, names):
        self.may |= set(names)

    def wait_restarted(self, names):
        self.wait(f"{' '.join(sorted(names))} run again",
                  lambda: set(names) <= self.restarted())

    def leader(self, among=None):
        """The zone whose node leads, as most of these nodes say, with a
        majority behind it."""
        def agreed():
            names = []
            for zone in among or self.cluster.moving_zones():
                status = self.cluster.status(zone)
                if status is not None and status.leader:
                    names.append(status.leader)
            for name in set(names):
                zone = name.removeprefix("node-")
                status = self.cluster.status(zone)
                if names.count(name) >= 2 and status is not None and \
                        status.node.role == 1 and status.quorum:
                    return zone
            return None
        return self.wait("a leader", agreed)

    def followers(self):
        leader = self.leader()
        return [z for z in self.zones if z != leader]

    def leader_stays(self):
        need(self.leader() == self.leader_before, "the leader was",
             self.leader_before, "and is", self.leader())

    def leader_changes(self, among=None):
        """Another one leads."""
        self.wait("another leader",
                  lambda: self.leader(among) != self.leader_before)

    def writes_go_on(self, count=10):
        """Writes that begin from now on are answered."""
        begin = now_us()
        self.wait("writes go on", lambda: len(
            self.acknowledgements.begun_after(begin)) >= count)

    def no_writes(self, seconds):
        """None that begins from now on is answered; one that is on its way
        may be."""
        begin = now_us()
        self.hold(seconds, lambda:
                  not self.acknowledgements.begun_after(begin), "no writes")

    def runs(self, name):
        """Whether the kernel runs it."""
        return name in self.judge.live_copies()

    def wait_whole(self):
        """Three nodes, all hosts, all guests."""
        lacking = ["nothing was looked at"]

        def whole():
            lacking[0] = self.lacks()
            return lacking[0] is None
        try:
            self.wait("all is whole", whole)
        except Broken as broken:
            raise Broken(f"{broken}; {lacking[0]}") from None

    def lacks(self):
        """What is not well, or None."""
        cluster = self.cluster
        for node in cluster.nodes:
            status = cluster.status(node)
            if status is None or not status.leader or status.storm:
                return f"{node.name} says {status}"
        for host in self.list_hosts():
            if host.state != 1 or not host.lease.connected:
                return f"host {host}"
        for zone in cluster.ask("ZoneService/ListZones", {}).zones:
            if zone.state != 1:
                return f"zone {zone}"
        vms = self.vms()
        for name in self.homes:
            if name not in vms or vms[name].status.state != 4:
                return f"{name} is {vms.get(name)}"
        return None

    def settle(self):
        """After the faults: all heals by itself once they are over, and nothing
        was lost, doubled or restarted without need."""
        self.cluster.well()
        self.wait_whole()
        self.wait("all guests count", self.all_beat)
        restarted = self.restarted()
        need(self.must <= restarted, "not restarted:",
             *sorted(self.must - restarted))
        strange = restarted - self.must - self.may
        need(not strange, "restarted without need:", *sorted(strange))
        self.end_us = now_us()
        self.compare_replicas()
        self.check_history()
        self.delete_extras()
        self.look()

    def all_beat(self):
        """Every guest's disk moves and the kernel runs it once."""
        before = dict(self.judge.counters)
        copies = self.judge.live_copies()
        if not set(self.homes) <= set(copies):
            return False
        time.sleep(1)
        return all(self.judge.counters[n][1] > before[n][1]
                   for n in self.homes)

    def compare_replicas(self):
        """While the clients rest: all replicas agree, and hold every
        acknowledged write, once, and none that was not asked for."""
        self.gate.open.clear()
        try:
            self.wait("clients rest", lambda: all(
                w.resting.is_set() for w in self.workers))
            goal = max(self.cluster.status(z).applied_index
                       for z in self.zones)
            self.wait("equal replicas", lambda: self.replicas.agreed >= goal)
            keepers = [w for w in self.workers if isinstance(w, Keeper)]
            for node in self.cluster.nodes:
                self.compare(node, keepers)
        finally:
            self.let_go_on()

    def let_go_on(self):
        """And waits until all have noticed, or the next rest may begin with
        one that has not."""
        self.gate.open.set()
        end = time.monotonic() + PATIENCE_S
        while any(w.resting.is_set() and w.is_alive() for w in self.workers):
            need(time.monotonic() < end, "a client does not go on")
            time.sleep(0.01)

    def compare(self, node, keepers):
        client = self.cluster.client(node)
        vms, count = kill_test.read_all(client, "VmService/ListVms", "vms")
        need(count == len(vms), node.name, "lists VMs twice")
        for name in self.homes:
            need(vms.pop(name, None), node.name, "lost", name)
        vms = {n: v for n, v in vms.items() if not n.startswith("shared-")}
        expected = {n: v for k in keepers for n, v in k.vms.items()}
        kill_test.check_things(node, "VMs", vms, len(vms), expected)
        for name, vm in expected.items():
            need(vms[name].labels == vm.labels, node.name, "has", vms[name],
                 "instead of", vm)
        classes, _ = kill_test.read_all(client, "ClassService/ListClasses",
                                        "classes")
        for name in (CLASS, "guest", "filler"):
            classes.pop(name)
        expected = {n: c for k in keepers for n, c in k.classes.items()}
        kill_test.check_things(node, "classes", classes, len(classes),
                               expected)

    def check_history(self):
        """All that the sharers were told so far; they rest meanwhile, so that
        nothing of it is still open."""
        self.gate.open.clear()
        try:
            self.wait("clients rest", lambda: all(
                w.resting.is_set() for w in self.workers))
            self.history.flush()
            self.verdict, story = judge_history(self.options.binaries,
                                                self.history.path)
        finally:
            self.let_go_on()
        need(self.verdict == "linearizable", story)

    def unavailability(self):
        return self.acknowledgements.longest_gap(self.begin_us,
                                                 self.end_us or now_us())

    def save_logs(self, name):
        """What a failure leaves behind; where it is."""
        folder = os.path.join(os.path.dirname(self.options.binaries), "chaos",
                              name)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(f"{self.cluster.disk}/log", folder)
        self.history.flush()
        shutil.copy(self.history.path, folder)
        return folder


__all__ = ["Bench", "Broken", "CLIENT", "LEASE_S", "need", "now_us"]
