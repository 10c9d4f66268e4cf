#!/usr/bin/env bats
# RuntimeDirectory= and its like, PrivateTmp=: made before a start, and gone when they should be.
load helpers.bash

setup() {
	test "$(id -u)" = 0 || skip "needs root"
	setup_tree
	chmod 755 "$dir"
	reachable_build
	out=$dir/out
	mkdir -m 777 "$out"
	name=coppice-bats-$$-$BATS_TEST_NUMBER
	places=(/run /var/lib /var/cache /var/log /etc)
}

teardown() {
	test -n "${dir:-}" || return 0
	teardown_tree
	rm -rf "${places[@]/%//$name}"
}

# service NAME LINE...: one that writes its environment to $dir/env and then sleeps.
service() {
	local of=$1
	shift
	{
		echo "[Service]"
		printf '%s\n' "$@"
		echo "ExecStart=/bin/sh -c 'env | sort >$out/env.new; mv $out/env.new $out/env; exec sleep 100000'"
	} | unit "$of.service"
}

# the TYPE:OWNER:GROUP:MODE of a path
what_is() {
	stat -c %F:%U:%G:%a "$1"
}

nobody="nobody:$(id -gn nobody)"

@test "the five kinds: modes, owners, variables; nested names" {
	service a "User=nobody" "RuntimeDirectory=$name $name/a/b" RuntimeDirectoryMode=0750 \
		"StateDirectory=$name" "CacheDirectory=$name" CacheDirectoryMode=2770 \
		"LogsDirectory=$name" LogsDirectoryMode=0700 \
		"ConfigurationDirectory=$name" ConfigurationDirectoryMode=0711
	root '' a
	start_coppice
	eventually test -e "$out/env"
	assert_equal "$(what_is "/run/$name")" "directory:$nobody:750"
	assert_equal "$(what_is "/run/$name/a")" "directory:root:root:755"
	assert_equal "$(what_is "/run/$name/a/b")" "directory:$nobody:750"
	assert_equal "$(what_is "/var/lib/$name")" "directory:$nobody:755"
	assert_equal "$(what_is "/var/cache/$name")" "directory:$nobody:2770"
	assert_equal "$(what_is "/var/log/$name")" "directory:$nobody:700"
	assert_equal "$(what_is "/etc/$name")" "directory:root:root:711"
	run -0 grep DIRECTORY "$out/env"
	assert_output "CACHE_DIRECTORY=/var/cache/$name
CONFIGURATION_DIRECTORY=/etc/$name
LOGS_DIRECTORY=/var/log/$name
RUNTIME_DIRECTORY=/run/$name:/run/$name/a/b
STATE_DIRECTORY=/var/lib/$name"
}

@test "an owner that is wrong is set right, through no link and not when it is right" {
	mkdir -p "/var/lib/$name/deep"
	touch "/var/lib/$name/deep/file" "$dir/victim"
	ln -s "$dir/victim" "/var/lib/$name/link"
	chmod 700 "/var/lib/$name"
	mkdir "/var/cache/$name"
	chown nobody: "/var/cache/$name"
	touch "/var/cache/$name/root"
	mkdir -m 700 "/etc/$name"
	service a "User=nobody" "StateDirectory=$name" "CacheDirectory=$name" \
		"ConfigurationDirectory=$name"
	root '' a
	start_coppice
	eventually test -e "$out/env"
	assert_equal "$(what_is "/var/lib/$name")" "directory:$nobody:755"
	assert_equal "$(stat -c %U "/var/lib/$name/deep")" nobody
	assert_equal "$(stat -c %U "/var/lib/$name/deep/file")" nobody
	assert_equal "$(stat -c %U "$dir/victim")" root
	assert_equal "$(stat -c %U "/var/cache/$name/root")" root
	assert_equal "$(what_is "/etc/$name")" "directory:root:root:700"
}

@test "RuntimeDirectory= is gone after a stop, and new after a crash" {
	service a "RuntimeDirectory=$name"
	root 'Intensity=10' a
	start_coppice
	eventually test -e "$out/env"
	touch "/run/$name/old"
	rm "$out/env"
	crash a
	eventually test -e "$out/env"
	test -d "/run/$name"
	run ! test -e "/run/$name/old"
	ctl stop a
	eventually test ! -e "/run/$name"
	ctl start a
	eventually test -d "/run/$name"
	ctl shutdown
	ends_with 0
	run ! test -e "/run/$name"
	run ! test -e "$dir/volatile"
}

@test "RuntimeDirectoryPreserve=restart and =yes" {
	service a "RuntimeDirectory=$name/a" RuntimeDirectoryPreserve=restart
	service b "RuntimeDirectory=$name/b" RuntimeDirectoryPreserve=yes
	root 'Intensity=10' 'a b'
	start_coppice
	ctl wait b --for=running --timeout=10s
	eventually test -d "/run/$name/b"
	touch "/run/$name/a/old" "/run/$name/b/old"
	crash a
	ctl wait a --for=running --timeout=10s
	rm -f "$out/env"
	ctl restart b
	eventually test -e "$out/env"
	test -e "/run/$name/a/old"
	ctl stop a b
	eventually test ! -e "/run/$name/a"
	test -e "/run/$name/b/old"
}

