# SPDX-License-Identifier: Apache-2.0
"""A region of real processes for a test: nodes and agents that can be killed,
stopped and started again, in a directory of their own."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import holdfast_client

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                             "..", "..", "deploy", "lab"))
from region import free_ports, processes  # noqa: E402,F401  (for the tests)

SECONDS = 60  # Longer than anything here takes; a hang is a failure.


def wait_until(condition, what, seconds=SECONDS):
    """The first true value of the condition."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"it never came: {what}")
        time.sleep(0.02)


class Process:
    """One program with its log; only ever signalled by its own pid."""

    def __init__(self, log):
        self.log = log
        self.child = None

    def run(self, *command):
        assert self.child is None or self.child.poll() is not None
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log)

    def lives(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def freeze(self):
        """Until SIGCONT; it stands still when this returns."""
        def stopped():
            with open(f"/proc/{self.child.pid}/stat", "rb") as stat:
                return stat.read().rsplit(b")", 1)[1].split()[0] == b"T"
        self.signal(signal.SIGSTOP)
        wait_until(stopped, "the process stands still")

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait(SECONDS)

    def stop(self):
        """An orderly end, which has to succeed."""
        self.signal(signal.SIGTERM)
        code = self.child.wait(SECONDS)
        assert code == 0, f"{self.log}: exit {code}"


class Node(Process):
    def __init__(self, region, number, port):
        self.name = f"n{number}"
        super().__init__(f"{region.directory}/{self.name}.log")
        self.region = region
        self.number = number
        self.zone = f"z{number}"
        self.address = f"127.0.0.1:{port}"
        self.config = f"{region.directory}/{self.name}.yaml"
        self.begun = False

    def start(self):
        options = [] if self.begun else ["--bootstrap"]
        self.begun = True
        self.run(f"{self.region.binaries}/holdfastd", "--config", self.config,
                 *options)


class Agent(Process):
    def __init__(self, region, host, zone):
        super().__init__(f"{region.directory}/{host}.log")
        self.region = region
        self.config = f"{region.directory}/{host}.yaml"
        nodes = ", ".join(f'"{node.address}"' for node in region.nodes)
        with open(self.config, "w", encoding="utf-8") as config:
            config.write(
                f"host: {host}\nzone: {zone}\nnodes: [{nodes}]\n"
                f"run_dir: {region.directory}/{host}.run\n"
                f"state_dir: {region.directory}/{host}.state\n"
                "drivers: [DRIVER_EXEC]\n"
                "capacity: {cpu_milli: 8000, memory_mib: 8192, "
                "disk_gib: 100}\n")

    def start(self):
        self.run(f"{self.region.binaries}/holdfast-agent", self.config)


class Region:
    def __init__(self, binaries, nodes=3, **settings):
        self.binaries = binaries
        self.directory = tempfile.mkdtemp(prefix="hf-interop-")
        self.nodes = [Node(self, i + 1, port)
                      for i, port in enumerate(free_ports(nodes))]
        self.agents = []
        self.clients = {}
        for node in self.nodes:
            self.write_config(node, settings)
            node.start()

    def write_config(self, node, settings):
        lines = ["region: interop", f"name: {node.name}",
                 f"data_dir: {self.directory}/{node.name}.data"]
        lines += [f"{key}: {value}" for key, value in settings.items()]
        lines.append("nodes:")
        lines += [f'- {{name: {n.name}, id: {n.number}, zone: {n.zone}, '
                  f'address: "{n.address}"}}' for n in self.nodes]
        with open(node.config, "w", encoding="utf-8") as config:
            config.write("\n".join(lines) + "\n")

    def client(self, node):
        if node not in self.clients:
            wait_until(lambda: holdfast_client.answers(node.address),
                       f"{node.name} listens")
            self.clients[node] = holdfast_client.Client(node.address)
        return self.clients[node]

    def status(self, node):
        """What the node says of itself, or None if it does not answer."""
        if not node.lives():
            return None
        try:
            return self.client(node).call("ClusterService/GetStatus", {})
        except holdfast_client.Refused:
            return None

    def serves(self, node):
        """Whether the node answers linearizable reads."""
        try:
            self.client(node).call("ZoneService/ListZones", {}, timeout=5)
            return True
        except holdfast_client.Refused:
            return False

    def leader(self):
        """The node that leads, once all that live agree on it and it serves
        linearizable reads."""
        def agreed():
            living = [node for node in self.nodes if node.lives()]
            answers = [self.status(node) for node in living]
            names = {a.leader if a else "" for a in answers}
            if len(names) != 1 or "" in names:
                return None
            name, = names
            for leader in living:
                if leader.name == name and self.serves(leader):
                    return leader
            return None
        return wait_until(agreed, "one leader")

    def followers(self):
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    def agent(self, host, zone):
        agent = Agent(self, host, zone)
        self.agents.append(agent)
        agent.start()
        return agent

    def close(self, orderly=True):
        """Ends all processes; if orderly, each must end well by itself."""
        for client in self.clients.values():
            client.close()
        living = [p for p in self.nodes + self.agents if p.lives()]
        try:
            for process in living:
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGTERM)
            for process in living:
                code = process.child.wait(SECONDS)
                assert code == 0 or not orderly, f"{process.log}: exit {code}"
        finally:
            for process in living:
                if process.lives():
                    process.kill()
            self.end_helpers()
            if "HF_KEEP" not in os.environ:
                shutil.rmtree(self.directory)

    def end_helpers(self):
        """Guards and shims outlive their agents, as they should."""
        wanted = f"--run-dir\0{self.directory}/".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if wanted in file.read():
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass  # It ended.

    def logs(self):
        """The ends of all logs, for a failure's message."""
        text = []
        for process in self.nodes + self.agents:
            with open(process.log, encoding="utf-8", errors="replace") as log:
                text.append(f"--- {process.log}\n" + log.read()[-3000:])
        return "\n".join(text)
