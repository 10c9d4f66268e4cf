# coppicectl at a real coppice: what unit tests with a fake one cannot see.
load common

setup_file() {
	load common
	dir=$(short_directory)
	export dir COPPICE_CONTROL=$dir/control
	mkdir "$dir/units"
	printf '[Supervisor]\nIntensity=100\nChildren=a.service b.service\n' \
		>"$dir/units/default.supervisor"
	printf '[Service]\nExecStart=/bin/sleep infinity\n' >"$dir/units/a.service"
	cp "$dir/units/a.service" "$dir/units/b.service"
	XDG_RUNTIME_DIR=$dir "$BUILD/coppice" -u "$dir/units" -S "$dir/control" \
		>"$dir/log" 2>&1 3>&- &
	echo $! >"$dir/pid"
	eventually "$BUILD/coppicectl" is-ready -q
}

teardown_file() {
	kill -TERM "$(<"$dir/pid")"
	eventually gone "$(<"$dir/pid")"
	rm -rf "$dir"
}

teardown() {
	test -z "${watcher:-}" || kill "$watcher" 2>/dev/null || true
}

ctl() {
	"$BUILD/coppicectl" "$@"
}

# start_watch ARG...: into the file `watch`; it is in place when this returns.
start_watch() {
	"$BUILD/coppicectl" watch --json "$@" >"$dir/watch" 2>"$dir/watch.err" 3>&- &
	watcher=$!
	eventually grep -q subscribed "$dir/watch"
}

subscribed_twice() {
	test "$(grep -c subscribed "$dir/watch")" = 2
}

@test "watch writes each event when it happens" {
	start_watch a
	ctl stop a
	eventually grep -q '"stopped"' "$dir/watch"
	ctl stop b
	ctl start b a
	eventually grep -q '"running"' "$dir/watch"
	run -0 jq -r '.event + " " + (.unit // "")' "$dir/watch"
	assert_output "subscribed 
stopping a.service
stopped a.service
starting a.service
running a.service"
}

@test "watch goes on with the next manager" {
	start_watch
	kill -KILL "$(ctl --json status | jq .manager_pid)"
	eventually subscribed_twice
	ctl restart a
	eventually grep -q '"running"' "$dir/watch"
	run -0 cat "$dir/watch.err"
	assert_output "coppicectl: connected again; events may have been missed"
}

# A wait that is open while the manager dies is asked again.
@test "a request survives the manager" {
	ctl wait a --for=stopped --timeout=20s 3>&- &
	waiting=$!
	kill -KILL "$(ctl --json status | jq .manager_pid)"
	eventually ctl is-ready
	ctl stop a
	wait $waiting
	ctl start a
}

@test "a pipe gets plain lines, a terminal a header and colours" {
	run -0 ctl list
	refute_output --partial UNIT
	refute_output --partial $'\033'
	assert_equal "${#lines[@]}" 3
	run -0 env TERM=xterm python3 -c 'import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$BUILD/coppicectl" list
	assert_output --partial UNIT
	assert_output --partial $'\033[32mrunning'
	run -0 env TERM=xterm NO_COLOR=1 python3 -c 'import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$BUILD/coppicectl" list
	assert_output --partial UNIT
	refute_output --partial $'\033'
}

@test "lines of the tree follow the locale" {
	LC_ALL=C.UTF-8 run -0 ctl tree
	assert_line --partial "├─ a.service"
	LC_ALL=C run -0 ctl tree
	assert_line --partial "|- a.service"
}

@test "an answer that cannot be written is a failure" {
	run -1 bash -c "'$BUILD/coppicectl' list >/dev/full"
	assert_output --partial "the answer could not be written: No space left on device"
}

@test "a unit that is not there is named with the nearest one" {
	run -4 ctl status something.supervisor
	assert_output "coppicectl: no unit something.supervisor; coppicectl list names all"
	run -4 ctl start aa
	assert_output "coppicectl: no unit aa.service; did you mean a.service?"
}
