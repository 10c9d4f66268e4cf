#!/usr/bin/env python3
"""Runs scenarios of the comparison with OTP through coppice with real processes, and prints the
trace that otp_oracle.escript prints for OTP's supervisor.

usage: real_trace.py [--keep] [--verbose] [--kill P] FILE...

BUILD names the build directory (build). For each scenario it writes unit files, starts coppice as
an ordinary process, and plays the world: every leaf of the tree is a process (leaf.c) that asks
here what to do. Lines about supervisors, starts and stops come from coppice's event stream; how a
process ended comes from the processes themselves; both must agree.

With --kill P the manager is killed with SIGKILL after each event of the stream with probability P,
and once in two times while several deaths wait for it. The trace must be the same.
"""
import argparse
import collections
import os
import random
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import scenarios  # noqa: E402
import units  # noqa: E402
from control import INTERFACE, Coppice, Wrong, can_read, process_state  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
PATIENCE_S = 30
END_STATUS = {"crash": 1, "exit": 0, "kill": 128 + signal.SIGKILL, "exitshut": 128 + signal.SIGTERM}


class Leaf:
    """One process of a service: its connection, and what is known of it."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.setblocking(False)
        self.name, self.pid, self.pidfd, self.hurt = None, 0, -1, None
        self.last_word, self.ended = None, False

    def reaped(self):
        """Not even a zombie any more; a number could be another process's by now."""
        if self.pidfd < 0:
            return True
        with open("/proc/self/fdinfo/%d" % self.pidfd) as f:
            return "Pid:\t-1\n" in f.read()

    def say(self, word):
        self.socket.send(word.encode())

    def receive(self):
        """True when its greeting is among what has come."""
        greeted = False
        while not self.ended:
            try:
                words = self.socket.recv(256).decode().split()
            except BlockingIOError:
                break
            except OSError:
                words = []
            if not words:
                self.ended = True
            elif words[0] == "hello":
                self.name, self.pid, greeted = words[1], int(words[2]), True
                try:
                    self.pidfd = os.pidfd_open(self.pid)
                except ProcessLookupError:
                    pass  # gone already
            else:
                self.last_word = " ".join(words)
        return greeted


