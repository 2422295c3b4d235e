# SPDX-License-Identifier: Apache-2.0
"""deploy/chaos in its parts: a wrong inventory is named by its key, the shell
texts are the ones that were meant (and nft takes them, where there is one), no
fault begins without its healing, and wrong options are usage errors."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.normpath(os.path.join(os.path.dirname(
    os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy"))

from chaos_lib import commands, faults, inventory  # noqa: E402
from chaos_lib import plant, program  # noqa: E402
from chaos_lib.inventory import InventoryError  # noqa: E402
from chaos_lib.plant import Step  # noqa: E402

SAMPLE = os.path.join(ROOT, "deploy", "config", "chaos.toml")


# What we need of systemd; the command of a timer is left in a file.
SYSTEMD_RUN = """#!/bin/sh
for word; do case $word in --unit=*) unit=${word#--unit=};; esac; done
printf %s "$word" >FOLDER/$unit.timer
"""
SYSTEMCTL = """#!/bin/sh
case "$*" in
"show -p SubState --value "*)
    if test -e "FOLDER/$5"; then echo waiting; else echo dead; fi;;
"is-active --quiet "*.timer) test -e "FOLDER/$3";;
"stop "*.timer) rm -f "FOLDER/$2";;
*) echo "$*" >>FOLDER/calls;;
esac
"""


class WithFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-chaos-")
        self.addCleanup(shutil.rmtree, self.folder)

    def file(self, text, name="chaos.toml"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def sample(self):
        with open(SAMPLE, encoding="utf-8") as file:
            return file.read()


class InventoryTest(WithFolder):
    def wrong(self, old, new):
        text = self.sample()
        self.assertIn(old, text)
        with self.assertRaises(InventoryError) as raised:
            inventory.load(self.file(text.replace(old, new, 1)))
        return str(raised.exception)

    def test_the_sample_is_right(self):
        given = inventory.load(SAMPLE)
        self.assertEqual([m.name for m in given.nodes()], ["m1", "m2", "m3"])
        self.assertEqual(given.machine("m2").via, ["ssh", "root@10.0.0.2"])
        self.assertEqual(given.machine("m2").host, "z2-h1")
        self.assertEqual(given.node("n3").name, "m3")

    def test_every_wrong_key_is_named(self):
        table = (
            ('name = "m1"', 'name = "M 1"', "machine 'M 1'.name: must be"),
            ('name = "m1"', 'nme = "m1"', "machine number 1.nme: there is no "
             "such key; did you mean name?"),
            ('zone = "z2"', '', "machine 'm2'.zone: is missing"),
            ('roles = ["node", "host"]', 'roles = ["nodes"]',
             "machine 'm1'.roles: [0] must be node or host"),
            ('via = "ssh root@10.0.0.1"', 'via = "ssh \'root"',
             "machine 'm1'.via: cannot be read"),
            ('addresses = ["10.0.0.3"]', 'addresses = ["ten"]',
             "machine 'm3'.addresses: [0] must be an IP address"),
            ('ports = [7400]', 'ports = [0]', "defaults.ports: [0] must be"),
            ('run_dir = "/run/holdfast-agent"', 'run_dir = "run; rm"',
             "defaults.run_dir: must be an absolute path"),
            ('endpoints = ["10.0.0.1:7400"', 'endpoints = ["10.0.0.1"',
             "endpoints: [0] must be HOST:PORT"),
            ('endpoints', 'endpoint', "endpoints: is missing"),
            ('# start_s = 30', 'start_s = "soon"', "start_s: must be seconds"),
            ('node = "n2"', 'node = "n1"', "machine 'm2'.node: machine 'm1' "
             "has the same"),
            ('via = "ssh root@10.0.0.2"', 'via = "ssh root@10.0.0.1"',
             "machine 'm2'.run_dir: machine 'm1' has the same"),
            ('host = "z3-h1"', 'commands = {node_slay = "x"}',
             "machine 'm3'.commands.node_slay: there is no such key"),
            ('roles = ["node", "host"]', 'roles = ["host"]',
             "machine: 2 have the role node"),
            ('[defaults]', '[defaults', "is not TOML"))
        for old, new, expected in table:
            with self.subTest(new):
                self.assertIn(expected, self.wrong(old, new))

    def test_all_that_is_wrong_is_told_at_once(self):
        text = self.wrong('zone = "z1"\nroles = ["node", "host"]',
                          'zoone = "z1"\nroles = []')
        for key in (".zoone", ".zone: is missing", ".roles"):
            self.assertIn(key, text)

    def test_the_command_line_ends_with_usage(self):
        path = self.file(self.sample().replace("via", "vai"))
        for arguments in (["--fault", "node-kill"], ["--check"]):
            done = subprocess.run(
                [os.path.join(ROOT, "deploy", "chaos"), "--inventory", path,
                 *arguments], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("machine 'm1'.vai", done.stderr)


class CommandTest(WithFolder):
    def setUp(self):
        super().setUp()
        self.given = inventory.load(SAMPLE)
        self.m1, self.m2 = self.given.machine("m1"), self.given.machine("m2")

    def text(self, verb, machine=None, source=None):
        return commands.text(verb, machine or self.m1, self.given, source)

    def test_units_are_signalled_alone(self):
        # All of the agent's unit would be its VMs as well.
        for verb in ("node_kill", "node_pause", "node_resume", "agent_kill",
                     "agent_pause", "agent_resume"):
            self.assertIn("systemctl kill --kill-who=main ", self.text(verb))
        self.assertEqual(self.text("agent_kill").splitlines()[1],
                         "systemctl stop holdfast-agent")
        self.assertEqual(self.text("node_start"), "systemctl start holdfastd")

    def test_isolation_spares_all_but_holdfast(self):
        lines = [line.strip() for line in self.text("isolate").splitlines()]
        drops = [line for line in lines if line.endswith("drop")]
        self.assertEqual(drops, ["tcp dport { 7400 } drop",
                                 "tcp sport { 7400 } drop"] * 2)
        self.assertEqual(lines.count("table inet holdfast_chaos {"), 1)
        for line in lines:
            self.assertNotIn("flush ruleset", line)
        self.assertIn('iif "lo" accept', lines)
        inside = self.text("isolate_zone")
        self.assertIn("ip saddr { 10.0.0.1 } accept", inside)
        self.assertNotIn("10.0.0.2", inside)

    def test_a_one_way_cut_drops_what_comes_in(self):
        text = self.text("cut_from", source=self.m2)
        self.assertIn("ip saddr { 10.0.0.2 } tcp sport { 7400 } drop", text)
        self.assertNotIn("output", text)
        self.m2.addresses = ["fd00::2"]
        self.assertIn("ip6 saddr { fd00::2 }",
                      self.text("cut_from", source=self.m2))
        self.m2.addresses = []
        with self.assertRaisesRegex(commands.Impossible, "m2: addresses"):
            self.text("cut_from", source=self.m2)

    def test_an_override_is_taken(self):
        self.m1.commands = {"isolate": "off {machine} {inside} ${machine} {x}",
                            "node_kill": ""}
        self.assertEqual(self.text("isolate"),
                         "off m1 10.0.0.1 ${machine} {x}")
        with self.assertRaisesRegex(commands.Impossible, "node_kill is empty"):
            self.text("node_kill")

    def test_nobody_cuts_himself_off(self):
        self.m1.via = []
        with self.assertRaisesRegex(commands.Impossible, "via is empty"):
            self.text("isolate")

    def test_every_fault_has_its_steps_healed(self):
        for fault in faults.FAULTS.values():
            targets, why = faults.possible(fault, self.given)
            self.assertTrue(targets, why)
            for step in fault.steps(self.given, targets[0]):
                self.assertTrue(step.begin and step.heal, fault.name)
                self.assertNotEqual(step.begin, step.heal)

    def test_no_fault_takes_the_majority(self):
        self.m2.zone = "z1"
        targets, _ = faults.possible(faults.FAULTS["zone-lose"], self.given)
        self.assertEqual([t.zone for t in targets], ["z3"])

    def test_a_late_fault_does_not_begin(self):
        step = Step(self.m1, "x", f"touch {self.folder}/begun",
                    f"touch {self.folder}/healed", "holdfast-chaos-1")
        step.machine.via, step.machine.timer = [], "shell"
        step.machine.work_dir = f"{self.folder}/work"
        self.assertEqual(plant.run(self.m1, plant.begin(step))[0],
                         plant.NOT_PLANTED)
        self.assertFalse(os.path.exists(f"{self.folder}/begun"))
        self.assertEqual(plant.run(self.m1, plant.plant(step, 60))[0], 0)
        self.assertEqual(plant.run(self.m1, plant.begin(step))[0], 0)
        self.assertTrue(os.path.exists(f"{self.folder}/begun"))
        self.assertEqual(plant.run(self.m1, plant.heal(step))[0], 0)
        self.assertTrue(os.path.exists(f"{self.folder}/healed"))
        self.assertEqual(os.listdir(step.machine.work_dir), [])
        self.assertEqual(plant.run(self.m1, plant.begin(step))[0],
                         plant.NOT_PLANTED)

    def test_under_systemd_a_timer_waits_before_it_begins(self):
        for name, text in (("systemd-run", SYSTEMD_RUN),
                           ("systemctl", SYSTEMCTL)):
            path = self.file(text.replace("FOLDER", self.folder), name)
            os.chmod(path, 0o700)
        self.m1.via = ["env", f"PATH={self.folder}:{os.environ['PATH']}"]
        self.m1.work_dir = f"{self.folder}/work"
        step = Step(self.m1, "x", self.text("agent_kill"),
                    self.text("agent_start"), "holdfast-chaos-1")
        self.assertEqual(plant.run(self.m1, plant.begin(step))[0],
                         plant.NOT_PLANTED)
        self.assertEqual(plant.run(self.m1, plant.plant(step, 60)), (0, ""))
        with open(f"{self.folder}/holdfast-chaos-1.timer",
                  encoding="utf-8") as file:
            planted = file.read()
        self.assertEqual(plant.run(self.m1, plant.begin(step)), (0, ""))
        # What the timer would have done; then by us.
        subprocess.run([*self.m1.via, "sh", "-c", planted], check=True)
        self.assertEqual(os.listdir(self.m1.work_dir), [])
        self.assertEqual(plant.run(self.m1, plant.heal(step)), (0, ""))
        self.assertFalse(os.path.exists(f"{self.folder}/holdfast-chaos-1.timer"))
        with open(f"{self.folder}/calls", encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines(), [
                "kill --kill-who=main --signal=SIGKILL holdfast-agent",
                "stop holdfast-agent", "start holdfast-agent",
                "start holdfast-agent"])

    def test_half_a_text_is_not_run(self):
        whole = plant.whole(f"touch {self.folder}/begun")
        for end in range(whole.index("\nholdfast_chaos <")):
            subprocess.run(["sh"], input=whole[:end], text=True, check=False,
                           capture_output=True)
        self.assertFalse(os.path.exists(f"{self.folder}/begun"))

    def test_nft_takes_the_texts(self):
        """In a network namespace of our own."""
        able = shutil.which("nft") and subprocess.run(
            ["unshare", "-rn", "nft", "list", "ruleset"], capture_output=True,
            check=False).returncode == 0
        if not able:
            self.skipTest("no nft, or no network namespaces, here")
        show = "nft list ruleset"
        script = "\n".join(["set -e", self.text("join")] + [
            f"{text}\n{show}" for text in (
                self.text("isolate"), self.text("isolate"),
                self.text("isolate_zone"),
                self.text("cut_from", source=self.m2))] +
            ["echo healing", self.text("join"), self.text("join"), show])
        done = subprocess.run(["unshare", "-rn", "sh"], input=script, text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        before, _, after = done.stdout.partition("healing\n")
        self.assertEqual(before.count("table inet holdfast_chaos"), 4)
        self.assertIn("ip saddr 10.0.0.2 tcp sport 7400 drop", before)
        self.assertEqual(after.strip(), "")


class ProgramTest(unittest.TestCase):
    def test_bad_options_are_usage_errors(self):
        for bad in (["--fault", "node-kil"], ["--rounds", "0"], [],
                    ["--rounds", "2", "--zone", "z1"], ["--hold", "0"],
                    ["--rounds", "2", "--heal-after", "0"],
                    ["--rounds", "2", "--pause", "-1"]):
            with self.subTest(bad), self.assertRaises(SystemExit) as ended, \
                    open(os.devnull, "w", encoding="utf-8") as nowhere:
                self.addCleanup(setattr, sys, "stderr", sys.stderr)
                sys.stderr = nowhere
                program.main(["--inventory", SAMPLE, *bad])
            self.assertEqual(ended.exception.code, 2)

    def test_targets_that_are_none_are_usage_errors(self):
        given = inventory.load(SAMPLE)
        for bad in (["--fault", "node-kill", "--machine", "m9"],
                    ["--fault", "zone-lose", "--zone", "z9"],
                    ["--fault", "zone-lose", "--machine", "m1"],
                    ["--fault", "link-cut", "--from", "m1", "--machine", "m1"]):
            options = program.parse(["--inventory", SAMPLE, *bad])
            with self.assertRaises(program.Usage):
                program.choose(given, options)


if __name__ == "__main__":
    unittest.main()
