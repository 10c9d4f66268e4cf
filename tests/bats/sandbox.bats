#!/usr/bin/env bats
# What a service may do, by coppice-exec alone: as root, as an ordinary user, and as root without
# CAP_SYS_ADMIN (an ordinary container). Each test fails when its setting is ignored.
load common.bash

setup() {
	dir=$(short_directory)
	chmod 755 "$dir"
	AS=
	if test "$(id -u)" != 0; then
		skip "needs root"
	fi
	reachable_build
}

teardown() {
	rm -rf "$dir"
}

# who NAME: the tests below run as that.
who() {
	case $1 in
	root) AS= ;;
	user) AS="setpriv --reuid=65534 --regid=65534 --clear-groups --" ;;
	container) AS="setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin --" ;;
	esac
}
everybody="root user container"

# executed OPTION... -- PATH ARGV0 ARG...
executed() {
	# shellcheck disable=SC2086
	$AS "$BUILD/coppice-exec" --unit bats.service "$@"
}

# status FIELD SETTING...: a line of /proc/self/status of a process so confined.
status() {
	local field=$1 options=()
	shift
	for setting; do
		options+=(--set "$setting")
	done
	executed ${MORE:-} "${options[@]}" -- /bin/cat cat /proc/self/status |
		sed -n "s/^$field:[[:blank:]]*//p"
}

# attempts WORDS SETTING...: what becomes of each of the words (tests/helpers/confined.c), in a line.
attempts() {
	local words=$1 options=()
	shift
	for setting; do
		options+=(--set "$setting")
	done
	# shellcheck disable=SC2086
	executed ${MORE:-} "${options[@]}" -- "$BUILD/tests/helpers/confined" confined $words |
		tr '\n' ' '
}

needs_seccomp() {
	! "$BUILD/coppice-exec" --probe | grep -q '^SystemCallFilter.ignored' ||
		skip "there is no seccomp"
}

# --- capabilities -------------------------------------------------------------------------------

