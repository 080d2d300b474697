"""What passes between a front end and init."""

from typing import Final

from guest_kernel.layout.declare import I32, U32, U64, Struct, VoidPtr

RUN_IDLE: Final = 0  # nothing has been asked for
RUN_REQUESTED: Final = 1
RUN_RUNNING: Final = 2
RUN_DONE: Final = 3  # the last program has ended; status holds how


class init_data(Struct):
    """The command line, and init's one request."""

    saved_command_line = VoidPtr("the kernel's command line, NUL-terminated", ctype="char *")
    state = U32("RUN_*")
    pid = I32("the program's number")
    status = I32("its wait status")
    exec_errno = I32("why it could not be started, or 0")
    request = U64("physical address of the request's strings")
    request_size = U64("their size")
