#!/bin/sh
# install.sh ROOT BUILD: the programs of a build directory into a root, where an installation has
# them.
set -eu
root=$1 build=$2
install -D -t "$root/usr/local/bin" "$build/coppice" "$build/coppicectl"
install -D -t "$root/usr/local/lib/coppice" "$build/coppice-manager" "$build/coppice-exec" \
	"$build/coppice-tmpfiles"
