# SPDX-License-Identifier: Apache-2.0
"""Attacks on how one proves who one is: TLS and certificates."""
import socket
import ssl
import subprocess

import grpc
from holdfast_region import wait_until
from raw_http2 import PREFACE, SETTINGS, Wire, frame
from threat_case import Field, ThreatCase, context_of

LIST = "/holdfast.v1.ZoneService/ListZones"


def forge(name, alternatives, authority="client"):
    """A certificate of an authority of ours that signs whatever it is given:
    what a careless one could be brought to."""
    path = Field.pki.path
    with open(path(f"{name}.ext"), "w", encoding="ascii") as extensions:
        extensions.write(f"subjectAltName={alternatives}\n"
                         "extendedKeyUsage=clientAuth,serverAuth\n")
    for command in (
            ["req", "-new", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             path(f"{name}.key"), "-subj", "/CN=anna", "-out",
             path(f"{name}.csr")],
            ["x509", "-req", "-in", path(f"{name}.csr"), "-days", "1", "-CA",
             path(f"ca/{authority}-ca.crt"), "-CAkey",
             path(f"ca/{authority}-ca.key"), "-CAcreateserial", "-extfile",
             path(f"{name}.ext"), "-out", path(f"{name}.crt")]):
        subprocess.run(["openssl", *command], check=True, capture_output=True)


def uri_with_nul(text):
    """As DER, for text tools cut it at the NUL."""
    name = text.encode()
    der = b"\x86" + bytes([len(name)]) + name
    return "DER:" + (b"\x30" + bytes([len(der)]) + der).hex(":")


class Recorder:
    """A client that keeps every byte that it sent."""

    def __init__(self, address, context):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), 30)
        self.inside, self.outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inside, self.outside)
        self.sent = b""
        self.until(self.tls.do_handshake)

    def flush(self):
        data = self.outside.read()
        self.sent += data
        self.socket.sendall(data)

    def until(self, step):
        while True:
            try:
                done = step()
                self.flush()
                return done
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                assert data, "closed"
                self.inside.write(data)

    # What Wire asks of a socket.
    def sendall(self, data):
        self.tls.write(data)
        self.flush()

    def recv(self, size):
        return self.until(lambda: self.tls.read(size))

    def close(self):
        self.socket.close()


