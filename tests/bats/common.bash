# What the bats files share. BUILD is the absolute path of the build directory.
bats_require_minimum_version 1.5.0
load /usr/lib/bats/bats-support/load.bash
load /usr/lib/bats/bats-assert/load.bash

top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
BUILD=${BUILD:-$top/build}
# coppicectl ends without freeing what it has, which the leak check of ASan takes amiss.
test -z "${COPPICE_TEST_ASAN:-}" || export ASAN_OPTIONS=detect_leaks=0

# eventually COMMAND...: tries it until it succeeds; fails after ten seconds.
eventually() {
	local end=$((SECONDS + 10))
	until "$@" >/dev/null 2>&1; do
		if test $SECONDS -ge $end; then
			echo "never came true: $*" >&2
			return 1
		fi
		sleep 0.02
	done
}

# Prints a port on loopback that is free now.
free_port() {
	python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A directory with a path that is short enough for the name of a Unix socket.
short_directory() {
	mktemp -d /tmp/coppice-bats.XXXXXX
}

# For tests in which an ordinary user runs our programs: where he cannot reach them (a checkout below
# /root), copies of them in $dir, which everybody may enter.
reachable_build() {
	if ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$BUILD/coppice"; then
		mkdir -p "$dir/build/tests"
		cp "$BUILD"/coppice "$BUILD"/coppice-* "$BUILD"/coppicectl "$dir/build"
		cp -r "$BUILD/tests/helpers" "$dir/build/tests"
		BUILD=$dir/build
	fi
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# --- a coppice of our own -----------------------------------------------------------------------

# start_coppice ARGUMENT...: in the background, with a control socket in $dir. Its pid is in
# $coppice, what it says in $dir/log. AS may hold a command that becomes somebody else first.
start_coppice() {
	export COPPICE_CONTROL=$dir/control
	# shellcheck disable=SC2086
	${AS:-} "$BUILD/coppice" "$@" >"$dir/log" 2>&1 3>&- &
	coppice=$!
}

# Stops it in whatever state it is, for teardown.
end_coppice() {
	if test -n "${coppice:-}" && kill -TERM "$coppice" 2>/dev/null; then
		eventually gone "$coppice" || kill -KILL "$coppice"
	fi
	coppice=
}

ctl() {
	"$BUILD/coppicectl" "$@"
}

# property UNIT KEY: a value of `list`.
property() {
	ctl --json list "$1" | jq -r ".[0].$2"
}

# is UNIT KEY VALUE: for eventually.
is() {
	test "$(property "$1" "$2")" = "$3"
}

# differs UNIT KEY VALUE
differs() {
	test "$(property "$1" "$2")" != "$3"
}
