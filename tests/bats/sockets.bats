#!/usr/bin/env bats
# Socket units: what they listen on, what services are given, and that nobody is refused.
load helpers.bash

setup() {
	setup_tree
	listener=$BUILD/tests/helpers/listener
	umask 022
}

teardown() {
	teardown_tree
}

# ask KIND ADDRESS TEXT; hear the answer in `output`.
ask() {
	run timeout 15 "$listener" ask "$@"
	assert_success
}

# server [LINE...]: srv.service, which serves, with more lines of [Service].
server() {
	{
		printf '[Service]\nExecStart=%s serve\n' "$listener"
		printf '%s\n' "$@"
	} | unit srv.service
}

# socket LINE...: srv.socket
socket() {
	{
		printf '[Socket]\n'
		printf '%s\n' "$@"
	} | unit srv.socket
}

@test "every kind of socket is bound before the service and passed in order" {
	local port udp
	port=$(free_port) udp=$(free_port)
	socket "ListenStream=$dir/stream" "ListenStream=127.0.0.1:$port" "ListenDatagram=$dir/datagram" \
		"ListenSequentialPacket=@coppice$$/packet" "ListenFIFO=$dir/fifo" \
		"ListenDatagram=[::1]:$udp"
	server
	root '' 'srv.socket srv.service'
	start_coppice
	local pid
	pid=$(pid_of srv)
	ask stream "$dir/stream" one
	assert_output "$pid srv.socket one"
	ask stream "127.0.0.1:$port" two
	assert_output "$pid srv.socket two"
	ask datagram "$dir/datagram" three
	assert_output "$pid srv.socket three"
	ask seqpacket "@coppice$$/packet" four
	assert_output "$pid srv.socket four"
	ask datagram "[::1]:$udp" five
	assert_output "$pid srv.socket five"
	echo six >"$dir/fifo"
	eventually grep -q "^$pid srv.socket six$" "$log"
	ask stream "$dir/stream" 'env LISTEN_FDS'
	assert_output "$pid srv.socket 6"
	ask stream "$dir/stream" 'env LISTEN_PID'
	assert_output "$pid srv.socket $pid"
}

@test "a socket is there before its service, and outlives a service that dies" {
	mkfifo "$dir/go"
	socket "ListenStream=$dir/s"
	server "ExecStartPre=/bin/sh -c 'cat $dir/go'"
	root '' 'srv.socket srv.service'
	start_coppice
	# The service has not started, and a client is not refused.
	eventually is_listening "$dir/s"
	"$listener" ask stream "$dir/s" early >"$dir/answer" &
	local client=$!
	: >"$dir/go"
	wait "$client"
	assert_equal "$(cat "$dir/answer")" "$(pid_of srv) srv.socket early"
	# Nor is one that comes when it is dead.
	kill -KILL "$(pid_of srv)"
	"$listener" ask stream "$dir/s" late >"$dir/answer" &
	client=$!
	: >"$dir/go"
	wait "$client"
	ctl wait srv --for=running --timeout=10s
	assert_equal "$(cat "$dir/answer")" "$(pid_of srv) srv.socket late"
}

is_listening() {
	grep -q " $1\$" /proc/net/unix
}

@test "a manager that is killed closes nothing" {
	socket "ListenStream=$dir/s" RemoveOnStop=yes
	server
	root '' 'srv.socket srv.service'
	start_coppice
	local before pid
	before=$(inode_of "$dir/s") pid=$(pid_of srv)
	kill_manager
	assert_equal "$(inode_of "$dir/s")" "$before"
	ask stream "$dir/s" still
	assert_output "$pid srv.socket still"
	# The next manager passes the same socket.
	kill -KILL "$pid"
	ask stream "$dir/s" again
	refute_output --partial "$pid "
	assert_equal "$(inode_of "$dir/s")" "$before"
	ctl stop srv.socket
	eventually test ! -e "$dir/s"
}

# inode_of PATH: of the socket that is bound there.
inode_of() {
	awk -v path="$1" '$NF == path && $4 != "00000000" { print $7 }' /proc/net/unix
}

kill_manager() {
	local manager
	manager=$(pgrep -P "$coppice_pid" -x coppice-manager)
	kill -KILL "$manager"
	eventually other_manager "$manager"
	eventually ctl_answers
}

other_manager() {
	local now
	now=$(pgrep -P "$coppice_pid" -x coppice-manager) && test "$now" != "$1"
}

