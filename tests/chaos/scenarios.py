# SPDX-License-Identifier: Apache-2.0
"""The scenarios by name. Each is a fault at a time and the facts that must hold
then; that nothing is lost, doubled or restarted without need, and that all is
whole in the end, the bench asserts after each (bench.py, settle())."""

import faults_agents
import faults_clocks
import faults_disks
import faults_leader
import faults_network
import faults_zones
from scenario import SCENARIOS, Skipped

__all__ = ["SCENARIOS", "Skipped", "faults_agents", "faults_clocks",
           "faults_disks", "faults_leader", "faults_network", "faults_zones"]