@test "a unit that waits for its restart has no runtime directory" {
	unit a.service <<-UNIT
		[Service]
		ExecStart=/bin/false
		RuntimeDirectory=$name
		RestartSec=1h
	UNIT
	root OnStartFailure=retry a
	start_coppice
	eventually state_is a waiting
	eventually test ! -e "/run/$name"
}

@test "ExecStopPost= still has the directory, and what it leaves goes too" {
	service a "RuntimeDirectory=$name" "ExecStopPost=/bin/sh -c 'ls -d /run/$name >$dir/post; mkdir -p /run/$name/x/y'"
	root '' a
	start_coppice
	ctl wait a --for=running --timeout=10s
	ctl stop a
	assert_equal "$(cat "$dir/post")" "/run/$name"
	eventually test ! -e "/run/$name"
}

@test "a service cannot have anything else removed or given to it" {
	mkdir "$dir/victim"
	touch "$dir/victim/file"
	service a "RuntimeDirectory=$name $name/inner" User=nobody
	root '' a
	start_coppice
	eventually test -d "/run/$name/inner"
	eventually test -e "$out/env"
	rmdir "/run/$name/inner"
	ln -s "$dir/victim" "/run/$name/inner"
	rm "$out/env"
	ctl stop a
	eventually test ! -e "/run/$name"
	test -e "$dir/victim/file"
	# A link in a directory of the service's own is not followed.
	mkdir "/var/lib/$name"
	chown nobody: "/var/lib/$name"
	ln -s "$dir/victim" "/var/lib/$name/inner"
	run -238 "$BUILD/coppice-exec" --user nobody --base state:/var/lib \
		--make-directory "state:755:$name" --make-directory "state:755:$name/inner" -- \
		/bin/true true
	assert_equal "$(stat -c %U "$dir/victim")" root
}

@test "what cannot be made ends the start with 233, 238, 239, 240, 241" {
	touch "$dir/file"
	local kind status=233
	for kind in runtime state cache logs configuration; do
		run "-$status" "$BUILD/coppice-exec" --base "$kind:$dir" \
			--make-directory "$kind:755:file/a" -- /bin/true true
		assert_output --partial "$dir/file/a"
		test $status != 233 || status=237
		status=$((status + 1))
	done
	touch "/run/$name"
	service a "RuntimeDirectory=$name" RestartSec=1h
	root OnStartFailure=retry a
	start_coppice
	eventually differs_last_exit a
	assert_output exec:ENOTDIR
	# What is neither a directory nor a link was made by somebody else.
	ctl stop a
	rm "/run/$name"
}

differs_last_exit() {
	output=$(field a last_exit)
	test "$output" != -
}

@test "name:link makes a link beside it, which goes with it" {
	service a "RuntimeDirectory=$name/real:$name/link"
	root '' a
	start_coppice
	eventually test -d "/run/$name/link"
	assert_equal "$(realpath "/run/$name/link")" "/run/$name/real"
	ctl stop a
	eventually test ! -e "/run/$name/real"
	eventually test ! -L "/run/$name/link"
}

@test "PrivateTmp=: one for all processes of an incarnation, gone after it" {
	unshare --mount true 2>/dev/null || skip "the kernel refuses a mount namespace"
	out=/var/lib/$name
	mkdir "$out"
	service a PrivateTmp=yes "ExecStartPre=/bin/sh -c 'echo pre >/tmp/coppice-bats-shared; touch /var/tmp/coppice-bats-shared'" \
		"ExecStartPost=/bin/sh -c 'ls /tmp /var/tmp >$out/post'"
	root 'Intensity=10' a
	start_coppice
	ctl wait a --for=running --timeout=10s
	assert_equal "$(grep -c coppice-bats-shared "$out/post")" 2
	run ! test -e /tmp/coppice-bats-shared
	run -0 readlink "$dir/volatile/a.service/t0" "$dir/volatile/a.service/t1"
	local first=("${lines[@]}")
	assert_equal "$(what_is "${first[0]}")" directory:root:root:700
	assert_equal "$(what_is "${first[0]}/tmp")" directory:root:root:1777
	crash a
	ctl wait a --for=running --timeout=10s
	run ! test -e "${first[0]}"
	run -0 readlink "$dir/volatile/a.service/t0" "$dir/volatile/a.service/t1"
	ctl stop a
	for path in "${lines[@]}"; do
		eventually test ! -e "$path"
	done
}

@test "PrivateTmp= never makes a start fail" {
	root '' a
	out=/var/lib/$name
	mkdir "$out"
	service a PrivateTmp=yes
	# There is no place for a record: another file is in its way.
	touch "$dir/volatile"
	start_coppice
	ctl wait a --for=running --timeout=10s
	eventually test -e "$out/env"
}

