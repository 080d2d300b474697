/* struct sched_attr as the kernel has it: glibc before 2.41 does not. */
#ifndef SCHED_ATTR_H
#define SCHED_ATTR_H

#include <sched.h>
#include <stdint.h>

struct attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
	uint32_t util_min;
	uint32_t util_max;
	uint64_t more[2];
};

#define SIZE_VER0 48
#define SIZE_VER1 56

#define FLAG_RESET_ON_FORK 0x01
#define FLAG_KEEP_POLICY 0x08
#define FLAG_KEEP_PARAMS 0x10
#define FLAG_UTIL_CLAMP_MIN 0x20

#endif
