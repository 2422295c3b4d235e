#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Contexts: which region a command speaks with, and how.

usage: context_test.py HOLDFAST PROTO_DIR [-v]"""
import json
import os
import pathlib
import stat
import subprocess
import tempfile

from ctl_case import HOLDFAST, Case, environment, main

NOBODY = "127.0.0.1:1"  # Nothing listens there.


class Contexts(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "holdfast" / "config.yaml"
        self.here = self.endpoints()[0]

    def holdfast(self, *arguments, code=0, **more):
        done = subprocess.run(
            [os.path.abspath(HOLDFAST), *arguments], text=True,
            capture_output=True, timeout=60, check=False, cwd=self.folder,
            env={**environment(), "XDG_CONFIG_HOME": str(self.folder), **more})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def write(self, text):
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(text)

    def test_the_first_context_is_in_use_at_once(self):
        self.assertEqual(self.holdfast("context", "set", "lab", "-e",
                                       self.here),
                         "context lab set, and in use\n")
        self.assertIn("z1", self.holdfast("zone", "list"))
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.file.parent.stat().st_mode), 0o700)

    def test_a_change_keeps_what_is_not_given_and_drops_what_is_empty(self):
        self.holdfast("context", "set", "lab", "-e", self.here, "-o", "json")
        self.holdfast("context", "set", "lab", "--tls-ca", "ca.crt")
        answer = json.loads(self.holdfast("context", "show", "-o", "json"))
        self.assertEqual(
            (answer["endpoints"], answer["output"], answer["tls_ca"]),
            ([self.here], "json", str(self.folder / "ca.crt")))
        self.holdfast("context", "set", "lab", "--tls-ca", "", "-o", "")
        answer = json.loads(self.holdfast("context", "show", "-o", "json"))
        self.assertEqual((answer["output"], answer["tls_ca"]), ("", ""))

    def test_list_use_show_and_delete(self):
        self.holdfast("context", "set", "prod", "-e", NOBODY)
        self.holdfast("context", "set", "lab", "-e", self.here, "-o", "wide")
        self.assertEqual(self.holdfast("context", "list"),
                         "NAME  CURRENT  TLS  OUTPUT  ENDPOINTS\n"
                         f"prod  yes      -    -       {NOBODY}\n"
                         f"lab   -        -    wide    {self.here}\n")
        self.holdfast("context", "use", "lab")
        self.assertIn("lab", self.holdfast("context", "show"))
        self.assertEqual(self.holdfast("completion", "names", "context", "p"),
                         "prod\n")
        self.holdfast("context", "delete", "lab")
        self.assertEqual(self.holdfast("context", "list", "-o", "name"),
                         "prod\n")
        self.assertIn("no context is in use",
                      self.holdfast("context", "show", code=3))
        self.assertIn("no context lab",
                      self.holdfast("context", "use", "lab", code=3))
        self.assertIn("no context lab",
                      self.holdfast("context", "delete", "lab", code=3))

    def test_options_come_before_the_environment_before_the_context(self):
        self.holdfast("context", "set", "good", "-e", self.here)
        self.holdfast("context", "set", "bad", "-e", NOBODY, "-o", "json")
        list_zones = ("zone", "list", "--timeout", "1s")
        self.holdfast(*list_zones)
        self.holdfast(*list_zones, HOLDFAST_ENDPOINTS=NOBODY, code=5)
        self.holdfast(*list_zones, HOLDFAST_CONTEXT="bad", code=5)
        self.holdfast(*list_zones, HOLDFAST_CONTEXT="bad",
                      HOLDFAST_ENDPOINTS=self.here)
        self.holdfast(*list_zones, "--context", "bad", "-e", self.here)
        # Who names a region means that one.
        self.holdfast(*list_zones, "--context", "good",
                      HOLDFAST_ENDPOINTS=NOBODY, HOLDFAST_CONTEXT="bad")
        self.holdfast(*list_zones, "--context", "bad",
                      HOLDFAST_ENDPOINTS=self.here, code=5)

    def test_the_output_of_the_context_is_the_default(self):
        self.holdfast("context", "set", "lab", "-e", self.here, "-o", "name")
        self.assertEqual(self.holdfast("zone", "list"), "z1\nz2\nz3\n")
        self.assertIn("HEADROOM", self.holdfast("zone", "list", "-o", "table"))

    def test_tls_files_of_a_context_are_used(self):
        self.write(f"current: lab\ncontexts:\n- name: lab\n"
                   f"  endpoints: ['{self.here}']\n  tls_ca: not/there.crt\n")
        self.assertIn(f"{self.folder}/holdfast/not/there.crt",
                      self.holdfast("zone", "list", code=2))

    def test_a_file_that_others_can_write_is_refused(self):
        self.holdfast("context", "set", "lab", "-e", self.here)
        for mode in (0o620, 0o602):
            self.file.chmod(mode)
            self.assertIn("others can write this file",
                          self.holdfast("zone", "list", code=2))
            self.assertIn("others can write", self.holdfast(
                "context", "list", code=2))
        self.file.chmod(0o644)
        self.holdfast("zone", "list")

    def test_a_mistake_is_told_with_file_line_and_key(self):
        for text, told in (
                ("contexts:\n- name: a\n  endpoint: x\n",
                 ":3:3: contexts[0].endpoint: unknown key (did you mean "
                 "`endpoints`?)"),
                ("current: b\n", "current: there is no context of this name"),
                ("contexts: [{name: a}, {name: a}]\n",
                 "contexts[1].name: another context has this name"),
                ("contexts: [{name: a/b}]\n", "contexts[0].name: a name is"),
                ("contexts: [{name: a, output: jsn}]\n",
                 "contexts[0].output: it is table, wide, json"),
                ("contexts: 7\n", ":1:11: contexts:")):
            with self.subTest(text=text):
                self.write(text)
                stderr = self.holdfast("zone", "list", code=2)
                self.assertIn(str(self.file), stderr)
                self.assertIn(told, stderr)

    def test_a_context_that_is_not_there_is_told_before_anything_is_done(self):
        self.holdfast("context", "set", "prod", "-e", self.here)
        self.assertIn("no context `prd`; did you mean `prod`?", self.holdfast(
            "zone", "list", "--context", "prd", code=2))
        self.assertIn("no context `x`", self.holdfast(
            "zone", "list", HOLDFAST_CONTEXT="x", code=2))

    def test_a_context_is_checked_before_it_is_kept(self):
        self.holdfast("context", "set", "a", code=2)
        self.holdfast("context", "set", "a", "-e", "nowhere", code=2)
        self.holdfast("context", "set", "a b", "-e", self.here, code=2)
        self.holdfast("context", "set", "a", "-e", self.here, "-o", "x",
                      code=2)
        self.assertFalse(self.file.exists())

    def test_without_a_home_all_else_works(self):
        more = {"XDG_CONFIG_HOME": "", "HOME": ""}
        self.holdfast("zone", "list", "-e", self.here, **more)
        self.assertIn("HOME", self.holdfast("context", "set", "a", "-e",
                                            self.here, code=1, **more))


if __name__ == "__main__":
    main()
