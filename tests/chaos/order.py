# SPDX-License-Identifier: Apache-2.0
"""Whether a history is linearizable. Each answer names the revision of the
region at which its operation took effect, so there is one order to check and
nothing to search: it must agree with real time over all keys, and each answer
with what the operations before it made of its key. A refusal names no
revision; there must be a moment, while it was asked, at which it is right.

A write whose outcome is unknown may be anywhere; its key is then not looked at
from its begin on (`skipped`)."""

import bisect
import collections
import json


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def real_time(records, wrong):
    """What ended before another began is not after it."""
    done = sorted((r for r in records if r["outcome"] == "ok"),
                  key=lambda r: r["end_us"])
    ends, highest = [], []
    for one in done:
        ends.append(one["end_us"])
        highest.append(max(one["at"], highest[-1] if highest else 0))
    for one in done:
        before = bisect.bisect_left(ends, one["begin_us"])
        if before and (one["at"] < highest[before - 1] or (
                one["kind"] != "get" and one["at"] == highest[before - 1])):
            wrong.append(f"{one} took effect before revision "
                         f"{highest[before - 1]}, which had been told")
    return ends, highest


class Key:
    """One VM's states: at which revisions it became what."""

    def __init__(self, writes, wrong):
        self.revisions, self.states = [0], [None]
        for one in sorted(writes, key=lambda r: r["at"]):
            before = self.states[-1]
            if (before is None) != (one["kind"] == "create"):
                wrong.append(f"{one} came upon {before}")
            elif one["kind"] not in ("create", "delete") and (
                    before["uid"] != one["uid"] or
                    one.get("expect_revision", before["revision"]) !=
                    before["revision"]):
                wrong.append(f"{one} came upon {before}")
            if self.revisions[-1] == one["at"]:
                wrong.append(f"{one} took effect together with another")
            self.revisions.append(one["at"])
            self.states.append(None if one["kind"] == "delete" else one)

    def at(self, revision):
        return self.states[bisect.bisect_right(self.revisions, revision) - 1]

    def during(self, first, last):
        """All states from one revision to another."""
        begin = bisect.bisect_right(self.revisions, first) - 1
        return self.states[begin:bisect.bisect_right(self.revisions, last)]


def is_right(refused, state):
    if refused["code"] == "NOT_FOUND":
        return state is None
    if refused["code"] == "ALREADY_EXISTS":
        return state is not None
    if refused["code"] == "ABORTED":
        return state is not None and \
            state["revision"] != refused["expect_revision"]
    return False


def check(records):
    """(sentences about what is wrong, number of operations skipped)"""
    wrong, skipped = [], 0
    ends, highest = real_time(records, wrong)
    begins = sorted((r["begin_us"], r["at"]) for r in records
                    if r["outcome"] == "ok" and r["kind"] != "get")
    # The lowest revision of all writes that began from here on.
    lowest = [at for _, at in begins]
    for i in range(len(lowest) - 2, -1, -1):
        lowest[i] = min(lowest[i], lowest[i + 1])
    keys = collections.defaultdict(list)
    for one in records:
        keys[one["key"]].append(one)
    for of_key in keys.values():
        unknown = min((r["begin_us"] for r in of_key if r["kind"] != "get" and
                       r["outcome"] == "unknown"), default=None)
        known = [r for r in of_key if r["outcome"] != "unknown" and
                 (unknown is None or r["end_us"] < unknown)]
        # A write that was answered later may have been seen before: what can
        # have seen it goes with it.
        later = [r for r in of_key if r["outcome"] == "ok" and
                 r["kind"] != "get" and unknown is not None and
                 r["end_us"] >= unknown]
        seen = min((r["at"] for r in later), default=float("inf"))
        begun = min((r["begin_us"] for r in later), default=float("inf"))
        known = [r for r in known if (
            r["end_us"] < begun if r["outcome"] == "refused"
            else r["kind"] != "get" or r["at"] < seen)]
        skipped += len(of_key) - len(known)
        key = Key([r for r in known if r["outcome"] == "ok" and
                   r["kind"] != "get"], wrong)
        for one in known:
            if one["outcome"] == "refused":
                before = bisect.bisect_left(ends, one["begin_us"])
                after = bisect.bisect_right(begins, (one["end_us"],
                                                     float("inf")))
                states = key.during(
                    highest[before - 1] if before else 0,
                    lowest[after] - 1 if after < len(lowest) else
                    float("inf"))
                if not any(is_right(one, state) for state in states):
                    wrong.append(f"{one} was never right")
            elif one["kind"] == "get":
                state = key.at(one["at"])
                if state is None or any(one[f] != state[f] for f in (
                        "uid", "revision", "value")):
                    wrong.append(f"{one} read {state}")
    return wrong, skipped
