# SPDX-License-Identifier: Apache-2.0
"""Links that are cut, one way or both, slow, or reset. Hosts keep theirs unless
said otherwise, so no guest may restart."""

import time

from bench import CLIENT, LEASE_S
from scenario import scenario


def others(bench, zone):
    return [z for z in bench.zones if z != zone]


def isolate(bench, zone, seconds):
    """From the other nodes alone, both ways; another leads meanwhile."""
    for other in others(bench, zone):
        bench.network.cut(zone, other)
    bench.leader_changes(others(bench, zone))
    bench.writes_go_on()
    bench.hold(seconds)
    bench.network.heal(zone)
    bench.writes_go_on(30)


@scenario
def leader_isolated(bench):
    """another leads, writes go on, no restart"""
    isolate(bench, bench.leader_before, 2)


@scenario
def leader_isolated_longer_than_the_leases(bench):
    """hosts that hang on it find the new one in time: no restart"""
    isolate(bench, bench.leader_before, 2 * LEASE_S)


@scenario
def leader_can_only_send(bench):
    """it gives up or is replaced; writes go on, no restart"""
    for other in others(bench, bench.leader_before):
        bench.network.cut_from(other, bench.leader_before)
    bench.leader_changes(others(bench, bench.leader_before))
    bench.writes_go_on()
    bench.hold(3)
    bench.network.heal()


@scenario
def leader_can_only_receive(bench):
    """another leads, writes go on, no restart"""
    for other in others(bench, bench.leader_before):
        bench.network.cut_from(bench.leader_before, other)
    bench.leader_changes(others(bench, bench.leader_before))
    bench.writes_go_on()
    bench.hold(3)
    bench.network.heal()


@scenario
def link_cut_between_leader_and_follower(bench):
    """writes go on; who leads may change, not all the time; no restart"""
    bench.network.cut(bench.leader_before, bench.followers()[0])
    bench.hold(6)
    bench.writes_go_on(30)
    bench.network.heal()


@scenario
def link_cut_between_followers(bench):
    """the leader stays, writes go on, no restart"""
    one, other = bench.followers()
    bench.network.cut(one, other)
    bench.hold(6)
    bench.writes_go_on(30)
    bench.leader_stays()
    bench.network.heal()


@scenario
def one_way_cut_from_leader_to_follower(bench):
    """writes go on, no restart"""
    bench.network.cut_from(bench.leader_before, bench.followers()[0])
    bench.hold(6)
    bench.writes_go_on(30)
    bench.network.heal()


@scenario
def one_way_cut_from_follower_to_leader(bench):
    """writes go on, no restart"""
    bench.network.cut_from(bench.followers()[0], bench.leader_before)
    bench.hold(6)
    bench.writes_go_on(30)
    bench.network.heal()


@scenario
def follower_isolated_and_back(bench):
    """it does not disturb when it returns: the leader stays, no restart"""
    zone = bench.followers()[0]
    for other in others(bench, zone):
        bench.network.cut(zone, other)
    bench.hold(8)
    bench.network.heal()
    bench.hold(3)
    bench.writes_go_on()
    bench.leader_stays()


@scenario
def all_nodes_isolated_from_each_other(bench):
    """no writes after the leader gave up; writes again when healed in time"""
    bench.may_restart(bench.homes)  # Only if the machine was slow.
    for one in bench.zones:
        for other in others(bench, one):
            bench.network.cut(one, other)
    bench.hold(2)
    bench.no_writes(0.5)
    bench.network.heal()
    bench.writes_go_on()


@scenario
def rotating_cuts(bench):
    """one link after the other: writes go on in the end, no restart"""
    pairs = [("z1", "z2"), ("z2", "z3"), ("z3", "z1")]
    for number in range(30):
        bench.network.cut(*pairs[number % 3])
        time.sleep(0.2)
        bench.network.heal(*pairs[number % 3])
    bench.writes_go_on()


def delayed(bench, each_way_ms):
    for one in bench.zones:
        for other in others(bench, one):
            bench.network.delay(one, other, each_way_ms)
    bench.hold(5)
    bench.writes_go_on(20)
    bench.leader_stays()
    bench.network.well()


@scenario
def delay_of_10_ms_between_zones(bench):
    """5 ms each way: the leader stays, writes go on, no restart"""
    delayed(bench, 5)


@scenario
def delay_of_50_ms_between_zones(bench):
    """25 ms each way: the leader stays, writes go on, no restart"""
    delayed(bench, 25)


@scenario
def delay_of_100_ms_between_zones(bench):
    """50 ms each way: the leader stays, writes go on, no restart"""
    delayed(bench, 50)


@scenario
def all_connections_reset_every_two_seconds(bench):
    """writes go on, no restart"""
    for _ in range(5):
        bench.network.reset("*", "*")
        bench.hold(2)
        bench.writes_go_on(5)


@scenario
def peers_reset_without_pause(bench):
    """writes go on afterwards, no restart"""
    for _ in range(40):
        for zone in bench.zones:
            bench.network.reset(zone, "*")
        time.sleep(0.05)
    bench.writes_go_on()


@scenario
def clients_cut_from_the_leader_alone(bench):
    """other nodes forward: writes go on, the leader stays, no restart"""
    bench.network.cut(CLIENT, bench.leader_before)
    bench.hold(3)
    bench.writes_go_on(20)
    bench.leader_stays()
    bench.network.heal()


@scenario
def clients_cut_from_all(bench):
    """no answer arrives; each write has one effect once they are back"""
    bench.network.cut(CLIENT, "*")
    bench.hold(1)
    bench.no_writes(3)
    bench.network.heal()
    bench.writes_go_on(20)
    bench.leader_stays()


@scenario
def answers_to_clients_lost(bench):
    """requests arrive and answers do not: each has one effect"""
    for _ in range(4):
        for zone in bench.zones:
            bench.network.cut_from(zone, CLIENT)
        bench.hold(0.5)
        bench.network.reset(CLIENT, "*")
        bench.network.heal()
        bench.writes_go_on(5)
