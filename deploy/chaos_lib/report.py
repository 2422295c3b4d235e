# SPDX-License-Identifier: Apache-2.0
"""What people see: lines as it goes, the table at the end; the plan of a dry
run; and the same as JSON."""

import json
import os
import sys
import textwrap

from . import plant

WIDTH = 79


class Screen:
    """Nothing that is written here may stop the healing: a terminal that went
    away is no reason."""

    def __init__(self):
        try:
            self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        except (OSError, ValueError):
            self.colour = False

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def good(self, text):
        return self.paint("32", text)

    def bad(self, text):
        return self.paint("31;1", text)

    def bold(self, text):
        return self.paint("1", text)

    def line(self, text=""):
        try:
            print(text, flush=True)
        except (OSError, ValueError):
            pass

    def error(self, text):
        try:
            print(f"deploy/chaos: {text}", file=sys.stderr, flush=True)
        except (OSError, ValueError):
            pass

    def told(self, moment, text):
        """`moment`: seconds since the fault began."""
        self.line(f"  {moment:+8.2f} s  {text}")

    def words(self, text, indent="     "):
        for line in textwrap.wrap(text, WIDTH, initial_indent=indent,
                                  subsequent_indent=indent):
            self.line(line)

    def shell(self, text, indent="        "):
        for line in text.splitlines():
            self.line(indent + line)


def show_fault(screen, number, fault, target, steps, hold_s, after_s):
    """What --run would do."""
    screen.line()
    screen.line(screen.bold(f"{number}  {fault.name}  {target}"))
    screen.words(f"{fault.does}. Expected: {fault.expects}. Needs: "
                 f"{fault.needs}.")
    screen.line("  a  checks that all is well, or stops: a quorum, one leader, "
                "all agents")
    screen.line("     connected, all zones up, no VM in transition, equal "
                "states, each guest once")
    for step in steps:
        screen.line(f"  b  on {step.machine.name} ({step.machine.where()}), "
                    f"heal by itself after {after_s:g} s, whatever happens:")
        screen.shell(plant.plant(step, after_s))
    for step in steps:
        screen.line(f"  c  on {step.machine.name}: {step.what}")
        screen.shell(plant.begin(step))
    screen.line(f"  d  watches for {hold_s:g} s" + (
        ", or until its VMs run elsewhere" if fault.moves else ""))
    for step in steps:
        screen.line(f"  e  on {step.machine.name}: heal, and cancel b")
        screen.shell(plant.heal(step))
    screen.line("  f  waits until all is well again, and judges")


def figure(value):
    return "-" if value is None else f"{value:.1f} s"


HEADINGS = ("FAULT", "TARGET", "WRITES UNAVAILABLE", "FAILOVER TOOK",
            "DUPLICATES", "LOST", "VERDICT")


def table(screen, rows):
    cells = [HEADINGS] + [
        (r["fault"], r["target"], figure(r["writes_unavailable_s"]),
         figure(r["failover_s"]), str(r["duplicates"]), str(r["lost"]),
         r["verdict"]) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADINGS))]
    screen.line()
    for row in cells:
        text = "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip()
        verdict = row[-1]
        if verdict not in ("ok", "VERDICT"):
            text = text[:len(text) - len(verdict)] + screen.bad(verdict)
        screen.line(text)


def write_json(path, figures):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=2)
        file.write("\n")
