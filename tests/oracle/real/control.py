"""coppice as a running program: its process, its control socket, its event stream.

A manager that is killed is part of some tests: then all connections end, a new manager takes over,
and what it did before the stream began again is read from the trace of the core. Events have the
numbers of their orders, so that none is missed and none is taken twice.
"""
import collections
import itertools
import json
import os
import re
import select
import selectors
import signal
import socket
import subprocess
import time

INTERFACE = "org.coppice.Control."


class Wrong(Exception):
    """The run cannot go on, or what coppice says does not fit what the processes saw."""


def can_read(thing, deadline):
    return bool(select.select([thing], [], [], max(0, deadline - time.monotonic()))[0])


def process_state(pid):
    """The letter of proc(5), or None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


class Channel:
    """A connection to the control socket: Varlink, JSON objects ended by NUL."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.rest, self.replies, self.ended = b"", collections.deque(), False
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)

    def call(self, method, parameters, more=False):
        message = {"method": INTERFACE + method, "parameters": parameters}
        if more:
            message["more"] = True
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\0")
        except OSError:
            pass  # it has ended, which is seen when it is read

    def receive(self):
        """All that has come."""
        while not self.ended:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self.ended = not data
            *whole, self.rest = (self.rest + data).split(b"\0")
            self.replies.extend(json.loads(w) for w in whole)

    def wait(self, deadline):
        """The next reply; None when the connection has ended."""
        while not self.replies and not self.ended:
            if not can_read(self.socket, deadline):
                raise Wrong("waited too long for a reply")
            self.receive()
        return self.replies.popleft() if self.replies else None


class Request:
    """A call that may be sent again to the next manager. `reply` is None until it is answered."""

    def __init__(self, method, parameters):
        self.method, self.parameters = method, parameters
        self.reply, self.channel = None, None


def event_of_trace(line):
    """A line of the core's trace ("  7 > note c1.service running none") as an event of the stream;
    None for a line that is none."""
    found = re.match(r"\s*(\d+) > note (\S+) (\S+) (\S+)$", line)
    if not found:
        return None
    number, unit, event, reason = found.groups()
    return {"sequence": int(number), "unit": unit, "event": event, "pid": 0, "reason": reason}


class Coppice:
    """`events` is a queue of what the stream told; `down` is set when the process has ended."""

    def __init__(self, arguments, path, environment, log, selector):
        self.path, self.selector = path, selector
        self.events, self.last = collections.deque(), 0
        self.open, self.stream, self.down = [], None, False
        self.manager, self.kills = 0, 0
        self.ids = itertools.count(1)
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, env=environment)

    # --- connections ----------------------------------------------------------------------------

    def watch(self, channel):
        self.selector.register(channel.socket, selectors.EVENT_READ, ("channel", channel))

    def close(self, channel):
        if channel.socket.fileno() >= 0:
            self.selector.unregister(channel.socket)
            channel.socket.close()
        channel.ended = True

    def connect_first(self, deadline):
        while True:
            if self.process.poll() is not None:
                raise Wrong("coppice ended with %d" % self.process.returncode)
            if self.connect(deadline):
                return
            if time.monotonic() > deadline:
                raise Wrong("waited too long for the control socket")
            time.sleep(0.0005)

    def connect(self, deadline):
        """Begins the stream (again). False when nobody answers."""
        try:
            stream, helper = Channel(self.path), Channel(self.path)
        except OSError:
            return False
        stream.call("Subscribe", {}, more=True)
        begun = stream.wait(deadline)
        helper.call("Trace", {})
        trace = helper.wait(deadline)
        helper.call("Status", {})
        status = helper.wait(deadline)
        helper.socket.close()
        if not begun or not trace or not status:
            stream.socket.close()
            return False
        self.manager = status["parameters"]["manager_pid"]
        for line in trace["parameters"]["lines"]:
            event = event_of_trace(line)
            if event:
                self.take(event)
        self.stream = stream
        self.watch(stream)
        self.take_stream()
        return True

    def take(self, event):
        if event["sequence"] > self.last:
            self.last = event["sequence"]
            self.events.append(event)

    def take_stream(self):
        while self.stream.replies:
            event = self.stream.replies.popleft()["parameters"].get("event")
            if event:
                self.take(event)

    def serve(self, channel, deadline):
        """The channel can be read."""
        if channel.ended:
            return
        channel.receive()
        if channel.ended:
            self.close(channel)
        if channel is self.stream:
            self.take_stream()
            if channel.ended:
                self.lost(deadline)

    def drain(self, deadline):
        """What the stream has told until now, without waiting."""
        if not self.down:
            self.serve(self.stream, deadline)

    def lost(self, deadline):
        """The manager is gone: killed by us, or with all of coppice."""
        while not self.connect(deadline):
            if self.process.poll() is not None:
                self.down = True
                break
            if time.monotonic() > deadline:
                raise Wrong("waited too long for a new manager")
            time.sleep(0.0005)
        if not self.down and self.kills == 0:
            raise Wrong("the manager died, and nobody killed it")
        for request in self.open:
            self.keep_reply(request)
            if request.reply is None and not self.down:
                self.send(request)

    # --- requests -------------------------------------------------------------------------------

    def send(self, request):
        if request.channel:
            self.close(request.channel)
        try:
            request.channel = Channel(self.path)
        except OSError:
            return  # coppice has ended, or is about to: the stream will tell
        self.watch(request.channel)
        request.channel.call(request.method, request.parameters)

    def request(self, method, **parameters):
        """Sends a call; answered() says when its reply is there."""
        request = Request(method, parameters)
        self.open.append(request)
        if not self.down:
            self.send(request)
        return request

    def change(self, method, **parameters):
        """The same, done once however often it must be sent."""
        return self.request(method, id="driver-%d" % next(self.ids), **parameters)

    def keep_reply(self, request):
        if request.reply is None and request.channel and request.channel.replies:
            request.reply = request.channel.replies.popleft()

    def answered(self, request):
        """True when the reply is there, or will never be."""
        self.keep_reply(request)
        if request.reply is None and not self.down:
            return False
        if request in self.open:
            self.open.remove(request)
            if request.channel:
                self.close(request.channel)
        return True

    # --- violence -------------------------------------------------------------------------------

    def kill_manager(self):
        self.kills += 1
        try:
            os.kill(self.manager, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has just ended, with the tree
        self.manager = 0  # until the next one has said its number

    def finish(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
