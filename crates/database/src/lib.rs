//! One file of tables for one process, with redb: who may have it, which version it has, and damage as an error.
//!
//! What is in the tables is the business of the stores that use this: contacts, boxes, chats. In reading order: `open` (the file
//! and who may have it), `database` (its version, and every use of it).

mod database;
mod open;

pub use database::{Damaged, Database, Format, io_error};
pub use open::OpenError;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
