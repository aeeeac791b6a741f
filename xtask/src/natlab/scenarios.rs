//! What happens to networks while endpoints use them: each scenario is a world, what is done to it, and what must be seen.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::download::{Download, SIZE};
use super::endpoint::{Contact, Endpoint, Identity, Used};
use super::idle;
use super::kinds::Kind;
use super::mapping;
use super::meeting::{DIRECT, Family, Folder, LINKED, Meeting, QUIC_PORT, ROUTER_PORT, Side};
use super::stream::Flow;
use super::world::{Host, Place, World};

/// One of them.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Says what was measured.
    pub(super) run: fn(&Path) -> Result<String>,
}

/// All of them; those that CI runs come first.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "UDP between the two is blocked", run: blocked },
    Scenario { name: "both behind one NAT", run: one_nat },
    Scenario { name: "nothing known but hashnames", run: by_name },
    Scenario { name: "IPv6 only, a firewall on each side", run: ipv6_only },
    Scenario { name: "only the router's QUIC port passes", run: quic_only },
    Scenario { name: "1,280 bytes, direct", run: narrow },
    Scenario { name: "1,280 bytes, in a circuit", run: narrow_circuit },
    Scenario { name: "1,280 bytes, larger ones vanish", run: black_hole },
    Scenario { name: "1,280 bytes, vanish in a circuit", run: black_hole_circuit },
    Scenario { name: "16 addresses on an interface", run: many_addresses },
    Scenario { name: "router restart, direct link", run: router_restart_direct },
    Scenario { name: "router restart, circuit", run: router_restart_circuit },
    Scenario { name: "NAT reboot, port-restricted", run: nat_reboot },
    Scenario { name: "NAT reboot, symmetric, circuit", run: nat_reboot_circuit },
    Scenario { name: "the sender's address changes", run: sender_moves },
    Scenario { name: "the receiver's address changes", run: receiver_moves },
    Scenario { name: "one of two uplinks goes away", run: uplink_goes },
    Scenario { name: "a download, and uplinks go and come", run: download },
    Scenario { name: "an idle link's end gets another address", run: idle::moves },
    Scenario { name: "an idle link's uplink goes away", run: idle::uplink_goes },
    Scenario { name: "port mapping, both symmetric", run: mapping::way_in },
    Scenario { name: "an interface flaps beside an idle link", run: idle::flaps },
];

/// How many of [`SCENARIOS`] CI runs.
pub(super) const QUICK: usize = 3;

/// How often a stream may be silent for too long before that is held against us: other programs on the machine can stop it
/// as well.
const ATTEMPTS: usize = 3;

/// The longest silence of a stream when one of two ways goes away, or one end moves.
const FAIL_OVER: Duration = Duration::from_secs(1);

/// A NAT that has forgotten everything is opened again by the next packet from inside; keepalives are what there is when
/// only the other side sends.
const AFTER_REBOOT: Duration = Duration::from_secs(30);

/// When circuits must work again after their router is back.
const CIRCUITS_BACK: Duration = Duration::from_secs(5);

/// How long a part of a download may take, also on a machine that has other things to do.
const TRANSFER: Duration = Duration::from_secs(60);

/// How long a link that must stay on its circuit is watched.
const WATCHED: Duration = Duration::from_secs(5);

pub(super) const OPEN: [Kind; 2] = [Kind::None, Kind::None];
const HOMES: [Kind; 2] = [Kind::PortRestricted, Kind::PortRestricted];

fn blocked(program: &Path) -> Result<String> {
    let meeting = circuit(program, "blocked", |_, _, _| Ok(()))?;
    meeting.stays_on_circuit(WATCHED)?;
    let silence = flows(&meeting)?;
    Ok(format!("stays on the circuit; {silence}"))
}

