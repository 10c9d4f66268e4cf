/*
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4) over bytes, for records that outlive a process.
 */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Start with `seed` 0; feed the result of one piece as the seed of the next. */
uint32_t checksum_crc32c(uint32_t seed, const void *data, size_t size);

#endif
