/* SPDX-License-Identifier: Apache-2.0
 *
 * `holdfast init`: a region of three zones that runs on this machine, to begin
 * with and to take apart. Nothing that is there is ever written over. */
#include "base/bytes.h"
#include "base/container.h"
#include "ctl/invocation.h"
#include "ctl/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_DEFAULT "holdfast-sample"
/* An agent's run_dir has at most 60 bytes; "/run/z1-h1" goes behind ours. */
#define FOLDER_MAX 50
#define ZONES      3
#define HOSTS      2 /* In each zone. */

struct sample {
    const char *folder;  /* As it was given. */
    char path[PATH_MAX]; /* From the root. */
};

static const char nodes[] =
    "- {name: n1, id: 1, zone: z1, address: \"127.0.0.1:7400\"}\n"
    "- {name: n2, id: 2, zone: z2, address: \"127.0.0.1:7410\"}\n"
    "- {name: n3, id: 3, zone: z3, address: \"127.0.0.1:7420\"}\n";

static const char fleet[] =
    "# What shall run: `holdfast simulate -f fleet.yaml` loses each zone of "
    "it\n"
    "# in virtual time. `holdfast export` writes files like this.\n"
    "zones:\n"
    "- name: z1\n"
    "- name: z2\n"
    "- name: z3\n"
    "\n"
    "# Sizes of VMs.\n"
    "classes:\n"
    "- name: small\n"
    "  resources: {cpu_milli: 500, memory_mib: 256}\n"
    "- name: big\n"
    "  resources: {cpu_milli: 2000, memory_mib: 1024}\n"
    "\n"
    "# Hosts register themselves; here they say what is simulated.\n"
    "hosts:\n";

static const char fleet_vms[] =
    "\n"
    "# Six VMs from one template, two in each zone. Any two zones hold them.\n"
    "groups:\n"
    "- name: web\n"
    "  count: 6\n"
    "  template:\n"
    "    class_name: small\n"
    "    priority: 500\n"
    "    template:\n"
    "      driver: exec\n"
    "      command: [sleep, infinity]\n"
    "\n"
    "vms:\n"
    "# Placed first, and moved when its zone is lost.\n"
    "- name: db\n"
    "  class_name: big\n"
    "  priority: 900\n"
    "  template: {driver: exec, command: [sleep, infinity]}\n"
    "# Gives way when there is no room for the others.\n"
    "- name: batch\n"
    "  class_name: big\n"
    "  preemptible: true\n"
    "  template: {driver: exec, command: [sleep, infinity]}\n";

/* Refuses what is there: O_EXCL, so that nothing comes in between. */
static bool write_file(const struct sample *sample, const char *name,
                       const struct bytes *text)
{
    char path[PATH_MAX + 64];
    FILE *file;
    bool written;

    (void)snprintf(path, sizeof(path), "%s/%s", sample->path, name);
    file = fopen(path, "wxe");
    if (file == NULL) {
        return false;
    }
    written = fwrite(text->data, 1, text->len, file) == text->len;
    return fclose(file) == 0 && written;
}

static bool write_node(const struct sample *sample, unsigned number)
{
    struct bytes text;
    char name[32];
    bool written;

    bytes_init(&text);
    bytes_append_format(
        &text,
        "# The node of zone z%u: holdfastd --config n%u.yaml\n"
        "region: sample\n"
        "name: n%u\n"
        "data_dir: \"%s/data/n%u\"\n"
        "# The same on all nodes.\n"
        "nodes:\n%s"
        "# Loopback needs no certificates. On machines of their own "
        "nodes do: see\n# `tls` in operations.md, `holdfast ca init` "
        "and `holdfast cert issue`.\n",
        number, number, number, sample->path, number, nodes);
    (void)snprintf(name, sizeof(name), "n%u.yaml", number);
    written = write_file(sample, name, &text);
    bytes_close(&text);
    return written;
}

