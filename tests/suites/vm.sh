#!/bin/sh
# Resource control with all controllers of cgroup v2: a virtual machine with Debian's kernel, in
# which coppice is process 1 (tests/vm).
# timeout: 240
here=$(dirname "$(readlink -f "$0")")/../vm
work=$BUILD/tests/vm
log=$BUILD/tests/log/vm.log
skip() {
	echo "1..0 # SKIP $1"
	exit 0
}
test "$(uname -m)" = x86_64 || skip "the machine is made for x86_64"
command -v qemu-system-x86_64 >/dev/null || skip "wants qemu-system-x86_64"
command -v busybox >/dev/null || skip "wants busybox"
command -v cpio >/dev/null || skip "wants cpio"
mkdir -p "$work" "$(dirname "$log")"
kernel=$("$here/kernel.sh" "${COPPICE_VM_CACHE:-/var/tmp/coppice-vm}" 2>"$log") ||
	skip "no kernel: linux-image-cloud-amd64 cannot be fetched"
"$here/initramfs.sh" "$work/initramfs.gz" >>"$log" 2>&1 || {
	sed 's/^/# /' "$log"
	echo "not ok 1 - the initramfs is made"
	echo "1..1"
	exit 1
}
"$here/run.sh" "$kernel" "$work/initramfs.gz" >"$work/out" 2>&1
cat "$work/out"
number=$(sed -n 's/^# end //p' "$work/out")
# A machine that has not come to its end has shown nothing.
test -n "$number" || {
	echo "not ok 99 - the machine came to the end of the tests"
	echo "1..99"
	exit 1
}
for key in MemoryZSwapMax IODeviceLatencyTargetSec; do
	number=$((number + 1))
	not=
	grep -q "pinned.service: $key= is not in effect: " "$work/out" || not="not "
	echo "${not}ok $number - what this kernel lacks is said: $key="
done
echo "1..$number"
