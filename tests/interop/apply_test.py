# SPDX-License-Identifier: Apache-2.0
"""A fleet in a file against real nodes: `holdfast apply` and `diff`; clients
and leaders that die on the way, and the same file again: nothing is half done,
nothing is done twice.

usage: apply_test.py BINARIES DESCRIPTORS [--vms N] [--rounds N] [--seed N]
                     [--bench]

--bench measures one apply of --vms VMs instead, which stay without hosts."""
import argparse
import json
import os
import pty
import random
import re
import resource
import subprocess
import tempfile
import time

import holdfast_client
from fake_host import FakeHost
from holdfast_region import Region, wait_until

ZONES = ["z1", "z2", "z3"]
SMALL = "{name: small, resources: {cpu_milli: 10, memory_mib: 8}}"


def check(good, *what):
    if not good:
        raise AssertionError(" ".join(map(str, what)))


def vm_yaml(name, **fields):
    more = "".join(f"  {key}: {value}\n" for key, value in fields.items())
    return (f"- name: {name}\n  class_name: small\n{more}"
            "  template:\n    driver: exec\n"
            "    command: [/bin/sleep, '100000']\n")


def fleet(vms, more=""):
    zones = "".join(f"- name: {zone}\n" for zone in ZONES)
    return (f"zones:\n{zones}classes:\n- {SMALL}\n{more}---\nvms:\n" +
            "".join(vms))


class Fleet:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.region = Region(options.binaries)
        self.folder = tempfile.TemporaryDirectory()
        address = self.region.nodes[0].address
        wait_until(lambda: holdfast_client.answers(address), "a node")
        holdfast_client.load_schema(options.descriptors, address)
        self.region.leader()
        self.endpoints = ",".join(node.address for node in self.region.nodes)
        self.hosts = []

    def close(self):
        for host in self.hosts:
            host.close()
        self.region.close()
        self.folder.cleanup()

    def file(self, text, name="fleet.yaml"):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def command(self, *arguments):
        return [f"{self.options.binaries}/holdfast", "--endpoint",
                self.endpoints, *arguments]

    def run(self, *arguments, code=0):
        done = subprocess.run(self.command(*arguments), capture_output=True,
                              text=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL)
        check(done.returncode == code, arguments, done.returncode, done.stdout,
              done.stderr)
        return done.stdout if code in (0, 2) and done.stdout else done.stderr

    def vms(self):
        client = self.region.client(self.region.leader())
        found, token = [], ""
        while True:
            page = client.call("VmService/ListVms", {"page_token": token})
            found += page.vms
            token = page.next_page_token
            if not token:
                return {vm.name: vm for vm in found}

    def agents(self):
        client = self.region.client(self.region.leader())
        for zone in ZONES:
            self.hosts.append(FakeHost(client, f"h-{zone}", zone))


def check_story(test):
    """Written, changed, pruned: as a person would."""
    path = test.file(fleet([vm_yaml("one"), vm_yaml("two", priority=5)]))
    text = test.run("diff", "-f", path, code=2)
    check("+ vm one\n" in text and "class_name: small" in text, text)
    check("6 to create; " in text, text)
    text = test.run("apply", "-f", path, "--dry-run")
    check("nothing was changed" in text, text)
    check(not test.vms(), "a dry run changed something")
    text = test.run("apply", "-f", path)
    check("created vm one\n" in text and "6 created; " in text, text)
    test.agents()
    text = test.run("apply", "-f", path, "--wait")
    check("6 unchanged; " in text and "2 of 2 VMs are there" in text, text)
    states = {vm.status.state for vm in test.vms().values()}
    check(states == {4}, "not all run:", states)
    check(test.run("diff", "-f", path).startswith("6 unchanged"), "a diff")

    changed = test.file(
        fleet([vm_yaml("two", priority=7, labels="{a: b}")],
              "groups:\n- name: web\n  count: 2\n  template:\n    class_name: "
              "small\n    template: {driver: exec, command: [/bin/true]}\n"),
        "changed.yaml")
    text = test.run("diff", "--prune", "-f", changed, code=2)
    check("~ vm two\n    priority: 5 -> 7\n    labels: none -> \"a\": \"b\"\n"
          in text, text)
    check("+ group web\n" in text and "- vm one\n" in text, text)
    text = test.run("apply", "--prune", "-f", changed, code=2)
    check("  vm one\n" in text and "--yes" in text, text)
    check("one" in test.vms(), "deleted without a word")
    text = test.run("apply", "--prune", "--yes", "-f", changed, "--wait")
    check("deleted vm one\n" in text, text)
    check(set(test.vms()) == {"two", "web-0", "web-1"}, set(test.vms()))
    exported = test.file(test.run("export"), "exported.yaml")
    text = test.run("diff", "--prune", "-f", exported)
    check("hosts are left aside" in text, text)


