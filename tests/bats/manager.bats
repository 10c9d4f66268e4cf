#!/usr/bin/env bats
# The manager's own work: kinds of services, reloads, notify messages, and being killed.
load helpers.bash

setup() {
	setup_tree
}

teardown() {
	teardown_tree
}

# A program that speaks to its notify socket: notifier MESSAGE...; then it sleeps.
notifier() {
	cat >"$dir/notifier" <<-'PY'
		#!/usr/bin/env python3
		import os, socket, sys, time
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		for message in sys.argv[1:]:
		    if message.startswith("wait:"):
		        open(message[5:]).read()
		    else:
		        s.sendto(message.encode(), os.environ["NOTIFY_SOCKET"])
		time.sleep(100000)
	PY
	chmod +x "$dir/notifier"
}

@test "Type=notify: the next sibling waits for READY=1, STATUS= is shown" {
	notifier
	mkfifo "$dir/go"
	root '' 'a b'
	sleeper b
	unit a.service <<-UNIT
		[Service]
		Type=notify
		ExecStart=$dir/notifier STATUS=warming wait:$dir/go READY=1
	UNIT
	start_coppice
	eventually status_is a warming
	assert_equal "$(field a state)" starting
	assert_equal "$(field b state)" stopped
	run ctl why a
	assert_output --partial 'READY=1'
	: >"$dir/go"
	ctl wait b --for=running --timeout=10s
	assert_equal "$(field a ready)" yes
}

status_is() {
	test "$(field "$1" status_text)" = "$2"
}

@test "a notify message of a process that is not the main one is not accepted" {
	root '' a
	notifier
	unit a.service <<-UNIT
		[Service]
		Type=notify
		TimeoutStartSec=700ms
		ExecStart=/bin/sh -c '$dir/notifier READY=1 & wait'
	UNIT
	run_coppice
	assert_equal "$status" 1
	assert_output --partial start-timeout
	sed -i -e '/Type/a NotifyAccess=all' -e s/700ms/10s/ "$units/a.service"
	start_coppice
	ctl wait a --for=ready --timeout=10s
}

@test "Type=oneshot: started when it has ended, RemainAfterExit= keeps it running" {
	root '' 'a b c'
	unit a.service <<-UNIT
		[Service]
		Type=oneshot
		ExecStart=/bin/sh -c 'echo 1 >>$dir/steps'
		ExecStart=/bin/sh -c 'echo 2 >>$dir/steps'
	UNIT
	unit b.service <<-UNIT
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/bin/sh -c 'echo 3 >>$dir/steps'
		ExecStop=/bin/sh -c 'echo stop >>$dir/steps'
	UNIT
	sleeper c
	start_coppice
	ctl wait c --for=running --timeout=10s
	settle
	assert_equal "$(field a state)" done
	assert_equal "$(field b state)" running
	assert_equal "$(pid_of b)" 0
	ctl shutdown
	ends_with 0
	assert_equal "$(tr '\n' ' ' <"$dir/steps")" '1 2 3 stop '
}

@test "Type=forking with PIDFile=: the daemon is watched, and comes back" {
	root 'Intensity=9' 'a b'
	sleeper b
	cat >"$dir/daemon" <<-SH
		#!/bin/sh
		echo \$\$ >$dir/pid
		exec sleep 100000
	SH
	chmod +x "$dir/daemon"
	unit a.service <<-UNIT
		[Service]
		Type=forking
		PIDFile=$dir/pid
		ExecStart=/bin/sh -c 'rm -f $dir/pid; setsid $dir/daemon & exit 0'
	UNIT
	start_coppice
	ctl wait b --for=running --timeout=10s
	assert_equal "$(pid_of a)" "$(cat "$dir/pid")"
	crash a
	settle
	assert_equal "$(field a last_exit)" signal:KILL
	assert_equal "$(pid_of a)" "$(cat "$dir/pid")"
	ctl stop a
	gone "$(cat "$dir/pid")"
}

