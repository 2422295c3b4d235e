# SPDX-License-Identifier: Apache-2.0
"""Audit records and tokens to join over the wire; what records say is tested
beside the code, and that hosts join in join_test.py."""
import base64
import hashlib
import json

from api_case import RegionCase

LIST = "AuditService/ListAuditRecords"
EXPORT = "AuditService/ExportAuditRecords"


class Audit(RegionCase):
    HOSTS = False

    def test_what_is_changed_is_audited(self):
        self.ok("ZoneService/CordonZone", {"name": "z1", "request_id": "why"})
        self.ok("ZoneService/UncordonZone", {"name": "z1"})
        records = self.ok(LIST, {"object": "zone/z1"}).records
        self.assertEqual([r.method.split("/")[1] for r in records],
                         ["CreateZone", "CordonZone", "UncordonZone"])
        self.assertEqual((records[1].caller, records[1].request_id,
                          records[1].changes[0].field),
                         ("loopback", "why", "cordoned"))
        page = self.ok(LIST, {"page_size": 1})
        self.assertEqual(len(page.records), 1)
        page = self.ok(LIST, {"page_size": 1,
                              "page_token": page.next_page_token})
        self.assertEqual(page.records[0].number, 2)
        self.fails(LIST, {"page_token": "x"}, "page_token")
        self.fails(LIST, {"page_size": 10001}, "page_size")

    def test_lines_are_one_chain_at_every_node(self):
        self.ok("ZoneService/CordonZone", {"name": "z2"})
        answer = self.ok(EXPORT, {})
        previous = "0" * 64
        for number, line in enumerate(answer.lines, 1):
            record = json.loads(line)
            content, _, rest = line.rpartition(',"digest":')
            self.assertEqual(record["number"], str(number))
            self.assertEqual(record["previous"], previous)
            previous = hashlib.sha256(content.encode()).hexdigest()
            self.assertEqual(rest, f'"{previous}"}}')
        self.assertEqual(answer.last_number, len(answer.lines))
        for client in self.followers:
            self.assertEqual(list(self.ok(EXPORT, {}, client).lines),
                             list(answer.lines))
        more = self.ok(EXPORT, {"after_number": answer.last_number - 1})
        self.assertEqual(list(more.lines), list(answer.lines[-1:]))
        self.refused(EXPORT, {"after_number": 1 << 40}, "OUT_OF_RANGE",
                     "AUDIT_GONE", "is not kept")
        self.fails(EXPORT, {"page_size": 10001}, "page_size")


class JoinTokens(RegionCase):
    HOSTS = False
    CREATE = "JoinService/CreateJoinToken"
    DELETE = "JoinService/DeleteJoinToken"
    JOIN = "JoinService/JoinHost"

    def token(self, name, byte, zone="z1"):
        return {"token": {
            "name": name, "zone": zone,
            "secret_sha256": base64.b64encode(byte * 32).decode()}}

    def test_tokens_are_made_listed_and_deleted(self):
        token = self.mutate(self.CREATE, self.token("h1", b"a")).token
        self.assertEqual((token.name, token.zone, token.secret_sha256,
                          token.use_time_ms), ("h1", "z1", b"", 0))
        self.assertEqual(token.expire_time_ms - token.create_time_ms, 3600000)
        self.refused(self.CREATE, self.token("h1", b"b"), "ALREADY_EXISTS",
                     "NAME_TAKEN", "h1")
        self.refused(self.CREATE, self.token("h2", b"b", "z9"), "NOT_FOUND",
                     "ZONE_NOT_FOUND", "z9")
        self.fails(self.CREATE, self.token("", b"b"), "token.name")
        self.fails(self.CREATE, {}, "token")
        self.fails(self.CREATE, {**self.token("h2", b"b"), "ttl_ms": 1},
                   "ttl_ms")
        self.ok(self.CREATE, self.token("h2", b"b"))
        listed = self.ok("JoinService/ListJoinTokens", {"page_size": 1})
        self.assertEqual([t.name for t in listed.tokens], ["h1"])
        listed = self.ok("JoinService/ListJoinTokens", {
            "page_size": 1, "page_token": listed.next_page_token})
        self.assertEqual([t.name for t in listed.tokens], ["h2"])
        self.fails("JoinService/ListJoinTokens", {"page_size": 10001},
                   "page_size")
        self.refused(self.DELETE, {"name": "none"}, "NOT_FOUND",
                     "JOIN_TOKEN_NOT_FOUND", "none")
        self.assertEqual(self.mutate(self.DELETE, {"name": "h1"}).token.name,
                         "h1")

    def test_a_region_without_the_authoritys_key_signs_nothing(self):
        self.refused(self.JOIN, {"name": "h1"}, "FAILED_PRECONDITION",
                     "JOIN_OFF", "agent_ca_key")
