# SPDX-License-Identifier: Apache-2.0
"""Installs everything into an empty folder and looks at what came: nothing is
missing, nothing is there by mistake, the programs run, and the units are ones
that systemd takes: install_test.py BUILD SOURCE."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

BUILD, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
VERSION = "0.1.0"
PROGRAMS = {"bin/holdfast", "bin/holdfast-agent", "bin/holdfast-guard",
            "bin/holdfast-simulate",
            "bin/holdfast-shim", "sbin/holdfastd"}
LIBRARIES = ("holdfast", "holdfast-uv")
UNITS = ("holdfastd.service", "holdfast-agent.service")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True,
                          check=False, **options)


def cached(name):
    """A path of the installation, as the build was configured."""
    with open(f"{BUILD}/CMakeCache.txt", encoding="utf-8") as cache:
        return re.search(f"^{name}:\\w+=(.*)$", cache.read(), re.M)[1]


def build_type():
    """As CMake puts it into the names of files."""
    return (cached("CMAKE_BUILD_TYPE") or "noconfig").lower()


def nouns():
    """Of the command line: each has a manual page."""
    with open(f"{SOURCE}/ctl/command.c", encoding="utf-8") as table:
        return re.findall(r'^        \{"([\w-]+)",', table.read(), re.M)


def expected():
    lib = cached("CMAKE_INSTALL_LIBDIR")
    doc = "share/doc/holdfast"
    public = ("access", "audit", "class", "cluster", "group", "host", "join",
              "manifest", "operation", "plan", "reservation", "vm", "watch", "zone")
    protos = os.listdir(f"{SOURCE}/proto/holdfast/v1")
    return PROGRAMS | {
        *(f"{lib}/lib{name}.{suffix}" for name in LIBRARIES for suffix in
          ("a", "so", "so.0", f"so.{VERSION}")),
        *(f"{lib}/pkgconfig/{name}.pc" for name in LIBRARIES),
        *(f"{lib}/cmake/holdfast/{name}-targets{kind}.cmake"
          for name in LIBRARIES for kind in ("", f"-{build_type()}")),
        f"{lib}/cmake/holdfast/holdfast-config.cmake",
        f"{lib}/cmake/holdfast/holdfast-config-version.cmake",
        "include/holdfast/holdfast.h",
        "include/holdfast/holdfast_uv.h",
        "include/holdfast/v1/resources.pb-c.h",
        "include/holdfast/v1/manifest.pb-c.h",
        *(f"include/holdfast/v1/{name}_service.pb-c.h" for name in public),
        *(f"share/holdfast/proto/holdfast/v1/{name}" for name in protos),
        "share/holdfast/guest.img",
        "share/bash-completion/completions/holdfast",
        "share/zsh/site-functions/_holdfast",
        "share/fish/vendor_completions.d/holdfast.fish",
        "share/man/man1/holdfast.1",
        *(f"share/man/man1/holdfast-{noun}.1" for noun in nouns()),
        "lib/systemd/system/holdfastd.service",
        "lib/systemd/system/holdfast-agent.service",
        "lib/sysusers.d/holdfast.conf",
        f"{doc}/LICENSE",
        *(f"{doc}/{page}.md"
          for page in ("ARCHITECTURE", "api", "operations", "quickstart-c",
                       "quickstart-node", "quickstart-python", "security")),
        *(f"{doc}/examples/{name}"
          for name in ("node.yaml", "agent.yaml", "quickstart.js",
                       "quickstart.py", "c/CMakeLists.txt",
                       "c/create_and_follow.c", "c/create_on_loop.c")),
    }


class Install(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="holdfast-install-")
        cls.addClassCleanup(shutil.rmtree, cls.root)
        done = run("cmake", "--install", BUILD,
                   env={**os.environ, "DESTDIR": cls.root})
        assert done.returncode == 0, done.stderr
        cls.prefix = cls.root + cached("CMAKE_INSTALL_PREFIX")

    def path(self, name):
        return os.path.join(self.prefix, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def unit(self, name):
        return self.read(f"lib/systemd/system/{name}")

    def test_all_is_there_and_nothing_else(self):
        found = {os.path.relpath(os.path.join(folder, name), self.prefix)
                 for folder, _, names in os.walk(self.root) for name in names}
        self.assertEqual(found, expected())

    def test_only_programs_and_libraries_can_be_executed(self):
        for name in expected():
            mode = os.stat(self.path(name)).st_mode
            if ".so" not in name:
                self.assertEqual(bool(mode & stat.S_IXUSR), name in PROGRAMS,
                                 name)
            self.assertTrue(mode & stat.S_IROTH, name)
            self.assertFalse(mode & stat.S_IWOTH, name)

    def test_programs_run(self):
        for name in sorted(PROGRAMS):
            done = run(self.path(name), "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertIn(os.path.basename(name), done.stdout)

    def test_examples_are_valid(self):
        doc = "share/doc/holdfast/examples"
        for command in (
                ("sbin/holdfastd", "--check", "--config", f"{doc}/node.yaml"),
                ("bin/holdfast-agent", "--check", f"{doc}/agent.yaml")):
            *arguments, example = command[1:]
            done = run(self.path(command[0]), *arguments, self.path(example))
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_agent_runs_where_its_unit_lets_it_write(self):
        example = self.read("share/doc/holdfast/examples/agent.yaml")
        unit = self.unit("holdfast-agent.service")
        for key, setting, top in (("run_dir", "RuntimeDirectory", "/run"),
                                  ("state_dir", "StateDirectory", "/var/lib")):
            folder = re.search(f"^{key}: (.*)$", example, re.M)[1]
            given = re.search(f"^{setting}=(.*)$", unit, re.M)[1]
            self.assertEqual(folder, f"{top}/{given}")
        data_dir = re.search(
            "^data_dir: (.*)$",
            self.read("share/doc/holdfast/examples/node.yaml"), re.M)[1]
        given = re.search("^StateDirectory=(.*)$",
                          self.unit("holdfastd.service"), re.M)[1]
        # Inside: its lock file stands beside it.
        self.assertEqual(os.path.dirname(data_dir), f"/var/lib/{given}")

    def test_vms_outlive_the_agents_unit(self):
        lines = self.unit("holdfast-agent.service").splitlines()
        for line in ("KillMode=process", "OOMPolicy=continue",
                     "RuntimeDirectoryPreserve=yes"):
            self.assertIn(line, lines)
        for line in lines:
            self.assertFalse(line.startswith("PrivateTmp="), line)

    def test_units_name_what_is_installed(self):
        users = re.findall(r"^u (\S+)", self.read("lib/sysusers.d/"
                                                  "holdfast.conf"), re.M)
        for name in UNITS:
            unit = self.unit(name)
            program, = re.findall(r"^ExecStart=(\S+)", unit, re.M)
            self.assertTrue(os.access(self.root + program, os.X_OK), program)
            page, = re.findall(r"^Documentation=file:(\S+)", unit, re.M)
            self.assertTrue(os.path.exists(self.root + page), page)
            user, = re.findall(r"^User=(\S+)", unit, re.M)
            self.assertIn(user, users)
            self.assertNotIn("@CMAKE", unit)

    def complaints(self, texts):
        """Of systemd-analyze, about units that would be started from here."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in texts.items():
                with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                    file.write(re.sub(r"^ExecStart=/", f"ExecStart={self.root}/",
                                      text, flags=re.M))
            done = run("systemd-analyze", "verify",
                       *(f"{folder}/{name}" for name in texts))
            return done.stderr.replace(folder, "") or (
                "" if done.returncode == 0 else "it failed")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_systemd_takes_the_units(self):
        good = {name: self.unit(name) for name in UNITS}
        self.assertEqual(self.complaints(good), "")
        for wrong in ("ProtectSystems=strict\n", "WatchdogSec=soon\n"):
            for name in UNITS:
                bad = good[name].replace("[Service]\n", "[Service]\n" + wrong)
                self.assertNotEqual(self.complaints({name: bad}), "", wrong)

    @unittest.skipUnless(shutil.which("systemd-sysusers"), "no sysusers")
    def test_sysusers_makes_the_users(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f"{folder}/etc")
            done = run("systemd-sysusers", f"--root={folder}",
                       self.path("lib/sysusers.d/holdfast.conf"))
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(f"{folder}/etc/passwd", encoding="utf-8") as passwd:
                users = {line.split(":")[0] for line in passwd}
            with open(f"{folder}/etc/group", encoding="utf-8") as groups:
                kvm = [line for line in groups if line.startswith("kvm:")]
        self.assertLessEqual({"holdfast", "holdfast-agent"}, users)
        self.assertRegex(kvm[0].strip(), r":holdfast-agent$")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
