#!/bin/sh
# Installs what building and testing coppice need, by the system's own package manager.
#
#   packaging/install-deps.sh [--check] [SET...]      sets: build test extra lint (default: build)
#
# What is there already is found by looking for the command or the file itself, so that a machine
# where all of it is installed, from whatever source, is never asked for a password or the network.
# --check only says what is missing. Exit status: 0 all there, 1 something is missing, 2 usage.
# The set `extra` is nice to have: tests that want it are skipped without it, so that where it may
# not be installed, that is said and is no failure.
set -u

# set|what to look for|Debian and Ubuntu|Fedora|Alpine
table='
build|cmd:gcc|gcc|gcc|gcc
build|cmd:make|make|make|make
build|hdr:stdio.h|libc6-dev|glibc-devel|musl-dev
build|hdr:linux/types.h|linux-libc-dev|kernel-headers|linux-headers
build|hdr:ini.h|libinih-dev|inih-devel|inih-dev
build|hdr:jansson.h|libjansson-dev|jansson-devel|jansson-dev
build|hdr:sys/capability.h|libcap-dev|libcap-devel|libcap-dev
build|hdr:seccomp.h|libseccomp-dev|libseccomp-devel|libseccomp-dev
test|hdr:cmocka.h|libcmocka-dev|libcmocka-devel|cmocka-dev
test|cmd:bash|bash|bash|bash
test|cmd:bats|bats|bats|bats
test|file:/usr/lib/bats/bats-support/load.bash|bats-support|bats-support|bats-support
test|file:/usr/lib/bats/bats-assert/load.bash|bats-assert|bats-assert|bats-assert
test|cmd:escript|erlang-base|erlang-erts|erlang
test|cmd:python3|python3|python3|python3
test|cmd:curl|curl|curl|curl
test|cmd:jq|jq|jq|jq
test|cmd:socat|socat|socat|socat
test|cmd:ps|procps|procps-ng|procps-ng
test|cmd:unshare|util-linux|util-linux|util-linux-misc
test|cmd:script|bsdutils|util-linux-script|util-linux-misc
test|cmd:nm|binutils|binutils|binutils
test|cmd:timeout|coreutils|coreutils|coreutils
test|cmd:awk|mawk|gawk|gawk
extra|cmd:nginx|nginx|nginx|nginx
extra|cmd:redis-server|redis-server|redis|redis
extra|cmd:valgrind|valgrind|valgrind|valgrind
extra|cmd:mandoc|mandoc|mandoc|mandoc
extra|cmd:qemu-system-x86_64|qemu-system-x86|qemu-system-x86-core|qemu-system-x86_64
extra|cmd:busybox|busybox-static|busybox|busybox-static
extra|cmd:cpio|cpio|cpio|cpio
lint|cmd:clang-format|clang-format|clang-tools-extra|clang-extra-tools
lint|cmd:clang-tidy|clang-tidy|clang-tools-extra|clang-extra-tools
lint|cmd:mandoc|mandoc|mandoc|mandoc
lint|cmd:shellcheck|shellcheck|ShellCheck|shellcheck
'

say() { printf 'install-deps: %s\n' "$*" >&2; }

usage() {
	say "usage: install-deps.sh [--check] [build] [test] [extra] [lint]"
	exit 2
}

