#!/usr/bin/env bats
# Services that hang, burn, are not well, and what they say of themselves: watchdog, health checks,
# notify messages.
load helpers.bash

setup() {
	setup_tree
}

teardown() {
	teardown_tree
}

# speaker: a program that runs what it is told. Its arguments are messages for the notify socket;
# "every:SECONDS:MESSAGE" goes on for ever, "wait:FIFO" waits, "stop" stops itself, "burn" is busy,
# "on:SIGNAL:MESSAGE" answers a signal, "exit:N" ends; else it sleeps at the end.
speaker() {
	cat >"$dir/speaker" <<-'PY'
		#!/usr/bin/env python3
		import os, signal, socket, sys, time
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		def say(message):
		    for m in message.split("|"):
		        m = m.replace("NOW", str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))
		        s.sendto(m.replace(",", "\n").encode(), os.environ["NOTIFY_SOCKET"])
		for word in sys.argv[1:]:
		    kind, _, rest = word.partition(":")
		    if kind == "wait":
		        open(rest).read()
		    elif kind == "every":
		        span, _, message = rest.partition(":")
		        while True:
		            say(message)
		            time.sleep(float(span))
		    elif kind == "stop":
		        os.kill(os.getpid(), signal.SIGSTOP)
		    elif kind == "burn":
		        while True:
		            pass
		    elif kind == "on":
		        name, _, message = rest.partition(":")
		        signal.signal(signal.Signals["SIG" + name], lambda *_, m=message: say(m))
		    elif kind == "sleep":
		        time.sleep(float(rest))
		    elif kind == "env":
		        with open(rest, "a") as f:
		            print(os.getpid(), os.environ.get("WATCHDOG_PID"),
		                  os.environ.get("WATCHDOG_USEC"), file=f)
		    elif kind == "exit":
		        os._exit(int(rest))
		    else:
		        say(word)
		while True:
		    time.sleep(100000)
	PY
	chmod +x "$dir/speaker"
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

log_has() {
	grep -q -- "$1" "$log"
}

show() {
	ctl show "$1" -p "$2" | cut -d= -f2-
}

shows() {
	test "$(show "$1" "$2")" = "$3"
}

asked_times() {
	test "$(wc -l <"$dir/status.log")" -ge "$1"
}

why_says() {
	ctl why "$1" | grep -q -- "$2"
}

last_exit_is() {
	test "$(field "$1" last_exit)" = "$2"
}

# --- the watchdog -------------------------------------------------------------------------------

@test "WatchdogSec=: a stopped process is found and replaced, one that speaks is left alone" {
	root 'Intensity=9' 'a b'
	speaker
	service a Type=notify WatchdogSec=400ms "ExecStart=$dir/speaker env:$dir/env READY=1 stop"
	service b Type=notify WatchdogSec=400ms \
		"ExecStart=$dir/speaker READY=1 every:0.1:WATCHDOG=1"
	start_coppice
	ctl wait b --for=ready --timeout=10s
	local pid
	pid=$(pid_of b)
	eventually last_exit_is a watchdog
	eventually restarts_are a 2
	assert_equal "$(pid_of b)" "$pid"
	assert_equal "$(field b restarts)" 0
	run head -n 1 "$dir/env"
	assert_output --regexp '^([0-9]+) \1 400000$'
}

@test "a busy loop is found by the watchdog; its signal is SIGABRT, and then SIGKILL" {
	root 'Intensity=99' 'a b'
	speaker
	service a Type=notify WatchdogSec=300ms Environment=COPPICE_WORD=1 \
		"ExecStart=$dir/speaker READY=1 burn" \
		"ExecStopPost=/bin/sh -c 'echo \$SERVICE_RESULT \$EXIT_CODE >>$dir/ends'"
	service b Type=notify WatchdogSec=300ms WatchdogSignal=SIGUSR1 TimeoutAbortSec=200ms \
		"ExecStart=$dir/speaker on:USR1:STATUS=deaf READY=1 sleep:9"
	start_coppice
	eventually last_exit_is a watchdog
	eventually last_exit_is b watchdog
	eventually grep -q '^watchdog' "$dir/ends"
}

