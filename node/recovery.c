/* SPDX-License-Identifier: Apache-2.0 */
#include "node/recovery.h"

#include "base/check.h"
#include "node/roster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_REFUSED 1

bool recovery_read_dead(struct recovery_claim *claim, char *text)
{
    char *rest = text;
    char *name;

    while ((name = strsep(&rest, ", \n")) != NULL) {
        if (name[0] == '\0') {
            continue;
        }
        if (claim->dead_count == RAFT_MEMBERS_MAX) {
            return false;
        }
        claim->dead[claim->dead_count++] = name;
    }
    return true;
}

bool recovery_read_survivor(struct recovery_claim *claim, char *text)
{
    char *position = strchr(text, '=');
    struct recovery_survivor *survivor =
        &claim->survivors[claim->survivor_count];
    char *end;

    if (position == NULL || position == text ||
        claim->survivor_count == RAFT_MEMBERS_MAX) {
        return false;
    }
    *position++ = '\0';
    survivor->name = text;
    survivor->last_term = strtoull(position, &end, 10);
    if (end == position || *end != '/') {
        return false;
    }
    position = end + 1;
    survivor->last_index = strtoull(position, &end, 10);
    if (end == position || *end != '\0') {
        return false;
    }
    claim->survivor_count++;
    return true;
}

