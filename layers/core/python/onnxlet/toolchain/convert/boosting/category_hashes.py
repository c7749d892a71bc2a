"""CatBoost's hashes of categories, which are all that it keeps of them: CityHash64 1.0, of which it takes 32 bits.

https://github.com/catboost/catboost/blob/master/util/digest/city.cpp; numbers are hashed as they are written.
"""

from __future__ import annotations

from typing import Any

_K0, _K1, _K2, _K3 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
_MUL = 0x9DDFEA08EB382D69
_MASK = (1 << 64) - 1
_BLOCK = 64


def category_hash(category: Any) -> int:
    """The hash of a text or a whole number, as an int32."""
    low = _city_hash(str(category).encode()) & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def _city_hash(text: bytes) -> int:
    size = len(text)
    for most, hashed in ((16, _hash_16), (32, _hash_32), (64, _hash_64)):
        if size <= most:
            return hashed(text, size)
    return _hash_blocks(text, size)


def _hash_16(text: bytes, size: int) -> int:
    if size > 8:  # noqa: PLR2004 - two words, which may overlap
        last = _word(text, size - 8)
        return _mix(_word(text, 0), _rotate(last + size, size)) ^ last
    if size >= 4:  # noqa: PLR2004 - two half words
        return _mix(size + (_half_word(text, 0) << 3), _half_word(text, size - 4))
    if size:
        low, high = text[0] + (text[size >> 1] << 8), size + (text[-1] << 2)
        return _shift(low * _K2 ^ high * _K3) * _K2 & _MASK
    return _K2


def _hash_32(text: bytes, size: int) -> int:
    a, b = _word(text, 0) * _K1, _word(text, 8)
    c, d = _word(text, size - 8) * _K2, _word(text, size - 16) * _K0
    return _mix(_rotate(a - b, 43) + _rotate(c, 30) + d, a + _rotate(b ^ _K3, 20) - c + size)


def _hash_64(text: bytes, size: int) -> int:
    first, second = _half(text, 0, _word(text, 0) + (size + _word(text, size - 16)) * _K0)
    third, fourth = _half(text, size - 32, _word(text, 16) + _word(text, size - 32))
    mixed = _shift((first + fourth) * _K2 + (third + second) * _K0)
    return _shift(mixed * _K0 + second) * _K2 & _MASK


def _half(text: bytes, start: int, a: int) -> tuple[int, int]:
    """The words from `start` on, behind what was made of the first."""
    z = _word(text, start + 24)
    b, c = _rotate(a + z, 52), _rotate(a, 37)
    a += _word(text, start + 8)
    c += _rotate(a, 7)
    a += _word(text, start + 16)
    return a + z, b + _rotate(a, 31) + c


def _hash_blocks(text: bytes, size: int) -> int:
    x, y, z = _word(text, 0), _word(text, size - 16) ^ _K1, _word(text, size - 56) ^ _K0
    v = _seeded(text, size - 64, size, y)
    w = _seeded(text, size - 32, size * _K1, _K0)
    z += _shift(v[1]) * _K1
    x, y = _rotate(z + x, 39) * _K1, _rotate(y, 33) * _K1
    for start in range(0, (size - 1) // _BLOCK * _BLOCK, _BLOCK):
        x = _rotate(x + y + v[0] + _word(text, start + 16), 37) * _K1
        y = _rotate(y + v[1] + _word(text, start + 48), 42) * _K1
        x, y = (x ^ w[1]) & _MASK, (y ^ v[0]) & _MASK
        z = _rotate(z ^ w[0], 33)
        v = _seeded(text, start, v[1] * _K1, x + w[0])
        w = _seeded(text, start + 32, z + w[1], y)
        x, z = z, x
    return _mix(_mix(v[0], w[0]) + _shift(y) * _K1 + z, _mix(v[1], w[1]) + x)


def _seeded(text: bytes, start: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_word(text, start + offset) for offset in (0, 8, 16, 24))
    a += w
    b = _rotate(b + a + z, 21)
    c = a
    a += x + y
    return (a + z) & _MASK, (b + _rotate(a, 44) + c) & _MASK


def _mix(low: int, high: int) -> int:
    a = _shift(((low ^ high) & _MASK) * _MUL)
    return _shift(((high ^ a) & _MASK) * _MUL) * _MUL & _MASK


def _shift(value: int) -> int:
    value &= _MASK
    return value ^ (value >> 47)


def _rotate(value: int, by: int) -> int:
    value &= _MASK
    return (value >> by | value << (64 - by)) & _MASK


def _word(text: bytes, start: int) -> int:
    return int.from_bytes(text[start : start + 8], "little")


def _half_word(text: bytes, start: int) -> int:
    return int.from_bytes(text[start : start + 4], "little")
