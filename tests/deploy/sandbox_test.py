# SPDX-License-Identifier: Apache-2.0
"""The units are held to the exposure that docs/security.md tells, by systemd's
own judgement: `systemd-analyze security --offline`.

usage: sandbox_test.py BUILD SOURCE"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

BUILD, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])

# Of each unit, lines without which it is worse by a tenth or more.
LINES = {
    "holdfastd": ("NoNewPrivileges=yes", "CapabilityBoundingSet=",
                  "ProtectSystem=strict", "PrivateDevices=yes",
                  "PrivateMounts=yes", "PrivateUsers=yes",
                  "RestrictNamespaces=yes",
                  "SystemCallFilter=@system-service"),
    "holdfast-agent": ("NoNewPrivileges=yes", "CapabilityBoundingSet=",
                       "ProtectHome=yes", "PrivateMounts=yes",
                       "RestrictNamespaces=pid user"),
}


def exposure(path):
    """In tenths, or None when systemd does not take the unit."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", path],
        capture_output=True, text=True, check=False)
    found = re.search(r"exposure level for \S+: (\d+)\.(\d)", done.stdout)
    return int(found[1]) * 10 + int(found[2]) if found else None


class Sandbox(unittest.TestCase):
    def promised(self, unit):
        with open(f"{SOURCE}/docs/security.md", encoding="utf-8") as page:
            found = re.search(rf"^\| `{unit}\.service` \| (\d)\.(\d) \|",
                              page.read(), re.M)
        return int(found[1]) * 10 + int(found[2])

    def test_each_unit_is_as_closed_as_is_told(self):
        for unit in LINES:
            self.assertEqual(exposure(f"{BUILD}/deploy/{unit}.service"),
                             self.promised(unit), unit)

    def test_each_line_counts(self):
        """What is taken away is seen."""
        for unit, lines in LINES.items():
            path = f"{BUILD}/deploy/{unit}.service"
            with open(path, encoding="utf-8") as file:
                text = file.read()
            before = exposure(path)
            for line in lines:
                with self.subTest(unit=unit, line=line), \
                        tempfile.TemporaryDirectory() as folder:
                    self.assertEqual(text.count(f"\n{line}\n"), 1)
                    worse = f"{folder}/{unit}.service"
                    with open(worse, "w", encoding="utf-8") as file:
                        file.write(text.replace(f"\n{line}\n", "\n"))
                    self.assertGreater(exposure(worse), before)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
