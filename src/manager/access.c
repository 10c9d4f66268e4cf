#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "manager/manager.h"

/* ControlGroup= of the root: whoever is in it may look. The files are read once, at a load, and
 * directly: a look-up through the network would hold up the tree. */

static void uid_add(struct manager *m, uint32_t uid)
{
	uint32_t *more = realloc(m->control_uids, (m->control_uids_count + 1) * sizeof(*more));
	if (more != NULL) {
		more[m->control_uids_count++] = uid;
		m->control_uids = more;
	}
}

static struct group *group_find(FILE *file, const char *name)
{
	struct group *group = NULL;
	while (file != NULL && (group = fgetgrent(file)) != NULL) {
		if (strcmp(group->gr_name, name) == 0) {
			return group;
		}
	}
	return NULL;
}

static void members_add(struct manager *m, const struct group *group)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *user;
	while (file != NULL && (user = fgetpwent(file)) != NULL) {
		bool member = user->pw_gid == group->gr_gid;
		for (char **name = group->gr_mem; !member && *name != NULL; name++) {
			member = strcmp(*name, user->pw_name) == 0;
		}
		if (member) {
			uid_add(m, user->pw_uid);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
}

void access_load(struct manager *m)
{
	const char *name = node_unit(node_at(m, 0))->supervisor->control_group;
	m->control_gid = UINT32_MAX;
	m->control_uids_count = 0;
	if (name == NULL) {
		return;
	}
	FILE *file = fopen("/etc/group", "re");
	struct group *group = group_find(file, name);
	if (group == NULL) {
		log_warning("ControlGroup=%s: there is no such group", name);
	} else {
		m->control_gid = group->gr_gid;
		members_add(m, group);
	}
	if (file != NULL) {
		fclose(file);
	}
}

int access_of(void *manager, const struct control_peer *peer)
{
	struct manager *m = manager;
	if (peer->uid == 0 || peer->uid == geteuid()) {
		return 2;
	}
	bool member = m->control_gid != UINT32_MAX && peer->gid == m->control_gid;
	for (uint32_t i = 0; !member && i < m->control_uids_count; i++) {
		member = m->control_uids[i] == peer->uid;
	}
	return member ? 1 : 0;
}
