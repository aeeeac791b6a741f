//! Why something did not work at the far end, in words that the other end reads back, and the error that people get.

use std::io;

use telemesh_channel::{ChannelError, OpenError, Refusal, RefusalCode};

use crate::targets::ParseTargetError;

/// Why a tunnel was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SockError {
    /// The peer has not granted this.
    #[error("the peer does not allow it: a grant is missing there")]
    NotAllowed,
    /// Nobody listens at the target.
    #[error("connection refused by the target")]
    Refused,
    /// The target's machine cannot be reached from there.
    #[error("the target cannot be reached from there")]
    Unreachable,
    /// The target did not answer there.
    #[error("the target did not answer")]
    TimedOut,
    /// The name has no address there.
    #[error("the name has no address there")]
    NoAddress,
    /// Somebody listens at that address there already.
    #[error("the address is in use there")]
    AddressInUse,
    /// The address is none of that machine's.
    #[error("the address is not one of that machine's")]
    AddressNotThere,
    /// A limit there is reached: later it may work.
    #[error("the peer is busy: {0}")]
    Busy(String),
    /// It did not work there, for another reason.
    #[error("the peer could not do it: {0}")]
    Failed(String),
    /// What was asked for is not a target.
    #[error(transparent)]
    Target(#[from] ParseTargetError),
    /// There is no way to the host: it is not a contact's, and nobody was named to whom all others go.
    #[error("there is no way to {0}")]
    NoRoute(String),
    /// The channel was not opened, or the peer does not know this channel.
    #[error(transparent)]
    Open(OpenError),
}

/// The first word of a refusal, which programs read; what follows is for people.
const WORDS: [(&str, SockError); 6] = [
    ("refused", SockError::Refused),
    ("unreachable", SockError::Unreachable),
    ("timeout", SockError::TimedOut),
    ("no-address", SockError::NoAddress),
    ("in-use", SockError::AddressInUse),
    ("not-there", SockError::AddressNotThere),
];

impl SockError {
    /// What a socket's failure means.
    pub(crate) fn of_socket(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Self::Unreachable,
            Kind::TimedOut => Self::TimedOut,
            Kind::AddrInUse => Self::AddressInUse,
            Kind::AddrNotAvailable => Self::AddressNotThere,
            kind => Self::Failed(kind.to_string()),
        }
    }

    /// What the peer is told. Not more than its kind: the system's words may name what the peer should not know of.
    pub(crate) fn refusal(&self) -> Refusal {
        let word = WORDS.iter().find(|(_, error)| error == self).map(|(word, _)| *word);
        match (self, word) {
            (_, Some(word)) => Refusal::new(RefusalCode::Application, format!("{word}: {self}")),
            (Self::NotAllowed, _) => Refusal::new(RefusalCode::NotAllowed, "no grant allows this"),
            (Self::Busy(why), _) => Refusal::new(RefusalCode::Busy, why.clone()),
            (Self::Failed(why), _) => Refusal::new(RefusalCode::Application, format!("failed: {why}")),
            _ => Refusal::new(RefusalCode::NotAllowed, self.to_string()),
        }
    }

    pub(crate) fn of_refusal(refusal: &Refusal) -> Self {
        let word = refusal.reason().split(':').next().unwrap_or_default();
        match refusal.code() {
            RefusalCode::NotAllowed => Self::NotAllowed,
            RefusalCode::Busy => Self::Busy(refusal.to_string()),
            RefusalCode::Application => WORDS
                .iter()
                .find(|(known, _)| *known == word)
                .map_or_else(|| Self::Failed(refusal.to_string()), |(_, error)| error.clone()),
            _ => Self::Open(OpenError::Refused(refusal.clone())),
        }
    }

    /// The nearest kind of I/O error, for programs that only know those.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::NotAllowed => io::ErrorKind::PermissionDenied,
            Self::Refused => io::ErrorKind::ConnectionRefused,
            Self::Unreachable | Self::NoAddress | Self::NoRoute(_) => io::ErrorKind::HostUnreachable,
            Self::TimedOut => io::ErrorKind::TimedOut,
            Self::AddressInUse => io::ErrorKind::AddrInUse,
            Self::AddressNotThere => io::ErrorKind::AddrNotAvailable,
            Self::Busy(_) => io::ErrorKind::ResourceBusy,
            Self::Target(_) => io::ErrorKind::InvalidInput,
            Self::Failed(_) => io::ErrorKind::Other,
            Self::Open(error) => io::Error::from(error.clone()).kind(),
        }
    }
}

impl From<OpenError> for SockError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(refusal) | OpenError::Channel(ChannelError::Refused(refusal)) => {
                Self::of_refusal(&refusal)
            }
            other => Self::Open(other),
        }
    }
}

impl From<ChannelError> for SockError {
    fn from(error: ChannelError) -> Self {
        OpenError::Channel(error).into()
    }
}

impl From<SockError> for io::Error {
    fn from(error: SockError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_is_told_it_reads_as_the_same() {
        for error in WORDS.map(|(_, error)| error).into_iter().chain([SockError::NotAllowed]) {
            assert_eq!(SockError::from(OpenError::Refused(error.refusal())), error);
        }
        let busy = SockError::from(OpenError::Refused(SockError::Busy("full".into()).refusal()));
        assert!(matches!(&busy, SockError::Busy(why) if why.contains("full")), "{busy:?}");
        let unknown = OpenError::Refused(Refusal::new(RefusalCode::UnknownType, "nobody"));
        assert_eq!(SockError::from(unknown.clone()), SockError::Open(unknown));
    }

    #[test]
    fn a_refusal_says_nothing_of_the_system() {
        let error = io::Error::new(io::ErrorKind::PermissionDenied, "/etc/secret");
        assert!(!SockError::of_socket(&error).refusal().reason().contains("secret"));
    }
}
