/* Trees that are right: what the definitions say. */
#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "service/service.h"
#include "tree/tree.h"
#include "unit/parse.h"
#include "unit/unit.h"
#include "unit/unit/texts.h"

/* The numbers of this room are those of its neighbours. */
static_assert((int)TYPE_DBUS == SERVICE_DBUS && (int)TYPE_ONESHOT == SERVICE_ONESHOT &&
		      (int)TYPE_FORKING == SERVICE_FORKING && (int)TYPE_NOTIFY == SERVICE_NOTIFY,
	"types");
static_assert((int)KILL_MODE_MIXED == KILL_MIXED && (int)KILL_MODE_NONE == KILL_NONE, "kill modes");
static_assert((int)RESTART_WORD_TEMPORARY == RESTART_TEMPORARY &&
		      (int)RESTART_WORD_ON_WATCHDOG == RESTART_ON_WATCHDOG,
	"restart words");
static_assert((int)STRATEGY_REST_FOR_ONE == REST_FOR_ONE, "strategies");
static_assert((int)AUTO_WORD_ALL == AUTO_ALL_SIGNIFICANT, "auto-shutdown");
static_assert((int)GIVE_UP_WORD_ROLLBACK == GIVE_UP_ROLLBACK &&
		      (int)GIVE_UP_WORD_COOLDOWN == GIVE_UP_COOLDOWN,
	"give up");
static_assert((int)EXIT_WORD_ROLLBACK == EXIT_ROLLBACK && (int)EXIT_WORD_STOP == EXIT_STOP,
	"exit actions");
static_assert(UNIT_COMMANDS_MAX == SERVICE_COMMANDS_MAX, "commands");
static_assert(UNIT_EXIT_RULES_MAX == TREE_EXIT_RULES_MAX, "exit rules");

struct loaded {
	struct texts texts;
	struct unit_source source;
	struct unit_search search;
	struct unit_messages messages;
	struct unit_set *set;
};

static const char *const own_dirs[] = {"/e", "/l", NULL};
static const char *const systemd_dirs[] = {"/s", NULL};

static void load_quietly(struct loaded *loaded, const char *const (*files)[2], const char *root)
{
	*loaded = (struct loaded){.texts = {files, 0, 0}};
	loaded->source = texts_source(&loaded->texts);
	loaded->search = (struct unit_search){own_dirs, systemd_dirs, false};
	loaded->set = unit_set_load(&loaded->search, &loaded->source, root, &loaded->messages);
}

static void load(struct loaded *loaded, const char *const (*files)[2])
{
	load_quietly(loaded, files, "root.supervisor");
	for (uint32_t i = 0; i < loaded->messages.count; i++) {
		print_error("%s\n", loaded->messages.list[i].text);
	}
	assert_int_equal(loaded->messages.count, 0);
	assert_non_null(loaded->set);
}

static void unload(struct loaded *loaded)
{
	unit_set_destroy(loaded->set);
	unit_messages_finish(&loaded->messages);
}

static const struct unit *get(const struct loaded *loaded, const char *name)
{
	const struct unit *unit = unit_set_find(loaded->set, name);
	assert_non_null(unit);
	return unit;
}

/* "a|b|c" of a list. */
static const char *join(const char *const *list)
{
	static char text[1024];
	text[0] = '\0';
	for (; list != NULL && *list != NULL; list++) {
		strcat(text, *list);
		strcat(text, list[1] != NULL ? "|" : "");
	}
	return text;
}

#define EXEC "[Service]\nExecStart=/bin/true\n"

