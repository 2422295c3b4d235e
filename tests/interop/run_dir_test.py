# SPDX-License-Identifier: Apache-2.0
"""An agent whose run_dir was changed or lost under running VMs: it says what
is wrong and does not start, so that the region never takes the VMs for gone
and starts them a second time.

usage: run_dir_test.py BINARIES DESCRIPTORS"""
import fcntl
import os
import re
import shutil
import signal
import sys
import unittest

import holdfast_client
from holdfast_region import Agent, Region, wait_until

RUNNING, STOPPED = 4, 6
MARK = f"100001{os.getpid()}"  # Seconds that the VM's command sleeps.


def processes(*words):
    """Pids of the processes whose command lines begin with these words."""
    wanted = b"".join(word.encode() + b"\0" for word in words)
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read().startswith(wanted):
                    found.append(int(pid))
        except OSError:
            pass  # It ended.
    return found


def copies():
    return processes("/bin/sleep", MARK)


class RunDir(unittest.TestCase):
    def setUp(self):
        self.region = Region(sys.argv[1], nodes=1)
        self.addCleanup(self.region.close)
        node, = self.region.nodes
        wait_until(lambda: holdfast_client.answers(node.address), "n1 listens")
        holdfast_client.load_schema(sys.argv[2], node.address)
        self.region.leader()
        self.client = self.region.client(node)
        self.call("ZoneService/CreateZone", name="z1")
        self.call("ClassService/CreateClass", vm_class={
            "name": "small", "resources": {"cpu_milli": 100, "memory_mib": 64}})
        # So long that the VM outlives what happens to its agent here.
        self.call("ClusterService/UpdateSettings", settings={
            "lease_wait_ms": 60000, "lease_run_ms": 50000},
            update_mask=["lease_wait_ms", "lease_run_ms"])
        # Where a second copy would begin.
        for host in ("h1", "h2"):
            self.region.agent(host, "z1")
        wait_until(lambda: len(self.call("HostService/ListHosts").hosts) == 2,
                   "the hosts are there")
        self.call("VmService/CreateVm", vm={
            "name": "web", "class_name": "small", "zone": "z1",
            "template": {"driver": "DRIVER_EXEC",
                         "command": ["/bin/sleep", MARK]}})
        self.pids = wait_until(self.runs, "the VM runs")
        host = self.vm().host
        self.agent = self.region.agents[0 if host == "h1" else 1]
        self.run_dir = f"{self.region.directory}/{host}.run"
        self.elsewhere = f"{self.region.directory}/elsewhere"

    def call(self, method, **fields):
        return self.client.call(method, fields)

    def vm(self):
        return self.call("VmService/GetVm", name="web").vm.status

    def runs(self):
        pids = copies()
        self.assertLessEqual(len(pids), 1)
        return pids if self.vm().state == RUNNING and pids else None

    def set_run_dir(self, path, agent=None):
        agent = agent or self.agent
        with open(agent.config, encoding="utf-8") as file:
            text = file.read()
        with open(agent.config, "w", encoding="utf-8") as file:
            file.write(re.sub("run_dir: .*", f"run_dir: {path}", text))

    def starts_not(self, *says, agent=None):
        agent = agent or self.agent
        before = os.path.getsize(agent.log) if os.path.exists(agent.log) else 0
        agent.start()
        self.assertEqual(agent.child.wait(30), 1)
        with open(agent.log, encoding="utf-8") as log:
            log.seek(before)
            text = log.read()
        for words in says:
            self.assertIn(words, text)
        self.assertNotIn("session.", text)

    def nothing_moved(self):
        self.assertEqual(self.runs(), self.pids)
        self.assertEqual(self.vm().epoch, 1)

    def log(self):
        with open(self.agent.log, encoding="utf-8") as log:
            return log.read()

    def speaks(self, words):
        """It runs, and had an answer from the region."""
        before = self.log().count(words)
        self.agent.start()
        wait_until(lambda: self.log().count(words) > before,
                   "the agent is back")

    def adopted(self):
        self.speaks("session.welcome")
        wait_until(self.runs, "the VM runs")
        self.nothing_moved()

    def test_another_run_dir_is_refused_while_a_vm_runs(self):
        self.agent.kill()
        self.set_run_dir(self.elsewhere)
        for _ in range(2):
            self.starts_not("agent.refused", "running VM with uid",
                            self.run_dir, self.elsewhere, "Set run_dir back")
        self.nothing_moved()
        self.set_run_dir(self.run_dir)
        self.adopted()

        # Without VM and guard the way is free.
        self.call("VmService/StopVm", name="web")
        wait_until(lambda: self.vm().state == STOPPED, "the VM ends")
        self.assertEqual(copies(), [])
        self.agent.kill()
        self.set_run_dir(self.elsewhere)
        self.starts_not("agent.refused", "holdfast-guard", "SIGTERM")
        guard, = processes(
            os.path.realpath(f"{self.region.binaries}/holdfast-guard"),
            "--run-dir", self.run_dir)
        os.kill(guard, signal.SIGTERM)
        with open(f"{self.run_dir}/guard/lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # When it has ended.
        # Not let in before the lease of the former directory ends.
        self.speaks("session.closed")
        self.assertIn("verdict=moved", self.log())

    def test_lost_run_dir_is_refused(self):
        self.agent.kill()
        aside = f"{self.run_dir}.aside"
        os.rename(self.run_dir, aside)
        self.starts_not("agent.refused", "replaced by another directory",
                        "Put the directory back", "reboot")
        shutil.rmtree(self.run_dir)  # As the refused start made it.
        os.rename(aside, self.run_dir)
        for name in ("instance_id", "lease"):
            os.rename(f"{self.run_dir}/{name}", f"{aside}.{name}")
        self.starts_not("agent.refused", "was emptied")
        for name in ("instance_id", "lease"):
            os.rename(f"{aside}.{name}", f"{self.run_dir}/{name}")
        self.adopted()

    def test_vm_whose_files_were_removed_is_still_reported(self):
        """As by a cleaner of old files, which leaves the newer ones."""
        self.agent.kill()
        uid, = os.listdir(f"{self.run_dir}/vms")
        os.rename(f"{self.run_dir}/vms/{uid}", f"{self.run_dir}.vm")
        self.set_run_dir(self.elsewhere)
        self.starts_not("agent.refused", "used by the shim with pid")
        self.set_run_dir(self.run_dir)
        self.adopted()
        self.assertIn(f"vm.files_lost uid={uid}", self.log())

    def test_damaged_record_is_refused(self):
        self.agent.kill()
        record = f"{self.run_dir.removesuffix('.run')}.state/last_boot"
        with open(record, encoding="utf-8") as file:
            text = file.read()
        with open(record, "w", encoding="utf-8") as file:
            file.write(text[:len(text) // 2])
        self.starts_not("agent.refused", record, "damaged", "Reboot")
        with open(record, "w", encoding="utf-8") as file:
            file.write(text)
        self.adopted()

    def test_state_dir_serves_one_agent(self):
        second = Agent(self.region, "second", "z1")
        with open(self.agent.config, encoding="utf-8") as file:
            text = file.read()
        with open(second.config, "w", encoding="utf-8") as file:
            file.write(text)
        self.set_run_dir(self.elsewhere, second)
        self.starts_not("another agent uses this state_dir", agent=second)
        self.assertFalse(os.path.exists(self.elsewhere))
        self.nothing_moved()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
