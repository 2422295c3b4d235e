/* SPDX-License-Identifier: Apache-2.0
 *
 * Every limit of the node, each with its reason. */
#ifndef NODE_LIMITS_H
#define NODE_LIMITS_H

/* A turn stops taking requests when its entry is this large, so that the last
 * one taken still fits an entry. */
#define TURN_BYTES_SOFT_MAX (1u << 20)

/* What one request may add: a renewal by which all VMs of a host
 * (PLACEMENT_HOST_VMS_MAX) end at once, each for a reason of 255 bytes, takes
 * 1.3 MiB. node_turn_test measures it. */
#define TURN_REQUEST_BYTES_MAX (2u << 20)

/* What a manifest may add: what one request may, less what is kept of its
 * answer for repeats and of its audit record. 10,000 VMs with 40 bytes of
 * template each take 0.6 MiB (node_api_manifest_test). */
#define MANIFEST_ENTRY_BYTES_MAX (TURN_REQUEST_BYTES_MAX - (20u << 10))

/* VMs that one BatchCreateVms makes: each is placed twice at most, some 20 us,
 * during which the loop does nothing else. */
#define BATCH_VMS_MAX 1000

/* Requests of one turn: planning them takes some ms at most, during which the
 * loop does nothing else. */
#define TURN_REQUESTS_MAX 4096

/* Requests that wait, by lane. Failover: one per session message of every
 * host (100,000). The others: what a second of the measured rate works off. */
#define LANE_FAILOVER_MAX 262144
#define LANE_MUTATION_MAX 16384
#define LANE_READ_MAX     65536

/* Assignments that failover makes in one turn: a lost zone is placed in
 * batches, so that the loop is never held up for long. Each touches VMs
 * anywhere, so that the scratch copies a page for nearly each: some 8 us in
 * all. */
#define FAILOVER_ASSIGN_MAX 1000

/* What the controllers of a turn may do, and then its requests, in looks at a
 * host of some 50 ns each (turn_work_left()): some 5 ms each. What is left of a
 * pass over the pending VMs, or of a search for VMs to stop, goes on in the
 * next turn. One look is the least that a pending VM costs: 100 ns. */
#define TURN_WORK_MAX     100000
#define TURN_CHANGE_LOOKS 30
#define PENDING_LOOKS     2

/* Kinds of VMs that are known to find no place in a pass over the pending ones;
 * of more, each VM is looked at. 72 bytes each. */
#define REFUSALS_KEPT_MAX 4096

/* So many VMs that lost their hosts are planned together, in slices between
 * turns, before the first is placed: fewer are placed one by one at once, by
 * headroom's proof if their zone is lost. */
#define EVACUATION_VMS_MIN 16

/* VMs for which a slice of an evacuation works: 10,000 take some ms, and
 * between two slices the loop does what else is due. */
#define EVACUATION_SLICE_VMS 10000

/* VMs for which others are stopped in one turn. */
#define PREEMPTIONS_MAX 64

/* Room is looked for again after so long although nothing told of any: a safety
 * net under the events that do. */
#define FAILOVER_RELOOK_MS 10000

/* VMs that a slice of a rebalancing's look takes: some 0.2 us each, and those
 * that may move are sorted in the last. */
#define REBALANCE_SLICE_VMS 10000

/* VMs that a slice of the headroom's proof works for. */
#define HEADROOM_SLICE_VMS 5000

/* Members of groups that one turn makes or deletes. */
#define GROUP_MEMBERS_MAX 1000

/* A group whose members found no room within headroom tries again at most so
 * often: each try may prove all of it anew. */
#define GROUP_RETRY_MS 1000

/* Queued moves that one turn looks at, most of which wait for their hosts; and
 * claims that it gives up when a zone is lost. */
#define MOVE_LOOKS_MAX 10000

/* Moves that one turn asks for, for drains and to even out zones: more than the
 * budgets let begin at once. */
#define MOVE_BATCH_MAX 256

/* Drains that end in one turn because their time is over, and hosts that are
 * looked at for that: 30 bytes and 2 us, and 20 ns each. */
#define DRAIN_ENDS_MAX      1000
#define DRAIN_END_LOOKS_MAX 32768

/* How often drains are looked at although nothing changed (their deadlines, VMs
 * that found no place), and how often zones are compared. */
#define DRAIN_LOOK_MS     1000
#define REBALANCE_LOOK_MS 5000

/* Plans that the leader keeps, for so long; and how many steps of all of them
 * together: a step takes some 70 bytes with its name. One plan may have as
 * many: the loss of a zone of a region with 1,000,000 VMs has a third of that.
 */
#define PLANS_KEPT_MAX 16
#define PLAN_KEPT_MS   600000
#define PLAN_STEPS_MAX 1000000

/* Plans that wait to be worked out; one is at a time. */
#define PLAN_JOBS_MAX 16

/* Hosts or zones that one action names, and hosts that it imagines. */
#define PLAN_NAMES_MAX 1000
#define PLAN_HOSTS_MAX 10000

/* What one slice of a plan does; each takes some milliseconds at most. Fencing
 * a host releases its VMs (ten or so), each on a page that the clone then has
 * to copy; so does placing one. */
