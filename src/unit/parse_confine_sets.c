/* Capabilities, system calls, address families and other sets of names: systemd.exec(5). */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/names.h"
#include "base/str.h"
#include "unit/confine.h"
#include "unit/word.h"

/* --- vocabularies --- */

static const char *const set_capabilities[] = {"CAP_CHOWN", "CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
	"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE",
	"CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN",
	"CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
	"CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE", NULL};

static const char *const set_families[] = {"AF_UNIX", "AF_LOCAL", "AF_INET", "AF_INET6",
	"AF_NETLINK", "AF_PACKET", "AF_ALG", "AF_AX25", "AF_IPX", "AF_APPLETALK", "AF_NETROM",
	"AF_BRIDGE", "AF_ATMPVC", "AF_X25", "AF_ROSE", "AF_DECnet", "AF_NETBEUI", "AF_SECURITY",
	"AF_KEY", "AF_ROUTE", "AF_ASH", "AF_ECONET", "AF_ATMSVC", "AF_RDS", "AF_SNA", "AF_IRDA",
	"AF_PPPOX", "AF_WANPIPE", "AF_LLC", "AF_IB", "AF_MPLS", "AF_CAN", "AF_TIPC", "AF_BLUETOOTH",
	"AF_IUCV", "AF_RXRPC", "AF_ISDN", "AF_PHONET", "AF_IEEE802154", "AF_CAIF", "AF_NFC",
	"AF_VSOCK", "AF_KCM", "AF_QIPCRTR", "AF_SMC", "AF_XDP", "AF_MCTP", NULL};

static const char *const set_namespaces[] = {
	"cgroup", "ipc", "net", "mnt", "pid", "user", "uts", "time", NULL};

static const char *const set_architectures[] = {"native", "x86", "x86-64", "x32", "arm", "arm64",
	"loongarch64", "mips", "mips-le", "mips64", "mips64-le", "mips64-n32", "mips64-le-n32",
	"parisc", "parisc64", "ppc", "ppc64", "ppc64-le", "riscv64", "s390", "s390x", NULL};

static const char *const set_secure_bits[] = {"keep-caps", "keep-caps-locked", "no-setuid-fixup",
	"no-setuid-fixup-locked", "noroot", "noroot-locked", NULL};

static const char *const set_dumps[] = {"default", "all", "private-anonymous", "shared-anonymous",
	"private-file-backed", "shared-file-backed", "elf-headers", "private-huge", "shared-huge",
	"private-dax", "shared-dax", NULL};

static const char *const set_groups[] = {"@aio", "@basic-io", "@chown", "@clock", "@cpu-emulation",
	"@debug", "@default", "@file-system", "@io-event", "@ipc", "@keyring", "@known", "@memlock",
	"@module", "@mount", "@network-io", "@obsolete", "@pkey", "@privileged", "@process",
	"@raw-io", "@reboot", "@resources", "@sandbox", "@setuid", "@signal", "@swap", "@sync",
	"@system-service", "@timer", NULL};

/* What is said of a word that is in no vocabulary. */
struct set_kind {
	const char *const *words;
	const char *what; /* "capability" */
	bool negatable;   /* "~" in front turns it round */
	bool any_case;
	bool refused; /* an unknown word spoils the whole; else it is left out, with a warning */
	bool numbers; /* hexadecimal ones besides */
	bool empty_is_a_set;
};

static const char *set_find(const struct set_kind *kind, const char *text)
{
	for (size_t i = 0; kind->words[i] != NULL; i++) {
		if (strcmp(kind->words[i], text) == 0 ||
			(kind->any_case && strcasecmp(kind->words[i], text) == 0)) {
			return kind->words[i];
		}
	}
	if (kind->numbers && text[0] != '\0' &&
		text[strspn(text, "0123456789abcdefABCDEFx")] == '\0') {
		return text;
	}
	return NULL;
}

/* The word that is meant by one that is nearly right, or that lacks its "CAP_" or "AF_". */
static const char *set_near(const struct set_kind *kind, const char *text)
{
	const char *best = NULL;
	unsigned best_distance = 3;
	for (size_t i = 0; kind->words[i] != NULL; i++) {
		const char *word = kind->words[i];
		const char *rest = strchr(word, '_');
		unsigned distance = str_distance(word, text);
		if (rest != NULL && strcasecmp(rest + 1, text) == 0) {
			distance = 0;
		}
		if (distance < best_distance) {
			best = word;
			best_distance = distance;
		}
	}
	return best;
}

static int set_say_unknown(
	struct parse *p, const struct set_kind *kind, const struct word *word, const char *text)
{
	char buf[MESSAGE_WORD_SIZE];
	const char *near = set_near(kind, text);
	message_word(buf, text);
	if (kind->refused) {
		return near == NULL ? parse_refuse(p, word->offset, text)
				    : parse_refuse_why(p, word->offset,
					      "\"%s\" is no %s; did you mean %s?", buf, kind->what,
					      near);
	}
	parse_warn(p, word->offset, "\"%s\" is no %s that is known, and is left out%s%s%s", buf,
		kind->what, near != NULL ? "; did you mean " : "", near != NULL ? near : "",
		near != NULL ? "?" : "");
	return 0;
}

