//! A trace of one engine in qlog's format (draft-ietf-quic-qlog-main-schema), for the tools that show QUIC connections.
//!
//! Without the feature `qlog` there is nothing to trace to, and this is an empty type.

use std::time::Instant;

use quinn_proto::TransportConfig;

/// Where an engine's trace goes, if anywhere.
#[derive(Default)]
pub(crate) struct Trace {
    #[cfg(feature = "qlog")]
    writer: Option<QlogWriter>,
}

/// Takes the records of a trace, each with one call.
#[cfg(feature = "qlog")]
pub type QlogWriter = Box<dyn std::io::Write + Send + Sync>;

impl Trace {
    #[cfg(feature = "qlog")]
    pub(crate) fn to(writer: QlogWriter) -> Self {
        Self { writer: Some(writer) }
    }

    /// Makes the state machine write, with times counted from `start`.
    #[cfg(feature = "qlog")]
    pub(crate) fn apply(self, config: &mut TransportConfig, start: Instant) {
        let Some(writer) = self.writer else { return };
        let mut qlog = quinn_proto::QlogConfig::default();
        qlog.writer(writer).title(Some("telemesh engine".to_owned())).start_time(start);
        config.qlog_stream(qlog.into_stream());
    }

    #[cfg(not(feature = "qlog"))]
    #[allow(clippy::unused_self, reason = "it has the shape of the other one")]
    pub(crate) fn apply(self, _config: &mut TransportConfig, _start: Instant) {}
}
