/* verify --directives: what becomes of each directive on this system, tried out by coppice-exec. */
#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/str.h"
#include "ctl/ctl.h"
#include "unit/unit.h"

/* --- asking coppice-exec --- */

static void find_helper(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - sizeof("coppice-exec") - 1);
	char *slash;

	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL) {
		(void)str_copy(slash + 1, size - (size_t)(slash + 1 - path), "coppice-exec");
	}
	if (slash == NULL || access(path, X_OK) < 0) {
		(void)str_copy(path, size, COPPICE_LIBEXECDIR "/coppice-exec");
	}
}

static bool owner_of_coppice(struct ctl *ctl, struct stat *owner)
{
	const char *control = ctl_has(ctl, OPTION_CONTROL) ? ctl->value[OPTION_CONTROL]
							   : getenv("COPPICE_CONTROL");
	char path[4096];

	if (control == NULL && coppice_control_path(path, sizeof(path)) == 0) {
		control = path;
	}
	return control != NULL && stat(control, owner) == 0;
}

/* In the child: whom the running coppice belongs to, if that is somebody else and we may. */
static void become_owner(const struct stat *owner)
{
	if (setgroups(0, NULL) < 0 || setgid(owner->st_gid) < 0 || setuid(owner->st_uid) < 0) {
		_exit(127);
	}
}

