# SPDX-License-Identifier: Apache-2.0
"""Clocks that are wrong: wall clocks, by any amount, change nothing but what
people read; clocks that measure time may gain or lose 1 % (clock_error_permille)
and more only as far as a fault says here. A library that is loaded before the C
library tells the processes so (preload.py): a host's agent, guard and shims
share its clock, a node has its own."""

import time

from bench import LEASE_S, need
from faults_agents import any_host, gone_from, moved_away
from faults_zones import elsewhere, kill_zone, start_zone, victims
from scenario import scenario

HOUR = 3600
BOUND = 10  # clock_error_permille by default.


def hosts_are_up(bench):
    return all(host.state == 1 and host.lease.connected
               for host in bench.list_hosts())


def nothing_moves(bench, seconds=2 * LEASE_S):
    bench.hold(seconds, lambda: hosts_are_up(bench), "all leases live")
    bench.leader_stays()


def stamp_s(bench, name):
    """When a VM was made, as the leader says."""
    bench.create_extra(name)
    stamp = bench.vm(name).create_time_ms / 1000
    bench.wait("it runs", bench.all_run)
    return stamp


# Wall clocks ----------------------------------------------------------------


@scenario
def wall_clock_of_the_leader_an_hour_ahead(bench):
    """its stamps are; no lease ends, the leader stays, no restart"""
    bench.breakable(bench.leader_before).wall(HOUR)
    ahead = stamp_s(bench, "stamped") - time.time()
    # Or more: stamps go on from where an earlier leader's were.
    need(ahead > HOUR - 60, "its stamps are ahead by", ahead, "s only")
    nothing_moves(bench)


@scenario
def wall_clock_of_the_leader_an_hour_behind(bench):
    """its stamps never run backwards; no lease ends, the leader stays, no
    restart"""
    control = bench.breakable(bench.leader_before)
    before = stamp_s(bench, "before")
    control.wall(-HOUR)
    after = stamp_s(bench, "after")
    need(after >= before, "stamps ran back by", before - after, "s")
    nothing_moves(bench)


@scenario
def wall_clock_of_a_follower_wrong(bench):
    """by an hour, each way: no lease ends, the leader stays, no restart"""
    control = bench.breakable(bench.followers()[0])
    for seconds in (HOUR, -HOUR):
        control.wall(seconds)
        nothing_moves(bench)


@scenario
def wall_clocks_of_all_hosts_wrong(bench):
    """by an hour, each way at once and then changed: no lease ends, no
    restart"""
    for sign in (1, -1):
        for i, host in enumerate(bench.hosts):
            bench.breakable(host).wall(sign * HOUR * (-1) ** i)
        nothing_moves(bench)


@scenario
def wall_clock_of_the_leader_jumps_all_the_time(bench):
    """an hour to and fro, five times a second: no lease ends, the leader stays,
    no restart"""
    control = bench.breakable(bench.leader_before)
    for i in range(50):
        control.wall(HOUR * (-1) ** i)
        bench.hold(0.2)
    nothing_moves(bench, LEASE_S)


@scenario
def leader_killed_with_its_wall_clock_an_hour_ahead(bench):
    """the next one goes on from its stamps; no restart"""
    zone = bench.leader_before
    bench.breakable(zone).wall(HOUR)
    first = stamp_s(bench, "first")
    bench.cluster.kill(f"node-{zone}")
    bench.leader_changes()
    second = stamp_s(bench, "second")
    need(second >= first, "stamps ran back by", first - second, "s")
    need("clock.behind" in bench.cluster.log_tail(f"node-{bench.leader()}",
                                                  200),
         "the new leader did not say that wall clocks differ")
    bench.cluster.start_node(zone)


@scenario
def zone_killed_while_wall_clocks_jump(bench):
    """all nodes' and hosts' clocks step by up to a day, each its own way: its
    guests run elsewhere, no other restarts; it is used again when it is back"""
    zone = bench.leader_before
    free, pinned = victims(bench, zone)
    bench.restarts(free | pinned)
    names = [*bench.zones, *bench.hosts]

    def step(i):
        for k, name in enumerate(names):
            bench.breakable(name).wall(HOUR * (k * 7 + i * 5) % (24 * HOUR) *
                                       (-1) ** (i + k))
    step(0)
    kill_zone(bench, zone)
    for i in range(1, 30):
        step(i)
        bench.hold(0.3)
    bench.writes_go_on()
    elsewhere(bench, free, zone)
    start_zone(bench, zone)
    for i in range(30, 40):
        step(i)
        bench.hold(0.3)
    bench.wait_restarted(pinned)


