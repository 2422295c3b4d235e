# SPDX-License-Identifier: Apache-2.0
"""Protobuf messages that are wrong in every way that the wire allows, made from
descriptors: first a message that is nearly right, so that it gets deep, then
none, one or several wounds."""

from google.protobuf.descriptor import FieldDescriptor as Field

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = 0, 1, 2, 3, 4, 5
WIRE = {Field.TYPE_DOUBLE: FIXED64, Field.TYPE_FIXED64: FIXED64,
        Field.TYPE_SFIXED64: FIXED64, Field.TYPE_FLOAT: FIXED32,
        Field.TYPE_FIXED32: FIXED32, Field.TYPE_SFIXED32: FIXED32,
        Field.TYPE_STRING: BYTES, Field.TYPE_BYTES: BYTES,
        Field.TYPE_MESSAGE: BYTES}
NUMBERS = [0, 1, 2, 3, 7, 63, 64, 100, 127, 128, 255, 256, 1000, 4095, 65535,
           65536, 10 ** 6, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32,
           2 ** 53, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1]
WORDS = ["", "a", "-", "a-", "-a", "A", "a b", "a/b", "../../etc/passwd",
         "{name}", "{uid}{epoch}{disk0}", "%s%n", "x" * 63, "x" * 64,
         "x" * 256, "x" * 5000, "\n", "\u00e9", "\u202e", "null", "0"]
BAD_TEXT = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
            b"ab\xc3", b"a\x00b", b"\x00", b"\x80" * 300]
DEPTH_MAX = 6


def varint(number):
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(number, wire):
    return varint(number << 3 | wire)


def lengthy(number, data):
    return tag(number, BYTES) + varint(len(data)) + data


