# SPDX-License-Identifier: Apache-2.0
"""The HTTP port of live nodes, by Python's http.client and by raw sockets that
keep no rule; and the metrics, read strictly by the rules of the format.

usage: http_test.py BINARIES DESCRIPTORS"""
import http.client
import re
import socket
import sys
import time
import unittest

import holdfast_client
from holdfast_region import Region, free_ports, wait_until

# As in rpc/limits.h.
HEAD_BYTES_MAX = 4096
REQUESTS_MAX = 100
CONNECTIONS_MAX = 64
REFUSALS_MAX = 16

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9]+(?:\.[0-9]+)?)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')


def read_labels(text):
    labels = {}
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"not labels: {text}"
        assert match[1] not in labels, f"twice: {text}"
        assert match[3] == "," or match.end() == len(text), text
        labels[match[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(
            m[1], m[1]), match[2])
        at = match.end()
    return labels


def read_metrics(text):
    """{name: (type, help, {labels: value})}, or an AssertionError: HELP, TYPE
    and all samples of a metric stand together, nothing comes twice."""
    families = {}
    name = None
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, help_text = line[7:].partition(" ")
            assert re.fullmatch(NAME, name) and help_text, line
            assert name not in families, f"twice: {name}"
            families[name] = [None, help_text, {}]
        elif line.startswith("# TYPE "):
            typed, _, kind = line[7:].partition(" ")
            assert typed == name and kind in ("gauge", "counter"), line
            assert families[name][0] is None and not families[name][2], line
            families[name][0] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match and match[1] == name, f"not a sample of it: {line}"
            assert families[name][0] is not None, f"no type: {line}"
            labels = tuple(sorted(read_labels(match[2] or "").items()))
            assert labels not in families[name][2], f"twice: {line}"
            families[name][2][labels] = float(match[3])
    assert all(kind for kind, _, _ in families.values())
    return families


class HttpRegion(Region):
    def write_config(self, node, settings):
        node.http, = free_ports(1)
        super().write_config(node, {**settings,
                                    "http_listen": f'"127.0.0.1:{node.http}"'})


def ask(node, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", node.http, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(), response
    finally:
        connection.close()


def metrics(node):
    status, text, response = ask(node, "/metrics")
    assert status == 200
    assert response.getheader("Content-Type") == (
        "text/plain; version=0.0.4; charset=utf-8")
    return read_metrics(text)


def value(families, name, **labels):
    return families[name][2].get(tuple(sorted(labels.items())))


class Raw:
    """A connection and what came over it."""

    def __init__(self, node):
        self.socket = socket.create_connection(("127.0.0.1", node.http), 30)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def response(self, head=False):
        """(status, fields, body) of the next answer; None at the end."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                assert not self.buffer, self.buffer
                return None
        text, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = text.decode().split("\r\n")
        assert lines[0].startswith("HTTP/1.1 "), lines[0]
        fields = dict(line.split(": ", 1) for line in lines[1:])
        size = 0 if head else int(fields["Content-Length"])
        while len(self.buffer) < size:
            assert self.more(), "cut off"
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return int(lines[0].split(" ")[1]), fields, body.decode()

    def more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return data != b""

    def ends(self):
        """Closed by the node, without another byte."""
        return self.response() is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def request(path="/livez", fields="", method="GET", version="1.1"):
    return (f"{method} {path} HTTP/{version}\r\nHost: x\r\n{fields}"
            "\r\n").encode()


REFUSED = (
    (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
    (b"DELETE / HTTP/1.1\r\n", 405),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"\x00" * 100, 400),
    (b"GET /livez\r\n", 400),
    (b"GET /livez HTTP/1.1\nHost: x\n\n", 400),
    (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (request(fields="Content-Length: 3\r\n") + b"abc", 413),
    (request(fields="Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 501),
    (request(fields="Expect: 100-continue\r\n"), 417),
    (request(fields="X: a\r\n b\r\n"), 400),
    (request("/" + "a" * HEAD_BYTES_MAX), 414),
    (request(fields="X: " + "a" * HEAD_BYTES_MAX + "\r\n"), 431),
    (request(fields="X:\r\n" * 70), 431),
    # So much behind it that the kernel would reset the connection, and the
    # answer with it, if it were closed at once.
    (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + b"a" * 100000, 405),
)


class HttpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.region = HttpRegion(sys.argv[1])
        cls.addClassCleanup(cls.region.close)
        cls.node = cls.region.nodes[0]
        wait_until(lambda: holdfast_client.answers(cls.node.address),
                   "n1 listens")
        holdfast_client.load_schema(sys.argv[2], cls.node.address)
        cls.region.leader()

    def tearDown(self):
        """Whatever a test did, every node lives on and serves."""
        for node in self.region.nodes:
            self.assertTrue(node.lives())
            self.assertEqual(ask(node, "/livez")[:2], (200, "serving\n"))

    def test_pages(self):
        for node in self.region.nodes:
            wait_until(lambda: ask(node, "/readyz")[0] == 200, "it is ready")
        status, text, response = ask(self.node, "/readyz?verbose")
        self.assertEqual((status, text), (200, "ready\n"))
        self.assertEqual(response.getheader("Cache-Control"), "no-store")
        self.assertIn("GMT", response.getheader("Date"))
        for path in ("/", "/metrics/", "/Metrics", "/%6civez", "/livez%00"):
            self.assertEqual(ask(self.node, path)[0], 404)

    def test_head_has_the_head_alone(self):
        for path, status in (("/livez", 200), ("/x", 404), ("/metrics", 200)):
            got, text, response = ask(self.node, path, "HEAD")
            self.assertEqual((got, text), (status, ""))
            self.assertGreater(int(response.getheader("Content-Length")), 0)
        with Raw(self.node) as raw:
            raw.send(request(method="HEAD") * 2 + request())
            for head in (True, True, False):
                self.assertEqual(raw.response(head)[0], 200)

    def test_refusals_end_the_connection(self):
        for data, status in REFUSED:
            with Raw(self.node) as raw:
                raw.send(data)
                got, fields, body = raw.response()
                self.assertEqual(got, status, data[:60])
                self.assertEqual(fields["Connection"], "close")
                self.assertTrue(body.endswith("\n"))
                self.assertEqual(fields.get("Allow"),
                                 "GET, HEAD" if status == 405 else None)
                self.assertTrue(raw.ends())

    def test_a_connection_is_kept(self):
        with Raw(self.node) as raw:
            for _ in range(3):
                raw.send(request())
                status, fields, _ = raw.response()
                self.assertEqual(status, 200)
                self.assertNotIn("Connection", fields)
            raw.send(request(fields="Connection: close\r\n") + request())
            self.assertEqual(raw.response()[1]["Connection"], "close")
            self.assertTrue(raw.ends())
        with Raw(self.node) as raw:
            raw.send(b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                     b"GET /livez HTTP/1.0\r\n\r\n")
            self.assertEqual(raw.response()[1]["Connection"], "keep-alive")
            self.assertEqual(raw.response()[1]["Connection"], "close")
            self.assertTrue(raw.ends())

    def test_pipelined_requests_are_answered_in_order(self):
        paths = ("/livez", "/x", "/metrics", "/livez")
        data = b"".join(request(path) for path in paths)
        for piece in (len(data), 7, 1):
            with Raw(self.node) as raw:
                for at in range(0, len(data), piece):
                    raw.send(data[at:at + piece])
                self.assertEqual([raw.response()[0] for _ in paths],
                                 [200, 404, 200, 200])

    def test_a_connection_has_a_last_request(self):
        with Raw(self.node) as raw:
            raw.send(request() * (REQUESTS_MAX + 5))
            answers = [raw.response() for _ in range(REQUESTS_MAX)]
            self.assertEqual({a[0] for a in answers}, {200})
            self.assertEqual([a[1].get("Connection") for a in answers],
                             [None] * (REQUESTS_MAX - 1) + ["close"])
            self.assertTrue(raw.ends())

    def test_answers_that_nobody_takes_hold_up_nobody(self):
        with Raw(self.node) as raw:
            raw.send(request("/metrics") * REQUESTS_MAX)
            for node in self.region.nodes:
                self.assertEqual(ask(node, "/livez")[0], 200)
            for _ in range(REQUESTS_MAX):
                self.assertEqual(raw.response()[0], 200)

    def test_a_slow_head_is_ended(self):
        with Raw(self.node) as raw, Raw(self.node) as idle:
            raw.send(b"G")
            for byte in b"ET /livez HTTP/1.1\r\nX: ":
                time.sleep(0.02)
                raw.send(bytes((byte,)))
            status, fields, _ = raw.response()
            self.assertEqual((status, fields["Connection"]), (408, "close"))
            self.assertTrue(raw.ends())
            idle.send(request())  # Was silent all the while.
            self.assertEqual(idle.response()[0], 200)

    def test_too_many_connections(self):
        held = []
        try:
            for _ in range(CONNECTIONS_MAX):
                held.append(Raw(self.node))
                held[-1].send(request())
                self.assertEqual(held[-1].response()[0], 200)
            with Raw(self.node) as raw:
                status, fields, _ = raw.response()
                self.assertEqual((status, fields["Connection"]),
                                 (503, "close"))
            held[0].send(request("/metrics"))
            families = read_metrics(held[0].response()[2])
            self.assertGreaterEqual(value(families, "holdfast_http_connections"),
                                    CONNECTIONS_MAX)
            self.flood()
        finally:
            for raw in held:
                raw.socket.close()

        def is_served():
            try:
                return ask(self.node, "/livez")[0] == 200
            except (OSError, http.client.HTTPException):
                return False
        wait_until(is_served, "there is room again")

    def flood(self):
        """Many more than are even told that there are too many."""
        more = [socket.create_connection(("127.0.0.1", self.node.http), 30)
                for _ in range(4 * REFUSALS_MAX)]
        for connection in more:
            connection.settimeout(30)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass
            connection.close()

    def test_metrics_are_in_order(self):
        all_nodes = [metrics(node) for node in self.region.nodes]
        for families in all_nodes:
            self.assertEqual(set(families), set(all_nodes[0]))
            self.assertEqual(value(families, "holdfast_raft_leader_known"), 1)
            for name, (kind, _, _) in families.items():
                self.assertTrue(name.startswith("holdfast_"))
                self.assertEqual(kind == "counter", name.endswith("_total"))

    def test_metrics_follow_what_happens(self):
        leader = self.region.leader()
        before = metrics(leader)
        self.assertEqual(value(before, "holdfast_raft_leading"), 1)
        self.assertEqual(value(before, "holdfast_raft_role", role="leader"), 1)
        self.region.client(leader).call("ZoneService/CreateZone",
                                        {"name": "metrics"})
        after = metrics(leader)

        def growth(name, **labels):
            return (value(after, name, **labels) or 0) - (
                value(before, name, **labels) or 0)
        self.assertEqual(growth("holdfast_zones"), 1)
        self.assertEqual(growth("holdfast_changes_applied_total",
                                change="zone_create"), 1)
        self.assertEqual(growth("holdfast_turn_requests_total",
                                lane="mutation"), 1)
        self.assertEqual(growth("holdfast_rpc_calls_total", code="OK",
                                method="holdfast.v1.ZoneService/CreateZone"), 1)
        self.assertGreaterEqual(growth("holdfast_raft_applied_index"), 1)
        self.assertGreaterEqual(growth("holdfast_http_responses_total",
                                       code="200"), 1)
        for node in self.region.nodes:
            wait_until(lambda: value(metrics(node), "holdfast_zones") ==
                       value(after, "holdfast_zones"), "it is everywhere")
        lag = after["holdfast_raft_peer_lag_entries"][2]
        self.assertEqual(len(lag), len(self.region.nodes) - 1)

    def test_refusals_are_counted(self):
        before = metrics(self.node)
        self.assertEqual(ask(self.node, "/livez", "PUT")[0], 405)
        after = metrics(self.node)
        self.assertEqual(
            value(after, "holdfast_http_responses_total", code="405") -
            value(before, "holdfast_http_responses_total", code="405"), 1)


class NotReadyTest(unittest.TestCase):
    def test_a_node_without_a_majority_is_alive_and_not_ready(self):
        region = HttpRegion(sys.argv[1])
        self.addCleanup(region.close)
        left = region.nodes[0]
        for node in region.nodes:
            wait_until(lambda: holdfast_client.answers(node.address),
                       f"{node.name} listens")
            wait_until(lambda: ask(node, "/readyz")[0] == 200, "it is ready")
        for node in region.nodes[1:]:
            node.kill()
        wait_until(lambda: ask(left, "/readyz")[0] == 503, "it is not ready")
        self.assertIn("no leader is known", ask(left, "/readyz")[1])
        self.assertEqual(ask(left, "/livez")[0], 200)
        self.assertEqual(value(metrics(left), "holdfast_ready"), 0)
        region.nodes[1].start()
        wait_until(lambda: ask(left, "/readyz")[0] == 200, "it is ready again")


class FormatTest(unittest.TestCase):
    """The reader of this test refuses what it should."""

    def test_bad_texts(self):
        good = "# HELP a b\n# TYPE a gauge\na{x=\"\\\\\\\"\\n\"} 1\na 2.5\n"
        self.assertEqual(read_metrics(good)["a"][2],
                         {(("x", "\\\"\n"),): 1.0, (): 2.5})
        for bad in ("a 1\n", "# HELP a b\na 1\n", good + good, good[:-1],
                    good + "a 3\n", good + "\n", good + "b 1\n",
                    good.replace("gauge", "number"), good.replace(" 2.5", ""),
                    good.replace("\\n", "\\t"), good.replace('x="', "x=")):
            with self.assertRaises(AssertionError, msg=bad):
                read_metrics(bad)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
