# SPDX-License-Identifier: Apache-2.0
"""A region for deploy/chaos: real processes on this machine, whose links can be
cut. Its inventory says how each is killed, started, stopped and cut off here,
instead of by systemd and nft. Nothing needs root."""

import argparse
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
for folder in ("deploy/lab", "tests/chaos"):
    sys.path.insert(0, os.path.join(ROOT, folder))

import region as lab  # noqa: E402
from relay import Network  # noqa: E402

CHAOS = os.path.join(ROOT, "deploy", "chaos")
GUEST = os.path.join(ROOT, "deploy", "lab", "exec-guest")
LOSABLE = "z3-h1"
PATIENCE_S = 60  # To fail, not to measure.

# As systemd: a second start of what lives does nothing.
START = """#!/bin/sh
name=$1; shift
pid=$(cat "{disk}/pids/$name" 2>/dev/null || echo 0)
if grep -q . "/proc/$pid/cmdline" 2>/dev/null; then exit 0; fi
setsid "$@" </dev/null >>"{disk}/log/$name.log" 2>&1 &
echo $! >"{disk}/pids/$name"
"""

INVENTORY = """
endpoints = [{endpoints}]
holdfast = "{binaries}/holdfast"
bound_s = 30
start_s = 30
[defaults]
work_dir = "{disk}/chaos"
timer = "shell"
[defaults.commands]
node_kill = 'kill -KILL $(cat {disk}/pids/{{node}})'
node_start = '{start} {{node}} {binaries}/holdfastd --config {disk}/config/{{node}}.yaml'
node_pause = 'kill -STOP $(cat {disk}/pids/{{node}})'
node_resume = 'kill -CONT $(cat {disk}/pids/{{node}})'
node_restart = '''kill -TERM $(cat {disk}/pids/{{node}})
while grep -q . /proc/$(cat {disk}/pids/{{node}})/cmdline; do sleep 0.1; done 2>/dev/null
{start} {{node}} {binaries}/holdfastd --config {disk}/config/{{node}}.yaml'''
agent_kill = 'kill -KILL $(cat {disk}/pids/{{host}})'
agent_start = '{start} {{host}} {binaries}/holdfast-agent {disk}/config/{{host}}.yaml'
agent_pause = 'kill -STOP $(cat {disk}/pids/{{host}})'
agent_resume = 'kill -CONT $(cat {disk}/pids/{{host}})'
isolate = 'touch {disk}/cut/{{machine}}'
isolate_zone = 'touch {disk}/cut/{{machine}}@{{zone}}'
cut_from = 'touch {disk}/cut/{{machine}}:{{from}}'
join = 'rm -f {disk}/cut/{{machine}} {disk}/cut/{{machine}}@* {disk}/cut/{{machine}}:*'
"""

# Ends what is left when the test itself was killed.
# A connection that can be lost.
VIA = """#!/bin/sh
if test -e "{disk}/lost"; then exit 255; fi
exec "$@"
"""

UNDERTAKER = ("import sys; sys.path.insert(0, sys.argv[1]); "
              "sys.stdin.read(); import region; "
              "region.end_all(sys.argv[2], sys.argv[3])")


