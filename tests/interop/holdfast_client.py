# SPDX-License-Identifier: Apache-2.0
"""Every method of a node by stock grpcio, with the types that the node's own
reflection service tells: nothing of ours on this side of the wire."""
import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf import message_factory

SECONDS = 60
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

schema = None


def make_details():
    """The messages of google/rpc/status.proto and error_details.proto that
    errors carry, written down here once more: Debian has no package of them."""
    def message(name, *fields):
        found = descriptor_pb2.DescriptorProto(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            repeated = kind.startswith("*")
            kind = kind.lstrip("*")
            found.field.add(
                name=field, number=number, label=3 if repeated else 1,
                type={"int32": 5, "string": 9}.get(kind, 11),
                type_name=None if kind in ("int32", "string") else "." + kind)
        return found
    file = descriptor_pb2.FileDescriptorProto(
        name="details.proto", package="google.rpc", syntax="proto3",
        dependency=["google/protobuf/any.proto",
                    "google/protobuf/duration.proto"])
    file.message_type.extend([
        message("Status", ("code", "int32"), ("message", "string"),
                ("details", "*google.protobuf.Any")),
        message("ErrorInfo", ("reason", "string"), ("domain", "string")),
        message("RetryInfo", ("retry_delay", "google.protobuf.Duration")),
        message("FieldViolation", ("field", "string"),
                ("description", "string")),
        message("BadRequest",
                ("field_violations", "*google.rpc.FieldViolation"))])
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {m.name: factory.GetPrototype(
        pool.FindMessageTypeByName("google.rpc." + m.name))
        for m in file.message_type}


DETAILS = make_details()


class Refused(Exception):
    """A call that failed: its code's name, our reason or None, the text. What
    gRPC's own error details say must be the same."""

    def __init__(self, error):
        trailers = dict(error.trailing_metadata() or ())
        self.details = {}
        self.check_details(error, trailers)
        self.code = error.code().name
        self.reason = trailers.get("holdfast-reason")
        self.retry_ms = trailers.get("grpc-retry-pushback-ms")
        self.text = error.details() or ""
        super().__init__(f"{self.code} {self.reason}: {self.text}")

    def check_details(self, error, trailers):
        if "holdfast-reason" not in trailers:
            return
        status = DETAILS["Status"].FromString(
            trailers["grpc-status-details-bin"])
        assert status.code == error.code().value[0], status
        assert status.message == error.details(), (status, error.details())
        for detail in status.details:
            name = detail.type_url.rpartition(".")[2]
            self.details[name] = DETAILS[name].FromString(detail.value)
        info = self.details["ErrorInfo"]
        assert info.domain == "holdfast", info
        assert info.reason == trailers["holdfast-reason"], info
        if info.reason == "INVALID_FIELD":
            violations = self.details["BadRequest"].field_violations
            fields = ", ".join(v.field for v in violations)
            for violation in violations:
                assert status.message == \
                    f"{fields}: {violation.description}", status
        retry = trailers.get("grpc-retry-pushback-ms")
        assert (retry is not None) == ("RetryInfo" in self.details), status
        if retry is not None:
            delay = self.details["RetryInfo"].retry_delay
            assert delay.ToMilliseconds() == int(retry), (delay, retry)


def read_descriptor_set(path):
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        files.ParseFromString(file.read())
    return files.file


class Schema:
    """Bootstrapped with the standard reflection protocol alone, which comes
    from the `grpc-proto` files; all else is asked of the server."""

    def __init__(self, standard, address, credentials=None):
        self.standard = descriptor_pool.DescriptorPool()
        for file in read_descriptor_set(standard):
            self.standard.Add(file)
        self.pool = descriptor_pool.DescriptorPool()
        self.files = {}
        self.methods = {}
        self.services = []
        self.classes = {}
        self.read(address, credentials)

    def message_class(self, descriptor):
        if descriptor.full_name not in self.classes:
            factory = message_factory.MessageFactory(descriptor.file.pool)
            self.classes[descriptor.full_name] = factory.GetPrototype(
                descriptor)
        return self.classes[descriptor.full_name]

    def message(self, name):
        return self.message_class(self.pool.FindMessageTypeByName(name))

    def reflect(self, channel, *requests):
        request, response = (self.message_class(
            self.standard.FindMessageTypeByName(
                f"grpc.reflection.v1.ServerReflection{kind}"))
            for kind in ("Request", "Response"))
        call = channel.stream_stream(
            REFLECTION, request.SerializeToString, response.FromString)
        return list(call(iter([request(**r) for r in requests]),
                         timeout=SECONDS))

    def add_file(self, channel, data):
        file = descriptor_pb2.FileDescriptorProto.FromString(data)
        if file.name in self.files:
            return
        self.files[file.name] = file
        for name in file.dependency:
            if name not in self.files:
                self.add_answer(channel, {"file_by_filename": name})
        self.pool.Add(file)

    def add_answer(self, channel, request):
        answer, = self.reflect(channel, request)
        assert answer.HasField("file_descriptor_response"), (request, answer)
        for data in answer.file_descriptor_response.file_descriptor_proto:
            self.add_file(channel, data)

    def read(self, address, credentials):
        with channel_to(address, credentials) as channel:
            answer, = self.reflect(channel, {"list_services": ""})
            self.services = sorted(
                s.name for s in answer.list_services_response.service)
            for name in self.services:
                self.add_answer(channel, {"file_containing_symbol": name})
        for name in self.services:
            service = self.pool.FindServiceByName(name)
            proto = descriptor_pb2.ServiceDescriptorProto()
            service.CopyToProto(proto)
            for method, kinds in zip(service.methods, proto.method):
                self.methods[f"{name}/{method.name}"] = (method, kinds)


def full(path):
    """"VmService/GetVm" is short for one of ours."""
    return path if "." in path else "holdfast.v1." + path


def answers(address):
    """Whether a server listens there."""
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(0.5)
            return True
        except grpc.FutureTimeoutError:
            return False


def channel_to(address, credentials=None, options=None):
    """With credentials: over TLS."""
    if credentials is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, credentials, options)


