# SPDX-License-Identifier: Apache-2.0
"""`holdfast export` of a live region: it is the fleet that stock grpcio sees,
it reads again as the same, and it is the same bytes each time.

usage: export_test.py BINARIES DESCRIPTORS MANIFEST_AGAIN"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "interop"))
import holdfast_client  # noqa: E402  (of the folder above)
from fake_host import FakeHost  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from holdfast_region import Region, wait_until  # noqa: E402

BINARIES, STANDARD, AGAIN = sys.argv[1:4]
# Of each kind: what a person writes. All else is not in an export.
WISHES = {
    "zones": ["name", "cordoned"],
    "classes": ["name", "resources", "zones"],
    "hosts": ["name", "zone", "fault_domain", "cordoned", "capacity", "pools",
              "drivers", "labels"],
    "vms": ["name", "class_name", "zone", "priority", "on_partition",
            "desired", "template", "labels"],
}
LISTS = {"zones": "ZoneService/ListZones", "classes":
         "ClassService/ListClasses", "hosts": "HostService/ListHosts",
         "vms": "VmService/ListVms"}
EXEC = {"driver": "DRIVER_EXEC", "command": ["/bin/sleep", "100000"],
        "environment": ["TEXT=a: b # c\nü"], "stop_grace_ms": 3000}


def again(path, *form):
    return subprocess.run([AGAIN, path, *form], capture_output=True, text=True,
                          check=False, timeout=60)


class Exports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hosts = []
        cls.region = Region(BINARIES)
        try:
            address = cls.region.nodes[0].address
            wait_until(lambda: holdfast_client.answers(address), "a node")
            holdfast_client.load_schema(STANDARD, address)
            cls.fill()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for host in cls.hosts:
            host.close()
        cls.region.close()

    @classmethod
    def fill(cls):
        client = cls.client = cls.region.client(cls.region.leader())
        for number in (3, 1, 2):
            client.call("ZoneService/CreateZone", {"name": f"z{number}"})
        client.call("ZoneService/CordonZone", {"name": "z3"})
        for name, zones in (("small", []), ("big", ["z2", "z1"])):
            client.call("ClassService/CreateClass", {"vm_class": {
                "name": name, "zones": zones, "resources": {
                    "cpu_milli": 100, "memory_mib": 64, "disk_gib": 1}}})
        for number in range(1, 13):
            host = FakeHost(client, f"h{number}", f"z{number % 3 + 1}",
                            pools=["san", "fast"][:number % 3],
                            fault_domain=f"r{number % 2}",
                            labels={"rack": f"r{number}", "a": "no"})
            cls.hosts.append(host)
            host.wait_welcome()
        client.call("HostService/CordonHost", {"name": "h2"})
        client.call("ClusterService/UpdateSettings", {
            "settings": {"start_parallel": 7},
            "update_mask": ["start_parallel"]})
        cls.vms(client)

    @classmethod
    def vms(cls, client):
        for number in range(1, 31):
            vm = {"name": f"web-{number}", "class_name": "small",
                  "template": EXEC}
            if number % 3 == 0:
                vm.update(zone="z1", priority=number,
                          on_partition="ON_PARTITION_KEEP",
                          labels={"tier": "web", "on": "off", "ü": "1.5"})
            if number % 5 == 0:
                vm.update(class_name="big", template={
                    "driver": "DRIVER_EXEC", "command": ["a b", "", "{disk0}"],
                    "disks": [{"kind": "DISK_KIND_SHARED", "pool": "san",
                               "path": "{name}.img"}]})
            if number % 7 == 0:
                vm.update(desired="DESIRED_STATE_STOPPED")
            client.call("VmService/CreateVm", {"vm": vm})
        wait_until(lambda: cls.running(client) >= 20, "VMs run")

    @staticmethod
    def running(client):
        answer = client.call("VmService/ListVms", {"state": "VM_STATE_RUNNING"})
        return len(answer.vms)

    def holdfast(self, *arguments):
        nodes = ",".join(node.address for node in self.region.nodes)
        return subprocess.run(
            [f"{BINARIES}/holdfast", "--endpoint", nodes, *arguments],
            capture_output=True, text=True, check=True, timeout=60).stdout

    def file(self, *arguments):
        path = f"{self.region.directory}/{self.id().rsplit('.', 1)[1]}.yaml"
        self.holdfast("export", "-f", path, *arguments)
        return path

    def seen(self, kind):
        """What stock grpcio sees of the kind, as YAML names it."""
        answer = self.client.call(LISTS[kind], {})
        self.assertEqual(answer.next_page_token, "")
        found = {}
        for item in getattr(answer, kind):
            fields = json_format.MessageToDict(
                item, preserving_proto_field_name=True)
            found[fields["name"]] = {
                key: value for key, value in fields.items()
                if key in WISHES[kind]}
        return found

    def assert_same(self, kind, items):
        seen = self.seen(kind)
        self.assertEqual(sorted(item["name"] for item in items), sorted(seen))
        for item in items:
            self.assertEqual(self.lower(item),
                             self.lower(seen[item["name"]]))

    def lower(self, fields):
        """Enum values by their short names, on both sides."""
        text = json.dumps(fields, sort_keys=True)
        return json.loads(re.sub(
            r'"(?:DRIVER|DESIRED_STATE|ON_PARTITION|DISK_KIND|HEADROOM_MODE|'
            r'REBALANCE_MODE)_(\w+)"',
            lambda match: f'"{match[1].lower()}"', text))

    def test_it_is_the_fleet_that_others_see(self):
        manifest = json.loads(self.holdfast("export", "-o", "json"))
        for kind in WISHES:
            self.assert_same(kind, manifest[kind])
        settings = json_format.MessageToDict(
            self.client.call("ClusterService/GetSettings", {}).settings,
            preserving_proto_field_name=True)
        self.assertEqual(settings.pop("revision") != "", True)
        self.assertEqual(self.lower(manifest["settings"]),
                         self.lower(settings))
        self.assertEqual(settings["start_parallel"], 7)
        self.assertEqual([host["name"] for host in manifest["hosts"]],
                         [f"h{number}" for number in range(1, 13)])
        self.assertEqual([vm["name"] for vm in manifest["vms"]],
                         [f"web-{number}" for number in range(1, 31)])

    def test_it_reads_again_as_the_same_fleet(self):
        for facts in ([], ["--status"]):
            yaml = self.file(*facts)
            with open(yaml, encoding="utf-8") as file:
                text = file.read()
            done = again(yaml)
            self.assertEqual((done.stdout, done.stderr), (text, ""))
            inside = again(yaml, "json").stdout
            self.assertEqual(again(self.file("-o", "json", *facts)).stdout,
                             text)
            self.assertEqual(len(json.loads(inside)["vms"]), 30)

    def test_two_exports_are_the_same_bytes(self):
        for options in ([], ["--status"], ["-o", "json"]):
            one, two = (self.holdfast("export", *options) for _ in range(2))
            self.assertEqual(one, two)
        follower = self.region.followers()[0]
        self.assertEqual(
            subprocess.run([f"{BINARIES}/holdfast", "-e", follower.address,
                            "export", "--stale"], capture_output=True,
                           text=True, check=True, timeout=60).stdout,
            self.holdfast("export"))

    def test_the_facts_are_those_of_the_region(self):
        manifest = json.loads(self.holdfast("export", "--status", "-o",
                                            "json"))
        vm = self.client.call("VmService/GetVm", {"name": "web-1"}).vm
        written, = (vm for vm in manifest["vms"] if vm["name"] == "web-1")
        self.assertEqual((written["uid"], written["revision"]),
                         (str(vm.uid), str(vm.revision)))
        self.assertEqual((written["status"]["host"], written["status"]["state"],
                          written["status"]["epoch"]),
                         (vm.status.host, "running", str(vm.status.epoch)))
        self.assertEqual({host["state"] for host in manifest["hosts"]}, {"up"})
        for host in manifest["hosts"]:
            self.assertFalse({"used", "vm_count", "lease"} & set(host))

    def test_the_live_region_can_be_simulated(self):
        try:
            text = self.holdfast("simulate", "-o", "json", "--seeds", "3")
        except subprocess.CalledProcessError as error:
            # Not all of it finds another host.
            self.assertEqual(error.returncode, 6)
            text = error.stdout
        report = json.loads(text)
        self.assertEqual(report["file"], "the live region")
        self.assertEqual(report["fleet"]["hosts"], len(self.seen("hosts")))
        self.assertEqual(report["fleet"]["vms"], len(self.seen("vms")))
        self.assertEqual(report["rules_broken"], 0)

    def test_an_export_of_a_busy_region_is_whole(self):
        """A setting is written before a VM, and read before it as well: what
        is read at two times shows the VM ahead."""
        done = threading.Event()

        def write():
            client = holdfast_client.Client(self.region.leader().address)
            for number in range(2, 1000):
                client.call("ClusterService/UpdateSettings", {
                    "settings": {"start_parallel": number},
                    "update_mask": ["start_parallel"]})
                client.call("VmService/UpdateVm", {
                    "vm": {"name": "web-1", "priority": number},
                    "update_mask": ["priority"]})
                if done.is_set():
                    break
            client.close()
        seen = set()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            while len(seen) < 10 and writer.is_alive():
                manifest = json.loads(self.holdfast("export", "-o", "json"))
                first = manifest["settings"]["start_parallel"]
                second = manifest["vms"][0].get("priority", first)
                self.assertIn(first - second, (0, 1))
                seen.add(first)
        finally:
            done.set()
            writer.join()
            self.client.call("ClusterService/UpdateSettings", {
                "settings": {"start_parallel": 7},
                "update_mask": ["start_parallel"]})
        self.assertGreater(len(seen), 3, "little was written meanwhile")


class Documented(unittest.TestCase):
    def test_the_example_of_the_documentation_is_read(self):
        page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
        section = page.split("\n## Manifests\n")[1].split("\n## ")[0]
        example, = re.findall(r"```yaml\n(.*?)```", section, re.S)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(example)
            file.flush()
            done = again(file.name, "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        manifest = json.loads(done.stdout)
        self.assertEqual(set(manifest), {"settings", "groups", "reservations",
                                         "grants", *WISHES})
        for kind, names in WISHES.items():
            for item in manifest[kind]:
                self.assertLessEqual(set(item), set(names))
        # The bounds that the page names are those of the reader.
        header = (ROOT / "proto" / "manifest.h").read_text(encoding="utf-8")
        self.assertRegex(header, r"MANIFEST_BYTES_MAX +\(\(size_t\)1024 \* "
                                 r"1024 \* 1024\)")
        self.assertIn("1 GiB", section)


if __name__ == "__main__":
    os.environ.pop("HOLDFAST_ENDPOINTS", None)
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
