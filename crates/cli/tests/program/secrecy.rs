//! What a router could tell if somebody made it: nothing of what goes through it. Its memory, its log at its most talkative and
//! its packets are searched for what was sent; the same search finds it in the memory of those who sent it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use crate::support::{Running, folder, run, telemesh, wait_for_line};

/// How often what is looked for goes each way: enough to be in every buffer that it passes.
const TIMES: usize = 4_000;

#[test]
fn what_goes_through_a_router_is_nowhere_in_its_memory_its_log_or_its_packets() {
    let (router, alice, bob) = (folder(), folder(), folder());
    // Nobody tells anybody an address, so that everything goes through the router.
    add(&router, "alice", &uri(&alice), "--grant router --grant paths:routers");
    add(&router, "bob", &uri(&bob), "--grant router --grant paths:routers");
    add(&alice, "bob", &uri(&bob), "--grant paths:routers");
    add(&bob, "alice", &uri(&alice), "--grant paths:routers");
    let (router_up, ready) = Running::waiting(&mut telemesh(&router, "up --router --log trace"));
    let there = ready["addresses"][0].as_str().and_then(|address| address.strip_prefix("udp:")).unwrap();
    let taps = [&alice, &bob].map(|client| {
        let tap = Tap::start(there.parse().unwrap());
        let uri = ready["uri"].as_str().unwrap().replace(there, &tap.address.to_string());
        add(client, "router", &uri, "--router --grant paths:routers");
        tap
    });
    let ups = [&alice, &bob].map(|client| Running::waiting(&mut telemesh(client, "up")).0);

    let marker = marker();
    let text = format!("{marker}\n").repeat(TIMES);
    let mut waiting = telemesh(&bob, "pipe --json").stdin(Stdio::piped()).spawn().unwrap();
    wait_for_line(waiting.stderr.as_mut().unwrap(), "ready");
    let mut opening = telemesh(&alice, "pipe bob").stdin(Stdio::piped()).spawn().unwrap();
    let inputs = [opening.stdin.take(), waiting.stdin.take()].map(|input| {
        let (mut input, text) = (input.unwrap(), text.clone());
        // Open until the search is over.
        thread::spawn(move || input.write_all(text.as_bytes()).map(|()| input))
    });
    for output in [opening.stdout.as_mut(), waiting.stdout.as_mut()] {
        let mut received = vec![0; text.len()];
        output.unwrap().read_exact(&mut received).unwrap();
        assert!(received == text.as_bytes(), "it arrives as it was sent");
    }
    let inputs = inputs.map(|input| input.join().unwrap().unwrap());
    let status = run(&mut telemesh(&alice, "status --json")).with_code(0).objects().remove(0);
    let links = status["links"].as_array().unwrap();
    let to_bob = links.iter().find(|link| link["name"] == "bob").unwrap();
    assert!(to_bob["path"].as_str().unwrap().starts_with("peer:"), "{to_bob}");

    // The search finds it where it must be …
    let clients = [[ups[0].id(), opening.id()], [ups[1].id(), waiting.id()]];
    for processes in clients {
        assert!(
            processes.iter().any(|process| remembers(*process, &marker)),
            "the search finds nothing at all"
        );
    }
    // … and not in between.
    assert!(!remembers(router_up.id(), &marker), "the router's memory");
    for tap in &taps {
        let captured = tap.captured.lock().unwrap();
        assert!(captured.len() > 2 * text.len(), "{} bytes captured: it went another way", captured.len());
        assert!(!contains(&captured, marker.as_bytes()), "the router's packets");
    }
    drop(inputs);
    let _ = (opening.wait(), waiting.wait());
    run(&mut telemesh(&router, "stop")).with_code(0);
    let log = router_up.end().with_code(0).stderr;
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "it was asked to log all it can: {log}");
    let hex: String = marker.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!log.contains(&marker) && !log.contains(&hex), "the router's log");
}

/// What others need to know of a home's endpoint.
fn uri(home: &TempDir) -> String {
    let id = run(&mut telemesh(home, "id --json")).with_code(0).objects().remove(0);
    id["uri"].as_str().unwrap().to_owned()
}

fn add(home: &TempDir, name: &str, uri: &str, options: &str) {
    run(telemesh(home, &format!("contacts add {options} {name}")).arg(uri)).with_code(0);
}

/// 32 characters that nobody has seen before.
fn marker() -> String {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether these bytes are anywhere in what a process has written to its memory: all that a core dump would show.
fn remembers(process: u32, marker: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    maps.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next().unwrap(), words.next().unwrap());
        let name = words.nth(3).unwrap_or_default();
        // What cannot be written is as it is in its file; the kernel's own pages cannot be read.
        let readable = access.starts_with("rw") && !name.starts_with("[v");
        let (start, end) = range.split_once('-').unwrap();
        let place = |text| u64::from_str_radix(text, 16).unwrap();
        readable && is_between(&memory, place(start), place(end), marker.as_bytes())
    })
}

fn is_between(memory: &File, start: u64, end: u64, marker: &[u8]) -> bool {
    const STEP: u64 = 1 << 20;
    let overlap = marker.len() as u64;
    let mut at = start;
    while at < end {
        let mut part = vec![0; (STEP + overlap).min(end - at) as usize];
        // Pages may have gone since.
        let read = memory.read_at(&mut part, at).unwrap_or(0);
        if contains(&part[..read], marker) {
            return true;
        }
        at += STEP;
    }
    false
}

fn contains(bytes: &[u8], marker: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(place) = rest.iter().position(|byte| *byte == marker[0]) {
        rest = &rest[place..];
        if rest.starts_with(marker) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// Stands between a client and the router, and writes down all that passes.
struct Tap {
    address: SocketAddr,
    captured: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Its threads end with the process.
    fn start(router: SocketAddr) -> Self {
        let bind = || Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let (front, back) = (bind(), bind());
        let address = front.local_addr().unwrap();
        let captured = Arc::<Mutex<Vec<u8>>>::default();
        let client = Arc::<Mutex<Option<SocketAddr>>>::default();
        for inwards in [true, false] {
            let (front, back, captured, client) =
                (front.clone(), back.clone(), captured.clone(), client.clone());
            let from = if inwards { front.clone() } else { back.clone() };
            thread::spawn(move || {
                let mut packet = vec![0; 65_536];
                while let Ok((length, sender)) = from.recv_from(&mut packet) {
                    captured.lock().unwrap().extend_from_slice(&packet[..length]);
                    // What does not get through is lost, as on any network.
                    if inwards {
                        *client.lock().unwrap() = Some(sender);
                        let _ = back.send_to(&packet[..length], router);
                    } else if let Some(client) = *client.lock().unwrap() {
                        let _ = front.send_to(&packet[..length], client);
                    }
                }
            });
        }
        Self { address, captured }
    }
}
