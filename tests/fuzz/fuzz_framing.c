/*
 * The input is what a client sends over HTTP. Cut anywhere it has the same verdicts; what is taken
 * of it is taken again as it stands; and what is refused leaves whole requests alone.
 */
#include <string.h>

#include "mgmt/framing.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_INPUT = 4096, MAX_HEAD = 300, MAX_BODY = 1000 };

struct kept {
    uint8_t octets[MAX_INPUT];
    size_t n;
    struct framing f;
};

static void feed(struct kept *k, const uint8_t *data, size_t size)
{
    while (size > 0 && !k->f.status) {
        enum framing_verdict v;
        size_t n = framing_look(&k->f, (const char *)data, size, &v);

        MUST(n > 0 && n <= size);
        if (v == FRAMING_REFUSE) {
            MUST(k->f.status >= 400 && k->f.reason && k->f.taken <= k->n);
            k->n -= k->f.taken;
        } else if (v == FRAMING_TAKE) {
            memcpy(k->octets + k->n, data, n);
            k->n += n;
            MUST(k->f.taken <= k->n);
        }
        data += n;
        size -= n;
    }
}

static void begin(struct kept *k)
{
    k->n = 0;
    framing_init(&k->f, MAX_HEAD, MAX_BODY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kept whole, parts, again;

    if (size > MAX_INPUT)
        return 0;
    begin(&whole);
    begin(&parts);
    begin(&again);
    feed(&whole, data, size);
    for (size_t i = 0; i < size; i++)
        feed(&parts, data + i, 1);
    MUST(whole.n == parts.n && whole.f.status == parts.f.status);
    MUST(memcmp(whole.octets, parts.octets, whole.n) == 0);
    feed(&again, whole.octets, whole.n);
    MUST(again.f.status == 0 && again.n == whole.n);
    MUST(memcmp(whole.octets, again.octets, whole.n) == 0);
    MUST(whole.f.status == 0 || again.f.taken == 0);
    return 0;
}
