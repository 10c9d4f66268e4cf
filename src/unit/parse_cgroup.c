/*
 * Control of resources, as attribute files of cgroup v2: systemd.resource-control(5), and the
 * kernel's cgroup-v2. The names of v1 (CPUShares=, MemoryLimit=, BlockIO…) come to the same files.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "unit/parse.h"
#include "unit/table.h"
#include "unit/word.h"

#define PERIOD_DEFAULT (100 * NS_PER_MS)
#define QUOTA_MIN_US   1000

/* --- the list --- */

static bool cgroup_same(const char *a, const char *b, size_t length)
{
	return strncmp(a, b, length) == 0;
}

/* Leaves out what is of this file and, when `head` is not empty, begins with it. */
static void cgroup_remove(struct parse *p, const char *file, const char *head)
{
	struct unit_service *service = p->unit->service;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < service->cgroup_count; i++) {
		const struct unit_cgroup_setting *setting = &service->cgroup[i];
		if (strcmp(setting->file, file) != 0 ||
			!cgroup_same(setting->value, head, strlen(head))) {
			service->cgroup[kept++] = *setting;
		}
	}
	service->cgroup_count = kept;
}

static int cgroup_append(struct arena *arena, struct unit_service *service,
	const struct unit_cgroup_setting *setting)
{
	uint32_t count = service->cgroup_count;
	/* Entries may have been left out since: the room is at least the next power of two. */
	if ((count & (count - 1)) == 0) {
		uint32_t room = count == 0 ? 1 : count * 2;
		struct unit_cgroup_setting *list = arena_alloc(arena, room * sizeof(*list));
		if (list == NULL) {
			return -ENOMEM;
		}
		if (count > 0) {
			memcpy(list, service->cgroup, count * sizeof(*list));
		}
		service->cgroup = list;
	}
	service->cgroup[service->cgroup_count++] = *setting;
	return 0;
}

static int cgroup_put(struct parse *p, const char *file, const char *value)
{
	struct unit_cgroup_setting setting = {.file = file, .value = value};
	cgroup_remove(p, file, "");
	return value == NULL ? -ENOMEM : cgroup_append(p->arena, p->unit->service, &setting);
}

static int cgroup_put_number(struct parse *p, const char *file, uint64_t number)
{
	return cgroup_put(p, file, arena_printf(p->arena, "%llu", (unsigned long long)number));
}

/* --- amounts --- */

/* "12%", "12.5%", "0.25%": hundredths of a percent. */
static int percent_parse(const char *text, uint64_t max, uint64_t *out)
{
	char digits[24];
	uint64_t whole;
	uint64_t part = 0;
	size_t length = strlen(text);
	if (length < 2 || length >= sizeof(digits) || text[length - 1] != '%') {
		return -EINVAL;
	}
	memcpy(digits, text, length - 1);
	digits[length - 1] = '\0';
	char *dot = strchr(digits, '.');
	if (dot != NULL) {
		size_t places = strlen(dot + 1);
		*dot = '\0';
		if (places > 2 || str_u64(dot + 1, 0, 99, &part) < 0) {
			return -EINVAL;
		}
		part *= places == 1 ? 10 : 1;
	}
	if (str_u64(digits, 0, max / 100, &whole) < 0 || whole * 100 + part > max) {
		return -EINVAL;
	}
	*out = whole * 100 + part;
	return 0;
}

/* Keys whose values are an amount, a percentage or "infinity". */
static const struct cgroup_amount {
	const char *key, *file;
	bool bytes;
} cgroup_amounts[] = {
	{"MemoryHigh", "memory.high", true},
	{"MemoryLimit", "memory.max", true},
	{"MemoryLow", "memory.low", true},
	{"MemoryMax", "memory.max", true},
	{"MemoryMin", "memory.min", true},
	{"MemorySwapMax", "memory.swap.max", true},
	{"MemoryZSwapMax", "memory.zswap.max", true},
	{"TasksMax", "pids.max", false},
};

int parse_cgroup_amount(struct parse *p, const char *value, void *field)
{
	const struct cgroup_amount *amount = cgroup_amounts;
	uint64_t number;
	(void)field;
	while (strcmp(amount->key, p->line->text.key) != 0) {
		amount++;
	}
	if (value[0] == '\0') {
		cgroup_remove(p, amount->file, "");
		return 0;
	}
	if (strcmp(value, "infinity") == 0) {
		return cgroup_put(p, amount->file, "max");
	}
	if (percent_parse(value, 10000, &number) == 0) {
		struct unit_cgroup_setting setting = {.file = amount->file,
			.value = "",
			.relative = true,
			.percent_100 = (uint32_t)number};
		cgroup_remove(p, amount->file, "");
		return cgroup_append(p->arena, p->unit->service, &setting);
	}
	int r = amount->bytes ? size_parse(value, INT64_MAX, &number)
			      : str_u64(value, 1, INT64_MAX, &number);
	return r < 0 ? parse_refuse(p, 0, value) : cgroup_put_number(p, amount->file, number);
}

