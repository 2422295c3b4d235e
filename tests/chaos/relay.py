# SPDX-License-Identifier: Apache-2.0
"""The network between the bench's processes: a relay in user space.

Nodes and agents speak only to loopback without TLS, so namespaces with
addresses of their own are not for them, and this kernel has no netem. Here
every pair of ends (a zone's node, a host, the clients) has a port of its own on
loopback, and bytes pass one program that can hold them back one way or both
ways, delay them, or reset connections. It needs no rights and leaves nothing
behind. A connection that is held back stays open and silent, as with lost
packets; what was sent flows on when the link is healed, if both sides are
still there. No packets are lost, doubled or reordered within a connection: TCP
would not show that to anyone but by delay.

As a program: the first line of stdin is JSON, [[from, to, address], ...]; it
answers with the ports to connect to, in that order. Then commands, each
answered with a line: `cut A B` and `heal A B` (the direction from A to B),
`delay A B MS`, `reset A B` (both directions' connections). `*` is any end.
End of input ends it."""

import collections
import fnmatch
import json
import os
import select
import selectors
import socket
import struct
import subprocess
import sys
import time

CHUNK = 65536
QUEUE_MAX = 1 << 20  # Bytes on their way in one direction.


class Direction:
    """Bytes from one socket to another."""

    def __init__(self, source, sink, ends):
        self.source = source
        self.sink = sink
        self.ends = ends
        self.queue = collections.deque()  # (when it may go on, bytes)
        self.queued = 0
        self.ended = False  # The source has said its last.
        self.closed = False  # And the sink was told.


class Connection:
    def __init__(self, accepted, link):
        self.accepted = accepted
        self.link = link
        self.dialled = None
        self.connected = False
        self.directions = []

    def sockets(self):
        return [s for s in (self.accepted, self.dialled) if s is not None]


class Listener:
    """While its link is cut, nobody is answered, as if packets were lost: the
    queue of those to be accepted is full, and the kernel drops the rest."""

    def __init__(self, listener, link):
        self.socket = listener
        self.link = link
        self.plugs = []

    def plug(self):
        self.socket.listen(0)
        while True:
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(self.socket.getsockname())
            self.plugs.append(one)
            if not select.select([], [one], [], 0.002)[1]:
                return

    def unplug(self):
        for one in self.plugs:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
            one.close()
        self.plugs = []
        self.socket.listen(64)


