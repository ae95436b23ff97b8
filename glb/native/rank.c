/* SPDX-License-Identifier: MIT */
/* The lowest keys of rows: what glb/hashing/rendezvous.py computes with numpy, in a tenth of its time or less.
 *
 * Built by library.py, loaded by ranker.py. */
#include "siphash.h"

/* A block of hashes stays in the first-level cache. Each is computed on its own, so that the compiler uses vectors. */
#define BLOCK 512

#define NUMBER_BITS 16
#define NUMBER_MASK (((__u64)1 << NUMBER_BITS) - 1)

/* As in rendezvous.py. */
#define NEAR_ONE (-((__u64)1 << 52))
#define TWO_TO_MINUS_64 0x1p-64

/* More than what a score's floating point may be off, and what its key leaves out of it. */
#define MARGIN (1 + 0x1p-30)

#if defined(__x86_64__) && defined(__gnu_linux__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

/* Candidates whose messages end in equally many words. ends: a block of `words` arrays of `count` words each. */
struct candidates {
	__u64 count;
	__u64 words;
	const __u64 *ends;
	const __u64 *numbers;
	const double *weights; /* NULL: they make no difference */
};

__inline __u64 hash_of_end(struct siphash s, const __u64 *ends, __u64 count, __u64 words)
{
	for (__u64 word = 0; word < words; word++)
		sip_block(&s, ends[word * count]);
	return sip_finish(&s);
}

FOR_EACH_CPU static void hash_ends(const struct siphash *begun, const struct candidates *all, __u64 first, __u64 count,
				   __u64 *hashes)
{
	if (all->words == 1) {
		for (__u64 i = 0; i < count; i++)
			hashes[i] = hash_of_end(*begun, all->ends + first + i, all->count, 1);
		return;
	}
	for (__u64 i = 0; i < count; i++)
		hashes[i] = hash_of_end(*begun, all->ends + first + i, all->count, all->words);
}

__inline void insert(__u64 *lowest, __u64 best, __u64 key)
{
	__u64 place = best - 1;

	for (; place && lowest[place - 1] > key; place--)
		lowest[place] = lowest[place - 1];
	lowest[place] = key;
}

__inline double as_number(__u64 bits)
{
	double number;

	__builtin_memcpy(&number, &bits, sizeof(number));
	return number;
}

__inline __u64 key_of(__u64 score, __u64 number)
{
	return (score & ~NUMBER_MASK) | number;
}

/* -ln(1 - hash / 2^64) / weight, to a relative error of 2^-40, as the bits of a double. */
__inline __u64 weighted_score(__u64 hash, double weight)
{
	double logarithm, score;
	__u64 bits;

	if (hash >= NEAR_ONE)
		logarithm = __builtin_log(((double)~hash + 1) * TWO_TO_MINUS_64);
	else
		logarithm = __builtin_log1p((double)hash * -TWO_TO_MINUS_64);
	score = __builtin_fabs(logarithm / weight);
	__builtin_memcpy(&bits, &score, sizeof(bits));
	return bits;
}

/* A hash is compared as a big-endian number, its first byte the highest. AVX-512F alone cannot swap the bytes of vectors,
 * so that this is done outside of hash_ends. */
#define as_compared(hash) __builtin_bswap64(hash)

/* A logarithm costs more than a hash, and -ln(1 - x) is at least x: most hashes need none. */
static void insert_weighted(const __u64 *hashes, const __u64 *numbers, const double *weights, __u64 count,
			    __u64 *lowest, __u64 best)
{
	/* Of NO_KEY this is no number, and then no comparison is true. */
	double limit = as_number(lowest[best - 1]) * MARGIN;
	__u64 key;

	for (__u64 i = 0; i < count; i++) {
		__u64 hash = as_compared(hashes[i]);

		if ((double)hash * TWO_TO_MINUS_64 > limit * weights[i])
			continue;
		key = key_of(weighted_score(hash, weights[i]), numbers[i]);
		if (key >= lowest[best - 1])
			continue;
		insert(lowest, best, key);
		limit = as_number(lowest[best - 1]) * MARGIN;
	}
}

static void insert_equal(const __u64 *hashes, const __u64 *numbers, __u64 count, __u64 *lowest, __u64 best)
{
	__u64 key;

	for (__u64 i = 0; i < count; i++) {
		key = key_of(as_compared(hashes[i]), numbers[i]);
		if (key < lowest[best - 1])
			insert(lowest, best, key);
	}
}

/* Puts the candidates' keys into those of each row, `best` of them, which are in order, lowest first. key_state: as
 * siphash_start takes it. */
void glb_rank(const __u64 *key_state, const __u64 *seeds, __u64 rows, const struct candidates *all, __u64 *lowest,
	      __u64 best)
{
	__u64 hashes[BLOCK];

	for (__u64 row = 0; row < rows; row++, lowest += best) {
		struct siphash begun = siphash_start(key_state);

		sip_block(&begun, seeds[row]);
		for (__u64 first = 0; first < all->count; first += BLOCK) {
			__u64 left = all->count - first, count = left < BLOCK ? left : BLOCK;

			hash_ends(&begun, all, first, count, hashes);
			if (all->weights)
				insert_weighted(hashes, all->numbers + first, all->weights + first, count, lowest,
						best);
			else
				insert_equal(hashes, all->numbers + first, count, lowest, best);
		}
	}
}
