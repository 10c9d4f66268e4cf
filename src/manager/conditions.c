#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "manager/manager.h"
#include "process/condition.h"

/* What must hold before a unit is started: Condition…= and Assert…= (process/condition.h), and the
 * units that it cannot be without (links.c). */

/* RequiresMountsFor=: nobody mounts anything here, so it can only be said. */
static void say_missing_paths(const struct node *node)
{
	const char *const *path = node_unit(node)->mounts_for;
	for (; path != NULL && *path != NULL; path++) {
		if (access(*path, F_OK) < 0) {
			log_warning("%s: RequiresMountsFor=%s: there is no such path",
				node_unit_name(node), *path);
		}
	}
}

bool conditions_hold(struct manager *m, const struct node *node, struct service_end *end)
{
	const char *culprit;
	enum condition_verdict verdict = conditions_judge(node_unit(node)->conditions, &culprit);
	*end = (struct service_end){0};
	if (verdict == CONDITIONS_SKIP) {
		log_info("%s: %s does not hold", node_unit_name(node), culprit);
		return false;
	}
	if (verdict == CONDITIONS_FAIL) {
		log_error("%s: %s does not hold", node_unit_name(node), culprit);
		end->reason = REASON_ASSERT;
		return false;
	}
	const struct node *missing = links_forbid_start(m, node);
	if (missing != NULL) {
		log_error("%s: it cannot be without %s, which is not up", node_unit_name(node),
			node_unit_name(missing));
		end->reason = REASON_DEPENDENCY;
		return false;
	}
	say_missing_paths(node);
	return true;
}
