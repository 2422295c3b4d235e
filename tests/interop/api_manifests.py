# SPDX-License-Identifier: Apache-2.0
"""Manifests over the wire; what they mean is tested beside the code."""
from api_case import TEMPLATE, RegionCase


class Manifests(RegionCase):
    APPLY = "ManifestService/ApplyManifest"

    @staticmethod
    def vms(*names, **fields):
        return {"manifest": {"vms": [
            {"name": name, "class_name": "small", "template": TEMPLATE,
             **fields} for name in names]}}

    def test_apply_manifest(self):
        name = self.name()
        answer = self.mutate(self.APPLY, self.vms(name))
        self.assertEqual([(o.name, o.action) for o in answer.objects],
                         [(name, 1)])
        self.assertEqual(answer.created_count, 1)
        again = self.ok(self.APPLY, self.vms(name, priority=3))
        self.assertEqual(list(again.objects[0].fields), ["priority"])
        self.assertEqual(again.before.vms[0].name, name)
        self.assertEqual(self.vm(name).priority, 3)
        self.wait_vm(name, "RUNNING")

    def test_apply_manifest_is_refused(self):
        name = self.name()
        before = self.status()
        self.fails(self.APPLY, {}, "manifest")
        self.fails(self.APPLY, self.vms(name, priority=1001),
                   "vms[0].priority")
        self.refused(self.APPLY, self.vms(name, class_name="none"),
                     "NOT_FOUND", "CLASS_NOT_FOUND", "vms[0].class_name")
        self.unchanged(before)
        self.ok(self.APPLY, self.vms(name))
        self.refused(self.APPLY, self.vms(name, zone="z1"),
                     "FAILED_PRECONDITION", "FIELD_FIXED", "vms[0].zone")

    def test_manifest_that_is_too_large_is_refused(self):
        template = {**TEMPLATE, "environment": [
            f"TEXT{i}=" + "x" * 240 for i in range(8)]}
        self.refused(self.APPLY,
                     self.vms(*(f"many-{i}" for i in range(1200)),
                              template=template),
                     "RESOURCE_EXHAUSTED", "MANIFEST_TOO_LARGE", "split")
