# SPDX-License-Identifier: Apache-2.0
"""Roles over mutual TLS: each role tried on each kind of method through the
leader and a follower, tokens without a certificate, and the command line.
Arguments: the directory of the programs, the standard services' messages."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import grpc
import holdfast_client
from api_case import TEMPLATE
from holdfast_region import wait_until
from secure_region import Pki, SecureRegion, listens

BINARIES, STANDARD = sys.argv.pop(1), sys.argv.pop(1)

VM = {"name": "v", "class_name": "small", "template": TEMPLATE}
ROLES = ("viewer", "operator", "admin", "drill-runner", "scoped", "nobody")

# Kinds of methods; the callers who may.
TABLE = [
    ("VmService/ListVms", {}, "viewer operator admin drill-runner scoped"),
    ("VmService/ListVms", {"consistency": "CONSISTENCY_STALE"},
     "viewer operator admin drill-runner scoped"),
    ("ClusterService/GetStatus", {},
     "viewer operator admin drill-runner scoped"),
    ("ClusterService/ListNodes", {},
     "viewer operator admin drill-runner scoped"),
    ("PlanService/GetCapacity", {},
     "viewer operator admin drill-runner scoped"),
    ("PlanService/MakePlan", {"action": {"zone_loss": {"zones": ["z1"]}}},
     "operator admin drill-runner scoped"),
    ("VmService/CreateVm", {"vm": VM, "dry_run": True}, "operator admin"),
    ("VmService/CreateVm", {"vm": {**VM, "zone": "z1"}, "dry_run": True},
     "operator admin scoped"),
    ("VmService/BatchCreateVms", {
        "vms": [{**VM, "zone": "z1"}, {**VM, "name": "w", "zone": "z2"}],
        "dry_run": True}, "operator admin"),
    ("VmService/BatchCreateVms", {
        "vms": [{**VM, "zone": "z1"}, {**VM, "name": "w", "zone": "z1"}],
        "dry_run": True}, "operator admin scoped"),
    ("GroupService/CreateGroup", {"group": {"name": "g", "zones": ["z2"]},
                                  "dry_run": True}, "operator admin"),
    ("GroupService/CreateGroup", {"group": {"name": "g", "zones": ["z1"]},
                                  "dry_run": True}, "operator admin scoped"),
    ("ZoneService/CordonZone", {"name": "z1", "dry_run": True},
     "operator admin"),
    ("ReservationService/CreateReservation", {"reservation": {
        "name": "r", "zone": "z1", "class_name": "small", "count": 1},
        "dry_run": True}, "operator admin"),
    ("ZoneService/CreateZone", {"name": "z9", "dry_run": True}, "admin"),
    ("OperationService/ListOperations", {},
     "viewer operator admin drill-runner scoped"),
    ("ClusterService/UpdateSettings", {"dry_run": True}, "admin"),
    ("AccessService/ListGrants", {}, "admin"),
    ("AccessService/DeleteGrant", {"name": "viewer", "dry_run": True},
     "admin"),
    ("AccessService/UpdateGrant", {"grant": {"name": "viewer"}, "dry_run": True,
                                   "update_mask": ["zones"]}, "admin"),
    ("ManifestService/ApplyManifest", {"manifest": {"grants": [{
        "name": "viewer", "client": "viewer", "role": "ACCESS_ROLE_VIEWER"}]},
        "dry_run": True}, "admin"),
    ("JoinService/ListJoinTokens", {}, "admin"),
    ("JoinService/DeleteJoinToken", {"name": "h1", "dry_run": True}, "admin"),
    ("AuditService/ListAuditRecords", {}, "admin"),
    ("AuditService/ExportAuditRecords", {"consistency": "CONSISTENCY_STALE"},
     "admin"),
    ("AccessService/CanI", {"method": "VmService/GetVm"}, " ".join(ROLES)),
]


class Access(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="hf-access-")
        cls.pki = Pki(BINARIES, cls.directory)
        for name in ("anna",) + ROLES:
            cls.pki.issue("client", name)
        cls.region = SecureRegion(cls.pki)
        first = cls.region.nodes[0].address
        wait_until(lambda: listens(first), "a node listens")
        holdfast_client.schema = holdfast_client.Schema(
            STANDARD, first, cls.pki.credentials("anna"))
        cls.leader = cls.region.leader()
        cls.follower = cls.region.followers()[0]
        client = cls.region.client(cls.leader)
        for zone in ("z1", "z2", "z3"):
            client.call("ZoneService/CreateZone", {"name": zone})
        client.call("ClassService/CreateClass", {"vm_class": {
            "name": "small", "resources": {
                "cpu_milli": 100, "memory_mib": 64}}})
        cls.grant()

    @classmethod
    def grant(cls):
        """By the command line, as a person would."""
        denied = cls.holdfast("anna", "grant", "create", "x", "--client",
                              "viewer", "--role", "admin")
        assert denied.returncode == 6, denied
        assert "yours, 'anna'" in denied.stderr, denied.stderr
        for name, role, *scope in (
                ("anna", "admin"), ("viewer", "viewer"),
                ("operator", "operator"), ("admin", "admin"),
                ("drill-runner", "drill-runner"),
                ("scoped", "operator", "--zone", "z1")):
            done = cls.holdfast("anna", "grant", "create", name, "--client",
                                name, "--role", role, *scope)
            assert done.returncode == 0, done.stderr
            assert done.stdout == f"grant {name} created\n", done.stdout

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"=== {self.id()}\n{self.region.logs()}", flush=True)

    @classmethod
    def tearDownClass(cls):
        cls.region.close()
        shutil.rmtree(cls.directory)

    @classmethod
    def holdfast(cls, certificate, *words, **environment):
        """The command line with this certificate; None: with none."""
        own = [] if certificate is None else [
            "--tls-cert", cls.pki.path(f"{certificate}.crt"),
            "--tls-key", cls.pki.path(f"{certificate}.key")]
        return subprocess.run(
            [f"{BINARIES}/holdfast", *words, "--endpoint", cls.leader.address,
             "--tls-ca", cls.pki.path("ca/node-ca.crt"), *own],
            capture_output=True, text=True, check=False,
            env={**os.environ, **environment})

    def client(self, node, certificate, token=None):
        """Connected: a handshake may outlast the tests' short patience."""
        client = holdfast_client.Client(
            node.address, self.pki.credentials(certificate), token)
        self.addCleanup(client.close)
        grpc.channel_ready_future(client.channel).result(30)
        return client

    def answer(self, client, path, fields):
        try:
            client.call(path, fields)
            return "yes"
        except holdfast_client.Refused as refused:
            return f"{refused.code} {refused.reason}"

    def check_table(self, role, client, node):
        for path, fields, allowed in TABLE:
            answer = self.answer(client, path, fields)
            with self.subTest(role=role, path=path, node=node.name):
                if role in allowed.split():
                    # A plan may have nothing to say; it is not refused.
                    self.assertNotIn("PERMISSION", answer)
                    self.assertNotIn("UNAUTHENTICATED", answer)
                else:
                    self.assertIn(answer, (
                        "PERMISSION_DENIED ROLE_NEEDED",
                        "PERMISSION_DENIED OUT_OF_SCOPE"))

    def test_each_role_may_what_the_table_says(self):
        for node in (self.leader, self.follower):
            for role in ROLES:
                self.check_table(role, self.client(node, role), node)

    def test_a_token_does_without_a_certificate(self):
        done = self.holdfast("anna", "token", "create", "ci", "--role",
                             "operator", "--zone", "z1")
        self.assertEqual(done.returncode, 0, done.stderr)
        secret = done.stdout.strip()
        self.assertRegex(secret, "^hf_[0-9a-f]{64}$")
        self.assertIn("only time", done.stderr)
        for node in (self.leader, self.follower):
            client = self.client(node, None, secret)
            wait_until(lambda c=client: self.answer(
                c, "ClusterService/GetStatus", {}) == "yes", "it is known")
            self.check_table("scoped", client, node)
        shown = self.holdfast(None, "vm", "list", HOLDFAST_TOKEN=secret)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        listed = self.holdfast("anna", "token", "list", "-o", "name")
        self.assertIn("ci", listed.stdout.split())
        self.assertNotIn("anna", listed.stdout.split())
        for form in ("table", "json", "yaml"):
            listed = self.holdfast("anna", "token", "list", "-o", form)
            self.assertNotIn(secret[3:], listed.stdout)
        file = self.pki.path("token")
        with open(file, "w", encoding="utf-8") as token:
            token.write(secret + "\n")
        os.chmod(file, 0o644)
        shown = self.holdfast(None, "vm", "list", "--token-file", file)
        self.assertEqual(shown.returncode, 2)
        self.assertIn("others can read", shown.stderr)
        os.chmod(file, 0o600)
        shown = self.holdfast(None, "vm", "list", "--token-file", file)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(self.holdfast("anna", "token", "delete", "ci")
                         .returncode, 0)
        shown = self.holdfast(None, "vm", "list", "--token-file", file)
        self.assertEqual(shown.returncode, 6)
        self.assertIn("token", shown.stderr)

    def test_a_token_that_ends_is_made_shown_and_kept_alive(self):
        done = self.holdfast("anna", "token", "create", "brief", "--role",
                             "viewer", "--expires", "3s")
        self.assertEqual(done.returncode, 0, done.stderr)
        secret = done.stdout.strip()
        shown = self.holdfast(None, "auth", "can-i", "vm", "list",
                              HOLDFAST_TOKEN=secret)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout,
                         r"^yes: viewer, by grant 'brief'; until 20.*UTC\n$")

        def expired():
            shown = self.holdfast(None, "vm", "list", HOLDFAST_TOKEN=secret)
            return shown if shown.returncode != 0 else None
        refused = wait_until(expired, "it ends")
        self.assertEqual(refused.returncode, 6)
        self.assertIn("token 'brief' has expired", refused.stderr)
        listed = self.holdfast("anna", "token", "list")
        self.assertRegex(listed.stdout, r"brief +token +viewer +- +expired ")
        doctor = self.holdfast("anna", "doctor")
        self.assertRegex(doctor.stdout, r"token brief.*has expired")
        done = self.holdfast("anna", "token", "update", "brief", "--expires",
                             "10d")
        self.assertEqual((done.returncode, done.stdout),
                         (0, "grant brief updated\n"), done.stderr)
        self.assertEqual(self.holdfast(None, "vm", "list",
                                       HOLDFAST_TOKEN=secret).returncode, 0)
        doctor = self.holdfast("anna", "doctor")
        self.assertRegex(doctor.stdout, r"token brief.*ends in 9 days, at")
        wide = self.holdfast("anna", "token", "list", "-o", "wide")
        self.assertRegex(wide.stdout, r"brief +token +viewer +- +9d[0-9]*h? ")
        for words, text in ((["--expires", "soon"], "is no time"),
                            ([], "nothing to change"),
                            (["--zone", "z1", "--every-zone"], "exclude"),
                            (["--role", "king"], "--role")):
            wrong = self.holdfast("anna", "token", "update", "brief", *words)
            self.assertEqual(wrong.returncode, 2, wrong)
            self.assertIn(text, wrong.stderr)
        done = self.holdfast("anna", "token", "update", "brief", "--expires",
                             "never", "--role", "operator", "--zone", "z1,z2",
                             "--label", "team=red")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.holdfast("anna", "grant", "update", "brief",
                             "--every-zone", "--label", "tier=web", "--label",
                             "team-")
        self.assertEqual(done.returncode, 0, done.stderr)
        listed = self.holdfast("anna", "token", "list")
        self.assertRegex(listed.stdout,
                         r"brief +token +operator +tier=web +- ")
        gone = self.holdfast("anna", "grant", "update", "nobody", "--role",
                             "viewer")
        self.assertEqual(gone.returncode, 3, gone)
        self.assertIn("no grant 'nobody'", gone.stderr)
        last = self.holdfast("anna", "grant", "update", "anna", "--expires",
                             "2040-01-31T00:00:00+01:00", "--dry-run")
        self.assertEqual(last.returncode, 0, last.stderr)
        self.assertEqual(self.holdfast("anna", "token", "delete", "brief")
                         .returncode, 0)

    def test_grants_stand_in_manifests_and_tokens_do_not(self):
        self.assertEqual(self.holdfast("anna", "token", "create", "left",
                                       "--role", "viewer").returncode, 0)
        file = self.pki.path("region.yaml")
        done = self.holdfast("anna", "export", "-f", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r", 6 grants as of revision ")
        with open(file, encoding="utf-8") as text:
            exported = text.read()
        self.assertRegex(exported, r"(?m)^# tokens are not exported: .*left")
        self.assertIn("  - name: scoped\n    client: scoped\n"
                      "    role: operator\n    zones:\n      - z1\n",
                      exported)
        self.assertNotIn("secret", exported)
        same = self.holdfast("anna", "diff", "--prune", "-f", file)
        self.assertEqual(same.returncode, 0, same.stdout + same.stderr)
        hidden = self.holdfast("viewer", "export")
        self.assertEqual(hidden.returncode, 0, hidden.stderr)
        self.assertIn("# grants are not exported: they need the role admin\n",
                      hidden.stdout)
        self.assertNotIn("grants:", hidden.stdout)
        with open(file, "w", encoding="utf-8") as text:
            text.write(exported.replace("role: drill-runner", "role: viewer")
                       .replace("role: drill_runner", "role: viewer") +
                       "  - name: new\n    client: new\n    role: viewer\n")
        differs = self.holdfast("anna", "diff", "-f", file)
        self.assertEqual(differs.returncode, 2, differs.stderr)
        self.assertIn("+ grant new\n", differs.stdout)
        self.assertIn("~ grant drill-runner\n    role: \"drill_runner\" -> \"viewer\"",
                      differs.stdout)
        self.assertEqual(self.holdfast("operator", "apply", "-f", file)
                         .returncode, 6)
        done = self.holdfast("anna", "apply", "-f", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("created grant new\n", done.stdout)
        with open(file, "w", encoding="utf-8") as text:
            text.write(exported)
        done = self.holdfast("anna", "apply", "--prune", "--yes", "-f", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("deleted grant new\n", done.stdout)
        self.assertIn("updated grant drill-runner: role\n", done.stdout)
        self.assertRegex(done.stdout, "note: [0-9]+ tokens? (is|are) left aside")
        listed = self.holdfast("anna", "audit", "list", "-o", "json")
        self.assertIn('"grant/new.client"', listed.stdout)
        with open(file, "w", encoding="utf-8") as text:
            text.write("grants:\n- name: t\n  subject_kind: token\n"
                       "  role: admin\n")
        wrong = self.holdfast("anna", "apply", "-f", file)
        self.assertEqual(wrong.returncode, 2, wrong)
        self.assertIn(f"{file}:3: grants[0].subject_kind: a manifest has no",
                      wrong.stderr)
        linted = self.holdfast(None, "lint", "-f", file)
        self.assertIn("grant-token", linted.stdout)
        self.assertEqual(self.holdfast("anna", "token", "delete", "left")
                         .returncode, 0)

    def test_a_token_counts_before_the_certificate(self):
        done = self.holdfast("anna", "token", "create", "low", "--role",
                             "viewer")
        client = self.client(self.leader, "admin", done.stdout.strip())
        self.assertEqual(self.answer(client, "ZoneService/CreateZone",
                                     {"name": "z9"}),
                         "PERMISSION_DENIED ROLE_NEEDED")

    def test_a_token_is_for_people_alone(self):
        done = self.holdfast("anna", "token", "create", "agent", "--role",
                             "admin")
        client = self.client(self.leader, None, done.stdout.strip())
        for path in ("AgentService/Session", "PeerService/Stream"):
            stream = client.stub(path)(iter([]), metadata=client.token,
                                       timeout=10)
            refusal = holdfast_client.first_error(stream)
            self.assertEqual((refusal.code, refusal.reason),
                             ("PERMISSION_DENIED", "NOT_ALLOWED"))

    def test_what_is_done_is_audited_and_the_chain_can_be_verified(self):
        for words in (["host", "list"], ["zone", "cordon", "z3"],
                      ["zone", "uncordon", "z3"]):
            self.assertEqual(self.holdfast("anna", *words).returncode, 0)
        self.assertEqual(self.holdfast("viewer", "zone", "cordon", "z3")
                         .returncode, 6)
        done = self.holdfast("anna", "token", "create", "noted", "--role",
                             "operator")
        secret = done.stdout.strip()
        self.assertEqual(self.holdfast(
            None, "zone", "cordon", "z2", HOLDFAST_TOKEN=secret).returncode, 0)
        listed = self.holdfast("anna", "audit", "list", "--since", "1h")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertRegex(listed.stdout, "client:anna +ZoneService/CordonZone "
                         "+zone/z3 ")
        self.assertRegex(listed.stdout, "token:noted +ZoneService/CordonZone "
                         "+zone/z2 ")
        self.assertNotIn("client:viewer", listed.stdout)
        narrow = self.holdfast("anna", "audit", "list", "--object", "zone/z3",
                               "--caller", "client:anna", "-o", "wide")
        self.assertIn("cordoned: - -> true", narrow.stdout)
        self.assertNotIn("zone/z2", narrow.stdout)
        file = self.pki.path("audit.jsonl")
        exported = self.holdfast("anna", "audit", "export")
        self.assertEqual(exported.returncode, 0, exported.stderr)
        self.assertNotIn(secret[3:], exported.stdout)
        # The same at a follower, when it has applied as much.
        follower = self.client(self.follower, "anna")
        wait_until(lambda: list(follower.call(
            "AuditService/ExportAuditRecords",
            {"consistency": "CONSISTENCY_STALE"}).lines) ==
            exported.stdout.splitlines(), "the follower has the records")
        lines = exported.stdout.splitlines(keepends=True)
        with open(file, "w", encoding="utf-8") as out:
            out.writelines(lines[:3])
        more = self.holdfast("anna", "audit", "export", "--after", "3")
        with open(file, "a", encoding="utf-8") as out:
            out.write(more.stdout)
        good = self.holdfast(None, "audit", "verify", file)
        self.assertEqual(good.returncode, 0, good.stderr)
        self.assertRegex(good.stdout, re.compile(
            rf"ok: {len(lines)} records, 1 to {len(lines)}\n"
            r"follows digest [0-9a-f]{64}\nlast digest    [0-9a-f]{64}\n\Z"))
        digest = good.stdout.split()[-1]
        self.assertEqual(self.holdfast(None, "audit", "verify", "--last",
                                       digest, file).returncode, 0)
        for wrong, line in ((lines[:1] + lines[2:], 2),
                            (lines[:2] + [lines[2].replace("anna", "bert")] +
                             lines[3:], 3), (lines[:4] + ["\n"], 5)):
            with open(file, "w", encoding="utf-8") as out:
                out.writelines(wrong)
            bad = self.holdfast(None, "audit", "verify", file)
            self.assertEqual(bad.returncode, 1, bad)
            self.assertIn(f"{file}:{line}: ", bad.stderr)
        with open(file, "w", encoding="utf-8") as out:
            out.writelines(lines[:-1])
        cut = self.holdfast(None, "audit", "verify", "--last", digest, file)
        self.assertEqual(cut.returncode, 1, cut)
        self.assertIn("missing behind", cut.stderr)
        gone = self.holdfast("anna", "audit", "export", "--after", "100000")
        self.assertEqual(gone.returncode, 1, gone)
        self.assertIn("is not kept", gone.stderr)

    def test_can_i_says_yes_or_no_and_why(self):
        for role, words, code, text in (
                ("anna", ["zone", "create"], 0, "yes: admin"),
                ("viewer", ["vm", "create"], 6, "needs the role operator"),
                ("scoped", ["vm", "delete", "--zone", "z1"], 0, "yes: within"),
                ("scoped", ["vm", "delete", "--zone", "z2"], 6, "scope"),
                ("scoped", ["VmService/DeleteVm"], 6, "scope"),
                ("nobody", ["vm", "list"], 6, "client:nobody has none"),
                ("anna", ["vm", "steal"], 2, "no such command")):
            done = self.holdfast(role, "auth", "can-i", *words)
            self.assertEqual(done.returncode, code, done)
            self.assertIn(text, done.stdout + done.stderr)

    def test_grants_are_listed_for_people(self):
        done = self.holdfast("anna", "grant", "list")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout,
                         r"scoped +client:scoped +operator +z1 ")
        self.assertEqual(self.holdfast("viewer", "grant", "list").returncode,
                         6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
