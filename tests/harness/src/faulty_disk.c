/*
 * Preloaded into a server, this makes calls on its files fail or wait, as long as a file with orders is there.
 *
 * FAULTY_DISK_ORDERS names that file. It has one order: a call (`fsync` or `write`), what to do (an errno as a number,
 * or `hold`), and the end of the names of the files it is about. A call that is held waits until the order is gone, and is
 * then made. Each call that meets an order says so on stderr, before it waits or fails.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { POLL_MICROSECONDS = 2000, LONGEST = 512 };

struct order {
    char call[16];
    char action[16];
    char file[LONGEST];
};

static int read_order(struct order *order) {
    const char *path = getenv("FAULTY_DISK_ORDERS");
    if (path == NULL) return 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    int fields = fscanf(file, "%15s %15s %511s", order->call, order->action, order->file);
    fclose(file);
    return fields == 3;
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Zero, or the errno to fail with. */
static int meets_order(const char *call, int fd) {
    int before = errno, told = 0, fault = 0;
    struct order order;
    char link[64], name[LONGEST];
    while (read_order(&order) && strcmp(order.call, call) == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, name, sizeof name - 1);
        if (length < 0) break;
        name[length] = '\0';
        if (!ends_with(name, order.file)) break;
        if (!told) {
            dprintf(STDERR_FILENO, "faulty disk: %s of %s: %s\n", call, order.file, order.action);
            told = 1;
        }
        if (strcmp(order.action, "hold") != 0) {
            fault = atoi(order.action);
            break;
        }
        usleep(POLL_MICROSECONDS);
    }
    errno = fault != 0 ? fault : before;
    return fault;
}

#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

int fsync(int fd) { return meets_order("fsync", fd) ? -1 : REAL(fsync)(fd); }

int fdatasync(int fd) { return meets_order("fsync", fd) ? -1 : REAL(fdatasync)(fd); }

ssize_t write(int fd, const void *bytes, size_t count) {
    return fd != STDERR_FILENO && meets_order("write", fd) ? -1 : REAL(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return meets_order("write", fd) ? -1 : REAL(pwrite)(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return meets_order("write", fd) ? -1 : REAL(pwrite64)(fd, bytes, count, offset);
}