static void test_tree(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Unit]\nDescription=All of it\n[Supervisor]\n"
				       "Strategy=rest-for-one\nIntensity=3\nPeriod=1min\n"
				       "OnGiveUp=cooldown:10s\nOnStartFailure=retry\n"
				       "DefaultRestart=temporary\nAutoShutdown=any-significant\n"
				       "Children=a edge.supervisor\nChildren=z.service\n"},
		{"/e/edge.supervisor", "[Supervisor]\nRestart=permanent\nShutdown=20s\nChildren="
				       "\\\n  c \\\n  b\n"},
		{"/e/a.service", EXEC},
		{"/e/b.service", EXEC "Restart=on-failure\n"},
		{"/e/c.service", EXEC "Type=oneshot\n"},
		{"/e/z.service", EXEC "Significant=yes\nShutdown=brutal-kill\n"},
		{NULL, NULL},
	};
	static const char *const order[] = {"root.supervisor", "a.service", "edge.supervisor",
		"c.service", "b.service", "z.service"};
	static const uint32_t lines[] = {0, 11, 11, 5, 6, 12};
	struct loaded l;
	(void)state;
	load(&l, files);
	assert_int_equal(l.set->count, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_string_equal(l.set->list[i]->name, order[i]);
		assert_int_equal(l.set->list[i]->index, i);
		assert_int_equal(l.set->list[i]->line, lines[i]);
	}
	const struct unit *root = l.set->list[0];
	assert_null(root->parent);
	assert_string_equal(root->description, "All of it");
	assert_int_equal(root->supervisor->strategy, REST_FOR_ONE);
	assert_int_equal(root->supervisor->intensity, 3);
	assert_int_equal(root->supervisor->period_ns, 60 * NS_PER_SEC);
	assert_int_equal(root->supervisor->give_up, GIVE_UP_COOLDOWN);
	assert_int_equal(root->supervisor->cooldown_ns, 10 * NS_PER_SEC);
	assert_int_equal(root->supervisor->auto_shutdown, AUTO_ANY_SIGNIFICANT);
	assert_true(root->supervisor->retry_start);
	assert_int_equal(root->supervisor->children_max, UINT32_MAX);
	assert_int_equal(root->supervisor->children_count, 3);
	assert_ptr_equal(root->supervisor->children[1], l.set->list[2]);
	assert_true(root->shutdown_ns == SPAN_INFINITY);
	assert_ptr_equal(get(&l, "b")->parent, get(&l, "edge.supervisor"));
	assert_int_equal(get(&l, "a")->restart, RESTART_TEMPORARY);
	assert_int_equal(get(&l, "b")->restart, RESTART_TRANSIENT);
	assert_int_equal(get(&l, "c")->restart, RESTART_TRANSIENT); /* a oneshot */
	assert_int_equal(get(&l, "edge.supervisor")->shutdown_ns, 20 * NS_PER_SEC);
	const struct unit_supervisor *edge = get(&l, "edge.supervisor")->supervisor;
	assert_int_equal(edge->intensity, 1);
	assert_int_equal(edge->period_ns, 5 * NS_PER_SEC);
	assert_true(get(&l, "z")->significant && get(&l, "z")->shutdown_brutal);
	assert_null(unit_set_find(l.set, "y"));
	assert_null(unit_set_find(l.set, "a/b"));
	unload(&l);
}

static void test_defaults(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=a o n f d t\n"},
		{"/e/a.service", EXEC},
		{"/e/o.service", EXEC "Type=oneshot\n"},
		{"/e/n.service", EXEC "Type=notify\nTimeoutStopSec=0\n"},
		{"/e/f.service", EXEC "TimeoutSec=7\nShutdown=3s\n"},
		{"/e/t.service",
			EXEC "KillMode=none\nKillMode=\nTimeoutStartSec=0\nNice=5\nNice=\n"},
		{"/s/d.service", EXEC},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load(&l, files);
	const struct unit *a = get(&l, "a");
	assert_int_equal(a->restart, RESTART_PERMANENT);
	assert_int_equal(a->service->type, SERVICE_SIMPLE);
	assert_false(a->service->type_set);
	assert_int_equal(a->service->kill_mode, KILL_CONTROL_GROUP);
	assert_int_equal(a->service->kill_signal, SIGTERM);
	assert_int_equal(a->service->final_kill_signal, SIGKILL);
	assert_int_equal(a->service->reload_signal, SIGHUP);
	assert_true(a->service->send_sigkill && a->service->ignore_sigpipe);
	assert_true(a->service->guess_main_pid && !a->service->send_sighup);
	assert_int_equal(a->service->start_timeout_ns, 90 * NS_PER_SEC);
	assert_int_equal(a->service->stop_timeout_ns, 5 * NS_PER_SEC);
	assert_int_equal(a->shutdown_ns, 5 * NS_PER_SEC);
	assert_true(a->service->runtime_max_ns == SPAN_INFINITY);
	assert_int_equal(a->service->notify_access, NOTIFY_NONE);
	assert_int_equal(a->service->notify_fd, -1);
	assert_null(a->service->working_directory);
	assert_true(get(&l, "o")->service->start_timeout_ns == SPAN_INFINITY);
	assert_int_equal(get(&l, "n")->service->notify_access, NOTIFY_MAIN);
	assert_true(get(&l, "n")->service->stop_timeout_ns == SPAN_INFINITY);
	assert_true(get(&l, "n")->shutdown_ns == SPAN_INFINITY);
	assert_int_equal(get(&l, "f")->service->start_timeout_ns, 7 * NS_PER_SEC);
	assert_int_equal(get(&l, "f")->service->stop_timeout_ns, 3 * NS_PER_SEC);
	assert_int_equal(get(&l, "f")->shutdown_ns, 3 * NS_PER_SEC);
	/* A unit from systemd's directories keeps systemd's time for a stop. */
	assert_true(get(&l, "d")->from_systemd && !a->from_systemd);
	assert_int_equal(get(&l, "d")->service->stop_timeout_ns, 90 * NS_PER_SEC);
	assert_int_equal(get(&l, "d")->shutdown_ns, 90 * NS_PER_SEC);
	/* An empty value takes a word back. */
	assert_int_equal(get(&l, "t")->service->kill_mode, KILL_CONTROL_GROUP);
	assert_true(get(&l, "t")->service->start_timeout_ns == SPAN_INFINITY);
	assert_false(get(&l, "t")->service->nice_set);
	unload(&l);
}

