/* The bounding set, ambient capabilities and secure bits, around the change of the user. */
#include <errno.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "process/spawn.h"
#include "sandbox/internal.h"

#define BIT(capability) (UINT64_C(1) << (capability))

/* The words of one assignment. What this kernel or libcap does not know is left out. */
static uint64_t parse_words(const char *value)
{
	uint64_t set = 0;
	char word[64];

	while (sandbox_word(&value, word, sizeof(word))) {
		cap_value_t capability;

		if (cap_from_name(word, &capability) == 0 && capability < 64) {
			set |= BIT(capability);
		}
	}
	return set;
}

/* systemd.exec(5): without a value none; the first assignment stands for itself, later ones add to
 * it, or take from it with "~". */
uint64_t sandbox_capability_set(const struct sandbox *s, const char *key, uint64_t initial)
{
	uint64_t set = initial;
	const char *value;
	uint32_t at = 0;

	while ((value = sandbox_next(s, key, &at)) != NULL) {
		bool inverted = *value == '~';
		uint64_t words = parse_words(value + inverted);

		if (words == 0 || set == initial) {
			set = inverted ? ~words : words;
		} else {
			set = inverted ? set & ~words : set | words;
		}
	}
	return set;
}

/* What other settings take from the bounding set (systemd.exec(5), at each of them). */
static uint64_t implied_drops(const struct sandbox *s)
{
	uint64_t drops = 0;

	drops |= sandbox_yes(s, "ProtectKernelModules") ? BIT(CAP_SYS_MODULE) : 0;
	drops |= sandbox_yes(s, "ProtectKernelLogs") ? BIT(CAP_SYSLOG) : 0;
	drops |= sandbox_yes(s, "ProtectClock") ? BIT(CAP_SYS_TIME) | BIT(CAP_WAKE_ALARM) : 0;
	drops |= sandbox_yes(s, "PrivateDevices") ? BIT(CAP_MKNOD) | BIT(CAP_SYS_RAWIO) : 0;
	return drops;
}

static void drop_bounds(const struct sandbox *s)
{
	uint64_t keep = sandbox_capability_set(s, "CapabilityBoundingSet", ~UINT64_C(0));
	int failed = 0;

	keep &= ~implied_drops(s);
	for (cap_value_t cap = 0; cap < 64; cap++) {
		if ((keep & BIT(cap)) == 0 && cap_get_bound(cap) > 0 && cap_drop_bound(cap) < 0) {
			failed = errno;
		}
	}
	/* Who may not do this has no capabilities that they could be taken from: what an implied
	 * drop is for holds already. */
	if (failed != 0 && sandbox_get(s, "CapabilityBoundingSet") != NULL) {
		sandbox_miss(s, "CapabilityBoundingSet",
			"coppice has no CAP_SETPCAP to drop capabilities with: %s",
			strerror(failed));
	}
}

/* Sets our three sets, those in `ambient` in each, `extra` in the effective one besides, as far as
 * we are permitted. `only` drops the rest. */
static int set_own(uint64_t ambient, uint64_t extra, bool only)
{
	cap_t caps = cap_get_proc();
	int result;

	if (caps == NULL) {
		return -errno;
	}
	for (cap_value_t cap = 0; cap < 64 && CAP_IS_SUPPORTED(cap); cap++) {
		cap_flag_value_t permitted = CAP_CLEAR;
		bool wanted = (ambient & BIT(cap)) != 0, used = wanted || (extra & BIT(cap)) != 0;

		cap_get_flag(caps, cap, CAP_PERMITTED, &permitted);
		if (wanted) {
			cap_set_flag(caps, CAP_INHERITABLE, 1, &cap, CAP_SET);
		}
		if (used && permitted == CAP_SET) {
			cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, CAP_SET);
		} else if (only && !wanted) {
			cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, CAP_CLEAR);
			cap_set_flag(caps, CAP_PERMITTED, 1, &cap, CAP_CLEAR);
		}
	}
	result = cap_set_proc(caps) < 0 ? -errno : 0;
	cap_free(caps);
	return result;
}

