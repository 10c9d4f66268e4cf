#!/usr/bin/env python3
"""Compares coppice over real processes with OTP's own supervisor (../FORMAT.md). Prints TAP.

usage: compare_real.py [--pinned] [--differences] [--count N] [--kills N] [--seed S] [--jobs J]

  --pinned        the given cases against their .expected files
  --differences   where coppice differs from OTP on purpose (differences.py)
  --count N       N random scenarios, run by both
  --kills N       N more, and coppice's manager is killed with SIGKILL again and again meanwhile

BUILD names the build directory (build). Without --seed a fresh one is taken; it is printed. What is
left out or changed on the way to unit files is told in scenarios.py; it is counted here. Without
Erlang the random scenarios are skipped; the pinned cases need none.
"""
import argparse
import collections
import concurrent.futures
import difflib
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ABOVE = os.path.dirname(HERE)
sys.path[:0] = [HERE, ABOVE]
import differences  # noqa: E402
import gen_scenarios  # noqa: E402
import real_trace  # noqa: E402
import scenarios  # noqa: E402

OTP = os.path.join(ABOVE, "otp_oracle.escript")
ROUND = 100
KILL = .1  # probability, after each event of the stream
# A round is of one shape: depth of the tree, events, features of the generator.
SHAPES = [(4, 12, "all"), (3, 16, "all"), (4, 12, "multi,fail,admin,stop"),
          (3, 14, "simple,fail,during,multi"), (4, 12, "auto,fail,admin,ignore,stop"),
          (5, 12, "all")]


class Work:
    """A scenario on its way: text to run, trace to expect; or the filter that took it."""

    def __init__(self, name, text):
        self.name, self.scenario = name, scenarios.Scenario(text)
        self.adapted = collections.Counter()
        if self.scenario.drop_new_children():
            self.adapted["new-child"] += 1
        self.filter = self.scenario.reason_to_leave_out()
        self.want = None

    def expect(self, trace):
        self.want, self.filter, dropped = self.scenario.fit_to(normalise(trace))
        if dropped:
            self.adapted["no-effect"] += 1


def normalise(text):
    """The same failure has two names in OTP's answers."""
    return text.replace("error start_failed", "error failstart")


def run_otp(works):
    with tempfile.NamedTemporaryFile("w", suffix=".scn") as f:
        f.write("".join("=== %s\n%s" % (w.name, w.scenario.text()) for w in works))
        f.flush()
        done = subprocess.run([OTP, f.name], stdout=subprocess.PIPE, text=True, timeout=550,
                              check=True)
    traces = scenarios.split(done.stdout)
    for work in works:
        if "ORACLE-ERROR" in traces.get(work.name, "ORACLE-ERROR"):
            raise SystemExit("Bail out! the oracle failed in %s:\n%s" %
                             (work.name, work.scenario.text()))
        work.expect(traces[work.name])


def run_coppice(work, kill=0):
    """(None or what is different, statistics)"""
    text, statistics = work.scenario.text(), collections.Counter()
    got, oops, said = real_trace.trace(text, kill=kill, seed=work.name, statistics=statistics)
    got = normalise(got)
    if not oops and (got == work.want or (kill and is_equal_but_lost(work.want, got))):
        return None, statistics
    lines = ["scenario %s:" % work.name] + text.splitlines()
    lines += difflib.unified_diff(work.want.splitlines(), got.splitlines(), "OTP", "coppice",
                                  lineterm="", n=6)
    lines += [oops] if oops else []
    lines += ["what coppice said:", said]
    return "\n  ".join("\n".join(lines).splitlines()), statistics


def is_equal_but_lost(want, got):
    """With a manager that was killed: the tree ended before the next one could tell of all. What
    was told in the last block must be right, and the exit status; whoever waited for an answer may
    have been cut off."""
    want, got = want.splitlines(), got.splitlines()
    at = max(i for i, line in enumerate(got) if line.startswith("> "))
    if got[:at] != want[:at] or not want[-1].startswith("root down "):
        return False
    told = [line for line in got[at:-1] if not line.endswith("error supervisor_down")]
    if collections.Counter(told) - collections.Counter(want[at:]):
        return False
    if got[-1].startswith("root down lost "):
        return real_trace.status_fits(want[-1].split()[2], [], int(got[-1].split()[3]))
    missing = collections.Counter(want[at:]) - collections.Counter(told)
    return got[-1] == want[-1] and all(m.startswith(("reply ", "root ")) for m in missing)


def comment(text):
    print("\n".join("# " + s for s in text.splitlines()), flush=True)


