# SPDX-License-Identifier: Apache-2.0
"""Every command of the README and of docs/ as it is written there: run in a
network of its own, where the pages' addresses are this machine's, against live
regions with hosts that start and stop what they are told to. What cannot run
here is named in elsewhere.py with what runs it instead.

usage: commands_test.py BINARIES STANDARD_DESCRIPTORS SOURCE"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

BINARIES, STANDARD, SOURCE = (os.path.abspath(path) for path in sys.argv[1:4])
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
sys.dont_write_bytecode = True

import commands  # noqa: E402
import elsewhere  # noqa: E402
import holdfast_client  # noqa: E402
from fake_host import FakeHost  # noqa: E402
from holdfast_region import Region, wait_until  # noqa: E402
from secure_region import Pki, SecureRegion, listens  # noqa: E402

SECONDS = 120
PORT = 7400
# Blocks in the order in which they run: page, how the first command begins,
# and what a reader would have by then.
PLAIN = [
    ("README.md", "holdfast zone create z1 z2 z3", []),
]
BEFORE_REGION = [
    ("docs/operations.md", "holdfast ca init", []),
    ("docs/operations.md", "holdfast cert issue node n1", []),
]
SECURE = [
    ("docs/operations.md", "export HOLDFAST_ENDPOINTS", []),
    ("docs/operations.md", "holdfast class create small", []),
    ("docs/operations.md", "holdfast grant create anna", []),
    ("docs/operations.md", "holdfast context set prod", []),
    ("docs/operations.md", "holdfast zone list", [
        "holdfast vm create web-7 --class small --image web.img --wait"]),
    ("docs/operations.md", "holdfast plan drain-zone z2", []),
    ("docs/operations.md", "holdfast group create web", [
        "holdfast vm delete web-1 web-2 web-3 web-7 --yes --wait"]),
    ("docs/operations.md", "holdfast plan drain-host h7", []),
    # Full on one side.
    ("docs/operations.md", "holdfast plan rebalance", [
        "holdfast cluster settings set vm_cool_down_ms=0",
        "holdfast zone cancel-drain z2",
        "holdfast zone uncordon z2",
        "holdfast group delete web --yes --wait",
        "holdfast zone cordon z2 z3",
        "holdfast vm create old --count 40 --class small --image o.img --wait",
        "holdfast zone uncordon z2 z3"]),
    ("docs/operations.md", "holdfast reservation create spare-z1", [
        "holdfast class create big --cpu 4 --memory 2GiB"]),
    ("docs/operations.md", "holdfast export -f fleet.yaml", ["rm -f fleet.yaml"]),
    ("docs/operations.md", "holdfast export -f fleet.yaml", ["rm -f fleet.yaml"]),
    ("docs/operations.md", "holdfast audit list", []),
    ("docs/operations.md", "holdfast doctor", []),
    ("docs/operations.md", "holdfast operation list", []),
    ("docs/operations.md", "holdfast lint", []),
    ("docs/operations.md", "mkdir logs", [
        "mkdir logs", "echo started > logs/holdfastd.log"]),
    ("docs/operations.md", "holdfast host token create", []),
    ("docs/operations.md", "holdfast node list", []),
    ("docs/operations.md", "sudo systemctl restart holdfast-agent", []),
    ("docs/operations.md", "holdfast cluster nodes", []),
    ("docs/operations.md", "holdfast cluster transfer", []),
]


NAMED = {*elsewhere.BY_OTHERS, *elsewhere.LONG, *elsewhere.SYSTEMD}


class Failure(Exception):
    pass


def enter_network():
    """This process again, in a network where the addresses of the pages are
    its own."""
    if "HF_DOCS_NETWORK" in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for number in (1, 2, 3):
            subprocess.run(["ip", "address", "add", f"10.0.0.{number}/32",
                            "dev", "lo"], check=True)
        return
    os.environ["HF_DOCS_NETWORK"] = "1"
    options = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    os.execvp("unshare", ["unshare", *options, sys.executable, "-B",
                          *sys.argv])


class Reader:
    """Somebody who follows a page: one directory, one environment."""

    def __init__(self, directory):
        self.directory = directory
        self.environment = {
            **os.environ, "NO_COLOR": "1", "HOME": directory,
            "XDG_CONFIG_HOME": f"{directory}/.config",
            "PATH": f"{BINARIES}:{os.environ['PATH']}"}
        self.plan = ""
        self.count = 0
        self.hosts = []

    def export(self, command):
        for name, value in re.findall(r"(\w+)=(\S+)", command):
            self.environment[name] = value

    def run(self, command, where):
        if command.startswith("export "):
            self.export(command)
            self.count += 1
            return
        line = command
        if re.search(r"\bplan apply ID\b", command):
            line = command.replace("ID", self.plan)
        # Nothing ends these but their reader.
        if re.match(r"holdfast watch", command):
            self.watch(line, where)
            return
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.directory, env=self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=SECONDS)
        # A plan's 2 says that something would change, a difference's as well;
        # a finding's 1 that there is one.
        good = ((0, 2) if re.match(r"holdfast (plan|diff)", command) else
                (0, 1) if re.match(r"holdfast (lint|doctor)", command) else
                (0,))
        if done.returncode not in good:
            raise Failure(f"{where}: {command}\nexit {done.returncode}\n"
                          f"{done.stdout}{done.stderr}")
        found = re.search(r"plan apply (\S+)", done.stdout)
        if re.match("holdfast plan", command):
            self.plan = found[1] if found else "NONE"
        self.count += 1
        if command.startswith("holdfast zone create"):
            for host in self.hosts:  # Whose agents tried all along.
                host.wait_welcome()

    def watch(self, command, where):
        child = subprocess.Popen(
            ["bash", "-c", "exec " + command], cwd=self.directory,
            env=self.environment, stdout=subprocess.PIPE, text=True)
        try:
            if not child.stdout.readline():
                raise Failure(f"{where}: {command} shows nothing")
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=SECONDS)
        finally:
            child.kill()
        self.count += 1


class Library:
    """All blocks, and which of them were read."""

    def __init__(self):
        self.blocks = [block for page in commands.pages(SOURCE)
                       if page not in elsewhere.PAGES
                       for block in commands.blocks_of(SOURCE, page)
                       if block.commands()]
        self.read = set()
        self.elsewhere = 0
        # What elsewhere.py names and no page has had yet.
        self.unused = {*elsewhere.BY_OTHERS, *elsewhere.LONG,
                       *elsewhere.SYSTEMD, *elsewhere.HERE}

    def take(self, page, begin):
        for block in self.blocks:
            if (block.page == page and block not in self.read and
                    block.commands()[0].startswith(begin)):
                self.read.add(block)
                return block
        raise Failure(f"{page} has no block that begins with '{begin}'")

    def follow(self, reader, script):
        for page, begin, before in script:
            block = self.take(page, begin)
            for command in before:
                reader.run(command, f"before {block.where()}")
            for command in block.commands():
                if not self.is_elsewhere(command, block.where()):
                    reader.run(command, block.where())

    def is_elsewhere(self, command, where):
        """Whether something else runs it, which is looked at."""
        begins = {begin for begin in self.unused | NAMED
                  if command.startswith(begin)}
        self.unused -= begins
        if not begins:
            return False
        look_elsewhere(command, where)
        self.elsewhere += 1
        return True


def on_port(region_class, address):
    """A region whose nodes have the addresses of the pages."""
    class Placed(region_class):
        def write_config(self, node, settings):
            for other in self.nodes:
                other.address = address(other.number)
            super().write_config(node, settings)
    return Placed


def bear_hosts(region, clients):
    """Nine of them, as soon as their zones are there; not needed before."""
    return [FakeHost(clients(f"h{i}"), f"h{i}", f"z{(i - 1) % 3 + 1}",
                     drivers=["DRIVER_QEMU", "DRIVER_EXEC"], pools=["san"],
                     capacity={"cpu_milli": 64000, "memory_mib": 65536,
                               "disk_gib": 1000})
            for i in range(1, 10)]


def read_plain(library, directory):
    # One node, where the command line looks if it is told nothing.
    region = on_port(Region, lambda _: f"127.0.0.1:{PORT}")(BINARIES, nodes=1)
    reader = Reader(directory)
    try:
        node = region.nodes[0]
        wait_until(lambda: listens(node.address), "the node listens")
        holdfast_client.load_schema(STANDARD, node.address)
        region.leader()
        reader.hosts = bear_hosts(region, lambda _: region.client(node))
        library.follow(reader, PLAIN)
    except BaseException:
        print(region.logs(), file=sys.stderr)
        raise
    finally:
        for host in reader.hosts:
            host.close()
        region.close(orderly=False)
    return reader.count


class Documented(Pki):
    """Its certificates lie where the pages say."""

    def __init__(self, binaries, directory):  # pylint: disable=super-init-not-called
        self.binaries = binaries
        self.directory = directory

    def issue(self, role, name, *options, ca="holdfast-ca", out="."):
        addresses = [f"10.0.0.{options[options.index('--id') + 1]}"] \
            if role == "node" else []
        kept = ["--id", options[options.index("--id") + 1]] \
            if role == "node" else []
        super().issue(role, name, *kept,
                      *(word for a in addresses for word in ("--address", a)),
                      ca=ca, out=out)

    def path(self, name):
        return f"{self.directory}/" + re.sub("^ca(?=/|$)", "holdfast-ca", name)


def read_secure(library, directory):
    reader = Reader(directory)
    library.follow(reader, BEFORE_REGION)
    pki = Documented(BINARIES, directory)
    shutil.rmtree(f"{directory}/n1")  # As its machine has it by now.
    for name in ("tls", "anna"):
        os.makedirs(f"{directory}/{name}", exist_ok=True)
    for target in ("", "tls/"):
        shutil.copy(pki.path("ca/node-ca.crt"), f"{directory}/{target}")
    for name in ("anna.crt", "anna.key"):
        shutil.copy(f"{directory}/anna/{name}", directory)
    secure = on_port(SecureRegion, lambda number: f"10.0.0.{number}:{PORT}")

    class Prod(secure):
        def write_config(self, node, settings):
            super().write_config(node, settings)
            with open(node.config, encoding="utf-8") as file:
                text = file.read()
            with open(node.config, "w", encoding="utf-8") as file:
                file.write(text.replace("region: interop", "region: prod"))

    region = Prod(pki)
    agents = []
    try:
        wait_until(lambda: all(listens(n.address) for n in region.nodes),
                   "the nodes listen")
        region.leader()
        first = region.nodes[0].address

        def client(name):
            pki.issue("agent", name)
            agents.append(holdfast_client.Client(first, pki.credentials(name)))
            return agents[-1]
        reader.hosts = bear_hosts(region, client)
        library.follow(reader, SECURE)
    except BaseException:
        print(region.logs(), file=sys.stderr)
        raise
    finally:
        for host in reader.hosts:
            host.close()
        for agent in agents:
            agent.close()
        region.close(orderly=False)
    return reader.count


def look_at_long(command, where):
    """Its program is there and knows the options."""
    words = commands.without_comment(command).split()
    program = elsewhere.LONG[words[0]].format(binaries=BINARIES, source=SOURCE)
    done = subprocess.run([program, "--help"],
                          cwd=SOURCE, capture_output=True, text=True,
                          check=False, timeout=SECONDS)
    for option in (word for word in words if word.startswith("--")):
        if done.returncode != 0 or option not in done.stdout:
            raise Failure(f"{where}: {words[0]} has no {option}")


def look_elsewhere(command, where):
    for begin, (file, words) in elsewhere.BY_OTHERS.items():
        if command.startswith(begin):
            with open(os.path.join(SOURCE, file), encoding="utf-8") as text:
                if words not in text.read():
                    raise Failure(f"{where}: {file} does not run {command}")
            return
    if command.startswith(tuple(elsewhere.LONG)):
        look_at_long(command, where)


def look_at_rest(library, directory):
    """The blocks that need no region."""
    reader = Reader(directory)
    reader.environment["PATH"] = os.environ["PATH"]
    os.symlink(os.path.join(SOURCE, "deploy"), f"{directory}/deploy")
    for block in library.blocks:
        if block in library.read:
            continue
        for command in block.commands():
            if command.startswith(elsewhere.HERE):
                library.unused -= {begin for begin in elsewhere.HERE
                                   if command.startswith(begin)}
                reader.run(command, block.where())
            elif not library.is_elsewhere(command, block.where()):
                raise Failure(f"{block.where()}: nothing runs '{command}'")
    if library.unused:
        raise Failure("elsewhere.py names what no page has: "
                      f"{sorted(library.unused)}")
    for page, file in elsewhere.PAGES.items():
        with open(os.path.join(SOURCE, file), encoding="utf-8") as text:
            if os.path.basename(page).removesuffix(".md") not in text.read():
                raise Failure(f"{file} does not read {page}")
    return reader.count


def main():
    enter_network()
    library = Library()
    counts = []
    for read in (read_plain, read_secure):
        with tempfile.TemporaryDirectory(prefix="hf-docs-") as directory:
            counts.append(read(library, directory))
    with tempfile.TemporaryDirectory(prefix="hf-docs-") as directory:
        counts.append(look_at_rest(library, directory))
    print(f"{sum(counts)} commands of {len(library.blocks)} blocks ran; "
          f"{library.elsewhere} are run elsewhere")


if __name__ == "__main__":
    main()
