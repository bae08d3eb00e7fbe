/* The kernel's interface as far as lambdad-init uses it: call numbers, the call
 * instruction, and constants. Neither a C library nor the kernel's headers are
 * needed, so that any C compiler builds the program. */
#ifndef KERNEL_H
#define KERNEL_H

typedef __UINT8_TYPE__ u8;
typedef __UINT16_TYPE__ u16;
typedef __UINT32_TYPE__ u32;
typedef __INT32_TYPE__ i32;
typedef __UINT64_TYPE__ u64;
typedef __SIZE_TYPE__ size_t;

#if defined(__x86_64__)
enum {
	SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_rt_sigaction = 13, SYS_rt_sigprocmask = 14, SYS_ioctl = 16,
	SYS_socket = 41, SYS_connect = 42, SYS_sendmsg = 46, SYS_recvmsg = 47, SYS_bind = 49, SYS_listen = 50, SYS_setsockopt = 54,
	SYS_clone = 56, SYS_execve = 59, SYS_exit = 60, SYS_wait4 = 61, SYS_kill = 62, SYS_chdir = 80,
	SYS_geteuid = 107, SYS_setpgid = 109, SYS_setsid = 112, SYS_setgroups = 116, SYS_setresuid = 117,
	SYS_setresgid = 119, SYS_capget = 125, SYS_capset = 126, SYS_pivot_root = 155, SYS_prctl = 157, SYS_mount = 165,
	SYS_umount2 = 166, SYS_sethostname = 170, SYS_exit_group = 231, SYS_openat = 257, SYS_mkdirat = 258,
	SYS_unlinkat = 263, SYS_symlinkat = 266, SYS_ppoll = 271, SYS_signalfd4 = 289, SYS_dup3 = 292, SYS_pipe2 = 293,
	SYS_prlimit64 = 302, SYS_setns = 308, SYS_seccomp = 317,
};

static inline long call6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
enum {
	SYS_dup3 = 24, SYS_ioctl = 29, SYS_mkdirat = 34, SYS_unlinkat = 35, SYS_symlinkat = 36, SYS_umount2 = 39,
	SYS_mount = 40, SYS_pivot_root = 41, SYS_chdir = 49, SYS_openat = 56, SYS_close = 57, SYS_pipe2 = 59,
	SYS_read = 63, SYS_write = 64, SYS_ppoll = 73, SYS_signalfd4 = 74, SYS_capget = 90, SYS_capset = 91,
	SYS_exit = 93, SYS_exit_group = 94, SYS_kill = 129, SYS_rt_sigaction = 134, SYS_rt_sigprocmask = 135,
	SYS_setresuid = 147, SYS_setresgid = 149, SYS_setpgid = 154, SYS_setsid = 157, SYS_setgroups = 159,
	SYS_sethostname = 161, SYS_prctl = 167, SYS_geteuid = 175, SYS_socket = 198, SYS_bind = 200, SYS_listen = 201,
	SYS_connect = 203, SYS_setsockopt = 208, SYS_sendmsg = 211, SYS_recvmsg = 212, SYS_clone = 220, SYS_execve = 221, SYS_wait4 = 260,
	SYS_prlimit64 = 261, SYS_setns = 268, SYS_seccomp = 277,
};

static inline long call6(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "lambdad-init knows x86-64 and arm64 only"
#endif

/* Newer calls have the same number everywhere. */
enum {
	SYS_open_tree = 428, SYS_move_mount = 429, SYS_fsopen = 430, SYS_fsconfig = 431, SYS_fsmount = 432,
	SYS_clone3 = 435, SYS_close_range = 436, SYS_mount_setattr = 442,
};

/* CALL(number, ...) with up to six arguments, the missing ones 0. */
#define CALL(...) CALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(n, a, b, c, d, e, f, ...) \
	call6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

enum { ENOENT = 2, ESRCH = 3, EINTR = 4, EAGAIN = 11, ENOMEM = 12, EEXIST = 17, ENOTDIR = 20, EINVAL = 22, ENAMETOOLONG = 36, EPROTO = 71 };

enum { AT_FDCWD = -100, AT_REMOVEDIR = 0x200, AT_EMPTY_PATH = 0x1000, AT_RECURSIVE = 0x8000 };
enum { O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_EXCL = 0200, O_CLOEXEC = 02000000, O_PATH = 010000000 };
#if defined(__x86_64__)
enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };
#else
enum { O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };
#endif

