#!/usr/bin/env bats
# A cgroup a unit, and what is done about processes that get away where there are none. What the
# controllers do is shown in a virtual machine: tests/suites/vm.sh.
load helpers.bash

setup() {
	setup_tree
	greedy=$BUILD/tests/helpers/greedy
}

teardown() {
	teardown_tree
	if test -n "${delegated:-}"; then
		rmdir "$delegated"/*/ "$delegated" 2>/dev/null || true
	fi
}

needs_cgroups() {
	hierarchy=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
	test -n "$hierarchy" || skip "there is no cgroup v2"
	test "$(id -u)" = 0 && mkdir "$hierarchy/coppice-bats-$$" 2>/dev/null ||
		skip "the cgroups here cannot be written"
	rmdir "$hierarchy/coppice-bats-$$"
}

# group_of UNIT: its directory
group_of() {
	ctl show "$1" | sed -n 's/^ControlGroup=//p'
}

# stray_service NAME LINE...: its main process has a child in a session of its own.
stray_service() {
	local name=$1
	shift
	{
		echo "[Service]"
		echo "ExecStart=/bin/sh -c 'setsid $BUILD/tests/helpers/greedy rest & exec sleep 100000'"
		printf '%s\n' "$@"
	} | unit "$name.service"
}

has_processes() {
	test "$(wc -l <"$1/cgroup.procs")" = "$2"
}

not_there() {
	! test -e "$1"
}

# stray_of GROUP: the process of it that is not its main one
stray_of() {
	grep -vx "$2" "$1/cgroup.procs"
}

@test "each unit has a group; it goes when the unit is stopped, with what lives in it" {
	needs_cgroups
	stray_service a
	sleeper b
	root '' 'a b'
	start_coppice
	group=$(group_of a)
	eventually has_processes "$group" 2
	run -0 cat "$(group_of b)/cgroup.procs"
	assert_output "$(pid_of b)"
	stray=$(stray_of "$group" "$(pid_of a)")
	ctl stop a
	eventually not_there "$group"
	eventually gone "$stray"
	ctl start a
	eventually has_processes "$group" 2
	ctl shutdown
	ends_with 0
	# What was killed last may be in the way of removing it; the next coppice clears it away.
	test ! -e "$group" || has_processes "$group" 0
}

@test "KillMode=process leaves alone what is left; the next start is in the same group" {
	needs_cgroups
	stray_service a KillMode=process
	root '' a
	start_coppice
	group=$(group_of a)
	eventually has_processes "$group" 2
	stray=$(stray_of "$group" "$(pid_of a)")
	crash a
	eventually has_processes "$group" 3
	kill -0 "$stray"
	ctl stop a
	kill -0 "$stray"
	xargs kill -KILL <"$group/cgroup.procs"
	eventually not_there "$group"
}

@test "a port that a process of another session holds is free at each restart" {
	needs_cgroups
	port=$(free_port)
	unit a.service <<<"[Service]
ExecStart=$greedy stray $port"
	root 'Intensity=100' a
	start_coppice
	for i in 1 2 3 4 5 6 7 8; do
		eventually has_processes "$(group_of a)" 2
		crash a
	done
	eventually has_processes "$(group_of a)" 2
	assert_equal "$(field a restarts)" 8
	refute grep "in use" "$log"
}

@test "SIGTERM reaches every process of the group, once" {
	needs_cgroups
	cat >"$dir/traps" <<-EOF
		#!/bin/sh
		trap 'echo \$1 >>$dir/terms; until grep -q stray "$dir/terms"; do sleep 0.01; done; exit 0' TERM
		test "\$1" = stray || setsid "$dir/traps" stray &
		test "\$1" = main || touch "$dir/up"
		while :; do sleep 0.01; done
	EOF
	chmod +x "$dir/traps"
	unit a.service <<<"[Service]
ExecStart=$dir/traps main"
	root '' a
	start_coppice
	eventually test -e "$dir/up"
	ctl stop a
	run -0 sort "$dir/terms"
	assert_output "main
stray"
}

@test "a new manager goes on with the groups" {
	needs_cgroups
	stray_service a
	root 'Intensity=100' a
	start_coppice
	group=$(group_of a)
	eventually has_processes "$group" 2
	kill -KILL "$(manager_pid)"
	eventually ctl list
	assert_equal "$(group_of a)" "$group"
	crash a
	crash a
	eventually has_processes "$group" 2
	ctl shutdown
	ends_with 0
	# What was killed last may be in the way of removing it; the next coppice clears it away.
	test ! -e "$group" || has_processes "$group" 0
}

@test "what a coppice that was killed has left is cleared away by the next" {
	needs_cgroups
	sleeper a
	root '' a
	start_coppice
	old=$(dirname "$(group_of a)")
	kill -KILL "$coppice_pid"
	wait "$coppice_pid" || true
	eventually gone "$(head -1 "$old/a.service/cgroup.procs")"
	start_coppice
	refute test -e "$old"
	test -d "$(group_of a)"
}

@test "a setting without its controller is said once, and the service runs" {
	needs_cgroups
	grep -q memory "$hierarchy/cgroup.controllers" && skip "there is a memory controller here"
	unit a.service <<<"[Service]
ExecStart=/bin/sleep 100000
MemoryMax=50M"
	root 'Intensity=100' a
	start_coppice
	crash a
	crash a
	run -0 grep -c "a.service: MemoryMax= is not in effect: there is no memory controller here" \
		"$log"
	assert_output 1
	run -0 ctl verify --directives
	assert_line --regexp '^Service +MemoryMax +ignored +there is no memory controller'
	assert_line --regexp '^Service +KillMode +enforced +by cgroup.kill'
}

@test "without cgroups: settings are said once, and the service runs" {
	unit a.service <<<"[Service]
ExecStart=/bin/sleep 100000
MemoryMax=50M"
	root 'Intensity=100' a
	COPPICE_CGROUPS=no start_coppice
	crash a
	crash a
	run -0 grep -c "a.service: MemoryMax= is not in effect: there are no cgroups here (COPPICE_CGROUPS=no)" \
		"$log"
	assert_output 1
	assert_equal "$(group_of a)" ""
}

# restarts_stop_at N: nothing has failed since
listens() {
	python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])))' "$1"
}

@test "without cgroups: what got away is found, and from then on before each start" {
	port=$(free_port)
	unit a.service <<<"[Service]
ExecStart=$greedy stray $port
RestartSec=50ms"
	sleeper b
	root 'Intensity=100' 'a b'
	COPPICE_CGROUPS=no start_coppice
	eventually listens "$port"
	crash a
	eventually grep "a.service: process .* of an earlier start was left" "$log"
	eventually listens "$port"
	eventually state_is a running
	sleep 0.3
	before=$(field a restarts)
	for i in 1 2 3 4; do
		eventually listens "$port"
		crash a
		eventually restarts_are a $((before + i))
	done
	eventually listens "$port"
	# Each of them went well at the first attempt, and it was said once.
	assert_equal "$(field a restarts)" $((before + 4))
	run -0 grep -c "earlier start was left" "$log"
	assert_output 1
	assert_equal "$(field b restarts)" 0
}

@test "without cgroups: a stop takes along what got away; KillMode=process does not" {
	port=$(free_port) other=$(free_port)
	unit a.service <<<"[Service]
ExecStart=$greedy stray $port"
	unit b.service <<<"[Service]
ExecStart=$greedy stray $other
KillMode=process"
	root 'Intensity=100' 'a b'
	COPPICE_CGROUPS=no start_coppice
	eventually listens "$port"
	eventually listens "$other"
	ctl stop b
	ctl stop a
	eventually refuses "$port"
	listens "$other"
	pkill -KILL -f "^$greedy stray $other\$"
}

refuses() {
	! listens "$1"
}

@test "a forking service of which nobody lives does not wait for its PID file for ever" {
	unit a.service <<<"[Service]
Type=forking
PIDFile=$dir/never.pid
TimeoutStartSec=0
ExecStart=-/bin/false"
	root 'OnStartFailure=retry
Intensity=1' a
	for cgroups in yes no; do
		COPPICE_CGROUPS=$cgroups run -1 timeout 20 "$BUILD/coppice" -u "$units" -S "$control"
		assert_output --partial "nobody is left to write $dir/never.pid"
		assert_output --partial "protocol"
	done
}
