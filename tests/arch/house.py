# SPDX-License-Identifier: Apache-2.0
"""What the house is: floors, what each may use, what is pure. Each check gives
a list of sentences, empty when all is well."""

import os
import re
import subprocess

# A floor may include its own headers and those of the floors named here.
FLOORS = {
    "base": [],
    "tls": ["base"],
    "proto": ["base"],
    "state": ["base", "proto"],
    "placement": ["base", "state"],
    "rpc": ["base", "proto", "tls"],
    "raft": ["base", "proto"],
    "node": ["base", "proto", "state", "placement", "raft", "rpc", "tls"],
    "agent": ["base", "proto", "rpc", "tls"],
    "client": ["base", "proto", "rpc", "tls"],
    "ctl": ["base", "proto", "client", "tls"],
}

# Who may use which library. What is not named here, nobody may.
LIBRARIES = {
    "raft.h": ["raft"],
    "uv.h": ["raft", "rpc", "node", "agent", "client"],
    "nghttp2/nghttp2.h": ["rpc", "client"],
    "openssl/ssl.h": ["tls"],
    "openssl/err.h": ["tls"],
    "openssl/pem.h": ["tls"],
    "openssl/rand.h": ["tls"],
    "openssl/x509v3.h": ["tls"],
    "openssl/x509err.h": ["tls"],
    "lz4frame.h": ["raft"],
    "yaml.h": ["proto"],
    "xxhash.h": ["base"],
    "protobuf-c/protobuf-c.h": ["proto", "state", "rpc", "raft", "node",
                                "agent", "client", "ctl"],
}

# Pure: time, randomness and messages are arguments. Whole floors, and the
# deciding parts of two others.
PURE = {
    "state": None,
    "placement": None,
    "node": ["access", "activity", "api", "api_access", "api_audit",
             "api_check", "api_class", "api_drain", "api_errors", "api_grant", "api_group",
             "api_group_edit", "api_headroom", "api_host", "api_join",
             "api_manifest", "api_operation", "api_page", "api_plan", "api_plan_apply",
             "api_reservation", "api_rules",
             "api_settings", "api_size", "api_template", "api_vm",
             "api_vm_batch", "api_vm_create", "api_whole", "api_zone", "applies",
             "apply_control", "apply_parts", "audit",
             "audit_fields", "capacity", "class_zones", "drain_wait",
             "evacuator", "failover",
             "group_control", "group_fields", "judge", "label_filter", "leader_time",
             "lease", "limiter", "manifest_edit", "manifest_fields",
             "manifest_grants", "manifest_kinds", "manifest_prune", "metrics",
             "move_budget", "move_control",
             "operation", "operation_apply", "operation_judge", "orders", "page_book", "pending",
             "place", "plan", "plan_action", "plan_book",
             "planner", "planner_record", "ready", "refusals", "region", "reports", "turn",
             "turn_plan", "view", "view_group", "view_vm", "watch_filter",
             "watch_ring"],
    "agent": ["boot_record", "core", "core_vm", "retry"],
    "client": ["attempts"],
}
# Parts of base/ that pure code must not use.
IMPURE_BASE = ["clock", "log"]

# Parts of other floors that are functions of their arguments alone, whatever
# works them out: the text forms of messages, SHA-256, and what a
# request for a certificate says.
PURE_PARTS = {
    "proto/libhf_text.a": ["text_field", "text_json"],
    "tls/libhf_tls.a": ["csr", "digest"],
}

# All of the C library that pure code uses: memory, strings, sorting; and what
# the compiler makes of counting bits and of dividing numbers of 128 bits:
# shares of a fleet are compared and rounded as integers.
PURE_SYMBOLS = re.compile(
    r"__popcountdi2|__u(div|mod)ti3|"
    r"_?_?(mem(cpy|move|set|cmp|chr|mem)|str(len|n?cmp|chr|rchr|spn|cspn|str|nlen)|"
    r"v?sn?printf|bcmp|strtou?ll?)(_chk)?|qsort|bsearch|malloc|calloc|realloc|free|"
    r"__ctype_b_loc|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|"
    r"__(asan|ubsan|tsan|gcov|sanitizer|llvm)_\w+|__odr_asan\S*|"
    r"protobuf_c_\w+|XXH\w+")

LINES_MAX = 700
TEST_LINES_MAX = 900
SOURCE = re.compile(r"\.(c|h|S|py|proto)$")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
# Paths of somebody's machine, and what a builder leaves behind.
TRACES = re.compile(r"(?<![\w.$}~/-])/(work|home|Users)/[\w.-]+")


