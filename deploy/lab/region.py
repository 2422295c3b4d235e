# SPDX-License-Identifier: Apache-2.0
"""A whole region on this machine: nodes, agents and VMs as plain processes on
loopback. Zones and hosts are folders; nothing of it needs root."""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
KEPT = "region.json"
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """What went wrong, for people."""


def die_with_parent():
    """Runs in a child before exec: nothing outlives a killed lab. VMs are not
    children of it; they end with their hosts' leases."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count):
    """Ports outside of the range from which the kernel serves clients, so that
    nobody takes them before a node does, or while it is down."""
    ports = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def processes():
    """All processes of this machine that can be seen: pid -> command line."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                found[int(entry)] = file.read().decode("utf-8", "replace")
        except OSError:
            continue  # It ended meanwhile.
    return found


def parse_json(text):
    """The value in `text`; a list when there are several after each other."""
    decoder = json.JSONDecoder()
    values = []
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:].lstrip()
    return values[0] if len(values) == 1 else values


def end_all(run, disk):
    """Ends every process whose command line names one of a region's folders,
    which have random names of its own, and removes the folders."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        left = [pid for pid, line in processes().items()
                if (f"{run}/" in line or f"{disk}/" in line)
                and pid != os.getpid()]
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass  # It ended meanwhile.
        time.sleep(0.05)
    shutil.rmtree(run, ignore_errors=True)
    shutil.rmtree(disk, ignore_errors=True)


def end_kept(disk):
    """Ends a region that was left running; an exit code."""
    disk = os.path.abspath(disk)
    try:
        with open(os.path.join(disk, KEPT)) as file:
            run = json.load(file)["run"]
    except (OSError, ValueError, KeyError):
        print(f"{disk} is not the folder of a region that was kept.")
        return 2
    end_all(run, disk)
    print("The region is gone.")
    return 0


class Region:
    """Everything lives below one temporary folder and goes with it."""

    def __init__(self, options, cpus):
        """`options` as deploy/demo takes them; `cpus` of each host."""
        self.binaries = options.binaries
        self.keep = options.keep
        self.driver = options.driver
        self.cpus = cpus
        zones, hosts = options.zones, options.hosts
        self.zones = [f"z{i + 1}" for i in range(zones)]
        self.hosts = {f"{zone}-h{i + 1}": zone
                      for zone in self.zones for i in range(hosts)}
        # On tmpfs by preference: hosts expect that of their run folders, and
        # socket names must be short.
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.run = tempfile.mkdtemp(prefix="hf-", dir=base)
        self.disk = tempfile.mkdtemp(prefix="holdfast-")
        self.pool = os.path.join(self.disk, "pool")
        self.children = {}
        for folder in ("pool", "images", "log", "config"):
            os.mkdir(os.path.join(self.disk, folder))
        for image in (options.guest, os.path.join(os.path.dirname(__file__),
                                          "exec-guest")):
            shutil.copy(image, os.path.join(self.disk, "images"))
        ports = free_ports(zones)
        self.addresses = {zone: f"127.0.0.1:{port}"
                          for zone, port in zip(self.zones, ports)}
        self._write_configs()

    def _write_configs(self):
        members = "".join(
            f'- {{name: node-{zone}, id: {i + 1}, zone: {zone}, '
            f'address: "{self.addresses[zone]}"}}\n'
            for i, zone in enumerate(self.zones))
        for zone in self.zones:
            with open(self.config(f"node-{zone}"), "w") as file:
                file.write(f"region: demo\nname: node-{zone}\n"
                           f"data_dir: {self.disk}/node-{zone}\n"
                           f"nodes:\n{members}")
        for host in self.hosts:
            self._write_host(host)

    def _write_host(self, host):
        zone = self.hosts[host]
        own_first = sorted(self.zones, key=lambda z: (z != zone, z))
        nodes = ", ".join(f'"{self.addresses[z]}"' for z in own_first)
        with open(self.config(host), "w") as file:
            file.write(
                f"host: {host}\nzone: {zone}\nnodes: [{nodes}]\n"
                f"run_dir: {self.run}/{host}\n"
                f"state_dir: {self.disk}/{host}\n"
                f"image_dir: {self.disk}/images\n"
                f"capacity: {{cpu_milli: {self.cpus * 1000}, "
                "memory_mib: 65536, disk_gib: 100}\n"
                f"pools: [{{name: san, path: {self.pool}}}]\n"
                f"drivers: [DRIVER_{self.driver.upper()}]\n")

    def config(self, name):
        return os.path.join(self.disk, "config", f"{name}.yaml")

    def _spawn(self, name, arguments):
        with open(os.path.join(self.disk, "log", f"{name}.log"), "ab") as log:
            self.children[name] = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
                preexec_fn=None if self.keep else die_with_parent)

    def start_node(self, zone, first=False):
        name = f"node-{zone}"
        command = [f"{self.binaries}/holdfastd", "--config", self.config(name)]
        self._spawn(name, command + (["--bootstrap"] if first else []))

    def start_agent(self, host):
        os.makedirs(f"{self.run}/{host}", exist_ok=True)
        os.makedirs(f"{self.disk}/{host}", exist_ok=True)
        self._spawn(host, [f"{self.binaries}/holdfast-agent", self.config(host)])

    def start_zone(self, zone, first=False):
        self.start_node(zone, first)
        for host, of_zone in self.hosts.items():
            if of_zone == zone:
                self.start_agent(host)

    def of_host(self, host):
        """Pids of its agent, guard, shims and guests: they name its run folder
        or work in it."""
        return self._within([f"{self.run}/{host}/"]) + [
            child.pid for name, child in self.children.items() if name == host]

    def of_hosts(self, zone):
        """Pids of guards, shims and guests."""
        return self._within([f"{self.run}/{h}/" for h, z in self.hosts.items()
                             if z == zone])

    @staticmethod
    def _within(folders):
        found = []
        for pid, line in processes().items():
            words = [word + "/" for word in line.split("\0")]
            try:
                words.append(os.readlink(f"/proc/{pid}/cwd") + "/")
            except OSError:
                pass  # It ended, or is another user's: not ours.
            if any(word.startswith(folder) for word in words
                   for folder in folders):
                found.append(pid)
        return found

    def kill_zone(self, zone, guests_too):
        """SIGKILL for all of a zone: as when its power fails (guests_too), or
        its node and agents only: as when they crash and the guests run on."""
        names = [f"node-{zone}"] + [h for h, z in self.hosts.items() if z == zone]
        pids = [self.children[name].pid for name in names]
        if guests_too:
            pids += [p for p in self.of_hosts(zone) if p not in pids]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for name in names:
            self.children.pop(name).wait()
        return len(pids)

    def endpoints(self, without=None):
        return ",".join(address for zone, address in self.addresses.items()
                        if zone != without)

    def call(self, *arguments, without=None, check=True):
        """Runs `holdfast`; its JSON, or None when that failed and check is
        off."""
        result = subprocess.run(
            [f"{self.binaries}/holdfast", "-e", self.endpoints(without), "-o",
             "json", *arguments],
            capture_output=True, text=True, check=False)
        if result.returncode != 0:
            if not check:
                return None
            raise LabError(f"holdfast {' '.join(arguments)} failed:\n"
                           f"{result.stderr.strip()}")
        return parse_json(result.stdout)

    def show(self, *arguments, without=None):
        """Runs `holdfast` for people's eyes; what it printed."""
        result = subprocess.run(
            [f"{self.binaries}/holdfast", "-e", self.endpoints(without),
             *arguments], capture_output=True, text=True, check=False)
        return result.stdout + result.stderr

    def dead_children(self):
        return [name for name, child in self.children.items()
                if child.poll() is not None]

    def log_tail(self, name, lines=15):
        with open(os.path.join(self.disk, "log", f"{name}.log")) as file:
            return "".join(file.readlines()[-lines:])

    def leave(self):
        """Notes what end_kept() needs."""
        with open(os.path.join(self.disk, KEPT), "w") as file:
            json.dump({"run": self.run}, file)

    def close(self):
        """Ends all processes and removes the folders."""
        end_all(self.run, self.disk)
        for child in self.children.values():
            child.wait()
