"""Scenarios of the comparison with OTP (../FORMAT.md), and what becomes of them on their way to
coppice over unit files and real processes.

Left out whole (filters), counted by name:
  shutdown-in-start   `during|whilestart X shutdown`: OTP finishes the start phase first, coppice
                      breaks a start off; a difference on purpose (coppice.supervisor(5)), with a
                      test of its own (differences.py)
  skip-in-gate        `whilestart X` together with `ignorestart X`: a condition that does not hold
                      leaves no process that could be held back
  template-by-id      a request that names the template of a dynamic supervisor, not an instance
  no-effect-in-gate   `during|whilestart X` with a restart_child that OTP answers with not_found, or
                      a start_child that it answers with already_present (see below)
  bad-spec            a spec that OTP refuses: coppice refuses the unit files at load

Changed (adaptations), counted by name:
  new-child           start_child of an id that is not in the tree from the beginning: over unit
                      files only dynamic supervisors get new children. The line is dropped, and so
                      is what names the id. start_child of a known id that was forgotten (deleted,
                      or temporary and ended) stays: coppice's Start adds it again
  no-effect           restart_child answered with not_found, and start_child answered with
                      already_present: coppice has one request, Start, for both calls, and does the
                      other of the two instead of refusing. They change nothing in OTP, so the event
                      is dropped on both sides
"""
import collections

HURTS = ("crash", "exit", "kill", "exitshut")
ARMS = ("failstart", "ignorestart", "during", "whilestart")

Spec = collections.namedtuple("Spec", "id parent restart options")


def split(text):
    """NAME -> text of a scenario or trace, from a file of many."""
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


def options_of(words):
    return dict(w.split("=", 1) if "=" in w else (w, "true") for w in words)


class Scenario:
    """specs: id -> Spec in order of declaration (the root first, its parent None); events: lists of
    words."""

    def __init__(self, text):
        self.specs, self.events = {}, []
        for line in text.splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] == "sup":
                self.root = words[1]
                self.specs[words[1]] = Spec(words[1], None, None, options_of(words[2:]))
            elif words[0] == "child":
                self.specs[words[2]] = Spec(words[2], words[1], words[3], options_of(words[4:]))
            else:
                self.events.append(words)
        if ["start"] not in self.events:
            self.events.insert(0, ["start"])

    def is_supervisor(self, name):
        return name in self.specs and (name == self.root or
                                       "strategy" in self.specs[name].options)

    def is_simple(self, name):
        return (self.is_supervisor(name) and
                self.specs[name].options.get("strategy") == "simple_one_for_one")

    def is_template(self, name):
        return name in self.specs and self.is_simple(self.specs[name].parent)

    def children(self, name):
        return [s.id for s in self.specs.values() if s.parent == name]

    def parent(self, name):
        """Of an instance, too."""
        spec = self.specs.get(name.split("#")[0])
        return spec.parent if spec else None

    def text(self):
        lines = []
        for s in self.specs.values():
            options = ["%s=%s" % o for o in s.options.items()]
            head = ["sup", s.id] if s.parent is None else ["child", s.parent, s.id, s.restart]
            lines.append(" ".join(head + options))
        return "\n".join(lines + [" ".join(e) for e in self.events]) + "\n"

    # --- the adaptation that needs no oracle ----------------------------------------------------

    def drop_new_children(self):
        """True when there were any."""
        known = {self.root}
        for s in self.specs.values():
            if s.parent in known:
                known.add(s.id)
        new = [i for i in self.specs if i not in known]
        before = [list(e) for e in self.events]
        self.specs = {i: s for i, s in self.specs.items() if i in known}
        self.events = [e for e in map(self._without_new, before) if e]
        return bool(new) or self.events != before

    def _knows(self, name):
        return name.split("#")[0] in self.specs

    def _without_new(self, words):
        verb = words[0]
        if verb == "multi":
            left = [w for w in words[1:] if self._knows(w.split(":")[1])]
            return ["multi"] + left if left else None
        if verb in ("during", "whilestart"):
            command = words[2:]
            target = command[2] if command[0] == "start_child" else command[-1]
            named = [words[1]] + ([] if command == ["shutdown"] else [target])
        elif verb == "start_child":
            # An unknown parent may be meant to be unknown; a child line has no such excuse.
            return words if self._knows(words[2]) and self.parent(words[2]) == words[1] else None
        elif verb in ("terminate", "restart", "delete"):
            return words  # an unknown id: not_found, or no_such_supervisor
        else:
            named = words[1:2] if verb not in ("start", "shutdown", "sleep") else []
        return words if all(self._knows(n) for n in named) else None

    # --- filters --------------------------------------------------------------------------------

    def reason_to_leave_out(self):
        """The name of a filter, or None."""
        gates = [e for e in self.events if e[0] in ("during", "whilestart")]
        if any(e[2] == "shutdown" for e in gates):
            return "shutdown-in-start"
        skipped = {e[1] for e in self.events if e[0] == "ignorestart"}
        if any(e[0] == "whilestart" and e[1] in skipped for e in gates):
            return "skip-in-gate"
        if any(self.is_template(e[-1]) for e in self.events
               if e[0] in ("terminate", "restart", "delete")):
            return "template-by-id"
        for s in self.specs.values():
            parent_auto = self.specs[s.parent].options.get("auto_shutdown", "never") \
                if s.parent else None
            if s.options.get("significant") == "true" and \
                    (parent_auto == "never" or s.restart == "permanent"):
                return "bad-spec"
        return None

    # --- what the oracle's answers decide -------------------------------------------------------

    def fit_to(self, trace):
        """Takes the trace that OTP gave. Returns (trace to expect, filter or None, number of
        events that were dropped), and drops these events."""
        lines = trace.splitlines()
        for line in lines:
            if line.startswith("reply restart ") and line.endswith("-> error not_found"):
                return trace, "no-effect-in-gate", 0
            if line.startswith("reply start_child ") and line.endswith("already_present"):
                return trace, "no-effect-in-gate", 0
        blocks = []
        for line in lines:
            if line.startswith("> ") or line.startswith("root down"):
                blocks.append([])
            blocks[-1].append(line)
        kept_blocks, kept_events, at = [], [], 0
        for event in self.events:
            if event[0] in ARMS or at >= len(blocks) or blocks[at][0] != "> " + " ".join(event):
                kept_events.append(event)  # it has no block: armed, or the root was down
                continue
            block = blocks[at]
            at += 1
            if not _has_no_effect(event, block):
                kept_events.append(event)
                kept_blocks.append(block)
        dropped = len(self.events) - len(kept_events)
        self.events = kept_events
        kept_blocks += blocks[at:]
        return "\n".join(l for b in kept_blocks for l in b) + "\n", None, dropped


def _has_no_effect(event, block):
    if event[0] == "restart":
        return "reply error not_found" in block
    return event[0] == "start_child" and "reply error already_present" in block
