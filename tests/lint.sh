#!/bin/bash
# Formatting, man pages, shell scripts, and with --deep clang-tidy, as TAP. A tool that is not
# installed is a skipped test: what must hold everywhere is held by tests/tidy.sh, which needs none.
# CPPFLAGS are those of the build (for clang-tidy).
set -u
cd "$(dirname "$0")/.." || exit 2
count=0
failures=0

# check NAME TOOL COMMAND...: passes when the command is content.
check() {
	local name=$1 tool=$2 output
	shift 2
	count=$((count + 1))
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "ok $count - $name # SKIP $tool is not installed"
	elif output=$("$@" 2>&1); then
		echo "ok $count - $name"
	else
		failures=$((failures + 1))
		echo "not ok $count - $name"
		printf '%s\n' "$output" | head -n 60 | sed 's/^/# /'
	fi
}

mapfile -t sources < <(find src include units tests -name '*.[ch]' | sort)
mapfile -t compiled < <(find src units -name '*.c' | sort)
mapfile -t pages < <(find man -name '*.[1-8]' | sort)
mapfile -t scripts < <(find .ci packaging tests units src -type f -exec grep -lE \
	'^#!/bin/(ba|da)?sh' {} + | sort)

format() {
	# Other versions lay out some lines in another way.
	case $(clang-format --version) in
	*version\ 14.*) ;;
	*) return 0 ;;
	esac
	clang-format --dry-run -Werror "${sources[@]}" 2>&1 |
		sed -n 's/^\([^: ]*:[0-9]*\):[0-9]*: error:.*/\1/p' | sort -u | grep . && return 1
	return 0
}

export FLAGS=${CPPFLAGS:--Isrc -Iinclude -D_GNU_SOURCE}
tidy() {
	local found
	# shellcheck disable=SC2016
	found=$(printf '%s\0' "${compiled[@]}" | xargs -0 -n 4 -P "$(nproc)" sh -c \
		'eval "exec clang-tidy --quiet \"\$@\" -- -std=c17 $FLAGS"' sh 2>/dev/null |
		grep -E 'warning:|error:' | sort -u)
	test -z "$found" || echo "$found"
	test -z "$found"
}

check "sources are formatted" clang-format format
check "man pages are clean" mandoc mandoc -T lint -W warning "${pages[@]}"
check "shell scripts are clean" shellcheck shellcheck -x "${scripts[@]}"
if test "${1:-}" = --deep; then
	check "clang-tidy is content" clang-tidy tidy
fi
echo "1..$count"
test $failures = 0
