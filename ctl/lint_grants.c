/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules on grants: what the region would refuse, what locks people out, what
 * gives more than was meant. */
#include "ctl/lint.h"

#include <stdio.h>

#define ROLE(NAME) HOLDFAST__V1__ACCESS_ROLE__ACCESS_ROLE_##NAME

static void judge_zones(struct lint *lint, const Holdfast__V1__Grant *grant,
                        const char *path, const char *subject)
{
    for (size_t i = 0; i < grant->n_zones; i++) {
        if (lint_knows_zones(lint->input) &&
            !lint_has_zone(lint->input, grant->zones[i])) {
            lint_add(lint, LINT_UNKNOWN_ZONE, path, subject,
                     "there is no zone %s", grant->zones[i]);
        }
    }
}

static void judge_grant(struct lint *lint, size_t index)
{
    const Holdfast__V1__Grant *grant = lint->input->manifest->grants[index];
    bool scoped = grant->n_zones > 0 || grant->n_labels > 0;
    uint64_t now_ms = lint->input->now_ms;
    char subject[80];
    char path[48];

    (void)snprintf(path, sizeof(path), "grants[%zu]", index);
    (void)snprintf(subject, sizeof(subject), "grant %.60s", grant->name);
    if (grant->subject_kind == HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN ||
        grant->secret_sha256.len > 0) {
        lint_add(lint, LINT_GRANT_TOKEN, path, subject,
                 "is a token, which no manifest has");
    }
    if (scoped && grant->role != ROLE(OPERATOR)) {
        lint_add(lint, LINT_GRANT_SCOPE, path, subject,
                 "has a scope, which only operators have");
    }
    if (!scoped && grant->role == ROLE(OPERATOR)) {
        lint_add(lint, LINT_GRANT_WIDE, path, subject,
                 "is an operator's for the whole region: also drains hosts and "
                 "zones, and applies plans");
    }
    if (now_ms != 0 && grant->expire_time_ms != 0 &&
        grant->expire_time_ms <= now_ms) {
        lint_add(lint, LINT_GRANT_ENDED, path, subject,
                 "has ended: a region that does not have it refuses it");
    }
    judge_zones(lint, grant, path, subject);
}

void lint_grants(struct lint *lint)
{
    const Holdfast__V1__Manifest *manifest = lint->input->manifest;
    size_t lasting = 0;

    for (size_t i = 0; i < manifest->n_grants; i++) {
        judge_grant(lint, i);
        lasting += manifest->grants[i]->role == ROLE(ADMIN) &&
                           manifest->grants[i]->expire_time_ms == 0
                       ? 1
                       : 0;
    }
    if (manifest->n_grants > 0 && lasting == 0) {
        lint_add(lint, LINT_GRANT_NO_ADMIN, "grants", "grants",
                 "none is an administrator's that never ends: a new region, "
                 "and --prune, refuse them");
    }
}
