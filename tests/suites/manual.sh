#!/bin/bash
# The man pages say what the programs have: verbs, options, directives. BUILD has the programs.
set -u
cd "$(dirname "$0")/../.." || exit 2
count=0
failures=0

# in_manual NAME PAGE WORD...: each word occurs in the page.
in_manual() {
	local name=$1 page=$2 word missing=
	shift 2
	for word in "$@"; do
		grep -qE -- "(Cm|Ic|Fl|Xo) (.* )?$word( |\$)" "$page" || missing+=" $word"
	done
	count=$((count + 1))
	if test $# = 0; then
		failures=$((failures + 1))
		echo "not ok $count - $name"
		echo "# nothing was found to look for"
	elif test -z "$missing"; then
		echo "ok $count - $name"
	else
		failures=$((failures + 1))
		echo "not ok $count - $name"
		echo "# not in $page:$missing"
	fi
}

# What every user meets; the rest of systemd's is in coppice.directives(7), which is made of the
# table (tests/unit/unit/test_table.c).
directives() {
	sed -n "s/^D($1, \([A-Za-z]*\), [01], HONOURED,.*/\1/p" src/unit/directives.def
}

# Limits and conditions stand in lists of their own form; their names occur all the same.
mapfile -t verbs < <("$BUILD/coppicectl" --help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p')
mapfile -t options < <("$BUILD/coppice" --help | sed -n 's/.*--\([a-z-]*\) .*/-\1/p' | sort -u)
mapfile -t service < <(directives Service)
mapfile -t sockets < <(sed -n 's/^D(Socket, \([A-Za-z0-9]*\), [0-9], HONOURED,.*/\1/p' \
	src/unit/directives.def)
mapfile -t supervisor < <(directives Supervisor)

in_manual "verbs are in coppicectl(1)" man/coppicectl.1 "${verbs[@]}"
in_manual "options are in coppice(8)" man/coppice.8 "${options[@]}"
in_manual "directives are in coppice.service(5)" man/coppice.service.5 "${service[@]}"
in_manual "directives are in coppice.socket(5)" man/coppice.socket.5 "${sockets[@]}"
in_manual "directives are in coppice.supervisor(5)" man/coppice.supervisor.5 "${supervisor[@]}"
echo "1..$count"
test $failures = 0
