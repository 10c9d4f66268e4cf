/*
 * Conditions: facts about the system that a unit may ask for before it is started.
 *
 * What it owns: the meaning of each Condition…= and Assert…= of systemd.unit(5). What it never
 * does: ask a directory service (NSS), wait for anybody, or know of units and of what follows from
 * the answer. Files: condition.c words and files, condition_host.c the machine,
 * condition_virtual.c what it runs in.
 *
 * Source of rules: systemd.unit(5), "CONDITIONS AND ASSERTS".
 */
#ifndef PROCESS_CONDITION_H
#define PROCESS_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

/* "ConditionPathExists=|!/x", or the same with Assert. */
struct condition {
	bool is_assert, trigger, negated; /* "Assert…", "|", "!" */
	bool known;                       /* false: it is taken as holding */
	bool holds;                       /* after the negation */
};
void condition_check(const char *text, struct condition *out);

/* All conditions of a unit: NULL-terminated, may be NULL. Asserts and conditions are judged apart;
 * of each, all without "|" must hold, and one of those with it. */
enum condition_verdict { CONDITIONS_HOLD, CONDITIONS_SKIP, CONDITIONS_FAIL };
/* *culprit: the text of what does not hold (of several with "|" the first); NULL when all do. */
enum condition_verdict conditions_judge(const char *const *list, const char **culprit);

/* For tests: put before every path of the system's own (not before those of the unit). */
extern const char *condition_root;

/* --- shared by its files --- */

#define CONDITION_TEXT_SIZE 65536
/* The first bytes of a system file as text without trailing white space; false when it cannot be
 * read. */
bool condition_read(const char *path, char *buf, size_t size);
bool condition_exists(const char *path);

/* "OP VALUE" against a version, and a number; `glob`: a version without an operator is a glob. */
bool condition_compare_version(const char *have, const char *wanted, bool glob);
bool condition_compare_number(unsigned long long have, const char *wanted, bool is_bytes);
/* The next word of a list, quotes taken off; false at the end. */
bool condition_word(const char **text, char *word, size_t size);

/* What the system runs in: "none", or systemd's word ("docker", "kvm", …). */
const char *condition_container(char *buf, size_t size);
const char *condition_vm(void);

bool condition_virtualization(const char *argument);
bool condition_architecture(const char *argument);
bool condition_host(const char *argument);
bool condition_kernel_command_line(const char *argument);
bool condition_kernel_version(const char *argument);
bool condition_environment(const char *argument);
bool condition_user(const char *argument);
bool condition_group(const char *argument);
bool condition_capability(const char *argument);
bool condition_security(const char *argument);
bool condition_ac_power(const char *argument);
bool condition_first_boot(const char *argument);
bool condition_needs_update(const char *argument);
bool condition_cpus(const char *argument);
bool condition_memory(const char *argument);
bool condition_cgroup_controller(const char *argument);
bool condition_os_release(const char *argument);
bool condition_cpu_feature(const char *argument);
bool condition_firmware(const char *argument);

#endif
