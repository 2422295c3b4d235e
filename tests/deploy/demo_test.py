# SPDX-License-Identifier: Apache-2.0
"""The demo with these binaries: both faults, its result file, that it cleans
up, also when it is interrupted, and that --keep and --end belong together."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

DEMO = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "lab",
                    "demo.py")
BINARIES, GUEST = sys.argv.pop(1), sys.argv.pop(1)
SMALL = ["--hosts", "1", "--vms", "6"]


def command(*arguments):
    return [sys.executable, DEMO, "--binaries", BINARIES, "--guest", GUEST,
            *arguments]


def left_over(folder):
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                line = file.read().decode("utf-8", "replace")
        except OSError:
            continue
        if folder in line:
            found.append(line.replace("\0", " "))
    return found


class DemoTest(unittest.TestCase):
    def run_demo(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.json")
            result = subprocess.run(command(*SMALL, "--json", path, *arguments),
                                    capture_output=True, text=True,
                                    check=False)
            self.assertEqual(result.returncode, 0,
                             result.stdout + result.stderr)
            with open(path, encoding="utf-8") as file:
                return result.stdout, json.load(file)

    def check(self, out, result, fault):
        self.assertTrue(result["ok"])
        self.assertEqual(result["fault"], fault)
        self.assertEqual((result["zones"], result["hosts"], result["vms"]),
                         (3, 3, 6))
        self.assertTrue(result["leader_was_there"])
        self.assertGreater(result["acknowledged_writes"], 0)
        self.assertGreater(result["process_scans"], 0)
        self.assertGreater(len(result["moved"]), 0)
        for key in ("duplicates", "counter_regressions", "lost_acknowledged"):
            self.assertEqual(result[key], 0)
        self.assertNotIn("WRONG", out)
        folder = re.search(r"folder (\S+)", out)[1]
        self.assertFalse(os.path.exists(folder))
        self.assertEqual(left_over(folder), [])

    def test_power_with_qemu(self):
        out, result = self.run_demo("--driver", "qemu")
        self.check(out, result, "power")

    def test_control_with_exec(self):
        out, result = self.run_demo("--driver", "exec", "--fault", "control")
        self.check(out, result, "control")

    def test_an_interrupt_cleans_up(self):
        process = subprocess.Popen(command(*SMALL, "--driver", "exec"),
                                   stdout=subprocess.PIPE, text=True)
        folder = re.search(r"folder (\S+)", process.stdout.readline())[1]
        for line in process.stdout:
            if "Kill" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        self.assertEqual(process.wait(), 130)
        process.stdout.close()
        self.assertFalse(os.path.exists(folder))
        self.assertEqual(left_over(folder), [])

    def test_keep_and_end(self):
        result = subprocess.run(command(*SMALL, "--driver", "exec", "--keep"),
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        endpoints = re.search(r"HOLDFAST_ENDPOINTS=(\S+)", result.stdout)[1]
        folder = re.search(r"--end (\S+)", result.stdout)[1]
        vms = subprocess.run([f"{BINARIES}/holdfast", "-e", endpoints, "vm",
                              "show", "web-1", "-o", "json"],
                             capture_output=True, text=True, check=False)
        listed = subprocess.run([f"{BINARIES}/holdfast", "-e", endpoints, "vm",
                                 "list", "-o", "name"],
                                capture_output=True, text=True, check=False)
        end = subprocess.run(command("--end", folder), check=False,
                             capture_output=True, text=True)
        self.assertEqual(vms.returncode, 0, vms.stderr)
        self.assertEqual(json.loads(vms.stdout)["status"]["state"], "running")
        self.assertEqual(len(listed.stdout.split()), 6, listed.stdout)
        self.assertEqual(end.returncode, 0, end.stdout)
        self.assertEqual(left_over(folder), [])
        again = subprocess.run(command("--end", folder), check=False,
                               capture_output=True, text=True)
        self.assertEqual(again.returncode, 2)

    def test_bad_options_are_usage_errors(self):
        for bad in (["--zones", "4"], ["--hosts", "0"], ["--vms", "1"],
                    ["--driver", "vmware"]):
            result = subprocess.run(command(*bad), capture_output=True,
                                    text=True, check=False)
            self.assertEqual(result.returncode, 2, bad)
            self.assertIn(bad[0], result.stderr)


if __name__ == "__main__":
    unittest.main()
