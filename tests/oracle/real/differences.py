"""Where coppice differs from OTP on purpose: each difference that makes the comparison leave
something out (scenarios.py) has its own test here."""
import os
import subprocess
import tempfile

import real_trace
import scenarios
import units

# name, scenario, trace
TRACES = [
    ("a shutdown breaks off a start, where OTP finishes the start phase", """
sup root strategy=one_for_all intensity=2 period=1000000
child root a permanent
child root b permanent
child root c permanent
whilestart b shutdown
start
""", """
> start
begin root
start a
broken-off b
stop a
end root ordered
root down ordered
"""),
    ("and in a group restart", """
sup root strategy=one_for_all intensity=2 period=1000000
child root a permanent
child root b permanent
child root c permanent
start
whilestart b shutdown
crash a
""", """
> start
begin root
start a
start b
start c
state root=up a=run b=run c=run
> crash a
died a crash
stop c
stop b
start a
broken-off b
stop a
end root ordered
root down ordered
"""),
    ("start of a child that was forgotten adds it again, at the end, where OTP's restart_child "
     "says not_found", """
sup root intensity=2 period=1000000
child root t temporary
child root a permanent
start
exit t
restart t
which root
""", """
> start
begin root
start t
start a
state root=up t=run a=run
> exit t
died t exit
state root=up t=gone a=run
> restart t
start t
reply ok
state root=up t=run a=run
> which root
which t=run a=run
state root=up t=run a=run
> (end)
stop t
stop a
end root ordered
root down ordered
"""),
    ("start of a stopped child starts it, where OTP's start_child says already_present", """
sup root intensity=2 period=1000000
child root a permanent
start
terminate a
start_child root a permanent
""", """
> start
begin root
start a
state root=up a=run
> terminate a
stop a
reply ok
state root=up a=stopped
> start_child root a permanent
start a
reply ok
state root=up a=run
> (end)
stop a
end root ordered
root down ordered
"""),
]

TRACES += [
    ("a template is no child, where OTP answers simple_one_for_one; nor is an instance that is "
     "gone, where OTP answers ok (the driver's word for both is that of the oracle)", """
sup root strategy=simple_one_for_one intensity=2 period=1000000
child root w temporary
start
terminate w
spawn root
exit w#1
terminate w#1
""", """
> start
begin root
state root=up
> terminate w
reply no_such_supervisor
state root=up
> spawn root
start w#1
reply ok
state root=up w#1=run
> exit w#1
died w#1 exit
state root=up w#1=gone
> terminate w#1
reply ok
state root=up w#1=gone
> (end)
end root ordered
root down ordered
"""),
]

# name, scenario, what coppice must say
REFUSED = [
    ("a significant child under AutoShutdown=never is refused at load", """
sup root
child root a transient significant=true
""", "Significant="),
    ("a significant permanent child is refused at load", """
sup root auto_shutdown=any_significant
child root a permanent significant=true
""", "Significant="),
]


def check_trace(text, want):
    got, oops, said = real_trace.trace(text)
    if oops or got != want.lstrip("\n"):
        return "expected:%sgot:\n%s%s\n%s" % (want, got, oops or "", said)
    return None


def check_refused(text, word):
    with tempfile.TemporaryDirectory(prefix="coppice-real-") as folder:
        scenario = scenarios.Scenario(text)
        units.write(scenario, folder, "/bin/true")
        done = subprocess.run(
            [os.path.join(real_trace.BUILD, "coppice"), "-r", "root.supervisor",
             "-u", os.path.join(folder, "units"), "-S", os.path.join(folder, "run", "control")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=real_trace.PATIENCE_S, env=units.environment(folder))
        if done.returncode != 2 or word not in done.stdout:
            return "exit status %d, and it said:\n%s" % (done.returncode, done.stdout)
    return None


def run_all():
    """(name, problem or None)"""
    for name, text, want in TRACES:
        yield name, check_trace(text, want)
    for name, text, word in REFUSED:
        yield name, check_refused(text, word)
