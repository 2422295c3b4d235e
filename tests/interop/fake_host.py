# SPDX-License-Identifier: Apache-2.0
"""A host that does exactly what a test wants: a Python agent on the agents'
own stream. It says that it starts and stops what it is told to, and while it
is held, nothing."""
import queue
import threading

import grpc

import holdfast_client

SESSION = "AgentService/Session"


def hello(host, zone, **fields):
    message = {"host": host, "zone": zone, "host_id": f"the-machine-of-{host}",
               "boot_id": "boot-1", "agent_version": "test",
               "capacity": {"cpu_milli": 8000, "memory_mib": 8192,
                            "disk_gib": 100},
               "drivers": ["DRIVER_EXEC"]}
    message.update(fields)
    return {"hello": message}


class FakeHost:
    def __init__(self, client, host, zone, **fields):
        self.client = client
        self.hello = hello(host, zone, **fields)
        self.held = False
        self.orders = []  # That came while held.
        self.vms = {}  # (epoch, state) by uid.
        self.ended = []  # Refused, for each session that ended.
        self.welcomed = threading.Event()
        self.renewed = threading.Event()
        self.closing = threading.Event()
        self.news = queue.Queue()
        self.call = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def message(self, fields):
        return self.client.request(SESSION, fields)

    def reports(self):
        return [{"uid": uid, "epoch": epoch, "state": state}
                for uid, (epoch, state) in list(self.vms.items())]

    def speak(self, generation):
        """All that this host says in one session."""
        self.hello["hello"]["vms"] = self.reports()
        yield self.message(self.hello)
        seq = 0
        while True:
            try:
                report = self.news.get(timeout=0.5 if seq else 0.02)
                if report is None:
                    return
                yield self.message({"report": {"vm": report}})
            except queue.Empty:
                if generation:  # Since the Welcome.
                    seq += 1
                    yield self.message({"renew": {
                        "seq": seq, "generation": generation[0],
                        "vms": self.reports()}})

    def obey(self, order):
        action = holdfast_client.schema.pool.FindEnumTypeByName(
            "holdfast.v1.OrderAction").values_by_number[order.action].name
        if self.held:
            self.orders.append(order)
            return
        report = {"uid": order.uid, "epoch": order.epoch}
        if action == "ORDER_ACTION_START":
            report["state"] = "REPORT_STATE_RUNNING"
            self.vms[order.uid] = (order.epoch, report["state"])
        else:
            report["state"] = "REPORT_STATE_GONE"
            report["reason"] = "told to"
            self.vms.pop(order.uid, None)
        self.news.put(report)

    def hold(self):
        self.held = True

    def go_on(self):
        self.held = False
        while self.orders:
            self.obey(self.orders.pop(0))

    def listen(self):
        generation = []
        self.call = self.client.session(SESSION, self.speak(generation), None)
        for message in self.call:
            if message.HasField("welcome"):
                generation.append(message.welcome.generation)
                self.welcomed.set()
            elif message.HasField("renew_ack"):
                self.renewed.set()
            elif message.HasField("order"):
                self.obey(message.order)

    def run(self):
        while not self.closing.is_set():
            try:
                self.listen()
            except grpc.RpcError as error:
                self.ended.append(holdfast_client.Refused(error))
            self.welcomed.clear()
            self.news.put(None)  # The speaker of this session ends.
            self.closing.wait(0.1)
            self.news = queue.Queue()

    def wait_welcome(self):
        assert self.welcomed.wait(holdfast_client.SECONDS), self.ended[-1:]

    def wait_renewed(self):
        """Until a renewal is acknowledged that came after this call."""
        for _ in range(2):
            self.renewed.clear()
            assert self.renewed.wait(holdfast_client.SECONDS), self.ended[-1:]

    def close(self):
        self.closing.set()
        if self.call is not None:
            self.call.cancel()
        self.thread.join(holdfast_client.SECONDS)
