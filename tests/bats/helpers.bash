# A tree of units in a directory of its own, run by a coppice of its own.
#
#   setup_tree; unit NAME <<EOF …; start_coppice; ctl list; …; teardown_tree
load common.bash

# Not a wrapper that chooses a version: it takes longer than the program.
PYTHON=$(command -v /usr/bin/python3 || command -v python3)

setup_tree() {
	dir=$(short_directory)
	units=$dir/units
	control=$dir/control
	log=$dir/log
	coppice_pid=
	mkdir "$units"
}

# Whatever a test leaves behind ends with it.
teardown_tree() {
	if test -n "$coppice_pid" && kill -0 "$coppice_pid" 2>/dev/null; then
		ctl shutdown --now >/dev/null 2>&1 || kill -KILL "$coppice_pid" 2>/dev/null
		wait "$coppice_pid" 2>/dev/null
	fi
	if test -n "${BATS_ERROR_STATUS:-}" && test "$BATS_ERROR_STATUS" != 0 && test -e "$log"; then
		sed 's/^/# log: /' "$log" >&2
	fi
	rm -rf "$dir"
}

# unit NAME: writes a unit file from standard input.
unit() {
	cat >"$units/$1"
}

# sleeper NAME...: services that do nothing for long.
sleeper() {
	local name
	for name; do
		printf '[Service]\nExecStart=/bin/sleep 100000\n' | unit "$name.service"
	done
}

# root OPTIONS CHILDREN: the root supervisor; OPTIONS are lines of its section.
root() {
	printf '[Supervisor]\n%s\nChildren=%s\n' "$1" "$2" | unit default.supervisor
}

# start_coppice [OPTION...]: starts it in the background and waits until it answers.
start_coppice() {
	"$BUILD/coppice" -u "$units" -S "$control" "$@" >"$log" 2>&1 3>&- &
	coppice_pid=$!
	eventually ctl_answers
}

# The same as process 1 of a PID namespace.
start_coppice_as_init() {
	"$BATS_TEST_DIRNAME/../helpers/pidns" "$BUILD/coppice" -u "$units" -S "$control" "$@" >"$log" 2>&1 3>&- &
	coppice_pid=$!
	eventually ctl_answers
}

ctl_answers() {
	kill -0 "$coppice_pid" 2>/dev/null || return 0
	ctl count
}

ctl() {
	"$BUILD/coppicectl" -S "$control" "$@"
}

# Runs coppice to its end; `status` is its exit status.
run_coppice() {
	run "$BUILD/coppice" -u "$units" -S "$control" "$@"
}

# ends_with STATUS: coppice ends by itself, with this exit status.
ends_with() {
	local pid=$coppice_pid status=0
	wait "$pid" || status=$?
	coppice_pid=
	assert_equal "$status" "$1"
}

# The whole tree is at rest.
settle() {
	ctl_call Settle '{"timeout_ms": 10000}'
}

# ctl_call METHOD PARAMETERS: one Varlink call, its reply on standard output.
ctl_call() {
	"$PYTHON" - "$control" "$1" "${2:-{\}}" <<'PY'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
s.sendall(json.dumps({"method": "org.coppice.Control." + sys.argv[2],
                      "parameters": json.loads(sys.argv[3])}).encode() + b"\0")
data = b""
while not data.endswith(b"\0"):
    part = s.recv(65536)
    if not part:
        sys.exit("no reply")
    data += part
reply = json.loads(data[:-1])
print(json.dumps(reply.get("parameters", {})))
sys.exit("error" in reply)
PY
}

# field UNIT KEY: a field of the unit, as `coppicectl --json list` has it.
field() {
	ctl --json list | "$PYTHON" -c '
import json, sys
for unit in json.load(sys.stdin):
    if unit["unit"] in (sys.argv[1], sys.argv[1] + ".service"):
        value = unit[sys.argv[2]]
        print({True: "yes", False: "no", None: "-"}.get(value, value)
              if isinstance(value, (bool, type(None))) else value)
' "$1" "$2"
}

pid_of() {
	field "$1" pid
}

# restarts_are UNIT N, state_is UNIT STATE: to be used with eventually.
restarts_are() {
	test "$(field "$1" restarts)" = "$2"
}

state_is() {
	test "$(field "$1" state)" = "$2"
}

manager_pid() {
	ctl_call Status | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["manager_pid"])'
}

# crash UNIT [SIGNAL]: kills its main process, and waits until somebody has taken notice.
crash() {
	local pid
	pid=$(pid_of "$1")
	ctl kill -s "${2:-KILL}" "$1"
	eventually not_pid "$1" "$pid"
}

not_pid() {
	test "$(pid_of "$1")" != "$2"
}

# states: all units in one line each, with what a new manager must not change.
states() {
	ctl --json list | "$PYTHON" -c '
import json, sys
for u in json.load(sys.stdin):
    print(*(u[k] for k in ("unit", "state", "substate", "ready", "held", "pid", "restarts",
                           "last_exit", "window", "status_text")))'
}
