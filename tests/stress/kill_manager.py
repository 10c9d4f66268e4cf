"""Kills the manager with SIGKILL at random moments while children start, crash and stop and requests
arrive: no child is lost, restarted by it, or started twice; no death is forgotten.

usage: kill_manager.py [KILLS [CHILDREN [SEED]]]

Each unit writes a line at each start. For each unit the driver keeps a count of the starts that there
must be: one at boot, one for each kill of its process, one for each restart or start by request.
"""
import os
import random
import signal
import sys
import threading
import time

from coppice import CHILD, Coppice, Gone, Refused, Tap, descriptors, zombies


class Driver:
    def __init__(self, kills, children, seed):
        self.random = random.Random(seed)
        self.children = children
        self.kills = kills
        self.expected = {}
        self.stop = threading.Event()
        self.problems = []
        self.operations = 0

    def units(self, log):
        names = ["w%d" % i for i in range(self.children)]
        units = {"root.supervisor": "[Supervisor]\nIntensity=1000000\nPeriod=1s\nChildren=" +
                                    " ".join(names) + "\n"}
        for name in names:
            units[name + ".service"] = (
                "[Service]\nExecStart=%s log %s %s\nShutdown=5s\n" % (CHILD, log, name))
            self.expected[name] = 1
        return units

    def starts(self):
        """{name: [pids in order]} from the log."""
        found = {name: [] for name in self.expected}
        with open(self.log) as f:
            for line in f:
                name, pid = line.split()
                found[name].append(int(pid))
        return found

    def wait_starts(self, name):
        end = time.monotonic() + 30
        while len(self.starts()[name]) < self.expected[name]:
            if time.monotonic() > end:
                self.problems.append("%s: %d starts, expected %d" % (
                    name, len(self.starts()[name]), self.expected[name]))
                return
            time.sleep(0.005)

    def operate(self, names, seed):
        """One thread: operations on units of its own, each waited for."""
        rng = random.Random(seed)
        while not self.stop.is_set() and not self.problems:
            name = rng.choice(names)
            what = rng.random()
            try:
                if what < 0.6:
                    pid = self.starts()[name][-1]
                    self.expected[name] += 1
                    os.kill(pid, signal.SIGKILL)
                elif what < 0.8:
                    self.expected[name] += 1
                    self.c.request("Restart", unit=name + ".service")
                else:
                    self.c.request("Stop", unit=name + ".service")
                    self.expected[name] += 1
                    self.c.request("Start", unit=name + ".service")
            except (Refused, OSError) as e:
                self.problems.append("%s: %s" % (name, e))
                return
            self.operations += 1
            self.wait_starts(name)

    def run(self):
        tap = Tap()
        directory = os.environ.get("TMPDIR", "/tmp")
        self.log = "%s/coppice-starts-%d" % (directory, os.getpid())
        open(self.log, "w").close()
        self.c = c = Coppice(self.units(self.log))
        c.wait_list(lambda us: sum(u["state"] == "running" for u in us) == self.children + 1,
                    what="all running")
        # A child is "running" from its clone on; its line comes a little later.
        for name in self.expected:
            self.wait_starts(name)
        keeper_fds = descriptors(c.keeper())
        names = sorted(self.expected)
        threads = [threading.Thread(target=self.operate, args=(names[i::3], self.random.random()))
                   for i in range(3)]
        for t in threads:
            t.start()
        begin = time.monotonic()
        killed, lives = 0, []
        while killed < self.kills and not self.problems:
            time.sleep(self.random.uniform(0.0, 0.03))
            manager = c.manager()
            if manager is None:
                if c.process.poll() is not None:
                    self.problems.append("coppice ended: %s\n%s" % (c.process.returncode, c.tail()))
                continue
            os.kill(manager, signal.SIGKILL)
            killed += 1
        took = time.monotonic() - begin
        self.stop.set()
        for t in threads:
            t.join()
        tap.note("%d kills of the manager in %.1f s, %d operations meanwhile" % (
            killed, took, self.operations))
        for p in self.problems:
            tap.note(p)
        tap.ok(not self.problems, "every operation was done")
        units = c.wait_list(lambda us: sum(u["state"] == "running" for u in us) ==
                            self.children + 1, what="all running at the end")
        starts = self.starts()
        wrong = ["%s %d/%d" % (n, len(starts[n]), self.expected[n]) for n in names
                 if len(starts[n]) != self.expected[n]]
        tap.ok(not wrong, "each unit was started as often as it must " + " ".join(wrong))
        by_name = {u["unit"][:-len(".service")]: u for u in units if u["kind"] == "service"}
        tap.ok(all(by_name[n]["pid"] == starts[n][-1] for n in names),
               "each unit's pid is that of its last start")
        manager = c.manager()
        processes = [p for p in c.children() if p != manager]
        tap.ok(sorted(processes) == sorted(u["pid"] for u in by_name.values()),
               "no process beside those of the units")
        tap.ok(not zombies(c.children()), "no zombie")
        fds = descriptors(c.keeper())
        tap.ok(fds <= keeper_fds + 2, "the keeper leaked no descriptor (%d -> %d)" % (keeper_fds, fds))
        tap.ok(c.stop() == 0, "ordered shutdown ends with 0")
        c.clean()
        os.unlink(self.log)
        tap.done()


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    children = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.getrandbits(32)
    print("# seed %d" % seed)
    Driver(kills, children, seed).run()


main()
