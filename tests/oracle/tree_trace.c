/*
 * Runs scenarios of the comparison with OTP (FORMAT.md) through src/tree and prints the trace that
 * otp_oracle.escript prints for the real supervisor.
 *
 * It is a shell over the pure tree with a world of its own (lib/world.h). Lines about leaves come
 * from this world, lines about supervisors from the tree's notes, replies from its replies.
 *
 *   tree_trace [--save-load P] [--seed N] [--verbose] FILE...
 *
 * --save-load P  between two steps the tree is saved and loaded into a fresh one with probability P
 * --verbose      events and orders on standard error
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/span.h"
#include "oracle/lib/world.h"

#define REPLIES_MAX 256
#define STEPS_MAX   200000 /* of one scenario */

/* A request that waits for its reply. */
struct request {
	bool queued;        /* by `during` or `whilestart`: its reply names the command */
	bool is_supervisor; /* the child it is about */
	const char *probe;  /* what is answered when the supervisor serves it */
	char command[LINE_SIZE];
};

static struct tree_orders orders;
static uint64_t request_last;
static bool verbose, ended;
static uint8_t end_cause;
static struct lines queued_replies;
static char direct_reply[LINE_SIZE];
static struct request requests[REPLIES_MAX];

/* --- requests --- */

static void reply_now(const struct request *request, const char *result)
{
	if (request->queued) {
		line_add(&queued_replies, "reply %s -> %s", request->command, result);
	} else {
		snprintf(direct_reply, sizeof(direct_reply), "reply %s", result);
	}
}

static void request_send(const struct request *request, enum tree_event_kind kind, int id)
{
	struct tree_event *event;

	if (++request_last >= REPLIES_MAX) {
		die("%s: too many requests", w.scn.name);
	}
	requests[request_last] = *request;
	event = fact_add(kind, id);
	event->request = request_last;
	event->incarnation = 0;
}

static void reply_came(const struct tree_order *order)
{
	struct request *request = &requests[order->request];
	const char *result = tree_result_names[order->result];

	if (order->request == 0 || order->request > request_last || request->command[0] == '\0') {
		die("%s: a reply to nobody", w.scn.name);
	}
	if (order->result == RESULT_START_FAILED && request->is_supervisor) {
		result = "error start_failed";
	} else if (order->result == RESULT_IGNORED && request->probe != NULL) {
		result = request->probe;
	}
	reply_now(request, result);
	request->command[0] = '\0'; /* each is answered once */
}

/* An answer that the tree does not know, because the child it is about is not in it: when the
 * supervisor is at rest it is given at once; otherwise a child that is skipped goes through the
 * mailbox in its place, so that a supervisor that goes down first is noticed. */
static void reply_in_turn(const struct request *request, int supervisor, const char *result)
{
	struct request asked = *request;
	char name[SCENARIO_NAME_SIZE];
	int index;

	if (!request->queued) {
		reply_now(request, result);
		return;
	}
	snprintf(name, sizeof(name), "?%u", w.scn.ids_count);
	index = scenario_make(&w.scn, name);
	struct id *id = &w.scn.ids[index];
	id->is_probe = true;
	id->parent = supervisor;
	id->service = (struct service_rules){.type = SERVICE_EXEC,
		.kill_signal = 15,
		.final_kill_signal = 9,
		.commands[PHASE_START] = 1,
		.start_timeout_ns = SPAN_INFINITY,
		.runtime_max_ns = SPAN_INFINITY};
	id->rules =
		(struct tree_child_rules){.restart = RESTART_TEMPORARY, .service = &id->service};
	asked.probe = result;
	request_send(&asked, EV_ADD, index);
}

static void request_start_child(const struct request *request, int index)
{
	if (scenario_bad_combination(&w.scn, index)) {
		reply_in_turn(request, w.scn.ids[index].parent, "error bad_combination");
		return;
	}
	request_send(request, EV_ADD, index);
}

