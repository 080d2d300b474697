/* Numbers of system calls, under the names of the kernel: __NR_write. */
#ifndef SYS_SYSCALL_H
#define SYS_SYSCALL_H

#include <syscall_numbers.h>

#endif
