# `coppice -- COMMAND`: exit statuses, signals, orphans, the terminal; as an ordinary process and as
# process 1.
load common.bash

setup() {
	dir=$(short_directory)
	coppice=$BUILD/coppice
}

teardown() {
	rm -rf "$dir"
}

# background ARG...: a coppice whose command writes "ready" into $dir/out first.
background() {
	"$coppice" "$@" >"$dir/out" 2>"$dir/err" 3>&- &
	pid=$!
	eventually grep -q ready "$dir/out"
}

# ends STATUS: the one in the background ends with it.
ends() {
	local status=0
	wait "$pid" || status=$?
	test "$status" = "$1" || {
		echo "ended with $status, not $1: $(cat "$dir/out" "$dir/err")" >&2
		return 1
	}
}

as_init() {
	"$BATS_TEST_DIRNAME/../helpers/pidns" "$@"
}

can_unshare() {
	as_init true 2>/dev/null || skip "PID namespaces are refused here"
}

# A shell that says "got NAME" for a signal, in the foreground.
trapper='for s in "$@"; do trap "echo got $s" $s; done; trap "echo bye; exit 3" TERM
	echo ready; while :; do sleep 100 & wait $!; done'

@test "every exit status is the command's own" {
	for ((i = 0; i < 256; i++)); do
		"$coppice" sh -c "exit $i" && status=0 || status=$?
		test "$status" = "$i" || fail "$status, not $i"
	done
}

@test "death by a signal is 128 + its number" {
	for signal in 1 2 6 9 11 15 31 34 64; do
		run "$coppice" -- sh -c "ulimit -c 0; kill -$signal \$\$"
		assert_equal "$status" $((128 + signal))
	done
}

@test "127 for a command that is not there, 126 for one that cannot be executed" {
	run -127 "$coppice" no-such-command
	assert_output --partial 'no-such-command: No such file or directory'
	run -127 "$coppice" /no/such/command
	run -126 "$coppice" /etc/passwd
	assert_output --partial 'Permission denied'
	run -126 "$coppice" "$dir"
	printf 'echo no-shebang\n' >"$dir/script"
	chmod +x "$dir/script"
	run -0 "$coppice" "$dir/script"
	assert_output no-shebang
}

@test "options end at the first word that is none" {
	run -0 "$coppice" echo -g --help
	assert_output -- '-g --help'
	run -0 "$coppice" -- echo -V
	assert_output -- '-V'
	run -0 "$coppice" -g -- echo x
	assert_output x
}

@test "--help, --version, wrong usage" {
	run -0 "$coppice" --help
	assert_output --partial 'Usage: coppice'
	run -0 "$coppice" -h
	run -0 "$coppice" --version
	assert_output --regexp '^coppice [0-9.]+$'
	run -2 "$coppice" --no-such-option
	run -2 "$coppice" -e 256 true
	assert_output --partial 'not a valid value: 256'
	run -2 "$coppice" -e nonsense true
	run -2 "$coppice" -p NOSUCH true
	run -2 "$coppice" --log-level loud true
	run -2 "$coppice" -g
	assert_output --partial 'only with a command'
	run -2 "$coppice" --root x.supervisor true
	assert_output --partial 'not with a command'
	run -2 "$coppice" --check true
}

@test "-e turns exit statuses into 0" {
	run -0 "$coppice" -e 7 sh -c 'exit 7'
	run -0 "$coppice" -e 7 -e 143 sh -c 'kill -TERM $$'
	run -8 "$coppice" -e 7 sh -c 'exit 8'
}

@test "every signal that can be caught is passed on" {
	names=
	for ((n = 1; n <= 64; n++)); do
		case $n in
		9 | 15 | 17 | 19 | 32 | 33) continue ;; # KILL, TERM (below), CHLD, STOP, the C library's
		esac
		names+=" $n"
	done
	# dash cannot trap all of them.
	cat >"$dir/all.py" <<-'PY'
		import os, signal, sys
		wanted = [int(word) for word in sys.argv[1:]]
		signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
		os.write(1, b"ready\n")
		for _ in wanted:
		    os.write(1, b"got %d\n" % signal.sigwait(wanted))
	PY
	# shellcheck disable=SC2086
	background python3 "$dir/all.py" $names
	for n in $names; do
		kill -"$n" "$pid"
		eventually grep -qx "got $n" "$dir/out"
	done
	ends 0
}

