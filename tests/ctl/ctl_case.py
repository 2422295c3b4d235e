# SPDX-License-Identifier: Apache-2.0
"""What tests of the command line share: fake nodes, runs of the program.
sys.argv: HOLDFAST PROTO_DIR [unittest options]"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HOLDFAST = sys.argv[1]
PROTOS = pathlib.Path(sys.argv[2])
stubs = tempfile.TemporaryDirectory()
subprocess.run(["protoc", f"-I{PROTOS}", f"--python_out={stubs.name}",
                *map(str, PROTOS.glob("holdfast/v1/*.proto"))], check=True)
sys.path.insert(0, stubs.name)
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from fake_region import Node, Region  # noqa: E402  (needs the stubs)


def command(endpoints, *arguments):
    return [HOLDFAST, "--endpoint", ",".join(endpoints), *arguments]


def environment():
    return {**{key: value for key, value in os.environ.items()
               if not key.startswith("HOLDFAST_") and key != "NO_COLOR"},
            "XDG_CONFIG_HOME": stubs.name}  # No contexts of the developer's.


class Case(unittest.TestCase):
    def setUp(self):
        self.region = Region()
        self.nodes = []

    def tearDown(self):
        for node in self.nodes:
            node.stop()

    def node(self, **options):
        node = Node(self.region, f"n{len(self.nodes) + 1}", **options)
        self.nodes.append(node)
        return node

    def endpoints(self):
        if not self.nodes:
            self.node()
        return [f"127.0.0.1:{node.port}" for node in self.nodes]

    def run_raw(self, arguments, endpoints=None, stdin=""):
        return subprocess.run(
            command(endpoints or self.endpoints(), *arguments), input=stdin,
            capture_output=True, text=True, timeout=60, env=environment())

    def ok(self, *arguments, stdin=""):
        done = self.run_raw(arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout

    def refused(self, code, *arguments, endpoints=None):
        done = self.run_raw(arguments, endpoints)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done.stderr

    def vm(self, name, *options):
        self.ok("vm", "create", name, "--class", "small", "--wait", *options)

    def requests(self, method):
        return [request for _, seen, request, _ in self.region.seen
                if seen == method]


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
