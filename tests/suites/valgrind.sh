#!/bin/bash
# Keeper and manager under valgrind: a tree is started, hurt, asked, reloaded and stopped.
# timeout: 300
set -u
if ! command -v valgrind >/dev/null; then
  echo "1..0 # SKIP valgrind is not installed"
  exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/units" "$dir/run"
export XDG_RUNTIME_DIR=$dir/run
cat >"$dir/units/default.supervisor" <<END
[Supervisor]
Strategy=rest-for-one
Intensity=50
Children=a b pool.supervisor
END
printf '[Supervisor]\nTemplate=w@.service\nChildren=w@1 w@2\n' >"$dir/units/pool.supervisor"
for unit in a b w@; do
  printf '[Service]\nExecStart=%s idle\nExecStopPost=/bin/true\n' "$BUILD/bench/child" \
    >"$dir/units/$unit.service"
done
valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
  --trace-children=yes --trace-children-skip='*/bench/child,/bin/*,/usr/bin/*' \
  --log-file="$dir/valgrind.%p" \
  "$BUILD/coppice" -u "$dir/units" -S "$dir/control" >"$dir/log" 2>&1 &
coppice=$!
ctl() {
  "$BUILD/coppicectl" -S "$dir/control" "$@"
}
end=$((SECONDS + 60))
until ctl wait --for=ready default.supervisor --timeout=60s 2>/dev/null; do
  test $SECONDS -lt $end || break
done
ctl kill -s KILL a
until ctl start w@3 2>/dev/null; do # the pool comes back with the group of `a`
  test $SECONDS -lt $end || break
done
ctl stop w@1 && ctl restart b && ctl list >/dev/null && ctl status >/dev/null &&
  ctl why a >/dev/null && ctl show b >/dev/null && ctl trace >/dev/null
printf 'Description=changed\n' | sed '1i [Unit]' >>"$dir/units/a.service"
ctl daemon-reload >/dev/null
kill -9 "$(ctl --json status 2>/dev/null | jq -r '.manager_pid // empty')" 2>/dev/null
ctl wait --for=ready b --timeout=60s
ctl shutdown
wait $coppice
status=$?
if test $status = 0; then
  echo "ok 1 - the tree ends with 0"
else
  echo "not ok 1 - the tree ends with 0 (was $status)"
  sed 's/^/# /' "$dir/log"
fi
# Lines with == are findings; those with -- name system calls that valgrind does not know.
if ! grep -h "^==" "$dir"/valgrind.* >"$dir/said"; then
  echo "ok 2 - valgrind has nothing to say"
else
  echo "not ok 2 - valgrind has nothing to say"
  head -60 "$dir/said" | sed 's/^/# /'
fi
echo "1..2"
