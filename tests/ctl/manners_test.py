#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Manners of the command line: lists in order, columns, selectors, short words,
questions before something is destroyed.

usage: manners_test.py HOLDFAST PROTO_DIR [-v]"""
import json
import os
import pty
import select
import tempfile
import time

from ctl_case import Case, command, environment, main


class Lists(Case):
    def names(self, *options):
        return self.ok("vm", "list", "-o", "name", *options).split()

    def test_a_list_in_order_of_a_column(self):
        self.vm("web-1", "--priority", "5")
        self.vm("web-2", "--priority", "90")
        self.vm("db", "--priority", "10")
        self.assertEqual(self.names("--sort", "priority"),
                         ["web-1", "db", "web-2"])
        self.assertEqual(self.names("--sort", "-Priority"),
                         ["web-2", "db", "web-1"])
        shown = self.ok("vm", "list", "--sort", "-priority").splitlines()
        self.assertEqual([line.split()[0] for line in shown],
                         ["NAME", "web-2", "db", "web-1"])
        answer = json.loads(self.ok("vm", "list", "--sort", "priority", "-o",
                                    "json"))
        self.assertEqual([vm["name"] for vm in answer["vms"]],
                         ["web-1", "db", "web-2"])
        self.assertIn("there is no column `cpu`; it has: NAME, STATE",
                      self.refused(2, "vm", "list", "--sort", "cpu"))
        self.assertIn("--watch", self.refused(2, "vm", "list", "--sort",
                                              "name", "-w"))

    def test_only_the_columns_that_were_asked_for(self):
        self.vm("a")
        lines = self.ok("vm", "list", "--columns", "zone,NAME,group")
        self.assertEqual([line.split() for line in lines.splitlines()],
                         [["ZONE", "NAME", "GROUP"], ["z1", "a", "-"]])
        hosts = self.ok("host", "list", "--columns", "name,memory,of")
        self.assertRegex(hosts.splitlines()[1], r"^h1 +\S+ \S+ +64 GiB$")
        self.assertEqual(
            self.ok("zone", "list", "--columns", "hosts-up").split("\n")[0],
            "HOSTS UP")
        self.assertIn("`colour`", self.refused(2, "vm", "list", "--columns",
                                               "name,colour"))
        self.refused(2, "vm", "list", "--columns", "name", "-o", "json")

    def test_selectors_beyond_what_nodes_know(self):
        self.vm("a", "--label", "tier=web", "--label", "rack=1")
        self.vm("b", "--label", "tier=db")
        self.vm("c")
        self.assertEqual(self.names("-l", "tier!=db"), ["a", "c"])
        self.assertEqual(self.names("-l", "tier,rack!=1"), ["b"])
        self.assertEqual(self.names("-l", "!tier"), ["c"])
        self.names("-l", "tier=web,!rack")
        self.assertEqual(self.requests("ListVms")[-1].filter, "tier=web")
        self.assertIn("`=x` is not LABEL=VALUE",
                      self.refused(2, "vm", "list", "-l", "a=b,=x"))

    def test_short_words(self):
        self.vm("a")
        self.assertIn("running", self.ok("vm", "sh", "a"))
        self.assertIn("lease_wait_ms", self.ok("clu", "set", "get"))
        self.assertIn("start, stop", self.refused(2, "vm", "st", "a"))
        self.assertIn("in full", self.refused(2, "vm", "del", "a"))
        self.assertIn("a", self.names())


class Keys(Case):
    def test_an_authority_whose_key_others_can_read_issues_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            issue = ("cert", "issue", "client", "b", "--dir", f"{folder}/ca",
                     "--out", f"{folder}/b")
            self.ok("ca", "init", "--dir", f"{folder}/ca", "--region", "r")
            for mode in (0o644, 0o620, 0o606):
                os.chmod(f"{folder}/ca/client-ca.key", mode)
                self.assertIn("others can read or change this key",
                              self.refused(3, *issue))
                self.assertFalse(os.path.exists(f"{folder}/b"))
            os.chmod(f"{folder}/ca/client-ca.key", 0o640)
            self.ok(*issue)


class Questions(Case):
    def at_terminal(self, answer, *arguments):
        """Exit code and what was shown to a person who answers."""
        line = command(self.endpoints(), *arguments)
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(line[0], line, {**environment(), "TERM": "dumb"})
        shown, end, asked = "", time.monotonic() + 30, False
        while time.monotonic() < end:
            if not select.select([fd], [], [], 1)[0]:
                continue
            try:
                shown += os.read(fd, 4096).decode()
            except OSError:
                break
            if "[y/N]" in shown and not asked:
                os.write(fd, answer.encode())
                asked = True
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

    def test_a_person_is_asked_before_something_is_destroyed(self):
        for name in ("a", "b"):
            self.vm(name)
        code, shown = self.at_terminal("n\n", "vm", "delete", "a", "b")
        self.assertEqual(code, 1)
        self.assertIn("delete vm a, b? [y/N]", shown)
        self.assertIn("nothing was done", shown)
        # End of input is no answer.
        self.assertEqual(self.at_terminal("\x04", "vm", "delete", "a")[0], 1)
        self.assertEqual(self.requests("DeleteVm"), [])
        code, shown = self.at_terminal("y\n", "vm", "delete", "a")
        self.assertEqual(code, 0, shown)
        self.assertEqual([request.name for request in
                          self.requests("DeleteVm")], ["a"])

    def test_yes_dry_runs_and_scripts_are_not_asked(self):
        for name in ("a", "b", "c"):
            self.vm(name)
        for name, more in (("a", "--dry-run"), ("b", "--yes")):
            code, shown = self.at_terminal("", "vm", "delete", name, more)
            self.assertEqual(code, 0, shown)
            self.assertNotIn("[y/N]", shown)
        self.ok("vm", "delete", "c")

    def test_each_kind_is_asked_about(self):
        self.ok("class", "create", "spare", "--cpu", "1", "--memory", "1GiB")
        self.ok("group", "create", "rules")
        self.ok("reservation", "create", "room", "--zone", "z1", "--class",
                "small", "--count", "1")
        for noun, name in (("class", "spare"), ("group", "rules"),
                           ("reservation", "room")):
            code, shown = self.at_terminal("\n", noun, "delete", name)
            self.assertEqual(code, 1)
            self.assertIn(f"delete {noun} {name}? [y/N]", shown)


if __name__ == "__main__":
    main()
