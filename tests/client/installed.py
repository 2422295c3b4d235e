# SPDX-License-Identifier: Apache-2.0
"""The client libraries as their users get them: installed below a DESTDIR of
their own, found by pkg-config or by find_package."""
import pathlib
import re
import shlex
import subprocess
import tempfile


def run(*command, **options):
    """What it says; a failure shows it."""
    done = subprocess.run(list(map(str, command)), text=True, check=False,
                          capture_output=True, **options)
    assert done.returncode == 0, \
        f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Installed:
    def __init__(self, build, compiler, flags):
        self.folder = tempfile.TemporaryDirectory(prefix="hf-installed-")
        self.root = pathlib.Path(self.folder.name)
        self.compiler = compiler
        self.flags = shlex.split(flags)
        run("cmake", "-P", f"{build}/client/cmake_install.cmake",
            env={"PATH": "/usr/bin:/bin", "DESTDIR": str(self.root / "dest")})
        (config,) = self.root.glob("dest/**/pkgconfig/holdfast.pc")
        self.library = config.parent.parent
        # Where the build was configured to be installed.
        self.prefix = pathlib.Path(f"{self.root}/dest" + re.search(
            "^prefix=(.*)$", config.read_text(encoding="utf-8"), re.M)[1])
        (self.examples,) = self.prefix.glob("share/doc/*/examples/c")
        self.protos = self.prefix / "share/holdfast/proto"

    def pkg_config(self, *arguments):
        path = self.library / "pkgconfig"
        return shlex.split(run(
            "pkg-config", f"--define-variable=prefix={self.prefix}",
            f"--with-path={path}", *arguments))

    def compile(self, source, package, static=False):
        """A program of one source, with nothing but pkg-config."""
        program = self.root / f"{pathlib.Path(source).stem}-{static}"
        if static:
            libraries = [
                f"{self.library}/lib{flag[2:]}.a"
                if flag.startswith("-lholdfast") else flag
                for flag in self.pkg_config("--static", "--libs", package)]
        else:
            libraries = self.pkg_config("--libs", package)
            libraries.append(f"-Wl,-rpath,{self.library}")
        # uv.h itself is no plain C17.
        standard = "c17" if package == "holdfast" else "gnu17"
        run(self.compiler, f"-std={standard}", "-Wall", "-Wextra", "-Werror",
            "-pedantic", *self.flags,
            *self.pkg_config("--cflags", package), "-o", program, source,
            *libraries)
        linked = run("ldd", program)
        assert ("libholdfast.so.0" in linked) == (not static), linked
        assert ("libuv" in linked) == (package == "holdfast-uv"), linked
        return program

    def build_examples(self):
        """All of them, with find_package; the folder of the programs."""
        build = self.root / "examples"
        run("cmake", "-S", self.examples, "-B", build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_C_COMPILER={self.compiler}",
            f"-DCMAKE_C_FLAGS={' '.join(self.flags)}")
        run("cmake", "--build", build)
        return build
