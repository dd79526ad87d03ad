/*
 * Blocks of addresses: by table, and against a model that compares bit by bit.
 */
#include "broker/core/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in6 *six = (void *)&a;
    struct sockaddr_in *four = (void *)&a;

    a.ss_family = AF_INET;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
        return a;
    a.ss_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
    return a;
}

static void test_table(void **state)
{
    static const struct {
        const char *net, *address;
        bool has;
    } rows[] = {
        {"10.0.0.0/8", "10.255.3.4", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.2", false},
        {"10.1.2.3/32", "10.1.2.3", true},
        {"0.0.0.0/0", "255.1.1.1", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "::1", true},
        {"::/0", "1.2.3.4", true},
        {"10.0.0.0/9", "10.127.0.0", true},
        {"10.0.0.0/9", "10.128.0.0", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"10.0.0.0/8", "::ffff:10.2.3.4", true},
        {"::ffff:10.0.0.0/104", "10.2.3.4", true},
        {"::1", "127.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct sockaddr_storage a = address(rows[i].address);
        struct cidr c;

        assert_int_equal(cidr_parse(rows[i].net, strlen(rows[i].net), &c), 0);
        if (cidr_has(&c, &a) != rows[i].has)
            fail_msg("%s and %s", rows[i].net, rows[i].address);
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",          "10",           "10.0.0.0/33", "10.0.0.0/",
        "::/129",    "::/ 1",        "10.0.0.0/-1", "10.0.0.0/8x",
        "localhost", "10.0.0.0/1/1", "1.2.3.4.5",   "10.0.0.0/0008"};
    struct cidr c;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        assert_true(cidr_parse(texts[i], strlen(texts[i]), &c) < 0);
}

static bool model_has(uint32_t net, unsigned bits, uint32_t at)
{
    for (unsigned i = 0; i < bits; i++)
        if ((net >> (31 - i) & 1) != (at >> (31 - i) & 1))
            return false;
    return true;
}

static void test_model(void **state)
{
    (void)state;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        uint32_t net = (uint32_t)rand() << 1, bits = (uint32_t)rand() % 33;
        uint32_t at = net ^ (1u << (rand() % 32));
        struct in_addr n = {htonl(net)}, a = {htonl(at)};
        struct sockaddr_storage where;
        char text[64], host[INET_ADDRSTRLEN];
        struct cidr c;

        snprintf(text, sizeof(text), "%s/%u", inet_ntop(AF_INET, &n, host, sizeof(host)), bits);
        assert_int_equal(cidr_parse(text, strlen(text), &c), 0);
        where = address(inet_ntop(AF_INET, &a, host, sizeof(host)));
        assert_int_equal(cidr_has(&c, &where), model_has(net, bits, at));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
