#!/usr/bin/env python3
"""Makes methods.h and methods.c of amqp.def, whose head describes its lines.

    gen_methods.py amqp.def OUT_DIR

The C that comes out is straight-line code for each method; tests hold it against a second,
interpreting encoder that reads the descriptors made here.
"""
import sys
from pathlib import Path

NUMBERS = {'octet': ('u8', 1), 'short': ('u16', 2), 'long': ('u32', 4), 'longlong': ('u64', 8)}
C_TYPES = {'octet': 'uint8_t', 'short': 'uint16_t', 'long': 'uint32_t', 'longlong': 'uint64_t',
           'bit': 'bool', 'shortstr': 'struct amqp_bytes', 'longstr': 'struct amqp_bytes',
           'table': 'struct amqp_bytes'}
WHO = {'client': 'AMQP_BY_CLIENT', 'server': 'AMQP_BY_SERVER',
       'both': 'AMQP_BY_CLIENT | AMQP_BY_SERVER'}


class Method:
    def __init__(self, class_id, class_name, number, name, words):
        self.class_id, self.number = class_id, number
        self.name = f'{class_name}_{name}'
        self.dotted = f'{class_name}.{name}'.replace('_', '-')
        self.flags = [WHO[words[0]]] + [f'AMQP_{w.upper()}' for w in words[1:]]
        self.content = 'content' in words
        self.args = []

    def groups(self):
        """The arguments in order, each run of bits (at most eight) as one list."""
        run = []
        for kind, name in self.args:
            if kind == 'bit':
                run.append(name)
                if len(run) == 8:
                    yield 'bits', run
                    run = []
                continue
            if run:
                yield 'bits', run
                run = []
            yield kind, name
        if run:
            yield 'bits', run


def parse(text):
    codes, classes, methods = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split('#')[0].split()
        if not words:
            continue
        if words[0] == 'code':
            codes.append((int(words[1]), words[2], words[3] == 'hard'))
        elif words[0] == 'class':
            classes.append((int(words[1]), words[2]))
        elif words[0] == 'method':
            methods.append(Method(*classes[-1], int(words[1]), words[2], words[3:]))
        elif len(words) % 2 == 0 and all(w in C_TYPES for w in words[::2]):
            methods[-1].args += zip(words[::2], words[1::2])
        else:
            sys.exit(f'amqp.def:{number}: cannot read "{line}"')
    return codes, classes, methods


HEADER_TOP = '''\
/* Made of amqp.def by gen_methods.py; changes belong there. */
#ifndef AMQP_CODEC_METHODS_H
#define AMQP_CODEC_METHODS_H

#include "amqp/codec/method.h"

'''


def make_header(codes, classes, methods):
    out = [HEADER_TOP, 'enum amqp_class {\n']
    out += [f'    AMQP_CLASS_{name.upper()} = {number},\n' for number, name in classes]
    out += ['};\n\n', '/* class << 16 | method */\nenum amqp_method_id {\n']
    out += [f'    AMQP_{m.name.upper()} = {m.class_id} << 16 | {m.number},\n' for m in methods]
    out += ['};\n\n', f'enum {{ AMQP_N_METHODS = {len(methods)} }};\n\n', 'enum amqp_code {\n']
    out += [f'    AMQP_CODE_{name} = {number},\n' for number, name, _ in codes]
    out.append('};\n\n')
    for m in methods:
        if not m.args:
            continue
        out.append(f'struct amqp_{m.name} {{\n')
        out += [f'    {C_TYPES[kind]} {name};\n' for kind, name in m.args]
        out.append('};\n\n')
    out.append('/* One method with its arguments. The member of u has the name of the method;\n'
               '   a method without arguments has none. */\n'
               'struct amqp_method {\n    uint32_t id;\n    union {\n')
    out += [f'        struct amqp_{m.name} {m.name};\n' for m in methods if m.args]
    out.append('    } u;\n};\n\n#endif\n')
    return ''.join(out)


def string_kind(kind):
    return 'shortstr' if kind == 'shortstr' else 'longstr'


def make_decoder(m):
    reads, after = [], []
    for kind, name in m.groups():
        if kind == 'bits':
            bits = f'bits{len(after)}'
            reads.append((f'in_u8(in, &{bits})', bits))
            after.append([f'    a->{n} = {bits} >> {i} & 1;\n' for i, n in enumerate(name)])
        elif kind in NUMBERS:
            reads.append((f'in_{NUMBERS[kind][0]}(in, &a->{name})', None))
        else:
            reads.append((f'in_{string_kind(kind)}(in, &a->{name})', None))
    out = [f'static int decode_{m.name}(struct amqp_in *in, struct amqp_method *m)\n{{\n'
           f'    struct amqp_{m.name} *a = &m->u.{m.name};\n']
    out += [f'    uint8_t {var};\n' for _, var in reads if var]
    out.append('\n    if (' + ' ||\n        '.join(f'!{call}' for call, _ in reads) + ')\n')
    out.append('        return AMQP_ERR_TRUNCATED;\n')
    for lines in after:
        out += lines
    # RabbitMQ spares methods that carry content the check, and so do we: it is for names that
    # are kept, not for the hot path.
    if not m.content:
        for kind, name in m.args:
            if kind == 'shortstr':
                out.append(f'    if (!amqp_is_utf8(a->{name}))\n'
                           '        return AMQP_ERR_SHORTSTR;\n')
    out.append('    return 0;\n}\n\n')
    return ''.join(out)


