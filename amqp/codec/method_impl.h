/* Between the generated methods.c and method.c, and for nobody else. */
#ifndef AMQP_CODEC_METHOD_IMPL_H
#define AMQP_CODEC_METHOD_IMPL_H

#include "amqp/codec/methods.h"

/* The largest numbers in amqp.def; methods.c asserts that they are. */
enum { AMQP_MAX_CLASS = 90, AMQP_MAX_METHOD = 120 };

/* decode, size and encode are NULL for a method without arguments; they see the arguments alone. */
struct amqp_method_impl {
    struct amqp_method_desc desc;
    int (*decode)(struct amqp_in *in, struct amqp_method *m);
    ssize_t (*size)(const struct amqp_method *m);
    uint8_t *(*encode)(uint8_t *p, const struct amqp_method *m); /* the room was checked */
};

struct amqp_code_info {
    uint16_t code;
    bool is_hard;
    const char *name;
};

extern const struct amqp_method_impl amqp_methods[AMQP_N_METHODS];

/* amqp_methods[amqp_method_places[amqp_class_rows[class] - 1][method] - 1]; 0 means none. */
extern const uint8_t amqp_class_rows[AMQP_MAX_CLASS + 1];
extern const uint8_t amqp_method_places[][AMQP_MAX_METHOD + 1];

extern const struct amqp_code_info amqp_codes[];
extern const size_t amqp_n_codes;

#endif
