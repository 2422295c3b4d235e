# SPDX-License-Identifier: Apache-2.0
"""apply and diff: what is shown, asked and told, and with which exit code.

usage: ctl_apply_test.py HOLDFAST PROTO_DIR [unittest options]"""
import json
import os
import pty
import subprocess
import tempfile

from ctl_case import Case, command, environment, main

EXEC = "template: {driver: exec, command: [/bin/true]}"


class Apply(Case):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        super().tearDown()
        self.folder.cleanup()

    def file(self, text, name="fleet.yaml"):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def fleet(self, *names, name="fleet.yaml", priority=0):
        return self.file("vms:\n" + "".join(
            f"- name: {vm}\n  priority: {priority}\n  {EXEC}\n"
            for vm in names), name)

    def test_apply_creates_then_changes_then_leaves(self):
        self.assertEqual(
            self.ok("apply", "-f", self.fleet("a", "b")),
            "created vm a\ncreated vm b\n2 created; revision "
            f"{self.region.revision}\n")
        self.assertEqual(
            self.ok("apply", "-f", self.fleet("a", "b", priority=3)),
            "updated vm a: priority\nupdated vm b: priority\n"
            f"2 updated; revision {self.region.revision}\n")
        self.assertEqual(
            self.ok("apply", "-f", self.fleet("a", "b", priority=3)),
            f"2 unchanged; revision {self.region.revision}\n")
        ids = {r.request_id for r in self.requests("ApplyManifest")}
        self.assertEqual(len(ids - {""}), 3)

    def test_files_are_one_manifest(self):
        one = self.fleet("a", name="one.yaml")
        two = self.file("zones: [{name: z1}]\n---\nvms:\n- name: b\n",
                        "two.yaml")
        self.ok("apply", "-f", one, "-f", two)
        request, = self.requests("ApplyManifest")
        self.assertEqual([vm.name for vm in request.manifest.vms], ["a", "b"])
        self.assertEqual(len(request.manifest.zones), 1)
        settings = self.file("settings: {lease_wait_ms: 6000}\n", "s.yaml")
        text = self.refused(2, "apply", "-f", settings, "-f", settings)
        self.assertIn("settings: another file gives them", text)

    def test_standard_input_is_a_file(self):
        self.ok("apply", "-f", "-", stdin='{"vms": [{"name": "a"}]}')
        self.assertIn("a", self.region.vms)

    def test_dry_run_says_so(self):
        text = self.ok("apply", "--dry-run", "-f", self.fleet("a"))
        self.assertIn("1 to create; ", text)
        self.assertIn("(dry run: nothing was changed)", text)
        self.assertEqual(self.region.vms, {})

    def test_many_are_cut_short(self):
        names = [f"vm-{i}" for i in range(25)]
        text = self.ok("apply", "-f", self.fleet(*names))
        self.assertIn("created vm vm-19\ncreated 5 more", text)
        self.assertNotIn("vm-20", text)
        self.region.vms.clear()
        text = self.ok("apply", "--all", "-f", self.fleet(*names))
        self.assertIn("created vm vm-24\n", text)

    def test_diff_shows_each_object_and_its_exit_codes(self):
        self.ok("apply", "-f", self.fleet("a", "gone", priority=1))
        changed = self.fleet("a", "new", priority=2)
        done = self.run_raw(["diff", "--prune", "-f", changed])
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, (
            "~ vm a\n"
            "    priority: 1 -> 2\n"
            "+ vm new\n"
            "    priority: 2\n"
            "    template:\n"
            "      driver: exec\n"
            "      command:\n"
            "        - /bin/true\n"
            "- vm gone\n"
            "= zone z9: zones are never deleted\n"
            "1 to create, 1 to update, 1 to delete, 1 kept; revision "
            f"{self.region.revision} (dry run: nothing was changed)\n"))
        self.assertTrue(self.requests("ApplyManifest")[-1].dry_run)
        self.ok("apply", "-f", changed)
        self.ok("diff", "-f", changed)
        self.refused(1, "diff", "-f", "/does/not/exist")
        self.refused(1, "diff")
        self.refused(2, "apply")

    def test_machine_readable_forms(self):
        text = self.ok("apply", "-o", "json", "-f", self.fleet("a"))
        self.assertEqual(json.loads(text)["objects"][0]["action"], "created")

    def test_prune_needs_a_yes_without_a_terminal(self):
        self.ok("apply", "-f", self.fleet("a", "b"))
        less = self.fleet("a")
        text = self.refused(2, "apply", "--prune", "-f", less)
        self.assertIn("--prune deletes what is not in the file:\n  vm b\n",
                      text)
        self.assertIn("say --yes", text)
        self.assertIn("b", self.region.vms)
        self.assertIn("deleted vm b\nkept zone z9: zones are never deleted\n",
                      self.ok("apply", "--prune", "--yes", "-f", less))
        # Nothing to delete, nothing to ask.
        self.ok("apply", "--prune", "-f", less)

    def test_prune_asks_at_a_terminal(self):
        self.ok("apply", "-f", self.fleet("a", "b"))
        less = self.fleet("a")
        for answer, code in (("n\n", 1), ("yes\n", 0)):
            ours, theirs = pty.openpty()
            child = subprocess.Popen(
                command(self.endpoints(), "apply", "--prune", "-f", less),
                stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, env=environment())
            os.write(ours, answer.encode())
            text, _ = child.communicate(timeout=60)
            os.close(ours)
            os.close(theirs)
            self.assertEqual(child.returncode, code, text)
            self.assertIn("Delete it and apply the rest? [y/N] ", text)
        self.assertNotIn("b", self.region.vms)
        # What was shown is what is done.
        self.assertGreater(
            self.requests("ApplyManifest")[-1].expect_revision, 0)

    def test_refusals_are_told_with_file_and_line(self):
        one = self.fleet("a", "b", name="one.yaml")
        two = self.file("vms:\n- name: c\n---\nvms:\n- name: d\n"
                        "  template:\n    driver: qemu\n    disks:\n"
                        "    - kind: shared\n      pool: none\n", "two.yaml")
        for path, line in (("vms[3].template.disks[0].pool", 10),
                           ("vms[3].template.image", 6), ("vms[2]", 2),
                           ("vms[3].class_name", 5)):
            self.region.manifest_refusal = (
                "NOT_FOUND", f"{path}: it is not there", "CLASS_NOT_FOUND")
            text = self.refused(3, "apply", "-f", one, "-f", two)
            self.assertIn(f"{two}:{line}: {path}: it is not there", text)
        for message in ("prune: class 'a' is in use", "vms[9]: no", "else"):
            self.region.manifest_refusal = ("FAILED_PRECONDITION", message, "")
            self.assertIn(f"apply: {message}",
                          self.refused(6, "apply", "-f", one))

    def test_what_a_file_says_wrongly_is_told_before_anything(self):
        wrong = self.file("vms:\n- name: a\n  desired: maybe\n")
        text = self.refused(2, "apply", "-f", wrong)
        self.assertIn(f"{wrong}:3:", text)
        self.assertIn("running", text)
        self.assertEqual(self.requests("ApplyManifest"), [])

    def test_a_manifest_that_is_too_large_says_what_to_do(self):
        self.region.manifest_refusal = ("RESOURCE_EXHAUSTED",
                                        "manifest: split the file",
                                        "MANIFEST_TOO_LARGE")
        text = self.refused(1, "apply", "-f", self.fleet("a"))
        self.assertIn("split the file", text)
        self.assertNotIn("try again", text)

    def test_wait_tells_how_far_it_is(self):
        text = self.ok("apply", "--wait", "-f", self.fleet("a", "b"))
        self.assertIn("2 of 2 VMs are there\n", text)
        done = self.run_raw(["apply", "--wait", "--wait-timeout", "1s", "-f",
                             self.fleet("a", "pend-1")])
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn("1 of 2 VMs are there, 1 pending\n", done.stdout)
        self.assertIn("vm pend-1 is pending", done.stderr)
        text = self.refused(2, "apply", "--wait", "--wait-timeout", "soon",
                            "-f", self.fleet("a"))
        self.assertIn("--wait-timeout", text)

    def test_wait_draws_a_table_on_a_terminal(self):
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            command(self.endpoints(), "apply", "--wait", "-f",
                    self.fleet("a")), stdin=theirs, stdout=theirs,
            stderr=theirs, env={**environment(), "TERM": "xterm"})
        self.assertEqual(child.wait(60), 0)
        text = os.read(ours, 65536).decode()
        os.close(ours)
        os.close(theirs)
        self.assertIn("WHAT", text)
        self.assertRegex(text, r"vms +1 +1 ")


if __name__ == "__main__":
    main()
