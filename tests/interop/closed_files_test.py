#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs whose caller closed standard input, output and error: no file of
theirs gets such a number, so no message is written into one.

usage: closed_files_test.py BINARIES"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).parent.parent.parent
                    / "deploy" / "lab"))
from region import free_ports  # noqa: E402

BINARIES = os.path.abspath(sys.argv[1])
SECONDS = 60  # To fail, not to measure.


def start(*command):
    return subprocess.Popen([f"{BINARIES}/{command[0]}", *command[1:]],
                            close_fds=False,
                            preexec_fn=lambda: os.closerange(0, 3))


def files(pid):
    """Numbers of open files, each with what it is."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass  # Closed meanwhile.
    return found


class ClosedFiles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hf")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.address = f"127.0.0.1:{free_ports(1)[0]}"

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        pathlib.Path(path).write_text(text, encoding="utf-8")
        return path

    def check(self, child, count):
        """It runs, has more files than those three, and these are nothing."""
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        end = time.monotonic() + SECONDS
        while len(files(child.pid)) < count:
            self.assertIsNone(child.poll())
            self.assertLess(time.monotonic(), end, files(child.pid))
            time.sleep(0.05)
        opened = files(child.pid)
        self.assertEqual([opened[fd] for fd in range(3)], ["/dev/null"] * 3)

    def test_a_node(self):
        config = self.write("n.yaml", f"""region: r
name: n1
data_dir: {self.folder}/data
segment_mib: 1
nodes:
- {{name: n1, id: 1, zone: z1, address: "{self.address}"}}
""")
        self.check(start("holdfastd", "--config", config, "--bootstrap"), 8)

    def test_an_agent(self):
        config = self.write("a.yaml", f"""host: h1
zone: z1
nodes: ["{self.address}"]
run_dir: {self.folder}/run
state_dir: {self.folder}/state
drivers: [DRIVER_EXEC]
capacity: {{cpu_milli: 1000, memory_mib: 1024}}
""")
        self.check(start("holdfast-agent", config), 6)

    def test_the_command_line_says_that_it_could_not(self):
        child = start("holdfast", "version")
        self.assertEqual(child.wait(SECONDS), 1)
        child = subprocess.run([f"{BINARIES}/holdfast", "version"],
                               stdout=subprocess.PIPE, check=True,
                               preexec_fn=lambda: os.close(2))
        self.assertIn(b"holdfast", child.stdout)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
