# The test runner itself: a suite that breaks must count as failed.
load common

setup() {
	mkdir -p "$BATS_TEST_TMPDIR/t/tests/suites" "$BATS_TEST_TMPDIR/build"
	cp "$top/tests/run" "$top/tests/tap.awk" "$BATS_TEST_TMPDIR/t/tests/"
}

# suite BODY: a project with one suite, run; its output is in $output.
suite() {
	printf '#!/bin/sh\n%s\n' "$1" >"$BATS_TEST_TMPDIR/t/tests/suites/one.sh"
	chmod +x "$BATS_TEST_TMPDIR/t/tests/suites/one.sh"
	BUILD=$BATS_TEST_TMPDIR/build run "$BATS_TEST_TMPDIR/t/tests/run"
}

@test "passed tests are counted" {
	suite 'echo 1..2; echo "ok 1 - a"; echo "ok 2 - b"'
	assert_success
	assert_line --index -1 "2 passed, 0 failed"
}

@test "a failed test is told with its comments" {
	suite 'echo "ok 1 - a"; echo "not ok 2 - b"; echo "# because"; echo 1..2; exit 1'
	assert_failure 1
	assert_line --partial "not ok 2 - b"
	assert_line --partial "# because"
	assert_line --index -1 "1 passed, 1 failed"
}

@test "several plans are added up, and cmocka's form of a skip is known" {
	suite 'echo 1..2; echo "ok 1 - a"; echo "not ok 2 # SKIP b"; echo 1..1; echo "ok 1 - c"'
	assert_success
	assert_line --index -1 "2 passed, 0 failed, 1 skipped"
}

@test "a suite that is skipped as a whole is counted as such" {
	suite 'echo "1..0 # SKIP no erlang here"'
	assert_success
	assert_line --partial "no erlang here"
	assert_line --index -1 "0 passed, 0 failed, 1 skipped"
}

@test "a crash half-way is a failure" {
	suite 'echo 1..3; echo "ok 1 - a"; kill -SEGV $$'
	assert_failure 1
	assert_line --partial "the plan says 3 tests, 1 were reported"
	assert_line --index -1 "1 passed, 1 failed"
}

@test "a crash at the end is a failure" {
	suite 'echo 1..1; echo "ok 1 - a"; exit 3'
	assert_failure 1
	assert_line --partial "ended with status 3"
	assert_line --index -1 "1 passed, 1 failed"
}

@test "silence is a failure" {
	suite 'exit 0'
	assert_failure 1
	assert_line --partial "no plan"
}

@test "a suite that hangs is ended" {
	suite '# timeout: 1
echo 1..2; echo "ok 1 - a"; exec sleep 60'
	assert_failure 1
	assert_line --index -1 "1 passed, 1 failed"
}

@test "a pattern without a suite is a failure" {
	suite 'echo 1..1; echo "ok 1 - a"'
	BUILD=$BATS_TEST_TMPDIR/build run "$BATS_TEST_TMPDIR/t/tests/run" 'nothing*'
	assert_failure 1
	assert_line --index -1 "0 passed, 1 failed"
}
