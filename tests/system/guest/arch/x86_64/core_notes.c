/* SPDX-License-Identifier: BSD-2-Clause */
/* A core file has the state of AVX and tells where it is, for debuggers. */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { xsave_layout = 0x205, avx = 2, avx_size = 256, avx_at = 576 };

static char core[1 << 20];

static void write_core(const char *folder)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int got, fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);
	pid_t child;

	CHECK(mkdir(folder, 0700) == 0 && chdir(folder) == 0);
	CHECK(fd >= 0 && write(fd, "core", 4) == 4 && close(fd) == 0);
	child = fork();
	if (!child) {
		CHECK(setrlimit(RLIMIT_CORE, &all) == 0);
		abort();
	}
	CHECK(waitpid(child, &got, 0) == child && WIFSIGNALED(got) && WCOREDUMP(got));
}

int main(void)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)core;
	const Elf64_Phdr *program;
	char folder[64];
	int fd, states = 0, layouts = 0;
	uint64_t features = 0;

	snprintf(folder, sizeof(folder), "/var/tmp/core-of-%d", getpid());
	write_core(folder);
	fd = open("core", O_RDONLY);
	CHECK(fd >= 0 && read(fd, core, sizeof(core)) > (long)sizeof(*header));
	program = (const Elf64_Phdr *)(core + header->e_phoff);
	CHECK(program->p_type == PT_NOTE && program->p_offset + program->p_filesz <= sizeof(core));
	for (size_t at = 0; at < program->p_filesz;) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)(core + program->p_offset + at);
		const char *data = (const char *)(note + 1) + ((note->n_namesz + 3) & ~3U);

		if (note->n_type == NT_X86_XSTATE) {
			states++;
			memcpy(&features, data + 464, sizeof(features));
		}
		if (note->n_type == xsave_layout) {
			const uint32_t *words = (const uint32_t *)data;

			layouts++;
			CHECK(!strcmp((const char *)(note + 1), "LINUX"));
			CHECK(note->n_descsz % 16 == 0 && !note->n_descsz == !(features & 1 << avx));
			if (note->n_descsz)
				CHECK(words[0] == avx && words[1] == avx_size && words[2] == avx_at && words[3] == 0);
		}
		at += sizeof(*note) + ((note->n_namesz + 3) & ~3U) + ((note->n_descsz + 3) & ~3U);
		CHECK(note->n_namesz);
	}
	CHECK(states == 1 && layouts == 1);
	CHECK(unlink("core") == 0 && rmdir(folder) == 0);
	puts("ok");
	return 0;
}
