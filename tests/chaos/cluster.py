# SPDX-License-Identifier: Apache-2.0
"""A region of three zones whose every link goes through the relay: the lab's
region (deploy/lab/region.py) with a network that can be broken."""

import argparse
import os
import shutil
import signal
import subprocess
import time

import holdfast_client
from holdfast_client import Client, Refused
from holdfast_region import free_ports
from preload import Control
from relay import Network

import region as lab

HERE = os.path.dirname(os.path.abspath(__file__))
GUEST = os.path.join(HERE, "..", "..", "deploy", "lab", "exec-guest")
HOST_CPUS = 6
CLIENT = "client"
# Longer than the default: on a machine that is busy with other things an
# election must have the reason that a scenario gave it. And short enough that a
# leader that gives up and one that is elected, each within twice this, leave
# hosts the time to renew.
ELECTION_MS = 500


class Node:
    """A node as kill_test's clients see it: through the network."""

    def __init__(self, zone, address):
        self.name = f"node-{zone}"
        self.zone = zone
        self.address = address


class Cluster(lab.Region):
    def __init__(self, binaries, keep=False, preload=None):
        """`preload`: the library that breaks disks and clocks, if there is
        one."""
        self.network = None
        self.preload = preload
        self.controls = {}  # Node's or host's name -> its Control.
        self.stopped = set()
        self.wrapped = {}  # Zone -> what its node's command begins with.
        try:
            super().__init__(argparse.Namespace(
                binaries=binaries, keep=keep, driver="exec", zones=3, hosts=2,
                guest=GUEST), HOST_CPUS)
        except BaseException:
            if self.network is not None:
                self.network.close()
            raise
        self.nodes = [Node(zone, self.network.address(CLIENT, zone))
                      for zone in self.zones]
        self.observers = {}

    def _write_configs(self):
        # Not of the range that connections come from: while a node is down,
        # the relay must be refused, and not find itself.
        self.addresses = {zone: f"127.0.0.1:{port}" for zone, port in
                          zip(self.zones, free_ports(len(self.zones)))}
        links = [(a, b, self.addresses[b]) for a in self.zones
                 for b in self.zones if a != b]
        links += [(a, b, self.addresses[b]) for a in [*self.hosts, CLIENT]
                  for b in self.zones]
        self.network = Network(links, lab.die_with_parent)
        for zone in self.zones:
            self._write_node(zone)
        real = self.addresses
        for host in self.hosts:
            # The lab's configuration, but by the links of this host.
            self.addresses = {z: self.network.address(host, z) for z in real}
            self._write_host(host)
            self._write_helpers(host)
        self.addresses = real

    def _write_node(self, zone):
        members = "".join(
            f'- {{name: node-{other}, id: {i + 1}, zone: {other}, address: '
            f'"{self._seen_from(zone, other)}"}}\n'
            for i, other in enumerate(self.zones))
        with open(self.config(f"node-{zone}"), "w", encoding="utf-8") as file:
            # Small, so that snapshots are taken, sent and restored often.
            file.write(f"region: chaos\nname: node-{zone}\n"
                       f"data_dir: {self.data(zone)}\n"
                       f"election_timeout_ms: {ELECTION_MS}\n"
                       "snapshot_entries: 300\nsegment_mib: 1\n"
                       f"nodes:\n{members}")

    def _write_helpers(self, host):
        """An agent starts its helpers with the environment of the VM or its
        own; here each gets the host's clock before."""
        if not self.preload:
            return
        folder = f"{self.disk}/helpers/{host}"
        os.makedirs(folder)
        for name in ("holdfast-shim", "holdfast-guard"):
            program = f"{self.binaries}/{name}"
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\nexport " + " ".join(
                    f"'{one}'" for one in self._obeying(host, program)) +
                    f"\nexec '{program}' \"$@\"\n")
            os.chmod(f"{folder}/{name}", 0o755)
        with open(self.config(host), "a", encoding="utf-8") as file:
            file.write(f"helper_dir: {folder}\n")

    def _obeying(self, name, program):
        """The environment that makes a program of a node or host obey."""
        if not self.preload:
            return []
        if name not in self.controls:
            folder = f"{self.disk}/control"
            os.makedirs(folder, exist_ok=True)
            self.controls[name] = Control(f"{folder}/{name}",
                                          f"{self.disk}/{name}")
        return self.controls[name].environment(self.preload, program)

    def _seen_from(self, zone, other):
        if zone == other:
            return self.addresses[other]
        return self.network.address(zone, other)

    def data(self, zone):
        return f"{self.disk}/node-{zone}"

    # Processes -------------------------------------------------------------

    def start_node(self, zone, first=False):
        name = f"node-{zone}"
        program = f"{self.binaries}/holdfastd"
        self._spawn(name, [
            *self.wrapped.get(zone, []), "env", *self._obeying(name, program),
            program, "--config", self.config(name),
            *(["--bootstrap"] if first else [])])

    def start_agent(self, host):
        os.makedirs(f"{self.run}/{host}", exist_ok=True)
        os.makedirs(f"{self.disk}/{host}", exist_ok=True)
        program = f"{self.binaries}/holdfast-agent"
        self._spawn(host, ["env", *self._obeying(host, program), program,
                           self.config(host)])

    def lives(self, name):
        child = self.children.get(name)
        return child is not None and child.poll() is None

    def kill(self, *names):
        """SIGKILL for nodes and agents, by name, all before one is waited
        for."""
        living = [name for name in names if self.lives(name)]
        for name in living:
            self.children[name].kill()
        for name in living:
            self.stopped.discard(self.children[name].pid)
            self.children.pop(name).wait()

    def kill_host(self, host):
        """As when its power fails."""
        for pid in self.of_host(host):
            send(pid, signal.SIGKILL)
        if host in self.children:
            self.children.pop(host).wait()

    @staticmethod
    def kill_one(pid):
        send(pid, signal.SIGKILL)

    def exit_code(self, name, seconds=30):
        try:
            return self.children[name].wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} did not end") from None

    def stop(self, *pids):
        for pid in pids:
            if send(pid, signal.SIGSTOP):
                self.stopped.add(pid)

    def go_on(self, *pids):
        for pid in pids:
            send(pid, signal.SIGCONT)
            self.stopped.discard(pid)

    def node_pid(self, zone):
        return self.children[f"node-{zone}"].pid

    def agent_pid(self, host):
        return self.children[host].pid

    def shims(self, host):
        lines = lab.processes()
        return [pid for pid in self.of_host(host)
                if lines.get(pid, "").split("\0")[0].endswith("-shim")]

    def moving_zones(self):
        """Those whose node lives and was not stopped; asked by several threads
        while another starts and kills."""
        children = {z: self.children.get(f"node-{z}") for z in self.zones}
        return [z for z, child in children.items()
                if child is not None and child.poll() is None and
                child.pid not in self.stopped]

    def well(self):
        """Ends all faults: disks, clocks, links, stopped processes, and dead
        ones."""
        for control in self.controls.values():
            control.well()
        self.network.well()
        self.go_on(*list(self.stopped))
        for zone in self.zones:
            if not self.lives(f"node-{zone}"):
                self.start_node(zone)
        for host in self.hosts:
            if not self.lives(host):
                self.start_agent(host)

    # What it says ----------------------------------------------------------

    def client(self, node):
        """Past the broken network, for those who watch."""
        return self.observer(node.zone)

    def observer(self, zone):
        if zone not in self.observers:
            self.observers[zone] = Client(self.addresses[zone])
        return self.observers[zone]

    def status(self, node):
        zone = node if isinstance(node, str) else node.zone
        if zone not in self.moving_zones():
            return None
        try:
            return self.observer(zone).call("ClusterService/GetStatus", {},
                                            1.0)
        except Refused:
            return None

    def ask(self, path, fields, seconds=60):
        """Of any node, until one answers."""
        end = time.monotonic() + seconds
        while True:
            refused = "no node lives"
            for zone in self.moving_zones():
                try:
                    return self.observer(zone).call(path, fields, 2.0)
                except Refused as refusal:
                    if refusal.code not in ("UNAVAILABLE",
                                            "DEADLINE_EXCEEDED"):
                        raise
                    refused = refusal
            if time.monotonic() > end:
                raise AssertionError(f"no answer to {path}: {refused}")
            time.sleep(0.1)

    def load_schema(self, standard):
        address = self.addresses[self.zones[0]]
        end = time.monotonic() + 60
        while not holdfast_client.answers(address):
            if time.monotonic() > end:
                raise AssertionError("the first node does not listen")
        holdfast_client.load_schema(standard, address)

    def close(self):
        for client in self.observers.values():
            client.close()
        super().close()
        self.network.close()