class Run:
    """One scenario."""

    def __init__(self, scenario, folder, verbose, kill, seed):
        self.scenario, self.folder, self.verbose = scenario, folder, verbose
        self.kill, self.random = kill, random.Random(seed)
        self.out, self.lines = [], []
        self.selector = selectors.DefaultSelector()
        self.coppice, self.log = None, None
        self.leaves = {}    # name -> Leaf that is up
        self.known = []     # every Leaf that there was
        self.hellos = []    # Leaf that waits for its first word
        self.starts = collections.Counter()  # attempts that the stream told of, by name
        self.greetings = collections.Counter()
        self.fail, self.ignore = collections.Counter(), collections.Counter()
        self.gates = {}     # name -> (mode, command)
        self.sequences = collections.Counter()
        self.instances = []
        self.up = set()     # supervisors
        self.ever = set()   # leaves that were up once
        self.breaking = set()  # leaves whose start is being broken off
        self.died = []      # (name, how) of this event
        self.root_cause = None
        self.shown = [s.id for s in scenario.specs.values() if not scenario.is_template(s.id)]
        self.gate_requests = []
        self.deadline = 0

    # --- waiting --------------------------------------------------------------------------------

    def pump(self, condition, what):
        """Serves the world until the condition holds."""
        while True:
            self.take_events()
            self.answer_hellos()
            if condition():
                return
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise Wrong("waited too long for " + what)
            self.serve(left)

    def serve(self, timeout):
        for key, _ in self.selector.select(timeout):
            kind, thing = key.data
            if kind == "door":
                leaf = Leaf(thing.accept()[0])
                self.selector.register(leaf.socket, selectors.EVENT_READ, ("leaf", leaf))
            elif kind == "channel":
                self.coppice.serve(thing, self.deadline)
            elif not thing.ended:
                self.receive(thing)

    def receive(self, leaf):
        if leaf.receive():
            self.greetings[leaf.name] += 1
            self.known.append(leaf)
            self.hellos.append(leaf)
        if leaf.ended:
            self.selector.unregister(leaf.socket)
            leaf.socket.close()

    def poll(self, condition, what):
        """For what the kernel gives no word of."""
        while not condition():
            if time.monotonic() > self.deadline:
                raise Wrong("waited too long for " + what)
            time.sleep(0.0002)

    def down(self):
        return self.coppice.down

    # --- the event stream -----------------------------------------------------------------------

    def take_events(self):
        while self.coppice.events:
            self.take_event(self.coppice.events.popleft())

    def take_event(self, event):
        if self.verbose:
            print("    {sequence} {event} {unit} {pid} {reason}".format(**event), file=sys.stderr)
        name, kind = units.id_of(event["unit"]), event["event"]
        if self.scenario.is_supervisor(name):
            self.take_supervisor_event(name, kind, event["reason"])
        else:
            self.take_leaf_event(name, kind, event)
        if self.coppice.manager and self.random.random() < self.kill:
            self.kill_manager()

    def take_supervisor_event(self, name, kind, reason):
        if kind == "begin":
            self.lines.append("begin " + name)
            self.up.add(name)
        elif kind == "escalated":
            self.lines.append("giveup " + name)
        elif kind == "ended":
            self.lines.append("end %s %s" % (name, reason))
            self.up.discard(name)
            if name == self.scenario.root:
                self.root_cause = reason

    def take_leaf_event(self, name, kind, event):
        if kind == "starting":
            self.starts[name] += 1
        elif kind == "running":
            self.lines.append("start " + name)
        elif kind == "start-failed":
            self.lines.append("fail " + name)
        elif kind == "skipped":
            self.lines.append("ignore " + name)
            self.starts[name] -= 1
            self.ignore[name] -= 1
            self.set_condition(name)
        elif kind in ("exited", "stopped"):
            self.take_end(name, kind, event)

    def take_end(self, name, kind, event):
        leaf = self.leaves.get(name)
        if leaf is None:
            if kind == "exited":
                raise Wrong("%s exited, and was not up" % name)
            if name in self.breaking:
                self.lines.append("broken-off " + name)
            return  # it was not running, or not any more, when it was asked to stop
        if event["pid"] not in (0, leaf.pid):
            raise Wrong("%s was pid %d, its end tells of %d" % (name, leaf.pid, event["pid"]))
        del self.leaves[name]
        self.read_to_end(leaf)
        if leaf.hurt:
            if leaf.hurt != "told":
                self.tell_death(leaf)
        elif kind == "exited":
            raise Wrong("%s ended by itself (%s), and was not told to" % (name, event["reason"]))
        else:
            word, *how = (leaf.last_word or "killed").split()
            self.lines.append(" ".join([word, name] + how))

    def tell_death(self, leaf):
        self.lines.append("died %s %s" % (leaf.name, leaf.hurt))
        self.died.append((leaf.name, leaf.hurt))
        leaf.hurt = "told"

    def read_to_end(self, leaf):
        """The supervisor says that the process is gone: its connection must say so, too."""
        while not leaf.ended:
            if not can_read(leaf.socket, self.deadline):
                raise Wrong("%s is said to be gone, and its process lives" % leaf.name)
            self.receive(leaf)

    def kill_manager(self):
        if self.verbose:
            print("    (the manager is killed)", file=sys.stderr)
        self.coppice.kill_manager()

    # --- starts ---------------------------------------------------------------------------------

    def answer_hellos(self):
        """A process may only be answered when the stream has told of this very attempt: then all
        that happened before it is known."""
        for leaf in list(self.hellos):
            if leaf in self.hellos and self.starts[leaf.name] >= self.greetings[leaf.name]:
                self.hellos.remove(leaf)
                self.answer_hello(leaf)

    def answer_hello(self, leaf):
        name = leaf.name
        if name in self.leaves:
            raise Wrong("a second process of %s: %d beside %d" % (name, leaf.pid,
                                                                   self.leaves[name].pid))
        mode, command = self.gates.pop(name, (None, None))
        if command == ["shutdown"]:
            self.breaking.add(name)
        if mode:
            self.gate(command)
        if name in self.breaking:
            self.pump(lambda: leaf.ended, "a start to be broken off")
            return
        fails = mode == "during"
        if not fails and self.fail[name] > 0:
            self.fail[name] -= 1
            fails = True
        self.set_condition(name)
        if not fails:
            self.leaves[name] = leaf
            self.ever.add(name)
        leaf.say("fail" if fails else "go")

    def gate(self, command):
        """The command has arrived before the answer to the process that starts goes out."""
        if command[0] in scenarios.HURTS:
            leaf = self.hurt(command[0], command[1])
            if leaf:
                self.pump(lambda: leaf.hurt == "told", "the death of " + leaf.name)
            return
        if command[0] == "shutdown":
            self.ask("Shutdown")
            return
        method, parameters = self.request_of(command)
        # The repetition is answered at once, and behind the request itself, which has arrived then.
        request = self.coppice.change(method, **parameters)
        arrived = self.coppice.request(method, no_wait=True, **request.parameters)
        self.pump(lambda: self.coppice.answered(arrived), "acceptance of " + method)
        self.gate_requests.append((command, request))

    def set_condition(self, name):
        """The file whose existence makes coppice skip a start: there when the next attempt is one
        to be ignored."""
        path = units.condition_path(self.folder, name)
        mode = self.gates.get(name, (None,))[0]
        skip = self.ignore[name] > 0 and self.fail[name] == 0 and mode != "during"
        if skip and not os.path.exists(path):
            open(path, "w").close()
        elif not skip and os.path.exists(path):
            os.unlink(path)

    # --- deaths ---------------------------------------------------------------------------------

    def hurt(self, how, name):
        leaf = self.leaves.get(name)
        if leaf is None:
            return None
        leaf.hurt = how
        leaf.say(how)
        return leaf

    def event_hurt(self, how, name):
        leaf = self.hurt(how, name)
        if leaf is None:
            return ["reply noop"]
        self.pump(lambda: leaf.hurt == "told" or self.down(), "the death of " + name)
        return []

    def event_multi(self, *deaths):
        pairs = [d.split(":", 1) for d in deaths]
        pairs = [(how, name) for how, name in pairs if name in self.leaves]
        if not pairs:
            return ["reply noop"]
        leaves = {name: self.leaves[name] for _, name in pairs}
        manager = self.ask("Status")["manager_pid"]
        os.kill(manager, signal.SIGSTOP)
        try:
            self.poll(lambda: process_state(manager) == "T", "the manager to stand still")
            for how, name in pairs:
                leaf = self.hurt(how, name)
                self.poll(leaf.reaped, name + " to be reaped")
                self.tell_death(leaf)
        finally:
            if self.kill and self.random.random() < .5:
                self.kill_manager()
            else:
                os.kill(manager, signal.SIGCONT)
        self.pump(lambda: self.down() or all(self.leaves.get(n) is not leaf
                                             for n, leaf in leaves.items()),
                  "the deaths of " + " ".join(leaves))
        return []

    # --- requests -------------------------------------------------------------------------------

    def ask(self, method, **parameters):
        """What only looks, and Shutdown; None when coppice has ended."""
        request = self.coppice.request(method, **parameters)
        self.pump(lambda: self.coppice.answered(request), "an answer to " + method)
        if request.reply and "error" in request.reply:
            raise Wrong("%s: %s" % (method, request.reply))
        return request.reply and request.reply["parameters"]

    def request_of(self, words):
        """(method, parameters)"""
        verb = words[0]
        name = words[2] if verb == "start_child" else words[1]
        unit = units.unit_of(self.scenario, name)
        if verb == "terminate":
            return "Stop", {"unit": unit, "once": True}
        if verb == "delete":
            return "Delete", {"unit": unit}
        return "Start", {"unit": unit}

    def result_of(self, words, reply):
        """OTP's word for coppice's answer to a request."""
        if reply is None:
            return "error supervisor_down"
        if "error" not in reply:
            result = reply["parameters"]["result"]
            if words[0] == "start_child" and result == "error running":
                return "error already_started"  # Start is both calls of OTP
            return result
        if reply["error"] != INTERFACE + "NoSuchUnit":
            raise Wrong("%s: %s" % (" ".join(words), reply))
        # An instance that is gone is unknown to coppice; OTP takes a dead pid without a word.
        known = words[1] in self.ever and self.scenario.parent(words[1]) in self.up
        return "ok" if known else "no_such_supervisor"

    def event_request(self, *words):
        method, parameters = self.request_of(words)
        request = self.coppice.change(method, **parameters)
        self.pump(lambda: self.coppice.answered(request), "an answer to " + method)
        return ["reply " + self.result_of(words, request.reply)]

    def event_start_child(self, *words):
        if words[1] not in self.shown:
            self.shown.append(words[1])
        return self.event_request("start_child", *words)

    def gate_replies(self):
        lines = []
        for command, request in self.gate_requests:
            words = " ".join(command)
            self.pump(lambda: self.coppice.answered(request), "an answer to " + words)
            lines.append("reply %s -> %s" % (words, self.result_of(command, request.reply)))
        self.gate_requests = []
        return sorted(lines)

    def event_spawn(self, supervisor):
        self.sequences[supervisor] += 1
        template = self.scenario.children(supervisor)[0]
        name = "%s#%d" % (template, self.sequences[supervisor])
        self.shown.append(name)
        self.instances.append(name)
        return self.event_request("spawn", name)

    # --- looking --------------------------------------------------------------------------------

    def event_count(self, supervisor):
        if supervisor not in self.up:
            return ["reply no_such_supervisor"]
        c = self.ask("Count", supervisor=units.unit_of(self.scenario, supervisor))
        return ["count specs=%d active=%d supervisors=%d workers=%d" % (
            c["specs"], c["active"], c["supervisors"], c["workers"])]

    def event_which(self, supervisor):
        if supervisor not in self.up:
            return ["reply no_such_supervisor"]
        words = ["%s=%s" % (name, "stopped" if state == "stopped" else "run")
                 for name, parent, state in reversed(self.list_units()) if parent == supervisor]
        if self.scenario.is_simple(supervisor):
            words.sort()
        return [" ".join(["which"] + words)]

    def list_units(self):
        """(id, id of its supervisor, run | up | stopped) of all whose spec a living supervisor
        has, in the order of the tree."""
        found = []
        for u in self.ask("List")["units"]:
            name = units.id_of(u["unit"])
            parent = units.id_of(u["parent"]) if u["parent"] else None
            if not u["present"] or (parent and parent not in self.up):
                continue
            supervisor = self.scenario.is_supervisor(name)
            alive = u["state"] == "running"
            if not alive and u["state"] not in ("stopped", "failed", "done"):
                raise Wrong("%s is %s, and all is said to be settled" % (u["unit"], u["state"]))
            if alive != (name in self.up if supervisor else name in self.leaves):
                raise Wrong("%s is said to be %s" % (u["unit"], u["state"]))
            if alive and not supervisor and u["pid"] != self.leaves[name].pid:
                raise Wrong("%s has pid %d, its process %d" % (u["unit"], u["pid"],
                                                                self.leaves[name].pid))
            word = ("up" if supervisor else "run") if alive else "stopped"
            found.append((name, parent, word))
        return found

    def state_line(self):
        states = {name: state for name, _, state in self.list_units()}
        return " ".join(["state"] + ["%s=%s" % (i, states.get(i, "gone")) for i in self.shown])

    # --- events of the scenario -----------------------------------------------------------------

    def event_sleep(self, ms):
        until = time.monotonic() + int(ms) / 1000
        while time.monotonic() < until and not self.down():
            self.serve(max(0, until - time.monotonic()))
            self.take_events()
            self.answer_hellos()
        return []

    def event_shutdown(self):
        self.ask("Shutdown")
        self.pump(self.down, "the end")
        return []

    def event_start(self):
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.bind(os.path.join(self.folder, "driver"))
        door.listen(256)
        self.selector.register(door, selectors.EVENT_READ, ("door", door))
        control = os.path.join(self.folder, "run", "control")
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.coppice = Coppice(
            [os.path.join(BUILD, "coppice"), "-r", units.unit_of(self.scenario, self.scenario.root),
             "-u", os.path.join(self.folder, "units"), "-S", control],
            control, units.environment(self.folder), self.log, self.selector)
        self.coppice.connect_first(self.deadline)
        return []

    def arm(self, words):
        if words[0] not in scenarios.ARMS:
            return False
        verb, name = words[0], words[1]
        if verb == "failstart":
            self.fail[name] = int(words[2])
        elif verb == "ignorestart":
            self.ignore[name] = int(words[2])
        else:
            self.gates[name] = (verb, words[2:])
        self.set_condition(name)
        return True

    def do(self, words):
        """Returns the lines that come after the trace."""
        verb = words[0]
        if verb in scenarios.HURTS:
            return self.event_hurt(*words)
        if verb in ("terminate", "restart", "delete"):
            return self.event_request(*words)
        return getattr(self, "event_" + verb)(*words[1:])

    def settle(self):
        """Until nothing moves any more, or the root is down."""
        self.ask("Settle", timeout_ms=PATIENCE_S * 1000)
        self.coppice.drain(self.deadline)
        self.take_events()
        if self.root_cause:
            self.pump(self.down, "the end of the stream")

    def run_event(self, words):
        """False when the root is down."""
        if self.arm(words):
            return True
        self.died = []
        self.deadline = time.monotonic() + PATIENCE_S
        self.out.append("> " + " ".join(words))
        if self.verbose:
            print(self.out[-1], file=sys.stderr)
        extra = self.do(words)
        if not self.down():
            self.settle()
        self.block(self.gate_replies() + extra)
        if self.down():
            self.finish(self.root_cause)
            return False
        self.out.append(self.state_line())
        return True

    def block(self, extra):
        self.take_events()
        self.out += units.group_stops(self.lines, set(self.instances)) + extra
        self.lines = []

    def finish(self, cause):
        """The root is down: coppice must end, with the right status, and leave nothing behind."""
        status = self.coppice.process.wait(timeout=PATIENCE_S)
        own = [how for name, how in self.died if self.scenario.parent(name) == self.scenario.root]
        if cause is None and self.coppice.kills:
            # The tree ended while the next manager was starting: nobody could tell of it.
            self.out.append("root down lost %d" % status)
        else:
            self.out.append("root down %s" % cause)
            if not status_fits(cause, own, status):
                raise Wrong("the root is down (%s), and coppice ended with %d" % (cause, status))
            if self.leaves:
                raise Wrong("nobody told of the end of " + " ".join(self.leaves))
        if not all(l.reaped() for l in self.known):
            raise Wrong("processes are left behind")

    def run(self):
        units.write(self.scenario, self.folder, os.path.join(BUILD, "tests", "oracle", "leaf"))
        try:
            for words in self.scenario.events:
                if not self.run_event(words):
                    break
            else:
                self.deadline = time.monotonic() + PATIENCE_S
                self.out.append("> (end)")
                self.event_shutdown()
                self.block([])
                self.finish(self.root_cause)
        finally:
            self.clean_up()

    def clean_up(self):
        if self.coppice:
            self.coppice.finish()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        for leaf in self.known:
            if leaf.pidfd >= 0:
                os.close(leaf.pidfd)
        if self.log:
            self.log.close()

    def said(self):
        """What coppice and the leaves wrote, for a person."""
        path = os.path.join(self.folder, "log")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-20:])


