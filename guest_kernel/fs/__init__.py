"""The virtual file system, and the file systems that need no disk: ramfs, proc, devices."""
