# SPDX-License-Identifier: Apache-2.0
"""Hosts and what runs on them: agents, guards, shims, guests."""

import time

from bench import LEASE_S, need, now_us
from scenario import scenario


def any_host(bench, zone=None):
    """A host with guests; those that could run elsewhere, and those that are
    pinned but have another host in their zone, as one."""
    for host, of_zone in bench.hosts.items():
        guests = bench.on_host(host)
        if guests and zone in (None, of_zone):
            for name in guests:  # Or gone_from() would see it gone later.
                need(not gone_from(bench, host, {name}), name, "does not run")
            return host, guests
    raise AssertionError("no host has guests")


def moved_away(bench, guests, host):
    bench.wait(f"{' '.join(sorted(guests))} run elsewhere", lambda: all(
        bench.vm(n).status.host not in ("", host) and
        bench.vm(n).status.state == 4 for n in guests))


def gone_from(bench, host, guests):
    """No process of these guests on that host: an exec guest names nothing of
    its host, but the shim that it is a child of does."""
    pids = set(map(str, bench.cluster.of_host(host)))
    copies = bench.judge.live_copies()
    return not any(pid in pids or parent in pids for n in guests
                   for pid, (parent, _) in copies.get(n, {}).items())


@scenario
def host_cut_from_all_nodes(bench):
    """its guests stop there before they start elsewhere"""
    host, guests = any_host(bench)
    bench.restarts(guests)
    bench.network.cut(host, "*")
    bench.wait("the guests stop", lambda: gone_from(bench, host, guests))
    moved_away(bench, guests, host)
    bench.network.heal()
    bench.hold(3, lambda: gone_from(bench, host, guests), "no second copy")


@scenario
def host_cut_for_less_than_its_lease(bench):
    """no restart"""
    host, _ = any_host(bench)
    bench.network.cut(host, "*")
    bench.hold(1.5)
    bench.network.heal()
    bench.hold(2 * LEASE_S)


@scenario
def host_cut_from_the_leader_alone(bench):
    """it renews by another node: no restart"""
    host, _ = any_host(bench)
    bench.network.cut(host, bench.leader_before)
    bench.hold(2 * LEASE_S)
    bench.leader_stays()
    bench.network.heal()


@scenario
def all_hosts_cut_from_the_leader_alone(bench):
    """they renew by other nodes: no restart"""
    for host in bench.hosts:
        bench.network.cut(host, bench.leader_before)
    bench.hold(2 * LEASE_S)
    bench.network.heal()


@scenario
def host_can_only_send(bench):
    """renewals arrive, answers do not: it stops its guests; each runs once"""
    host, guests = any_host(bench)
    bench.may_restart(guests)
    for zone in bench.zones:
        bench.network.cut_from(zone, host)
    bench.wait("the guests stop", lambda: gone_from(bench, host, guests))
    bench.hold(LEASE_S)
    bench.network.heal()


@scenario
def host_can_only_receive(bench):
    """its guests stop there before they start elsewhere"""
    host, guests = any_host(bench)
    bench.restarts(guests)
    for zone in bench.zones:
        bench.network.cut_from(host, zone)
    bench.wait("the guests stop", lambda: gone_from(bench, host, guests))
    moved_away(bench, guests, host)
    bench.network.heal()


@scenario
def agent_stands_still_past_its_lease(bench):
    """shims stop its guests, they start elsewhere, it wakes and starts none"""
    host, guests = any_host(bench)
    bench.restarts(guests)
    pid = bench.cluster.agent_pid(host)
    bench.cluster.stop(pid)
    bench.wait("the guests stop", lambda: gone_from(bench, host, guests))
    moved_away(bench, guests, host)
    bench.cluster.go_on(pid)
    bench.hold(3, lambda: gone_from(bench, host, guests), "no second copy")


@scenario
def agent_stands_still_for_a_moment(bench):
    """no restart"""
    host, _ = any_host(bench)
    pid = bench.cluster.agent_pid(host)
    bench.cluster.stop(pid)
    bench.hold(1.5)
    bench.cluster.go_on(pid)
    bench.hold(2 * LEASE_S)


@scenario
def agent_killed_and_started(bench):
    """it adopts its guests: no restart"""
    host, guests = any_host(bench)
    before = bench.judge.live_copies()
    bench.cluster.kill(host)
    time.sleep(0.5)
    bench.cluster.start_agent(host)
    bench.hold(2 * LEASE_S)
    after = bench.judge.live_copies()
    for name in guests:
        need(before[name] == after.get(name), name, "is another process")


@scenario
def all_agents_killed_and_started(bench):
    """all guests are adopted: no restart"""
    bench.cluster.kill(*bench.hosts)
    for host in bench.hosts:
        bench.cluster.start_agent(host)
    bench.hold(2 * LEASE_S)


@scenario
def agent_killed_for_good(bench):
    """shims stop its guests when the lease ends, then they start elsewhere"""
    host, guests = any_host(bench)
    bench.restarts(guests)
    bench.cluster.kill(host)
    bench.wait("the guests stop", lambda: gone_from(bench, host, guests))
    moved_away(bench, guests, host)
    bench.cluster.start_agent(host)


