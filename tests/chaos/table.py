#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""docs/chaos.md from the results of a run of all scenarios:

  tests/chaos/run --json all.json && tests/chaos/table.py all.json > docs/chaos.md"""

import json
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
for folder in ("../../deploy/lab", "../interop", "."):
    sys.path.insert(0, os.path.normpath(os.path.join(HERE, folder)))

from scenarios import SCENARIOS  # noqa: E402

HEAD = """# Scenarios of the chaos bench

Made by `tests/chaos/table.py` from a run of all of them (`tests/chaos/run`, see
[testing.md](testing.md)). Each is played on a region of real processes under
clients, and each ends with the same judgement: no VM ran twice at any time, no
guest's disk went back, nothing that was acknowledged is lost, what the clients
saw is linearizable, all replicas have equal states, every VM runs, and only those
that the fault explains were restarted.

Writes missing: the longest time without an answer to any of the clients' writes.

| scenario | what must come of it | writes missing | VMs restarted |
| --- | --- | ---: | ---: |
"""


def row(name, result):
    if "unavailable_s" in result:
        figures = f"{result['unavailable_s']:.1f} s | {len(result['restarts'])}"
    else:
        figures = f"{result['outcome']} | "
    return f"| {name} | {SCENARIOS[name].expects} | {figures} |"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    by_name = {r["scenario"]: r for r in results["scenarios"]}
    print(HEAD + "\n".join(row(name, by_name[name]) for name in SCENARIOS))
    print(f"\nAll: {results['line']}.")


if __name__ == "__main__":
    main()
