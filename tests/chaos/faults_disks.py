# SPDX-License-Identifier: Apache-2.0
"""What is on the nodes' disks: damaged, gone, or full; and disks that are slow
or fail under a running node, which a library does that is loaded before the C
library (preload.py)."""

import errno
import glob
import os
import shutil

from bench import LEASE_S, need, now_us
from cluster import SmallDisk
from preload import OPERATIONS
from scenario import Skipped, scenario

DAMAGED = 65
DISK_FULL = 73
DISK_FAILED = 74
SMALL_DISK_MIB = 64


class SavedDisk:
    """A node is down, its data set aside; it comes back as it was."""

    def __init__(self, bench):
        self.bench = bench
        self.zone = bench.followers()[0]
        self.data = bench.cluster.data(self.zone)
        self.name = f"node-{self.zone}"
        bench.cluster.kill(self.name)
        shutil.copytree(self.data, self.data + ".saved")

    def refused(self, *codes):
        """It says why and ends; the others go on."""
        self.bench.cluster.start_node(self.zone)
        code = self.bench.cluster.exit_code(self.name)
        need(code in codes, self.name, "ended with", code, "instead of",
             codes)
        last = self.bench.cluster.log_tail(self.name)
        need(" error " in last, "no reason was given:", last)
        self.bench.writes_go_on()
        self.bench.leader_stays()

    def back(self):
        shutil.rmtree(self.data)
        os.rename(self.data + ".saved", self.data)
        self.bench.cluster.start_node(self.zone)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def newest(pattern):
    found = sorted((p for p in glob.glob(pattern, recursive=True)
                    if os.path.isfile(p) and os.path.getsize(p)),
                   key=os.path.getmtime)
    need(found, "no file", pattern)
    return found[-1]


@scenario
def flipped_bit_in_the_log(bench):
    """the node refuses to start with 65, others go on"""
    disk = SavedDisk(bench)
    # In the first record; before it, a head is padded to this size.
    flip(newest(f"{disk.data}/log/*.seg"), 4096 + 50)
    disk.refused(DAMAGED)
    disk.back()


@scenario
def truncated_log(bench):
    """the node refuses to start with 65, others go on"""
    disk = SavedDisk(bench)
    os.truncate(newest(f"{disk.data}/log/*.seg"), 3000)
    disk.refused(DAMAGED)
    disk.back()


@scenario
def log_file_missing(bench):
    """the node refuses to start with 65, others go on"""
    disk = SavedDisk(bench)
    os.unlink(newest(f"{disk.data}/log/*.seg"))
    disk.refused(DAMAGED)
    disk.back()


def snapshots(disk):
    """From the oldest to the newest; two are kept."""
    found = sorted(glob.glob(f"{disk.data}/snapshots/*.lz4"))
    need(found, "no snapshots in", disk.data)
    return found


