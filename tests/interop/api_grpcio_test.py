# SPDX-License-Identifier: Apache-2.0
"""The public API of real nodes, over the wire, by stock Python grpcio. Each
method that the server reflects must have been seen to succeed and to fail, and
each error that holdfastd declares must have been seen, or this fails.

usage: api_grpcio_test.py BINARIES DESCRIPTORS [names of tests]

BINARIES: the directory of holdfastd and holdfast-agent. DESCRIPTORS: the set
of the standard health and reflection services."""
import sys
import unittest

import api_access
import api_audit
import api_groups
import api_manifests
import api_members
import api_methods
import api_operations
import api_outages
import api_plans
import api_reads
import api_sessions
import holdfast_client
from api_case import Seen, read_table

MODULES = [api_methods, api_groups, api_manifests, api_members, api_plans,
           api_operations, api_access, api_audit, api_outages, api_reads,
           api_sessions]

# Errors of the table that are not seen here, and why.
UNPROVOKED = {
    # The proof for a small region is there before a client can ask.
    "HEADROOM_UNKNOWN",
    # A node is behind for moments only; node_membership_test.c.
    "NODE_BEHIND",
    # Only a region with certificates says them; tls_test.py provokes both.
    "UNAUTHENTICATED", "NOT_ALLOWED",
    # Likewise; join_test.py.
    "JOIN_REFUSED",
    # All of the machine are one caller here, whom nothing limits;
    # limits_test.py.
    "OVER_LIMIT"}

# Only a region with certificates has it succeed; join_test.py.
UNSUCCESSFUL = {"holdfast.v1.JoinService/JoinHost"}


class Everything(unittest.TestCase):
    """Runs last, over what all the others have seen."""

    def methods(self):
        return set(holdfast_client.schema.methods)

    def mutations(self):
        """Those that take a request id."""
        return {path for path, (method, _) in
                holdfast_client.schema.methods.items()
                if "request_id" in method.input_type.fields_by_name}

    def test_every_service_is_reflected(self):
        self.assertEqual(
            set(holdfast_client.schema.services),
            {f"holdfast.v1.{name}Service" for name in (
                "Access", "Agent", "Audit", "Class", "Cluster", "Group", "Host",
                "Join", "Manifest", "Operation", "Peer", "Plan", "Reservation",
                "Vm", "Watch", "Zone")}
            | {"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"})
        self.assertGreater(len(self.mutations()), 10)

    def test_every_method_was_seen_to_succeed(self):
        self.assertEqual(self.methods() - Seen.succeeded, UNSUCCESSFUL)

    def test_every_method_was_seen_to_fail(self):
        self.assertEqual(self.methods() - Seen.refused, set())

    def test_every_mutation_was_repeated(self):
        self.assertEqual(self.mutations() - Seen.once, set())

    def test_every_mutation_was_run_dry(self):
        self.assertEqual(self.mutations() - Seen.dry, set())

    def test_every_mutation_was_refused_for_its_revision(self):
        self.assertEqual(self.mutations() - Seen.conflicting, set())

    def test_every_declared_error_was_provoked(self):
        self.assertEqual(set(Seen.table) - Seen.reasons, set(UNPROVOKED))


def main():
    Seen.binaries, Seen.standard = sys.argv[1:3]
    read_table(Seen.binaries)
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite()
    chosen = sys.argv[3:]
    for module in MODULES:
        if not chosen:
            suite.addTests(loader.loadTestsFromModule(module))
        for name in chosen:
            if hasattr(module, name.split(".")[0]):
                suite.addTests(loader.loadTestsFromName(name, module))
    if not chosen:
        suite.addTests(loader.loadTestsFromTestCase(Everything))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