@test "CapabilityBoundingSet=: what is named, all but what is named, nothing" {
	assert_equal "$(status CapBnd 'CapabilityBoundingSet=CAP_CHOWN CAP_KILL')" 0000000000000021
	assert_equal "$(status CapBnd CapabilityBoundingSet=)" 0000000000000000
	assert_equal "$(status CapBnd CapabilityBoundingSet=CAP_CHOWN CapabilityBoundingSet=CAP_KILL)" \
		0000000000000021
	assert_equal "$(status CapBnd 'CapabilityBoundingSet=CAP_CHOWN CAP_KILL' \
		CapabilityBoundingSet=~CAP_KILL)" 0000000000000001
	local all without
	all=$((16#$(status CapBnd)))
	without=$((16#$(status CapBnd CapabilityBoundingSet=~CAP_KILL)))
	assert_equal "$without" $((all & ~0x20))
	# And it is what root has after the exec.
	assert_equal "$(status CapEff CapabilityBoundingSet=CAP_CHOWN)" 0000000000000001
}

@test "CapabilityBoundingSet= without privilege is no failure, and is said" {
	who user
	run executed --set CapabilityBoundingSet=CAP_CHOWN -- /bin/echo echo started
	assert_success
	assert_output --partial "CapabilityBoundingSet= is not in effect: coppice has no CAP_SETPCAP"
	assert_output --partial started
}

@test "AmbientCapabilities=: another user has them, and no other" {
	MORE="--user nobody --group nogroup"
	assert_equal "$(status CapEff AmbientCapabilities=CAP_NET_BIND_SERVICE)" 0000000000000400
	assert_equal "$(status CapAmb AmbientCapabilities=CAP_NET_BIND_SERVICE)" 0000000000000400
	assert_equal "$(status CapPrm AmbientCapabilities=CAP_NET_BIND_SERVICE)" 0000000000000400
	assert_equal "$(status Uid AmbientCapabilities=CAP_NET_BIND_SERVICE | cut -f 1)" 65534
}

@test "AmbientCapabilities= that coppice does not have itself fail with systemd's status" {
	who user
	run executed --set AmbientCapabilities=CAP_NET_ADMIN -- /bin/echo echo started
	assert_failure 218
	assert_output --partial "cannot give the service cap_net_admin"
	refute_output --partial started
}

@test "SecureBits= are set" {
	run executed --set SecureBits="noroot noroot-locked" -- "$(command -v capsh)" capsh --print
	assert_output --partial "secure-noroot: yes (locked)"
	run executed -- "$(command -v capsh)" capsh --print
	assert_output --partial "secure-noroot: no"
}

@test "NoNewPrivileges=: said, and implied by a filter where CAP_SYS_ADMIN is missing" {
	needs_seccomp
	assert_equal "$(status NoNewPrivs NoNewPrivileges=yes)" 1
	assert_equal "$(status NoNewPrivs NoNewPrivileges=no)" 0
	assert_equal "$(status NoNewPrivs LockPersonality=yes)" 0
	for w in user container; do
		who $w
		assert_equal "$(status NoNewPrivs LockPersonality=yes)" 1
		assert_equal "$(status NoNewPrivs)" 0
	done
}

@test "what protects the kernel takes capabilities away too" {
	local all
	all=$((16#$(status CapBnd)))
	assert_equal $((16#$(status CapBnd ProtectKernelModules=yes))) $((all & ~(1 << 16)))
	assert_equal $((16#$(status CapBnd ProtectKernelLogs=yes))) $((all & ~(1 << 34)))
	assert_equal $((16#$(status CapBnd ProtectClock=yes))) $((all & ~(1 << 25 | 1 << 35)))
	assert_equal $((16#$(status CapBnd PrivateDevices=yes))) $((all & ~(1 << 27 | 1 << 17)))
}

# --- system calls -------------------------------------------------------------------------------

@test "SystemCallFilter= with ~ refuses what is named, by a number of one's own too" {
	needs_seccomp
	for w in $everybody; do
		who $w
		assert_equal "$(attempts 'uname getpriority socket-unix' SystemCallErrorNumber=EPERM \
			'SystemCallFilter=~uname')" "uname EPERM getpriority ok socket-unix ok "
		assert_equal "$(attempts 'uname getpriority' \
			'SystemCallFilter=~uname:ENOTTY getpriority:13')" "uname ENOTTY getpriority EACCES "
		assert_equal "$(attempts 'uname socket-unix' SystemCallErrorNumber=EPERM \
			'SystemCallFilter=~uname @network-io' SystemCallFilter=uname)" \
			"uname EFAULT socket-unix EPERM "
	done
}

@test "SystemCallFilter= without ~ refuses the rest, and kills for it" {
	needs_seccomp
	for w in $everybody; do
		who $w
		assert_equal "$(attempts 'uname socket-unix unknown-call' SystemCallErrorNumber=EPERM \
			'SystemCallFilter=@system-service')" \
			"uname EFAULT socket-unix ok unknown-call ENOSYS "
		assert_equal "$(attempts 'module socket-unix' SystemCallErrorNumber=EPERM \
			'SystemCallFilter=@system-service' 'SystemCallFilter=~@network-io')" \
			"module EPERM socket-unix EPERM "
		run executed --set SystemCallFilter=@system-service -- \
			"$BUILD/tests/helpers/confined" confined module
		assert_equal "$status" $((128 + 31))
		run executed --set 'SystemCallFilter=~init_module' -- \
			"$BUILD/tests/helpers/confined" confined module
		assert_equal "$status" $((128 + 31))
	done
}

@test "RestrictAddressFamilies=: a list, a list with ~, none" {
	needs_seccomp
	for w in $everybody; do
		who $w
		assert_equal "$(attempts 'socket-unix socket-inet socket-netlink' \
			'RestrictAddressFamilies=AF_UNIX AF_NETLINK')" \
			"socket-unix ok socket-inet EAFNOSUPPORT socket-netlink ok "
		assert_equal "$(attempts 'socket-unix socket-inet' RestrictAddressFamilies=~AF_INET)" \
			"socket-unix ok socket-inet EAFNOSUPPORT "
		assert_equal "$(attempts 'socket-unix socket-inet' RestrictAddressFamilies=none)" \
			"socket-unix EAFNOSUPPORT socket-inet EAFNOSUPPORT "
	done
}

@test "MemoryDenyWriteExecute=: no memory is writable and executable" {
	for w in $everybody; do
		who $w
		assert_equal "$(attempts 'write-execute make-executable')" \
			"write-execute ok make-executable ok "
		run attempts 'write-execute make-executable' MemoryDenyWriteExecute=yes
		assert_output --regexp '^write-execute E[A-Z]+ make-executable E[A-Z]+ $'
	done
}

@test "RestrictRealtime=: no real-time policy, no limit for one" {
	needs_seccomp
	for w in root container; do
		who $w
		assert_equal "$(attempts 'realtime batch')" "realtime ok batch ok "
		assert_equal "$(attempts 'realtime batch' RestrictRealtime=yes)" "realtime EPERM batch ok "
	done
	who root
	prlimit --rtprio=7:7 true 2>/dev/null || return 0 # no CAP_SYS_RESOURCE to begin with more
	AS="prlimit --rtprio=7:7 --"
	assert_equal "$(executed -- /bin/sh sh -c 'ulimit -r')" 7
	assert_equal "$(executed --set RestrictRealtime=yes -- /bin/sh sh -c 'ulimit -r')" 0
}

@test "RestrictSUIDSGID=: no file gets such a bit" {
	needs_seccomp
	for w in $everybody; do
		who $w
		assert_equal "$(attempts 'suid chmod')" "suid ok chmod ok "
		assert_equal "$(attempts 'suid chmod' RestrictSUIDSGID=yes)" "suid EPERM chmod ok "
	done
}

@test "RestrictNamespaces=: all, or all but those named" {
	needs_seccomp
	who root
	assert_equal "$(attempts 'unshare-uts unshare-ipc')" "unshare-uts ok unshare-ipc ok "
	assert_equal "$(attempts 'unshare-uts unshare-ipc' RestrictNamespaces=uts)" \
		"unshare-uts ok unshare-ipc EPERM "
	assert_equal "$(attempts 'unshare-uts unshare-ipc' RestrictNamespaces=~uts)" \
		"unshare-uts EPERM unshare-ipc ok "
	for w in $everybody; do
		who $w
		assert_equal "$(attempts 'unshare-uts clone3' RestrictNamespaces=yes)" \
			"unshare-uts EPERM clone3 ENOSYS "
	done
}

@test "LockPersonality= and Personality=" {
	needs_seccomp
	for w in $everybody; do
		who $w
		assert_equal "$(attempts personality)" "personality ok "
		assert_equal "$(attempts personality LockPersonality=yes)" "personality EPERM "
		assert_equal "$(executed --set Personality=x86 -- /bin/uname uname -m)" i686
	done
}

@test "SystemCallArchitectures=: the native one is always among them" {
	needs_seccomp
	assert_equal "$(attempts uname SystemCallArchitectures=native)" "uname EFAULT "
	assert_equal "$(status Seccomp SystemCallArchitectures=native)" 2
	printf '%s\n' '.globl _start' '_start: mov $1, %eax' 'mov $7, %ebx' 'int $0x80' >"$dir/a.s"
	as --64 -o "$dir/a.o" "$dir/a.s" && ld -o "$dir/a" "$dir/a.o" || skip "no assembler of x86-64"
	run executed -- "$dir/a" a
	test "$status" = 7 || skip "the kernel has no calls of 32 bits"
	run executed --set SystemCallArchitectures=native -- "$dir/a" a
	assert_equal "$status" $((128 + 31))
	run executed --set 'SystemCallArchitectures=native x86' -- "$dir/a" a
	assert_equal "$status" 7
}

@test "ProtectClock=, ProtectKernelModules=, ProtectKernelLogs=, PrivateDevices=, ProtectHostname=" {
	needs_seccomp
	for w in root container; do
		who $w
		run attempts 'clock module klog raw-io'
		refute_output --partial EPERM
		assert_equal "$(attempts clock ProtectClock=yes)" "clock EPERM "
		assert_equal "$(attempts module ProtectKernelModules=yes)" "module EPERM "
		assert_equal "$(attempts klog ProtectKernelLogs=yes)" "klog EPERM "
		assert_equal "$(attempts raw-io PrivateDevices=yes)" "raw-io EPERM "
	done
	who root
	assert_equal "$(attempts hostname ProtectHostname=yes)" "hostname EPERM "
	assert_equal "$(uname -n)" "$(executed -- /bin/uname uname -n)"
}

@test "SystemCallLog= lets them through" {
	needs_seccomp
	assert_equal "$(attempts uname SystemCallLog=uname)" "uname EFAULT "
	assert_equal "$(status Seccomp SystemCallLog=uname)" 2
}

# --- namespaces ---------------------------------------------------------------------------------

# namespace KIND SETTING...: its number.
namespace() {
	local kind=$1 options=()
	shift
	for setting; do
		options+=(--set "$setting")
	done
	executed "${options[@]}" -- /bin/readlink readlink "/proc/self/ns/$kind"
}

@test "PrivateNetwork=: loopback alone, and it is up" {
	unshare --net true 2>/dev/null || skip "the kernel refuses a network namespace"
	local here
	here=$(readlink /proc/self/ns/net)
	assert_equal "$(namespace net)" "$here"
	refute [ "$(namespace net PrivateNetwork=yes)" = "$here" ]
	run executed --set PrivateNetwork=yes -- /bin/cat cat /proc/net/dev
	assert_output --partial "lo:"
	refute_output --partial eth
	run executed --set PrivateNetwork=yes -- /bin/cat cat /sys/class/net/lo/operstate
	executed --set PrivateNetwork=yes -- /usr/bin/python3 python3 -c '
import socket
a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen()
socket.create_connection(a.getsockname(), 5)'
}

@test "PrivateNetwork= of a command is that of the main process" {
	unshare --net true 2>/dev/null || skip "the kernel refuses a network namespace"
	mkfifo "$dir/go"
	executed --set PrivateNetwork=yes -- /bin/sh sh -c "echo \$\$ >$dir/pid; read x <$dir/go" &
	eventually test -s "$dir/pid"
	export MAINPID
	MAINPID=$(cat "$dir/pid")
	assert_equal "$(namespace net PrivateNetwork=yes)" "$(readlink "/proc/$MAINPID/ns/net")"
	echo >"$dir/go"
}

@test "NetworkNamespacePath= and IPCNamespacePath=: that one, or systemd's status" {
	unshare --net --ipc true 2>/dev/null || skip "the kernel refuses namespaces"
	mkfifo "$dir/go"
	unshare --net --ipc sh -c "echo \$\$ >$dir/pid; read x <$dir/go" &
	eventually test -s "$dir/pid"
	local there
	there=/proc/$(cat "$dir/pid")/ns
	assert_equal "$(namespace net "NetworkNamespacePath=$there/net")" "$(readlink "$there/net")"
	assert_equal "$(namespace ipc "IPCNamespacePath=$there/ipc")" "$(readlink "$there/ipc")"
	echo >"$dir/go"
	run executed --set NetworkNamespacePath=/none -- /bin/true true
	assert_failure 225
}

@test "PrivateIPC= and ProtectHostname= are namespaces of their own" {
	unshare --ipc --uts true 2>/dev/null || skip "the kernel refuses namespaces"
	refute [ "$(namespace ipc PrivateIPC=yes)" = "$(readlink /proc/self/ns/ipc)" ]
	refute [ "$(namespace uts ProtectHostname=yes)" = "$(readlink /proc/self/ns/uts)" ]
	assert_equal "$(namespace ipc)" "$(readlink /proc/self/ns/ipc)"
}

@test "PrivateUsers=: root and the service's own user, and nobody else" {
	unshare --user true 2>/dev/null || skip "the kernel refuses a user namespace"
	MORE="--user nobody --group nogroup"
	run executed $MORE --set PrivateUsers=yes -- /bin/cat cat /proc/self/uid_map
	assert_line --regexp '^ +0 +0 +1$'
	assert_line --regexp '^ +65534 +65534 +1$'
	assert_equal "${#lines[@]}" 2
	assert_equal "$(MORE="$MORE" status CapEff PrivateUsers=yes)" 0000000000000000
	MORE=
	who user
	setpriv --reuid=65534 --regid=65534 --clear-groups unshare --user true 2>/dev/null || return 0
	run executed --set PrivateUsers=yes -- /bin/cat cat /proc/self/uid_map
	assert_output --regexp '^ +65534 +65534 +1$'
}

@test "namespaces that the kernel refuses are said, and the service runs" {
	who container
	for key in PrivateNetwork PrivateIPC ProtectHostname; do
		run executed --set $key=yes -- /bin/echo echo started
		assert_success
		assert_output --partial "$key= is not in effect: the kernel refuses a"
		assert_output --partial started
	done
}

# --- scheduling ---------------------------------------------------------------------------------

@test "CPUAffinity=, CPUScheduling…=, IOScheduling…=, TimerSlackNSec=, CoredumpFilter=" {
	assert_equal "$(status Cpus_allowed_list CPUAffinity=0)" 0
	assert_equal "$(status Cpus_allowed_list CPUAffinity=0 CPUAffinity=1 2>/dev/null || echo 0-1)" 0-1
	run executed --set CPUSchedulingPolicy=batch --set CPUSchedulingResetOnFork=yes -- \
		"$(command -v chrt)" chrt -p 0
	assert_output --partial SCHED_BATCH
	run executed --set CPUSchedulingPolicy=fifo --set CPUSchedulingPriority=7 -- \
		/bin/cat cat /proc/self/sched
	assert_output --regexp 'policy +: +1'
	assert_output --regexp 'prio +: +92'
	run executed --set IOSchedulingClass=idle -- "$(command -v ionice)" ionice
	assert_output idle
	run executed --set IOSchedulingPriority=6 -- "$(command -v ionice)" ionice
	assert_output "best-effort: prio 6"
	assert_equal "$(executed --set TimerSlackNSec=123456 -- /bin/cat cat /proc/self/timerslack_ns)" \
		123456
	assert_equal "$(executed --set 'CoredumpFilter=private-anonymous elf-headers' -- \
		/bin/cat cat /proc/self/coredump_filter)" 00000011
}

@test "NUMAPolicy=, NUMAMask= and MemoryKSM=" {
	test -e /proc/self/numa_maps || skip "the kernel has no NUMA"
	run executed --set NUMAPolicy=bind --set NUMAMask=0 -- /bin/cat cat /proc/self/numa_maps
	assert_output --partial "bind:0"
	run executed -- /bin/cat cat /proc/self/numa_maps
	refute_output --partial "bind:0"
	assert_equal "$(status Cpus_allowed_list CPUAffinity=numa NUMAMask=0)" \
		"$(cat /sys/devices/system/node/node0/cpulist)"
	grep -q ksm_merge_any /proc/self/ksm_stat 2>/dev/null || skip "the kernel has no KSM"
	run executed --set MemoryKSM=yes -- /bin/cat cat /proc/self/ksm_stat
	assert_line "ksm_merge_any: yes"
}

@test "a policy that is not permitted is said, and the service runs" {
	who user
	run executed --set CPUSchedulingPolicy=fifo -- /bin/echo echo started
	assert_success
	assert_output --partial "CPUSchedulingPolicy= is not in effect"
	assert_output --partial started
}

@test "CPUAffinity= without a processor that is there fails with systemd's status" {
	run executed --set CPUAffinity=8000 -- /bin/true true
	assert_failure 215
}

@test "KeyringMode=private: a session keyring of its own" {
	run executed --set KeyringMode=private -- /bin/cat cat /proc/keys
	assert_success
	assert_output --regexp 'keyring +_ses'
}

# --- users and credentials ----------------------------------------------------------------------

# credentials SETTING... -- SCRIPT
credentials() {
	local options=()
	while test "$1" != --; do
		options+=(--set "$1")
		shift
	done
	executed --base "runtime:$dir" ${MORE:-} "${options[@]}" -- /bin/sh sh -c "$2"
}

@test "LoadCredential=: a file that the service alone can read, and nobody sees outside" {
	mountpoint -q / || skip "in a chroot nothing can be mounted for one process alone"
	printf secret >"$dir/key"
	chmod 600 "$dir/key"
	MORE="--user nobody --group nogroup"
	run credentials "LoadCredential=key:$dir/key" -- \
		'cd $CREDENTIALS_DIRECTORY && cat key && stat -c " %a %U" key . && pwd; touch new'
	assert_line --index 0 --partial "secret 400 nobody"
	assert_line --index 1 " 500 nobody"
	assert_line --index 2 "$dir/credentials/bats.service"
	assert_output --partial "cannot touch"
	run ls -A "$dir/credentials/bats.service"
	assert_output ""
}

@test "LoadCredential= where nothing can be mounted: in a directory of the service's own" {
	who container
	printf secret >"$dir/key"
	chmod 600 "$dir/key"
	MORE="--user nobody --group nogroup"
	run credentials "LoadCredential=key:$dir/key" -- 'cat $CREDENTIALS_DIRECTORY/key'
	assert_output secret
	run stat -c '%a %U' "$dir/credentials/bats.service" "$dir/credentials/bats.service/key"
	assert_line --index 0 "500 nobody"
	assert_line --index 1 "400 nobody"
}

@test "LoadCredential= of what is not there fails with systemd's status" {
	run credentials "LoadCredential=key:$dir/none" -- 'echo started'
	assert_failure 243
	refute_output --partial started
}

@test "LoadCredential= and ImportCredential= of what coppice was given itself" {
	mkdir "$dir/own"
	printf one >"$dir/own/web.one"
	printf two >"$dir/own/web.two"
	export CREDENTIALS_DIRECTORY=$dir/own
	run credentials LoadCredential=mine:web.one -- 'cat $CREDENTIALS_DIRECTORY/*'
	assert_output one
	run credentials 'ImportCredential=web.*' -- 'cd $CREDENTIALS_DIRECTORY && echo * && cat *'
	assert_line "web.one web.two"
	assert_line onetwo
	run credentials LoadCredential=all:"$dir/own" -- 'cd $CREDENTIALS_DIRECTORY && echo *'
	assert_output "all_web.one all_web.two"
}

@test "DynamicUser=: a number of the free range, the same again, never one of two" {
	MORE="--dynamic-user --run-directory $dir"
	one=$("$BUILD/coppice-exec" --unit one.service $MORE -- /bin/id id -u)
	two=$("$BUILD/coppice-exec" --unit two.service $MORE -- /bin/id id -u)
	test "$one" -ge 61184 && test "$one" -le 65519
	refute [ "$one" = "$two" ]
	assert_equal "$("$BUILD/coppice-exec" --unit one.service $MORE -- /bin/id id -u)" "$one"
	# The number is somebody else's: it takes another.
	rm "$dir/dynamic-users/$one"
	ln -s else "$dir/dynamic-users/$one"
	other=$("$BUILD/coppice-exec" --unit one.service $MORE -- /bin/id id -u)
	refute [ "$other" = "$one" ]
	run "$BUILD/coppice-exec" --unit one.service $MORE -- /bin/sh sh -c \
		'echo $USER; grep NoNew /proc/self/status; chmod 4755 /proc/self/cwd'
	assert_line one
	assert_line --regexp 'NoNewPrivs:.*1'
}

@test "DynamicUser= without privilege is said, and the service runs" {
	who user
	run executed --dynamic-user --run-directory "$dir" -- /bin/id id -u
	assert_success
	assert_output --partial "DynamicUser= is not in effect"
	assert_line 65534
}

@test "limits come last, so that a small one does not hinder" {
	assert_equal "$(executed --limit 7=6:6 --set SystemCallFilter=@system-service \
		-- /bin/sh sh -c 'ulimit -n')" 6
}

# --- the probe ----------------------------------------------------------------------------------

@test "coppice-exec --probe tells what becomes of each setting, and by what" {
	needs_seccomp
	run executed --probe
	assert_success
	assert_line --regexp '^SystemCallFilter.enforced.by seccomp$'
	who user
	run executed --probe
	assert_line --regexp '^SystemCallFilter.enforced.by seccomp, with NoNewPrivileges=yes$'
	assert_line --regexp '^CapabilityBoundingSet.ignored.without CAP_SETPCAP'
	who container
	run executed --probe
	assert_line --regexp '^PrivateNetwork.ignored.the kernel refuses it: Operation not permitted$'
}

# effects UNIT: "Key effect" of what it uses, for whom `who` says.
effects() {
	# shellcheck disable=SC2086
	$AS "$BUILD/coppicectl" -S "$dir/control" verify --directives "$@" | awk '{ print $2, $3 }'
}

@test "coppicectl verify --directives UNIT: enforced, emulated or ignored, for whom it is" {
	needs_seccomp
	cat >"$dir/a.service" <<-UNIT
		[Service]
		ExecStart=/bin/true
		SystemCallFilter=@system-service
		CapabilityBoundingSet=CAP_CHOWN
		PrivateNetwork=yes
		PAMName=login
	UNIT
	run effects "$dir/a.service"
	assert_line "SystemCallFilter enforced"
	assert_line "CapabilityBoundingSet enforced"
	assert_line "ExecStart enforced"
	assert_line "PAMName ignored"
	refute_line --regexp '^User '
	run effects -u "$dir" a
	assert_line "SystemCallFilter enforced"
	who container
	run effects "$dir/a.service"
	assert_line "PrivateNetwork ignored"
	assert_line "CapabilityBoundingSet enforced"
	who user
	run effects "$dir/a.service"
	assert_line "CapabilityBoundingSet ignored"
	assert_line "SystemCallFilter enforced"
	# Whose coppice it is counts, not who asks.
	who root
	touch "$dir/control"
	chown nobody "$dir/control"
	run effects "$dir/a.service"
	assert_line "CapabilityBoundingSet ignored"
	run ! "$BUILD/coppicectl" verify --directives none.service
	assert_output --partial 'error: there is no unit "none.service"'
}
