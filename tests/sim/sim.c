#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/sim.h"

#define TRACE_LINES 50
#define QUIET_STEPS 200000
#define TURNS_MAX   10000 /* of a life's chaos */

struct sim sim;

struct trace_line {
	bool is_order;
	struct tree_event event;
	struct tree_order order;
	char name[NAME_SIZE];
};

static struct trace_line trace[TRACE_LINES];
static uint64_t trace_count;
static const char *program;
static bool verbose;

/* --- the report of a failure --- */

static const char *name_given(void *context, uint32_t node)
{
	(void)node;
	return context;
}

static const char *name_of(uint32_t node)
{
	return node < UNITS_MAX && sim.units[node].used ? sim.units[node].name : "?";
}

static void trace_print(struct trace_line *line)
{
	char text[512];

	if (line->is_order) {
		tree_print_order(&line->order, name_given, line->name, text, sizeof(text));
	} else {
		tree_print_event(&line->event, name_given, line->name, text, sizeof(text));
	}
	fprintf(stderr, "  %s\n", text);
}

void sim_print_orders(const char *title, const struct tree_orders *orders)
{
	char text[512];

	for (uint32_t i = 0; i < orders->count; i++) {
		void *name = (void *)(uintptr_t)name_of(orders->list[i].node);
		tree_print_order(&orders->list[i], name_given, name, text, sizeof(text));
		fprintf(stderr, "%s: %s\n", title, text);
	}
}

/* Every unit as the tree sees it, and its processes as the world does. */
static void units_print(void)
{
	for (uint32_t i = 0; sim.tree != NULL && i < UNITS_MAX; i++) {
		const struct unit *unit = &sim.units[i];
		struct tree_view view;
		if (!unit->used) {
			continue;
		}
		tree_look(sim.tree, i, sim.now, &view);
		fprintf(stderr, "  %u %s below %s: %s %s%s%s%s%s%s%s\n", i, unit->name,
			i > 0 ? name_of(unit->parent) : "-", tree_state_names[view.state],
			view.is_supervisor ? "" : service_state_names[view.service_state],
			view.present ? "" : " absent", view.held ? " held" : "",
			view.retrying ? " retrying" : "", unit->going_down ? " going-down" : "",
			unit->process[0] != PROCESS_NONE ? " main" : "",
			unit->process[1] != PROCESS_NONE ? " control" : "");
	}
}

static void report(void)
{
	uint64_t first = trace_count > TRACE_LINES ? trace_count - TRACE_LINES : 0;

	for (uint64_t i = first; i < trace_count && !verbose; i++) {
		trace_print(&trace[i % TRACE_LINES]);
	}
	units_print();
	fprintf(stderr, "sim: seed %llu, step %llu, phase %u\nagain: %s --seed %llu --verbose\n",
		(unsigned long long)sim.seed, (unsigned long long)sim.step, sim.phase, program,
		(unsigned long long)sim.seed);
}

void sim_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	report();
	va_start(args, format);
	fputs("sim: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	printf("# seed %llu failed, step %llu\n", (unsigned long long)sim.seed,
		(unsigned long long)sim.step);
	exit(1);
}

/* A failed check in the tree. */
static void on_abort(int signo)
{
	(void)signo;
	report();
	_exit(3);
}

static void trace_event(const struct tree_event *event)
{
	struct trace_line *line = &trace[trace_count++ % TRACE_LINES];

	line->is_order = false;
	line->event = *event;
	memcpy(line->name, name_of(event->node), strlen(name_of(event->node)) + 1);
	if (verbose) {
		trace_print(line);
	}
}

static void trace_order(const struct tree_order *order)
{
	struct trace_line *line = &trace[trace_count++ % TRACE_LINES];

	line->is_order = true;
	line->order = *order;
	memcpy(line->name, name_of(order->node), strlen(name_of(order->node)) + 1);
	if (verbose) {
		trace_print(line);
	}
}

/* --- chance --- */

