/* Loaded before libc into a call plane: a disk that can be full, read-only or slow, and whose power can fail.
 *
 * After bad_disk_use(OFFICE), what is written below OFFICE/data goes where it always goes, so a process that is
 * killed leaves all of it. OFFICE/platter has only what an fsync has returned for: what is there after a power cut.
 * The first byte of OFFICE/control is the mode, and may change at any time. fsync does not reach the real disk.
 *
 * What changes something below OFFICE/data is a step: bad_disk_at(n, 'k') kills the process before its n-th step, and
 * bad_disk_at(n, 'f') makes the disk full from that step on. bad_disk_steps() tells how many were taken.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { NORMAL = 'n', FULL = 'f', READ_ONLY = 'r', SLOW = 's' };
enum { MAX_FILES = 1024, MAX_MOVES = 64, SMALL_BYTES = 8 << 20, PIECE_BYTES = 1 << 16 };

struct extent { off64_t from; size_t length; };
struct move { char *from, *to; }; /* to nowhere: removed */
struct file { char *name; struct extent *unsynced; size_t count, room; };

static char data[PATH_MAX], platter[PATH_MAX];
static volatile const char *mode = "n";
static struct file files[MAX_FILES];
static struct move moves[MAX_MOVES];
static long steps, eventful_step;
static char event;
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

void bad_disk_at(long step, int what) { eventful_step = step; event = (char)what; }

long bad_disk_steps(void) { return steps; }

static void step(void)
{
    if (++steps != eventful_step) return;
    if (event == 'k') kill(getpid(), SIGKILL);
    if (event == FULL) mode = "f";
}

static const char *below(const char *path)
{
    size_t length = strlen(data);
    return length && !strncmp(path, data, length) ? path + length : NULL;
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
    step();
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

/* Names last from the next fsync on, of whatever file or directory. What was never synced is empty under its new name. */
static void move_all(void)
{
    char from[2 * PATH_MAX], to[2 * PATH_MAX];
    REAL("rename", int, const char *, const char *);
    for (size_t i = 0; i < MAX_MOVES && moves[i].from; moves[i++] = (struct move){NULL, NULL}) {
        snprintf(from, sizeof from, "%s%s", platter, moves[i].from);
        snprintf(to, sizeof to, "%s%s", platter, moves[i].to ? moves[i].to : "");
        if (!moves[i].to) unlink(from);
        else if (real(from, to)) close(open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        free(moves[i].from);
        free(moves[i].to);
    }
}

static void move_later(const char *from, const char *to)
{
    size_t i = 0;
    while (i < MAX_MOVES && moves[i].from) i++;
    if (i == MAX_MOVES) abort();
    moves[i] = (struct move){strdup(from), to ? strdup(to) : NULL};
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
    move_all();
    snprintf(place, sizeof place, "%s%s", platter, file->name);
    for (char *folder = strchr(place + strlen(platter), '/'); folder; folder = strchr(folder + 1, '/')) {
        *folder = 0;
        mkdir(place, 0700);
        *folder = '/';
    }
    int to = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (to < 0) abort();
    for (int other = 0; other < MAX_FILES; other++) {
        if (!files[other].name || strcmp(files[other].name, file->name)) continue;
        for (size_t i = 0; i < files[other].count; i++) copy(fd, to, files[other].unsynced[i]);
        files[other].count = 0;
    }
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
    int is_below = below(path) != NULL;
    if (is_below && flags & O_CREAT && access(path, F_OK)) step();
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
    if (file) {
        char *name = file->name;
        file->name = NULL;
        /* Whoever else has it open may still sync what was written here. */
        for (int other = 0; file->count && other < MAX_FILES; other++)
            if (files[other].name && !strcmp(files[other].name, name))
                while (file->count) {
                    struct extent last = file->unsynced[--file->count];
                    note(&files[other], last.from, last.length);
                }
        free(name);
    }
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

ssize_t write(int fd, const void *bytes, size_t length)
{
    REAL("write", ssize_t, int, const void *, size_t);
    if (!ours(fd)) return real(fd, bytes, length);
    if ((errno = refusal(fd))) return -1;
    off64_t at = lseek64(fd, 0, SEEK_CUR);
    ssize_t written = real(fd, bytes, length);
    if (written > 0) note(ours(fd), at, (size_t)written);
    return written;
}

int unlink(const char *path)
{
    REAL("unlink", int, const char *);
    if (!below(path) || access(path, F_OK)) return real(path);
    step();
    pthread_mutex_lock(&lock);
    move_later(below(path), NULL);
    pthread_mutex_unlock(&lock);
    return real(path);
}

int rename(const char *from, const char *to)
{
    REAL("rename", int, const char *, const char *);
    if (!below(from) || !below(to)) return real(from, to);
    step();
    pthread_mutex_lock(&lock);
    for (int fd = 0; fd < MAX_FILES; fd++)
        if (files[fd].name && !strcmp(files[fd].name, below(from))) {
            free(files[fd].name);
            files[fd].name = strdup(below(to));
        }
    move_later(below(from), below(to));
    pthread_mutex_unlock(&lock);
    return real(from, to);
}

static int is_directory_below(int fd)
{
    char name[64], path[PATH_MAX];
    struct stat now;
    if (!*data || fstat(fd, &now) || !S_ISDIR(now.st_mode)) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 2);
    if (length <= 0) return 0;
    memcpy(path + length, "/", 2);
    return below(path) != NULL;
}

int fsync(int fd)
{
    REAL("fsync", int, int);
    if (ours(fd)) { step(); return synced(fd); }
    if (!is_directory_below(fd)) return real(fd);
    step();
    pthread_mutex_lock(&lock);
    move_all();
    pthread_mutex_unlock(&lock);
    return 0;
}

int fdatasync(int fd) { return fsync(fd); }
