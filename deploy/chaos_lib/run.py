# SPDX-License-Identifier: Apache-2.0
"""One fault after the other, each between two moments in which all is well:

    well -> plant healing -> begin -> watch -> heal -> well -> judge

Whatever happens after the planting, healing follows: signals only ask for an
end, which the waiting looks for; errors pass through `finally`; and if this
process is gone, the planted timers heal."""

import concurrent.futures
import time

from . import faults, plant
from .api import Api, Health, now
from .canary import Canary
from .copies import Copies
from .watch import Fleet, Poller, Replicas

WELL_S = 60          # For all to be well, beside what the settings hold back.
BLIND_S = 15         # No judge may be without a sight of a machine for longer.
AGREE_S = 60
FRESH_S = 2          # Two looks in a row are one.
PUBLISHED_S = 3      # Election and a turn: the published 8 s less 5 s of lease.
TELL_AFTER_S = 3
AT_ONCE = 16         # Machines at a time.
WRITES_AFTER = 3


class Broken(Exception):
    """A rule that does not hold."""

    def __init__(self, rule, what):
        super().__init__(f"{rule}: {what}")
        self.rule = rule


class Ended(Exception):
    """Somebody asked us to end."""


class Unhealed(Exception):
    """Steps that could not be healed, each with the reason."""

    def __init__(self, steps):
        super().__init__("could not heal")
        self.steps = steps


def everywhere(steps, body, timeout_s):
    """[(step, exit code, printed)], on all machines at about the same time."""
    def one(step):
        return (step, *plant.run(step.machine, body(step), timeout_s))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, steps))


