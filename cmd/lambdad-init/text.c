/* The few functions on memory and text that a C library would give. */
#include "init.h"

void *memcpy(void *to, const void *from, size_t n)
{
	u8 *t = to;
	for (const u8 *f = from; n > 0; n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int value, size_t n)
{
	for (u8 *t = to; n > 0; n--)
		*t++ = (u8)value;
	return to;
}

size_t length(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

/* put appends; what does not fit shows in used reaching size. */
void put(struct text *t, const char *s)
{
	for (; *s && t->used + 1 < t->size; s++)
		t->p[t->used++] = *s;
	if (*s)
		t->used = t->size;
	t->p[t->used < t->size ? t->used : t->size - 1] = 0;
}

void put_number(struct text *t, u32 n)
{
	char digits[11];
	char *p = digits + sizeof digits;
	*--p = 0;
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	put(t, p);
}
