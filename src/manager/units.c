#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "manager/manager.h"

struct unit_set *units_load(
	struct manager *m, struct unit_source *source, struct unit_messages *messages)
{
	return unit_set_load(&m->search, source, m->root_name, messages);
}

void units_print(const struct unit_messages *messages)
{
	for (uint32_t i = 0; i < messages->count; i++) {
		const struct unit_message *message = &messages->list[i];
		if (message->severity == UNIT_ERROR) {
			log_error("%s", message->text);
		} else {
			log_warning("%s", message->text);
		}
	}
}

/* --- the bundle that the keeper holds --- */

static struct unit_bundle *bundle_read(int fd)
{
	struct stat status;
	struct unit_bundle *bundle = NULL;
	if (fstat(fd, &status) == 0 && status.st_size > 0) {
		size_t size = (size_t)status.st_size;
		void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data != MAP_FAILED) {
			bundle = unit_bundle_decode(data, size);
			munmap(data, size);
		}
	}
	return bundle;
}

static uint64_t highest_bundle(const struct held *held)
{
	uint64_t highest = 0, number;
	for (uint32_t i = 0; i < held->count; i++) {
		if (held->list[i].fd >= 0 &&
			sscanf(held->list[i].name, "units:%" SCNu64, &number) == 1 &&
			number > highest) {
			highest = number;
		}
	}
	return highest;
}

int units_restore(struct manager *m, struct held *held, uint64_t number, struct err *err)
{
	char name[SHARE_NAME_SIZE];
	if (number == 0) {
		number = highest_bundle(held);
	}
	snprintf(name, sizeof(name), "units:%" PRIu64, number);
	int fd = held_take(held, name);
	if (fd < 0) {
		return err_set(err, ENOENT, "the keeper holds no %s", name);
	}
	struct unit_bundle *bundle = bundle_read(fd);
	close(fd);
	if (bundle == NULL) {
		return err_set(err, EPROTO, "%s is damaged", name);
	}
	struct unit_messages messages = {0};
	struct unit_set *set = units_load(m, unit_bundle_source(bundle), &messages);
	if (set == NULL) {
		units_print(&messages);
		unit_messages_finish(&messages);
		unit_bundle_destroy(bundle);
		return err_set(err, EINVAL, "the units in use cannot be read again");
	}
	unit_messages_finish(&messages);
	m->bundle = bundle;
	m->units_number = number;
	m->generation = generation_create(set);
	return m->generation == NULL ? err_set(err, ENOMEM, "no memory") : 0;
}

/* --- instances --- */

struct unit *units_template_of(struct manager *m, const char *name, struct node **supervisor)
{
	char whole[UNIT_NAME_SIZE];
	const struct unit_set *set = m->generation->set;
	if (unit_name_normalize(name, whole, sizeof(whole)) < 0 || strchr(whole, '@') == NULL) {
		return NULL;
	}
	size_t prefix = (size_t)(strchr(whole, '@') - whole) + 1;
	const char *suffix = strrchr(whole, '.');
	for (uint32_t i = 0; i < set->templates_count; i++) {
		struct unit *template = set->templates[i];
		if (strncmp(template->name, whole, prefix) != 0 ||
			strcmp(template->name + prefix, suffix) != 0) {
			continue;
		}
		for (uint32_t k = 0; supervisor != NULL && k < set->count; k++) {
			if (set->list[k]->supervisor != NULL &&
				set->list[k]->supervisor->template == template) {
				*supervisor = node_by_name(m, set->list[k]->name);
			}
		}
		return template;
	}
	return NULL;
}

/* Reads what the running generation has read, and the disk for what it has not: files of the
 * instance alone. */
static int overlay_read(struct unit_source *source, const char *path, char **text, size_t *size)
{
	struct manager *m = source->context;
	struct unit_source *player = unit_bundle_source(m->bundle);
	int got = player->read_file(player, path, text, size);
	return got == -ENOENT && !m->replaying
		       ? unit_source_disk.read_file(&unit_source_disk, path, text, size)
		       : got;
}

static int overlay_list(struct unit_source *source, const char *path,
	void (*each)(void *context, const char *name), void *context)
{
	struct manager *m = source->context;
	struct unit_source *player = unit_bundle_source(m->bundle);
	int got = player->list_dir(player, path, each, context);
	return got == -ENOENT && !m->replaying
		       ? unit_source_disk.list_dir(&unit_source_disk, path, each, context)
		       : got;
}

static bool has_own_dropins(const struct unit *unit)
{
	char dir[UNIT_NAME_SIZE + 8];
	snprintf(dir, sizeof(dir), "/%s.d/", unit->name);
	for (uint32_t i = 0; unit->dropins != NULL && unit->dropins[i] != NULL; i++) {
		if (strstr(unit->dropins[i], dir) != NULL) {
			return true;
		}
	}
	return false;
}

static struct unit *instantiate(
	struct manager *m, struct unit *template, const char *name, struct unit_messages *messages)
{
	struct unit_source overlay = {overlay_read, overlay_list, m};
	const struct unit_set *set = m->generation->set;
	struct unit *unit = unit_instantiate(set, &m->search, &overlay, template, name, messages);
	if (unit == NULL || m->replaying || !has_own_dropins(unit)) {
		return unit;
	}
	/* It has files of its own: they become part of what the keeper holds. */
	unit_instance_destroy(unit);
	unit_bundle_set_below(m->bundle, &unit_source_disk);
	unit = unit_instantiate(
		set, &m->search, unit_bundle_source(m->bundle), template, name, messages);
	unit_bundle_set_below(m->bundle, NULL);
	int failed = unit == NULL ? 0 : units_hold(m);
	if (failed != 0) {
		log_warning("%s: cannot keep its drop-ins: %s", name, strerror(-failed));
	}
	return unit;
}

struct definition *units_definition(struct manager *m, const char *name, struct err *err)
{
	struct unit *unit = unit_set_find(m->generation->set, name);
	if (unit != NULL) {
		return definition_create(m, m->generation, unit, NULL, err);
	}
	struct unit *template = units_template_of(m, name, NULL);
	if (template == NULL) {
		err_set(err, ENOENT, "%s: no such unit", name);
		return NULL;
	}
	struct unit_messages messages = {0};
	unit = instantiate(m, template, name, &messages);
	if (unit == NULL) {
		err_set(err, EINVAL, "%s",
			messages.count > 0 ? messages.list[messages.count - 1].text : "not valid");
	}
	unit_messages_finish(&messages);
	return unit == NULL ? NULL : definition_create(m, m->generation, unit, unit, err);
}
