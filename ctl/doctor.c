/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/doctor.h"

#include "base/container.h"
#include "base/memory.h"
#include "ctl/format.h"
#include "ctl/output.h"
#include "ctl/view.h"

#include <stdlib.h>
#include <string.h>

static void unread(const struct doctor_facts *facts, struct diagnosis *out)
{
    if (facts->region_error[0] != '\0' && doctor_answered(facts) > 0) {
        diagnosis_add(out, "region", SEVERITY(WARNING), "",
                      "not all of it could be read: %s", facts->region_error);
        diagnosis_cure(out, "what is missing above was not checked");
    }
}

void doctor_judge(const struct doctor_facts *facts, struct diagnosis *diagnosis)
{
    static void (*const checks[])(const struct doctor_facts *,
                                  struct diagnosis *) = {
        doctor_quorum, doctor_nodes,       doctor_sync,     doctor_versions,
        doctor_clocks, doctor_round_trips, doctor_disks,    doctor_certificates,
        doctor_access, doctor_storm,       doctor_leases,   doctor_renewals,
        doctor_zones,  doctor_hosts,       doctor_headroom, doctor_pending,
        doctor_drains, doctor_settings,    doctor_tokens,   unread,
    };
    const struct doctor_node *best = doctor_best(facts);

    diagnosis->message.time_ms = facts->now_ms;
    if (best != NULL) {
        free(diagnosis->message.region);
        diagnosis->message.region = memory_copy_string(best->status->region);
    }
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        checks[i](facts, diagnosis);
    }
}

enum exit_code run_doctor(struct invocation *invocation)
{
    struct doctor_facts *facts;
    struct diagnosis diagnosis;
    enum exit_code code;

    if (!diagnosis_check_options(invocation)) {
        return EXIT_USAGE;
    }
    facts = memory_alloc(sizeof(*facts));
    doctor_gather(invocation, facts);
    diagnosis_init(&diagnosis);
    doctor_judge(facts, &diagnosis);
    if (diagnosis.message.region[0] != '\0') {
        output_line(invocation, "Region %s, %zu of %zu nodes asked, %s",
                    diagnosis.message.region, doctor_answered(facts),
                    doctor_members(facts), format_time(facts->now_ms).text);
        output_line(invocation, "%s", "");
    }
    code = diagnosis_output(invocation, &diagnosis, SEVERITY(CRITICAL));
    diagnosis_close(&diagnosis);
    doctor_facts_close(facts);
    free(facts);
    return code;
}
