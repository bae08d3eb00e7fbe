/* What the parts of lambdad-init share. */
#ifndef INIT_H
#define INIT_H

#include "kernel.h"

/* CONTROL is the SEQPACKET socket to the driver. */
enum { CONTROL = 3 };

/* Bounds; the driver's side is pid1/message.go. */
enum { MESSAGE_MAX = 160 << 10, DESCRIPTORS_MAX = 250, PATH_BYTES = 4096, TEXT_BYTES = 512, LISTENERS_MAX = 8 };

/* A fault is a step that failed. Every function that can fail returns 0, or a
 * negative errno after it has named the step. */
extern char fault[TEXT_BYTES];
long failed(const char *step, const char *what, long error);

/* text.c */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
size_t length(const char *s);
struct text { char *p; size_t size, used; };
void put(struct text *t, const char *s);
void put_number(struct text *t, u32 n);

/* message.c */
struct message { const u8 *p, *end; int malformed; int fds[DESCRIPTORS_MAX]; u32 fd_count; };
struct mount_order { const char *target, *path; i32 fd; int file, device, writable; };
long receive(struct message *m);
void close_descriptors(struct message *m);
i32 take_int(struct message *m);
int take_bool(struct message *m);
u32 take_count(struct message *m);
const char *take_string(struct message *m);
const u8 *take_bytes(struct message *m, u32 *n);
struct mount_order take_mount(struct message *m);
long descriptor(struct message *m, i32 index);
long reply(u8 kind, i32 code, i32 signal, i32 memory, const char *text, const int *fds, u32 count);
__attribute__((noreturn)) void quit(int status);
__attribute__((noreturn)) void fail(long error);

/* furnish.c */
struct box { int rootless; u32 processes; u32 uid, gid; i32 program; };
long furnish(struct box *b, struct message *m, int *listeners, u32 *count);
long new_proc(int hide);
long pivot(const char *root);
long move_mount(long fd, const char *target);
long attach(struct box *b, struct message *m, struct mount_order o);

/* listen.c */
long await_outside(u32 address);
long listen_all(struct message *m, int *fds, u32 *count);

/* start.c */
long surrender(u32 descriptors, u32 processes, u32 processes_hard);
long keep_capabilities(u64 set);
long preload(struct box *b, struct message *m, int *pidfd);
long start(struct box *b, struct message *m, int *pidfd);

/* process1.c */
__attribute__((noreturn)) void process1(int rootless);

/* extend.c */
__attribute__((noreturn)) void extend(char **arguments, char **environment);

/* spawner.c */
__attribute__((noreturn)) void spawner(void);
__attribute__((noreturn)) void entered(long *at);
/* clone_on starts a child that shares this memory on another stack and calls entry(argument). */
long clone_on(unsigned long flags, void *stack_top, int *pidfd, void (*entry)(void *), void *argument);

#endif
