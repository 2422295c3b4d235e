# SPDX-License-Identifier: Apache-2.0
"""The agents' stream: who is let in as which host, and who is not."""
import threading

import holdfast_client
from api_case import RegionCase, Seen
from fake_host import SESSION, FakeHost, hello
from holdfast_client import first_error
from holdfast_region import wait_until

PATH = "holdfast.v1." + SESSION


class Sessions(RegionCase):
    # pylint: disable-next=too-many-arguments
    def session_fails(self, messages, code, reason, text, client=None):
        """The session ends so, although the agent would go on."""
        client = client or self.leader
        over = threading.Event()

        def speak():
            for message in messages:
                yield client.request(SESSION, message)
            over.wait(holdfast_client.SECONDS)
        refusal = first_error(client.session(SESSION, speak()))
        over.set()
        self.check_refusal(PATH, refusal, code, reason, text)

    def test_session_through_every_node(self):
        for number, client in enumerate((self.leader, *self.followers)):
            host = FakeHost(client, f"via-{number}", "z1")
            self.hosts[f"via-{number}"] = host
            host.wait_welcome()
            answer = self.ok("HostService/GetHost", {"name": f"via-{number}"})
            self.assertEqual(answer.host.state, 1)
        Seen.succeeded.add(PATH)

    def test_session_begins_with_one_hello(self):
        renew = {"renew": {"seq": 1, "generation": 1}}
        good = hello("twice", "z1")
        for client in (self.leader, self.follower):
            for messages in ([renew], [{}], [{"report": {}}], [good, good]):
                self.session_fails(messages, "INVALID_ARGUMENT",
                                   "HELLO_EXPECTED", "Hello", client)

    def test_hello_of_wrong_fields_is_refused_by_name(self):
        for fields, field in (
                ({"host": "H"}, "host"),
                ({"zone": ""}, "zone"),
                ({"host_id": "short"}, "fault_domain, host_id"),
                ({"boot_id": ""}, "fault_domain, host_id, boot_id"),
                ({"region_id": "short"}, "region_id"),
                ({"capacity": {}}, "capacity.cpu_milli"),
                ({"capacity": {"cpu_milli": 1, "memory_mib": 1,
                               "named": {"N": 1}}}, "capacity.named"),
                ({"capacity": {"cpu_milli": 1, "memory_mib": 1,
                               "gpu_count": 1025}}, "capacity.gpu_count"),
                ({"drivers": [9]}, "drivers"),
                ({"pools": ["Pool"]}, "pools"),
                ({"pools": [f"p{i}" for i in range(65)]}, "pools"),
                ({"labels": {"": ""}}, "labels"),
                ({"vms": [{"uid": 1, "epoch": 1, "state": 9}]}, "vms"),
                ({"vms": [{"state": 1}] * 4097}, "vms")):
            message = hello("wrong", "z1")
            message["hello"].update(fields)
            self.session_fails([message], "INVALID_ARGUMENT", "INVALID_FIELD",
                               field)

    def test_hello_of_an_unknown_zone_is_refused(self):
        self.session_fails([hello("lost", "nowhere")], "NOT_FOUND",
                           "ZONE_NOT_FOUND", "zone")

    def test_name_of_a_host_is_its_own(self):
        self.session_fails([hello("h1", "z1", host_id="another-machine-1")],
                           "ALREADY_EXISTS", "HOST_NAME_TAKEN", "host")

    def test_host_with_vms_stays_in_its_zone(self):
        self.running_vm(zone="z2")
        self.session_fails([hello("h2", "z1")], "FAILED_PRECONDITION",
                           "HOST_ZONE_CHANGED", "zone")

    def test_host_with_vms_of_another_region_is_refused(self):
        """Their uids are those of VMs here: not one report is believed."""
        name = self.running_vm(zone="z2")
        before = self.leader.call("VmService/GetVm", {"name": name}).vm
        region_id = self.status(self.leader).region_id
        self.assertRegex(region_id, "^[0-9a-f]{32}$")
        other = f"{int(region_id, 16) ^ 1:032x}"
        message = hello("h2", "z2", region_id=other, vms=[
            {"uid": before.uid, "epoch": before.status.epoch, "state": 4,
             "reason": "ended elsewhere"}])
        for client in (self.leader, self.follower):
            self.session_fails([message], "FAILED_PRECONDITION",
                               "OTHER_REGION", region_id, client)
            self.session_fails([message], "FAILED_PRECONDITION",
                               "OTHER_REGION", other, client)
        self.assertEqual(self.leader.call("VmService/GetVm", {"name": name}).vm,
                         before)

    def test_welcome_names_the_region(self):
        for client in (self.leader, self.follower):
            region_id = self.status(client).region_id
            over = threading.Event()

            def speak(client=client, over=over, region_id=region_id):
                yield client.request(SESSION, hello("named", "z1",
                                                    region_id=region_id))
                over.wait(holdfast_client.SECONDS)
            session = client.session(SESSION, speak())
            self.assertEqual(next(session).welcome.region_id, region_id)
            session.cancel()
            over.set()

    def test_newer_session_counts(self):
        first = self.host("busy", "z3")
        second = FakeHost(self.follower, "busy", "z3")
        self.hosts["second"] = second
        second.wait_welcome()
        wait_until(lambda: first.ended, "the first session ends")
        self.check_refusal(PATH, first.ended[0], "ABORTED",
                           "SESSION_REPLACED", "newer")
        first.close()

    def still_runs(self, name, before):
        self.hosts[before.host].wait_renewed()
        self.wait_vm(name, "RUNNING")
        status = self.leader.call("VmService/GetVm", {"name": name}).vm.status
        self.assertEqual((status.host, status.epoch),
                         (before.host, before.epoch))

    def test_hello_that_is_not_renewed_proves_nothing(self):
        """One that was held up on its way, and overtaken by the session in
        which the host's VMs were begun."""
        name = self.running_vm(zone="z2")
        before = self.leader.call("VmService/GetVm", {"name": name}).vm.status
        late = self.leader.request(SESSION, hello(before.host, "z2"))
        over = threading.Event()

        def speak():
            yield late
            over.wait(holdfast_client.SECONDS)
        session = self.leader.session(SESSION, speak())
        self.assertTrue(next(session).HasField("welcome"))
        session.cancel()
        over.set()
        self.still_runs(name, before)

    def test_another_boot_waits_while_the_host_renews(self):
        """A clone of the machine, or a Hello of a former boot that was held
        up: the host's session and VMs are left alone."""
        name = self.running_vm(zone="z2")
        before = self.leader.call("VmService/GetVm", {"name": name}).vm.status
        host = self.hosts[before.host]
        ended = len(host.ended)
        for client in (self.leader, self.follower):
            self.session_fails([hello(before.host, "z2", boot_id="boot-0")],
                               "ALREADY_EXISTS", "HOST_STILL_LEASED", "host",
                               client)
        self.still_runs(name, before)
        self.assertEqual(len(host.ended), ended)

    def test_boot_is_let_in_when_the_former_lease_is_over(self):
        first = self.host("booting", "z3")
        first.close()
        second = FakeHost(self.follower, "booting", "z3", boot_id="boot-2")
        self.hosts["booting"] = second
        second.wait_welcome()
        self.assertTrue(second.ended)
        self.check_refusal(PATH, second.ended[0], "ALREADY_EXISTS",
                           "HOST_STILL_LEASED", "lease")

    def test_pools_of_a_region_are_limited(self):
        self.host("many", "z1", pools=[f"many-{i}" for i in range(63)])
        self.session_fails([hello("more", "z1", pools=["one-more"])],
                           "RESOURCE_EXHAUSTED", "TABLE_FULL", "pools")
