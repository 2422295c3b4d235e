# SPDX-License-Identifier: Apache-2.0
"""A stopped VM of our own whose label is counted up by compare-and-set, several
times a second. What was acknowledged must be there: each write names the
revision that the one before it was given, so that a value that was lost, put
back or changed by somebody else shows at the next write or read."""

import secrets
import threading
import time

from .api import CONFLICT, NOT_FOUND, NO_QUORUM, OK, TIMED_OUT, ApiError, now

PERIOD_S = 0.1
ATTEMPT_S = 1
READ_EACH = 5  # Writes.
REMOVE_S = 20
PREFIX = "chaos-canary-"


class Canary(threading.Thread):
    def __init__(self, api):
        super().__init__(daemon=True)
        self.api = api
        self.name = PREFIX + secrets.token_hex(3)
        self.value = 0
        self.revision = 0
        self.acknowledged = []  # When each write was answered.
        self.wrong = []
        self.failed = None      # The last refusal that was no answer.
        self.made = False
        self._stop_wanted = threading.Event()

    def create(self):
        self.made = True
        self.api.ask("class", "create", self.name, "--cpu", "1", "--memory",
                     "1MiB", "--request-id", self.name + "-class")
        vm = self.api.ask("vm", "create", self.name, "--class", self.name,
                          "--stopped", "--label", "holdfast-chaos=canary",
                          "--label", "v=0", "--request-id", self.name + "-vm",
                          "--command", "/bin/true")
        self.revision = int(vm["revision"])

    def run(self):
        try:
            while not self._stop_wanted.wait(PERIOD_S):
                self.write()
                if not self.wrong and self.value % READ_EACH == 0:
                    self.read()
                if self.wrong:
                    return
        except ApiError as error:
            self.wrong.append(str(error))

    def write(self):
        """One value, asked for until it is answered; once, by its request
        id."""
        value = self.value + 1
        while not self._stop_wanted.is_set():
            answer = self.api.once(
                "vm", "update", self.name, "--label", f"v={value}",
                "--expect-revision", str(self.revision), "--request-id",
                f"{self.name}-{value}", seconds=ATTEMPT_S)
            if answer.code == OK and answer.value:
                self.took(answer.value, value)
                return
            if answer.code == CONFLICT:
                self.wrong.append(
                    f"write {value} of {self.name} met another revision than "
                    f"{self.revision}, which write {self.value} was given: "
                    "what was acknowledged was lost or put back")
                return
            if answer.code == NOT_FOUND:
                self.wrong.append(f"{self.name} was acknowledged and is gone")
                return
            if answer.code not in (NO_QUORUM, TIMED_OUT):
                self.failed = answer.text
            self._stop_wanted.wait(PERIOD_S)

    def took(self, vm, value):
        if vm["labels"].get("v") != str(value) or \
                int(vm["revision"]) <= self.revision:
            self.wrong.append(
                f"write {value} of {self.name} was answered with v="
                f"{vm['labels'].get('v')}, revision {vm['revision']}")
            return
        self.revision = int(vm["revision"])
        self.value = value
        self.acknowledged.append(now())

    def read(self):
        """Linearizable, and nobody else writes: it must be the last value."""
        answer = self.api.once("vm", "show", self.name, seconds=ATTEMPT_S)
        if answer.code == NOT_FOUND:
            self.wrong.append(f"{self.name} was acknowledged and is gone")
        elif answer.code == OK and answer.value:
            vm = answer.value
            if vm["labels"].get("v") != str(self.value) or \
                    int(vm["revision"]) != self.revision:
                self.wrong.append(
                    f"{self.name} reads v={vm['labels'].get('v')}, revision "
                    f"{vm['revision']}, after v={self.value}, revision "
                    f"{self.revision} was acknowledged")
        return answer.code == OK

    def longest_gap(self, begin, end):
        """Seconds without an answer between two moments."""
        moments = [begin, *[a for a in list(self.acknowledged)
                            if begin < a < end], end]
        return max(b - a for a, b in zip(moments, moments[1:]))

    def silent_s(self, since):
        """Seconds since the last answer, or since that moment."""
        last = self.acknowledged[-1] if self.acknowledged else since
        return now() - max(last, since)

    def rest(self):
        """Ends the writing. The last write may be unanswered: its outcome is
        then either."""
        self._stop_wanted.set()
        if self.is_alive():
            self.join()

    def remove(self):
        """What could not be removed, for people, or None."""
        self.rest()
        if not self.made:
            return None
        return remove(self.api, self.name)


def remove(api, name):
    """A canary and its class; what is left, for people, or None."""
    end = now() + REMOVE_S
    for noun in ("vm", "class"):
        while True:
            answer = api.once(noun, "delete", name)
            if answer.code in (OK, NOT_FOUND):
                break
            # A class goes when its VM is gone.
            if now() > end:
                return f"{noun} {name}: {answer.text}"
            time.sleep(0.2)
    return None
