/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of what is measured: clocks, ways, disks; and when certificates end.
 */
#include "ctl/doctor.h"
#include "ctl/format.h"
#include "ctl/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Wall clocks are for display and for the ends of certificates, so only what
 * confuses people or TLS is worth a word. */
#define WALL_NOTE_MS    1000
#define WALL_WARNING_MS 60000

/* A turn waits for one round trip to the nearer half of the nodes: from 10 ms
 * on people notice. The election timeout is 300 ms by default; a third of it is
 * where a lost packet begins to cost elections. */
#define WAY_NOTE_US    10000
#define WAY_WARNING_US 100000

/* A turn waits for one write; 200 ms on average is where a leader hands over.
 */
#define DISK_NOTE_US     20000
#define DISK_WARNING_US  200000
#define DISK_MAX_NOTE_US 500000

#define DAY_S          UINT64_C(86400)
#define END_WARNING_S  (30 * DAY_S)
#define END_CRITICAL_S (7 * DAY_S)

static const char *milliseconds(uint64_t us, char text[FORMAT_MAX])
{
    (void)snprintf(text, FORMAT_MAX, "%" PRIu64 ".%" PRIu64 " ms", us / 1000,
                   us % 1000 / 100);
    return text;
}

/* --- clocks ----------------------------------------------------------------
 */

static uint64_t took_us(const struct doctor_sample *sample)
{
    return sample->received_us - sample->sent_us;
}

/* The quickest answer tells the time best. */
static const struct doctor_sample *quickest(const struct doctor_node *node)
{
    const struct doctor_sample *best = NULL;

    for (size_t i = 0; i < node->sample_count; i++) {
        if (best == NULL || took_us(&node->samples[i]) < took_us(best)) {
            best = &node->samples[i];
        }
    }
    return best;
}

/* How far it is ahead of ours beyond what the way may account for. A node of an
 * older version says nothing of its clock. */
static int64_t wall_ahead_ms(const struct doctor_node *node)
{
    const struct doctor_sample *sample = quickest(node);
    int64_t ahead;
    int64_t doubt;

    if (sample == NULL || sample->its_wall_ms == 0) {
        return 0;
    }
    ahead = (int64_t)(sample->its_wall_ms - sample->wall_ms);
    doubt = (int64_t)(took_us(sample) / 2000) + 1;
    return ahead > doubt ? ahead - doubt : ahead < -doubt ? ahead + doubt : 0;
}

static void judge_wall(const struct doctor_node *node, struct diagnosis *out)
{
    int64_t ahead = wall_ahead_ms(node);
    uint64_t off = (uint64_t)(ahead < 0 ? -ahead : ahead);

    if (off < WALL_NOTE_MS) {
        return;
    }
    diagnosis_add(out, "clocks",
                  off >= WALL_WARNING_MS ? SEVERITY(WARNING) : SEVERITY(NOTE),
                  node->name, "its wall clock is %s %s this machine's",
                  format_seconds(off).text, ahead > 0 ? "ahead of" : "behind");
    diagnosis_cure(out, "let both follow a time server. Nothing is decided by "
                        "wall clocks, but times that are shown and the ends of "
                        "certificates go by them");
}

/* By how many thousandths its clock runs faster or slower than ours, at least:
 * what both answers may have waited is taken off. */
static uint64_t rate_error_permille(const struct doctor_node *node)
{
    const struct doctor_sample *first = &node->samples[0];
    const struct doctor_sample *last = &node->samples[node->sample_count - 1];
    int64_t ours_us;
    int64_t its_us;
    int64_t off_us;

    if (node->sample_count < 2 || last->its_uptime_ms < first->its_uptime_ms) {
        return 0; /* Or it was started again meanwhile. */
    }
    ours_us = (int64_t)(last->sent_us / 2 + last->received_us / 2 -
                        first->sent_us / 2 - first->received_us / 2);
    its_us = (int64_t)(last->its_uptime_ms - first->its_uptime_ms) * 1000;
    off_us = llabs(its_us - ours_us) -
             (int64_t)(took_us(first) + took_us(last)) / 2 - 2000;
    return off_us <= 0 || ours_us <= 0 ? 0
                                       : (uint64_t)(off_us * 1000 / ours_us);
}

static uint64_t clock_error_permille(const struct doctor_facts *facts)
{
    return facts->settings == NULL || facts->settings->settings == NULL
               ? 10 /* The default. */
               : facts->settings->settings->clock_error_permille;
}

