/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The proxy's map of counters. It needs no other: what it decides, the kernel's sockets know. */
#pragma once

#include "types.h"

#include "proxy_verdicts.h"
#include "verdict.h"