@test "a group restart keeps the socket; a stop by hand closes it, a start opens it" {
	socket "ListenStream=$dir/s"
	server
	root $'Strategy=one-for-all\nIntensity=5' 'srv.socket srv.service'
	start_coppice
	local before
	before=$(inode_of "$dir/s")
	kill -KILL "$(pid_of srv)"
	eventually is srv.service restarts 1
	ctl wait srv --for=running --timeout=10s
	assert_equal "$(inode_of "$dir/s")" "$before"
	ctl restart srv.socket
	assert_equal "$(inode_of "$dir/s")" "$before"
	ctl stop srv.service
	ctl stop srv.socket
	eventually not_listening "$dir/s"
	ctl start srv.socket
	eventually is_listening "$dir/s"
}

is() {
	test "$(field "$1" "$2")" = "$3"
}

not_listening() {
	! is_listening "$1"
}

@test "an address that is taken is a failed start, said with the address" {
	local port
	port=$(free_port)
	socket "ListenStream=127.0.0.1:$port"
	server
	root 'OnStartFailure=retry
Intensity=1000' 'srv.socket srv.service'
	"$PYTHON" -c 'import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("up", flush=True); time.sleep(1000)' \
		"$port" >"$dir/up" &
	local holder=$!
	eventually grep -q up "$dir/up"
	run_coppice
	kill "$holder"
	assert_equal "$status" 1
	assert_output --partial "srv.socket: cannot listen on 127.0.0.1:$port: Address already in use"
	assert_output --partial 'exec:EADDRINUSE'
}

@test "a reload binds only what changed" {
	socket "ListenStream=$dir/a" "ListenStream=$dir/b"
	server
	root '' 'srv.socket srv.service'
	start_coppice
	local a
	a=$(inode_of "$dir/a")
	socket "ListenStream=$dir/a" "ListenStream=$dir/c" SocketMode=0640
	ctl daemon-reload
	assert_equal "$(inode_of "$dir/a")" "$a"
	eventually is_listening "$dir/c"
	assert [ ! -e "$dir/b" ]
	assert_equal "$(stat -c %a "$dir/a")" 640
	ctl restart srv.service
	ask stream "$dir/c" hello
	assert_output --partial 'srv.socket hello'
}

@test "a file that is there: a stale socket is replaced, anything else is not" {
	"$PYTHON" -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$dir/s"
	: >"$dir/plain"
	socket "ListenStream=$dir/s" "Symlinks=$dir/one $dir/deep/two"
	server
	root '' 'srv.socket srv.service'
	start_coppice
	ask stream "$dir/deep/two" hello
	assert_output --partial hello
	ctl shutdown
	ends_with 0
	socket "ListenStream=$dir/plain"
	run_coppice
	assert_failure
	assert [ -f "$dir/plain" ]
}

@test "mode, owner, directories; RemoveOnStop= takes files and symbolic links away" {
	test "$(id -u)" = 0 || skip "needs root"
	socket "ListenStream=$dir/deep/s" "ListenFIFO=$dir/f" SocketMode=0620 SocketUser=daemon \
		SocketGroup=65534 DirectoryMode=0711 "Symlinks=$dir/link" RemoveOnStop=yes
	server
	root '' 'srv.socket srv.service'
	start_coppice
	assert_equal "$(stat -c '%a %U %g' "$dir/deep/s")" '620 daemon 65534'
	assert_equal "$(stat -c '%a %U %g' "$dir/f")" '620 daemon 65534'
	assert_equal "$(stat -c %a "$dir/deep")" 711
	assert [ -L "$dir/link" ]
	ctl shutdown
	ends_with 0
	assert [ ! -e "$dir/deep/s" ]
	assert [ ! -e "$dir/f" ]
	assert [ ! -L "$dir/link" ]
}

@test "Sockets= and Service=: several units for one service, with names" {
	unit one.socket <<-UNIT
		[Socket]
		ListenStream=$dir/one
		FileDescriptorName=uno
		Service=srv.service
	UNIT
	unit two.socket <<-UNIT
		[Socket]
		ListenStream=$dir/two
		Service=srv.service
	UNIT
	socket "ListenStream=$dir/own"
	server 'Sockets=two.socket'
	root '' 'one.socket two.socket srv.socket srv.service'
	start_coppice
	ask stream "$dir/one" names
	assert_output --partial 'uno srv.socket:uno:two.socket'
}

