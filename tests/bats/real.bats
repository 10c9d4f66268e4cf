# The same tree with real servers: nginx in front, redis behind it.
load common

setup() {
	command -v nginx redis-server >/dev/null || skip "nginx or redis is not installed"
	dir=$(short_directory)
	port=$(free_port)
	mkdir "$dir/build" "$dir/run"
	ln -s "$BUILD/gateway" "$dir/build/gateway"
	XDG_RUNTIME_DIR=$dir/run PORT=$port "$top/units/real/prepare" "$dir/build"
	start_coppice -r real.supervisor -u "$dir/build/real"
	eventually ctl is-ready
}

teardown() {
	end_coppice
	rm -rf "$dir"
}

served() {
	curl -sf "127.0.0.1:$port/"
}

@test "nginx serves from the workers" {
	eventually served
	run -0 served
	assert_output --regexp '^worker [1-4] pid'
}

@test "redis is killed, and nginx and the workers come back after it" {
	eventually served
	local before
	before=$(property nginx pid)
	ctl kill -s KILL redis
	eventually differs nginx pid "$before"
	eventually ctl is-ready
	eventually served
	is redis last_exit signal:KILL
}

@test "nginx reloads without a new main process" {
	eventually served
	local before
	before=$(property nginx pid)
	ctl reload nginx
	is nginx pid "$before"
	eventually served
}

@test "the tree is stopped, and nothing of nginx and redis is left" {
	local nginx redis
	nginx=$(property nginx pid) redis=$(property redis pid)
	eventually served
	ctl shutdown --wait
	wait "$coppice"
	gone "$nginx"
	gone "$redis"
	run ! pgrep -g "$nginx"
}
