/*
 * CRC32C (Castagnoli), the checksum of every record, entry block, header and bitmap on disk.
 *
 * Pure; uses the processor's instruction where there is one, a table elsewhere. Both give the same
 * value, which is the one that iSCSI and ext4 call crc32c: crc32c(0, "123456789", 9) = 0xe3069283.
 */
#ifndef PERSISTENCE_CRC32C_H
#define PERSISTENCE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * Goes on from crc, which is 0 at the start or the result for the bytes before: the checksum of
 * pieces is that of the whole. p may be NULL when len is 0.
 */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);

/* The same by table only; for the test that compares the two. */
uint32_t crc32c_by_table(uint32_t crc, const void *p, size_t len);

#endif