@scenario
def flipped_bit_in_the_newest_snapshot(bench):
    """the node says so, and goes on from the one before and its log"""
    bench.wait("two snapshots", lambda: all(
        len(glob.glob(f"{bench.cluster.data(z)}/snapshots/*.lz4")) > 1
        for z in bench.zones))
    disk = SavedDisk(bench)
    path = snapshots(disk)[-1]
    flip(path, os.path.getsize(path) // 2)
    bench.cluster.start_node(disk.zone)
    bench.wait_whole()
    need("snapshot.damaged" in bench.cluster.log_tail(disk.name, 60),
         disk.name, "did not say that its snapshot is damaged")
    shutil.rmtree(disk.data + ".saved")


@scenario
def flipped_bits_in_all_snapshots(bench):
    """the node refuses to start with 65, others go on"""
    disk = SavedDisk(bench)
    for path in snapshots(disk):
        flip(path, os.path.getsize(path) // 2)
    disk.refused(DAMAGED)
    disk.back()


@scenario
def truncated_snapshots(bench):
    """the node refuses to start with 65, others go on"""
    disk = SavedDisk(bench)
    for path in snapshots(disk):
        os.truncate(path, os.path.getsize(path) // 2)
    disk.refused(DAMAGED)
    disk.back()


@scenario
def data_directory_wiped(bench):
    """the node refuses to start without --bootstrap, others go on"""
    disk = SavedDisk(bench)
    shutil.rmtree(disk.data)
    disk.refused(DAMAGED, 78)
    need(not os.path.exists(disk.data), "it made a new directory")
    os.mkdir(disk.data)
    disk.refused(DAMAGED, 78)
    disk.back()


@scenario
def data_directory_of_another_node(bench):
    """the node refuses to start, others go on"""
    disk = SavedDisk(bench)
    shutil.rmtree(disk.data)
    shutil.copytree(bench.cluster.data(bench.leader_before), disk.data)
    disk.refused(DAMAGED, 78)
    disk.back()


@scenario
def disk_full_and_freed(bench):
    """the node ends with 73, others go on; it returns when there is room"""
    zone = bench.followers()[0]
    cluster = bench.cluster
    name = f"node-{zone}"
    cluster.kill(name)
    small = SmallDisk(cluster, zone, SMALL_DISK_MIB)
    try:
        if not small.works:
            raise Skipped("no mounts allowed here")
        small.take(cluster.data(zone))
        cluster.start_node(zone)
        bench.wait_whole()
        small.fill()
        code = cluster.exit_code(name, 120)
        need(code == DISK_FULL, name, "ended with", code)
        bench.writes_go_on()
        bench.leader_stays()
        small.free()
        cluster.start_node(zone)
        bench.wait_whole()
        cluster.kill(name)
        small.give_back()
    finally:
        small.close()


# Slow ---------------------------------------------------------------------

SLOW_SYNC_MS = 400


def speed(bench, seconds=3):
    """Acknowledged writes a second."""
    begin = now_us()
    bench.hold(seconds)
    return len(bench.acknowledgements.begun_after(begin)) / seconds


def need_speed(bench, before):
    """At a quarter of it: the machine may be busy, a slow disk in the way of
    every write would leave a tenth."""
    bench.wait(f"a quarter of {before:.0f} writes a second",
               lambda: speed(bench) >= before / 4)


@scenario
def leaders_disk_is_slow(bench):
    """+400 ms a sync: it hands leadership over by itself, and writes go on at
    speed; no restart"""
    zone = bench.leader_before
    before = speed(bench)
    bench.breakable(zone).slow(SLOW_SYNC_MS)
    bench.leader_changes()
    need("raft.slow_disk" in bench.cluster.log_tail(f"node-{zone}", 200),
         zone, "did not say why it gave up leadership")
    need_speed(bench, before)
    bench.hold(2 * LEASE_S, lambda: bench.leader() != zone, "another leads")


@scenario
def leaders_disk_is_a_little_slow(bench):
    """+50 ms a sync, less than what is worth an election: the leader stays,
    writes go on; no restart"""
    bench.breakable(bench.leader_before).slow(50)
    bench.hold(2 * LEASE_S)
    bench.writes_go_on(20)
    bench.leader_stays()


@scenario
def leaders_disk_hangs(bench):
    """a sync does not return: another leads, writes go on; no restart; when it
    returns, the old one follows"""
    zone = bench.leader_before
    control = bench.breakable(zone)
    control.slow(600_000)
    bench.leader_changes([z for z in bench.zones if z != zone])
    bench.writes_go_on(50)
    bench.hold(2 * LEASE_S)
    control.disk_well()
    bench.wait_whole()


@scenario
def followers_disk_is_slow(bench):
    """+400 ms a sync and a write: the leader stays, writes go on at speed; no
    restart"""
    zone = bench.followers()[0]
    before = speed(bench)
    bench.breakable(zone).slow(SLOW_SYNC_MS, SLOW_SYNC_MS)
    need_speed(bench, before)
    bench.hold(LEASE_S)
    need_speed(bench, before)
    bench.leader_stays()


@scenario
def all_disks_are_slow(bench):
    """+400 ms a sync: the leader stays, for no other would do better; writes go
    on, slowly, and so do the leases; no restart"""
    for zone in bench.zones:
        bench.breakable(zone).slow(SLOW_SYNC_MS)
    bench.writes_go_on(5)
    bench.hold(4 * LEASE_S)
    bench.writes_go_on(5)
    bench.leader_stays()


@scenario
def leader_killed_while_all_disks_are_slow(bench):
    """+100 ms a sync, four of which fit into an election: another leads, writes
    go on; no restart"""
    for zone in bench.zones:
        bench.breakable(zone).slow(SLOW_SYNC_MS / 4)
    bench.writes_go_on(5)
    bench.cluster.kill(f"node-{bench.leader_before}")
    bench.leader_changes()
    bench.writes_go_on(5)
    bench.cluster.start_node(bench.leader_before)
    bench.wait_whole()


# Failing ------------------------------------------------------------------


def need_end(bench, zone, expected, operation):
    """It ends with this code because of that operation, says why, and does
    not try again: the next try would succeed."""
    name = f"node-{zone}"
    # A new file of the log comes about once a minute.
    code = bench.cluster.exit_code(name, 180)
    need(code == expected, name, "ended with", code, "after", operation)
    need(bench.breakable(zone).fault(operation).failed >= 1,
         "no", operation, "failed on", name)
    need("replica.failed" in bench.cluster.log_tail(name),
         name, "gave no reason")


def fail_once(bench, zone, operation, code, expected, **how):
    control = bench.breakable(zone)
    control.fail(operation, code=code, **how)
    need_end(bench, zone, expected, operation)
    control.disk_well()
    bench.writes_go_on()
    bench.cluster.start_node(zone)
    bench.wait_whole()


@scenario
def sync_fails_on_the_leader(bench):
    """EIO, once: it ends with 74 and does not sync again; another leads; it
    returns"""
    fail_once(bench, bench.leader_before, "sync", errno.EIO, DISK_FAILED)


@scenario
def sync_fails_on_a_follower(bench):
    """EIO, once: it ends with 74 and does not sync again; the leader stays; it
    returns"""
    fail_once(bench, bench.followers()[0], "sync", errno.EIO, DISK_FAILED)
    bench.leader_stays()


@scenario
def sync_fails_on_all_nodes_at_once(bench):
    """EIO: all end with 74; one leads again with all that was acknowledged"""
    bench.may_restart(bench.homes)  # Only if the machine was slow.
    for zone in bench.zones:
        bench.breakable(zone).fail("sync")
    # The last one has nothing to write when no majority is left.
    ended = bench.wait("a majority ended", lambda: [
        z for z in bench.zones if not bench.cluster.lives(f"node-{z}")][1:])
    need(ended, "none ended")
    for zone in bench.zones:
        if not bench.cluster.lives(f"node-{zone}"):
            need_end(bench, zone, DISK_FAILED, "sync")
        bench.breakable(zone).disk_well()
        if not bench.cluster.lives(f"node-{zone}"):
            bench.cluster.start_node(zone)
    bench.writes_go_on()


@scenario
def write_torn_on_the_leader(bench):
    """half of a write arrives, then EIO: it ends with 74; another leads; it
    returns and takes the other half from there"""
    fail_once(bench, bench.leader_before, "write", errno.EIO, DISK_FAILED,
              torn=True)


@scenario
def each_file_operation_fails_on_a_follower(bench):
    """EIO from write, sync, allocation, rename, open, one after the other: it
    ends with 74 each time and returns; the leader stays"""
    zone = bench.followers()[0]
    for operation in OPERATIONS:
        fail_once(bench, zone, operation, errno.EIO, DISK_FAILED)
    bench.leader_stays()


@scenario
def each_file_operation_fails_on_the_leader(bench):
    """EIO from write, sync, allocation, rename, open, on whoever leads: it ends
    with 74 each time, another leads, it returns"""
    for operation in OPERATIONS:
        fail_once(bench, bench.leader(), operation, errno.EIO, DISK_FAILED)


@scenario
def each_operation_of_a_start_fails(bench):
    """EIO from the k-th sync, write, rename or open of a starting node, for
    every k: it ends with 74 and the next start finds all in order"""
    zone = bench.followers()[0]
    name = f"node-{zone}"
    control = bench.breakable(zone)
    for operation in ("open", "write", "sync", "rename"):
        bench.cluster.kill(name)
        for kth in range(1, 100):
            control.fail(operation, kth)
            bench.cluster.start_node(zone)
            bench.wait("it serves or ends", lambda: bench.cluster.status(zone)
                       or not bench.cluster.lives(name))
            if bench.cluster.lives(name) and \
                    not control.fault(operation).failed:
                break  # A start has no more of them.
            need_end(bench, zone, DISK_FAILED, operation)
        control.disk_well()
        bench.wait_whole()
    bench.leader_stays()


@scenario
def no_space_for_the_leaders_log_then_freed(bench):
    """ENOSPC from allocation: it ends with 73, and again while there is none;
    another leads; it returns when there is room"""
    zone = bench.leader_before
    control = bench.breakable(zone)
    control.fail("allocate", code=errno.ENOSPC, forever=True)
    need_end(bench, zone, DISK_FULL, "allocate")
    bench.writes_go_on()
    control.fail("write", code=errno.ENOSPC, forever=True)
    bench.cluster.start_node(zone)
    need_end(bench, zone, DISK_FULL, "write")
    bench.writes_go_on()
    control.disk_well()
    bench.cluster.start_node(zone)
    bench.wait_whole()


@scenario
def no_space_in_the_middle_of_the_log(bench):
    """ENOSPC from a write, half of which arrives, on a follower: it ends with
    73, the leader stays; it returns when there is room"""
    fail_once(bench, bench.followers()[0], "write", errno.ENOSPC, DISK_FULL,
              kth=5, torn=True)
    bench.leader_stays()
