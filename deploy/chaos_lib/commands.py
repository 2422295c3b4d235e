# SPDX-License-Identifier: Apache-2.0
"""How a machine is broken and healed: shell texts, none of which runs here.
Everything that heals may be run at any time and as often as one likes."""

import ipaddress
import re

TABLE = "inet holdfast_chaos"  # Of our own: nothing else has this name.


class Impossible(Exception):
    """A fault that this machine's inventory does not allow, and why."""


def to_main(signal, unit):
    """`main`: for the agent's unit also holds the VMs."""
    return f"systemctl kill --kill-who=main --signal={signal} {unit}"


def kill(unit):
    # The stop keeps systemd from starting it again before its time.
    return f"{to_main('SIGKILL', unit)}\nsystemctl stop {unit}"


def resume(unit):
    # A watchdog may have ended it; then it is started.
    return f"{to_main('SIGCONT', unit)} || :\nsystemctl start {unit}"


def families(addresses):
    """("ip" or "ip6", "a, b") for each family that occurs."""
    found = {}
    for address in addresses:
        kind = "ip6" if ipaddress.ip_address(address).version == 6 else "ip"
        found.setdefault(kind, []).append(address)
    return [(kind, ", ".join(found[kind])) for kind in sorted(found)]


def nft(chains):
    """One transaction that puts our table in place of one that may be left."""
    lines = [f"add table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    for hook, rules in chains.items():
        lines += [f"  chain {hook} {{",
                  f"    type filter hook {hook} priority -300; policy accept;"]
        lines += [f"    {rule}" for rule in rules]
        lines += ["  }"]
    return "\n".join(["nft -f - <<'RULES'", *lines, "}", "RULES"])


def port_set(ports):
    return "{ " + ", ".join(str(port) for port in ports) + " }"


def isolate(ports, inside=()):
    """Holdfast's traffic with all other machines but those inside. Nothing else
    is touched: not the session by which we came, nor the storage."""
    chains = {}
    for hook, end, interface in (("input", "saddr", "iif"),
                                 ("output", "daddr", "oif")):
        chains[hook] = [
            f'{interface} "lo" accept',
            *[f"{kind} {end} {{ {those} }} accept"
              for kind, those in families(inside)],
            f"tcp dport {port_set(ports)} drop",
            f"tcp sport {port_set(ports)} drop"]
    return nft(chains)


def cut_from(ports, addresses):
    """What comes from these; what goes to them passes."""
    return nft({"input": [
        f"{kind} saddr {{ {those} }} tcp {end} {port_set(ports)} drop"
        for kind, those in families(addresses) for end in ("dport", "sport")]})


def join():
    return (f"if nft list table {TABLE} >/dev/null 2>&1; then\n"
            f"  nft delete table {TABLE}\nfi")


def default(verb, machine, inside, addresses):
    node, agent = machine.node_unit, machine.agent_unit
    table = {
        "node_kill": lambda: kill(node),
        "node_start": lambda: f"systemctl start {node}",
        "node_pause": lambda: to_main("SIGSTOP", node),
        "node_resume": lambda: resume(node),
        "node_restart": lambda: f"systemctl restart {node}",
        "agent_kill": lambda: kill(agent),
        "agent_start": lambda: f"systemctl start {agent}",
        "agent_pause": lambda: to_main("SIGSTOP", agent),
        "agent_resume": lambda: resume(agent),
        "isolate": lambda: isolate(machine.ports),
        "isolate_zone": lambda: isolate(machine.ports, inside),
        "cut_from": lambda: cut_from(machine.ports, addresses),
        "join": join,
    }
    return table[verb]()


def text(verb, machine, inventory, source=None):
    """The shell text of a verb on a machine; `source` is the machine that
    cut_from is about."""
    inside = [a for m in inventory.of_zone(machine.zone) for a in m.addresses]
    addresses = source.addresses if source else []
    own = machine.commands.get(verb)
    if own == "":
        raise Impossible(f"machine {machine.name}: commands.{verb} is empty: "
                         "it cannot be done there")
    if own is None:
        if verb in ("isolate", "isolate_zone", "cut_from") and not machine.via:
            raise Impossible(f"machine {machine.name}: via is empty: whoever "
                             "watches must not cut itself off")
        if verb == "cut_from" and not addresses:
            raise Impossible(f"machine {source.name}: addresses: are needed to "
                             "tell its traffic from others'")
        return default(verb, machine, inside, addresses)
    values = {"machine": machine.name, "zone": machine.zone,
              "node": machine.node, "host": machine.host,
              "node_unit": machine.node_unit, "agent_unit": machine.agent_unit,
              "run_dir": machine.run_dir,
              "ports": " ".join(str(port) for port in machine.ports),
              "inside": " ".join(inside),
              "from": source.name if source else "",
              "from_addresses": " ".join(addresses)}
    # Not ${machine}: that is the shell's.
    return re.sub(r"(?<!\$)\{([a-z_]+)\}",
                  lambda m: values.get(m[1], m[0]), own)


def tools(machine):
    """Programs that the defaults need there."""
    needed = ["grep", "tr", "sed", "setsid", "sleep"]
    names = set(machine.commands)
    wanted = {"node": {"node_kill", "node_start"},
              "host": {"agent_kill", "agent_start"}}
    if machine.timer == "systemd":
        needed += ["systemctl", "systemd-run"]
    elif any(not wanted[role] <= names for role in machine.roles):
        needed.append("systemctl")
    if not {"isolate", "isolate_zone", "cut_from", "join"} <= names:
        needed.append("nft")
    return needed
