//! A way in through the gateway: two homes from which no hole can be made, and a box that lets itself be asked.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::endpoint::{Contact, Endpoint, Identity, Used};
use super::gateway::Gateway;
use super::kinds::Kind;
use super::meeting::{DIRECT, Folder, LINKED, ROUTER_PORT};
use super::world::{Home, Host, World};

/// How long the box may take to be asked, or to be told of the end.
const ASKED: Duration = Duration::from_secs(10);

/// What goes to gateways and to their searches.
const COUNTED: &str = "add table inet counted
    add counter inet counted asked
    add chain inet counted prerouting { type filter hook prerouting priority -300; policy accept; }
    add rule inet counted prerouting iifname \"lan\" udp dport { 1900, 5350, 5351 } counter name asked";

/// Symmetric NATs on both sides: without a way in the link stays on its circuit, as the matrix shows.
pub(super) fn way_in(program: &Path) -> Result<String> {
    let mut world = World::new()?;
    let router_place = world.place("router")?;
    let mut homes = [world.home("a", Kind::Symmetric)?, world.home("b", Kind::Symmetric)?];
    let [home_a, home_b] = &mut homes;
    let hosts = [world.host(home_a)?, world.host(home_b)?];
    for host in &hosts {
        // Or a hole in the firewalls of IPv6 would do.
        host.namespace.set(&[("net/ipv6/conf/all/disable_ipv6", "1")])?;
    }
    let gateway = Gateway::new(home_a)?;
    for home in [&*home_a, &*home_b] {
        home.outside.namespace.nft(COUNTED)?;
    }
    let folder = Folder::new("mapping")?;
    let identity = |name| Identity::new(program, folder.path(), name);
    let (router, a, b) = (identity("router")?, identity("alice")?, identity("bob")?);
    let a = a.with_settings("[network]\nport_mapping = true\n");
    let led: &[&str] = &["link", "router"];
    let listen = format!("\"0.0.0.0:{ROUTER_PORT}\"");
    let led_by = [Contact::known(&a, led), Contact::known(&b, led)];
    let _router = router.up(&router_place.namespace, &listen, true, &led_by)?;
    let paths = vec![format!("{}:{ROUTER_PORT}", router_place.ipv4)];
    let up = |own: &Identity, other: &Identity, host: &Host| -> Result<Endpoint> {
        let way = Contact::way(&router, &paths);
        own.up(&host.namespace, "", false, &[way, Contact::known(other, &["link"])])
    };
    let [host_a, host_b] = &hosts;
    let (a, b) = (up(&a, &b, host_a)?, up(&b, &a, host_b)?);
    let mapped = until_asked(&gateway, "map ")?;
    let begin = Instant::now();
    a.ping(&b.identity, LINKED)?;
    let way = format!("udp:{}:{mapped}", home_a.outside.ipv4);
    while !matches!(b.used(&a.identity)?, Used::Direct(path) if path == way) {
        if begin.elapsed() > DIRECT {
            bail!("{way} is not used: {}", b.explanation(&a.identity));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let direct = begin.elapsed();
    let doctor = a.doctor("port-mapping")?;
    ensure!(doctor["status"] == "ok", "doctor says {doctor}");
    a.stop()?;
    until_asked(&gateway, "unmap ")?;
    let (asked, not_asked) = (counted(home_a)?, counted(home_b)?);
    ensure!(asked > 0, "nothing was counted, so the count says nothing");
    ensure!(not_asked == 0, "{not_asked} packets to a gateway although nobody has asked for it");
    Ok(format!(
        "direct at the box's port after {:.1} s, given back at the end; without the setting the gateway gets 0 packets",
        direct.as_secs_f64()
    ))
}

/// Waits until the box is asked for something; which port that is about.
fn until_asked(gateway: &Gateway, what: &str) -> Result<u16> {
    let begin = Instant::now();
    while begin.elapsed() < ASKED {
        if let Some(port) = gateway.asked().iter().find_map(|asked| asked.strip_prefix(what)) {
            return port.parse().context("no port");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the box was not asked to {what}")
}

/// Packets that have gone to gateways.
fn counted(home: &Home) -> Result<u64> {
    let told = home.outside.namespace.counter("counted", "asked")?;
    let packets = told.split_whitespace().skip_while(|word| *word != "packets").nth(1);
    packets.context("no counter")?.parse().context("no number")
}