class Mutator:
    """`names` are those of things that exist, by which requests hit."""

    def __init__(self, random, names):
        self.random = random
        self.names = names

    def chance(self, percent):
        return self.random.random() * 100 < percent

    def scalar(self, field):
        """A value of the right wire type."""
        wire = WIRE.get(field.type, VARINT)
        if field.type == Field.TYPE_STRING:
            word = self.random.choice(
                self.names if self.chance(70) else WORDS)
            return wire, word.encode()
        if field.type == Field.TYPE_BYTES:
            return wire, self.random.randbytes(self.random.randrange(40))
        if field.type == Field.TYPE_ENUM:
            numbers = [v.number for v in field.enum_type.values]
            number = self.random.choice(numbers + [99])
        elif field.type == Field.TYPE_BOOL:
            number = self.random.randrange(2)
        elif self.chance(60):
            number = self.random.randrange(1, 2000)
        else:
            number = self.random.choice(NUMBERS)
        if wire == VARINT:
            return wire, number
        size = 8 if wire == FIXED64 else 4
        return wire, (number & (1 << 8 * size) - 1).to_bytes(size, "little")

    @staticmethod
    def encode(number, wire, value):
        if wire == VARINT:
            return tag(number, wire) + varint(value)
        if wire == BYTES:
            return lengthy(number, value)
        return tag(number, wire) + value

    def one_field(self, field, depth):
        if field.type == Field.TYPE_MESSAGE:
            return lengthy(field.number,
                           self.message(field.message_type, depth + 1))
        return self.encode(field.number, *self.scalar(field))

    def message(self, descriptor, depth=0):
        """Nearly right: each field there or not."""
        out = b""
        if depth > DEPTH_MAX:
            return out
        for field in descriptor.fields:
            if not self.chance(75 if depth == 0 else 60):
                continue
            times = 1
            if field.label == Field.LABEL_REPEATED:
                times = self.random.randrange(4)
            for _ in range(times):
                out += self.one_field(field, depth)
        return out

    # Wounds. Each takes the message and gives another.

    def cut(self, data, _descriptor):
        return data[:self.random.randrange(len(data) + 1)]

    def flip(self, data, _descriptor):
        data = bytearray(data or b"\0")
        for _ in range(self.random.randrange(1, 6)):
            data[self.random.randrange(len(data))] ^= 1 << \
                self.random.randrange(8)
        return bytes(data)

    def wrong_wire_type(self, data, descriptor):
        field = self.random.choice(list(descriptor.fields))
        right = WIRE.get(field.type, VARINT)
        wire = self.random.choice([w for w in (VARINT, FIXED64, BYTES, FIXED32)
                                   if w != right])
        value = {VARINT: 5, FIXED64: bytes(8), FIXED32: bytes(4),
                 BYTES: self.random.randbytes(9)}[wire]
        return data + self.encode(field.number, wire, value)

    def bad_text(self, data, descriptor):
        texts = [f for f in descriptor.fields if f.type == Field.TYPE_STRING]
        if not texts:
            return self.wrong_wire_type(data, descriptor)
        field = self.random.choice(texts)
        return data + lengthy(field.number, self.random.choice(BAD_TEXT))

    def long_list(self, data, descriptor):
        lists = [f for f in descriptor.fields
                 if f.label == Field.LABEL_REPEATED]
        inner = [(f, g) for f in descriptor.fields
                 if f.type == Field.TYPE_MESSAGE
                 for g in f.message_type.fields
                 if g.label == Field.LABEL_REPEATED]
        count = self.random.choice([70, 1000, 5000, 20000])
        if lists:
            return data + self.one_field(self.random.choice(lists), 4) * count
        if inner:
            outer, field = self.random.choice(inner)
            return data + lengthy(outer.number,
                                  self.one_field(field, 4) * count)
        return data + self.one_field(
            self.random.choice(list(descriptor.fields)), 4) * count

    def deep(self, data, descriptor):
        """A message within itself, also where the type does not allow it."""
        for _ in range(self.random.choice([5, 60, 400])):
            field = self.random.choice(list(descriptor.fields))
            data = lengthy(field.number, data)
        return data

    def group(self, data, _descriptor):
        depth = self.random.choice([1, 50, 5000])
        end = self.random.choice([0, depth])
        return data + tag(3, GROUP) * depth + tag(3, GROUP_END) * end

    def unknown(self, data, _descriptor):
        number = self.random.choice([500, 19000, 2 ** 29 - 1])
        return data + lengthy(number, self.random.randbytes(
            self.random.choice([0, 10, 3000])))

    def lies_of_length(self, data, descriptor):
        field = self.random.choice(list(descriptor.fields))
        length = self.random.choice([len(data) + 1, 2 ** 31 - 1, 2 ** 32 - 1,
                                     2 ** 63, 2 ** 64 - 1])
        return data + tag(field.number, BYTES) + varint(length) + data[:20]

    def bad_tag(self, data, _descriptor):
        return data + self.random.choice(
            [b"\x00", b"\x07\x01", b"\xff" * 11, b"\x80", tag(1, 6),
             tag(0, VARINT) + b"\x01"])

    def noise(self, _data, _descriptor):
        return self.random.randbytes(self.random.choice([1, 7, 60, 2000]))

    def huge(self, data, descriptor):
        """About the limit of a message, and above it."""
        field = self.random.choice(list(descriptor.fields))
        size = self.random.choice([1 << 20, (4 << 20) - 100, (4 << 20) + 100])
        return data + lengthy(field.number, b"x" * size)

    WOUNDS = [cut, flip, wrong_wire_type, bad_text, long_list, deep, group,
              unknown, lies_of_length, bad_tag, noise]

    def request(self, descriptor, valid=None):
        """From a valid message, if given, else from a nearly right one."""
        data = self.message(descriptor) if valid is None else valid
        if not descriptor.fields:
            return self.noise(data, descriptor)
        if self.chance(35):
            return data
        if self.chance(0.05):
            return self.huge(data, descriptor)
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            data = self.random.choice(self.WOUNDS)(self, data, descriptor)
            if len(data) > 1 << 20:
                break
        return data

    def hostile(self, descriptor, valid=None):
        """Never to be accepted: it cannot be decoded."""
        data = self.message(descriptor) if valid is None else valid
        wounds = [self.lies_of_length, self.bad_tag]
        if descriptor.fields:
            wounds.append(self.bad_text)
            return self.bad_tag(self.random.choice(wounds)(data, descriptor),
                                descriptor)
        return self.bad_tag(data, descriptor)
