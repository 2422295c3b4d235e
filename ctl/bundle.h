/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in a support bundle: parts, each a file of a tar archive. */
#ifndef CTL_BUNDLE_H
#define CTL_BUNDLE_H

#include "ctl/doctor.h"
#include "holdfast/v1/diagnosis.pb-c.h"

/* The parts of one folder in the archive. */
#define BUNDLE_FOLDER "holdfast-support/"

struct bundle {
    struct invocation *invocation;
    struct doctor_facts facts;
    struct bytes tar;
    Holdfast__V1__Bundle message; /* Its parts owned. */
};

/* Adds a part; its name is below BUNDLE_FOLDER. */
void bundle_add(struct bundle *bundle, const char *name,
                const struct bytes *content);

/* Adds a message as JSON, without what may be secret. */
void bundle_add_message(struct bundle *bundle, const char *name,
                        ProtobufCMessage *message);

/* --- Parts: bundle_parts.c ------------------------------------------------ */

void bundle_add_nodes(struct bundle *bundle);
void bundle_add_region(struct bundle *bundle);
void bundle_add_events(struct bundle *bundle);
void bundle_add_setup(struct bundle *bundle);

/* The ends of the files in a folder; false: it cannot be read, which was told.
 */
bool bundle_add_logs(struct bundle *bundle, const char *folder);

#endif
