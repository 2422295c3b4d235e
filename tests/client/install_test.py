#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Installs the client libraries into an empty folder, looks at what can be
seen of them, builds programs as users do, and runs them against a node that is
not ours.
usage: install_test.py BUILD_DIR PROTO_DIR CC CFLAGS"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from installed import Installed, run

BUILD, PROTOS, CC, CFLAGS = sys.argv[1:5]
HERE = pathlib.Path(__file__).parent

stubs = tempfile.TemporaryDirectory()
run("protoc", f"-I{PROTOS}", f"--python_out={stubs.name}",
    *pathlib.Path(PROTOS).glob("holdfast/v1/*.proto"))
sys.path[:0] = [stubs.name, str(HERE.parent / "ctl")]
from fake_region import Node, Region  # noqa: E402  (needs the stubs)


class Install(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.installed = Installed(BUILD, CC, CFLAGS)

    @classmethod
    def tearDownClass(cls):
        cls.installed.folder.cleanup()

    def declared(self, header):
        """The functions of a public header."""
        text = (self.installed.prefix / "include/holdfast" / header).read_text(
            encoding="utf-8")
        return set(re.findall(r"HF_API [^;(]*?(hf_\w+)\(", text))

    def exported(self, name):
        lines = run("nm", "-D", "--defined-only",
                    self.installed.library / name).splitlines()
        symbols = [line.split()[-1] for line in lines if " A " not in line]
        for symbol in symbols:
            self.assertRegex(symbol, "@@HOLDFAST(_UV)?_0$")
        return {s.partition("@")[0] for s in symbols}

    def test_what_headers_declare_is_exported_and_nothing_else(self):
        blocking = self.exported("libholdfast.so")
        self.assertEqual({s for s in blocking
                          if not s.startswith("holdfast__v1__")},
                         self.declared("holdfast.h"))
        self.assertEqual(self.exported("libholdfast-uv.so"),
                         self.declared("holdfast_uv.h"))

    def test_a_program_is_bound_to_the_version_it_was_built_with(self):
        for name in ("libholdfast", "libholdfast-uv"):
            said = run("readelf", "-d", self.installed.library / f"{name}.so")
            self.assertIn(f"Library soname: [{name}.so.0]", said)

    def run_at(self, node, program, *words):
        done = subprocess.run([str(program), f"127.0.0.1:{node.port}", *words],
                              text=True, capture_output=True, timeout=60,
                              check=False)
        node.stop()
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def test_the_blocking_client(self):
        for static in (False, True):
            program = self.installed.compile(HERE / "example.c", "holdfast",
                                             static)
            said = self.run_at(Node(Region(), "n1", fail=1), program)
            self.assertIn("of 32 characters, 2 attempt(s)", said)
            self.assertIn("ALREADY_EXISTS: vm web-1 exists", said)

    def test_the_examples_by_pkg_config(self):
        for static in (False, True):
            program = self.installed.compile(
                self.installed.examples / "create_and_follow.c", "holdfast",
                static)
            self.follow(program)
            program = self.installed.compile(
                self.installed.examples / "create_on_loop.c", "holdfast-uv",
                static)
            self.create(program)

    def test_the_examples_by_find_package(self):
        programs = self.installed.build_examples()
        self.follow(programs / "create_and_follow")
        self.create(programs / "create_on_loop")

    def follow(self, program):
        said = self.run_at(Node(Region(), "n1"), program, "small", "web")
        self.assertEqual(said, "created web\nweb runs on h1 in z1\n")

    def create(self, program):
        """The node refuses three calls of the client's first."""
        said = self.run_at(Node(Region(), "n1", fail=3), program, "small",
                           "web", "40").splitlines()
        self.assertEqual(
            sorted(said),
            sorted(line for i in range(40) for line in (
                f"created web-{i}", f"web-{i} runs on h1 in z1")))

    def test_a_version_that_is_not_here_is_not_found(self):
        project = self.installed.root / "newer"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.22)\nproject(newer C)\n"
            "find_package(holdfast 0.2)\n"
            "if(holdfast_FOUND)\nmessage(FATAL_ERROR found)\nendif()\n"
            "find_package(holdfast COMPONENTS nothing)\n"
            "if(holdfast_FOUND)\nmessage(FATAL_ERROR found)\nendif()\n"
            "find_package(holdfast 0.1 REQUIRED)\n", encoding="utf-8")
        run("cmake", "-S", project, "-B", project / "build",
            f"-DCMAKE_PREFIX_PATH={self.installed.prefix}")

    def test_the_headers_are_those_of_another_language_too(self):
        source = self.installed.root / "program.cc"
        source.write_text(
            "#include <holdfast/holdfast_uv.h>\n"
            "#include <holdfast/v1/vm_service.pb-c.h>\n"
            "struct Call : hf_uv_call { int mine; };\n"
            "int main() { return hf_method_find(\"VmService/GetVm\") == "
            "nullptr ? 1 : 0; }\n", encoding="utf-8")
        program = self.installed.root / "program"
        # One whose sanitizers are those of the library.
        compiler = "c++" if "clang" not in pathlib.Path(CC).name \
            else CC.replace("clang", "clang++")
        run(compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror",
            *self.installed.flags,
            *self.installed.pkg_config("--cflags", "holdfast-uv"),
            "-o", program, source,
            *self.installed.pkg_config("--libs", "holdfast-uv"),
            f"-Wl,-rpath,{self.installed.library}")
        run(program)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
