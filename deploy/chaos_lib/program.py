# SPDX-License-Identifier: Apache-2.0
"""The command line of deploy/chaos."""

import argparse
import random
import signal
import sys
import threading
import traceback

from . import check, faults, inventory, plant, report
from .api import ApiError, Api
from .run import Broken, Ended, Run, Unhealed

OK, BROKEN, USAGE, UNHEALED = 0, 1, 2, 3

EPILOG = inventory.HELP + """
Exit codes: 0 all was as promised, 1 a rule broke (or somebody ended it), 2
wrong usage or inventory, or a fault could not be done, 3 something could not be
healed: the last lines say which command to run by hand.
"""


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="deploy/chaos",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Breaks things in your own Holdfast region, one at a time, "
        "and judges from\noutside whether it survives. Without --run it only "
        "shows what it would do. It\nbegins nothing unless all is well, stops "
        "at the first broken rule, and always\nheals: each fault plants its own "
        "timed healing on the machine before it begins.", epilog=EPILOG)
    add = parser.add_argument
    add("--inventory", metavar="FILE", help="your machines; see below")
    add("--list", action="store_true",
        help="the faults: what each does, expects and needs")
    add("--check", action="store_true",
        help="is the inventory right, are all machines reached?")
    add("--heal", action="store_true",
        help="run now what a killed run left planted, remove its canary")
    add("--fault", nargs="+", metavar="NAME", default=[],
        help="one or several, one after the other")
    add("--machine", metavar="NAME", help="do it to this machine")
    add("--from", dest="source", metavar="NAME",
        help="link-cut: the machine that is not heard")
    add("--zone", metavar="NAME", help="do it to this zone")
    add("--rounds", type=int, metavar="N", help="N faults at random")
    add("--seed", type=int, default=None,
        help="what random choices are drawn from; told, if not given")
    add("--pause", type=float, default=5.0, metavar="S",
        help="seconds of peace between two faults (default 5)")
    add("--hold", type=float, metavar="S",
        help="how long a fault lasts, instead of what --list says")
    add("--heal-after", type=float, default=30.0, metavar="S",
        help="planted healing comes so long after ours is due (default 30)")
    add("--run", action="store_true", help="really do it")
    add("--json", metavar="FILE", help="write the figures there as well")
    options = parser.parse_args(arguments)
    checks(parser, options)
    return options


def checks(parser, options):
    unknown = [n for n in options.fault if n not in faults.FAULTS]
    if unknown:
        parser.error(f"--fault: there is no {unknown[0]}; --list tells them")
    if options.list:
        return
    if not options.inventory:
        parser.error("--inventory: is needed")
    if options.check or options.heal:
        return
    if bool(options.fault) == (options.rounds is not None):
        parser.error("name faults with --fault, or a number with --rounds")
    if options.rounds is not None and not 1 <= options.rounds <= 10000:
        parser.error("--rounds: 1 to 10000")
    if options.rounds and (options.machine or options.zone or options.source):
        parser.error("--rounds chooses its targets itself")
    if not 0 <= options.pause <= 3600:
        parser.error("--pause: 0 to 3600")
    if options.hold is not None and not 0 < options.hold <= 600:
        parser.error("--hold: more than 0, at most 600")
    if not 1 <= options.heal_after <= 600:
        parser.error("--heal-after: 1 to 600")


def show_list(screen):
    for fault in faults.FAULTS.values():
        screen.line(screen.bold(fault.name) + f"  (aims at a {fault.aim})"
                    .replace("a all", "all nodes").replace("a leader",
                                                           "the leader"))
        screen.words(fault.does)
        screen.words("expected: " + fault.expects)
        screen.words("needs: " + fault.needs)
    screen.line(f"{len(faults.FAULTS)} faults")


class Usage(Exception):
    """Options that do not go with this inventory."""


def targets(fault, given, options, chance):
    """What the fault is to be done to, in order."""
    good, why = faults.possible(fault, given)
    if not good:
        raise Usage(f"{fault.name} is not possible: {why}")
    if options.machine and given.machine(options.machine) is None:
        raise Usage(f"--machine: the inventory has no {options.machine}")
    if options.source and given.machine(options.source) is None:
        raise Usage(f"--from: the inventory has no {options.source}")
    if options.zone and options.zone not in given.zones():
        raise Usage(f"--zone: the inventory has no {options.zone}")
    if fault.aim == "leader":
        return [faults.Target()]  # Known when it is time.
    if options.machine:
        good = [t for t in good if t.machine and
                t.machine.name == options.machine]
    if options.source:
        good = [t for t in good if t.source and t.source.name == options.source]
    if options.zone:
        good = [t for t in good if t.zone == options.zone or (
            t.machine and t.machine.zone == options.zone)]
    if not good:
        raise Usage(f"{fault.name} is for a {fault.aim}: nothing that was "
                    "chosen is one, or lacks what it needs")
    return good if fault.aim == "all" else [chance.choice(good)]