@test "NonBlocking=" {
	socket "ListenStream=$dir/s"
	server
	root '' 'srv.socket srv.service'
	start_coppice
	ask stream "$dir/s" 'nonblock 3'
	assert_output --partial ' no'
	server NonBlocking=yes
	ctl daemon-reload
	ctl restart srv.service
	ask stream "$dir/s" 'nonblock 3'
	assert_output --partial ' yes'
}

@test "ExecStartPre= and its like run around the sockets" {
	socket "ListenStream=$dir/s" "ExecStartPre=/bin/sh -c 'test ! -e $dir/s && echo pre'" \
		"ExecStartPost=/bin/sh -c 'test -e $dir/s && echo post'" \
		"ExecStopPre=/bin/sh -c 'test -e $dir/s && echo stop-pre'" \
		"ExecStopPost=/bin/echo stop-post"
	server
	root '' 'srv.socket srv.service'
	start_coppice
	ctl wait srv.service --for=running --timeout=10s
	ctl stop srv.socket
	run cat "$log"
	assert_line pre
	assert_line post
	assert_line stop-pre
	assert_line stop-post
}

# --- the first traffic ---------------------------------------------------------------------------

@test "a service that nobody named is started by the first traffic" {
	socket "ListenStream=$dir/s"
	server
	root '' srv.socket
	start_coppice
	assert_equal "$(field srv.service state)" stopped
	assert_equal "$(field default.supervisor ready)" yes
	ask stream "$dir/s" first
	assert_output "$(pid_of srv) srv.socket first"
	# It is stopped by hand, and stays so: traffic waits.
	ctl stop srv.service
	"$listener" ask stream "$dir/s" waiting >"$dir/answer" &
	local client=$!
	eventually has_backlog
	assert_equal "$(field srv.service state)" stopped
	ctl start srv.service
	wait "$client"
	assert_equal "$(cat "$dir/answer")" "$(pid_of srv) srv.socket waiting"
}

# A client is in the queue: what nobody accepted has no peer's path in it but the listener's.
has_backlog() {
	test "$(grep -c " $dir/s\$" /proc/net/unix)" -gt 1
}

@test "a service that ends when it has done its work is started again by the next traffic" {
	socket "ListenStream=$dir/s"
	unit srv.service <<-UNIT
		[Service]
		Restart=no
		ExecStart=$listener once
	UNIT
	root '' srv.socket
	start_coppice
	local n
	for n in 1 2 3; do
		ask stream "$dir/s" "$n"
		assert_output --partial " srv.socket $n"
	done
	assert_equal "$(field srv.socket state)" running
}

@test "a manager that is killed goes on waiting for traffic" {
	socket "ListenStream=$dir/s"
	server
	root '' srv.socket
	start_coppice
	kill_manager
	ask stream "$dir/s" hello
	assert_output "$(pid_of srv) srv.socket hello"
}

@test "a service that never takes what came is not started for ever: TriggerLimitBurst=" {
	socket "ListenStream=$dir/s" TriggerLimitIntervalSec=60 TriggerLimitBurst=5
	unit srv.service <<-UNIT
		[Service]
		Restart=no
		ExecStart=/bin/echo came
	UNIT
	root $'Intensity=0' srv.socket
	start_coppice
	"$listener" hold "$dir/s" <"$log" >"$dir/held" || true
	ends_with 1
	assert_equal "$(grep -c '^came$' "$log")" 5
	run cat "$log"
	assert_output --partial 'more than 5 times'
}

@test "FlushPending=: what waited for a service that ended is thrown away" {
	socket "ListenDatagram=$dir/d" FlushPending=yes
	mkfifo "$dir/go"
	unit srv.service <<-UNIT
		[Service]
		Restart=no
		ExecStart=/bin/sh -c 'echo came; cat $dir/go'
	UNIT
	root '' srv.socket
	start_coppice
	"$PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b"x", sys.argv[1])' "$dir/d"
	eventually is srv.service state running
	: >"$dir/go"
	ctl wait srv.service --for=done --timeout=10s
	settle
	assert_equal "$(grep -c '^came$' "$log")" 1
}

@test "Sockets= and Requires= bring socket units in, before the service" {
	unit one.socket <<-UNIT
		[Socket]
		ListenStream=$dir/one
		Service=srv.service
	UNIT
	socket "ListenStream=$dir/own"
	printf '[Unit]\nRequires=srv.socket\n[Service]\nExecStart=%s serve\nSockets=one.socket\n' \
		"$listener" | unit srv.service
	sleeper first
	root '' 'first srv.service'
	start_coppice
	run ctl list
	assert_line --index 1 --partial first.service
	ask stream "$dir/one" names
	assert_output --partial 'srv.socket:one.socket'
}

