/* The spawner forks every process 1 of a driver, until the driver closes the
 * socket.
 *
 * A new user namespace needs a fork that copies the whole address space. Of the
 * driver's process that would take milliseconds, and each page that it writes
 * afterwards would be copied too; this one has a dozen pages. Process 1 is such
 * a copy, and executes nothing: it shares what it does not write with all others. */
#include "init.h"

/* NAMESPACES that each sandbox has of its own. */
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* ROOTLESS_CAPABILITIES are what process 1 needs in its own user namespace where
 * it is not its root; they reach nothing outside it. DAC_OVERRIDE and FOWNER:
 * overlayfs makes itself a work directory of mode 0. */
#define ROOTLESS_CAPABILITIES \
	(1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_SETPCAP | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER)

enum { MAP_BYTES = 1024, MAPS_MAX = 8, STACK_BYTES = 32 << 10 };

/* birth is one order of the driver, and what became of it. */
struct birth {
	int null, control, group, within; /* descriptors; group may be -1, and within, a process, too */
	u32 owner_uid, owner_gid;         /* who makes the new user namespace, in the one that it is made within */
	int rootless;
	char uid_map[MAP_BYTES], gid_map[MAP_BYTES];
	volatile long pid; /* or an error */
	volatile int pidfd;
};

/* alive's read end hangs up when the spawner has ended; nobody writes. */
static int alive[2];

static u8 stack[STACK_BYTES] __attribute__((aligned(16))), inner_stack[STACK_BYTES] __attribute__((aligned(16)));

#if defined(__x86_64__)
__asm__(".globl clone_on\n"
	"clone_on:\n"
	"	sub $16, %rsi\n"
	"	mov %rcx, (%rsi)\n"
	"	mov %r8, 8(%rsi)\n"
	"	xor %r10d, %r10d\n"
	"	xor %r8d, %r8d\n"
	"	mov $56, %eax\n"
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jnz 1f\n"
	"	xor %ebp, %ebp\n"
	"	pop %rax\n"
	"	pop %rdi\n"
	"	call *%rax\n"
	"	ud2\n"
	"1:	ret\n"
	".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call entered\n"
	"	ud2\n");
#else
__asm__(".globl clone_on\n"
	"clone_on:\n"
	"	stp x3, x4, [x1, #-16]!\n"
	"	mov x3, #0\n"
	"	mov x4, #0\n"
	"	mov x8, #220\n"
	"	svc #0\n"
	"	cbnz x0, 1f\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	ldp x3, x0, [sp], #16\n"
	"	blr x3\n"
	"	brk #0\n"
	"1:	ret\n"
	".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl entered\n"
	"	brk #0\n");
#endif

