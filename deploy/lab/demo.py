# SPDX-License-Identifier: Apache-2.0
"""The story that deploy/demo tells, and its judgement."""

import argparse
import calendar
import json
import math
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
import time
from collections import Counter

sys.dont_write_bytecode = True  # The checkout stays as it was.

from judge import Judge  # noqa: E402
from region import LabError, Region, end_kept  # noqa: E402

# Published bound with default settings: from the loss of a zone to the order
# that starts its VMs elsewhere (docs/ARCHITECTURE.md, "Leases and fencing").
BOUND_MS = 8000
# The default, a minute, is for real zones; nobody watches a demo that long.
ZONE_HOLD_MS = 5000
PATIENCE_S = 90
DISK_BYTES = 1 << 20
CPUS = {"small": 1, "large": 2}  # Of the classes.

LOG_LINE = re.compile(r"^(\S+)Z \w+ (vm\.start|vm\.running) .*\bname=(\S+) "
                      r"epoch=(\d+)")
LEADER_LINE = re.compile(r"^(\S+)Z \w+ raft\.leadership .*state=leader")


class Screen:
    """Plain lines; colour and a moving last line only on a terminal."""

    def __init__(self):
        self.live = sys.stdout.isatty()
        self.colour = self.live and "NO_COLOR" not in os.environ
        self.pending = False

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def bold(self, text):
        return self.paint("1", text)

    def good(self, text):
        return self.paint("32", text)

    def bad(self, text):
        return self.paint("31;1", text)

    def dim(self, text):
        return self.paint("2", text)

    def line(self, text=""):
        if self.pending:
            sys.stdout.write("\r\033[K")
            self.pending = False
        print(text, flush=True)

    def progress(self, text):
        """Replaced by what is written next; not shown in a pipe."""
        if self.live:
            sys.stdout.write(f"\r\033[K{text}")
            sys.stdout.flush()
            self.pending = True

    def block(self, text):
        for line in text.rstrip("\n").split("\n"):
            self.line("     " + line)

    def paragraph(self, text, first, rest):
        width = shutil.get_terminal_size((92, 24)).columns
        for line in textwrap.wrap(text, width - 1, initial_indent=first,
                                  subsequent_indent=rest):
            self.line(line)

    def step(self, number, text):
        self.line()
        self.line(self.bold(f" {number}  {text}"))


def log_time(text):
    """Unix time of a log line's stamp."""
    whole, _, milli = text.partition(".")
    return (calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
            + int(milli or 0) / 1000)


class Logs:
    """What the agents' and nodes' logs say since it was made."""

    def __init__(self, region, names):
        self.files = {}
        for name in names:
            path = os.path.join(region.disk, "log", f"{name}.log")
            self.files[name] = open(path, encoding="utf-8", errors="replace")
            self.files[name].seek(0, os.SEEK_END)
        self.rest = dict.fromkeys(names, "")

    def new_lines(self):
        for name, file in self.files.items():
            text = self.rest[name] + file.read()
            lines = text.split("\n")
            self.rest[name] = lines.pop()
            for line in lines:
                yield name, line

    def close(self):
        for file in self.files.values():
            file.close()


class Writer(threading.Thread):
    """A client that keeps creating (stopped) VMs and remembers what was
    acknowledged. An unanswered create is repeated with its request id."""

    def __init__(self, region):
        super().__init__(daemon=True)
        self.region = region
        self.without = None  # A zone that is known to be dead.
        self.acknowledged = {}  # Name -> (begin of the attempt, reply).
        self._stop_wanted = threading.Event()

    def run(self):
        number = 0
        while not self._stop_wanted.wait(0.05):
            number += 1
            name = f"ledger-{number}"
            while not self._stop_wanted.is_set():
                begin = time.time()
                if self.region.call(
                        "vm", "create", name, "--class", "small", "--image",
                        "guest.img", "--stopped", "--request-id",
                        f"demo-{name}", "--timeout", "5s",
                        without=self.without, check=False) is not None:
                    self.acknowledged[name] = (begin, time.time())
                    break

    def stop(self):
        self._stop_wanted.set()
        self.join()

    def first_after(self, moment):
        """Reply to the first write that began after this moment."""
        return min((end for begin, end in list(self.acknowledged.values())
                    if begin > moment), default=None)


