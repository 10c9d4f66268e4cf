#!/bin/sh
# enter.sh ROOT: in a mount namespace of one's own, gives ROOT what a container runtime gives:
# /proc, /dev, and an empty /run and /tmp as after a boot.
set -eu
root=$1
for dir in run tmp dev; do
	mount -t tmpfs -o mode=755 tmpfs "$root/$dir"
done
chmod 1777 "$root/tmp"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
node() {
	mknod -m 666 "$root/dev/$1" c "$2" "$3"
}
node null 1 3
node zero 1 5
node full 1 7
node random 1 8
node urandom 1 9
node tty 5 0
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
