#!/bin/sh
# Formatting, man pages and shell scripts.
exec "$(dirname "$0")/../lint.sh"
