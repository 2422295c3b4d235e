/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of the nodes: who answers, who leads, whether they agree. */
#include "ctl/doctor.h"
#include "ctl/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Entries that a node may lack before it is worth a word: a leader writes some
 * hundreds a second at most, and a node behind catches up in seconds. */
#define LAG_NOTE    1000
#define LAG_WARNING 20000

const struct doctor_node *doctor_best(const struct doctor_facts *facts)
{
    const struct doctor_node *best = NULL;

    for (size_t i = 0; i < facts->node_count; i++) {
        const struct doctor_node *node = &facts->nodes[i];

        if (node->status != NULL &&
            (best == NULL ||
             (best->status->leader[0] == '\0' && node->status->quorum))) {
            best = node;
        }
    }
    return best;
}

size_t doctor_answered(const struct doctor_facts *facts)
{
    size_t count = 0;

    for (size_t i = 0; i < facts->node_count; i++) {
        count += facts->nodes[i].status != NULL;
    }
    return count;
}

size_t doctor_members(const struct doctor_facts *facts)
{
    size_t count = 0;

    for (size_t i = 0; i < facts->node_count; i++) {
        count += facts->nodes[i].name[0] != '\0';
    }
    return count;
}

/* --- quorum ----------------------------------------------------------------
 */

void doctor_quorum(const struct doctor_facts *facts, struct diagnosis *out)
{
    const struct doctor_node *best = doctor_best(facts);
    bool split = false;

    if (best == NULL) {
        diagnosis_add(out, "quorum", SEVERITY(CRITICAL), "",
                      "no node answers from here");
        diagnosis_cure(out,
                       "see that holdfastd runs on the nodes, that --endpoint "
                       "or the context names them, and that this machine "
                       "reaches them");
        return;
    }
    if (!best->status->quorum) {
        diagnosis_add(out, "quorum", SEVERITY(CRITICAL), "",
                      "no node knows a leader: nothing can be changed, and "
                      "nothing is restarted when a host fails");
        diagnosis_cure(out, "start the nodes that do not answer; a majority of "
                            "them must be up and reach each other");
        return;
    }
    for (size_t i = 0; i < facts->node_count; i++) {
        const struct doctor_node *node = &facts->nodes[i];

        if (node->status == NULL ||
            strcmp(node->status->leader, best->status->leader) == 0) {
            continue;
        }
        split = true;
        diagnosis_add(out, "quorum", SEVERITY(WARNING), node->name,
                      "says that %s leads, and %s that %s does",
                      node->status->leader[0] == '\0' ? "nobody"
                                                      : node->status->leader,
                      best->name, best->status->leader);
        diagnosis_cure(out, "ask again in a moment: an election may be under "
                            "way. If it stays, the node does not reach the "
                            "others");
    }
    if (!split) {
        diagnosis_add(out, "quorum", SEVERITY(OK), "",
                      "%s leads in term %" PRIu64, best->status->leader,
                      best->status->term);
    }
}

/* --- nodes -----------------------------------------------------------------
 */

/* As the leader sees it; UNSPECIFIED: nobody says. */
static Holdfast__V1__Role role_of(const struct doctor_facts *facts,
                                  const char *name)
{
    Holdfast__V1__Role role = HOLDFAST__V1__ROLE__ROLE_UNSPECIFIED;

    for (size_t i = 0; i < facts->node_count; i++) {
        const struct doctor_node *from = &facts->nodes[i];
        bool leads = from->status != NULL && from->nodes != NULL &&
                     strcmp(from->status->leader, from->name) == 0;

        for (size_t j = 0; leads && j < from->nodes->n_nodes; j++) {
            if (strcmp(from->nodes->nodes[j]->name, name) == 0) {
                role = from->nodes->nodes[j]->role;
            }
        }
    }
    return role;
}

/* An endpoint that is no member's address, as far as the members know. */
static void add_silent_endpoint(const struct doctor_facts *facts,
                                const struct doctor_node *node,
                                struct diagnosis *out)
{
    diagnosis_add(out, "nodes",
                  doctor_answered(facts) == 0 ? SEVERITY(CRITICAL)
                                              : SEVERITY(NOTE),
                  node->address, "does not answer: %s", node->error);
    diagnosis_cure(out, "mend the address in --endpoint or the context, or see "
                        "why it cannot be reached");
}

