# SPDX-License-Identifier: Apache-2.0
"""Attacks through the services themselves: names, files, peers, the HTTP
port."""
import base64
import hashlib
import os
import socket
import subprocess
import time

import grpc
import holdfast_client
from api_case import TEMPLATE
from fake_host import SESSION, hello
from holdfast_region import wait_until
from http_test import Raw, ask, metrics, request, value
from threat_case import PASSWORD, Field, ThreatCase

PEER = "/holdfast.v1.PeerService/Stream"
TRICKS = ("../../etc/passwd", "..", ".", "a/../b", "a/b", "/etc/passwd",
          "%2e%2e%2f", "a\\b", "a\nb", "a b", "a\tb", "\u2025", "\u202ea",
          "a\u0301", "\uff0e\uff0e", "A", "-a", "a;reboot", "$(reboot)",
          "a'b", 'a"b', "{name}", "a:b", "a,b", "x" * 64, "x" * 5000, "")
# Below a pool or the images, a slash and capitals are in order.
PATH_TRICKS = ("../../etc/passwd", "..", "a/../b", "a/..", "/etc/passwd",
               "a\\..\\b", "a\nb", "a b", "a,b", "a,file=/etc/passwd", "a//b",
               "x" * 256, "")


class Names(ThreatCase):
    def vm(self, **fields):
        return {"vm": {"name": "v", "class_name": "small",
                       "template": TEMPLATE, **fields}}

    def test_names_that_are_paths_or_worse_are_refused(self):
        client = self.client
        calls = [
            (lambda n: ("VmService/CreateVm", self.vm(name=n))),
            (lambda n: ("VmService/CreateVm", self.vm(class_name=n))),
            (lambda n: ("ZoneService/CreateZone", {"name": n})),
            (lambda n: ("GroupService/CreateGroup", {"group": {"name": n}})),
            (lambda n: ("ClassService/CreateClass", {"vm_class": {
                "name": n, "resources": {"cpu_milli": 1, "memory_mib": 1}}})),
            (lambda n: ("AccessService/CreateGrant", {"grant": {
                "name": n, "client": "x",
                "subject_kind": "SUBJECT_KIND_CLIENT",
                "role": "ACCESS_ROLE_VIEWER"}}))]
        for name in TRICKS:
            for call in calls:
                path, fields = call(name)
                with self.assertRaises(holdfast_client.Refused) as caught:
                    client.call(path, fields)
                self.assertIn(caught.exception.code, ("INVALID_ARGUMENT",),
                              (path, name))
                self.assertLess(len(caught.exception.text), 600)

    def test_paths_of_images_and_disks_stay_below_their_folder(self):
        for path in PATH_TRICKS:
            for template in (
                    {"driver": "DRIVER_QEMU", "image": path,
                     "disks": [] if path else [
                         {"kind": "DISK_KIND_EPHEMERAL", "image": path}]},
                    {"driver": "DRIVER_QEMU", "disks": [
                        {"kind": "DISK_KIND_EPHEMERAL", "image": path}]},
                    {"driver": "DRIVER_QEMU", "image": "i", "disks": [
                        {"kind": "DISK_KIND_SHARED", "pool": "p",
                         "path": path}]},
                    {"driver": "DRIVER_QEMU", "image": "i", "disks": [
                        {"kind": "DISK_KIND_LOCAL", "pool": path or "../p",
                         "path": "a"}]}):
                with self.assertRaises(holdfast_client.Refused) as caught:
                    self.client.call("VmService/CreateVm",
                                     self.vm(template=template))
                # An honest pool's name may be one that no host has.
                self.assertIn(caught.exception.code, (
                    "INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND"),
                    template)

    def test_a_host_cannot_take_a_name_that_is_a_path(self):
        client = holdfast_client.Client(self.leader.address,
                                        Field.pki.credentials("stray"))
        self.addCleanup(client.close)
        for name in TRICKS + ("h1",):
            message = client.request(SESSION, hello(name, "z1"))
            error = holdfast_client.first_error(
                client.session(SESSION, iter([message])))
            self.assertIn(error.code, ("INVALID_ARGUMENT",
                                       "PERMISSION_DENIED"), name)


