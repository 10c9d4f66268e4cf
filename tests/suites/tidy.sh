#!/bin/sh
# The rules of the house.
exec "$(dirname "$0")/../tidy.sh"
