/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SipHash-2-4 (Aumasson and Bernstein, 2012) over words that arrive one after the other. */
#pragma once

#include "types.h"

struct siphash {
	__u64 v0, v1, v2, v3;
	__u64 pending; /* bytes that do not fill a block of 8 yet, the first in the lowest byte */
	__u64 length;  /* bytes absorbed */
};

#define ROTATE_LEFT(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

__inline void sip_round(struct siphash *s)
{
	s->v0 += s->v1;
	s->v1 = ROTATE_LEFT(s->v1, 13) ^ s->v0;
	s->v0 = ROTATE_LEFT(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = ROTATE_LEFT(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = ROTATE_LEFT(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = ROTATE_LEFT(s->v1, 17) ^ s->v2;
	s->v2 = ROTATE_LEFT(s->v2, 32);
}

__inline void sip_block(struct siphash *s, __u64 block)
{
	s->v3 ^= block;
	sip_round(s);
	sip_round(s);
	s->v0 ^= block;
}

__inline struct siphash siphash_start(__u64 key0, __u64 key1)
{
	struct siphash s = {
		.v0 = key0 ^ 0x736f6d6570736575ULL,
		.v1 = key1 ^ 0x646f72616e646f6dULL,
		.v2 = key0 ^ 0x6c7967656e657261ULL,
		.v3 = key1 ^ 0x7465646279746573ULL,
	};

	return s;
}

/* Absorbs 2, 4 or 8 bytes as they stand in memory. Wide fields come first, so that none straddles two blocks. */
__inline void siphash_absorb(struct siphash *s, __u64 field, __u64 bytes)
{
	s->pending |= field << (8 * (s->length & 7));
	s->length += bytes;
	if (s->length & 7)
		return;
	sip_block(s, s->pending);
	s->pending = 0;
}

__inline __u64 siphash_finish(struct siphash *s)
{
	sip_block(s, s->pending | s->length << 56);
	s->v2 ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}