@test "WATCHDOG=trigger, WATCHDOG_USEC= and EXTEND_TIMEOUT_USEC=" {
	root 'Intensity=99' 'a b c d'
	speaker
	service a Type=notify NotifyAccess=main "ExecStart=$dir/speaker READY=1 wait:$dir/go WATCHDOG=trigger"
	service b Type=notify WatchdogSec=100s \
		"ExecStart=$dir/speaker READY=1 WATCHDOG_USEC=200000"
	service c Type=notify WatchdogSec=300ms \
		"ExecStart=$dir/speaker READY=1 WATCHDOG_USEC=100000000 wait:$dir/never"
	service d Type=notify WatchdogSec=200ms \
		"ExecStart=$dir/speaker READY=1 EXTEND_TIMEOUT_USEC=100000000"
	mkfifo "$dir/go" "$dir/never"
	start_coppice
	eventually last_exit_is b watchdog
	: >"$dir/go"
	eventually last_exit_is a watchdog
	eventually restarts_are b 3
	ctl wait d --for=ready --timeout=10s
	eventually restarts_are b 5
	assert_equal "$(field c restarts)" 0
	assert_equal "$(field d restarts)" 0
	run ctl why c
	assert_output --partial 'Its watchdog of 1min 40s expires in'
}

@test "a watchdog begins anew with a new manager, and pings cost no journal" {
	root 'Intensity=9' 'a b'
	speaker
	service a Type=notify WatchdogSec=2s "ExecStart=$dir/speaker READY=1 every:0.02:WATCHDOG=1"
	service b Type=notify WatchdogSec=700ms "ExecStart=$dir/speaker READY=1 wait:$dir/never"
	mkfifo "$dir/never"
	start_coppice
	kill -KILL "$(manager_pid)"
	eventually last_exit_is b watchdog
	assert_equal "$(field a restarts)" 0
	# Nothing of a in the trace but its start: a ping is no event.
	run ctl trace
	refute_output --partial 'watchdog a'
}

# --- health checks ------------------------------------------------------------------------------

# http_server FILE: serves on a free port, written to FILE; a GET is answered with the status in
# FILE.status, "hang" does not answer.
http_server() {
	cat >"$dir/httpd" <<-'PY'
		#!/usr/bin/env python3
		import os, socket, sys, time
		port, status = int(sys.argv[1]), sys.argv[2]
		s = socket.socket()
		s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		if len(sys.argv) > 3:
		    time.sleep(float(sys.argv[3]))
		s.bind(("127.0.0.1", port))
		s.listen(64)
		held = []
		while True:
		    c, _ = s.accept()
		    word = open(status).read().strip()
		    if word == "hang":
		        held.append(c)
		        continue
		    data = c.recv(4096)
		    open(status + ".log", "a").write("asked\n")
		    if not data.startswith(b"GET /healthz?x=1 HTTP/1.1\r\nHost: "):
		        word = "500"
		    c.sendall(b"HTTP/1.1 " + word.encode() + b" Word\r\nContent-Length: 0\r\n\r\n")
		    c.close()
	PY
	chmod +x "$dir/httpd"
}

@test "Http=: running but not ready until the first success, which the next sibling waits for" {
	root 'Intensity=9' 'a b'
	local port
	port=$(free_port)
	http_server
	echo 503 >"$dir/status"
	service a "ExecStart=$dir/httpd $port $dir/status" '[Health]' \
		"Http=http://127.0.0.1:$port/healthz?x=1" IntervalSec=200ms TimeoutSec=1s \
		Retries=3 StartPeriodSec=1min
	sleeper b
	start_coppice
	eventually state_is a running
	eventually why_says a 'status 503'
	# However often it is asked, nothing of it counts in the start period.
	eventually asked_times 10
	assert_equal "$(show a HealthFailures)" 0
	assert_equal "$(field a restarts)" 0
	assert_equal "$(field a ready)" no
	assert_equal "$(field b state)" stopped
	run ctl is-ready a
	assert_failure
	run ctl is-active a
	assert_success
	run ctl why a
	assert_output --partial 'not ready'
	assert_output --partial 'status 503'
	echo 204 >"$dir/status"
	ctl wait b --for=running --timeout=10s
	ctl is-ready a
	assert_equal "$(show a Health)" healthy
	# Later: not ready at the first failure, replaced after the third.
	local pid
	pid=$(pid_of a)
	echo 500 >"$dir/status"
	eventually shows a HealthFailures 2
	assert_equal "$(field a ready)" no
	assert_equal "$(pid_of a)" "$pid"
	assert_equal "$(field a state)" running
	eventually not_pid a "$pid"
	echo 200 >"$dir/status"
	ctl wait a --for=ready --timeout=10s
	assert_equal "$(field a last_exit)" health
	assert_equal "$(field b restarts)" 0
}