/* begin is the first thing that process 1 does. go ends when its ids are mapped. */
static void begin(struct birth *b, int go[2])
{
	struct sigaction plain = { 0 };
	u8 told = 0;
	long error = CALL(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	CALL(SYS_close, alive[1]);
	CALL(SYS_close, go[1]);
	long n;
	do
		n = CALL(SYS_read, go[0], &told, 1);
	while (n == -EINTR);
	if (error || n != 1)
		quit(1);
	if (b->rootless) {
		if ((error = keep_capabilities(ROOTLESS_CAPABILITIES)))
			quit(1);
	} else if (CALL(SYS_setgroups, 0, 0) || CALL(SYS_setresgid, 0, 0, 0) || CALL(SYS_setresuid, 0, 0, 0)) {
		quit(1);
	}
	/* A change of ids takes the signal back. Whoever ended meanwhile cannot send it. */
	struct pollfd spawner_end = { alive[0], POLLIN, 0 };
	struct { u64 seconds, nanoseconds; } now = { 0, 0 };
	if (CALL(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || CALL(SYS_ppoll, &spawner_end, 1, &now, 0, 8))
		quit(1);
	if (CALL(SYS_setpgid, 0, 0) || CALL(SYS_rt_sigaction, SIGCHLD, &plain, 0, 8))
		quit(1);
	for (int fd = 0; fd < CONTROL; fd++)
		if (CALL(SYS_dup3, b->null, fd, 0) < 0)
			quit(1);
	/* The spawner's own socket is CONTROL until here. */
	if (CALL(SYS_dup3, b->control, CONTROL, O_CLOEXEC) < 0 || CALL(SYS_close_range, CONTROL + 1, ~0u, 0))
		quit(1);
	process1(b->rootless);
}

static long write_file(u32 pid, const char *name, const char *content)
{
	char path[64];
	struct text t = { path, sizeof path, 0 };
	put(&t, "/proc/");
	put_number(&t, pid);
	put(&t, name);
	long fd = CALL(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return failed("open", name, fd);
	long n = CALL(SYS_write, fd, content, length(content));
	CALL(SYS_close, fd);
	return n < 0 ? failed("write", name, n) : 0;
}

static long map_ids(struct birth *b, u32 pid)
{
	long error = write_file(pid, "/uid_map", b->uid_map);
	/* Without root a group is mapped only by who can change none. */
	if (!error && b->rootless)
		error = write_file(pid, "/setgroups", "deny");
	return error ? error : write_file(pid, "/gid_map", b->gid_map);
}

/* number_of is a process's number in the proc that is mounted here. */
static long number_of(int pidfd)
{
	char path[64], content[512];
	struct text t = { path, sizeof path, 0 };
	put(&t, "/proc/self/fdinfo/");
	put_number(&t, (u32)pidfd);
	long fd = CALL(SYS_openat, AT_FDCWD, path, O_CLOEXEC, 0);
	if (fd < 0)
		return failed("open", path, fd);
	long n = CALL(SYS_read, fd, content, sizeof content), number = 0;
	CALL(SYS_close, fd);
	for (long i = 0; i + 5 < n; i++) {
		const char *line = content + i;
		if (line[0] != '\n' || line[1] != 'P' || line[2] != 'i' || line[3] != 'd' || line[4] != ':' || line[5] != '\t')
			continue;
		for (i += 6; i < n && content[i] >= '0' && content[i] <= '9'; i++)
			number = number * 10 + (content[i] - '0');
		break;
	}
	return number > 0 ? number : failed("find process 1", 0, -EPROTO);
}

/* bear forks process 1 and maps its ids. */
static long bear(struct birth *b, unsigned long more)
{
	int go[2], pidfd = -1;
	unsigned long flags = NAMESPACES | CLONE_PIDFD | more;
	long error = CALL(SYS_pipe2, go, O_CLOEXEC), pid;
	if (error)
		return failed("pipe", 0, error);
	if (b->group >= 0) {
		struct clone_args arguments = { .flags = flags | CLONE_INTO_CGROUP, .pidfd = (u64)&pidfd,
			.exit_signal = more & CLONE_PARENT ? 0 : SIGCHLD, .cgroup = (u64)b->group };
		pid = CALL(SYS_clone3, &arguments, sizeof arguments);
	} else {
		pid = CALL(SYS_clone, flags | SIGCHLD, 0, &pidfd);
	}
	if (pid == 0)
		begin(b, go);
	CALL(SYS_close, go[0]);
	if (pid < 0) {
		CALL(SYS_close, go[1]);
		return failed("fork process 1", 0, pid);
	}
	if (b->within >= 0 && (pid = number_of(pidfd)) < 0)
		error = pid;
	else
		error = map_ids(b, (u32)pid);
	if (!error)
		error = CALL(SYS_write, go[1], "", 1) == 1 ? 0 : failed("release process 1", 0, -EPROTO);
	CALL(SYS_close, go[1]); /* it ends without the word */
	if (error) {
		CALL(SYS_close, pidfd);
		return error;
	}
	b->pidfd = pidfd;
	return pid;
}

/* bear_inside is a child of bear_within, in the pid namespace that that entered:
 * a pid namespace is made only within one's own. */
static void bear_inside(void *argument)
{
	struct birth *b = argument;
	b->pid = bear(b, CLONE_PARENT);
	for (;;)
		CALL(SYS_exit, 0);
}

/* bear_within runs in a process of its own, with the spawner's memory and
 * descriptors, while the spawner stands still: it enters the user namespace in
 * which the new one shall be made, becomes who shall own that, and keeps all
 * capabilities that it has there; and the pid namespace, for its child. Process 1
 * becomes the spawner's own child. */
static void bear_within(void *argument)
{
	struct birth *b = argument;
	long error;
	if ((error = CALL(SYS_setns, b->within, CLONE_NEWUSER | CLONE_NEWPID)))
		failed("enter the namespaces", 0, error);
	else if ((error = CALL(SYS_prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)))
		failed("keep capabilities", 0, error);
	else if ((error = CALL(SYS_setgroups, 0, 0)) || (error = CALL(SYS_setresgid, b->owner_gid, b->owner_gid, b->owner_gid)) ||
		 (error = CALL(SYS_setresuid, b->owner_uid, b->owner_uid, b->owner_uid)))
		failed("become the owner", 0, error);
	/* Otherwise nobody but the host's root may write the new one's maps. */
	else if ((error = CALL(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)))
		failed("dumpable", 0, error);
	else if ((error = clone_on(CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PARENT, inner_stack + sizeof inner_stack, 0, bear_inside, b)) < 0)
		failed("fork", 0, error);
	else
		error = 0;
	if (error)
		b->pid = error;
	for (;;)
		CALL(SYS_exit, 0);
}

static long spawn(struct birth *b)
{
	if (b->within < 0)
		return bear(b, 0);
	b->pid = -EPROTO;
	long helper = clone_on(CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, stack + sizeof stack, 0, bear_within, b);
	return helper < 0 ? failed("fork", 0, helper) : b->pid;
}

static void take_map(struct message *m, char *map)
{
	struct text t = { map, MAP_BYTES, 0 };
	u32 n = take_count(m);
	if (n > MAPS_MAX)
		m->malformed = 1;
	for (; n > 0 && !m->malformed; n--) {
		put_number(&t, (u32)take_int(m));
		put(&t, " ");
		put_number(&t, (u32)take_int(m));
		put(&t, " 1\n");
	}
}

/* order reads what the driver wants: descriptors are the null device, the
 * control socket, and, if it says so, the control group to be born in and the
 * process in whose user and pid namespaces it is to be made. */
static long order(struct message *m)
{
	struct birth b = { .group = -1, .within = -1 };
	take_map(m, b.uid_map);
	take_map(m, b.gid_map);
	b.rootless = take_bool(m);
	int group = take_bool(m), within = take_bool(m);
	b.owner_uid = (u32)take_int(m);
	b.owner_gid = (u32)take_int(m);
	if (m->malformed || m->fd_count != 2u + (u32)group + (u32)within)
		return failed("message", 0, -EPROTO);
	b.null = m->fds[0];
	b.control = m->fds[1];
	if (group)
		b.group = m->fds[2];
	if (within)
		b.within = m->fds[2 + group];
	long pid = spawn(&b);
	if (pid < 0)
		return pid;
	int pidfd = b.pidfd;
	long error = reply('N', (i32)pid, 0, 0, "", &pidfd, 1);
	CALL(SYS_close, pidfd);
	if (error)
		quit(1);
	return 0;
}

/* leave_host moves the spawner, which has a mount namespace of its own, into a
 * root that holds nothing but proc. Each process 1 starts from a copy of it: it
 * is made and taken away faster than one of the host's mounts, and the host's
 * are neither reachable from it nor kept busy by it. */
static void leave_host(void)
{
	long error = CALL(SYS_mount, "", "/", "", MS_REC | MS_PRIVATE, "");
	if (error)
		fail(failed("make mounts private", 0, error));
	long proc = new_proc(0);
	if (proc < 0)
		fail(failed("mount proc", 0, proc));
	error = CALL(SYS_mount, "spawner", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,nr_inodes=16,size=16k");
	if (error)
		fail(failed("mount root", 0, error));
	if ((error = pivot("/proc")))
		fail(error);
	if ((error = CALL(SYS_mkdirat, AT_FDCWD, "/proc", 0755)))
		fail(failed("mkdir /proc", 0, error));
	if ((error = move_mount(proc, "/proc")))
		fail(failed("attach proc", 0, error));
	CALL(SYS_close, proc);
}

void spawner(void)
{
	static struct message message;
	struct sigaction plain = { 0 }, ignore = { .handler = SIG_IGNORE };
	u64 none = 0;
	/* What arrived through the exec must not reach a program. */
	long error = CALL(SYS_close_range, CONTROL + 1, ~0u, 0);
	if (error)
		fail(failed("close_range", 0, error));
	CALL(SYS_prctl, PR_SET_NAME, "lambdad-init", 0, 0, 0); /* its file has the name of a descriptor */
	/* Nor must what the driver ignores. SIGKILL and SIGSTOP refuse, and are as they should be. */
	for (int signal = 1; signal <= SIGNALS; signal++)
		CALL(SYS_rt_sigaction, signal, &plain, 0, 8);
	/* The kernel reaps: the driver, which has a descriptor of each process 1, sees its end without us. */
	if ((error = CALL(SYS_rt_sigaction, SIGCHLD, &ignore, 0, 8)) || (error = CALL(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, 8)))
		fail(failed("signals", 0, error));
	if ((error = CALL(SYS_pipe2, alive, O_CLOEXEC)))
		fail(failed("pipe", 0, error));
	if (CALL(SYS_geteuid) == 0)
		leave_host();
	if (reply('R', 0, 0, 0, "", 0, 0))
		quit(1);
	for (;;) {
		long kind = receive(&message);
		if (kind == 0)
			quit(0); /* the driver has closed */
		if (kind < 0)
			quit(1);
		error = kind == 'N' ? order(&message) : failed("message", "unknown", -EPROTO);
		close_descriptors(&message);
		if (error && reply('F', (i32)-error, 0, 0, fault, 0, 0))
			quit(1);
	}
}

/* entered is where the program begins, with what the kernel has put on its stack: count, arguments
 * and environment. The driver's spawner has no arguments. */
void entered(long *at)
{
	char **arguments = (char **)(at + 1);
	if (at[0] > 1)
		extend(arguments + 1, arguments + at[0] + 1);
	spawner();
}