static void request_instance(const struct request *request, const char *verb, int index)
{
	struct id *id = &w.scn.ids[index];

	if (strcmp(verb, "terminate") != 0 || id->started_at == 0) {
		reply_in_turn(request, id->parent, "error simple_one_for_one");
	} else if (id->node == NODE_NONE) {
		reply_in_turn(request, id->parent, "ok"); /* OTP: the pid is dead */
	} else {
		request_send(request, EV_STOP, index);
	}
}

static void request_make(const struct words *words, int supervisor, bool queued)
{
	struct request request = {.queued = queued};
	const char *verb = words->list[0];
	bool is_start = strcmp(verb, "start_child") == 0;
	int index = scenario_find(&w.scn, words->list[is_start ? 2 : 1]);

	words_join(words, 0, request.command, sizeof(request.command));
	if (index == ID_NONE || w.scn.ids[index].parent != supervisor) {
		reply_in_turn(&request, supervisor, "error not_found");
		return;
	}
	request.is_supervisor = w.scn.ids[index].is_supervisor;
	if (is_start) {
		request_start_child(&request, index);
	} else if (w.scn.ids[index].is_instance) {
		request_instance(&request, verb, index);
	} else if (w.scn.ids[supervisor].is_dynamic) {
		reply_in_turn(&request, supervisor, "error simple_one_for_one");
	} else if (w.scn.ids[index].node == NODE_NONE) {
		reply_in_turn(&request, supervisor, "error not_found");
	} else {
		request_send(&request,
			strcmp(verb, "terminate") == 0 ? EV_STOP
			: strcmp(verb, "restart") == 0 ? EV_START
						       : EV_DELETE,
			index);
	}
}

static void shutdown_make(void)
{
	fact_add(EV_SHUTDOWN, 0)->incarnation = 0;
}

/* Queues a command to the supervisor that is inside the start of a child. */
static void gate_command(const struct id *id)
{
	const struct words *words = &id->command;

	if (strcmp(words->list[0], "shutdown") == 0) {
		shutdown_make();
	} else if (words->count == 2 && is_hurt(words->list[0])) {
		leaf_hurt(words->list[0], words->list[1]);
	} else {
		request_make(words, id->parent, true);
	}
}

/* --- orders --- */

static void note(const struct tree_order *order)
{
	struct id *id = order_id(order);

	if (order->note == NOTE_BEGIN) {
		line_add(&w.trace, "begin %s", id->name);
		id->alive = true;
	} else if (order->note == NOTE_GAVE_UP) {
		line_add(&w.trace, "giveup %s", id->name);
	} else if (order->note == NOTE_END) {
		line_add(&w.trace, "end %s %s", id->name, tree_cause_names[order->cause]);
		id->alive = false;
	}
}

static void release(const struct tree_order *order)
{
	struct id *id = order_id(order);

	if (id->alive) {
		die("%s: %s was released alive", w.scn.name, id->name);
	}
	w.id_of_node[id->node] = ID_NONE;
	w.rules_of_node[id->node] = NULL;
	/* What stands below it goes with it. */
	for (uint32_t i = 0; i < w.scn.ids_count; i++) {
		struct id *kid = &w.scn.ids[i];
		if (kid->parent == (int)(id - w.scn.ids) && kid->node != NODE_NONE) {
			release(&(struct tree_order){
				.node = kid->node, .generation = kid->generation});
		}
	}
	id->node = NODE_NONE;
	id->timer_ns = 0;
}

static void carry_out(const struct tree_order *order)
{
	char text[512];

	if (verbose) {
		fprintf(stderr, "    %s\n",
			tree_print_order(order, name_of, NULL, text, sizeof(text)));
	}
	switch ((enum tree_order_kind)order->kind) {
	case DO_SPAWN: leaf_spawn(order_id(order), order); break;
	case DO_SIGNAL: leaf_signal(order_id(order), order->signo); break;
	case DO_TIMER: order_id(order)->timer_ns = order->deadline_ns; break;
	case DO_FORGET: break;
	case DO_REPLY: reply_came(order); break;
	case DO_NOTE: note(order); break;
	case DO_RELEASE: release(order); break;
	case DO_END:
		ended = true;
		end_cause = order->cause;
		break;
	case DO_FIND_MAIN:
	case DO_WATCH:
	case DO_PROBE:
	case DO_COUNT: die("%s: an order that cannot be", w.scn.name);
	}
}

