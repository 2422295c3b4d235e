# SPDX-License-Identifier: Apache-2.0
"""Attacks that wait: they are begun with the first test, and looked at last,
when their time is over."""
import struct

from raw_http2 import (CONTINUATION, DATA, END_HEADERS, HEADERS, PREFACE,
                       RST_STREAM, Wire, frame, literal, request)
from threat_case import Field, ThreatCase, context_of

LIST = "/holdfast.v1.ZoneService/ListZones"
DEADLINE_EXCEEDED = "4"
NO_WINDOW = struct.pack(">HI", 4, 0)


def begin():
    """A request whose message does not end, and answers that are not taken."""
    address = Field.leader.address
    body = Wire(address, context_of("anna"))
    body.send(frame(HEADERS, END_HEADERS, 1, request(LIST)) +
              frame(DATA, 0, 1, b"\0\0\0\0\x09ab"))
    untaken = Wire(address, context_of("anna"), settings=NO_WINDOW)
    for stream in range(1, 201, 2):
        untaken.call(stream, LIST)
    Field.wires += [body, untaken]


class Slow(ThreatCase):
    def test_handshakes_and_headers_without_end_are_cut_off(self):
        """Each within its own time, while others are served."""
        address, nobody = self.leader.address, context_of(None)
        slow = [Wire(address, greet=False) for _ in range(20)]
        for wire in slow[:10]:
            wire.send(b"\x16\x03\x01\x02\0\x01\0\x01")  # Half a hello.
        slow += [Wire(address, nobody, greet=False),
                 Wire(address, context_of("anna"), greet=False)]
        slow[-1].send(PREFACE[:10])
        slow += [Wire(address, context_of("anna")) for _ in range(2)]
        slow[-1].send(frame(HEADERS, 0, 1, request(LIST)))
        slow[-2].send(frame(HEADERS, 0, 1, request(LIST)) +
                      frame(CONTINUATION, 0, 1, literal("x", "y")))
        self.serves(self.wire())
        for wire in slow:
            wire.error()  # Returns when the node has ended it.
            wire.close()

    def test_a_message_without_end_is_cut_off(self):
        body = Field.wires[0]
        self.assertEqual(body.status(1), DEADLINE_EXCEEDED)
        self.serves(body)

    def test_an_answer_that_is_not_taken_is_given_up(self):
        untaken, resets = Field.wires[1], set()
        while len(resets) < 100:
            got = untaken.next()
            self.assertIsNotNone(got)
            if got[0] == RST_STREAM:
                resets.add(got[2])
        self.assertEqual(resets, set(range(1, 201, 2)))
