#!/usr/bin/env bats
# Units that name each other, with real processes: what is stopped, started, restarted and reloaded
# for another's sake.
load helpers.bash

setup() {
	setup_tree
}

teardown() {
	teardown_tree
}

# related NAME LINE...: a service that does nothing for long, with lines of [Unit].
related() {
	local name=$1
	shift
	{
		printf '[Unit]\n'
		printf '%s\n' "$@"
		printf '[Service]\nExecStart=/bin/sleep 100000\nExecReload=/bin/sh -c "echo %s >>%s/reloads"\n' \
			"$name" "$dir"
	} | unit "$name.service"
}

is_in() { # NAME STATE
	test "$(field "$1" state)" = "$2"
}

is_new() { # NAME OLD_PID
	is_in "$1" running && test "$(pid_of "$1")" != "$2"
}

@test "Requires=: an explicit stop reaches who requires, a restart too, a crash does not" {
	root 'Intensity=9' 'a b c'
	sleeper a
	related b Requires=a.service
	related c Requires=b.service
	start_coppice
	local b c
	b=$(pid_of b) c=$(pid_of c)
	kill -KILL "$(pid_of a)"
	eventually restarts_are a 1
	settle
	assert_equal "$(pid_of b) $(pid_of c)" "$b $c"
	ctl restart a
	settle
	assert_equal "$(field a state) $(field b state) $(field c state)" 'running running running'
	assert_not_equal "$(pid_of b)" "$b"
	assert_not_equal "$(pid_of c)" "$c"
	ctl stop a
	settle
	assert_equal "$(field a state) $(field b state) $(field c state)" 'stopped stopped stopped'
	# A start brings up what is required, and not who requires.
	ctl start b
	settle
	assert_equal "$(field a state) $(field b state) $(field c state)" 'running running stopped'
}

@test "BindsTo=: who is bound goes down with a crash, and comes back with the restart" {
	root 'Intensity=9' 'a b c'
	sleeper a
	related b BindsTo=a.service After=a.service
	related c BindsTo=b.service
	start_coppice
	local b c
	b=$(pid_of b) c=$(pid_of c)
	kill -KILL "$(pid_of a)"
	eventually is_new b "$b"
	eventually is_new c "$c"
	settle
	assert_equal "$(field a restarts) $(field b restarts) $(field c restarts)" '1 0 0'
	# The other way round nothing happens.
	local a
	a=$(pid_of a) c=$(pid_of c)
	kill -KILL "$(pid_of b)"
	eventually restarts_are b 1
	eventually is_new c "$c"
	settle
	assert_equal "$(pid_of a)" "$a"
	ctl stop a
	settle
	assert_equal "$(field b state) $(field c state)" 'stopped stopped'
}

@test "BindsTo= of one that ends for good: who is bound stays down" {
	root 'Intensity=9' 'a b'
	printf '[Service]\nExecStart=/bin/sleep 100000\nRestart=no\n' | unit a.service
	related b BindsTo=a.service
	start_coppice
	kill -TERM "$(pid_of a)"
	eventually is_in b stopped
	settle
	assert_equal "$(field b state)" stopped
}

@test "a link of OTP's: BindsTo= in both directions, and in a ring, comes to rest" {
	root 'Intensity=9' 'a b c'
	related a BindsTo=b.service
	related b BindsTo=a.service BindsTo=c.service
	related c BindsTo=a.service
	start_coppice
	local a b c
	for victim in a b c; do
		a=$(pid_of a) b=$(pid_of b) c=$(pid_of c)
		kill -KILL "$(pid_of $victim)"
		eventually is_new a "$a"
		eventually is_new b "$b"
		eventually is_new c "$c"
		settle
	done
	assert_equal "$(field a restarts) $(field b restarts) $(field c restarts)" '1 1 1'
}