class Client:
    def __init__(self, address, credentials=None, token=None):
        self.token = [] if token is None else [
            ("authorization", f"Bearer {token}")]
        # Without its own subchannel each client would share connections, and
        # wait for a killed server as long as the longest of them.
        self.channel = channel_to(address, credentials, [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", 8 << 20),
            ("grpc.initial_reconnect_backoff_ms", 50),
            # Also how long an attempt may take, with its handshake.
            ("grpc.min_reconnect_backoff_ms", 50 if credentials is None
             else 2000),
            ("grpc.max_reconnect_backoff_ms", 200)])
        self.stubs = {}

    def stub(self, path):
        path = full(path)
        if path not in self.stubs:
            method, kinds = schema.methods[path]
            make = {
                (False, False): self.channel.unary_unary,
                (False, True): self.channel.unary_stream,
                (True, False): self.channel.stream_unary,
                (True, True): self.channel.stream_stream,
            }[kinds.client_streaming, kinds.server_streaming]
            self.stubs[path] = make(
                "/" + path,
                lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
                schema.message_class(method.output_type).FromString)
        return self.stubs[path]

    @staticmethod
    def request(path, fields):
        """A message of the method's input type; bytes are sent as they are."""
        if isinstance(fields, bytes):
            return fields
        method, _ = schema.methods[full(path)]
        return json_format.ParseDict(
            fields, schema.message_class(method.input_type)())

    def call(self, path, fields, timeout=SECONDS, previous=0):
        """A unary call's answer; Refused otherwise. `previous`: how often it
        was sent before, with the same request id."""
        metadata = list(self.token)
        if previous:
            metadata.append(("holdfast-previous-attempts", str(previous)))
        try:
            return self.stub(path)(self.request(path, fields), timeout=timeout,
                                   metadata=metadata)
        except grpc.RpcError as error:
            raise Refused(error) from None

    def future(self, path, fields, timeout=SECONDS):
        return self.stub(path).future(self.request(path, fields),
                                      timeout=timeout, metadata=self.token)

    def stream(self, path, fields, timeout=SECONDS):
        """A server stream, as stock grpcio gives it."""
        return self.stub(path)(self.request(path, fields), timeout=timeout,
                               metadata=self.token)

    def session(self, path, messages, timeout=SECONDS):
        """A bidirectional stream of message objects."""
        return self.stub(path)(messages, timeout=timeout)

    def close(self):
        self.channel.close()


def load_schema(standard, address):
    global schema  # pylint: disable=global-statement
    if schema is None:
        schema = Schema(standard, address)
    return schema


def first_error(stream):
    """Refused, with which the stream ends after any messages."""
    try:
        for _ in stream:
            pass
    except grpc.RpcError as error:
        return Refused(error)
    raise AssertionError("the stream ended without an error")
