#!/bin/sh
# kernel.sh DIRECTORY: prints the path of a kernel that qemu can boot: $COPPICE_VM_KERNEL, or
# Debian's cloud kernel, fetched once into DIRECTORY by apt-get.
set -eu
if test -n "${COPPICE_VM_KERNEL:-}"; then
	echo "$COPPICE_VM_KERNEL"
	exit 0
fi
directory=$1
found() {
	set -- "$directory"/boot/vmlinuz-*
	test -r "$1" && echo "$1"
}
found && exit 0
mkdir -p "$directory"
cd "$directory"
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
test -n "$package"
timeout 120 apt-get download "$package" >/dev/null 2>&1
dpkg -x "$package"_*.deb new
mv new/boot boot
rm -rf new ./*.deb
found
