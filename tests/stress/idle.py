"""An idle tree makes no wake-up in keeper or manager.

usage: idle.py [SECONDS]
"""
import sys
import time

from coppice import CHILD, Coppice, Tap


def switches(pid):
    total = 0
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    tap = Tap()
    c = Coppice({
        "root.supervisor": "[Supervisor]\nTemplate=w@.service\nChildren=" +
                           " ".join("w@%d" % i for i in range(100)) + "\n",
        "w@.service": "[Service]\nExecStart=%s idle\n" % CHILD,
    })
    c.wait_list(lambda us: sum(u["state"] == "running" for u in us) == 101, what="all running")
    time.sleep(0.5)  # the end of the start is over; what is measured is a stretch of time
    keeper, manager = c.keeper(), c.manager()
    before = switches(keeper), switches(manager)
    time.sleep(seconds)
    after = switches(keeper), switches(manager)
    tap.note("wake-ups in %.0f s: keeper %d, manager %d" % (
        seconds, after[0] - before[0], after[1] - before[1]))
    tap.ok(after == before, "no wake-up while idle")
    tap.ok(c.stop() == 0, "ordered shutdown ends with 0")
    c.clean()
    tap.done()


main()