@test "Type=forking without PIDFile=: the one process that is left is the main one" {
	root 'Intensity=9' a
	unit a.service <<-UNIT
		[Service]
		Type=forking
		ExecStart=/bin/sh -c 'setsid sleep 100000 & exit 0'
	UNIT
	start_coppice
	ctl wait a --for=running --timeout=10s
	assert_equal "$(cat "/proc/$(pid_of a)/comm")" sleep
	kill -9 "$(manager_pid)"
	crash a
	settle
	assert_equal "$(field a state)" running
}

@test "Type=forking: a daemon that is not found is not left behind" {
	root '' 'a'
	printf '#!/bin/sh\necho $$ >%s\nexec sleep 100000\n' "$dir/left" >"$dir/daemon"
	chmod +x "$dir/daemon"
	unit a.service <<-UNIT
		[Service]
		Type=forking
		PIDFile=$dir/never
		ExecStart=/bin/sh -c 'setsid $dir/daemon & exit 0'
	UNIT
	start_coppice
	eventually test -s "$dir/left"
	run kill -0 "$(cat "$dir/left")"
	assert_success
	ctl stop a
	eventually gone "$(cat "$dir/left")"
}

@test "ExecStartPre, StartPost, Stop and StopPost run in order and know what they need" {
	root '' a
	unit a.service <<-UNIT
		[Service]
		ExecStartPre=/bin/sh -c 'echo pre >>$dir/steps'
		ExecStartPre=-/bin/false
		ExecStart=/bin/sleep 100000
		ExecStartPost=/bin/sh -c 'echo post \$MAINPID >>$dir/steps'
		ExecStop=/bin/sh -c 'echo stop \$MAINPID >>$dir/steps'
		ExecStopPost=/bin/sh -c 'echo stop-post \$SERVICE_RESULT \$EXIT_CODE \$EXIT_STATUS >>$dir/steps'
	UNIT
	start_coppice
	ctl wait a --for=running --timeout=10s
	local a
	a=$(pid_of a)
	crash a
	settle
	run cat "$dir/steps"
	assert_line --index 0 pre
	assert_line --index 1 "post $a"
	# As systemd has it: ExecStop= runs for what was started, also when it has ended by itself.
	assert_line --index 2 'stop'
	assert_line --index 3 'stop-post signal killed KILL'
	a=$(pid_of a)
	: >"$dir/steps"
	ctl stop a
	run cat "$dir/steps"
	assert_line --index 0 "stop $a"
	assert_line --index 1 --partial 'stop-post success'
}

@test "reload runs ExecReload= with MAINPID" {
	root '' a
	unit a.service <<-UNIT
		[Service]
		ExecStart=/bin/sleep 100000
		ExecReload=/bin/sh -c 'echo \$MAINPID >$dir/reloaded'
	UNIT
	start_coppice
	ctl reload a
	assert_equal "$(cat "$dir/reloaded")" "$(pid_of a)"
	assert_equal "$(field a state)" running
}

@test "RestartSec= is waited for, why says so, start cuts it short" {
	root 'Intensity=9' a
	unit a.service <<-UNIT
		[Service]
		RestartSec=1h
		ExecStart=/bin/sleep 100000
	UNIT
	start_coppice
	crash a
	settle
	assert_equal "$(field a state)" waiting
	run ctl why a
	assert_output --partial 'waits before it is started again'
	assert_output --partial 59min
	ctl start a
	ctl wait a --for=running --timeout=10s
}

# --- the manager is killed ------------------------------------------------------------------------

kill_manager() {
	local pid
	pid=$(manager_pid)
	kill -KILL "$pid"
	eventually new_manager "$pid"
}

new_manager() {
	local pid
	pid=$(manager_pid) && test "$pid" != "$1"
}

