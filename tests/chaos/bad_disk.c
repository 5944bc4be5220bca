/* Loaded before libc into a call plane: a disk that can be full, read-only or slow, and whose power can fail.
 *
 * After bad_disk_use(OFFICE), what is written below OFFICE/data goes where it always goes, so a process that is
 * killed leaves all of it. OFFICE/platter has only what an fsync has returned for: what is there after a power cut.
 * The first byte of OFFICE/control is the mode, and may change at any time. fsync does not reach the real disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { NORMAL = 'n', FULL = 'f', READ_ONLY = 'r', SLOW = 's' };
enum { MAX_FILES = 1024, MAX_REMOVED = 8, SMALL_BYTES = 8 << 20, PIECE_BYTES = 1 << 16 };

struct extent { off64_t from; size_t length; };
struct file { char *name; struct extent *unsynced; size_t count, room; };

static char data[PATH_MAX], platter[PATH_MAX];
static volatile const char *mode = "n";
static struct file files[MAX_FILES];
static char *removed[MAX_REMOVED];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, result, ...) \
    static result (*real)(__VA_ARGS__); if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

void bad_disk_use(const char *office)
{
    char control[PATH_MAX];
    snprintf(data, sizeof data, "%s/data/", office);
    snprintf(platter, sizeof platter, "%s/platter/", office);
    snprintf(control, sizeof control, "%s/control", office);
    int fd = open(control, O_RDONLY | O_CLOEXEC);
    void *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) abort();
    mode = page;
    close(fd);
}

static struct file *ours(int fd) { return fd >= 0 && fd < MAX_FILES && files[fd].name ? &files[fd] : NULL; }

static void note(struct file *file, off64_t from, size_t length)
{
    pthread_mutex_lock(&lock);
    if (file->count == file->room) {
        file->room = file->room ? 2 * file->room : 64;
        file->unsynced = realloc(file->unsynced, file->room * sizeof *file->unsynced);
        if (!file->unsynced) abort();
    }
    file->unsynced[file->count++] = (struct extent){from, length};
    pthread_mutex_unlock(&lock);
}

static int refusal(int fd)
{
    if (!ours(fd)) return 0;
    return *mode == FULL ? ENOSPC : *mode == READ_ONLY ? EROFS : 0;
}

static void copy(int from, int to, struct extent extent)
{
    static char piece[PIECE_BYTES];
    off64_t end = extent.from + (off64_t)extent.length;
    for (off64_t at = extent.from; at < end;) {
        size_t wanted = end - at < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;
        ssize_t got = pread64(from, piece, wanted, at);
        REAL("pwrite64", ssize_t, int, const void *, size_t, off64_t);
        if (got <= 0) return; /* cut off meanwhile */
        if (real(to, piece, (size_t)got, at) != got) abort();
        at += got;
    }
}

/* What was written since the last time is now on the platter, and the file there is as long as ours. */
static int synced(int fd)
{
    struct file *file = ours(fd);
    struct stat now;
    char place[2 * PATH_MAX];
    if (!file || fstat(fd, &now)) return 0;
    if (*mode == SLOW) sleep(1);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAX_REMOVED && removed[i]; removed[i++] = NULL) {
        snprintf(place, sizeof place, "%s%s", platter, removed[i]);
        unlink(place);
        free(removed[i]);
    }
    snprintf(place, sizeof place, "%s%s", platter, file->name);
    int to = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (to < 0) abort();
    for (size_t i = 0; i < file->count; i++) copy(fd, to, file->unsynced[i]);
    file->count = 0;
    REAL("ftruncate64", int, int, off64_t);
    if (real(to, now.st_size)) abort();
    close(to);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int opened(int fd, const char *path)
{
    struct stat now;
    size_t length = strlen(data);
    if (fd < 0 || fd >= MAX_FILES || !length || strncmp(path, data, length) || fstat(fd, &now)) return fd;
    if (!S_ISREG(now.st_mode) || (strlen(path) > 4 && !strcmp(path + strlen(path) - 4, "-shm"))) return fd;
    files[fd].name = strdup(path + length);
    files[fd].count = 0;
    if (now.st_size && now.st_size < SMALL_BYTES) note(&files[fd], 0, (size_t)now.st_size); /* of one who was killed */
    return fd;
}

static int open_as(const char *path, int flags, mode_t permissions)
{
    REAL("open64", int, const char *, int, ...);
    int is_below = *data && !strncmp(path, data, strlen(data));
    if (is_below && *mode == READ_ONLY && flags & (O_WRONLY | O_RDWR | O_CREAT)) { errno = EROFS; return -1; }
    if (is_below && *mode == FULL && flags & O_CREAT && access(path, F_OK)) { errno = ENOSPC; return -1; }
    return opened(real(path, flags, permissions), path);
}

#define PERMISSIONS(flags) \
    mode_t permissions = 0; \
    if (flags & O_CREAT) { va_list rest; va_start(rest, flags); permissions = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { PERMISSIONS(flags) return open_as(path, flags, permissions); }
int open64(const char *path, int flags, ...) { PERMISSIONS(flags) return open_as(path, flags, permissions); }

int close(int fd)
{
    REAL("close", int, int);
    struct file *file = ours(fd);
    if (file) { free(file->name); file->name = NULL; }
    return real(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
    REAL("pwrite64", ssize_t, int, const void *, size_t, off64_t);
    if ((errno = refusal(fd))) return -1;
    ssize_t written = real(fd, bytes, length, at);
    if (ours(fd) && written > 0) note(ours(fd), at, (size_t)written);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

int ftruncate64(int fd, off64_t length)
{
    REAL("ftruncate64", int, int, off64_t);
    return (errno = refusal(fd)) ? -1 : real(fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int told(struct statvfs *disk, const char *path, int result)
{
    if (result || !*data || strncmp(path, data, strlen(data) - 1)) return result;
    if (*mode == FULL) disk->f_bavail = 0;
    if (*mode == READ_ONLY) disk->f_flag |= ST_RDONLY;
    return result;
}

int statvfs(const char *path, struct statvfs *disk)
{
    REAL("statvfs", int, const char *, struct statvfs *);
    return told(disk, path, real(path, disk));
}

#if __WORDSIZE == 64 /* the same thing there */
int statvfs64(const char *path, struct statvfs64 *disk) { return statvfs(path, (struct statvfs *)disk); }
#endif

/* A file that was deleted is gone from the platter with the next fsync of any other. */
int unlink(const char *path)
{
    REAL("unlink", int, const char *);
    size_t length = strlen(data), i = 0;
    if (length && !strncmp(path, data, length)) {
        while (i < MAX_REMOVED - 1 && removed[i]) i++;
        free(removed[i]);
        removed[i] = strdup(path + length);
    }
    return real(path);
}

int fsync(int fd)
{
    REAL("fsync", int, int);
    return ours(fd) ? synced(fd) : real(fd);
}

int fdatasync(int fd) { return fsync(fd); }
