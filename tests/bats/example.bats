# The gateway example as `make run` has it: a tree of unit files keeps a real gateway alive.
load common

setup() {
	dir=$(short_directory)
	port=$(free_port)
	mkdir "$dir/units"
	for unit in "$top"/units/*.service "$top"/units/*.supervisor; do
		sed "s|@programs@|$BUILD/gateway|; s|@port@|$port|; s|@run@|$dir/run|" "$unit" \
			>"$dir/units/${unit##*/}"
	done
}

teardown() {
	end_coppice
	rm -rf "$dir"
}

start_example() {
	start_coppice -r default.supervisor -u "$dir/units"
	eventually ctl is-ready
}

# The pids of these units, in one line.
pids_of() {
	for unit in "$@"; do
		property "$unit" pid
	done | xargs
}

# renewed PIDS UNIT...: all these units run, with other pids than the ones given.
renewed() {
	local unit state pid before=$1
	shift
	for unit in "$@"; do
		# In one answer: between two the unit may have been restarted.
		read -r state pid <<<"$(ctl --json list "$unit" | jq -r '.[0] | "\(.state) \(.pid)"')"
		test "$state" = running || return 1
		case " $before " in
		*" $pid "*) return 1 ;;
		esac
	done
}

@test "the tree comes up, serves, and ends with 0" {
	start_example
	run -0 ctl list
	assert_line --regexp '^edge.supervisor +running'
	assert_line --regexp '^worker@4.service +running +yes'
	run -0 curl -sf "127.0.0.1:$port/"
	assert_output --regexp '^worker [1-4] pid'
	local pids
	pids=$(pids_of store gateway worker@1 worker@4)
	kill -TERM "$coppice"
	wait "$coppice"
	for pid in $pids; do
		gone "$pid"
	done
}

@test "killing a worker loses no request and renews that worker alone" {
	start_example
	local others
	others=$(pids_of store gateway worker@2 worker@3 worker@4)
	python3 - "$port" "$(property worker@1 pid)" <<-'END'
		import http.client, os, signal, sys
		connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
		for i in range(300):
		    if i == 100:
		        os.kill(int(sys.argv[2]), signal.SIGKILL)
		    connection.request("GET", "/")
		    answer = connection.getresponse()
		    assert answer.status == 200, (i, answer.read())
		    answer.read()
	END
	eventually is worker@1 last_exit signal:KILL
	eventually is worker@1 state running
	is worker@1 restarts 1
	test "$(pids_of store gateway worker@2 worker@3 worker@4)" = "$others"
}

@test "a crash that a request causes is mended" {
	start_example
	run -0 curl -s -X POST -o /dev/null -w '%{http_code}' "127.0.0.1:$port/crash"
	assert_output 502
	eventually bash -c "curl -sf 127.0.0.1:$port/ && $BUILD/coppicectl is-ready"
	run -0 curl -s -X POST "127.0.0.1:$port/exit/7"
	eventually bash -c "$BUILD/coppicectl list | grep exit:7"
	eventually ctl is-ready
}

@test "when the store dies, what comes after it is renewed" {
	start_example
	local before
	before=$(pids_of store gateway worker@1 worker@2 worker@3 worker@4)
	ctl kill -s KILL store
	eventually renewed "$before" store gateway worker@1 worker@2 worker@3 worker@4
	eventually curl -sf "127.0.0.1:$port/"
}

@test "when the gateway dies, the store is left alone" {
	start_example
	local store before
	store=$(pids_of store)
	before=$(pids_of gateway worker@1 worker@2 worker@3 worker@4)
	curl -sf -X PUT -d kept "127.0.0.1:$port/kv/word"
	ctl kill -s KILL gateway
	eventually renewed "$before" gateway worker@1 worker@2 worker@3 worker@4
	test "$(pids_of store)" = "$store"
	run -0 curl -sf "127.0.0.1:$port/kv/word"
	assert_output kept
}

@test "when the manager dies, no service notices" {
	start_example
	local before manager
	before=$(pids_of store gateway worker@1 worker@2 worker@3 worker@4)
	manager=$(ctl --json status | jq .manager_pid)
	kill -KILL "$manager"
	eventually bash -c "test \$($BUILD/coppicectl --json status | jq .manager_pid) != $manager"
	eventually ctl is-ready
	test "$(pids_of store gateway worker@1 worker@2 worker@3 worker@4)" = "$before"
	# And it is still in charge.
	ctl kill -s KILL worker@3
	eventually renewed "$before" worker@3
}

@test "workers are added and held by hand" {
	start_example
	ctl start worker@9
	eventually bash -c "curl -s 127.0.0.1:$port/status | jq -e '.workers | contains([\"9\"])'"
	ctl stop worker@1
	is worker@1 held true
	ctl kill -s KILL gateway
	eventually ctl wait gateway --for=ready
	eventually is worker@2 state running
	is worker@1 state stopped
	ctl start worker@1
	is worker@1 state running
}

@test "a tree that cannot be kept up gives up, with status 1" {
	start_example
	# Its own intensity is 3, and that of the supervisor above is 1: eight deaths are too many.
	until gone "$coppice"; do
		ctl kill -s KILL store 2>/dev/null || true
	done
	local status=0
	wait "$coppice" || status=$?
	assert_equal "$status" 1
	run -0 grep -i 'gave up\|escalat\|intensity' "$dir/log"
}

@test "it runs as an ordinary user, from a source tree that cannot be written" {
	local as="setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs"
	test "$(id -u)" = 0 || skip "only root can become somebody else"
	$as test -w /dev/null || skip "/dev/null is closed to ordinary users here"
	$as test -x "$BUILD/coppice" || skip "the build directory is closed to ordinary users here"
	chown -R 65534 "$dir"
	AS=$as start_example
	run -0 curl -sf "127.0.0.1:$port/"
	assert_equal "$(stat -c %u "/proc/$(property gateway pid)")" 65534
}
