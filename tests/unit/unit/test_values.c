/* Relations, directories, health, resources and the rest: what the fields say. */
#include <netinet/in.h>
#include <signal.h>

#include "unit/unit/one.h"

/* --- [Unit] and [Install] --- */

static void test_relations(void **state)
{
	static const struct {
		const char *section, *key;
		enum unit_relation relation;
	} keys[] = {
		{"Unit", "After", UNIT_AFTER},
		{"Unit", "Before", UNIT_BEFORE},
		{"Unit", "Requires", UNIT_REQUIRES},
		{"Unit", "Requisite", UNIT_REQUISITE},
		{"Unit", "Wants", UNIT_WANTS},
		{"Unit", "BindsTo", UNIT_BINDS_TO},
		{"Unit", "PartOf", UNIT_PART_OF},
		{"Unit", "Conflicts", UNIT_CONFLICTS},
		{"Unit", "Upholds", UNIT_UPHOLDS},
		{"Unit", "OnFailure", UNIT_ON_FAILURE},
		{"Unit", "OnSuccess", UNIT_ON_SUCCESS},
		{"Unit", "PropagatesReloadTo", UNIT_PROPAGATES_RELOAD_TO},
		{"Unit", "ReloadPropagatedFrom", UNIT_RELOAD_PROPAGATED_FROM},
		{"Unit", "PropagatesStopTo", UNIT_PROPAGATES_STOP_TO},
		{"Unit", "StopPropagatedFrom", UNIT_STOP_PROPAGATED_FROM},
		{"Install", "WantedBy", UNIT_WANTED_BY},
		{"Install", "RequiredBy", UNIT_REQUIRED_BY},
		{"Unit", "BindTo", UNIT_BINDS_TO},
		{"Unit", "PropagateReloadTo", UNIT_PROPAGATES_RELOAD_TO},
		{"Unit", "PropagateReloadFrom", UNIT_RELOAD_PROPAGATED_FROM},
		{"Unit", "RequiresOverridable", UNIT_REQUIRES},
		{"Unit", "RequisiteOverridable", UNIT_REQUISITE},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct one one;
		char text[512];
		char buf[2048];
		/* Names are whole, and each is there once. */
		snprintf(text, sizeof(text),
			"[%s]\n%s=x b.target x.service dev-a\\x2db.device\n%s=y@%%N b.target\n"
			"[Service]\nExecStart=/a\n",
			keys[i].section, keys[i].key, keys[i].key);
		one_read(&one, "/e", "a.service", text, NULL);
		assert_non_null(one.unit);
		for (int j = 0; j < UNIT_RELATIONS; j++) {
			assert_string_equal(one_join(buf, one.unit->relations[j]),
				j == (int)keys[i].relation
					? "|x.service|b.target|dev-a\\x2db.device|y@a.service"
					: "");
		}
		one_end(&one);
		snprintf(text, sizeof(text), "[%s]\n%s=x\n%s=\n[Service]\nExecStart=/a\n",
			keys[i].section, keys[i].key, keys[i].key);
		one_read(&one, "/e", "a.service", text, NULL);
		assert_null(one.unit->relations[keys[i].relation]);
		one_end(&one);
	}
}

static void test_relations_of_nobody(void **state)
{
	struct one one;
	(void)state;
	one_service(&one, "");
	/* The array is the same for all of them. */
	assert_ptr_equal(one.unit->relations, one.set->list[0]->relations);
	one_end(&one);
	one_read(&one, "/s", "a.service", "[Unit]\nAfter=a b/c d\n[Service]\nExecStart=/a\n", NULL);
	char buf[2048];
	assert_string_equal(one_join(buf, one.unit->relations[UNIT_AFTER]), "|a.service|d.service");
	one_end(&one);
}

