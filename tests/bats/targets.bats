#!/usr/bin/env bats
# Targets as supervisors, names that mean another unit, conditions and asserts, with real processes.
load helpers.bash

setup() {
	setup_tree
}

teardown() {
	teardown_tree
}

# enable NAME TARGET [requires]: as systemctl enable does.
enable() {
	local links=$units/$2.${3:-wants}
	mkdir -p "$links"
	ln -s "../$1" "$links/$1"
}

# ordered NAME LINE...: writes its name into `order` when it starts.
ordered() {
	local name=$1
	shift
	{
		printf '[Unit]\n'
		printf '%s\n' "$@"
		printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "echo %s >>%s/order"\n' \
			"$name" "$dir"
	} | unit "$name.service"
}

@test "a target as the root: what is linked to it runs, in the order of After=" {
	printf '[Unit]\nDescription=Many\n' | unit many.target
	ordered a After=c.service
	ordered b Before=a.service
	ordered c
	ordered unlinked
	sleeper s
	for n in a b c s; do
		enable $n.service many.target
	done
	start_coppice -r many.target
	settle
	assert_equal "$(tr '\n' ' ' <"$dir/order")" 'b c a '
	assert_equal "$(field s state)" running
	assert_equal "$(field many.target state)" running
	run ! ctl status unlinked
	ctl shutdown
	ends_with 0
}

@test "a target of which there are only links" {
	root '' 'multi-user.target'
	sleeper s
	enable s.service multi-user.target
	start_coppice
	assert_equal "$(field s state)" running
	assert_equal "$(field multi-user.target state)" running
}

@test "what is only wanted may fail; the target and its other members go on" {
	root '' 't.target x'
	printf '[Unit]\nWants=bad.service gone.service\n' | unit t.target
	printf '[Service]\nType=oneshot\nExecStart=/bin/false\n' | unit bad.service
	sleeper s x
	enable s.service t.target
	start_coppice
	settle
	assert_equal "$(field bad state) $(field s state) $(field x state)" 'failed running running'
	assert_equal "$(field t.target ready)" no
	# It is not forgotten, and can be started by hand once it is mended.
	printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' | unit bad.service
	ctl daemon-reload
	ctl start bad
	assert_equal "$(field bad state)" 'done'
	# One that is down for good by itself leaves the others alone, too.
	kill -KILL "$(pid_of s)"
	eventually state_is s failed
	assert_equal "$(field t.target state)" running
	ctl start s
	assert_equal "$(field s state)" running
}

@test "what is required may not fail" {
	root '' 't.target'
	printf '[Unit]\nDescription=x\n' | unit t.target
	printf '[Service]\nType=oneshot\nExecStart=/bin/false\n' | unit bad.service
	sleeper s
	enable bad.service t.target requires
	enable s.service t.target
	run_coppice
	assert_failure 1
	assert_output --partial 't.target: start-failed'
}

@test "Restart= of a member is honoured, and its crashes do not bring the target down" {
	root 'Intensity=0' 't.target'
	printf '[Unit]\nWants=r.service\n' | unit t.target
	printf '[Service]\nExecStart=/bin/sleep 100000\nRestart=always\n' | unit r.service
	start_coppice
	local i
	for i in 1 2 3; do
		kill -KILL "$(pid_of r)"
		eventually restarts_are r $i
	done
	assert_equal "$(field t.target restarts)" 0
}

@test "a link is the unit that it points to" {
	root '' 'maria web'
	sleeper maria
	ln -s maria.service "$units/mysql.service"
	printf '[Unit]\nPartOf=mysql.service\n[Service]\nExecStart=/bin/sleep 100000\n[Install]\nAlias=http.service\n' |
		unit web.service
	start_coppice
	local web
	web=$(pid_of web)
	ctl restart mysql
	settle
	assert_not_equal "$(pid_of web)" "$web"
	ctl stop http
	assert_equal "$(field web state)" stopped
}

@test "a contradiction between Children= and After=, and a circle, are errors" {
	root '' 'a b'
	ordered a After=b.service
	ordered b
	run_coppice
	assert_failure 2
	assert_output --partial 'default.supervisor:3:10: a.service is to start after b.service'
	assert_output --partial 'a.service:2'
	root '' 't.target'
	printf '[Unit]\nWants=a.service b.service\n' | unit t.target
	ordered b After=a.service
	run_coppice
	assert_failure 2
	assert_output --partial 'a.service → b.service → a.service'
}

