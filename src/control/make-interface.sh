#!/bin/sh
# Writes interface.c from the interface definition beside it. A unit test says when it is to be run:
#   src/control/make-interface.sh
set -eu
cd "$(dirname "$0")"
{
	echo '/*'
	echo ' * The text of org.coppice.Control.varlink. Made by make-interface.sh: do not edit.'
	echo ' */'
	echo '#include "control/server.h"'
	echo
	echo '/* clang-format off */'
	echo 'const char control_interface_text[] ='
	# A long line becomes two strings, parted at a blank.
	awk '{
		gsub(/[\\"]/, "\\\\&")
		while (length($0) > 84 && match(substr($0, 1, 84), /.* /)) {
			printf "\t\"%s\"\n", substr($0, 1, RLENGTH)
			$0 = substr($0, RLENGTH + 1)
		}
		printf "\t\"%s\\n\"\n", $0
	}' org.coppice.Control.varlink
	echo '	;'
	echo '/* clang-format on */'
} > interface.c.new
mv interface.c.new interface.c
