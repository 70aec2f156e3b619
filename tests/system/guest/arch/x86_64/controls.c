/* SPDX-License-Identifier: BSD-2-Clause */
/* What prctl, arch_prctl and ptrace answer where the CPU's controls are not the guest's. */
#include <elf.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum {
	get_cpuid = 0x1011,
	get_xcomp_supp = 0x1021,
	get_xcomp_perm,
	req_xcomp_perm,
	get_xcomp_guest_perm,
	req_xcomp_guest_perm,
};

static long arch_prctl(int option, unsigned long argument) { return syscall(SYS_arch_prctl, option, argument); }

static void time_stamps(void)
{
	int mode = 0;

	CHECK(prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE);
	CHECK(prctl(PR_SET_TSC, PR_TSC_ENABLE) == 0);
	CHECK(prctl(PR_SET_TSC, 77) == -1 && errno == EINVAL);
	CHECK(prctl(PR_GET_TSC, 8) == -1 && errno == EFAULT);
	/* Refused (docs/limits.md), because it would have no effect. */
	CHECK(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == -1 && errno == EINVAL);
	CHECK(prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE);
}

static void speculation(void)
{
	int mode = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);

	CHECK(mode == PR_SPEC_NOT_AFFECTED || mode == PR_SPEC_ENABLE);
	CHECK(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0) == -1 && errno == ENXIO);
	CHECK(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, 0, 0, 0) == PR_SPEC_ENABLE);
	CHECK(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_ENABLE, 0, 0) == 0);
	CHECK(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_DISABLE, 0, 0) == -1 && errno == EPERM);
	CHECK(prctl(PR_GET_SPECULATION_CTRL, 99, 0, 0, 0) == -1 && errno == ENODEV);
	CHECK(prctl(PR_SET_SPECULATION_CTRL, 99, PR_SPEC_DISABLE, 0, 0) == -1 && errno == ENODEV);
}

static void components(void)
{
	unsigned long supported, host, guest;

	CHECK(arch_prctl(get_xcomp_supp, (unsigned long)&supported) == 0 && (supported & 3) == 3);
	CHECK(arch_prctl(get_xcomp_perm, (unsigned long)&host) == 0 && host == supported);
	CHECK(arch_prctl(get_xcomp_guest_perm, (unsigned long)&guest) == 0 && guest == supported);
	CHECK(arch_prctl(get_xcomp_guest_perm, 8) == -1 && errno == EFAULT);
	for (int request = req_xcomp_perm; request <= req_xcomp_guest_perm; request += 2) {
		CHECK(arch_prctl(request, 18) == -1 && errno == EOPNOTSUPP);
		CHECK(arch_prctl(request, 2) == -1 && errno == EOPNOTSUPP);
		CHECK(arch_prctl(request, 19) == -1 && errno == EINVAL);
	}
	CHECK(arch_prctl(get_cpuid, 0) == 1);
}

static void register_sets(void)
{
	static char buffer[8192];
	struct iovec all = { buffer, sizeof(buffer) }, odd = { buffer, 7 }, none = { buffer, 0 };
	pid_t child = fork();
	int got;

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	CHECK(waitpid(child, &got, 0) == child && WIFSTOPPED(got));
	CHECK(ptrace(PTRACE_GETREGSET, child, NT_386_IOPERM, &all) == -1 && errno == ENXIO);
	CHECK(ptrace(PTRACE_GETREGSET, child, NT_386_IOPERM, &odd) == -1 && errno == EINVAL);
	CHECK(ptrace(PTRACE_SETREGSET, child, NT_386_IOPERM, &none) == -1 && errno == EOPNOTSUPP);
	CHECK(ptrace(PTRACE_GETREGSET, child, NT_386_TLS, &all) == -1 && errno == EINVAL);
	/* Requests that only the system call has. */
	CHECK(ptrace(30 /* PTRACE_ARCH_PRCTL */, child, 0, get_cpuid) == -1 && errno == EINVAL);
	CHECK(ptrace(PTRACE_KILL, child, 0, 0) == 0 && waitpid(child, &got, 0) == child);
}

int main(void)
{
	time_stamps();
	speculation();
	components();
	register_sets();
	puts("ok");
	return 0;
}
