# SPDX-License-Identifier: Apache-2.0
"""--check: is the inventory true, are its machines reached, is there what we
need? --heal: runs all healing that was planted and not done."""

import concurrent.futures
import time

from . import canary, commands, plant
from .api import Api, ApiError, Health, now
from .canary import PREFIX
from .copies import Copies

SIGHT_S = 20


def of_machine(machine):
    """What is wrong with it, as sentences."""
    # Each tool on a line of its own, or nothing.
    script = "\n".join(f"command -v {tool} >/dev/null 2>&1 || echo 'lacks the "
                       f"program {tool}'" for tool in commands.tools(machine))
    units = []
    if "node" in machine.roles and "node_kill" not in machine.commands:
        units.append(machine.node_unit)
    if "host" in machine.roles and "agent_kill" not in machine.commands:
        units.append(machine.agent_unit)
    for unit in units:
        script += (f"\nsystemctl cat {unit} >/dev/null 2>&1 || echo 'has no "
                   f"unit {unit}'")
    script += (f"\nmkdir -p -m 700 {machine.work_dir} 2>/dev/null && "
               f"test -w {machine.work_dir} || "
               f"echo 'cannot write {machine.work_dir}'")
    if "host" in machine.roles:
        script += (f"\ntest -d {machine.run_dir} || echo 'has no directory "
                   f"{machine.run_dir} (run_dir)'")
    code, printed = plant.run(machine, script)
    if code != 0:
        return [f"is not reached by `{machine.where()}`: {printed}"]
    return printed.splitlines()


def check(inventory, screen):
    """0 when everything is right, else 2."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(of_machine, inventory.machines))
    wrong = 0
    for machine, sentences in zip(inventory.machines, found):
        verdict = screen.bad("WRONG") if sentences else screen.good("ok   ")
        screen.line(f"{verdict} machine {machine.name} ({machine.where()})")
        for sentence in sentences:
            screen.line(f"        {sentence}")
        wrong += len(sentences)
    wrong += check_region(inventory, screen)
    return 2 if wrong else 0


def check_region(inventory, screen):
    copies = Copies(inventory)
    copies.start()
    try:
        view, lacks = Health(inventory, Api(inventory)).look()
        if view is not None:
            lacks = sight_lacks(copies, view)
    except ApiError as error:
        lacks = str(error)
    finally:
        copies.stop()
    screen.line((screen.bad("WRONG") if lacks else screen.good("ok   ")) +
                " the region: " + (lacks or "all is well"))
    return bool(lacks)


def sight_lacks(copies, view):
    """Whether each running VM is seen from outside, or None."""
    begin = now()
    while not copies.all_after(begin):
        if now() - begin > SIGHT_S:
            return copies.blind(0)
        time.sleep(0.1)
    running = copies.running()
    for name, vm in view.vms.items():
        if vm["status"]["state"] == "running" and \
                int(vm["uid"]) not in running:
            return (f"VM {name} runs on {vm['status']['host']}, but no "
                    "holdfast-shim with its uid is seen there: is `run_dir` "
                    "right, and may `via` read /proc of others?")
    return None


def heal(inventory, screen):
    """0 when all is done, 3 when not."""
    code = 0
    for machine in inventory.machines:
        result, printed = plant.run(machine, plant.heal_left(machine),
                                    plant.HEAL_S)
        if result != 0:
            screen.line(f"{screen.bad('WRONG')} {machine.name}: {printed}")
            code = 3
        else:
            screen.line(f"{screen.good('ok   ')} {machine.name}: " + (
                f"healed {', '.join(printed.split())}" if printed else
                "nothing was left"))
    return max(code, remove_canaries(inventory, screen))


def remove_canaries(inventory, screen):
    """Of runs that were killed."""
    api, code = Api(inventory), 0
    try:
        names = {thing["name"]
                 for noun, key in (("vm", "vms"), ("class", "classes"))
                 for thing in api.ask(noun, "list")[key]}
        for name in sorted(n for n in names if n.startswith(PREFIX)):
            left = canary.remove(api, name)
            screen.line(f"{screen.bad('WRONG')} {left}" if left else
                        f"{screen.good('ok   ')} removed {name}")
            code = 3 if left else code
    except ApiError as error:
        screen.line(f"{screen.bad('WRONG')} canaries could not be looked for: "
                    f"{error}")
        return 3
    return code