def generate(seed, number):
    depth, events, features = SHAPES[number % len(SHAPES)]
    features = set((gen_scenarios.ALL if features == "all" else features).split(","))
    for i in range(ROUND):
        rng = random.Random((seed * 1000003 + number) * 1000003 + i)
        yield Work("s%d_%d_%d" % (seed, number, i),
                   gen_scenarios.Gen(rng, depth, events, features).make())


def take(seed, count, seen, adapted):
    """`count` scenarios that can be run."""
    number, chosen = 0, []
    while len(chosen) < count:
        works = list(generate(seed, number))
        run_otp([w for w in works if not w.filter])
        for work in works[:]:
            if len(chosen) == count:
                break
            seen[work.filter or "run"] += 1
            if not work.filter:
                adapted.update(work.adapted)
                chosen.append(work)
        number += 1
    return chosen


def tell_counts(seen, adapted):
    total = sum(seen.values())
    left_out = ["%s %d" % (f, n) for f, n in sorted(seen.items()) if f != "run"]
    changed = ["%s %d" % c for c in sorted(adapted.items())]
    print("# %d scenarios: %d run, %d left out (%s); changed: %s" % (
        total, seen["run"], total - seen["run"], ", ".join(left_out) or "-",
        ", ".join(changed) or "-"), flush=True)


class Tap:
    def __init__(self):
        self.count, self.failed = 0, 0

    def tell(self, name, problem=None, skip=None):
        self.count += 1
        self.failed += problem is not None
        print("%s %d - %s%s" % ("ok" if problem is None else "not ok", self.count, name,
                                " # SKIP " + skip if skip else ""), flush=True)
        if problem:
            comment(problem)


def random_scenarios(tap, what, count, seed, kill, jobs):
    print("# seed %d; again: tests/oracle/real/compare_real.py --%s %d --seed %d"
          % (seed, "kills" if kill else "count", count, seed), flush=True)
    seen, adapted = collections.Counter(), collections.Counter()
    began = time.monotonic()
    works = take(seed, count, seen, adapted)
    tell_counts(seen, adapted)
    equal, different, reported, statistics = 0, 0, 3, collections.Counter()
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for result, counts in pool.map(run_coppice, works, itertools.repeat(kill)):
            statistics += counts
            equal += result is None
            different += result is not None
            if result and reported:
                reported -= 1
                comment(result)
    print("# %d of %d %s equal OTP, %.1f s; %s" % (
        equal, count, what, time.monotonic() - began,
        ", ".join("%s: %d" % c for c in sorted(statistics.items()))))
    tap.tell("%s equal OTP, seed %d" % (what, seed),
             "%d differ" % different if different else None)


def pinned_case(name):
    path = os.path.join(ABOVE, "cases", name)
    with open(path + ".scn") as f:
        work = Work(name, f.read())
    # Where the scenario was changed, the pinned trace is not that of what is left.
    if not work.filter and not work.adapted:
        with open(path + ".expected") as f:
            work.expect(f.read())
    return work


def pinned_cases(tap, jobs):
    names = sorted(n[:-4] for n in os.listdir(os.path.join(ABOVE, "cases")) if n.endswith(".scn"))
    works = [pinned_case(n) for n in names]
    changed = [w for w in works if not w.filter and w.want is None]
    if shutil.which("escript"):
        run_otp(changed)
    else:
        for work in changed:
            work.filter = "needs escript (Erlang)"
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        results = pool.map(run_coppice, [w for w in works if not w.filter])
        for work in works:
            if work.filter:
                tap.tell(work.name, skip=work.filter)
            else:
                tap.tell(work.name, next(results)[0])


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pinned", action="store_true")
    a.add_argument("--differences", action="store_true")
    a.add_argument("--count", type=int, default=0)
    a.add_argument("--kills", type=int, default=0)
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--jobs", type=int, default=3)
    o = a.parse_args()
    tap = Tap()
    if o.differences:
        for name, problem in differences.run_all():
            tap.tell(name, problem)
    if o.pinned:
        pinned_cases(tap, o.jobs)
    for count, kill, what in ((o.count, 0, "random scenarios over real processes"),
                              (o.kills, KILL, "random scenarios with killed managers")):
        if count and shutil.which("escript") is None:
            tap.tell(what, skip="escript (Erlang) is not installed")
        elif count:
            seed = o.seed if o.seed is not None else random.SystemRandom().randrange(1, 10**9)
            random_scenarios(tap, what, count, seed, kill, o.jobs)
    print("1..%d" % tap.count)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