static void test_actions(void **state)
{
	struct one one;
	(void)state;
	one_read(&one, "/e", "a.service",
		"[Unit]\nFailureAction=reboot-force\nSuccessAction=exit\nStartLimitAction="
		"poweroff\n"
		"FailureActionExitStatus=7\nRefuseManualStart=yes\nStartLimitIntervalSec=1min\n"
		"StartLimitBurst=3\n[Service]\nExecStart=/a\n",
		NULL);
	assert_int_equal(one.unit->failure_action, UNIT_ACTION_REBOOT_FORCE);
	assert_int_equal(one.unit->success_action, UNIT_ACTION_EXIT);
	assert_int_equal(one.unit->start_limit_action, UNIT_ACTION_POWEROFF);
	assert_int_equal(one.unit->failure_action_status, 7);
	assert_int_equal(one.unit->success_action_status, -1);
	assert_true(one.unit->refuse_start && !one.unit->refuse_stop);
	assert_true(one.unit->start_limit_set);
	assert_int_equal(one.unit->start_limit_interval_ns, 60 * NS_PER_SEC);
	assert_int_equal(one.unit->start_limit_burst, 3);
	one_end(&one);
	/* The old places, and what is not said. */
	one_service(&one, "StartLimitInterval=2s\nStartLimitAction=reboot\n"
			  "FailureAction=poweroff-immediate\n");
	assert_int_equal(one.unit->start_limit_interval_ns, 2 * NS_PER_SEC);
	assert_int_equal(one.unit->start_limit_burst, 5);
	assert_true(one.unit->start_limit_set);
	assert_int_equal(one.unit->start_limit_action, UNIT_ACTION_REBOOT);
	assert_int_equal(one.unit->failure_action, UNIT_ACTION_POWEROFF_IMMEDIATE);
	assert_int_equal(one.unit->failure_action_status, -1);
	one_end(&one);
	one_service(&one, "");
	assert_false(one.unit->start_limit_set);
	assert_int_equal(one.unit->start_limit_interval_ns, 10 * NS_PER_SEC);
	one_end(&one);
	one_read(&one, "/e", "a.service",
		"[Unit]\nFailureAction=kexec\nRefuseManualStop=1\n[Service]\nExecStart=/a\n", NULL);
	assert_int_equal(one.unit->failure_action, UNIT_ACTION_REBOOT);
	assert_true(one_says(&one, UNIT_WARNING, "\"kexec\" is taken for reboot"));
	assert_true(one.unit->refuse_stop);
	one_end(&one);
}

static void test_target(void **state)
{
	struct one one;
	(void)state;
	one_read(&one, "/e", "a.target", "[Unit]\nDescription=x\nWants=b.service\n", NULL);
	assert_non_null(one.unit);
	assert_int_equal(one.unit->kind, UNIT_TARGET);
	assert_non_null(one.unit->supervisor);
	assert_int_equal(one.unit->supervisor->strategy, 0);
	assert_string_equal(one.unit->relations[UNIT_WANTS][0], "b.service");
	one_end(&one);
}

/* --- directories --- */

static void test_directories(void **state)
{
	static const char *const kinds[UNIT_DIRECTORIES] = {
		"Runtime", "State", "Cache", "Logs", "Configuration"};
	(void)state;
	for (int i = 0; i < UNIT_DIRECTORIES; i++) {
		struct one one;
		char lines[512];
		char buf[2048];
		snprintf(lines, sizeof(lines),
			"%sDirectory=x y/z:l\n%sDirectory=%%N\n"
			"%sDirectoryMode=2750\n",
			kinds[i], kinds[i], kinds[i]);
		const struct unit_service *service = one_service(&one, lines);
		for (int j = 0; j < UNIT_DIRECTORIES; j++) {
			assert_string_equal(one_join(buf, service->directories[j].names),
				i == j ? "|x|y/z:l|a" : "");
			assert_int_equal(service->directories[j].mode, i == j ? 02750 : 0755);
		}
		one_end(&one);
		snprintf(lines, sizeof(lines),
			"%sDirectory=x\n%sDirectory=\n%sDirectoryMode=0700\n%sDirectoryMode=\n",
			kinds[i], kinds[i], kinds[i], kinds[i]);
		service = one_service(&one, lines);
		assert_null(service->directories[i].names);
		assert_int_equal(service->directories[i].mode, 0755);
		one_end(&one);
	}
}

static void test_preserve(void **state)
{
	static const struct {
		const char *word;
		enum unit_preserve preserve;
	} words[] = {{"no", UNIT_PRESERVE_NO}, {"yes", UNIT_PRESERVE_YES},
		{"restart", UNIT_PRESERVE_RESTART}};
	struct one one;
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char lines[256];
		snprintf(lines, sizeof(lines),
			"RuntimeDirectoryPreserve=%s\nFileDescriptorStorePreserve=%s\n",
			words[i].word, words[i].word);
		const struct unit_service *service = one_service(&one, lines);
		assert_int_equal(service->runtime_directory_preserve, words[i].preserve);
		assert_int_equal(service->fd_store_preserve, words[i].preserve);
		one_end(&one);
	}
	const struct unit_service *service = one_service(&one, "");
	assert_int_equal(service->runtime_directory_preserve, UNIT_PRESERVE_NO);
	assert_int_equal(service->fd_store_preserve, UNIT_PRESERVE_RESTART);
	one_end(&one);
}

