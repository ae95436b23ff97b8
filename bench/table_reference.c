/* SPDX-License-Identifier: MIT */
// The rows of a forwarding table in plain C: what bench/tables.py measures glb against.
//
// For each of 65,536 rows, SipHash-2-4 once for the row's seed and once for every backend, then qsort over the
// 64-bit weights; the first two backends are the row. One thread, no tricks. Times are CPU time, of the rows alone.
//
// usage: table_reference SEED BACKENDS [RUNS]
//   SEED      32 hex digits
//   BACKENDS  how many: 10.0.0.1, 10.0.0.2 and so on
//   RUNS      how often the rows are built; 1 if not given
// Prints the nanoseconds of each run, a line each, then a checksum of the rows: FNV-1a over primary and secondary of
// each row as little-endian 32-bit integers.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 65536, MAX_BACKENDS = 1024, FIRST_ADDRESS = 0x0a000001 };

struct candidate {
	uint64_t weight;
	uint32_t index;
};

static uint64_t rotl(uint64_t word, int bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

// The hash of fewer than 256 bytes. Little-endian machines only, as is the table's format.
static uint64_t siphash24(const uint64_t key[2], const void *data, size_t length)
{
	uint64_t v[4] = {
		key[0] ^ 0x736f6d6570736575,
		key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261,
		key[1] ^ 0x7465646279746573,
	};
	const uint8_t *bytes = data;
	uint64_t last = (uint64_t)length << 56;
	uint64_t word;
	size_t at;

	for (at = 0; at + 8 <= length; at += 8) {
		memcpy(&word, bytes + at, 8);
		sip_word(v, word);
	}
	word = 0;
	memcpy(&word, bytes + at, length - at);
	sip_word(v, last | word);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static int by_weight(const void *left, const void *right)
{
	const struct candidate *a = left;
	const struct candidate *b = right;

	return (a->weight > b->weight) - (a->weight < b->weight);
}

static void build(const uint64_t seed[2], const uint32_t *addresses, uint32_t count, uint32_t rows[ROWS][2])
{
	struct candidate candidates[MAX_BACKENDS];

	for (uint32_t row = 0; row < ROWS; row++) {
		uint32_t number = __builtin_bswap32(row);
		uint64_t row_seed = siphash24(seed, &number, sizeof(number));
		uint8_t message[12];

		memcpy(message, &row_seed, 8);
		for (uint32_t i = 0; i < count; i++) {
			memcpy(message + 8, &addresses[i], 4);
			candidates[i].weight = __builtin_bswap64(siphash24(seed, message, sizeof(message)));
			candidates[i].index = i;
		}
		qsort(candidates, count, sizeof(candidates[0]), by_weight);
		rows[row][0] = candidates[0].index;
		rows[row][1] = candidates[count > 1].index;
	}
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static uint64_t checksum(const void *data, size_t length)
{
	const uint8_t *bytes = data;
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

int main(int argc, char **argv)
{
	static uint32_t rows[ROWS][2];
	uint32_t addresses[MAX_BACKENDS];
	uint8_t seed[16];

	if (argc < 3 || strlen(argv[1]) != 32) {
		fprintf(stderr, "usage: table_reference SEED BACKENDS [RUNS]\n");
		return 2;
	}
	for (int i = 0; i < 16; i++)
		sscanf(argv[1] + 2 * i, "%2hhx", &seed[i]);
	long count = atol(argv[2]);
	long runs = argc > 3 ? atol(argv[3]) : 1;
	if (count < 1 || count > MAX_BACKENDS || runs < 1) {
		fprintf(stderr, "table_reference: 1 to %d backends, 1 run or more\n", MAX_BACKENDS);
		return 2;
	}
	for (uint32_t i = 0; i < count; i++)
		addresses[i] = __builtin_bswap32(FIRST_ADDRESS + i);

	uint64_t key[2];
	memcpy(key, seed, sizeof(key));
	for (long run = 0; run < runs; run++) {
		uint64_t start = now();
		build(key, addresses, count, rows);
		printf("%llu\n", (unsigned long long)(now() - start));
	}
	printf("%016llx\n", (unsigned long long)checksum(rows, sizeof(rows)));
	return 0;
}
