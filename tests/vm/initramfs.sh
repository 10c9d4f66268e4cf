#!/bin/sh
# initramfs.sh OUT: the programs of $BUILD with their libraries, busybox and the units of this
# directory, as an initramfs whose /init starts coppice as process 1.
set -eu
here=$(dirname "$(readlink -f "$0")")
out=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/run" "$root/etc" \
	"$root/coppice" "$root/units"
cp "$(command -v busybox)" "$root/bin/busybox"
for name in sh mount sleep cat mkdir awk grep sed poweroff ls stat find test rmdir; do
	ln -s busybox "$root/bin/$name"
done
for name in coppice coppice-manager coppicectl coppice-exec tests/helpers/greedy; do
	cp "$BUILD/$name" "$root/coppice/"
done
# Libraries at the places where the programs look for them; a static program has none.
for program in "$root"/coppice/*; do
	ldd "$program" 2>/dev/null | grep -o '/[^ ]*'
done | sort -u | while read -r library; do
	mkdir -p "$root/$(dirname "$library")"
	cp -L "$library" "$root/$library"
done
strip "$root"/coppice/* 2>/dev/null || true
echo 'root:x:0:0::/:/bin/sh
user:x:1000:1000::/:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:
user:x:1000:' >"$root/etc/group"
cp -r "$here"/units/* "$root/units/"
chmod 1777 "$root/tmp"
cp "$here/tests.sh" "$here/init" "$root/"
chmod 755 "$root" "$root/init" "$root/tests.sh"
(cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$out"
