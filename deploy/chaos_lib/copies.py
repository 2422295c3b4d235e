# SPDX-License-Identifier: Apache-2.0
"""Which guests really run, from each machine's /proc, believing nothing that
Holdfast says of itself; and whether one ran twice.

A guest is a `holdfast-shim` with a living child: its command line names the
host (--run-dir) and the VM (--uid). A shim runs one program in its life, and
adopts what that leaves behind; so several children are still one guest.

Scans of different machines are not simultaneous, and a VM may rightly end on
one and begin on another between two of them. So "seen here and there" proves
nothing. What each scan does prove, by our one clock alone, with no clocks to
compare: it began at b and ended at e, so a process that it saw was alive at
some moment after b, and, if it was then of age a, had begun by e - a. A process
(its number and start time: never another) was therefore alive for certain from
the least e - a to the greatest b of all scans that saw it. Two copies of a VM
were alive at one moment if their certain times overlap, or if a whole scan that
saw the one, b to e, lies in the certain time of the other; whatever the network
did to the answers.

A second copy that lives for less than a scan and its period can be missed; none
is ever seen that was not there."""

import collections
import dataclasses
import os
import subprocess
import threading

from .api import now

PERIOD_S = 0.3
ANSWER_S = 10       # Without an answer for so long a connection is given up.
ROUNDING_S = 0.03   # /proc counts in hundredths, three times.
REMEMBER_S = 120
SCANS_KEPT = 64

# One answer: boot id, PID namespace, ticks, uptime; each shim; its children.
SCRIPT = r"""
scan() {
  read -r boot </proc/sys/kernel/random/boot_id
  read -r up rest </proc/uptime
  echo "machine $boot $(readlink /proc/self/ns/pid) $(getconf CLK_TCK) $up"
  for f in $(grep -lsaF holdfast-shim /proc/[0-9]*/cmdline); do
    p=${f#/proc/}; p=${p%/cmdline}
    echo "shim $p"
    own=
    { read -r own <"/proc/$p/stat"; } 2>/dev/null
    echo "self $own"
    { tr '\0\n' '\n ' <"$f" | sed '/^--$/q;s/^/word /'; } 2>/dev/null
    kids=
    { read -r kids <"/proc/$p/task/$p/children"; } 2>/dev/null
    for k in $kids; do
      stat=
      { read -r stat <"/proc/$k/stat"; } 2>/dev/null
      echo "child $stat"
    done
  done
  echo end
}
"""


@dataclasses.dataclass
class Guest:
    """A process that a scan saw."""
    key: tuple    # Boot, namespace, pid, start: never another.
    uid: int
    run_dir: str
    age_s: float


def times(stat):
    """(state, start in ticks) of a line of /proc/PID/stat, or None."""
    fields = stat.rpartition(")")[2].split()
    return (fields[0], int(fields[19])) if len(fields) > 19 else None


def parse(lines):
    """The guests of one answer."""
    machine, shims, guests = None, [], []
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "machine":
            boot, space, ticks, up = rest.split()
            machine = (boot, space), int(ticks), float(up)
        elif kind == "shim":
            shims.append({"shim": rest, "self": "", "word": [], "child": []})
        elif kind == "self":
            shims[-1]["self"] = rest
        elif kind in ("word", "child"):
            shims[-1][kind].append(rest)
    if machine is None:
        raise ValueError("no machine in the answer")
    children = {c.split(" ", 1)[0] for s in shims for c in s["child"]}
    for shim in shims:
        words, own = shim["word"], times(shim["self"])
        # In a PID namespace the first child of a shim looks like one.
        if shim["shim"] in children or not is_shim(words) or own is None:
            continue
        uid, run_dir = option(words, "--uid"), option(words, "--run-dir")
        # A zombie, or one that is being killed, runs nothing any more.
        kids = [t for t in map(times, shim["child"])
                if t is not None and t[0] not in "ZXx"]
        if not kids or uid is None or not uid.isdigit() or run_dir is None:
            continue
        oldest = min(start for _, start in kids)
        guests.append(Guest((*machine[0], shim["shim"], own[1]), int(uid),
                            run_dir, machine[2] - oldest / machine[1]))
    return guests


def is_shim(words):
    return bool(words) and os.path.basename(words[0]) == "holdfast-shim"


def option(words, name):
    for word, value in zip(words, words[1:]):
        if word == name:
            return value
    return None


