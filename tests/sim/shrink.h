/* SPDX-License-Identifier: Apache-2.0
 *
 * From a region that breaks a rule after many faults to one that breaks it
 * after few: sets of faults are left out, half of them first, then ever smaller
 * parts, as long as the same rule is still broken (A. Zeller and R.
 * Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). */
#ifndef TESTS_SIM_SHRINK_H
#define TESTS_SIM_SHRINK_H

#include "tests/sim/world.h"

/* The length of the rule's name at the start of a violation. */
size_t sim_rule_len(const char *violation);

/* `keep` has `count` places, one a fault of the run with these options, whose
 * violation is given. What is left in it still breaks the rule. Returns how
 * many faults that are. */
size_t sim_shrink(const struct sim_options *options, const char *violation,
                  bool *keep, size_t count);

#endif
