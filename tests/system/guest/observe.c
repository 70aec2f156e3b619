/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counting and tracing: perf_event_open(), tracepoints, the function tracer, probes of programs and of the kernel. The
 * argument names the part to be tested; it runs as root.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define TRACING  "/sys/kernel/tracing/"
#define PAGES    64
#define TURNS    50
#define SWITCHES 10       /* of the tracer */
#define TICK     10000000 /* nanoseconds */

static int try_write(const char *name, const char *text, int how)
{
	char path[200];
	int file, error = 0;

	snprintf(path, sizeof(path), TRACING "%s", name);
	file = open(path, O_WRONLY | how);
	if (file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text))
		error = errno;
	if (file >= 0)
		close(file);
	return error;
}

static void write_file(const char *name, const char *text, int how)
{
	int error = try_write(name, text, how);

	if (error) {
		fprintf(stderr, TRACING "%s: cannot write \"%s\": %s\n", name, text, strerror(error));
		exit(1);
	}
}

/* How many lines of the trace hold the text. */
static int lines_with(const char *text)
{
	static char line[4096];
	FILE *trace = fopen(TRACING "trace", "r");
	int found = 0;

	CHECK(trace);
	while (fgets(line, sizeof(line), trace))
		found += line[0] != '#' && strstr(line, text);
	fclose(trace);
	return found;
}

static uint64_t count(int event)
{
	uint64_t value = 0;

	CHECK(read(event, &value, sizeof(value)) == sizeof(value));
	return value;
}

static int software_event(uint64_t what)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = what };
	int event = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	CHECK(event >= 0);
	return event;
}

__attribute__((noinline)) static void spin(uint64_t turns)
{
	volatile uint64_t i;

	for (i = 0; i < turns; i++)
		;
}

static void wait_for(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child && !status);
}

/* A process that reads, writes, switches, forks and maps memory until it is killed. */
static pid_t start_load(void)
{
	pid_t load = fork();
	int pipes[2];
	char byte = 0;

	CHECK(load >= 0);
	if (load)
		return load;
	CHECK(!pipe(pipes));
	for (;;) {
		volatile char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pid_t child = fork();

		if (!child) {
			usleep(100);
			_exit(write(pipes[1], &byte, 1) != 1);
		}
		*memory = 1;
		CHECK(child > 0 && read(pipes[0], &byte, 1) == 1);
		CHECK(waitpid(child, NULL, 0) == child);
		munmap((void *)memory, 4096);
	}
}

/* The load must be there still: it ends if anything goes wrong. */
static void stop_load(pid_t load)
{
	int status;

	CHECK(!waitpid(load, &status, WNOHANG));
	kill(load, SIGKILL);
	CHECK(waitpid(load, &status, 0) == load);
}

static void page_faults_are_counted(void)
{
	int event = software_event(PERF_COUNT_SW_PAGE_FAULTS_MIN);
	volatile char *memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t before;
	int i;

	CHECK(memory != MAP_FAILED);
	before = count(event);
	for (i = 0; i < PAGES; i++)
		memory[i * 4096] = 1;
	CHECK(count(event) - before >= PAGES && count(event) - before < PAGES + 16);
	close(event);
}

/* Times come from the CPU's counter: they are not multiples of a tick. */
static void time_is_counted(void)
{
	int clock = software_event(PERF_COUNT_SW_TASK_CLOCK);
	uint64_t before = count(clock), used;

	spin(1000);
	used = count(clock) - before;
	CHECK(used && used % TICK);
	close(clock);
}

/* Each turn waits for another process. */
static void switch_to_and_fro(void)
{
	int there[2], back[2], i;
	char byte = 0;
	pid_t child;

	CHECK(!pipe(there) && !pipe(back));
	child = fork();
	if (!child) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1)
			CHECK(write(back[1], &byte, 1) == 1);
		_exit(0);
	}
	for (i = 0; i < TURNS; i++)
		CHECK(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1);
	close(there[1]);
	wait_for(child);
	close(there[0]);
	close(back[0]);
	close(back[1]);
}

