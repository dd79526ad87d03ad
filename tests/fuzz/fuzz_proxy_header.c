/*
 * The input is the beginning of a connection. What is taken for a header lies within it, is not
 * taken for one any octet earlier, and does not depend on what follows it.
 */
#include "amqp/proxy_header.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header h, again;
    ssize_t r = proxy_header_parse(data, size, &h), before = 0;

    MUST(r <= (ssize_t)size && r <= PROXY_HEADER_MAX);
    if (size >= PROXY_HEADER_MAX)
        MUST(r != 0);
    for (size_t n = 0; n < size && before == 0; n++) {
        before = proxy_header_parse(data, n, &again);
        MUST(before == 0 || before == r); /* nothing is taken back */
    }
    if (r > 0)
        MUST(proxy_header_parse(data, (size_t)r, &again) == r);
    return 0;
}