@test "kill -9 of the manager: every pid, state, counter and status is as before" {
	notifier
	root $'Intensity=9\nPeriod=10min' 'a b c pool.supervisor n'
	sleeper a b
	unit c.service <<-UNIT
		[Service]
		RestartSec=1h
		ExecStart=/bin/sleep 100000
	UNIT
	unit n.service <<-UNIT
		[Service]
		Type=notify
		ExecStart=$dir/notifier READY=1 "STATUS=all is well"
	UNIT
	unit pool.supervisor <<-UNIT
		[Supervisor]
		Template=w@.service
	UNIT
	sleeper w@
	start_coppice
	ctl wait n --for=running --timeout=10s
	eventually status_is n 'all is well'
	ctl start w@1 w@2
	ctl stop b
	crash a
	crash c
	settle
	run ctl show default.supervisor -p RestartWindow
	assert_output --regexp '^RestartWindow=[0-9]+\.[0-9]{9} [0-9]+\.[0-9]{9}$'
	echo "$output" >"$dir/before"
	states >>"$dir/before"
	local i
	for i in 1 2 3; do
		kill_manager
		ctl show default.supervisor -p RestartWindow >"$dir/after"
		states >>"$dir/after"
		run diff "$dir/before" "$dir/after"
		assert_success
	done
	crash a
	settle
	assert_equal "$(field a restarts)" 2
	assert_equal "$(field default.supervisor window)" 3
	ctl start w@3 b
	ctl shutdown
	ends_with 0
}

@test "deaths while there is no manager are handled by the next one, once" {
	root 'Intensity=9' 'a b'
	sleeper a b
	start_coppice
	local manager a b
	manager=$(manager_pid) a=$(pid_of a) b=$(pid_of b)
	kill -STOP "$manager"
	kill -KILL "$a"
	kill -KILL "$b"
	kill -KILL "$manager"
	eventually restarts_are a 1
	eventually restarts_are b 1
	settle
	assert_equal "$(field a restarts)$(field b restarts)" 11
	assert_equal "$(field default.supervisor window)" 2
}

@test "a request that waits when the manager is killed is answered by the next one" {
	root '' a
	unit a.service <<-UNIT
		[Service]
		ExecStart=/bin/sh -c 'trap "read x <$dir/go; exit 0" TERM; : >$dir/ready; while :; do sleep 0.05; done'
	UNIT
	mkfifo "$dir/go"
	start_coppice
	eventually test -e "$dir/ready"
	ctl stop a &
	local stopping=$!
	eventually state_is a stopping
	kill_manager
	echo >"$dir/go"
	wait "$stopping"
	assert_equal "$(field a state)" stopped
	assert_equal "$(field a held)" yes
}

@test "a start time limit goes on over a killed manager" {
	root 'Intensity=9' a
	unit a.service <<-UNIT
		[Service]
		Type=notify
		TimeoutStartSec=1500ms
		ExecStart=/bin/sleep 100000
	UNIT
	"$BUILD/coppice" -u "$units" -S "$control" >"$log" 2>&1 3>&- &
	coppice_pid=$!
	eventually ctl_answers
	kill -KILL "$(manager_pid)"
	ends_with 1
	run cat "$log"
	assert_output --partial start-timeout
}

@test "a shutdown under way goes on in the next manager" {
	root '' 'a b'
	sleeper a
	unit b.service <<-UNIT
		[Service]
		Shutdown=400ms
		ExecStart=/bin/sh -c 'trap "" TERM; : >$dir/ready; while :; do sleep 1000; done'
	UNIT
	start_coppice
	eventually test -e "$dir/ready"
	local manager
	manager=$(manager_pid)
	ctl shutdown
	kill -KILL "$manager"
	ends_with 0
}

