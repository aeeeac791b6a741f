//! Five people chat for an hour of virtual time, with links that fail, people who leave and come back, and a clock that is a
//! year off: all end with the same history, in an order that respects what each message comes after.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod people;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use telemesh_chat::{ChatId, EntryId, MemoryMailboxes};
use tokio::time::Instant;

use people::{Person, chat_of, cut, leave, link, pass, run};

const PEOPLE: usize = 5;
const HOUR: Duration = Duration::from_secs(60 * 60);
const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1000;

/// What has happened, so that a test sees that it did.
#[derive(Debug, Default)]
struct Happened {
    said: usize,
    cuts: usize,
    departures: usize,
    edits: usize,
}

#[test]
fn after_an_hour_of_failures_all_have_the_same_history() {
    let seeds: Vec<u64> = match std::env::var("TELEMESH_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..6).collect(),
    };
    for seed in seeds {
        run(hour(seed, seed % 2 == 0));
    }
}

async fn hour(seed: u64, with_mailboxes: bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let mailboxes = MemoryMailboxes::default();
    let mut people: Vec<Person> = (1..=5)
        .map(|n| {
            let person = Person::new(n).with_clock_off(if n == 3 { YEAR_MS } else { 0 });
            if with_mailboxes { person.with_mailboxes(&mailboxes) } else { person }
        })
        .collect();
    let id = chat_of(&mut people).await;
    let mut happened = Happened::default();
    // What each had seen when they said something.
    let mut seen: BTreeMap<EntryId, Vec<EntryId>> = BTreeMap::new();
    let end = Instant::now() + HOUR;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..12_000))).await;
        step(&mut people, id, &mut random, &mut happened, &mut seen).await;
    }
    for person in &mut people {
        if person.here.is_none() {
            person.come().await;
        }
    }
    for one in 0..PEOPLE {
        for other in 0..one {
            link(&people[one], &people[other]);
        }
    }
    pass(120).await;
    assert!(
        happened.said > 100 && happened.cuts > 20 && happened.departures > 5 && happened.edits > 2,
        "{happened:?}"
    );
    let mut histories = Vec::new();
    for person in &people {
        let chat = person.chat(id).await;
        let messages = chat.history(usize::MAX).await.unwrap();
        let counters = chat.counters().await.unwrap();
        assert_eq!((counters.refused, counters.overflowed), (0, 0), "seed {seed}");
        histories.push((chat.digest().await.unwrap(), messages));
    }
    for (digest, messages) in &histories {
        assert_eq!(digest, &histories[0].0, "seed {seed}");
        assert_eq!(messages, &histories[0].1, "seed {seed}");
    }
    let messages = &histories[0].1;
    assert_eq!(
        messages.len() + happened.edits,
        happened.said,
        "seed {seed}: nothing is lost, nothing is there twice"
    );
    let place: BTreeMap<EntryId, usize> =
        messages.iter().enumerate().map(|(at, message)| (message.id, at)).collect();
    for (said, before) in &seen {
        for id in before {
            if let (Some(before), Some(after)) = (place.get(id), place.get(said)) {
                assert!(before < after, "seed {seed}: what was answered stands before its answer");
            }
        }
    }
}

async fn step(
    people: &mut [Person],
    id: ChatId,
    random: &mut StdRng,
    happened: &mut Happened,
    seen: &mut BTreeMap<EntryId, Vec<EntryId>>,
) {
    let (one, other) = (random.random_range(0..PEOPLE), random.random_range(0..PEOPLE));
    match random.random_range(0..10) {
        0..4 if people[one].here.is_some() => {
            let chat = people[one].chat(id).await;
            let before = chat.history(20).await.unwrap().into_iter().map(|message| message.id).collect();
            let said = chat.say(format!("{} from {one}", happened.said)).await.unwrap();
            seen.insert(said, before);
            happened.said += 1;
        }
        4 if people[one].here.is_some() => {
            let chat = people[one].chat(id).await;
            if chat.edit(format!("edited by {one}")).await.is_ok() {
                happened.said += 1;
                happened.edits += 1;
            }
        }
        5 => {
            if let (Some(_), true) = (&people[one].here, one != other) {
                let chat = people[one].chat(id).await;
                if let Some(last) = chat.history(1).await.unwrap().last() {
                    chat.read(last.id).await.unwrap();
                }
            }
        }
        6 if one != other => {
            cut(&people[one], &people[other]);
            happened.cuts += 1;
        }
        7 | 8 if one != other => link(&people[one], &people[other]),
        9 => {
            if people[one].here.is_some() {
                leave(people, one);
                happened.departures += 1;
            } else {
                people[one].come().await;
                for n in 0..PEOPLE {
                    if n != one && random.random_bool(0.7) {
                        link(&people[one], &people[n]);
                    }
                }
            }
        }
        _ => {}
    }
}
