/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The guest of guest.S and who runs it. For C and for the assembler. */
#ifndef BESIDE_H
#define BESIDE_H

#define BESIDE_CODE 0x20000 /* guest-physical, behind the bench's own code */

#define WRONG_MEMORY 0x1
#define WRONG_SYSCALL 0x2
#define WRONG_TSC_AUX 0x4
#define WRONG_XMM 0x8
#define WRONG_DEBUG 0x10
#define WRONG_LSTAR 0x20
#define WRONG_CSTAR 0x40
#define WRONG_GS 0x80
#define WRONG_SFMASK 0x100

#ifndef __ASSEMBLER__
#include <stdint.h>

extern const uint8_t beside_body[], beside_end[];
#endif

#endif
