# SPDX-License-Identifier: Apache-2.0
"""The house is as tests/arch/house.py says; and each check finds what is
planted for it."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import house

ROOT, BUILD = sys.argv.pop(1), sys.argv.pop(1)
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class HouseTest(unittest.TestCase):
    maxDiff = None

    def test_floors_use_only_what_is_below(self):
        self.assertEqual(house.check_includes(ROOT), [])

    def test_pure_code_is_pure(self):
        self.assertEqual(house.check_purity(BUILD), [])

    def test_files_are_in_order(self):
        self.assertEqual(house.check_files(ROOT), [])

    def test_every_floor_is_known(self):
        have = {f for f in house.FLOORS if os.path.isdir(f"{ROOT}/{f}")}
        self.assertEqual(have, set(house.FLOORS))


class PlantedTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def plant(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def found(self, check, words):
        wrong = check(self.root)
        self.assertEqual(len(wrong), 1, wrong)
        self.assertIn(words, wrong[0])

    def test_an_include_from_above(self):
        self.plant("state/a.c", '#include "base/map.h"\n')
        self.plant("state/b.c", '#include "node/turn.h"\n')
        self.found(house.check_includes, "state/b.c:1: state/ must not")

    def test_an_include_of_a_neighbour(self):
        self.plant("agent/a.c", '\n#include "state/state.h"\n')
        self.found(house.check_includes, "agent/a.c:2: agent/ must not")

    def test_a_library_where_it_does_not_belong(self):
        self.plant("placement/a.c", "#include <string.h>\n#include <uv.h>\n")
        self.found(house.check_includes, "must not include uv.h")

    def test_a_header_that_is_on_no_floor(self):
        self.plant("node/a.c", '#include "turn.h"\n')
        self.found(house.check_includes, "must not include turn.h")

    def test_impure_calls(self):
        for call, symbol in (("time(0)", "time"), ("rand()", "rand"),
                             ("getenv(\"A\")", "getenv"),
                             ("open(\"/\", 0)", "open"),
                             ("puts(\"x\")", "puts")):
            self.plant("a.c", "#include <fcntl.h>\n#include <stdio.h>\n"
                              "#include <stdlib.h>\n#include <time.h>\n"
                              f"void f(void);\nvoid f(void) {{ {call}; }}\n")
            subprocess.run(["cc", "-c", "-w", "-O0", "-o",
                            f"{self.root}/a.o", f"{self.root}/a.c"],
                           check=True)
            used = [(part, s) for part, s in
                    house.symbols("--undefined-only", f"{self.root}/a.o")]
            wrong = house.check_purity(BUILD, used)
            self.assertEqual(len(wrong), 1, (call, wrong))
            self.assertIn(f"uses {symbol}", wrong[0])

    def test_our_own_clock_and_log_are_impure(self):
        for symbol in ("clock_boot_ms", "log_line"):
            self.assertIn(symbol, {s for _, s in house.symbols(
                "--defined-only", f"{BUILD}/base/libhf_base.a")})
            self.assertEqual(
                house.check_purity(BUILD, [("state/x.c", symbol)]),
                [f"state/x.c is pure and uses {symbol}"])

    def test_a_pure_part_that_is_gone(self):
        node = house.PURE["node"]
        house.PURE["node"] = node + ["no_such_file"]
        try:
            self.assertIn("no_such_file", house.check_purity(BUILD)[0])
        finally:
            house.PURE["node"] = node

    def test_a_missing_licence(self):
        self.plant("base/a.c", "int a;\n")
        self.found(house.check_files, "SPDX")

    def test_a_long_file(self):
        self.plant("base/a.c", SPDX + "int a;\n" * 700)
        self.found(house.check_files, "701 lines")

    def test_a_path_of_a_machine(self):
        self.plant("docs/a.md", "see " + "/ho" + "me/me/holdfast\n")
        self.found(house.check_files, "somebody's machine")

    def test_a_left_over_note(self):
        self.plant("raft/NOTE-a.md", "\n")
        self.found(house.check_files, "a note")

    def test_a_tidy_folder(self):
        self.plant("base/a.c", SPDX + '#include "base/b.h"\n#include <uv.h>\n')
        shutil.rmtree(f"{self.root}/base")
        self.plant("rpc/a.c", SPDX + '#include "base/b.h"\n#include <uv.h>\n')
        self.assertEqual(house.check_files(self.root), [])
        self.assertEqual(house.check_includes(self.root), [])


if __name__ == "__main__":
    unittest.main()