class Demo:
    def __init__(self, options):
        self.options = options
        self.screen = Screen()
        self.plan_vms()
        self.region = Region(options, self.host_cpus())
        self.judge = Judge(self.region.pool)
        self.writer = Writer(self.region)
        self.per_vm = {}     # Name -> {"from", "to", "order_ms", ...}.
        self.phases = {}
        self.result = {}

    def plan_vms(self):
        """kinds: (name, class, priority, zone it is pinned to or None)."""
        count = self.options.vms
        zones = [f"z{i + 1}" for i in range(self.options.zones)]
        pinned = zones if count >= 2 * len(zones) else []
        databases = (count - len(pinned)) // 4
        webs = count - len(pinned) - databases
        self.kinds = [(f"db-{i + 1}", "large", 900, None)
                      for i in range(databases)]
        self.kinds += [(f"web-{i + 1}", "small", 100, None)
                       for i in range(webs)]
        self.kinds += [(f"edge-{zone}", "small", 100, zone) for zone in pinned]
        self.vms = {name: zone for name, _, _, zone in self.kinds}

    def host_cpus(self):
        """So many that the fleet still fits when a zone is lost, with a
        little room, for sizes are mixed."""
        wanted = sum(CPUS[size] for _, size, _, _ in self.kinds)
        hosts = (self.options.zones - 1) * self.options.hosts
        return math.ceil(wanted * 1.15 / hosts) + max(CPUS.values()) - 1

    # Helpers ---------------------------------------------------------------

    def wait(self, what, check, patience=PATIENCE_S):
        """Until check() gives something true; that."""
        begin = time.monotonic()
        while True:
            value = check()
            if value:
                return value
            dead = self.region.dead_children()
            if dead:
                raise LabError(f"{dead[0]} ended unexpectedly while waiting "
                               f"for {what}. Its log ends with:\n"
                               f"{self.region.log_tail(dead[0])}")
            waited = time.monotonic() - begin
            if waited > patience:
                raise LabError(f"{what} did not happen within {patience} s")
            self.screen.progress(f"     waiting for {what} ... {waited:.1f} s")
            time.sleep(0.05)

    def status(self, without=None):
        return self.region.call("cluster", "status", "--timeout", "1s",
                                without=without, check=False)

    def leader_zone(self, without=None):
        status = self.status(without) or {}
        return status.get("leader", "").removeprefix("node-") or None

    def list(self, noun, *arguments, without=None):
        return self.region.call(noun, "list", *arguments,
                                without=without)[noun + "s"]

    def guests(self, without=None):
        return {vm["name"]: vm for vm in self.list("vm", without=without)
                if vm["name"] in self.vms}

    # The story -------------------------------------------------------------

    def start_zones(self):
        region, screen = self.region, self.screen
        screen.step(1, f"Start {len(region.zones)} zones: a node and "
                       f"{self.options.hosts} hosts each")
        begin = time.monotonic()
        for zone in region.zones:
            region.start_node(zone, first=True)
        leader = self.wait("a leader", self.leader_zone)
        screen.line(f"     node-{leader} leads after "
                    f"{time.monotonic() - begin:.1f} s")
        region.call("zone", "create", *region.zones)
        region.call("cluster", "settings", "set",
                    f"zone_hold_ms={ZONE_HOLD_MS}")
        for size, cpus in CPUS.items():
            region.call("class", "create", size, "--cpu", str(cpus),
                        "--memory", "128MiB")
        for host in region.hosts:
            region.start_agent(host)
        self.wait("all hosts", lambda: len(self.list("host")) ==
                  len(region.hosts))
        screen.line(f"     {len(region.hosts)} hosts have their leases after "
                    f"{time.monotonic() - begin:.1f} s")

    def create_arguments(self, names, size, priority, zone):
        arguments = ["vm", "create", *names, "--class", size, "--priority",
                     str(priority), "--disk",
                     "kind=shared,pool=san,path={name}.img"]
        if zone:
            arguments += ["--zone", zone]
        if self.options.driver == "exec":
            guest = os.path.join(self.region.disk, "images", "exec-guest")
            return arguments + ["--stop-grace", "2s", "--command", guest,
                                "{disk0}"]
        return arguments + ["--image", "guest.img"]

    def create_vms(self):
        count = len(self.kinds)
        self.screen.step(2, f"Create {count} VMs with disks on a shared pool")
        begin = time.monotonic()
        for name, size, priority, zone in self.kinds:
            with open(f"{self.region.pool}/{name}.img", "wb") as disk:
                disk.truncate(DISK_BYTES)
            self.region.call(*self.create_arguments([name], size, priority,
                                                    zone))
        total = Counter(name.partition("-")[0] for name in self.vms)
        self.screen.line(f"     zone-redundant: {total['web']} web (1 CPU), "
                         f"{total['db']} db (2 CPUs, higher priority)")
        if total["edge"]:
            self.screen.line(f"     zonal: {total['edge']} edge (1 CPU), one "
                             "pinned to each zone")
        self.judge.start()
        self.wait("every guest's heartbeat",
                  lambda: len(self.judge.counters) == count)
        self.screen.line(f"     all {count} guests count on their disks after "
                         f"{time.monotonic() - begin:.1f} s")

    def show_placement(self, without=None):
        self.screen.line()
        self.screen.block(self.region.show("zone", "list", without=without))
        self.screen.line()
        rows = {}
        for name, vm in self.guests(without).items():
            status = vm.get("status", {})
            where = status.get("host") or "(pending)"
            rows.setdefault(where, []).append(name)
        for host in sorted(rows):
            names = " ".join(sorted(rows[host], key=natural))
            self.screen.line(f"     {host:10} {names}")

    def kill_leaders_zone(self):
        zone = self.wait("a leader", self.leader_zone)
        before = self.guests()
        self.moving = {n for n, vm in before.items()
                       if vm["status"].get("zone") == zone
                       and self.vms[n] is None}
        self.stranded = {n for n, pinned in self.vms.items() if pinned == zone}
        for name in self.moving:
            self.per_vm[name] = {"from": before[name]["status"]["host"]}
        survivors = [n for n in self.region.hosts
                     if self.region.hosts[n] != zone]
        self.logs = Logs(self.region, survivors +
                         [f"node-{z}" for z in self.region.zones if z != zone])
        self.writer.start()
        self.wait("a first write", lambda: self.writer.acknowledged)
        self.leader_was_there = self.leader_zone() == zone
        self.screen.step(3, f"Kill {zone}, the zone of the leader")
        self.judge.mark()
        self.killed_at = time.time()
        killed = self.region.kill_zone(zone, self.options.fault == "power")
        self.writer.without = zone
        self.zone = zone
        what = ("everything in it" if self.options.fault == "power" else
                "its node and agents; the guests run on")
        self.screen.line(f"     SIGKILL for {what}: {killed} processes")
        self.screen.line(f"     {len(self.moving)} VMs can run elsewhere" + (
            f"; {' '.join(self.stranded)} is pinned there"
            if self.stranded else ""))
        self.screen.line()

    def since_kill(self, moment):
        return round((moment - self.killed_at) * 1000)

    def tell(self, moment, text):
        self.screen.line(f"     {self.since_kill(moment) / 1000:+7.2f} s  "
                         f"{text}")

    def read_logs(self):
        # Stamps come first in a line.
        for source, line in sorted(self.logs.new_lines(), key=lambda n: n[1]):
            leader = LEADER_LINE.match(line)
            if leader:
                self.tell(log_time(leader[1]), f"{source} leads")
            vm = LOG_LINE.match(line)
            if not vm or vm[3] not in self.moving:
                continue
            moment, name, entry = log_time(vm[1]), vm[3], self.per_vm[vm[3]]
            if vm[2] == "vm.start":
                self.note_fenced(moment)
                entry.update(to=source, order_ms=self.since_kill(moment))
                self.tell(moment, f"{name:8} {entry['from']} -> {source}, "
                                  "ordered")
            else:
                entry["running_ms"] = self.since_kill(moment)

    def read_region(self):
        now = time.time()
        first = self.writer.first_after(self.killed_at)
        if first and "write" not in self.phases:
            self.phases["write"] = first
            self.tell(first, "first write acknowledged again")
        if "fenced" not in self.phases:
            zones = {z["name"]: z for z in self.list("zone",
                                                     without=self.zone)
                     } if "write" in self.phases else {}
            if zones.get(self.zone, {}).get("state") == "lost":
                self.read_logs()  # The first orders may have been faster.
                self.note_fenced(now)

    def note_fenced(self, moment):
        """Seen by asking for the zone's state or, earlier, by an order that
        can only follow it."""
        if "fenced" not in self.phases:
            self.phases["fenced"] = moment
            self.tell(moment, f"{self.zone} is judged lost: its leases have "
                              "ended")

    def read_judge(self, alive):
        for name in alive:
            entry = self.per_vm.get(name)
            if entry is not None and "beat_ms" not in entry:
                moment = self.judge.alive_again[name]
                entry["beat_ms"] = self.since_kill(moment)
                boots, beats = self.judge.counters[name]
                self.tell(moment, self.screen.good(
                    f"{name:8} runs on {entry.get('to', '?')}, its disk goes "
                    f"on at beat {beats}"))

    def follow_recovery(self):
        def recovered():
            # What is seen alive was ordered before: on a busy machine the
            # region's answer can take longer than the whole recovery.
            alive = list(self.judge.alive_again)
            self.read_region()
            self.read_logs()
            self.read_judge(alive)
            back = [e for e in self.per_vm.values() if "beat_ms" in e]
            return len(back) == len(self.moving)

        self.wait("the VMs", recovered)
        self.logs.close()
        if self.stranded:
            waiting = self.region.call("vm", "show", *sorted(self.stranded),
                                       without=self.zone)
            for vm in waiting if isinstance(waiting, list) else [waiting]:
                self.screen.paragraph(
                    f"{vm['name']:8} waits: {vm['status'].get('message', '')}",
                    " " * 16, " " * 25)

    def bring_back(self):
        self.screen.step(4, f"Bring {self.zone} back")
        self.region.start_zone(self.zone)
        begin = time.monotonic()
        self.wait(f"node-{self.zone}", lambda: any(
            n["name"] == f"node-{self.zone}"
            and n["role"] not in ("unreachable", "ROLE_UNREACHABLE")
            for n in self.region.call("cluster", "nodes")["nodes"]))
        self.screen.line(f"     node-{self.zone} follows again after "
                         f"{time.monotonic() - begin:.1f} s")
        self.wait("the zone to be used again", lambda: any(
            z["name"] == self.zone and z["state"] == "up"
            for z in self.list("zone")))
        self.screen.line(f"     {self.zone} is used again after "
                         f"{time.monotonic() - begin:.1f} s (it is watched "
                         f"for {ZONE_HOLD_MS / 1000:g} s first)")
        if self.stranded:
            self.wait("the pinned VMs", lambda: self.stranded <=
                      set(self.judge.alive_again))
            self.screen.line(f"     {' '.join(sorted(self.stranded))}: "
                             "running again")
        # Late second copies would show now.
        self.wait("a last look", lambda: time.monotonic() - begin > 3 +
                  ZONE_HOLD_MS / 1000)
        self.writer.stop()
        self.show_placement()

    def judge_all(self):
        self.judge.stop()
        kept = {vm["name"] for vm in self.list("vm")}
        expected = set(self.writer.acknowledged) | set(self.vms)
        lost = sorted(expected - kept, key=natural)
        not_running = [n for n, vm in self.guests().items()
                       if vm["status"]["state"] != "running"]
        orders = [e.get("order_ms") for e in self.per_vm.values()]
        beats = [e.get("beat_ms") for e in self.per_vm.values()]
        complete = orders and None not in orders and None not in beats
        self.result = {
            "zones": len(self.region.zones),
            "hosts": len(self.region.hosts),
            "vms": len(self.vms),
            "driver": self.options.driver,
            "fault": self.options.fault,
            "killed_zone": self.zone,
            "leader_was_there": self.leader_was_there,
            "start_order_ms": max(orders) if complete else None,
            "all_running_ms": max(beats) if complete else None,
            "bound_ms": BOUND_MS,
            "duplicates": len(self.judge.duplicates),
            "counter_regressions": len(self.judge.regressions),
            "lost_acknowledged": len(lost),
            "acknowledged_writes": len(self.writer.acknowledged),
            "process_scans": self.judge.scans,
            "phases_ms": self.phase_lengths(complete),
            "moved": self.per_vm,
        }
        self.result["ok"] = bool(
            complete and self.leader_was_there and not not_running and
            not lost and not self.judge.duplicates and
            not self.judge.regressions and max(orders) <= BOUND_MS)
        for sentence in (self.judge.duplicates + self.judge.regressions +
                         [f"{n} was acknowledged and is gone" for n in lost] +
                         [f"{n} does not run" for n in not_running]):
            self.screen.line("     " + self.screen.bad(sentence))

    def forget_ledger(self):
        """What the writer made is of no use to people."""
        self.region.call("vm", "delete", *self.writer.acknowledged)

    def phase_lengths(self, complete):
        """detect: a new leader's first write. fence: the old leases ended.
        place: the last order reached its host. start: the last heartbeat."""
        if not complete:
            return {}
        orders = [e["order_ms"] for e in self.per_vm.values()]
        write = self.since_kill(self.phases["write"])
        fenced = self.since_kill(self.phases["fenced"])
        beat = max(e["beat_ms"] for e in self.per_vm.values())
        return {"detect": write, "fence": fenced - write,
                "place": max(orders) - fenced, "start": beat - max(orders)}

    def summary(self):
        result, screen = self.result, self.screen
        screen.step(5, "Summary")
        told = {"detect": "leader elected, first write acknowledged",
                "fence": "the lost zone's leases waited out",
                "place": "last VM's start order at its new host",
                "start": "last guest's next heartbeat"}
        total = 0
        for phase, length in result["phases_ms"].items():
            total += length
            screen.line(f"     {phase:8}{length / 1000:7.2f} s   at "
                        f"{total / 1000:5.2f} s   {told[phase]}")
        screen.line()

        def verdict(good, text):
            screen.line("     " + (screen.good("ok   ") if good else
                                   screen.bad("WRONG")) + " " + text)

        order = result["start_order_ms"]
        verdict(order is not None and order <= BOUND_MS,
                f"last start order after {(order or 0) / 1000:.2f} s; bound "
                f"{BOUND_MS / 1000:g} s")
        verdict(not result["duplicates"],
                f"{result['duplicates']} VMs ran twice, in "
                f"{result['process_scans']} scans of all processes")
        verdict(not result["counter_regressions"],
                f"{result['counter_regressions']} of the guests' counters "
                "went backwards")
        verdict(not result["lost_acknowledged"],
                f"{result['lost_acknowledged']} of "
                f"{result['acknowledged_writes']} acknowledged writes lost")
        verdict(result["leader_was_there"],
                f"{result['killed_zone']} held the leader when it was killed")
        screen.line()
        if result["ok"]:
            screen.line("     " + screen.bold(
                f"Zone {result['killed_zone']} was lost, with the leader. "
                f"{len(result['moved'])} of {len(result['moved'])} VMs ran "
                f"again within {result['all_running_ms'] / 1000:.2f} s, each "
                "of them once."))
        else:
            screen.line("     " + screen.bad("This was not as promised."))

    def run(self):
        self.screen.line(self.screen.bold("Holdfast demo") + self.screen.dim(
            f"   driver {self.options.driver}; folder {self.region.disk}"))
        self.start_zones()
        self.create_vms()
        self.show_placement()
        self.kill_leaders_zone()
        self.follow_recovery()
        self.bring_back()
        self.judge_all()
        self.summary()


