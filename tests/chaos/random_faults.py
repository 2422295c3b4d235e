# SPDX-License-Identifier: Apache-2.0
"""Faults at random, one every few seconds, each healed after a while; several
may overlap. In the end everything must be whole."""

import errno
import random
import statistics
import time

from bench import CLIENT, now_us
from preload import OPERATIONS


class Faults:
    def __init__(self, bench, seed):
        self.bench = bench
        self.cluster = bench.cluster
        self.network = bench.network
        self.random = random.Random(seed)
        self.kinds = {}
        self.later = []  # (when, what to call)

    def after(self, seconds, call, *arguments):
        self.later.append((time.monotonic() + seconds, call, arguments))

    def due(self, everything=False):
        now = time.monotonic()
        for one in sorted(self.later, key=lambda item: item[0]):
            if everything or one[0] <= now:
                self.later.remove(one)
                one[1](*one[2])

    def soon(self, longest):
        """Short faults are as frequent as long ones."""
        return 0.1 * (longest / 0.1) ** self.random.random()

    # Each fault heals itself by after() ------------------------------------

    def start_dead(self, name):
        if self.cluster.lives(name):
            return
        if name in self.cluster.hosts:
            self.cluster.start_agent(name)
        else:
            self.cluster.start_node(name.removeprefix("node-"))

    def kill_node(self):
        zone = self.random.choice(self.bench.zones)
        self.cluster.kill(f"node-{zone}")
        self.after(self.soon(8), self.start_dead, f"node-{zone}")

    def kill_leader(self):
        # Whoever says so: there may be none just now.
        for zone in self.cluster.moving_zones():
            status = self.cluster.status(zone)
            if status is not None and status.node.role == 1:
                self.cluster.kill(f"node-{zone}")
                self.after(self.soon(8), self.start_dead, f"node-{zone}")

    def kill_all_nodes(self):
        names = [f"node-{z}" for z in self.bench.zones]
        self.cluster.kill(*names)
        for name in names:
            self.after(self.soon(3), self.start_dead, name)

    def kill_agent(self):
        host = self.random.choice(list(self.bench.hosts))
        self.cluster.kill(host)
        self.after(self.soon(8), self.start_dead, host)

    def kill_host(self):
        host = self.random.choice(list(self.bench.hosts))
        self.cluster.kill_host(host)
        self.after(self.soon(10), self.start_dead, host)

    def kill_zone(self):
        zone = self.random.choice(self.bench.zones)
        self.cluster.kill(f"node-{zone}")
        self.after(self.soon(10), self.start_dead, f"node-{zone}")
        for host, of_zone in self.bench.hosts.items():
            if of_zone == zone:
                self.cluster.kill_host(host)
                self.after(self.soon(10), self.start_dead, host)

    def stop_node(self):
        zone = self.random.choice(self.cluster.moving_zones() or [None])
        if zone is not None:
            pid = self.cluster.node_pid(zone)
            self.cluster.stop(pid)
            self.after(self.soon(8), self.cluster.go_on, pid)

    def stop_agent(self):
        host = self.random.choice(list(self.bench.hosts))
        if self.cluster.lives(host):
            pid = self.cluster.agent_pid(host)
            self.cluster.stop(pid)
            self.after(self.soon(9), self.cluster.go_on, pid)

    def stop_shims(self):
        host = self.random.choice(list(self.bench.hosts))
        pids = self.cluster.shims(host)
        self.cluster.stop(*pids)
        self.after(self.soon(9), self.cluster.go_on, *pids)

    def cut_link(self):
        one, other = self.random.sample(self.bench.zones, 2)
        self.network.cut(one, other)
        self.after(self.soon(8), self.network.heal, one, other)

    def cut_one_way(self):
        one, other = self.random.sample(self.bench.zones, 2)
        self.network.cut_from(one, other)
        self.after(self.soon(8), self.network.heal, one, other)

    def isolate_node(self):
        zone = self.random.choice(self.bench.zones)
        for other in self.bench.zones:
            if other != zone:
                self.network.cut(zone, other)
                self.after(self.soon(8), self.network.heal, zone, other)

    def cut_host(self):
        host = self.random.choice(list(self.bench.hosts))
        self.network.cut(host, "*")
        self.after(self.soon(9), self.network.heal, host)

    def cut_client(self):
        zone = self.random.choice(self.bench.zones)
        self.network.cut(CLIENT, zone)
        self.after(self.soon(5), self.network.heal, CLIENT, zone)

    def reset_all(self):
        self.network.reset("*", "*")

    def delay(self):
        self.network.delay("*", "*", self.random.choice((5, 10, 25)))
        self.after(self.soon(8), self.network.delay, "*", "*", 0)

    def slow_disk(self):
        control = self.cluster.controls[f"node-{self.zone()}"]
        control.slow(self.random.choice((10, 50, 400)),
                     self.random.choice((0, 0, 100)))
        self.after(self.soon(8), control.disk_well)

    def fail_disk(self):
        """The node ends by itself; if it came to that operation."""
        name = f"node-{self.zone()}"
        control = self.cluster.controls[name]
        control.fail(self.random.choice(OPERATIONS), self.random.randint(1, 8),
                     self.random.choice((errno.EIO, errno.ENOSPC)),
                     torn=self.random.random() < 0.5)
        seconds = self.soon(8)
        self.after(seconds, control.disk_well)
        self.after(seconds, self.start_dead, name)

    def step_wall_clock(self):
        name = self.random.choice(list(self.cluster.controls))
        control = self.cluster.controls[name]
        control.wall(self.random.choice((-86400, -3600, -10, 10, 3600, 86400)))
        self.after(self.soon(20), control.wall, 0)

    def drift(self):
        """Within the bound."""
        name = self.random.choice(list(self.cluster.controls))
        control = self.cluster.controls[name]
        control.rate(self.random.choice((-10, 10)))
        self.after(self.soon(30), control.rate, 0)

    def zone(self):
        return self.random.choice(self.bench.zones)

    KINDS = (kill_node, kill_leader, kill_leader, kill_all_nodes, kill_agent,
             kill_host, kill_zone, stop_node, stop_agent, stop_shims, cut_link,
             cut_one_way, isolate_node, cut_host, cut_client, reset_all, delay)
    PRELOADED = (slow_disk, slow_disk, fail_disk, fail_disk, step_wall_clock,
                 drift)

    def one(self):
        kind = self.random.choice(self.KINDS + (
            self.PRELOADED if self.cluster.preload else ()))
        self.kinds[kind.__name__] = self.kinds.get(kind.__name__, 0) + 1
        kind(self)


