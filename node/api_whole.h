/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutations of many objects, all or nothing: everything is decided on a trial,
 * and only when the last object is through, what was decided there is decided
 * for good, change by change as it stands in the trial's entry. So nothing is
 * half done, and nothing is checked twice. */
#ifndef NODE_API_WHOLE_H
#define NODE_API_WHOLE_H

#include "node/api.h"

/* Embed it in what decides. */
struct api_whole {
    /* Decides and answers; false: the reply has failed, nothing is to count. */
    bool (*decide)(struct api_whole *whole, struct turn_plan *plan);
};

/* A dry run is on a trial already. */
void api_whole_decide(struct api_whole *whole, struct turn_plan *plan,
                      bool dry_run);

/* The refusal of a single method becomes one of the whole: what it says of
 * `part` ("vm.name: ...") it says of `place` ("vms[17].name: ..."). */
void api_whole_fail(struct api_reply *reply, const char *place,
                    const char *part, const struct api_reply *step);

#endif