def make_size(m):
    fixed, variable, shortstrs = 0, [], []
    for kind, name in m.groups():
        fixed += 1 if kind in ('bits', 'shortstr') else NUMBERS.get(kind, (0, 4))[1]
        if kind in ('shortstr', 'longstr', 'table'):
            variable.append(name)
        if kind == 'shortstr':
            shortstrs.append(name)
    out = [f'static ssize_t size_{m.name}(const struct amqp_method *m)\n{{\n']
    if variable:
        out.append(f'    const struct amqp_{m.name} *a = &m->u.{m.name};\n\n')
        if shortstrs:
            test = ' || '.join(f'a->{n}.len > 255' for n in shortstrs)
            out.append(f'    if ({test})\n        return AMQP_ERR_SHORTSTR;\n')
        terms = [str(fixed)] + [f'(ssize_t)a->{n}.len' for n in variable]
        out.append(f'    return {" + ".join(terms)};\n')
    else:
        out.append(f'    (void)m;\n    return {fixed};\n')
    return ''.join(out) + '}\n\n'


def make_encoder(m):
    out = [f'static uint8_t *encode_{m.name}(uint8_t *p, const struct amqp_method *m)\n{{\n'
           f'    const struct amqp_{m.name} *a = &m->u.{m.name};\n\n']
    for kind, name in m.groups():
        if kind == 'bits':
            value = ' | '.join(f'a->{n} << {i}' if i else f'a->{n}' for i, n in enumerate(name))
            out.append(f'    p = put_u8(p, (uint8_t)({value}));\n')
        elif kind in NUMBERS:
            out.append(f'    p = put_{NUMBERS[kind][0]}(p, a->{name});\n')
        else:
            out.append(f'    p = put_{string_kind(kind)}(p, a->{name});\n')
    return ''.join(out) + '    return p;\n}\n\n'


SOURCE_TOP = '''\
/* Made of amqp.def by gen_methods.py; changes belong there. */
#include "amqp/codec/method_impl.h"

'''


def make_fields(m):
    out = [f'static const struct amqp_field fields_{m.name}[] = {{\n']
    out += [f'    {{"{name}", AMQP_FIELD_{kind.upper()}, '
            f'offsetof(struct amqp_method, u.{m.name}.{name})}},\n' for kind, name in m.args]
    return ''.join(out) + '};\n\n'


def make_source(codes, classes, methods):
    out = [SOURCE_TOP]
    for m in methods:
        if m.args:
            out += [make_fields(m), make_decoder(m), make_size(m), make_encoder(m)]
    out.append('const struct amqp_method_impl amqp_methods[AMQP_N_METHODS] = {\n')
    for m in methods:
        out.append(f'    {{.desc = {{AMQP_{m.name.upper()}, "{m.dotted}", {" | ".join(m.flags)}, ')
        if m.args:
            out.append(f'{len(m.args)}, fields_{m.name}}},\n     .decode = decode_{m.name}, '
                       f'.size = size_{m.name}, .encode = encode_{m.name}}},\n')
        else:
            out.append('0, NULL}},\n')
    out.append('};\n\n')
    # Two small tables lead from class and method number to a place in the one above, plus 1.
    last_class = max(number for number, _ in classes)
    out.append(f'const uint8_t amqp_class_rows[{last_class + 1}] = {{\n')
    out += [f'    [{number}] = {i}, /* {name} */\n' for i, (number, name) in enumerate(classes, 1)]
    out.append('};\n\n')
    last_method = max(m.number for m in methods)
    out.append('const uint8_t amqp_method_places[][AMQP_MAX_METHOD + 1] = {\n')
    for i, (number, _) in enumerate(classes):
        cells = ', '.join(f'[{m.number}] = {k + 1}' for k, m in enumerate(methods)
                          if m.class_id == number)
        out.append(f'    [{i}] = {{{cells}}},\n')
    out.append('};\n\n')
    out.append(f'_Static_assert(AMQP_MAX_METHOD == {last_method} && '
               f'AMQP_MAX_CLASS == {last_class},\n'
               '               "method_impl.h must know the largest numbers");\n\n')
    out.append('const struct amqp_code_info amqp_codes[] = {\n')
    out += [f'    {{{number}, {str(hard).lower()}, "{name}"}},\n' for number, name, hard in codes]
    out.append(f'}};\n\nconst size_t amqp_n_codes = {len(codes)};\n')
    return ''.join(out)


def main():
    table, folder = Path(sys.argv[1]), Path(sys.argv[2])
    parsed = parse(table.read_text())
    (folder / 'methods.h').write_text(make_header(*parsed))
    (folder / 'methods.c').write_text(make_source(*parsed))


if __name__ == '__main__':
    main()