enum {
	MS_RDONLY = 1, MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8, MS_BIND = 4096, MS_REC = 16384, MS_PRIVATE = 1 << 18,
	MNT_DETACH = 2,
	OPEN_TREE_CLONE = 1, MOVE_MOUNT_F_EMPTY_PATH = 4, FSOPEN_CLOEXEC = 1, FSMOUNT_CLOEXEC = 1,
	FSCONFIG_SET_STRING = 1, FSCONFIG_CMD_CREATE = 6,
	MOUNT_ATTR_RDONLY = 1, MOUNT_ATTR_NOSUID = 2, MOUNT_ATTR_NODEV = 4, MOUNT_ATTR_NOEXEC = 8,
};
struct mount_attr { u64 set, clear, propagation, userns; };

#define CLONE_VM 0x100ul
#define CLONE_FILES 0x400ul
#define CLONE_PIDFD 0x1000ul
#define CLONE_VFORK 0x4000ul
#define CLONE_PARENT 0x8000ul
#define CLONE_NEWNS 0x20000ul
#define CLONE_NEWCGROUP 0x2000000ul
#define CLONE_NEWUTS 0x4000000ul
#define CLONE_NEWIPC 0x8000000ul
#define CLONE_NEWUSER 0x10000000ul
#define CLONE_NEWPID 0x20000000ul
#define CLONE_NEWNET 0x40000000ul
#define CLONE_INTO_CGROUP 0x200000000ul
struct clone_args { u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; };

enum { SIGKILL = 9, SIGCHLD = 17, SIGNALS = 64, SIG_SETMASK = 2, SIG_IGNORE = 1, SFD_CLOEXEC = O_CLOEXEC };
struct sigaction { u64 handler, flags, restorer, mask; };
enum { WNOHANG = 1 };
struct rusage { u64 times[4], maxrss, rest[13]; };

enum {
	PR_SET_PDEATHSIG = 1, PR_SET_DUMPABLE = 4, PR_SET_NAME = 15, PR_CAPBSET_DROP = 24, PR_SET_SECUREBITS = 28,
	PR_SET_NO_NEW_PRIVS = 38, PR_CAP_AMBIENT = 47, PR_CAP_AMBIENT_CLEAR_ALL = 4,
	SECBIT_NO_SETUID_FIXUP = 4,
};
enum {
	CAP_DAC_OVERRIDE = 1, CAP_FOWNER = 3, CAP_SETPCAP = 8, CAP_NET_BIND_SERVICE = 10, CAP_NET_ADMIN = 12, CAP_SYS_ADMIN = 21,
	CAP_VERSION = 0x20080522, CAP_MAX = 63,
};
struct cap_header { u32 version; i32 pid; };
struct cap_sets { u32 effective, permitted, inheritable; };

enum { RLIMIT_CORE = 4, RLIMIT_NPROC = 6, RLIMIT_NOFILE = 7, RLIMIT_MEMLOCK = 8 };
struct rlimit { u64 soft, hard; };

enum { SECCOMP_SET_MODE_FILTER = 1, SECCOMP_INSTRUCTION = 8 };
struct sock_fprog { u16 length; const void *filter; };

enum { AF_INET = 2, AF_PACKET = 17, SOCK_RAW = 3, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_CLOEXEC = O_CLOEXEC, SOL_SOCKET = 1, SO_REUSEADDR = 2, IPPROTO_TCP = 6, TCP_NODELAY = 1, SCM_RIGHTS = 1 };
enum { MSG_CTRUNC = 8, MSG_TRUNC = 0x20, MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000 };
enum { SIOCADDRT = 0x890b, SIOCSIFFLAGS = 0x8914, SIOCSIFADDR = 0x8916, SIOCSIFNETMASK = 0x891c, IFF_UP = 1, IFF_RUNNING = 0x40, RTF_UP = 1, RTF_MTU = 0x40 };
struct iovec { void *base; size_t length; };
struct msghdr { void *name; u32 name_length; struct iovec *iov; size_t iov_length; void *control; size_t control_length; u32 flags; };
struct cmsghdr { size_t length; i32 level, type; };
struct sockaddr_in { u16 family, port; u32 address; u8 zero[8]; };
struct ifreq { char name[16]; union { u16 flags; struct sockaddr_in address; u8 rest[24]; } u; };
struct rtentry {
	u64 pad1;
	struct sockaddr_in destination, gateway, mask;
	u16 flags, pad2;
	u64 pad3;
	void *pad4;
	u16 metric;
	const char *device;
	u64 mtu, window;
	u16 irtt;
};

enum { POLLIN = 1, POLLERR = 8, POLLHUP = 16 };
struct pollfd { i32 fd; u16 events, revents; };

#endif
