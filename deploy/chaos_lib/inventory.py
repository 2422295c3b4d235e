# SPDX-License-Identifier: Apache-2.0
"""The inventory: which machines there are, how they are reached and what runs
on them. A wrong one is refused with the name of every wrong key, before
anything is touched."""

import dataclasses
import difflib
import ipaddress
import re
import shlex
import tomllib

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ENDPOINT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}")
COMMANDS = ("node_kill", "node_start", "node_pause", "node_resume",
            "node_restart", "agent_kill", "agent_start", "agent_pause",
            "agent_resume", "isolate", "isolate_zone", "cut_from", "join")
ROLES = ("node", "host")

HELP = """\
The inventory is a TOML file; deploy/config/chaos.toml is one to begin with.

  endpoints = ["HOST:PORT", ...]   the API of every node, as reached from here
  holdfast = "holdfast"            the command line to ask with
  bound_s = 8.0                    from a fault to the start orders; without it
                                   the published bound for the region's
                                   settings: lease_wait_ms and 3 s
  start_s = 30.0                   how long a guest may take from its start
                                   order until it runs
  ignore_hosts = ["NAME", ...]     hosts the region still lists and that are
                                   gone for good
  [defaults]                       what holds for all machines: any key of a
                                   machine from node_unit on, and [commands]
  [[machine]]                      each machine:
  name = "m1"                      as this tool shall call it
  zone = "z1"
  roles = ["node", "host"]         what runs there
  via = "ssh root@10.0.0.1"        what runs `sh` there; empty: this machine
  node = "n1"                      the node's name in Holdfast (default: name)
  host = "z1-h1"                   the host's name in Holdfast (default: name)
  addresses = ["10.0.0.1"]         as other machines see it, for faults of links
  node_unit = "holdfastd"          systemd's names
  agent_unit = "holdfast-agent"
  run_dir = "/run/holdfast-agent"  as agent.yaml says
  ports = [7400]                   TCP ports between the machines that carry
                                   Holdfast
  work_dir = "/run/holdfast-chaos" where timed healing is noted
  timer = "systemd"                what heals without us: systemd, or shell (a
                                   process that sleeps)
  [machine.commands]               other ways to do things; empty: impossible
                                   there. In it {machine} {zone} {node} {host}
                                   {node_unit} {agent_unit} {run_dir} {ports}
                                   {inside} {from} {from_addresses} are
                                   replaced; each runs in `sh` with -e, each
                                   *_start, *_resume and join must also do
                                   nothing where nothing is to be done.
"""


class InventoryError(Exception):
    """All that is wrong: one line each, with its key."""


@dataclasses.dataclass
class Machine:
    name: str = ""
    zone: str = ""
    roles: list = dataclasses.field(default_factory=list)
    via: list = dataclasses.field(default_factory=list)
    node: str = ""
    host: str = ""
    addresses: list = dataclasses.field(default_factory=list)
    node_unit: str = "holdfastd"
    agent_unit: str = "holdfast-agent"
    run_dir: str = "/run/holdfast-agent"
    ports: list = dataclasses.field(default_factory=lambda: [7400])
    work_dir: str = "/run/holdfast-chaos"
    timer: str = "systemd"
    commands: dict = dataclasses.field(default_factory=dict)

    def where(self):
        """For people: how it is reached."""
        return shlex.join(self.via) if self.via else "this machine"


@dataclasses.dataclass
class Inventory:
    path: str
    endpoints: list
    machines: list
    holdfast: str = "holdfast"
    bound_s: float | None = None
    start_s: float = 30.0
    ignore_hosts: list = dataclasses.field(default_factory=list)

    def nodes(self):
        return [m for m in self.machines if "node" in m.roles]

    def hosts(self):
        return [m for m in self.machines if "host" in m.roles]

    def zones(self):
        return sorted({m.zone for m in self.machines})

    def machine(self, name):
        return next((m for m in self.machines if m.name == name), None)

    def node(self, name):
        return next((m for m in self.nodes() if m.node == name), None)

    def of_zone(self, zone):
        return [m for m in self.machines if m.zone == zone]


# Each takes a value and gives what is wrong with it, or None.

def a_text(value):
    return None if isinstance(value, str) and value else "must be a text"


def a_name(value):
    if isinstance(value, str) and NAME.fullmatch(value):
        return None
    return "must be a name: 1 to 63 of a-z, 0-9 and -"


def a_path(value):
    if isinstance(value, str) and re.fullmatch(r"/[\w./+:@-]+", value):
        return None
    return "must be an absolute path without blanks"


def a_unit(value):
    if isinstance(value, str) and re.fullmatch(r"[\w.@\\:-]+", value):
        return None
    return "must be the name of a systemd unit"


def seconds(value):
    if isinstance(value, (int, float)) and not isinstance(value, bool) and \
            0 < value <= 3600:
        return None
    return "must be seconds, more than 0 and at most 3600"


def list_of(check, least=0):
    def all_are(value):
        if not isinstance(value, list) or len(value) < least:
            return f"must be a list with at least {least} of these"
        for i, one in enumerate(value):
            wrong = check(one)
            if wrong:
                return f"[{i}] {wrong}, not {one!r}"
        if len({str(v) for v in value}) < len(value):
            return "names one of them twice"
        return None
    return all_are


