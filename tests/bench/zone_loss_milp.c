/* SPDX-License-Identifier: Apache-2.0 */
#include "zone_loss_milp.h"

#include "base/check.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLASSES_MAX_HERE 64

/* One VM more is worth less than the smallest difference in CPU: 1 beside this
 * for each vCPU. */
#define CPU_WORTH 1000

/* Runs cbc with its output to /dev/null; its exit code, or -1. */
static int run_cbc(char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    int error;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    error = posix_spawnp(&pid, "cbc", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}

bool milp_available(void)
{
    char *const argv[] = {(char *)(uintptr_t) "cbc",
                          (char *)(uintptr_t) "-quit", NULL};

    return run_cbc(argv) == 0;
}

static void count_classes(const struct state *state, uint32_t *counts)
{
    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);

        if (vm != NULL && vm->state == VM_PENDING) {
            CHECK(vm->class_slot < CLASSES_MAX_HERE);
            counts[vm->class_slot]++;
        }
    }
}

static bool is_used(const struct state *state, uint32_t slot)
{
    const struct host *host = state_host_at(state, slot);

    return host != NULL && host->state == HOST_UP;
}

/* coefficient x variable for one host's row of one resource. */
static void write_row(FILE *file, const struct state *state,
                      const uint32_t *counts, uint32_t host_slot, bool memory)
{
    const struct host *host = state_host_at(state, host_slot);

    fprintf(file, " %s%u:", memory ? "m" : "c", host_slot);
    for (uint32_t class = 0; class < state_class_slots(state); class ++) {
        const struct resources *need = &state_class_at(state, class)->resources;

        if (counts[class] > 0) {
            fprintf(file, " + %u x%u_%u",
                    memory ? need->memory_mib : need->cpu_milli, class,
                    host_slot);
        }
    }
    fprintf(file, " <= %u\n",
            memory ? host->capacity.memory_mib - host->used.memory_mib
                   : host->capacity.cpu_milli - host->used.cpu_milli);
}

static void write_program(FILE *file, const struct state *state,
                          const uint32_t *counts)
{
    uint32_t hosts = state_host_slots(state);
    uint32_t classes = state_class_slots(state);

    fprintf(file, "Maximize\n obj:");
    for (uint32_t class = 0; class < classes; class ++) {
        if (counts[class] > 0) {
            uint32_t cpu = state_class_at(state, class)->resources.cpu_milli;

            fprintf(file, " + %u t%u", cpu / 1000 * CPU_WORTH + 1, class);
        }
    }
    fprintf(file, "\nSubject To\n");
    for (uint32_t class = 0; class < classes; class ++) {
        if (counts[class] == 0) {
            continue;
        }
        fprintf(file, " s%u: t%u", class, class);
        for (uint32_t host = 0; host < hosts; host++) {
            if (is_used(state, host)) {
                fprintf(file, " - x%u_%u", class, host);
            }
        }
        fprintf(file, " = 0\n");
    }
    for (uint32_t host = 0; host < hosts; host++) {
        if (is_used(state, host)) {
            write_row(file, state, counts, host, false);
            write_row(file, state, counts, host, true);
        }
    }
    fprintf(file, "Bounds\n");
    for (uint32_t class = 0; class < classes; class ++) {
        if (counts[class] > 0) {
            fprintf(file, " 0 <= t%u <= %u\n", class, counts[class]);
        }
    }
    fprintf(file, "Generals\n");
    for (uint32_t class = 0; class < classes; class ++) {
        for (uint32_t host = 0; counts[class] > 0 && host < hosts; host++) {
            if (is_used(state, host)) {
                fprintf(file, " x%u_%u\n", class, host);
            }
        }
    }
    fprintf(file, "End\n");
}

/* What the solution says of the totals, tN. */
static bool read_solution(const char *path, const struct state *state,
                          struct milp_result *out)
{
    FILE *file = fopen(path, "re");
    char line[256];
    double cpu = 0;
    double vms = 0;

    if (file == NULL) {
        return false;
    }
    if (fgets(line, sizeof(line), file) == NULL ||
        strncmp(line, "Infeasible", 10) == 0) {
        fclose(file);
        return false;
    }
    out->proven = strncmp(line, "Optimal", 7) == 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned class;
        double value;

        if (sscanf(line, "%*u t%u %lf", &class, &value) == 2 &&
            class < state_class_slots(state)) {
            cpu += value * state_class_at(state, class)->resources.cpu_milli;
            vms += value;
        }
    }
    fclose(file);
    out->cpu_milli = (uint64_t)(cpu + 0.5);
    out->vms = (uint32_t)(vms + 0.5);
    return true;
}

bool milp_solve(const struct state *state, unsigned seconds,
                struct milp_result *out)
{
    uint32_t counts[CLASSES_MAX_HERE] = {0};
    char program[] = "/var/tmp/zone-loss-XXXXXX.lp";
    char solution[sizeof(program) + 4];
    char limit[16];
    FILE *file;
    bool ok = false;
    int fd = mkstemps(program, 3);

    if (fd < 0) {
        perror(program);
        return false;
    }
    snprintf(solution, sizeof(solution), "%s.sol", program);
    snprintf(limit, sizeof(limit), "%u", seconds);
    file = fdopen(fd, "w");
    CHECK(file != NULL);
    count_classes(state, counts);
    write_program(file, state, counts);
    if (fclose(file) == 0) {
        char words[][10] = {"cbc", "sec", "ratio", "0", "solve", "solution"};
        char *const argv[] = {words[0], program,  words[1], limit,    words[2],
                              words[3], words[4], words[5], solution, NULL};

        ok = run_cbc(argv) == 0 && read_solution(solution, state, out);
    }
    unlink(program);
    unlink(solution);
    return ok;
}