static void step(const struct tree_event *event)
{
	char text[512];
	bool more;

	if (verbose) {
		fprintf(stderr, "  %s\n",
			tree_print_event(event, name_of, NULL, text, sizeof(text)));
	}
	more = tree_step(w.tree, event, &orders);
	for (;;) {
		for (uint32_t i = 0; i < orders.count; i++) {
			carry_out(&orders.list[i]);
		}
		if (!more) {
			break;
		}
		more = tree_continue(w.tree, &orders);
	}
	tree_check(w.tree);
	if (w.save_load > 0 && !ended && random_real() < w.save_load) {
		reload_tree();
		tree_check(w.tree);
	}
}

/* A place in the tree is taken when the request to add a child comes to it, not before. */
static bool place_take(struct fact *fact)
{
	struct id *id = &w.scn.ids[fact->id];

	if (id->node == NODE_NONE) {
		if (w.scn.ids[id->parent].node == NODE_NONE) {
			reply_came(&(struct tree_order){
				.request = fact->event.request, .result = RESULT_SUPERVISOR_DOWN});
			return false;
		}
		add_dynamic(fact->id);
	}
	fact->event.node = id->node;
	fact->event.generation = id->generation;
	return true;
}

/* Until nothing moves any more. */
static void settle(void)
{
	for (uint32_t steps = 0; !ended; steps++) {
		if (steps > STEPS_MAX) {
			die("%s: never settles", w.scn.name);
		}
		if (w.facts_count == 0) {
			if (tree_quiet(w.tree, false)) {
				return;
			}
			if (!clock_jump(UINT64_MAX - 2)) {
				die("%s: not quiet, and nothing will happen", w.scn.name);
			}
		}
		struct fact fact = w.facts[w.facts_first];
		w.facts_first = (w.facts_first + 1) % FACTS_MAX;
		w.facts_count--;
		fact.event.time_ns = ++w.now;
		if (fact.event.kind != EV_ADD || place_take(&fact)) {
			step(&fact.event);
		}
	}
}

/* --- printing --- */

