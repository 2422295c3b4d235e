#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manual pages: groff has nothing to say against them, and they say what
the help says. usage: manual_test.py HOLDFAST [-v]"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HOLDFAST = os.path.abspath(sys.argv[1])


def run(*arguments, **more):
    return subprocess.run(arguments, capture_output=True, text=True,
                          check=False, timeout=60, **more)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        done = run(HOLDFAST, "help", "--man", cls.folder.name)
        assert done.returncode == 0, done.stderr
        cls.pages = {path.name: path for path in
                     sorted(pathlib.Path(cls.folder.name).iterdir())}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def read(self, name):
        """What a person at a terminal of 80 columns sees."""
        done = run("man", "--warnings", "--no-hyphenation", "-l",
                   str(self.pages[name]),
                   env={**os.environ, "MANWIDTH": "80", "MANPAGER": "cat",
                        "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""})
        self.assertEqual((done.returncode, done.stderr), (0, ""), name)
        return re.sub(r".\x08", "", done.stdout)

    def test_every_noun_has_a_page(self):
        nouns = set(re.findall(r"^  ([a-z-]+) ", run(HOLDFAST, "--help").stdout,
                               re.M))
        self.assertEqual(set(self.pages), {"holdfast.1"} |
                         {f"holdfast-{noun}.1" for noun in nouns})

    @unittest.skipUnless(shutil.which("man") and shutil.which("groff"),
                         "needs man and groff")
    def test_groff_warns_of_nothing_and_lines_fit(self):
        for name in self.pages:
            text = self.read(name)
            self.assertIn("SYNOPSIS", text)
            for line in text.split("\n"):
                self.assertLessEqual(len(line), 80, f"{name}: {line}")

    @unittest.skipUnless(shutil.which("man") and shutil.which("groff"),
                         "needs man and groff")
    def test_a_page_says_what_the_help_says(self):
        def words(text):
            return re.sub(r"\W+", " ", text)

        page = words(self.read("holdfast-vm.1"))
        shown = run(HOLDFAST, "vm", "create", "--help").stdout
        for paragraph in shown.split("\n\n")[1:4]:
            self.assertIn(words(paragraph).strip()[1:], page)
        # Examples can be copied as they are.
        self.assertIn("holdfast vm create odd --cpu 3 --memory 10GiB --image "
                      "odd.img", self.read("holdfast-vm.1"))

    def test_a_folder_that_is_not_there_is_told(self):
        done = run(HOLDFAST, "help", "--man", "/nonexistent")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("No such file", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
