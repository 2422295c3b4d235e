# SPDX-License-Identifier: Apache-2.0
"""Hosts that join a live region by one-time tokens, over TLS, as a person would:
what works once, and what never does. Arguments: the directory of the programs,
the standard services' messages."""
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

import holdfast_client
from holdfast_region import wait_until
from secure_region import Pki, SecureRegion, listens

BINARIES, STANDARD = sys.argv.pop(1), sys.argv.pop(1)


class JoinRegion(SecureRegion):
    """Its nodes can sign."""

    def write_config(self, node, settings):
        super().write_config(node, settings)
        with open(node.config, encoding="utf-8") as config:
            text = config.read()
        key = self.pki.path("ca/agent-ca.key")
        with open(node.config, "w", encoding="utf-8") as config:
            config.write(text.replace("tls: {", f"tls: {{agent_ca_key: {key}, "))


class Join(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="hf-join-")
        cls.pki = Pki(BINARIES, cls.directory)
        cls.pki.issue("client", "anna")
        cls.region = JoinRegion(cls.pki)
        first = cls.region.nodes[0].address
        wait_until(lambda: listens(first), "a node listens")
        holdfast_client.schema = holdfast_client.Schema(
            STANDARD, first, cls.pki.credentials("anna"))
        leader = cls.region.leader()
        for zone in ("z1", "z2", "z3"):
            cls.region.client(leader).call("ZoneService/CreateZone",
                                           {"name": zone})
        cls.secrets = []

    @classmethod
    def tearDownClass(cls):
        cls.region.close()
        shutil.rmtree(cls.directory)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"=== {self.id()}\n{self.region.logs()}", flush=True)

    def holdfast(self, *words):
        return subprocess.run(
            [f"{BINARIES}/holdfast", *words, "--endpoint",
             self.region.leader().address, "--tls-ca",
             self.pki.path("ca/node-ca.crt"), "--tls-cert",
             self.pki.path("anna.crt"), "--tls-key",
             self.pki.path("anna.key")],
            capture_output=True, text=True, check=False)

    def token(self, host, *options):
        """Makes one; its file."""
        done = self.holdfast("host", "token", "create", host, "--zone", "z1",
                             *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^hf_[0-9a-f]{64}\n$")
        self.secrets.append(done.stdout.strip()[3:])
        path = self.pki.path(f"{host}.token")
        with open(path, "w", encoding="utf-8",
                  opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(done.stdout)
        return path

    def join(self, host, token, out=None, node=None, ca="ca/node-ca.crt"):
        node = node or self.region.leader()
        return subprocess.run(
            [f"{BINARIES}/holdfast-agent", "join", "--node", node.address,
             "--ca", self.pki.path(ca), "--token-file", token, "--host", host,
             "--out", self.pki.path(out or f"of-{host}")],
            capture_output=True, text=True, check=False)

    def use(self, host):
        """An agent with what it got registers."""
        for end in ("key", "crt"):
            shutil.copy(self.pki.path(f"of-{host}/{host}.{end}"),
                        self.pki.path(f"{host}.{end}"))
        self.region.agent(host, "z1")
        wait_until(lambda: host in self.holdfast(
            "host", "list", "-o", "name").stdout.split(), f"{host} is up")

    def test_a_host_joins_through_any_node_and_only_once(self):
        token = self.token("h1")
        follower = self.region.followers()[0]
        done = self.join("h1", token, node=follower)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("in zone z1", done.stderr)
        key = os.stat(self.pki.path("of-h1/h1.key"))
        self.assertEqual(stat.S_IMODE(key.st_mode), 0o600)
        shown = self.holdfast("cert", "show", self.pki.path("of-h1/h1.crt"))
        self.assertIn("holdfast:agent:h1", shown.stdout)
        again = self.join("h1", token)
        self.assertEqual(again.returncode, 1)
        self.assertIn("is there already", again.stderr)
        # The certificate was lost on its way: the key gets another.
        os.unlink(self.pki.path("of-h1/h1.crt"))
        done = self.join("h1", token)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.use("h1")
        for node in self.region.nodes:
            replay = self.join("h1", token, out="stolen", node=node)
            self.assertEqual(replay.returncode, 1)
            self.assertIn("used already", replay.stderr)
        # Another leader knows it as well.
        self.region.leader().stop()
        self.addCleanup(lambda: [node.start() for node in self.region.nodes
                                 if not node.lives()])
        replay = self.join("h1", token, out="stolen")
        self.assertEqual(replay.returncode, 1)
        self.assertIn("used already", replay.stderr)
        self.assertFalse(os.path.exists(self.pki.path("stolen/h1.crt")))

    def test_what_is_wrong_lets_nobody_in(self):
        token = self.token("h2", "--ttl", "1h")
        other = self.join("h3", token)
        self.assertEqual(other.returncode, 1)
        self.assertIn("another host", other.stderr)
        mallory = self.join("h2", token, ca="other/node-ca.crt")
        self.assertEqual(mallory.returncode, 1)
        os.chmod(token, 0o644)
        open_token = self.join("h2", token)
        self.assertIn("others can read", open_token.stderr)
        os.chmod(token, 0o600)
        listed = self.holdfast("host", "token", "list")
        self.assertRegex(listed.stdout, r"h2 +z1 +good ")
        self.assertEqual(self.holdfast("host", "token", "delete", "h2")
                         .returncode, 0)
        gone = self.join("h2", token)
        self.assertEqual(gone.returncode, 1)
        self.assertIn("deleted", gone.stderr)

    def test_a_token_expires(self):
        token = self.token("h4", "--ttl", "1s")
        wait_until(lambda: "expired" in self.holdfast(
            "host", "token", "list").stdout, "the token has expired")
        late = self.join("h4", token)
        self.assertEqual(late.returncode, 1)
        self.assertIn("expired", late.stderr)
        self.assertFalse(os.path.exists(self.pki.path("of-h4/h4.crt")))

    def test_no_secret_is_kept_or_told(self):
        token = self.token("h5")
        self.assertEqual(self.join("h5", token).returncode, 0)
        audit = self.holdfast("audit", "list", "-o", "wide", "--object",
                              "join_token/h5")
        self.assertIn("JoinService/JoinHost", audit.stdout)
        secrets = [secret.encode() for secret in self.secrets]
        with open(self.pki.path("of-h5/h5.key"), "rb") as key:
            secrets.append(key.read().split(b"\n")[1])
        with open(self.pki.path("ca/agent-ca.key"), "rb") as key:
            secrets.append(key.read().split(b"\n")[1])
        looked = 0
        for node in self.region.nodes:
            with open(node.log, "rb") as log:
                texts = [log.read()]
            for folder, _, names in os.walk(
                    f"{self.region.directory}/{node.name}.data"):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        texts.append(file.read())
            for text in texts:
                looked += len(text)
                for secret in secrets:
                    self.assertNotIn(secret, text)
        self.assertGreater(looked, 1000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
