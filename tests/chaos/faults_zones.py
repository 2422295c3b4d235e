# SPDX-License-Identifier: Apache-2.0
"""Whole zones: node, hosts and guests."""

from bench import LEASE_S
from scenario import scenario


def victims(bench, zone):
    """(those that can run elsewhere, those that are pinned there)"""
    guests = bench.on_zone(zone)
    pinned = bench.pinned(guests)
    return guests - pinned, pinned


def kill_zone(bench, zone):
    bench.cluster.kill_zone(zone, True)


def start_zone(bench, zone):
    bench.cluster.start_zone(zone)


def elsewhere(bench, guests, zone):
    bench.wait(f"the guests of {zone} run elsewhere", lambda: all(
        bench.vm(n).status.zone not in ("", zone) and
        bench.vm(n).status.state == 4 for n in guests))


def lose(bench, zone):
    free, pinned = victims(bench, zone)
    bench.restarts(free | pinned)
    kill_zone(bench, zone)
    bench.writes_go_on()
    elsewhere(bench, free, zone)
    bench.hold(1, lambda: not any(bench.runs(n) for n in pinned), "pinned")
    start_zone(bench, zone)
    bench.wait_restarted(pinned)


@scenario
def zone_of_the_leader_killed(bench):
    """another leads; its guests run elsewhere, pinned ones wait for it"""
    lose(bench, bench.leader_before)


@scenario
def zone_of_a_follower_killed(bench):
    """the leader stays; its guests run elsewhere, pinned ones wait for it"""
    lose(bench, bench.followers()[0])
    bench.leader_stays()


@scenario
def zone_crashed_with_guests_alive(bench):
    """node and agents die: shims stop the guests, then they run elsewhere"""
    zone = bench.followers()[0]
    free, pinned = victims(bench, zone)
    bench.restarts(free | pinned)
    bench.cluster.kill_zone(zone, False)
    elsewhere(bench, free, zone)
    start_zone(bench, zone)


@scenario
def zone_cut_off(bench):
    """its guests stop there, then run elsewhere; it returns with stale state"""
    zone = bench.leader_before
    free, pinned = victims(bench, zone)
    bench.restarts(free | pinned)
    inside = [zone, *[h for h, z in bench.hosts.items() if z == zone]]
    for one in inside:
        for other in [*bench.zones, *bench.hosts]:
            if other not in inside:
                bench.network.cut(one, other)
    elsewhere(bench, free, zone)
    bench.writes_go_on()
    bench.network.heal()


@scenario
def zone_killed_without_enough_capacity(bench):
    """what does not fit waits with its reason and runs when the zone is back"""
    for host, zone in bench.hosts.items():
        bench.create_extra(f"filler-{host}", size="filler", priority=1,
                           zone=zone)
    bench.wait("fillers run", bench.all_run)
    zone = bench.followers()[0]
    guests = bench.on_zone(zone)
    fillers = bench.extras & guests
    free = {n for n in guests if n.startswith("free-")}
    bench.restarts(guests - bench.extras)
    kill_zone(bench, zone)
    elsewhere(bench, free, zone)
    bench.hold(2, lambda: not any(bench.runs(n) for n in fillers), "no room")
    start_zone(bench, zone)
    bench.wait("all run again", bench.all_run)


@scenario
def zone_returns_during_its_failover(bench):
    """each of its guests runs once, others stay"""
    zone = bench.followers()[0]
    bench.restarts(bench.on_zone(zone))
    kill_zone(bench, zone)
    bench.hold(LEASE_S)
    start_zone(bench, zone)


@scenario
def zone_returns_at_once(bench):
    """each of its guests runs once, others stay"""
    zone = bench.leader_before
    bench.restarts(bench.on_zone(zone))
    kill_zone(bench, zone)
    start_zone(bench, zone)


@scenario
def zone_lost_twice_in_a_row(bench):
    """as once"""
    for _ in range(2):
        zone = bench.followers()[0]
        guests = bench.on_zone(zone)
        bench.restarts(guests)
        kill_zone(bench, zone)
        elsewhere(bench, guests - bench.pinned(guests), zone)
        start_zone(bench, zone)
        bench.wait_whole()


@scenario
def two_zones_killed_then_one_back(bench):
    """no moves without a majority; the survivor's guests stop themselves; all
    run again when a majority is back"""
    zones = bench.followers()
    bench.may_restart(bench.homes)
    for zone in zones:
        kill_zone(bench, zone)
    bench.hold(1)
    bench.no_writes(2 * LEASE_S)
    bench.wait("no guest runs", lambda: not bench.judge.live_copies())
    start_zone(bench, zones[0])
    bench.writes_go_on()
    bench.wait("a majority's guests run", lambda: bench.judge.live_copies())
    start_zone(bench, zones[1])


@scenario
def everything_killed(bench):
    """all comes back from the disks alone"""
    bench.restarts(bench.homes)
    for zone in bench.zones:
        kill_zone(bench, zone)
    for zone in bench.zones:
        start_zone(bench, zone)