def run_random(run, seconds, seed):
    """Figures, as run prints and writes them."""
    bench = run.open()
    bench.prepare()
    bench.may_restart(bench.homes)
    faults = Faults(bench, seed)
    gaps = []
    end = time.monotonic() + seconds
    print(f"faults for {seconds} s, seed {seed}", flush=True)
    failed = None
    try:
        while time.monotonic() < end:
            begin = now_us()
            faults.one()
            until = time.monotonic() + faults.random.uniform(1, 6)
            while time.monotonic() < until:
                faults.due()
                bench.look()
                time.sleep(0.05)
            gaps.append((begin, now_us()))
        faults.due(everything=True)
        bench.settle()
    except Exception as error:  # pylint: disable=broad-except
        failed = error
    outages = [bench.acknowledgements.longest_gap(*gap) for gap in gaps] or [0]
    whole = bench.unavailability()
    operations = len(bench.acknowledgements.pairs) + bench.history.count
    duplicates = len(bench.judge.duplicates)
    unknown = sum(getattr(w, "unknown", 0) for w in bench.workers)
    line = (f"seed {seed}: {operations} operations, {unknown} unknown, "
            f"{sum(faults.kinds.values())} faults, "
            f"{duplicates} duplicates, {bench.verdict}, "
            f"{'broken: ' + str(failed) if failed else '0 lost'}; writes "
            f"unavailable worst {whole:.1f} s, median of a fault "
            f"{statistics.median(outages):.2f} s")
    figures = {"line": line, "seed": seed, "faults": faults.kinds,
               "operations": operations, "unknown": unknown,
               "duplicates": duplicates,
               "history": bench.verdict, "failed": str(failed or ""),
               "worst_s": whole, "median_s": statistics.median(outages)}
    if failed:
        run.fail(f"random-{seed}", f"--random {seconds}")
    run.close()
    return figures