static void expect_command(const struct unit_command *command, const char *path, const char *argv)
{
	assert_string_equal(command->path, path);
	assert_string_equal(join(command->argv), argv);
}

static void test_commands(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=a b\n"},
		{"/e/a.service",
			"[Service]\nType=oneshot\n"
			"ExecStart=/bin/sh -c 'a ; b' ; echo \"x y\" \\; ';' \\\n"
			"  %n $HOME ${A}b $$\n"
			"ExecStart=-/bin/false\n"
			"ExecStartPre=@/bin/sh -sh -c x\n"
			"ExecStartPre=+:-/bin/a\nExecStartPre=!!/bin/b\nExecStartPre=!-/bin/c\n"
			"ExecReload=/bin/kill -HUP $MAINPID\nExecStop=/gone\nExecStop=\n"
			"ExecStopPost=\"/bin/with space\" \\x41\n"},
		{"/e/b.service", EXEC "PermissionsStartOnly=true\nExecStartPre=/bin/a\n"},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load(&l, files);
	const struct unit_service *a = get(&l, "a")->service;
	const struct unit_commands *start = &a->commands[UNIT_START];
	assert_int_equal(start->count, 3);
	expect_command(&start->list[0], "/bin/sh", "/bin/sh|-c|a ; b");
	expect_command(&start->list[1], "echo", "echo|x y|;|;|a.service|$HOME|${A}b|$$");
	assert_int_equal(start->list[1].line, 3);
	expect_command(&start->list[2], "/bin/false", "/bin/false");
	assert_true(start->list[2].ignore_failure && !start->list[0].ignore_failure);
	assert_int_equal(start->list[2].line, 5);
	const struct unit_command *pre = a->commands[UNIT_START_PRE].list;
	assert_int_equal(a->commands[UNIT_START_PRE].count, 4);
	expect_command(&pre[0], "/bin/sh", "-sh|-c|x");
	assert_true(pre[1].full_privilege && pre[1].no_expand && pre[1].ignore_failure);
	assert_true(!pre[2].no_user && !pre[2].full_privilege);
	assert_true(pre[3].no_user && pre[3].ignore_failure);
	expect_command(&a->commands[UNIT_RELOAD].list[0], "/bin/kill", "/bin/kill|-HUP|$MAINPID");
	assert_int_equal(a->commands[UNIT_STOP].count, 0);
	expect_command(
		&a->commands[UNIT_STOP_POST].list[0], "/bin/with space", "/bin/with space|A");
	const struct unit_service *b = get(&l, "b")->service;
	assert_true(b->commands[UNIT_START_PRE].list[0].full_privilege);
	assert_false(b->commands[UNIT_START].list[0].full_privilege);
	unload(&l);
}