/* --- [Health] --- */

static void test_health(void **state)
{
	struct one one;
	(void)state;
	const struct unit_health *health = &one_service(&one,
		"[Health]\nHttp=http://localhost:8080/healthz?x=1\nIntervalSec=5s\nTimeoutSec=1s\n"
		"Retries=5\nStartPeriodSec=10s\n")
						    ->health;
	assert_int_equal(health->kind, UNIT_HEALTH_HTTP);
	assert_string_equal(health->host, "localhost");
	assert_int_equal(health->port, 8080);
	assert_string_equal(health->path, "/healthz?x=1");
	assert_int_equal(health->interval_ns, 5 * NS_PER_SEC);
	assert_int_equal(health->timeout_ns, NS_PER_SEC);
	assert_int_equal(health->start_period_ns, 10 * NS_PER_SEC);
	assert_int_equal(health->retries, 5);
	one_end(&one);
	health = &one_service(&one, "[Health]\nHttp=http://[::1]\n")->health;
	assert_string_equal(health->host, "::1");
	assert_int_equal(health->port, 80);
	assert_string_equal(health->path, "/");
	assert_int_equal(health->interval_ns, 10 * NS_PER_SEC);
	assert_int_equal(health->timeout_ns, 2 * NS_PER_SEC);
	assert_int_equal(health->start_period_ns, 0);
	assert_int_equal(health->retries, 3);
	one_end(&one);
	health = &one_service(&one, "[Health]\nTcp=127.0.0.1:6379\n")->health;
	assert_int_equal(health->kind, UNIT_HEALTH_TCP);
	assert_string_equal(health->host, "127.0.0.1");
	assert_int_equal(health->port, 6379);
	one_end(&one);
	health = &one_service(&one, "[Health]\nTcp=%t/x\n")->health;
	assert_null(health->host);
	assert_string_equal(health->path, "/run/x");
	one_end(&one);
	health = &one_service(&one, "[Health]\nExec=-/bin/probe \"a b\"\n")->health;
	assert_int_equal(health->kind, UNIT_HEALTH_EXEC);
	assert_string_equal(health->command->path, "/bin/probe");
	assert_string_equal(health->command->argv[1], "a b");
	one_end(&one);
	/* A drop-in may put another in its place. */
	health = &one_service(&one, "[Health]\nTcp=a:1\nTcp=\nExec=/b\n")->health;
	assert_int_equal(health->kind, UNIT_HEALTH_EXEC);
	one_end(&one);
	assert_int_equal(one_service(&one, "")->health.kind, UNIT_HEALTH_NONE);
	one_end(&one);
	one_service(&one, "[Health]\nRetries=2\n");
	assert_true(one_says(&one, UNIT_WARNING, "[Health] has no effect without one of"));
	one_end(&one);
}

/* --- resources --- */

static void check_cgroup(const char *lines, const char *expected)
{
	struct one one;
	char text[1024] = "";
	size_t length = 0;
	const struct unit_service *service = one_service(&one, lines);
	for (uint32_t i = 0; i < service->cgroup_count; i++) {
		const struct unit_cgroup_setting *setting = &service->cgroup[i];
		length += (size_t)snprintf(
			text + length, sizeof(text) - length, "|%s ", setting->file);
		length +=
			(size_t)(setting->relative ? snprintf(text + length, sizeof(text) - length,
							     "%u%%", setting->percent_100)
						   : snprintf(text + length, sizeof(text) - length,
							     "%s", setting->value));
	}
	assert_string_equal(text, expected);
	one_end(&one);
}

