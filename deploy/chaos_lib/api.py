# SPDX-License-Identifier: Apache-2.0
"""The region as the installed `holdfast` shows it, and whether all is well."""

import concurrent.futures
import dataclasses
import json
import subprocess
import threading
import time

# Exit codes of `holdfast`.
OK, NOT_FOUND, CONFLICT, NO_QUORUM, TIMED_OUT = 0, 3, 4, 5, 7
MOVING = ("assigned", "starting", "stopping", "lost")
# A VM that waits for one of these waits for somebody to do something.
WAITS_FOR_PEOPLE = ("no_capacity", "zone_unavailable", "class_not_offered",
                    "disk_not_reachable", "driver_not_offered")


class ApiError(Exception):
    """What `holdfast` answered, for people."""


def now():
    """Seconds; also counts while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclasses.dataclass
class Answer:
    code: int
    value: object  # Its JSON, or None.
    text: str      # What it said about a failure.


class Api:
    """Asks one node at a time, and the next one after a failure."""

    def __init__(self, inventory):
        self.program = inventory.holdfast
        self.endpoints = inventory.endpoints
        self._lock = threading.Lock()
        self._next = 0

    def once(self, *arguments, endpoint=None, seconds=2):
        """One call to one node."""
        first = self._next
        asked = endpoint or self.endpoints[first % len(self.endpoints)]
        try:
            done = subprocess.run(
                [self.program, "-e", asked, "-o", "json", "--timeout",
                 f"{int(seconds * 1000)}ms", *arguments],
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                check=False, timeout=seconds + 10, start_new_session=True)
        except subprocess.TimeoutExpired:
            return Answer(TIMED_OUT, None, f"{self.program} did not end")
        except OSError as error:
            raise ApiError(f"{self.program} cannot be run: "
                           f"{error.strerror}") from None
        try:
            value = json.loads(done.stdout) if done.stdout.strip() else None
        except ValueError:
            value = None
        if done.returncode in (NO_QUORUM, TIMED_OUT) and endpoint is None:
            with self._lock:
                if self._next == first:
                    self._next += 1
        return Answer(done.returncode, value, done.stderr.strip())

    def ask(self, *arguments, patience=10):
        """The JSON, from whichever node answers; ApiError if none does."""
        end = now() + patience
        while True:
            answer = self.once(*arguments)
            if answer.code == OK:
                return answer.value or {}
            if answer.code not in (NO_QUORUM, TIMED_OUT) or now() > end:
                said = answer.text.splitlines() or [f"code {answer.code}"]
                raise ApiError(f"holdfast {' '.join(arguments[:3])}: {said[0]}")
            time.sleep(0.1)

    def statuses(self):
        """Each node's own view: endpoint -> status, or None; at about the same
        time."""
        def one(endpoint):
            return self.once("cluster", "status", endpoint=endpoint,
                             seconds=1).value
        with concurrent.futures.ThreadPoolExecutor(len(self.endpoints)) as pool:
            return dict(zip(self.endpoints, pool.map(one, self.endpoints)))

    def vms(self, patience=10):
        return {vm["name"]: vm
                for vm in self.ask("vm", "list", patience=patience)["vms"]}

    def leader(self):
        """The leader's name, as a node says that reaches a majority."""
        for status in self.statuses().values():
            if status and status["quorum"] and status["leader"]:
                return status["leader"]
        return None


@dataclasses.dataclass
class View:
    """A region in which all was well a moment ago."""
    leader: str
    settings: dict
    hosts: dict
    vms: dict
    waiting: list  # VMs that nobody could run, and why.


class Health:
    def __init__(self, inventory, api):
        self.inventory = inventory
        self.api = api

    def look(self):
        """(View, None), or (None, what is not well)."""
        try:
            return self._look()
        except ApiError as error:
            return None, str(error)
        except (KeyError, TypeError) as error:
            return None, f"holdfast answered without {error}"

    def _look(self):
        statuses = self.api.statuses()
        wrong = self.nodes_lack(statuses)
        if wrong:
            return None, wrong
        leader = next(iter(statuses.values()))["leader"]
        hosts = {h["name"]: h for h in self.api.ask("host", "list")["hosts"]}
        wrong = self.hosts_lack(hosts) or self.zones_lack()
        if wrong:
            return None, wrong
        vms = self.api.vms()
        waiting = []
        for name, vm in vms.items():
            wrong, waits = vm_lacks(vm)
            if wrong:
                return None, f"VM {name} {wrong}"
            if waits:
                waiting.append(f"VM {name} waits: "
                               f"{vm['status']['message'] or waits}")
        settings = self.api.ask("cluster", "settings", "get")
        return View(leader, settings, hosts, vms, waiting), None

    def nodes_lack(self, statuses):
        names = set()
        for endpoint, status in statuses.items():
            if status is None:
                return f"the node at {endpoint} does not answer"
            if not status["quorum"]:
                return f"the node at {endpoint} knows no leader with a quorum"
            if status["storm"]:
                return "storm: re-assignment is paused"
            names.add(status["node"]["name"])
        leaders = {s["leader"] for s in statuses.values()}
        if len(leaders) > 1:
            return f"nodes name different leaders: {' '.join(sorted(leaders))}"
        listed = {m.node for m in self.inventory.nodes()}
        if names != listed:
            return ("the nodes at the endpoints are "
                    f"{' '.join(sorted(names))}, in the inventory "
                    f"{' '.join(sorted(listed))}")
        for node in self.api.ask("cluster", "nodes")["nodes"]:
            if node["role"] == "unreachable":
                return f"node {node['name']} is unreachable"
            if node["name"] not in listed:
                return f"node {node['name']} is not in the inventory"
        return None

    def hosts_lack(self, hosts):
        listed = {m.host: m for m in self.inventory.hosts()}
        for name, host in hosts.items():
            if name in self.inventory.ignore_hosts:
                continue
            if name not in listed:
                return (f"host {name} is not in the inventory (ignore_hosts is "
                        "for those that are gone)")
            if host["zone"] != listed[name].zone:
                return (f"host {name} is in zone {host['zone']}, in the "
                        f"inventory in {listed[name].zone}")
            if host["state"] != "up" or not host["lease"]["connected"]:
                return f"host {name} is {host['state']}, its agent " + (
                    "connected" if host["lease"]["connected"] else
                    "not connected")
        missing = sorted(set(listed) - set(hosts))
        return f"the region has no host {missing[0]}" if missing else None

    def zones_lack(self):
        wanted = set(self.inventory.zones())
        for zone in self.api.ask("zone", "list")["zones"]:
            if zone["name"] in wanted and zone["state"] != "up":
                return f"zone {zone['name']} is {zone['state']}"
        return None


def vm_lacks(vm):
    """(what is in transition, or None; what it waits for, or None)"""
    status = vm["status"]
    state = status["state"]
    if status["deleting"]:
        return "is being deleted", None
    if status["move_zone"] or status["move_host"]:
        return "is being moved", None
    if state in MOVING:
        return f"is {state}", None
    if state == "pending":
        reason = status["pending_reason"]
        if reason in WAITS_FOR_PEOPLE:
            return None, reason
        return f"is pending: {reason}", None
    wanted = "stopped" if vm["desired"] == "stopped" else "running"
    return (None, None) if state == wanted else (f"is {state}", None)


def must_run(vm):
    return vm["desired"] != "stopped" and vm["status"]["state"] == "running"