def status_fits(cause, ends, status):
    """Whether coppice may end with this status. `ends`: how children of the root died before."""
    if cause == "auto":
        return status in ([END_STATUS[how] for how in ends] or END_STATUS.values())
    return status == {"ordered": 0, "intensity": 1, "startfail": 1}.get(cause)


def trace(text, verbose=False, keep=False, kill=0, seed=None, statistics=None):
    """(trace, what went wrong or None, what coppice said). `statistics`: a Counter."""
    folder = tempfile.mkdtemp(prefix="coppice-real-")
    run, oops = Run(scenarios.Scenario(text), folder, verbose, kill, seed), None
    try:
        run.run()
    except Wrong as wrong:
        oops = str(wrong)
    except Exception:  # whatever it is, the scenario must be told
        oops = traceback.format_exc()
    finally:
        said = run.said()
        if statistics is not None and run.coppice:
            statistics["managers killed"] += run.coppice.kills
            statistics["ends that nobody told"] += run.root_cause is None
            statistics["processes"] += len(run.known)
        if keep:
            print("kept: " + folder, file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if oops:
        oops += "\nthe last event so far: " + ", ".join(run.lines)
    return "\n".join(run.out) + "\n", oops, said


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("files", nargs="+")
    a.add_argument("--verbose", action="store_true", help="the event stream on standard error")
    a.add_argument("--keep", action="store_true", help="keep the unit files and the log")
    a.add_argument("--kill", type=float, default=0, metavar="P")
    a.add_argument("--seed", default=None, help="of the kills")
    o = a.parse_args()
    status = 0
    for path in o.files:
        with open(path) as f:
            text = f.read()
        parts = scenarios.split(text) if "=== " in text else {"": text}
        for name, scenario in parts.items():
            if name:
                print("=== " + name)
            got, oops, said = trace(scenario, o.verbose, o.keep, o.kill, o.seed)
            print(got, end="", flush=True)
            if oops:
                print(oops + "\n" + said, file=sys.stderr)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
