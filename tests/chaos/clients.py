# SPDX-License-Identifier: Apache-2.0
"""Clients of the bench. Keepers change things of their own and know to the
letter what each must be like in the end; sharers change and read things
together, and what each saw goes into a history for the checker."""

import json
import threading
import time

import kill_test
from holdfast_client import Refused
from kill_test import OPEN, check

CLASS = "small"  # As kill_test names it.
SHARED_KEYS = 3
KEY_SECONDS = 10
PAUSE_S = 0.03
ATTEMPT_S = 1.0
GIVE_UP_S = 120  # Then the outcome of an operation of a sharer is unknown.


def now_us():
    return time.monotonic_ns() // 1000


class Acknowledgements:
    """When writes began that were answered, and when they were."""

    def __init__(self):
        self.lock = threading.Lock()
        self.pairs = []

    def add(self, begin, end):
        with self.lock:
            self.pairs.append((begin, end))

    def begun_after(self, moment):
        with self.lock:
            return [pair for pair in self.pairs if pair[0] >= moment]

    def longest_gap(self, begin, end):
        """Seconds without an answer between two moments, in µs."""
        with self.lock:
            ends = sorted(e for _, e in self.pairs if begin < e < end)
        moments = [begin, *ends, end]
        return max(b - a for a, b in zip(moments, moments[1:])) / 1e6


class History:
    """JSON lines of what clients asked and were told, as
    tests/history/history.proto says."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()
        self.count = 0

    def add(self, **record):
        with self.lock:
            self.file.write(json.dumps(record) + "\n")
            self.count += 1

    def flush(self):
        with self.lock:
            self.file.flush()

    def close(self):
        self.file.close()


class Gate:
    """Clients go through it before each operation; closed, they rest."""

    def __init__(self):
        self.open = threading.Event()
        self.open.set()

    def wait(self, worker):
        if not self.open.is_set():
            worker.resting.set()
            self.open.wait()
            worker.resting.clear()


class Keeper(kill_test.Writer):
    def __init__(self, number, region, seed, stop, gate, acknowledgements):
        super().__init__(number, region, seed, stop)
        self.gate = gate
        self.acknowledgements = acknowledgements
        self.resting = threading.Event()

    def write(self, path, fields):
        begin = now_us()
        answer = super().write(path, fields)
        self.acknowledgements.add(begin, now_us())
        return answer

    def name(self):
        return f"k{self.number}-{self.count + 1}"

    def work(self):
        while not self.stop.is_set():
            self.gate.wait(self)
            what = self.random.randrange(100)
            if what < 30 or len(self.vms) < 5:
                self.create_vm()
            elif what < 60:
                self.update_vm()
            elif what < 85 or len(self.vms) > 200:
                self.delete_vm()
            else:
                self.create_class_if_few()
            self.stop.wait(PAUSE_S)

    def create_class_if_few(self):
        if len(self.classes) < 50:
            self.create_class()


class Sharer(kill_test.Worker):
    def __init__(self, number, region, seed, stop, gate, history):
        super().__init__(region, seed, stop)
        self.number = number
        self.gate = gate
        self.history = history
        self.resting = threading.Event()
        self.count = 0
        self.unknown = 0
        self.known = {}  # Key -> revision as this client saw it last.

    def attempt(self, path, request):
        """(answer, None), (None, refusal) or (None, None): unknown."""
        attempts = 0
        end = time.monotonic() + GIVE_UP_S
        while time.monotonic() < end and not self.stop.is_set():
            try:
                return self.any().call(path, request, ATTEMPT_S,
                                       previous=attempts), None
            except Refused as refusal:
                if refusal.code not in OPEN:
                    return None, refusal
                attempts += 1
                self.stop.wait(0.03)
        self.unknown += 1
        return None, None

    def operate(self, kind, key, path, request, **asked):
        begin = now_us()
        answer, refusal = self.attempt(path, request)
        end = now_us()
        record = {"client": self.number, "kind": kind, "vm": key,
                  "begin_us": begin, "end_us": end, **asked}
        if answer is not None:
            record["outcome"] = "ok"
            record["uid"] = answer.vm.uid
            record["revision"] = answer.vm.revision
            record["at"] = answer.revision
            if kind != "delete":
                record["value"] = answer.vm.labels["v"]
                self.known[key] = answer.vm.revision
            if kind == "get":
                record["deleting"] = answer.vm.status.deleting
        elif refusal is not None:
            record["outcome"] = "refused"
            record["code"] = refusal.code
            record["reason"] = refusal.reason
        else:
            record["outcome"] = "unknown"
            del record["end_us"]
        self.history.add(**record)
        if refusal is not None:
            self.check_refusal(kind, refusal)

    @staticmethod
    def check_refusal(kind, refusal):
        allowed = {"create": ("ALREADY_EXISTS", "FAILED_PRECONDITION"),
                   "get": ("NOT_FOUND",),
                   "update": ("NOT_FOUND", "ABORTED"),
                   "delete": ("NOT_FOUND",)}[kind]
        check(refusal.code in allowed, kind, refusal)

    def work(self):
        while not self.stop.is_set():
            self.gate.wait(self)
            self.count += 1
            # New ones after a while: an unknown outcome stays open for ever,
            # and what is open makes the checker's work.
            age = now_us() // 1000000 // KEY_SECONDS
            self.one(f"shared-{age}-{self.random.randrange(SHARED_KEYS)}",
                     f"s{self.number}-{self.count}")
            self.stop.wait(PAUSE_S)

    def one(self, key, value):
        ids = {"request_id": value}
        what = self.random.randrange(100)
        if what < 40:
            self.operate("get", key, "VmService/GetVm", {"name": key})
        elif what < 60:
            self.operate("create", key, "VmService/CreateVm", {"vm": {
                "name": key, "class_name": CLASS, "labels": {"v": value},
                "desired": "DESIRED_STATE_STOPPED",
                "template": {"driver": "DRIVER_EXEC",
                             "command": ["/bin/true"]}}, **ids},
                value=value, desired="stopped")
        elif what < 85:
            expected = {}
            if key in self.known and self.random.random() < 0.6:
                expected = {"expect_revision": self.known[key]}
            self.operate("update", key, "VmService/UpdateVm", {
                "vm": {"name": key, "labels": {"v": value}},
                "update_mask": ["labels"], **ids, **expected},
                value=value, **expected)
        else:
            self.operate("delete", key, "VmService/DeleteVm",
                         {"name": key, **ids})
