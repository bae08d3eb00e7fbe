/* Messages: those of the driver are read where they lie, within bounds; the
 * other direction is one form. The driver's side is pid1/message.go. */
#include "init.h"

static u8 buffer[MESSAGE_MAX]; /* in .bss: only the pages used are resident */
static union { struct cmsghdr header; u8 bytes[sizeof(struct cmsghdr) + 4 * (DESCRIPTORS_MAX + 2)]; } control;

char fault[TEXT_BYTES];

long failed(const char *step, const char *what, long error)
{
	struct text t = { fault, sizeof fault, 0 };
	put(&t, step);
	if (what) {
		put(&t, " ");
		put(&t, what);
	}
	return error;
}

/* receive returns the kind of the next message, 0 at the end, or an error. */
long receive(struct message *m)
{
	struct iovec part = { buffer, sizeof buffer };
	struct msghdr header = { .iov = &part, .iov_length = 1, .control = &control, .control_length = sizeof control };
	long n;
	do
		n = CALL(SYS_recvmsg, CONTROL, &header, MSG_CMSG_CLOEXEC);
	while (n == -EINTR);
	m->fd_count = 0;
	m->malformed = 0;
	m->p = m->end = buffer;
	if (n <= 0)
		return n;
	/* The kernel lays out what it writes; a socket with one sender's rights has one part. */
	if (header.control_length >= sizeof(struct cmsghdr) && control.header.level == SOL_SOCKET && control.header.type == SCM_RIGHTS &&
	    control.header.length >= sizeof(struct cmsghdr) && control.header.length <= header.control_length) {
		m->fd_count = (u32)((control.header.length - sizeof(struct cmsghdr)) / 4);
		if (m->fd_count > DESCRIPTORS_MAX)
			return -EPROTO;
		memcpy(m->fds, control.bytes + sizeof(struct cmsghdr), m->fd_count * 4);
	}
	if (header.flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EPROTO;
	m->p = buffer + 1;
	m->end = buffer + n;
	return buffer[0];
}

void close_descriptors(struct message *m)
{
	for (u32 i = 0; i < m->fd_count; i++)
		CALL(SYS_close, m->fds[i]);
	m->fd_count = 0;
}

static const u8 *take(struct message *m, u32 n)
{
	if (m->malformed || n > (size_t)(m->end - m->p)) {
		m->malformed = 1;
		return 0;
	}
	const u8 *p = m->p;
	m->p += n;
	return p;
}

i32 take_int(struct message *m)
{
	i32 v = 0;
	const u8 *p = take(m, 4);
	if (p)
		memcpy(&v, p, 4); /* both architectures are little-endian */
	return v;
}

int take_bool(struct message *m)
{
	const u8 *p = take(m, 1);
	return p && *p;
}

/* take_count is the length of a list, each element of which takes a byte at least. */
u32 take_count(struct message *m)
{
	i32 n = take_int(m);
	if (n < 0 || n > m->end - m->p)
		m->malformed = 1;
	return m->malformed ? 0 : (u32)n;
}

const u8 *take_bytes(struct message *m, u32 *n)
{
	*n = 0;
	i32 size = take_int(m);
	if (size < 0)
		m->malformed = 1;
	const u8 *p = take(m, (u32)size);
	if (p)
		*n = (u32)size;
	return p;
}

/* take_string is never null, and ends where the message says: the zero byte
 * after it is on the wire. */
const char *take_string(struct message *m)
{
	u32 n;
	const char *s = (const char *)take_bytes(m, &n);
	const u8 *zero = take(m, 1);
	if (zero && *zero == 0 && length(s) == n)
		return s;
	m->malformed = 1;
	return "";
}

struct mount_order take_mount(struct message *m)
{
	struct mount_order o;
	o.target = take_string(m);
	o.fd = take_int(m);
	o.path = take_string(m);
	o.file = take_bool(m);
	o.device = take_bool(m);
	o.writable = take_bool(m);
	return o;
}

/* descriptor is the message's one with that index. */
long descriptor(struct message *m, i32 index)
{
	if (m->malformed || index < 0 || (u32)index >= m->fd_count)
		return failed("message", 0, -EPROTO);
	return m->fds[index];
}

static u8 *append(u8 *p, i32 v)
{
	memcpy(p, &v, 4);
	return p + 4;
}

long reply(u8 kind, i32 code, i32 signal, i32 memory, const char *text, const int *fds, u32 count)
{
	u8 out[1 + 4 * 4 + TEXT_BYTES + 1], *p = out;
	union { struct cmsghdr header; u8 bytes[sizeof(struct cmsghdr) + 4 * LISTENERS_MAX]; } rights;
	size_t n = length(text);
	if (n > TEXT_BYTES)
		n = TEXT_BYTES;
	*p++ = kind;
	p = append(p, code);
	p = append(p, signal);
	p = append(p, memory);
	p = append(p, (i32)n);
	memcpy(p, text, n);
	p += n;
	*p++ = 0;
	struct iovec part = { out, (size_t)(p - out) };
	struct msghdr header = { .iov = &part, .iov_length = 1 };
	if (count > 0 && count <= LISTENERS_MAX) {
		rights.header.length = sizeof rights.header + 4 * count;
		rights.header.level = SOL_SOCKET;
		rights.header.type = SCM_RIGHTS;
		memcpy(rights.bytes + sizeof rights.header, fds, 4 * count);
		header.control = &rights;
		header.control_length = (rights.header.length + 7) & ~(size_t)7;
	}
	long sent;
	do
		sent = CALL(SYS_sendmsg, CONTROL, &header, MSG_NOSIGNAL);
	while (sent == -EINTR);
	return sent < 0 ? sent : 0;
}

void quit(int status)
{
	for (;;)
		CALL(SYS_exit_group, status);
}

/* fail tells the driver which step failed and why, and ends. That the driver
 * is gone too is nothing to report. */
void fail(long error)
{
	reply('F', (i32)-error, 0, 0, fault, 0, 0);
	quit(1);
}
