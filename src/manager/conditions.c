#include "base/log.h"
#include "manager/manager.h"
#include "process/condition.h"

/* What must hold before a unit is started: Condition…= and Assert…= (process/condition.h). */

bool conditions_hold(const struct unit *unit)
{
	const char *culprit;
	return conditions_judge(unit->conditions, &culprit) == CONDITIONS_HOLD;
}
