"""Holds what the witnesses of journal.py say against each other, and keeps what does not agree.

`said` is what journal_dump prints of a journal, with the units by their names.
"""
SLACK_NS = 500 * 10**6  # An event has the time of the turn in which it was seen.
SHOWN = 100             # RestartWindow has at most so many.

TESTS = (
    ("state", "states, ends and holds are as the journal says"),
    ("pid", "each unit has the process that the slots say, of its incarnation"),
    ("restarts", "counts of restarts are as the journal says"),
    ("window", "restart windows are those of the journal, to the nanosecond"),
    ("next", "the next journal begins with what the one before says"),
    ("kernel", "/proc has the same processes, each started with its count of restarts"),
    ("ledger", "no start, state, restart or entry of a window but those expected"),
    ("frozen", "what is in the journal at any moment goes on"),
)


def follows(part, whole, now, period):
    """It is the whole without some of its first, which are too old now."""
    lost = len(whole) - len(part)
    return lost >= 0 and part == whole[lost:] and all(now - t > period for t in whole[:lost])


class Comparison:
    def __init__(self):
        self.wrong = {}
        self.times = self.expired = 0  # of windows: compared, and left out for their age

    def find(self, test, text):
        found = self.wrong.setdefault(test, [])
        if len(found) < 5:
            found.append(text)

    def same(self, test, name, now, expected, keys, who):
        for key in keys:
            if now.get(key) != expected.get(key):
                self.find(test, "%s: %s is %r, not %r (%s)" % (
                    name, key, now.get(key), expected.get(key), who))

    def names(self, test, now, expected, who):
        """Those that both have, which must be all."""
        if set(now) != set(expected):
            self.find(test, "not the same units: %s (%s)" % (sorted(set(now) ^ set(expected)), who))
        return sorted(set(now) & set(expected))

    # --- at rest ---

    def journal(self, said):
        """The journal in itself: the tree, the slots, the windows read without the core."""
        if not said["quiet"] or said["order_begun"] != said["order_done"]:
            self.find("state", "the journal is not at rest: %s" % {
                k: v for k, v in said.items() if k != "units"})
        for name, unit in said["units"].items():
            alive = [p["incarnation"] for p in unit["processes"]]
            if alive != ([unit["incarnation"]] if unit["main_alive"] else []):
                self.find("pid", "%s: slots of incarnations %s, the tree is at %d (%s)" % (
                    name, alive, unit["incarnation"], unit["main_alive"]))
            young = [t for t in unit.get("window", [])
                     if said["time_ns"] - t <= unit["period_ns"]]
            if unit.get("window_of_core", []) != young:
                self.find("window", "%s: the core has %s, the journal %s" % (
                    name, unit["window_of_core"], young))

    def manager(self, units, said, who):
        """A manager's word, of List and Show, against the journal's."""
        for name in self.names("state", units, said["units"], who):
            now, unit = units[name], said["units"][name]
            self.same("state", name, now, unit, ("state", "held", "present", "last_exit"), who)
            self.same("restarts", name, now, unit, ("restarts",), who)
            pids = [p["pid"] for p in unit["processes"]]
            if pids != ([now["pid"]] if now["pid"] != 0 else []):
                self.find("pid", "%s: %d, the slots have %s (%s)" % (name, now["pid"], pids, who))
            if "shown" in now:
                self.window(name, unit, *now["shown"], who)

    def window(self, name, unit, times, counted, begin, end, who):
        """Those of the journal that were young enough when it was asked: between the two times."""
        period, known = unit["period_ns"], unit["window"]
        may = [t for t in known if begin - SLACK_NS - t <= period]
        must = [t for t in known if end - t <= period]
        self.times += len(must[-SHOWN:])
        self.expired += len(known) - len(must)
        if len(times) != min(counted, SHOWN) or not len(must) <= counted <= len(may) or (
                times != may[len(may) - len(times):]):
            self.find("window", "%s: %d, %s; the journal has %d to %d of %s (%s)" % (
                name, counted, times, len(must), len(may), known, who))

    def next(self, now, said):
        """The journal of the next manager, which begins with a snapshot of what that knows."""
        for name in self.names("next", now["units"], said["units"], "next journal"):
            new, old = now["units"][name], said["units"][name]
            self.same("next", name, new, old, [k for k in old if not k.startswith("window")],
                      "next journal")
            if "window" in old and not follows(
                    new["window"], old["window"], said["time_ns"], old["period_ns"]):
                self.find("next", "%s: window %s, not %s" % (name, new["window"], old["window"]))

    def kernel(self, processes, said):
        """{unit: (pid, restarts)} of the keeper's children."""
        expected = {n: (u["processes"][0]["pid"], u["restarts"])
                    for n, u in said["units"].items() if u["processes"]}
        for name in self.names("kernel", processes, expected, "/proc"):
            if processes[name] != expected[name]:
                self.find("kernel", "%s: (pid, restarts) %s, the journal has %s" % (
                    name, processes[name], expected[name]))

    def ledger(self, groups, starts, said):
        for group in groups:
            for name, unit in group.units.items():
                self.ledger_unit(name, unit, starts, said["units"].get(name))
            self.ledger_window(group, said)

    def ledger_unit(self, name, unit, starts, entry):
        if (entry is None) != (unit.state == "absent"):
            self.find("ledger", "%s: %s, expected %s" % (name, entry, unit.state))
        if entry is None or unit.state == "absent":
            return
        expected = {"state": unit.state, "held": unit.held, "restarts": unit.restarts}
        self.same("ledger", name, entry, expected, expected, "ledger")
        if entry["supervisor"]:
            return
        pids = [p["pid"] for p in entry["processes"]]
        if pids != ([unit.pid] if unit.pid != 0 else []):
            self.find("ledger", "%s: process %s, expected %d" % (name, pids, unit.pid))
        if starts.of(name) != unit.starts:
            self.find("ledger", "%s: started %d times, expected %d" % (
                name, starts.of(name), unit.starts))

    def ledger_window(self, group, said):
        """A window may have forgotten its first, if they are too old."""
        entry = said["units"][group.name]
        times = entry["window"]
        young = [b for b, _ in group.window
                 if said["time_ns"] - (b - SLACK_NS) <= entry["period_ns"]]
        if not len(young) <= len(times) <= len(group.window):
            self.find("ledger", "%s: %d restarts in its window, expected %d to %d" % (
                group.name, len(times), len(young), len(group.window)))
        for time_ns, (begin, end) in zip(times[::-1], group.window[::-1]):
            if not begin - SLACK_NS <= time_ns <= end:
                self.find("ledger", "%s: a restart at %d, expected in %d..%d" % (
                    group.name, time_ns, begin, end))

    # --- at any moment ---

    def goes_on(self, now, said):
        """Nothing of a journal is lost or otherwise in a later one; more may have happened since."""
        for name, old in said["units"].items():
            new = now["units"].get(name)
            if new is None or new["generation"] != old["generation"]:
                continue
            if new["incarnation"] < old["incarnation"] or new["restarts"] < old["restarts"]:
                self.find("frozen", "%s: %s after %s" % (name, new, old))
            elif new["incarnation"] == old["incarnation"]:
                self.incarnation_goes_on(name, new, old, now["time_ns"])

    def incarnation_goes_on(self, name, new, old, time_ns):
        if old["state"] == new["state"]:
            self.same("frozen", name, new, old, ("since_ns",), "same incarnation")
        # A slot is written before the journal, and a pid comes after that.
        pids = {p["pid"] for u in (old, new) for p in u["processes"]
                if p["incarnation"] == old["incarnation"] and p["pid"] != 0}
        if len(pids) > 1:
            self.find("frozen", "%s: processes %s of one incarnation" % (name, pids))
        known = old.get("window", [])
        if known:
            kept = [t for t in new["window"] if t <= known[-1]]
            self.times += len(kept)
            if not follows(kept, known, time_ns, old["period_ns"]):
                self.find("frozen", "%s: window %s, not %s" % (name, new["window"], known))
