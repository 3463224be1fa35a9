//! Randomness as an argument: the pure parts draw from whatever the caller hands in.

/// A source of random numbers; real in the process, seeded in tests.
pub trait Entropy: Send + Sync {
    /// 64 random bits.
    fn next(&self) -> u64;

    /// A number in `0.0..1.0`.
    fn fraction(&self) -> f64 {
        // 53 bits are what a double holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
        let fraction = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        fraction
    }
}
