/* What test_output.c pins: how it is shown, the command line, the exit status, the text. */
/* clang-format off */
{&wide, "tree", 0,
		"UNIT                    STATE     PID       UP  RESTARTS"
		"  REMARK\n"
		"edge.supervisor         running     -  2h 3min         0"
		"  rest-for-one 1/3 in 5s\n"
		"├─ redis.service        running  4711  2h 3min         0\n"
		"├─ gateway.service      running  4799    950ms        12"
		"  not ready, exit:3\n"
		"├─ pool.supervisor      running     -  2h 3min         0"
		"  one-for-one 0/1 in 5s\n"
		"│  ├─ worker@1.service  waiting     -        -         4"
		"  signal:SEGV\n"
		"│  └─ worker@2.service  failed      -        -         1"
		"  exec:ENOENT (/usr/bin…\n"
		"└─ report.service       stopped     -        -         0"
		"  held, stopped\n"},
{&narrow, "tree", 0,
		"UNIT              STATE     PID       UP  RESTARTS\n"
		"edge.supervisor   running     -  2h 3min         0\n"
		"├─ redis.service  running  4711  2h 3min         0\n"
		"├─ gateway.serv…  running  4799    950ms        12\n"
		"├─ pool.supervi…  running     -  2h 3min         0\n"
		"│  ├─ worker@1.…  waiting     -        -         4\n"
		"│  └─ worker@2.…  failed      -        -         1\n"
		"└─ report.servi…  stopped     -        -         0\n"},
{&ascii, "tree", 0,
		"UNIT                    STATE     PID       UP  RESTARTS"
		"  REMARK\n"
		"edge.supervisor         running     -  2h 3min         0"
		"  rest-for-one 1/3 in 5s\n"
		"|- redis.service        running  4711  2h 3min         0\n"
		"|- gateway.service      running  4799    950ms        12"
		"  not ready, exit:3\n"
		"|- pool.supervisor      running     -  2h 3min         0"
		"  one-for-one 0/1 in 5s\n"
		"|  |- worker@1.service  waiting     -        -         4"
		"  signal:SEGV\n"
		"|  `- worker@2.service  failed      -        -         1"
		"  exec:ENOENT (/usr/bin~\n"
		"`- report.service       stopped     -        -         0"
		"  held, stopped\n"},
{&coloured, "tree", 0,
		"\033[1mUNIT                  \033[0m  \033[1mSTATE  \033[0m  \033[1m PI"
		"D\033[0m  \033[1m     UP\033[0m  \033[1mRESTARTS\033[0m  \033[1mREMARK\033[0m\n"
		"edge.supervisor         \033[33mrunning\033[0m     -  2h 3min "
		"        0  rest-for-one 1/3 in 5s\n"
		"├─ redis.service        \033[32mrunning\033[0m  4711  2h 3min "
		"        0\n"
		"├─ gateway.service      \033[33mrunning\033[0m  4799    950ms "
		"       12  not ready, exit:3\n"
		"├─ pool.supervisor      \033[33mrunning\033[0m     -  2h 3min "
		"        0  one-for-one 0/1 in 5s\n"
		"│  ├─ worker@1.service  \033[33mwaiting\033[0m     -        - "
		"        4  signal:SEGV\n"
		"│  └─ worker@2.service  \033[1;31mfailed \033[0m     -        "
		"-         1  exec:ENOENT (/usr/bin…\n"
		"└─ report.service       \033[2mstopped\033[0m     -        -  "
		"       0  held, stopped\n"},
{&pipe_ascii, "tree", 0,
		"edge.supervisor         running     -  2h 3min   0  rest"
		"-for-one 1/3 in 5s\n"
		"|- redis.service        running  4711  2h 3min   0\n"
		"|- gateway.service      running  4799    950ms  12  not "
		"ready, exit:3\n"
		"|- pool.supervisor      running     -  2h 3min   0  one-"
		"for-one 0/1 in 5s\n"
		"|  |- worker@1.service  waiting     -        -   4  sign"
		"al:SEGV\n"
		"|  `- worker@2.service  failed      -        -   1  exec"
		":ENOENT (/usr/bin/worker)\n"
		"`- report.service       stopped     -        -   0  held"
		", stopped\n"},
{&wide, "list", 0,
		"UNIT              STATE           READY   PID  RESTARTS "
		" SINCE\n"
		"edge.supervisor   running         no        -         0 "
		" 2026-01-02\n"
		"redis.service     running         yes    4711         0 "
		" 2026-01-02\n"
		"gateway.service   running         no     4799        12 "
		" 2026-01-02\n"
		"pool.supervisor   running         no        -         0 "
		" 2026-01-02\n"
		"worker@1.service  waiting         no        -         4 "
		" 2026-01-02\n"
		"worker@2.service  failed          no        -         1 "
		" 2026-01-02\n"
		"report.service    stopped (held)  no        -         0 "
		" 2026-01-02\n"},
{&pipe_ascii, "list", 0,
		"edge.supervisor   running         no      -   0  2026-01"
		"-02T03:04:05.678Z  -\n"
		"redis.service     running         yes  4711   0  2026-01"
		"-02T03:04:05.678Z  -\n"
		"gateway.service   running         no   4799  12  2026-01"
		"-02T03:04:05.678Z  exit:3\n"
		"pool.supervisor   running         no      -   0  2026-01"
		"-02T03:04:05.678Z  -\n"
		"worker@1.service  waiting         no      -   4  2026-01"
		"-02T03:04:05.678Z  signal:SEGV\n"
		"worker@2.service  failed          no      -   1  2026-01"
		"-02T03:04:05.678Z  exec:ENOENT (/usr/bin/worker)\n"
		"report.service    stopped (held)  no      -   0  2026-01"
		"-02T03:04:05.678Z  stopped\n"},
{&wide, "status", 0,
		"coppice 0.1.0: edge.supervisor running, up 2h 3min\n"
		"7 units: 4 running, 1 waiting, 1 failed, 1 stopped\n"
		"keeper 1, manager 12 (start 2); 17 deaths seen, 3 orphan"
		"s reaped\n"
		"\n"
		"UNIT                    STATE     PID       UP  RESTARTS"
		"  REMARK\n"
		"edge.supervisor         running     -  2h 3min         0"
		"  rest-for-one 1/3 in 5s\n"
		"├─ redis.service        running  4711  2h 3min         0\n"
		"├─ gateway.service      running  4799    950ms        12"
		"  not ready, exit:3\n"
		"├─ pool.supervisor      running     -  2h 3min         0"
		"  one-for-one 0/1 in 5s\n"
		"│  ├─ worker@1.service  waiting     -        -         4"
		"  signal:SEGV\n"
		"│  └─ worker@2.service  failed      -        -         1"
		"  exec:ENOENT (/usr/bin…\n"
		"└─ report.service       stopped     -        -         0"
		"  held, stopped\n"},
{&wide, "status gateway", 0,
		"● gateway.service - Edge ?[31mgateway\n"
		"     State: running (up), not ready\n"
		"    Parent: edge.supervisor\n"
		"  Main PID: 4799\n"
		"  Restarts: 12\n"
		" Last exit: exit:3\n"
		"    Status: 3 clients\n"
		"       Why: It runs.\n"
		"            It waits for READY=1.\n"},
{&pipe_ascii, "status pool.supervisor", 3,
		"* pool.supervisor\n"
		"     State: stopped, held by hand\n"
		"    Parent: edge.supervisor\n"
		"  Strategy: one-for-one, 0 of 1 restarts in 5s\n"
		"  Restarts: 0\n"
		"       Why: It runs.\n"
		"            It waits for READY=1.\n"},
{&wide, "why gateway", 0,
		"It runs.\n"
		"It waits for READY=1.\n"},
{&wide, "show a", 0,
		"Id=a.service\n"
		"pid=7\n"},
{&wide, "show a -p PID", 0,
		"pid=7\n"},
{&wide, "show a -p nope", 1,
		""},
{&pipe_ascii, "show a -p pid --json", 0,
		"{\"pid\":\"7\"}\n"},
{&wide, "cat a", 0,
		"# /u/a.service\n"
		"[Service]\n"
		"ExecStart=/a\n"
		"\n"
		"# /u/a.service.d/b.conf\n"
		"[Service]\n"
		"Nice=1\n"},
{&wide, "trace", 0,
		"1 boot\n"
		"2 spawn\n"},
{&wide, "count", 0,
		"specs=4\n"
		"active=3\n"
		"supervisors=1\n"
		"workers=3\n"},
{&pipe_ascii, "count --json", 0,
		"{\"specs\":4,\"active\":3,\"supervisors\":1,\"workers\":3}\n"},
{&wide, "daemon-reload", 0,
		"restart a.service\n"},
{&pipe_ascii, "watch", 6,
		"03:04:05.678 exited a.service 7 exit:3\n"
		"03:04:06.000 reloaded a.service - - 2 changes?\n"},
{&wide, "watch", 6,
		"03:04:05.678 exited       a.service 7 exit:3\n"
		"03:04:06.000 reloaded     a.service - - 2 changes?\n"},
{&pipe_ascii, "watch --json", 6,
		"{\"event\":\"subscribed\"}\n"
		"{\"time\":\"2026-01-02T03:04:05.678+01:00\",\"event\":\"exited\""
		",\"unit\":\"a.service\",\"pid\":7,\"reason\":\"exit:3\"}\n"
		"{\"time\":\"2026-01-02T03:04:06Z\",\"event\":\"reloaded\",\"unit\""
		":\"a.service\",\"pid\":0,\"reason\":null,\"text\":\"2 changes\\n\"}\n"},
	/* clang-format on */
