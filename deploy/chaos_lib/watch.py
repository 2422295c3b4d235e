# SPDX-License-Identifier: Apache-2.0
"""Looks at the region over and over while something is wrong with it: whether
the nodes' states agree, and which VM was placed and ran again when."""

import dataclasses
import threading

from .api import ApiError, must_run, now

PERIOD_S = 0.3


class Poller(threading.Thread):
    """Calls `look` until it is stopped."""

    def __init__(self, look):
        super().__init__(daemon=True)
        self._look = look
        self._stop_wanted = threading.Event()

    def run(self):
        while not self._stop_wanted.is_set():
            begin = now()
            try:
                self._look()
            except (ApiError, KeyError, TypeError):
                pass  # No answer is no finding; writes judge that.
            # Half of the time at most, in a large region.
            self._stop_wanted.wait(max(PERIOD_S, now() - begin))

    def stop(self):
        self._stop_wanted.set()
        if self.is_alive():
            self.join()


class Replicas:
    """Equal entries have equal hashes, on all nodes."""

    def __init__(self, api):
        self.api = api
        self.wrong = []
        self._hashes = {}  # Index -> (hash, node).
        self._met = []     # Sets of nodes that agreed since forget().
        self._at = {}      # Index -> nodes seen there since forget().
        self._lock = threading.Lock()

    def look(self):
        for status in self.api.statuses().values():
            if status:
                self.judge(status["node"]["name"],
                           int(status["applied_index"]), status["state_hash"])

    def judge(self, node, index, value):
        with self._lock:
            first, other = self._hashes.setdefault(index, (value, node))
            if first != value:
                self.wrong.append(f"{node} and {other} differ at entry {index}:"
                                  f" {value} and {first}")
                return
            there = self._at.setdefault(index, set())
            there.add(node)
            self._join(there)

    def _join(self, nodes):
        merged, rest = set(nodes), []
        for group in self._met:
            if group & merged:
                merged |= group
            else:
                rest.append(group)
        self._met = [*rest, merged]

    def forget(self):
        """Agreement is asked for anew; what was wrong stays so."""
        with self._lock:
            self._met, self._at = [], {}
            for index in sorted(self._hashes)[:-10000]:
                del self._hashes[index]

    def agree(self, nodes):
        """Whether each of them was seen at an entry with another, and all are
        joined by such meetings."""
        with self._lock:
            return any(set(nodes) <= group for group in self._met)


@dataclasses.dataclass
class Moving:
    """A VM that is to run elsewhere."""
    epoch: int
    ordered: float | None = None  # When it was first seen to have a new host.
    running: float | None = None


class Fleet:
    """The VMs from the moment before a fault on."""

    def __init__(self, api, view, hit):
        self.api = api
        self.hit = hit
        self.before = {n: vm for n, vm in view.vms.items() if must_run(vm)}
        self.known = set(view.vms)
        self.names = {int(vm["uid"]): n for n, vm in view.vms.items()}
        self.moving = {n: Moving(int(vm["status"]["epoch"]))
                       for n, vm in self.before.items()
                       if vm["status"]["host"] in hit and
                       can_move(vm, view.hosts, hit)}
        self.must_stay = {n for n, vm in self.before.items()
                          if vm["status"]["host"] not in hit}
        self.vms = view.vms
        self.begun = self.ended = now()  # Of the last look.
        self.notes = {}

    def look(self):
        begun = now()
        vms = self.api.vms(patience=1)
        ended = now()
        for name, moving in self.moving.items():
            status = vms[name]["status"] if name in vms else None
            if status is None or int(status["epoch"]) <= moving.epoch or \
                    not status["host"] or status["host"] in self.hit:
                continue
            moving.ordered = moving.ordered or ended
            if status["state"] == "running":
                moving.running = moving.running or ended
        self.vms, self.begun, self.ended = vms, begun, ended

    def strange(self):
        """A VM that was to stay and did not, or is gone; or None."""
        vms = self.vms
        for name in self.known:
            if name not in vms:
                return f"VM {name} is gone"
        for name in self.must_stay:
            was, status = self.before[name]["status"], vms[name]["status"]
            if status["epoch"] == was["epoch"]:
                continue
            end = status["last_end"]
            if end == "moved":
                self.notes[name] = f"VM {name} was moved by somebody"
                continue
            # A guest that ended by itself looks like one whose host stopped it
            # politely because its lease ran out: that is not told apart.
            return (f"VM {name} of {was['host']} was placed anew without need: "
                    f"{end or 'no reason given'}, now {status['state']} on "
                    f"{status['host'] or 'no host'}")
        return None

    def late(self, begin, bound_s, start_s):
        """A VM that is later than promised, or None. Only a look that began
        after the time was up can say so."""
        waited = self.begun - begin
        for name, moving in self.moving.items():
            status = self.vms.get(name, {}).get("status", {})
            said = f"it is {status.get('state')}: {status.get('message')}"
            if waited > bound_s and moving.ordered is None:
                return (f"VM {name} has no new host {waited:.1f} s after the "
                        f"fault; the bound is {bound_s:g} s; {said}")
            if waited > bound_s + start_s and moving.running is None:
                return (f"VM {name} does not run {waited:.1f} s after the "
                        f"fault, with {start_s:g} s to start; {said}")
        return None

    def all_run(self):
        return all(m.running for m in self.moving.values())

    def took(self, begin, what):
        """Seconds until the last VM was `ordered` or `running`; None without
        any."""
        moments = [getattr(m, what) for m in self.moving.values()]
        if not moments or None in moments:
            return None
        return max(moments) - begin

    def not_running(self):
        return sorted(n for n in self.before if n not in self.vms or
                      self.vms[n]["status"]["state"] != "running")


def can_move(vm, hosts, hit):
    """Not those that run on while cut off, nor those that may be nowhere
    else."""
    if vm["status"]["on_partition_active"] == "keep":
        return False
    return any(name not in hit and vm["zone"] in ("", host["zone"])
               for name, host in hosts.items())