@test "an event that the core fails at is left out by the third manager" {
	root '' 'a b'
	sleeper a b
	start_coppice
	local a manager
	a=$(pid_of a) manager=$(manager_pid)
	# Changes nothing, and is the last event in the journal.
	run ctl reload a
	assert_failure 1
	kill -STOP "$manager"
	"$PYTHON" - "$manager" <<-'PY'
		import struct, sys
		def crc32c(data):
		    crc = 0xffffffff
		    for byte in data:
		        crc ^= byte
		        for _ in range(8):
		            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
		    return crc ^ 0xffffffff
		HEAD, EVENT = struct.Struct("<IIQII"), 4
		with open(f"/proc/{sys.argv[1]}/fd/4", "r+b", buffering=0) as journal:
		    magic, version, header, region, event_size, active = struct.unpack(
		        "<QIIQII", journal.read(32))
		    length = struct.unpack("<2Q", journal.read(16))[active - 1]
		    start = 4096 + (active - 1) * region
		    at, last = start, None
		    while at < start + length:
		        journal.seek(at)
		        size, kind, *_ = HEAD.unpack(journal.read(HEAD.size))
		        if kind == EVENT:
		            last = at
		        at += HEAD.size + (size + 7) // 8 * 8
		    journal.seek(last)
		    size, kind, sequence, crc, zero = HEAD.unpack(journal.read(HEAD.size))
		    payload = bytearray(journal.read(size))
		    payload[16] = 200  # no kind of event
		    head = struct.pack("<IIQ", size, kind, sequence)
		    journal.seek(last)
		    journal.write(head + struct.pack("<II", crc32c(head + payload), zero) + payload)
	PY
	kill -KILL "$manager"
	eventually ctl count
	assert_equal "$(pid_of a)" "$a"
	run cat "$log"
	assert_output --partial 'check failed'
	assert_output --partial 'it is left out'
	crash b
	settle
	assert_equal "$(field b state)" running
}

@test "a manager without the journal takes the living over" {
	root 'Intensity=9' 'a pool.supervisor'
	sleeper a w@
	unit pool.supervisor <<-UNIT
		[Supervisor]
		Template=w@.service
	UNIT
	start_coppice
	ctl start w@5
	local a w
	a=$(pid_of a) w=$(pid_of w@5)
	# A journal that nobody understands: the keeper's ladder ends there.
	python3 - "$coppice_pid" <<-'PY'
		import sys
		with open(f"/proc/{sys.argv[1]}/fd/4", "r+b", buffering=0) as journal:
		    journal.seek(4096)
		    journal.write(b"\xff" * 4096)
		    journal.seek(4096 + 160 * 1024 * 1024)
		    journal.write(b"\xff" * 4096)
	PY
	kill -KILL "$(manager_pid)"
	local end=$((SECONDS + 40))
	until ctl count >/dev/null 2>&1 || test $SECONDS -ge $end; do sleep 0.1; done
	assert_equal "$(pid_of a)" "$a"
	assert_equal "$(pid_of w@5)" "$w"
	crash a
	settle
	assert_equal "$(field a state)" running
}

@test "when the keeper is killed the manager stops the tree in order" {
	root '' 'a b'
	for n in a b; do
		unit "$n.service" <<-UNIT
			[Service]
			ExecStart=/bin/sleep 100000
			ExecStopPost=/bin/sh -c 'echo $n >>$dir/stopped'
		UNIT
	done
	start_coppice
	local a manager
	a=$(pid_of a) manager=$(manager_pid)
	kill -KILL "$coppice_pid"
	eventually gone "$manager"
	assert_equal "$(tr '\n' ' ' <"$dir/stopped")" 'b a '
	gone "$a"
	coppice_pid=
}

# --- new definitions --------------------------------------------------------------------------------

