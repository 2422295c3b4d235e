# SPDX-License-Identifier: Apache-2.0
"""What deploy/chaos is made of. Read in this order: inventory (what there is),
commands (how a machine is broken and healed), plant (how it is healed even
without us), faults (what is broken when), rules and its judges api, canary,
copies, watch, and run, which puts them together."""
