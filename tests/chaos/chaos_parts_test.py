# SPDX-License-Identifier: Apache-2.0
"""The bench's own parts: the relay does what it is told, and each judge finds
what is planted for it. The scan for two copies has its own test
(tests/deploy/judge_test.py)."""

import os
import socket
import sys
import tempfile
import threading
import time
import types
import unittest

here = os.path.dirname(os.path.realpath(__file__))
for folder in ("../../deploy/lab", "../interop", "."):
    sys.path.insert(0, os.path.normpath(os.path.join(here, folder)))

# pylint: disable=wrong-import-position
import clients  # noqa: E402
from bench import Bench, Broken, Replicas, judge_history  # noqa: E402
from relay import Network  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402

BINARIES = sys.argv.pop(1)


class Echo(threading.Thread):
    """A server that sends back what it gets."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"

    def run(self):
        while True:
            try:
                accepted, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(accepted,),
                             daemon=True).start()

    @staticmethod
    def serve(accepted):
        with accepted:
            try:
                while data := accepted.recv(65536):
                    accepted.sendall(data)
            except OSError:
                pass  # Reset.


class RelayTest(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.echo.start()
        self.network = Network([("a", "b", self.echo.address),
                                ("c", "b", self.echo.address),
                                ("a", "dead", "127.0.0.1:1")])

    def tearDown(self):
        self.network.close()
        self.echo.socket.close()

    def connect(self, source="a", target="b"):
        one = socket.create_connection(
            ("127.0.0.1", self.network.ports[source, target]), 20)
        self.addCleanup(one.close)
        return one

    def silent(self, one):
        one.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            one.recv(1)
        one.settimeout(20)

    def exchange(self, one, text=b"hello"):
        one.sendall(text)
        got = b""
        while len(got) < len(text):
            got += one.recv(1 << 20)
        self.assertEqual(got, text)

    def test_bytes_pass_in_order_and_in_full(self):
        one = self.connect()
        text = os.urandom(3 << 20)
        sender = threading.Thread(target=one.sendall, args=(text,))
        sender.start()
        got = bytearray()
        while len(got) < len(text):
            got += one.recv(1 << 20)
        sender.join()
        self.assertEqual(bytes(got), text)

    def test_a_cut_holds_back_and_what_was_sent_flows_on(self):
        one = self.connect()
        self.exchange(one)
        self.network.cut("a", "b")
        one.sendall(b"late")
        self.silent(one)
        self.network.heal("a", "b")
        self.assertEqual(one.recv(4), b"late")

    def test_a_cut_of_one_link_leaves_the_others(self):
        self.network.cut("a", "b")
        self.exchange(self.connect("c"))

    def test_a_cut_of_answers_lets_requests_through(self):
        one = self.connect()
        self.exchange(one)
        self.network.cut_from("b", "a")
        one.sendall(b"x")
        self.silent(one)
        self.network.cut_from("a", "b")
        self.network.tell("heal", "b", "a")
        # It had arrived before the other way was cut as well.
        self.assertEqual(one.recv(1), b"x")
        one.sendall(b"y")
        self.silent(one)

    def test_no_connection_is_made_over_a_cut(self):
        self.network.cut_from("b", "a")
        for _ in range(2):
            with self.assertRaises(TimeoutError):
                socket.create_connection(
                    ("127.0.0.1", self.network.ports["a", "b"]), 0.3)
        self.exchange(self.connect("c"))
        self.network.well()
        self.exchange(self.connect())

    def test_delay_is_at_least_what_was_asked(self):
        one = self.connect()
        self.network.delay("a", "b", 100)
        begin = time.monotonic()
        self.exchange(one)
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_reset_ends_connections_and_new_ones_are_made(self):
        one, other = self.connect(), self.connect("c")
        self.exchange(one)
        self.exchange(other)
        self.network.reset("a", "b")
        with self.assertRaises(ConnectionResetError):
            one.recv(1)
        self.exchange(other)
        self.exchange(self.connect())

    def test_nobody_there_is_told(self):
        with self.assertRaises(ConnectionResetError):
            self.connect("a", "dead").recv(1)

    def test_an_end_is_passed_on_with_what_was_before_it(self):
        one = self.connect()
        one.sendall(b"last")
        one.shutdown(socket.SHUT_WR)
        got = b""
        while data := one.recv(16):
            got += data
        self.assertEqual(got, b"last")


def status(index, value, term=1, role=2):
    return types.SimpleNamespace(
        applied_index=index, state_hash=value, term=term,
        node=types.SimpleNamespace(role=role))


class JudgesTest(unittest.TestCase):
    def setUp(self):
        self.replicas = Replicas(None)

    def test_equal_replicas_are_well(self):
        for name in ("n1", "n2", "n3"):
            self.replicas.judge(name, status(7, 1))
        self.assertEqual(self.replicas.wrong, [])
        self.assertEqual(self.replicas.agreed, 7)

    def test_a_different_hash_is_found(self):
        self.replicas.judge("n1", status(7, 1))
        self.replicas.judge("n2", status(7, 2))
        self.assertEqual(len(self.replicas.wrong), 1)

    def test_two_leaders_in_a_term_are_found(self):
        self.replicas.judge("n1", status(7, 1, term=3, role=1))
        self.replicas.judge("n2", status(7, 1, term=3, role=1))
        self.assertEqual(len(self.replicas.wrong), 1)

    def test_a_term_that_goes_back_is_found(self):
        self.replicas.judge("n1", status(7, 1, term=3))
        self.replicas.judge("n1", status(8, 1, term=2))
        self.assertEqual(len(self.replicas.wrong), 1)

    def test_an_outage_is_measured_to_its_end(self):
        answers = clients.Acknowledgements()
        for end in (1_000_000, 1_500_000, 4_000_000):
            answers.add(end - 1000, end)
        self.assertEqual(answers.longest_gap(1_000_000, 5_000_000), 2.5)
        self.assertEqual(answers.longest_gap(4_500_000, 9_500_000), 5)
        self.assertEqual(answers.begun_after(1_600_000),
                         [(3_999_000, 4_000_000)])

    def test_a_lost_write_and_a_strange_one_are_found(self):
        thing = types.SimpleNamespace(uid=1, revision=5)
        node = types.SimpleNamespace(name="n1")
        check = clients.kill_test.check_things
        check(node, "VMs", {"a": thing}, 1, {"a": thing})
        for found, expected in (({}, {"a": thing}), ({"a": thing}, {}),
                                ({"a": types.SimpleNamespace(
                                    uid=2, revision=5)}, {"a": thing})):
            with self.assertRaises(clients.kill_test.Wrong):
                check(node, "VMs", found, len(found), expected)


class HistoryTest(unittest.TestCase):
    """The checker has its own tests (tests/history); here: that it is asked."""

    def verdict(self, **changed):
        with tempfile.TemporaryDirectory() as folder:
            history = clients.History(f"{folder}/history.jsonl")
            told = {"vm": "vm", "uid": 1, "outcome": "ok"}
            history.add(**told, kind="create", begin_us=1, end_us=2, at=5,
                        revision=5, value="a", desired="stopped")
            history.add(vm="vm", kind="update", begin_us=3, value="b",
                        outcome="unknown")
            history.add(**{**told, "kind": "get", "begin_us": 4, "end_us": 5,
                           "at": 6, "revision": 6, "value": "b", **changed})
            history.close()
            return judge_history(BINARIES, history.path)

    def test_a_good_history_is_well(self):
        verdict, story = self.verdict()
        self.assertEqual(verdict, "linearizable", story)

    def test_a_stale_read_is_told_with_its_answer(self):
        verdict, story = self.verdict(revision=5)
        self.assertEqual(verdict, "not linearizable")
        self.assertIn('"kind":"get"', story.replace(" ", ""))

    def test_a_history_that_cannot_be_read_is_not_well(self):
        verdict, story = self.verdict(kind="steal")
        self.assertEqual(verdict, "not judged")
        self.assertIn("history.jsonl:3: kind", story)


class DocumentedTest(unittest.TestCase):
    def test_every_scenario_is_in_the_table(self):
        path = os.path.join(here, "../../docs/chaos.md")
        with open(path, encoding="utf-8") as file:
            table = file.read()
        for name, one in SCENARIOS.items():
            self.assertIn(f"| {name} | {one.expects} |", table)


class FactsTest(unittest.TestCase):
    """settle() without a region."""

    def setUp(self):
        self.bench = Bench.__new__(Bench)
        nothing = types.SimpleNamespace(
            duplicates=[], regressions=[], wrong=[], counters={},
            well=lambda: None)
        self.bench.cluster = self.bench.judge = self.bench.replicas = nothing
        self.bench.workers = []
        for name in ("wait_whole", "compare_replicas", "check_history",
                     "delete_extras"):
            setattr(self.bench, name, lambda: None)
        self.bench.all_beat = lambda: True
        self.bench.begin_facts()
        self.bench.boots = {"vm": 1, "other": 1}
        nothing.counters = {"vm": (2, 9), "other": (1, 9)}

    def test_an_expected_restart_is_well(self):
        self.bench.restarts({"vm"})
        self.bench.settle()

    def test_a_restart_without_need_is_found(self):
        with self.assertRaisesRegex(Broken, "restarted without need: vm"):
            self.bench.settle()

    def test_a_restart_that_did_not_come_is_found(self):
        self.bench.restarts({"vm", "other"})
        with self.assertRaisesRegex(Broken, "not restarted: other"):
            self.bench.settle()

    def test_what_the_judges_found_fails_at_once(self):
        self.bench.may_restart({"vm"})
        for found in ("duplicates", "regressions", "wrong"):
            setattr(self.bench.judge, found, ["planted"])
            with self.assertRaisesRegex(Broken, "planted"):
                self.bench.settle()
            setattr(self.bench.judge, found, [])
        self.bench.settle()


if __name__ == "__main__":
    unittest.main()
