#!/usr/bin/env bats
# What a service sees of the file system: coppice-exec alone, by a mount namespace, by a user
# namespace (an ordinary user), and by Landlock (root without CAP_SYS_ADMIN).
load common.bash

setup() {
	dir=$(short_directory)
	chmod 755 "$dir"
	if test "$(id -u)" != 0; then
		skip "needs root"
	fi
	reachable_build
}

teardown() {
	rm -rf "$dir"
}

# confined SETTING... -- SCRIPT: the script in a shell that is confined so.
confined() {
	local options=()
	while test "$1" != --; do
		options+=(--set "$1")
		shift
	done
	# shellcheck disable=SC2086
	${AS:-} "$BUILD/coppice-exec" ${MORE:-} "${options[@]}" -- /bin/sh sh -c "$2"
}

needs_namespaces() {
	unshare --mount true 2>/dev/null || skip "the kernel refuses a mount namespace"
}

# An ordinary user.
as_user() {
	AS="setpriv --reuid=65534 --regid=65534 --clear-groups --"
	chmod 777 "$dir"
}

needs_users() {
	setpriv --reuid=65534 --regid=65534 --clear-groups unshare --user --mount true 2>/dev/null ||
		skip "the kernel refuses a user namespace"
}

# Root as it is in an ordinary container.
without_privilege() {
	AS="setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin ${1:-} --"
}

