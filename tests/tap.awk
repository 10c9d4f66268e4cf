# Reads TAP and prints "passed failed skipped" last. Problems of the protocol itself (a plan that
# does not fit, no plan at all) count as one failure each, because a suite that crashed half-way
# looks like that. Each failure is told with the comment lines below it.
#
# Several plans in one stream are added up: cmocka prints one for each group of tests.
# Variables: status (exit status of the suite), comments=1 (show all comment lines).

function problem(text) {
	failed++
	print "    not ok - " text
}

/^1\.\.[0-9]+/ {
	plans++
	planned += substr($1, 4)
	if (substr($1, 4) == 0) {
		skipped++
		print "    skipped: " substr($0, index($0, "..") + 3)
	}
	telling = 0
	next
}

# cmocka says "not ok N # SKIP name" for a skipped test.
/^(not )?ok / {
	seen++
	telling = 0
	if ($0 ~ /# *[Ss][Kk][Ii][Pp]/) {
		skipped++
		print "    " $0
	} else if ($1 == "ok") {
		passed++
	} else {
		failed++
		telling = 1
		print "    " $0
	}
	next
}

/^Bail out!/ {
	problem($0)
	next
}

/^#/ && (telling || comments) {
	print "    " $0
}

END {
	if (!plans) {
		problem("the suite printed no plan")
	} else if (planned != seen) {
		problem("the plan says " planned " tests, " seen + 0 " were reported")
	}
	if (status != 0 && !failed) {
		problem("the suite ended with status " status (status == 124 ? " (timed out)" : ""))
	}
	printf "%d %d %d\n", passed, failed, skipped
}
