"""Many children in one tree: started, listed, killed at random, stopped; a manager comes back to them.

usage: many.py [CHILDREN [SEED]]
"""
import os
import random
import resource
import signal
import subprocess
import sys
import time

from coppice import (BUILD, Coppice, Tap, descriptors, memory_kib, zombies)


def floor(count):
    """Seconds of a bare loop that clones and execs so many of the same child."""
    begin = time.monotonic()
    process = subprocess.Popen([BUILD + "/bench/floor", str(count), "/bin/sleep", "infinity"],
                               stdout=subprocess.PIPE)
    process.stdout.readline()
    took = time.monotonic() - begin
    process.wait()
    return took


def main():
    children = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.getrandbits(32)
    random.seed(seed)
    tap = Tap()
    tap.note("seed %d" % seed)
    units = {
        "root.supervisor": "[Supervisor]\nTemplate=w@.service\nIntensity=1000000\nPeriod=1s\n"
                           "Children=" + " ".join("w@%d" % i for i in range(children)) + "\n",
        "w@.service": "[Service]\nExecStart=/bin/sleep infinity\nShutdown=10s\n",
    }
    bare = floor(children)
    begin = time.monotonic()
    c = Coppice(units)

    def up(us):
        return sum(u["state"] == "running" for u in us) == children + 1

    c.connect().close()
    connection = c.connect()
    connection.call("Wait", unit="root.supervisor", condition="ready", timeout_ms=120000)
    connection.close()
    took = time.monotonic() - begin
    tap.ok(True, "%d children started" % children)
    manager, keeper = c.manager(), c.keeper()
    tap.note("start of %d children: %.2f s; bare clone+exec loop: %.2f s; ratio %.2f" % (
        children, took, bare, took / bare))
    ours, shared = memory_kib(manager)
    tap.note("private memory: keeper %d KiB, manager %d KiB (%.0f bytes a child), and %d KiB of "
             "slots and journal; descriptors: keeper %d, manager %d" % (
                 memory_kib(keeper)[0], ours, ours * 1024 / children, shared,
                 descriptors(keeper), descriptors(manager)))
    begin = time.monotonic()
    units_now = c.list()
    tap.note("list: %.0f ms" % ((time.monotonic() - begin) * 1000))
    tap.ok(up(units_now), "all of them are listed as running")
    pids = [p for p in c.children() if p != manager]
    for pid in random.sample(pids, min(1000, children // 2)):
        os.kill(pid, signal.SIGKILL)
    c.wait_list(up, what="all running after kills")
    tap.ok(not zombies(c.children()), "killed at random, all came back, no zombie")
    before = {u["unit"]: u["pid"] for u in c.list()}
    begin = time.monotonic()
    os.kill(manager, signal.SIGKILL)
    while c.manager() in (None, manager):
        time.sleep(0.001)
    after = {u["unit"]: u["pid"] for u in c.list()}
    tap.note("a new manager answered with the whole list after %.0f ms" % (
        (time.monotonic() - begin) * 1000))
    tap.ok(before == after, "a killed manager changed no pid")
    begin = time.monotonic()
    status = c.stop(120)
    tap.note("shutdown: %.2f s" % (time.monotonic() - begin))
    tap.ok(status == 0, "ordered shutdown ends with 0")
    c.clean()
    tap.done()


resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
main()
