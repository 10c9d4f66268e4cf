#include "base/names.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define S(name) [SIG##name] = #name
static const char *const signal_names[] = {
	S(HUP),
	S(INT),
	S(QUIT),
	S(ILL),
	S(TRAP),
	S(ABRT),
	S(BUS),
	S(FPE),
	S(KILL),
	S(USR1),
	S(SEGV),
	S(USR2),
	S(PIPE),
	S(ALRM),
	S(TERM),
	S(STKFLT),
	S(CHLD),
	S(CONT),
	S(STOP),
	S(TSTP),
	S(TTIN),
	S(TTOU),
	S(URG),
	S(XCPU),
	S(XFSZ),
	S(VTALRM),
	S(PROF),
	S(WINCH),
	S(IO),
	S(PWR),
	S(SYS),
};
#undef S

/* The C library keeps the first two real-time signals (32, 33) to itself. */
#define REALTIME_FIRST 34
#define REALTIME_LAST  64

static const char *const realtime_names[REALTIME_LAST - REALTIME_FIRST + 1] = {
	"RTMIN",
	"RTMIN+1",
	"RTMIN+2",
	"RTMIN+3",
	"RTMIN+4",
	"RTMIN+5",
	"RTMIN+6",
	"RTMIN+7",
	"RTMIN+8",
	"RTMIN+9",
	"RTMIN+10",
	"RTMIN+11",
	"RTMIN+12",
	"RTMIN+13",
	"RTMIN+14",
	"RTMIN+15",
	"RTMIN+16",
	"RTMIN+17",
	"RTMIN+18",
	"RTMIN+19",
	"RTMIN+20",
	"RTMIN+21",
	"RTMIN+22",
	"RTMIN+23",
	"RTMIN+24",
	"RTMIN+25",
	"RTMIN+26",
	"RTMIN+27",
	"RTMIN+28",
	"RTMIN+29",
	"RTMIN+30",
};

#define N(name) [name] = #name
static const char *const errno_names[] = {
	N(EPERM),
	N(ENOENT),
	N(ESRCH),
	N(EINTR),
	N(EIO),
	N(ENXIO),
	N(E2BIG),
	N(ENOEXEC),
	N(EBADF),
	N(ECHILD),
	N(EAGAIN),
	N(ENOMEM),
	N(EACCES),
	N(EFAULT),
	N(ENOTBLK),
	N(EBUSY),
	N(EEXIST),
	N(EXDEV),
	N(ENODEV),
	N(ENOTDIR),
	N(EISDIR),
	N(EINVAL),
	N(ENFILE),
	N(EMFILE),
	N(ENOTTY),
	N(ETXTBSY),
	N(EFBIG),
	N(ENOSPC),
	N(ESPIPE),
	N(EROFS),
	N(EMLINK),
	N(EPIPE),
	N(EDOM),
	N(ERANGE),
	N(EDEADLK),
	N(ENAMETOOLONG),
	N(ENOLCK),
	N(ENOSYS),
	N(ENOTEMPTY),
	N(ELOOP),
	N(ENOMSG),
	N(EIDRM),
	N(ECHRNG),
	N(EL2NSYNC),
	N(EL3HLT),
	N(EL3RST),
	N(ELNRNG),
	N(EUNATCH),
	N(ENOCSI),
	N(EL2HLT),
	N(EBADE),
	N(EBADR),
	N(EXFULL),
	N(ENOANO),
	N(EBADRQC),
	N(EBADSLT),
	N(EBFONT),
	N(ENOSTR),
	N(ENODATA),
	N(ETIME),
	N(ENOSR),
	N(ENONET),
	N(ENOPKG),
	N(EREMOTE),
	N(ENOLINK),
	N(EADV),
	N(ESRMNT),
	N(ECOMM),
	N(EPROTO),
	N(EMULTIHOP),
	N(EDOTDOT),
	N(EBADMSG),
	N(EOVERFLOW),
	N(ENOTUNIQ),
	N(EBADFD),
	N(EREMCHG),
	N(ELIBACC),
	N(ELIBBAD),
	N(ELIBSCN),
	N(ELIBMAX),
	N(ELIBEXEC),
	N(EILSEQ),
	N(ERESTART),
	N(ESTRPIPE),
	N(EUSERS),
	N(ENOTSOCK),
	N(EDESTADDRREQ),
	N(EMSGSIZE),
	N(EPROTOTYPE),
	N(ENOPROTOOPT),
	N(EPROTONOSUPPORT),
	N(ESOCKTNOSUPPORT),
	N(EOPNOTSUPP),
	N(EPFNOSUPPORT),
	N(EAFNOSUPPORT),
	N(EADDRINUSE),
	N(EADDRNOTAVAIL),
	N(ENETDOWN),
	N(ENETUNREACH),
	N(ENETRESET),
	N(ECONNABORTED),
	N(ECONNRESET),
	N(ENOBUFS),
	N(EISCONN),
	N(ENOTCONN),
	N(ESHUTDOWN),
	N(ETOOMANYREFS),
	N(ETIMEDOUT),
	N(ECONNREFUSED),
	N(EHOSTDOWN),
	N(EHOSTUNREACH),
	N(EALREADY),
	N(EINPROGRESS),
	N(ESTALE),
	N(EUCLEAN),
	N(ENOTNAM),
	N(ENAVAIL),
	N(EISNAM),
	N(EREMOTEIO),
	N(EDQUOT),
	N(ENOMEDIUM),
	N(EMEDIUMTYPE),
	N(ECANCELED),
	N(ENOKEY),
	N(EKEYEXPIRED),
	N(EKEYREVOKED),
	N(EKEYREJECTED),
	N(EOWNERDEAD),
	N(ENOTRECOVERABLE),
	N(ERFKILL),
	N(EHWPOISON),
};
#undef N

