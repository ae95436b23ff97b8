/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SipHash-2-4 (Aumasson and Bernstein, 2012) over words that are absorbed one after the other.
 *
 * The first step of a round does not depend on the message: the next block's word is added to v3, and the step changes
 * only v0 and v1. So the state is always kept ahead by this step, also the initial state in a bind. */
#pragma once

#include "types.h"

struct siphash {
	__u64 v0, v1, v2, v3;
	__u64 pending; /* bytes of an incomplete block of 8, the first in the lowest byte */
	__u64 length;  /* bytes absorbed */
};

#define ROTATE_LEFT(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

__inline void sip_step_ahead(struct siphash *s)
{
	s->v0 += s->v1;
	s->v1 = ROTATE_LEFT(s->v1, 13) ^ s->v0;
	s->v0 = ROTATE_LEFT(s->v0, 32);
}

__inline void sip_rest_of_round(struct siphash *s)
{
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
	sip_rest_of_round(s);
	sip_step_ahead(s);
	sip_rest_of_round(s);
	s->v0 ^= block;
	sip_step_ahead(s);
}

/* Starts with a state that userspace has computed from the key (glb/hashing/siphash.py). */
__inline struct siphash siphash_start(const __u64 *initial)
{
	struct siphash s = {
		.v0 = initial[0],
		.v1 = initial[1],
		.v2 = initial[2],
		.v3 = initial[3],
	};

	return s;
}

/* Absorbs 2, 4 or 8 bytes in the order of memory. Wide fields are absorbed first, so that none straddles two blocks. */
__inline void siphash_absorb(struct siphash *s, __u64 field, __u64 bytes)
{
	s->pending |= field << (8 * (s->length & 7));
	s->length += bytes;
	if (s->length & 7)
		return;
	sip_block(s, s->pending);
	s->pending = 0;
}

/* The hash of what has been absorbed, the last block included. */
__inline __u64 sip_finish(struct siphash *s)
{
	s->v2 ^= 0xff;
	sip_rest_of_round(s);
	sip_step_ahead(s);
	sip_rest_of_round(s);
	sip_step_ahead(s);
	sip_rest_of_round(s);
	sip_step_ahead(s);
	sip_rest_of_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* The lower 16 bits of the hash: a row's number, and part of the tunnel's source port. */
__inline __u64 siphash_finish(struct siphash *s)
{
	sip_block(s, s->pending | s->length << 56);
	return sip_finish(s) & 0xffff;
}
