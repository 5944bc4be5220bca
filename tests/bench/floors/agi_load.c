/* A fake Asterisk as load: asks a FastAGI server as fast as it answers, with a fixed number of callers at once.
 *
 *   agi_load PORT CALLERS COUNT authorize|call FIRST_ID EXTENSIONS NUMBERS_FILE
 *
 * Each exchange is one connection: the request's lines, "200 result=1" to every command, until the server closes.
 * `call` is an authorize and, once all have talked for TALK_SECONDS or more, a settle with the true stamps; the talk is
 * not counted. Prints one line of JSON, times in microseconds.
 * One thread and epoll, so that it takes little of the two cores that it shares with what it measures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CALLERS 256
#define MAX_NUMBERS 100000
#define TALK_SECONDS 1.2

struct caller {
    int fd, verdicts;
    long call;
    double began;
};

static struct sockaddr_in server;
static struct caller callers[MAX_CALLERS];
static char *numbers[MAX_NUMBERS];
static int epoll, extensions, settling;
static long number_count, first_id, started, done, count, refused, failed;
static double *took, *asked;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double wall_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int request(struct caller *c, char *text, size_t size)
{
    const char *number = numbers[(c->call * 7919) % number_count];
    int extension = 1000 + (int)(c->call % extensions);
    double wall = wall_seconds();
    const char *path = settling ? "settle" : "authorize";
    int n = snprintf(text, size,
                     "agi_network: yes\nagi_network_script: %s\nagi_request: agi://127.0.0.1/%s\nagi_channel: PJSIP/%d-0000002a\n"
                     "agi_language: en\nagi_type: PJSIP\nagi_uniqueid: %ld.%ld\nagi_version: 22\nagi_callerid: %d\n"
                     "agi_calleridname: unknown\nagi_callingpres: 0\nagi_callingani2: 0\nagi_callington: 0\nagi_callingtns: 0\n"
                     "agi_dnid: %s\nagi_rdnis: unknown\nagi_context: coovox-billing-dial\nagi_extension: s\nagi_priority: 34\n"
                     "agi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 140\n",
                     path, path, extension, (long)wall, c->call, extension, number);
    if (settling)
        return n + snprintf(text + n, size - n,
                            "agi_arg_1: id=b%ldx%ld\nagi_arg_2: record=PJSIP/%d|%s|Trunk|%.3f||%.3f|%.3f|16|1.1|1.1|60\n\n",
                            first_id, c->call, extension, number, asked[c->call], asked[c->call] + 0.01, wall);
    asked[c->call] = wall;
    return n + snprintf(text + n, size - n,
                        "agi_arg_1: id=b%ldx%ld\nagi_arg_2: asked=%.3f\nagi_arg_3: number=%s\nagi_arg_4: trunk=Trunk\n"
                        "agi_arg_5: channel=PJSIP/%d-0000002a\nagi_arg_6: payer=\nagi_arg_7: transferer=\nagi_arg_8: forwarder=\n"
                        "agi_arg_9: origin=\nagi_arg_10: callerid=%d\nagi_arg_11: uniqueid=1.1\nagi_arg_12: linkedid=1.1\n"
                        "agi_arg_13: mirror=%s\nagi_arg_14: left=\nagi_arg_15: ring=60\nagi_arg_16: dial=PJSIP/%s@carrier\n"
                        "agi_arg_17: options=T\n\n",
                        first_id, c->call, wall, number, extension, extension, getenv("MIRROR") ? getenv("MIRROR") : "", number);
}

static void open_session(struct caller *c)
{
    char text[4096];
    int one = 1, n = request(c, text, sizeof text);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) || write(c->fd, text, n) != n) {
        perror("the server cannot be asked");
        exit(1);
    }
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static void next_call(struct caller *c)
{
    if (started == count)
        return;
    c->call = started++;
    c->verdicts = 0;
    c->began = now_us();
    open_session(c);
}

static void end_session(struct caller *c)
{
    close(c->fd);
    if (!c->verdicts)
        failed++;
    took[c->call] += now_us() - c->began;
    done++;
    next_call(c);
}

static void hear(struct caller *c)
{
    char text[8192];
    ssize_t n = read(c->fd, text, sizeof text - 1);
    if (n <= 0) {
        end_session(c);
        return;
    }
    text[n] = 0;
    refused += strstr(text, "refused") != NULL;
    for (char *line = text; (line = strchr(line, '\n')); line++) {
        c->verdicts++;
        if (write(c->fd, "200 result=1\n", 13) != 13)
            failed++;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every call makes one exchange; how long that took all together, in microseconds. */
static double exchange(int at_once)
{
    double began = now_us();
    started = done = 0;
    for (int i = 0; i < at_once && i < MAX_CALLERS; i++)
        next_call(&callers[i]);
    while (done < count) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, 20000);
        if (n <= 0 && errno != EINTR) {
            fprintf(stderr, "the server is silent\n");
            exit(1);
        }
        for (int i = 0; i < n; i++)
            hear(events[i].data.ptr);
    }
    return now_us() - began;
}

static void read_numbers(const char *path)
{
    char line[128];
    FILE *file = fopen(path, "r");
    while (file && number_count < MAX_NUMBERS && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        numbers[number_count++] = strdup(line);
    }
    if (!number_count) {
        fprintf(stderr, "no numbers in %s\n", path);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: agi_load PORT CALLERS COUNT authorize|call FIRST_ID EXTENSIONS NUMBERS_FILE\n");
        return 2;
    }
    int at_once = atoi(argv[2]);
    count = atol(argv[3]);
    first_id = atol(argv[5]);
    extensions = atoi(argv[6]);
    read_numbers(argv[7]);
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    took = calloc(count, sizeof *took);
    asked = calloc(count, sizeof *asked);
    epoll = epoll_create1(0);
    double seconds = exchange(at_once) / 1e6;
    if (!strcmp(argv[4], "call")) {
        usleep(TALK_SECONDS * 1e6);
        settling = 1;
        seconds += exchange(at_once) / 1e6;
    }
    qsort(took, count, sizeof *took, compare);
    printf("{\"count\": %ld, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"refused\": %ld, \"failed\": %ld}\n",
           count, seconds, took[count / 2], took[count * 99 / 100], took[count - 1], refused, failed);
    return 0;
}