@test "a signal that comes before the command starts is not lost" {
	run "$coppice" -- "$coppice" -- sh -c 'kill -TERM $PPID; exec sleep 100'
	assert_equal "$status" 143
}

@test "SIGTERM reaches a command that ends by itself" {
	background bash -c "$trapper" - USR1
	kill -USR1 "$pid"
	eventually grep -q 'got USR1' "$dir/out"
	kill "$pid"
	ends 3
	assert_equal "$(tail -n 1 "$dir/out")" bye
}

@test "signals go to the command alone, with -g to its group" {
	inner='trap "echo inner" USR1; echo ready; while :; do sleep 0.05; done'
	outer="trap 'echo outer' USR1; bash -c '$inner' & while :; do wait; done"
	background bash -c "$outer"
	kill -USR1 "$pid"
	eventually grep -q outer "$dir/out"
	kill -KILL -- "-$(pgrep -P "$pid")" # its group is its own
	ends 137
	run ! grep -q inner "$dir/out"

	background -g bash -c "$outer"
	kill -USR1 "$pid"
	eventually grep -q outer "$dir/out"
	eventually grep -q inner "$dir/out"
	kill -KILL -- "-$(pgrep -P "$pid")"
	ends 137
}

@test "orphans are adopted and reaped" {
	mkfifo "$dir/go"
	background -w bash -c '(sleep 0.2 & echo $! >'"$dir"'/orphan); echo ready; read -r _ <'"$dir"'/go'
	orphan=$(<"$dir/orphan")
	eventually test "$(ps -o ppid= -p "$orphan" | tr -d ' ')" = "$pid"
	eventually grep -q "reaped orphan $orphan" "$dir/err"
	test ! -e "/proc/$orphan"
	echo >"$dir/go"
	ends 0
}

@test "-s is taken, without -w nothing is said" {
	run -0 --separate-stderr "$coppice" -s sh -c '(true &); (true &); sleep 0.1'
	assert_equal "$stderr" ''
}

@test "-p: the signal when the parent dies" {
	mkfifo "$dir/fifo"
	bash -c '"$0" -p TERM sh -c "echo \$\$; exec sleep 100" >"$1" 3>&- & wait' "$coppice" \
		"$dir/fifo" 3>&- &
	parent=$!
	read -r child <"$dir/fifo"
	kill -KILL "$parent"
	eventually gone "$child"
}

@test "descriptors, environment and directory are the command's" {
	cd "$dir"
	run -0 env A=b "$coppice" sh -c 'echo $A $PWD; cat <&7' 7<<<seven
	assert_output "b $dir
seven"
}

