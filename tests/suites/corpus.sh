#!/bin/sh
# Unmodified units of distribution packages (tests/corpus), in a Debian root that is made once.
# timeout: 1500
here=$(dirname "$(readlink -f "$0")")/../corpus
root=${COPPICE_CORPUS_ROOT:-/var/tmp/coppice-corpus}
log=$BUILD/tests/log/corpus-root.log
skip() {
	echo "1..0 # SKIP $1"
	exit 0
}
test "$(id -u)" = 0 || skip "wants root, for namespaces and a root of its own"
command -v debootstrap >/dev/null || skip "wants debootstrap"
unshare --mount --pid --net --fork true 2>/dev/null || skip "may not make namespaces here"
mkdir -p "$(dirname "$log")"
if ! test -e "$root/.complete"; then
	"$here/make-root.sh" "$root" >"$log" 2>&1 </dev/null ||
		skip "no Debian root: $(tail -1 "$log")"
	touch "$root/.complete"
fi
"$here/install.sh" "$root" "$BUILD" >"$log" 2>&1 || skip "cannot install into the root: see $log"
exec python3 -B "$here/corpus.py" --root "$root"
