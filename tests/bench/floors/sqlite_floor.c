/* The least that a correct billing server can do: FastAGI, and one durable SQLite transaction per request.
 *
 *   sqlite_floor PORT DATABASE
 *
 * Every request, whatever its path: begin immediate, read an account, move its hold, insert a row, commit with
 * synchronous=FULL; then one SET VARIABLE, its reply, and the connection is closed. One thread and epoll.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER 8192
#define ANSWER "SET VARIABLE ARRAY(COOVOX_VERDICT,COOVOX_REASON,COOVOX_LIMIT) \"pass,,14400\"\n"

struct session {
    int fd, answered;
    size_t length;
    char text[BUFFER];
};

static sqlite3 *database;
static sqlite3_stmt *begin, *look, *hold, *insert, *commit;
static int epoll;

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL)) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(database));
        exit(1);
    }
    return statement;
}

static void step(sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);
    if (result != SQLITE_DONE && result != SQLITE_ROW) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(database));
        exit(1);
    }
    sqlite3_reset(statement);
}

static void open_database(const char *path)
{
    sqlite3_open(path, &database);
    sqlite3_exec(database,
                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                 "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER, held INTEGER);"
                 "CREATE TABLE call (id INTEGER PRIMARY KEY, account INTEGER, number TEXT, held INTEGER, state TEXT);"
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO account SELECT i, 1000000000, 0 FROM n;",
                 NULL, NULL, NULL);
    begin = prepare("BEGIN IMMEDIATE");
    look = prepare("SELECT balance - held FROM account WHERE id = ?");
    hold = prepare("UPDATE account SET held = held + 1 WHERE id = ?");
    insert = prepare("INSERT INTO call (account, number, held, state) VALUES (?, '988360046', 1, 'held')");
    commit = prepare("COMMIT");
}

static void reserve(int account)
{
    sqlite3_bind_int(look, 1, account);
    sqlite3_bind_int(hold, 1, account);
    sqlite3_bind_int(insert, 1, account);
    step(begin);
    step(look);
    step(hold);
    step(insert);
    step(commit);
}

static void hear(struct session *s)
{
    static int turn;
    ssize_t n = read(s->fd, s->text + s->length, BUFFER - 1 - s->length);
    if (n <= 0 || s->answered) {
        close(s->fd);
        free(s);
        return;
    }
    s->length += n;
    s->text[s->length] = 0;
    if (!strstr(s->text, "\n\n"))
        return;
    reserve(1 + turn++ % 100);
    s->answered = 1;
    if (write(s->fd, ANSWER, sizeof ANSWER - 1) < 0)
        perror("answer");
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN};
    open_database(argv[2]);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 512)) {
        perror("listen");
        return 1;
    }
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                hear(events[i].data.ptr);
                continue;
            }
            struct session *s = calloc(1, sizeof *s);
            s->fd = accept(listening, NULL, NULL);
            setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            event.data.ptr = s;
            epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event);
        }
    }
}
