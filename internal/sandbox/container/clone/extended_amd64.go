package clone

// extendedSets are the registers that a call keeps beside the general ones: those
// of floating point and vectors. Source: elf.h, NT_X86_XSTATE.
var extendedSets = []int{0x202}

// epollDataAt is where the data lie in a struct epoll_event, which is packed on x86-64.
// Source: linux/eventpoll.h.
const epollDataAt = 4
