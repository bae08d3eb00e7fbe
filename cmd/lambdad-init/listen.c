/* The sockets that a sandbox's program finds on its loopback. */
#include "init.h"

/* BACKLOG of the listeners: one program, one runtime, few connections. */
enum { BACKLOG = 128 };

/* LINK_MTU is that of a link of Ethernet. */
enum { LINK_MTU = 1500 };

static long loopback_up(void)
{
	struct ifreq request = { .name = "lo", .u.flags = IFF_UP | IFF_RUNNING };
	long fd = CALL(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long error = CALL(SYS_ioctl, fd, SIOCSIFFLAGS, &request);
	CALL(SYS_close, fd);
	return error;
}

/* await_outside lets the program begin to speak to the world before there is a link
 * to it: the sandbox's address lies on the loopback device and everything leads there,
 * where a packet to the outside is dropped, and is seen on the socket that this returns.
 * The driver, which gets the socket, then makes the link. The kernel makes such links
 * one at a time, and most programs never need theirs. */
long await_outside(u32 address)
{
	struct ifreq alias = { .name = "lo:0", .u.address = { AF_INET, 0, address, { 0 } } };
	struct ifreq mask = { .name = "lo:0", .u.address = { AF_INET, 0, 0xffffffff, { 0 } } };
	struct sockaddr_in any = { AF_INET, 0, 0, { 0 } };
	struct rtentry everywhere = { .destination = any, .gateway = any, .mask = any, .flags = RTF_UP | RTF_MTU, .device = "lo", .mtu = LINK_MTU };
	long error = loopback_up();
	long fd = error ? error : CALL(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	if (!(error = CALL(SYS_ioctl, fd, SIOCSIFADDR, &alias)) && !(error = CALL(SYS_ioctl, fd, SIOCSIFNETMASK, &mask)))
		error = CALL(SYS_ioctl, fd, SIOCADDRT, &everywhere);
	CALL(SYS_close, fd);
	/* Without a protocol it sees nothing yet: the driver says what it is for. */
	return error ? error : CALL(SYS_socket, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static long bound(int kind, i32 port)
{
	struct sockaddr_in address = { AF_INET, (u16)((port & 0xff) << 8 | (port >> 8 & 0xff)), 0x0100007f, { 0 } };
	int one = 1;
	long fd = CALL(SYS_socket, AF_INET, kind | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long error = CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (!error)
		error = CALL(SYS_bind, fd, &address, sizeof address);
	if (!error && kind == SOCK_STREAM)
		error = CALL(SYS_listen, fd, BACKLOG);
	return error ? error : fd;
}

/* listen_all brings the loopback device up and opens the sockets in this
 * network namespace. They go to the driver, which accepts on them: no proxy
 * lies between the program and the worker. */
long listen_all(struct message *m, int *fds, u32 *count)
{
	static const int kinds[] = { SOCK_STREAM, SOCK_DGRAM };
	long error = loopback_up();
	if (error)
		return failed("bring lo up", 0, error);
	*count = 0;
	for (int k = 0; k < 2; k++) {
		for (u32 n = take_count(m); n > 0; n--) {
			i32 port = take_int(m);
			if (m->malformed || *count >= LISTENERS_MAX)
				return failed("message", 0, -EPROTO);
			long fd = bound(kinds[k], port);
			if (fd < 0)
				return failed("listen", 0, fd);
			fds[(*count)++] = (int)fd;
		}
	}
	return m->malformed ? failed("message", 0, -EPROTO) : 0;
}