/* Both on one CPU: of two that run at once, one finds the other's byte there already, and does not wait. */
static void switches_are_counted(void)
{
	int event = software_event(PERF_COUNT_SW_CONTEXT_SWITCHES);
	uint64_t before = count(event);
	cpu_set_t all, one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	CHECK(!sched_getaffinity(0, sizeof(all), &all) && !sched_setaffinity(0, sizeof(one), &one));
	switch_to_and_fro();
	CHECK(!sched_setaffinity(0, sizeof(all), &all));
	CHECK(count(event) - before >= TURNS);
	close(event);
}

/* Samples of the clock have the program's own call chain. */
static void samples_have_call_chains(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
	                                .size = sizeof(attr),
	                                .config = PERF_COUNT_SW_CPU_CLOCK,
	                                .sample_period = 1000000,
	                                .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN,
	                                .exclude_kernel = 1 };
	int event = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0), samples = 0;
	struct perf_event_mmap_page *page;
	uint64_t at;

	CHECK(event >= 0);
	page = mmap(NULL, 17 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
	CHECK(page != MAP_FAILED);
	spin(20000000);
	CHECK(!ioctl(event, PERF_EVENT_IOC_DISABLE, 0));
	for (at = page->data_tail; at < page->data_head;) {
		struct {
			struct perf_event_header header;
			uint64_t ip, length, chain[];
		} *record;

		record = (void *)((char *)page + 4096 + at % (16 * 4096));
		if (record->header.type == PERF_RECORD_SAMPLE && at % (16 * 4096) + record->header.size <= 16 * 4096)
			samples += record->length >= 2 && record->ip;
		at += record->header.size;
	}
	CHECK(samples > 0);
	munmap(page, 17 * 4096);
	close(event);
}

static void counters(void)
{
	page_faults_are_counted();
	time_is_counted();
	switches_are_counted();
	samples_have_call_chains();
}

/* Each tracepoint is a static key: the kernel's instructions change while they run. */
static void static_keys(void)
{
	pid_t load = start_load();
	int i;

	for (i = 0; i < TURNS; i++) {
		write_file("events/sched/enable", "1", 0);
		usleep(2000);
		write_file("events/sched/enable", "0", 0);
	}
	stop_load(load);
	CHECK(lines_with("sched_switch:") > TURNS);
	write_file("trace", "", O_TRUNC);
	write_file("events/syscalls/sys_enter_getppid/enable", "1", 0);
	for (i = 0; i < TURNS; i++)
		syscall(SYS_getppid);
	write_file("events/syscalls/sys_enter_getppid/enable", "0", 0);
	CHECK(lines_with("sys_getppid") == TURNS);
}

/* A function whose first instructions the CPU reads relative to the program counter, or pushes, and one that branches. */
static volatile int variable = 5;
__attribute__((noipa)) int probed(int argument) { return argument * 2 + variable; }

/* Returns the place of probed() in its file, whose name is stored. */
static unsigned long own_place(char *self, size_t bytes)
{
	unsigned long start = 0, end, offset, at = (unsigned long)probed;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[600];
	ssize_t length = readlink("/proc/self/exe", self, bytes - 1);

	CHECK(maps && length > 0);
	self[length] = 0;
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 && at >= start && at < end)
			break;
	fclose(maps);
	return at - start + offset;
}

static void probe_self(void)
{
	char self[200], text[600];
	unsigned long place = own_place(self, sizeof(self));

	snprintf(text, sizeof(text), "p:quoll/begin %s:0x%lx\nr:quoll/end %s:0x%lx result=$retval:s32", self, place,
	         self, place);
	write_file("uprobe_events", text, O_TRUNC);
	write_file("trace", "", O_TRUNC);
	write_file("events/quoll/enable", "1", 0);
}

static void stop_probes(void) { write_file("events/quoll/enable", "0", 0); }

/* Empties the trace too. */
static void remove_probes(const char *events) { write_file(events, "", O_TRUNC); }

static void call_probed(void)
{
	int i;

	for (i = 0; i < TURNS; i++)
		CHECK(probed(i) == i * 2 + 5);
}

/* The child has the probe in its memory, and its own copy of that page is written to. */
static void children_are_probed(void)
{
	pid_t child;

	probe_self();
	call_probed();
	child = fork();
	if (!child) {
		call_probed();
		_exit(0);
	}
	call_probed();
	wait_for(child);
	stop_probes();
	call_probed();
	CHECK(lines_with("begin:") == 3 * TURNS);
	CHECK(lines_with("end:") == 3 * TURNS);
	CHECK(lines_with("result=25") == 3);
	remove_probes("uprobe_events");
}

