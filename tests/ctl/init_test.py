#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`holdfast init`: what it writes runs, as its README says.

usage: init_test.py BINARIES MANIFEST_AGAIN [-v]"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "interop"))
from holdfast_region import free_ports, processes  # noqa: E402

BINARIES, AGAIN = map(os.path.abspath, sys.argv[1:3])


class Init(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hf")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.children = []
        self.addCleanup(self.end)

    def end(self):
        for child in self.children:
            child.kill()
            child.wait()
        # What an agent started goes on without it, until its lease ends.
        for pid, line in processes().items():
            if str(self.folder) in line:
                os.kill(pid, signal.SIGKILL)

    def run_in(self, folder, *command, code=0, **more):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False,
            timeout=60, env={**os.environ, "PATH": f"{BINARIES}:/usr/bin:/bin",
                             "XDG_CONFIG_HOME": str(folder), **more})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_every_file_is_one_that_its_program_takes(self):
        self.run_in(self.folder, "holdfast", "init", "r")
        sample = self.folder / "r"
        self.run_in(sample, AGAIN, "fleet.yaml")
        for number in (1, 2, 3):
            self.run_in(sample, "holdfastd", "--config", f"n{number}.yaml",
                        "--check")
            for host in (1, 2):
                self.run_in(sample, "holdfast-agent", "--check",
                            f"z{number}-h{host}.yaml")

    def test_nothing_is_written_over(self):
        sample = self.folder / "r"
        sample.mkdir()
        (sample / "z2-h1.yaml").write_text("mine")
        told = self.run_in(self.folder, "holdfast", "init", "r", code=4)
        self.assertIn("r/z2-h1.yaml is there already; nothing was written",
                      told)
        self.assertEqual([path.name for path in sample.iterdir()],
                         ["z2-h1.yaml"])
        self.assertEqual((sample / "z2-h1.yaml").read_text(), "mine")
        (sample / "z2-h1.yaml").unlink()
        (sample / "n3.yaml").symlink_to("elsewhere")
        self.run_in(self.folder, "holdfast", "init", "r", code=4)
        self.assertFalse((sample / "elsewhere").exists())

    def test_a_path_that_cannot_be_used_leaves_nothing_behind(self):
        for name in ("a" * 60, 'a"b'):
            self.run_in(self.folder, "holdfast", "init", name, code=2)
        self.run_in(self.folder, "holdfast", "init", "no/where", code=1)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_the_region_runs(self):
        self.run_in(self.folder, "holdfast", "init")
        sample = self.folder / "holdfast-sample"
        ports = dict(zip(("7400", "7410", "7420"), map(str, free_ports(3))))
        for path in sample.glob("*.yaml"):
            path.write_text(re.sub(
                r"127\.0\.0\.1:(\d+)",
                lambda match: f"127.0.0.1:{ports[match[1]]}",
                path.read_text()))
        steps = (sample / "README.md").read_text()
        commands = re.sub(r"\\\n", "", "\n".join(
            re.findall(r"^ {7}(.*)$", steps, re.M)))
        endpoint = f"127.0.0.1:{ports['7400']}"
        # As the README says, but for what goes on behind and never ends.
        for loop in ("n1 n2 n3", "z1-h1 z1-h2 z2-h1 z2-h2 z3-h1 z3-h2"):
            self.assertIn(f" in {loop}; do", commands)
        for name in ("n1", "n2", "n3"):
            self.start(sample, "holdfastd", "--config", f"{name}.yaml",
                       "--bootstrap")
        self.retry(sample, "holdfast", "zone", "create", "z1", "z2", "z3",
                   HOLDFAST_ENDPOINTS=endpoint)
        for path in sorted(sample.glob("z*.yaml")):
            self.start(sample, "holdfast-agent", path.name)
        behind = commands[commands.index("holdfast host list"):]
        for line in behind.split("\n"):
            if "watch" in line or not line.strip():
                continue
            code = 2 if " plan " in line else 0  # Something would happen.
            shown = self.run_in(sample, "sh", "-c", line, code=code,
                                HOLDFAST_ENDPOINTS=endpoint)
        self.assertIn("z2", shown)
        self.run_in(sample, "holdfast", "group", "delete", "web", "--wait",
                    HOLDFAST_ENDPOINTS=endpoint)

    def start(self, folder, *command):
        with open(folder / f"{len(self.children)}.log", "wb") as log:
            self.children.append(subprocess.Popen(
                [f"{BINARIES}/{command[0]}", *command[1:]], cwd=folder,
                stdout=log, stderr=log))

    def retry(self, folder, *command, **more):
        end = time.monotonic() + 60
        while True:
            try:
                return self.run_in(folder, *command, **more)
            except AssertionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
