/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands in parts: its rows by nouns. Only command.c joins
 * them. */
#ifndef CTL_COMMAND_ROWS_H
#define CTL_COMMAND_ROWS_H

#include "ctl/command.h"

#define READ   OPTION(STALE)
#define ORDER  (OPTION(SORT) | OPTION(COLUMNS))
#define LIST   (OPTION(STALE) | OPTION(WATCH) | ORDER)
#define CHANGE (OPTION(REQUEST_ID) | OPTION(EXPECT_REVISION) | OPTION(DRY_RUN))
#define WAIT   (OPTION(WAIT) | OPTION(WAIT_TIMEOUT))
#define EVENTS                                                        \
    (OPTION(KIND) | OPTION(AFTER) | OPTION(FILTER) | OPTION(PREFIX) | \
     OPTION(IN_ZONES) | OPTION(STATE))
#define MANY ARGUMENTS_NAMES_MAX

extern const struct command commands_region[];
extern const size_t commands_region_count;
extern const struct command commands_vm[];
extern const size_t commands_vm_count;
extern const struct command commands_access[];
extern const size_t commands_access_count;
extern const struct command commands_fleet[];
extern const size_t commands_fleet_count;
extern const struct command commands_plan[];
extern const size_t commands_plan_count;
extern const struct command commands_care[];
extern const size_t commands_care_count;
extern const struct command commands_tool[];
extern const size_t commands_tool_count;

#endif