needs_landlock() {
	local version
	version=$(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')
	test "$version" -ge 2 || skip "the kernel has no Landlock"
}

@test "ProtectSystem=: /usr, then /etc too, then everything is read-only" {
	needs_namespaces
	run ! confined ProtectSystem=yes -- 'touch /usr/bats'
	assert_output --partial "Read-only file system"
	confined ProtectSystem=yes -- "touch /etc/coppice-bats && rm /etc/coppice-bats"
	run ! confined ProtectSystem=full -- 'touch /etc/coppice-bats'
	assert_output --partial "Read-only file system"
	confined ProtectSystem=full -- "touch '$dir/x'"
	run ! confined ProtectSystem=strict -- "touch '$dir/y'"
	assert_output --partial "Read-only file system"
	# The API file systems and homes are for other settings.
	confined ProtectSystem=strict -- 'echo 3 >/proc/self/oom_score_adj && touch /dev/shm/bats && rm /dev/shm/bats'
	confined ProtectSystem=no -- "touch '$dir/z'"
}

@test "ProtectSystem=strict: ReadWritePaths= and the unit's own directories are for writing" {
	needs_namespaces
	mkdir "$dir/open" "$dir/closed" "$dir/open/closed"
	MORE="--base state:$dir --base configuration:$dir --make-directory state:755:own
		--make-directory configuration:755:conf"
	confined ProtectSystem=strict "ReadWritePaths=$dir/open -/missing" \
		"ReadOnlyPaths=$dir/open/closed" -- "touch '$dir/open/x' '$dir/own/x'"
	for place in closed open/closed conf; do
		run ! confined ProtectSystem=strict "ReadWritePaths=$dir/open" \
			"ReadOnlyPaths=$dir/open/closed" -- "touch '$dir/$place/x'"
		assert_output --partial "Read-only file system"
	done
}

@test "ProtectHome=: nothing, empty, or for reading alone" {
	needs_namespaces
	echo secret >/root/coppice-bats
	run confined ProtectHome=yes -- 'cat /root/coppice-bats; ls -A /root /home'
	refute_output --partial secret
	run -0 confined ProtectHome=tmpfs -- 'ls -A /root'
	assert_output ""
	run -0 confined ProtectHome=read-only -- 'cat /root/coppice-bats'
	assert_output secret
	run ! confined ProtectHome=read-only -- 'echo other >/root/coppice-bats'
	rm /root/coppice-bats
	assert_output --partial "Read-only file system"
}

@test "InaccessiblePaths=, ReadOnlyPaths=: also files, links and what is mounted below" {
	needs_namespaces
	mkdir -p "$dir/a/mount" "$dir/secret"
	echo secret | tee "$dir/file" >"$dir/secret/file"
	ln -s secret "$dir/link"
	run confined "InaccessiblePaths=$dir/file $dir/link" -- \
		"cat '$dir/file' '$dir/secret/file' '$dir/link/file'"
	refute_line secret
	run ! unshare --mount sh -c "mount -t tmpfs x '$dir/a/mount' && exec '$BUILD/coppice-exec' \
		--set 'ReadOnlyPaths=$dir/a' -- /bin/touch touch '$dir/a/mount/x'"
	assert_output --partial "Read-only file system"
}

@test "a path that is missing fails the start with 226, unless it is behind a \"-\"" {
	needs_namespaces
	run -226 confined "ReadOnlyPaths=$dir/missing" -- true
	assert_output --partial "$dir/missing"
	run -226 confined "BindPaths=$dir/missing:$dir/b" -- true
	run -0 confined "ReadOnlyPaths=-$dir/missing" "BindPaths=-$dir/missing:$dir/b" -- true
	# What systemd itself would have there is nobody's fault.
	run -0 confined "BindReadOnlyPaths=/run/systemd/missing:$dir/b" -- true
}

@test "NoExecPaths= and ExecPaths=" {
	needs_namespaces
	cp /bin/true "$dir/program"
	run -126 confined "NoExecPaths=$dir" -- "'$dir/program'"
	confined "NoExecPaths=/" "ExecPaths=/usr -/bin -/lib -/lib64 $dir" -- "'$dir/program'"
	# One that speaks about executing alone is written to as what it lies in.
	mkdir "$dir/in"
	run ! confined "ReadOnlyPaths=$dir" "NoExecPaths=$dir/in" -- "touch '$dir/in/x'"
	assert_output --partial "Read-only file system"
}

@test "PrivateTmp=: /tmp and /var/tmp are empty and for everybody" {
	needs_namespaces
	run -0 confined PrivateTmp=yes -- \
		"touch /tmp/x /var/tmp/x; ls /tmp /var/tmp; stat -c %a /tmp /var/tmp"
	assert_output "/tmp:
x

/var/tmp:
x
1777
1777"
	run ! test -e /tmp/x
}

@test "PrivateDevices=: no device of the machine, but what programs need" {
	needs_namespaces
	run -0 confined PrivateDevices=yes -- 'ls /dev'
	refute_output --partial kmsg
	refute_output --partial vda
	confined PrivateDevices=yes -- 'echo x >/dev/null && head -c 1 /dev/urandom >/dev/null &&
		echo x >/dev/shm/bats && rm /dev/shm/bats && test -d /dev/pts && echo x >/dev/stderr'
	run ! confined PrivateDevices=yes -- 'touch /dev/x'
	assert_output --partial "Read-only file system"
}

@test "ProtectKernelTunables=, ProtectControlGroups=, ProtectKernelLogs=, ProtectKernelModules=" {
	needs_namespaces
	run ! confined ProtectKernelTunables=yes -- 'echo 1 >/proc/sys/kernel/printk'
	assert_output --partial "Read-only file system"
	run ! confined ProtectKernelTunables=yes -- 'test -w /sys/kernel/mm'
	run ! confined ProtectKernelTunables=yes -- 'test -s /proc/kallsyms'
	run ! confined ProtectControlGroups=yes -- 'mkdir /sys/fs/cgroup/coppice-bats'
	assert_output --partial "Read-only file system"
	run ! confined ProtectKernelLogs=yes -- 'test -c /dev/kmsg'
	local made=
	test -d /usr/lib/modules || made=/usr/lib/modules
	mkdir -p /usr/lib/modules/coppice-bats
	run confined ProtectKernelModules=yes -- 'ls -A /usr/lib/modules'
	rmdir /usr/lib/modules/coppice-bats $made
	assert_output ""
}

@test "ProtectProc= and ProcSubset=" {
	needs_namespaces
	MORE="--user nobody"
	run ! confined ProtectProc=invisible -- 'test -d /proc/self && ls /proc/1'
	assert_output --partial "/proc/1"
	refute_output --partial environ
	run -0 confined ProcSubset=pid -- 'ls /proc'
	refute_output --partial meminfo
	MORE=
	run -0 confined -- 'ls /proc/1'
	assert_output --partial environ
}

@test "BindPaths=, BindReadOnlyPaths=, TemporaryFileSystem=" {
	needs_namespaces
	mkdir "$dir/from" "$dir/over"
	touch "$dir/from/file" "$dir/over/hidden"
	confined "BindPaths=$dir/from:$dir/new/place" -- "touch '$dir/new/place/file2'"
	test -e "$dir/from/file2"
	run ! confined "BindReadOnlyPaths=$dir/from:$dir/to" -- "touch '$dir/to/x'"
	assert_output --partial "Read-only file system"
	run -0 confined "TemporaryFileSystem=$dir/over:ro,size=1m,mode=0700" \
		"BindPaths=$dir/from/file:$dir/over/a/file" -- \
		"ls -A '$dir/over' '$dir/over/a'; stat -c %a '$dir/over'; touch '$dir/over/x' || :"
	assert_line file
	refute_output --partial hidden
	assert_output --partial 700
	assert_output --partial "Read-only file system"
}

@test "RootDirectory=: another root, with the API file systems" {
	needs_namespaces
	mkdir -p "$dir/root/usr" "$dir/root/data"
	for link in bin sbin lib lib32 lib64 libx32; do
		test ! -L "/$link" || ln -s "usr/$link" "$dir/root/$link"
	done
	run -0 confined "RootDirectory=$dir/root" BindReadOnlyPaths=/usr "ReadOnlyPaths=+/data" \
		"BindPaths=$dir:/srv" -- "echo /*; test -d /proc/self && test -c /dev/null &&
		touch /srv/seen; touch /data/x 2>/dev/null || echo closed"
	assert_output --partial " /data "
	assert_output --partial closed
	refute_output --partial /etc
	test -e "$dir/seen"
	rmdir "$dir"/root/{proc,sys,dev,run}
	run -0 confined "RootDirectory=$dir/root" BindReadOnlyPaths=/usr MountAPIVFS=no -- "echo /*"
	refute_output --partial /proc
}

@test "mounts of the service are not seen outside, and PrivateMounts= asks for no more" {
	needs_namespaces
	run -0 confined PrivateMounts=yes -- "mount -t tmpfs x '$dir' && touch '$dir/inside' && ls '$dir'"
	assert_output inside
	run ! test -e "$dir/inside"
	run -0 confined MountFlags=private -- 'cat /proc/self/mountinfo'
	refute_output --partial shared:
}

@test "in a chroot, whose root is no mount, it is the same" {
	needs_namespaces
	mkdir -p "$dir/root/usr" "$dir/root/proc" "$dir/root/tmp" "$dir/root/build"
	for link in bin sbin lib lib32 lib64 libx32; do
		test ! -L "/$link" || ln -s "usr/$link" "$dir/root/$link"
	done
	run ! unshare --mount sh -c "mount --bind /usr '$dir/root/usr' &&
		mount -t proc proc '$dir/root/proc' && mount --bind '$BUILD' '$dir/root/build' &&
		exec chroot '$dir/root' /build/coppice-exec --set ProtectSystem=strict -- \
		/bin/touch touch /x"
	assert_output --partial "Read-only file system"
}

@test "what is reached by variables stays reachable: the notify socket" {
	needs_namespaces
	mkdir "$dir/notify"
	touch "$dir/notify/socket"
	export NOTIFY_SOCKET=$dir/notify/socket
	confined PrivateTmp=yes -- "test -e '$NOTIFY_SOCKET'"
	confined "InaccessiblePaths=$dir" -- "test -e '$NOTIFY_SOCKET'"
	confined "TemporaryFileSystem=$dir" -- "test -e '$NOTIFY_SOCKET'"
}

@test "an ordinary user: by a user namespace, as systemd's user manager" {
	needs_users
	as_user
	run ! confined ProtectSystem=strict -- "touch '$dir/x'"
	assert_output --partial "Read-only file system"
	run ! confined "ReadOnlyPaths=$dir" -- "touch '$dir/x'"
	assert_output --partial "Read-only file system"
	run -0 confined PrivateTmp=yes -- 'touch /tmp/x && ls /tmp && id -u'
	assert_output "x
65534"
	run -0 confined PrivateTmp=yes -- 'grep CapEff /proc/self/status'
	assert_output --partial 0000000000000000
}

@test "without privilege Landlock stands in: writing" {
	needs_landlock
	without_privilege --no-new-privs
	mkdir "$dir/open"
	run ! confined ProtectSystem=full -- 'echo x >/etc/coppice-bats'
	assert_output --partial "Permission denied"
	confined ProtectSystem=full -- "echo x >'$dir/x' && mv '$dir/x' '$dir/open/x'"
	run ! confined ProtectSystem=strict "ReadWritePaths=$dir/open" -- "echo x >'$dir/y'"
	assert_output --partial "Permission denied"
	run -0 confined ProtectSystem=strict "ReadWritePaths=$dir/open" -- \
		"echo x >'$dir/open/y' && mkdir '$dir/open/d' && mv '$dir/open/y' '$dir/open/d' &&
		echo x >/dev/null && echo 5 >/proc/self/oom_score_adj && cat /etc/hostname >/dev/null"
	assert_output ""
}

@test "without privilege Landlock stands in: reading and executing" {
	needs_landlock
	without_privilege --no-new-privs
	echo secret >/root/coppice-bats
	run ! confined ProtectHome=yes -- 'cat /root/coppice-bats'
	rm /root/coppice-bats
	assert_output --partial "Permission denied"
	cp /bin/true "$dir/program"
	run -126 confined "NoExecPaths=/" "ExecPaths=/usr -/bin -/lib -/lib64" -- "'$dir/program'"
	confined "NoExecPaths=/" "ExecPaths=/usr -/bin -/lib -/lib64 $dir" -- "'$dir/program'"
	run ! confined "InaccessiblePaths=/opt" -- 'touch /opt/coppice-bats'
	assert_output --partial "Permission denied"
	run -0 confined "InaccessiblePaths=/opt" -- 'ls / >/dev/null'
}

@test "without privilege: set-user-ID programs keep their effect, and it is said" {
	without_privilege
	run -0 confined ProtectSystem=strict -- "grep NoNewPrivs /proc/self/status; touch '$dir/x'"
	assert_output --partial "ProtectSystem= is not in effect"
	assert_output --partial "NoNewPrivileges=yes"
	assert_line --regexp 'NoNewPrivs:.0'
	if version=$(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))') &&
		test "$version" -ge 2; then
		run ! confined ProtectSystem=strict NoNewPrivileges=yes -- "touch '$dir/y'"
		assert_output --partial "Permission denied"
	fi
}