@test "daemon-reload: changed, added and removed units, with the plan shown first" {
	root 'Intensity=9' 'a b c'
	sleeper a b c
	start_coppice
	local a c
	a=$(pid_of a) c=$(pid_of c)
	root 'Intensity=5' 'a d c'
	sleeper d
	printf '[Service]\nExecStart=/bin/sleep 200000\n' | unit a.service
	run ctl daemon-reload --dry-run
	assert_line 'change default.supervisor'
	assert_line 'change a.service: from its next start on'
	assert_line 'add d.service to default.supervisor'
	assert_line 'stop and remove b.service'
	assert_equal "$(field b state)" running
	ctl daemon-reload
	settle
	assert_equal "$(ctl list | awk '{print $1}' | tr '\n' ' ')" \
		'default.supervisor a.service d.service c.service '
	assert_equal "$(pid_of a)" "$a"
	assert_equal "$(pid_of c)" "$c"
	assert_equal "$(field d state)" running
	assert_equal "$(field default.supervisor intensity)" 5
	kill_manager
	assert_equal "$(field d state)" running
	crash a
	settle
	run tr '\0' ' ' <"/proc/$(pid_of a)/cmdline"
	assert_output --partial 200000
}

@test "daemon-reload with a broken file changes nothing" {
	root '' 'a'
	sleeper a
	start_coppice
	local a
	a=$(pid_of a)
	root '' 'a nothing'
	run ctl daemon-reload
	assert_failure 1
	assert_output --partial nothing
	assert_equal "$(ctl list | wc -l)" 2
	assert_equal "$(pid_of a)" "$a"
	kill_manager
	assert_equal "$(pid_of a)" "$a"
}

@test "SIGHUP reloads units" {
	root '' a
	sleeper a b
	start_coppice
	root '' 'a b'
	kill -HUP "$coppice_pid"
	eventually state_is b running
}

# --- who may ask -------------------------------------------------------------------------------------

@test "another user is refused; a member of ControlGroup= may look, and only that" {
	test "$(id -u)" = 0 || skip 'needs root'
	root '' a
	sleeper a
	start_coppice
	chmod 755 "$dir"
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$BUILD/coppicectl" -S "$control" list
	assert_failure 6
	ctl shutdown
	ends_with 0
	root 'ControlGroup=nogroup' a
	start_coppice
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$BUILD/coppicectl" -S "$control" list
	assert_success
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$BUILD/coppicectl" -S "$control" stop a
	assert_failure 6
	assert_equal "$(field a state)" running
}

@test "a child that dies at each start keeps nobody else waiting" {
	root 'Intensity=1000000
Period=1s' 'a b'
	sleeper b
	unit a.service <<-UNIT
		[Service]
		ExecStart=/bin/false
	UNIT
	start_coppice
	ctl restart b
	assert_equal "$(field b state)" running
	ctl stop a
	assert_equal "$(field a state)" stopped
	ctl shutdown
	ends_with 0
}

@test "a log that nobody reads stops nothing" {
	root 'Intensity=1000000
Period=1s' 'a b'
	sleeper b
	unit a.service <<-UNIT
		[Service]
		StandardOutput=null
		ExecStart=/bin/false
	UNIT
	mkfifo "$dir/pipe"
	sleep 100000 <"$dir/pipe" 3>&- &
	local reader=$!
	"$BUILD/coppice" -u "$units" -S "$control" >"$dir/pipe" 2>&1 3>&- &
	coppice_pid=$!
	eventually ctl_answers
	eventually restarts_over a 3000
	ctl restart b
	assert_equal "$(field b state)" running
	ctl shutdown
	ends_with 0
	kill "$reader"
}

restarts_over() {
	test "$(field "$1" restarts)" -gt "$2"
}

@test "an idle tree makes no wake-up" {
	root '' 'a b'
	sleeper a b
	start_coppice
	settle
	local manager before after
	manager=$(manager_pid)
	before=$(switches "$manager")
	# The one place where nothing is awaited: nothing must happen.
	sleep 1
	after=$(switches "$manager")
	assert_equal "$after" "$before"
}

switches() {
	awk '/ctxt_switches/ {n += $2} END {print n}' "/proc/$1/status"
}