def natural(name):
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]


def parse():
    parser = argparse.ArgumentParser(
        prog="deploy/demo",
        description="Starts three zones with real VMs on this machine, kills "
                    "the zone that holds the leader, and shows that its VMs "
                    "come back, once each.",
        epilog="Exit code 0 only when everything was as promised.")
    parser.add_argument("--zones", type=int, default=3, metavar="N",
                        help="3, 5 or 7 (default 3)")
    parser.add_argument("--hosts", type=int, default=2, metavar="N",
                        help="hosts in each zone, 1 to 20 (default 2)")
    parser.add_argument("--vms", type=int, default=15, metavar="N",
                        help="VMs in all, 3 to 200 (default 15)")
    parser.add_argument("--driver", choices=("qemu", "exec"), default="qemu",
                        help="real QEMU guests, or plain programs")
    parser.add_argument("--fault", choices=("power", "control"),
                        default="power",
                        help="power: everything in the zone dies; control: "
                             "its node and agents die and its guests run on, "
                             "until their leases end")
    parser.add_argument("--json", metavar="FILE",
                        help="write the result there as well")
    parser.add_argument("--keep", action="store_true",
                        help="leave the region running and say how to use it")
    parser.add_argument("--end", metavar="FOLDER",
                        help="end a region that --keep left, and clean up")
    parser.add_argument("--binaries", help=argparse.SUPPRESS)
    parser.add_argument("--guest", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.zones not in (3, 5, 7):
        parser.error("--zones: 3, 5 or 7 are possible: a loss must leave a "
                     "majority, and an even number gains nothing")
    if not 1 <= options.hosts <= 20:
        parser.error("--hosts: 1 to 20")
    if not 3 <= options.vms <= 200:
        parser.error("--vms: 3 to 200")
    return options


def interrupted(_signal, _frame):
    raise KeyboardInterrupt


def say_kept(region):
    binary = os.path.relpath(f"{region.binaries}/holdfast")
    print(f"\nThe region runs on. Talk to it:\n"
          f"  export HOLDFAST_ENDPOINTS={region.endpoints()}\n"
          f"  {binary} vm list\n"
          f"Logs are in {region.disk}/log. End it:\n"
          f"  deploy/demo --end {region.disk}")


def main():
    options = parse()
    if options.end:
        return end_kept(options.end)
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    demo = Demo(options)
    kept = False
    try:
        demo.run()
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(demo.result, file, indent=2)
                file.write("\n")
        if options.keep:
            demo.forget_ledger()
            demo.region.leave()
            say_kept(demo.region)
            kept = True
        return 0 if demo.result["ok"] else 1
    except KeyboardInterrupt:
        demo.screen.line("\nInterrupted; cleaning up.")
        return 130
    except (LabError, OSError) as error:
        demo.screen.line(f"\ndeploy/demo: {error}")
        return 1
    finally:
        if not kept:
            demo.region.close()


if __name__ == "__main__":
    sys.exit(main())
