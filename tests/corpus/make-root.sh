#!/bin/sh
# make-root.sh ROOT: a Debian root with the packages of units.txt, their services not started.
# Wants root, debootstrap and the network. Says why and exits with 1 when it cannot be made.
set -eu
root=$1
here=$(dirname "$(readlink -f "$0")")
mirror=${COPPICE_CORPUS_MIRROR:-http://deb.debian.org/debian}
packages=$(sed -n '/^#/d; /|/ { s/^[^|]*|//; s/|.*//; p }' "$here/units.txt")

inside() {
	# shellcheck disable=SC2016  # the inner shell's
	unshare --mount --pid --fork --kill-child --propagation private sh -ec '
		"$0"/enter.sh "$1"
		root=$1
		shift
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
			DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"' "$here" "$root" "$@"
}

if ! test -e "$root/usr/bin/dpkg"; then
	debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror"
fi
cp /etc/resolv.conf "$root/etc/"
# Nothing is started by the packages themselves; that is what is tried here.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
inside apt-get -q update
# shellcheck disable=SC2086  # words
inside apt-get -q -y install --no-install-recommends $packages curl procps dnsutils redis-tools \
	libinih1 libjansson4 libcap2 libseccomp2
test -e "$root/etc/postgresql/15/main" || inside pg_createcluster 15 main
# Without networking a resolver of dnsmasq's own has nobody to ask; that is no matter here.
