/* What starts external extensions, and the runtime among them. It is a program like any other of its
 * sandbox, with the program's rights, and does what the worker says on a connection to the Runtime
 * API; its own side of it is internal/worker/family.go. Arguments: the number of extensions and
 * their paths, the number of variables that they do not get and their names, the runtime's directory, and
 * its arguments.
 *
 * From the worker: "S<i>" start, "K<i> <signal>" signal the group of, "P" tell all output that there
 * is. To it: "S<i>" it runs, "E<i> <errno>" it could not be executed, "X<i> <status>" it ended, "O<n>"
 * and n bytes that extensions wrote, "P" done. A line each; 0 is the runtime. */
#include "init.h"

enum { CHILDREN_MAX = 16, WITHHELD_MAX = 32, ENVIRONMENT_MAX = 4096, LINE_BYTES = 64, OUTPUT_BYTES = 16 << 10, PASSES_MAX = 64, STACK_BYTES = 32 << 10 };

static struct child { char *path; i32 pid; } children[CHILDREN_MAX];
static u32 child_count; /* with the runtime, which is the first */

static char **runtime_arguments, **runtime_environment, *extension_environment[ENVIRONMENT_MAX + 1];
static const char *runtime_directory;
static int line, output[2];
static u8 stack[STACK_BYTES] __attribute__((aligned(16)));

struct birth { u32 which; volatile long error; };

/* give_up ends it, and with it process 1 ends everything else here. */
static void give_up(const char *step)
{
	CALL(SYS_write, 2, step, length(step));
	quit(1);
}

static void send(const void *from, size_t n)
{
	const u8 *p = from;
	while (n > 0) {
		long wrote = CALL(SYS_write, line, p, n);
		if (wrote == -EINTR)
			continue;
		if (wrote <= 0)
			quit(0); /* the worker is through with the sandbox */
		p += wrote;
		n -= (size_t)wrote;
	}
}

static void tell(const char *what, u32 n, const char *space, u32 value)
{
	char text[LINE_BYTES];
	struct text t = { text, sizeof text, 0 };
	put(&t, what);
	put_number(&t, n);
	if (space) {
		put(&t, space);
		put_number(&t, value);
	}
	put(&t, "\n");
	send(text, t.used);
}

/* become runs in the new process, on a stack of its own in this one's memory, while this one stands
 * still. */
static void become(void *argument)
{
	struct birth *b = argument;
	u64 no_signals = 0;
	char *alone[] = { children[b->which].path, 0 };
	long error;
	if ((error = CALL(SYS_setsid)) < 0 || (error = CALL(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, 0, 8)))
		goto out;
	if (b->which == 0) {
		if (!(error = CALL(SYS_chdir, runtime_directory)))
			error = CALL(SYS_execve, runtime_arguments[0], runtime_arguments, runtime_environment);
		goto out;
	}
	if (!(error = CALL(SYS_chdir, "/")) && (error = CALL(SYS_dup3, output[1], 1, 0)) >= 0 && (error = CALL(SYS_dup3, output[1], 2, 0)) >= 0)
		error = CALL(SYS_execve, alone[0], alone, extension_environment);
out:
	b->error = error;
	for (;;)
		CALL(SYS_exit, 127);
}

static void start_child(u32 which)
{
	struct birth b = { .which = which };
	if (which >= child_count || children[which].pid)
		return;
	long pid = clone_on(CLONE_VM | CLONE_VFORK | SIGCHLD, stack + sizeof stack, 0, become, &b);
	if (pid > 0 && b.error) {
		CALL(SYS_wait4, pid, 0, 0, 0);
		pid = b.error;
	}
	if (pid < 0) {
		tell("E", which, " ", (u32)-pid);
		return;
	}
	children[which].pid = (i32)pid;
	tell("S", which, 0, 0);
}

static void reap(void)
{
	for (;;) {
		i32 status = 0;
		long pid = CALL(SYS_wait4, -1, &status, WNOHANG, 0);
		if (pid == -EINTR)
			continue;
		if (pid <= 0)
			return;
		for (u32 i = 0; i < child_count; i++) {
			if (children[i].pid != pid)
				continue;
			children[i].pid = -1;
			tell("X", i, " ", (u32)status);
		}
	}
}

/* pass tells what extensions have written, and whether there was anything. */
static int pass(void)
{
	static u8 buffer[OUTPUT_BYTES];
	struct pollfd on = { output[0], POLLIN, 0 };
	struct { u64 seconds, nanoseconds; } now = { 0, 0 };
	if (CALL(SYS_ppoll, &on, 1, &now, 0, 8) <= 0 || !(on.revents & POLLIN))
		return 0;
	long n = CALL(SYS_read, output[0], buffer, sizeof buffer);
	if (n <= 0)
		return 0;
	tell("O", (u32)n, 0, 0);
	send(buffer, (size_t)n);
	return 1;
}