static bool write_agent(const struct sample *sample, unsigned zone,
                        unsigned host)
{
    static const char *const near[] = {
        "\"127.0.0.1:7400\", \"127.0.0.1:7410\", \"127.0.0.1:7420\"",
        "\"127.0.0.1:7410\", \"127.0.0.1:7420\", \"127.0.0.1:7400\"",
        "\"127.0.0.1:7420\", \"127.0.0.1:7400\", \"127.0.0.1:7410\""};
    struct bytes text;
    char name[32];
    bool written;

    bytes_init(&text);
    bytes_append_format(
        &text,
        "# Host z%u-h%u: holdfast-agent z%u-h%u.yaml\n"
        "host: z%u-h%u\n"
        "zone: z%u\n"
        "fault_domain: rack-%u\n"
        "# That of the own zone first.\n"
        "nodes: [%s]\n"
        "# On a real host a tmpfs, such as /run/holdfast-agent.\n"
        "run_dir: \"%s/run/z%u-h%u\"\n"
        "state_dir: \"%s/state/z%u-h%u\"\n"
        "# Without it, what the machine has, less a reserve.\n"
        "capacity: {cpu_milli: 4000, memory_mib: 2048}\n"
        "# Commands as VMs, so that this runs anywhere. Real hosts "
        "have qemu.\n"
        "drivers: [exec]\n",
        zone, host, zone, host, zone, host, zone, host, near[zone - 1],
        sample->path, zone, host, sample->path, zone, host);
    (void)snprintf(name, sizeof(name), "z%u-h%u.yaml", zone, host);
    written = write_file(sample, name, &text);
    bytes_close(&text);
    return written;
}

static bool write_fleet(const struct sample *sample)
{
    struct bytes text;
    bool written;

    bytes_init(&text);
    bytes_append(&text, fleet, strlen(fleet));
    for (unsigned i = 0; i < ZONES * HOSTS; i++) {
        bytes_append_format(
            &text,
            "- name: z%u-h%u\n  zone: z%u\n  fault_domain: rack-%u\n"
            "  capacity: {cpu_milli: 4000, memory_mib: 2048}\n"
            "  drivers: [exec]\n",
            i / HOSTS + 1, i % HOSTS + 1, i / HOSTS + 1, i % HOSTS + 1);
    }
    bytes_append(&text, fleet_vms, strlen(fleet_vms));
    written = write_file(sample, "fleet.yaml", &text);
    bytes_close(&text);
    return written;
}

static const char steps_start[] =
    "# A region of three zones on one machine\n"
    "\n"
    "Each step is a command for a shell in this folder.\n"
    "\n"
    "1. Lose each zone, in virtual time, before anything runs:\n"
    "\n"
    "       holdfast simulate -f fleet.yaml\n"
    "\n"
    "2. Start a node for each zone. --bootstrap is for the first start alone:\n"
    "\n"
    "       for n in n1 n2 n3; do\n"
    "           holdfastd --config $n.yaml --bootstrap 2>$n.log &\n"
    "       done\n"
    "       holdfast cluster status\n"
    "\n"
    "3. Start the hosts, two in each zone:\n"
    "\n"
    "       holdfast zone create z1 z2 z3\n"
    "       for h in z1-h1 z1-h2 z2-h1 z2-h2 z3-h1 z3-h2; do\n"
    "           holdfast-agent $h.yaml 2>$h.log &\n"
    "       done\n"
    "       holdfast host list\n"
    "\n";

static const char steps_by_hand[] =
    "4. Run VMs:\n"
    "\n"
    "       holdfast class create small --cpu 0.5 --memory 256MiB\n"
    "       holdfast group create web --count 6 --class small --wait \\\n"
    "           --command sleep infinity\n"
    "\n";

static const char steps_by_file[] = "4. Run what the file says:\n"
                                    "\n"
                                    "       holdfast apply -f fleet.yaml\n"
                                    "\n";