@test "BindsTo= reaches across supervisors" {
	root 'Intensity=9' 'x.supervisor y.supervisor'
	printf '[Supervisor]\nChildren=a\n' | unit x.supervisor
	printf '[Supervisor]\nChildren=b\n' | unit y.supervisor
	sleeper a
	related b BindsTo=a.service After=a.service
	start_coppice
	local b
	b=$(pid_of b)
	kill -KILL "$(pid_of a)"
	eventually is_new b "$b"
	ctl stop x.supervisor
	eventually is_in b stopped
}

@test "PartOf=: stop and restart by hand, one way" {
	root 'Intensity=9' 'a b'
	sleeper a
	related b PartOf=a.service
	start_coppice
	local a b
	a=$(pid_of a) b=$(pid_of b)
	kill -KILL "$a"
	eventually restarts_are a 1
	settle
	assert_equal "$(pid_of b)" "$b"
	ctl restart a
	settle
	assert_not_equal "$(pid_of b)" "$b"
	a=$(pid_of a)
	ctl stop b
	settle
	assert_equal "$(pid_of a)" "$a"
	ctl start b
	ctl stop a
	settle
	assert_equal "$(field b state)" stopped
	ctl start a
	settle
	assert_equal "$(field b state)" stopped
}

@test "Conflicts=: the start of one stops the other, both ways" {
	root '' 'a b'
	sleeper a
	related b Conflicts=a.service
	start_coppice
	eventually is_in a stopped
	assert_equal "$(field b state)" running
	ctl start a
	settle
	assert_equal "$(field a state) $(field b state)" 'running stopped'
	ctl start b
	settle
	assert_equal "$(field a state) $(field b state)" 'stopped running'
}

@test "OnFailure= and OnSuccess= start units on demand, with the name of the one that failed" {
	root '' 'a b'
	unit a.service <<-UNIT
		[Unit]
		OnFailure=mourn@%n.service
		[Service]
		ExecStart=/bin/sh -c 'test -e $dir/again || exit 3; exit 0'
		Type=oneshot
		Restart=no
	UNIT
	# Its first start must be well: OTP's rule for a supervisor.
	sed -i 's/Type=oneshot/Type=simple/' "$units/a.service"
	unit mourn@.service <<-UNIT
		[Service]
		Type=oneshot
		ExecStart=/bin/sh -c 'echo %i >>$dir/mourned'
	UNIT
	unit b.service <<-UNIT
		[Unit]
		OnSuccess=cheer.service
		[Service]
		ExecStart=/bin/true
		Restart=no
	UNIT
	related cheer
	start_coppice
	eventually test -s "$dir/mourned"
	assert_equal "$(<"$dir/mourned")" a.service
	eventually is_in cheer running
	run ! grep -c b.service "$dir/mourned"
}

@test "a unit on demand is not started with its supervisor, and is no obstacle to its being ready" {
	root '' 'a'
	related a OnFailure=help.service
	related help
	start_coppice
	settle
	assert_equal "$(field help state)" stopped
	assert_equal "$(field default.supervisor ready)" yes
	ctl why help | grep 'another unit'
	ctl start help
	assert_equal "$(field help state)" running
}

@test "Upholds=: what is upheld is started with it, and again when it was stopped" {
	root 'Intensity=9' 'a'
	related a Upholds=u.service
	printf '[Service]\nExecStart=/bin/sleep 100000\nRestart=no\n' | unit u.service
	start_coppice
	eventually is_in u running
	local u
	u=$(pid_of u)
	kill -KILL "$u"
	eventually is_new u "$u"
	ctl stop u
	eventually is_in u running
	ctl stop a
	u=$(pid_of u)
	settle
	assert_equal "$(field u state)" running
	ctl stop u
	settle
	assert_equal "$(field u state)" stopped
}

