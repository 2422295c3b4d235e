# SPDX-License-Identifier: Apache-2.0
"""A region over mutual TLS, by stock grpcio: who gets in, as what, and who does
not. Arguments: the directory of the programs, the standard services' messages.
"""
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

import grpc
import holdfast_client
from holdfast_region import Node, free_ports, wait_until
from secure_region import Pki, SecureRegion, listens

BINARIES, STANDARD = sys.argv.pop(1), sys.argv.pop(1)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="hf-tls-")
        cls.pki = Pki(BINARIES, cls.directory)
        cls.pki.issue("client", "anna")
        cls.pki.issue("client", "mallory", ca="other")
        cls.pki.issue("agent", "stray")
        cls.region = SecureRegion(cls.pki)
        first = cls.region.nodes[0].address
        wait_until(lambda: listens(first), "a node listens")
        holdfast_client.schema = holdfast_client.Schema(
            STANDARD, first, cls.pki.credentials("anna"))
        cls.leader = cls.region.leader()
        client = cls.region.client(cls.leader)
        for zone in ("z1", "z2", "z3"):
            client.call("ZoneService/CreateZone", {"name": zone})

    @classmethod
    def tearDownClass(cls):
        cls.region.close()
        shutil.rmtree(cls.directory)

    def refusal(self, path, fields, certificate, node=None):
        """Code and reason that a caller with this certificate gets."""
        node = node or self.leader
        client = holdfast_client.Client(node.address,
                                        self.pki.credentials(certificate))
        try:
            client.call(path, fields, timeout=10)
            return None
        except holdfast_client.Refused as refused:
            return refused.code, refused.reason
        finally:
            client.close()

    def test_a_client_reads_and_writes_at_every_node(self):
        for node in self.region.nodes:
            client = self.region.client(node)
            client.call("ClassService/CreateClass", {"vm_class": {
                "name": f"c-{node.name}",
                "resources": {"cpu_milli": 100, "memory_mib": 100}}})
            self.assertGreater(len(client.call(
                "ClassService/ListClasses", {}).classes), 0)

    def test_who_shows_no_certificate_is_told_so(self):
        for node in self.region.nodes:
            self.assertEqual(
                self.refusal("VmService/ListVms", {}, None, node),
                ("UNAUTHENTICATED", "UNAUTHENTICATED"))

    def test_anybody_may_ask_whether_a_node_is_well(self):
        self.assertIsNone(self.refusal(
            "grpc.health.v1.Health/Check", {}, None))

    def test_an_agent_is_no_client(self):
        for path in ("VmService/ListVms", "ClusterService/GetStatus",
                     "ZoneService/ListZones"):
            self.assertEqual(self.refusal(path, {}, "stray"),
                             ("PERMISSION_DENIED", "NOT_ALLOWED"))

    def test_another_authoritys_client_does_not_get_in(self):
        self.assertEqual(
            self.refusal("VmService/ListVms", {}, "mallory")[0], "UNAVAILABLE")

    def streamed(self, path, certificate, metadata, message=b""):
        """How a bidirectional stream ends for this caller."""
        credentials = self.pki.credentials(certificate)
        with grpc.secure_channel(self.leader.address, credentials) as channel:
            call = channel.stream_stream(
                path, lambda m: m, lambda m: m)(
                    iter([message]), metadata=metadata, timeout=10)
            try:
                list(call)
                return "OK"
            except grpc.RpcError as error:
                return error.code().name

    def test_a_client_is_no_agent_and_no_node(self):
        self.assertEqual(self.streamed(
            "/holdfast.v1.AgentService/Session", "anna", []),
            "PERMISSION_DENIED")
        metadata = [("holdfast-node", "2"), ("holdfast-to", "1"),
                    ("holdfast-region", "interop")]
        self.assertEqual(self.streamed(
            "/holdfast.v1.PeerService/Stream", "anna", metadata),
            "PERMISSION_DENIED")

    def test_a_node_cannot_speak_as_another_one(self):
        other = next(n for n in self.region.nodes if n is not self.leader)
        third = next(n for n in self.region.nodes
                     if n is not self.leader and n is not other)
        metadata = [("holdfast-node", str(third.number)),
                    ("holdfast-to", str(self.leader.number)),
                    ("holdfast-region", "interop")]
        self.assertEqual(self.streamed(
            "/holdfast.v1.PeerService/Stream", other.name, metadata),
            "PERMISSION_DENIED")

    def test_a_node_joins_by_its_certificate(self):
        """And takes nobody's place without it."""
        client = self.region.client(self.leader)
        node = Node(self.region, 4, free_ports(1)[0])
        self.region.write_config(node, {"join": "true"})
        lines = pathlib.Path(node.config).read_text(encoding="utf-8")
        own = (f'- {{name: n4, id: 4, zone: z1, address: "{node.address}"}}\n')
        pathlib.Path(node.config).write_text(
            lines.replace("nodes:\n", "nodes:\n" + own), encoding="utf-8")
        client.call("ClusterService/AddNode", {
            "name": "n4", "id": 4, "zone": "z1", "address": node.address})
        # With another one's: it is not heard, and nobody is found there.
        right = self.pki.read("n4.crt"), self.pki.read("n4.key")
        self.pki.issue("node", "n9", "--id", "9", "--address", "127.0.0.1")
        for suffix in ("crt", "key"):
            os.replace(self.pki.path(f"n9.{suffix}"),
                       self.pki.path(f"n4.{suffix}"))
        node.start()
        wait_until(lambda: 'certificate="9"' in pathlib.Path(
            self.leader.log).read_text(encoding="utf-8"), "it is refused")
        self.assertEqual(self.refused_promotion(client), "NODE_SILENT")
        node.kill()
        for suffix, content in zip(("crt", "key"), right):
            pathlib.Path(self.pki.path(f"n4.{suffix}")).write_bytes(content)
        os.chmod(self.pki.path("n4.key"), 0o600)
        node.start()
        wait_until(lambda: self.refused_promotion(client) is None, "it votes")
        client.call("ClusterService/RemoveNode", {"name": "n4"})
        self.assertEqual(node.child.wait(60), 77)

    def refused_promotion(self, client):
        """Why n4 may not vote; None: it does."""
        try:
            client.call("ClusterService/PromoteNode", {"name": "n4"})
            return None
        except holdfast_client.Refused as refused:
            return refused.reason

    def test_only_nodes_may_say_whose_call_they_pass_on(self):
        for key, value in (("holdfast-caller", "client:root"),
                           ("holdfast-forwarded", "1")):
            credentials = self.pki.credentials("anna")
            with grpc.secure_channel(self.leader.address,
                                     credentials) as channel:
                call = channel.unary_unary(
                    "/holdfast.v1.VmService/ListVms", lambda m: m,
                    lambda m: m)
                with self.assertRaises(grpc.RpcError) as caught:
                    call(b"", metadata=[(key, value)], timeout=10)
            self.assertEqual(caught.exception.code().name,
                             "PERMISSION_DENIED")

    def test_an_agent_holds_its_own_host_only(self):
        client = self.region.client(self.leader)
        self.region.agent("own", "z1")
        wait_until(lambda: [
            h for h in client.call("HostService/ListHosts", {}).hosts
            if h.name == "own" and h.lease.connected], "the host is there")
        liar = self.region.agent("lie", "z1", certificate="stray")
        wait_until(lambda: "NOT_ALLOWED" in log_of(liar) or
                   "not the host of the agent's certificate" in log_of(liar),
                   "the refusal")
        self.assertEqual(
            [h.name for h in client.call("HostService/ListHosts", {}).hosts],
            ["own"])

    def test_plain_text_and_old_protocols_do_not_get_in(self):
        host, _, port = self.leader.address.rpartition(":")
        with socket.create_connection((host, int(port)), 10) as plain:
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            plain.settimeout(10)
            data = plain.recv(100)
            self.assertTrue(data == b"" or data[0] == 21, data)  # An alert.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self.pki.path("anna.crt"),
                                self.pki.path("anna.key"))
        context.set_alpn_protocols(["http/1.1"])
        with socket.create_connection((host, int(port)), 10) as raw:
            with self.assertRaises((ssl.SSLError, OSError)):
                with context.wrap_socket(raw) as wrapped:
                    wrapped.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    if wrapped.recv(100) == b"":
                        raise OSError("closed")

    def test_certificates_turn_without_a_restart(self):
        node = next(n for n in self.region.nodes if n is not self.leader)
        before = peer_serial(node.address)
        self.pki.issue("node", node.name, "--id", str(node.number),
                       "--address", "127.0.0.1", "--address", "localhost")
        wait_until(lambda: peer_serial(node.address) != before,
                   "the new certificate", 20)
        self.assertTrue(node.lives())

    def test_the_command_line_and_its_library_speak_it(self):
        options = ["--endpoint", self.leader.address,
                   "--tls-ca", self.pki.path("ca/node-ca.crt")]
        own = ["--tls-cert", self.pki.path("anna.crt"),
               "--tls-key", self.pki.path("anna.key")]
        done = subprocess.run(
            [f"{BINARIES}/holdfast", "zone", "list", "-o", "name", *options,
             *own], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.split(), ["z1", "z2", "z3"])
        without = subprocess.run(
            [f"{BINARIES}/holdfast", "zone", "list", *options],
            capture_output=True, text=True, check=False)
        self.assertNotEqual(without.returncode, 0)
        self.assertIn("certificate", without.stderr)


def peer_serial(address):
    """The certificate that a node shows, whole."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), 10) as raw:
        with context.wrap_socket(raw) as wrapped:
            return wrapped.getpeercert(True)


def log_of(process):
    with open(process.log, encoding="utf-8", errors="replace") as log:
        return log.read()


if __name__ == "__main__":
    unittest.main(verbosity=2)