class Files(ThreatCase):
    """What a file can do to the one who applies it."""

    def apply(self, text):
        path = Field.pki.path("bomb.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        with subprocess.Popen(
                [f"{Field.binaries}/holdfast", "apply", "-f", path, "--yes",
                 "--endpoint", self.leader.address, "--tls-ca",
                 Field.pki.path("ca/node-ca.crt"), "--tls-cert",
                 Field.pki.path("anna.crt"), "--tls-key",
                 Field.pki.path("anna.key")],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True) as child:
            error = child.stderr.read()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        self.answers.append(error)
        return child.returncode, usage.ru_maxrss, error

    def test_a_manifest_that_is_a_bomb_is_refused_by_the_command_line(self):
        laughs = "a: &a [x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [" +
            ", ".join([f"*{chr(97 + i)}"] * 10) + "]\n" for i in range(9))
        for what, text in {
                "aliases of aliases": laughs,
                "an alias of itself": "&a [*a]\n",
                "very deep YAML": "[" * 200000,
                "very deep JSON": '{"vms":' * 100000,
                "a key without end": "a" * (8 << 20) + ": 1\n",
                "a NUL": "vms:\n- name: a\0b\n",
                "not UTF-8": "vms:\n- name: \udcff\n",
                "a tag": "!!python/object/apply:os.system ['true']\n",
        }.items():
            text = text.encode("utf-8", "surrogateescape").decode("latin-1") \
                if what == "not UTF-8" else text
            code, peak_kib, error = self.apply(text)
            self.assertIn(code, (1, 2), (what, error[:300]))
            self.assertNotEqual(error, "", what)
            self.assertLess(peak_kib, 600 << 10, what)

    def test_a_file_outside_of_a_manifest_is_never_read(self):
        code, _, error = self.apply(
            f"vms: !include {Field.pki.path('anna.key')}\n")
        self.assertNotEqual(code, 0, error)


class Tokens(ThreatCase):
    def test_guessed_tokens_get_nothing_and_fill_no_log(self):
        size = os.path.getsize(self.leader.log)
        client = holdfast_client.Client(self.leader.address,
                                        Field.pki.credentials(None))
        self.addCleanup(client.close)
        for guess in range(200):
            client.token = [("authorization", f"Bearer hf_{guess:064x}")]
            with self.assertRaises(holdfast_client.Refused) as caught:
                client.call("AccessService/ListGrants", {})
            self.assertEqual(caught.exception.code, "UNAUTHENTICATED")
        self.assertLess(os.path.getsize(self.leader.log) - size, 20000)

    def test_an_expired_token_gets_nothing(self):
        """At no node, for no kind of call, and it cannot give itself time."""
        secret = f"hf_{7:064x}"
        end_ms = int(time.time() * 1000) + 1500
        self.client.call("AccessService/CreateGrant", {"grant": {
            "name": "over", "subject_kind": "SUBJECT_KIND_TOKEN",
            "role": "ACCESS_ROLE_ADMIN", "expire_time_ms": end_ms,
            "secret_sha256": base64.b64encode(hashlib.sha256(
                secret.encode()).digest()).decode()}})
        bearer = [("authorization", f"Bearer {secret}")]
        wait_until(lambda: self.refusal(
            "ZoneService/ListZones", {}, None, bearer)[1] == "TOKEN_EXPIRED",
            "it ends")
        self.assertGreaterEqual(time.time() * 1000, end_ms)
        self.before = self.facts()
        again = {"grant": {"name": "over"}, "update_mask": ["expire_time_ms"]}
        # Also beside an administrator's certificate: a token counts.
        for node in self.region.nodes:
            for certificate in (None, "anna"):
                for path, fields in (
                        ("VmService/ListVms", {}),
                        ("VmService/ListVms",
                         {"consistency": "CONSISTENCY_STALE"}),
                        ("ClusterService/ListNodes", {}),
                        ("AccessService/CanI", {"method": "VmService/GetVm"}),
                        ("AccessService/UpdateGrant", again),
                        ("AuditService/ExportAuditRecords", {}),
                        ("ClusterService/TransferLeadership", {}),
                        ("ZoneService/CreateZone", {"name": "z9"})):
                    self.assertEqual(
                        self.refusal(path, fields, certificate, bearer,
                                     node)[:2],
                        ("UNAUTHENTICATED", "TOKEN_EXPIRED"), path)
        self.assertEqual(self.facts(), self.before)
        self.client.call("AccessService/DeleteGrant", {"name": "over"})
        self.before = self.facts()

    def test_a_secret_that_leaks_would_be_found(self):
        """What looks for secrets after each test does see one: in an answer, in
        a file of a data directory."""
        secret = Field.secrets()[-1]
        self.answers.append(f"so: {Field.token}")
        with self.assertRaises(AssertionError):
            self.check_secrets()
        self.answers.clear()
        self.check_secrets()
        planted = f"{self.region.directory}/{self.leader.name}.data/planted"
        with open(planted, "wb") as file:
            file.write(b"x" * 5000 + secret)
        try:
            with self.assertRaises(AssertionError):
                self.check_secrets()
        finally:
            os.remove(planted)

    def test_passwords_by_other_schemes_get_nothing(self):
        for scheme in (f"Basic {PASSWORD}", PASSWORD, f"Bearer {PASSWORD}",
                       f"Bearer hf_{Field.token[3:]}00",
                       f"Bearer {Field.token[:-1]}",
                       f"Bearer {Field.token.upper()}"):
            for certificate in (None, "anna", "bert"):
                code, _, _ = self.refusal(
                    "ZoneService/ListZones", {}, certificate,
                    [("authorization", scheme)])
                self.assertEqual(code, "UNAUTHENTICATED", scheme[:12])


