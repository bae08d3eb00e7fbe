/* Process 1 of one sandbox: it does what the driver says, in order, and reaps. */
#include "init.h"

/* reap waits for every child that has ended. When the program itself ended,
 * process 1 ends, which ends whatever the program left behind. */
static void reap(struct box *b)
{
	for (;;) {
		i32 status = 0;
		struct rusage used;
		long pid = CALL(SYS_wait4, -1, &status, WNOHANG, &used);
		if (pid == -EINTR)
			continue;
		if (pid <= 0)
			return;
		if (pid != b->program)
			continue;
		i32 memory = used.maxrss > 0x7fffffff ? 0x7fffffff : (i32)used.maxrss, signal = status & 0x7f;
		quit(reply('X', signal ? 0 : status >> 8 & 0xff, signal, memory, "", 0, 0) ? 1 : 0);
	}
}

/* obey sends a signal to every process of the sandbox but this one: what kill(-1)
 * means for process 1. */
static void obey(struct message *m)
{
	i32 signal = take_int(m);
	long error = m->malformed ? -EPROTO : CALL(SYS_kill, -1, signal);
	if (error == -ESRCH)
		error = 0;
	if (reply('O', (i32)-error, 0, 0, "", 0, 0))
		quit(1);
}

/* provide sends a socket of this network, with which the driver reaches what the program listens
 * on. The serial number goes back with it: the driver may have given up on an earlier one. */
static void provide(struct message *m)
{
	i32 serial = take_int(m);
	long fd = m->malformed ? -EPROTO : CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = (int)fd;
	long error = reply('C', fd < 0 ? (i32)-fd : 0, 0, serial, "", &one, fd >= 0);
	if (fd >= 0)
		CALL(SYS_close, fd);
	if (error)
		quit(1);
}

/* handle does what one message says. */
static void handle(struct box *b, struct message *m, u8 kind)
{
	static u8 parked, started;
	int listeners[LISTENERS_MAX], pidfd = -1;
	u32 count = 0;
	long error;
	if (kind == 'P' && !parked) {
		parked = 1;
		if ((error = furnish(b, m, listeners, &count)))
			fail(error);
		error = reply('P', 0, 0, 0, "", listeners, count);
		for (u32 i = 0; i < count; i++)
			CALL(SYS_close, listeners[i]);
	} else if (parked && !started && (kind == 'S' || (kind == 'L' && !b->program))) {
		started = kind == 'S';
		if ((error = started ? start(b, m, &pidfd) : preload(b, m, &pidfd)))
			fail(error);
		error = reply('S', 0, 0, 0, "", &pidfd, pidfd >= 0);
		if (pidfd >= 0)
			CALL(SYS_close, pidfd);
		close_descriptors(m);
	} else if (kind == 'O' && parked) {
		obey(m);
		error = 0;
	} else if (kind == 'C' && parked) {
		provide(m);
		error = 0;
	} else {
		error = failed("message", "out of order", -EPROTO);
		fail(error);
	}
	if (error)
		quit(1);
}

void process1(int rootless)
{
	static struct box box;
	static struct message message;
	u64 child = 1ul << (SIGCHLD - 1);
	box.rootless = rootless;
	/* Blocked, it is kept for the descriptor, and interrupts nothing. */
	long error = CALL(SYS_rt_sigprocmask, SIG_SETMASK, &child, 0, 8);
	if (error)
		fail(failed("block SIGCHLD", 0, error));
	long children = CALL(SYS_signalfd4, -1, &child, 8, SFD_CLOEXEC);
	if (children < 0)
		fail(failed("signalfd", 0, children));
	for (;;) {
		struct pollfd on[] = { { CONTROL, POLLIN, 0 }, { (i32)children, POLLIN, 0 } };
		long ready = CALL(SYS_ppoll, on, 2, 0, 0, 8);
		if (ready == -EINTR)
			continue;
		if (ready < 0)
			quit(1);
		if (on[1].revents) {
			u8 information[128]; /* struct signalfd_siginfo; one stands for any number of children */
			CALL(SYS_read, children, information, sizeof information);
			reap(&box);
		}
		if (on[0].revents) {
			long kind = receive(&message);
			if (kind < 0)
				fail(failed("receive", 0, kind));
			if (kind == 0)
				quit(0); /* the driver is gone, or gave the sandbox up */
			handle(&box, &message, (u8)kind);
		}
	}
}
