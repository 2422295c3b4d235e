# SPDX-License-Identifier: Apache-2.0
"""Attacks on a live region, each with the answer that docs/security.md
promises. After each the region is as it was (threat_case.py).

usage: threats_test.py BINARIES DESCRIPTORS [names of tests]"""
import sys
import unittest

import threats_api
import threats_slow
import threats_tls
import threats_wire
from threat_case import Field

MODULES = [threats_tls, threats_wire, threats_api, threats_slow]


def main():
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite()
    for module in MODULES:
        suite.addTests(loader.loadTestsFromModule(module) if not sys.argv[3:]
                       else [loader.loadTestsFromName(name, module)
                             for name in sys.argv[3:]
                             if hasattr(module, name.split(".")[0])])
    Field.make(*sys.argv[1:3])
    try:
        threats_slow.begin()
        result = unittest.TextTestRunner(verbosity=2).run(suite)
    finally:
        Field.close()
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)


if __name__ == "__main__":
    main()