class ChaosRegion(lab.Region):
    """Machines node-z1 to node-z3 and z1-h1 to z3-h1."""

    def __init__(self, binaries):
        self.network = None
        super().__init__(argparse.Namespace(
            binaries=binaries, keep=False, driver="exec", zones=3, hosts=1,
            guest=GUEST), 4)
        self.undertaker = subprocess.Popen(
            [sys.executable, "-c", UNDERTAKER, os.path.dirname(lab.__file__),
             self.run, self.disk], stdin=subprocess.PIPE,
            start_new_session=True)
        for folder in ("pids", "cut", "chaos"):
            os.mkdir(f"{self.disk}/{folder}")
        self.start_script = f"{self.disk}/start"
        with open(self.start_script, "w", encoding="utf-8") as file:
            file.write(START.format(disk=self.disk))
        os.chmod(self.start_script, 0o700)
        with open(f"{self.disk}/via", "w", encoding="utf-8") as file:
            file.write(VIA.format(disk=self.disk))
        os.chmod(f"{self.disk}/via", 0o700)
        self.inventory = self.write_inventory()
        self._closed = threading.Event()
        self._cutter = threading.Thread(target=self._follow, daemon=True)
        self._cutter.start()

    def _write_configs(self):
        self.addresses = {zone: f"127.0.0.1:{port}" for zone, port in
                          zip(self.zones, lab.free_ports(len(self.zones)))}
        real = self.addresses
        self.network = Network(
            [(a, b, real[b]) for a in [*self.zones, *self.hosts]
             for b in self.zones if a != b], lab.die_with_parent)
        for zone in self.zones:
            self.addresses = {z: real[z] if z == zone else
                              self.network.address(zone, z)
                              for z in self.zones}
            members = "".join(
                f'- {{name: node-{z}, id: {i + 1}, zone: {z}, '
                f'address: "{self.addresses[z]}"}}\n'
                for i, z in enumerate(self.zones))
            with open(self.config(f"node-{zone}"), "w",
                      encoding="utf-8") as file:
                # The machine may be busy with other tests.
                file.write(f"region: chaos\nname: node-{zone}\n"
                           f"data_dir: {self.disk}/node-{zone}\n"
                           f"election_timeout_ms: 500\nnodes:\n{members}")
        for host in self.hosts:
            self.addresses = {z: self.network.address(host, z) for z in real}
            self._write_host(host)
        self.addresses = real

    def machines(self):
        """(name, zone, role) of each."""
        return [(f"node-{z}", z, "node") for z in self.zones] + \
            [(h, z, "host") for h, z in self.hosts.items()]

    def via(self, machine):
        """One machine is reached by what can be lost, the others directly."""
        return f"{self.disk}/via" if machine == LOSABLE else ""

    def lose(self):
        with open(f"{self.disk}/lost", "w", encoding="utf-8"):
            pass

    def find(self):
        os.unlink(f"{self.disk}/lost")

    def write_inventory(self, name="chaos.toml", **changes):
        """`changes`: machine name -> lines for its table."""
        text = INVENTORY.format(
            binaries=self.binaries, disk=self.disk, start=self.start_script,
            endpoints=", ".join(f'"{a}"' for a in self.addresses.values()))
        for machine, zone, role in self.machines():
            text += (f'[[machine]]\nname = "{machine}"\nzone = "{zone}"\n'
                     f'roles = ["{role}"]\nvia = "{self.via(machine)}"\n'
                     f'run_dir = "{self.run}/{machine}"\n'
                     f"{changes.get(machine.replace('-', '_'), '')}\n")
        path = f"{self.disk}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # The network that the inventory's commands ask for ---------------------------

    def _follow(self):
        """Cuts what files below cut/ name."""
        before = frozenset()
        while not self._closed.wait(0.02):
            wanted = frozenset(os.listdir(f"{self.disk}/cut"))
            if wanted != before:
                self.network.well()
                for name in wanted:
                    self._cut(name)
                before = wanted

    def _cut(self, name):
        if ":" in name:
            machine, source = name.split(":")
            self.network.cut_from(end(source), end(machine))
            return
        machine, _, zone = name.partition("@")
        for other in [*self.zones, *self.hosts]:
            of_zone = self.hosts.get(other, other)
            if other != end(machine) and of_zone != zone:
                self.network.cut(end(machine), other)

    # Life ----------------------------------------------------------------------

    def start(self):
        for zone in self.zones:
            self._launch(f"node-{zone}", f"{self.binaries}/holdfastd",
                         "--config", self.config(f"node-{zone}"), "--bootstrap")
        self.until(lambda: (self.call("cluster", "status", check=False) or
                            {}).get("leader"), "a leader")
        self.call("zone", "create", *self.zones)
        self.call("cluster", "settings", "set", "zone_hold_ms=500")
        self.call("class", "create", "guest", "--cpu", "1", "--memory", "1MiB")
        for host in self.hosts:
            os.makedirs(f"{self.run}/{host}", exist_ok=True)
            os.makedirs(f"{self.disk}/{host}", exist_ok=True)
            self._launch(host, f"{self.binaries}/holdfast-agent",
                         self.config(host))
        self.until(lambda: len(self.call("host", "list")["hosts"]) ==
                   len(self.hosts), "all hosts")
        for name in ("a", "b", "c"):
            with open(f"{self.pool}/{name}.img", "wb") as disk:
                disk.truncate(1 << 20)
            self.call("vm", "create", name, "--class", "guest", "--stop-grace",
                      "1s", "--disk", "kind=shared,pool=san,path={name}.img",
                      "--wait", "--command",
                      f"{self.disk}/images/exec-guest", "{disk0}")

    def _launch(self, name, *command):
        subprocess.run([self.start_script, name, *command], check=True)

    def until(self, check, what):
        limit = time.monotonic() + PATIENCE_S
        while True:
            value = check()
            if value:
                return value
            assert time.monotonic() < limit, f"it never came: {what}"
            time.sleep(0.05)

    def vm(self, name):
        return self.call("vm", "show", name)

    def pid(self, name):
        with open(f"{self.disk}/pids/{name}", encoding="utf-8") as file:
            return int(file.read())

    def state(self, name):
        """Of its process: R, S, T..., or None when it is gone."""
        try:
            with open(f"/proc/{self.pid(name)}/stat", encoding="utf-8") as file:
                return file.read().rpartition(")")[2].split()[0]
        except OSError:
            return None

    def planted(self):
        return os.listdir(f"{self.disk}/chaos")

    def close(self):
        self._closed.set()
        self._cutter.join()
        super().close()
        self.network.close()
        self.undertaker.stdin.close()
        self.undertaker.wait()


def end(machine):
    """As the relay calls it."""
    return machine.removeprefix("node-")
