#!/bin/bash
# The rules of the house that a machine can check, as TAP. BUILD names the build directory, whose
# objects must be there (`make tidy` sees to that).
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-build}
export LC_ALL=C.UTF-8

# What a room may include and link beside itself. The floors of README.md's map, written out.
allowed_rooms() {
	case $1 in
	base) ;;
	share | unit | service | process | client) echo base ;;
	tree) echo service base ;;
	sandbox) echo process base ;;
	tmpfiles) echo unit base ;;
	control) echo client base ;;
	ctl) echo client unit base ;;
	keeper) echo share base ;;
	manager) echo control client sandbox process tree service unit share base ;;
	esac
}
rooms="base share unit service tree process sandbox tmpfiles client control ctl manager keeper"

# What the pure rooms may import: plain memory and string functions, and those of base that ask the
# system nothing. What the compiler puts in by itself begins with two underscores.
pure_imports='memcpy|memmove|memset|memcmp|memchr|strlen|strcmp|strncmp|strchr|strrchr'
pure_imports+='|check_failed|check_assume_failed|check_assume_fatal|checksum_crc32c'
pure_imports+='|span_[a-z_]*|str_[a-z0-9_]*|signal_name|errno_name|_GLOBAL_OFFSET_TABLE_'
pure_imports+='|__stack_chk_fail|__asan_.*|__ubsan_.*'
# signal.h and errno.h for their numbers; that nothing of them is called, the objects show.
pure_headers='stdbool|stddef|stdint|string|limits|inttypes|signal|errno'

# What takes memory in the C library, or may.
allocating='malloc|calloc|realloc|reallocarray|free|strn?dup|v?asprintf|getline|fopen|fdopen|popen'
allocating+='|opendir|qsort|getaddrinfo|getpw[a-z_]*|printf|v?fprintf|puts|fputs'

function_lines_max=70
file_lines_max=800
columns_max=100
keeper_lines_max=1000

count=0
failures=0

# verdict NAME TEXT: a test passes when nothing was found.
verdict() {
	count=$((count + 1))
	if test -z "$2"; then
		echo "ok $count - $1"
	else
		failures=$((failures + 1))
		echo "not ok $count - $1"
		printf '%s\n' "$2" | head -n 50 | sed 's/^/# /'
	fi
}

c_files() {
	find src include units tests -name '*.[ch]' | sort
}

# Not the bats files: what they expect has the width and the blanks that it has.
script_files() {
	find Makefile .ci packaging tests units -type f \
		\( -name '*.sh' -o -name '*.awk' -o -name run \
		-o -name run-example -o -name prepare -o -name Makefile \) | sort
}

include_edges() {
	local room file line found may
	for room in $rooms; do
		may=" $room $(allowed_rooms "$room") "
		for file in src/"$room"/*.[ch]; do
			test -e "$file" || continue
			while read -r line found; do
				# `coppice/client.h` is the public face of the room `client`.
				test "$found" != coppice || found=client
				case " $rooms " in
				*" $found "*) ;;
				*) continue ;; # the system's
				esac
				case "$may" in
				*" $found "*) ;;
				*) echo "$file:$line: $room may not include $found/" ;;
				esac
			done < <(grep -noE '^ *# *include *["<][a-z]+/' "$file" |
				sed -E 's|:.*["<]([a-z]+)/| \1|')
		done
	done
}

pure_includes() {
	grep -nE '^ *# *include *<' src/tree/*.[ch] src/service/*.[ch] 2>/dev/null |
		grep -vE "<($pure_headers)\.h>|src/tree/print\.c:.*<stdio\.h>" |
		grep -vE 'src/tree/(memory|save)\.c:.*<stdlib\.h>'
}

# imports OBJECT...: "object: symbol" for what neither these objects nor each other define.
imports() {
	local defined
	defined=$(nm -A --defined-only "$@" 2>/dev/null | awk '{ print $NF }' | sort -u)
	nm -A -u "$@" | awk '{ sub(/:.*/, ": " $NF); print }' |
		awk -v defined="$defined" 'BEGIN { n = split(defined, d, "\n")
			for (i = 1; i <= n; i++) { known[d[i]] = 1 } }
			!known[$2]'
}

