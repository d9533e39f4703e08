//! Random enough for jitter and for faults that repeat.

/// The next value of a 64-bit xorshift generator (Marsaglia 2003). Never give it 0.
pub(crate) fn xorshift(mut value: u64) -> u64 {
    value ^= value << 13;
    value ^= value >> 7;
    value ^ (value << 17)
}
