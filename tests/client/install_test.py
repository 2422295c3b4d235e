#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Installs the client library into an empty folder, builds an example with
nothing but pkg-config, against the shared and the static library, and runs it
against a node that is not ours.
usage: install_test.py BUILD_DIR PROTO_DIR CC CFLAGS"""
import pathlib
import shlex
import subprocess
import sys
import tempfile

BUILD, PROTOS, CC, CFLAGS = sys.argv[1:5]
HERE = pathlib.Path(__file__).parent

work = tempfile.TemporaryDirectory()
prefix = pathlib.Path(work.name) / "prefix"
subprocess.run(["cmake", f"-DCMAKE_INSTALL_PREFIX={prefix}", "-P",
                f"{BUILD}/client/cmake_install.cmake"], check=True,
               stdout=subprocess.DEVNULL)
subprocess.run(["protoc", f"-I{PROTOS}", f"--python_out={work.name}",
                *map(str, pathlib.Path(PROTOS).glob("holdfast/v1/*.proto"))],
               check=True)
sys.path[:0] = [work.name, str(HERE.parent / "ctl")]
from fake_region import Node, Region  # noqa: E402  (needs the stubs)

(config,) = prefix.glob("lib*/**/pkgconfig/holdfast.pc")
library = config.parent.parent


def flags(*arguments):
    return shlex.split(subprocess.run(
        ["pkg-config", f"--define-variable=prefix={prefix}", *arguments,
         str(config)], check=True, capture_output=True, text=True).stdout)


for kind in ("shared", "static"):
    program = pathlib.Path(work.name) / kind
    if kind == "shared":
        libraries = flags("--libs") + [f"-Wl,-rpath,{library}"]
    else:
        libraries = [str(library / "libholdfast.a") if flag == "-lholdfast"
                     else flag for flag in flags("--static", "--libs")]
    subprocess.run([CC, "-Wall", "-Wextra", "-Werror", *shlex.split(CFLAGS),
                    *flags("--cflags"), "-o", str(program),
                    str(HERE / "example.c"), *libraries], check=True)
    linked = subprocess.run(["ldd", str(program)], check=True, text=True,
                            capture_output=True).stdout
    assert ("libholdfast.so.0" in linked) == (kind == "shared"), linked
    node = Node(Region(), "n1", fail=1)
    done = subprocess.run([str(program), f"127.0.0.1:{node.port}"], text=True,
                          capture_output=True, timeout=60)
    node.stop()
    print(kind, done.stdout, done.stderr, sep="\n")
    assert done.returncode == 0
    assert "of 32 characters, 2 attempt(s)" in done.stdout
    assert "ALREADY_EXISTS: vm web-1 exists" in done.stdout
