#!/usr/bin/env python3
"""Runs the unmodified units of distribution packages under coppice as PID 1.

  corpus.py [--root DIR] [--list FILE] [--table FILE] [UNIT...]

In a Debian root with the packages installed (made by make-root.sh), coppice is PID 1 of a PID
namespace, with an empty /run, and each unit of units.txt in its turn: starts, answers, is reloaded
where it can be, is killed with SIGKILL and comes back, answers again, stops, leaves nothing behind.
Prints TAP, one test a unit; --table writes the outcome as a table in Markdown.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = ["env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
STEPS = ["start", "answers", "reload", "kill -9", "answers again", "stop", "nothing left"]


class Failed(Exception):
    """A step that did not hold."""


class Machine:
    """One coppice as PID 1 in the root, with the unit as the only child of its tree."""

    def __init__(self, root, unit):
        self.root = root
        inside = ("{0}/enter.sh {1} && mkdir -p {1}/run/coppice/units && "
                  "cat > {1}/run/coppice/units/default.supervisor && "
                  "ip link set lo up && exec chroot {1} {2} coppice </dev/null").format(HERE, root, " ".join(ENVIRONMENT))
        self.log = open("/tmp/coppice-corpus.log", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--propagation", "private",
             "sh", "-c", inside], stdin=subprocess.PIPE, stdout=self.log, stderr=self.log)
        text = ("[Supervisor]\nIntensity=10\nPeriod=1s\nOnGiveUp=cooldown:60s\nOnStartFailure=retry\n"
                "Children=%s\n" % unit)
        self.process.stdin.write(text.encode())
        self.process.stdin.close()
        self.pid1 = self.find_pid1()
        self.wait_control()

    def find_pid1(self):
        path = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            children = open(path, encoding="ascii").read().split()
            if children and os.path.basename(os.readlink("/proc/%s/exe" % children[0])) == "coppice":
                return int(children[0])
            time.sleep(0.01)
        raise Failed("coppice did not start")

    def wait_control(self):
        end = time.monotonic() + 20
        while self.run(["coppicectl", "status"]).returncode == 5:
            if time.monotonic() > end:
                raise Failed("coppice does not answer")
            time.sleep(0.01)

    def run(self, command, timeout=60):
        try:
            return subprocess.run(
                ["nsenter", "--target", str(self.pid1), "--mount", "--pid", "--net", "--root", "--wd"] +
                ENVIRONMENT + command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, check=False)
        except subprocess.TimeoutExpired as e:
            raise Failed("%s: no answer after %d s" % (" ".join(command), timeout)) from e

    def ctl(self, *words, timeout=120):
        done = self.run(["coppicectl"] + list(words), timeout)
        if done.returncode != 0:
            raise Failed("coppicectl %s: %s" % (" ".join(words), done.stdout.strip()))
        return done.stdout

    def show(self, unit):
        return [u for u in json.loads(self.ctl("--json", "list")) if u["unit"] == unit][0]

    def processes(self):
        """Commands of all processes but coppice's own and this look's."""
        out = self.run(["ps", "axo", "comm=,args="]).stdout
        lines = [line.split(None, 1) for line in out.splitlines()]
        return [words[1] for words in lines
                if not words[0].startswith("coppice") and words[0] != "ps"]

    def end(self):
        os.kill(self.pid1, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def text(self):
        self.log.seek(0)
        return self.log.read()


def wait_answer(machine, command):
    """Servers that do not tell when they are ready have a moment."""
    end = time.monotonic() + 20
    while True:
        done = machine.run(["sh", "-c", command])
        if done.returncode == 0:
            return
        if time.monotonic() > end:
            raise Failed("no answer: %s: %s" % (command, done.stdout.strip()[-300:]))
        time.sleep(0.1)


def can_reload(machine, unit):
    return any(line.strip().startswith("ExecReload=") for line in
               machine.ctl("cat", unit).splitlines())


def play(machine, unit, alive, done):
    """Appends what held to `done`, a list of (step, remark)."""
    machine.ctl("wait", unit, "--for=ready", "--timeout=30s")
    done.append(("start", ""))
    wait_answer(machine, alive)
    done.append(("answers", ""))
    if can_reload(machine, unit):
        machine.ctl("reload", unit)
        wait_answer(machine, alive)
        done.append(("reload", ""))
    else:
        done.append(("reload", "has none"))
    before = machine.show(unit)
    if before["pid"] == 0:
        done.append(("kill -9", "no main process"))
    else:
        machine.ctl("kill", "-s", "KILL", unit)
        end = time.monotonic() + 60
        while True:
            now = machine.show(unit)
            if now["restarts"] > before["restarts"] and now["state"] == "running" and now["ready"]:
                break
            if time.monotonic() > end:
                raise Failed("not back after kill -9: %s" % now)
            time.sleep(0.05)
        done.append(("kill -9", ""))
    wait_answer(machine, alive)
    done.append(("answers again", ""))
    machine.ctl("stop", unit)
    done.append(("stop", ""))
    end = time.monotonic() + 5 # what was killed at the end has a moment to go
    while machine.processes():
        if time.monotonic() > end:
            raise Failed("left behind: %s" % "; ".join(machine.processes()))
        time.sleep(0.05)
    done.append(("nothing left", ""))


def read_table(name):
    for line in open(os.path.join(HERE, name), encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            unit, packages, alive = (word.strip() for word in line.split("|", 2))
            yield unit, packages, alive


def row(unit, done, error):
    marks = dict(done)
    cells = [("yes" if marks[s] == "" else marks[s]) if s in marks else "**no**" for s in STEPS]
    return "| `%s` | %s | %s |" % (unit, " | ".join(cells), error)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--root", default="/var/tmp/coppice-corpus")
    options.add_argument("--list", default="units.txt")
    options.add_argument("--table")
    options.add_argument("units", nargs="*")
    options = options.parse_args()
    wanted = [e for e in read_table(options.list) if not options.units or e[0] in options.units]
    print("1..%d" % len(wanted), flush=True)
    rows, failed = [], 0
    for number, (unit, _, alive) in enumerate(wanted, 1):
        done, error, why, text, machine = [], "", "", "", None
        try:
            machine = Machine(options.root, unit)
            play(machine, unit, alive, done)
        except Failed as e:
            error = str(e)
        finally:
            if machine is not None:
                if error:
                    why = machine.run(["coppicectl", "why", unit]).stdout
                    text = machine.text()
                machine.end()
        print("%s %d - %s: %s" % ("not ok" if error else "ok", number, unit,
                                  ", ".join(s + (" (%s)" % r if r else "") for s, r in done)))
        if error:
            failed += 1
            for line in (error + "\n" + why + text[-3000:]).splitlines():
                print("# " + line)
        sys.stdout.flush()
        rows.append(row(unit, done, error))
    if options.table:
        with open(options.table, "w", encoding="utf-8") as f:
            f.write("| unit | %s | |\n|%s\n%s\n" % (
                " | ".join(STEPS), " --- |" * (len(STEPS) + 2), "\n".join(rows)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