static void test_execution(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=a\n"},
		{"/e/a.service",
			EXEC "Environment=A=1 \"B=two words\"\nEnvironment=C=%p D='a=b'\n"
			     "EnvironmentFile=/etc/a\nEnvironmentFile=-/etc/%p\n"
			     "PassEnvironment=HOME PATH\nUnsetEnvironment=X Y=1\n"
			     "WorkingDirectory=-/srv\nUser=www-data\nGroup=33\n"
			     "SupplementaryGroups=audio video\nUMask=027\nNice=-5\n"
			     "OOMScoreAdjust=-900\nIgnoreSIGPIPE=no\nNoNewPrivileges=yes\n"
			     "LimitNOFILE=1024:65536\nLimitCORE=infinity\nLimitMEMLOCK=64M\n"
			     "LimitNICE=-5\nLimitCPU=1min\nLimitRTTIME=5ms\n"
			     "StandardInput=null\nStandardOutput=append:/var/log/%p.log\n"
			     "StandardError=journal\nPIDFile=a.pid\nKillSignal=SIGQUIT\n"
			     "SuccessExitStatus=1 TEMPFAIL SIGKILL 250\nRestartSec=100ms\n"
			     "RestartSteps=5\nRestartMaxDelaySec=1min\nRuntimeMaxSec=1h\n"
			     "NotifyAccess=all\nRemainAfterExit=yes\n"},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load(&l, files);
	const struct unit_service *a = get(&l, "a")->service;
	assert_string_equal(join(a->environment), "A=1|B=two words|C=a|D=a=b");
	assert_int_equal(a->env_files_count, 2);
	assert_string_equal(a->env_files[1].path, "/etc/a");
	assert_true(a->env_files[1].optional && !a->env_files[0].optional);
	assert_string_equal(join(a->pass_environment), "HOME|PATH");
	assert_string_equal(join(a->unset_environment), "X|Y=1");
	assert_string_equal(a->working_directory, "/srv");
	assert_true(a->working_directory_optional);
	assert_string_equal(a->user, "www-data");
	assert_string_equal(a->group, "33");
	assert_string_equal(join(a->supplementary_groups), "audio|video");
	assert_true(a->umask_set && a->umask == 027);
	assert_true(a->nice_set && a->nice == -5);
	assert_true(a->oom_score_adjust_set && a->oom_score_adjust == -900);
	assert_true(!a->ignore_sigpipe && a->no_new_privileges && a->remain_after_exit);
	assert_true(a->limits[RLIMIT_NOFILE].set && !a->limits[RLIMIT_NPROC].set);
	assert_int_equal(a->limits[RLIMIT_NOFILE].value.rlim_cur, 1024);
	assert_int_equal(a->limits[RLIMIT_NOFILE].value.rlim_max, 65536);
	assert_true(a->limits[RLIMIT_CORE].value.rlim_cur == RLIM_INFINITY);
	assert_int_equal(a->limits[RLIMIT_MEMLOCK].value.rlim_max, 64 << 20);
	assert_int_equal(a->limits[RLIMIT_NICE].value.rlim_cur, 25);
	assert_int_equal(a->limits[RLIMIT_CPU].value.rlim_cur, 60);
	assert_int_equal(a->limits[RLIMIT_RTTIME].value.rlim_cur, 5000);
	assert_int_equal(a->standard_input.kind, STDIO_NULL);
	assert_int_equal(a->standard_output.kind, STDIO_APPEND);
	assert_string_equal(a->standard_output.path, "/var/log/a.log");
	assert_int_equal(a->standard_error.kind, STDIO_JOURNAL);
	assert_string_equal(a->pid_file, "/run/a.pid");
	assert_int_equal(a->kill_signal, SIGQUIT);
	assert_int_equal(a->success.statuses[0], 1 << 1);
	assert_int_equal(a->success.statuses[2], 1 << (75 - 64));
	assert_int_equal(a->success.statuses[7], 1 << (250 - 224));
	assert_int_equal(a->success.signals, 1 << SIGKILL);
	assert_int_equal(a->restart_sec_ns, 100 * NS_PER_MS);
	assert_int_equal(a->restart_steps, 5);
	assert_int_equal(a->restart_max_delay_ns, 60 * NS_PER_SEC);
	assert_int_equal(a->runtime_max_ns, 3600 * NS_PER_SEC);
	assert_int_equal(a->notify_access, NOTIFY_ALL);
	unload(&l);
}

