/*
 * Which alarms stand by which figures, how much memory is in use, and the limits of cgroups.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/alarms.h"
#include "broker/core/alarms_measure.h"

enum { MIB = 1 << 20 };

static void test_decide(void **state)
{
    static const struct {
        struct alarms_measured m;
        unsigned alarms;
    } table[] = {
        {{10, 20, 100, 50}, 0},
        {{20, 20, 50, 50}, 0},
        {{21, 20, 50, 50}, ALARM_MEMORY},
        {{20, 20, 49, 50}, ALARM_DISK},
        {{21, 20, 49, 50}, ALARM_MEMORY | ALARM_DISK},
        {{1000, 0, 0, 0}, 0},
        {{0, 0, UINT64_MAX, 50}, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(alarms_decide(&table[i].m), table[i].alarms);
    assert_false(alarms_is_tight(&(struct alarms_measured){.memory_used = 9 * MIB}));
    assert_false(alarms_is_tight(&(struct alarms_measured){75 * MIB, 100 * MIB, 0, 0}));
    assert_true(alarms_is_tight(&(struct alarms_measured){76 * MIB, 100 * MIB, 0, 0}));
    assert_string_equal(alarms_reason(ALARM_MEMORY), "low on memory");
    assert_string_equal(alarms_reason(ALARM_DISK), "low on disk");
    assert_string_equal(alarms_reason(ALARM_MEMORY | ALARM_DISK), "low on memory & disk");
}

/* Freed messages that the allocator keeps are not in use, although they are resident. */
static void test_memory_used(void **state)
{
    struct alarms_memory m = {0};

    (void)state;
    assert_int_equal(alarms_memory_used(&m, 10 * MIB, 0), 10 * MIB);
    assert_int_equal(alarms_memory_used(&m, 200 * MIB, 185 * MIB), 200 * MIB);
    assert_int_equal(alarms_memory_used(&m, 200 * MIB, 5 * MIB), 20 * MIB);
    assert_int_equal(alarms_memory_used(&m, 201 * MIB, 5 * MIB), 21 * MIB); /* grown all the same */
    assert_int_equal(alarms_memory_used(&m, 201 * MIB, 100 * MIB), 116 * MIB); /* used again */
    assert_int_equal(alarms_memory_used(&m, 18 * MIB, 5 * MIB), 18 * MIB);     /* given back */
    assert_int_equal(alarms_memory_used(&m, 60 * MIB, 5 * MIB), 60 * MIB);
    assert_int_equal(alarms_memory_used(&m, 0, 7 * MIB), 7 * MIB); /* resident bytes unknown */
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[600];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_cgroup(void **state)
{
    char root[] = "/tmp/warren-cgroup-XXXXXX", dir[64], command[128];

    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(dir, sizeof(dir), "%s/a", root);
    assert_int_equal(mkdir(dir, 0700), 0);
    write_file(dir, "memory.max", "2000000\n");
    snprintf(dir, sizeof(dir), "%s/a/b", root);
    assert_int_equal(mkdir(dir, 0700), 0);
    write_file(dir, "memory.max", "max\n");
    assert_int_equal(measure_cgroup_limit("0::/a/b\n", root), 2000000); /* one above counts too */
    write_file(dir, "memory.max", "1000000\n");
    assert_int_equal(measure_cgroup_limit("0::/a/b\n", root), 1000000);
    assert_true(measure_cgroup_limit("0::/\n", root) == UINT64_MAX);
    assert_true(measure_cgroup_limit("0::/nowhere/at/all\n", root) == UINT64_MAX);
    assert_true(measure_cgroup_limit("", root) == UINT64_MAX);
    snprintf(dir, sizeof(dir), "%s/memory", root);
    assert_int_equal(mkdir(dir, 0700), 0);
    write_file(dir, "memory.limit_in_bytes", "9223372036854771712\n");
    snprintf(dir, sizeof(dir), "%s/memory/c", root);
    assert_int_equal(mkdir(dir, 0700), 0);
    write_file(dir, "memory.limit_in_bytes", "3000000\n");
    assert_int_equal(measure_cgroup_limit("5:cpu:/x\n4:memory:/c\n", root), 3000000);
    snprintf(command, sizeof(command), "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

static void test_this_machine(void **state)
{
    (void)state;
    assert_true(measure_memory_total() > 16 * MIB);
    assert_in_range(measure_resident(), 1 << 16, measure_memory_total());
    assert_true(measure_disk_free("/tmp") < UINT64_MAX);
    assert_true(measure_disk_free("/no/such/place") == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide),
        cmocka_unit_test(test_memory_used),
        cmocka_unit_test(test_cgroup),
        cmocka_unit_test(test_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
