# SPDX-License-Identifier: Apache-2.0
"""tests/chaos/run: scenarios by name, or faults at random, with figures."""

import argparse
import json
import os
import signal
import statistics
import sys
import time
import traceback

import kill_test
from bench import Bench, Broken
from holdfast_client import Refused
from random_faults import run_random
from scenarios import SCENARIOS, Skipped

ROOT = os.path.normpath(os.path.join(os.path.dirname(
    os.path.realpath(__file__)), "../.."))


def parse():
    parser = argparse.ArgumentParser(
        prog="tests/chaos/run",
        description="Attacks a region of three zones, real processes on this "
        "machine, and judges from outside. Without --scenario or --random it "
        "runs all scenarios, which takes about half an hour.")
    parser.add_argument("--list", action="store_true",
                        help="the scenarios and what each expects")
    parser.add_argument("--scenario", nargs="+", metavar="NAME", default=[])
    parser.add_argument("--random", type=int, metavar="SECONDS",
                        help="faults drawn from the seed, one every few "
                        "seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="the results")
    parser.add_argument("--history", metavar="FILE",
                        help="what the clients saw, JSON lines")
    parser.add_argument("--keep", action="store_true",
                        help="leave the region running after a failure "
                        "(deploy/demo --end DIRECTORY ends it)")
    parser.add_argument("--binaries", default=f"{ROOT}/build/dev/bin")
    parser.add_argument(
        "--descriptors",
        default=f"{ROOT}/build/dev/tests/interop/standard.descriptors")
    parser.add_argument("--preload", metavar="FILE", help="the library that "
                        "breaks disks and clocks; by default the one that "
                        "was built with the binaries")
    options = parser.parse_args()
    if options.preload is None:
        built = os.path.join(options.binaries, "..", "tests", "chaos",
                             "libchaos_preload.so")
        options.preload = os.path.realpath(built) if os.path.exists(built) \
            else ""
    return options


def say(*words):
    print(*words, flush=True)


class Run:
    """Scenarios share a region as long as it stays well."""

    def __init__(self, options):
        self.options = options
        self.bench = None
        self.results = []
        self.operations = self.unknown = 0
        self.failed = 0

    def open(self):
        if self.bench is None:
            self.bench = Bench(self.options, self.options.seed)
            self.bench.start()
        return self.bench

    def close(self, failed=False):
        bench, self.bench = self.bench, None
        if bench is None:
            return
        workers = bench.workers
        self.operations += len(bench.acknowledgements.pairs) + \
            bench.history.count
        self.unknown += sum(getattr(w, "unknown", 0) for w in workers)
        if failed and self.options.keep:
            bench.judge.stop()
            bench.cluster.leave()
            say(f"     left running in {bench.cluster.disk}")
            return
        bench.close()

    def fail(self, name, again):
        """The next scenario gets a new region."""
        self.failed += 1
        say(f"        at {time.strftime('%H:%M:%S', time.gmtime())}; again: "
            f"tests/chaos/run {again} --seed {self.options.seed}")
        if self.bench is not None:
            say(f"        logs in {self.bench.save_logs(name)}")
        self.close(failed=True)

    def one(self, name):
        begin = time.monotonic()
        result = {"scenario": name, "outcome": "ok"}
        try:
            bench = self.open()
            bench.prepare()
            SCENARIOS[name].play(bench)
            bench.settle()
            result["unavailable_s"] = round(bench.unavailability(), 3)
            result["restarts"] = sorted(bench.restarted())
        except Skipped as reason:
            result["outcome"] = f"skipped: {reason}"
            self.bench.settle()
        except (Broken, kill_test.Wrong, Refused, AssertionError) as error:
            result["outcome"] = f"failed: {error}"
        except Exception:  # pylint: disable=broad-except
            result["outcome"] = f"failed: {traceback.format_exc()}"
        seconds = time.monotonic() - begin
        result["seconds"] = round(seconds, 1)
        self.results.append(result)
        say(f"{result['outcome'].split(':')[0]:8}{name:42}{seconds:6.1f} s"
            + (f"  writes missing for {result['unavailable_s']:.1f} s, "
               f"{len(result['restarts'])} VMs restarted"
               if "restarts" in result else "  " +
               result["outcome"].partition(":")[2]))
        if result["outcome"].startswith("failed"):
            self.fail(name, f"--scenario {name}")

    def summary(self):
        gaps = [r["unavailable_s"] for r in self.results
                if "unavailable_s" in r] or [0]
        skipped = sum(r["outcome"].startswith("skipped")
                      for r in self.results)
        return (f"{len(self.results)} scenarios, {self.failed} failed, "
                f"{skipped} skipped; {self.operations} operations, "
                f"{self.unknown} unknown; writes unavailable worst "
                f"{max(gaps):.1f} s, median {statistics.median(gaps):.1f} s")


def ended(_number, _frame):
    raise KeyboardInterrupt


def main():
    options = parse()
    if options.list:
        for name, scenario in SCENARIOS.items():
            say(f"{name:42}{scenario.expects}")
        say(f"{len(SCENARIOS)} scenarios")
        return 0
    unknown = [n for n in options.scenario if n not in SCENARIOS]
    if unknown:
        say(f"no scenario {unknown[0]}; --list tells them")
        return 2
    if not os.access(f"{options.binaries}/holdfastd", os.X_OK):
        say(f"nothing is built in {options.binaries}: cmake --preset dev && "
            "ninja -C build/dev")
        return 2
    signal.signal(signal.SIGTERM, ended)
    run = Run(options)
    try:
        if options.random:
            figures = run_random(run, options.random, options.seed)
        else:
            for name in options.scenario or SCENARIOS:
                run.one(name)
            run.close()
            figures = {"scenarios": run.results, "line": run.summary()}
        say(figures["line"])
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(figures, file, indent=1)
    except KeyboardInterrupt:
        say("ended by hand")
        return 130
    finally:
        run.close()
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
