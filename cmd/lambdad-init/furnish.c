/* The root filesystem of a sandbox, before it has an owner. */
#include "init.h"

/* STAGING is where the new root is built. Every host that can run a sandbox has
 * a /proc, and the host's own is of no more use to process 1. */
#define STAGING "/proc"

/* HOST_ROOT is where a rootless process 1, which clones mounts by path, keeps
 * the host's root until the program gets its code. */
#define HOST_ROOT "/.host"

static long mount(const char *source, const char *target, const char *type, u32 flags, const char *options)
{
	return CALL(SYS_mount, source, target, type, flags, options);
}

long move_mount(long fd, const char *target)
{
	return CALL(SYS_move_mount, fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
}

/* new_proc returns a detached mount of this pid namespace's proc. hidepid makes
 * process 1, which has another id than the program, invisible to it. */
long new_proc(int hide)
{
	long fs = CALL(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
	if (fs < 0)
		return fs;
	long error = hide ? CALL(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "hidepid", "invisible", 0) : 0;
	if (!error)
		error = CALL(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (!error)
		error = CALL(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	CALL(SYS_close, fs);
	return error;
}

/* pivot makes root the root and lets go of the old one. */
long pivot(const char *root)
{
	long error = CALL(SYS_chdir, root);
	if (error)
		return failed("chdir", root, error);
	if ((error = CALL(SYS_pivot_root, ".", ".")))
		return failed("pivot_root", 0, error);
	if ((error = CALL(SYS_umount2, ".", MNT_DETACH)))
		return failed("detach the host's root", 0, error);
	if ((error = CALL(SYS_chdir, "/")))
		return failed("chdir /", 0, error);
	return 0;
}

/* make_dirs is mkdir -p that refuses to walk through a symbolic link. */
static long make_dirs(const char *path, size_t n)
{
	char dir[PATH_BYTES];
	if (n >= sizeof dir)
		return -ENAMETOOLONG;
	for (size_t end = 1; end <= n; end++) {
		dir[end - 1] = path[end - 1];
		if (end < n && path[end] != '/')
			continue;
		dir[end] = 0;
		long error = CALL(SYS_mkdirat, AT_FDCWD, dir, 0755);
		if (!error)
			continue;
		if (error != -EEXIST)
			return error;
		long fd = CALL(SYS_openat, AT_FDCWD, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		if (fd < 0)
			return fd;
		CALL(SYS_close, fd);
	}
	return 0;
}

static size_t parent_length(const char *path)
{
	size_t slash = 0;
	for (size_t i = 1; path[i - 1] && path[i]; i++)
		if (path[i] == '/')
			slash = i;
	return slash;
}

static long make_point(struct mount_order o)
{
	if (!o.file)
		return make_dirs(o.target, length(o.target));
	long error = make_dirs(o.target, parent_length(o.target));
	if (error)
		return error;
	long fd = CALL(SYS_openat, AT_FDCWD, o.target, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
	if (fd == -EEXIST)
		return 0;
	return fd < 0 ? fd : CALL(SYS_close, fd);
}

/* tree returns a detached mount: the one that came with the message, or a clone
 * made here. */
static long tree(struct message *m, struct mount_order o, const char *prefix)
{
	char path[PATH_BYTES];
	struct text t = { path, sizeof path, 0 };
	if (o.fd >= 0)
		return descriptor(m, o.fd);
	put(&t, prefix);
	put(&t, o.path);
	if (t.used >= t.size)
		return failed("clone", o.path, -ENAMETOOLONG);
	long fd = CALL(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE);
	if (fd < 0)
		return failed("clone", o.path, fd);
	struct mount_attr attributes = { .set = MOUNT_ATTR_NOSUID };
	if (!o.device)
		attributes.set |= MOUNT_ATTR_NODEV;
	if (!o.writable)
		attributes.set |= MOUNT_ATTR_RDONLY;
	long error = CALL(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes);
	if (error) {
		CALL(SYS_close, fd);
		return failed("restrict", o.path, error);
	}
	return fd;
}

/* attach places a mount, making its mount point where it is missing. */
long attach(struct box *b, struct message *m, struct mount_order o)
{
	if (m->malformed)
		return failed("message", 0, -EPROTO);
	long error = make_point(o);
	if (error)
		return failed("make mount point", o.target, error);
	long fd = tree(m, o, b->rootless ? HOST_ROOT : "");
	if (fd < 0)
		return fd;
	error = move_mount(fd, o.target);
	if (o.fd < 0)
		CALL(SYS_close, fd);
	return error ? failed("mount", o.target, error) : 0;
}

/* enter_root makes the new root and pivots into it. From here on every path is
 * one of the sandbox: a link in a hostile base directory leads nowhere else. */
static long enter_root(struct box *b, struct message *m)
{
	char options[64];
	struct text t = { options, sizeof options, 0 };
	const char *root = STAGING;
	put(&t, "mode=0755,nr_inodes=4096,size=");
	put_number(&t, (u32)take_int(m));
	put(&t, "k");
	long error = mount("root", root, "tmpfs", MS_NOSUID | MS_NODEV, options);
	if (error)
		return failed("mount root", 0, error);
	if (take_bool(m)) {
		static const char *const dirs[] = { STAGING "/lower", STAGING "/upper", STAGING "/work", STAGING "/root" };
		struct mount_order base = take_mount(m);
		for (int i = 0; i < 4; i++)
			if ((error = CALL(SYS_mkdirat, AT_FDCWD, dirs[i], 0755)))
				return failed("mkdir", dirs[i], error);
		long fd = tree(m, base, "");
		if (fd < 0)
			return fd;
		if ((error = move_mount(fd, STAGING "/lower")))
			return failed("attach base", 0, error);
		root = STAGING "/root";
		error = mount("root", root, "overlay", MS_NOSUID | MS_NODEV,
			      "lowerdir=" STAGING "/lower,upperdir=" STAGING "/upper,workdir=" STAGING "/work,userxattr");
		if (error)
			return failed("mount overlay root", 0, error);
	}
	if (!b->rootless)
		return pivot(root);
	const char *put_old = root[length(STAGING)] ? STAGING "/root" HOST_ROOT : STAGING HOST_ROOT;
	if ((error = CALL(SYS_mkdirat, AT_FDCWD, put_old, 0700)))
		return failed("mkdir", HOST_ROOT, error);
	if ((error = CALL(SYS_pivot_root, root, put_old)))
		return failed("pivot_root", 0, error);
	if ((error = CALL(SYS_chdir, "/")))
		return failed("chdir /", 0, error);
	return 0;
}

static long write_file(const char *path, const u8 *content, u32 n, int link)
{
	long error = make_dirs(path, parent_length(path));
	if (error)
		return error;
	error = CALL(SYS_unlinkat, AT_FDCWD, path, 0);
	if (error && error != -ENOENT)
		return error;
	if (link)
		return CALL(SYS_symlinkat, content, AT_FDCWD, path);
	long fd = CALL(SYS_openat, AT_FDCWD, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fd;
	for (error = 0; n > 0 && !error;) {
		long wrote = CALL(SYS_write, fd, content, n);
		if (wrote < 0) {
			error = wrote;
		} else {
			content += wrote;
			n -= (u32)wrote;
		}
	}
	CALL(SYS_close, fd);
	return error;
}

/* write_files reads paths and contents; what a content holds ends with a zero
 * byte, so that it can be a link's target. */
static long write_files(struct message *m)
{
	for (u32 count = take_count(m); count > 0; count--) {
		u32 n;
		const char *path = take_string(m);
		const u8 *content = take_bytes(m, &n);
		int zero = take_bool(m), link = take_bool(m);
		if (m->malformed || zero)
			return failed("message", 0, -EPROTO);
		long error = write_file(path, content, n, link);
		if (error)
			return failed("write", path, error);
	}
	return 0;
}

/* mask_proc hides what describes the host and freezes what can be written. What
 * a kernel does not have needs no mask. */
static long mask_proc(struct message *m)
{
	for (u32 count = take_count(m); count > 0; count--) {
		const char *path = take_string(m);
		long error = m->malformed ? -EPROTO : mount("/dev/null", path, "", MS_BIND, "");
		if (error && error != -ENOENT)
			return failed("mask", path, error);
	}
	for (u32 count = take_count(m); count > 0; count--) {
		struct mount_attr attributes = { .set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
		const char *path = take_string(m);
		long fd = m->malformed ? -EPROTO : CALL(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return failed("freeze", path, fd);
		long error = CALL(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
		if (!error)
			error = move_mount(fd, path);
		CALL(SYS_close, fd);
		if (error)
			return failed("freeze", path, error);
	}
	return m->malformed ? failed("message", 0, -EPROTO) : 0;
}

/* skip_numbers lets the pids of this namespace begin above those that are left
 * out when they wrap around. A copy of a program then never has the pid that the
 * original had, and neither has a child of it: libraries compare pids to learn
 * that they are in a child, and must reseed. */
static long skip_numbers(void)
{
	long fd = CALL(SYS_openat, AT_FDCWD, "/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return failed("open ns_last_pid", 0, fd);
	long n = CALL(SYS_write, fd, "300", 3);
	CALL(SYS_close, fd);
	return n < 0 ? failed("write ns_last_pid", 0, n) : 0;
}

/* furnish builds the root filesystem, moves into it, gives up what is not needed
 * any more, and opens the listeners. It reads the message in the order in which
 * it works. */
long furnish(struct box *b, struct message *m, int *listeners, u32 *count)
{
	b->uid = (u32)take_int(m);
	b->gid = (u32)take_int(m);
	u32 descriptors = (u32)take_int(m), processes = (u32)take_int(m), processes_hard = (u32)take_int(m);
	b->processes = processes;
	const char *hostname = take_string(m);
	int skip = take_bool(m);
	long error = mount("", "/", "", MS_REC | MS_PRIVATE, "");
	if (error)
		return failed("make mounts private", 0, error);
	/* proc must be made while the host's proc is still in this namespace: the
	 * kernel gives a user namespace no more of /proc than it can already see. */
	long proc = new_proc(1);
	if (proc < 0)
		return failed("mount proc", 0, proc);
	if ((error = enter_root(b, m)))
		return error;
	for (u32 n = take_count(m); n > 0; n--) {
		const char *dir = take_string(m);
		if ((error = make_dirs(dir, length(dir))))
			return failed("mkdir", dir, error);
	}
	if ((error = move_mount(proc, "/proc")))
		return failed("attach proc", 0, error);
	CALL(SYS_close, proc);
	if (skip && (error = skip_numbers()))
		return error;
	for (u32 n = take_count(m); n > 0; n--)
		if ((error = attach(b, m, take_mount(m))))
			return error;
	if ((error = write_files(m)))
		return error;
	if ((error = mask_proc(m)))
		return error;
	if ((error = CALL(SYS_sethostname, hostname, length(hostname))))
		return failed("sethostname", 0, error);
	u32 address = (u32)take_int(m);
	long outside = address ? await_outside(address) : -1;
	if (address && outside < 0)
		return failed("await packets to the outside", 0, outside);
	close_descriptors(m);
	if ((error = surrender(descriptors, processes, processes_hard)))
		return error;
	if ((error = listen_all(m, listeners, count)) || outside < 0)
		return error;
	if (*count >= LISTENERS_MAX)
		return failed("message", 0, -EPROTO);
	listeners[(*count)++] = (int)outside;
	return 0;
}
