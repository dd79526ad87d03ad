/* When the ballast is made and given up, and that it takes the room it says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/ballast.h"

static void it_is_made_where_there_is_room(void **state)
{
    static const struct {
        bool is_there;
        uint64_t free_bytes, size, limit;
        enum ballast_step step;
    } table[] = {
        {false, 1000, 100, 500, BALLAST_MAKE},
        {false, 700, 100, 500, BALLAST_MAKE},
        {false, 699, 100, 500, BALLAST_LEAVE},
        {false, 150, 100, 0, BALLAST_LEAVE},
        {false, 1000, 0, 0, BALLAST_LEAVE},
        {false, UINT64_MAX, 100, 500, BALLAST_LEAVE},
        {false, 1000, UINT64_MAX, 500, BALLAST_LEAVE},
        {true, 1000, 100, 500, BALLAST_LEAVE},
        {true, 50, 100, 500, BALLAST_LEAVE},
        {true, 49, 100, 500, BALLAST_GIVE_UP},
        {true, 0, 100, 500, BALLAST_GIVE_UP},
        {true, 1000, 0, 500, BALLAST_GIVE_UP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(
            ballast_decide(table[i].is_there, table[i].free_bytes, table[i].size, table[i].limit),
            table[i].step);
}

/* What is made leaves enough that it is not given up at once, and the other way round. */
static void it_does_not_come_and_go(void **state)
{
    (void)state;
    for (uint64_t limit = 0; limit < 1000; limit += 50) {
        for (uint64_t room = 0; room < 2000; room += 10) {
            if (ballast_decide(false, room, 100, limit) == BALLAST_MAKE)
                assert_int_equal(ballast_decide(true, room - 100, 100, limit), BALLAST_LEAVE);
            if (ballast_decide(true, room, 100, limit) == BALLAST_GIVE_UP)
                assert_int_equal(ballast_decide(false, room + 100, 100, limit), BALLAST_LEAVE);
        }
    }
}

static void it_takes_room(void **state)
{
    char dir[] = "/tmp/test-ballast-XXXXXX", path[100];
    struct stat s;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_false(ballast_is_there(dir));
    assert_int_equal(ballast_do(BALLAST_MAKE, dir, 1 << 20), 0);
    assert_true(ballast_is_there(dir));
    snprintf(path, sizeof(path), "%s/ballast", dir);
    assert_int_equal(stat(path, &s), 0);
    assert_true(s.st_size == 1 << 20 && s.st_blocks >= (1 << 20) / 512);
    assert_int_equal(ballast_do(BALLAST_LEAVE, dir, 1 << 20), 0);
    assert_true(ballast_is_there(dir));
    assert_int_equal(ballast_do(BALLAST_GIVE_UP, dir, 1 << 20), 0);
    assert_false(ballast_is_there(dir));
    assert_int_equal(ballast_do(BALLAST_GIVE_UP, dir, 1 << 20), -ENOENT);
    assert_int_equal(ballast_do(BALLAST_MAKE, "/no-such-place", 10), -ENOENT);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_made_where_there_is_room),
        cmocka_unit_test(it_does_not_come_and_go),
        cmocka_unit_test(it_takes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
