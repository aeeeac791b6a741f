//! Everything that can go wrong, sorted by what a script can do about it: the kind, the exit code and one line of text.

use std::io;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use telemesh::channel::AcceptError;
use telemesh::sock::SockError;
use telemesh::{
    ChannelError, ContactError, CreateError, HandleError, KeysError, LinkError, OpenError, StoreError,
    TooManyInvites,
};

use crate::event::ErrorObject;
use crate::output::printable;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It did not work, for a reason that is none of the others.
    #[error("{0}")]
    Failed(String),
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The other endpoint does not answer, or there is no way to it.
    #[error("{0}")]
    Unreachable(String),
    /// The other endpoint, or a rule of ours, said no.
    #[error("{0}")]
    Refused(String),
    /// Whoever read our standard output has gone, as `head` does.
    #[error("nobody reads standard output any more")]
    OutputClosed,
    /// A signal asked us to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What a script can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Failed,
    Usage,
    Unreachable,
    Refused,
    Interrupted,
}

impl Kind {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::Interrupted => 130,
        }
    }
}

impl Failure {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Failed(_) | Self::OutputClosed => Kind::Failed,
            Self::Usage(_) => Kind::Usage,
            Self::Unreachable(_) => Kind::Unreachable,
            Self::Refused(_) => Kind::Refused,
            Self::Interrupted => Kind::Interrupted,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind().code())
    }

    /// For scripts, and for whoever asked through the control socket.
    pub(crate) fn object(&self) -> ErrorObject {
        ErrorObject { error: printable(&self.to_string()), kind: self.kind(), code: self.kind().code() }
    }

    /// A write to standard output that failed.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::Failed(format!("could not write to standard output: {error}"))
    }

    /// A channel that failed while it was used.
    pub(crate) fn channel(error: &io::Error) -> Self {
        match ChannelError::of(error) {
            Some(error) => error.clone().into(),
            None => Self::Failed(error.to_string()),
        }
    }
}

impl From<ErrorObject> for Failure {
    fn from(object: ErrorObject) -> Self {
        match object.kind {
            Kind::Failed => Self::Failed(object.error),
            Kind::Usage => Self::Usage(object.error),
            Kind::Unreachable => Self::Unreachable(object.error),
            Kind::Refused => Self::Refused(object.error),
            Kind::Interrupted => Self::Interrupted,
        }
    }
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Refused(refusal) => Self::Refused(format!("the other end refused: {refusal}")),
            ChannelError::Reset(_) => Self::Failed("the other end gave up before it was done".into()),
            ChannelError::Stopped(_) => Self::Failed("the other end reads no further".into()),
            ChannelError::LinkClosed(_) => Self::Failed("the other end has gone before all was done".into()),
            ChannelError::PeerRestarted => Self::Failed("the other end has restarted".into()),
            ChannelError::LinkDown => {
                Self::Unreachable("the other end does not answer any more: the link is down".into())
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(refusal) => ChannelError::Refused(refusal).into(),
            OpenError::Channel(error) => error.into(),
            other => Self::Failed(format!("could not open a channel: {other}")),
        }
    }
}

impl From<SockError> for Failure {
    fn from(error: SockError) -> Self {
        match error {
            SockError::NotAllowed | SockError::Refused => Self::Refused(error.to_string()),
            SockError::Target(_) => Self::Usage(error.to_string()),
            SockError::Open(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Target(_) | LinkError::Ourselves => Self::Usage(error.to_string()),
            LinkError::TimedOut(_) | LinkError::Closed(_) | LinkError::NoIntroducer(_) => {
                Self::Unreachable(error.to_string())
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<ContactError> for Failure {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::NameTaken(error) => Self::Usage(error.to_string()),
            ContactError::Link(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        let reason = std::error::Error::source(&error).map(|source| format!(": {source}"));
        let advice = match &error {
            CreateError::Listen { .. } => "; choose another address with --listen, or leave it out",
            _ => "",
        };
        Self::Failed(format!("{error}{}{advice}", reason.unwrap_or_default()))
    }
}

/// Errors whose own words say it all.
macro_rules! failed {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Failed(error.to_string())
            }
        }
    )*};
}

failed!(AcceptError, HandleError, KeysError, StoreError, TooManyInvites);
