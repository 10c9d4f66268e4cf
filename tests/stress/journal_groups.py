"""The tree of journal.py and its ledger: what is expected of each unit and of each window.

A group is a supervisor with its children. One thread works on it, one operation after the other, so
that what follows from each is known; what is done is in the driver (journal.py).
"""
import os
import signal
import threading

from coppice import CHILD

PATIENCE_S = 30


class Problem(Exception):
    """Something that must happen did not."""


class Unit:
    """What is expected of a unit. Its state is one of List's, or absent: there is no such unit."""

    def __init__(self, state="running"):
        self.state, self.held = state, False
        self.pid = 0
        self.starts = 1 if state == "running" else 0
        self.restarts = 0

    def started(self, counted):
        self.state, self.held = "running", False
        self.starts += 1
        self.restarts += counted

    def ended(self, state, held=False):
        self.state, self.held, self.pid = state, held, 0


class Group:
    """One-for-one: what happens to one child is nothing to the others."""

    def __init__(self, name, settings, children):
        self.name = name + ".supervisor"
        self.settings, self.children = settings, children
        self.window = []  # (earliest, latest) of each restart since the supervisor began
        self.units = {self.name: Unit()}
        self.units.update((c, Unit()) for c in children)

    def text(self):
        return "[Supervisor]\n%sChildren=%s\n" % (self.settings, " ".join(self.children))

    def files(self, fifo):
        service = "[Service]\nExecStart=%s log %s %%n\nShutdown=10s\n" % (CHILD, fifo)
        found = {c: service for c in self.children}
        found[self.name] = self.text()
        return found

    def members(self, name):
        """Those that are started anew when this child has ended."""
        return [name]

    def operate(self, driver, rng):
        name = rng.choice(self.children)
        what = rng.random()
        if self.units[name].state != "running":
            driver.start(self, name)
        elif what < 0.6:
            self.crash(driver, name)
        elif what < 0.8:
            driver.restart(self, name)
        else:
            driver.stop(self, name, held=True)

    def crash(self, driver, name):
        for n in self.members(name):
            self.units[n].started(counted=True)
        driver.crash(name, self, self.members(name))


class RestForOne(Group):
    def members(self, name):
        rest = self.children[self.children.index(name):]
        return [n for n in rest if not self.units[n].held]


class GivesUp(Group):
    """One-for-all with a small Intensity=: one too many is a restart in the window of the root."""
    INTENSITY = 3

    def members(self, name):
        return [n for n in self.children if not self.units[n].held]

    def crash(self, driver, name):
        if len(self.window) < self.INTENSITY:
            super().crash(driver, name)
            return
        for n in self.members(name):
            self.units[n].started(counted=False)
        self.units[self.name].started(counted=True)
        self.window = []
        driver.crash(name, driver.root, self.members(name))


class Pool(Group):
    """A dynamic supervisor: its first child is in its file, the others come and go."""

    def files(self, fifo):
        found = super().files(fifo)
        found["w@.service"] = found.pop(self.children[0])
        return found

    def operate(self, driver, rng):
        name = "w@%d.service" % rng.randint(1, 5)
        unit = self.units.setdefault(name, Unit("absent"))
        what = rng.random()
        if unit.state == "absent":
            unit.restarts = 0
        if unit.state != "running":
            driver.start(self, name)
        elif what < 0.6:
            self.crash(driver, name)
        elif name in self.children:
            driver.stop(self, name, held=True)
        else:
            driver.stop(self, name, held=False)
            unit.ended("absent")


class Mixed(Group):
    """Children that are not simply started again: ends that stay, and a delay that is not over."""

    def files(self, fifo):
        found = super().files(fifo)
        for name, line in (("transient", "Restart=transient"), ("temporary", "Restart=temporary"),
                           ("later", "RestartSec=1h")):
            found[name + ".service"] += line + "\n"
        return found

    def operate(self, driver, rng):
        name = rng.choice(self.children)
        unit = self.units[name]
        how = rng.choice([signal.SIGKILL, signal.SIGTERM])
        if unit.state == "waiting" and rng.random() < 0.5:
            driver.stop(self, name, held=True)
        elif unit.state != "running":
            # The restart was counted when the delay began.
            driver.start(self, name, counted=unit.state == "waiting")
        elif name == "later.service":
            driver.end(name, how, "waiting", self)
        elif how == signal.SIGTERM:
            driver.end(name, how, "done")
        elif name == "temporary.service":
            driver.end(name, how, "failed")
        else:
            self.crash(driver, name)


def groups():
    plenty = "Intensity=10000\nPeriod=1h\n"
    return [
        Group("flat", "Intensity=10000\nPeriod=1s\n", ["a.service", "b.service", "c.service"]),
        RestForOne("edge", "Strategy=rest-for-one\n" + plenty,
                   ["e1.service", "e2.service", "e3.service"]),
        GivesUp("all", "Strategy=one-for-all\nIntensity=%d\nPeriod=1h\n" % GivesUp.INTENSITY,
                ["o1.service", "o2.service"]),
        Pool("pool", "Template=w@.service\n" + plenty, ["w@1.service"]),
        Mixed("mixed", plenty, ["transient.service", "temporary.service", "later.service"]),
    ]


def root(children):
    group = Group("root", "Intensity=10000\nPeriod=1h\n", [g.name for g in children])
    group.units = {group.name: Unit()}
    return group


class Starts:
    """What the children say: a line "NAME PID" at each start, through a FIFO."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.count = {}
        self.news = threading.Condition()
        threading.Thread(target=self.read, args=(fd,), daemon=True).start()

    def read(self, fd):
        with os.fdopen(fd, "r") as f:
            for line in f:
                name = line.split()[0]
                with self.news:
                    self.count[name] = self.count.get(name, 0) + 1
                    self.news.notify_all()

    def of(self, name):
        return self.count.get(name, 0)

    def wait(self, name, count):
        with self.news:
            if not self.news.wait_for(lambda: self.of(name) >= count, PATIENCE_S):
                raise Problem("%s: %d starts, expected %d" % (name, self.of(name), count))
