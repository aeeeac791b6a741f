//! What can happen: one byte says which action, the bytes after it say how.

use std::net::SocketAddr;
use std::time::Duration;

use telemesh_link::COOKIE_SIZE;
use telemesh_wire::{CloseReason, PathAddress};

use super::world::{ALICE, BOB, ENGINE, MESSAGE, Network, STRANGER, World, address};
use crate::input::Input;

impl World {
    pub(super) fn act(&mut self, input: &mut Input<'_>) {
        let action = input.byte();
        let place = usize::from(action >> 7);
        match action % 32 {
            0..=5 => self.deliver_next(),
            6 => {
                let place = input.choice(self.queue.len());
                if let Some(place) = self.queue.remove(place) {
                    self.deliver_sent(place, None);
                }
            }
            7 => {
                let place = input.choice(self.queue.len());
                self.queue.remove(place);
            }
            8 => self.deliver_sent(input.choice(self.log.len()), None),
            9 => self.deliver_sent(input.choice(self.log.len()), Some(RACER)),
            10 => self.replay(input),
            11 => self.change(input, None),
            12 => self.change(input, Some(REPLAYER)),
            13 => self.make_up(place, input),
            14 => self.wait(1 << (input.byte() % 18), Network::Stalls),
            15 => self.wait(1 << (input.byte() % 23), Network::Works),
            16 => self.jump(place, input),
            17 | 18 => self.connect(place),
            19 => self.try_as_stranger(),
            20 => {
                let reasons = [CloseReason::Closed, CloseReason::ShuttingDown, CloseReason::NotTrusted];
                let reason = reasons[input.choice(reasons.len())];
                self.nodes[place].link.close(self.now, reason);
            }
            21 | 22 => self.send(place, input),
            23 => self.send_message(place, input),
            24 => self.send_anything(place, input),
            25 => self.look_around(place, input),
            26 => self.restart(place),
            27 => self.nodes[place].disk_is_slow ^= true,
            28 => self.nodes[place].store(self.now),
            29 | 30 => self.introduce(place, input),
            _ => {
                let gate = &mut self.nodes[place].gate;
                gate.set_public(!gate.is_public());
            }
        }
        self.flush();
    }

    fn deliver_next(&mut self) {
        if let Some(place) = self.queue.pop_front() {
            self.deliver_sent(place, None);
        }
    }

    /// Something that was taken before comes again, from somebody who may not get an answer.
    fn replay(&mut self, input: &mut Input<'_>) {
        let place = input.choice(self.log.len());
        if self.log.get(place).is_some_and(|sent| sent.taken.is_some()) {
            self.deliver_sent(place, Some(REPLAYER));
        }
    }

