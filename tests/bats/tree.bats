#!/usr/bin/env bats
# The way through: unit files, a tree of real processes, its control.
load helpers.bash

setup() {
	setup_tree
}

teardown() {
	teardown_tree
}

@test "a tree starts in order, is listed, and stops on request with status 0" {
	root '' 'a b'
	sleeper a b
	start_coppice
	assert_equal "$(field a state)" running
	assert_equal "$(field b ready)" yes
	run kill -0 "$(pid_of a)"
	assert_success
	local a
	a=$(pid_of a)
	ctl shutdown
	ends_with 0
	run ! kill -0 "$a"
}

@test "SIGTERM is an ordered shutdown, the last child first" {
	root '' 'a b'
	for n in a b; do
		unit "$n.service" <<-UNIT
			[Service]
			ExecStart=/bin/sleep 100000
			ExecStopPost=/bin/sh -c 'echo $n >>$dir/stopped'
		UNIT
	done
	start_coppice
	kill -TERM "$coppice_pid"
	ends_with 0
	assert_equal "$(tr '\n' ' ' <"$dir/stopped")" 'b a '
}

@test "a killed child comes back, and its sibling is left alone" {
	root 'Intensity=5' 'a b'
	sleeper a b
	start_coppice
	local a b
	a=$(pid_of a) b=$(pid_of b)
	kill -KILL "$a"
	eventually restarts_are a 1
	settle
	assert_equal "$(field a state)" running
	assert_equal "$(field a last_exit)" signal:KILL
	assert_not_equal "$(pid_of a)" "$a"
	assert_equal "$(pid_of b)" "$b"
}

@test "rest-for-one takes those behind along, one-for-all all of them" {
	root 'Intensity=9
Strategy=rest-for-one' 'a b c'
	sleeper a b c
	start_coppice
	local a b c
	a=$(pid_of a) b=$(pid_of b) c=$(pid_of c)
	crash b
	settle
	assert_equal "$(pid_of a)" "$a"
	assert_not_equal "$(pid_of c)" "$c"
	sed -i s/rest-for-one/one-for-all/ "$units/default.supervisor"
	ctl daemon-reload
	a=$(pid_of a) c=$(pid_of c)
	crash c
	settle
	assert_not_equal "$(pid_of a)" "$a"
	assert_equal "$(field a restarts)" 1
}

@test "too many restarts: the root gives up with status 1" {
	root 'Intensity=2
Period=1h' 'a keep'
	sleeper keep
	unit a.service <<-UNIT
		[Service]
		ExecStart=/bin/sh -c 'echo x >>$dir/starts; exit 3'
	UNIT
	run_coppice
	assert_equal "$status" 1
	assert_output --partial 'gave up'
	assert_output --partial 'default.supervisor: escalated, intensity'
	# The last word comes last.
	assert_line --index -1 --partial 'gave up, too many restarts: exit:3'
	assert_equal "$(wc -l <"$dir/starts")" 3
}

@test "stop sticks over a restart of the group, start brings it back, stop --once does not stick" {
	root 'Strategy=one-for-all
Intensity=9' 'a b'
	sleeper a b
	start_coppice
	ctl stop b
	assert_equal "$(field b state)" stopped
	assert_equal "$(field b held)" yes
	crash a
	settle
	assert_equal "$(field b state)" stopped
	ctl start b
	assert_equal "$(field b state)" running
	assert_equal "$(field b restarts)" 0
	ctl stop --once b
	assert_equal "$(field b held)" no
	crash a
	settle
	assert_equal "$(field b state)" running
}

@test "restart by hand makes a new process and does not count" {
	root 'Intensity=1' 'a'
	sleeper a
	start_coppice
	local i a
	for i in 1 2 3; do
		a=$(pid_of a)
		ctl restart a
		assert_not_equal "$(pid_of a)" "$a"
		assert_equal "$(field a state)" running
	done
	assert_equal "$(field a restarts)" 0
}

@test "children of a template are started, restarted and stopped at run time" {
	root '' pool.supervisor
	unit pool.supervisor <<-UNIT
		[Supervisor]
		Intensity=9
		Template=worker@.service
		MaxChildren=3
		Children=worker@1
	UNIT
	unit worker@.service <<-UNIT
		[Service]
		ExecStart=/bin/sh -c 'echo %i >>$dir/instances; exec sleep 100000'
	UNIT
	start_coppice
	ctl start worker@7 worker@8
	run ctl start worker@9
	assert_failure 1
	assert_output --partial MaxChildren
	assert_equal "$(ctl count pool.supervisor | grep active)" active=3
	crash worker@7
	settle
	assert_equal "$(field worker@7 restarts)" 1
	ctl stop worker@7
	assert_equal "$(ctl count pool.supervisor | grep active)" active=2
	assert_equal "$(sort "$dir/instances" | tr '\n' ' ')" '1 7 7 8 '
	run ctl start nothing@1
	assert_failure 4
}

@test "delete forgets a stopped child, start adds it again" {
	root '' 'a b'
	sleeper a b
	start_coppice
	run ctl delete a
	assert_failure 1
	ctl stop a
	ctl delete a
	assert_equal "$(field a present)" no
	ctl start a
	assert_equal "$(field a state)" running
	assert_equal "$(ctl list | awk '{print $1}' | tail -n 1)" a.service
}

@test "a significant child's end shuts the root down with its status" {
	root 'AutoShutdown=any-significant' 'a job'
	sleeper a
	unit job.service <<-UNIT
		[Service]
		Restart=temporary
		Significant=yes
		ExecStart=/bin/sh -c 'exit 42'
	UNIT
	run_coppice
	assert_equal "$status" 42
}