static void test_cgroup(void **state)
{
	(void)state;
	check_cgroup("MemoryMax=512M\nMemoryHigh=1G\nMemoryLow=0\nMemoryMin=1K\n"
		     "MemorySwapMax=infinity\nMemoryZSwapMax=2\n",
		"|memory.max 536870912|memory.high 1073741824|memory.low 0|memory.min 1024"
		"|memory.swap.max max|memory.zswap.max 2");
	check_cgroup("MemoryLimit=1M\nMemoryMax=12.5%\n", "|memory.max 1250%");
	check_cgroup("TasksMax=100\n", "|pids.max 100");
	check_cgroup("TasksMax=33%\n", "|pids.max 3300%");
	check_cgroup("TasksMax=5\nTasksMax=infinity\n", "|pids.max max");
	check_cgroup("MemoryMax=1\nTasksMax=1\nMemoryMax=\n", "|pids.max 1");
	check_cgroup("CPUWeight=50\nIOWeight=200\n", "|cpu.weight 50|io.weight default 200");
	check_cgroup("CPUShares=2048\nBlockIOWeight=250\n", "|cpu.weight 200|io.weight default 50");
	check_cgroup("CPUShares=2\n", "|cpu.weight 1");
	check_cgroup("CPUWeight=50\nCPUWeight=idle\n", "|cpu.idle 1");
	check_cgroup("CPUWeight=idle\nCPUWeight=60\n", "|cpu.weight 60");
	check_cgroup("CPUQuota=20%\n", "|cpu.max 20000 100000");
	check_cgroup("CPUQuota=150%\nCPUQuotaPeriodSec=10ms\n", "|cpu.max 15000 10000");
	check_cgroup("CPUQuota=1%\nCPUQuotaPeriodSec=1us\n", "|cpu.max 1000 1000");
	check_cgroup("CPUQuota=20%\nCPUQuota=\nCPUQuotaPeriodSec=10ms\n", "");
	check_cgroup(
		"AllowedCPUs=0-3 5\nAllowedMemoryNodes=0\n", "|cpuset.cpus 0-3,5|cpuset.mems 0");
	check_cgroup("IOReadBandwidthMax=/dev/a 5M\nIOWriteBandwidthMax=/dev/a 1K\n"
		     "IOReadIOPSMax=/dev/a 7\nIOWriteIOPSMax=/dev/b infinity\n"
		     "IOReadBandwidthMax=/dev/a 6M\n",
		"|io.max /dev/a wbps=1000|io.max /dev/a riops=7|io.max /dev/b wiops=max"
		"|io.max /dev/a rbps=6000000");
	check_cgroup("IODeviceWeight=/dev/a 10\nIOWeight=20\nIODeviceWeight=/dev/a 30\n",
		"|io.weight default 20|io.weight /dev/a 30");
	check_cgroup("BlockIODeviceWeight=/dev/a 500\nBlockIOReadBandwidth=/d 1K\n",
		"|io.weight /dev/a 100|io.max /d rbps=1000");
	check_cgroup("IODeviceLatencyTargetSec=/dev/a 25ms\n", "|io.latency /dev/a target=25000");
	/* Many settings, and one in the middle that goes away. */
	check_cgroup("MemoryMax=1\nMemoryHigh=2\nMemoryLow=3\nMemoryMin=4\nTasksMax=5\n"
		     "MemoryHigh=\nMemorySwapMax=6\nCPUWeight=7\n",
		"|memory.max 1|memory.low 3|memory.min 4|pids.max 5|memory.swap.max 6"
		"|cpu.weight 7");
}

static void test_delegate(void **state)
{
	struct one one;
	(void)state;
	assert_false(one_service(&one, "")->delegate);
	one_end(&one);
	const struct unit_service *service = one_service(&one, "Delegate=cpu pids\n");
	assert_true(service->delegate);
	assert_int_equal(service->oom_policy, UNIT_OOM_CONTINUE);
	one_end(&one);
	service = one_service(&one, "Delegate=yes\nOOMPolicy=kill\n");
	assert_int_equal(service->oom_policy, UNIT_OOM_KILL);
	one_end(&one);
	service = one_service(&one, "Delegate=yes\nDelegate=no\n");
	assert_false(service->delegate);
	assert_int_equal(service->oom_policy, UNIT_OOM_STOP);
	one_end(&one);
}

/* --- the service itself --- */

