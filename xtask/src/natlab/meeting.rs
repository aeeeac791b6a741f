//! A router in the open and two endpoints that know it and each other's keys: what every cell and scenario begins with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::download::GRANT;
use super::endpoint::{Contact, Endpoint, Identity, Used};
use super::kinds::Kind;
use super::namespace::Namespace;
use super::world::{Home, Host, Place, World};

/// The port of routers.
pub(super) const ROUTER_PORT: u16 = 42_424;

/// Where routers take QUIC: the port that most networks let pass.
pub(super) const QUIC_PORT: u16 = 443;

/// How long the first answer over a new link may take.
pub(super) const LINKED: Duration = Duration::from_secs(10);

/// How long a link may take to become direct where that is possible.
pub(super) const DIRECT: Duration = Duration::from_secs(15);

/// How often it is asked which path is used.
const POLL: Duration = Duration::from_millis(150);

/// Where one of the two is.
#[derive(Debug)]
pub(super) enum Side {
    /// In the open.
    Open(Place),
    /// In a home of its own.
    Home(Home, Host),
}

/// Which addresses the two have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
    Both,
}

/// All of it. Endpoints end before their namespaces go.
#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) a: Endpoint,
    pub(super) b: Endpoint,
    pub(super) router: Option<Endpoint>,
    pub(super) router_place: Place,
    pub(super) sides: [Side; 2],
    /// When both had said that they are ready; their links come up by themselves from then on.
    ready: Instant,
    _world: World,
    _folder: Folder,
}

/// Homes of endpoints, removed when dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("telemesh-natlab-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os("TELEMESH_NATLAB_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

impl Side {
    pub(super) fn new(world: &mut World, name: &str, kind: Kind) -> Result<Self> {
        if kind == Kind::None {
            return Ok(Self::Open(world.place(name)?));
        }
        let mut home = world.home(name, kind)?;
        let host = world.host(&mut home)?;
        Ok(Self::Home(home, host))
    }

    /// Where its endpoint runs.
    pub(super) fn namespace(&self) -> &Namespace {
        match self {
            Self::Open(place) => &place.namespace,
            Self::Home(_, host) => &host.namespace,
        }
    }

    fn keep_only(&self, family: Family) -> Result<()> {
        match family {
            Family::Both => Ok(()),
            Family::Ipv4 => self.namespace().set(&[("net/ipv6/conf/all/disable_ipv6", "1")]),
            Family::Ipv6 => self.namespace().ip(&match self {
                Self::Open(place) => format!("address delete {}/28 dev wan", place.ipv4),
                Self::Home(_, host) => format!("address delete {}/24 dev eth", host.ipv4),
            }),
        }
    }

    /// What others see of it: itself, or the box of its home.
    pub(super) fn outside(&self) -> &Place {
        match self {
            Self::Open(place) => place,
            Self::Home(home, _) => &home.outside,
        }
    }
}

impl Meeting {
    /// Brings all three up. `prepare` changes the world before anybody runs.
    pub(super) fn new(
        program: &Path,
        name: &str,
        kinds: [Kind; 2],
        family: Family,
        prepare: impl FnOnce(&mut World, &Place, &[Side; 2]) -> Result<()>,
    ) -> Result<Self> {
        Self::knowing(program, name, kinds, family, false, prepare)
    }

    /// The same, and `by_name` says that the two know nothing but each other's hashnames.
    pub(super) fn knowing(
        program: &Path,
        name: &str,
        kinds: [Kind; 2],
        family: Family,
        by_name: bool,
        prepare: impl FnOnce(&mut World, &Place, &[Side; 2]) -> Result<()>,
    ) -> Result<Self> {
        let mut world = World::new()?;
        let router_place = world.place("router")?;
        let [kind_a, kind_b] = kinds;
        let sides = [Side::new(&mut world, "a", kind_a)?, Side::new(&mut world, "b", kind_b)?];
        for side in &sides {
            side.keep_only(family)?;
        }
        prepare(&mut world, &router_place, &sides)?;
        let folder = Folder::new(name)?;
        let identity = |name| Identity::new(program, folder.path(), name);
        let (router, a, b) = (identity("router")?, identity("alice")?, identity("bob")?);
        let paths = vec![
            format!("{}:{ROUTER_PORT}", router_place.ipv4),
            format!("[{}]:{ROUTER_PORT}", router_place.ipv6),
            format!("quic:{}:{QUIC_PORT}", router_place.ipv4),
        ];
        let listen =
            format!("\"0.0.0.0:{ROUTER_PORT}\", \"[::]:{ROUTER_PORT}\", \"quic:0.0.0.0:{QUIC_PORT}\"");
        let led: &[&str] = &["link", "router"];
        let router_up = router.up(
            &router_place.namespace,
            &listen,
            true,
            &[Contact::known(&a, led), Contact::known(&b, led)],
        )?;
        let up = |own: &Identity, other: &Identity, side: &Side| {
            let other = Contact { by_name, ..Contact::known(other, &["link", "serve", GRANT]) };
            own.up(side.namespace(), "", false, &[Contact::way(&router, &paths), other])
        };
        let [side_a, side_b] = &sides;
        let (a, b) = (up(&a, &b, side_a)?, up(&b, &a, side_b)?);
        Ok(Self {
            a,
            b,
            router: Some(router_up),
            router_place,
            sides,
            ready: Instant::now(),
            _world: world,
            _folder: folder,
        })
    }

    /// Waits until both have their links to the router, so that what follows is the two's own doing.
    pub(super) fn arrive(&self) -> Result<()> {
        let router = &self.router.as_ref().context("the router is not up")?.identity;
        self.a
            .ping(router, LINKED)
            .and_then(|()| self.b.ping(router, LINKED))
            .context("no link to the router")
    }

    /// Waits for the first answer over the link of the two; says how long after both were ready it was there.
    pub(super) fn link(&self) -> Result<Duration> {
        self.a.ping(&self.b.identity, LINKED).with_context(|| {
            format!(
                "no link: {} {}",
                self.a.explanation(&self.b.identity),
                self.b.explanation(&self.a.identity)
            )
        })?;
        Ok(self.ready.elapsed())
    }

    /// Waits until the link is direct at both ends; says how long after both were ready that was, and which path a uses.
    pub(super) fn direct(&self, limit: Duration) -> Result<(Duration, String)> {
        let begin = Instant::now();
        while begin.elapsed() < limit {
            let (used, other) = (self.a.used(&self.b.identity)?, self.b.used(&self.a.identity)?);
            if let (Used::Direct(path), Used::Direct(_)) = (used, other) {
                return Ok((self.ready.elapsed(), path));
            }
            std::thread::sleep(POLL);
        }
        bail!(
            "not direct within {limit:?}:\n  {}\n  {}",
            self.a.explanation(&self.b.identity),
            self.b.explanation(&self.a.identity)
        )
    }

    /// Makes sure that the link stays on its circuit for this long.
    pub(super) fn stays_on_circuit(&self, time: Duration) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < time {
            let used = self.a.used(&self.b.identity)?;
            if used != Used::Circuit {
                bail!("{used:?} is in use instead of the circuit");
            }
            std::thread::sleep(POLL);
        }
        self.a.ping(&self.b.identity, LINKED)
    }
}