def check_terminal(test):
    """--prune asks where there is somebody to ask."""
    path = test.file(fleet([vm_yaml("asked")]), "asked.yaml")
    test.run("apply", "-f", path)
    gone = test.file(fleet([]), "gone.yaml")
    for answer, deleted in (("n\n", False), ("y\n", True)):
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            test.command("apply", "--prune", "-f", gone), stdin=theirs,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        os.write(ours, answer.encode())
        text, _ = child.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        check("vm asked\n" in text and "[y/N]" in text, text)
        check(child.returncode == (0 if deleted else 1), child.returncode, text)
        wait_until(lambda: ("asked" in test.vms()) != deleted, "the answer")


def check_places(test):
    """What is wrong is told with its file and line."""
    good = test.file("vms:\n" + vm_yaml("a") + vm_yaml("b"), "good.yaml")
    bad = test.file("# second\nvms:\n" + vm_yaml("c") +
                    "---\nvms:\n" + vm_yaml("d").replace("small", "none"),
                    "bad.yaml")
    text = test.run("apply", "-f", good, "-f", bad, code=3)
    check(f"{bad}:11: vms[3].class_name: " in text, text)
    twice = test.file("vms:\n" + vm_yaml("a"), "twice.yaml")
    text = test.run("apply", "-f", good, "-f", twice, code=2)
    check(f"{twice}:2: vms[2].name: 'a' stands in the manifest twice" in text,
          text)
    wrong = test.file("vms:\n- name: a\n  desired: maybe\n", "wrong.yaml")
    text = test.run("diff", "-f", wrong, code=1)
    check(f"{wrong}:3:" in text and "running" in text, text)
    check(not {"a", "b", "c", "d"} & set(test.vms()), "half of it is there")


def check_whole(test, names):
    """All or nothing of them; and each once, which its uid tells."""
    found = test.vms()
    there = [name for name in names if name in found]
    check(len(there) in (0, len(names)),
          f"{len(there)} of {len(names)} VMs are there")
    return {name: found[name].uid for name in there}


def check_killed(test):
    """Clients die at any point of their way, then the leader does."""
    for number in range(test.options.rounds):
        names = [f"r{number}-{i}" for i in range(test.options.vms)]
        path = test.file("vms:\n" + "".join(map(vm_yaml, names)))
        client = subprocess.Popen(test.command("apply", "-f", path),
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        time.sleep(test.random.random() * 0.3)
        if number % 2 == 0:
            client.kill()
            client.wait()
        else:
            leader = test.region.leader()
            leader.kill()
            client.wait(60)
            leader.start()
            test.region.leader()
        before = check_whole(test, names)
        text = test.run("apply", "-f", path)
        check(f"{len(names)} {'unchanged' if before else 'created'}; " in text,
              text)
        after = check_whole(test, names)
        check(len(after) == len(names) and (not before or before == after),
              "made again")
        test.run("diff", "-f", path)


def memory_mib(pid, what):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(rf"{what}:\s+(\d+)", status.read())[1]) / 1024


def bench(test):
    names = [f"vm-{i:05}" for i in range(test.options.vms)]
    path = test.file(fleet([vm_yaml(name, labels="{app: web, tier: front}")
                            for name in names]))
    leader = test.region.leader()
    with open(f"/proc/{leader.child.pid}/clear_refs", "w",
              encoding="ascii") as peak:
        peak.write("5")  # It counts from here on.
    result = {"vms": len(names), "file_mib": os.path.getsize(path) / 2**20,
              "leader_before_mib": memory_mib(leader.child.pid, "VmRSS")}
    for what in ("diff", "apply", "apply again", "diff again"):
        begun = time.monotonic()
        done = subprocess.run(test.command(what.split()[0], "-f", path),
                              stdout=subprocess.DEVNULL, check=False)
        check(done.returncode == (2 if what == "diff" else 0), what, "failed")
        result[what + " s"] = round(time.monotonic() - begun, 3)
    result["client_peak_mib"] = resource.getrusage(
        resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    result["leader_after_mib"] = memory_mib(leader.child.pid, "VmRSS")
    result["leader_peak_mib"] = memory_mib(leader.child.pid, "VmHWM")
    check(len(test.vms()) == len(names), "not all are there")
    print(json.dumps(result, indent=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries")
    parser.add_argument("descriptors")
    parser.add_argument("--vms", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bench", action="store_true")
    test = Fleet(parser.parse_args())
    try:
        if test.options.bench:
            bench(test)
            return
        check_story(test)
        check_terminal(test)
        check_places(test)
        check_killed(test)
    finally:
        test.close()
    print("ok")


if __name__ == "__main__":
    main()
