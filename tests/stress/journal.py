"""Kills the manager with SIGKILL at random moments while children start, crash and stop and requests
arrive, and compares what the journal says with what the next manager says.

usage: journal.py [KILLS [SEED]]

One thread works on each supervisor and keeps a ledger of what must be (journal_groups.py): states,
starts, and which restarts were decided when. There are three sorts of kills:

  plain    at a random moment
  frozen   the manager is stopped at a random moment, what the journal says is kept, and the stopped
           manager is killed: whatever was in the journal, the next manager must know and go on with
  at rest  the threads pause, and the tree comes to rest. Then these must all say the same: the
           manager (list, show), the journal (journal_dump), after a kill the next manager, its
           journal, the kernel (/proc) and the ledger
"""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import journal_groups
from coppice import BUILD, Coppice, Gone, Tap, zombies
from journal_compare import TESTS, Comparison
from journal_groups import PATIENCE_S, Problem, Starts

AT_REST_EVERY, FROZEN_EVERY = 10, 5


class Driver:
    def __init__(self, kills, seed):
        self.kills, self.random = kills, random.Random(seed)
        self.dir = os.environ.get("TMPDIR", "/tmp") + "/coppice-journal-%d" % os.getpid()
        os.mkdir(self.dir)
        self.starts = Starts(self.dir + "/starts")
        self.groups = journal_groups.groups()
        self.root = journal_groups.root(self.groups)
        self.compare = Comparison()
        self.problems = []
        self.killed = 0  # the pid of the last manager that was
        self.operations = self.rests = self.frozen = 0
        self.turn = threading.Condition()
        self.pausing, self.working, self.ending = False, 0, False

    # --- operations of the groups; each is over when the tree has done what follows from it ---

    def unit(self, name):
        return next(g.units[name] for g in self.groups if name in g.units)

    def request(self, method, name):
        result = self.c.request(method, unit=name)["result"]
        if result != "ok":
            raise Problem("%s %s: %s" % (method, name, result))

    def watch(self, ready, what):
        """Waits until the listed units are as wanted; looks again at each event, not at intervals."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            events, lists = self.c.connect(), self.c.connect()
            events.socket.settimeout(PATIENCE_S)
            try:
                events.send("Subscribe", more=True)
                events.receive()
                while True:
                    units = {u["unit"]: u for u in lists.call("List")["units"]}
                    if ready(units):
                        return units
                    events.receive()
            except Gone:
                continue
            except TimeoutError:
                break
            finally:
                events.close()
                lists.close()
        raise Problem("not reached: " + what)

    def wait_running(self, names):
        """All is up again, these in other processes than before, which have said so."""
        old = {n: self.unit(n).pid for n in names}
        units = self.watch(lambda us: all(
            n in us and us[n]["pid"] not in (0, old[n]) and us[n]["state"] == "running" and
            us[us[n]["parent"]]["state"] == "running" for n in names),
            "new processes of " + " ".join(names))
        for n in names:
            self.starts.wait(n, self.unit(n).starts)
            self.unit(n).pid = units[n]["pid"]

    def start(self, group, name, counted=False):
        group.units[name].started(counted)
        self.request("Start", name)
        self.wait_running([name])

    def restart(self, group, name):
        group.units[name].started(counted=False)
        self.request("Restart", name)
        self.wait_running([name])

    def stop(self, group, name, held):
        self.request("Stop", name)
        group.units[name].ended("stopped", held)

    def crash(self, name, counts, members):
        """Kills it; the group `counts` has a restart more, and the members run anew."""
        begin = time.monotonic_ns()
        os.kill(self.unit(name).pid, signal.SIGKILL)
        self.wait_running(members)
        counts.window.append((begin, time.monotonic_ns()))

    def end(self, name, how, state, counts=None):
        """Kills it, and it is not started again, or not yet."""
        begin = time.monotonic_ns()
        os.kill(self.unit(name).pid, how)
        self.watch(lambda us: us[name]["state"] == state, "%s %s" % (name, state))
        self.unit(name).ended(state)
        if counts is not None:
            counts.window.append((begin, time.monotonic_ns()))

    # --- threads ---

    def work(self, group, seed):
        rng = random.Random(seed)
        while True:
            with self.turn:
                self.turn.wait_for(lambda: not self.pausing or self.ending)
                if self.ending or self.problems:
                    return
                self.working += 1
            try:
                group.operate(self, rng)
            except (Exception, SystemExit) as e:
                self.problems.append("%s: %r" % (group.name, e))
            with self.turn:
                self.operations += 1
                self.working -= 1
                self.turn.notify_all()

    def pause(self):
        with self.turn:
            self.pausing = True
            self.turn.wait_for(lambda: self.working == 0)

    def resume(self):
        with self.turn:
            self.pausing = False
            self.turn.notify_all()

    # --- witnesses ---

    def ctl(self, *words):
        return json.loads(subprocess.run(
            [BUILD + "/coppicectl", "-S", self.c.control, "--json", *words],
            stdout=subprocess.PIPE, check=True).stdout)

    def journal(self):
        said = json.loads(subprocess.run(
            [BUILD + "/tests/stress/journal_dump", str(self.c.keeper()), self.root.name,
             self.c.dir + "/units"], stdout=subprocess.PIPE, check=True).stdout)
        said["units"] = {u["unit"]: u for u in said["units"]}
        return said

    def manager(self):
        """Its list; with supervisors what is shown of their windows, and between which times."""
        units = {u["unit"]: u for u in self.ctl("list")}
        for name, unit in units.items():
            if unit["kind"] == "supervisor":
                begin = time.monotonic_ns()
                shown = self.ctl("show", name)
                times = [int(t.replace(".", "")) for t in shown["RestartWindow"].split()]
                unit["shown"] = (times, int(shown["RestartsInPeriod"]), begin,
                                 time.monotonic_ns())
        return units

    def kernel(self):
        """{unit: (pid, restarts)} of the keeper's children, by what they were started with."""
        found, manager = {}, self.c.manager()
        for pid in self.c.children():
            if pid == manager:
                continue
            with open("/proc/%d/environ" % pid, "rb") as f:
                pairs = [p.split("=", 1) for p in f.read().decode().split("\0") if "=" in p]
            environment = dict(pairs)
            name = environment["COPPICE_UNIT"]
            if name in found:
                self.compare.find("kernel", "%s runs as %d and %d" % (name, found[name][0], pid))
            found[name] = (pid, int(environment["COPPICE_RESTARTS"]))
        if zombies(self.c.children()):
            self.compare.find("kernel", "zombies: %s" % zombies(self.c.children()))
        return found

    # --- killing ---

    def victim(self):
        """The manager of now, and not one that is dying of the last kill."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            manager = self.c.manager()
            if manager not in (None, self.killed):
                return manager
            if self.c.process.poll() is not None:
                raise Problem("coppice ended:\n" + self.c.tail())
        raise Problem("no manager after %d" % self.killed)

    def kill_manager(self):
        self.killed = self.victim()
        os.kill(self.killed, signal.SIGKILL)

    def ask(self, method, ready=lambda reply: True, **parameters):
        """Asks until a manager lives long enough to answer, and the answer will do."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            connection = self.c.connect()
            try:
                if ready(connection.call(method, **parameters)):
                    return
            except Gone:
                pass
            finally:
                connection.close()
        raise Problem("no answer to " + method)

    def next_manager(self):
        self.ask("Status", lambda reply: reply["manager_pid"] != self.killed)

    def kill_at_rest(self):
        self.pause()
        if self.problems:
            return
        self.ask("Settle", timeout_ms=PATIENCE_S * 1000)
        before, said = self.manager(), self.journal()
        self.kill_manager()
        self.next_manager()
        after, again = self.manager(), self.journal()
        self.compare.journal(said)
        self.compare.manager(before, said, "the manager before the kill")
        self.compare.manager(after, said, "the manager after the kill")
        self.compare.next(again, said)
        self.compare.kernel(self.kernel(), said)
        self.compare.ledger(self.groups + [self.root], self.starts, said)
        self.rests += 1
        self.resume()

    def kill_frozen(self):
        manager, state = self.victim(), None
        os.kill(manager, signal.SIGSTOP)
        while state != "T":
            with open("/proc/%d/stat" % manager) as f:
                state = f.read().rsplit(")", 1)[1].split()[0]
        try:
            said = self.journal()
        finally:
            self.kill_manager()
        self.next_manager()
        self.compare.goes_on(self.journal(), said)
        self.frozen += 1

    def kill_all(self):
        for i in range(1, self.kills + 1):
            if self.problems:
                return
            if i % AT_REST_EVERY == 0 or i == self.kills:
                self.kill_at_rest()
                continue
            time.sleep(self.random.uniform(0.0, 0.03))  # a random moment
            if i % FROZEN_EVERY == 0:
                self.kill_frozen()
            else:
                self.kill_manager()

    # --- all of it ---

    def begin(self):
        files = {self.root.name: self.root.text()}
        for g in self.groups:
            files.update(g.files(self.starts.path))
        self.c = Coppice(files)
        for g in self.groups:
            self.wait_running(g.children)
        threads = [threading.Thread(target=self.work, args=(g, self.random.random()), daemon=True)
                   for g in self.groups]
        for t in threads:
            t.start()
        return threads

    def run(self):
        tap = Tap()
        threads = self.begin()
        begin = time.monotonic()
        try:
            self.kill_all()
        except (Exception, SystemExit) as e:
            self.problems.append(repr(e))
        took = time.monotonic() - begin
        with self.turn:
            self.ending = True
            self.turn.notify_all()
        for t in threads:
            t.join()
        self.report(tap, took)
        tap.ok(self.c.stop() == 0, "ordered shutdown ends with 0")
        self.c.clean()
        os.unlink(self.starts.path)
        os.rmdir(self.dir)
        tap.done()

    def report(self, tap, took):
        compare = self.compare
        with open(self.c.log, errors="replace") as f:
            early = sum("before it was ready" in line for line in f)
        tap.note("%d kills of the manager in %.1f s, %d at rest, %d of a stopped one, %d before "
                 "it was ready; %d operations" % (
                     self.kills, took, self.rests, self.frozen, early, self.operations))
        tap.note("%d entries of windows compared, %d were too old" % (
            compare.times, compare.expired))
        for p in self.problems:
            tap.note(p)
        tap.ok(not self.problems, "every operation was done")
        for test, text in TESTS:
            for line in compare.wrong.get(test, []):
                tap.note(line)
            tap.ok(test not in compare.wrong, text)
        tap.ok(self.rests > 0 and self.frozen > 0 and compare.times > 0,
               "there was something to compare")


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.getrandbits(32)
    print("# seed %d" % seed)
    Driver(kills, seed).run()


main()
