# SPDX-License-Identifier: Apache-2.0
"""What holdfastd and holdfast-agent tell the service manager that started
them: notify_test.py BINARIES."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BINARIES = os.path.abspath(sys.argv.pop(1))
WAIT_S = 60


class Manager(unittest.TestCase):
    def setUp(self):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="hf-", dir=base)
        self.addCleanup(shutil.rmtree, self.folder)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"{self.folder}/notify")
        self.socket.settimeout(WAIT_S)
        self.addCleanup(self.socket.close)

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w") as file:
            file.write(text)
        return path

    def start(self, program, *arguments, watchdog_us=None):
        environment = {**os.environ, "NOTIFY_SOCKET": f"{self.folder}/notify"}
        environment.pop("WATCHDOG_USEC", None)
        if watchdog_us:
            environment["WATCHDOG_USEC"] = str(watchdog_us)
        with open(f"{self.folder}/log", "ab") as log:
            child = subprocess.Popen([f"{BINARIES}/{program}", *arguments],
                                     stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, env=environment)

        def end():
            if child.poll() is None:
                child.kill()
            child.wait()
        self.addCleanup(end)
        return child

    def next(self):
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            with open(f"{self.folder}/log") as log:
                self.fail(f"nothing was heard; its log:\n{log.read()}")

    def hear(self, wanted):
        """The next word that is not about the watchdog."""
        word = self.next()
        while word == "WATCHDOG=1":
            word = self.next()
        self.assertEqual(word, wanted)

    def end(self, child):
        child.send_signal(signal.SIGTERM)
        self.hear("STOPPING=1")
        self.assertEqual(child.wait(WAIT_S), 0)

    def node(self):
        return self.write("node.yaml", f"""
region: test
name: n1
data_dir: {self.folder}/node
listen: "127.0.0.1:0"
nodes: [{{name: n1, id: 1, zone: z1, address: "127.0.0.1:1"}}]
""")

    def agent(self, helpers=""):
        return self.write("agent.yaml", f"""
host: h1
zone: z1
nodes: ["127.0.0.1:1"]
run_dir: {self.folder}/run
state_dir: {self.folder}/state
drivers: [DRIVER_EXEC]
{helpers}
""")

    def end_guard(self):
        """It outlives its agent; its pid is in nobody's hand but its lock's."""
        wanted = f"--run-dir\0{self.folder}/run\0"
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as file:
                    if wanted in file.read():
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass

    def test_node_is_ready_feeds_and_stops(self):
        child = self.start("holdfastd", "--config", self.node(), "--bootstrap",
                           watchdog_us=200000)
        self.hear("READY=1")
        self.assertEqual([self.next() for _ in range(3)], ["WATCHDOG=1"] * 3)
        self.end(child)

    def test_node_that_hangs_does_not_feed(self):
        child = self.start("holdfastd", "--config", self.node(), "--bootstrap",
                           watchdog_us=200000)
        self.hear("READY=1")
        self.assertEqual(self.next(), "WATCHDOG=1")
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        self.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:  # What was said before.
                self.socket.recv(4096)
        time.sleep(1)
        with self.assertRaises(BlockingIOError):
            self.socket.recv(4096)
        self.socket.settimeout(WAIT_S)
        child.send_signal(signal.SIGCONT)
        self.assertEqual(self.next(), "WATCHDOG=1")
        self.end(child)

    def test_node_that_cannot_start_is_not_ready(self):
        child = self.start("holdfastd", "--config", self.node())
        self.assertEqual(child.wait(WAIT_S), 78)  # Without --bootstrap.
        self.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            self.socket.recv(4096)

    def test_agent_is_ready_feeds_and_stops(self):
        self.addCleanup(self.end_guard)
        child = self.start("holdfast-agent", self.agent(), watchdog_us=200000)
        self.hear("READY=1")
        self.assertEqual([self.next() for _ in range(3)], ["WATCHDOG=1"] * 3)
        self.end(child)

    def test_agent_without_a_guard_is_not_ready(self):
        helpers = f"{self.folder}/helpers"
        os.mkdir(helpers)
        os.symlink(f"{BINARIES}/holdfast-shim", f"{helpers}/holdfast-shim")
        os.symlink("/bin/false", f"{helpers}/holdfast-guard")
        child = self.start("holdfast-agent",
                           self.agent(f"helper_dir: {helpers}"),
                           watchdog_us=200000)
        # It lives, and long enough for a guard to be there.
        self.assertEqual([self.next() for _ in range(20)],
                         ["WATCHDOG=1"] * 20)
        self.end(child)


if __name__ == "__main__":
    unittest.main()
