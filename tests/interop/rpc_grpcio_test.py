# SPDX-License-Identifier: Apache-2.0
"""Stock Python grpcio against a server of rpc/.

usage: rpc_grpcio_test.py SERVER DESCRIPTORS [unittest arguments]"""
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVER, DESCRIPTORS = sys.argv[1:3]
SECONDS = 20  # Longer than anything here takes; a hang is a failure.
ECHO = "/holdfast.test.v1.Echo/"


def load_messages():
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet()
    with open(DESCRIPTORS, "rb") as file:
        files.ParseFromString(file.read())
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)

    def get(name):
        return factory.GetPrototype(pool.FindMessageTypeByName(name))
    return get


get = load_messages()
Request = get("holdfast.test.v1.EchoRequest")
Reply = get("holdfast.test.v1.EchoReply")
Stats = get("holdfast.test.v1.StatsReply")
HealthRequest = get("grpc.health.v1.HealthCheckRequest")
HealthResponse = get("grpc.health.v1.HealthCheckResponse")
ReflectionRequest = get("grpc.reflection.v1.ServerReflectionRequest")
ReflectionResponse = get("grpc.reflection.v1.ServerReflectionResponse")


class Server:
    def __init__(self, forward=None):
        command = [SERVER, DESCRIPTORS] + ([forward] if forward else [])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                        text=True)
        word, port = self.process.stdout.readline().split()
        assert word == "port"
        self.address = f"127.0.0.1:{port}"

    def term(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        """Waits for its orderly end; how many unary calls it answered."""
        output, _ = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, self.process.returncode
        word, answered = output.split()
        assert word == "answered"
        return int(answered)

    def stop(self):
        if self.process.poll() is None:
            self.term()
        return self.wait()


class Client:
    """Every method with the types that it has."""

    def __init__(self, address, options=()):
        # Without its own subchannel, each client would share connections.
        options = [("grpc.use_local_subchannel_pool", 1),
                   ("grpc.max_receive_message_length", 8 << 20),
                   ("grpc.enable_retries", 0), *options]
        self.channel = grpc.insecure_channel(address, options)
        echo = (Request.SerializeToString, Reply.FromString)
        self.unary = self.channel.unary_unary(ECHO + "Unary", *echo)
        self.server_stream = self.channel.unary_stream(
            ECHO + "ServerStream", *echo)
        self.client_stream = self.channel.stream_unary(
            ECHO + "ClientStream", *echo)
        self.bidi = self.channel.stream_stream(ECHO + "Bidi", *echo)
        self.raw_stats = self.channel.unary_unary(
            ECHO + "Stats", Request.SerializeToString, Stats.FromString)
        health = (HealthRequest.SerializeToString, HealthResponse.FromString)
        self.check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check", *health)
        self.watch = self.channel.unary_stream(
            "/grpc.health.v1.Health/Watch", *health)

    def stats(self):
        return self.raw_stats(Request(), timeout=SECONDS)

    def stats_until(self, good):
        """Counters lag behind what a client sees; waits for them."""
        end = time.monotonic() + SECONDS
        while True:
            stats = self.stats()
            if good(stats):
                return stats
            if time.monotonic() > end:
                raise AssertionError(f"never came: {stats}")
            time.sleep(0.01)

    def stats_at_rest(self):
        """Once no call is left over from before: the server learns later than
        the client that one has ended."""
        return self.stats_until(lambda s: s.handlers_open == 1)

    def reflect(self, version, *requests):
        call = self.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/"
            "ServerReflectionInfo",
            ReflectionRequest.SerializeToString, ReflectionResponse.FromString)
        return list(call(iter(requests), timeout=SECONDS))

    def close(self):
        self.channel.close()


