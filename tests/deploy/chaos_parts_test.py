# SPDX-License-Identifier: Apache-2.0
"""deploy/chaos in its parts: a wrong inventory is named by its key, the shell
texts are the ones that were meant (and nft takes them, where there is one), and
the judges see what they are there for, and only that."""

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

from chaos_lib import commands, copies, faults, inventory, plant, program  # noqa: E402,E501
from chaos_lib.api import View  # noqa: E402
from chaos_lib.inventory import InventoryError  # noqa: E402
from chaos_lib.plant import Step  # noqa: E402
from chaos_lib.watch import Fleet, Replicas  # noqa: E402

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
            ('ports = [7443]', 'ports = [0]', "defaults.ports: [0] must be"),
            ('run_dir = "/run/holdfast-agent"', 'run_dir = "run; rm"',
             "defaults.run_dir: must be an absolute path"),
            ('endpoints = ["127.0.1.1:7400"', 'endpoints = ["127.0.1.1"',
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
        self.assertEqual(drops, ["tcp dport { 7443 } drop",
                                 "tcp sport { 7443 } drop"] * 2)
        self.assertEqual(lines.count("table inet holdfast_chaos {"), 1)
        for line in lines:
            self.assertNotIn("flush ruleset", line)
        self.assertIn('iif "lo" accept', lines)
        inside = self.text("isolate_zone")
        self.assertIn("ip saddr { 10.0.0.1 } accept", inside)
        self.assertNotIn("10.0.0.2", inside)

    def test_a_one_way_cut_drops_what_comes_in(self):
        text = self.text("cut_from", source=self.m2)
        self.assertIn("ip saddr { 10.0.0.2 } tcp sport { 7443 } drop", text)
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
        self.assertIn("ip saddr 10.0.0.2 tcp sport 7443 drop", before)
        self.assertEqual(after.strip(), "")


def guest(pid, age_s, uid=7, boot="boot", start=1):
    return copies.Guest((boot, "ns", pid, start), uid, "/run", age_s)


class CopiesTest(unittest.TestCase):
    def setUp(self):
        self.copies = copies.Copies(inventory.load(SAMPLE))

    def see(self, begin, end, host, *guests):
        self.copies.saw(begin, end, [(g, host) for g in guests], host)

    def test_a_vm_that_moved_between_two_scans_ran_once(self):
        self.see(10.0, 10.5, "h1", guest("1", 5))
        # It may have ended at 10.2 and begun elsewhere at 10.5.
        self.see(10.1, 10.6, "h2", guest("2", 0.1, boot="b2"))
        self.see(11.0, 11.5, "h1")
        self.see(11.0, 11.5, "h2", guest("2", 1.0, boot="b2"))
        self.assertEqual(self.copies.doubles, [])

    def test_two_copies_at_once_are_seen(self):
        self.see(10.0, 10.5, "h1", guest("1", 5))
        self.see(10.0, 10.5, "h2", guest("2", 0.1, boot="b2"))
        self.assertEqual(self.copies.doubles, [])
        # Still alive at 11.0, so also whenever the other was seen.
        self.see(11.0, 11.5, "h1", guest("1", 6))
        self.assertEqual(len(self.copies.doubles), 1)
        self.assertEqual(self.copies.doubles[0][0], 7)
        self.assertIn("host h2", self.copies.doubles[0][1])

    def test_a_slow_answer_proves_nothing(self):
        # Answered after 9 s: who was seen when nobody knows.
        self.see(10.0, 19.0, "h1", guest("1", 5))
        self.see(18.0, 18.1, "h2", guest("2", 1, boot="b2"))
        self.assertEqual(self.copies.doubles, [])

    def test_an_old_process_that_was_not_seen_before_is_seen_by_its_age(self):
        self.see(10.0, 10.1, "h1", guest("1", 5))
        self.see(12.0, 12.1, "h2", guest("2", 4, boot="b2"))
        self.assertEqual(len(self.copies.doubles), 1)

    def test_other_vms_and_the_same_process_are_no_copies(self):
        self.see(10.0, 10.1, "h1", guest("1", 5))
        self.see(11.0, 11.1, "h1", guest("1", 6))
        self.see(11.0, 11.1, "h2", guest("2", 6, uid=8, boot="b2"))
        # The same number, another process.
        self.see(12.0, 12.1, "h1", guest("1", 0.3, start=9))
        self.assertEqual(self.copies.doubles, [])

    def answer(self, *processes):
        stat = "{} (sh) {} {} " + "0 " * 17 + "{} 0"
        lines = ["machine boot pid:[1] 100 50.00"]
        for pid, words, kids in processes:
            lines += [f"shim {pid}", "self " + stat.format(pid, "S", 1, 1000)]
            lines += [f"word {w}" for w in words]
            lines += ["child " + stat.format(kid, state, pid, 2000)
                      for kid, state in kids]
        return copies.parse(lines)

    def test_shims_with_a_living_child_are_guests(self):
        shim = ["/usr/bin/holdfast-shim", "--run-dir", "/r", "--uid", "7"]
        seen = self.answer(
            ("10", shim, [("11", "S")]), ("11", shim, [("12", "S")]),
            ("20", shim, [("21", "Z")]), ("30", shim, []),
            ("40", ["grep", "holdfast-shim"], [("41", "S")]),
            ("50", shim[:3], [("51", "S")]))
        self.assertEqual([g.key[2] for g in seen], ["10"])
        self.assertEqual((seen[0].uid, seen[0].run_dir, seen[0].age_s),
                         (7, "/r", 30.0))


class ReplicasTest(unittest.TestCase):
    def test_a_different_hash_is_seen(self):
        replicas = Replicas(None)
        replicas.judge("n1", 5, "a")
        replicas.judge("n2", 6, "b")
        replicas.judge("n2", 5, "a")
        self.assertEqual(replicas.wrong, [])
        replicas.judge("n3", 6, "c")
        self.assertIn("n3 and n2 differ at entry 6", replicas.wrong[0])

    def test_agreement_needs_meetings_of_all(self):
        replicas, nodes = Replicas(None), ["n1", "n2", "n3"]
        replicas.judge("n1", 5, "a")
        replicas.judge("n2", 5, "a")
        self.assertFalse(replicas.agree(nodes))
        replicas.judge("n3", 9, "b")
        self.assertFalse(replicas.agree(nodes))
        replicas.judge("n1", 9, "b")
        self.assertTrue(replicas.agree(nodes))
        replicas.forget()
        self.assertFalse(replicas.agree(nodes))


def vm(host, epoch=1, state="running", end="", **more):
    return {"uid": "1", "zone": "", "desired": "running", "status": {
        "state": state, "host": host, "epoch": str(epoch), "last_end": end,
        "on_partition_active": "move", "message": ""}, **more}


class FleetTest(unittest.TestCase):
    def setUp(self):
        hosts = {"h1": {"zone": "z1"}, "h2": {"zone": "z2"}}
        self.now = {"a": vm("h1"), "b": vm("h2"), "p": vm("h1", zone="z1")}
        self.fleet = Fleet(self, View("n1", {}, hosts, dict(self.now), []),
                           {"h1"})
        self.fleet.begun -= 100  # The fault began then.
        self.begin = self.fleet.begun

    def vms(self, patience):
        del patience
        return dict(self.now)

    def test_who_is_to_move_and_who_to_stay(self):
        self.assertEqual(set(self.fleet.moving), {"a"})
        self.assertEqual(self.fleet.must_stay, {"b"})

    def test_late_orders_and_starts_are_seen(self):
        self.assertIsNone(self.fleet.late(self.begin, 8, 30))
        self.fleet.look()
        self.assertIn("no new host", self.fleet.late(self.begin, 8, 30))
        self.now["a"] = vm("h1", 2)  # Not where it was cut off.
        self.fleet.look()
        self.assertIn("no new host", self.fleet.late(self.begin, 8, 30))
        self.now["a"] = vm("h2", 2, "starting")
        self.fleet.look()
        self.assertIn("does not run", self.fleet.late(self.begin, 8, 30))
        self.assertIsNone(self.fleet.late(self.begin, 8, 300))
        self.now["a"] = vm("h2", 2)
        self.fleet.look()
        self.assertIsNone(self.fleet.late(self.begin, 8, 30))
        self.assertGreater(self.fleet.took(self.begin, "running"), 99)

    def test_a_restart_without_need_is_seen(self):
        self.now["b"] = vm("h2", 2, end="moved")
        self.fleet.look()
        self.assertIsNone(self.fleet.strange())
        for end in ("fenced", "exited status=0"):
            self.now["b"] = vm("h2", 2, end=end)
            self.fleet.look()
            self.assertIn("VM b of h2 was placed anew", self.fleet.strange())

    def test_a_vm_that_is_gone_is_seen(self):
        del self.now["p"]
        self.fleet.look()
        self.assertEqual(self.fleet.strange(), "VM p is gone")


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
