# SPDX-License-Identifier: Apache-2.0
"""Attacks by somebody who got in, on HTTP/2 and gRPC themselves."""
import gzip
import struct

import grpc
from raw_http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS,
                       PING, PREFACE, PRIORITY, PUSH_PROMISE,
                       RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
                       literal, number, request)
from threat_case import Field, ThreatCase

LIST = "/holdfast.v1.ZoneService/ListZones"
CREATE = "/holdfast.v1.ZoneService/CreateZone"
WATCH = "/holdfast.v1.WatchService/Watch"
APPLY = "/holdfast.v1.ManifestService/ApplyManifest"
ENHANCE_YOUR_CALM, REFUSED_STREAM = 11, 7
INVALID_ARGUMENT, RESOURCE_EXHAUSTED = "3", "8"
UNIMPLEMENTED, INTERNAL = "12", "13"


def asks(stream, flags=END_HEADERS | END_STREAM, path=LIST):
    return frame(HEADERS, flags, stream, request(path))


def setting(name, value):
    return struct.pack(">HI", name, value)


BAD_FRAMES = {
    "data for the connection": frame(DATA, 0, 0, b"x"),
    "headers for the connection": frame(HEADERS, END_HEADERS, 0, request(LIST)),
    "a stream of the server's": asks(2),
    "settings of a strange length": frame(SETTINGS, payload=b"12345"),
    "settings of a stream": frame(SETTINGS, stream=1),
    "an acknowledgement with content": frame(SETTINGS, 1, payload=b"123456"),
    "push that is neither on nor off":
        frame(SETTINGS, payload=setting(2, 2)),
    "a window above the greatest":
        frame(SETTINGS, payload=setting(4, 1 << 31)),
    "frames of impossible sizes": frame(SETTINGS, payload=setting(5, 1)),
    "more settings than there are":
        frame(SETTINGS, payload=setting(3, 1) * 1000),
    "a push by a client": frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"),
    "a continuation of nothing": frame(CONTINUATION, END_HEADERS, 1, b""),
    "something within headers":
        frame(HEADERS, 0, 1, request(LIST)) + frame(PING, payload=bytes(8)),
    "a ping of seven bytes": frame(PING, payload=bytes(7)),
    "a reset of a stream that never was":
        frame(RST_STREAM, 0, 9, struct.pack(">I", 8)),
    "a window that grows by nothing": frame(WINDOW_UPDATE, 0, 0, bytes(4)),
    "a window that overflows": frame(
        WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff)) * 2,
    "more padding than frame": frame(HEADERS, END_HEADERS | 8, 1,
                                     b"\xff" + request(LIST)[:20]),
    "a header table's entry that is not there":
        frame(HEADERS, END_HEADERS, 1, number(1000, 7, 0x80)),
    "a header's length without end": frame(HEADERS, END_HEADERS, 1,
                                           b"\0\x7f" + b"\xff" * 20),
    "a frame larger than agreed": b"\xff\xff\xff" + bytes([0]) + bytes(
        [0, 0, 0, 0, 1]) + bytes(1 << 20),
}

BAD_BEGINNINGS = (
    b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n" + frame(SETTINGS),
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
    b"\0" * 1000, b"\x16\x03\x01\x02\0\x01\0" + bytes(500),
    PREFACE + asks(1), PREFACE + frame(PING, payload=bytes(8)),
)