@test "Http=: a service that never becomes healthy fails with health; one that hangs, too" {
	root 'Intensity=0' a
	local port
	port=$(free_port)
	http_server
	echo 500 >"$dir/status"
	service a "ExecStart=$dir/httpd $port $dir/status" '[Health]' \
		"Http=http://localhost:$port/healthz?x=1" IntervalSec=100ms Retries=2
	run_coppice
	assert_equal "$status" 1
	assert_output --partial 'a.service: start-failed, health'
	sed -i "s/Intensity=0/Intensity=9/" "$units/default.supervisor"
	sed -i -e 's/Retries=2/Retries=1\nTimeoutSec=200ms\nStartPeriodSec=1min/' "$units/a.service"
	echo 200 >"$dir/status"
	start_coppice
	ctl wait a --for=ready --timeout=10s
	echo hang >"$dir/status"
	eventually last_exit_is a health
	eventually log_has 'a.service.*health'
}

@test "a SIGSTOPped server is replaced by its health check" {
	root 'Intensity=9' a
	local port
	port=$(free_port)
	http_server
	echo 200 >"$dir/status"
	service a "ExecStart=$dir/httpd $port $dir/status" TimeoutStopSec=1s '[Health]' \
		"Http=http://127.0.0.1:$port/healthz?x=1" IntervalSec=100ms TimeoutSec=200ms Retries=2
	start_coppice
	ctl wait a --for=ready --timeout=10s
	local pid
	pid=$(pid_of a)
	kill -STOP "$pid"
	eventually not_pid a "$pid"
	ctl wait a --for=ready --timeout=10s
	assert_equal "$(field a last_exit)" health
}

@test "a service that is slow to listen is ready soon after it does, whatever IntervalSec= says" {
	root '' 'a b'
	local port
	port=$(free_port)
	http_server
	echo 200 >"$dir/status"
	service a "ExecStart=$dir/httpd $port $dir/status 0.6" '[Health]' \
		"Tcp=127.0.0.1:$port" IntervalSec=1min
	sleeper b
	start_coppice
	ctl wait b --for=running --timeout=5s
}

@test "Tcp= to a Unix socket, Exec= and a name that must be looked up" {
	root '' 'a b c'
	local port
	port=$(free_port)
	service a "ExecStart=$PYTHON -c 'import socket,time; s=socket.socket(socket.AF_UNIX); s.bind(\"$dir/s\"); s.listen(9); time.sleep(1e5)'" \
		'[Health]' "Tcp=$dir/s" IntervalSec=100ms
	service b 'ExecStart=/bin/sleep 100000' '[Health]' \
		"Exec=/bin/sh -c 'test -e $dir/ok -a \$MAINPID -gt 1'" IntervalSec=100ms Retries=2
	http_server
	echo 200 >"$dir/status"
	service c "ExecStart=$dir/httpd $port $dir/status" '[Health]' \
		"Http=http://$(hostname):$port/healthz?x=1" IntervalSec=100ms StartPeriodSec=1min
	sed -i 's/"127.0.0.1"/""/' "$dir/httpd"
	: >"$dir/ok"
	start_coppice
	ctl wait b --for=ready --timeout=10s
	if getent hosts "$(hostname)" >/dev/null; then
		ctl wait c --for=ready --timeout=10s
	fi
	rm "$dir/ok"
	eventually last_exit_is b health
	eventually shows b HealthText exit:1
}