# --- a process a connection ----------------------------------------------------------------------

echo_units() {
	{
		printf '[Socket]\nAccept=yes\n'
		printf '%s\n' "$@"
	} | unit echo.socket
	unit echo@.service <<-UNIT
		[Service]
		ExecStart=$listener one
		StandardInput=socket
	UNIT
}

@test "Accept=yes: each connection has a process of its own" {
	local port
	port=$(free_port)
	echo_units "ListenStream=$dir/s" "ListenStream=127.0.0.1:$port"
	root '' echo.socket
	start_coppice
	ask stream "$dir/s" hello
	assert_output --partial ' connection hello'
	ask stream "127.0.0.1:$port" 'env REMOTE_ADDR'
	assert_output --partial ' connection 127.0.0.1'
	ask stream "127.0.0.1:$port" 'env LISTEN_FDS'
	assert_output --partial ' connection 1'
	ask stream "127.0.0.1:$port" 'env COPPICE_UNIT'
	assert_output --regexp "connection echo@[0-9]+-127.0.0.1:$port-127.0.0.1:[0-9]+.service"
	eventually has_no_instance
	run ctl list
	assert_line --partial echo.socket
}

has_no_instance() {
	test "$(ctl list | grep -c 'echo@')" = 0
}

instances_are() {
	test "$(ctl list | grep -c 'echo@')" = "$1"
}

@test "MaxConnections= and MaxConnectionsPerSource= refuse the ones too many" {
	local port
	port=$(free_port)
	echo_units "ListenStream=127.0.0.1:$port" MaxConnections=3 MaxConnectionsPerSource=2
	root '' echo.socket
	start_coppice
	mkfifo "$dir/one" "$dir/two"
	"$listener" hold "127.0.0.1:$port" <"$dir/one" &
	"$listener" hold "127.0.0.1:$port" <"$dir/two" &
	exec 5>"$dir/one" 6>"$dir/two"
	eventually instances_are 2
	run "$listener" ask stream "127.0.0.1:$port" third
	assert_failure
	exec 5>&- 6>&-
	eventually has_no_instance
	ask stream "127.0.0.1:$port" again
}

@test "connections outlive the manager, and new ones are taken by the next" {
	echo_units "ListenStream=$dir/s"
	root '' echo.socket
	start_coppice
	mkfifo "$dir/one"
	"$listener" hold "$dir/s" <"$dir/one" &
	exec 5>"$dir/one"
	eventually instances_are 1
	local pid
	pid=$(ctl list | awk '/echo@/ { print $4 }')
	kill_manager
	assert_equal "$(ctl list | awk '/echo@/ { print $4 }')" "$pid"
	ask stream "$dir/s" hello
	exec 5>&-
	eventually has_no_instance
}

@test "Accept=yes on an address that is taken: the socket gives up" {
	: >"$dir/plain"
	echo_units "ListenStream=$dir/plain"
	root 'Intensity=1' echo.socket
	run_coppice
	assert_equal "$status" 1
	assert_output --partial "echo.socket: cannot listen on $dir/plain"
}

# --- FDSTORE=1 -----------------------------------------------------------------------------------

@test "stored descriptors survive the service and the manager, and come back behind the sockets" {
	socket "ListenStream=$dir/s"
	server FileDescriptorStoreMax=3 Type=notify
	sed -i 's/serve$/serve mine/' "$units/srv.service"
	root 'Intensity=10' 'srv.socket srv.service'
	start_coppice
	ask stream "$dir/s" 'store alpha'
	ask stream "$dir/s" 'store beta'
	eventually stored_are 2
	kill -KILL "$(pid_of srv)"
	ask stream "$dir/s" stored
	assert_output --partial '[alpha][beta]'
	ask stream "$dir/s" names
	assert_output --partial 'srv.socket:mine:mine'
	kill_manager
	kill -KILL "$(pid_of srv)"
	ask stream "$dir/s" stored
	assert_output --partial '[alpha][beta]'
	# Both at once.
	local manager
	manager=$(pgrep -P "$coppice_pid" -x coppice-manager)
	kill -KILL "$manager" "$(pid_of srv)"
	eventually other_manager "$manager"
	ask stream "$dir/s" stored
	assert_output --partial '[alpha][beta]'
	# A third is taken, a fourth is not.
	ask stream "$dir/s" 'store gamma'
	ask stream "$dir/s" 'store delta'
	eventually stored_are 3
	ask stream "$dir/s" remove
	eventually stored_are 0
	# A stop for good drops them; a restart by hand does not.
	ask stream "$dir/s" 'store epsilon'
	eventually stored_are 1
	ctl restart srv.service
	ask stream "$dir/s" stored
	assert_output --partial '[epsilon]'
	ctl stop srv.service
	ctl start srv.service
	ask stream "$dir/s" stored
	refute_output --partial '[epsilon]'
}

