#ifndef SYS_TYPES_H
#define SYS_TYPES_H

typedef long off_t;
typedef long ssize_t;
typedef long time_t;
typedef int pid_t;
typedef unsigned int mode_t;

#endif