/* pass_all tells as much as a pipe holds, and some: whoever writes on and on must not keep it here. */
static void pass_all(void)
{
	for (u32 i = 0; i < PASSES_MAX && pass(); i++)
		;
}

static const char *number(const char *p, u32 *n)
{
	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		*n = *n * 10 + (u32)(*p - '0');
	return p;
}

static void obey(const char *order)
{
	u32 which, signal;
	const char *rest = number(order + 1, &which);
	switch (order[0]) {
	case 'S':
		start_child(which);
		break;
	case 'K':
		number(*rest ? rest + 1 : rest, &signal);
		if (which < child_count && children[which].pid > 0)
			CALL(SYS_kill, -(long)children[which].pid, signal);
		break;
	case 'P':
		pass_all();
		send("P\n", 2);
	}
}

/* listen_to reads orders; one that is not whole yet stays for the next time. */
static void listen_to(void)
{
	static char order[LINE_BYTES];
	static u32 have;
	char buffer[256];
	long n = CALL(SYS_read, line, buffer, sizeof buffer);
	if (n == -EINTR)
		return;
	if (n <= 0)
		quit(0);
	for (long i = 0; i < n; i++) {
		if (buffer[i] != '\n') {
			if (have + 1 < sizeof order)
				order[have++] = buffer[i];
			continue;
		}
		order[have] = 0;
		have = 0;
		obey(order);
	}
}

/* names reports whether a variable NAME=value has the name. */
static int names(const char *variable, const char *name)
{
	while (*name && *variable == *name)
		variable++, name++;
	return !*name && *variable == '=';
}

static void take_arguments(char **a, char **environment)
{
	u32 n;
	number(*a++, &n);
	if (n + 1 > CHILDREN_MAX)
		give_up("too many extensions\n");
	for (child_count = 1; child_count <= n; child_count++)
		children[child_count].path = *a++;
	number(*a++, &n);
	if (n > WITHHELD_MAX)
		give_up("too many names\n");
	char **withheld = a;
	a += n;
	runtime_directory = *a++;
	runtime_arguments = a;
	runtime_environment = environment;
	u32 at = 0;
	for (char **v = environment; *v; v++) {
		int keep = 1;
		for (u32 i = 0; i < n; i++)
			keep = keep && !names(*v, withheld[i]);
		if (!keep)
			continue;
		if (at == ENVIRONMENT_MAX)
			give_up("too many variables\n");
		extension_environment[at++] = *v;
	}
}

static void connect_line(void)
{
	static const char request[] = "GET /2018-06-01/lambdad/processes HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n";
	struct sockaddr_in to = { .family = AF_INET, .port = 0x2923, .address = 0x0100007f }; /* 127.0.0.1:9001 */
	long fd = CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int at_once = 1; /* what it tells is small and waited for: the kernel would hold it for 40 ms */
	if (fd < 0 || CALL(SYS_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) || CALL(SYS_connect, fd, &to, sizeof to) < 0)
		give_up("cannot connect to the Runtime API\n");
	line = (int)fd;
	send(request, sizeof request - 1);
}

void extend(char **arguments, char **environment)
{
	u64 child = 1ul << (SIGCHLD - 1);
	take_arguments(arguments, environment);
	CALL(SYS_prctl, PR_SET_NAME, "extensions", 0, 0, 0);
	long ended = -1;
	if (CALL(SYS_rt_sigprocmask, SIG_SETMASK, &child, 0, 8) || (ended = CALL(SYS_signalfd4, -1, &child, 8, SFD_CLOEXEC)) < 0)
		give_up("signals\n");
	if (CALL(SYS_pipe2, output, O_CLOEXEC))
		give_up("pipe\n");
	connect_line();
	for (;;) {
		struct pollfd on[] = { { line, POLLIN, 0 }, { (i32)ended, POLLIN, 0 }, { output[0], POLLIN, 0 } };
		long ready = CALL(SYS_ppoll, on, 3, 0, 0, 8);
		if (ready == -EINTR)
			continue;
		if (ready < 0)
			quit(1);
		if (on[2].revents & POLLIN)
			pass(); /* before the end of who wrote it */
		if (on[1].revents & POLLIN) {
			u8 information[128];
			CALL(SYS_read, ended, information, sizeof information);
			pass_all();
			reap();
		}
		if (on[0].revents)
			listen_to();
	}
}
