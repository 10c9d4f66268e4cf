"""Scenarios as unit files, and back."""
import os

STRATEGY = {"one_for_one": "one-for-one", "one_for_all": "one-for-all",
            "rest_for_one": "rest-for-one", "simple_one_for_one": "one-for-one"}
AUTO = {"never": "never", "any_significant": "any-significant", "any": "any-significant",
        "all_significant": "all-significant", "all": "all-significant"}


def unit_of(scenario, name):
    """c1 -> c1.service, s1 -> s1.supervisor, w1#2 -> w1@2.service"""
    if scenario.is_supervisor(name):
        return name + ".supervisor"
    if "#" in name:
        return name.replace("#", "@") + ".service"
    return name + ("@.service" if scenario.is_template(name) else ".service")


def id_of(unit):
    return unit.rsplit(".", 1)[0].replace("@", "#")


def condition_path(folder, name):
    return os.path.join(folder, "skip", name)


def environment(folder):
    """Nothing of the caller's coppice, and no directory that another run uses."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("COPPICE_", "NOTIFY_", "LISTEN_", "XDG_"))}
    env.update(HOME=folder, XDG_RUNTIME_DIR=os.path.join(folder, "run"),
               XDG_STATE_HOME=os.path.join(folder, "state"))
    return env


def span(value):
    return {"infinity": "infinity", "brutal_kill": "brutal-kill"}.get(value, value + "ms")


def as_child(spec):
    lines = ["Restart=" + spec.restart] if spec.restart else []
    if "shutdown" in spec.options:
        value = spec.options["shutdown"]
        # OTP's 0 asks and kills at once.
        lines.append("Shutdown=" + ("brutal-kill" if value == "0" else span(value)))
    if spec.options.get("significant") == "true":
        lines.append("Significant=yes")
    return lines


def supervisor_text(scenario, spec):
    o = spec.options
    children = [unit_of(scenario, c) for c in scenario.children(spec.id)]
    lines = ["[Supervisor]", "Strategy=" + STRATEGY[o.get("strategy", "one_for_one")],
             "Intensity=" + o.get("intensity", "1"), "Period=%ss" % o.get("period", "5"),
             "AutoShutdown=" + AUTO[o.get("auto_shutdown", "never")]]
    if scenario.is_simple(spec.id):
        lines.append("Template=" + children[0])
    else:
        lines += ["Children=" + c for c in children]
    return lines + as_child(spec)


def service_text(scenario, spec, folder, leaf):
    instance = "%s#%%i" % spec.id if scenario.is_template(spec.id) else spec.id
    return ["[Unit]", "ConditionPathExists=!" + condition_path(folder, instance), "[Service]",
            "Type=notify", "TimeoutStartSec=infinity",
            "ExecStart=%s %s %s" % (leaf, instance, spec.options.get("onstop", "clean")),
            "Environment=ORACLE_SOCKET=" + os.path.join(folder, "driver"),
            "StandardInput=null", "StandardOutput=null",
            "StandardError=append:" + os.path.join(folder, "log")] + as_child(spec)


def write(scenario, folder, leaf):
    for name in ("units", "skip", "run", "state"):
        os.mkdir(os.path.join(folder, name), 0o700)
    for spec in scenario.specs.values():
        lines = supervisor_text(scenario, spec) if scenario.is_supervisor(spec.id) else \
            service_text(scenario, spec, folder, leaf)
        with open(os.path.join(folder, "units", unit_of(scenario, spec.id)), "w") as f:
            f.write("\n".join(lines) + "\n")


def group_stops(lines, instances):
    """The stops of the instances of a dynamic supervisor run at the same time: each unbroken run of
    them is sorted, as the oracle does."""
    out, run = [], []
    for line in lines:
        words = line.split()
        if words[0] in ("stop", "killed") and words[1] in instances:
            run.append(line)
        else:
            out += sorted(run) + [line]
            run = []
    return out + sorted(run)
