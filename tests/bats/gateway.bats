# The programs of the gateway example, without coppice: what a supervisor may rely on.
load common

setup() {
	dir=$(short_directory)
	port=$(free_port)
	pids=()
}

teardown() {
	kill -KILL "${pids[@]}" 2>/dev/null || true
	rm -rf "$dir"
}

start_gateway() {
	"$BUILD/gateway/gateway" --port "$port" --directory "$dir" 3>&- &
	gateway=$!
	pids+=($gateway)
	eventually curl -sf "127.0.0.1:$port/healthz"
}

start_worker() {
	"$BUILD/gateway/worker" --socket "$dir/workers/$1.sock" 3>&- &
	worker=$!
	pids+=($worker)
	eventually test -S "$dir/workers/$1.sock"
}

# Is the gateway aware of these workers?
knows_workers() {
	test "$(curl -sf "127.0.0.1:$port/status" | jq -c .workers)" = "$1"
}

@test "requests go to the workers in turn" {
	start_worker a
	start_worker b
	start_gateway
	run -0 sort -u <(for _ in 1 2 3 4; do curl -sf "127.0.0.1:$port/" | cut -d ' ' -f 1,2; done)
	assert_output "worker a
worker b"
}

@test "workers that come later are found" {
	start_gateway
	run -0 curl -s -o /dev/stderr -w '%{http_code}' "127.0.0.1:$port/"
	assert_output --partial 503
	start_worker late
	eventually knows_workers '["late"]'
	run -0 curl -sf "127.0.0.1:$port/"
	assert_output --partial "worker late"
}

@test "killing a worker loses no request" {
	start_worker a
	start_worker b
	start_worker c
	start_gateway
	python3 - "$port" "$worker" <<-'END'
		import http.client, os, signal, sys
		port, worker = int(sys.argv[1]), int(sys.argv[2])
		connection = http.client.HTTPConnection("127.0.0.1", port)
		for i in range(300):
		    if i == 100:
		        os.kill(worker, signal.SIGKILL)
		    connection.request("GET", "/")
		    answer = connection.getresponse()
		    text = answer.read()
		    assert answer.status == 200, (i, answer.status, text)
		    assert i < 110 or b"worker c" not in text, (i, text)
	END
}

@test "the request that a killed worker had is answered by another one" {
	start_worker a
	start_gateway
	eventually knows_workers '["a"]'
	kill -STOP "$worker"
	curl -s "127.0.0.1:$port/" >"$dir/answer" 3>&- &
	local client=$! first=$worker
	eventually bash -c "test \$(curl -s 127.0.0.1:$port/status | jq .connections) = 2"
	start_worker b
	eventually knows_workers '["a","b"]'
	kill -KILL "$first"
	wait "$client"
	run -0 cat "$dir/answer"
	assert_output --partial "worker b"
}

@test "a GET to a worker that hangs goes to another one" {
	start_worker a
	kill -STOP "$worker"
	start_worker b
	start_gateway
	run -0 curl -sf "127.0.0.1:$port/"
	assert_output --partial "worker b"
	run -0 curl -sf "127.0.0.1:$port/"
	assert_output --partial "worker b"
}

@test "a POST whose worker dies is not repeated" {
	start_worker a
	start_worker b
	start_gateway
	run -0 curl -s -X POST -w '%{http_code}' "127.0.0.1:$port/crash"
	assert_output --regexp 'worker [ab]: died.*502'
	run -0 curl -sf "127.0.0.1:$port/"
	assert_output --regexp 'worker [ab] pid'
}

@test "the store keeps values" {
	"$BUILD/gateway/store" --socket "$dir/store.sock" 3>&- &
	pids+=($!)
	start_gateway
	eventually curl -sf -X PUT -d green "127.0.0.1:$port/kv/colour"
	run -0 curl -sf "127.0.0.1:$port/kv/colour"
	assert_output green
	run -0 curl -sf -X DELETE "127.0.0.1:$port/kv/colour"
	run -22 curl -sf "127.0.0.1:$port/kv/colour"
}

@test "requests that arrive together are answered in order" {
	start_worker a
	start_gateway
	run -0 bash -c "printf 'GET /healthz HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /x HTTP/1.0\r\n\r\n' |
		socat -t 5 - TCP:127.0.0.1:$port | grep -a -e ^ok -e ^worker"
	assert_output --regexp 'ok
worker a pid [0-9]+ answer 1
worker a pid [0-9]+ answer 2'
}

@test "what is no HTTP is refused" {
	start_gateway
	run -0 bash -c "printf 'rubbish\r\n\r\n' | socat -t 5 - TCP:127.0.0.1:$port | head -n 1"
	assert_output --partial "400 Bad Request"
	run -0 bash -c "printf 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n' |
		socat -t 5 - TCP:127.0.0.1:$port | head -n 1"
	assert_output --partial "501 Not Implemented"
	run -0 bash -c "printf 'POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n' |
		socat -t 5 - TCP:127.0.0.1:$port | head -n 1"
	assert_output --partial "413 Content Too Large"
	run -0 bash -c "head -c 20000 /dev/zero | tr '\0' a | socat -t 5 - TCP:127.0.0.1:$port | head -n 1"
	assert_output --partial "431"
}

@test "on SIGTERM an open request is finished, and then it ends with 0" {
	start_worker a
	start_gateway
	kill -STOP "$worker"
	curl -s "127.0.0.1:$port/" >"$dir/answer" 3>&- &
	local client=$!
	# The stopped worker's queue has the request when the gateway has a second connection.
	eventually bash -c "test \$(curl -s 127.0.0.1:$port/status | jq .connections) = 2"
	kill -TERM "$gateway"
	eventually bash -c "! curl -s 127.0.0.1:$port/healthz"
	kill -CONT "$worker"
	wait "$client"
	run -0 cat "$dir/answer"
	assert_output --partial "worker a"
	wait "$gateway"
}

@test "readiness and stopping are said" {
	python3 - "$BUILD/gateway/gateway" "$port" "$dir" <<-'END'
		import atexit, os, signal, socket, subprocess, sys
		program, port, directory = sys.argv[1:]
		path = directory + "/notify"
		heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		heard.bind(path)
		heard.settimeout(10)
		gateway = subprocess.Popen([program, "--port", port, "--directory", directory],
		                           env=dict(os.environ, NOTIFY_SOCKET=path))
		atexit.register(gateway.kill)
		assert heard.recv(100) == b"READY=1"
		socket.create_connection(("127.0.0.1", int(port))).close()
		gateway.send_signal(signal.SIGTERM)
		assert heard.recv(100) == b"STOPPING=1"
		assert gateway.wait(10) == 0
	END
}

@test "a socket that is passed on is taken" {
	python3 - "$BUILD/gateway/gateway" "$port" "$dir" <<-'END'
		import atexit, os, socket, subprocess, sys, urllib.request
		program, port, directory = sys.argv[1:]
		held = socket.create_server(("127.0.0.1", int(port)))
		held.setblocking(False)
		def inherit():
		    os.dup2(held.fileno(), 3)
		gateway = subprocess.Popen([program, "--port", "1", "--directory", directory],
		                           env=dict(os.environ, LISTEN_FDS="1"), preexec_fn=inherit,
		                           pass_fds=[3] if held.fileno() != 3 else [held.fileno()])
		atexit.register(gateway.kill)
		url = "http://127.0.0.1:%s/healthz" % port
		assert urllib.request.urlopen(url, timeout=10).read() == b"ok\n"
		gateway.terminate()
		assert gateway.wait(10) == 0
	END
}
