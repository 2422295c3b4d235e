# SPDX-License-Identifier: Apache-2.0
"""What is on the nodes' disks: damaged, gone, or full. Clocks and slow disks
need libfaketime or a device of their own, which do not go together with
programs built with sanitizers: they are the simulator's part."""

import glob
import os
import shutil

from bench import need
from cluster import SmallDisk
from scenario import Skipped, scenario

DAMAGED = 65
DISK_FULL = 73
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