class Eye(threading.Thread):
    """Scans what one connection reaches, over and over."""

    def __init__(self, via, machines, copies):
        super().__init__(daemon=True)
        self.via = via
        self.machines = machines
        self.hosts = {m.run_dir: m.host for m in machines}
        self.copies = copies
        self.begun = self.ended = now()  # Of the last complete scan.
        self.scans = 0
        self.failed = "it was not asked yet"
        self._stop_wanted = threading.Event()
        self._process = None

    def where(self):
        return " and ".join(m.name for m in self.machines)

    def run(self):
        while not self._stop_wanted.is_set():
            try:
                self.session()
            except (OSError, ValueError, IndexError) as error:
                self.failed = str(error)
            finally:
                self.hang_up()
            self._stop_wanted.wait(1)

    def session(self):
        self._process = subprocess.Popen(
            [*self.via, "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, errors="replace",
            start_new_session=True)
        self._process.stdin.write(SCRIPT)
        while not self._stop_wanted.is_set():
            begin = now()
            timer = threading.Timer(ANSWER_S, self._process.kill)
            timer.start()
            try:
                self._process.stdin.write("scan </dev/null\n")
                self._process.stdin.flush()
                lines = []
                for line in self._process.stdout:
                    line = line.rstrip("\n")
                    if line == "end":
                        break
                    lines.append(line)
                else:
                    raise OSError("the connection ended")
            finally:
                timer.cancel()
            end = now()
            self.copies.saw(begin, end, [
                (g, self.hosts[g.run_dir]) for g in parse(lines)
                if g.run_dir in self.hosts], self)
            self.begun, self.ended, self.failed = begin, end, None
            self.scans += 1
            self._stop_wanted.wait(PERIOD_S)

    def hang_up(self):
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                try:
                    pipe.close()
                except OSError:
                    pass  # What was not sent need not be.
            process.wait()

    def stop(self):
        self._stop_wanted.set()


@dataclasses.dataclass
class Copy:
    uid: int
    host: str
    since: float  # Alive for certain from then
    until: float  # until then.
    scans: object  # (begin, end) of the last ones that saw it.

    def pid(self, key):
        return f"process {key[2]} of host {self.host}"


def within(one, other):
    """Whether a scan saw the one wholly in the other's certain time."""
    return any(other.since <= begin and end <= other.until
               for begin, end in one.scans)


class Copies:
    def __init__(self, inventory):
        ways = {}
        for machine in inventory.hosts():
            ways.setdefault(tuple(machine.via), []).append(machine)
        self.eyes = [Eye(list(via), machines, self)
                     for via, machines in ways.items()]
        self.doubles = []
        self._told = set()
        self._lock = threading.Lock()
        self._copies = {}  # Key -> Copy.
        self._latest = {}  # Eye -> {uid: [(host, key)]}

    def start(self):
        for eye in self.eyes:
            eye.start()

    def stop(self):
        for eye in self.eyes:
            eye.stop()
        for eye in self.eyes:
            if eye.is_alive():
                eye.join()

    def saw(self, begin, end, guests, eye=None):
        """What one scan proves."""
        with self._lock:
            latest = {}
            for guest, host in guests:
                since = end - max(guest.age_s - ROUNDING_S, 0)
                copy = self._copies.setdefault(
                    guest.key, Copy(guest.uid, host, since, begin,
                                    collections.deque(maxlen=SCANS_KEPT)))
                copy.scans.append((begin, end))
                copy.since = min(copy.since, since)
                copy.until = max(copy.until, begin)
                latest.setdefault(guest.uid, []).append((host, guest.key))
                self._compare(guest.key, copy)
            self._latest[eye] = latest
            for key in [k for k, c in self._copies.items()
                        if c.until < begin - REMEMBER_S]:
                del self._copies[key]

    def _compare(self, key, copy):
        for other_key, other in self._copies.items():
            if other.uid != copy.uid or other_key == key:
                continue
            both = min(copy.until, other.until) - max(copy.since, other.since)
            pair = frozenset((key, other_key))
            if pair not in self._told and (
                    both > 0 or within(copy, other) or within(other, copy)):
                self._told.add(pair)
                self.doubles.append((copy.uid, (
                    f"ran twice, for {max(both, 0):.1f} s at least: "
                    f"{other.pid(other_key)} and {copy.pid(key)}")))

    def running(self):
        """uid -> [(host, key)] as last seen."""
        with self._lock:
            found = {}
            for latest in self._latest.values():
                for uid, there in latest.items():
                    found.setdefault(uid, []).extend(there)
            return found

    def scans(self):
        return sum(eye.scans for eye in self.eyes)

    def all_after(self, moment):
        """Whether each machine was scanned from then on."""
        return all(eye.scans and eye.begun >= moment for eye in self.eyes)

    def blind(self, seconds):
        """What was not seen for so long, or None."""
        for eye in self.eyes:
            if now() - eye.ended > seconds:
                return (f"{eye.where()} could not be looked at for "
                        f"{now() - eye.ended:.0f} s" + (
                            f": {eye.failed}" if eye.failed else ""))
        return None