class Wires(ThreatCase):
    def ends(self, wire):
        """The node ends this connection, by a GOAWAY if it has begun."""
        self.assertNotEqual(wire.error(), 0)

    def floods(self, wire, data, times=40):
        """Sent until the connection ends, which it must."""
        for _ in range(times):
            if not wire.send(data):
                break
        return wire.error()

    def test_what_is_not_http_2_ends_the_connection(self):
        for data in BAD_BEGINNINGS:
            wire = self.wire(greet=False)
            wire.send(data)
            self.ends(wire)

    def test_frames_that_break_the_rules_end_the_connection(self):
        for what, data in BAD_FRAMES.items():
            with self.subTest(what=what):
                wire = self.wire()
                wire.send(data)
                self.ends(wire)

    def test_a_flood_of_continuations_ends_the_connection(self):
        for piece in (b"", literal("x", "y" * 100)):
            wire = self.wire()
            wire.send(frame(HEADERS, 0, 1, request(LIST)))
            self.floods(wire, frame(CONTINUATION, 0, 1, piece) * 1000)

    def test_a_header_bomb_is_refused_unopened(self):
        """One field of 4 KB kept in the table, then named by one byte each:
        16 KB on the wire are 64 MB of headers."""
        wire = self.wire()
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, request(LIST) +
                        literal("bomb", "x" * 3900, True)))
        self.assertEqual(wire.status(1), INVALID_ARGUMENT)  # No message.
        bomb = request(LIST) + b"\xbe" * 16000
        for stream in range(3, 43, 2):
            wire.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, bomb))
            self.assertIn(wire.status(stream), (RESOURCE_EXHAUSTED, None))

    def test_rapid_resets_end_the_connection(self):
        """CVE-2023-44487: calls that are cancelled as soon as they are made."""
        wire = self.wire()
        sent = b""
        for stream in range(1, 20001, 2):
            sent += asks(stream) + frame(RST_STREAM, 0, stream,
                                         struct.pack(">I", 8))
        wire.send(sent)
        self.ends(wire)

    def test_provoked_resets_end_the_connection(self):
        """CVE-2025-8671: the node is made to reset the calls itself."""
        wire = self.wire()
        sent = b""
        for stream in range(1, 2001, 2):
            sent += asks(stream, END_HEADERS, WATCH) + frame(
                WINDOW_UPDATE, 0, stream, bytes(4))
        wire.send(sent)
        self.ends(wire)

    def test_floods_of_settings_and_pings_end_the_connection(self):
        for data in (frame(SETTINGS), frame(PING, payload=bytes(8)),
                     frame(SETTINGS, payload=setting(1, 0))):
            self.floods(self.wire(), data * 5000)

    def test_floods_of_empty_frames_end_the_connection(self):
        for data in (frame(DATA, 0, 1),
                     frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)),
                     frame(PRIORITY, 0, 1, bytes(4) + b"\x10")):
            wire = self.wire()
            wire.send(frame(HEADERS, END_HEADERS, 1, request(CREATE)))
            self.floods(wire, data * 30000)
        # Frames of unknown kinds are passed over (RFC 9113, 5.5).
        wire = self.wire()
        wire.send(frame(0xee, 0, 0, b"of no known kind") * 30000)
        self.serves(wire)

    def test_calls_at_once_are_bounded(self):
        """256 are held open; those beyond are refused one by one, and who goes
        on all the same is sent away."""
        wire = self.wire()
        for stream in range(1, 601, 2):
            wire.send(frame(HEADERS, END_HEADERS, stream, request(CREATE)))
        refused = set()
        while len(refused) < 300 - 256:
            got = wire.next()
            self.assertIsNotNone(got)
            if got[0] == RST_STREAM:
                self.assertEqual(got[3], struct.pack(">I", REFUSED_STREAM))
                refused.add(got[2])
        self.assertEqual(refused, set(range(513, 601, 2)))
        self.floods(wire, b"".join(
            frame(HEADERS, END_HEADERS, stream, request(CREATE))
            for stream in range(601, 3001, 2)), 1)

    def test_messages_above_the_limit_are_refused_by_their_length(self):
        for size in ((4 << 20) + 1, 0x7fffffff, 0xffffffff):
            wire = self.wire()
            wire.send(frame(HEADERS, END_HEADERS, 1, request(CREATE)) + frame(
                DATA, 0, 1, b"\0" + struct.pack(">I", size) + bytes(100)))
            self.assertEqual(wire.status(1), RESOURCE_EXHAUSTED)
            self.serves(wire)

    def test_headers_and_metadata_above_the_limit_are_refused(self):
        for more in ([("x", "y" * 12000)] * 2,
                     [(f"k{i}", "") for i in range(100)]):
            code, _, _ = self.refusal("ZoneService/ListZones", {},
                                      metadata=more)
            self.assertIn(code, ("RESOURCE_EXHAUSTED", "UNAVAILABLE"))
        wire = self.wire()
        wire.call(1, LIST, b"", *((f"k{i}", "v" * 100) for i in range(100)))
        self.assertEqual(wire.status(1), RESOURCE_EXHAUSTED)
        self.serves(wire)

    def test_compressed_bombs_are_not_opened(self):
        bomb = gzip.compress(bytes(64 << 20))
        self.assertLess(len(bomb), 100000)
        for more, flag, code in (
                ([("grpc-encoding", "gzip")], 1, UNIMPLEMENTED),
                ([("grpc-encoding", "deflate")], 1, UNIMPLEMENTED),
                ([], 1, INTERNAL)):
            wire = self.wire()
            wire.send(frame(HEADERS, END_HEADERS, 1, request(CREATE, *more)))
            body = bytes([flag]) + struct.pack(">I", len(bomb)) + bomb
            for at in range(0, len(body), 16384):
                wire.send(frame(DATA, 0, 1, body[at:at + 16384]))
            self.assertEqual(wire.status(1), code)
            self.serves(wire)

    def test_messages_that_grow_when_decoded_are_refused(self):
        """Two bytes on the wire, a hundred in memory, two million times."""
        message = b"\x0a\x00" * (2 << 20)
        with grpc.secure_channel(
                self.leader.address,
                Field.pki.credentials("anna")) as channel:
            for path in (APPLY, CREATE):
                with self.assertRaises(grpc.RpcError) as caught:
                    channel.unary_unary(path)(message[:(4 << 20) - 64],
                                              timeout=60)
                self.assertIn(caught.exception.code().name,
                              ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"))

    def test_malformed_messages_are_refused(self):
        wire = self.wire()
        for number_of, message in enumerate((
                b"\xff", b"\x0a\x7fz", b"\x0a\x02\xff\xfe", b"\x0a\x03a\0b",
                b"\x0b" * 1000, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")):
            stream = 2 * number_of + 1
            wire.call(stream, CREATE, message)
            self.assertEqual(wire.status(stream), INVALID_ARGUMENT, message)
        self.serves(wire)

    def test_more_data_than_the_window_ends_it(self):
        """Bytes for a call that is not read further, past all windows."""
        wire = self.wire()
        wire.send(frame(HEADERS, END_HEADERS, 1, request(
            "/holdfast.v1.PlanService/MakePlan")))
        error = self.floods(wire, b"".join(
            frame(DATA, 0, 1, b"\0\0\x3f\xff\xff" + bytes(16379))
            for _ in range(64)), 20)
        self.assertIn(error, (None, 0, 3, ENHANCE_YOUR_CALM))

    def test_methods_are_found_by_their_exact_name_alone(self):
        wire = self.wire("bert")  # Who has no grant.
        for number_of, path in enumerate((
                "/holdfast.v1.ZoneService/../AccessService/ListGrants",
                "/holdfast.v1.AccessService/ListGrants/",
                "//holdfast.v1.AccessService/ListGrants",
                "/holdfast.v1.AccessService%2fListGrants",
                "/HOLDFAST.V1.AccessService/ListGrants",
                "/holdfast.v1.AccessService/ListGrants?x",
                "/holdfast.v1.AccessService/ListGrants%00",
                "/" + "a" * 9000)):
            stream = 2 * number_of + 1
            wire.call(stream, path)
            self.assertEqual(wire.status(stream), UNIMPLEMENTED, path)

    def test_headers_cannot_break_a_line_of_the_log(self):
        for value in ("a\nlevel=error event=forged", "a\r\nx: y", "a\0b"):
            for more in ([("x", value)], [("authorization", value)],
                         [("holdfast-caller", value)]):
                wire = self.wire()
                wire.call(1, LIST, b"", *more)
                # The stream is reset, or the call refused.
                self.assertNotEqual(wire.status(1), "0", (more, value))
        for node in self.region.nodes:
            with open(node.log, encoding="utf-8", errors="replace") as log:
                self.assertFalse([line for line in log if
                                  line.startswith("level=error event=forged")])
