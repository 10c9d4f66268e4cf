#!/usr/bin/env python3
"""Compares src/tree with OTP's own supervisor (FORMAT.md). Prints TAP.

usage: compare.py --pinned                     the given cases against their .expected files
       compare.py --count N [--seed S]         N random scenarios, run by both

BUILD names the build directory (build). Without --seed a fresh one is taken; it is printed. Without
Erlang the random scenarios are skipped; the pinned cases need none. Every second batch is run with
the tree saved and loaded at random between its steps: the trace must be the same.
"""
import argparse
import concurrent.futures
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
TREE = os.path.join(BUILD, "tests", "oracle", "tree_trace")
OTP = os.path.join(HERE, "otp_oracle.escript")
BATCH = 500
# A batch is of one shape: depth of the tree, events, features of the generator.
SHAPES = [(4, 12, "all"), (4, 12, "all"), (3, 30, "all"), (5, 20, "all"), (2, 25, "all"),
          (4, 40, "multi,fail,admin"), (3, 20, "simple,fail,during,multi"),
          (4, 20, "auto,fail,admin,ignore")]

sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import gen_scenarios  # noqa: E402


def normalise(text):
    """The same failure has two names in OTP's answers."""
    return text.replace("error start_failed", "error failstart")


def split(text):
    """NAME -> text of a scenario or trace."""
    parts, name, lines = {}, None, []
    for line in text.splitlines(keepends=True):
        if line.startswith("=== "):
            if name is not None:
                parts[name] = "".join(lines)
            name, lines = line[4:].strip(), []
        else:
            lines.append(line)
    if name is not None:
        parts[name] = "".join(lines)
    return parts


def run(command):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       errors="replace", timeout=550)
    return r.returncode, r.stdout, r.stderr


def generate(seed, batch, count):
    depth, events, features = SHAPES[batch % len(SHAPES)]
    features = set((gen_scenarios.ALL if features == "all" else features).split(","))
    out = []
    for i in range(count):
        rng = random.Random((seed * 1000003 + batch) * 1000003 + i)
        text = gen_scenarios.Gen(rng, depth, events, features).make()
        out.append("=== s%d_%d_%d\n%s" % (seed, batch, i, text))
    return "".join(out)


def difference(name, scenario, want, got):
    lines = ["scenario " + name + ":"] + ["  " + s for s in scenario.splitlines()]
    diff = difflib.unified_diff(want.splitlines(), got.splitlines(), "OTP", "src/tree",
                                lineterm="", n=6)
    return "\n".join(lines + ["  " + s for s in diff])


def run_batch(seed, batch, count):
    """(equal, [differences])"""
    text = generate(seed, batch, count)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "all.scn")
        with open(path, "w") as f:
            f.write(text)
        _, want, oops = run([OTP, path])
        options = ["--save-load", "0.1", "--seed", str(seed + batch)] if batch % 2 else []
        status, got, err = run([TREE] + options + [path])
    scenarios, want, got = split(text), split(normalise(want)), split(normalise(got))
    equal, bad = 0, []
    for name, scenario in scenarios.items():
        a, b = want.get(name), got.get(name, "")
        if a is None or "ORACLE-ERROR" in a:
            bad.append("the oracle failed in %s: %s\n%s" % (name, a or oops, scenario))
        elif a == b:
            equal += 1
        else:
            bad.append(difference(name, scenario, a, b))
            if status != 0 and name not in list(got)[:-1]:
                bad.append("tree_trace ended with %d: %s" % (status, err.strip()))
                break
    return equal, bad


def random_scenarios(count, seed, jobs):
    print("# seed %d, %d scenarios; again: tests/oracle/compare.py --count %d --seed %d"
          % (seed, count, count, seed))
    sizes = [BATCH] * (count // BATCH) + ([count % BATCH] if count % BATCH else [])
    equal, bad, reported = 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run_batch, seed, i, n) for i, n in enumerate(sizes)]
        for done, future in enumerate(futures, 1):
            e, differences = future.result()
            equal += e
            bad += len(differences)
            for text in differences[:max(0, 3 - reported)]:
                reported += 1
                print("\n".join("# " + s for s in text.splitlines()), flush=True)
            if done % 20 == 0 and len(sizes) > 20:
                print("# %d of %d: %d equal, %d not" % (done * BATCH, count, equal, bad),
                      flush=True)
    print("# %d of %d random scenarios equal OTP" % (equal, count))
    print("%s 1 - random scenarios equal OTP, seed %d" % ("ok" if bad == 0 else "not ok", seed))
    print("1..1")
    return bad == 0


def pinned_cases():
    folder = os.path.join(HERE, "cases")
    names = sorted(n[:-4] for n in os.listdir(folder) if n.endswith(".scn"))
    good = True
    for number, name in enumerate(names, 1):
        path = os.path.join(folder, name)
        with open(path + ".expected") as f:
            want = normalise(f.read())
        problem = None
        for options in ([], ["--save-load", "1"]):
            status, got, err = run([TREE] + options + [path + ".scn"])
            if problem is None and (status != 0 or normalise(got) != want):
                with open(path + ".scn") as f:
                    problem = difference(name, f.read(), want, normalise(got)) + "\n" + err
        print("%s %d - %s" % ("not ok" if problem else "ok", number, name))
        if problem:
            good = False
            print("\n".join("# " + s for s in problem.splitlines()))
    print("1..%d" % len(names))
    return good


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pinned", action="store_true")
    a.add_argument("--count", type=int, default=0)
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--jobs", type=int, default=2)
    o = a.parse_args()
    if o.pinned:
        return 0 if pinned_cases() else 1
    if shutil.which("escript") is None:
        print("ok 1 - random scenarios # SKIP escript (Erlang) is not installed")
        print("1..1")
        return 0
    seed = o.seed if o.seed is not None else random.SystemRandom().randrange(1, 10**9)
    return 0 if random_scenarios(o.count, seed, o.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