def one_of(*allowed):
    def is_one(value):
        return None if value in allowed else "must be " + " or ".join(allowed)
    return is_one


def an_endpoint(value):
    if isinstance(value, str) and ENDPOINT.fullmatch(value) and \
            0 < int(value.rpartition(":")[2]) < 65536:
        return None
    return "must be HOST:PORT"


def a_port(value):
    if isinstance(value, int) and not isinstance(value, bool) and \
            0 < value < 65536:
        return None
    return "must be a port, 1 to 65535"


def an_address(value):
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "must be an IP address"
    return None


def a_via(value):
    if isinstance(value, list):
        return list_of(a_text)(value)
    if not isinstance(value, str):
        return "must be a command, as in \"ssh root@10.0.0.1\", or empty"
    try:
        shlex.split(value)
    except ValueError as error:
        return f"cannot be read as a command: {error}"
    return None


TOP = {"endpoints": list_of(an_endpoint, 1), "holdfast": a_text,
       "bound_s": seconds, "start_s": seconds, "ignore_hosts": list_of(a_name),
       "defaults": None, "machine": None}
SHARED = {"node_unit": a_unit, "agent_unit": a_unit, "run_dir": a_path,
          "ports": list_of(a_port, 1), "work_dir": a_path,
          "timer": one_of("systemd", "shell"), "commands": None}
OWN = {"name": a_name, "zone": a_name, "roles": list_of(one_of(*ROLES), 1),
       "via": a_via, "node": a_name, "host": a_name,
       "addresses": list_of(an_address), **SHARED}


class Reader:
    """Collects what is wrong."""

    def __init__(self):
        self.wrong = []

    def say(self, key, what):
        self.wrong.append(f"{key}: {what}")

    def table(self, place, table, known):
        """The table's good values; its wrong keys are noted."""
        good = {}
        if not isinstance(table, dict):
            self.say(place.rstrip("."), "must be a table")
            return good
        for key, value in table.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                self.say(place + key, "there is no such key" + (
                    f"; did you mean {near[0]}?" if near else ""))
            elif known[key] is not None and known[key](value):
                self.say(place + key, known[key](value))
            else:
                good[key] = value
        return good

    def commands(self, place, table):
        def text(value):
            return None if isinstance(value, str) else "must be a text"
        return self.table(place + "commands.", table,
                          dict.fromkeys(COMMANDS, text))

    def machine(self, place, table, defaults):
        own = self.table(place, table, OWN)
        values = {**defaults, **own}
        values["commands"] = {**defaults["commands"],
                              **self.commands(place, own.get("commands", {}))}
        for key in ("name", "zone", "roles"):
            if not isinstance(table, dict) or key not in table:
                self.say(place + key, "is missing")
        via = values.get("via", "")
        values["via"] = shlex.split(via) if isinstance(via, str) else via
        machine = Machine(**values)
        machine.node = machine.node or machine.name
        machine.host = machine.host or machine.name
        return machine

    def together(self, inventory):
        """What each machine alone cannot show."""
        seen = {}

        def once(kind, value, machine):
            other = seen.setdefault((kind, value), machine)
            if other is not machine:
                self.say(f"machine {machine.name!r}.{kind}",
                         f"machine {other.name!r} has the same")

        for machine in inventory.machines:
            once("name", machine.name, machine)
            if "node" in machine.roles:
                once("node", machine.node, machine)
            if "host" in machine.roles:
                once("host", machine.host, machine)
                # Whose guests they are is told by this.
                once("run_dir", (tuple(machine.via), machine.run_dir), machine)
        nodes = len(inventory.nodes())
        if nodes < 3:
            self.say("machine", f"{nodes} have the role node; with fewer than "
                     "3 no loss can be survived")
        if not inventory.hosts():
            self.say("machine", "none has the role host")


def load(path):
    """The inventory, or an InventoryError."""
    try:
        with open(path, "rb") as file:
            top = tomllib.load(file)
    except OSError as error:
        raise InventoryError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InventoryError(f"{path}: is not TOML: {error}") from None
    reader = Reader()
    good = reader.table("", top, TOP)
    if "endpoints" not in top:
        reader.say("endpoints", "is missing")
    given = good.pop("defaults", {})
    defaults = reader.table("defaults.", given, SHARED)
    defaults["commands"] = reader.commands("defaults.",
                                           defaults.get("commands", {}))
    tables = good.pop("machine", [])
    if not isinstance(tables, list):
        reader.say("machine", "write [[machine]], once for each")
        tables = []
    machines = []
    for i, table in enumerate(tables):
        name = table.get("name") if isinstance(table, dict) else None
        place = f"machine {name!r}." if isinstance(name, str) else \
            f"machine number {i + 1}."
        machines.append(reader.machine(place, table, defaults))
    good.setdefault("endpoints", [])
    inventory = Inventory(path=path, machines=machines, **good)
    if not reader.wrong:
        reader.together(inventory)
    if reader.wrong:
        raise InventoryError("\n".join(f"{path}: {w}" for w in reader.wrong))
    return inventory
