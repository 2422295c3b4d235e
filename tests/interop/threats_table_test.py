# SPDX-License-Identifier: Apache-2.0
"""The table of attacks of docs/security.md is held to the tests: each row names
tests that are there and are run, and every attack that is tried stands in it.

usage: threats_table_test.py ROOT"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1))
LIVE_MIN = 30  # Attacks on a live region.
NAMES = re.compile(r"`([a-z0-9_]+): ([a-z0-9_]+)`")


def read_table(text):
    """[(attack, expected, [(file, test)])]"""
    part = text.split("### Attacks and answers\n", 1)[1].split("\n### ", 1)[0]
    rows = []
    for line in part.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 3, line
            rows.append((cells[0], cells[1], NAMES.findall(cells[2])))
    assert rows[0] == ("attack", "expected", []), rows[0]
    return rows[2:]


def tests_of(name):
    """The names of a file's test cases; a Python module counts only when a
    program that ctest runs imports it."""
    path = ROOT / f"tests/unit/{name}.c"
    if path.exists():
        return set(re.findall(r"cmocka_unit_test\(\s*(\w+)",
                              path.read_text()))
    path, = ROOT.glob(f"tests/*/{name}.py")
    lists = (path.parent / "CMakeLists.txt").read_text()
    programs = [path.parent / file for file in
                re.findall(r"\}/(\w+_test\.py)", lists)]
    used = [program for program in programs if program == path or re.search(
        rf"MODULES = \[[^\]]*\b{name}\b", program.read_text())]
    assert used, f"no test program runs {path}"
    return set(re.findall(r"^    def (test_\w+)\(self", path.read_text(),
                          re.MULTILINE))


class ThreatsTable(unittest.TestCase):
    rows = read_table((ROOT / "docs/security.md").read_text())

    def test_each_row_names_tests_that_are_run(self):
        for attack, expected, tests in self.rows:
            self.assertTrue(attack and expected and tests, attack)
            for file, test in tests:
                self.assertIn(test, tests_of(file), (attack, file))

    def test_enough_attacks_are_tried_on_a_live_region(self):
        live = [attack for attack, _, tests in self.rows if any(
            not (ROOT / f"tests/unit/{file}.c").exists()
            for file, _ in tests)]
        self.assertEqual(len(set(live)), len(live))
        self.assertGreaterEqual(len(live), LIVE_MIN)

    def test_every_attack_that_is_tried_is_told(self):
        told = {(file, test) for _, _, tests in self.rows
                for file, test in tests}
        for path in ROOT.glob("tests/interop/threats_*.py"):
            if not path.stem.endswith("_test"):
                tried = {(path.stem, test) for test in tests_of(path.stem)}
                self.assertTrue(tried)
                self.assertEqual(tried - told, set())

    def test_a_row_without_its_test_is_seen(self):
        head = "### Attacks and answers\n\n| attack | expected | test |\n" \
            "| --- | --- | --- |\n"
        (_, _, tests), = read_table(
            head + "| a | b | `threats_tls: test_no_such` |\n")
        (file, test), = tests
        self.assertNotIn(test, tests_of(file))
        with self.assertRaises(AssertionError):
            read_table(head + "| a | b |\n")
        with self.assertRaises(ValueError):
            tests_of("no_such_file")


if __name__ == "__main__":
    unittest.main()