class Tls(ThreatCase):
    def handshake(self, context, node=None):
        """What the node said against it; None: it went on to HTTP/2."""
        try:
            with Wire((node or self.leader).address, context) as wire:
                return None if wire.next() is not None else "closed"
        except ssl.SSLError as error:
            return error.reason or str(error)
        except OSError as error:
            return str(error)

    def test_tls_1_0_and_1_1_are_refused(self):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            context = context_of("anna")
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            self.assertEqual(self.handshake(context),
                             "TLSV1_ALERT_PROTOCOL_VERSION", version)
        context = context_of("anna")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertIsNone(self.handshake(context))

    def test_ciphers_without_forward_secrecy_or_integrity_are_refused(self):
        for ciphers in ("eNULL", "aNULL", "kRSA", "ECDHE+SHA1",
                        "ECDHE+SHA256:ECDHE+SHA384:!AESGCM:!CHACHA20",
                        "DHE+AESGCM", "AESCCM"):
            context = context_of("anna")
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
            self.assertIn(self.handshake(context), (
                "SSLV3_ALERT_HANDSHAKE_FAILURE",), ciphers)

    def test_a_session_is_not_resumed(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = context_of("anna")
            context.minimum_version = context.maximum_version = version
            with Wire(self.leader.address, context) as first:
                self.serves(first)
                session = first.socket.session
            host, _, port = self.leader.address.rpartition(":")
            raw = socket.create_connection((host, int(port)), 30)
            with context.wrap_socket(raw, session=session) as second:
                self.assertFalse(second.session_reused)

    def test_a_replayed_connection_has_no_effect(self):
        """All bytes of a call that changed something, once more: the node
        draws new numbers in each handshake."""
        recorder = Recorder(self.leader.address, context_of("anna"))
        wire = Wire(self.leader.address, context_of("anna"))
        self.addCleanup(wire.close)
        wire.socket.close()
        wire.socket, wire.buffer = recorder, b""
        wire.send(PREFACE + frame(SETTINGS))
        wire.call(1, "/holdfast.v1.ZoneService/CordonZone", b"\x0a\x02z3")
        self.assertEqual(wire.status(1), "0")
        self.client.call("ZoneService/UncordonZone", {"name": "z3"})
        self.before = self.facts()
        host, _, port = self.leader.address.rpartition(":")
        with socket.create_connection((host, int(port)), 30) as replay:
            replay.sendall(recorder.sent)
            data = b""
            while True:
                try:
                    got = replay.recv(65536)
                except OSError:
                    break
                if not got:
                    break
                data += got
        self.assertNotIn(b"grpc", data)
        self.assertFalse(self.client.call(
            "ZoneService/GetZone", {"name": "z3"}).zone.cordoned)

    def test_renegotiation_is_refused(self):
        path = Field.pki.path
        done = subprocess.run(
            ["openssl", "s_client", "-connect", self.leader.address, "-tls1_2",
             "-alpn", "h2", "-CAfile", path("ca/node-ca.crt"), "-cert",
             path("anna.crt"), "-key", path("anna.key")],
            input="R\n", capture_output=True, text=True, check=False,
            timeout=30)
        self.assertIn("RENEGOTIATING", done.stderr + done.stdout)
        self.assertRegex(done.stderr, "(?i)no.renegotiation")
        self.assertNotEqual(done.returncode, 0)

    def test_a_name_with_a_nul_is_none(self):
        for number, text in enumerate((
                "holdfast:client:anna\0.mallory", "holdfast:client:\0anna",
                "holdfast:client:anna\0")):
            forge(f"nul-{number}", uri_with_nul(text))
            self.assertIsNotNone(
                self.handshake(context_of(f"nul-{number}")), text)

    def test_a_certificate_with_several_names_is_nobodys(self):
        forge("two", "URI:holdfast:client:bert,URI:holdfast:client:anna")
        forge("crossed", "URI:holdfast:client:anna,URI:holdfast:node:1")
        for name in ("two", "crossed"):
            self.assertIsNotNone(self.handshake(context_of(name)), name)
        # One name of ours beside others' is in order.
        forge("beside", "URI:spiffe://x/y,DNS:anna,URI:holdfast:client:anna")
        self.assertIsNone(self.handshake(context_of("beside")))

    def test_an_authority_vouches_for_its_own_role_alone(self):
        for role, name in (("node", "1"), ("agent", "h1")):
            forge("risen", f"URI:holdfast:{role}:{name}")
            self.assertIsNotNone(self.handshake(context_of("risen")), role)

    def test_a_certificate_of_another_region_does_not_get_in(self):
        for name in ("mallory", "impostor"):
            for node in self.region.nodes:
                self.assertIsNotNone(self.handshake(context_of(name), node))
        credentials = grpc.ssl_channel_credentials(
            Field.pki.read("ca/node-ca.crt"), Field.pki.read("impostor.key"),
            Field.pki.read("impostor.crt"))
        with grpc.secure_channel(self.leader.address, credentials) as channel:
            call = channel.stream_stream("/holdfast.v1.PeerService/Stream")(
                iter([b""]), metadata=[("holdfast-region", "interop")],
                timeout=10)
            with self.assertRaises(grpc.RpcError) as caught:
                list(call)
        self.assertEqual(caught.exception.code().name, "UNAVAILABLE")

    def test_connections_of_one_caller_are_bounded(self):
        """By a good certificate, which does not make all places his."""
        context, ended, wires = context_of("bert"), 0, []
        for _ in range(256 + 20):
            try:
                wires.append(self.wire(context=context))
            except OSError:
                ended += 1
        self.serves(self.wire("anna"), 1)
        for wire in wires:
            wire.call(1, "/grpc.health.v1.Health/Check")
            ended += wire.status(1) is None
        self.assertEqual(ended, 20)
        # The places are his again when he has left them.
        for wire in wires:
            wire.close()
        wait_until(self.comes_in, "he gets in again")

    def comes_in(self):
        return self.refusal("grpc.health.v1.Health/Check", {},
                            "bert")[0] == "OK"

    def test_connections_of_nobody_do_not_keep_others_out(self):
        nobody = context_of(None)
        wires = []
        for _ in range(200):
            try:
                wires.append(self.wire(context=nobody, source="127.0.0.2"))
            except OSError:
                pass  # Ended in the handshake, by those that came after.
        # Somebody gets in, from the same address and from others.
        self.serves(self.wire("anna", source="127.0.0.2"), 1)
        self.serves(self.wire("anna"), 1)
        open_still = 0
        for wire in wires:
            wire.call(1, "/grpc.health.v1.Health/Check")
            open_still += wire.status(1) == "0"
        self.assertLessEqual(open_still, 64)
        self.assertGreater(open_still, 0)