stored_are() {
	test "$(ctl show srv.service -p StoredDescriptors)" = "StoredDescriptors=$1"
}

@test "FileDescriptorStorePreserve=yes keeps them over a stop" {
	socket "ListenStream=$dir/s"
	server FileDescriptorStoreMax=3 Type=notify FileDescriptorStorePreserve=yes
	sed -i 's/serve$/serve mine/' "$units/srv.service"
	root '' 'srv.socket srv.service'
	start_coppice
	ask stream "$dir/s" 'store alpha'
	eventually stored_are 1
	ctl stop srv.service
	ctl start srv.service
	ask stream "$dir/s" stored
	assert_output --partial '[alpha]'
}

@test "a stored descriptor that hangs up goes, unless FDPOLL=0" {
	socket "ListenStream=$dir/s"
	server FileDescriptorStoreMax=3 Type=notify
	sed -i 's/serve$/serve mine/' "$units/srv.service"
	root '' 'srv.socket srv.service'
	start_coppice
	ask stream "$dir/s" pipe
	eventually stored_are 1
	ask stream "$dir/s" hang
	eventually stored_are 0
	ask stream "$dir/s" pipe-nopoll
	eventually stored_are 1
	ask stream "$dir/s" hang
	ask stream "$dir/s" 'store alpha'
	eventually stored_are 2
}

@test "without FileDescriptorStoreMax= nothing is stored" {
	socket "ListenStream=$dir/s"
	server Type=notify
	sed -i 's/serve$/serve mine/' "$units/srv.service"
	root '' 'srv.socket srv.service'
	start_coppice
	ask stream "$dir/s" 'store alpha'
	eventually grep -q 'no more than 0 descriptors' "$log"
	stored_are 0
}

@test "list, show and why speak of sockets" {
	local port
	port=$(free_port)
	socket "ListenStream=$dir/s" "ListenDatagram=127.0.0.1:$port"
	server
	echo_units "ListenStream=$dir/e"
	root '' 'srv.socket echo.socket'
	start_coppice
	assert_equal "$(field srv.socket kind)" socket
	run ctl show srv.socket
	assert_line "Listen=$dir/s (Stream), 127.0.0.1:$port (Datagram)"
	assert_line OpenSockets=2
	run ctl why srv.socket
	assert_output --partial "$dir/s"
	assert_output --partial 'first traffic starts srv.service'
	run ctl show echo.socket -p NConnections
	assert_output NConnections=0
	run ctl why echo.socket
	assert_output --partial 'process of its own'
}

# --- every option --------------------------------------------------------------------------------

# options_are ADDRESS KIND NAME=VALUE...: what the service sees on its first socket.
options_are() {
	local kind=$1 address=$2 pair
	shift 2
	for pair; do
		ask "$kind" "$address" "option ${pair%%=*}"
		assert_output --partial " srv.socket ${pair#*=}"
	done
}

@test "options of a TCP socket" {
	test "$(id -u)" = 0 || skip "needs root"
	local port
	port=$(free_port)
	socket "ListenStream=127.0.0.1:$port" KeepAlive=yes KeepAliveTimeSec=77 \
		KeepAliveIntervalSec=8 KeepAliveProbes=3 NoDelay=yes DeferAcceptSec=3 Mark=42 IPTOS=low-delay IPTTL=33 ReusePort=yes FreeBind=yes Transparent=yes \
		Backlog=17 TCPCongestion=reno BindToDevice=lo
	server
	root '' 'srv.socket srv.service'
	start_coppice
	options_are stream "127.0.0.1:$port" KeepAlive=1 KeepAliveTimeSec=77 \
		KeepAliveIntervalSec=8 KeepAliveProbes=3 NoDelay=1 Mark=42 IPTOS=16 \
		IPTTL=33 ReusePort=1 FreeBind=1 Transparent=1 Backlog=17 TCPCongestion=reno \
		BindToDevice=lo
	ask stream "127.0.0.1:$port" 'option DeferAcceptSec'
	refute_output --partial ' srv.socket 0'
}