@test "without privilege: hardenings are said and left out, promises are kept or fail" {
	without_privilege
	run -0 confined PrivateTmp=yes PrivateDevices=yes ProtectProc=invisible MountFlags=slave -- true
	for key in PrivateTmp PrivateDevices ProtectProc MountFlags; do
		assert_output --partial "$key= is not in effect"
	done
	run -226 confined "BindPaths=/usr:$dir/x" -- true
	run -226 confined "TemporaryFileSystem=$dir" -- true
	run -0 confined "BindPaths=/usr" -- true
	mkdir -p "$dir/root/usr"
	run confined "RootDirectory=$dir/root" -- true
	assert_output --partial "cannot execute '/bin/sh'"
}

@test "without privilege PrivateTmp= is a TMPDIR of the service's own" {
	without_privilege
	MORE="--run-directory $dir --unit bats.service"
	run -0 confined PrivateTmp=yes -- 'echo "$TMPDIR"; mktemp'
	assert_line --regexp '^/tmp/coppice-private-bats.service-[0-9a-f]*/tmp$'
	assert_line --regexp '^/tmp/coppice-private-bats.service-[0-9a-f]*/tmp/tmp\.'
	rm -rf "$(dirname "$(readlink "$dir/volatile/bats.service/t0")/x")" \
		"$(readlink "$dir/volatile/bats.service/t1")"
}

@test "nothing is left outside, also when a start fails" {
	needs_namespaces
	run -226 confined "ReadOnlyPaths=$dir/missing" -- true
	run -0 confined "ReadOnlyPaths=$dir" -- true
	run -1 compgen -G '/run/coppice-stage-*'
}

@test "the probe says for each of them what becomes of it" {
	needs_namespaces
	run -0 "$BUILD/coppice-exec" --probe
	for key in ProtectSystem ProtectHome PrivateTmp PrivateDevices ReadOnlyPaths BindPaths; do
		assert_line --regexp "^$key	enforced	by a mount namespace"
	done
	needs_landlock
	without_privilege
	run -0 $AS "$BUILD/coppice-exec" --probe
	assert_line --regexp '^ProtectSystem	emulated	by Landlock'
	assert_line --regexp '^PrivateTmp	emulated	by TMPDIR'
	assert_line --regexp '^PrivateMounts	ignored	.*not permitted'
	assert_line --regexp '^RuntimeDirectory	enforced'
}
