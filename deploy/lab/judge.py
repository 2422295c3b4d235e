# SPDX-License-Identifier: Apache-2.0
"""Watches a region from outside: what the kernel runs and what is on the
guests' disks. It believes nothing that Holdfast says of itself."""

import os
import re
import struct
import threading
import time

SECTOR = 512
SCAN_PERIOD_S = 0.1
EXEC_LINE = re.compile(rb"boot=(\d{8}) beat=(\d{12})\n")


def process_identity(pid):
    """(parent, start time): the time tells a process from a later one with its
    number. None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # Zombies and processes that are being killed run no guest any more.
    if fields[0] in (b"Z", b"X", b"x"):
        return None
    return fields[1].decode(), fields[19]


def read_counter(path):
    """(boots, beats) of a guest's disk, of either guest; None before the first
    beat or while it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(2 * SECTOR)
    except OSError:
        return None
    line = EXEC_LINE.match(data)
    if line:
        return int(line[1]), int(line[2])
    if data[SECTOR:SECTOR + 8] == b"HFGUEST1":
        beats, boots = struct.unpack_from("<QQ", data, SECTOR + 8)
        return boots, beats
    return None


class Judge(threading.Thread):
    """Runs until stop(). Violations are kept as sentences."""

    def __init__(self, pool):
        super().__init__(daemon=True)
        self.pool = pool + "/"
        self.scans = 0
        self.duplicates = []
        self.regressions = []
        self.counters = {}    # VM -> (boots, beats), as last read.
        self.alive_again = {}  # VM -> time of the first beat of a new boot.
        self._boots_before = {}
        self._seen_together = set()
        self._stop_wanted = threading.Event()

    def live_copies(self):
        """VM -> {pid: identity} of every process that runs a guest: a QEMU, or
        the shell of the exec guest, with a disk of the pool."""
        copies = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode("utf-8", "replace").split("\0")
            except OSError:
                continue
            runs_guest = ("qemu-system" in os.path.basename(words[0]) or
                          any(w.endswith("/exec-guest") for w in words[:2]))
            if not runs_guest:
                continue
            at = " ".join(words).find(self.pool)
            identity = process_identity(entry)
            if at < 0 or identity is None:
                continue
            rest = " ".join(words)[at + len(self.pool):]
            copies.setdefault(rest.partition(".img")[0], {})[entry] = identity
        return copies

    def _scan_processes(self):
        for vm, copies in self.live_copies().items():
            if len(copies) < 2:
                continue
            # A scan takes time, and one may have ended before the other began.
            # Only what is alive at one later instant counts.
            # A shell's child is, until its exec, a second one by its looks.
            both = {p for p, i in copies.items()
                    if process_identity(p) == i and i[0] not in copies}
            if len(both) > 1 and (vm, frozenset(both)) not in self._seen_together:
                self._seen_together.add((vm, frozenset(both)))
                self.duplicates.append(
                    f"{vm} ran twice at {time.strftime('%H:%M:%S')}: pids "
                    f"{' and '.join(sorted(both))}")

    def _scan_disks(self):
        for file in os.listdir(self.pool):
            vm = file.removesuffix(".img")
            now = read_counter(self.pool + file)
            if now is None:
                if vm in self.counters:
                    self._regress(vm, "no counter")
                continue
            before = self.counters.get(vm, (0, 0))
            if now[0] < before[0] or now[1] < before[1]:
                self._regress(vm, f"boot {now[0]} beat {now[1]}")
            self.counters[vm] = now
            if now[0] > self._boots_before.get(vm, now[0]):
                self.alive_again.setdefault(vm, time.time())

    def _regress(self, vm, what):
        boots, beats = self.counters[vm]
        self.regressions.append(
            f"{vm}: boot {boots} beat {beats} was followed by {what}")

    def mark(self):
        """From here on alive_again notes the first beat after a new boot."""
        self._boots_before = {vm: c[0] for vm, c in self.counters.items()}
        self.alive_again = {}

    def run(self):
        while not self._stop_wanted.wait(SCAN_PERIOD_S):
            self._scan_processes()
            self._scan_disks()
            self.scans += 1

    def stop(self):
        self._stop_wanted.set()
        self.join()
