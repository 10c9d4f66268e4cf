"""Kills the manager at random while services of every kind start, crash, stop, are added, removed and
reloaded. At the end each unit runs once, and no process is left beside those of the units.

usage: kinds.py [KILLS [SEED]]
"""
import os
import random
import signal
import sys
import threading
import time

from coppice import Coppice, Gone, Refused, Tap

ALWAYS = "Intensity=1000000\nPeriod=1s\n"
SLEEPER = "[Service]\nExecStart=/bin/sleep 100000\n"
NOTIFIER = """import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"STATUS=hello\\nREADY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(100000)
"""
DAEMON = "#!/bin/sh\necho $$ >$1.new; mv $1.new $1\nexec sleep 100000\n"


def units(directory):
    found = {
        "root.supervisor": "[Supervisor]\n" + ALWAYS +
                           "Children=a n f edge.supervisor pool.supervisor one last\n",
        "edge.supervisor": "[Supervisor]\nStrategy=rest-for-one\n" + ALWAYS + "Children=e1 e2 e3\n",
        "pool.supervisor": "[Supervisor]\n" + ALWAYS + "Template=w@.service\nChildren=w@1 w@2\n",
        "w@.service": SLEEPER,
        "n.service": "[Service]\nType=notify\nExecStart=%s -S %s/notifier\n" % (
            sys.executable, directory),
        "f.service": "[Service]\nType=forking\nPIDFile=%s/pid\nExecStart=/bin/sh -c "
                     "'rm -f %s/pid; setsid %s/daemon %s/pid & exit 0'\n" % ((directory,) * 4),
        "one.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
                       "ExecStop=/bin/true\n",
        "last.service": SLEEPER + "".join("Exec%s=/bin/true\n" % phase for phase in (
            "StartPre", "StartPost", "Stop", "StopPost")),
    }
    for name in ("a", "e1", "e2", "e3"):
        found[name + ".service"] = SLEEPER
    return found


class Driver:
    def __init__(self, kills, seed):
        self.kills, self.random = kills, random.Random(seed)
        self.stop = threading.Event()
        self.problems, self.operations = [], 0
        self.dir = os.environ.get("TMPDIR", "/tmp") + "/coppice-kinds-%d" % os.getpid()
        os.mkdir(self.dir)
        with open(self.dir + "/notifier", "w") as f:
            f.write(NOTIFIER)
        with open(self.dir + "/daemon", "w") as f:
            f.write(DAEMON)
        os.chmod(self.dir + "/daemon", 0o755)
        self.units = units(self.dir)

    def request(self, method, **parameters):
        try:
            self.c.request(method, **parameters)
        except Refused:
            pass  # What one thread has stopped, another's group restart may have taken.

    def crash(self, name, rng):
        for unit in self.c.list():
            if unit["unit"] == name and unit["pid"] != 0:
                try:
                    os.kill(unit["pid"], rng.choice([signal.SIGKILL, signal.SIGSEGV]))
                except ProcessLookupError:
                    pass

    def reload(self, rng):
        with open(self.c.dir + "/units/x.service", "w") as f:
            f.write("[Service]\nExecStart=/bin/sleep %d\n" % (100000 + rng.randint(0, 3)))
        with open(self.c.dir + "/units/root.supervisor", "w") as f:
            f.write(self.units["root.supervisor"].replace(
                " last", rng.choice([" last", " x last", " last x"])))
        self.request("DaemonReload")

    def operate(self, names, special, seed):
        rng = random.Random(seed)
        while not self.stop.is_set():
            name, what = rng.choice(names) + ".service", rng.random()
            try:
                if what < 0.4:
                    self.crash(name, rng)
                elif what < 0.55:
                    self.request("Restart", unit=name)
                elif what < 0.7 or not special:
                    self.request("Stop", unit=name)
                    self.request("Start", unit=name)
                elif what < 0.85:
                    instance = "w@%d.service" % rng.randint(3, 9)
                    self.request("Start", unit=instance)
                    if rng.random() < 0.6:
                        self.request("Stop", unit=instance)
                else:
                    self.reload(rng)
            except (Gone, SystemExit, OSError) as e:
                self.problems.append("%s: %r" % (name, e))
                return
            self.operations += 1

    def kill_managers(self):
        killed = 0
        while killed < self.kills and not self.problems:
            time.sleep(self.random.uniform(0.0, 0.05))
            manager = self.c.manager()
            if manager is not None:
                os.kill(manager, signal.SIGKILL)
                killed += 1
            elif self.c.process.poll() is not None:
                self.problems.append("coppice ended:\n" + self.c.tail())

    def run(self):
        tap = Tap()
        self.c = c = Coppice(self.units)
        c.wait_list(lambda us: all(u["state"] == "running" for u in us), what="all running")
        groups = ((["a", "n", "f"], True), (["e1", "e2", "e3"], False), (["last", "one"], False))
        threads = [threading.Thread(target=self.operate, args=(*g, self.random.random()))
                   for g in groups]
        for t in threads:
            t.start()
        self.kill_managers()
        self.stop.set()
        for t in threads:
            t.join()
        tap.note("%d kills of the manager, %d operations meanwhile" % (self.kills, self.operations))
        for p in self.problems:
            tap.note(p)
        tap.ok(not self.problems, "every request was answered")
        try:
            c.connect().call("Settle", timeout_ms=30000)
            settled = True
        except Refused as e:
            settled = False
            tap.note(str(e))
        tap.ok(settled, "the tree came to rest")
        found = c.list()
        down = ["%s %s" % (u["unit"], u["state"]) for u in found if u["state"] != "running"]
        tap.ok(not down, "everything runs " + ", ".join(down))
        manager = c.manager()
        processes = sorted(p for p in c.children() if p != manager)
        pids = sorted(u["pid"] for u in found if u["pid"] != 0)
        tap.ok(processes == pids, "no process beside those of the units, and none missing")
        tap.ok(c.stop() == 0, "ordered shutdown ends with 0")
        c.clean()
        for name in os.listdir(self.dir):
            os.unlink(self.dir + "/" + name)
        os.rmdir(self.dir)
        tap.done()


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.getrandbits(32)
    print("# seed %d" % seed)
    Driver(kills, seed).run()


main()
