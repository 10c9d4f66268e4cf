#include "base/checksum.h"

#include <stdbool.h>

#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */
#define SLICES            8

/* Eight bytes a step: journals and snapshots of 10,000 units go through here. */
static uint32_t checksum_tables[SLICES][256];
static bool checksum_ready;

static void checksum_prepare(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;
		for (int bit = 0; bit < 8; bit++) {
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? CRC32C_POLYNOMIAL : 0);
		}
		checksum_tables[0][i] = crc;
	}
	for (uint32_t i = 0; i < 256; i++) {
		for (int slice = 1; slice < SLICES; slice++) {
			uint32_t crc = checksum_tables[slice - 1][i];
			checksum_tables[slice][i] = (crc >> 8) ^ checksum_tables[0][crc & 0xff];
		}
	}
	checksum_ready = true;
}

uint32_t checksum_crc32c(uint32_t seed, const void *data, size_t size)
{
	const unsigned char *at = data;
	uint32_t crc = ~seed;

	if (!checksum_ready) {
		checksum_prepare();
	}
	for (; size >= SLICES; size -= SLICES, at += SLICES) {
		uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 |
					     (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
		crc = checksum_tables[7][low & 0xff] ^ checksum_tables[6][(low >> 8) & 0xff] ^
		      checksum_tables[5][(low >> 16) & 0xff] ^ checksum_tables[4][low >> 24] ^
		      checksum_tables[3][at[4]] ^ checksum_tables[2][at[5]] ^
		      checksum_tables[1][at[6]] ^ checksum_tables[0][at[7]];
	}
	for (; size > 0; size--, at++) {
		crc = (crc >> 8) ^ checksum_tables[0][(crc ^ *at) & 0xff];
	}
	return ~crc;
}
