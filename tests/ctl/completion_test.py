#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The completion scripts in the real shells, against a region that is not ours.
Shells that are not installed are left out.

usage: completion_test.py HOLDFAST PROTO_DIR [-v]"""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest
import unittest.mock

import ctl_case
from ctl_case import Case, environment, main

HOLDFAST = os.path.abspath(ctl_case.HOLDFAST)

# What bash itself does before it calls a completion: parts the line at blanks
# and at COMP_WORDBREAKS' = and :.
BASH = r"""
source <(holdfast completion bash)
IFS=$'\n' read -rd '' -a COMP_WORDS <<<"$1"
[[ $1 == *$'\n' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_holdfast
printf '%s\n' "${COMPREPLY[@]}"
"""


def parted(line):
    for sign in "=:":
        line = line.replace(sign, f"\n{sign}\n")
    text = line.replace(" ", "\n")
    while "\n\n" in text:
        text = text.replace("\n\n", "\n")
    return text if line.endswith(" ") else text.rstrip("\n")


class Completion(Case):
    def setUp(self):
        super().setUp()
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)
        self.folder = pathlib.Path(self.home.name)
        for name in ("fleet.yaml", "film.txt"):
            (self.folder / name).touch()
        (self.folder / "sub").mkdir()

    def around(self, **more):
        folder = str(pathlib.Path(HOLDFAST).parent)
        return {**environment(), "HOME": self.home.name,
                "PATH": f"{folder}:{os.environ['PATH']}",
                "HOLDFAST_ENDPOINTS": ",".join(self.endpoints()),
                "TERM": "xterm", "XDG_CONFIG_HOME": self.home.name,
                "XDG_DATA_HOME": self.home.name, **more}

    def output(self, *arguments, **more):
        done = subprocess.run(arguments, cwd=self.home.name, text=True,
                              capture_output=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL,
                              env=self.around(**more))
        self.assertEqual(done.stderr, "")
        return [line for line in done.stdout.split("\n") if line]


class Names(Completion):
    def names(self, *arguments, **more):
        return self.output(HOLDFAST, "completion", "names", *arguments, **more)

    def test_each_noun_has_the_names_that_begin_with_the_prefix(self):
        self.vm("web-10")
        self.vm("web-2")
        self.vm("db")
        self.assertEqual(self.names("vm", "we"), ["web-2", "web-10"])
        self.assertEqual(self.names("zone"), ["z1", "z2", "z3"])
        self.assertEqual(self.names("class"), ["small"])
        self.assertEqual(len(self.names("host")), 6)
        self.assertEqual(self.names("node"), ["n1", "n2"])
        self.assertEqual(self.names("group") + self.names("reservation"), [])
        self.refused(2, "completion", "names", "cat")

    def test_a_region_that_does_not_answer_costs_a_second_and_no_words(self):
        with unittest.mock.patch.object(self, "endpoints",
                                        lambda: ["127.0.0.1:1"]):
            begun = time.monotonic()
            self.assertEqual(self.names("vm"), [])
            self.assertLess(time.monotonic() - begun, 5)


class Bash(Completion):
    def offered(self, line):
        return sorted(self.output("bash", "--norc", "-c", BASH, "bash",
                                  parted(line)))

    def test_words_of_commands(self):
        self.assertIn("zone", self.offered("holdfast "))
        self.assertEqual(self.offered("holdfast re"), ["reservation"])
        self.assertEqual(self.offered("holdfast cluster s"),
                         ["settings", "status"])
        self.assertEqual(self.offered("holdfast cluster settings "),
                         ["get", "set"])
        self.assertEqual(self.offered("holdfast -o json vm sh"), ["show"])
        self.assertEqual(self.offered("holdfast help ho"), ["host"])

    def test_options_are_those_of_the_command(self):
        options = self.offered("holdfast vm create --")
        self.assertIn("--on-partition", options)
        self.assertIn("--endpoint", options)
        self.assertNotIn("--watch", options)
        self.assertEqual(self.offered("holdfast vm list --unp"),
                         ["--unprotected"])
        self.assertEqual(self.offered("holdfast --out"), ["--output"])

    def test_values_of_options(self):
        self.assertEqual(self.offered("holdfast vm create --on-partition "),
                         ["keep", "move"])
        # Behind the equals sign bash wants what comes behind it, only.
        self.assertEqual(self.offered("holdfast vm create --on-partition=k"),
                         ["keep"])
        self.assertEqual(self.offered("holdfast vm list -o "),
                         ["json", "name", "table", "wide", "yaml"])
        self.assertEqual(self.offered("holdfast vm list --state sto"),
                         ["stopped", "stopping"])
        self.assertEqual(self.offered("holdfast watch --kind vm,ho"),
                         ["vm,host"])
        self.assertEqual(self.offered("holdfast export -f f"),
                         ["film.txt", "fleet.yaml"])
        self.assertEqual(self.offered("holdfast ca init --dir "), ["sub"])
        self.assertEqual(self.offered("holdfast vm create --image "), [])
        self.assertEqual(self.offered("holdfast grant create a --role "),
                         ["admin", "drill_runner", "operator", "viewer"])
        self.assertEqual(self.offered("holdfast lint --ignore "), [])
        self.assertNotIn("revision=",
                         self.offered("holdfast cluster settings set "))

    def test_names_come_from_the_region(self):
        self.vm("web-1")
        self.vm("db")
        self.assertEqual(self.offered("holdfast vm show "), ["db", "web-1"])
        self.assertEqual(self.offered("holdfast vm show db w"), ["web-1"])
        self.assertEqual(self.offered("holdfast vm create "), [])
        self.assertEqual(self.offered("holdfast vm list --zone=z"),
                         ["z1", "z2", "z3"])
        self.assertEqual(self.offered("holdfast group create a --zones z1,z"),
                         ["z1,z1", "z1,z2", "z1,z3"])
        self.assertEqual(self.offered("holdfast plan drain-host h1"), ["h1"])
        self.assertEqual(self.offered("holdfast plan drain-host h1 "), [])
        self.assertEqual(
            self.offered("holdfast cluster settings set lease_w"),
            ["lease_wait_ms="])
        self.assertEqual(self.offered("holdfast cert issue a"), ["agent"])
        self.assertEqual(self.offered("holdfast cert issue agent "), [])

    def test_words_that_are_none_bring_no_error_to_the_prompt(self):
        for line in ("holdfast xx ", "holdfast z show ", "holdfast vm xx a"):
            self.assertEqual(self.offered(line), [])  # output() sees errors.

    def test_the_endpoint_of_the_line_is_asked(self):
        here = self.endpoints()[0]
        line = f"holdfast --endpoint {here} zone show z"
        self.assertEqual(self.output(
            "bash", "--norc", "-c", BASH, "bash", parted(line),
            HOLDFAST_ENDPOINTS="127.0.0.1:1"), ["z1", "z2", "z3"])

    def test_nothing_that_a_node_says_is_run(self):
        self.region.vms["$(touch bad)"] = self.region_vm("$(touch bad)")
        self.region.vms["`touch bad`"] = self.region_vm("`touch bad`")
        self.assertEqual(len(self.offered("holdfast vm show ")), 2)
        self.assertFalse((self.folder / "bad").exists())

    def region_vm(self, name):
        self.vm("made")
        vm = self.region.vms.pop("made")
        vm.name = name
        return vm


class Terminal:
    """A shell at a terminal, and a person who types."""

    def __init__(self, arguments, environment, folder):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(arguments[0], arguments, environment)

    def type(self, text, until, seconds=15):
        os.write(self.fd, text.encode())
        seen, end = "", time.monotonic() + seconds
        while until not in seen:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"{until!r} did not come: {seen!r}")
            seen += os.read(self.fd, 4096).decode(errors="replace")
            seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen)
        return seen

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class AtTerminals(Completion):
    def shell(self, *arguments, **more):
        terminal = Terminal(arguments, self.around(**more), self.home.name)
        self.addCleanup(terminal.close)
        return terminal

    def test_bash_completes_what_is_typed(self):
        shell = self.shell("bash", "--norc", "-i", PS1="> ")
        shell.type("source <(holdfast completion bash); echo rea''dy\r",
                   "ready")
        shell.type("holdfast clu\tset\tg\t", "cluster settings get ")
        shell.type("\x15holdfast zone show --st\t", "--stale ")
        shell.type("\x15holdfast vm list --host=h\t\t", "h6")
        shell.type("\x15exit\r", "exit")

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_completes_what_is_typed(self):
        self.vm("web-1")
        shell = self.shell("zsh", "-f", "-i")
        shell.type("PS1='> '; autoload -U compinit && compinit -u -D; "
                   "source <(holdfast completion zsh); echo rea''dy\r",
                   "ready\r\n")
        shell.type("holdfast clu\tset\tge\t", "get ")
        shell.type("\x15holdfast vm show w\t", "web-1")
        shell.type("\x15holdfast vm list --host=h\t\t", "h6")
        shell.type("\x15holdfast vm create --on-pa\tk\t", "keep")
        shell.type("\x15holdfast watch --kind vm,gr\t", "vm,group")
        shell.type("\x15holdfast -o js\tzo\tli\t-\t", "until interrupted")
        shell.type("\x15holdfast group create a --zones z1,\t\t", "z3")
        shell.type("\x15exit\r", "exit")

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_finds_the_installed_function(self):
        done = self.output(HOLDFAST, "completion", "zsh")
        (self.folder / "_holdfast").write_text("\n".join(done))
        shell = self.shell("zsh", "-f", "-i")
        shell.type("PS1='> '; fpath=($HOME $fpath); autoload -U compinit && "
                   "compinit -u -D; echo rea''dy\r", "ready\r\n")
        shell.type("holdfast capa\t", "capacity")
        shell.type("\x15exit\r", "exit")


@unittest.skipUnless(shutil.which("fish"), "fish is not installed")
class Fish(Completion):
    def offered(self, line):
        lines = self.output("fish", "--no-config", "-c",
                            "holdfast completion fish | source; "
                            "complete -C $argv[1]", line)
        return sorted(line.split("\t")[0] for line in lines)

    def test_words_options_values_and_names(self):
        self.vm("web-1")
        for line, expected in (
                ("holdfast re", ["reservation"]),
                ("holdfast cluster s", ["settings", "status"]),
                ("holdfast -o json cluster settings ", ["get", "set"]),
                ("holdfast vm list --unp", ["--unprotected"]),
                ("holdfast vm create --on-partition ", ["keep", "move"]),
                ("holdfast vm create --on-partition=k",
                 ["--on-partition=keep"]),
                ("holdfast watch --kind vm,ho", ["vm,host"]),
                ("holdfast vm show w", ["web-1"]),
                ("holdfast vm create ", []),
                ("holdfast vm list -z z", ["z1", "z2", "z3"]),
                ("holdfast plan drain-host h1 ", []),
                ("holdfast help ho", ["host"]),
                ("holdfast export -f fl", ["fleet.yaml"]),
                ("holdfast cluster settings set lease_w",
                 ["lease_wait_ms="])):
            with self.subTest(line=line):
                self.assertEqual(self.offered(line), expected)


class Scripts(Completion):
    def test_the_shells_themselves_find_no_error(self):
        for shell in ("bash", "zsh", "fish"):
            if not shutil.which(shell):
                continue
            script = self.folder / "script"
            script.write_text(self.ok("completion", shell))
            self.output(shell, "-n", str(script))

    @unittest.skipUnless(shutil.which("shellcheck"), "needs shellcheck")
    def test_shellcheck_finds_nothing(self):
        script = self.folder / "script"
        script.write_text(self.ok("completion", "bash"))
        self.assertEqual(self.output("shellcheck", str(script)), [])


if __name__ == "__main__":
    main()
