#!/usr/bin/env bats
# Confined units in a tree: that what the unit files say reaches the processes, what is said of it,
# and that plain units have nothing to do with it.
load helpers.bash

setup() {
	setup_tree
	chmod 755 "$dir"
	if test "$(id -u)" != 0; then
		skip "needs root"
	fi
	reachable_build
}

teardown() {
	teardown_tree
}

# runs NAME LINE...: a service whose script writes what it finds into $dir/NAME.
runs() {
	local name=$1
	shift
	{
		echo "[Service]"
		echo "Restart=permanent"
		printf '%s\n' "$@"
	} | unit "$name.service"
}

probe_line="/bin/sh -c 'cat /proc/self/status >&2; exec sleep 100000'"

@test "settings of the unit reach its processes" {
	root '' a
	runs a "ExecStart=$probe_line" User=nobody 'CapabilityBoundingSet=CAP_CHOWN' \
		AmbientCapabilities=CAP_CHOWN NoNewPrivileges=yes LockPersonality=yes CPUAffinity=0 \
		LimitNOFILE=77:88
	start_coppice
	eventually grep -q Seccomp_filters "$log"
	run cat "$log"
	assert_line --regexp '^Uid:.65534.65534'
	assert_line --regexp '^CapBnd:.0000000000000001'
	assert_line --regexp '^CapEff:.0000000000000001'
	assert_line --regexp '^NoNewPrivs:.1'
	assert_line --regexp '^Seccomp:.2'
	assert_line --regexp '^Cpus_allowed_list:.0$'
	run cat "/proc/$(pid_of a)/limits"
	assert_line --regexp '^Max open files +77 +88 '
}

@test "+ is without all of it, ! without the user, and !! is nothing" {
	root '' a
	runs a ExecStart="/bin/sleep 100000" User=nobody LockPersonality=yes \
		"ExecStartPre=/bin/sh -c 'grep -E \"^(Uid|Seccomp):\" /proc/self/status >$dir/out/none'" \
		"ExecStartPre=+/bin/sh -c 'grep -E \"^(Uid|Seccomp):\" /proc/self/status >$dir/out/plus'" \
		"ExecStartPre=!/bin/sh -c 'grep -E \"^(Uid|Seccomp):\" /proc/self/status >$dir/out/one'" \
		"ExecStartPre=!!/bin/sh -c 'grep -E \"^(Uid|Seccomp):\" /proc/self/status >$dir/out/two'"
	mkdir -m 777 "$dir/out"
	start_coppice
	eventually state_is a running
	of() {
		awk '{ printf "%s ", $2 }' "$dir/out/$1"
	}
	assert_equal "$(of none)" "65534 2 "
	assert_equal "$(of plus)" "0 0 "
	assert_equal "$(of one)" "0 2 "
	assert_equal "$(of two)" "65534 2 "
}

@test "what is not in effect is said once a unit, not at each start" {
	root 'Intensity=100' 'a b'
	runs a "ExecStart=/bin/sleep 100000" PrivateNetwork=yes
	runs b "ExecStart=/bin/sleep 100000" PrivateNetwork=yes
	AS="setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin --"
	# shellcheck disable=SC2086
	$AS "$BUILD/coppice" -u "$units" -S "$control" >"$log" 2>&1 3>&- &
	coppice_pid=$!
	eventually ctl_answers
	crash a
	eventually restarts_are a 1
	crash a
	eventually restarts_are a 2
	crash b
	eventually restarts_are b 1
	eventually state_is b running
	run grep -c "a.service: PrivateNetwork= is not in effect: the kernel refuses" "$log"
	assert_output 1
	run grep -c "b.service: PrivateNetwork= is not in effect: the kernel refuses" "$log"
	assert_output 1
}

@test "a promise that cannot be kept is a failed exec, with errno and step" {
	root 'OnStartFailure=retry' a
	runs a "ExecStart=/bin/sleep 100000" Restart=no User=nobody "LoadCredential=x:$dir/none" \
		"RestartSec=1h"
	start_coppice
	eventually test "$(field a last_exit)" != -
	assert_equal "$(field a last_exit)" exec:ENOENT
	run ctl why a
	assert_output --partial credentials
}

@test "a service that ends with such a status itself is not a failed exec" {
	root '' a
	runs a "ExecStart=/bin/sh -c 'exit 226'" LockPersonality=yes
	sed -i s/permanent/no/ "$units/a.service"
	start_coppice
	eventually grep -q "exit:226" "$log"
	assert_equal "$(field a last_exit)" exit:226
}

@test "SetCredential= is on no command line and in no environment" {
	root '' a
	runs a 'SetCredential=token:very-secret' "ExecStart=/bin/sh -c \
		'cat \$CREDENTIALS_DIRECTORY/token >$dir/got; ls -A /proc/self/fd | wc -l >>$dir/got; \
		env >>$dir/got; exec sleep 100000'"
	start_coppice
	eventually grep -q COPPICE_UNIT "$dir/got"
	run cat "$dir/got"
	assert_line --index 0 very-secret4 # three streams, and that of ls
	refute_output --partial COPPICE_EXEC
	assert_equal "$(grep -c very-secret "$dir/got")" 1
	run ! grep -a very-secret "/proc/$(pid_of a)/environ"
}

@test "a service with PrivateTmp= and a narrow UMask= reaches its notify socket" {
	root 'OnStartFailure=retry' a
	runs a Type=notify NotifyAccess=all User=nobody PrivateTmp=yes UMask=0077 \
		"ExecStart=/usr/bin/python3 -c 'import os, socket, time; \
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); \
		s.sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"]); time.sleep(100000)'"
	start_coppice
	eventually state_is a running
}

@test "a plain unit does without coppice-exec" {
	mkdir "$dir/bin"
	cp "$BUILD/coppice" "$BUILD/coppice-manager" "$dir/bin"
	printf '#!/bin/sh\necho "coppice-exec was run for $*" >&2\nexit 203\n' >"$dir/bin/coppice-exec"
	chmod 755 "$dir/bin/coppice-exec"
	root 'OnStartFailure=retry' 'a b c'
	runs a "ExecStart=/bin/sleep 100000"
	runs b "ExecStart=/bin/sleep 100000" User=65534 Group=65534 NoNewPrivileges=yes Nice=3 \
		OOMScoreAdjust=10 LimitNOFILE=100 UMask=077 PrivateTmp=no WorkingDirectory=/tmp
	runs c "ExecStart=/bin/sleep 100000" LockPersonality=yes RestartSec=1h
	"$dir/bin/coppice" -u "$units" -S "$control" >"$log" 2>&1 3>&- &
	coppice_pid=$!
	eventually ctl_answers
	eventually state_is b running
	run cat "$log"
	refute_output --partial "a.service"
	eventually grep -q "coppice-exec was run for.*c.service" "$log"
	run ! grep "coppice-exec was run for.*[ab].service" "$log"
}
