"""Kills children with SIGKILL at random, as PID 1 of a PID namespace: none is lost, none leaks.

usage: kill_children.py [KILLS [CHILDREN [SEED]]]
"""
import collections
import os
import random
import signal
import sys
import time

from coppice import (CHILD, Coppice, Tap, descriptors, private_dirty_kib, zombies)


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    children = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.getrandbits(32)
    random.seed(seed)
    tap = Tap()
    tap.note("seed %d" % seed)
    units = {
        "root.supervisor": "[Supervisor]\nIntensity=1000000\nPeriod=1s\n"
                           "Children=pool.supervisor group.supervisor\n",
        "pool.supervisor": "[Supervisor]\nTemplate=w@.service\nIntensity=1000000\nPeriod=1s\n"
                           "Children=" + " ".join("w@%d" % i for i in range(children)) + "\n",
        "w@.service": "[Service]\nExecStart=%s idle\nShutdown=2s\n" % CHILD,
        "group.supervisor": "[Supervisor]\nStrategy=rest-for-one\nIntensity=1000000\nPeriod=1s\n"
                            "Children=a b c d\n",
    }
    for name in "abcd":
        units[name + ".service"] = units["w@.service"]
    total = children + 4
    c = Coppice(units, pid1=True)

    def services(units):
        return [u for u in units if u["kind"] == "service"]

    def all_up(units):
        return sum(u["state"] == "running" for u in services(units)) == total

    c.wait_list(all_up, what="all children running")
    keeper, manager = c.keeper(), c.manager()

    def processes():
        return [p for p in c.children() if p != c.manager()]

    # A pid that was killed may be read once more, dead or a zombie: such a kill is none.
    # Numbers come round again: only the last ones are remembered.
    killed = collections.OrderedDict()

    def burst(count):
        done = 0
        while done < count:
            pids = [p for p in processes() if p not in killed]
            for pid in random.sample(pids, min(len(pids), random.randint(1, 20), count - done)):
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed[pid] = True
                    if len(killed) > 1000:
                        killed.popitem(last=False)
                    done += 1
                except OSError:
                    pass

    burst(min(1000, kills // 10))
    c.wait_list(all_up, what="all children running after the first kills")
    before = [descriptors(keeper), descriptors(manager), private_dirty_kib(keeper),
              private_dirty_kib(manager)]
    begin = time.monotonic()
    burst(kills - min(1000, kills // 10))
    took = time.monotonic() - begin
    units = c.wait_list(all_up, what="all children running after the kills")
    after = [descriptors(keeper), descriptors(manager), private_dirty_kib(keeper),
             private_dirty_kib(manager)]
    tap.note("%d kills in %.1f s; keeper fds %d -> %d, private %d -> %d KiB; manager fds %d -> %d, "
             "private %d -> %d KiB" % (kills, took, before[0], after[0], before[2], after[2],
                                       before[1], after[1], before[3], after[3]))
    pids = processes()
    tap.ok(len(pids) == total, "%d children, each once (found %d)" % (total, len(pids)))
    tap.ok(len({u["pid"] for u in services(units)}) == total, "each unit has a pid of its own")
    tap.ok(not zombies(c.children()), "no zombie")
    tap.ok(c.keeper() == keeper and c.manager() == manager, "keeper and manager are the same")
    tap.ok(after[0] <= before[0] and after[1] <= before[1] + 2, "no descriptor leaked")
    tap.ok(after[2] <= before[2] + 64, "the keeper's memory is flat")
    tap.ok(after[3] <= before[3] + 512, "the manager's memory is flat")
    restarts = sum(u["restarts"] for u in services(units))
    tap.ok(restarts >= kills, "every kill was followed by a restart (%d)" % restarts)
    tap.ok(c.stop() == 0, "ordered shutdown ends with 0")
    c.clean()
    tap.done()


main()