static void test_exit_rules(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=a b\n"},
		{"/e/a.service", EXEC "OnExit=78, 10-12 ,SIGSEGV: stop\n"
				      "OnExit=oom,watchdog,health,start-timeout,exec-failed: "
				      "rest-for-one delay=1min\nOnExit=CONFIG:escalate\n"},
		{"/e/b.service", EXEC "OnExit=1: stop\nOnExit=\nOnExit=2: one-for-all\n"},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load(&l, files);
	const struct unit *a = get(&l, "a");
	assert_int_equal(a->exit_rules_count, 3);
	assert_int_equal(a->exit_rules[0].statuses[0], 7 << 10);
	assert_int_equal(a->exit_rules[0].statuses[2], 1 << (78 - 64));
	assert_int_equal(a->exit_rules[0].signals, 1 << SIGSEGV);
	assert_int_equal(a->exit_rules[0].action, EXIT_STOP);
	assert_false(a->exit_rules[0].oom);
	const struct unit_exit_rule *second = &a->exit_rules[1];
	assert_true(second->oom && second->watchdog && second->health);
	assert_true(second->start_timeout && second->exec_failed);
	assert_int_equal(second->action, EXIT_REST_FOR_ONE);
	assert_int_equal(second->delay_ns, 60 * NS_PER_SEC);
	assert_int_equal(a->exit_rules[2].action, EXIT_ESCALATE);
	assert_int_equal(get(&l, "b")->exit_rules_count, 1);
	assert_int_equal(get(&l, "b")->exit_rules[0].action, EXIT_ONE_FOR_ALL);
	unload(&l);
}

/* systemd.unit(5): names decide the order, the nearest directory wins a name. */
static void test_drop_ins(void **state)
{
	static const char *const files[][2] = {
		{"/e/a-b.service", EXEC "Environment=Z=x\nEnvironment=\nEnvironment=M=main\n"},
		{"/e/a-b.service.d/50-same.conf", "[Service]\nEnvironment=S=etc\n"},
		{"/e/a-b.service.d/60-masked.conf", ""},
		{"/e/a-b.service.d/README", "[Service]\nEnvironment=R=no\n"},
		{"/e/a-b.service.d/.hidden.conf", "[Service]\nEnvironment=H=no\n"},
		{"/e/root.supervisor", "[Supervisor]\nChildren=a-b w@1 w@2\n"},
		{"/e/w@2.service", EXEC "Environment=OWN=file\n"},
		{"/e/w@2.service.d/x.conf", "[Service]\nEnvironment=X=%i\n"},
		{"/l/a-.service.d/10-prefix.conf", "[Service]\nEnvironment=P=prefix\n"},
		{"/l/a-.service.d/50-same.conf", "[Service]\nEnvironment=S=prefix\n"},
		{"/l/a-b.service.d/50-same.conf", "[Service]\nEnvironment=S=lib\n"},
		{"/l/a-b.service.d/60-masked.conf", "[Service]\nEnvironment=M=no\n"},
		{"/l/a-b.service.d/70-last.conf", "[Service]\nNice=7\nEnvironment=L=%p\n"},
		{"/l/service.d/00-all.conf", "[Service]\nEnvironment=ALL=1\n"},
		{"/l/service.d/50-same.conf", "[Service]\nEnvironment=S=kind\n"},
		{"/l/w@.service", EXEC "Environment=W=%i\n"},
		{"/l/w@.service.d/t.conf", "[Service]\nEnvironment=T=1\n"},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load(&l, files);
	const struct unit *a = get(&l, "a-b");
	assert_string_equal(join(a->service->environment), "M=main|ALL=1|P=prefix|S=etc|L=a-b");
	assert_int_equal(a->service->nice, 7);
	assert_string_equal(join(a->dropins),
		"/l/service.d/00-all.conf|/l/a-.service.d/10-prefix.conf|"
		"/e/a-b.service.d/50-same.conf|/l/a-b.service.d/70-last.conf");
	assert_int_equal(a->settings_count, 9);
	assert_string_equal(a->settings[8].value, "L=%p");
	assert_string_equal(a->settings[8].path, "/l/a-b.service.d/70-last.conf");
	assert_int_equal(a->settings[8].line, 3);
	assert_string_equal(join(get(&l, "w@1")->service->environment), "W=1|ALL=1|S=kind|T=1");
	assert_string_equal(
		join(get(&l, "w@2")->service->environment), "OWN=file|ALL=1|S=kind|T=1|X=2");
	assert_string_equal(get(&l, "w@1")->path, "/l/w@.service");
	unload(&l);
}

static void test_templates(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor",
			"[Supervisor]\nChildren=pool.supervisor p@x.supervisor d@.service\n"},
		{"/e/pool.supervisor", "[Supervisor]\nTemplate=worker@\nMaxChildren=3\n"
				       "DefaultRestart=transient\nChildren=worker@1 worker@2\n"},
		{"/e/worker@.service", EXEC "Environment=E=%i\n"},
		{"/e/p@.supervisor", "[Supervisor]\nChildren=plain@%i-1 plain@%i-2\n"},
		{"/e/plain@.service", EXEC "User=jo\n"},
		{"/e/d@.service", EXEC "[Install]\nDefaultInstance=main\n"},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load(&l, files);
	const struct unit *pool = get(&l, "pool.supervisor");
	assert_int_equal(l.set->templates_count, 1);
	struct unit *template = l.set->templates[0];
	assert_ptr_equal(pool->supervisor->template, template);
	assert_string_equal(pool->supervisor->template_name, "worker@.service");
	assert_int_equal(pool->supervisor->children_max, 3);
	assert_true(template->is_template);
	assert_null(template->parent);
	assert_int_equal(template->restart, RESTART_TRANSIENT);
	assert_string_equal(get(&l, "worker@2")->instance, "2");
	assert_string_equal(get(&l, "worker@2")->prefix, "worker");
	assert_string_equal(get(&l, "worker@2")->service->environment[0], "E=2");
	assert_int_equal(get(&l, "worker@1")->restart, RESTART_TRANSIENT);
	assert_null(pool->instance);
	assert_non_null(get(&l, "d@main"));
	/* What does not depend on the instance is shared. */
	assert_ptr_equal(get(&l, "plain@x-1")->service, get(&l, "plain@x-2")->service);
	assert_string_equal(get(&l, "plain@x-2")->instance, "x-2");
	assert_ptr_not_equal(get(&l, "worker@1")->service, get(&l, "worker@2")->service);
	unload(&l);
}