@scenario
def shims_stand_still_as_the_lease_ends(bench):
    """the guard stops the guests; they start elsewhere"""
    host, guests = any_host(bench)
    bench.restarts(guests)
    shims = bench.cluster.shims(host)
    need(shims, "no shims on", host)
    bench.cluster.stop(*shims)
    bench.network.cut(host, "*")
    bench.wait("the guests stop", lambda: gone_from(bench, host, guests))
    moved_away(bench, guests, host)
    bench.network.heal()
    bench.cluster.go_on(*shims)


@scenario
def agent_and_shims_stand_still_as_the_lease_ends(bench):
    """the guard stops the guests without any of them; they start elsewhere"""
    host, guests = any_host(bench)
    bench.restarts(guests)
    pids = [bench.cluster.agent_pid(host), *bench.cluster.shims(host)]
    bench.cluster.stop(*pids)
    bench.wait("the guests stop", lambda: gone_from(bench, host, guests))
    moved_away(bench, guests, host)
    bench.cluster.go_on(*pids)
    bench.hold(3, lambda: gone_from(bench, host, guests), "no second copy")


@scenario
def guest_killed(bench):
    """it starts again, and no other does"""
    name = sorted(bench.homes)[0]
    for pid in bench.judge.live_copies()[name]:
        bench.cluster.kill_one(int(pid))
    bench.restarts({name})
    bench.wait_restarted({name})


@scenario
def host_killed(bench):
    """its guests start elsewhere, others stay"""
    host, guests = any_host(bench)
    bench.restarts(guests)
    bench.cluster.kill_host(host)
    moved_away(bench, guests, host)
    bench.cluster.start_agent(host)


@scenario
def host_killed_and_started_at_once(bench):
    """its guests start again somewhere, others stay"""
    host, guests = any_host(bench)
    bench.restarts(guests)
    bench.cluster.kill_host(host)
    bench.cluster.start_agent(host)
    bench.wait_restarted(guests)


@scenario
def host_flaps_every_half_lease(bench):
    """only its own guests may restart"""
    host, guests = any_host(bench)
    bench.may_restart(guests)
    for _ in range(4):
        bench.network.cut(host, "*")
        bench.hold(LEASE_S / 2)
        bench.network.heal()
        bench.hold(LEASE_S / 2)


def wait_status(bench, name, *states):
    """The VM, in one of these states."""
    return bench.wait(f"{name} is in {states}", lambda: (
        bench.vm(name) if bench.vm(name).status.state in states else None))


@scenario
def host_killed_as_a_vm_starts(bench):
    """the new VM runs, once, elsewhere; else only that host's restart"""
    bench.create_extra("starter")
    host = wait_status(bench, "starter", 2, 3, 4).status.host
    guests = bench.on_host(host) - {"starter"}
    bench.restarts(guests)
    bench.cluster.kill_host(host)
    moved_away(bench, guests | {"starter"}, host)
    bench.cluster.start_agent(host)


@scenario
def leader_killed_as_vms_start(bench):
    """each new VM runs once; no other restarts"""
    for i in range(3):
        bench.create_extra(f"starter-{i}")
    bench.cluster.kill(f"node-{bench.leader_before}")
    bench.leader_changes()
    bench.cluster.start_node(bench.leader_before)


@scenario
def host_killed_as_a_vm_stops(bench):
    """the VM is stopped for good; only that host's others restart"""
    bench.create_extra("stopper")
    host = wait_status(bench, "stopper", 4).status.host
    guests = bench.on_host(host) - {"stopper"}
    bench.restarts(guests)
    bench.cluster.ask("VmService/StopVm", {
        "name": "stopper", "request_id": f"stop-{now_us()}"})
    bench.cluster.kill_host(host)
    wait_status(bench, "stopper", 6)
    moved_away(bench, guests, host)
    need(not bench.runs("stopper"), "the stopped VM runs")
    bench.cluster.start_agent(host)
    bench.hold(2, lambda: not bench.runs("stopper"), "stopped")
    bench.delete_extras()


def move(bench, name):
    """Orders it to a host of another zone; (from, to)."""
    source = bench.vm(name).status.host
    target = next(h for h, z in bench.hosts.items()
                  if z != bench.hosts[source])
    bench.cluster.ask("VmService/MoveVm", {
        "name": name, "host": target, "request_id": f"move-{now_us()}"})
    return source, target


@scenario
def source_killed_as_a_vm_moves(bench):
    """it runs once; only that host's others restart"""
    name = "free-z1-h1"
    guests = bench.on_host(bench.vm(name).status.host)
    bench.restarts(guests)
    source, _ = move(bench, name)
    bench.cluster.kill_host(source)
    moved_away(bench, guests, source)
    bench.cluster.start_agent(source)


@scenario
def target_killed_as_a_vm_moves(bench):
    """it runs once; only that host's others restart"""
    name = "free-z1-h1"
    bench.restarts({name})
    _, target = move(bench, name)
    guests = bench.on_host(target) - {name}
    bench.restarts(guests)
    bench.cluster.kill_host(target)
    moved_away(bench, guests | {name}, target)
    bench.cluster.start_agent(target)


@scenario
def leader_killed_as_a_vm_moves(bench):
    """the move ends one way or the other; it runs once, no other restarts"""
    name = "free-z1-h1"
    bench.may_restart({name})
    move(bench, name)
    bench.cluster.kill(f"node-{bench.leader_before}")
    bench.leader_changes()
    bench.cluster.start_node(bench.leader_before)
