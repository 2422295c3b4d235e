/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of the program: what was asked for, the client, and where output
 * goes. Commands (command.h) get it as their only argument. */
#ifndef CTL_INVOCATION_H
#define CTL_INVOCATION_H

#include "base/arena.h"
#include "base/bytes.h"
#include "ctl/arguments.h"
#include "ctl/command.h"

#include "holdfast/v1/config.pb-c.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stdint.h>

enum output {
    OUTPUT_TABLE,
    OUTPUT_WIDE,
    OUTPUT_JSON,
    OUTPUT_YAML,
    OUTPUT_NAME
};

struct invocation {
    const struct arguments *arguments;
    const struct command *command;
    struct hf_client *client;
    Holdfast__V1__Context *context; /* NULL: none; see context_choose(). */
    bool context_is_named;          /* By --context. */
    struct arena arena;             /* Requests and what was read from files. */
    struct bytes out;               /* For stdout; see output_flush(). */
    enum output output;
    bool colours;
    bool progress;    /* A person looks at stderr. */
    bool terminal;    /* A person looks at stdout. */
    unsigned printed; /* Objects written so far; see output_object(). */
    bool changes;     /* A plan would change something. */
};

/* "holdfast: <what>: <why>" on stderr with a pointer to --help; returns
 * EXIT_USAGE. */
enum exit_code usage_error(const struct invocation *invocation,
                           const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads the commands' common options and runs the command. */
enum exit_code ctl_run(int argc, char *const *argv);

/* Commands that are more than one call with a name. */
enum exit_code run_help(struct invocation *invocation);
/* The manual pages, see manual.h, into a folder. */
enum exit_code manual_save(const char *folder);
enum exit_code run_version(struct invocation *invocation);
enum exit_code run_simple(struct invocation *invocation);
enum exit_code run_list(struct invocation *invocation);
enum exit_code run_export(struct invocation *invocation);
/* The live region as a manifest, appended as YAML. */
enum exit_code export_region(struct invocation *invocation, struct bytes *out);
enum exit_code run_simulate(struct invocation *invocation);
enum exit_code run_apply(struct invocation *invocation);
enum exit_code run_diff(struct invocation *invocation);
enum exit_code run_doctor(struct invocation *invocation);
enum exit_code run_lint(struct invocation *invocation);
enum exit_code run_support_bundle(struct invocation *invocation);
enum exit_code run_watch(struct invocation *invocation);
enum exit_code run_events(struct invocation *invocation);
enum exit_code run_cluster_status(struct invocation *invocation);
enum exit_code run_cluster_transfer(struct invocation *invocation);
enum exit_code run_node_add(struct invocation *invocation);
enum exit_code run_node_promote(struct invocation *invocation);
enum exit_code run_node_remove(struct invocation *invocation);
enum exit_code run_node_replace(struct invocation *invocation);
enum exit_code run_settings_get(struct invocation *invocation);
enum exit_code run_settings_set(struct invocation *invocation);
enum exit_code run_class_create(struct invocation *invocation);
enum exit_code run_host_declare_dead(struct invocation *invocation);
enum exit_code run_vm_create(struct invocation *invocation);
enum exit_code run_vm_change(struct invocation *invocation);
enum exit_code run_vm_update(struct invocation *invocation);
enum exit_code run_vm_explain(struct invocation *invocation);
enum exit_code run_class_update(struct invocation *invocation);
enum exit_code run_drain(struct invocation *invocation);
enum exit_code run_group_create(struct invocation *invocation);
enum exit_code run_group_show(struct invocation *invocation);
enum exit_code run_group_update(struct invocation *invocation);
enum exit_code run_group_scale(struct invocation *invocation);
enum exit_code run_group_delete(struct invocation *invocation);
enum exit_code run_reservation_create(struct invocation *invocation);
enum exit_code run_reservation_update(struct invocation *invocation);
enum exit_code run_plan(struct invocation *invocation);
enum exit_code run_plan_show(struct invocation *invocation);
enum exit_code run_plan_apply(struct invocation *invocation);
enum exit_code run_capacity(struct invocation *invocation);
enum exit_code run_auth_can_i(struct invocation *invocation);
enum exit_code run_operation_wait(struct invocation *invocation);
enum exit_code run_grant_create(struct invocation *invocation);
enum exit_code run_grant_update(struct invocation *invocation);
enum exit_code run_token_create(struct invocation *invocation);
enum exit_code run_host_token_create(struct invocation *invocation);
enum exit_code run_audit_export(struct invocation *invocation);
enum exit_code run_audit_verify(struct invocation *invocation);
enum exit_code run_ca_init(struct invocation *invocation);
enum exit_code run_cert_issue(struct invocation *invocation);
enum exit_code run_cert_show(struct invocation *invocation);
enum exit_code run_completion(struct invocation *invocation);
enum exit_code run_init(struct invocation *invocation);
enum exit_code run_context_list(struct invocation *invocation);
enum exit_code run_context_show(struct invocation *invocation);
enum exit_code run_context_use(struct invocation *invocation);
enum exit_code run_context_set(struct invocation *invocation);
enum exit_code run_context_delete(struct invocation *invocation);
enum exit_code run_completion_names(struct invocation *invocation);

#endif
