# SPDX-License-Identifier: Apache-2.0
"""The faults: what each does to which machines, what is expected of it and what
it needs. None is run here."""

import dataclasses

from . import commands
from .commands import Impossible
from .plant import Step

# agent.service has WatchdogSec=20s, holdfastd.service 30 s: who stands still
# for longer is killed and started anew, which is another fault.
NODE_PAUSE_S = 10.0
AFTER_LEASE_S = 7.0


@dataclasses.dataclass
class Target:
    """What a fault is aimed at."""
    machine: object = None
    zone: str = ""
    source: object = None  # Of a cut link.

    def text(self):
        if self.source is not None:
            return f"from {self.source.name} to {self.machine.name}"
        return self.zone or (self.machine.name if self.machine else "")


@dataclasses.dataclass
class Fault:
    name: str
    does: str
    expects: str
    needs: str
    aim: str       # node, leader, host, zone, link or all
    steps: object  # (inventory, target) -> [Step]
    hold: object   # settings -> seconds that it lasts, at least and usually
    moves: bool = False  # VMs of the target's hosts are to run elsewhere.


def one(verb, back, what):
    """A verb on the target's machine, and the verb that heals it."""
    def steps(inventory, target):
        machine = target.machine
        names = {"node": machine.node, "host": machine.host}
        return [Step(machine, what.format(**names),
                     commands.text(verb, machine, inventory),
                     commands.text(back, machine, inventory))]
    return steps


def cut_link(inventory, target):
    machine, source = target.machine, target.source
    return [Step(machine, f"drop what comes from {source.name}",
                 commands.text("cut_from", machine, inventory, source),
                 commands.text("join", machine, inventory))]


def zone_steps(verb, what):
    def steps(inventory, target):
        return [Step(machine, what.format(zone=target.zone),
                     commands.text(verb, machine, inventory),
                     commands.text("join", machine, inventory))
                for machine in inventory.of_zone(target.zone)]
    return steps


def zone_lose(inventory, target):
    """Each machine alone, its node and agent dead as well: who is inside must
    not be helped by who else is inside."""
    steps = []
    for machine in inventory.of_zone(target.zone):
        for role, kill, start, what in (
                ("node", "node_kill", "node_start", f"node {machine.node}"),
                ("host", "agent_kill", "agent_start",
                 f"the agent of {machine.host}")):
            if role in machine.roles:
                steps.append(Step(
                    machine, f"SIGKILL for {what}",
                    commands.text(kill, machine, inventory),
                    commands.text(start, machine, inventory)))
        try:
            steps.append(Step(machine, "cut off from all other machines",
                              commands.text("isolate", machine, inventory),
                              commands.text("join", machine, inventory)))
        except Impossible:
            pass  # Dead is enough: it has no one left to talk.
    return steps


def lease(settings, key="lease_wait_ms"):
    return settings.get(key, 5000) / 1000


def long_enough(settings):
    return lease(settings) + AFTER_LEASE_S


NO_RESTART = "no VM restarts; writes go on"
MOVED = ("its VMs stop there, then start elsewhere within the published bound "
         "(pinned ones wait); none runs twice; the others stay")
ROOM = "room on other hosts for the VMs of that host"
ZONE_ROOM = "room in the other zones for the VMs of that zone; a majority there"
MAJORITY = "all three nodes up: the others are the majority"