static bool is_dead(const struct recovery_claim *claim, const char *name)
{
    for (size_t i = 0; i < claim->dead_count; i++) {
        if (strcmp(claim->dead[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static const struct recovery_survivor *survivor_named(
    const struct recovery_claim *claim, const char *name)
{
    for (size_t i = 0; i < claim->survivor_count; i++) {
        if (strcmp(claim->survivors[i].name, name) == 0) {
            return &claim->survivors[i];
        }
    }
    return NULL;
}

static bool is_ahead(const struct recovery_survivor *survivor,
                     const struct recover_position *position)
{
    return survivor->last_term != position->last_term
               ? survivor->last_term > position->last_term
               : survivor->last_index > position->last_index;
}

/* Every other member: dead, or a survivor that has no more than we do. */
static bool check_others(const struct recover_position *position, uint64_t self,
                         const struct recovery_claim *claim, char *why,
                         size_t size)
{
    for (size_t i = 0; i < position->members.count; i++) {
        const struct member *member = &position->members.items[i];
        const struct recovery_survivor *survivor =
            survivor_named(claim, member->name);

        if (member->id == self || is_dead(claim, member->name)) {
            continue;
        }
        if (survivor == NULL) {
            snprintf(why, size,
                     "nothing is said of %s: name it with --dead, or, if its "
                     "data is there, give its position with --survivor "
                     "%s=TERM/INDEX as its own `holdfastd --inspect` prints it",
                     member->name, member->name);
            return false;
        }
        if (is_ahead(survivor, position)) {
            snprintf(why, size,
                     "%s is ahead: its last entry is %" PRIu64 " of term "
                     "%" PRIu64 ", this one's %" PRIu64 " of term %" PRIu64
                     ". Recover there: what is missing here would be lost",
                     member->name, survivor->last_index, survivor->last_term,
                     position->last_index, position->last_term);
            return false;
        }
    }
    return true;
}

static bool check_names(const struct recover_position *position, uint64_t self,
                        const struct recovery_claim *claim, char *why,
                        size_t size)
{
    for (size_t i = 0; i < claim->dead_count; i++) {
        bool found = false;

        for (size_t j = 0; j < position->members.count; j++) {
            found |=
                position->members.items[j].id != self &&
                strcmp(position->members.items[j].name, claim->dead[i]) == 0;
        }
        if (!found || survivor_named(claim, claim->dead[i]) != NULL) {
            snprintf(why, size,
                     "'%s' is no other member, or is named as a survivor, too",
                     claim->dead[i]);
            return false;
        }
    }
    return true;
}

bool recovery_is_right(const struct recover_position *position, uint64_t self,
                       const struct recovery_claim *claim, char *why,
                       size_t size)
{
    const struct members *members = &position->members;
    const struct member *own = members_get(members, self);
    size_t living = 0;

    if (own == NULL || own->role != REPLICA_VOTER) {
        snprintf(why, size,
                 "this node is no voter of the region: it may lack what was "
                 "acknowledged. Recover on a voter");
        return false;
    }
    if (!check_names(position, self, claim, why, size) ||
        !check_others(position, self, claim, why, size)) {
        return false;
    }
    for (size_t i = 0; i < members->count; i++) {
        living += members->items[i].role == REPLICA_VOTER &&
                          !is_dead(claim, members->items[i].name)
                      ? 1
                      : 0;
    }
    if (living * 2 > members_voters(members)) {
        snprintf(why, size,
                 "%zu of %zu voters survive, which is a majority: nothing is "
                 "lost. Start them; then `holdfast node replace` the dead",
                 living, members_voters(members));
        return false;
    }
    return true;
}

/* --- The program's part -------------------------------------------------- */

static const Holdfast__V1__NodeMember *self_of(
    const Holdfast__V1__NodeConfig *config)
{
    size_t i = 0;

    while (i < config->n_nodes &&
           strcmp(config->nodes[i]->name, config->name) != 0) {
        i++;
    }
    CHECK(i < config->n_nodes); /* config_read() sees to it. */
    return config->nodes[i];
}

static struct recover_options options_of(const Holdfast__V1__NodeConfig *config)
{
    return (struct recover_options){
        .files = files_posix(),
        .region = config->region,
        .directory = config->data_dir,
        .id = self_of(config)->id,
        .segment_bytes = (uint64_t)config->segment_mib << 20,
    };
}

static void print_position(const Holdfast__V1__NodeConfig *config,
                           const struct recover_position *position)
{
    const struct members *members = &position->members;

    printf("region       %s, generation %" PRIu32 "\n"
           "node         %s, id %" PRIu64 "\n"
           "last entry   %" PRIu64 " of term %" PRIu64 "\n"
           "position     %s=%" PRIu64 "/%" PRIu64 "\n"
           "term         %" PRIu64 "\n"
           "snapshot     %" PRIu64 "\n"
           "highest id   %" PRIu64 "\n"
           "members      as of entry %" PRIu64 "\n",
           config->region, members->generation, config->name,
           self_of(config)->id, position->last_index, position->last_term,
           config->name, position->last_term, position->last_index,
           position->term, position->snapshot_index, members->id_max,
           position->members_index);
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];

        printf("  %s, id %" PRIu64 ", %s, zone %s, %s\n", member->name,
               member->id, member->role == REPLICA_VOTER ? "voter" : "standby",
               member->zone[0] == '\0' ? "-" : member->zone, member->address);
    }
}

static int inspect(const Holdfast__V1__NodeConfig *config,
                   struct recover_position *position)
{
    const struct recover_options options = options_of(config);
    struct failure failure = {.code = REPLICA_FAILED_STORAGE};

    if (recover_inspect(&options, position, &failure) != 0) {
        fprintf(stderr, "holdfastd: %s\n", failure.reason);
        return (int)failure.code;
    }
    roster_complete(&position->members, config);
    print_position(config, position);
    return 0;
}

int recovery_inspect(const Holdfast__V1__NodeConfig *config)
{
    struct recover_position position;

    return inspect(config, &position);
}

static const char warning[] =
    "\n"
    "This makes this node the only member of the region's next generation. "
    "All\n"
    "that is in its log counts then, and what others alone had is lost, also\n"
    "what was acknowledged: changes of the last moments before the quorum was\n"
    "lost, if this node was not among those that had them.\n"
    "The dead must be dead for good: powered off, or their data deleted. If "
    "they\n"
    "ran on by themselves, two regions would command the same hosts. When "
    "they\n"
    "come back and reach this node, they are refused and end.\n";

/* False: nothing was typed. */
static bool ask(struct recovery_claim *claim, char *line, size_t size)
{
    if (isatty(STDIN_FILENO) == 0) {
        fputs("holdfastd: who is dead? Name them: --dead n2,n3\n", stderr);
        return false;
    }
    fputs("\nNames of the dead nodes (n2,n3), or nothing to go away: ", stdout);
    fflush(stdout);
    return fgets(line, (int)size, stdin) != NULL &&
           recovery_read_dead(claim, line) && claim->dead_count > 0;
}

static void print_next(const Holdfast__V1__NodeConfig *config,
                       const struct members *members)
{
    printf("\nDone: region %s is of generation %" PRIu32
           " now, and %s its only "
           "member.\n"
           "  1. start this node; it leads at once, and waits as every new "
           "leader does\n"
           "     until hosts that it does not hear of have stopped their VMs\n"
           "  2. on every other node, also on survivors: delete the data "
           "directory\n"
           "  3. take two in as new nodes, the next free id is %" PRIu64 ":\n"
           "     holdfast node add NAME --id %" PRIu64 " --address ADDRESS, "
           "start it with\n"
           "     `join: true` and --bootstrap, holdfast node promote NAME\n",
           config->region, members->generation + 1, config->name,
           members->id_max + 1, members->id_max + 1);
}

int recovery_run(const Holdfast__V1__NodeConfig *config,
                 struct recovery_claim *claim)
{
    const struct recover_options options = options_of(config);
    struct recover_position position;
    struct failure failure = {.code = REPLICA_FAILED_STORAGE};
    char line[4096];
    char why[512];
    int rv = inspect(config, &position);

    if (rv != 0) {
        return rv;
    }
    fputs(warning, stdout);
    fflush(stdout);
    if (claim->dead_count == 0 && !ask(claim, line, sizeof(line))) {
        fputs("holdfastd: nothing was done\n", stderr);
        return EXIT_REFUSED;
    }
    if (!recovery_is_right(&position, options.id, claim, why, sizeof(why))) {
        fprintf(stderr, "holdfastd: %s. Nothing was done\n", why);
        return EXIT_REFUSED;
    }
    if (recover_write(&options, &position.members, &failure) != 0) {
        fprintf(stderr, "holdfastd: %s\n", failure.reason);
        return (int)failure.code;
    }
    print_next(config, &position.members);
    return 0;
}
