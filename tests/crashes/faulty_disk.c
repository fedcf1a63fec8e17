/* A disk that fails: loaded before the C library, it sees every step that Python, SQLite and polars take on the files
 * below one folder, counts them, and at a given one ends the process or gives the error of a failing disk.
 *
 * -shm files and locks do not count: nothing of them is to outlive a process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { WATCH, EXIT, TEAR, FAIL_ONCE, FAIL_ON };
enum { EXITED = 70 };

static char folder[PATH_MAX];
static size_t folder_length;
static long steps, at;
static int mode, error, fired, told = -1;

void faulty_disk_arm(const char *below, int how, long step, int error_number, int tell) {
    snprintf(folder, sizeof folder, "%s", below);
    mode = how, at = step, error = error_number, told = tell, steps = 0, fired = 0;
    folder_length = strlen(folder);
}

void faulty_disk_disarm(void) { folder_length = 0; }
int faulty_disk_fired(void) { return fired; }

__attribute__((constructor)) static void arm_from_environment(void) {
    const char *wish = getenv("FAULTY_DISK"); /* MODE STEP ERRNO FOLDER */
    int how, number, where;
    long step;
    if (wish && sscanf(wish, "%d %ld %d %n", &how, &step, &number, &where) == 3)
        faulty_disk_arm(wish + where, how, step, number, -1);
}

static int ours(const char *path) {
    if (!folder_length || strncmp(path, folder, folder_length) || (path[folder_length] && path[folder_length] != '/'))
        return 0;
    size_t length = strlen(path);
    return !(length > 4 && !strcmp(path + length - 4, "-shm")) && !(length > 5 && !strcmp(path + length - 5, ".lock"));
}

static int exists(const char *path) { return access(path, F_OK) == 0; }

static int ours_open(int descriptor, char *path) {
    char link[64];
    if (!folder_length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return ours(path);
}

/* What becomes of this step: 0 it is taken, 1 half of it is and then `half_done`, -1 it fails with errno. */
static int step(const char *does, const char *path, int needs_room) {
    long number = __atomic_add_fetch(&steps, 1, __ATOMIC_SEQ_CST);
    if (told >= 0) dprintf(told, "%s %s\n", does, path + folder_length + (path[folder_length] == '/'));
    if (number < at || mode == WATCH || (number > at && mode != FAIL_ON)) return 0;
    int full = mode == FAIL_ON && (error == ENOSPC || error == EDQUOT);
    if (full && !needs_room) return 0;
    fired = 1;
    if (mode == EXIT) _exit(EXITED);
    if (mode == TEAR || (full && number == at)) return 1; /* what still fits is written */
    errno = error;
    return -1;
}

static void half_done(void) {
    if (mode == TEAR) _exit(EXITED);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CHECKED(does, path, room, call)                                                                              \
    do {                                                                                                             \
        int what = step(does, path, room);                                                                           \
        if (what < 0) return -1;                                                                                     \
        __typeof__(call) result = call;                                                                              \
        if (what) half_done();                                                                                       \
        return result;                                                                                               \
    } while (0)
#define WRITTEN(name, ...)                                                                                           \
    char path[PATH_MAX];                                                                                             \
    if (!ours_open(descriptor, path)) return REAL(name)(descriptor, bytes, count, ##__VA_ARGS__);                    \
    int what = step("write", path, 1);                                                                               \
    if (what < 0) return -1;                                                                                         \
    ssize_t result = REAL(name)(descriptor, bytes, what ? (count + 1) / 2 : count, ##__VA_ARGS__);                   \
    if (what) half_done();                                                                                           \
    return result

ssize_t write(int descriptor, const void *bytes, size_t count) { WRITTEN(write); }
ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t where) { WRITTEN(pwrite, where); }
ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t where) { WRITTEN(pwrite64, where); }

ssize_t writev(int descriptor, const struct iovec *bytes, int count) {
    char path[PATH_MAX];
    if (!ours_open(descriptor, path)) return REAL(writev)(descriptor, bytes, count);
    CHECKED("write", path, 1, REAL(writev)(descriptor, bytes, count));
}

#define ON_DESCRIPTOR(name, does, room, ...)                                                                         \
    char path[PATH_MAX];                                                                                             \
    if (!ours_open(descriptor, path)) return REAL(name)(descriptor, ##__VA_ARGS__);                                  \
    CHECKED(does, path, room, REAL(name)(descriptor, ##__VA_ARGS__))

int fsync(int descriptor) { ON_DESCRIPTOR(fsync, "sync", 0); }
int fdatasync(int descriptor) { ON_DESCRIPTOR(fdatasync, "sync", 0); }
int ftruncate(int descriptor, off_t size) { ON_DESCRIPTOR(ftruncate, "truncate", 0, size); }
int ftruncate64(int descriptor, off64_t size) { ON_DESCRIPTOR(ftruncate64, "truncate", 0, size); }

int rename(const char *from, const char *to) {
    if (!ours(to)) return REAL(rename)(from, to);
    CHECKED("rename", to, 0, REAL(rename)(from, to));
}

int unlink(const char *path) {
    if (!ours(path) || !exists(path)) return REAL(unlink)(path);
    CHECKED("unlink", path, 0, REAL(unlink)(path));
}

int mkdir(const char *path, mode_t permissions) {
    if (!ours(path) || exists(path)) return REAL(mkdir)(path, permissions);
    CHECKED("mkdir", path, 1, REAL(mkdir)(path, permissions));
}

#define OPENED(name)                                                                                                 \
    mode_t permissions = 0;                                                                                          \
    if (flags & O_CREAT) {                                                                                           \
        va_list rest;                                                                                                \
        va_start(rest, flags);                                                                                       \
        permissions = va_arg(rest, mode_t);                                                                          \
        va_end(rest);                                                                                                \
    }                                                                                                                \
    if (!ours(path) || (exists(path) ? !(flags & O_TRUNC) : !(flags & O_CREAT)))                                      \
        return REAL(name)(path, flags, permissions);                  \
    CHECKED("open", path, !exists(path), REAL(name)(path, flags, permissions))

int open(const char *path, int flags, ...) { OPENED(open); }
int open64(const char *path, int flags, ...) { OPENED(open64); }