uint64_t random_next(void)
{
	/* splitmix64 (Steele, Lea, Flood 2014). */
	uint64_t z = sim.random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint32_t random_below(uint32_t limit)
{
	return (uint32_t)(random_next() % limit);
}

uint64_t random_span(uint64_t low_ns, uint64_t high_ns)
{
	return low_ns + random_next() % (high_ns - low_ns + 1);
}

bool random_percent(uint32_t percent)
{
	return random_below(100) < percent;
}

/* --- a step --- */

/* Returns when all orders of the event are carried out. */
static void carry_out(bool more)
{
	for (;;) {
		for (uint32_t i = 0; i < sim.orders.count; i++) {
			trace_order(&sim.orders.list[i]);
			check_order(&sim.orders.list[i]);
			kernel_order(&sim.orders.list[i]);
		}
		if (!more) {
			return;
		}
		more = tree_continue(sim.tree, &sim.orders);
		twin_compare(tree_continue(sim.twin, &sim.twin_orders) == more);
	}
}

void sim_step(struct tree_event *event)
{
	event->time_ns = sim.now;
	sim.step++;
	sim.events_total++;
	sim.event_kinds[event->kind]++;
	trace_event(event);

	/* A stop by hand does not wait for its turn in a shutdown. */
	sim.stop_overtaken = event->kind == EV_STOP || event->kind == EV_RESTART;
	bool more = tree_step(sim.tree, event, &sim.orders);
	twin_compare(tree_step(sim.twin, event, &sim.twin_orders) == more);
	carry_out(more);
	tree_check(sim.tree);
	check_step();
	if (random_below(100) == 0) {
		twin_reload();
	}
}

/* --- a life --- */

static void life_begin(uint64_t seed)
{
	struct tree_config config = {.seed = seed | 1};

	sim.seed = seed;
	sim.random = seed * UINT64_C(0xd1342543de82ef95) + 1;
	sim.now = NS_PER_SEC;
	sim.step = sim.sequence = sim.orders_last = sim.requests_last = 0;
	sim.phase = PHASE_CHAOS;
	sim.ended = sim.spins = false;
	sim.processes_top = sim.stopping_count = 0;
	sim.shutdown_limit_ns = UINT64_MAX;
	trace_count = 0;
	future_clear();
	for (uint32_t i = 0; i < UNITS_MAX; i++) {
		free(sim.units[i].window);
		sim.units[i] = (struct unit){0};
	}
	memset(sim.processes, 0, sizeof(sim.processes));
	plan_swarm();
	plan_tree();
	config.stop_in_turn = sim.swarm.stop_in_turn;
	sim.tree = tree_create(&config, &sim.specs[0].rules);
	sim.twin = tree_create(&config, &sim.specs[0].rules);
	if (sim.tree == NULL || sim.twin == NULL) {
		sim_fail("no memory");
	}
	sim.units[0] = (struct unit){.used = true,
		.is_static = true,
		.generation = 1,
		.parent = NODE_NONE,
		.process = {PROCESS_NONE, PROCESS_NONE},
		.name = "root"};
	plan_build(0);
}

static void life_finish(void)
{
	tree_destroy(sim.tree);
	tree_destroy(sim.twin);
	sim.tree = sim.twin = NULL;
}

/* The next thing that happens, when it is not after `until`. */
static bool deliver_next(uint64_t until)
{
	const struct future *first = future_first();
	struct future future;

	if (first == NULL || first->time_ns > until) {
		return false;
	}
	(void)future_next(&future);
	sim.now = future.time_ns > sim.now ? future.time_ns : sim.now;
	kernel_deliver(&future);
	return true;
}

static void chaos(void)
{
	uint64_t next = sim.now;

	sim_step(&(struct tree_event){.kind = EV_BOOT});
	/* An action may find nothing to do. */
	for (uint32_t turns = 0; !sim.ended && sim.step < sim.swarm.steps && turns < TURNS_MAX;
		turns++) {
		if (deliver_next(next)) {
			continue;
		}
		sim.now = next > sim.now ? next : sim.now;
		act_random();
		next = sim.now + random_span(0, 2 * sim.swarm.pause_ns);
		if (random_percent(2)) {
			next = sim.now + random_span(0, 10 * NS_PER_SEC);
		}
	}
}

/* Faults have stopped: the tree comes to rest, and all that should run does. */
static void quiet(void)
{
	uint64_t last = sim.step + (sim.spins ? 500 : QUIET_STEPS);

	sim.phase = PHASE_QUIET;
	while (!sim.ended && !tree_quiet(sim.tree, true)) {
		if (sim.step > last) {
			if (sim.spins) {
				return;
			}
			sim_fail("%u quiet steps, and the tree is not at rest", QUIET_STEPS);
		}
		if (!deliver_next(UINT64_MAX)) {
			sim_fail("the tree is not at rest, and nothing will happen any more");
		}
	}
	check_quiet();
}

static void shut_down(void)
{
	bool twice = random_percent(20), at_once = random_percent(10);
	uint64_t again = sim.now + random_span(0, 3 * NS_PER_SEC);

	check_shutdown_asked(at_once);
	sim.phase = PHASE_SHUTDOWN;
	sim_step(&(struct tree_event){.kind = EV_SHUTDOWN, .flag = at_once});
	while (!sim.ended) {
		if (twice && !deliver_next(again)) {
			twice = false;
			sim.now = again > sim.now ? again : sim.now;
			check_shutdown_asked(true);
			sim_step(&(struct tree_event){.kind = EV_SHUTDOWN, .flag = true});
		} else if (!twice && !deliver_next(UINT64_MAX)) {
			break;
		}
	}
}

static void life(uint64_t seed)
{
	life_begin(seed);
	chaos();
	if (!sim.ended && !sim.swarm.ends_in_chaos) {
		quiet();
	}
	if (!sim.ended) {
		shut_down();
	}
	/* What the kernel still had to say changes nothing. */
	while (deliver_next(UINT64_MAX)) {
		continue;
	}
	check_end();
	life_finish();
}

/* --- main --- */

static void figures(uint64_t lives, double seconds)
{
	printf("# %llu lives, %llu events, %llu saved and loaded, %.1f s\n",
		(unsigned long long)lives, (unsigned long long)sim.events_total,
		(unsigned long long)sim.loads, seconds);
	printf("# orders:");
	for (uint32_t i = 0; i < DO_COUNT; i++) {
		printf(" %s %llu", tree_order_names[i], (unsigned long long)sim.figures[i]);
	}
	printf("\n# notes:");
	for (uint32_t i = 0; i < NOTE_COUNT; i++) {
		printf(" %s %llu", tree_note_names[i], (unsigned long long)sim.notes[i]);
	}
	printf("\n# replies:");
	for (uint32_t i = 0; i < RESULT_COUNT; i++) {
		printf(" %s %llu;", tree_result_names[i], (unsigned long long)sim.results[i]);
	}
	printf("\n");
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: %s [--seed N] [--lives N | --events N] [--verbose]\n"
		"  --seed N    the first seed; alone: this one life\n"
		"  --lives N   so many lives, from the first seed on\n"
		"  --events N  lives until there were so many events\n",
		program);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
		{"lives", required_argument, NULL, 'l'}, {"events", required_argument, NULL, 'e'},
		{"verbose", no_argument, NULL, 'v'}, {0}};
	uint64_t seed = 1, lives = 0, events = 0, done = 0;
	double begin = seconds_now();
	int c;

	program = argv[0];
	while ((c = getopt_long(argc, argv, "s:l:e:v", options, NULL)) != -1) {
		switch (c) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'l': lives = strtoull(optarg, NULL, 0); break;
		case 'e': events = strtoull(optarg, NULL, 0); break;
		case 'v': verbose = true; break;
		default: usage(); return 2;
		}
	}
	lives = lives == 0 && events == 0 ? 1 : lives;
	signal(SIGABRT, on_abort);
	sim.specs = calloc(SPECS_MAX, sizeof(sim.specs[0]));
	if (sim.specs == NULL) {
		sim_fail("no memory");
	}
	for (; done < lives || sim.events_total < events; done++) {
		life(seed + done);
	}
	figures(done, seconds_now() - begin);
	return 0;
}