/* The file, and who shares it, keep what stands in the file. */
static void the_file_stays(void)
{
	char self[200], code[16], now[16], *shared;
	unsigned long place = own_place(self, sizeof(self)), in_page = place % 4096;
	int file = open(self, O_RDONLY);

	shared = mmap(NULL, 8192, PROT_READ, MAP_SHARED, file, place - in_page);
	CHECK(shared != MAP_FAILED);
	memcpy(code, (void *)probed, sizeof(code));
	CHECK(!memcmp(shared + in_page, code, sizeof(code)));
	probe_self();
	CHECK(memcmp((void *)probed, code, sizeof(code)));
	CHECK(!memcmp(shared + in_page, code, sizeof(code)));
	CHECK(pread(file, now, sizeof(now), place) == sizeof(now) && !memcmp(now, code, sizeof(code)));
	stop_probes();
	CHECK(!memcmp((void *)probed, code, sizeof(code)));
	remove_probes("uprobe_events");
	munmap(shared, 8192);
	close(file);
}

/* A debugger steps through the probed function; where a CPU has no steps, it lets the child go on. */
static void probes_work_beside_ptrace(void)
{
	int status, steps;
	pid_t child;

	probe_self();
	child = fork();
	if (!child) {
		CHECK(!ptrace(PTRACE_TRACEME, 0, NULL, NULL));
		raise(SIGSTOP);
		CHECK(probed(10) == 25);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	for (steps = 0; steps < 2000; steps++) {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL))
			break;
		CHECK(waitpid(child, &status, 0) == child);
		if (!WIFSTOPPED(status))
			break;
		CHECK(WSTOPSIG(status) == SIGTRAP);
	}
	if (WIFSTOPPED(status)) {
		CHECK(!ptrace(PTRACE_CONT, child, NULL, NULL));
		CHECK(waitpid(child, &status, 0) == child);
	}
	CHECK(!status);
	stop_probes();
	CHECK(lines_with("begin:") == 1);
	CHECK(lines_with("result=25") == 1);
	remove_probes("uprobe_events");
}

/* With a filter that allows all system calls. */
static void probes_work_beside_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { 1, &allow };
	pid_t child;

	probe_self();
	child = fork();
	if (!child) {
		CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
		call_probed();
		_exit(0);
	}
	wait_for(child);
	stop_probes();
	CHECK(lines_with("begin:") == TURNS);
	CHECK(lines_with("result=25") == 1);
	remove_probes("uprobe_events");
}

static void uprobes(void)
{
	children_are_probed();
	the_file_stays();
	probes_work_beside_ptrace();
	probes_work_beside_seccomp();
}

/* Functions that everything calls, at start and return. */
static void hot_functions_are_probed(void)
{
	pid_t load = start_load();
	int i;

	write_file(
		"kprobe_events",
		"p:quoll/read vfs_read\nr:quoll/read_end vfs_read\np:quoll/fault handle_mm_fault\n"
		"r:quoll/fault_end handle_mm_fault\np:quoll/sleep do_nanosleep\n"
		"r:quoll/sleep_end do_nanosleep result=$retval:s32\np:quoll/wake try_to_wake_up\nr:quoll/wake_end try_to_wake_up",
		O_TRUNC);
	write_file("trace", "", O_TRUNC);
	for (i = 0; i < TURNS; i++) {
		write_file("events/quoll/enable", "1", 0);
		usleep(2000);
		write_file("events/quoll/enable", "0", 0);
	}
	stop_load(load);
	CHECK(lines_with("read:") && lines_with("read_end:") && lines_with("fault:") && lines_with("fault_end:"));
	CHECK(lines_with("wake:") && lines_with("wake_end:"));
	CHECK(lines_with("sleep:") >= TURNS && lines_with("result=0") >= TURNS - 1);
	remove_probes("kprobe_events");
}

