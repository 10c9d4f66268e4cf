# make install and uninstall, into an empty directory.
load common

# make with the build directory under test, without what an outer make passes down.
make_quietly() {
	env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -s -C "$top" BUILD="$BUILD" \
		DESTDIR="$BATS_TEST_TMPDIR/root" "$@"
}

setup() {
	test -z "${COPPICE_TEST_ASAN:-}" || skip "other flags would build everything anew"
}

@test "everything is installed where it belongs, and nothing is left of it" {
	make_quietly install
	cd "$BATS_TEST_TMPDIR/root/usr/local"
	for program in bin/coppice bin/coppicectl lib/coppice/coppice-manager \
		lib/coppice/coppice-exec lib/coppice/examples/gateway; do
		test -x "$program"
	done
	for file in include/coppice/client.h include/coppice/org.coppice.Control.varlink \
		lib/libcoppice.a share/man/man8/coppice.8 share/man/man1/coppicectl.1 \
		share/man/man5/coppice.socket.5 share/man/man5/coppice.supervisor.5 share/doc/coppice/README.md \
		share/doc/coppice/LICENSE lib/coppice/examples/default.supervisor; do
		test -f "$file"
	done
	run ! grep -r '@[a-z]*@' lib/coppice/examples --include '*.service'
	make_quietly uninstall
	run -0 find "$BATS_TEST_TMPDIR/root" -type f
	assert_output ""
}

@test "the installed header and library are all that a client needs" {
	make_quietly install
	cat >"$BATS_TEST_TMPDIR/client.c" <<-'END'
		#include <coppice/client.h>
		int main(void)
		{
			struct coppice_client *client;
			return coppice_open("/nowhere/control", &client) < 0 ? 0 : 1;
		}
	END
	"${CC:-cc}" -I"$BATS_TEST_TMPDIR/root/usr/local/include" -o "$BATS_TEST_TMPDIR/client" \
		"$BATS_TEST_TMPDIR/client.c" -L"$BATS_TEST_TMPDIR/root/usr/local/lib" -lcoppice -ljansson
	"$BATS_TEST_TMPDIR/client"
}
