//! Ids and serials: functions of (seed, key), so that a run can be repeated exactly.

use protector_types::{Rng, SplitMix};

/// A version-4-looking UUID drawn by hash(seed, key).
pub(crate) fn uuid_for(seed: u64, key: &str) -> String {
    let mut rng = SplitMix::keyed(seed, key);
    let bits = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
}

/// 24 upper-case hex digits drawn by hash(seed, key).
pub(crate) fn serial_for(seed: u64, key: &str) -> String {
    let mut rng = SplitMix::keyed(seed, key);
    format!("{:016X}{:08X}", rng.next_u64(), rng.next_u64() as u32)
}

/// A number in `range` (both ends included) drawn by hash(seed, key).
pub(crate) fn draw(seed: u64, key: &str, range: (u64, u64)) -> u64 {
    let (low, high) = (range.0.min(range.1), range.0.max(range.1));
    low + SplitMix::keyed(seed, key).next_u64() % (high - low + 1)
}
