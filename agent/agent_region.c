/* SPDX-License-Identifier: Apache-2.0
 *
 * One region at a time. While this host holds VMs of a region, or a lease that
 * its leader gave, no other region is listened to: its uids are the same
 * numbers for other VMs, so its orders would hit the wrong ones (rule 8) and
 * our reports would be taken for those of its own (rule 1).
 *
 * What becomes of the VMs meanwhile is what becomes of them whenever no leader
 * of theirs is heard: the lease runs out, and shims and guard stop those that
 * move. That is right here too. Their own region, should it live elsewhere,
 * gives them to other hosts when it has waited for that lease, and does not
 * know that we hear somebody else; the other region must not prolong what it
 * did not give. VMs that keep run on: nobody may start them elsewhere without
 * positive proof, and stopping them is for people. When nothing is left, what
 * is known of the former region is dropped and the new one is joined. */
#include "agent/agent.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <inttypes.h>
#include <string.h>

int agent_region_load(struct agent *agent)
{
    int result = region_file_read(&agent->run, agent->region);

    if (result == 0) {
        result = generation_file_read(&agent->run, &agent->region_generation);
    }
    if (result != 0) {
        log_error("agent.region",
                  "path=%s/" RUN_FILE_REGION " error=%s reason=\"it and "
                  "" RUN_FILE_GENERATION " beside it must hold the id and the "
                  "generation of the region whose VMs are here\" cure=\"remove "
                  "both "
                  "if no VM runs here, or reboot the host\"",
                  agent->run.path, hf_error_name(result));
    }
    return result;
}

/* Ends of VMs that only the former region could take note of go unreported.
 * Should it come back, a host that does not list them is proof enough. */
void agent_region_settle(struct agent *agent)
{
    uint64_t now_ns = clock_boot_ns();

    if (!agent->region_refused || !core_is_free(&agent->core, now_ns)) {
        return;
    }
    agent->region_refused = false;
    log_info("region.left", "region_id=%s vms=%zu", agent->region,
             agent->core.listed_count);
    core_forget_region(&agent->core, now_ns);
}

const char *agent_region_of_vms(const struct agent *agent)
{
    return agent->core.listed_count > 0 ? agent->region : "";
}

void agent_region_refused(struct agent *agent)
{
    agent->region_refused = true;
}

static int refuse(struct agent *agent, const char *id)
{
    agent->region_refused = true;
    if (core_is_free(&agent->core, clock_boot_ns())) {
        return HF_ERROR_BUSY; /* Only ends to forget: at the next Hello. */
    }
    log_error("session.other_region",
              "node=%s region_id=%s kept=%s vms=%zu reason=\"this host holds "
              "VMs of the kept region, or its lease; the numbers of VMs there "
              "mean others here\" cure=\"point the agent back at its region; "
              "or stop those VMs, or reboot the host, and it joins this one\"",
              session_node(&agent->session), id, agent->region,
              agent->core.listed_count);
    return HF_ERROR_BUSY;
}

/* A first generation needs no file: nothing is below it. */
static int keep_generation(struct agent *agent, uint32_t generation)
{
    int result = 0;

    if (generation > 1 || agent->region_generation > 1) {
        result = generation == agent->region_generation
                     ? 0
                     : generation_file_write(&agent->run, generation);
    }
    if (result == 0) {
        agent->region_generation = generation;
    }
    return result;
}

static int adopt(struct agent *agent, const char *id, uint32_t generation)
{
    int result = region_file_write(&agent->run, id);

    if (result == 0) {
        result = keep_generation(agent, generation);
    }
    if (result != 0) {
        log_error("agent.region", "path=%s/" RUN_FILE_REGION " error=%s",
                  agent->run.path, hf_error_name(result));
        return result;
    }
    log_info("region.joined", "region_id=%s former=%s", id,
             agent->region[0] == '\0' ? "none" : agent->region);
    memcpy(agent->region, id, REGION_ID_BYTES);
    return 0;
}

/* Rule 1: nodes that a recovery left behind may still think that they lead,
 * while the recovered region has moved this host's VMs, or will. */
static int check_generation(struct agent *agent, uint32_t generation)
{
    agent->region_refused = false;
    if (generation >= agent->region_generation) {
        return keep_generation(agent, generation);
    }
    log_error("session.left_behind",
              "node=%s generation=%" PRIu32 " met=%" PRIu32
              " reason=\"the region was recovered without this node\" "
              "cure=\"stop it, and delete its data\"",
              session_node(&agent->session), generation,
              agent->region_generation);
    return HF_ERROR_BUSY;
}

int agent_region_welcome(struct agent *agent, const char *id,
                         uint32_t generation)
{
    uint64_t now_ns = clock_boot_ns();

    if (id[0] == '\0') {
        return 0; /* A node of before there were ids; nothing to compare. */
    }
    if (!region_id_is_valid(id)) {
        return HF_ERROR_INVALID;
    }
    if (strcmp(id, agent->region) == 0) {
        return check_generation(agent, generation);
    }
    /* VMs that an agent of before there were ids started: they are of the
     * region that it served, which is the one it is still pointed at. */
    if (agent->region[0] == '\0') {
        return adopt(agent, id, generation);
    }
    if (agent->core.listed_count > 0 || !core_is_free(&agent->core, now_ns)) {
        return refuse(agent, id);
    }
    core_forget_region(&agent->core, now_ns);
    agent->region_refused = false;
    return adopt(agent, id, generation);
}
