//! Tests of the crate through its public API, one module per question.
#![allow(clippy::unwrap_used, reason = "clippy does not see that helpers in here belong to tests")]

mod addresses;
mod golden;
mod invites;
mod limits;
mod link_json;
mod malformed;
mod proto;
mod protocol_page;
mod round_trips;
mod secrets;
mod uri;
mod values;
