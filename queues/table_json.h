/*
 * table_json.h - field tables from JSON objects, as RabbitMQ's management makes them: whole numbers
 * become type l, others d, null V. Pure, but for jansson.
 */
#ifndef QUEUES_TABLE_JSON_H
#define QUEUES_TABLE_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Writes the table's contents where `cap` bytes have room for them; the bytes that it takes, or an
 * amqp_error: a key over 255 bytes, too deep, over FTABLE_MAX_SIZE. Region RUNTIME in a process.
 */
ssize_t table_of_json(const json_t *object, uint8_t *buf, size_t cap);

#endif
