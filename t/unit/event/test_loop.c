/* The event loop, with whichever backend it was built: the tests run with each (make kqueue). */
#include "unit.h"
#include "config.h"
#include "event/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PAIRS = 40
};

typedef struct side {
    bl_io io;
    int reads, writes;
    struct side *victim; /* removed by its read handler */
    char last;
} side;

static void drain(side *s)
{
    char bytes[64];
    ssize_t n;

    while ((n = recv(s->io.fd, bytes, sizeof bytes, 0)) > 0)
        s->last = bytes[n - 1];
    if (n < 0)
        s->io.readable = false;
}

static void on_read(bl_io *io)
{
    side *s = BL_CONTAINER(io, side, io);

    s->reads++;
    drain(s);
    if (s->victim && s->victim->io.added)
        bl_io_remove(&s->victim->io);
}

static void on_write(bl_io *io)
{
    BL_CONTAINER(io, side, io)->writes++;
}

/* A socket in the loop and its peer outside. */
static int watch(side *s)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    s->io.on_read = on_read;
    s->io.on_write = on_write;
    ck_assert(bl_io_add(&s->io, pair[0]));
    return pair[1];
}

static void say(int fd, const char *what)
{
    ck_assert_int_eq(send(fd, what, strlen(what), MSG_NOSIGNAL), (ssize_t)strlen(what));
}

START_TEST(the_backend_that_was_asked_for)
{
    ck_assert(bl_loop_open(NULL, 16));
#if BL_HAVE_KQUEUE
    ck_assert_str_eq(bl_loop_name(), "kqueue");
#else
    ck_assert_str_eq(bl_loop_name(), "epoll");
#endif
    bl_loop_close();
    ck_assert_str_eq(bl_loop_name(), "none");
    ck_assert(!bl_loop_open("select", 16));
    ck_assert_int_eq(errno, ENOSYS);
}
END_TEST

START_TEST(readiness_is_told_once)
{
    side s = {.reads = 0};

    ck_assert(bl_loop_open(NULL, 16));
    int peer = watch(&s);
    bl_loop_turn(1000);
    ck_assert_int_eq(s.writes, 1);
    ck_assert_int_eq(s.reads, 0);
    ck_assert(s.io.writable && !s.io.readable);
    say(peer, "a");
    bl_loop_turn(1000);
    ck_assert_int_eq(s.reads, 1);
    ck_assert_int_eq(s.last, 'a');
    ck_assert(!s.io.readable);
    bl_loop_turn(0);
    ck_assert_int_eq(s.reads, 1);
    say(peer, "b");
    say(peer, "c");
    bl_loop_turn(1000);
    ck_assert_int_eq(s.reads, 2);
    ck_assert_int_eq(s.last, 'c');
}
END_TEST

START_TEST(the_end_of_the_other_side)
{
    side s = {.reads = 0};

    ck_assert(bl_loop_open(NULL, 16));
    int peer = watch(&s);
    bl_loop_turn(1000);
    ck_assert(!s.io.hup);
    say(peer, "z");
    shutdown(peer, SHUT_WR);
    bl_loop_turn(1000);
    ck_assert_int_eq(s.reads, 1);
    ck_assert(s.io.hup);
    ck_assert(s.io.readable); /* the end was read, so nothing said EAGAIN */
    ck_assert_int_eq(s.last, 'z');
    close(peer);
    bl_loop_turn(0);
    ck_assert(s.io.hup);
}
END_TEST

/* Whichever comes first in a batch removes the other, which must not be called any more. */
START_TEST(removed_while_its_event_waits)
{
    side a = {.reads = 0}, b = {.reads = 0};

    ck_assert(bl_loop_open(NULL, 16));
    int peer_a = watch(&a), peer_b = watch(&b);
    bl_loop_turn(1000);
    a.victim = &b;
    b.victim = &a;
    say(peer_a, "a");
    say(peer_b, "b");
    bl_loop_turn(1000);
    ck_assert_int_eq(a.reads + b.reads, 1);
    ck_assert_int_eq(a.io.added + b.io.added, 1);
    bl_loop_turn(0);
    ck_assert_int_eq(a.reads + b.reads, 1);
}
END_TEST