static void add_silent(const struct doctor_facts *facts,
                       const struct doctor_node *node, struct diagnosis *out)
{
    size_t answered = doctor_answered(facts);
    bool last = answered * 2 <= doctor_members(facts) + 1;
    Holdfast__V1__Role role = role_of(facts, node->name);
    char subject[80];

    if (node->name[0] == '\0') {
        add_silent_endpoint(facts, node, out);
        return;
    }
    (void)snprintf(subject, sizeof(subject), "node %s", node->name);
    if (role == HOLDFAST__V1__ROLE__ROLE_FOLLOWER ||
        role == HOLDFAST__V1__ROLE__ROLE_LEADER) {
        diagnosis_add(out, "nodes", SEVERITY(NOTE), subject,
                      "does not answer here, but the leader reaches it (%s: "
                      "%s)",
                      node->address, node->error);
        diagnosis_cure(out, "add an --endpoint under which this machine "
                            "reaches it, or open the way");
        return;
    }
    diagnosis_add(out, "nodes", last ? SEVERITY(CRITICAL) : SEVERITY(WARNING),
                  subject, "does not answer (%s: %s)%s", node->address,
                  node->error, last ? "; one more and the region stops" : "");
    diagnosis_cure(out, "see its log, and that its machine is up and reached; "
                        "docs/operations.md, \"Losing nodes\"");
}

/* Not even one zone may hold so many nodes that its loss stops the region. */
static void judge_zones(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t members = doctor_members(facts);

    for (size_t i = 0; i < facts->node_count; i++) {
        const char *zone = facts->nodes[i].zone;
        bool first = zone[0] != '\0';
        size_t here = 0;

        for (size_t j = 0; j < facts->node_count; j++) {
            bool same = strcmp(facts->nodes[j].zone, zone) == 0;

            here += same;
            first = first && (!same || j >= i);
        }
        if (first && members > 2 && here * 2 >= members) {
            diagnosis_add(out, "nodes", SEVERITY(WARNING), "",
                          "%zu of %zu nodes are in zone %s: its loss stops the "
                          "region",
                          here, members, zone);
            diagnosis_cure(out, "keep less than half of the nodes in any one "
                                "zone");
        }
    }
}

/* Connections between the nodes, as each end says. */
static void judge_connections(const struct doctor_facts *facts,
                              struct diagnosis *out)
{
    for (size_t i = 0; i < facts->node_count; i++) {
        const struct doctor_node *from = &facts->nodes[i];

        for (size_t j = 0; from->nodes != NULL && j < from->nodes->n_nodes;
             j++) {
            const Holdfast__V1__Node *to = from->nodes->nodes[j];
            bool answered = false;

            for (size_t k = 0; k < facts->node_count; k++) {
                answered =
                    answered || (facts->nodes[k].status != NULL &&
                                 strcmp(facts->nodes[k].name, to->name) == 0);
            }
            if (answered && to->role == HOLDFAST__V1__ROLE__ROLE_UNREACHABLE) {
                diagnosis_add(out, "nodes", SEVERITY(WARNING), from->name,
                              "does not reach %s at %s, which answers here",
                              to->name, to->address);
                diagnosis_cure(out, "open the way between these two, both "
                                    "directions; see `peer.` in their logs");
            }
        }
    }
}

/* Whether all that answered are of one region. */
static void judge_region(const struct doctor_facts *facts,
                         struct diagnosis *out)
{
    const struct doctor_node *best = doctor_best(facts);

    for (size_t i = 0; best != NULL && i < facts->node_count; i++) {
        const Holdfast__V1__GetStatusResponse *status = facts->nodes[i].status;

        if (status != NULL && status->region_id[0] != '\0' &&
            best->status->region_id[0] != '\0' &&
            strcmp(status->region_id, best->status->region_id) != 0) {
            diagnosis_add(out, "nodes", SEVERITY(CRITICAL),
                          facts->nodes[i].name,
                          "is of another region (%s, id %s) than %s (%s, id "
                          "%s)",
                          status->region, status->region_id, best->name,
                          best->status->region, best->status->region_id);
            diagnosis_cure(out, "two regions were begun, or an endpoint is "
                                "wrong: do not start VMs by hand; "
                                "docs/operations.md, \"A region that is begun "
                                "again\"");
        }
    }
}

void doctor_nodes(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    size_t members = doctor_members(facts);

    for (size_t i = 0; i < facts->node_count; i++) {
        if (facts->nodes[i].status == NULL) {
            add_silent(facts, &facts->nodes[i], out);
        }
    }
    judge_region(facts, out);
    judge_connections(facts, out);
    judge_zones(facts, out);
    if (members > 0 && members < 3) {
        diagnosis_add(out, "nodes", SEVERITY(WARNING), "",
                      "a region of %zu node%s stops when one is lost", members,
                      plural(members));
        diagnosis_cure(out, "run three nodes, one in each of three zones");
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "nodes", SEVERITY(OK), "",
                      "all %zu nodes answer, and reach each other", members);
    }
}

/* --- sync ------------------------------------------------------------------
 */