@test "Exec= that hangs is killed after TimeoutSec=; a new manager goes on checking" {
	root 'Intensity=9' a
	service a 'ExecStart=/bin/sleep 100000' '[Health]' \
		"Exec=/bin/sh -c 'echo \$\$ >>$dir/checks; test ! -e $dir/hang || exec sleep 100000'" \
		IntervalSec=100ms TimeoutSec=300ms Retries=3
	start_coppice
	ctl wait a --for=ready --timeout=10s
	: >"$dir/hang"
	kill -KILL "$(manager_pid)"
	eventually last_exit_is a health
	rm "$dir/hang"
	ctl wait a --for=ready --timeout=10s
	# None of them is left.
	run pgrep -f "$dir/hang"
	assert_output ''
}

# --- what is said of itself ---------------------------------------------------------------------

@test "Type=notify-reload: RELOADING=1 with its time, then READY=1" {
	root '' 'a b'
	speaker
	service a Type=notify-reload "ExecStart=$dir/speaker on:HUP:RELOADING=1,MONOTONIC_USEC=NOW|READY=1 READY=1 sleep:1e5"
	service b Type=notify-reload TimeoutStartSec=500ms "ExecStart=$dir/speaker on:HUP:READY=1 READY=1 sleep:1e5"
	start_coppice
	ctl wait b --for=ready --timeout=10s
	ctl reload a
	assert_equal "$(field a state)" running
	# A READY=1 without RELOADING=1 is no answer to the signal.
	run ctl reload b
	assert_failure
	assert_equal "$(field b state)" running
}

@test "NotifyFd=: a newline means ready, also to a manager that came later" {
	root '' 'a b c'
	mkfifo "$dir/go"
	service a Type=notify NotifyFd=3 "ExecStart=/bin/sh -c 'echo x >&3; exec 3>&-; sleep 100000'"
	service b Type=notify NotifyFd=10 \
		"ExecStart=/bin/bash -c 'read <$dir/go; printf nothing >&10; echo >&10; exec sleep 100000'"
	sleeper c
	start_coppice
	ctl wait a --for=ready --timeout=10s
	eventually state_is b starting
	assert_equal "$(field c state)" stopped
	# Nothing else is open in it, and the pipe is.
	run ls "/proc/$(pid_of b)/fd"
	assert_output '0
1
10
2'
	kill -KILL "$(manager_pid)"
	eventually ctl_answers
	assert_equal "$(field b state)" starting
	: >"$dir/go"
	ctl wait c --for=running --timeout=10s
	assert_equal "$(field b ready)" yes
}

@test "STOPPING=1, ERRNO=, EXIT_STATUS=, NOTIFYACCESS= are kept and shown" {
	root 'Intensity=9' 'a b'
	speaker
	mkfifo "$dir/go"
	service a Type=notify Restart=no TimeoutStopSec=1min \
		"ExecStart=$dir/speaker READY=1 STOPPING=1,STATUS=bye,ERRNO=2,EXIT_STATUS=7 wait:$dir/go exit:0"
	service b Type=notify "ExecStart=/bin/sh -c '$dir/speaker READY=1 & exec $dir/speaker NOTIFYACCESS=all'"
	start_coppice
	eventually state_is a stopping
	eventually shows a StatusErrno 2
	assert_equal "$(show a StatusExit)" 7
	kill -KILL "$(manager_pid)"
	eventually shows a StatusErrno 2
	run ctl why a
	assert_output --partial ENOENT
	: >"$dir/go"
	ctl wait a --for=done --timeout=10s
	assert_equal "$(field a last_exit)" exit:0
}

