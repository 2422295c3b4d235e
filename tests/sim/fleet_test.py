# SPDX-License-Identifier: Apache-2.0
"""`holdfast simulate` on fleets of a manifest: what it says must be what a
person can reckon, and what is wrong is told by name."""

import json
import subprocess
import sys
import tempfile
import unittest

HOLDFAST = sys.argv.pop(1)


def fleet(hosts=6, vms=24, cpus=16, **more):
    """Three zones; VMs of 2 CPUs, so that a host holds `cpus` / 2."""
    text = {
        "zones": [{"name": z} for z in ("a", "b", "c")],
        "classes": [{"name": "small", "resources": {
            "cpu_milli": 2000, "memory_mib": 1024}}],
        "hosts": [{"name": f"h{i}", "zone": "abc"[i % 3], "capacity": {
            "cpu_milli": 1000 * cpus, "memory_mib": 65536}}
            for i in range(hosts)],
        "vms": [{"name": f"vm{i}", "class_name": "small"}
                for i in range(vms)],
    }
    text.update(more)
    return text


class FleetTest(unittest.TestCase):
    def run_it(self, manifest, *options):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(manifest, file)
            file.flush()
            return subprocess.run(
                [HOLDFAST, "simulate", "-f", file.name, *options],
                capture_output=True, text=True, check=False)

    def report(self, manifest, *options, code=0):
        done = self.run_it(manifest, "-o", "json", *options)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return json.loads(done.stdout)

    def test_a_fleet_with_room_loses_any_zone(self):
        report = self.report(fleet(), "--seeds", "6")
        self.assertEqual(report["rules_broken"], 0)
        self.assertEqual(report["fleet"]["vms"], 24)
        self.assertEqual([z["zone"] for z in report["zone_losses"]],
                         ["a", "b", "c"])
        for zone in report["zone_losses"]:
            self.assertEqual(zone["losses"], 2)
            self.assertEqual(zone["unplaced"]["worst"], 0)
            # Not before the lease has ended, and within the published bound.
            self.assertGreater(zone["start_order_ms"]["worst"], 3900)
            self.assertLess(zone["start_order_ms"]["worst"], 8000)
            self.assertGreaterEqual(zone["all_running_ms"]["worst"],
                                    zone["start_order_ms"]["worst"])

    def test_what_does_not_fit_is_counted(self):
        # 48 places, 40 of them taken; 32 are left without a zone.
        report = self.report(fleet(vms=40), "--seeds", "3", code=6)
        self.assertEqual(report["fleet"]["unplaced_when_well"], 0)
        for zone in report["zone_losses"]:
            self.assertEqual(zone["unplaced"]["worst"], 8)
        done = self.run_it(fleet(vms=40), "--seeds", "3")
        self.assertIn("NOT every zone can be lost: up to 8 VMs", done.stdout)
        # 52 do not even fit when all is well.
        report = self.report(fleet(vms=52), "--seeds", "1", code=6)
        self.assertEqual(report["fleet"]["unplaced_when_well"], 4)

    def test_members_of_groups_are_vms(self):
        groups = [{"name": "web", "count": 20, "zone_mode": "strict",
                   "template": {"class_name": "small"}},
                  {"name": "own", "count": 4, "template": {
                      "resources": {"cpu_milli": 2000, "memory_mib": 512}}},
                  {"name": "rules"}]
        vms = [{"name": "odd", "group": "web", "resources": {
            "cpu_milli": 1000, "memory_mib": 512}}]
        manifest = fleet(vms=0, groups=groups, reservations=[
            {"name": "r", "zone": "a", "class_name": "small", "count": 2}])
        manifest["vms"] = vms
        report = self.report(manifest, "--seeds", "3")
        self.assertEqual(report["fleet"]["vms"], 25)
        self.assertEqual(report["rules_broken"], 0)
        for zone in report["zone_losses"]:
            self.assertEqual(zone["unplaced"]["worst"], 0)
        done = self.run_it(manifest, "--seeds", "1")
        self.assertIn("rules of groups are not simulated", done.stderr)

    def test_bound_vms_wait(self):
        manifest = fleet(vms=0)
        manifest["vms"] = [
            {"name": "z", "class_name": "small", "zone": "b"},
            {"name": "k", "class_name": "small", "on_partition": "keep"},
            {"name": "s", "class_name": "small", "desired": "stopped"},
        ]
        report = self.report(manifest, "--seeds", "6")
        waits = {z["zone"]: z["waiting_for_zone"]["worst"]
                 for z in report["zone_losses"]}
        self.assertEqual(waits, {"a": 0, "b": 1, "c": 0})
        self.assertLessEqual(max(z["waiting_for_host"]["worst"]
                                 for z in report["zone_losses"]), 1)

    def test_host_selectors_hold(self):
        # A host of each zone has the label, with places for 8; 16 are left
        # when one zone is lost.
        selects = {"host_selector": {"disk": "ssd"}}
        manifest = fleet(vms=0)
        for host in manifest["hosts"][:3]:
            host["labels"] = {"disk": "ssd", "row": "1"}
        manifest["vms"] = [{"name": f"fast{i}", "class_name": "small",
                            **selects} for i in range(10)]
        manifest["groups"] = [{"name": "quick", "count": 10, "template": {
            "class_name": "small", **selects}}]
        report = self.report(manifest, "--seeds", "3", code=6)
        self.assertEqual(report["fleet"]["unplaced_when_well"], 0)
        for zone in report["zone_losses"]:
            self.assertEqual(zone["unplaced"]["worst"], 4)
        manifest["groups"][0]["count"] = 6
        report = self.report(manifest, "--seeds", "3")
        for zone in report["zone_losses"]:
            self.assertEqual(zone["unplaced"]["worst"], 0)
        nowhere = fleet(vms=0)
        nowhere["vms"] = [{"name": "a", "class_name": "small", **selects}]
        report = self.report(nowhere, "--seeds", "1", code=6)
        self.assertEqual(report["fleet"]["unplaced_when_well"], 1)

    def test_vms_with_local_disks_wait_for_their_host(self):
        template = {"driver": "exec", "command": ["/bin/true"], "disks": [
            {"kind": "local", "pool": "scratch", "path": "{uid}"}]}
        manifest = fleet(vms=6)
        manifest["vms"] += [{"name": f"db{i}", "class_name": "small",
                             "template": template} for i in range(9)]
        for host in manifest["hosts"]:
            host["pools"] = ["scratch"]
        report = self.report(manifest, "--seeds", "6")
        self.assertEqual(report["rules_broken"], 0)
        waits = [z["waiting_for_host"]["worst"] for z in report["zone_losses"]]
        # Each is on some host, whose zone is lost once.
        self.assertGreaterEqual(sum(waits), 9)
        for zone in report["zone_losses"]:
            self.assertEqual(zone["unplaced"]["worst"], 0)
            self.assertEqual(zone["waiting_for_zone"]["worst"], 0)
        done = self.run_it(manifest, "--seeds", "3")
        self.assertIn("Every zone can be lost", done.stdout)
        # With faults they are back where they were.
        report = self.report(manifest, "--seeds", "1", "--faults",
                             "host-power,zone-power")
        self.assertEqual(report["rules_broken"], 0)
        # Where no host has the pool the region says so.
        for host in manifest["hosts"]:
            host["pools"] = ["store"]
        self.wrong(manifest, "no host ever reported the pool 'scratch'")

    def test_gpus_and_named_resources_count(self):
        manifest = fleet(vms=4)
        for host in manifest["hosts"][:3]:
            host["capacity"].update(gpu_count=2, named={"licences": 3})
        manifest["classes"] += [
            {"name": "gpu", "resources": {
                "cpu_milli": 1000, "memory_mib": 512, "gpu_count": 1}},
            {"name": "licensed", "resources": {
                "cpu_milli": 1000, "memory_mib": 512,
                "named": {"licences": 1}}}]
        manifest["vms"] += [{"name": f"g{i}", "class_name": "gpu"}
                            for i in range(5)]
        manifest["vms"] += [{"name": f"l{i}", "class_name": "licensed"}
                            for i in range(8)]
        report = self.report(manifest, "--seeds", "3", code=6)
        self.assertEqual(report["fleet"]["unplaced_when_well"], 0)
        for zone in report["zone_losses"]:
            self.assertEqual(zone["unplaced"]["worst"], 1 + 2)

    def test_reservations_hold_room(self):
        # 48 places, 12 of them kept in zone a for what fails over there.
        manifest = fleet(vms=32, reservations=[
            {"name": "r", "zone": "a", "class_name": "small", "count": 12}])
        report = self.report(manifest, "--seeds", "3")
        self.assertEqual(report["fleet"]["unplaced_when_well"], 0)
        manifest = fleet(vms=40, reservations=[
            {"name": "r", "zone": "a", "class_name": "small", "count": 12}])
        report = self.report(manifest, "--seeds", "1", code=6)
        self.assertEqual(report["fleet"]["unplaced_when_well"], 4)

    def test_settings_are_used(self):
        slow = fleet(settings={"lease_wait_ms": 12000, "lease_run_ms": 11000})
        for zone in self.report(slow, "--seeds", "3")["zone_losses"]:
            self.assertGreater(zone["start_order_ms"]["worst"], 9000)
        self.wrong(fleet(settings={"lease_run_ms": 20000}),
                   "the region refuses the fleet: settings.lease_wait")

    def test_cordoned_hosts_take_nothing(self):
        manifest = fleet(vms=24)
        for host in manifest["hosts"][:3]:
            host["cordoned"] = True
        report = self.report(manifest, "--seeds", "3", code=6)
        for zone in report["zone_losses"]:
            self.assertEqual(zone["unplaced"]["worst"], 8)

    def test_faults_by_name(self):
        report = self.report(fleet(), "--faults", "zone-power,agent-kill",
                             "--seeds", "2")
        self.assertEqual(set(report["faults"]), {"zone-power", "agent-kill"})
        self.assertEqual(report["rules_broken"], 0)
        self.assertEqual(report["zone_losses"], [])
        self.assertGreater(report["calls"], 100)

    def test_the_same_seed_tells_the_same(self):
        one = self.run_it(fleet(), "--seeds", "2", "--first", "9", "-o", "json")
        two = self.run_it(fleet(), "--seeds", "2", "--first", "9", "-o", "json")
        self.assertEqual(one.stdout.split("\n", 2)[2],
                         two.stdout.split("\n", 2)[2])

    def wrong(self, manifest, words, *options):
        done = self.run_it(manifest, *options)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn(words, done.stderr)

    def test_what_is_wrong_is_told_by_name(self):
        self.wrong(fleet(zones=[]), "zones: 0; there must be 1 to 5")
        self.wrong(fleet(hosts=0), "hosts: 0; there must be 1 to")
        self.wrong(fleet(classes=[]), "classes: none")
        self.wrong(fleet(zones=[{"name": "a"}, {"name": "b"}]),
                   "hosts[2].zone: 'c' of host 'h2' is none of `zones`")
        self.wrong(fleet(cpus=0), "hosts[0].capacity: ")
        self.wrong(fleet(classes=[{"name": "big", "resources": {
            "cpu_milli": 1, "memory_mib": 1}}]), "vms[0].class_name: 'small'")
        self.wrong(fleet(vms=0, wms=[]), "wms: unknown key")
        elsewhere = {"name": "a", "class_name": "small", "zone": "q"}
        self.wrong({**fleet(), "vms": [elsewhere]}, "vms[0].zone: 'q'")
        named = fleet()
        named["hosts"][1]["name"] = "Host 1"
        self.wrong(named, "hosts[1].name: ")
        labelled = fleet()
        labelled["hosts"][2]["labels"] = {"k" * 64: "v"}
        self.wrong(labelled, "hosts[2].labels: ")
        pooled = fleet()
        pooled["hosts"][0]["pools"] = ["Not A Name"]
        self.wrong(pooled, "hosts[0].pools: ")
        self.wrong(fleet(), "there is no fault 'zone'", "--faults", "zone")
        self.wrong(fleet(), "'many' is not a number", "--seeds", "many")


if __name__ == "__main__":
    unittest.main()