# have PROBE: is it there?
have() {
	case $1 in
	cmd:*)
		# Servers live in sbin, which an ordinary user's PATH may lack.
		PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "${1#cmd:}" >/dev/null 2>&1
		;;
	hdr:*)
		for dir in /usr/include /usr/local/include /usr/include/*-linux-*; do
			test ! -e "$dir/${1#hdr:}" || return 0
		done
		return 1
		;;
	file:*)
		test -e "${1#file:}" || test -e "/usr/local${1#file:/usr}"
		;;
	esac
}

# The words that name our column of the table, or nothing on a system that we do not know.
find_system() {
	if command -v apt-get >/dev/null 2>&1; then
		echo debian
	elif command -v dnf >/dev/null 2>&1; then
		echo fedora
	elif command -v apk >/dev/null 2>&1; then
		echo alpine
	fi
}

# missing SET...: prints "set probe package" for what is not there.
missing() {
	echo "$table" | while IFS='|' read -r set probe debian fedora alpine; do
		case " $* " in
		*" ${set:-none} "*) ;;
		*) continue ;;
		esac
		if ! have "$probe"; then
			case $system in
			fedora) package=$fedora ;;
			alpine) package=$alpine ;;
			*) package=$debian ;;
			esac
			echo "$set ${probe#*:} $package"
		fi
	done
}

# The packages of what missing() printed, each once.
packages_of() {
	echo "$1" | awk '$3 != "" && !seen[$3]++ { printf "%s%s", n++ ? " " : "", $3 }'
}

command_for() {
	case $system in
	debian) echo "apt-get install -y --no-install-recommends $1" ;;
	fedora) echo "dnf install -y --setopt=install_weak_deps=False $1" ;;
	alpine) echo "apk add $1" ;;
	esac
}

# On Debian a server package starts its server. Nobody who runs our tests wants that: the policy
# file, which only exists while we install, says no (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
forbid_servers() {
	if test -e "$policy"; then
		return 0
	fi
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null && $sudo chmod 755 "$policy"
	trap '$sudo rm -f "$policy"' EXIT
	trap 'exit 1' INT TERM HUP
}

# run_install PACKAGES: by the package manager, as root. Word splitting is meant.
run_install() {
	say "installing: $1"
	case $system in
	debian)
		forbid_servers
		# shellcheck disable=SC2046,SC2086
		$sudo env DEBIAN_FRONTEND=noninteractive $(command_for "$1") </dev/null && return 0
		# The lists may be old, or missing on a fresh system.
		$sudo apt-get update </dev/null || return 1
		# shellcheck disable=SC2046,SC2086
		$sudo env DEBIAN_FRONTEND=noninteractive $(command_for "$1") </dev/null
		;;
	*)
		# shellcheck disable=SC2046,SC2086
		$sudo $(command_for "$1") </dev/null
		;;
	esac
}

# Says what is missing and how a person would get it.
explain() {
	echo "$1" | while read -r set probe package; do
		say "missing for $set: $probe (package ${package:-?})"
	done
	list=$(packages_of "$1")
	if test -z "$system"; then
		say "this system's package manager is not known here; on Debian they are: $list"
	elif test "$(id -u)" = 0; then
		say "to install them: $(command_for "$list")"
	else
		say "to install them, as root: $(command_for "$list")"
	fi
}

check_only=no
sets=
for word in "$@"; do
	case $word in
	--check) check_only=yes ;;
	build | test | extra | lint) sets="$sets $word" ;;
	*) usage ;;
	esac
done
sets=${sets:- build}

system=$(find_system)
# shellcheck disable=SC2046,SC2086
lacking=$(missing $sets)
test -n "$lacking" || exit 0

if test $check_only = yes; then
	explain "$lacking"
	exit 1
fi

# May we? As root, or by a sudo that asks for nothing: a build must not stop at a password prompt.
sudo=
allowed=no
if test -n "$system"; then
	if test "$(id -u)" = 0; then
		allowed=yes
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		sudo=sudo
		allowed=yes
	fi
fi

if test $allowed = yes; then
	needed=$(echo "$lacking" | grep -v '^extra ')
	test -z "$needed" || run_install "$(packages_of "$needed")"
	extra=$(echo "$lacking" | grep '^extra ')
	test -z "$extra" || run_install "$(packages_of "$extra")"
	# shellcheck disable=SC2046,SC2086
	lacking=$(missing $sets)
	test -n "$lacking" || exit 0
fi

explain "$lacking"
if echo "$lacking" | grep -qv '^extra '; then
	exit 1
fi
say "the tests that want these are skipped"
exit 0
