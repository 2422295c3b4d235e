# SPDX-License-Identifier: Apache-2.0
"""--wait of the command line, against a real region.

usage: operation_wait_test.py BINARIES DESCRIPTORS"""
import sys
import threading
import unittest

from api_case import Seen, read_table
from api_operations import OperationsCase


class Waiting(OperationsCase):
    """--wait of the command line ends when the operation does."""

    def says(self, words, code, *texts, stdin=""):
        options, *program = words.split(" --command ")
        text, found = self.holdfast(
            *options.split(), "--wait",
            *(["--command", *program] if program else []), stdin=stdin)
        self.assertEqual(found, code, text)
        for part in texts:
            self.assertIn(part, text)

    def test_of_vms(self):
        vm = self.running_vm()
        self.says(f"vm stop {vm}", 0, f"vm {vm} stopped")
        self.says(f"vm start {vm}", 0, f"vm {vm} running on h")
        before = self.vm(vm).status.epoch
        self.says(f"vm move {vm}", 0, f"vm {vm} running on h")
        self.assertGreater(self.vm(vm).status.epoch, before)
        self.says(f"vm delete {vm} --yes", 0, f"vm {vm} is gone")
        self.says(f"vm create {vm} --class small --stopped "
                  "--command /bin/true", 0, f"vm {vm} stopped")
        with self.quiet():
            self.says(f"vm start {vm} --wait-timeout 1s", 7,
                      "not there yet", f"vm {vm}: not running yet")

    def test_of_a_vm_that_somebody_stops_meanwhile(self):
        vm = self.running_vm()
        self.says(f"vm stop {vm}", 0)
        with self.quiet():
            other = threading.Timer(1, self.leader.call, (
                "VmService/StopVm", {"name": vm}))
            other.start()
            self.says(f"vm start {vm}", 1, f"vm {vm}: cancelled: "
                      "the VM shall be stopped by now")
            other.join()

    def test_of_a_vm_that_somebody_deletes_meanwhile(self):
        vm = self.name()  # It finds no place, so it can go at once.
        other = threading.Timer(1, self.leader.call, (
            "VmService/DeleteVm", {"name": vm}))
        other.start()
        self.says(f"vm create {vm} --cpu 1000 --memory 1GiB "
                  "--command /bin/true", 3, f"vm {vm} was deleted meanwhile")
        other.join()

    def test_of_groups(self):
        group = self.name("group")
        self.says(f"group create {group} --count 2 --class small "
                  "--command /bin/true", 0, f"group {group}: 2 running")
        self.says(f"group scale {group} 3", 0, f"group {group}: 3 running")
        with self.quiet():
            self.says(f"group scale {group} 4 --wait-timeout 1s", 7,
                      "3 of 4 members are as they shall be")
        self.says(f"group delete {group} --yes", 0, f"group {group} is gone")

    def test_of_drains(self):
        vm = self.running_vm(zone="z1")
        self.addCleanup(self.leader.call, "HostService/CancelDrainHost",
                        {"name": "h1"})
        self.says("host drain h1 --wait-timeout 1s", 7, "left on it: 1 VM",
                  f"vm {vm}")
        self.says("zone drain z1", 6, "drained of all that can leave",
                  f"vm {vm}: may run in this zone only")
        self.ok("ZoneService/CancelDrainZone", {"name": "z1"})
        self.ok("VmService/DeleteVm", {"name": vm})
        self.says("host drain h1", 0, "host h1 is empty")

    def test_of_applies(self):
        vm = self.name()
        fleet = (f"vms: [{{name: {vm}, class_name: small, template: "
                 "{driver: exec, command: [/bin/true]}}]")
        with self.quiet():
            self.says("apply -f - --wait-timeout 1s", 7, f"vm {vm} is",
                      stdin=fleet)
        self.wait_vm(vm, "RUNNING")
        # It is true by now: nothing is set in motion.
        self.says("apply -f -", 0, "1 of 1 VMs are there", stdin=fleet)
        other = self.name()
        self.says("apply -f -", 0, "1 of 1 VMs are there",
                  stdin=fleet.replace(vm, other))
        host = self.vm(other).status.host
        plan = self.ok("PlanService/MakePlan", {
            "action": {"drain_host": {"name": host}}}).plan.id
        self.addCleanup(self.leader.call, "HostService/CancelDrainHost",
                        {"name": host})
        self.says(f"plan apply {plan}", 0, f"plan {plan} is carried out")
        self.assertNotEqual(self.vm(other).status.host, host)
        text, code = self.command("list", "--kind", "apply_plan")
        self.assertIn(f"apply-plan.{plan}.", text)
        self.assertEqual(code, 0)

    def test_of_an_apply_of_which_a_part_fails(self):
        vm = self.name()
        with self.quiet():
            other = threading.Timer(1, self.leader.call, (
                "VmService/StopVm", {"name": vm}))
            other.start()
            self.says("apply -f -", 1, "apply: cancelled: 0 of 1 parts are",
                      stdin=f"vms: [{{name: {vm}, class_name: small, "
                      "template: {driver: exec, command: [/bin/true]}}]")
            other.join()


if __name__ == "__main__":
    Seen.binaries, Seen.standard = sys.argv.pop(1), sys.argv.pop(1)
    read_table(Seen.binaries)
    unittest.main(verbosity=2)