# Clocks that measure --------------------------------------------------------


def drift(bench, name, gain_permille):
    """Until the timers that were armed before have fired."""
    bench.breakable(name).rate(gain_permille)
    bench.hold(LEASE_S + 1, lambda: hosts_are_up(bench), "all leases live")


def cut_off(bench, host, guests):
    """They stop there before they start elsewhere: the judges look."""
    bench.restarts(guests)
    bench.network.cut(host, "*")
    moved_away(bench, guests, host)
    need(gone_from(bench, host, guests), "a guest runs on", host)
    bench.network.heal()


@scenario
def clock_of_a_host_loses_as_much_as_allowed(bench):
    """1 % slow: nothing; cut off, its guests stop before they start elsewhere"""
    host, guests = any_host(bench)
    drift(bench, host, -BOUND)
    nothing_moves(bench)
    cut_off(bench, host, guests)


@scenario
def clocks_of_host_and_leader_drift_apart_as_much_as_allowed(bench):
    """the host 1 % slow, all nodes 1 % fast: nothing; cut off, its guests stop
    before they start elsewhere"""
    host, guests = any_host(bench)
    for zone in bench.zones:
        bench.breakable(zone).rate(BOUND)
    drift(bench, host, -BOUND)
    nothing_moves(bench)
    cut_off(bench, host, guests)


@scenario
def clock_of_a_host_loses_more_than_allowed(bench):
    """5 % slow, five times the bound: nothing while it renews; cut off, margin_ms
    still covers it: its guests stop before they start elsewhere"""
    host, guests = any_host(bench)
    drift(bench, host, -5 * BOUND)
    nothing_moves(bench)
    cut_off(bench, host, guests)


@scenario
def clock_of_a_host_gains(bench):
    """5 % and then twice as fast: it renews sooner, nothing moves; cut off, its
    guests stop sooner than need be"""
    host, guests = any_host(bench)
    for gain in (50, 1000):
        drift(bench, host, gain)
        nothing_moves(bench)
    begin = time.monotonic()
    bench.network.cut(host, "*")
    bench.restarts(guests)
    bench.wait("the guests stop", lambda: gone_from(bench, host, guests))
    need(time.monotonic() - begin < LEASE_S - 1,
         "the guests ran on as if its clock were right")
    moved_away(bench, guests, host)
    bench.network.heal()


@scenario
def clock_of_the_leader_gains(bench):
    """5 % and then twice as fast: it waits less, but all renew in time; no
    restart"""
    for gain in (50, 1000):
        drift(bench, bench.leader_before, gain)
        bench.hold(2 * LEASE_S, lambda: hosts_are_up(bench), "all leases live")
    bench.writes_go_on()


@scenario
def clocks_of_all_run_differently(bench):
    """nodes and hosts between half and twice as fast: all renew in time, writes
    go on; no restart"""
    for i, name in enumerate([*bench.zones, *bench.hosts]):
        bench.breakable(name).rate((1000, -300, 0, 300, -500)[i % 5])
    bench.hold(4 * LEASE_S, lambda: hosts_are_up(bench), "all leases live")
    bench.writes_go_on()


@scenario
def clock_of_a_host_at_half_speed_and_cut_off(bench):
    """far beyond the bound, so this one must break: two copies run, and the
    judges see them; it shows that they can, and that these clocks reach the
    shims"""
    host, guests = any_host(bench)
    drift(bench, host, -500)
    bench.restarts(guests)
    bench.network.cut(host, "*")
    judge = bench.judge
    end = time.monotonic() + 30
    while not judge.duplicates:
        need(time.monotonic() < end, "no second copy was seen")
        time.sleep(0.1)
    while not gone_from(bench, host, guests):
        need(time.monotonic() < end, "the first copies never stop")
        time.sleep(0.1)
    for found in judge.duplicates:
        need(any(name in found for name in guests), found)
    # What two copies wrote on one disk.
    time.sleep(1)
    judge.duplicates.clear()
    judge.regressions.clear()
    moved_away(bench, guests, host)
    bench.network.heal()
