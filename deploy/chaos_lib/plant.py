# SPDX-License-Identifier: Apache-2.0
"""Runs shell texts on machines, and plants healing there before anything is
broken: a timer of the machine's own that heals even when we were killed or the
connection is gone. It is cancelled after healing.

A fault that arrives late, after its timer healed, would stay for ever. So a
fault begins only where its timer is still waiting."""

import dataclasses
import shlex
import subprocess

from .inventory import Machine

RUN_S = 60        # For a connection and a command.
HEAL_S = 330      # systemd waits for a node with a large state for 5 minutes.
NOT_PLANTED = 75  # Exit code of a begin that found no timer.


class CannotRun(Exception):
    """What did not work on which machine, for people."""


@dataclasses.dataclass
class Step:
    """One thing that is done to one machine."""
    machine: Machine
    what: str   # For people: "SIGKILL for node n1".
    begin: str  # Shell texts.
    heal: str
    id: str = ""


def whole(body):
    """Stdin is read piece by piece: a function runs only when all of it has
    arrived."""
    return (f"holdfast_chaos() {{\nset -eu\n{body}\n}}\n"
            "holdfast_chaos </dev/null\n")


def run(machine, body, timeout_s=RUN_S):
    """(exit code, what it printed); 255 when it could not be reached."""
    try:
        done = subprocess.run(
            [*machine.via, "sh"], input=whole(body), text=True,
            capture_output=True, check=False, timeout=timeout_s,
            errors="replace",
            # An interrupt from the keyboard is for us to handle.
            start_new_session=True)
    except subprocess.TimeoutExpired:
        return 255, f"no answer within {timeout_s:g} s"
    except OSError as error:
        return 255, str(error)
    return done.returncode, (done.stdout + done.stderr).strip()


def must(machine, body, what, timeout_s=RUN_S):
    code, printed = run(machine, body, timeout_s)
    if code != 0:
        raise CannotRun(f"{what} on {machine.name} ({machine.where()}) failed "
                        f"with {code}: {printed or 'nothing was printed'}")
    return printed


def paths(step):
    base = f"{step.machine.work_dir}/{step.id}"
    return base + ".heal", base + ".pid"


def plant(step, after_s):
    """The shell text that plants the healing."""
    heal, pid = paths(step)
    # Without a dollar: systemd has a meaning of its own for it.
    tries = (f"for i in 1 2 3 4 5 6 7 8 9 10; do sh -e {heal} && "
             f"rm -f {heal} && exit 0; sleep 3; done; exit 1")
    lines = [f"mkdir -p -m 700 {step.machine.work_dir}",
             f"cat >{heal} <<'HEAL'", step.heal, "HEAL"]
    if step.machine.timer == "systemd":
        lines += [f"systemd-run --quiet --collect --unit={step.id} "
                  f"--on-active={after_s:g}s "
                  "--timer-property=AccuracySec=500ms /bin/sh -c "
                  f"{shlex.quote(tries)}"]
    else:
        lines += ["setsid sh -c " + shlex.quote(
                      f"sleep {after_s:g}; rm -f {pid}; {tries}") + " "
                  "</dev/null >/dev/null 2>&1 &",
                  f"echo $! >{pid}",
                  # Its group is there a moment later.
                  "for i in 1 2 3 4 5 6 7 8 9 10; do "
                  "kill -s 0 -- -$! 2>/dev/null && break; sleep 0.1; done"]
    return "\n".join(lines)


def waits(step):
    """A shell condition: the timer has not begun to heal."""
    _, pid = paths(step)
    if step.machine.timer == "systemd":
        # An active one may already be healing.
        return (f'test "$(systemctl show -p SubState --value {step.id}.timer)" '
                "= waiting")
    return f"test -e {pid} && kill -s 0 -- -$(cat {pid}) 2>/dev/null"


def begin(step):
    return (f"if ! {{ {waits(step)}; }}; then\n"
            f"  echo 'its timed healing is not there'\n"
            f"  exit {NOT_PLANTED}\nfi\n{step.begin}")


def heal(step):
    """Heals; only then the timer is cancelled."""
    heal_file, pid = paths(step)
    lines = [f"(\n{step.heal}\n)"]
    if step.machine.timer == "systemd":
        lines += [f"systemctl stop {step.id}.timer 2>/dev/null || :",
                  f"if systemctl is-active --quiet {step.id}.timer; then "
                  "exit 1; fi"]
    else:
        lines += [f"if test -e {pid}; then",
                  f"  kill -s TERM -- -$(cat {pid}) 2>/dev/null || :", "fi"]
    lines.append(f"rm -f {heal_file} {pid}")
    return "\n".join(lines)


def by_hand(step):
    """A command for people that heals what we could not."""
    if step.machine.via:
        return f"{shlex.join(step.machine.via)} {shlex.quote(step.heal)}"
    return step.heal


def left(machine):
    """A shell text that names healing planted by others, or before."""
    return (f"for f in {machine.work_dir}/holdfast-chaos-*.heal; do\n"
            "  if test -e \"$f\"; then echo \"$f\"; fi\ndone")


def heal_left(machine):
    """A shell text that runs all of it now, and cancels the timers."""
    return (f"for f in {machine.work_dir}/holdfast-chaos-*.heal; do\n"
            "  test -e \"$f\" || continue\n"
            "  sh -e \"$f\"\n"
            "  b=${f%.heal}\n"
            "  if test -e \"$b.pid\"; then\n"
            "    kill -s TERM -- -$(cat \"$b.pid\") 2>/dev/null || :\n"
            "  else\n"
            "    systemctl stop \"${b##*/}.timer\" 2>/dev/null || :\n"
            "  fi\n"
            "  rm -f \"$f\" \"$b.pid\"\n"
            "  echo \"${b##*/}\"\n"
            "done")
