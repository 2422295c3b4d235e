#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The command line on groups, reservations, drains, plans and capacity, against
nodes that are not ours. usage: ctl_placement_test.py HOLDFAST PROTO_DIR [-v]"""
import json
import textwrap
import time

from ctl_case import Case, main
from fake_region import R


def block(text):
    """An expected output: lines without their common margin."""
    return textwrap.dedent(text).lstrip("\n")


class Placement(Case):
    maxDiff = None

    def group(self, name="web", *options):
        self.ok("group", "create", name, "--count", "6", "--class", "small",
                "--image", "web.img", "--wait", *options)

    def planned(self, code, *arguments):
        done = self.run_raw(["plan", *arguments])
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done.stdout


class Groups(Placement):
    def test_lists_choose_groups_and_hosts(self):
        self.ok("group", "create", "db", "--count", "1", "--class", "small",
                "--image", "i")
        self.ok("group", "list", "--filter", "a=b,c!=d,!e", "--zone", "z1",
                "--unhealthy")
        request = self.requests("ListGroups")[-1]
        self.assertEqual((request.filter, request.zone,
                          request.HasField("healthy"), request.healthy),
                         ("a=b,c!=d,!e", "z1", True, False))
        self.ok("group", "list")
        self.assertFalse(self.requests("ListGroups")[-1].HasField("healthy"))
        self.refused(2, "group", "list", "--watch", "--unhealthy")
        self.ok("host", "list", "--state", "lost")
        self.assertEqual(self.requests("ListHosts")[-1].state, 2)
        self.refused(2, "host", "list", "--state", "gone")

    def test_create_takes_template_and_rules(self):
        self.ok("group", "create", "db", "--count", "3", "--class", "small",
                "--priority", "7", "--on-partition", "keep", "--preemptible",
                "--label", "a=b", "--host-selector", "rack=r1", "--disk",
                "zones=z1+z2,pool=san,path={name}.img", "--spread", "apart",
                "--max-skew", "2", "--strict", "--per-domain", "2",
                "--per-host", "1", "--zones", "z1,z2", "--zones", "z3",
                "--unprotected", "--max-unavailable", "1", "--command", "sh",
                "-c", "true")
        group = self.requests("CreateGroup")[-1].group
        self.assertEqual(
            (group.name, group.count, group.zone_rule, group.max_skew,
             group.zone_mode, list(group.zones), group.domain_mode,
             group.domain_max, group.host_mode, group.host_max,
             group.HasField("protected"), group.protected,
             group.max_unavailable),
            ("db", 3, R.ZONE_RULE_APART, 2, R.RULE_MODE_STRICT,
             ["z1", "z2", "z3"], R.RULE_MODE_STRICT, 2, R.RULE_MODE_STRICT, 1,
             True, False, 1))
        made = group.template
        self.assertEqual(
            (made.class_name, made.priority, made.on_partition,
             made.preemptible, dict(made.labels), dict(made.host_selector),
             list(made.template.command), made.template.driver),
            ("small", 7, R.ON_PARTITION_KEEP, True, {"a": "b"},
             {"rack": "r1"}, ["sh", "-c", "true"], R.DRIVER_EXEC))
        disk, = made.template.disks
        self.assertEqual((disk.kind, list(disk.zones), disk.path),
                         (R.DISK_KIND_REPLICATED, ["z1", "z2"], "{name}.img"))

    def test_a_group_of_rules_alone_has_no_template(self):
        self.assertEqual(
            self.ok("group", "create", "pair", "--spread", "apart"),
            "group pair created: healthy\n")
        group = self.requests("CreateGroup")[-1].group
        self.assertFalse(group.HasField("template"))
        self.assertFalse(group.HasField("protected"))
        self.ok("vm", "create", "a", "--class", "small", "--group", "pair",
                "--wait")
        self.assertEqual(self.requests("CreateVm")[-1].vm.group, "pair")

    def test_members_may_have_a_size_of_their_own(self):
        self.ok("group", "create", "g", "--count", "1", "--cpu", "2",
                "--memory", "3GiB", "--host-disk", "20GiB", "--gpu", "1",
                "--named", "licences=2", "--image", "i")
        made = self.requests("CreateGroup")[-1].group.template
        self.assertEqual(
            (made.class_name, made.resources.cpu_milli,
             made.resources.memory_mib, made.resources.disk_gib,
             made.resources.gpu_count, dict(made.resources.named)),
            ("", 2000, 3072, 20, 1, {"licences": 2}))

    def test_a_file_and_what_overrides_it(self):
        self.group()
        shown = self.ok("group", "show", "web", "-o", "yaml")
        self.assertIn("running_count: 6", shown)
        self.ok("group", "create", "copy", "-f", "-", "--count", "2",
                "--label", "k=v", stdin=shown)
        group = self.requests("CreateGroup")[-1].group
        self.assertEqual(
            (group.name, group.count, group.uid, group.generation,
             group.HasField("status"), group.template.template.image,
             dict(group.template.labels)),
            ("copy", 2, 0, 0, False, "web.img", {"k": "v"}))

    def test_lists_and_shows(self):
        self.group()
        self.region.groups["web"].create_time_ms = 1
        lines = self.ok("group", "list").splitlines()
        self.assertRegex(lines[0], "^NAME  HEALTH   COUNT  MEMBERS  RUNNING  "
                                   "SKEW  ZONES           +AGE$")
        self.assertRegex(lines[1], "^web   healthy      6        6        6  "
                                   "   0  z1:2 z2:2 z3:2  ")
        shown = self.ok("group", "show", "web")
        self.assertIn("Rule:        evenly over the zones, skew at most 1, if "
                      "possible\n", shown)
        self.assertTrue(shown.endswith(block("""
            ZONE  MEMBERS  RUNNING  VMS
            z1          2        2  web-3 web-6
            z2          2        2  web-1 web-4
            z3          2        2  web-2 web-5
            `holdfast vm list --group web` shows them all
            """)), shown)
        self.vm("other")
        self.assertEqual(self.ok("vm", "list", "--group", "web", "-o",
                                 "name").split(),
                         [f"web-{number}" for number in range(1, 7)])
        wide = self.ok("vm", "list", "-o", "wide")
        self.assertRegex(wide, r"web-1 .* yes +web ")
        answer = json.loads(self.ok("group", "list", "-o", "json"))
        self.assertEqual(answer["groups"][0]["status"]["healthy"], True)

    def test_scale_waits_until_it_is_as_wished(self):
        self.group()
        self.assertEqual(self.ok("group", "scale", "web", "9", "--wait"),
                         "group web scaled: 6 of 9 run\n"
                         "group web: 9 running\n")
        self.ok("group", "scale", "web", "1", "--wait")
        self.assertEqual(list(self.region.vms), ["web-1"])
        error = self.refused(6, "group", "scale", "web", "101")
        self.assertIn("[FAILED_PRECONDITION, HEADROOM]", error)
        self.assertIn("holdfast capacity", error)
        self.assertIn("COUNT: expected a whole number",
                      self.refused(2, "group", "scale", "web", "many"))

    def test_waiting_ends_at_its_time_and_says_how_far_it_is(self):
        self.region.stuck = True
        error = self.refused(7, "group", "create", "web", "--count", "2",
                             "--class", "small", "--image", "i", "--wait",
                             "--wait-timeout", "300ms")
        self.assertIn("group web: 0 of 2 members, 0 running", error)

    def test_update_changes_what_is_given_and_keeps_the_rest(self):
        self.group("web", "--label", "a=b", "--label", "old=1")
        self.ok("group", "update", "web", "--image", "two.img", "--label",
                "old-", "--max-unavailable", "2", "--best-effort", "--wait")
        request = self.requests("UpdateGroup")[-1]
        self.assertEqual(list(request.update_mask),
                         ["template", "zone_mode", "max_unavailable"])
        self.assertNotEqual(request.expect_revision, 0)
        made = request.group.template
        self.assertEqual((made.class_name, made.template.image,
                          dict(made.labels)),
                         ("small", "two.img", {"a": "b"}))
        self.ok("group", "update", "web", "--per-host", "0", "--protected",
                "--every-zone", "--spread", "zones")
        request = self.requests("UpdateGroup")[-1]
        self.assertEqual(list(request.update_mask),
                         ["zone_rule", "zones", "host_mode", "host_max",
                          "protected"])
        self.assertEqual((request.group.protected, request.group.host_mode),
                         (True, R.RULE_MODE_BEST_EFFORT))

    def test_members_to_be_replaced_are_told(self):
        self.group("web", "--max-unavailable", "1")
        self.region.stuck = True
        self.assertEqual(self.ok("group", "update", "web", "--label", "a=b"),
                         "group web updated: 6 outdated\n")
        self.assertRegex(self.ok("group", "show", "web"),
                         r"Outdated: +6 members, being replaced\n")

    def test_delete_takes_those_that_joined_only_when_told(self):
        self.group()
        self.vm("a", "--group", "web")
        self.assertIn("GROUP_HAS_JOINED",
                      self.refused(6, "group", "delete", "web"))
        self.assertEqual(
            self.ok("group", "delete", "web", "--with-joined", "--wait"),
            "group web being deleted: deleting\ngroup web is gone\n")
        self.assertFalse(self.region.vms)

    def test_wrong_values_name_their_option(self):
        for options, words in (
                (["--spread", "even"], "--spread: `even`"),
                (["--count", "-1"], "--count: `-1`"),
                (["--count", "2"], "its members need a --class"),
                (["--per-host", "x"], "--per-host: `x`"),
                (["--cpu", "1"], "needs --cpu and --memory"),
                (["--class", "c", "--cpu", "1", "--memory", "1G"], "not both"),
                (["--named", "x"], "--named: `x` is not KEY=N"),
                (["--named", "x=y", "--cpu", "1", "--memory", "1G"],
                 "--named: expected a whole number"),
                (["--priority", "x"], "--priority: expected"),
                (["--strict", "--best-effort"], "does not go with")):
            self.assertIn(words, self.refused(2, "group", "create", "g",
                                              *options))
        self.refused(2, "group", "update", "g")
        self.refused(3, "group", "update", "g", "--strict")
        self.assertFalse(self.requests("CreateGroup"))
        self.group()
        self.assertIn("exclude each other",
                      self.refused(2, "group", "update", "web", "--strict",
                                   "--best-effort"))
        self.refused(2, "group", "create")


class Reservations(Placement):
    def test_their_life(self):
        self.assertEqual(
            self.ok("reservation", "create", "spare", "--zone", "z1",
                    "--class", "small", "--count", "10"),
            "reservation spare created\n")
        self.assertEqual(self.ok("reservation", "list"), block("""
            NAME   ZONE  CLASS  COUNT  FREE  USED  MISSING  AGE
            spare  z1    small     10     9     0        1    -
            """))
        self.ok("reservation", "update", "spare", "--count", "4")
        self.assertEqual(self.region.reservations["spare"].count, 4)
        self.assertEqual(self.ok("reservation", "delete", "spare"),
                         "reservation spare deleted\n")
        self.refused(3, "reservation", "delete", "spare")
        self.refused(2, "reservation", "create", "s", "--zone", "z1")
        self.refused(2, "reservation", "update", "s", "--count", "0")


class Sizes(Placement):
    def test_a_class_is_updated_in_part(self):
        self.ok("class", "create", "big", "--cpu", "4", "--memory", "8GiB",
                "--gpu", "2", "--named", "a=1", "--named", "b=2")
        self.ok("class", "update", "big", "--memory", "16GiB", "--named",
                "b=3", "--zone", "z1,z2")
        request = self.requests("UpdateClass")[-1]
        size = request.vm_class.resources
        self.assertEqual(
            (list(request.update_mask), list(request.vm_class.zones),
             size.cpu_milli, size.memory_mib, size.gpu_count,
             dict(size.named)),
            (["resources", "zones"], ["z1", "z2"], 4000, 16384, 2,
             {"a": 1, "b": 3}))
        self.assertRegex(self.ok("class", "list", "-o", "wide"),
                         r"big +4 +16 GiB .* z1,z2 .*2 GPUs, 1 a, 3 b")
        self.ok("class", "update", "big", "--every-zone")
        self.assertEqual(list(self.region.classes["big"].zones), [])
        self.refused(2, "class", "update", "big")
        self.refused(3, "class", "update", "none", "--cpu", "1")

    def test_a_vm_has_a_class_or_a_size_of_its_own(self):
        self.ok("vm", "create", "odd", "--cpu", "3", "--memory", "10GiB",
                "--image", "i", "--disk",
                "kind=local,pool=ssd,path=x.img", "--preemptible", "--wait")
        vm = self.requests("CreateVm")[-1].vm
        self.assertEqual((vm.class_name, vm.resources.cpu_milli,
                          vm.preemptible, vm.template.disks[0].kind),
                         ("", 3000, True, R.DISK_KIND_LOCAL))
        self.assertRegex(self.ok("vm", "list"), r"odd   running  .* custom ")
        shown = self.ok("vm", "show", "odd")
        self.assertRegex(shown, r"Size: +3 CPU, 10 GiB memory\n")
        self.assertRegex(shown, r"Disks: +local ssd:x.img\n")
        self.ok("vm", "update", "odd", "--not-preemptible")
        self.assertEqual((list(self.requests("UpdateVm")[-1].update_mask),
                          self.region.vms["odd"].preemptible),
                         (["preemptible"], False))
        self.assertIn("not both",
                      self.refused(2, "vm", "create", "b", "--class", "small",
                                   "--cpu", "1", "--memory", "1G"))
        self.assertIn("needs --cpu and --memory",
                      self.refused(2, "vm", "create", "b", "--cpu", "1"))

    def test_settings_have_words_and_zeros(self):
        text = self.ok("cluster", "settings", "set", "headroom=enforce",
                       "preempt_max=0", "rebalance=window")
        request = self.requests("UpdateSettings")[-1]
        self.assertEqual(
            (list(request.update_mask), request.settings.headroom,
             request.settings.HasField("preempt_max"),
             request.settings.preempt_max),
            (["headroom", "preempt_max", "rebalance"],
             R.HEADROOM_MODE_ENFORCE, True, 0))
        self.assertRegex(text, r"\nheadroom +enforce\n")
        self.assertIn("did you mean `enforce`",
                      self.refused(2, "cluster", "settings", "set",
                                   "headroom=enfore"))


class Drains(Placement):
    def test_a_host_is_drained_until_it_is_empty(self):
        self.vm("a")
        self.assertEqual(self.ok("host", "drain", "h1", "--deadline", "1h",
                                 "--wait"),
                         "host h1 being drained\nhost h1 is empty\n")
        self.assertEqual(self.requests("DrainHost")[0].deadline_ms, 3600000)
        self.assertRegex(self.ok("host", "list"), r"h1    up \(draining\) ")
        self.assertEqual(self.ok("host", "cancel-drain", "h1"),
                         "host h1 is not drained\n")

    def test_what_can_never_leave_ends_the_waiting(self):
        self.vm("a")
        self.vm("local-1")
        error = self.refused(6, "host", "drain", "h1", "--wait")
        self.assertIn("host h1 is drained of all that can leave", error)
        self.assertIn("vm local-1: has a local disk on this host\n", error)
        self.assertNotIn("vm a:", error)
        self.vm("pinned", "--zone", "z1")
        error = self.refused(6, "zone", "drain", "z1", "--wait")
        self.assertIn("vm pinned: may run in this zone only\n", error)

    def test_a_drain_that_gives_up_says_what_is_left(self):
        self.vm("local-1")
        self.vm("a")
        self.region.stuck = True
        error = self.refused(7, "host", "drain", "h1", "--deadline", "1s",
                             "--wait")
        self.assertIn("the drain of host h1 has ended", error)
        self.assertIn("vm a: waits for its turn or for room\n", error)

    def test_waiting_ends_at_its_time(self):
        self.vm("a")
        self.region.stuck = True
        error = self.refused(7, "host", "drain", "h1", "--wait",
                             "--wait-timeout", "300ms")
        self.assertIn("host h1: 1 VM left, 0 moving, 0 cannot leave", error)

    def test_risk_is_accepted_with_a_reason_only(self):
        error = self.refused(6, "zone", "drain", "z3")
        self.assertIn("QUORUM_NEEDED", error)
        self.assertIn("--accept-risk --reason TEXT", error)
        self.assertIn("needs a --reason", self.refused(
            2, "zone", "drain", "z3", "--accept-risk"))
        self.ok("zone", "drain", "z3", "--accept-risk", "--reason", "move")
        request = self.requests("DrainZone")[-1]
        self.assertEqual((request.accept_risk, request.reason),
                         (True, "move"))
        self.assertRegex(self.ok("zone", "list"), r"z3    up \(draining\) ")
        self.ok("zone", "cancel-drain", "z3")


class Plans(Placement):
    def test_the_loss_of_a_zone_is_readable(self):
        self.group()
        self.assertEqual(self.planned(2, "zone-loss", "z2"), block("""
            Losing zone z2: 2 VMs restart in z1 and z3, none without a place; the last runs
            again after about 6.4 s.

            ZONE  VMS     CPU USED    MEMORY USED  IF LOST
            z1    2 -> 3  4 % -> 5 %  1 % -> 2 %   ok -> 12 unplaceable
            z2    2 -> 0  4 % -> -    1 % -> -     gone
            z3    2 -> 3  4 % -> 5 %  1 % -> 2 %   ok

            Why: zone z2 is lost
            #  STEP     VM     FROM   TO      DOWN
            1  restart  web-1  z2/h2  z1/h4  6.0 s
            2  restart  web-4  z2/h2  z3/h6  6.4 s

            Nothing was changed. Plan p1, revision 107, worked out in 1.2 ms.
            """))

    def test_what_finds_no_place_says_what_it_lacks(self):
        for name in ("big-1", "a", "big-2"):
            self.vm(name)
        text = self.planned(2, "host-loss", "h1")
        self.assertTrue(text.startswith(
            "Losing host h1: 1 VM restarts, 2 VMs without a place; the last "
            "runs again after\nabout 6.0 s.\n"), text)
        self.assertIn(block("""
            Without a place:
              2 VMs of small: no_capacity
                4 hosts lack memory; 1 more host of 64 GiB would do
                big-1, big-2
            """), text)

    def test_a_long_plan_shows_its_beginning_or_all(self):
        for number in range(1, 31):
            self.region.vms[f"a{number}"] = R.Vm(
                name=f"a{number}", uid=number, class_name="small",
                status=R.VmStatus(state=R.VM_STATE_RUNNING, zone="z1",
                                  host="h1"))
        self.vm("big-1")
        self.region.plan_page = 7
        text = self.planned(2, "zone-loss", "z1")
        self.assertIn("\n20  restart  a20", text)
        self.assertNotIn("a21 ", text)
        self.assertIn("\nand 10 more: --all or -o json\n", text)
        self.assertIn("    big-1\n", text)
        self.assertIn("\n30  restart  a30",
                      self.planned(2, "zone-loss", "z1", "--all"))
        whole = json.loads(self.planned(2, "show", "p1", "-o", "json"))
        self.assertEqual([step["vm"] for step in whole["steps"]],
                         [f"a{number}" for number in range(1, 31)])
        self.assertEqual([vm["vm"] for vm in whole["unplaced"]], ["big-1"])
        self.assertEqual((whole["next_page_token"], whole["plan"]["id"],
                          whole["plan"]["action"]["zone_loss"]["zones"]),
                         ("", "p1", ["z1"]))
        self.assertIn("unplaced: 1\n", self.planned(2, "show", "p1", "-o",
                                                    "yaml"))
        self.assertEqual(self.planned(2, "show", "p1", "-o", "name"), "p1\n")

    def test_only_the_pages_that_are_shown_are_fetched(self):
        self.group()
        self.region.plan_page = 1
        self.planned(2, "zone-loss", "z1")
        self.assertEqual(self.requests("GetPlan"), [])

    def test_exit_codes_are_0_2_and_1(self):
        self.assertIn("nothing would happen", self.planned(0, "rebalance"))
        self.region.uneven = True
        text = self.planned(2, "rebalance")
        self.assertIn("for a-1", text)
        self.assertIn("zone z1 is fuller than z2", text)
        for arguments in (["zone-loss", "none"], ["zone-lass", "z1"],
                          ["zone-loss"], ["rebalance", "--bad"], [],
                          ["show", "p99"], ["scale-group", "web", "x"],
                          ["update-class", "small"],
                          ["update-group", "none", "--strict"],
                          ["add-hosts", "--cpu", "1"]):
            self.refused(1, "plan", *arguments)
        self.ok("plan", "--help")
        self.ok("plan", "zone-loss", "--help")

    def test_every_question_reaches_the_server(self):
        self.group()
        for code, arguments, field in (
                (2, ["host-loss", "h1", "h2"], "host_loss"),
                (2, ["drain-host", "h1"], "drain_host"),
                (2, ["remove-hosts", "h1", "h4"], "remove_hosts"),
                (2, ["scale-group", "web", "8"], "scale_group"),
                (0, ["update-class", "small", "--zone", "z1"],
                 "update_class"),
                (0, ["update-group", "web", "--max-skew", "2"],
                 "update_group")):
            self.planned(code, *arguments)
            action = self.requests("MakePlan")[-1].action
            self.assertEqual(action.WhichOneof("action"), field)
        self.assertEqual(list(action.update_group.update_mask), ["max_skew"])
        self.assertEqual(action.update_group.group.max_skew, 2)
        self.planned(2, "add-hosts", "--zone", "z2", "--count", "4", "--cpu",
                     "64", "--memory", "512GiB", "--disk", "1TiB", "--gpu",
                     "8", "--pool", "san,fast", "--label", "a=b",
                     "--fault-domain", "r9")
        hosts = self.requests("MakePlan")[-1].action.add_hosts
        self.assertEqual(
            (hosts.zone, hosts.count, hosts.capacity.cpu_milli,
             hosts.capacity.memory_mib, hosts.capacity.disk_gib,
             hosts.capacity.gpu_count, list(hosts.pools), list(hosts.drivers),
             dict(hosts.labels), hosts.fault_domain),
            ("z2", 4, 64000, 524288, 1024, 8, ["san", "fast"],
             [R.DRIVER_QEMU], {"a": "b"}, "r9"))

    def test_a_plan_is_applied_exactly_or_not(self):
        self.group()
        text = self.planned(2, "drain-host", "h1")
        self.assertTrue(text.endswith(
            "to do exactly this:\n  holdfast plan apply p1\n"), text)
        self.assertEqual(
            self.ok("plan", "apply", "p1"),
            "plan p1 is being applied; `holdfast watch` shows its progress\n"
            "Draining host h1: 2 VMs move to z2; down for about 2.1 s.\n")
        text = self.planned(2, "drain-zone", "z2")
        self.assertIn("Warning: without zone z2 two nodes", text)
        self.assertIn("apply p2 [--accept-risk --reason TEXT]\n", text)
        self.assertIn("--accept-risk", self.refused(6, "plan", "apply", "p2"))
        self.refused(2, "plan", "apply", "p2", "--accept-risk")
        self.ok("plan", "apply", "p2", "--accept-risk", "--reason", "x")
        self.vm("a")
        self.assertIn("Make the plan again", self.refused(4, "plan", "apply",
                                                          "p1"))
        self.planned(2, "zone-loss", "z1")
        self.refused(6, "plan", "apply", "p3")
        self.assertIn("ten minutes", self.refused(3, "plan", "apply", "p9"))


class Capacity(Placement):
    def test_a_table_of_classes_and_zones(self):
        self.assertEqual(self.ok("capacity"), block("""
            CLASS  FREE NOW  SAFE  WITHOUT z1  WITHOUT z2  WITHOUT z3
            small       120    38          41           0          41
            """))
        self.assertIn("IN z1", self.ok("capacity", "small", "-o", "wide"))
        self.assertEqual(list(self.requests("GetCapacity")[-1].classes),
                         ["small"])
        answer = json.loads(self.ok("capacity", "-o", "json"))
        self.assertEqual(answer["classes"][0]["safe_count"], 38)
        self.assertEqual(self.ok("capacity", "-o", "name"), "small\n")
        self.refused(3, "capacity", "none")

    def test_many_zones_show_the_worst(self):
        self.region.zone_total = 9
        self.assertEqual(self.ok("capacity"), block("""
            CLASS  FREE NOW  SAFE  WORST LOSS  OF
            small       120    38           0  z2
            """))

    def test_zones_show_what_their_loss_would_leave(self):
        self.region.zones["z1"].headroom.CopyFrom(R.ZoneHeadroom(
            protected_count=40, unprotected_count=1, unplaceable_count=12,
            message="3 more hosts of 16 CPUs would do"))
        self.region.zones["z2"].headroom.CopyFrom(R.ZoneHeadroom())
        text = self.ok("zone", "list")
        self.assertRegex(text, r"z1    up     12 unplaceable  ")
        self.assertRegex(text, r"z2    up     ok  ")
        self.assertRegex(text, r"z3    up     -  ")
        text = self.ok("zone", "show", "z1")
        self.assertRegex(text, r"Missing: +3 more hosts of 16 CPUs would do\n")
        self.assertIn("vm list --unprotected", text)


class Explaining(Placement):
    def test_unprotected_vms_are_listed_with_the_reason(self):
        self.group("web", "--unprotected")
        self.vm("a")
        text = self.ok("vm", "list", "--unprotected")
        self.assertEqual(text.count("no: by_group\n"), 6)
        self.assertNotIn("\na ", text)
        self.assertIn("--stale", self.refused(2, "vm", "list", "--unprotected",
                                              "--stale"))
        self.assertRegex(self.ok("vm", "show", "web-1"),
                         r"Protected: +no: by_group\n")
        # A node that does not lead cannot say it.
        self.assertRegex(self.ok("vm", "show", "a", "--stale"),
                         r"Protected: +-\n")

    def test_a_vm_is_explained(self):
        self.group("web", "--per-host", "2", "--strict")
        self.region.vms["web-4"].status.state_time_ms = \
            int(time.time() * 1000) - 65500
        self.region.vms["web-4"].status.move_cause = R.MOVE_CAUSE_REBALANCE
        self.assertEqual(self.ok("vm", "explain", "web-4"), block("""
            VM:            web-4, class small, priority 0
            Now:           running on host h2 in zone z2 for 1m5s
            Last move:     zones were filled unevenly; restarts after a loss are no moves
            Zone:          any; Holdfast chooses and may change it
            Group:         web: evenly over the zones, skew at most 1, strictly
                           at most 2 on a host
                           its members now: 2 in z1, 2 in z2, 2 in z3
            Protected:     yes
            Without z2:    it restarts on host h6 in zone z3, running again after about
                           6.4 s (step 2 of 2)
            """))
        self.assertEqual(json.loads(self.ok("vm", "explain", "web-4", "-o",
                                            "json"))["name"], "web-4")

    def test_a_pending_vm_is_explained(self):
        self.ok("vm", "create", "pend-1", "--class", "small", "--host-selector",
                "rack=r1")
        self.assertEqual(self.ok("vm", "explain", "pend-1"), block("""
            VM:            pend-1, class small, priority 0
            Now:           pending (no_capacity)
            Why pending:   no host that its rules allow has enough free
            In detail:     no host has 0.5 CPU free
            Zone:          any; Holdfast chooses and may change it
            Hosts with:    rack=r1
            """))
        self.assertFalse(self.requests("MakePlan"))

    def test_what_would_find_no_place_is_explained(self):
        self.vm("big-1")
        self.vm("local-1")
        self.region.vms["big-1"].status.unprotected_reason = \
            R.UNPROTECTED_REASON_NO_HEADROOM
        text = self.ok("vm", "explain", "big-1", "local-1")
        self.region.vms["big-1"].status.unprotected_reason = 0
        self.assertIn("Protected:     by its rules, but there is no room\n",
                      self.ok("vm", "explain", "big-1"))
        self.assertIn("Without z1:    it finds no place: no host that its "
                      "rules allow has enough free.\n               4 hosts",
                      text)
        self.assertIn("Bound to:      host h1: a local disk of it is there",
                      text)


class Exporting(Placement):
    def test_groups_come_with_templates_and_without_made_members(self):
        self.group("web", "--unprotected")
        self.vm("a", "--group", "web")
        self.ok("reservation", "create", "spare", "--zone", "z1", "--class",
                "small", "--count", "10")
        manifest = json.loads(self.ok("export", "-o", "json"))
        self.assertEqual([vm["name"] for vm in manifest["vms"]], ["a"])
        self.assertEqual(manifest["groups"], [{
            "name": "web", "count": 6, "protected": False, "template": {
                "class_name": "small",
                "template": {"driver": "qemu", "image": "web.img"}}}])
        self.assertEqual(manifest["reservations"], [{
            "name": "spare", "zone": "z1", "class_name": "small",
            "count": 10}])
        facts = json.loads(self.ok("export", "--status", "-o", "json"))
        self.assertEqual(len(facts["vms"]), 7)
        self.assertEqual(facts["groups"][0]["generation"], 1)

    def test_a_group_that_changes_meanwhile_is_read_again(self):
        self.group()
        group = self.region.groups["web"]
        steps = [lambda: setattr(group, "revision", group.revision + 1)]
        self.region.after["ListVms"] = \
            lambda: steps.pop()() if steps else None
        before = len(self.requests("ListGroups"))
        self.ok("export")
        self.assertEqual(len(self.requests("ListGroups")), before + 2)


if __name__ == "__main__":
    main()