class Scopes(ThreatCase):
    """Somebody with a little tries to make it more."""

    def bert(self, path, fields):
        code, reason, _ = self.refusal(path, fields, "bert")
        return code, reason

    def ok(self, path, fields):
        self.client.call(path, fields)

    def make(self, name, zone, team):
        self.ok("VmService/CreateVm", {"vm": {
            "name": name, "class_name": "small", "zone": zone,
            "labels": {"team": team}, "desired": "DESIRED_STATE_STOPPED",
            "template": TEMPLATE}})
        self.addCleanup(self.remove, "VmService", name)

    def remove(self, service, name):
        noun = {"AccessService": "Grant"}.get(service, service[:-7])
        self.ok(f"{service}/Delete{noun}", {"name": name})

    def grant(self, **fields):
        self.ok("AccessService/CreateGrant", {"grant": {
            "name": "bert", "client": "bert",
            "subject_kind": "SUBJECT_KIND_CLIENT",
            "role": "ACCESS_ROLE_OPERATOR", **fields}})

    def test_a_scope_is_not_widened_by_labels_zones_or_groups(self):
        """One may change what has one's labels, so one gives them; or gives
        one's own away; or puts it where one has no say."""
        self.grant(zones=["z1"], labels={"team": "red"})
        self.make("mine", "z1", "red")
        self.make("theirs", "z1", "blue")
        self.make("elsewhere", "z2", "red")
        self.ok("GroupService/CreateGroup", {"group": {
            "name": "their-group", "zones": ["z1", "z2"]}})
        self.before = self.facts()
        for path, fields in (
                ("VmService/UpdateVm", {
                    "vm": {"name": "theirs", "labels": {"team": "red"}},
                    "update_mask": ["labels"]}),
                ("VmService/UpdateVm", {
                    "vm": {"name": "mine", "labels": {"team": "blue"}},
                    "update_mask": ["labels"]}),
                ("VmService/DeleteVm", {"name": "theirs"}),
                ("VmService/DeleteVm", {"name": "elsewhere"}),
                ("VmService/StartVm", {"name": "theirs"}),
                ("VmService/CreateVm", self.new(zone="z2")),
                ("VmService/CreateVm", self.new()),
                ("VmService/CreateVm", self.new(zone="z1", labels={})),
                ("VmService/CreateVm", self.new(zone="z1",
                                                group="their-group")),
                ("GroupService/DeleteGroup", {"name": "their-group"}),
                ("GroupService/ScaleGroup", {"name": "their-group",
                                             "count": 3}),
                ("ZoneService/CordonZone", {"name": "z1"}),
                ("AccessService/DeleteGrant", {"name": "bert"}),
                ("AccessService/UpdateGrant", {
                    "grant": {"name": "bert"},
                    "update_mask": ["zones", "labels"]}),
                ("AccessService/UpdateGrant", {
                    "grant": {"name": "bert", "role": "ACCESS_ROLE_ADMIN"},
                    "update_mask": ["role", "zones", "labels"]}),
                ("AccessService/UpdateGrant", {
                    "grant": {"name": "anna", "role": "ACCESS_ROLE_VIEWER"},
                    "update_mask": ["role"]}),
                ("ManifestService/ApplyManifest", {"manifest": {"grants": [{
                    "name": "bert", "client": "bert",
                    "role": "ACCESS_ROLE_ADMIN"}]}}),
                ("ManifestService/ApplyManifest", {"manifest": {"grants": [{
                    "name": "anna", "client": "anna",
                    "role": "ACCESS_ROLE_VIEWER"}]}, "prune": True}),
                ("AccessService/CreateGrant", {"grant": {
                    "name": "more", "client": "bert",
                    "subject_kind": "SUBJECT_KIND_CLIENT",
                    "role": "ACCESS_ROLE_ADMIN"}})):
            code, reason = self.bert(path, fields)
            self.assertEqual(code, "PERMISSION_DENIED", (path, fields, reason))
            self.assertIn(reason, ("OUT_OF_SCOPE", "ROLE_NEEDED"))
        self.assertEqual(self.facts(), self.before)
        self.remove("GroupService", "their-group")
        self.doCleanups()
        self.remove("AccessService", "bert")
        self.before = self.facts()

    @staticmethod
    def new(**fields):
        return {"vm": {"name": "new", "class_name": "small",
                       "labels": {"team": "red"}, "template": TEMPLATE,
                       "desired": "DESIRED_STATE_STOPPED", **fields}}

    def test_a_former_request_id_is_no_key(self):
        """The answer of a request that was one's own is not given again when
        one may not make it any more."""
        self.grant()
        once = {**self.new(), "request_id": "berts"}
        self.assertEqual(self.bert("VmService/CreateVm", once)[0], "OK")
        self.remove("AccessService", "bert")
        self.before = self.facts()
        self.assertEqual(self.bert("VmService/CreateVm", once),
                         ("PERMISSION_DENIED", "ROLE_NEEDED"))
        self.assertEqual(self.facts(), self.before)
        self.remove("VmService", "new")
        self.before = self.facts()


