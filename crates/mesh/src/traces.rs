//! Traces of engines in qlog's format, for those who have asked for them. Without the feature `qlog` nobody can.

use std::time::Instant;

use telemesh_engine::{Config, Engine, EngineError, Seed};
use telemesh_hashname::Hashname;

#[cfg(feature = "qlog")]
type Open = dyn Fn(&Hashname) -> Option<telemesh_engine::QlogWriter> + Send + Sync;

/// Which engines are traced, and to where.
#[derive(Default)]
pub(crate) struct Traces {
    #[cfg(feature = "qlog")]
    open: Option<Box<Open>>,
}

impl Traces {
    #[cfg(feature = "qlog")]
    pub(crate) fn new(
        open: impl Fn(&Hashname) -> Option<telemesh_engine::QlogWriter> + Send + Sync + 'static,
    ) -> Self {
        Self { open: Some(Box::new(open)) }
    }

    /// Starts the engine of a link with this peer, traced if that is wanted.
    #[cfg(feature = "qlog")]
    pub(crate) fn start(
        &self,
        peer: &Hashname,
        seed: &Seed,
        config: &Config,
        now: Instant,
    ) -> Result<Engine, EngineError> {
        match self.open.as_ref().and_then(|open| open(peer)) {
            Some(writer) => Engine::start_traced(seed, config, now, writer),
            None => Engine::start(seed, config, now),
        }
    }

    #[cfg(not(feature = "qlog"))]
    #[allow(clippy::unused_self, reason = "it has the shape of the other one")]
    pub(crate) fn start(
        &self,
        _peer: &Hashname,
        seed: &Seed,
        config: &Config,
        now: Instant,
    ) -> Result<Engine, EngineError> {
        Engine::start(seed, config, now)
    }
}
