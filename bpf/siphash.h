/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SipHash-2-4 (Aumasson and Bernstein, 2012) over words that arrive one after the other.
 *
 * A round begins with a step that no message word enters: the word of the next block goes to v3, and this step changes
 * v0 and v1 alone. So the state that is kept is always ahead by this step, and a bind has its hash begun that far. */
#pragma once

#include "types.h"

struct siphash {
	__u64 v0, v1, v2, v3;
	__u64 pending; /* bytes that do not fill a block of 8 yet, the first in the lowest byte */
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

/* From a state that userspace has made of a key (glb/datapath/director.py). */
__inline struct siphash siphash_start(const __u64 *state)
{
	struct siphash s = {
		.v0 = state[0],
		.v1 = state[1],
		.v2 = state[2],
		.v3 = state[3],
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
