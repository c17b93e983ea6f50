#!/usr/bin/env python3
"""Writes the bad inputs of tests/fuzz/corpus that no fuzzer found: make_corpus.py

Each is called bad-... and is made from rules and a fixed seed, so that running this again changes
nothing. Inputs with other names are kept: they were made by hand or found by a fuzzer, and some of
them are good.
"""
import os
import random
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
U32, U64 = 0xffffffff, 0xffffffffffffffff


def crc32c(data):
    crc = U32
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ U32


def put(target, name, data):
    path = os.path.join(FOLDER, target, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def with_number(data, offset, size, value):
    value &= (1 << 8 * size) - 1
    return data[:offset] + value.to_bytes(size, "little") + data[offset + size:]


# ---- archives -------------------------------------------------------------------------------

HEADER, ENTRY, CHUNK = 64, 48, 32
MEND, AS_IT_IS = b"\x01", b"\x00"  # what the target does with the checksums


def archive(entries, align=1):
    """entries: (name, codec, transform, level, chunk_bytes, [(stored, content_bytes, codec)]). The
    checksums of content are those of the stored bytes: the target does not compare them."""
    names = b"".join(name + b"\0" for name, *_ in entries)
    chunks_n = sum(len(chunks) for *_, chunks in entries)
    end = HEADER + ENTRY * len(entries) + CHUNK * chunks_n + len(names)
    table, chunk_table, data = b"", b"", b""
    name_at = first = 0
    for name, codec, transform, level, chunk_bytes, chunks in entries:
        content = sum(chunk[1] for chunk in chunks)
        stored = sum(len(chunk[0]) for chunk in chunks)
        table += struct.pack("<QQIHBBIIIB11x", content, stored, name_at, len(name), codec,
                             transform, first, len(chunks), chunk_bytes, level)
        for bytes_stored, content_bytes, chunk_codec in chunks:
            data += b"\0" * (-(end + len(data)) % align)
            crc = crc32c(bytes_stored)
            chunk_table += struct.pack("<QIIIIBB6x", end + len(data), len(bytes_stored),
                                       content_bytes, crc, crc, chunk_codec,
                                       transform if chunk_codec else 0)
            data += bytes_stored
        name_at += len(name) + 1
        first += len(chunks)
    data += b"\0" * (-(end + len(data)) % align)
    tables = table + chunk_table + names
    header = b"\x89DSA\r\n\x1a\n" + struct.pack("<IIQIIII20x", 1, align, end + len(data),
                                                len(entries), chunks_n, len(names),
                                                crc32c(tables))
    return header + struct.pack("<I", crc32c(header)) + tables + data


def zstd_run(byte, n):
    """A frame of n (256..65791) times one byte."""
    return (b"\x28\xb5\x2f\xfd\x60" + struct.pack("<H", n - 256) +
            (n << 3 | 1 << 1 | 1).to_bytes(3, "little") + bytes([byte]))


def lz4_run(byte, n):
    """A block of n (over 300) times one byte: a literal, a match, five literals."""
    match = n - 6 - 4 - 15
    return (b"\x1f" + bytes([byte]) + b"\x01\x00" + b"\xff" * (match // 255) +
            bytes([match % 255]) + b"\x50" + bytes([byte]) * 5)


def archive_seeds():
    with open(os.path.join(FOLDER, "gdeflate_stream", "sym284_258"), "rb") as file:
        tile = file.read()
    content = (int.from_bytes(tile[4:8], "little") >> 2 & 0x3ffff) or 65536  # of its one tile
    return {
        "empty": archive([]),
        "stored": archive([(b"a", 0, 0, 0, 4096, [(b"0123456789", 10, 0)]),
                           (b"dir/empty", 0, 0, 0, 4096, [])], 16),
        "codecs": archive([
            (b"lz4", 3, 3, 9, 4096, [(lz4_run(65, 4096), 4096, 3), (b"rest", 4, 0)]),
            (b"tile", 1, 1, 12, 1 << 26, [(tile, content, 1)]),
            (b"zstd", 2, 0, 19, 8192, [(zstd_run(66, 8192), 8192, 2),
                                       (zstd_run(66, 300), 300, 2)]),
        ]),
    }


def archive_fields(entries, chunks):
    """(name, offset, size) of every field"""
    fields = [("align", 12, 4), ("archive", 16, 8), ("entries", 24, 4), ("chunks", 28, 4),
              ("names", 32, 4), ("reserved", 40, 4)]
    for i in range(entries):
        at = HEADER + ENTRY * i
        fields += [(f"entry{i}-{name}", at + offset, size) for name, offset, size in (
            ("content", 0, 8), ("stored", 8, 8), ("name-offset", 16, 4), ("name-bytes", 20, 2),
            ("codec", 22, 1), ("transform", 23, 1), ("chunk-first", 24, 4), ("chunks", 28, 4),
            ("chunk-bytes", 32, 4), ("level", 36, 1), ("reserved", 44, 4))]
    for i in range(chunks):
        at = HEADER + ENTRY * entries + CHUNK * i
        fields += [(f"chunk{i}-{name}", at + offset, size) for name, offset, size in (
            ("offset", 0, 8), ("stored", 8, 4), ("content", 12, 4), ("codec", 24, 1),
            ("transform", 25, 1), ("reserved", 28, 4))]
    return fields


def archives(rng):
    seeds = archive_seeds()
    for name, data in seeds.items():
        put("archive", "good-" + name, AS_IT_IS + data)
    small, large = seeds["stored"], seeds["codecs"]
    for name, offset, size in archive_fields(2, 1):
        old = int.from_bytes(small[offset:offset + size], "little")
        for label, value in (("max", -1), ("less", old - 1), ("more", old + 1)):
            if value & (1 << 8 * size) - 1 != old:
                put("archive", f"bad-{name}-{label}",
                    MEND + with_number(small, offset, size, value))
    for name, offset, size in archive_fields(3, 5)[6:]:
        if name.startswith(("chunk", "entry1")):
            put("archive", f"bad-codecs-{name}",
                MEND + with_number(large, offset, size, rng.getrandbits(8 * size)))
    for i in range(40):  # damage to data and tables alike
        data = bytearray(large)
        for _ in range(1 + i % 4):
            data[rng.randrange(12, len(data))] ^= 1 << rng.randrange(8)
        put("archive", f"bad-flips-{i:02}", MEND + bytes(data))
    for cut in (1, 7, 8, 63, 64, 65, 111, 112, 160, 191, 200, 210, len(small) - 1):
        put("archive", f"bad-cut-{cut:03}", AS_IT_IS + small[:cut])
        put("archive", f"bad-cut-mended-{cut:03}", MEND + small[:cut])


# ---- GDeflate -------------------------------------------------------------------------------

def seeds_of(target):
    folder = os.path.join(FOLDER, target)
    found = {}
    for name in sorted(os.listdir(folder)):
        if not name.startswith("bad-"):
            with open(os.path.join(folder, name), "rb") as file:
                found[name] = file.read()
    return found


def streams(rng):
    seeds = seeds_of("gdeflate_stream")
    plain = seeds["dyn_plain"]
    for byte in range(8):  # id, its complement, tiles, sizes
        for value in (0, 1, 0x7f, 0x80, 0xff, plain[byte] ^ 1, plain[byte] ^ 4):
            if value != plain[byte]:
                put("gdeflate_stream", f"bad-header-{byte}-{value:02x}",
                    plain[:byte] + bytes([value]) + plain[byte + 1:])
    for offset in (8, 12):  # the table of tile offsets, or the first tile's words
        for value in (0, 1, 127, 128, 0x7fffffff, 0xfffffffc, U32):
            put("gdeflate_stream", f"bad-table-{offset}-{value:08x}",
                with_number(plain, offset, 4, value))
    two = with_number(plain, 2, 2, 2) + plain[8:]  # two tiles, one of them in place of the table
    put("gdeflate_stream", "bad-two-tiles", two)
    for i in range(30):
        data = bytearray(rng.choice(list(seeds.values())))
        for _ in range(1 + i % 5):
            data[rng.randrange(8 % len(data), len(data))] ^= 1 << rng.randrange(8)
        put("gdeflate_stream", f"bad-flips-{i:02}", bytes(data))


def tiles(rng):
    seeds = seeds_of("gdeflate_tile")
    plain = seeds["dyn_plain"]
    for size in (1, 2, 255, 256, 257, 32768, 65535, 65536):  # another size than it has
        put("gdeflate_tile", f"bad-size-{size}", with_number(plain, 0, 2, size - 1))
    for cut in range(2, len(plain), 24):  # every step ends in another place
        put("gdeflate_tile", f"bad-cut-{cut:03}", plain[:cut])
    for bit in range(0, 17 * 3):  # block type, HLIT, HDIST, HCLEN and what follows
        lane = bit // 3 * 32 + bit % 3
        if 2 + lane // 8 < len(plain):
            data = bytearray(plain)
            data[2 + lane // 8] ^= 1 << lane % 8
            put("gdeflate_tile", f"bad-lane-{bit:02}", bytes(data))
    for i in range(40):
        data = bytearray(rng.choice(list(seeds.values())))
        for _ in range(1 + i % 6):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        put("gdeflate_tile", f"bad-flips-{i:02}", bytes(data))
    for i, byte in enumerate((0x00, 0xff, 0x55, 0xaa, 0x05, 0x04, 0x06, 0xfd)):
        put("gdeflate_tile", f"bad-fill-{byte:02x}", bytes([i, 1]) + bytes([byte]) * 256)


# ---- requests -------------------------------------------------------------------------------

def number(value):
    """In the target's coding: one byte, two bytes, eight bytes."""
    if value < 0x40:
        return bytes([value])
    if value < 0x10000:
        return b"\x40" + struct.pack("<H", value)
    return b"\xc0" + struct.pack("<Q", value)


ENQUEUE, SUBMIT, STEP, POLL = b"\x0b", b"\x00", b"\x08", b"\x02\xff"
READ, WRITE, FLUSH, NO_OP = 0, 1, 2, 3
SHORT, FD, NO_HOST, GPU, SOURCE, CODEC = 4, 8, 16, 32, 64, 128


def request(flags, file=1, offset=0, size=100, gpu=None, codec=None, odd=0, tail=b""):
    data = ENQUEUE + bytes([flags | (GPU if gpu else 0) | (CODEC if codec else 0), odd, file])
    data += number(offset) + number(size)
    data += b"".join(number(value) for value in gpu or ())
    if codec:
        data += bytes(codec[:2]) + number(codec[2])
    return data + tail


def requests(rng):
    end = SUBMIT + STEP * 4 + POLL
    bad = {
        "size-0": request(READ, size=0), "size-max": request(READ, size=U64),
        "size-over": request(READ, size=(1 << 43) + 1),
        "offset-max": request(READ, offset=U64),
        "offset-sum": request(READ, offset=(1 << 63) - 50),
        "op": request(NO_OP), "no-memory": request(READ | NO_HOST),
        "no-file": request(READ, file=0),
        "fd": request(READ | FD, file=0), "other-engine": request(READ, file=7),
        "write-read-only": request(WRITE, file=2), "write-short": request(WRITE | SHORT),
        "write-source": request(WRITE | SOURCE), "flush-size": request(FLUSH),
        "flush-source": request(FLUSH | SOURCE | NO_HOST, size=0),
        "gpu-overflow": request(READ | NO_HOST, gpu=(1, U64, 0)),
        "gpu-range": request(READ | NO_HOST, gpu=(1, 60, 100)),
        "gpu-and-host": request(READ, gpu=(1, 0, 0)),
        "codec-unknown": request(READ, codec=(7, 0, 100)),
        "codec-transform": request(READ, codec=(1, 7, 100)),
        "codec-size-0": request(READ, codec=(1, 0, 0)),
        "codec-size-max": request(READ, codec=(1, 0, U64)),
        "codec-write": request(WRITE, codec=(1, 0, 100)),
        "codec-short": request(READ | SHORT, codec=(1, 0, 100)),
        "codec-none-size": request(READ, codec=(0, 0, 99)),
        "struct-size-0": request(READ, odd=0xe0, tail=b"\0\0\0\0"),
        "struct-size-88": request(READ, odd=0xe0, tail=b"\x40\x58\0\0\0\0"),
        "reserved": request(READ, odd=0xe0, tail=b"\x40\xb0\0\1\0\0"),
        "flags": request(READ, odd=0xe0, tail=b"\x40\xb0\0\0\0\xc0" + b"\xff" * 8),
    }
    for codec in (1, 2, 3):
        bad[f"codec-garbage-{codec}"] = request(READ | SOURCE, codec=(codec, 0, 3000))
        bad[f"codec-gpu-{codec}"] = request(READ | SOURCE | NO_HOST, gpu=(1, 0, 0),
                                            codec=(codec, 1, 65536))
    for name, data in bad.items():
        for side in (0, 1):
            put("request", f"bad-{name}-{side}", bytes([side]) + data + end)
    put("request", "bad-full", b"\0" + request(READ) * 12 + end)
    put("request", "bad-cancel", b"\0" + (request(READ, odd=3) + b"\x03\x0f\x03") * 4 + end)
    put("request", "bad-status", b"\0" + b"\x04\x05\x04\x01\x04\x01\x04\x00" + end)
    put("request", "bad-event", b"\0" + b"\x05\x00\x05\x01\x05\x01" + end)
    for i in range(40):
        put("request", f"bad-calls-{i:02}",
            bytes([i & 1]) + rng.randbytes(rng.randrange(20, 200)))


def main():
    archives(random.Random(1))
    streams(random.Random(2))
    tiles(random.Random(3))
    requests(random.Random(4))
    total = files = bad = 0
    for folder, _, names in sorted(os.walk(FOLDER)):
        sizes = [os.path.getsize(os.path.join(folder, name)) for name in names]
        total, files = total + sum(sizes), files + len(names)
        bad += sum(name.startswith("bad-") for name in names)
    print(f"{files} inputs, {bad} of them made here to be bad, {total} bytes")


if __name__ == "__main__":
    main()
