/* SPDX-License-Identifier: Apache-2.0
 *
 * What makes the command line itself pleasant. */
#include "base/container.h"
#include "ctl/command_rows.h"
#include "ctl/invocation.h"

const struct command commands_tool[] = {
    {.noun = "init",
     .names = "[DIR]",
     .name_max = 1,
     .summary = "write a region of three zones that runs on this machine",
     .details =
         "  holdfast init holdfast-sample\n\nConfigurations of three nodes and "
         "six hosts on loopback, a manifest of VMs that\nare commands, and a "
         "README.md with the steps to start them. Nothing is written\nover: "
         "exit code 4 when something is there. Without DIR: holdfast-sample.",
     .run = run_init},

    {.noun = "context",
     .verb = "list",
     .names = "",
     .summary = "list the regions that you have to do with",
     .run = run_context_list},
    {.noun = "context",
     .verb = "show",
     .names = "[CONTEXT]",
     .name_max = 1,
     .summary = "show a context in full; without CONTEXT the one in use",
     .run = run_context_show},
    {.noun = "context",
     .verb = "use",
     .names = "CONTEXT",
     .name_min = 1,
     .name_max = 1,
     .summary = "use a context from now on",
     .run = run_context_use},
    {.noun = "context",
     .verb = "set",
     .names = "CONTEXT",
     .name_min = 1,
     .name_max = 1,
     .summary = "create or change a context from the options of every command",
     .details =
         "  holdfast context set prod --endpoint 10.0.0.1:7400,10.0.0.2:7400 "
         "\\\n      --tls-ca node-ca.crt --tls-cert anna.crt --tls-key "
         "anna.key -o wide\n\n"
         "Of --endpoint, --tls-ca, --tls-cert, --tls-key and --output; what is "
         "not given\nstays, an empty one is taken away. The first context is "
         "in use at once. The\nfile is ~/.config/holdfast/config.yaml, below "
         "$XDG_CONFIG_HOME if that is set,\nand can be written by hand. It is "
         "refused when others can write it.\n\n"
         "Options come first, then the environment, then the context; one "
         "that is named\nby --context comes before the environment.",
     .run = run_context_set},
    {.noun = "context",
     .verb = "delete",
     .names = "CONTEXT...",
     .name_min = 1,
     .name_max = MANY,
     .options = OPTION(YES),
     .destroys = true,
     .summary = "forget contexts",
     .run = run_context_delete},
    {.noun = "completion",
     .verb = "bash",
     .names = "",
     .summary = "write the completion for bash",
     .details = "  source <(holdfast completion bash)\n\nInstalled with "
                "Holdfast, so that packages need none of this. Names of "
                "zones,\nhosts, VMs, classes and groups come from the region, "
                "if it answers in a second.",
     .run = run_completion},
    {.noun = "completion",
     .verb = "zsh",
     .names = "",
     .summary = "write the completion for zsh",
     .details = "  source <(holdfast completion zsh)   # behind compinit\n\nOr "
                "put it as `_holdfast` into a folder of $fpath.",
     .run = run_completion},
    {.noun = "completion",
     .verb = "fish",
     .names = "",
     .summary = "write the completion for fish",
     .details = "  holdfast completion fish | source",
     .run = run_completion},
    {.noun = "completion",
     .verb = "names",
     .names = "NOUN [PREFIX]",
     .name_min = 1,
     .name_max = 2,
     .summary = "print names of a noun, for completion",
     .details = "NOUN is node, zone, class, host, vm, group, reservation, "
                "operation or\ncontext. At most 1000 names that begin with "
                "PREFIX; nothing when the region does\nnot answer in a second.",
     .method = "VmService/ListVms",
     .run = run_completion_names},
};

const size_t commands_tool_count = ARRAY_LEN(commands_tool);
