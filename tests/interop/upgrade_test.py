# SPDX-License-Identifier: Apache-2.0
"""An upgrade, as docs/operations.md tells it: programs are replaced under a
region that works, then each agent and each node is restarted, one at a time,
the leader last, after it has handed over. Meanwhile clients of the library
(the command line) read and write through all nodes, and one watches. Nothing
may fail, no VM may notice, and in the end all nodes have the same.

usage: upgrade_test.py BINARIES DESCRIPTORS"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

import holdfast_client
from holdfast_region import Region, wait_until

BINARIES, STANDARD = sys.argv.pop(1), sys.argv.pop(1)
PROGRAMS = ("holdfastd", "holdfast-agent", "holdfast-shim", "holdfast-guard",
            "holdfast")
WRITERS, VMS, RUNNING = 3, 6, 4


class Programs:
    """Where they are installed; as `cmake --install` does it, each file is put
    in place of the former, which whoever runs it keeps."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="hf-upgrade-")
        self.install()

    def install(self):
        for name in PROGRAMS:
            path = f"{self.directory}/{name}"
            shutil.copy2(f"{BINARIES}/{name}", f"{path}.new")
            os.replace(f"{path}.new", path)

    def inode(self, name):
        return os.stat(f"{self.directory}/{name}").st_ino


class Writer(threading.Thread):
    """Makes, reads, changes and deletes VMs of its own, one call after the
    other, until it is told to stop. What the library says has failed has."""

    def __init__(self, test, number, stop):
        super().__init__(daemon=True)
        self.test, self.number, self.stop = test, number, stop
        self.calls = 0
        self.made = []
        self.failed = []

    def call(self, *words):
        self.calls += 1
        done = self.test.holdfast(*words, first=self.number + self.calls)
        if done.returncode != 0:
            self.failed.append((words, done.returncode, done.stderr))
        return done.stdout

    def run(self):
        count = 0
        while not self.stop.is_set():
            count += 1
            name = f"w{self.number}-{count}"
            self.call("vm", "create", name, "--class", "small", "--stopped",
                      "--command", "/bin/true")
            self.made.append(name)
            self.call("vm", "update", name, "--label", f"by={name}")
            if f'"{name}"' not in self.call("vm", "show", name, "-o", "json"):
                self.failed.append((name, "was made and is not there"))
            self.call("zone", "list")
            self.call("vm", "delete", name, "--yes")