static void test_instances(void **state)
{
	static const char *const files[][2] = {
		{"/e/pool.supervisor", "[Supervisor]\nTemplate=plain@\n"},
		{"/e/plain@.service", EXEC "Nice=3\n"},
		{"/e/plain@own.service", EXEC "Nice=4\n"},
		{"/e/root.supervisor", "[Supervisor]\nChildren=pool.supervisor w.supervisor\n"},
		{"/e/w.supervisor", "[Supervisor]\nTemplate=w@\nDefaultRestart=temporary\n"},
		{"/e/w@.service", EXEC "WorkingDirectory=%I\n"},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load(&l, files);
	struct unit *plain = l.set->templates[0];
	struct unit *w = l.set->templates[1];
	struct unit *one =
		unit_instantiate(l.set, &l.search, &l.source, plain, "plain@1", &l.messages);
	struct unit *two = unit_instantiate(
		l.set, &l.search, &l.source, plain, "plain@2.service", &l.messages);
	struct unit *own =
		unit_instantiate(l.set, &l.search, &l.source, plain, "plain@own", &l.messages);
	struct unit *dir = unit_instantiate(l.set, &l.search, &l.source, w, "w@-srv", &l.messages);
	assert_int_equal(l.messages.count, 0);
	assert_non_null(one);
	assert_string_equal(two->name, "plain@2.service");
	assert_string_equal(two->instance, "2");
	assert_ptr_equal(one->service, two->service);
	assert_int_equal(own->service->nice, 4);
	assert_string_equal(one->parent->name, "pool.supervisor");
	assert_string_equal(dir->service->working_directory, "/srv");
	assert_int_equal(dir->restart, RESTART_TEMPORARY);
	assert_int_equal(l.set->count, 3);
	assert_null(unit_set_find(l.set, "plain@1"));
	/* Nothing more is read for one like those before. */
	unsigned reads = l.texts.reads + l.texts.lists;
	size_t used = l.set->arena.used_bytes;
	for (int i = 0; i < 100; i++) {
		unit_instance_destroy(unit_instantiate(
			l.set, &l.search, &l.source, plain, "plain@7", &l.messages));
		unit_instance_destroy(
			unit_instantiate(l.set, &l.search, &l.source, w, "w@-opt", &l.messages));
	}
	assert_int_equal(l.texts.reads + l.texts.lists, reads);
	assert_int_equal(l.set->arena.used_bytes, used);
	/* Wrong ones. */
	assert_null(unit_instantiate(l.set, &l.search, &l.source, plain, "w@1", &l.messages));
	assert_null(unit_instantiate(l.set, &l.search, &l.source, plain, "plain@", &l.messages));
	assert_null(unit_instantiate(l.set, &l.search, &l.source, w, "w@srv", &l.messages));
	assert_int_equal(l.messages.errors, 3);
	assert_string_equal(l.messages.list[0].text, "\"w@1\" is no instance of plain@.service");
	assert_non_null(strstr(l.messages.list[2].text,
		"/e/w@.service:3:18: w@srv.service: WorkingDirectory=: \"srv\" is not"));
	/* An instance outlives the set that it came from. */
	unload(&l);
	assert_int_equal(two->service->nice, 3);
	assert_string_equal(two->parent->name, "pool.supervisor");
	unit_instance_destroy(one);
	unit_instance_destroy(two);
	unit_instance_destroy(own);
	assert_string_equal(dir->service->working_directory, "/srv");
	unit_instance_destroy(dir);
	unit_instance_destroy(NULL);
}

static void test_conditions(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=a b\n"},
		{"/e/a.service", "[Unit]\nConditionPathExists=!/run/%p\nConditionUser=root\n"
				 "ConditionPathExists=|/x\nDocumentation=man:a(1) "
				 "https://a.example/\n" EXEC},
		{"/e/b.service", "[Unit]\nConditionPathExists=/x\nConditionUser=\n" EXEC},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load(&l, files);
	assert_string_equal(join(get(&l, "a")->conditions),
		"ConditionPathExists=!/run/a|ConditionUser=root|ConditionPathExists=|/x");
	assert_string_equal(join(get(&l, "a")->documentation), "man:a(1)|https://a.example/");
	assert_null(get(&l, "b")->conditions);
	unload(&l);
}

/* Units in the way distributions write them. What has no effect is said in one line a unit. */
static void test_distribution(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=web cache-server cron@-etc-tab\n"},
		{"/s/cache-server.service",
			"[Unit]\nDescription=A cache\nAfter=network.target\n"
			"Documentation=http://cache.example/doc, man:cache(1)\n\n[Service]\n"
			"Type=notify\nExecStart=/usr/bin/cache-server /etc/cache.conf --supervised "
			"systemd --daemonize no\nPIDFile=/run/cache/cache.pid\nTimeoutStopSec=0\n"
			"Restart=always\nUser=cache\nGroup=cache\nRuntimeDirectory=cache\n"
			"RuntimeDirectoryMode=2755\n\nUMask=007\nPrivateTmp=true\n"
			"LimitNOFILE=65535\nReadWritePaths=-/var/lib/cache\n"
			"CapabilityBoundingSet=\nSystemCallFilter=~ @privileged @resources\n\n"
			"[Install]\nWantedBy=multi-user.target\nAlias=cache.service\n"},
		{"/s/cron@.service",
			"[Unit]\nDescription=Jobs of %I\nConditionPathExists=%I\n\n[Service]\n"
			"EnvironmentFile=-/etc/default/cron\nExecStart=/usr/sbin/cron -f -L 2 "
			"$EXTRA_OPTS\nIgnoreSIGPIPE=false\nKillMode=process\nRestart=on-failure\n"
			"SyslogFacility=cron\n"},
		{"/s/web.service",
			"# Stop dance for a web server\n# =======================\n#\n"
			"[Unit]\nDescription=A web server\nAfter=network-online.target "
			"remote-fs.target nss-lookup.target\nWants=network-online.target\n\n"
			"[Service]\nType=forking\nPIDFile=/run/web.pid\n"
			"ExecStartPre=/usr/sbin/web -t -q -g 'daemon on; master_process on;'\n"
			"ExecStart=/usr/sbin/web -g 'daemon on; master_process on;'\n"
			"ExecReload=/usr/sbin/web -g 'daemon on;' -s reload\n"
			"ExecStop=-/sbin/start-stop-daemon --quiet --stop --retry QUIT/5 "
			"--pidfile /run/web.pid\nTimeoutStopSec=5\nKillMode=mixed\n\n"
			"[Install]\nWantedBy=multi-user.target\n"},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load_quietly(&l, files, "root.supervisor");
	assert_non_null(l.set);
	assert_int_equal(l.messages.errors, 0);
	/* Nothing but what has no effect in this version, a line a file. */
	assert_true(l.messages.count <= 3);
	for (uint32_t i = 0; i < l.messages.count; i++) {
		assert_non_null(strstr(l.messages.list[i].text, "not honoured by this version"));
	}
	const struct unit_service *web = get(&l, "web")->service;
	assert_int_equal(web->type, SERVICE_FORKING);
	assert_int_equal(web->kill_mode, KILL_MIXED);
	expect_command(&web->commands[UNIT_START].list[0], "/usr/sbin/web",
		"/usr/sbin/web|-g|daemon on; master_process on;");
	assert_int_equal(get(&l, "cache-server")->service->notify_access, NOTIFY_MAIN);
	assert_true(get(&l, "cache-server")->shutdown_ns == SPAN_INFINITY);
	assert_string_equal(get(&l, "cron@-etc-tab")->description, "Jobs of /etc/tab");
	assert_string_equal(
		get(&l, "cron@-etc-tab")->conditions[0], "ConditionPathExists=/etc/tab");
	unload(&l);
}

/* What has no effect is said in one line a file, once for all instances. */
static void test_no_effect(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=a b@1 b@2\n"},
		{"/e/a.service", "[Service]\nExecStart=/a\nRootImage=/x\nRootHash=1\nRootImage=/"
				 "y\nRootVerity=\n"},
		{"/e/b@.service",
			"[Service]\nExecStart=/a\nRootVerity=/%i\nRootImage=/x\nRootHash=1\n"},
		{NULL, NULL},
	};
	struct loaded l;
	(void)state;
	load_quietly(&l, files, "root.supervisor");
	assert_non_null(l.set);
	assert_int_equal(l.messages.count, 2);
	assert_string_equal(l.messages.list[0].text,
		"/e/a.service: RootImage= and RootHash= are not honoured by this version");
	assert_string_equal(l.messages.list[1].text,
		"/e/b@.service: RootVerity=, RootImage= and RootHash= are not honoured by this "
		"version");
	unload(&l);
}

