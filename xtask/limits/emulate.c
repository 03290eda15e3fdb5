// What ptrace allows: one int3 site whose instruction is emulated, one register read, one memory
// read and one register write per hit, and nothing else. No tool that does this in another process
// can be faster. `emulate HITS [free]` prints `<hits per second>`: with both on one CPU, or where the
// scheduler puts them.
//
// After `limits/resume.c`, mode `emul`, of the measurements that lr's design rests on.
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline, naked)) static void target(void) {
    __asm__("nop\n mov %edi,%eax\n ret");
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    long hits = argc > 1 ? atol(argv[1]) : 100000;
    if (argc < 3) {
        cpu_set_t here;
        CPU_ZERO(&here);
        CPU_SET(sched_getcpu(), &here);
        sched_setaffinity(0, sizeof here, &here);
    }
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        for (;;) {
            target();
        }
    }
    int status;
    waitpid(child, &status, 0);
    uintptr_t site = (uintptr_t)target;
    long original = ptrace(PTRACE_PEEKTEXT, child, site, 0);
    ptrace(PTRACE_POKETEXT, child, site, (original & ~0xffL) | 0xcc);

    double begun = now();
    for (long i = 0; i < hits; i++) {
        ptrace(PTRACE_CONT, child, 0, 0);
        if (waitpid(child, &status, __WALL) < 0 || !WIFSTOPPED(status)) {
            fprintf(stderr, "the target ended: %x\n", status);
            return 1;
        }
        struct user_regs_struct registers;
        ptrace(PTRACE_GETREGS, child, 0, &registers);
        char stack[64];
        struct iovec here = {stack, sizeof stack};
        struct iovec there = {(void *)registers.rsp, sizeof stack};
        process_vm_readv(child, &here, 1, &there, 1, 0);
        registers.rip = site + 1; // the nop
        ptrace(PTRACE_SETREGS, child, 0, &registers);
    }
    printf("%.0f\n", (double)hits / (now() - begun));
    kill(child, SIGKILL);
    return 0;
}