class Upgrade(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.programs = Programs()
        cls.region = Region(cls.programs.directory)
        cls.endpoints = [node.address for node in cls.region.nodes]

    @classmethod
    def tearDownClass(cls):
        cls.region.close()
        shutil.rmtree(cls.programs.directory)

    def setUp(self):
        first = self.region.nodes[0].address
        wait_until(lambda: holdfast_client.answers(first), "n1 listens")
        holdfast_client.load_schema(STANDARD, first)
        self.fill()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"=== {self.id()}\n{self.region.logs()}", flush=True)

    def holdfast(self, *words, first=0):
        """The command line, given all nodes, that of this number first."""
        nodes = [self.endpoints[(first + i) % 3] for i in range(3)]
        at = words.index("--command") if "--command" in words else len(words)
        return subprocess.run(
            [f"{self.programs.directory}/holdfast", *words[:at], "--endpoint",
             ",".join(nodes), "--timeout", "60s", *words[at:]],
            capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL)

    def ok(self, *words):
        done = self.holdfast(*words)
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return done.stdout

    def fill(self):
        self.region.leader()
        for zone in ("z1", "z2", "z3"):
            self.ok("zone", "create", zone)
            self.region.agent(f"h-{zone}", zone)
        self.ok("class", "create", "small", "--cpu", "100m", "--memory",
                "64MiB")
        wait_until(lambda: len(json.loads(self.ok(
            "host", "list", "-o", "json"))["hosts"]) == 3, "the hosts are up")
        for number in range(VMS):
            self.ok("vm", "create", f"guest-{number}", "--class", "small",
                    "--label", "guest=yes", "--wait", "--command",
                    "/bin/sleep", "100000")

    def guests(self):
        """Of each VM its epoch, its state and its processes, which are known
        by their numbers and when they began."""
        found = {}
        vms = json.loads(self.ok("vm", "list", "--filter", "guest=yes", "-o",
                                 "json"))["vms"]
        for vm in vms:
            host = vm["status"]["host"]
            text = pathlib.Path(f"{self.region.directory}/{host}.run/vms/"
                                f"{vm['uid']}/pid").read_text("ascii")
            pid = dict(line.split("=", 1) for line in text.splitlines())["vm"]
            stat = pathlib.Path(f"/proc/{pid.split()[0]}/stat").read_text(
                "ascii")
            found[vm["name"]] = (host, vm["status"]["epoch"],
                                 vm["status"]["state"], pid,
                                 stat.rsplit(")", 1)[1].split()[19])
        return found

    def nodes(self):
        return json.loads(self.ok("cluster", "nodes", "-o", "json"))["nodes"]

    def wait_caught_up(self):
        """LAG is 0 at all in `holdfast cluster nodes`, and all answer."""
        wait_until(lambda: all(
            int(node.get("lag_entries", 0)) == 0 for node in self.nodes()) and
            all(self.region.status(node) for node in self.region.nodes),
            "every node has caught up")

    def restart(self, process):
        """`systemctl restart`: SIGTERM, an orderly end, the new program."""
        old = os.stat(f"/proc/{process.child.pid}/exe").st_ino
        process.stop()
        process.start()
        new = os.stat(f"/proc/{process.child.pid}/exe").st_ino
        self.assertNotEqual(old, new)

    def upgrade_agents(self):
        for agent in self.region.agents:
            self.restart(agent)
            host = pathlib.Path(agent.config).stem
            wait_until(lambda host=host: [
                h for h in self.region.client(self.region.nodes[0]).call(
                    "HostService/ListHosts", {}).hosts
                if h.name == host and h.lease.connected], f"{host} is back")

    def upgrade_nodes(self):
        leader = self.region.leader()
        for node in [n for n in self.region.nodes if n is not leader]:
            self.wait_caught_up()
            self.restart(node)
            wait_until(lambda node=node: self.region.status(node),
                       f"{node.name} is back")
        self.wait_caught_up()
        self.ok("cluster", "transfer")
        self.assertIsNot(self.region.leader(), leader)
        self.restart(leader)
        self.wait_caught_up()

    def test_nothing_fails_and_no_vm_notices(self):
        before = self.guests()
        self.assertEqual(len(before), VMS)
        stop = threading.Event()
        writers = [Writer(self, i, stop) for i in range(WRITERS)]
        watch = subprocess.Popen(
            [f"{self.programs.directory}/holdfast", "watch", "--endpoint",
             ",".join(self.endpoints), "-o", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(watch.stdout),
                                  daemon=True)
        reader.start()
        for writer in writers:
            writer.start()
        wait_until(lambda: all(len(w.made) >= 2 for w in writers) and seen,
                   "the clients work")
        self.programs.install()
        self.upgrade_agents()
        self.upgrade_nodes()
        count = [len(w.made) for w in writers]
        wait_until(lambda: all(len(w.made) > c for w, c in
                               zip(writers, count)), "the clients still work")
        stop.set()
        for writer in writers:
            writer.join()
        self.assertEqual([w.failed for w in writers], [[]] * WRITERS)
        self.assertEqual(self.guests(), before)
        self.check_states()
        self.check_watch(watch, reader, seen, writers)
        print(f"{sum(w.calls for w in writers)} calls, 0 failed; "
              f"{len(before)} VMs, 0 restarted", file=sys.stderr)

    def check_states(self):
        def same():
            states = [self.region.status(n) for n in self.region.nodes]
            return None not in states and len(
                {(s.state_hash, s.applied_index) for s in states}) == 1
        wait_until(same, "all nodes have the same state")

    def check_watch(self, watch, reader, seen, writers):
        """Every VM was seen to come, once, and in order."""
        last = self.ok("vm", "create", "last", "--class", "small", "--stopped",
                       "--command", "/bin/true")
        self.assertIn("last", last)
        wait_until(lambda: any('"last"' in line for line in seen),
                   "the watch saw the last one")
        self.assertIsNone(watch.poll())
        watch.kill()
        reader.join()
        text = "".join(seen)
        for writer in writers:
            for name in writer.made[2:]:
                self.assertIn(f'"{name}"', text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
