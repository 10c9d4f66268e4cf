#!/usr/bin/env bats
# coppice-tmpfiles, in a mount namespace where nothing of the machine can be reached.

setup() {
	if test "$(id -u)" != 0 || ! unshare --mount true 2>/dev/null; then
		skip "wants root and mount namespaces"
	fi
	dir=$(mktemp -d)
	mkdir "$dir/tmpfiles.d" "$dir/sysusers.d"
}

teardown() {
	test -z "${dir:-}" || rm -rf "$dir"
}

# apply SCRIPT: runs coppice-tmpfiles --boot with the files of $dir as the only configuration, on an
# empty /run and a copy of /etc, then the script there.
apply() {
	run unshare --mount --propagation private sh -c '
		set -e
		for d in tmpfiles.d sysusers.d; do
			test ! -d /usr/lib/$d || mount -t tmpfs tmpfs /usr/lib/$d
			test ! -d /usr/local/lib/$d || mount -t tmpfs tmpfs /usr/local/lib/$d
		done
		mount -t tmpfs tmpfs /mnt
		mkdir /mnt/up /mnt/work
		mount -t overlay -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work overlay /etc
		rm -rf /etc/tmpfiles.d /etc/sysusers.d
		cp -r "$1/tmpfiles.d" "$1/sysusers.d" /etc/
		mount -t tmpfs tmpfs /run
		umask 022
		eval "$3"
		"$2"/coppice-tmpfiles --boot || echo "status $?"
		eval "$4"' sh "$dir" "$BUILD" "${2:-:}" "$1"
}

# Fails when the command succeeds; a bare "!" would not end the test.
refute() {
	! "$@"
}

conf() {
	cat >"$dir/tmpfiles.d/$1.conf"
}

@test "directories, files, links, with modes, owners and arguments" {
	conf a <<-'X'
		d /run/a/b 0750 nobody nogroup -
		f /run/a/file 0640 root nogroup - one\ntwo
		L /run/link - - - - a/file
		p /run/pipe 0600 - - -
		d "/run/with blank" - - - -
	X
	apply 'stat -c "%n %F %a %U %G" /run/a /run/a/b /run/a/file /run/pipe "/run/with blank"
		readlink /run/link; cat /run/a/file'
	echo "$output"
	test "$status" = 0
	grep -qx '/run/a directory 755 root root' <<<"$output"
	grep -qx '/run/a/b directory 750 nobody nogroup' <<<"$output"
	grep -qx '/run/a/file regular file 640 root nogroup' <<<"$output"
	grep -qx '/run/pipe fifo 600 root root' <<<"$output"
	grep -qx '/run/with blank directory 755 root root' <<<"$output"
	grep -qx 'a/file' <<<"$output"
	grep -qx 'two' <<<"$output"
}

@test "what a base system has in /run is there without any line" {
	apply 'stat -c "%n %a" /run/lock /run/user'
	grep -qx '/run/lock 1777' <<<"$output"
}

@test "a file of the same name in an earlier directory replaces the other, an empty one masks" {
	conf b <<-'X'
		d /run/etc
	X
	: >"$dir/tmpfiles.d/c.conf"
	apply 'ls /run' 'mkdir -p /run/tmpfiles.d
		echo "d /run/other" >/run/tmpfiles.d/b.conf
		echo "d /run/masked" >/run/tmpfiles.d/c.conf
		echo "d /run/own" >/run/tmpfiles.d/d.conf'
	grep -qx etc <<<"$output"
	grep -qx own <<<"$output"
	refute grep -qx other <<<"$output"
	refute grep -qx masked <<<"$output"
}

@test "removal by patterns, before anything is made; boot lines" {
	conf r <<-'X'
		r! /run/old/*.pid
		R /run/tree
		d /run/old/made
	X
	apply 'find /run/old /run/tree | sort' \
		'mkdir -p /run/old /run/tree/x; touch /run/old/a.pid /run/old/keep /run/tree/x/y'
	test "$status" = 0
	refute grep -q 'a.pid' <<<"$output"
	refute grep -q '^/run/tree' <<<"$output"
	grep -qx /run/old/keep <<<"$output"
	grep -qx /run/old/made <<<"$output"
}

@test "no link is followed that lies in a user's directory" {
	conf s <<-'X'
		d /run/theirs/link/inside 0777 nobody nogroup
		f /run/theirs/file 0666 nobody nogroup
	X
	apply 'find /run/precious /run/theirs; stat -c "%n %a" /run/precious/secret' \
		'mkdir -m 755 /run/theirs /run/precious; echo x >/run/precious/secret
		chmod 600 /run/precious/secret
		ln -s /run/precious /run/theirs/link; ln /run/precious/secret /run/theirs/file
		chown -h nobody /run/theirs /run/theirs/link'
	echo "$output"
	grep -q '/run/theirs/link/inside: a directory on the way belongs to a user' <<<"$output"
	grep -q 'status 1' <<<"$output"
	refute grep -qx /run/precious/inside <<<"$output"
	grep -qx '/run/precious/secret 600' <<<"$output"
}

@test "a wrong line is told with file and line, and the rest is done" {
	conf w <<-'X'
		k /run/wrong
		d /run/mode 07x5
		d /run/user - no-such-user
		d /run/good
	X
	apply 'test -d /run/good && echo good'
	grep -q 'w.conf:1: expected TYPE' <<<"$output"
	grep -q "w.conf:2: '07x5' is not a mode" <<<"$output"
	grep -q "w.conf:3: there is no user 'no-such-user'" <<<"$output"
	grep -qx good <<<"$output"
}

@test "users and groups of sysusers.d" {
	cat >"$dir/sysusers.d/x.conf" <<-'X'
		u gardener - "A gardener" /var/lib/garden
		g hedges 951
		u fixed 953:hedges
		m gardener hedges
		u root - "not again"
	X
	conf u <<-'X'
		d /run/garden 0700 gardener gardener
	X
	apply 'getent passwd gardener fixed; getent group hedges; stat -c "%n %U" /run/garden
		grep -c "^root:" /etc/passwd; grep "^gardener:" /etc/shadow'
	echo "$output"
	test "$status" = 0
	grep -Eq '^gardener:x:[0-9]+:[0-9]+:A gardener:/var/lib/garden:/usr/sbin/nologin$' <<<"$output"
	grep -qx 'fixed:x:953:951::/:/usr/sbin/nologin' <<<"$output"
	grep -qx 'hedges:x:951:gardener' <<<"$output"
	grep -qx '/run/garden gardener' <<<"$output"
	grep -qx 1 <<<"$output"
	grep -q '^gardener:!\*:' <<<"$output"
	# The machine itself has none of it.
	refute getent passwd gardener
}