static int compare_lines(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The end of an instance on request: these run at the same time, so a run of them is sorted. */
static bool is_instance_stop(const char *line)
{
	char name[SCENARIO_NAME_SIZE];
	int id;

	if (sscanf(line, "stop %63s", name) != 1 && sscanf(line, "killed %63s", name) != 1) {
		return false;
	}
	id = scenario_find(&w.scn, name);
	return id != ID_NONE && w.scn.ids[id].is_instance;
}

static void print_trace(const char *extra)
{
	for (uint32_t i = 0; i < w.trace.count;) {
		uint32_t to = i;
		while (to < w.trace.count && is_instance_stop(w.trace.list[to])) {
			to++;
		}
		qsort(w.trace.list[i], to - i, LINE_SIZE, compare_lines);
		for (to += to == i; i < to; i++) {
			puts(w.trace.list[i]);
		}
	}
	qsort(queued_replies.list, queued_replies.count, LINE_SIZE, compare_lines);
	for (uint32_t i = 0; i < queued_replies.count; i++) {
		puts(queued_replies.list[i]);
	}
	w.trace.count = queued_replies.count = 0;
	if (extra[0] != '\0') {
		puts(extra);
	}
}

static void walk(uint32_t supervisor, const char **states)
{
	uint32_t node = tree_first_child(w.tree, supervisor);

	for (; node != NODE_NONE; node = tree_next_child(w.tree, node)) {
		const struct id *id = &w.scn.ids[w.id_of_node[node]];
		enum tree_which which = tree_which(w.tree, node);
		if (which == WHICH_RUNNING) {
			if (!id->alive) {
				die("%s: %s is said to run", w.scn.name, id->name);
			}
			states[w.id_of_node[node]] = id->is_supervisor ? "up" : "run";
		} else {
			if (id->alive || which == WHICH_RESTARTING) {
				die("%s: %s is said to be down", w.scn.name, id->name);
			}
			states[w.id_of_node[node]] = "stopped";
		}
		if (which == WHICH_RUNNING && id->is_supervisor) {
			walk(node, states);
		}
	}
}

static void print_state(void)
{
	const char *states[SCENARIO_IDS_MAX] = {"up"};

	walk(0, states);
	fputs("state", stdout);
	for (uint32_t i = 0; i < w.scn.state_count; i++) {
		int id = w.scn.state_order[i];
		printf(" %s=%s", w.scn.ids[id].name, states[id] != NULL ? states[id] : "gone");
	}
	putchar('\n');
}

/* --- events --- */

static void say_which(int supervisor, char *out, size_t size)
{
	static const char *const words[] = {"stopped", "run", "restarting"};
	char items[SCENARIO_IDS_MAX][LINE_SIZE];
	uint32_t count = 0;
	uint32_t node = tree_first_child(w.tree, w.scn.ids[supervisor].node);
	size_t used;

	for (; node != NODE_NONE; node = tree_next_child(w.tree, node)) {
		snprintf(items[count++], LINE_SIZE, "%s=%s", name_of(NULL, node),
			words[tree_which(w.tree, node)]);
	}
	used = (size_t)snprintf(out, size, "which");
	if (w.scn.ids[supervisor].is_dynamic) {
		qsort(items, count, LINE_SIZE, compare_lines);
	}
	for (uint32_t i = 0; i < count && used < size; i++) {
		uint32_t at = w.scn.ids[supervisor].is_dynamic ? i : count - 1 - i;
		used += (size_t)snprintf(out + used, size - used, " %s", items[at]);
	}
}

static void event_look(const char *verb, const char *name, char *extra, size_t size)
{
	int id = scenario_find(&w.scn, name);
	struct tree_count count;

	if (id == ID_NONE || !w.scn.ids[id].alive) {
		snprintf(extra, size, "reply no_such_supervisor");
	} else if (strcmp(verb, "which") == 0) {
		say_which(id, extra, size);
	} else {
		tree_count(w.tree, w.scn.ids[id].node, &count);
		snprintf(extra, size, "count specs=%u active=%u supervisors=%u workers=%u",
			count.specs, count.active, count.supervisors, count.workers);
	}
}

static void event_spawn(const char *name)
{
	int supervisor = scenario_find(&w.scn, name);
	char instance[SCENARIO_NAME_SIZE + 16];
	struct request request = {.command = "spawn"};
	int index;

	if (supervisor == ID_NONE || w.scn.ids[supervisor].template_id == ID_NONE) {
		die("%s: spawn %s", w.scn.name, name);
	}
	const struct id *template = &w.scn.ids[w.scn.ids[supervisor].template_id];
	snprintf(instance, sizeof(instance), "%s#%u", template->name,
		++w.scn.ids[supervisor].sequence);
	index = scenario_find(&w.scn, instance);
	if (index == ID_NONE) {
		index = scenario_make(&w.scn, instance);
	}

	/* It may have been armed before it is made; that stays. */
	struct id *id = &w.scn.ids[index];
	id->parent = supervisor;
	id->is_instance = true;
	id->rules = template->rules;
	id->onstop = template->onstop;
	id->slow_ns = template->slow_ns;
	scenario_show(&w.scn, index);
	if (!w.scn.ids[supervisor].alive) {
		reply_now(&request, "no_such_supervisor");
		return;
	}
	request_send(&request, EV_ADD, index);
}

static void event_start_child(const struct words *words)
{
	struct words rest = {.count = words->count - 1};
	int index = scenario_find(&w.scn, words->list[2]);
	int parent;

	memcpy(rest.list, words->list + 1, rest.count * sizeof(rest.list[0]));
	if (index == ID_NONE || w.scn.ids[index].parent == ID_NONE) {
		index = scenario_declare(&w.scn, &rest);
	}
	scenario_show(&w.scn, index);
	parent = scenario_find(&w.scn, words->list[1]);
	if (!w.scn.ids[parent].alive) {
		reply_now(&(struct request){0}, "no_such_supervisor");
		return;
	}
	request_make(words, parent, false);
}

static void event_request(const struct words *words)
{
	int index = scenario_find(&w.scn, words->list[1]);
	int parent = index == ID_NONE ? ID_NONE : w.scn.ids[index].parent;

	if (parent == ID_NONE || !w.scn.ids[parent].alive) {
		reply_now(&(struct request){0}, "no_such_supervisor");
		return;
	}
	request_make(words, parent, false);
}

static void event_multi(const struct words *words)
{
	bool any = false;

	for (uint32_t i = 1; i < words->count; i++) {
		char how[SCENARIO_NAME_SIZE] = "";
		const char *colon = strchr(words->list[i], ':');
		if (colon == NULL || (size_t)(colon - words->list[i]) >= sizeof(how)) {
			die("%s: multi %s", w.scn.name, words->list[i]);
		}
		memcpy(how, words->list[i], (size_t)(colon - words->list[i]));
		any = leaf_hurt(how, colon + 1) || any;
	}
	if (!any) {
		strcpy(direct_reply, "reply noop");
	}
}

static void event_sleep(uint64_t span)
{
	uint64_t until = w.now + span;

	while (!ended && clock_jump(until)) {
		settle();
	}
	w.now = until > w.now ? until : w.now;
}

/* Arms a failure; prints nothing. */
static bool event_arm(const struct words *words)
{
	const char *verb = words->list[0];
	int index;

	if (words->count < 3 ||
		(strcmp(verb, "failstart") != 0 && strcmp(verb, "ignorestart") != 0 &&
			strcmp(verb, "during") != 0 && strcmp(verb, "whilestart") != 0)) {
		return false;
	}
	index = scenario_find(&w.scn, words->list[1]);
	if (index == ID_NONE) {
		index = scenario_make(&w.scn, words->list[1]);
	}
	struct id *id = &w.scn.ids[index];
	if (strcmp(verb, "failstart") == 0) {
		id->fail = (uint32_t)strtoul(words->list[2], NULL, 10);
	} else if (strcmp(verb, "ignorestart") == 0) {
		id->ignore = (uint32_t)strtoul(words->list[2], NULL, 10);
	} else {
		id->gate = strcmp(verb, "during") == 0 ? GATE_DURING : GATE_WHILE_START;
		id->command.count = words->count - 2;
		memcpy(id->command.list, words->list + 2,
			id->command.count * sizeof(words->list[0]));
	}
	if (strcmp(words->list[2], "start_child") == 0 && words->count > 5) {
		struct words child = {.count = words->count - 3};
		memcpy(child.list, words->list + 3, child.count * sizeof(child.list[0]));
		scenario_show(&w.scn, scenario_declare(&w.scn, &child));
	}
	return true;
}

static void event_start(void)
{
	if (has_bad_spec(0)) {
		line_add(&w.trace, "begin %s", w.scn.ids[0].name);
		line_add(&w.trace, "end %s badspec", w.scn.ids[0].name);
		ended = true;
		end_cause = CAUSE_COUNT;
		return;
	}
	fact_add(EV_BOOT, ID_NONE);
}

static void event_do(const struct words *words, char *extra, size_t size)
{
	const char *verb = words->list[0];

	if (strcmp(verb, "start") == 0) {
		event_start();
	} else if (strcmp(verb, "shutdown") == 0) {
		shutdown_make();
	} else if (words->count < 2) {
		die("%s: not an event: %s", w.scn.name, verb);
	} else if (is_hurt(verb)) {
		if (!leaf_hurt(verb, words->list[1])) {
			strcpy(direct_reply, "reply noop");
		}
	} else if (strcmp(verb, "multi") == 0) {
		event_multi(words);
	} else if (strcmp(verb, "sleep") == 0) {
		event_sleep(strtoull(words->list[1], NULL, 10) * NS_PER_MS);
	} else if (strcmp(verb, "spawn") == 0) {
		event_spawn(words->list[1]);
	} else if (strcmp(verb, "start_child") == 0) {
		event_start_child(words);
	} else if (strcmp(verb, "count") == 0 || strcmp(verb, "which") == 0) {
		event_look(verb, words->list[1], extra, size);
	} else {
		event_request(words);
	}
}

/* False when the root has ended. */
static bool run_event(const struct words *words)
{
	char extra[LINE_SIZE * 8] = "", text[LINE_SIZE * 2];

	if (event_arm(words)) {
		return true;
	}
	printf("> %s\n", words_join(words, 0, text, sizeof(text)));
	if (verbose) {
		fprintf(stderr, "> %s\n", text);
	}
	direct_reply[0] = '\0';
	event_do(words, extra, sizeof(extra));
	settle();
	print_trace(direct_reply[0] != '\0' ? direct_reply : extra);
	if (!ended) {
		print_state();
		return true;
	}
	printf("root down %s\n",
		end_cause == CAUSE_COUNT ? "badspec" : tree_cause_names[end_cause]);
	return false;
}

static void run_scenario(void)
{
	bool up = true;

	w.now = NS_PER_SEC;
	ended = false;
	w.starts = request_last = w.facts_count = w.facts_first = 0;
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		w.id_of_node[i] = ID_NONE;
		w.rules_of_node[i] = NULL;
	}
	if (w.scn.name[0] != '\0') {
		printf("=== %s\n", w.scn.name);
	}
	w.tree = build_tree(true);
	tree_check(w.tree);
	for (uint32_t i = 0; i < w.scn.lines_count && up; i++) {
		up = run_event(&w.scn.lines[i]);
	}
	if (up) {
		puts("> (end)");
		shutdown_make();
		settle();
		print_trace("");
		puts("root down ordered");
	}
	for (uint64_t i = 1; i <= request_last; i++) {
		if (requests[i].command[0] != '\0') {
			die("%s: no reply to %s", w.scn.name, requests[i].command);
		}
	}
	tree_destroy(w.tree);
	w.tree = NULL;
}