class Run:
    def __init__(self, inventory, screen, stop, hold_s=None, heal_after_s=30.0):
        """`stop` is an event that signals set."""
        self.inventory = inventory
        self.screen = screen
        self.stop = stop
        self.hold_s = hold_s
        self.heal_after_s = heal_after_s
        self.api = Api(inventory)
        self.health = Health(inventory, self.api)
        self.replicas = Replicas(self.api)
        self.copies = Copies(inventory)
        self.canary = Canary(self.api)
        self.pollers = []
        self.fleet = None
        self.begin = None     # Of the fault,
        self.struck = None    # and when it was done, at the latest.
        self.view = None
        self.well_at = None   # When all was last seen to be well.
        self.rows = []
        self.count = 0
        self.id = f"holdfast-chaos-{self.canary.name.rpartition('-')[2]}"

    # Judging -----------------------------------------------------------------

    def bound_s(self):
        if self.inventory.bound_s is not None:
            return self.inventory.bound_s
        return self.view.settings["lease_wait_ms"] / 1000 + PUBLISHED_S

    def look(self):
        """What the judges found so far."""
        for uid, what in self.copies.doubles:
            name = self.fleet.names.get(uid, f"with uid {uid}") if self.fleet \
                else f"with uid {uid}"
            raise Broken("one-copy", f"VM {name} {what}")
        if self.canary.wrong:
            raise Broken("nothing-lost", self.canary.wrong[0])
        if self.replicas.wrong:
            raise Broken("replicas-agree", self.replicas.wrong[0])
        blind = self.copies.blind(BLIND_S)
        if blind:
            raise Broken("judges-see", blind)
        if self.begin is None:
            return
        if self.struck is None:
            return
        silent = self.canary.silent_s(self.struck)
        if silent > self.bound_s():
            raise Broken("writes-return", f"no write was answered for "
                         f"{silent:.1f} s" + (f": {self.canary.failed}" if
                                              self.canary.failed else ""))
        strange = self.fleet.strange()
        if strange:
            raise Broken("others-stay", strange)
        late = self.fleet.late(self.struck, self.bound_s(),
                               self.inventory.start_s)
        if late:
            raise Broken("runs-again-in-time", late)

    def wait(self, seconds, done=lambda: False):
        """Whether it was done in time."""
        end = now() + seconds
        while True:
            if self.stop.is_set():
                raise Ended()
            self.look()
            if done():
                return True
            if now() > end:
                return False
            time.sleep(0.05)

    def wait_well(self, seconds, when):
        """The region's View as soon as all is well."""
        if self.well_at is not None and now() - self.well_at < FRESH_S:
            return self.view
        lacks, begin = ["nothing was looked at"], now()

        def well():
            view, lack = self.health.look()
            if view is not None:
                names = {int(vm["uid"]): n for n, vm in view.vms.items()}
                lack = self.guests_lack(view, names)
            if lack is None:
                self.view = view
                return True
            if lack != lacks[0] and now() - begin > TELL_AFTER_S:
                self.screen.line(f"     waiting: {lack}")
            lacks[0] = lack
            return False
        if not self.wait(seconds, well):
            raise Broken("all-is-well", f"{when}, within {seconds:g} s: "
                         f"{lacks[0]}")
        nodes = [m.node for m in self.inventory.nodes()]
        self.replicas.forget()
        if not self.wait(AGREE_S, lambda: self.replicas.agree(nodes)):
            raise Broken("replicas-agree", "the nodes were never seen at one "
                         f"entry within {AGREE_S} s")
        self.well_at = now()
        return self.view

    def guests_lack(self, view, names):
        """Where the kernel and the API differ about who runs where, or None."""
        moment = now()
        if not self.wait(BLIND_S, lambda: self.copies.all_after(moment)):
            return "not all machines could be looked at"
        running = self.copies.running()
        for name, vm in view.vms.items():
            status, there = vm["status"], running.get(int(vm["uid"]), [])
            where = " and ".join(host for host, _ in there) or "nowhere"
            if status["state"] == "running" and \
                    [host for host, _ in there] != [status["host"]]:
                return (f"VM {name} is said to run on {status['host']}; by "
                        f"/proc it runs {where}")
            if status["state"] in ("stopped", "pending") and there:
                return (f"VM {name} is {status['state']}; by /proc it runs "
                        f"{where}")
        for uid, there in running.items():
            if uid not in names:
                return f"host {there[0][0]} runs a VM of unknown uid {uid}"
        return None

    # Life of a run -----------------------------------------------------------

    def start(self):
        self.copies.start()
        self.pollers = [Poller(self.replicas.look)]
        self.pollers[0].start()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(lambda m: plant.must(m, plant.left(m),
                                                       "a look"),
                                  self.inventory.machines))
        for machine, files in zip(self.inventory.machines, found):
            if files:
                raise Broken("all-is-well", f"on {machine.name} healing is "
                             f"planted by another run: {files.split()[0]}; "
                             "wait for it, or use --heal")
        view = self.wait_well(WELL_S, "before the first fault")
        for one in view.waiting:
            self.screen.words("note: " + one)
        self.canary.create()
        self.canary.start()
        self.screen.line(f"All is well: {len(self.inventory.nodes())} nodes, "
                         f"{view.leader} leads, {len(view.hosts)} hosts, "
                         f"{len(view.vms)} VMs. The canary is "
                         f"{self.canary.name}.")

    def close(self):
        """What is left behind, for people, or None."""
        for poller in self.pollers:
            poller.stop()
        left = self.canary.remove()
        self.copies.stop()
        return left

    def fault(self, fault, target):
        """Judged and healed; a Broken comes out after the healing."""
        self.count += 1
        steps = fault.steps(self.inventory, target)
        for number, step in enumerate(steps):
            step.id = f"{self.id}-{self.count}-{number}"
        view = self.wait_well(WELL_S, f"before {fault.name}")
        hit = faults.hit(self.inventory, fault, target)
        lacks = hit and faults.lacks_room(view, hit,
                                          self.inventory.ignore_hosts)
        if lacks:
            raise Broken("all-is-well", f"no room for {fault.name}: {lacks}")
        view.vms.pop(self.canary.name, None)
        self.fleet = Fleet(self.api, view, hit)
        self.screen.line()
        self.screen.line(self.screen.bold(
            f"{self.count}  {fault.name}  {target.text()}"))
        self.screen.words(f"{fault.does}. Expected: {fault.expects}.")
        row = {"fault": fault.name, "target": target.text(),
               "verdict": "not finished",
               "writes_unavailable_s": None, "failover_s": None,
               "order_s": None, "duplicates": 0, "lost": 0, "notes": []}
        self.rows.append(row)
        poller = Poller(self.fleet.look)
        try:
            self.play(fault, steps, poller)
            row["verdict"] = "ok"
        except Broken as broken:
            row["verdict"] = f"BROKEN {broken.rule}"
            row["why"] = str(broken)
            raise
        except Ended:
            row["verdict"] = "ended by hand"
            raise
        except Unhealed:
            row["verdict"] = "NOT HEALED"
            raise
        except plant.CannotRun as error:
            row["verdict"] = "could not be done"
            row["why"] = str(error)
            raise
        finally:
            poller.stop()
            self.figures(row)
            self.begin = self.struck = None

    def play(self, fault, steps, poller):
        before = self.copies.running()
        hold_s = self.hold_s or fault.hold(self.view.settings)
        after_s = self.planted_s(fault, hold_s)
        leader = self.view.leader
        self.plant(steps, after_s)
        try:
            self.well_at = None
            self.begin = now()
            poller.start()
            for step in steps:
                self.tell(f"{step.machine.name}: {step.what}")
            self.do(steps, plant.begin, "the fault")
            self.struck = now()
            self.watch(fault, hold_s)
        finally:
            self.heal(steps, after_s)
        self.recover(fault, leader, before)

    def plant(self, steps, after_s):
        """On all machines, or nothing is begun."""
        try:
            self.do(steps, lambda s: plant.plant(s, after_s), "planting")
        except plant.CannotRun:
            # What was planted elsewhere would do no harm; it is taken back
            # where that is possible.
            everywhere(steps, plant.heal, plant.RUN_S)
            raise

    def planted_s(self, fault, hold_s):
        """Healing by itself comes when ours is surely overdue."""
        longest = hold_s
        if fault.moves:
            longest = max(hold_s, self.bound_s() + self.inventory.start_s)
        return longest + self.heal_after_s

    def do(self, steps, body, what):
        for step, code, printed in everywhere(steps, body, plant.RUN_S):
            if code != 0:
                raise plant.CannotRun(
                    f"{what} on {step.machine.name} "
                    f"({step.machine.where()}) failed with {code}: {printed}")

    def tell(self, text):
        self.screen.told(now() - self.begin, text)

    def watch(self, fault, hold_s):
        """Until the fault lasted long enough."""
        if not fault.moves or not self.fleet.moving:
            self.wait(hold_s)
            return
        self.tell(f"{len(self.fleet.moving)} VMs are to run elsewhere")
        told = set()

        def moved():
            for name, moving in sorted(self.fleet.moving.items()):
                if moving.running and name not in told:
                    told.add(name)
                    host = self.fleet.vms[name]["status"]["host"]
                    self.screen.told(moving.running - self.begin,
                                     self.screen.good(f"VM {name} runs on "
                                                      f"{host}"))
            return self.fleet.all_run()
        # Later than that, look() has found it broken.
        self.wait(self.bound_s() + self.inventory.start_s + BLIND_S, moved)
        if self.hold_s:
            self.wait(self.begin + self.hold_s - now())

    def heal(self, steps, after_s):
        """Until it is done, or the planted timers are surely over."""
        left, end = list(steps), now() + after_s + self.heal_after_s
        self.tell("healing")
        while True:
            done = everywhere(left, plant.heal, plant.HEAL_S)
            failed = [(step, printed) for step, code, printed in done
                      if code != 0]
            if not failed:
                return
            if now() > end:
                raise Unhealed(failed)
            if len(left) == len(steps):
                for step, printed in failed:
                    self.screen.error(f"healing {step.machine.name} failed and "
                                      f"is tried again: {printed}")
            left = [step for step, _ in failed]
            time.sleep(2)

    def recover(self, fault, leader, before):
        """After the healing all is well again, nothing was lost, and what was
        not meant is as it was."""
        settings = self.view.settings
        healed = now()
        # A host that comes back before its lease was over is still lost.
        seconds = WELL_S + self.inventory.start_s + \
            settings["lease_wait_ms"] / 1000
        if fault.moves:
            seconds += settings["zone_hold_ms"] / 1000
        view = self.wait_well(seconds, f"after {fault.name}")
        count = len(self.canary.acknowledged)
        if not self.wait(self.bound_s(), lambda: len(self.canary.acknowledged)
                         >= count + WRITES_AFTER):
            raise Broken("writes-return", "all seems well, but writes are slow")
        self.wait(self.bound_s(), lambda: self.fleet.begun > healed)
        self.look()
        gone = self.fleet.not_running()
        if gone:
            raise Broken("all-run", f"VM {gone[0]} ran before and does not now")
        self.same_processes(before)
        self.tell(self.screen.good("all is well again") + (
            f"; {view.leader} leads" if view.leader != leader else ""))

    def same_processes(self, before):
        """Guests that should not notice did not."""
        after = self.copies.running()
        for name in self.fleet.must_stay:
            uid = int(self.fleet.before[name]["uid"])
            if name not in self.fleet.notes and \
                    before.get(uid) != after.get(uid):
                raise Broken("others-stay", f"VM {name} is another process than "
                             "before")

    def figures(self, row):
        if self.begin is None:
            return
        end = now()
        row["writes_unavailable_s"] = round(
            self.canary.longest_gap(self.begin, end), 2)
        for key, what in (("order_s", "ordered"), ("failover_s", "running")):
            took = self.fleet.took(self.begin, what)
            row[key] = None if took is None else round(took, 2)
        row["duplicates"] = len(self.copies.doubles)
        row["lost"] = len(self.canary.wrong)
        row["notes"] = sorted(self.fleet.notes.values())
        row["seconds"] = round(end - self.begin, 1)
        for note in row["notes"]:
            self.screen.words("note: " + note)
