# SPDX-License-Identifier: Apache-2.0
"""deploy/chaos against a region of real processes: a dry run changes nothing; a
fault is done, judged and healed; a broken rule stops it and is healed as well;
nothing stays broken when it is interrupted, killed, or cannot heal:
chaos_test.py BINARIES."""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from chaos_region import CHAOS, ChaosRegion, LOSABLE  # noqa: E402

sys.path.insert(0, os.path.dirname(CHAOS))

from chaos_lib import inventory, program  # noqa: E402

BINARIES = os.path.abspath(sys.argv.pop(1))
OK, BROKEN, USAGE, UNHEALED = 0, 1, 2, 3


class WithRegion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.region = ChaosRegion(BINARIES)
        cls.addClassCleanup(cls.region.close)
        cls.region.start()

    def command(self, *arguments, inventory=None):
        return [CHAOS, "--inventory", inventory or self.region.inventory,
                *arguments]

    def chaos(self, *arguments, inventory=None):
        return subprocess.run(self.command(*arguments, inventory=inventory),
                              capture_output=True, text=True, check=False)

    def play(self, code, *arguments, inventory=None):
        """With --run; (what it printed, its figures)."""
        path = f"{self.region.disk}/out.json"
        done = self.chaos("--run", "--json", path, "--pause", "0", *arguments,
                          inventory=inventory)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        with open(path, encoding="utf-8") as file:
            return done.stdout, json.load(file)

    def begin(self, *arguments, sign="SIGSTOP for"):
        """A run that stands in its fault."""
        process = subprocess.Popen(self.command("--run", *arguments),
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        seen = ""
        for line in process.stdout:
            seen += line
            if sign in line and " s  " in line:
                return process
        self.fail(seen)

    def stands(self, name):
        self.region.until(lambda: self.region.state(name) == "T",
                          f"{name} stands still")

    def goes(self, name):
        self.region.until(lambda: self.region.state(name) not in ("T", None),
                          f"{name} goes on")

    def assert_healed(self):
        self.assertEqual(self.region.planted(), [])
        self.assertEqual(os.listdir(f"{self.region.disk}/cut"), [])
        for name, _, _ in self.region.machines():
            self.assertIn(self.region.state(name), ("R", "S", "D"), name)

    def no_canary_is_left(self):
        names = [v["name"] for v in self.region.call("vm", "list")["vms"]]
        self.assertEqual(names, ["a", "b", "c"])
        names = [c["name"] for c in
                 self.region.call("class", "list")["classes"]]
        self.assertEqual(names, ["guest"])

    def revision(self):
        # A linearizable read: the node that is asked may be behind the leader.
        return self.region.call("zone", "list")["revision"]


class Judged(WithRegion):
    def test_a_dry_run_changes_nothing(self):
        names = [name for name, _, _ in self.region.machines()]
        before = [self.region.pid(n) for n in names], self.revision()
        for arguments in (["--fault", "leader-kill", "zone-lose", "link-cut",
                           "rolling-restart"], ["--rounds", "20"]):
            done = self.chaos(*arguments, "--seed", "7")
            self.assertEqual(done.returncode, OK, done.stderr)
            self.assertIn("Nothing was changed", done.stdout)
            # What is planted, what is done, what heals.
            for text in (".heal <<", "sleep ", "kill -KILL $(cat",
                         "/start node-z", "rm -f"):
                self.assertIn(text, done.stdout)
            again = self.chaos(*arguments, "--seed", "7")
            self.assertEqual(done.stdout, again.stdout)
        self.assertEqual(
            before, ([self.region.pid(n) for n in names], self.revision()))
        self.assert_healed()

    def test_the_inventory_is_checked(self):
        done = self.chaos("--check")
        self.assertEqual(done.returncode, OK, done.stdout + done.stderr)
        self.assertIn("all is well", done.stdout)
        wrong = self.region.write_inventory(
            "wrong.toml", z2_h1="host = 'z2-h9'\nwork_dir = '/proc/x'")
        done = self.chaos("--check", inventory=wrong)
        self.assertEqual(done.returncode, USAGE, done.stdout)
        self.assertIn("host z2-h1 is not in the inventory", done.stdout)
        self.assertIn("cannot write /proc/x", done.stdout)

    def test_a_machine_that_cannot_be_reached_is_named(self):
        self.region.lose()
        try:
            done = self.chaos("--check")
        finally:
            self.region.find()
        self.assertEqual(done.returncode, USAGE, done.stdout)
        self.assertIn(f"is not reached by `{self.region.via(LOSABLE)}`",
                      done.stdout)

    def test_the_leader_is_killed_and_healed(self):
        before = {z: self.region.pid(f"node-{z}") for z in self.region.zones}
        leader = self.region.call("cluster", "status")["leader"]
        out, figures = self.play(OK, "--fault", "leader-kill", "--hold", "2")
        self.assertEqual(figures["faults"][0]["target"], leader)
        for zone, pid in before.items():
            self.assertEqual(pid != self.region.pid(f"node-{zone}"),
                             f"node-{zone}" == leader, zone)
        self.assertIn("VERDICT", out)
        self.assertGreater(figures["acknowledged_writes"], 0)
        self.assertGreater(figures["scans"], 0)
        self.assert_healed()
        self.no_canary_is_left()

    def test_an_isolated_host_loses_its_vms_to_others(self):
        vm = self.region.vm("b")
        host = vm["status"]["host"]
        out, figures = self.play(OK, "--fault", "host-isolate", "--machine",
                                 host)
        row, = figures["faults"]
        self.assertEqual((row["duplicates"], row["lost"], row["verdict"]),
                         (0, 0, "ok"))
        self.assertGreater(row["failover_s"], 0)
        self.assertNotEqual(self.region.vm("b")["status"]["host"], host)
        self.assertIn("VM b runs on", out)
        self.assert_healed()

    def test_random_faults_are_those_of_the_seed(self):
        seed, names = self.short_faults()
        _, figures = self.play(OK, "--rounds", "2", "--seed", seed, "--hold",
                               "0.5")
        self.assertEqual([row["fault"] for row in figures["faults"]], names)
        self.assertEqual(str(figures["seed"]), seed)
        self.assert_healed()

    def short_faults(self):
        """(seed, names) of two whose faults take little time."""
        given = inventory.load(self.region.inventory)
        for seed in range(1000):
            plan = program.choose(given, program.parse(
                ["--inventory", "x", "--rounds", "2", "--seed", str(seed)]))
            names = [fault.name for fault, _ in plan]
            if names == ["link-cut", "agent-kill"]:
                return str(seed), names
        return self.fail("no such seed")

    def second_copy(self, name):
        """A shim started by hand, in the run folder of another host."""
        status = self.region.vm(name)
        other = next(h for h in self.region.hosts
                     if h != status["status"]["host"])
        folder = f"{self.region.run}/{other}"
        os.makedirs(f"{folder}/vms/{status['uid']}", mode=0o700, exist_ok=True)
        shim = subprocess.Popen(
            [f"{BINARIES}/holdfast-shim", "--run-dir", folder, "--uid",
             status["uid"], "--", "/bin/sleep", "1000"],
            stderr=subprocess.DEVNULL)
        self.addCleanup(shim.wait)
        self.addCleanup(shim.kill)
        return shim

    def test_a_second_copy_ends_it(self):
        process = self.begin("--fault", "node-pause", "--hold", "60",
                             "--json", f"{self.region.disk}/double.json")
        self.second_copy("c")
        process.stdout.read()
        self.assertEqual(process.wait(), BROKEN)
        with open(f"{self.region.disk}/double.json",
                  encoding="utf-8") as file:
            figures = json.load(file)
        self.assertEqual(figures["faults"][0]["verdict"], "BROKEN one-copy")
        self.assertIn("VM c ran twice", figures["why"])
        self.assert_healed()

    def test_a_value_put_back_ends_it(self):
        process = self.begin("--fault", "node-pause", "--hold", "60",
                             "--json", f"{self.region.disk}/back.json")
        name = next(v["name"] for v in self.region.call("vm", "list")["vms"]
                    if v["name"].startswith("chaos-canary-"))
        self.region.until(lambda: self.region.call(
            "vm", "update", name, "--label", "v=1", check=False), "an update")
        process.stdout.read()
        self.assertEqual(process.wait(), BROKEN)
        with open(f"{self.region.disk}/back.json", encoding="utf-8") as file:
            figures = json.load(file)
        self.assertEqual(figures["faults"][0]["verdict"],
                         "BROKEN nothing-lost")
        self.assert_healed()
        self.no_canary_is_left()

    def test_a_guest_that_is_lost_without_need_ends_it(self):
        # Its agent is killed by somebody else, and stays so for long.
        process = self.begin("--fault", "node-pause", "--hold", "60",
                             "--machine", "node-z1")
        host = self.region.vm("a")["status"]["host"]
        os.kill(self.region.pid(host), signal.SIGKILL)
        out = process.stdout.read()
        self.assertEqual(process.wait(), BROKEN, out)
        self.assertIn("VM a of", out)
        self.assertIn("BROKEN others-stay", out)
        subprocess.run([self.region.start_script, host,
                        f"{BINARIES}/holdfast-agent",
                        self.region.config(host)], check=True)
        self.assert_healed()


class Healed(WithRegion):
    def test_a_lost_connection_does_not_keep_it_broken(self):
        process = self.begin("--fault", "agent-pause-short", "--machine",
                             LOSABLE, "--hold", "0.5", "--heal-after", "2")
        self.stands(LOSABLE)
        self.region.lose()
        try:
            # By its own timer: nobody else reaches it.
            self.goes(LOSABLE)
        finally:
            self.region.find()
        out = process.stdout.read()
        self.assertEqual(process.wait(), OK, out)
        self.assertIn("is tried again", out)
        self.assert_healed()

    def test_an_interrupt_heals(self):
        process = self.begin("--fault", "node-pause", "--machine", "node-z2",
                             "--hold", "60")
        self.stands("node-z2")
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
        self.assertEqual(process.wait(), BROKEN, out)
        self.assertIn("ended by hand", out)
        self.assert_healed()
        self.no_canary_is_left()

    def test_the_machine_heals_when_we_are_killed(self):
        process = self.begin("--fault", "agent-pause-short", "--machine",
                             "z2-h1", "--hold", "1", "--heal-after", "1")
        self.stands("z2-h1")
        process.kill()
        process.wait()
        self.goes("z2-h1")
        self.region.until(lambda: not self.region.planted(), "all is tidy")
        self.assert_healed()
        # What a killed run cannot do: remove its canary.
        done = self.chaos("--heal")
        self.assertEqual(done.returncode, OK, done.stdout)
        self.no_canary_is_left()

    def test_what_is_planted_is_healed_at_once_when_asked(self):
        process = self.begin("--fault", "node-pause", "--machine", "node-z3",
                             "--hold", "60")
        self.stands("node-z3")
        process.kill()
        process.wait()
        refused = self.chaos("--run", "--fault", "node-kill")
        self.assertEqual(refused.returncode, BROKEN)
        self.assertIn("planted by another run", refused.stdout)
        self.assertEqual(self.region.state("node-z3"), "T")
        done = self.chaos("--heal")
        self.assertEqual(done.returncode, OK, done.stdout)
        self.goes("node-z3")
        self.assert_healed()

    def test_what_cannot_be_healed_is_said(self):
        path = self.region.write_inventory(
            "unhealed.toml", z1_h1="[machine.commands]\n"
            "agent_resume = 'test -e /nowhere'")
        out, figures = self.play(
            UNHEALED, "--fault", "agent-pause-short", "--machine", "z1-h1",
            "--hold", "0.5", "--heal-after", "1", inventory=path)
        self.assertIn("Run by hand", out)
        self.assertIn("    test -e /nowhere", out)
        self.assertEqual(figures["faults"][0]["verdict"], "NOT HEALED")
        os.kill(self.region.pid("z1-h1"), signal.SIGCONT)
        self.chaos("--heal", inventory=self.region.inventory)
        for name in self.region.planted():
            if name.endswith(".pid"):
                with open(f"{self.region.disk}/chaos/{name}",
                          encoding="utf-8") as file:
                    os.killpg(int(file.read()), signal.SIGKILL)
            os.unlink(f"{self.region.disk}/chaos/{name}")


if __name__ == "__main__":
    unittest.main()