#define PLAN_SLICE_HOSTS   20
#define PLAN_SLICE_PLACED  300
#define PLAN_SLICE_VMS     300
#define PLAN_SLICE_MEMBERS 300
#define PLAN_SLICE_LOOKS   20000
#define PLAN_SLICE_WORK    100000 /* As TURN_WORK_MAX. */

/* Kinds of VMs whose lack of a place a plan explains in words. */
#define PLAN_REASONS_MAX 256

/* Rounds of a controller in a plan: more than a region needs, against one that
 * would never end. */
#define PLAN_ROUNDS_MAX 100000

/* Time that a VM takes to stop, and to start until starts were seen; for
 * estimates alone. */
#define PLAN_STOP_MS  1000
#define PLAN_START_MS 1000

/* States that are kept for listings, at most so many, and fewer where whole
 * copies of them would take more than so many bytes: each keeps the old copy of
 * every page of records that is changed meanwhile. A listing that asks for no
 * page for so long is taken to be given up, and none may go on for ever. */
#define PAGE_PINS_MAX       32
#define PAGE_PINS_MIN       2
#define PAGE_PINS_BYTES_MAX (UINT64_C(2) << 30)
#define PAGE_PIN_IDLE_MS    60000
#define PAGE_PIN_AGE_MS_MAX 600000

/* Names and beginnings of names that one watch asks for: each event is held
 * against all of them, at every watch. */
#define WATCH_NAMES_MAX    1000
#define WATCH_PREFIXES_MAX 16

/* How long a watch may be silent. Shorter than a tick of the node cannot be
 * kept; longer than a minute, and what lies between closes the connection. */
#define WATCH_HEARTBEAT_MS_DEFAULT 5000
#define WATCH_HEARTBEAT_MS_MIN     500
#define WATCH_HEARTBEAT_MS_MAX     60000

/* Hosts fenced in one turn, and VMs that these release, if it is not a single
 * host with more: each VM lies on a page that the scratch and the state copy, 1
 * to 2 us in all. */
#define FENCE_HOSTS_MAX 512
#define FENCE_VMS_MAX   4096

/* Restart delays after failures: 1 s, doubled each time up to this. */
#define RESTART_DELAY_MS_MAX 60000

/* A VM that ran this long is taken to have been healthy: its next failure is
 * the first again. */
#define RESTART_FORGET_MS 600000

/* How long the other hosts of a new region have to register after the first,
 * before pending VMs are placed: agents retry every second. */
#define SETTLE_MS 2000

/* A node whose state is so many entries older than what it knows to be
 * committed is not ready for reads: an entry is a turn, of which there are up
 * to some hundred a second. */
#define READY_LAG_ENTRIES_MAX 100

/* Audit records that one page of a list unpacks, some microseconds each. */
#define AUDIT_LOOKS_MAX 10000

/* Callers that are told apart at a time: more than connections, each of which
 * has one caller or some tokens. 100 bytes each. */
#define LIMITER_CALLERS_MAX 8192

/* What a caller may by default (config.proto): with TLS, more than programs
 * ask for that are well, and less than keeps a node busy. Without it all of a
 * machine are one caller, who has the node for himself. */
#define CALLER_CALLS_PER_SECOND          20000
#define CALLER_STREAMS                   1000
#define CALLER_MIB                       128
#define CALLER_LOOPBACK_CALLS_PER_SECOND 1000000
#define CALLER_LOOPBACK_STREAMS          100000
#define CALLER_LOOPBACK_MIB              1024
/* How long a call may wait for an operation, and does unless it says so; how
 * many may, and how often some of them look: a look at a group goes over its
 * members. */
#define OPERATION_WAIT_MS_MAX 60000
#define OPERATION_WAIT_MS     30000
#define OPERATION_WAITS_MAX   1024
#define OPERATION_LOOK_MS     50
#define OPERATION_LOOKS       16

/* What is kept of applies takes at most so much, and one more than APPLIES_MAX
 * or this makes the oldest go that is over, or, if none of so many of the
 * oldest is, the oldest. */
#define APPLIES_BYTES_MAX (8u << 20)
#define APPLY_LOOKS_OLD   16

/* How often applies are looked at, to note that they are over; and how many
 * parts of all of them in one turn, or by a call that waits: 50 to 100 ns each.
 */
#define APPLY_LOOK_MS   250
#define APPLY_LOOKS_MAX 20000

/* What the cancelling of an apply may add to an entry, beside the last of its
 * parts: a group with a template of 16 KiB. */
#define APPLY_CANCEL_BYTES (TURN_REQUEST_BYTES_MAX / 2)

/* Names of parts that are left, in an answer. */
#define APPLY_LEFT_TOLD 16

/* Parts of applies that are searched for who began an operation: 5 ns a byte.
 */
#define APPLY_BEGUN_BYTES (1u << 20)

/* Audit records that are searched for who began an operation: some 50 ns each.
 */
#define OPERATION_BEGUN_LOOKS 10000

/* Records that one page of operations looks at. */
#define OPERATION_LOOKS_MAX 100000

/* An order that had no effect is given again after this long. */
#define ORDER_REPEAT_MS 3000

#endif
