/*
 * SystemCallFilter= as a program of the kernel's filter machine: a search by number, for each
 * instruction set. libseccomp gives the numbers; by its own rules a list of four hundred calls
 * takes it twenty milliseconds, at each start.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "sandbox/calls.h"

#define PROGRAM_MAX 4096 /* the kernel's BPF_MAXINSNS */
#define X32_BIT     0x40000000U

struct program {
	struct sock_filter code[PROGRAM_MAX];
	uint32_t length;
	bool too_long;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	if (p->length == PROGRAM_MAX) {
		p->too_long = true;
	} else {
		p->code[p->length++] = (struct sock_filter){code, yes, no, k};
	}
}

/* --- one instruction set --- */

static bool has_name(uint32_t architecture, uint32_t number)
{
	char *name = seccomp_syscall_resolve_num_arch(architecture, (int)number);
	bool found = name != NULL;

	free(name);
	return found;
}

/* What becomes of each number; those that have no name are answered as an older kernel would. The
 * third set of x86 is not asked: nobody grows it. */
static void fill(
	uint32_t *actions, uint32_t architecture, uint32_t bit, const struct calls_filter *list)
{
	uint32_t otherwise = calls_action(list->everything ? CALLS_ALLOW : list->otherwise);
	uint32_t unknown = list->permits ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_ALLOW;
	static bool listed[CALLS_NUMBERS_MAX];

	memset(listed, 0, sizeof(listed));
	for (uint32_t i = 0; i < list->count; i++) {
		int number = seccomp_syscall_resolve_name_arch(architecture, list->calls[i].name);
		uint32_t place = (uint32_t)number & ~bit;

		if (number >= 0 && place < CALLS_NUMBERS_MAX) {
			actions[place] = calls_action(list->calls[i].action);
			listed[place] = true;
		}
	}
	for (uint32_t place = 0; place < CALLS_NUMBERS_MAX; place++) {
		if (!listed[place]) {
			bool known = list->permits && (bit != 0 || has_name(architecture, place));

			actions[place] = known ? otherwise : unknown;
		}
	}
}

/* The numbers at which the action changes, `starts`, are searched by halves. */
static void emit_search(struct program *p, const uint32_t *actions, const uint32_t *starts,
	uint32_t first, uint32_t end)
{
	uint32_t middle = first + (end - first) / 2, jump;

	if (end - first == 1) {
		emit(p, BPF_RET | BPF_K, actions[starts[first]], 0, 0);
		return;
	}
	/* A conditional jump reaches 255 instructions, a plain one all. */
	emit(p, BPF_JMP | BPF_JGE | BPF_K, starts[middle], 0, 1);
	jump = p->length;
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	emit_search(p, actions, starts, first, middle);
	if (!p->too_long) {
		p->code[jump].k = p->length - jump - 1;
	}
	emit_search(p, actions, starts, middle, end);
}

static void emit_set(
	struct program *p, uint32_t architecture, uint32_t bit, const struct calls_filter *list)
{
	/* One place more: all numbers from there on are like those without a name. */
	static uint32_t actions[CALLS_NUMBERS_MAX + 1], starts[CALLS_NUMBERS_MAX + 1];
	uint32_t count = 0;

	fill(actions, architecture, bit, list);
	actions[CALLS_NUMBERS_MAX] = list->permits ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_ALLOW;
	for (uint32_t i = 0; i <= CALLS_NUMBERS_MAX; i++) {
		if (i == 0 || actions[i] != actions[i - 1]) {
			starts[count++] = i;
		}
	}
	emit_search(p, actions, starts, 0, count);
}

/* --- all of them --- */

/* Its code runs when the process makes a call as that one; else it is jumped over. */
static void emit_architecture(
	struct program *p, uint32_t audit, uint32_t architecture, const struct calls_filter *list)
{
	uint32_t jump;

	emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, audit, 1, 0);
	jump = p->length;
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	if (architecture == SCMP_ARCH_X86_64) {
		/* The third one has the number of the first, and a bit. */
		uint32_t wide;

		emit(p, BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 1, 0);
		wide = p->length;
		emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
		emit(p, BPF_ALU | BPF_AND | BPF_K, ~X32_BIT, 0, 0);
		emit_set(p, SCMP_ARCH_X32, X32_BIT, list);
		if (!p->too_long) {
			p->code[wide].k = p->length - wide - 1;
		}
	}
	emit_set(p, architecture, 0, list);
	if (!p->too_long) {
		p->code[jump].k = p->length - jump - 1;
	}
}

int calls_load_list(const struct calls_filter *list)
{
	struct program *p = calloc(1, sizeof(*p));
	uint32_t native = seccomp_arch_native();
	struct sock_fprog loaded;
	int result;

	if (p == NULL) {
		return -ENOMEM;
	}
	emit_architecture(p, native, native, list);
	if (native == SCMP_ARCH_X86_64) {
		emit_architecture(p, SCMP_ARCH_X86, SCMP_ARCH_X86, list);
	} else if (native == SCMP_ARCH_AARCH64) {
		emit_architecture(p, SCMP_ARCH_ARM, SCMP_ARCH_ARM, list);
	}
	emit(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0); /* SystemCallArchitectures='s matter */
	loaded = (struct sock_fprog){(unsigned short)p->length, p->code};
	result = p->too_long                                               ? -E2BIG
		 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &loaded) < 0 ? -errno
									   : 0;
	free(p);
	return result;
}
