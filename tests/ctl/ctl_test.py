#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The command line against nodes that are not ours (stock Python grpcio):
outputs, exit codes, failover. usage: ctl_test.py HOLDFAST PROTO_DIR [-v]"""
import json
import os
import re
import subprocess
import tempfile
import time

from ctl_case import Case, command, environment, main
from fake_region import Node, R


class Reading(Case):
    def test_lists_are_aligned_and_sorted_by_name_as_people_count(self):
        for number in (10, 2, 1):
            self.vm(f"web-{number}")
        lines = self.ok("vm", "list").splitlines()
        self.assertEqual([line.split()[0] for line in lines],
                         ["NAME", "web-1", "web-2", "web-10"])
        self.assertRegex(lines[1], r"^web-1   running  z1    h1    small  +0")
        self.assertEqual(self.ok("vm", "list", "-o", "name").split(),
                         ["web-1", "web-2", "web-10"])

    def test_json_holds_every_key_and_all_pages(self):
        for number in range(5):
            self.vm(f"a{number}")
        answer = json.loads(self.ok("vm", "list", "-o", "json"))
        self.assertEqual([vm["name"] for vm in answer["vms"]],
                         [f"a{number}" for number in range(5)])
        self.assertEqual(answer["next_page_token"], "")
        self.assertEqual(answer["vms"][0]["status"]["state"], "running")
        self.assertEqual(answer["vms"][0]["status"]["deleting"], False)
        self.assertIsInstance(answer["revision"], str)

    def test_filters_go_to_the_server(self):
        self.vm("a")
        self.ok("vm", "list", "--zone", "z1", "--host", "h1", "--state",
                "running", "--filter", "k=v", "--stale")
        request = self.requests("ListVms")[-1]
        self.assertEqual((request.zone, request.host, request.state,
                          request.filter, request.consistency),
                         ("z1", "h1", 4, "k=v", 2))
        self.refused(2, "vm", "list", "--state", "runing")

    def test_a_pending_vm_says_why(self):
        self.ok("vm", "create", "pend-1", "--class", "small")
        self.assertIn("pending (no_capacity)", self.ok("vm", "list"))
        self.assertIn("no host has 0.5 CPU free", self.ok("vm", "show",
                                                          "pend-1"))

    def test_every_noun_lists_and_shows(self):
        self.assertRegex(self.ok("zone", "list"),
                         r"NAME  STATE  HEADROOM  HOSTS UP +VMS.*\nz1    up     - +2/2")
        self.assertRegex(self.ok("host", "list", "--zone", "z2"),
                         r"h2    up     z2 +0  2.5  16  1.5 GiB  64 GiB")
        self.assertIn("connected, 4.2 s left", self.ok("host", "show", "h2"))
        self.assertIn("connected, 4.2 s left", self.ok("host", "list", "-o",
                                                       "wide"))
        self.assertRegex(self.ok("class", "list"),
                         r"small  0.5  512 MiB     0    0  all")
        self.assertIn("z1", self.ok("zone", "show", "z1", "z2"))
        self.assertEqual(self.ok("zone", "show", "z2", "-o", "name"), "z2\n")
        for words in (("cluster", "nodes"), ("node", "list")):
            self.assertRegex(self.ok(*words),
                             r"n1    leader    voter +z1    a:7400 +0\n"
                             r"n2    follower  standby +z2    b:7400 +4 "
                             r"\(catching up\)")

    def test_status_tells_of_the_quorum(self):
        self.vm("a")
        text = self.ok("cluster", "status")
        self.assertRegex(text, r"Quorum: +yes")
        self.assertRegex(text, r"Region id: +0123456789abcdef0123456789abcdef")
        self.assertRegex(text, r"VMs: +1 \(1 running\)")
        self.assertRegex(text, r"Version: +0.1.0, up 1m5s")
        self.nodes[0].quorum = False
        done = self.run_raw(["cluster", "status"])
        self.assertEqual(done.returncode, 5)
        self.assertRegex(done.stdout, r"Leader: +none known")

    def test_settings_are_read_and_changed(self):
        self.assertRegex(self.ok("cluster", "settings", "get"),
                         r"lease_run_ms +4400")
        self.ok("cluster", "settings", "set", "lease_run_ms=4000",
                "renew_ms=900")
        request = self.requests("UpdateSettings")[-1]
        self.assertEqual(list(request.update_mask),
                         ["lease_run_ms", "renew_ms"])
        self.assertEqual(self.region.settings.lease_run_ms, 4000)
        self.assertIn("did you mean `renew_ms`",
                      self.refused(2, "cluster", "settings", "set",
                                   "renew=1"))
        self.assertIn("expected a whole number",
                      self.refused(2, "cluster", "settings", "set",
                                   "renew_ms=1s"))
        self.assertIn("two copies could run",
                      self.refused(2, "cluster", "settings", "set",
                                   "lease_run_ms=9000"))

    def test_leadership_is_transferred(self):
        self.assertEqual(self.ok("cluster", "transfer", "n3"),
                         "n3 leads now\n")
        self.assertIn("holdfast cluster nodes",
                      self.refused(3, "cluster", "transfer", "n9"))

    def test_nodes_come_and_go(self):
        self.assertIn("--id and --address",
                      self.refused(2, "node", "add", "n4"))
        new = ("--id", "4", "--address", "10.0.0.4:7400")
        self.assertEqual(self.ok("node", "add", "n4", *new, "--zone", "z2"),
                         "n4 is a standby now\n")
        request = self.requests("AddNode")[-1]
        self.assertEqual((request.name, request.id, request.zone,
                          request.address, request.dry_run),
                         ("n4", 4, "z2", "10.0.0.4:7400", False))
        self.assertIn("nothing was changed",
                      self.ok("node", "promote", "n4", "--dry-run"))
        self.assertTrue(self.requests("PromoteNode")[-1].dry_run)
        self.assertIn("used before", self.refused(
            4, "node", "add", "n4", "--id", "3", "--address", "10.0.0.4:1"))
        self.assertIn("TOO_FEW_VOTERS", self.refused(6, "node", "remove", "n2"))
        self.ok("node", "remove", "n2", "--allow-fewer-voters")
        # What leads hands over first.
        text = self.ok("node", "remove", "n1")
        self.assertIn("n2 leads now\nn1 is no member any more\n", text)

    def test_a_node_is_replaced_in_three_steps(self):
        self.region.behind = 3
        words = ("node", "replace", "n1", "n4", "--id", "4", "--address",
                 "10.0.0.4:7400")
        text = self.ok(*words)
        self.assertRegex(text, r"(?s)step 1 of 3: add n4.*standby now.*"
                         r"step 2 of 3: promote n4.*voter now.*"
                         r"step 3 of 3: remove n1.*n1 is no member")
        self.assertEqual(self.requests("AddNode")[-1].zone, "z1")
        self.assertEqual(len(self.requests("PromoteNode")), 4)
        self.region.behind = 10000
        self.assertIn("goes on where this one stopped",
                      self.refused(7, *words, "--wait-timeout", "300ms"))
        before = len(self.requests("RemoveNode"))
        self.assertIn("step 3 of 3", self.ok(*words, "--dry-run"))
        self.assertEqual(len(self.requests("RemoveNode")), before)
        self.assertIn("no node 'n8'", self.refused(
            3, "node", "replace", "n8", "n9", *words[4:]))


class Changing(Case):
    def test_zones_and_hosts_are_cordoned(self):
        self.assertEqual(self.ok("zone", "cordon", "z1", "z2"),
                         "zone z1 cordoned\nzone z2 cordoned\n")
        self.assertIn("up (cordoned)", self.ok("zone", "list"))
        self.assertEqual(self.ok("zone", "uncordon", "z1", "-o", "name"),
                         "z1\n")
        self.assertEqual(self.ok("host", "cordon", "h1", "--dry-run"),
                         "host h1 cordoned (dry run: nothing was changed)\n")
        self.assertFalse(self.region.hosts["h1"].cordoned)
        self.ok("host", "cordon", "h1")
        self.ok("host", "uncordon", "h1")

    def test_zone_create_and_its_conflict(self):
        self.assertEqual(self.ok("zone", "create", "z4"), "zone z4 created\n")
        error = self.refused(4, "zone", "create", "z4")
        self.assertIn("ALREADY_EXISTS", error)
        self.assertIn("holdfast zone show z4", error)

    def test_classes(self):
        self.ok("class", "create", "big", "--cpu", "4", "--memory", "8GiB",
                "--disk", "1TiB", "--zone", "z1,z2", "--zone", "z3")
        made = self.region.classes["big"]
        self.assertEqual((made.resources.cpu_milli, made.resources.memory_mib,
                          made.resources.disk_gib, list(made.zones)),
                         (4000, 8192, 1024, ["z1", "z2", "z3"]))
        self.vm("a")
        self.assertIn("[FAILED_PRECONDITION, class_in_use]",
                      self.refused(6, "class", "delete", "small"))
        self.assertEqual(self.ok("class", "delete", "big"),
                         "class big deleted\n")
        self.refused(3, "class", "delete", "big")
        self.assertIn("--cpu: `x`",
                      self.refused(2, "class", "create", "c", "--cpu", "x",
                                   "--memory", "1G"))
        self.refused(2, "class", "create", "c", "--cpu", "1", "--memory",
                     "1.0001GiB")

    def test_declaring_a_host_dead_needs_its_name_twice(self):
        self.assertIn("--confirm h1", self.refused(2, "host", "declare-dead",
                                                   "h1"))
        self.refused(2, "host", "declare-dead", "h1", "--confirm", "h2")
        self.assertFalse(self.requests("DeclareHostDead"))
        self.ok("host", "declare-dead", "h1", "--confirm", "h1", "--reason",
                "burnt")
        self.assertEqual(self.requests("DeclareHostDead")[0].reason, "burnt")


class Vms(Case):
    def test_create_takes_everything(self):
        self.ok("vm", "create", "db", "--class", "small", "--zone", "z1",
                "--priority", "7", "--on-partition", "keep", "--label", "a=b",
                "--label", "c=d=e", "--disk",
                "kind=shared,pool=san,path={name}.img,read_only=true",
                "--disk", "image=x", "--env", "K=V", "--stop-grace", "3s",
                "--stopped", "--command", "sh", "-c", "exec sleep 1", "--wait")
        vm = self.requests("CreateVm")[-1].vm
        self.assertEqual((vm.zone, vm.priority, vm.on_partition, vm.desired),
                         ("z1", 7, 2, 2))
        self.assertEqual(dict(vm.labels), {"a": "b", "c": "d=e"})
        self.assertEqual(list(vm.template.command),
                         ["sh", "-c", "exec sleep 1", "--wait"])
        self.assertEqual((vm.template.driver, vm.template.stop_grace_ms,
                          list(vm.template.environment)), (2, 3000, ["K=V"]))
        self.assertEqual([(disk.kind, disk.pool, disk.path, disk.read_only)
                          for disk in vm.template.disks],
                         [(2, "san", "{name}.img", True), (1, "", "", False)])

    def test_create_many_and_wait(self):
        text = self.ok("vm", "create", "web", "--class", "small", "--count",
                       "3", "--image", "i", "--wait")
        self.assertIn("vm web-3 created: assigned\n", text)
        self.assertIn("vm web-2 running on h1\n", text)
        request, = self.requests("BatchCreateVms")
        self.assertEqual([vm.name for vm in request.vms],
                         ["web-1", "web-2", "web-3"])
        self.assertNotEqual(request.request_id, "")
        self.assertIn("vms[0]: there is a VM 'web-1'", self.refused(
            4, "vm", "create", "web", "--class", "small", "--count", "5",
            "--image", "i"))
        self.ok("vm", "create", "brief", "--class", "small", "--count", "2",
                "--image", "i", "--request-id", "r1", "--wait")

    def test_create_more_than_one_call_takes(self):
        text = self.ok("vm", "create", "w", "--class", "small", "--count",
                       "1200", "--image", "i", "--stopped", "-o", "name")
        self.assertEqual(len(text.split()), 1200)
        self.assertEqual([len(request.vms) for request
                          in self.requests("BatchCreateVms")], [1000, 200])
        self.assertIn("--request-id", self.refused(
            2, "vm", "create", "v", "--class", "small", "--count", "1200",
            "--image", "i", "--request-id", "r1"))

    def test_a_file_and_what_overrides_it(self):
        self.vm("a", "--label", "k=v")
        shown = self.ok("vm", "show", "a", "-o", "yaml")
        self.assertIn("state: running", shown)
        self.ok("vm", "create", "b", "-f", "-", "--priority", "3",
                stdin=shown)
        vm = self.requests("CreateVm")[-1].vm
        self.assertEqual((vm.name, vm.uid, vm.HasField("status"), vm.priority,
                          dict(vm.labels)), ("b", 0, False, 3, {"k": "v"}))
        done = self.run_raw(["vm", "create", "-f", "-"],
                            stdin="name: c\nclass_nam: small\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn("standard input:2:1: class_nam: unknown key (did you "
                      "mean `class_name`?)", done.stderr)

    def test_start_stop_move_delete_wait_until_it_is_so(self):
        self.vm("a")
        self.assertIn("vm a stopped", self.ok("vm", "stop", "a", "--wait"))
        self.assertIn("vm a running on h1", self.ok("vm", "start", "a",
                                                    "--wait"))
        self.assertIn("vm a running on h2", self.ok("vm", "move", "a",
                                                    "--zone", "z2", "--wait"))
        self.assertIn("vm a is gone", self.ok("vm", "delete", "a", "--wait"))
        self.refused(3, "vm", "show", "a")

    def test_a_stopped_vm_goes_with_the_answer(self):
        self.vm("a")
        self.ok("vm", "stop", "a", "--wait")
        self.assertIn("vm a is gone", self.ok("vm", "delete", "a", "--wait"))

    def test_waiting_ends_at_its_time_and_says_what_is_missing(self):
        error = self.refused(7, "vm", "create", "slow-1", "--class", "small",
                             "--wait", "--wait-timeout", "300ms")
        self.assertIn("vm slow-1: assigned on h1", error)

    def test_waiting_ends_when_the_vm_is_deleted(self):
        waiting = subprocess.Popen(
            command(self.endpoints(), "vm", "create", "slow-1", "--class",
                    "small", "--wait"), stderr=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL, env=environment())
        while not self.requests("Watch"):
            time.sleep(0.02)
        self.ok("vm", "delete", "slow-1")
        self.assertIn("deleted meanwhile", waiting.communicate(timeout=30)[1])
        self.assertEqual(waiting.returncode, 3)

    def test_update_merges_labels_and_checks_the_revision(self):
        self.vm("a", "--label", "k=v", "--label", "old=1")
        self.ok("vm", "update", "a", "--label", "new=2", "--label", "old-",
                "--priority", "9")
        request = self.requests("UpdateVm")[-1]
        self.assertEqual(dict(request.vm.labels), {"k": "v", "new": "2"})
        self.assertEqual(list(request.update_mask), ["priority", "labels"])
        self.assertNotEqual(request.expect_revision, 0)
        self.assertIn("ABORTED", self.refused(
            4, "vm", "update", "a", "--priority", "1", "--expect-revision",
            "5"))
        self.refused(2, "vm", "update", "a")

    def test_show_says_which_on_partition_is_in_force(self):
        self.vm("a", "--on-partition", "keep")
        self.assertRegex(self.ok("vm", "show", "a"),
                         r"On partition: +keep\n")
        self.ok("vm", "update", "a", "--on-partition", "move")
        self.assertRegex(self.ok("vm", "show", "a"),
                         r"On partition: +keep \(move from the next start on\)")

    def test_several_names_go_on_after_one_that_is_missing(self):
        self.vm("a")
        self.vm("b")
        self.refused(3, "vm", "stop", "nope", "a", "b", "--wait")
        states = {vm.status.state for vm in self.region.vms.values()}
        self.assertEqual(states, {6})

    def test_a_request_id_takes_effect_once(self):
        first = self.ok("vm", "create", "a", "--class", "small",
                        "--request-id", "x", "-o", "json")
        again = self.ok("vm", "create", "a", "--class", "small",
                        "--request-id", "x", "-o", "json")
        self.assertEqual(json.loads(first)["uid"], json.loads(again)["uid"])
        self.refused(2, "vm", "stop", "a", "b", "--request-id", "x")

    def test_wrong_values_name_their_option(self):
        for options, words in (
                (["--priority", "high"], "--priority: expected a whole"),
                (["--on-partition", "mov"], "did you mean `move`"),
                (["--label", "x"], "--label: `x`"),
                (["--disk", "kid=shared"], "did you mean `kind`"),
                (["--count", "0"], "--count: `0`"),
                (["--env", "X"], "--env: `X`"),
                (["--wait-timeout", "x"], "--wait-timeout: `x`"),
                (["--stop-grace", "x"], "--stop-grace: `x`"),
                (["-f", "/nowhere"], "/nowhere: No such file"),
                (["--timeout", "0"], "--timeout: `0`"),
                (["--command"], "--command needs a program")):
            self.assertIn(words, self.refused(2, "vm", "create", "a",
                                              "--class", "small", *options))
        self.assertFalse(self.requests("CreateVm"))


class Exporting(Case):
    """What needs answers at chosen moments; a live region's export is in
    export_test.py."""

    def change(self, *steps):
        """Each step once, behind one more page of VMs."""
        left = list(steps)

        def behind():
            if left:
                step = left.pop(0)
                if step is not None:
                    step()
        self.region.after["ListVms"] = behind

    def label(self, name, **labels):
        vm = self.region.vms[name]
        vm.labels.update(labels)
        self.region.vm_event(vm)

    def five(self):
        for number in range(5):
            self.vm(f"a{number}")  # a4 and a3 are the first page.

    def test_changes_between_the_pages_are_all_in_it(self):
        region = self.region

        def act():
            self.label("a4", seen="yes")  # Was on the page before,
            self.label("a0", seen="yes")  # comes on the last one.
            gone = region.vms.pop("a3")
            region.vm_event(gone, deleted=True)
            fresh = R.Vm()
            fresh.CopyFrom(gone)
            fresh.uid = 5000  # The same name, on no page that is to come.
            fresh.priority = 7
            region.vms["a3"] = fresh
            region.vm_event(fresh)
            region.zones["z2"].cordoned = True
            region.event(1, zone=region.zones["z2"])
            region.classes["big"] = R.Class(name="big", uid=2)
            region.event(2, vm_class=region.classes["big"])
            region.hosts["h1"].fault_domain = "r1"
            region.event(3, host=region.hosts["h1"])
            region.settings.start_parallel = 9
            region.event(5, settings=region.settings)

        self.five()
        watches = len(self.requests("Watch"))
        self.change(act)
        torn = json.loads(self.ok("export", "-o", "json"))
        self.assertEqual(len(self.requests("Watch")), watches + 1)
        self.assertEqual(torn, json.loads(self.ok("export", "-o", "json")))
        self.assertEqual(len(self.requests("Watch")), watches + 1)
        self.assertEqual([(vm["name"], vm.get("labels"), vm.get("priority"))
                          for vm in torn["vms"]],
                         [("a0", {"seen": "yes"}, None), ("a1", None, None),
                          ("a2", None, None), ("a3", None, 7),
                          ("a4", {"seen": "yes"}, None)])
        self.assertEqual([c["name"] for c in torn["classes"]],
                         ["big", "small"])
        self.assertEqual(torn["zones"][1], {"name": "z2", "cordoned": True})
        self.assertEqual(torn["hosts"][0]["fault_domain"], "r1")
        self.assertEqual(torn["settings"]["start_parallel"], 9)

    def test_changes_behind_the_last_page_are_not_in_it(self):
        self.five()
        self.change(lambda: self.label("a1", early="yes"), None,
                    lambda: self.label("a1", late="yes"))
        vms = json.loads(self.ok("export", "-o", "json"))["vms"]
        self.assertEqual(vms[1]["labels"], {"early": "yes"})

    def test_a_region_whose_changes_are_gone_is_read_again(self):
        def act():
            self.label("a4", k="v")
            self.region.oldest = self.region.revision
        self.five()
        self.change(act)
        vms = json.loads(self.ok("export", "-o", "json"))["vms"]
        self.assertEqual(vms[4]["labels"], {"k": "v"})
        self.assertEqual(len(self.requests("GetSettings")), 2)

    def test_what_changes_too_fast_is_refused_rather_than_torn(self):
        def act():
            self.label("a4", k="v")
            self.region.oldest = self.region.revision
        self.five()
        self.region.after["ListVms"] = act
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/fleet.yaml"
            error = self.refused(4, "export", "-f", path)
            self.assertFalse(os.listdir(folder))
        self.assertIn("faster than it can be read [ABORTED", error)
        self.assertIn("try again in a moment", error)

    def test_a_page_that_fails_fails_the_export(self):
        self.five()
        self.change(lambda: setattr(self.nodes[0], "fail", 1000))
        done = self.run_raw(["export"])
        self.assertEqual((done.returncode, done.stdout), (5, ""))

    def test_stale_answers_are_taken_when_asked_for(self):
        self.vm("a")
        self.ok("export", "--stale")
        for method in ("GetSettings", "ListZones", "ListClasses", "ListHosts",
                       "ListVms"):
            self.assertEqual(self.requests(method)[-1].consistency, 2)

    def test_vms_being_deleted_are_facts(self):
        self.vm("a")
        self.vm("b")
        self.region.vms["b"].status.deleting = True
        self.assertNotIn("name: b", self.ok("export"))
        self.assertIn("deleting: true", self.ok("export", "--status"))

    def test_a_file_is_whole_and_keeps_its_rights(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/fleet.yaml"
            self.assertEqual(
                self.ok("export", "-f", path),
                f"{path}: 3 zones, 1 classes, 6 hosts, 0 VMs, 0 groups, "
                "0 reservations, 0 grants as of revision 100\n")
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            os.chmod(path, 0o644)
            os.symlink(path, f"{folder}/link")
            self.vm("a")
            self.ok("export", "-f", f"{folder}/link", "-o", "json")
            self.assertEqual(os.readlink(f"{folder}/link"), path)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o644)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(),
                                 self.ok("export", "-o", "json"))
            self.assertEqual(sorted(os.listdir(folder)),
                             ["fleet.yaml", "link"])
            self.assertIn("No such file or directory", self.refused(
                1, "export", "-f", f"{folder}/none/fleet.yaml"))
        self.assertIn("name: a", self.ok("export", "-f", "/dev/stdout"))
        self.assertEqual(self.ok("export"), self.ok("export", "-f", "-"))

    def test_only_forms_that_can_be_read_again(self):
        for form in ("table", "wide", "name"):
            self.assertIn("yaml (default) or json",
                          self.refused(2, "export", "-o", form))


class Watching(Case):
    def follow(self, *arguments, until, act):
        """Output lines until one matches."""
        process = subprocess.Popen(
            command(self.endpoints(), *arguments), stdout=subprocess.PIPE,
            text=True, env=environment())
        while not self.requests("Watch"):
            time.sleep(0.02)
        time.sleep(0.1)
        act()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if re.search(until, line):
                break
        process.terminate()
        process.wait()
        process.stdout.close()
        return lines

    def test_watch_shows_every_change(self):
        lines = self.follow("watch", until="a .*running on h1",
                            act=lambda: self.vm("a"))
        self.assertRegex(lines[0], "TIME +REVISION +KIND +NAME +CAUSE +CHANGE")
        self.assertEqual([line.split()[7] for line in lines[1:]],
                         ["assigned", "starting", "running"])

    def test_watch_speaks_json_and_picks_kinds(self):
        def act():
            self.vm("a")
            self.ok("zone", "cordon", "z1")
        lines = self.follow("watch", "--kind", "zone,host", "-o", "json",
                            until="cordoned", act=act)
        self.assertEqual(len(lines), 1)
        self.assertEqual(json.loads(lines[0])["zone"]["name"], "z1")
        self.refused(2, "watch", "--kind", "vms")

    def test_watch_passes_its_conditions_on(self):
        self.follow("watch", "db", "--prefix", "web-", "--prefix", "mail-",
                    "--zone", "z1,z2", "--state", "lost", "--filter",
                    "a=b,!c", until=".", act=lambda: None)
        request = self.requests("Watch")[-1]
        self.assertEqual(
            (request.names, request.name_prefixes, request.zones,
             request.vm_states, request.filter),
            (["db"], ["web-", "mail-"], ["z1", "z2"], [7], "a=b,!c"))
        self.refused(2, "watch", "--state", "gone")

    def test_events_end_with_the_newest(self):
        self.vm("a")
        with self.region.lock:
            last = self.region.event(
                1, cause=3, zone=self.region.zones["z1"])
            host = self.region.event(
                3, cause=4, cause_revision=last, host=self.region.hosts["h1"])
        self.assertIn("lease ended", self.ok("events", "--kind", "zone"))
        self.assertEqual(self.ok("events", "-o", "name").split()[-2:],
                         ["z1", "h1"])
        tree = self.ok("events", "--tree", "--after", str(last - 1))
        self.assertRegex(tree, rf"{last}  zone z1: up \[lease ended\]\n"
                               rf"\+\d\.\d{{3}}s +{host}  "
                               r"\S+ host h1: up \[zone lost\]\n$")
        self.refused(2, "events", "--tree", "-o", "json")

    def test_events_go_as_far_back_as_they_are_kept(self):
        with self.region.lock:
            for _ in range(40):
                self.region.event(1, zone=self.region.zones["z1"])
            self.region.oldest = self.region.revision - 30
        self.assertGreater(len(self.ok("events", "-o", "name").split()), 10)
        self.assertIn("OUT_OF_RANGE",
                      self.refused(1, "events", "--after", "5"))

    def test_a_list_goes_on_with_watch(self):
        self.vm("a")
        lines = self.follow("vm", "list", "--watch", until="deleted",
                            act=lambda: self.ok("vm", "delete", "a"))
        self.assertEqual([line.split()[1] for line in lines],
                         ["STATE", "running", "running", "(deleted)"])

    def test_a_revision_too_old_is_told(self):
        self.assertIn("OUT_OF_RANGE", self.refused(1, "watch", "--after", "5"))

    def test_a_watch_survives_its_node(self):
        first, second = self.node(), self.node()
        process = subprocess.Popen(
            command(self.endpoints(), "watch", "-o", "name"), text=True,
            stdout=subprocess.PIPE, env=environment())
        while not self.requests("Watch"):
            time.sleep(0.02)
        time.sleep(0.1)
        with self.region.lock:
            self.region.event(1, zone=self.region.zones["z1"])
        self.assertEqual(process.stdout.readline(), "z1\n")
        first.stop()
        with self.region.lock:
            self.region.event(1, zone=self.region.zones["z2"])
        self.assertEqual(process.stdout.readline(), "z2\n")
        resumed = self.requests("Watch")[-1]
        self.assertEqual(resumed.after_revision, 101)
        self.assertEqual(self.region.seen[-1][0], second.name)
        process.terminate()
        process.wait()
        process.stdout.close()


class Failing(Case):
    def closed_port(self):
        node = Node(self.region, "gone")
        node.stop()
        return f"127.0.0.1:{node.port}"

    def test_the_next_endpoint_is_asked(self):
        self.node()
        done = self.run_raw(["zone", "list", "-o", "name"],
                            [self.closed_port(), *self.endpoints()])
        self.assertEqual((done.returncode, done.stdout), (0, "z1\nz2\nz3\n"))

    def test_unavailable_is_retried_with_the_same_request_id(self):
        self.node(fail=2, pushback=50)
        self.node(fail=1)
        self.ok("zone", "create", "z9")
        ids = [request.request_id for request in self.requests("CreateZone")]
        self.assertEqual(len(ids), 4)
        self.assertEqual(len(set(ids)), 1)
        self.assertEqual([node for node, *_ in self.region.seen],
                         ["n1", "n2", "n1", "n2"])

    def test_a_negative_pushback_forbids_the_retry(self):
        self.node(fail=1, pushback=-1)
        self.refused(5, "zone", "list")
        self.assertEqual(len(self.requests("ListZones")), 1)

    def test_other_codes_are_not_retried(self):
        self.node()
        self.node()
        self.refused(3, "vm", "show", "nope")
        self.assertEqual(len(self.requests("GetVm")), 1)

    def test_the_retry_budget_ends(self):
        self.node(fail=1000, pushback=1)
        self.node(fail=1000, pushback=1)
        self.node(fail=1000, pushback=1)
        self.refused(5, "zone", "list")
        self.assertEqual(len(self.requests("ListZones")), 10)

    def test_when_nobody_answers_each_endpoint_says_why(self):
        gone = self.closed_port()
        self.node(fail=1000)
        error = self.refused(5, "vm", "delete", "a",
                             endpoints=[gone, *self.endpoints()])
        self.assertIn(f"  {gone}: cannot connect: Connection refused\n", error)
        self.assertIn(f"  {self.endpoints()[0]}: no leader is known\n", error)
        self.assertRegex(error, r"--request-id [0-9a-f]{32}")
        self.assertIn("holdfast cluster status", error)

    def test_what_was_never_sent_has_no_open_outcome(self):
        error = self.refused(5, "vm", "delete", "a",
                             endpoints=[self.closed_port()])
        self.assertNotIn("may have taken effect", error)

    def test_a_node_that_hangs_does_not_take_all_the_time(self):
        self.node(hang=True)
        self.node()
        self.assertEqual(self.ok("zone", "list", "-o", "name", "--timeout",
                                 "3s"), "z1\nz2\nz3\n")

    def test_the_deadline_covers_everything(self):
        self.node(hang=True)
        start = time.monotonic()
        error = self.refused(7, "zone", "list", "--timeout", "500ms")
        self.assertIn("DEADLINE_EXCEEDED", error)
        self.assertLess(time.monotonic() - start, 20)
        metadata = self.region.seen[0][3]
        self.assertIn("holdfast-c/", metadata["user-agent"])

    def test_what_is_no_node_is_told(self):
        import socket
        import threading
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
                peer.close()
        threading.Thread(target=serve, daemon=True).start()
        self.refused(5, "zone", "list", endpoints=[
            f"127.0.0.1:{listener.getsockname()[1]}"])
        listener.close()

    def test_wrong_endpoints_are_usage_errors(self):
        for endpoint in ("x", "h:", "h:0", "h:70000", "::1:7400", "a b:1"):
            self.assertIn("is not HOST:PORT",
                          self.refused(2, "zone", "list",
                                       endpoints=[endpoint]))


class Helping(Case):
    def test_help_at_every_level(self):
        for arguments, words in (
                (["--help"], "Exit codes"), (["help"], "Exit codes"),
                (["vm", "--help"], "usage: holdfast vm COMMAND"),
                (["help", "vm"], "usage: holdfast vm COMMAND"),
                (["vm", "create", "--help"], "usage: holdfast vm create"),
                (["help", "cluster", "settings", "set"],
                 "usage: holdfast cluster settings set KEY=VALUE..."),
                (["export", "--help"], "usage: holdfast export [OPTION...]"),
                (["vm", "stop", "-h"], "usage: holdfast vm stop NAME...")):
            text = self.ok(*arguments)
            self.assertIn(words, text)
            for line in text.splitlines():
                self.assertLessEqual(len(line), 80, line)
                self.assertEqual(line, line.rstrip())
        self.assertRegex(self.ok("version"), r"^holdfast \d+\.\d+\.\d+\n$")
        self.assertFalse(self.region.seen)

    def test_the_nearest_word_is_suggested(self):
        for arguments, words in (
                (["vms", "list"], "did you mean `vm`"),
                (["vm", "lst"], "did you mean `list`"),
                (["vm", "migrate"], "it has: create, list"),
                (["cluster", "settings", "got"], "did you mean"),
                (["vm", "list", "--zon", "z1"], "did you mean `--zone`"),
                (["zone", "list", "--host", "h"], "does not go with"),
                (["vm", "list", "extra"], "one word too many"),
                (["vm", "show"], "needs: NAME..."),
                (["vm", "list", "-o", "jsn"], "did you mean `json`"),
                (["vm", "list", "--watch=1"], "takes no value"),
                (["vm", "list", "--state", "running", "--state=pending"],
                 "option --state is given twice"),
                (["cluster", "settings", "set", "zone_hold_ms=1",
                  "zone_hold_ms=2"], "`zone_hold_ms` is given twice"),
                (["vm", "list", "--zone"], "needs a value")):
            self.assertIn(words, self.refused(2, *arguments))

    def test_no_command_is_wrong_usage(self):
        done = self.run_raw([])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("usage: holdfast", done.stderr)
        self.refused(2, "vm")


if __name__ == "__main__":
    main()
