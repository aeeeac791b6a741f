//! What a gate is made from: the return tags that the links accept, and how much it does for strangers.

use crate::admission::{STRANGERS, STRANGERS_PER_ADDRESS};
use crate::cookie::COOKIES;
use crate::rate::Rate;
use crate::tag_table::TagTable;

/// Initiations that may show the same return tag: an attempt on eight paths is six rounds of eight copies within 16 s, all
/// of which pass. What is over this is not lost but stands in the line of the strangers; more would only serve replays.
pub const PER_TAG: Rate = Rate { burst: 24, per_second: 4 };

/// Settings of a [`Gate`](crate::Gate).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GateConfig {
    /// The return tags that the endpoint's links accept: the one that is in their [`LinkConfig`](crate::LinkConfig).
    pub tags: TagTable,
    /// Initiations that are read though they show no return tag, all together. Default [`STRANGERS`].
    pub strangers: Rate,
    /// And from one address under load. Default [`STRANGERS_PER_ADDRESS`].
    pub per_address: Rate,
    /// Initiations that are read with the same return tag. Default [`PER_TAG`].
    pub per_tag: Rate,
    /// Cookies, if the endpoint is public by choice. Default [`COOKIES`].
    pub cookies: Rate,
}

impl GateConfig {
    /// The default limits, and the table of the endpoint's links.
    #[must_use]
    pub fn new(tags: TagTable) -> Self {
        Self {
            tags,
            strangers: STRANGERS,
            per_address: STRANGERS_PER_ADDRESS,
            per_tag: PER_TAG,
            cookies: COOKIES,
        }
    }
}
