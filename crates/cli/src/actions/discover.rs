//! `discover`: who is on the local network, and being found there.

use std::time::{Duration, Instant};

use telemesh::{Discover, Discovered, Mesh, Via};

use crate::endpoint::Endpoint;
use crate::event::{Happened, Noticed};
use crate::failure::Failure;
use crate::session::Session;

/// Says who is there, for this time; with `announce` others see us meanwhile.
pub(super) async fn run(
    endpoint: &Endpoint,
    session: &Session,
    announce: bool,
    time: Duration,
) -> Result<(), Failure> {
    let mesh = endpoint.mesh();
    // Somebody who asks is noticed all the same.
    if !announce && !mesh.has_discovery() {
        return Err(Failure::Failed(
            "nobody can be heard on the local network; `telemesh doctor` may say why".into(),
        ));
    }
    let _mode = announce.then(|| Announcing::begin(mesh, time));
    let mut noticed = mesh.discovered();
    let tell = async {
        while let Some(noticed) = noticed.next().await {
            session.happened(event(endpoint, &noticed)).await?;
        }
        Ok(())
    };
    // The end of the time is the end in order.
    tokio::time::timeout(time, tell).await.unwrap_or(Ok(()))
}

/// Somebody was noticed, as an event.
pub(crate) fn event(endpoint: &Endpoint, noticed: &Discovered) -> Happened {
    Happened::Discovered {
        hashname: noticed.hashname.to_string(),
        name: endpoint.name_of(&noticed.hashname),
        via: match noticed.via {
            Via::Request => Noticed::Request,
            Via::Introduction => Noticed::Introduction,
            _ => Noticed::Network,
        },
        paths: noticed.paths.iter().map(ToString::to_string).collect(),
        link: noticed.info(),
    }
}

/// Discover mode, for as long as a command runs; what was switched on before goes on after it.
struct Announcing {
    mesh: Mesh,
    before: Discover,
    since: Instant,
}

impl Announcing {
    fn begin(mesh: &Mesh, time: Duration) -> Self {
        let before = mesh.discovering();
        let is_longer = match before {
            Discover::Forever => true,
            Discover::For(left) => left > time,
            _ => false,
        };
        if !is_longer {
            mesh.discover(Discover::For(time));
        }
        Self { mesh: mesh.clone(), before, since: Instant::now() }
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        match self.before {
            Discover::Forever => {}
            Discover::For(left) => {
                let left = left.saturating_sub(self.since.elapsed());
                self.mesh.discover(if left.is_zero() { Discover::Off } else { Discover::For(left) });
            }
            _ => self.mesh.discover(Discover::Off),
        }
    }
}
