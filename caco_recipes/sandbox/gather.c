/* Moves everything that lies in a stretch of addresses into one anonymous mapping at the same place.

   A fork copies each mapping, and an entry for each page that is in use. An interpreter with its libraries has 140
   mappings, most of them a few pages of some library, and two thousand pages; in one mapping they fit into a dozen huge
   pages. Contents and addresses stay, so nothing notices. The copying must see no write to the stretch before the
   mapping takes its place: hence one function, which writes to its own stack alone and makes bare system calls.
*/
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGE_PAGE (2UL << 20)

struct part { unsigned long start, end; }; /* what can be read */

static long call(long number, long a, long b, long c, long d, long e)
{
    return syscall(number, a, b, c, d, e, 0L);
}

/* 0, or -1 when the system refuses: then all is as it was. */
int caco_gather(unsigned long low, unsigned long high, const struct part *parts, long count)
{
    unsigned long length = high - low;
    /* One huge page more to choose a start from, and one below the stretch, which reaches further down than what lies in it
       now: a new mapping is put right under the others, and must not overlap. */
    long got = call(SYS_mmap, 0, length + 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (got < 0 && got > -4096)
        return -1;
    /* at the same distance from a huge page's start, so that huge pages move whole */
    unsigned long first = (unsigned long)got, place = first + ((low - first) & (HUGE_PAGE - 1));
    if (place > first)
        call(SYS_munmap, first, place - first, 0, 0, 0);
    call(SYS_munmap, place + length, first + 2 * HUGE_PAGE - place, 0, 0, 0);
    for (long i = 0; i < count; i++) {
        const uint64_t *from = (const uint64_t *)parts[i].start, *end = (const uint64_t *)parts[i].end;
        volatile uint64_t *to = (volatile uint64_t *)(place + (parts[i].start - low));
        while (from < end)
            *to++ = *from++;
    }
    /* After the copy: some processors have to be told of code that was written, which the kernel does here. Neither call
       writes to the stretch; their function has been found by the calls before. */
    if (call(SYS_mprotect, place, length, PROT_READ | PROT_WRITE | PROT_EXEC, 0, 0) != 0) {
        call(SYS_munmap, place, length, 0, 0, 0);
        return -1;
    }
    if (call(SYS_mremap, place, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, low) != (long)low) {
        call(SYS_munmap, place, length, 0, 0, 0);
        return -1;
    }
    return 0;
}