static _Noreturn void fail_ambient(uint64_t set, int error)
{
	for (cap_value_t cap = 0; cap < 64 && CAP_IS_SUPPORTED(cap); cap++) {
		cap_flag_value_t permitted = CAP_CLEAR;
		cap_t caps = cap_get_proc();
		char *name;

		if (caps != NULL) {
			cap_get_flag(caps, cap, CAP_PERMITTED, &permitted);
			cap_free(caps);
		}
		name = (set & BIT(cap)) != 0 && permitted == CAP_CLEAR ? cap_to_name(cap) : NULL;
		if (name != NULL) {
			sandbox_fail(PROCESS_HELPER_CAPABILITIES,
				"cannot give the service %s, which coppice does not have itself: "
				"%s",
				name, strerror(error));
		}
	}
	sandbox_fail(PROCESS_HELPER_CAPABILITIES, "cannot give the service its capabilities: %s",
		strerror(error));
}

static void raise_ambient(uint64_t set)
{
	int failed = set_own(set, BIT(CAP_SETPCAP), false);

	if (failed < 0) {
		fail_ambient(set, -failed);
	}
	for (cap_value_t cap = 0; cap < 64; cap++) {
		if ((set & BIT(cap)) != 0 && CAP_IS_SUPPORTED(cap) &&
			cap_set_ambient(cap, CAP_SET) < 0) {
			fail_ambient(set, errno);
		}
	}
}

/* --- secure bits --- */

static unsigned parse_secure_bits(const struct sandbox *s)
{
	static const struct {
		const char *word;
		unsigned bit;
	} known[] = {{"keep-caps", SECBIT_KEEP_CAPS}, {"keep-caps-locked", SECBIT_KEEP_CAPS_LOCKED},
		{"no-setuid-fixup", SECBIT_NO_SETUID_FIXUP},
		{"no-setuid-fixup-locked", SECBIT_NO_SETUID_FIXUP_LOCKED},
		{"noroot", SECBIT_NOROOT}, {"noroot-locked", SECBIT_NOROOT_LOCKED}};
	unsigned bits = 0;
	const char *value;
	uint32_t at = 0;
	char word[64];

	while ((value = sandbox_next(s, "SecureBits", &at)) != NULL) {
		while (sandbox_word(&value, word, sizeof(word))) {
			for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
				bits |= strcmp(word, known[i].word) == 0 ? known[i].bit : 0;
			}
		}
	}
	return bits;
}

static void set_secure_bits(const struct sandbox *s, unsigned bits)
{
	if (prctl(PR_SET_SECUREBITS, (unsigned long)bits, 0, 0, 0) < 0) {
		sandbox_miss(s, "SecureBits", "coppice has no CAP_SETPCAP to set them with: %s",
			strerror(errno));
	}
}

/* --- the whole --- */

void sandbox_capabilities_apply(struct sandbox *s)
{
	/* cap_max_bits() is what the kernel knows: "~X" means all others of those. */
	uint64_t known = (UINT64_C(1) << cap_max_bits()) - 1;
	uint64_t ambient = sandbox_capability_set(s, "AmbientCapabilities", 0) & known;
	unsigned bits = parse_secure_bits(s);
	bool changes = s->extent == SANDBOX_WHOLE && s->who.set_user && s->who.uid != 0;

	drop_bounds(s);
	if (changes && (ambient != 0 || bits != 0)) {
		/* Else the change of the user takes all of them. */
		prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	}
	if (s->extent == SANDBOX_WHOLE) {
		sandbox_identity_user(s);
	}
	if (ambient != 0) {
		raise_ambient(ambient);
	} else if (bits != 0) {
		set_own(0, BIT(CAP_SETPCAP), false);
	}
	if (bits != 0) {
		set_secure_bits(s, bits);
	}
	if (changes && (ambient != 0 || bits != 0)) {
		set_own(ambient, 0, true);
		prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	}
}