@test "a manager that is killed forgets nothing of what is to be removed" {
	service a "RuntimeDirectory=$name"
	root '' a
	start_coppice
	eventually test -e "$out/env"
	(cd "/run/$name" && mkdir d{1..40} && touch d{1..40}/f{1..50})
	kill -STOP "$(manager_pid)"
	local manager
	manager=$(pgrep -P "$coppice_pid" coppice-manager)
	kill -CONT "$manager"
	ctl --json list >"$dir/list"
	ctl stop a
	kill -KILL "$manager"
	eventually test ! -e "/run/$name"
	eventually test ! -e "$dir/volatile/a.service"
}

@test "what a coppice that was killed left is removed by the next one" {
	mkdir -p "$dir/volatile/gone.service" "/run/$name/deep/er"
	ln -s "/run/$name" "$dir/volatile/gone.service/r0"
	sleeper a
	root '' a
	start_coppice
	eventually test ! -e "/run/$name"
	eventually test ! -e "$dir/volatile/gone.service"
}

@test "an ordinary user: below the user's own directories" {
	service a "RuntimeDirectory=$name" "StateDirectory=$name" "LogsDirectory=$name" \
		"CacheDirectory=$name" "ConfigurationDirectory=$name"
	root '' a
	mkdir "$dir/home" "$dir/run"
	chown nobody: "$dir/home" "$dir/run"
	control=$dir/run/control log=$out/log
	(
		unset XDG_STATE_HOME XDG_CACHE_HOME XDG_CONFIG_HOME
		export HOME=$dir/home XDG_RUNTIME_DIR=$dir/run
		exec setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$BUILD/coppice" -u "$units" -S "$control" >"$log" 2>&1 3>&-
	) &
	coppice_pid=$!
	eventually test -e "$out/env"
	run -0 grep DIRECTORY "$out/env"
	assert_output "CACHE_DIRECTORY=$dir/home/.cache/$name
CONFIGURATION_DIRECTORY=$dir/home/.config/$name
LOGS_DIRECTORY=$dir/home/.local/state/log/$name
RUNTIME_DIRECTORY=$dir/run/$name
STATE_DIRECTORY=$dir/home/.local/state/$name"
	assert_equal "$(what_is "$dir/home/.local/state/$name")" "directory:$nobody:755"
	kill "$coppice_pid"
	ends_with 0
	run ! test -e "$dir/run/$name"
	test -e "$dir/home/.local/state/$name"
}

@test "INVOCATION_ID is another one at each start, and one for all of it" {
	service a "ExecStartPre=/bin/sh -c 'echo \$\$INVOCATION_ID >$dir/pre'"
	root 'Intensity=10' a
	start_coppice
	eventually test -e "$out/env"
	run -0 sed -n 's/^INVOCATION_ID=//p' "$out/env"
	assert_output --regexp '^[0-9a-f]{32}$'
	assert_equal "$(cat "$dir/pre")" "$output"
	local first=$output
	rm "$out/env"
	crash a
	eventually test -e "$out/env"
	run -0 sed -n 's/^INVOCATION_ID=//p' "$out/env"
	refute_output "$first"
}

@test "a whole unit: what is not in effect is said once, and the service runs" {
	needs=(setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin)
	service a ProtectSystem=strict "ReadWritePaths=$out" PrivateDevices=yes
	root 'Intensity=10' a
	if unshare --mount true 2>/dev/null; then
		start_coppice
		eventually test -e "$out/env"
		run ! nsenter --mount="/proc/$(pid_of a)/ns/mnt" touch "$dir/x"
		assert_output --partial "Read-only file system"
		run ! nsenter --mount="/proc/$(pid_of a)/ns/mnt" test -e /dev/kmsg
		ctl shutdown
		ends_with 0
		rm "$out/env"
	fi
	"${needs[@]}" "$BUILD/coppice" -u "$units" -S "$control" >"$log" 2>&1 3>&- &
	coppice_pid=$!
	eventually test -e "$out/env"
	rm "$out/env"
	crash a
	eventually test -e "$out/env"
	ctl wait a --for=running --timeout=10s
	eventually grep -q 'a.service: PrivateDevices= is not in effect' "$log"
	assert_equal "$(grep -c 'PrivateDevices= is not in effect' "$log")" 1
}

@test "beside a main process nothing is cleared away" {
	again=("$BUILD/coppice-exec" --unit a.service --run-directory "$dir" --base "runtime:$dir"
		--make-directory runtime:755:own -- /bin/true true)
	INVOCATION_ID=1 "${again[@]}"
	touch "$dir/own/file"
	INVOCATION_ID=1 "${again[@]}"
	MAINPID=$$ INVOCATION_ID=2 "${again[@]}"
	test -e "$dir/own/file"
	INVOCATION_ID=2 "${again[@]}"
	test -d "$dir/own"
	run ! test -e "$dir/own/file"
}