static void test_verify(void **state)
{
	static const char *const files[][2] = {
		{"/e/x.supervisor", "[Supervisor]\nChildren=not there.at-all x.supervisor\n"},
		{"/e/w@.service", EXEC "WorkingDirectory=%I\n"},
		{"/e/y.service", EXEC "Nice=x\n"},
		{"/e/s.socket", "[Socket]\nListenStream=80\nListenStraem=81\n"},
		{"/e/y.conf", "[Service]\n"},
		{"/e/masked.service", ""},
		{NULL, NULL},
	};
	struct texts texts = {files, 0, 0};
	struct unit_source source = texts_source(&texts);
	struct unit_search search = {own_dirs, NULL, false};
	struct unit_messages m = {0};
	(void)state;
	assert_true(unit_verify_file(&search, &source, "/e/w@.service", &m));
	assert_int_equal(m.count, 0);
	assert_false(unit_verify_file(&search, &source, "/e/y.service", &m));
	assert_int_equal(m.errors, 1);
	assert_false(unit_verify_file(&search, &source, "/e/x.supervisor", &m));
	assert_int_equal(m.errors, 3);
	assert_false(unit_verify_file(&search, &source, "/e/y.conf", &m));
	assert_false(unit_verify_file(&search, &source, "/e/none.service", &m));
	assert_int_equal(m.errors, 5);
	assert_true(unit_verify_file(&search, &source, "/e/s.socket", &m));
	uint32_t count = m.count;
	assert_false(unit_verify_file(&search, &source, "/e/masked.service", &m));
	assert_string_equal(
		m.list[count].text, "/e/masked.service: this file is empty: it masks the unit");
	unit_messages_finish(&m);
}

