/* The inner loop of the forker: waits for an order, makes a process, tells its number.

   It runs in a process that holds everything programs need, warmed up, and touches nothing of it between two forks: the
   interpreter's own loop would write reference counts all over the heap, break up its huge pages, and make each fork
   copy thousands of page-table entries. For the same reason the new process gives up its rights here, in a few system
   calls, before the interpreter goes on. `Forker` in forker.py does the same in Python where there is no C compiler.
*/
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AT_ONCE 32
#define COLLAPSE 25 /* MADV_COLLAPSE, Linux 6.1 */
#define HIGHEST 256 /* no descriptor above it */

struct order { unsigned int slot, length, cpu, way; }; /* way 0: compiled already, needs no pipe for facts */
struct birth { int slot, pid; };
struct tools;
void caco_run(const struct tools *tools, unsigned int length); /* program.c */

struct slot { int out, results, job, facts; }; /* descriptors, all above those that they become: 1, 3, 4, 5 */

static void become_program(struct order order, const struct slot *slot, long server, const void *filter)
{
    struct rlimit cpu = {order.cpu, order.cpu + 1};
    unsigned int first = order.way ? 6 : 5;

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* the kernel ends this process when the server ends */
    if (getppid() != server)
        _exit(70); /* it has ended before */
    if (dup2(slot->out, 1) < 0 || dup2(slot->results, 3) < 0 || dup2(slot->job, 4) < 0)
        _exit(70);
    if (order.way && dup2(slot->facts, 5) < 0)
        _exit(70);
    if (syscall(SYS_close_range, first, ~0U, 0) < 0)
        while (first < HIGHEST)
            close(first++);
    if (syscall(SYS_setrlimit, RLIMIT_CPU, &cpu) < 0) /* the library's makes another call, which the filter refuses */
        _exit(70);
    if (filter && syscall(SYS_seccomp, 1L, 4L, filter) != 0) /* SET_MODE_FILTER, SPEC_ALLOW */
        _exit(70);
}

/* Returns in each new process whose program the harness must run, with its order in `chosen`; otherwise never: ends when
   the channel closes.
   `ranges` holds `count` pairs (start, length) of memory that is to be in huge pages; `filter` is a sock_fprog or null. */
int caco_fork_loop(int channel, const unsigned long *ranges, long count, const struct slot *slots, long server,
                   const void *filter, struct order *chosen, const struct tools *tools)
{
    struct order orders[AT_ONCE];
    struct birth births[AT_ONCE];

    for (long i = 0; i < count; i++)
        madvise((void *)ranges[2 * i], ranges[2 * i + 1], COLLAPSE);
    for (;;) {
        ssize_t got = read(channel, orders, sizeof orders);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || got % sizeof orders[0])
            _exit(0);
        long number = got / sizeof orders[0];
        for (long i = 0; i < number; i++) {
            /* a child of the server, which waits for it; not through fork(), whose hooks cost more than the call */
            long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
            if (pid == 0) {
                become_program(orders[i], &slots[orders[i].slot], server, filter);
                *chosen = orders[i];
                if (orders[i].way == 0)
                    caco_run(tools, orders[i].length);
                return 0;
            }
            births[i].slot = orders[i].slot;
            births[i].pid = pid > 0 ? pid : -errno;
        }
        if (write(channel, births, number * sizeof births[0]) < 0)
            _exit(0);
    }
}
