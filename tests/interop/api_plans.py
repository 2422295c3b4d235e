# SPDX-License-Identifier: Apache-2.0
"""Plans: what they show, that applying one does it, and how they say no."""
import signal

import holdfast_client
from api_case import RegionCase, Seen
from holdfast_client import Refused
from holdfast_region import wait_until

MAKE = "PlanService/MakePlan"
APPLY = "PlanService/ApplyPlan"
LOSS = {"action": {"zone_loss": {"zones": ["z1"]}}}


class Plans(RegionCase):
    def make(self, **action):
        return self.ok(MAKE, {"action": action})

    def drain(self):
        """A plan that drains a host with a VM, and the VM's name."""
        name = self.running_vm()
        host = self.vm(name).status.host
        answer = self.make(drain_host={"name": host})
        self.assertTrue(answer.plan.applicable)
        self.assertIn(name, [s.vm for s in answer.steps])
        return answer.plan.id, name, host

    def test_make_plan_and_get_plan(self):
        name = self.running_vm()
        zone = self.vm(name).status.zone
        before = self.status()
        made = self.make(zone_loss={"zones": [zone]})
        self.unchanged(before)
        self.assertIn((name, zone), [(s.vm, s.from_zone) for s in made.steps])
        self.assertEqual(made.plan.totals.unplaced, 0)
        got = self.ok("PlanService/GetPlan", {"id": made.plan.id},
                      self.follower)
        self.assertEqual((got.plan, list(got.steps)),
                         (made.plan, list(made.steps)))
        self.refused("PlanService/GetPlan", {"id": "none"}, "NOT_FOUND",
                     "PLAN_NOT_FOUND", "none")
        self.fails(MAKE, {}, "action")
        self.refused(MAKE, {"action": {"zone_loss": {"zones": ["nowhere"]}}},
                     "NOT_FOUND", "ZONE_NOT_FOUND", "nowhere")

    def test_get_capacity(self):
        path = "PlanService/GetCapacity"
        classes = self.ok(path, {"classes": ["small"]}).classes
        self.assertEqual([c.class_name for c in classes], ["small"])
        self.assertGreater(classes[0].free_count, 0)
        self.refused(path, {"classes": ["none"]}, "NOT_FOUND",
                     "CLASS_NOT_FOUND", "none")

    def test_apply_plan_does_what_it_shows(self):
        method = holdfast_client.full(APPLY)
        plan, name, host = self.drain()
        before = self.status()
        self.ok(APPLY, {"id": plan, "dry_run": True})
        self.unchanged(before)
        Seen.dry.add(method)
        self.check_conflict(APPLY, {"id": plan})
        self.fails(APPLY, {"id": plan, "accept_risk": True}, "reason")
        self.unchanged(before)
        once = {"id": plan, "request_id": self.name("request")}
        answer = self.ok(APPLY, once, self.follower)
        for client in (self.leader, *self.followers):
            self.assertEqual(self.ok(APPLY, once, client), answer)
        self.refused(APPLY, {**once, "reason": "other"}, "INVALID_ARGUMENT",
                     "REQUEST_ID_REUSED", once["request_id"])
        Seen.once.add(method)
        wait_until(lambda: self.vm(name).status.host not in ("", host),
                   "it moved")
        self.refused(APPLY, {"id": plan}, "ABORTED", "PLAN_STALE", plan)
        self.refused(APPLY, {"id": "none"}, "NOT_FOUND", "PLAN_NOT_FOUND",
                     "none")
        self.ok("HostService/CancelDrainHost", {"name": host})

    def test_loss_is_nothing_to_apply(self):
        plan = self.ok(MAKE, LOSS).plan
        self.assertFalse(plan.applicable)
        self.refused(APPLY, {"id": plan.id}, "FAILED_PRECONDITION",
                     "PLAN_NOT_APPLICABLE", plan.id)

    def test_too_many_plans_at_once_are_told_to_wait(self):
        """The leader stands still until all are there."""
        leader = self.region.leader()
        leader.freeze()
        calls = [self.leader.future(MAKE, LOSS) for _ in range(64)]
        leader.signal(signal.SIGCONT)
        errors = [call.exception() for call in calls]
        refusals = [Refused(error) for error in errors if error is not None]
        busy = [r for r in refusals if r.reason == "PLANS_BUSY"]
        self.assertGreater(len(busy), 0)
        self.check_refusal(MAKE, busy[0], "RESOURCE_EXHAUSTED", "PLANS_BUSY",
                           "")
        self.assertGreater(int(busy[0].retry_ms), 0)
        self.region.leader()