static void test_ends(void **state)
{
	struct one one;
	(void)state;
	const struct unit_service *service = one_service(&one,
		"RestartPreventExitStatus=255 SIGKILL\nRestartForceExitStatus=1 CONFIG\n"
		"RestartKillSignal=SIGINT\nWatchdogSignal=SIGQUIT\nTimeoutAbortSec=7s\n"
		"TimeoutStopSec=3s\nTimeoutStartFailureMode=kill\nTimeoutStopFailureMode=abort\n"
		"RestartMode=direct\nExitType=cgroup\nRuntimeRandomizedExtraSec=4s\n");
	assert_int_equal(service->restart_prevent.statuses[7], UINT32_C(1) << 31);
	assert_int_equal(service->restart_prevent.signals, UINT64_C(1) << SIGKILL);
	assert_int_equal(service->restart_force.statuses[0], 2);
	assert_int_equal(service->restart_force.statuses[78 / 32], 1 << 78 % 32);
	assert_int_equal(service->restart_kill_signal, SIGINT);
	assert_int_equal(service->watchdog_signal, SIGQUIT);
	assert_int_equal(service->abort_timeout_ns, 7 * NS_PER_SEC);
	assert_int_equal(service->start_failure_mode, UNIT_FAILURE_KILL);
	assert_int_equal(service->stop_failure_mode, UNIT_FAILURE_ABORT);
	assert_int_equal(service->restart_mode, UNIT_RESTART_DIRECT);
	assert_true(service->exit_by_cgroup);
	assert_int_equal(service->runtime_extra_ns, 4 * NS_PER_SEC);
	one_end(&one);
	service = one_service(&one, "TimeoutStopSec=3s\n");
	assert_int_equal(service->abort_timeout_ns, 3 * NS_PER_SEC);
	assert_int_equal(service->restart_kill_signal, 0);
	assert_int_equal(service->watchdog_signal, SIGABRT);
	one_end(&one);
}

static void test_descriptors(void **state)
{
	struct one one;
	char buf[2048];
	(void)state;
	const struct unit_service *service = one_service(&one,
		"Sockets=a.socket %p-x.socket\nSockets=c.socket\nFileDescriptorStoreMax=5\n"
		"NonBlocking=yes\n");
	assert_string_equal(one_join(buf, service->sockets), "|a.socket|a-x.socket|c.socket");
	assert_int_equal(service->fd_store_max, 5);
	assert_true(service->non_blocking);
	one_end(&one);
}

static void test_streams(void **state)
{
	struct one one;
	char buf[2048];
	(void)state;
	const struct unit_service *service = one_service(&one,
		"StandardInputText=old\nStandardInputText=\nStandardInputText=%N \\x41\\tB\n"
		"StandardInputData=AAEC /w==\nStandardInputText=end\n");
	static const char input[] = "a A\tB\n\0\1\2\377end\n";
	assert_int_equal(service->input_size, sizeof(input) - 1);
	assert_memory_equal(service->input, input, sizeof(input) - 1);
	one_end(&one);
	service = one_service(&one,
		"OpenFile=/a/b\nOpenFile=/c:name:read-only,graceful\nSyslogIdentifier=%p-x\n"
		"SyslogLevel=err\nLogLevelMax=4\nSyslogFacility=local0\nSyslogLevelPrefix=no\n");
	assert_string_equal(
		one_join(buf, service->open_files), "|/a/b:b:|/c:name:read-only,graceful");
	assert_string_equal(service->log_identifier, "a-x");
	assert_int_equal(service->log_level, 3);
	assert_int_equal(service->log_level_max, 4);
	assert_int_equal(service->log_facility, 16);
	assert_false(service->log_level_prefix);
	one_end(&one);
	service = one_service(&one, "SyslogLevel=err\nSyslogLevel=\n");
	assert_int_equal(service->log_level, 6);
	assert_int_equal(service->log_level_max, 7);
	assert_int_equal(service->log_facility, 3);
	assert_true(service->log_level_prefix);
	one_end(&one);
}

/* systemd.service(5), Type=: what a service is that does not say it. */
static void test_guessed_type(void **state)
{
	struct one one;
	(void)state;
	one_read(&one, "/s", "a.service", "[Service]\nExecStart=/a\nBusName=x.y\n", NULL);
	assert_int_equal(one.unit->service->type, 7);
	one_end(&one);
	one_read(&one, "/s", "a.service", "[Unit]\nSuccessAction=exit\n[Service]\n", NULL);
	assert_int_equal(one.unit->service->type, 4);
	one_end(&one);
	one_read(&one, "/s", "a.service", "[Service]\nRemainAfterExit=yes\nExecStop=/a\n", NULL);
	assert_int_equal(one.unit->service->type, 4);
	one_end(&one);
}

