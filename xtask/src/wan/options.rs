//! What the user wants the network to be like: options, and numbers with units.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use telemesh_wan::{Conditions, Ways};

/// The command line.
#[derive(Debug, PartialEq)]
pub(super) struct Options {
    pub(super) listen: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) ways: Ways,
    pub(super) seed: u64,
    /// `None`: until it is killed.
    pub(super) time: Option<Duration>,
}

/// What holds on one way, as it was asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Wishes {
    conditions: Conditions,
    /// Bytes a second.
    rate: Option<u64>,
    queue: Option<Queue>,
    /// Share of datagrams, and by how much they are held back.
    reorder: (f64, Duration),
}

/// How much may wait for the bottleneck.
#[derive(Debug, Clone, Copy)]
enum Queue {
    Bytes(u64),
    Time(Duration),
}

/// What waits when nobody has said how much may: about what home routers keep.
const QUEUE: Queue = Queue::Time(Duration::from_millis(100));

/// A full packet or two must fit also where the rate is so low that the time for them is long.
const LEAST_QUEUE: u64 = 4_096;

/// How long reordering holds a datagram back when nobody has said.
const REORDER_BY: Duration = Duration::from_millis(10);

impl Options {
    /// Reads options; `--there` and `--back` say for which way the ones behind them are.
    ///
    /// # Errors
    /// When one is unknown, has no value or a wrong one, or an address is missing.
    pub(super) fn parse(arguments: &[&str]) -> Result<Self> {
        let (mut listen, mut to, mut seed, mut time) = (None, None, 1, None);
        let mut wishes = [Wishes { reorder: (0.0, REORDER_BY), ..Wishes::default() }; 2];
        let mut chosen = 0..2;
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match *word {
                "--both" => chosen = 0..2,
                "--there" => chosen = 0..1,
                "--back" => chosen = 1..2,
                option => {
                    let value = words.next().with_context(|| format!("`{option}` wants a value"))?;
                    let told = || format!("`{option} {value}`");
                    match option {
                        "--listen" => listen = Some(value.parse().with_context(told)?),
                        "--to" => to = Some(value.parse().with_context(told)?),
                        "--seed" => seed = value.parse().with_context(told)?,
                        "--for" => time = Some(duration(value).with_context(told)?),
                        _ => {
                            for wish in wishes.iter_mut().take(chosen.end).skip(chosen.start) {
                                wish.set(option, value).with_context(told)?;
                            }
                        }
                    }
                }
            }
        }
        let [there, back] = wishes.map(Wishes::conditions);
        let to = to.context("`--to ADDR` is missing: where the datagrams should go")?;
        let listen = listen.context("`--listen ADDR` is missing: where the datagrams come in")?;
        Ok(Self { listen, to, ways: Ways { there, back }, seed, time })
    }
}

impl Wishes {
    fn set(&mut self, option: &str, value: &str) -> Result<()> {
        match option {
            "--delay" => self.conditions = self.conditions.delay(duration(value)?),
            "--jitter" => self.conditions = self.conditions.jitter(duration(value)?),
            "--loss" => self.conditions = self.conditions.loss(percent(value)?),
            "--duplicate" => self.conditions = self.conditions.duplicate(percent(value)?),
            "--corrupt" => self.conditions = self.conditions.corrupt(percent(value)?),
            "--mtu" => self.conditions = self.conditions.mtu(value.parse()?),
            "--reorder" => self.reorder.0 = percent(value)?,
            "--reorder-by" => self.reorder.1 = duration(value)?,
            "--rate" => self.rate = Some(rate(value)?),
            "--queue" => {
                self.queue = Some(match value.parse() {
                    Ok(bytes) => Queue::Bytes(bytes),
                    Err(_) => Queue::Time(duration(value)?),
                });
            }
            _ => bail!("there is no such option"),
        }
        Ok(())
    }

    fn conditions(self) -> Conditions {
        let (share, by) = self.reorder;
        let conditions = self.conditions.reorder(share, by);
        let Some(rate) = self.rate else { return conditions };
        let queue = match self.queue.unwrap_or(QUEUE) {
            Queue::Bytes(bytes) => bytes,
            Queue::Time(time) => {
                let bytes = u128::from(rate) * time.as_micros() / 1_000_000;
                u64::try_from(bytes).unwrap_or(u64::MAX).max(LEAST_QUEUE)
            }
        };
        conditions.rate(rate, queue)
    }
}

/// `50ms`, `1s`, `200us`.
fn duration(text: &str) -> Result<Duration> {
    Ok(humantime::parse_duration(text)?)
}

/// `5` or `0.1`, with or without `%`, as a share of one.
fn percent(text: &str) -> Result<f64> {
    let value: f64 = text.trim_end_matches('%').parse().context("a percentage is wanted")?;
    ensure!((0.0..=100.0).contains(&value), "a percentage is between 0 and 100");
    Ok(value / 100.0)
}

/// `100mbit`, `1gbit`, `64kbit`, in bytes a second.
fn rate(text: &str) -> Result<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().context("a number with a unit is wanted, as in 100mbit")?;
    let bits: u64 = match unit {
        "bit" => 1,
        "kbit" => 1_000,
        "mbit" => 1_000_000,
        "gbit" => 1_000_000_000,
        _ => bail!("the units are bit, kbit, mbit and gbit, per second"),
    };
    let bytes = number.saturating_mul(bits) / 8;
    ensure!(bytes > 0, "a rate of less than a byte a second passes nothing");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [&str; 4] = ["--listen", "127.0.0.1:0", "--to", "[::1]:42424"];

    fn ways(options: &str) -> Result<Ways> {
        let words = ADDRESSES.into_iter().chain(options.split_whitespace());
        Ok(Options::parse(&words.collect::<Vec<_>>())?.ways)
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn options_hold_for_both_ways_unless_one_is_named() {
        let there = Conditions::new().loss(0.05).delay(ms(50)).reorder(0.0, REORDER_BY);
        let both = Ways::both(there.rate(12_500_000, 1_250_000));
        assert_eq!(ways("--loss 5 --delay 50ms --rate 100mbit").unwrap(), both);
        let back = there.delay(ms(9));
        assert_eq!(ways("--loss 5% --there --delay 50ms --back --delay 9ms").unwrap(), Ways { there, back });
    }

    #[test]
    fn a_queue_is_bytes_or_time() {
        let narrow = |queue| Ways::both(Conditions::new().rate(125_000, queue).reorder(0.0, REORDER_BY));
        assert_eq!(ways("--queue 9000 --rate 1mbit").unwrap(), narrow(9_000));
        assert_eq!(ways("--rate 1mbit --queue 1s").unwrap(), narrow(125_000));
        assert_eq!(ways("--rate 1mbit --queue 1ms").unwrap(), narrow(LEAST_QUEUE));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for options in [
            "--loss",
            "--loss 101",
            "--loss -1",
            "--loss much",
            "--delay 5",
            "--rate 100",
            "--rate 7bit",
            "--rate mbit",
            "--speed 1",
            "--seed x",
            "--mtu -1",
        ] {
            assert!(ways(options).is_err(), "{options}");
        }
        assert!(Options::parse(&ADDRESSES[..2]).is_err());
        assert!(Options::parse(&ADDRESSES[2..]).is_err());
    }
}
