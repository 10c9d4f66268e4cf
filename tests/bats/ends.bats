#!/usr/bin/env bats
# What systemd's units say about their ends: conditions, signals, time limits, limits of starts,
# actions.
load helpers.bash

setup() {
	setup_tree
}

teardown() {
	teardown_tree
}

# service NAME LINE...: lines of its section; "[X]" begins another one.
service() {
	local name=$1
	shift
	{
		echo '[Service]'
		printf '%s\n' "$@"
	} | unit "$name.service"
}

last_exit_is() {
	test "$(field "$1" last_exit)" = "$2"
}

has_line() {
	grep -qx -- "$2" "$dir/$1" 2>/dev/null
}

# trap SIGNALS NAME: a shell that writes each of these signals to $dir/NAME and lives on.
trapper() {
	cat >"$dir/trapper" <<-'SH'
		#!/bin/bash
		file=$1
		shift
		for s; do
			trap "echo $s >>$file" "$s"
		done
		echo up >>"$file"
		while :; do
			sleep 1000 &
			wait
		done
	SH
	chmod +x "$dir/trapper"
}

@test "ExecCondition=: 0 goes on, 1 to 254 skips, 255 and a signal fail" {
	root 'Intensity=9' 'a b c'
	service a "ExecCondition=/bin/true" "ExecCondition=/bin/sh -c 'echo asked >>$dir/a'" \
		"ExecStart=/bin/sleep 100000"
	service b "ExecCondition=/bin/sh -c 'exit 3'" "ExecStartPre=/bin/sh -c 'echo pre >>$dir/b'" \
		"ExecStart=/bin/sh -c 'echo ran >>$dir/b'" \
		"ExecStopPost=/bin/sh -c 'echo post >>$dir/b'"
	sleeper c
	start_coppice
	ctl wait c --for=running --timeout=10s
	assert_equal "$(field a state)" running
	has_line a asked
	assert_equal "$(field b state)" stopped
	assert [ ! -e "$dir/b" ]
	run ctl is-ready
	assert_success
	service b "ExecCondition=/bin/sh -c 'exit 255'" "ExecStart=/bin/sleep 100000"
	ctl daemon-reload
	run ctl start b
	assert_failure
	assert_equal "$(field b last_exit)" exit:255
}

@test "RestartPreventExitStatus= and RestartForceExitStatus=" {
	root 'Intensity=9' 'a b'
	service a RestartPreventExitStatus=7 "ExecStart=/bin/sh -c 'sleep 0.1; exit 7'"
	service b Restart=no RestartForceExitStatus=SIGUSR1 'ExecStart=/bin/sleep 100000'
	start_coppice
	eventually state_is a failed
	assert_equal "$(field a restarts)" 0
	assert_equal "$(field a last_exit)" exit:7
	run ctl why a
	assert_output --partial 'RestartPreventExitStatus= has this end'
	crash b USR1
	eventually restarts_are b 1
	crash b TERM
	assert_equal "$(field b restarts)" 1
}

@test "StartLimitBurst=: failed with start-limit, its supervisor goes on, by hand it starts again" {
	root 'Intensity=99' 'a b'
	printf '[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n[Service]\nExecStart=%s\n' \
		'/bin/sleep 100000' | unit a.service
	sleeper b
	start_coppice
	ctl wait b --for=running --timeout=10s
	crash a
	crash a
	kill -KILL "$(manager_pid)"
	eventually ctl_answers
	ctl kill -s KILL a
	eventually state_is a failed
	assert_equal "$(field a last_exit)" start-limit
	assert_equal "$(field b state)" running
	run ctl why a
	assert_output --partial 'it was started 3 times within 1h'
	ctl start a
	ctl wait a --for=running --timeout=10s
	crash a
	assert_equal "$(field a state)" running
}

@test "RestartKillSignal=: a restart has a signal of its own, a stop has not" {
	root '' a
	trapper
	service a RestartKillSignal=SIGUSR1 TimeoutStopSec=300ms \
		"ExecStart=$dir/trapper $dir/a USR1 TERM"
	start_coppice
	eventually has_line a up
	ctl restart a
	has_line a USR1
	run ! has_line a TERM
	eventually test "$(grep -c up "$dir/a")" = 2
	ctl stop a
	has_line a TERM
}

