# Clients of the control socket that mean harm, against a real coppice: whatever they send, others
# are served, no child notices, and the manager is the same process afterwards.
load common

setup_file() {
	load common
	dir=$(short_directory)
	export dir COPPICE_CONTROL=$dir/control
	mkdir "$dir/units"
	printf '[Supervisor]\nChildren=a.service\n' >"$dir/units/default.supervisor"
	printf '[Service]\nExecStart=/bin/sleep infinity\n' >"$dir/units/a.service"
	XDG_RUNTIME_DIR=$dir "$BUILD/coppice" -u "$dir/units" -S "$dir/control" \
		>"$dir/log" 2>&1 3>&- &
	echo $! >"$dir/pid"
	eventually "$BUILD/coppicectl" is-ready -q
	manager >"$dir/manager"
	child >"$dir/child"
}

teardown_file() {
	kill -TERM "$(<"$dir/pid")"
	eventually gone "$(<"$dir/pid")"
	rm -rf "$dir"
}

manager() {
	"$BUILD/coppicectl" --json status | jq .manager_pid
}

child() {
	"$BUILD/coppicectl" --json list a | jq '.[0].pid'
}

# Nothing has happened to anybody, and there is an answer within a second.
unharmed() {
	run -0 timeout 1 "$BUILD/coppicectl" is-ready
	assert_output ready
	run -0 manager
	assert_output "$(<"$dir/manager")"
	run -0 child
	assert_output "$(<"$dir/child")"
}

# client PYTHON: runs it with `connect()` there, which gives a connected socket.
client() {
	timeout 60 python3 - "$dir/control" <<-EOF
		import json, os, socket, sys
		def connect():
		    s = socket.socket(socket.AF_UNIX)
		    s.connect(sys.argv[1]) # with a time-out it would not wait for a place
		    s.settimeout(10)
		    return s
		def call(s, method, **rest):
		    s.sendall(json.dumps(dict(method=method, **rest)).encode() + b"\0")
		def hear(s):
		    data = b""
		    while not data.endswith(b"\0"):
		        piece = s.recv(1)
		        if not piece:
		            return None
		        data += piece
		    return json.loads(data[:-1])
		$1
	EOF
}

@test "any Varlink client can ask who we are" {
	run -0 client '
s = connect()
call(s, "org.varlink.service.GetInfo")
print(hear(s)["parameters"]["interfaces"][-1])
call(s, "org.varlink.service.GetInterfaceDescription",
    parameters={"interface": "org.coppice.Control"})
print(hear(s)["parameters"]["description"], end="")'
	assert_output "org.coppice.Control
$(<"$top/src/control/org.coppice.Control.varlink")"
}

@test "garbage is hung up on" {
	client '
for junk in (b"\0", b"junk\0", b"{}\0", b"[[[[\0", b"{\"method\":1}\0", b"GET / HTTP/1.1\r\n\r\n\0",
        bytes(range(1, 256)) + b"\0", b"[" * 1000 + b"\0"):
    s = connect()
    s.sendall(junk)
    try:
        assert s.recv(1) == b"", junk
    except ConnectionResetError:
        pass
for i in range(200):
    s = connect()
    s.sendall(os.urandom(i * 10))'
	unharmed
}

@test "half a message, and nothing at all, hold nobody up" {
	run -0 client '
import subprocess
crowd = [connect() for i in range(100)]
for s in crowd[:50]:
    s.sendall(b"{\"method\":\"org.coppice.Control.Li")
subprocess.run([os.environ["BUILD"] + "/coppicectl", "is-ready"], check=True, timeout=2)
call(crowd[60], "org.coppice.Control.Status")
assert hear(crowd[60])["parameters"]["root"] == "default.supervisor"'
	assert_output ready
	unharmed
}

@test "100 MB without an end are cut off early" {
	client '
s = connect()
sent = 0
try:
    while sent < 100 << 20:
        sent += s.send(b"x" * 65536)
except (BrokenPipeError, ConnectionResetError):
    pass
assert sent < 4 << 20, sent'
	unharmed
}

@test "clients that vanish with requests open" {
	client '
for i in range(100):
    s = connect()
    call(s, "org.coppice.Control.Subscribe", more=True)
    call(s, "org.coppice.Control.List", more=True)
    if i % 2:
        hear(s)
    s.close()
    s = connect()
    call(s, "org.coppice.Control.Wait", parameters={"unit": "a", "condition": "failed"})
    s.close()'
	unharmed
}

@test "a reader that does not read is disconnected, and the events go on" {
	client '
import subprocess
lazy, keen = connect(), connect()
for s in lazy, keen:
    call(s, "org.coppice.Control.Subscribe", more=True)
assert hear(lazy)["continues"] and hear(keen)["continues"]
flood = connect()
flood.settimeout(0.2)
sent = 0
try:
    while True:
        call(flood, "org.coppice.Control.Trace")
        sent += 1
except (socket.timeout, BrokenPipeError, ConnectionResetError):
    pass # its requests wait, or it is hung up on
assert sent > 0
subprocess.run([os.environ["BUILD"] + "/coppicectl", "stop", "--once", "a"], check=True, timeout=5)
subprocess.run([os.environ["BUILD"] + "/coppicectl", "start", "a"], check=True, timeout=5)
seen = []
while "running" not in seen:
    seen.append(hear(keen)["parameters"]["event"]["event"])
assert seen == ["stopping", "stopped", "starting", "running"], seen'
	child >"$dir/child" # it was restarted by hand
	unharmed
}

@test "300 silent clients do not shut out the 301st" {
	run -0 client '
import subprocess
crowd = [connect() for i in range(300)]
subprocess.run([os.environ["BUILD"] + "/coppicectl", "is-ready"], check=True, timeout=2)'
	assert_output ready
	unharmed
}

@test "a request that makes no sense is answered, not obeyed" {
	run -0 client '
for method, parameters in [("Start", {}), ("Start", {"unit": 1}), ("Start", {"unit": ""}),
        ("Start", {"unit": "../../etc/passwd"}), ("Start", {"unit": "x" * 5000}),
        ("Kill", {"unit": "a", "signal": 9}), ("Kill", {"unit": "a", "signal": "NOPE"}),
        ("Kill", {"unit": "a", "signal": ""}), ("Wait", {"unit": "a"}),
        ("Wait", {"unit": "a", "condition": "x"}), ("List", {"units": [1]}),
        ("List", {"units": ["nope"]}), ("Count", {"supervisor": []}),
        ("Show", {"unit": None}), ("Nothing", {}), ("Delete", {"unit": "default.supervisor"})]:
    s = connect()
    call(s, "org.coppice.Control." + method, parameters=parameters)
    answer = hear(s)
    if answer is None or ("error" not in answer and not answer["parameters"].get(
            "result", "").startswith("error")):
        print(method, str(parameters)[:60], str(answer)[:100])'
	assert_output ""
	unharmed
}

@test "a stranger is refused, whatever the mode of the socket" {
	test "$(id -u)" = 0 || skip "only root can become a stranger"
	chmod 755 "$dir"
	chmod 777 "$dir/control"
	cp "$BUILD/coppicectl" "$dir/coppicectl"
	run -6 setpriv --reuid=12345 --clear-groups --regid=12345 "$dir/coppicectl" list
	assert_output --partial "coppicectl: refused: user 12345 may not speak to this coppice"
	run -6 setpriv --reuid=12345 --clear-groups --regid=12345 "$dir/coppicectl" stop a
	unharmed
}