/* --- [Socket] --- */

static void check_listens(const struct unit_socket *socket)
{
	static const struct unit_listen listens[] = {{UNIT_LISTEN_STREAM, "/run/x", 4},
		{UNIT_LISTEN_DATAGRAM, "@abs", 5}, {UNIT_LISTEN_SEQPACKET, "/s", 6},
		{UNIT_LISTEN_STREAM, "80", 7}, {UNIT_LISTEN_STREAM, "[::1]:443", 8},
		{UNIT_LISTEN_DATAGRAM, "127.0.0.1:53", 9}, {UNIT_LISTEN_FIFO, "/f", 10},
		{UNIT_LISTEN_SPECIAL, "/dev/x", 11}, {UNIT_LISTEN_NETLINK, "route 5", 12},
		{UNIT_LISTEN_MQUEUE, "/q", 13}, {UNIT_LISTEN_STREAM, "vsock::9", 14}};
	assert_int_equal(socket->listens_count, 11);
	for (size_t i = 0; i < 11; i++) {
		assert_int_equal(socket->listens[i].kind, listens[i].kind);
		assert_string_equal(socket->listens[i].address, listens[i].address);
		assert_int_equal(socket->listens[i].line, listens[i].line);
	}
}

static void check_words(const struct unit_socket *socket)
{
	char buf[2048];
	assert_string_equal(socket->service, "other.service");
	assert_string_equal(socket->fd_name, "web");
	assert_string_equal(socket->user, "u");
	assert_string_equal(socket->group, "g");
	assert_int_equal(socket->mode, 0660);
	assert_int_equal(socket->directory_mode, 0700);
	assert_int_equal(socket->backlog, 9);
	assert_int_equal(socket->connections_max, 8);
	assert_int_equal(socket->connections_source_max, 3);
	assert_int_equal(socket->ipv6_only, UNIT_IPV6_BOTH);
	assert_true(socket->keep_alive && socket->no_delay && socket->reuse_port);
	assert_true(socket->free_bind && socket->transparent && socket->broadcast);
	assert_true(socket->pass_credentials && socket->pass_security && socket->pass_packet_info);
	assert_true(socket->remove_on_stop && socket->writable && socket->flush_pending);
	assert_string_equal(socket->bind_device, "eth0");
	assert_string_equal(one_join(buf, socket->symlinks), "|/l1|/l2");
}

static void check_numbers(const struct unit_socket *socket)
{
	assert_int_equal(socket->receive_buffer, 8 << 20);
	assert_int_equal(socket->send_buffer, 4096);
	assert_int_equal(socket->pipe_size, 1);
	assert_int_equal(socket->priority, 6);
	assert_int_equal(socket->mark, 7);
	assert_int_equal(socket->ip_ttl, 64);
	assert_int_equal(socket->ip_tos, 8);
	assert_int_equal(socket->keep_alive_time_ns, NS_PER_SEC);
	assert_int_equal(socket->keep_alive_interval_ns, 2 * NS_PER_SEC);
	assert_int_equal(socket->defer_accept_ns, 3 * NS_PER_SEC);
	assert_int_equal(socket->keep_alive_probes, 4);
	assert_int_equal(socket->trigger_interval_ns, 5 * NS_PER_SEC);
	assert_int_equal(socket->trigger_burst, 6);
	assert_int_equal(socket->protocol, 262);
	assert_string_equal(socket->tcp_congestion, "bbr");
	assert_int_equal(socket->timeout_ns, 7 * NS_PER_SEC);
	assert_string_equal(socket->commands[UNIT_START_PRE].list[0].path, "/p1");
	assert_string_equal(socket->commands[UNIT_START_POST].list[0].path, "/p2");
	assert_string_equal(socket->commands[UNIT_STOP].list[0].path, "/p3");
	assert_string_equal(socket->commands[UNIT_STOP_POST].list[0].path, "/p4");
}