static int parse_set(struct parse *p, const char *value, const struct set_kind *kind)
{
	const char *const *words = NULL;
	struct word word;
	bool negated = kind->negatable && value[0] == '~';
	size_t at = negated;
	int r;
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		const char *text = set_find(kind, word.text);
		r = text != NULL ? parse_append(p, &words, text)
				 : set_say_unknown(p, kind, &word, word.text);
		if (r < 0) {
			return r;
		}
	}
	if (r < 0 || (words == NULL && !negated && !kind->empty_is_a_set)) {
		return r;
	}
	return confine_add_words(p, negated ? "~" : "", words, ' ');
}

/* Here an empty value is the empty set, and takes the earlier ones back all the same. */
int parse_confine_capabilities(struct parse *p, const char *value, void *field)
{
	static const struct set_kind kind = {.words = set_capabilities,
		.what = "capability",
		.negatable = true,
		.any_case = true,
		.empty_is_a_set = true};
	(void)field;
	bool bounding = strcmp(confine_key(p), "CapabilityBoundingSet") == 0;
	if (value[0] == '\0') {
		return bounding ? confine_put(p, "") : confine_remove(p);
	}
	return parse_set(p, value, &kind);
}

int parse_confine_families(struct parse *p, const char *value, void *field)
{
	static const struct set_kind kind = {
		.words = set_families, .what = "address family", .negatable = true};
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	return strcmp(value, "none") == 0 ? confine_put(p, "none") : parse_set(p, value, &kind);
}

int parse_confine_namespaces(struct parse *p, const char *value, void *field)
{
	static const struct set_kind kind = {.words = set_namespaces,
		.what = "kind of namespace",
		.negatable = true,
		.refused = true};
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	int truth = str_bool(value);
	return truth >= 0 ? confine_put(p, truth > 0 ? "yes" : "no") : parse_set(p, value, &kind);
}

int parse_confine_architectures(struct parse *p, const char *value, void *field)
{
	static const struct set_kind kind = {
		.words = set_architectures, .what = "architecture of system calls"};
	(void)field;
	return value[0] == '\0' ? confine_remove(p) : parse_set(p, value, &kind);
}

int parse_confine_secure_bits(struct parse *p, const char *value, void *field)
{
	static const struct set_kind kind = {.words = set_secure_bits, .what = "secure bit"};
	(void)field;
	return value[0] == '\0' ? confine_remove(p) : parse_set(p, value, &kind);
}

int parse_confine_dumps(struct parse *p, const char *value, void *field)
{
	static const struct set_kind kind = {.words = set_dumps,
		.what = "kind of memory mapping",
		.refused = true,
		.numbers = true};
	(void)field;
	return value[0] == '\0' ? confine_remove(p) : parse_set(p, value, &kind);
}

/* --- system calls --- */

/* "EPERM", "1", "kill". */
static bool confine_is_error(const char *text)
{
	uint64_t number;
	if (strcmp(text, "kill") == 0 || str_u64(text, 0, 4095, &number) == 0) {
		return true;
	}
	for (int code = 1; code < 134; code++) {
		if (strcmp(errno_name(code), text) == 0) {
			return true;
		}
	}
	return false;
}

int parse_confine_error(struct parse *p, const char *value, void *field)
{
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	return confine_is_error(value) ? confine_put(p, value) : parse_refuse(p, 0, value);
}

/* "open", "@file-system", either with ":EPERM". Returns 1 when it is to be kept, 0 when it was told
 * to be left out, or -EINVAL. */
static int confine_check_call(struct parse *p, const struct word *word, bool with_error)
{
	static const struct set_kind groups = {
		.words = set_groups, .what = "group of system calls"};
	char name[64];
	size_t length = strcspn(word->text, ":");
	if (length == 0 || length >= sizeof(name)) {
		return parse_refuse(p, word->offset, word->text);
	}
	memcpy(name, word->text, length);
	name[length] = '\0';
	if (word->text[length] == ':' &&
		(!with_error || !confine_is_error(word->text + length + 1))) {
		return parse_refuse_why(p, word->offset,
			"\"%s\": there is no error \"%s\" that a call could return", name,
			word->text + length + 1);
	}
	if (name[0] == '@') {
		return set_find(&groups, name) != NULL ? 1
						       : set_say_unknown(p, &groups, word, name);
	}
	for (const char *at = name; *at != '\0'; at++) {
		if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) && *at != '_') {
			return parse_refuse_why(p, word->offset,
				"\"%s\" cannot be the name of a system call", name);
		}
	}
	return 1;
}

int parse_confine_calls(struct parse *p, const char *value, void *field)
{
	const char *const *words = NULL;
	struct word word;
	bool negated = value[0] == '~';
	bool with_error = strcmp(confine_key(p), "SystemCallFilter") == 0;
	size_t at = negated;
	int r;
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		r = confine_check_call(p, &word, with_error);
		if (r > 0) {
			r = parse_append(p, &words, word.text);
		}
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	if (r < 0 || (words == NULL && !negated)) {
		return r;
	}
	return confine_add_words(p, negated ? "~" : "", words, ' ');
}
