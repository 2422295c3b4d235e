# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: frames as an attacker would make them, which no library
would send. Headers are written without compression; answers' headers are read
by the standard library for it, libnghttp2."""
import ctypes
import ctypes.util
import socket
import struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SECONDS = 60


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(
        ">BBI", kind, flags, stream) + payload


def number(value, bits, first=0):
    """An integer of RFC 7541, 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    data = bytes([first | most])
    value -= most
    while value >= 128:
        data += bytes([value % 128 | 128])
        value //= 128
    return data + bytes([value])


def literal(name, value, kept=False):
    """A header field; `kept`: into the table that both sides keep."""
    name, value = (part if isinstance(part, bytes) else part.encode()
                   for part in (name, value))
    return (b"\x40" if kept else b"\0") + number(len(name), 7) + name + number(
        len(value), 7) + value


def request(path, *more):
    """The header fields of a gRPC call."""
    return b"".join(literal(*field) for field in (
        (":method", "POST"), (":scheme", "https"), (":path", path),
        (":authority", "node"), ("content-type", "application/grpc"),
        ("te", "trailers"), *more))


class _Field(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_char)),
                ("value", ctypes.POINTER(ctypes.c_char)),
                ("name_len", ctypes.c_size_t), ("value_len", ctypes.c_size_t),
                ("flags", ctypes.c_uint8)]


class Inflater:
    """Of one connection's answers."""
    library = ctypes.CDLL(ctypes.util.find_library("nghttp2"))
    library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t

    def __init__(self):
        self.inflater = ctypes.c_void_p()
        assert self.library.nghttp2_hd_inflate_new(
            ctypes.byref(self.inflater)) == 0

    def read(self, block):
        fields = {}
        at = 0
        while True:
            field, flags = _Field(), ctypes.c_int()
            used = self.library.nghttp2_hd_inflate_hd2(
                self.inflater, ctypes.byref(field), ctypes.byref(flags),
                block[at:], ctypes.c_size_t(len(block) - at), 1)
            assert used >= 0, used
            at += used
            if flags.value & 2:  # A field.
                fields[field.name[:field.name_len].decode()] = \
                    field.value[:field.value_len].decode()
            if flags.value & 1:  # The last.
                self.library.nghttp2_hd_inflate_end_headers(self.inflater)
                return fields

    def close(self):
        if self.inflater is not None:
            self.library.nghttp2_hd_inflate_del(self.inflater)
        self.inflater = None


class Wire:
    """A connection; `context`: over TLS, `source`: from that address.
    With `greet` false not even HTTP/2 has begun."""

    def __init__(self, address, context=None, source=None, greet=True,
                 settings=b""):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection(
            (host, int(port)), SECONDS,
            source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.answers = {}  # Headers and trailers by stream.
        self.inflater = Inflater()
        if context is not None:
            self.socket = context.wrap_socket(self.socket)
        if greet:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def send(self, data):
        """All of it; false when the node has closed the connection."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def call(self, stream, path, message=b"", *more):
        """A whole unary call."""
        return self.send(
            frame(HEADERS, END_HEADERS, stream, request(path, *more)) +
            frame(DATA, END_STREAM, stream,
                  b"\0" + struct.pack(">I", len(message)) + message))

    def more(self):
        try:
            data = self.socket.recv(65536)
        except socket.timeout:
            raise AssertionError("the node neither answers nor ends") from None
        except OSError:
            return False
        self.buffer += data
        return data != b""

    def next(self):
        """(kind, flags, stream, payload); None at the connection's end."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(
                self.buffer[:3], "big"):
            if not self.more():
                return None
        size = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
        if kind == HEADERS:
            assert flags & END_HEADERS
            self.answers.setdefault(stream, {}).update(
                self.inflater.read(payload))
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK))
        return kind, flags, stream, payload

    def answer(self, stream):
        """Headers and trailers of the stream, when it has ended; None when the
        connection has."""
        while True:
            got = self.next()
            if got is None:
                return None
            if got[2] == stream and (
                    got[0] in (DATA, HEADERS) and got[1] & END_STREAM or
                    got[0] == RST_STREAM):
                return self.answers.get(stream, {})

    def status(self, stream):
        answer = self.answer(stream)
        return None if answer is None else answer.get("grpc-status")

    def error(self):
        """Reads to the end; the code with which the node said goodbye, or None
        when it said nothing."""
        code = None
        while True:
            got = self.next()
            if got is None:
                return code
            if got[0] == GOAWAY:
                code = int.from_bytes(got[3][4:8], "big")

    def close(self):
        self.socket.close()
        self.inflater.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