@test "starts for another's sake do not run away" {
	root 'Intensity=9' 'a'
	related a Upholds=broken.service
	printf '[Unit]\nOnFailure=worse.service\n[Service]\nExecStart=/bin/false\nRestart=no\n' |
		unit broken.service
	printf '[Unit]\nOnFailure=broken.service\n[Service]\nExecStart=/bin/false\nRestart=no\n' |
		unit worse.service
	start_coppice
	eventually grep -q 'broken.service: other units have started it' "$log"
	settle
	assert_equal "$(field a state) $(field broken state)" 'running failed'
}

@test "reloads are propagated" {
	root '' 'a b c'
	related a PropagatesReloadTo=b.service
	related b Description=x
	related c ReloadPropagatedFrom=b.service
	start_coppice
	ctl reload a
	settle
	eventually test "$(sort "$dir/reloads" | tr '\n' ' ')" = 'a b c '
}

@test "stops are propagated" {
	root '' 'a b c'
	related a PropagatesStopTo=b.service
	related b Description=x
	related c StopPropagatedFrom=a.service
	start_coppice
	ctl stop b
	assert_equal "$(field a state) $(field c state)" 'running running'
	ctl start b
	ctl stop a
	settle
	assert_equal "$(field b state) $(field c state)" 'stopped stopped'
}

@test "Requisite= and a failed Requires= make a start fail, and why says so" {
	root '' 't.target q'
	printf '[Unit]\nWants=a.service b.service c.service\n' | unit t.target
	printf '[Service]\nType=oneshot\nExecStart=/bin/false\n' | unit a.service
	related b Requires=a.service After=a.service
	related c Requires=a.service
	related q Description=x
	start_coppice
	eventually is_in c running
	assert_equal "$(field a state) $(field b state)" 'failed failed'
	ctl why b | grep 'cannot be without a.service'
	related r Requisite=q.service
	printf '[Supervisor]\nChildren=t.target q r\n' | unit default.supervisor
	ctl stop q
	run ctl daemon-reload
	eventually is_in r failed
	ctl start q
	ctl start r
	assert_equal "$(field r state)" running
}

@test "RefuseManualStart= and RefuseManualStop=" {
	root '' 'a b'
	related a RefuseManualStart=yes
	related b RefuseManualStop=yes
	start_coppice
	run -1 ctl stop b
	assert_output --partial RefuseManualStop=
	run -1 ctl restart a
	assert_output --partial RefuseManualStart=
	ctl stop a
	run -1 ctl start a
	assert_equal "$(field a state) $(field b state)" 'stopped running'
}

@test "the manager is killed between a crash and the return of who is bound" {
	root 'Intensity=50' 'a b'
	sleeper a
	related b BindsTo=a.service After=a.service
	start_coppice
	local b i
	for i in 1 2 3 4 5; do
		b=$(pid_of b)
		kill -KILL "$(pid_of a)"
		kill -KILL "$(pgrep -P "$coppice_pid" coppice-manage)"
		eventually is_new b "$b"
		eventually settle
		assert_equal "$(field a state)" running
	done
}

@test "a reload that brings a unit on demand does not start it, and it is there" {
	root 'Intensity=9' 'a'
	sleeper a
	start_coppice
	related a OnFailure=help.service
	related help
	related other Conflicts=a.service
	ctl daemon-reload
	settle
	assert_equal "$(field help state)" stopped
	kill -KILL "$(pgrep -P "$coppice_pid" coppice-manage)"
	eventually settle
	assert_equal "$(field help state)" stopped
	ctl start help
	assert_equal "$(field help state)" running
	assert_equal "$(field a restarts)" 0
}

@test "a group restart takes a unit on demand along only when it was up" {
	root 'Intensity=9
Strategy=one-for-all' 'a'
	related a OnSuccess=help.service
	related help
	start_coppice
	crash a
	eventually restarts_are a 1
	settle
	assert_equal "$(field help state)" stopped
	ctl start help
	local help
	help=$(pid_of help)
	crash a
	eventually is_new help "$help"
}