/* Ten thousand children of one template: read once, shared, and loaded well under half a second. */
static void test_many(void **state)
{
	size_t size = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);
	(void)state;
	fputs("[Supervisor]\nChildren=", out);
	for (int i = 1; i <= 10000; i++) {
		fprintf(out, "worker@%d ", i);
	}
	fclose(out);
	const char *files[][2] = {
		{"/e/root.supervisor", text},
		{"/e/worker@.service", "[Service]\nExecStart=sleep infinity\n"},
		{NULL, NULL},
	};
	struct loaded l;
	struct timespec from;
	struct timespec to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	load(&l, (const char *const(*)[2])files);
	clock_gettime(CLOCK_MONOTONIC, &to);
	double ms =
		(double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
	print_message(
		"10,000 children: %.1f ms, %zu bytes each\n", ms, l.set->arena.used_bytes / 10000);
	assert_int_equal(l.set->count, 10001);
	assert_int_equal(l.texts.reads, 2);
	assert_true(l.set->arena.used_bytes / 10000 < 400);
	assert_true(ms < 500);
	assert_int_equal(get(&l, "worker@7777")->index, 7777);
	unload(&l);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_execution),
		cmocka_unit_test(test_exit_rules),
		cmocka_unit_test(test_drop_ins),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_instances),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_distribution),
		cmocka_unit_test(test_no_effect),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests_name("unit: trees", tests, NULL, NULL);
}