# conditioned NAME LINE...
conditioned() {
	local name=$1
	shift
	{
		printf '[Unit]\n'
		printf '%s\n' "$@"
		printf '[Service]\nExecStart=/bin/sleep 100000\n'
	} | unit "$name.service"
}

# Each pair: a condition that holds here, and one that does not.
@test "conditions: each kind runs a unit, or leaves it out" {
	local yes=(PathExists=/ PathExistsGlob=/et[c] PathIsDirectory=/etc PathIsMountPoint=/proc
		PathIsReadWrite=/tmp DirectoryNotEmpty=/etc FileNotEmpty=/etc/passwd
		FileIsExecutable=/bin/sh "PathIsSymbolicLink=$dir/link" Architecture=native "Host=*"
		'KernelVersion=>=3' Environment=COPPICE_TEST=1 "User=$(id -u)" "Group=$(id -g)"
		'CPUs=>=1' 'Memory=>=1M' "OSRelease=ID=$(. /etc/os-release && echo "$ID")")
	local no=(PathExists=/nothing PathExistsGlob=/nothing* PathIsDirectory=/etc/passwd
		PathIsMountPoint=/etc/passwd PathIsReadWrite=/nothing "DirectoryNotEmpty=$dir/empty"
		FileNotEmpty=/dev/null FileIsExecutable=/etc/passwd PathIsSymbolicLink=/etc
		Architecture=vax Host=nobody-is-called-so 'KernelVersion=<3' Environment=COPPICE_TEST=2
		User=65533 Group=65533 'CPUs=>=100000' 'Memory=>=1E' OSRelease=ID=no
		Virtualization=no-such-thing Capability=CAP_NOTHING KernelCommandLine=no.such.word
		Security=no-such-thing ControlGroupController=nothing Firmware=nothing
		CPUFeature=nothing NeedsUpdate=/nothing)
	local children=() i
	mkdir "$dir/empty"
	ln -s / "$dir/link"
	for i in "${!yes[@]}"; do
		conditioned "y$i" "Condition${yes[i]}"
		conditioned "w$i" "Condition${yes[i]/=/=!}"
		children+=("y$i" "w$i")
	done
	for i in "${!no[@]}"; do
		conditioned "n$i" "Condition${no[i]}"
		conditioned "m$i" "Condition${no[i]/=/=!}"
		children+=("n$i" "m$i")
	done
	root '' "${children[*]}"
	COPPICE_TEST=1 start_coppice
	settle
	local wrong
	wrong=$(ctl --json list | "$PYTHON" -c '
import json, sys
for unit in json.load(sys.stdin):
    name, state = unit["unit"], unit["state"]
    if name.endswith(".service") and (state == "running") != (name[0] in "ym"):
        print(name, state)')
	assert_equal "$wrong" ''
	# Units whose value is a number or an operator cannot be told apart by "!" alone.
	ctl why n0 | grep 'ConditionPathExists=/nothing does not hold'
}

@test "asserts: the start fails, and why says which" {
	root 'DefaultRestart=temporary' 't.target'
	printf '[Unit]\nWants=a.service b.service\n' | unit t.target
	conditioned a AssertPathExists=/ "AssertFileNotEmpty=$dir/full"
	conditioned b AssertPathExists=/ ConditionPathExists=!/
	start_coppice
	settle
	assert_equal "$(field a state) $(field b state)" 'failed stopped'
	assert_equal "$(field a last_exit)" assert
	ctl why a | grep "AssertFileNotEmpty=$dir/full does not hold"
	echo x >"$dir/full"
	ctl start a
	assert_equal "$(field a state)" running
}

@test "RequiresMountsFor=: a path that is not there is said, and the service starts" {
	root '' 'a'
	conditioned a "RequiresMountsFor=/ $dir/nothing"
	start_coppice
	assert_equal "$(field a state)" running
	eventually grep -q "RequiresMountsFor=$dir/nothing: there is no such path" "$log"
	run ! grep -q 'RequiresMountsFor=/:' "$log"
}