static FILE *ask(struct ctl *ctl, pid_t *child)
{
	char path[4096];
	struct stat owner;
	bool other = owner_of_coppice(ctl, &owner) && owner.st_uid != geteuid();
	int ends[2];

	find_helper(path, sizeof(path));
	if (other && geteuid() != 0) {
		(void)ctl_say(ctl, CTL_OK,
			"the coppice that runs here is of user %u; this is how it is for yours",
			(unsigned)owner.st_uid);
	}
	if (pipe(ends) < 0 || (*child = fork()) < 0) {
		return NULL;
	}
	if (*child == 0) {
		if (other && geteuid() == 0) {
			become_owner(&owner);
		}
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl(path, "coppice-exec", "--probe", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	return fdopen(ends[0], "r");
}

/* {"PrivateTmp": ["enforced", "by a mount namespace"], …}; empty after a message. */
static json_t *probe(struct ctl *ctl)
{
	json_t *found = ctl_keep(ctl, json_object());
	pid_t child = -1;
	FILE *from = ask(ctl, &child);
	char line[1024];
	int status = 0;

	while (from != NULL && fgets(line, sizeof(line), from) != NULL) {
		char *effect = strchr(line, '\t');
		char *text = effect != NULL ? strchr(effect + 1, '\t') : NULL;

		if (text != NULL) {
			*effect++ = '\0';
			*text++ = '\0';
			text[strcspn(text, "\n")] = '\0';
			(void)json_object_set_new(found, line, json_pack("[s,s]", effect, text));
		}
	}
	if (from != NULL) {
		(void)fclose(from);
	}
	if (child > 0) {
		(void)waitpid(child, &status, 0);
	}
	if (json_object_size(found) == 0 || status != 0) {
		(void)ctl_say(ctl, CTL_OK,
			"coppice-exec could not try anything out: what depends on the system is "
			"not known");
	}
	return found;
}

/* --- what a unit uses --- */

#define ASKED_ROOT "coppicectl-asks.supervisor"

struct asked {
	char text[UNIT_NAME_SIZE + 64];
};

/* The disk, and a root that has nothing but the unit asked for. */
static int read_asked(struct unit_source *source, const char *path, char **text, size_t *size)
{
	struct asked *asked = source->context;

	if (!str_ends(path, "/" ASKED_ROOT)) {
		return unit_source_disk.read_file(&unit_source_disk, path, text, size);
	}
	*text = strdup(asked->text);
	*size = strlen(asked->text);
	return *text != NULL ? 0 : -ENOMEM;
}

struct listing {
	void (*each)(void *context, const char *name);
	void *context;
	bool told;
};

/* Our root in its place among the names, which are sorted. */
static void tell(void *context, const char *name)
{
	struct listing *listing = context;

	if (!listing->told && (name == NULL || strcmp(name, ASKED_ROOT) > 0)) {
		listing->told = true;
		listing->each(listing->context, ASKED_ROOT);
	}
	if (name != NULL) {
		listing->each(listing->context, name);
	}
}

static int list_asked(struct unit_source *source, const char *path,
	void (*each)(void *context, const char *name), void *context)
{
	struct listing listing = {each, context, false};
	int result = unit_source_disk.list_dir(&unit_source_disk, path, tell, &listing);

	(void)source;
	if (result == 0) {
		tell(&listing, NULL);
	}
	return result;
}

/* The directory of a file comes before the others. */
static void search_beside(struct arena *arena, const char *file, struct unit_search *search)
{
	char *directory = arena_strdup(arena, file);
	const char **dirs = arena_alloc(arena, 3 * sizeof(*dirs));

	if (directory != NULL && dirs != NULL) {
		dirs[0] = dirname(directory);
		dirs[1] = search->dirs[0];
		search->dirs = dirs;
	}
}

static void say_errors(struct ctl *ctl, const struct unit_messages *messages)
{
	for (uint32_t i = 0; i < messages->count; i++) {
		const char *text = messages->list[i].text, *ours = strstr(text, ASKED_ROOT ":");

		if (ours != NULL && strstr(ours, ": ") != NULL) {
			text = strstr(ours, ": ") + 2; /* nobody has written that file */
		}
		if (messages->list[i].severity == UNIT_ERROR) {
			(void)fprintf(ctl->err, "error: %s\n", text);
		}
	}
}

/* A template is asked about by some instance of it. */
static void instantiate(char name[UNIT_NAME_SIZE])
{
	char *at = strstr(name, "@.");

	if (at != NULL && strlen(name) + 2 < UNIT_NAME_SIZE) {
		memmove(at + 2, at + 1, strlen(at + 1) + 1);
		at[1] = '1';
	}
}

/* {"Service.User": true, …}, kept; NULL after a message. */
static json_t *used_by(struct ctl *ctl, const char *word)
{
	struct arena arena = {0};
	struct asked asked;
	struct unit_source source = {read_asked, list_asked, &asked};
	struct unit_messages messages = {0};
	struct unit_search search;
	char name[UNIT_NAME_SIZE], key[256];
	const char *slash = strrchr(word, '/');
	struct unit_set *set = NULL;
	const struct unit *unit = NULL;
	json_t *used = ctl_keep(ctl, json_object());

	if (unit_name_normalize(slash != NULL ? slash + 1 : word, name, sizeof(name)) < 0) {
		(void)ctl_say(ctl, CTL_USAGE, "'%s' cannot be the name of a unit", word);
		return NULL;
	}
	instantiate(name);
	if (ctl_search_path(ctl, &arena, &search) == CTL_OK) {
		if (slash != NULL) {
			search_beside(&arena, word, &search);
		}
		(void)snprintf(asked.text, sizeof(asked.text), "[Supervisor]\nChildren=%s\n", name);
		set = unit_set_load(&search, &source, ASKED_ROOT, &messages);
	}
	say_errors(ctl, &messages);
	unit_messages_finish(&messages);
	unit = set != NULL ? unit_set_find(set, name) : NULL;
	for (uint32_t i = 0; unit != NULL && i < unit->settings_count; i++) {
		(void)snprintf(key, sizeof(key), "%s.%s", unit->settings[i].section,
			unit->settings[i].key);
		(void)json_object_set_new(used, key, json_true());
	}
	unit_set_destroy(set);
	arena_finish(&arena);
	return unit != NULL ? used : NULL;
}

/* --- saying --- */

static void find_effect(
	const struct unit_directive *d, const json_t *found, const char **effect, const char **text)
{
	const json_t *one = json_object_get(found, d->key);

	*effect = d->honoured ? "enforced" : "ignored";
	*text = d->honoured ? ""
		: d->quiet  ? "accepted: there is nothing to do for it here"
			    : "not by this version";
	/* The keys of the sandbox stand in [Service] and, some of them, in [Socket]. */
	if (one == NULL ||
		(strcmp(d->section, "Service") != 0 && strcmp(d->section, "Socket") != 0)) {
		return;
	}
	if (d->honoured || strcmp(json_string_value(json_array_get(one, 0)), *effect) == 0) {
		*effect = json_string_value(json_array_get(one, 0));
		*text = json_string_value(json_array_get(one, 1));
	}
}

static void put(struct ctl *ctl, const struct unit_directive *d, const json_t *found, json_t *all)
{
	const char *effect, *text;

	find_effect(d, found, &effect, &text);
	if (ctl_has(ctl, OPTION_JSON)) {
		(void)json_array_append_new(all,
			json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:b,s:s}", "section", d->section, "key",
				d->key, "effect", effect, "text", text, "values", d->values, "tier",
				d->tier, "honoured", d->honoured, "doc", d->doc));
	} else {
		(void)fprintf(ctl->out, "%-10s %-28s %-9s %s\n", d->section, d->key, effect,
			text[0] != '\0' ? text : d->doc);
	}
}

int verb_directives(struct ctl *ctl)
{
	uint32_t count;
	const struct unit_directive *list = unit_directives(&count);
	json_t *all = ctl_keep(ctl, json_array()), *used = NULL, *found;
	char key[256];

	if (ctl->words_count > 1) {
		return ctl_say(ctl, CTL_USAGE, "--directives takes one unit");
	}
	if (ctl->words_count == 1) {
		used = used_by(ctl, ctl->words[0]);
		if (used == NULL) {
			return CTL_FAILED;
		}
	}
	found = probe(ctl);
	for (uint32_t i = 0; i < count; i++) {
		(void)snprintf(key, sizeof(key), "%s.%s", list[i].section, list[i].key);
		if (used == NULL || json_object_get(used, key) != NULL) {
			put(ctl, &list[i], found, all);
		}
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_incref(all));
	}
	return CTL_OK;
}