def code_of(call):
    """The code and details with which a call fails."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


class Calls:
    """Run against a server, and against one that passes all calls on."""

    def test_unary(self):
        reply = self.client.unary(Request(text="grüße"), timeout=SECONDS)
        self.assertEqual(reply.text, "grüße")
        self.assertEqual(reply.forwarded, self.forwarded)

    def test_empty_message(self):
        reply = self.client.unary(Request(), timeout=SECONDS)
        self.assertEqual(reply.text, "")

    def test_messages_up_to_the_limit(self):
        # 4 MiB is the limit of the encoded message; its field's head takes 5.
        largest = Request(payload=bytes((4 << 20) - 5))
        self.assertEqual(largest.ByteSize(), 4 << 20)
        reply = self.client.client_stream(iter([largest]), timeout=SECONDS)
        self.assertEqual(reply.bytes, (4 << 20) - 5)
        # The same limit holds for the reply, which has a few fields more.
        payload = os.urandom((4 << 20) - 64)
        reply = self.client.unary(Request(payload=payload), timeout=SECONDS)
        self.assertEqual(reply.payload, payload)

    def test_message_above_the_limit(self):
        code, _ = code_of(lambda: self.client.unary(
            Request(payload=bytes((4 << 20) - 4)), timeout=SECONDS))
        self.assertEqual(code, grpc.StatusCode.RESOURCE_EXHAUSTED)
        # The connection has not suffered.
        self.test_unary()

    def test_message_that_decodes_to_too_much_memory(self):
        request = Request()
        for _ in range(500_000):
            request.items.add()
        code, details = code_of(
            lambda: self.client.unary(request, timeout=SECONDS))
        self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT, details)
        self.test_unary()

    def test_every_code_with_its_message(self):
        for code in grpc.StatusCode:
            number, _ = code.value
            if number == 0:
                continue
            message = f"100 % {code.name}\n\"ö\" 中"
            got = code_of(lambda: self.client.unary(
                Request(fail_code=number, fail_message=message),
                timeout=SECONDS))
            self.assertEqual(got, (code, message))

    def test_metadata_comes_back_as_trailers(self):
        metadata = (("echo-text", "a b,c"), ("echo-data-bin", b"\x00\xff\n\r"))
        reply, call = self.client.unary.with_call(
            Request(text="x"), timeout=SECONDS, metadata=metadata)
        self.assertEqual(reply.text, "x")
        trailers = dict(call.trailing_metadata())
        if self.forwarded:
            # A forwarder passes the trailers of Holdfast's own contract.
            self.assertNotIn("echo-text", trailers)
        else:
            self.assertEqual(trailers["echo-text"], "a b,c")
            self.assertEqual(trailers["echo-data-bin"], b"\x00\xff\n\r")

    def test_errors_are_trailers_only(self):
        # Stock clients retry only those, and then tell no initial metadata.
        call = self.client.unary.future(
            Request(fail_code=14, fail_message="no leader"), timeout=SECONDS)
        self.assertEqual(call.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(list(call.initial_metadata()), [])

    def test_headers_above_the_limit(self):
        code, details = code_of(lambda: self.client.unary(
            Request(), timeout=SECONDS,
            metadata=tuple((f"k{i}", "v" * 1000) for i in range(20))))
        self.assertEqual(code, grpc.StatusCode.RESOURCE_EXHAUSTED, details)
        self.assertIn("headers", details)
        self.test_unary()

    def test_unknown_method_and_service(self):
        for path in ("/holdfast.test.v1.Echo/Nothing", "/no.Service/Unary"):
            call = self.client.channel.unary_unary(path)
            code, _ = code_of(lambda: call(b"", timeout=SECONDS))
            self.assertEqual(code, grpc.StatusCode.UNIMPLEMENTED)

    def test_malformed_messages_are_refused_and_say_where(self):
        call = self.client.channel.unary_unary(ECHO + "Unary")
        for data, said in ((b"\x0a\x02\xff\xfe", "text: is not UTF-8"),
                           (b"\x0a\x03a\x00b", "text: holds a NUL"),
                           (b"\x42\x03\x0a\x01\xff",
                            "items.name: is not UTF-8"),
                           (b"\x0a\x7fa", "malformed"),
                           (b"\xff\xff\xff", "malformed")):
            code, details = code_of(lambda: call(data, timeout=SECONDS))
            self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT, data)
            self.assertIn(said, details)

    def test_compressed_requests_are_unimplemented(self):
        code, _ = code_of(lambda: self.client.unary(
            Request(text="x" * 10000), timeout=SECONDS,
            compression=grpc.Compression.Gzip))
        self.assertEqual(code, grpc.StatusCode.UNIMPLEMENTED)

    def test_deadline(self):
        before = self.backend.stats_at_rest()
        code, _ = code_of(
            lambda: self.client.unary(Request(hang=True), timeout=0.2))
        self.assertEqual(code, grpc.StatusCode.DEADLINE_EXCEEDED)
        after = self.backend.stats_until(lambda s: s.handlers_open == 1)
        ended = [a - b for a, b in zip(after.calls, before.calls)]
        # The client's reset and the server's own clock run a race.
        self.assertEqual(ended[1] + ended[4], 1, ended)

    def test_deadline_of_a_stream(self):
        replies = self.client.bidi(self.hang_open([Request(text="a")]),
                                   timeout=0.5)
        self.assertEqual(next(replies).text, "a")
        code, _ = code_of(lambda: next(replies))
        self.assertEqual(code, grpc.StatusCode.DEADLINE_EXCEEDED)
        self.backend.stats_until(lambda s: s.handlers_open == 1)

    def test_cancel(self):
        before = self.backend.stats_at_rest()
        call = self.client.unary.future(Request(hang=True))
        self.backend.stats_until(lambda s: s.handlers_open == 2)
        call.cancel()
        # The handler of the statistics is the one that is left.
        after = self.backend.stats_until(lambda s: s.handlers_open == 1)
        self.assertEqual(after.calls[1] - before.calls[1], 1)

    def test_cancelled_stream_stops_the_server(self):
        stream = self.client.server_stream(
            Request(count=10_000_000, payload=bytes(1000)))
        next(stream)
        stream.cancel()
        self.backend.stats_until(lambda s: s.handlers_open == 1)

    def test_server_stream(self):
        replies = list(self.client.server_stream(
            Request(count=5000, payload=b"x" * 300), timeout=SECONDS))
        self.assertEqual([r.number for r in replies], list(range(5000)))
        self.assertTrue(all(r.payload == b"x" * 300 for r in replies))

    def test_server_stream_of_nothing(self):
        self.assertEqual(list(self.client.server_stream(
            Request(count=0), timeout=SECONDS)), [])

    def test_client_stream(self):
        reply = self.client.client_stream(
            (Request(payload=bytes(i)) for i in range(1000)), timeout=SECONDS)
        self.assertEqual(reply.number, 1000)
        self.assertEqual(reply.bytes, sum(range(1000)))

    def test_client_stream_that_fails_in_the_middle(self):
        def requests():
            yield Request()
            yield Request(fail_code=9, fail_message="enough")
            time.sleep(0.2)
            yield Request()
        got = code_of(
            lambda: self.client.client_stream(requests(), timeout=SECONDS))
        self.assertEqual(
            got, (grpc.StatusCode.FAILED_PRECONDITION, "enough"))

    @staticmethod
    def hang_open(requests):
        yield from requests
        threading.Event().wait(2)

    def test_bidi_answers_one_by_one(self):
        sent = []

        def requests():
            for i in range(100):
                # The answer to each came before the next is asked.
                self.assertEqual(len(received), i)
                sent.append(i)
                yield Request(text=str(i))
                turn.acquire(timeout=SECONDS)
        received = []
        turn = threading.Semaphore(0)
        for reply in self.client.bidi(requests(), timeout=SECONDS):
            received.append(reply.text)
            turn.release()
        self.assertEqual(received, [str(i) for i in sent])
        self.assertEqual(len(sent), 100)

    def test_many_at_once_on_one_connection(self):
        # Twice the limit of calls at once: the client has to queue.
        futures = [self.client.unary.future(
            Request(text=str(i), wait_ms=20), timeout=SECONDS)
            for i in range(512)]
        self.assertEqual([f.result().text for f in futures],
                         [str(i) for i in range(512)])

    def test_busy_stream_does_not_starve_others(self):
        stream = self.client.server_stream(
            Request(count=100_000_000, payload=bytes(2000)))
        stop = threading.Event()

        def consume():
            try:
                for _ in stream:
                    if stop.is_set():
                        stream.cancel()
            except grpc.RpcError:
                pass
        thread = threading.Thread(target=consume)
        thread.start()
        try:
            for i in range(50):
                self.assertEqual(self.client.unary(
                    Request(text=str(i)), timeout=SECONDS).text, str(i))
        finally:
            stop.set()
            thread.join()


class DirectCalls(Calls, unittest.TestCase):
    forwarded = False

    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.client = self.backend = Client(self.server.address)

    def tearDown(self):
        self.client.close()

    def test_slow_reader_holds_the_server_back(self):
        """The server makes replies only as fast as they are taken; what is
        under way is bounded by windows, not by the count."""
        before = self.backend.stats_at_rest().replies_made
        stream = self.client.server_stream(
            Request(count=100_000, payload=bytes(1000)))
        next(stream)
        made = -1
        while made != self.backend.stats().replies_made:
            made = self.backend.stats().replies_made
            time.sleep(0.3)
        self.assertLess(made - before, 50_000)
        stream.cancel()

    def test_health(self):
        for name in ("", "holdfast.test.v1.Echo"):
            self.assertEqual(self.client.check(
                HealthRequest(service=name), timeout=SECONDS).status, 1)
        code, _ = code_of(lambda: self.client.check(
            HealthRequest(service="unknown"), timeout=SECONDS))
        self.assertEqual(code, grpc.StatusCode.NOT_FOUND)
        watch = self.client.watch(HealthRequest(service="unknown"))
        self.assertEqual(next(watch).status, 3)
        watch.cancel()

    def test_reflection(self):
        for version in ("v1", "v1alpha"):
            services, file, missing = self.client.reflect(
                version, ReflectionRequest(list_services=""),
                ReflectionRequest(
                    file_containing_symbol="holdfast.test.v1.Echo"),
                ReflectionRequest(file_by_filename="missing.proto"))
            names = [s.name for s in services.list_services_response.service]
            self.assertEqual(sorted(names), [
                "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                "holdfast.test.v1.Echo"])
            proto = descriptor_pb2.FileDescriptorProto.FromString(
                file.file_descriptor_response.file_descriptor_proto[0])
            self.assertEqual(
                [m.name for m in proto.service[0].method],
                ["Unary", "ServerStream", "ClientStream", "Bidi", "Stats"])
            self.assertEqual(missing.error_response.error_code, 5)

    def test_reflection_finds_every_symbol(self):
        symbols = ["holdfast.test.v1.EchoRequest",
                   "holdfast.test.v1.Echo.Unary",
                   "grpc.health.v1.HealthCheckResponse.ServingStatus"]
        answers = self.client.reflect("v1", *(
            ReflectionRequest(file_containing_symbol=s) for s in symbols))
        for symbol, answer in zip(symbols, answers):
            self.assertTrue(answer.HasField("file_descriptor_response"),
                            symbol)


class ForwardedCalls(Calls, unittest.TestCase):
    forwarded = True

    @classmethod
    def setUpClass(cls):
        cls.leader = Server()
        cls.follower = Server(forward=cls.leader.address)

    @classmethod
    def tearDownClass(cls):
        cls.follower.stop()
        cls.leader.stop()

    def setUp(self):
        self.client = Client(self.follower.address)
        self.backend = Client(self.leader.address)

    def tearDown(self):
        self.client.close()
        self.backend.close()


class Lost(unittest.TestCase):
    def test_forwarder_without_its_leader_says_unavailable(self):
        leader = Server()
        follower = Server(forward=leader.address)
        client = Client(follower.address)
        client.unary(Request(), timeout=SECONDS)
        leader.stop()
        for _ in range(3):
            code, _ = code_of(
                lambda: client.unary(Request(), timeout=SECONDS))
            self.assertEqual(code, grpc.StatusCode.UNAVAILABLE)
        client.close()
        follower.stop()

    def test_killed_client_is_forgotten(self):
        server = Server()
        script = (
            "import grpc,sys,time\n"
            "c=grpc.insecure_channel(sys.argv[1])\n"
            "s=c.stream_stream('/holdfast.test.v1.Echo/Bidi')\n"
            "def g():\n"
            "    yield b''\n"
            "    time.sleep(100)\n"
            "r=s(g())\n"
            "next(r)\n"
            "print('up', flush=True)\n"
            "time.sleep(100)\n")
        process = subprocess.Popen(
            [sys.executable, "-c", script, server.address],
            stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "up\n")
        client = Client(server.address)
        client.stats_until(lambda s: s.handlers_open == 2)
        process.kill()
        process.communicate()
        client.stats_until(lambda s: s.handlers_open == 1)
        client.close()
        server.stop()


class Drain(unittest.TestCase):
    def test_call_under_way_is_answered(self):
        server = Server()
        client = Client(server.address)
        call = client.unary.future(
            Request(text="late", wait_ms=500), timeout=SECONDS)
        client.stats_until(lambda s: s.handlers_open == 2)
        server.term()
        self.assertEqual(call.result().text, "late")
        self.assertEqual(server.wait(), 1)
        code, _ = code_of(lambda: client.unary(Request(), timeout=SECONDS))
        self.assertEqual(code, grpc.StatusCode.UNAVAILABLE)
        client.close()

    def test_watches_hear_of_it_and_end(self):
        server = Server()
        client = Client(server.address)
        watch = client.watch(HealthRequest())
        self.assertEqual(next(watch).status, 1)
        server.term()
        self.assertEqual(next(watch).status, 2)  # Still open, until the grace.
        code, _ = code_of(lambda: next(watch))
        self.assertEqual(code, grpc.StatusCode.UNAVAILABLE)
        server.wait()
        client.close()

    def test_no_answer_is_lost_under_load(self):
        """What the server answered arrived; what fails is UNAVAILABLE."""
        server = Server()
        answered = []
        strange = []

        def work():
            client = Client(server.address)
            count = 0
            while True:
                code, details = code_of(
                    lambda: client.unary(Request(text="x"), timeout=SECONDS))
                if code != grpc.StatusCode.OK:
                    break
                count += 1
                if count == 20:
                    started.release()
            if code != grpc.StatusCode.UNAVAILABLE:
                strange.append((code, details))
            answered.append(count)
            client.close()
        started = threading.Semaphore(0)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for _ in threads:
            started.acquire(timeout=SECONDS)
        server.term()
        for thread in threads:
            thread.join()
        self.assertEqual(strange, [])
        self.assertEqual(server.wait(), sum(answered))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=1)