static const char steps_end[] =
    "5. See what the loss of a zone would do, and do it: end a zone's node "
    "and\n"
    "   its agents, and watch the VMs start elsewhere.\n"
    "\n"
    "       holdfast plan zone-loss z2\n"
    "       holdfast vm list --watch\n"
    "\n"
    "Next: three machines, certificates, storage: operations.md.\n";

static bool write_steps(const struct sample *sample)
{
    const char *const apply = "apply";
    const char *how =
        command_find(&apply, 1) == NULL ? steps_by_hand : steps_by_file;
    struct bytes text;
    bool written;

    bytes_init(&text);
    bytes_append(&text, steps_start, strlen(steps_start));
    bytes_append(&text, how, strlen(how));
    bytes_append(&text, steps_end, strlen(steps_end));
    written = write_file(sample, "README.md", &text);
    bytes_close(&text);
    return written;
}

static enum exit_code failed(const char *what)
{
    (void)fprintf(stderr, "holdfast: %s: %s\n", what, strerror(errno));
    return EXIT_FAILED;
}

/* Before anything is written. */
static enum exit_code check(const struct sample *sample)
{
    static const char *const names[] = {
        "README.md",  "fleet.yaml", "n1.yaml",    "n2.yaml",    "n3.yaml",
        "z1-h1.yaml", "z1-h2.yaml", "z2-h1.yaml", "z2-h2.yaml", "z3-h1.yaml",
        "z3-h2.yaml", "data",       "run",        "state"};
    struct stat facts;

    for (const char *c = sample->path; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || strchr("\"\\", *c) != NULL) {
            (void)fprintf(stderr,
                          "holdfast: %s: quotes, backslashes and control "
                          "characters cannot stand in the files\n",
                          sample->folder);
            return EXIT_USAGE;
        }
    }
    if (strlen(sample->path) > FOLDER_MAX) {
        (void)fprintf(stderr,
                      "holdfast: %s: choose a path of at most %d bytes: the "
                      "names of agents' sockets\n  below it must be short\n",
                      sample->path, FOLDER_MAX);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[PATH_MAX + 64];

        (void)snprintf(path, sizeof(path), "%s/%s", sample->path, names[i]);
        if (lstat(path, &facts) == 0) {
            (void)fprintf(stderr,
                          "holdfast: %s/%s is there already; nothing was "
                          "written\n",
                          sample->folder, names[i]);
            return EXIT_CONFLICT;
        }
    }
    return EXIT_OK;
}

static bool write_all(const struct sample *sample)
{
    static const char *const folders[] = {"data", "run", "state"};

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char path[PATH_MAX + 64];

        (void)snprintf(path, sizeof(path), "%s/%s", sample->path, folders[i]);
        if (mkdir(path, 0700) != 0) {
            return false;
        }
    }
    for (unsigned zone = 1; zone <= ZONES; zone++) {
        if (!write_node(sample, zone)) {
            return false;
        }
        for (unsigned host = 1; host <= HOSTS; host++) {
            if (!write_agent(sample, zone, host)) {
                return false;
            }
        }
    }
    return write_fleet(sample) && write_steps(sample);
}

enum exit_code run_init(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    struct sample sample = {.folder = arguments->name_count > 0
                                          ? arguments->names[0]
                                          : FOLDER_DEFAULT};
    bool made = mkdir(sample.folder, 0755) == 0;
    enum exit_code code;

    if ((!made && errno != EEXIST) ||
        realpath(sample.folder, sample.path) == NULL) {
        return failed(sample.folder);
    }
    code = check(&sample);
    if (code == EXIT_OK && !write_all(&sample)) {
        code = failed(sample.folder);
    }
    if (code == EXIT_OK) {
        output_line(invocation,
                    "Wrote a region of three zones to %s: nodes n1 to n3, six "
                    "hosts, a fleet.",
                    sample.folder);
        output_line(invocation, "Next: %s/README.md", sample.folder);
    } else if (made && code != EXIT_FAILED) {
        (void)rmdir(sample.folder);
    }
    return code;
}