def files(root):
    """Paths below the root, of what belongs to the project."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(n for n in folders
                            if n not in (".git", "build", "__pycache__"))
        # In a second working tree .git is a file.
        found += [os.path.relpath(os.path.join(folder, name), root)
                  for name in sorted(names) if name != ".git"]
    return found


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8",
              errors="replace") as file:
        return file.read()


def included_floor(name):
    if name.startswith(("holdfast/v1/", "grpc/")):
        return "proto"
    if name in ("holdfast/holdfast.h", "holdfast/holdfast_uv.h"):
        return "client"
    first = name.partition("/")[0]
    return first if first in FLOORS else None


def check_includes(root):
    wrong = []
    for path in files(root):
        floor = path.partition(os.sep)[0]
        if floor not in FLOORS or not path.endswith((".c", ".h")):
            continue
        for number, line in enumerate(read(root, path).split("\n"), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name, target = match[2], included_floor(match[2])
            if target is not None:
                allowed = target == floor or target in FLOORS[floor]
                # gRPC's own services are rpc/'s business.
                allowed = allowed and (not name.startswith("grpc/") or
                                       floor == "rpc")
            else:
                allowed = (name not in LIBRARIES or
                           floor in LIBRARIES[name]) and match[1] == "<"
            if not allowed:
                wrong.append(f"{path}:{number}: {floor}/ must not include "
                             f"{name}")
    return wrong


def symbols(*arguments):
    """(object, symbol) of each line of `nm -A`."""
    out = subprocess.run(["nm", "-A", *arguments], capture_output=True,
                         text=True, check=True).stdout
    found = []
    for line in out.split("\n"):
        where, _, rest = line.rpartition(":")
        if rest.split():
            member = os.path.basename(where.split(":")[-1])
            found.append((member.removesuffix(".o").removesuffix(".c"),
                          rest.split()[-1]))
    return found


def pure_parts(build, name):
    """Archives of a floor; an agent has its core in one of its own."""
    core = os.path.join(build, name, f"libhf_{name}_core.a")
    return core if os.path.exists(core) else os.path.join(
        build, name, f"libhf_{name}.a")


def check_purity(build, extra=()):
    """`extra`: (part, symbol) used, as if by one more pure file."""
    known = {symbol for part, symbol in
             symbols("--defined-only", f"{build}/base/libhf_base.a")
             if part not in IMPURE_BASE}
    known |= {s for _, s in symbols("--defined-only",
                                    f"{build}/proto/libhf_proto.a")}
    for archive, parts in PURE_PARTS.items():
        known |= {s for p, s in symbols("--defined-only", f"{build}/{archive}")
                  if p in parts}
    used = list(extra)
    for floor, parts in PURE.items():
        archive = pure_parts(build, floor)
        present = {part for part, _ in symbols(archive)}
        for part in parts or []:
            if part not in present:
                return [f"{floor}/{part}.c is said to be pure and is not in "
                        f"{archive}"]
        known |= {s for p, s in symbols("--defined-only", archive)
                  if parts is None or p in parts}
        used += [(f"{floor}/{p}.c", s)
                 for p, s in symbols("--undefined-only", archive)
                 if parts is None or p in parts]
    return [f"{part} is pure and uses {symbol}" for part, symbol in used
            if symbol not in known and not PURE_SYMBOLS.fullmatch(symbol)]


def check_files(root):
    wrong = []
    for path in files(root):
        name = os.path.basename(path)
        if re.match(r"(?i)(note|todo|notes)\b", name):
            wrong.append(f"{path}: a note is no part of the product")
        if path.endswith((".img", ".xz", ".png", ".svg")) or "/corpus/" in path:
            continue
        text = read(root, path)
        if TRACES.search(text):
            wrong.append(f"{path}: names a path of somebody's machine: "
                         f"{TRACES.search(text)[0]}")
        if not SOURCE.search(path):
            continue
        if "SPDX-License-Identifier: Apache-2.0" not in text[:200]:
            wrong.append(f"{path}: the SPDX line is missing at its top")
        lines, most = text.count("\n"), LINES_MAX
        if path.startswith("tests" + os.sep):
            most = TEST_LINES_MAX
        if lines > most:
            wrong.append(f"{path}: has {lines} lines, more than {most}")
    return wrong