def choose(given, options):
    """[(fault, target)] from the command line and the seed."""
    chance = random.Random(options.seed)
    if options.fault:
        return [(faults.FAULTS[name], target) for name in options.fault
                for target in targets(faults.FAULTS[name], given, options,
                                      chance)]
    able = [f for f in faults.FAULTS.values() if f.aim != "all" and
            faults.possible(f, given)[0]]
    return [(fault, targets(fault, given, options, chance)[0])
            for fault in (chance.choice(able) for _ in range(options.rounds))]


def of_leader(given, name):
    machine = given.node(name or "")
    if machine is None:
        raise Usage(f"the leader, {name or 'none'}, is not in the inventory")
    return faults.Target(machine=machine)


def dry_run(given, options, plan, screen):
    screen.line(screen.bold("Dry run: nothing is changed. --run does it."))
    api, settings, leader = Api(given), {}, None
    try:
        leader = api.leader()
        settings = api.ask("cluster", "settings", "get", patience=2)
    except ApiError as error:
        screen.line(f"(the region cannot be asked now: {error})")
    bound_s = given.bound_s or settings.get("lease_wait_ms", 5000) / 1000 + 3
    for number, (fault, target) in enumerate(plan, 1):
        text = target.text()
        if fault.aim == "leader":
            if leader is None:
                screen.line(f"{number}  {fault.name}: no leader is known now; "
                            "shown for the first node")
                leader = given.nodes()[0].node
            target = of_leader(given, leader)
            text = f"{target.text()} (leads now)"
        hold_s = options.hold or fault.hold(settings)
        after_s = options.heal_after + (max(hold_s, bound_s + given.start_s)
                                        if fault.moves else hold_s)
        steps = fault.steps(given, target)
        for i, step in enumerate(steps):
            step.id = f"holdfast-chaos-ID-{number}-{i}"
        report.show_fault(screen, number, fault, text, steps, hold_s, after_s)
        if number < len(plan):
            screen.line(f"  g  waits {options.pause:g} s")
    screen.line()
    screen.line(f"{len(plan)} faults, seed {options.seed}. Nothing was "
                "changed.")
    return OK


def play(run, options, plan):
    run.start()
    for number, (fault, target) in enumerate(plan):
        if number:
            run.wait(options.pause)
        if fault.aim == "leader":
            target = of_leader(run.inventory, run.wait_well(
                60, f"before {fault.name}").leader)
        run.fault(fault, target)


def real_run(given, options, plan, screen):
    stop = threading.Event()

    def asked(number, _frame):
        screen.line(f"     {signal.Signals(number).name}: ending; what was "
                    "begun is healed first")
        stop.set()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, asked)
    run = Run(given, screen, stop, options.hold, options.heal_after)
    code, why = OK, ""
    try:
        play(run, options, plan)
    except Broken as broken:
        code, why = BROKEN, f"a rule broke: {broken}"
    except Ended:
        code, why = BROKEN, "ended by hand; all that was begun is healed"
    except (plant.CannotRun, Usage, ApiError) as error:
        code, why = USAGE, str(error)
    except Unhealed as unhealed:
        code = UNHEALED
        why = "could not heal. Run by hand:\n" + "\n".join(
            f"  on {s.machine.name} ({printed}):\n    {plant.by_hand(s)}"
            for s, printed in unhealed.steps)
    except Exception:  # pylint: disable=broad-except
        # Of ours; what was begun is healed all the same.
        code, why = BROKEN, traceback.format_exc()
    finally:
        left = run.close()
    if run.rows:
        report.table(screen, run.rows)
        screen.line(f"seed {options.seed}; {run.copies.scans()} scans of "
                    f"/proc, {len(run.canary.acknowledged)} writes "
                    "acknowledged")
    if left:
        screen.line(f"The canary could not be removed: {left}")
    screen.line()
    screen.line(screen.good("All was as promised.") if code == OK else
                screen.bad(why))
    if options.json:
        report.write_json(options.json, {
            "ok": code == OK, "exit": code, "why": why, "seed": options.seed,
            "faults": run.rows, "scans": run.copies.scans(),
            "acknowledged_writes": len(run.canary.acknowledged)})
    return code


def main(arguments=None):
    options = parse(arguments)
    screen = report.Screen()
    if options.list:
        show_list(screen)
        return OK
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1000000)
    try:
        given = inventory.load(options.inventory)
        if options.check:
            return check.check(given, screen)
        if options.heal:
            return check.heal(given, screen)
        plan = choose(given, options)
        if not options.run:
            return dry_run(given, options, plan, screen)
        return real_run(given, options, plan, screen)
    except inventory.InventoryError as error:
        screen.error("the inventory is wrong:\n" + str(error))
    except (Usage, ApiError, faults.Impossible) as error:
        screen.error(str(error))
    except OSError as error:
        screen.error(f"{error.filename}: {error.strerror}")
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