# Memory is taken where a tree is made or grows (src/tree/memory.c) or loaded (save.c), and text is
# printed for people in print.c; nowhere else.
pure_objects() {
	local objects=("$BUILD"/obj/tree/*.o "$BUILD"/obj/service/*.o)
	if ! test -e "${objects[0]}"; then
		echo "no objects below $BUILD/obj/tree"
		return
	fi
	imports "${objects[@]}" | grep -vE ": ($pure_imports)\$" |
		grep -vE '/tree/(memory|save)\.o: (malloc|calloc|realloc|free)$' |
		grep -vE '/tree/print\.o: (snprintf|vsnprintf|__snprintf_chk|__vsnprintf_chk)$'
}

# After its start the keeper takes no memory, and the C library's streams take some by themselves.
keeper_objects() {
	local objects=("$BUILD"/obj/keeper/*.o)
	test -e "${objects[0]}" || return 0
	nm -A -u "${objects[@]}" "$BUILD"/obj/coppice.o 2>/dev/null | grep -E " U ($allocating)\$"
}

keeper_links() {
	test -e "$BUILD/coppice" || return 0
	readelf -d "$BUILD/coppice" | grep NEEDED |
		grep -vE '\[(libc\.|ld-|libasan|libubsan|libm\.)'
}

# Lines of code: neither blank nor comment alone.
keeper_size() {
	local lines
	lines=$(cat src/keeper/*.[ch] 2>/dev/null | grep -cvE '^[[:blank:]]*($|/\*|\*( |/|$))')
	test "$lines" -lt $keeper_lines_max ||
		echo "src/keeper has $lines lines of code; it is to stay below $keeper_lines_max"
}

# A function goes from the line of its name, at the left margin, to the brace at the left margin.
# A table of cases, one line a cell, is marked "tidy: table" and may be longer.
long_functions() {
	# shellcheck disable=SC2016
	c_files | xargs awk -v max=$function_lines_max '
		FNR == 1 { start = 0; inside = 0; table = 0 }
		/^[a-zA-Z_].*\(/ && !inside { start = FNR; name = $0 }
		/tidy: table/ { table = 1 }
		/^\{/ { inside = 1 }
		/^\}/ {
			if (inside && start && FNR - start + 1 > max && !table) {
				print FILENAME ":" start ": " FNR - start + 1 " lines: " name
			}
			inside = 0; start = 0; table = 0
		}'
}

long_files() {
	c_files | xargs wc -l |
		awk -v max=$file_lines_max '$2 != "total" && $1 > max { print $2 ": " $1 " lines" }'
}

# In columns, as a terminal shows tabs and letters of more than one byte.
long_lines() {
	{ c_files; script_files; } | while read -r file; do
		test "$(wc -L <"$file")" -gt $columns_max || continue
		# A generated file is as wide as what it was made from.
		! head -n 5 "$file" | grep -q 'do not edit' || continue
		expand "$file" | grep -nE "^.{$((columns_max + 1)),}" | cut -d : -f 1 |
			sed "s|^|$file:|"
	done
}

blanks() {
	{ c_files; script_files; } | xargs grep -snE '[[:blank:]]+$' | cut -c 1-120
}

conditionals() {
	grep -nE '^ *# *(if|ifdef|ifndef|elif)\b' src/*.c src/*/*.[ch] 2>/dev/null |
		grep -vE '^src/base/compat\.h:|# *ifndef [A-Z]+_[A-Z_]+_H$'
}

example_alone() {
	grep -nE '^ *# *include *"' units/gateway/*.[ch] | grep -v '"http\.h"'
}

verdict "a room includes only rooms below it" "$(include_edges)"
verdict "tree and service include no system header" "$(pure_includes)"
verdict "tree and service import nothing that asks the system" "$(pure_objects)"
verdict "the keeper takes no memory" "$(keeper_objects)"
verdict "the keeper links the C library alone" "$(keeper_links)"
verdict "the keeper is below $keeper_lines_max lines of code" "$(keeper_size)"
verdict "no function is longer than $function_lines_max lines" "$(long_functions)"
verdict "no file is longer than $file_lines_max lines" "$(long_files)"
verdict "no line is wider than $columns_max columns" "$(long_lines)"
verdict "no line ends in blanks" "$(blanks)"
verdict "no conditional compilation outside base/compat.h" "$(conditionals)"
verdict "the gateway example stands alone" "$(example_alone)"
echo "1..$count"
test $failures = 0
