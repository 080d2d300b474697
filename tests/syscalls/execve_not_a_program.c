/* Which files are no programs, for execve(2)? */
#include "process.h"
#include <elf.h>

static char *const arguments[] = { "program", NULL };

static void execute(const char *what, const void *content, size_t size)
{
	int fd = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0755);

	if (fd < 0 || write(fd, content, size) != (ssize_t)size)
		die("make a file");
	close(fd);
	show(what, syscall(SYS_execve, "file", arguments, NULL));
}

int main(void)
{
	static struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment[4];
	} elf = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
	};
	const Elf64_Ehdr good = elf.header;

	enter_scratch("execve_not_a_program");
	execute("empty", "", 0);
	execute("one byte", "x", 1);
	execute("text", "echo hello\n", 11);
	execute("#", "#", 1);
	execute("ELF magic alone", "\177ELF", 4);
	execute("half a header", &elf, 32);
	execute("header without segments", &elf, sizeof(elf.header));
	elf.header.e_type = ET_REL;
	execute("object file", &elf, sizeof(elf));
	elf.header = good;
	elf.header.e_type = ET_CORE;
	execute("core file", &elf, sizeof(elf));
	elf.header = good;
	elf.header.e_machine = EM_AARCH64;
	execute("another machine", &elf, sizeof(elf));
	elf.header = good;
	elf.header.e_phentsize = 32;
	execute("wrong size of segment headers", &elf, sizeof(elf));
	elf.header = good;
	elf.header.e_phnum = 0;
	execute("no segment headers", &elf, sizeof(elf));
	elf.header = good;
	elf.header.e_ident[0] = 0;
	execute("wrong magic", &elf, sizeof(elf));
	unlink("file");
	leave_scratch();
	return report_status();
}