START_TEST(removed_and_added_again)
{
    side s = {.reads = 0};

    ck_assert(bl_loop_open(NULL, 16));
    int peer = watch(&s), fd = s.io.fd;
    bl_loop_turn(1000);
    bl_io_remove(&s.io);
    say(peer, "x");
    bl_loop_turn(0);
    ck_assert_int_eq(s.reads, 0);
    ck_assert(bl_io_add(&s.io, fd));
    bl_loop_turn(1000);
    ck_assert_int_eq(s.reads, 1);
    ck_assert_int_eq(s.last, 'x');
    bl_io_forget(&s.io);
    close(fd);
    int other = watch(&s); /* with the same number */
    say(other, "y");
    bl_loop_turn(1000);
    ck_assert_int_eq(s.last, 'y');
}
END_TEST

START_TEST(level_triggered)
{
    side s = {.io.level = true};
    int pair[2];
    char byte;

    ck_assert(bl_loop_open(NULL, 16));
    ck_assert_int_eq(pipe(pair), 0);
    s.io.on_write = on_write;
    s.io.on_read = on_write; /* counts, and reads nothing */
    ck_assert(bl_io_add(&s.io, pair[0]));
    ck_assert_int_eq(write(pair[1], "1", 1), 1);
    bl_loop_turn(1000);
    bl_loop_turn(1000);
    ck_assert_int_eq(s.writes, 2);
    ck_assert_int_eq(read(pair[0], &byte, 1), 1);
    bl_loop_turn(0);
    ck_assert_int_eq(s.writes, 2);
}
END_TEST

/* More is ready than a batch holds. */
START_TEST(small_batches)
{
    static side s[PAIRS];
    int peers[PAIRS], turns = 0, heard = 0;

    ck_assert(bl_loop_open(NULL, 4));
    for (int i = 0; i < PAIRS; i++)
        peers[i] = watch(&s[i]);
    for (int i = 0; i < PAIRS; i++)
        say(peers[i], "m");
    while (heard < PAIRS && turns++ < 1000) {
        bl_loop_turn(1000);
        heard = 0;
        for (int i = 0; i < PAIRS; i++)
            heard += s[i].last == 'm';
    }
    ck_assert_int_eq(heard, PAIRS);
    ck_assert_int_ge(turns, PAIRS / 4);
}
END_TEST

static int fired;

static void on_timer(bl_timer *timer BL_UNUSED)
{
    fired++;
}

START_TEST(timers_end_the_wait)
{
    bl_timer timer = {.fire = on_timer};

    ck_assert(bl_loop_open(NULL, 16));
    uint64_t start = bl_now_ms();
    bl_timer_set(&timer, 20);
    while (!fired)
        bl_loop_turn(60000);
    ck_assert_uint_ge(bl_now_ms() - start, 20);
    ck_assert_uint_lt(bl_now_ms() - start, 10000);
}
END_TEST

static bl_work again;
static int worked;

static void on_work(bl_work *work)
{
    if (++worked < 3)
        bl_work_post(work);
}

/* Work that posts itself runs once a turn, and a turn with work does not wait. */
START_TEST(posted_work)
{
    ck_assert(bl_loop_open(NULL, 16));
    again.run = on_work;
    bl_work_post(&again);
    bl_work_post(&again);
    for (int i = 1; i <= 3; i++) {
        bl_loop_turn(60000);
        ck_assert_int_eq(worked, i);
    }
    bl_work_post(&again);
    bl_work_cancel(&again);
    bl_loop_turn(0);
    ck_assert_int_eq(worked, 3);
}
END_TEST

UNIT_MAIN("loop", the_backend_that_was_asked_for, readiness_is_told_once, the_end_of_the_other_side,
          removed_while_its_event_waits, removed_and_added_again, level_triggered, small_batches,
          timers_end_the_wait, posted_work)