@test "options of datagram sockets" {
	local port
	port=$(free_port)
	socket "ListenDatagram=127.0.0.1:$port" Broadcast=yes PassPacketInfo=yes \
		ReceiveBuffer=65536 SendBuffer=32K Priority=4
	server
	root '' 'srv.socket srv.service'
	start_coppice
	options_are datagram "127.0.0.1:$port" Priority=4 Broadcast=1 PassPacketInfo=1 ReceiveBuffer=131072 \
		SendBuffer=65536
	ctl shutdown
	ends_with 0
	socket "ListenDatagram=$dir/d" PassCredentials=yes PassSecurity=yes
	start_coppice
	options_are datagram "$dir/d" PassCredentials=1 PassSecurity=1
}

@test "SocketProtocol=, BindIPv6Only=" {
	local port
	port=$(free_port)
	socket "ListenStream=$port" BindIPv6Only=ipv6-only SocketProtocol=mptcp
	server
	root '' 'srv.socket srv.service'
	start_coppice || true
	if grep -q 'Protocol not' "$log"; then
		skip "this kernel has no MPTCP"
	fi
	options_are stream "[::1]:$port" BindIPv6Only=1 SocketProtocol=262
}

@test "what is no socket: FIFO, special file, message queue, netlink" {
	socket "ListenFIFO=$dir/f" PipeSize=8192 ListenSpecial=/dev/null Writable=yes \
		"ListenMessageQueue=/coppice$$" 'ListenNetlink=route 1' "ListenStream=$dir/s" \
		RemoveOnStop=yes
	server
	root '' 'srv.socket srv.service'
	start_coppice
	ask stream "$dir/s" 'link 3'
	assert_output --partial " $dir/f rw 8192"
	ask stream "$dir/s" 'link 4'
	assert_output --partial ' /dev/null rw'
	ask stream "$dir/s" 'link 5'
	assert_output --partial " /coppice$$ r "
	ctl shutdown
	ends_with 0
	socket 'ListenNetlink=route 1' "ListenStream=$dir/s"
	start_coppice
	ask stream "$dir/s" 'option Domain'
	assert_output --partial ' srv.socket 16'
}

@test "TimeoutSec= is the limit of its commands" {
	socket "ListenStream=$dir/s" TimeoutSec=200ms 'ExecStartPre=/bin/sleep 1000'
	root '' srv.socket
	server
	run_coppice
	assert_equal "$status" 1
	assert_output --partial start-timeout
}

@test "MaxConnections= alone, and TriggerLimit= makes connections wait" {
	echo_units "ListenStream=$dir/s" MaxConnections=1 TriggerLimitIntervalSec=400ms \
		TriggerLimitBurst=3
	root '' echo.socket
	start_coppice
	mkfifo "$dir/one"
	"$listener" hold "$dir/s" <"$dir/one" &
	exec 5>"$dir/one"
	eventually instances_are 1
	run "$listener" ask stream "$dir/s" second
	assert_failure
	exec 5>&-
	eventually has_no_instance
	local since=${EPOCHREALTIME/./} n
	for n in 1 2 3 4 5; do
		ask stream "$dir/s" "$n"
		eventually has_no_instance
	done
	local took=$(((${EPOCHREALTIME/./} - since) / 1000))
	run cat "$log"
	assert_output --partial 'the next ones wait'
	assert [ "$took" -lt 1900 ]
}

@test "StandardInput=fd:NAME is the named descriptor" {
	socket "ListenDatagram=$dir/d" "ListenStream=$dir/s" FileDescriptorName=sock
	unit srv.service <<-UNIT
		[Service]
		ExecStart=/bin/sh -c 'readlink /proc/self/fd/0 /proc/self/fd/3; exec sleep 1000'
		StandardInput=fd:sock
		StandardOutput=file:$dir/out
	UNIT
	root '' 'srv.socket srv.service'
	start_coppice
	eventually two_lines
	assert_equal "$(sort -u "$dir/out" | wc -l)" 1
}

two_lines() {
	test "$(grep -c '^socket:' "$dir/out")" = 2
}
