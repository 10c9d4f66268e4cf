#!/bin/sh
# run.sh KERNEL INITRAMFS: boots it, and prints what is said on the serial console between two
# marks. By emulation, which works everywhere. A machine that hangs is ended.
kernel=$1 initramfs=$2
disk=$2.disk
truncate -s 16M "$disk"
timeout "${COPPICE_VM_TIMEOUT:-110}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 512 \
	-smp 1 -nographic -no-reboot -nic none -kernel "$kernel" -initrd "$initramfs" \
	-drive "file=$disk,if=none,id=disk,format=raw" -device nvme,serial=1,drive=disk \
	-append "console=ttyS0 quiet panic=-1 random.trust_cpu=on" </dev/null 2>&1 |
	tr -d '\r' | sed -n '/=== begin/,/=== end/p' | grep -v '=== '
