# SPDX-License-Identifier: Apache-2.0
"""Nodes that are killed or stand still. Whatever happens to nodes alone, no
guest may restart as long as a majority returns within the leases."""

import time

from bench import LEASE_S
from scenario import scenario

SHORT_S = 0.25  # Less than the election timeout of the bench.


def kill_node(bench, zone):
    bench.cluster.kill(f"node-{zone}")


@scenario
def leader_killed(bench):
    """another leads, writes go on, no restart"""
    kill_node(bench, bench.leader_before)
    bench.leader_changes()
    bench.writes_go_on()
    bench.cluster.start_node(bench.leader_before)


@scenario
def leader_killed_and_started_at_once(bench):
    """writes go on, no restart"""
    kill_node(bench, bench.leader_before)
    bench.cluster.start_node(bench.leader_before)
    bench.writes_go_on()


@scenario
def leader_killed_and_started_as_a_new_one_appears(bench):
    """the new one leads on or another, writes go on, no restart"""
    kill_node(bench, bench.leader_before)
    bench.leader_changes()
    bench.cluster.start_node(bench.leader_before)
    bench.writes_go_on(50)


@scenario
def three_leaders_killed_in_a_row(bench):
    """each is replaced, no restart"""
    for _ in range(3):
        leader = bench.leader()
        kill_node(bench, leader)
        bench.wait("another leader", lambda old=leader: bench.leader() != old)
        bench.writes_go_on()
        bench.cluster.start_node(leader)
        bench.wait_whole()


@scenario
def follower_killed(bench):
    """the leader stays, writes go on, no restart"""
    zone = bench.followers()[0]
    kill_node(bench, zone)
    bench.hold(3)
    bench.writes_go_on(50)
    bench.leader_stays()
    bench.cluster.start_node(zone)


@scenario
def follower_killed_and_behind_a_snapshot(bench):
    """it catches up by a snapshot; the leader stays, no restart"""
    zone = bench.followers()[0]
    kill_node(bench, zone)
    goal = bench.cluster.status(bench.leader_before).applied_index + 1000
    bench.wait("it lacks more than the log holds", lambda:
               bench.cluster.status(bench.leader_before).applied_index > goal)
    bench.leader_stays()
    bench.cluster.start_node(zone)


@scenario
def both_followers_killed_then_one_back(bench):
    """no writes without a majority, writes with one; no restart when it comes
    back within the leases"""
    followers = bench.followers()
    bench.cluster.kill(*[f"node-{z}" for z in followers])
    bench.no_writes(1)
    bench.cluster.start_node(followers[0])
    bench.writes_go_on()
    bench.may_restart(bench.homes)  # Only if the machine was slow.
    bench.cluster.start_node(followers[1])


@scenario
def majority_gone_longer_than_the_leases(bench):
    """no writes; every guest is stopped by its host and none is started; all
    run again when the majority is back"""
    followers = bench.followers()
    bench.cluster.kill(*[f"node-{z}" for z in followers])
    bench.no_writes(LEASE_S)
    bench.wait("no guest runs", lambda: not bench.judge.live_copies())
    bench.no_writes(3)
    bench.hold(1, lambda: not bench.judge.live_copies(), "no guest runs")
    bench.restarts(bench.homes)
    for zone in followers:
        bench.cluster.start_node(zone)
    bench.wait_restarted(bench.homes)


@scenario
def all_nodes_killed_at_once(bench):
    """one leads again with all that was acknowledged"""
    bench.cluster.kill(*[f"node-{z}" for z in bench.zones])
    bench.may_restart(bench.homes)  # Only if the machine was slow.
    for zone in reversed(bench.zones):
        bench.cluster.start_node(zone)
    bench.writes_go_on()


@scenario
def rolling_restart(bench):
    """each node stops with exit code 0 and returns; no restart of a guest"""
    for zone in bench.zones:
        child = bench.cluster.children[f"node-{zone}"]
        child.terminate()
        code = child.wait(30)
        if code != 0:
            raise AssertionError(f"node-{zone} ended with {code}")
        bench.cluster.start_node(zone)
        bench.writes_go_on(20)
        bench.wait_whole()


@scenario
def rolling_kill(bench):
    """each node is killed and returns; no restart of a guest"""
    for zone in bench.zones:
        kill_node(bench, zone)
        bench.writes_go_on(20)
        bench.cluster.start_node(zone)
        bench.wait_whole()


def stand_still(bench, zone, seconds):
    pid = bench.cluster.node_pid(zone)
    bench.cluster.stop(pid)
    bench.hold(seconds)
    bench.cluster.go_on(pid)


@scenario
def leader_stands_still_for_a_moment(bench):
    """shorter than the election timeout: the leader stays, no restart"""
    stand_still(bench, bench.leader_before, SHORT_S)
    bench.writes_go_on()
    bench.leader_stays()


@scenario
def leader_stands_still_and_is_replaced(bench):
    """longer than the election timeout: another leads, writes go on, the old
    one follows; no restart"""
    pid = bench.cluster.node_pid(bench.leader_before)
    bench.cluster.stop(pid)
    bench.leader_changes()
    bench.writes_go_on()
    bench.cluster.go_on(pid)
    bench.writes_go_on(30)


@scenario
def leader_stands_still_longer_than_the_leases(bench):
    """another leads and renews; the old one wakes and moves nothing"""
    pid = bench.cluster.node_pid(bench.leader_before)
    bench.cluster.stop(pid)
    bench.leader_changes()
    bench.hold(2 * LEASE_S)
    bench.cluster.go_on(pid)
    bench.hold(LEASE_S)


@scenario
def follower_stands_still_for_long(bench):
    """the leader stays, writes go on, no restart"""
    pid = bench.cluster.node_pid(bench.followers()[0])
    bench.cluster.stop(pid)
    bench.hold(15)
    bench.writes_go_on()
    bench.leader_stays()
    bench.cluster.go_on(pid)


@scenario
def all_nodes_stand_still_in_turn(bench):
    """writes go on in the end; hosts may be without any node for too long"""
    bench.may_restart(bench.homes)
    for zone in bench.zones * 2:
        stand_still(bench, zone, 1.5)
    bench.writes_go_on()


@scenario
def slow_follower(bench):
    """one node that runs a third of the time: writes go on, no restart"""
    pid = bench.cluster.node_pid(bench.followers()[0])
    for _ in range(40):
        bench.cluster.stop(pid)
        time.sleep(0.2)
        bench.cluster.go_on(pid)
        time.sleep(0.1)
    bench.writes_go_on()