@test "TimeoutStartFailureMode= and TimeoutStopFailureMode=: terminate, abort, kill" {
	local mode
	trapper
	for mode in terminate abort kill; do
		root 'OnStartFailure=retry
Intensity=0' "$mode"
		service "$mode" Type=notify TimeoutStartSec=300ms TimeoutStopSec=200ms TimeoutAbortSec=200ms \
			"TimeoutStartFailureMode=$mode" \
			"ExecStart=$dir/trapper $dir/$mode.start TERM ABRT"
		run_coppice
		assert_equal "$status" 1
	done
	assert_equal "$(cat "$dir/terminate.start")" "up
TERM"
	assert_equal "$(cat "$dir/abort.start")" "up
ABRT"
	assert_equal "$(cat "$dir/kill.start")" up
	root '' a
	service a TimeoutStopSec=200ms TimeoutAbortSec=200ms TimeoutStopFailureMode=abort \
		"ExecStart=$dir/trapper $dir/stop TERM ABRT"
	start_coppice
	eventually has_line stop up
	ctl stop a
	assert_equal "$(cat "$dir/stop")" "up
TERM
ABRT"
}

@test "WatchdogSignal= and TimeoutAbortSec=: so long has a core to be written" {
	root 'Intensity=9' 'a b'
	trapper
	service a WatchdogSec=100ms TimeoutAbortSec=200ms TimeoutStopSec=1h \
		"ExecStart=$dir/trapper $dir/a ABRT"
	service b WatchdogSec=200ms TimeoutAbortSec=200ms WatchdogSignal=SIGUSR2 \
		"ExecStart=$dir/trapper $dir/b ABRT USR2"
	start_coppice
	eventually last_exit_is a watchdog
	has_line a ABRT
	eventually last_exit_is b watchdog
	has_line b USR2
	run ! has_line b ABRT
}

@test "RuntimeMaxSec= with RuntimeRandomizedExtraSec=: ended after both at most, ExecStop= runs" {
	root 'Intensity=99' 'a b'
	service b RuntimeMaxSec=20ms RuntimeRandomizedExtraSec=10h 'ExecStart=/bin/sleep 100000'
	service a RuntimeMaxSec=100ms RuntimeRandomizedExtraSec=50ms 'ExecStart=/bin/sleep 100000' \
		"ExecStop=/bin/sh -c 'echo stop >>$dir/a'"
	start_coppice
	eventually last_exit_is a runtime-max
	has_line a stop
	eventually restarts_are a 3
	assert_equal "$(field b restarts)" 0
}

@test "ExitType=cgroup: the service runs until its last process has ended" {
	root 'Intensity=9' a
	service a ExitType=cgroup Restart=no \
		"ExecStart=/bin/sh -c 'setsid sleep 0.3 & setsid sh -c \"sleep 0.6; exit 0\" & exit 0'"
	start_coppice
	ctl wait a --for=running --timeout=10s
	eventually state_is a done
	assert_equal "$(field a last_exit)" exit:0
	service a ExitType=cgroup "ExecStart=/bin/sh -c 'setsid sleep 77777 & exit 0'"
	ctl daemon-reload
	ctl start a
	eventually test "$(pid_of a)" != 0
	ctl stop a
	run pgrep -f 'sleep 77777'
	assert_failure
}

@test "FailureAction=exit ends the tree with a status; SuccessAction= and StartLimitAction=, too" {
	root 'Intensity=9' 'a b'
	sleeper b
	printf '[Unit]\nFailureAction=exit\nFailureActionExitStatus=42\n[Service]\nRestart=no\nExecStart=%s\n' \
		'/bin/false' | unit a.service
	run_coppice
	assert_equal "$status" 42
	assert_output --partial 'a.service: action'
	printf '[Unit]\nFailureAction=exit\n[Service]\nRestart=no\nExecStart=%s\n' \
		"/bin/sh -c 'exit 9'" | unit a.service
	run_coppice
	assert_equal "$status" 9
	printf '[Unit]\nSuccessAction=exit-force\nSuccessActionExitStatus=5\n[Service]\nRestart=on-failure\nExecStart=%s\n' \
		'/bin/true' | unit a.service
	run_coppice
	assert_equal "$status" 5
	printf '[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\nStartLimitAction=reboot\n[Service]\nExecStart=%s\n' \
		'/bin/false' | unit a.service
	run_coppice
	assert_equal "$status" 0
	assert_output --partial 'asks for "reboot": there is no machine of our own'
}

@test "RestartMode=direct: who is bound to it does not notice a restart" {
	root 'Intensity=9' 'a b c d'
	printf '[Unit]\nBindsTo=a.service\nAfter=a.service\n[Service]\nExecStart=/bin/sleep 100000\n' | unit b.service
	printf '[Unit]\nBindsTo=c.service\nAfter=c.service\n[Service]\nExecStart=/bin/sleep 100000\n' | unit d.service
	service a RestartMode=direct 'ExecStart=/bin/sleep 100000'
	service c 'ExecStart=/bin/sleep 100000'
	start_coppice
	ctl wait d --for=running --timeout=10s
	local b d
	b=$(pid_of b) d=$(pid_of d)
	crash a
	crash c
	eventually not_pid d "$d"
	settle
	assert_equal "$(pid_of b)" "$b"
	assert_equal "$(field a restarts)" 1
}
