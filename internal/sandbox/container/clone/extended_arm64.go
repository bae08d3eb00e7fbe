package clone

// extendedSets are the registers that a call keeps beside the general ones: the
// thread's pointer to its own storage, and those of floating point and vectors.
// Source: elf.h, NT_ARM_TLS and NT_PRFPREG.
var extendedSets = []int{0x401, 2}

// epollDataAt is where the data lie in a struct epoll_event, which is aligned on arm64.
// Source: linux/eventpoll.h.
const epollDataAt = 8
