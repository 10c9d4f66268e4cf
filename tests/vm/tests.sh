#!/bin/sh
# Runs in the machine, as a service of its process 1: TAP on the console.
export PATH=/bin:/coppice
top=/sys/fs/cgroup/coppice-1
number=0
echo "=== begin"
t() { # t DESCRIPTION COMMAND...
	number=$((number + 1))
	what=$1
	shift
	if "$@"; then
		echo "ok $number - $what"
	else
		echo "not ok $number - $what"
	fi
}
# within SECONDS COMMAND...
within() {
	left=$(($1 * 10))
	shift
	until "$@"; do
		left=$((left - 1))
		test $left -gt 0 || return 1
		sleep 0.1
	done
}
property() { coppicectl show "$1" | sed -n "s/^$2=//p"; }
is() { test "$(property "$1" "$2")" = "$3"; }
more_than() { test "$(property "$1" Restarts)" -gt "$2"; }
value() { cat "$top/$1.service/$2" 2>/dev/null; }
is_value() {
	test "$(value "$1" "$2")" = "$3" || {
		echo "# $1 $2: $(value "$1" "$2")"
		return 1
	}
}
of() { value "$1" "$2" | sed -n "s/^$3 //p"; }
usage() { of "$1" cpu.stat usage_usec; }
start() { for unit; do coppicectl start "$unit" >/dev/null 2>&1; done; }
stop() { for unit; do coppicectl stop "$unit" >/dev/null 2>&1; done; }
gone() { ! test -e "$top/$1.service"; }

t "process 1 has a group for each unit" is idle ControlGroup $top/idle.service
t "cpu, memory and pids are there" grep -q "cpu.*memory.*pids" $top/idle.service/cgroup.controllers
coppicectl verify --directives >/tmp/directives 2>&1
for key in MemoryMax MemoryLimit CPUWeight CPUQuota TasksMax AllowedCPUs IOWeight OOMPolicy \
	Delegate; do
	t "verify says that $key is enforced" grep -q "^Service  *$key  *enforced" /tmp/directives
done

# memory
start hog
t "a memory hog ends as oom" within 10 is hog LastExit oom
t "... and returns" within 10 more_than hog 1
stop hog
t "... and its group goes with it" within 3 gone hog
start worker-stop
t "OOMPolicy=stop: a killed child ends the unit" within 10 is worker-stop LastExit oom
stop worker-stop
start worker-go
pid=$(property worker-go MainPID)
killed() { test "$(of "$1" memory.events oom_kill)" -ge 1; }
t "OOMPolicy=continue: a child is killed" within 10 killed worker-go
sleep 0.3
t "... and the unit lives on" is worker-go MainPID "$pid"
stop worker-go
start worker-kill
t "OOMPolicy=kill: all of it is killed" within 10 is worker-kill LastExit oom
t "... by the kernel" is_value worker-kill memory.oom.group 1
stop worker-kill

# processes
start bomb
refused() { test "$(of bomb pids.events max)" -ge 1; }
t "a fork bomb comes to its limit" within 10 refused
t "... stays within TasksMax=" test "$(value bomb pids.current)" -le 20
t "... and its siblings can fork" sh -c true
stop bomb
t "... and is gone when it is stopped" within 5 gone bomb

# processors
share() { # share FIRST SECOND LEAST MOST: of their times within three seconds, in percent
	sleep 0.3
	a=$(usage "$1") b=$(usage "$2")
	sleep 3
	a=$(($(usage "$1") - a)) b=$(($(usage "$2") - b))
	echo "# $1 $((a / 1000)) ms, $2 $((b / 1000)) ms"
	part=$((a * 100 / (a + b + 1)))
	test $part -ge "$3" && test $part -le "$4"
}
start one many
t "one process has as much as a sibling's eight" share one many 40 60
stop one many
start light heavy
t "CPUWeight=400 beside 100" share heavy light 70 90
stop heavy light
start quota one
t "CPUQuota=10% leaves the rest to a sibling" share quota one 5 16
stop quota one

# the rest
start pinned
t "AllowedCPUs=" is_value pinned cpuset.cpus 0
half=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) * 1024 / 2))
high=$(value pinned memory.high)
t "MemoryHigh=50%" test $((high - half)) -le 8192 -a $((half - high)) -le 8192
t "MemoryLow=" is_value pinned memory.low 1048576
t "MemorySwapMax=" is_value pinned memory.swap.max 0
tenth=$(value pinned pids.max)
t "TasksMax=10%" test "$tenth" -gt 10 -a "$tenth" -lt 32768
t "MemoryMin=" is_value pinned memory.min 65536
t "AllowedMemoryNodes=" is_value pinned cpuset.mems 0
t "CPUWeight=idle" is_value pinned cpu.idle 1
t "CPUQuotaPeriodSec=" is_value pinned cpu.max "5000 50000"
t "IOWeight=" is_value pinned io.weight "default 50"
number_of_disk=$(cat /sys/block/nvme0n1/dev)
t "the limits of a disk" is_value pinned io.max \
	"$number_of_disk rbps=1000000 wbps=2000000 riops=100 wiops=200"
# Weights of single disks are those of a controller that is switched on for a disk.
echo "$number_of_disk enable=1" >/sys/fs/cgroup/io.cost.qos
start old
t "MemoryLimit=" is_value old memory.max 33554432
t "CPUShares=" is_value old cpu.weight 200
t "BlockIOWeight=, BlockIODeviceWeight=" is_value old io.weight "default 200
$number_of_disk 100"
t "BlockIOReadBandwidth=, BlockIOWriteBandwidth=" \
	is_value old io.max "$number_of_disk rbps=3000 wbps=4000 riops=max wiops=max"
start delegated
t "Delegate=: a user makes groups in his own" within 3 test -d $top/delegated.service/inner
stop delegated
t "... which go with it" within 3 gone delegated
start kids
stray() { test -n "$(value kids cgroup.procs | sed -n 2p)"; }
t "a process in another session is in the unit's group" within 3 stray
stop kids
t "... and is killed with it" within 3 gone kids
start nested
inner() { coppicectl -S /tmp/nested/control show inner.service; }
oom() { inner | grep -q "^LastExit=oom"; }
t "a coppice of a user controls what was delegated to it" within 10 oom
own=$(echo $top/nested.service/coppice-*/coppice.own/cgroup.procs)
t "... from a leaf of its own" grep -qx "$(property nested MainPID)" "$own"
t "... and nobody is left where it was started" is_value nested cgroup.procs ""
stop nested
t "... and it is gone when it is stopped" within 5 gone nested
echo "# end $number"
echo "=== end"
poweroff -f
