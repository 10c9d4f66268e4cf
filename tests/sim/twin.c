#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

#define RECORD_MAX (4U << 20)

static uint8_t *record, *record_twin;

static const struct tree_child_rules *rules_of(
	void *context, uint32_t node, uint32_t parent, uint32_t generation)
{
	const struct unit *unit = &sim.units[node];

	(void)context;
	if (node >= UNITS_MAX || !unit->used || unit->generation != generation ||
		(node != 0 && unit->parent != parent)) {
		sim_fail("the record has a node %u of generation %u below %u", node, generation,
			parent);
	}
	return &sim.specs[unit->spec].rules;
}

void twin_compare(bool same)
{
	size_t size = sim.orders.count * sizeof(sim.orders.list[0]);

	if (!same || sim.orders.count != sim.twin_orders.count ||
		memcmp(sim.orders.list, sim.twin_orders.list, size) != 0) {
		sim_print_orders("tree", &sim.orders);
		sim_print_orders("twin", &sim.twin_orders);
		sim_fail("the twin that was saved and loaded gives other orders");
	}
}

static size_t save(const struct tree *tree, uint8_t *buffer)
{
	size_t size = tree_save(tree, buffer, RECORD_MAX);

	if (size > RECORD_MAX) {
		sim_fail("a record of %zu bytes", size);
	}
	return size;
}

/* Saves the tree and loads the record into a new twin. */
void twin_reload(void)
{
	struct tree_config config = {.seed = 1, .stop_in_turn = sim.swarm.stop_in_turn};
	struct tree *fresh = tree_create(&config, &sim.specs[sim.units[0].spec].rules);

	if (record == NULL) {
		record = malloc(RECORD_MAX);
		record_twin = malloc(RECORD_MAX);
	}
	if (fresh == NULL || record == NULL || record_twin == NULL) {
		sim_fail("no memory");
	}
	size_t size = save(sim.tree, record);
	if (save(sim.twin, record_twin) != size || memcmp(record, record_twin, size) != 0) {
		sim_fail("the twin that was saved and loaded is in another state");
	}
	record[random_below((uint32_t)size)] ^= 1;
	if (tree_load(fresh, record, size, rules_of, NULL) == 0) {
		sim_fail("a broken record was loaded");
	}
	int r = tree_load(fresh, record_twin, size, rules_of, NULL);
	if (r != 0) {
		sim_fail("a record was refused: %d", r);
	}
	tree_destroy(sim.twin);
	sim.twin = fresh;
	sim.loads++;
	tree_check(sim.twin);
}
