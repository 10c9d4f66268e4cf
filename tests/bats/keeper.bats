# The program `coppice` above a manager that is a shell script: what it passes on, what the manager
# finds, what the keeper itself is made of. (Its behaviour under a living tree: tests/unit/keeper.)
load common.bash

setup() {
	dir=$(short_directory)
	cp "$BUILD/coppice" "$dir/coppice"
	coppice=$dir/coppice
}

teardown() {
	if test -n "${pid:-}"; then
		manager=$(pgrep -P "$pid") || true
		# shellcheck disable=SC2086
		kill -KILL "$pid" $manager 2>/dev/null || true
	fi
	rm -rf "$dir"
}

# A manager of shell lines.
manager() {
	{
		echo '#!/bin/bash'
		cat
	} >"$dir/coppice-manager"
	chmod +x "$dir/coppice-manager"
}

# One that never says anything, and stays.
staying_manager() {
	manager <<<"echo here >'$dir/here'; exec sleep 1000"
}

background() {
	"$coppice" "$@" 2>"$dir/err" 3>&- &
	pid=$!
	eventually test -s "$dir/here"
}

@test "options go on to the manager, which stands beside the program" {
	manager <<<"printf '<%s>' \"\$@\" >$dir/arguments; exit 0"
	run -0 "$coppice" --check -r a.supervisor -u /x:/y -S /sock --log-level debug
	assert_equal "$(<"$dir/arguments")" \
		'<--check><-r><a.supervisor><-u></x:/y><-S></sock><--log-level><debug>'
	run -0 "$coppice" -n
	assert_equal "$(<"$dir/arguments")" '<-n>'
}

@test "--check ends as the manager's check" {
	manager <<<'exit 2'
	run -2 "$coppice" --check
}

@test "found through a link in PATH, too" {
	manager <<<"echo here >$dir/here"
	mkdir "$dir/bin"
	ln -s "$coppice" "$dir/bin/coppice"
	PATH=$dir/bin:$PATH run -0 coppice --check
	test -s "$dir/here"
}

@test "a manager that cannot be started" {
	manager <<<''
	chmod 000 "$dir/coppice-manager"
	run -1 "$coppice"
	assert_output --partial 'cannot start'
	run -1 "$coppice" --check
}

@test "what the manager finds" {
	manager <<-SH
		{
			ls -l /proc/self/fd | sed -n 's|.* \([0-9]*\) -> \(.*\)|\1 \2|p'
			grep -E 'Sig(Blk|Ign)|^Ppid|^PPid' /proc/self/status
			env | grep COPPICE_MANAGER_
			test "\$(ps -o sid= -p \$\$ | tr -d ' ')" = \$\$ && echo session
			ulimit -Sn
		} >$dir/there
		mv $dir/there $dir/here
		exec sleep 1000
	SH
	ulimit -Sn 777
	COPPICE_MANAGER_NO_JOURNAL=1 background
	run cat "$dir/here"
	assert_line --regexp '^3 /memfd:coppice-state'
	assert_line --regexp '^4 /memfd:coppice-journal'
	assert_line --regexp '^5 socket:'
	assert_line --regexp '^6 anon_inode:\[eventfd\]'
	refute_line --regexp '^(7|8|9|[1-9][0-9]+) (memfd|socket|anon)'
	assert_line --regexp 'SigBlk:.*0000000000000000'
	assert_line --regexp 'SigIgn:.*0000000000000000'
	assert_line COPPICE_MANAGER_INCARNATION=1
	refute_line --partial NO_JOURNAL
	assert_line session
	assert_line 777
}

@test "ignored signals and stray descriptors are not inherited" {
	manager <<-SH
		{ grep SigIgn /proc/self/status; test -e /proc/\$\$/fd/9 && echo stray; } >$dir/there
		mv $dir/there $dir/here
		exec sleep 1000
	SH
	trap '' CHLD HUP PIPE USR1
	background 9</dev/null
	trap - CHLD HUP PIPE USR1
	run cat "$dir/here"
	assert_line --regexp 'SigIgn:.*0000000000000000'
	refute_line stray
}

@test "closed standard streams are opened" {
	staying_manager
	background <&- >&-
	run readlink "/proc/$pid/fd/0" "/proc/$pid/fd/1"
	assert_output "/dev/null
/dev/null"
}

@test "no heap, no library but libc, little memory of its own" {
	! grep -q __asan_init "$coppice" || skip "sanitizers bring their own"
	staying_manager
	background
	run ! grep -F '[heap]' "/proc/$pid/maps"
	run ! grep -E '\.so' <(grep -vE 'libc[.-]|ld-|lib(asan|ubsan|m)[.-]' "/proc/$pid/maps")
	kib=$(awk '/^Private_Dirty/ { sum += $2 } END { print sum }' "/proc/$pid/smaps")
	echo "# private memory of the keeper: $kib KiB" >&3
	test "$kib" -lt 250
}

@test "a manager that ends again and again: the ladder is said, the keeper stays" {
	manager <<<"echo x >>$dir/starts; exit 3"
	"$coppice" 2>"$dir/err" 3>&- &
	pid=$!
	eventually grep -q 'starting it again in 200ms' "$dir/err"
	assert_equal "$(head -n 2 "$dir/err")" "\
coppice: warning: the manager died (exit status 3) before it was ready; starting it again at once
coppice: error: the manager died (exit status 3) before it was ready; starting it again in 100ms"
	kill -0 "$pid"
}

@test "three signals end it without a manager that listens" {
	staying_manager
	background
	child=$(pgrep -P "$pid")
	kill -TERM "$pid"
	eventually grep -q 'shutting down' "$dir/err"
	kill -TERM "$pid"
	eventually grep -q 'killing everything now' "$dir/err"
	kill -INT "$pid"
	wait "$pid"
	gone "$child"
	pid=
}

@test "standard error that nobody reads does not block it" {
	staying_manager
	mkfifo "$dir/full"
	exec 8<>"$dir/full"
	python3 -c 'import fcntl, os
fcntl.fcntl(8, fcntl.F_SETPIPE_SZ, 4096); os.set_blocking(8, False)
try:
    while True: os.write(8, b"x" * 4096)
except BlockingIOError: os.set_blocking(8, True)'
	"$coppice" 2>&8 3>&- &
	pid=$!
	eventually test -s "$dir/here"
	for signal in TERM TERM INT; do
		kill -$signal "$pid"
		eventually read_pending "$pid"
	done
	wait "$pid"
	pid=
	exec 8>&-
}

# The process has taken all its signals (or has gone).
read_pending() {
	! grep -E '^ShdPnd:.*[1-9a-f]' "/proc/$1/status"
}
