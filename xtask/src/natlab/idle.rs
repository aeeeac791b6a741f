//! What happens to the network of an endpoint whose links are idle, so that only who watches the network can notice: nobody sends
//! anything, and nobody calls anything.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::endpoint::Used;
use super::meeting::Meeting;
use super::scenarios::{OPEN, change_address, direct, two_uplinks};

/// When the other end of an idle link must know where this end is now. Without somebody who notices it is the keepalive that
/// tells, after up to 25 s.
const NOTICED: Duration = Duration::from_secs(2);

pub(super) fn moves(program: &Path) -> Result<String> {
    let meeting = direct(program, "idle-moves", OPEN)?;
    rest();
    let place = meeting.sides[0].outside();
    let begin = Instant::now();
    change_address(place)?;
    is_noticed(&meeting, &format!("udp:{}:", place.spare(1)), begin)
}

pub(super) fn uplink_goes(program: &Path) -> Result<String> {
    let meeting = two_uplinks(program, "idle-uplinks")?;
    rest();
    let before = meeting.b.used(&meeting.a.identity)?;
    let Used::Direct(before) = &before else { bail!("not direct before: {before:?}") };
    let first = format!("udp:{}:", meeting.sides[0].outside().ipv4);
    ensure!(before.starts_with(&first), "{before} is not on the first line");
    let begin = Instant::now();
    meeting.sides[0].namespace().ip("link set wan down")?;
    let second = meeting.sides[0].namespace().address_of("wan2")?;
    is_noticed(&meeting, &format!("udp:{second}:"), begin)
}

/// A second line comes and goes three times a second for twenty seconds. The endpoint has a word with its peers about that, and not
/// about every time.
pub(super) fn flaps(program: &Path) -> Result<String> {
    /// Packets of twenty seconds: six reactions, with two links (the router's as well) that prove all their paths and compare
    /// them.
    const MOST: u64 = 400;
    let meeting = two_uplinks(program, "idle-flaps")?;
    rest();
    let namespace = meeting.sides[0].namespace();
    let before = namespace.packets_sent("wan")?;
    for _ in 0..30 {
        for state in ["down", "up"] {
            namespace.ip(&format!("link set wan2 {state}"))?;
            std::thread::sleep(Duration::from_millis(330));
        }
    }
    let packets = namespace.packets_sent("wan")? - before;
    ensure!(packets < MOST, "{packets} packets in 20 s");
    ensure!(matches!(meeting.b.used(&meeting.a.identity)?, Used::Direct(_)), "it is not direct any more");
    Ok(format!("60 changes, {packets} packets in 20 s, none of them for data"))
}

/// Until what comes of the meeting is over.
fn rest() {
    std::thread::sleep(Duration::from_secs(3));
}

/// Nobody sends anything and nobody calls anything: the other end is at this address of ours soon.
fn is_noticed(meeting: &Meeting, path: &str, begin: Instant) -> Result<String> {
    loop {
        let used = meeting.b.used(&meeting.a.identity)?;
        if matches!(&used, Used::Direct(used) if used.starts_with(path)) {
            return Ok(format!("the other end is there after {:.2} s", begin.elapsed().as_secs_f64()));
        }
        ensure!(begin.elapsed() < NOTICED, "{used:?} is used, and not {path}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
