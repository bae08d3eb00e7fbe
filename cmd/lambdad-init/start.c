/* Giving a sandbox its program and its owner's files, and giving up privileges. */
#include "init.h"

#define HOST_ROOT "/.host"

enum { LAYERS_MAX = 16, STACK_BYTES = 32 << 10 };

/* vector holds arguments and environment: a string takes five bytes of a message at least. */
static char *vector[MESSAGE_MAX / 5 + 2];

/* launch is what the new process needs to become the program. */
struct launch {
	struct box *box;
	const char *dir;
	char **argv, **env;
	struct sock_fprog filter;
	int null, output, raisable; /* raisable: it may have more processes, if it becomes a template */
	volatile long error;
	const char *volatile step; /* null: the program itself could not be executed */
};

static u8 stack[STACK_BYTES] __attribute__((aligned(16)));

/* surrender gives up, for process 1 and whatever it starts, what the program
 * must not have and process 1 itself does not need any more. It needs to mount,
 * and its capabilities until it has started the program, to change the ids. */
long surrender(u32 descriptors, u32 processes, u32 processes_hard)
{
	struct { int resource; u64 value; } limits[] = {
		{ RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, descriptors }, { RLIMIT_NPROC, processes },
		{ RLIMIT_MEMLOCK, 64 << 10 }, /* as on Lambda */
	};
	long error;
	for (int i = 0; i < 4; i++) {
		struct rlimit both = { limits[i].value, limits[i].value };
		if (limits[i].resource == RLIMIT_NPROC && processes_hard > processes) {
			struct rlimit now;
			if ((error = CALL(SYS_prlimit64, 0, RLIMIT_NPROC, 0, &now)))
				return failed("getrlimit", 0, error);
			both.hard = now.hard < processes_hard ? now.hard : processes_hard;
			if (both.hard < both.soft)
				both.soft = both.hard;
		}
		if ((error = CALL(SYS_prlimit64, 0, limits[i].resource, &both, 0)))
			return failed("setrlimit", 0, error);
	}
	if ((error = CALL(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0)))
		return failed("not dumpable", 0, error);
	if ((error = CALL(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)))
		return failed("clear ambient capabilities", 0, error);
	for (int capability = 0; capability <= CAP_MAX; capability++) {
		error = CALL(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
		if (error == -EINVAL && capability > 0)
			return 0; /* past the last one */
		if (error)
			return failed("drop bounding capability", 0, error);
	}
	return 0;
}

/* keep_capabilities gives up all others. */
long keep_capabilities(u64 set)
{
	struct cap_header header = { CAP_VERSION, 0 };
	struct cap_sets sets[2] = { { (u32)set, (u32)set, 0 }, { (u32)(set >> 32), (u32)(set >> 32), 0 } };
	return CALL(SYS_capset, &header, sets);
}

static long confine(const struct sock_fprog *filter)
{
	long error = CALL(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return error ? error : CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter);
}

static void give_up(struct launch *l, const char *step, long error)
{
	l->step = step;
	l->error = error;
	for (;;)
		CALL(SYS_exit, 127);
}

/* become runs in the new process, on a stack of its own in process 1's memory,
 * while process 1 stands still. */
static void become(void *argument)
{
	struct launch *l = argument;
	u64 no_signals = 0;
	long error;
	/* A preloaded program's filter is its own: process 1 still has mounts to make. */
	if (l->filter.filter && (error = confine(&l->filter)))
		give_up(l, "seccomp", error);
	struct rlimit processes = { l->box->processes, l->box->processes };
	if (!l->raisable && (error = CALL(SYS_prlimit64, 0, RLIMIT_NPROC, &processes, 0)))
		give_up(l, "setrlimit", error);
	if ((error = CALL(SYS_setsid)) < 0)
		give_up(l, "setsid", error);
	if (!l->box->rootless) {
		if ((error = CALL(SYS_setgroups, 0, 0)))
			give_up(l, "setgroups", error);
		if ((error = CALL(SYS_setresgid, l->box->gid, l->box->gid, l->box->gid)))
			give_up(l, "setgid", error);
		if ((error = CALL(SYS_setresuid, l->box->uid, l->box->uid, l->box->uid)))
			give_up(l, "setuid", error);
	}
	if ((error = keep_capabilities(0)))
		give_up(l, "drop capabilities", error);
	if ((error = CALL(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, 0, 8)))
		give_up(l, "unblock signals", error);
	if ((error = CALL(SYS_chdir, l->dir)))
		give_up(l, 0, error);
	if ((error = CALL(SYS_dup3, l->null, 0, 0)) < 0 || (error = CALL(SYS_dup3, l->output, 1, 0)) < 0 ||
	    (error = CALL(SYS_dup3, l->output, 2, 0)) < 0)
		give_up(l, "output", error);
	give_up(l, 0, CALL(SYS_execve, l->argv[0], l->argv, l->env));
}

/* take_filter reads a struct sock_filter[]. */
static long take_filter(struct message *m, struct sock_fprog *filter)
{
	u32 n;
	filter->filter = take_bytes(m, &n);
	if (m->malformed || n == 0 || n % SECCOMP_INSTRUCTION || n / SECCOMP_INSTRUCTION > 0xffff)
		return failed("message", 0, -EPROTO);
	filter->length = (u16)(n / SECCOMP_INSTRUCTION);
	return 0;
}

/* take_program reads arguments, environment and directory. No arguments mean no program. */
static long take_program(struct message *m, struct launch *l)
{
	u32 at = 0;
	char ***lists[] = { &l->argv, &l->env };
	for (int i = 0; i < 2; i++) {
		*lists[i] = vector + at;
		for (u32 n = take_count(m); n > 0; n--) {
			const char *s = take_string(m);
			if (m->malformed || at + 2 >= sizeof vector / sizeof vector[0])
				return failed("message", 0, -EPROTO);
			vector[at++] = (char *)s;
		}
		vector[at++] = 0;
	}
	l->dir = take_string(m);
	return m->malformed ? failed("message", 0, -EPROTO) : 0;
}

/* run starts the program. Descriptor 0 of the message is its stdout and stderr. */
static long run(struct launch *l, struct message *m, int *pidfd)
{
	long output = descriptor(m, 0);
	if (output < 0)
		return output;
	l->output = (int)output;
	long null = CALL(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
	if (null < 0)
		return failed("open /dev/null", 0, null);
	l->null = (int)null;
	/* CLONE_VFORK: process 1 goes on when the program executes, or has failed to. */
	long pid = clone_on(CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, stack + sizeof stack, pidfd, become, l);
	CALL(SYS_close, null);
	if (pid < 0)
		return failed("fork", 0, pid);
	if (l->error) {
		CALL(SYS_wait4, pid, 0, 0, 0);
		CALL(SYS_close, *pidfd);
		if (l->step)
			return failed(l->step, 0, l->error);
		if (l->error == -EAGAIN || l->error == -ENOMEM) /* the host's want */
			return failed("start", l->argv[0], l->error);
		/* The program itself, which the kernel would not execute. */
		reply('E', (i32)-l->error, 0, 0, l->argv[0], 0, 0);
		quit(1);
	}
	l->box->program = (i32)pid;
	return 0;
}

/* preload starts a program that has no owner yet. Process 1 keeps its capabilities until start. */
long preload(struct box *b, struct message *m, int *pidfd)
{
	struct launch l = { .box = b, .raisable = 1 };
	long error;
	for (u32 n = take_count(m); n > 0; n--)
		if ((error = attach(b, m, take_mount(m))))
			return error;
	if ((error = take_filter(m, &l.filter)))
		return error;
	if ((error = take_program(m, &l)))
		return error;
	return run(&l, m, pidfd);
}

/* stack_layers merges the layers at /opt. Overlay needs two lower directories
 * where there is no upper one, so a single layer is mounted as it is. */
static long stack_layers(struct box *b, struct message *m)
{
	u32 count = take_count(m);
	char points[LAYERS_MAX][16], options[sizeof points + 64];
	long error;
	if (count > LAYERS_MAX)
		return failed("message", 0, -EPROTO);
	for (u32 i = 0; i < count; i++) {
		struct mount_order layer = take_mount(m);
		struct text t = { points[i], sizeof points[i], 0 };
		put(&t, "/.layer/");
		put_number(&t, i);
		layer.target = count == 1 ? "/opt" : points[i];
		if ((error = attach(b, m, layer)))
			return error;
	}
	if (count < 2)
		return 0;
	struct text t = { options, sizeof options, 0 };
	put(&t, "userxattr,lowerdir=");
	for (u32 i = count; i > 0; i--) { /* the last layer is the top one */
		put(&t, points[i - 1]);
		if (i > 1)
			put(&t, ":");
	}
	error = CALL(SYS_mount, "opt", "/opt", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options);
	if (error)
		return failed("mount /opt", 0, error);
	for (u32 i = 0; i < count; i++) { /* the overlay holds them now */
		if ((error = CALL(SYS_umount2, points[i], MNT_DETACH)))
			return failed("detach layer", 0, error);
		if ((error = CALL(SYS_unlinkat, AT_FDCWD, points[i], AT_REMOVEDIR)))
			return failed("remove layer point", 0, error);
	}
	if ((error = CALL(SYS_unlinkat, AT_FDCWD, "/.layer", AT_REMOVEDIR)))
		return failed("remove layer points", 0, error);
	return 0;
}

static long mount_tmp(u32 mib, u32 inodes)
{
	char options[64];
	struct text t = { options, sizeof options, 0 };
	put(&t, "mode=1777,size=");
	put_number(&t, mib);
	put(&t, "m,nr_inodes=");
	put_number(&t, inodes);
	long error = CALL(SYS_mount, "tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options);
	return error ? failed("mount /tmp", 0, error) : 0;
}

/* seal makes the root read-only, and takes the host's away where it is still there. */
static long seal(struct box *b)
{
	struct mount_attr attributes = { .set = MOUNT_ATTR_RDONLY };
	long error;
	if (b->rootless) {
		if ((error = CALL(SYS_umount2, HOST_ROOT, MNT_DETACH)))
			return failed("detach the host's root", 0, error);
		if ((error = CALL(SYS_unlinkat, AT_FDCWD, HOST_ROOT, AT_REMOVEDIR)))
			return failed("remove " HOST_ROOT, 0, error);
	}
	error = CALL(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes);
	return error ? failed("seal the root", 0, error) : 0;
}

/* start places the owner's files, confines process 1, and starts the program,
 * unless one was preloaded or a copy of one comes from outside. */
long start(struct box *b, struct message *m, int *pidfd)
{
	struct launch l = { .box = b };
	struct sock_fprog filter;
	long error;
	for (u32 n = take_count(m); n > 0; n--)
		if ((error = attach(b, m, take_mount(m))))
			return error;
	if ((error = stack_layers(b, m)))
		return error;
	i32 mib = take_int(m), inodes = take_int(m);
	if (mib > 0 && (error = mount_tmp((u32)mib, (u32)inodes)))
		return error;
	if ((error = take_filter(m, &filter)))
		return error;
	if ((error = take_program(m, &l)))
		return error;
	l.raisable = take_bool(m);
	if (m->malformed)
		return failed("message", 0, -EPROTO);
	if ((error = seal(b)))
		return error;
	if ((error = confine(&filter)))
		return failed("seccomp", 0, error);
	if (l.argv[0]) {
		if (b->program)
			return failed("message", 0, -EPROTO);
		if ((error = run(&l, m, pidfd))) /* under the filter already */
			return error;
	}
	if ((error = keep_capabilities(0)))
		return failed("drop capabilities", 0, error);
	return 0;
}
