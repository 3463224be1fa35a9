//! Ids that grow with time, so that new rows are appended and lists sort by age.
//!
//! An id is 63 bits: milliseconds since 2024 (41), node (8), counter (14). Outside it is an
//! opaque text, `dlv_…`, `run_…` or `rep_…`.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::time::Timestamp;

const EPOCH_MILLIS: i64 = 1_704_067_200_000;
const NODE_BITS: u32 = 8;
const COUNTER_BITS: u32 = 14;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes ids that are unique in this process and never go down.
#[derive(Debug)]
pub struct IdSource {
    node: i64,
    last: AtomicI64,
}

impl IdSource {
    /// `node` tells apart processes that write to one database.
    pub fn new(node: u8) -> Self {
        Self::after(node, 0)
    }

    /// The same, beginning above an id that is in use, should the clock have been set back.
    pub fn after(node: u8, last: i64) -> Self {
        let node = i64::from(node);
        let of_another = (last >> COUNTER_BITS) & ((1 << NODE_BITS) - 1) != node;
        // Counting on from another node's id would give out ids of its range.
        let last = if of_another {
            last | ((1 << (NODE_BITS + COUNTER_BITS)) - 1)
        } else {
            last
        };
        Self {
            node,
            last: AtomicI64::new(last),
        }
    }

    /// The next id, not smaller than what `now` gives.
    pub fn next(&self, now: Timestamp) -> i64 {
        let millis = (now.micros().div_euclid(1000) - EPOCH_MILLIS).max(0);
        let node = self.node << COUNTER_BITS;
        let floor = (millis << (NODE_BITS + COUNTER_BITS)) | node;
        let step = |last: i64| {
            let next = last + 1;
            // A full counter moves on to the next millisecond instead of another node's range.
            let spilled = next >> COUNTER_BITS != last >> COUNTER_BITS;
            let next = if spilled {
                (((last >> (NODE_BITS + COUNTER_BITS)) + 1) << (NODE_BITS + COUNTER_BITS)) | node
            } else {
                next
            };
            Some(next.max(floor))
        };
        match self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
        {
            Ok(last) | Err(last) => step(last).unwrap_or(floor),
        }
    }
}

/// The smallest id that can be made at a moment, by any node.
pub const fn floor(at: Timestamp) -> i64 {
    let millis = at.micros().div_euclid(1000) - EPOCH_MILLIS;
    if millis < 0 {
        0
    } else {
        millis << (NODE_BITS + COUNTER_BITS)
    }
}

/// Why a text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an id of this kind; ids look like {prefix}01hzy8k2m4n6p")]
pub struct NotAnId {
    prefix: &'static str,
}

fn write_id(prefix: &str, id: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0_u8; 13];
    let mut rest = id;
    for place in text.iter_mut().rev() {
        *place = ALPHABET[usize::try_from(rest & 31).unwrap_or(0)];
        rest >>= 5;
    }
    f.write_str(prefix)?;
    f.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

fn read_id(prefix: &'static str, text: &str) -> Result<i64, NotAnId> {
    let wrong = NotAnId { prefix };
    let Some(digits) = text.strip_prefix(prefix) else {
        return Err(wrong);
    };
    if digits.len() != 13 {
        return Err(wrong);
    }
    let mut id: i64 = 0;
    for digit in digits.bytes() {
        let Some(value) = ALPHABET.iter().position(|known| *known == digit) else {
            return Err(wrong);
        };
        id = (id << 5) | i64::try_from(value).unwrap_or(0);
    }
    if id < 0 { Err(wrong) } else { Ok(id) }
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id($prefix, self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                read_id($prefix, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// One request received from a source.
    DeliveryId, "dlv_"
);
id_type!(
    /// One execution of a plan.
    RunId, "run_"
);
id_type!(
    /// What the billing platform is told of one service.
    ReportId, "rep_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_begins_above_anothers_id_gives_out_only_its_own() {
        let node = |id: i64| (id >> COUNTER_BITS) & 0xFF;
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let ahead = IdSource::new(7).next(now.plus(std::time::Duration::from_secs(60)));
        for mine in [0, 3, 7, 255] {
            let ids = IdSource::after(mine, ahead);
            let mut last = ahead;
            for _ in 0..3 {
                let next = ids.next(now);
                assert!(next > last, "{next} after {last}");
                assert_eq!(node(next), i64::from(mine));
                last = next;
            }
        }
    }

    #[test]
    fn ids_never_go_down_even_when_the_clock_does() {
        let ids = IdSource::new(3);
        let now = Timestamp::parse("2026-11-21T21:50:00Z").unwrap();
        let mut last = 0;
        for i in 0..40_000_i64 {
            let id = ids.next(Timestamp::from_micros(now.micros() - i * 1000));
            assert!(id > last);
            assert_eq!((id >> COUNTER_BITS) & 255, 3, "the node stays its own");
            last = id;
        }
    }

    #[test]
    fn a_text_id_is_read_back_and_the_other_kind_refused() {
        let id = RunId(123_456_789_012);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<DeliveryId>().is_err());
        assert!("run_zzzzzzzzzzzzz".parse::<RunId>().is_err());
    }
}
