# SPDX-License-Identifier: Apache-2.0
"""One region over mutual TLS for all attacks: three nodes, a host with a VM
that runs, an administrator's token. Whatever a test does, afterwards every
node lives and serves, nothing in the region has changed, the VM is the same
process, and no secret is in logs, data directories or answers."""
import glob
import os
import shutil
import ssl
import subprocess
import tempfile
import unittest

import holdfast_client
from holdfast_client import Refused
from holdfast_region import free_ports, wait_until
from raw_http2 import Wire
from secure_region import Pki, SecureRegion, listens

RUNNING = 4
MEMORY_KIB_MAX = 1 << 20  # Of a node, with sanitizers; the bombs are larger.
PASSWORD = "correct-horse-battery-staple"


class ThreatRegion(SecureRegion):
    def write_config(self, node, settings):
        node.http, = free_ports(1)
        super().write_config(node, {
            **settings, "http_listen": f'"127.0.0.1:{node.http}"',
            # Sums of all data are read after each test; and no election comes
            # of a busy machine.
            "segment_mib": 1, "election_timeout_ms": 1500})


class Field:
    """Made once, for all classes of tests."""
    binaries = standard = None
    directory = region = pki = leader = token = vm = None
    wires = []  # Slow ones, that were begun with the first test.

    @classmethod
    def make(cls, binaries, standard):
        cls.binaries, cls.standard = binaries, standard
        cls.directory = tempfile.mkdtemp(prefix="hf-threats-")
        cls.pki = Pki(binaries, cls.directory)
        for name in ("anna", "bert"):
            cls.pki.issue("client", name)
        cls.pki.issue("agent", "stray")
        cls.pki.issue("client", "mallory", ca="other")
        cls.pki.issue("node", "impostor", "--id", "1", "--address",
                      "127.0.0.1", ca="other")
        cls.region = ThreatRegion(cls.pki)
        first = cls.region.nodes[0].address
        wait_until(lambda: listens(first), "a node listens")
        holdfast_client.schema = holdfast_client.Schema(
            standard, first, cls.pki.credentials("anna"))
        cls.leader = cls.region.leader()
        cls.fill(cls.region.client(cls.leader))

    @classmethod
    def fill(cls, client):
        for zone in ("z1", "z2", "z3"):
            client.call("ZoneService/CreateZone", {"name": zone})
        client.call("ClassService/CreateClass", {"vm_class": {
            "name": "small", "resources": {
                "cpu_milli": 100, "memory_mib": 64}}})
        cls.command("grant", "create", "anna", "--client", "anna", "--role",
                    "admin")
        cls.token = cls.command("token", "create", "ci", "--role",
                                "admin").strip()
        cls.region.agent("h1", "z1")
        wait_until(lambda: client.call("HostService/ListHosts", {}).hosts,
                   "the host is there")
        client.call("VmService/CreateVm", {"vm": {
            "name": "bystander", "class_name": "small", "template": {
                "driver": "DRIVER_EXEC", "environment": [f"KEY={PASSWORD}"],
                "command": ["/bin/sleep", "100000"]}}})
        cls.vm = wait_until(lambda: cls.running(client), "the VM runs")

    @classmethod
    def command(cls, *words):
        return subprocess.run(
            [f"{cls.binaries}/holdfast", *words, "--endpoint",
             cls.leader.address, "--tls-ca", cls.pki.path("ca/node-ca.crt"),
             "--tls-cert", cls.pki.path("anna.crt"), "--tls-key",
             cls.pki.path("anna.key")], check=True, capture_output=True,
            text=True).stdout

    @staticmethod
    def running(client):
        vm = client.call("VmService/GetVm", {"name": "bystander"}).vm
        return vm if vm.status.state == RUNNING else None

    @classmethod
    def close(cls):
        for wire in cls.wires:
            wire.close()
        cls.region.close()
        shutil.rmtree(cls.directory)

    @classmethod
    def secrets(cls):
        """What must be nowhere."""
        found = [cls.token[3:].encode()]
        for path in glob.glob(f"{cls.directory}/**/*.key", recursive=True):
            with open(path, "rb") as key:
                found.append(key.read().splitlines()[1])
        return found


def context_of(name, authority="ca"):
    """For the ssl module: with that certificate, or None."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(Field.pki.path(f"{authority}/node-ca.crt"))
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    if name is not None:
        context.load_cert_chain(Field.pki.path(f"{name}.crt"),
                                Field.pki.path(f"{name}.key"))
    return context


class ThreatCase(unittest.TestCase):
    def setUp(self):
        self.region, self.leader = Field.region, Field.leader
        self.client = self.region.client(self.leader)
        self.answers = []  # Texts that an attacker got to read.
        self.before = self.facts()

    def facts(self):
        """What an attack must not change, as every node has it."""
        def agreed():
            states = [self.region.status(node) for node in self.region.nodes]
            if None in states:
                return None
            facts = {(s.state_hash, s.revision) for s in states}
            return facts.pop() if len(facts) == 1 else None
        vm = self.client.call("VmService/GetVm", {"name": "bystander"}).vm
        return (wait_until(agreed, "the nodes agree"), vm.status.epoch,
                vm.status.state, [n.child.pid for n in self.region.nodes])

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"=== {self.id()}\n{self.region.logs()}", flush=True)

    def tearDown(self):
        for process in self.region.nodes + self.region.agents:
            self.assertTrue(process.lives(), process.log)
        self.assertEqual(self.facts(), self.before)
        for node in self.region.nodes:
            with open(f"/proc/{node.child.pid}/status",
                      encoding="ascii") as status:
                peak = next(line.split()[1] for line in status
                            if line.startswith("VmHWM"))
            self.assertLess(int(peak), MEMORY_KIB_MAX, node.name)
        self.check_secrets()

    def check_secrets(self):
        secrets = Field.secrets()
        self.assertGreater(len(secrets), 10)
        logs = [p.log for p in self.region.nodes + self.region.agents]
        data = [path for node in self.region.nodes for path in glob.glob(
            f"{self.region.directory}/{node.name}.data/**", recursive=True)
            if os.path.isfile(path)]
        self.assertGreater(len(data), 0)
        texts = [("an answer", text.encode()) for text in self.answers]
        for path in logs + data:
            with open(path, "rb") as file:
                texts.append((path, file.read()))
        for where, text in texts:
            for secret in secrets:
                self.assertNotIn(secret, text, where)
            if where in logs:
                self.assertNotIn(PASSWORD.encode(), text, where)

    def wire(self, name="anna", node=None, **options):
        """To the leader, as the owner of that certificate."""
        context = options.pop("context", None) or context_of(name)
        wire = Wire((node or self.leader).address, context, **options)
        self.addCleanup(wire.close)
        return wire

    def refusal(self, path, fields, certificate="anna", metadata=(),
                node=None):
        """Code, reason and text with which a stock client's call ends."""
        client = holdfast_client.Client((node or self.leader).address,
                                        Field.pki.credentials(certificate))
        client.token = list(metadata)
        try:
            client.call(path, fields)
            return "OK", None, ""
        except Refused as refused:
            self.answers.append(refused.text)
            return refused.code, refused.reason, refused.text
        finally:
            client.close()

    def serves(self, wire, stream=99):
        """The connection has not suffered."""
        wire.call(stream, "/holdfast.v1.ZoneService/ListZones")
        self.assertEqual(wire.status(stream), "0")