@test "a first start that fails unwinds the tree with status 1" {
	root '' 'a b'
	unit a.service <<-UNIT
		[Service]
		ExecStart=/bin/sleep 100000
		ExecStopPost=/bin/sh -c 'echo a >>$dir/stopped'
	UNIT
	unit b.service <<-UNIT
		[Service]
		ExecStart=/no/such/program
	UNIT
	run_coppice
	assert_equal "$status" 1
	assert_output --partial 'exec:ENOENT (/no/such/program)'
	assert_equal "$(cat "$dir/stopped")" a
}

@test "a condition that does not hold skips the service" {
	root '' 'a b'
	sleeper b
	unit a.service <<-UNIT
		[Unit]
		ConditionPathExists=!$dir
		[Service]
		ExecStart=/bin/sleep 100000
	UNIT
	start_coppice
	assert_equal "$(field a state)" stopped
	assert_equal "$(field b state)" running
	assert_equal "$(field default.supervisor ready)" yes
}

@test "wait answers when it is so, and times out with 7" {
	root 'Intensity=9' 'a b'
	sleeper a
	unit b.service <<-UNIT
		[Service]
		Restart=temporary
		ExecStart=/bin/sh -c 'read x <$dir/fifo; exit 5'
	UNIT
	mkfifo "$dir/fifo"
	start_coppice
	ctl wait a --for=ready
	run ctl wait b --for=stopped --timeout=50ms
	assert_failure 7
	ctl wait b --for=failed --timeout=10s &
	local waiting=$!
	echo go >"$dir/fifo"
	wait "$waiting"
	assert_equal "$(field b state)" failed
	assert_equal "$(field b last_exit)" exit:5
	run ctl wait nothing --for=ready
	assert_failure 4
}

@test "watch shows each event with its reason" {
	root 'Intensity=9' a
	sleeper a
	start_coppice
	ctl --json watch >"$dir/events" &
	local watching=$!
	eventually test -s "$dir/events"
	crash a SEGV
	settle
	eventually grep -q '"running"' "$dir/events"
	kill "$watching"
	run python3 -c '
import json, sys
for line in sys.stdin:
    e = json.loads(line)
    if "unit" in e:
        print(e["event"], e["unit"], e["reason"])' <"$dir/events"
	assert_output --partial 'exited a.service signal:SEGV
restarting a.service signal:SEGV
starting a.service None
running a.service None'
}

@test "the environment tells a child who it is and why it was restarted" {
	root 'Intensity=9' a
	unit a.service <<-UNIT
		[Service]
		Environment=COLOUR=green "TWO=a b"
		EnvironmentFile=$dir/env
		ExecStart=/bin/sh -c 'env >$dir/env.\$COPPICE_RESTARTS; echo "\$\$1 \$\$2" >$dir/words; exec sleep 100000' - \$FILE \${TWO}
	UNIT
	echo 'FILE="from file"' >"$dir/env"
	start_coppice
	eventually test -s "$dir/words"
	run cat "$dir/env.0"
	assert_line COPPICE_UNIT=a.service
	assert_line COPPICE_CONTROL="$control"
	assert_line COLOUR=green
	assert_line 'TWO=a b'
	assert_line 'FILE=from file'
	refute_output --partial COPPICE_LAST_EXIT
	refute_output --partial COPPICE_MANAGER
	crash a
	settle
	eventually grep -q '^COPPICE_LAST_EXIT=signal:KILL$' "$dir/env.1"
}

@test "shutdown reaches children that are being started" {
	root '' a
	unit a.service <<-UNIT
		[Service]
		Type=oneshot
		ExecStart=/bin/sleep 100000
	UNIT
	start_coppice
	assert_equal "$(field a state)" starting
	kill -TERM "$coppice_pid"
	ends_with 0
}

@test "a process that ignores its stop signal is killed when Shutdown= is over" {
	root '' a
	unit a.service <<-UNIT
		[Service]
		Shutdown=200ms
		ExecStart=/bin/sh -c 'trap "" TERM; : >$dir/ready; while :; do sleep 1000; done'
	UNIT
	start_coppice
	eventually test -e "$dir/ready"
	local a
	a=$(pid_of a)
	ctl stop a
	assert_equal "$(field a state)" stopped
	gone "$a"
}

@test "as process 1 of a PID namespace: a tree, a crash, orphans, an ordered end" {
	root 'Intensity=9' 'a b'
	sleeper a
	unit b.service <<-UNIT
		[Service]
		Restart=temporary
		ExecStart=/bin/sh -c '(setsid sleep 0.1 &) ; exec sleep 100000'
	UNIT
	start_coppice_as_init
	ctl kill -s KILL a
	eventually restarts_are a 1
	settle
	assert_equal "$(field a state)" running
	eventually orphan_was_reaped
	ctl shutdown
	ends_with 0
}

orphan_was_reaped() {
	ctl_call Status | grep -q '"orphans_reaped": [1-9]'
}

@test "broken units: nothing starts, status 2, and --check says the same" {
	root '' 'a missing'
	sleeper a
	run_coppice
	assert_equal "$status" 2
	assert_output --partial missing
	run "$BUILD/coppice" -u "$units" --check
	assert_equal "$status" 2
	assert_output --partial missing
	sleeper missing
	run "$BUILD/coppice" -u "$units" --check
	assert_equal "$status" 0
	run "$BUILD/coppice" -r nothing.supervisor -u "$units" -S "$control"
	assert_equal "$status" 2
}

@test "a second coppice on the same control socket says so and ends with 1" {
	root '' a
	sleeper a
	start_coppice
	run_coppice
	assert_equal "$status" 1
	assert_output --partial 'another coppice'
	assert_equal "$(field a state)" running
}
