# SPDX-License-Identifier: Apache-2.0
"""The public API of real nodes, over the wire, by stock Python grpcio. Each
method that the server reflects must have been seen to succeed and to fail, and
each error that holdfastd declares must have been seen, or this fails.

usage: api_grpcio_test.py BINARIES DESCRIPTORS [unittest arguments]

BINARIES: the directory of holdfastd and holdfast-agent. DESCRIPTORS: the set
of the standard health and reflection services."""
import sys
import unittest

import api_methods
from api_case import Seen, read_table

MODULES = [api_methods]


def main():
    Seen.binaries, Seen.standard = sys.argv[1:3]
    read_table(Seen.binaries)
    loader = unittest.defaultTestLoader
    chosen = sys.argv[3:]
    suite = unittest.TestSuite()
    for module in MODULES:
        if chosen:
            for name in chosen:
                if hasattr(module, name.split(".")[0]):
                    suite.addTests(loader.loadTestsFromName(name, module))
        else:
            suite.addTests(loader.loadTestsFromModule(module))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