class Peers(ThreatCase):
    """A node's own service, by others and by a node that lies."""

    def stream(self, certificate, metadata, messages):
        """How the stream ends; None: the node listened to all."""
        channel = grpc.secure_channel(self.leader.address,
                                      Field.pki.credentials(certificate))
        self.addCleanup(channel.close)
        call = channel.stream_stream(PEER)(
            iter(messages), metadata=metadata, timeout=30)
        try:
            list(call)
            return None
        except grpc.RpcError as error:
            self.answers.append(error.details())
            return error.code().name

    def metadata(self, **other):
        liar = next(n for n in self.region.nodes if n is not self.leader)
        fields = {"node": str(liar.number), "to": str(self.leader.number),
                  "region": "interop", **other}
        return liar.name, [(f"holdfast-{key}", text)
                           for key, text in fields.items()]

    @staticmethod
    def message(kind, **fields):
        name = "holdfast.v1.PeerMessage"
        made = holdfast_client.schema.message(name)()
        part = getattr(made, kind)
        part.SetInParent()
        for key, number in fields.items():
            if key == "entries":
                for entry in number:
                    part.entries.add(**entry)
            else:
                setattr(part, key, number)
        return made.SerializeToString()

    def test_nobody_but_nodes_may_call_the_peers_service(self):
        for certificate, code in (("anna", "PERMISSION_DENIED"),
                                  ("stray", "PERMISSION_DENIED"),
                                  (None, "UNAUTHENTICATED")):
            _, metadata = self.metadata()
            self.assertEqual(self.stream(certificate, metadata, [b""]), code)

    def test_a_node_with_a_wrong_region_or_number_is_refused(self):
        for other, code in (
                ({"region": "other"}, "FAILED_PRECONDITION"),
                ({"region": ""}, "FAILED_PRECONDITION"),
                ({"to": "99"}, "FAILED_PRECONDITION"),
                ({"node": "77"}, "UNAUTHENTICATED"),
                ({"node": "-1"}, "UNAUTHENTICATED"),
                ({"node": str(self.leader.number)}, "UNAUTHENTICATED")):
            liar, metadata = self.metadata(**other)
            self.assertEqual(self.stream(liar, metadata, [b""]), code, other)

    def test_forged_raft_messages_change_nothing(self):
        """By a node's own certificate: terms, indexes and entries that no node
        that is well would send."""
        status = self.region.status(self.leader)
        term, index = status.term, status.applied_index
        entry = {"term": term, "type": 1, "data": b"forged", "chain": 1}
        bad = [
            # A second leader of this term.
            self.message("append_entries", term=term, previous_index=index,
                         previous_term=term, commit_index=index + 5,
                         entries=[entry]),
            # A term that no election could have come to, and ends of numbers.
            self.message("append_entries", term=term + (1 << 31)),
            self.message("request_vote", term=(1 << 63) - 1,
                         last_index=1 << 40, last_term=1),
            self.message("request_vote", term=(1 << 64) - 1),
            self.message("timeout_now", term=1 << 50, last_index=1,
                         last_term=1),
            self.message("probe", term=1 << 60, number=1),
            # Malformed ones.
            b"", b"\xff" * 100, b"\x0a\x7f",
            self.message("append_entries", term=term, entries=[
                {**entry, "type": 99}]),
            self.message("snapshot_chunk", term=term + (1 << 40),
                         manifest=b"x", offset=1 << 60, data=b"x" * 1000)]
        quiet = [
            # Of a former leader: told the term, and no more.
            self.message("append_entries", term=max(term - 1, 1),
                         previous_index=index, previous_term=term,
                         entries=[entry]),
            # Votes and answers that nobody asked for.
            self.message("request_vote_result", term=term, granted=True),
            self.message("append_entries_result", term=term,
                         request_term=term - 1, last_index=index + 100),
            self.message("snapshot_chunk_result", term=term, index=1 << 40,
                         index_term=term, received_bytes=1 << 40),
            self.message("probe_result", term=term, number=1 << 40),
            self.message("timeout_now", term=max(term - 1, 1))]
        counter = "holdfast_raft_messages_bad_total"
        before = value(metrics(self.leader), counter)
        liar, metadata = self.metadata()
        self.assertIsNone(self.stream(liar, metadata, bad + quiet))
        wait_until(lambda: value(metrics(self.leader), counter) - before >=
                   len(bad), "all are counted")
        after = self.region.status(self.leader)
        self.assertEqual((after.term, after.leader),
                         (term, self.leader.name))


