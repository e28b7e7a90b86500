/* sha256.c — SHA-256 (FIPS 180-4) of messages of several lengths. */
#include "guest.h"

const char program_name[] = "sha256";

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint8_t message[2048];

static inline uint32_t rotated(uint32_t value, int count)
{
    return value >> count | value << (32 - count);
}

static void digest_block(uint32_t hash[8], const uint8_t *block)
{
    uint32_t w[64];
    uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3];
    uint32_t e = hash[4], f = hash[5], g = hash[6], h = hash[7];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16
            | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10;

        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
        uint32_t one = h + s1 + ((e & f) ^ (~e & g)) + constants[i] + w[i];
        uint32_t s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
        uint32_t two = s0 + ((a & b) ^ (a & c) ^ (b & c));

        h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d;
    hash[4] += e, hash[5] += f, hash[6] += g, hash[7] += h;
}

static uint32_t digest(uint32_t length, uint32_t sum)
{
    uint32_t hash[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    uint8_t last[128] = {0};
    uint32_t whole = length / 64 * 64;
    uint32_t rest = length - whole;
    uint32_t padded = rest < 56 ? 64 : 128;

    for (uint32_t at = 0; at < whole; at += 64)
        digest_block(hash, message + at);
    for (uint32_t i = 0; i < rest; i++)
        last[i] = message[whole + i];
    last[rest] = 0x80;
    for (int i = 0; i < 4; i++)
        last[padded - 1 - (uint32_t)i] = (uint8_t)(length * 8 >> 8 * i);
    for (uint32_t at = 0; at < padded; at += 64)
        digest_block(hash, last + at);
    for (int i = 0; i < 8; i++)
        sum = mix(sum, hash[i]);
    return sum;
}

uint32_t compute(void)
{
    static const uint16_t lengths[] = {0, 3, 55, 56, 63, 64, 65, 1000, 2048};
    uint32_t sum = MIX_START;

    for (uint32_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)(i * 7 + 97);
    for (uint32_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        sum = digest(lengths[i], sum);
    return sum;
}