/* Equal entries must give equal states (rule 5). */
static void judge_hashes(const struct doctor_facts *facts,
                         struct diagnosis *out)
{
    for (size_t i = 0; i < facts->node_count; i++) {
        const Holdfast__V1__GetStatusResponse *a = facts->nodes[i].status;

        for (size_t j = i + 1; a != NULL && j < facts->node_count; j++) {
            const Holdfast__V1__GetStatusResponse *b = facts->nodes[j].status;

            if (b != NULL && a->applied_index == b->applied_index &&
                strcmp(a->region_id, b->region_id) == 0 &&
                a->state_hash != b->state_hash) {
                diagnosis_add(out, "sync", SEVERITY(CRITICAL), "",
                              "%s and %s applied the same %" PRIu64
                              " entries and have different states",
                              facts->nodes[i].name, facts->nodes[j].name,
                              a->applied_index);
                diagnosis_cure(out,
                               "make a support bundle of both, then replace "
                               "the disk of the one that does not lead");
            }
        }
    }
}

static uint64_t judge_lags(const struct doctor_facts *facts,
                           struct diagnosis *out)
{
    uint64_t most = 0;

    for (size_t i = 0; i < facts->node_count; i++) {
        const Holdfast__V1__ListNodesResponse *nodes = facts->nodes[i].nodes;

        for (size_t j = 0; nodes != NULL && j < nodes->n_nodes; j++) {
            const Holdfast__V1__Node *node = nodes->nodes[j];

            if (node->role == HOLDFAST__V1__ROLE__ROLE_UNREACHABLE) {
                continue; /* It is told of as such. */
            }
            most = node->lag_entries > most ? node->lag_entries : most;
            if (node->lag_entries >= LAG_NOTE) {
                diagnosis_add(
                    out, "sync",
                    node->lag_entries >= LAG_WARNING ? SEVERITY(WARNING)
                                                     : SEVERITY(NOTE),
                    node->name, "is %" PRIu64 " entries behind the leader",
                    node->lag_entries);
                diagnosis_cure(out, "ask again: it should fall. If it does "
                                    "not, see its disk, its network and its "
                                    "log");
            }
        }
    }
    return most;
}

void doctor_sync(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    const struct doctor_node *best = doctor_best(facts);
    uint64_t most;

    if (best == NULL) {
        return;
    }
    judge_hashes(facts, out);
    most = judge_lags(facts, out);
    if (out->message.n_findings == before) {
        diagnosis_add(out, "sync", SEVERITY(OK), "",
                      "states agree at revision %" PRIu64 ", no node is more "
                      "than %" PRIu64 " entries behind",
                      best->status->revision, most);
    }
}

/* --- versions --------------------------------------------------------------
 */

static size_t odd_agents(const struct doctor_facts *facts, const char *version,
                         const Holdfast__V1__Host **one)
{
    size_t count = 0;

    for (size_t i = 0; facts->hosts != NULL && i < facts->hosts->n_hosts; i++) {
        const Holdfast__V1__Host *host = facts->hosts->hosts[i];

        if (host->agent_version[0] != '\0' &&
            strcmp(host->agent_version, version) != 0) {
            *one = host;
            count++;
        }
    }
    return count;
}

static void judge_node_versions(const struct doctor_facts *facts,
                                const struct doctor_node *best,
                                struct diagnosis *out)
{
    for (size_t i = 0; i < facts->node_count; i++) {
        const struct doctor_node *node = &facts->nodes[i];

        if (node->status == NULL) {
            continue;
        }
        if (strcmp(node->status->version, best->status->version) != 0) {
            diagnosis_add(out, "versions", SEVERITY(NOTE), node->name,
                          "is of version %s, %s of %s", node->status->version,
                          best->name, best->status->version);
            diagnosis_cure(out, "finish the upgrade; docs/operations.md, "
                                "\"Upgrade\"");
        }
    }
}

void doctor_versions(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    const struct doctor_node *best = doctor_best(facts);
    const Holdfast__V1__Host *one = NULL;
    size_t odd;

    if (best == NULL) {
        return;
    }
    judge_node_versions(facts, best, out);
    odd = odd_agents(facts, best->status->version, &one);
    if (odd > 0) {
        diagnosis_add(out, "versions", SEVERITY(NOTE), "",
                      "%zu agent%s of another version than %s (%s), such as "
                      "%s of host %s",
                      odd, odd == 1 ? " is" : "s are", best->name,
                      best->status->version, one->agent_version, one->name);
        diagnosis_cure(out, "upgrade agents after the nodes; VMs run on "
                            "meanwhile");
    }
    if (strcmp(facts->version, best->status->version) != 0) {
        diagnosis_add(out, "versions", SEVERITY(NOTE), "",
                      "this command line is of version %s, %s of %s",
                      facts->version, best->name, best->status->version);
        diagnosis_cure(out, "use the one of the nodes' version");
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "versions", SEVERITY(OK), "",
                      "all are of version %s, state format %" PRIu32,
                      best->status->version, best->status->state_format);
    }
}