@test "a process that is not of the unit is not heard, and that is said once" {
	root '' a
	speaker
	service a Type=notify NotifyAccess=all "ExecStart=$dir/speaker READY=1 STATUS=mine"
	start_coppice
	ctl wait a --for=ready --timeout=10s
	"$PYTHON" - "$(show a NotifySocket)" <<-'PY'
		import socket, sys, time
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		for i in range(50):
		    s.sendto(b"STATUS=theirs", sys.argv[1])
		    s.sendto(b"WATCHDOG=trigger", sys.argv[1])
		# A barrier: it is closed when all before it has been looked at.
		import array, os
		r, w = os.pipe()
		s.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [w]))], 0, sys.argv[1])
		os.close(w)
		os.read(r, 1)
	PY
	assert_equal "$(field a status_text)" mine
	assert_equal "$(field a restarts)" 0
	eventually log_has 'is ignored: it is not of this unit'
	assert_equal "$(grep -c 'is ignored' "$log")" 1
}

@test "MAINPID= must be of the unit" {
	root '' 'a b'
	speaker
	sleeper b
	service a Type=notify "ExecStart=$dir/speaker READY=1"
	start_coppice
	ctl wait b --for=running --timeout=10s
	local stranger
	stranger=$(pid_of b)
	service a Type=notify "ExecStart=$dir/speaker READY=1 MAINPID=$stranger MAINPID=$$ STATUS=said"
	ctl daemon-reload
	ctl restart a
	eventually status_is a said
	refute test "$(pid_of a)" = "$stranger"
	eventually log_has "MAINPID=$$ is ignored"
}

status_is() {
	test "$(field "$1" status_text)" = "$2"
}

@test "thousands of messages of any kind, from inside and from outside" {
	root 'Intensity=1000000' 'a b'
	sleeper b
	cat >"$dir/babble" <<-'PY'
		#!/usr/bin/env python3
		import array, os, random, socket, sys
		path, rounds = sys.argv[1], int(sys.argv[2])
		path = os.environ["NOTIFY_SOCKET"] if path == "-" else path
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		words = [b"READY=1", b"RELOADING=1", b"MONOTONIC_USEC=1", b"STATUS=\xff\x1b", b"MAINPID=1",
		         b"MAINPID=%d" % os.getppid(), b"ERRNO=5", b"WATCHDOG=1", b"WATCHDOG_USEC=0",
		         b"WATCHDOG_USEC=100000000", b"EXTEND_TIMEOUT_USEC=5000000", b"NOTIFYACCESS=main",
		         b"EXIT_STATUS=3", b"FDSTORE=1", b"FDNAME=x", b"FDSTOREREMOVE=1", b"BARRIER=1",
		         b"WATCHDOG_USEC=18446744073709551615", b"EXTEND_TIMEOUT_USEC=18446744073709551615",
		         b"X=1", b"\0", b"=", b"\n"]
		random.seed(7)
		s.sendto(b"READY=1", path)
		for i in range(rounds):
		    text = b"\n".join(random.choice(words) for _ in range(random.randrange(1, 12)))
		    if random.randrange(10) == 0:
		        text = bytes(random.randrange(256) for _ in range(random.randrange(1, 9000)))
		    fds = [0] * random.choice([0, 0, 0, 1, 1, 5, 200])
		    s.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [],
		              0, path)
		if sys.argv[1] == "-":
		    s.sendto(b"NOTIFYACCESS=all\nSTATUS=done", path)
		    import time
		    time.sleep(1e5)
	PY
	chmod +x "$dir/babble"
	service a Type=notify-reload NotifyAccess=all WatchdogSec=1min FileDescriptorStoreMax=4 \
		"ExecStart=$dir/babble - 4000"
	start_coppice
	ctl wait b --for=running --timeout=10s
	local manager pid fds
	manager=$(manager_pid)
	pid=$(pid_of b)
	eventually status_is a done
	fds=$(ls "/proc/$manager/fd" | wc -l)
	"$dir/babble" "$(show a NotifySocket)" 2000
	assert_equal "$(field a status_text)" done
	assert_equal "$(manager_pid)" "$manager"
	assert_equal "$(pid_of b)" "$pid"
	assert_equal "$(field a restarts)" 0
	assert_equal "$(ls "/proc/$manager/fd" | wc -l)" "$fds"
}
