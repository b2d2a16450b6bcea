//! Frames to test with: decoded once by the official `kafka-clients` 4.3.0, nothing left over.
//!
//! Correlation id 0x01020304, topic `t` (v13: id 00 01 .. 0f), partition 0, base offset 100, log append time -1, log
//! start offset 7, throttle time 0; lengths included.

/// Producer 7, epoch 0, sequences 5 and 6, two records without compression, timestamp 1000, valid crc.
pub(crate) const GOLDEN_BATCH: &str = "000000000000000000000043ffffffff02614e211800000000000100000000000003e8\
    00000000000003e8000000000000000700000000000500000002100000000104763000100000020104763100";

/// Responses without an error, by version.
pub(crate) const GOLDEN_RESPONSES: [(i16, &str); 11] = [
    (3, RESPONSE_V3),
    (4, RESPONSE_V3),
    (5, RESPONSE_V5),
    (6, RESPONSE_V5),
    (7, RESPONSE_V5),
    (
        8,
        "000000370102030400000001000174000000010000000000000000000000000064ffffffffffffffff00000000000000070000\
         0000ffff00000000",
    ),
    (9, RESPONSE_V9),
    (10, RESPONSE_V9),
    (11, RESPONSE_V9),
    (12, RESPONSE_V9),
    (
        13,
        "0000003e010203040002000102030405060708090a0b0c0d0e0f020000000000000000000000000064ffffffffffffffff000000\
          0000000007010000000000000000",
    ),
];

const RESPONSE_V3: &str = "000000290102030400000001000174000000010000000000000000000000000064ffffffffffffffff00000000";
const RESPONSE_V5: &str =
    "000000310102030400000001000174000000010000000000000000000000000064ffffffffffffffff000000000000000700000000";
const RESPONSE_V9: &str =
    "000000300102030400020274020000000000000000000000000064ffffffffffffffff0000000000000007010000000000000000";

/// A v9 response that refuses a batch: 45, out of order sequence number.
pub(crate) const GOLDEN_REFUSAL_V9: &str =
    "0000003001020304000202740200000000002dffffffffffffffffffffffffffffffff0000000000000007010000000000000000";

/// Requests with [`GOLDEN_BATCH`] as `B`: acks -1, timeout 30000 ms, client id `c`.
const GOLDEN_REQUESTS: [(i16, &str); 4] = [
    (3, "00000075 0000 0003 01020304 0001 63 ffff ffff 00007530 00000001 0001 74 00000001 00000000 0000004f B"),
    (8, "00000075 0000 0008 01020304 0001 63 ffff ffff 00007530 00000001 0001 74 00000001 00000000 0000004f B"),
    (9, "0000006e 0000 0009 01020304 0001 63 00 00 ffff 00007530 02 02 74 02 00000000 50 B 00 00 00"),
    (
        13,
        "0000007c 0000 000d 01020304 0001 63 00 00 ffff 00007530 02 000102030405060708090a0b0c0d0e0f 02 00000000 50 B 00 00 00",
    ),
];

/// The bytes of the golden requests, by version.
pub(crate) fn golden_requests() -> Vec<(i16, Vec<u8>)> {
    GOLDEN_REQUESTS.iter().map(|&(version, text)| (version, hex(&text.replace('B', GOLDEN_BATCH)))).collect()
}

/// The topic id of the golden vectors.
pub(crate) const GOLDEN_TOPIC_ID: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Bytes from pairs of digits; spaces are for reading only.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("two hex digits");
    digits.chunks(2).map(byte).collect()
}
