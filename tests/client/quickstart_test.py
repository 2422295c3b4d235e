#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The quick-starts of docs/ do what they say: their commands and programs are
taken from the pages as they stand and run against a region of real processes,
plain and over mutual TLS. Only the paths of an installation and the address of
a node are put in.
usage: quickstart_test.py BUILD_DIR SOURCE_DIR STANDARD NODE_DIR CC CFLAGS"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, SOURCE, STANDARD, NODE_DIR = map(os.path.abspath, sys.argv[1:5])
CC, CFLAGS = shutil.which(sys.argv[5]), sys.argv[6]
sys.path.insert(0, f"{SOURCE}/tests/interop")
# pylint: disable=wrong-import-position
import holdfast_client  # noqa: E402
from holdfast_region import Region, free_ports, wait_until  # noqa: E402
from secure_region import Pki, SecureRegion, listens  # noqa: E402
from installed import Installed  # noqa: E402

BINARIES = f"{BUILD}/bin"
HOSTS = 3


def blocks(page):
    """(language, text) of each fenced block that has a language."""
    with open(f"{SOURCE}/docs/{page}.md", encoding="utf-8") as file:
        return re.findall(r"^```(\w+)\n(.*?)^```$", file.read(), re.M | re.S)


def program_of(page, language):
    (text,) = [text for kind, text in blocks(page) if kind == language]
    return text


class Reader:
    """Somebody who follows a page in a folder of his own."""

    def __init__(self, installed, folder, address):
        self.folder = pathlib.Path(folder)
        self.address = address
        self.installed = installed
        self.tools = self.folder / "tools"
        self.tools.mkdir(parents=True)
        # The machine's own Python is the one with Debian's gRPC; the library
        # was built with these flags and lies where no loader looks.
        self.tool("python3", "/usr/bin/python3 -B")
        self.tool("cc", f"{CC} {CFLAGS} -Wl,-rpath,{installed.library}")
        self.tool("pkg-config", "/usr/bin/pkg-config --define-variable="
                  f"prefix={installed.prefix}")
        self.environment = {
            **os.environ, "CMAKE_PREFIX_PATH": str(installed.prefix),
            "PKG_CONFIG_PATH": f"{installed.library}/pkgconfig",
            "HOLDFAST_CONFIG": str(self.folder / "no-contexts"),
            # Node.js warns of host names that are addresses.
            "NODE_NO_WARNINGS": "1", "NODE_PATH": f"{NODE_DIR}/node_modules",
            "PATH": f"{self.tools}:{BINARIES}:{os.environ['PATH']}"}

    def tool(self, name, command):
        path = self.tools / name
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        path.chmod(0o755)

    def run(self, commands, folder=None):
        for ours, theirs in (
                ("/usr/share/holdfast/proto", str(self.installed.protos)),
                ("/usr/share/doc/holdfast/examples",
                 str(self.installed.examples.parent)),
                ("127.0.0.1:7400", self.address)):
            commands = commands.replace(ours, theirs)
        done = subprocess.run(
            ["sh", "-e", "-c", commands], cwd=folder or self.folder, text=True,
            capture_output=True, check=False, timeout=120,
            env=self.environment)
        if done.returncode != 0:
            raise AssertionError(
                f"{commands}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")


class Quickstart(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="hf-quickstart-")
        cls.installed = Installed(BUILD, CC, CFLAGS)
        cls.open_region()
        leader = cls.region.leader()
        client = cls.region.client(leader)
        for number in range(1, HOSTS + 1):
            client.call("ZoneService/CreateZone", {"name": f"z{number}"})
            cls.region.agent(f"h{number}", f"z{number}")
        wait_until(lambda: sum(
            h.lease.connected for h in client.call(
                "HostService/ListHosts", {}).hosts) == HOSTS, "the hosts")
        cls.dead = f"127.0.0.1:{free_ports(1)[0]}"
        cls.addresses = ",".join(n.address for n in cls.region.nodes)

    @classmethod
    def open_region(cls):
        cls.region = Region(BINARIES)
        first = cls.region.nodes[0]
        wait_until(lambda: listens(first.address), "a node listens")
        holdfast_client.load_schema(STANDARD, first.address)

    @classmethod
    def tearDownClass(cls):
        cls.region.close()
        cls.installed.folder.cleanup()
        shutil.rmtree(cls.directory)

    def reader(self, name, address):
        return Reader(self.installed, f"{self.directory}/{name}", address)

    def node_modules(self, reader, commands):
        """Once for all runs; a machine without a registry cannot."""
        if shutil.which("npm") is None:
            self.skipTest("npm is not here: the program is not tried")
        os.makedirs(NODE_DIR, exist_ok=True)
        if not os.path.exists(f"{NODE_DIR}/node_modules/@grpc/proto-loader"):
            try:
                reader.run(commands, folder=NODE_DIR)
            except AssertionError as error:
                if "npm ERR! network" not in str(error) and \
                        "npm error network" not in str(error):
                    raise
                self.skipTest("npm reaches no registry: the program is not "
                              "tried")

    def check_output(self, said, wanted):
        pattern = re.escape(wanted).replace("HOST", r"h\d").replace(
            "ZONE", r"z\d")
        self.assertRegex(said, f"^{pattern}$")