@test "the signal mask and what is ignored are passed on as they were" {
	run -0 "$coppice" grep -E 'Sig(Blk|Ign)' /proc/self/status
	here=$(grep -E 'Sig(Blk|Ign)' /proc/self/status)
	assert_output "$here"
	run -0 sh -c 'trap "" HUP CHLD; exec "$0" grep SigIgn /proc/self/status' "$coppice"
	assert_output --regexp '0*[0-9a-f]*1[0-9a-f]{4}[0-9a-f]$|SigIgn'
	value=$((16#${output##*[[:space:]]}))
	((value & 1)) || fail "SIGHUP is not ignored any more: $output"
}

@test "closed standard streams" {
	run -5 bash -c 'exec "$0" sh -c "exit 5" <&- >&- 2>&-' "$coppice"
	run -127 bash -c 'exec "$0" no-such <&- >&- 2>&-' "$coppice"
}

@test "standard error whose reader has gone does not end the command" {
	run -0 bash -c '"$0" -w sh -c "(true &); sleep 0.1; exit 0" 2> >(exec 0<&-; exit 0)' "$coppice"
}

@test "as process 1: status, orphans, signals" {
	can_unshare
	run -9 as_init "$coppice" sh -c '(sleep 0.05 &); exit 9'
	run -0 as_init "$coppice" bash -c 'for i in {1..200}; do (true &); done
		end=$((SECONDS + 10))
		while ps -eo stat= | grep -q Z && test $SECONDS -lt $end; do sleep 0.01; done
		! ps -eo stat= | grep Z'
	"$BATS_TEST_DIRNAME/../helpers/pidns" "$coppice" bash -c "$trapper" - USR1 \
		>"$dir/out" 3>&- &
	pid=$!
	eventually grep -q ready "$dir/out"
	init=$(pgrep -P "$pid" coppice)
	kill -USR1 "$init"
	eventually grep -q 'got USR1' "$dir/out"
	kill -TERM "$init"
	eventually grep -q bye "$dir/out"
	ends 3
}

# --- the terminal -------------------------------------------------------------------------------

# on_terminal PYTHON: runs the lines of Python with a child on a terminal of its own, in `sh`;
# say(text) types, hear(text) waits until it is shown.
on_terminal() {
	cat >"$dir/terminal.py" <<-'PY'
		import os, pty, select, sys, time
		coppice = sys.argv[1]
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp("bash", ["bash", "--norc", "-i"])
		shown = b""
		def say(text):
		    os.write(fd, text.encode())
		def hear(text):
		    global shown
		    end = time.time() + 10
		    while text.encode() not in shown:
		        if not select.select([fd], [], [], max(0, end - time.time()))[0]:
		            sys.exit("never shown: %s in %r" % (text, shown))
		        shown += os.read(fd, 65536)
		    shown = shown[shown.index(text.encode()) + len(text):]
	PY
	cat >>"$dir/terminal.py"
	PS1='$ ' timeout 60 python3 "$dir/terminal.py" "$coppice" 3>&-
}

@test "the command has the terminal, and the shell has it again" {
	on_terminal <<-'PY'
		say("%s sh -c 'set -- $(ps -o pgid=,tpgid= -p $$); test $$.$$ = $1.$2 && echo fore''ground'\n" % coppice)
		hear("foreground")
		say("echo be''gin; %s -- bash --norc\n" % coppice)
		hear("begin")
		say("true | echo jo''b\n") # a shell without the terminal would not come back from this
		hear("job")
		say("read x; echo in''put:$x\n")
		say("typed\n")
		hear("input:typed")
		say("exit 7\n")
		hear("exit")
		say("echo stat''us $?\n")
		hear("status 7")
		say("read y; echo sh''ell:$y\nagain\n")
		hear("shell:again")
	PY
}

@test "^C goes to the command once" {
	on_terminal <<-'PY'
		say("%s -- bash -c 'trap \"echo int\"er INT; echo rea\"\"dy; while :; do sleep 0.05; done'\n" % coppice)
		hear("ready")
		say("\x03")
		hear("inter")
		time.sleep(0.2)
		while select.select([fd], [], [], 0)[0]:
		    shown += os.read(fd, 65536)
		if b"inter" in shown:
		    sys.exit("twice")
		say("\x1c")
	PY
}

@test "^Z stops both, fg brings both back" {
	on_terminal <<-'PY'
		say("%s -- bash -c 'echo rea\"\"dy; read x; echo got:$x'\n" % coppice)
		hear("ready")
		say("\x1a")
		hear("Stopped")
		say("echo she''ll\n")
		hear("shell")
		say("fg\n")
		hear("coppice")
		say("word\n")
		hear("got:word")
		say("echo stat''us $?\n")
		hear("status 0")
	PY
}

@test "in the background the terminal is left alone" {
	on_terminal <<-'PY'
		say("%s -- sh -c 'sleep 0.1; echo do''ne' & wait; echo stat''us $?\n" % coppice)
		hear("done")
		hear("status 0")
		say("read y; echo sh''ell:$y\nagain\n")
		hear("shell:again")
	PY
}
