# SPDX-License-Identifier: Apache-2.0
"""The library that breaks disks and clocks does what it is told, where it is
told, and nothing else."""

import argparse
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import preload  # noqa: E402  pylint: disable=wrong-import-position

LIBRARY = ""
PYTHON = os.path.realpath(sys.executable)

# Says of each line what it is, or the number of the error.
CHILD = """
import os, select, sys, time
print("ready", flush=True)
for line in sys.stdin:
    try:
        print(repr(eval(line)), flush=True)
    except OSError as error:
        print(repr(error.errno), flush=True)
"""


class PreloadTest(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="hf-preload-"))
        self.addCleanup(shutil.rmtree, self.folder)
        os.mkdir(f"{self.folder}/below")
        self.control = preload.Control(f"{self.folder}/control",
                                       f"{self.folder}/below")
        self.child = subprocess.Popen(
            ["env", *self.control.environment(LIBRARY, PYTHON), PYTHON, "-uc",
             CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        self.assertEqual(self.child.stdout.readline(), "ready\n")

    def end(self):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()

    def ask(self, what):
        self.child.stdin.write(what + "\n")
        self.child.stdin.flush()
        return eval(self.child.stdout.readline())  # pylint: disable=eval-used

    def open(self, name):
        return self.ask(f"os.open('{self.folder}/{name}', "
                        "os.O_CREAT | os.O_RDWR)")

    def test_it_is_not_handed_on_to_children(self):
        self.assertEqual(self.ask(
            "os.popen('env | grep -c -e LD_PRELOAD -e HF_CHAOS').read()"),
            "0\n")

    def test_without_orders_nothing_is_changed(self):
        file = self.open("below/a")
        self.assertEqual(self.ask(f"os.pwrite({file}, b'hello', 0)"), 5)
        self.assertIsNone(self.ask(f"os.fsync({file})"))
        for clock in (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC,
                      time.CLOCK_BOOTTIME):
            before = time.clock_gettime(clock)
            told = self.ask(f"time.clock_gettime({clock})")
            self.assertTrue(before <= told <= time.clock_gettime(clock))

    def test_syncs_below_the_directory_are_slow_and_others_not(self):
        inside, outside = self.open("below/a"), self.open("beside")
        self.control.slow(300, 300)
        for call in (f"os.fsync({inside})", f"os.fdatasync({inside})",
                     f"os.pwrite({inside}, b'x', 0)"):
            begin, _, end = self.ask(
                f"(time.monotonic(), {call}, time.monotonic())")
            self.assertGreaterEqual(end - begin, 0.3)
        self.control.slow(1e9, 1e9)  # The test itself would not end.
        self.assertIsNone(self.ask(f"os.fsync({outside})"))
        self.assertEqual(self.ask(f"os.pwrite({outside}, b'x', 0)"), 1)
        # One that waits goes on when the order is taken back.
        self.child.stdin.write(f"os.fsync({inside})\n")
        self.child.stdin.flush()
        self.control.well()
        self.assertEqual(self.child.stdout.readline(), "None\n")

    def test_the_kth_of_each_operation_fails_once(self):
        file = self.open("below/a")
        calls = {
            "sync": f"os.fdatasync({file})",
            "write": f"os.pwrite({file}, b'x', 0)",
            "allocate": f"os.posix_fallocate({file}, 0, 4096)",
            "rename": f"os.rename('{self.folder}/below/a', "
                      f"'{self.folder}/below/a')",
            "open": f"os.close(os.open('{self.folder}/below/a', os.O_RDWR))",
        }
        for operation, call in calls.items():
            with self.subTest(operation):
                self.control.fail(operation, 3, errno.ENOSPC)
                got = [self.ask(call) for _ in range(5)]
                self.assertEqual([i for i, value in enumerate(got)
                                  if value == errno.ENOSPC], [2], got)
                fault = self.control.fault(operation)
                self.assertEqual((fault.seen, fault.failed), (5, 1))
                self.control.well()

    def test_forever_lasts_until_it_is_ended(self):
        file = self.open("below/a")
        self.control.fail("sync", 2, forever=True)
        got = [self.ask(f"os.fsync({file})") for _ in range(4)]
        self.assertEqual(got, [None, errno.EIO, errno.EIO, errno.EIO])
        self.control.well()
        self.assertIsNone(self.ask(f"os.fsync({file})"))

    def test_reading_and_what_lies_elsewhere_never_fail(self):
        outside = self.open("beside")
        self.open("below/a")
        for operation in preload.OPERATIONS:
            self.control.fail(operation, forever=True)
        self.assertIsNone(self.ask(f"os.fsync({outside})"))
        self.assertEqual(self.ask(f"os.write({outside}, b'hello')"), 5)
        self.assertIsNone(self.ask(f"os.close(os.open('{self.folder}/below/a',"
                                   " os.O_RDONLY))"))
        # The same letters, but another directory.
        self.assertIsInstance(self.open("below-not"), int)
        self.assertEqual(os.listdir(self.folder).count("below-not"), 1)

    def test_a_torn_write_leaves_its_first_half(self):
        file = self.open("below/a")
        self.control.fail("write", torn=True)
        self.assertEqual(self.ask(f"os.pwrite({file}, b'12345678', 0)"),
                         errno.EIO)
        with open(f"{self.folder}/below/a", "rb") as got:
            self.assertEqual(got.read(), b"1234")

    def test_the_wall_clock_steps_and_no_other_clock(self):
        for seconds in (3600, -3600, 0):
            self.control.wall(seconds)
            before = time.time()
            self.assertGreaterEqual(self.ask("time.time()"), before + seconds)
            self.assertLess(self.ask("time.time()"),
                            time.time() + seconds + 1e-3)
            before = time.monotonic()
            told = self.ask("time.monotonic()")
            self.assertTrue(before <= told <= time.monotonic())

    def elapsed(self, clock):
        """(what the clock told, at least so much, at most so much)"""
        outer = time.clock_gettime(clock)
        first = self.ask(f"time.clock_gettime({clock})")
        inner = time.clock_gettime(clock)
        time.sleep(0.2)
        inner = time.clock_gettime(clock) - inner
        last = self.ask(f"time.clock_gettime({clock})")
        return last - first, inner, time.clock_gettime(clock) - outer

    def test_clocks_run_at_the_rate_they_are_told(self):
        for gain in (1000, -500, 50, -10, 0):
            self.control.rate(gain)
            time.sleep(0.25)
            for clock in preload.CLOCKS:
                told, least, most = self.elapsed(clock)
                self.assertGreater(told, least * (1 + gain / 1000) - 1e-6)
                self.assertLess(told, most * (1 + gain / 1000) + 1e-6)
        self.assertEqual(self.control.gain_permille(), 0)

    def test_no_clock_jumps_when_its_rate_changes(self):
        told = [0, 0]
        for gain in (9000, -900, 50, 0):
            self.control.rate(gain)
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                now = [self.ask(f"time.clock_gettime({c})")
                       for c in preload.CLOCKS]
                for old, new in zip(told, now):
                    self.assertGreaterEqual(new, old)
                told = now

    def test_waits_take_as_long_as_the_clock_says(self):
        self.control.rate(1000)
        time.sleep(0.3)
        begin = time.monotonic()
        self.ask("select.poll().poll(600)")
        self.ask("select.epoll().poll(0.6)")
        took = time.monotonic() - begin
        self.assertGreaterEqual(took, 0.6)
        told = self.ask("(time.monotonic(), select.epoll().poll(0.6), "
                        "time.monotonic())")
        self.assertGreaterEqual(told[2] - told[0], 0.6)
        self.control.rate(-500)
        time.sleep(0.3)
        begin = time.monotonic()
        self.ask("select.poll().poll(200)")
        self.assertGreaterEqual(time.monotonic() - begin, 0.4)

    def test_a_program_without_its_control_file_does_not_run(self):
        os.unlink(self.control.path)
        result = subprocess.run(
            ["env", *self.control.environment(LIBRARY, PYTHON), "true"],
            capture_output=True, text=True, check=False)
        self.assertIn("no control file", result.stderr)
        self.assertNotEqual(result.returncode, 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--preload", required=True)
    options, rest = parser.parse_known_args()
    LIBRARY = options.preload
    unittest.main(argv=[sys.argv[0], *rest])