    /// A packet arrives with some bytes changed, cut off or added.
    fn change(&mut self, input: &mut Input<'_>, from: Option<SocketAddr>) {
        let Some(sent) = self.log.get(input.choice(self.log.len())).cloned() else { return };
        if from.is_some() && sent.taken.is_none() {
            return;
        }
        let mut bytes = sent.bytes;
        for _ in 0..=input.byte() % 4 {
            let (place, mask) = (input.choice(bytes.len()), input.byte());
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= mask;
            }
        }
        match input.byte() % 4 {
            0 => bytes.truncate(input.choice(bytes.len() + 1)),
            1 => bytes.extend(input.bytes(64)),
            _ => {}
        }
        self.deliver(from.unwrap_or(sent.from), sent.to, bytes);
    }

    /// Bytes that nobody sent, or that somebody sent with another beginning.
    fn make_up(&mut self, to: usize, input: &mut Input<'_>) {
        let from = if input.flag() { REPLAYER } else { address(1 - to) };
        let mut bytes = input.counted().to_vec();
        if input.flag() {
            // Past the first checks: a known type, and a size that it may have.
            let size = [1_200, 1_200, 32, COOKIE_SIZE, 1_232, 65_507][input.choice(6)];
            bytes.resize(size, 0);
            bytes[..4].copy_from_slice(&[[1, 2, 3, 4, 5][input.choice(5)], 0, 0, 0]);
        }
        self.deliver(from, address(to), bytes);
    }

    /// Time passes, unless hours have passed already: an input is a matter of milliseconds.
    fn wait(&mut self, milliseconds: u64, network: Network) {
        let time = Duration::from_millis(milliseconds);
        if self.now + time <= self.start + MOST_TIME {
            self.pass(time, network);
        }
    }

    /// The wall clock jumps, by up to ten years either way.
    fn jump(&mut self, place: usize, input: &mut Input<'_>) {
        const YEARS: i64 = 10 * 366 * 86_400 * 1_000_000;
        self.nodes[place].skew = i64::from_le_bytes(input.array()) % YEARS;
    }

    /// The owner wants the link, and knows where the other one is.
    fn connect(&mut self, place: usize) {
        let (now, wall) = (self.now, self.wall(place));
        let peer = address(if place == ALICE { BOB } else { ALICE });
        self.candidate(place, PathAddress::Udp(peer));
        self.nodes[place].link.connect(now, wall);
    }

    /// A stranger initiates, and gives up at once: it would have nothing but more of the same to send.
    fn try_as_stranger(&mut self) {
        self.connect(STRANGER);
        self.flush();
        self.nodes[STRANGER].link.close(self.now, CloseReason::Closed);
    }

    fn candidate(&mut self, place: usize, address: PathAddress) {
        let node = &mut self.nodes[place];
        node.told.insert(address);
        node.link.add_candidate(self.now, address);
    }

    /// The owner hears of some address, which may be wrong. There are more of them than a link remembers.
    fn introduce(&mut self, place: usize, input: &mut Input<'_>) {
        let host = input.byte();
        let address = match input.byte() % 4 {
            0 => SocketAddr::from(([198, 51, 100, host], 4_242)),
            1 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)], 4_242)),
            2 => address(1 - place),
            _ => address(place),
        };
        self.candidate(place, PathAddress::Udp(address));
    }

    fn number(&mut self) -> [u8; 8] {
        self.next_number += 1;
        self.next_number.to_le_bytes()
    }

    /// An engine packet of some size.
    fn send(&mut self, place: usize, input: &mut Input<'_>) {
        let mut plaintext = [&[ENGINE], self.number().as_slice()].concat();
        plaintext.resize(plaintext.len() + usize::from(input.byte()) * 5, 0);
        self.seal(place, &plaintext);
    }

    /// A message of some size, which may need two packets, or be too large.
    fn send_message(&mut self, place: usize, input: &mut Input<'_>) {
        let mut message = self.number().to_vec();
        message.resize(message.len() + input.choice(3_000), 0);
        self.seal_message(place, &message);
    }

    /// What only a hostile peer seals: anything.
    fn send_anything(&mut self, place: usize, input: &mut Input<'_>) {
        let mut plaintext = input.counted().to_vec();
        // Content that comes out has to be told from other content, so it ends with a number.
        if matches!(plaintext.first(), Some(&MESSAGE | 0x40..=0x7f)) {
            plaintext.extend(self.number());
        }
        self.made_up_halves[place] |= plaintext.first() == Some(&FRAGMENT);
        self.seal(place, &plaintext);
    }

    fn look_around(&mut self, place: usize, input: &mut Input<'_>) {
        let now = self.now;
        let link = &mut self.nodes[place].link;
        match input.byte() % 5 {
            0 => link.suspect(now),
            1 => link.network_changed(now),
            2 => drop(link.ping(now)),
            3 => link.send_engine_gone(input.number()),
            _ => link.set_max_datagram(usize::from(input.word())),
        }
    }
}

/// Enough for an idle session to be renewed, a few times.
const MOST_TIME: Duration = Duration::from_secs(4 * 3_600);

/// First byte of a plaintext that is half of another one.
const FRAGMENT: u8 = 5;

/// Sends what was taken before, or what nobody sent. Nothing may ever be sent to it.
pub(super) const REPLAYER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 66)), 666);

/// Passes on packets that are genuine, maybe before anybody else does. It may be probed and answered, but as it passes
/// nothing back, it never proves anything and never gets data.
pub(super) const RACER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 77)), 777);