FAULTS = {fault.name: fault for fault in (
    Fault("node-kill", "SIGKILL for a node; it is started after 10 s",
          NO_RESTART, MAJORITY, "node",
          one("node_kill", "node_start", "SIGKILL for node {node}"),
          lambda s: 10.0),
    Fault("node-restart", "a node is restarted in good order",
          NO_RESTART, MAJORITY, "node",
          one("node_restart", "node_start", "restart node {node}"),
          lambda s: 1.0),
    Fault("node-pause", "a node stands still (SIGSTOP) for 10 s",
          NO_RESTART, MAJORITY, "node",
          one("node_pause", "node_resume", "SIGSTOP for node {node}"),
          lambda s: NODE_PAUSE_S),
    Fault("leader-kill", "SIGKILL for the leader; it is started after 10 s",
          "another leads; " + NO_RESTART, MAJORITY, "leader",
          one("node_kill", "node_start", "SIGKILL for node {node}"),
          lambda s: 10.0),
    Fault("leader-pause", "the leader stands still (SIGSTOP) for 10 s",
          "another leads; " + NO_RESTART + "; the old one wakes and moves "
          "nothing", MAJORITY, "leader",
          one("node_pause", "node_resume", "SIGSTOP for node {node}"),
          lambda s: NODE_PAUSE_S),
    Fault("agent-kill", "SIGKILL for an agent, its guests alive; it is started "
          "after 1.5 s", "its guests run on and are adopted: the same "
          "processes, no restart", "nothing", "host",
          one("agent_kill", "agent_start", "SIGKILL for the agent of {host}"),
          lambda s: 1.5),
    Fault("agent-pause-short", "an agent stands still for half of its lease",
          NO_RESTART, "nothing", "host",
          one("agent_pause", "agent_resume", "SIGSTOP for the agent of {host}"),
          lambda s: lease(s, "lease_run_ms") / 2),
    Fault("agent-pause-long", "an agent stands still for longer than its lease",
          MOVED, ROOM, "host",
          one("agent_pause", "agent_resume", "SIGSTOP for the agent of {host}"),
          long_enough, moves=True),
    Fault("host-isolate", "Holdfast's network of a host's machine is cut off",
          MOVED, ROOM, "host",
          one("isolate", "join", "cut off from all other machines"),
          long_enough, moves=True),
    Fault("zone-isolate", "Holdfast's network between a zone and the others is "
          "cut; inside it works", MOVED, ZONE_ROOM, "zone",
          zone_steps("isolate_zone", "cut off from all outside zone {zone}"),
          long_enough, moves=True),
    Fault("link-cut", "one machine does not hear another, which hears it",
          NO_RESTART, "addresses of the one that is not heard", "link",
          cut_link, lambda s: 10.0),
    Fault("zone-lose", "a zone is gone: its node and agents are killed, its "
          "machines cut off; guests have nobody but their shims",
          MOVED, ZONE_ROOM, "zone", zone_lose, long_enough, moves=True),
    Fault("rolling-restart", "each node is restarted, one after the other, "
          "when all is well again", NO_RESTART, MAJORITY, "all",
          one("node_restart", "node_start", "restart node {node}"),
          lambda s: 1.0),
)}


def candidates(fault, inventory):
    """All targets that the inventory allows, in a fixed order."""
    if fault.aim in ("node", "leader", "all"):
        return [Target(machine=m) for m in inventory.nodes()]
    if fault.aim == "host":
        return [Target(machine=m) for m in inventory.hosts()]
    if fault.aim == "zone":
        return [Target(zone=z) for z in inventory.zones()
                if any("host" in m.roles for m in inventory.of_zone(z))]
    return [Target(machine=a, source=b) for a in inventory.nodes()
            for b in inventory.nodes() if a is not b]


def possible(fault, inventory):
    """Targets for which the inventory has every command; (targets, why none)"""
    good, why = [], "the inventory has no target for it"
    for target in candidates(fault, inventory):
        try:
            fault.steps(inventory, target)
            majority_stays(fault, inventory, target)
            good.append(target)
        except Impossible as reason:
            why = str(reason)
    return good, why


def majority_stays(fault, inventory, target):
    if fault.aim != "zone":
        return
    inside = [m for m in inventory.of_zone(target.zone) if "node" in m.roles]
    nodes = len(inventory.nodes())
    if nodes - len(inside) <= nodes // 2:
        raise Impossible(f"zone {target.zone} holds {len(inside)} of {nodes} "
                         "nodes: the others would be no majority")


def hit(inventory, fault, target):
    """Names of the hosts whose VMs are to move."""
    if not fault.moves:
        return set()
    if fault.aim == "zone":
        return {m.host for m in inventory.of_zone(target.zone)
                if "host" in m.roles}
    return {target.machine.host}


def lacks_room(view, hosts, ignored):
    """What does not fit elsewhere, roughly (by sums), or None."""
    usable = [h for n, h in view.hosts.items() if n not in hosts and
              n not in ignored and h["state"] == "up" and not h["cordoned"]]
    for key in ("cpu_milli", "memory_mib"):
        needed = sum(view.hosts[n]["used"][key] for n in hosts)
        free = sum(h["capacity"][key] - h["used"][key] for h in usable)
        if needed > free:
            return (f"the VMs of {' '.join(sorted(hosts))} take {needed} "
                    f"{key}, the other hosts have {free} left")
    return None