class Relay:
    def __init__(self, links):
        self.selector = selectors.DefaultSelector()
        self.cut = collections.Counter()
        self.delays = {}
        self.ends = sorted({e for link in links for e in link[:2]})
        self.connections = set()
        self.ports = []
        self.listeners = []
        for source, target, address in links:
            listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            listener.setblocking(False)
            self.listeners.append(Listener(listener, (source, target,
                                                      address)))
            self.selector.register(listener, selectors.EVENT_READ,
                                   ("listener", self.listeners[-1]))
            self.ports.append(listener.getsockname()[1])

    # Connections -----------------------------------------------------------

    def is_cut(self, ends):
        return self.cut[ends] > 0

    def cut_listeners(self):
        """A handshake needs both directions."""
        for one in self.listeners:
            source, target, _ = one.link
            cut = self.is_cut((source, target)) or self.is_cut((target,
                                                                source))
            if cut and not one.plugs:
                self.selector.unregister(one.socket)
                one.plug()
            elif not cut and one.plugs:
                one.unplug()
                self.selector.register(one.socket, selectors.EVENT_READ,
                                       ("listener", one))

    def accept(self, listener):
        link = listener.link
        try:
            accepted, _ = listener.socket.accept()
        except OSError:
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(accepted, link)
        self.connections.add(connection)
        self.dial(connection)

    def dial(self, connection):
        """Not over a cut that came after it was accepted: later."""
        source, target, address = connection.link
        if self.is_cut((source, target)) or self.is_cut((target, source)):
            return
        host, _, port = address.rpartition(":")
        connection.dialled = socket.socket()
        connection.dialled.setblocking(False)
        connection.dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY,
                                      1)
        connection.dialled.connect_ex((host, int(port)))
        connection.directions = [
            Direction(connection.accepted, connection.dialled,
                      (source, target)),
            Direction(connection.dialled, connection.accepted,
                      (target, source))]

    def reset(self, connection):
        for one in connection.sockets():
            try:
                self.selector.unregister(one)
            except (KeyError, ValueError):
                pass
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
            one.close()
        self.connections.discard(connection)

    def advance(self, connection, readable, writable):
        """Moves what can be moved; whether the connection still lives."""
        if connection.dialled is None:
            self.dial(connection)
            return True
        if not connection.connected:
            if connection.dialled not in writable:
                return True
            if connection.dialled.getsockopt(socket.SOL_SOCKET,
                                             socket.SO_ERROR):
                return False
            connection.connected = True
        now = time.monotonic()
        for direction in connection.directions:
            if self.is_cut(direction.ends):
                continue
            if direction.source in readable and not self.receive(direction,
                                                                 now):
                return False
            if not self.send(direction, now):
                return False
        return not all(d.closed for d in connection.directions)

    def receive(self, direction, now):
        if direction.ended or direction.queued >= QUEUE_MAX:
            return True
        try:
            data = direction.source.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if not data:
            direction.ended = True
            return True
        delay = self.delays.get(direction.ends, 0)
        direction.queue.append((now + delay, data))
        direction.queued += len(data)
        return True

    @staticmethod
    def send(direction, now):
        queue = direction.queue
        while queue and queue[0][0] <= now:
            due, data = queue.popleft()
            try:
                sent = direction.sink.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                return False
            direction.queued -= sent
            if sent < len(data):
                queue.appendleft((due, data[sent:]))
                break
        if direction.ended and not queue and not direction.closed:
            direction.closed = True
            try:
                direction.sink.shutdown(socket.SHUT_WR)
            except OSError:
                return False
        return True

    # The loop --------------------------------------------------------------

    def interest(self, connection):
        """What to wait for: socket -> events; and when to look again."""
        wanted = dict.fromkeys(connection.sockets(), 0)
        due = None
        if connection.dialled is not None and not connection.connected:
            wanted[connection.dialled] |= selectors.EVENT_WRITE
            return wanted, due
        for direction in connection.directions:
            if self.is_cut(direction.ends):
                continue
            if not direction.ended and direction.queued < QUEUE_MAX:
                wanted[direction.source] |= selectors.EVENT_READ
            if direction.queue:
                first = direction.queue[0][0]
                if first <= time.monotonic():
                    wanted[direction.sink] |= selectors.EVENT_WRITE
                else:
                    due = first if due is None else min(due, first)
        return wanted, due

    def register(self, connection):
        wanted, due = self.interest(connection)
        for one, events in wanted.items():
            known = self.selector.get_map().get(one.fileno())
            if known is None and events:
                self.selector.register(one, events, ("data", connection))
            elif known is not None and not events:
                self.selector.unregister(one)
            elif known is not None and known.events != events:
                self.selector.modify(one, events, ("data", connection))
        return due

    def update(self, connections):
        due = None
        for connection in connections:
            one = self.register(connection)
            if one is not None:
                due = one if due is None else min(due, one)
        return due

    def pairs(self, one, other):
        return [(a, b) for a in self.ends for b in self.ends if a != b and
                fnmatch.fnmatch(a, one) and fnmatch.fnmatch(b, other)]

    def command(self, line):
        word, one, other, *rest = line.split()
        for pair in self.pairs(one, other):
            if word == "cut":
                self.cut[pair] = 1
            elif word == "heal":
                self.cut[pair] = 0
            elif word == "delay":
                self.delays[pair] = int(rest[0]) / 1000
            elif word == "reset":
                for connection in list(self.connections):
                    if set(connection.link[:2]) == set(pair):
                        self.reset(connection)
            else:
                raise ValueError(line)

    def run(self):
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ, ("input", None))
        text = b""
        while True:
            # A change of the network concerns all; they are few.
            due = self.update(list(self.connections))
            timeout = None if due is None else max(0, due - time.monotonic())
            readable, writable, touched = set(), set(), set()
            for key, events in self.selector.select(timeout):
                kind, what = key.data
                if kind == "listener":
                    self.accept(what)
                elif kind == "input":
                    data = os.read(0, CHUNK)
                    if not data:
                        return
                    *lines, text = (text + data).split(b"\n")
                    for line in lines:
                        self.command(line.decode())
                        self.cut_listeners()
                        print("done", flush=True)
                else:
                    touched.add(what)
                    if events & selectors.EVENT_READ:
                        readable.add(key.fileobj)
                    if events & selectors.EVENT_WRITE:
                        writable.add(key.fileobj)
            for connection in list(self.connections):
                if not self.advance(connection, readable, writable):
                    self.reset(connection)


class Network:
    """The relay as the bench sees it."""

    def __init__(self, links, prepare=None):
        self.child = subprocess.Popen(
            [sys.executable, "-B", os.path.abspath(__file__)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True, preexec_fn=prepare)
        self.child.stdin.write(json.dumps(links) + "\n")
        self.child.stdin.flush()
        ports = json.loads(self.child.stdout.readline())
        self.ports = {link[:2]: port for link, port in zip(links, ports)}
        self.changed = False

    def address(self, source, target):
        return f"127.0.0.1:{self.ports[source, target]}"

    def tell(self, *words):
        self.child.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.child.stdin.flush()
        if self.child.stdout.readline() != "done\n":
            raise RuntimeError("the relay has died")
        self.changed = True

    def cut(self, one, other):
        """Both ways; each may be `*`."""
        self.tell("cut", one, other)
        self.tell("cut", other, one)

    def cut_from(self, one, other):
        """What `one` sends to `other` does not arrive."""
        self.tell("cut", one, other)

    def heal(self, one="*", other="*"):
        self.tell("heal", one, other)
        self.tell("heal", other, one)

    def delay(self, one, other, each_way_ms):
        self.tell("delay", one, other, each_way_ms)
        self.tell("delay", other, one, each_way_ms)

    def reset(self, one, other):
        self.tell("reset", one, other)

    def well(self):
        self.heal()
        self.delay("*", "*", 0)

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


def main():
    relay = Relay([tuple(link) for link in json.loads(read_line())])
    print(json.dumps(relay.ports), flush=True)
    relay.run()


def read_line():
    """One line of input, and nothing of what comes after it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(2)
        line += byte
    return line.decode()


if __name__ == "__main__":
    main()
