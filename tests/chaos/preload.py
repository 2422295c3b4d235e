# SPDX-License-Identifier: Apache-2.0
"""Breaks disks and clocks of running processes through the library that was
loaded before their C library (preload.h says what that changes and what not).
One Control for each node and for each host: agent, guard and shims of a host
share its clock."""

import ctypes
import errno
import mmap
import os
import subprocess
import time

MAGIC = 0x31534F414843
OPERATIONS = ("sync", "write", "allocate", "rename", "open")
CLOCKS = (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)
# A new rate begins that much later, when all must have read of it.
AHEAD_NS = 200_000_000
SANITIZERS = ("libasan.so", "libtsan.so")


class Fault(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                ("seen", "failed", "countdown", "error", "forever", "torn")]


class Rate(ctypes.Structure):
    _fields_ = [("anchor_ns", ctypes.c_int64 * 2),
                ("gained_ns", ctypes.c_int64 * 2),
                ("gain_permille", ctypes.c_int64)]


class Orders(ctypes.Structure):
    """struct control."""
    _fields_ = [("magic", ctypes.c_uint64), ("disk", ctypes.c_uint64),
                ("sync_us", ctypes.c_int64), ("write_us", ctypes.c_int64),
                ("faults", Fault * len(OPERATIONS)),
                ("wall_ns", ctypes.c_int64), ("rates", ctypes.c_uint64),
                ("rate", Rate * 2), ("below", ctypes.c_char * 512)]


class Control:
    """Every order stands until well(), a new one, or its own end."""

    def __init__(self, path, below):
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(ctypes.sizeof(Orders))
            self._map = mmap.mmap(file.fileno(), 0)
        self.orders = Orders.from_buffer(self._map)
        self.orders.below = os.path.realpath(below).encode()
        self.orders.magic = MAGIC

    def environment(self, library, program):
        """What a program must be started with to obey. Sanitizers that are
        libraries must come first."""
        return [f"LD_PRELOAD={':'.join([*sanitizers(program), library])}",
                f"HF_CHAOS_CONTROL={self.path}"]

    # Disk ------------------------------------------------------------------

    def slow(self, sync_ms, write_ms=0):
        self.orders.sync_us = int(sync_ms * 1000)
        self.orders.write_us = int(write_ms * 1000)
        self._look()

    def fail(self, operation, kth=1, code=errno.EIO, forever=False,
             torn=False):
        """The k-th of these from now on, or all from that one on; a torn write
        leaves half of what it has."""
        fault = self.orders.faults[OPERATIONS.index(operation)]
        fault.countdown = 0
        fault.error, fault.forever, fault.torn = code, forever, torn
        fault.seen = fault.failed = 0
        fault.countdown = kth
        self._look()

    def fault(self, operation):
        """seen and failed count since the last order."""
        return self.orders.faults[OPERATIONS.index(operation)]

    def disk_well(self):
        for fault in self.orders.faults:
            fault.countdown = 0
        self.slow(0)

    def _look(self):
        self.orders.disk = 1 if (
            self.orders.sync_us or self.orders.write_us or
            any(f.countdown for f in self.orders.faults)) else 0

    # Clocks ----------------------------------------------------------------

    def wall(self, seconds):
        """CLOCK_REALTIME is that far off."""
        self.orders.wall_ns = int(seconds * 1e9)

    def rate(self, gain_permille):
        """CLOCK_MONOTONIC and CLOCK_BOOTTIME gain that much: 50 is 1.05 times
        as fast, -10 is 1 % too slow. Back at 0 they keep what they gained: a
        clock of this kind never jumps."""
        assert gain_permille > -1000
        orders = self.orders
        old = orders.rate[orders.rates % 2]
        while any(time.clock_gettime_ns(clock) < old.anchor_ns[i]
                  for i, clock in enumerate(CLOCKS)):
            time.sleep(0.01)  # The one before is still needed.
        new = orders.rate[(orders.rates + 1) % 2]
        for i, clock in enumerate(CLOCKS):
            anchor = time.clock_gettime_ns(clock) + AHEAD_NS
            # Rounded up: not a nanosecond backwards.
            new.gained_ns[i] = old.gained_ns[i] - (
                (old.anchor_ns[i] - anchor) * old.gain_permille // 1000)
            new.anchor_ns[i] = anchor
        new.gain_permille = gain_permille
        orders.rates += 1

    def gain_permille(self):
        return self.orders.rate[self.orders.rates % 2].gain_permille

    def well(self):
        self.disk_well()
        self.wall(0)
        if self.gain_permille() != 0:
            self.rate(0)


_sanitizers = {}


def sanitizers(program):
    """Paths of those that it is linked with as libraries."""
    if program not in _sanitizers:
        lines = subprocess.run(["ldd", program], capture_output=True,
                               text=True, check=True).stdout.splitlines()
        _sanitizers[program] = [
            line.split()[2] for line in lines
            if line.strip().startswith(SANITIZERS)]
    return _sanitizers[program]