void doctor_clocks(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    uint64_t allowed = clock_error_permille(facts);

    for (size_t i = 0; i < facts->node_count; i++) {
        const struct doctor_node *node = &facts->nodes[i];
        uint64_t error =
            node->sample_count == 0 ? 0 : rate_error_permille(node);

        judge_wall(node, out);
        if (error > allowed) {
            diagnosis_add(out, "clocks", SEVERITY(CRITICAL), node->name,
                          "its clock and this machine's differ in rate by at "
                          "least %" PRIu64 " permille; leases allow %" PRIu64
                          " (clock_error_permille)",
                          error, allowed);
            diagnosis_cure(out, "find out which of the two is wrong (a virtual "
                                "machine that is paused often?); raise "
                                "clock_error_permille until it is mended");
        }
    }
    if (out->message.n_findings == before && doctor_answered(facts) > 0) {
        diagnosis_add(out, "clocks", SEVERITY(OK), "",
                      "the nodes' wall clocks are within %d ms of this "
                      "machine's, their rates within %" PRIu64 " permille",
                      WALL_NOTE_MS, allowed);
    }
}

/* --- round-trips -----------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* Of the questions from here. */
struct ways {
    uint64_t min_us;
    uint64_t median_us;
    uint64_t max_us;
};

static struct ways ways_from_here(const struct doctor_node *node)
{
    uint64_t sorted[DOCTOR_SAMPLES];

    for (size_t i = 0; i < node->sample_count; i++) {
        sorted[i] = took_us(&node->samples[i]);
    }
    qsort(sorted, node->sample_count, sizeof(sorted[0]), compare);
    return (struct ways){sorted[0], sorted[node->sample_count / 2],
                         sorted[node->sample_count - 1]};
}

static uint64_t judge_ways(const struct doctor_node *from,
                           struct diagnosis *out)
{
    uint64_t worst = 0;

    for (size_t i = 0; from->nodes != NULL && i < from->nodes->n_nodes; i++) {
        const Holdfast__V1__RoundTrip *way = from->nodes->nodes[i]->round_trip;
        char texts[3][FORMAT_MAX];

        if (way == NULL) {
            continue;
        }
        worst = way->median_us > worst ? way->median_us : worst;
        if (way->median_us < WAY_NOTE_US && way->max_us < WAY_WARNING_US) {
            continue;
        }
        diagnosis_add(out, "round-trips",
                      way->median_us >= WAY_WARNING_US ? SEVERITY(WARNING)
                                                       : SEVERITY(NOTE),
                      from->name,
                      "to %s and back: %s at least, %s usually, %s at most "
                      "(%" PRIu32 " measured)",
                      from->nodes->nodes[i]->name,
                      milliseconds(way->min_us, texts[0]),
                      milliseconds(way->median_us, texts[1]),
                      milliseconds(way->max_us, texts[2]), way->count);
        diagnosis_cure(out, "every change waits for it; if it cannot be "
                            "mended, see that election_timeout_ms of the "
                            "nodes' configuration is at least three times as "
                            "long");
    }
    return worst;
}

void doctor_round_trips(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    struct ways here = {0};
    uint64_t worst = 0;
    char texts[4][FORMAT_MAX];

    if (doctor_answered(facts) == 0) {
        return;
    }
    for (size_t i = 0; i < facts->node_count; i++) {
        const struct doctor_node *node = &facts->nodes[i];
        uint64_t way = judge_ways(node, out);

        worst = way > worst ? way : worst;
        if (node->sample_count > 0) {
            struct ways ways = ways_from_here(node);

            here = ways.median_us > here.median_us ? ways : here;
        }
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "round-trips", SEVERITY(OK), "",
                      "between nodes usually %s at most; from here to the "
                      "farthest %s at least, %s usually, %s at most",
                      milliseconds(worst, texts[0]),
                      milliseconds(here.min_us, texts[1]),
                      milliseconds(here.median_us, texts[2]),
                      milliseconds(here.max_us, texts[3]));
    }
}

/* --- disks -----------------------------------------------------------------
 */

static Holdfast__V1__Severity disk_severity(
    const Holdfast__V1__DiskWrites *disk)
{
    return disk->mean_us >= DISK_WARNING_US   ? SEVERITY(WARNING)
           : disk->mean_us >= DISK_NOTE_US    ? SEVERITY(NOTE)
           : disk->max_us >= DISK_MAX_NOTE_US ? SEVERITY(NOTE)
                                              : SEVERITY(OK);
}