static void test_socket(void **state)
{
	struct one one;
	(void)state;
	one_read(&one, "/e", "a.socket",
		"[Socket]\nListenStream=/old\nListenDatagram=\nListenStream=%t/x\n"
		"ListenDatagram=@abs\nListenSequentialPacket=/s\nListenStream=80\n"
		"ListenStream=[::1]:443\nListenDatagram=127.0.0.1:53\nListenFIFO=/f\n"
		"ListenSpecial=/dev/x\nListenNetlink=route 5\nListenMessageQueue=/q\n"
		"ListenStream=vsock::9\nService=other\nFileDescriptorName=web\nSocketUser=u\n"
		"SocketGroup=g\nSocketMode=0660\nDirectoryMode=0700\nBacklog=9\nMaxConnections=8\n"
		"MaxConnectionsPerSource=3\nBindIPv6Only=both\nKeepAlive=1\nNoDelay=1\nReusePort="
		"1\n"
		"FreeBind=1\nTransparent=1\nBroadcast=1\nPassCredentials=1\nPassSecurity=1\n"
		"PassPacketInfo=1\nRemoveOnStop=1\nWritable=1\nFlushPending=1\nBindToDevice=eth0\n"
		"Symlinks=/l1 "
		"/l2\nReceiveBuffer=8M\nSendBuffer=4K\nPipeSize=1\nPriority=6\nMark=7\n"
		"IPTTL=64\nIPTOS=throughput\nKeepAliveTimeSec=1s\nKeepAliveIntervalSec=2s\n"
		"DeferAcceptSec=3s\nKeepAliveProbes=4\nTriggerLimitIntervalSec=5s\n"
		"TriggerLimitBurst=6\nSocketProtocol=mptcp\nTCPCongestion=bbr\nTimeoutSec=7s\n"
		"ExecStartPre=/p1\nExecStartPost=/p2\nExecStopPre=/p3\nExecStopPost=/p4\n",
		NULL);
	for (uint32_t i = 0; one.unit == NULL && i < one.messages.count; i++) {
		print_error("%s\n", one.messages.list[i].text);
	}
	assert_non_null(one.unit);
	const struct unit_socket *socket = one.unit->socket;
	check_listens(socket);
	check_words(socket);
	check_numbers(socket);
	assert_null(one.unit->supervisor);
	one_end(&one);
}

static void test_socket_defaults(void **state)
{
	struct one one;
	(void)state;
	one_read(&one, "/e", "a@1.socket", "[Socket]\nListenStream=1\nBacklog=3\nBacklog=\n", NULL);
	const struct unit_socket *socket = one.unit->socket;
	assert_string_equal(socket->service, "a@1.service");
	assert_string_equal(socket->fd_name, "a@1.socket");
	assert_int_equal(socket->mode, 0666);
	assert_int_equal(socket->directory_mode, 0755);
	assert_int_equal(socket->backlog, 4096);
	assert_int_equal(socket->connections_max, 64);
	assert_int_equal(socket->trigger_burst, 20);
	assert_int_equal(socket->trigger_interval_ns, 2 * NS_PER_SEC);
	assert_int_equal(socket->receive_buffer, -1);
	assert_int_equal(socket->ip_ttl, -1);
	assert_int_equal(socket->mark, -1);
	one_end(&one);
}

/* A process a connection: the socket is their supervisor. */
static void test_socket_accept(void **state)
{
	struct one one;
	const char *const more[2] = {"/e/a@.service", "[Service]\nExecStart=/a\n"};
	(void)state;
	one_read(&one, "/e", "a.socket", "[Socket]\nListenStream=1\nAccept=yes\nMaxConnections=5\n",
		more);
	assert_non_null(one.unit);
	assert_string_equal(one.unit->socket->service, "a@.service");
	assert_string_equal(one.unit->socket->fd_name, "connection");
	assert_int_equal(one.unit->socket->trigger_burst, 200);
	const struct unit_supervisor *supervisor = one.unit->supervisor;
	assert_non_null(supervisor);
	assert_string_equal(supervisor->template->name, "a@.service");
	assert_int_equal(supervisor->children_max, 5);
	/* A connection that has ended is not made again. */
	assert_int_equal(supervisor->template->restart, 2);
	one_end(&one);
	one_read(&one, "/e", "a.socket", "[Socket]\nListenStream=1\nAccept=yes\n", NULL);
	assert_null(one.unit);
	assert_true(one_says(&one, UNIT_ERROR, "there is no unit \"a@.service\""));
	one_end(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relations),
		cmocka_unit_test(test_relations_of_nobody),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_preserve),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_delegate),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_guessed_type),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_socket_defaults),
		cmocka_unit_test(test_socket_accept),
	};
	return cmocka_run_group_tests_name("unit: values", tests, NULL, NULL);
}
