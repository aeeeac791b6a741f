//! Who is remembered, for how long, and what is told of them.

use super::*;
use telemesh_hashname::{CipherSetId, PublicKeys};

fn endpoint(number: usize, paths: &[&str]) -> Announcement {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &number.to_be_bytes()).unwrap();
    let paths = paths.iter().map(|path| path.parse().unwrap()).collect();
    Announcement { hashname: keys.hashname().unwrap(), keys, paths }
}

fn claim(number: usize, paths: &[&str]) -> Claim {
    Claim::Present { announcement: endpoint(number, paths), ttl: 120 }
}

fn told(heard: &mut Heard) -> Vec<String> {
    std::iter::from_fn(|| heard.poll_event())
        .map(|event| match event {
            DiscoveryEvent::Found(found) => format!("+{} {:?}", found.hashname, found.paths),
            DiscoveryEvent::Gone(hashname) => format!("-{hashname}"),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn plus(number: usize, paths: &[&str]) -> String {
    let endpoint = endpoint(number, paths);
    format!("+{} {:?}", endpoint.hashname, endpoint.paths)
}

fn minus(number: usize) -> String {
    format!("-{}", endpoint(number, &[]).hashname)
}

const HERE: &[&str] = &["udp:10.1.0.1:1"];
const THERE: &[&str] = &["udp:10.1.0.2:1"];
const BOTH: &[&str] = &["udp:10.1.0.2:1", "udp:10.1.0.1:1"];

#[test]
fn somebody_is_told_once_and_again_with_other_paths() {
    let (mut heard, now) = (Heard::default(), Instant::now());
    heard.take(claim(1, HERE), 1, now);
    heard.take(claim(1, HERE), 1, now);
    assert_eq!(told(&mut heard), [plus(1, HERE)]);
    heard.take(claim(1, HERE), 1, now);
    assert!(told(&mut heard).is_empty());
    heard.take(claim(1, THERE), 1, now);
    assert_eq!(told(&mut heard), [plus(1, THERE)]);
}

#[test]
fn an_endpoint_on_two_networks_has_the_paths_of_both_until_it_leaves_one() {
    let (mut heard, now) = (Heard::default(), Instant::now());
    heard.take(claim(1, HERE), 1, now);
    heard.take(claim(1, THERE), 2, now);
    assert_eq!(told(&mut heard), [plus(1, BOTH)]);
    heard.take(Claim::Gone(endpoint(1, &[]).hashname), 2, now);
    assert_eq!(told(&mut heard), [plus(1, HERE)]);
    heard.keep_interfaces(|interface| interface != 1);
    assert_eq!(told(&mut heard), [minus(1)]);
}

#[test]
fn an_announcement_runs_out() {
    let (mut heard, now) = (Heard::default(), Instant::now());
    heard.take(claim(1, HERE), 1, now);
    assert_eq!(told(&mut heard), [plus(1, HERE)]);
    let end = now + Duration::from_secs(120);
    assert_eq!(heard.next_timeout(), Some(end));
    heard.expire(end - Duration::from_millis(1));
    assert!(told(&mut heard).is_empty());
    heard.expire(end);
    assert_eq!(told(&mut heard), [minus(1)]);
    assert_eq!(heard.next_timeout(), None);
}

#[test]
fn nobody_is_believed_for_longer_than_the_limit() {
    let (mut heard, now) = (Heard::default(), Instant::now());
    heard.take(Claim::Present { announcement: endpoint(1, HERE), ttl: u32::MAX }, 1, now);
    assert_eq!(heard.next_timeout(), Some(now + MAX_TTL));
}

#[test]
fn whoever_comes_and_goes_before_anybody_asks_is_not_told() {
    let (mut heard, now) = (Heard::default(), Instant::now());
    heard.take(claim(1, HERE), 1, now);
    heard.take(Claim::Gone(endpoint(1, &[]).hashname), 1, now);
    heard.take(Claim::Gone(endpoint(2, &[]).hashname), 1, now);
    assert!(told(&mut heard).is_empty());
}

#[test]
fn as_many_as_the_limit_are_remembered_and_then_the_one_silent_for_longest_goes() {
    let (mut heard, now) = (Heard::default(), Instant::now());
    (0..MAX_ENDPOINTS).for_each(|number| heard.take(claim(number, HERE), 1, now));
    assert_eq!(told(&mut heard).len(), MAX_ENDPOINTS);
    heard.take(claim(0, HERE), 1, now);
    heard.take(claim(MAX_ENDPOINTS, HERE), 1, now);
    assert_eq!(told(&mut heard), [minus(1), plus(MAX_ENDPOINTS, HERE)]);
}

#[test]
fn a_flood_of_made_up_endpoints_that_nobody_asks_about_takes_bounded_memory() {
    let (mut heard, now) = (Heard::default(), Instant::now());
    for number in 0..4 * MAX_ENDPOINTS {
        heard.take(claim(number, HERE), u32::try_from(number % 100).unwrap(), now);
    }
    assert!(heard.endpoints.len() == MAX_ENDPOINTS && heard.news.len() <= MAX_NEWS);
    assert_eq!(heard.news.len(), heard.in_news.len());
    for interface in 0..100 {
        heard.take(claim(0, HERE), interface, now);
    }
    assert_eq!(heard.endpoints[&endpoint(0, &[]).hashname].len(), MAX_SIGHTINGS);
}