static void run_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL, *rest;
	size_t room = 0;

	if (file == NULL || getdelim(&text, &room, '\0', file) < 0) {
		die("cannot read %s", path);
	}
	fclose(file);
	rest = text;
	while (scenario_read(&w.scn, &rest)) {
		run_scenario();
	}
	free(text);
}

/* A failed check: what was printed so far shows where. */
static void on_abort(int signo)
{
	static const char text[] = "tree_trace: aborted in ";

	(void)signo;
	fflush(stdout);
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)!write(STDERR_FILENO, w.scn.name, strlen(w.scn.name));
	(void)!write(STDERR_FILENO, "\n", 1);
	_exit(3);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"save-load", required_argument, NULL, 'p'},
		{"seed", required_argument, NULL, 's'}, {"verbose", no_argument, NULL, 'v'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "p:s:v", options, NULL)) != -1) {
		switch (c) {
		case 'p': w.save_load = strtod(optarg, NULL); break;
		case 's': w.random_state = strtoull(optarg, NULL, 0) | 1; break;
		case 'v': verbose = true; break;
		default: return 2;
		}
	}
	w.random_state = w.random_state != 0 ? w.random_state : 1;
	w.on_gate = gate_command;
	signal(SIGABRT, on_abort);
	if (verbose) {
		setvbuf(stdout, NULL, _IOLBF, 0);
	}
	for (; optind < argc; optind++) {
		run_file(argv[optind]);
	}
	return 0;
}