class Plain(Quickstart):
    def follow(self, page, language, suffix):
        """Runs a page from top to bottom; then its program again, with a node
        in front that is not there."""
        reader = self.reader(page, self.region.followers()[0].address)
        said = ""
        for kind, text in blocks(page):
            if kind == language:
                with open(f"{SOURCE}/docs/quickstart/quickstart.{suffix}",
                          encoding="utf-8") as file:
                    self.assertEqual(text, file.read())
                reader.write(f"quickstart.{suffix}", text)
            elif kind == "output":
                self.check_output(said, text)
            elif text.startswith("npm install"):
                self.node_modules(reader, text)
            else:
                self.assertEqual(kind, "sh")
                said, last = reader.run(text), text
        reader.address = f"{self.dead},{reader.address}"
        wanted = program_of(page, "output")
        self.check_output(reader.run(last), wanted)

    def test_python(self):
        self.follow("quickstart-python", "python", "py")

    def test_node(self):
        self.follow("quickstart-node", "js", "js")

    def test_c(self):
        reader = self.reader("c", self.addresses)
        said = "".join(reader.run(text) for kind, text in blocks("quickstart-c")
                       if kind == "sh").splitlines()
        for name in ["c-1"] + [f"c-loop-{i}" for i in range(10)]:
            self.assertIn(f"created {name}", said)
            self.assertEqual(1, len([line for line in said if re.fullmatch(
                rf"{name} runs on h\d in z\d", line)]), said)


class Secure(Quickstart):
    @classmethod
    def open_region(cls):
        cls.pki = Pki(BINARIES, cls.directory)
        cls.pki.issue("client", "anna")
        cls.region = SecureRegion(cls.pki)
        first = cls.region.nodes[0]
        wait_until(lambda: listens(first.address), "a node listens")
        holdfast_client.schema = holdfast_client.Schema(
            STANDARD, first.address, cls.pki.credentials("anna"))

    def papers(self):
        return " ".join(self.pki.path(name) for name in (
            "ca/node-ca.crt", "anna.crt", "anna.key"))

    def test_python(self):
        reader = self.reader("python", self.addresses)
        page = "quickstart-python"
        reader.write("quickstart.py", program_of(page, "python"))
        make, use = [text for kind, text in blocks(page) if kind == "sh"]
        reader.run(make)
        self.check_output(reader.run(f"{use.strip()} {self.papers()}"),
                          program_of(page, "output"))

    def test_node(self):
        reader = self.reader("node", self.addresses)
        page = "quickstart-node"
        reader.write("quickstart.js", program_of(page, "js"))
        install, use = [text for kind, text in blocks(page) if kind == "sh"]
        self.node_modules(reader, install)
        self.check_output(reader.run(f"{use.strip()} {self.papers()}"),
                          program_of(page, "output"))

    def test_c_goes_on_when_a_node_is_killed(self):
        """The one that it is connected to: with its first VM."""
        follower = self.region.followers()[0]
        others = [n.address for n in self.region.nodes if n is not follower]
        programs = self.installed.build_examples()
        client = self.region.client(self.region.leader())
        client.call("ClassService/CreateClass", {"vm_class": {
                "name": "tiny", "resources": {"cpu_milli": 100,
                                              "memory_mib": 64}}})
        child = subprocess.Popen(
            [f"{programs}/create_on_loop",
             ",".join([follower.address, *others]), "tiny", "c", "20",
             *self.papers().split()], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: len(client.call("VmService/ListVms", {}).vms) > 0,
                   "its first VM")
        follower.kill()
        said = child.stdout.readlines()
        self.assertEqual(child.wait(60), 0, said)
        self.assertEqual(len([s for s in said if " runs on " in s]), 20, said)
        child.stdout.close()
        follower.start()
        wait_until(lambda: listens(follower.address), "it listens again")


if __name__ == "__main__":
    del Quickstart  # It has no cases of its own.
    unittest.main(argv=sys.argv[:1], verbosity=2)
