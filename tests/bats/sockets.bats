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
	assert [ ! -e "$dir/s" ]
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
