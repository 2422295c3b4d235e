# SPDX-License-Identifier: Apache-2.0
"""The demo's judge must see what it is there for: two copies of a guest, and a
counter that goes backwards. And it must see nothing where nothing is."""

import os
import subprocess
import sys
import tempfile
import time
import unittest

LAB = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "lab")
sys.path.insert(0, LAB)
sys.dont_write_bytecode = True

from judge import Judge, read_counter  # noqa: E402
from region import parse_json  # noqa: E402

PATIENCE_S = 30  # To fail, not to measure.


class JudgeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.guests = []
        self.addCleanup(self.end_guests)
        self.judge = Judge(self.folder.name)
        self.disk("a")

    def disk(self, name):
        with open(f"{self.folder.name}/{name}.img", "wb") as disk:
            disk.truncate(1 << 20)
        return f"{self.folder.name}/{name}.img"

    def guest(self, name):
        self.guests.append(subprocess.Popen(
            [os.path.join(LAB, "exec-guest"),
             f"{self.folder.name}/{name}.img"]))

    def end_guests(self):
        for guest in self.guests:
            guest.kill()
            guest.wait()
        self.guests.clear()

    def until(self, check):
        begin = time.monotonic()
        while not check():
            self.assertLess(time.monotonic() - begin, PATIENCE_S)
            time.sleep(0.02)

    def beats(self, name):
        return (read_counter(f"{self.folder.name}/{name}.img") or (0, 0))[1]

    def write(self, name, boot, beat):
        with open(f"{self.folder.name}/{name}.img", "r+b") as disk:
            disk.write(b"boot=%08d beat=%012d\n" % (boot, beat))

    def test_a_well_run_guest_is_no_violation(self):
        self.disk("b")
        self.guest("a")
        self.guest("b")
        self.judge.start()
        self.until(lambda: len(self.judge.counters) == 2)
        self.judge.mark()
        self.end_guests()
        self.guest("a")
        self.until(lambda: "a" in self.judge.alive_again)
        scans = self.judge.scans
        self.until(lambda: self.judge.scans > scans + 3)
        self.judge.stop()
        self.assertEqual(self.judge.duplicates, [])
        self.assertEqual(self.judge.regressions, [])
        self.assertNotIn("b", self.judge.alive_again)
        self.assertEqual(self.judge.counters["a"][0], 2)

    def test_two_copies_are_seen(self):
        self.guest("a")
        self.until(lambda: self.beats("a") >= 1)
        self.guest("a")
        self.judge.start()
        self.until(lambda: self.judge.duplicates)
        self.judge.stop()
        self.assertIn("a ran twice", self.judge.duplicates[0])

    def test_a_counter_that_goes_back_is_seen(self):
        self.write("a", 3, 40)
        self.judge.start()
        self.until(lambda: "a" in self.judge.counters)
        self.write("a", 3, 39)
        self.until(lambda: self.judge.regressions)
        self.judge.stop()

    def test_an_emptied_disk_is_seen(self):
        self.write("a", 3, 40)
        self.judge.start()
        self.until(lambda: "a" in self.judge.counters)
        self.disk("a")
        self.until(lambda: self.judge.regressions)
        self.judge.stop()

    def test_the_counter_of_the_boot_sector_guest(self):
        with open(f"{self.folder.name}/a.img", "r+b") as disk:
            disk.seek(512)
            disk.write(b"HFGUEST1" + (57).to_bytes(8, "little") +
                       (2).to_bytes(8, "little"))
        self.assertEqual(read_counter(f"{self.folder.name}/a.img"), (2, 57))

    def test_a_stream_of_json_values(self):
        self.assertEqual(parse_json('{"a": 1}\n'), {"a": 1})
        self.assertEqual(parse_json('{"a": 1}\n{"b": 2}\n'),
                         [{"a": 1}, {"b": 2}])
        self.assertEqual(parse_json(""), [])


if __name__ == "__main__":
    unittest.main()
