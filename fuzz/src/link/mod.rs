//! Two endpoints, their gates and links, and a stranger, in a network that the fuzzer plays.
//!
//! The input is a list of actions: packets arrive in any order, twice, changed, from elsewhere or not at all; bytes
//! arrive that nobody sent; an authenticated peer seals whatever it likes; clocks run and jump; owners connect, close,
//! send, restart and store late. What must hold after each action stands in `check`, what the world is made of in
//! `world`, the actions in `actions`.

mod actions;
mod check;
mod world;

use crate::input::Input;
use world::World;

/// Plays the input; then a network without faults, in which the link must come up and carry data.
pub fn link(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    for _ in 0..MOST_ACTIONS {
        if input.is_empty() {
            break;
        }
        world.act(&mut input);
    }
    world.heal();
}

/// Enough for a few handshakes and a renewal, few enough that an input takes milliseconds.
const MOST_ACTIONS: usize = 300;