/* Probes every instruction of a function that disables and enables interrupts. */
static void instructions_are_probed(const char *function)
{
	int offset, i, set = 0;
	char text[200];

	write_file("kprobe_events", "", O_TRUNC);
	for (offset = 0; offset < 400; offset++) {
		snprintf(text, sizeof(text), "p:quoll/at%d %s+%d", offset, function, offset);
		set += !try_write("kprobe_events", text, O_APPEND);
	}
	CHECK(set >= 5);
	write_file("trace", "", O_TRUNC);
	write_file("events/quoll/enable", "1", 0);
	switch_to_and_fro();
	for (i = 0; i < TURNS; i++)
		usleep(1);
	stop_probes();
	CHECK(lines_with(": at") >= TURNS);
	remove_probes("kprobe_events");
}

/* Where a probe would end the kernel, and in the room for calls of the function tracer. */
static void forbidden_places_are_refused(void)
{
	static const char *const places[] = {
		"l4_kernel_entry",     "l4_user_entry", "l4_kernel_upcall", "l4_user_exit",  "l4_fork_tail",
		"l4_bad_stack",        "__switch_to",   "memcpy",           "l4_text_write", "l4_text_poke",
		"l4_cpu_kernel_probe", "l4_probe_done", "do_nanosleep+4"
	};
	char text[200];
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(*places); i++) {
		snprintf(text, sizeof(text), "p:quoll/forbidden %s", places[i]);
		if (!try_write("kprobe_events", text, O_TRUNC)) {
			fprintf(stderr, "a probe at %s is accepted\n", places[i]);
			exit(1);
		}
	}
}

static void kprobes(void)
{
	forbidden_places_are_refused();
	hot_functions_are_probed();
	instructions_are_probed("prepare_to_wait_event");
	instructions_are_probed("finish_wait");
	instructions_are_probed("hrtimer_try_to_cancel");
}

static void trace_one(const char *tracer, const char *line)
{
	int i;

	write_file("set_ftrace_filter", "do_nanosleep", O_TRUNC);
	write_file("trace", "", O_TRUNC);
	write_file("current_tracer", tracer, O_TRUNC);
	for (i = 0; i < TURNS; i++)
		usleep(1);
	CHECK(lines_with(line) >= TURNS);
	write_file("current_tracer", "nop", O_TRUNC);
	write_file("set_ftrace_filter", "", O_TRUNC);
}

/* All functions, while they run. */
static void trace_all(const char *tracer)
{
	pid_t load = start_load();

	write_file("current_tracer", tracer, O_TRUNC);
	usleep(100000);
	/* The last that is traced is this call. */
	write_file("tracing_on", "0", 0);
	CHECK(lines_with("vfs_write"));
	write_file("current_tracer", "nop", O_TRUNC);
	write_file("tracing_on", "1", 0);
	stop_load(load);
}

static void functions(void)
{
	trace_one("function", "do_nanosleep");
	trace_one("function_graph", "do_nanosleep();");
	trace_all("function");
	trace_all("function_graph");
}

/* Functions that are traced and probed at the same time. A new tracer empties the trace. */
static void together(void)
{
	pid_t load = start_load();
	int i, hits = 0;

	write_file("kprobe_events", "p:quoll/read vfs_read\nr:quoll/read_end vfs_read", O_TRUNC);
	write_file("set_ftrace_filter", "vfs_*", O_TRUNC);
	for (i = 0; i < SWITCHES; i++) {
		write_file("current_tracer", i % 2 ? "function" : "function_graph", O_TRUNC);
		write_file("events/quoll/enable", "1", 0);
		usleep(1000);
		stop_probes();
		/* A trace that goes on may grow faster than it is read. */
		write_file("tracing_on", "0", 0);
		hits += lines_with("read:");
		write_file("current_tracer", "nop", O_TRUNC);
		write_file("tracing_on", "1", 0);
	}
	stop_load(load);
	CHECK(hits > 0);
	remove_probes("kprobe_events");
	write_file("set_ftrace_filter", "", O_TRUNC);
}

int main(int count_of_arguments, char **arguments)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = { { "counters", counters }, { "static_keys", static_keys }, { "functions", functions },
	              { "uprobes", uprobes },   { "kprobes", kprobes },         { "together", together } };
	size_t i;

	CHECK(count_of_arguments == 2);
	if (access(TRACING "trace", F_OK))
		CHECK(!mount("tracefs", TRACING, "tracefs", 0, NULL));
	for (i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (strcmp(parts[i].name, arguments[1]))
			continue;
		parts[i].run();
		puts("ok");
		return 0;
	}
	fprintf(stderr, "no part %s\n", arguments[1]);
	return 2;
}
