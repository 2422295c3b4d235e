# SPDX-License-Identifier: Apache-2.0
"""Commands of the documentation that its test does not run, and why that is
well all the same: another test runs them, or nothing here can."""

# Pages whose blocks another test takes out and runs.
PAGES = {f"docs/quickstart-{name}.md": "tests/client/quickstart_test.py"
         for name in ("c", "python", "node")}

# What a command begins with -> the file that runs it, and its words there.
BY_OTHERS = {
    "./deploy/demo": ("tests/deploy/demo_test.py", '"demo.py"'),
    "./tests/run": (".ci/run", "tests/run"),
    "sudo deploy/packages build run": ("tests/run", "deploy/packages build"),
    "cmake --preset release": ("tests/run", "build_preset release"),
    "ninja -C build/release": ("tests/run", "build_preset release"),
    "sudo cmake --install build/release":
        ("tests/deploy/install_test.py", '"cmake", "--install"'),
    # Every method, by reflection; over TLS.
    "buf curl": ("tests/interop/stock_clients_test.py",
                 '[buf, "curl", "--protocol", "grpc"'),
    "holdfast node replace":
        ("tests/interop/members_test.py", '"node", "replace"'),
    "holdfastd --config /etc/holdfast/node.yaml --inspect":
        ("tests/interop/members_test.py", '"--inspect"'),
    "holdfastd --config /etc/holdfast/node.yaml --recover":
        ("tests/interop/members_test.py", '"--recover"'),
    "holdfast operation get NAME":
        ("tests/interop/api_operations.py", '"get", name'),
    "holdfast operation wait NAME":
        ("tests/interop/api_operations.py", '"wait", name'),
    "holdfast operation cancel NAME":
        ("tests/interop/api_operations.py", '"cancel", name'),
    "holdfast-agent join": ("tests/interop/join_test.py", '"join"'),
    "deploy/chaos --inventory my.toml --check":
        ("tests/deploy/chaos_parts_test.py", '["--check"]'),
    "deploy/chaos --inventory my.toml --fault leader-kill":
        ("tests/deploy/chaos_test.py", '"--fault"'),
    "deploy/chaos --inventory my.toml --rounds":
        ("tests/deploy/chaos_test.py", '"--rounds"'),
    "build/dev/tests/history/history_check":
        ("tests/chaos/bench.py", "history_check"),
}

# Hours, or a build of their own: their programs and options are looked at.
# What a command begins with -> the program that knows its options.
LONG = {
    "tests/sim/run": "{binaries}/holdfast-simulate",
    "tests/chaos/run": "{source}/tests/chaos/run",
    "tests/fuzz/long": "{source}/tests/fuzz/long",
}

# They want the machine's own systemd. The units themselves are checked by
# tests/deploy/install_test.py, readiness by tests/deploy/notify_test.py.
SYSTEMD = (
    "echo HOLDFASTD_OPTIONS=--bootstrap | sudo tee /run/holdfastd-first-start",
    "sudo systemctl enable --now holdfastd",
    "sudo systemd-sysusers",
    "sudo systemctl daemon-reload",
    "sudo systemctl restart holdfastd",
    "sudo systemctl restart holdfast-agent",
    "systemctl stop holdfastd",
    "mkdir logs && journalctl -u holdfastd",
)

# They need no region.
HERE = (
    "cp deploy/config/chaos.toml",
    "deploy/chaos --list",
)
