/* SPDX-License-Identifier: Apache-2.0 */
#include "node/region.h"

#include "base/check.h"
#include "base/container.h"
#include "base/planted.h"

#include <inttypes.h>
#include <stdio.h>

static void plan_birth(struct turn_controller *controller,
                       struct turn_plan *plan)
{
    const struct region_birth *birth =
        container_of(controller, struct region_birth, controller);
    struct change change = {.kind = CHANGE_REGION};

    if (PLANTED(NEVER_IDLE) && state_zone_slots(plan->scratch) > 0) {
        change.kind = CHANGE_ZONE_CORDON;
        change.zone_cordon.zone.uid = state_zone_at(plan->scratch, 0)->uid;
        turn_change(plan, &change);
    }
    if (!region_id_is_set(state_region(plan->scratch))) {
        change.kind = CHANGE_REGION;
        change.region.id = birth->drawn;
        turn_change(plan, &change);
    }
    if (state_policy(plan->scratch)->uid == 0) {
        change.kind = CHANGE_POLICY;
        policy_init(&change.policy.policy);
        turn_change(plan, &change);
    }
}

void region_birth_init(struct region_birth *birth, struct region_id drawn)
{
    CHECK(region_id_is_set(drawn));
    *birth = (struct region_birth){{plan_birth}, drawn};
}

void region_text(struct region_id id, char text[REGION_TEXT_BYTES])
{
    text[0] = '\0';
    if (region_id_is_set(id)) {
        snprintf(text, REGION_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, id.high,
                 id.low);
    }
}