/* sysexits.h, the LSB's statuses of init scripts, and those of systemd.exec(5). */
static const struct {
	const char *name;
	uint8_t status;
} exit_names[] = {
	{"SUCCESS", 0},
	{"FAILURE", 1},
	{"INVALIDARGUMENT", 2},
	{"NOTIMPLEMENTED", 3},
	{"NOPERMISSION", 4},
	{"NOTINSTALLED", 5},
	{"NOTCONFIGURED", 6},
	{"NOTRUNNING", 7},
	{"USAGE", 64},
	{"DATAERR", 65},
	{"NOINPUT", 66},
	{"NOUSER", 67},
	{"NOHOST", 68},
	{"UNAVAILABLE", 69},
	{"SOFTWARE", 70},
	{"OSERR", 71},
	{"OSFILE", 72},
	{"CANTCREAT", 73},
	{"IOERR", 74},
	{"TEMPFAIL", 75},
	{"PROTOCOL", 76},
	{"NOPERM", 77},
	{"CONFIG", 78},
	{"CHDIR", 200},
	{"NICE", 201},
	{"FDS", 202},
	{"EXEC", 203},
	{"MEMORY", 204},
	{"LIMITS", 205},
	{"OOM_ADJUST", 206},
	{"SIGNAL_MASK", 207},
	{"STDIN", 208},
	{"STDOUT", 209},
	{"CHROOT", 210},
	{"IOPRIO", 211},
	{"TIMERSLACK", 212},
	{"SECUREBITS", 213},
	{"SETSCHEDULER", 214},
	{"CPUAFFINITY", 215},
	{"GROUP", 216},
	{"USER", 217},
	{"CAPABILITIES", 218},
	{"CGROUP", 219},
	{"SETSID", 220},
	{"CONFIRM", 221},
	{"STDERR", 222},
	{"PAM", 224},
	{"NETWORK", 225},
	{"NAMESPACE", 226},
	{"NO_NEW_PRIVILEGES", 227},
	{"SECCOMP", 228},
	{"SELINUX_CONTEXT", 229},
	{"PERSONALITY", 230},
	{"APPARMOR_PROFILE", 231},
	{"ADDRESS_FAMILIES", 232},
	{"RUNTIME_DIRECTORY", 233},
	{"CHOWN", 235},
	{"SMACK_PROCESS_LABEL", 236},
	{"KEYRING", 237},
	{"STATE_DIRECTORY", 238},
	{"CACHE_DIRECTORY", 239},
	{"LOGS_DIRECTORY", 240},
	{"CONFIGURATION_DIRECTORY", 241},
	{"NUMA_POLICY", 242},
	{"CREDENTIALS", 243},
	{"BPF", 245},
};

const char *signal_name(int signo)
{
	if (signo > 0 && (size_t)signo < COUNT(signal_names)) {
		return signal_names[signo];
	}
	if (signo >= REALTIME_FIRST && signo <= REALTIME_LAST) {
		return realtime_names[signo - REALTIME_FIRST];
	}
	return NULL;
}

/* "+3" behind RTMIN or "-1" behind RTMAX; nothing is 0. */
static int signal_parse_offset(const char *text, int base, char sign)
{
	uint64_t offset = 0;
	if (*text != '\0') {
		if (*text != sign ||
			str_u64(text + 1, 0, REALTIME_LAST - REALTIME_FIRST, &offset) < 0) {
			return -EINVAL;
		}
	}
	return sign == '+' ? base + (int)offset : base - (int)offset;
}

int signal_parse(const char *text)
{
	uint64_t number;
	if (str_u64(text, 1, REALTIME_LAST, &number) == 0) {
		return signal_name((int)number) != NULL ? (int)number : -EINVAL;
	}
	if (strncasecmp(text, "SIG", 3) == 0) {
		text += 3;
	}
	if (strncasecmp(text, "RTMIN", 5) == 0) {
		return signal_parse_offset(text + 5, REALTIME_FIRST, '+');
	}
	if (strncasecmp(text, "RTMAX", 5) == 0) {
		return signal_parse_offset(text + 5, REALTIME_LAST, '-');
	}
	for (size_t i = 1; i < COUNT(signal_names); i++) {
		if (signal_names[i] != NULL && strcasecmp(text, signal_names[i]) == 0) {
			return (int)i;
		}
	}
	/* Old names of the same numbers. */
	if (strcasecmp(text, "IOT") == 0) {
		return SIGABRT;
	}
	if (strcasecmp(text, "POLL") == 0) {
		return SIGIO;
	}
	if (strcasecmp(text, "CLD") == 0) {
		return SIGCHLD;
	}
	return -EINVAL;
}

int exit_status_parse(const char *text)
{
	uint64_t number;
	if (str_u64(text, 0, 255, &number) == 0) {
		return (int)number;
	}
	if (str_starts(text, "EX_") || str_starts(text, "EXIT_")) {
		text = strchr(text, '_') + 1;
	}
	for (size_t i = 0; i < COUNT(exit_names); i++) {
		if (strcmp(text, exit_names[i].name) == 0) {
			return exit_names[i].status;
		}
	}
	return -EINVAL;
}

const char *errno_name(int code)
{
	if (code > 0 && (size_t)code < COUNT(errno_names) && errno_names[code] != NULL) {
		return errno_names[code];
	}
	return "EUNKNOWN";
}
