#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`holdfast lint` on files, without a region: places, forms, exit codes; and
what `holdfast init` writes is without a fault. usage: lint_test.py HOLDFAST"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HOLDFAST = os.path.abspath(sys.argv[1])

FIRST = """settings: {headroom: enforce}
zones:
- name: z1
- name: z2
classes:
- name: small
  resources: {cpu_milli: 100, memory_mib: 64}
"""
SECOND = """vms:
- name: a
  class_name: small
  template: {driver: exec, command: [/bin/true]}
---
vms:
- name: b
  class_name: big
  priority: 2
  zone: z2
  template:
    driver: exec
    command: [/bin/true]
    environment:
    - A=1
    - DB_PASSWORD=secret-word
"""


class Lint(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "first.yaml").write_text(FIRST, encoding="utf-8")
        (self.folder / "second.yaml").write_text(SECOND, encoding="utf-8")

    def run_lint(self, *arguments, code, stdin=""):
        done = subprocess.run(
            [HOLDFAST, "lint", *arguments], input=stdin, capture_output=True,
            text=True, timeout=60, cwd=self.folder, check=False,
            env={**os.environ, "XDG_CONFIG_HOME": str(self.folder),
                 "HOLDFAST_ENDPOINTS": "127.0.0.1:1"})
        codes = code if isinstance(code, tuple) else (code,)
        self.assertIn(done.returncode, codes, done.stdout + done.stderr)
        return done.stdout or done.stderr

    def test_findings_name_file_and_line(self):
        files = ("-f", "first.yaml", "-f", "second.yaml")
        report = json.loads(self.run_lint(*files, "-o", "json", code=1))
        self.assertEqual(report["severity"], "critical")
        self.assertEqual(
            [(f["file"], f["line"], f["id"], f["severity"], f["subject"])
             for f in report["findings"]],
            [("second.yaml", 8, "unknown-class", "critical", "vm b"),
             ("second.yaml", 10, "vm-one-zone", "warning", "vm b"),
             ("second.yaml", 16, "secret", "warning", "vm b")])
        self.assertTrue(all(f["cure"] for f in report["findings"]))
        text = self.run_lint(*files, code=1)
        self.assertTrue(text.startswith(
            "critical  second.yaml:8: unknown-class: vm b: there is no class "
            "big\n          -> "), text)
        self.assertTrue(text.endswith("\n\n1 critical, 2 warnings\n"), text)
        self.assertNotIn("secret-word", text)
        self.assertEqual(self.run_lint(*files, "-o", "name", code=1),
                         "unknown-class\nvm-one-zone\nsecret\n")

    def test_exit_codes(self):
        files = ("-f", "first.yaml", "-f", "second.yaml")
        ignore = ("--ignore", "unknown-class,secret")
        self.run_lint(*files, *ignore, "--fail-on", "critical", code=0)
        text = self.run_lint(*files, *ignore, "--ignore", "vm-one-zone", code=0)
        self.assertEqual(text, "nothing was found\n")
        text = self.run_lint("-f", "-", code=0, stdin="zones: [{name: z1}]\n")
        self.assertIn("headroom: ", text)
        self.run_lint("-f", "-", "--fail-on", "note", code=1,
                      stdin="zones: [{name: z1}]\n")
        for wrong, told in (((*files, "--ignore", "none"), "no rule `none`"),
                            ((*files, "--fail-on", "ok"), "--fail-on: `ok`"),
                            ((), "which fleet?"),
                            (("-f", "none.yaml"), "cannot read none.yaml")):
            self.assertIn(told, self.run_lint(*wrong, code=2))
        text = self.run_lint("-f", "-", code=2, stdin="zones: [{nam: z1}]\n")
        self.assertIn("standard input:1:", text)

    def test_no_region_is_asked_unless_told_to(self):
        self.run_lint("-f", "first.yaml", code=0)
        text = self.run_lint("-f", "first.yaml", "--live", "--timeout", "500ms",
                             code=(5, 7))
        self.assertIn("127.0.0.1:1: ", text)

    def test_what_init_writes(self):
        subprocess.run([HOLDFAST, "init", "sample"], check=True,
                       cwd=self.folder, capture_output=True)
        found = [str(p) for p in (self.folder / "sample").glob("fleet*.yaml")]
        self.assertTrue(found)
        for path in found:
            self.run_lint("-f", path, code=0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