/* --- weights --- */

static const struct cgroup_weight {
	const char *key, *file;
	uint16_t min;
	uint32_t max, normal; /* `normal` is what 100 is in cgroup v2 */
} cgroup_weights[] = {
	{"BlockIOWeight", "io.weight", 10, 1000, 500},
	{"CPUShares", "cpu.weight", 2, 262144, 1024},
	{"CPUWeight", "cpu.weight", 1, 10000, 100},
	{"IOWeight", "io.weight", 1, 10000, 100},
};

static uint64_t cgroup_scale(uint64_t weight, uint64_t normal)
{
	uint64_t scaled = weight * 100 / normal;
	return scaled < 1 ? 1 : scaled > 10000 ? 10000 : scaled;
}

int parse_cgroup_weight(struct parse *p, const char *value, void *field)
{
	const struct cgroup_weight *weight = cgroup_weights;
	uint64_t number;
	(void)field;
	while (strcmp(weight->key, p->line->text.key) != 0) {
		weight++;
	}
	bool is_cpu = strcmp(weight->file, "cpu.weight") == 0;
	if (value[0] != '\0' && strcmp(value, "idle") == 0 && is_cpu) {
		cgroup_remove(p, weight->file, "");
		return cgroup_put(p, "cpu.idle", "1");
	}
	if (value[0] != '\0' && str_u64(value, weight->min, weight->max, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	if (is_cpu) {
		cgroup_remove(p, "cpu.idle", "");
	}
	cgroup_remove(p, weight->file, "default ");
	if (value[0] == '\0' && !is_cpu) {
		return 0;
	}
	if (value[0] == '\0') {
		cgroup_remove(p, weight->file, "");
		return 0;
	}
	number = cgroup_scale(number, weight->normal);
	if (is_cpu) {
		return cgroup_put_number(p, weight->file, number);
	}
	struct unit_cgroup_setting setting = {.file = weight->file,
		.value = arena_printf(p->arena, "default %llu", (unsigned long long)number)};
	return setting.value == NULL ? -ENOMEM
				     : cgroup_append(p->arena, p->unit->service, &setting);
}

/* --- time of the CPUs --- */

int parse_cpu_quota(struct parse *p, const char *value, void *field)
{
	uint64_t percent = 0;
	(void)field;
	if (value[0] != '\0' && (percent_parse(value, 10000000, &percent) < 0 || percent == 0)) {
		return parse_refuse(p, 0, value);
	}
	p->extra->cpu_quota_100 = (uint32_t)percent;
	return 0;
}

int parse_cpu_period(struct parse *p, const char *value, void *field)
{
	uint64_t span = 0;
	(void)field;
	int r = value[0] == '\0' ? 0 : parse_span(p, value, &span);
	if (r < 0) {
		return r;
	}
	if (value[0] != '\0' && span < NS_PER_MS) {
		parse_warn(p, 0, "\"%s\" is less than the kernel takes: 1ms", value);
		span = NS_PER_MS;
	} else if (span > NS_PER_SEC) {
		parse_warn(p, 0, "\"%s\" is more than the kernel takes: 1s", value);
		span = NS_PER_SEC;
	}
	p->extra->cpu_period_ns = span;
	return 0;
}

int cgroup_finish(struct arena *arena, struct unit_service *service, const struct unit_extra *extra)
{
	struct unit_cgroup_setting setting = {.file = "cpu.max"};
	if (extra->cpu_quota_100 == 0) {
		return 0;
	}
	uint64_t period = extra->cpu_period_ns != 0 ? extra->cpu_period_ns : PERIOD_DEFAULT;
	uint64_t quota = period * extra->cpu_quota_100 / 10000 / NS_PER_US;
	setting.value = arena_printf(arena, "%llu %llu",
		(unsigned long long)(quota < QUOTA_MIN_US ? QUOTA_MIN_US : quota),
		(unsigned long long)(period / NS_PER_US));
	return setting.value == NULL ? -ENOMEM : cgroup_append(arena, service, &setting);
}

/* --- CPUs and nodes --- */

int parse_cpuset(struct parse *p, const char *value, void *field)
{
	const char *file =
		strcmp(p->line->text.key, "AllowedCPUs") == 0 ? "cpuset.cpus" : "cpuset.mems";
	char *out = arena_alloc(p->arena, strlen(value) + 1);
	struct word word;
	size_t at = 0;
	size_t length = 0;
	int r;
	(void)field;
	if (value[0] == '\0') {
		cgroup_remove(p, file, "");
		return 0;
	}
	if (out == NULL) {
		return -ENOMEM;
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		if (!parse_is_ranges(word.text)) {
			return parse_refuse(p, word.offset, word.text);
		}
		if (length > 0) {
			out[length++] = ',';
		}
		memcpy(out + length, word.text, strlen(word.text));
		length += strlen(word.text);
	}
	return r < 0 ? r : cgroup_put(p, file, out);
}

/* --- devices --- */

/* "PATH AMOUNT": the first word of the value is a path, which becomes MAJ:MIN at the start. */
static const struct cgroup_device {
	const char *key, *file, *what;
} cgroup_devices[] = {
	{"BlockIODeviceWeight", "io.weight", ""},
	{"BlockIOReadBandwidth", "io.max", "rbps="},
	{"BlockIOWriteBandwidth", "io.max", "wbps="},
	{"IODeviceLatencyTargetSec", "io.latency", "target="},
	{"IODeviceWeight", "io.weight", ""},
	{"IOReadBandwidthMax", "io.max", "rbps="},
	{"IOReadIOPSMax", "io.max", "riops="},
	{"IOWriteBandwidthMax", "io.max", "wbps="},
	{"IOWriteIOPSMax", "io.max", "wiops="},
};

/* Bandwidths count in powers of 1000 (systemd.resource-control(5)). */
static int rate_parse(const char *text, uint64_t *out)
{
	static const char units[] = "KMGTP";
	char digits[32];
	size_t length = strspn(text, "0123456789");
	if (length == 0 || length >= sizeof(digits)) {
		return -EINVAL;
	}
	memcpy(digits, text, length);
	digits[length] = '\0';
	const char *unit = text[length] != '\0' ? strchr(units, text[length]) : NULL;
	if (text[length] != '\0' && (unit == NULL || text[length + 1] != '\0')) {
		return -EINVAL;
	}
	uint64_t scale = 1;
	for (const char *at = units; unit != NULL && at <= unit; at++) {
		scale *= 1000;
	}
	if (str_u64(digits, 1, INT64_MAX, out) < 0 || *out > INT64_MAX / scale) {
		return -EINVAL;
	}
	*out *= scale;
	return 0;
}

static int device_amount(const struct cgroup_device *device, const char *text, uint64_t *out)
{
	if (strcmp(device->file, "io.latency") == 0) {
		uint64_t span;
		int r = span_parse(text, NS_PER_SEC, &span);
		*out = span / NS_PER_US;
		return r < 0 || span == SPAN_INFINITY ? -EINVAL : 0;
	}
	if (strcmp(device->file, "io.weight") == 0) {
		bool old = device->key[0] == 'B';
		int r = str_u64(text, old ? 10 : 1, old ? 1000 : 10000, out);
		*out = r < 0 ? 0 : cgroup_scale(*out, old ? 500 : 100);
		return r;
	}
	return rate_parse(text, out);
}

int parse_cgroup_device(struct parse *p, const char *value, void *field)
{
	const struct cgroup_device *device = cgroup_devices;
	struct word path;
	const char *text = "";
	bool judge = true;
	uint64_t number = 0;
	size_t at = 0;
	(void)field;
	while (strcmp(device->key, p->line->text.key) != 0) {
		device++;
	}
	if (value[0] == '\0') {
		cgroup_remove(p, device->file, "/");
		return 0;
	}
	int r = parse_next_word(p, value, &at, 0, &path);
	if (r > 0) {
		r = parse_keep_word(p, &path, &text, &judge);
	}
	if (r < 0) {
		return r;
	}
	bool infinite = device->what[0] != '\0' && strcmp(value + at, "infinity") == 0;
	bool good = infinite || device_amount(device, value + at, &number) == 0;
	if (!good || (judge && (text[0] != '/' || strpbrk(text, " \t") != NULL))) {
		return parse_refuse(p, 0, value);
	}
	const char *head = arena_printf(p->arena, "%s %s", text, device->what);
	if (head == NULL) {
		return -ENOMEM;
	}
	cgroup_remove(p, device->file, head);
	struct unit_cgroup_setting setting = {.file = device->file};
	setting.value =
		infinite ? arena_printf(p->arena, "%smax", head)
			 : arena_printf(p->arena, "%s%llu", head, (unsigned long long)number);
	return setting.value == NULL ? -ENOMEM
				     : cgroup_append(p->arena, p->unit->service, &setting);
}

/* --- delegation --- */

int parse_delegate(struct parse *p, const char *value, void *field)
{
	static const char *const controllers[] = {"cpu", "cpuacct", "cpuset", "io", "blkio",
		"memory", "devices", "pids", "bpf-firewall", "bpf-devices", "bpf-foreign",
		"bpf-socket-bind", "bpf-restrict-network-interfaces", "bpf-bind-network-interface"};
	bool *out = field;
	struct word word;
	size_t at = 0;
	int r;
	int truth = str_bool(value);
	if (truth >= 0) {
		*out = truth > 0;
		return 0;
	}
	/* An empty value is yes, without further controllers: so has systemd it. */
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		size_t i = 0;
		size_t count = sizeof(controllers) / sizeof(controllers[0]);
		while (i < count && strcmp(controllers[i], word.text) != 0) {
			i++;
		}
		r = i < count ? 0 : parse_refuse(p, word.offset, word.text);
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	*out = r == 0 ? true : *out;
	return r;
}