class HttpPort(ThreatCase):
    """It tells of itself, to everybody; nothing more can be had from it."""

    def test_the_http_port_gives_no_file_and_takes_nothing(self):
        for path in ("/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
                     "/metrics/../../etc/passwd", "//etc/passwd", "/.env",
                     "/metrics?x=../../etc/passwd&y", "/debug/pprof", "*"):
            with Raw(self.leader) as raw:
                raw.send(request(path))
                status, _, body = raw.response()
                self.assertIn(status, (200, 400, 404), path)
                self.assertNotIn("root:", body)
                self.answers.append(body)
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT",
                       "OPTIONS"):
            with Raw(self.leader) as raw:
                raw.send(request("/metrics", method=method))
                self.assertEqual(raw.response()[0], 405, method)
        text = ask(self.leader, "/metrics")[1]
        for private in ("bystander", "127.0.0.1", "sleep", "anna"):
            self.assertNotIn(private, text)

    def test_a_flood_of_the_http_port_leaves_the_api_alone(self):
        flood = []
        for _ in range(200):
            flood.append(socket.create_connection(
                ("127.0.0.1", self.leader.http), 30))
            flood[-1].sendall(b"GET /metrics HTTP/1.1\r\nHo")
        self.assertEqual(self.refusal("ZoneService/ListZones", {})[0], "OK")
        for one in flood:
            one.close()
        wait_until(lambda: served(self.leader), "the port serves again")

    def test_grpc_and_tls_on_the_http_port_get_nothing(self):
        for data in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     b"\x16\x03\x01\x02\0\x01\0" + bytes(100)):
            with Raw(self.leader) as raw:
                raw.send(data)
                self.assertIn(raw.response()[0], (400, 505))
                self.assertTrue(raw.ends())


def served(node):
    try:
        return ask(node, "/livez")[0] == 200
    except OSError:
        return False
