# SPDX-License-Identifier: Apache-2.0
"""`holdfast support-bundle` against live nodes: standard tar opens it, all of
the region is in it, and no secret is.

usage: support_bundle_test.py BINARIES DESCRIPTORS"""
import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest

import holdfast_client
from holdfast_region import Region, free_ports, wait_until

BINARIES, DESCRIPTORS = map(os.path.abspath, sys.argv[1:3])
SECRET = "hunter2-the-secret"


class HttpRegion(Region):
    def write_config(self, node, settings):
        if node.number != 3:
            node.http, = free_ports(1)
            settings = {**settings, "http_listen": f'"127.0.0.1:{node.http}"'}
        super().write_config(node, settings)


class Bundle(unittest.TestCase):
    def setUp(self):
        self.region = HttpRegion(BINARIES)
        self.addCleanup(self.region.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        first = self.region.nodes[0].address
        wait_until(lambda: holdfast_client.answers(first), "a node")
        holdfast_client.load_schema(DESCRIPTORS, first)
        client = self.region.client(self.region.leader())
        for zone in ("z1", "z2", "z3"):
            client.call("ZoneService/CreateZone", {"name": zone})
        client.call("ClassService/CreateClass", {"vm_class": {
            "name": "small", "resources": {
                "cpu_milli": 100, "memory_mib": 64}}})
        template = {"driver": "DRIVER_EXEC", "command": ["/bin/run", SECRET],
                    "environment": [f"DB_PASSWORD={SECRET}"]}
        client.call("VmService/CreateVm", {"vm": {
            "name": "waits", "class_name": "small", "template": template}})
        client.call("GroupService/CreateGroup", {"group": {
            "name": "web", "count": 2, "template": {
                "class_name": "small", "template": template}}})

    def run_bundle(self, *options, code=0):
        done = subprocess.run(
            [f"{BINARIES}/holdfast", "support-bundle", *options], text=True,
            capture_output=True, timeout=60, check=False, cwd=self.folder,
            env={**os.environ, "XDG_CONFIG_HOME": self.folder,
                 "HOLDFAST_ENDPOINTS": ",".join(
                     node.address for node in self.region.nodes)})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def open(self, name):
        """{member: text} of the archive, as tar(1) lists it."""
        path = f"{self.folder}/{name}"
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        listed = subprocess.run(["tar", "tf", path], check=True, text=True,
                                capture_output=True)
        self.assertEqual(listed.stderr, "")
        with tarfile.open(path) as tar:
            parts = {member.name: tar.extractfile(member).read().decode()
                     for member in tar}
        self.assertEqual(listed.stdout.split(), list(parts))
        return {name.removeprefix("holdfast-support/"): text
                for name, text in parts.items()}

    def test_all_of_it_and_no_secret(self):
        os.mkdir(f"{self.folder}/logs")
        with open(f"{self.folder}/logs/node.log", "w", encoding="utf-8") as log:
            log.write("a line\n")
        printed = self.run_bundle("-f", "b.tar", "--logs", "logs")
        parts = self.open("b.tar")
        for name in parts:
            self.assertIn(f"holdfast-support/{name} ", printed)
        for name, text in parts.items():
            self.assertNotIn(SECRET, text, name)
            if name.endswith(".json"):
                json.loads(text)
        for node in ("n1", "n2"):
            self.assertIn(f'node="{node}"', parts[f"nodes/{node}/metrics.txt"])
            status = json.loads(parts[f"nodes/{node}/status.json"])
            self.assertEqual(status["node"]["name"], node)
        self.assertIn("no http_listen", parts["nodes/n3/metrics.txt.missing"])
        self.assertIn("DB_PASSWORD=(redacted)",
                      parts["region/pending-vms.json"])
        names = [vm["name"] for vm in
                 json.loads(parts["region/pending-vms.json"])["vms"]]
        self.assertIn("waits", names)
        zones = json.loads(parts["region/zones.json"])["zones"]
        self.assertEqual({zone["name"] for zone in zones}, {"z1", "z2", "z3"})
        kinds = {json.loads(line)["kind"]
                 for line in parts["region/events.jsonl"].splitlines()}
        self.assertLessEqual({"zone", "class", "vm", "group"}, kinds)
        self.assertIn("quorum: ", parts["doctor.txt"])
        self.assertIn("set in the environment: HOLDFAST_ENDPOINTS\n",
                      parts["setup.txt"])
        self.assertEqual(parts["logs/node.log"], "a line\n")
        # What is there is kept.
        before = os.stat(f"{self.folder}/b.tar")
        self.assertIn("there already", self.run_bundle("-f", "b.tar", code=4))
        self.assertEqual(os.stat(f"{self.folder}/b.tar"), before)
        self.assertIn("cannot read none",
                      self.run_bundle("--logs", "none", code=2))
        self.without_a_node()

    def without_a_node(self):
        lost = self.region.followers()[0]
        lost.kill()
        name = self.run_bundle("-o", "name").strip()
        self.assertRegex(name, r"^holdfast-support-interop-\d{8}T\d{6}Z\.tar$")
        parts = self.open(name)
        self.assertIn(f"not here: {lost.address}: ",
                      parts[f"nodes/{lost.name}/status.json.missing"])
        self.assertNotIn("logs/node.log", parts)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
