# SPDX-License-Identifier: Apache-2.0
"""The judges of deploy/chaos see what they are there for, and only that."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.normpath(os.path.join(os.path.dirname(
    os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy"))

from chaos_lib import copies, faults, inventory  # noqa: E402
from chaos_lib.api import OK, CONFLICT, NOT_FOUND, NO_QUORUM  # noqa: E402
from chaos_lib.api import Answer, Health, View, vm_lacks  # noqa: E402
from chaos_lib.canary import Canary  # noqa: E402
from chaos_lib.watch import Fleet, Replicas  # noqa: E402

SAMPLE = os.path.join(ROOT, "deploy", "config", "chaos.toml")


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


class CanaryTest(unittest.TestCase):
    """With answers that a region could give."""

    def setUp(self):
        self.canary = Canary(self)
        self.answers = []
        self.asked = []

    def once(self, *arguments, seconds):
        del seconds
        self.asked.append(arguments)
        return self.answers.pop(0)

    @staticmethod
    def vm(value, revision):
        return Answer(OK, {"labels": {"v": str(value)},
                           "revision": str(revision)}, "")

    def test_a_write_is_repeated_with_its_id_until_it_is_answered(self):
        self.answers = [Answer(NO_QUORUM, None, ""), self.vm(1, 9)]
        self.canary.write()
        self.assertEqual(self.asked[0], self.asked[1])
        self.assertEqual((self.canary.value, self.canary.revision), (1, 9))
        self.assertEqual(self.canary.wrong, [])
        self.assertEqual(len(self.canary.acknowledged), 1)

    def test_what_was_lost_or_put_back_is_seen(self):
        for answer, said in (
                (Answer(CONFLICT, None, ""), "met another revision"),
                (Answer(NOT_FOUND, None, ""), "is gone"),
                (self.vm(7, 12), "was answered with v=7"),
                (self.vm(2, 3), "was answered with v=2, revision 3")):
            self.setUp()
            self.canary.value, self.canary.revision = 1, 9
            self.answers = [answer]
            self.canary.write()
            self.assertIn(said, self.canary.wrong[0])

    def test_an_old_value_that_is_read_is_seen(self):
        self.canary.value, self.canary.revision = 5, 9
        self.answers = [self.vm(5, 9), Answer(NO_QUORUM, None, "")]
        self.canary.read()
        self.canary.read()
        self.assertEqual(self.canary.wrong, [])
        self.answers = [self.vm(4, 8)]
        self.canary.read()
        self.assertIn("after v=5, revision 9 was acknowledged",
                      self.canary.wrong[0])


class HealthTest(unittest.TestCase):
    """A region of the sample in which one thing after the other is wrong."""

    def setUp(self):
        self.given = inventory.load(SAMPLE)
        self.answers = {
            "nodes": [{"name": f"n{i}", "role": "follower"} for i in (1, 2, 3)],
            "hosts": [{"name": f"z{i}-h1", "zone": f"z{i}", "state": "up",
                       "lease": {"connected": True}} for i in (1, 2, 3)],
            "zones": [{"name": f"z{i}", "state": "up"} for i in (1, 2, 3)]}
        self.views = {e: {"quorum": True, "storm": False, "leader": "n1",
                          "node": {"name": f"n{i + 1}"}}
                      for i, e in enumerate(self.given.endpoints)}
        self.fleet = {"a": self.vm()}

    @staticmethod
    def vm(state="running", desired="running", **status):
        return {"desired": desired, "status": {
            "state": state, "deleting": False, "move_zone": "",
            "move_host": "", "pending_reason": "unspecified", "message": "",
            **status}}

    def statuses(self):
        return self.views

    def vms(self):
        return self.fleet

    def ask(self, noun, verb, *_rest):
        return {} if noun == "cluster" and verb == "settings" else self.answers

    def lacks(self):
        return Health(self.given, self).look()[1]

    def test_all_is_well(self):
        self.assertIsNone(self.lacks())

    def test_what_is_not_well_is_said(self):
        first = self.given.endpoints[0]
        table = (
            (lambda: self.views.update({first: None}), "does not answer"),
            (lambda: self.views[first].update(quorum=False), "no leader"),
            (lambda: self.views[first].update(storm=True), "storm"),
            (lambda: self.views[first].update(leader="n2"), "different"),
            (lambda: self.views[first]["node"].update(name="n9"), "n9"),
            (lambda: self.answers["nodes"][0].update(role="unreachable"),
             "node n1 is unreachable"),
            (lambda: self.answers["hosts"][1].update(state="lost"),
             "host z2-h1 is lost"),
            (lambda: self.answers["hosts"][1]["lease"].update(
                connected=False), "not connected"),
            (lambda: self.answers["hosts"][1].update(name="z2-h2"),
             "z2-h2 is not in the inventory"),
            (lambda: self.answers["hosts"].pop(), "has no host z3-h1"),
            (lambda: self.answers["zones"][2].update(state="held"),
             "zone z3 is held"),
            (lambda: self.fleet.update(a=self.vm("starting")),
             "VM a is starting"))
        for break_it, said in table:
            self.setUp()
            break_it()
            self.assertIn(said, self.lacks() or "nothing")

    def test_vms_in_transition(self):
        for vm, wrong, waits in (
                (self.vm(), False, False),
                (self.vm("stopped", "stopped"), False, False),
                (self.vm("stopped"), True, False),
                (self.vm(deleting=True), True, False),
                (self.vm(move_host="h2"), True, False),
                (self.vm("lost"), True, False),
                (self.vm("pending", pending_reason="queued"), True, False),
                (self.vm("pending", pending_reason="no_capacity"), False,
                 True)):
            found = vm_lacks(vm)
            self.assertEqual((bool(found[0]), bool(found[1])), (wrong, waits),
                             vm)

    def test_room_is_asked_for(self):
        def host(used):
            return {"state": "up", "cordoned": False,
                    "used": {"cpu_milli": used, "memory_mib": 1},
                    "capacity": {"cpu_milli": 4000, "memory_mib": 64}}
        view = View("n1", {}, {n: host(2500) for n in "abc"}, {}, [])
        self.assertIsNone(faults.lacks_room(view, {"a"}, []))
        self.assertIn("cpu_milli", faults.lacks_room(view, {"a"}, ["b"]))
        self.assertIn("cpu_milli", faults.lacks_room(view, {"a", "b"}, []))


if __name__ == "__main__":
    unittest.main()