void doctor_disks(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    uint32_t mean_us = 0;
    uint32_t max_us = 0;
    char texts[2][FORMAT_MAX];

    if (doctor_answered(facts) == 0) {
        return;
    }
    for (size_t i = 0; i < facts->node_count; i++) {
        const struct doctor_node *node = &facts->nodes[i];
        const Holdfast__V1__DiskWrites *disk =
            node->status == NULL ? NULL : node->status->disk;

        if (disk == NULL) {
            continue;
        }
        mean_us = disk->mean_us > mean_us ? disk->mean_us : mean_us;
        max_us = disk->max_us > max_us ? disk->max_us : max_us;
        if (disk_severity(disk) == SEVERITY(OK)) {
            continue;
        }
        diagnosis_add(out, "disks", disk_severity(disk), node->name,
                      "a log write takes %s on average, %s at most, of %" PRIu32
                      " in the last minutes",
                      milliseconds(disk->mean_us, texts[0]),
                      milliseconds(disk->max_us, texts[1]), disk->count);
        diagnosis_cure(out, "give the node's data_dir a disk of its own, an "
                            "SSD with power-loss protection");
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "disks", SEVERITY(OK), "",
                      "a log write takes %s on average on the slowest node, "
                      "and took %s at most in the last minutes",
                      milliseconds(mean_us, texts[0]),
                      milliseconds(max_us, texts[1]));
    }
}

/* --- certificates ----------------------------------------------------------
 */

static void judge_end(const struct doctor_facts *facts, const char *whose,
                      uint64_t end_s, struct diagnosis *out)
{
    uint64_t now_s = facts->now_ms / 1000;
    uint64_t left_s = end_s > now_s ? end_s - now_s : 0;
    Holdfast__V1__Severity severity =
        left_s < END_CRITICAL_S ? SEVERITY(CRITICAL) : SEVERITY(WARNING);

    if (end_s == 0 || left_s >= END_WARNING_S) {
        return;
    }
    if (left_s == 0) {
        diagnosis_add(out, "certificates", severity, whose,
                      "the certificate has ended at %s",
                      format_time(end_s * 1000).text);
    } else {
        diagnosis_add(out, "certificates", severity, whose,
                      "the certificate ends in %" PRIu64 " day%s, at %s",
                      left_s / DAY_S, plural(left_s / DAY_S),
                      format_time(end_s * 1000).text);
    }
    diagnosis_cure(out, "`holdfast cert issue` makes another; put it in place "
                        "of the former, it is taken within 5 seconds without "
                        "a restart");
}

/* Of the agent whose certificate ends first; there may be thousands. */
static uint64_t judge_agents(const struct doctor_facts *facts,
                             struct diagnosis *out)
{
    const Holdfast__V1__Host *first = NULL;
    char whose[128];
    size_t soon = 0;

    for (size_t i = 0; facts->hosts != NULL && i < facts->hosts->n_hosts; i++) {
        const Holdfast__V1__Host *host = facts->hosts->hosts[i];
        uint64_t end_ms =
            host->lease == NULL ? 0 : host->lease->certificate_end_time_ms;

        soon += end_ms != 0 &&
                end_ms < facts->now_ms + 1000 * (uint64_t)END_WARNING_S;
        if (end_ms != 0 &&
            (first == NULL || end_ms < first->lease->certificate_end_time_ms)) {
            first = host;
        }
    }
    if (first == NULL) {
        return 0;
    }
    if (soon > 1) {
        (void)snprintf(whose, sizeof(whose), "agent of %.63s and %zu more",
                       first->name, soon - 1);
    } else {
        (void)snprintf(whose, sizeof(whose), "agent of %.63s", first->name);
    }
    judge_end(facts, whose, first->lease->certificate_end_time_ms / 1000, out);
    return first->lease->certificate_end_time_ms / 1000;
}

void doctor_certificates(const struct doctor_facts *facts,
                         struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    uint64_t first_s = facts->certificate_end_s;
    uint64_t agents_s;

    if (!facts->tls) {
        if (doctor_answered(facts) > 0) {
            diagnosis_add(out, "certificates", SEVERITY(OK), "",
                          "without TLS: nodes listen on loopback only");
        }
        return;
    }
    judge_end(facts, "this client", facts->certificate_end_s, out);
    for (size_t i = 0; i < facts->node_count; i++) {
        uint64_t end_s = facts->nodes[i].certificate_end_s;

        judge_end(facts, facts->nodes[i].name, end_s, out);
        if (end_s != 0 && (first_s == 0 || end_s < first_s)) {
            first_s = end_s;
        }
    }
    agents_s = judge_agents(facts, out);
    if (agents_s != 0 && (first_s == 0 || agents_s < first_s)) {
        first_s = agents_s;
    }
    if (out->message.n_findings == before && first_s != 0) {
        diagnosis_add(out, "certificates", SEVERITY(OK), "",
                      "yours, the nodes' and the agents': the first ends at %s",
                      format_time(first_s * 1000).text);
    }
}