class SmallDisk:
    """A tmpfs with a size for one node's data, in a mount namespace of its own
    that lives as long as a process of ours; nothing is mounted outside."""

    def __init__(self, cluster, zone, size_mib):
        self.cluster = cluster
        self.zone = zone
        folder = cluster.data(zone)
        script = (f'mount -t tmpfs -o size={size_mib}m tmpfs "$1" && '
                  'echo ready && exec sleep 100000')
        self.child = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", script, "sh", folder],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True, preexec_fn=lab.die_with_parent)
        self.works = self.child.stdout.readline() == "ready\n"
        if self.works:
            cluster.wrapped[zone] = [
                "nsenter", "-t", str(self.child.pid), "-U", "-m",
                "--preserve-credentials", "--"]

    def path(self):
        return f"/proc/{self.child.pid}/root{self.cluster.data(self.zone)}"

    def take(self, folder):
        """Copies a node's data in."""
        shutil.copytree(folder, self.path(), dirs_exist_ok=True)

    def fill(self):
        with open(f"{self.path()}/ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                pass  # It is full.
            try:
                while True:
                    file.write(bytes(512))
            except OSError:
                pass

    def free(self):
        os.unlink(f"{self.path()}/ballast")

    def give_back(self):
        """What is on it takes the place of what the node had before."""
        folder = self.cluster.data(self.zone)
        shutil.copytree(self.path(), folder + ".new")
        self.close()  # Or the folder would still be its mount's place.
        shutil.rmtree(folder)
        os.rename(folder + ".new", folder)

    def close(self):
        self.cluster.wrapped.pop(self.zone, None)
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def send(pid, number):
    """Whether the process was still there."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False