fn one_nat(program: &Path) -> Result<String> {
    let mut world = World::new()?;
    let router_place = world.place("router")?;
    let mut home = world.home("home", Kind::PortRestricted)?;
    let hosts = [world.host(&mut home)?, world.host(&mut home)?];
    let folder = Folder::new("one-nat")?;
    let identity = |name| Identity::new(program, folder.path(), name);
    let (router, a, b) = (identity("router")?, identity("alice")?, identity("bob")?);
    let led: &[&str] = &["link", "router"];
    let listen = format!("\"0.0.0.0:{ROUTER_PORT}\"");
    let _router = router.up(
        &router_place.namespace,
        &listen,
        true,
        &[Contact::known(&a, led), Contact::known(&b, led)],
    )?;
    let paths = vec![format!("{}:{ROUTER_PORT}", router_place.ipv4)];
    let up = |own: &Identity, other: &Identity, host: &Host| -> Result<Endpoint> {
        let way = Contact::way(&router, &paths);
        own.up(&host.namespace, "\"0.0.0.0:0\"", false, &[way, Contact::known(other, &["link"])])
    };
    let (a, b) = (up(&a, &b, &hosts[0])?, up(&b, &a, &hosts[1])?);
    a.ping(&b.identity, LINKED)?;
    let begin = Instant::now();
    let local = format!("udp:{}:", hosts[1].ipv4);
    while begin.elapsed() < DIRECT {
        if matches!(a.used(&b.identity)?, Used::Direct(path) if path.starts_with(&local)) {
            return Ok(format!("on the local path after {:.1} s", begin.elapsed().as_secs_f64()));
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    bail!("the local path is not used: {}", a.explanation(&b.identity))
}

fn by_name(program: &Path) -> Result<String> {
    let meeting = Meeting::knowing(program, "by-name", HOMES, Family::Ipv4, true, |_, _, _| Ok(()))?;
    meeting.arrive()?;
    let linked = meeting.link()?;
    let (took, _) = meeting.direct(DIRECT)?;
    Ok(format!("linked after {:.1} s, direct after {:.1} s", linked.as_secs_f64(), took.as_secs_f64()))
}

fn ipv6_only(program: &Path) -> Result<String> {
    let meeting = Meeting::new(program, "ipv6", HOMES, Family::Ipv6, |_, _, _| Ok(()))?;
    meeting.arrive()?;
    meeting.link()?;
    let (took, path) = meeting.direct(DIRECT)?;
    ensure!(path.starts_with("udp:["), "{path} is not IPv6");
    Ok(format!("direct after {:.1} s", took.as_secs_f64()))
}

fn quic_only(program: &Path) -> Result<String> {
    let meeting = Meeting::new(program, "quic", OPEN, Family::Ipv4, |world, _, sides| {
        world.only_port([sides[0].outside(), sides[1].outside()], QUIC_PORT)
    })?;
    meeting.arrive()?;
    let router = meeting.router.as_ref().context("no router")?;
    let used = meeting.a.used(&router.identity)?;
    ensure!(
        matches!(&used, Used::Direct(path) if path.starts_with("quic:")),
        "{used:?} is used to the router"
    );
    let linked = meeting.link()?;
    meeting.stays_on_circuit(Duration::from_secs(2))?;
    Ok(format!("linked after {:.1} s; {}", linked.as_secs_f64(), flows(&meeting)?))
}

fn narrow(program: &Path) -> Result<String> {
    let meeting =
        Meeting::new(program, "narrow", OPEN, Family::Both, |world, _, sides| make_narrow(world, sides))?;
    meeting.arrive()?;
    meeting.link()?;
    meeting.direct(DIRECT)?;
    flows(&meeting)
}

fn narrow_circuit(program: &Path) -> Result<String> {
    let meeting = circuit(program, "narrow-circuit", |world, _, sides| make_narrow(world, sides))?;
    meeting.stays_on_circuit(Duration::from_secs(1))?;
    flows(&meeting)
}

fn black_hole(program: &Path) -> Result<String> {
    let meeting = Meeting::new(program, "hole", OPEN, Family::Both, make_hole)?;
    meeting.arrive()?;
    meeting.link()?;
    meeting.direct(DIRECT)?;
    flows(&meeting)
}

fn black_hole_circuit(program: &Path) -> Result<String> {
    let meeting = circuit(program, "hole-circuit", make_hole)?;
    meeting.stays_on_circuit(Duration::from_secs(1))?;
    flows(&meeting)
}

fn many_addresses(program: &Path) -> Result<String> {
    let meeting = Meeting::new(program, "many", OPEN, Family::Ipv4, |_, _, sides| {
        for side in sides {
            let place = side.outside();
            for nth in 1..=12 {
                place.namespace.ip(&format!("address add {}/28 dev wan", place.spare(nth)))?;
            }
            // Those that nobody can reach are candidates too.
            for nth in 1..=3 {
                place.namespace.ip(&format!("address add 10.20.{nth}.1/24 dev wan"))?;
            }
        }
        Ok(())
    })?;
    meeting.arrive()?;
    meeting.link()?;
    let (took, _) = meeting.direct(DIRECT)?;
    Ok(format!("direct after {:.1} s; {}", took.as_secs_f64(), flows(&meeting)?))
}

fn router_restart_direct(program: &Path) -> Result<String> {
    hardly_noticed(|| router_restarts(program))
}

fn router_restarts(program: &Path) -> Result<Duration> {
    let mut meeting = direct(program, "router-direct", HOMES)?;
    let flow = Flow::start(&meeting.a, &meeting.b)?;
    let identity = meeting.router.take().context("no router")?.identity;
    flow.goes_on(LINKED)?;
    meeting.router = Some(identity.start(&meeting.router_place.namespace)?);
    flow.goes_on(LINKED)?;
    let silence = flow.finish()?;
    ensure!(matches!(meeting.a.used(&meeting.b.identity)?, Used::Direct(_)), "it is not direct any more");
    Ok(silence)
}

fn router_restart_circuit(program: &Path) -> Result<String> {
    let mut meeting = circuit(program, "router-circuit", |_, _, _| Ok(()))?;
    let flow = Flow::start(&meeting.a, &meeting.b)?;
    let identity = meeting.router.take().context("no router")?.identity;
    meeting.router = Some(identity.start(&meeting.router_place.namespace)?);
    let back = Instant::now();
    flow.goes_on(LINKED)?;
    let back = back.elapsed();
    flow.finish()?;
    ensure!(back < CIRCUITS_BACK, "the circuit came back only after {back:?}");
    Ok(format!("a megabyte more {:.1} s after the router was back", back.as_secs_f64()))
}

fn nat_reboot(program: &Path) -> Result<String> {
    let meeting = direct(program, "reboot", HOMES)?;
    rebooted(&meeting)
}

fn nat_reboot_circuit(program: &Path) -> Result<String> {
    let kinds = [Kind::Symmetric, Kind::Symmetric];
    let meeting = Meeting::new(program, "reboot-circuit", kinds, Family::Ipv4, |_, _, _| Ok(()))?;
    meeting.arrive()?;
    meeting.link()?;
    rebooted(&meeting)
}

/// Reboots the receiver's NAT, and then the sender's.
fn rebooted(meeting: &Meeting) -> Result<String> {
    let flow = Flow::start(&meeting.a, &meeting.b)?;
    for side in [1, 0] {
        let Side::Home(home, _) = &meeting.sides[side] else { bail!("there is no NAT") };
        home.reboot()?;
        flow.goes_on(AFTER_REBOOT).with_context(|| format!("after the NAT of side {side} was restarted"))?;
    }
    Ok(told(flow.finish()?))
}

fn sender_moves(program: &Path) -> Result<String> {
    hardly_noticed(|| moves(program, "sender-moves", 0))
}

fn receiver_moves(program: &Path) -> Result<String> {
    hardly_noticed(|| moves(program, "receiver-moves", 1))
}

/// Gives one side another address while bytes flow, as a phone has it that goes from one network to the next.
fn moves(program: &Path, name: &str, side: usize) -> Result<Duration> {
    let meeting = direct(program, name, OPEN)?;
    let flow = Flow::start(&meeting.a, &meeting.b)?;
    change_address(meeting.sides[side].outside())?;
    flow.goes_on(LINKED)?;
    flow.finish()
}

pub(super) fn change_address(place: &Place) -> Result<()> {
    place.namespace.ip(&format!(
        "address add {new}/28 dev wan
         address delete {old}/28 dev wan
         route replace default via {gateway}",
        new = place.spare(1),
        old = place.ipv4,
        gateway = place.gateway()
    ))
}

fn uplink_goes(program: &Path) -> Result<String> {
    hardly_noticed(|| loses_uplink(program))
}

fn loses_uplink(program: &Path) -> Result<Duration> {
    let meeting = two_uplinks(program, "uplinks")?;
    let flow = Flow::start(&meeting.a, &meeting.b)?;
    meeting.sides[0].namespace().ip("link set wan down")?;
    flow.goes_on(LINKED)?;
    flow.finish()
}

/// A link that is direct, of which one end has two lines.
pub(super) fn two_uplinks(program: &Path, name: &str) -> Result<Meeting> {
    let meeting = Meeting::new(program, name, OPEN, Family::Ipv4, |world, _, sides| {
        world.second_line(sides[0].outside())
    })?;
    meeting.arrive()?;
    meeting.link()?;
    meeting.direct(DIRECT)?;
    Ok(meeting)
}

/// A file through `forward`, while the uplink it comes over goes away, comes back, and the other one goes.
fn download(program: &Path) -> Result<String> {
    let meeting = two_uplinks(program, "download")?;
    let place = meeting.sides[0].outside();
    let changes = [
        "link set wan down".to_owned(),
        format!("link set wan up\nroute replace default via {}", place.gateway()),
        "link set wan2 down".to_owned(),
    ];
    let (begin, download) = (Instant::now(), Download::start(&meeting)?);
    for (change, nth) in changes.iter().zip(1..) {
        download.reaches(SIZE / 4 * nth, TRANSFER).with_context(|| format!("before `{change}`"))?;
        place.namespace.ip(change)?;
    }
    let silence = download.finish(TRANSFER)?;
    let took = begin.elapsed().as_secs_f64();
    Ok(format!("{} MiB with the right SHA-256 in {took:.1} s; {}", SIZE >> 20, told(silence)))
}

/// Runs something after which a stream must not have been silent for long.
fn hardly_noticed(run: impl Fn() -> Result<Duration>) -> Result<String> {
    let mut silences = Vec::new();
    for _ in 0..ATTEMPTS {
        let silence = run()?;
        if silence < FAIL_OVER {
            return Ok(told(silence));
        }
        silences.push(silence);
    }
    bail!("the stream was silent for {silences:?}")
}

/// Two that are linked directly.
pub(super) fn direct(program: &Path, name: &str, kinds: [Kind; 2]) -> Result<Meeting> {
    let meeting = Meeting::new(program, name, kinds, Family::Ipv4, |_, _, _| Ok(()))?;
    meeting.arrive()?;
    meeting.link()?;
    meeting.direct(DIRECT)?;
    Ok(meeting)
}

/// Two in the open that are linked through the router, since nothing passes between them.
fn circuit(
    program: &Path,
    name: &str,
    prepare: impl FnOnce(&mut World, &Place, &[Side; 2]) -> Result<()>,
) -> Result<Meeting> {
    let meeting = Meeting::new(program, name, OPEN, Family::Ipv4, |world, router, sides| {
        world.block_udp(sides[0].outside(), sides[1].outside())?;
        prepare(world, router, sides)
    })?;
    meeting.arrive()?;
    meeting.link()?;
    Ok(meeting)
}

/// The two lines carry no more than IPv6 must carry.
fn make_narrow(world: &World, sides: &[Side; 2]) -> Result<()> {
    sides.iter().try_for_each(|side| world.set_mtu(side.outside(), 1_280))
}

/// The internet carries no more than IPv6 must carry, and tells nobody.
fn make_hole(world: &mut World, router: &Place, sides: &[Side; 2]) -> Result<()> {
    for place in [router, sides[0].outside(), sides[1].outside()] {
        // Or batches would be one large packet between namespaces.
        place.namespace.ip("link set wan gso_max_segs 1")?;
    }
    world.swallow_over(1_280)
}

/// Lets some megabytes flow.
fn flows(meeting: &Meeting) -> Result<String> {
    let flow = Flow::start(&meeting.a, &meeting.b)?;
    for _ in 0..4 {
        flow.goes_on(LINKED)?;
    }
    Ok(told(flow.finish()?))
}

fn told(silence: Duration) -> String {
    format!("no byte lost, longest silence {:.0} ms", silence.as_secs_f64() * 1_000.0)
}
