#!/bin/bash
# Clients without a pause against a service that is killed every 200 ms, over TCP and a Unix socket:
# nobody is refused, neither while the service is down nor while a manager comes.
# timeout: 180
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
listener=$BUILD/tests/helpers/listener
seconds=30
test -z "${COPPICE_TEST_QUICK:-}" || seconds=4
count=0
failures=0

verdict() {
	count=$((count + 1))
	if test "$1" = 0; then
		echo "ok $count - $2"
	else
		failures=$((failures + 1))
		echo "not ok $count - $2"
	fi
}

dir=$(mktemp -d /tmp/coppice-stress.XXXXXX) || exit 2
export COPPICE_CONTROL=$dir/control
trap 'kill -KILL $coppice 2>/dev/null; rm -rf "$dir"' EXIT

ctl() {
	"$BUILD/coppicectl" "$@"
}

free_port() {
	python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port=$(free_port)
cat >"$dir/default.supervisor" <<UNIT
[Supervisor]
Intensity=1000000
Children=srv.socket srv.service echo.socket
UNIT
cat >"$dir/srv.socket" <<UNIT
[Socket]
ListenStream=127.0.0.1:$port
ListenStream=$dir/s
UNIT
cat >"$dir/srv.service" <<UNIT
[Service]
ExecStart=$listener serve
UNIT
cat >"$dir/echo.socket" <<UNIT
[Socket]
Accept=yes
ListenStream=$dir/e
TriggerLimitBurst=0
UNIT
cat >"$dir/echo@.service" <<UNIT
[Service]
ExecStart=$listener one
StandardInput=socket
UNIT
"$BUILD/coppice" -u "$dir" >"$dir/log" 2>&1 &
coppice=$!
tries=0
until ctl is-ready >/dev/null 2>&1 || test $((tries += 1)) -gt 500; do
	sleep 0.02
done

# These two go on until they are ended.
kill_service() {
	while :; do
		ctl kill -s KILL srv.service >/dev/null 2>&1
		sleep 0.2
	done
}

kill_manager() {
	while :; do
		sleep 1
		# The oldest: a child that has not called exec has the same name.
		kill -KILL "$(pgrep -o -P "$coppice" -x coppice-manager)" 2>/dev/null
	done
}

# run NAME SECONDS KILLER...: two clients at a time, one of each kind.
run() {
	local name=$1 span=$2 killers=() killer tcp unix failed=0
	shift 2
	for killer; do
		"$killer" &
		killers+=($!)
	done
	"$listener" load "127.0.0.1:$port" "$span" >"$dir/tcp" 2>"$dir/errors.tcp" &
	tcp=$!
	"$listener" load "$dir/s" "$span" >"$dir/unix" 2>"$dir/errors.unix" &
	unix=$!
	wait "$tcp" || failed=1
	wait "$unix" || failed=1
	kill "${killers[@]}"
	wait "${killers[@]}" 2>/dev/null
	verdict $failed "no connection is refused: $name"
	echo "# $name, TCP: $(cat "$dir/tcp")"
	echo "# $name, Unix: $(cat "$dir/unix")"
	sort "$dir"/errors.* | uniq -c | head -n 5 | sed 's/^/# /'
}

run 'a service killed every 200 ms' "$seconds" kill_service
run 'and the manager killed every second' "$((seconds / 3 + 1))" kill_service kill_manager
kill_manager &
killer=$!
"$listener" load "$dir/e" "$((seconds / 3 + 1))" >"$dir/accept" 2>"$dir/errors.accept"
verdict $? "no connection is refused: a process a connection, the manager killed every second"
kill "$killer"
wait "$killer" 2>/dev/null
echo "# Accept=yes: $(cat "$dir/accept")"
restarts=$(ctl --json list srv.service | jq '.[0].restarts')
echo "# $restarts restarts"
test "${restarts:-0}" -ge $((seconds * 2))
verdict $? "the service was killed and came back"
ctl shutdown >/dev/null 2>&1
wait "$coppice"
verdict $? "and it ends in order"
echo "1..$count"
test $failures = 0
