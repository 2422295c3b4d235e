# SPDX-License-Identifier: Apache-2.0
"""tests/hardening says no to a program that lacks any one of what it looks for.

usage: hardening_test.py ROOT"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1))

SOURCE = """
#include <stdio.h>
#include <string.h>
#ifdef WRITTEN_CODE
__asm__(".section both,\\"awx\\",@progbits\\n.byte 0\\n.text\\n");
#endif
#ifdef TEXT_RELOCATION
__asm__(".text\\n.quad main\\n");
#endif
int main(int count, char **words)
{
    char text[64];
    strcpy(text, words[count - 1]);
    return printf("%s", text);
}
"""
COMPILE = {"opt": "-O2", "debug": "-g", "pie": "-fPIE",
           "fortify": "-D_FORTIFY_SOURCE=3",
           "protector": "-fstack-protector-strong",
           "clash": "-fstack-clash-protection", "cf": "-fcf-protection=full"}
LINK = {"pie-link": "-pie", "relro": "-Wl,-z,relro", "now": "-Wl,-z,now",
        "stack": "-Wl,-z,noexecstack"}

# Instead of which flags what is given, and what must be said of it.
WITHOUT = (
    ({"pie": "-fno-PIE", "pie-link": "-no-pie"}, "not position-independent"),
    ({"relro": "-Wl,-z,norelro"}, "no read-only relocations"),
    ({"now": "-Wl,-z,lazy"}, "binds functions late"),
    ({"stack": "-Wl,-z,execstack"}, "executable stack"),
    ({"fortify": "-U_FORTIFY_SOURCE"}, "no checked functions"),
    ({"protector": "-fno-stack-protector"}, "no stack protector"),
    ({"clash": "-fno-stack-clash-protection"},
     "without -fstack-clash-protection"),
    ({"cf": "-fcf-protection=none"}, "without -fcf-protection=full"),
    ({"opt": "-O1"}, "without -O2"),
    ({"more": "-Wl,-rpath,/opt/x"}, "RUNPATH"),
    ({"more": "-Wl,-rpath,/opt/x,--disable-new-dtags"}, "RPATH"),
    ({"more": "-DWRITTEN_CODE"}, "written and executed"),
    ({"more": "-DTEXT_RELOCATION", "linker": "-Wl,-z,notext"}, "TEXTREL"),
    ({"more": "-s"}, "is stripped"),
    ({"debug": "-g0"}, "no debug information"),
)


class Hardening(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hf-hardening-")
        self.addCleanup(folder.cleanup)
        self.program = f"{folder.name}/program"
        self.source = f"{folder.name}/source.c"
        pathlib.Path(self.source).write_text(SOURCE, encoding="ascii")

    def check(self, **instead):
        flags = {"warnings": "-w", **COMPILE, **LINK, **instead}
        subprocess.run(["gcc", self.source, "-o", self.program,
                        *flags.values()], check=True)
        return subprocess.run([ROOT / "tests/hardening", "--file",
                               self.program], capture_output=True, text=True,
                              check=False)

    def test_a_hardened_program_is_well(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_each_lack_is_told(self):
        for instead, said in WITHOUT:
            with self.subTest(instead=instead):
                done = self.check(**instead)
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(said, done.stdout)

    def test_a_library_is_looked_at_as_one(self):
        done = self.check(**{"pie": "-fPIC", "pie-link": "-shared",
                             "name": "-Wl,-soname,libx.so"})
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_build_that_is_not_there_is_not_well(self):
        done = subprocess.run([ROOT / "tests/hardening", "/nonexistent"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is no build", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
