#include "base/compat.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static int compat_result(long value)
{
	return value < 0 ? -errno : (int)value;
}

int compat_pidfd_open(pid_t pid, unsigned flags)
{
	return compat_result(syscall(SYS_pidfd_open, pid, flags));
}

int compat_pidfd_send_signal(int pidfd, int signo, unsigned flags)
{
	return compat_result(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, flags));
}

/* The C library has no wrapper that runs a child on a stack of its own. Nothing of the caller's
 * frame may be touched by the child, so the call and the jump are one piece. */
int compat_clone3(const struct compat_clone *clone, int (*run)(void *context), void *context)
{
	long result = -ENOSYS;
#if defined(__x86_64__)
	register void *argument __asm__("r12") = context;
	register int (*function)(void *) __asm__("r13") = run;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "call *%%r13\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "0"((long)SYS_clone3), "D"(clone), "S"(sizeof(*clone)), "r"(argument),
			 "r"(function)
			 : "rcx", "r11", "memory", "cc");
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone3;
	register long first __asm__("x0") = (long)clone;
	register long second __asm__("x1") = (long)sizeof(*clone);
	register void *argument __asm__("x19") = context;
	register int (*function)(void *) __asm__("x20") = run;
	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, #0\n\t"
			 "mov x0, x19\n\t"
			 "blr x20\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(first)
			 : "r"(number), "r"(second), "r"(argument), "r"(function)
			 : "memory", "cc");
	result = first;
#else
	(void)clone;
	(void)run;
	(void)context;
#endif
	return (int)result;
}

int compat_close_range(unsigned first, unsigned last, unsigned flags)
{
	return compat_result(syscall(SYS_close_range, first, last, flags));
}

int compat_waitid(int idtype, pid_t id, siginfo_t *info, int options, struct rusage *usage)
{
	return compat_result(syscall(SYS_waitid, idtype, id, info, options, usage));
}

int compat_signal_default(int signo)
{
	/* The kernel's struct sigaction, whose mask is eight bytes: all zero is SIG_DFL. */
	static const struct {
		unsigned long handler, flags, restorer, mask;
	} by_default;
	return compat_result(syscall(SYS_rt_sigaction, signo, &by_default, NULL, 8));
}
